"""Fictitious play in extensive form: best responses to averages, averaged as plans.

Every player answers the others' average strategies by a best response, and the averages take it in
as realisation plans, which is what mixing pure strategies of the normal form amounts to (Kuhn's
theorem). Full-width and exact: no sampling, no learning. In two-player zero-sum games the averages
approach Nash equilibria (Robinson, 1951); elsewhere they may cycle, which the exploitability shows.
Source: Heinrich, Lanctot and Silver (2015), section 4 (XFP).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, IntArray, check_positive_integer, read_only
from rltheory.analysis.checkpoints import checkpoint_iterations
from rltheory.games import kernels
from rltheory.games.best_response import deviations
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.kernels import reaches, slot_payoffs

TIE_TOLERANCE = 1e-12
"""Actions this close to the best, as a part of the range of payoffs, share equally."""


@dataclass(frozen=True, eq=False)
class FictitiousPlayResult:
    """A run of fictitious play.

    average (slots,): the behaviour of the averaged plans. last (slots,): the best responses of the
    last iteration. iterations, exploitability (checkpoints,), payoffs (checkpoints, players): of
    the average, exact up to rounding.
    """

    game: str
    average: FloatArray
    last: FloatArray
    iterations: IntArray
    exploitability: FloatArray
    payoffs: FloatArray


def fictitious_play(
    game: ExtensiveGame,
    *,
    iterations: int = 1000,
    start: ArrayLike | None = None,
    checkpoints: int | Sequence[int] = 50,
) -> FictitiousPlayResult:
    """Run full-width extensive-form fictitious play, all players at once.

    Iteration t = 1, 2, ... gives the best responses weight 1 / (t + 1) in the averages, so the
    start (uniform if None) counts like one of them. Best actions of a set share equally, as in
    `best_response`. checkpoints: as in `cfr`.

    Raises ValueError if `start` is not a profile or checkpoints are outside 1, ..., iterations.
    """
    total = check_positive_integer(iterations, "iterations")
    marks = checkpoint_iterations(checkpoints, total)
    profile = game.uniform() if start is None else game.check_strategies(start, "start")
    plan, reach, worth = np.ones((3, game.slots + game.players))
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, plan)
    slack = TIE_TOLERANCE * game.payoff_range
    replies = np.empty(game.slots)
    done, measured = 0, []
    for mark in marks:
        _play(game.compiled, done, mark, slack, plan, replies, reach, worth)
        done = mark
        kernels.normalise(game.compiled, plan, profile)
        measured.append(deviations(game, profile))
    return FictitiousPlayResult(
        game=game.name,
        average=read_only(profile),
        last=read_only(replies),
        iterations=read_only(np.array(marks)),
        exploitability=read_only(np.array([d.exploitability for d in measured])),
        payoffs=read_only(np.array([d.payoffs for d in measured])),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _play(form, begin, end, slack, plan, replies, reach, worth):  # type: ignore[no-untyped-def]
    """Run iterations begin + 1 to end; plan, reach, worth (slots + players,), replies (slots,)."""
    players = len(slack)
    for t in range(begin + 1, end + 1):
        for p in range(players):
            slot_payoffs(form, p, plan, worth)
        for p in range(players):
            _reply(form, p, slack[p], worth, replies)
            reaches(form, p, replies, reach)
        for j in range(form.first[-1]):
            plan[j] += (reach[j] - plan[j]) / (t + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _reply(form, player, slack, worth, replies):  # type: ignore[no-untyped-def]
    """Write a best response; `worth`, of what sequences are paid, is overwritten."""
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    for back in range(1, end - begin + 1):
        i = end - back
        first, last = form.first[i], form.first[i + 1]
        best = worth[first]
        for j in range(first + 1, last):
            best = max(best, worth[j])
        ties = 0
        for j in range(first, last):
            if worth[j] >= best - slack:
                ties += 1
        for j in range(first, last):
            replies[j] = 1.0 / ties if worth[j] >= best - slack else 0.0
        worth[form.parent[i]] += best
