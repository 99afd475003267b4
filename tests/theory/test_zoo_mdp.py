"""What the records of the zoo on MDPs compute with, against solvers and other sums."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from rltheory.tabular.constrained import lagrangian_dual, solve_constrained
from rltheory.tabular.dual_ascent import dual_ascent
from rltheory.tabular.mdpo import mdpo
from rltheory.tabular.multi_objective import chebyshev, shortfall, vector_returns
from rltheory.tabular.path_consistency import soft_backward_induction, token_tree
from rltheory.tabular.policies import one_hot
from rltheory.tabular.soft_policy_iteration import soft_evaluation, soft_improvement
from rltheory.theory import balls, constrained_exact, token_trees
from rltheory.theory.exact import fractions
from rltheory.theory.records import (
    zoo_constrained,
    zoo_constrained_learning,
    zoo_hypervolume,
    zoo_mdpo,
    zoo_multi_objective,
    zoo_oreo_limits,
    zoo_sac,
)
from rltheory.theory.sides import to_bounds
from rltheory.theory.tape import Tape

SEEDS = pytest.mark.parametrize("seed", range(8))


def tape(seed):
    return Tape(seed=(seed, 6))


@SEEDS
def test_exact_optima_lie_in_the_bounds_of_the_solver(seed):
    instance = zoo_constrained.sample_several(tape(seed), 3)
    best, flow = constrained_exact.optimum(instance)
    # Budgets are rational: those of the solver may be off by a rounding.
    budgets = np.array([float(b) for b in instance.budgets])
    found = solve_constrained(instance.mdp, instance.costs, budgets)
    assert found.bounds.lower - 1e-9 <= best <= found.bounds.upper + 1e-9
    assert sum(flow.ravel()) == 1


@SEEDS
def test_least_dual_value_is_where_the_solver_says(seed):
    instance = constrained_exact.sample_limited(tape(seed), 3)
    table = constrained_exact.table(instance.mdp, instance.cost)
    value, price = constrained_exact.dual_minimum(table, instance.budget)
    point = lagrangian_dual(instance.mdp, instance.cost, float(instance.budget), float(price))
    np.testing.assert_allclose(point.value.upper, float(value), rtol=1e-9)
    for other in np.linspace(0, 4 * float(price) + 1, 15):
        above = lagrangian_dual(instance.mdp, instance.cost, float(instance.budget), other)
        assert above.value.upper >= float(value) - 1e-9


@SEEDS
def test_exact_dual_ascent_is_the_public_one(seed):
    instance = constrained_exact.sample_limited(tape(seed), 2)
    left, right = zoo_constrained_learning.ascended_sides(instance)
    path = dual_ascent(
        instance.mdp, instance.cost, float(instance.budget), step=float(instance.number),
        iterations=instance.rounds,
    )  # fmt: skip
    # Where responses tie another one may have been played: a best response all the same.
    if abs(path.average_values[-1] - float(right[1])) < 1e-9:
        np.testing.assert_allclose(path.average_excess[-1, 0], float(left[0]), atol=1e-9)
    table = constrained_exact.table(instance.mdp, instance.cost)
    for price, value, excess in zip(
        path.multipliers[:, 0], path.values, path.excess[:, 0], strict=True
    ):
        heights = table.values.astype(float) - price * table.costs.astype(float)
        own = value - price * (excess + float(instance.budget))
        np.testing.assert_allclose(own, heights.max(), atol=1e-9)


@SEEDS
def test_programs_over_weights_and_mixtures_agree_with_highs(seed):
    instance = zoo_multi_objective.sample_vectors(tape(seed), 2)
    points = zoo_multi_objective.returns(instance.mdp, instance.objectives)
    point = points[instance.chosen]
    plain, own = points.astype(float), point.astype(float)
    missed = float(zoo_multi_objective.missed_by_weights(points, point))
    np.testing.assert_allclose(shortfall(own, plain), missed, atol=1e-8)
    count, objectives = plain.shape
    program = linprog(
        np.append(np.zeros(objectives), 1.0),
        A_ub=np.column_stack([plain - own, -np.ones(count)]),
        b_ub=np.zeros(count),
        A_eq=[[1.0] * objectives + [0.0]],
        b_eq=[1.0],
        bounds=[(0, None)] * objectives + [(None, None)],
    )
    np.testing.assert_allclose(program.fun, missed, atol=1e-8)
    found = chebyshev(instance.mdp, instance.objectives, reference=own)
    mixed = zoo_multi_objective.dominated_by_mixtures(instance, point)
    np.testing.assert_allclose(found.bounds.upper, float(mixed), atol=1e-7)
    plans = list(product(range(instance.mdp.actions), repeat=instance.mdp.states))
    policy = one_hot(np.array(plans[instance.chosen]), instance.mdp.actions)
    returns = vector_returns(instance.mdp, instance.objectives, policy)
    np.testing.assert_allclose(returns, own, rtol=1e-10)


@SEEDS
def test_trees_in_balls_are_the_public_ones(seed):
    tree = token_trees.sample_tree(tape(seed), 2)
    count = tree.rewards[0].shape[1]
    final = np.zeros((count, count))
    for path in token_trees.paths(tree):
        final[path.tokens] = float(sum(token_trees.along(tree.rewards, path)))
    reference = np.full((2, count, count), 1 / count)
    reference[0, 0] = tree.reference[0].astype(float)[0]
    reference[1] = tree.reference[1].astype(float)
    model = token_tree(final.ravel(), 2, count)
    heat = float(tree.temperature)
    found = soft_backward_induction(model, temperature=heat, reference=reference)
    values, policy = token_trees.soft_values(tree)
    bounds = balls.to_bounds(values[0])
    np.testing.assert_allclose(found.values[0, 0], bounds.lower[0], rtol=1e-12, atol=1e-12)
    first = balls.to_bounds(policy[0])
    np.testing.assert_allclose(found.policy[0, 0], first.lower[0], rtol=1e-10)


@SEEDS
def test_soft_steps_in_balls_are_the_public_ones(seed):
    instance = zoo_sac.sample_soft(tape(seed), 3)
    heat, policy = float(instance.temperature), instance.policy.astype(float)
    policy /= policy.sum(axis=1, keepdims=True)
    left, _ = zoo_sac.improved_sides(instance)
    old = soft_evaluation(instance.mdp, policy, temperature=heat)
    new = soft_improvement(instance.mdp, old.values, temperature=heat)
    gain = soft_evaluation(instance.mdp, new, temperature=heat).values - old.values
    np.testing.assert_allclose(gain, to_bounds(left).lower, atol=1e-10)


@SEEDS
def test_inner_steps_in_balls_are_the_public_ones(seed):
    inner = zoo_mdpo.sample_inner(tape(seed), 3)
    mdp, policy, step = inner.mirror
    start = policy.astype(float)
    path = mdpo(
        mdp, step=float(step), iterations=1, inner_steps=inner.steps,
        inner_rate=float(inner.share), inner="natural",
        initial_policy=start / start.sum(axis=1, keepdims=True),
    )  # fmt: skip
    left, _ = zoo_mdpo.repeated_sides(inner)
    np.testing.assert_allclose(path.policy.ravel(), to_bounds(left).lower, atol=1e-11)


def test_a_hypervolume_by_hand():
    cloud = zoo_hypervolume.Cloud(
        fractions(np.array([[2.0, 1.0], [1.0, 2.0]])), fractions(np.zeros(2))
    )
    assert zoo_hypervolume.volume_sides(cloud) == (Fraction(3), Fraction(3))


def test_values_shrink_by_the_known_factor():
    """With values x v the loss is (x^2 + (1 - x)^2) v^2: at one half it is half."""
    left, right = zoo_oreo_limits.shrunk_sides(zoo_oreo_limits.Coin((Fraction(1), Fraction(2))))
    value = np.log((np.e + np.e**2) / 2)
    np.testing.assert_allclose(right.lower, value**2, rtol=1e-12)
    np.testing.assert_allclose(left.lower, value**2 / 2, rtol=1e-12)


def test_what_is_lost_without_one_response():
    gap = zoo_oreo_limits.Gap(12, Fraction(1, 2**12))
    _, lost = zoo_oreo_limits.missed_sides(gap)
    rare = 2.0**-12
    policy, earned = np.array([1 - rare, rare]), np.array([0.0, 12.0])
    best = np.log(np.exp(earned).mean())
    expected = best - policy @ (earned - np.log(2 * policy))
    np.testing.assert_allclose(lost.lower, expected, rtol=1e-12)
