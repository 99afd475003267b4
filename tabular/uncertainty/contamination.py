"""Contamination: with probability up to rho, the next state is the adversary's choice.

q = (1 - rho) p + rho e for any distribution e, so that inf q . v = (1 - rho) p . v + rho min v.
Source: Huber (1965) for the model; Wang and Zou (2021) in robust reinforcement learning.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_range
from rltheory.tabular.kernels import action_values
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows
from rltheory.tabular.uncertainty.total_variation import moved_to


@dataclass(frozen=True, eq=False)
class Contamination(Ball):
    """Mixtures of the nominal row with anything, of weight at most `radius` in [0, 1].

    radius: a scalar or one per row. Raises ValueError if it is outside [0, 1].
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(float(self.radius.max(initial=0.0)), "radius", 0.0, 1.0)

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: closed form, so that lower and upper agree."""
        nominal = _expectations(rows, values)
        weight = np.minimum(budgets, 1.0)
        inner.lower[:] = inner.upper[:] = (1.0 - weight) * nominal + weight * values.min()
        inner.multiplier[:] = np.where(budgets < 1.0, np.maximum(nominal - values.min(), 0.0), 0.0)
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        weight = np.minimum(budgets, 1.0)
        data = rows.data * np.repeat(1.0 - weight, np.diff(rows.starts))
        return moved_to(rows, data, weight, np.full(rows.count, values.argmin()))

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`; D is the weight of the mixture, at most 1."""
        nominal, lowest = _expectations(rows, values), values.min()
        contaminated = nominal - lowest > multipliers
        value = np.where(contaminated, lowest + multipliers, nominal)
        return value, contaminated.astype(np.float64)


def _expectations(rows: Rows, values: FloatArray) -> FloatArray:
    return action_values(rows.matrix(rows.data), np.zeros((rows.count, 1)), 1.0, values)[:, 0]
