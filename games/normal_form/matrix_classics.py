"""The small games of the textbooks, under the names by which they are known.

`MATRIX_GAMES` holds them by name; each function states its equilibrium where there is one to know.
"""

from collections.abc import Callable, Mapping
from itertools import combinations_with_replacement, product

import numpy as np

from rltheory.analysis.arrays import check_positive_integer
from rltheory.games.normal_form.matrix_game import MatrixGame


def matching_pennies() -> MatrixGame:
    """Return matching pennies: value 0, both sides equally often."""
    return MatrixGame.zero_sum([[1, -1], [-1, 1]])


def rock_paper_scissors() -> MatrixGame:
    """Return rock, paper, scissors: value 0, uniform play."""
    return MatrixGame.zero_sum([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])


def biased_rock_paper_scissors() -> MatrixGame:
    """Return rock, paper, scissors with rock winning 3 from scissors: play is (1, 3, 1)/5."""
    return MatrixGame.zero_sum([[0, -1, 3], [1, 0, -1], [-3, 1, 0]])


def prisoners_dilemma() -> MatrixGame:
    """Return the prisoner's dilemma (cooperate, defect): defection dominates."""
    return MatrixGame.bimatrix([[3, 0], [5, 1]], [[3, 5], [0, 1]])


def chicken() -> MatrixGame:
    """Return chicken (dare, yield) with the payoffs of Aumann's correlated equilibrium of 21/2.

    Source: Aumann (1974), section 9; the best symmetric plan mixes (dare, yield), (yield, dare) and
    (yield, yield) by 1/4, 1/4, 1/2.
    """
    return MatrixGame.bimatrix([[0, 7], [2, 6]], [[0, 2], [7, 6]])


def battle_of_the_sexes() -> MatrixGame:
    """Return the battle of the sexes: two pure equilibria and (3, 2)/5 against (2, 3)/5."""
    return MatrixGame.bimatrix([[3, 0], [0, 2]], [[2, 0], [0, 3]])


def shapley() -> MatrixGame:
    """Return Shapley's game, in which fictitious play cycles for ever; equilibrium uniform.

    Source: Shapley (1964), Some topics in two-person games, section 5.
    """
    return MatrixGame.bimatrix(np.eye(3), np.roll(np.eye(3), 1, axis=1))


def matching_pennies_three() -> MatrixGame:
    """Return matching pennies of three players: 1 matches 2, 2 matches 3, 3 differs from 1.

    Uniform play is its one equilibrium. Source: Jordan (1993).
    """
    payoffs = np.empty((3, 2, 2, 2))
    for a, b, c in product(range(2), repeat=3):
        payoffs[:, a, b, c] = [
            1 if a == b else -1,
            1 if b == c else -1,
            -1 if c == a else 1,
        ]
    return MatrixGame(payoffs)


def blotto(soldiers: int = 5, fields: int = 3) -> MatrixGame:
    """Return Colonel Blotto: who holds more fields wins 1.

    Both sides spread `soldiers` over `fields`; actions are the ordered allocations, from all on
    the last field to all on the first. Source: Borel (1921).
    """
    check_positive_integer(soldiers, "soldiers")
    check_positive_integer(fields, "fields")
    cuts = combinations_with_replacement(range(soldiers + 1), fields - 1)
    allocations = np.array([np.diff((0, *cut, soldiers)) for cut in cuts])
    held = np.sign(allocations[:, None] - allocations[None]).sum(axis=-1)
    return MatrixGame.zero_sum(np.sign(held))


MATRIX_GAMES: Mapping[str, Callable[..., MatrixGame]] = {
    "matching_pennies": matching_pennies,
    "rock_paper_scissors": rock_paper_scissors,
    "biased_rock_paper_scissors": biased_rock_paper_scissors,
    "prisoners_dilemma": prisoners_dilemma,
    "chicken": chicken,
    "battle_of_the_sexes": battle_of_the_sexes,
    "shapley": shapley,
    "matching_pennies_three": matching_pennies_three,
    "blotto": blotto,
}
"""Constructors by name; `blotto` takes `soldiers` and `fields`, the others nothing."""
