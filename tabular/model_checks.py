"""What makes arrays an MDP, checked once where a model is built; errors name the place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_magnitude,
    check_row_sums,
    check_shape,
    read_only,
)
from rltheory.tabular.kernels import action_values

# More than the rounding of a row's sum, so that certificates can tell the product from 1.
_LEAST_LOSS = 1e-12


def check_rewards(rewards: FloatArray) -> NDArray[np.bool_]:
    """Check rewards (..., S, A) and return the mask of available actions.

    Raises ValueError for NaN or +inf, for no states or actions, and for a state without an action.
    """
    if 0 in rewards.shape:
        raise ValueError(f"rewards has shape {rewards.shape}; every axis must have length >= 1")
    available: NDArray[np.bool_] = np.isfinite(rewards)
    bad = np.argwhere(np.isnan(rewards) | np.isposinf(rewards))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"rewards[{where}] is {rewards[tuple(bad[0])]}; "
            "expected a finite number, or -inf for an unavailable action"
        )
    empty = np.argwhere(~available.any(axis=-1))
    if len(empty):
        where = ", ".join(map(str, empty[0]))
        raise ValueError(
            f"rewards[{where}] is -inf for every action; each state needs an available action"
        )
    return available


def row_sums(rows: Any, shape: tuple[int, int]) -> FloatArray:
    """Return the sums (S, A) of rows (S * A, S), to the rounding that a Bellman sweep has."""
    return action_values(rows, np.zeros(shape), 1.0, np.ones(rows.shape[1]))


def check_kernel(transitions: FloatArray, sums: FloatArray, available: NDArray[np.bool_]) -> None:
    """Raise ValueError unless a dense array with these row sums is a kernel."""
    # They are NaN or infinite if any entry is.
    if not np.isfinite(sums).all():
        check_finite(transitions, "transitions")
    if transitions.min() < 0:
        where = np.unravel_index(int(transitions.argmin()), transitions.shape)
        index = ", ".join(str(int(i)) for i in where)
        raise ValueError(
            f"transitions[{index}] is {transitions[where]}; probabilities must be >= 0"
        )
    check_row_sums(sums, "transitions", available)


def check_values_exist(largest: float, discount: float, heaviest: float) -> None:
    """Raise ValueError unless rewards of that size have values, with room for their squares."""
    if discount * heaviest > 1.0 - _LEAST_LOSS:
        raise ValueError(
            f"discount is {discount!r} and the heaviest row of transitions sums to {heaviest!r}; "
            f"expected a product of at most 1 - {_LEAST_LOSS:g}"
        )
    check_magnitude(largest / (1.0 - discount), "rewards over 1 - discount give values")


def largest_reward(rewards: FloatArray, available: NDArray[np.bool_]) -> float:
    """Return the largest |reward| of an available action."""
    high = rewards.max(where=available, initial=0.0)
    return float(max(high, -rewards.min(where=available, initial=0.0)))


def as_broadcast(argument: Any, name: str) -> FloatArray:
    """Return a float array, whose steps may share memory: no copy spells them out."""
    if isinstance(argument, np.ndarray) and argument.dtype == np.float64:
        return argument
    return as_float_array(argument, name)


def as_csr(
    matrix: Any, states: int, actions: int, available: NDArray[np.bool_]
) -> tuple[Any, FloatArray]:
    """Return a kernel as CSR and its row sums (S, A), once it is found to be one."""
    check_shape(matrix, "transitions", (states * actions, states))
    csr = sparse.csr_array(matrix)
    try:
        # Compiled sweeps trust the indices.
        csr.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"transitions is not a valid CSR array: {error}") from None
    data = as_float_array(csr.data, "transitions.data")
    check_finite(data, "transitions.data")
    if len(data) and data.min() < 0:
        raise ValueError(f"transitions holds the entry {data.min()}; probabilities must be >= 0")
    view = sparse.csr_array((data, csr.indices, csr.indptr), shape=csr.shape)
    for part in ("data", "indices", "indptr"):
        setattr(view, part, read_only(getattr(view, part)))
    sums = row_sums(view, (states, actions))
    check_row_sums(sums, "transitions", available)
    return view, sums


def as_initial(initial: Any, states: int) -> FloatArray:
    """Return the initial distribution (S,), uniform where none is given."""
    if initial is None:
        return np.asarray(read_only(np.full(states, 1.0 / states)))
    array = as_float_array(initial, "initial", (states,))
    check_distributions(array, "initial")
    return np.asarray(read_only(array))
