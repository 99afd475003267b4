"""Hypothesis strategies for linear MDPs and sets around their factors, shared by the tests."""

import numpy as np
from hypothesis import strategies as st
from strategies import _rows

from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)

SETS = {
    "total_variation": TotalVariation,
    "kullback_leibler": KullbackLeibler,
    "chi_square": ChiSquare,
    "penalised_total_variation": PenalisedTotalVariation,
    "penalised_kullback_leibler": PenalisedKullbackLeibler,
    "penalised_chi_square": PenalisedChiSquare,
}


@st.composite
def linear_mdps(draw, max_states=4, max_actions=3, max_dimension=3, max_horizon=3):
    """Small linear MDPs on the simplex, with zeros, ties, and as little as one of everything."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, actions = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    dimension, horizon = draw(st.integers(1, max_dimension)), draw(st.integers(1, max_horizon))
    weights = rng.normal(size=(horizon, dimension))
    if draw(st.booleans()):
        weights = np.round(weights)
    return LinearMDP(
        _rows(rng, states, actions, dimension),
        _rows(rng, horizon, dimension, states),
        weights,
        _rows(rng, states),
    )


@st.composite
def robust_linear_mdps(draw, name=None, **sizes):
    """Linear MDPs with one of `SETS` around them, of one budget or one for each factor and step."""
    nominal = draw(linear_mdps(**sizes))
    kind = SETS[draw(st.sampled_from(sorted(SETS))) if name is None else name]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = [(), (nominal.dimension,), (nominal.horizon, nominal.dimension)]
    shape = draw(st.sampled_from(shapes))
    budgets = rng.choice([0.0, 1e-3, 0.1, 0.5, 1.0], size=shape) * rng.random(shape)
    return RobustLinearMDP(nominal, kind(budgets if shape else float(budgets)))
