"""Regret matching in matching pennies: its last iterates circle, and never come near.

Runs are enclosed in balls of 128 bits: with Fractions the digits would double in every round.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Orbit(NamedTuple):
    """Accumulated regrets of both players at the start, (2, 2), not negative, and the rounds."""

    start: FractionArray
    rounds: int


def sample_orbit(tape: Tape, size: int) -> Orbit:
    """Draw regrets up to 2^size, of the same proportions in both seats half of the time."""
    start = games.matrix(tape, 2, 2, low=0, high=2**size, bits=3)
    if tape.integer(0, 1):
        start[1] = start[0]
    return Orbit(start, tape.integer(1, 4) if tape.integer(0, 1) else tape.integer(1, 240))


def leaning(instance: Orbit) -> bool:
    """Whether both players have some regret, one mixes, and one does not mix equally."""
    (a, b), (c, d) = instance.start
    mixed = min(a, b) > 0 or min(c, d) > 0
    return bool(a + b > 0 and c + d > 0 and mixed and (a != b or c != d))


def _lean(regrets: BallArray) -> Any:
    """Return the probability of the first action less that of the second."""
    zero = balls.ball(0)
    first, second = (r.max(zero) for r in regrets)
    return (first - second) / (first + second)


def _run(instance: Orbit) -> tuple[list[Any], list[Any]]:
    """Return how both players lean in each round after the start."""
    mine, theirs = (balls.balls(r) for r in instance.start)
    leans: tuple[list[Any], list[Any]] = [], []
    for _ in range(instance.rounds):
        x, y = _lean(mine), _lean(theirs)
        mine = mine + np.array([y * (1 - x), -y * (1 + x)], dtype=object)
        theirs = theirs + np.array([-x * (1 - y), x * (1 + y)], dtype=object)
        leans[0].append(_lean(mine))
        leans[1].append(_lean(theirs))
    return leans


def _bound(start: FractionArray) -> Any:
    """Return 2 (norm + norm)^2 / total^2 - 1."""
    norms = [balls.ball(Fraction((r**2).sum())).sqrt() for r in start]
    total = balls.ball(Fraction(start.sum()))
    return 2 * (norms[0] + norms[1]) ** 2 / total**2 - 1


@precise
def orbit_sides(instance: Orbit) -> tuple[Side, Side]:
    """Return the bound on lean^2, and in each round the square of the larger lean, (T,)."""
    leans = [(abs(x).max(abs(y))) ** 2 for x, y in zip(*_run(instance), strict=True)]
    return balls.to_bounds(_bound(instance.start)), balls.to_bounds(leans)


@precise
def _average_sides(instance: Orbit) -> tuple[Side, Side]:
    means = [sum(leans) / len(leans) for leans in _run(instance)]
    larger = abs(means[0]).max(abs(means[1])) ** 2
    return balls.to_bounds(_bound(instance.start)), balls.to_bounds(larger)


ORBIT = Theorem(
    id="regret-matching/last-iterate-stays-away",
    title="In matching pennies regret matching never comes nearer to equilibrium than a bound",
    source=(
        "Derived here; examples of last iterates that do not converge in Cai et al. (2023), "
        "Last-iterate convergence properties of regret-matching algorithms in games"
    ),
    statement=(
        r"\frac{2\,(\|P\|_2 + \|Q\|_2)^2}{(P_1 + P_2 + Q_1 + Q_2)^2} - 1 \le \max\{X_t^2, Y_t^2\}"
        r"\quad\text{for all } t,\qquad X_t = x_t(1) - x_t(2),\quad Y_t = y_t(1) - y_t(2)"
    ),
    hypotheses=(
        r"simultaneous regret matching, which starts with regrets $P, Q \ge 0$ of the two "
        "players, neither zero; up to 240 rounds were tried",
        r"$P_1 \ne P_2$ or $Q_1 \ne Q_2$, so that the bound is positive; one of $P, Q$ without a "
        "zero, so that it is below 1",
    ),
    kind="inequality",
    sample=sample_orbit,
    sides=orbit_sides,
    admissible=leaning,
    control=Control(
        name="the averages",
        explanation="The strategies are replaced by their averages over the rounds.",
        sides=_average_sides,
    ),
    sizes=(1, 4, 8),
    notes=(
        r"The regrets of a round sum to $-2XY$ and to $2XY$, so that the total of all four "
        "accumulated regrets is constant, while the norm of each player's positive part never "
        "falls, the strategy being orthogonal to the regret. Where all four are positive the norms "
        r"are the sums times $\sqrt{(1 + X^2)/2}$ and $\sqrt{(1 + Y^2)/2}$; where one is not, a "
        r"player is pure. Attained at the start by $|X| = |Y|$; for large regrets the orbit nearly "
        "closes."
    ),
    sharpness=0.99,
    cost=3.0,
)


THEOREMS = (ORBIT,)
