r"""Variance-optimal baselines of score-function estimators, exactly.

For g (r - b) with E g = 0 the trace of the covariance is E ||g||^2 (r - b)^2 - ||grad J||^2, a
parabola in b with its least at b* = E[||g||^2 r] / E[||g||^2].
Sources: Greensmith, Bartlett and Baxter (2004), Theorem 8; Huang, Sheng and Zheng (2025).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.estimators.outcomes import Outcomes


def optimal_baseline(*, probabilities: ArrayLike, scores: ArrayLike, rewards: ArrayLike) -> Any:
    """Return the scalar b* = sum p ||g||^2 r / sum p ||g||^2 of one prompt.

    probabilities (n,), scores (n, k), rewards (n,); a Fraction if they hold Fractions, else a
    float. Where every score of positive probability is zero, all baselines are as good, and the
    expected reward is returned. Raises ValueError as `Outcomes` does.
    """
    outcomes = Outcomes(
        probabilities=np.asarray(probabilities),
        scores=scores if sparse.issparse(scores) else np.asarray(scores),
        rewards=np.asarray(rewards),
    )
    return optimal_baselines(outcomes)[0]


def optimal_baselines(outcomes: Outcomes) -> NDArray[Any]:
    """Return the variance-optimal baseline (m,) of each prompt."""
    norms = outcomes.given_prompt(outcomes.squared_norms)
    weighted = outcomes.given_prompt(outcomes.squared_norms * outcomes.rewards)
    return np.where(norms > 0, weighted / np.where(norms > 0, norms, 1), outcomes.values)


def global_baseline(outcomes: Outcomes) -> Any:
    """Return the best single baseline for all prompts together, a number.

    It minimises E ||g||^2 (r - b)^2 over prompts and responses.
    """
    return optimal_baselines(outcomes.as_one_prompt())[0]


def coordinate_baselines(outcomes: Outcomes) -> NDArray[Any]:
    """Return the optimal baseline of each prompt and coordinate, (m, k).

    b*[x, j] = E[g_j^2 r | x] / E[g_j^2 | x], the expected reward where g_j is always zero.
    Source: Peters and Schaal (2008), equation 18.
    """
    starts = outcomes.starts
    scores = outcomes.scores.toarray() if sparse.issparse(outcomes.scores) else outcomes.scores
    masses = outcomes.probabilities[:, None] * scores * scores
    norms = np.add.reduceat(masses, starts[:-1], axis=0)
    weighted = np.add.reduceat(masses * outcomes.rewards[:, None], starts[:-1], axis=0)
    spare = np.broadcast_to(outcomes.values[:, None], norms.shape)
    return np.where(norms > 0, weighted / np.where(norms > 0, norms, 1), spare)


def baseline_excess(outcomes: Outcomes, baselines: NDArray[Any]) -> Any:
    """Return how much the variance of one sample exceeds the least, with baselines (m,).

    It is the sum over x of d(x) (b(x) - b*(x))^2 E[||g||^2 | x].
    """
    norms = outcomes.given_prompt(outcomes.squared_norms)
    away = baselines - optimal_baselines(outcomes)
    return outcomes.weights @ (away * away * norms)
