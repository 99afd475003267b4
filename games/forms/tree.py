"""Game trees as flat arrays, unfolded once from a small rules object.

A game is a `Rules`: a start, who moves, which actions, what the mover knows, what the leaves pay.
`build_tree` walks it depth first and returns a `GameTree`, in which nodes are numbered in the
order of that walk and information sets in the order in which it first meets them, player by
player. Nothing here assumes perfect recall; `rltheory.games.forms.extensive` verifies it.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    check_finite,
    check_positive_integer,
    read_only,
)

CHANCE = -1
"""`to_move` at a node where nature moves."""

TERMINAL = -2
"""`to_move` at a leaf."""

IndexArray = NDArray[np.int32]


class Rules(Protocol):
    """What a game must say of itself; states are immutable values of any type."""

    @property
    def players(self) -> int:
        """How many players there are."""

    def start(self) -> Any:
        """The state at the root."""

    def to_move(self, state: Any) -> int:
        """The player who moves, 0 to players - 1, or `CHANCE`, or `TERMINAL`."""

    def actions(self, state: Any) -> Sequence[Hashable]:
        """The moves at a state, in a fixed order."""

    def after(self, state: Any, action: Any) -> Any:
        """The state after a move."""

    def probabilities(self, state: Any) -> Sequence[float]:
        """The chances of the moves at a chance node, in the order of `actions`."""

    def information(self, state: Any) -> Hashable:
        """What the mover knows: all of the mover's own past actions and observations.

        Two states with one mover and equal information are one information set.
        """

    def payoffs(self, state: Any) -> Sequence[float]:
        """What each player gets at a leaf."""


@dataclass(frozen=True, eq=False)
class GameTree:
    """A finite game tree, nodes in depth-first order, node 0 the root.

    to_move (n,): the player who moves, `CHANCE` or `TERMINAL`. infoset (n,): the information set of
    a player's node, -1 elsewhere. The children of node h are
    `child[first_child[h] : first_child[h + 1]]`, in the order of its actions, and `probability`
    goes with `child`: at chance nodes the chance of that move, elsewhere 1. payoffs (n, players)
    are zero but at leaves.

    Information sets are numbered player by player: those of player p are
    `infoset_start[p], ..., infoset_start[p + 1] - 1`, in the order of their first visit.
    infoset_labels and action_labels (one tuple for each information set) name them.
    """

    players: int
    to_move: NDArray[np.int8]
    infoset: IndexArray
    first_child: IndexArray
    child: IndexArray
    probability: FloatArray
    payoffs: FloatArray
    infoset_start: IndexArray
    infoset_labels: tuple[str, ...]
    action_labels: tuple[tuple[str, ...], ...]

    @property
    def nodes(self) -> int:
        """The number of histories, root and leaves included."""
        return len(self.to_move)

    @property
    def leaves(self) -> int:
        """The number of terminal histories."""
        return int(np.count_nonzero(self.to_move == TERMINAL))


@dataclass
class TreeBuilder:
    """Collects the nodes of a tree in depth-first order; `finish` checks them and freezes them.

    For readers of files and of other libraries' games; from a `Rules` object, `build_tree` does it.
    """

    players: int

    def __post_init__(self) -> None:
        check_positive_integer(self.players, "players")
        self._to_move: list[int] = []
        self._infoset: list[int] = []
        self._degree: list[int] = []
        self._parent: list[int] = []
        self._chance: list[float] = []
        self._payoffs: list[float] = []
        self._infosets: list[dict[Hashable, int]] = [{} for _ in range(self.players)]
        self._labels: list[list[str]] = [[] for _ in range(self.players)]
        self._actions: list[list[tuple[str, ...]]] = [[] for _ in range(self.players)]

    def leaf(self, parent: int, probability: float, payoffs: Sequence[float]) -> int:
        """Add a leaf under `parent` (-1: the root); payoffs, one for each player."""
        if len(payoffs) != self.players:
            raise ValueError(
                f"payoffs at node {len(self._to_move)} are for {len(payoffs)} players; "
                f"expected {self.players}"
            )
        self._payoffs.extend(payoffs)
        return self._node(parent, probability, TERMINAL, -1, 0)

    def chance(self, parent: int, probability: float, degree: int) -> int:
        """Add a node where nature chooses among `degree` moves."""
        return self._node(parent, probability, CHANCE, -1, degree)

    def decision(
        self,
        parent: int,
        probability: float,
        player: int,
        information: Hashable,
        actions: Sequence[Hashable],
        label: str | None = None,
    ) -> int:
        """Add a node where `player`, who knows `information`, chooses among `actions`."""
        if not 0 <= player < self.players:
            raise ValueError(
                f"player {player} moves at node {len(self._to_move)}; "
                f"expected 0 to {self.players - 1}, CHANCE or TERMINAL"
            )
        infosets = self._infosets[player]
        infoset = infosets.get(information)
        if infoset is None:
            infoset = infosets[information] = len(infosets)
            self._labels[player].append(str(information) if label is None else label)
            self._actions[player].append(tuple(str(action) for action in actions))
        elif len(self._actions[player][infoset]) != len(actions):
            raise ValueError(
                f"information set {self._labels[player][infoset]!r} of player {player} has "
                f"{len(self._actions[player][infoset])} actions at one node and {len(actions)} "
                "at another; a player who cannot tell nodes apart has the same actions there"
            )
        return self._node(parent, probability, player, infoset, len(actions))

    def finish(self) -> GameTree:
        """Return the tree; raises ValueError if it is empty, has dead ends or wrong chances."""
        if not self._to_move:
            raise ValueError("the tree has no node; expected at least a leaf")
        to_move = np.array(self._to_move, dtype=np.int8)
        start = np.zeros(self.players + 1, dtype=np.int32)
        np.cumsum([len(sets) for sets in self._infosets], out=start[1:])
        infoset = np.array(self._infoset, dtype=np.int32)
        decisions = to_move >= 0
        infoset[decisions] += start[to_move[decisions]]
        degree = np.array(self._degree, dtype=np.int32)
        first = np.zeros(len(degree) + 1, dtype=np.int32)
        np.cumsum(degree, out=first[1:])
        # A stable sort by parent keeps siblings in the order in which they were added.
        parent = np.array(self._parent[1:], dtype=np.int32)
        order = np.argsort(parent, kind="stable")
        if not np.array_equal(np.bincount(parent, minlength=len(degree)), degree):
            raise ValueError("a node has fewer or more children than moves")
        probability = np.array(self._chance[1:], dtype=np.float64)[order]
        payoffs = np.zeros((len(degree), self.players))
        payoffs[to_move == TERMINAL] = np.array(self._payoffs).reshape(-1, self.players)
        check_finite(payoffs, "payoffs")
        _check_chances(to_move, first, probability)
        return GameTree(
            players=self.players,
            to_move=read_only(to_move),
            infoset=read_only(infoset),
            first_child=read_only(first),
            child=read_only((order + 1).astype(np.int32)),
            probability=read_only(probability),
            payoffs=read_only(payoffs),
            infoset_start=read_only(start),
            infoset_labels=tuple(label for labels in self._labels for label in labels),
            action_labels=tuple(actions for some in self._actions for actions in some),
        )

    def _node(self, parent: int, probability: float, mover: int, infoset: int, degree: int) -> int:
        if mover != TERMINAL and degree < 1:
            raise ValueError(f"node {len(self._to_move)} has no action; expected at least one")
        if (parent == -1) != (not self._to_move):
            raise ValueError(f"parent is {parent}; only the first node has no parent (-1)")
        self._to_move.append(mover)
        self._infoset.append(infoset)
        self._degree.append(degree)
        self._parent.append(parent)
        self._chance.append(probability)
        return len(self._to_move) - 1


def build_tree(rules: Rules) -> GameTree:
    """Unfold a game's rules into its tree, depth first.

    Raises ValueError if a node has no action, a chance node's probabilities do not sum to 1, a leaf
    pays the wrong number of players, or nodes of one information set differ in their actions.
    """
    builder = TreeBuilder(rules.players)
    to_move, after = rules.to_move, rules.after
    stack: list[tuple[int, float, Any]] = [(-1, 1.0, rules.start())]
    while stack:
        parent, probability, state = stack.pop()
        mover = to_move(state)
        if mover == TERMINAL:
            builder.leaf(parent, probability, rules.payoffs(state))
            continue
        actions = rules.actions(state)
        if mover == CHANCE:
            chances = rules.probabilities(state)
            if len(chances) != len(actions):
                raise ValueError(
                    f"probabilities at state {state!r} are {len(chances)} for {len(actions)} moves"
                )
            node = builder.chance(parent, probability, len(actions))
            below = list(zip(actions, chances, strict=True))
            stack += [(node, chance, after(state, action)) for action, chance in reversed(below)]
        else:
            node = builder.decision(parent, probability, mover, rules.information(state), actions)
            stack += [(node, 1.0, after(state, action)) for action in reversed(actions)]
    return builder.finish()


def _check_chances(to_move: NDArray[np.int8], first: IndexArray, probability: FloatArray) -> None:
    check_finite(probability, "probability")
    if len(probability) and probability.min() < 0:
        raise ValueError(f"a chance move has probability {probability.min()}; expected >= 0")
    mover = np.repeat(np.arange(len(to_move)), np.diff(first))
    totals = np.bincount(mover, weights=probability, minlength=len(to_move))
    bad = np.flatnonzero((to_move == CHANCE) & ~(np.abs(totals - 1) <= ROW_SUM_TOLERANCE))
    if len(bad):
        raise ValueError(
            f"the chances at node {bad[0]} sum to {totals[bad[0]]:.10g}; "
            f"expected 1 (tolerance {ROW_SUM_TOLERANCE:g})"
        )
