"""The sequence form of a factored game, from one walk through its public tree.

Every public node stands for the information sets of all hands of its mover, and every public leaf
for a table of payoffs over all combinations of hands; time and memory fall by the number of
combinations against the tree of histories.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.games.forms.extensive import ExtensiveGame, SequenceForm, freeze, merge_leaves
from rltheory.games.forms.factored import FactoredRules, information_label
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.kernels import LANES


def build_factored(
    rules: FactoredRules, name: str = "game", *, blocks: bool | None = None
) -> ExtensiveGame:
    """Return the sequence form of a factored game, without unfolding its histories.

    blocks: whether the leaves stay in blocks, one for each public leaf, or are written one by one;
    None decides by what is faster to multiply with: two players with less than a million leaves are
    faster one by one (measured; the benchmark of games shows both).

    Raises ValueError if the deal or the chances of an event do not sum to 1, a node is stuck, or
    blocks are asked for with one player, who has nobody's reaches to multiply with.
    """
    if blocks and rules.players < 2:
        raise ValueError("blocks is True for a game of one player; expected two or more")
    game = _Walk(rules).game(name)
    if blocks is None:
        blocks = game.players > 2 or (game.players == 2 and game.leaves > 1_000_000)
    return game if blocks else replace(game, form=freeze(spelled_out(game.form)))


@dataclass(frozen=True, eq=False)
class _Reach:
    """Nature's chance of a public node for each combination of hands, and who can be there.

    possible: for each player, the hands that can be there, and first_visit when a walk through all
    histories, combination by combination, first comes there with each of them.
    """

    key: int
    chance: FloatArray
    combinations: int
    possible: list[NDArray[np.int64]]
    first_visit: list[NDArray[np.int64]]


class _Walk:
    """One walk through the public tree, and the arrays that it leaves."""

    def __init__(self, rules: FactoredRules) -> None:
        self.rules = rules
        self.hands = [len(hands) for hands in rules.hands]
        self.reaches: dict[bytes, _Reach] = {}
        self.histories = 0
        self.leaves = 0
        self.zero_sum = True
        self.lowest = np.full(rules.players, np.inf)
        self.highest = np.full(rules.players, -np.inf)
        # One entry for each public node at which a player moves; the chosen hands come first.
        self.player: list[int] = []
        self.reach: list[_Reach | None] = []
        self.before: list[tuple[int, int]] = []
        self.names: list[str] = []
        self.actions: list[tuple[str, ...]] = []
        # One entry for each public leaf: every player's last node and move there, and the tables.
        self.last: list[list[tuple[int, int]]] = []
        self.table: list[_Tables] = []
        self.tables: dict[Hashable, _Tables] = {}
        self.tables_size = 0
        self._run()

    def _run(self) -> None:
        rules, players = self.rules, self.rules.players
        last = [(-1, 0)] * players
        for p in np.flatnonzero(rules.chosen).tolist():
            last[p] = (len(self.player), -1)
            self._decision(p, None, (-1, 0), "hand", rules.hands[p])
        reach = self._start()
        stack: list[tuple[Any, _Reach, list[tuple[int, int]]]] = [(rules.start(), reach, last)]
        while stack:
            state, reach, last = stack.pop()
            mover = rules.to_move(state)
            self.histories += reach.combinations
            if mover == TERMINAL:
                self._leaf(state, reach, last)
                continue
            actions = rules.actions(state)
            if not actions:
                raise ValueError(f"state {state!r} has no action; expected at least one")
            after = [rules.after(state, action) for action in actions]
            if mover == CHANCE:
                below = [(r, last) for r in self._likelihoods(state, reach, len(actions))]
            else:
                node = len(self.player)
                self._decision(mover, reach, last[mover], rules.information(state), actions)
                below = [
                    (reach, [(node, a) if p == mover else last[p] for p in range(players)])
                    for a in range(len(actions))
                ]
            steps = zip(after, below, strict=True)
            stack.extend((state, *b) for state, b in reversed(list(steps)) if b[0].combinations)

    def _start(self) -> _Reach:
        """The reach at the public root; counts the histories of dealing and choosing hands."""
        dealt = [p for p, chosen in enumerate(self.rules.chosen) if not chosen]
        deal = np.asarray(self.rules.deal(), dtype=np.float64)
        if np.any(deal < 0) or not np.all(np.abs(deal.sum(axis=tuple(dealt)) - 1) <= 1e-9):
            raise ValueError(f"the deal sums to {deal.sum(axis=tuple(dealt))}; expected 1")
        reach = self._reach(np.broadcast_to(deal, self.hands))
        before = 1
        if dealt:
            self.histories += 1
            before = int(np.count_nonzero(deal))
        for p in np.flatnonzero(self.rules.chosen):
            self.histories += before
            before *= self.hands[p]
        return reach

    def _likelihoods(self, state: Any, reach: _Reach, outcomes: int) -> list[_Reach]:
        tables = [np.asarray(table, dtype=np.float64) for table in self.rules.likelihoods(state)]
        total = sum(np.broadcast_to(table, self.hands) for table in tables)
        there = reach.chance > 0
        if len(tables) != outcomes or not np.all(np.abs(np.asarray(total)[there] - 1) <= 1e-9):
            raise ValueError(f"the likelihoods at state {state!r} do not sum to 1 for some hands")
        return [self._reach(reach.chance * table) for table in tables]

    def _reach(self, chance: FloatArray) -> _Reach:
        key = np.ascontiguousarray(chance).tobytes()
        known = self.reaches.get(key)
        if known is not None:
            return known
        there = chance > 0
        players = range(len(self.hands))
        possible = [
            np.flatnonzero(there.any(axis=tuple(q for q in players if q != p))) for p in players
        ]
        # Histories run through the dealt hands first, then through the chosen ones.
        nested = sorted(players, key=lambda p: self.rules.chosen[p])
        rank = np.empty(self.hands, dtype=np.int64)
        rank.transpose(nested)[...] = np.arange(rank.size).reshape([self.hands[p] for p in nested])
        rank[~there] = rank.size
        first_visit = [
            rank.min(axis=tuple(q for q in players if q != p))[possible[p]] for p in players
        ]
        reach = _Reach(
            len(self.reaches), chance, int(np.count_nonzero(there)), possible, first_visit
        )
        self.reaches[key] = reach
        return reach

    def _decision(
        self,
        player: int,
        reach: _Reach | None,
        before: tuple[int, int],
        name: str,
        actions: Sequence[Hashable],
    ) -> None:
        self.player.append(player)
        self.reach.append(reach)
        self.before.append(before)
        self.names.append(name)
        self.actions.append(tuple(str(action) for action in actions))

    def _leaf(self, state: Any, reach: _Reach, last: list[tuple[int, int]]) -> None:
        self.leaves += reach.combinations
        seen = tuple(-1 if node < 0 else self._hands_key(node) for node, _ in last)
        key = (self.rules.payoff_key(state), reach.key, seen)
        tables = self.tables.get(key)
        if tables is None:
            tables = self.tables[key] = self._tables(state, reach, last)
        self.last.append(last)
        self.table.append(tables)

    def _hands_key(self, node: int) -> int:
        reach = self.reach[node]
        return -2 if reach is None else reach.key

    def _tables(self, state: Any, reach: _Reach, last: list[tuple[int, int]]) -> "_Tables":
        """The payoffs of each player, times nature's chance, over the hands of the last nodes."""
        players = len(self.hands)
        payoffs = np.asarray(self.rules.payoffs(state), dtype=np.float64)
        payoffs = np.broadcast_to(payoffs, (players, *self.hands))
        there = payoffs[:, reach.chance > 0]
        if not np.all(np.isfinite(there)):
            raise ValueError(f"payoffs at state {state!r} are not finite")
        self.zero_sum &= bool(np.all(there.sum(axis=0) == 0))
        self.lowest = np.minimum(self.lowest, there.min(axis=1))
        self.highest = np.maximum(self.highest, there.max(axis=1))
        # Hands that cannot be here count nothing, whatever the rules say they are paid.
        paid = np.where(reach.chance > 0, reach.chance * payoffs, 0.0)
        for p, (node, _) in enumerate(last):
            if node < 0:
                paid = paid.sum(axis=p + 1, keepdims=True)
            elif self.reach[node] is not None:
                paid = np.take(paid, self.reach[node].possible[p], axis=p + 1)  # type: ignore[union-attr]
        tables = [_padded(np.moveaxis(paid[p], p, -1)) for p in range(players)]
        ends = self.tables_size + np.cumsum([len(table) for table in tables])
        at = np.array([self.tables_size, *ends[:-1]])
        self.tables_size = int(ends[-1])
        return _Tables(paid.shape[1:], at, np.concatenate(tables))

    def game(self, name: str) -> ExtensiveGame:
        """The arrays of the walk as a game: information sets sorted by their first visit."""
        order = _FirstVisits(self)
        players, slots = len(self.hands), int(order.first[-1])
        shapes = np.array([table.shape for table in self.table], dtype=np.int32)
        shapes = shapes.reshape(len(self.table), players)
        counts = shapes.ravel().astype(np.int64)
        slots_at = (np.cumsum(counts) - counts).reshape(shapes.shape)
        ends = np.array(self.last, dtype=np.int64).reshape(-1, 2)
        empty = slots + np.tile(np.arange(players), len(self.last))
        block_slots = order.slots_after(ends, counts, empty)
        infosets = np.array([np.sum(order.player < p) for p in range(players + 1)])
        form = SequenceForm(
            infoset_start=infosets.astype(np.int64),
            slot_start=order.first[infosets].astype(np.int64),
            first=order.first,
            parent=order.parents(np.array(self.before, dtype=np.int64).reshape(-1, 2)),
            row_start=np.zeros(slots + players + 1, dtype=np.int64),
            others=np.zeros((0, players - 1), dtype=np.int32),
            values=np.zeros(0),
            hands=shapes,
            slots_at=slots_at,
            block_slots=block_slots.astype(np.int32),
            table_at=np.array([table.at for table in self.table]).reshape(shapes.shape),
            tables=np.concatenate([np.zeros(0), *(t.entries for t in self.tables.values())]),
        )
        return ExtensiveGame(
            name=name,
            players=players,
            form=freeze(form),
            infoset_labels=_Labels(self, order),
            action_labels=_ActionLabels(self.actions, order.node),
            histories=self.histories,
            leaves=self.leaves,
            tree=None,
            zero_sum=self.zero_sum,
            payoff_range=read_only(self.highest - self.lowest),
        )


def _padded(table: FloatArray) -> FloatArray:
    """A flat table whose rows (last axis) are filled with zeros to a length of whole lanes."""
    n = table.shape[-1]
    filled = np.zeros((*table.shape[:-1], -(-n // LANES) * LANES))
    filled[..., :n] = table
    return filled.ravel()


@dataclass(frozen=True, eq=False)
class _Tables:
    shape: tuple[int, ...]
    at: NDArray[np.int64]
    entries: FloatArray


class _FirstVisits:
    """The information sets of a walk, numbered as a walk through all histories meets them.

    `infoset[base[n] + k]` is the set of the k-th possible hand at public node n.
    """

    def __init__(self, walk: _Walk) -> None:
        owner = walk.player
        hands: list[NDArray[np.int64]] = []
        visits: list[NDArray[np.int64]] = []
        for player, reach in zip(owner, walk.reach, strict=True):
            # A chosen hand is one information set, met before all others.
            chosen = np.zeros(1, dtype=np.int64)
            hands.append(chosen if reach is None else reach.possible[player])
            visits.append(chosen - 1 if reach is None else reach.first_visit[player])
        counts = np.array([len(some) for some in hands], dtype=np.int64)
        self.base = np.cumsum(counts) - counts
        self.chosen = np.array([reach is None for reach in walk.reach], dtype=bool)
        node = np.repeat(np.arange(len(counts)), counts)
        of_node = np.array(owner, dtype=np.int64)[node]
        order = np.lexsort((node, np.concatenate([np.zeros(0), *visits]), of_node))
        self.infoset = np.empty(len(order), dtype=np.int64)
        self.infoset[order] = np.arange(len(order))
        self.node = node[order]
        self.player = of_node[order]
        self.hand = np.concatenate([np.zeros(0, dtype=np.int64), *hands])[order]
        degrees = np.array([len(actions) for actions in walk.actions], dtype=np.int64)
        self.first = np.zeros(len(order) + 1, dtype=np.int32)
        np.cumsum(degrees[self.node], out=self.first[1:])
        self._walk = walk

    def slots_after(
        self, ends: NDArray[np.int64], counts: NDArray[np.int64], empty: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The slots of runs of hands: ends (n, 2) nodes and moves, the empty sequence if none."""
        run = np.repeat(np.arange(len(counts)), counts)
        hand = np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)
        node, action = ends[run].T
        if not len(self.node):
            return empty[run]
        # A chosen hand is itself the move: one set, and the hands are its slots.
        chosen = self.chosen[node]
        infoset = self.infoset[self.base[node] + np.where(chosen, 0, hand)]
        slots = self.first[infoset] + np.where(chosen, hand, action)
        return np.where(node < 0, empty[run], slots)

    def parents(self, before: NDArray[np.int64]) -> NDArray[np.int32]:
        """The slot before each information set, before (nodes, 2) given for its public node."""
        walk = self._walk
        slots = int(self.first[-1])
        parent = np.empty(len(self.node), dtype=np.int32)
        order = np.argsort(self.node, kind="stable")
        bounds = np.searchsorted(self.node[order], np.arange(len(before) + 1))
        for node, (above, action) in enumerate(before):
            sets = order[bounds[node] : bounds[node + 1]]
            if above < 0:
                parent[sets] = slots + walk.player[node]
            elif self.chosen[above]:
                parent[sets] = self.first[self.infoset[self.base[above]]] + self.hand[sets]
            else:
                reach = walk.reach[above]
                assert reach is not None
                rank = np.searchsorted(reach.possible[walk.player[node]], self.hand[sets])
                parent[sets] = self.first[self.infoset[self.base[above] + rank]] + action
        return parent


def spelled_out(form: SequenceForm) -> SequenceForm:
    """The same game with its blocks of leaves written one by one.

    Combinations of hands that cannot be, or that pay nobody anything, are left out.
    """
    blocks, players = form.hands.shape
    counts = form.hands.prod(axis=1, dtype=np.int64)
    block = np.repeat(np.arange(blocks), counts)
    rank = np.arange(len(block)) - np.repeat(np.cumsum(counts) - counts, counts)
    hand = np.empty((len(block), players), dtype=np.int64)
    for p in reversed(range(players)):
        rank, hand[:, p] = np.divmod(rank, form.hands[block, p])
    last = form.block_slots[form.slots_at[block] + hand]
    paid = np.empty(hand.shape)
    for p in range(players):
        at = np.zeros(len(block), dtype=np.int64)
        for q in (*(q for q in range(players) if q != p), p):
            width = form.hands[block, q]
            at = at * (-(-width // LANES) * LANES if q == p else width) + hand[:, q]
        paid[:, p] = form.tables[form.table_at[block, p] + at]
    there = paid.any(axis=1)
    slots = int(form.first[-1])
    return form._replace(
        **merge_leaves(slots, last[there], paid[there]),
        hands=form.hands[:0],
        slots_at=form.slots_at[:0],
        block_slots=form.block_slots[:0],
        table_at=form.table_at[:0],
        tables=form.tables[:0],
    )


@dataclass(frozen=True, eq=False)
class _Labels(Sequence[str]):
    """Names of information sets, put together when asked for: there may be a million."""

    walk: _Walk
    order: _FirstVisits

    def __len__(self) -> int:
        return len(self.order.node)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        node, public = self.order.node[i], self.walk.names[self.order.node[i]]
        if self.order.chosen[node]:
            return public
        return information_label(
            self.walk.rules.hands[self.order.player[i]][self.order.hand[i]], public
        )


@dataclass(frozen=True, eq=False)
class _ActionLabels(Sequence[tuple[str, ...]]):
    actions: list[tuple[str, ...]]
    node: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.node)

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [self[k] for k in range(*i.indices(len(self)))]
        return self.actions[self.node[i]]
