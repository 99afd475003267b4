"""Visits of a linear MDP as least squares needs them: sums, their inverse and ridge estimates.

What the regressions need of the past is kept by next state: `cross[h, s']` sums the features of
the visits of step h that led to s', so that the ridge estimate of E[f(s')] is `weights[h]` times f,
with weights = inverse @ cross, whatever f. A new visit changes the inverse by a term of rank one
(Sherman and Morrison) and the weights of each next state by a multiple of one vector, O(d) each;
every `REFRESH` visits both are worked out again from a Cholesky factor, so that roundings do not
pile up.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

REFRESH = 256
"""Visits of a step after which its inverse and weights are worked out again."""


class Memory(NamedTuple):
    """What is kept of the visits; arrays that are written in place.

    gram, inverse (H, d, d): of the features, ridge included. cross, weights (H, S, d): by next
    state. rewards (H, d): sums of features times reward. seen (H, S): the next states met, in
    order; met (H, S): whether; counts (H, 2): how many next states and visits. norms (H, S, A):
    x' inverse x for all pairs, kept where the bonus is elliptical, else empty.
    """

    gram: Any
    inverse: Any
    cross: Any
    weights: Any
    rewards: Any
    seen: Any
    met: Any
    counts: Any
    norms: Any


@njit(cache=True, nogil=True, error_model="numpy")
def record(memory, world, h, s, a, reward, following):  # type: ignore[no-untyped-def]
    """Add one visit of step h: state, action, reward, next state."""
    x = world.features[s, a]
    d = len(x)
    inverse, weights, cross = memory.inverse[h], memory.weights[h], memory.cross[h]
    # Zeros are passed over: with a feature for each pair, there is little else.
    u = np.zeros(d)
    for i in range(d):
        if x[i] != 0.0:
            for j in range(d):
                u[j] += x[i] * inverse[i, j]
    scale = 1.0
    for i in range(d):
        scale += x[i] * u[i]
    for i in range(d):
        if u[i] != 0.0:
            share = u[i] / scale
            for j in range(d):
                inverse[i, j] -= share * u[j]
        if x[i] != 0.0:
            for j in range(d):
                memory.gram[h, i, j] += x[i] * x[j]
            memory.rewards[h, i] += reward * x[i]
    if not memory.met[h, following]:
        memory.met[h, following] = True
        memory.seen[h, memory.counts[h, 0]] = following
        memory.counts[h, 0] += 1
    for k in range(memory.counts[h, 0]):
        j = memory.seen[h, k]
        inner = 0.0
        for i in range(d):
            inner += u[i] * cross[j, i]
        inner /= scale
        for i in range(d):
            weights[j, i] -= inner * u[i]
    for i in range(d):
        cross[following, i] += x[i]
        weights[following, i] += u[i] / scale
    memory.counts[h, 1] += 1
    if memory.counts[h, 1] % REFRESH == 0:
        refresh(memory, world.features, h)
    elif memory.norms.shape[1]:
        _shrink(memory.norms[h], world.columns, u, scale)


@njit(cache=True, nogil=True, error_model="numpy")
def _shrink(norms, columns, u, scale):  # type: ignore[no-untyped-def]
    """Take from the norms of all pairs what a term of rank one does: (x' u)^2 / scale."""
    states, d, actions = columns.shape
    inner = np.empty(actions)
    for s in range(states):
        for a in range(actions):
            inner[a] = 0.0
        for i in range(d):
            for a in range(actions):
                inner[a] += columns[s, i, a] * u[i]
        for a in range(actions):
            norms[s, a] -= inner[a] * inner[a] / scale


@njit(cache=True, nogil=True, error_model="numpy")
def refresh(memory, features, h):  # type: ignore[no-untyped-def]
    """Work out a step's inverse, weights and norms from its sums."""
    factor = np.linalg.inv(np.linalg.cholesky(memory.gram[h]))
    d = len(factor)
    inverse = memory.inverse[h]
    for i in range(d):
        for j in range(d):
            inverse[i, j] = 0.0
    for k in range(d):
        for i in range(k + 1):
            if factor[k, i] != 0.0:
                for j in range(i + 1):
                    inverse[i, j] += factor[k, i] * factor[k, j]
    for i in range(d):
        for j in range(i):
            inverse[j, i] = inverse[i, j]
    for k in range(memory.counts[h, 0]):
        j = memory.seen[h, k]
        for i in range(d):
            total = 0.0
            for m in range(d):
                total += inverse[i, m] * memory.cross[h, j, m]
            memory.weights[h, j, i] = total
    if memory.norms.shape[1]:
        for s in range(features.shape[0]):
            for a in range(features.shape[1]):
                memory.norms[h, s, a] = quadratic(inverse, features[s, a])


@njit(cache=True, nogil=True, error_model="numpy")
def quadratic(matrix, x):  # type: ignore[no-untyped-def]
    """Return x' M x of a symmetric matrix."""
    total = 0.0
    for i in range(len(x)):
        inner = 0.0
        for j in range(len(x)):
            inner += matrix[i, j] * x[j]
        total += inner * x[i]
    return total
