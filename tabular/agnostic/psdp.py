"""Policy search by dynamic programming: layers from the last to the first, each on its resets.

At each layer the best policy of the class against the reset distribution is kept, followed by what
was kept for later layers; exactly, or from roll-outs whose first action is uniform. Source:
Bagnell, Kakade, Ng and Schneider (2003); the constants of the guarantees are derived here.
"""

from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    IntArray,
    as_float_array,
    as_generator,
    check_distributions,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.rational import to_fractions
from rltheory.tabular.agnostic.access import Resets
from rltheory.tabular.agnostic.class_values import check_fit, class_values, exact_arrays
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP

_ROLLS = 4096
"""Roll-outs drawn at once."""

_MOST_SUFFIXES = 2**16
"""Completeness is checked against at most so many continuations of one layer."""


@dataclass(frozen=True, eq=False)
class PSDP:
    """What the search kept.

    policy: (H, S) actions; its layers may come from different policies of the class, `chosen` (H,)
    says which. scores: (P, H), of each policy's layer when it was compared: the value from that
    layer on under the reset distribution, exact or estimated.
    """

    policy: IntArray
    chosen: IntArray
    scores: NDArray[Any]


def psdp_exact(
    mdp: EpisodicMDP, policies: PolicyClass, mu: ArrayLike, *, arithmetic: str = "float"
) -> PSDP:
    """Return what the search keeps if it knows all values: infinitely many samples.

    mu: (H, S) reset distributions. Ties go to the first policy of the class.
    If for every policy kept for later layers the class has one that is greedy at all states of the
    layer, the policy is optimal wherever mu covers an optimal one. In general it loses up to
    sum_h ||d_h - mu_h||_1 times the range of returns, d_h the states of the policy compared with.
    arithmetic: "float" or "rational". Raises ValueError if the arguments do not fit.
    """
    check_fit(mdp, policies)
    transitions, rewards, _ = exact_arrays(mdp, arithmetic)
    resets = exact_resets(mdp, mu, arithmetic)
    lines = np.arange(mdp.states)
    policy = np.zeros((mdp.horizon, mdp.states), dtype=np.int64)
    chosen = np.zeros(mdp.horizon, dtype=np.int64)
    scores = np.zeros((len(policies), mdp.horizon), dtype=rewards.dtype)
    values = np.zeros(mdp.states, dtype=rewards.dtype)
    for h in reversed(range(mdp.horizon)):
        q = rewards[h] + transitions[h] @ values
        rows = policies.table[:, h].astype(np.int64)
        scores[:, h] = q[lines, rows] @ resets[h]
        chosen[h] = int(np.argmax(scores[:, h]))
        policy[h] = rows[chosen[h]]
        values = q[lines, policy[h]]
    return PSDP(policy, chosen, scores)


def psdp(
    access: Resets,
    policies: PolicyClass,
    *,
    resets_per_layer: int,
    seed: int | np.random.Generator,
) -> PSDP:
    """Return what the search keeps from `resets_per_layer` roll-outs at each layer.

    A roll-out starts from a reset, takes a uniform action and then follows what was kept; A times
    its return counts for every policy that would have taken the same action, an unbiased score.
    seed: of the uniform actions. `access` counts resets and steps.
    Raises ValueError if access and class do not fit.
    """
    count = check_positive_integer(resets_per_layer, "resets_per_layer")
    check_access(access, policies)
    generator = as_generator(seed)
    policy = np.zeros((access.horizon, access.states), dtype=np.int64)
    chosen = np.zeros(access.horizon, dtype=np.int64)
    scores = np.zeros((len(policies), access.horizon))
    for h in reversed(range(access.horizon)):
        credit = np.zeros((access.states, access.actions))
        for first in range(0, count, _ROLLS):
            size = min(_ROLLS, count - first)
            tables = np.repeat(policy[None].astype(np.int16), size, axis=0)
            tables[:, h] = generator.integers(access.actions, size=(size, 1))
            rolls = access.run_from_reset(h, tables, size)
            # What counts for a policy is the sum over states of the credit of its action there.
            np.add.at(credit, (rolls.states[:, 0], rolls.actions[:, 0]), rolls.returns)
        rows = policies.table[:, h].astype(np.int64)
        weighted = credit * (access.actions / count)
        scores[:, h] = weighted[np.arange(access.states), rows].sum(axis=1)
        chosen[h] = int(np.argmax(scores[:, h]))
        policy[h] = rows[chosen[h]]
    return PSDP(policy, chosen, scores)


def psdp_resets(
    policies: PolicyClass, *, epsilon: float, delta: float, concentrability: float
) -> int:
    """Return how many roll-outs a layer makes `psdp` epsilon-optimal with chance 1 - delta.

    For returns in [0, 1] and a complete class: with L = log(2 H P / delta) and
    t = epsilon / (2 C H) it is 2 A (1 + t / 3) L / t^2, by Bernstein's inequality for terms in
    [0, A] of second moment at most A; all scores are then within t, and C H 2 t = epsilon.
    concentrability: C of the optimal policy's states against the resets.
    Source: derived here from the performance difference lemma of Kakade and Langford (2002).
    """
    check_range(epsilon, "epsilon", 2.0**-40, 1.0)
    check_range(delta, "delta", 2.0**-60, 1.0, include_high=False)
    check_range(concentrability, "concentrability", 1.0, 2.0**40)
    t = epsilon / (2 * concentrability * policies.horizon)
    logarithm = log(2 * policies.horizon * len(policies) / delta)
    return ceil(2 * policies.actions * (1 + t / 3) * logarithm / t**2)


def completeness_gap(mdp: EpisodicMDP, policies: PolicyClass, *, arithmetic: str = "float") -> Any:
    """Return how far a class is from holding a greedy policy for each continuation of its own.

    The largest over layers h and continuations rho (any policy's actions at each later layer) of
    min over the class of max over states of max_a Q^rho_h(s, a) - Q^rho_h(s, pi(s)); 0 if the class
    is policy complete. All states of the layers count, reached or not.
    Raises ValueError if a layer has more than 2^16 continuations.
    """
    check_fit(mdp, policies)
    transitions, rewards, _ = exact_arrays(mdp, arithmetic)
    lines = np.arange(mdp.states)
    worst = rewards.dtype.type(0) if rewards.dtype != object else 0
    following = np.zeros((1, mdp.states), dtype=rewards.dtype)
    for h in reversed(range(mdp.horizon)):
        size = int(np.asarray(policies.layer_sizes)[h])
        rows = np.unique(policies.table[:, h].astype(np.int64), axis=0)
        if len(following) * len(rows) > _MOST_SUFFIXES and h:
            raise ValueError(
                f"layer {h} has {len(following) * len(rows)} continuations; at most "
                f"{_MOST_SUFFIXES} are tried"
            )
        values = []
        for after in following:
            q = rewards[h] + transitions[h] @ after
            taken = q[lines, rows]
            lost = (q.max(axis=1) - taken)[:, :size].max(axis=1)
            worst = max(worst, lost.min())
            values.append(taken)
        following = np.concatenate(values)
        if rewards.dtype != object:
            following = np.unique(following, axis=0)
    return worst


def policy_value(mdp: EpisodicMDP, policy: ArrayLike, *, arithmetic: str = "float") -> Any:
    """Return the value from the start of one deterministic policy (H, S)."""
    alone = PolicyClass(np.asarray(policy)[None], mdp.actions)
    return class_values(mdp, alone, arithmetic=arithmetic).values[0]


def exact_resets(mdp: EpisodicMDP, mu: ArrayLike, arithmetic: str) -> NDArray[Any]:
    """Return reset distributions (H, S), checked, in the arithmetic asked for."""
    rows = as_float_array(mu, "mu", (mdp.horizon, mdp.states))
    check_distributions(rows, "mu")
    if arithmetic == "float":
        return rows
    given = np.asarray(mu)
    return to_fractions(given if given.dtype == object else rows)


def check_access(access: Resets, policies: PolicyClass) -> None:
    """Raise unless the access offers resets and the class acts on its steps and states."""
    if not isinstance(access, Resets):
        raise TypeError(f"access is {type(access).__name__}; expected Resets (or Hybrid)")
    want = (access.horizon, access.states, access.actions)
    have = (policies.horizon, policies.states, policies.actions)
    if want != have:
        raise ValueError(f"policies has (horizon, states, actions) {have}; the access has {want}")
