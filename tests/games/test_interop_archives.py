"""Games in archives: the same bits and names, and nothing but a game is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees

from rltheory.games import MatrixGame, from_tree, load
from rltheory.games.formats import load_game, save_game
from rltheory.games.forms.tree import GameTree

ARRAYS = ("to_move", "infoset", "first_child", "child", "probability", "payoffs", "infoset_start")


def check_same(back, game):
    assert (back.name, back.players) == (game.name, game.players)
    for name in ARRAYS:
        one, two = getattr(back.tree, name), getattr(game.tree, name)
        assert (one.dtype, one.tobytes()) == (two.dtype, two.tobytes()), name
    assert back.tree.infoset_labels == game.tree.infoset_labels
    assert back.tree.action_labels == game.tree.action_labels
    for one, two in zip(back.form, game.form, strict=True):
        assert one.tobytes() == two.tobytes()


@given(tree=game_trees(), name=st.text(max_size=5), label=st.text(max_size=5))
@settings(max_examples=15, deadline=None)
def test_trees_read_back_bit_for_bit(tree, name, label, tmp_path_factory):
    path = tmp_path_factory.mktemp("game") / "game.npz"
    names = tuple(f"{text}{label}" for text in tree.infoset_labels)
    fields = {key: getattr(tree, key) for key in tree.__dataclass_fields__}
    game = from_tree(GameTree(**(fields | {"infoset_labels": names})), name)
    save_game(path, game)
    check_same(load_game(path), game)


def test_a_real_game_and_its_folder(tmp_path):
    game = load("leduc_poker", form="tree")
    path = tmp_path / "leduc.npz"
    path.write_text("old")
    save_game(path, game)
    check_same(load_game(path), game)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 4)])
def test_games_in_normal_form_read_back_bit_for_bit(tmp_path, shape):
    game = MatrixGame(np.random.default_rng(0).normal(size=(len(shape), *shape)))
    save_game(tmp_path / "game.npz", game)
    back = load_game(tmp_path / "game.npz")
    assert isinstance(back, MatrixGame)
    assert back.payoffs.tobytes() == game.payoffs.tobytes()


def test_every_changed_entry_of_a_tree_is_refused_or_another_game(tmp_path):
    path, changed = tmp_path / "kuhn.npz", tmp_path / "changed.npz"
    game = load("kuhn_poker", players=2, form="tree")
    save_game(path, game)
    arrays = dict(np.load(path))
    rng = np.random.default_rng(0)
    tried = refused = read = 0
    for _ in range(150):
        name = ARRAYS[rng.integers(len(ARRAYS))]
        array = arrays[name].copy()
        place = int(rng.integers(array.size))
        array.flat[place] += rng.choice([-1, 1, 100])
        np.savez(changed, **(arrays | {name: array}))
        tried += 1
        try:
            back = load_game(changed)
        except ValueError as error:
            refused += "changed.npz holds no valid game" in str(error)
        else:
            # Another payoff, or nodes dealt to other information sets, may make a game as well.
            assert getattr(back.tree, name).tobytes() == array.tobytes()
            assert name in ("payoffs", "infoset")
            read += 1
    assert refused + read == tried
    assert refused > 75


def test_what_is_no_game_is_refused_by_name(tmp_path):
    path = tmp_path / "bad.npz"
    with pytest.raises(ValueError, match=r"kuhn_poker.* is in factored form"):
        save_game(path, load("kuhn_poker"))
    with pytest.raises(TypeError, match="game is 3; expected an ExtensiveGame"):
        save_game(path, 3)
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        load_game(path)
    path.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(ValueError, match=r"bad\.npz is not a game archive"):
        load_game(path)
    np.savez(path, other=np.zeros(1))
    with pytest.raises(ValueError, match="it has no array 'payoffs'"):
        load_game(path)
    np.savez(path, payoffs=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"bad\.npz holds no valid game: payoffs has shape"):
        load_game(path)
    save_game(path, load("kuhn_poker", players=2, form="tree"))
    arrays = dict(np.load(path))
    for names in (b"[1]", b'["k", ["0"], []]', b"{", b"\xff"):
        np.savez(path, **(arrays | {"names": np.frombuffer(names, dtype=np.uint8)}))
        with pytest.raises(ValueError, match="holds no valid game"):
            load_game(path)
