"""Extensive games in sequence form: what the solvers see of a game.

Under perfect recall a player's moves up to an information set are one sequence, and the chance
that they are played is a product of that player's own probabilities. So a profile's payoffs need
neither nodes nor paths, but only, for each leaf, one sequence of each player and what nature and
the payoff contribute; leaves with the same sequences merge (von Stengel, 1996).

Slots. The actions of all information sets lie in one row: those of set I are the slots
`first[I], ..., first[I + 1] - 1`. A profile of behaviour strategies is a float array over the
slots, shape (slots,), and so is a regret. Sets are numbered player by player, in the order in which
a depth-first walk of the game first meets them, so a set comes after the set before it.
Arrays that also hold the empty sequences have `players` more entries, the empty sequence of
player p at `slots + p`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE as TOLERANCE
from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    read_only,
)
from rltheory.games.forms.tree import TERMINAL, GameTree, IndexArray


class SequenceForm(NamedTuple):
    """The arrays of a game that compiled code reads; `ExtensiveGame` says what they mean.

    first (infosets + 1,), parent (infosets,): the slot of the owner's move before the set, or the
    owner's empty sequence. infoset_start, slot_start (players + 1,).

    Leaves one by one: for the slot (or empty sequence) j of player p, the entries
    row_start[j] to row_start[j + 1] - 1 hold the other players' slots, `others`
    (entries, players - 1) in the order of the players without p, and `values`, what p is paid
    times the chance of nature's moves.

    Leaves in blocks: block b multiplies a table of payoffs with one vector of slots for each
    player. hands (blocks, players) are the vectors' lengths, slots_at (blocks, players) where they
    start in `block_slots`, table_at (blocks, players) where the player's table starts in `tables`:
    axes (other players in order, player itself), nature's chances included.
    """

    infoset_start: NDArray[np.int64]
    slot_start: NDArray[np.int64]
    first: IndexArray
    parent: IndexArray
    row_start: NDArray[np.int64]
    others: IndexArray
    values: FloatArray
    hands: IndexArray
    slots_at: NDArray[np.int64]
    block_slots: IndexArray
    table_at: NDArray[np.int64]
    tables: FloatArray


@dataclass(frozen=True, eq=False)
class ExtensiveGame:
    """A finite game of perfect recall in sequence form, payoffs to every player.

    name: for messages. players: how many. form: the arrays of the sequence form. infoset_labels and
    action_labels name the information sets and, for each, its actions. histories and leaves: how
    many nodes and leaves the game's tree has. tree: the tree itself, None for games built in
    factored form. zero_sum: whether the payoffs of every leaf sum to 0 exactly.
    payoff_range (players,): the largest payoff of each player minus the smallest.

    Build it with `from_tree`, `rltheory.games.load`, `from_openspiel` or `from_gambit`.
    """

    name: str
    players: int
    form: SequenceForm
    infoset_labels: Sequence[str]
    action_labels: Sequence[tuple[str, ...]]
    histories: int
    leaves: int
    tree: GameTree | None
    zero_sum: bool
    payoff_range: FloatArray

    @property
    def infosets(self) -> int:
        """The number of information sets of all players."""
        return len(self.form.parent)

    @cached_property
    def slots(self) -> int:
        """The number of pairs of an information set and an action."""
        return int(self.form.first[-1])

    @cached_property
    def compiled(self) -> SequenceForm:
        """The form with all indices unsigned: compiled code then need not ask for negative ones."""
        arrays: tuple[Any, ...] = self.form
        return SequenceForm(
            *(a if a.dtype == np.float64 else read_only(a.astype(np.uint32)) for a in arrays)
        )

    def sequences(self, player: int) -> int:
        """The number of sequences of a player, the empty one included."""
        return int(np.diff(self.form.slot_start)[player]) + 1

    def owner(self) -> NDArray[np.int64]:
        """The player of each information set, shape (infosets,)."""
        return np.repeat(np.arange(self.players), np.diff(self.form.infoset_start))

    def uniform(self) -> FloatArray:
        """The profile that plays all actions of a set equally often, shape (slots,)."""
        counts = np.diff(self.form.first)
        return np.repeat(1.0 / counts, counts)

    def check_strategies(self, strategies: ArrayLike, name: str = "strategies") -> FloatArray:
        """Return a copy of a profile (slots,); raises ValueError unless each set's sums to 1."""
        profile = as_float_array(strategies, name, (self.slots,)).copy()
        check_finite(profile, name)
        if self.slots and profile.min() < 0:
            slot = int(profile.argmin())
            raise ValueError(
                f"{name} plays action {self.describe(slot)} with probability {profile[slot]}; "
                "probabilities must be >= 0"
            )
        if self.slots:
            sums = np.add.reduceat(profile, self.form.first[:-1])
            bad = np.flatnonzero(~(np.abs(sums - 1) <= TOLERANCE))
            if len(bad):
                raise ValueError(
                    f"{name} at information set {self.infoset_labels[bad[0]]!r} sums to "
                    f"{sums[bad[0]]:.10g}; expected 1 (tolerance {TOLERANCE:g})"
                )
        return profile

    def strategy_table(self, strategies: ArrayLike) -> list[dict[str, dict[str, float]]]:
        """A profile as {information set: {action: probability}} for each player, to be read."""
        profile = self.check_strategies(strategies)
        first = self.form.first
        table: list[dict[str, dict[str, float]]] = [{} for _ in range(self.players)]
        for i, player in enumerate(self.owner().tolist()):
            row = profile[first[i] : first[i + 1]].tolist()
            label = self.infoset_labels[i]
            table[player][label] = dict(zip(self.action_labels[i], row, strict=True))
        return table

    def describe(self, slot: int) -> str:
        """The action of a slot in words."""
        infoset = int(np.searchsorted(self.form.first, slot, side="right")) - 1
        action = self.action_labels[infoset][slot - self.form.first[infoset]]
        return f"{action!r} at information set {self.infoset_labels[infoset]!r}"


def check_game(game: object) -> ExtensiveGame:
    """Return the game; TypeError saying how to get one if it is none."""
    if isinstance(game, ExtensiveGame):
        return game
    how = f"games.load({game!r}) builds a game from its name"
    if not isinstance(game, str):
        how = "as games.load, from_tree or, of a MatrixGame, one_shot give"
    raise TypeError(f"game is {game!r}; expected an ExtensiveGame: {how}")


def from_tree(tree: GameTree, name: str = "game") -> ExtensiveGame:
    """Return the sequence form of a tree.

    Raises ValueError naming the information set if a player forgets an own past move: perfect
    recall is verified, as the sequence form and CFR's guarantees need it.
    """
    degrees = np.diff(tree.first_child)
    first = _first_slots(tree, degrees)
    slots = int(first[-1])
    last, chance = _walk(tree, first)
    parent = _parents(tree, last)
    leaves = np.flatnonzero(tree.to_move == TERMINAL)
    payoffs = tree.payoffs[leaves]
    slot_start = first[tree.infoset_start].astype(np.int64)
    rows = merge_leaves(slots, last[leaves], chance[leaves, None] * payoffs)
    none = np.zeros(0, dtype=np.int64)
    form = SequenceForm(
        infoset_start=tree.infoset_start.astype(np.int64),
        slot_start=slot_start,
        first=first,
        parent=parent,
        **rows,
        hands=np.zeros((0, tree.players), dtype=np.int32),
        slots_at=np.zeros((0, tree.players), dtype=np.int64),
        block_slots=none.astype(np.int32),
        table_at=np.zeros((0, tree.players), dtype=np.int64),
        tables=np.zeros(0),
    )
    return ExtensiveGame(
        name=name,
        players=tree.players,
        form=freeze(form),
        infoset_labels=tree.infoset_labels,
        action_labels=tree.action_labels,
        histories=tree.nodes,
        leaves=len(leaves),
        tree=tree,
        zero_sum=bool(np.all(payoffs.sum(axis=1) == 0)),
        payoff_range=read_only(np.ptp(payoffs, axis=0)),
    )


def freeze(form: SequenceForm) -> SequenceForm:
    """The same arrays, contiguous and read-only."""
    return SequenceForm(*(read_only(np.ascontiguousarray(array)) for array in form))


def merge_leaves(slots: int, last: IndexArray, paid: FloatArray) -> dict[str, Any]:
    """The rows of a `SequenceForm` from leaves: last (n, players) slots, paid (n, players).

    Leaves with the same slots merge into one entry; a row lists what its player is paid there.
    """
    players = last.shape[1]
    # One integer for each leaf: sorting integers is many times faster than sorting rows.
    group = last[:, 0].astype(np.int64)
    for p in range(1, players):
        group = np.unique(group, return_inverse=True)[1] * (slots + players) + last[:, p]
    _, leaf, group = np.unique(group, return_index=True, return_inverse=True)
    keys = last[leaf]
    sums = np.stack(
        [np.bincount(group, paid[:, p], minlength=len(keys)) for p in range(players)], axis=1
    )
    order = [np.argsort(keys[:, p], kind="stable") for p in range(players)]
    own = np.concatenate([keys[order[p], p] for p in range(players)])
    row_start = np.zeros(slots + players + 1, dtype=np.int64)
    np.cumsum(np.bincount(own, minlength=slots + players), out=row_start[1:])
    # Slots of the players in turn and then their empty sequences: sorted by own slot, the entries
    # of all players together are in the order of the rows.
    by_row = np.argsort(own, kind="stable")
    others = np.concatenate([np.delete(keys[order[p]], p, axis=1) for p in range(players)])
    values = np.concatenate([sums[order[p], p] for p in range(players)])
    return {
        "row_start": row_start,
        "others": others[by_row].astype(np.int32),
        "values": values[by_row],
    }


def _first_slots(tree: GameTree, degrees: IndexArray) -> IndexArray:
    """Where each information set's slots start; sets never reached do not exist in a tree."""
    actions = np.zeros(tree.infoset_start[-1], dtype=np.int32)
    decisions = tree.to_move >= 0
    actions[tree.infoset[decisions]] = degrees[decisions]
    first = np.zeros(len(actions) + 1, dtype=np.int32)
    np.cumsum(actions, out=first[1:])
    return first


def _walk(tree: GameTree, first: IndexArray) -> tuple[IndexArray, FloatArray]:
    """Each node's last slot of every player (nodes, players), and nature's chance of reaching it.

    Level by level from the root, as a node's row is its parent's with one entry changed.
    """
    players, slots = tree.players, int(first[-1])
    last = np.empty((tree.nodes, players), dtype=np.int32)
    last[0] = slots + np.arange(players)
    chance = np.ones(tree.nodes)
    level = np.zeros(1, dtype=np.int64)
    while len(level):
        counts = tree.first_child[level + 1] - tree.first_child[level]
        above = np.repeat(level, counts)
        action = np.arange(len(above)) - np.repeat(np.cumsum(counts) - counts, counts)
        edge = tree.first_child[above] + action
        below = tree.child[edge].astype(np.int64)
        last[below] = last[above]
        chance[below] = chance[above] * tree.probability[edge]
        mover = tree.to_move[above]
        moved = mover >= 0
        infoset = tree.infoset[above[moved]]
        last[below[moved], mover[moved]] = first[infoset] + action[moved]
        level = below
    return last, chance


def _parents(tree: GameTree, last: IndexArray) -> IndexArray:
    """The own last slot before each information set; ValueError if its nodes disagree."""
    nodes = np.flatnonzero(tree.to_move >= 0)
    before = last[nodes, tree.to_move[nodes]]
    infoset = tree.infoset[nodes]
    parent = np.zeros(tree.infoset_start[-1], dtype=np.int32)
    parent[infoset] = before
    forgotten = np.flatnonzero(parent[infoset] != before)
    if len(forgotten):
        bad = infoset[forgotten[0]]
        raise ValueError(
            f"information set {tree.infoset_labels[bad]!r} of player "
            f"{tree.to_move[nodes[forgotten[0]]]} is reached after different own moves; "
            "expected perfect recall: a player knows all of the own past moves"
        )
    return parent
