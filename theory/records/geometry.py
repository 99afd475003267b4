"""The shape of the value as a function of the policy: lines, and no concavity. In Fractions."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class OneState(NamedTuple):
    """An MDP, a policy (S, A), another row for one of its states, and a weight in (0, 1)."""

    mdp: DiscountedMDP
    policy: FractionArray
    state: int
    row: FractionArray
    weight: Fraction


class Walk(NamedTuple):
    """A walk of two right moves with its first and second policy, probabilities of moving (2,)."""

    mdp: DiscountedMDP
    first: FractionArray
    second: FractionArray


def sample_one_state(tape: Tape, size: int) -> OneState:
    """Draw an MDP, a policy and what it is to become in one state."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    policy = fractions(instances.policy(tape, size, model.actions))
    row = fractions(tape.simplex(model.actions))
    weight = Fraction(tape.integer(1, 15), 16)
    return OneState(model, policy, tape.integer(0, size - 1), row, weight)


def _moved(instance: OneState, weight: Fraction) -> FractionArray:
    policy = instance.policy.copy()
    policy[instance.state] = (1 - weight) * policy[instance.state] + weight * instance.row
    return policy


def _line(instance: OneState, place: Fraction) -> tuple[Side, Side]:
    mdp = instance.mdp
    start = exact.policy_values(mdp, instance.policy)
    end = exact.policy_values(mdp, _moved(instance, Fraction(1)))
    return exact.policy_values(mdp, _moved(instance, instance.weight)), start + place * (
        end - start
    )


def line_sides(instance: OneState) -> tuple[Side, Side]:
    """Return the value of the mixture and the point of the segment, each (S,)."""
    mdp, policy, state, row, weight = instance
    discount = Fraction(mdp.discount)
    shift = (row - policy[state]) @ exact.model(mdp)[0][state]
    reach = exact.resolvent(
        exact.policy_kernel(mdp, policy), discount, exact.identity(mdp.states)[state]
    )
    bend = discount * (shift @ reach)
    return _line(instance, weight * (1 - bend) / (1 - weight * bend))


LINE = Theorem(
    id="geometry/line-theorem",
    title="Policies that differ in one state have their values on a segment",
    source=(
        "Dadashi, Taiga, Le Roux, Schuurmans and Bellemare (2019), Theorem 1; the place on the "
        "segment by the Sherman-Morrison formula"
    ),
    statement=(
        r"V^{(1-\alpha)\pi + \alpha\pi'} = V^\pi + t\,(V^{\pi'} - V^\pi),\qquad "
        r"t = \frac{\alpha(1-\kappa)}{1-\alpha\kappa},\; \kappa = \gamma\,(P_{\pi'} - P_\pi)(s)\,"
        r"(I - \gamma P_\pi)^{-1} e_s"
    ),
    hypotheses=(r"$\pi$ and $\pi'$ differ in the state $s$ only", r"$0 < \alpha < 1$"),
    kind="identity",
    sample=sample_one_state,
    sides=line_sides,
    control=Control(
        name="values mix like policies",
        explanation=r"The place on the segment is $t = \alpha$, true for bandits only.",
        sides=lambda instance: _line(instance, instance.weight),
    ),
)


def right_moves(discount: float) -> DiscountedMDP:
    """Return two states to cross by the second action, then 1 for ever; the first action fails."""
    transitions = np.zeros((4, 2, 4))
    transitions[:2, 0, 3] = transitions[0, 1, 1] = transitions[1, 1, 2] = 1.0
    transitions[2, :, 2] = transitions[3, :, 3] = 1.0
    rewards = np.zeros((4, 2))
    rewards[2] = 1.0
    return DiscountedMDP(transitions, rewards, discount, np.eye(4)[0])


def sample_walk(tape: Tape, size: int) -> Walk:
    """Draw two policies that move right alike in both states, with different probabilities."""
    low, high = sorted(Fraction(float(x)) for x in tape.dyadic(2))
    model = right_moves(instances.discount(tape, low=1))
    return Walk(model, np.array([low, low]), np.array([high, high]))


def sample_walk_once(tape: Tape, size: int) -> Walk:
    """Draw two policies that differ in the first state only."""
    walk = sample_walk(tape, size)
    return walk._replace(second=np.array([walk.second[0], walk.first[1]]))


def _performance(walk: Walk, moving: FractionArray) -> Fraction:
    policy = exact.fractions(np.full((4, 2), 0.5))
    policy[:2, 1] = moving
    policy[:2, 0] = 1 - moving
    return Fraction(exact.policy_values(walk.mdp, policy)[0])


def walk_sides(walk: Walk) -> tuple[Side, Side]:
    """Return the value of the middle policy and the mean of the two values."""
    middle = _performance(walk, (walk.first + walk.second) / 2)
    mean = (_performance(walk, walk.first) + _performance(walk, walk.second)) / 2
    return middle, mean


NOT_CONCAVE = Theorem(
    id="geometry/value-not-concave",
    title="The value is not concave in the policy",
    source="Agarwal, Kakade, Lee and Mahajan (2021), Lemma 1 (Lemma 3.1 of the preprint)",
    statement=(
        r"V^{(\pi + \pi')/2}(\rho) < \tfrac12 V^\pi(\rho) + \tfrac12 V^{\pi'}(\rho)\quad "
        r"\text{for some MDP and } \pi, \pi'"
    ),
    hypotheses=(
        "direct parametrisation",
        "two right moves in a row lead to the reward, so the value is a product",
    ),
    kind="separation",
    sample=sample_walk,
    sides=walk_sides,
    control=Control(
        name="policies that differ in one state",
        explanation="The two policies differ in the first state only, where the value is linear.",
        sample=sample_walk_once,
    ),
    notes="The mean is twice the value of the middle at most, for one policy that never moves.",
    sizes=(2,),
    sharpness=0.5,
)


THEOREMS = (LINE, NOT_CONCAVE)
