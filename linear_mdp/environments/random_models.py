"""Random linear MDPs of any size, with the coverage and the gap that one asks for.

Coverage. Each factor has an anchor, a state all of whose actions draw that factor. Every measure
and the initial distribution put a share `coverage` = c on the anchors, evenly. Whatever is done, an
anchor is then the state with probability c / d at least, and the second moment of the features is
at least (c / d) I. No features on the simplex have more than I / d, as their squares sum to 1 at
most.

Gap. An action of another state is a mixture of a part common to the state and, with weight
1/2 to 1, one factor. The values of factors, rewards included, are a number for the step plus
levels in [0, 1/2] which are 2 gap apart, so that different values of actions are gap apart. Rewards
are what is left of them: weights = levels + number - measures @ next values. Next values range over
1/2 at most as levels do, so do their expectations, and weights fit into [0, 1].
Source: worked out here; anchors after Yang and Wang (2019).
"""

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_range,
)
from rltheory.linear_mdp.mdp import LinearMDP

_LEVELS = 0.5
_LEAST_WEIGHT = 0.5
_FINEST = 2.0**-52
"""Levels that are closer are the same to rounding."""


def random_linear_mdp(
    states: int = 50,
    actions: int = 4,
    *,
    dimension: int = 8,
    horizon: int = 5,
    seed: int | np.random.Generator,
    coverage: float = 0.5,
    gap: float = 0.0,
    failure: float | None = None,
    concentration: float = 0.1,
) -> LinearMDP:
    """Draw a linear MDP with features on the simplex and rewards in [0, 1].

    coverage c in [0, 1]: under every policy, the least eigenvalue of E[features features'] at step
    h, from 0, is at least (c / d) (1 - failure)^h, 1 / d being the most there can be. gap in
    [0, 1/4]: every action that is not optimal at its state and step is worse by at least this, up
    to rounding. failure: probability of going to a fail state in a step, by each factor but the
    last, which is the fail state's own; None for a model without a fail state. concentration:
    >= 0.001, of the Dirichlet distribution of the measures; smaller is closer to single states.

    States 0 to d - 1 are the factors' anchors, and the fail state is d - 1. All actions are the
    same there. Raises ValueError naming what does not fit.
    """
    count = check_positive_integer(states, "states")
    choices = check_positive_integer(actions, "actions")
    d = check_positive_integer(dimension, "dimension")
    steps = check_positive_integer(horizon, "horizon")
    rng = as_generator(seed)
    share = check_range(coverage, "coverage", 0.0, 1.0)
    apart = check_range(gap, "gap", 0.0, _LEVELS * _LEAST_WEIGHT) / _LEAST_WEIGHT
    alpha = check_range(concentration, "concentration", 1e-3, 1e6)
    # Factors and states but those of failing come first in their order.
    live = d if failure is None else d - 1
    if live < 1:
        raise ValueError(f"dimension is {d}; expected at least 2, as the fail state has its own")
    if count < d:
        raise ValueError(f"states is {count}; expected at least dimension = {d}, for the anchors")
    alive = np.delete(np.arange(count), np.arange(live, d))

    features = _features(rng, (count, choices, d), live)
    measures = np.zeros((steps, d, count))
    fails = 0.0
    if failure is not None:
        fails = check_range(failure, "failure", 0.0, 1.0)
        measures[:, :live, live] = fails
        measures[:, live, live] = 1.0
    drawn = rng.dirichlet(np.full(len(alive), alpha), size=(steps, live))
    drawn *= (1.0 - fails) * (1.0 - share)
    drawn[:, :, :live] += (1.0 - fails) * share / live
    measures[:, :live, alive] = drawn
    initial = np.zeros(count)
    initial[alive] = (1.0 - share) * rng.dirichlet(np.ones(len(alive)))
    initial[:d] += share / d
    weights = _weights(rng, features, measures, live, apart)
    fail = None if failure is None else live
    return LinearMDP(features, measures, weights, initial, fail)


def _features(rng: np.random.Generator, shape: tuple[int, int, int], live: int) -> FloatArray:
    """Draw features; in a state actions have different factors as far as there are enough."""
    states, actions, d = shape
    weight = rng.uniform(_LEAST_WEIGHT, 1.0, size=states)
    features = np.zeros(shape)
    common = rng.dirichlet(np.ones(live), size=states) * (1.0 - weight)[:, None]
    features[:, :, :live] = common[:, None, :]
    orders = rng.permuted(np.tile(np.arange(live), (states, 1)), axis=1)
    own = orders[:, np.arange(actions) % live]
    features[np.arange(states)[:, None], np.arange(actions), own] += weight[:, None]
    features[:d] = np.eye(d)[:, None]
    return features


def _weights(
    rng: np.random.Generator, features: FloatArray, measures: FloatArray, live: int, apart: float
) -> FloatArray:
    """Return reward weights (H, d) that give factors their levels, `apart` or more."""
    horizon, d, states = measures.shape
    weights = np.zeros((horizon, d))
    values = np.zeros(states)
    grid = max(apart, _FINEST)
    for h in reversed(range(horizon)):
        levels = grid * rng.integers(0, int(_LEVELS / grid), size=live, endpoint=True)
        beyond = measures[h, :live] @ values
        left = levels - beyond
        # The least number for which no reward is negative.
        weights[h, :live] = np.clip(left - left.min(), 0.0, 1.0)
        values = (features[:, :, :live] @ (weights[h, :live] + beyond)).max(axis=1)
    return weights
