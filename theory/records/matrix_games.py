"""Equilibria of games in normal form: duality, how NashConv moves, what averaging does to it.

Every side is a Fraction; equilibria come from exact linear programs and systems.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.games.normal_form.matrix_game import deviation_payoffs
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

TIGHT = 0.999


class Two(NamedTuple):
    """A game's payoffs (players, A_1, ..., A_n), two profiles, the weight of the second."""

    payoffs: FractionArray
    first: ExactProfile
    second: ExactProfile
    weight: Fraction


def sample_matrix(tape: Tape, size: int) -> FractionArray:
    """Draw the row player's payoffs (A, B)."""
    return games.matrix(tape, size, tape.integer(1, size))


def minimax_sides(rows: FractionArray) -> tuple[Side, Side]:
    """Return what the row player can secure and what the column player must concede."""
    x, y = games.optimal_rows(rows), games.optimal_columns(rows)
    return Fraction((x @ rows).min()), Fraction((rows @ y).max())


def _pure_minimax(rows: FractionArray) -> tuple[Side, Side]:
    return Fraction(rows.min(axis=1).max()), Fraction(rows.max(axis=0).min())


MINIMAX = Theorem(
    id="matrix-game/minimax",
    title="Mixed strategies secure what the other player must concede",
    source="von Neumann (1928); by duality of linear programs, Gale, Kuhn and Tucker (1951)",
    statement=(
        r"\max_{x \in \Delta_A} \min_b \sum_a x_a M_{ab} = \min_{y \in \Delta_B} \max_a \sum_b "
        r"M_{ab}\, y_b"
    ),
    hypotheses=("finite two-player zero-sum game, any payoffs",),
    kind="identity",
    sample=sample_matrix,
    sides=minimax_sides,
    control=Control(
        name="pure strategies",
        explanation="Both players commit to a single action.",
        sides=_pure_minimax,
    ),
    sizes=(2, 3, 4),
    notes=(
        "Each side is what one player's strategy guarantees, found by a program that knows "
        "nothing of the other; that they meet proves both optimal."
    ),
    cost=1.5,
)


def _two(tape: Tape, payoffs: FractionArray) -> Two:
    first, second = (
        tuple(games.strategy(tape, count) for count in payoffs.shape[1:]) for _ in range(2)
    )
    return Two(payoffs, first, second, Fraction(tape.integer(0, 8), 8))


def _nash_conv(payoffs: FractionArray, profile: ExactProfile) -> Fraction:
    return Fraction(games.gains(payoffs, profile).sum())


def turncoat(own: Fraction, other: Fraction) -> Two:
    """Return a game in which one move of the second player costs both all that it can.

    It lowers the second player's payoff by `own`, and what the first one does by `other` while it
    raises by as much what the first one might do instead.
    """
    first = to_fractions([[1, 0], [1, 2]]) * other
    second = to_fractions([[1, 0], [1, 0]]) * own
    still, start, end = games.pure(0, 2), games.pure(0, 2), games.pure(1, 2)
    return Two(np.stack([first, second]), (still, start), (still, end), Fraction(0))


def sample_lipschitz(tape: Tape, size: int) -> Two:
    """Draw the turncoat half of the time, else a game of two or three players."""
    if tape.integer(0, 1):
        own, other = (Fraction(tape.integer(0, 8), 2) for _ in range(2))
        return turncoat(own, other)
    actions = (2, 2, 2) if tape.integer(0, 1) else (size, 2)
    return _two(tape, games.matrix(tape, len(actions), *actions))


def _lipschitz(instance: Two, others: int) -> tuple[Side, Side]:
    payoffs, first, second, _ = instance
    bound = Fraction(0)
    for j, (before, after) in enumerate(zip(first, second, strict=True)):
        moved = np.abs(after - before).sum() / 2
        for i, tensor in enumerate(payoffs):
            influence = (tensor.max(axis=j) - tensor.min(axis=j)).max()
            bound += moved * influence * (1 if i == j else others)
    return abs(_nash_conv(payoffs, second) - _nash_conv(payoffs, first)), bound


def lipschitz_sides(instance: Two) -> tuple[Side, Side]:
    """Return how far NashConv moves and its bound by how far the strategies do."""
    return _lipschitz(instance, 2)


LIPSCHITZ = Theorem(
    id="matrix-game/nash-conv-lipschitz",
    title="NashConv is Lipschitz in the strategies, with the sharp constant",
    source="Derived here",
    statement=(
        r"|\mathrm{NC}(\sigma) - \mathrm{NC}(\sigma')| \le \sum_j \mathrm{TV}(\sigma_j, \sigma'_j)"
        r"\Bigl(D_{jj} + 2\sum_{i \ne j} D_{ij}\Bigr),\qquad D_{ij} = \max_{a_{-j}} "
        r"\operatorname{sp}_{a_j} u_i(a)"
    ),
    hypotheses=(
        "finite game of any number of players",
        r"$D_{ij}$: the most that player $j$'s action alone changes player $i$'s payoff",
    ),
    kind="inequality",
    sample=sample_lipschitz,
    sides=lipschitz_sides,
    control=Control(
        name="others count once",
        explanation=(
            r"The factor 2 is dropped: the best reply's payoff moves, and so does the own one."
        ),
        sides=lambda instance: _lipschitz(instance, 1),
    ),
    sizes=(2, 3),
    notes=(
        "Attained where a move of one player takes from its own payoff, from the other's, and adds "
        "to what the other could have had. In two-player zero-sum games own payoffs cancel in the "
        r"sum, and $D_{ij}$ of the opponent alone remains, once."
    ),
    sharpness=TIGHT,
    cost=1.0,
)


def sample_mixture(tape: Tape, size: int) -> Two:
    """Draw a zero-sum game and two profiles."""
    return _two(tape, games.zero_sum(games.matrix(tape, size, tape.integer(2, 3))))


def convex_sides(instance: Two) -> tuple[Side, Side]:
    """Return the NashConv of the mixture and the mixture of the NashConvs."""
    payoffs, first, second, weight = instance
    mixed = tuple((1 - weight) * a + weight * b for a, b in zip(first, second, strict=True))
    right = (1 - weight) * _nash_conv(payoffs, first) + weight * _nash_conv(payoffs, second)
    return _nash_conv(payoffs, mixed), right


CONVEX = Theorem(
    id="matrix-game/nash-conv-convex",
    title="In zero-sum games NashConv is convex, and so is the set of equilibria",
    source="von Neumann (1928), exchangeability of optimal strategies; as convexity folklore",
    statement=(
        r"\mathrm{NC}((1-\lambda)\,\sigma + \lambda\,\sigma') \le (1-\lambda)\,\mathrm{NC}(\sigma) "
        r"+ \lambda\,\mathrm{NC}(\sigma')"
    ),
    hypotheses=(
        "two players, payoffs opposite",
        "each player mixes its own two strategies",
    ),
    kind="inequality",
    sample=sample_mixture,
    sides=convex_sides,
    control=Control(
        name="general sums",
        explanation="The payoffs of the two players have nothing to do with each other.",
        sample=lambda tape, size: _two(tape, games.matrix(tape, 2, size, tape.integer(2, 3))),
    ),
    sizes=(2, 3),
    notes=(
        r"$\mathrm{NC}(x, y) = \max_a (My)_a - \min_b (x^\top M)_b$: the bilinear terms cancel. "
        "Two profiles of NashConv 0 therefore mix to one, and averages of iterates are no worse "
        "than the iterates are on average."
    ),
    sharpness=TIGHT,
)


def meeting_place() -> FractionArray:
    """Return a game of two: meet at either place for 1, or stay where everything pays 1."""
    same = to_fractions([[1, 0, 0], [0, 1, 0], [1, 1, 1]])
    return np.stack([same, same.T])


def midpoint_sides(payoffs: FractionArray) -> tuple[Side, Side]:
    """Return 15/32 of the spread of payoffs and each player's gain at the midpoint, (2,).

    The midpoint is that of the first two equilibria among the pure profiles.
    """
    found = [
        profile for profile in _pure_profiles(payoffs) if not any(games.gains(payoffs, profile))
    ]
    middle = tuple((a + b) / 2 for a, b in zip(found[0], found[1], strict=True))
    spread = payoffs.max() - payoffs.min()
    return Fraction(15, 32) * spread, games.gains(payoffs, middle)


def _pure_profiles(payoffs: FractionArray) -> list[ExactProfile]:
    shape = payoffs.shape[1:]
    return [
        tuple(games.pure(a, n) for a, n in zip(index, shape, strict=True))
        for index in np.ndindex(*shape)
    ]


MIDPOINT = Theorem(
    id="matrix-game/midpoint-of-equilibria",
    title="Averaging two equilibria of a general-sum game can cost half the range of payoffs",
    source="Nash (1951) on games that are not solvable; the instance and the constant are ours",
    statement=(
        r"\tfrac{15}{32}\,\bigl(\max u - \min u\bigr) < \max_a u_i(a, \bar\sigma_{-i}) - "
        r"u_i(\bar\sigma),\qquad \bar\sigma = \tfrac12\sigma + \tfrac12\sigma',\quad "
        r"\mathrm{NC}(\sigma) = \mathrm{NC}(\sigma') = 0"
    ),
    hypotheses=(
        "two players, three actions: two places that pay 1 to those who meet there, and a third "
        "action that pays 1 whatever happens",
    ),
    kind="counterexample",
    sample=lambda tape, size: meeting_place(),
    sides=midpoint_sides,
    control=Control(
        name="payoffs opposed",
        explanation="The second player's payoffs are the negative of the first one's.",
        sample=lambda tape, size: games.zero_sum(to_fractions([[1, 1, 0], [1, 1, 0]])),
    ),
    sizes=(2,),
    notes=(
        r"Both gain 1/2, and no midpoint of two equilibria can be worse: the best reply earns at "
        r"most $\frac12(u_i(\sigma) + u_i(\sigma'))$ against it, half of which the midpoint has."
    ),
    sharpness=0.937,
)


def sample_value(tape: Tape, size: int) -> Two:
    """Draw a zero-sum game and a profile."""
    return sample_mixture(tape, size)


def value_sides(instance: Two) -> tuple[Side, Side]:
    """Return (value - payoff, payoff - value) and the gains of both players, (2,)."""
    payoffs, profile = instance.payoffs, instance.first
    value = (games.optimal_rows(payoffs[0]) @ payoffs[0]).min()
    own = profile[0] @ deviation_payoffs(payoffs, profile)[0]
    return fractions([value - own, own - value]), games.gains(payoffs, profile)


def _half_of_both(instance: Two) -> tuple[Side, Side]:
    left, gained = value_sides(instance)
    return left, Fraction(np.asarray(gained).sum()) / 2


VALUE = Theorem(
    id="matrix-game/value-between-gains",
    title="What a profile pays is as near to the value as its deviations gain little",
    source="von Neumann and Morgenstern (1944), section 17; weak duality",
    statement=(
        r"-g_2(x, y) \le v - x^\top M y \le g_1(x, y),\qquad g_1 = \max_a (My)_a - x^\top My,\quad "
        r"g_2 = x^\top My - \min_b (x^\top M)_b"
    ),
    hypotheses=("two-player zero-sum game with value $v$", "any profile"),
    kind="inequality",
    sample=sample_value,
    sides=value_sides,
    control=Control(
        name="exploitability",
        explanation="Both errors are held to the mean of the gains, which is the exploitability.",
        sides=_half_of_both,
    ),
    sizes=(2, 3),
    notes="A gain can be the whole error of the value, which is up to twice the exploitability.",
    sharpness=TIGHT,
    cost=1.5,
)


THEOREMS = (MINIMAX, LIPSCHITZ, CONVEX, MIDPOINT, VALUE)
