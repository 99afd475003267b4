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
from rltheory.tabular.kernels import Greedy, greedy_sweep, rounding_depth
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot


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
    below, above, shift = _bracket(values, image, error, discount, mass)
    return Bounds(down(image + below), up(image + above)), shift


@dataclass(frozen=True, eq=False)
class Certifier:
    """The stopping test of one solve: after a sweep w = T v, is the optimum known well enough?

    It holds what the test needs of the MDP, so that a test costs little beside its sweep:
    discount, mass (the enclosure of the row sums), depth (roundings in a sweep) and
    largest_reward (in absolute value), with the tolerance of the solve.
    """

    discount: float
    mass: Bounds
    depth: int
    largest_reward: float
    tolerance: float

    @staticmethod
    def of(mdp: DiscountedMDP, tolerance: float) -> "Certifier":
        """Look the constants of an MDP up."""
        largest = _largest(mdp.rewards, mdp.rewards > -np.inf)
        return Certifier(mdp.discount, mdp.row_mass, rounding_depth(mdp.rows), largest, tolerance)

    def error(self, values: FloatArray) -> float:
        """Bound the rounding error of r + g * P v, over all available pairs."""
        heaviest = self.discount * float(self.mass.upper)
        return rounding_error(self.depth, self.largest_reward + heaviest * _largest(values))

    def enough(self, values: FloatArray) -> float:
        """Return the gap to stop at: the tolerance, or the floor that rounding sets."""
        return max(self.tolerance, rounding_floor(self.error(values), self.discount))

    def judge(self, values: FloatArray, image: FloatArray) -> tuple[bool, float, float]:
        """Return whether to stop at w = T v, the constant that best corrects w, and the width.

        values (S,) v; image (S,) w. To stop is to have met the tolerance, or to know that
        rounding keeps further sweeps from meeting it. width: of the bracket, but for rounding.
        """
        error, enough = self.error(values), self.enough(values)
        below, above, shift = _bracket(values, image, error, self.discount, self.mass)
        width = above - below
        if width > enough:
            return False, shift, width
        bounds, _ = fixed_point_bounds(values, image, error, self.discount, self.mass)
        return bounds.gap <= enough, shift, width


def sweep_error(mdp: DiscountedMDP, values: FloatArray) -> float:
    """Bound the rounding error of r + g * P v, over all available pairs."""
    return Certifier.of(mdp, 0.0).error(values)


def rounding_floor(error: float, discount: float) -> float:
    """Return the certified gap that no number of further sweeps can be relied on to beat."""
    return 4.0 * error / (1.0 - discount)


def certified_solution(
    mdp: DiscountedMDP,
    values: FloatArray,
    iterations: int,
    tolerance: float,
    sweep: Greedy | None = None,
) -> Solution:
    """Return the greedy solution at `values` with bounds from one more sweep.

    sweep: what `greedy_sweep` returned at `values`, where the solver has it already.
    """
    certifier = Certifier.of(mdp, tolerance)
    q, image, actions = sweep or greedy_sweep(mdp.rows, mdp.rewards, mdp.discount, values)
    error = certifier.error(values)
    bounds, shift = fixed_point_bounds(values, image, error, mdp.discount, mdp.row_mass)
    return Solution(
        values=image + shift,
        action_values=q + shift,
        policy=one_hot(actions, mdp.actions),
        lower=bounds.lower,
        upper=bounds.upper,
        iterations=iterations,
        converged=bounds.gap <= tolerance,
    )


def _bracket(
    values: FloatArray, image: FloatArray, error: float, discount: float, mass: Bounds
) -> tuple[float, float, float]:
    """Return what w = T v lies below and above the fixed point by, and the middle (or 0)."""
    residual = image - values
    smallest, largest = float(residual.min()), float(residual.max())
    low = float(down(down(smallest) - error))
    high = float(up(up(largest) + error))
    below = float(down(_geometric(low, discount, mass, upward=False) - error))
    above = float(up(_geometric(high, discount, mass, upward=True) + error))
    informative = np.isfinite(below + above) and max(-smallest, largest) > error
    return below, above, 0.5 * (below + above) if informative else 0.0


def _largest(array: FloatArray, where: Any = True) -> float:
    """Return the largest absolute value, over the entries of a mask where one is given."""
    high = array.max(where=where, initial=0.0)
    return float(max(high, -array.min(where=where, initial=0.0)))


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
