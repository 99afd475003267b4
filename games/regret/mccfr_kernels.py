"""Compiled passes of Monte Carlo CFR over a game tree: draw a sample, then weigh it.

External sampling keeps what it walks as a list of the updated player's nodes and the leaves below,
children after their parent, so that one pass backward over the list gives the values. Outcome
sampling keeps the player's moves along one path. Randomness comes as an array of uniform numbers,
one for each choice, so that a run is a function of it.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.tree import CHANCE, GameTree


class SampledTree(NamedTuple):
    """The arrays of a tree that sampling reads; `GameTree` says what they mean.

    Indices are unsigned, so that compiled code need not ask for negative ones.
    slot (nodes,): the first slot of a player's node, 0 elsewhere. before (moves,), in the order of
    `child`: at nature's nodes the chance of the moves before this one, 2 where no move of chance
    above zero follows any more.
    """

    to_move: NDArray[np.int8]
    slot: NDArray[np.uint32]
    first_child: NDArray[np.uint32]
    child: NDArray[np.uint32]
    probability: FloatArray
    before: FloatArray
    payoffs: FloatArray


def sampled_tree(game: ExtensiveGame, tree: GameTree) -> SampledTree:
    """The arrays of a game's tree."""
    slot = np.zeros(tree.nodes, dtype=np.uint32)
    inner = tree.infoset >= 0
    slot[inner] = game.form.first[tree.infoset[inner]]
    before = np.zeros(len(tree.child))
    _sum_before(tree.to_move, tree.first_child, tree.probability, before)
    links = (tree.first_child.astype(np.uint32), tree.child.astype(np.uint32))
    return SampledTree(tree.to_move, slot, *links, tree.probability, before, tree.payoffs)


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_before(to_move, first_child, probability, before):  # type: ignore[no-untyped-def]
    for h in range(len(to_move)):
        if to_move[h] == CHANCE:
            total, last = 0.0, first_child[h]
            for e in range(first_child[h], first_child[h + 1]):
                before[e] = total
                total += probability[e]
                if probability[e] > 0.0:
                    last = e
            for e in range(last + 1, first_child[h + 1]):
                before[e] = 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def external_sizes(tree, player):  # type: ignore[no-untyped-def]
    """How long a list, and how many random numbers, one walk for a player takes at most."""
    nodes = len(tree.to_move)
    entries = np.zeros(nodes, dtype=np.int64)
    draws = np.zeros(nodes, dtype=np.int64)
    for back in range(nodes):
        h = nodes - 1 - back
        own = tree.to_move[h] == player
        entries[h] = 1 if own or tree.first_child[h] == tree.first_child[h + 1] else 0
        most = 0
        for e in range(tree.first_child[h], tree.first_child[h + 1]):
            below = tree.child[e]
            if own:
                entries[h] += entries[below]
                draws[h] += draws[below]
            else:
                entries[h] = max(entries[h], entries[below])
                most = max(most, draws[below] + 1)
        if not own:
            draws[h] = most
    return entries[0], draws[0]


@njit(cache=True, nogil=True, error_model="numpy")
def longest_path(tree):  # type: ignore[no-untyped-def]
    """The number of moves on the longest path to a leaf."""
    nodes = len(tree.to_move)
    depth = np.zeros(nodes, dtype=np.int64)
    for back in range(nodes):
        h = nodes - 1 - back
        for e in range(tree.first_child[h], tree.first_child[h + 1]):
            depth[h] = max(depth[h], depth[tree.child[e]] + 1)
    return depth[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _match(regrets, strategies, begin, end):  # type: ignore[no-untyped-def]
    """Write one set's strategy: in proportion to positive regret, uniform if there is none."""
    total = 0.0
    for j in range(begin, end):
        total += max(regrets[j], 0.0)
    for j in range(begin, end):
        strategies[j] = max(regrets[j], 0.0) / total if total > 0.0 else 1.0 / (end - begin)


@njit(cache=True, nogil=True, error_model="numpy")
def _happen(before, begin, end, u):  # type: ignore[no-untyped-def]
    """The move of nature whose part of [0, 1) holds u; the first guess is right for equal ones."""
    e = begin + int(u * (end - begin))
    while before[e] > u:
        e -= 1
    while e + 1 < end and before[e + 1] <= u:
        e += 1
    return e


@njit(cache=True, nogil=True, error_model="numpy")
def _choose(weights, begin, end, u):  # type: ignore[no-untyped-def]
    """The index whose part of [0, 1) holds u; never one of weight zero, whatever the rounding."""
    chosen = begin
    for k in range(begin, end):
        if weights[k] > 0.0:
            chosen = k
            u -= weights[k]
            if u < 0.0:
                break
    return chosen


@njit(cache=True, nogil=True, error_model="numpy")
def weigh_external(tree, player, plus, nodes, below, count, strategies, values, regrets):  # type: ignore[no-untyped-def]
    """Add what a sample says of the player's regrets, given the strategies at its nodes.

    nodes, below, values (at least count,): the list; the children of entry k, in the order of the
    actions, are the entries from below[k] on. What the others and nature chose has its chance in
    the sample's own, so it does not weigh here.
    """
    for back in range(count):
        k = count - 1 - back
        h = nodes[k]
        n = tree.first_child[h + 1] - tree.first_child[h]
        if n == 0:
            values[k] = tree.payoffs[h, player]
            continue
        j, first = tree.slot[h], below[k]
        total = 0.0
        for a in range(n):
            total += strategies[j + a] * values[first + a]
        values[k] = total
        for a in range(n):
            regret = regrets[j + a] + (values[first + a] - total)
            regrets[j + a] = max(regret, 0.0) if plus else regret


@njit(cache=True, nogil=True, error_model="numpy")
def external_iterations(  # type: ignore[no-untyped-def]
    tree, plus, iterations, need, draws, regrets, average, strategies, nodes, below, values
):
    """Run iterations while `need` draws are left for the next; each player in turn.

    Returns how many were run, how many draws they used, and how many entries they walked.
    """
    players = tree.payoffs.shape[1]
    at, walked = 0, 0
    for t in range(iterations):
        if len(draws) - at < need:
            return t, at, walked
        for p in range(players):
            averaged = (p + 1) % players
            nodes[0] = 0
            count, k = 1, 0
            while k < count:
                h = nodes[k]
                # Nature and the others play from here until the player moves or the game ends.
                while True:
                    mover = tree.to_move[h]
                    begin, end = tree.first_child[h], tree.first_child[h + 1]
                    if begin == end:
                        break
                    if mover < 0:
                        h = tree.child[_happen(tree.before, begin, end, draws[at])]
                        at += 1
                        continue
                    j, last = tree.slot[h], tree.slot[h] + end - begin
                    _match(regrets, strategies, j, last)
                    if mover == averaged:
                        for s in range(j, last):
                            average[s] += strategies[s]
                    if mover == p:
                        break
                    h = tree.child[begin + _choose(strategies, j, last, draws[at]) - j]
                    at += 1
                nodes[k] = h
                below[k] = count
                for e in range(begin, end):
                    nodes[count] = tree.child[e]
                    count += 1
                k += 1
            weigh_external(tree, p, plus, nodes, below, count, strategies, values, regrets)
            walked += count
    return iterations, at, walked


@njit(cache=True, nogil=True, error_model="numpy")
def weigh_outcome(plus, begins, ends, chosen, count, payoff, exploration, strategies, regrets):  # type: ignore[no-untyped-def]
    """Add what one path says of its player's regrets, given the strategies at its nodes.

    begins, ends, chosen (at least count,): for each of the player's moves on the path, the slots of
    the set and the one taken. The chances of nature's and the others' moves are in the path's own
    and in the counterfactual reach alike and cancel; the player's own were drawn with exploration.
    """
    weight = payoff
    for k in range(count):
        n = ends[k] - begins[k]
        weight /= exploration / n + (1.0 - exploration) * strategies[chosen[k]]
    for back in range(count):
        k = count - 1 - back
        j = chosen[k]
        value = strategies[j] * weight
        for s in range(begins[k], ends[k]):
            regret = regrets[s] + ((weight if s == j else 0.0) - value)
            regrets[s] = max(regret, 0.0) if plus else regret
        weight = value


@njit(cache=True, nogil=True, error_model="numpy")
def outcome_iterations(  # type: ignore[no-untyped-def]
    tree, plus, iterations, need, draws, exploration,
    regrets, average, strategies, begins, ends, chosen,
):  # fmt: skip
    """Run iterations while `need` draws are left for the next; one path for each player in turn.

    The average at the player's own nodes gains own reach / chance of the path so far, times the
    strategy. Returns how many were run, the draws they used, and the nodes they walked.
    """
    players = tree.payoffs.shape[1]
    at, walked = 0, 0
    for t in range(iterations):
        if len(draws) - at < need:
            return t, at, walked
        for p in range(players):
            h, count, weight = 0, 0, 1.0
            while True:
                walked += 1
                begin, end = tree.first_child[h], tree.first_child[h + 1]
                if begin == end:
                    break
                mover = tree.to_move[h]
                u = draws[at]
                at += 1
                if mover < 0:
                    edge = _happen(tree.before, begin, end, u)
                    weight /= tree.probability[edge]
                    h = tree.child[edge]
                else:
                    j, last = tree.slot[h], tree.slot[h] + end - begin
                    _match(regrets, strategies, j, last)
                    if mover == p:
                        for s in range(j, last):
                            average[s] += weight * strategies[s]
                        if u < exploration:
                            # Below the number of moves also when rounded, as u < exploration.
                            s = j + np.uint32(u / exploration * (last - j))
                        else:
                            rest = (u - exploration) / (1.0 - exploration)
                            s = _choose(strategies, j, last, rest)
                        drawn = exploration / (last - j) + (1.0 - exploration) * strategies[s]
                        weight *= strategies[s] / drawn
                        begins[count], ends[count], chosen[count] = j, last, s
                        count += 1
                    else:
                        s = _choose(strategies, j, last, u)
                        weight /= strategies[s]
                    h = tree.child[begin + s - j]
            payoff = tree.payoffs[h, p]
            weigh_outcome(
                plus, begins, ends, chosen, count, payoff, exploration, strategies, regrets
            )
    return iterations, at, walked
