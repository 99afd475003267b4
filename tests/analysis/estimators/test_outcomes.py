"""Outcomes: expectations by plain sums, views of the same data, and groups counted once each."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies_estimators import as_floats, fractions, models, rational_outcomes, rational_rows

from rltheory.analysis.estimators.groups import enumerate_groups, types_of
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes


@given(outcomes=rational_outcomes())
@settings(max_examples=20)
def test_expectations_are_sums(outcomes):
    o = outcomes
    value, gradient = Fraction(0), np.zeros(o.scores.shape[1], dtype=object)
    for x, weight in enumerate(o.weights):
        for i in range(o.starts[x], o.starts[x + 1]):
            assert o.prompt_of[i] == x
            assert o.joint[i] == weight * o.probabilities[i]
            value += weight * o.probabilities[i] * o.rewards[i]
            gradient = gradient + weight * o.probabilities[i] * o.rewards[i] * o.scores[i]
            assert o.squared_norms[i] == sum(s * s for s in o.scores[i])
            if o.behaviour is not None:
                assert o.ratios[i] * o.behaviour[i] == o.probabilities[i]
    assert o.value == value
    assert o.gradient.tolist() == gradient.tolist()
    assert o.exact
    assert not as_floats(o).exact


@given(outcomes=rational_outcomes())
@settings(max_examples=15)
def test_the_prompt_may_be_part_of_the_draw(outcomes):
    """One prompt in all: same value and gradient, and one sample has the same moments."""
    one = outcomes.as_one_prompt()
    assert one.weights.tolist() == [1]
    assert one.value == outcomes.value
    assert one.gradient.tolist() == outcomes.gradient.tolist()
    a, b = (estimator_moments(o, "reinforce") for o in (outcomes, one))
    assert a.covariance.tolist() == b.covariance.tolist()
    assert b.between == 0


def test_floats_next_to_fractions_are_taken_as_they_are():
    o = Outcomes(
        probabilities=[0.25, 0.75], scores=fractions([[3], [-1]]), rewards=[0.1, 2], lengths=[1, 2]
    )
    assert o.exact
    assert o.rewards.tolist() == [Fraction(0.1), 2]
    assert type(o.lengths[0]) is int
    greedy = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[1.0], greedy=fractions([1]))
    assert greedy.exact
    # 0.1 and 0.9 as floats are no tenths, and miss 1 by 2^-55.
    with pytest.raises(ValueError, match=r"sum to \d+/36028797018963968; expected 1 exactly"):
        Outcomes(probabilities=[0.1, 0.9], scores=fractions([[1], [1]]), rewards=[0, 0])


def test_integers_are_floats_unless_there_are_fractions():
    o = Outcomes(
        probabilities=np.array([1], dtype=object), scores=np.array([[0]], dtype=object), rewards=[3]
    )
    assert not o.exact
    assert o.rewards.dtype == float


def test_greedy_rewards():
    o = Outcomes(
        probabilities=[0.2, 0.8, 0.5, 0.5],
        scores=np.zeros((4, 1)),
        rewards=[1.0, 2.0, 3.0, 4.0],
        weights=[0.5, 0.5],
        starts=[0, 2, 4],
    )
    assert o.greedy_rewards().tolist() == [2.0, 3.0]
    assert replace(o, greedy=[7.0, 8.0]).greedy_rewards().tolist() == [7.0, 8.0]


def test_arrays_refuse_writes():
    o = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[1.0])
    for array in (o.probabilities, o.scores, o.rewards, o.weights, o.starts, o.lengths):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_array, sparse.csc_matrix])
def test_sparse_scores_of_any_format(kind):
    table = np.array([[0.5, 0.0], [0.0, -0.5], [0.0, 0.0]])
    arguments = {"probabilities": [0.25, 0.25, 0.5], "rewards": [1.0, 2.0, 3.0]}
    dense = Outcomes(scores=table, **arguments)
    thin = Outcomes(scores=kind(table), **arguments)
    np.testing.assert_array_equal(thin.squared_norms, dense.squared_norms)
    np.testing.assert_array_equal(thin.gradient, dense.gradient)
    a, b = (estimator_moments(o, "coordinate", group_size=2) for o in (dense, thin))
    np.testing.assert_allclose(a.covariance, b.covariance, atol=1e-16)


@given(drawn=models())
@settings(max_examples=10)
def test_expected_scores_are_zero_for_every_prompt(drawn):
    model, parameters, _ = drawn
    o = model.at(parameters)
    for j in range(model.size):
        np.testing.assert_allclose(o.given_prompt(o.scores[:, j]), 0.0, atol=1e-13)


@given(seed=st.integers(0, 999), count=st.integers(1, 5), size=st.integers(1, 5))
@settings(max_examples=15)
def test_groups_are_counted_once_each_with_their_chance(seed, count, size):
    masses = rational_rows(np.random.default_rng(seed), [count])
    types = types_of([np.arange(count)], masses)
    found = {}
    for members, probabilities in enumerate_groups(types, size):
        for row, chance in zip(members.tolist(), probabilities, strict=True):
            assert tuple(row) not in found
            found[tuple(row)] = chance
    expected = {}
    for group in itertools.product(range(count), repeat=size):
        key = tuple(sorted(group))
        expected[key] = expected.get(key, 0) + np.prod([masses[t] for t in group])
    assert found == expected
    assert types.multisets(size) == len(expected)
    floats = types_of([np.arange(count)], masses.astype(float))
    chances = np.concatenate([g.probabilities for g in enumerate_groups(floats, size)])
    np.testing.assert_allclose(chances, [float(v) for v in found.values()], rtol=1e-13)


def test_groups_come_in_chunks(monkeypatch):
    from rltheory.analysis.estimators import groups

    types = types_of([np.arange(4)], np.full(4, 0.25))
    whole = [g.types for g in enumerate_groups(types, 3)]
    monkeypatch.setattr(groups, "_CHUNK", 7)
    parts = [g.types for g in enumerate_groups(types, 3)]
    assert (len(whole), len(parts)) == (1, 10)
    np.testing.assert_array_equal(np.concatenate(parts), whole[0])


@pytest.mark.parametrize("size", [150, 171, 1000])
def test_large_groups_of_two_types_are_binomial(size):
    """171! is no float; the probabilities are."""
    from scipy.stats import binom

    types = types_of([np.array([0, 1])], np.array([0.3, 0.7]))
    ((members, chances),) = enumerate_groups(types, size)
    counts = (members == 0).sum(axis=1)
    np.testing.assert_allclose(chances, binom.pmf(counts, size, 0.3), rtol=1e-9)


def test_types_are_what_is_read():
    labels = [np.array([1.0, 2.0, 1.0, 1.0]), np.array([1, 1, 2, 1])]
    types = types_of(labels, np.array([0.1, 0.2, 0.0, 0.7]))
    assert types.of.tolist() == [0, 1, -1, 0]
    assert types.first.tolist() == [0, 1]
    np.testing.assert_allclose(types.masses, [0.8, 0.2])


def test_a_response_that_is_never_drawn_changes_nothing():
    """Probability zero under both: any reward, any score."""
    o = Outcomes(
        probabilities=[0.5, 0.5, 0.0],
        behaviour=[0.25, 0.75, 0.0],
        scores=[[0.5], [-0.5], [1e5]],
        rewards=[0.0, 1.0, 1e5],
    )
    less = Outcomes(
        probabilities=[0.5, 0.5], behaviour=[0.25, 0.75], scores=[[0.5], [-0.5]], rewards=[0.0, 1.0]
    )
    for name in ("rloo", "oblr", "grpo", "dr-grpo", "coordinate", "reinforce++"):
        a, b = (estimator_moments(each, name, group_size=3) for each in (o, less))
        np.testing.assert_allclose(a.mean, b.mean, atol=1e-15)
        np.testing.assert_allclose(a.covariance, b.covariance, atol=1e-15)
