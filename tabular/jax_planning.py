"""Value iteration on JAX, for one MDP or many of one size, certified as every planner is.

What JAX returns is only where the certified planner begins: its bounds hold whatever it is given,
and from good values it takes a sweep or two.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray, check_range
from rltheory.analysis.backends import array_module, jax_module
from rltheory.tabular.jax_operators import InnerProblem, bellman, inner_problem, robust_bellman
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.solution import Solution
from rltheory.tabular.uncertainty.base import UncertaintySet

MOST_ENTRIES = 2**27
"""Of a sparse MDP's transitions when they are spelt out: a GiB."""


def plan_many(
    mdps: Sequence[DiscountedMDP],
    uncertainty: UncertaintySet | None = None,
    *,
    tolerance: float = 1e-8,
    backend: str = "jax",
) -> tuple[Solution, ...]:
    """Solve MDPs of one size; return a certified solution of each, in order.

    mdps: all with the same numbers of states and actions; discounts may differ. On JAX kernels are
    dense: sparse ones are spelt out.
    uncertainty: an adversary's set around each, (s,a)-rectangular, the same for all; None for none.
    tolerance: the certified gap asked for (units of reward). backend: "jax" iterates all of them as
    one program (`jax.vmap`), on a GPU where JAX has one; "numpy" solves one after the other.

    Returns Solutions, RobustSolutions where there is an adversary, with lower <= V* <= upper.
    Raises ValueError if there are no MDPs, they differ in size, a sparse one is too large to be
    spelt out, or the set has no form on JAX; TypeError for arguments of another kind; ImportError
    if JAX is not there.
    Source: Puterman (1994), section 6.3; Iyengar (2005), Theorem 3.2.
    """
    each = list(mdps)
    if not each:
        raise ValueError("mdps is empty; expected at least one MDP")
    for number, mdp in enumerate(each):
        check_discounted(mdp)
        size, first = (mdp.states, mdp.actions), (each[0].states, each[0].actions)
        if size != first:
            raise ValueError(
                f"mdps[{number}] has {size} states and actions, mdps[0] {first}; expected one size"
            )
    starts: Sequence[FloatArray | None] = [None] * len(each)
    if array_module(backend) is not np:
        starts = list(values_on_jax(each, uncertainty, tolerance)[0])
    return tuple(
        _certified(mdp, uncertainty, tolerance, start)
        for mdp, start in zip(each, starts, strict=True)
    )


def _certified(
    mdp: DiscountedMDP,
    uncertainty: UncertaintySet | None,
    tolerance: float,
    start: FloatArray | None,
) -> Solution:
    from rltheory.tabular.robust import robust_value_iteration
    from rltheory.tabular.value_iteration import value_iteration

    if uncertainty is None:
        return value_iteration(mdp, tolerance=tolerance, initial_values=start)
    return robust_value_iteration(mdp, uncertainty, tolerance=tolerance, initial_values=start)


def values_on_jax(
    mdps: Sequence[DiscountedMDP],
    uncertainty: UncertaintySet | None,
    tolerance: float,
    max_iterations: int = 1_000_000,
    start: FloatArray | None = None,
) -> tuple[FloatArray, IntArray]:
    """Return values (n, S) within about half the tolerance, and the sweeps that each took.

    start: (S,), zeros by default. Raises ValueError if a sparse MDP is too large to be spelt out.
    """
    check_range(tolerance, "tolerance", 0.0, np.inf)
    transitions = np.stack([_spelt_out(mdp) for mdp in mdps])
    rewards = np.stack([np.asarray(mdp.rewards) for mdp in mdps])
    # An action that is not available may have a row that is no distribution.
    transitions = np.where(np.isfinite(rewards)[..., None], transitions, 1.0 / mdps[0].states)
    discounts = np.array([mdp.discount for mdp in mdps])
    problem = None if uncertainty is None else inner_problem(uncertainty, transitions)
    run = _program(None if problem is None else problem.worst)
    parts = () if problem is None else (problem.budgets, problem.by_row, problem.shared)
    values = np.zeros((len(mdps), mdps[0].states))
    values += 0.0 if start is None else start
    found, sweeps = run(values, transitions, rewards, discounts, tolerance, max_iterations, parts)
    return np.asarray(found), np.asarray(sweeps)


def _spelt_out(mdp: DiscountedMDP) -> FloatArray:
    if not mdp.is_sparse:
        return np.asarray(mdp.transitions)
    shape = (mdp.states, mdp.actions, mdp.states)
    if np.prod(shape) > MOST_ENTRIES:
        raise ValueError(
            f"mdp is sparse, and {shape} dense transitions are too many; backend='jax' spells out "
            f"at most {MOST_ENTRIES} entries"
        )
    return np.asarray(mdp.transitions.toarray()).reshape(shape)


@cache
def _program(worst: Any) -> Any:
    """Return the compiled iteration for a nominal MDP, or for an inner problem."""
    jax = jax_module()

    def solve(
        values: Any, transitions: Any, rewards: Any, discount: Any, tolerance: Any, most: Any,
        parts: Any,
    ) -> tuple[Any, Any]:  # fmt: skip
        def sweep(v: Any) -> Any:
            if not parts:
                return bellman(v, transitions, rewards, discount)
            problem = InnerProblem(worst, *parts)
            return robust_bellman(v, transitions, rewards, discount, problem)

        def going(state: Any) -> Any:
            _, low, high, count = state
            return (discount * (high - low) > 0.5 * tolerance * (1.0 - discount)) & (count < most)

        def step(state: Any) -> Any:
            v, _, _, count = state
            image = sweep(v)
            change = image - v
            return image, change.min(), change.max(), count + 1

        start = (values, -jax.numpy.inf + discount * 0.0, jax.numpy.inf + discount * 0.0, 0)
        v, low, high, count = jax.lax.while_loop(going, step, start)
        # MacQueen's middle: a constant error drops out.
        return v + 0.5 * discount / (1.0 - discount) * (low + high), count

    axes = (0, 0, 0, 0, None, None, () if worst is None else (0, 0, None))
    return jax.jit(jax.vmap(solve, in_axes=axes))
