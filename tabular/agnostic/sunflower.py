"""Sunflowers: classes that a few core policies cover, up to a few states for each policy.

A verifier follows the sets of core policies that still agree with a partial trajectory.
Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6, with the half-open reading of where
a petal excuses; the closed reading is there to be compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.tabular.agnostic.petals import as_petals
from rltheory.tabular.agnostic.policy_class import (
    PolicyClass,
    as_policy_class,
    check_policy_class,
)

Interval = Literal["half-open", "closed"]
"""Which states of a trajectory from step h to h' may be petals: (h, h'] or [h, h']."""

Path = tuple[int, tuple[int, ...]]
"""A first step, and the states from there on."""


@dataclass(frozen=True, eq=False)
class Sunflower:
    """A core of policies, and for every policy of a class the states that excuse it.

    core: K policies, not necessarily of the class. petals: (P, H, S) booleans.
    """

    core: PolicyClass
    petals: NDArray[np.bool_]

    @property
    def core_size(self) -> int:
        """K, the number of core policies."""
        return len(self.core)

    @property
    def petal_count(self) -> int:
        """D, the largest number of petals of a policy."""
        return int(self.petals.sum(axis=(1, 2)).max())


@dataclass(frozen=True)
class Uncovered:
    """A partial trajectory of a policy that no core policy shares and no petal excuses.

    policy: its index. start: the first step. states: from that step on.
    """

    policy: int
    start: int
    states: tuple[int, ...]


def uncovered(
    policies: PolicyClass,
    core: PolicyClass | ArrayLike,
    petals: ArrayLike,
    *,
    interval: Interval = "half-open",
) -> Uncovered | None:
    """Return a partial trajectory that refutes a sunflower, or None if it is one.

    A trajectory from step h to h' is any sequence of states with the policy's own actions; it needs
    a core policy with the same actions, or a petal among its states of (h, h'] (of [h, h'] in the
    closed interval). petals: (P, H, S) booleans. The cost grows with the number of sets of core
    policies that can still agree, not with that of trajectories.
    Raises ValueError if shapes do not fit or the interval is unknown.
    """
    agreed, marks = agreements(policies, core, interval), as_petals(petals, policies)
    sizes = np.asarray(policies.layer_sizes)
    for index, masks in enumerate(agreed):
        for start, states in open_paths(masks, marks[index], sizes, interval):
            return Uncovered(index, start, states)
    return None


def is_sunflower(
    policies: PolicyClass,
    core: PolicyClass | ArrayLike,
    petals: ArrayLike,
    *,
    interval: Interval = "half-open",
) -> bool:
    """Return whether every policy is covered by the core and its petals; see `uncovered`."""
    return uncovered(policies, core, petals, interval=interval) is None


def as_core(policies: PolicyClass, core: PolicyClass | ArrayLike) -> PolicyClass:
    """Return a core as a class.

    Raises TypeError if `policies` is none, ValueError unless the core acts where they act.
    """
    check_policy_class(policies)
    found = as_policy_class(core, policies.actions)
    if found.table.shape[1:] != policies.table.shape[1:] or found.actions != policies.actions:
        raise ValueError(
            f"core acts on layers {found.table.shape[1:]} with {found.actions} actions; expected "
            f"{policies.table.shape[1:]} and {policies.actions}"
        )
    return found


def agreements(
    policies: PolicyClass, core: PolicyClass | ArrayLike, interval: Interval
) -> list[list[list[int]]]:
    """Return for each policy the core policies that agree with it at each state, as bits (H, S)."""
    if interval not in get_args(Interval):
        raise ValueError(f"interval is {interval!r}; expected one of {get_args(Interval)}")
    table = as_core(policies, core).table
    return [_bits(table == row) for row in policies.table]


def _bits(agree: NDArray[np.bool_]) -> list[list[int]]:
    """Return (K, H, S) booleans as one integer of K bits at each (h, s)."""
    packed = np.packbits(agree, axis=0, bitorder="little")
    return [
        [int.from_bytes(packed[:, h, s].tobytes(), "little") for s in range(agree.shape[2])]
        for h in range(agree.shape[1])
    ]


def open_paths(
    masks: Sequence[Sequence[int]],
    petals: NDArray[np.bool_],
    sizes: NDArray[Any],
    interval: Interval,
) -> list[Path]:
    """Return trajectories that are not covered, the shortest for each set that they come from.

    Of the sets of core policies that agree so far only the least matter: what empties a set
    empties its subsets too.
    """
    found: list[Path] = []
    alive: dict[int, Path] = {}
    for h, size in enumerate(sizes):
        free = [s for s in range(size) if not petals[h, s]]
        begins = range(size) if interval == "half-open" else free
        following: dict[int, Path] = {}
        for s in begins:
            following.setdefault(masks[h][s], (h, (s,)))
        for mask, (start, states) in alive.items():
            for s in free:
                following.setdefault(mask & masks[h][s], (start, (*states, s)))
                if not mask & masks[h][s]:
                    found.append((start, (*states, s)))
        found += [(h, (s,)) for s in begins if not masks[h][s]]
        following.pop(0, None)
        alive = _least(following)
    return found


def _least(sets: dict[int, Path]) -> dict[int, Path]:
    """Return the entries whose set includes no other."""
    kept: dict[int, Path] = {}
    for mask in sorted(sets, key=int.bit_count):
        if not any(other & mask == other for other in kept):
            kept[mask] = sets[mask]
    return kept
