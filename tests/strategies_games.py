"""Hypothesis strategies for games, and an evaluation of profiles that shares no code with ours."""

import numpy as np
from hypothesis import strategies as st

from rltheory.games.forms.random_games import RandomFactored, random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL


@st.composite
def game_trees(draw, max_players=3, max_depth=5, max_actions=3, payoffs=None, recall="perfect"):
    """Random trees; some are a single leaf, some leave a player without a move."""
    return random_game(
        draw(st.integers(0, 2**32 - 1)),
        players=draw(st.integers(1 if recall == "perfect" else 2, max_players)),
        depth=draw(st.integers(0 if recall == "perfect" else 3, max_depth)),
        actions=draw(st.integers(1 if recall == "perfect" else 2, max_actions)),
        chance=draw(st.sampled_from([0.0, 0.2, 0.5])),
        stop=draw(st.sampled_from([0.0, 0.2])),
        merge=draw(st.sampled_from([0.0, 0.7, 1.0] if recall == "perfect" else [0.9])),
        payoffs=payoffs or draw(st.sampled_from(["zero_sum", "general"])),
        recall=recall,
    )


@st.composite
def factored_rules(draw, min_players=2, max_players=3, max_hands=3, max_depth=3):
    """Random factored rules, with dealt and chosen hands, and events that depend on them."""
    players = draw(st.integers(min_players, max_players))
    return RandomFactored(
        seed=draw(st.integers(0, 2**32 - 1)),
        players=players,
        hand_counts=tuple(draw(st.integers(1, max_hands)) for _ in range(players)),
        chosen=tuple(draw(st.booleans()) for _ in range(players)),
        depth=draw(st.integers(0, max_depth)),
        branching=draw(st.integers(1, 3)),
        zero_sum=draw(st.booleans()),
    )


def random_profile(game, seed):
    """Strictly mixed strategies at every information set, shape (slots,)."""
    weights = np.random.default_rng(seed).random(game.slots) + 1e-3
    first = game.form.first
    return weights / np.repeat(np.add.reduceat(weights, first[:-1]), np.diff(first))


def payoffs_by_recursion(tree, first, profile):
    """Expected payoffs and the total chance of the leaves, history by history.

    first: the slot at which each information set starts.
    """

    def value(node):
        if tree.to_move[node] == TERMINAL:
            return np.append(tree.payoffs[node], 1.0)
        total = np.zeros(tree.players + 1)
        for action, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            chance = (
                tree.probability[edge]
                if tree.to_move[node] == CHANCE
                else profile[first[tree.infoset[node]] + action]
            )
            total += chance * value(tree.child[edge])
        return total

    result = value(0)
    return result[:-1], result[-1]
