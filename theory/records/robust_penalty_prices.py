"""Budgets and prices of the total-variation adversary of a linear MDP, over a horizon, exactly.

With a price the adversary of factor i pays penalty_i per unit of mass moved; with a budget it may
move radius_i. Every side is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.theory import exact, linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def sample_budget(tape: Tape, size: int) -> RobustLinearMDP:
    """Draw a robust linear MDP of 2 actions, 2 or 3 factors and steps, radii k / 16."""
    return linear_instances.robust_mdp(tape, size, 2, tape.integer(2, 3), tape.integer(2, 3))


def _priced(measures: FractionArray, values: FractionArray, prices: FractionArray) -> FractionArray:
    """Return the worst cases (d,) for factors that pay: values capped a price above the least."""
    caps = values.min() + prices
    return np.array(
        [row @ np.minimum(values, cap) for row, cap in zip(measures, caps, strict=True)],
        dtype=object,
    )


def _best_prices(model: Exact, h: int, values: FractionArray, common: bool) -> FractionArray:
    """Return what is left of the best prices, the budget's worth paid back: the values (d,).

    common: one price for all factors, the one with the largest sum.
    """
    levels = [v - values.min() for v in values]
    worth = np.array(
        [_priced(model.measures[h], values, np.full(len(model.radii[h]), x)) - x * model.radii[h]
         for x in levels],
        dtype=object,
    )  # fmt: skip
    if common:
        return np.asarray(worth[worth.sum(axis=1).argmax()])
    return np.asarray(worth.max(axis=0))


def _bought(robust: RobustLinearMDP, common: bool) -> tuple[Side, Side]:
    model = linear_instances.exact(robust)
    values, found = fractions(np.zeros(robust.nominal.states)), []
    for h in reversed(range(robust.nominal.horizon)):
        q = model.features @ (model.weights[h] + _best_prices(model, h, values, common))
        values = np.asarray(q.max(axis=1))
        found.append(values)
    held = linear_instances.robust(model).values[:-1]
    return held.ravel(), np.concatenate(found[::-1])


def bought_sides(robust: RobustLinearMDP) -> tuple[Side, Side]:
    """Return the values under budgets, and those at the best prices, what budgets cost repaid."""
    return _bought(robust, common=False)


BUDGET = Theorem(
    id="robust-linear/budget-is-a-price",
    title="A budget of total variation is a price for each factor and step, the same for all pairs",
    source=(
        "Lagrangian duality of the inner problem, Iyengar (2005), Lemma 4.3; the form over a "
        "horizon, between the sets of Liu and Xu (2024) and of Tang et al. (2024), is derived here"
    ),
    statement=(
        r"V^{\rho} = \max_{\lambda \ge 0} V^{\lambda}[\theta - \lambda\rho],\qquad \nu^{\rho}_{i} "
        r"= \max_{\lambda_i \ge 0}\ p_i[\min(V, \min V + \lambda_i)] - \lambda_i\rho_i"
    ),
    hypotheses=(
        r"features on the simplex; $V^\rho$ the optimum under budgets $\mathrm{TV}(q_{h,i}, "
        r"p_{h,i}) \le \rho_{h,i}$",
        r"$V^\lambda[\theta']$ the optimum at prices $\lambda_{h,i}$ with reward weights "
        r"$\theta'$; values of all steps and states are compared",
    ),
    kind="identity",
    sample=sample_budget,
    sides=bought_sides,
    control=Control(
        name="one price for all factors",
        explanation="All factors of a step have the same price, the best for their sum.",
        sides=lambda robust: _bought(robust, common=True),
    ),
    sizes=(2, 3, 4),
    notes=(
        "The left side strips mass from rows and knows no prices. Prices belong to steps and "
        "factors, so that a penalised algorithm can do what a constrained one does; a single "
        "price for all, as experiments have it, cannot."
    ),
    cost=1.5,
)


class Prices(NamedTuple):
    """A linear MDP, exact, and two prices, the lower first."""

    model: Exact
    low: Fraction
    high: Fraction


def held_down(tape: Tape, size: int) -> Exact:
    """Return a model in which every price up to 1/4 is paid at every step.

    All states but the last pay at least 1/2 more per step, and only the adversary leads there.
    """
    horizon = 3
    features = fractions(np.zeros((size, 1, 2)))
    features[:-1, 0, 0] = features[-1, 0, 1] = Fraction(1)
    measures = fractions(np.zeros((horizon, 2, size)))
    measures[:, :, 0] = Fraction(1)
    weights = fractions(np.zeros((horizon, 2)))
    weights[:, 0] = Fraction(tape.integer(8, 16), 16)
    return Exact(features, measures, weights, fractions(np.zeros((horizon, 2))))


def sample_prices(tape: Tape, size: int) -> Prices:
    """Draw two prices, for any model or for one in which both are paid at every step."""
    low, high = sorted(Fraction(tape.integer(0, 32), 32) for _ in range(2))
    if tape.integer(0, 1):
        return Prices(held_down(tape, size), low / 4, high / 4)
    mdp = linear_instances.linear_mdp(tape, size, 2, tape.integer(2, 3), tape.integer(2, 3))
    return Prices(linear_instances.exact(mdp), low, high)


def priced_values(model: Exact, price: Fraction) -> FractionArray:
    """Return the optimal values (H, S) at one price for all factors and steps."""
    values, found = fractions(np.zeros(model.measures.shape[-1])), []
    prices = np.full(model.measures.shape[1], price, dtype=object)
    for measures, weights in zip(model.measures[::-1], model.weights[::-1], strict=True):
        q = model.features @ (weights + _priced(measures, values, prices))
        values = np.asarray(q.max(axis=1))
        found.append(values)
    return np.array(found[::-1], dtype=object)


def _ordered(
    instance: Prices, low: FractionArray, high: FractionArray, short: int
) -> tuple[Side, Side]:
    model, cheap, dear = instance
    free = Exact(*model[:3], 0 * model.radii)
    nominal = linear_instances.robust(free).values[:-1]
    floor = priced_values(model, Fraction(0))
    horizon = len(nominal)
    steps = np.array([[Fraction(max(horizon - short - h, 0))] for h in range(horizon)])
    rise = np.broadcast_to(steps * (dear - cheap), nominal.shape)
    return exact.join(floor, low, high, high - low), exact.join(low, high, nominal, rise)


def ordered_sides(instance: Prices) -> tuple[Side, Side]:
    """Return (price 0, low, high, high - low) and (low, high, nominal, (H - 1 - h) difference)."""
    low, high = (priced_values(instance.model, x) for x in (instance.low, instance.high))
    return _ordered(instance, low, high, 1)


def _as_budgets(instance: Prices) -> tuple[Side, Side]:
    low, high = (
        linear_instances.robust(instance.model._replace(radii=0 * instance.model.radii + x))
        for x in (instance.low, instance.high)
    )
    return _ordered(instance, low.values[:-1], high.values[:-1], 1)


ORDER = Theorem(
    id="robust-linear/penalised-order",
    title="Values rise with the adversary's price, from the worst to the nominal, at most by steps",
    source="Derived here; Tang et al. (2024) for penalised d-rectangular sets",
    statement=(
        r"V^{0}_h \le V^{\lambda}_h \le V^{\lambda'}_h \le V^{\infty}_h,\qquad V^{\lambda'}_h - "
        r"V^{\lambda}_h \le (H-1-h)(\lambda'-\lambda)\qquad (\lambda \le \lambda',\ h = 0, \dots, "
        r"H-1)"
    ),
    hypotheses=(
        r"features on the simplex; the adversary pays $\lambda\,\mathrm{TV}$ for every factor and "
        "step",
        r"$V^0$: the least next value is reached for nothing; $V^\infty$ the nominal optimum",
    ),
    kind="inequality",
    sample=sample_prices,
    sides=ordered_sides,
    control=Control(
        name="prices read as budgets",
        explanation="The penalty bounds the mass moved instead of being paid for it.",
        sides=_as_budgets,
    ),
    sizes=(2, 3, 4),
    notes=(
        r"$V^\infty$ is reached once $\lambda$ is the range of the values. The last step has no "
        "adversary to speak of. Both ends and the slope are attained, the slope where all mass is "
        "nominally far above the least value, so that every move is bought, at every step."
    ),
    sharpness=0.999,
    cost=1.5,
)


THEOREMS = (BUDGET, ORDER)
