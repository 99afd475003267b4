"""Robust MDPs of theorem records in exact arithmetic: `tabular.robust_rational` on their instances.

MDPs are dense and offer every action in every state; policies are rows (S, A) of floats or
Fractions, kernels (S, A, S) of Fractions.
"""

from fractions import Fraction

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.tabular import robust_rational
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.robust_rational import Outcome, RationalModel
from rltheory.tabular.robust_rational import improvement as improvement
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact
from rltheory.theory.exact import Rows, fractions


def worst_kernel(
    mdp: DiscountedMDP, uncertainty: UncertaintySet, values: FractionArray
) -> FractionArray:
    """Return the kernel (S, A, S) of worst members for `values`."""
    return robust_rational.respond(_model(mdp, uncertainty), values).kernel


def robust_backup(
    mdp: DiscountedMDP, uncertainty: UncertaintySet, values: FractionArray
) -> FractionArray:
    """Return the action values (S, A) of one backup in which every row is the worst member."""
    return robust_rational.respond(_model(mdp, uncertainty), values).action_values


def evaluate(mdp: DiscountedMDP, uncertainty: UncertaintySet, policy: Rows) -> Outcome:
    """Return the robust value of a policy under (s,a)-rectangularity."""
    start = to_fractions(np.zeros(mdp.states))
    return robust_rational.evaluate(_model(mdp, uncertainty), fractions(policy), start)


def optimum(mdp: DiscountedMDP, uncertainty: UncertaintySet) -> Outcome:
    """Return the robust optimum under (s,a)-rectangularity."""
    return robust_rational.optimum(_model(mdp, uncertainty))


def nominal_optimum(
    transitions: FractionArray, rewards: FractionArray, discount: Fraction
) -> Outcome:
    """Return the optimum of an MDP in Fractions, whose adversary has a radius of zero."""
    model = RationalModel(transitions, rewards, discount, TotalVariation(0.0))
    return robust_rational.optimum(model)


def kernel_optimum(mdp: DiscountedMDP, kernel: FractionArray) -> Outcome:
    """Return the optimum of the MDP under a given kernel."""
    _, rewards, discount = exact.model(mdp)
    return nominal_optimum(kernel, rewards, discount)


def kernel_values(mdp: DiscountedMDP, kernel: FractionArray, policy: Rows) -> FractionArray:
    """Return the value (S,) of a policy under a kernel."""
    _, rewards, discount = exact.model(mdp)
    return robust_rational.policy_values(kernel, rewards, discount, fractions(policy))


def backup(mdp: DiscountedMDP, kernel: FractionArray, values: FractionArray) -> FractionArray:
    """Return r(s, a) + discount * P(s, a) . values, shape (S, A)."""
    _, rewards, discount = exact.model(mdp)
    return np.asarray(rewards + discount * (kernel @ values))


def chain(kernel: FractionArray, policy: Rows) -> FractionArray:
    """Return the transition matrix (S, S) of a policy under a kernel."""
    return np.asarray((fractions(policy)[:, :, None] * kernel).sum(axis=1))


def deterministic_policies(states: int, actions: int) -> list[FloatArray]:
    """Return all deterministic policies, rows (S, A)."""
    choices = np.indices((actions,) * states).reshape(states, -1).T
    return [np.eye(actions)[row] for row in choices]


def _model(mdp: DiscountedMDP, uncertainty: UncertaintySet) -> RationalModel:
    return RationalModel(*exact.model(mdp), uncertainty)
