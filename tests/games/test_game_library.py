"""Games by name: what exists, what is refused, and the suite."""

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st
from strategies_games import payoffs_by_recursion, random_profile

from rltheory.games.best_response import expected_payoffs
from rltheory.games.library import (
    FACTORED,
    SUITE,
    game_names,
    game_parameters,
    load,
    make_rules,
    rules_parameters,
    suite_table,
)

# Small parameters of every game, to build all of them quickly.
SMALLEST = {
    "battleship": {"shots": 1},
    "blotto": {"coins": 2},
    "dark_hex": {},
    "goofspiel": {"cards": 3},
    "kuhn_poker": {},
    "leduc_poker": {},
    "liars_dice": {"sides": 3},
    "matching_pennies": {},
    "rock_paper_scissors": {},
    "tic_tac_toe": None,
}


def test_the_names_of_the_manual_work():
    assert load("kuhn_poker", players=3).players == 3
    assert load("leduc_poker", players=2).infosets == 936
    assert load("liars_dice", sides=5, dice=1, players=2).infosets == 5120
    goofspiel = load("goofspiel", cards=4, imperfect=True, points="descending")
    assert goofspiel.infosets == 162
    assert goofspiel.name.startswith("goofspiel(cards=4, imperfect=True, points='descending'")


def test_every_game_is_tried():
    assert sorted(SMALLEST) == game_names()


@pytest.mark.parametrize("name", [name for name, small in SMALLEST.items() if small is not None])
def test_every_game_pays_what_its_histories_pay(name):
    tree = load(name, form="tree", **SMALLEST[name])
    game = load(name, **SMALLEST[name])
    assert (game.tree is None) == (name in FACTORED)
    assert game.players == tree.players
    profile = random_profile(game, seed=3)
    paid, total = payoffs_by_recursion(tree.tree, tree.form.first, profile)
    # Products of at most 40 factors of leaves whose chances sum to 1, payoffs below 16.
    assert abs(total - 1) <= 40 * 2**-52
    np.testing.assert_allclose(expected_payoffs(game, profile), paid, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", game_names())
def test_the_parameters_listed_are_those_of_the_rules(name):
    assert rules_parameters(make_rules(name)) == game_parameters(name)


def test_rules_are_values():
    assert make_rules("liars_dice", sides=4) == make_rules("liars_dice", sides=4)
    assert hash(make_rules("goofspiel")) == hash(make_rules("goofspiel"))
    with pytest.raises(AttributeError):
        make_rules("kuhn_poker").players = 3


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("kuhn", {}, "no game 'kuhn'.*mean 'kuhn_poker'.*leduc_poker"),
        ("bridge", {}, "no game .bridge.; the games are: battleship"),
        ("", {}, "no game ''"),
        ("kuhn_poker", {"player": 2}, "no parameter 'player'.*mean 'players'.*are: players"),
        ("matching_pennies", {"players": 2}, "its parameters are: none"),
        ("goofspiel", {"form": "factored"}, "only the form 'tree'.*kuhn_poker"),
        ("kuhn_poker", {"form": "normal"}, "form is 'normal'; expected 'factored' or 'tree'"),
        ("kuhn_poker", {"players": 0}, "players is 0; expected an integer from 2 to 5"),
        ("kuhn_poker", {"players": 1}, "players is 1"),
        ("kuhn_poker", {"players": True}, "players is True"),
        ("kuhn_poker", {"players": "two"}, "players is 'two'"),
        ("kuhn_poker", {"players": 2.5}, "players is 2.5"),
        ("kuhn_poker", {"players": float("nan")}, "players is nan"),
        ("kuhn_poker", {"players": 2.0}, "players is 2.0; expected an integer"),
        ("kuhn_poker", {"players": (2,)}, "players is"),
        ("leduc_poker", {"players": 4}, "players is 4; expected an integer from 2 to 3"),
        ("leduc_poker", {"players": None}, "players is None"),
        ("liars_dice", {"sides": 1}, "sides is 1"),
        ("liars_dice", {"dice": 0}, "dice is 0"),
        ("liars_dice", {"sides": 6, "dice": 2}, r"players \* dice \* sides is 24"),
        ("goofspiel", {"cards": 1}, "cards is 1"),
        ("goofspiel", {"cards": 7}, "cards = 7.*leaves; expected at most 2e"),
        ("goofspiel", {"cards": 6, "points": "random"}, "points = 'random' make"),
        ("goofspiel", {"points": "up"}, "points is 'up'; expected one of 'descending'"),
        ("goofspiel", {"points": ["random"]}, "points is"),
        ("goofspiel", {"returns": "money"}, "returns is 'money'; expected one of 'win_loss'"),
        ("goofspiel", {"imperfect": 1}, "imperfect is 1; expected True or False"),
        ("blotto", {"coins": -1}, "coins is -1"),
        ("blotto", {"coins": (1, 2, 3)}, r"coins is \(1, 2, 3\); expected 2 integers"),
        ("blotto", {"coins": (1, -2)}, r"coins\[1\] is -2"),
        ("blotto", {"coins": np.ones(2)}, "coins is array"),
        ("blotto", {"coins": 100, "fields": 10}, "combinations of armies"),
        ("blotto", {"fields": 0}, "fields is 0"),
        ("blotto", {"players": 1}, "players is 1"),
        ("blotto", {"reserves": -1}, "reserves is -1"),
        ("blotto", {"returns": "draw"}, "returns is 'draw'"),
        ("battleship", {"rows": 0}, "rows is 0"),
        ("battleship", {"columns": 5}, "columns is 5"),
        ("battleship", {"ships": ()}, r"ships is \(\)"),
        ("battleship", {"ships": 2}, "ships is 2"),
        ("battleship", {"ships": (3,)}, r"ships\[0\] is 3"),
        ("battleship", {"ships": (2, 2, 1)}, "they do not fit on 2 x 2 cells"),
        ("battleship", {"values": (1.0, 2.0)}, r"values is \(1.0, 2.0\)"),
        ("battleship", {"values": (-1.0,)}, r"values\[0\] is -1"),
        ("battleship", {"values": (float("nan"),)}, r"values\[0\] is nan"),
        ("battleship", {"values": 1.0}, "values is 1.0; expected one number for each ship"),
        ("battleship", {"shots": 0}, "shots is 0"),
        ("battleship", {"shots": 5}, "shots is 5"),
        ("battleship", {"loss_multiplier": -1}, "loss_multiplier is -1"),
        ("battleship", {"loss_multiplier": float("inf")}, "loss_multiplier is inf"),
        ("dark_hex", {"rows": 1}, "rows is 1"),
        ("dark_hex", {"rows": 3, "columns": 3}, r"rows \* columns is 9"),
        ("dark_hex", {"version": "new"}, "version is 'new'"),
        ("dark_hex", {"count_seen": None}, "count_seen is None"),
    ],
)
def test_what_does_not_exist_or_makes_no_sense_is_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        load(name, **parameters)


COUNTS = st.sampled_from([2, 3, 2, 3, 1, 0])
ANY_PARAMETERS = {
    "battleship": {
        "rows": COUNTS,
        "columns": COUNTS,
        "ships": st.lists(st.integers(1, 2), min_size=1, max_size=2),
        "shots": st.integers(1, 2),
        "loss_multiplier": st.sampled_from([0.0, 1.0, 3.0]),
    },
    "blotto": {
        "coins": COUNTS | st.lists(COUNTS, min_size=2, max_size=2),
        "fields": COUNTS,
        "players": COUNTS,
        "reserves": st.integers(0, 1),
        "returns": st.sampled_from(["majority", "fields"]),
    },
    "kuhn_poker": {"players": COUNTS},
    "liars_dice": {"sides": COUNTS, "dice": st.integers(0, 2), "players": COUNTS},
}


@settings(deadline=None, max_examples=20)
@given(st.data(), st.sampled_from(sorted(ANY_PARAMETERS)))
def test_any_parameters_make_a_sound_game_or_are_refused(data, name):
    drawn = {key: data.draw(values, key) for key, values in ANY_PARAMETERS[name].items()}
    rules = None
    try:
        rules = make_rules(name, **drawn)
    except ValueError as error:
        named = [key for key in drawn if key in str(error)]
    else:
        named = [*drawn]
    assert named
    event(f"{name} {'refused' if rules is None else 'made'}")
    if rules is None:
        return
    hash(rules)
    sizes = [len(hands) for hands in rules.hands]
    deal = np.broadcast_to(rules.deal(), sizes)
    dealt = tuple(p for p, chosen in enumerate(rules.chosen) if not chosen)
    np.testing.assert_allclose(deal.sum(axis=dealt), 1, rtol=0, atol=deal.size * 2**-52)
    assume(np.prod(sizes) <= 100)
    game = load(name, **drawn)
    assume(game.histories <= 3000)
    tree = load(name, form="tree", **drawn)
    profile = random_profile(game, seed=0)
    paid, _ = payoffs_by_recursion(tree.tree, tree.form.first, profile)
    np.testing.assert_allclose(expected_payoffs(game, profile), paid, rtol=0, atol=1e-12)


def test_lists_are_taken_for_tuples():
    assert make_rules("blotto", coins=[6, 10]) == make_rules("blotto", coins=(6, 10))
    ships = {"ships": [1, 2], "values": [1.0, 2.0]}
    assert hash(make_rules("battleship", **ships)) == hash(
        make_rules("battleship", ships=(1, 2), values=(1.0, 2.0))
    )


def test_the_suite_has_18_games_of_five_kinds():
    assert len(SUITE) == len({entry.title for entry in SUITE}) == 18
    roles = [entry.role for entry in SUITE]
    assert roles.count("training") == roles.count("test") == 4
    assert roles.count("paper") == 3
    assert len({entry.name for entry in SUITE}) == 6
    assert len({(entry.name, tuple(entry.parameters.items())) for entry in SUITE}) == 18


def test_sizes_of_the_suite():
    """Leaves are counted by hand: deals times orders of bids, bets, tries."""
    rows = {row.title: row for row in suite_table()}
    assert list(rows) == [entry.title for entry in SUITE]
    for row in rows.values():
        assert row.players == len(row.sequences)
        assert row.histories > row.leaves > 0
    # Players have n! orders of cards; with drawn prizes nature has too.
    for cards, leaves in ((3, 36), (4, 576), (5, 14400)):
        assert rows[f"Goofspiel, {cards} cards"].leaves == leaves
    assert rows["Goofspiel, 4 cards drawn"].leaves == 24**3
    # Every set of bids but the empty one can be called: 2^bids - 1, for each roll.
    for sides in (4, 5, 6):
        row = rows[f"Liar's Dice, {sides} sides"]
        assert row.leaves == sides**2 * (2 ** (2 * sides) - 1)
        assert row.infosets == sides * 2 ** (2 * sides)
    assert rows["Liar's Dice, 3 players"].leaves == 4**3 * (2**12 - 1)
    assert rows["Liar's Dice, 2 dice"].leaves == 10**2 * (2**16 - 1)
    # All pass, or the first bet is one of n and n - 1 players answer it: n 2^(n - 1) + 1.
    for n, deals in ((2, 6), (3, 24), (4, 120)):
        assert rows[f"Kuhn, {n} players"].leaves == deals * (n * 2 ** (n - 1) + 1)
        assert rows[f"Kuhn, {n} players"].infosets == (n + 1) * n * 2 ** (n - 1)
    assert rows["Blotto, 6 against 10"].leaves == 28 * 66
    assert rows["Blotto, reserves"].leaves == 21 * 28 * 3**4
    # The suite stays small enough to run in minutes.
    assert max(row.leaves for row in rows.values()) < 10_000_000
