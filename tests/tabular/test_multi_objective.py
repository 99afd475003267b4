"""Several objectives: dominance, hypervolume, fronts and weights, against brute force."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps

from rltheory.analysis.rational import to_fractions
from rltheory.tabular import DiscountedMDP, occupancy_measure, policy_iteration
from rltheory.tabular.dynamic_weighting import (
    fixed_weights,
    gradient_guided,
    hypervolume_factor,
    hypervolume_guided,
    influence_step,
    weighted_ascent,
)
from rltheory.tabular.multi_objective import (
    chebyshev,
    deterministic_front,
    pareto_front,
    scalarise,
    shortfall,
    vector_returns,
)
from rltheory.tabular.pareto import (
    hypervolume,
    hypervolume_contributions,
    hypervolume_subset,
    non_dominated,
)
from rltheory.tabular.policy_optimisation import policy_gradient

BANDIT = DiscountedMDP(np.ones((1, 3, 1)), np.zeros((1, 3)), 0.0)
MIDDLE = np.array([[[1.0, 0.4, 0.0]], [[0.0, 0.4, 1.0]]])
"""Two objectives of one choice: the second action is undominated, and below the chord."""


def clouds(least=1, most=4):
    """Up to seven points on a coarse grid, so that coordinates tie, and a reference."""
    return st.integers(least, most).flatmap(
        lambda k: st.tuples(
            st.lists(st.lists(st.integers(0, 5), min_size=k, max_size=k), min_size=1, max_size=7),
            st.lists(st.integers(-1, 2), min_size=k, max_size=k),
        )
    )


@given(clouds())
def test_non_dominated_is_its_definition(cloud):
    points = np.array(cloud[0], dtype=float)
    kept = non_dominated(points)
    for i, p in enumerate(points):
        beaten = any((q >= p).all() and (q > p).any() for q in points)
        again = any((q == p).all() for q in points[:i])
        assert kept[i] == (not beaten and not again)


@given(clouds())
def test_hypervolume_counts_cells(cloud):
    """On an integer grid it is the number of unit cells below some point."""
    points, base = np.array(cloud[0]), np.array(cloud[1])
    cells = np.stack(np.meshgrid(*[np.arange(b, 6) for b in base], indexing="ij"), axis=-1)
    covered = np.zeros(cells.shape[:-1], dtype=bool)
    for point in points:
        covered |= (cells + 1 <= point).all(axis=-1)
    assert hypervolume(points, base) == covered.sum()
    exact = hypervolume(to_fractions(points), to_fractions(base))
    assert isinstance(exact, Fraction)
    assert exact == covered.sum()


@given(clouds(2, 3))
@settings(max_examples=20)
def test_contributions_are_what_leaving_out_costs(cloud):
    points, base = np.array(cloud[0], dtype=float), np.array(cloud[1], dtype=float)
    found = hypervolume_contributions(points, base)
    assert np.all(found >= 0)
    for i, amount in enumerate(found):
        rest = np.delete(points, i, axis=0)
        below = hypervolume(rest, base) if len(rest) else 0.0
        assert amount == hypervolume(points, base) - below
        inside = (points[i] > base).all()
        assert (amount > 0) == (inside and not (rest >= points[i]).all(axis=1).any())


@given(clouds(2, 3), st.integers(1, 4))
@settings(max_examples=20)
def test_best_subsets_beat_all_others(cloud, size):
    points, base = np.array(cloud[0], dtype=float), np.array(cloud[1], dtype=float)
    chosen = hypervolume_subset(points, size, base)
    assert len(chosen) <= size
    assert list(chosen) == sorted(set(chosen))
    best = max(
        hypervolume(points[list(other)], base)
        for other in combinations(range(len(points)), min(size, len(points)))
    )
    mine = hypervolume(points[list(chosen)], base) if chosen else 0.0
    assert mine == best


def test_many_points_in_the_plane():
    angles = np.random.default_rng(0).uniform(0, np.pi / 2, 25)
    points = np.column_stack([np.cos(angles), np.sin(angles) ** 2])
    chosen = hypervolume_subset(points, 3, [0.0, 0.0])
    mine = hypervolume(points[list(chosen)], [0.0, 0.0])
    best = max(hypervolume(points[list(c)], [0.0, 0.0]) for c in combinations(range(25), 3))
    np.testing.assert_allclose(mine, best, rtol=1e-14)


def test_hypervolume_agrees_with_sampling():
    rng = np.random.default_rng(0)
    points, draws = rng.random((12, 3)), rng.random((200_000, 3))
    inside = (draws[:, None] < points).all(axis=2).any(axis=1)
    error = 4 * inside.std() / np.sqrt(len(draws))
    assert abs(hypervolume(points, np.zeros(3)) - inside.mean()) < error


@given(mdp=discounted_mdps(discounts=(0.0, 0.9)), seed=st.integers(0, 1000))
@settings(max_examples=15)
def test_returns_are_occupancies_times_rewards(mdp, seed):
    rng = np.random.default_rng(seed)
    objectives = rng.random((3, *mdp.rewards.shape))
    weights = rng.random(3)
    best = scalarise(mdp, objectives, weights)
    flow = occupancy_measure(mdp, best.policy) / (1 - mdp.discount)
    expected = [(flow * r).sum() for r in objectives]
    np.testing.assert_allclose(best.returns, expected, rtol=1e-10)
    np.testing.assert_allclose(vector_returns(mdp, objectives, best.policy), expected, rtol=1e-10)
    scalar = np.where(mdp.available, np.tensordot(weights, objectives, 1), -np.inf)
    optimum = mdp.initial @ policy_iteration(mdp.replace(rewards=scalar)).values
    assert best.bounds.lower - 1e-9 <= optimum <= best.bounds.upper + 1e-9
    np.testing.assert_allclose(weights @ best.returns, optimum, rtol=1e-9)


def models(seed, states=4, actions=3, objectives=2):
    rng = np.random.default_rng(seed)
    mdp = DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        np.zeros((states, actions)),
        0.8,
        rng.dirichlet(np.ones(states)),
    )
    return mdp, rng.random((objectives, states, actions))


@pytest.mark.parametrize("seed", range(3))
def test_front_of_randomised_policies_is_the_upper_hull_of_all(seed):
    mdp, objectives = models(seed)
    hull, every = pareto_front(mdp, objectives), deterministic_front(mdp, objectives)
    assert hull.gap < 1e-9
    on_hull = every.points[every.shortfall < 1e-7]
    np.testing.assert_allclose(hull.points, on_hull, atol=1e-9)
    for policy, point in zip(hull.policies, hull.points, strict=True):
        np.testing.assert_allclose(vector_returns(mdp, objectives, policy), point, rtol=1e-12)
    # By angle: no weights get more than the best corner.
    for angle in np.linspace(0, np.pi / 2, 20):
        weights = np.array([np.cos(angle), np.sin(angle)]).clip(0)
        best = scalarise(mdp, objectives, weights).bounds.lower
        assert (hull.points @ weights).max() >= best - 1e-8
    assert np.all(np.diff(hull.points[:, 0]) > 0)
    assert np.all(np.diff(hull.points[:, 1]) < 0)


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("seed", range(2))
def test_chebyshev_dominates_by_what_weights_miss(seed, objectives):
    mdp, rewards = models(seed, objectives=objectives)
    front = deterministic_front(mdp, rewards)
    for point, missed in zip(front.points[:4], front.shortfall[:4], strict=True):
        found = chebyshev(mdp, rewards, reference=point)
        np.testing.assert_allclose(found.bounds.upper, missed, atol=1e-7)
        assert found.bounds.gap < 1e-7
        assert np.all(found.returns >= point + found.bounds.lower - 1e-9)
        # Nothing beats it in every objective by more, on a simplex of weights.
        weights = np.random.default_rng(seed).dirichlet(np.ones(objectives), size=20)
        leads = [float(scalarise(mdp, rewards, w).bounds.upper) - w @ point for w in weights]
        assert min(leads) >= found.bounds.lower - 1e-9


def test_chebyshev_scales():
    found = chebyshev(BANDIT, MIDDLE, reference=[0.0, 0.0], scales=[1.0, 3.0])
    np.testing.assert_allclose(found.returns, [0.25, 0.75], atol=1e-8)
    np.testing.assert_allclose(found.weights @ [1.0, 3.0], 1.0, rtol=1e-9)


def test_weights_miss_a_point_that_hypervolume_takes():
    front = deterministic_front(BANDIT, MIDDLE)
    np.testing.assert_allclose(front.shortfall, [0.0, 0.1, 0.0], atol=1e-9)
    for share in np.linspace(0, 1, 21):
        chosen = scalarise(BANDIT, MIDDLE, [share, 1 - share]).policy
        assert chosen[0, 1] == 0.0
    assert 1 in hypervolume_subset(front.points, 3, [-0.1, -0.1])
    assert hypervolume_subset(front.points, 1, [-0.1, -0.1]) == (1,)
    assert len(pareto_front(BANDIT, MIDDLE).points) == 2


def test_deterministic_front_against_plain_enumeration():
    mdp, objectives = models(1, states=3, actions=2, objectives=3)
    plans = [np.eye(2)[[a, b, c]] for a in range(2) for b in range(2) for c in range(2)]
    points = np.array([vector_returns(mdp, objectives, plan) for plan in plans])
    kept = points[non_dominated(points)]
    np.testing.assert_allclose(
        deterministic_front(mdp, objectives).points, kept[np.argsort(kept[:, 0])], rtol=1e-12
    )
    assert shortfall(points[0], points[:1]) == pytest.approx(0.0, abs=1e-12)


# Weights that move.


def test_fixed_weights_are_the_policy_gradient_of_the_weighted_reward():
    mdp, objectives = models(2)
    weights = np.array([0.3, 0.7])
    path = weighted_ascent(
        mdp, objectives, weighting=fixed_weights(weights), step=2.0, iterations=30
    )
    scalar = mdp.replace(rewards=np.tensordot(weights, objectives, 1))
    plain = policy_gradient(scalar, step=2.0, iterations=30)
    np.testing.assert_allclose(path.returns @ weights, plain.values, rtol=1e-10)
    np.testing.assert_allclose(path.policy, plain.policy, atol=1e-12)


def test_the_hypervolume_rule_only_rescales_steps():
    mdp, objectives = models(3)
    guided = weighted_ascent(
        mdp, objectives, weighting=hypervolume_guided([0.5, 0.5]), step=2.0, iterations=40
    )
    assert guided.factors[0] == 1.0
    assert np.all((guided.factors >= 0.5) & (guided.factors < 2.0))
    assert np.ptp(guided.factors) > 0.1
    scalar = mdp.replace(rewards=objectives.mean(axis=0))
    steps = policy_gradient(scalar, step=2.0 * guided.factors, iterations=40)
    np.testing.assert_allclose(guided.returns.mean(axis=1), steps.values, rtol=1e-10)


def test_the_hypervolume_rule_leaves_the_middle_action():
    """From near the middle point, which no fixed weights select, it goes to a corner."""
    start = np.array([[0.01, 0.98, 0.01]])
    path = weighted_ascent(
        BANDIT, MIDDLE, weighting=hypervolume_guided([0.55, 0.45]), step=40.0,
        iterations=500, initial_policy=start,
    )  # fmt: skip
    assert path.policy[0, 1] < 1e-2
    assert hypervolume_factor(0.0) == 0.5
    assert hypervolume_factor(100.0) == 2.0


def test_gradient_weights_follow_the_longest_gradient():
    gradients = np.array([[3.0, 0.0], [0.0, 1.0]])
    moved = influence_step(np.array([0.5, 0.5]), gradients, 1.0)
    # Influences 9 / 10 and 1 / 10.
    np.testing.assert_allclose(moved[0] / moved[1], np.exp(0.8), rtol=1e-14)
    mdp, objectives = models(4)
    path = weighted_ascent(
        mdp, np.array([objectives[0], 0.05 * objectives[1]]),
        weighting=gradient_guided([0.5, 0.5], rate=0.1), step=1.0, iterations=50,
    )  # fmt: skip
    assert np.all(np.diff(path.weights[:, 0]) > 0)
    np.testing.assert_allclose(path.weights.sum(axis=1), 1.0, rtol=1e-14)
    flat = influence_step(np.array([0.2, 0.8]), np.zeros((2, 3)), 1.0)
    np.testing.assert_array_equal(flat, [0.2, 0.8])


BAD = {
    "points has shape": lambda: hypervolume([1.0, 2.0], [0.0, 0.0]),
    r"points\[0, 1\] is nan": lambda: hypervolume([[1.0, np.nan]], [0.0, 0.0]),
    "reference has shape": lambda: hypervolume([[1.0, 2.0]], [0.0]),
    r"reference\[0, 0\] is inf": lambda: hypervolume([[1.0, 2.0]], [np.inf, 0.0]),
    "size is 0": lambda: hypervolume_subset([[1.0, 2.0]], 0, [0.0, 0.0]),
    "subsets of 60 points": lambda: hypervolume_subset(_sphere(60), 10, np.zeros(3)),
    "objectives has shape": lambda: scalarise(BANDIT, MIDDLE[:, :, :2], [1.0, 1.0]),
    r"objectives\[0, 0, 0\] is nan": lambda: scalarise(BANDIT, MIDDLE * np.nan, [1.0, 1.0]),
    "objectives is empty": lambda: scalarise(BANDIT, np.empty((0, 1, 3)), []),
    "weights has shape": lambda: scalarise(BANDIT, MIDDLE, [1.0]),
    "weights holds": lambda: scalarise(BANDIT, MIDDLE, [1.0, -1.0]),
    "scales holds": lambda: chebyshev(BANDIT, MIDDLE, reference=[0, 0], scales=[0.0, 1.0]),
    r"reference\[0\] is nan": lambda: chebyshev(BANDIT, MIDDLE, reference=[np.nan, 0.0]),
    "objectives has 3 of them": lambda: pareto_front(BANDIT, np.zeros((3, 1, 3))),
    "3 deterministic policies": lambda: deterministic_front(BANDIT, MIDDLE, most=2),
    "gain is -1": lambda: hypervolume_factor(-1.0),
    "multiplicative steps": lambda: gradient_guided([0.0, 1.0], rate=0.1),
    "weights is empty": lambda: fixed_weights([]),
    "iterations is 0": lambda: weighted_ascent(
        BANDIT, MIDDLE, weighting=fixed_weights([1.0, 1.0]), step=1.0, iterations=0
    ),
    r"initial_policy\[0, 0\] is 0": lambda: weighted_ascent(
        BANDIT, MIDDLE, weighting=fixed_weights([1.0, 1.0]), step=1.0, iterations=1,
        initial_policy=[[0.0, 0.5, 0.5]],
    ),
}  # fmt: skip


def _sphere(count):
    points = np.abs(np.random.default_rng(0).normal(size=(count, 3))) + 0.01
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_points_that_are_not_numbers():
    with pytest.raises(TypeError, match="points must be an array of real numbers"):
        hypervolume([["a", "b"]], [0.0, 0.0])
