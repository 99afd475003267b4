r"""Expectations over groups of independent draws, by counting multisets of types.

What an estimator reads of a response is its type. Weights depend on a group through the types of
its members only, so that the expectation over n^G groups is one over the C(c + G - 1, G) multisets
of c types, each with its multinomial probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, islice
from math import comb, factorial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray

MOST_MULTISETS = 3 * 10**6
"""Enumerations of more groups than this are refused."""

_CHUNK = 2**16


@dataclass(frozen=True, eq=False)
class Types:
    """The types of some responses: of[i] is that of response i, first[c] a response of type c.

    masses: (c,) probabilities of the types. Responses that are never drawn have type -1.
    """

    of: IntArray
    first: IntArray
    masses: NDArray[Any]

    def multisets(self, size: int) -> int:
        """Return the number of multisets of `size` members."""
        return comb(len(self.first) + size - 1, size)


class Groups(NamedTuple):
    """A chunk of multisets: types (B, G), sorted, and their probabilities (B,)."""

    types: IntArray
    probabilities: NDArray[Any]


def types_of(labels: list[NDArray[Any]], probabilities: NDArray[Any]) -> Types:
    """Sort responses by their labels, arrays (n,) each, and add up the probabilities (n,)."""
    drawn = np.flatnonzero(probabilities > 0)
    of = np.full(len(probabilities), -1)
    found: dict[tuple[Any, ...], int] = {}
    first: list[int] = []
    for i in drawn:
        key = tuple(label[i] for label in labels)
        if key not in found:
            found[key] = len(first)
            first.append(int(i))
        of[i] = found[key]
    masses = np.zeros(len(first), dtype=probabilities.dtype)
    np.add.at(masses, of[drawn], probabilities[drawn])
    return Types(of, np.array(first, dtype=np.int64), masses)


def enumerate_groups(types: Types, size: int) -> Iterator[Groups]:
    """Yield all multisets of `size` types, in chunks. Raises ValueError if there are too many."""
    count = types.multisets(size)
    if count > MOST_MULTISETS:
        raise ValueError(
            f"group_size {size} makes {count} groups of {len(types.first)} types to enumerate, "
            f"at most {MOST_MULTISETS} are; give smaller groups or fewer different rewards"
        )
    exact = types.masses.dtype == object
    arranged = np.array([factorial(i) for i in range(size + 1)], dtype=object if exact else float)
    draws = combinations_with_replacement(range(len(types.first)), size)
    while True:
        flat = np.fromiter(
            (t for members in islice(draws, _CHUNK) for t in members), dtype=np.int64
        )
        if not len(flat):
            return
        members = flat.reshape(-1, size)
        yield Groups(members, _probabilities(types, members, arranged))


def _probabilities(types: Types, members: IntArray, factorials: NDArray[Any]) -> NDArray[Any]:
    """Multinomial probabilities (B,): G! over the factorials of the runs, times all masses."""
    size = members.shape[1]
    probabilities = factorials[size] * np.prod(types.masses[members], axis=1)
    run = np.ones(len(members), dtype=np.int64)
    for i in range(1, size):
        run = np.where(members[:, i] == members[:, i - 1], run + 1, 1)
        # A run of length k divides by 2 * 3 * ... * k as it grows.
        probabilities = probabilities / (run if factorials.dtype != object else run.astype(object))
    return np.asarray(probabilities)
