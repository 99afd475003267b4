"""Gradients of inventory costs: along the demand trace, and by the score function.

Orders carry a noise of biweight density, for which all moments are rational; derivatives that
estimators are compared with come from dual numbers and from exact difference quotients.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.hdpo import Newsvendor, gradient_moments, hindsight_gradient
from rltheory.theory import dual
from rltheory.theory import game_instances as games
from rltheory.theory.dual import Dual
from rltheory.theory.exact import fractions, join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

HALF = Fraction(1, 2)


class Order(NamedTuple):
    """A newsvendor, an order (or the mean of one), and the spread of its noise."""

    problem: Newsvendor
    mean: Fraction
    spread: Fraction


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


def newsvendor(tape: Tape, points: int) -> Newsvendor:
    """Return a newsvendor with demand in quarters and costs in eighths."""
    demand = np.cumsum(tape.dyadic(points, 0.25, 4.0, 2))
    holding, shortage = tape.dyadic(2, 0.125, 4.0, 3)
    return Newsvendor(demand, tape.simplex(points), float(holding), float(shortage))


def sample_order(tape: Tape, size: int) -> Order:
    """Draw a newsvendor, an order around its demand, and a spread."""
    problem = newsvendor(tape, tape.integer(1, size))
    mean = Fraction(float(tape.dyadic((), 0.0, 4.0 * size, 3)))
    return Order(problem, mean, Fraction(2) ** tape.integer(-4, 3))


def sample_at_demand(tape: Tape, size: int) -> Order:
    """Draw an order that some demand equals, most of the time; the spread is unused."""
    problem, mean, _ = sample_order(tape, size)
    if tape.integer(0, 3):
        mean = Fraction(tape.choice([float(d) for d in problem.demand]))
    return Order(problem, mean, Fraction(1))


def optimum_sides(instance: Order) -> tuple[Side, Side]:
    """Return the expected costs of the quantile of the service level, and of another order."""
    best = Fraction(instance.problem.optimal_order())
    return instance.problem.expected_cost(best), instance.problem.expected_cost(instance.mean)


def _other_quantile(instance: Order) -> tuple[Side, Side]:
    problem = instance.problem
    turned = Newsvendor(
        problem.demand, problem.probabilities, problem.shortage, problem.holding
    ).optimal_order()
    return problem.expected_cost(Fraction(turned)), problem.expected_cost(instance.mean)


OPTIMUM = Theorem(
    id="hdpo/newsvendor-optimum",
    title="The newsvendor orders a quantile of demand",
    source="Arrow, Harris and Marschak (1951)",
    statement=(
        r"\mathbb{E}\,c(q^*, D) \le \mathbb{E}\,c(q, D),\qquad q^* = \min\Bigl\{d : F(d) \ge "
        r"\frac{p}{p+h}\Bigr\},\quad c(q,D) = h(q-D)^+ + p(D-q)^+"
    ),
    hypotheses=(r"discrete demand, $h, p > 0$; any real order $q$",),
    kind="inequality",
    sample=sample_at_demand,
    sides=optimum_sides,
    control=Control(
        name="the other quantile",
        explanation=r"The level is $h/(p+h)$.",
        sides=_other_quantile,
    ),
    sharpness=0.999,
)


def _cost_dual(instance: Order, uniform: bool) -> Dual:
    """Return the expected cost and its derivative by the mean of the order."""
    demand, chances, holding, shortage = instance.problem.exact()
    mean = Dual(instance.mean, Fraction(1))
    total = Dual(Fraction(0))
    for point, chance in zip(demand, chances, strict=True):
        turn = (point - mean) / instance.spread
        if turn.value <= -1:
            below = Dual(Fraction(0))
        elif turn.value >= 1:
            below = turn
        else:
            below = turn * _mass(turn, uniform) - _first_moment(turn, uniform)
        # The noise has mean zero: E(u - t)^+ - E(t - u)^+ = -t.
        above = below - turn
        total = total + (holding * above + shortage * below) * (chance * instance.spread)
    return total


def _mass(turn: Dual, uniform: bool) -> Dual:
    if uniform:
        return (turn + 1) * HALF
    square = turn * turn
    inner = (square * Fraction(1, 5) - Fraction(2, 3)) * square + 1
    return inner * turn * Fraction(15, 16) + HALF


def _first_moment(turn: Dual, uniform: bool) -> Dual:
    square = turn * turn
    if uniform:
        return (square - 1) * Fraction(1, 4)
    return (
        ((square * Fraction(1, 6) - HALF) * square + HALF) * square - Fraction(1, 6)
    ) * Fraction(15, 16)


def unbiased_sides(instance: Order) -> tuple[Side, Side]:
    """Return the means of the pathwise and the score gradient, and twice the derivative."""
    problem, mean, spread = instance
    found = gradient_moments(problem, mean, spread, noise="biweight", arithmetic="rational")
    slope = _cost_dual(instance, uniform=False).slope
    return join(found.pathwise_mean, found.score_mean), join(slope, slope)


def _uniform_noise(instance: Order) -> tuple[Side, Side]:
    # The density is constant inside its support: every score is zero.
    return Fraction(0), _cost_dual(instance, uniform=True).slope


UNBIASED = Theorem(
    id="hdpo/both-gradients-are-unbiased",
    title="Pathwise and score-function gradients have the derivative as their mean",
    source="Glasserman (1991); Alvo, Russo and Kanoria (2023) for the pathwise one",
    statement=(
        r"\mathbb{E}\,\partial_q c(\mu+su, D) = \mathbb{E}\Bigl[c(\mu+su,D)\,\frac{-f'(u)}{s\,"
        r"f(u)}\Bigr] = \frac{d}{d\mu}\,\mathbb{E}\,c(\mu+su,D)"
    ),
    hypotheses=(r"$u$ has the density $f(u) = \tfrac{15}{16}(1-u^2)^2$ on $[-1,1]$; discrete $D$",),
    kind="identity",
    sample=sample_order,
    sides=unbiased_sides,
    control=Control(
        name="uniform noise",
        explanation="The order is uniform: its support moves with the mean, and scores are zero.",
        sides=_uniform_noise,
    ),
    notes="Though demand has atoms: a continuous order meets none of them.",
)


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


def _variance(instance: Order, *, score: bool) -> tuple[Side, Side]:
    problem, mean, spread = instance
    found = gradient_moments(problem, mean, spread, noise="biweight", arithmetic="rational")
    costs = Fraction(problem.holding) + Fraction(problem.shortage)
    return (found.score_variance if score else found.pathwise_variance), costs**2 / 4


def variance_sides(instance: Order) -> tuple[Side, Side]:
    """Return the variance of one pathwise gradient and a quarter of the squared slopes' range."""
    return _variance(instance, score=False)


def sample_centred(tape: Tape, size: int) -> Order:
    """Draw an order around a single demand half of the time, else as `sample_order`."""
    instance = sample_order(tape, size)
    if tape.integer(0, 1):
        return instance._replace(mean=Fraction(float(instance.problem.demand[0])))
    return instance


BOUNDED = Theorem(
    id="hdpo/pathwise-variance-is-bounded",
    title="The variance of the pathwise gradient is bounded whatever the noise",
    source="Popoviciu (1935), applied",
    statement=r"\operatorname{Var}\,\partial_q c(\mu + su, D) \le \frac{(h+p)^2}{4}",
    hypotheses=(r"any spread $s > 0$ and mean; biweight noise, discrete demand",),
    kind="inequality",
    sample=sample_centred,
    sides=variance_sides,
    control=Control(
        name="the score function",
        explanation="The same is claimed of the score-function gradient without a baseline.",
        sides=lambda instance: _variance(instance, score=True),
    ),
    sharpness=0.999,
    notes=r"Met where demand is certain and the order exceeds it half of the time.",
)


def _wide(tape: Tape, size: int) -> Order:
    return Order(Newsvendor(np.zeros(1), np.ones(1), 1.0, 1.0), Fraction(0), Fraction(1))


def _doubled(instance: Order, baseline: str) -> tuple[Side, Side]:
    problem, mean, spread = instance
    found = gradient_moments(
        problem, mean, spread, noise="biweight", arithmetic="rational",
        baseline="optimal" if baseline == "optimal" else 0,
    )  # fmt: skip
    return 2 * found.score_variance, found.pathwise_variance


def wide_sides(instance: Order) -> tuple[Side, Side]:
    """Return twice the variance of the score gradient with its best baseline, and the pathwise."""
    return _doubled(instance, "optimal")


WIDE = Theorem(
    id="hdpo/score-function-can-win",
    title="With its best baseline the score function can have less than half the variance",
    source="Derived here, against the rule that pathwise gradients vary less",
    statement=(
        r"2\min_b\operatorname{Var}\Bigl[(c(su,0)-b)\frac{-f'(u)}{s\,f(u)}\Bigr] < "
        r"\operatorname{Var}\,\partial_q c(su,0)"
    ),
    hypotheses=(r"demand $0$, $h = p = 1$, mean $0$ (the optimum), biweight noise of any spread",),
    kind="counterexample",
    sample=_wide,
    sides=wide_sides,
    control=Control(
        name="no baseline",
        explanation="The cost is not compared with anything.",
        sides=lambda instance: _doubled(instance, "none"),
    ),
    sharpness=0.74,
    notes=(
        "The variances are 3/8 and 1; without a baseline the score function has 6. What decides is "
        "how far demand spreads compared with the order's own noise."
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


THEOREMS = (OPTIMUM, UNBIASED, ATOMS, GRID, BOUNDED, WIDE, HINDSIGHT)
