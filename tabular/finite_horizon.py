"""Backward induction for finite-horizon MDPs, with rounding errors carried along.

Source: Puterman (1994), section 4.5.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    check_finite,
    check_magnitude,
)
from rltheory.analysis.bounds import down, rounding_error, up
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.kernels import action_values, rounding_depth
from rltheory.tabular.mdp import EpisodicMDP, check_episodic
from rltheory.tabular.policies import as_policy, greedy


@dataclass(frozen=True, eq=False)
class EpisodicSolution:
    """A solved (or evaluated) finite-horizon MDP with its certificate.

    values (H + 1, S) with the terminal values last; action_values (H, S, A); policy (H, S, A);
    lower, upper (H + 1, S), lower <= V <= upper rigorously. In rational arithmetic the arrays
    hold Fractions and lower = values = upper.
    """

    values: NDArray[Any]
    action_values: NDArray[Any]
    policy: FloatArray
    lower: NDArray[Any]
    upper: NDArray[Any]

    @property
    def gap(self) -> float:
        """The largest certified width, max(upper - lower)."""
        return float(np.max(self.upper - self.lower))


def backward_induction(
    mdp: EpisodicMDP,
    *,
    policy: Any = None,
    terminal_values: FloatArray | None = None,
    arithmetic: str = "float",
) -> EpisodicSolution:
    """Return the optimal values of a finite-horizon MDP, or those of `policy` where given.

    policy: (H, S) action indices or (H, S, A) rows; terminal_values: (S,), zeros by default.
    arithmetic: "float" with certified bounds, or "rational" for exact Fractions.
    Raises ValueError for a bad argument. Source: Puterman (1994), section 4.5.
    """
    check_episodic(mdp)
    last = (
        np.zeros(mdp.states)
        if terminal_values is None
        else as_float_array(terminal_values, "terminal_values", (mdp.states,))
    )
    check_finite(last, "terminal_values")
    check_magnitude(float(np.abs(last).max()), "terminal_values holds numbers")
    rows = None if policy is None else as_policy(policy, mdp.available)
    if arithmetic == "rational":
        return _rational(mdp, rows, last)
    if arithmetic != "float":
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    horizon, states, actions = mdp.rewards.shape
    values = np.zeros((horizon + 1, states))
    values[horizon] = last
    q = np.empty((horizon, states, actions))
    errors = np.zeros(horizon + 1)
    for h in reversed(range(horizon)):
        kernel = mdp.transitions[h].reshape(-1, states)
        action_values(kernel, mdp.rewards[h], 1.0, values[h + 1], q[h])
        if rows is None:
            values[h] = q[h].max(axis=1)
        else:
            values[h] = _mix(rows[h], q[h])
        errors[h] = _step_error(mdp, h, values[h + 1], errors[h + 1], mixed=rows is not None)
    chosen = greedy(q) if rows is None else rows
    return EpisodicSolution(
        values, q, chosen, down(values - errors[:, None]), up(values + errors[:, None])
    )


def _step_error(
    mdp: EpisodicMDP, h: int, following: FloatArray, error: float, *, mixed: bool
) -> float:
    rewards = mdp.rewards[h]
    magnitude = float(np.abs(rewards[np.isfinite(rewards)]).max() + np.abs(following).max())
    depth = rounding_depth(mdp.transitions[h].reshape(-1, mdp.states))
    depth += mdp.actions + 1 if mixed else 0
    heaviest = 1.0 + ROW_SUM_TOLERANCE
    return float(rounding_error(depth, heaviest**2 * magnitude) + error * heaviest**2 * (1 + 1e-15))


def _mix(policy: NDArray[Any], q: NDArray[Any]) -> Any:
    return np.where(policy > 0, policy * np.where(policy > 0, q, 0), 0).sum(axis=-1)


def _rational(mdp: EpisodicMDP, policy: FloatArray | None, last: FloatArray) -> EpisodicSolution:
    horizon, states, actions = mdp.rewards.shape
    values = np.empty((horizon + 1, states), dtype=object)
    values[horizon] = to_fractions(last)
    q = np.full((horizon, states, actions), -np.inf, dtype=object)
    for h in reversed(range(horizon)):
        for s, a in np.argwhere(mdp.available[h]):
            support = np.flatnonzero(mdp.transitions[h, s, a])
            row = to_fractions(mdp.transitions[h, s, a, support])
            reward = to_fractions(mdp.rewards[h, s, a]).item()
            q[h, s, a] = reward + sum(row * values[h + 1, support])
        if policy is None:
            values[h] = q[h].max(axis=1)
        else:
            values[h] = _mix(to_fractions(policy[h]), q[h])
    chosen = greedy(q) if policy is None else policy
    return EpisodicSolution(values, q, chosen, values, values)
