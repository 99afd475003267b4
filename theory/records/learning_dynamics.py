"""Learning by multiplicative weights, in rounds and in continuous time.

Exponentials are enclosed in balls of 128 bits; everything else is a Fraction. Games with a known
interior equilibrium are made by taking from a random matrix what its rows and columns earn there.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Rounds(NamedTuple):
    """Payoffs (T, A) and a step size."""

    payoffs: FractionArray
    step: Fraction


class Duel(NamedTuple):
    """The row player's payoffs (A, B), an equilibrium, where the players are, and a step size."""

    matrix: FractionArray
    rest: ExactProfile
    point: ExactProfile
    step: Fraction


def _balanced(tape: Tape, size: int, other: int) -> tuple[FractionArray, ExactProfile]:
    """Draw a matrix (size, other) of value 0 and an interior equilibrium of it."""
    x, y = games.interior(tape, size), games.interior(tape, other)
    matrix = games.matrix(tape, size, other, bits=1)
    rows, columns = matrix @ y, x @ matrix
    return matrix - rows[:, None] - columns[None] + x @ rows, (x, y)


def sample_rounds(tape: Tape, size: int) -> Rounds:
    """Draw two equal actions paid in turn and then one for long, or payoffs off the tape."""
    scale = Fraction(2) ** tape.integer(-2, 2)
    if tape.integer(0, 1):
        turns, run = 2 * tape.integer(0, 32), tape.integer(1, 24)
        payoffs = fractions(np.eye(2)[[0, 1] * (turns // 2) + [0] * run])
        return Rounds(scale * payoffs, Fraction(2) ** -tape.integer(0, 4) / scale)
    payoffs = games.matrix(tape, tape.integer(1, 12), size, low=0, high=1)
    return Rounds(scale * payoffs, Fraction(2) ** tape.integer(-4, 2) / scale)


def _hedge(instance: Rounds, power: int) -> tuple[Side, Side]:
    payoffs, step = instance
    before = np.vstack([fractions(np.zeros((1, payoffs.shape[1]))), payoffs[:-1]]).cumsum(axis=0)
    played = balls.softmax(balls.balls(step * before))
    regret = balls.ball(payoffs.sum(axis=0).max()) - (played * balls.balls(payoffs)).sum()
    range_ = games.spread(payoffs)
    start = balls.ball(payoffs.shape[1]).log() / balls.ball(step)
    bound = start + balls.ball(step * len(payoffs) * range_**power / 8)
    return balls.to_bounds(regret), balls.to_bounds(bound)


@precise
def hedge_sides(instance: Rounds) -> tuple[Side, Side]:
    """Return the regret and log(A) / step + step T range^2 / 8."""
    return _hedge(instance, 2)


@precise
def _range_once(instance: Rounds) -> tuple[Side, Side]:
    return _hedge(instance, 1)


HEDGE = Theorem(
    id="learning/hedge-regret",
    title="The regret of Hedge with any step",
    source="Freund and Schapire (1997); Cesa-Bianchi and Lugosi (2006), Theorem 2.2",
    statement=(
        r"\max_a \sum_{t \le T} u_t(a) - x_t \cdot u_t \le \frac{\log A}{\eta} + "
        r"\frac{\eta\,\Delta^2\,T}{8},\qquad x_t \propto \exp\Bigl(\eta \sum_{s<t} u_s\Bigr)"
    ),
    hypotheses=(
        r"any payoffs, chosen with $x_t$ known; $\Delta = \max_t \max_{a,b} u_t(a) - u_t(b)$",
        r"$\eta > 0$",
    ),
    kind="inequality",
    sample=sample_rounds,
    sides=hedge_sides,
    control=Control(
        name="range once",
        explanation=r"$\Delta$ instead of $\Delta^2$: right for payoffs in $[0, 1]$ only.",
        sides=_range_once,
    ),
    sizes=(2, 3),
    notes=(
        "Approached with two actions for a fixed step and many rounds: paid in turn they stay "
        "equal, where Hoeffding's inequality is tight, and a last run of one of them collects the "
        "logarithm."
    ),
    sharpness=0.88,
)


def divergence(center: FractionArray, point: BallArray) -> Any:
    """Return KL(center || point), a ball, for a point of positive balls."""
    played = np.flatnonzero(center != 0)
    weights = balls.balls(center[played])
    return (weights * (balls.log(weights) - balls.log(point[played]))).sum()


def unsettled(instance: Duel) -> bool:
    """Whether somebody gains 1 / 1000 by deviating: less moves nothing that floats can tell."""
    gained = games.gains(games.zero_sum(instance.matrix), instance.point)
    return bool(max(gained) >= Fraction(1, 1000))


def sample_duel(tape: Tape, size: int) -> Duel:
    """Draw a game with an interior equilibrium, a positive profile and a step 2^k."""
    matrix, rest = _balanced(tape, size, tape.integer(2, 3))
    point = games.interior(tape, size), games.interior(tape, len(rest[1]))
    return Duel(matrix, rest, point, Fraction(2) ** tape.integer(-8, 2))


def _weighted(point: FractionArray, payoffs: BallArray) -> BallArray:
    """Return the strategy times the exponential of payoffs, over its sum."""
    return np.asarray(balls.softmax((balls.log(balls.balls(point)) + payoffs)[None])[0])


def _drift(instance: Duel, alternate: bool) -> tuple[Side, Side]:
    matrix, (x, y), (p, q), step = instance
    rows = _weighted(p, balls.balls(step * (matrix @ q)))
    seen = rows if alternate else balls.balls(p)
    columns = _weighted(q, -(seen @ balls.balls(step * matrix)))
    before = divergence(x, balls.balls(p)) + divergence(y, balls.balls(q))
    after = divergence(x, rows) + divergence(y, columns)
    return balls.to_bounds(before), balls.to_bounds(after)


@precise
def drift_sides(instance: Duel) -> tuple[Side, Side]:
    """Return the divergence of the equilibrium from the profile before a step and after it."""
    return _drift(instance, alternate=False)


@precise
def _in_turn(instance: Duel) -> tuple[Side, Side]:
    return _drift(instance, alternate=True)


DRIFT = Theorem(
    id="learning/weights-drift-outwards",
    title="Multiplicative weights never come nearer to an interior equilibrium",
    source="Bailey and Piliouras (2018), Multiplicative weights update in zero-sum games",
    statement=(
        r"\mathrm{KL}(x^*\|x_t) + \mathrm{KL}(y^*\|y_t) \le \mathrm{KL}(x^*\|x_{t+1}) + "
        r"\mathrm{KL}(y^*\|y_{t+1}),\qquad x_{t+1} \propto x_t\,e^{\eta M y_t},\quad y_{t+1} "
        r"\propto y_t\,e^{-\eta M^\top x_t}"
    ),
    hypotheses=(
        "two-player zero-sum game, $(x^*, y^*)$ an equilibrium that plays every action",
        "simultaneous moves, any step size; some deviation from the profile gains 1/1000 or more",
    ),
    kind="inequality",
    sample=sample_duel,
    sides=drift_sides,
    admissible=unsettled,
    control=Control(
        name="moves in turn",
        explanation="The second player sees what the first has just become.",
        sides=_in_turn,
    ),
    sizes=(2, 3),
    notes=(
        r"The difference is $\log \mathbb{E}\,e^{\eta(u - \mathbb{E}u)}$ summed over both players, "
        "zero only if all actions in use earn the same: the last iterate cannot converge to the "
        "equilibrium, whatever the averages do. To second order in the step nothing is gained or "
        "lost, which is why small steps make the two sides meet."
    ),
    sharpness=0.999,
)


class Flow(NamedTuple):
    """A zero-sum game with an equilibrium and a profile, and a scale of the second payoffs."""

    duel: Duel
    scale: Fraction


def sample_flow(tape: Tape, size: int) -> Flow:
    """Draw a game with an interior equilibrium and any value, and how much the second cares."""
    duel = sample_duel(tape, size)
    value = games.matrix(tape)
    return Flow(duel._replace(matrix=duel.matrix + value), Fraction(tape.integer(1, 16), 4))


def _flow(instance: Flow, center: ExactProfile) -> tuple[Side, Side]:
    (matrix, _, (p, q), _), scale = instance
    mine, theirs = matrix @ q, -scale * (p @ matrix)
    # The derivative of KL(x || p) along the replicator equation is -x . (u - p . u).
    left = scale * (center[0] @ (mine - p @ mine))
    return left, -(center[1] @ (theirs - q @ theirs))


def replicator_sides(instance: Flow) -> tuple[Side, Side]:
    """Return how fast the first player approaches, times the scale, and the second recedes."""
    return _flow(instance, instance.duel.rest)


def _from_the_middle(instance: Flow) -> tuple[Side, Side]:
    middle = tuple(games.uniform(len(s)) for s in instance.duel.rest)
    return _flow(instance, middle)


REPLICATOR = Theorem(
    id="learning/replicator-conserves",
    title="The replicator equation conserves the weighted divergence from an interior equilibrium",
    source=(
        "Akin and Losert (1984); Hofbauer and Sigmund (1998), section 11.3; rescaled zero-sum "
        "games as in Hofbauer (1996)"
    ),
    statement=(
        r"c\,\frac{d}{dt}\mathrm{KL}(x^*\|x) + \frac{d}{dt}\mathrm{KL}(y^*\|y) = 0\quad\text{if}"
        r"\quad \dot x_a = x_a\bigl((My)_a - x^\top My\bigr),\quad \dot y_b = -c\,y_b\bigl((M^\top "
        r"x)_b - x^\top My\bigr)"
    ),
    hypotheses=(
        r"payoffs $M$ and $-cM$, $c > 0$; $(x^*, y^*)$ an equilibrium that plays every action",
        "$(x, y)$ inside the simplices",
    ),
    kind="identity",
    sample=sample_flow,
    sides=replicator_sides,
    control=Control(
        name="seen from the middle",
        explanation="The divergence is that of uniform play instead of the equilibrium.",
        sides=_from_the_middle,
    ),
    sizes=(2, 3),
    notes=(
        "Orbits that start inside stay on a level set away from the equilibrium and from the "
        "faces; discrete steps and floors are what moves them."
    ),
)


THEOREMS = (HEDGE, DRIFT, REPLICATOR)
