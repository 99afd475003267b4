"""The off-dynamics linear MDP: learn in one world, be tested in a worse one.

Five states, three steps, sixteen actions. From x1 an action leads to x5, which pays, or goes on to
x2 and x3; the fail state x4 pays nothing. In the target world what leads from x1 to x5 leads to x4
with probability q instead. Source: Liu and Xu (2024), section 7, and its public code, whose target
world also drops the small probability 0.001 of failing from x1 by the first factor.
"""

from itertools import product

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.linear_mdp.mdp import LinearMDP

_SLIP = 0.001
_FAIL = 3
_DIRECTIONS = 4


def off_dynamics(*, delta: float = 0.3, xi_norm: float = 0.1) -> LinearMDP:
    """Return the world that is learnt in: S = 5, A = 16, d = 4, H = 3.

    An action A in {-1, 1}^4 has weight delta + xi . A on the factor that pays, xi = xi_norm / 4 in
    every direction. Raises ValueError unless xi_norm <= delta <= 1 - xi_norm.
    """
    return _model(delta, xi_norm, 1.0 - _SLIP, 0.0)


def off_dynamics_target(
    *, delta: float = 0.3, xi_norm: float = 0.1, perturbation: float = 0.0
) -> LinearMDP:
    """Return the world that is tested in: perturbation q in [0, 1] of x5 goes to the fail state."""
    q = check_range(perturbation, "perturbation", 0.0, 1.0)
    return _model(delta, xi_norm, 1.0, q)


def _model(delta: float, xi_norm: float, onward: float, perturbation: float) -> LinearMDP:
    norm = check_range(xi_norm, "xi_norm", 0.0, 0.5)
    weight = check_range(delta, "delta", norm, 1.0 - norm)
    actions = np.array(list(product((-1, 1), repeat=_DIRECTIONS)), dtype=np.float64)
    pays = weight + actions @ np.full(_DIRECTIONS, norm / _DIRECTIONS)
    features = np.zeros((5, len(actions), 4))
    for state in range(3):
        features[state, :, state] = 1.0 - pays
        features[state, :, 3] = pays
    features[_FAIL, :, 2] = 1.0
    features[4, :, 3] = 1.0
    measures = np.zeros((3, 4, 5))
    measures[:, 0, [1, _FAIL]] = 1.0 - _SLIP, _SLIP
    measures[0, 0, [1, _FAIL]] = onward, 1.0 - onward
    measures[:, 1, [2, _FAIL]] = 1.0 - _SLIP, _SLIP
    measures[:, 2, _FAIL] = 1.0
    measures[:, 3, 4] = 1.0
    measures[0, 3, [4, _FAIL]] = 1.0 - perturbation, perturbation
    weights = np.zeros((3, 4))
    weights[1:, 3] = 1.0
    return LinearMDP(features, measures, weights, np.eye(5)[0], fail_state=_FAIL)
