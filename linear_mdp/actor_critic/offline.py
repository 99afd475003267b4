"""Actor-critics from offline data alone: pessimism in counts, and PSPI on finite classes.

The critic of the present policy is a lower bound where data are few; the actor moves by exponential
weights against it, and the mixture of all policies is what is learnt. Sources: Xie, Cheng, Jiang,
Mineiro and Agarwal (2021) for PSPI; Rashidinejad, Zhu, Ma, Jiao and Russell (2021) for lower
confidence bounds by counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.linear_mdp.actor_critic.offline_data import OfflineData, as_visits
from rltheory.linear_mdp.function_classes.confidence import excess_losses, theory_radii
from rltheory.linear_mdp.function_classes.finite import FiniteClass, check_class
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class OfflineRun:
    """What an offline actor-critic has learnt.

    values (K,): exact values of the policies of all rounds, from the start, up to rounding;
    promises (K,): what the critic says they are worth; policy (H, S, A): of the last round;
    optimum: the best value.
    """

    algorithm: str
    values: FloatArray
    promises: FloatArray
    policy: FloatArray
    optimum: float

    @property
    def suboptimality(self) -> float:
        """What the uniform mixture of all rounds' policies loses."""
        return float(self.optimum - self.values.mean())


def pessimistic_actor_critic(
    mdp: EpisodicMDP,
    data: OfflineData | Any,
    *,
    rounds: int = 100,
    step: float | None = None,
    scale: float = 0.3,
    confidence: float = 0.05,
) -> OfflineRun:
    """Run an actor-critic on lower confidence bounds; rewards >= 0 are known.

    A pair with n visits has r + max(0, mean of next values - scale * C * (L / n)^(1/2)), where C is
    the most that can still be earned and L = log(5 H S A N / confidence) for N visits of a step;
    with none it has r. scale: 0 for no pessimism. step: (8 log A / rounds)^(1/2) over the largest
    return if not given. Raises ValueError or TypeError naming what does not fit.
    """
    _check_rewards(mdp)
    visits = as_visits(data, mdp)
    size = check_range(scale, "scale", 0.0, np.inf, include_high=False)
    share = check_range(confidence, "confidence", 1e-300, 1.0)
    penalty = lower_bonuses(mdp, visits, scale=size, confidence=share)

    def critic(policy: FloatArray) -> FloatArray:
        return lower_values(mdp, visits, penalty, policy)

    name = "pessimistic actor-critic" if size else "actor-critic without pessimism"
    return _ascend(mdp, name, critic, rounds, step)


def pessimistic_value_iteration(
    mdp: EpisodicMDP, data: OfflineData | Any, *, scale: float = 0.3, confidence: float = 0.05
) -> OfflineRun:
    """Run value iteration on the same lower bounds: one round, a greedy policy.

    Source: Rashidinejad, Zhu, Ma, Jiao and Russell (2021), VI-LCB, without its data splitting.
    """
    _check_rewards(mdp)
    visits = as_visits(data, mdp)
    size = check_range(scale, "scale", 0.0, np.inf, include_high=False)
    share = check_range(confidence, "confidence", 1e-300, 1.0)
    penalty = lower_bonuses(mdp, visits, scale=size, confidence=share)
    q = lower_values(mdp, visits, penalty, None)
    policy = np.eye(mdp.actions)[q.argmax(axis=-1)]
    return _result(mdp, "pessimistic value iteration", [policy], [q])


def pspi(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    data: OfflineData,
    *,
    rounds: int = 100,
    step: float | None = None,
    delta: float = 0.05,
    radius: float = 1.0,
) -> OfflineRun:
    """Run PSPI on a finite class: the critic is the member of the policy's confidence set that is
    worth least at the start.

    radius: times `theory_radii`, of the excess losses for the policy's operator. The set of a
    policy may be empty, as a finite class is hardly ever complete for it: then the member with the
    least excess losses in units of the radii is taken. step: as above.
    Raises ValueError or TypeError naming what does not fit.
    """
    check_class(mdp, functions)
    visits = as_visits(data, mdp)
    size = check_range(radius, "radius", 0.0, np.inf, include_high=False)
    if size == 0.0:
        raise ValueError("radius is 0; expected a positive number")
    span = float(np.ptp(mdp.rewards)) or 1.0
    radii = size * theory_radii(functions, delta, reward_span=span)
    paid = visits.sum(axis=-1) * mdp.rewards

    def critic(policy: FloatArray) -> FloatArray:
        found = excess_losses(functions, visits, paid, policy=policy)
        excess = np.maximum(found / radii, 1.0).max(axis=1)
        start = (functions.table[:, 0] * policy[0]).sum(axis=-1) @ mdp.initial
        inside = np.flatnonzero(excess == excess.min())
        return np.asarray(functions.table[inside[start[inside].argmin()]])

    return _ascend(mdp, "PSPI", critic, rounds, step)


def lower_bonuses(
    mdp: EpisodicMDP, visits: FloatArray, *, scale: float, confidence: float
) -> FloatArray:
    """Return what is taken off the mean of next values (H, S, A); without visits, all of it."""
    pairs = visits.sum(axis=-1)
    most = np.append(np.cumsum(mdp.rewards.max(axis=(1, 2))[::-1])[::-1], 0.0)[1:]
    total = max(float(pairs.sum(axis=(1, 2)).max()), 1.0)
    logarithm = np.log(5.0 * mdp.rewards.size * total / confidence)
    width = scale * np.sqrt(logarithm / np.maximum(pairs, 1.0))
    return np.asarray(most[:, None, None] * np.where(pairs > 0, width, 1.0))


def lower_values(
    mdp: EpisodicMDP, visits: FloatArray, penalty: FloatArray, policy: FloatArray | None
) -> FloatArray:
    """Return pessimistic action values (H, S, A), of a policy or, without one, of greedy ones."""
    pairs = visits.sum(axis=-1)
    q = np.empty(mdp.rewards.shape)
    after = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        mean = visits[h] @ after / np.maximum(pairs[h], 1.0)
        q[h] = mdp.rewards[h] + np.maximum(mean - penalty[h], 0.0)
        after = q[h].max(axis=-1) if policy is None else (policy[h] * q[h]).sum(axis=-1)
    return q


def _ascend(
    mdp: EpisodicMDP, name: str, critic: Any, rounds: int, step: float | None
) -> OfflineRun:
    count = check_positive_integer(rounds, "rounds")
    if step is None:
        largest = max(float(np.abs(mdp.rewards).max(axis=(1, 2)).sum()), 1e-300)
        rate = float(np.sqrt(8.0 * np.log(max(mdp.actions, 2)) / count)) / largest
    else:
        rate = check_range(step, "step", 0.0, np.inf, include_high=False)
    logits = np.zeros(mdp.rewards.shape)
    policies, critics = [], []
    for _ in range(count):
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        policies.append(weights / weights.sum(axis=-1, keepdims=True))
        critics.append(critic(policies[-1]))
        logits += rate * critics[-1]
    return _result(mdp, name, policies, critics)


def _result(
    mdp: EpisodicMDP, name: str, policies: list[FloatArray], critics: list[FloatArray]
) -> OfflineRun:
    played = np.stack(policies)
    after = np.zeros((len(played), mdp.states))
    # All policies at once: one product with the kernel of a step.
    for h in reversed(range(mdp.horizon)):
        later = after @ mdp.transitions[h].reshape(-1, mdp.states).T
        q = mdp.rewards[h] + later.reshape(-1, *mdp.rewards.shape[1:])
        after = (played[:, h] * q).sum(axis=-1)
    promises = [
        mdp.initial @ (p[0] * f[0]).sum(axis=-1) for p, f in zip(policies, critics, strict=True)
    ]
    return OfflineRun(
        algorithm=name,
        values=read_only(after @ mdp.initial),
        promises=read_only(np.array(promises)),
        policy=read_only(policies[-1]),
        optimum=float(mdp.initial @ backward_induction(mdp).values[0]),
    )


def _check_rewards(mdp: Any) -> None:
    check_episodic(mdp)
    if not mdp.available.all():
        raise ValueError("mdp has unavailable actions; expected all of them available everywhere")
    if mdp.rewards.min() < 0.0:
        raise ValueError(f"rewards holds {mdp.rewards.min():g}; expected numbers of at least 0")
