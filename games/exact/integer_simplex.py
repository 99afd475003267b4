"""Exact equilibria of matrix games: the simplex method on integers.

A matrix with positive entries has value 1 / (max of sum w over M w <= 1, w >= 0), and the optimal
w and its multipliers, divided by their sum, are the optimal strategies. The tableau is kept in
integers over one common denominator, each pivot dividing exactly by the last (Edmonds 1967; von
Stengel 2007, section 3.6). The entering column has the largest reduced cost; Bland's rule (1977)
takes over while pivots are degenerate, and therefore nothing cycles.
"""

from fractions import Fraction
from math import lcm

import numpy as np

from rltheory.analysis.rational import FractionArray


def solve_exactly(matrix: FractionArray) -> tuple[Fraction, FractionArray, FractionArray]:
    """Return the value and optimal strategies of rows and columns, of Fractions.

    matrix: (A, B) of Fractions, what the row player gets.
    """
    rows, columns = matrix.shape
    scale = lcm(*(x.denominator for x in matrix.ravel()))
    integers = np.array([[int(x * scale) for x in row] for row in matrix], dtype=object)
    shift = 1 - int(integers.min())
    # One row per row action, its slack being the row player's multiplier; the last row holds the
    # reduced costs, the last column the right-hand side.
    tableau = np.zeros((rows + 1, columns + rows + 1), dtype=object)
    tableau[:rows, :columns] = integers + shift
    for i in range(rows):
        tableau[i, columns + i] = 1
    tableau[:rows, -1] = 1
    tableau[-1, :columns] = -1
    basis = [columns + i for i in range(rows)]
    denominator = 1
    degenerate = False
    while (entering := _entering(tableau[-1, :-1], degenerate)) is not None:
        leaving = _leaving(tableau, entering, basis)
        degenerate = tableau[leaving, -1] == 0
        denominator = _pivot(tableau, leaving, entering, denominator)
        basis[leaving] = entering
    total = Fraction(tableau[-1, -1], denominator)
    weights = np.array([Fraction(0)] * (columns + rows), dtype=object)
    for row, column in enumerate(basis):
        weights[column] = Fraction(tableau[row, -1], denominator)
    multipliers = np.array(
        [Fraction(x, denominator) for x in tableau[-1, columns:-1]], dtype=object
    )
    value = (1 / total - shift) / scale
    return value, multipliers / total, weights[:columns] / total


def _entering(reduced: FractionArray, degenerate: bool) -> int | None:
    negative = [j for j, cost in enumerate(reduced) if cost < 0]
    if not negative:
        return None
    return negative[0] if degenerate else min(negative, key=lambda j: reduced[j])


def _leaving(tableau: FractionArray, entering: int, basis: list[int]) -> int:
    # Positive entries bound the program, so some entry of the column is positive.
    candidates = [i for i in range(len(basis)) if tableau[i, entering] > 0]
    return min(candidates, key=lambda i: (Fraction(tableau[i, -1], tableau[i, entering]), basis[i]))


def _pivot(tableau: FractionArray, row: int, column: int, denominator: int) -> int:
    """Make the column basic in the row, in place; return the new common denominator."""
    pivot = tableau[row, column]
    kept = tableau[row].copy()
    factors = tableau[:, column].copy()
    tableau *= pivot
    tableau -= factors[:, None] * kept[None, :]
    tableau //= denominator
    tableau[row] = kept
    return int(pivot)
