"""The two sides of a statement, and what comparing them proves.

A side is exact (Fractions, integers) or a certified enclosure (`Bounds`); a float becomes one
through `enclose` or `rounded`, whose error is derived from the arithmetic (Higham, Accuracy and
Stability of Numerical Algorithms, 2nd ed., sections 3.1 and 4.2). A comparison is then satisfied,
violated or inconclusive, without a tolerance.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.analysis.rational import FractionArray

Side = Bounds | Fraction | int | float | NDArray[Any]
"""One side of a statement: a scalar or an array; floats only where the theorem gives `rounding`."""

_DECIMAL_BITS = 10_000
"""Longer integers are written in hexadecimal; Python refuses 4300 decimal digits and more."""

Kind = Literal["identity", "inequality", "rate", "separation", "counterexample"]
State = Literal["satisfied", "violated", "inconclusive"]


@dataclass(frozen=True)
class Comparison:
    """What one instance says about a statement.

    state: "satisfied", "violated" (both certified) or "inconclusive" (the enclosures overlap).
    margin: certified distance from violation at the worst entry, in the units of the sides;
        negative where the statement is violated, or its enclosures too wide to say.
    relative: the same between midpoints, divided by the larger magnitude; drives the search.
    tightness: in [0, 1], 1 where the two sides meet; 0 if no entry carries information.
    resolution: largest total width of the two enclosures, 0 for exact sides.
    exact: whether both sides were rational numbers.
    """

    state: State
    margin: float
    relative: float
    tightness: float
    resolution: float
    exact: bool


def enclose(value: FloatArray | float, error: FloatArray | float) -> Bounds:
    """Return the enclosure [value - error, value + error], rounded outward.

    `error` bounds the absolute error of `value`; derive it, for instance by `rounded`.
    Raises ValueError if it is negative or NaN.
    """
    if not np.all(np.asarray(error) >= 0):
        raise ValueError(f"error is {error}; expected a nonnegative bound")
    centre, radius = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(error))
    return Bounds(
        np.where(radius == 0, centre, down(centre - radius)),
        np.where(radius == 0, centre, up(centre + radius)),
    )


def rounded(value: FloatArray | float, operations: int, magnitude: float) -> Bounds:
    """Enclose the result of a float computation whose every term went through `operations`.

    The error is n u / (1 - n u) times `magnitude`, which bounds the sum of the absolute values of
    the exact terms: for an inner product of length n, n operations and sum |x_i y_i|.
    """
    return enclose(value, rounding_error(operations, magnitude))


def elementary(value: FloatArray | float, ulps: int = 4) -> Bounds:
    """Enclose a result of exp, log, sqrt or tanh on an exact argument.

    NumPy's float64 versions are documented to be within 4 units in the last place.
    """
    array = np.asarray(value, np.float64)
    return enclose(array, ulps * np.spacing(np.abs(array)))


def supremum(array: FractionArray) -> Fraction:
    """Return the sup norm of an array of Fractions, 0 if empty."""
    return max((abs(Fraction(x)) for x in np.ravel(array)), default=Fraction(0))


def scaled(side: Side, factor: float) -> Side:
    """Return a side times a float, exactly for rationals and rounded outward for enclosures."""
    if isinstance(side, Bounds):
        return side * factor
    array = np.asarray(side)
    if array.dtype.kind == "f":
        return array * factor
    return np.asarray(_rationals(array) * Fraction(factor))


def strengthened(side: Side, factor: float) -> Side:
    """Return the smaller of side * factor and side / factor, entrywise, for 0 < factor < 1.

    As the right side of left <= right it claims more: positive entries shrink, negative ones grow.
    """
    if isinstance(side, Bounds):
        smaller = side * factor
        return Bounds(
            np.minimum(smaller.lower, down(side.lower / factor)),
            np.minimum(smaller.upper, up(side.upper / factor)),
        )
    array = np.asarray(side)
    if array.dtype.kind == "f":
        return np.asarray(np.minimum(array * factor, array / factor))
    exact = _rationals(array)
    return np.asarray(np.minimum(exact * Fraction(factor), exact / Fraction(factor)))


def to_bounds(side: Side) -> Bounds:
    """Return a side as an enclosure; rationals are rounded outward to the nearest floats."""
    if isinstance(side, Bounds):
        return side
    array = np.asarray(side, dtype=object)
    nearest = np.array([float(x) for x in array.ravel()]).reshape(array.shape)
    same = np.array(
        [Fraction(x) == Fraction(y) for x, y in zip(array.ravel(), nearest.ravel(), strict=True)],
        dtype=bool,
    ).reshape(array.shape)
    return Bounds(np.where(same, nearest, down(nearest)), np.where(same, nearest, up(nearest)))


def compare(kind: Kind, left: Side, right: Side, rounding: float | None = None) -> Comparison:
    """Compare two sides as a statement of `kind` does.

    Inequalities and rates claim left <= right in every entry, identities left == right, separations
    and counterexamples left < right in every entry. Scalars are compared with every entry of an
    array. `rounding` bounds the absolute error of sides that are plain floats.
    Raises TypeError for a plain float side without it, ValueError for NaN or unequal shapes.
    """
    first = _certain(left, "left", rounding)
    second = _certain(right, "right", rounding)
    if isinstance(first, Bounds) or isinstance(second, Bounds):
        return _compare_bounds(kind, to_bounds(first), to_bounds(second))
    return _compare_exact(kind, first, second)


def describe(side: Side) -> str:
    """Return a side in full: fractions as fractions, enclosures as intervals, floats by repr."""
    if isinstance(side, Bounds):
        pairs = zip(side.lower.ravel(), side.upper.ravel(), strict=True)
        parts = [f"[{float(low)!r}, {float(high)!r}]" for low, high in pairs]
        shape = side.lower.shape
    else:
        array = np.asarray(side, dtype=object)
        parts = [_text(x) for x in array.ravel().tolist()]
        shape = array.shape
    return parts[0] if shape == () else "(" + ", ".join(parts) + ")"


def _text(entry: Any) -> str:
    if not isinstance(entry, Fraction | int):
        return repr(float(entry))
    exact = Fraction(entry)
    if max(exact.numerator.bit_length(), exact.denominator.bit_length()) < _DECIMAL_BITS:
        return str(exact)
    return f"{exact.numerator:#x}/{exact.denominator:#x}"


def _certain(side: Any, name: str, rounding: float | None) -> Bounds | FractionArray:
    """Return a side as Bounds or as an object array of Fractions."""
    if isinstance(side, Bounds):
        if np.isnan(side.lower).any() or np.isnan(side.upper).any():
            raise ValueError(f"the {name} side holds NaN")
        return side
    array = np.asarray(side)
    if array.dtype.kind in "iub" or (
        array.dtype == object and all(isinstance(x, Fraction | int) for x in array.ravel())
    ):
        return _rationals(array)
    if array.dtype.kind != "f":
        raise TypeError(f"the {name} side is {type(side).__name__} of dtype {array.dtype}")
    if np.isnan(array).any():
        raise ValueError(f"the {name} side holds NaN")
    if rounding is None:
        raise TypeError(
            f"the {name} side is a plain float; return Fractions or Bounds "
            "(rltheory.theory.sides.rounded, enclose), or give the theorem `rounding`"
        )
    return enclose(array, rounding)


def _rationals(array: NDArray[Any]) -> FractionArray:
    exact = np.empty(array.shape, dtype=object)
    exact.ravel()[:] = [Fraction(x) for x in array.ravel().tolist()]
    return exact


def _compare_exact(kind: Kind, left: FractionArray, right: FractionArray) -> Comparison:
    left, right = _broadcast(left, right)
    differences = [b - a for a, b in zip(left.ravel(), right.ravel(), strict=True)]
    scales = [max(abs(a), abs(b)) for a, b in zip(left.ravel(), right.ravel(), strict=True)]
    if kind == "identity":
        differences = [-abs(x) for x in differences]
    worst = min(differences)
    strict = kind in ("separation", "counterexample")
    ratios = [float(x / s) for x, s in zip(differences, scales, strict=True) if s]
    relative = min(ratios, default=0.0)
    return Comparison(
        state="satisfied" if worst > 0 or (worst == 0 and not strict) else "violated",
        margin=float(worst),
        relative=relative,
        tightness=_tightness(ratios),
        resolution=0.0,
        exact=True,
    )


def _compare_bounds(kind: Kind, left: Bounds, right: Bounds) -> Comparison:
    low_left, low_right = _broadcast(left.lower, right.lower)
    high_left, high_right = _broadcast(left.upper, right.upper)
    resolution = float(np.max((high_left - low_left) + (high_right - low_right)))
    with np.errstate(invalid="ignore", over="ignore"):
        slack = low_right - high_left
        excess = high_right - low_left
        middle_left = np.where(low_left == high_left, low_left, low_left / 2 + high_left / 2)
        middle_right = np.where(low_right == high_right, low_right, low_right / 2 + high_right / 2)
        gaps = middle_right - middle_left
        scales = np.maximum(np.abs(middle_left), np.abs(middle_right))
        if kind == "identity":
            gaps = -np.abs(gaps)
        informative = (scales > 0) & np.isfinite(scales)
        ratios = gaps[informative] / scales[informative]
    # An infinite bound on the same side of both gives NaN: nothing is certified there.
    slack = np.where(np.isnan(slack), -np.inf, slack)
    excess = np.where(np.isnan(excess), np.inf, excess)
    state: State
    if kind == "identity":
        margin = float(np.min(np.minimum(excess, -slack)))
        # An enclosure without end is consistent with anything: it shows nothing.
        state = "satisfied" if np.isfinite(resolution) else "inconclusive"
        if margin < 0:
            state = "violated"
    elif kind in ("separation", "counterexample"):
        margin = float(np.min(slack))
        state = "satisfied" if margin > 0 else "inconclusive"
        if np.any(excess <= 0):
            state = "violated"
    else:
        margin = float(np.min(slack))
        state = "satisfied" if margin >= 0 else "inconclusive"
        if np.any(excess < 0):
            state = "violated"
    return Comparison(
        state=state,
        margin=margin,
        relative=float(np.min(ratios, initial=np.inf)) if ratios.size else 0.0,
        tightness=_tightness(ratios.tolist()),
        resolution=resolution,
        exact=False,
    )


def _tightness(ratios: list[float]) -> float:
    return float(min(1.0, max(0.0, 1.0 - min(ratios)))) if ratios else 0.0


def _broadcast(left: NDArray[Any], right: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    if left.ndim and right.ndim and left.shape != right.shape:
        raise ValueError(
            f"the left side has shape {left.shape}, the right {right.shape}; "
            "expected equal shapes, or a scalar"
        )
    if not left.size or not right.size:
        raise ValueError("a side is empty; there is nothing to compare")
    first, second = np.broadcast_arrays(left, right)
    return first, second
