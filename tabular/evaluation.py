"""Value and occupancy of a fixed policy, each with a certificate.

Direct evaluation solves (I - g P_pi) v = r_pi; whatever produced v, the residual of one more
sweep encloses V^pi rigorously, and refines it.
"""

from typing import Any

import numpy as np
from scipy import sparse

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds, rounding_error
from rltheory.analysis.rational import FractionArray, solve, to_fractions
from rltheory.tabular.kernels import rounding_depth
from rltheory.tabular.mdp import DiscountedMDP, check_discounted, check_solve
from rltheory.tabular.policies import as_policy
from rltheory.tabular.solution import Evaluation, fixed_point_bounds, rounding_floor


def evaluate_policy(
    mdp: DiscountedMDP,
    policy: Any,
    *,
    method: str = "direct",
    tolerance: float = 1e-8,
    max_iterations: int = 1_000_000,
    arithmetic: str = "float",
) -> Evaluation:
    """Return the value of a policy, (S,) action indices or (S, A) rows on the simplex.

    method: "direct" (one linear system, sparse where the MDP is) or "iterative" (sweeps until the
    certified gap is below `tolerance`, which only this method uses).
    arithmetic: "float", or "rational" for the exact Fractions of the arrays as stored.

    Returns an Evaluation with lower <= V^pi <= upper. Raises ValueError for a bad policy,
    method or arithmetic. Source: Puterman (1994), section 6.1.
    """
    check_solve(mdp, tolerance, max_iterations)
    rows = as_policy(policy, mdp.available)
    if arithmetic == "rational":
        exact = rational_policy_value(mdp, rows)
        return Evaluation(exact, exact, exact)
    if arithmetic != "float":
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    kernel, reward = policy_model(mdp, rows)
    if method == "direct":
        return _certify(mdp, rows, kernel, reward, _solve(kernel, reward, mdp.discount))
    if method != "iterative":
        raise ValueError(f"method is {method!r}; expected 'direct' or 'iterative'")
    values = np.zeros(mdp.states)
    evaluation = _certify(mdp, rows, kernel, reward, values)
    for _ in range(max_iterations):
        floor = rounding_floor(_evaluation_error(mdp, values), mdp.discount)
        if evaluation.gap <= max(tolerance, floor):
            break
        values = reward + mdp.discount * (kernel @ values)
        evaluation = _certify(mdp, rows, kernel, reward, values)
    return evaluation


def policy_model(mdp: DiscountedMDP, policy: FloatArray) -> tuple[Any, FloatArray]:
    """Return the kernel (S, S), dense or CSR, and the reward (S,) that a policy (S, A) induces."""
    reward = np.where(policy > 0, policy * np.where(mdp.available, mdp.rewards, 0.0), 0.0).sum(1)
    if mdp.is_sparse:
        states, actions = np.nonzero(policy)
        mixing = sparse.csr_array(
            (policy[states, actions], (states, states * mdp.actions + actions)),
            shape=(mdp.states, policy.size),
        )
        return mixing @ mdp.transitions, reward
    deterministic = (policy.max(axis=1) == 1.0).all()
    if deterministic:
        return mdp.transitions[np.arange(mdp.states), policy.argmax(axis=1)], reward
    return np.einsum("sa,sat->st", policy, mdp.transitions), reward


def occupancy_measure(
    mdp: DiscountedMDP, policy: Any, *, initial: FloatArray | None = None
) -> FloatArray:
    """Return the discounted occupancy (S, A), sum_t (1 - g) g^t P(s_t = s, a_t = a); total 1.

    `initial` (S,) replaces the MDP's own initial distribution.
    Source: Puterman (1994), section 6.9.2.
    """
    check_discounted(mdp)
    rows = as_policy(policy, mdp.available)
    start = mdp.initial if initial is None else mdp.replace(initial=initial).initial
    kernel, _ = policy_model(mdp, rows)
    visits = _solve(kernel.T, (1.0 - mdp.discount) * start, mdp.discount)
    return np.asarray(np.maximum(visits, 0.0)[:, None] * rows)


def policy_mass(rows: Bounds, policy: FloatArray) -> Bounds:
    """Enclose the row sums of the kernel that a policy (S, A) makes of rows with sums in `rows`."""
    totals = policy.sum(axis=1)
    slack = 1e-15 * policy.shape[1]
    lightest = float((rows * float(totals.min())).lower) * (1 - slack)
    heaviest = float((rows * float(totals.max())).upper) * (1 + slack)
    return Bounds(np.asarray(lightest), np.asarray(heaviest))


def rational_policy_value(mdp: DiscountedMDP, policy: FloatArray) -> FractionArray:
    """Return the exact V^pi (S,) of the stored arrays as Fractions; policy rows (S, A)."""
    weights = to_fractions(policy)
    dense = mdp.to_dense()
    states, actions = mdp.rewards.shape
    matrix = to_fractions(np.eye(states))
    reward = to_fractions(np.zeros(states))
    discount = to_fractions(np.array(mdp.discount)).item()
    for s in range(states):
        for a in range(actions):
            if weights[s, a]:
                row = to_fractions(dense.transitions[s, a])
                matrix[s] = matrix[s] - discount * weights[s, a] * row
                reward[s] += weights[s, a] * to_fractions(dense.rewards[s, a]).item()
    return solve(matrix, reward)


def _solve(kernel: Any, right: FloatArray, discount: float) -> FloatArray:
    n = len(right)
    if sparse.issparse(kernel):
        # Loaded where it is needed: dense models do without.
        from scipy.sparse.linalg import spsolve

        return np.asarray(spsolve(sparse.csc_array(sparse.eye_array(n) - discount * kernel), right))
    return np.asarray(np.linalg.solve(np.eye(n) - discount * kernel, right))


def _certify(
    mdp: DiscountedMDP, policy: FloatArray, kernel: Any, reward: FloatArray, values: FloatArray
) -> Evaluation:
    image = reward + mdp.discount * (kernel @ values)
    error = _evaluation_error(mdp, values)
    mass = policy_mass(mdp.row_mass, policy)
    bounds, shift = fixed_point_bounds(values, image, error, mdp.discount, mass)
    return Evaluation(image + shift, bounds.lower, bounds.upper)


def _evaluation_error(mdp: DiscountedMDP, values: FloatArray) -> float:
    """Bound the rounding of forming a policy's kernel and reward and applying them once."""
    depth = 2 * mdp.actions + 2 * rounding_depth(mdp.rows) + mdp.states
    largest = float(np.abs(mdp.rewards[mdp.available]).max())
    return rounding_error(depth, 1.001 * (largest + float(np.abs(values).max())))
