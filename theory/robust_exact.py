"""Robust MDPs in exact rational arithmetic: inner problems, evaluation, optima.

For the polyhedral sets the worst member of a row is found by moving mass in the order of the
values, and the adversary has finitely many extreme kernels, so that its policy iteration, and the
agent's, end at the exact fixed point. Sources: Iyengar (2005), section 3; Kaufman and Schaefer
(2013).
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation
from rltheory.theory import exact
from rltheory.theory.exact import Rows, fractions


class Outcome(NamedTuple):
    """Values (S,) of a policy (S, A), and the kernel (S, A, S) under which it has them."""

    values: FractionArray
    policy: FractionArray
    kernel: FractionArray


def strip(nominal: FractionArray, values: FractionArray, radius: Fraction) -> FractionArray:
    """Return the row that moves `radius` of mass from the largest values to the least one."""
    row, left = nominal.copy(), radius
    for i in np.argsort(-values, kind="stable"):
        taken = min(row[i], left)
        row[i] -= taken
        left -= taken
    row[int(values.argmin())] += radius - left
    return row


def fill(lower: FractionArray, upper: FractionArray, values: FractionArray) -> FractionArray:
    """Return the row between the bounds that puts its mass on the least values."""
    row = lower.copy()
    left = 1 - lower.sum()
    for i in np.argsort(values, kind="stable"):
        put = min(upper[i] - lower[i], left)
        row[i] += put
        left -= put
    return row


def worst_row(
    uncertainty: UncertaintySet, values: FractionArray, nominal: FractionArray, index: int = 0
) -> FractionArray:
    """Return the member of the set around a nominal row (S,) with the least expectation.

    index: of the row, for intervals with bounds (..., S) of their own.
    Raises TypeError for a set whose worst member is not rational.
    """
    if isinstance(uncertainty, Interval):
        bounds = (uncertainty.lower, uncertainty.upper)
        low, high = (fractions(b.reshape(-1, len(values))[index]) for b in bounds)
        return fill(low, high, values)
    if not isinstance(uncertainty, TotalVariation | L1 | LInf | Contamination):
        raise TypeError(f"uncertainty is {uncertainty!r}; expected a polyhedral set")
    radius = Fraction(float(uncertainty.radius))
    if isinstance(uncertainty, LInf):
        low, high = np.maximum(nominal - radius, 0), np.minimum(nominal + radius, 1)
        return fill(low, high, values)
    if isinstance(uncertainty, Contamination):
        row = (1 - radius) * nominal
        row[int(values.argmin())] += radius
        return np.asarray(row)
    return strip(nominal, values, radius / 2 if isinstance(uncertainty, L1) else radius)


def worst_kernel(
    mdp: DiscountedMDP, uncertainty: UncertaintySet, values: FractionArray
) -> FractionArray:
    """Return the kernel (S, A, S) of worst members for `values`."""
    nominal = exact.model(mdp)[0]
    rows = nominal.reshape(-1, len(values))
    worst = [worst_row(uncertainty, values, row, i) for i, row in enumerate(rows)]
    return np.array(worst, dtype=object).reshape(nominal.shape)


def backup(mdp: DiscountedMDP, kernel: FractionArray, values: FractionArray) -> FractionArray:
    """Return r(s, a) + discount * P(s, a) . values, shape (S, A)."""
    _, rewards, discount = exact.model(mdp)
    return np.asarray(rewards + discount * (kernel @ values))


def robust_backup(
    mdp: DiscountedMDP, uncertainty: UncertaintySet, values: FractionArray
) -> FractionArray:
    """Return the action values (S, A) of one backup in which every row is the worst member."""
    return backup(mdp, worst_kernel(mdp, uncertainty, values), values)


def chain(kernel: FractionArray, policy: Rows) -> FractionArray:
    """Return the transition matrix (S, S) of a policy under a kernel."""
    return np.asarray((fractions(policy)[:, :, None] * kernel).sum(axis=1))


def kernel_values(mdp: DiscountedMDP, kernel: FractionArray, policy: Rows) -> FractionArray:
    """Return the value (S,) of a policy under a kernel."""
    discount = exact.model(mdp)[2]
    return exact.resolvent(chain(kernel, policy), discount, exact.policy_rewards(mdp, policy))


def kernel_optimum(mdp: DiscountedMDP, kernel: FractionArray) -> Outcome:
    """Return the optimum of the MDP under a given kernel, by policy iteration."""
    policy = fractions(exact.last_greedy(exact.model(mdp)[1]))
    while True:
        values = kernel_values(mdp, kernel, policy)
        improved = improvement(policy, backup(mdp, kernel, values), values)
        if improved is policy:
            return Outcome(values, policy, kernel)
        policy = improved


def improvement(
    policy: FractionArray, action_values: FractionArray, values: FractionArray
) -> FractionArray:
    """Return the policy with greedy rows where they gain something; itself if nowhere."""
    gains = action_values.max(axis=1) > values
    if not gains.any():
        return policy
    greedy = fractions(exact.last_greedy(action_values))
    return np.where(gains[:, None], greedy, policy)


def evaluate(mdp: DiscountedMDP, uncertainty: UncertaintySet, policy: Rows) -> Outcome:
    """Return the robust value of a policy under (s,a)-rectangularity and a kernel attaining it.

    The adversary's policy iteration, from the nominal kernel.
    """
    rows, kernel = fractions(policy), exact.model(mdp)[0]
    while True:
        values = kernel_values(mdp, kernel, rows)
        worst = worst_kernel(mdp, uncertainty, values)
        lower = (rows * backup(mdp, worst, values)).sum(axis=1)
        if np.all(lower == values):
            return Outcome(values, rows, kernel)
        kernel = np.where((lower < values)[:, None, None], worst, kernel)


def optimum(mdp: DiscountedMDP, uncertainty: UncertaintySet) -> Outcome:
    """Return the robust optimum under (s,a)-rectangularity, by robust policy iteration."""
    policy = fractions(exact.last_greedy(exact.model(mdp)[1]))
    while True:
        found = evaluate(mdp, uncertainty, policy)
        improved = improvement(policy, robust_backup(mdp, uncertainty, found.values), found.values)
        if improved is policy:
            return found
        policy = improved


def deterministic_policies(states: int, actions: int) -> list[FloatArray]:
    """Return all deterministic policies, rows (S, A)."""
    choices = np.indices((actions,) * states).reshape(states, -1).T
    return [np.eye(actions)[row] for row in choices]
