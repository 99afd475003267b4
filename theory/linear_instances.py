"""Small robust linear MDPs off a tape, and their backward induction in exact arithmetic.

Features and measures are multiples of 2 ** -20 with rows that sum to exactly one, reward weights
of 2 ** -10 in [0, 1], radii of 1/16. `Exact` is the same model in Fractions; its adversary has
total variation, which strips mass from the top of every factor.
"""

from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.tabular.uncertainty.rational import strip
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory.exact import fractions
from rltheory.theory.tape import Tape


class Exact(NamedTuple):
    """Features (S, A, d), measures (H, d, S), reward weights (H, d) and radii (H, d), Fractions."""

    features: FractionArray
    measures: FractionArray
    weights: FractionArray
    radii: FractionArray

    @property
    def kernels(self) -> FractionArray:
        """Transitions (H, S, A, S) spelt out."""
        return np.array([self.features @ measures for measures in self.measures])

    @property
    def rewards(self) -> FractionArray:
        """Rewards (H, S, A)."""
        return np.array([self.features @ weights for weights in self.weights])


class Solved(NamedTuple):
    """Values (H + 1, S), zeros last, and action values (H, S, A)."""

    values: FractionArray
    action_values: FractionArray


class Robust(NamedTuple):
    """Values as `Solved`, the factors' worst cases nu (H, d) and the measures (H, d, S) there."""

    values: FractionArray
    action_values: FractionArray
    factor_values: FractionArray
    measures: FractionArray


def linear_mdp(
    tape: Tape, states: int, actions: int, factors: int, horizon: int, *, fail: bool = False
) -> LinearMDP:
    """Return a linear MDP with features and measures on the simplex, rewards in [0, 1].

    fail: the last state then absorbs without reward, by the last factor, which others may draw.
    """
    features = tape.simplex((states, actions, factors))
    measures = tape.simplex((horizon, factors, states))
    weights = tape.dyadic((horizon, factors))
    if fail:
        features[-1] = np.eye(factors)[-1]
        measures[:, -1] = np.eye(states)[-1]
        weights[:, -1] = 0.0
    start = tape.simplex(states)
    return LinearMDP(features, measures, weights, start, states - 1 if fail else None)


def robust_mdp(
    tape: Tape, states: int, actions: int, factors: int, horizon: int, *, fail: bool = False
) -> RobustLinearMDP:
    """Return a linear MDP with a total-variation ball around every factor of every step."""
    nominal = linear_mdp(tape, states, actions, factors, horizon, fail=fail)
    return RobustLinearMDP(nominal, TotalVariation(tape.dyadic((horizon, factors), bits=4)))


def policy(tape: Tape, mdp: LinearMDP) -> FloatArray:
    """Return a stochastic policy (H, S, A), some rows deterministic."""
    return tape.simplex((mdp.horizon, mdp.states, mdp.actions))


@lru_cache(maxsize=16)
def exact(model: LinearMDP | RobustLinearMDP) -> Exact:
    """Return a model at the exact values of its floats; radii 0 where it has no adversary."""
    if isinstance(model, RobustLinearMDP):
        if not isinstance(model.uncertainty, TotalVariation):
            raise TypeError(f"uncertainty is {model.uncertainty!r:.80}; expected TotalVariation")
        mdp, radii = model.nominal, model.budgets
    else:
        mdp, radii = model, np.zeros(model.reward_weights.shape)
    arrays = (mdp.features, mdp.measures, mdp.reward_weights, radii)
    return Exact(*(fractions(array) for array in arrays))


def worst_measures(
    measures: FractionArray, values: FractionArray, radii: FractionArray
) -> FractionArray:
    """Return the worst members (d, S) of total-variation balls around the rows of `measures`."""
    return np.array([strip(row, values, r) for row, r in zip(measures, radii, strict=True)])


def robust(model: Exact, rows: FractionArray | None = None) -> Robust:
    """Return the robust optimum, or the robust values of a policy with `rows` (H, S, A)."""
    horizon, factors, states = model.measures.shape
    values = fractions(np.zeros((horizon + 1, states)))
    q, worst = model.rewards, model.measures.copy()
    nu = fractions(np.zeros((horizon, factors)))
    for h in reversed(range(horizon)):
        worst[h] = worst_measures(model.measures[h], values[h + 1], model.radii[h])
        nu[h] = worst[h] @ values[h + 1]
        q[h] = model.features @ (model.weights[h] + nu[h])
        values[h] = _choose(q[h], None if rows is None else rows[h])
    return Robust(values, q, nu, worst)


def solve(
    kernels: FractionArray, rewards: FractionArray, rows: FractionArray | None = None
) -> Solved:
    """Return the optimum of a tabular model, or the values of a policy with `rows` (H, S, A).

    kernels (H, S, A, S), rewards (H, S, A): nothing is known of features here.
    """
    horizon, states, _ = rewards.shape
    values, q = fractions(np.zeros((horizon + 1, states))), rewards.copy()
    for h in reversed(range(horizon)):
        q[h] = rewards[h] + kernels[h] @ values[h + 1]
        values[h] = _choose(q[h], None if rows is None else rows[h])
    return Solved(values, q)


def visits(kernels: FractionArray, rows: FractionArray, start: FractionArray) -> FractionArray:
    """Return the probabilities (H, S, A) of state and action at every step, from `start` (S,)."""
    found = rows.copy()
    for h, kernel in enumerate(kernels):
        found[h] = start[:, None] * rows[h]
        start = (found[h][:, :, None] * kernel).sum(axis=(0, 1))
    return found


def totals(kernels: FractionArray, costs: FractionArray, rows: FractionArray) -> FractionArray:
    """Return the expected sum of costs (H, S, A) from every state under a policy, (S,)."""
    return np.asarray(solve(kernels, costs, rows).values[0])


def greedy(action_values: FractionArray) -> FractionArray:
    """Return the rows (H, S, A) of the policy that takes the first of the best actions."""
    return fractions(np.eye(action_values.shape[-1])[action_values.argmax(axis=-1)])


def total_variation(first: FractionArray, second: FractionArray) -> FractionArray:
    """Return half the L1 distance of rows, over the last axis."""
    return np.asarray(np.abs(first - second).sum(axis=-1) / Fraction(2))


def span(values: FractionArray) -> FractionArray:
    """Return max - min over the last axis."""
    return np.asarray(values.max(axis=-1) - values.min(axis=-1))


def _choose(action_values: FractionArray, rows: FractionArray | None) -> FractionArray:
    if rows is None:
        return np.asarray(action_values.max(axis=1))
    return np.asarray((rows * action_values).sum(axis=1))
