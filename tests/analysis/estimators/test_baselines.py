"""Optimal baselines are the minimisers of exact variances, which are parabolas."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from strategies_estimators import fractions, rational_outcomes

from rltheory.analysis import optimal_baseline
from rltheory.analysis.estimators.baselines import (
    baseline_excess,
    coordinate_baselines,
    global_baseline,
    optimal_baselines,
)
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import REINFORCE, reinforce


def constant(outcomes, baselines):
    """The variance of one sample with a baseline for each prompt."""
    shifted = replace(outcomes, rewards=outcomes.rewards - baselines[outcomes.prompt_of])
    return estimator_moments(shifted, REINFORCE).variance


@given(outcomes=rational_outcomes())
@settings(max_examples=20)
def test_optimal_baselines_are_vertices_of_the_parabolas(outcomes):
    """On and off policy: a parabola through three exact variances has its least there."""
    base = np.array([Fraction(0)] * len(outcomes.weights))
    best = optimal_baselines(outcomes)
    for x in range(len(base)):
        one = np.array([Fraction(int(y == x)) for y in range(len(base))])
        at = [constant(outcomes, base + c * one) for c in (-1, 0, 1)]
        curvature = (at[0] + at[2] - 2 * at[1]) / 2
        slope = (at[2] - at[0]) / 2
        if curvature == 0:
            assert slope == 0
            assert best[x] == outcomes.values[x]
        else:
            assert best[x] == -slope / (2 * curvature)
    least = constant(outcomes, best)
    assert estimator_moments(outcomes, "optimal").variance == least
    for baselines in (base, outcomes.values):
        excess = baseline_excess(outcomes, baselines)
        assert excess == constant(outcomes, baselines) - least


@given(outcomes=rational_outcomes())
@settings(max_examples=15)
def test_the_global_baseline_is_the_best_shared_one(outcomes):
    at = [estimator_moments(outcomes, reinforce(c)).variance for c in (-1, 0, 1)]
    curvature = (at[0] + at[2] - 2 * at[1]) / 2
    best = global_baseline(outcomes)
    if curvature:
        assert best == -(at[2] - at[0]) / (4 * curvature)
    else:
        assert best == outcomes.value
    assert (
        estimator_moments(outcomes, "optimal").variance
        <= estimator_moments(outcomes, reinforce(best)).variance
    )


@given(outcomes=rational_outcomes())
@settings(max_examples=15)
def test_each_coordinate_has_its_own_optimum(outcomes):
    found = coordinate_baselines(outcomes)
    for j in range(outcomes.scores.shape[1]):
        column = replace(outcomes, scores=outcomes.scores[:, j : j + 1])
        assert found[:, j].tolist() == optimal_baselines(column).tolist()
    variances = estimator_moments(outcomes, "coordinate").variances
    assert np.all(variances <= estimator_moments(outcomes, "optimal").variances)


def test_the_scalar_against_a_numerical_minimiser():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5))
    g = rng.normal(size=(5, 3))
    g -= p @ g
    r = rng.normal(size=5)

    def variance(b):
        samples = g * (r - b)[:, None]
        return p @ (samples**2).sum(axis=1) - ((p @ samples) ** 2).sum()

    found = optimal_baseline(probabilities=p, scores=g, rewards=r)
    assert np.ndim(found) == 0
    assert found == pytest.approx(minimize_scalar(variance).x, abs=1e-7)
    assert optimal_baseline(probabilities=list(p), scores=g.tolist(), rewards=list(r)) == found


def test_fractions_and_scores_of_zero():
    exact = optimal_baseline(
        probabilities=fractions([0.25, 0.75]), scores=fractions([[1], [3]]), rewards=[2, 1]
    )
    assert isinstance(exact, Fraction)
    assert exact == (Fraction(2, 4) + Fraction(27, 4)) / (Fraction(1, 4) + Fraction(27, 4))
    mean = optimal_baseline(probabilities=[0.25, 0.75], scores=np.zeros((2, 1)), rewards=[2.0, 1.0])
    assert mean == 1.25


@given(weights=st.lists(st.integers(1, 9), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_a_softmax_bandit_in_closed_form(weights, seed):
    """b* = E[(1 - 2 pi_y + |pi|^2) r] / (1 - |pi|^2)."""
    pi = np.array(weights) / sum(weights)
    r = np.random.default_rng(seed).normal(size=len(pi))
    square = pi @ pi
    expected = pi @ ((1 - 2 * pi + square) * r) / (1 - square)
    found = optimal_baseline(probabilities=pi, scores=np.eye(len(pi)) - pi, rewards=r)
    assert found == pytest.approx(expected, abs=1e-12)


def test_baselines_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match=r"scores has shape \(2,\); expected \(2, any\)"):
        optimal_baseline(probabilities=[0.5, 0.5], scores=[1.0, 2.0], rewards=[0.0, 1.0])
    with pytest.raises(ValueError, match=r"rewards has shape \(1,\); expected \(2\)"):
        optimal_baseline(probabilities=[0.5, 0.5], scores=[[1.0], [2.0]], rewards=[0.0])
    with pytest.raises(ValueError, match=r"probabilities sum to 0\.9; expected 1"):
        optimal_baseline(probabilities=[0.5, 0.4], scores=[[1.0], [2.0]], rewards=[0.0, 1.0])
    outcomes = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[1.0])
    with pytest.raises(ValueError, match=r"baselines has shape \(2,\); expected \(1\)"):
        baseline_excess(outcomes, [0.0, 1.0])
