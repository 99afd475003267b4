"""What the records on linear MDPs compute with, against public solvers; bounds are attained."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from rltheory.linear_mdp import duals
from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.linear_mdp.planning import plan
from rltheory.tabular.uncertainty import KullbackLeibler, TotalVariation
from rltheory.theory import linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.records import (
    linear_adversary,
    linear_bonuses,
    linear_designs,
    linear_duals,
    linear_learning,
    linear_models,
    linear_robustness,
)
from rltheory.theory.records.linear_designs import Design
from rltheory.theory.tape import Tape

SEEDS = pytest.mark.parametrize("seed", range(12))


def tape(seed):
    return Tape(seed=(seed, 11))


@SEEDS
def test_exact_induction_lies_in_the_bounds_of_the_planner(seed):
    play = linear_adversary.sample_play(tape(seed), 3)
    model, rows = linear_instances.exact(play.model), fractions(play.policy)
    for policy, truth in (
        (None, linear_instances.robust(model)),
        (play.policy, linear_instances.robust(model, rows)),
    ):
        found = plan(play.model, policy=policy)
        assert np.all(found.lower <= truth.values)
        assert np.all(truth.values <= found.upper)
        assert np.allclose(found.factor_values, truth.factor_values.astype(float), atol=1e-12)


@SEEDS
def test_joint_minimum_agrees_with_highs(seed):
    step = linear_adversary.sample_step(tape(seed), 3)
    drawn = step.weights @ step.features
    # Distributions q and the absolute differences t, unlike the stripped mass of the record.
    (factors, size), eye = step.measures.shape, np.eye(step.measures.size)
    sums = np.kron(np.eye(factors), np.ones(size))
    nominal = step.measures.astype(float).ravel()
    upper = np.block([[eye, -eye], [-eye, -eye], [0 * sums, sums]])
    reference = linprog(
        np.concatenate([np.outer(drawn, step.values).astype(float).ravel(), 0 * nominal]),
        A_ub=upper,
        b_ub=np.concatenate([nominal, -nominal, 2 * step.radii.astype(float)]),
        A_eq=np.hstack([sums, 0 * sums]),
        b_eq=np.ones(factors),
        method="highs",
    )
    assert float(linear_adversary.joint_minimum(step, drawn)) == pytest.approx(
        reference.fun, abs=1e-8
    )


@SEEDS
def test_one_pass_agrees_with_the_compiled_dual(seed):
    factor = linear_duals.sample_factor(tape(seed), 4)
    weights = np.zeros((4, 1))
    np.add.at(weights[:, 0], factor.next_states, factor.coefficients.astype(float))
    found = np.empty(1)
    duals.solve(
        duals.TOTAL_VARIATION,
        np.unique(factor.next_states),
        factor.values.astype(float),
        weights,
        0.0,
        2.0,
        np.array([float(factor.radius)]),
        found,
    )
    assert found[0] == pytest.approx(float(linear_duals.swept(factor)), abs=1e-12)


@SEEDS
def test_coefficients_are_those_of_ridge_regression(seed):
    design = linear_designs.sample_counts(tape(seed), 3)
    targets = np.random.default_rng(seed).random(len(design.features))
    x = design.features.astype(float)
    # Ridge regression is least squares with d more samples.
    root = float(design.ridge) ** 0.5
    fitted, *_ = np.linalg.lstsq(
        np.vstack([x, root * np.eye(3)]), np.append(targets, np.zeros(3)), rcond=None
    )
    inverse = linear_designs.inverse(linear_designs.gram(design))
    assert np.allclose((inverse @ design.features.T).astype(float) @ targets, fitted, atol=1e-10)


@SEEDS
def test_determinants_agree_with_numpy(seed):
    matrix = tape(seed).dyadic((4, 4), -2.0, 2.0)
    expected = np.linalg.det(matrix)
    found = float(linear_designs.determinant(fractions(matrix)))
    assert found == pytest.approx(expected, abs=1e-10)


@SEEDS
def test_values_through_kernels_are_those_of_the_public_solver(seed):
    play = linear_models.sample_play(tape(seed), 3)
    model, rows = linear_instances.exact(play.mdp), fractions(play.policy)
    truth = linear_instances.solve(model.kernels, model.rewards, rows)
    found = plan(play.mdp, policy=play.policy)
    assert np.all(found.lower <= truth.values)
    assert np.all(truth.values <= found.upper)
    start = fractions(play.mdp.initial)
    earned = (linear_instances.visits(model.kernels, rows, start) * model.rewards).sum()
    assert earned == start @ truth.values[0]


def test_the_potential_is_attained_where_a_width_is_one():
    design = Design(fractions([[2.0]]), Fraction(4), fractions([0.0]))
    _, widths = linear_designs.updated(design)
    assert widths == [1]
    assert linear_designs.determinant_ratio(widths) == 2 ** sum(widths)


@pytest.mark.parametrize("features", [[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]] * 3])
def test_the_determinant_is_attained_by_factors_drawn_equally_often(features):
    design = Design(fractions(features), Fraction(1, 2), fractions([0.0, 0.0]))
    left, right = linear_designs.trace_sides(design)
    assert np.all(left == right)


@SEEDS
def test_with_two_factors_the_diagonal_form_dominates(seed):
    design = linear_designs.sample_counts(tape(seed), 2)
    elliptical, diagonal = linear_bonuses.diagonal_sides(design)
    assert elliptical <= diagonal


@SEEDS
@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_diagonal_form_misses_no_more_than_the_dimension(seed, size):
    design = linear_designs.sample_counts(tape(seed), size)
    elliptical, diagonal = linear_bonuses.diagonal_sides(design)
    assert elliptical <= size * diagonal


@SEEDS
def test_lengths_are_the_roots_of_the_inverse_of_a_design(seed):
    instance = linear_bonuses.sample_widths(tape(seed), 3)
    rows = instance.lengths[:, None] * instance.directions
    assert np.all((instance.directions**2).sum(axis=1) == 1)
    assert np.all(np.diagonal(rows @ rows.T) == instance.lengths**2)


def test_twice_the_bonuses_are_lost_by_a_misled_policy():
    lost = [
        linear_learning.pessimism_sides(linear_learning.sample_misled(tape(seed), 1))
        for seed in range(40)
    ]
    # Of one state: the second entry is V* - V of the policy, against twice the bonuses.
    assert any(left[1] == right[1] > 0 for left, right in lost)


@SEEDS
def test_the_price_needs_no_fail_state(seed):
    source = tape(seed)
    mdp = linear_instances.linear_mdp(source, 3, 2, 2, 3)
    instance = linear_robustness.TwoRadii(mdp, Fraction(0), Fraction(source.integer(0, 16), 16))
    price, most = linear_robustness.price_sides(instance)
    assert np.all(price <= most)


@SEEDS
def test_without_a_fail_state_the_dual_lacks_the_radius_times_the_least_value(seed):
    factor = linear_duals._no_fail_state(tape(seed), 3)
    truth, dual = linear_duals.fail_sides(factor)
    assert truth - dual == factor.radius * factor.values.min()


def test_another_set_is_refused():
    mdp = linear_instances.linear_mdp(tape(0), 2, 1, 2, 1)
    with pytest.raises(TypeError, match=r"uncertainty is KullbackLeibler.*expected TotalVariation"):
        linear_instances.exact(RobustLinearMDP(mdp, KullbackLeibler(0.1)))


def test_fail_states_absorb_without_reward():
    model = linear_instances.robust_mdp(tape(1), 3, 2, 3, 2, fail=True)
    assert model.nominal.fail_state == 2
    assert np.all(linear_instances.robust(linear_instances.exact(model)).values[:, 2] == 0)
    assert isinstance(model.uncertainty, TotalVariation)
