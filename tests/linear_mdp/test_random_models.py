"""Random linear MDPs: the coverage and the gap that they promise, for every policy."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.tabular import EpisodicMDP, backward_induction

ROUNDING = 2e-12
"""Sums below have fewer than 1000 terms of at most 10: they are off by 1000 * 10 * 2^-53."""


@st.composite
def random_models(draw, least_gap=0.0):
    dimension = draw(st.integers(2, 6))
    asked = {
        "dimension": dimension,
        "horizon": draw(st.integers(1, 4)),
        "coverage": draw(st.floats(0.0, 1.0)),
        "gap": draw(st.floats(least_gap, 0.25)),
        "failure": draw(st.one_of(st.none(), st.floats(0.0, 0.5))),
        "concentration": draw(st.sampled_from([0.01, 0.1, 1.0])),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }
    states = draw(st.integers(dimension, 20))
    return random_linear_mdp(states, draw(st.integers(1, 9)), **asked), asked


@given(random_models())
@settings(max_examples=20)
def test_random_models_are_linear_on_the_simplex_with_rewards_in_the_unit_interval(drawn):
    mdp, asked = drawn
    assert mdp.simplex
    assert mdp.reward_weights.min() >= 0.0
    assert mdp.reward_weights.max() <= 1.0
    assert mdp.fail_state == (None if asked["failure"] is None else asked["dimension"] - 1)
    again = random_linear_mdp(mdp.states, mdp.actions, **asked)
    for name in ("features", "measures", "reward_weights", "initial"):
        assert (getattr(mdp, name) == getattr(again, name)).all()
    if asked["failure"] is not None:
        live = np.delete(np.arange(mdp.states), mdp.fail_state)
        for h in range(mdp.horizon):
            to_fail = mdp.kernel(h)[live, :, mdp.fail_state]
            np.testing.assert_allclose(to_fail, asked["failure"], rtol=0, atol=ROUNDING)


def least_mass(tabular, state, h):
    """The least probability that any policy can give to a state at step h, by planning."""
    mass = np.eye(tabular.states)[state]
    for t in reversed(range(h)):
        mass = (tabular.transitions[t] @ mass).min(axis=1)
    return float(tabular.initial @ mass)


@given(random_models())
@settings(max_examples=15)
def test_no_policy_leaves_a_direction_of_random_models_uncovered(drawn):
    """Every state whose features are e_i for all actions adds its mass times e_i e_i'."""
    mdp, asked = drawn
    d, tabular = mdp.dimension, mdp.to_tabular()
    for h, i in itertools.product(range(mdp.horizon), range(d)):
        assert (mdp.features[i] == np.eye(d)[i]).all()
        survival = 1.0 if asked["failure"] is None else (1.0 - asked["failure"]) ** h
        promised = asked["coverage"] / d * survival
        assert least_mass(tabular, i, h) >= promised - ROUNDING


@given(random_models(), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_least_eigenvalues_of_random_models_keep_the_promise_against_a_search(drawn, seed):
    """The search: the policy that visits the weakest direction least, and its weakest direction."""
    mdp, asked = drawn
    tabular = mdp.to_tabular()
    rng = np.random.default_rng(seed)
    h = mdp.horizon - 1
    survival = 1.0 if asked["failure"] is None else (1.0 - asked["failure"]) ** h
    promised = asked["coverage"] / mdp.dimension * survival
    direction = rng.normal(size=mdp.dimension)
    direction /= np.linalg.norm(direction)
    for _ in range(5):
        rewards = np.zeros(mdp.rewards.shape)
        rewards[h] = -((mdp.features @ direction) ** 2)
        policy = np.argmax(
            backward_induction(EpisodicMDP(tabular.transitions, rewards)).action_values, axis=-1
        )
        at = mdp.initial
        for t in range(h):
            at = at @ tabular.transitions[t][np.arange(mdp.states), policy[t]]
        taken = mdp.features[np.arange(mdp.states), policy[h]]
        moment = taken.T @ (at[:, None] * taken)
        eigenvalues, vectors = np.linalg.eigh(moment)
        assert promised - ROUNDING <= eigenvalues[0] <= 1.0 / mdp.dimension + ROUNDING
        direction = vectors[:, 0]


def test_without_coverage_there_is_a_policy_that_misses_a_direction():
    mdp = random_linear_mdp(30, 6, dimension=5, seed=1, coverage=0.0, concentration=0.01)
    tabular = mdp.to_tabular()
    assert min(least_mass(tabular, i, 4) for i in range(5)) < 1e-6


@given(random_models(least_gap=0.01))
@settings(max_examples=20)
def test_actions_of_random_models_are_best_or_worse_by_the_gap(drawn):
    mdp, asked = drawn
    solution = backward_induction(mdp.to_tabular())
    off = 2.0 * solution.gap + ROUNDING
    assert off < 0.001
    lost = solution.values[:-1, :, None] - solution.action_values
    assert ((lost <= off) | (lost >= asked["gap"] - off)).all()


def test_actions_of_random_models_differ_by_the_gap_itself_and_by_more():
    mdp = random_linear_mdp(200, 8, dimension=10, horizon=4, seed=3, gap=0.05)
    solution = backward_induction(mdp.to_tabular())
    lost = solution.values[:-1, :, None] - solution.action_values
    worse = lost[lost > 1e-9]
    assert len(worse) > 0.5 * lost.size
    assert worse.min() < 0.055
    assert worse.max() > 0.2


@pytest.mark.slow
def test_a_large_random_model_is_made_and_planned_for_in_seconds_within_memory():
    program = (
        "import resource, time\n"
        "from rltheory.linear_mdp.environments.random_models import random_linear_mdp\n"
        "from rltheory.linear_mdp.planning import plan\n"
        "start = time.perf_counter()\n"
        "mdp = random_linear_mdp(10_000, 32, dimension=60, horizon=20, seed=0, gap=0.05)\n"
        "solution = plan(mdp)\n"
        "assert solution.gap < 1e-6\n"
        "print(time.perf_counter() - start)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    seconds, gibibytes = map(float, run.stdout.split())
    assert seconds < 60
    assert gibibytes < 1.5
