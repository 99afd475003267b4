"""Dual numbers over the rationals: a value and its exact derivative along one direction.

Carrying (x, x') through the same elimination that solves a linear system differentiates the
solution without a formula for its derivative (forward mode; Griewank and Walther, 2008,
section 3.1), so that gradient theorems are compared with something that does not assume them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.rational import FractionArray

DualArray = NDArray[np.object_]


@dataclass(frozen=True)
class Dual:
    """A number and its derivative, both exact."""

    value: Fraction
    slope: Fraction = Fraction(0)

    def __add__(self, other: Dual | Fraction | int) -> Dual:
        other = _dual(other)
        return Dual(self.value + other.value, self.slope + other.slope)

    def __sub__(self, other: Dual | Fraction | int) -> Dual:
        other = _dual(other)
        return Dual(self.value - other.value, self.slope - other.slope)

    def __mul__(self, other: Dual | Fraction | int) -> Dual:
        other = _dual(other)
        return Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)

    def __truediv__(self, other: Dual | Fraction | int) -> Dual:
        other = _dual(other)
        ratio = self.value / other.value
        return Dual(ratio, (self.slope - ratio * other.slope) / other.value)

    __radd__ = __add__
    __rmul__ = __mul__

    def __rsub__(self, other: Fraction | int) -> Dual:
        return _dual(other) - self


def duals(values: FractionArray, slopes: FractionArray) -> DualArray:
    """Return an array of dual numbers from arrays of Fractions of one shape."""
    result = np.empty(values.shape, dtype=object)
    result.ravel()[:] = [Dual(v, s) for v, s in zip(values.ravel(), slopes.ravel(), strict=True)]
    return result


def slopes_of(array: DualArray) -> FractionArray:
    """Return the derivatives of an array of dual numbers."""
    result = np.empty(array.shape, dtype=object)
    result.ravel()[:] = [x.slope for x in array.ravel()]
    return result


def solve(matrix: DualArray, right: DualArray) -> DualArray:
    """Solve matrix @ x = right for dual numbers by Gauss-Jordan elimination; (n, n) and (n,).

    Raises ZeroDivisionError if the values are singular.
    """
    work = np.concatenate([matrix, right[:, None]], axis=1)
    size = len(work)
    for k in range(size):
        pivot = next((i for i in range(k, size) if work[i, k].value), None)
        if pivot is None:
            raise ZeroDivisionError("matrix is singular")
        work[[k, pivot]] = work[[pivot, k]]
        work[k] = work[k] / work[k, k]
        for i in range(size):
            if i != k:
                work[i] = work[i] - work[k] * work[i, k]
    return np.asarray(work[:, size])


def _dual(x: Any) -> Dual:
    return x if isinstance(x, Dual) else Dual(Fraction(x))
