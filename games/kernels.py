"""Compiled passes over the sequence form: payoffs of slots, values of sets, reaches of sequences.

A profile's worth to one player is linear in that player's own reaches, so one product with the
leaves (`slot_payoffs`) tells every slot what it is paid directly, and one pass over the player's
sets from last to first adds what follows it. Arrays over slots with the empty sequences at the end
have length slots + players; see `rltheory.games.forms.extensive`.
"""

import numpy as np
from numba import njit

from rltheory.games.forms.extensive import SequenceForm

LANES = 4
"""A table's rows are filled with zeros to a multiple of this, so that inner loops are straight."""


@njit(cache=True, nogil=True, error_model="numpy")
def padded(n):  # type: ignore[no-untyped-def]
    """The length of a table's row for n hands."""
    return (n + LANES - 1) // LANES * LANES


@njit(cache=True, nogil=True, error_model="numpy")
def reaches(form, player, strategies, reach):  # type: ignore[no-untyped-def]
    """Write the own probability of each of a player's sequences, before nature and others."""
    for i in range(form.infoset_start[player], form.infoset_start[player + 1]):
        above = reach[form.parent[i]]
        for j in range(form.first[i], form.first[i + 1]):
            reach[j] = above * strategies[j]


@njit(cache=True, nogil=True, error_model="numpy")
def checked_reaches(form, player, strategies, tolerance, reach):  # type: ignore[no-untyped-def]
    """As `reaches`; False if a set's probabilities are not >= 0 or do not sum to 1."""
    for i in range(form.infoset_start[player], form.infoset_start[player + 1]):
        above = reach[form.parent[i]]
        total = least = 0.0
        for j in range(form.first[i], form.first[i + 1]):
            x = strategies[j]
            total += x
            least = x if x < least else least
            reach[j] = above * x
        if not (abs(total - 1.0) <= tolerance and least >= 0.0):
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def _zero_sum_rows(form, reach, out):  # type: ignore[no-untyped-def]
    """Both players' `slot_payoffs` in one pass: each leaf of the first player's rows counts twice.

    For reaches that are both known, as they are not when players are updated in turn.
    """
    others, values, row_start = form.others, form.values, form.row_start
    first, last, slots = form.slot_start[0], form.slot_start[1], form.first[-1]
    for j in range(last, form.slot_start[2]):
        out[j] = 0.0
    out[slots + 1] = 0.0
    for j in range(first, last + 1):
        own = j if j < last else slots
        weight = reach[own]
        total = 0.0
        for k in range(row_start[own], row_start[own + 1]):
            other, value = others[k, 0], values[k]
            total += value * reach[other]
            out[other] -= value * weight
        out[own] = total


@njit(cache=True, nogil=True, error_model="numpy")
def _two_player_blocks(form, player, reach, out):  # type: ignore[no-untyped-def]
    """Multiply each table with the other player's reaches, `LANES` own hands at a time."""
    other = 1 - player
    hands, slots, tables = form.hands, form.block_slots, form.tables
    weights = np.empty(_most(form, other))
    for b in range(len(hands)):
        n, others = hands[b, player], hands[b, other]
        own, theirs, at = (
            form.slots_at[b, player],
            form.slots_at[b, other],
            form.table_at[b, player],
        )
        for k in range(others):
            weights[k] = reach[slots[theirs + k]]
        width = padded(n)
        for h in range(0, width, LANES):
            t0 = t1 = t2 = t3 = 0.0
            for k in range(others):
                w = weights[k]
                # Unsigned, or each index is asked whether it counts from the end.
                x = np.uint64(at + k * width + h)
                t0 += w * tables[x]
                t1 += w * tables[x + np.uint64(1)]
                t2 += w * tables[x + np.uint64(2)]
                t3 += w * tables[x + np.uint64(3)]
            out[slots[own + h]] += t0
            if h + 1 < n:
                out[slots[own + h + 1]] += t1
            if h + 2 < n:
                out[slots[own + h + 2]] += t2
            if h + 3 < n:
                out[slots[own + h + 3]] += t3


@njit(cache=True, nogil=True, error_model="numpy")
def _most(form, player):  # type: ignore[no-untyped-def]
    most = 0
    for b in range(len(form.hands)):
        most = max(most, form.hands[b, player])
    return most


@njit(cache=True, nogil=True, error_model="numpy")
def _blocks(form, player, players, reach, out):  # type: ignore[no-untyped-def]
    """Contract each table with the others' reaches, one player after the other."""
    hands, slots, tables = form.hands, form.block_slots, form.tables
    lead = 0 if player > 0 else 1
    largest = 0
    for b in range(len(hands)):
        size = padded(hands[b, player])
        for p in range(players):
            if p != player and p != lead:
                size *= hands[b, p]
        largest = max(largest, size)
    total, before = np.empty(largest), np.empty(largest)
    for b in range(len(hands)):
        n = hands[b, player]
        size = padded(n)
        for p in range(players):
            if p != player and p != lead:
                size *= hands[b, p]
        at, theirs = form.table_at[b, player], form.slots_at[b, lead]
        for h in range(size):
            total[h] = 0.0
        for k in range(hands[b, lead]):
            w = reach[slots[theirs + k]]
            if w != 0.0:
                for h in range(size):
                    total[h] += w * tables[at + k * size + h]
        for p in range(lead + 1, players):
            if p == player:
                continue
            total, before = before, total
            size //= hands[b, p]
            theirs = form.slots_at[b, p]
            for h in range(size):
                total[h] = 0.0
            for k in range(hands[b, p]):
                w = reach[slots[theirs + k]]
                for h in range(size):
                    total[h] += w * before[k * size + h]
        own = form.slots_at[b, player]
        for h in range(n):
            out[slots[own + h]] += total[h]


@njit(cache=True, nogil=True, error_model="numpy")
def set_values(form, player, strategies, worth, values):  # type: ignore[no-untyped-def]
    """Add to each slot's `worth` what follows it when the player goes on with `strategies`.

    Writes the sets' values; the player's empty sequence ends with the profile's payoff.
    """
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    for back in range(1, end - begin + 1):
        i = end - back
        total = 0.0
        for j in range(form.first[i], form.first[i + 1]):
            total += strategies[j] * worth[j]
        values[i] = total
        worth[form.parent[i]] += total


@njit(cache=True, nogil=True, error_model="numpy")
def best_values(form, player, worth, values):  # type: ignore[no-untyped-def]
    """As `set_values` when the player takes a best action everywhere."""
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    for back in range(1, end - begin + 1):
        i = end - back
        best = worth[form.first[i]]
        for j in range(form.first[i] + 1, form.first[i + 1]):
            best = worth[j] if worth[j] > best else best
        values[i] = best
        worth[form.parent[i]] += best


@njit(cache=True, nogil=True, error_model="numpy")
def best_payoff(form, player, worth):  # type: ignore[no-untyped-def]
    """As `best_values`, but return what the player gets and leave out the sets' values."""
    first, parent = form.first, form.parent
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    for back in range(1, end - begin + 1):
        i = end - back
        best = worth[first[i]]
        for j in range(first[i] + 1, first[i + 1]):
            best = worth[j] if worth[j] > best else best
        worth[parent[i]] += best
    return worth[first[-1] + player]


@njit(cache=True, nogil=True, error_model="numpy")
def nash_conv(zero_sum, strategies, tolerance, out, *arrays):  # type: ignore[no-untyped-def]
    """Write what each player gets and could get at best; return the sum of the differences.

    NaN if it is no profile of the game. out (2, players); arrays: those of the form, which one by
    one are faster to hand over.
    """
    form = SequenceForm(*arrays)
    players = out.shape[1]
    slots = form.first[-1]
    reach, worth = np.empty(slots + players), np.empty(slots + players)
    for p in range(players):
        reach[slots + p] = 1.0
        if not checked_reaches(form, p, strategies, tolerance, reach):
            return np.nan
    if zero_sum and players == 2 and len(form.hands) == 0:
        _zero_sum_rows(form, reach, worth)
    else:
        for p in range(players):
            slot_payoffs(form, p, reach, worth)
    total = 0.0
    for p in range(players):
        begin, end = form.slot_start[p], form.slot_start[p + 1]
        out[0, p] = worth[slots + p] + _inner(reach, worth, begin, end)
        out[1, p] = best_payoff(form, p, worth)
        total += out[1, p] - out[0, p]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _inner(a, b, begin, end):  # type: ignore[no-untyped-def]
    """The inner product of two stretches, summed several entries at a time."""
    total = 0.0
    for j in range(begin, end):
        total += a[j] * b[j]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def normalise(form, weights, strategies):  # type: ignore[no-untyped-def]
    """Write each set's weights as probabilities, equal ones where they are all zero."""
    for i in range(len(form.parent)):
        begin, end = form.first[i], form.first[i + 1]
        total = 0.0
        for j in range(begin, end):
            total += weights[j]
        for j in range(begin, end):
            strategies[j] = weights[j] / total if total > 0.0 else 1.0 / (end - begin)
