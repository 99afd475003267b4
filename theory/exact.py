"""Bellman backups, values and occupancies in exact rational arithmetic, for theorem records.

A float is a dyadic rational: what is computed here has no rounding at all. MDPs are dense and,
unless said otherwise, offer every action in every state; policies are rows (S, A) of floats or
Fractions.
"""

from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray, solve, to_fractions
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.tabular.policy_iteration import policy_iteration

Rows = FloatArray | FractionArray


def fractions(array: FloatArray | FractionArray | Iterable[Fraction]) -> FractionArray:
    """Return an array of floats or Fractions as Fractions."""
    array = np.asarray(array)
    return array.astype(object) if array.dtype == object else to_fractions(array.astype(float))


@lru_cache(maxsize=16)
def model(mdp: DiscountedMDP) -> tuple[FractionArray, FractionArray, Fraction]:
    """Return transitions (S, A, S), rewards (S, A) and discount of an MDP as Fractions."""
    return to_fractions(mdp.transitions), to_fractions(mdp.rewards), Fraction(mdp.discount)


def action_values(mdp: DiscountedMDP, values: FloatArray | FractionArray) -> FractionArray:
    """Return r(s, a) + discount * p(s, a) . values exactly, shape (S, A); dense, all available."""
    transitions, rewards, discount = model(mdp)
    return np.asarray(rewards + transitions @ (discount * fractions(values)))


def bellman(mdp: DiscountedMDP, values: FloatArray | FractionArray) -> FractionArray:
    """Return (T V)(s) = max_a r(s, a) + discount * p(s, a) . values exactly, shape (S,)."""
    return np.asarray(action_values(mdp, values).max(axis=1))


def policy_backup(
    mdp: DiscountedMDP, policy: FloatArray | FractionArray, values: FloatArray | FractionArray
) -> FractionArray:
    """Return (T_pi V)(s) = sum_a pi(a | s) (r + discount p . values)(s, a) exactly, shape (S,)."""
    return np.asarray((fractions(policy) * action_values(mdp, values)).sum(axis=1))


def identity(size: int) -> FractionArray:
    """Return the identity matrix of Fractions."""
    return to_fractions(np.eye(size))


def policy_kernel(mdp: DiscountedMDP, policy: Rows) -> FractionArray:
    """Return P_pi exactly, shape (S, S)."""
    transitions, _, _ = model(mdp)
    return np.asarray((fractions(policy)[:, :, None] * transitions).sum(axis=1))


def policy_rewards(mdp: DiscountedMDP, policy: Rows) -> FractionArray:
    """Return r_pi exactly, shape (S,)."""
    return np.asarray((fractions(policy) * model(mdp)[1]).sum(axis=1))


def resolvent(kernel: FractionArray, discount: Fraction, right: FractionArray) -> FractionArray:
    """Return (I - discount * kernel)^-1 right exactly, shape (S,)."""
    return solve(identity(len(right)) - discount * kernel, right)


def policy_values(mdp: DiscountedMDP, policy: Rows) -> FractionArray:
    """Return V^pi exactly, shape (S,)."""
    return resolvent(policy_kernel(mdp, policy), model(mdp)[2], policy_rewards(mdp, policy))


def visits(mdp: DiscountedMDP, policy: Rows, initial: Rows | None = None) -> FractionArray:
    """Return d(s) = (1 - discount) sum_t discount^t P(s_t = s) exactly, shape (S,); total 1."""
    discount = model(mdp)[2]
    start = fractions(mdp.initial if initial is None else initial)
    return resolvent(policy_kernel(mdp, policy).T, discount, (1 - discount) * start)


def occupancy(mdp: DiscountedMDP, policy: Rows, initial: Rows | None = None) -> FractionArray:
    """Return the discounted occupancy of state-action pairs exactly, shape (S, A); total 1."""
    return np.asarray(visits(mdp, policy, initial)[:, None] * fractions(policy))


def optimal_values(mdp: DiscountedMDP) -> FractionArray:
    """Return V* exactly, shape (S,), by rational policy iteration; actions may be unavailable."""
    return np.asarray(policy_iteration(mdp, arithmetic="rational").values)


def optimal_policy(mdp: DiscountedMDP) -> FloatArray:
    """Return an optimal deterministic policy as rows (S, A)."""
    return policy_iteration(mdp, arithmetic="rational").policy


def last_greedy(action_values: FractionArray) -> FloatArray:
    """Return rows (S, A) of the greedy policy that breaks ties by the last action."""
    count = action_values.shape[1]
    return one_hot(count - 1 - action_values[:, ::-1].argmax(axis=1), count)


def worst_greedy_values(mdp: DiscountedMDP, action_values: FractionArray) -> FractionArray:
    """Return the least value, (S,), among the policies that are greedy for `action_values`."""
    best = action_values == action_values.max(axis=1, keepdims=True)
    return -optimal_values(mdp.replace(rewards=np.where(best, -mdp.rewards, -np.inf)))


def span(array: FractionArray) -> Fraction:
    """Return max - min of an array of Fractions."""
    return Fraction(array.max() - array.min())


def join(*parts: FractionArray | Fraction | int) -> FractionArray:
    """Return scalars and arrays of Fractions as one flat array: the entries of a side."""
    flat = [np.ravel(np.asarray(part, dtype=object)) for part in parts]
    return np.concatenate(flat)


def stationary(kernel: FractionArray) -> FractionArray:
    """Return the stationary distribution (S,) of a kernel with a single recurrent class.

    Raises ZeroDivisionError if there are several.
    """
    size = len(kernel)
    system = identity(size) - kernel.T
    system[0] = Fraction(1)
    right = to_fractions(np.zeros(size))
    right[0] = Fraction(1)
    return solve(system, right)
