"""Inventories in whole units: atoms of demand, orders on a grid, several periods.

What gradient estimators give is compared with difference quotients of exact expected costs, and
with dual numbers.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.hdpo import Newsvendor, hindsight_gradient
from rltheory.theory import dual
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions, join
from rltheory.theory.records.zoo_hdpo import Order, newsvendor, sample_at_demand
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Grid(NamedTuple):
    """A newsvendor, orders (K,), positive weights (K,) of choosing them, a direction (K,)."""

    problem: Newsvendor
    orders: FractionArray
    weights: FractionArray
    direction: FractionArray


class Periods(NamedTuple):
    """Levels (T,), demand points and chances (n,), costs, and whether sales are lost."""

    levels: FractionArray
    demand: FractionArray
    chances: FractionArray
    holding: Fraction
    shortage: Fraction
    price: Fraction
    lost_sales: bool


def atom_sides(instance: Order) -> tuple[Side, Side]:
    """Return difference quotients from the left and right, and what the pathwise mean gives."""
    return _atoms(instance, Fraction(1))


def _atoms(instance: Order, counted: Fraction) -> tuple[Side, Side]:
    problem, order, _ = instance
    step = Fraction(1, 64)
    here = problem.expected_cost(order)
    before = (here - problem.expected_cost(order - step)) / step
    after = (problem.expected_cost(order + step) - here) / step
    demand, chances, holding, shortage = problem.exact()
    atom = chances[demand == order].sum() * counted
    middle = problem.pathwise_derivative(order)
    return join(before, after), join(middle - shortage * atom, middle + holding * atom)


ATOMS = Theorem(
    id="hdpo/atoms-of-demand",
    title="At an atom of demand the pathwise gradient is neither one-sided derivative",
    source="Derived here",
    statement=(
        r"\partial_- C(q) = G(q) - p\,\mathbb{P}(D=q),\qquad \partial_+ C(q) = G(q) + h\,"
        r"\mathbb{P}(D=q),\qquad G(q) = h\,\mathbb{P}(D<q) - p\,\mathbb{P}(D>q)"
    ),
    hypotheses=(r"$C(q) = \mathbb{E}\,c(q,D)$; differentiation gives 0 where $q = D$",),
    kind="identity",
    sample=sample_at_demand,
    sides=atom_sides,
    control=Control(
        name="no atoms",
        explanation="The derivative is claimed to be the pathwise mean at every order.",
        sides=lambda instance: _atoms(instance, Fraction(0)),
    ),
    notes="A gradient method on whole orders and whole demands stands on such points all the time.",
)


def sample_grid(tape: Tape, size: int) -> Grid:
    """Draw a newsvendor and a softmax policy over whole orders at a rational point."""
    problem = newsvendor(tape, tape.integer(1, size))
    count = size + 1
    weights = fractions(tape.dyadic(count, 0.125, 4.0, 3))
    direction = fractions(tape.dyadic(count, -1.0, 1.0, 3))
    return Grid(problem, to_fractions(np.arange(count) * 2), weights, direction)


def _grid(instance: Grid, *, through_path: bool) -> tuple[Side, Side]:
    problem, orders, weights, direction = instance
    costs = np.array([problem.expected_cost(q) for q in orders], dtype=object)
    # The logarithms of the weights move along the direction.
    moving = dual.duals(weights, weights * direction)
    slope = ((moving * costs).sum() / moving.sum()).slope
    policy = weights / weights.sum()
    if through_path:
        # What was ordered is a whole number and does not move with the parameters.
        still = np.array([problem.pathwise_derivative(q) * 0 for q in orders], dtype=object)
        return Fraction((policy * still).sum()), slope
    scores = direction - policy @ direction
    return Fraction((policy * costs * scores).sum()), slope


def grid_sides(instance: Grid) -> tuple[Side, Side]:
    """Return the mean of the score gradient and the derivative, along the direction."""
    return _grid(instance, through_path=False)


GRID = Theorem(
    id="hdpo/whole-orders-need-scores",
    title="For orders on a grid the score function is unbiased, the path says nothing",
    source="Classical (likelihood ratios); the limitation of hindsight gradients is derived here",
    statement=(
        r"\mathbb{E}\bigl[c(q,D)\,\partial_v\log\pi_\theta(q)\bigr] = \partial_v \sum_q "
        r"\pi_\theta(q)\,\mathbb{E}\,c(q,D)"
    ),
    hypotheses=(r"$\pi_\theta$ a softmax over a finite set of orders, any direction $v$",),
    kind="identity",
    sample=sample_grid,
    sides=grid_sides,
    control=Control(
        name="through the path",
        explanation="The cost is differentiated along the path, where a drawn order is constant.",
        sides=lambda instance: _grid(instance, through_path=True),
    ),
)


def sample_periods(tape: Tape, size: int) -> Periods:
    """Draw levels off the lattice of whole demands, each by another fraction: no kink is met."""
    fractional = [Fraction(2 * t + 1, 16) for t in range(size)]
    levels = np.array([tape.integer(0, 5) + part for part in fractional], dtype=object)
    points = tape.integer(1, 3)
    demand = to_fractions(np.cumsum([tape.integer(0, 2), *[tape.integer(1, 2)] * (points - 1)]))
    holding, shortage = (Fraction(tape.integer(1, 16), 8) for _ in range(2))
    price = Fraction(tape.integer(0, 8), 8)
    chances = fractions(tape.simplex(points))
    lost_sales = bool(tape.integer(0, 1))
    return Periods(levels, demand, chances, holding, shortage, price, lost_sales)


def expected_total(instance: Periods, levels: FractionArray) -> Fraction:
    """Return the expected total cost, by the law of the stock from period to period."""
    _, demand, chances, holding, shortage, price, lost_sales = instance
    law: dict[Fraction, Fraction] = {Fraction(0): Fraction(1)}
    total = Fraction(0)
    for level in levels:
        following: dict[Fraction, Fraction] = defaultdict(Fraction)
        for stock, weight in law.items():
            after = max(level, stock)
            total += weight * price * (after - stock)
            for units, chance in zip(demand, chances, strict=True):
                left = after - units
                total += weight * chance * max(holding * left, -shortage * left)
                following[max(left, Fraction(0)) if lost_sales else left] += weight * chance
        law = following
    return total


def _hindsight(instance: Periods, *, through_stock: bool) -> tuple[Side, Side]:
    levels, demand, chances, holding, shortage, price, lost_sales = instance
    periods = len(levels)
    mean = to_fractions(np.zeros(periods))
    for trace in product(range(len(demand)), repeat=periods):
        weight = np.prod(chances[list(trace)])
        units = demand[list(trace)]
        settings = {"holding": holding, "shortage": shortage, "price": price}
        if through_stock:
            _, gradient = hindsight_gradient(levels, units, **settings, lost_sales=lost_sales)
        else:
            gradient = _period_by_period(levels, units, instance)
        mean = mean + weight * gradient
    step = Fraction(1, 64)
    slopes = [
        (expected_total(instance, levels + step * games.pure(t, periods))
         - expected_total(instance, levels - step * games.pure(t, periods))) / (2 * step)
        for t in range(periods)
    ]  # fmt: skip
    return mean, np.array(slopes, dtype=object)


def _period_by_period(
    levels: FractionArray, units: FractionArray, instance: Periods
) -> FractionArray:
    """Return each period's own cost differentiated by its own level, the stock held fixed."""
    stock, gradient = Fraction(0), to_fractions(np.zeros(len(levels)))
    for t, level in enumerate(levels):
        after = max(level, stock)
        left = after - units[t]
        if level > stock:
            slope = instance.holding if left > 0 else -instance.shortage
            gradient[t] = instance.price + slope
        stock = max(left, Fraction(0)) if instance.lost_sales else left
    return gradient


def hindsight_sides(instance: Periods) -> tuple[Side, Side]:
    """Return the mean hindsight gradient over all traces, and difference quotients, (T,)."""
    return _hindsight(instance, through_stock=True)


HINDSIGHT = Theorem(
    id="hdpo/hindsight-gradient",
    title="Back-propagation along demand traces differentiates the expected cost",
    source="Alvo, Russo and Kanoria (2023)",
    statement=(
        r"\mathbb{E}_D\,\nabla_S \sum_t c_t(S, D) = \nabla_S\,\mathbb{E}_D\sum_t c_t(S, D),\qquad "
        r"y_t = \max(S_t, x_t),\quad x_{t+1} = y_t - D_t \text{ or } (y_t - D_t)^+"
    ),
    hypotheses=(
        "order-up-to levels, a price per unit ordered, costs of holding and shortage",
        "independent demands that no decision influences; no level meets a kink",
    ),
    kind="identity",
    sample=sample_periods,
    sides=hindsight_sides,
    control=Control(
        name="period by period",
        explanation="Every period's cost is differentiated by its own level, the stock held fixed.",
        sides=lambda instance: _hindsight(instance, through_stock=False),
    ),
    sizes=(2, 3),
    cost=4.0,
    notes="The right side comes from the law of the stock, not from traces.",
)


THEOREMS = (ATOMS, GRID, HINDSIGHT)
