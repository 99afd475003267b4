"""Planners: certified bounds contain the exact rational solution, always; methods agree."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, episodic_mdps, policies

from rltheory.tabular import (
    DiscountedMDP,
    backward_induction,
    evaluate_policy,
    linear_programming,
    modified_policy_iteration,
    occupancy_measure,
    policy_iteration,
    relative_value_iteration,
    value_iteration,
)

PLANNERS = {
    "jacobi": value_iteration,
    "gauss_seidel": lambda m, **k: value_iteration(m, method="gauss_seidel", **k),
    "anderson": lambda m, **k: value_iteration(m, method="anderson", **k),
    "modified": modified_policy_iteration,
    "policy": policy_iteration,
    "linear_program": linear_programming,
}


def _encloses(solution, exact):
    return all(
        Fraction(float(low)) <= value <= Fraction(float(high))
        for low, value, high in zip(
            solution.lower.ravel(), exact.ravel(), solution.upper.ravel(), strict=True
        )
    )


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("tolerance", [1e-8, 1.0])
@given(mdp=discounted_mdps(), sparse=st.booleans())
@settings(max_examples=12, deadline=None)
def test_bounds_contain_the_exact_rational_optimum(planner, tolerance, mdp, sparse):
    exact = policy_iteration(mdp, arithmetic="rational")
    scale = max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    solution = PLANNERS[planner](mdp.to_sparse() if sparse else mdp, tolerance=tolerance * scale)
    assert solution.converged
    assert solution.gap <= tolerance * scale
    assert _encloses(solution, exact.values)


@given(mdp=discounted_mdps(max_states=4), data=st.data())
@settings(max_examples=20, deadline=None)
def test_rational_policy_iteration_beats_every_deterministic_policy(mdp, data):
    exact = policy_iteration(mdp, arithmetic="rational")
    other = data.draw(policies(mdp)).argmax(axis=1)
    value = evaluate_policy(mdp, other, arithmetic="rational").values
    assert all(value <= exact.values)
    own = evaluate_policy(mdp, exact.policy, arithmetic="rational").values
    assert all(own == exact.values)


@pytest.mark.parametrize("planner", PLANNERS)
@given(mdp=discounted_mdps())
@settings(max_examples=10, deadline=None)
def test_the_policy_attains_the_lower_bound(planner, mdp):
    solution = PLANNERS[planner](mdp, tolerance=1e-2)
    attained = evaluate_policy(mdp, solution.policy, arithmetic="rational").values
    assert all(v >= Fraction(float(low)) for v, low in zip(attained, solution.lower, strict=True))


@pytest.mark.parametrize("method", ["direct", "iterative"])
@given(mdp=discounted_mdps(), sparse=st.booleans(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_evaluation_encloses_the_exact_value(method, mdp, sparse, data):
    policy = data.draw(policies(mdp))
    exact = evaluate_policy(mdp, policy, arithmetic="rational").values
    model = mdp.to_sparse() if sparse else mdp
    assert _encloses(evaluate_policy(model, policy, method=method), exact)


@given(mdp=discounted_mdps(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_occupancy_reproduces_the_value(mdp, data):
    policy = data.draw(policies(mdp))
    occupancy = occupancy_measure(mdp, policy)
    assert occupancy.sum() == pytest.approx(1.0, abs=1e-9)
    reward = np.where(mdp.available, mdp.rewards, 0.0)
    value = mdp.initial @ evaluate_policy(mdp, policy).values
    scale = max(1.0, np.abs(reward).max())
    assert (occupancy * reward).sum() == pytest.approx((1 - mdp.discount) * value, abs=1e-9 * scale)


@given(mdp=episodic_mdps(), data=st.data())
@settings(max_examples=20, deadline=None)
def test_backward_induction_encloses_the_exact_values(mdp, data):
    policy = data.draw(st.none() | policies(mdp))
    exact = backward_induction(mdp, policy=policy, arithmetic="rational")
    assert _encloses(backward_induction(mdp, policy=policy), exact.values)


def test_backward_induction_equals_enumeration_of_all_plans():
    rng = np.random.default_rng(0)
    transitions = rng.dirichlet(np.ones(2), size=(2, 2, 2))
    rewards = rng.normal(size=(2, 2, 2))
    from itertools import product

    from rltheory.tabular import EpisodicMDP

    mdp = EpisodicMDP(transitions, rewards)
    best = np.full(2, -np.inf)
    for plan in product(range(2), repeat=4):
        actions = np.array(plan).reshape(2, 2)
        late = rewards[1, [0, 1], actions[1]]
        early = rewards[0, [0, 1], actions[0]] + transitions[0, [0, 1], actions[0]] @ late
        best = np.maximum(best, early)
    np.testing.assert_allclose(backward_induction(mdp).values[0], best, atol=1e-12)


def test_average_reward_of_a_periodic_cycle():
    transitions = np.zeros((3, 1, 3))
    transitions[[0, 1, 2], 0, [1, 2, 0]] = 1.0
    solution = relative_value_iteration(DiscountedMDP(transitions, [[3.0], [0.0], [0.0]], 0.9))
    assert solution.converged
    assert solution.gain.contains(1.0)
    np.testing.assert_allclose(solution.bias - solution.bias[0], [0.0, -2.0, -1.0], atol=1e-6)


@given(mdp=discounted_mdps(max_states=4, gaps=False))
@settings(max_examples=15, deadline=None)
def test_average_reward_is_the_limit_of_discounting(mdp):
    mixed = 0.5 * mdp.transitions + 0.5 / mdp.states
    solution = relative_value_iteration(mdp.replace(transitions=mixed), tolerance=1.0)
    patient = mdp.replace(transitions=mixed, discount=1 - 1e-7)
    scale = np.abs(mdp.rewards).max()
    near = (1 - patient.discount) * policy_iteration(patient, tolerance=np.inf).values
    slack = 1e-6 * scale + 1e-9
    assert np.all(near >= solution.gain.lower - slack)
    assert np.all(near <= solution.gain.upper + slack)


def test_a_transition_array_is_not_copied():
    transitions = np.full((3, 2, 3), 1 / 3)
    mdp = DiscountedMDP(transitions, np.ones((3, 2)), 0.9)
    assert np.shares_memory(mdp.transitions, transitions)
    assert np.shares_memory(mdp.rows, transitions)
    assert not mdp.transitions.flags.writeable
    assert transitions.flags.writeable


def test_the_same_problem_gives_the_same_bits():
    rng = np.random.default_rng(1)
    mdp = DiscountedMDP(rng.dirichlet(np.ones(300), size=(300, 5)), rng.random((300, 5)), 0.95)
    first, second = value_iteration(mdp), value_iteration(mdp)
    assert first.values.tobytes() == second.values.tobytes()


GOOD = {"transitions": np.full((2, 2, 2), 0.5), "rewards": np.ones((2, 2)), "discount": 0.9}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transitions": np.full((2, 2, 2), 0.4)}, r"transitions\[0, 0\] sums to 0.8"),
        ({"transitions": np.full((2, 2, 3), 1 / 3)}, r"expected \(2, 2, 2\)"),
        ({"transitions": np.full((2, 2, 2), np.nan)}, r"transitions\[0, 0, 0\] is nan"),
        ({"transitions": np.array([[[1.5, -0.5]] * 2] * 2)}, r"is -0.5; probabilities"),
        ({"rewards": np.array([[1.0, np.nan], [0.0, 0.0]])}, r"rewards\[0, 1\] is nan"),
        ({"rewards": np.array([[-np.inf] * 2, [0.0] * 2])}, r"rewards\[0\] is -inf for every"),
        ({"rewards": np.zeros((2, 0))}, r"length >= 1"),
        ({"discount": 1.0}, r"discount is 1.0"),
        ({"discount": float("nan")}, r"discount is nan"),
        ({"initial": [0.5, 0.6]}, r"initial sums to 1.1"),
    ],
)
def test_bad_models_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=message):
        DiscountedMDP(**(GOOD | change))


def test_bad_arguments_are_refused_by_name():
    mdp = DiscountedMDP(**GOOD)
    with pytest.raises(ValueError, match="method is 'newton'"):
        value_iteration(mdp, method="newton")
    with pytest.raises(ValueError, match="tolerance is -1"):
        value_iteration(mdp, tolerance=-1)
    with pytest.raises(ValueError, match="policy holds action 5"):
        evaluate_policy(mdp, np.array([0, 5]))
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        policy_iteration(mdp, arithmetic="decimal")
