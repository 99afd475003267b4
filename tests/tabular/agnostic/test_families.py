"""Families against occupancies, enumerated learners and play that counts its samples."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import (
    Generative,
    Online,
    PolicyClass,
    class_values,
    occupancies,
)
from rltheory.tabular.agnostic.capacity import reachable_pairs, spanning_capacity
from rltheory.tabular.agnostic.families import (
    backward_calls,
    backward_failure,
    combination_lock,
    deterministic_case,
    episodes_to_see_all,
    lock_roll_outs,
    lock_success,
    psdp_failure,
)

# Locks.


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(0, 2**32))
def test_one_plan_alone_opens_a_lock(horizon, actions, copies, seed):
    lock = combination_lock(horizon, actions=actions, copies=copies, seed=seed)
    found = class_values(lock.mdp, lock.policies, arithmetic="rational")
    want = [Fraction(0)] * actions**horizon
    want[lock.best] = lock.best_value
    assert found.values.tolist() == want
    assert found.optimal == 1
    np.testing.assert_array_equal(
        lock.policies.table[lock.best], lock.secret[:, None] + 0 * lock.good
    )
    assert (lock.good.sum(axis=1) == copies).all()
    np.testing.assert_allclose(lock.reset.sum(axis=1), 1)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2, 4]), st.integers(0, 2**32))
def test_coverability_of_a_lock(horizon, actions, copies, seed):
    lock = combination_lock(horizon, actions=actions, copies=copies, seed=seed)
    highest = occupancies(lock.mdp, lock.policies).max(axis=0).sum(axis=(1, 2))
    assert highest.max() == pytest.approx(lock.coverability, abs=1e-12)


@pytest.mark.parametrize(("horizon", "actions"), [(2, 2), (2, 3), (3, 2)])
def test_some_plan_is_greedy_everywhere_after_any_plan(horizon, actions):
    lock = combination_lock(horizon, actions=actions, copies=2, seed=5)
    mdp = lock.mdp
    for plan in product(range(actions), repeat=horizon):
        after = np.zeros(mdp.states)
        for h in reversed(range(horizon)):
            worth = mdp.rewards[h] + mdp.transitions[h] @ after
            assert any((worth[:, a] >= worth.max(axis=1)).all() for a in range(actions))
            after = worth[:, plan[h]]


@pytest.mark.parametrize(("horizon", "actions"), [(1, 2), (2, 2), (1, 3), (3, 2)])
def test_trying_plans_one_by_one_attains_the_bound(horizon, actions):
    # Over all secrets: after n misses the answer is the next plan.
    plans = list(product(range(actions), repeat=horizon))
    for tried in range(len(plans) + 2):
        opened = [
            secret == (secret if secret in plans[:tried] else plans[min(tried, len(plans) - 1)])
            for secret in plans
        ]
        assert Fraction(sum(opened), len(plans)) == lock_success(horizon, tried, actions=actions)


def test_no_adaptive_learner_beats_the_bound():
    # Four plans, transcripts that only tell what paid nothing: every decision tree of two tries.
    plans = list(product(range(2), repeat=2))
    best = 0
    for first, second, answer in product(plans, repeat=3):
        wins = sum(secret in (first, second) or secret == answer for secret in plans)
        best = max(best, Fraction(wins, 4))
    assert best == lock_success(2, 2) == Fraction(3, 4)


@given(st.integers(1, 12), st.integers(2, 4), st.fractions(Fraction(1, 100), 1))
def test_the_fewest_roll_outs_reach_the_probability_and_one_less_does_not(h, actions, success):
    needed = lock_roll_outs(h, actions=actions, success=success)
    assert lock_success(h, needed, actions=actions) >= success
    if needed:
        assert lock_success(h, needed - 1, actions=actions) < success


def test_observations_that_come_back_are_paid_for():
    # The chance that n draws of m values are not distinct is at most the correction of one layer.
    for copies, n in product((1, 2, 5), range(5)):
        words = list(product(range(copies), repeat=n))
        met = Fraction(sum(len(set(w)) < n for w in words), len(words))
        extra = lock_success(1, n, actions=10**9, copies=copies) - lock_success(1, n, actions=10**9)
        assert extra >= min(met, 1 - lock_success(1, n, actions=10**9))


def search_backwards(access, each, generator):
    """Draw states and actions uniformly, keep the action that paid; None where none did."""
    plan = np.zeros(access.horizon, dtype=int)
    for h in reversed(range(access.horizon)):
        states = generator.integers(access.states, size=each)
        first = actions = generator.integers(access.actions, size=each)
        paid = np.zeros(each)
        for t in range(h, access.horizon):
            states, reward = access.sample(t, states, actions)
            paid += reward
            actions = np.full(each, plan[min(t + 1, access.horizon - 1)])
        if not paid.any():
            return None
        plan[h] = first[np.argmax(paid)]
    return plan


def test_backward_search_fails_as_often_as_the_formula_says():
    horizon, each, runs = 3, 9, 1500
    want = float(backward_failure(horizon, each))
    generator, failed = np.random.default_rng(7), 0
    for seed in range(runs):
        lock = combination_lock(horizon, copies=1, seed=seed)
        access = Generative(lock.mdp, seed=generator)
        plan = search_backwards(access, each, generator)
        if plan is None:
            failed += 1
        else:
            np.testing.assert_array_equal(plan, lock.secret)
            assert access.samples == each * horizon * (horizon + 1) // 2
    # Five standard deviations of a binomial count.
    assert abs(failed / runs - want) < 5 * np.sqrt(want * (1 - want) / runs)


@pytest.mark.parametrize("horizon", [1, 2, 3, 5])
def test_backward_calls_are_enough_and_the_fewest(horizon):
    each, rest = divmod(backward_calls(horizon), horizon * (horizon + 1) // 2)
    assert rest == 0
    assert backward_failure(horizon, each) <= Fraction(1, 2)
    assert each == 1 or backward_failure(horizon, each - 1) > Fraction(1, 2)


def test_episodes_of_a_lock_pay_only_its_plan():
    lock = combination_lock(4, copies=8, seed=3)
    access = Online(lock.mdp, seed=0)
    found = access.run(lock.policies.table, len(lock.policies))
    np.testing.assert_array_equal(np.flatnonzero(found.returns), [lock.best])


# The failure of backward search.


def backward_step(instance):
    """PSDP on two layers, with exact values and mu known: the product policy it returns."""
    mdp, table = instance.mdp, np.asarray(instance.policies.table).astype(int)
    last = mdp.rewards[1]
    scores = [instance.reset[1] @ last[np.arange(2), policy[1]] for policy in table]
    chosen = table[int(np.argmax(scores)), 1]
    first = mdp.transitions[0] @ last[np.arange(2), chosen] + mdp.rewards[0]
    scores = [instance.reset[0] @ first[np.arange(2), policy[0]] for policy in table]
    picked = table[int(np.argmax(scores)), 0]
    return PolicyClass(np.stack([picked, chosen])[None], 2, instance.policies.layer_sizes)


@given(st.fractions(Fraction(1, 10), Fraction(99, 100)), st.fractions(Fraction(1, 100), 1))
def test_backward_search_returns_nothing_and_the_missing_policy_mends_it(decoy, weight):
    if not weight < (1 - weight) * decoy * Fraction(99, 100):
        weight = decoy / (1 + decoy) / 2
    instance = psdp_failure(decoy=decoy, weight=weight)
    values = class_values(instance.mdp, instance.policies)
    assert values.best == instance.best
    assert values.best_value == values.optimal == instance.best_value == 1
    assert class_values(instance.mdp, backward_step(instance)).best_value == 0
    mended = PolicyClass(
        np.concatenate([instance.policies.table, [[[0, 0], [1, 0]]]]), 2, np.array([1, 2])
    )
    whole = type(instance)(instance.mdp, mended, 0, Fraction(1), instance.reset)
    assert class_values(instance.mdp, backward_step(whole)).best_value == 1


def test_no_step_from_the_worse_policy_has_an_advantage():
    instance = psdp_failure()
    rewards, (f, g) = instance.mdp.rewards[1], np.asarray(instance.policies.table).astype(int)
    gain = rewards[[0, 1], f[1]] - rewards[[0, 1], g[1]]
    assert instance.reset[1] @ gain < 0
    np.testing.assert_array_equal(f[0], g[0])


# Deterministic MDPs.


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2**32))
def test_deterministic_mdps_are_seen_in_as_many_episodes_as_pairs(count, horizon, states, seed):
    policies = PolicyClass.random(count, horizon=horizon, states=states, seed=seed)
    instance = deterministic_case(policies, seed=seed)
    values = class_values(instance.mdp, policies)
    assert values.best_value == pytest.approx(float(instance.best_value), abs=1e-12)
    assert values.values[instance.best] == pytest.approx(values.best_value, abs=1e-12)
    pairs = reachable_pairs(instance.mdp, policies).sum(axis=(1, 2))
    found = spanning_capacity(policies)
    assert (pairs <= found.upper_by_layer).all()
    assert 1 <= episodes_to_see_all(instance) <= min(pairs.sum(), count, horizon * found.upper)


# Bad input.


def test_bad_arguments_are_named():
    for name in ("horizon", "actions", "copies"):
        with pytest.raises(ValueError, match=name):
            combination_lock(**({"horizon": 2, "seed": 0} | {name: 0}))
    with pytest.raises(ValueError, match="roll_outs is -1"):
        lock_success(2, -1)
    with pytest.raises(ValueError, match="copies"):
        lock_success(2, 1, copies=0)
    for success in (0, Fraction(3, 2), 0.5):
        with pytest.raises(ValueError, match="success is"):
            lock_roll_outs(2, success=success)
        with pytest.raises(ValueError, match="success is"):
            backward_calls(2, success=success)
    with pytest.raises(ValueError, match="no number of draws"):
        backward_calls(2, success=1)
    with pytest.raises(ValueError, match="each"):
        backward_failure(2, 0)
    with pytest.raises(ValueError, match="expected decoy < 1"):
        psdp_failure(weight=Fraction(1, 2))
    with pytest.raises(ValueError, match="decoy is"):
        psdp_failure(decoy=Fraction(0))
    with pytest.raises(TypeError, match="expected a PolicyClass"):
        deterministic_case(np.zeros((1, 2, 2)), seed=0)
    with pytest.raises(ValueError, match="levels"):
        deterministic_case(PolicyClass.constant(horizon=1, states=1), levels=0, seed=0)
