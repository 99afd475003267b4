"""Subsets of largest variance against enumeration, the guarantee, and what the estimate becomes."""

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.weights import MEAN
from rltheory.analysis.zoo import d3s

numbers = st.fractions(-4, 4, max_denominator=8)


@st.composite
def pools(draw, most=7):
    """Fractions with ties, and how many to keep."""
    values = draw(st.lists(numbers, min_size=1, max_size=most))
    return np.array(values, dtype=object), draw(st.integers(1, len(values)))


def variance(values):
    """The population variance of Fractions."""
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values)


@given(pools())
def test_subset_has_the_largest_variance_of_all(pool):
    values, size = pool
    found = d3s.largest_variance_subset(values, size)
    best = max(variance(subset) for subset in combinations(values, size))
    assert len(set(found.indices.tolist())) == size
    assert variance(values[found.indices]) == found.variance == best
    assert list(values[found.indices]) == sorted(values[found.indices])
    order = sorted(values)
    extremes = order[: found.low] + order[len(order) - size + found.low :]
    assert sorted(values[found.indices]) == extremes


@given(pools(), st.floats(-1e6, 1e6))
def test_floats_are_as_good_whatever_is_added(pool, shift):
    values, size = pool
    floats = values.astype(float) + shift
    found = d3s.largest_variance_subset(floats, size)
    best = max(np.var(subset) for subset in combinations(floats, size))
    # Centring costs one rounding of numbers as large as the shift.
    assert found.variance == pytest.approx(best, abs=1e-14 * (1 + abs(shift)) * 8)
    assert np.var(floats[found.indices]) == pytest.approx(found.variance, abs=1e-8)


@given(pools())
def test_kept_share_is_guaranteed(pool):
    values, size = pool
    best = max(variance(subset) for subset in combinations(values, size))
    assert best >= d3s.variance_kept_at_least(size) * variance(values)


@pytest.mark.parametrize("size", [1, 3, 5, 7])
def test_odd_sizes_attain_their_share(size):
    values = np.array([Fraction(i % 2) for i in range(size + 1)], dtype=object)
    found = d3s.largest_variance_subset(values, size)
    assert found.variance == (1 - Fraction(1, size * size)) * variance(values)


@given(st.lists(numbers, min_size=2, max_size=6), st.data())
def test_with_bessels_correction_the_published_lemma_holds(values, data):
    size = data.draw(st.integers(2, len(values)))
    best = max(variance(subset) for subset in combinations(values, size))
    corrected = best * Fraction(size, size - 1)
    assert corrected >= variance(values) * Fraction(len(values), len(values) - 1)


@given(st.integers(0, 8), st.integers(0, 8), st.data())
def test_binary_rewards_are_split_as_evenly_as_they_can(ones, zeros, data):
    if ones + zeros == 0:
        return
    size = data.draw(st.integers(1, ones + zeros))
    values = np.array([Fraction(1)] * ones + [Fraction(0)] * zeros, dtype=object)
    found = d3s.largest_variance_subset(values, size)
    feasible = [j for j in range(size + 1) if j <= ones and size - j <= zeros]
    best = min(feasible, key=lambda j: abs(2 * j - size))
    assert found.variance == Fraction(best * (size - best), size * size)


def by_random_ties(rewards, size):
    """The advantages of a group, averaged over all choices among equal rewards."""
    best = max(variance([rewards[i] for i in s]) for s in combinations(range(len(rewards)), size))
    found = d3s.largest_variance_subset(np.array(rewards, dtype=object), size)
    kept = sorted(rewards[i] for i in found.indices)
    ways = [
        s for s in combinations(range(len(rewards)), size) if sorted(rewards[i] for i in s) == kept
    ]
    total = [Fraction(0)] * len(rewards)
    for chosen in ways:
        mean = sum((rewards[i] for i in chosen), Fraction(0)) / size
        for i in chosen:
            total[i] += (rewards[i] - mean) / len(ways)
    assert variance(kept) == best
    return [x / size for x in total]


@given(
    st.lists(st.sampled_from([Fraction(0), Fraction(1), Fraction(1, 3)]), min_size=2, max_size=5)
)
def test_equal_rewards_share_what_they_are_due(rewards):
    for size in range(1, len(rewards) + 1):
        estimator = d3s.down_sampled(size)
        found = estimator.weights(Group(np.array(rewards, dtype=object)))
        assert list(found) == by_random_ties(rewards, size)
        floats = estimator.weights(Group(np.array([rewards, rewards], dtype=float)))
        assert np.allclose(floats, found.astype(float), atol=1e-14)


@given(st.integers(0, 2**32 - 1))
def test_moments_are_those_of_all_ordered_groups(seed):
    rng = np.random.default_rng(seed)
    rewards = rng.integers(0, 3, 3).astype(float)
    model = softmax_bandit(rewards)
    outcomes = model.at(rng.normal(size=3))
    estimator = d3s.down_sampled(2)
    found = estimator_moments(outcomes, estimator, group_size=3)
    mean = np.zeros(3)
    for group in product(range(3), repeat=3):
        members = list(group)
        chance = outcomes.probabilities[members].prod()
        weights = np.array(by_random_ties([Fraction(r) for r in rewards[members]], 2), dtype=float)
        mean += chance * weights @ outcomes.scores[members]
    assert np.allclose(found.mean, mean, atol=1e-14)


def test_keeping_all_is_the_group_mean():
    outcomes = softmax_bandit(np.array([0.0, 1.0, 3.0])).at(np.array([0.3, 0.0, -1.0]))
    mean = estimator_moments(outcomes, MEAN, group_size=3)
    kept = estimator_moments(outcomes, d3s.down_sampled(3), group_size=3)
    assert np.allclose(kept.mean, mean.mean, atol=1e-15)
    assert np.allclose(kept.covariance, mean.covariance, atol=1e-15)


def test_more_than_two_rewards_turn_the_gradient():
    p = np.array([Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)], dtype=object)
    r = np.array([Fraction(0), Fraction(1, 4), Fraction(1)], dtype=object)
    eye = np.array([[Fraction(int(i == j)) for j in range(3)] for i in range(3)], dtype=object)
    outcomes = Outcomes(probabilities=p, scores=eye - p, rewards=r)
    found = estimator_moments(outcomes, d3s.down_sampled(2), group_size=3)
    minors = np.outer(found.mean, outcomes.gradient) - np.outer(outcomes.gradient, found.mean)
    assert np.any(minors != 0)
    plain = estimator_moments(outcomes, MEAN, group_size=3)
    assert np.all(plain.mean * 3 == 2 * outcomes.gradient)


@given(st.integers(0, 2**32 - 1))
def test_a_batch_has_one_subset(seed):
    rng = np.random.default_rng(seed)
    groups = [rng.normal(size=n) for n in rng.integers(1, 5, 3)]
    flat = np.concatenate(groups)
    size = int(rng.integers(1, len(flat) + 1))
    kept = d3s.down_sampled_batch(groups, size)
    values = np.concatenate([g[k] for g, k in zip(groups, kept, strict=True)])
    assert len(values) == size
    assert np.var(values) == pytest.approx(max(np.var(s) for s in combinations(flat, size)))


def test_a_group_may_keep_none():
    kept = d3s.down_sampled_batch([[0.1, -0.1], [2.0, -2.0]], 2)
    assert [k.tolist() for k in kept] == [[], [0, 1]]


@given(st.integers(1, 12), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_chosen_tokens_have_the_largest_keys(count, share, seed):
    rng = np.random.default_rng(seed)
    advantages, entropies = rng.normal(size=count), rng.random(count)
    chosen = d3s.chosen_tokens(advantages, entropies, share)
    keys = np.abs(advantages) * entropies
    assert abs(chosen.sum() - share * count) < 1 + 1e-9
    if chosen.any() and not chosen.all():
        assert keys[chosen].min() >= keys[~chosen].max()


def test_schedule_goes_from_start_to_end():
    assert np.array_equal(d3s.schedule(0.0, [8, 0.2], [16, 1.0]), [8, 0.2])
    assert np.array_equal(d3s.schedule(1.0, [8, 0.2], [16, 1.0]), [16, 1.0])
    assert np.allclose(d3s.schedule(0.25, [8, 0.2], [16, 1.0]), [10, 0.4])


def test_a_million_values_take_one_sort():
    values = np.random.default_rng(0).normal(size=10**6)
    found = d3s.largest_variance_subset(values, 1000)
    assert np.var(values[found.indices]) == pytest.approx(found.variance, rel=1e-9)
    assert 480 < found.low < 520


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: d3s.largest_variance_subset([1.0, 2.0], 3), "size is 3; expected at most 2"),
        (lambda: d3s.largest_variance_subset([1.0, 2.0], 0), "size is 0"),
        (lambda: d3s.largest_variance_subset([1.0, np.nan], 1), r"values\[1\] is nan"),
        (lambda: d3s.largest_variance_subset([[1.0]], 1), "values has shape"),
        (lambda: d3s.down_sampled(0), "size is 0"),
        (lambda: d3s.down_sampled(3).check_group(2), "needs at least 3"),
        (lambda: d3s.variance_kept_at_least(0), "size is 0"),
        (lambda: d3s.down_sampled_batch([], 1), "advantages is empty"),
        (lambda: d3s.chosen_tokens([1.0], [-1.0], 0.5), r"entropies\[0\] is -1"),
        (lambda: d3s.chosen_tokens([1.0], [1.0, 2.0], 0.5), "entropies has shape"),
        (lambda: d3s.chosen_tokens([1.0], [1.0], 1.5), "share is 1.5"),
        (lambda: d3s.schedule(2.0, 1.0, 2.0), "progress is 2.0"),
        (lambda: d3s.schedule(0.5, [1.0], [1.0, 2.0]), "end has shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
