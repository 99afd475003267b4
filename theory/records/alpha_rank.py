"""AlphaRank at a finite intensity forgets where it started, at a rate that can be written down.

Every side is a Fraction; the chain is that of `meta_strategies`, its powers are exact.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.records.meta_strategies import Evolution, alpha_rank_chain, fixation
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Run(NamedTuple):
    """A game with the settings of AlphaRank, and how many blocks of n steps the chain makes."""

    game: Evolution
    blocks: int


def sample_run(tape: Tape, size: int) -> Run:
    """Draw one to three players with whole payoffs, often equal, and any finite intensity."""
    actions = tape.choice(((size,), (2, size), (2, 2, 2)))
    most = tape.integer(0, 2)
    payoffs = games.matrix(tape, len(actions), *actions, low=-most, high=most, bits=0)
    game = Evolution(payoffs, tape.integer(2, 4), tape.integer(0, 2))
    return Run(game, tape.integer(1, 4 - len(actions)))


def _largest_loss(payoffs: FractionArray) -> int:
    """Return the most that a player loses by changing its action alone."""
    ranges = [np.max(u.max(axis=i) - u.min(axis=i)) for i, u in enumerate(payoffs)]
    return int(max(ranges))


def coalescence(game: Evolution) -> Fraction:
    """Return c = n! prod_i A_i rho / sum_j (A_j - 1) for n players with A_i >= 2 actions."""
    actions = game.payoffs.shape[1:]
    least = fixation(-_largest_loss(game.payoffs), game.population, game.intensity)
    deviations = sum(actions) - len(actions)
    chances = [least * count / deviations for count in actions]
    return math.factorial(len(actions)) * math.prod(chances, start=Fraction(1))


def _steps(kernel: FractionArray, number: int) -> FractionArray:
    power = exact.identity(len(kernel))
    for _ in range(number):
        power = power @ kernel
    return power


def _apart(rows: FractionArray) -> Fraction:
    """Return the largest total variation between two rows."""
    return max(Fraction(np.abs(a - b).sum()) / 2 for a in rows for b in rows)


def _sides(instance: Run, chain: Callable[[Evolution], FractionArray]) -> tuple[Side, Side]:
    game, blocks = instance
    kernel, chance = chain(game), coalescence(game)
    apart = _apart(_steps(kernel, len(game.payoffs) * blocks))
    left = exact.join(apart, chance / len(kernel))
    return left, exact.join((1 - chance) ** blocks, _least(kernel, apart))


def _least(kernel: FractionArray, apart: Fraction) -> Fraction:
    """Return the least stationary probability, 0 where starts that never meet have their own."""
    return Fraction(exact.stationary(kernel).min()) if apart < 1 else Fraction(0)


def forgetting_sides(instance: Run) -> tuple[Side, Side]:
    """Return (distance of two starts after k n steps, c / N) and ((1 - c)^k, least probability)."""
    return _sides(instance, alpha_rank_chain)


def limit_chain(game: Evolution) -> FractionArray:
    """Return the chain at infinite intensity: gains are always taken, losses never."""
    shape = game.payoffs.shape[1:]
    deviations = max(sum(shape) - len(shape), 1)
    # At unit intensity rates below 1 / m are those of losses, above it of gains.
    kernel = alpha_rank_chain(game._replace(intensity=1)) * deviations
    neutral = Fraction(1, game.population)
    limit = fractions(np.zeros(kernel.shape))
    for (start, end), rate in np.ndenumerate(kernel):
        if start != end and rate >= neutral:
            limit[start, end] = (neutral if rate == neutral else Fraction(1)) / deviations
    return np.asarray(limit + np.diag(1 - limit.sum(axis=1)))


def _meeting(tape: Tape, size: int) -> Run:
    """Draw how much meeting pays in a game of two places, and the settings."""
    payoffs = to_fractions([[1, 0], [0, 1]]) * tape.integer(1, 2)
    game = Evolution(np.stack([payoffs, payoffs]), tape.integer(2, 4), tape.integer(0, 2))
    return Run(game, tape.integer(1, 2))


FORGETS = Theorem(
    id="alpha-rank/forgets-the-start",
    title="At any finite intensity AlphaRank has one ranking, positive, wherever it starts",
    source=(
        "Omidshafiei et al. (2019), Theorem 2.1.2, irreducibility; the rate and the floor are "
        "derived here"
    ),
    statement=(
        r"\max_{a, b} \mathrm{TV}\bigl(P^{nk}(a, \cdot), P^{nk}(b, \cdot)\bigr) \le (1 - c)^k,"
        r"\qquad \frac{c}{N} \le \min_a \pi(a),\qquad c = n! \prod_i \frac{A_i\,\rho}{\sum_j (A_j "
        r"- 1)}"
    ),
    hypotheses=(
        r"$n$ players with $A_i \ge 2$ actions each, $N = \prod_i A_i$ pure profiles, populations "
        r"of $m \ge 2$, any intensity $\alpha < \infty$",
        r"$\rho = (e^{\alpha L} - 1)/(e^{m\alpha L} - 1)$, $1/m$ where $\alpha L = 0$; $L$ the "
        "most that a deviation loses",
    ),
    kind="inequality",
    sample=sample_run,
    sides=forgetting_sides,
    control=Control(
        name="infinite intensity",
        explanation="Losses are never taken: two places to meet keep whoever starts there.",
        sample=_meeting,
        sides=lambda instance: _sides(instance, limit_chain),
    ),
    notes=(
        r"No deviation is taken with less than $\rho$, nor declined with less, so that every step "
        r"contains, with probability $\rho \sum_i A_i / \sum_i (A_i - 1)$, one in which a player "
        r"is drawn in proportion to $A_i$ and its action drawn anew. Two runs that share $n$ such "
        r"steps, one for each player, are together. Both parts are attained by one player with "
        r"equal payoffs, with more players they are not; populations of 1 may alternate for ever."
    ),
    sharpness=0.999,
    cost=2.0,
)


THEOREMS = (FORGETS,)
