"""Constrained MDPs: no duality gap, few random choices, multipliers that miss the budget.

Optima and duals are found by different methods (`rltheory.theory.constrained_exact`), exactly.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.tabular.policies import one_hot
from rltheory.theory import exact, instances
from rltheory.theory.constrained_exact import (
    Limited,
    Several,
    Table,
    as_several,
    dual_minimum,
    optimum,
    response,
    sample_limited,
    table,
)
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def gap_sides(instance: Limited) -> tuple[Side, Side]:
    """Return the primal optimum, by linear programming, and the least dual value."""
    found = table(instance.mdp, instance.cost)
    return optimum(as_several(instance))[0], dual_minimum(found, instance.budget)[0]


def _within(found: Table, budget: Fraction) -> Fraction:
    """Return the best value of a deterministic policy within the budget."""
    return Fraction(found.values[found.costs <= budget].max())


def _deterministic(instance: Limited) -> tuple[Side, Side]:
    found = table(instance.mdp, instance.cost)
    return _within(found, instance.budget), dual_minimum(found, instance.budget)[0]


ZERO_GAP = Theorem(
    id="constrained/zero-duality-gap",
    title="Constrained MDPs have no duality gap once policies may randomise",
    source=(
        "Altman (1999), chapter 3; Paternain, Chamon, Calvo-Fullana and Ribeiro (2019), Theorem 1"
    ),
    statement=(
        r"\max\{V_r^\pi(\rho) : V_c^\pi(\rho) \le b\} = \min_{\lambda\ge0}\max_\pi\ "
        r"V_r^\pi(\rho) - \lambda\,(V_c^\pi(\rho) - b)"
    ),
    hypotheses=(
        "some policy costs less than the budget",
        "left: a simplex method over occupancies; right: lines of all deterministic policies",
    ),
    kind="identity",
    sample=sample_limited,
    sides=gap_sides,
    control=Control(
        name="deterministic policies",
        explanation="The maximum on the left is taken over deterministic policies.",
        sides=_deterministic,
    ),
    notes=(
        "In a single state with rewards and costs 0 and 1 and a budget b below 1 the optimum is b, "
        "that of deterministic policies 0."
    ),
    sizes=(2, 3),
    cost=2.0,
)


def sample_several(tape: Tape, size: int) -> Several:
    """Draw one or two costs and budgets a little above what some deterministic policy costs."""
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, high=12))
    count = tape.integer(1, 2)
    costs = tape.dyadic((count, size, model.actions))
    anchor = np.array([tape.integer(0, model.actions - 1) for _ in range(size)])
    flow = exact.occupancy(model, one_hot(anchor, model.actions))
    spent = (flow * fractions(costs)).sum(axis=(1, 2)) / (1 - Fraction(model.discount))
    return Several(model, costs, anchor, spent + fractions(tape.dyadic(count)) / 4)


def _randomised(instance: Several, allowed: int) -> tuple[Side, Side]:
    flow = optimum(instance)[1]
    return int(((flow > 0).sum(axis=1) > 1).sum()), allowed


def randomised_sides(instance: Several) -> tuple[Side, Side]:
    """Return in how many states a basic optimum randomises, and the number of constraints."""
    return _randomised(instance, len(instance.costs))


FEW_RANDOM = Theorem(
    id="constrained/few-randomised-states",
    title="Some optimum randomises in no more states than there are constraints",
    source="Altman (1999), Theorem 3.8; Ross (1989)",
    statement=(
        r"\#\{s : \pi(\cdot|s)\ \text{is not deterministic}\} \le m\quad\text{at a basic optimum "
        r"of}\ \max_{x}\,\langle x, r\rangle,\ \langle x, c_i\rangle \le (1-\gamma)\,b_i,\ "
        r"i = 1,\dots,m"
    ),
    hypotheses=(r"$x$ over the occupancies of the MDP; some policy meets the $m$ budgets",),
    kind="inequality",
    sample=sample_several,
    sides=randomised_sides,
    control=Control(
        name="one state fewer",
        explanation=r"The number allowed is $m - 1$.",
        sides=lambda instance: _randomised(instance, len(instance.costs) - 1),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    cost=2.0,
)


def _jump(
    instance: Limited, claim: Callable[[Table, Fraction], tuple[Side, Side]]
) -> tuple[Side, Side]:
    found = table(instance.mdp, instance.cost)
    _, price = dual_minimum(found, instance.budget)
    return claim(found, price)


def jump_sides(instance: Limited) -> tuple[Side, Side]:
    """Return (cost, lower end) for a larger multiplier than the best, (upper end, cost) else."""

    def claim(found: Table, price: Fraction) -> tuple[Side, Side]:
        heights = found.values - price * found.costs
        tied = found.costs[heights == heights.max()]
        own = instance.number * price
        spent = found.values - own * found.costs
        answers = found.costs[spent == spent.max()]
        if own > price:
            return Fraction(answers.max()), Fraction(tied.min())
        return Fraction(tied.max()), Fraction(answers.min())

    return _jump(instance, claim)


def _always_spent(instance: Limited) -> tuple[Side, Side]:
    def claim(found: Table, price: Fraction) -> tuple[Side, Side]:
        return instance.budget, Fraction(found.costs[response(found, instance.number * price)])

    return _jump(instance, claim)


def binding(instance: Limited) -> bool:
    """Whether the best multiplier is positive, another one was drawn, and no policy hits b."""
    found = table(instance.mdp, instance.cost)
    _, price = dual_minimum(found, instance.budget)
    return bool(price > 0 and instance.number != 1 and instance.budget not in found.costs)


def sample_binding(tape: Tape, size: int) -> Limited:
    """Draw an instance whose rewards are its costs in part, so that most budgets bind."""
    drawn = sample_limited(tape, size)
    near = Fraction(1) + Fraction(tape.choice((-1, 1)), 2 ** tape.integer(1, 8))
    return drawn._replace(number=near)


COSTS_JUMP = Theorem(
    id="constrained/costs-jump",
    title="No fixed penalty makes a deterministic best response spend the budget",
    source="Altman (1999), section 3.3 for the Lagrangian; the jump in this form derived here",
    statement=(
        r"\lambda > \lambda^* \implies V_c^{\pi_\lambda} \le \min_{\Pi^*} V_c < b,\qquad "
        r"\lambda < \lambda^* \implies b < \max_{\Pi^*} V_c \le V_c^{\pi_\lambda},\qquad "
        r"\Pi^* = \arg\max_\pi\ V_r^\pi - \lambda^* V_c^\pi"
    ),
    hypotheses=(
        r"$\pi_\lambda$ any deterministic maximiser of $V_r - \lambda V_c$; $\lambda^* > 0$ "
        "minimises the dual",
        "no deterministic policy costs exactly the budget",
    ),
    kind="inequality",
    sample=sample_binding,
    sides=jump_sides,
    admissible=binding,
    control=Control(
        name="the budget is spent",
        explanation="Whatever the multiplier, the best response is claimed to spend the budget.",
        sides=_always_spent,
    ),
    notes=(
        "So a reward with a fixed penalty is never the constrained problem, however well the "
        "penalty is tuned; at the best multiplier itself only a mixture of the tied policies is "
        "optimal and within the budget."
    ),
    sizes=(2, 3),
    sharpness=0.999,
    cost=2.0,
)


class Budgets(NamedTuple):
    """An instance with another budget, and the share of its own in the mean of the two."""

    limited: Limited
    other: Fraction
    share: Fraction


def sample_budgets(tape: Tape, size: int) -> Budgets:
    """Draw a second budget above the least cost."""
    drawn = sample_limited(tape, size)
    costs = table(drawn.mdp, drawn.cost).costs
    least, most = Fraction(costs.min()), Fraction(costs.max())
    other = least + Fraction(tape.integer(1, 16), 16) * (most - least + Fraction(1, 16))
    return Budgets(drawn, other, Fraction(tape.integer(1, 15), 16))


def _perturbed(instance: Budgets, value: Callable[[Limited], Fraction]) -> tuple[Side, Side]:
    first, other, share = instance
    second = first._replace(budget=other)
    between = first._replace(budget=share * first.budget + (1 - share) * other)
    return share * value(first) + (1 - share) * value(second), value(between)


def concave_sides(instance: Budgets) -> tuple[Side, Side]:
    """Return the mean of the optima at two budgets, and the optimum at the mean budget."""
    return _perturbed(instance, lambda limited: optimum(as_several(limited))[0])


def _stepwise(instance: Budgets) -> tuple[Side, Side]:
    found = table(instance.limited.mdp, instance.limited.cost)
    return _perturbed(instance, lambda limited: _within(found, limited.budget))


CONCAVE = Theorem(
    id="constrained/concave-in-the-budget",
    title="The best value is concave in the budget, which is why there is no gap",
    source="Paternain, Chamon, Calvo-Fullana and Ribeiro (2019), Theorem 1 and its proof",
    statement=(
        r"w\,V^*(b) + (1-w)\,V^*(b') \le V^*\bigl(w b + (1-w) b'\bigr),\qquad "
        r"V^*(b) = \max\{V_r^\pi : V_c^\pi \le b\}"
    ),
    hypotheses=(r"all policies, $0 < w < 1$, budgets above the least cost",),
    kind="inequality",
    sample=sample_budgets,
    sides=concave_sides,
    control=Control(
        name="deterministic policies",
        explanation="The maximum is taken over deterministic policies.",
        sides=_stepwise,
    ),
    notes="Linear between the budgets at which the optimum is deterministic.",
    sizes=(2, 3),
    sharpness=0.999,
    cost=3.0,
)


THEOREMS = (ZERO_GAP, FEW_RANDOM, COSTS_JUMP, CONCAVE)
