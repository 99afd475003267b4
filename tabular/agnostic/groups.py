"""Groups of policies that are still together, as sets of their remaining behaviours, and bounds.

Only what a policy does from layer h to the target matters for a group at layer h, so a group is a
set (bits of a Python integer) of classes of policies that agree from there on; families of equal
such sets have equal futures. Relaxations bound the pairs that a family can reach.
"""

from dataclasses import dataclass

import numpy as np

from rltheory.tabular.agnostic.policy_class import PolicyClass

Family = tuple[int, ...]
"""Groups at one layer, each a set of behaviours as bits."""

LARGE = 32
"""Groups of fewer behaviours are split exactly in bounds."""

MOST_UNITS = 200
"""Larger matchings are bounded by the smaller side."""


@dataclass(eq=False)
class Groups:
    """A class up to layer `target`, by what its policies do from each layer on.

    splits[h][x][a]: the behaviours at layer h that take action a at state x; after[h]: what each
    behaviour at layer h turns into at layer h + 1; counts[h]: behaviours; most[h]: pairs of layer
    h that any policy takes; spread[h]: the most actions taken at one state of it.
    usual[h][x]: the action that most behaviours at layer h take at state x; unusual[t][h]: the
    behaviours at layer h that take another one somewhere in layer t.
    budget: groups whose bound by trees may still be computed; beyond, a cruder one stands in.
    Caches fill as groups are asked for.
    """

    actions: int
    splits: list[list[list[int]]]
    after: list[np.ndarray]

    def __post_init__(self) -> None:
        self.target = len(self.splits) - 1
        self.counts = [len(table) for table in self.after]
        taken = [[sum(mask > 0 for mask in row) for row in layer] for layer in self.splits]
        self.most, self.spread = [sum(row) for row in taken], [max(row) for row in taken]
        self.usual = [
            [max(range(self.actions), key=lambda a: row[a].bit_count()) for row in layer]
            for layer in self.splits
        ]
        self.unusual = [self._unusual(t) for t in range(self.target + 1)]
        self.budget = 0
        self._next: list[dict[int, int]] = [{} for _ in self.splits]
        self._trees: list[dict[int, int]] = [{} for _ in self.splits]
        self._rows: list[dict[int, tuple[list[int], list[int]]]] = [{} for _ in self.splits]
        self._rare: list[list[dict[int, int]]] = [[{} for _ in row] for row in self.unusual]

    @staticmethod
    def ladder(policies: PolicyClass) -> list["Groups"]:
        """Return the groups of a class for counting pairs at layer 0, 1, ..., H - 1."""
        sizes = np.asarray(policies.layer_sizes)
        layers = [np.asarray(policies.table)[:, h, :size] for h, size in enumerate(sizes)]
        names = [np.unique(layer, axis=0, return_inverse=True)[1].reshape(-1) for layer in layers]
        return [Groups._of(layers[: t + 1], names, policies.actions) for t in range(len(layers))]

    @staticmethod
    def _of(layers: list[np.ndarray], names: list[np.ndarray], actions: int) -> "Groups":
        """Groups at the last of the layers (P, n); names number the rows of each layer, (P,)."""
        label = np.zeros(len(names[0]), dtype=np.int64)
        splits: list[list[list[int]]] = []
        after: list[np.ndarray] = []
        for layer, name in zip(reversed(layers), reversed(names[: len(layers)]), strict=True):
            ends = int(label.max()) + 1
            behaviours, first, label = np.unique(
                name * ends + label, return_index=True, return_inverse=True
            )
            columns = layer[first].T
            splits.append([[_bits(column == a) for a in range(actions)] for column in columns])
            after.append(behaviours % ends)
        return Groups(actions, splits[::-1], after[::-1])

    def _unusual(self, t: int) -> list[int]:
        group = 0
        for row, usual in zip(self.splits[t], self.usual[t], strict=True):
            group |= ~row[usual] & ((1 << self.counts[t]) - 1)
        found = [group]
        chosen = _members(group, self.counts[t])
        for table in reversed(self.after[:t]):
            chosen = chosen[table]
            found.append(_bits(chosen))
        return found[::-1]

    def root(self) -> Family:
        """All policies in one group, at the first layer."""
        return ((1 << self.counts[0]) - 1,)

    def states(self, h: int) -> int:
        """The states of layer h."""
        return len(self.splits[h])

    def onwards(self, h: int, group: int) -> int:
        """Return the behaviours from layer h + 1 on of a group at layer h."""
        if h == self.target:
            return 1
        kept = self._next[h].get(group)
        if kept is None:
            kept = self._next[h][group] = self._onwards(h, group)
        return kept

    def _onwards(self, h: int, group: int) -> int:
        seen = np.zeros(self.counts[h + 1], dtype=bool)
        seen[self.after[h][_members(group, self.counts[h])]] = True
        return _bits(seen)

    def tree(self, h: int, group: int) -> int:
        """Return a bound on the pairs that one group at layer h reaches at the target.

        The most leaves of a tree in which no two groups ever want the same state. What a family
        reaches is reached by one of its groups, so the sum over its groups bounds a family.
        """
        simple: int = min(group.bit_count(), self.actions ** (self.target - h + 1))
        if simple == 1:
            return 1
        kept = self._trees[h].get(group)
        if kept is not None:
            return kept
        if self.budget <= 0:
            return simple
        self.budget -= 1
        most = min(simple, self._alone(h, group))
        best = 1
        for row in self.splits[h]:
            parts = self._parts(group, row)
            best = max(best, sum(self.leaf(h, part) for part in parts))
            if best >= most:
                best = most
                break
        self._trees[h][group] = best
        return best

    def rare(self, layer: int, h: int, group: int) -> int:
        """Return a bound on the rare pairs that one group at layer h reaches at a later layer.

        Rare are all actions of a state but the one that most behaviours take there.
        """
        simple = (group & self.unusual[layer][h]).bit_count()
        if not simple:
            return 0
        kept = self._rare[layer][h].get(group)
        if kept is not None:
            return kept
        if self.budget <= 0:
            return simple
        self.budget -= 1
        most = min(simple, self.most[layer] - self.states(layer))
        best = 0
        for x, row in enumerate(self.splits[h]):
            if h == layer:
                usual = self.usual[h][x]
                found = sum(1 for a, mask in enumerate(row) if a != usual and group & mask)
            else:
                parts = self._parts(group, row)
                found = sum(self.rare(layer, h + 1, self.onwards(h, part)) for part in parts)
            best = max(best, found)
            if best >= most:
                best = most
                break
        self._rare[layer][h][group] = best
        return best

    @staticmethod
    def _parts(group: int, row: list[int]) -> list[int]:
        """A group by its actions at a state. If nearly all take one, all are kept in its place.

        Then what remains of large groups is the same whatever the state, and bounded once.
        """
        parts = [part for mask in row if (part := group & mask)]
        size = group.bit_count()
        if size < LARGE:
            return parts
        return [group if 2 * part.bit_count() > size else part for part in parts]

    def _alone(self, h: int, group: int) -> int:
        """A bound by what the group does in each layer: a state adds its actions less one."""
        found = 1
        for t in range(h, self.target + 1):
            taken = [sum(1 for mask in row if group & mask) for row in self.splits[t]]
            if t == h:
                found = max(taken)
            else:
                found = min(found + sum(taken) - len(taken), found * max(taken), sum(taken))
            group = self.onwards(t, group)
        return found

    def leaf(self, h: int, part: int) -> int:
        """Return the bound of `tree` for a group that left layer h by one action."""
        return 1 if h == self.target else self.tree(h + 1, self.onwards(h, part))

    def bound(self, family: Family, h: int, aim: int = 0) -> int:
        """Return a number of pairs at the target that no play from a family at layer h exceeds.

        The first number found below `aim` is enough.
        """
        alone = sum(self.tree(h, group) for group in family)
        if alone < aim:
            return alone
        groups = min(len(family) + self.growth(family, h), self.most[h])
        for t in range(h + 1, self.target + 1):
            gains = min(self.most[t] - self.states(t), groups * (self.spread[t] - 1))
            # At each state that groups come to, the usual action and rare ones.
            rare = sum(self.rare(t, h, group) for group in family)
            groups = min(groups + gains, min(groups, self.states(t)) + rare, self.most[t])
        return min(alone, groups)

    def growth(self, family: Family, h: int) -> int:
        """Return a bound on how many more groups leave layer h than came.

        At a state with m groups that take the sets S_1, ..., S_m of actions, c together, c - m is
        at most the sum of |S_i| - 1 and at most one less than all actions taken there: a matching
        of units of groups with units of states bounds the sum over states.
        """
        rows = [self._row(h, group) for group in family]
        room = [0] * self.states(h)
        for _, taken in rows:
            room = [mine | theirs for mine, theirs in zip(room, taken, strict=True)]
        return _matching([gain for gain, _ in rows], [max(r.bit_count() - 1, 0) for r in room])

    def _row(self, h: int, group: int) -> tuple[list[int], list[int]]:
        """By state: a group's actions less one, and the set of its actions as bits."""
        kept = self._rows[h].get(group)
        if kept is None:
            taken = [
                sum(1 << a for a, mask in enumerate(row) if group & mask) for row in self.splits[h]
            ]
            kept = self._rows[h][group] = ([t.bit_count() - 1 for t in taken], taken)
        return kept


def _matching(gains: list[list[int]], room: list[int]) -> int:
    """The most units placed: unit k of group g fits state x if gains[g][x] > k; room by state."""
    units = [
        [x for x, gain in enumerate(row) if gain > k] for row in gains for k in range(max(row))
    ]
    if len(units) > MOST_UNITS:
        return min(len(units), sum(room))
    held: list[list[int]] = [[] for _ in room]

    def place(unit: int, tried: set[int]) -> bool:
        for x in units[unit]:
            if x in tried or not room[x]:
                continue
            tried.add(x)
            if len(held[x]) < room[x]:
                held[x].append(unit)
                return True
            for slot, other in enumerate(held[x]):
                if place(other, tried):
                    held[x][slot] = unit
                    return True
        return False

    return sum(place(unit, set()) for unit in range(len(units)))


def _bits(chosen: np.ndarray) -> int:
    return int.from_bytes(np.packbits(chosen, bitorder="little").tobytes(), "little")


def _members(group: int, count: int) -> np.ndarray:
    raw = np.frombuffer(group.to_bytes((count + 7) // 8, "little"), dtype=np.uint8)
    return np.unpackbits(raw, bitorder="little", count=count).astype(bool)
