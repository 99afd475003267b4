"""Trees, their sequence form, and factored rules: what is refused, and how profiles are read."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.random_games import RandomFactored
from rltheory.games.forms.tree import CHANCE, TERMINAL, TreeBuilder, build_tree
from rltheory.games.library import load


@dataclass(frozen=True)
class Given:
    """Rules read from a table: state -> (mover, {move: next state}, chances or payoffs)."""

    states: dict[str, tuple[int, dict[str, str], Any]]
    players: int = 2
    sets: dict[str, str] = field(default_factory=dict)

    def start(self):
        return "root"

    def to_move(self, state):
        return self.states[state][0]

    def actions(self, state):
        return list(self.states[state][1])

    def after(self, state, action):
        return self.states[state][1][action]

    def probabilities(self, state):
        return self.states[state][2]

    def information(self, state):
        return self.sets.get(state, state)

    def payoffs(self, state):
        return self.states[state][2]


def leaf(*payoffs):
    return (TERMINAL, {}, payoffs)


COIN = {
    "root": (CHANCE, {"heads": "h", "tails": "t"}, [0.25, 0.75]),
    "h": (0, {"stop": "h0", "go": "hg"}, None),
    "t": (0, {"stop": "t0", "go": "tg"}, None),
    "hg": (1, {"left": "hl", "right": "hr"}, None),
    "tg": (1, {"left": "tl", "right": "tr"}, None),
    "h0": leaf(1.0, -1.0),
    "t0": leaf(-1.0, 1.0),
    "hl": leaf(3.0, -3.0),
    "hr": leaf(0.0, 0.0),
    "tl": leaf(-2.0, 2.0),
    "tr": leaf(4.0, -4.0),
}
HIDDEN = {"hg": "unknown", "tg": "unknown"}


def test_a_tree_is_numbered_depth_first():
    tree = build_tree(Given(COIN, sets=HIDDEN))
    assert tree.to_move.tolist() == [CHANCE, 0, -2, 1, -2, -2, 0, -2, 1, -2, -2]
    assert tree.infoset.tolist() == [-1, 0, -1, 2, -1, -1, 1, -1, 2, -1, -1]
    assert tree.infoset_labels == ("h", "t", "unknown")
    assert tree.action_labels == (("stop", "go"), ("stop", "go"), ("left", "right"))
    assert tree.child[tree.first_child[0] : tree.first_child[1]].tolist() == [1, 6]
    assert tree.probability[tree.first_child[0] : tree.first_child[1]].tolist() == [0.25, 0.75]
    assert tree.payoffs[[2, 4, 10], 0].tolist() == [1, 3, 4]
    assert (tree.nodes, tree.leaves) == (11, 6)
    with pytest.raises(ValueError, match="read-only"):
        tree.payoffs[0] = 1


def test_the_sequence_form_of_a_small_tree():
    """All numbers by hand: six slots, the empty sequences 6 and 7."""
    game = from_tree(build_tree(Given(COIN, sets=HIDDEN)), "coin")
    form = game.form
    assert form.first.tolist() == [0, 2, 4, 6]
    assert form.parent.tolist() == [6, 6, 7]
    assert [game.sequences(p) for p in range(2)] == [5, 3]
    rows = {
        slot: {
            tuple(form.others[k].tolist()): float(form.values[k])
            for k in range(form.row_start[slot], form.row_start[slot + 1])
        }
        for slot in range(8)
    }
    assert rows[0] == {(7,): 0.25}
    assert rows[1] == {(4,): 0.75, (5,): 0.0}
    assert rows[2] == {(7,): -0.75}
    assert rows[3] == {(4,): -1.5, (5,): 3.0}
    assert rows[4] == {(1,): -0.75, (3,): 1.5}
    assert rows[5] == {(1,): 0.0, (3,): -3.0}
    assert rows[6] == {}
    assert rows[7] == {(0,): -0.25, (2,): 0.75}
    assert game.zero_sum
    assert game.payoff_range.tolist() == [6, 6]


def test_leaves_with_the_same_sequences_merge():
    states = {
        "root": (CHANCE, {"a": "x", "b": "y"}, [0.5, 0.5]),
        "x": (0, {"l": "xl", "r": "xr"}, None),
        "y": (0, {"l": "yl", "r": "yr"}, None),
        "xl": leaf(1.0, 0.0),
        "xr": leaf(2.0, 0.0),
        "yl": leaf(3.0, 5.0),
        "yr": leaf(4.0, 0.0),
    }
    game = from_tree(build_tree(Given(states, sets={"x": "same", "y": "same"})))
    assert game.leaves == 4
    assert not game.zero_sum
    own = game.form.values[game.form.row_start[0] : game.form.row_start[1]]
    assert own.tolist() == [2.0]


def changed(**states):
    return Given({**COIN, **states}, sets=HIDDEN)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (changed(h=(0, {}, None)), "node 1 has no action"),
        (changed(root=(CHANCE, {}, [])), "node 0 has no action"),
        (changed(root=(CHANCE, COIN["root"][1], [0.25, 0.5])), "chances at node 0 sum to 0.75"),
        (changed(root=(CHANCE, COIN["root"][1], [0.25, 0.25, 0.5])), "are 3 for 2 moves"),
        (changed(root=(CHANCE, COIN["root"][1], [1.5, -0.5])), "probability -0.5"),
        (changed(root=(CHANCE, COIN["root"][1], [np.nan, 0.5])), "probability.* is nan"),
        (changed(h=(2, COIN["h"][1], None)), "player 2 moves at node 1; expected 0 to 1"),
        (changed(h=(-3, COIN["h"][1], None)), "player -3 moves at node 1"),
        (changed(h0=leaf(1.0)), "payoffs at node 2 are for 1 players; expected 2"),
        (changed(h0=leaf(np.inf, 0.0)), "payoffs.* is inf"),
        (
            changed(tg=(1, {"left": "tl"}, None)),
            "'unknown' of player 1 has 2 actions at one node and 1 at another",
        ),
        (Given(COIN, players=0), "players is 0"),
    ],
)
def test_rules_that_make_no_game(rules, message):
    with pytest.raises(ValueError, match=message):
        build_tree(rules)


def test_forgetting_an_own_move_is_named():
    states = {
        "root": (0, {"l": "a", "r": "b"}, None),
        "a": (0, {"l": "z", "r": "z"}, None),
        "b": (0, {"l": "z", "r": "z"}, None),
        "z": leaf(0.0, 0.0),
    }
    with pytest.raises(ValueError, match="'dark' of player 0 is reached after different own moves"):
        from_tree(build_tree(Given(states, sets={"a": "dark", "b": "dark"})))
    # Absent-minded: a set that is met twice on one path.
    once_more = {"root": (0, {"l": "a", "r": "z"}, None), "a": states["a"], "z": states["z"]}
    with pytest.raises(ValueError, match="expected perfect recall"):
        from_tree(build_tree(Given(once_more, sets={"root": "dark", "a": "dark"})))


def test_builders_refuse_broken_trees():
    with pytest.raises(ValueError, match="no node"):
        TreeBuilder(2).finish()
    builder = TreeBuilder(2)
    builder.chance(-1, 1.0, 2)
    builder.leaf(0, 1.0, [0, 0])
    with pytest.raises(ValueError, match="fewer or more children"):
        builder.finish()
    with pytest.raises(ValueError, match="only the first node has no parent"):
        builder.leaf(-1, 1.0, [0, 0])


def test_a_game_may_be_a_single_leaf():
    game = from_tree(build_tree(Given({"root": leaf(1.0, 2.0)})))
    assert (game.infosets, game.slots, game.histories, game.leaves) == (0, 0, 1, 1)
    assert game.uniform().shape == (0,)
    assert game.strategy_table([]) == [{}] * game.players


def test_profiles_are_checked_and_read():
    game = from_tree(build_tree(Given(COIN, sets=HIDDEN)))
    profile = game.uniform()
    assert game.strategy_table(profile)[1]["unknown"] == {"left": 0.5, "right": 0.5}
    profile[4:] = [0.7, 0.7]
    with pytest.raises(ValueError, match=r"set 'unknown' sums to 1.4; expected 1"):
        game.check_strategies(profile)
    profile[4:] = [1.5, -0.5]
    with pytest.raises(ValueError, match=r"'right' at information set 'unknown' with .* -0.5"):
        game.check_strategies(profile)
    profile[4] = np.nan
    with pytest.raises(ValueError, match="nan"):
        game.check_strategies(profile)
    with pytest.raises(ValueError, match="shape"):
        game.check_strategies(profile[:-1])


@dataclass(frozen=True)
class Broken(RandomFactored):
    """Random factored rules with one thing wrong."""

    fault: str = ""

    def deal(self):
        deal = super().deal()
        if self.fault == "deal":
            return deal / 2
        return deal - np.eye(*deal.shape) if self.fault == "negative" else deal

    def to_move(self, path):
        if self.fault in ("likelihoods", "count") and not path:
            return CHANCE
        return 0 if not path else TERMINAL

    def actions(self, path):
        return [] if self.fault == "stuck" else [0, 1]

    def likelihoods(self, path):
        if self.fault == "count":
            return [np.ones((1, 1))]
        return [np.full((1, 1), 0.5), np.full((1, 1), 0.4)]

    def payoffs(self, path):
        payoffs = super().payoffs(path)
        return np.full(payoffs.shape, np.inf) if self.fault == "payoffs" else payoffs


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("deal", "the deal sums to 0.5; expected 1"),
        ("negative", "the deal"),
        ("likelihoods", r"likelihoods at state \(\) do not sum to 1"),
        ("count", r"likelihoods at state \(\) do not sum to 1"),
        ("stuck", r"state \(\) has no action"),
        ("payoffs", "payoffs at state .* are not finite"),
    ],
)
def test_factored_rules_that_make_no_game(fault, message):
    rules = Broken(seed=1)
    assert build_factored(rules).infosets == 3
    with pytest.raises(ValueError, match=message):
        build_factored(replace(rules, fault=fault))


def test_labels_of_factored_games_are_sequences():
    game = load("kuhn_poker", players=2)
    labels = list(game.infoset_labels)
    assert len(game.infoset_labels) == len(labels) == 12
    assert game.infoset_labels[2:5] == labels[2:5]
    assert game.infoset_labels[-1] == labels[-1]
    assert game.action_labels[-1] == ("p", "b")
    assert game.action_labels[:2] == [("p", "b")] * 2
    with pytest.raises(IndexError):
        game.infoset_labels[12]
