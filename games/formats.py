"""Games on disk: `.npz` archives that read back bit for bit, names included."""

import json
from os import PathLike
from typing import Any

import numpy as np

from rltheory.analysis.archive import read_arrays, require
from rltheory.analysis.arrays import FloatArray, as_float_array
from rltheory.analysis.files import replacing
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, TreeBuilder
from rltheory.games.normal_form.matrix_game import MatrixGame

_INTEGERS = ("to_move", "infoset", "first_child", "child", "infoset_start")
_FLOATS = ("probability", "payoffs")


def save_game(path: str | PathLike[str], game: ExtensiveGame | MatrixGame) -> None:
    """Write a game to `path`; an older file survives a failed write.

    Raises ValueError for an extensive game without a tree, as factored games are; TypeError for
    anything else; OSError if the folder cannot be written.
    """
    if isinstance(game, MatrixGame):
        arrays: dict[str, Any] = {"payoffs": game.payoffs}
    elif not isinstance(game, ExtensiveGame):
        raise TypeError(f"game is {game!r:.80}; expected an ExtensiveGame or a MatrixGame")
    elif game.tree is None:
        raise ValueError(
            f"{game.name} is in factored form; an archive holds a tree "
            "(load the game with form='tree', or keep its name)"
        )
    else:
        tree = game.tree
        names = [game.name, tree.infoset_labels, tree.action_labels]
        arrays = {name: getattr(tree, name) for name in (*_INTEGERS, *_FLOATS)}
        arrays["names"] = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
    with replacing(path) as stream:
        np.savez_compressed(stream, **arrays)


def load_game(path: str | PathLike[str]) -> ExtensiveGame | MatrixGame:
    """Read a game written by `save_game`, of the type that was saved.

    Raises FileNotFoundError, or ValueError naming the file if it is not such an archive, or holds
    no game: every node is checked anew, and so is perfect recall.
    """
    arrays = read_arrays(path, "a game")
    is_tree = "to_move" in arrays
    require(arrays, (*_INTEGERS, *_FLOATS, "names") if is_tree else ("payoffs",), path, "a game")
    try:
        return _extensive(arrays) if is_tree else MatrixGame(arrays["payoffs"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no valid game: {error}") from None


def _extensive(arrays: dict[str, Any]) -> ExtensiveGame:
    for name in _INTEGERS:
        if arrays[name].ndim != 1 or not np.issubdtype(arrays[name].dtype, np.integer):
            raise ValueError(f"{name} is no row of integers")
    name, labels, actions = _names(arrays["names"])
    nodes = len(arrays["to_move"])
    payoffs = as_float_array(arrays["payoffs"], "payoffs", (nodes, None))
    probability = as_float_array(arrays["probability"], "probability", (nodes - 1,))
    tree = _rebuilt(arrays, payoffs, probability, labels, actions)
    # What the builder made of the nodes must be what the file says, so all of that is sound.
    for key in (*_INTEGERS, *_FLOATS):
        if not np.array_equal(getattr(tree, key), arrays[key]):
            raise ValueError(f"{key} contradicts the rest of the tree")
    return from_tree(tree, name)


def _names(text: Any) -> tuple[str, list[str], list[list[str]]]:
    """Return the game's name, the labels of its information sets and those of their actions."""
    name, labels, actions = json.loads(bytes(text.astype(np.uint8)).decode())
    strings = [name, *labels, *(action for row in actions for action in row)]
    if len(labels) != len(actions) or not all(isinstance(entry, str) for entry in strings):
        raise ValueError("names are not those of information sets and their actions")
    return name, labels, actions


def _rebuilt(
    arrays: dict[str, Any],
    payoffs: FloatArray,
    probability: FloatArray,
    labels: list[str],
    actions: list[list[str]],
) -> GameTree:
    """Build the tree again, node by node."""
    nodes = len(arrays["to_move"])
    first, child, infoset = arrays["first_child"], arrays["child"], arrays["infoset"]
    degrees = np.diff(first)
    if len(first) != nodes + 1 or degrees.min(initial=0) < 0 or degrees.sum() != len(child):
        raise ValueError("first_child does not divide the children among the nodes")
    if len(infoset) != nodes or not np.array_equal(np.sort(child), np.arange(1, nodes)):
        raise ValueError("child does not name every node but the root once")
    above = np.full(nodes, -1)
    above[child] = np.repeat(np.arange(nodes), degrees)
    if np.any(above >= np.arange(nodes)):
        raise ValueError("child names a node before its parent")
    moves = np.repeat(arrays["to_move"], degrees)
    if np.any(probability[moves != CHANCE] != 1.0):
        raise ValueError("probability of a player's move is not 1")
    chance = np.ones(nodes)
    chance[child] = probability
    owned = (arrays["to_move"] >= 0) & ((infoset < 0) | (infoset >= len(labels)))
    if owned.any():
        raise ValueError(f"infoset of node {int(owned.argmax())} has no label")
    builder = TreeBuilder(payoffs.shape[1])
    for node, mover in enumerate(arrays["to_move"].tolist()):
        place = int(above[node]), float(chance[node])
        if mover == TERMINAL:
            builder.leaf(*place, payoffs[node].tolist())
        elif mover == CHANCE:
            builder.chance(*place, int(degrees[node]))
        else:
            own = int(infoset[node])
            builder.decision(*place, mover, own, actions[own], labels[own])
    return builder.finish()
