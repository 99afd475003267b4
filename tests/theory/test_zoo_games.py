"""Records on preferences, pessimism, inventories and targets, against public solvers."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from rltheory.analysis.zoo.hdpo import gradient_moments, hindsight_gradient
from rltheory.analysis.zoo.rpo import Pessimism, reward_objective, solve_pessimistic
from rltheory.analysis.zoo.ts_ddr import follow_targets
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.iterative_nash import (
    extreme_pairs,
    loss_minimiser,
    mirror_step,
    regularised_nash,
)
from rltheory.games.normal_form.preference import Preferences, minimax_winner, self_play
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.records import (
    zoo_hdpo,
    zoo_hdpo_discrete,
    zoo_inpo,
    zoo_inpo_rest,
    zoo_rpo,
    zoo_spo,
    zoo_ts_ddr,
)
from rltheory.theory.sides import to_bounds
from rltheory.theory.tape import Tape

SEEDS = range(6)


def floats(array):
    return np.array(array, dtype=np.float64)


def middle(array):
    """The middles of balls."""
    return np.array([float(x.mid()) for x in np.ravel(array)])


@pytest.mark.parametrize("seed", SEEDS)
def test_hedge_in_balls_is_the_public_self_play(seed):
    instance = zoo_spo.sample_hedged(Tape(seed=seed), 3)
    gap, _ = zoo_spo.hedged_sides(instance)
    public = self_play(
        floats(instance.preferences),
        dynamics.hedge(float(instance.step)),
        iterations=instance.rounds,
    )
    assert float(gap.lower) == pytest.approx(float(public.gap.upper), abs=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_winners_are_the_public_ones(seed):
    matrix = zoo_spo.preferences(Tape(seed=seed), 4)
    assert max(matrix @ minimax_winner(floats(matrix), arithmetic="rational")) == 0
    assert max(matrix @ games.optimal_rows(matrix)) == 0
    step = zoo_spo.sample_step(Tape(seed=seed), 4)
    assert not any(step.preferences @ step.winner)
    assert not np.any(step.preferences + step.preferences.T)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_regression_is_the_public_minimiser(seed):
    for sample in (zoo_inpo.sample_regression, zoo_inpo.sample_additive, zoo_inpo._sample_extremes):
        matrix, policy, pairs, eta = sample(Tape(seed=seed), 4)
        scores, _ = zoo_inpo.regression_sides(zoo_inpo.Regression(matrix, policy, pairs, eta))
        reference = np.array([0.4, 0.3, 0.2, 0.1])
        tau = float(eta) / 2
        public = loss_minimiser(
            Preferences(np.clip(floats(matrix), -1, 1)), floats(policy), reference,
            weight=tau, inverse_step=float(eta), pairs=floats(pairs),
        )  # fmt: skip
        found = np.log(public) - 0.5 * np.log(reference) - 0.5 * np.log(floats(policy))
        np.testing.assert_allclose(found[1:] - found[0], floats(scores), atol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_law_of_extremes_is_the_public_one(seed):
    tape = Tape(seed=seed)
    policy, scores = games.interior(tape, 4), games.matrix(tape, 4, bits=0)
    law = zoo_inpo._extremes(policy, scores, 3)
    assert law.sum() == 1
    np.testing.assert_allclose(
        floats(law), extreme_pairs(floats(policy), floats(scores), draws=3), atol=1e-12
    )


@pytest.mark.parametrize("seed", SEEDS)
@balls.precise
def test_steps_and_rests_in_balls_are_the_public_ones(seed):
    pulled = zoo_inpo.sample_pulled(Tape(seed=seed), 4)
    weights = {"weight": float(pulled.tau), "inverse_step": float(pulled.eta)}
    arrays = (floats(x) for x in (pulled.preferences, pulled.policy, pulled.reference))
    logs = zoo_inpo._next(pulled, pulled.tau / pulled.eta)
    np.testing.assert_allclose(np.exp(middle(logs)), mirror_step(*arrays, **weights), rtol=1e-10)
    rest = zoo_inpo_rest.sample_rest(Tape(seed=seed), 3)
    anchor = zoo_inpo_rest._reference(rest, (1 + rest.preferences @ rest.rest) / 2)
    reference = np.exp(middle(anchor))
    if reference.min() > 1e-12:
        found = regularised_nash(
            floats(rest.preferences), reference / reference.sum(), weight=float(rest.tau),
            tolerance=1e-12,
        )  # fmt: skip
        np.testing.assert_allclose(found.policy, floats(rest.rest), atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_made_saddle_points_are_found_by_the_public_solver(seed):
    instance = zoo_rpo.sample_saddle(Tape(seed=seed), 3)
    wins, reference, base, beta, eta = instance.problem
    assert base.sum() == 1
    assert min(base) >= 0
    rewards = float(beta) * np.log(floats(instance.policy / reference))
    # The box binds where the objective slopes.
    low = rewards - np.where(floats(instance.slopes) > 0, 0.0, 3.0)
    high = rewards + np.where(floats(instance.slopes) < 0, 0.0, 3.0)
    problem = Pessimism(
        floats(wins), floats(reference), floats(base), float(beta), float(eta), low, high
    )
    value = reward_objective(problem, rewards)
    found = solve_pessimistic(problem)
    assert found.value.gap < 1e-7
    assert value == pytest.approx(float(found.value.upper), abs=1e-7)
    exact, _ = zoo_rpo.saddle_sides(instance)
    assert float(exact.lower[1]) == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_objectives_in_balls_are_the_public_ones(seed):
    problem, rewards = zoo_rpo.sample_rewarded(Tape(seed=seed), 4)
    wins, reference, base, beta, eta = problem
    public = Pessimism(floats(wins), floats(reference), floats(base), float(beta), float(eta))
    left, _ = zoo_rpo.reparametrised_sides(zoo_rpo.Rewarded(problem, rewards))
    assert float(left.lower) == pytest.approx(reward_objective(public, floats(rewards)), abs=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_dual_costs_are_the_moments_costs(seed):
    instance = zoo_hdpo.sample_order(Tape(seed=seed), 3)
    found = gradient_moments(*instance, noise="biweight", arithmetic="rational")
    assert zoo_hdpo._cost_dual(instance, uniform=False).value == found.cost


@pytest.mark.parametrize("seed", range(12))
def test_expected_totals_are_means_over_traces(seed):
    instance = zoo_hdpo_discrete.sample_periods(Tape(seed=seed), 3)
    levels, demand, chances, holding, shortage, price, lost_sales = instance
    total = Fraction(0)
    for trace in itertools.product(range(len(demand)), repeat=3):
        cost, _ = hindsight_gradient(
            levels, demand[list(trace)], holding=holding, shortage=shortage, price=price,
            lost_sales=lost_sales,
        )  # fmt: skip
        total += np.prod(chances[list(trace)]) * cost
    assert zoo_hdpo_discrete.expected_total(instance, levels) == total


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_programmes_agree_with_highs(seed):
    program, targets, others = zoo_ts_ddr.sample_smooth(Tape(seed=seed), 2)
    for goal in (targets, others):
        found = follow_targets(program, floats(goal))
        assert found.value == pytest.approx(float(zoo_ts_ddr.value(program, goal)), abs=1e-7)
    if zoo_ts_ddr.smooth(zoo_ts_ddr.Targets(program, targets, others)):
        exact = zoo_ts_ddr.multipliers(program, targets)
        found = follow_targets(program, floats(targets))
        np.testing.assert_allclose(found.duals, floats(exact), atol=1e-7)


def test_the_finite_class_has_the_gap_that_the_record_names():
    left, right = zoo_rpo.finite_sides(zoo_rpo._two(Tape(), 2))
    assert float(left.lower) == pytest.approx(0.2)
    assert to_bounds(right).contains(np.log(np.cosh(1)) / 2)
