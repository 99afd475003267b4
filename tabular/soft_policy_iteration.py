"""Soft policy iteration, the exact form of the soft actor-critic, with certified soft values.

Values count the reward and temperature times the entropy of each choice. One iteration evaluates
the policy and replaces it by the softmax of its soft action values, which raises these everywhere.
Sources: Haarnoja, Zhou, Abbeel and Levine (2018), section 4.1; Geist, Scherrer and Pietquin (2019).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_positive_integer, check_range
from rltheory.analysis.bounds import down, rounding_error, up
from rltheory.analysis.simplex import KL
from rltheory.tabular.evaluation import evaluate_policy
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policies import as_policy
from rltheory.tabular.policy_optimisation import start_policy
from rltheory.tabular.regularised import Regulariser, regularised_evaluation, regularised_optimum
from rltheory.tabular.solution import Evaluation, Solution


@dataclass(frozen=True, eq=False)
class SoftPath:
    """The policies of soft policy iteration, the initial one first, and what they are worth.

    policies: (T + 1, S, A); soft_values: (T + 1, S), with the entropy bonus; values: (T + 1, S),
    without. evaluation: the certified soft value of the last policy; optimum: the certified soft
    optimum. converged: whether the last policy is within the tolerance of it for sure.
    """

    policies: FloatArray
    soft_values: FloatArray
    values: FloatArray
    evaluation: Evaluation
    optimum: Solution
    converged: bool

    @property
    def policy(self) -> FloatArray:
        """(S, A), the last policy."""
        return np.asarray(self.policies[-1])

    @property
    def gap(self) -> float:
        """Certified upper bound on what the last policy lacks of the soft optimum, in any state."""
        return float(np.max(self.optimum.upper - self.evaluation.lower))


def soft_policy_iteration(
    mdp: DiscountedMDP,
    *,
    temperature: float,
    tolerance: float = 1e-8,
    max_iterations: int = 1000,
    initial_policy: Any = None,
) -> SoftPath:
    """Alternate exact soft evaluation and the softmax of the soft action values.

    temperature: positive, units of reward per nat of entropy. initial_policy: (S,) actions or
    (S, A) rows, uniform over available actions by default. Stops as soon as the certified gap is
    at most `tolerance` (units of return), or nothing more is to be gained, or after the iterations.

    Soft values never fall, and their distance to the optimum shrinks by the discount at least;
    values without the bonus may fall. The soft optimum exceeds the best value without a bonus by
    at most temperature * log A / (1 - g), and costs its policy no more than that.
    Returns a SoftPath; raises ValueError for a bad argument.
    Source: Haarnoja et al. (2018), Lemmas 1 and 2, Theorem 1.
    """
    heat = _check(mdp, temperature)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    count = check_positive_integer(max_iterations, "max_iterations")
    policy = start_policy(mdp, initial_policy)
    optimum = soft_optimum(mdp, temperature=heat, tolerance=tolerance)
    policies, softs, plains = [], [], []
    for k in range(count + 1):
        evaluation = soft_evaluation(mdp, policy, temperature=heat)
        policies.append(policy)
        softs.append(evaluation.values)
        plains.append(evaluate_policy(mdp, policy).values)
        gap = float(np.max(optimum.upper - evaluation.lower))
        still = k > 0 and float((softs[-1] - softs[-2]).max()) <= evaluation.gap
        if gap <= tolerance or still or k == count:
            break
        policy = soft_improvement(mdp, evaluation.values, temperature=heat)
    return SoftPath(
        np.array(policies), np.array(softs), np.array(plains), evaluation, optimum, gap <= tolerance
    )


def soft_evaluation(mdp: DiscountedMDP, policy: Any, *, temperature: float) -> Evaluation:
    """Return the certified value (S,) of a policy with temperature times its entropy added.

    policy: (S,) actions or (S, A) rows. Raises ValueError for a bad argument.
    """
    heat = _check(mdp, temperature)
    rows = as_policy(policy, mdp.available)
    model, error = _with_bonus(mdp, heat)
    found = regularised_evaluation(model, rows, Regulariser(KL, heat, start_policy(mdp, None)))
    return Evaluation(found.values, down(found.lower - error), up(found.upper + error))


def soft_optimum(mdp: DiscountedMDP, *, temperature: float, tolerance: float = 1e-8) -> Solution:
    """Return the certified optimum with temperature times the entropy of the policy added.

    Its policy (S, A) is the softmax of its action values (S, A) over the temperature; values are
    temperature * log sum exp of the same. Raises ValueError for a bad argument.
    """
    heat = _check(mdp, temperature)
    model, error = _with_bonus(mdp, heat)
    found = regularised_optimum(
        model, Regulariser(KL, heat, start_policy(mdp, None)), tolerance=tolerance
    )
    # Action values do not count the entropy of the choice itself.
    q = found.action_values - _bonus(mdp, heat)[:, None]
    lower, upper = down(found.lower - error), up(found.upper + error)
    gap = float(np.max(upper - lower))
    return Solution(found.values, q, found.policy, lower, upper, found.iterations, gap <= tolerance)


def soft_improvement(
    mdp: DiscountedMDP, soft_values: FloatArray, *, temperature: float
) -> FloatArray:
    """Return the softmax (S, A) of the action values of soft values (S,) over the temperature.

    In each state it is the policy nearest to that softmax in the divergence KL(policy || softmax),
    which is what the actor of the soft actor-critic minimises.
    """
    heat = _check(mdp, temperature)
    q = action_values(mdp.rows, mdp.rewards, mdp.discount, np.asarray(soft_values, np.float64))
    return KL.maximiser(q, start_policy(mdp, None), heat)


def _check(mdp: DiscountedMDP, temperature: float) -> float:
    check_discounted(mdp)
    return check_range(temperature, "temperature", np.finfo(float).tiny, np.inf, include_high=False)


def _bonus(mdp: DiscountedMDP, heat: float) -> FloatArray:
    return np.asarray(heat * np.log(mdp.available.sum(axis=1)))


def _with_bonus(mdp: DiscountedMDP, heat: float) -> tuple[DiscountedMDP, float]:
    """Return the MDP paid the entropy of uniform play, and what its rounding comes to in values.

    Entropy is that bonus less the divergence from uniform play, which is what is regularised.
    """
    bonus = _bonus(mdp, heat)
    size = float(np.abs(mdp.rewards[mdp.available]).max() + bonus.max())
    # The uniform reference is off by a rounding too, hence by one in its logarithm.
    error = rounding_error(8, size + heat)
    modulus = float(up(up(mdp.discount * mdp.row_mass.upper)))
    shift = float(up(2 * error / (1.0 - modulus))) if modulus < 1 else np.inf
    return mdp.replace(rewards=mdp.rewards + bonus[:, None]), shift
