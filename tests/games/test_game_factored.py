"""A game in factored form is the game that its unfolded tree is, slot by slot."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_games import factored_rules, payoffs_by_recursion, random_profile

from rltheory.games.best_response import deviations, expected_payoffs
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.random_games import RandomFactored
from rltheory.games.forms.tree import build_tree
from rltheory.games.library import FACTORED, make_rules

SMALL = [
    ("kuhn_poker", {"players": 2}),
    ("kuhn_poker", {"players": 3}),
    ("leduc_poker", {"players": 2}),
    ("liars_dice", {"sides": 3}),
    ("liars_dice", {"sides": 2, "dice": 2}),
    ("liars_dice", {"sides": 2, "players": 3}),
    ("blotto", {"coins": (2, 3)}),
    ("blotto", {"coins": 2, "players": 3, "returns": "fields"}),
    ("blotto", {"coins": (1, 2), "fields": 2, "reserves": 2}),
    ("battleship", {"ships": (1,), "shots": 2}),
    ("battleship", {"columns": 3, "ships": (2,), "shots": 1, "loss_multiplier": 3.0}),
    ("battleship", {"ships": (2, 1), "values": (1.0, 0.5), "shots": 2}),
    ("matching_pennies", {}),
    ("rock_paper_scissors", {}),
]


def both_forms(rules, blocks):
    return build_factored(rules, blocks=blocks), from_tree(build_tree(Unfolded(rules)))


def assert_same_game(factored, tree):
    for name in ("first", "parent", "infoset_start", "slot_start"):
        np.testing.assert_array_equal(getattr(factored.form, name), getattr(tree.form, name))
    assert list(factored.infoset_labels) == list(tree.infoset_labels)
    assert list(factored.action_labels) == list(tree.action_labels)
    for name in ("players", "histories", "leaves", "infosets", "zero_sum"):
        assert getattr(factored, name) == getattr(tree, name)
    np.testing.assert_array_equal(factored.payoff_range, tree.payoff_range)


def assert_same_payoffs(factored, tree, seed):
    """Payoffs agree with the recursion over histories, best responses with the tree's form.

    The tolerance: a payoff is a sum of products of at most 40 factors, each rounded, over leaves
    whose chances sum to 1, so its error is below 40 roundings times the largest payoff.
    """
    profile = random_profile(factored, seed)
    paid, total = payoffs_by_recursion(tree.tree, tree.form.first, profile)
    largest = max(1.0, np.abs(tree.tree.payoffs).max())
    np.testing.assert_allclose(total, 1, rtol=0, atol=40 * 2**-52)
    atol = 100 * 2**-52 * largest
    np.testing.assert_allclose(expected_payoffs(factored, profile), paid, rtol=0, atol=atol)
    np.testing.assert_allclose(expected_payoffs(tree, profile), paid, rtol=0, atol=atol)
    ours, theirs = deviations(factored, profile), deviations(tree, profile)
    np.testing.assert_allclose(ours.best, theirs.best, rtol=0, atol=atol)


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize(("name", "parameters"), SMALL)
def test_games_of_the_library_are_their_unfolded_trees(name, parameters, blocks):
    factored, tree = both_forms(make_rules(name, **parameters), blocks)
    assert (len(factored.form.hands) > 0) == blocks
    assert_same_game(factored, tree)
    assert_same_payoffs(factored, tree, seed=1)


def test_every_factored_game_is_among_those_compared():
    assert {name for name, _ in SMALL} == set(FACTORED)


@settings(max_examples=20, deadline=None)
@given(factored_rules(), st.booleans(), st.integers(0, 2**32 - 1))
def test_random_games_are_their_unfolded_trees(rules, blocks, seed):
    factored, tree = both_forms(rules, blocks)
    assert_same_game(factored, tree)
    assume(factored.slots)
    assert_same_payoffs(factored, tree, seed)


@pytest.mark.parametrize(
    ("name", "parameters", "deals"),
    [
        ("kuhn_poker", {"players": 4}, 120),
        ("leduc_poker", {"players": 3}, 336),
        ("liars_dice", {"sides": 4, "dice": 2}, 100),
        ("liars_dice", {"sides": 3, "dice": 1, "players": 3}, 27),
    ],
)
def test_deals_are_distributions(name, parameters, deals):
    deal = make_rules(name, **parameters).deal()
    assert np.count_nonzero(deal) == deals
    assert abs(sum(map(Fraction, deal.ravel().tolist())) - 1) < deals * Fraction(2) ** -53


def test_two_dice_are_not_told_apart():
    rules = make_rules("liars_dice", sides=3, dice=2)
    deal = dict(zip(rules.hands[0], rules.deal().sum(axis=1), strict=True))
    expected = {"11": 1, "12": 2, "13": 2, "22": 1, "23": 2, "33": 1}
    assert deal.keys() == expected.keys()
    for hand, ways in expected.items():
        assert deal[hand] == pytest.approx(ways / 9, abs=2**-52)


def test_one_player_has_no_blocks():
    """Multiplying with nobody's reaches once read beyond an array."""
    rules = RandomFactored(seed=1, players=1, hand_counts=(3,), chosen=(False,))
    with pytest.raises(ValueError, match=r"blocks is True for a game of one player"):
        build_factored(rules, blocks=True)
    assert not len(build_factored(rules).form.hands)
