"""Constrained MDPs: certified optima, duals, budgets met, multipliers that settle or circle."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps

from rltheory.tabular import DiscountedMDP, evaluate_policy, occupancy_measure, policy_iteration
from rltheory.tabular.constrained import lagrangian_dual, solve_constrained
from rltheory.tabular.dual_ascent import dual_ascent, primal_dual


def model(seed, states=5, actions=3, discount=0.9):
    rng = np.random.default_rng(seed)
    return DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        rng.random((states, actions)),
        discount,
        rng.dirichlet(np.ones(states)),
    )


def case(seed, constraints=1, share=0.4):
    """An MDP, costs and budgets a share of the way from a safe policy's costs to the optimum's."""
    mdp = model(seed)
    rng = np.random.default_rng([seed, 1])
    costs = rng.random((constraints, *mdp.rewards.shape)) + mdp.rewards
    safe = policy_iteration(mdp.replace(rewards=-costs.sum(0))).policy
    free = policy_iteration(mdp).policy
    ends = [spent(mdp, costs, policy) for policy in (safe, free)]
    return mdp, costs, (1 - share) * ends[0] + share * ends[1]


def spent(mdp, costs, policy):
    """Discounted costs by the Neumann closed form."""
    kernel = (policy[:, :, None] * mdp.to_dense().transitions).sum(1)
    charged = (policy * np.where(mdp.available, costs, 0.0)).sum(-1)
    system = np.eye(mdp.states) - mdp.discount * kernel
    return charged @ np.linalg.solve(system.T, mdp.initial)


def by_cvxpy(mdp, costs, budgets):
    x = cp.Variable(mdp.rewards.shape, nonneg=True)
    flow = [
        cp.sum(x[s]) - mdp.discount * cp.sum(cp.multiply(x, mdp.transitions[:, :, s]))
        == mdp.initial[s]
        for s in range(mdp.states)
    ]
    limits = [cp.sum(cp.multiply(x, c)) <= b for c, b in zip(costs, budgets, strict=True)]
    problem = cp.Problem(cp.Maximize(cp.sum(cp.multiply(x, mdp.rewards))), flow + limits)
    return problem.solve(solver="CLARABEL")


@pytest.mark.parametrize("constraints", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_optimum_agrees_with_an_interior_point_method(seed, constraints):
    mdp, costs, budgets = case(seed, constraints)
    found = solve_constrained(mdp, costs, budgets)
    assert found.converged
    assert found.gap < 1e-10
    assert found.violation == 0.0
    assert np.all(spent(mdp, costs, found.policy) <= budgets)
    np.testing.assert_allclose(found.value, by_cvxpy(mdp, costs, budgets), rtol=1e-6)
    randomised = ((found.occupancy > 1e-9).sum(axis=1) > 1).sum()
    assert randomised <= constraints
    np.testing.assert_allclose(found.occupancy, occupancy_measure(mdp, found.policy), atol=1e-15)
    np.testing.assert_allclose(found.costs, spent(mdp, costs, found.policy), rtol=1e-12)


@given(mdp=discounted_mdps(discounts=(0.0, 0.5, 0.9)), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_bounds_hold_for_any_other_policy(mdp, seed):
    """No policy within the budgets is above the upper bound; the answer is one of them."""
    rng = np.random.default_rng(seed)
    costs = np.round(rng.random((2, *mdp.rewards.shape)), 2)
    others = rng.random((20, *mdp.rewards.shape)) ** 4 * mdp.available
    others /= others.sum(-1, keepdims=True)
    charges = np.array([spent(mdp, costs, p) for p in others])
    budgets = np.quantile(charges, 0.6, axis=0)
    inside = (charges <= budgets).all(axis=1)
    assume(inside.any())
    found = solve_constrained(mdp, costs, budgets)
    scale = np.abs(mdp.rewards[mdp.available]).max() / (1 - mdp.discount) + 1
    assert found.gap <= 1e-6 * scale
    for policy in others[inside]:
        assert (
            mdp.initial @ evaluate_policy(mdp, policy).lower <= found.bounds.upper + 1e-12 * scale
        )
    assert found.bounds.lower <= found.value + 1e-12 * scale
    assert np.all(found.costs <= budgets + found.violation + 1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_loose_budgets_leave_the_optimum(sparse):
    mdp = model(0).to_sparse() if sparse else model(0)
    found = solve_constrained(mdp, np.ones((5, 3)), 11.0)
    best = policy_iteration(mdp)
    np.testing.assert_allclose(found.value, mdp.initial @ best.values, rtol=1e-12)
    assert found.multipliers == pytest.approx([0.0])


@given(seed=st.integers(0, 1000), prices=st.lists(st.floats(0, 20), min_size=2, max_size=2))
@settings(max_examples=10)
def test_dual_is_above_the_optimum_and_its_slope_supports_it(seed, prices):
    mdp, costs, budgets = case(seed, 2)
    best = solve_constrained(mdp, costs, budgets)
    point = lagrangian_dual(mdp, costs, budgets, prices)
    assert point.value.upper >= best.bounds.lower
    at_best = lagrangian_dual(mdp, costs, budgets, best.multipliers)
    line = point.value.lower - point.excess @ (best.multipliers - prices)
    assert at_best.value.upper >= line - 1e-9
    # Attained by the policy that comes with it.
    lagrangian = point.reward - np.array(prices) @ point.excess
    np.testing.assert_allclose(lagrangian, point.value.upper, rtol=1e-10, atol=1e-9)


def test_a_single_state_mixes_two_actions():
    """Altman's simplest case: rewards and costs 0 and 1, budget b: value b, multiplier 1."""
    mdp = DiscountedMDP(np.ones((1, 2, 1)), np.array([[0.0, 1.0]]), 0.5)
    found = solve_constrained(mdp, np.array([[0.0, 1.0]]), 0.5)
    np.testing.assert_allclose(found.policy, [[0.75, 0.25]], atol=1e-9)
    np.testing.assert_allclose([found.value, *found.multipliers], [0.5, 1.0], atol=1e-9)


def test_unattainable_budgets_are_refused_with_a_proof():
    mdp, costs, _ = case(3, 2)
    least = -policy_iteration(mdp.replace(rewards=-costs[0])).values @ mdp.initial
    with pytest.raises(ValueError, match=r"budgets .* cannot be met: weighted by .* at least 0\.1"):
        solve_constrained(mdp, costs, [least - 0.1001, 100.0])


def test_budgets_that_only_just_can_be_met_are_reported():
    mdp = model(1)
    found = solve_constrained(mdp, np.zeros((5, 3)), 0.0)
    assert 0 < found.violation < 1e-12
    assert not found.converged
    np.testing.assert_allclose(found.value, mdp.initial @ policy_iteration(mdp).values, rtol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_dual_ascent_keeps_its_promises(seed):
    mdp, costs, budgets = case(seed, 2)
    best = solve_constrained(mdp, costs, budgets)
    step, count = 0.05, 150
    path = dual_ascent(mdp, costs, budgets, step=step, iterations=count)
    last = np.maximum(path.multipliers[-1] + step * path.excess[-1], 0.0)
    assert np.all(path.average_excess[-1] <= last / (step * count) + 1e-10)
    squares = np.square(path.excess).sum(axis=1).mean()
    floor = best.bounds.lower + last @ last / (2 * step * count) - step / 2 * squares
    assert path.average_values[-1] >= floor - 1e-10
    # The average is that of occupancies: one stationary policy attains it.
    earned = mdp.initial @ evaluate_policy(mdp, path.average_policy).values
    np.testing.assert_allclose(earned, path.average_values[-1], rtol=1e-10)
    over = spent(mdp, costs, path.average_policy) - budgets
    np.testing.assert_allclose(over, path.average_excess[-1], atol=1e-10)
    # Last iterates are deterministic, and so cannot spend the budgets.
    assert set(np.unique(path.policy)) <= {0.0, 1.0}


def test_a_proportional_term_stops_the_circles_of_gradual_policies():
    mdp, costs, budgets = case(1, 1)
    best = solve_constrained(mdp, costs, budgets)
    runs = {
        gain: primal_dual(
            mdp, costs, budgets, step=0.5, policy_step=1.0, iterations=500, proportional=gain
        )
        for gain in (0.0, 2.0)
    }
    swings = {gain: np.abs(run.excess[-60:]).max() for gain, run in runs.items()}
    assert swings[2.0] < 1e-3
    assert swings[0.0] > 20 * swings[2.0]
    np.testing.assert_allclose(runs[2.0].values[-1], best.value, atol=1e-3)
    np.testing.assert_allclose(runs[2.0].multipliers[-1], best.multipliers, atol=1e-2)


BAD = {
    "costs has shape": lambda m, c: solve_constrained(m, c[:, :2], 1.0),
    r"costs\[0, 1, 1\] is nan": lambda m, c: solve_constrained(m, _with_nan(c), 1.0),
    "costs is empty": lambda m, c: solve_constrained(m, np.empty((0, 5, 3)), []),
    "budgets has shape": lambda m, c: solve_constrained(m, c, [1.0, 2.0]),
    r"budgets\[0\] is inf": lambda m, c: solve_constrained(m, c, np.inf),
    "tolerance is -1": lambda m, c: solve_constrained(m, c, 1.0, tolerance=-1),
    r"multipliers\[0\] is -1": lambda m, c: lagrangian_dual(m, c, 1.0, -1.0),
    "iterations is 0": lambda m, c: dual_ascent(m, c, 1.0, step=0.1, iterations=0),
    "step is 0": lambda m, c: dual_ascent(m, c, 1.0, step=0.0, iterations=1),
    "proportional is -1": lambda m, c: dual_ascent(
        m, c, 1.0, step=0.1, iterations=1, proportional=-1
    ),
    r"initial_multipliers\[0\] is -2": lambda m, c: dual_ascent(
        m, c, 1.0, step=0.1, iterations=1, initial_multipliers=-2.0
    ),
    "policy_step is nan": lambda m, c: primal_dual(
        m, c, 1.0, step=0.1, policy_step=np.nan, iterations=1
    ),
    r"initial_policy\[0, 1\] is 0": lambda m, c: primal_dual(
        m, c, 1.0, step=0.1, policy_step=1, iterations=1, initial_policy=np.zeros(5, int)
    ),
}


def _with_nan(costs):
    bad = costs.copy()
    bad[1, 1] = np.nan
    return bad


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message](model(0), np.ones((5, 3)))


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="mdp is"):
        solve_constrained(None, np.ones((5, 3)), 1.0)
