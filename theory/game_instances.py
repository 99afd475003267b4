"""Games in normal form and regret matching in exact arithmetic, for theorem records.

Payoffs are arrays of Fractions as in `games.matrix_game`, strategies too. Regret matching divides
by a sum of regrets, so that generic payoffs double the digits of its state in every round; `tamed`
payoffs shrink by less than a thousandth and let them grow by a few digits only, which makes runs of
any length exact.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import chain, combinations, product
from typing import NamedTuple

import numpy as np

from rltheory.analysis import rational
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.matrix_game import deviation_payoffs
from rltheory.theory import rational_lp
from rltheory.theory.exact import fractions, identity
from rltheory.theory.tape import Tape

_TAMING = 2**16

ExactProfile = tuple[FractionArray, ...]


class Learner(NamedTuple):
    """What regret matching did against payoffs: strategies and regrets r_t, both (T, A).

    accumulated: (A,), what it would play in proportion to next, before any prediction.
    """

    strategies: FractionArray
    regrets: FractionArray
    accumulated: FractionArray


def matrix(tape: Tape, *shape: int, low: int = -4, high: int = 4, bits: int = 2) -> FractionArray:
    """Return payoffs of the given shape, multiples of 2 ** -bits in [low, high]: ties occur."""
    return fractions(tape.dyadic(shape, low, high, bits))


def strategy(tape: Tape, actions: int) -> FractionArray:
    """Return a mixed strategy (A,), pure ones among them."""
    return fractions(tape.simplex(actions))


def interior(tape: Tape, actions: int) -> FractionArray:
    """Return a mixed strategy (A,) that plays every action at least 1 / (16 A) of the time."""
    return np.asarray((strategy(tape, actions) * 15 + Fraction(1, actions)) / 16)


def uniform(actions: int) -> FractionArray:
    """Return the strategy (A,) that plays all actions equally often."""
    return np.array([Fraction(1, actions)] * actions)


def pure(action: int, actions: int) -> FractionArray:
    """Return the strategy (A,) that plays one action."""
    return fractions(np.eye(actions)[action])


def zero_sum(rows: FractionArray) -> FractionArray:
    """Return the payoffs (2, A, B) of both players from the row player's."""
    return np.stack([rows, -rows])


def positive(array: FractionArray) -> FractionArray:
    """Return the positive part of every entry."""
    return np.asarray(array * (array > 0))


def proportional(weights: FractionArray) -> FractionArray:
    """Return the distribution proportional to the positive part, uniform where that is zero."""
    total = positive(weights).sum()
    if not total:
        return uniform(len(weights))
    return np.asarray(positive(weights) / total)


def regret_matching(
    payoffs: FractionArray, *, plus: bool = False, predictions: FractionArray | None = None
) -> Learner:
    """Run regret matching, or regret matching+, against payoffs (T, A).

    predictions: (T, A), added to the accumulated regrets before playing.
    """
    accumulated = fractions(np.zeros(payoffs.shape[1]))
    played, regrets = [], []
    for t, gains in enumerate(payoffs):
        ahead = accumulated if predictions is None else accumulated + predictions[t]
        played.append(proportional(ahead))
        regrets.append(gains - played[-1] @ gains)
        accumulated = accumulated + regrets[-1]
        if plus:
            accumulated = positive(accumulated)
    return Learner(np.array(played), np.array(regrets), accumulated)


def tamed(gains: FractionArray, weights: FractionArray) -> FractionArray:
    """Return payoffs times a factor just below 1 that makes their mean under `weights` short.

    weights: what the strategy will be proportional to, by its positive part. The factor has the
    sum of weights in its numerator, which cancels the division by it.
    """
    total = positive(weights).sum()
    if not total:
        return gains
    return np.asarray(gains * (total * Fraction(int(_TAMING / total), _TAMING)))


def contrary(accumulated: FractionArray) -> FractionArray:
    """Return payoffs in {0, 1} against which regret matching does as badly as it can for long.

    Action 0 leads. While the learner is nearly sure of it the others are paid, which costs the
    most there is; then it alone, until the others are forgotten again.
    """
    leader = pure(0, len(accumulated))
    sure = max(accumulated[1:]) < Fraction(1, 2) and accumulated[0] > 0
    return 1 - leader if sure else leader


def challenge(
    rounds: int,
    actions: int,
    adversary: Callable[[int, FractionArray], FractionArray],
    *,
    plus: bool,
    predictions: FractionArray | None = None,
) -> FractionArray:
    """Return tamed payoffs (T, A) of an adversary that sees the round and what is accumulated."""
    accumulated = fractions(np.zeros(actions))
    payoffs = []
    for t in range(rounds):
        ahead = accumulated if predictions is None else accumulated + predictions[t]
        gains = tamed(adversary(t, ahead), ahead)
        accumulated = accumulated + gains - proportional(ahead) @ gains
        if plus:
            accumulated = positive(accumulated)
        payoffs.append(gains)
    return np.array(payoffs)


def spread(payoffs: FractionArray) -> Fraction:
    """Return the largest difference between payoffs of one round (T, A)."""
    return Fraction((payoffs.max(axis=1) - payoffs.min(axis=1)).max())


def gains(payoffs: FractionArray, profile: Sequence[FractionArray]) -> FractionArray:
    """Return what each player's best deviation earns, (players,); their sum is the NashConv."""
    values = deviation_payoffs(payoffs, profile)
    return fractions([v.max() - v @ s for v, s in zip(values, profile, strict=True)])


def optimal_columns(rows: FractionArray) -> FractionArray:
    """Return a strategy (B,) of the column player that concedes the least of the payoffs (A, B)."""
    count, columns = rows.shape
    shifted = rows - rows.min() + 1
    system = np.column_stack([shifted, identity(count)])
    costs = to_fractions([-1] * columns + [0] * count)
    basis = list(range(columns, columns + count))
    _, weights = rational_lp.minimise(costs, system, fractions(np.ones(count)), basis)
    return np.asarray(weights[:columns] / weights[:columns].sum())


def optimal_rows(rows: FractionArray) -> FractionArray:
    """Return a strategy (A,) of the row player that secures the most, by a program of its own."""
    return optimal_columns(-rows.T)


def equilibria(payoffs: FractionArray) -> list[ExactProfile]:
    """Return the Nash equilibria of a bimatrix game (2, A, B) with supports of equal sizes.

    All of them where the game is not degenerate; a pair of supports counts where the equations of
    indifference have one solution. Source: von Stengel (2007), section 3.2.
    """
    found: list[ExactProfile] = []
    rows, columns = payoffs.shape[1:]
    for size in range(1, min(rows, columns) + 1):
        supports = combinations(range(rows), size), combinations(range(columns), size)
        for mine, theirs in product(*supports):
            block = np.ix_(mine, theirs)
            try:
                y = _indifferent(payoffs[0][block])
                x = _indifferent(payoffs[1][block].T)
            except ZeroDivisionError:
                continue
            profile = (fractions(np.zeros(rows)), fractions(np.zeros(columns)))
            profile[0][list(mine)], profile[1][list(theirs)] = x, y
            if min(chain(x, y)) > 0 and not any(gains(payoffs, profile)):
                found.append(profile)
    return found


def _indifferent(block: FractionArray) -> FractionArray:
    """Return weights of columns, total 1, that give all rows of a square block one payoff."""
    size = len(block)
    system = fractions(np.zeros((size + 1, size + 1)))
    system[:size, :size] = block
    system[:size, size] = Fraction(-1)
    system[size, :size] = Fraction(1)
    return rational.solve(system, to_fractions([0] * size + [1]))[:-1]
