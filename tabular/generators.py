"""Named families of MDPs from the literature, each a function of its parameters and a seed.

Kernels that are sparse by nature come as CSR; every array is built without a loop over states.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    as_float_array,
    as_generator,
    check_distributions,
    check_positive_integer,
    check_range,
)
from rltheory.tabular.binomial import american_put, american_put_prices
from rltheory.tabular.mdp import DiscountedMDP

__all__ = [
    "MOVES",
    "RUSSELL_NORVIG",
    "american_put",
    "american_put_prices",
    "chain",
    "garnet",
    "gridworld",
    "inventory",
    "machine_replacement",
    "random_mdp",
    "river_swim",
]

RUSSELL_NORVIG = ("...G", ".#.P", "S...")
"""The 4x3 world of Russell and Norvig: a wall, a goal and a pit."""

MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""(row, column) steps of a grid's actions left, down, right, up, in Gymnasium's order."""


def garnet(
    states: int,
    actions: int,
    successors: int,
    *,
    seed: int | np.random.Generator,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Draw a random sparse MDP, "generalised average reward non-stationary environment test-bench".

    Each pair has `successors` distinct successors, uniformly drawn; their probabilities are the
    spacings of uniform cut points (uniform on the simplex), its reward is standard normal.
    Returns a sparse DiscountedMDP; raises ValueError unless 1 <= successors <= states.
    Source: Archibald, McKinnon and Thomas (1995); in this form Bhatnagar et al. (2009).
    """
    rng = as_generator(seed)
    n, m = check_positive_integer(states, "states"), check_positive_integer(actions, "actions")
    b = check_positive_integer(successors, "successors")
    if b > n:
        raise ValueError(f"successors is {b}; expected at most states, {n}")
    targets = _distinct(rng, n * m, n, b)
    cuts = np.sort(rng.random((n * m, b - 1)), axis=1)
    weights = np.diff(cuts, axis=1, prepend=0.0, append=1.0)
    # Short indices where they suffice: a sweep reads them all.
    index = np.int32 if n * m * b < 2**31 else np.int64
    starts = np.arange(0, n * m * b + 1, b, dtype=index)
    kernel = sparse.csr_array(
        (weights.ravel(), targets.ravel().astype(index), starts), shape=(n * m, n)
    )
    return DiscountedMDP(kernel, rng.standard_normal((n, m)), discount)


def random_mdp(
    states: int,
    actions: int,
    *,
    seed: int | np.random.Generator,
    concentration: float = 1.0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Draw a dense MDP: rows from a symmetric Dirichlet distribution, rewards uniform on [0, 1].

    concentration: of the Dirichlet; 1 is uniform on the simplex, smaller is closer to its corners.
    Source: such rows are the prior of Bayesian reinforcement learning, Strens (2000).
    """
    rng = as_generator(seed)
    n, m = check_positive_integer(states, "states"), check_positive_integer(actions, "actions")
    alpha = _positive(concentration, "concentration")
    kernel = rng.dirichlet(np.full(n, alpha), size=(n, m))
    return DiscountedMDP(kernel, rng.random((n, m)), discount)


def gridworld(
    layout: str | Sequence[str] = RUSSELL_NORVIG,
    *,
    slip: float = 0.2,
    goal: float = 1.0,
    pit: float = -1.0,
    step: float = -0.04,
    discount: float = 0.99,
) -> DiscountedMDP:
    """Build a grid of free cells ".", walls "#", starts "S", goals "G" and pits "P".

    layout: rows of equal length, or one string with "/" between rows. Actions are left, down,
    right, up; with probability `slip` the move goes to one of the two sides instead; walls and
    edges stop it. Every step out of a free cell pays `step`, and arriving pays `goal` or `pit`;
    goals and pits absorb at reward 0.

    Returns a sparse DiscountedMDP whose states are the cells that are not walls, in reading
    order; initially uniform over the starts, or over all free cells where there are none.
    Raises ValueError for an unknown character, ragged rows, or no free cell.
    Source: Russell and Norvig, Artificial Intelligence, section 17.1, the default layout.
    """
    cells = _cells(layout)
    sideways = check_range(slip, "slip", 0.0, 1.0)
    _check_finite(goal=goal, pit=pit, step=step)
    number = np.cumsum(cells.ravel() != "#").reshape(cells.shape) - 1
    places = np.argwhere(cells != "#")
    kinds = cells[cells != "#"]
    ends = np.isin(kinds, ["G", "P"])
    landing = np.stack([_landing(cells, number, places, move) for move in MOVES], axis=1)
    landing[ends] = np.flatnonzero(ends)[:, None]

    n, actions = len(places), len(MOVES)
    sources = np.repeat(np.arange(n * actions), 3)
    # The chosen direction and its two sides, which are its neighbours in the order of MOVES.
    turns = (np.arange(actions)[:, None] + np.array([0, 1, -1])) % actions
    targets = landing[:, turns].ravel()
    weights = np.tile([1.0 - sideways, sideways / 2, sideways / 2], n * actions)
    kernel = _kernel(sources, targets, weights, (n * actions, n))
    prize = np.where(kinds == "G", goal, np.where(kinds == "P", pit, 0.0))
    rewards = (kernel @ prize).reshape(n, actions) + step
    rewards[ends] = 0.0
    starts = kinds == "S" if "S" in kinds else ~ends
    return DiscountedMDP(kernel, rewards, discount, starts / starts.sum())


def river_swim(
    states: int = 6,
    *,
    forward: float = 0.35,
    backward: float = 0.05,
    bank: float = 0.6,
    small: float = 0.005,
    large: float = 1.0,
    discount: float = 0.99,
) -> DiscountedMDP:
    """Build the swimmer against a current, who must persist to find the large reward.

    Action 0 drifts left for sure; action 1 swims right: `forward` ahead, `backward` back, else
    it stays. At the left bank it leaves with probability `bank`, at the right bank it stays with
    probability `bank`. Drifting at the left bank pays `small`, swimming at the right bank `large`.
    Starts at the left bank. Raises ValueError for fewer than 2 states or a bad probability.
    Source: Strehl and Littman (2008); these probabilities from Osband, Russo, Van Roy (2013).
    """
    n = _at_least(states, "states", 2)
    check_range(forward, "forward", 0.0, 1.0)
    check_range(backward, "backward", 0.0, 1.0 - forward)
    check_range(bank, "bank", 0.0, 1.0)
    _check_finite(small=small, large=large)
    inner, last = np.arange(1, n - 1), n - 1
    left = np.arange(n)
    ones = np.ones(n - 2)
    sources = np.concatenate([2 * left, 2 * inner + 1, 2 * inner + 1, 2 * inner + 1])
    targets = np.concatenate([np.maximum(left - 1, 0), inner + 1, inner - 1, inner])
    weights = np.concatenate(
        [np.ones(n), forward * ones, backward * ones, (1.0 - forward - backward) * ones]
    )
    kernel = _kernel(
        np.concatenate([sources, [1, 1, 2 * last + 1, 2 * last + 1]]),
        np.concatenate([targets, [1, 0, last, last - 1]]),
        np.concatenate([weights, [bank, 1.0 - bank, bank, 1.0 - bank]]),
        (2 * n, n),
    )
    rewards = np.zeros((n, 2))
    rewards[0, 0], rewards[last, 1] = small, large
    return DiscountedMDP(kernel, rewards, discount, np.eye(1, n)[0])


def chain(
    states: int = 5,
    *,
    slip: float = 0.2,
    small: float = 2.0,
    large: float = 10.0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Build the chain: action 0 steps ahead, action 1 returns to the start for a small reward.

    Stepping ahead in the last state stays there and pays `large`; with probability `slip` either
    action does, and is paid as, the other. Starts in state 0.
    Source: Dearden, Friedman and Russell (1998); Strens (2000).
    """
    n = check_positive_integer(states, "states")
    other = check_range(slip, "slip", 0.0, 1.0)
    _check_finite(small=small, large=large)
    sources = np.repeat(np.arange(2 * n), 2)
    targets = np.column_stack([np.minimum(np.arange(n) + 1, n - 1), np.zeros(n, dtype=np.int64)])
    weights = np.tile([1.0 - other, other, other, 1.0 - other], n)
    kernel = _kernel(sources, np.tile(targets, 2).ravel(), weights, (2 * n, n))
    ahead = np.where(np.arange(n) == n - 1, large, 0.0)
    rewards = np.column_stack(
        [(1.0 - other) * ahead + other * small, other * ahead + (1.0 - other) * small]
    )
    return DiscountedMDP(kernel, rewards, discount, np.eye(1, n)[0])


def inventory(
    capacity: int = 3,
    *,
    demand: ArrayLike = (0.25, 0.5, 0.25),
    price: float = 8.0,
    fixed_cost: float = 4.0,
    unit_cost: float = 2.0,
    holding_cost: float = 1.0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Build the stochastic inventory with lost sales: state is the stock, action the order.

    An order of a > 0 costs fixed_cost + unit_cost * a and arrives at once; the stock after it is
    at most `capacity` (larger orders are unavailable) and costs `holding_cost` a unit. Demand of
    j units has probability demand[j]; each unit sold earns `price`. Starts empty.
    Returns a sparse DiscountedMDP with capacity + 1 states and actions, rewards in expectation.
    Source: Puterman (1994), section 3.2, whose numbers are the defaults.
    """
    n = check_positive_integer(capacity, "capacity") + 1
    wanted = as_float_array(demand, "demand", (None,))
    check_distributions(wanted, "demand")
    _check_finite(
        price=price, fixed_cost=fixed_cost, unit_cost=unit_cost, holding_cost=holding_cost
    )
    stock = np.add.outer(np.arange(n), np.arange(n))
    pairs = np.flatnonzero(stock < n)
    units = np.arange(len(wanted))
    level = stock.ravel()[pairs]
    kernel = _kernel(
        np.repeat(pairs, len(wanted)),
        np.maximum(np.subtract.outer(level, units), 0).ravel(),
        np.tile(wanted, len(pairs)),
        (n * n, n),
    )
    sold = np.minimum.outer(np.arange(n), units) @ wanted
    order = np.arange(n)
    cost = np.where(order > 0, fixed_cost + unit_cost * order, 0.0)
    at = np.minimum(stock, n - 1)
    rewards = np.where(stock < n, price * sold[at] - cost - holding_cost * at, -np.inf)
    return DiscountedMDP(kernel, rewards, discount, np.eye(1, n)[0])


def machine_replacement(
    states: int = 10,
    *,
    wear: ArrayLike = (0.3, 0.5, 0.2),
    income: float = 10.0,
    operating_cost: float = 1.5,
    replacement_cost: float = 12.0,
    discount: float = 0.95,
) -> DiscountedMDP:
    """Build the machine that wears out: state is its condition, 0 as new, the last one the worst.

    Action 0 operates it, action 1 replaces it and operates the new one. Operating in condition s
    earns income - operating_cost * s and adds j to the condition with probability wear[j], up
    to the worst. Costs must be >= 0. Its optimal policy replaces from some condition on.
    Returns a sparse DiscountedMDP. Source: Puterman (1994), section 4.7.5; Derman (1970).
    """
    n = check_positive_integer(states, "states")
    steps = as_float_array(wear, "wear", (None,))
    check_distributions(steps, "wear")
    _check_finite(income=income)
    running = check_range(operating_cost, "operating_cost", 0.0, np.inf, include_high=False)
    new = check_range(replacement_cost, "replacement_cost", 0.0, np.inf, include_high=False)
    before = np.column_stack([np.arange(n), np.zeros(n, dtype=np.int64)]).ravel()
    after = np.minimum(np.add.outer(before, np.arange(len(steps))), n - 1)
    kernel = _kernel(
        np.repeat(np.arange(2 * n), len(steps)), after.ravel(), np.tile(steps, 2 * n), (2 * n, n)
    )
    rewards = income - running * before.reshape(n, 2) - np.array([0.0, new])
    return DiscountedMDP(kernel, rewards, discount, np.eye(1, n)[0])


def _distinct(rng: np.random.Generator, rows: int, below: int, count: int) -> NDArray[np.int32]:
    """Draw `count` distinct integers below `below` in every row, sorted (Floyd's sampling)."""
    chosen = np.empty((rows, count), dtype=np.int32)
    for k in range(count):
        top = below - count + k
        draw = rng.integers(0, top, size=rows, dtype=np.int32, endpoint=True)
        taken = (chosen[:, :k] == draw[:, None]).any(axis=1)
        chosen[:, k] = np.where(taken, top, draw)
    chosen.sort(axis=1)
    return chosen


def _cells(layout: str | Sequence[str]) -> NDArray[np.str_]:
    rows = layout.split("/") if isinstance(layout, str) else layout
    if not isinstance(rows, Sequence) or not all(isinstance(row, str) for row in rows):
        raise TypeError(f"layout is {layout!r}; expected a string, or a list of them")
    if len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ValueError(f"layout is {rows!r}; expected rows of one length of at least 1")
    cells = np.array([list(row) for row in rows])
    unknown = sorted(set(cells.ravel()) - set(".#SGP"))
    if unknown:
        raise ValueError(f"layout has the character {str(unknown[0])!r}; expected . # S G or P")
    if not np.isin(cells, [".", "S"]).any():
        raise ValueError("layout has no free cell; expected at least one '.' or 'S'")
    return cells


def _landing(
    cells: NDArray[np.str_], number: NDArray[Any], places: NDArray[Any], move: tuple[int, int]
) -> NDArray[Any]:
    """Return the state reached from each place by a move; itself where a wall or edge stops it."""
    ahead = np.clip(places + move, 0, np.array(cells.shape) - 1)
    blocked = cells[tuple(ahead.T)] == "#"
    return np.asarray(number[tuple(np.where(blocked[:, None], places, ahead).T)])


def _kernel(sources: Any, targets: Any, weights: Any, shape: tuple[int, int]) -> Any:
    # Repeated entries of one successor are summed by the conversion.
    kernel = sparse.csr_array(sparse.coo_array((weights, (sources, targets)), shape=shape))
    kernel.eliminate_zeros()
    return kernel


def _check_finite(**numbers: float) -> None:
    for name, number in numbers.items():
        if not np.isfinite(check_range(number, name, -np.inf, np.inf)):
            raise ValueError(f"{name} is {number}; expected a finite number")


def _at_least(number: int, name: str, low: int) -> int:
    if check_positive_integer(number, name) < low:
        raise ValueError(f"{name} is {number!r}; expected an integer of at least {low}")
    return int(number)


def _positive(number: float, name: str) -> float:
    if check_range(number, name, 0.0, np.inf, include_high=False) == 0.0:
        raise ValueError(f"{name} is 0; expected a positive number")
    return float(number)
