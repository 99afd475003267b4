"""Ball arithmetic for records with exponentials and logarithms: sides that enclose the truth.

Arrays hold `flint.arb` balls of 128 bits; every operation rounds outward, so what comes out as
`Bounds` contains the exact value. Source: Johansson (2017), Arb, IEEE Transactions on Computers 66.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import flint
import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.bounds import Bounds, down, up

BallArray = NDArray[np.object_]
BITS = 128

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def precise(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Run a function with balls of 128 bits, and restore the precision after it."""

    @wraps(function)
    def inside(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        with flint.ctx.workprec(BITS):
            return function(*args, **kwargs)

    return inside


def ball(number: Fraction | float) -> Any:
    """Return a ball around one number, of radius 0 where it is a binary fraction."""
    exact = Fraction(number)
    return flint.arb(flint.fmpq(exact.numerator, exact.denominator))


def balls(array: Any) -> BallArray:
    """Return an array of floats or Fractions as balls."""
    return _map(ball, np.asarray(array))


def between(bounds: Bounds) -> BallArray:
    """Return balls that contain the intervals of an enclosure."""
    ends = zip(bounds.lower.ravel(), bounds.upper.ravel(), strict=True)
    result = np.empty(bounds.lower.shape, dtype=object)
    result.ravel()[:] = [flint.arb(float(low)).union(flint.arb(float(high))) for low, high in ends]
    return result


def to_bounds(array: Any) -> Bounds:
    """Return balls, one or an array, as an enclosure by floats."""
    wrapped = np.asarray(array, dtype=object)
    lower = _map(lambda x: float(x.lower()), wrapped).astype(np.float64)
    upper = _map(lambda x: float(x.upper()), wrapped).astype(np.float64)
    return Bounds(down(lower), up(upper))


def exp(array: BallArray) -> BallArray:
    """Return the exponentials of balls."""
    return _map(lambda x: x.exp(), array)


def log(array: BallArray) -> BallArray:
    """Return the logarithms of positive balls."""
    return _map(lambda x: x.log(), array)


def largest(array: BallArray) -> Any:
    """Return the maximum of balls, a ball."""
    result = array.ravel()[0]
    for x in array.ravel()[1:]:
        result = result.max(x)
    return result


def norm(array: BallArray) -> Any:
    """Return the sup norm of balls, a ball."""
    return largest(np.abs(array))


def softmax(array: BallArray) -> BallArray:
    """Return exp(x) / sum exp(x) for each row of balls (S, A)."""
    # The shift is any number near the maximum; it cancels.
    shift = [ball(max(float(x.mid()) for x in row)) for row in array]
    weights = exp(array - np.array(shift, dtype=object)[:, None])
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def solve(matrix: BallArray, right: BallArray) -> BallArray:
    """Enclose the solution of matrix @ x = right, (n, n) and (n,).

    Raises ZeroDivisionError if the matrix could not be shown to be invertible.
    """
    size = len(right)
    solution = flint.arb_mat(size, size, list(matrix.ravel())).solve(
        flint.arb_mat(size, 1, list(right))
    )
    result = np.empty(size, dtype=object)
    result[:] = [solution[i, 0] for i in range(size)]
    return result


def _map(function: Callable[[Any], Any], array: NDArray[Any]) -> BallArray:
    result = np.empty(array.shape, dtype=object)
    result.ravel()[:] = [function(x) for x in array.ravel()]
    return result
