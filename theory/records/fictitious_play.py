"""Fictitious play: never faster than 1 / T in zero-sum games, and nowhere near in Shapley's.

Everything is a whole number or a Fraction.
"""

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

    Payoffs are whole numbers here.
    """
    first, second = ([[*map(int, row)] for row in payoffs] for payoffs in instance.payoffs)
    counts = [0] * len(first), [0] * len(first[0])
    mine, theirs = [0] * len(first), [0] * len(first[0])
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


def sample_slow(tape: Tape, size: int) -> Fictitious:
    """Draw a zero-sum game, a first profile and a number of rounds."""
    rows = games.matrix(tape, size, tape.integer(2, 3), bits=0)
    return _started(tape, games.zero_sum(rows))


def _started(tape: Tape, payoffs: FractionArray) -> Fictitious:
    row, column = (tape.integer(0, count - 1) for count in payoffs.shape[1:])
    return Fictitious(payoffs, (row, column), tape.integer(1, 24))


def slow_sides(instance: Fictitious) -> tuple[Side, Side]:
    """Return T times the NashConv after T rounds, and the same one round later."""
    now, later = (
        rounds
        * games.gains(instance.payoffs, fictitious_play(instance._replace(rounds=rounds))).sum()
        for rounds in (instance.rounds, instance.rounds + 1)
    )
    return Fraction(now), Fraction(later)


SLOW = Theorem(
    id="learning/fictitious-play-no-faster",
    title="In zero-sum games T times the NashConv of fictitious play never falls",
    source=(
        "Harris (1998) and Hofbauer (1995) in continuous time, where it is constant; in rounds "
        "derived here"
    ),
    statement=(
        r"T\,\mathrm{NC}(\bar x_T, \bar y_T) \le (T + 1)\,\mathrm{NC}(\bar x_{T+1}, \bar y_{T+1})"
    ),
    hypotheses=(
        "two players, payoffs opposite, moves at once, any first profile",
        "each plays a best reply to the other's average; any will do, here the first",
    ),
    kind="inequality",
    sample=sample_slow,
    sides=slow_sides,
    control=Control(
        name="general sums",
        explanation="The payoffs of the two players have nothing to do with each other.",
        sample=lambda tape, size: _started(tape, games.matrix(tape, 2, size, 2, bits=0)),
    ),
    sizes=(2, 3),
    notes=(
        r"$T\,\mathrm{NC} = \max_a U_a - \min_b L_b$ in cumulated payoffs; with best replies $a, "
        r"b$ the maximum grows by $M_{ab}$ at least and the minimum by as much at most. An "
        "equality until a best reply changes; what changes add makes the rate slower than 1 / T."
    ),
    sharpness=0.999,
)


THEOREMS = (FICTITIOUS, SLOW)
