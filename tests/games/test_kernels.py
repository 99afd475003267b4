"""The compiled passes against recursions over histories, and profiles that are none."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from games_examples import generic_start, three_forms
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import (
    factored_rules,
    game_trees,
    payoffs_by_recursion,
    random_profile,
)

from rltheory.games import kernels
from rltheory.games.best_response import best_response, deviations, exploitability
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.variants import VARIANTS
from rltheory.games.rules.kuhn import Kuhn
from rltheory.games.rules.leduc import Leduc
from rltheory.games.rules.liars_dice import LiarsDice

FORMS = {
    "kuhn": Kuhn(players=2),
    "kuhn3": Kuhn(players=3),
    "kuhn4": Kuhn(players=4),
    "leduc": Leduc(players=2),
    "liars_dice": LiarsDice(players=2, sides=4, dice=1),
}


@pytest.mark.parametrize("name", FORMS)
def test_runs_agree_between_blocks_rows_and_trees(name):
    # Ten iterations: on Leduc, rounding grows from 1e-13 of a probability there to 1e-9 after 30.
    games = three_forms(FORMS[name])
    for variant in VARIANTS:
        runs = [
            cfr(game, variant, iterations=15, checkpoints=[10], state=generic_start(game))
            for game in games
        ]
        for run in runs[1:]:
            for field in ("average", "current", "exploitability", "payoffs"):
                np.testing.assert_allclose(
                    getattr(run, field), getattr(runs[0], field), rtol=0, atol=1e-12
                )


def walk_sums(game, profile):
    """Each slot's direct pay and, last, each player's, leaf by leaf along the histories."""
    tree, first = game.tree, game.form.first
    paid = np.zeros(game.slots + game.players)

    def walk(node, chance, own, last):
        if tree.to_move[node] == TERMINAL:
            for p in range(game.players):
                others = np.prod([own[q] for q in range(game.players) if q != p])
                paid[last[p]] += tree.payoffs[node][p] * chance * others
            return
        for action, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            child, mover = tree.child[edge], tree.to_move[node]
            if mover == CHANCE:
                walk(child, chance * tree.probability[edge], own, last)
            else:
                slot = first[tree.infoset[node]] + action
                more = [x * profile[slot] if q == mover else x for q, x in enumerate(own)]
                walk(child, chance, more, [slot if q == mover else j for q, j in enumerate(last)])

    walk(0, 1.0, [1.0] * game.players, [game.slots + p for p in range(game.players)])
    return paid


def check_slot_payoffs(game, tree_game, profile):
    reach, worth = np.ones((2, game.slots + game.players))
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, reach)
    for p in range(game.players):
        kernels.slot_payoffs(game.compiled, p, reach, worth)
    np.testing.assert_allclose(worth, walk_sums(tree_game, profile), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(game_trees(), st.integers(0, 99))
def test_slots_are_paid_what_the_leaves_after_them_pay(tree, seed):
    game = from_tree(tree)
    check_slot_payoffs(game, game, random_profile(game, seed))


@settings(deadline=None, max_examples=20)
@given(factored_rules(), st.integers(0, 99))
def test_slots_are_paid_the_same_by_blocks(rules, seed):
    blocks, rows, tree = three_forms(rules)
    profile = random_profile(tree, seed)
    check_slot_payoffs(blocks, tree, profile)
    check_slot_payoffs(rows, tree, profile)


def best_by_enumeration(game, profile, player):
    """The largest payoff over all pure strategies of a player."""
    first = game.form.first
    own = range(game.form.infoset_start[player], game.form.infoset_start[player + 1])
    best = -np.inf
    for choice in product(*(range(first[i], first[i + 1]) for i in own)):
        pure = profile.copy()
        for i, slot in zip(own, choice, strict=True):
            pure[first[i] : first[i + 1]] = 0.0
            pure[slot] = 1.0
        best = max(best, payoffs_by_recursion(game.tree, first, pure)[0][player])
    return best


@settings(deadline=None, max_examples=20)
@given(game_trees(max_depth=4, max_actions=2), st.integers(0, 99))
def test_best_payoffs_are_those_of_the_best_pure_strategies(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed)
    found = deviations(game, profile)
    paid, _ = payoffs_by_recursion(tree, game.form.first, profile)
    np.testing.assert_allclose(found.payoffs, paid, rtol=0, atol=1e-12)
    for p in range(game.players):
        if np.diff(game.form.infoset_start)[p] <= 8:
            assert found.best[p] == pytest.approx(best_by_enumeration(game, profile, p), abs=1e-12)


@settings(deadline=None, max_examples=20)
@given(game_trees(payoffs="zero_sum"), st.integers(0, 99))
def test_zero_sum_games_are_evaluated_as_any_other(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed)
    other = deviations(replace(game, zero_sum=False), profile)
    np.testing.assert_allclose(deviations(game, profile).best, other.best, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("slots", "values", "message"),
    [
        ([0], [np.nan], "finite"),
        ([0, 1], [np.inf, -np.inf], "finite"),
        ([0, 1], [1.5, -0.5], "probabilities must be >= 0"),
        ([0], [0.75], "sums to"),
    ],
)
def test_what_is_no_profile_is_refused(slots, values, message):
    game = load("kuhn_poker")
    profile = game.uniform()
    profile[slots] = values
    with pytest.raises(ValueError, match=message):
        exploitability(game, profile)


def test_probabilities_may_be_off_by_the_tolerance_and_no_more():
    game = load("kuhn_poker")
    profile = game.uniform()
    profile[0] += 0.9e-9
    assert exploitability(game, profile) == pytest.approx(
        exploitability(game, game.uniform()), abs=1e-8
    )
    profile[0] += 0.2e-9
    with pytest.raises(ValueError, match="sums to"):
        exploitability(game, profile)


@pytest.mark.parametrize("player", [2, -1, 1.5, True, "a", None])
def test_best_responses_are_refused_to_who_is_no_player(player):
    game = load("kuhn_poker")
    with pytest.raises(ValueError, match=r"player is .*; expected 0 to 1"):
        best_response(game, game.uniform(), player=player)
