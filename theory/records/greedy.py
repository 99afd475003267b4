"""What acting greedily on a wrong value or a wrong discount costs.

Every side is a Fraction; the worst greedy policy is found exactly, so that ties are broken as
badly as the statements allow. Half of the instances are the families that attain the bounds.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

TIGHT = 0.999
"""Sharpness of the bounds that a family attains with equality."""


class Lookahead(NamedTuple):
    """An MDP, approximate values (S,) and a number of steps to look ahead."""

    mdp: DiscountedMDP
    values: FractionArray
    steps: int


class TwoDiscounts(NamedTuple):
    """An MDP with rewards in [0, 1] and a smaller discount to plan with."""

    mdp: DiscountedMDP
    planning: float


def detour(discount: float, error: float, steps: int) -> Lookahead:
    """Return the model in which looking `steps` ahead costs as much as it can, at every step.

    From state 0 a free walk of `steps` moves leads to an absorbing state; the other action stays
    at a price. Only the last state before the end is overvalued, and only who stays first can
    reach it within `steps`; at equal promise the price is paid again and again.
    """
    count = steps + 1
    transitions = np.zeros((count, 2, count))
    for s in range(count):
        transitions[s, :, min(s + 1, steps)] = 1.0
    transitions[0, 1] = np.eye(count)[0]
    rewards = np.zeros((count, 2))
    rewards[0, 1] = -2 * discount**steps * error
    values = np.full(count, -error)
    values[steps - 1] = error
    return Lookahead(DiscountedMDP(transitions, rewards, discount), fractions(values), steps)


def sample_lookahead(tape: Tape, size: int) -> Lookahead:
    """Draw the detour half of the time, else V* with errors that leave the greedy policy close."""
    steps = tape.integer(1, 3)
    if tape.integer(0, 1):
        return detour(instances.discount(tape, low=1), float(tape.dyadic((), 0, 4)), steps)
    model = instances.mdp(tape, size, tape.integer(2, 3))
    error = fractions(instances.values(tape, size, -1.0, 1.0)) / 2 ** tape.integer(0, 4)
    return Lookahead(model, exact.optimal_values(model) + error, steps)


def _lookahead(instance: Lookahead, factor: Fraction) -> tuple[Side, Side]:
    mdp, values, steps = instance
    best = exact.optimal_values(mdp)
    ahead = values
    for _ in range(steps - 1):
        ahead = exact.bellman(mdp, ahead)
    attained = exact.worst_greedy_values(mdp, exact.action_values(mdp, ahead))
    return supremum(best - attained), factor * supremum(values - best)


def lookahead_sides(instance: Lookahead) -> tuple[Side, Side]:
    """Return the loss of the worst greedy policy and 2 g^H / (1 - g) times the error."""
    discount = Fraction(instance.mdp.discount)
    return _lookahead(instance, 2 * discount**instance.steps / (1 - discount))


def _whole_plan(instance: Lookahead) -> tuple[Side, Side]:
    power = Fraction(instance.mdp.discount) ** instance.steps
    return _lookahead(instance, 2 * power / (1 - power))


LOOKAHEAD = Theorem(
    id="greedy/lookahead-loss",
    title="The loss of acting greedily after looking H steps ahead",
    source=(
        "Singh and Yee (1994) for H = 1; Bertsekas and Tsitsiklis (1996), Proposition 6.1; "
        "the family that attains it for every H is derived here"
    ),
    statement=(
        r"T_\pi T^{H-1} V = T^H V \implies \|V^* - V^\pi\|_\infty \le "
        r"\frac{2\gamma^H}{1-\gamma}\,\|V - V^*\|_\infty"
    ),
    hypotheses=("finite MDP", r"$H \ge 1$", r"$\pi$ is any greedy policy, ties broken at will"),
    kind="inequality",
    sample=sample_lookahead,
    sides=lookahead_sides,
    control=Control(
        name="as if the whole plan were carried out",
        explanation=(
            r"The factor is $2\gamma^H/(1-\gamma^H)$, right for executing all $H$ planned actions "
            "but not for planning anew after the first."
        ),
        sides=_whole_plan,
    ),
    notes=(
        "Attained for every H and discount by a walk past an overvalued state that is within "
        "reach only of who waits: waiting costs twice the promise, and is repeated for ever."
    ),
    sharpness=TIGHT,
)


def fork(discount: float, good: float, bad: float) -> DiscountedMDP:
    """Return three states: from the first, two free actions lead to a good and a bad end."""
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = transitions[1, :, 1] = transitions[2, :, 2] = 1.0
    return DiscountedMDP(transitions, np.array([[0, 0], [good, good], [bad, bad]]), discount)


def sample_residual(tape: Tape, size: int) -> Lookahead:
    """Draw a fork judged by equal values half of the time, else any vector."""
    if tape.integer(0, 1):
        good, bad = tape.dyadic(2, -4, 4)
        model = fork(instances.discount(tape, low=1), max(good, bad), min(good, bad))
        return Lookahead(model, fractions(np.zeros(3)), 1)
    model = instances.mdp(tape, size, tape.integer(2, 3))
    return Lookahead(model, fractions(instances.values(tape, size)), 1)


def _residual(instance: Lookahead, size_of_residual: Fraction) -> tuple[Side, Side]:
    mdp, values, _ = instance
    attained = exact.worst_greedy_values(mdp, exact.action_values(mdp, values))
    discount = Fraction(mdp.discount)
    return (
        supremum(exact.optimal_values(mdp) - attained),
        discount / (1 - discount) * size_of_residual,
    )


def residual_sides(instance: Lookahead) -> tuple[Side, Side]:
    """Return the loss of the worst greedy policy and its bound by the span of the residual."""
    return _residual(
        instance, exact.span(exact.bellman(instance.mdp, instance.values) - instance.values)
    )


def _residual_norm(instance: Lookahead) -> tuple[Side, Side]:
    return _residual(
        instance, supremum(exact.bellman(instance.mdp, instance.values) - instance.values)
    )


RESIDUAL = Theorem(
    id="greedy/residual-loss",
    title="The loss of a greedy policy is bounded by the span of the Bellman residual",
    source="Williams and Baird (1993); Puterman (1994), section 6.6 (span form)",
    statement=(
        r"T_\pi V = TV \implies \|V^* - V^\pi\|_\infty \le "
        r"\frac{\gamma}{1-\gamma}\operatorname{sp}(TV - V)"
    ),
    hypotheses=("finite MDP", r"any $V \in \mathbb{R}^S$", r"$\pi$ is any greedy policy"),
    kind="inequality",
    sample=sample_residual,
    sides=residual_sides,
    control=Control(
        name="norm instead of span",
        explanation=(
            r"The span is replaced by the sup norm of the residual, half of Williams and "
            r"Baird's $2\gamma\|TV - V\|/(1-\gamma)$."
        ),
        sides=_residual_norm,
    ),
    notes="Attained at a fork whose ends look alike while their residuals are the extreme ones.",
    sharpness=TIGHT,
)


def sample_discounts(tape: Tape, size: int) -> TwoDiscounts:
    """Draw a small prize now against a large one for ever, or a random model."""
    if tape.integer(0, 1):
        # The prize g' / (1 - g') of the short-sighted tie is a float for these discounts.
        planning = tape.choice((0.0, 0.5))
        prize = planning / (1 - planning)
        model = fork(tape.integer(int(planning * 16), 15) / 16, 1.0, 0.0)
        return TwoDiscounts(model.replace(rewards=[[0, prize], [1, 1], [0, 0]]), planning)
    model = instances.mdp(tape, size, tape.integer(2, 3))
    return TwoDiscounts(model, tape.integer(0, round(model.discount * 16)) / 16)


def _discounts(instance: TwoDiscounts, factor: Fraction) -> tuple[Side, Side]:
    mdp, planning = instance
    judged = mdp.replace(discount=planning)
    believed = exact.action_values(judged, exact.optimal_values(judged))
    attained = exact.worst_greedy_values(mdp, believed)
    change = Fraction(mdp.discount) - Fraction(planning)
    return supremum(exact.optimal_values(mdp) - attained), factor * change


def discount_sides(instance: TwoDiscounts) -> tuple[Side, Side]:
    """Return the loss of planning with the smaller discount, and its bound."""
    short, full = 1 - Fraction(instance.planning), 1 - Fraction(instance.mdp.discount)
    return _discounts(instance, 1 / (short * full))


def _short_horizon_twice(instance: TwoDiscounts) -> tuple[Side, Side]:
    return _discounts(instance, 1 / (1 - Fraction(instance.planning)) ** 2)


DISCOUNT = Theorem(
    id="greedy/planning-discount",
    title="The loss of planning with a smaller discount",
    source="Petrik and Scherrer (2008); Jiang, Kulesza, Singh and Lewis (2015)",
    statement=(
        r"\|V^*_{\gamma} - V^{\pi'}_{\gamma}\|_\infty \le "
        r"\frac{\gamma - \gamma'}{(1-\gamma)(1-\gamma')}\qquad "
        r"\text{for every } \pi' \text{ optimal at } \gamma'"
    ),
    hypotheses=(r"rewards in $[0, 1]$", r"$0 \le \gamma' \le \gamma < 1$"),
    kind="inequality",
    sample=sample_discounts,
    sides=discount_sides,
    control=Control(
        name="short horizon twice",
        explanation=r"Both horizons are the short one, $1/(1-\gamma')$, as if loss stopped there.",
        sides=_short_horizon_twice,
    ),
    notes="Attained by a prize now that the short-sighted plan holds equal to a reward for ever.",
    sharpness=TIGHT,
)


THEOREMS = (LOOKAHEAD, RESIDUAL, DISCOUNT)
