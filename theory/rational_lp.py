"""Linear programs in exact arithmetic: the simplex method on a tableau of Fractions.

Small and slow; what it offers is a minimum that owes nothing to a closed form. Bland's rule ends
at every degenerate vertex. Source: Bland (1977); Bertsimas and Tsitsiklis (1997), section 3.3.
"""

from fractions import Fraction

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory.exact import fractions


def minimise(
    costs: FractionArray, system: FractionArray, right: FractionArray, basis: list[int]
) -> tuple[Fraction, FractionArray]:
    """Return the least costs . x over system @ x = right, x >= 0, and a minimiser.

    costs (n,), system (m, n), right (m,); basis: m columns of a feasible basic solution, such that
    eliminating them row by row meets no zero. Raises ValueError if it is not feasible or the
    program is unbounded.
    """
    basis = list(basis)
    tableau = np.column_stack([fractions(system), fractions(right)])
    for row, column in enumerate(basis):
        _pivot(tableau, row, column)
    if min(tableau[:, -1]) < 0:
        raise ValueError(f"basis {basis} is not feasible; expected a nonnegative basic solution")
    while True:
        reduced = costs - costs[basis] @ tableau[:, :-1]
        entering = next((j for j, cost in enumerate(reduced) if cost < 0), None)
        if entering is None:
            break
        ratios = [
            (row[-1] / row[entering], basis[i], i)
            for i, row in enumerate(tableau)
            if row[entering] > 0
        ]
        if not ratios:
            raise ValueError(f"the program is unbounded along column {entering}")
        leaving = min(ratios)[2]
        _pivot(tableau, leaving, entering)
        basis[leaving] = entering
    solution = fractions(np.zeros(len(costs)))
    solution[basis] = tableau[:, -1]
    return Fraction(costs @ solution), solution


def _pivot(tableau: FractionArray, row: int, column: int) -> None:
    """Make `column` the unit vector of `row`, in place."""
    tableau[row] = tableau[row] / tableau[row, column]
    for other in range(len(tableau)):
        if other != row and tableau[other, column]:
            tableau[other] = tableau[other] - tableau[other, column] * tableau[row]
