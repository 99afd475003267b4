"""Exact best responses and how far a profile is from equilibrium.

NashConv is the sum over players of what a best response gains, exploitability its mean over players
(in two-player zero-sum games half the sum of the best responses' values), as in Lanctot et al.
(2017) and Timbers et al. (2022). Both are exact up to the rounding of sums of products.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE as TOLERANCE
from rltheory.analysis.arrays import FloatArray, as_float_array, read_only
from rltheory.games import kernels
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.normal_form.matrix_game import MatrixGame


@dataclass(frozen=True, eq=False)
class Deviations:
    """What each player gets by a profile, and at best against the others.

    payoffs, best (players,), in the game's units of payoff.
    """

    payoffs: FloatArray
    best: FloatArray

    @property
    def nash_conv(self) -> float:
        """The sum over players of the gain of a best response, at least 0."""
        gains: list[float] = (self.best - self.payoffs).tolist()
        # What is below 0 is rounding: a best response pays no less than the profile.
        return max(0.0, sum(gains))

    @property
    def exploitability(self) -> float:
        """NashConv divided by the number of players."""
        return self.nash_conv / len(self.payoffs)


@dataclass(frozen=True, eq=False)
class BestResponse:
    """A best response of one player to the others' strategies in a profile.

    strategies (slots,): the profile with the player's part replaced; ties share equally. value:
    what the player then gets. payoff: what the player got before.
    """

    player: int
    strategies: FloatArray
    value: float
    payoff: float


def deviations(game: ExtensiveGame, strategies: ArrayLike) -> Deviations:
    """Return every player's payoff and best-response value under a profile, shape (slots,).

    Raises ValueError if `strategies` is not a profile of the game.
    """
    payoffs, best = read_only(_measure(game, strategies)[1])
    return Deviations(payoffs, best)


def _measure(game: ExtensiveGame, strategies: ArrayLike) -> tuple[float, FloatArray]:
    """Return the sum of all gains, and the two rows of `Deviations`."""
    check_game(game)
    profile = as_float_array(strategies, "strategies", (game.slots,))
    found = np.empty((2, game.players))
    total: float = kernels.nash_conv(game.zero_sum, profile, TOLERANCE, found, *game.compiled)
    if total != total:
        # The check within the pass is a quick one; the game's own says what is wrong.
        profile = game.check_strategies(profile)
        total = kernels.nash_conv(game.zero_sum, profile, np.inf, found, *game.compiled)
    # What is below 0 is rounding: a best response pays no less than the profile.
    return max(0.0, total), found


def nash_conv(game: ExtensiveGame | MatrixGame, strategies: Any) -> float:
    """Return the sum over players of the gain of a best response; 0 exactly at equilibria.

    strategies: a profile, shape (slots,); of a matrix game, one mixed strategy for each player.
    Raises ValueError if it is not a profile of the game.
    """
    if isinstance(game, MatrixGame):
        return game.nash_conv(strategies)
    # Without the arrays of `Deviations`: on small games they would take as long as the pass.
    return _measure(game, strategies)[0]


def exploitability(game: ExtensiveGame | MatrixGame, strategies: Any) -> float:
    """Return NashConv divided by the number of players; arguments and errors as `nash_conv`."""
    return nash_conv(game, strategies) / game.players


def expected_payoffs(game: ExtensiveGame | MatrixGame, strategies: Any) -> FloatArray:
    """Return what a profile pays each player, (players,); arguments and errors as `nash_conv`."""
    if isinstance(game, MatrixGame):
        return game.expected_payoffs(strategies)
    return deviations(game, strategies).payoffs


def best_response(
    game: ExtensiveGame, strategies: ArrayLike, *, player: int, tie_tolerance: float = 1e-12
) -> BestResponse:
    """Return a best response of `player` to the others in a profile, shape (slots,).

    At every information set, also those that the others' play never reaches, all actions whose
    counterfactual value is within `tie_tolerance` times the player's range of payoffs of the best
    share the probability equally.

    Raises ValueError if `strategies` is not a profile or `player` is not one of the game's.
    Source: the tie rule is that of Li et al. (2026), section on PSRO.
    """
    check_game(game)
    whole = isinstance(player, int | np.integer) and not isinstance(player, bool)
    if not whole or not 0 <= player < game.players:
        raise ValueError(f"player is {player!r}; expected 0 to {game.players - 1}")
    profile = game.check_strategies(strategies)
    form = game.form
    reach, worth = np.ones((2, game.slots + game.players))
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, reach)
    kernels.slot_payoffs(game.compiled, player, reach, worth)
    begin, end = form.slot_start[player], form.slot_start[player + 1]
    payoff = worth[game.slots + player] + reach[begin:end] @ worth[begin:end]
    values = np.empty(game.infosets)
    kernels.best_values(game.compiled, player, worth, values)
    own = slice(form.infoset_start[player], form.infoset_start[player + 1])
    counts = np.diff(form.first)[own]
    slack = tie_tolerance * game.payoff_range[player]
    ties = worth[begin:end] >= np.repeat(values[own], counts) - slack
    response = profile.copy()
    if len(counts):
        share = np.add.reduceat(ties.astype(float), form.first[:-1][own] - begin)
        response[begin:end] = ties / np.repeat(share, counts)
    return BestResponse(
        player=player,
        strategies=read_only(response),
        value=float(worth[game.slots + player]),
        payoff=float(payoff),
    )
