"""Optimal values by linear programming (HiGHS), certified by one Bellman sweep.

The primal minimises a positive weighting of v over v >= r + g P v; its multipliers are the
optimal discounted occupancy measure. Source: Puterman (1994), section 6.9.
"""

import numpy as np
from scipy import sparse

from rltheory.analysis.arrays import check_range
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.tabular.solution import Solution, certified_solution


def linear_programming(mdp: DiscountedMDP, *, tolerance: float = 1e-8) -> Solution:
    """Solve a discounted MDP as a linear program, dense or sparse, with HiGHS.

    Returns a Solution whose bounds come from a Bellman sweep at the program's answer, not from
    the solver's own tolerances; `iterations` counts simplex or interior-point steps. The values
    are polished by policy evaluation where HiGHS' feasibility tolerance left a wider gap.
    Raises RuntimeError with HiGHS' message if the program was not solved.
    """
    # A third of a second that only this solver should cost.
    from scipy.optimize import linprog

    check_discounted(mdp)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    pairs = np.flatnonzero(mdp.available.ravel())
    own = sparse.csr_array(
        (np.ones(len(pairs)), pairs // mdp.actions, np.arange(len(pairs) + 1)),
        shape=(len(pairs), mdp.states),
    )
    rows = sparse.csr_array(mdp.rows)[pairs]
    rewards = mdp.rewards.ravel()[pairs]
    # HiGHS takes its tolerances, and what it calls infinite, in absolute terms.
    _, exponent = np.frexp(np.abs(rewards).max())
    result = linprog(
        np.full(mdp.states, 1.0 / mdp.states),
        A_ub=mdp.discount * rows - own,
        b_ub=-np.ldexp(rewards, -exponent),
        bounds=(None, None),
        method="highs",
    )
    if result.status != 0:
        raise RuntimeError(f"HiGHS did not solve the program: {result.message}")
    values = np.ldexp(result.x, exponent)
    solution = certified_solution(mdp, values, int(result.nit), tolerance)
    if solution.converged:
        return solution
    return policy_iteration(mdp, tolerance=tolerance, initial_policy=solution.actions)
