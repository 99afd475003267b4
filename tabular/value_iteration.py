"""Value iteration: Jacobi, Gauss-Seidel and Anderson-accelerated sweeps, stopped by certificate.

Every form stops as soon as MacQueen's bracket of the optimal value is narrower than the
tolerance, which on mixing MDPs is long before the sup-norm residual is small. A constant error
costs Jacobi sweeps nothing, since the bracket's middle removes it; the other two forms remove it
as they go.
Sources: Puterman (1994), sections 6.3 and 6.6; Walker and Ni (2011) for Anderson mixing;
Geist and Scherrer (2018) for its use on MDPs.
"""

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_magnitude,
    check_positive_integer,
)
from rltheory.analysis.backends import array_module
from rltheory.tabular.kernels import bellman, gauss_seidel
from rltheory.tabular.mdp import DiscountedMDP, check_solve
from rltheory.tabular.solution import Certifier, Solution, certified_solution

METHODS = ("jacobi", "gauss_seidel", "anderson")


def value_iteration(
    mdp: DiscountedMDP,
    *,
    tolerance: float = 1e-8,
    method: str = "jacobi",
    max_iterations: int = 1_000_000,
    initial_values: FloatArray | None = None,
    memory: int = 5,
    backend: str = "numpy",
) -> Solution:
    """Solve a discounted MDP by iterating its Bellman operator, a contraction in the sup norm.

    tolerance: stop when the certified gap max(upper - lower) is below it (units of reward).
    method: "jacobi", "gauss_seidel" (in place, states in order, each followed by a plain sweep
    that certifies) or "anderson" (mixing the last `memory` steps, falling back to the plain one
    when the bracket grows).
    initial_values: (S,), zeros by default. backend: "jax" sweeps where JAX does (Jacobi,
    sparse kernels spelt out), and what it found is certified as always.

    Returns a Solution; `converged` is False if `max_iterations` or the rounding floor of float64
    came first. Raises ValueError for an unknown method or a bad argument, ImportError if JAX is
    asked for and is not there.
    Source: Puterman (1994), sections 6.3.2, 6.3.3 and Theorem 6.6.3.
    """
    check_solve(mdp, tolerance, max_iterations)
    values = initial_vector(mdp, initial_values)
    swept = 0
    if array_module(backend) is not np:
        if method != "jacobi":
            raise ValueError(f"method is {method!r}; expected 'jacobi' for backend='jax'")
        from rltheory.tabular.jax_planning import values_on_jax

        found, sweeps = values_on_jax([mdp], None, tolerance, max_iterations, values)
        values, swept = found[0].copy(), int(sweeps[0])
    if method == "jacobi":
        values, iterations = _jacobi(mdp, values, tolerance, max(max_iterations - swept, 1))
        iterations += swept
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
    check_magnitude(float(np.abs(values).max()), "initial_values holds numbers")
    return values.copy()


def _jacobi(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, int]:
    certifier = Certifier.of(mdp, tolerance)
    image = np.empty_like(values)
    for iteration in range(1, max_iterations + 1):
        bellman(mdp.rows, mdp.rewards, mdp.discount, values, image)
        stop, _, _ = certifier.judge(values, image)
        if stop:
            return values, iteration
        values, image = image, values
    return values, max_iterations


def _gauss_seidel(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int
) -> tuple[FloatArray, int]:
    certifier = Certifier.of(mdp, tolerance)
    image = np.empty_like(values)
    narrowest = np.inf
    for iteration in range(1, max_iterations + 1):
        bellman(mdp.rows, mdp.rewards, mdp.discount, values, image)
        stop, shift, width = certifier.judge(values, image)
        if stop:
            return values, iteration
        # An in-place sweep does not carry constants along, so a shift could undo its progress:
        # one that at least halves the bracket cannot do so for ever.
        if width <= 0.5 * narrowest:
            image += shift
            narrowest = width
        gauss_seidel(mdp.rows, mdp.rewards, mdp.discount, image)
        values, image = image, values
    return values, max_iterations


def _anderson(
    mdp: DiscountedMDP, values: FloatArray, tolerance: float, max_iterations: int, memory: int
) -> tuple[FloatArray, int]:
    certifier = Certifier.of(mdp, tolerance)
    slots = check_positive_integer(memory, "memory")
    image_steps = np.zeros((slots, mdp.states))
    residual_steps = np.zeros((slots, mdp.states))
    gram = np.zeros((slots, slots))
    image, last_image = np.empty_like(values), np.empty_like(values)
    residual, last_residual = np.empty_like(values), np.empty_like(values)
    narrowest, filled = np.inf, 0
    for iteration in range(1, max_iterations + 1):
        bellman(mdp.rows, mdp.rewards, mdp.discount, values, image)
        stop, shift, width = certifier.judge(values, image)
        if stop:
            return values, iteration
        image += shift
        np.subtract(image, values, out=residual)
        if width > narrowest:
            # The mixed point was worse than where it came from: start over from a plain step.
            residual_steps[:], gram[:], filled = 0.0, 0.0, 0
        narrowest = min(narrowest, width)
        if filled:
            slot = filled % slots
            np.subtract(residual, last_residual, out=residual_steps[slot])
            np.subtract(image, last_image, out=image_steps[slot])
            _normalise(residual_steps[slot], image_steps[slot])
            gram[slot] = gram[:, slot] = _products(residual_steps, residual_steps[slot])
        filled += 1
        weights = np.linalg.lstsq(gram, _products(residual_steps, residual), rcond=1e-10)[0]
        values = image - np.einsum("i,is->s", weights, image_steps)
        image, last_image = last_image, image
        residual, last_residual = last_residual, residual
    return values, max_iterations


def _normalise(residual_step: FloatArray, image_step: FloatArray) -> None:
    """Scale a pair of steps, in place, so that the first has norm one (or is zero)."""
    norm = float(np.sqrt(_products(residual_step[None], residual_step)[0]))
    if norm > 0:
        residual_step /= norm
        image_step /= norm


def _products(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """Return rows @ vector: so few rows are read faster here than by the threads of a BLAS."""
    return np.asarray(np.einsum("is,s->i", rows, vector))
