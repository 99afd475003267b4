"""Duals of estimated factors: exact on distributions, and the largest of all on any weights.

References: the certified inner problems of `rltheory.tabular.uncertainty` on distributions; on
weights of either sign the duals as their sources have them, in fractions, over all values, a grid
and bounded searches on every piece.
"""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from rltheory.analysis.bounds import rounding_error
from rltheory.linear_mdp import duals
from rltheory.linear_mdp.rules import DUALS
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)

CEILING = 12.0
BUDGETS = [0.0, 1e-30, 1e-12, 1e-5, 0.01, 0.1, 0.3, 1.0, 3.0, 1e3, 1e9]
CONSTRAINED = [TotalVariation, KullbackLeibler, ChiSquare]
PENALISED = [PenalisedTotalVariation, PenalisedKullbackLeibler, PenalisedChiSquare]


def _solve(code, values, weights, budgets, floor, seen=None):
    out = np.full(weights.shape[1], np.nan)
    seen = np.arange(len(values)) if seen is None else seen
    duals.solve(code, seen, values, np.ascontiguousarray(weights), floor, CEILING, budgets, out)
    return out


@st.composite
def _values(draw, rng, states):
    """Nonnegative values of at most 10, with ties, all equal, or close together."""
    values = 10.0 * rng.random(states)
    kind = draw(st.sampled_from(["plain", "ties", "equal", "close"]))
    if kind == "ties":
        values = np.round(values / 3.0)
    elif kind == "equal":
        values[:] = values[0]
    elif kind == "close":
        values = np.round(values / 5.0) + 1e-7 * values
    return values


@st.composite
def distributions(draw):
    """Values (n,), distributions as columns (n, d), some sparse or with tiny probabilities."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, factors = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    rows = rng.random((factors, states)) ** rng.choice([0.5, 1.0, 8.0, 40.0])
    rows[rng.random(rows.shape) < rng.choice([0.0, 0.6])] = 0.0
    rows[rows.sum(axis=1) == 0.0, -1] = 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    return draw(_values(rng, states)), rows


@st.composite
def estimates(draw):
    """Values (n,) and weights (n, d) of either sign, sums away from 1, zeros, cancelling tenths."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, factors = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    weights = rng.dirichlet(np.ones(states), size=factors).T
    kind = draw(st.sampled_from(["noise", "shrunk", "tenths", "wild", "negative"]))
    if kind == "noise":
        weights = weights + 0.1 * rng.normal(size=weights.shape)
    elif kind == "shrunk":
        weights = weights * rng.uniform(0.3, 1.2)
    elif kind == "tenths":
        weights = rng.integers(-4, 7, size=weights.shape) / 10.0
    elif kind == "wild":
        weights = rng.normal(size=weights.shape)
    else:
        weights = -weights
    if draw(st.booleans()):
        weights[rng.random(weights.shape) < 0.3] = 0.0
    values = draw(_values(rng, states))
    floor = draw(st.sampled_from([0.0, float(values.min())]))
    return values, weights, floor


def _rounding(values, weights, budget=0.0):
    """Of sums over the entries, twice nested, of terms as large as all weights give."""
    size = (1.0 + np.abs(weights).sum()) * (1.0 + np.abs(values).max())
    return rounding_error(8 * len(values) + 64, (1.0 + budget) * size)


# On distributions.


@pytest.mark.parametrize("kind", CONSTRAINED + PENALISED)
@settings(max_examples=20)
@given(data=st.data())
def test_on_distributions_duals_are_the_worst_cases(kind, data):
    values, rows = data.draw(distributions())
    budgets = np.array([data.draw(st.sampled_from(BUDGETS)) for _ in rows])
    if kind is TotalVariation:
        budgets = np.minimum(budgets, 1.0)
    if kind is PenalisedChiSquare:
        budgets = np.where(budgets < 1e-12, 0.0, budgets)
    found = _solve(DUALS[kind], values, rows.T, budgets, values.min())
    truth = kind(budgets).expectation_bounds(values, rows)
    # The bounds have their own rounding; ours is that of sums of n terms of at most 10, with the
    # exponentials and roots among them.
    slack = _rounding(values, np.ones(1))
    assert np.all(truth.lower - slack <= found)
    assert np.all(found <= truth.upper + slack)


@settings(max_examples=25)
@given(problem=distributions())
def test_without_adversary_the_dual_is_the_expectation(problem):
    values, rows = problem
    found = _solve(duals.NOMINAL, values, rows.T, np.zeros(len(rows)), 0.0)
    assert found == pytest.approx(rows @ values, abs=_rounding(values, np.ones(1)), rel=0)


@pytest.mark.parametrize("kind", CONSTRAINED)
@given(problem=estimates())
def test_a_radius_of_zero_leaves_the_expectation(kind, problem):
    values, weights, floor = problem
    weights = np.abs(weights)  # of weights below 0 the cap at a value may be worth more than none
    found = _solve(DUALS[kind], values, weights, np.zeros(weights.shape[1]), floor)
    assert found == pytest.approx(values @ weights, abs=_rounding(values, weights), rel=0)


# On weights of either sign.


def _pieces(values, floor):
    return sorted({floor, *values[values >= floor]})


def _capped(values, weights, alpha):
    """z and z2 at alpha, in fractions."""
    capped = [min(Fraction(float(v)), alpha) for v in values]
    pairs = [(Fraction(float(g)), c) for g, c in zip(weights, capped, strict=True)]
    return sum(g * c for g, c in pairs), sum(g * c * c for g, c in pairs)


@settings(max_examples=20)
@given(problem=estimates(), radius=st.sampled_from([0.0, 0.1, 0.3, 1.0]))
def test_total_variation_is_the_best_cap(problem, radius):
    values, weights, floor = problem
    found = _solve(duals.TOTAL_VARIATION, values, weights, np.full(weights.shape[1], radius), floor)
    # Linear between two values, and falling beyond the last.
    for i, g in enumerate(weights.T):
        truth = max(
            _capped(values, g, Fraction(float(alpha)))[0]
            - Fraction(radius) * (Fraction(float(alpha)) - Fraction(floor))
            for alpha in _pieces(values, floor)
        )
        assert found[i] == pytest.approx(float(truth), abs=_rounding(values, g, radius), rel=0)


@settings(max_examples=20)
@given(problem=estimates(), penalty=st.sampled_from([0.0, 0.1, 2.0, 1e9]))
def test_penalised_total_variation_caps_above_the_floor(problem, penalty):
    values, weights, floor = problem
    code = duals.PENALISED_TOTAL_VARIATION
    found = _solve(code, values, weights, np.full(weights.shape[1], penalty), floor)
    for i, g in enumerate(weights.T):
        truth, _ = _capped(values, g, Fraction(floor) + Fraction(penalty))
        assert found[i] == pytest.approx(float(truth), abs=_rounding(values, g), rel=0)


@settings(max_examples=20)
@given(problem=estimates(), penalty=st.sampled_from([0.1, 2.0, 1e3]))
def test_penalised_kullback_leibler_is_minus_a_logarithm_up_to_the_ceiling(problem, penalty):
    values, weights, floor = problem
    code = duals.PENALISED_KULLBACK_LEIBLER
    found = _solve(code, values, weights, np.full(weights.shape[1], penalty), floor)
    least = np.exp(-CEILING / penalty)
    for i, g in enumerate(weights.T):
        moments = g * np.exp(-values / penalty)
        truth = -penalty * np.log(max(moments.sum(), least))
        # The logarithm divides the rounding of the sum by it.
        off = rounding_error(4 * len(values) + 64, float(np.abs(moments).sum()))
        low, high = max(moments.sum() - off, least), max(moments.sum() + off, least)
        slack = penalty * np.log(high / low) + rounding_error(64, CEILING + abs(truth))
        assert found[i] == pytest.approx(truth, abs=slack, rel=0)


@pytest.mark.parametrize("penalised", [False, True])
@settings(max_examples=12)
@given(problem=estimates(), budget=st.sampled_from([0.0, 1e-3, 0.1, 0.5, 2.0, 10.0]))
def test_chi_square_is_the_best_cap_between_values_too(penalised, problem, budget):
    values, weights, floor = problem
    code = duals.PENALISED_CHI_SQUARE if penalised else duals.CHI_SQUARE
    budget = max(budget, 0.05) if penalised else budget
    found = _solve(code, values, weights, np.full(weights.shape[1], budget), floor)
    for i, g in enumerate(weights.T):
        truth = _best_cap(values, g, floor, budget, penalised)
        # The variance is off by a rounding of its terms, and at worst it is that small itself.
        size = (1.0 + np.abs(g).sum()) ** 2 * (1.0 + np.abs(values).max()) ** 2
        off = rounding_error(8 * len(values) + 64, size)
        missing = off / (4.0 * budget) if penalised else np.sqrt(budget * off)
        slack = missing + _rounding(values, g)
        assert found[i] >= truth - slack
        # The reference is attained, but searched for: to the accuracy of the search.
        assert found[i] <= truth + slack + 1e-7


def _best_cap(values, weights, floor, budget, penalised):
    """Maximise the dual over a grid, by bounded searches, and where the variance changes sign."""

    def variance(alpha):
        z, z2 = _capped(values, weights, alpha)
        return z2 - z * z

    def dual(alpha):
        alpha = Fraction(alpha)
        z, z2 = _capped(values, weights, alpha)
        left = float(max(z2 - z * z, Fraction(0)))
        return float(z) - (left / (4.0 * budget) if penalised else np.sqrt(budget * left))

    pieces = _pieces(values, floor)
    best = max(dual(alpha) for alpha in pieces)
    for low, high in pairwise(pieces):
        if np.nextafter(low, high) >= high:
            continue
        a, b = Fraction(low), Fraction(high)
        grid = [a + (b - a) * Fraction(k, 8) for k in range(9)]
        # The variance is a quadratic between two values; its vertex separates its zeros.
        ends, middle = (variance(a), variance(b)), variance((a + b) / 2)
        bend = 2 * (ends[0] + ends[1] - 2 * middle)
        if bend:
            vertex = a + (b - a) * (3 * ends[0] + ends[1] - 4 * middle) / (2 * bend)
            grid = sorted({*grid, min(max(vertex, a), b)})
        best = max(best, *(dual(alpha) for alpha in grid))
        for x, y in pairwise(grid):
            best = max(best, _at_zero(values, weights, variance, x, y))
            if float(y) > float(x):
                search = minimize_scalar(
                    lambda t: -dual(t), bounds=(float(x), float(y)), options={"xatol": 1e-9}
                )
                best = max(best, -search.fun)
    return best


def _at_zero(values, weights, variance, x, y):
    """The value where the variance changes sign between x and y, if it does."""
    positive = variance(x) > 0
    if positive == (variance(y) > 0):
        return -np.inf
    for _ in range(60):
        middle = Fraction(round((x + y) / 2 * 2**90), 2**90)
        if (variance(middle) > 0) == positive:
            x = middle
        else:
            y = middle
    return float(_capped(values, weights, x)[0])


@settings(max_examples=20)
@given(problem=estimates(), radius=st.sampled_from([1e-12, 1e-3, 0.1, 0.5, 2.0, 10.0]))
def test_kullback_leibler_is_that_of_the_monotone_distribution_function(problem, radius):
    values, weights, _ = problem
    points, which = np.unique(values, return_inverse=True)
    found = _solve(duals.KULLBACK_LEIBLER, values, weights, np.full(weights.shape[1], radius), 0.0)
    for i, g in enumerate(weights.T):
        lacking = 1.0 - g.sum() if abs(1.0 - g.sum()) > 1e-9 else 0.0
        steps = np.bincount(which, weights=g)
        below = np.clip(np.maximum.accumulate(lacking + np.cumsum(steps)), 0.0, 1.0)
        masses = np.diff(below, prepend=0.0)
        # Differences of sums leave dust where there is no weight; the worst case feels dust.
        masses[masses < 1e-14] = 0.0
        masses /= masses.sum()
        truth = KullbackLeibler(radius).expectation_bounds(points, masses)
        # Masses are off by a rounding, 1e-15; the worst case moves by that times a multiplier, at
        # most range / radius, times the ratio of the worst probability to the mass: allowed 1000.
        slack = _rounding(values, g) + 1e-12 * np.ptp(values) / max(radius, 1e-3)
        assert truth.lower - slack <= found[i] <= truth.upper + slack


def test_a_debt_that_is_just_paid_leaves_no_mass():
    """Tenths whose sums cancel left 5e-17 at the third value, which a worst case at 2 sought."""
    values = np.array([1.5, 2.75, 4.25, 5.5, 6.5])
    weights = np.array([[-0.2], [0.4], [0.5], [0.6], [0.4]])
    found = _solve(duals.KULLBACK_LEIBLER, values, weights, np.array([2.0]), 0.0)
    assert found[0] == pytest.approx(5.5, abs=1e-12)


@settings(max_examples=25)
@given(problem=distributions(), seed=st.integers(0, 2**32 - 1))
def test_a_monotone_estimate_is_no_further_from_the_truth(problem, seed):
    values, rows = problem
    noise = 0.2 * np.random.default_rng(seed).normal(size=(len(values), len(rows)))
    order = np.argsort(values)
    for p, g in zip(rows, (rows.T + noise).T, strict=True):
        g = np.ascontiguousarray(g)
        masses, gaps = np.empty(len(g)), np.empty(len(g))
        n, lowest, mass = duals._distribution(order, values, g, masses, gaps)
        assert masses[:n].min() > 0
        assert masses[:n].sum() == pytest.approx(1.0, abs=rounding_error(4 * n + 8, 4.0))
        assert mass == pytest.approx(1.0, abs=1e-9)
        points = np.unique(values)
        made = [masses[:n][lowest + gaps[:n] <= x + 1e-12].sum() for x in points]
        truth = [p[values <= x].sum() for x in points]
        steps = [1.0 - g.sum() + g[values <= x].sum() for x in points]
        furthest = np.abs(np.subtract(steps, truth)).max()
        assert np.abs(np.subtract(made, truth)).max() <= furthest + 1e-9


def test_kullback_leibler_estimates_approach_the_truth_whatever_the_signs_of_the_weights():
    # With the dual of the raw weights one factor in six stayed at the ceiling.
    rng = np.random.default_rng(0)
    states, d, visits = 200, 4, 10_000
    features = rng.dirichlet(np.ones(d), size=50)
    measures = rng.dirichlet(np.ones(states), size=d)
    x = features[rng.integers(50, size=visits)]
    weights = np.zeros((states, d))
    for row in x:
        weights[rng.choice(states, p=measures[rng.choice(d, p=row)])] += row
    weights = weights @ np.linalg.inv(x.T @ x + np.eye(d))
    assert (weights < 0).any()
    values = 3.0 * rng.random(states)
    found = _solve(duals.KULLBACK_LEIBLER, values, weights, np.full(d, 0.1), 0.0)
    truth, _ = KullbackLeibler(0.1).worst_case(values, measures)
    # Distribution functions are within about 4 / sqrt(visits * share of a factor) of the truth.
    assert np.abs(found - truth).max() <= 3.0 * 4.0 / np.sqrt(visits / d**2)


# What must not matter.


@pytest.mark.parametrize("code", range(7))
@given(problem=estimates(), seed=st.integers(0, 2**32 - 1))
def test_unseen_states_and_the_order_of_seen_ones_do_not_matter(code, problem, seed):
    values, weights, floor = problem
    rng = np.random.default_rng(seed)
    budgets = rng.uniform(0.1, 1.0, size=weights.shape[1])
    plain = _solve(code, values, weights, budgets, floor)
    unseen = 3
    where = rng.permutation(len(values) + unseen)[: len(values)]
    spread_values = rng.normal(size=len(values) + unseen) * 100.0
    spread_weights = rng.normal(size=(len(values) + unseen, weights.shape[1]))
    spread_values[where], spread_weights[where] = values, weights
    again = _solve(code, spread_values, spread_weights, budgets, floor, where)
    # Ties may be added in another order; chi-square takes the root of what that leaves.
    off = _rounding(values, weights)
    root = np.sqrt(off * (1.0 + np.abs(weights).sum()) * 11.0)
    slack = {duals.CHI_SQUARE: root, duals.PENALISED_KULLBACK_LEIBLER: 1e-6}.get(code, 100 * off)
    assert again == pytest.approx(plain, abs=slack, rel=0)


@pytest.mark.parametrize("code", range(7))
def test_without_data_every_dual_has_its_word(code):
    found = _solve(code, np.ones(3), np.zeros((3, 2)), np.full(2, 0.5), 0.25, np.arange(0))
    expected = {duals.KULLBACK_LEIBLER: 0.25, duals.PENALISED_KULLBACK_LEIBLER: CEILING}
    assert np.all(found == expected.get(code, 0.0))


def test_values_below_the_floor_lower_it():
    values, weights = np.array([-1.0, 2.0]), np.array([[0.5], [0.5]])
    found = _solve(duals.TOTAL_VARIATION, values, weights, np.array([0.25]), 0.0)
    assert found[0] == pytest.approx(0.5 - 0.25 * 3.0, abs=1e-15)
