"""Populations of policies and what they earn against each other, exactly.

Each new policy adds one slice to the payoff tensor and nothing else is worked out again. With two
players a slice is one pass over the game's leaves and a product with the other's plans; with more,
the leaves that the new policy reaches are contracted with the plans of the others.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray
from rltheory.games import kernels
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.kernels import padded
from rltheory.games.oracles import psro_kernels

Plans = tuple[FloatArray, ...]
"""Per player the realisation plans of its policies, (k, own slots)."""


def plans_of(game: ExtensiveGame, profile: FloatArray) -> Plans:
    """Return the plan of each player in a profile of behaviour strategies, (1, own slots) each."""
    reach = np.ones(game.slots + game.players)
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, reach)
    return tuple(np.array(part[None]) for part in _parts(game, reach))


def add(plans: Plans, player: int, plan: FloatArray) -> Plans:
    """Return the populations with one more policy of a player."""
    grown = np.concatenate([plans[player], plan[None]])
    return (*plans[:player], grown, *plans[player + 1 :])


def has(plans: FloatArray, plan: FloatArray) -> bool:
    """Whether a plan is in a population (k, own slots), to the bit."""
    return bool(np.any(np.all(plans == plan, axis=1)))


def distinct(plans: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which policies are the first of their kind, and the kind of each, (k,)."""
    kinds: dict[bytes, int] = {}
    # Rows of zeros of either sign are the same plan.
    which = np.array([kinds.setdefault((plan + 0.0).tobytes(), len(kinds)) for plan in plans])
    return np.unique(which, return_index=True)[1], which


def of_kinds(plans: Plans) -> Plans:
    """Return populations without repeats."""
    return tuple(policies[distinct(policies)[0]] for policies in plans)


def expanded(payoffs: FloatArray, plans: Plans) -> FloatArray:
    """Return the tensor of all policies, given that of populations without repeats."""
    kinds = [distinct(policies)[1] for policies in plans]
    if all(len(which) == count for which, count in zip(kinds, payoffs.shape[1:], strict=True)):
        return payoffs
    return payoffs[np.ix_(np.arange(len(payoffs)), *kinds)]


def behaviour(game: ExtensiveGame, reach: FloatArray) -> FloatArray:
    """Return the behaviour strategies of plans (slots + players,), uniform where they do not go."""
    profile = np.empty(game.slots)
    for p, plan in enumerate(_parts(game, reach)):
        psro_kernels.follow(game.compiled, p, np.ascontiguousarray(plan), profile)
    return profile


def _parts(game: ExtensiveGame, over_slots: FloatArray) -> list[FloatArray]:
    bounds = game.form.slot_start
    return [over_slots[bounds[p] : bounds[p + 1]] for p in range(game.players)]


def check_memory(counts: tuple[int, ...], limit: float, hint: str) -> None:
    """Raise ValueError if the payoff tensor of populations of these sizes exceeds `limit` bytes."""
    size = 8.0 * len(counts) * float(np.prod(np.array(counts, dtype=np.float64)))
    if size > limit:
        most = int((limit / (8 * len(counts))) ** (1 / len(counts)))
        raise ValueError(
            f"the payoffs among populations of {' x '.join(map(str, counts))} policies take "
            f"{size / 2**30:.3g} GiB; memory_limit is {limit / 2**30:.3g} GiB, enough for {most} "
            f"policies of each of {len(counts)} players: {hint}"
        )


@dataclass(frozen=True, eq=False)
class Leaves:
    """The leaves that pay a player, one by one.

    places (leaves, players): each player's slot, counted from its first; the empty sequence after
    its last. values (leaves,): what the player is paid, times the chance of nature's moves.
    """

    places: NDArray[np.int32]
    values: FloatArray


@dataclass(frozen=True, eq=False)
class PayoffTable:
    """How the payoff tensor of a game grows; `leaves` are listed when first needed."""

    game: ExtensiveGame

    def start(self, plans: Plans) -> FloatArray:
        """Return the payoffs among whole populations, (players, k_1, ..., k_n)."""
        players = self.game.players
        payoffs = np.zeros((players, *(0 if p == 0 else 1 for p in range(players))))
        return self.grow(payoffs, plans)

    def grow(self, payoffs: FloatArray, plans: Plans) -> FloatArray:
        """Return the tensor with the slices of all policies that it does not have yet."""
        for q in range(self.game.players):
            old, counts = payoffs.shape[q + 1], payoffs.shape[1:]
            present = tuple(plans[p][: counts[p]] for p in range(self.game.players))
            for plan in plans[q][old:]:
                part = np.expand_dims(self.slice(q, plan, present), q + 1)
                payoffs = np.concatenate([payoffs, part], axis=q + 1)
        return payoffs

    def slice(self, player: int, plan: FloatArray, plans: Plans) -> FloatArray:
        """Return what a policy earns everybody against all of the others' policies.

        Shape (players, k of each other player in order).
        """
        players = self.game.players
        if self.game.zero_sum and players == 2:
            # What the other gets is a product with the others' plans; the policy loses it.
            other = self._against(player, plan, plans[1 - player])
            return np.stack([other, -other] if player == 1 else [-other, other])
        free = [p for p in range(players) if p != player]
        part = np.empty((players, *(len(plans[p]) for p in free)))
        paid = players - 1 if self.game.zero_sum else players
        for p in range(paid):
            if players <= 2:
                part[p] = self._direct(p, player, plan, plans)
            else:
                part[p] = self._contracted(p, player, plan, plans)
        if paid < players:
            part[-1] = -part[:-1].sum(axis=0)
        return part

    def _against(self, player: int, plan: FloatArray, others: FloatArray) -> FloatArray:
        """What the other of two players gets with each of its policies against a plan."""
        game, begin = self.game, self.game.form.slot_start[player]
        reach, worth = np.ones((2, game.slots + game.players))
        reach[begin : begin + len(plan)] = plan
        earned = np.empty(len(others))
        kernels.slot_payoffs(game.compiled, 1 - player, reach, worth)
        psro_kernels.earn(game.compiled, 1 - player, others, worth, earned)
        return earned

    def _direct(self, paid: int, player: int, plan: FloatArray, plans: Plans) -> FloatArray:
        """One or two players: what `paid` gets, by passes over the leaves."""
        game = self.game
        if game.players == 1:
            reach, worth = np.ones((2, game.slots + 1))
            kernels.slot_payoffs(game.compiled, 0, reach, worth)
            alone = np.empty(1)
            psro_kernels.earn(game.compiled, 0, plan[None], worth, alone)
            return alone.reshape(())
        if paid != player:
            return self._against(player, plan, plans[paid])
        rows = [self._against(1 - player, other, plan[None]) for other in plans[1 - player]]
        return np.concatenate(rows)

    def _contracted(self, paid: int, player: int, plan: FloatArray, plans: Plans) -> FloatArray:
        """Three or more players: sum over leaves, two players' policies free at a time."""
        leaves = self.leaves[paid]
        weights = leaves.values * _extended(plan)[leaves.places[:, player]]
        *fixed, here, there = [p for p in range(self.game.players) if p != player]
        first = np.ascontiguousarray(_extended(plans[here]).T)
        second = _extended(plans[there])
        result = np.empty([len(plans[p]) for p in (*fixed, here, there)])
        for chosen in product(*(range(len(plans[p])) for p in fixed)):
            chance = weights
            for p, policy in zip(fixed, chosen, strict=True):
                chance = chance * _extended(plans[p][policy])[leaves.places[:, p]]
            reached = np.flatnonzero(chance)
            places = leaves.places[reached]
            total = np.zeros((second.shape[1], first.shape[1]))
            psro_kernels.contract(first, places[:, here], places[:, there], chance[reached], total)
            result[chosen] = (second @ total).T
        return result

    @cached_property
    def leaves(self) -> tuple[Leaves, ...]:
        """The leaves of each player's payoffs, without those that pay nothing."""
        return tuple(_leaves(self.game, p) for p in range(self.game.players))


def _extended(plans: FloatArray) -> FloatArray:
    """Plans with the empty sequence, reached with probability 1, after the slots."""
    return np.concatenate([plans, np.ones((*plans.shape[:-1], 1))], axis=-1)


class _Part(NamedTuple):
    slots: NDArray[np.int32]
    values: FloatArray


def _leaves(game: ExtensiveGame, player: int) -> Leaves:
    form, players = game.form, game.players
    others = [p for p in range(players) if p != player]
    own = np.repeat(np.arange(game.slots + players), np.diff(form.row_start))
    bounds = form.slot_start
    mine = ((own >= bounds[player]) & (own < bounds[player + 1])) | (own == game.slots + player)
    slots = np.empty((int(mine.sum()), players), dtype=np.int32)
    slots[:, player] = own[mine]
    slots[:, others] = form.others[mine]
    parts = [_Part(slots, form.values[mine])]
    parts += [_block(game, player, others, b) for b in range(len(form.hands))]
    slots = np.concatenate([part.slots for part in parts])
    values = np.concatenate([part.values for part in parts])
    paying = values != 0
    slots, values = slots[paying], values[paying]
    empty = np.diff(bounds)
    places = np.where(slots < game.slots, slots - bounds[:-1], empty).astype(np.int32)
    return Leaves(places, values)


def _block(game: ExtensiveGame, player: int, others: list[int], block: int) -> _Part:
    """The entries of a table, (others in order, player itself), that are not zero."""
    form = game.form
    hands, at = form.hands[block].astype(int), int(form.table_at[block, player])
    width = int(padded(hands[player]))
    shape = (*(int(hands[p]) for p in others), width)
    table = form.tables[at : at + int(np.prod(shape))].reshape(shape)
    found = np.nonzero(table)
    slots = np.empty((len(found[0]), game.players), dtype=np.int32)
    for p, hand in zip((*others, player), found, strict=True):
        slots[:, p] = form.block_slots[form.slots_at[block, p] + hand]
    return _Part(slots, table[found])
