"""Average reward by relative value iteration, bracketed at every sweep.

For any v, min(Tv - v) <= g* <= max(Tv - v) elementwise (Puterman 1994, Theorem 8.5.5). The
kernel is mixed with the identity, which removes periodicity and scales the gain by a known factor.
"""

from dataclasses import dataclass, replace

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_range
from rltheory.analysis.bounds import Bounds, down, up
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_solve
from rltheory.tabular.policies import greedy
from rltheory.tabular.solution import Certifier


@dataclass(frozen=True, eq=False)
class AverageRewardSolution:
    """The optimal gain per step, enclosed by `gain`; bias (S,) relative to state 0; policy (S, A).

    converged: whether the enclosure is narrower than the tolerance. It cannot be where the gain
    depends on the starting state: there `gain` encloses the gains of all states.
    """

    gain: Bounds
    bias: FloatArray
    policy: FloatArray
    iterations: int
    converged: bool


def relative_value_iteration(
    mdp: DiscountedMDP,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 100_000,
    laziness: float = 0.1,
) -> AverageRewardSolution:
    """Solve an MDP for the largest long-run average reward; its discount is not used.

    laziness: the weight of the identity in the aperiodicity transform, in (0, 1).
    Returns an AverageRewardSolution. Raises ValueError for a bad argument.
    Source: White (1963); Puterman (1994), section 8.5.
    """
    check_solve(mdp, tolerance, max_iterations)
    check_range(laziness, "laziness", 1e-6, 1 - 1e-6)
    values = np.zeros(mdp.states)
    for iteration in range(1, max_iterations + 1):
        q = action_values(mdp.rows, mdp.rewards, 1.0, values)
        step = q.max(axis=1) - values
        gain = _gain_bounds(mdp, values, step)
        if gain.gap <= tolerance:
            break
        values = values + (1.0 - laziness) * step
        values -= values[0]
    return AverageRewardSolution(gain, values, greedy(q), iteration, gain.gap <= tolerance)


def _gain_bounds(mdp: DiscountedMDP, values: FloatArray, step: FloatArray) -> Bounds:
    # A gain needs rows of mass one: what is missing or too much counts as an error of the sweep.
    leak = max(abs(float(mdp.row_mass.lower) - 1), abs(float(mdp.row_mass.upper) - 1))
    largest = float(np.abs(values).max())
    # The sweep has no discount.
    sweep = replace(Certifier.of(mdp, 0.0), discount=1.0)
    error = sweep.error(values) + leak * largest
    return Bounds(down(down(step.min()) - error), up(up(step.max()) + error))
