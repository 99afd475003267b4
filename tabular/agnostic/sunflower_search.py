"""The least petals of a core, and the sunflower with the fewest petals, by integer programs.

The programs (HiGHS) know some trajectories that must be covered; the verifier of `sunflower` adds
those that an answer leaves uncovered, until there are none.
Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6, of sunflowers; the search is ours.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import check_positive_integer, read_only
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.sunflower import (
    Interval,
    Path,
    Sunflower,
    agreements,
    as_core,
    open_paths,
)

MOST_CANDIDATES = 5000
"""Searches over larger sets of core policies are refused."""


def minimal_petals(
    policies: PolicyClass, core: PolicyClass | ArrayLike, *, interval: Interval = "half-open"
) -> Sunflower | None:
    """Return the sunflower of a core with as few petals for each policy as can be.

    Each policy's petals are a least hitting set of its uncovered trajectories, found by integer
    programs over those met so far. None if some trajectory has no state that could excuse it.
    Raises ValueError if shapes do not fit or the interval is unknown.
    """
    agreed = agreements(policies, core, interval)
    sizes = np.asarray(policies.layer_sizes)
    found = np.zeros(policies.table.shape, dtype=bool)
    for index, masks in enumerate(agreed):
        demands: dict[frozenset[int], None] = {}
        while paths := open_paths(masks, found[index], sizes, interval):
            for path in paths:
                cells = _excuses(path, policies.states, interval)
                if not cells:
                    return None
                demands[cells] = None
            found[index].ravel()[:] = _hitting_set(list(demands), found[index].size)
    return Sunflower(as_core(policies, core), read_only(found))


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
    pool = _all_markov(policies) if candidates is None else as_core(policies, candidates)
    if len(pool) > MOST_CANDIDATES:
        raise ValueError(f"candidates has {len(pool)} policies; at most {MOST_CANDIDATES}")
    agreed = agreements(policies, pool, interval)
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
            for path in open_paths(
                [[m & kept for m in row] for row in masks], petals[p], sizes, interval
            )
        ]
        if not missing:
            core = PolicyClass(pool.table[members], pool.actions, pool.layer_sizes)
            # The program bounds the largest number of petals only; here every one is least.
            return minimal_petals(policies, core, interval=interval)
        paths.update(dict.fromkeys(missing))


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
