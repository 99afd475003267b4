"""Zero-sum games: the value against enumeration of kernels, exact and certified solutions."""

from fractions import Fraction
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rltheory.analysis.rational import to_fractions
from rltheory.games.exact.integer_simplex import solve_exactly
from rltheory.games.normal_form.matrix_classics import (
    biased_rock_paper_scissors,
    blotto,
    prisoners_dilemma,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.zero_sum import certified_value, solve_matrix_game


@st.composite
def matrices(draw, largest=3):
    """Small payoff matrices, many of them degenerate."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, largest)), draw(st.integers(1, largest))
    if draw(st.booleans()):
        return rng.integers(-2, 3, size=shape).astype(float)
    return rng.normal(size=shape) * rng.choice([1.0, 1e-5, 1e5])


def determinant(matrix):
    """Leibniz' sum over permutations."""
    n = len(matrix)
    total = Fraction(0)
    for order in permutations(range(n)):
        inversions = sum(order[i] > order[j] for i, j in combinations(range(n), 2))
        term = Fraction((-1) ** inversions)
        for row, column in enumerate(order):
            term *= matrix[row, column]
        total += term
    return total


def value_by_kernels(matrix):
    """The value by Shapley and Snow (1950): det / sum of cofactors of some square submatrix."""
    exact = to_fractions(matrix)
    rows, columns = exact.shape
    for size in range(1, min(rows, columns) + 1):
        for chosen in combinations(range(rows), size):
            for taken in combinations(range(columns), size):
                kernel = exact[np.ix_(chosen, taken)]
                cofactors = np.array(
                    [
                        [
                            (-1) ** (i + j) * determinant(np.delete(np.delete(kernel, i, 0), j, 1))
                            for j in range(size)
                        ]
                        for i in range(size)
                    ],
                    dtype=object,
                )
                total = cofactors.sum()
                if total == 0:
                    continue
                x, y = cofactors.sum(axis=1) / total, cofactors.sum(axis=0) / total
                value = determinant(kernel) / total
                if (
                    min(x) >= 0
                    and min(y) >= 0
                    and min(x @ exact[list(chosen)]) == value == max(exact[:, list(taken)] @ y)
                ):
                    return value
    raise AssertionError("every matrix game has a kernel")


@settings(deadline=None)
@example(np.zeros((3, 2)))
@example(np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]]))
@given(matrices())
def test_values_agree_with_the_kernels_of_shapley_and_snow(matrix):
    value = value_by_kernels(matrix)
    exact = solve_matrix_game(matrix, arithmetic="rational")
    assert exact.value == value
    simplex, x, y = solve_exactly(to_fractions(matrix))
    assert simplex == value
    fractions = to_fractions(matrix)
    for rows, columns in ((x, y), exact.strategies):
        assert min(rows) >= 0
        assert min(columns) >= 0
        assert sum(rows) == sum(columns) == 1
        assert min(rows @ fractions) == value == max(fractions @ columns)
    solution = solve_matrix_game(matrix)
    assert Fraction(float(solution.bounds.lower)) <= value <= Fraction(float(solution.bounds.upper))
    # HiGHS' feasibility tolerance is 1e-7 on payoffs scaled to [-1, 1]; two constraints meet.
    assert solution.bounds.gap <= 4e-7 * max(np.abs(matrix).max(), 1e-300) + 1e-300


@settings(deadline=None, max_examples=20)
@given(matrices(), st.integers(0, 2**32 - 1))
def test_any_strategies_enclose_the_value(matrix, seed):
    rng = np.random.default_rng(seed)
    rows, columns = (rng.dirichlet(np.full(n, 0.3)) for n in matrix.shape)
    bounds = certified_value(matrix, rows, columns)
    exact = solve_matrix_game(matrix, arithmetic="rational").value
    assert Fraction(float(bounds.lower)) <= exact <= Fraction(float(bounds.upper))
    fractions, x, y = (to_fractions(a) for a in (matrix, rows, columns))
    assert Fraction(float(bounds.lower)) <= min(x / sum(x) @ fractions)
    assert Fraction(float(bounds.upper)) >= max(fractions @ (y / sum(y)))


def test_blotto_is_solved_exactly_though_degenerate():
    solution = solve_matrix_game(blotto(4, 3), arithmetic="rational")
    assert solution.value == 0
    payoffs = to_fractions(blotto(4, 3).payoffs[0])
    x, y = solution.strategies
    assert min(x @ payoffs) == 0 == max(payoffs @ y)


def test_fractions_are_taken_as_they_are():
    third = Fraction(1, 3)
    solution = solve_matrix_game(
        np.array([[third, 0], [0, third]], dtype=object), arithmetic="rational"
    )
    assert solution.value == Fraction(1, 6)


def test_biased_rock_paper_scissors_is_solved_on_supports():
    solution = solve_matrix_game(biased_rock_paper_scissors(), arithmetic="rational")
    assert solution.by == "supports"
    assert list(solution.strategies[0]) == [Fraction(1, 5), Fraction(3, 5), Fraction(1, 5)]


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e120])
def test_payoffs_of_any_size_are_solved(scale):
    matrix = scale * np.random.default_rng(0).normal(size=(6, 5)) + 5 * scale
    solution = solve_matrix_game(matrix)
    assert solution.bounds.gap <= 1e-10 * scale
    assert solution.value == pytest.approx(scale * solve_matrix_game(matrix / scale).value)


def test_larger_games_agree_with_an_interior_point_solver():
    cp = pytest.importorskip("cvxpy")
    matrix = np.random.default_rng(1).normal(size=(30, 40))
    x = cp.Variable(30, nonneg=True)
    problem = cp.Problem(cp.Maximize(cp.min(x @ matrix)), [cp.sum(x) == 1])
    problem.solve(solver=cp.CLARABEL)
    bounds = solve_matrix_game(matrix).bounds
    assert bounds.gap < 1e-10
    assert problem.value == pytest.approx(float(bounds.lower), abs=1e-6)
    exact = solve_matrix_game(matrix, arithmetic="rational").value
    assert Fraction(float(bounds.lower)) <= exact <= Fraction(float(bounds.upper))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="exactly opposite"):
        solve_matrix_game(prisoners_dilemma())
    with pytest.raises(ValueError, match="exactly opposite"):
        solve_matrix_game(MatrixGame(np.zeros((1, 3))))
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        solve_matrix_game([[1.0]], arithmetic="decimal")
    with pytest.raises(ValueError, match=r"game has shape \(2,\)"):
        solve_matrix_game([1.0, 2.0])
    with pytest.raises(ValueError, match=r"game\[0, 0\] is inf"):
        solve_matrix_game([[np.inf]])
    with pytest.raises(ValueError, match="at least one action"):
        solve_matrix_game(np.zeros((0, 2)))
    with pytest.raises(TypeError, match="real numbers"):
        solve_matrix_game([["a"]])
