"""Trajectory trees: all policies of a class are followed in the same simulated episodes.

A tree draws one successor and one reward for each step, state and action, and only where some
policy comes by; so it is a deterministic MDP drawn at random, and layer h of it holds no more pairs
than the class can span. Sources: Kearns, Mansour and Ng (1999); Jia, Li, Rakhlin, Sekhari and
Srebro (2023), the upper bound for generative access.
"""

from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.tabular.agnostic.access import Generative
from rltheory.tabular.agnostic.guarantees import (
    ClassEstimate,
    check_returns,
    hoeffding_deviation,
    hoeffding_repetitions,
    number_of,
)
from rltheory.tabular.agnostic.policy_class import PolicyClass

_ENTRIES = 2**21
"""Entries of the largest arrays held at once; more trees are grown in parts."""


@dataclass(frozen=True, eq=False)
class TreeEstimate(ClassEstimate):
    """Estimated values; nodes: (n, H) pairs of state and action in each layer of each tree."""

    nodes: IntArray


def trajectory_tree_erm(
    access: Generative,
    policies: PolicyClass,
    *,
    trees: int | None = None,
    accuracy: float | None = None,
    confidence: float = 0.9,
) -> TreeEstimate:
    """Return the values of a class averaged over trajectory trees, and the best policy.

    With `accuracy` eps, 2 log(2 P / (1 - confidence)) / eps^2 trees are grown, after which the
    chosen policy is within eps of the best of the class with that confidence. A tree costs one
    call for its start and one for each of its nodes, at most H times the spanning capacity.
    Raises ValueError if returns leave [0, 1] or an argument does not fit, TypeError without
    generative access.
    """
    if not isinstance(access, Generative):
        raise TypeError(f"access is {type(access).__name__}; expected Generative")
    check_class(access, policies)
    count = number_of(
        trees, "trees", accuracy, lambda eps: hoeffding_repetitions(len(policies), eps, confidence)
    )
    deviation = hoeffding_deviation(len(policies), count, confidence)
    before = access.samples
    width = max(len(policies), access.states * access.actions)
    part = max(1, _ENTRIES // width)
    total = np.zeros(len(policies))
    nodes = []
    for first in range(0, count, part):
        returns, grown = grow(access, policies, min(part, count - first))
        check_returns(returns)
        total += returns.sum(axis=0)
        nodes.append(grown)
    values = total / count
    return TreeEstimate(
        values=values,
        best=int(np.argmax(values)),
        repetitions=count,
        samples=access.samples - before,
        deviation=deviation,
        confidence=confidence,
        nodes=np.concatenate(nodes),
    )


def grow(access: Generative, policies: PolicyClass, trees: int) -> tuple[FloatArray, IntArray]:
    """Return the returns (n, P) of all policies in `trees` trees, and the nodes (n, H) of these."""
    states, actions = access.states, access.actions
    here = np.repeat(access.start(trees)[:, None], len(policies), axis=1)
    lines, columns = np.arange(trees)[:, None], np.arange(len(policies))
    returns = np.zeros((trees, len(policies)))
    nodes = np.zeros((trees, access.horizon), dtype=np.int64)
    place = np.zeros(trees * states * actions, dtype=np.int64)
    for h in range(access.horizon):
        chosen = policies.table[columns, h, here].astype(np.int64)
        cells = (lines * states + here) * actions + chosen
        present = np.zeros(len(place), dtype=bool)
        present[cells] = True
        drawn = np.flatnonzero(present)
        place[drawn] = np.arange(len(drawn))
        tree, pair = np.divmod(drawn, states * actions)
        nodes[:, h] = np.bincount(tree, minlength=trees)
        following, paid = access.sample(h, pair // actions, pair % actions)
        at = place[cells]
        returns += paid[at]
        here = following[at]
    return returns, nodes


def check_class(access: object, policies: PolicyClass) -> None:
    """Raise ValueError unless a class acts on the steps, states and actions of an access."""
    want = tuple(getattr(access, name) for name in ("horizon", "states", "actions"))
    have = (policies.horizon, policies.states, policies.actions)
    if want != have:
        raise ValueError(f"policies has (horizon, states, actions) {have}; the access has {want}")
