"""Matrix games as extensive games in which everybody moves once, not seeing the others.

Each player has one information set, so a plan is a mixed strategy and everything that works on the
sequence form works on payoff tensors.
"""

from typing import Any

import numpy as np

from rltheory.analysis.arrays import read_only
from rltheory.games.forms.extensive import ExtensiveGame, SequenceForm, freeze, merge_leaves
from rltheory.games.normal_form.matrix_game import MatrixGame


def one_shot(game: MatrixGame, name: str = "matrix game") -> ExtensiveGame:
    """Return the sequence form of a matrix game: slots (A_1 + ... + A_n,), player after player."""
    players, actions = game.players, np.array(game.actions)
    first = np.zeros(players + 1, dtype=np.int32)
    np.cumsum(actions, out=first[1:])
    slots = int(first[-1])
    profiles = np.indices(game.actions).reshape(players, -1).T
    rows: dict[str, Any] = merge_leaves(
        slots,
        (profiles + first[:-1]).astype(np.int32),
        np.ascontiguousarray(game.payoffs.reshape(players, -1).T),
    )
    form = SequenceForm(
        infoset_start=np.arange(players + 1),
        slot_start=first.astype(np.int64),
        first=first,
        parent=(slots + np.arange(players)).astype(np.int32),
        **rows,
        hands=np.zeros((0, players), dtype=np.int32),
        slots_at=np.zeros((0, players), dtype=np.int64),
        block_slots=np.zeros(0, dtype=np.int32),
        table_at=np.zeros((0, players), dtype=np.int64),
        tables=np.zeros(0),
    )
    # Decisions before the last player's leaf: one node for each choice of the players before.
    inner = int(np.cumprod(np.concatenate([[1], actions[:-1]])).sum())
    return ExtensiveGame(
        name=name,
        players=players,
        form=freeze(form),
        infoset_labels=tuple(f"player {p}" for p in range(players)),
        action_labels=tuple(tuple(str(a) for a in range(count)) for count in actions),
        histories=inner + len(profiles),
        leaves=len(profiles),
        tree=None,
        zero_sum=bool(np.all(game.payoffs.sum(axis=0) == 0)),
        payoff_range=read_only(np.ptp(game.payoffs.reshape(players, -1), axis=1)),
    )
