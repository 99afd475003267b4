"""What is known of the games: values, symmetries, and payoffs worked out by hand."""

from fractions import Fraction

import numpy as np
import pytest
from strategies_games import random_profile

from rltheory.games.best_response import expected_payoffs, exploitability
from rltheory.games.forms.tree import CHANCE, TERMINAL, build_tree
from rltheory.games.library import load, make_rules
from rltheory.games.regret.cfr import cfr
from rltheory.games.rules.goofspiel import Goofspiel


def play(rules, *moves):
    state = rules.start()
    for move in moves:
        assert move in list(rules.actions(state)), (move, rules.actions(state))
        state = rules.after(state, move)
    return state


def profile_of(game, choose):
    """A profile from `choose(label, actions) -> probabilities`."""
    return np.concatenate(
        [
            choose(label, actions)
            for label, actions in zip(game.infoset_labels, game.action_labels, strict=True)
        ]
    )


@pytest.mark.parametrize("alpha", [Fraction(0), Fraction(1, 6), Fraction(1, 3)])
def test_kuhns_equilibria_pay_one_eighteenth(alpha):
    """The family of Kuhn (1950): no profitable deviation, and the first player loses 1/18."""
    bets = {
        "0 ": alpha, "1 ": 0, "2 ": 3 * alpha,  # first move
        "0 pb": 0, "1 pb": alpha + Fraction(1, 3), "2 pb": 1,
        "0 p": Fraction(1, 3), "1 p": 0, "2 p": 1,
        "0 b": 0, "1 b": Fraction(1, 3), "2 b": 1,
    }  # fmt: skip
    game = load("kuhn_poker", players=2)

    def choose(label, actions):
        bet = bets[label if " " in label else label + " "]
        return [float(1 - bet), float(bet)]

    profile = profile_of(game, choose)
    # 30 leaves, payoffs up to 2: rounding stays below 100 units in the last place.
    assert exploitability(game, profile) <= 100 * 2**-52
    np.testing.assert_allclose(
        expected_payoffs(game, profile), [-1 / 18, 1 / 18], rtol=0, atol=100 * 2**-52
    )


def test_leduc_showdowns():
    rules = make_rules("leduc_poker", players=2)
    cards = rules.cards
    # Both raise twice before the flop and twice after: 1 + 2 * 2 + 2 * 4 each.
    table = play(rules, "raise", "raise", "call", "Js", "raise", "raise", "call")
    assert rules.to_move(table) == TERMINAL
    payoffs = rules.payoffs(table)

    def paid(first, second):
        return payoffs[:, cards.index(first), cards.index(second)].tolist()

    assert paid("Jh", "Ks") == [13, -13]
    assert paid("Qh", "Ks") == [-13, 13]
    assert paid("Ks", "Kh") == [0, 0]
    folded = play(rules, "call", "raise", "fold")
    assert rules.to_move(folded) == TERMINAL
    assert np.all(rules.payoffs(folded)[0] == -1)
    # No third raise; no fold with nothing to call.
    assert rules.actions(play(rules, "raise", "raise")) == ("fold", "call")
    assert rules.actions(rules.start()) == ("call", "raise")
    assert rules.to_move(play(rules, "call", "call")) == CHANCE


def test_leduc_for_three_goes_on_without_those_who_folded():
    rules = make_rules("leduc_poker", players=3)
    table = play(rules, "call", "raise", "fold", "call", "As")
    assert rules.to_move(table) == 0
    assert rules.to_move(play(rules, "raise", "fold", "fold")) == TERMINAL
    end = play(rules, "call", "raise", "fold", "call", "As", "call", "call")
    assert rules.to_move(end) == TERMINAL
    cards = [rules.cards.index(card) for card in ("Ks", "Kh", "Ah")]
    np.testing.assert_array_equal(rules.payoffs(end)[(slice(None), *cards)], [0.5, 0.5, -1.0])


@pytest.mark.parametrize(
    ("bid", "hands", "stands"),
    [
        ("2x2", ("2", "2"), True),
        ("2x2", ("2", "1"), False),
        ("2x2", ("2", "4"), True),  # 4 is wild
        ("2x1", ("4", "4"), True),
        ("2x4", ("4", "3"), False),
        ("1x3", ("1", "3"), True),
    ],
)
def test_calling_a_liar(bid, hands, stands):
    rules = make_rules("liars_dice", sides=4)
    end = play(rules, bid, "liar")
    at = tuple(rules.hands[p].index(hand) for p, hand in enumerate(hands))
    sign = 1 if stands else -1
    assert rules.payoffs(end)[(slice(None), *at)].tolist() == [sign, -sign]


def test_bids_rise_and_only_bids_are_called():
    rules = make_rules("liars_dice", sides=3)
    assert rules.actions(rules.start()) == ("1x1", "1x2", "1x3", "2x1", "2x2", "2x3")
    assert rules.actions(play(rules, "1x3")) == ("2x1", "2x2", "2x3", "liar")
    assert rules.actions(play(rules, "1x3", "2x3")) == ("liar",)
    three = make_rules("liars_dice", sides=2, players=3)
    end = play(three, "1x1", "1x2", "2x1", "2x2", "liar")
    payoffs = three.payoffs(end)
    assert np.all(payoffs[2] == 0)
    assert np.all(np.abs(payoffs[:2]) == 1)


@pytest.mark.parametrize("imperfect", [True, False])
def test_goofspiel_tells_what_it_should(imperfect):
    rules = Goofspiel(4, imperfect=imperfect)
    tied, won = play(rules, 2, 2), play(rules, 2, 1)
    higher = play(rules, 3, 1)
    assert rules.information(tied) != rules.information(won)
    # The second player sees the first player's lost bid only with perfect information.
    second = [rules.information(rules.after(state, 4)) for state in (won, higher)]
    assert (second[0] == second[1]) == imperfect
    # A bid of the same round is seen by nobody.
    assert rules.information(play(rules, 2)) == rules.information(play(rules, 4))


def test_goofspiel_by_hand():
    rules = Goofspiel(3, returns="point_difference")
    # Prizes 3, 2, 1: a tie, then the second takes 2, and the forced last bids give the first 1.
    end = play(rules, 2, 2, 1, 3)
    assert rules.to_move(end) == TERMINAL
    assert rules.payoffs(end) == (-0.5, 0.5)
    assert Goofspiel(3).payoffs(end) == (-1.0, 1.0)
    assert Goofspiel(3, returns="total_points").payoffs(end) == (1.0, 2.0)
    three = Goofspiel(2, players=3)
    assert three.payoffs(play(three, 2, 2, 1)) == (-0.5, -0.5, 1.0)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("goofspiel", {"cards": 4}),
        ("goofspiel", {"cards": 3, "points": "random"}),
        ("blotto", {"coins": 4}),
        ("blotto", {"coins": 3, "players": 3, "returns": "fields"}),
        ("rock_paper_scissors", {}),
    ],
)
def test_symmetric_games_pay_all_players_alike_under_uniform_play(name, parameters):
    game = load(name, **parameters)
    paid = expected_payoffs(game, game.uniform())
    np.testing.assert_allclose(paid, 0, rtol=0, atol=1e-13)


def test_a_larger_army_is_worth_more():
    game = load("blotto", coins=(3, 5))
    assert expected_payoffs(game, game.uniform())[0] < -0.1
    rules = make_rules("blotto", coins=(2, 3), fields=2, reserves=1)
    end = play(rules, 0, 1)
    at = rules.hands[0].index("1-1"), rules.hands[1].index("2-1")
    # 2-1 against 2-2: the first field is tied, the second player takes the other.
    assert rules.payoffs(end)[(slice(None), *at)].tolist() == [-1, 1]


def test_battleship_by_hand():
    rules = make_rules("battleship", ships=(2,), shots=3, values=(5.0,), loss_multiplier=2.0)
    fired = play(rules, "a1", "hit", "a1", "water", "b1", "sunk")
    assert rules.to_move(fired) == TERMINAL
    at = rules.hands[0].index("a2-b2"), rules.hands[1].index("a1-b1")
    assert rules.payoffs(fired)[(slice(None), *at)].tolist() == [5, -10]
    assert list(rules.actions(play(rules, "a1", "hit", "a1", "water"))) == ["b1", "a2", "b2"]
    sizes = [(1, 4), (2, 4)]
    for length, count in sizes:
        assert len(make_rules("battleship", ships=(length,)).fleets) == count
    assert len(make_rules("battleship", columns=3, ships=(2,)).fleets) == 7
    # Two ships on four cells: 4 places for the long one, 2 left for the short one.
    assert len(make_rules("battleship", ships=(2, 1)).fleets) == 8


def test_dark_hex_is_won_by_joining_the_own_sides():
    rules = make_rules("dark_hex")
    assert rules.payoffs(play(rules, "a1", "b1", "a2")) == (1.0, -1.0)
    assert rules.payoffs(play(rules, "a1", "b1", "b2", "a2")) == (-1.0, 1.0)
    tried = play(rules, "a1", "a1")
    assert rules.to_move(tried) == 1
    assert rules.information(tried) == "1:a1? 2:"
    abrupt = make_rules("dark_hex", version="abrupt", count_seen=False)
    tried = play(abrupt, "a1", "a1")
    assert abrupt.to_move(tried) == 0
    assert abrupt.information(tried) == "a1"


@pytest.mark.parametrize("version", ["classical", "abrupt"])
def test_dark_hex_keeps_perfect_recall_whether_or_not_tries_are_counted(version):
    seen = load("dark_hex", version=version)
    hidden = load("dark_hex", version=version, count_seen=False)
    assert hidden.histories == seen.histories
    assert hidden.infosets <= seen.infosets


@pytest.mark.slow
def test_tic_tac_toe_has_its_known_size_and_value():
    """255,168 games of 549,946 histories; with best play a draw."""
    game = load("tic_tac_toe")
    assert (game.histories, game.leaves, game.infosets) == (549946, 255168, 294778)
    tree = game.tree
    value = tree.payoffs[:, 0].copy()
    parent = np.full(tree.nodes, -1)
    parent[tree.child] = np.repeat(np.arange(tree.nodes), np.diff(tree.first_child))
    value[tree.to_move == 0] = -np.inf
    value[tree.to_move == 1] = np.inf
    for node in range(tree.nodes - 1, 0, -1):
        best = max if tree.to_move[parent[node]] == 0 else min
        value[parent[node]] = best(value[parent[node]], value[node])
    assert value[0] == 0


def test_tic_tac_toe_ends_with_three_in_a_row():
    rules = make_rules("tic_tac_toe")
    for line in (("a1", "b1", "c1"), ("a1", "a2", "a3"), ("a1", "b2", "c3"), ("c1", "b2", "a3")):
        others = [cell for cell in ("b3", "c2", "b1", "a2") if cell not in line]
        end = play(rules, line[0], others[0], line[1], others[1], line[2])
        assert rules.to_move(end) == TERMINAL
        assert rules.payoffs(end) == (1.0, -1.0)


@pytest.mark.parametrize(
    ("name", "value"), [("matching_pennies", 0.0), ("rock_paper_scissors", 0.0)]
)
def test_uniform_play_is_the_equilibrium_of_the_one_shot_games(name, value):
    game = load(name)
    assert exploitability(game, game.uniform()) <= 2**-50
    assert expected_payoffs(game, game.uniform())[0] == pytest.approx(value, abs=2**-50)
    with pytest.raises(ValueError, match="the game is over"):
        make_rules(name).after("", "heads")


def test_cfr_finds_leducs_value():
    """About -0.0856 for the first player, as OpenSpiel's solvers find too."""
    game = load("leduc_poker")
    run = cfr(game, "cfr_plus", iterations=1000, checkpoints=1)
    gap = run.exploitability[-1]
    assert gap < 1e-3
    # In a zero-sum game a profile's payoff is within NashConv of the value.
    assert abs(run.payoffs[-1][0] + 0.0856) <= 2 * gap + 5e-5


def test_profiles_of_one_form_are_profiles_of_the_other():
    tree = load("leduc_poker", form="tree")
    game = load("leduc_poker")
    profile = random_profile(game, seed=5)
    assert tree.strategy_table(profile) == game.strategy_table(profile)


def test_trees_are_built_alike_twice():
    first, second = (build_tree(Goofspiel(4)) for _ in range(2))
    np.testing.assert_array_equal(first.child, second.child)
    np.testing.assert_array_equal(first.infoset, second.infoset)
