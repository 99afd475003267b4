"""The American put option on a binomial lattice, with hat functions of the price as features.

Each step the holder of the right to sell at the strike may sell and be paid what the price lacks to
it, or wait while the price moves up or down by two percent. The features do not fit exactly.
Source: Liu and Xu (2024), section 7, and its public code, where every run draws one first price
uniformly from [95, 105] and keeps it; here first prices are given. Zhou et al. (2021) for the
setting.
"""

from collections.abc import Sequence

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.tabular.mdp import EpisodicMDP

WAIT, SELL = 0, 1
_UP, _DOWN = 1.02, 0.98
_FIRST_ANCHOR, _RANGE = 80.0, 100.0


def american_put(
    *,
    up_probability: float = 0.5,
    dimension: int = 20,
    horizon: int = 10,
    strike: float = 100.0,
    starts: Sequence[float] | FloatArray = (95.0, 97.5, 100.0, 102.5, 105.0),
) -> FeatureMDP:
    """Return the option with H = `horizon` decisions, started from one of `starts` at random.

    up_probability: of a step up. dimension d: hat functions max(0, 1 - |price - anchor| / width)
    of waiting, at anchors 80, 80 + width, ..., width = 100 / d; selling has no features, as what it
    pays is known. States: for each start the nodes of its lattice in order of time, then of steps
    up; last the state after the sale, which is the fail state.

    Raises ValueError naming what does not fit.
    """
    up = check_range(up_probability, "up_probability", 0.0, 1.0)
    d = check_positive_integer(dimension, "dimension")
    steps = check_positive_integer(horizon, "horizon")
    right = check_range(strike, "strike", 0.0, 1e6)
    first = as_float_array(starts, "starts", (None,))
    check_finite(first, "starts")
    if not len(first) or first.min() <= 0:
        raise ValueError(f"starts is {starts!r}; expected positive prices")
    time, ups = np.array([(h, u) for h in range(steps + 1) for u in range(h + 1)]).T
    prices = (first[:, None] * _UP**ups * _DOWN ** (time - ups)).ravel()
    nodes = len(time)
    sold = len(prices)
    kernel = np.zeros((sold + 1, 2, sold + 1))
    kernel[:, SELL, sold] = 1.0
    kernel[sold, WAIT, sold] = 1.0
    below = np.flatnonzero(time < steps)
    # The node after a step down is time + 1 further on, after a step up one more.
    after = below + time[below] + 1
    for start in range(len(first)):
        kernel[start * nodes + below, WAIT, start * nodes + after] = 1.0 - up
        kernel[start * nodes + below, WAIT, start * nodes + after + 1] = up
    last = (np.arange(len(first))[:, None] * nodes + np.flatnonzero(time == steps)).ravel()
    kernel[last, WAIT, sold] = 1.0
    rewards = np.zeros((sold + 1, 2))
    rewards[:sold, SELL] = np.maximum(right - prices, 0.0)
    features = np.zeros((sold + 1, 2, d))
    width = _RANGE / d
    anchors = _FIRST_ANCHOR + width * np.arange(d)
    features[:sold, WAIT] = np.maximum(0.0, 1.0 - np.abs(prices[:, None] - anchors) / width)
    initial = np.zeros(sold + 1)
    initial[np.arange(len(first)) * nodes] = 1.0 / len(first)
    mdp = EpisodicMDP.stationary(kernel, rewards, steps, initial)
    return FeatureMDP(mdp, features, fail_state=sold)
