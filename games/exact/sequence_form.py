"""Two-player zero-sum extensive games, solved in sequence form: certified in floats, or exactly.

In floats HiGHS solves the linear program, and best responses against both halves of the profile
enclose the value, whatever HiGHS did. In rationals the vertex that it found is solved for exactly
and checked: an equilibrium is one whose exact NashConv is 0.
Source: Koller, Megiddo and von Stengel (1996); von Stengel (1996).
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, overload

import numpy as np

from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.games import kernels
from rltheory.games.exact.certified import certified_deviations
from rltheory.games.exact.exact_equilibrium import solve_exactly
from rltheory.games.exact.sequence_program import float_vertex
from rltheory.games.forms.extensive import ExtensiveGame


@dataclass(frozen=True, eq=False)
class SequenceFormSolution:
    """An equilibrium in floats and what it proves: bounds.lower <= value of the game <= upper.

    strategies (slots,): a profile; at sets that their owner's plan does not reach, all actions
    equally often. bounds, of shape (): of the value to player 0, from exact best responses against
    each half of the profile, rounded outward. slackness: the largest violation of complementary
    slackness, the chance of a sequence times what its last action loses against a best one.
    """

    strategies: FloatArray
    bounds: Bounds
    slackness: float

    @property
    def value(self) -> float:
        """The middle of the bounds."""
        return float((self.bounds.lower + self.bounds.upper) / 2)

    @property
    def gap(self) -> float:
        """The width of the bounds; the profile's exploitability is at most half of it."""
        return self.bounds.gap


@dataclass(frozen=True, eq=False)
class ExactSequenceFormSolution:
    """The value of a game to player 0 and an equilibrium (slots,), all Fractions, checked exactly.

    by: "vertex" if the vertex that HiGHS found was optimal, "simplex" if it took the simplex method
    on the normal form.
    """

    strategies: FractionArray
    value: Fraction
    by: Literal["vertex", "simplex"]


@overload
def sequence_form_nash(
    game: ExtensiveGame, *, arithmetic: Literal["float"] = "float"
) -> SequenceFormSolution: ...


@overload
def sequence_form_nash(
    game: ExtensiveGame, *, arithmetic: Literal["rational"]
) -> ExactSequenceFormSolution: ...


def sequence_form_nash(
    game: ExtensiveGame, *, arithmetic: str = "float"
) -> SequenceFormSolution | ExactSequenceFormSolution:
    """Return an equilibrium and the value of a two-player zero-sum game, certified or exact.

    arithmetic: "float", or "rational" for games with a tree whose chances are rational.

    Raises ValueError for other games or another arithmetic, or as `exact_form` does; RuntimeError
    with HiGHS' message should it fail; ArithmeticError if no vertex of HiGHS is optimal exactly and
    the normal form is too large for the simplex method.
    """
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    if game.players != 2:
        raise ValueError(
            f"{game.name} has {game.players} players; the sequence-form program needs two, and "
            "payoffs that sum to 0"
        )
    if not game.zero_sum:
        raise ValueError(
            f"{game.name} has leaves whose payoffs do not sum to 0; the sequence-form program is "
            "for zero-sum games (normal_form and enumerate_equilibria take small general ones)"
        )
    if arithmetic == "float":
        return _certified(game, float_vertex(game).plan)
    strategies, value, by = solve_exactly(game)
    return ExactSequenceFormSolution(strategies, value, by)


def _certified(game: ExtensiveGame, plan: FloatArray) -> SequenceFormSolution:
    profile = np.empty(game.slots)
    kernels.normalise(game.compiled, np.maximum(plan, 0.0), profile)
    _, best = certified_deviations(game, profile)
    return SequenceFormSolution(
        strategies=read_only(profile),
        bounds=Bounds(-best.upper[1], best.upper[0]),
        slackness=_slackness(game, profile),
    )


def _slackness(game: ExtensiveGame, profile: FloatArray) -> float:
    """The largest product of a sequence's reach and of what its last action loses."""
    form, slots = game.compiled, game.slots
    reach, worth = np.ones((2, slots + game.players))
    values = np.empty(game.infosets)
    for p in range(game.players):
        kernels.reaches(form, p, profile, reach)
    largest = 0.0
    for p in range(game.players):
        kernels.slot_payoffs(form, p, reach, worth)
        kernels.best_values(form, p, worth, values)
        own = slice(*game.form.slot_start[p : p + 2])
        sets = slice(*game.form.infoset_start[p : p + 2])
        best = np.repeat(values[sets], np.diff(game.form.first)[sets])
        losses = reach[own] * (best - worth[own])
        largest = max(largest, float(losses.max(initial=0.0)))
    return largest
