"""The saddle points of s-rectangular backups, by cutting planes.

With f_a(b) the worst value of action a at budget b, convex and nonincreasing, the adversary
minimises max_a f_a(b_a) over budgets that sum to rho, and the agent maximises
min over budgets of sum_a pi_a f_a(b_a). Each inner solve gives a supporting line of f_a; the
lines' saddle point is a water level whose weights are the agent's policy. Its value and the
value at the proposed budgets enclose the true one. Sources: Wiesemann, Kuhn and Rustem (2013),
section 4; Ho, Petrik and Wiesemann (2021) for the water level; Kelley (1960).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray

Response = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
"""Budgets (S, A) to lower and upper action values and the slopes of supporting lines, (S, A)."""

Penalised = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""Prices of budget (S,) to the least penalised mixture (S,) and the budgets it uses (S, A)."""

CUTS = 60


@dataclass(frozen=True, eq=False)
class SaddlePoint:
    """lower, upper (S,) enclose the saddle value; policy (S, A) secures lower, budgets (S, A)
    allow no more than upper; q (S, A) are the action values at the budgets."""

    lower: FloatArray
    upper: FloatArray
    policy: FloatArray
    budgets: FloatArray
    q: FloatArray


def saddle_point(
    respond: Response,
    available: NDArray[np.bool_],
    radius: FloatArray,
    start: FloatArray,
    accuracy: float,
) -> SaddlePoint:
    """Solve max over policies of min over budgets of sum_a pi_a f_a(b_a) in every state.

    radius (S,): what the budgets sum to at most; start (S, A): the first budgets tried. Stops when
    lower and upper are within `accuracy` in every state, or after `CUTS` solves.
    """
    states, actions = available.shape
    budgets = start.copy()
    best = SaddlePoint(
        np.full(states, -np.inf),
        np.full(states, np.inf),
        np.zeros((states, actions)),
        budgets.copy(),
        np.zeros((states, actions)),
    )
    heights, slopes, points = (np.empty((CUTS, states, actions)) for _ in range(3))
    level, policy = np.empty(states), np.empty((states, actions))
    for cut in range(CUTS):
        heights[cut], upper, slopes[cut] = respond(budgets)
        points[cut] = budgets
        better = upper.max(axis=1) < best.upper
        best.upper[better] = upper.max(axis=1)[better]
        best.budgets[better] = budgets[better]
        best.q[better] = heights[cut][better]
        _fill(
            heights[: cut + 1], slopes[: cut + 1], points[: cut + 1], radius, level, policy, budgets
        )
        better = level > best.lower
        best.lower[better] = level[better]
        best.policy[better] = policy[better]
        if np.all(best.upper - best.lower <= accuracy):
            break
    best.lower[:] = np.minimum(best.lower, best.upper)
    return best


def least_mixture(
    penalise: Penalised, radius: FloatArray, scale: float, accuracy: float
) -> tuple[FloatArray, FloatArray]:
    """Minimise sum_a w_a f_a(b_a) over budgets summing to at most `radius` (S,), by its dual.

    `penalise` gives the dual function less price * radius; it is concave in the price, and its
    derivative is what the budgets exceed the radius by. scale: where to look for prices first.
    Returns the best dual value (S,) and feasible budgets (S, A), mixed from both sides of it.
    """
    cheap, dear = np.zeros(len(radius)), np.full(len(radius), max(scale, 1e-300))
    value_cheap, spent_cheap = penalise(cheap)
    for _ in range(200):
        value, spent_dear = penalise(dear)
        over = spent_dear.sum(axis=1) > radius
        if not over.any():
            break
        dear = np.where(over, 4.0 * dear, dear)
    dual_cheap, dual_dear = value_cheap, value - dear * radius
    for step in range(200):
        excess_cheap = spent_cheap.sum(axis=1) - radius
        excess_dear = spent_dear.sum(axis=1) - radius
        # The tangents at both ends meet above the concave dual; on its pieces that is exact.
        run = np.maximum(excess_cheap - excess_dear, 1e-300)
        price = (dual_dear - dual_cheap + excess_cheap * cheap - excess_dear * dear) / run
        ceiling = dual_cheap + excess_cheap * (price - cheap)
        done = (excess_cheap <= 0) | (ceiling - np.maximum(dual_cheap, dual_dear) <= accuracy)
        if done.all():
            break
        if step % 3 == 2:
            price = 0.5 * (cheap + dear)
        price = np.clip(np.where(done, cheap, price), cheap, dear)
        value, spent = penalise(price)
        dual = value - price * radius
        over = (spent.sum(axis=1) > radius) & ~done
        under = ~over & ~done
        cheap, dear = np.where(over, price, cheap), np.where(under, price, dear)
        dual_cheap = np.where(over, dual, dual_cheap)
        dual_dear = np.where(under, dual, dual_dear)
        spent_cheap = np.where(over[:, None], spent, spent_cheap)
        spent_dear = np.where(under[:, None], spent, spent_dear)
    affordable = spent_cheap.sum(axis=1) <= radius
    total_cheap, total_dear = spent_cheap.sum(axis=1), spent_dear.sum(axis=1)
    share = np.where(
        affordable, 1.0, (radius - total_dear) / np.maximum(total_cheap - total_dear, 1e-300)
    )
    budgets = share[:, None] * spent_cheap + (1.0 - share[:, None]) * spent_dear
    return np.maximum(dual_cheap, dual_dear), np.maximum(budgets, 0.0)


@njit(cache=True, nogil=True)
def _fill(heights, slopes, points, radius, level, policy, budgets):  # type: ignore[no-untyped-def]
    """Find the water level u of the lines: the budgets that push every action down to u sum to rho.

    That sum is convex, piecewise linear and nonincreasing in u, so that Newton's method from
    the left ends after finitely many steps.
    """
    cuts, states, actions = heights.shape
    for s in range(states):
        rho = radius[s]
        u, keeper, flat_keeper = -np.inf, 0, False
        for a in range(actions):
            for k in range(cuts):
                height, slope = heights[k, s, a], slopes[k, s, a]
                if height == -np.inf or slope == np.inf:
                    continue
                reach = height + slope * (points[k, s, a] - rho)
                if reach > u:
                    u, keeper, flat_keeper = reach, a, slope <= 0.0
        pinned = rho == 0.0
        for step in range(64 * cuts):
            total, steep = 0.0, 0.0
            for a in range(actions):
                need, flat = 0.0, 0.0
                for k in range(cuts):
                    slope = slopes[k, s, a]
                    if heights[k, s, a] == -np.inf or slope <= 0.0 or slope == np.inf:
                        continue
                    x = points[k, s, a] + (heights[k, s, a] - u) / slope
                    if x > need:
                        need, flat = x, 1.0 / slope
                budgets[s, a], policy[s, a] = need, flat
                total += need
                steep += flat
            if total <= rho:
                pinned = pinned or (step == 0 and flat_keeper)
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
