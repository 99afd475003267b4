"""Pessimistic preference optimisation against brute force and general solvers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from rltheory.analysis.zoo.rpo import (
    Pessimism,
    draw_comparisons,
    finite_class_values,
    objective,
    policy_loss,
    preference_loss,
    reward_objective,
    solve_pessimistic,
    tilted_policy,
)


@st.composite
def problems(draw, low=1, high=6):
    """Problems with few comparisons, some responses compared with none."""
    size = draw(st.integers(low, high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    wins = rng.integers(0, 4, (size, size)) * (rng.random((size, size)) < 0.5)
    np.fill_diagonal(wins, 0)
    lows = -rng.uniform(0.2, 3, size)
    return Pessimism(
        wins / max(1, wins.sum()),
        0.9 * rng.dirichlet(np.ones(size)) + 0.1 / size,
        rng.dirichlet(np.ones(size)),
        beta=float(rng.uniform(0.05, 2)),
        eta=float(10 ** rng.uniform(-3, 1)),
        low=lows,
        high=lows + rng.uniform(0, 4, size),
    )


@given(problems())
def test_nobody_does_better_than_the_saddle_point_says(problem):
    found = solve_pessimistic(problem)
    assert found.converged
    assert found.value.gap < 1e-8
    rng = np.random.default_rng(0)
    rows = rng.uniform(problem.low, problem.high, (40, problem.responses))
    rows[:20] = np.where(rng.random((20, problem.responses)) < 0.5, problem.low, problem.high)
    for row in rows:
        assert objective(problem, found.policy, row) >= found.value.lower - 1e-12
        assert reward_objective(problem, row) >= found.value.lower - 1e-12
    for policy in rng.dirichlet(np.ones(problem.responses), 20):
        assert objective(problem, policy, found.rewards) <= found.value.upper + 1e-12


@settings(max_examples=12, deadline=None)
@given(problems(2, 5))
def test_general_solvers_find_the_same_two_values(problem):
    ours = solve_pessimistic(problem)
    middle = (problem.low + problem.high) / 2
    minimax = minimize(
        lambda r: reward_objective(problem, r),
        middle,
        method="L-BFGS-B",
        bounds=list(zip(problem.low, problem.high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 2000},
    )
    assert ours.value.lower - 1e-9 <= minimax.fun <= ours.value.upper + 1e-5
    # Against the policy found the opponent's best answer, by the same general method.
    answer = minimize(
        lambda r: objective(problem, ours.policy, r),
        middle,
        method="L-BFGS-B",
        bounds=list(zip(problem.low, problem.high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 2000},
    )
    assert answer.fun >= ours.value.lower - 1e-9
    np.testing.assert_allclose(answer.fun, minimax.fun, atol=2e-5)


@given(problems())
def test_the_supervised_loss_is_the_objective_and_a_constant(problem):
    rewards = np.random.default_rng(1).uniform(-1, 1, problem.responses)
    policy = tilted_policy(problem, rewards)
    weights = problem.reference * np.exp(rewards / problem.beta)
    np.testing.assert_allclose(policy, weights / weights.sum(), rtol=1e-12)
    constant = -problem.eta * problem.beta * (problem.base @ np.log(problem.reference))
    np.testing.assert_allclose(
        policy_loss(problem, policy), reward_objective(problem, rewards) + constant, atol=1e-10
    )
    np.testing.assert_allclose(
        objective(problem, policy, rewards),
        reward_objective(problem, rewards),
        rtol=1e-9,
        atol=1e-9,
    )


@pytest.mark.parametrize("eta", [0.01, 0.1, 1.0])
def test_where_nothing_was_compared_the_base_is_imitated(eta):
    wins = np.zeros((4, 4))
    wins[0, 1], wins[1, 0] = 0.7, 0.3
    base = np.array([0.3, 0.3, 0.25, 0.15])
    problem = Pessimism(wins, [0.1, 0.2, 0.3, 0.4], base, beta=0.5, eta=eta, low=-30, high=30)
    found = solve_pessimistic(problem, tolerance=1e-12)
    np.testing.assert_allclose(found.policy[2:], base[2:], atol=1e-9)
    assert found.policy[0] > base[0]
    assert found.policy[:2].sum() == pytest.approx(base[:2].sum())


def test_bradley_and_terry_by_hand():
    wins = np.array([[0, 2], [1, 0]])
    by_hand = 2 * np.log(1 + np.exp(-1.5)) + np.log(1 + np.exp(1.5))
    assert preference_loss(wins, [1.5, 0.0]) == pytest.approx(by_hand)


def test_a_class_of_two_rewards_has_the_known_gap():
    half = [0.5, 0.5]
    problem = Pessimism(np.zeros((2, 2)), half, half, beta=0.5, eta=1.0)
    found = finite_class_values(problem, [[1, 0], [0, 1]])
    assert found.maximin.contains(0.0)
    assert found.minimax.contains(np.log(np.cosh(1)) / 2)
    assert found.maximin.gap < 1e-9
    hull = solve_pessimistic(Pessimism(np.zeros((2, 2)), half, half, 0.5, 1.0, low=0, high=1))
    assert hull.value.contains(0.0)


@settings(max_examples=12, deadline=None)
@given(problems(2, 2), st.integers(1, 4))
def test_finite_classes_against_a_search_over_policies(problem, count):
    rows = np.random.default_rng(count).uniform(-2, 2, (count, 2))
    found = finite_class_values(problem, rows)

    def secured(x):
        return min(objective(problem, [x, 1 - x], row) for row in rows)

    best = minimize_scalar(
        lambda x: -secured(x), bounds=(0, 1), method="bounded", options={"xatol": 1e-10}
    )
    assert -best.fun <= found.maximin.upper + 1e-9
    assert found.maximin.lower <= -best.fun + 1e-6
    assert found.maximin.gap < 1e-5
    assert found.minimax.contains(min(reward_objective(problem, row) for row in rows))
    assert found.minimax.upper >= found.maximin.lower
    if count == 1:
        assert found.maximin.upper >= found.minimax.lower - 1e-9


def test_comparisons_follow_bradley_and_terry():
    rewards = np.array([1.0, 0.0, -0.5])
    law = np.array([[0.1, 0.2, 0.1], [0.1, 0.1, 0.1], [0.1, 0.1, 0.1]])
    count = 200_000
    wins = draw_comparisons(rewards, law, count, seed=0)
    assert wins.sum() == count
    chance = 1 / (1 + np.exp(rewards[None] - rewards[:, None]))
    expected = (law + law.T) * chance
    error = np.sqrt(expected * (1 - expected) / count)
    assert (np.abs(wins / count - expected) < 4.5 * error).all()
    np.testing.assert_array_equal(wins, draw_comparisons(rewards, law, count, seed=0))


GOOD = {"wins": np.ones((2, 2)), "reference": [0.5, 0.5], "base": [0.5, 0.5], "beta": 1, "eta": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"wins": np.ones((2, 3))}, r"wins has shape \(2, 3\)"),
        ({"wins": [[0, np.nan], [0, 0]]}, r"wins\[0, 1\] is nan"),
        ({"wins": [[0, -1], [0, 0]]}, "wins holds -1"),
        ({"reference": [1.0, 0.0]}, r"reference\[1\] is 0; expected full support"),
        ({"base": [0.5, 0.6]}, "base sums to 1.1"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"eta": -1.0}, "eta is -1.0"),
        ({"low": [0.0, 1.0, 2.0]}, r"low has shape \(3,\)"),
        ({"low": np.inf}, "low is inf"),
        ({"low": 2.0, "high": 1.0}, r"low\[0\] is 2.0, above high\[0\], 1.0"),
        ({"high": 1e9}, "high exceeds"),
    ],
)
def test_bad_problems_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Pessimism(**(GOOD | fields))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: objective(p, [0.5, 0.6], [0, 0]), "policy sums to 1.1"),
        (lambda p: objective(p, [0.5, 0.5], [0, np.inf]), r"rewards\[1\] is inf"),
        (lambda p: reward_objective(p, [0.0]), r"rewards has shape \(1,\)"),
        (lambda p: policy_loss(p, [1.0, 0.0]), "expected full support"),
        (lambda p: finite_class_values(p, np.zeros((0, 2))), "rewards has zero rows"),
        (lambda p: solve_pessimistic(p, tolerance=-1.0), "tolerance is -1.0"),
        (lambda p: draw_comparisons([0, 1], np.ones((2, 2)), 3, seed=0), "pairs sums to 4"),
        (lambda p: draw_comparisons([0, 1], np.ones((2, 2)) / 4, 0, seed=0), "count is 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make(Pessimism(**GOOD))
