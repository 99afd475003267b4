"""Compiled passes over the sequence form: payoffs of slots, values of sets, reaches of sequences.

A profile's worth to one player is linear in that player's own reaches, so one product with the
leaves (`slot_payoffs`) tells every slot what it is paid directly, and one pass over the player's
sets from last to first adds what follows it. Arrays over slots with the empty sequences at the end
have length slots + players; see `rltheory.games.extensive`.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def reaches(form, player, strategies, reach):  # type: ignore[no-untyped-def]
    """Write the own probability of each of a player's sequences, before nature and others."""
    for i in range(form.infoset_start[player], form.infoset_start[player + 1]):
        above = reach[form.parent[i]]
        for j in range(form.first[i], form.first[i + 1]):
            reach[j] = above * strategies[j]


@njit(cache=True, nogil=True)
def slot_payoffs(form, player, reach, out):  # type: ignore[no-untyped-def]
    """Write what each of a player's sequences is paid at leaves right after it.

    Counterfactual: weighted by nature and the other players, who play by `reach`.
    """
    players = len(form.slot_start) - 1
    empty = form.first[-1] + player
    _rows(form, players, form.slot_start[player], form.slot_start[player + 1], reach, out)
    _rows(form, players, empty, empty + 1, reach, out)
    if len(form.hands):
        if players == 2:
            _two_player_blocks(form, player, reach, out)
        else:
            _blocks(form, player, players, reach, out)


@njit(cache=True, nogil=True)
def _rows(form, players, begin, end, reach, out):  # type: ignore[no-untyped-def]
    """Leaves one by one: each row is summed into its own slot."""
    others, values, row_start = form.others, form.values, form.row_start
    if players == 2:
        for j in range(begin, end):
            total = 0.0
            for k in range(row_start[j], row_start[j + 1]):
                total += values[k] * reach[others[k, 0]]
            out[j] = total
    else:
        for j in range(begin, end):
            total = 0.0
            for k in range(row_start[j], row_start[j + 1]):
                term = values[k]
                for p in range(players - 1):
                    term *= reach[others[k, p]]
                total += term
            out[j] = total


@njit(cache=True, nogil=True)
def _two_player_blocks(form, player, reach, out):  # type: ignore[no-untyped-def]
    other = 1 - player
    hands, slots, tables = form.hands, form.block_slots, form.tables
    widest = 0
    for b in range(len(hands)):
        widest = max(widest, hands[b, player])
    total = np.empty(widest)
    for b in range(len(hands)):
        n = hands[b, player]
        own = form.slots_at[b, player]
        theirs = form.slots_at[b, other]
        at = form.table_at[b, player]
        for h in range(n):
            total[h] = 0.0
        for k in range(hands[b, other]):
            weight = reach[slots[theirs + k]]
            for h in range(n):
                total[h] += weight * tables[at + h]
            at += n
        for h in range(n):
            out[slots[own + h]] += total[h]


@njit(cache=True, nogil=True)
def _blocks(form, player, players, reach, out):  # type: ignore[no-untyped-def]
    """Contract each table with the others' vectors, one player after the other."""
    hands, slots, tables = form.hands, form.block_slots, form.tables
    largest = 0
    for b in range(len(hands)):
        first = 0 if player > 0 else 1
        rest = 1
        for p in range(players):
            if p != first:
                rest *= hands[b, p]
        largest = max(largest, rest)
    buffer = np.empty((2, largest))
    for b in range(len(hands)):
        n = hands[b, player]
        size = 1
        for p in range(players):
            size *= hands[b, p]
        at = form.table_at[b, player]
        stage = 0
        for p in range(players):
            if p == player:
                continue
            size //= hands[b, p]
            total = buffer[stage]
            for h in range(size):
                total[h] = 0.0
            theirs = form.slots_at[b, p]
            if stage == 0 and p == (0 if player > 0 else 1):
                for k in range(hands[b, p]):
                    weight = reach[slots[theirs + k]]
                    if weight != 0.0:
                        for h in range(size):
                            total[h] += weight * tables[at + k * size + h]
            else:
                before = buffer[1 - stage]
                for k in range(hands[b, p]):
                    weight = reach[slots[theirs + k]]
                    for h in range(size):
                        total[h] += weight * before[k * size + h]
            stage = 1 - stage
        total = buffer[1 - stage]
        own = form.slots_at[b, player]
        for h in range(n):
            out[slots[own + h]] += total[h]


@njit(cache=True, nogil=True)
def set_values(form, player, strategies, worth, values):  # type: ignore[no-untyped-def]
    """Add to each slot's `worth` what follows it when the player goes on with `strategies`.

    Writes the sets' values; the player's empty sequence ends with the profile's payoff.
    """
    for i in range(form.infoset_start[player + 1] - 1, form.infoset_start[player] - 1, -1):
        total = 0.0
        for j in range(form.first[i], form.first[i + 1]):
            total += strategies[j] * worth[j]
        values[i] = total
        worth[form.parent[i]] += total


@njit(cache=True, nogil=True)
def best_values(form, player, worth, values):  # type: ignore[no-untyped-def]
    """As `set_values` when the player takes a best action everywhere."""
    for i in range(form.infoset_start[player + 1] - 1, form.infoset_start[player] - 1, -1):
        best = worth[form.first[i]]
        for j in range(form.first[i] + 1, form.first[i + 1]):
            best = max(best, worth[j])
        values[i] = best
        worth[form.parent[i]] += best


@njit(cache=True, nogil=True)
def nash_conv(form, strategies, reach, worth, values, payoffs, best):  # type: ignore[no-untyped-def]
    """Write what each player gets and could get at best; work arrays are overwritten."""
    players = len(payoffs)
    slots = form.first[-1]
    for p in range(players):
        reach[slots + p] = 1.0
        reaches(form, p, strategies, reach)
    for p in range(players):
        slot_payoffs(form, p, reach, worth)
        total = worth[slots + p]
        for j in range(form.slot_start[p], form.slot_start[p + 1]):
            total += reach[j] * worth[j]
        payoffs[p] = total
        best_values(form, p, worth, values)
        best[p] = worth[slots + p]


@njit(cache=True, nogil=True)
def normalise(form, weights, strategies):  # type: ignore[no-untyped-def]
    """Write each set's weights as probabilities, equal ones where they are all zero."""
    for i in range(len(form.parent)):
        begin, end = form.first[i], form.first[i + 1]
        total = 0.0
        for j in range(begin, end):
            total += weights[j]
        for j in range(begin, end):
            strategies[j] = weights[j] / total if total > 0.0 else 1.0 / (end - begin)
