"""The projected replicator dynamics: what the floor promises, costs, and holds down.

Euler steps of the replicator equation, each followed by the exact Euclidean projection on the
distributions with entries of at least the floor. Every side is a Fraction.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.records.last_iterates import project
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

Projection = Callable[[FractionArray, Fraction], FractionArray]


class Path(NamedTuple):
    """Payoffs (T, A), a start with entries of at least the floor, the floor and the step."""

    payoffs: FractionArray
    start: FractionArray
    floor: Fraction
    step: Fraction


def floored(point: FractionArray, floor: Fraction) -> FractionArray:
    """Return the nearest distribution whose entries are at least floor < 1 / A, exactly."""
    mass = 1 - len(point) * floor
    return np.asarray(floor + mass * project((point - floor) / mass))


def clipped(point: FractionArray, floor: Fraction) -> FractionArray:
    """Return the entries, those below the floor raised to it, over their sum."""
    raised = floor + games.positive(point - floor)
    return np.asarray(raised / raised.sum())


def euler(strategy: FractionArray, gains: FractionArray, step: Fraction) -> FractionArray:
    """Return x + step x (u - x . u), the replicator's step before any projection."""
    return np.asarray(strategy * (1 + step * (gains - strategy @ gains)))


def sample_path(tape: Tape, size: int) -> Path:
    """Draw a leader that is paid alone half of the time, else payoffs and a start off the tape."""
    floor = Fraction(tape.integer(0, 15), 16 * size)
    step = Fraction(2) ** -tape.integer(0, 4)
    if tape.integer(0, 1):
        payoffs = np.array([games.pure(0, size)] * tape.integer(1, 3))
        start = games.pure(0, size)
    else:
        payoffs = games.matrix(tape, tape.integer(1, 4), size, low=0, high=1)
        start = games.strategy(tape, size)
    return Path(payoffs, floor + (1 - size * floor) * start, floor, step)


def _floor(instance: Path, projection: Projection) -> tuple[Side, Side]:
    payoffs, strategy, floor, step = instance
    ones = fractions(np.ones(len(strategy)))
    others = (len(strategy) - 1) * floor
    cost = others * (1 - others) * step * games.spread(payoffs)
    left, right = [], []
    for gains in payoffs:
        ahead = euler(strategy, gains, step)
        strategy = projection(ahead, floor)
        left.append(exact.join(floor * ones, ahead - strategy))
        right.append(exact.join(strategy, cost * ones))
    return np.concatenate(left), np.concatenate(right)


def floor_sides(instance: Path) -> tuple[Side, Side]:
    """Return (floor, what the projection takes) and (strategies, the most it can), step by step."""
    return _floor(instance, floored)


FLOOR = Theorem(
    id="projected-replicator/floor",
    title="The floor of the projected replicator holds, and what it takes from others is small",
    source="Lanctot et al. (2017), section 3.1, for the dynamics; the cost is derived here",
    statement=(
        r"\gamma \le x_{t+1}(a),\qquad x_t(a)\bigl(1 + \eta\,r_t(a)\bigr) - x_{t+1}(a) \le "
        r"(A-1)\gamma\,\bigl(1 - (A-1)\gamma\bigr)\,\eta\,\Delta,\qquad x_{t+1} = "
        r"\Pi_\gamma\bigl(x_t (1 + \eta\,r_t)\bigr)"
    ),
    hypotheses=(
        r"any payoffs, $r_t = u_t - x_t \cdot u_t$, $\Delta = \max_t \max_{a,b} u_t(a) - u_t(b)$, "
        r"$\eta\Delta \le 1$",
        r"$\Pi_\gamma$ the nearest distribution with entries of at least $\gamma < 1/A$, where "
        "$x_1$ is too",
    ),
    kind="inequality",
    sample=sample_path,
    sides=floor_sides,
    control=Control(
        name="clipped and divided",
        explanation="Entries are raised to the floor and divided by their sum, which lowers them.",
        sides=lambda instance: _floor(instance, clipped),
    ),
    notes=(
        r"The projection takes one amount from all actions above the floor. It is largest where a "
        "single one is, paid more than all others by the whole range. Dividing by the sum, as "
        r"implementations do, keeps entries above $\gamma / (1 + (A-1)\gamma\eta\Delta)$ only."
    ),
    sharpness=0.999,
)


def _better(size: int, floor: Fraction) -> Fraction:
    """Return the largest gain that the floor holds down."""
    free = 1 - size * floor
    return free * (size - 2) / (1 + free)


def sample_held(tape: Tape, size: int) -> Path:
    """Draw a leader at 0, an action that is better by as much as is held down, others at -1."""
    return _held(tape, size, Fraction(tape.integer(1, 8), 8), tape.integer(1, 24))


def _held(tape: Tape, size: int, share: Fraction, rounds: int) -> Path:
    floor = Fraction(tape.integer(1, 15), 16 * size)
    gain = share * _better(size, floor)
    payoffs = np.array([exact.join(Fraction(0), gain, to_fractions([-1] * (size - 2)))] * rounds)
    start = floor + (1 - size * floor) * games.pure(0, size)
    return Path(payoffs, start, floor, Fraction(2) ** tape.integer(-4, 0))


def held_sides(instance: Path) -> tuple[Side, Side]:
    """Return the strategy and the regret after T steps, and the start and T times its regret."""
    payoffs, strategy, floor, step = instance
    regret = Fraction(0)
    for gains in payoffs:
        regret += gains.max() - strategy @ gains
        strategy = floored(euler(strategy, gains, step), floor)
    better, size = payoffs[0, 1], len(strategy)
    right = len(payoffs) * (better + floor * (size - 2 - better))
    return exact.join(strategy, regret), exact.join(instance.start, right)


HELD = Theorem(
    id="projected-replicator/held-down",
    title="The projected replicator can stay for ever where a better action waits at the floor",
    source="Derived here, for the dynamics of Lanctot et al. (2017), section 3.1",
    statement=(
        r"x_t = x_1\ \text{ for all } t,\qquad \sum_{t \le T} \max_a r_t(a) = T\,\bigl(g + "
        r"\gamma (A - 2 - g)\bigr),\qquad u = (0, g, -1, \dots, -1)"
    ),
    hypotheses=(
        r"$A \ge 3$ actions with payoffs that do not change, $x_1 = (1 - (A-1)\gamma, \gamma, "
        r"\dots, \gamma)$, $0 < \gamma < 1/A$, any step",
        r"$0 < g \le \frac{1 - A\gamma}{2 - A\gamma}\,(A - 2)$",
    ),
    kind="identity",
    sample=sample_held,
    sides=held_sides,
    control=Control(
        name="better by a little more",
        explanation="The gain is a sixteenth above what is held down: the action leaves the floor.",
        sample=lambda tape, size: _held(tape, size, Fraction(17, 16), tape.integer(1, 3)),
    ),
    sizes=(3, 4, 5),
    notes=(
        "The floor is there so that no action is forgotten. But raising those that lose takes one "
        "amount from all others, and more of it than the better action has won, if many lose "
        "enough. Such a profile is reached when payoffs change after the leader has led for long. "
        r"With $\gamma$ small and four actions $g$ may be as large as what the others lose; "
        "raising to the floor and dividing by the sum instead lets the better action grow."
    ),
    cost=2.0,
)


THEOREMS = (FLOOR, HELD)
