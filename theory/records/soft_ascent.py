"""Natural policy gradient with entropy regularisation: linear convergence, in ball arithmetic."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import balls, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.records.mirror_descent import ball_action_values, ball_values
from rltheory.theory.records.regularised import soft_values
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class SoftAscent(NamedTuple):
    """An MDP, the regulariser's weight, the share of full soft improvement, the iterations."""

    mdp: DiscountedMDP
    weight: float
    share: Fraction
    iterations: int


def cost(policy: BallArray, weight: float) -> BallArray:
    """Return weight * KL(policy || uniform) in every state, balls (S,)."""
    actions = balls.ball(policy.shape[1])
    return np.asarray(balls.ball(weight) * (policy * balls.log(policy * actions)).sum(axis=1))


def slow_tie(discount: float, margin: float) -> SoftAscent:
    """Return two states: one improvement mends the lower, until when the upper had better wait."""
    transitions = np.zeros((2, 2, 2))
    transitions[0, :, 0] = transitions[1, 0, 1] = transitions[1, 1, 0] = 1.0
    rewards = np.array([[0.0, 16.0], [8 * discount + margin, 0.0]])
    model = DiscountedMDP(transitions, rewards, discount)
    return SoftAscent(model, 2.0**-3, Fraction(1), 1)


def sample_soft_ascent(tape: Tape, size: int) -> SoftAscent:
    """Draw the slow tie half of the time, else a random MDP, step and number of iterations."""
    if tape.integer(0, 1):
        return slow_tie(tape.integer(8, 15) / 16, tape.integer(1, 4) / 4)
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, low=1))
    share = Fraction(tape.integer(1, 4), 4)
    return SoftAscent(model, 2.0 ** tape.integer(-2, 2), share, tape.integer(1, 3))


def _ascended(instance: SoftAscent, rate: Fraction) -> tuple[Side, Side]:
    mdp, weight, share, iterations = instance
    temperature = balls.ball(weight)
    best = ball_action_values(mdp, balls.between(soft_values(mdp, weight)))
    policy = balls.balls(np.full(mdp.rewards.shape, Fraction(1, mdp.actions), dtype=object))
    first = None
    for _ in range(iterations + 1):
        q = ball_action_values(mdp, ball_values(mdp, policy, cost(policy, weight)))
        error = balls.norm(best - q)
        first = error if first is None else first
        kept = balls.ball(1 - share) * balls.log(policy)
        policy = balls.softmax(kept + balls.ball(share) * q / temperature)
    logits = balls.log(balls.softmax(best / temperature) * balls.ball(mdp.actions))
    start = first + 2 * temperature * balls.ball(1 - share) * balls.norm(logits)
    discount = Fraction(mdp.discount)
    bound = start * balls.ball(discount * rate ** (iterations - 1))
    return balls.to_bounds(error), balls.to_bounds(bound)


@precise
def soft_ascent_sides(instance: SoftAscent) -> tuple[Side, Side]:
    """Return the error of the action values after some iterations and its bound."""
    return _ascended(instance, 1 - (1 - Fraction(instance.mdp.discount)) * instance.share)


@precise
def _squared_discount(instance: SoftAscent) -> tuple[Side, Side]:
    left, right = soft_ascent_sides(instance)
    assert isinstance(right, Bounds)
    return left, right * float(instance.mdp.discount)


SOFT_RATE = Theorem(
    id="regularised/natural-gradient-linear-rate",
    title="With entropy regularisation the natural policy gradient converges linearly",
    source="Cen, Cheng, Chen, Wei and Chi (2022), Theorem 1",
    statement=(
        r"\|Q^*_\tau - Q^{(t+1)}_\tau\|_\infty \le \gamma\,(1-\eta\tau)^{t}\Bigl(\|Q^*_\tau - "
        r"Q^{(0)}_\tau\|_\infty + 2\tau\bigl(1 - \tfrac{\eta\tau}{1-\gamma}\bigr)\|\log\pi^*_\tau"
        r" - \log\pi^{(0)}\|_\infty\Bigr)"
    ),
    hypotheses=(
        r"$\pi^{(t+1)} \propto (\pi^{(t)})^{1-\alpha}\exp(\alpha\,Q^{(t)}_\tau/\tau)$, "
        r"$\alpha = \eta\tau/(1-\gamma)$",
        r"$Q^{(t)}_\tau$ are the soft action values of $\pi^{(t)}$",
        r"$0 < \eta \le (1-\gamma)/\tau$; at the upper end it is soft policy iteration",
        r"$\pi^{(0)}$ uniform, exact evaluation",
    ),
    kind="inequality",
    sample=sample_soft_ascent,
    sides=soft_ascent_sides,
    control=Control(
        name="one discount too many",
        explanation=r"The factor in front is $\gamma^2$ instead of $\gamma$.",
        sides=_squared_discount,
    ),
    notes=(
        "Approached at the first step of soft policy iteration, by a choice that is a tie until "
        "the state below has been mended."
    ),
    sharpness=0.9,
    cost=2.0,
)


THEOREMS = (SOFT_RATE,)
