"""Regularised MDPs: the reward less a divergence of the policy from a reference, certified.

V(s) = max over p of Q(s, .) . p - weight * D(p, reference(s)) is a Bellman equation like the
unregularised one: monotone, and constants pass through it times the discount, hence so do the
residual bounds. Sources: Geist, Scherrer and Pietquin (2019), Proposition 2 and Theorem 1;
Cen et al. (2022), section 2 for soft policy iteration and its quadratic end.
"""

from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import down, rounding_error, up
from rltheory.analysis.simplex import MirrorMap
from rltheory.tabular.evaluation import evaluate_policy
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.solution import Evaluation, Solution, fixed_point_bounds, sweep_error

_MOST_IMPROVEMENTS = 1000


@dataclass(frozen=True, eq=False)
class Regulariser:
    """weight > 0 (units of reward) times a mirror map's divergence from reference (S, A)."""

    mirror: MirrorMap
    weight: float
    reference: FloatArray


def regularised_evaluation(
    mdp: DiscountedMDP, policy: FloatArray, regulariser: Regulariser
) -> Evaluation:
    """Return the certified regularised value of a policy (S, A): its divergence is a cost."""
    mirror, weight, reference = regulariser.mirror, regulariser.weight, regulariser.reference
    cost = weight * mirror.divergence(policy, reference)
    evaluation = evaluate_policy(mdp.replace(rewards=mdp.rewards - cost[:, None]), policy)
    largest = float(np.abs(mdp.rewards[mdp.available]).max() + cost.max())
    error = weight * mirror.divergence_error(policy, reference) + rounding_error(2, largest)
    modulus = float(up(up(mdp.discount * mdp.row_mass.upper)))
    # Policies' rows sum to 1 within a few units of roundoff per action.
    modulus *= 1.0 + 1e-15 * (mdp.actions + 1)
    shift = float(up(2 * error / (1.0 - modulus))) if modulus < 1 else np.inf
    return Evaluation(
        evaluation.values, down(evaluation.lower - shift), up(evaluation.upper + shift)
    )


def regularised_optimum(
    mdp: DiscountedMDP, regulariser: Regulariser, *, tolerance: float = 1e-8
) -> Solution:
    """Solve a regularised MDP by policy iteration, until rounding hides any improvement.

    Returns a Solution of regularised values, `converged` if its gap is at most `tolerance`; the
    optimal policy (S, A) randomises in general.
    """
    policy = regulariser.reference
    previous = np.full(mdp.states, -np.inf)
    for iteration in range(1, _MOST_IMPROVEMENTS):
        evaluation = regularised_evaluation(mdp, policy, regulariser)
        solution = _certify(mdp, evaluation.values, regulariser, iteration, tolerance)
        if float((evaluation.values - previous).max()) <= evaluation.gap:
            break
        previous, policy = evaluation.values, solution.policy
    return solution


def _certify(
    mdp: DiscountedMDP,
    values: FloatArray,
    regulariser: Regulariser,
    iteration: int,
    tolerance: float,
) -> Solution:
    mirror, weight, reference = regulariser.mirror, regulariser.weight, regulariser.reference
    q = action_values(mdp.rows, mdp.rewards, mdp.discount, values)
    image = mirror.maximum(q, reference, weight)
    # Twice: once for the maximum, once for the policy that attains it.
    error = 2 * (sweep_error(mdp, values) + mirror.maximum_error(q, reference, weight))
    bounds, shift = fixed_point_bounds(values, image, error, mdp.discount, mdp.row_mass)
    return Solution(
        values=image + shift,
        action_values=q + shift,
        policy=mirror.maximiser(q, reference, weight),
        lower=bounds.lower,
        upper=bounds.upper,
        iterations=iteration,
        converged=bounds.gap <= tolerance,
    )
