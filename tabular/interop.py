"""Exact MDPs from and for other solvers of them: QuantEcon and pymdptoolbox."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from rltheory.analysis.arrays import FloatArray, as_float_array
from rltheory.tabular.mdp import DiscountedMDP


def from_quantecon(problem: Any) -> DiscountedMDP:
    """Build from a QuantEcon `DiscreteDP` in product form, or in state-action-pair form.

    Missing pairs become unavailable actions (reward -inf, a zero row). Raises ValueError if the
    problem's discount is 1.
    """
    if not getattr(problem, "_sa_pair", False):
        return DiscountedMDP(problem.Q, problem.R, problem.beta)
    states = int(problem.num_states)
    actions = int(problem.a_indices.max()) + 1
    pairs = problem.s_indices * actions + problem.a_indices
    rewards = np.full((states, actions), -np.inf)
    rewards[problem.s_indices, problem.a_indices] = problem.R
    given = sparse.coo_array(problem.Q)
    kernel = sparse.csr_array(
        (given.data, (pairs[given.coords[0]], given.coords[1])), shape=(states * actions, states)
    )
    return DiscountedMDP(
        kernel if sparse.issparse(problem.Q) else kernel.toarray().reshape(states, actions, states),
        rewards,
        problem.beta,
    )


def to_quantecon(mdp: DiscountedMDP) -> Any:
    """Return the MDP as a QuantEcon `DiscreteDP`.

    Dense and fully available ones in product form, others as state-action pairs, sparse as the
    MDP is; the initial distribution has no place in it. Raises ImportError without quantecon.
    """
    try:
        from quantecon.markov import DiscreteDP
    except ImportError:
        raise ImportError("to_quantecon needs quantecon: install rltheory[interop]") from None
    if not mdp.is_sparse and mdp.available.all():
        return DiscreteDP(np.array(mdp.rewards), np.array(mdp.transitions), mdp.discount)
    states, actions = np.nonzero(mdp.available)
    kernel = mdp.rows[np.flatnonzero(mdp.available.ravel())]
    if mdp.is_sparse:
        kernel = sparse.csr_matrix(kernel)
    return DiscreteDP(mdp.rewards[states, actions], kernel, mdp.discount, states, actions)


def from_pymdptoolbox(transitions: Any, rewards: Any, discount: float = 0.99) -> DiscountedMDP:
    """Build from pymdptoolbox's arrays, where the action comes first.

    transitions (its P): (A, S, S), or A matrices (S, S), dense or sparse. rewards (its R): (S,)
    for every action, (S, A), or rewards of transitions as (A, S, S) or A matrices (S, S), which
    are averaged. Returns a sparse DiscountedMDP if the transitions are, a dense one otherwise.
    Raises ValueError naming the array whose shape does not fit.
    """
    kernels = [_matrix(kernel, f"transitions[{a}]") for a, kernel in enumerate(transitions)]
    if not kernels:
        raise ValueError("transitions has no actions; expected (actions, states, states)")
    states = kernels[0].shape[0]
    for a, kernel in enumerate(kernels):
        if kernel.shape != (states, states):
            raise ValueError(f"transitions[{a}] has shape {kernel.shape}; expected {(states,) * 2}")
    expected = _expected_rewards(kernels, rewards)
    if any(sparse.issparse(kernel) for kernel in kernels):
        stacked = sparse.vstack([sparse.csr_array(kernel) for kernel in kernels], format="csr")
        order = np.arange(len(kernels) * states).reshape(len(kernels), states).T.ravel()
        return DiscountedMDP(stacked[order], expected, discount)
    return DiscountedMDP(np.stack(kernels, axis=1), expected, discount)


def to_pymdptoolbox(mdp: DiscountedMDP) -> tuple[Any, FloatArray]:
    """Return (P, R) in pymdptoolbox's convention; its solvers take the discount separately.

    P is (A, S, S), or for a sparse MDP a list of A CSR matrices (S, S); R is (S, A). As every
    action must exist there, an unavailable one repeats its state's first available one, which
    changes no value.
    """
    first = mdp.available.argmax(axis=1)
    source = np.where(mdp.available, np.arange(mdp.actions), first[:, None])
    rows = np.arange(mdp.states)[:, None] * mdp.actions + source
    rewards = np.take_along_axis(mdp.rewards, source, axis=1)
    if mdp.is_sparse:
        return [sparse.csr_matrix(mdp.transitions[rows[:, a]]) for a in range(mdp.actions)], rewards
    return np.ascontiguousarray(mdp.rows[rows.T]), rewards


def _matrix(argument: Any, name: str) -> Any:
    if sparse.issparse(argument):
        return sparse.csr_array(argument)
    return as_float_array(argument, name, (None, None))


def _expected_rewards(kernels: Sequence[Any], rewards: ArrayLike) -> FloatArray:
    states, actions = kernels[0].shape[0], len(kernels)
    is_stack = isinstance(rewards, (list, tuple)) and any(map(sparse.issparse, rewards))
    if not is_stack:
        array = as_float_array(rewards, "rewards")
        if array.shape == (states,):
            return np.repeat(array[:, None], actions, axis=1)
        if array.shape == (states, actions):
            return array
        if array.shape != (actions, states, states):
            raise ValueError(
                f"rewards has shape {array.shape}; expected {(states,)}, {(states, actions)} "
                f"or {(actions, states, states)}"
            )
        rewards = array
    columns = []
    for a, (kernel, paid) in enumerate(zip(kernels, rewards, strict=True)):  # type: ignore[arg-type]
        matrix = _matrix(paid, f"rewards[{a}]")
        if matrix.shape != kernel.shape:
            raise ValueError(f"rewards[{a}] has shape {matrix.shape}; expected {kernel.shape}")
        is_dense = isinstance(kernel, np.ndarray) and isinstance(matrix, np.ndarray)
        product = kernel * matrix if is_dense else sparse.csr_array(kernel).multiply(matrix)
        columns.append(np.asarray(product.sum(axis=1)).ravel())
    return np.column_stack(columns)
