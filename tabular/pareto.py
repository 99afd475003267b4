"""Sets of points to be maximised in several coordinates: dominance, hypervolume, best subsets.

Hypervolumes are cut into slabs along the last coordinate, which needs nothing but sums and
products of differences: exact for Fractions, and for floats off by rounding alone.
Sources: Zitzler and Thiele (1999); Fonseca, Paquete and Lopez-Ibanez (2006) for slicing;
Kuhn, Fonseca, Paquete, Ruzika, Duarte and Figueira (2016) for the path in the plane.
"""

from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import check_finite, check_positive_integer
from rltheory.analysis.rational import FractionArray

Points = NDArray[Any]
"""(n, K) floats or Fractions, one point a row, more being better in every column."""

MOST_SUBSETS = 200_000


def non_dominated(points: ArrayLike | FractionArray) -> NDArray[np.bool_]:
    """Return the mask (n,) of points (n, K) that no other point dominates.

    A point is dominated by one at least as good in every coordinate and better in one; of equal
    points the first counts. Raises ValueError for a wrong shape or an entry that is not finite.
    """
    found = as_points(points, "points")
    kept = np.ones(len(found), dtype=bool)
    for i, point in enumerate(found):
        better = (found >= point).all(axis=1) & kept
        better[i:] &= (found[i:] > point).any(axis=1)
        better[i] = False
        kept[i] = not better.any()
    return kept


def hypervolume(points: ArrayLike | FractionArray, reference: ArrayLike | FractionArray) -> Any:
    """Return the volume that points (n, K) dominate above `reference` (K,), K >= 1.

    A float, to a relative rounding error of order n K 1e-16, or an exact Fraction if both hold
    Fractions. Points that are not above the reference in every coordinate add nothing.
    Takes O(n^(K-1)) slabs. Raises ValueError for a wrong shape or an entry that is not finite.
    """
    found = as_points(points, "points")
    base = _as_reference(reference, found)
    above = found[(found > base).all(axis=1)]
    return _volume(above, base) if len(above) else _zero(found)


def hypervolume_contributions(
    points: ArrayLike | FractionArray, reference: ArrayLike | FractionArray
) -> NDArray[Any]:
    """Return what each of the points (n, K) adds to the hypervolume of the others, (n,).

    Zero for dominated points and for both of two equal ones; floats are differences of
    hypervolumes, hence off by the rounding of these. Raises ValueError as `hypervolume`.
    """
    found = as_points(points, "points")
    total = hypervolume(found, reference)
    others = [np.delete(found, i, axis=0) for i in range(len(found))]
    return np.array(
        [total - (hypervolume(rest, reference) if len(rest) else 0) for rest in others],
        dtype=found.dtype,
    )


def hypervolume_subset(
    points: ArrayLike | FractionArray, size: int, reference: ArrayLike | FractionArray
) -> tuple[int, ...]:
    """Return the indices of `size` points of greatest hypervolume, in increasing order.

    In the plane by a longest path, O(size n^2); beyond by trying all subsets of the points that
    are not dominated. Fewer indices come back where fewer points contribute.
    Raises ValueError for a bad argument, or if there are more than 200,000 subsets to try.
    """
    found = as_points(points, "points")
    count = check_positive_integer(size, "size")
    base = _as_reference(reference, found)
    useful = np.flatnonzero(non_dominated(found) & (found > base).all(axis=1))
    if len(useful) <= count:
        return tuple(int(i) for i in useful)
    if found.shape[1] == 2:
        return _best_path(found, useful, count, base)
    if comb(len(useful), count) > MOST_SUBSETS:
        raise ValueError(
            f"size is {count}: {comb(len(useful), count)} subsets of {len(useful)} points to try; "
            f"expected at most {MOST_SUBSETS}"
        )
    best = max(combinations(useful, count), key=lambda chosen: _volume(found[list(chosen)], base))
    return tuple(int(i) for i in best)


def as_points(points: ArrayLike | FractionArray, name: str) -> Points:
    """Validate and return points (n, K) with n, K >= 1, of floats or Fractions."""
    array: Points = np.asarray(points)
    if array.dtype != object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must be an array of real numbers; got {error}") from None
        if array.ndim == 2:
            check_finite(array, name)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} has shape {array.shape}; expected (points, coordinates)")
    return array


def _as_reference(reference: ArrayLike | FractionArray, points: Points) -> Points:
    base = np.asarray(reference)
    if base.shape != points.shape[1:]:
        raise ValueError(f"reference has shape {base.shape}; expected {points.shape[1:]}")
    row: Points = as_points(base[None], "reference")[0]
    return row


def _zero(points: Points) -> Any:
    return points.ravel()[0] * 0


def _volume(points: Points, base: Points) -> Any:
    """Return the hypervolume of points that are all above the base."""
    if points.shape[1] == 1:
        return points[:, 0].max() - base[0]
    if points.shape[1] == 2:
        return _area(points, base)
    order = np.argsort(-points[:, -1], kind="stable")
    ordered = points[order]
    levels = [*ordered[:, -1], base[-1]]
    total = _zero(points)
    for i in range(len(ordered)):
        height = levels[i] - levels[i + 1]
        if height:
            total += height * _volume(ordered[: i + 1, :-1], base[:-1])
    return total


def _area(points: Points, base: Points) -> Any:
    """Return the area in the plane, by one sweep from the right."""
    total, reached = _zero(points), base[1]
    for i in np.argsort(-points[:, 0], kind="stable"):
        if points[i, 1] > reached:
            total += (points[i, 0] - base[0]) * (points[i, 1] - reached)
            reached = points[i, 1]
    return total


def _best_path(points: Points, useful: NDArray[Any], count: int, base: Points) -> tuple[int, ...]:
    """Choose `count` points of a front in the plane: each adds a slab to its left neighbours'.

    Ordered from the right, a point after point j adds its width times what it rises above j.
    """
    order = useful[np.argsort(-points[useful, 0], kind="stable")]
    wide, high = points[order, 0] - base[0], points[order, 1]
    best = [w * (h - base[1]) for w, h in zip(wide, high, strict=True)]
    chains: list[tuple[int, ...]] = [(int(i),) for i in order]
    for _ in range(count - 1):
        # A chain that has just begun cannot be made longer from its left.
        longer = [
            max(
                ((best[j] + wide[i] * (high[i] - high[j]), chains[j]) for j in range(i)
                 if chains[j]),
                key=lambda pair: pair[0],
                default=(_zero(points), ()),
            )
            for i in range(len(order))
        ]  # fmt: skip
        best = [value for value, _ in longer]
        chains = [
            (*chain, int(i)) if chain else () for (_, chain), i in zip(longer, order, strict=True)
        ]
    at = max((i for i in range(len(order)) if chains[i]), key=lambda i: best[i])
    return tuple(sorted(chains[at]))
