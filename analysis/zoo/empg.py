r"""EMPG: how large a score is tells the policy's entropy; advantages are modulated by the latter.

For a softmax over logits E ||grad log pi||^2 = 1 - sum p^2 = 1 - exp(-H_2), with Renyi's entropy of
order two. The modulated advantage of step t is A g(H_t) + zeta f(H_{t+1}), less its batch mean.
Source: Wang et al. (2025), "Harnessing Uncertainty", Proposition 1.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.zoo.entropy import collision_probability, shannon_entropy


def expected_squared_score(policy: ArrayLike) -> NDArray[Any]:
    """Return E ||grad log pi(a)||^2 by the logits, 1 - sum p^2, (...); Fractions stay so."""
    return np.asarray(1 - collision_probability(policy))


def normalised(entropies: FloatArray) -> FloatArray:
    """Return entropies scaled to [0, 1] by their least and largest; zeros if all are equal."""
    low, high = entropies.min(), entropies.max()
    return np.asarray((entropies - low) / (high - low) if high > low else 0.0 * entropies)


def modulation(
    entropies: ArrayLike, *, masses: ArrayLike | None = None, sharpness: float = 1.0
) -> FloatArray:
    """Return g = exp(-k h) / mean exp(-k h), h the normalised entropies, of one shape.

    masses: weights of the steps in the mean, all equal by default; the mean of g is one. Steps
    without mass do not take part. sharpness: k >= 0. Raises ValueError naming what does not fit.
    """
    levels, weights = _batch(entropies, masses)
    k = check_range(sharpness, "sharpness", 0.0, np.inf, include_high=False)
    heights = _spread(levels, weights)
    factors = np.exp(-k * heights)
    return np.asarray(factors * weights.sum() / (weights * factors).sum())


def clarity(
    entropies: ArrayLike, *, masses: ArrayLike | None = None, sharpness: float = 1.0
) -> FloatArray:
    """Return f = exp(-k' h), what a step gains by leading to one of low entropy, of one shape."""
    levels, weights = _batch(entropies, masses)
    k = check_range(sharpness, "sharpness", 0.0, np.inf, include_high=False)
    return np.asarray(np.exp(-k * _spread(levels, weights)))


def modulated_advantages(
    advantages: ArrayLike,
    entropies: ArrayLike,
    *,
    masses: ArrayLike | None = None,
    sharpness: float = 1.0,
    clarity_sharpness: float = 1.0,
    clarity_weight: float = 0.05,
) -> FloatArray:
    """Return the modulated advantages (n, T), of mean zero over the batch.

    advantages: (n,) of responses; entropies: (n, T) of their steps; masses: (n, T) weights of the
    steps, zero past the end. A last step leads nowhere and gains no clarity.
    """
    gains = as_float_array(advantages, "advantages", (None,))
    check_finite(gains, "advantages")
    levels = as_float_array(entropies, "entropies", (len(gains), None))
    levels, weights = _batch(levels, masses)
    zeta = check_range(clarity_weight, "clarity_weight", 0.0, np.inf, include_high=False)
    following = np.zeros(levels.shape)
    leads = weights[:, 1:] > 0
    clear = clarity(levels, masses=weights, sharpness=clarity_sharpness)
    following[:, :-1] = np.where(leads, clear[:, 1:], 0.0)
    found = modulation(levels, masses=weights, sharpness=sharpness) * gains[:, None]
    found = found + zeta * following
    return np.where(weights > 0, found - (weights * found).sum() / weights.sum(), 0.0)


def modulated_gradient(
    model: SamplingModel,
    parameters: FloatArray,
    advantages: ArrayLike,
    *,
    sharpness: float = 1.0,
    clarity_sharpness: float = 1.0,
    clarity_weight: float = 0.05,
) -> FloatArray:
    """Return the exact update (k,) of EMPG: the batch is every response with its probability."""
    outcomes = model.at(parameters)
    choices = outcomes.choices
    assert choices is not None
    there = model.rows >= 0
    entropies = np.where(there, shannon_entropy(choices.policy)[model.rows], 0.0)
    found = modulated_advantages(
        advantages,
        entropies,
        masses=np.where(there, outcomes.joint[:, None], 0.0),
        sharpness=sharpness,
        clarity_sharpness=clarity_sharpness,
        clarity_weight=clarity_weight,
    )
    return np.asarray(choices.scores(found).T @ outcomes.joint)


def _batch(entropies: ArrayLike, masses: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    levels = as_float_array(entropies, "entropies")
    check_finite(levels, "entropies")
    weights = np.ones(levels.shape)
    if masses is not None:
        weights = as_float_array(masses, "masses", levels.shape)
        check_finite(weights, "masses")
    if not weights.size or weights.min() < 0 or weights.max() <= 0:
        raise ValueError("masses must be >= 0 with a positive entry; a batch holds some step")
    return levels, weights


def _spread(levels: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the entropies of steps with mass, normalised; zero for the others."""
    heights = np.zeros(levels.shape)
    heights[weights > 0] = normalised(levels[weights > 0])
    return heights
