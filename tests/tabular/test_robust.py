"""Robust solvers: each player's answer certifies the other's, and both match convex programs."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, episodic_mdps, policies

from rltheory.tabular import (
    DiscountedMDP,
    backward_induction,
    best_response_kernel,
    evaluate_policy,
    policy_iteration,
    robust_backward_induction,
    robust_evaluate_policy,
    robust_policy_iteration,
    robust_value_iteration,
)
from rltheory.tabular.robust_operator import RobustOperator
from rltheory.tabular.uncertainty import (
    L1,
    L2,
    ChiSquare,
    Contamination,
    Interval,
    KullbackLeibler,
    LInf,
    Penalised,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
    Wasserstein,
)


def _line_cost(states):
    return np.abs(np.subtract.outer(np.arange(states), np.arange(states))).astype(float)


BALLS = {
    "tv": lambda mdp, radius: TotalVariation(radius),
    "tv_support": lambda mdp, radius: TotalVariation(radius, support="nominal"),
    "l1": lambda mdp, radius: L1(radius),
    "linf": lambda mdp, radius: LInf(radius),
    "l2": lambda mdp, radius: L2(radius),
    "kl": lambda mdp, radius: KullbackLeibler(radius),
    "chi_square": lambda mdp, radius: ChiSquare(radius),
    "wasserstein": lambda mdp, radius: Wasserstein(radius, _line_cost(mdp.states)),
    "contamination": lambda mdp, radius: Contamination(min(radius, 1.0)),
}
OTHERS = {
    "penalised_tv": lambda mdp, radius: PenalisedTotalVariation(radius),
    "penalised_kl": lambda mdp, radius: PenalisedKullbackLeibler(radius + 0.1),
    "penalised_chi_square": lambda mdp, radius: PenalisedChiSquare(radius + 0.1),
    "penalised_l2": lambda mdp, radius: Penalised(L2(0.0), radius),
    "penalised_wasserstein": lambda mdp, radius: Penalised(
        Wasserstein(0.0, _line_cost(mdp.states)), radius
    ),
    "interval": lambda mdp, radius: Interval(
        np.maximum(mdp.to_dense().transitions - radius, 0.0),
        np.minimum(mdp.to_dense().transitions + radius, 1.0),
    ),
}
SETS = BALLS | OTHERS
PROMPT = (0.0, 0.5, 0.9)
"""Discounts at which sweeps are few: what is tested does not depend on them."""
RADII = st.sampled_from([0.0, 0.01, 0.2, 0.9, 50.0])


def _distance(name, q, p):
    """The divergence that the ball of this name bounds, of one row."""
    gap = np.abs(q - p)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "tv": gap.sum() / 2,
            "tv_support": gap.sum() / 2,
            "l1": gap.sum(),
            "linf": gap.max(),
            "l2": np.sqrt((gap**2).sum()),
            "kl": np.where(q > 0, q * np.log(q / p), 0.0).sum(),
            "chi_square": np.where(gap > 0, gap**2 / p, 0.0).sum(),
            "wasserstein": np.abs(np.cumsum(q - p)).sum(),
            "contamination": 1.0 - np.where(p > 0, np.minimum(q / p, 1.0), 1.0).min(),
        }[name]


def _distance_expression(name, q, p):
    """The same for CVXPY, with p positive."""
    return {
        "tv": lambda: cp.norm1(q - p) / 2,
        "l1": lambda: cp.norm1(q - p),
        "linf": lambda: cp.norm_inf(q - p),
        "l2": lambda: cp.norm2(q - p),
        "kl": lambda: cp.sum(cp.kl_div(q, p)),
        "chi_square": lambda: cp.sum(cp.multiply(cp.square(q - p), 1 / p)),
        "wasserstein": lambda: cp.norm1(cp.cumsum(q - p)),
        "contamination": lambda: cp.max(1 - cp.multiply(q, 1 / p)),
    }[name]()


@pytest.mark.parametrize("name", SETS)
@given(mdp=discounted_mdps(max_states=5, max_actions=3, discounts=PROMPT), radius=RADII)
@settings(max_examples=10, deadline=None)
def test_both_players_certify_the_value(name, mdp, radius):
    uncertainty = SETS[name](mdp, radius)
    scale = 1e-8 * max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    if name == "interval" and not mdp.available.all():
        return
    solution = robust_value_iteration(mdp, uncertainty, tolerance=scale)
    assert solution.gap <= scale
    improved = robust_policy_iteration(mdp, uncertainty, tolerance=scale)
    assert improved.gap <= scale
    # The two enclosures are of one value: they overlap.
    assert np.all(solution.lower <= improved.upper)
    assert np.all(improved.lower <= solution.upper)
    # The agent: its policy attains the lower bound against the worst kernel.
    attained = robust_evaluate_policy(mdp, solution.policy, uncertainty, tolerance=scale)
    assert np.all(attained.upper >= solution.lower)
    assert np.all(attained.lower <= solution.upper)
    # The adversary: no policy does better than the upper bound under its kernel.
    kernel = solution.worst_kernel
    q, rewards = (np.where(mdp.available, x, 0.0) for x in (solution.action_values, mdp.rewards))
    payments = (q - rewards - mdp.discount * kernel @ solution.values) * mdp.available
    if name.startswith("penalised"):
        assert payments.min() >= -2 * scale
    else:
        np.testing.assert_allclose(payments, 0.0, atol=2 * scale)
    worst = policy_iteration(mdp.replace(transitions=kernel, rewards=mdp.rewards + payments))
    np.testing.assert_allclose(worst.values, solution.values, atol=3 * scale / (1 - mdp.discount))


@pytest.mark.parametrize("name", BALLS)
@given(mdp=discounted_mdps(max_states=4, max_actions=3, discounts=PROMPT), radius=RADII)
@settings(max_examples=8, deadline=None)
def test_shared_budgets_certify_the_value(name, mdp, radius):
    uncertainty = BALLS[name](mdp, radius)
    scale = 1e-7 * max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    solution = robust_value_iteration(mdp, uncertainty, rectangularity="s", tolerance=scale)
    assert solution.gap <= scale
    improved = robust_policy_iteration(mdp, uncertainty, rectangularity="s", tolerance=scale)
    assert improved.gap <= scale
    assert np.all(solution.lower <= improved.upper)
    assert np.all(improved.lower <= solution.upper)
    attained = robust_evaluate_policy(
        mdp, solution.policy, uncertainty, rectangularity="s", tolerance=scale
    )
    assert np.all(attained.upper >= solution.lower)
    worst = policy_iteration(mdp.replace(transitions=solution.worst_kernel))
    np.testing.assert_allclose(worst.values, solution.values, atol=3 * scale / (1 - mdp.discount))
    # Sharing a budget leaves the adversary less than giving each row all of it.
    separate = robust_value_iteration(mdp, uncertainty, tolerance=scale)
    assert np.all(separate.lower <= solution.upper)


@pytest.mark.parametrize("name", BALLS)
@pytest.mark.parametrize("rectangularity", ["sa", "s"])
@given(
    mdp=discounted_mdps(max_states=5, max_actions=3, discounts=PROMPT), radius=RADII, data=st.data()
)
@settings(max_examples=8, deadline=None)
def test_the_response_to_a_policy_lies_in_the_set(name, rectangularity, mdp, radius, data):
    policy = data.draw(policies(mdp))
    uncertainty = BALLS[name](mdp, radius)
    scale = 1e-8 * max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    result = robust_evaluate_policy(
        mdp, policy, uncertainty, rectangularity=rectangularity, tolerance=scale
    )
    assert result.gap <= scale
    kernel = result.worst_kernel
    np.testing.assert_allclose(
        evaluate_policy(mdp.replace(transitions=kernel), policy).values,
        result.values,
        atol=3 * scale / (1 - mdp.discount),
    )
    limit = float(uncertainty.radius)
    spent = np.array(
        [
            [
                _distance(name, kernel[s, a], mdp.transitions[s, a]) if mdp.available[s, a] else 0.0
                for a in range(mdp.actions)
            ]
            for s in range(mdp.states)
        ]
    )
    assert np.all((spent.sum(axis=1) if rectangularity == "s" else spent) <= limit + 1e-9)
    if name == "tv_support":
        assert not kernel[mdp.transitions == 0].any()


@pytest.mark.parametrize("name", [name for name in BALLS if name != "tv_support"])
@pytest.mark.parametrize("seed", range(4))
def test_a_shared_backup_equals_the_convex_program(name, seed):
    rng = np.random.default_rng(seed)
    states, actions = 4, 3
    # Rewards close to each other, so that randomising pays.
    mdp = DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        0.3 * rng.random((states, actions)),
        0.9,
    )
    values, radius = rng.normal(size=states), float(rng.choice([0.05, 0.3, 0.8]))
    uncertainty = BALLS[name](mdp, radius)
    operator = RobustOperator.of(mdp.rows, mdp.rewards, mdp.discount, uncertainty, "s")
    backup = operator.backup(values, 1e-11)
    assert np.all(backup.upper - backup.lower <= 1e-10)
    for s in range(states):
        kernel, level = cp.Variable((actions, states), nonneg=True), cp.Variable()
        distances = sum(
            _distance_expression(name, kernel[a], mdp.transitions[s, a]) for a in range(actions)
        )
        constraints = [
            cp.sum(kernel, axis=1) == 1,
            mdp.rewards[s] + mdp.discount * (kernel @ values) <= level,
            distances <= radius,
        ]
        program = cp.Problem(cp.Minimize(level), constraints)
        program.solve(solver=cp.CLARABEL)
        assert backup.upper[s] == pytest.approx(program.value, abs=2e-6)
    held = operator.evaluate(backup.policy, values, 1e-11)
    np.testing.assert_allclose(held.lower, backup.lower, atol=1e-9)
    np.testing.assert_allclose(held.upper, backup.upper, atol=1e-9)


@pytest.mark.parametrize("name", [name for name in BALLS if name != "tv_support"])
def test_a_shared_evaluation_equals_the_convex_program(name):
    rng = np.random.default_rng(5)
    states, actions, radius = 4, 3, 0.2
    mdp = DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        rng.random((states, actions)),
        0.9,
    )
    values = rng.normal(size=states)
    policy = rng.dirichlet(np.ones(actions), size=states)
    policy[0] = [1.0, 0.0, 0.0]
    uncertainty = BALLS[name](mdp, radius)
    operator = RobustOperator.of(mdp.rows, mdp.rewards, mdp.discount, uncertainty, "s")
    backup = operator.evaluate(policy, values, 1e-11)
    assert np.all(backup.upper - backup.lower <= 1e-9)
    for s in range(states):
        kernel = cp.Variable((actions, states), nonneg=True)
        distances = sum(
            _distance_expression(name, kernel[a], mdp.transitions[s, a]) for a in range(actions)
        )
        objective = policy[s] @ (mdp.rewards[s] + mdp.discount * (kernel @ values))
        program = cp.Problem(
            cp.Minimize(objective), [cp.sum(kernel, axis=1) == 1, distances <= radius]
        )
        program.solve(solver=cp.CLARABEL)
        assert backup.upper[s] == pytest.approx(program.value, abs=2e-6)


@pytest.mark.parametrize("name", [name for name in SETS if name != "interval"])
@given(mdp=discounted_mdps(discounts=PROMPT), radius=RADII)
@settings(max_examples=10, deadline=None)
def test_sparse_and_dense_agree(name, mdp, radius):
    uncertainty = SETS[name](mdp, radius)
    scale = 1e-8 * max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    dense = robust_value_iteration(mdp, uncertainty, tolerance=scale)
    sparse = robust_value_iteration(mdp.to_sparse(), uncertainty, tolerance=scale)
    assert np.all(dense.lower <= sparse.upper)
    assert np.all(sparse.lower <= dense.upper)
    kernel = sparse.worst_kernel.toarray().reshape(mdp.transitions.shape)
    sums = kernel.sum(axis=-1)[mdp.available]
    np.testing.assert_allclose(sums, 1.0, atol=1e-9)


@pytest.mark.parametrize("rectangularity", ["sa", "s"])
@pytest.mark.parametrize("name", BALLS)
@given(mdp=discounted_mdps(discounts=PROMPT))
@settings(max_examples=8, deadline=None)
def test_radius_zero_is_the_nominal_problem(name, rectangularity, mdp):
    scale = 1e-8 * max(1.0, np.abs(mdp.rewards[mdp.available]).max())
    solution = robust_value_iteration(
        mdp, BALLS[name](mdp, 0.0), rectangularity=rectangularity, tolerance=scale
    )
    nominal = policy_iteration(mdp)
    assert np.all(solution.lower <= nominal.upper)
    assert np.all(nominal.lower <= solution.upper)


@given(mdp=discounted_mdps(gaps=False, discounts=PROMPT))
@settings(max_examples=10, deadline=None)
def test_a_total_variation_ball_of_radius_one_allows_every_kernel(mdp):
    scale = 1e-8 * max(1.0, np.abs(mdp.rewards).max())
    solution = robust_value_iteration(mdp, TotalVariation(1.0), tolerance=scale)
    # The adversary sends every state to the least one, whose value is then a geometric series.
    best = mdp.rewards.max(axis=1)
    least = best.min() / (1 - mdp.discount)
    np.testing.assert_allclose(solution.values, best + mdp.discount * least, atol=scale)


@pytest.mark.parametrize("rectangularity", ["sa", "s"])
@pytest.mark.parametrize("name", ["tv", "kl", "l2", "wasserstein"])
@given(mdp=episodic_mdps(), radius=RADII)
@settings(max_examples=10, deadline=None)
def test_finite_horizon_players_certify_each_other(name, rectangularity, mdp, radius):
    uncertainty = BALLS[name](mdp, radius)
    solution = robust_backward_induction(mdp, uncertainty, rectangularity=rectangularity)
    assert solution.gap <= 1e-7
    from rltheory.tabular import EpisodicMDP

    worst = backward_induction(EpisodicMDP(solution.worst_kernel, mdp.rewards))
    np.testing.assert_allclose(worst.values, solution.values, atol=1e-7)
    held = robust_backward_induction(
        mdp, uncertainty, rectangularity=rectangularity, policy=solution.policy
    )
    assert np.all(held.upper >= solution.lower)
    assert np.all(held.lower <= solution.upper)


def test_radii_of_their_own_for_rows_and_states():
    rng = np.random.default_rng(3)
    mdp = DiscountedMDP(rng.dirichlet(np.ones(3), size=(3, 2)), rng.random((3, 2)), 0.9)
    radius = rng.random((3, 2))
    solution = robust_value_iteration(mdp, TotalVariation(radius))
    kernel = solution.worst_kernel
    assert np.all(np.abs(kernel - mdp.transitions).sum(-1) / 2 <= radius + 1e-12)
    looser = robust_value_iteration(mdp, TotalVariation(radius.max()))
    tighter = robust_value_iteration(mdp, TotalVariation(radius.min()))
    assert np.all(looser.lower <= solution.upper)
    assert np.all(solution.lower <= tighter.upper)
    shared = robust_value_iteration(mdp, TotalVariation(radius[:, 0]), rectangularity="s")
    spent = np.abs(shared.worst_kernel - mdp.transitions).sum(-1).sum(-1) / 2
    assert np.all(spent <= radius[:, 0] + 1e-12)


def test_the_same_problem_gives_the_same_bits():
    rng = np.random.default_rng(1)
    mdp = DiscountedMDP(rng.dirichlet(np.ones(300), size=(300, 5)), rng.random((300, 5)), 0.95)
    for uncertainty in (TotalVariation(0.1), KullbackLeibler(0.1)):
        first, second = (robust_value_iteration(mdp, uncertainty) for _ in range(2))
        assert first.values.tobytes() == second.values.tobytes()


def test_a_response_has_the_layout_of_the_transitions():
    rng = np.random.default_rng(2)
    mdp = DiscountedMDP(rng.dirichlet(np.ones(3), size=(3, 2)), rng.random((3, 2)), 0.9)
    policy = np.zeros(3, dtype=int)
    assert best_response_kernel(mdp, policy, TotalVariation(0.1)).shape == (3, 2, 3)
    assert best_response_kernel(mdp.to_sparse(), policy, TotalVariation(0.1)).shape == (6, 3)


MODEL = DiscountedMDP(np.full((2, 2, 2), 0.5), np.ones((2, 2)), 0.9)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: TotalVariation(-0.1), ValueError, r"radius is -0.1; expected a nonnegative"),
        (lambda: KullbackLeibler(np.nan), ValueError, r"radius.* is nan"),
        (lambda: TotalVariation(0.1, support="all"), ValueError, "support is 'all'"),
        (lambda: Contamination(1.5), ValueError, r"radius is 1.5; expected a number in \[0, 1\]"),
        (lambda: PenalisedTotalVariation(-1), ValueError, "penalty is -1"),
        (lambda: Interval(0.3, 1.2), ValueError, r"upper holds 1.2"),
        (
            lambda: robust_value_iteration(MODEL, Interval(0.6, 0.9)),
            ValueError,
            "admit no distribution in row 0: they sum to 1.2 and 1.8",
        ),
        (lambda: robust_value_iteration(MODEL, 0.1), TypeError, "uncertainty is 0.1; expected a"),
        (
            lambda: robust_value_iteration(MODEL, L1(0.1), rectangularity="state"),
            ValueError,
            "rectangularity is 'state'",
        ),
        (
            lambda: robust_value_iteration(MODEL, PenalisedTotalVariation(1), rectangularity="s"),
            ValueError,
            "expected a ball, got PenalisedTotalVariation",
        ),
        (
            lambda: robust_value_iteration(MODEL, L1([0.1, 0.2, 0.3])),
            ValueError,
            r"radius has shape \(3,\); expected a scalar or a shape that fits \(2, 2\)",
        ),
        (lambda: robust_value_iteration(MODEL, L1(0.1), tolerance=-1), ValueError, "tolerance"),
        (
            lambda: robust_evaluate_policy(MODEL, np.array([0, 5]), L1(0.1)),
            ValueError,
            "policy holds action 5",
        ),
        (lambda: L1(0.1).worst_case([1.0, 2.0], [0.5, 0.6]), ValueError, "nominal sums to 1.1"),
        (lambda: L1(0.1).worst_case([1.0, np.nan], [0.5, 0.5]), ValueError, r"values\[1\] is nan"),
        (lambda: L1(0.1).worst_case([1.0], [0.5, 0.5]), ValueError, r"expected \(..., 1\)"),
    ],
)
def test_bad_arguments_are_refused_by_name(build, error, message):
    with pytest.raises(error, match=message):
        build()
