r"""Expectations over groups of independent draws, by counting multisets of types.

What an estimator reads of a response is its type. Weights depend on a group through the types of
its members only, so that the expectation over n^G groups is one over the C(c + G - 1, G) multisets
of c types, each with its multinomial probability.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray

MOST_MULTISETS = 3 * 10**6
"""Enumerations of more groups than this are refused."""

_CHUNK = 2**20
"""Members of the groups that are held at once."""


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
            f"at most {MOST_MULTISETS} are (a type is what the estimator reads of a response: "
            "rewards, lengths, norms); give smaller groups or outcomes of fewer types"
        )
    chunk = max(1, _CHUNK // size)
    for start in range(0, count, chunk):
        members = _unranked(np.arange(start, min(start + chunk, count)), len(types.first), size)
        yield Groups(members, _probabilities(types, members))


def _unranked(ranks: IntArray, types: int, size: int) -> IntArray:
    """Return the multisets of these ranks in lexicographic order, (B, size), each sorted."""
    members = np.empty((len(ranks), size), dtype=np.int64)
    least = np.zeros(len(ranks), dtype=np.int64)
    for i in range(size):
        rest = size - i - 1
        # before[v]: how many multisets of rest + 1 members have their least member below v.
        before = np.cumsum([0] + [comb(types - v + rest - 1, rest) for v in range(types)])
        ranks = ranks + before[least]
        least = np.searchsorted(before, ranks, side="right") - 1
        ranks = ranks - before[least]
        members[:, i] = least
    return members


def _probabilities(types: Types, members: IntArray) -> NDArray[Any]:
    """Multinomial probabilities (B,): G! over the factorials of the runs, times all masses."""
    run = np.ones(len(members), dtype=np.int64)
    exact = types.masses.dtype == object
    total: Any = 1 if exact else 0.0
    for i in range(members.shape[1]):
        if i:
            run = np.where(members[:, i] == members[:, i - 1], run + 1, 1)
        # As i + 1 makes the factorial of G, a run of length k divides by 2 * 3 * ... * k.
        factor = types.masses[members[:, i]] * (i + 1) / (run.astype(object) if exact else run)
        total = total * factor if exact else total + np.log(factor)
    return np.asarray(total if exact else np.exp(total))
