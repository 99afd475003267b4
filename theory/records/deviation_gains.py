"""What NashConv says about a profile: it is zero just where every action in use is a best reply.

Made quantitative on both sides, for any number of players. Every side is a Fraction; NashConv comes
from contracted tensors, what it is compared with from a sum over pure profiles.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.exact import fractions
from rltheory.theory.game_instances import ExactProfile
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Played(NamedTuple):
    """Payoffs (n, A_1, ..., A_n) and a profile."""

    payoffs: FractionArray
    profile: ExactProfile


def sample_played(tape: Tape, size: int) -> Played:
    """Draw one to three players whose payoffs tie, half of the time by own actions alone."""
    actions = tape.choice(((size,), (size, 2), (2, 2, 2)))
    payoffs = games.matrix(tape, len(actions), *actions, low=-1, high=1, bits=0)
    profile = tuple(games.strategy(tape, count) for count in actions)
    if tape.integer(0, 1):
        shares = [Fraction(tape.integer(0, 4), 4) for _ in actions]
        profile = tuple(
            share * games.pure(0, count) + (1 - share) * games.pure(1, count)
            for share, count in zip(shares, actions, strict=True)
        )
        payoffs = np.stack([u - u.take([0], axis=i) for i, u in enumerate(payoffs)])
    return Played(payoffs, profile)


def _losses(instance: Played, player: int) -> FractionArray:
    """Return how much each action earns less than the best, summed over pure profiles."""
    payoffs, profile = instance
    earned = fractions(np.zeros(payoffs.shape[1 + player]))
    for pure in np.ndindex(*payoffs.shape[1:]):
        chances = [s[a] for i, (s, a) in enumerate(zip(profile, pure, strict=True)) if i != player]
        earned[pure[player]] += math.prod(chances, start=Fraction(1)) * payoffs[(player, *pure)]
    return np.asarray(earned.max() - earned)


def _bounds(instance: Played, players: int) -> tuple[Side, Side]:
    lower, upper = Fraction(0), Fraction(0)
    for i, strategy in enumerate(instance.profile):
        losses = _losses(instance, i)
        worst = Fraction(losses[strategy > 0].max())
        lower = max(lower, worst * Fraction(strategy[(strategy > 0) & (losses == worst)].sum()))
        upper = max(upper, worst * Fraction(strategy[losses > 0].sum()))
    convergence = Fraction(games.gains(instance.payoffs, instance.profile).sum())
    return exact.join(lower, convergence), exact.join(convergence, players * upper)


def played_sides(instance: Played) -> tuple[Side, Side]:
    """Return (lower bound, NashConv) and (NashConv, upper bound)."""
    return _bounds(instance, len(instance.profile))


def _one_for_all(instance: Played) -> tuple[Side, Side]:
    return _bounds(instance, 1)


PLAYED = Theorem(
    id="matrix-game/zero-iff-nash",
    title="NashConv is zero just where every action in use is a best reply, with both constants",
    source="Nash (1951), section 3, for the equivalence; the bounds are derived here",
    statement=(
        r"\max_i L_i\,\sigma_i(\text{worst}) \le \mathrm{NC}(\sigma) \le n\,\max_i L_i\,\bigl(1 - "
        r"\sigma_i(\text{best})\bigr),\qquad L_i = \max_{a :\, \sigma_i(a) > 0} \Bigl(\max_b "
        r"u_i(b, \sigma_{-i}) - u_i(a, \sigma_{-i})\Bigr)"
    ),
    hypotheses=(
        "finite game of $n$ players, any profile",
        "worst: the actions in use that earn least; best: the best replies",
    ),
    kind="inequality",
    sample=sample_played,
    sides=played_sides,
    control=Control(
        name="one player for all",
        explanation="NashConv is held to the largest gain alone, as if only one player could gain.",
        sides=_one_for_all,
    ),
    notes=(
        "So a bound e on all gains gives NashConv of up to n e, attained where all gain alike; "
        "divided by n, the exploitability is at most e, and a single player may gain n times the "
        "exploitability. The lower bound is attained where one player errs by one action."
    ),
    sharpness=0.999,
)


THEOREMS = (PLAYED,)
