r"""Down-sampling of rollouts: the subset of k values with the largest variance (D3S, PODS).

A subset of largest variance takes the i smallest and the k - i largest values for some i, because
variance is convex in each member: sort, take prefix sums, and try every i, in O(n log n).
Sources: Xu et al. (2025), "Not All Rollouts are Useful", Lemma 3.1; Wang et al. (2025), "Learning
More with Less" (D3S). The guarantee of `variance_kept_at_least` is derived here.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
    check_shape,
)
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.weights import Estimator


class Subset(NamedTuple):
    """Members of largest variance: their indices (k,), ascending in value, and what they hold.

    low: how many of them are the smallest values; variance: population variance (divided by k).
    """

    indices: IntArray
    low: int
    variance: Any


def largest_variance_subset(values: ArrayLike, size: int) -> Subset:
    """Return the subset of `size` values whose population variance is largest, in O(n log n).

    values: (n,), floats, or Fractions for an exact answer. Of equally good splits the one with
    fewest small values is taken, of equal values those first in order.
    Raises ValueError if size is not in 1 to n or an entry is not finite.
    """
    array = np.asarray(values)
    floats = as_float_array(array, "values", (None,))
    check_finite(floats, "values")
    array = array if array.dtype == object else floats
    _check_size(size, len(array))
    order = np.argsort(array, kind="stable")
    variances = _split_variances(array[order][None], size)[0]
    low = int(variances.argmax())
    chosen = np.concatenate([order[:low], order[len(array) - size + low :]])
    return Subset(chosen, low, variances[low])


def variance_kept_at_least(size: int) -> Fraction:
    """Return the share of the variance of all values that the best `size` of them always keep.

    1 for even sizes, 1 - 1 / size^2 for odd ones, both attained; population variances. With sums
    of squares divided by one less than the number of values the share is 1 for every size.
    """
    check_positive_integer(size, "size")
    return 1 - Fraction(size % 2, size * size)


def down_sampled(size: int) -> Estimator:
    """Return the group mean estimator on the `size` rewards of largest variance in each group.

    The advantage of a member is its reward less the mean of the chosen ones; the others have
    none. Where some of several equal rewards are chosen, these share what they are due, as on
    average over random choices: the mean of the estimate is exact, its variance without the
    variance of the choice. Arrays of NumPy, rational.
    """
    check_positive_integer(size, "size")

    def advantages(group: Group) -> NDArray[Any]:
        rewards = np.asarray(group.rewards)
        return np.asarray(_centred_on_chosen(rewards, size) * rewards.shape[-1] / size)

    return Estimator(
        name="down-sampled",
        title=f"Down-sampled to {size}",
        source="Xu et al. (2025), Lemma 3.1; Wang et al. (2025)",
        advantages=advantages,
        smallest=size,
    )


def down_sampled_batch(advantages: Sequence[ArrayLike], size: int) -> list[IntArray]:
    """Return which members of each group are in the one subset of a whole batch (D3S).

    Advantages are those of groups normalised each by itself, arrays (G,); the subset of `size` is
    chosen across groups, so that a group may keep none. Errors as `largest_variance_subset`.
    """
    groups = [as_float_array(group, "advantages", (None,)) for group in advantages]
    if not groups:
        raise ValueError("advantages is empty; expected at least one group")
    chosen = largest_variance_subset(np.concatenate(groups), size).indices
    starts = np.cumsum([0, *(len(group) for group in groups)])
    return [np.sort(chosen[(chosen >= a) & (chosen < b)] - a) for a, b in pairwise(starts)]


def chosen_tokens(advantages: ArrayLike, entropies: ArrayLike, share: float) -> NDArray[np.bool_]:
    """Return which tokens are among the share with the largest |A| times entropy, (n,) bools.

    advantages, entropies: (n,), entropies of the whole vocabulary, nonnegative; share in [0, 1],
    of n rounded up. Of equal tokens those first in order are taken.
    """
    signals = as_float_array(advantages, "advantages", (None,))
    spreads = as_float_array(entropies, "entropies")
    check_shape(spreads, "entropies", signals.shape)
    check_finite(signals, "advantages")
    check_finite(spreads, "entropies")
    if len(spreads) and spreads.min() < 0:
        raise ValueError(f"entropies[{spreads.argmin()}] is {spreads.min()}; expected >= 0")
    count = int(np.ceil(check_range(share, "share", 0.0, 1.0) * len(signals) - 1e-9))
    order = np.argsort(-np.abs(signals) * spreads, kind="stable")
    chosen = np.zeros(len(signals), dtype=bool)
    chosen[order[:count]] = True
    return chosen


def schedule(progress: float, start: ArrayLike, end: ArrayLike) -> FloatArray:
    """Return (1 - p) start + p end: how many rollouts and which share of tokens to keep.

    progress: p in [0, 1]; start, end: arrays of one shape.
    """
    first, last = as_float_array(start, "start"), as_float_array(end, "end")
    check_shape(last, "end", first.shape)
    p = check_range(progress, "progress", 0.0, 1.0)
    return np.asarray((1.0 - p) * first + p * last)


def _check_size(size: int, count: int) -> None:
    check_positive_integer(size, "size")
    if size > count:
        raise ValueError(f"size is {size}; expected at most {count}, the number of values")


def _split_variances(ordered: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the variances (B, k + 1) of i smallest and k - i largest of sorted rows (B, n)."""
    n = ordered.shape[1]
    # Centred first, so that squares do not cancel.
    centred = ordered - ordered.sum(axis=1, keepdims=True) / n
    zero = 0 * centred[:, :1]
    sums = np.concatenate([zero, np.cumsum(centred, axis=1)], axis=1)
    squares = np.concatenate([zero, np.cumsum(centred * centred, axis=1)], axis=1)
    low = np.arange(size + 1)
    total = sums[:, low] + sums[:, [n]] - sums[:, n - size + low]
    second = squares[:, low] + squares[:, [n]] - squares[:, n - size + low]
    return np.asarray(second / size - (total / size) ** 2)


def _centred_on_chosen(rewards: NDArray[Any], size: int) -> NDArray[Any]:
    """Return rewards (..., G) less the mean of the chosen, times the share of those chosen."""
    rows = rewards.reshape(-1, rewards.shape[-1])
    n = rows.shape[1]
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    low = _split_variances(ordered, size).argmax(axis=1)[:, None]
    place = np.arange(n)
    taken = (place < low) | (place >= n - size + low)
    mean = np.where(taken, ordered, 0 * ordered).sum(axis=1, keepdims=True) / size
    equal = ordered[:, :, None] == ordered[:, None, :]
    dtype = rows.dtype
    shares = (equal & taken[:, None, :]).sum(axis=2).astype(dtype)
    found = (ordered - mean) * shares / equal.sum(axis=2).astype(dtype)
    result = np.empty_like(found)
    np.put_along_axis(result, order, found, axis=1)
    return np.asarray(result.reshape(rewards.shape))
