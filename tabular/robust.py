"""Robust value iteration, policy iteration and evaluation, with both players certified.

The robust Bellman operator is monotone and moves constants by the discount, so MacQueen's bracket
holds for it as for a nominal one (see `tabular.solution`): dual values of the inner problems
bound the fixed point from below, members of the set from above.
Sources: Iyengar (2005); Nilim and El Ghaoui (2005); Wiesemann, Kuhn and Rustem (2013); Kaufman
and Schaefer (2013) for policy iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.backends import array_module
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import to_fractions
from rltheory.tabular import robust_rational
from rltheory.tabular.evaluation import evaluate_policy, policy_mass
from rltheory.tabular.mdp import DiscountedMDP, check_solve
from rltheory.tabular.policies import as_policy
from rltheory.tabular.robust_operator import Backup, RobustOperator
from rltheory.tabular.robust_rational import RationalModel
from rltheory.tabular.solution import Solution, fixed_point_bounds, rounding_floor
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.value_iteration import initial_vector


@dataclass(frozen=True, eq=False)
class RobustSolution(Solution):
    """A Solution of a robust MDP: the certificates hold for the robust value, against the set.

    policy (S, A) attains at least `lower` against every kernel of the set, randomised where
    s-rectangularity asks for it; budgets (S, A): what of each radius the adversary spends.
    """

    budgets: FloatArray
    _kernel: Callable[[], Any] = field(repr=False)

    @cached_property
    def worst_kernel(self) -> Any:
        """The adversary's kernel at `values`, in the layout of the MDP's transitions.

        Worked out when first asked for: it is as large as the nominal kernel. A penalised
        adversary's payments are not in it: they come on top of the value under this kernel.
        In rational arithmetic it holds Fractions, (S, A, S), for sparse MDPs too.
        """
        return self._kernel()


def robust_value_iteration(
    mdp: DiscountedMDP,
    uncertainty: UncertaintySet,
    *,
    rectangularity: str = "sa",
    tolerance: float = 1e-8,
    max_iterations: int = 1_000_000,
    initial_values: FloatArray | None = None,
    backend: str = "numpy",
) -> RobustSolution:
    """Solve max over policies of min over kernels in the uncertainty set.

    Iterates the robust Bellman operator, a contraction of modulus `mdp.discount` in the sup norm,
    until the certified gap max(upper - lower) is below `tolerance` (units of reward).
    rectangularity: "sa", every row has its own radius, or "s", the distances of a state's rows
    sum to at most its radius (a scalar or one per state). backend: "jax" sweeps where JAX does
    ("sa", sparse kernels spelt out), and what it found is certified as always.

    Returns a RobustSolution: lower <= V* <= upper elementwise. `converged` is False if
    `max_iterations` or the rounding floor came first. Raises ValueError or TypeError by name.
    Source: Iyengar (2005), Theorem 3.2; Wiesemann, Kuhn and Rustem (2013).
    """
    check_solve(mdp, tolerance, max_iterations)
    operator = _operator(mdp, uncertainty, rectangularity)
    values = initial_vector(mdp, initial_values)
    swept = 0
    if array_module(backend) is not np:
        if rectangularity != "sa":
            raise ValueError(
                f"rectangularity is {rectangularity!r}; expected 'sa' for backend='jax'"
            )
        from rltheory.tabular.jax_planning import values_on_jax

        found, sweeps = values_on_jax([mdp], uncertainty, tolerance, max_iterations, values)
        values, swept = found[0].copy(), int(sweeps[0])

    def sweep(values: FloatArray, backup: Backup, gap: float) -> FloatArray:
        return backup.lower

    left = max(max_iterations - swept, 1)
    solution = _iterate(mdp, operator, None, values, sweep, tolerance, left)
    return replace(solution, iterations=solution.iterations + swept)


def robust_evaluate_policy(
    mdp: DiscountedMDP,
    policy: Any,
    uncertainty: UncertaintySet,
    *,
    rectangularity: str = "sa",
    tolerance: float = 1e-8,
    arithmetic: str = "float",
    max_iterations: int = 1_000_000,
    initial_values: FloatArray | None = None,
) -> RobustSolution:
    """Return the value of a policy against the worst kernel of the set, enclosed.

    policy: (S,) action indices or (S, A) rows. The adversary improves its kernel and evaluates it
    exactly, in turn, until the certified gap is below `tolerance`: a Newton method that falls
    to the value from above. arithmetic: "float" or "rational", as `robust_policy_iteration`.
    Returns a RobustSolution whose policy is the given one.
    Raises ValueError or TypeError by name. Source: Iyengar (2005), section 3; Nilim and
    El Ghaoui (2005).
    """
    check_solve(mdp, tolerance, max_iterations)
    rows = as_policy(policy, mdp.available)
    operator = _operator(mdp, uncertainty, rectangularity)
    if _is_rational(arithmetic, operator):
        start = to_fractions(initial_vector(mdp, initial_values))
        model = RationalModel.of(mdp, uncertainty)
        found = robust_rational.evaluate(model, to_fractions(rows), start, max_iterations)
        return _exact_solution(operator, rows, found)
    values = (
        evaluate_policy(mdp, rows).values
        if initial_values is None
        else initial_vector(mdp, initial_values)
    )
    return _evaluate(mdp, operator, rows, values, tolerance, max_iterations)


def robust_policy_iteration(
    mdp: DiscountedMDP,
    uncertainty: UncertaintySet,
    *,
    rectangularity: str = "sa",
    tolerance: float = 1e-8,
    arithmetic: str = "float",
    max_iterations: int = 1000,
) -> RobustSolution:
    """Solve a robust MDP by evaluating policies against their worst kernels and improving them.

    Each improvement is also the certificate; the evaluation is as accurate as the gap of the last
    improvement asks for. Returns a RobustSolution, as `robust_value_iteration` does;
    `iterations` counts improvements.
    arithmetic: "float", or "rational" for the exact Fractions of the arrays as stored, against
    (s,a)-rectangular sets that `uncertainty.rational.worst_case` takes: total variation, L1,
    L-infinity, intervals, contamination, and penalised total variation or L1.
    Raises ValueError or TypeError by name.
    Source: Kaufman and Schaefer (2013); Ho, Petrik and Wiesemann (2021), partial policy iteration.
    """
    check_solve(mdp, tolerance, max_iterations)
    operator = _operator(mdp, uncertainty, rectangularity)
    if _is_rational(arithmetic, operator):
        best = robust_rational.optimum(RationalModel.of(mdp, uncertainty), max_iterations)
        return _exact_solution(operator, best.policy.astype(np.float64), best)

    def improve(values: FloatArray, backup: Backup, gap: float) -> FloatArray:
        target = 0.1 * (1.0 - mdp.discount) * gap
        return _evaluate(mdp, operator, backup.policy, backup.upper, target, 1000).values

    start = np.zeros(mdp.states)
    return _iterate(mdp, operator, None, start, improve, tolerance, max_iterations)


def best_response_kernel(
    mdp: DiscountedMDP,
    policy: Any,
    uncertainty: UncertaintySet,
    *,
    rectangularity: str = "sa",
    tolerance: float = 1e-8,
) -> Any:
    """Return the kernel of the set that is worst for a policy, in the MDP's layout.

    Under it the policy's value is within `tolerance` of its robust value.
    """
    return robust_evaluate_policy(
        mdp, policy, uncertainty, rectangularity=rectangularity, tolerance=tolerance
    ).worst_kernel


def _operator(
    mdp: DiscountedMDP, uncertainty: UncertaintySet, rectangularity: str
) -> RobustOperator:
    return RobustOperator.of(mdp.rows, mdp.rewards, mdp.discount, uncertainty, rectangularity)


def _is_rational(arithmetic: str, operator: RobustOperator) -> bool:
    if arithmetic not in ("float", "rational"):
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    if arithmetic == "rational" and operator.shared:
        raise ValueError(
            "rectangularity is 's'; arithmetic 'rational' is for 'sa': the saddle points of a "
            "shared radius are not found by moving each row by itself"
        )
    return arithmetic == "rational"


def _exact_solution(
    operator: RobustOperator, policy: FloatArray, found: robust_rational.Outcome
) -> RobustSolution:
    return RobustSolution(
        values=found.values,
        action_values=found.response.action_values,
        policy=policy,
        lower=found.values,
        upper=found.values,
        iterations=found.iterations,
        converged=True,
        budgets=operator.budgets.reshape(operator.rewards.shape),
        _kernel=lambda: found.response.kernel,
    )


def _evaluate(
    mdp: DiscountedMDP,
    operator: RobustOperator,
    policy: FloatArray,
    values: FloatArray,
    tolerance: float,
    max_iterations: int,
) -> RobustSolution:
    def respond(values: FloatArray, backup: Backup, gap: float) -> FloatArray:
        kernel, rewards = operator.response(values, backup.budgets)
        worst = mdp.replace(transitions=_layout(mdp, kernel), rewards=rewards)
        return evaluate_policy(worst, policy).values

    return _iterate(mdp, operator, policy, values, respond, tolerance, max_iterations)


def _iterate(
    mdp: DiscountedMDP,
    operator: RobustOperator,
    policy: FloatArray | None,
    values: FloatArray,
    following: Callable[[FloatArray, Backup, float], FloatArray],
    tolerance: float,
    max_iterations: int,
) -> RobustSolution:
    """Back up the values, of a policy where one is given, until they are certified.

    following: the next values from the last ones, their backup and the certified gap.
    """
    accuracy = _first_accuracy(mdp)
    for iteration in range(1, max_iterations + 1):
        if policy is None:
            backup = operator.backup(values, accuracy)
        else:
            backup = operator.evaluate(policy, values, accuracy)
        bounds = _enclose(mdp, values, backup, policy)
        if _stopped(mdp, backup, bounds.gap, tolerance, accuracy) or iteration == max_iterations:
            break
        accuracy = _accuracy(mdp, bounds.gap, tolerance)
        values = following(values, backup, bounds.gap)
    return _solution(mdp, operator, values, backup, bounds, iteration, tolerance)


def _solution(
    mdp: DiscountedMDP,
    operator: RobustOperator,
    values: FloatArray,
    backup: Backup,
    bounds: Bounds,
    iterations: int,
    tolerance: float,
) -> RobustSolution:
    middle = 0.5 * bounds.lower + 0.5 * bounds.upper
    return RobustSolution(
        values=middle,
        # What the bracket corrects the values by, it corrects the action values by.
        action_values=backup.action_values + (middle - backup.lower)[:, None],
        policy=backup.policy,
        lower=bounds.lower,
        upper=bounds.upper,
        iterations=iterations,
        converged=bounds.gap <= tolerance,
        budgets=backup.budgets.reshape(mdp.rewards.shape),
        _kernel=lambda: _layout(mdp, operator.response(values, backup.budgets)[0]),
    )


def _enclose(
    mdp: DiscountedMDP, values: FloatArray, backup: Backup, policy: FloatArray | None = None
) -> Bounds:
    """Enclose the fixed point: members of a set have the mass of their rows, or exactly one."""
    own = mdp.row_mass
    members = Bounds(np.minimum(own.lower, 1.0), np.maximum(own.upper, 1.0))
    mass = members if policy is None else policy_mass(members, policy)
    below, _ = fixed_point_bounds(values, backup.lower, backup.error, mdp.discount, mass)
    above, _ = fixed_point_bounds(values, backup.upper, backup.error, mdp.discount, mass)
    return Bounds(below.lower, above.upper)


def _stopped(
    mdp: DiscountedMDP, backup: Backup, gap: float, tolerance: float, accuracy: float
) -> bool:
    """Whether the gap is met, or ruled out by rounding and by what inner problems leave open."""
    left_open = float((backup.upper - backup.lower).max())
    error = backup.error + (left_open if left_open > accuracy else 0.0)
    return gap <= max(tolerance, rounding_floor(error, mdp.discount))


def _first_accuracy(mdp: DiscountedMDP) -> float:
    return 1e-3 * (1.0 - mdp.discount) * float(np.ptp(mdp.rewards[mdp.available]))


def _accuracy(mdp: DiscountedMDP, gap: float, tolerance: float) -> float:
    """How exact the next backup should be: what it leaves open must not matter to the gap."""
    return 0.02 * (1.0 - mdp.discount) * max(gap, tolerance)


def _layout(mdp: DiscountedMDP, kernel: Any) -> Any:
    # Sets that move mass anywhere turn sparse rows into dense ones.
    return sparse.csr_array(kernel) if mdp.is_sparse else kernel.reshape(mdp.transitions.shape)
