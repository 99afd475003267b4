"""Two-player zero-sum matrix games by linear programming, certified or exact.

In floats HiGHS gives the row player's optimal strategy and, as multipliers, the column player's;
what each guarantees, rounded outward, encloses the value. In rationals the strategies that make
each other's support indifferent are solved for on the supports that HiGHS found and checked
exactly; where that fails, as it may in degenerate games, the simplex method runs on integers.
Source: von Neumann (1928); Dantzig (1951).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis import rational
from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_shape
from rltheory.analysis.bounds import Bounds, down, up
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.exact.integer_simplex import solve_exactly
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile, deviation_payoffs


@dataclass(frozen=True, eq=False)
class ZeroSumSolution:
    """Strategies of both players and what they prove: bounds.lower <= value <= bounds.upper.

    bounds: the row player's strategy guarantees the lower, the column player's the upper bound.
    """

    strategies: Profile
    bounds: Bounds

    @property
    def value(self) -> float:
        """The middle of the bounds."""
        return float((self.bounds.lower + self.bounds.upper) / 2)


@dataclass(frozen=True, eq=False)
class ExactZeroSumSolution:
    """The value of a game and optimal strategies of both players, all Fractions.

    by: "supports" if the supports found in floats were right, "simplex" otherwise.
    """

    strategies: tuple[FractionArray, FractionArray]
    value: Fraction
    by: Literal["supports", "simplex"]


@overload
def solve_matrix_game(
    game: MatrixGame | ArrayLike, *, arithmetic: Literal["float"] = "float"
) -> ZeroSumSolution: ...


@overload
def solve_matrix_game(
    game: MatrixGame | ArrayLike, *, arithmetic: Literal["rational"]
) -> ExactZeroSumSolution: ...


def solve_matrix_game(
    game: MatrixGame | ArrayLike, *, arithmetic: str = "float"
) -> ZeroSumSolution | ExactZeroSumSolution:
    """Solve a two-player zero-sum game; return a ZeroSumSolution, or an exact one.

    game: a MatrixGame, or the row player's payoffs (A, B); for "rational" they may be Fractions,
    and floats count as the dyadic rationals that they are.
    Raises ValueError for another game or arithmetic, RuntimeError with HiGHS' message should it
    fail.
    """
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    given = _row_payoffs(game)
    matrix = MatrixGame.zero_sum(given).payoffs[0]
    rows, columns = _highs(matrix)
    if arithmetic == "float":
        return ZeroSumSolution((rows, columns), certified_value(matrix, rows, columns))
    exact = to_fractions(given)
    solution = _on_supports(exact, np.flatnonzero(rows > 0), np.flatnonzero(columns > 0))
    if solution is not None:
        return solution
    value, x, y = solve_exactly(exact)
    if not _is_optimal(exact, x, y, value):
        raise ArithmeticError("the simplex method ended at strategies that are not optimal")
    return ExactZeroSumSolution((x, y), value, "simplex")


def certified_value(matrix: FloatArray, rows: FloatArray, columns: FloatArray) -> Bounds:
    """Return what two mixed strategies, each over its sum, prove about the value of a game.

    matrix (A, B), rows (A,), columns (B,); the bounds are rounded outward.
    """
    game = MatrixGame.zero_sum(matrix)
    mine, theirs = deviation_payoffs(game.payoffs, (rows, columns))
    error = game.payoff_error((rows, columns))
    return Bounds(down(-theirs.max() - error), up(mine.max() + error))


def _row_payoffs(game: MatrixGame | ArrayLike) -> Any:
    if isinstance(game, MatrixGame):
        if not game.is_zero_sum:
            raise ValueError(
                f"game is {game!r}; expected two players whose payoffs are exactly opposite "
                "(enumerate_equilibria and correlated_equilibrium take general-sum games)"
            )
        return game.payoffs[0]
    given: Any = np.asarray(game)
    check_shape(given, "game", (None, None))
    if given.dtype != object:
        given = as_float_array(given, "game")
    check_finite(as_float_array(given, "game"), "game")
    return given


def _highs(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return nearly optimal strategies, nonnegative and summing to 1."""
    # A third of a second that only the linear programs should cost.
    from scipy.optimize import linprog

    rows, columns = matrix.shape
    # Constants do not matter to strategies, and HiGHS takes its tolerances in absolute terms.
    middle = (matrix.max() + matrix.min()) / 2
    spread = np.abs(matrix - middle).max()
    scaled = (matrix - middle) / spread if spread > 0 else np.zeros_like(matrix)
    result = linprog(
        np.append(np.zeros(rows), -1.0),
        A_ub=np.column_stack([-scaled.T, np.ones(columns)]),
        b_ub=np.zeros(columns),
        A_eq=np.append(np.ones(rows), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    strategies = []
    for weights in (result.x[:-1], -result.ineqlin.marginals):
        positive = np.maximum(weights, 0.0)
        strategies.append(positive / positive.sum())
    return strategies[0], strategies[1]


def _on_supports(matrix: FractionArray, rows: Any, columns: Any) -> ExactZeroSumSolution | None:
    """Return the exact solution with these supports, None if there is not exactly one or it fails.

    On its support each player's strategy makes the other's support indifferent; with supports of
    one size that is a square system in the strategy and the value.
    """
    size = len(rows)
    if size != len(columns):
        return None
    inner = matrix[np.ix_(rows, columns)]
    right = to_fractions([0] * size + [1])
    system = to_fractions(np.zeros((size + 1, size + 1)))
    system[:size, size] = Fraction(-1)
    system[size, :size] = Fraction(1)
    try:
        system[:size, :size] = inner
        y = rational.solve(system, right)
        system[:size, :size] = inner.T
        x = rational.solve(system, right)
    except ZeroDivisionError:
        return None
    strategies = (to_fractions(np.zeros(len(matrix))), to_fractions(np.zeros(matrix.shape[1])))
    strategies[0][rows] = x[:-1]
    strategies[1][columns] = y[:-1]
    if not _is_optimal(matrix, *strategies, y[-1]):
        return None
    return ExactZeroSumSolution(strategies, y[-1], "supports")


def _is_optimal(matrix: FractionArray, x: FractionArray, y: FractionArray, value: Fraction) -> bool:
    """Whether x guarantees the row player the value, and y the column player, exactly."""
    are_strategies = all(min(s) >= 0 and sum(s) == 1 for s in (x, y))
    return are_strategies and min(x @ matrix) == value == max(matrix @ y)
