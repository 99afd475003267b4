"""The compiled loops of `games.learning`: one rule for all players, or one learner alone."""

import numpy as np
from numba import njit

from rltheory.games.normal_form.dynamics import MAGNETIC, PROX, REPLY, advance, prepare
from rltheory.games.normal_form.payoff_kernels import distance_to_nash, pure_payoffs, softmax_into


@njit(cache=True, nogil=True)
def run_dynamics(  # type: ignore[no-untyped-def]
    payoffs,
    actions,
    rule,
    step,
    weight,
    refresh,
    floor,
    iterations,
    alternating,
    averaging,
    strategies,
    points,
    every,
):
    """Run the dynamics; return the average, regrets, and path and NashConv at `points` times.

    strategies (flat) is overwritten by the last profile that was played; path is (2, points, size)
    and marks (2, points), first of the current strategies, then of the average.
    """
    players = actions.shape[0]
    size = strategies.shape[0]
    work = np.empty(payoffs.shape[1])
    gains = np.empty(size)
    base = np.zeros(size)
    scratch = np.zeros(size)
    magnet = np.log(np.maximum(strategies, 1e-300))
    average = np.zeros(size)
    earned = np.zeros(size)
    realised = np.zeros(players)
    path = np.empty((2, points, size))
    marks = np.empty((2, points))
    _by_player(rule, actions, strategies, base)
    total = 0.0
    for time in range(iterations):
        if rule == PROX:
            _lookahead(payoffs, actions, step, base, strategies, work, gains)
        share = float(time + 1) ** averaging
        total += share
        for a in range(size):
            average[a] += (strategies[a] - average[a]) * (share / total)
        if time % every == 0 and time // every < points:
            k = time // every
            for a in range(size):
                path[0, k, a] = strategies[a]
                path[1, k, a] = average[a]
            marks[0, k] = distance_to_nash(payoffs, actions, strategies, work, gains)
            marks[1, k] = distance_to_nash(payoffs, actions, average, work, gains)
        if rule == MAGNETIC and refresh > 0 and time > 0 and time % refresh == 0:
            for a in range(size):
                magnet[a] = base[a]
        begin = 0
        for player in range(players):
            end = begin + actions[player]
            mine = gains[begin:end]
            pure_payoffs(payoffs, actions, strategies, player, work, mine)
            for a in range(begin, end):
                earned[a] += gains[a]
                realised[player] += strategies[a] * gains[a]
            if rule == REPLY:
                pure_payoffs(payoffs, actions, average, player, work, mine)
            if alternating and time + 1 < iterations:
                advance(
                    rule,
                    step,
                    weight,
                    floor,
                    mine,
                    strategies[begin:end],
                    base[begin:end],
                    scratch[begin:end],
                    magnet[begin:end],
                )
            begin = end
        if not alternating and time + 1 < iterations:
            begin = 0
            for player in range(players):
                end = begin + actions[player]
                advance(
                    rule,
                    step,
                    weight,
                    floor,
                    gains[begin:end],
                    strategies[begin:end],
                    base[begin:end],
                    scratch[begin:end],
                    magnet[begin:end],
                )
                begin = end
    regrets = np.empty(players)
    begin = 0
    for player in range(players):
        end = begin + actions[player]
        regrets[player] = earned[begin:end].max() - realised[player]
        begin = end
    return average, regrets, path, marks


@njit(cache=True, nogil=True)
def _by_player(rule, actions, strategies, base):  # type: ignore[no-untyped-def]
    begin = 0
    for player in range(actions.shape[0]):
        end = begin + actions[player]
        prepare(rule, strategies[begin:end], base[begin:end])
        begin = end


@njit(cache=True, nogil=True)
def _lookahead(payoffs, actions, step, base, strategies, work, gains):  # type: ignore[no-untyped-def]
    """Replace the strategies, which are the softmax of base, by one step of hedge from them."""
    begin = 0
    for player in range(actions.shape[0]):
        end = begin + actions[player]
        pure_payoffs(payoffs, actions, strategies, player, work, gains[begin:end])
        begin = end
    begin = 0
    for player in range(actions.shape[0]):
        end = begin + actions[player]
        for a in range(begin, end):
            gains[a] = base[a] + step * gains[a]
        softmax_into(gains[begin:end], 1.0, strategies[begin:end])
        begin = end


@njit(cache=True, nogil=True)
def run_against(payoffs, rule, step, weight, refresh, floor, strategy):  # type: ignore[no-untyped-def]
    """Return the strategies (T, A) that a learner plays against payoffs (T, A)."""
    times, n = payoffs.shape
    played = np.empty((times, n))
    base = np.zeros(n)
    scratch = np.zeros(n)
    magnet = np.log(strategy)
    prepare(rule, strategy, base)
    for time in range(times):
        for a in range(n):
            played[time, a] = strategy[a]
        if rule == MAGNETIC and refresh > 0 and time > 0 and time % refresh == 0:
            for a in range(n):
                magnet[a] = base[a]
        advance(rule, step, weight, floor, payoffs[time], strategy, base, scratch, magnet)
    return played
