"""A tape: numbers in [0, 1] from which a sampler builds an instance, deterministically.

A sampler reads its random choices off the tape in order, so an instance is a point of a cube: it
is replayed from its numbers alone, and a local search moves in it. Reading past the end extends
the tape from a generator of its own, seeded by the caller.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_finite, read_only

Shape = int | tuple[int, ...]
Option = TypeVar("Option")

SIMPLEX_BITS = 20
"""Entries of `Tape.simplex` are multiples of 2 ** -20."""

_NEGLIGIBLE = 1 / 32
_POWERS = (1, 1, 2, 4, 16, 256)


class Tape:
    """A tape over `vector`, numbers in [0, 1]; past its end it continues from `seed`.

    Every method consumes numbers; `used` says how many so far, `vector` which ones.
    Raises ValueError if a number of `vector` is outside [0, 1].
    """

    def __init__(self, vector: Iterable[float] = (), *, seed: int | Sequence[int] = 0) -> None:
        numbers = np.array(list(vector), dtype=np.float64)
        check_finite(numbers, "vector")
        if numbers.size and not (numbers.min() >= 0.0 and numbers.max() <= 1.0):
            bad = int(np.argmax((numbers < 0.0) | (numbers > 1.0)))
            raise ValueError(f"vector[{bad}] is {numbers[bad]}; expected numbers in [0, 1]")
        self._numbers = numbers
        self._generator = np.random.default_rng(seed)
        self.used = 0

    @property
    def vector(self) -> FloatArray:
        """The numbers consumed so far, shape (used,): a tape over them replays the instance."""
        return np.asarray(read_only(self._numbers[: self.used]))

    def uniform(self, shape: Shape = ()) -> FloatArray:
        """Return the next numbers, uniform on [0, 1], as an array of `shape`."""
        sizes = (shape,) if isinstance(shape, int) else shape
        count = int(np.prod(sizes, dtype=np.int64))
        missing = self.used + count - len(self._numbers)
        if missing > 0:
            # At least doubling, so that reading n numbers one by one costs O(n).
            fresh = self._generator.random(max(missing, len(self._numbers), 32))
            self._numbers = np.concatenate([self._numbers, fresh])
        numbers = self._numbers[self.used : self.used + count].copy()
        self.used += count
        return numbers.reshape(sizes)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a float in [low, high]."""
        return min(high, low + float(self.uniform()) * (high - low))

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        if high < low:
            raise ValueError(f"high is {high}; expected at least low = {low}")
        return low + min(int(float(self.uniform()) * (high - low + 1)), high - low)

    def choice(self, options: Sequence[Option]) -> Option:
        """Return one of `options`."""
        return options[self.integer(0, len(options) - 1)]

    def dyadic(
        self, shape: Shape = (), low: float = 0.0, high: float = 1.0, bits: int = 10
    ) -> FloatArray:
        """Return multiples of 2 ** -bits in [low, high], shape `shape`: cheap as exact rationals.

        `low` and `high` must be multiples of 2 ** -bits themselves.
        """
        scale = 2.0**bits
        first, last = low * scale, high * scale
        if first != np.floor(first) or last != np.floor(last) or last < first:
            raise ValueError(
                f"low is {low} and high is {high}; expected multiples of 2 ** -{bits}, low <= high"
            )
        steps = np.minimum(np.floor(self.uniform(shape) * (last - first + 1)), last - first)
        return np.asarray((first + steps) / scale)

    def simplex(self, shape: Shape) -> FloatArray:
        """Return probability rows (last axis) whose floats sum to exactly one.

        Entries are multiples of 2 ** -20. One more number per row says how concentrated it is,
        from a uniform draw of weights to nearly a point mass; small weights are set to zero, so
        that sparse rows and point masses are reached.
        """
        sizes = (shape,) if isinstance(shape, int) else shape
        rows = self.uniform((*sizes[:-1], sizes[-1] + 1))
        powers = np.take(
            _POWERS, np.minimum(rows[..., 0] * len(_POWERS), len(_POWERS) - 1).astype(int)
        )
        with np.errstate(under="ignore"):
            top = np.maximum(rows[..., 1:].max(axis=-1, keepdims=True), 2.0**-40)
            weights = np.minimum(rows[..., 1:] / top, 1.0) ** powers[..., None]
        weights[weights < _NEGLIGIBLE] = 0.0
        largest = weights.argmax(axis=-1, keepdims=True)
        np.put_along_axis(
            weights, largest, np.maximum(weights.max(axis=-1, keepdims=True), _NEGLIGIBLE), -1
        )
        whole = 2.0**SIMPLEX_BITS
        parts = np.floor(weights / weights.sum(axis=-1, keepdims=True) * whole)
        rest = whole - parts.sum(axis=-1, keepdims=True)
        np.put_along_axis(parts, largest, np.take_along_axis(parts, largest, -1) + rest, -1)
        return np.asarray(parts / whole)
