"""Sunflowers: classes that a few core policies cover, up to a few states for each policy.

A verifier follows the sets of core policies that still agree with a partial trajectory; the least
petals come from integer programs (HiGHS) to which it adds the trajectories that are not covered.
Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6, with the half-open reading of where
a petal excuses; the closed reading is there to be compared.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import check_positive_integer, read_only
from rltheory.tabular.agnostic.policy_class import PolicyClass, as_policy_class

Interval = Literal["half-open", "closed"]
"""Which states of a trajectory from step h to h' may be petals: (h, h'] or [h, h']."""

MOST_CANDIDATES = 5000
"""Searches over larger sets of core policies are refused."""

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
    agreed, marks = _inputs(policies, core, interval), _petals(policies, petals)
    sizes = np.asarray(policies.layer_sizes)
    for index, masks in enumerate(agreed):
        for start, states in _open_paths(masks, marks[index], sizes, interval):
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


def minimal_petals(
    policies: PolicyClass, core: PolicyClass | ArrayLike, *, interval: Interval = "half-open"
) -> Sunflower | None:
    """Return the sunflower of a core with as few petals for each policy as can be.

    Each policy's petals are a least hitting set of its uncovered trajectories, found by integer
    programs over those met so far. None if some trajectory has no state that could excuse it.
    Raises ValueError if shapes do not fit or the interval is unknown.
    """
    agreed = _inputs(policies, core, interval)
    sizes = np.asarray(policies.layer_sizes)
    found = np.zeros(policies.table.shape, dtype=bool)
    for index, masks in enumerate(agreed):
        demands: dict[frozenset[int], None] = {}
        while paths := _open_paths(masks, found[index], sizes, interval):
            for path in paths:
                cells = _excuses(path, policies.states, interval)
                if not cells:
                    return None
                demands[cells] = None
            found[index].ravel()[:] = _hitting_set(list(demands), found[index].size)
    return Sunflower(_as_core(policies, core), read_only(found))


def sunflower(
    policies: PolicyClass,
    core_size: int,
    *,
    candidates: PolicyClass | ArrayLike | None = None,
    interval: Interval = "half-open",
) -> Sunflower | None:
    """Return the sunflower of up to `core_size` core policies with the least number of petals D.

    candidates: what the core is chosen from; by default all Markov policies, on tiny classes.
    One integer program chooses core and petals, and is solved again with the trajectories that its
    answer leaves uncovered, until there are none. None if no such core has petals at all.
    Raises ValueError if there are more than `MOST_CANDIDATES` candidates or arguments do not fit.
    """
    limit = check_positive_integer(core_size, "core_size")
    pool = _all_markov(policies) if candidates is None else _as_core(policies, candidates)
    if len(pool) > MOST_CANDIDATES:
        raise ValueError(f"candidates has {len(pool)} policies; at most {MOST_CANDIDATES}")
    agreed = _inputs(policies, pool, interval)
    sizes = np.asarray(policies.layer_sizes)
    paths = {(p, path): None for p in range(len(policies)) for path in _short_paths(sizes)}
    while True:
        chosen = _choose(policies, pool, list(paths), limit, interval)
        if chosen is None:
            return None
        members, petals = chosen
        kept = sum(1 << int(c) for c in members)
        missing = [
            (p, path)
            for p, masks in enumerate(agreed)
            for path in _open_paths(
                [[m & kept for m in row] for row in masks], petals[p], sizes, interval
            )
        ]
        if not missing:
            core = PolicyClass(pool.table[members], pool.actions, pool.layer_sizes)
            # The program bounds the largest number of petals only; here every one is least.
            return minimal_petals(policies, core, interval=interval)
        paths.update(dict.fromkeys(missing))


def own_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of any class with itself as core: (P, 0)."""
    return Sunflower(policies, np.zeros(policies.table.shape, dtype=bool))


def open_loop_core(policies: PolicyClass) -> Sunflower:
    """Return the (A^H, 0)-sunflower of any class: all plans that do not look at the state."""
    plans = PolicyClass.open_loop(
        horizon=policies.horizon, states=policies.states, actions=policies.actions
    )
    core = PolicyClass(plans.table, plans.actions, policies.layer_sizes)
    return Sunflower(core, np.zeros(policies.table.shape, dtype=bool))


def constant_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of any class with the A constant policies as core.

    All states after the first layer are petals: between two of them there is a single action, which
    one constant policy shares.
    """
    table = PolicyClass.constant(
        horizon=policies.horizon, states=policies.states, actions=policies.actions
    ).table
    petals = np.zeros(policies.table.shape, dtype=bool)
    for h, size in enumerate(np.asarray(policies.layer_sizes)):
        # No state of the first layer lies after another one.
        petals[:, h, :size] = h > 0
    return Sunflower(PolicyClass(table, policies.actions, policies.layer_sizes), petals)


def layer_core(policies: PolicyClass) -> Sunflower:
    """Return the sunflower of a class of two actions whose core acts in one layer at most.

    The core is the policy 0 and, for each layer, the policy that takes 1 all over that layer and 0
    elsewhere: K = H + 1. Petals are the states where a policy takes 1, but for the first layer that
    has such states. So D = 0 for singletons, l - 1 for l-tons, H - 1 for classes that act at one
    state of each layer. Raises ValueError unless there are two actions.
    """
    if policies.actions != 2:
        raise ValueError(f"policies has {policies.actions} actions; expected 2")
    horizon, states = policies.horizon, policies.states
    table = np.zeros((horizon + 1, horizon, states), dtype=np.int8)
    table[1 + np.arange(horizon), np.arange(horizon)] = 1
    inside = np.arange(states) < np.asarray(policies.layer_sizes)[:, None]
    active = (policies.table == 1) & inside
    earlier = np.cumsum(active.any(axis=2), axis=1) - active.any(axis=2)
    petals = active & (earlier > 0)[:, :, None]
    return Sunflower(PolicyClass(table, 2, policies.layer_sizes), petals)


def _as_core(policies: PolicyClass, core: PolicyClass | ArrayLike) -> PolicyClass:
    found = as_policy_class(core, policies.actions)
    if found.table.shape[1:] != policies.table.shape[1:] or found.actions != policies.actions:
        raise ValueError(
            f"core acts on layers {found.table.shape[1:]} with {found.actions} actions; expected "
            f"{policies.table.shape[1:]} and {policies.actions}"
        )
    return found


def _all_markov(policies: PolicyClass) -> PolicyClass:
    sizes = np.asarray(policies.layer_sizes)
    cells = int(sizes.sum())
    if policies.actions**cells > MOST_CANDIDATES:
        raise ValueError(
            f"there are {policies.actions}^{cells} Markov policies, more than {MOST_CANDIDATES}; "
            "give candidates"
        )
    plans = np.indices((policies.actions,) * cells).reshape(cells, -1).T
    table = np.zeros((len(plans), policies.horizon, policies.states), dtype=np.int64)
    table[:, np.arange(policies.states) < sizes[:, None]] = plans
    return PolicyClass(table, policies.actions, policies.layer_sizes)


def _petals(policies: PolicyClass, petals: ArrayLike) -> NDArray[np.bool_]:
    marks = np.asarray(petals)
    if marks.dtype != bool or marks.shape != policies.table.shape:
        raise ValueError(
            f"petals has shape {marks.shape} of {marks.dtype}; expected booleans "
            f"{policies.table.shape}"
        )
    return marks


def _inputs(
    policies: PolicyClass, core: PolicyClass | ArrayLike, interval: Interval
) -> Iterable[list[list[int]]]:
    """Yield for each policy the core policies that agree with it at each state, as bits (H, S)."""
    if interval not in get_args(Interval):
        raise ValueError(f"interval is {interval!r}; expected one of {get_args(Interval)}")
    table = _as_core(policies, core).table
    return [_bits(table == row) for row in policies.table]


def _bits(agree: NDArray[np.bool_]) -> list[list[int]]:
    """Return (K, H, S) booleans as one integer of K bits at each (h, s)."""
    packed = np.packbits(agree, axis=0, bitorder="little")
    return [
        [int.from_bytes(packed[:, h, s].tobytes(), "little") for s in range(agree.shape[2])]
        for h in range(agree.shape[1])
    ]


def _open_paths(
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


def _excuses(path: Path, states: int, interval: Interval) -> frozenset[int]:
    """Return the cells h S + s of a trajectory that may be petals."""
    start, visited = path
    skipped = 1 if interval == "half-open" else 0
    return frozenset((start + i) * states + s for i, s in enumerate(visited) if i >= skipped)


def _hitting_set(demands: list[frozenset[int]], cells: int) -> NDArray[np.bool_]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    rows = np.zeros((len(demands), cells))
    for row, demand in zip(rows, demands, strict=True):
        row[list(demand)] = 1.0
    answer = milp(
        np.ones(cells),
        integrality=np.ones(cells),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(rows, lb=1.0),
    )
    if answer.x is None:
        raise ArithmeticError(f"HiGHS found no hitting set: {answer.message}")
    return np.asarray(answer.x > 0.5)


def _short_paths(sizes: NDArray[Any]) -> list[Path]:
    """Return all trajectories of one and two states."""
    single = [(h, (s,)) for h, size in enumerate(sizes) for s in range(size)]
    pairs = [
        (h, (s, t))
        for h in range(len(sizes) - 1)
        for s in range(sizes[h])
        for t in range(sizes[h + 1])
    ]
    return [*single, *pairs]


def _choose(
    policies: PolicyClass,
    pool: PolicyClass,
    paths: list[tuple[int, Path]],
    limit: int,
    interval: Interval,
) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
    """Return core members and petals with the least D for the trajectories given, or None."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import lil_array

    count, cells = len(policies), policies.horizon * policies.states
    core, petals = len(pool), len(pool) + 1
    size = petals + count * cells
    system = lil_array((len(paths) + count + 1, size))
    low, high = np.ones(system.shape[0]), np.full(system.shape[0], np.inf)
    for row, (p, path) in enumerate(paths):
        start, visited = path
        steps = start + np.arange(len(visited))
        same = pool.table[:, steps, visited] == policies.table[p, steps, visited]
        excused = sorted(petals + p * cells + c for c in _excuses(path, policies.states, interval))
        columns = [*np.flatnonzero(same.all(axis=1)).tolist(), *excused]
        if not columns:
            return None
        system[row, columns] = 1.0
    for p in range(count):
        row = len(paths) + p
        system[row, core] = 1.0
        system[row, petals + p * cells + np.arange(cells)] = -1.0
        low[row] = 0.0
    system[len(paths) + count, np.arange(core)] = 1.0
    high[-1] = limit
    top = np.ones(size)
    top[core] = cells
    costs = np.zeros(size)
    costs[core] = 1.0
    answer = milp(
        costs,
        integrality=np.ones(size),
        bounds=Bounds(np.zeros(size), top),
        constraints=LinearConstraint(system.tocsr(), low, high),
    )
    if answer.status == 2:
        return None
    if answer.x is None:
        raise ArithmeticError(f"HiGHS did not solve the program: {answer.message}")
    marks = answer.x[petals:] > 0.5
    members = np.flatnonzero(answer.x[:core] > 0.5)
    return members, marks.reshape(policies.table.shape)
