"""One step of policy mirror descent: what it gains, and the geometry behind it."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import balls, exact, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Mirror(NamedTuple):
    """An MDP, a positive policy (S, A) and a step size."""

    mdp: DiscountedMDP
    policy: FractionArray
    step: Fraction


class Projection(NamedTuple):
    """A distribution, an ascent direction and a point to compare with, each (n,)."""

    current: FractionArray
    ascent: FractionArray
    other: FractionArray


def two_delays(discount: float, power: int) -> Mirror:
    """Return two states: a choice that one step mends, and a tie above it that it cannot.

    Waiting in state 1 is worth as much as moving to state 0 under the present policy.
    """
    transitions = np.zeros((2, 2, 2))
    transitions[0, :, 0] = transitions[1, 0, 1] = transitions[1, 1, 0] = 1.0
    rewards = np.array([[0.0, 1.0], [discount / 2, 0.0]])
    rare = Fraction(1, 2**power)
    policy = fractions(np.array([[0.5, 0.5], [1 - float(rare), float(rare)]]))
    return Mirror(DiscountedMDP(transitions, rewards, discount), policy, Fraction(2**power))


def sample_mirror(tape: Tape, size: int) -> Mirror:
    """Draw the two delays half of the time, else a random model, positive policy and step 2^k."""
    if tape.integer(0, 1):
        return two_delays(instances.discount(tape, low=1), tape.integer(3, 12))
    model = instances.mdp(tape, size, tape.integer(2, 3))
    weights = fractions(tape.dyadic((size, model.actions), 2.0**-10, 1.0))
    policy = weights / weights.sum(axis=1, keepdims=True)
    return Mirror(model, policy, Fraction(2) ** tape.integer(-4, 8))


def mirror_step(instance: Mirror) -> BallArray:
    """Return pi exp(step * Q^pi), normalised in every state, as balls (S, A)."""
    mdp, policy, step = instance
    q = exact.action_values(mdp, exact.policy_values(mdp, policy))
    return balls.softmax(balls.log(balls.balls(policy)) + balls.balls(step * q))


def ball_values(mdp: DiscountedMDP, policy: BallArray, costs: BallArray | None = None) -> BallArray:
    """Enclose V^pi of a policy of balls (S, A), less what it costs in every state (S,)."""
    transitions, rewards, discount = exact.model(mdp)
    kernel = (policy[:, :, None] * balls.balls(discount * transitions)).sum(axis=1)
    reward = (policy * balls.balls(rewards)).sum(axis=1)
    system = balls.balls(exact.identity(mdp.states)) - kernel
    return balls.solve(system, reward if costs is None else reward - costs)


def ball_action_values(mdp: DiscountedMDP, values: BallArray) -> BallArray:
    """Return r + discount * P values as balls (S, A)."""
    transitions, rewards, discount = exact.model(mdp)
    return np.asarray(balls.balls(rewards) + balls.balls(discount * transitions) @ values)


def _stepped(instance: Mirror, divergence: bool) -> tuple[Side, Side]:
    mdp, policy, step = instance
    best, before = exact.optimal_values(mdp), exact.policy_values(mdp, policy)
    q = exact.action_values(mdp, before)
    after = balls.balls(best) - ball_values(mdp, mirror_step(instance))
    contracted = balls.ball(Fraction(mdp.discount) * supremum(best - before))
    if divergence:
        greedy = q == q.max(axis=1, keepdims=True)
        likeliest = (policy * greedy).max(axis=1).min()
        contracted = contracted - balls.ball(likeliest).log() / balls.ball(step)
    return balls.to_bounds(after), balls.to_bounds(contracted)


@precise
def step_sides(instance: Mirror) -> tuple[Side, Side]:
    """Return the loss of every state after the step (S,), and the bound."""
    return _stepped(instance, divergence=True)


@precise
def _as_policy_iteration(instance: Mirror) -> tuple[Side, Side]:
    return _stepped(instance, divergence=False)


ONE_STEP = Theorem(
    id="mirror-descent/one-step-rate",
    title="A mirror step contracts by the discount, up to a divergence over the step size",
    source="Johnson, Pike-Burke and Rebeschini (2023), section 4, one step of its proof",
    statement=(
        r"\|V^* - V^{\pi'}\|_\infty \le \gamma\,\|V^* - V^{\pi}\|_\infty + \frac{1}{\eta}"
        r"\max_s \min_{a \in \operatorname{argmax} Q^\pi(s,\cdot)} \log\frac{1}{\pi(a|s)},\qquad "
        r"\pi' \propto \pi \exp(\eta Q^\pi)"
    ),
    hypotheses=(r"$\pi > 0$ everywhere", r"$\eta > 0$"),
    kind="inequality",
    sample=sample_mirror,
    sides=step_sides,
    control=Control(
        name="any step is policy iteration",
        explanation="The divergence term is dropped, as if every step were greedy.",
        sides=_as_policy_iteration,
    ),
    notes=(
        r"With $\eta_k \ge \max_s \min_a \log(1/\pi_k(a|s)) / \gamma^{2k+2}$ it gives the rate "
        r"$\gamma^k$. Approached by two states, the upper of which sees a tie until the lower is "
        "mended."
    ),
    sharpness=0.98,
)


def project(point: FractionArray) -> FractionArray:
    """Return the nearest point of the simplex exactly, shape (n,)."""
    ordered = np.sort(point)[::-1]
    total, shift = Fraction(0), Fraction(0)
    for k, x in enumerate(ordered, start=1):
        total += x
        if x - (total - 1) / k > 0:
            shift = (total - 1) / k
    return np.asarray(np.maximum(point - shift, fractions(np.zeros(1))))


def sample_projection(tape: Tape, size: int) -> Projection:
    """Draw two distributions and an ascent, small enough to stay inside half of the time."""
    current, other = fractions(tape.simplex((2, size)))
    ascent = fractions(tape.dyadic(size, -1, 1)) / 2 ** tape.integer(0, 8)
    return Projection(current, ascent, other)


def _three_points(instance: Projection, pushback: Fraction) -> tuple[Side, Side]:
    current, ascent, other = instance
    moved = project(current + ascent)
    gain = ascent @ (other - moved)
    away, back = ((moved - current) ** 2).sum(), ((other - moved) ** 2).sum()
    return gain + away / 2 + pushback * back, ((other - current) ** 2).sum() / 2


def three_point_sides(instance: Projection) -> tuple[Side, Side]:
    """Return gain of the other point plus two half squared distances, and half the third."""
    return _three_points(instance, Fraction(1, 2))


THREE_POINTS = Theorem(
    id="mirror-descent/three-points",
    title="A projected step beats every other point by the pushback of its divergence",
    source="Chen and Teboulle (1993), Lemma 3.2; Xiao (2022), Lemma 6",
    statement=(
        r"p^+ = \Pi_\Delta(p + g) \implies \langle g, q - p^+\rangle + \tfrac12\|p^+ - p\|^2 + "
        r"\tfrac12\|q - p^+\|^2 \le \tfrac12\|q - p\|^2"
    ),
    hypotheses=(r"$p, q \in \Delta$", r"$g \in \mathbb{R}^n$; projected $Q$-ascent: $g = \eta Q$"),
    kind="inequality",
    sample=sample_projection,
    sides=three_point_sides,
    control=Control(
        name="stronger convexity",
        explanation="The pushback is three quarters of the squared distance instead of a half.",
        sides=lambda instance: _three_points(instance, Fraction(3, 4)),
    ),
    notes="An equality where the projection stays in the relative interior.",
    sharpness=0.999,
)


THEOREMS = (ONE_STEP, THREE_POINTS)
