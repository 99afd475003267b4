"""Newsvendors and two ways to differentiate their cost: through the path, or through the score.

The pathwise gradient differentiates the cost along a demand trace, in hindsight; the score function
multiplies the cost by the derivative of a log-density of the order. Means and variances of both are
finite sums of partial moments, rational ones for a biweight order noise. Source: Alvo, Russo and
Kanoria (2023), arXiv 2306.11246, for hindsight gradients; Glasserman (1991) for pathwise ones.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_range,
    read_only,
)
from rltheory.analysis.rational import to_fractions

Noise = Literal["normal", "biweight"]
Number = Any
"""A float, or a Fraction in exact arithmetic."""

_BIWEIGHT = {
    # Densities f = 15/16 (1 - u^2)^2, -f' and f'^2 / f on [-1, 1], by powers of u.
    "density": (Fraction(15, 16), 0, Fraction(-15, 8), 0, Fraction(15, 16)),
    "slope": (0, Fraction(15, 4), 0, Fraction(-15, 4)),
    "information": (0, 0, Fraction(15)),
}
_SHIFT = {"density": 0, "slope": 1, "information": 2}


@dataclass(frozen=True, eq=False)
class Newsvendor:
    """One order against a random demand: cost holding (q - D)^+ + shortage (D - q)^+.

    demand: (n,) points, increasing; probabilities: (n,); holding, shortage: cost per unit left over
    and per unit short, both positive. Raises ValueError naming the field that does not fit.
    """

    demand: FloatArray
    probabilities: FloatArray
    holding: float
    shortage: float

    def __post_init__(self) -> None:
        demand = as_float_array(self.demand, "demand", (None,))
        check_finite(demand, "demand")
        if not demand.size or np.any(np.diff(demand) <= 0):
            raise ValueError("demand is empty or does not increase; expected increasing points")
        probabilities = as_float_array(self.probabilities, "probabilities", demand.shape)
        check_distributions(probabilities, "probabilities")
        for name in ("holding", "shortage"):
            value = check_range(getattr(self, name), name, 0.0, 1e9)
            if value == 0:
                raise ValueError(f"{name} is 0; expected a positive cost per unit")
        object.__setattr__(self, "demand", read_only(demand))
        object.__setattr__(self, "probabilities", read_only(probabilities))

    @property
    def service_level(self) -> float:
        """The chance of meeting demand at the optimum, shortage / (shortage + holding)."""
        return self.shortage / (self.shortage + self.holding)

    def exact(self) -> tuple[Any, Any, Fraction, Fraction]:
        """Return demand, probabilities and costs as the Fractions that are stored."""
        demand, chances = to_fractions(self.demand), to_fractions(self.probabilities)
        return demand, chances, Fraction(self.holding), Fraction(self.shortage)

    def expected_cost(self, order: Number) -> Number:
        """Return the expected cost of an order; a Fraction for a Fraction."""
        demand, chances, holding, shortage = self._in(order)
        over = np.maximum(order - demand, 0)
        return (chances * (holding * over + shortage * (over - (order - demand)))).sum()

    def optimal_order(self) -> float:
        """Return the least order that minimises the expected cost, over all real orders.

        It is the quantile of the service level, a point of the demand, found in exact arithmetic.
        """
        demand, chances, holding, shortage = self.exact()
        total = chances.sum()
        reached = np.cumsum(chances) * (holding + shortage) >= shortage * total
        return float(demand[int(np.argmax(reached))])

    def pathwise_derivative(self, order: Number) -> Number:
        """Return the mean of dc/dq along demand traces, with 0 where the order meets the demand.

        At an order that no demand equals it is the derivative of the expected cost; else it lies
        between the two one-sided ones.
        """
        demand, chances, holding, shortage = self._in(order)
        above, below = chances[demand < order].sum(), chances[demand > order].sum()
        return holding * above - shortage * below

    def one_sided_derivatives(self, order: Number) -> tuple[Number, Number]:
        """Return the derivatives of the expected cost from the left and from the right."""
        _, chances, holding, shortage = self._in(order)
        atom = chances[self._in(order)[0] == order].sum()
        middle = self.pathwise_derivative(order)
        return middle - shortage * atom, middle + holding * atom

    def _in(self, order: Number) -> tuple[Any, Any, Number, Number]:
        if isinstance(order, Fraction):
            return self.exact()
        if not math.isfinite(order):
            raise ValueError(f"order is {order}; expected a finite number")
        return self.demand, self.probabilities, self.holding, self.shortage


@dataclass(frozen=True, eq=False)
class GradientMoments:
    """Moments of two estimators of the derivative of the expected cost by the mean of the order.

    cost: the expected cost; gradient: the mean of both, as computed for each; variances of one
    sample, in units of (cost per unit of order) squared; baseline: what the score function's cost
    was compared with, in units of cost.
    """

    cost: Number
    pathwise_mean: Number
    pathwise_variance: Number
    score_mean: Number
    score_variance: Number
    baseline: Number


def gradient_moments(
    problem: Newsvendor,
    mean: Number,
    spread: Number,
    *,
    noise: Noise = "normal",
    baseline: Number | Literal["mean", "optimal"] = 0,
    arithmetic: Literal["float", "rational"] = "float",
) -> GradientMoments:
    """Return exact moments of the pathwise and the score-function gradient of an order mean + s u.

    noise: u standard normal, or biweight with density 15/16 (1 - u^2)^2 on [-1, 1]; spread: s > 0.
    baseline: a constant, "mean" for the expected cost, "optimal" for what makes the variance least.
    arithmetic: "rational" returns Fractions, for the biweight. A uniform noise is not offered: its
    support moves with the mean, and the score function, zero inside, is biased.
    Raises ValueError naming the argument that does not fit.
    """
    if noise not in ("normal", "biweight"):
        raise ValueError(f"noise is {noise!r}; expected 'normal' or 'biweight'")
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    if arithmetic == "rational" and noise == "normal":
        raise ValueError("arithmetic is 'rational' but noise is 'normal'; expected 'biweight'")
    check_range(float(mean), "mean", -1e9, 1e9)
    if not 0 < float(spread) <= 1e9:
        raise ValueError(f"spread is {spread}; expected a positive number of at most 1e9")
    exact = arithmetic == "rational"
    demand, chances, holding, shortage = (
        problem.exact()
        if exact
        else (problem.demand, problem.probabilities, problem.holding, problem.shortage)
    )
    mean, spread = (Fraction(mean), Fraction(spread)) if exact else (float(mean), float(spread))
    chances = chances / chances.sum()
    cost = slope = square = tilted = weighted = weighted_square = 0 * mean
    for point, chance in zip(demand, chances, strict=True):
        turn = (point - mean) / spread
        below, above = _parts("density", turn, noise, exact)
        cost += chance * spread * (holding * above[1] + shortage * below[1])
        slope += chance * (holding * above[0] - shortage * below[0])
        square += chance * (holding**2 * above[0] + shortage**2 * below[0])
        below, above = _parts("slope", turn, noise, exact)
        tilted += chance * (holding * above[1] + shortage * below[1])
        below, above = _parts("information", turn, noise, exact)
        weighted += chance * spread * (holding * above[1] + shortage * below[1])
        weighted_square += chance * spread**2 * (holding**2 * above[2] + shortage**2 * below[2])
    information = 10 if noise == "biweight" else 1
    if isinstance(baseline, str):
        if baseline not in ("mean", "optimal"):
            raise ValueError(f"baseline is {baseline!r}; expected a number, 'mean' or 'optimal'")
        level = cost if baseline == "mean" else weighted / information
    else:
        check_range(float(baseline), "baseline", -1e12, 1e12)
        level = Fraction(baseline) if exact else float(baseline)
    second = (weighted_square - 2 * level * weighted + level**2 * information) / spread**2
    return GradientMoments(cost, slope, square - slope**2, tilted, second - tilted**2, level)


def hindsight_gradient(
    levels: ArrayLike,
    demand: ArrayLike,
    *,
    holding: Number,
    shortage: Number,
    price: Number = 0,
    start: Number = 0,
    lost_sales: bool = False,
) -> tuple[Number, Any]:
    """Return the cost of one demand trace under order-up-to levels, and its gradient (T,).

    Each period orders up to its level (nothing if the stock is above it) at `price` per unit, then
    meets demand; what is short is backlogged, or lost. The gradient is back-propagated through the
    stock, with derivative 0 at kinks. levels, demand: (T,), floats or Fractions.
    """
    plan, trace = (np.asarray(x) for x in (levels, demand))
    if plan.ndim != 1 or plan.shape != trace.shape or not plan.size:
        raise ValueError(
            f"levels has shape {plan.shape} and demand {trace.shape}; expected (T,) both, T >= 1"
        )
    for name, array in (("levels", plan), ("demand", trace)):
        check_finite(as_float_array(array, name), name)
    stock, cost = start, 0 * price
    passed: list[tuple[bool, bool, bool]] = []
    for level, units in zip(plan, trace, strict=True):
        after = max(level, stock)
        cost += price * (after - stock)
        left = after - units
        cost += holding * max(left, 0) + shortage * max(-left, 0)
        passed.append((bool(level > stock), bool(left > 0), bool(left < 0)))
        stock = max(left, 0) if lost_sales else left
    gradient = np.zeros(len(plan), dtype=plan.dtype if plan.dtype == object else np.float64)
    ahead = 0 * price
    for t in range(len(plan) - 1, -1, -1):
        ordered, over, short = passed[t]
        carried = 0 * price if lost_sales and not over else ahead
        by_stock = holding * over - shortage * short + carried
        # What is ordered is paid, and makes the stock before it irrelevant but for the payment.
        gradient[t] = price + by_stock if ordered else 0 * price
        ahead = -price if ordered else by_stock
    return cost, gradient


def _parts(kind: str, turn: Number, noise: str, exact: bool) -> tuple[list[Any], list[Any]]:
    """Return integrals of (t - u)^k g below and (u - t)^k g above a turning point, k = 0, 1, 2."""
    below = [_partial(kind, k, turn, noise, exact) for k in range(3)]
    total = [_partial(kind, k, None, noise, exact) for k in range(3)]
    above = [a - b for a, b in zip(total, below, strict=True)]

    def centred(m: list[Any], sign: int) -> list[Any]:
        return [m[0], sign * (m[1] - turn * m[0]), m[2] - 2 * turn * m[1] + turn**2 * m[0]]

    return centred(below, -1), centred(above, 1)


def _partial(kind: str, power: int, turn: Number | None, noise: str, exact: bool) -> Number:
    """Return the integral of u^power g(u) below a point, over all of the line if None."""
    if noise == "normal":
        return _normal_partial(power + _SHIFT[kind], turn)
    end = 1 if turn is None else min(max(turn, -1), 1)
    end = Fraction(end) if exact else float(end)
    total = 0 * end
    for k, coefficient in enumerate(_BIWEIGHT[kind]):
        if coefficient:
            n = k + power + 1
            factor = coefficient if exact else float(coefficient)
            total += factor * (end**n - (-1) ** n) / n
    return total


def _normal_partial(power: int, turn: float | None) -> float:
    """Return the integral of u^power phi(u) below a point: P_k = (k - 1) P_(k-2) - t^(k-1) phi."""
    if turn is None:
        return (1.0, 0.0, 1.0, 0.0, 3.0)[power]
    density = math.exp(-turn * turn / 2) / math.sqrt(2 * math.pi)
    if power == 0:
        return 0.5 * math.erfc(-turn / math.sqrt(2))
    if power == 1:
        return -density
    return (power - 1) * _normal_partial(power - 2, turn) - turn ** (power - 1) * density
