"""Dominated actions and equilibria, which are found exactly on all pairs of supports."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Dominated(NamedTuple):
    """A bimatrix game (2, A, B) whose last row is dominated."""

    payoffs: FractionArray


def _dominated(tape: Tape, size: int, strict: bool) -> Dominated:
    columns = tape.integer(2, 3)
    payoffs = games.matrix(tape, 2, size + 1, columns, bits=1)
    weights = games.strategy(tape, size)
    losses = games.matrix(tape, columns, low=0, high=2, bits=0) + (Fraction(1, 4) if strict else 0)
    payoffs[0, size] = weights @ payoffs[0, :size] - losses
    return Dominated(payoffs)


def dominance_sides(instance: Dominated) -> tuple[Side, Side]:
    """Return a summary of the equilibria of the whole game and of the game without the row.

    Their number, the sum and the sum of squares of their probabilities, (1 + 2 (A + B),).
    """
    payoffs = instance.payoffs
    return _summary(payoffs, 0), _summary(payoffs[:, :-1], 1)


def _summary(payoffs: FractionArray, missing: int) -> FractionArray:
    size = sum(payoffs.shape[1:]) + missing
    total = fractions(np.zeros(1 + 2 * size))
    for x, y in games.equilibria(payoffs):
        point = exact.join(x, fractions(np.zeros(missing)), y)
        total = total + exact.join(1, point, point**2)
    return total


DOMINANCE = Theorem(
    id="matrix-game/strict-dominance",
    title="Deleting a strictly dominated action keeps every equilibrium",
    source="Gale (1953); Gilboa, Kalai and Zemel (1990)",
    statement=(
        r"\mathrm{Nash}(\Gamma) = \mathrm{Nash}(\Gamma \setminus a)\quad\text{if}\quad u_1(a, b) < "
        r"\sum_{a'} w_{a'} u_1(a', b)\ \text{ for all } b"
    ),
    hypotheses=(
        "two players; the dominating strategy may be mixed",
        "equilibria are counted over all pairs of supports of equal size with a unique solution",
    ),
    kind="identity",
    sample=lambda tape, size: _dominated(tape, size, strict=True),
    sides=dominance_sides,
    control=Control(
        name="weak dominance",
        explanation="The dominated action may be as good against some replies.",
        sample=lambda tape, size: _dominated(tape, size, strict=False),
    ),
    sizes=(1, 2, 3),
    cost=4.0,
)


THEOREMS = (DOMINANCE,)
