"""Policies as arrays: deterministic (S,) actions or (S, A) rows on the simplex."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, as_float_array, check_distributions


def one_hot(actions: NDArray[Any], count: int) -> FloatArray:
    """Return actions (...,) as rows (..., count) of zeros with a single one."""
    policy = np.zeros((*actions.shape, count))
    np.put_along_axis(policy, actions[..., None], 1.0, axis=-1)
    return policy


def greedy(action_values: NDArray[Any]) -> FloatArray:
    """Return the deterministic policy (..., A) of the first maximiser in each state."""
    return one_hot(action_values.argmax(axis=-1), action_values.shape[-1])


def as_policy(policy: Any, available: NDArray[np.bool_]) -> FloatArray:
    """Validate a policy against the mask of available actions (..., A); return rows (..., A).

    Takes action indices of shape (...,) or distributions of shape (..., A). Raises ValueError
    for a wrong shape, an action out of range, or probability on an unavailable action.
    """
    array = np.asarray(policy)
    actions = available.shape[-1]
    if array.shape == available.shape[:-1]:
        if not np.issubdtype(array.dtype, np.integer):
            raise TypeError(f"policy holds {array.dtype}; action indices must be integers")
        if array.min() < 0 or array.max() >= actions:
            raise ValueError(
                f"policy holds action {array.min() if array.min() < 0 else array.max()}; "
                f"expected 0 to {actions - 1}"
            )
        rows = one_hot(array, actions)
    else:
        rows = as_float_array(policy, "policy", available.shape)
        check_distributions(rows, "policy")
    forbidden = np.argwhere((rows > 0) & ~available)
    if len(forbidden):
        where = ", ".join(map(str, forbidden[0]))
        raise ValueError(f"policy[{where}] is positive, but that action is not available")
    return rows
