"""Rates of policy mirror descent: constant steps by the public solver, growing ones by balls.

The hard case of both is a needle: one good action among many, which a uniform start hardly plays.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policy_optimisation import natural_policy_gradient
from rltheory.theory import balls, exact, instances
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.mirror_descent import ball_action_values, ball_values
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Ascent(NamedTuple):
    """An MDP with rewards in [0, 1], a step size and a number of iterations."""

    mdp: DiscountedMDP
    step: float
    iterations: int


class Climb(NamedTuple):
    """An MDP, a positive distribution (S,), the first step size and a number of iterations."""

    mdp: DiscountedMDP
    judged: FractionArray
    step: Fraction
    iterations: int


def needle(actions: int) -> DiscountedMDP:
    """Return the one-shot problem in which a single action of many pays 1."""
    rewards = np.zeros((1, actions))
    rewards[0, 0] = 1.0
    return DiscountedMDP(np.ones((1, actions, 1)), rewards, 0.0)


def sample_ascent(tape: Tape, size: int) -> Ascent:
    """Draw a needle among up to 1024 actions half of the time, and steps 2^k."""
    iterations = 2 ** tape.integer(0, 4)
    if tape.integer(0, 1):
        # What counts is the product of step and iterations, near 5 for the most actions.
        total = tape.integer(2, 8)
        return Ascent(needle(2 ** tape.integer(6, 10)), total / iterations, iterations)
    model = instances.mdp(tape, size, tape.integer(2, 4), instances.discount(tape))
    return Ascent(model, 2.0 ** tape.integer(-4, 6), iterations)


def _ascended(instance: Ascent, logarithm: Bounds) -> tuple[Side, Side]:
    mdp, step, iterations = instance
    path = natural_policy_gradient(mdp, step=step, iterations=iterations)
    horizon = 1 / (1 - Fraction(mdp.discount))
    constant = balls.to_bounds(balls.ball(horizon**2 / iterations))
    scale = balls.to_bounds(balls.ball(1 / (Fraction(step) * iterations)))
    last = Bounds(path.suboptimality.lower[-1], path.suboptimality.upper[-1])
    return last, logarithm * scale + constant


def ascent_sides(instance: Ascent) -> tuple[Side, Side]:
    """Return the suboptimality of the last iterate and log A / (h T) + 1 / ((1 - g)^2 T)."""
    return _ascended(instance, balls.to_bounds(balls.ball(instance.mdp.actions).log()))


def _one_action(instance: Ascent) -> tuple[Side, Side]:
    return _ascended(instance, Bounds(np.array(1.0), np.array(1.0)))


NATURAL_RATE = Theorem(
    id="mirror-descent/natural-gradient-rate",
    title="Natural policy gradient ascends at the rate 1/T, whatever the number of states",
    source="Agarwal, Kakade, Lee and Mahajan (2021), Theorem 16 (Theorem 5.3 of the preprint)",
    statement=(
        r"V^*(\rho) - V^{(T)}(\rho) \le \frac{\log A}{\eta T} + \frac{1}{(1-\gamma)^2 T},\qquad "
        r"\pi_{t+1} \propto \pi_t \exp\bigl(\eta A^{\pi_t}/(1-\gamma)\bigr),\; \pi_0 = 1/A"
    ),
    hypotheses=(
        r"rewards in $[0, 1]$, $\eta > 0$, any $\rho$",
        "the iterates are those of the public solver in float64; their distance to the optimum "
        "is enclosed rigorously",
    ),
    kind="inequality",
    sample=sample_ascent,
    sides=ascent_sides,
    control=Control(
        name="no price for many actions",
        explanation=r"The term $\log A$ is replaced by 1.",
        sides=_one_action,
    ),
    notes=(
        "Within a factor 0.6 of equality for a needle among 1024 actions; no instance is known "
        "that attains it."
    ),
    sharpness=0.5,
    cost=3.0,
)


def sample_climb(tape: Tape, size: int) -> Climb:
    """Draw a discounted needle half of the time, else a random MDP and a first step 2^k."""
    factor = instances.discount(tape, low=1)
    if tape.integer(0, 1):
        model = needle(2 ** tape.integer(6, 9)).replace(discount=factor)
        step = Fraction(tape.integer(12, 20), 4)
        return Climb(model, fractions(np.ones(1)), step, 1)
    model = instances.mdp(tape, size, tape.integer(2, 3), factor)
    judged = (fractions(tape.simplex(size)) + Fraction(1, size)) / 2
    return Climb(model, judged, Fraction(2) ** tape.integer(-2, 6), tape.integer(1, 3))


def uniform_policy(mdp: DiscountedMDP) -> FractionArray:
    """Return the uniform policy exactly, shape (S, A)."""
    return np.full(mdp.rewards.shape, Fraction(1, mdp.actions), dtype=object)


def _climbed(climb: Climb, mismatch: Fraction, short: Fraction) -> tuple[Side, Side]:
    """Return the last suboptimality and its bound, steps growing by 1 / (1 - 1 / mismatch)."""
    mdp, judged, step, iterations = climb
    best, rate = exact.optimal_values(mdp), 1 - 1 / mismatch
    first = judged @ (best - exact.policy_values(mdp, uniform_policy(mdp)))
    distance = balls.ball(mdp.actions).log() / balls.ball(short * step * (mismatch - 1))
    bound = balls.ball(rate**iterations) * (balls.ball(first) + distance)
    logits = balls.balls(np.zeros(mdp.rewards.shape))
    for k in range(iterations):
        q = ball_action_values(mdp, ball_values(mdp, balls.softmax(logits)))
        logits = logits + balls.ball(step / rate**k) * q
    last = balls.balls(judged) @ (balls.balls(best) - ball_values(mdp, balls.softmax(logits)))
    return balls.to_bounds(last), balls.to_bounds(bound)


def _mismatch(climb: Climb) -> Fraction:
    optimal = exact.visits(climb.mdp, exact.optimal_policy(climb.mdp), climb.judged)
    return Fraction((optimal / climb.judged).max()) / (1 - Fraction(climb.mdp.discount))


@precise
def climb_sides(climb: Climb) -> tuple[Side, Side]:
    """Return the suboptimality after steps that grow geometrically, and its bound."""
    return _climbed(climb, _mismatch(climb), 1 - Fraction(climb.mdp.discount))


@precise
def _horizon_dropped(climb: Climb) -> tuple[Side, Side]:
    return _climbed(climb, _mismatch(climb), Fraction(1))


GROWING_STEPS = Theorem(
    id="mirror-descent/growing-steps",
    title="With geometrically growing steps mirror descent converges linearly",
    source="Xiao (2022), Theorem 10, in the form that its proof gives (rederived here)",
    statement=(
        r"V^*(\rho) - V^{(k)}(\rho) \le \Bigl(1 - \frac1\vartheta\Bigr)^{k}\Bigl(V^*(\rho) - "
        r"V^{(0)}(\rho) + \frac{D_0}{(1-\gamma)\,\eta_0(\vartheta - 1)}\Bigr),\qquad "
        r"\vartheta = \frac{1}{1-\gamma}\Bigl\|\frac{d_\rho^{\pi^*}}{\rho}\Bigr\|_\infty"
    ),
    hypotheses=(
        r"$\pi_{k+1} \propto \pi_k\exp(\eta_k Q^{\pi_k})$, $\eta_{k+1} = \eta_k/(1-1/\vartheta)$",
        r"$\pi_0$ uniform, so that $D_0 = \mathbb{E}\,\mathrm{KL}(\pi^*\|\pi_0) = \log A$",
        r"$\rho > 0$, $0 < \gamma < 1$",
    ),
    kind="inequality",
    sample=sample_climb,
    sides=climb_sides,
    control=Control(
        name="distance without its horizon",
        explanation=r"The factor $1/(1-\gamma)$ of the distance term is dropped.",
        sides=_horizon_dropped,
    ),
    notes=(
        r"The terms $\vartheta(\delta_{k+1} - \delta_k) + \delta_k \le (D_k - D_{k+1})/"
        r"((1-\gamma)\eta_k)$ telescope. The needle comes within a factor 0.85, nearer the more "
        "actions there are."
    ),
    sharpness=0.65,
    cost=5.0,
)


THEOREMS = (NATURAL_RATE, GROWING_STEPS)
