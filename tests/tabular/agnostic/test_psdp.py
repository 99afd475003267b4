"""PSDP and CPI against brute force, their guarantees, and where they fail without completeness."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from rltheory.tabular import EpisodicMDP, backward_induction
from rltheory.tabular.agnostic import Hybrid, Online, PolicyClass, Resets, class_values
from rltheory.tabular.agnostic.coverage import concentrability
from rltheory.tabular.agnostic.cpi import (
    class_advantages,
    cpi,
    cpi_exact,
    cpi_step,
    reset_visits,
)
from rltheory.tabular.agnostic.psdp import (
    completeness_gap,
    policy_value,
    psdp,
    psdp_exact,
    psdp_resets,
)

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed, *, horizon=3, states=2):
    generator = np.random.default_rng(seed)
    kernel = generator.multinomial(8, np.full(states, 1 / states), (horizon, states, 2)) / 8
    rewards = generator.integers(0, 9, (horizon, states, 2)) / 8 / 4
    initial = generator.multinomial(8, np.full(states, 1 / states)) / 8
    mu = generator.multinomial(8, np.full(states, 1 / states), horizon) / 16 + 1 / (2 * states)
    return EpisodicMDP(kernel, rewards, initial), mu


def fork(pays=0.9):
    """x0 goes to b or c; at b action 1 pays 1, at c action 0 pays a little less."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, :, 0, 0] = kernel[:, :, 1, 1] = 1.0
    rewards = np.zeros((2, 2, 2))
    rewards[1, 0, 1], rewards[1, 1, 0] = 1.0, pays
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def test_psdp_fails_where_the_class_has_no_greedy_policy():
    mdp = fork()
    pair = np.array([[[0, 0], [1, 1]], [[0, 0], [0, 0]]])
    policies = PolicyClass(pair, 2, [1, 2])
    mu = np.array([[1.0, 0.0], [0.375, 0.625]])
    found = psdp_exact(mdp, policies, mu, arithmetic="rational")
    assert class_values(mdp, policies, arithmetic="rational").best_value == 1
    assert policy_value(mdp, found.policy, arithmetic="rational") == 0
    assert completeness_gap(mdp, policies, arithmetic="rational") == Fraction(0.9)
    # The greedy policy of the last layer mends it; completeness also asks for an answer in the
    # first layer to every continuation, such as (0, 0).
    mended = PolicyClass(np.concatenate([pair, [[[0, 0], [1, 0]]]]), 2, [1, 2])
    assert policy_value(mdp, psdp_exact(mdp, mended, mu).policy) == 1.0
    assert completeness_gap(mdp, mended, arithmetic="rational") == Fraction(0.9)
    complete = PolicyClass(np.concatenate([mended.table, [[[1, 1], [1, 0]]]]), 2, [1, 2])
    assert completeness_gap(mdp, complete, arithmetic="rational") == 0
    assert policy_value(mdp, psdp_exact(mdp, complete, mu).policy) == 1.0


def test_cpi_stops_at_a_policy_that_is_worse_than_another_of_the_class():
    mdp, mu = fork(0.25), np.array([[1.0, 0.0], [0.375, 0.625]])
    policies = PolicyClass(np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]]), 2)
    stuck = cpi_exact(mdp, policies, mu, tolerance=0.0)
    assert stuck.converged
    assert stuck.iterations == 0
    values = class_values(mdp, policies).values
    assert (values[0], values[1]) == (0.25, 1.0)
    greedy = PolicyClass(np.concatenate([policies.table, [[[0, 0], [1, 0]]]]), 2)
    moved = cpi_exact(mdp, greedy, mu, tolerance=1e-3)
    assert moved.converged
    assert backward_induction(mdp, policy=moved.policy).values[0, 0] > 0.99


def by_definition(mdp, policies, mu):
    """The same search with values of whole policies, one layer's resets at a time."""
    horizon, states = mdp.horizon, mdp.states
    kept = np.zeros((horizon, states), dtype=int)
    for h in reversed(range(horizon)):
        scores = []
        for row in policies.table:
            trial = kept.copy()
            trial[h] = row[h]
            values = backward_induction(mdp, policy=trial, arithmetic="rational").values
            scores.append(sum(Fraction(m) * v for m, v in zip(mu[h], values[h], strict=True)))
        kept[h] = policies.table[int(np.argmax(scores)), h]
    return kept


@settings(max_examples=15)
@given(SEEDS)
def test_exact_psdp_by_definition(seed):
    mdp, mu = drawn(seed)
    policies = PolicyClass.random(4, horizon=3, states=2, seed=seed)
    found = psdp_exact(mdp, policies, mu, arithmetic="rational")
    np.testing.assert_array_equal(found.policy, by_definition(mdp, policies, mu))
    for h, index in enumerate(found.chosen):
        np.testing.assert_array_equal(found.policy[h], policies.table[index, h])


@settings(max_examples=15)
@given(SEEDS)
def test_psdp_is_optimal_for_complete_classes(seed):
    mdp, mu = drawn(seed)
    policies = PolicyClass.tabular(horizon=3, states=2)
    assert completeness_gap(mdp, policies, arithmetic="rational") == 0
    found = psdp_exact(mdp, policies, mu, arithmetic="rational")
    best = class_values(mdp, policies, arithmetic="rational").optimal
    assert policy_value(mdp, found.policy, arithmetic="rational") == best


@settings(max_examples=15)
@given(SEEDS)
def test_completeness_gap_by_enumeration(seed):
    mdp, _ = drawn(seed)
    policies = PolicyClass.random(3, horizon=3, states=2, seed=seed)
    worst = Fraction(0)
    for parts in product(range(3), repeat=3):
        mixed = np.stack([policies.table[p, h] for h, p in enumerate(parts)]).astype(int)
        q = backward_induction(mdp, policy=mixed, arithmetic="rational").action_values
        for h in range(3):
            lost = [
                max(max(q[h, s]) - q[h, s, row[h, s]] for s in range(2)) for row in policies.table
            ]
            worst = max(worst, min(lost))
    assert completeness_gap(mdp, policies, arithmetic="rational") == worst
    assert completeness_gap(mdp, policies) == pytest.approx(float(worst), abs=1e-12)


def test_sampled_scores_are_unbiased_and_all_is_counted():
    mdp, mu = drawn(3)
    policies = PolicyClass.tabular(horizon=3, states=2)
    access = Resets(mdp, mu, seed=1, rewards="bernoulli")
    found = psdp(access, policies, resets_per_layer=20_000, seed=2)
    assert access.resets == 3 * 20_000
    assert access.steps == 20_000 * (1 + 2 + 3)
    assert access.episodes == 0
    for h in range(3):
        for p in (0, 13, 63):
            trial = found.policy.copy()
            trial[h] = policies.table[p, h]
            exact = mu[h] @ backward_induction(mdp, policy=trial).values[h]
            # Terms are in [0, 6]: a standard error is at most 3 / sqrt(n), and six are allowed.
            assert abs(found.scores[p, h] - exact) < 6 * 3 / np.sqrt(20_000)


def failures(runs, *, epsilon, delta, rewards):
    """How many runs at the theory's number of resets lose more than epsilon, on the fork."""
    mdp, mu = fork(), np.array([[0.75, 0.25], [0.5, 0.5]])
    policies = PolicyClass.tabular(horizon=2, states=2)
    best = PolicyClass(np.array([[[0, 0], [1, 0]]]), 2)
    ratio = concentrability(mdp, best, mu).value
    assert ratio == 2
    count = psdp_resets(policies, epsilon=epsilon, delta=delta, concentrability=ratio)
    lost = 0
    for seed in range(runs):
        access = Resets(mdp, mu, seed=seed, rewards=rewards)
        found = psdp(access, policies, resets_per_layer=count, seed=seed + runs)
        assert access.resets == 2 * count
        lost += policy_value(mdp, found.policy) < 1 - epsilon
    return lost


def test_the_guarantee_of_sampled_psdp():
    # With chance 0.1 each, 11 or more of 20 would come up less than once in 10^5.
    assert failures(20, epsilon=0.4, delta=0.1, rewards="bernoulli") < 11


@pytest.mark.slow
def test_the_guarantee_of_sampled_psdp_over_a_thousand_runs():
    lost = failures(1000, epsilon=0.5, delta=0.1, rewards="bernoulli")
    # Clopper and Pearson's upper limit at level 0.999 for the chance to fail.
    assert beta.ppf(0.999, lost + 1, 1000 - lost) <= 0.1


def test_the_number_of_resets():
    policies = PolicyClass.constant(horizon=2, states=1)
    t, logarithm = 0.5 / (2 * 3 * 2), np.log(2 * 2 * 2 / 0.1)
    wanted = 2 * 2 * (1 + t / 3) * logarithm / t**2
    found = psdp_resets(policies, epsilon=0.5, delta=0.1, concentrability=3)
    assert found == int(np.ceil(wanted))
    # Bernstein with second moments A and range A, both tails, all layers and policies.
    n, a = found, 2
    assert 2 * 4 * np.exp(-n * t**2 / (2 * (a + a * t / 3))) <= 0.1


@settings(max_examples=15)
@given(SEEDS)
def test_advantages_are_slopes_of_the_performance_from_resets(seed):
    mdp, mu = drawn(seed)
    policies = PolicyClass.random(3, horizon=3, states=2, seed=seed)
    rows = np.random.default_rng(seed).dirichlet(np.ones(2), size=(3, 2))
    found = class_advantages(mdp, policies, rows, mu)

    def performance(policy):
        values = backward_induction(mdp, policy=policy).values
        return sum(mu[h] @ values[h] for h in range(3)) / 3

    step = 1e-5
    for index in range(3):
        target = np.eye(2)[policies.table[index].astype(int)]
        slope = performance((1 - step) * rows + step * target) - performance(rows)
        # Second-order terms are at most step^2 (H^2 - 1) / 3 times the range of returns.
        assert slope / step == pytest.approx(found[index], abs=3 * 3 * step)


@settings(max_examples=15)
@given(SEEDS)
def test_visits_of_episodes_begun_by_resets(seed):
    mdp, mu = drawn(seed)
    rows = np.random.default_rng(seed).dirichlet(np.ones(2), size=(3, 2))
    visits = reset_visits(mdp, rows, mu)
    np.testing.assert_allclose(visits.sum(axis=1), [1 / 3, 2 / 3, 1], rtol=1e-12)
    assert np.all(visits >= mu / 3 - 1e-15)


@settings(max_examples=10)
@given(SEEDS)
def test_every_move_of_cpi_gains_and_the_end_is_nearly_optimal(seed):
    mdp, mu = drawn(seed)
    policies = PolicyClass.tabular(horizon=3, states=2)
    found = cpi_exact(mdp, policies, mu, tolerance=1e-2)
    assert found.converged
    values = backward_induction(mdp, policy=found.policy).values[0]
    solved = backward_induction(mdp)
    optimal = PolicyClass(solved.policy.argmax(axis=2)[None], 2)
    ratio = concentrability(mdp, optimal, mu).value
    assert mdp.initial @ (solved.values[0] - values) <= 3 * ratio * found.advantages[-1] + 1e-12


def test_sampled_advantages_are_unbiased_and_all_is_counted():
    mdp, mu = drawn(8)
    policies = PolicyClass.random(3, horizon=3, states=2, seed=4)
    access = Hybrid(mdp, mu, seed=1)
    found = cpi(access, policies, rollouts=40_000, seed=2, tolerance=10.0)
    start = np.eye(2)[policies.table[0].astype(int)]
    exact = class_advantages(mdp, policies, start, mu)
    assert found.converged
    assert access.resets == 40_000
    assert access.episodes == 0
    # Terms are at most A H = 6 times a return of 3/4: six standard errors of 40,000.
    assert abs(found.advantages[0] - exact.max()) < 6 * 4.5 / np.sqrt(40_000)


def test_sampled_cpi_improves():
    mdp, mu = fork(), np.array([[1.0, 0.0], [0.5, 0.5]])
    policies = PolicyClass(np.array([[[0, 0], [0, 0]], [[0, 0], [1, 0]]]), 2)
    found = cpi(Resets(mdp, mu, seed=0), policies, rollouts=2000, seed=1, tolerance=0.05)
    assert found.converged
    assert backward_induction(mdp, policy=found.policy).values[0, 0] > 0.8


@pytest.mark.parametrize(
    ("advantage", "horizon", "share"), [(0.3, 1, 1), (0.5, 2, 0.25), (9, 2, 1)]
)
def test_the_step(advantage, horizon, share):
    assert cpi_step(advantage, horizon) == share


def test_bad_input_is_named():
    mdp, mu = drawn(0)
    policies = PolicyClass.constant(horizon=3, states=2)
    with pytest.raises(ValueError, match="mu"):
        psdp_exact(mdp, policies, mu[:2])
    with pytest.raises(ValueError, match="mu"):
        psdp_exact(mdp, policies, 2 * mu)
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        psdp_exact(mdp, policies, mu, arithmetic="decimal")
    with pytest.raises(TypeError, match="access is Online; expected Resets"):
        psdp(Online(mdp, seed=0), policies, resets_per_layer=1, seed=0)
    with pytest.raises(ValueError, match="resets_per_layer is 0"):
        psdp(Resets(mdp, mu, seed=0), policies, resets_per_layer=0, seed=0)
    with pytest.raises(ValueError, match="the access has"):
        psdp(
            Resets(mdp, mu, seed=0),
            PolicyClass.constant(horizon=2, states=2),
            resets_per_layer=1,
            seed=0,
        )
    with pytest.raises(ValueError, match="first is 2; expected 0 to 1"):
        cpi_exact(mdp, policies, mu, first=2)
    with pytest.raises(ValueError, match="rollouts is 0"):
        cpi(Resets(mdp, mu, seed=0), policies, rollouts=0, seed=0)
    dear = EpisodicMDP(mdp.transitions, mdp.rewards + 1, mdp.initial)
    with pytest.raises(ValueError, match="returns up to"):
        cpi_exact(dear, policies, mu)
    with pytest.raises(ValueError, match="continuations"):
        completeness_gap(
            EpisodicMDP.stationary(np.full((4, 2, 4), 0.25), np.zeros((4, 2)), 6),
            PolicyClass.random(16, horizon=6, states=4, seed=0),
            arithmetic="rational",
        )
    with pytest.raises(ValueError, match="epsilon is 2"):
        psdp_resets(policies, epsilon=2, delta=0.1, concentrability=1)
