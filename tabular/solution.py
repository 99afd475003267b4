"""What the planners return, and the certificate that encloses the optimal value.

For v and w = T v, the residual w - v brackets the fixed point of a monotone operator that moves
constants by at most g (MacQueen 1966; Puterman 1994, Theorem 6.6.3):
w + g / (1 - g) min(w - v) <= v* <= w + g / (1 - g) max(w - v). Rounding of the sweep and rows
that sum to 1 only within floating-point error widen the bracket, so it holds for the arrays
as stored, taken as exact rational numbers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.kernels import action_values, rounding_depth
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import greedy


@dataclass(frozen=True, eq=False)
class Solution:
    """A solved discounted MDP with its certificate.

    values (S,), action_values (S, A), policy (S, A) rows on the simplex; lower, upper (S,) with
    lower <= V* <= upper rigorously, and the policy attains at least `lower`; iterations;
    converged: whether the gap met the tolerance. In rational arithmetic the arrays hold
    Fractions and lower = values = upper.
    """

    values: NDArray[Any]
    action_values: NDArray[Any]
    policy: FloatArray
    lower: NDArray[Any]
    upper: NDArray[Any]
    iterations: int
    converged: bool

    @property
    def gap(self) -> float:
        """The largest certified width, max(upper - lower)."""
        return float(np.max(self.upper - self.lower))

    @property
    def actions(self) -> IntArray:
        """(S,) the most probable action of each state (the lowest index on ties)."""
        return np.asarray(self.policy.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The value of one policy: values, lower, upper (S,), lower <= V^pi <= upper rigorously."""

    values: NDArray[Any]
    lower: NDArray[Any]
    upper: NDArray[Any]

    @property
    def gap(self) -> float:
        """The largest certified width, max(upper - lower)."""
        return float(np.max(self.upper - self.lower))


def fixed_point_bounds(
    values: FloatArray, image: FloatArray, error: float, discount: float, mass: Bounds
) -> tuple[Bounds, float]:
    """Enclose the fixed point of T from w = T v.

    values (S,) v; image (S,) w, off by at most `error`; mass encloses the row sums of every
    kernel that T may use. Returns the enclosure and the constant that best corrects w: the
    middle of the bracket, or 0 where the residual is mere rounding and says nothing.
    """
    residual = image - values
    low = float(down(down(residual.min()) - error))
    high = float(up(up(residual.max()) + error))
    down_shift = float(down(_geometric(low, discount, mass, upward=False) - error))
    up_shift = float(up(_geometric(high, discount, mass, upward=True) + error))
    bounds = Bounds(down(image + down_shift), up(image + up_shift))
    informative = np.isfinite(down_shift + up_shift) and float(np.abs(residual).max()) > error
    return bounds, 0.5 * (down_shift + up_shift) if informative else 0.0


def sweep_error(mdp: DiscountedMDP, values: FloatArray) -> float:
    """Bound the rounding error of r + g * P v, over all available pairs."""
    largest_reward = float(np.abs(mdp.rewards[mdp.available]).max())
    magnitude = largest_reward + mdp.discount * float(mdp.row_mass.upper) * float(
        np.abs(values).max()
    )
    return rounding_error(rounding_depth(mdp.rows), magnitude)


def rounding_floor(error: float, discount: float) -> float:
    """Return the certified gap that no number of further sweeps can be relied on to beat."""
    return 4.0 * error / (1.0 - discount)


def certified_solution(
    mdp: DiscountedMDP, values: FloatArray, iterations: int, tolerance: float
) -> Solution:
    """Return the greedy solution at `values` with bounds from one more sweep."""
    q = action_values(mdp.rows, mdp.rewards, mdp.discount, values)
    image = q.max(axis=1)
    error = sweep_error(mdp, values)
    bounds, shift = fixed_point_bounds(values, image, error, mdp.discount, mdp.row_mass)
    return Solution(
        values=image + shift,
        action_values=q + shift,
        policy=greedy(q),
        lower=bounds.lower,
        upper=bounds.upper,
        iterations=iterations,
        converged=bounds.gap <= tolerance,
    )


def _geometric(residual: float, discount: float, mass: Bounds, *, upward: bool) -> float:
    """Sum residual * (g m)^k over k >= 1, with the row mass m that pushes it outward."""
    heavier = (residual > 0) == upward
    edge = np.asarray(discount * (mass.upper if heavier else mass.lower))
    modulus = float(up(edge) if heavier else down(edge))
    if modulus >= 1.0:
        return np.inf if upward else -np.inf
    total = residual * modulus / (1.0 - modulus)
    # Four roundings in the line above, each of relative size 2^-53.
    slack = 4 * np.finfo(np.float64).eps * abs(total)
    return total + slack if upward else total - slack
