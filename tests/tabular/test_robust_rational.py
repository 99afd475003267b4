"""Robust MDPs over the rationals, and what they say about the certificates of the float solvers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies import discounted_mdps, policies

from rltheory.analysis.rational import solve, to_fractions
from rltheory.tabular import (
    DiscountedMDP,
    policy_iteration,
    robust_evaluate_policy,
    robust_policy_iteration,
    robust_value_iteration,
)
from rltheory.tabular.uncertainty import (
    L1,
    ChiSquare,
    Contamination,
    Interval,
    LInf,
    Penalised,
    PenalisedTotalVariation,
    TotalVariation,
    rational,
)

BALLS = {
    "total_variation": TotalVariation,
    "nominal_support": lambda radius: TotalVariation(radius, support="nominal"),
    "l1": L1,
    "linf": LInf,
    "contamination": lambda radius: Contamination(np.minimum(radius, 1.0)),
    "penalised_total_variation": PenalisedTotalVariation,
    "penalised_support": lambda cost: Penalised(TotalVariation(0.0, support="nominal"), cost),
    "penalised_l1": lambda cost: Penalised(L1(0.0), cost),
}
RADII = [0.0, 1e-12, 0.01, 0.1, 0.3, 1.0, 3.0]


def _interval(mdp, width):
    """Intervals around the kernel, wide enough that rounding leaves a distribution in each row."""
    p = mdp.rows if mdp.is_sparse else mdp.transitions
    entries = p.data if mdp.is_sparse else p
    lower, upper = entries * (1.0 - width), np.minimum(entries + width, 1.0)
    if not mdp.is_sparse:
        return Interval(lower, upper)
    return Interval(*(sparse.csr_array((x, p.indices, p.indptr), p.shape) for x in (lower, upper)))


@st.composite
def robust_mdps(draw, **sizes):
    """A robust MDP, dense or sparse, with one radius or one per row; rows off by roundings."""
    mdp = draw(discounted_mdps(**sizes))
    if draw(st.booleans()):
        mass = draw(st.sampled_from([1 - 9e-10, 1 - 1e-13, 1 + 1e-13, 1 + 9e-10]))
        mdp = mdp.replace(transitions=mdp.transitions * mass)
    mdp = mdp.to_sparse() if draw(st.booleans()) else mdp
    name = draw(st.sampled_from([*BALLS, "interval"]))
    if name == "interval":
        return mdp, _interval(mdp, draw(st.sampled_from([1e-8, 1e-3, 0.3, 1.0])))
    radius = draw(st.sampled_from(RADII))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        radius = rng.choice(RADII, size=mdp.rewards.shape)
    return mdp, BALLS[name](radius)


def _contains(found, exact):
    """Whether the bounds of a solution contain the exact values, compared as fractions."""
    return all(
        Fraction(float(low)) <= value <= Fraction(float(high))
        for low, value, high in zip(found.lower, exact.values, found.upper, strict=True)
    )


@given(problem=robust_mdps(), sweeps=st.sampled_from([1, 3, 10_000]))
@settings(max_examples=20, deadline=None)
def test_certificates_contain_the_exact_optimum(problem, sweeps):
    exact = robust_policy_iteration(*problem, arithmetic="rational")
    for tolerance in (1e-6, 0.0):
        settings_of = {"tolerance": tolerance, "max_iterations": sweeps}
        assert _contains(robust_value_iteration(*problem, **settings_of), exact)
        assert _contains(robust_policy_iteration(*problem, **settings_of), exact)


@given(data=st.data(), problem=robust_mdps(), answers=st.sampled_from([1, 2, 1000]))
@settings(max_examples=20, deadline=None)
def test_certificates_contain_the_exact_value_of_a_policy(data, problem, answers):
    mdp, uncertainty = problem
    policy = data.draw(policies(mdp)) * data.draw(st.sampled_from([1 - 9e-10, 1.0, 1 + 9e-10]))
    exact = robust_evaluate_policy(mdp, policy, uncertainty, arithmetic="rational")
    start = np.zeros(mdp.states) if data.draw(st.booleans()) else None
    found = robust_evaluate_policy(
        mdp, policy, uncertainty, tolerance=0.0, max_iterations=answers, initial_values=start
    )
    assert _contains(found, exact)


# The inner problem: a member of the set, worth what the dual says.


def _dual(uncertainty, v, p):
    """The exact maximum of the dual, which is piecewise linear with its corners at the values."""
    if isinstance(uncertainty, Penalised):
        nominal = getattr(uncertainty.ball, "support", "") == "nominal"
        price = Fraction(float(uncertainty.penalty)) * (1 + isinstance(uncertainty.ball, L1))
        return p @ np.minimum(v, min(v[p > 0] if nominal else v) + price)
    if isinstance(uncertainty, Interval):
        low, high = to_fractions(uncertainty.lower), to_fractions(uncertainty.upper)
        return _box_dual(v, low, high, 1)
    radius = Fraction(float(uncertainty.radius))
    if isinstance(uncertainty, LInf):
        high = [max(min(x + radius, 1), x) for x in p]
        return _box_dual(v, np.maximum(p - radius, 0), np.array(high, dtype=object), p.sum())
    if isinstance(uncertainty, Contamination):
        return (1 - radius) * (p @ v) + radius * min(v)
    radius = radius / 2 if isinstance(uncertainty, L1) else radius
    reached = v[p > 0] if getattr(uncertainty, "support", "") == "nominal" else v
    return max(p @ np.minimum(v, x) - radius * (x - min(reached)) for x in reached)


def _box_dual(v, low, high, mass):
    return max(mass * x + low @ np.maximum(v - x, 0) - high @ np.maximum(x - v, 0) for x in v)


@st.composite
def rows(draw):
    """Values with ties and a row (S,), as floats, or as Fractions that no float holds."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states = draw(st.integers(1, 6))
    values = np.round(rng.normal(size=states), draw(st.integers(0, 2)))
    weights = rng.integers(0, 4, states) + np.eye(states, dtype=int)[0]
    if draw(st.booleans()):
        return to_fractions(values) / 3, to_fractions(weights) / int(weights.sum())
    return values, weights / weights.sum() * draw(st.sampled_from([1.0, 1 - 9e-10, 1 + 9e-10]))


@pytest.mark.parametrize("name", [*BALLS, "interval"])
@given(problem=rows(), radius=st.sampled_from(RADII))
@settings(max_examples=20, deadline=None)
def test_worst_members_are_worth_the_dual_exactly(name, problem, radius):
    v, p = (to_fractions(x) for x in problem)
    if name == "interval":
        floats = np.asarray(problem[1], dtype=float)
        width = max(float(radius), 1e-6)
        uncertainty = Interval(floats * (1 - min(width, 1.0)), np.minimum(floats + width, 1.0))
    else:
        uncertainty = BALLS[name](radius)
    value, member = rational.worst_case(uncertainty, *problem)
    assert value == _dual(uncertainty, v, p)
    assert min(member) >= 0
    if name == "contamination":
        assert min(p.sum(), 1) <= member.sum() <= max(p.sum(), 1)
    else:
        assert member.sum() == (1 if name == "interval" else p.sum())
    moved, size = abs(member - p).sum() / 2, Fraction(float(radius))
    if name in ("total_variation", "nominal_support"):
        assert moved <= size
        assert name == "total_variation" or not np.any(member[p == 0])
    elif name == "l1":
        assert 2 * moved <= size
    elif name == "linf":
        assert max(abs(member - p)) <= size
    elif name == "contamination":
        assert np.all(member >= (1 - min(size, 1)) * p)
    elif name == "interval":
        assert np.all(member >= to_fractions(uncertainty.lower))
        assert np.all(member <= to_fractions(uncertainty.upper))
    else:
        assert value == member @ v + size * (2 if name == "penalised_l1" else 1) * moved


@pytest.mark.parametrize("name", [*BALLS, "interval"])
@pytest.mark.parametrize("radius", [1e-3, 0.3, 1.0])
def test_bounds_of_long_rows_contain_the_exact_worst_case(name, radius):
    rng = np.random.default_rng(7)
    for scale, shift in ((1.0, 0.0), (1e-3, 100.0)):
        values = scale * rng.normal(size=300) + shift
        row = rng.random(300) ** 4
        row /= row.sum()
        box = Interval(row * (1 - radius), np.minimum(row * (1 + radius), 1.0))
        uncertainty = box if name == "interval" else BALLS[name](radius)
        truth, _ = rational.worst_case(uncertainty, values, row)
        bounds = uncertainty.expectation_bounds(values, row)
        assert Fraction(float(bounds.lower)) <= truth <= Fraction(float(bounds.upper))


def test_each_row_has_its_own_parameters():
    values, row = [1.0, 0.0, 2.0], [0.5, 0.0, 0.5]
    for k, radius in enumerate((0.0, 0.25, 0.5)):
        ball = TotalVariation(np.array([[0.0], [0.25], [0.5]]))
        assert rational.worst_case(ball, values, row, row=k)[0] == Fraction(3, 2) - 2 * Fraction(
            radius
        )
    box = Interval(np.zeros((2, 3)), np.array([[1.0, 1.0, 1.0], [0.5, 0.25, 1.0]]))
    assert rational.worst_case(box, values, row, row=0)[0] == 0
    assert rational.worst_case(box, values, row, row=1)[0] == 1


# The robust optimum.


@given(problem=robust_mdps(max_states=4))
@settings(max_examples=20, deadline=None)
def test_the_exact_optimum_is_a_saddle_point(problem):
    mdp, uncertainty = problem
    found = robust_policy_iteration(*problem, arithmetic="rational")
    kernel, available = found.worst_kernel, mdp.available
    nominal = to_fractions(mdp.to_dense().transitions)
    assert found.lower is found.values is found.upper
    assert kernel.shape == nominal.shape
    assert np.all(kernel[~available] == nominal[~available])
    assert np.all(found.action_values[~available] == -np.inf)
    assert np.all(found.values == found.action_values.max(axis=1))
    # No policy does better against this kernel, and the policy attains as much against all.
    paid = found.action_values[available] - to_fractions(mdp.rewards[available])
    paid = paid - Fraction(mdp.discount) * (kernel @ found.values)[available]
    assert np.all(paid >= 0) if isinstance(uncertainty, Penalised) else not np.any(paid)
    again = robust_evaluate_policy(mdp, found.policy, uncertainty, arithmetic="rational")
    assert np.all(again.values == found.values)


@given(data=st.data(), problem=robust_mdps(max_states=4))
@settings(max_examples=20, deadline=None)
def test_a_policy_has_its_exact_robust_value_under_its_worst_kernel(data, problem):
    mdp, uncertainty = problem
    policy = data.draw(policies(mdp))
    found = robust_evaluate_policy(mdp, policy, uncertainty, arithmetic="rational")
    weights, used = to_fractions(policy), policy > 0
    q = np.where(used, found.action_values, 0)
    assert np.all(found.values == (weights * q).sum(axis=1))
    if not isinstance(uncertainty, Penalised):
        rewards = to_fractions(np.where(used, mdp.rewards, 0.0))
        chain = (weights[..., None] * found.worst_kernel).sum(axis=1)
        system = to_fractions(np.eye(mdp.states)) - Fraction(mdp.discount) * chain
        assert np.all(solve(system, (weights * rewards).sum(axis=1)) == found.values)


@given(mdp=discounted_mdps())
@settings(max_examples=20, deadline=None)
def test_a_radius_of_zero_is_the_nominal_optimum(mdp):
    found = robust_policy_iteration(mdp, TotalVariation(0.0), arithmetic="rational")
    assert np.all(found.values == policy_iteration(mdp, arithmetic="rational").values)


def test_scalar_intervals_of_a_sparse_kernel_stay_on_its_pattern():
    kernel = np.array([[[0.5, 0.5, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])
    mdp = DiscountedMDP(kernel, np.array([[0.0], [1.0], [0.0]]), 0.5)
    anywhere = robust_policy_iteration(mdp, Interval(0.0, 1.0), arithmetic="rational")
    within = robust_policy_iteration(mdp.to_sparse(), Interval(0.0, 1.0), arithmetic="rational")
    assert list(anywhere.values) == [0, 1, 0]
    assert list(within.values) == [0, 2, 0]


# What broke.


def test_an_entry_above_one_stays_in_its_ball():
    mdp = DiscountedMDP(np.full((1, 1, 1), 1 + 9e-10), np.ones((1, 1)), 0.5)
    exact = robust_policy_iteration(mdp, LInf(0.0), arithmetic="rational")
    assert _contains(robust_value_iteration(mdp, LInf(0.0), tolerance=0.0), exact)


def test_mass_of_a_policy_and_of_its_rows_do_not_make_up_for_each_other():
    mdp = DiscountedMDP(np.full((1, 1, 1), 1 + 9e-10), np.ones((1, 1)), 0.99)
    policy, whole = np.full((1, 1), 1 - 9e-10), Interval(0.0, 1.0)
    exact = robust_evaluate_policy(mdp, policy, whole, arithmetic="rational")
    found = robust_evaluate_policy(mdp, policy, whole, max_iterations=1, initial_values=np.zeros(1))
    assert _contains(found, exact)


# To stay, or to go to state 1, which pays only later.
MODEL = DiscountedMDP(
    np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]]),
    np.array([[0.1, 0.0], [1.0, 0.0]]),
    0.9,
)


@pytest.mark.parametrize(
    ("uncertainty", "options", "error", "message"),
    [
        (L1(0.1), {"rectangularity": "s"}, ValueError, "rectangularity is 's'; arithmetic"),
        (L1(0.1), {"arithmetic": "exact"}, ValueError, "arithmetic is 'exact'; expected 'float'"),
        (L1(0.1), {"max_iterations": 1}, ValueError, "max_iterations is 1; exact"),
        (ChiSquare(0.1), {}, TypeError, "uncertainty is a ChiSquare; exact arithmetic takes"),
        (Penalised(LInf(0.0), 0.1), {}, TypeError, "uncertainty is a Penalised; exact"),
        (L1(np.ones(3)), {}, ValueError, "radius has shape"),
        (Interval(0.0, np.nextafter(0.5, 0.0)), {}, ValueError, "no distribution in row 0"),
    ],
)
def test_what_has_no_exact_solution_is_refused(uncertainty, options, error, message):
    options = {"arithmetic": "rational"} | options
    with pytest.raises(error, match=message):
        robust_policy_iteration(MODEL, uncertainty, **options)
    with pytest.raises(error, match=message):
        robust_evaluate_policy(MODEL, np.full((2, 2), 0.5), uncertainty, **options)


def test_intervals_are_exact_under_either_rectangularity():
    box = Interval(0.25, 0.75)
    shared, own = (
        robust_policy_iteration(MODEL, box, rectangularity=r, arithmetic="rational")
        for r in ("s", "sa")
    )
    assert np.all(shared.values == own.values)
