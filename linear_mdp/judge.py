"""What policies are worth in truth, for the curves of algorithms that learn them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.planning import plan
from rltheory.linear_mdp.rules import Nominal, Settings
from rltheory.tabular.finite_horizon import EpisodicSolution, backward_induction
from rltheory.tabular.uncertainty.base import UncertaintySet


def start_value(solution: EpisodicSolution, initial: FloatArray) -> Bounds:
    """Return the value of starting from a distribution (S,), certified."""
    size = max(float(np.abs(solution.lower[0]).max()), float(np.abs(solution.upper[0]).max()))
    # Entries sum to 1 within the tolerance; the sum adds S roundings.
    error = rounding_error(len(initial) + 1, (1.0 + ROW_SUM_TOLERANCE) * size)
    return Bounds(
        down(initial @ solution.lower[0] - error), up(initial @ solution.upper[0] + error)
    )


class Judge:
    """Exact values of policies from the initial distribution, beside the optimum.

    In a linear MDP against the set and with the payments that the algorithm reckons with; in a
    FeatureMDP, which has no factors, plain ones.
    """

    def __init__(
        self, nominal: Nominal, uncertainty: UncertaintySet | None, settings: Settings
    ) -> None:
        self._model: Any = nominal
        if isinstance(nominal, LinearMDP) and uncertainty is not None:
            self._model = RobustLinearMDP(nominal, uncertainty)
        self._initial = nominal.initial
        self._temperature, self._reference = settings.temperature, settings.reference
        self._last: tuple[FloatArray, Bounds] | None = None
        self.optimum = self._value(None)

    def __call__(self, policy: FloatArray) -> Bounds:
        """Return the value of a policy (H, S, A), certified."""
        if self._last is None or not np.array_equal(self._last[0], policy):
            self._last = policy, self._value(policy)
        return self._last[1]

    def _value(self, policy: FloatArray | None) -> Bounds:
        if isinstance(self._model, FeatureMDP):
            solution = backward_induction(self._model.mdp, policy=policy)
        else:
            solution = plan(
                self._model,
                temperature=self._temperature,
                reference=self._reference,
                policy=policy,
            )
        return start_value(solution, self._initial)
