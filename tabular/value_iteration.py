"""Value iteration: Jacobi, Gauss-Seidel and Anderson-accelerated sweeps, stopped by certificate.

Every form stops as soon as MacQueen's bracket of the optimal value is narrower than the
tolerance, which on mixing MDPs is long before the sup-norm residual is small.
Sources: Puterman (1994), sections 6.3 and 6.6; Walker and Ni (2011) for Anderson mixing;
Geist and Scherrer (2018) for its use on MDPs.
"""

from collections import deque

import numpy as np

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.tabular.kernels import bellman, gauss_seidel
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.solution import (
    Solution,
    certified_solution,
    fixed_point_bounds,
    rounding_floor,
    sweep_error,
)

METHODS = ("jacobi", "gauss_seidel", "anderson")


def value_iteration(
    mdp: DiscountedMDP,
    *,
    tolerance: float = 1e-8,
    method: str = "jacobi",
    max_iterations: int = 1_000_000,
    initial_values: FloatArray | None = None,
    memory: int = 5,
) -> Solution:
    """Solve a discounted MDP by iterating its Bellman operator, a contraction in the sup norm.

    tolerance: stop when the certified gap max(upper - lower) is below it (units of reward).
    method: "jacobi", "gauss_seidel" (in place, states in order) or "anderson" (mixing the last
    `memory` residuals, falling back to the plain step when the residual grows).
    initial_values: (S,), zeros by default.

    Returns a Solution; `converged` is False if `max_iterations` or the rounding floor of float64
    came first. Raises ValueError for an unknown method or a bad argument.
    Source: Puterman (1994), sections 6.3.2, 6.3.3 and Theorem 6.6.3.
    """
    check_range(tolerance, "tolerance", 0.0, np.inf)
    values = initial_vector(mdp, initial_values)
    if method == "jacobi":
        values, iterations = _jacobi(mdp, values, tolerance, max_iterations)
    elif method == "gauss_seidel":
        values, iterations = _gauss_seidel(mdp, values, tolerance, max_iterations)
    elif method == "anderson":
        values, iterations = _anderson(mdp, values, tolerance, max_iterations, memory)
    else:
        raise ValueError(f"method is {method!r}; expected one of {METHODS}")
    return certified_solution(mdp, values, iterations, tolerance)


def initial_vector(mdp: DiscountedMDP, initial_values: FloatArray | None) -> FloatArray:
    """Return a writable float copy of the starting values (S,), zeros where not given."""
    if initial_values is None:
        return np.zeros(mdp.states)
    values = as_float_array(initial_values, "initial_values", (mdp.states,))
    check_finite(values, "initial_values")
    return values.copy()


def _certified(mdp: DiscountedMDP, values: FloatArray, image: FloatArray, tolerance: float) -> bool:
    """Whether iterating further is pointless: the gap is met, or rounding rules it out."""
    error = sweep_error(mdp, values)
    bounds, _ = fixed_point_bounds(values, image, error, mdp.discount, mdp.row_mass)
    return bounds.gap <= max(tolerance, rounding_floor(error, mdp.discount))


def _jacobi(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, int]:
    image = np.empty_like(values)
    for iteration in range(1, max_iterations + 1):
        bellman(mdp.rows, mdp.rewards, mdp.discount, values, image)
        if _certified(mdp, values, image, tolerance):
            return values, iteration
        values, image = image, values
    return values, max_iterations


def _gauss_seidel(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, int]:
    for iteration in range(1, max_iterations + 1):
        before = values.copy()
        gauss_seidel(mdp.rows, mdp.rewards, mdp.discount, values)
        moved = float(np.abs(values - before).max())
        # An in-place sweep contracts by the discount too; only then is the bracket worth a sweep.
        enough = max(tolerance, rounding_floor(sweep_error(mdp, values), mdp.discount))
        if 2 * moved * mdp.discount <= enough * (1 - mdp.discount):
            image = bellman(mdp.rows, mdp.rewards, mdp.discount, values)
            if _certified(mdp, values, image, tolerance):
                return values, iteration
    return values, max_iterations


def _anderson(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int, memory: int
) -> tuple[FloatArray, int]:
    history: deque[tuple[FloatArray, FloatArray]] = deque(maxlen=memory + 1)
    best = np.inf
    for iteration in range(1, max_iterations + 1):
        image = bellman(mdp.rows, mdp.rewards, mdp.discount, values)
        if _certified(mdp, values, image, tolerance):
            return values, iteration
        residual = image - values
        norm = float(np.abs(residual).max())
        if norm > best:
            # The mixed point was worse than where it came from: start over from a plain step.
            history.clear()
        best = min(best, norm)
        history.append((image, residual))
        values = _mix(history)
    return values, max_iterations


def _mix(history: deque[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Return the affine combination of images whose residuals combine to the least norm."""
    image, residual = history[-1]
    if len(history) == 1:
        return image
    residual_steps = np.column_stack([residual - r for _, r in list(history)[:-1]])
    image_steps = np.column_stack([image - w for w, _ in list(history)[:-1]])
    weights = np.linalg.lstsq(residual_steps, residual, rcond=1e-10)[0]
    return np.asarray(image - image_steps @ weights)
