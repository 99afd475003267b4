"""All Nash equilibria of a bimatrix game by enumeration of supports, each verified here.

QuantEcon finds candidates in floats: pairs of supports of one size whose strategies make each other
indifferent. We solve each pair of supports again in rationals and keep its exact strategies if
they are an equilibrium exactly; a candidate that is none exactly keeps its floats, with certified
bounds of its NashConv.

In a nondegenerate game (no mixed strategy has more pure best replies than its support has actions)
this finds every equilibrium, and their number is odd. In a degenerate game it finds those with
supports of equal size only; equilibria may then form whole segments, of which some end points are
missed. An equilibrium with a best reply that is not played proves degeneracy; the result says,
exactly, whether one was found.
Source: von Stengel (2007), sections 3.2 and 3.6; Wilson (1971) for the odd number.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import rational
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.matrix_game import MatrixGame, Profile, deviation_payoffs


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """A Nash equilibrium and how well it is known.

    strategies: in floats; exact: the same in Fractions, None if no exact equilibrium was found on
    these supports; nash_conv: certified bounds for `strategies`, zero for `exact`.
    """

    strategies: Profile
    exact: tuple[FractionArray, ...] | None
    nash_conv: Bounds


@dataclass(frozen=True, eq=False)
class EquilibriumSet:
    """The equilibria found, and whether they are known to be nondegenerate.

    every_reply_supported: exactly, that at each equilibrium found every best reply is played; an
    equilibrium where one is not shows that the game is degenerate and the list may be incomplete.
    """

    equilibria: tuple[Equilibrium, ...]
    every_reply_supported: bool


def enumerate_equilibria(game: MatrixGame) -> EquilibriumSet:
    """Enumerate the Nash equilibria of a two-player game; needs the extra `interop`.

    Complete for nondegenerate games, see the module; takes time exponential in the number of
    actions. Raises ValueError for another number of players, ImportError without QuantEcon.
    """
    if game.players != 2:
        raise ValueError(f"game has {game.players} players; expected 2")
    try:
        from quantecon.game_theory import NormalFormGame, Player, support_enumeration
    except ImportError:
        message = "enumerate_equilibria needs quantecon: install rltheory[interop]"
        raise ImportError(message) from None
    rows, columns = (np.array(payoffs) for payoffs in game.payoffs)
    candidates = support_enumeration(
        NormalFormGame((Player(rows), Player(np.ascontiguousarray(columns.T))))
    )
    exact = to_fractions(game.payoffs)
    found: dict[Any, Equilibrium] = {}
    for candidate in candidates:
        equilibrium = _verified(game, exact, candidate)
        # The same equilibrium turns up twice where rounding put weight on an unplayed action.
        key = tuple(tuple(s.tolist()) for s in (equilibrium.exact or equilibrium.strategies))
        found.setdefault(key, equilibrium)
    equilibria = tuple(found.values())
    return EquilibriumSet(equilibria, all(_is_tight(exact, e) for e in equilibria))


def exact_nash_conv(game: MatrixGame, strategies: Sequence[NDArray[Any]]) -> Fraction:
    """Return the NashConv of a profile of Fractions without rounding; payoffs count as dyadic.

    Raises ValueError if a strategy has the wrong length, a negative entry, or does not sum to 1.
    """
    profile = [to_fractions(s) for s in strategies]
    if tuple(len(s) for s in profile) != game.actions:
        raise ValueError(
            f"strategies have lengths {tuple(len(s) for s in profile)}; expected {game.actions}"
        )
    for i, strategy in enumerate(profile):
        if min(strategy) < 0 or sum(strategy) != 1:
            raise ValueError(f"strategies[{i}] is no distribution; expected Fractions summing to 1")
    return _nash_conv(to_fractions(game.payoffs), profile)


def _nash_conv(payoffs: FractionArray, profile: Sequence[FractionArray]) -> Fraction:
    gains = deviation_payoffs(payoffs, profile)
    return sum((max(g) - g @ s for g, s in zip(gains, profile, strict=True)), Fraction(0))


def _verified(game: MatrixGame, payoffs: FractionArray, candidate: Any) -> Equilibrium:
    floats = tuple(np.asarray(s, dtype=np.float64) for s in candidate)
    exact = _on_supports(payoffs, *(np.flatnonzero(s > 0) for s in floats))
    if exact is not None:
        floats = tuple(s.astype(np.float64) for s in exact)
    return Equilibrium(floats, exact, game.nash_conv_bounds(floats))


def _on_supports(
    payoffs: FractionArray, rows: Any, columns: Any
) -> tuple[FractionArray, ...] | None:
    """Return the exact equilibrium on two supports of one size, None if there is not just one."""
    if len(rows) != len(columns):
        return None
    block = np.ix_(rows, columns)
    try:
        y = _indifferent(payoffs[0][block])
        x = _indifferent(payoffs[1][block].T)
    except ZeroDivisionError:
        return None
    profile = (
        to_fractions(np.zeros(payoffs.shape[1])),
        to_fractions(np.zeros(payoffs.shape[2])),
    )
    profile[0][rows], profile[1][columns] = x, y
    if min(x) < 0 or min(y) < 0 or _nash_conv(payoffs, profile) != 0:
        return None
    return profile


def _indifferent(block: FractionArray) -> FractionArray:
    """Return the weights of columns, summing to 1, that give all rows of a square block one payoff.

    Raises ZeroDivisionError unless there is exactly one solution.
    """
    size = len(block)
    system = to_fractions(np.zeros((size + 1, size + 1)))
    system[:size, :size] = block
    system[:size, size] = Fraction(-1)
    system[size, :size] = Fraction(1)
    return rational.solve(system, to_fractions([0] * size + [1]))[:-1]


def _is_tight(payoffs: FractionArray, equilibrium: Equilibrium) -> bool:
    """Whether the best replies at an equilibrium are exactly the actions that are played."""
    if equilibrium.exact is None:
        return False
    gains = deviation_payoffs(payoffs, equilibrium.exact)
    return all(
        np.array_equal(np.equal(g, max(g)), np.greater(s, 0))
        for g, s in zip(gains, equilibrium.exact, strict=True)
    )
