"""Eluder dimensions and extrapolation coefficients, against their definitions by enumeration."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from class_cases import instances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rltheory.linear_mdp.function_classes.coefficients import (
    cumulative_reachability,
    extrapolation,
    reachability,
    sequential_extrapolation,
)
from rltheory.linear_mdp.function_classes.eluder import (
    bellman_eluder,
    bellman_rank,
    bellman_tables,
    distributional_eluder,
    eluder_dimension,
)
from rltheory.linear_mdp.function_classes.finite import complete_class, dyadic_mdp
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass

small = arrays(
    np.int64, st.tuples(st.integers(1, 5), st.integers(1, 4)), elements=st.integers(-4, 4)
)


def independent_at(table, sequence, square):
    """Whether every test of a sequence is independent at an eps' whose square is given."""
    for place, test in enumerate(sequence):
        if not any(
            sum(column[i] ** 2 for i in sequence[:place]) <= square < column[test] ** 2
            for column in table.T.tolist()
        ):
            return False
    return True


def longest(table, eps):
    """The dimension by trying all sequences at all squares of eps' where anything changes."""
    numbers = table.tolist()
    columns = list(zip(*numbers, strict=True))
    changes = {eps**2}
    for column in columns:
        squares = {Fraction(0)}
        for x in column:
            squares |= {s + Fraction(x) ** 2 for s in squares}
        changes |= {s for s in squares if s >= eps**2}
    best = 0
    for square in changes:
        for length in range(best + 1, len(numbers) + 1):
            tries = permutations(range(len(numbers)), length)
            if not any(independent_at(table, sequence, square) for sequence in tries):
                break
            best = length
    return best


@settings(max_examples=20, deadline=None)
@given(small, st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2)]))
def test_the_dimension_is_the_longest_independent_sequence(table, eps):
    found = distributional_eluder(table, float(eps))
    assert found.exact
    assert found.lower == longest(table, eps)
    assert len(found.sequence) == found.lower
    if found.lower:
        # A little below the scale: no sum of squares of these integers is in between.
        square = Fraction(found.scale) ** 2 - Fraction(1, 2)
        assert square >= eps**2 or found.scale**2 - 1 < eps**2
        assert independent_at(table, found.sequence, max(square, eps**2))
    exact = np.array([[Fraction(int(x)) for x in row] for row in table], dtype=object)
    assert distributional_eluder(exact, float(eps)).lower == found.lower


@settings(max_examples=15, deadline=None)
@given(small)
def test_bounds_of_a_cut_search_hold(table):
    whole = distributional_eluder(table, 1.0)
    cut = distributional_eluder(table, 1.0, most_sets=1)
    assert cut.lower <= whole.lower <= cut.upper
    assert whole.upper <= min(table.shape)


def test_dimensions_known_in_closed_form():
    # Any functions of n points can be told apart by no fewer than all of them.
    assert eluder_dimension(np.array(list(product((0.0, 1.0), repeat=4))), 0.5).lower == 4
    # Constants are known once they are seen anywhere.
    assert eluder_dimension(np.ones((3, 6)) * np.arange(3.0)[:, None], 0.5).lower == 1
    assert eluder_dimension(np.ones((1, 6)), 0.5).lower == 0
    # A direction that is fully seen, then the other: two, however many tests there are.
    angles = np.linspace(0.0, np.pi, 7)
    plane = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert distributional_eluder(np.eye(2), 0.5).lower == 2
    assert distributional_eluder(plane[:, :1], 0.5).lower == 1


@settings(max_examples=15, deadline=None)
@given(instances(2))
def test_bellman_dimensions_are_within_their_bounds(instance):
    mdp, functions = instance
    points = bellman_eluder(mdp, functions, 0.1, tests="points", arithmetic="rational")
    played = bellman_eluder(mdp, functions, 0.1, arithmetic="rational")
    assert points.exact
    assert played.exact
    assert points.lower <= mdp.states * mdp.actions
    assert played.lower <= len({p.tobytes() for p in functions.greedy()})
    # Dyadic numbers of few bits: floats do not round.
    assert bellman_eluder(mdp, functions, 0.1).lower == played.lower


@settings(max_examples=15, deadline=None)
@given(instances(2))
def test_the_bellman_rank_is_that_of_the_matrices(instance):
    mdp, functions = instance
    rank = bellman_rank(mdp, functions)
    tables = bellman_tables(mdp, functions, arithmetic="rational")
    assert rank == max(eliminate([list(row) for row in table]) for table in tables)
    assert rank <= mdp.states * mdp.actions


def eliminate(rows):
    """The rank by elimination in Fractions."""
    rank = 0
    for j in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][j] != 0), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            factor = rows[i][j] / rows[rank][j]
            rows[i] = [x - factor * y for x, y in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_the_coefficient_is_the_largest_over_all_sequences(tests, functions, rounds, seed):
    rng = np.random.default_rng(seed)
    errors = rng.uniform(-1, 1, size=(2, tests, functions))
    means, squares = errors.mean(axis=0), np.square(errors).mean(axis=0)
    scale = float(rng.uniform(1.0, 1.5))
    found = extrapolation(means, squares, rounds, scale=scale)
    best = 0.0
    for sequence in product(product(range(tests), range(functions)), repeat=rounds):
        total = 0.0
        for t, (i, j) in enumerate(sequence):
            before = sum(squares[k, j] for k, _ in sequence[:t])
            total += means[i, j] ** 2 / max(scale**2, before)
        best = max(best, total)
    assert found.exact
    np.testing.assert_allclose(found.lower, best, rtol=1e-12)
    cut = extrapolation(means, squares, rounds, scale=scale, most_multisets=1)
    assert cut.lower <= found.lower * (1 + 1e-12)
    assert found.lower <= cut.upper * (1 + 1e-12)


def test_the_potential_bound_holds_on_many_rounds():
    # One function that is seen fully each time: 1 + 1 + 1/2 + ... + 1/(T-1).
    found = extrapolation(np.ones((1, 1)), np.ones((1, 1)), 500)
    np.testing.assert_allclose(found.lower, 1 + sum(1 / t for t in range(1, 500)), rtol=1e-12)
    assert found.exact
    cut = extrapolation(np.ones((1, 1)), np.ones((1, 1)), 500, most_multisets=1)
    # Here the bound by tests is the lesser one.
    assert found.lower <= cut.upper == 2.0 + np.log(500)


def test_the_sequence_of_a_class_attains_its_coefficient():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=4)
    functions = complete_class(mdp, 5, seed=1)
    found = sequential_extrapolation(mdp, functions, 6)
    assert found.exact
    assert len(found.policies) == 6
    # More rounds never lower it, nor do more policies.
    assert sequential_extrapolation(mdp, functions, 7).lower >= found.lower
    everything = PolicyClass.tabular(horizon=2, states=2)
    wide = sequential_extrapolation(mdp, functions, 6, policies=everything, most_multisets=1)
    assert found.lower <= wide.upper


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_reachability_is_the_largest_over_all_policies(horizon, states, seed):
    mdp = dyadic_mdp(horizon=horizon, states=states, actions=2, seed=seed)
    everything = PolicyClass.tabular(horizon=horizon, states=states)
    visited = occupancies(mdp, everything)
    np.testing.assert_array_equal(reachability(mdp), visited.sum(axis=3).max(axis=0))
    total = cumulative_reachability(mdp)
    assert total == cumulative_reachability(mdp, everything)
    # Coverability: the mixture in proportion to what is reached covers with this constant.
    tops = visited.max(axis=0)
    mixture = tops / tops.sum(axis=(1, 2), keepdims=True)
    ratio = np.divide(visited, mixture, out=np.zeros_like(visited), where=visited > 0)
    np.testing.assert_allclose(ratio.max(), total, rtol=1e-12)


def test_bad_input_is_refused_by_name():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=0)
    functions = complete_class(mdp, 3, seed=0)
    for eps in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="eps"):
            distributional_eluder(np.eye(2), eps)
    with pytest.raises(ValueError, match="table has shape"):
        distributional_eluder(np.ones(3), 0.1)
    with pytest.raises(ValueError, match="not finite"):
        distributional_eluder(np.array([[np.inf]]), 0.1)
    with pytest.raises(TypeError, match="table holds"):
        distributional_eluder(np.array([["a"]]), 0.1)
    with pytest.raises(ValueError, match="functions has shape"):
        eluder_dimension(np.ones(3), 0.1)
    with pytest.raises(ValueError, match="tests is 'all'"):
        bellman_eluder(mdp, functions, 0.1, tests="all")
    with pytest.raises(ValueError, match="rounds"):
        extrapolation(np.ones((1, 1)), np.ones((1, 1)), 0)
    with pytest.raises(ValueError, match="scale is 0"):
        extrapolation(np.ones((1, 1)), np.ones((1, 1)), 1, scale=0.0)
    with pytest.raises(ValueError, match="squares must be"):
        extrapolation(np.ones((1, 1)), np.zeros((1, 1)), 1)
    with pytest.raises(ValueError, match="shapes"):
        extrapolation(np.ones((1, 1)), np.zeros((1, 2)), 1)
