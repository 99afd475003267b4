"""Offline data, their exact coverage, and hybrid learners on top of them."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.actor_critic.hybrid import (
    episodes_needed,
    hybrid_nora,
    hybrid_q,
    hybrid_ucbvi,
    noah,
)
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.offline import pessimistic_value_iteration
from rltheory.linear_mdp.actor_critic.offline_data import (
    OfflineData,
    as_visits,
    collect_offline,
    concentrability,
    covering_data,
    occupancy,
)
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.linear_mdp.function_classes.finite import dyadic_mdp
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.finite_horizon import backward_induction

LOCK = two_thread_lock(4, 3, seed=0, slip=0.1)


def models(seed):
    return dyadic_mdp(horizon=3, states=3, actions=2, seed=seed)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_occupancies_of_mixed_policies_are_means_over_deterministic_ones(seed):
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=seed)
    rows = np.random.default_rng(seed).integers(1, 8, size=(2, 2)) / 8
    policy = np.stack([rows, 1 - rows], axis=-1)
    everything = PolicyClass.tabular(horizon=2, states=2)
    chances = [
        np.prod([policy[h, s, table[h, s]] for h in range(2) for s in range(2)])
        for table in everything.table
    ]
    mean = np.tensordot(chances, occupancies(mdp, everything), axes=1)
    np.testing.assert_allclose(occupancy(mdp, policy), mean, rtol=1e-13, atol=1e-16)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 15))
def test_a_share_of_the_optimal_policy_bounds_concentrability(seed, sixteenths):
    mdp, share = models(seed), sixteenths / 16
    data = covering_data(mdp, share, episodes=1, seed=0)
    best = backward_induction(mdp).policy
    found = data.coverage(mdp)
    assert 1.0 <= found <= 1.0 / share
    # By the definition, in Fractions: uniform policies give each of two actions half.
    best_visits = occupancies(
        mdp, PolicyClass(best.argmax(axis=-1)[None], 2), arithmetic="rational"
    )[0]
    uniform = [[Fraction(0)] * 3 for _ in range(3)]
    uniform[0] = [Fraction(p) for p in mdp.initial]
    for h in range(2):
        for s, t in np.ndindex(3, 3):
            chance = sum(Fraction(p) for p in mdp.transitions[h, s, :, t]) / 2
            uniform[h + 1][t] += uniform[h][s] * chance
    part = Fraction(share)
    ratios = [
        best_visits[h, s, a] / (part * best_visits[h, s, a] + (1 - part) * uniform[h][s] / 2)
        for h, s, a in np.ndindex(3, 3, 2)
        if best_visits[h, s, a]
    ]
    np.testing.assert_allclose(found, float(max(ratios)), rtol=1e-13)


def test_what_the_data_miss_is_not_covered():
    away = np.zeros(LOCK.rewards.shape[:2], dtype=int)
    data = collect_offline(LOCK, [away], episodes=10, seed=0)
    assert data.coverage(LOCK) == np.inf
    assert data.coverage(LOCK, away) == 1.0


def test_data_follow_their_distribution():
    data = covering_data(LOCK, 0.3, episodes=20_000, seed=1)
    n, mu = data.episodes, data.distribution
    np.testing.assert_array_equal(data.pairs.sum(axis=(1, 2)), n)
    # Six standard deviations of a binomial count, and what cannot happen does not.
    assert (np.abs(data.pairs - n * mu) <= 6 * np.sqrt(n * mu * (1 - mu))).all()
    kernel = LOCK.transitions
    spread = 6 * np.sqrt(data.pairs[..., None] * kernel * (1 - kernel))
    assert (np.abs(data.visits - data.pairs[..., None] * kernel) <= spread).all()
    # What a step leads to is where the next one starts.
    np.testing.assert_array_equal(data.visits.sum(axis=(1, 2))[:-1], data.pairs.sum(axis=2)[1:])
    np.testing.assert_array_equal(data.paid(LOCK), data.pairs * LOCK.rewards)


def test_no_data_leave_nora_as_it_is():
    none = np.zeros((*LOCK.rewards.shape, LOCK.states))
    plain, hybrid = nora(LOCK, episodes=300, seed=0), hybrid_nora(LOCK, none, episodes=300, seed=0)
    np.testing.assert_array_equal(plain.values, hybrid.values)


def test_data_that_cover_save_online_episodes():
    best = backward_induction(LOCK).policy
    near = 0.7 * best + 0.1
    few, many = (
        [
            run.regret[-1]
            for k in range(6)
            for data in [collect_offline(LOCK, [near], episodes=n, seed=k)]
            for run in [hybrid_nora(LOCK, data, switch="counts", episodes=2000, seed=k)]
        ]
        for n in (1, 5000)
    )
    assert max(many) < min(few)
    assert max(many) < 0.5 * np.mean(few)


def test_concentrability_alone_does_not_say_what_an_optimist_saves():
    # What the optimal policy does without noise leaves all else to be explored.
    needed = {0.0: [], 1.0: []}
    for k in range(4):
        lock = two_thread_lock(8, 3, seed=k, slip=0.1)
        for share, found in needed.items():
            data = covering_data(lock, share, episodes=1000, seed=k)
            assert data.coverage(lock) == pytest.approx(1.0 if share else 3.0**8, rel=1e-12)
            run = hybrid_nora(lock, data, switch="counts", episodes=6000, seed=k)
            found.append(episodes_needed(run, 0.1))
    assert max(needed[0.0]) < min(needed[1.0])


def test_much_pessimism_learns_nothing_from_few_data():
    lock = two_thread_lock(8, 3, seed=0, slip=0.1)
    near = 0.7 * backward_induction(lock).policy + 0.1
    data = collect_offline(lock, [near], episodes=1000, seed=0)
    lost = [
        pessimistic_value_iteration(lock, data, scale=scale).suboptimality for scale in (0.03, 0.3)
    ]
    optimum = lock.initial @ backward_induction(lock).values[0]
    assert lost[0] < 0.01
    # Walking away is all that is left.
    assert lost[1] == pytest.approx(optimum - 0.1, rel=1e-12)


@pytest.mark.parametrize("algorithm", [noah, hybrid_q])
def test_without_optimism_data_decide(algorithm):
    away = np.zeros(LOCK.rewards.shape[:2], dtype=int)
    blind = collect_offline(LOCK, [away], episodes=500, seed=0)
    seeing = covering_data(LOCK, 0.5, episodes=500, seed=0)
    lost = [
        algorithm(LOCK, data, episodes=500, seed=0).suboptimality[-100:].mean()
        for data in (blind, seeing)
    ]
    optimum = LOCK.initial @ backward_induction(LOCK).values[0]
    # Walking away pays 0.1, and nothing in these data says that more is to be had.
    assert lost[0] > 0.9 * (optimum - 0.1)
    assert lost[1] < 0.02


def test_the_critic_of_the_policy_learns_from_data_that_cover():
    seeing = covering_data(LOCK, 0.5, episodes=2000, seed=0)
    run = noah(LOCK, seeing, target="policy", episodes=500, seed=0, step=0.5)
    assert run.suboptimality[-50:].mean() < 0.05


def test_episodes_needed_is_the_first_good_mixture():
    run = hybrid_ucbvi(LOCK, covering_data(LOCK, 0.5, episodes=50, seed=0), episodes=800, seed=0)
    needed = episodes_needed(run, 0.2)
    means = [run.suboptimality[:k].mean() for k in range(1, 801)]
    assert needed == next(k for k, mean in enumerate(means, 1) if mean <= 0.2)
    assert episodes_needed(run, 0.0) == np.inf


def test_bad_input_is_refused_by_name():
    data = covering_data(LOCK, 0.5, episodes=5, seed=0)
    with pytest.raises(ValueError, match=r"share is 1\.5"):
        covering_data(LOCK, 1.5, episodes=5, seed=0)
    with pytest.raises(ValueError, match="policies is empty"):
        collect_offline(LOCK, [], episodes=5, seed=0)
    with pytest.raises(ValueError, match="weights"):
        collect_offline(LOCK, [LOCK.rewards[..., 0].astype(int)], weights=[0.5], episodes=5, seed=0)
    with pytest.raises(ValueError, match="episodes"):
        covering_data(LOCK, 0.5, episodes=0, seed=0)
    with pytest.raises(TypeError, match="seed"):
        covering_data(LOCK, 0.5, episodes=5, seed=None)
    with pytest.raises(ValueError, match="distribution"):
        concentrability(LOCK, np.zeros(LOCK.rewards.shape))
    with pytest.raises(ValueError, match="data has shape"):
        as_visits(OfflineData(np.zeros((1, 1, 1, 1)), 1, np.zeros((1, 1, 1))), LOCK)
    with pytest.raises(ValueError, match="data holds -1"):
        hybrid_nora(LOCK, -np.ones_like(data.visits), episodes=5, seed=0)
    with pytest.raises(ValueError, match="target is 'best'"):
        noah(LOCK, data, target="best", episodes=5, seed=0)
    with pytest.raises(ValueError, match="threshold is given"):
        noah(LOCK, data, target="policy", threshold=2.0, episodes=5, seed=0)
    with pytest.raises(ValueError, match="accuracy"):
        episodes_needed(hybrid_q(LOCK, data, episodes=5, seed=0), -1.0)
