"""Strong duality of optimal transport: a rational linear program, one price, and the worst row.

The primal is solved by the simplex method in Fractions; the dual is a concave piecewise linear
function of the price, maximised over its breakpoints; the row is built from the price alone.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.rational_lp import minimise
from rltheory.theory.records.robust_duality import sample_row
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Transport(NamedTuple):
    """Values (S,), a nominal row (S,), a radius and the cost (S, S) of moving mass."""

    values: FractionArray
    nominal: FractionArray
    radius: Fraction
    cost: FractionArray


def sample_transport(tape: Tape, size: int) -> Transport:
    """Draw values, a row, a radius and costs, zero on the diagonal and positive off it."""
    row = sample_row(tape, size)
    cost = fractions(tape.dyadic((size, size), 1 / 16, 1.0, bits=4))
    cost[np.arange(size), np.arange(size)] = Fraction(0)
    return Transport(row.values, row.nominal, row.radius / 4, cost)


def transport_program(instance: Transport) -> Fraction:
    """Return min sum_ij x_ij v_j over plans with row sums p and cost <= radius."""
    values, nominal, radius, cost = instance
    size = len(values)
    system = np.block(
        [[np.kron(np.eye(size), np.ones(size)), np.zeros((size, 1))], [cost.ravel(), np.ones(1)]]
    )
    costs = exact.join(np.tile(values, size), Fraction(0))
    basis = [*(i * size + i for i in range(size)), size * size]
    return minimise(costs, _exactly(system), exact.join(nominal, radius), basis)[0]


def _exactly(system: FractionArray) -> FractionArray:
    flat = fractions([Fraction(x) for x in system.ravel()])
    return flat.reshape(system.shape)


def best_price(instance: Transport) -> tuple[Fraction, Fraction]:
    """Return max over prices of sum_i p_i min_j (v_j + price c_ij) - price * radius, and a price.

    Concave and piecewise linear: the maximum is at zero or where two destinations are as good.
    """
    values, nominal, radius, cost = instance
    size = len(values)
    crossings = {
        (values[k] - values[j]) / (cost[i, j] - cost[i, k])
        for i in range(size)
        for j in range(size)
        for k in range(j)
        if cost[i, j] != cost[i, k]
    }
    prices = [Fraction(0), *(price for price in crossings if price > 0)]
    bounds = [nominal @ (values + price * cost).min(axis=1) - price * radius for price in prices]
    best = max(range(len(prices)), key=bounds.__getitem__)
    return Fraction(bounds[best]), prices[best]


def transport_dual(instance: Transport) -> Fraction:
    """Return the dual maximum."""
    return best_price(instance)[0]


def transported(instance: Transport) -> FractionArray:
    """Return the row (S,) that sends every state to its best destinations at the best price.

    Where several are as good the mass is split between the nearest and the farthest, in the same
    proportion for every state, so that the radius is spent; at price zero the nearest is enough.
    """
    values, nominal, radius, cost = instance
    price = best_price(instance)[1]
    scores = values + price * cost
    best = [np.flatnonzero(row == row.min()) for row in scores]
    near, far = (
        np.array([ends[end(cost[i, ends])] for i, ends in enumerate(best)])
        for end in (np.argmin, np.argmax)
    )
    states = np.arange(len(values))
    spent, most = nominal @ cost[states, near], nominal @ cost[states, far]
    share = min((radius - spent) / (most - spent), Fraction(1)) if price and most > spent else 0
    row = 0 * nominal
    for i in states:
        row[near[i]] += (1 - share) * nominal[i]
        row[far[i]] += share * nominal[i]
    return np.asarray(row)


def transport_sides(instance: Transport) -> tuple[Side, Side]:
    """Return (program's minimum, value of the transported row) and the dual maximum."""
    dual = transport_dual(instance)
    return (
        exact.join(transport_program(instance), transported(instance) @ instance.values),
        exact.join(dual, dual),
    )


def _lipschitz(instance: Transport) -> tuple[Side, Side]:
    values, nominal, radius, cost = instance
    size = len(values)
    steepest = max(
        (values[i] - values[j]) / cost[i, j] for i in range(size) for j in range(size) if i != j
    )
    return transport_program(instance), nominal @ values - radius * max(steepest, Fraction(0))


WASSERSTEIN = Theorem(
    id="robust/duality-wasserstein",
    title="Wasserstein: every state pays for the best destination at one price",
    source="Blanchet and Murthy (2019), Theorem 1; Gao and Kleywegt (2023), Theorem 1",
    statement=(
        r"\min_{W_c(p, q) \le \rho} q \cdot v = \max_{\lambda \ge 0}\ -\lambda\rho + "
        r"\sum_i p_i \min_j \bigl(v_j + \lambda c_{ij}\bigr)"
    ),
    hypotheses=(r"costs $c \ge 0$ with $c_{ii} = 0$, not necessarily a metric", r"$\rho \ge 0$"),
    kind="identity",
    sample=sample_transport,
    sides=transport_sides,
    control=Control(
        name="Lipschitz penalty",
        explanation=(
            "The worst case is the nominal one minus the radius times the Lipschitz constant, "
            "which holds only while the steepest state has mass left to move."
        ),
        sides=_lipschitz,
    ),
    sizes=(2, 3, 4),
    cost=2.0,
    notes=(
        "The maximum is attained at a price where some state changes its destination; the row that "
        "sends every state to its best destinations at that price, and spends the radius, is "
        "compared as well."
    ),
)


THEOREMS = (WASSERSTEIN,)
