"""Howard's policy iteration, in floats or exact fractions, and modified policy iteration.

Sources: Howard (1960); Puterman and Shin (1978); Puterman (1994), sections 6.4 and 6.5.
"""

from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray, check_positive_integer
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.tabular.evaluation import evaluate_policy, rational_policy_value
from rltheory.tabular.kernels import greedy_sweep, policy_bellman
from rltheory.tabular.mdp import DiscountedMDP, check_solve
from rltheory.tabular.policies import as_policy, greedy, one_hot
from rltheory.tabular.solution import Certifier, Solution, certified_solution
from rltheory.tabular.value_iteration import initial_vector


def policy_iteration(
    mdp: DiscountedMDP,
    *,
    tolerance: float = 1e-8,
    arithmetic: str = "float",
    max_iterations: int = 10_000,
    initial_policy: Any = None,
) -> Solution:
    """Solve a discounted MDP by evaluating a policy exactly and improving it greedily.

    arithmetic: "float" (one linear system per iteration, bounds from the residual) or "rational"
    (exact Fractions of the arrays as stored: values, lower and upper are equal object arrays).
    initial_policy: (S,) actions or (S, A) rows; greedy for zero values by default.
    An action is changed only for a strict improvement, so the iteration ends.

    Returns a Solution; raises ValueError for a bad argument.
    Source: Puterman (1994), Theorems 6.4.2 and 6.4.6.
    """
    check_solve(mdp, tolerance, max_iterations)
    start = (
        mdp.rewards.argmax(axis=1)
        if initial_policy is None
        else as_policy(initial_policy, mdp.available).argmax(axis=1)
    )
    if arithmetic == "rational":
        return _rational(mdp, start, max_iterations)
    if arithmetic != "float":
        raise ValueError(f"arithmetic is {arithmetic!r}; expected 'float' or 'rational'")
    actions = start
    index = np.arange(mdp.states)
    certifier = Certifier.of(mdp, tolerance)
    seen: set[bytes] = set()
    for iteration in range(1, max_iterations + 1):
        values = evaluate_policy(mdp, actions).values
        sweep = greedy_sweep(mdp.rows, mdp.rewards, mdp.discount, values)
        q, best, greedy_actions = sweep
        # Less than the rounding of a sweep is no evidence of an improvement. The rounding of the
        # evaluation may still feign one, but then a policy comes back.
        improve = best > q[index, actions] + 2 * certifier.error(values)
        seen.add(actions.tobytes())
        actions = np.where(improve, greedy_actions, actions)
        if actions.tobytes() in seen:
            return certified_solution(mdp, values, iteration, tolerance, sweep)
    return certified_solution(mdp, values, max_iterations, tolerance, sweep)


def modified_policy_iteration(
    mdp: DiscountedMDP,
    *,
    tolerance: float = 1e-8,
    sweeps: int = 50,
    max_iterations: int = 100_000,
    initial_values: FloatArray | None = None,
) -> Solution:
    """Solve a discounted MDP with up to `sweeps` evaluation sweeps between improvements.

    Each improvement's residual is also the certificate, so the method stops as soon as the
    certified gap is below `tolerance` (units of reward). An evaluation ends early where more of
    it would be wasted: when its residual has shrunk tenfold or, for a policy that an improvement
    left as it was, below the tolerance. Returns a Solution.
    Source: Puterman and Shin (1978); Puterman (1994), section 6.5.
    """
    check_solve(mdp, tolerance, max_iterations)
    check_positive_integer(sweeps, "sweeps")
    certifier = Certifier.of(mdp, tolerance)
    values = initial_vector(mdp, initial_values)
    spare, last_actions = np.empty_like(values), np.full(mdp.states, -1)
    sweep = None
    for iteration in range(1, max_iterations + 1):
        sweep = greedy_sweep(mdp.rows, mdp.rewards, mdp.discount, values, sweep)
        _, image, actions = sweep
        stop, shift, width = certifier.judge(values, image)
        if stop:
            return certified_solution(mdp, values, iteration, tolerance, sweep)
        width = 0.0 if np.array_equal(actions, last_actions) else 0.1 * width
        width = max(width, 0.5 * certifier.enough(values))
        # A constant error is known already: start the evaluation from the bracket's middle.
        np.add(image, shift, out=values)
        values, spare = _evaluate(mdp, actions, values, spare, sweeps - 1, width)
        last_actions[:] = actions
    return certified_solution(mdp, values, max_iterations, tolerance)


def _evaluate(
    mdp: DiscountedMDP,
    actions: IntArray,
    values: FloatArray,
    spare: FloatArray,
    sweeps: int,
    width: float,
) -> tuple[FloatArray, FloatArray]:
    """Sweep along a policy until the bracket of its value is narrower than `width`.

    Returns the values, and the other one of the two arrays that it worked in.
    """
    for _ in range(sweeps):
        policy_bellman(mdp.rows, mdp.rewards, actions, mdp.discount, values, spare)
        values -= spare
        spread = float(values.max() - values.min())
        values, spare = spare, values
        if mdp.discount * spread <= (1.0 - mdp.discount) * width:
            break
    return values, spare


def rational_action_values(mdp: DiscountedMDP, values: FractionArray) -> FractionArray:
    """Return r + g P v exactly, (S, A) Fractions; unavailable actions hold -inf."""
    dense = mdp.to_dense()
    discount = to_fractions(np.array(mdp.discount)).item()
    q = np.full(mdp.rewards.shape, -np.inf, dtype=object)
    for s, a in np.argwhere(mdp.available):
        support = np.flatnonzero(dense.transitions[s, a])
        row = to_fractions(dense.transitions[s, a, support])
        reward = to_fractions(mdp.rewards[s, a]).item()
        q[s, a] = reward + discount * sum(row * values[support])
    return q


def _rational(mdp: DiscountedMDP, actions: Any, max_iterations: int) -> Solution:
    index = np.arange(mdp.states)
    for iteration in range(1, max_iterations + 1):
        values = rational_policy_value(mdp, one_hot(actions, mdp.actions))
        q = rational_action_values(mdp, values)
        improve = q.max(axis=1) > q[index, actions]
        if not improve.any():
            policy = one_hot(actions, mdp.actions)
            return Solution(values, q, policy, values, values, iteration, True)
        actions = np.where(improve, greedy(q).argmax(axis=1), actions)
    raise ValueError(f"max_iterations is {max_iterations}; exact policy iteration needs more")
