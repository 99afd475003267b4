"""Newsvendors and gradient estimators against quadrature, enumeration and Monte Carlo."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from rltheory.analysis.zoo.hdpo import Newsvendor, gradient_moments, hindsight_gradient


@st.composite
def newsvendors(draw, points=4):
    count = draw(st.integers(1, points))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    demand = np.cumsum(rng.integers(1, 8, count)) / 4
    chances = rng.integers(1, 9, count)
    chances = np.floor(chances / chances.sum() * 64) / 64
    chances[0] += 1 - chances.sum()
    return Newsvendor(demand, chances, *(float(x) for x in rng.integers(1, 12, 2) / 4))


def normal(u):
    return np.exp(-u * u / 2) / np.sqrt(2 * np.pi), u


def biweight(u):
    return 15 / 16 * (1 - u * u) ** 2, 4 * u / (1 - u * u)


def by_quadrature(problem, mean, spread, noise, baseline):
    """Means and second moments of both gradients, integrated between the kinks."""
    density, ends = (normal, (-12, 12)) if noise == "normal" else (biweight, (-1, 1))
    h, p = problem.holding, problem.shortage
    totals = np.zeros(5)
    for point, chance in zip(problem.demand, problem.probabilities, strict=True):
        kink = min(max((point - mean) / spread, ends[0]), ends[1])

        def pieces(u, point=point):
            f, score = density(u)
            q = mean + spread * u
            cost = h * max(q - point, 0) + p * max(point - q, 0)
            slope = h if q > point else -p
            g = (cost - baseline) * score / spread
            return f * np.array([cost, slope, slope**2, g, g**2])

        for low, high in ((ends[0], kink), (kink, ends[1])):
            if low < high:
                totals += chance * np.array(
                    [
                        quad(lambda u, k=k: pieces(u)[k], low, high, epsabs=1e-11, limit=200)[0]
                        for k in range(5)
                    ]
                )
    cost, slope, square, score, second = totals
    return cost, slope, square - slope**2, score, second - score**2


def unpack(found):
    return (
        found.cost,
        found.pathwise_mean,
        found.pathwise_variance,
        found.score_mean,
        found.score_variance,
    )


@settings(max_examples=10, deadline=None)
@given(
    newsvendors(2),
    st.floats(0.0, 5.0),
    st.floats(0.2, 4.0),
    st.sampled_from(["normal", "biweight"]),
    st.floats(-2.0, 2.0),
)
def test_moments_are_those_of_quadrature(problem, mean, spread, noise, baseline):
    found = gradient_moments(problem, mean, spread, noise=noise, baseline=baseline)
    expected = by_quadrature(problem, mean, spread, noise, baseline)
    np.testing.assert_allclose(unpack(found), expected, rtol=1e-6, atol=1e-6)


@given(
    newsvendors(), st.integers(-8, 40), st.integers(1, 16), st.sampled_from([0, "mean", "optimal"])
)
def test_floats_agree_with_fractions(problem, mean, spread, baseline):
    place = {"mean": Fraction(mean, 8), "spread": Fraction(spread, 4), "noise": "biweight"}
    exact = gradient_moments(problem, **place, baseline=baseline, arithmetic="rational")
    found = gradient_moments(problem, **place, baseline=baseline)
    assert all(isinstance(x, Fraction) for x in unpack(exact))
    np.testing.assert_allclose(unpack(found), np.array(unpack(exact), float), rtol=1e-8, atol=1e-8)
    assert exact.pathwise_mean == exact.score_mean


@given(newsvendors(), st.floats(0, 6), st.floats(0.1, 3), st.sampled_from(["normal", "biweight"]))
def test_the_best_baseline_is_best(problem, mean, spread, noise):
    place = {"mean": mean, "spread": spread, "noise": noise}
    best = gradient_moments(problem, **place, baseline="optimal")
    for other in (0.0, "mean", best.baseline + 0.5, best.baseline - 0.5):
        rival = gradient_moments(problem, **place, baseline=other).score_variance
        assert best.score_variance <= rival + 1e-9 * (1 + rival)
    assert gradient_moments(problem, **place, baseline="mean").baseline == best.cost


@given(newsvendors())
def test_the_optimal_order_is_the_best_of_the_demand_points(problem):
    best = Fraction(problem.optimal_order())
    costs = {float(q): problem.expected_cost(Fraction(float(q))) for q in problem.demand}
    assert problem.expected_cost(best) == min(costs.values())
    assert float(best) == min(q for q, c in costs.items() if c == min(costs.values()))
    left, right = problem.one_sided_derivatives(best)
    assert left <= 0 <= right
    assert left <= problem.pathwise_derivative(best) <= right
    assert problem.expected_cost(float(best)) == pytest.approx(float(min(costs.values())))


def test_wide_noise_and_certain_demand_favour_the_score_function():
    problem = Newsvendor([0.0], [1.0], 1.0, 1.0)
    for spread in (0.1, 1.0, 10.0):
        found = gradient_moments(problem, 0.0, spread, baseline="optimal")
        # E|z|^3 = 4 / sqrt(2 pi), so that the least variance is 3 - 8 / pi.
        assert found.score_variance == pytest.approx(3 - 8 / np.pi)
        assert found.pathwise_variance == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["normal", "biweight"])
def test_a_million_samples_agree(noise):
    problem = Newsvendor([1.0, 2.0, 4.5], [0.25, 0.5, 0.25], 0.5, 2.0)
    rng, count = np.random.default_rng(0), 1_000_000
    u = rng.normal(size=count) if noise == "normal" else 2 * rng.beta(3, 3, count) - 1
    mean, spread = 2.25, 0.75
    demand = rng.choice(problem.demand, count, p=problem.probabilities)
    q = mean + spread * u
    over = q > demand
    slope = np.where(over, problem.holding, -problem.shortage)
    cost = slope * (q - demand)
    score = (cost - 1.0) * (u if noise == "normal" else 4 * u / (1 - u * u)) / spread
    found = gradient_moments(problem, mean, spread, noise=noise, baseline=1.0)
    for sample, centre, variance in (
        (slope, found.pathwise_mean, found.pathwise_variance),
        (score, found.score_mean, found.score_variance),
    ):
        assert abs(sample.mean() - centre) < 4 * np.sqrt(variance / count)
        squares = (sample - centre) ** 2
        assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(count)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 5), st.booleans(), st.integers(0, 2**32 - 1), st.floats(0, 2), st.floats(-2, 3)
)
def test_back_propagation_is_a_difference_quotient(periods, lost_sales, seed, price, start):
    rng = np.random.default_rng(seed)
    levels, demand = rng.uniform(0, 5, periods), rng.uniform(0, 3, periods)
    settings = {
        "holding": 1.0, "shortage": 3.0, "price": price, "start": start, "lost_sales": lost_sales,
    }  # fmt: skip
    _, gradient = hindsight_gradient(levels, demand, **settings)
    step = 1e-7
    for t in range(periods):
        shift = step * np.eye(periods)[t]
        ends = [hindsight_gradient(levels + s, demand, **settings)[0] for s in (shift, -shift)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient[t], abs=1e-5)


def test_one_period_is_the_newsvendor():
    problem = Newsvendor([1.0, 2.0, 4.0], [0.25, 0.5, 0.25], 0.5, 2.0)
    level = Fraction(5, 2)
    costs, slopes = [], []
    for units in problem.demand:
        cost, gradient = hindsight_gradient(
            np.array([level]), np.array([Fraction(float(units))]),
            holding=Fraction(1, 2), shortage=Fraction(2),
        )  # fmt: skip
        costs.append(cost)
        slopes.append(gradient[0])
    chances = [Fraction(1, 4), Fraction(1, 2), Fraction(1, 4)]
    assert sum(map(Fraction.__mul__, chances, costs)) == problem.expected_cost(level)
    assert sum(map(Fraction.__mul__, chances, slopes)) == problem.pathwise_derivative(level)


def test_costs_of_a_trace_by_hand():
    settings = {"holding": 1, "shortage": 4, "price": 2}
    # Order 3, sell 5: two short, backlogged; order 2 + 4, sell 1: three left.
    cost, _ = hindsight_gradient([3.0, 4.0], [5.0, 1.0], **settings)
    assert cost == 2 * 3 + 4 * 2 + 2 * 6 + 3
    cost, _ = hindsight_gradient([3.0, 4.0], [5.0, 1.0], **settings, lost_sales=True)
    assert cost == 2 * 3 + 4 * 2 + 2 * 4 + 3


def test_the_best_levels_are_stationary():
    # Costs of ordering are nothing: each period is a newsvendor, whose quantile is 2.
    demands, chances = [1.0, 2.0, 4.0], [0.25, 0.5, 0.25]
    for shift, sign in ((-0.5, -1), (0.5, 1)):
        mean = np.zeros(2)
        for trace in itertools.product(range(3), repeat=2):
            weight = np.prod([chances[k] for k in trace])
            levels = np.array([2.0 + shift, 2.0 + shift])
            _, gradient = hindsight_gradient(
                levels, [demands[k] for k in trace], holding=1.0, shortage=1.5
            )
            mean += weight * gradient
        assert (np.sign(mean) == sign).all()


GOOD = {"demand": [1.0, 2.0], "probabilities": [0.5, 0.5], "holding": 1.0, "shortage": 2.0}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"demand": [2.0, 1.0]}, "demand is empty or does not increase"),
        ({"demand": [], "probabilities": []}, "demand is empty"),
        ({"demand": [1.0, np.nan]}, r"demand\[1\] is nan"),
        ({"probabilities": [0.5, 0.6]}, "probabilities sums to 1.1"),
        ({"probabilities": [1.0]}, r"probabilities has shape \(1,\)"),
        ({"holding": 0.0}, "holding is 0"),
        ({"shortage": -1.0}, "shortage is -1"),
    ],
)
def test_bad_newsvendors_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Newsvendor(**(GOOD | fields))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise": "uniform"}, "noise is 'uniform'"),
        ({"arithmetic": "rational"}, "arithmetic is 'rational' but noise is 'normal'"),
        ({"arithmetic": "decimal"}, "arithmetic is 'decimal'"),
        ({"spread": 0.0}, "spread is 0.0"),
        ({"spread": np.nan}, "spread is nan"),
        ({"mean": np.inf}, "mean is inf"),
        ({"baseline": "best"}, "baseline is 'best'"),
        ({"baseline": np.nan}, "baseline is nan"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        gradient_moments(Newsvendor(**GOOD), **({"mean": 1.0, "spread": 1.0} | arguments))


@pytest.mark.parametrize(
    ("levels", "demand", "message"),
    [
        ([1.0], [1.0, 2.0], r"levels has shape \(1,\) and demand \(2,\)"),
        ([], [], "T >= 1"),
        ([np.nan], [1.0], r"levels\[0\] is nan"),
        ([1.0], [np.inf], r"demand\[0\] is inf"),
    ],
)
def test_bad_traces_are_named(levels, demand, message):
    with pytest.raises(ValueError, match=message):
        hindsight_gradient(levels, demand, holding=1.0, shortage=1.0)
    with pytest.raises(ValueError, match="order is nan"):
        Newsvendor(**GOOD).expected_cost(np.nan)
