"""Decision rules with targets: against CVXPY, difference quotients and a reservoir by hand."""

import cvxpy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.zoo.ts_ddr import (
    TargetProgram,
    follow_targets,
    reservoir,
    rule_gradient,
)


@st.composite
def reservoirs(draw, penalty=None):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    periods, units = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    prices = np.cumsum(rng.uniform(0.1, 2, units))
    return reservoir(
        rng.uniform(0, 2, periods),
        rng.uniform(0, 2, periods),
        capacity=2.0,
        initial=float(rng.uniform(0, 2)),
        prices=prices,
        limits=rng.uniform(0.1, 1, units - 1),
        penalty=float(rng.uniform(0.5, 8)) if penalty is None else penalty,
        water_value=float(prices[0] * rng.uniform()),
    )


@settings(max_examples=15, deadline=None)
@given(reservoirs(), st.integers(0, 2**32 - 1))
def test_values_and_duals_are_those_of_another_solver(program, seed):
    targets = np.random.default_rng(seed).uniform(0, 2, program.states)
    found = follow_targets(program, targets)
    plan = cvxpy.Variable(len(program.costs), nonneg=True)
    goal = cvxpy.Parameter(program.states)
    goal.value = targets
    away = cvxpy.Variable(program.states)
    tracking = program.tracked @ plan + away == goal
    objective = program.costs @ plan + program.penalty * cvxpy.norm1(away)
    problem = cvxpy.Problem(
        cvxpy.Minimize(objective), [program.system @ plan == program.right, tracking]
    )
    problem.solve(solver=cvxpy.CLARABEL)
    assert found.value == pytest.approx(problem.value, abs=1e-6)
    # Multipliers of CVXPY are of left less right, derivatives by the right side are their negative.
    np.testing.assert_allclose(found.duals, -tracking.dual_value, atol=1e-5)
    np.testing.assert_allclose(program.system @ found.plan, program.right, atol=1e-7)
    assert found.plan.min() >= -1e-9


@settings(max_examples=20, deadline=None)
@given(reservoirs(), st.integers(0, 2**32 - 1))
def test_duals_are_derivatives_and_subgradients(program, seed):
    rng = np.random.default_rng(seed)
    targets = rng.uniform(0, 2, program.states)
    found = follow_targets(program, targets)
    assert np.abs(found.duals).max() <= program.penalty + 1e-9
    step = 1e-4
    for t in range(program.states):
        shift = step * np.eye(program.states)[t]
        ahead = (follow_targets(program, targets + shift).value - found.value) / step
        behind = (found.value - follow_targets(program, targets - shift).value) / step
        # Convex: the dual lies between the slopes of the chords.
        assert behind - 1e-5 <= found.duals[t] <= ahead + 1e-5
    for others in rng.uniform(0, 2, (5, program.states)):
        tangent = found.value + found.duals @ (others - targets)
        assert tangent <= follow_targets(program, others).value + 1e-7


def one_period(penalty=np.inf):
    """Stock 1, inflow 1/2, demand 1, capacity 2; a unit at 1 up to 1/4, then one at 3."""
    return reservoir(
        [0.5], [1.0], capacity=2.0, initial=1.0, prices=[1, 3], limits=[0.25], penalty=penalty
    )


@pytest.mark.parametrize(
    ("target", "value", "dual"),
    [
        # All of the demand from water.
        (0.25, 0.0, 0.0),
        # A fifth of a unit of the cheaper generator, then all of it and of the dearer.
        (0.7, 0.2, 1.0),
        (1.25, 0.25 + 3 * 0.5, 3.0),
    ],
)
def test_a_reservoir_by_hand(target, value, dual):
    found = follow_targets(one_period(), [target])
    assert found.value == pytest.approx(value)
    assert found.duals[0] == pytest.approx(dual)
    assert found.deviations[0] == pytest.approx(0)


def test_what_cannot_be_reached_is_an_error_or_costs_the_penalty():
    with pytest.raises(ValueError, match="cannot be reached; a finite penalty"):
        follow_targets(one_period(), [1.75])
    found = follow_targets(one_period(penalty=10.0), [1.75])
    assert found.value == pytest.approx(0.25 + 3 * 0.75 + 10 * 0.25)
    assert found.duals[0] == pytest.approx(10)
    assert found.deviations[0] == pytest.approx(0.25)


def scenarios():
    inflows = np.array([0.2, 0.9, 1.6])
    programs = [
        reservoir(
            [w, 0.3],
            [0.9, 1.1],
            capacity=2.0,
            initial=0.5,
            prices=[1, 4],
            limits=[0.5],
            penalty=9.0,
        )
        for w in inflows
    ]
    return programs, np.column_stack([np.ones(3), inflows])


def test_the_gradient_of_a_rule_is_a_difference_quotient_and_trains_it():
    programs, features = scenarios()
    rule = np.array([[0.31, 0.17], [0.23, 0.11]])
    value, gradient = rule_gradient(programs, features, rule)
    step = 1e-6
    for index in np.ndindex(rule.shape):
        ends = []
        for sign in (1, -1):
            moved = rule.copy()
            moved[index] += sign * step
            ends.append(rule_gradient(programs, features, moved)[0])
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradient[index], abs=1e-6)
    best = value
    for k in range(80):
        cost, slope = rule_gradient(programs, features, rule)
        best = min(best, cost)
        rule = rule - 0.1 / np.sqrt(k + 1) * slope
    # No rule does better than deciding with the inflow known; half of the way is made at least.
    hindsight = np.mean(
        [min(follow_targets(p, [x, 0.0]).value for x in np.linspace(0, 2, 41)) for p in programs]
    )
    assert hindsight - 1e-6 <= best
    assert best <= (hindsight + value) / 2


GOOD = {"costs": [1.0, 0.0], "system": [[1.0, 1.0]], "right": [1.0], "tracked": [[0.0, 1.0]]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"costs": []}, "costs is empty"),
        ({"costs": [1.0, np.nan]}, r"costs\[1\] is nan"),
        ({"system": [[1.0]]}, r"system has shape \(1, 1\)"),
        ({"right": [1.0, 2.0]}, r"right has shape \(2,\)"),
        ({"tracked": np.zeros((0, 2))}, "tracked has zero rows"),
        ({"penalty": -1.0}, "penalty is -1"),
        ({"penalty": np.nan}, "penalty is nan"),
    ],
)
def test_bad_programs_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        TargetProgram(**(GOOD | fields))


LAKE = {"capacity": 2.0, "initial": 1.0, "prices": [1, 3], "limits": [0.25]}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: follow_targets(one_period(), [1.0, 2.0]), r"targets has shape \(2,\)"),
        (lambda: follow_targets(one_period(), [np.nan]), r"targets\[0\] is nan"),
        (
            lambda: follow_targets(
                TargetProgram(**(GOOD | {"costs": [-1, 0], "system": [[0, 1]]})), [1]
            ),
            "unbounded below",
        ),
        (lambda: rule_gradient([], np.ones((0, 1)), [[1.0]]), "programs is empty"),
        (lambda: rule_gradient([one_period()], [[1.0]], [[1.0, 2.0]]), "coefficients has shape"),
        (lambda: rule_gradient([one_period()], [[1.0], [2.0]], [[1.0]]), "features has shape"),
        (
            lambda: rule_gradient([one_period(), scenarios()[0][0]], [[1.0], [1.0]], [[1.0]]),
            "programs differ",
        ),
        (lambda: reservoir([1.0], [1.0, 2.0], **LAKE), r"demands has shape \(2,\)"),
        (lambda: reservoir([-1.0], [1.0], **LAKE), "inflows holds -1"),
        (lambda: reservoir([], [], **LAKE), "inflows or prices is empty"),
        (lambda: reservoir([1.0], [1.0], **(LAKE | {"prices": [3, 1]})), "expected increasing"),
        (lambda: reservoir([1.0], [1.0], **(LAKE | {"limits": []})), r"limits has shape \(0,\)"),
        (lambda: reservoir([1.0], [1.0], **(LAKE | {"initial": 3.0})), "initial is 3.0"),
        (lambda: reservoir([1.0], [1.0], **LAKE, water_value=4.0), "water_value is 4.0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
