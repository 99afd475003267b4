"""Policy gradient on several objectives whose weights move: by hypervolume, or by their gradients.

A rule of weighting is a record of two functions; the ascent is exact, without sampling.
Source: Lu, Wang, Li, Liu, Yu, Yin, Shi, Zhang and Jiang (2025).
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
)
from rltheory.analysis.simplex import KL, softmax
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.multi_objective import as_objectives, as_weights, vector_returns
from rltheory.tabular.pareto import hypervolume, non_dominated
from rltheory.tabular.policy_optimisation import (
    check_positive,
    softmax_gradient,
    start_policy,
)


@dataclass(frozen=True)
class Weighting:
    """A rule for the weights of objectives.

    start: (K,), the weights of the first step; advance(state, weights, returns, gradients): the
    new state, the new weights (K,) and a positive factor of the step, from the returns (K,) and
    gradients (K, S, A) of the current policy. The state is None before the first call.
    """

    name: str
    start: FloatArray
    advance: Callable[[Any, FloatArray, FloatArray, FloatArray], tuple[Any, FloatArray, float]]


@dataclass(frozen=True, eq=False)
class WeightedPath:
    """The path of T steps: returns (T + 1, K) of each policy, weights (T, K) and factors (T,).

    policy: (S, A), the last one.
    """

    returns: FloatArray
    weights: FloatArray
    factors: FloatArray
    policy: FloatArray


def fixed_weights(weights: ArrayLike) -> Weighting:
    """Return the rule that keeps its weights (K,), scaled to add up to one."""
    w = _normalised(weights)
    return Weighting("fixed", w, lambda state, current, returns, gradients: (state, current, 1.0))


def hypervolume_factor(gain: float) -> float:
    """Return what the hypervolume rule multiplies the scalar reward by, in [0.5, 2).

    0.5 + 1.5 tanh(gain), gain >= 0 being what the last returns add to the hypervolume of earlier
    ones. One positive number for all objectives: it never changes which policy is best.
    """
    return 0.5 + 1.5 * float(np.tanh(check_range(gain, "gain", 0.0, np.inf)))


def hypervolume_guided(weights: ArrayLike) -> Weighting:
    """Return fixed weights (K,) whose reward is multiplied by `hypervolume_factor` at each step.

    The buffer holds the returns so far that none dominated when they came; the first returns are
    its reference point.
    """
    w = _normalised(weights)

    def advance(
        state: Any, current: FloatArray, returns: FloatArray, gradients: FloatArray
    ) -> tuple[Any, FloatArray, float]:
        if state is None:
            return returns[None], current, 1.0
        before = hypervolume(state, state[0])
        grown = np.vstack([state, returns])
        gain = max(hypervolume(grown, state[0]) - before, 0.0)
        if gain > 0:
            kept = non_dominated(grown[1:])
            state = np.vstack([grown[:1], grown[1:][kept]])
        return state, current, hypervolume_factor(gain)

    return Weighting("hypervolume", w, advance)


def gradient_guided(weights: ArrayLike, *, rate: float) -> Weighting:
    """Return weights (K,) that grow with the influence of their objective's gradient.

    w_k <- w_k exp(rate * I_k), normalised, with I_k = <grad J_k, sum of all gradients> divided by
    the squared norm of that sum, so that influences add up to one (our reading of the published
    rule, which leaves the unit open). rate: at least 0.
    """
    w = _normalised(weights)
    if not w.min() > 0:
        raise ValueError(f"weights holds {w.min()}; multiplicative steps need positive ones")
    speed = check_range(rate, "rate", 0.0, np.inf, include_high=False)

    def advance(
        state: Any, current: FloatArray, returns: FloatArray, gradients: FloatArray
    ) -> tuple[Any, FloatArray, float]:
        return state, influence_step(current, gradients, speed), 1.0

    return Weighting("gradient", w, advance)


def influence_step(weights: FloatArray, gradients: FloatArray, rate: float) -> FloatArray:
    """Return the weights (K,) after one step by the influence of gradients (K, ...)."""
    flat = gradients.reshape(len(gradients), -1)
    total = flat.sum(axis=0)
    size = float(total @ total)
    if size == 0:
        return weights
    return softmax(KL.coordinates(weights) + rate * (flat @ total) / size)


def weighted_ascent(
    mdp: DiscountedMDP,
    objectives: ArrayLike,
    *,
    weighting: Weighting,
    step: float,
    iterations: int,
    initial_policy: Any = None,
) -> WeightedPath:
    """Ascend sum over k of weight_k J_k by exact softmax policy gradients, the weights moving too.

    objectives: (K, S, A); step: positive, units of logit per unit of gradient; initial_policy:
    (S, A), positive where available, uniform by default.
    Returns a WeightedPath; raises ValueError for a bad argument.
    """
    rewards = as_objectives(mdp, objectives)
    as_weights(weighting.start, len(rewards))
    count = check_positive_integer(iterations, "iterations")
    check_range(step, "step", np.finfo(float).tiny, np.inf, include_high=False)
    logits = _logits(mdp, initial_policy)
    models = [mdp.replace(rewards=np.where(mdp.available, r, -np.inf)) for r in rewards]
    returns = np.empty((count + 1, len(rewards)))
    weights, factors = np.empty((count, len(rewards))), np.empty(count)
    current, state = weighting.start, None
    for t in range(count):
        policy = softmax(np.where(mdp.available, logits, -np.inf))
        returns[t] = vector_returns(mdp, rewards, policy)
        gradients = np.array([softmax_gradient(model, logits) for model in models])
        state, current, factor = weighting.advance(state, current, returns[t], gradients)
        weights[t], factors[t] = current, factor
        logits = logits + step * factor * np.tensordot(current, gradients, 1)
        logits = logits - logits.max(axis=1, keepdims=True)
    policy = softmax(np.where(mdp.available, logits, -np.inf))
    returns[count] = vector_returns(mdp, rewards, policy)
    return WeightedPath(returns, weights, factors, policy)


def _normalised(weights: ArrayLike) -> FloatArray:
    w = as_float_array(weights, "weights", (None,))
    if not len(w):
        raise ValueError("weights is empty; expected one for each objective")
    check_finite(w, "weights")
    w = as_weights(w, len(w))
    return np.asarray(w / w.sum())


def _logits(mdp: DiscountedMDP, policy: Any) -> FloatArray:
    """Return finite logits (S, A); those of unavailable actions are not read."""
    rows = check_positive(start_policy(mdp, policy), mdp, "initial_policy")
    return np.log(np.where(rows > 0, rows, 1.0))
