r"""Variance-optimal baselines of score-function estimators, exactly.

For g (r - b) with E g = 0 the trace of the covariance is E ||g||^2 (r - b)^2 - ||grad J||^2, a
parabola in b with its least at b* = E[||g||^2 r] / E[||g||^2]. Off policy, where importance
sampling weighs g by the ratio w of the response, it is E[w ||g||^2 r] / E[w ||g||^2].
Sources: Greensmith, Bartlett and Baxter (2004); Huang, Sheng and Zheng (2025).
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import check_shape
from rltheory.analysis.estimators.gates import scaled_rows
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
    norms = outcomes.given_prompt(outcomes.ratios * outcomes.squared_norms)
    weighted = outcomes.given_prompt(outcomes.ratios * outcomes.squared_norms * outcomes.rewards)
    return _quotient(weighted, norms, outcomes.values)


def global_baseline(outcomes: Outcomes) -> Any:
    """Return the best single baseline for all prompts together, a number.

    It minimises E ||g||^2 (r - b)^2 over prompts and responses.
    """
    return optimal_baselines(outcomes.as_one_prompt())[0]


def coordinate_baselines(outcomes: Outcomes) -> NDArray[Any]:
    """Return the optimal baseline of each prompt and coordinate, (m, k).

    b*[x, j] = E[g_j^2 r | x] / E[g_j^2 | x], the expected reward where g_j is always zero.
    Source: Peters and Schaal (2008).
    """
    scores = outcomes.scores
    squares = scores.power(2) if sparse.issparse(scores) else scores * scores
    masses = outcomes.ratios * outcomes.probabilities
    norms = _sums(outcomes, masses, squares)
    weighted = _sums(outcomes, masses * outcomes.rewards, squares)
    return _quotient(weighted, norms, outcomes.values[:, None])


def coordinate_advantages(outcomes: Outcomes) -> Any:
    """Return (r - b*[x, j]) g_j for every outcome and coordinate, (n, k), times its ratio.

    Sparse if the scores are.
    """
    baselines, scores = coordinate_baselines(outcomes), outcomes.scores
    if sparse.issparse(scores):
        table = scores.tocoo()
        advantages = (
            outcomes.rewards[table.row] - baselines[outcomes.prompt_of[table.row], table.col]
        )
        entries = advantages * table.data * outcomes.ratios[table.row]
        return sparse.coo_array((entries, (table.row, table.col)), shape=scores.shape).tocsr()
    advantages = outcomes.rewards[:, None] - baselines[outcomes.prompt_of]
    return scaled_rows(outcomes.ratios, advantages * scores)


def baseline_excess(outcomes: Outcomes, baselines: ArrayLike) -> Any:
    """Return how much the variance of one sample exceeds the least, with baselines (m,).

    It is the sum over x of d(x) (b(x) - b*(x))^2 E[w ||g||^2 | x], w = 1 on policy.
    Raises ValueError if the baselines do not have the shape (m,).
    """
    given = np.asarray(baselines)
    check_shape(given, "baselines", outcomes.weights.shape)
    norms = outcomes.given_prompt(outcomes.ratios * outcomes.squared_norms)
    away = given - optimal_baselines(outcomes)
    return outcomes.weights @ (away * away * norms)


def _quotient(weighted: NDArray[Any], norms: NDArray[Any], spare: NDArray[Any]) -> NDArray[Any]:
    """Return weighted / norms, and the spare where that is 0 / 0."""
    there = norms > 0
    return np.asarray(np.where(there, weighted / np.where(there, norms, 1), spare))


def _sums(outcomes: Outcomes, weights: NDArray[Any], table: Any) -> NDArray[Any]:
    """Return for each prompt the sum of weights[i] times row i of a table (n, k), (m, k)."""
    parts = [table[a:b].T @ weights[a:b] for a, b in pairwise(outcomes.starts)]
    return np.stack(parts)
