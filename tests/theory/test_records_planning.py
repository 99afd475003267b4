"""What the records on planning compute with, against other sums; bounds are attained."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.simplex import project_simplex
from rltheory.tabular import (
    evaluate_policy,
    mirror_descent,
    natural_policy_gradient,
    occupancy_measure,
    relative_value_iteration,
    value_iteration,
)
from rltheory.tabular.policies import one_hot
from rltheory.theory import balls, exact
from rltheory.theory.dual import Dual
from rltheory.theory.records import (
    approximation,
    average_reward,
    bellman,
    geometry,
    greedy,
    mirror_rates,
    occupancy,
    policy_gradient,
    policy_iteration,
    regularised,
    trust_region,
    variance,
)
from rltheory.theory.records import (
    mirror_descent as mirror_records,
)
from rltheory.theory.tape import Tape

SEEDS = range(6)

each_seed = pytest.mark.parametrize("seed", SEEDS)


def meet(sides):
    left, right = sides
    return np.array_equal(np.asarray(left, dtype=object), np.asarray(right, dtype=object))


@pytest.mark.parametrize("discount", [1 / 16, 0.5, 15 / 16])
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_detour_attains_the_lookahead_loss(discount, steps):
    assert meet(greedy.lookahead_sides(greedy.detour(discount, 0.75, steps)))


@pytest.mark.parametrize("discount", [1 / 16, 0.5, 13 / 16])
@pytest.mark.parametrize("sweeps", [0, 1, 2, 3])
@pytest.mark.parametrize("iterations", [1, 2, 4])
def test_waiting_chain_attains_error_propagation(discount, sweeps, iterations):
    model, errors = approximation.waiting_chain(discount, 0.5, iterations)
    start = exact.fractions(np.zeros(model.states))
    run = approximation.Run(model, start, exact.fractions(errors), sweeps, 1)
    assert meet(approximation.propagation_sides(run))


@pytest.mark.parametrize("discount", [1 / 16, 0.5, 15 / 16])
def test_mending_chain_attains_the_rate_at_every_step(discount):
    start = policy_iteration.mending_chain(discount, 4)
    for steps in range(4):
        assert meet(policy_iteration.rate_sides(start._replace(steps=steps)))


@pytest.mark.parametrize("states", [2, 4, 7])
def test_mending_chain_attains_the_number_of_improvements(states):
    start = policy_iteration.mending_chain(6 / 16, states)
    assert policy_iteration.length_sides(start) == (states, states)


def test_scherrers_formula_needs_a_positive_discount():
    start = policy_iteration.mending_chain(0.0, 1)
    assert policy_iteration.length_sides(start) == (1, 0)


@pytest.mark.parametrize("discount", [1 / 16, 0.5, 15 / 16])
@pytest.mark.parametrize("weight", [Fraction(1, 16), Fraction(1, 2), Fraction(1)])
def test_lure_attains_the_conservative_bound(discount, weight):
    step = trust_region.lure_and_loss(discount, weight)
    assert meet(trust_region.conservative_sides(step))


@each_seed
def test_macqueen_bracket_encloses_float_value_iteration(seed):
    instance = bellman.sample_residual(Tape(seed=seed), 5)
    lower, upper = bellman.bracket_sides(instance)
    best = value_iteration(instance.mdp, tolerance=1e-12)
    assert np.all(lower[:5].astype(float) <= best.upper)
    assert np.all(upper[5:].astype(float) >= best.lower)


@each_seed
def test_gauss_seidel_sweep_agrees_with_floats(seed):
    mdp, values = bellman.sample_residual(Tape(seed=seed), 4)
    swept = values.astype(float)
    for s in range(4):
        swept[s] = (mdp.rewards[s] + mdp.discount * mdp.transitions[s] @ swept).max()
    exact_sweep = bellman.gauss_seidel(mdp, values).astype(float)
    np.testing.assert_allclose(exact_sweep, swept, rtol=1e-12, atol=1e-12)


@each_seed
def test_worst_greedy_policy_is_the_worst_of_all_greedy_policies(seed):
    model = greedy.instances.mdp(Tape(seed=seed), 3, 3)
    q = exact.fractions(np.random.default_rng(seed).integers(0, 2, (3, 3)))
    greedy_actions = [np.flatnonzero(row == row.max()) for row in q]
    values = [
        exact.policy_values(model, one_hot(np.array(plan), 3))
        for plan in itertools.product(*greedy_actions)
    ]
    worst = exact.worst_greedy_values(model, q)
    assert list(worst) == [min(v[s] for v in values) for s in range(3)]


@each_seed
def test_exact_values_and_occupancies_agree_with_the_float_solvers(seed):
    model, policy, _, _ = occupancy.sample_two_policies(Tape(seed=seed), 4)
    values = evaluate_policy(model, policy)
    truth = exact.policy_values(model, policy)
    assert all(Fraction(low) <= x for low, x in zip(values.lower, truth, strict=True))
    assert all(x <= Fraction(high) for x, high in zip(truth, values.upper, strict=True))
    visits = exact.occupancy(model, policy).astype(float)
    np.testing.assert_allclose(visits, occupancy_measure(model, policy), rtol=1e-10, atol=1e-13)


@each_seed
def test_dual_derivative_agrees_with_an_exact_difference_quotient(seed):
    instance = policy_gradient.sample_direction(Tape(seed=seed), 3)
    step = Fraction(1, 2**40)

    def value(sign):
        weights = instance.weights + sign * step * instance.direction
        policy = weights / weights.sum(axis=1, keepdims=True)
        start = exact.fractions(instance.mdp.initial)
        return start @ exact.policy_values(instance.mdp, policy)

    slope = policy_gradient.performance(instance.mdp, policy_gradient.moving_policy(instance)).slope
    quotient = (value(1) - value(-1)) / (2 * step)
    # The quotient errs by the third derivative times step^2 / 6, far below 2^-50 here.
    assert abs(float(slope - quotient)) < 2.0**-50


def test_dual_numbers_follow_the_rules_of_differentiation():
    x = Dual(Fraction(3), Fraction(1))
    assert 1 / Fraction(2) * x * x - 2 * x + 1 == Dual(Fraction(-1, 2), Fraction(1))
    assert (1 - x) / x == Dual(Fraction(-2, 3), Fraction(-1, 9))


@each_seed
def test_return_variance_agrees_with_enumerated_paths(seed):
    play = variance.sample_play(Tape(seed=seed), 2)
    play = play._replace(mdp=play.mdp.replace(discount=0.25))
    mdp, policy = play
    horizon = 8
    # Chance of every (return so far, state), one row per path.
    paths = [(0.0, 0, 1.0)]
    for t in range(horizon):
        paths = [
            (g + 0.25**t * mdp.rewards[s, a], j, p * policy[s, a] * mdp.transitions[s, a, j])
            for g, s, p in paths
            for a in range(mdp.actions)
            for j in range(2)
            if policy[s, a] * mdp.transitions[s, a, j] > 0
        ]
        merged = {}
        for g, s, p in paths:
            merged[g, s] = merged.get((g, s), 0.0) + p
        paths = [(g, s, p) for (g, s), p in merged.items()]
    totals, chances = (np.array(x) for x in zip(*((g, p) for g, _, p in paths), strict=True))
    mean = chances @ totals
    spread = chances @ (totals - mean) ** 2
    # Rewards are in [0, 1]: the tail moves the return by at most b, its variance by 2 b G + b^2.
    tail = 0.25**horizon / 0.75
    assert abs(float(variance.return_variance(play)[0]) - spread) <= 2 * tail * 4 / 3 + tail**2


@each_seed
def test_optimal_gain_lies_in_the_solvers_bracket(seed):
    model = average_reward.sample_model(Tape(seed=seed), 4)
    gain, bias = average_reward.optimal_gain(model)
    solved = relative_value_iteration(model, tolerance=1e-9)
    assert Fraction(float(solved.gain.lower)) <= gain <= Fraction(float(solved.gain.upper))
    best = average_reward.relative_backup(model, bias).max(axis=1)
    assert list(best) == list(gain + bias)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-64, 64), min_size=1, max_size=6))
def test_exact_projection_agrees_with_the_float_one(numbers):
    point = np.array(numbers) / 32
    projected = mirror_records.project(exact.fractions(point))
    assert sum(projected) == 1
    np.testing.assert_allclose(projected.astype(float), project_simplex(point), atol=1e-14)


@each_seed
def test_mirror_step_agrees_with_the_public_solver(seed):
    mdp, policy, step = mirror_records.sample_mirror(Tape(seed=seed), 3)
    stepped = balls.to_bounds(mirror_records.mirror_step(mirror_records.Mirror(mdp, policy, step)))
    rows = policy.astype(float)
    path = mirror_descent(
        mdp, step=float(step), iterations=1, initial_policy=rows / rows.sum(1, keepdims=True)
    )
    # The policies differ by the rounding of Q times the step in the exponent.
    slack = 1e-12 * float(step) / (1 - mdp.discount)
    assert np.all(stepped.lower - slack <= path.policy)
    assert np.all(path.policy <= stepped.upper + slack)


@each_seed
def test_soft_values_agree_with_soft_value_iteration(seed):
    mdp, weight = regularised.sample_soft(Tape(seed=seed), 3)
    bounds = regularised.soft_values(mdp, weight)
    values = np.zeros(3)
    for _ in range(300):
        q = mdp.rewards + mdp.discount * mdp.transitions @ values
        values = weight * np.log(np.exp(q / weight).mean(axis=1))
    # 300 sweeps contract by (8 / 16)^300; what is left is the rounding of the sweeps.
    np.testing.assert_allclose(values, bounds.lower, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(values, bounds.upper, rtol=1e-10, atol=1e-10)


@balls.precise
def test_balls_enclose_and_keep_exact_numbers():
    third = balls.to_bounds(balls.ball(Fraction(1, 3)))
    assert Fraction(float(third.lower)) < Fraction(1, 3) < Fraction(float(third.upper))
    assert third.gap < 1e-15
    rows = balls.softmax(balls.balls(np.array([[0.0, np.log(3.0)], [800.0, 0.0]])))
    np.testing.assert_allclose(balls.to_bounds(rows[0]).lower, [0.25, 0.75], rtol=1e-15)
    assert balls.to_bounds(rows[1]).upper[1] < 1e-300


@pytest.mark.parametrize("size", [2, 3, 4])
def test_lap_attains_the_diameter(size):
    span, diameter = average_reward.diameter_sides(average_reward.lap(size))
    assert span == diameter == size - 1


@each_seed
def test_hitting_times_solve_their_optimality_equation(seed):
    model = average_reward.sample_communicating(Tape(seed=seed), 3)
    times = average_reward.hitting_times(model, 2)
    # No reference to policies: T(s) = 1 + min_a sum_j p(j | s, a) T(j), and 0 at the target.
    following = (exact.fractions(model.transitions) @ times).min(axis=1)
    assert list(times) == [1 + following[0], 1 + following[1], 0]


@each_seed
def test_natural_gradient_path_agrees_with_one_ball_step(seed):
    model = mirror_rates.instances.mdp(Tape(seed=seed), 3, 2, 0.5)
    uniform = mirror_rates.uniform_policy(model)
    path = natural_policy_gradient(model, step=0.5, iterations=1)
    # A step h of the natural gradient is a mirror step of size h / (1 - g).
    stepped = mirror_records.mirror_step(mirror_records.Mirror(model, uniform, Fraction(1)))
    values = balls.to_bounds(mirror_records.ball_values(model, stepped))
    np.testing.assert_allclose(model.initial @ values.lower, path.values[1], rtol=1e-12)


def test_value_on_the_walk_is_the_product_of_the_moves():
    walk = geometry.Walk(
        geometry.right_moves(0.5), np.array([Fraction(0)] * 2), np.array([Fraction(1)] * 2)
    )
    # Two moves delay 1 / (1 - g) = 2 by g^2 = 1 / 4.
    assert geometry.walk_sides(walk) == (Fraction(1, 8), Fraction(1, 4))


def test_joined_parts_are_one_flat_array():
    assert list(exact.join(Fraction(1), exact.fractions(np.eye(2)), 2)) == [1, 1, 0, 0, 1, 2]


def test_stationary_law_needs_one_recurrent_class():
    with pytest.raises(ZeroDivisionError):
        exact.stationary(exact.identity(2))
    two = exact.fractions(np.array([[0.5, 0.5], [0.25, 0.75]]))
    assert list(exact.stationary(two)) == [Fraction(1, 3), Fraction(2, 3)]


def test_ergodic_coefficient_is_the_largest_total_variation():
    rows = exact.fractions(np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]]))
    assert bellman.ergodic_coefficient(rows) == Fraction(3, 4)
    assert bellman.ergodic_coefficient(rows[:1]) == 0


def test_last_greedy_breaks_ties_by_the_last_action():
    q = exact.fractions(np.array([[1.0, 2.0, 2.0], [3.0, 3.0, 1.0]]))
    assert list(exact.last_greedy(q).argmax(axis=1)) == [2, 1]


def test_shaping_keeps_the_rewards_exact():
    instance = occupancy.sample_potential(Tape(seed=1), 3)
    shaped = occupancy.shaped(instance, instance.mdp.discount)
    exact_rewards = (
        exact.fractions(instance.mdp.rewards)
        + Fraction(instance.mdp.discount)
        * (exact.fractions(instance.mdp.transitions) @ exact.fractions(instance.potential))
        - exact.fractions(instance.potential)[:, None]
    )
    assert np.array_equal(exact.fractions(shaped.rewards), exact_rewards)
