"""Exact planning in linear MDPs: robust, regularised, or both, with certified bounds.

Backward over the steps, with an adversary who picks a member for each factor and a policy that pays
temperature * KL(policy, reference):
V_h(s) = max over pi of E_pi[Q_h(s, .)] - temperature KL(pi, reference_h(s)),
Q_h = r_h + features . nu_h, nu_h,i = inf over the ball of factor i of E[V_h+1].
The maximum is temperature log sum_a reference exp(Q / temperature), attained by the policy in
proportion to reference exp(Q / temperature). No kernel (S, A, S) is ever formed.
Sources: Liu and Xu (2024), section 3, for the robust part; Gu, He, Liu and Xu (2025) for both
constraints at once (abstract read; the recursion is derived here).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray, check_range
from rltheory.analysis.bounds import down, rounding_error, up
from rltheory.analysis.simplex import KL
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP, as_reference
from rltheory.tabular.finite_horizon import EpisodicSolution
from rltheory.tabular.policies import as_policy, greedy
from rltheory.tabular.uncertainty.base import Inner, Rows


@dataclass(frozen=True, eq=False)
class LinearSolution(EpisodicSolution):
    """An EpisodicSolution with the value of each factor, (H, d): Q_h = r_h + features . nu_h."""

    factor_values: FloatArray
    _measures: Callable[[], FloatArray] = field(repr=False)

    @cached_property
    def worst_measures(self) -> FloatArray:
        """The adversary's measures (H, d, S); those of the model without an adversary."""
        return self._measures()


def plan(
    model: LinearMDP | RobustLinearMDP,
    *,
    temperature: float = 0.0,
    reference: ArrayLike | None = None,
    policy: Any = None,
) -> LinearSolution:
    """Return the optimal values of a linear MDP, or those of `policy`, robust and regularised.

    model: a RobustLinearMDP has an adversary. temperature: >= 0, in units of reward; above 0 the
    policy pays it for each nat of divergence from `reference`, (H, S, A) or (S, A), uniform where
    not given. policy: (H, S) action indices or (H, S, A) rows to evaluate.

    Returns values (H + 1, S), zeros last, lower <= V <= upper. Raises ValueError or TypeError
    naming what does not fit.
    """
    mdp = as_linear(model)
    heat = check_range(temperature, "temperature", 0.0, np.inf, include_high=False)
    if reference is not None and heat == 0.0:
        raise ValueError("reference is given without a temperature; expected temperature > 0")
    shape = mdp.rewards.shape
    anchor = as_reference(reference, shape)
    rows = None if policy is None else as_policy(policy, np.ones(shape, dtype=bool))
    values = np.zeros((mdp.horizon + 1, mdp.states))
    lower, upper = values.copy(), values.copy()
    q, nu = np.empty(shape), np.empty((mdp.horizon, mdp.dimension))
    chosen = np.empty(shape) if rows is None else rows
    # Constants pass through a step times at most the masses of features, measures and policy.
    heaviest = (1.0 + ROW_SUM_TOLERANCE) ** 3
    # Kernels of features off the simplex may have entries of minus the tolerance.
    spill = 0.0 if mdp.simplex else heaviest * mdp.states * ROW_SUM_TOLERANCE
    mass = float(np.abs(mdp.features).sum(axis=-1).max())
    for h in reversed(range(mdp.horizon)):
        nu[h], error = _factors(model, h, values[h + 1])
        np.add(mdp.rewards[h], mdp.features @ nu[h], out=q[h])
        largest = float(np.abs(mdp.reward_weights[h]).max()) + float(np.abs(nu[h]).max())
        largest *= mass
        error = mass * error + rounding_error(2 * mdp.dimension + 4, 2 * largest)
        if rows is None:
            values[h] = KL.maximum(q[h], anchor[h], heat) if heat else q[h].max(axis=1)
            chosen[h] = KL.maximiser(q[h], anchor[h], heat) if heat else greedy(q[h])
            error += KL.maximum_error(q[h], anchor[h], heat) if heat else 0.0
        else:
            values[h] = (rows[h] * q[h]).sum(axis=1)
            error += rounding_error(mdp.actions + 1, heaviest * largest)
            if heat:
                values[h] -= heat * KL.divergence(rows[h], anchor[h])
                error += heat * KL.divergence_error(rows[h], anchor[h])
                error += rounding_error(2, float(np.abs(values[h]).max()) + 2 * largest)
        under = float((values[h + 1] - lower[h + 1]).max())
        over = float((upper[h + 1] - values[h + 1]).max())
        below = under * heaviest + over * spill + error
        above = over * heaviest + under * spill + error
        lower[h], upper[h] = down(values[h] - up(below)), up(values[h] + up(above))

    def measures() -> FloatArray:
        return np.stack([_members(model, h, values[h + 1]) for h in range(mdp.horizon)])

    return LinearSolution(values, q, chosen, lower, upper, nu, measures)


def as_linear(model: Any) -> LinearMDP:
    """Return the nominal model. Raises TypeError unless it is a linear MDP, robust or not."""
    if isinstance(model, RobustLinearMDP):
        return model.nominal
    if not isinstance(model, LinearMDP):
        raise TypeError(f"model is {model!r:.80}; expected a LinearMDP or a RobustLinearMDP")
    return model


def _factors(
    model: LinearMDP | RobustLinearMDP, h: int, values: FloatArray
) -> tuple[FloatArray, float]:
    """Return the value of each factor (d,) and a bound of what it is off."""
    if isinstance(model, LinearMDP):
        measures = model.measures[h]
        size = float(np.abs(measures).sum(axis=-1).max()) * float(np.abs(values).max())
        return np.asarray(measures @ values), rounding_error(2 * model.states, size)
    inner, rows, budgets = _inner(model, h, values)
    error = model.uncertainty.error(rows, values, budgets, inner)
    off = np.maximum(inner.upper - inner.lower, 0.0) + error
    return inner.upper.copy(), float(off.max())


def _inner(model: RobustLinearMDP, h: int, values: FloatArray) -> tuple[Inner, Rows, FloatArray]:
    rows = Rows.of(model.nominal.measures[h])
    budgets = np.ascontiguousarray(model.budgets[h])
    model.uncertainty.check(rows, np.ones(rows.count, dtype=bool))
    inner = model.uncertainty.solve(rows, values.copy(), budgets, Inner.empty(rows.count))
    return inner, rows, budgets


def _members(model: LinearMDP | RobustLinearMDP, h: int, values: FloatArray) -> FloatArray:
    if isinstance(model, LinearMDP):
        return np.asarray(model.measures[h])
    inner, rows, budgets = _inner(model, h, values)
    return np.asarray(model.uncertainty.members(rows, values, budgets, inner))
