"""Random games: what they promise, and recall that is verified."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees, payoffs_by_recursion, random_profile

from rltheory.games.best_response import expected_payoffs
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.random_games import RandomFactored, random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL


def own_moves(tree):
    """For each decision node the mover's own sets and actions on the way, by walking up."""
    parent = np.full(tree.nodes, -1)
    parent[tree.child] = np.repeat(np.arange(tree.nodes), np.diff(tree.first_child))
    action = np.zeros(tree.nodes, dtype=int)
    for node in range(tree.nodes):
        children = tree.child[tree.first_child[node] : tree.first_child[node + 1]]
        action[children] = np.arange(len(children))
    moves = {}
    for node in np.flatnonzero(tree.to_move >= 0):
        path, below = [], node
        while parent[below] >= 0:
            above = parent[below]
            if tree.to_move[above] == tree.to_move[node]:
                path.append((int(tree.infoset[above]), int(action[below])))
            below = above
        moves[int(node)] = tuple(reversed(path))
    return moves


def forgetful_sets(tree):
    seen, forgetful = {}, set()
    for node, path in own_moves(tree).items():
        infoset = int(tree.infoset[node])
        if seen.setdefault(infoset, path) != path:
            forgetful.add(infoset)
    return forgetful


@settings(deadline=None)
@given(game_trees())
def test_trees_of_perfect_recall(tree):
    assert not forgetful_sets(tree)
    game = from_tree(tree)
    assert game.histories == tree.nodes
    assert game.leaves == tree.leaves
    assert game.infosets == len(tree.infoset_labels)


@settings(deadline=None, max_examples=20)
@given(game_trees(recall="imperfect"))
def test_imperfect_recall_is_found_and_named(tree):
    forgetful = forgetful_sets(tree)
    assert forgetful
    names = "|".join(repr(tree.infoset_labels[i]) for i in sorted(forgetful))
    with pytest.raises(ValueError, match=f"information set ({names}) .* expected perfect recall"):
        from_tree(tree)


@settings(deadline=None, max_examples=20)
@given(game_trees(max_players=3), st.integers(0, 2**32 - 1))
def test_payoffs_in_sequence_form_are_those_of_the_histories(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed) if game.slots else game.uniform()
    paid, total = payoffs_by_recursion(tree, game.form.first, profile)
    # At most 6 factors to a leaf, payoffs of at most 16 in size.
    np.testing.assert_allclose(total, 1, rtol=0, atol=20 * 2**-52)
    np.testing.assert_allclose(expected_payoffs(game, profile), paid, rtol=0, atol=16 * 40 * 2**-52)


@settings(deadline=None)
@given(game_trees(payoffs="zero_sum"))
def test_zero_sum_payoffs_and_short_exact_chances(tree):
    assert np.all(tree.payoffs.sum(axis=1) == 0)
    assert np.all(tree.payoffs == np.round(tree.payoffs))
    for node in np.flatnonzero(tree.to_move == CHANCE):
        edges = slice(tree.first_child[node], tree.first_child[node + 1])
        chances = [Fraction(float(p)) for p in tree.probability[edges]]
        assert sum(chances) == 1
        assert all(p > 0 and 16 % p.denominator == 0 for p in chances)


def test_a_seed_decides_the_game():
    first, second, other = (random_game(seed, depth=5) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.payoffs, second.payoffs)
    assert first.infoset_labels == second.infoset_labels
    assert not np.array_equal(first.payoffs, other.payoffs)
    generator = np.random.default_rng(1)
    np.testing.assert_array_equal(random_game(generator, depth=5).payoffs, first.payoffs)
    assert not np.array_equal(random_game(generator, depth=5).payoffs, first.payoffs)


def test_the_settings_matter():
    full = random_game(0, depth=3, actions=2, chance=0.0, stop=0.0, merge=0.0)
    assert not np.any(full.to_move == CHANCE)
    assert len(full.infoset_labels) == np.count_nonzero(full.to_move >= 0)
    assert random_game(0, depth=0).nodes == 1
    nature = random_game(0, depth=3, chance=1.0, stop=0.0)
    assert set(nature.to_move.tolist()) == {CHANCE, TERMINAL}
    shared = [random_game(seed, depth=4, chance=0.0, merge=1.0) for seed in range(20)]
    assert any(len(tree.infoset_labels) < np.count_nonzero(tree.to_move >= 0) for tree in shared)
    general = random_game(0, depth=4, payoffs="general")
    assert np.any(general.payoffs.sum(axis=1) != 0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"players": 0}, "players is 0"),
        ({"depth": -1}, "depth is -1"),
        ({"actions": 0}, "actions is 0"),
        ({"chance": 1.5}, "chance is 1.5"),
        ({"stop": float("nan")}, "stop is nan"),
        ({"merge": -0.1}, "merge is -0.1"),
        ({"payoffs": "zero"}, "payoffs is 'zero'"),
        ({"recall": "none"}, "recall is 'none'"),
        ({"recall": "imperfect", "depth": 1}, "no tree of imperfect recall"),
        ({"recall": "imperfect", "actions": 1, "merge": 0.0}, "no tree of imperfect recall"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        random_game(0, **parameters)


def test_no_seed_is_an_error():
    with pytest.raises(TypeError, match="seed"):
        random_game(None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"players": 3}, "hand_counts is .*expected 3"),
        ({"hand_counts": (3, 0)}, r"hand_counts\[1\] is 0"),
        ({"chosen": (True,)}, "chosen is .*expected 2"),
        ({"chosen": (True, 1)}, r"chosen\[1\] is 1"),
        ({"depth": 9}, "depth is 9"),
        ({"branching": 0}, "branching is 0"),
        ({"zero_sum": 0}, "zero_sum is 0"),
    ],
)
def test_bad_parameters_of_factored_rules(parameters, message):
    with pytest.raises(ValueError, match=message):
        RandomFactored(**{"seed": 0, **parameters})
