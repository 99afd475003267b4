"""Bellman operators on JAX: pure functions, to be jitted, differentiated and mapped over instances.

transitions (S, A, S), rewards (S, A) with -inf where an action is not available (its row must still
be a distribution for the robust operators), values (S,). They import JAX when they are called, and
want its 64-bit floats: `rltheory.analysis.backends.jax_module()` switches these on, as does
`inner_problem`; call either before a function of yours is compiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.backends import LazyJax, jax_module
from rltheory.tabular import jax_inner
from rltheory.tabular.uncertainty.base import Rows, UncertaintySet
from rltheory.tabular.uncertainty.chi_square import ChiSquare
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.euclidean import L2
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.kullback_leibler import KullbackLeibler
from rltheory.tabular.uncertainty.penalised import Penalised
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation
from rltheory.tabular.uncertainty.wasserstein import Wasserstein

jax, jnp = LazyJax(), LazyJax("numpy")

_WORST: dict[type[UncertaintySet], tuple[Callable[..., Any], Callable[..., Any]]] = {
    TotalVariation: (jax_inner.total_variation, jax_inner.penalised_total_variation),
    L1: (jax_inner.l1, jax_inner.penalised_l1),
    L2: (jax_inner.l2, jax_inner.penalised_l2),
    LInf: (jax_inner.l_infinity, jax_inner.penalised_l_infinity),
    ChiSquare: (jax_inner.chi_square, jax_inner.penalised_chi_square),
    KullbackLeibler: (jax_inner.kullback_leibler, jax_inner.penalised_kullback_leibler),
    Contamination: (jax_inner.contamination, jax_inner.penalised_contamination),
    Wasserstein: (jax_inner.wasserstein, jax_inner.penalised_wasserstein),
}


class InnerProblem(NamedTuple):
    """An uncertainty set as the operators take it.

    worst: a function of `tabular.jax_inner`; budgets: (S, A) radii or penalties; by_row: what else
    it takes of each row, (S, A, S) each; shared: what all rows share.
    """

    worst: Callable[..., Any]
    budgets: FloatArray
    by_row: tuple[FloatArray, ...] = ()
    shared: tuple[FloatArray, ...] = ()


def inner_problem(uncertainty: UncertaintySet, transitions: FloatArray) -> InnerProblem:
    """Return the inner problem of a set around a dense kernel (..., S, A, S), as NumPy arrays.

    Raises TypeError for what is not a set, ValueError for one that has no form on JAX.
    """
    if not isinstance(uncertainty, UncertaintySet):
        raise TypeError(f"uncertainty is {uncertainty!r}; expected a set such as L1(0.1)")
    jax_module()
    shape = transitions.shape[:-1]
    budgets = uncertainty.budgets(shape).reshape(shape)
    if isinstance(uncertainty, Interval):
        rows = Rows.of(transitions.reshape(-1, transitions.shape[-1]))
        low, high = (bound.reshape(transitions.shape) for bound in uncertainty.bounds(rows))
        return InnerProblem(jax_inner.interval, budgets, (low, high))
    penalised = isinstance(uncertainty, Penalised)
    ball = uncertainty.ball if isinstance(uncertainty, Penalised) else uncertainty
    if type(ball) not in _WORST:
        known = ", ".join(sorted({kind.__name__ for kind in _WORST} | {"Interval", "Penalised"}))
        raise ValueError(
            f"uncertainty is a {type(ball).__name__}; backend='jax' has the inner problems of "
            f"{known}"
        )
    worst = _WORST[type(ball)][penalised]
    if isinstance(ball, TotalVariation) and ball.support == "nominal":
        worst = (
            jax_inner.penalised_total_variation_on_support
            if penalised
            else jax_inner.total_variation_on_support
        )
    if not isinstance(ball, Wasserstein):
        return InnerProblem(worst, budgets)
    if len(ball.cost) != transitions.shape[-1]:
        raise ValueError(
            f"cost has shape {ball.cost.shape}; expected {(transitions.shape[-1],) * 2}"
        )
    return InnerProblem(worst, budgets, shared=(np.asarray(ball.cost),))


def action_values(values: Any, transitions: Any, rewards: Any, discount: Any) -> Any:
    """Return r + g * P v, (S, A)."""
    return rewards + discount * (transitions @ values)


def bellman(values: Any, transitions: Any, rewards: Any, discount: Any) -> Any:
    """Return max over actions of r + g * P v, (S,)."""
    return action_values(values, transitions, rewards, discount).max(axis=-1)


def robust_action_values(
    values: Any, transitions: Any, rewards: Any, discount: Any, problem: InnerProblem
) -> Any:
    """Return r + g * inf q . v over the (s,a)-rectangular set of a problem, (S, A)."""
    states, actions = rewards.shape
    rows = transitions.reshape(states * actions, states)
    by_row = tuple(array.reshape(rows.shape) for array in problem.by_row)
    axes = (None, 0, 0, *(0 for _ in by_row), *(None for _ in problem.shared))
    worst = jax.vmap(problem.worst, in_axes=axes)
    found = worst(values, rows, problem.budgets.reshape(-1), *by_row, *problem.shared)
    return rewards + discount * found.reshape(states, actions)


def robust_bellman(
    values: Any, transitions: Any, rewards: Any, discount: Any, problem: InnerProblem
) -> Any:
    """Return max over actions of r + g * inf q . v, (S,); see `robust_action_values`."""
    return robust_action_values(values, transitions, rewards, discount, problem).max(axis=-1)


def mixed(policy: Any, q: Any) -> Any:
    """Return sum_a policy(a) q(a), (S,); actions of probability zero may hold -inf."""
    return jnp.where(policy > 0, policy * jnp.where(policy > 0, q, 0.0), 0.0).sum(axis=-1)
