"""Coverability and concentrability against linear programs, brute force and each other."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from rltheory.tabular import EpisodicMDP
from rltheory.tabular.agnostic import PolicyClass, class_values, coverage, occupancies
from rltheory.tabular.agnostic.coverage import (
    concentrability,
    coverability,
    pushforward_concentrability,
    pushforward_coverability,
)

SEEDS = st.integers(0, 2**32 - 1)


def random_mdp(seed, *, horizon=3, states=3, actions=2):
    """Dyadic kernels whose rows sum to one exactly; some are deterministic."""
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(
        generator.choice([1, 2, 64]), np.full(states, 1 / states), size=(horizon, states, actions)
    )
    kernel = weights / weights.sum(axis=-1, keepdims=True)
    initial = generator.multinomial(16, np.full(states, 1 / states)) / 16
    return EpisodicMDP(kernel, generator.integers(0, 9, (horizon, states, actions)) / 8, initial)


def random_class(seed, *, horizon=3, states=3, actions=2):
    policies = int(np.random.default_rng(seed).integers(1, 8))
    return PolicyClass.random(
        policies, horizon=horizon, states=states, actions=actions, seed=seed + 1
    )


@settings(max_examples=15)
@given(SEEDS)
def test_coverability_is_the_optimum_of_its_linear_program(seed):
    mdp, policies = random_mdp(seed), random_class(seed)
    found = coverability(mdp, policies)
    visits = occupancies(mdp, policies)
    for h in range(3):
        # Least t with t mu >= d: in w = t mu, the least sum of w over w >= d for all policies.
        rows = visits[:, h].reshape(len(policies), -1)
        pairs = rows.shape[1]
        program = linprog(
            np.ones(pairs), A_ub=-np.tile(np.eye(pairs), (len(rows), 1)), b_ub=-rows.ravel()
        )
        assert found.by_layer[h] == pytest.approx(program.fun, abs=1e-9)
    assert found.value == found.by_layer.max()


@settings(max_examples=12)
@given(SEEDS)
def test_the_optimal_distribution_attains_it_and_no_other_is_better(seed):
    mdp, policies = random_mdp(seed), random_class(seed)
    found = coverability(mdp, policies, arithmetic="rational")
    attained = concentrability(mdp, policies, found.mu, arithmetic="rational")
    assert attained.value == found.value
    assert list(attained.by_layer) == list(found.by_layer)
    other = np.random.default_rng(seed + 2).dirichlet(np.ones(6), size=3).reshape(3, 3, 2)
    assert concentrability(mdp, policies, other).value >= float(found.value) * (1 - 1e-12)


@given(SEEDS)
def test_floats_agree_with_fractions(seed):
    mdp, policies = random_mdp(seed), random_class(seed)
    exact = coverability(mdp, policies, arithmetic="rational")
    rough = coverability(mdp, policies)
    np.testing.assert_allclose(rough.by_layer, exact.by_layer.astype(float), rtol=1e-12)
    np.testing.assert_allclose(rough.mu, exact.mu.astype(float), rtol=0, atol=1e-12)
    assert isinstance(exact.value, Fraction)


@settings(max_examples=12)
@given(SEEDS)
def test_pushforward_bounds_concentrability_over_states_and_over_pairs(seed):
    mdp, policies = random_mdp(seed), random_class(seed)
    best = pushforward_coverability(mdp, arithmetic="rational")
    push = pushforward_concentrability(mdp, best.mu, arithmetic="rational")
    assert push.value == best.value
    over_states = concentrability(mdp, policies, best.mu, arithmetic="rational")
    pairs = np.stack([best.mu / 2] * 2, axis=2)
    over_pairs = concentrability(mdp, policies, pairs, arithmetic="rational")
    assert all(over_states.by_layer <= push.by_layer)
    assert over_pairs.value <= 2 * push.value
    assert over_pairs.value == 2 * over_states.value


@given(SEEDS)
def test_the_ratio_by_a_loop(seed):
    mdp, policies = random_mdp(seed), random_class(seed)
    mu = np.random.default_rng(seed).dirichlet(np.ones(3), size=3)
    visits = occupancies(mdp, policies).sum(axis=3)
    ratios = [
        visits[p, h, s] / mu[h, s] for p in range(len(policies)) for h in range(3) for s in range(3)
    ]
    assert concentrability(mdp, policies, mu).value == pytest.approx(max(ratios), rel=1e-12)


def test_many_policies_are_taken_in_parts(monkeypatch):
    mdp, policies = random_mdp(5), PolicyClass.tabular(horizon=3, states=3)
    whole = coverability(mdp, policies)
    mu = np.full((3, 3), 1 / 3)
    ratio = concentrability(mdp, policies, mu)
    monkeypatch.setattr(coverage, "_MOST_ENTRIES", 100)
    np.testing.assert_array_equal(coverability(mdp, policies).mu, whole.mu)
    assert concentrability(mdp, policies, mu).value == ratio.value


def test_all_policies_of_a_tabular_mdp_reach_each_pair_as_well_as_the_best_can():
    mdp = random_mdp(11)
    found = coverability(mdp, PolicyClass.tabular(horizon=3, states=3))
    # The largest chance to reach a state, by backward induction on an indicator reward.
    for h, s in [(0, 1), (1, 2), (2, 0)]:
        rewards = np.zeros((3, 3, 2))
        rewards[h, s, 0] = 1.0
        target = EpisodicMDP(mdp.transitions, rewards, mdp.initial)
        best = class_values(target, PolicyClass.tabular(horizon=3, states=3)).optimal
        assert found.mu[h, s, 0] * found.by_layer[h] == pytest.approx(best, abs=1e-12)


def test_inf_where_mu_has_no_mass():
    mdp = EpisodicMDP(np.full((2, 2, 2, 2), 0.5), np.zeros((2, 2, 2)), np.array([1.0, 0.0]))
    policies = PolicyClass.constant(horizon=2, states=2)
    seen = concentrability(mdp, policies, np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert seen.value == np.inf
    assert list(seen.by_layer) == [1.0, np.inf]
    exact = concentrability(mdp, policies, [[1.0, 0.0], [0.25, 0.75]], arithmetic="rational")
    assert exact.value == 2
    assert pushforward_concentrability(mdp, [[0.0, 1.0], [0.5, 0.5]]).value == np.inf


@pytest.mark.parametrize(
    ("mu", "message"),
    [
        (np.full((2, 3), 1 / 3), r"mu has shape \(2, 3\); expected \(3, 3\) or \(3, 3, 2\)"),
        (np.full((3, 3), 0.5), "mu"),
        (np.full((3, 3), Fraction(1, 2)), "expected 1"),
        (np.array([[2.0, -1.0, 0.0]] * 3), "mu"),
        (np.full((3, 3), np.nan), "mu"),
    ],
)
def test_bad_distributions_are_named(mu, message):
    with pytest.raises(ValueError, match=message):
        concentrability(random_mdp(0), random_class(0), mu)


def test_other_bad_input_is_named():
    mdp = random_mdp(0)
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        coverability(mdp, random_class(0), arithmetic="decimal")
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        pushforward_coverability(mdp, arithmetic="decimal")
    with pytest.raises(ValueError, match="policies has"):
        coverability(mdp, PolicyClass.constant(horizon=2, states=3))
    with pytest.raises(ValueError, match="mu has shape"):
        pushforward_concentrability(mdp, np.full((3, 3, 2), 1 / 6))
    with pytest.raises(TypeError, match="expected an EpisodicMDP"):
        pushforward_coverability(None)
