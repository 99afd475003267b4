"""Exact policy optimisation: policy gradient, natural policy gradient, policy mirror descent.

No sampling: each iteration evaluates the policy by a linear system and takes its gradient from
the policy gradient theorem, so what is seen is the method and not the noise. Every iterate's
distance to the optimum is enclosed rigorously.
Sources: Agarwal, Kakade, Lee and Mahajan (2021); Xiao (2022); Cen, Cheng, Chen, Wei and
Chi (2022); Lan (2023).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
    check_shape,
)
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.simplex import EUCLIDEAN, KL, MirrorMap, mirror_map, project_simplex, softmax
from rltheory.tabular.evaluation import evaluate_policy, occupancy_measure
from rltheory.tabular.kernel_family import at_initial
from rltheory.tabular.kernels import action_values
from rltheory.tabular.mdp import DiscountedMDP, check_discounted
from rltheory.tabular.policies import as_policy
from rltheory.tabular.policy_iteration import policy_iteration
from rltheory.tabular.regularised import Regulariser, regularised_evaluation, regularised_optimum
from rltheory.tabular.solution import Evaluation, Solution


@dataclass(frozen=True, eq=False)
class PolicyOptimisation:
    """The path of a policy optimisation method of T iterations, with its certificate.

    policy: (S, A), the last iterate, and evaluation: its certified value; optimum: the certified
    solution it is measured against; values: (T + 1,) value of each iterate at the initial
    distribution, the first policy included; suboptimality: (T + 1,) certified enclosures of
    optimum - value at the initial distribution. With a regulariser, all values are regularised.
    """

    policy: FloatArray
    evaluation: Evaluation
    optimum: Solution
    values: FloatArray
    suboptimality: Bounds

    @property
    def gap(self) -> float:
        """Certified upper bound on the suboptimality of `policy` at the initial distribution."""
        return float(self.suboptimality.upper[-1])


def policy_gradient(
    mdp: DiscountedMDP,
    *,
    parametrisation: str = "softmax",
    step: ArrayLike,
    iterations: int,
    initial_policy: Any = None,
) -> PolicyOptimisation:
    """Ascend the exact gradient of the value at the initial distribution.

    parametrisation: "softmax" (a logit per state and action) or "direct" (the probabilities
    themselves, projected onto the simplex after each step).
    step: positive, a number or one per iteration (T,); units of parameters per unit of gradient.
    For rewards in [0, 1] values never fall if step <= (1 - g)^3 / 8 (softmax) or
    (1 - g)^3 / (2 g A) (direct). initial_policy: (S, A) rows, uniform by default.

    Converges to the optimum only where the initial distribution, or every policy, reaches every
    state. Returns a PolicyOptimisation; raises ValueError for a bad argument.
    Source: Agarwal et al. (2021), Theorems 4.1 and 5.1.
    """
    check_discounted(mdp)
    steps = as_steps(step, iterations)
    start = start_policy(mdp, initial_policy)
    if parametrisation == "softmax":
        parameters = KL.coordinates(check_positive(start, mdp, "initial_policy"))

        def climb(theta: FloatArray, q: FloatArray, k: int) -> FloatArray:
            return np.asarray(theta + steps[k] * _softmax_gradient(mdp, softmax(theta), q))

        return run_ascent(mdp, parameters, softmax, climb, iterations, None)
    if parametrisation != "direct":
        raise ValueError(f"parametrisation is {parametrisation!r}; expected 'softmax' or 'direct'")

    def climb_projected(policy: FloatArray, q: FloatArray, k: int) -> FloatArray:
        raised = policy + steps[k] * _direct_gradient(mdp, policy, q)
        return project_simplex(np.where(mdp.available, raised, -np.inf))

    return run_ascent(mdp, start, EUCLIDEAN.distribution, climb_projected, iterations, None)


def natural_policy_gradient(
    mdp: DiscountedMDP,
    *,
    step: ArrayLike,
    iterations: int,
    initial_policy: Any = None,
    regularisation: float = 0.0,
    reference: Any = None,
) -> PolicyOptimisation:
    """Ascend the softmax policy gradient preconditioned by the inverse Fisher information.

    The step is multiplicative and does not depend on the initial distribution,
    pi' proportional to pi^(1 - w) * reference^w * exp(step * Q / (1 - g)) with
    w = step * regularisation / (1 - g): mirror descent by KL with another unit of step.
    step: positive, a number or one per iteration, at most (1 - g) / regularisation.
    regularisation: weight (units of reward) of KL(pi || reference) in every state; the default
    reference, uniform over available actions, makes it an entropy bonus up to a constant.

    From the uniform policy without regularisation, and with rewards in [0, 1],
    V* - V <= log A / (step T) + 1 / ((1 - g)^2 T); with it, the error falls as
    (1 - step * regularisation)^T.

    Returns a PolicyOptimisation; raises ValueError for a bad argument.
    Source: Agarwal et al. (2021), Theorem 5.3; Cen et al. (2022), Theorem 1.
    """
    check_discounted(mdp)
    steps = as_steps(step, iterations)
    weight = _weight(regularisation)
    check_range(steps.max(), "step", 0.0, (1.0 - mdp.discount) / weight if weight else np.inf)
    keeps = np.maximum(1.0 - steps * weight / (1.0 - mdp.discount), 0.0)
    gains = steps / (1.0 - mdp.discount)
    return _mirror(mdp, KL, gains, keeps, initial_policy, weight, reference)


def mirror_descent(
    mdp: DiscountedMDP,
    *,
    step: ArrayLike,
    iterations: int,
    divergence: str = "kl",
    regularisation: float = 0.0,
    reference: Any = None,
    initial_policy: Any = None,
) -> PolicyOptimisation:
    """Maximise step * (Q . p - regularisation * D(p, reference)) - D(p, pi) in every state.

    step: positive, a number or one per iteration (T,), units of 1 / reward; a schedule growing
    by 1 / g or faster makes the unregularised method converge linearly.
    divergence: "kl" or "euclidean" (half the squared distance), of the step and the regulariser.
    regularisation: weight, units of reward; reference: (S, A), uniform over available actions by
    default. initial_policy: (S, A), the same by default.

    The value of every state never falls, whatever the steps.
    Returns a PolicyOptimisation; raises ValueError for a bad argument.
    Source: Xiao (2022), section 4; Lan (2023), Algorithm 1.
    """
    check_discounted(mdp)
    steps = as_steps(step, iterations)
    mirror, weight = mirror_map(divergence), _weight(regularisation)
    keeps = 1.0 / (1.0 + steps * weight)
    return _mirror(mdp, mirror, steps * keeps, keeps, initial_policy, weight, reference)


def softmax_gradient(mdp: DiscountedMDP, parameters: ArrayLike) -> FloatArray:
    """Return the gradient (S, A) of the initial distribution's value in softmax logits (S, A).

    d(s) pi(a | s) (Q - V)(s, a) / (1 - g), with the occupancy d; zero for unavailable actions,
    whose logits are ignored. Raises ValueError for a wrong shape or a logit that is not finite.
    Source: Agarwal et al. (2021), equation (10).
    """
    check_discounted(mdp)
    logits = as_float_array(parameters, "parameters", mdp.rewards.shape)
    check_finite(logits, "parameters")
    policy = softmax(np.where(mdp.available, logits, -np.inf))
    return _softmax_gradient(mdp, policy, _action_values(mdp, policy))


def direct_gradient(mdp: DiscountedMDP, policy: Any) -> FloatArray:
    """Return the partial derivatives (S, A) of the initial distribution's value in probabilities.

    d(s) Q(s, a) / (1 - g), with the occupancy d; zero for unavailable actions. Taken entry by
    entry, off the simplex too: only differences along a row matter. policy: (S, A) rows.
    Raises ValueError for a bad policy. Source: Agarwal et al. (2021), equation (8).
    """
    check_discounted(mdp)
    rows = as_policy(policy, mdp.available)
    return _direct_gradient(mdp, rows, _action_values(mdp, rows))


def _action_values(mdp: DiscountedMDP, policy: FloatArray) -> FloatArray:
    values = evaluate_policy(mdp, policy).values
    return action_values(mdp.rows, mdp.rewards, mdp.discount, values)


def _softmax_gradient(mdp: DiscountedMDP, policy: FloatArray, q: FloatArray) -> FloatArray:
    finite = np.where(mdp.available, q, 0.0)
    advantage = finite - (policy * finite).sum(axis=1, keepdims=True)
    return np.asarray(occupancy_measure(mdp, policy) * advantage / (1.0 - mdp.discount))


def _direct_gradient(mdp: DiscountedMDP, policy: FloatArray, q: FloatArray) -> FloatArray:
    visits = occupancy_measure(mdp, policy).sum(axis=1, keepdims=True)
    return np.asarray(visits * np.where(mdp.available, q, 0.0) / (1.0 - mdp.discount))


def _mirror(
    mdp: DiscountedMDP,
    mirror: MirrorMap,
    gains: FloatArray,
    keeps: FloatArray,
    initial_policy: Any,
    weight: float,
    reference: Any,
) -> PolicyOptimisation:
    start = start_policy(mdp, initial_policy)
    anchor = start_policy(mdp, reference)
    if mirror is KL:
        check_positive(start, mdp, "initial_policy")
        check_positive(anchor, mdp, "reference")
    anchor_coordinates = mirror.coordinates(anchor)

    def climb(current: FloatArray, q: FloatArray, k: int) -> FloatArray:
        return mirror.step(current, anchor_coordinates, gains[k] * q, float(keeps[k]))

    regulariser = Regulariser(mirror, weight, anchor) if weight else None
    state = mirror.coordinates(start)
    return run_ascent(mdp, state, mirror.distribution, climb, len(gains), regulariser)


def run_ascent(
    mdp: DiscountedMDP,
    state: FloatArray,
    distribution: Callable[[FloatArray], FloatArray],
    climb: Callable[[FloatArray, FloatArray, int], FloatArray],
    iterations: int,
    regulariser: Regulariser | None,
) -> PolicyOptimisation:
    """Run `climb`(coordinates, action values of the policy there, iteration), recording values."""
    if regulariser is None:
        optimum = policy_iteration(mdp)
    else:
        optimum = regularised_optimum(mdp, regulariser)
    values = np.empty(iterations + 1)
    lower, upper = np.empty(iterations + 1), np.empty(iterations + 1)
    for k in range(iterations + 1):
        policy = distribution(state)
        if regulariser is None:
            evaluation = evaluate_policy(mdp, policy)
        else:
            evaluation = regularised_evaluation(mdp, policy, regulariser)
        values[k] = mdp.initial @ evaluation.values
        start = at_initial(mdp, evaluation)
        lower[k], upper[k] = float(start.lower), float(start.upper)
        if k < iterations:
            q = action_values(mdp.rows, mdp.rewards, mdp.discount, evaluation.values)
            state = climb(state, q, k)
    best = at_initial(mdp, optimum)
    return PolicyOptimisation(policy, evaluation, optimum, values, best - Bounds(lower, upper))


def as_steps(step: ArrayLike, iterations: int) -> FloatArray:
    """Validate a step, a number or one per iteration, and return it as (iterations,)."""
    check_positive_integer(iterations, "iterations")
    steps = as_float_array(step, "step")
    if steps.ndim:
        check_shape(steps, "step", (iterations,))
    if not np.all((steps > 0) & np.isfinite(steps)):
        bad = np.ravel(steps)[np.argmin(np.ravel((steps > 0) & np.isfinite(steps)))]
        raise ValueError(f"step holds {bad}; expected positive finite numbers")
    return np.broadcast_to(steps, (iterations,))


def _weight(regularisation: float) -> float:
    return check_range(regularisation, "regularisation", 0.0, np.inf, include_high=False)


def start_policy(mdp: DiscountedMDP, policy: Any) -> FloatArray:
    """Return a valid policy as rows (S, A), the uniform one over available actions for None."""
    if policy is None:
        mask = mdp.available.astype(np.float64)
        return np.asarray(mask / mask.sum(axis=1, keepdims=True))
    return as_policy(policy, mdp.available)


def check_positive(policy: FloatArray, mdp: DiscountedMDP, name: str) -> FloatArray:
    """Refuse a policy without full support, which multiplicative steps could never widen."""
    missing = np.argwhere(mdp.available & (policy == 0))
    if len(missing):
        where = ", ".join(map(str, missing[0]))
        raise ValueError(f"{name}[{where}] is 0; every available action needs a positive one")
    return policy
