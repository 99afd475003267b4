"""Offline actor-critics: their critics entry by entry, their promises, and what they learn."""

import numpy as np
import pytest
from class_cases import instances
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from rltheory.linear_mdp.actor_critic.offline import (
    lower_bonuses,
    lower_values,
    pessimistic_actor_critic,
    pessimistic_value_iteration,
    pspi,
)
from rltheory.linear_mdp.actor_critic.offline_data import collect_offline, covering_data
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.linear_mdp.function_classes.confidence import excess_losses, theory_radii
from rltheory.linear_mdp.function_classes.finite import FiniteClass, complete_class, dyadic_mdp
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP

LOCK = two_thread_lock(4, 3, seed=0, slip=0.1)


def plenty(mdp):
    """Counts of a very long uniform sample, without noise: kernels are multiples of 1 / 8."""
    return np.asarray(8e9 * mdp.transitions)


@settings(max_examples=15, deadline=None)
@given(instances(), st.integers(0, 2**32 - 1), st.booleans())
def test_the_critic_is_its_formula(instance, seed, greedy):
    mdp, _ = instance
    rng = np.random.default_rng(seed)
    visits = rng.integers(3, size=(*mdp.rewards.shape, mdp.states)).astype(float)
    policy = rng.dirichlet(np.ones(mdp.actions), size=mdp.rewards.shape[:2])
    penalty = lower_bonuses(mdp, visits, scale=0.2, confidence=0.1)
    found = lower_values(mdp, visits, penalty, None if greedy else policy)
    most = max(visits[h].sum() for h in range(mdp.horizon))
    logarithm = np.log(5 * mdp.rewards.size * max(most, 1.0) / 0.1)
    after = [0.0] * mdp.states
    for h in reversed(range(mdp.horizon)):
        left = sum(mdp.rewards[j].max() for j in range(h + 1, mdp.horizon))
        row = np.zeros((mdp.states, mdp.actions))
        for s, a in np.ndindex(row.shape):
            n = visits[h, s, a].sum()
            later = 0.0
            if n:
                mean = sum(visits[h, s, a, t] * after[t] for t in range(mdp.states)) / n
                later = max(0.0, mean - 0.2 * left * (logarithm / n) ** 0.5)
            row[s, a] = mdp.rewards[h, s, a] + later
        np.testing.assert_allclose(found[h], row, rtol=1e-12, atol=1e-12)
        after = [
            max(row[s]) if greedy else sum(policy[h, s, a] * row[s, a] for a in range(mdp.actions))
            for s in range(mdp.states)
        ]


@settings(max_examples=15, deadline=None)
@given(instances())
def test_with_all_data_the_optimum_is_learnt(instance):
    mdp, _ = instance
    run = pessimistic_value_iteration(mdp, plenty(mdp), scale=0.0)
    assert run.suboptimality <= 1e-12
    np.testing.assert_allclose(run.promises, run.optimum, rtol=1e-12, atol=1e-15)
    ascent = pessimistic_actor_critic(mdp, plenty(mdp), scale=0.0, rounds=200)
    # Hedge's bound in each step, on gains of at most what is left.
    left = np.cumsum(mdp.rewards.max(axis=(1, 2))[::-1])
    total = max(left[-1], 1e-300)
    assert ascent.suboptimality <= mdp.horizon * total * np.sqrt(np.log(mdp.actions) / 400) + 1e-9
    assert (ascent.values <= ascent.optimum + 1e-12).all()
    values = [mdp.initial @ backward_induction(mdp, policy=ascent.policy).values[0]]
    np.testing.assert_allclose(ascent.values[-1:], values, rtol=1e-12, atol=1e-15)


def test_lower_bounds_are_below_in_enough_runs():
    runs, failures = 300, 0
    for k in range(runs):
        data = covering_data(LOCK, 0.3, episodes=60, seed=k)
        # Hoeffding's scale, for a fixed function: (1 / 2)^(1/2).
        run = pessimistic_actor_critic(
            LOCK, data, rounds=5, scale=0.5**0.5, confidence=0.1, step=2.0
        )
        failures += bool((run.promises > run.values + 1e-12).any())
    assert binomtest(failures, runs).proportion_ci(0.999).high <= 0.1
    over = sum(
        bool((run.promises > run.values + 1e-12).any())
        for k in range(40)
        for data in [covering_data(LOCK, 0.3, episodes=60, seed=k)]
        for run in [pessimistic_actor_critic(LOCK, data, rounds=5, scale=0.0, step=2.0)]
    )
    # Without pessimism promises are broken: the check is able to fail.
    assert over > 10


def tempting():
    """A sure 1/2, or one of eight actions that pay 0 or 1 with chance 1/4, hardly tried."""
    kernel = np.zeros((2, 2, 9, 2))
    kernel[0, :, 0, 0] = 1.0
    kernel[0, :, 1:] = (0.75, 0.25)
    kernel[1, :, :, 0] = 1.0
    rewards = np.zeros((2, 2, 9))
    rewards[0, :, 0] = 0.5
    rewards[1, 1] = 1.0
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def test_pessimism_does_not_fall_for_what_was_lucky_once():
    mdp = tempting()
    safe = np.full((2, 2, 9), 0.02 / 8)
    safe[..., 0] = 0.98
    lost = np.zeros(2)
    for k in range(40):
        data = collect_offline(mdp, [safe], episodes=400, seed=k)
        for i, scale in enumerate((0.0, 0.5**0.5)):
            lost[i] += pessimistic_value_iteration(mdp, data, scale=scale).suboptimality / 40
    assert lost[1] == 0.0
    assert lost[0] > 0.05


def test_pspi_takes_the_least_of_the_set_of_its_policy():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=3)
    functions = complete_class(mdp, 9, seed=3)
    data = covering_data(mdp, 0.5, episodes=200, seed=0)
    uniform = np.full(mdp.rewards.shape, 0.5)
    radii = theory_radii(functions, 0.05, reward_span=float(np.ptp(mdp.rewards)))
    excess = excess_losses(functions, data.visits, data.paid(mdp), policy=uniform)
    ratios = (excess / radii).max(axis=1)
    # About half of the members are in the set.
    radius = 1.001 * float(np.median(ratios))
    run = pspi(mdp, functions, data, rounds=1, radius=radius)
    inside = functions.table[ratios <= radius]
    assert 0 < len(inside) < len(functions)
    starts = [mdp.initial @ member[0].mean(axis=-1) for member in inside]
    np.testing.assert_allclose(run.promises, [min(starts)], rtol=1e-12)


def test_pspi_learns_a_bandit():
    # One step: every policy's action values are the rewards, and the class is complete for all.
    mdp = dyadic_mdp(horizon=1, states=3, actions=3, seed=2)
    functions = complete_class(mdp, 8, seed=2)
    data = covering_data(mdp, 0.5, episodes=5000, seed=0)
    run = pspi(mdp, functions, data, rounds=300, step=2.0)
    assert run.suboptimality < 0.05
    assert (run.promises <= run.values + 1e-12).all()


def test_an_empty_set_is_met_by_the_nearest_member():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=3)
    table = np.stack([np.full(mdp.rewards.shape, 9.0), np.full(mdp.rewards.shape, 0.5)])
    table[:, 1] += np.arange(2)[:, None, None]
    run = pspi(mdp, FiniteClass(table), covering_data(mdp, 0.5, episodes=50, seed=0), rounds=3)
    assert np.isfinite(run.promises).all()


def test_bad_input_is_refused_by_name():
    data = covering_data(LOCK, 0.5, episodes=5, seed=0)
    for name, wrong in (("rounds", 0), ("scale", -1.0), ("confidence", 2.0), ("step", np.nan)):
        with pytest.raises(ValueError, match=name):
            pessimistic_actor_critic(LOCK, data, **{name: wrong})
    with pytest.raises(ValueError, match="scale"):
        pessimistic_value_iteration(LOCK, data, scale=np.inf)
    with pytest.raises(ValueError, match="data has shape"):
        pessimistic_value_iteration(LOCK, np.zeros((2, 2)))
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=3)
    functions = complete_class(mdp, 3, seed=3)
    with pytest.raises(ValueError, match="radius is 0"):
        pspi(mdp, functions, covering_data(mdp, 0.5, episodes=5, seed=0), radius=0.0)
    with pytest.raises(ValueError, match="the MDP has"):
        pspi(LOCK, functions, data)
    owing = EpisodicMDP(mdp.transitions, mdp.rewards - 1.0)
    with pytest.raises(ValueError, match="rewards holds"):
        pessimistic_value_iteration(owing, np.zeros((2, 2, 2, 2)))
