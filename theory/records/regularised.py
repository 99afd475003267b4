"""Entropy-regularised MDPs: the closed form and what it distorts.

The penalty is weight times KL(pi || uniform); the entropy bonus differs from it by the constant
weight * log A per step. Sides are balls, or follow from the public solver's certified bounds.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.analysis.simplex import KL
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.regularised import Regulariser, regularised_optimum
from rltheory.theory import balls, exact, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.mirror_descent import ball_action_values, ball_values
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Choice(NamedTuple):
    """Action values (A,), a positive reference, a policy and a weight."""

    scores: FractionArray
    reference: FractionArray
    policy: FractionArray
    weight: Fraction


class Soft(NamedTuple):
    """An MDP and the weight of its regulariser, a float."""

    mdp: DiscountedMDP
    weight: float


def divergence(policy: FractionArray, reference: BallArray) -> Any:
    """Return KL(policy || reference) of an exact policy (A,) as a ball."""
    total = balls.ball(0)
    for p, q in zip(policy, reference, strict=True):
        if p:
            total += balls.ball(p) * (balls.ball(p) / q).log()
    return total


def sample_choice(tape: Tape, size: int) -> Choice:
    """Draw scores, a reference bounded away from zero, a policy with zeros and a weight 2^k."""
    scores = fractions(instances.values(tape, size, -2.0, 2.0))
    weights = fractions(tape.dyadic(size, 2.0**-6, 1.0))
    policy = fractions(tape.simplex(size))
    return Choice(scores, weights / weights.sum(), policy, Fraction(2) ** tape.integer(-3, 3))


def _gibbs(choice: Choice) -> tuple[Any, Any, BallArray]:
    """Return the gap of the policy, the weight and the Gibbs policy, as balls."""
    scores, reference, policy, weight = choice
    temperature, prior = balls.ball(weight), balls.balls(reference)
    tilted = prior * balls.exp(balls.balls(scores / weight))
    best = temperature * tilted.sum().log()
    attained = balls.ball(policy @ scores) - temperature * divergence(policy, prior)
    return best - attained, temperature, tilted / tilted.sum()


@precise
def gibbs_sides(choice: Choice) -> tuple[Side, Side]:
    """Return log-sum-exp minus the policy's objective, and the weighted divergence."""
    gap, temperature, gibbs = _gibbs(choice)
    return balls.to_bounds(gap), balls.to_bounds(temperature * divergence(choice.policy, gibbs))


@precise
def _backwards(choice: Choice) -> tuple[Side, Side]:
    gap, temperature, gibbs = _gibbs(choice)
    reverse = sum(
        (g * (g / balls.ball(p)).log() for p, g in zip(choice.policy, gibbs, strict=True) if p),
        start=balls.ball(0),
    )
    return balls.to_bounds(gap), balls.to_bounds(temperature * reverse)


GIBBS = Theorem(
    id="regularised/gibbs-principle",
    title="The soft maximum is the best trade of score against divergence, and by how much",
    source=(
        "Gibbs' variational principle (Donsker and Varadhan, 1975); Geist, Scherrer and Pietquin "
        "(2019), Proposition 1"
    ),
    statement=(
        r"\tau\log\sum_a \mu(a)e^{q(a)/\tau} - \bigl(\langle p, q\rangle - \tau\,"
        r"\mathrm{KL}(p\,\|\,\mu)\bigr) = \tau\,\mathrm{KL}(p\,\|\,p^*),\qquad "
        r"p^*(a) \propto \mu(a) e^{q(a)/\tau}"
    ),
    hypotheses=(r"$\mu > 0$", r"any distribution $p$, also on the boundary", r"$\tau > 0$"),
    kind="identity",
    sample=sample_choice,
    sides=gibbs_sides,
    control=Control(
        name="divergence backwards",
        explanation=r"The gap is $\tau\,\mathrm{KL}(p^*\|p)$, the two distributions exchanged.",
        sides=_backwards,
    ),
    notes="Closed form and optimality of the soft Bellman update in one line.",
)


def soft_values(mdp: DiscountedMDP, weight: float) -> Bounds:
    """Enclose the optimal values under weight * KL(pi || uniform), shape (S,)."""
    uniform = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    solution = regularised_optimum(mdp, Regulariser(KL, weight, uniform))
    return Bounds(solution.lower, solution.upper)


def sample_soft(tape: Tape, size: int) -> Soft:
    """Draw an MDP whose actions pay differently in every state, sometimes hardly, or much."""
    actions = tape.integer(2, 4)
    model = instances.mdp(tape, size, actions, tape.integer(0, 8) / 16)
    # Distinct rewards, and gaps of at most 5 against weights of at least 1/4: at exact ties, or
    # where the noise is below e^-20, the ends would be met and enclosures could not tell.
    apart = 2.0 ** tape.integer(-5, -1)
    base = model.rewards[:, :1] if tape.integer(0, 1) else np.zeros((size, 1))
    rewards = base + apart * np.arange(actions)
    return Soft(model.replace(rewards=rewards), 2.0 ** tape.integer(-2, 2))


@precise
def sandwich_sides(instance: Soft) -> tuple[Side, Side]:
    """Return (V*, V_soft) and (V_soft, V* + weight log A / (1 - g)), each (2 S,)."""
    return _sandwich(instance, balls.ball(instance.mdp.actions).log())


@precise
def _entropy_of_half(instance: Soft) -> tuple[Side, Side]:
    return _sandwich(instance, balls.ball(Fraction(instance.mdp.actions + 1, 2)).log())


def _sandwich(instance: Soft, entropy: Any) -> tuple[Side, Side]:
    mdp, weight = instance
    horizon = balls.ball(Fraction(weight) / (1 - Fraction(mdp.discount)))
    best = balls.balls(exact.optimal_values(mdp))
    bonus = horizon * balls.ball(mdp.actions).log()
    soft = balls.between(soft_values(mdp, weight)) + bonus
    ceiling = best + horizon * entropy
    return (
        balls.to_bounds(np.concatenate([best, soft])),
        balls.to_bounds(np.concatenate([soft, ceiling])),
    )


SANDWICH = Theorem(
    id="regularised/value-sandwich",
    title="The entropy bonus raises the optimal value by at most a horizon of log A",
    source="Geist, Scherrer and Pietquin (2019), Proposition 3",
    statement=(
        r"V^* \le V^*_\tau \le V^* + \frac{\tau\log A}{1-\gamma}\,\mathbf{1},\qquad "
        r"V^*_\tau = \max_\pi \mathbb{E}\sum_t\gamma^t\bigl(r_t + \tau H(\pi(\cdot|s_t))\bigr)"
    ),
    hypotheses=(
        r"$\tau > 0$",
        "the actions of a state pay differently, which keeps both ends from being met exactly",
    ),
    kind="inequality",
    sample=sample_soft,
    sides=sandwich_sides,
    control=Control(
        name="not all actions count",
        explanation=r"The bonus is $\log\frac{A+1}{2}$ per step instead of $\log A$.",
        sides=_entropy_of_half,
    ),
    notes="The lower end is approached where one action is much better, the upper at near ties.",
    sharpness=0.98,
    cost=2.0,
)


def lure_of_entropy(discount: float, actions: int, margin: float) -> Soft:
    """Return three states: play in one end costs nothing but pays nothing, in the other it pays.

    From state 0 the first action leads where all actions are equal, which the bonus likes; the
    others lead where one action pays almost as much per step as that bonus, less `margin`.
    """
    transitions = np.zeros((3, actions, 3))
    transitions[0, 0, 1] = transitions[0, 1:, 2] = transitions[1, :, 1] = transitions[2, :, 2] = 1.0
    rewards = np.zeros((3, actions))
    rewards[2] = -12.0
    rewards[2, 0] = max(np.round((np.log(actions) - margin * (1 - discount)) * 2**10) / 2**10, 0.0)
    return Soft(DiscountedMDP(transitions, rewards, discount), 1.0)


def sample_lure(tape: Tape, size: int) -> Soft:
    """Draw the lure of entropy half of the time, else a random MDP."""
    if tape.integer(0, 1):
        margin = tape.integer(4, 16) / 4
        return lure_of_entropy(instances.discount(tape, low=8), tape.integer(2, 6), margin)
    return sample_soft(tape, size)


def _policy_loss(instance: Soft, horizon: Fraction) -> tuple[Side, Side]:
    mdp, weight = instance
    soft = ball_action_values(mdp, balls.between(soft_values(mdp, weight)))
    attained = ball_values(mdp, balls.softmax(soft / balls.ball(weight)))
    bound = balls.ball(Fraction(weight) * horizon) * balls.ball(mdp.actions).log()
    return balls.to_bounds(balls.balls(exact.optimal_values(mdp)) - attained), balls.to_bounds(
        bound
    )


@precise
def policy_loss_sides(instance: Soft) -> tuple[Side, Side]:
    """Return the loss of the soft-optimal policy without its bonus (S,), and the bound."""
    return _policy_loss(instance, 1 / (1 - Fraction(instance.mdp.discount)))


@precise
def _one_step(instance: Soft) -> tuple[Side, Side]:
    return _policy_loss(instance, Fraction(1))


POLICY_LOSS = Theorem(
    id="regularised/policy-loss",
    title="What the soft-optimal policy loses once the bonus is taken away",
    source="Geist, Scherrer and Pietquin (2019), Theorem 2 with exact optimisation",
    statement=r"V^* - V^{\pi^*_\tau} \le \frac{\tau\log A}{1-\gamma}\,\mathbf{1}",
    hypotheses=(r"$\pi^*_\tau \propto \exp(Q^*_\tau/\tau)$, optimal with the entropy bonus",),
    kind="inequality",
    sample=sample_lure,
    sides=policy_loss_sides,
    control=Control(
        name="one step of distortion",
        explanation="The horizon is dropped: only the noise of a single choice is counted.",
        sides=_one_step,
    ),
    notes="The bonus can also lure: a state of equal actions is worth a horizon of log A to it.",
    sharpness=0.6,
    cost=2.0,
)


THEOREMS = (GIBBS, SANDWICH, POLICY_LOSS)
