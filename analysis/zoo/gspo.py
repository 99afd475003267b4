r"""GSPO: one ratio for a whole response, the geometric mean of the ratios of its tokens.

s = (pi(y) / behaviour(y))^(1 / |y|) = exp(mean over t of log w_t), clipped as PPO clips w. The gate
itself is `rltheory.analysis.estimators.gates.GSPO_CLIP`; here is what s is and what it loses.
Source: Zheng et al. (2025), "Group Sequence Policy Optimization", equations 5 and 7.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_shape
from rltheory.analysis.estimators.outcomes import Outcomes


class LogRatios(NamedTuple):
    """Mean and population variance of the logarithms of each response's token ratios, (n,) each."""

    mean: FloatArray
    variance: FloatArray


def log_ratios(ratios: ArrayLike, lengths: ArrayLike) -> LogRatios:
    """Return mean and variance of log w_t over the tokens of each response.

    ratios: (n, T) positive, whatever past the end; lengths: (n,) integers in 1 to T.
    Raises ValueError naming the argument that does not fit.
    """
    table = as_float_array(ratios, "ratios", (None, None))
    counts = np.asarray(lengths)
    check_shape(counts, "lengths", table.shape[:1])
    if counts.dtype.kind not in "iu" or np.any((counts < 1) | (counts > table.shape[1])):
        raise ValueError(f"lengths must be integers in 1 to {table.shape[1]}; got {counts}")
    met = np.arange(table.shape[1]) < counts[:, None]
    check_finite(table[met], "ratios")
    if np.any(table[met] <= 0):
        bad = np.argwhere(met & (table <= 0))[0]
        raise ValueError(f"ratios[{bad[0]}, {bad[1]}] is {table[tuple(bad)]}; expected above 0")
    logs = np.log(np.where(met, table, 1.0))
    mean = logs.sum(axis=1) / counts
    spread = np.where(met, logs - mean[:, None], 0.0)
    return LogRatios(mean, (spread * spread).sum(axis=1) / counts)


def sequence_ratios(ratios: ArrayLike, lengths: ArrayLike) -> FloatArray:
    """Return the geometric means s (n,) of token ratios (n, T); errors as `log_ratios`."""
    return np.asarray(np.exp(log_ratios(ratios, lengths).mean))


def expected_ratio(outcomes: Outcomes) -> float:
    """Return E[s] over prompts and the responses that the behaviour draws.

    Importance ratios of whole responses average 1. If all responses have one length, s averages
    at most that (a power of at most 1 is concave); if lengths vary it may average up to 2.
    Raises ValueError for outcomes of several choices that come without them.
    """
    if outcomes.choices is None:
        if np.any(outcomes.lengths != 1):
            raise ValueError("outcomes of length above 1 must come with `choices`")
        ratios = outcomes.ratios.astype(float)[:, None]
    else:
        ratios = outcomes.choices.ratios.astype(float)
    drawn = (outcomes.weights[outcomes.prompt_of] * outcomes.drawn).astype(float)
    met = drawn > 0
    return float(drawn[met] @ sequence_ratios(ratios[met], outcomes.lengths[met]))
