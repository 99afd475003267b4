"""Compiled payoffs of pure actions against mixed ones, on flat arrays, for any number of players.

Each player's tensor is kept with the player's own axis last, so that every contraction adds up
multiples of contiguous rows: it vectorises as written, in one fixed order of summation. A profile
is one flat array, player after player.
"""

import numpy as np
from numba import njit

from rltheory.analysis.arrays import FloatArray, IntArray


def pack(payoffs: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the tensors (players, A_1, ..., A_n) with own axes last, (players, N), and the A_i."""
    players = payoffs.shape[0]
    tensors = [np.moveaxis(payoffs[i], i, -1).ravel() for i in range(players)]
    return np.stack(tensors), np.array(payoffs.shape[1:], dtype=np.int64)


def flatten(profile: tuple[FloatArray, ...]) -> FloatArray:
    """Return the strategies of a profile one after the other."""
    return np.concatenate(profile)


def unflatten(flat: FloatArray, actions: IntArray) -> tuple[FloatArray, ...]:
    """Return the strategies of a flat profile; leading axes are kept: (..., sum A_i)."""
    return tuple(np.split(flat, np.cumsum(actions)[:-1], axis=-1))


@njit(cache=True, nogil=True)
def pure_payoffs(payoffs, actions, strategies, player, work, out):  # type: ignore[no-untyped-def]
    """Write into out (A_player,) what each action of a player earns against the others.

    payoffs: (players, N) as packed; strategies: flat; work: (N,) scratch.
    """
    source = payoffs[player]
    rest = source.shape[0]
    begin = 0
    for other in range(actions.shape[0]):
        count = actions[other]
        if other != player:
            rest //= count
            # Block k is read before any later step; block 0 is overwritten first, by itself.
            total = work[:rest]
            first = source[:rest]
            p = strategies[begin]
            for r in range(rest):
                total[r] = p * first[r]
            for k in range(1, count):
                p = strategies[begin + k]
                if p != 0.0:
                    row = source[k * rest : (k + 1) * rest]
                    for r in range(rest):
                        total[r] += p * row[r]
            source = work
        begin += count
    for a in range(out.shape[0]):
        out[a] = source[a]


@njit(cache=True, nogil=True)
def distance_to_nash(payoffs, actions, strategies, work, gains):  # type: ignore[no-untyped-def]
    """Return the NashConv of a flat profile; gains: scratch of the profile's length."""
    total = 0.0
    begin = 0
    for player in range(actions.shape[0]):
        end = begin + actions[player]
        mine = gains[begin:end]
        pure_payoffs(payoffs, actions, strategies, player, work, mine)
        best = mine[0]
        own = 0.0
        for a in range(end - begin):
            own += strategies[begin + a] * mine[a]
            if mine[a] > best:
                best = mine[a]
        total += best - own
        begin = end
    return total


@njit(cache=True, nogil=True)
def softmax_into(logits, scale, out):  # type: ignore[no-untyped-def]
    """Write the softmax of scale * logits into out."""
    top = logits[0]
    for a in range(1, logits.shape[0]):
        if logits[a] > top:
            top = logits[a]
    total = 0.0
    for a in range(logits.shape[0]):
        out[a] = np.exp(scale * (logits[a] - top))
        total += out[a]
    for a in range(logits.shape[0]):
        out[a] /= total


@njit(cache=True, nogil=True)
def positive_part_into(regrets, out):  # type: ignore[no-untyped-def]
    """Write into out the distribution proportional to the positive part; uniform if that is 0."""
    total = 0.0
    for a in range(regrets.shape[0]):
        total += max(regrets[a], 0.0)
    for a in range(regrets.shape[0]):
        out[a] = max(regrets[a], 0.0) / total if total > 0.0 else 1.0 / regrets.shape[0]


@njit(cache=True, nogil=True)
def project_in_place(points, floor):  # type: ignore[no-untyped-def]
    """Move points to the nearest distribution whose entries are at least floor.

    Drops entries below the current level until none is left to drop, at most n rounds. Source:
    Michelot (1986).
    """
    n = points.shape[0]
    mass = 1.0 - n * floor
    kept = n + 1
    level = -np.inf
    while True:
        total = 0.0
        count = 0
        for a in range(n):
            if points[a] > level:
                total += points[a]
                count += 1
        if count == 0:
            # Rounding alone can drop the last entry, at the level that it had set itself.
            break
        level = (total - floor * count - mass) / count + floor
        # Rounding can lower the level again and bring an entry back; then nothing more is to drop.
        if count >= kept:
            break
        kept = count
    for a in range(n):
        points[a] = max(points[a] - level, 0.0) + floor
