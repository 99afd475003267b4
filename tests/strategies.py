"""Hypothesis strategies for MDPs and policies, shared by the tests."""

import numpy as np
from hypothesis import strategies as st

from rltheory.tabular import DiscountedMDP, EpisodicMDP


def _rows(rng, *shape):
    """Rows on the simplex, many of them sparse or degenerate."""
    weights = rng.random(shape) ** rng.choice([0.5, 1.0, 8.0])
    weights[rng.random(shape) < rng.choice([0.0, 0.5, 0.9])] = 0.0
    empty = weights.sum(-1) == 0
    weights[empty, 0] = 1.0
    return weights / weights.sum(-1, keepdims=True)


@st.composite
def discounted_mdps(draw, max_states=6, max_actions=4, gaps=True, discounts=(0.0, 0.5, 0.9, 0.99)):
    """Small MDPs with ties, sparse rows, missing actions and the given discounts."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, actions = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    discount = draw(st.sampled_from(discounts))
    transitions = _rows(rng, states, actions, states)
    rewards = rng.choice([1.0, 1e-3, 1e6]) * rng.normal(size=(states, actions))
    if draw(st.booleans()):
        rewards = np.round(rewards)
    if gaps and actions > 1 and draw(st.booleans()):
        missing = rng.random((states, actions)) < 0.3
        missing[:, 0] = False
        rewards[missing] = -np.inf
        transitions[missing] = 0.0
    return DiscountedMDP(transitions, rewards, discount, _rows(rng, states))


@st.composite
def episodic_mdps(draw, max_states=4, max_actions=3, max_horizon=4):
    """Small finite-horizon MDPs with time-dependent kernels."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, actions = draw(st.integers(1, max_states)), draw(st.integers(1, max_actions))
    horizon = draw(st.integers(1, max_horizon))
    return EpisodicMDP(
        _rows(rng, horizon, states, actions, states), rng.normal(size=(horizon, states, actions))
    )


@st.composite
def policies(draw, mdp):
    """Randomised policies of a given MDP, on its available actions."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.random(mdp.rewards.shape) * mdp.available
    return weights / weights.sum(-1, keepdims=True)
