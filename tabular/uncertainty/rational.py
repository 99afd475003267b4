"""Worst cases in exact arithmetic, for the sets whose inner problem is a linear program.

The same greedy arguments as the compiled kernels, over Fractions: a float is a dyadic number, so
every input is taken at its exact value and nothing is rounded. For small instances, as the truth
that `expectation_bounds` must contain. Sources: as the sets themselves.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import as_float_array, check_distributions, check_finite
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.penalised import PenalisedTotalVariation
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation


def worst_case(
    uncertainty: UncertaintySet, values: ArrayLike, nominal: ArrayLike
) -> tuple[Fraction, FractionArray]:
    """Return the exact least expectation over the set of one row, and a member attaining it.

    values, nominal: (S,). Returns a Fraction, plus the penalty where the set has one, and (S,)
    Fractions, which sum to what the nominal row does (to 1 for Interval): up to its rounding, 1.
    Raises TypeError for sets other than TotalVariation, L1, LInf, Interval, Contamination and
    PenalisedTotalVariation; ValueError for wrong shapes, one parameter per row, or an empty set.
    """
    vector = as_float_array(values, "values", (None,))
    row = as_float_array(nominal, "nominal", (len(vector),))
    check_finite(vector, "values")
    check_distributions(row, "nominal")
    for kind, solver in _SOLVERS.items():
        if isinstance(uncertainty, kind):
            v, p = to_fractions(vector), to_fractions(row)
            q, extra = solver(uncertainty, v, p)
            member = np.empty(len(q), dtype=object)
            member[:] = q
            return sum(q * v for q, v in zip(member, v, strict=True)) + extra, member
    known = ", ".join(kind.__name__ for kind in _SOLVERS)
    raise TypeError(f"uncertainty is a {type(uncertainty).__name__}; expected one of {known}")


_Solution = tuple[list[Fraction], Fraction]


def _total_variation(ball: TotalVariation, v: FractionArray, p: FractionArray) -> _Solution:
    return _strip(v, p, _scalar(ball.radius, "radius"), ball.support), Fraction(0)


def _l1(ball: L1, v: FractionArray, p: FractionArray) -> _Solution:
    return _strip(v, p, _scalar(ball.radius, "radius") / 2, "simplex"), Fraction(0)


def _penalised(measure: PenalisedTotalVariation, v: FractionArray, p: FractionArray) -> _Solution:
    penalty = _scalar(measure.penalty, "penalty")
    above = sum((x for x, y in zip(p, v, strict=True) if y - min(v) > penalty), Fraction(0))
    return _strip(v, p, above, "simplex"), penalty * above


def _linf(ball: LInf, v: FractionArray, p: FractionArray) -> _Solution:
    radius, total = _scalar(ball.radius, "radius"), sum(p, Fraction(0))
    low = [max(x - radius, Fraction(0)) for x in p]
    high = [min(x + radius, Fraction(1)) for x in p]
    return _fill(v, low, high, total), Fraction(0)


def _interval(box: Interval, v: FractionArray, p: FractionArray) -> _Solution:
    low, high = (_row(getattr(box, name), name, len(v)) for name in ("lower", "upper"))
    crossed = any(x > y for x, y in zip(low, high, strict=True))
    if crossed or sum(low) > 1 or sum(high) < 1:
        raise ValueError(
            f"lower and upper admit no distribution: they sum to {float(sum(low)):.17g} and "
            f"{float(sum(high)):.17g}; expected lower <= upper, sums of at most 1 and at least 1"
        )
    return _fill(v, low, high, Fraction(1)), Fraction(0)


def _contamination(ball: Contamination, v: FractionArray, p: FractionArray) -> _Solution:
    weight = _scalar(ball.radius, "radius")
    q = [(1 - weight) * x for x in p]
    q[_least(v)] += weight
    return q, Fraction(0)


_SOLVERS: dict[type, Callable[[Any, FractionArray, FractionArray], _Solution]] = {
    TotalVariation: _total_variation,
    L1: _l1,
    PenalisedTotalVariation: _penalised,
    LInf: _linf,
    Interval: _interval,
    Contamination: _contamination,
}


def _strip(v: FractionArray, p: FractionArray, mass: Fraction, support: str) -> list[Fraction]:
    """Move up to `mass` from the largest values to the least one."""
    q, left = list(p), mass
    target = _least(v) if support == "simplex" else _least(v, [x > 0 for x in p])
    for j in sorted(range(len(v)), key=lambda j: v[j], reverse=True):
        if v[j] <= v[target]:
            break
        taken = min(q[j], left)
        q[j] -= taken
        q[target] += taken
        left -= taken
    return q


def _fill(
    v: FractionArray, low: list[Fraction], high: list[Fraction], total: Fraction
) -> list[Fraction]:
    """Fill from `low` up to `high` by ascending value until the mass is `total`."""
    q, left = list(low), total - sum(low)
    for j in sorted(range(len(v)), key=lambda j: v[j]):
        raised = min(high[j] - low[j], left)
        q[j] += raised
        left -= raised
    return q


def _least(v: FractionArray, allowed: list[bool] | None = None) -> int:
    return min((j for j in range(len(v)) if allowed is None or allowed[j]), key=lambda j: v[j])


def _scalar(parameter: Any, name: str) -> Fraction:
    if np.size(parameter) != 1:
        raise ValueError(f"{name} has shape {np.shape(parameter)}; expected one number for one row")
    return Fraction(float(np.reshape(parameter, ())))


def _row(bound: Any, name: str, states: int) -> list[Fraction]:
    dense = bound.toarray() if hasattr(bound, "toarray") else np.asarray(bound)
    try:
        return list(to_fractions(np.broadcast_to(dense, (states,))))
    except ValueError:
        raise ValueError(f"{name} has shape {dense.shape}; expected ({states},)") from None
