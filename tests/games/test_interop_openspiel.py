"""Games to OpenSpiel: its own best responses find our exploitability, and the game comes back."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees, random_profile

from rltheory.games import (
    MatrixGame,
    TreeBuilder,
    deviations,
    exploitability,
    from_tree,
    load,
    normal_form,
)
from rltheory.games.interop.openspiel import from_openspiel, to_openspiel

pyspiel = pytest.importorskip("pyspiel")


def their_policy(theirs, game, profile):
    """A profile as OpenSpiel's policy; its `efg_game` numbers each player's sets as ours are."""
    actions, stack = {}, [theirs.new_initial_state()]
    while stack:
        state = stack.pop()
        if not state.is_terminal() and not state.is_chance_node():
            actions[state.information_state_string()] = state.legal_actions()
        stack.extend(state.child(action) for action in state.legal_actions())
    owner, first, table = game.owner(), game.form.first, {}
    for i, label in enumerate(game.infoset_labels):
        player = int(owner[i])
        name = f"{player}-{player}-{i - int(game.form.infoset_start[player]) + 1}-{label}"
        row = profile[first[i] : first[i + 1]].tolist()
        table[name] = list(zip(actions[name], row, strict=True))
    assert len(table) == len(actions)
    return pyspiel.TabularPolicy(table)


def uneven(tree, seed):
    """The tree with payoffs that are no short binary fractions."""
    scale = np.random.default_rng(seed).choice([1 / 3, 0.1, 1e-7, np.pi])
    return replace(tree, payoffs=tree.payoffs * scale)


@given(tree=game_trees(), seed=st.integers(0, 100))
@settings(max_examples=15, deadline=None)
def test_games_come_back_with_the_same_tree(tree, seed):
    tree = uneven(tree, seed)
    back = from_openspiel(to_openspiel(from_tree(tree))).tree
    for name in ("to_move", "infoset", "first_child", "child", "payoffs", "infoset_start"):
        assert np.array_equal(getattr(back, name), getattr(tree, name)), name
    # Chances are divided by their sum, so that as fractions they sum to 1.
    np.testing.assert_allclose(back.probability, tree.probability, rtol=1e-15, atol=0)
    assert back.action_labels == tree.action_labels
    number = np.arange(len(back.infoset_labels))
    owner = np.searchsorted(tree.infoset_start, number, side="right") - 1
    assert back.infoset_labels == tuple(
        f"{p}-{p}-{i - tree.infoset_start[p] + 1}-{label}"
        for i, p, label in zip(number, owner, tree.infoset_labels, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("kuhn_poker", {"players": 2}),
        ("kuhn_poker", {"players": 3}),
        ("leduc_poker", {}),
        ("goofspiel", {"cards": 3}),
    ],
)
def test_openspiel_finds_our_exploitability(name, parameters):
    game = load(name, form="tree", **parameters)
    theirs = to_openspiel(game)
    for seed in range(2):
        profile = random_profile(game, seed)
        policy = their_policy(theirs, game, profile)
        found = pyspiel.nash_conv(theirs, policy) / game.players
        assert exploitability(game, profile) == pytest.approx(found, abs=1e-12)
        # The factored form of the game has the same slots.
        assert exploitability(load(name, **parameters), profile) == pytest.approx(found, abs=1e-12)


def test_openspiel_knows_a_zero_sum_game_from_another():
    game = load("kuhn_poker", players=2, form="tree")
    assert to_openspiel(game).get_type().utility == pyspiel.GameType.Utility.ZERO_SUM
    payoffs = game.tree.payoffs + np.array([1.0, 0.0])
    paid = from_tree(replace(game.tree, payoffs=payoffs * (game.tree.to_move == -2)[:, None]))
    assert to_openspiel(paid).get_type().utility != pyspiel.GameType.Utility.ZERO_SUM


@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 1), (2, 3, 2)])
def test_games_in_normal_form_come_back_bit_for_bit(shape):
    rng = np.random.default_rng(len(shape))
    game = MatrixGame(rng.normal(size=(len(shape), *shape)))
    theirs = to_openspiel(game)
    assert isinstance(theirs, pyspiel.MatrixGame) == (len(shape) == 2)
    back = normal_form(from_openspiel(theirs))
    assert back.payoffs.tobytes() == game.payoffs.tobytes()
    profile = [rng.dirichlet(np.ones(count)) for count in shape]
    slots = np.concatenate(profile)
    ours = deviations(from_openspiel(theirs), slots).payoffs
    assert ours == pytest.approx(game.expected_payoffs(profile), abs=1e-12)


def test_what_cannot_go_is_refused(monkeypatch):
    builder = TreeBuilder(1)
    builder.leaf(builder.decision(-1, 1.0, 0, "root", ['a "quoted" move']), 1.0, [0.0])
    with pytest.raises(ValueError, match="cannot be read by OpenSpiel"):
        to_openspiel(from_tree(builder.finish()))
    with pytest.raises(ValueError, match="factored form"):
        to_openspiel(load("kuhn_poker"))
    with pytest.raises(TypeError, match="game is 'kuhn_poker'; expected an ExtensiveGame"):
        to_openspiel("kuhn_poker")
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(ImportError, match=r"install rltheory\[interop\]"):
        to_openspiel(MatrixGame.zero_sum(np.eye(2)))
