"""Multipliers of a constrained MDP by iteration: subgradients, gradual policies, PI control.

Each iteration evaluates the policy exactly and moves the multipliers by what its costs exceed the
budgets. Where policies are best responses only averages converge, and averages are of occupancies.
Sources: Altman (1999), chapter 3; Stooke, Achiam and Abbeel (2020) for control of multipliers;
Ding, Zhang, Basar and Jovanovic (2020) for natural gradient steps of the policy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, check_positive_integer, check_range
from rltheory.analysis.simplex import KL, log_softmax
from rltheory.tabular.constrained import (
    as_constraints,
    as_multipliers,
    penalised_rewards,
)
from rltheory.tabular.evaluation import evaluate_policy, occupancy_measure
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policies import one_hot
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.tabular.policy_optimisation import check_positive, start_policy

Respond = Callable[[FloatArray], FloatArray]
"""From multipliers (m,) to the policy (S, A) that is played against them."""


@dataclass(frozen=True, eq=False)
class DualPath:
    """The path of T iterations; values and costs are discounted sums from the initial distribution.

    multipliers: (T, m), those that iteration t's policy met; values: (T,) and excess: (T, m), its
    V_r and V_c - budgets; policy: (S, A), the last one played.
    occupancy: (S, A), the mean of all occupancies, and average_policy: (S, A), the stationary
    policy with that occupancy, which earns and costs the means of `values` and `excess`.
    """

    multipliers: FloatArray
    values: FloatArray
    excess: FloatArray
    policy: FloatArray
    occupancy: FloatArray
    average_policy: FloatArray

    @property
    def average_values(self) -> FloatArray:
        """(T,) value of the policy that averages the first t occupancies, t = 1..T."""
        return np.asarray(np.cumsum(self.values) / np.arange(1, len(self.values) + 1))

    @property
    def average_excess(self) -> FloatArray:
        """(T, m) V_c - budgets of the policy that averages the first t occupancies, t = 1..T."""
        counts = np.arange(1, len(self.values) + 1)[:, None]
        return np.asarray(np.cumsum(self.excess, axis=0) / counts)


def dual_ascent(
    mdp: DiscountedMDP,
    costs: ArrayLike,
    budgets: ArrayLike,
    *,
    step: float,
    iterations: int,
    proportional: float = 0.0,
    initial_multipliers: ArrayLike | None = None,
) -> DualPath:
    """Play a deterministic best response to the multipliers, then move these by its excess.

    Multipliers are max(I + proportional * e, 0) with the last excess e and its clipped sum
    I <- max(I + step * e, 0): with `proportional` 0 the projected subgradient method on the dual.
    step, proportional: units of multiplier per unit of cost. costs (m, S, A), budgets (m,) and
    initial_multipliers (m,), zeros by default, as for `solve_constrained`.

    With `proportional` 0 the mean of T policies exceeds no budget by more than
    (I_T - I_0) / (step T), and earns the optimum less at most
    (|I_0|^2 - |I_T|^2) / (2 step T) + step / 2 times the mean of |e|^2.
    Returns a DualPath; raises ValueError for a bad argument.
    """
    check_discounted(mdp)
    charges, limits = as_constraints(mdp, costs, budgets)

    def respond(prices: FloatArray) -> FloatArray:
        penalised, _ = penalised_rewards(mdp, charges, prices)
        solution = policy_iteration(mdp.replace(rewards=penalised))
        return one_hot(solution.actions, mdp.actions)

    start = _start(initial_multipliers, len(limits))
    return _run(mdp, charges, limits, respond, start, step, proportional, iterations)


def primal_dual(
    mdp: DiscountedMDP,
    costs: ArrayLike,
    budgets: ArrayLike,
    *,
    step: float,
    policy_step: float,
    iterations: int,
    proportional: float = 0.0,
    initial_multipliers: ArrayLike | None = None,
    initial_policy: Any = None,
) -> DualPath:
    """Move policy and multipliers in turn: a mirror step of the policy instead of a best response.

    pi <- pi exp(policy_step * (A_r - multipliers . A_c) / (1 + sum of multipliers)), normalised:
    the advantages are combined with weights that add up to one. The multipliers move as in
    `dual_ascent`. policy_step: positive, units of 1 / reward. initial_policy: (S, A), positive
    where available, uniform by default.

    Last iterates may circle around the saddle point; `proportional` damps them.
    Returns a DualPath; raises ValueError for a bad argument.
    """
    check_discounted(mdp)
    charges, limits = as_constraints(mdp, costs, budgets)
    check_range(policy_step, "policy_step", np.finfo(float).tiny, np.inf, include_high=False)
    start_rows = start_policy(mdp, initial_policy)
    logits = KL.coordinates(check_positive(start_rows, mdp, "initial_policy"))

    def respond(prices: FloatArray) -> FloatArray:
        nonlocal logits
        penalised, _ = penalised_rewards(mdp, charges, prices)
        played = np.exp(log_softmax(logits))
        played /= played.sum(axis=1, keepdims=True)
        model = mdp.replace(rewards=penalised / (1.0 + prices.sum()))
        values = evaluate_policy(model, played).values
        q = action_values(model.rows, model.rewards, model.discount, values)
        logits = log_softmax(logits + policy_step * q)
        moved = np.exp(logits)
        return np.asarray(moved / moved.sum(axis=1, keepdims=True))

    start = _start(initial_multipliers, len(limits))
    return _run(mdp, charges, limits, respond, start, step, proportional, iterations)


def _run(
    mdp: DiscountedMDP,
    costs: FloatArray,
    budgets: FloatArray,
    respond: Respond,
    integral: FloatArray,
    step: float,
    proportional: float,
    iterations: int,
) -> DualPath:
    count = check_positive_integer(iterations, "iterations")
    check_range(step, "step", np.finfo(float).tiny, np.inf, include_high=False)
    check_range(proportional, "proportional", 0.0, np.inf, include_high=False)
    multipliers = np.empty((count, len(budgets)))
    values, excess = np.empty(count), np.empty((count, len(budgets)))
    flow = np.zeros(mdp.rewards.shape)
    prices = integral
    for t in range(count):
        policy = respond(prices)
        multipliers[t] = prices
        values[t] = mdp.initial @ evaluate_policy(mdp, policy).values
        visits = occupancy_measure(mdp, policy)
        excess[t] = np.tensordot(costs, visits, 2) / (1.0 - mdp.discount) - budgets
        flow += visits
        integral = np.maximum(integral + step * excess[t], 0.0)
        prices = np.maximum(integral + proportional * excess[t], 0.0)
    flow /= count
    return DualPath(multipliers, values, excess, policy, flow, _behaviour(flow, policy))


def _behaviour(flow: FloatArray, elsewhere: FloatArray) -> FloatArray:
    """Return the policy (S, A) of an occupancy, and that of `elsewhere` where it never goes."""
    total = flow.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, flow / np.where(total > 0, total, 1.0), elsewhere))


def _start(multipliers: ArrayLike | None, count: int) -> FloatArray:
    if multipliers is None:
        return np.zeros(count)
    try:
        return as_multipliers(multipliers, count)
    except (TypeError, ValueError) as error:
        raise type(error)(f"initial_{error}") from None
