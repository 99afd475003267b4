"""Predictions that come true cost nothing: regret that no number of rounds makes larger.

Regret matching and gradient steps are Fractions throughout, Hedge is enclosed in balls of 128 bits.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.records.last_iterates import project
from rltheory.theory.records.learning_dynamics import sample_rounds
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Foreseen(NamedTuple):
    """Regrets (A,) at the start, payoffs and predicted regrets (T, A), and which learner."""

    start: FractionArray
    payoffs: FractionArray
    predictions: FractionArray
    plus: bool


def _play(instance: Foreseen) -> FractionArray:
    """Return the regrets (T, A) of predictive regret matching."""
    accumulated, regrets = instance.start, []
    for gains, expected in zip(instance.payoffs, instance.predictions, strict=True):
        played = games.proportional(accumulated + expected)
        regrets.append(gains - played @ gains)
        accumulated = accumulated + regrets[-1]
        if instance.plus:
            accumulated = games.positive(accumulated)
    return np.array(regrets)


def sample_foreseen(tape: Tape, size: int) -> Foreseen:
    """Draw predictions that come true: a strategy's direction first, then regrets, then payoffs.

    The direction turns from the first action to the second in many steps half of the time.
    """
    plus, turning = bool(tape.integer(0, 1)), bool(tape.integer(0, 1))
    rounds = tape.integer(1, 48) if turning else tape.integer(1, 6)
    start = games.pure(0, size) if turning else games.matrix(tape, size, low=0, high=2)
    start = start + games.pure(0, size) * (start.sum() == 0)
    accumulated, payoffs, predictions = start, [], []
    for t in range(1, rounds + 1):
        toward = games.pure(0, size) * (rounds - t) + games.pure(1, size) * t
        if not turning:
            toward = games.matrix(tape, size, low=0, high=1)
        if not toward @ accumulated > 0:
            toward = games.positive(accumulated)
        # What is played in proportion to; orthogonal to what it adds to the accumulated regrets.
        weights = toward * (toward @ accumulated) / (toward @ toward)
        regrets = weights - accumulated
        level = Fraction(0)
        if not turning:
            # Actions that are not played may lose more; regrets say nothing of the payoffs' level.
            regrets = regrets - games.matrix(tape, size, low=0, high=1) * (weights == 0)
            level = Fraction(tape.integer(-4, 4))
        predictions.append(regrets)
        payoffs.append(regrets + level)
        accumulated = accumulated + regrets
        if plus:
            accumulated = games.positive(accumulated)
    return Foreseen(start, np.array(payoffs), np.array(predictions), plus)


def comes_true(instance: Foreseen) -> bool:
    """Whether every prediction is the regret that it leads to."""
    return np.array_equal(_play(instance), instance.predictions)


def foreseen_sides(instance: Foreseen) -> tuple[Side, Side]:
    """Return the squares of the largest regret since the start and of the norm of those there."""
    largest = max(Fraction(_play(instance).sum(axis=0).max()), Fraction(0))
    return largest**2, Fraction((instance.start**2).sum())


def _yesterday(tape: Tape, size: int) -> Foreseen:
    """Draw a number of rounds in which the less likely action is paid; yesterday is expected."""
    rounds = tape.integer(2, 9)
    start = games.pure(0, size) / 4
    accumulated, expected = start, fractions(np.zeros(size))
    payoffs, predictions = [], []
    for _ in range(rounds):
        played = games.proportional(accumulated + expected)
        predictions.append(expected)
        payoffs.append(games.pure(int(np.argmin(played)), size))
        expected = payoffs[-1] - played @ payoffs[-1]
        accumulated = games.positive(accumulated + expected)
    return Foreseen(start, np.array(payoffs), np.array(predictions), True)


FORESEEN = Theorem(
    id="regret-matching/exact-prediction",
    title="Regrets that are foreseen exactly stay bounded for ever, by the norm at the start",
    source=(
        "Farina, Kroer and Sandholm (2021) for the bound by errors; what exactness asks of a "
        "prediction, and the sharp constant, are derived here"
    ),
    statement=(
        r"\Bigl(\max_a \sum_{t \le T} r_t(a)\Bigr)_+^2 \le \|Q_0\|_2^2\quad\text{for all } T,"
        r"\qquad x_t \propto [Q_{t-1} + m_t]_+,\quad m_t = r_t = u_t - x_t \cdot u_t"
    ),
    hypotheses=(
        r"$Q_0 \ge 0$ and not zero; then $Q_t = Q_{t-1} + r_t$ (regret matching) or $[Q_{t-1} + "
        r"r_t]_+$ (regret matching+)",
        "any number of rounds; each prediction is the regret of the strategy that it leads to",
    ),
    kind="inequality",
    sample=sample_foreseen,
    sides=foreseen_sides,
    admissible=comes_true,
    control=Control(
        name="yesterday's regrets",
        explanation="The last regrets are expected again, and the less likely action is paid.",
        sample=_yesterday,
    ),
    sizes=(2, 3),
    notes=(
        r"Such a prediction exists for all payoffs: $v \mapsto [Q + u - v]_+ \cdot (u - v)$ "
        r"changes sign between $\min u$ and $\max u$, and $m = u - v$ at its zero. Payoffs known "
        "in advance are not enough, since they leave $v$ open. The positive part of the regrets is "
        "then projected on the direction played, round after round: it turns and does not grow. "
        "Approached by turning slowly from one action to another, until the second has gained what "
        "the first had."
    ),
    sharpness=0.93,
    cost=3.0,
)


class Expected(NamedTuple):
    """Payoffs and predictions of them (T, A), and a step size."""

    payoffs: FractionArray
    predictions: FractionArray
    step: Fraction


def sample_expected(tape: Tape, size: int) -> Expected:
    """Draw payoffs as for Hedge, predicted in part or in full, or predictions off the tape."""
    payoffs, step = sample_rounds(tape, size)
    known = tape.choice((Fraction(0), Fraction(1, 2), Fraction(1), Fraction(1)))
    wrong = tape.integer(0, 3) == 0
    noise = games.matrix(tape, payoffs.shape[1], low=-1, high=1) * wrong
    return Expected(payoffs, known * payoffs + noise, step)


def _optimistic(instance: Expected, seen: FractionArray) -> tuple[Side, Side]:
    payoffs, predictions, step = instance
    before = np.vstack([fractions(np.zeros((1, payoffs.shape[1]))), payoffs[:-1]]).cumsum(axis=0)
    played = balls.softmax(balls.balls(step * (before + seen)))
    regret = balls.ball(payoffs.sum(axis=0).max()) - (played * balls.balls(payoffs)).sum()
    errors = payoffs - predictions
    ranges = errors.max(axis=1) - errors.min(axis=1)
    bound = balls.ball(payoffs.shape[1]).log() / balls.ball(step)
    bound += balls.ball(step * (ranges**2).sum() / 8)
    return balls.to_bounds(regret), balls.to_bounds(bound)


@precise
def expected_sides(instance: Expected) -> tuple[Side, Side]:
    """Return the regret and log(A) / step + step / 8 times the squared ranges of the errors."""
    return _optimistic(instance, instance.predictions)


@precise
def _late(instance: Expected) -> tuple[Side, Side]:
    late = np.roll(instance.predictions, 1, axis=0)
    late[0] = Fraction(0)
    return _optimistic(instance, late)


OPTIMISTIC = Theorem(
    id="learning/optimistic-hedge-regret",
    title="The regret of optimistic Hedge is log A / step, and what was predicted wrongly",
    source=(
        "Rakhlin and Sridharan (2013), Lemma 1, for optimistic mirror descent; with Hoeffding's "
        "1/8 derived here"
    ),
    statement=(
        r"\max_a \sum_{t \le T} u_t(a) - x_t \cdot u_t \le \frac{\log A}{\eta} + \frac{\eta}{8} "
        r"\sum_{t \le T} \operatorname{sp}(u_t - m_t)^2,\qquad x_t \propto \exp\Bigl(\eta "
        r"\sum_{s<t} u_s + \eta\,m_t\Bigr)"
    ),
    hypotheses=(
        r"any payoffs, any predictions $m_t$ made before $x_t$, $\eta > 0$",
        r"$\operatorname{sp}$ is the largest entry less the smallest",
    ),
    kind="inequality",
    sample=sample_expected,
    sides=expected_sides,
    control=Control(
        name="a round late",
        explanation="Each prediction is used in the round after the one that it was made for.",
        sides=_late,
    ),
    sizes=(2, 3),
    notes=(
        r"Payoffs foreseen exactly leave $\log A / \eta$ for ever, at any step, where regret "
        "matching must foresee regrets. Without predictions it is the bound of Hedge, approached "
        "as there; with exact ones a long run of small payoffs for one action collects the "
        "logarithm."
    ),
    sharpness=0.9,
    cost=2.0,
)


class Match(NamedTuple):
    """The row player's payoffs (A, B), where both players start, the step and the rounds."""

    matrix: FractionArray
    start: ExactProfile
    step: Fraction
    rounds: int


def _longest(matrix: FractionArray) -> Fraction:
    """Return the largest 2 ** -k with 8 step^2 L^2 <= 1, L^2 the product of the two norms."""
    sizes = np.abs(matrix)
    square = max(Fraction(sizes.sum(axis=0).max() * sizes.sum(axis=1).max()), Fraction(1, 16))
    step = Fraction(4)
    while 8 * step**2 * square > 1:
        step /= 2
    return step


def sample_match(tape: Tape, size: int) -> Match:
    """Draw a choice between 1 and 0, matching pennies, or any game; steps up to the longest."""
    kind = tape.integer(0, 2)
    if kind == 0:
        matrix = to_fractions([[1], [0]])
    elif kind == 1:
        matrix = to_fractions([[1, -1], [-1, 1]])
    else:
        matrix = games.matrix(tape, size, tape.integer(1, size))
    start = tuple(games.strategy(tape, count) for count in matrix.shape)
    if kind == 0 and tape.integer(0, 1):
        start = games.pure(1, 2), start[1]
    step = _longest(matrix) / 2 ** tape.integer(0, 3)
    return Match(matrix, start, step, tape.integer(1, 60))


def _gradient(instance: Match, optimism: int) -> tuple[Side, Side]:
    matrix, (x, y), step, rounds = instance
    p, q = x, y
    mine, theirs = matrix @ q, -(p @ matrix)
    sums = fractions(np.zeros(matrix.shape[0])), fractions(np.zeros(matrix.shape[1]))
    for _ in range(rounds):
        p, q = (
            project(x + optimism * step * mine),
            project(y + optimism * step * theirs),
        )
        mine, theirs = matrix @ q, -(p @ matrix)
        sums = sums[0] + mine, sums[1] + theirs
        x, y = project(x + step * mine), project(y + step * theirs)
    # The payoffs of the two players cancel: the regrets sum to what the best actions earned.
    farthest = [
        max(((games.pure(a, len(s)) - s) ** 2).sum() for a in range(len(s))) for s in instance.start
    ]
    return Fraction(sums[0].max() + sums[1].max()), Fraction(sum(farthest)) / (2 * step)


def gradient_sides(instance: Match) -> tuple[Side, Side]:
    """Return the sum of both regrets and its bound, which does not depend on the rounds."""
    return _gradient(instance, 1)


def _plain(tape: Tape, size: int) -> Match:
    """Draw matching pennies, a start near equilibrium, the longest step and many rounds."""
    matrix = to_fractions([[1, -1], [-1, 1]])
    lean = [Fraction(tape.integer(1, 4), 32) for _ in range(2)]
    start = tuple(np.array([Fraction(1, 2) + d, Fraction(1, 2) - d]) for d in lean)
    return Match(matrix, start, _longest(matrix), tape.integer(1, 400))


FAST = Theorem(
    id="learning/optimistic-gradient-is-fast",
    title="Optimistic gradient play has a sum of regrets that stays bounded, averages at 1 / T",
    source=(
        "Rakhlin and Sridharan (2013), Proposition 6; Syrgkanis et al. (2015), Theorem 4, regret "
        "bounded by variation in utilities; the constant for gradient steps is derived here"
    ),
    statement=(
        r"R_1^T + R_2^T = T\,\mathrm{NC}(\bar x_T, \bar y_T) \le \frac{1}{2\eta}\,\max_{a, b} "
        r"\bigl(\|e_a - x_0\|^2 + \|e_b - y_0\|^2\bigr)\quad\text{for all } T"
    ),
    hypotheses=(
        r"zero-sum game $M$, $8\eta^2L^2 \le 1$ with $L^2 = \|M\|_1\|M\|_\infty$",
        r"$p_t = \Pi(x_{t-1} + \eta M q_{t-1})$ is played, $x_t = \Pi(x_{t-1} + \eta M q_t)$, "
        r"$p_0 = x_0$; the other player likewise; $\Pi$ projects on the simplex",
    ),
    kind="inequality",
    sample=sample_match,
    sides=gradient_sides,
    control=Control(
        name="no prediction",
        explanation=r"$p_t = x_{t-1}$ is played: gradient steps in matching pennies.",
        sample=_plain,
        sides=lambda instance: _gradient(instance, 0),
    ),
    sizes=(2, 3),
    notes=(
        r"A round's regret against $z$ is at most $\frac{1}{2\eta}(\|z - x_{t-1}\|^2 - \|z - "
        r"x_t\|^2)$ plus the error of the prediction times how far it misled, less half the "
        "squared moves by the step; the error is at most $L$ times the opponent's move, and the "
        "moves of both pay for it. "
        "Approached with small steps by a player who walks from the worst action to the best."
    ),
    sharpness=0.95,
    cost=5.0,
)


THEOREMS = (FORESEEN, OPTIMISTIC, FAST)
