"""The sequential extrapolation coefficient of a finite class, and cumulative reachability.

The coefficient is the largest sum over t of e_t^2 / max(1, sum over i < t of the mean squares under
earlier policies of the same error), with errors in units of the scale: exact where all multisets of
policies can be listed, else between a greedy sequence and a potential bound. Sources: Xie, Foster,
Bai, Jiang and Kakade (2023), definitions of coverability and of the coefficient.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb, log, log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, check_positive_integer, check_range, read_only
from rltheory.linear_mdp.function_classes.completeness import residuals
from rltheory.linear_mdp.function_classes.finite import FiniteClass, check_class
from rltheory.tabular.agnostic.class_values import check_fit, occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP, check_episodic

MOST_MULTISETS = 200_000
"""Multisets of policies up to which the coefficient is computed exactly."""


@dataclass(frozen=True, eq=False)
class Extrapolation:
    """Bounds of a coefficient, equal if `exact` (up to rounding of the sums); step where it is.

    policies: the sequence (T,) of rows of the tests that attains `lower`.
    """

    lower: float
    upper: float
    exact: bool
    policies: tuple[int, ...]
    step: int = 0


def extrapolation(
    means: NDArray[Any],
    squares: NDArray[Any],
    rounds: int,
    *,
    scale: float = 1.0,
    most_multisets: int = MOST_MULTISETS,
) -> Extrapolation:
    """Return max over sequences of T tests and functions of the sum above.

    means, squares (tests, functions): expectations of errors and of their squares, with means^2 <=
    squares <= scale^2. The potential bound is the least of T, n (2 + log2 T) for n functions, and
    m (2 + log(T / m)) for m <= T tests: a function's terms add to at most 2 until its sum of
    squares reaches scale^2, and to log2 T after; a test's term is at most 1 over how often it has
    been played.
    Raises ValueError or TypeError naming what does not fit.
    """
    steps = check_positive_integer(rounds, "rounds")
    unit = check_range(scale, "scale", 0.0, np.inf, include_high=False)
    if unit == 0.0:
        raise ValueError("scale is 0; expected a positive number")
    first, second = (np.asarray(array, dtype=np.float64) for array in (means, squares))
    if first.ndim != 2 or first.shape != second.shape or not first.size:
        raise ValueError(
            f"means and squares have shapes {first.shape}, {second.shape}; expected the same, "
            "(tests, functions)"
        )
    gains, weights = np.square(first / unit), second / unit**2
    # What rounding may do to an expectation of a square at its ends.
    slack = 1e-12
    if not ((gains <= weights + slack).all() and (weights <= 1.0 + slack).all()):
        raise ValueError("squares must be at least means^2 and at most scale^2")
    tests, functions = gains.shape
    if comb(steps + tests - 1, tests) <= most_multisets:
        value, sequence = _by_multisets(gains, weights, steps)
        return Extrapolation(value, value, True, sequence)
    value, sequence = _greedily(gains, weights, steps)
    played = min(tests, steps)
    top = min(functions * (2.0 + log2(steps)), played * (2.0 + log(steps / played)), float(steps))
    return Extrapolation(value, max(value, top), False, sequence)


def sequential_extrapolation(
    mdp: EpisodicMDP,
    functions: FiniteClass,
    rounds: int,
    *,
    policies: PolicyClass | None = None,
    most_multisets: int = MOST_MULTISETS,
) -> Extrapolation:
    """Return the coefficient of a class with T rounds, the largest over the steps.

    policies: those that may be played, the members' greedy ones if not given. Errors are in units
    of the largest Bellman error of the step, or the horizon if that is larger: in [-1, 1].
    """
    check_class(mdp, functions)
    played = PolicyClass(functions.greedy(), mdp.actions) if policies is None else policies
    check_fit(mdp, played)
    visited = occupancies(mdp, played.distinct())
    found = []
    for h in range(mdp.horizon):
        errors = residuals(mdp, functions, h).reshape(len(functions), -1)
        errors = np.unique(errors, axis=0)
        tests = np.unique(visited[:, h].reshape(len(visited), -1), axis=0)
        unit = max(float(np.abs(errors).max()), float(mdp.horizon))
        part = extrapolation(
            tests @ errors.T, tests @ np.square(errors).T, rounds, scale=unit,
            most_multisets=most_multisets,
        )  # fmt: skip
        found.append((part, h))
    best, h = max(found, key=lambda pair: pair[0].lower)
    top = max(part.upper for part, _ in found)
    exact = all(part.exact for part, _ in found)
    return Extrapolation(best.lower, top, exact, best.policies, h)


def cumulative_reachability(mdp: EpisodicMDP, policies: PolicyClass | None = None) -> float:
    """Return max over h of the sum over (s, a) of the largest probability to be there at step h.

    Over all policies, or those of a class; equal to coverability, the least c for which some
    distribution mu_h has d_h <= c mu_h for all policies. Source: Xie, Foster, Bai, Jiang and
    Kakade (2023), the lemma on cumulative reachability.
    """
    check_episodic(mdp)
    if policies is not None:
        return float(occupancies(mdp, policies).max(axis=0).sum(axis=(1, 2)).max())
    return float(mdp.actions * reachability(mdp).sum(axis=1).max())


def reachability(mdp: EpisodicMDP) -> FloatArray:
    """Return the largest probability (H, S) with which any policy is in a state at a step."""
    check_episodic(mdp)
    found = np.empty((mdp.horizon, mdp.states))
    for aim in range(mdp.horizon):
        chance = np.eye(mdp.states)
        for h in reversed(range(aim)):
            after = mdp.transitions[h] @ chance
            chance = np.where(mdp.available[h][..., None], after, 0.0).max(axis=1)
        found[aim] = mdp.initial @ chance
    return read_only(found)


def _by_multisets(
    gains: FloatArray, weights: FloatArray, steps: int
) -> tuple[float, tuple[int, ...]]:
    """Return the best sum and a sequence; what comes next depends on how often each was played."""
    tests = len(gains)
    start = (0,) * tests
    best: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {start: (0.0, ())}
    for _ in range(steps):
        following: dict[tuple[int, ...], tuple[float, tuple[int, ...]]] = {}
        for counts, (total, sequence) in best.items():
            below = np.maximum(1.0, np.array(counts) @ weights)
            terms = (gains / below).max(axis=1)
            for i in range(tests):
                after = (*counts[:i], counts[i] + 1, *counts[i + 1 :])
                value = total + float(terms[i])
                if after not in following or value > following[after][0]:
                    following[after] = value, (*sequence, i)
        best = following
    return max(best.values())


def _greedily(gains: FloatArray, weights: FloatArray, steps: int) -> tuple[float, tuple[int, ...]]:
    sums, total, sequence = np.zeros(gains.shape[1]), 0.0, []
    for _ in range(steps):
        terms = (gains / np.maximum(1.0, sums)).max(axis=1)
        i = int(terms.argmax())
        total += float(terms[i])
        sums += weights[i]
        sequence.append(i)
    return total, tuple(sequence)
