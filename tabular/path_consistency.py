"""Path consistency: a policy and values fitted so that rewards add up along every path.

With deterministic steps V(s) - V(s') = r - temperature * log(pi / reference) on every step means
that pi is optimal when it pays for its divergence from the reference. Losses are exact
expectations of squared residuals under the policy that gathered the data.
Sources: Nachum, Norouzi, Xu and Schuurmans (2017); Wang, Hao, Dong, Zhang, Bao, Yang and Wu (2024).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import down, rounding_error, up
from rltheory.analysis.simplex import KL
from rltheory.tabular.finite_horizon import EpisodicSolution, backward_induction
from rltheory.tabular.mdp import EpisodicMDP, check_episodic
from rltheory.tabular.policies import as_policy

_MOST_STATES = 4096


@dataclass(frozen=True, eq=False)
class PathConsistency:
    """Squared residuals of a policy and values, expected under the behaviour that gave the data.

    residuals: (H, S, A, S), V(s) - V(s') - r + temperature * log(pi / reference) of each step;
    zero where a step has no probability.
    token_loss: mean over the steps of the expected squared residual of one step;
    path_loss: mean over the steps of that of the sum of residuals from there to the end;
    response_loss: that of the sum from the first step. All in squared units of reward.
    covered: (H, S, A), whether the behaviour ever takes the step.
    """

    residuals: FloatArray
    token_loss: float
    path_loss: float
    response_loss: float
    covered: NDArray[np.bool_]


def token_tree(rewards: ArrayLike, depth: int, vocabulary: int) -> EpisodicMDP:
    """Return the deterministic tree of responses: `depth` tokens out of `vocabulary` each.

    rewards: (vocabulary ** depth,), that of a whole response, paid at its last token; responses
    are numbered with the first token as the leading digit. The state after t tokens is the number
    that they spell. Raises ValueError for a wrong shape or more than 4096 last prefixes.
    """
    steps = check_positive_integer(depth, "depth")
    words = check_positive_integer(vocabulary, "vocabulary")
    # In this order, so that a huge power is never formed.
    if (steps - 1) * np.log(words) > np.log(_MOST_STATES):
        raise ValueError(
            f"depth {steps} with vocabulary {words} makes more than {_MOST_STATES} prefixes"
        )
    states = words ** (steps - 1)
    final = as_float_array(rewards, "rewards", (states * words,))
    check_finite(final, "rewards")
    paid = np.zeros((steps, states, words))
    paid[-1] = final.reshape(states, words)
    transitions = np.zeros((steps, states, words, states))
    for t in range(steps):
        prefixes = np.arange(states)
        # The number after the last token, and those of prefixes that no t tokens spell, are moot.
        after = (prefixes[:, None] * words + np.arange(words)) % states
        transitions[t, prefixes[:, None], np.arange(words), after] = 1.0
    initial = np.zeros(states)
    initial[0] = 1.0
    return EpisodicMDP(transitions, paid, initial)


def soft_backward_induction(
    mdp: EpisodicMDP, *, temperature: float, reference: Any = None
) -> EpisodicSolution:
    """Return the optimum of reward minus temperature * KL(policy || reference), certified.

    temperature: positive, units of reward per nat; reference: (H, S, A), uniform over available
    actions by default. values (H + 1, S) are temperature * log of the mean under the reference of
    exp(action values / temperature), and the policy (H, S, A) is proportional to what is averaged.
    Raises ValueError for a bad argument.
    """
    heat, anchor = _check(mdp, temperature, reference)
    horizon, states, actions = mdp.rewards.shape
    values = np.zeros((horizon + 1, states))
    q = np.empty((horizon, states, actions))
    policy = np.empty((horizon, states, actions))
    errors = np.zeros(horizon + 1)
    for h in reversed(range(horizon)):
        reachable = (anchor[h] > 0) & mdp.available[h]
        backed = mdp.rewards[h] + mdp.transitions[h] @ values[h + 1]
        q[h] = backed
        gains = np.where(reachable, backed, -np.inf)
        values[h] = KL.maximum(gains, anchor[h], heat)
        policy[h] = KL.maximiser(gains, anchor[h], heat)
        size = float(np.abs(backed[reachable]).max()) + float(np.abs(values[h + 1]).max())
        errors[h] = (
            errors[h + 1] * (1 + 1e-9)
            + rounding_error(states + 2, 2 * size)
            + KL.maximum_error(gains, anchor[h], heat)
        )
    lower, upper = down(values - errors[:, None]), up(values + errors[:, None])
    return EpisodicSolution(values, q, policy, lower, upper)


def soft_policy_return(
    mdp: EpisodicMDP, policy: Any, *, temperature: float, reference: Any = None
) -> float:
    """Return reward minus temperature * KL(policy || reference) of a policy, from the start.

    policy: (H, S) actions or (H, S, A) rows; -inf if it takes what the reference never does.
    A float64 sum; raises ValueError for a bad argument.
    """
    heat, anchor = _check(mdp, temperature, reference)
    rows = as_policy(policy, mdp.available)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(rows > 0, rows * (np.log(rows) - np.log(anchor)), 0.0).sum(axis=-1)
    finite = np.where(np.isfinite(cost), cost, 0.0)
    priced = mdp.rewards - heat * finite[..., None]
    value = backward_induction(EpisodicMDP(mdp.transitions, priced, mdp.initial), policy=rows)
    forbidden = bool((_visits(mdp, rows)[np.isinf(cost)] > 0).any())
    return -np.inf if forbidden else float(mdp.initial @ value.values[0])


def path_consistency(
    mdp: EpisodicMDP,
    policy: Any,
    values: ArrayLike,
    *,
    behaviour: Any,
    temperature: float,
    reference: Any = None,
) -> PathConsistency:
    """Return the consistency losses of a policy and values under the behaviour's distribution.

    policy: (H, S, A), positive wherever the behaviour is; values: (H, S), the value after the last
    step being zero; behaviour: (H, S) actions or (H, S, A) rows, in whose support the reference
    must be positive. A float64 sum over all steps, no sampling.

    With deterministic steps and a behaviour that takes every action wherever the reference does,
    a loss of zero means that the policy is the optimum of `soft_backward_induction`, and that the
    values are its values, in every state that can be reached.
    Raises ValueError for a bad argument.
    Source: Wang et al. (2024), the value loss and the two theorems on consistency.
    """
    heat, anchor = _check(mdp, temperature, reference)
    horizon, states, _ = mdp.rewards.shape
    rows = as_policy(policy, mdp.available)
    taken = _as_rows(behaviour, mdp, "behaviour")
    given = as_float_array(values, "values", (horizon, states))
    check_finite(given, "values")
    visits = _visits(mdp, taken)
    covered = (visits[..., None] > 0) & (taken > 0)
    for name, other in (("policy", rows), ("reference", anchor)):
        missing = np.argwhere(covered & (other == 0))
        if len(missing):
            where = ", ".join(map(str, missing[0]))
            raise ValueError(f"{name}[{where}] is 0 where the behaviour has data; expected above 0")
    following = np.vstack([given[1:], np.zeros((1, states))])
    logs = np.zeros(rows.shape)
    usable = (rows > 0) & (anchor > 0)
    logs[usable] = np.log(rows[usable] / anchor[usable])
    rewards = np.where(mdp.available, mdp.rewards, 0.0)
    own = given[:, :, None] - rewards + heat * logs
    possible = (mdp.transitions > 0) & usable[..., None]
    residuals = np.where(possible, own[..., None] - following[:, None, None, :], 0.0)
    token, first, second = np.empty(horizon), np.zeros(states), np.zeros(states)
    paths = np.empty(horizon)
    for h in reversed(range(horizon)):
        weights = taken[h][:, :, None] * mdp.transitions[h]
        step = residuals[h]
        token[h] = visits[h] @ (weights * step**2).sum(axis=(1, 2))
        # Moments of the sum of residuals from here, given those from the next state.
        second = (weights * (step**2 + 2 * step * first + second)).sum(axis=(1, 2))
        first = (weights * (step + first)).sum(axis=(1, 2))
        paths[h] = visits[h] @ second
    return PathConsistency(
        residuals, float(token.mean()), float(paths.mean()), float(paths[0]), covered
    )


def _visits(mdp: EpisodicMDP, policy: FloatArray) -> FloatArray:
    """Return the probability (H, S) of each state at each step under a policy (H, S, A)."""
    visits = np.empty(policy.shape[:2])
    visits[0] = mdp.initial
    for h in range(1, len(policy)):
        flow = visits[h - 1][:, None] * policy[h - 1]
        visits[h] = np.tensordot(flow, mdp.transitions[h - 1], 2)
    return visits


def _check(mdp: EpisodicMDP, temperature: float, reference: Any) -> tuple[float, FloatArray]:
    check_episodic(mdp)
    heat = check_range(temperature, "temperature", np.finfo(float).tiny, np.inf, include_high=False)
    if reference is None:
        mask = mdp.available.astype(np.float64)
        return heat, np.asarray(mask / mask.sum(axis=-1, keepdims=True))
    return heat, _as_rows(reference, mdp, "reference")


def _as_rows(policy: Any, mdp: EpisodicMDP, name: str) -> FloatArray:
    """Validate a policy whose errors call it by another name; return rows (H, S, A)."""
    try:
        return as_policy(policy, mdp.available)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("policy", name, 1)) from None
