"""Fictitious play where it does not converge. Everything is a whole number or a Fraction."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def shapley() -> FractionArray:
    """Return Shapley's game: the first wants to match, the second to be one ahead."""
    same = fractions(np.eye(3))
    return np.stack([same, np.roll(same, 1, axis=1)])


class Fictitious(NamedTuple):
    """Payoffs (2, A, B), the first pure profile and the number of rounds."""

    payoffs: FractionArray
    start: tuple[int, int]
    rounds: int


def _sample_fictitious(tape: Tape, payoffs: FractionArray) -> Fictitious:
    """Draw a start where somebody is paid and a number of rounds up to 2000."""
    row = tape.integer(0, 2)
    column = (row + tape.integer(0, 1)) % 3
    return Fictitious(payoffs, (row, column), tape.integer(1, 2000 if tape.integer(0, 1) else 20))


def fictitious_play(instance: Fictitious) -> ExactProfile:
    """Return the average strategies of fictitious play, ties to the first action.

    Payoffs are whole numbers here, 3 actions on both sides.
    """
    first, second = ([[*map(int, row)] for row in payoffs] for payoffs in instance.payoffs)
    counts = [[0, 0, 0], [0, 0, 0]]
    mine, theirs = [0, 0, 0], [0, 0, 0]
    row, column = instance.start
    for _ in range(instance.rounds):
        counts[0][row] += 1
        counts[1][column] += 1
        mine = [total + first[a][column] for a, total in enumerate(mine)]
        theirs = [total + gain for total, gain in zip(theirs, second[row], strict=True)]
        row, column = mine.index(max(mine)), theirs.index(max(theirs))
    played = [to_fractions(number) / instance.rounds for number in counts]
    return played[0], played[1]


def fictitious_sides(instance: Fictitious) -> tuple[Side, Side]:
    """Return 11/40 and the NashConv of the averages."""
    average = fictitious_play(instance)
    return Fraction(11, 40), Fraction(games.gains(instance.payoffs, average).sum())


FICTITIOUS = Theorem(
    id="learning/fictitious-play-cycles",
    title="In Shapley's game fictitious play stays away from equilibrium, round after round",
    source="Shapley (1964), section 5; the constant is ours",
    statement=(
        r"\frac{11}{40} \le \mathrm{NC}(\bar x_t, \bar y_t)\quad\text{for all } t \ge 1,\qquad "
        r"x_{t+1} \in \arg\max_a (A \bar y_t)_a,\quad y_{t+1} \in \arg\max_b (\bar x_t^\top B)_b"
    ),
    hypotheses=(
        "$A$ the identity, $B$ the cyclic permutation; ties go to the first action",
        "the first profile pays one of the two; up to 2000 rounds were tried",
    ),
    kind="inequality",
    sample=lambda tape, size: _sample_fictitious(tape, shapley()),
    sides=fictitious_sides,
    control=Control(
        name="rock, paper, scissors",
        explanation="A zero-sum game of the same size, where averages converge (Robinson 1951).",
        sample=lambda tape, size: _sample_fictitious(
            tape, games.zero_sum(to_fractions([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]))
        ),
    ),
    sizes=(3,),
    notes=(
        r"Runs grow by the factor $1/z$ with $z^3 + z = 1$; at the corners of the limiting hexagon "
        r"of averages NashConv is $z^2/(1 + z^2 + z^4) \approx 0.2767$. From a profile that pays "
        "nobody the averages are uniform in round 3, an equilibrium, and leave it again."
    ),
    sharpness=0.96,
    cost=3.0,
)


THEOREMS = (FICTITIOUS,)
