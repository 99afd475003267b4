"""The American put on a recombining binomial lattice, as a finite-horizon MDP.

Source: Cox, Ross and Rubinstein (1979).
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.tabular.mdp import EpisodicMDP


def american_put(
    horizon: int = 10,
    *,
    start: ArrayLike = 100.0,
    strike: float = 100.0,
    up: float = 1.02,
    down: float = 0.98,
    probability: float = 0.5,
    discount: float = 1.0,
) -> EpisodicMDP:
    """Build the American put on a recombining binomial lattice, every node a state.

    At each of `horizon` times the holder keeps the option (action 0) or exercises it (action 1)
    for max(0, strike - price); an option kept past the last time is worthless. The price starts
    at one of `start`, uniformly, and moves by the factor `up` with `probability`, else `down`.
    discount: in (0, 1], of money one step later; rewards are in money of the first time.

    Returns a stationary EpisodicMDP: the nodes by time, start and number of ups, see
    `american_put_prices`; then one state for an option that is gone. The kernel is dense, with
    horizon^4 / 2 entries for one start. Raises ValueError unless
    0 < down < up, and for prices that are not positive.
    Source: Cox, Ross and Rubinstein (1979); these numbers from Liu and Xu (2024), after
    Tamar et al. (2014).
    """
    prices = american_put_prices(horizon, start=start, up=up, down=down)
    chance = check_range(probability, "probability", 0.0, 1.0)
    money = check_range(discount, "discount", 0.0, 1.0)
    check_finite(as_float_array(strike, "strike", ()), "strike")
    chains, nodes = np.size(start), len(prices)
    gone = nodes
    time, lattice, ups = _lattice(horizon, chains)
    following = _node(time + 1, lattice, ups, chains)
    last = time == horizon - 1
    kernel = np.zeros((nodes + 1, 2, nodes + 1))
    node = np.arange(nodes)
    kernel[node, 0, np.where(last, gone, following + 1)] += chance
    kernel[node, 0, np.where(last, gone, following)] += 1.0 - chance
    kernel[:, 1, gone] = 1.0
    kernel[gone, 0, gone] = 1.0
    rewards = np.zeros((nodes + 1, 2))
    rewards[:nodes, 1] = money**time * np.maximum(0.0, strike - prices)
    initial = np.zeros(nodes + 1)
    initial[:chains] = 1.0 / chains
    return EpisodicMDP.stationary(kernel, rewards, horizon, initial)


def american_put_prices(
    horizon: int = 10, *, start: ArrayLike = 100.0, up: float = 1.02, down: float = 0.98
) -> FloatArray:
    """Return the price at each node of `american_put`, shape (states - 1,), in its order."""
    steps = check_positive_integer(horizon, "horizon")
    first = np.atleast_1d(as_float_array(start, "start"))
    if first.ndim != 1 or not len(first) or not (np.isfinite(first) & (first > 0)).all():
        raise ValueError(f"start is {start!r}; expected one positive price or a list of them")
    check_range(up, "up", 0.0, np.inf)
    check_range(down, "down", 0.0, np.inf)
    if not 0.0 < down < up < np.inf:
        raise ValueError(f"down is {down} and up is {up}; expected 0 < down < up")
    time, lattice, ups = _lattice(steps, len(first))
    return np.asarray(first[lattice] * float(up) ** ups * float(down) ** (time - ups))


def _lattice(horizon: int, chains: int) -> tuple[Any, Any, Any]:
    """Return time, index of the start and number of ups of each node, in order."""
    time = np.repeat(np.arange(horizon), chains * np.arange(1, horizon + 1))
    within = np.arange(len(time)) - _node(time, 0, 0, chains)
    return time, within // (time + 1), within % (time + 1)


def _node(time: Any, lattice: Any, ups: Any, chains: int) -> Any:
    return chains * time * (time + 1) // 2 + lattice * (time + 1) + ups
