"""Exponential weights in an actor whose critics move: the exact account, and its bounds.

Sides are balls of 128 bits. For a uniform start and a fixed step see learning/hedge-regret.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.learning_dynamics import divergence
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Updates(NamedTuple):
    """Positive weights (A,) at the start, gains (T, A), a step, and a strategy (A,) to match."""

    start: FractionArray
    gains: FractionArray
    step: Fraction
    comparator: FractionArray


def sample_updates(tape: Tape, size: int) -> Updates:
    """Draw gains in [0, 1]; a third of the time a long run of the action that starts lowest."""
    comparator = fractions(tape.simplex(size))
    if tape.integer(0, 2) == 0:
        start = fractions(np.ones(size))
        start[0] = Fraction(1, 2 ** tape.integer(4, 12))
        gains = np.tile(fractions(np.eye(size)[0]), (tape.integer(1, 160), 1))
        return Updates(start, gains, Fraction(1, 2 ** tape.integer(0, 4)), gains[0])
    start = fractions(tape.dyadic(size, 0.0625, 1.0, bits=4))
    gains = fractions(tape.dyadic((tape.integer(1, 8), size), bits=4))
    return Updates(start, gains, Fraction(2) ** tape.integer(-3, 2), comparator)


def _played(updates: Updates) -> BallArray:
    """Return the policies (T + 1, A) before every update and after the last."""
    sums = np.vstack([fractions(np.zeros((1, len(updates.start)))), updates.gains.cumsum(axis=0)])
    logits = balls.log(balls.balls(updates.start)) + balls.balls(updates.step * sums)
    return balls.softmax(logits)


def _ledger(updates: Updates, *, closing: bool) -> tuple[Side, Side]:
    played, gains = _played(updates), balls.balls(updates.gains)
    step, comparator = balls.ball(updates.step), updates.comparator
    earned = (played[:-1] * gains).sum(axis=1)
    regret = (balls.balls(updates.gains @ comparator) - earned).sum()
    grown = balls.log((played[:-1] * balls.exp(step * gains)).sum(axis=1)) - step * earned
    paid = divergence(comparator, played[0]) + grown.sum()
    if closing:
        paid = paid - divergence(comparator, played[-1])
    return balls.to_bounds(step * regret), balls.to_bounds(paid)


@precise
def ledger_sides(updates: Updates) -> tuple[Side, Side]:
    """Return step times regret, and the fall of the divergence plus the cumulants of the gains."""
    return _ledger(updates, closing=True)


@precise
def _never_closed(updates: Updates) -> tuple[Side, Side]:
    return _ledger(updates, closing=False)


LEDGER = Theorem(
    id="actor-critic/hedge-ledger",
    title="What exponential weights lose, to the last digit",
    source="Derived here; the potential argument of Freund and Schapire (1997), with no inequality",
    statement=(
        r"\eta\sum_{t \le T}\langle g_t, u - \pi_t\rangle = \mathrm{KL}(u\|\pi_1) - \mathrm{KL}(u\|"
        r"\pi_{T+1}) + \sum_{t \le T}\bigl(\log\langle\pi_t, e^{\eta g_t}\rangle - \eta\langle "
        r"\pi_t, g_t\rangle\bigr)"
    ),
    hypotheses=(
        r"$\pi_{t+1} \propto \pi_t\,e^{\eta g_t}$ from any $\pi_1 > 0$; any gains $g_t$, any "
        "strategy $u$",
    ),
    kind="identity",
    sample=sample_updates,
    sides=ledger_sides,
    control=Control(
        name="an account that is never closed",
        explanation=r"The divergence that is left at the end is not subtracted.",
        sides=_never_closed,
    ),
    sizes=(2, 3),
    cost=2.0,
    notes=(
        r"The last sum is $\eta^2$ times half the variance of the gains, to second order, and at "
        r"most $\eta^2\Delta^2 / 8$ each by Hoeffding's lemma."
    ),
)


def _any_start(updates: Updates, *, uniform: bool) -> tuple[Side, Side]:
    played, gains = _played(updates), updates.gains
    regret = balls.balls(gains @ updates.comparator).sum()
    regret = regret - (played[:-1] * balls.balls(gains)).sum()
    width = max(row.max() - row.min() for row in gains)
    start = divergence(updates.comparator, played[0])
    if uniform:
        start = balls.ball(len(updates.start)).log()
    step = updates.step
    bound = start / balls.ball(step) + balls.ball(step * len(gains) * width**2 / 8)
    return balls.to_bounds(regret), balls.to_bounds(bound)


@precise
def any_start_sides(updates: Updates) -> tuple[Side, Side]:
    """Return the regret, and KL(u || start) / step + step T width^2 / 8."""
    return _any_start(updates, uniform=False)


@precise
def _stale(updates: Updates) -> tuple[Side, Side]:
    return _any_start(updates, uniform=True)


ANY_START = Theorem(
    id="actor-critic/reset-caps-the-start",
    title="An actor pays for the divergence it starts with: the logarithm only after a reset",
    source="Cesa-Bianchi and Lugosi (2006), Theorem 2.2, from any start",
    statement=(
        r"\sum_{t \le T}\langle g_t, u - \pi_t\rangle \le \frac{\mathrm{KL}(u\|\pi_1)}{\eta} + "
        r"\frac{\eta\,\Delta^2\,T}{8}"
    ),
    hypotheses=(
        r"$\pi_{t+1} \propto \pi_t\,e^{\eta g_t}$ from any $\pi_1 > 0$; $\Delta$ the largest "
        r"$\max_a g_t - \min_a g_t$",
        r"from a uniform start $\mathrm{KL}(u\|\pi_1) \le \log A$",
    ),
    kind="inequality",
    sample=sample_updates,
    sides=any_start_sides,
    control=Control(
        name="stale logits",
        explanation=r"The start is charged $\log A$, though the logits were not reset.",
        sides=_stale,
    ),
    sizes=(2, 3),
    cost=3.0,
    sharpness=0.95,
    notes=(
        "Approached with a small step by a long run of the action that starts lowest: the logits "
        "of an earlier critic are paid for in full."
    ),
)


class Rounds(NamedTuple):
    """Gains (T, A) and their width."""

    gains: FractionArray
    width: Fraction


def sample_anytime(tape: Tape, size: int) -> Rounds:
    """Draw gains; half of the time two actions are paid in turn, and then one of them for long."""
    width = Fraction(2) ** tape.integer(0, 2)
    if tape.integer(0, 1):
        turns = tape.integer(0, 100)
        best = [0, 1] * turns + [0] * tape.integer(1, 60)
        return Rounds(width * fractions(np.eye(2)[best]), width)
    return Rounds(width * fractions(tape.dyadic((tape.integer(1, 12), size), bits=4)), width)


def _anytime(rounds: Rounds, share: Fraction) -> tuple[Side, Side]:
    gains, width = rounds
    count, actions = gains.shape
    before = np.vstack([fractions(np.zeros((1, actions))), gains[:-1]]).cumsum(axis=0)
    entropy = balls.ball(actions).log()
    steps = [(8 * entropy / t).sqrt() / balls.ball(width) for t in range(1, count + 1)]
    played = balls.softmax(np.array(steps, dtype=object)[:, None] * balls.balls(before))
    regret = balls.ball(gains.sum(axis=0).max()) - (played * balls.balls(gains)).sum()
    bound = balls.ball(share) * (2 * count * entropy).sqrt() + (entropy / 8).sqrt()
    return balls.to_bounds(regret), balls.to_bounds(balls.ball(width) * bound)


@precise
def anytime_sides(rounds: Rounds) -> tuple[Side, Side]:
    """Return the regret, and H (sqrt(2 T log A) + sqrt(log A / 8))."""
    return _anytime(rounds, Fraction(1))


@precise
def _half(rounds: Rounds) -> tuple[Side, Side]:
    return _anytime(rounds, Fraction(1, 2))


ANYTIME = Theorem(
    id="actor-critic/anytime-step",
    title="A step that falls with the root of the episodes needs no horizon in advance",
    source="Cesa-Bianchi and Lugosi (2006), Theorem 2.3",
    statement=(
        r"\max_a\sum_{t \le T} g_t(a) - \langle g_t, \pi_t\rangle \le H\Bigl(\sqrt{2T\log A} + "
        r"\sqrt{\tfrac18\log A}\Bigr),\qquad \pi_t \propto \exp\Bigl(\eta_t\sum_{s<t} g_s\Bigr),\ "
        r"\eta_t = \frac{1}{H}\sqrt{\frac{8\log A}{t}}"
    ),
    hypotheses=(r"any gains $g_t \in [0, H]$, chosen with $\pi_t$ known",),
    kind="inequality",
    sample=sample_anytime,
    sides=anytime_sides,
    control=Control(
        name="half of the root",
        explanation=r"$\sqrt{T\log(A) / 2}$, as for the best fixed step, without the factor 2.",
        sides=_half,
    ),
    sizes=(2, 3),
    cost=4.0,
    sharpness=0.65,
    notes=(
        "The control is the bound of the step tuned to a known number of rounds, which a step "
        "chosen on the way does not reach: two actions in turn, then a long run of one."
    ),
)


THEOREMS = (LEDGER, ANY_START, ANYTIME)
