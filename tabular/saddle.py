"""The saddle points of s-rectangular backups, by cutting planes.

With f_a(b) the worst value of action a at budget b, convex and nonincreasing, the adversary
minimises max_a f_a(b_a), or sum_a pi_a f_a(b_a) against a fixed policy, over budgets that sum to at
most rho. Each inner solve gives a supporting line of every f_a. The lines' own problem is solved
exactly: its value bounds the true one from below, its budgets are the next to be tried, and
what they yield bounds it from above. Sources: Kelley (1960); Wiesemann, Kuhn and Rustem (2013); Ho,
Petrik and Wiesemann (2021) for the water level.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray

Response = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
"""Budgets (S, A) to lower and upper action values and the slopes of supporting lines, (S, A)."""

CUTS = 100


@dataclass(frozen=True, eq=False)
class SaddlePoint:
    """The value of every state between lower and upper, both (S,).

    policy (S, A) secures lower, budgets (S, A) allow no more than upper; action_values (S, A) are
    those at the budgets.
    """

    lower: FloatArray
    upper: FloatArray
    policy: FloatArray
    budgets: FloatArray
    action_values: FloatArray


def saddle_point(
    respond: Response, radius: FloatArray, start: FloatArray, even: FloatArray, accuracy: float
) -> SaddlePoint:
    """Solve max over policies of min over budgets of sum_a pi_a f_a(b_a) in every state.

    radius (S,): what the budgets sum to at most; start (S, A): the first ones tried; even (S, A):
    budgets that give every action a part. Stops when lower and upper are within `accuracy` in every
    state, or after `CUTS` solves.
    """
    peak = partial(np.max, axis=1)
    return _cut(respond, _water_level, peak, radius, start, even, accuracy)


def least_mixture(
    respond: Response,
    policy: FloatArray,
    radius: FloatArray,
    start: FloatArray,
    even: FloatArray,
    accuracy: float,
) -> SaddlePoint:
    """Solve min over budgets of sum_a pi_a f_a(b_a) for a policy (S, A); see `saddle_point`."""

    def mix(upper: FloatArray) -> Any:
        return (policy * np.where(policy > 0, upper, 0.0)).sum(axis=1)

    return _cut(respond, _steepest, mix, radius, start, even, accuracy, policy)


def _cut(
    respond: Response,
    solve: Any,
    value: Callable[[FloatArray], FloatArray],
    radius: FloatArray,
    start: FloatArray,
    even: FloatArray,
    accuracy: float,
    policy: FloatArray | None = None,
) -> SaddlePoint:
    states, actions = start.shape
    budgets = start.copy()
    weights = np.empty(start.shape) if policy is None else policy.copy()
    best = SaddlePoint(
        np.full(states, -np.inf),
        np.full(states, np.inf),
        weights.copy(),
        start.copy(),
        np.empty(start.shape),
    )
    heights, slopes, points = (np.empty((CUTS, states, actions)) for _ in range(3))
    level, inside = np.empty(states), even.copy()
    for cut in range(CUTS):
        heights[cut], upper, slopes[cut] = respond(budgets)
        points[cut] = budgets
        _keep(np.isfinite(slopes[cut]).all(axis=1), inside, budgets)
        _keep(value(upper) < best.upper, best.upper, value(upper))
        tried = best.upper == value(upper)
        _keep(tried, best.budgets, budgets)
        _keep(tried, best.action_values, heights[cut])
        lines = (heights[: cut + 1], slopes[: cut + 1], points[: cut + 1])
        solve(*lines, radius, level, weights, budgets)
        higher = level > best.lower
        _keep(higher, best.lower, level)
        _keep(higher, best.policy, weights)
        if np.all(best.upper - best.lower <= accuracy):
            break
        # A vertical slope at budget zero teaches nothing, and the lines would propose it again.
        again = (budgets == points[cut]).all(axis=1) & (best.upper - best.lower > accuracy)
        _keep(again, budgets, 0.5 * (budgets + inside))
    # Where rounding crosses them, the members of the set decide.
    np.minimum(best.lower, best.upper, out=best.lower)
    return best


def _keep(states: NDArray[np.bool_], kept: FloatArray, found: FloatArray) -> None:
    kept[states] = found[states]


@njit(cache=True, nogil=True)
def _usable(height, slope):  # type: ignore[no-untyped-def]
    """Whether a line says anything: not of an unavailable action, and not vertical."""
    return height > -np.inf and slope < np.inf


@njit(cache=True, nogil=True)
def _water_level(heights, slopes, points, radius, level, policy, budgets):  # type: ignore[no-untyped-def]
    """Find the level u to which budgets of sum rho push the highest line of every action down.

    The budgets needed are convex, piecewise linear and nonincreasing in u, so that Newton's method
    from the left ends after finitely many steps. The agent's weights are inverse to the slopes.
    """
    cuts, states, actions = heights.shape
    for s in range(states):
        rho = radius[s]
        if rho == 0.0:
            keeper = int(np.argmax(heights[0, s]))
            level[s] = heights[0, s, keeper]
            policy[s], budgets[s] = 0.0, 0.0
            policy[s, keeper] = 1.0
            continue
        u, keeper, flat_keeper = -np.inf, 0, False
        for a in range(actions):
            for k in range(cuts):
                height, slope = heights[k, s, a], slopes[k, s, a]
                if _usable(height, slope):
                    reach = height + slope * (points[k, s, a] - rho)
                    if reach > u:
                        u, keeper, flat_keeper = reach, a, slope <= 0.0
        pinned, total, steep = False, 0.0, 0.0
        for step in range(64 * cuts):
            total = steep = 0.0
            for a in range(actions):
                need, flat = 0.0, 0.0
                for k in range(cuts):
                    height, slope = heights[k, s, a], slopes[k, s, a]
                    if slope > 0.0 and _usable(height, slope):
                        x = points[k, s, a] + (height - u) / slope
                        if x > need:
                            need, flat = x, 1.0 / slope
                budgets[s, a], policy[s, a] = need, flat
                total += need
                steep += flat
            if total <= rho:
                pinned = step == 0 and flat_keeper
                break
            following = u + (total - rho) / steep
            if following <= u:
                break
            u = following
        if pinned or steep == 0.0:
            # No budget pushes this action further down: the agent can rely on it alone.
            policy[s] = 0.0
            policy[s, keeper] = 1.0
        else:
            policy[s] /= steep
        if total > rho:
            budgets[s] *= rho / total
        level[s] = u


@njit(cache=True, nogil=True)
def _steepest(heights, slopes, points, radius, level, policy, budgets):  # type: ignore[no-untyped-def]
    """Spend rho on the actions' highest lines, where the weighted descent is steepest first.

    Each action's lines form a convex envelope, so that greedy spending is optimal.
    """
    cuts, states, actions = heights.shape
    active = np.empty(actions, np.int64)
    turns = np.empty(actions)
    for s in range(states):
        left = radius[s]
        if left == 0.0:
            level[s] = 0.0
            for a in range(actions):
                budgets[s, a] = 0.0
                if policy[s, a] > 0.0:
                    level[s] += policy[s, a] * heights[0, s, a]
            continue
        for a in range(actions):
            budgets[s, a] = 0.0
            active[a] = -1
            if policy[s, a] > 0.0:
                top = -np.inf
                for k in range(cuts):
                    height, slope = heights[k, s, a], slopes[k, s, a]
                    if _usable(height, slope):
                        at_zero = height + slope * points[k, s, a]
                        tie = at_zero == top and slope < slopes[active[a], s, a]
                        if at_zero > top or tie:
                            top, active[a] = at_zero, k
                turns[a] = np.inf
                if active[a] >= 0:
                    turns[a], _ = _turn(heights, slopes, points, s, a, active[a])
        while left > 0.0:
            best, steepest = -1, 0.0
            for a in range(actions):
                if active[a] >= 0 and policy[s, a] * slopes[active[a], s, a] > steepest:
                    best, steepest = a, policy[s, a] * slopes[active[a], s, a]
            if best < 0:
                break
            spent = min(turns[best] - budgets[s, best], left)
            if spent >= left:
                budgets[s, best] += left
                break
            left -= max(spent, 0.0)
            budgets[s, best] = max(budgets[s, best], turns[best])
            _, active[best] = _turn(heights, slopes, points, s, best, active[best])
            turns[best], _ = _turn(heights, slopes, points, s, best, active[best])
        total = 0.0
        for a in range(actions):
            if active[a] >= 0:
                k = active[a]
                line = heights[k, s, a] + slopes[k, s, a] * (points[k, s, a] - budgets[s, a])
                total += policy[s, a] * line
        level[s] = total


@njit(cache=True, nogil=True)
def _turn(heights, slopes, points, s, a, k):  # type: ignore[no-untyped-def]
    """Return where an action's envelope leaves line k, and the flatter line it goes on with."""
    where, following = np.inf, k
    own = heights[k, s, a] + slopes[k, s, a] * points[k, s, a]
    for j in range(len(heights)):
        height, slope = heights[j, s, a], slopes[j, s, a]
        if slope < slopes[k, s, a] and _usable(height, slope):
            crossing = (own - height - slope * points[j, s, a]) / (slopes[k, s, a] - slope)
            if crossing < where or (crossing == where and slope < slopes[following, s, a]):
                where, following = crossing, j
    return where, following
