"""Constrained MDPs: the best policy whose discounted costs stay within budgets, certified.

The program over occupancies (HiGHS) gives a randomised stationary policy and multipliers; the
policy's certified value bounds the optimum from below, the Lagrangian dual from above.
Sources: Altman (1999), chapter 3; Paternain, Chamon, Calvo-Fullana and Ribeiro (2019).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_magnitude,
    check_range,
)
from rltheory.analysis.bounds import Bounds, rounding_error, up
from rltheory.tabular.evaluation import evaluate_policy, occupancy_measure
from rltheory.tabular.kernel_family import at_initial
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policies import one_hot
from rltheory.tabular.policy_iteration import policy_iteration

_MIXTURES = 60


@dataclass(frozen=True, eq=False)
class ConstrainedSolution:
    """A solved constrained MDP; values and costs are discounted sums from the initial distribution.

    policy: (S, A), randomised in at most as many states as there are constraints, but where it was
    mixed with a safer one to meet the budgets to the last digit; occupancy: (S, A), total 1.
    value and costs (m,): of the policy; multipliers: (m,), units of reward per unit of cost.
    violation: certified bound on how far a cost may exceed its budget; 0 if all are met for sure.
    bounds: a scalar enclosure of the optimum. Where violation is positive no policy was found that
    keeps the budgets for sure, and the lower bound is that of budgets loosened by it.
    converged: whether the gap met the tolerance and no budget is exceeded.
    """

    policy: FloatArray
    occupancy: FloatArray
    value: float
    costs: FloatArray
    multipliers: FloatArray
    violation: float
    bounds: Bounds
    converged: bool

    @property
    def gap(self) -> float:
        """Certified upper bound on what the policy falls short of the optimum."""
        return self.bounds.gap


@dataclass(frozen=True, eq=False)
class DualPoint:
    """The Lagrangian dual max over policies of V_r - multipliers . (V_c - budgets), at one point.

    value: a scalar enclosure, whose upper end bounds the constrained optimum; policy: (S, A), a
    deterministic maximiser; reward: its V_r; excess: (m,) V_c - budgets of it, minus a subgradient.
    """

    value: Bounds
    policy: FloatArray
    reward: float
    excess: FloatArray


def solve_constrained(
    mdp: DiscountedMDP, costs: ArrayLike, budgets: ArrayLike, *, tolerance: float = 1e-8
) -> ConstrainedSolution:
    """Maximise V_r over all policies whose discounted costs V_c are at most `budgets`.

    costs: (m, S, A), or (S, A) for one constraint; entries of unavailable actions are ignored.
    budgets: (m,) or a number, on discounted sums from the initial distribution.

    Returns a ConstrainedSolution, with `bounds` on the optimum whatever HiGHS' own tolerances.
    Raises ValueError for a bad argument, and where it is certain that no policy meets the budgets;
    RuntimeError with HiGHS' message if the program was not solved.
    Source: Altman (1999), Theorems 3.3 and 3.8.
    """
    check_discounted(mdp)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    charges, limits = as_constraints(mdp, costs, budgets)
    program = _Program(mdp, charges, limits)
    found = program.best()
    if found is None:
        flow, weights = program.safest()
        _refuse_if_certain(mdp, charges, limits, weights)
        multipliers = np.zeros(len(limits))
    else:
        flow, multipliers = found
    dual = lagrangian_dual(mdp, charges, limits, multipliers)
    policy = _induced(flow, dual.policy, mdp)
    excess = _excess(mdp, charges, limits, policy)
    if excess > 0:
        policy, excess = _safer(mdp, charges, limits, policy, program, dual.policy)
    evaluation = evaluate_policy(mdp, policy)
    lower = float(at_initial(mdp, evaluation).lower)
    upper = float(dual.value.upper)
    bounds = Bounds(np.asarray(min(lower, upper)), np.asarray(upper))
    return ConstrainedSolution(
        policy=policy,
        occupancy=occupancy_measure(mdp, policy),
        value=float(mdp.initial @ evaluation.values),
        costs=discounted_costs(mdp, charges, policy),
        multipliers=multipliers,
        violation=max(excess, 0.0),
        bounds=bounds,
        converged=bounds.gap <= tolerance and excess <= 0,
    )


def lagrangian_dual(
    mdp: DiscountedMDP, costs: ArrayLike, budgets: ArrayLike, multipliers: ArrayLike
) -> DualPoint:
    """Evaluate the Lagrangian dual at `multipliers`, (m,) or a number, each at least 0.

    costs and budgets as for `solve_constrained`. Returns a DualPoint; the dual is convex and
    piecewise linear in the multipliers. Raises ValueError for a bad argument.
    """
    check_discounted(mdp)
    charges, limits = as_constraints(mdp, costs, budgets)
    prices = as_multipliers(multipliers, len(limits))
    penalised, error = penalised_rewards(mdp, charges, prices)
    solution = policy_iteration(mdp.replace(rewards=penalised))
    policy = one_hot(solution.actions, mdp.actions)
    shift = _discounted_error(mdp, error)
    earned = at_initial(mdp, solution)
    rebate = float(prices @ limits)
    slack = rounding_error(len(limits) + 1, float(prices @ np.abs(limits)))
    value = Bounds(earned.lower - np.asarray(shift), earned.upper + np.asarray(shift)) + Bounds(
        np.asarray(rebate - slack), np.asarray(rebate + slack)
    )
    reward = float(mdp.initial @ evaluate_policy(mdp, policy).values)
    return DualPoint(value, policy, reward, discounted_costs(mdp, charges, policy) - limits)


def discounted_costs(mdp: DiscountedMDP, costs: FloatArray, policy: FloatArray) -> FloatArray:
    """Return V_c of a policy (S, A) at the initial distribution, (m,), for costs (m, S, A)."""
    flow = occupancy_measure(mdp, policy)
    return np.asarray(np.tensordot(costs, flow, 2) / (1.0 - mdp.discount))


def penalised_rewards(
    mdp: DiscountedMDP, costs: FloatArray, multipliers: FloatArray
) -> tuple[FloatArray, float]:
    """Return rewards - multipliers . costs, (S, A), and a bound on the rounding of each entry."""
    charge = np.tensordot(multipliers, costs, 1)
    size = float(multipliers @ np.abs(costs).max(axis=(1, 2)))
    size += float(np.abs(mdp.rewards[mdp.available]).max())
    check_magnitude(size, "multipliers times costs come to penalties")
    return mdp.rewards - charge, rounding_error(len(multipliers) + 1, size)


def as_constraints(
    mdp: DiscountedMDP, costs: ArrayLike, budgets: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Validate and return costs (m, S, A), zero where unavailable, and budgets (m,)."""
    charges = as_float_array(costs, "costs")
    if charges.ndim == 2:
        charges = charges[None]
    charges = as_float_array(charges, "costs", (None, mdp.states, mdp.actions))
    if not len(charges):
        raise ValueError("costs is empty; expected at least one constraint")
    charges = np.where(mdp.available, charges, 0.0)
    check_finite(charges, "costs")
    check_magnitude(float(np.abs(charges).max()) / (1.0 - mdp.discount), "costs give values")
    limits = np.atleast_1d(as_float_array(budgets, "budgets"))
    limits = as_float_array(limits, "budgets", (len(charges),))
    check_finite(limits, "budgets")
    return charges, limits


def as_multipliers(multipliers: ArrayLike, count: int) -> FloatArray:
    """Validate and return multipliers (m,), each finite and at least 0."""
    prices = np.atleast_1d(as_float_array(multipliers, "multipliers"))
    prices = as_float_array(prices, "multipliers", (count,))
    check_finite(prices, "multipliers")
    if prices.min() < 0:
        bad = int(prices.argmin())
        raise ValueError(f"multipliers[{bad}] is {prices[bad]}; expected at least 0")
    return prices


class _Program:
    """The linear program over occupancies, scaled by powers of two for HiGHS' tolerances."""

    def __init__(self, mdp: DiscountedMDP, costs: FloatArray, budgets: FloatArray) -> None:
        self.mdp, self.pairs = mdp, np.flatnonzero(mdp.available.ravel())
        count = len(self.pairs)
        own = sparse.csr_array(
            (np.ones(count), self.pairs // mdp.actions, np.arange(count + 1)),
            shape=(count, mdp.states),
        )
        rows = sparse.csr_array(mdp.rows)[self.pairs]
        self.flow = sparse.csr_array((own - mdp.discount * rows).T)
        self.start = (1.0 - mdp.discount) * mdp.initial
        self.rewards, self.unit = _power_of_two(mdp.rewards.ravel()[self.pairs])
        scaled = [_power_of_two(c.ravel()[self.pairs]) for c in costs]
        self.costs = np.array([c for c, _ in scaled])
        self.units = np.array([unit for _, unit in scaled])
        self.limits = (1.0 - mdp.discount) * budgets / self.units

    def best(self) -> tuple[FloatArray, FloatArray] | None:
        """Return an optimal occupancy (S, A) and multipliers (m,), None if there is none."""
        result = self._solve(-self.rewards, self.costs, self.flow)
        if result is None:
            return None
        multipliers = np.maximum(-result.ineqlin.marginals, 0.0) * self.unit / self.units
        return self._occupancy(result.x), multipliers

    def safest(self) -> tuple[FloatArray, FloatArray]:
        """Return the occupancy (S, A) of least largest excess, and the weights of the costs."""
        count = len(self.pairs)
        # The excess is measured in each cost's own unit, so that all can be positive numbers.
        costs = np.column_stack([self.costs, -np.ones(len(self.costs))])
        flow = sparse.hstack([self.flow, sparse.csr_array((self.mdp.states, 1))]).tocsr()
        objective = np.zeros(count + 1)
        objective[-1] = 1.0
        result = self._solve(objective, costs, flow)
        assert result is not None
        weights = np.maximum(-result.ineqlin.marginals, 0.0) / self.units
        return self._occupancy(result.x[:count]), weights

    def _solve(self, objective: FloatArray, costs: FloatArray, flow: Any) -> Any:
        # A third of a second that only this solver should cost.
        from scipy.optimize import linprog

        bounds = [(0, None)] * len(self.pairs) + [(None, None)] * (len(objective) - len(self.pairs))
        result = linprog(
            objective, A_ub=costs, b_ub=self.limits, A_eq=flow, b_eq=self.start,
            bounds=bounds, method="highs",
        )  # fmt: skip
        if result.status == 2:
            return None
        if result.status != 0:
            raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
        return result

    def _occupancy(self, solution: FloatArray) -> FloatArray:
        flow = np.zeros(self.mdp.rewards.size)
        flow[self.pairs] = np.maximum(solution, 0.0)
        return flow.reshape(self.mdp.rewards.shape)


def _power_of_two(numbers: FloatArray) -> tuple[FloatArray, float]:
    _, exponent = np.frexp(np.abs(numbers).max())
    return np.ldexp(numbers, -exponent), float(np.ldexp(1.0, exponent))


def _induced(flow: FloatArray, elsewhere: FloatArray, mdp: DiscountedMDP) -> FloatArray:
    """Return the policy of an occupancy (S, A), and that of `elsewhere` where it does not go."""
    total = flow.sum(axis=1, keepdims=True)
    # What is this small may be an error of the optimiser.
    visited = total > 1e-12 * (1.0 - mdp.discount)
    rows = np.where(visited, flow / np.where(visited, total, 1.0), elsewhere)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _excess(
    mdp: DiscountedMDP, costs: FloatArray, budgets: FloatArray, policy: FloatArray
) -> float:
    """Return a certified upper bound on the largest V_c - budget of a policy."""
    return max(
        float(up(cost_bounds(mdp, c, policy).upper - b))
        for c, b in zip(costs, budgets, strict=True)
    )


def cost_bounds(mdp: DiscountedMDP, cost: FloatArray, policy: FloatArray) -> Bounds:
    """Enclose V_c of a policy (S, A) at the initial distribution, a scalar, for one cost (S, A)."""
    charged = mdp.replace(rewards=np.where(mdp.available, cost, -np.inf))
    return at_initial(charged, evaluate_policy(charged, policy))


def _safer(
    mdp: DiscountedMDP,
    costs: FloatArray,
    budgets: FloatArray,
    policy: FloatArray,
    program: _Program,
    elsewhere: FloatArray,
) -> tuple[FloatArray, float]:
    """Mix a policy with a strictly feasible one until its budgets are met for sure, if they can."""
    safe = _induced(program.safest()[0], elsewhere, mdp)
    slack, excess = -_excess(mdp, costs, budgets, safe), _excess(mdp, costs, budgets, policy)
    if slack <= 0:
        return policy, excess
    flow, safe_flow = occupancy_measure(mdp, policy), occupancy_measure(mdp, safe)
    share = excess / (excess + slack)
    for _ in range(_MIXTURES):
        mixed = _induced((1 - share) * flow + share * safe_flow, safe, mdp)
        excess = _excess(mdp, costs, budgets, mixed)
        if excess <= 0:
            return mixed, excess
        share = min(1.0, 2 * share)
    return safe, -slack


def _refuse_if_certain(
    mdp: DiscountedMDP, costs: FloatArray, budgets: FloatArray, weights: FloatArray
) -> None:
    """Raise ValueError if weighted costs exceed the weighted budgets whatever the policy."""
    idle = mdp.replace(rewards=np.where(mdp.available, 0.0, -np.inf))
    least = -float(lagrangian_dual(idle, costs, budgets, weights).value.upper)
    if least > 0:
        size = float(weights.sum())
        raise ValueError(
            f"budgets {budgets.tolist()} cannot be met: weighted by {(weights / size).tolist()}, "
            f"the costs of every policy exceed them by at least {least / size:.3g}"
        )


def _discounted_error(mdp: DiscountedMDP, error: float) -> float:
    """Bound what an error in every reward comes to in the value, rounded up."""
    modulus = float(up(up(mdp.discount * mdp.row_mass.upper)))
    return float(up(2 * error / (1.0 - modulus))) if modulus < 1 else np.inf
