"""Certified bounds of exploitability and payoffs: floats with their rounding accounted for.

Every number computed here is a sum of products, one for each leaf, whose absolute values sum to no
more than the largest payoff, as the reaches of leaves sum to 1. So it is enough to count through
how many roundings a product goes (`rounding_error`, from Higham 2002, section 4.2): nature's
chances and the payoffs, read and multiplied; leaves merged; strategies divided by their sums and
multiplied along a path; and sums over leaves and over actions.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.games.best_response import deviations
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.forms.tree import CHANCE, GameTree


def certified_exploitability(game: ExtensiveGame, strategies: ArrayLike) -> Bounds:
    """Return bounds, of shape (), that contain the exploitability of a profile (slots,).

    What they contain is the exact exploitability: that of the exact form of the game (see
    `exact_form`), each information set's probabilities divided by their exact sum. A game in
    factored form stands for the one unfolded from it, and how often its chances and leaves were
    rounded is bounded by the number of its leaves: its bounds are wider, still within about 1e-10
    of the payoffs for a hundred thousand leaves.

    Raises ValueError if `strategies` is not a profile of the game.
    """
    payoffs, best = certified_deviations(game, strategies)
    total = Bounds(np.zeros(()), np.zeros(()))
    for p in range(game.players):
        total = total + Bounds(best.lower[p], best.upper[p])
        # What two players win from each other sums to 0 without rounding.
        if not (game.zero_sum and game.players == 2):
            total = total - Bounds(payoffs.lower[p], payoffs.upper[p])
    lower, upper = down(total.lower / game.players), up(total.upper / game.players)
    return Bounds(np.maximum(lower, 0.0), np.maximum(upper, 0.0))


def certified_deviations(game: ExtensiveGame, strategies: ArrayLike) -> tuple[Bounds, Bounds]:
    """Return bounds of each player's payoff and best-response value, both of shape (players,).

    Arguments, meaning and errors as for `certified_exploitability`.
    """
    profile = game.check_strategies(strategies)
    counts = np.diff(game.form.first)
    if game.slots:
        profile /= np.repeat(np.add.reduceat(profile, game.form.first[:-1]), counts)
    computed = deviations(game, profile)
    roundings = _roundings(game)
    # A payoff lies between the smallest and the largest, so none is larger than this.
    largest = np.abs(computed.payoffs) + game.payoff_range
    errors = np.array([rounding_error(roundings, float(x) * (1 + 1e-6)) for x in largest])
    return (
        Bounds(down(computed.payoffs - errors), up(computed.payoffs + errors)),
        Bounds(down(computed.best - errors), up(computed.best + errors)),
    )


def _roundings(game: ExtensiveGame) -> int:
    """How many roundings each leaf's product goes through, at most, in `deviations`."""
    form, players = game.form, game.players
    counts = np.diff(form.first).astype(np.int64)
    # Nature: each chance read and multiplied, the payoff read and multiplied, leaves added up.
    if game.tree is not None:
        nature = 2 * _most_chance_moves(game.tree)
    else:
        nature = 2 * game.leaves
    merged = game.leaves if len(form.hands) else game.leaves - len(form.values) // players + 1
    # Own moves: an action's probability divided by a sum, and multiplied with those before it.
    above = np.searchsorted(form.first, form.parent, side="right") - 1
    above = np.where(form.parent >= game.slots, np.arange(game.infosets), above)
    moves = _along_paths(counts + 1, above)
    owner = game.owner()
    own = sum(int(moves[owner == p].max(initial=0)) for p in range(players))
    # Sums: over leaves after one slot, over a set's actions and over the sets after a slot, and
    # over all slots of a player.
    children = np.bincount(form.parent, minlength=game.slots + players)
    levels = int(_along_paths(np.ones_like(counts), above).max(initial=0)) + 1
    backward = levels * (int(counts.max(initial=0)) + int(children.max(initial=0)) + 1)
    slots = int(np.diff(form.slot_start).max(initial=0)) + 1
    return nature + 2 + merged + own + players + _most_leaves_of_a_slot(game) + backward + slots


def _most_leaves_of_a_slot(game: ExtensiveGame) -> int:
    form = game.form
    leaves = np.diff(form.row_start).astype(np.float64)
    sizes = form.hands.prod(axis=1, dtype=np.int64)
    for p in range(game.players):
        hands = form.hands[:, p].astype(np.int64)
        block = np.repeat(np.arange(len(hands)), hands)
        rank = np.arange(len(block)) - np.repeat(np.cumsum(hands) - hands, hands)
        slots = form.block_slots[form.slots_at[block, p] + rank]
        # A contraction player by player rounds less often than one sum over all combinations.
        terms = (sizes[block] // hands[block] + game.players).astype(np.float64)
        leaves += np.bincount(slots, weights=terms, minlength=len(leaves))
    return int(leaves.max(initial=0.0))


def _most_chance_moves(tree: GameTree) -> int:
    """The largest number of chance moves of a play, those that are certain not counted."""
    above = np.zeros(tree.nodes, dtype=np.int64)
    above[tree.child] = np.repeat(np.arange(tree.nodes), np.diff(tree.first_child))
    chance = np.zeros(tree.nodes, dtype=np.int64)
    from_chance = tree.to_move[above[tree.child]] == CHANCE
    chance[tree.child] = from_chance & (tree.probability != 1.0)
    return int(_along_paths(chance, above).max())


def _along_paths(weights: NDArray[np.int64], above: NDArray[np.int64]) -> NDArray[np.int64]:
    """The sum of weights of each node and those above it; a root is above itself.

    By doubling: after k rounds a node knows the sum over 2^k nodes, and the node above those.
    """
    roots = above == np.arange(len(above))
    total = np.where(roots, 0, weights)
    at = above
    while np.any(at != at[at]):
        total, at = total + total[at], at[at]
    return total + weights[at] if len(at) else total
