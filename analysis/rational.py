"""Exact linear algebra over the rationals, by python-flint.

A float is a dyadic rational, so every finite float64 array has an exact counterpart; systems
are solved without rounding by fraction-free elimination.
"""

import math
from fractions import Fraction
from typing import Any

import flint
import numpy as np
from numpy.typing import ArrayLike, NDArray

FractionArray = NDArray[np.object_]


def to_fractions(array: ArrayLike | FractionArray) -> FractionArray:
    """Return the exact value of each entry as a Fraction, an object array of the same shape.

    array: of floats, integers or Fractions.
    """
    flat = [_to_fraction(x) for x in np.asarray(array).ravel()]
    result = np.empty(len(flat), dtype=object)
    result[:] = flat
    return result.reshape(np.shape(array))


def simplest(number: float) -> Fraction:
    """Return the fraction of least denominator among those strictly nearer to a float than others.

    So that 0.1 is read as 1/10 and what stands for 1/3 as 1/3; it reads back as the same float.
    Raises ValueError or OverflowError if the number is not finite.
    """
    exact = Fraction(number)
    if exact < 0:
        return -simplest(-number)
    if exact.denominator == 1:
        return exact
    return _least_between(
        (exact + Fraction(math.nextafter(number, -math.inf))) / 2,
        (exact + Fraction(math.nextafter(number, math.inf))) / 2,
    )


def _least_between(low: Fraction, high: Fraction) -> Fraction:
    """The fraction of least denominator in an open interval, 0 <= low < high; Stern and Brocot."""
    whole = low.numerator // low.denominator
    if whole + 1 < high:
        return Fraction(whole + 1)
    # All of the interval lies between two integers: look among the reciprocals of the rest.
    low, high = low - whole, high - whole
    if low == 0:
        return whole + Fraction(1, high.denominator // high.numerator + 1)
    return whole + 1 / _least_between(1 / high, 1 / low)


def solve(matrix: FractionArray, right: FractionArray) -> FractionArray:
    """Solve matrix @ x = right exactly; matrix (n, n), right (n,), both of Fractions.

    Raises ZeroDivisionError if the matrix is singular.
    """
    n = len(right)
    system = flint.fmpq_mat(n, n, [_to_flint(x) for x in matrix.ravel()])
    solution = system.solve(flint.fmpq_mat(n, 1, [_to_flint(x) for x in right]))
    result = np.empty(n, dtype=object)
    result[:] = [Fraction(int(solution[i, 0].p), int(solution[i, 0].q)) for i in range(n)]
    return result


def _to_fraction(x: Any) -> Fraction:
    return x if isinstance(x, Fraction) else Fraction(x if isinstance(x, int) else float(x))


def _to_flint(x: Any) -> Any:
    fraction = Fraction(x)
    return flint.fmpq(fraction.numerator, fraction.denominator)
