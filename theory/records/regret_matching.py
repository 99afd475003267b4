"""Regret matching and its relatives against any payoffs, with constants that are attained.

One inequality carries all of them: the strategy is orthogonal to the regret of its round, so that
the squared norm of the positive regrets grows by no more than that regret's own, or by what of it
was not predicted. Every side is a Fraction; norms are compared by their squares.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, to_bounds
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Rounds(NamedTuple):
    """Payoffs (T, A) and predictions of regrets (T, A), None for no prediction; which learner."""

    payoffs: FractionArray
    predictions: FractionArray | None
    plus: bool


def _rounds(tape: Tape, actions: int, plus: bool, predict: bool) -> Rounds:
    """Draw what comes: the contrary adversary half of the time, or payoffs off the tape."""
    scale = Fraction(2) ** tape.integer(-2, 2)
    contrary = tape.integer(0, 1)
    rounds = tape.choice((1, 5 if predict else 96) if contrary else (1, 2, 4, 8, 12))
    given = games.matrix(tape, 1 if contrary else rounds, actions, low=0, high=1)
    turn = tape.integer(1, rounds)
    persistent = tape.integer(0, 1)
    predictions = None
    if predict:
        size = tape.choice((Fraction(0), Fraction(1, 16), Fraction(1), Fraction(4)))
        expected = games.matrix(tape, 1 if contrary else rounds, actions, low=-1, high=1)
        predictions = scale * size * np.broadcast_to(expected, (rounds, actions))

    def adversary(t: int, ahead: FractionArray) -> FractionArray:
        if contrary:
            gains = games.contrary(ahead)
        elif persistent:
            gains = games.pure(int(t >= turn), actions)
        else:
            gains = given[t]
        return np.asarray(scale * gains)

    payoffs = games.challenge(rounds, actions, adversary, plus=plus, predictions=predictions)
    return Rounds(payoffs, predictions, plus)


def _largest(sums: FractionArray) -> Fraction:
    """Return the square of the largest entry, 0 if none is positive."""
    return max(Fraction(sums.max()), Fraction(0)) ** 2


def _worst_case(payoffs: FractionArray) -> Fraction:
    """Return the squared bound: spread^2 (A - 1) T."""
    rounds, actions = payoffs.shape
    return Fraction(games.spread(payoffs) ** 2 * (actions - 1) * rounds)


def matching_sides(instance: Rounds) -> tuple[Side, Side]:
    """Return the squared regret and its bound."""
    learner = games.regret_matching(instance.payoffs)
    return _largest(learner.regrets.sum(axis=0)), _worst_case(instance.payoffs)


@precise
def _as_hedge(instance: Rounds) -> tuple[Side, Side]:
    left, _ = matching_sides(instance)
    rounds, actions = instance.payoffs.shape
    weight = balls.ball(games.spread(instance.payoffs) ** 2 * rounds / 2)
    bound: Bounds = balls.to_bounds(weight * balls.ball(actions).log())
    return to_bounds(left), bound


MATCHING = Theorem(
    id="regret-matching/worst-case",
    title="Regret matching's regret against any payoffs, with its sharp constant",
    source=(
        "Hart and Mas-Colell (2000), Theorem B, by Blackwell (1956); A - 1 in place of the usual A "
        "and the adversary that attains it are derived here"
    ),
    statement=(
        r"\Bigl(\max_a \sum_{t \le T} u_t(a) - x_t \cdot u_t\Bigr)_+^2 \le \Delta^2\,(A - 1)\,T,"
        r"\qquad x_t \propto \Bigl[\sum_{s<t} u_s - x_s \cdot u_s\Bigr]_+"
    ),
    hypotheses=(
        r"any payoffs, chosen with $x_t$ known; $\Delta = \max_t \max_{a,b} u_t(a) - u_t(b)$",
        "uniform play where no regret is positive",
    ),
    kind="inequality",
    sample=lambda tape, size: _rounds(tape, size, plus=False, predict=False),
    sides=matching_sides,
    control=Control(
        name="the constant of Hedge",
        explanation=r"The bound is $\Delta^2 T \log(A) / 2$, which Hedge with the best step has.",
        sides=_as_hedge,
    ),
    notes=(
        r"$\sum_a (u_a - x \cdot u)^2 \le (A-1)\Delta^2$, with equality where the learner is sure "
        "of an action that is worst by as much as can be. Paying all actions but the leader and "
        "then the leader alone, in turn, comes as near to the bound as one likes for many rounds."
    ),
    sharpness=0.69,
    sizes=(2, 3),
    cost=6.0,
)


def _one_switch(tape: Tape, actions: int) -> Rounds:
    """Draw when the one action that is paid changes, with plain regret matching to face it."""
    turn = tape.integer(1, 16)
    payoffs = games.challenge(
        32, actions, lambda t, ahead: games.pure(int(t >= turn), actions), plus=False
    )
    return Rounds(payoffs, None, False)


def interval_sides(instance: Rounds) -> tuple[Side, Side]:
    """Return the squared regret over the worst final stretch of rounds, and its bound."""
    learner = games.regret_matching(instance.payoffs, plus=instance.plus)
    # Row s sums the regrets of rounds s, s + 1, ..., T.
    tails = np.cumsum(learner.regrets[::-1], axis=0)
    return _largest(tails), _worst_case(instance.payoffs)


INTERVAL = Theorem(
    id="regret-matching/plus-tracks",
    title="Regret matching+ has small regret over every stretch of rounds",
    source=(
        "Tammelin, Burch, Johanson and Bowling (2015), tracking regret of K + 1 times the "
        "bound; per stretch, and with A - 1 for A, derived here"
    ),
    statement=(
        r"\max_{s \le T} \Bigl(\max_a \sum_{t=s}^{T} u_t(a) - x_t \cdot u_t\Bigr)_+^2 \le "
        r"\Delta^2\,(A - 1)\,T,\qquad x_t \propto Q_{t-1},\quad Q_t = [Q_{t-1} + u_t - x_t \cdot "
        r"u_t]_+"
    ),
    hypotheses=(
        r"any payoffs, chosen with $x_t$ known; $\Delta = \max_t \max_{a,b} u_t(a) - u_t(b)$",
    ),
    kind="inequality",
    sample=lambda tape, size: _rounds(tape, size, plus=True, predict=False),
    sides=interval_sides,
    control=Control(
        name="plain regret matching",
        explanation="Regrets are kept below zero, and a change of the best action is missed.",
        sample=_one_switch,
    ),
    notes=(
        r"Against the best sequence that switches K times the regret is a sum over K + 1 "
        r"stretches, at most $(K+1)\,\Delta\sqrt{(A-1)T}$. Plain regret matching pays for the "
        "whole first stretch before it leaves an action: linear regret with a single switch."
    ),
    sharpness=0.69,
    sizes=(2, 3),
    cost=6.0,
)


def predictive_sides(instance: Rounds) -> tuple[Side, Side]:
    """Return the squared regret and the sum of squared errors of the predictions."""
    learner = _predictive(instance)
    assert instance.predictions is not None
    errors = learner.regrets - instance.predictions
    return _largest(learner.regrets.sum(axis=0)), (errors**2).sum()


def _predictive(instance: Rounds) -> games.Learner:
    return games.regret_matching(
        instance.payoffs, plus=instance.plus, predictions=instance.predictions
    )


def _foreseen(tape: Tape, actions: int) -> Rounds:
    """Draw a few rounds whose payoffs are known, and regrets expected of the last strategy."""
    payoffs = games.matrix(tape, tape.integer(1, 3), actions, low=0, high=1)
    plus = bool(tape.integer(0, 1))
    predictions = fractions(np.zeros(payoffs.shape))
    last = games.uniform(actions)
    for t, gains in enumerate(payoffs):
        predictions[t] = gains - last @ gains
        seen = Rounds(payoffs[: t + 1], predictions[: t + 1], plus)
        last = _predictive(seen).strategies[t]
    return Rounds(payoffs, predictions, plus)


def _foreseen_sides(instance: Rounds) -> tuple[Side, Side]:
    return predictive_sides(instance)[0], Fraction(0)


PREDICTIVE = Theorem(
    id="regret-matching/predictive",
    title="Predicted regrets cost nothing: predictive regret matching, with its sharp constant",
    source=(
        "Farina, Kroer and Sandholm (2021), bounds of PRM and PRM+, with 2 times the sum; the "
        "constant 1 is derived here"
    ),
    statement=(
        r"\Bigl(\max_a \sum_{t \le T} r_t(a)\Bigr)_+^2 \le \sum_{t \le T} \|r_t - m_t\|_2^2,\qquad "
        r"x_t \propto [Q_{t-1} + m_t]_+,\quad r_t = u_t - x_t \cdot u_t"
    ),
    hypotheses=(
        r"$Q_t = Q_{t-1} + r_t$ (regret matching) or $[Q_{t-1} + r_t]_+$ (regret matching+)",
        r"any payoffs and any predictions $m_t$, made before $x_t$",
    ),
    kind="inequality",
    sample=lambda tape, size: _rounds(tape, size, plus=bool(tape.integer(0, 1)), predict=True),
    sides=predictive_sides,
    control=Control(
        name="payoffs foreseen",
        explanation=(
            r"$m_t = u_t - x_{t-1} \cdot u_t$, and the error is counted in payoffs, so that it is "
            "zero: but regrets depend on the strategy that the prediction itself moves."
        ),
        sample=_foreseen,
        sides=_foreseen_sides,
    ),
    notes=(
        r"With $f(y) = \|[y]_+\|^2$ and $\theta = [Q + m]_+$: $f(Q + r) \le f(Q + m) + 2\theta "
        r"\cdot (r - m) + \|r - m\|^2$, convexity gives $f(Q + m) - 2\theta \cdot m \le f(Q)$, and "
        r"$\theta \cdot r = 0$. Without prediction it is regret matching, where the contrary "
        "adversary attains it in the limit; one wrong hint of any size attains it at once."
    ),
    sharpness=0.99,
    sizes=(2, 3),
    cost=1.5,
)


THEOREMS = (MATCHING, INTERVAL, PREDICTIVE)
