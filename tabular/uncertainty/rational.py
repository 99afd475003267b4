"""Worst cases in exact arithmetic, for the sets whose inner problem is a linear program.

The same greedy arguments as the compiled kernels, over Fractions: a float is a dyadic number, so
every input is taken at its exact value and nothing is rounded. Members keep the mass of their row
as stored, those of intervals sum to 1. Sources: as the sets themselves.
"""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from rltheory.analysis.arrays import as_float_array, check_distributions, check_finite
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.tabular.uncertainty.base import Rows, UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.penalised import Penalised
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation


def worst_case(
    uncertainty: UncertaintySet,
    values: ArrayLike | FractionArray,
    nominal: ArrayLike | FractionArray,
    *,
    row: int = 0,
) -> tuple[Fraction, FractionArray]:
    """Return the exact least expectation over the set of one row, and a member attaining it.

    values, nominal: (S,), floats or Fractions. row: which of its parameters the set uses, in the
    order of the rows (s * A + a), where it has one per row. Returns a Fraction, plus the penalty
    where the set has one, and (S,) Fractions, which sum to what the nominal row does (to 1 for
    Interval, and nearer to 1 for Contamination): up to its rounding, 1.
    Raises TypeError for sets other than TotalVariation, L1, LInf, Interval, Contamination and
    penalised TotalVariation or L1; ValueError for wrong shapes or an empty set.
    """
    vector = as_float_array(values, "values", (None,))
    check_finite(vector, "values")
    check_distributions(as_float_array(nominal, "nominal", (len(vector),)), "nominal")
    v, p = to_fractions(values), to_fractions(nominal)
    member, paid = worst_member(uncertainty, v, p, row)
    return member @ v + paid, member


def worst_member(
    uncertainty: UncertaintySet, values: FractionArray, nominal: FractionArray, row: int = 0
) -> tuple[FractionArray, Fraction]:
    """Return a member with the least expectation, (S,), and what a penalised adversary pays.

    As `worst_case`, of Fractions that are not checked again.
    """
    return _solver(uncertainty)(uncertainty, values, nominal, row)


def one_per_row(uncertainty: UncertaintySet, kernel: Any, shape: tuple[int, ...]) -> UncertaintySet:
    """Return the set with one parameter for each row of a kernel (n, S) of leading `shape`.

    Raises TypeError for a set that `worst_case` refuses, ValueError if parameters do not fit.
    """
    _solver(uncertainty)
    if isinstance(uncertainty, Interval):
        rows = Rows.of(kernel)
        lower, upper = (rows.matrix(bound) for bound in uncertainty.bounds(rows))
        return Interval(lower, upper)
    name = "penalty" if isinstance(uncertainty, Penalised) else "radius"
    return replace(uncertainty, **{name: uncertainty.budgets(shape)})  # type: ignore[type-var]


def strip(
    nominal: FractionArray, values: FractionArray, mass: Fraction, support: str = "simplex"
) -> FractionArray:
    """Return the row (S,) that moves up to `mass` from the largest values to the least one.

    support: "simplex", the least value of all, or "nominal", the least that the row reaches.
    """
    moved, left = nominal.copy(), mass
    reached = [j for j in range(len(values)) if support == "simplex" or nominal[j] > 0]
    target = min(reached, key=lambda j: values[j])
    for j in sorted(range(len(values)), key=lambda j: values[j], reverse=True):
        if left == 0 or values[j] <= values[target]:
            break
        taken = min(moved[j], left)
        moved[j] -= taken
        moved[target] += taken
        left -= taken
    return moved


def fill(
    lower: FractionArray, upper: FractionArray, values: FractionArray, mass: Fraction
) -> FractionArray:
    """Return the row (S,) between the bounds that puts a total of `mass` on the least values."""
    filled, left = lower.copy(), mass - lower.sum()
    for j in sorted(range(len(values)), key=lambda j: values[j]):
        raised = min(upper[j] - lower[j], left)
        filled[j] += raised
        left -= raised
    return filled


_Member = tuple[FractionArray, Fraction]
_Solver = Callable[[Any, FractionArray, FractionArray, int], _Member]


def _total_variation(ball: TotalVariation, v: FractionArray, p: FractionArray, row: int) -> _Member:
    return strip(p, v, _number(ball.radius, "radius", row), ball.support), Fraction(0)


def _l1(ball: L1, v: FractionArray, p: FractionArray, row: int) -> _Member:
    return strip(p, v, _number(ball.radius, "radius", row) / 2), Fraction(0)


def _penalised(measure: Penalised, v: FractionArray, p: FractionArray, row: int) -> _Member:
    penalty = _number(measure.penalty, "penalty", row)
    ball = measure.ball
    # Moving mass costs twice as much where the distance is L1.
    price = 2 * penalty if isinstance(ball, L1) else penalty
    support = ball.support if isinstance(ball, TotalVariation) else "simplex"
    least = min(v if support == "simplex" else v[p > 0])
    above = sum(p[v - least > price], Fraction(0))
    return strip(p, v, above, support), price * above


def _linf(ball: LInf, v: FractionArray, p: FractionArray, row: int) -> _Member:
    radius = _number(ball.radius, "radius", row)
    # An entry that is more than 1, which a row may hold by its tolerance, can stay as it is.
    low, high = np.maximum(p - radius, 0), np.maximum(np.minimum(p + radius, 1), p)
    return fill(to_fractions(low), to_fractions(high), v, p.sum()), Fraction(0)


def _interval(box: Interval, v: FractionArray, p: FractionArray, row: int) -> _Member:
    low, high = (_bound(getattr(box, name), name, len(v), row) for name in ("lower", "upper"))
    if np.any(low > high) or sum(low) > 1 or sum(high) < 1:
        raise ValueError(
            f"lower and upper admit no distribution in row {row}: they sum to "
            f"{float(sum(low)):.17g} and {float(sum(high)):.17g}; expected lower <= upper, and "
            "exact sums of at most 1 and at least 1"
        )
    return fill(low, high, v, Fraction(1)), Fraction(0)


def _contamination(ball: Contamination, v: FractionArray, p: FractionArray, row: int) -> _Member:
    weight = _number(ball.radius, "radius", row)
    mixed = (1 - weight) * p
    mixed[int(v.argmin())] += weight
    return mixed, Fraction(0)


_SOLVERS: dict[type[UncertaintySet], _Solver] = {
    TotalVariation: _total_variation,
    L1: _l1,
    Penalised: _penalised,
    LInf: _linf,
    Interval: _interval,
    Contamination: _contamination,
}


def _solver(uncertainty: UncertaintySet) -> _Solver:
    polyhedral = not isinstance(uncertainty, Penalised) or isinstance(
        uncertainty.ball, TotalVariation | L1
    )
    for kind, solver in _SOLVERS.items():
        if polyhedral and isinstance(uncertainty, kind):
            return solver
    raise TypeError(
        f"uncertainty is a {type(uncertainty).__name__}; exact arithmetic takes TotalVariation, "
        "L1, LInf, Interval, Contamination, and penalised TotalVariation or L1"
    )


def _number(parameter: Any, name: str, row: int) -> Fraction:
    flat = np.ravel(parameter)
    if len(flat) > 1 and not 0 <= row < len(flat):
        raise ValueError(f"{name} has shape {np.shape(parameter)}; expected one for row {row}")
    return Fraction(float(flat[row if len(flat) > 1 else 0]))


def _bound(bound: Any, name: str, states: int, row: int) -> FractionArray:
    dense = bound.toarray() if sparse.issparse(bound) else np.asarray(bound)
    try:
        rows = np.broadcast_to(dense, (*dense.shape[:-1], states)).reshape(-1, states)
        return to_fractions(rows[row if len(rows) > 1 else 0])
    except (ValueError, IndexError):
        raise ValueError(
            f"{name} has shape {dense.shape}; expected ({states},), or (..., {states}) with one "
            f"for row {row}"
        ) from None
