"""The traversal of the CFR family on JAX: leaves as one sum over entries, sets level by level.

The same functions of a `Variant` as in `rltheory.games.regret.cfr_kernel`, rewritten without
branches, so that a run agrees with the compiled one up to rounding. What differs between games of
one tree, the payoffs of leaves, is an argument: `jax.vmap` over it runs many games at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.backends import jax_module
from rltheory.games.forms.extensive import ExtensiveGame, SequenceForm
from rltheory.games.kernels import LANES
from rltheory.games.regret.branchless import branchless
from rltheory.games.regret.variant import Variant, no_signal, no_state

BLOCK = 1024
"""Rows of a schedule handed over at a time, filled up: their number is part of what is compiled."""


class Leaves(NamedTuple):
    """What a player is paid, entry by entry.

    slots (entries,): the own slot or empty sequence; others (entries, players - 1): those of the
    others; values (entries,): the payment times nature's chances.
    """

    slots: IntArray
    others: IntArray
    values: FloatArray


def leaves_of(form: SequenceForm, player: int) -> Leaves:
    """Return all leaves of a player as entries, those in blocks spelt out."""
    players = len(form.slot_start) - 1
    count = int(form.first[-1])
    own = np.r_[form.slot_start[player] : form.slot_start[player + 1], count + player]
    sizes = form.row_start[own + 1] - form.row_start[own]
    at = np.concatenate([np.arange(form.row_start[j], form.row_start[j + 1]) for j in own])
    parts = [(np.repeat(own, sizes), form.others[at], form.values[at])]
    rest = [p for p in range(players) if p != player]
    for block, hands in enumerate(form.hands):
        width = -(-int(hands[player]) // LANES) * LANES
        shape = (*(int(hands[p]) for p in rest), width)
        start = form.table_at[block, player]
        table = form.tables[start : start + int(np.prod(shape))].reshape(shape)
        index = np.indices((*shape[:-1], int(hands[player]))).reshape(players, -1)
        places = [
            form.block_slots[form.slots_at[block, p] + hand]
            for p, hand in zip((*rest, player), index, strict=True)
        ]
        parts.append((places[-1], np.stack(places[:-1], axis=1), table[tuple(index)]))
    slots, others, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Leaves(slots.astype(np.int64), others.astype(np.int64), values)


def levels_of(form: SequenceForm, player: int) -> list[IntArray]:
    """Return a player's sets by how many own moves come before, the fewest first."""
    count = int(form.first[-1])
    owner = np.repeat(np.arange(len(form.parent)), np.diff(form.first))
    depth = np.zeros(len(form.parent), dtype=np.int64)
    sets = np.arange(form.infoset_start[player], form.infoset_start[player + 1])
    for i in sets:
        parent = int(form.parent[i])
        depth[i] = 0 if parent >= count else depth[owner[parent]] + 1
    deepest = int(depth[sets].max()) if len(sets) else -1
    return [sets[depth[sets] == level] for level in range(deepest + 1)]


class Traversal:
    """Iterations of a variant on games of one tree, compiled when they are first run.

    forms: the games' arrays, which differ in their payoffs only; alternating as in
    `rltheory.games.cfr`.
    """

    def __init__(self, forms: Sequence[SequenceForm], variant: Variant, alternating: bool) -> None:
        self._jax = jax_module()
        self._numpy = self._jax.numpy
        form = self._form = forms[0]
        self.players = len(form.slot_start) - 1
        self.slots = int(form.first[-1])
        self.infosets = len(form.parent)
        self._leaves: list[Leaves] = []
        self._values: list[FloatArray] = []
        for player in range(self.players):
            found = [leaves_of(each, player) for each in forms]
            values = np.stack([leaves.values for leaves in found])
            kept = (values != 0.0).any(axis=0)
            self._leaves.append(Leaves(*(array[kept] for array in found[0])))
            self._values.append(values[:, kept])
        self._levels = [levels_of(form, player) for player in range(self.players)]
        self._owner = np.repeat(np.arange(self.infosets), np.diff(form.first))
        self._variant = variant
        self._functions = {name: branchless(f) for name, f in variant.functions().items()}
        every = list(range(self.players))
        self._turns = [[player] for player in every] if alternating else [every]
        self._signals = variant.signal is not no_signal or variant.track is not no_state
        self._run = self._jax.jit(self._jax.vmap(self._iterate, in_axes=(0, None, None, 0)))

    def run(
        self, numbers: FloatArray, arrays: Mapping[str, FloatArray]
    ) -> tuple[dict[str, FloatArray], bool]:
        """Return the arrays after so many iterations, and whether all strategies were fit to play.

        numbers (iterations, n): the schedule. arrays: those of a `CFRState`, each (games, ...).
        """
        xp = self._numpy
        strategies = xp.asarray(arrays["strategies"])
        reach = xp.ones((len(strategies), self.slots + self.players))
        for player in range(self.players):
            reach = self._jax.vmap(partial(self._reaches, player))(strategies, reach)
        state = {name: xp.asarray(array) for name, array in arrays.items()} | {"reach": reach}
        values = tuple(xp.asarray(each) for each in self._values)
        fit = True
        for begin in range(0, len(numbers), BLOCK):
            some = numbers[begin : begin + BLOCK]
            filled = np.zeros((BLOCK, numbers.shape[1]))
            filled[: len(some)] = some
            state, fine = self._run(values, filled, len(some), state)
            fit = fit and bool(fine.all())
        return {name: np.array(state[name]) for name in arrays}, fit

    def _iterate(self, values: Any, schedule: Any, count: Any, arrays: dict[str, Any]) -> Any:
        """Return one game's arrays after the first rows of a schedule, and whether all was fit."""

        def step(row: Any, carry: tuple[Any, Any]) -> tuple[Any, Any]:
            arrays, fit = carry
            for turn in self._turns:
                arrays, fine = self._turn(values, schedule[row], arrays, turn)
                fit = fit & fine
            return arrays, fit

        return self._jax.lax.fori_loop(0, count, step, (arrays, self._numpy.asarray(True)))

    def _turn(
        self, values: Any, c: Any, arrays: dict[str, Any], turn: list[int]
    ) -> tuple[dict[str, Any], Any]:
        xp, form = self._numpy, self._form
        worth = xp.zeros(self.slots + self.players)
        value = xp.zeros(self.infosets)
        for player in turn:
            worth, value = self._worths(player, values, arrays, worth, value)
        fine = xp.asarray(True)
        f = self._functions
        begin, end = form.infoset_start[turn[0]], form.infoset_start[turn[-1] + 1]
        at = np.arange(form.slot_start[turn[0]], form.slot_start[turn[-1] + 1])
        if not len(at):
            return arrays, fine
        owner = self._owner[at] - begin
        total_over = partial(
            self._jax.ops.segment_sum, segment_ids=owner, num_segments=int(end - begin),
            indices_are_sorted=True,
        )  # fmt: skip
        r = worth[at] - value[self._owner[at]]
        states, signals = self._tracked(c, arrays["states"], r, owner, int(begin), int(end))
        s = tuple(signal[owner] if np.ndim(signal) else signal for signal in signals)
        average = f["decay"](c) * arrays["average"][at] + f["weight"](c, s) * arrays["reach"][at]
        regrets = f["regret"](arrays["regrets"][at], r, c, s)
        before = arrays["memories"][at]
        shares = f["strategy"](regrets, r, before, c, s) + xp.zeros(len(at))
        fine = (shares >= 0.0).all()
        total = total_over(shares)[owner]
        number = np.bincount(owner)[owner]
        positive = xp.where(total > 0.0, total, 1.0)
        strategies = xp.where(total > 0.0, shares / positive, 1.0 / number)
        found = {
            "regrets": arrays["regrets"].at[at].set(regrets),
            "average": arrays["average"].at[at].set(average),
            "strategies": arrays["strategies"].at[at].set(strategies),
            "memories": arrays["memories"].at[at].set(f["memory"](regrets, r, before, c)),
            "states": states,
        }
        reach = arrays["reach"]
        for player in turn:
            reach = self._reaches(player, found["strategies"], reach)
        return found | {"reach": reach}, fine

    def _worths(
        self, player: int, values: Any, arrays: dict[str, Any], worth: Any, value: Any
    ) -> tuple[Any, Any]:
        """Add what a player's slots are paid, and what follows them, from the last level on."""
        leaves, form = self._leaves[player], self._form
        paid = values[player] * arrays["reach"][leaves.others].prod(axis=1)
        worth = worth.at[leaves.slots].add(paid)
        for sets in reversed(self._levels[player]):
            at, place = _slots_of(form, sets)
            flow = arrays["strategies"][at] * worth[at]
            sums = self._jax.ops.segment_sum(flow, place, num_segments=len(sets))
            value = value.at[sets].set(sums)
            worth = worth.at[form.parent[sets]].add(sums)
        return worth, value

    def _reaches(self, player: int, strategies: Any, reach: Any) -> Any:
        """Write a player's own probability of each slot, from the first level on."""
        form = self._form
        for sets in self._levels[player]:
            at, place = _slots_of(form, sets)
            reach = reach.at[at].set(reach[form.parent[sets][place]] * strategies[at])
        return reach

    def _tracked(
        self, c: Any, states: Any, r: Any, owner: IntArray, begin: int, end: int
    ) -> tuple[Any, tuple[Any, ...]]:
        """Return the new states, and the four signals of the sets from `begin` to `end`."""
        if not self._signals:
            return states, (0.0, 0.0, 0.0, 0.0)
        xp, f = self._numpy, self._functions
        size = self._jax.ops.segment_max(
            xp.abs(r), owner, num_segments=end - begin, indices_are_sorted=True
        )
        if self._variant.shared_state:

            def onward(g: Any, one: Any) -> tuple[Any, Any]:
                g = f["track"](one, g, c)
                return g, g

            last, seen = self._jax.lax.scan(onward, states[0], size)
            return states.at[0].set(last), f["signal"](size, seen, c)
        seen = f["track"](size, states[begin:end], c) + xp.zeros(end - begin)
        return states.at[begin:end].set(seen), f["signal"](size, seen, c)


def _slots_of(form: SequenceForm, sets: IntArray) -> tuple[IntArray, IntArray]:
    """Return the slots of some sets, and which of the sets each is of."""
    counts = form.first[sets + 1] - form.first[sets]
    at = np.concatenate([np.arange(form.first[i], form.first[i + 1]) for i in sets])
    return at, np.repeat(np.arange(len(sets)), counts)


def traversal(games: Sequence[ExtensiveGame], variant: Variant, alternating: bool) -> Traversal:
    """Return a variant's iterations on games of one tree; the last few are kept, compiled."""
    # The schedule is an argument of what is compiled, and each call of a variant makes a new one.
    alike = replace(variant, schedule=_no_schedule, name="", title="", source="")
    return _kept(tuple(games), alike, alternating)


@lru_cache(maxsize=8)
def _kept(games: tuple[ExtensiveGame, ...], variant: Variant, alternating: bool) -> Traversal:
    return Traversal([game.form for game in games], variant, alternating)


def _no_schedule(t: int, n: int) -> tuple[float, ...]:
    return ()
