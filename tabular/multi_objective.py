"""MDPs with several rewards: what returns can be had together, and which rules reach them.

Vectors of returns of randomised policies are a polytope, the image of the occupancies; those of
deterministic policies are finitely many points of it, among them its vertices.
Sources: Roijers, Vamplew, Whiteson and Dazeley (2013); Das and Dennis (1997) on weighted sums;
Steuer and Choo (1983) on Chebyshev scalarisation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_magnitude,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.constrained import discounted_costs, lagrangian_dual
from rltheory.tabular.evaluation import evaluate_policy
from rltheory.tabular.kernel_family import at_initial
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.pareto import non_dominated
from rltheory.tabular.policies import as_policy


@dataclass(frozen=True, eq=False)
class Scalarised:
    """The best policy by one scalarisation of the returns.

    policy: (S, A); returns: (K,) of it; weights: (K,) of the linear functional that it maximises;
    bounds: a scalar enclosure of the scalarised optimum.
    """

    policy: FloatArray
    returns: FloatArray
    weights: FloatArray
    bounds: Bounds


@dataclass(frozen=True, eq=False)
class ParetoFront:
    """Vectors of returns that none of the same kind of policy dominates, ordered by the first.

    points: (n, K); policies: (n, S, A). shortfall: (n,), by how much some randomised policy beats
    the point in every objective at once: zero, up to rounding, where some weights select it.
    gap: certified bound on how far, in units of return, a weighted return may exceed all `points`
    (weights that add up to one); infinite where none was computed.
    """

    points: FloatArray
    policies: FloatArray
    shortfall: FloatArray
    gap: float


def vector_returns(mdp: DiscountedMDP, objectives: ArrayLike, policy: Any) -> FloatArray:
    """Return the discounted returns (K,) of a policy, for objectives (K, S, A), from the start.

    Raises ValueError for a bad argument. The rewards of the MDP itself do not matter.
    """
    rewards = as_objectives(mdp, objectives)
    return discounted_costs(mdp, rewards, as_policy(policy, mdp.available))


def scalarise(mdp: DiscountedMDP, objectives: ArrayLike, weights: ArrayLike) -> Scalarised:
    """Maximise the weighted sum of returns; weights (K,), each at least 0, one of them above.

    Returns a Scalarised with a deterministic policy, its `bounds` those of the weighted optimum.
    Raises ValueError for a bad argument.
    """
    rewards = as_objectives(mdp, objectives)
    w = as_weights(weights, len(rewards))
    # The Lagrangian of a problem without rewards, whose costs are the objectives' negatives.
    point = lagrangian_dual(_idle(mdp), -rewards, np.zeros(len(w)), w)
    return Scalarised(point.policy, -point.excess, w, point.value)


def chebyshev(
    mdp: DiscountedMDP,
    objectives: ArrayLike,
    *,
    reference: ArrayLike,
    scales: ArrayLike | None = None,
) -> Scalarised:
    """Maximise the least of (J_k - reference_k) / scales_k over all randomised policies.

    reference: (K,); scales: (K,), positive, ones by default. A linear program over occupancies,
    whose multipliers are the `weights` (with sum of weights * scales equal to one); `bounds`
    enclose its optimum by the policy's own returns and by the weighted sum's optimum.
    Raises ValueError for a bad argument, RuntimeError with HiGHS' message if it was not solved.
    """
    rewards = as_objectives(mdp, objectives)
    count = len(rewards)
    base = as_float_array(reference, "reference", (count,))
    check_finite(base, "reference")
    units = np.ones(count) if scales is None else as_float_array(scales, "scales", (count,))
    if not np.all((units > 0) & np.isfinite(units)):
        raise ValueError(f"scales holds {units.min()}; expected positive finite numbers")
    flow, w = _least_program(mdp, rewards, base, units)
    total = flow.sum(axis=1, keepdims=True)
    fallback = scalarise(mdp, rewards, w).policy
    policy = np.where(total > 1e-14, flow / np.where(total > 1e-14, total, 1.0), fallback)
    policy = policy / policy.sum(axis=1, keepdims=True)
    ends = [
        (_bounds_of(mdp, reward, policy) - float(b)) * Bounds(down(1 / u), up(1 / u))
        for reward, b, u in zip(rewards, base, units, strict=True)
    ]
    lower = min(float(end.lower) for end in ends)
    upper = _weighted_ceiling(mdp, rewards, base, units, w)
    returns = discounted_costs(mdp, rewards, policy)
    bounds = Bounds(np.asarray(min(lower, upper)), np.asarray(upper))
    return Scalarised(policy, returns, w, bounds)


def pareto_front(
    mdp: DiscountedMDP, objectives: ArrayLike, *, tolerance: float = 1e-9, most: int = 1000
) -> ParetoFront:
    """Return the corners of the front of randomised policies, for two objectives (2, S, A).

    The front consists of the segments between neighbouring corners, mixtures of two deterministic
    policies. Chords are refined until the certified gap is at most `tolerance` (units of return)
    or there are `most` corners; `gap` says how far.
    Raises ValueError for a bad argument or another number of objectives.
    """
    rewards = as_objectives(mdp, objectives)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    check_positive_integer(most, "most")
    if len(rewards) != 2:
        raise ValueError(
            f"objectives has {len(rewards)} of them; expected 2 (for more: `chebyshev` reaches "
            "every point of the front, `deterministic_front` lists policies)"
        )
    # A little weight on the other objective picks the undominated one of several best ends.
    corners = [_end(mdp, rewards, 1), _end(mdp, rewards, 0)]
    waiting, gap = [(corners[0], corners[1])], 0.0
    while waiting:
        left, right = waiting.pop()
        across = right.returns - left.returns
        if across[0] <= tolerance or across[1] >= -tolerance:
            continue
        normal = np.array([-across[1], across[0]])
        found = scalarise(mdp, rewards, normal / normal.sum())
        chord = float(found.weights @ left.returns)
        rise = float(found.bounds.upper) - chord
        if float(found.weights @ found.returns) - chord <= tolerance or len(corners) >= most:
            gap = max(gap, rise)
            continue
        corners.append(found)
        waiting += [(left, found), (found, right)]
    points = np.array([corner.returns for corner in corners])
    kept = np.flatnonzero(non_dominated(points))
    kept = kept[np.argsort(points[kept, 0], kind="stable")]
    policies = np.array([corners[i].policy for i in kept])
    return ParetoFront(points[kept], policies, np.zeros(len(kept)), gap)


def deterministic_front(
    mdp: DiscountedMDP, objectives: ArrayLike, *, most: int = 100_000
) -> ParetoFront:
    """Return the front of deterministic policies for objectives (K, S, A), by trying them all.

    Its `shortfall` tells the points that weights select (0) from those that no weighted sum can.
    Raises ValueError for a bad argument, or if there are more than `most` policies.
    """
    rewards = as_objectives(mdp, objectives)
    count = prod(int(n) for n in mdp.available.sum(axis=1))
    if count > check_positive_integer(most, "most"):
        raise ValueError(f"mdp has {count} deterministic policies; expected at most {most}")
    points, policies = [], []
    for actions in _batches(mdp.available):
        points.append(_returns_of(mdp, rewards, actions))
        policies.append(actions)
    every, chosen = np.concatenate(points), np.concatenate(policies)
    kept = np.flatnonzero(non_dominated(every))
    kept = kept[np.argsort(every[kept, 0], kind="stable")]
    front = every[kept]
    rows = np.zeros((len(kept), *mdp.rewards.shape))
    np.put_along_axis(rows, chosen[kept][..., None], 1.0, axis=-1)
    return ParetoFront(front, rows, np.array([shortfall(p, front) for p in front]), np.inf)


def shortfall(point: FloatArray, points: FloatArray) -> float:
    """Return the most by which a mixture of points (n, K) beats a point (K,) in every coordinate.

    Negative if no mixture reaches it; to HiGHS' tolerance of about 1e-9 of the largest entry.
    """
    from scipy.optimize import linprog

    n, count = points.shape
    size = max(float(np.abs(points - point).max()), np.finfo(float).tiny)
    result = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=np.column_stack([-(points - point).T / size, np.ones(count)]),
        b_ub=np.zeros(count),
        A_eq=np.append(np.ones(n), 0.0)[None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    return float(-result.fun * size)


def as_objectives(mdp: DiscountedMDP, objectives: ArrayLike) -> FloatArray:
    """Validate and return objectives (K, S, A), K >= 1, zero where an action is unavailable."""
    check_discounted(mdp)
    rewards = as_float_array(objectives, "objectives", (None, mdp.states, mdp.actions))
    if not len(rewards):
        raise ValueError("objectives is empty; expected at least one")
    rewards = np.where(mdp.available, rewards, 0.0)
    check_finite(rewards, "objectives")
    check_magnitude(float(np.abs(rewards).max()) / (1.0 - mdp.discount), "objectives give values")
    return rewards


def as_weights(weights: ArrayLike, count: int) -> FloatArray:
    """Validate and return weights (K,), finite, at least 0 and one of them above."""
    w = as_float_array(weights, "weights", (count,))
    check_finite(w, "weights")
    if w.min() < 0 or not w.max() > 0:
        raise ValueError(f"weights holds {w.tolist()}; expected at least 0, and one above")
    return w


def _idle(mdp: DiscountedMDP) -> DiscountedMDP:
    return mdp.replace(rewards=np.where(mdp.available, 0.0, -np.inf))


def _bounds_of(mdp: DiscountedMDP, reward: FloatArray, policy: FloatArray) -> Bounds:
    model = mdp.replace(rewards=np.where(mdp.available, reward, -np.inf))
    return at_initial(model, evaluate_policy(model, policy))


def _weighted_ceiling(
    mdp: DiscountedMDP, rewards: FloatArray, base: FloatArray, units: FloatArray, w: FloatArray
) -> float:
    """Bound the least scaled excess from above: by that of its weighted sum, over all policies."""
    best = lagrangian_dual(_idle(mdp), -rewards, -base, w).value
    # The weights of a mean have to add up to one: divide by what they do add up to.
    total = float(w @ units)
    error = rounding_error(len(w) + 1, total)
    scale = Bounds(down(1 / (total + error)), up(1 / (total - error)))
    return float((best * scale).upper)


def _end(mdp: DiscountedMDP, rewards: FloatArray, objective: int) -> Scalarised:
    """Return the best policy for one objective, and among those the best for the other."""
    first = np.zeros(2)
    first[objective] = 1.0
    alone = scalarise(mdp, rewards, first)
    tilted = first + 2.0**-30
    both = scalarise(mdp, rewards, tilted / tilted.sum())
    better = both.returns[1 - objective] > alone.returns[1 - objective]
    return both if better else alone


def _least_program(
    mdp: DiscountedMDP, rewards: FloatArray, base: FloatArray, units: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the occupancy (S, A) of the greatest least excess, and the weights (K,)."""
    from scipy.optimize import linprog

    pairs = np.flatnonzero(mdp.available.ravel())
    count, spread = len(pairs), 1.0 - mdp.discount
    own = sparse.csr_array(
        (np.ones(count), pairs // mdp.actions, np.arange(count + 1)), shape=(count, mdp.states)
    )
    flow = (own - mdp.discount * sparse.csr_array(mdp.rows)[pairs]).T
    size = float(np.abs(rewards).max()) + spread * float(np.abs(base).max()) or 1.0
    gains = np.array([r.ravel()[pairs] for r in rewards]) / size
    result = linprog(
        np.append(np.zeros(count), -1.0),
        A_ub=np.column_stack([-gains, units]),
        b_ub=-spread * base / size,
        A_eq=sparse.hstack([flow, sparse.csr_array((mdp.states, 1))]).tocsr(),
        b_eq=spread * mdp.initial,
        bounds=[(0, None)] * count + [(None, None)],
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    full = np.zeros(mdp.rewards.size)
    full[pairs] = np.maximum(result.x[:-1], 0.0)
    return full.reshape(mdp.rewards.shape), np.maximum(-result.ineqlin.marginals, 0.0)


def _batches(available: NDArray[np.bool_], size: int = 4096) -> Iterator[NDArray[np.int64]]:
    """Yield all deterministic policies as actions (b, S), at most `size` at a time."""
    batch = []
    for actions in product(*(np.flatnonzero(row) for row in available)):
        batch.append(actions)
        if len(batch) == size:
            yield np.array(batch)
            batch = []
    if batch:
        yield np.array(batch)


def _returns_of(mdp: DiscountedMDP, rewards: FloatArray, actions: NDArray[np.int64]) -> FloatArray:
    """Return the returns (b, K) of deterministic policies (b, S)."""
    states = np.arange(mdp.states)
    kernels = mdp.to_dense().transitions[states, actions]
    systems = np.eye(mdp.states) - mdp.discount * kernels
    gains = np.moveaxis(rewards[:, states, actions], 0, -1)
    return np.asarray(np.einsum("s,bsk->bk", mdp.initial, np.linalg.solve(systems, gains)))
