r"""HAPO: advantages, temperatures and clips that differ from token to token by entropy.

The group average runs over tokens, so that responses count by their length; entropies are mapped
to h in [-1, 1], which sets each token's temperature, its share of the advantage and its clip.
`aggregated` isolates what dividing by lengths does to the mean of any estimator.
Source: Liu et al. (2025), arXiv 2509.16591; formulas as in the authors' public code.
"""

from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_positive_integer,
    check_range,
    check_shape,
)
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.weights import GRPO, VALUE, Estimator, Normalisation

LARGEST_ADVANTAGE = 5.0
"""A group with an advantage of at least this size falls back on the mean over responses."""


def _token_centred(group: Group) -> Any:
    lengths = group.lengths
    total = lengths.sum(axis=-1, keepdims=True)
    return group.rewards - (lengths * group.rewards).sum(axis=-1, keepdims=True) / total


def token_advantages(group: Group) -> Any:
    """Return (r - m) / sigma of a group, m and sigma the mean and deviation over all its tokens.

    rewards, lengths: (..., G). Zero where all rewards agree. Where an advantage of a group reaches
    `LARGEST_ADVANTAGE` the group has those of GRPO, as in the public code.
    """
    centred = np.asarray(_token_centred(group), dtype=float)
    rewards, lengths = np.asarray(group.rewards, dtype=float), np.asarray(group.lengths)
    squares = (lengths * centred**2).sum(axis=-1, keepdims=True)
    varied = rewards.max(axis=-1, keepdims=True) > rewards.min(axis=-1, keepdims=True)
    variance = np.where(varied, squares / lengths.sum(axis=-1, keepdims=True), 1.0)
    found = np.where(varied, centred / np.sqrt(variance), 0.0)
    if rewards.shape[-1] == 1:
        return found
    wild = np.abs(found).max(axis=-1, keepdims=True) >= LARGEST_ADVANTAGE
    return np.where(wild, GRPO.advantages(Group(rewards)), found)


TOKEN_MEAN = Estimator(
    name="token-mean",
    title="Mean over tokens",
    source="Liu et al. (2025), arXiv 2509.16591; the baseline of Hao et al. (2025)",
    advantages=_token_centred,
    reads=("rewards", "lengths"),
    normalisation="token",
)
"""HAPO's baseline and normalisation without its divisor: rational."""

HAPO = replace(
    TOKEN_MEAN,
    name="hapo",
    title="HAPO's group average",
    source="Liu et al. (2025), arXiv 2509.16591",
    advantages=token_advantages,
    rational=False,
    smallest=2,
)


def aggregated(normalisation: Normalisation, estimator: Estimator = VALUE) -> Estimator:
    """Return an estimator whose sum over a group is divided in another way.

    normalisation: the "group" size (unbiased where the estimator was), that and the length of each
    "response" (GRPO, GSPO, SAPO), or the number of "token"s of the group (DAPO, HAPO).
    Raises ValueError for another name.
    """
    _check_normalisation(normalisation)
    # Closed forms know the group's size only.
    pairwise = estimator.pairwise if normalisation == "group" else None
    return replace(
        estimator,
        name=f"{estimator.name}/{normalisation}",
        title=f"{estimator.title}, by {normalisation}",
        normalisation=normalisation,
        pairwise=pairwise,
    )


def length_weights(
    probabilities: ArrayLike, lengths: ArrayLike, normalisation: Normalisation, group_size: int
) -> FloatArray:
    """Return what the mean of a normalised estimate multiplies each response by, (n,).

    With a baseline that does not depend on the group, E of the estimate is the sum over responses
    of probability, advantage, score and this weight: 1 for "group", 1 / length for "response",
    E[G / (length + lengths of G - 1 others)] for "token", by convolution for any group size.
    probabilities: (n,) of the responses to a prompt; lengths: (n,) integers of at least 1.
    """
    masses = as_float_array(probabilities, "probabilities", (None,))
    check_distributions(masses, "probabilities")
    counts = np.asarray(lengths)
    check_shape(counts, "lengths", masses.shape)
    if counts.dtype.kind not in "iu" or counts.min() < 1:
        raise ValueError("lengths must be integers of at least 1")
    size = check_positive_integer(group_size, "group_size")
    _check_normalisation(normalisation)
    if normalisation == "group":
        return np.ones(len(masses))
    if normalisation == "response":
        return np.asarray(1.0 / counts)
    single, law = np.bincount(counts, masses), np.ones(1)
    for _ in range(size - 1):
        law = np.convolve(law, single)
    return np.asarray((size / (counts[:, None] + np.arange(len(law)))) @ law)


def relative_entropies(entropies: ArrayLike, *, quantile: float = 0.8) -> FloatArray:
    """Return h (n,) in [-1, 1]: 0 at the quantile of the log entropies, -1 and 1 at their ends.

    Positive parts are divided by the largest, negative ones by the size of the least. (The public
    code divides by the least itself, which leaves no h below 0.)
    entropies: (n,) positive. Raises ValueError naming what does not fit.
    """
    table = as_float_array(entropies, "entropies", (None,))
    check_finite(table, "entropies")
    if not table.size or table.min() <= 0:
        raise ValueError("entropies must be one or more positive numbers")
    logs = np.log(table)
    away = logs - np.quantile(logs, check_range(quantile, "quantile", 0.0, 1.0))
    top, bottom = max(away.max(), 0.0), max(-away.min(), 0.0)
    scale = np.where(away > 0, top, bottom)
    return np.asarray(np.divide(away, scale, out=np.zeros_like(away), where=scale > 0))


def temperatures(h: ArrayLike, *, base: float = 1.0, strength: float = 0.05) -> FloatArray:
    """Return the sampling temperatures base (1 + strength h) of tokens, shape of h in [-1, 1]."""
    level = _level(h)
    scale = check_range(strength, "strength", 0.0, 1.0, include_high=False)
    return np.asarray(check_range(base, "base", 0.0, np.inf) * (1.0 + scale * level))


class Band(NamedTuple):
    """The clip of each token, arrays of one shape: ratios in [1 - low, 1 + high]."""

    low: FloatArray
    high: FloatArray


def clip_band(h: ArrayLike, *, low: float = 0.2, high: float = 0.28, strength: float = 1.0) -> Band:
    """Return clips that are wider below for tokens of low entropy, wider above for high ones.

    low (1 - strength h) where h <= 0, high (1 + strength h) where h > 0, the other end unchanged.
    """
    level = _level(h)
    below, above = check_range(low, "low", 0.0, 1.0), check_range(high, "high", 0.0, np.inf)
    scale = check_range(strength, "strength", 0.0, np.inf)
    return Band(
        np.where(level <= 0, below * (1.0 - scale * level), below),
        np.where(level > 0, above * (1.0 + scale * level), above),
    )


def redistributed(
    advantages: ArrayLike,
    h: ArrayLike,
    ratios: ArrayLike,
    *,
    low: float = 0.2,
    high: float = 0.28,
    strength: float = 0.5,
) -> FloatArray:
    """Return the advantages of tokens, A (1 + strength h) for some and A for the others.

    The neutral band is 1 - low / 2 < w < 1 + high / 2. Tokens of high entropy (h > 0) are changed
    outside it, where they have moved; those of low entropy inside it, where they have not.
    advantages, h, ratios: arrays of one shape. Signs are kept for strengths below 1.
    """
    level = _level(h)
    given, moved = as_float_array(advantages, "advantages"), as_float_array(ratios, "ratios")
    for array, name in ((given, "advantages"), (moved, "ratios")):
        if array.shape != level.shape:
            raise ValueError(f"{name} has shape {array.shape}; expected {level.shape}, that of h")
        check_finite(array, name)
    scale = check_range(strength, "strength", 0.0, 1.0, include_high=False)
    neutral: NDArray[np.bool_] = (moved > 1.0 - low / 2) & (moved < 1.0 + high / 2)
    changed = np.where(level > 0, ~neutral, neutral)
    return np.where(changed, given * (1.0 + scale * level), given)


def _check_normalisation(name: str) -> None:
    if name not in get_args(Normalisation):
        raise ValueError(f"normalisation is {name!r}; expected one of {get_args(Normalisation)}")


def _level(h: ArrayLike) -> FloatArray:
    level = as_float_array(h, "h")
    check_finite(level, "h")
    if level.size and np.abs(level).max() > 1:
        raise ValueError(f"h holds {level.ravel()[np.abs(level).argmax()]}; expected -1 to 1")
    return level
