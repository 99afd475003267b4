"""The Bellman backup in exact rational arithmetic, for theorem records.

A float is a dyadic rational: what is computed here has no rounding at all.
"""

from fractions import Fraction

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.tabular.mdp import DiscountedMDP


def fractions(array: FloatArray | FractionArray) -> FractionArray:
    """Return an array of floats or Fractions as Fractions."""
    return array.astype(object) if array.dtype == object else to_fractions(array.astype(float))


def action_values(mdp: DiscountedMDP, values: FloatArray | FractionArray) -> FractionArray:
    """Return r(s, a) + discount * p(s, a) . values exactly, shape (S, A); dense, all available."""
    transitions = to_fractions(mdp.transitions)
    future = Fraction(mdp.discount) * fractions(values)
    return np.asarray(to_fractions(mdp.rewards) + transitions @ future)


def bellman(mdp: DiscountedMDP, values: FloatArray | FractionArray) -> FractionArray:
    """Return (T V)(s) = max_a r(s, a) + discount * p(s, a) . values exactly, shape (S,)."""
    return np.asarray(action_values(mdp, values).max(axis=1))


def policy_backup(
    mdp: DiscountedMDP, policy: FloatArray | FractionArray, values: FloatArray | FractionArray
) -> FractionArray:
    """Return (T_pi V)(s) = sum_a pi(a | s) (r + discount p . values)(s, a) exactly, shape (S,)."""
    return np.asarray((fractions(policy) * action_values(mdp, values)).sum(axis=1))
