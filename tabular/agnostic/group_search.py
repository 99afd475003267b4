"""Plays of the adversary who keeps policies apart: greedy ones, and the best one by search.

Greedy play places groups one after the other where the family keeps the most behaviours, and then
moves single groups while that helps. The search asks whether a number of pairs can be reached,
placing groups layer by layer, cut by the bounds of `groups` and by families that failed before.
"""

from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.tabular.agnostic.groups import Family, Groups

Pair = tuple[int, int]
"""A state and an action of one layer."""

TREES_PER_SEARCH = 20_000
DEEPEST = 500
"""Placements that may stand one on another; larger searches would exhaust the stack."""


@dataclass(frozen=True)
class Plan:
    """A deterministic MDP: the first state, and where pairs (state, action) of each layer lead."""

    start: int
    moves: list[dict[Pair, int]]
    pairs: int

    def successors(self, layers: int, states: int, actions: int) -> IntArray:
        """Return where each pair of so many layers leads, (layers, states, actions); 0 if open."""
        goes = np.zeros((layers, states, actions), dtype=np.int64)
        for h, moves in enumerate(self.moves):
            for (state, action), place in moves.items():
                goes[h, state, action] = place
        return goes


@dataclass(frozen=True)
class Found:
    """What a search knows: no play exceeds `upper`; `plan` is better than before, if one was found.

    work: placements of groups that were tried, and the bounds of families in the same unit.
    """

    upper: int
    plan: Plan | None
    work: int


def play(groups: Groups, enough: int, restarts: int, generator: np.random.Generator) -> Plan:
    """Return the best of up to `restarts` greedy plays; stops at `enough` pairs."""
    best: Plan | None = None
    for _ in range(restarts):
        plan = _greedy(groups, generator)
        if best is None or plan.pairs > best.pairs:
            best = plan
        if best.pairs >= enough:
            break
    assert best is not None
    return best


def _greedy(groups: Groups, generator: np.random.Generator) -> Plan:
    start, moves = 0, []
    family: dict[Pair, int] = {(0, 0): groups.root()[0]}
    for h in range(groups.target + 1):
        places = _place(groups, h, list(family.values()), generator)
        if h == 0:
            start = places[0]
        else:
            moves.append(dict(zip(family, places, strict=True)))
        family = _split(groups, h, list(family.values()), places)
    return Plan(start, moves, len(family))


def _place(groups: Groups, h: int, family: list[int], generator: np.random.Generator) -> list[int]:
    """States for the groups of a family, each best where the others are, as far as was tried."""
    splits, states = groups.splits[h], groups.states(h)
    left = groups.target - h
    worth: int = min(groups.most[groups.target], groups.actions**left)

    def score(x: int, members: int) -> float:
        # Behaviours kept, up to what one group can turn into; at the target, pairs.
        cells = [(members & mask).bit_count() for mask in splits[x]]
        return sum(min(cell, worth) + 0.01 * (cell > 0) for cell in cells)

    held = [0] * states
    marks = [0.0] * states
    order = sorted(
        generator.permutation(len(family)).tolist(),
        key=lambda g: -min(family[g].bit_count(), worth),
    )
    places = [-1] * len(family)
    for g in order:
        best, chosen = -np.inf, 0
        for x in generator.permutation(states).tolist():
            gain = score(x, held[x] | family[g]) - marks[x]
            if gain > best:
                best, chosen = gain, x
        places[g] = chosen
        held[chosen] |= family[g]
        marks[chosen] = score(chosen, held[chosen])
    for _ in range(3):
        moved = False
        for g in order:
            old = places[g]
            rest = 0
            for other, place in enumerate(places):
                if place == old and other != g:
                    rest |= family[other]
            loss = marks[old] - score(old, rest)
            for x in range(states):
                if x != old and score(x, held[x] | family[g]) - marks[x] > loss + 1e-9:
                    places[g], held[old] = x, rest
                    held[x] |= family[g]
                    marks[old], marks[x] = score(old, rest), score(x, held[x])
                    moved = True
                    break
        if not moved:
            break
    return places


def _split(groups: Groups, h: int, family: list[int], places: list[int]) -> dict[Pair, int]:
    """The groups that leave layer h, by pair, as behaviours from layer h + 1 on."""
    united: dict[int, int] = {}
    for group, place in zip(family, places, strict=True):
        united[place] = united.get(place, 0) | group
    return {
        (x, a): groups.onwards(h, members & mask)
        for x, members in united.items()
        for a, mask in enumerate(groups.splits[h][x])
        if members & mask
    }


def search(groups: Groups, lower: int, upper: int, work: int) -> Found:
    """Close the bracket [lower, upper] of the pairs at the target, as far as `work` goes."""
    groups.budget = TREES_PER_SEARCH
    upper = min(upper, groups.bound(groups.root(), 0))
    hunt = _Hunt(groups, work)
    plan = None
    while lower < upper:
        hunt.depth = 0
        try:
            found = hunt.reaches(lower + 1, 0, groups.root())
        except _OutOfWork:
            break
        if found is None:
            upper = lower
        else:
            plan = _replay(groups, found)
            lower = plan.pairs
    return Found(max(upper, lower), plan, hunt.spent)


class _OutOfWork(Exception):
    pass


class _Hunt:
    """A search for plays with a given number of pairs; what failed once is not tried again."""

    def __init__(self, groups: Groups, work: int) -> None:
        self.groups, self.work, self.spent, self.depth = groups, work, 0, 0
        self.failed: list[dict[Family, int]] = [{} for _ in range(groups.target + 1)]

    def reaches(self, aim: int, h: int, family: Family) -> list[tuple[int, ...]] | None:
        """Return places by layer for the sorted family, or None if `aim` is out of its reach."""
        if self.failed[h].get(family, aim + 1) <= aim:
            return None
        if self.groups.bound(family, h, aim) >= aim:
            found = self._place(aim, h, family)
            if found is not None:
                return found
        self.failed[h][family] = aim
        return None

    def _place(self, aim: int, h: int, family: Family) -> list[tuple[int, ...]] | None:
        groups, states = self.groups, self.groups.states(h)
        splits = groups.splits[h]
        worth = [
            [sum(groups.leaf(h, part) for mask in row if (part := group & mask)) for row in splits]
            for group in family
        ]
        order = sorted(range(len(family)), key=lambda g: (-max(worth[g]), family[g]))
        # rest[k]: what the groups from the k-th on can still add.
        rest = [0] * (len(family) + 1)
        for k in reversed(range(len(family))):
            rest[k] = rest[k + 1] + max(worth[order[k]])
        twins = _twins(splits)
        # single[g][x]: whether the group takes one action only at the state.
        single = [
            [sum(1 for mask in row if group & mask) == 1 for row in splits] for group in family
        ]
        places = [-1] * len(family)
        apart = [False] * states
        seen: set[Family] = set()

        def extend(k: int, sum_so_far: int, held: list[int]) -> list[tuple[int, ...]] | None:
            self.spent += 1
            if self.spent > self.work:
                raise _OutOfWork
            if sum_so_far + rest[k] < aim:
                return None
            if k == len(family):
                return self._leave(aim, h, family, places, seen)
            g = order[k]
            same = k > 0 and family[order[k - 1]] == family[g]
            fresh: set[int] = set()
            # Whether a state will be free in the end if this group shares one. Then a group with
            # one action at its shared state keeps more apart there, and sharing is not needed.
            spare = held.count(0) >= len(family) - k
            for x in sorted(range(states), key=lambda x: (-worth[g][x], held[x] != 0)):
                # Equal groups in order of their states; equal empty states once.
                if same and x < places[order[k - 1]]:
                    continue
                if not held[x] and not same:
                    if twins[x] in fresh:
                        continue
                    fresh.add(twins[x])
                if held[x] and spare and (single[g][x] or apart[x]):
                    continue
                places[g] = x
                before, alone = held[x], apart[x]
                held[x], apart[x] = before | family[g], alone or single[g][x]
                found = extend(k + 1, sum_so_far + worth[g][x], held)
                held[x], apart[x] = before, alone
                if found is not None:
                    return found
            return None

        if self.depth + len(family) > DEEPEST:
            raise _OutOfWork
        self.depth += len(family)
        found = extend(0, 0, [0] * states)
        self.depth -= len(family)
        return found

    def _leave(
        self, aim: int, h: int, family: Family, places: list[int], seen: set[Family]
    ) -> list[tuple[int, ...]] | None:
        groups = self.groups
        cells = _split(groups, h, list(family), places)
        if h == groups.target:
            return [tuple(places)] if len(cells) >= aim else None
        following = tuple(sorted(cells.values()))
        if following in seen:
            return None
        seen.add(following)
        self.spent += groups.states(h) // 2  # Bounds of a family cost more than a placement.
        found = self.reaches(aim, h + 1, following)
        return None if found is None else [tuple(places), *found]


def _twins(splits: list[list[int]]) -> list[int]:
    """For each state the first one at which all policies act alike."""
    first: dict[tuple[int, ...], int] = {}
    return [first.setdefault(tuple(row), x) for x, row in enumerate(splits)]


def _replay(groups: Groups, places: list[tuple[int, ...]]) -> Plan:
    """The plan of places that `reaches` found, which go by the sorted family of each layer."""
    moves: list[dict[Pair, int]] = []
    cells: dict[Pair, int] = {(0, 0): groups.root()[0]}
    for h, chosen in enumerate(places):
        ordered = sorted(cells, key=lambda pair: cells[pair])
        where = dict(zip(ordered, chosen, strict=True))
        if h:
            moves.append(where)
        cells = _split(groups, h, [cells[pair] for pair in ordered], list(chosen))
    return Plan(places[0][0], moves, len(cells))
