"""Advantages of a group of responses: what weight functions read, and the baselines in common use.

Functions take a `Group` of arrays (..., G) of NumPy or JAX, or of Fractions where no root is drawn.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.analysis.backends import namespace


class Group(NamedTuple):
    """What weight functions may read of G responses to a prompt; arrays of NumPy or JAX.

    rewards, squared_norms (of the scores; off policy times the squared ratio), lengths: (..., G).
    value, optimal, greedy: (..., 1) what is known of the prompt: its expected reward, its
    variance-optimal baseline and the reward of its greedy response. With the scope "batch" a group
    runs across prompts and these are (..., G). What an estimator does not say it reads may be
    None, but for the rewards.
    """

    rewards: Any
    squared_norms: Any = None
    lengths: Any = None
    value: Any = None
    optimal: Any = None
    greedy: Any = None


class Pairwise(NamedTuple):
    """Advantages of the form own[i] - sum over j != i of others[j], arrays (..., G).

    Moments of such estimators have closed forms for groups of any size.
    """

    own: Any
    others: Any


def total(array: Any) -> Any:
    """Return the sum of the entries of (..., G), (..., 1)."""
    return array.sum(axis=-1, keepdims=True)


def others(array: Any) -> Any:
    """Return for each entry of (..., G) the sum of the others."""
    # No difference of sums: next to a large entry small ones would drown in its rounding.
    size = array.shape[-1]
    return array @ (1 - np.eye(size, dtype=np.int64))


def fixed_baseline(baseline: Callable[[Group], Any], *reads: str) -> dict[str, Any]:
    """Return the fields of an estimator whose baseline does not depend on the group."""

    def advantages(group: Group) -> Any:
        return group.rewards - baseline(group)

    def pairwise(group: Group, size: int) -> Pairwise:
        own = advantages(group)
        return Pairwise(own, 0 * own)

    return {"advantages": advantages, "pairwise": pairwise, "reads": ("rewards", *reads)}


def mean_pairwise(group: Group, size: int) -> Pairwise:
    """Return the mean of the group, the own sample included, as a `Pairwise`."""
    share = group.rewards / size
    return Pairwise(group.rewards - share, share)


def left_out(group: Group) -> Any:
    """Subtract the mean of the others."""
    return group.rewards - others(group.rewards) / (group.rewards.shape[-1] - 1)


def left_out_pairwise(group: Group, size: int) -> Pairwise:
    """Return the mean of the others as a `Pairwise`."""
    return Pairwise(group.rewards, group.rewards / (size - 1))


def _weighted_mean(weights: Any, rewards: Any, summed: Callable[[Any], Any], count: int) -> Any:
    """Return the mean of rewards by weights, the plain one where all weights are 0."""
    mass = summed(weights)
    xp = namespace(mass)
    weighted = summed(weights * rewards) / xp.where(mass > 0, mass, mass * 0 + 1)
    return xp.where(mass > 0, weighted, summed(rewards) / count)


def left_out_optimal(group: Group) -> Any:
    """Subtract the average of the other rewards, weighted by the squared norms of their scores."""
    size = group.rewards.shape[-1]
    return group.rewards - _weighted_mean(group.squared_norms, group.rewards, others, size - 1)


def own_optimal(group: Group) -> Any:
    """Subtract the average of all rewards, weighted by the squared norms of their scores."""
    size = group.rewards.shape[-1]
    return group.rewards - _weighted_mean(group.squared_norms, group.rewards, total, size)


def length_weighted(group: Group) -> Any:
    """Subtract the average of the rewards, weighted by lengths."""
    return group.rewards - total(group.lengths * group.rewards) / total(group.lengths)


def centred(group: Group) -> Any:
    """Subtract the mean of the group."""
    return group.rewards - total(group.rewards) / group.rewards.shape[-1]


def standardised(epsilon: float = 0.0, *, bessel: bool = False) -> Callable[[Group], Any]:
    """Return the advantages (r - mean) / (std + epsilon) of a group, zero where all rewards agree.

    bessel: divide squares by G - 1 in place of G.
    """
    check_range(epsilon, "epsilon", 0.0, np.inf)

    def advantages(group: Group) -> Any:
        size = group.rewards.shape[-1]
        squares_over = max(size - 1, 1) if bessel else size
        return _standard(group.rewards, centred(group), 1.0, squares_over, epsilon)

    return advantages


def token_standardised(epsilon: float = 0.0) -> Callable[[Group], Any]:
    """Return the advantages (r - mean) / (std + epsilon), both taken over the tokens of a group.

    A response counts as often as it is long. Zero where all rewards agree.
    """
    check_range(epsilon, "epsilon", 0.0, np.inf)

    def advantages(group: Group) -> Any:
        tokens = total(group.lengths)
        return _standard(group.rewards, length_weighted(group), group.lengths, tokens, epsilon)

    return advantages


def _standard(rewards: Any, away: Any, counts: Any, number: Any, epsilon: float) -> Any:
    """Return away / (sqrt(sum of counts * away^2 / number) + epsilon), 0 for equal rewards."""
    xp = namespace(rewards)
    span = rewards.max(axis=-1, keepdims=True) - rewards.min(axis=-1, keepdims=True)
    # Equal rewards leave rounding noise in the centre, which must not be divided by itself.
    varied = span > 0
    # In units of the span squares neither overflow nor vanish.
    span = xp.where(varied, span, 1.0)
    unit = away / span
    squares = total(counts * unit * unit) / number
    return xp.where(varied, unit / (xp.sqrt(xp.where(varied, squares, 1.0)) + epsilon / span), 0.0)
