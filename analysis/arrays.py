"""Validation of array arguments at the boundary, and read-only views.

Every public constructor passes its arrays through here once; inside, code trusts its types.
An error names the argument, what was expected and what came.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ROW_SUM_TOLERANCE = 1e-9

LARGEST = 1e150
"""Values may be this large: sums of their squares still fit a float."""

_FLOAT64 = np.dtype(np.float64)


def as_float_array(
    argument: ArrayLike, name: str, shape: Sequence[int | None] | None = None
) -> FloatArray:
    """Return `argument` as a C-contiguous float64 array, without a copy where it is one already.

    `shape` gives the expected length of each axis, None where any length will do.
    Raises TypeError if it is not numeric, ValueError on a wrong shape.
    """
    # What most calls bring, some of which are as short as what follows.
    ready = type(argument) is np.ndarray and argument.dtype is _FLOAT64 and argument.shape == shape
    if ready and argument.flags.c_contiguous:  # type: ignore[union-attr]
        return argument  # type: ignore[return-value]
    try:
        given = np.asarray(argument)
        if given.dtype.kind not in "biufO":
            raise TypeError(f"entries of type {given.dtype}")
        array = np.ascontiguousarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be an array of real numbers; got {error}") from None
    if np.ndim(argument) == 0:
        array = array.reshape(())
    if shape is not None:
        check_shape(array, name, shape)
    return array


def check_shape(array: NDArray[Any], name: str, shape: Sequence[int | None]) -> None:
    """Raise ValueError unless each axis of `array` has the expected length (None: any)."""
    if array.shape == shape:
        return
    matches = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not matches:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}")


def check_finite(array: FloatArray, name: str) -> None:
    """Raise ValueError naming the first entry of `array` that is NaN or infinite."""
    # The sum is NaN or infinite if any entry is, and needs no array of flags as large as the input.
    with np.errstate(invalid="ignore", over="ignore"):
        total = array.sum()
    if np.isfinite(total):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        value = array[tuple(bad[0])]
        if not array.ndim:
            raise ValueError(f"{name} is {value}; expected a finite number")
        raise ValueError(f"{name}[{_index(bad[0])}] is {value}; every entry must be finite")


def check_magnitude(largest: float, what: str) -> None:
    """Raise ValueError unless numbers as large as `largest` leave room for their squares."""
    if not largest <= LARGEST:
        raise ValueError(f"{what} of up to {largest:.3g}; expected at most {LARGEST:g}")


def check_distributions(array: FloatArray, name: str) -> FloatArray:
    """Return the row sums; raise ValueError unless every row (last axis) is a distribution.

    Entries must be finite and nonnegative; each row must sum to 1 within 1e-9.
    """
    check_finite(array, name)
    if array.size and array.min() < 0:
        where = np.unravel_index(int(array.argmin()), array.shape)
        raise ValueError(f"{name}[{_index(where)}] is {array[where]}; probabilities must be >= 0")
    sums: FloatArray = np.asarray(array.sum(axis=-1))
    check_row_sums(sums, name, np.ones(sums.shape, dtype=bool))
    return sums


def check_row_sums(sums: FloatArray, name: str, required: NDArray[np.bool_]) -> None:
    """Raise ValueError naming the first required row whose sum is not 1 within 1e-9."""
    bad = np.argwhere(required & ~(np.abs(sums - 1.0) <= ROW_SUM_TOLERANCE))
    if len(bad):
        where = f"[{_index(bad[0])}]" if sums.ndim else ""
        raise ValueError(
            f"{name}{where} sums to {sums[tuple(bad[0])]:.10g}; "
            f"each row must sum to 1 (tolerance {ROW_SUM_TOLERANCE:g})"
        )


def check_range(
    number: float, name: str, low: float, high: float, *, include_high: bool = True
) -> float:
    """Return `number` as a float; raise ValueError unless low <= number <= high (or < high)."""
    try:
        result = float(number)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number; got {number!r}") from None
    inside = low <= result and (result <= high if include_high else result < high)
    if not inside:
        bracket = "]" if include_high else ")"
        raise ValueError(f"{name} is {result}; expected a number in [{low:g}, {high:g}{bracket}")
    return result


def check_positive_integer(number: int, name: str) -> int:
    """Return `number` as an int; raise ValueError unless it is an integer of at least 1."""
    try:
        is_integer = not isinstance(number, bool) and int(number) == number
    except (TypeError, ValueError, OverflowError):
        is_integer = False
    if not is_integer or number < 1:
        raise ValueError(f"{name} is {number!r}; expected an integer of at least 1")
    return int(number)


def check_progress(progress: Any) -> None:
    """Raise TypeError unless `progress` is a function or None."""
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r:.80}; expected a function")


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view that refuses writes; the memory is shared, nothing is copied."""
    view = array.view()
    view.flags.writeable = False
    return view


def as_generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return a Generator from an explicit integer seed, or the Generator itself.

    Raises TypeError for None, as every source of randomness here is named by its caller, and
    ValueError for a negative seed.
    """
    if isinstance(seed, np.random.Generator):
        return seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise TypeError(f"seed must be an integer or a numpy Generator; got {seed!r}")
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected an integer of at least 0")
    return np.random.default_rng(int(seed))


def _index(position: Any) -> str:
    return ", ".join(str(int(i)) for i in position)
