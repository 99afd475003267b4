"""REINFORCE++ with baseline: rewards centred in their group, then scaled by the whole batch.

A batch holds N prompts with G responses each. What a group contributes is a vector and a sum of
squares, and only the latter meets those of the other groups: so groups are outcomes themselves,
and batches are enumerated as multisets of them. Source: Hu (2025).
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.arrays import FloatArray, check_positive_integer
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.gates import PPO_CLIP, Gate
from rltheory.analysis.estimators.group_sums import span
from rltheory.analysis.estimators.groups import enumerate_groups, types_of
from rltheory.analysis.estimators.moments import Moments, estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import Estimator


def whitened_moments(
    outcomes: Outcomes, *, group_size: int, prompts: int, gate: Gate = PPO_CLIP
) -> Moments:
    """Return the exact mean and covariance of REINFORCE++ with baseline.

    The estimate is the sum over all responses of (r - m) / s times what the gate makes of the
    score, divided by their number: m the mean of the response's group of `group_size`, s the root
    of the mean of (r - m)^2 over all groups of the batch, one for each of `prompts` independent
    prompts. Where s = 0 it is zero. All of the variance counts as `within`.

    Raises TypeError if the outcomes are Fractions, ValueError if a group or batch size is no
    positive integer or there are too many groups or batches to enumerate.
    """
    check_positive_integer(group_size, "group_size")
    check_positive_integer(prompts, "prompts")
    if outcomes.exact:
        raise TypeError("outcomes are Fractions, and the estimator takes square roots; give floats")
    tables = [_dense(gate.vectors(outcomes, sign)) for sign in gate.signs(outcomes)]
    parts = [_groups(outcomes, tables, x, group_size) for x in range(len(outcomes.weights))]
    chances, vectors, squares = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    batch = Outcomes(probabilities=chances, scores=vectors, rewards=squares)
    found = estimator_moments(batch, _SCALED, group_size=prompts)
    return replace(found, gradient=outcomes.gradient)


def _groups(
    outcomes: Outcomes, tables: list[NDArray[Any]], prompt: int, size: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the chances (K,) of all groups, their vectors (K, k) and mean squares (K,)."""
    there = span(outcomes, prompt)
    drawn = outcomes.drawn[there]
    types = types_of([np.arange(len(drawn))], drawn)
    chances, vectors, squares = [], [], []
    for members, probabilities in enumerate_groups(types, size):
        chosen = types.first[members] + there.start
        rewards = outcomes.rewards[chosen]
        centred = rewards - rewards.mean(axis=1, keepdims=True)
        total = np.zeros((len(chosen), tables[0].shape[1]))
        for i in range(size):
            away = centred[:, i, None]
            # One table for positive advantages, and one for others if they differ.
            lower = tables[-1][chosen[:, i]]
            total += away * np.where(away >= 0, tables[0][chosen[:, i]], lower)
        chances.append(outcomes.weights[prompt] * probabilities)
        vectors.append(total / size)
        squares.append((centred * centred).mean(axis=1))
    return np.concatenate(chances), np.concatenate(vectors), np.concatenate(squares)


def _dense(table: Any) -> NDArray[Any]:
    return np.asarray(table.toarray() if sparse.issparse(table) else table)


def _over_the_root(group: Group) -> Any:
    mean = group.rewards.mean(axis=-1, keepdims=True)
    scale = np.where(mean > 0, 1.0 / np.sqrt(np.where(mean > 0, mean, 1.0)), 0.0)
    return np.broadcast_to(scale, group.rewards.shape)


_SCALED = Estimator(
    name="reinforce++ with baseline",
    title="REINFORCE++ with baseline",
    source="Hu (2025)",
    advantages=_over_the_root,
    rational=False,
)
