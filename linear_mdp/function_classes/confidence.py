"""Confidence sets of a finite class from visits: members whose regressions explain the data.

The loss of g in F_h against a target f is the sum over visits of (g(s, a) - r - max_a' f(s', a'))^2
and a member stays while, at every step, its loss exceeds the layer's least by no more than a
radius. In excess of the best of all functions a loss is sum N(s, a) (g - mean target)^2, so that
counts are all that is needed. Source: Jin, Liu and Miryoosefi (2021), Algorithm 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.linear_mdp.function_classes.finite import FiniteClass
from rltheory.tabular.policies import as_policy


class Layers(NamedTuple):
    """A class as compiled code reads it, with the function 0 after the last step.

    functions (H + 1, n_max, S, A): of each layer, padded; sizes (H + 1,); index (n, H + 1).
    """

    functions: Any
    sizes: Any
    index: Any


def as_layers(functions: FiniteClass) -> Layers:
    """Return the compiled form of a class."""
    horizon, sizes = functions.horizon, functions.sizes
    shape = functions.table.shape[2:]
    padded = np.zeros((horizon + 1, sizes.max(), *shape))
    for h, layer in enumerate(functions.layers):
        padded[h, : len(layer)] = layer
    index = np.zeros((len(functions), horizon + 1), dtype=np.int64)
    index[:, :horizon] = functions.index
    return Layers(padded, np.append(sizes, 1).astype(np.int64), index)


def theory_radii(functions: FiniteClass, delta: float, *, reward_span: float = 1.0) -> FloatArray:
    """Return radii (H,) with which Q*, if in the class, never leaves with probability 1 - delta.

    They are B_h^2 / 2 log(sum_h n_h / delta), where B_h is `reward_span`, the length of an interval
    of rewards, and the largest span over states of the best values of a function of layer h + 1.
    Our derivation, in place of a constant times H^2 log(T H n / delta): for any g, exp of 2 / B^2
    times the loss of g less that of Q*, both negated, is a supermartingale, as noise in an interval
    of length B is sub-Gaussian with variance B^2 / 4; Ville's inequality and a union over the
    functions of all layers do the rest, at all times at once.
    Raises ValueError naming what does not fit.
    """
    level = check_range(delta, "delta", 0.0, 1.0)
    if level == 0.0:
        raise ValueError("delta is 0; expected a positive probability")
    span = check_range(reward_span, "reward_span", 0.0, np.inf, include_high=False)
    return np.asarray(_square_spans(functions, span) / 2.0 * np.log(functions.sizes.sum() / level))


def in_sample_bound(
    functions: FiniteClass, radii: ArrayLike, delta: float, *, reward_span: float = 1.0
) -> FloatArray:
    """Return bounds (H,) of what members of a set with these radii are wrong by on the data.

    With probability 1 - delta, at all times and for every member in the set, the sum over visits
    of (f_h - T_h f_{h+1})^2 is at most 2 radius + 2 B_h^2 log(sum_h n_h n_{h+1} / delta), if the
    class is complete; B_h as in `theory_radii`. Derived here by the same supermartingale at half
    its exponent, with a union over pairs of functions. Raises ValueError naming what does not fit.
    """
    level = check_range(delta, "delta", 0.0, 1.0)
    if level == 0.0:
        raise ValueError("delta is 0; expected a positive probability")
    span = check_range(reward_span, "reward_span", 0.0, np.inf, include_high=False)
    sizes = as_float_array(radii, "radii", (functions.horizon,))
    check_finite(sizes, "radii")
    pairs = (functions.sizes * np.append(functions.sizes[1:], 1)).sum()
    return np.asarray(2.0 * sizes + 2.0 * _square_spans(functions, span) * np.log(pairs / level))


def _square_spans(functions: FiniteClass, reward_span: float) -> FloatArray:
    """Return the squares (H,) of B_h: reward_span and the largest span of next best values."""
    after = [np.ptp(layer.max(axis=-1), axis=-1).max() for layer in functions.layers[1:]]
    return np.asarray(np.square(reward_span + np.array([*after, 0.0])))


def excess_losses(
    functions: FiniteClass, visits: ArrayLike, paid: ArrayLike, *, policy: Any = None
) -> FloatArray:
    """Return how much the members' losses (n, H) exceed the least of their layers.

    visits (H, S, A, S): numbers of visits by next state, those of the last step any; paid
    (H, S, A): sums of rewards. policy: (H, S) or (H, S, A), whose mean is the target instead of
    the maximum. Raises ValueError or TypeError naming what does not fit.
    """
    shape = functions.table.shape[1:]
    counts = as_float_array(visits, "visits", (*shape, shape[1]))
    sums = as_float_array(paid, "paid", shape)
    for array, name in ((counts, "visits"), (sums, "paid")):
        check_finite(array, name)
    if counts.min() < 0:
        raise ValueError(f"visits holds {counts.min()}; expected numbers of at least 0")
    rows = np.empty((0, *shape[1:]))
    if policy is not None:
        rows = as_policy(policy, np.ones(shape, dtype=bool))
    layers = as_layers(functions)
    found = np.empty((len(functions), shape[0]))
    for h in range(shape[0]):
        table = losses(layers, counts, sums, rows, h)
        table -= table.min(axis=0)
        found[:, h] = table[layers.index[:, h], layers.index[:, h + 1]]
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def worth(function, weights):  # type: ignore[no-untyped-def]
    """Return the values (S,) of a function (S, A): the largest, or the mean by weights (S, A)."""
    states, actions = function.shape
    values = np.empty(states)
    for s in range(states):
        if len(weights):
            values[s] = 0.0
            for a in range(actions):
                values[s] += weights[s, a] * function[s, a]
        else:
            values[s] = function[s, 0]
            for a in range(1, actions):
                values[s] = max(values[s], function[s, a])
    return values


@njit(cache=True, nogil=True, error_model="numpy")
def column(layers, visits, paid, policy, h, after, out):  # type: ignore[no-untyped-def]
    """Write the losses (n_h,) of layer h against one function of layer h + 1.

    Losses are in excess of the best of all functions of (s, a). policy: (H, S, A) or empty.
    """
    last = h + 1 == len(visits)
    states, actions = paid.shape[1:]
    values = np.zeros(states)
    if not last:
        values = worth(
            layers.functions[h + 1, after], policy[h + 1] if len(policy) else policy[:0, 0]
        )
    out[:] = 0.0
    for s in range(states):
        for a in range(actions):
            number = 0.0
            total = paid[h, s, a]
            for t in range(states):
                number += visits[h, s, a, t]
                total += visits[h, s, a, t] * values[t]
            if number > 0.0:
                mean = total / number
                for g in range(layers.sizes[h]):
                    gap = layers.functions[h, g, s, a] - mean
                    out[g] += number * gap * gap


@njit(cache=True, nogil=True, error_model="numpy")
def losses(layers, visits, paid, policy, h):  # type: ignore[no-untyped-def]
    """Return the losses (n_h, n_{h+1}) of layer h against all functions of layer h + 1."""
    found = np.empty((layers.sizes[h + 1], layers.sizes[h]))
    for after in range(layers.sizes[h + 1]):
        column(layers, visits, paid, policy, h, after, found[after])
    return found.T.copy()
