"""Trees and importance sampling: exact where nothing is random, unbiased, within guarantees."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from rltheory.tabular.agnostic import Generative, Online, PolicyClass, class_values
from rltheory.tabular.agnostic import guarantees as g
from rltheory.tabular.agnostic.importance import importance_sampling_erm, importance_variance
from rltheory.tabular.agnostic.trees import trajectory_tree_erm
from rltheory.tabular.mdp import EpisodicMDP

SEEDS = st.integers(0, 2**32 - 1)


def model(horizon, states, actions=2, seed=0, *, deterministic=False, last=False):
    """A random MDP with returns in [0, 1]; `last` pays in the last step only."""
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.full(states, 0.5), (horizon, states, actions))
    start = rng.dirichlet(np.ones(states))
    if deterministic:
        kernel = np.eye(states)[rng.integers(states, size=(horizon, states, actions))]
        start = np.eye(states)[rng.integers(states)]
    rewards = rng.random((horizon, states, actions)) / horizon
    if last:
        rewards[:-1], rewards[-1] = 0.0, rewards[-1] * horizon
    return EpisodicMDP(kernel, rewards, start)


def contrast():
    """Two steps, two states: the first action decides whether the second one is paid."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, :, 0] = [0.9, 0.1]
    kernel[:, :, 1] = [0.1, 0.9]
    rewards = np.zeros((2, 2, 2))
    rewards[1] = [[0.1, 0.3], [0.2, 0.95]]
    return EpisodicMDP(kernel, rewards, np.array([0.5, 0.5]))


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 20), SEEDS)
def test_one_tree_of_a_deterministic_mdp_is_exact(horizon, states, actions, size, seed):
    mdp = model(horizon, states, actions, seed, deterministic=True)
    policies = PolicyClass.random(size, horizon=horizon, states=states, actions=actions, seed=seed)
    result = trajectory_tree_erm(Generative(mdp, seed=seed), policies, trees=1)
    truth = class_values(mdp, policies)
    np.testing.assert_allclose(result.values, truth.values, atol=1e-12)
    # Pairs that the policies reach, by following each.
    reached = [set() for _ in range(horizon)]
    for table in policies.table:
        state = int(mdp.initial.argmax())
        for h in range(horizon):
            action = int(table[h, state])
            reached[h].add((state, action))
            state = int(mdp.transitions[h, state, action].argmax())
    assert list(result.nodes[0]) == [len(pairs) for pairs in reached]


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 30), SEEDS)
def test_trees_have_no_more_nodes_than_pairs_policies_or_plans(horizon, states, size, seed):
    policies = PolicyClass.random(size, horizon=horizon, states=states, seed=seed)
    access = Generative(model(horizon, states, seed=seed), seed=seed)
    nodes = trajectory_tree_erm(access, policies, trees=20).nodes
    layers = np.arange(1, horizon + 1)
    assert (nodes <= np.minimum(np.minimum(2**layers, 2 * states), size)).all()
    assert (nodes >= 1).all()


@pytest.mark.parametrize("horizon", [2, 4, 6])
def test_trees_of_singletons_have_at_most_h_plus_1_nodes(horizon):
    policies = PolicyClass.singletons(horizon=horizon, states=horizon)
    access = Generative(model(horizon, horizon), seed=0)
    nodes = trajectory_tree_erm(access, policies, trees=500).nodes
    assert (nodes <= np.arange(2, horizon + 2)).all()
    assert (nodes[:, -1] > 2).any()


def test_means_of_trees_come_near_the_truth():
    mdp = model(3, 3, last=True)
    policies = PolicyClass.tabular(horizon=3, states=3)
    access = Generative(mdp, seed=0, rewards="bernoulli")
    result = trajectory_tree_erm(access, policies, trees=20_000, confidence=1 - 1e-9)
    assert abs(result.values - class_values(mdp, policies).values).max() <= result.deviation


def test_parts_do_not_change_what_is_averaged(monkeypatch):
    policies = PolicyClass.random(6, horizon=3, states=2, seed=0)
    monkeypatch.setattr("rltheory.tabular.agnostic.trees._ENTRIES", 60)
    monkeypatch.setattr("rltheory.tabular.agnostic.importance._ENTRIES", 60)
    mdp = model(3, 2)
    truth = class_values(mdp, policies).values
    tree = trajectory_tree_erm(Generative(mdp, seed=1), policies, trees=2000)
    weighted = importance_sampling_erm(Online(mdp, seed=1), policies, episodes=4000)
    assert tree.nodes.shape == (2000, 3)
    assert abs(tree.values - truth).max() <= g.hoeffding_deviation(6, 2000, 1 - 1e-9)
    assert abs(weighted.values - truth).max() <= g.bernstein_deviation(
        6, 4000, 1 - 1e-9, weight=8.0
    )


class Kept(Online):
    """Online access that keeps what it handed out."""

    def run(self, policies, count):
        self.played = super().run(policies, count)
        return self.played


@settings(max_examples=12)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 3), SEEDS)
def test_importance_sampling_is_the_weighted_mean(horizon, states, actions, seed):
    policies = PolicyClass.random(7, horizon=horizon, states=states, actions=actions, seed=seed)
    access = Kept(model(horizon, states, actions, seed), seed=seed)
    result = importance_sampling_erm(access, policies, episodes=30, seed=seed)
    played = access.played
    for p, table in enumerate(policies.table):
        total = sum(
            sum(pay)
            for xs, acts, pay in zip(played.states, played.actions, played.rewards, strict=True)
            if all(table[h, x] == a for h, (x, a) in enumerate(zip(xs, acts, strict=True)))
        )
        assert result.values[p] == pytest.approx(actions**horizon * total / 30)


@pytest.mark.parametrize("rewards", ["mean", "bernoulli"])
def test_variance_is_that_of_all_episodes(rewards):
    mdp = model(2, 2, 3, seed=4)
    policies = PolicyClass.random(5, horizon=2, states=2, actions=3, seed=4)
    first, second = np.zeros(5), np.zeros(5)
    bits = list(product((0, 1), repeat=2)) if rewards == "bernoulli" else [None]
    for xs in product(range(2), repeat=2):
        for acts in product(range(3), repeat=2):
            means = [mdp.rewards[h, xs[h], acts[h]] for h in range(2)]
            odds = mdp.initial[xs[0]] * mdp.transitions[0, xs[0], acts[0], xs[1]] / 9
            for paid in bits:
                pays, chance = means, odds
                if paid is not None:
                    pays = paid
                    for bit, mean in zip(paid, means, strict=True):
                        chance = chance * (mean if bit else 1 - mean)
                for p, table in enumerate(policies.table):
                    if all(table[h, xs[h]] == acts[h] for h in range(2)):
                        first[p] += chance * 9 * sum(pays)
                        second[p] += chance * (9 * sum(pays)) ** 2
    found = importance_variance(mdp, policies, rewards=rewards)
    np.testing.assert_allclose(found, second - first**2, rtol=1e-10)
    np.testing.assert_allclose(first, class_values(mdp, policies).values, rtol=1e-12)


@given(st.integers(1, 10**6), st.floats(0.01, 1.0), st.floats(0.01, 0.999), st.integers(0, 12))
def test_repetitions_suffice_and_no_fewer_do(policies, accuracy, confidence, power):
    weight = 2.0**power
    n = g.hoeffding_repetitions(policies, accuracy, confidence)
    m = g.bernstein_repetitions(policies, accuracy, confidence, weight=weight)
    slack = 1 + 1e-9
    assert g.hoeffding_deviation(policies, n, confidence) <= accuracy / 2 * slack
    assert g.bernstein_deviation(policies, m, confidence, weight=weight) <= accuracy / 2 * slack
    if n > 1:
        assert g.hoeffding_deviation(policies, n - 1, confidence) > accuracy / 2 / slack
    if m > 1:
        found = g.bernstein_deviation(policies, m - 1, confidence, weight=weight)
        assert found > accuracy / 2 / slack


@given(st.integers(1, 200), st.data(), st.floats(0.5, 0.99))
def test_exact_intervals_are_where_binomial_tails_cross(runs, data, confidence):
    failures = data.draw(st.integers(0, runs))
    found = g.clopper_pearson(failures, runs, confidence=confidence)
    tail = (1 - confidence) / 2
    low, high = float(found.lower), float(found.upper)
    assert low <= failures / runs <= high
    if failures:
        assert binom.sf(failures - 1, runs, low) == pytest.approx(tail, rel=1e-6)
    if failures < runs:
        assert binom.cdf(failures, runs, high) == pytest.approx(tail, rel=1e-6)


POLICIES = PolicyClass.tabular(horizon=2, states=2)


def tree_run(seed):
    access = Generative(contrast(), seed=seed, rewards="bernoulli")
    return trajectory_tree_erm(access, POLICIES, accuracy=0.5, confidence=0.8)


def importance_run(seed):
    access = Online(contrast(), seed=seed, rewards="bernoulli")
    return importance_sampling_erm(access, POLICIES, accuracy=0.5, confidence=0.8, seed=seed + 7)


@pytest.mark.parametrize("run", [tree_run, importance_run])
def test_guarantees_hold_over_1000_runs(run):
    truth = class_values(contrast(), POLICIES).values
    assert truth.max() - truth.min() > 0.5
    results = [run(seed) for seed in range(1000)]
    off = sum(abs(result.values - truth).max() > result.deviation for result in results)
    assert results[0].deviation <= 0.25
    assert g.clopper_pearson(int(off), 1000).upper <= 0.2
    found = g.failure_frequency(lambda k: results[k], truth, accuracy=0.5)
    assert found.runs == 1000
    assert found.interval.upper <= 0.2


def test_too_few_repetitions_do_fail():
    truth = class_values(contrast(), POLICIES).values

    def hasty(seed):
        access = Generative(contrast(), seed=seed, rewards="bernoulli")
        return trajectory_tree_erm(access, POLICIES, trees=1)

    found = g.failure_frequency(hasty, truth, accuracy=0.1)
    assert found.interval.lower > 0.2
    assert found.interval.lower <= found.failures / 1000 <= found.interval.upper


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: trajectory_tree_erm(online(), POLICIES, trees=1), TypeError, "access is Online"),
        (
            lambda: importance_sampling_erm(simulator(), POLICIES, episodes=1),
            TypeError,
            "access is Generative",
        ),
        (lambda: trajectory_tree_erm(simulator(), POLICIES), ValueError, "trees is None"),
        (
            lambda: trajectory_tree_erm(simulator(), POLICIES, trees=1, accuracy=0.1),
            ValueError,
            "trees is 1 and accuracy is 0.1",
        ),
        (lambda: trajectory_tree_erm(simulator(), POLICIES, accuracy=2.0), ValueError, "accuracy"),
        (
            lambda: trajectory_tree_erm(simulator(), POLICIES, trees=1, confidence=1.0),
            ValueError,
            "confidence is 1.0",
        ),
        (lambda: trajectory_tree_erm(simulator(), POLICIES, trees=0), ValueError, "trees"),
        (
            lambda: trajectory_tree_erm(
                simulator(), PolicyClass.constant(horizon=3, states=2), trees=1
            ),
            ValueError,
            r"policies has \(horizon, states, actions\)",
        ),
        (
            lambda: importance_sampling_erm(online(5.0), POLICIES, episodes=50),
            ValueError,
            "an episode returned 10; scale rewards",
        ),
        (
            lambda: trajectory_tree_erm(simulator(-1.0), POLICIES, trees=5),
            ValueError,
            "an episode returned -2",
        ),
        (lambda: importance_variance(contrast(), POLICIES, rewards="x"), ValueError, "rewards"),
        (lambda: importance_variance(contrast(), POLICIES, arithmetic="x"), ValueError, "arith"),
        (lambda: g.clopper_pearson(3, 2), ValueError, "failures is 3"),
        (lambda: g.failure_frequency(tree_run, [1.0], accuracy=0.1, runs=0), ValueError, "runs"),
        (lambda: g.failure_frequency(tree_run, [], accuracy=0.1), ValueError, "truth is empty"),
        (lambda: g.failure_frequency(tree_run, [1.0], accuracy=-1.0), ValueError, "accuracy"),
    ],
)
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def paying(reward):
    kernel = np.full((2, 2, 2, 2), 0.5)
    return EpisodicMDP(kernel, np.full((2, 2, 2), reward))


def online(reward=0.0):
    return Online(paying(reward), seed=0)


def simulator(reward=0.0):
    return Generative(paying(reward), seed=0)
