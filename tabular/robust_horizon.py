"""Robust backward induction for finite-horizon MDPs, with both players certified.

Source: Iyengar (2005), section 2; Nilim and El Ghaoui (2005).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    check_finite,
    check_magnitude,
)
from rltheory.analysis.bounds import down, up
from rltheory.tabular.finite_horizon import EpisodicSolution
from rltheory.tabular.mdp import EpisodicMDP, check_episodic
from rltheory.tabular.policies import as_policy
from rltheory.tabular.robust_operator import RobustOperator
from rltheory.tabular.uncertainty.base import UncertaintySet

_ACCURACY = 1e-13
"""Of the saddle points, relative to the values; the certified gap says what was reached."""


@dataclass(frozen=True, eq=False)
class RobustEpisodicSolution(EpisodicSolution):
    """An EpisodicSolution whose values and certificates hold against every kernel of the set."""

    _kernel: Callable[[], FloatArray] = field(repr=False)

    @cached_property
    def worst_kernel(self) -> FloatArray:
        """The adversary's kernels (H, S, A, S), worked out when first asked for."""
        return self._kernel()


def robust_backward_induction(
    mdp: EpisodicMDP,
    uncertainty: UncertaintySet,
    *,
    rectangularity: str = "sa",
    policy: Any = None,
    terminal_values: FloatArray | None = None,
) -> RobustEpisodicSolution:
    """Return the optimal robust values of a finite-horizon MDP, or those of `policy` where given.

    The adversary chooses a kernel of the set at every step. policy: (H, S) action indices or
    (H, S, A) rows; terminal_values: (S,), zeros by default.
    Returns values (H + 1, S) with lower <= V <= upper. Raises ValueError or TypeError by name.
    Source: Iyengar (2005), section 2.
    """
    check_episodic(mdp)
    values = np.zeros((mdp.horizon + 1, mdp.states))
    if terminal_values is not None:
        values[-1] = as_float_array(terminal_values, "terminal_values", (mdp.states,))
        check_finite(values[-1], "terminal_values")
        check_magnitude(float(np.abs(values[-1]).max()), "terminal_values holds numbers")
    lower, upper = values.copy(), values.copy()
    rows = None if policy is None else as_policy(policy, mdp.available)
    q = np.empty(mdp.rewards.shape)
    chosen = np.empty(mdp.rewards.shape) if rows is None else rows
    budgets = np.empty((mdp.horizon, mdp.states * mdp.actions))
    operators = _operators(mdp, uncertainty, rectangularity)
    for h in reversed(range(mdp.horizon)):
        following = values[h + 1]
        accuracy = _ACCURACY * float(np.abs(following).max() + np.abs(q[h + 1 :]).max(initial=0))
        if rows is None:
            backup = operators[h].backup(following, accuracy)
            chosen[h] = backup.policy
        else:
            backup = operators[h].evaluate(rows[h], following, accuracy)
        values[h], q[h], budgets[h] = backup.lower, backup.action_values, backup.budgets
        # The backup is monotone and moves constants by the mass of its rows, at most `heaviest`.
        heaviest = (1.0 + ROW_SUM_TOLERANCE) ** 2
        below = float((following - lower[h + 1]).max()) * heaviest + backup.error
        above = float((upper[h + 1] - following).max()) * heaviest + backup.error
        lower[h], upper[h] = down(backup.lower - up(below)), up(backup.upper + up(above))

    def kernel() -> FloatArray:
        steps = [operators[h].response(values[h + 1], budgets[h])[0] for h in range(mdp.horizon)]
        return np.asarray(np.stack(steps).reshape(mdp.transitions.shape))

    return RobustEpisodicSolution(values, q, chosen, lower, upper, kernel)


def _operators(
    mdp: EpisodicMDP, uncertainty: UncertaintySet, rectangularity: str
) -> list[RobustOperator]:
    """Return the operator of each step; one for all where the kernels are the same memory."""

    def operator(h: int) -> RobustOperator:
        kernel = mdp.transitions[h].reshape(-1, mdp.states)
        return RobustOperator.of(kernel, mdp.rewards[h], 1.0, uncertainty, rectangularity)

    if mdp.transitions.strides[0] == 0 and mdp.rewards.strides[0] == 0:
        return [operator(0)] * mdp.horizon
    return [operator(h) for h in range(mdp.horizon)]
