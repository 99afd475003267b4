"""Uncertainty sets: bounds contain the exact worst case, members attain it and belong to the set.

The truth comes from elsewhere: fractions for the polyhedral sets and the Wasserstein dual, fifty
digits for the smooth ones, convex programs by Clarabel for all.
"""

from fractions import Fraction

import cvxpy as cp
import flint
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from rltheory.analysis.exponential import exp_minus
from rltheory.tabular import (
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
from rltheory.tabular.uncertainty import rational
from rltheory.tabular.uncertainty.base import Inner, Rows

# Bits of the reference: 180 digits, as probabilities may be 1e-60.
DIGITS = 600
RADII = [0.0, 1e-30, 1e-12, 1e-5, 0.01, 0.1, 0.3, 1.0, 3.0, 1e3, 1e9]


def _costs(states):
    """Costs that are no metric, with ties and free moves."""
    rng = np.random.default_rng(states)
    cost = np.round(3.0 * rng.random((states, states)), 1)
    np.fill_diagonal(cost, 0.0)
    return cost


BALLS = {
    "total_variation": lambda radius, states: TotalVariation(radius),
    "nominal_support": lambda radius, states: TotalVariation(radius, support="nominal"),
    "l1": lambda radius, states: L1(radius),
    "l2": lambda radius, states: L2(radius),
    "linf": lambda radius, states: LInf(radius),
    "kullback_leibler": lambda radius, states: KullbackLeibler(radius),
    "chi_square": lambda radius, states: ChiSquare(radius),
    "contamination": lambda radius, states: Contamination(np.minimum(radius, 1.0)),
    "wasserstein": lambda radius, states: Wasserstein(radius, _costs(states)),
}
PENALISED = {
    "penalised_total_variation": lambda penalty, states: PenalisedTotalVariation(penalty),
    "penalised_kullback_leibler": lambda penalty, states: PenalisedKullbackLeibler(penalty),
    "penalised_chi_square": lambda penalty, states: PenalisedChiSquare(penalty),
}
ANY_DISTANCE = {
    f"penalised_{name}": lambda penalty, states, name=name: Penalised(
        BALLS[name](0.0, states), penalty
    )
    for name in ("l1", "l2", "linf", "contamination", "wasserstein")
}
SETS = BALLS | PENALISED
IN_FRACTIONS = [
    "total_variation", "nominal_support", "l1", "linf", "contamination",
    "penalised_total_variation",
]  # fmt: skip


@st.composite
def problems(draw, max_states=7, wild=True):
    """Values and nominal rows (rows, S): ties, zeros, tiny probabilities, shifts and scales."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    states, rows = draw(st.integers(1, max_states)), draw(st.integers(1, 3))
    nominal = rng.random((rows, states)) ** rng.choice([0.5, 1.0, 8.0, 40.0] if wild else [1.0])
    nominal[rng.random((rows, states)) < rng.choice([0.0, 0.5])] = 0.0
    nominal[nominal.sum(axis=1) == 0.0, 0] = 1.0
    values = rng.normal(size=states)
    shape = draw(st.sampled_from(["plain", "plain", "ties", "constant", "near ties"]))
    if shape == "ties":
        values = np.round(values)
    elif shape == "constant":
        values[:] = values[0]
    elif shape == "near ties":
        values = np.round(values) + 1e-9 * values
    if wild:
        values = values * rng.choice([1.0, 1e-3, 1e6]) + rng.choice([0.0, 1e4])
    return values, nominal / nominal.sum(axis=1, keepdims=True)


def _range(values):
    return np.ptp(values) + np.abs(values).max()


def _solved(uncertainty, values, nominal, multiplier=None):
    rows = Rows.of(nominal)
    budgets = uncertainty.budgets((rows.count,))
    inner = Inner.empty(rows.count)
    if multiplier is not None:
        inner.multiplier[:] = multiplier
    uncertainty.solve(rows, values, budgets, inner)
    return rows, budgets, inner


# The truth, exactly or to fifty digits.


def _exact(name, uncertainty, values, row):
    """The worst case of one row as a Fraction or a number of fifty digits."""
    if name in IN_FRACTIONS:
        return rational.worst_case(uncertainty, values, row)[0]
    if name == "wasserstein":
        return _transport_dual(uncertainty, values, row)
    v, p = [flint.arb(float(x)) for x in values], [flint.arb(float(x)) for x in row]
    level = flint.arb(float(uncertainty.penalty if name in PENALISED else uncertainty.radius))
    return _SMOOTH[name](v, p, level)


def _transport_dual(ball, values, row):
    """Maximise the concave, piecewise linear dual over all its corners."""
    n = len(values)
    v, p = [Fraction(float(x)) for x in values], [Fraction(float(x)) for x in row]
    c = [[Fraction(float(x)) for x in line] for line in ball.cost]
    corners = {Fraction(0)}
    for line in c:
        for j in range(n):
            for k in range(n):
                if line[k] != line[j]:
                    corners.add((v[j] - v[k]) / (line[k] - line[j]))
    radius = Fraction(float(ball.radius))
    return max(
        sum(p[i] * min(v[j] + x * c[i][j] for j in range(n)) for i in range(n)) - x * radius
        for x in corners
        if x >= 0
    )


def _supported(v, p):
    pairs = sorted((x, y) for x, y in zip(v, p, strict=True) if y > 0)
    least = sum(y for x, y in pairs if x == pairs[0][0])
    return pairs, sum(y for _, y in pairs), pairs[0][0], least


def _entropic(v, p, penalty):
    pairs, mass, low, _ = _supported(v, p)
    if penalty == 0:
        return mass * low
    total = sum(y * (-(x - low) / penalty).exp() for x, y in pairs)
    return mass * low - penalty * mass * (total / mass).log()


def _kullback_leibler(v, p, radius):
    """Concave in log(beta): bisection on the divergence of the tilt."""
    pairs, mass, low, least = _supported(v, p)
    if radius >= mass * (mass / least).log():
        return mass * low
    if radius == 0:
        return sum(x * y for x, y in pairs)

    def divergence(beta):
        q = [y * (-(x - low) / beta).exp() for x, y in pairs]
        mean = sum(a * (x - low) for a, (x, _) in zip(q, pairs, strict=True)) / sum(q)
        return mass * (-mean / beta - (sum(q) / mass).log())

    small, large = flint.arb(-60), flint.arb(100)
    for _ in range(150):
        middle = (small + large) / 2
        if divergence(middle.exp()) > radius:
            small = middle
        else:
            large = middle
    beta = large.exp()
    return _entropic(v, p, beta) - beta * radius


def _chi_square(v, p, radius):
    """The dual at the stationary point of every piece."""
    pairs, mass, low, least = _supported(v, p)
    if radius >= mass * mass / least - mass:
        return mass * low
    best = flint.arb("-inf")
    if radius == 0:
        return sum(x * y for x, y in pairs)
    for n in range(1, len(pairs) + 1):
        part = sum(y for _, y in pairs[:n])
        mean = sum(x * y for x, y in pairs[:n]) / part
        variance = sum(y * (x - mean) ** 2 for x, y in pairs[:n]) / part
        room = (radius + mass) * part / mass**2 - 1
        if room > 0 and variance > 0:
            eta = mean + (variance / room).sqrt()
            squares = sum(y * max(eta - x, 0) ** 2 for x, y in pairs)
            best = max(best, mass * eta - ((radius + mass) * squares).sqrt())
    return best


def _penalised_chi_square(v, p, penalty):
    """sum q = mass fixes the threshold, found by trying every piece."""
    pairs, mass, low, _ = _supported(v, p)
    if penalty == 0:
        return mass * low
    for n in range(1, len(pairs) + 1):
        part = sum(y for _, y in pairs[:n])
        eta = (2 * penalty * mass + sum(x * y for x, y in pairs[:n])) / part
        if n == len(pairs) or eta <= pairs[n][0]:
            break
    q = [y * max(eta - x, 0) / (2 * penalty) for x, y in pairs]
    return sum(a * x + penalty * (a - y) ** 2 / y for a, (x, y) in zip(q, pairs, strict=True))


def _l2(v, p, radius):
    """Bisection on t for the distance of p to the projection of p - t v."""
    low, mass = min(v), sum(p)
    ties = [x == low for x in v]
    share = (mass - sum(y for y, tie in zip(p, ties, strict=True) if tie)) / sum(ties)
    corner = [y + share if tie else flint.arb(0) for y, tie in zip(p, ties, strict=True)]
    if _distance(corner, p) <= radius:
        return mass * low
    small, large = flint.arb(0), flint.arb(1)
    while _distance(_projected(v, p, mass, large), p) < radius:
        large *= 2
    for _ in range(150):
        middle = (small + large) / 2
        if _distance(_projected(v, p, mass, middle), p) < radius:
            small = middle
        else:
            large = middle
    return sum(a * x for a, x in zip(_projected(v, p, mass, small), v, strict=True))


def _distance(q, p):
    return sum((a - b) ** 2 for a, b in zip(q, p, strict=True)).sqrt()


def _projected(v, p, mass, t):
    low = min(v)
    point = [y - t * (x - low) for x, y in zip(v, p, strict=True)]
    ordered = sorted(point, reverse=True)
    for n in range(len(ordered), 0, -1):
        shift = (mass - sum(ordered[:n])) / n
        if ordered[n - 1] + shift > 0:
            break
    return [max(x + shift, 0) for x in point]


_SMOOTH = {
    "kullback_leibler": _kullback_leibler,
    "chi_square": _chi_square,
    "l2": _l2,
    "penalised_kullback_leibler": _entropic,
    "penalised_chi_square": _penalised_chi_square,
}


def _as_exact(number, truth):
    return Fraction(float(number)) if isinstance(truth, Fraction) else flint.arb(float(number))


@pytest.mark.parametrize("name", SETS)
@given(problem=problems(), level=st.sampled_from(RADII))
@settings(max_examples=25, deadline=None)
def test_bounds_contain_the_exact_worst_case(name, problem, level):
    values, nominal = problem
    uncertainty = SETS[name](level, len(values))
    bounds = uncertainty.expectation_bounds(values, nominal)
    with flint.ctx.workprec(DIGITS):
        for i, row in enumerate(nominal):
            truth = _exact(name, uncertainty, values, row)
            assert _as_exact(bounds.lower[i], truth) <= truth <= _as_exact(bounds.upper[i], truth)
    # The certified gap, with all rounding, stays near the unit roundoff of the data.
    assert bounds.gap <= 1e-12 * _range(values) + 1e-290


@given(problem=problems(), shortfall=st.sampled_from([0.0, 1e-16, 1e-12, 1e-8, 1e-3]))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("name", ["kullback_leibler", "chi_square"])
def test_bounds_hold_where_the_least_value_is_almost_reached(name, problem, shortfall):
    values, nominal = problem
    row = nominal[0]
    least = row[values == values[row > 0].min()].sum()
    reach = np.log(1.0 / least) if name == "kullback_leibler" else 1.0 / least - 1.0
    ball = SETS[name](max(reach * (1.0 - shortfall), 0.0), len(values))
    bounds = ball.expectation_bounds(values, row)
    with flint.ctx.workprec(DIGITS):
        truth = _exact(name, ball, values, row)
        assert flint.arb(float(bounds.lower)) <= truth <= flint.arb(float(bounds.upper))
    expectation, q = ball.worst_case(values, row)
    assert q @ values == pytest.approx(float(expectation), abs=1e-10 * _range(values))


@given(data=st.data(), problem=problems())
@settings(max_examples=25, deadline=None)
def test_interval_bounds_contain_the_exact_worst_case(data, problem):
    values, nominal = problem
    width = data.draw(st.sampled_from([0.0, 1e-3, 0.1, 1.0]))
    box = Interval(np.maximum(nominal - width, 0.0), np.minimum(nominal + width, 1.0))
    bounds = box.expectation_bounds(values, nominal)
    expectation, q = box.worst_case(values, nominal)
    for i in range(len(nominal)):
        own = Interval(box.lower[i], box.upper[i])
        if sum(map(Fraction, own.lower)) <= 1 <= sum(map(Fraction, own.upper)):
            truth, member = rational.worst_case(own, values, nominal[i])
            assert Fraction(float(bounds.lower[i])) <= truth <= Fraction(float(bounds.upper[i]))
            assert sum(member) == 1
    assert np.all(q >= box.lower - 1e-15)
    assert np.all(q <= box.upper + 1e-15)
    np.testing.assert_allclose(q @ values, expectation, rtol=0, atol=1e-12 * _range(values))


def test_exponentials_are_within_four_units():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.uniform(-708, 700, 400), rng.uniform(-1, 1, 400), [0.0, -1e-20]])
    with flint.ctx.workprec(DIGITS):
        for x in points:
            for base in (0.0, 1.0):
                truth = flint.arb(float(x)).exp() - base
                assert abs(flint.arb(float(exp_minus(x, base))) - truth) <= 4 * 2**-53 * abs(truth)


# Members.


def _divergence(name, q, p):
    """D(q, p) of one row, infinite off the support where the set asks for it."""
    inside = p > 0
    if name in ("kullback_leibler", "chi_square", "nominal_support") and np.any(q[~inside]):
        return np.inf
    a, b = q[inside], p[inside]
    return {
        "total_variation": lambda: 0.5 * np.abs(q - p).sum(),
        "nominal_support": lambda: 0.5 * np.abs(q - p).sum(),
        "l1": lambda: np.abs(q - p).sum(),
        "l2": lambda: np.sqrt(((q - p) ** 2).sum()),
        "linf": lambda: np.abs(q - p).max(),
        "kullback_leibler": lambda: np.sum(a * np.log(np.where(a > 0, a, 1.0) / b)),
        "chi_square": lambda: np.sum((a - b) ** 2 / b),
        "contamination": lambda: np.max(1.0 - q[inside] / b, initial=0.0),
    }[name]()


@pytest.mark.parametrize("name", [name for name in BALLS if name != "wasserstein"])
@given(problem=problems(), level=st.sampled_from(RADII))
@settings(max_examples=25, deadline=None)
def test_members_belong_to_the_ball_and_attain_the_expectation(name, problem, level):
    values, nominal = problem
    ball = BALLS[name](level, len(values))
    expectation, q = ball.worst_case(values, nominal)
    assert q.min() >= 0.0
    np.testing.assert_allclose(q.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    np.testing.assert_allclose(q @ values, expectation, rtol=0, atol=1e-12 * _range(values))
    for q_row, row in zip(q, nominal, strict=True):
        # Divergences of nearby rows cancel to a few roundings; the ball's radius is met to that.
        assert _divergence(name, q_row, row) <= float(ball.radius) * (1 + 1e-9) + 1e-12


@given(problem=problems(max_states=5, wild=False), level=st.sampled_from(RADII))
@settings(max_examples=12, deadline=None)
def test_wasserstein_members_can_be_paid_for(problem, level):
    values, nominal = problem
    ball = BALLS["wasserstein"](level, len(values))
    expectation, q = ball.worst_case(values, nominal)
    assert q.min() >= 0.0
    np.testing.assert_allclose(q @ values, expectation, rtol=0, atol=1e-12 * _range(values))
    n = len(values)
    for q_row, row in zip(q, nominal, strict=True):
        plan = cp.Variable((n, n), nonneg=True)
        constraints = [cp.sum(plan, axis=1) == row, cp.sum(plan, axis=0) == q_row]
        cost = cp.Problem(cp.Minimize(cp.sum(cp.multiply(ball.cost, plan))), constraints)
        assert cost.solve(solver=cp.CLARABEL) <= level + 1e-6


@pytest.mark.parametrize(
    "name", sorted((PENALISED | ANY_DISTANCE).keys() - {"penalised_wasserstein"})
)
@given(problem=problems(), penalty=st.sampled_from([1e-3, 0.1, 1.0, 30.0]))
@settings(max_examples=15, deadline=None)
def test_members_attain_the_penalised_expectation(name, problem, penalty):
    values, nominal = problem
    values = values - values.min()
    expectation, q = (PENALISED | ANY_DISTANCE)[name](penalty, len(values)).worst_case(
        values, nominal
    )
    for value, q_row, row in zip(expectation, q, nominal, strict=True):
        attained = q_row @ values + penalty * _divergence(
            name.removeprefix("penalised_"), q_row, row
        )
        assert attained == pytest.approx(value, abs=1e-10 * (_range(values) + penalty))


# Independent convex programs, on rows that an interior-point method can resolve.


def _program(name, level, values, row):
    n, inside = len(values), np.flatnonzero(row > 0)
    q = cp.Variable(n, nonneg=True)
    constraints, kind = [cp.sum(q) == 1], name.removeprefix("penalised_")
    if kind in ("kullback_leibler", "chi_square", "nominal_support"):
        constraints += [q[j] == 0 for j in np.flatnonzero(row == 0)]
    if kind == "contamination":
        distance = cp.Variable(nonneg=True)
        constraints += [q >= (1.0 - distance) * row, distance <= 1.0]
    elif kind == "wasserstein":
        plan = cp.Variable((n, n), nonneg=True)
        constraints += [cp.sum(plan, axis=1) == row, cp.sum(plan, axis=0) == q]
        distance = cp.sum(cp.multiply(_costs(n), plan))
    else:
        distance = {
            "total_variation": lambda: 0.5 * cp.norm1(q - row),
            "nominal_support": lambda: 0.5 * cp.norm1(q - row),
            "l1": lambda: cp.norm1(q - row),
            "l2": lambda: cp.norm2(q - row),
            "linf": lambda: cp.norm_inf(q - row),
            "kullback_leibler": lambda: cp.sum(cp.rel_entr(q[inside], row[inside])),
            "chi_square": lambda: cp.sum_squares((q[inside] - row[inside]) / np.sqrt(row[inside])),
        }[kind]()
    if name in PENALISED | ANY_DISTANCE:
        return cp.Problem(cp.Minimize(values @ q + level * distance), constraints)
    return cp.Problem(cp.Minimize(values @ q), [*constraints, distance <= level])


_DEGENERATE = {
    "constant": ([1.0, 1.0, 1.0], [0.2, 0.3, 0.5]),
    "tie at the bottom": ([0.0, 0.0, 1.0, 2.0], [0.1, 0.2, 0.3, 0.4]),
    "tie at the top": ([0.0, 1.0, 2.0, 2.0], [0.1, 0.2, 0.3, 0.4]),
    "one state reached": ([0.0, 1.0, 2.0], [0.0, 1.0, 0.0]),
    "best and worst not reached": ([-1.0, 0.5, 1.0, 4.0], [0.0, 0.3, 0.7, 0.0]),
    "single state": ([3.0], [1.0]),
    "generic": ([0.3, -1.2, 0.8, 2.0, 0.1], [0.1, 0.3, 0.2, 0.15, 0.25]),
    "skewed": ([0.0, 1.0, 1.1, 1.2], [0.01, 0.33, 0.33, 0.33]),
}


@pytest.mark.parametrize("case", _DEGENERATE)
@pytest.mark.parametrize("name", SETS | ANY_DISTANCE)
def test_values_agree_with_a_convex_program(name, case):
    values, row = (np.array(x) for x in _DEGENERATE[case])
    for level in (0.05, 0.4, 5.0):
        uncertainty = (SETS | ANY_DISTANCE)[name](level, len(values))
        expectation, _ = uncertainty.worst_case(values, row)
        program = _program(name, level, values, row)
        settings = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}
        program.solve(solver=cp.CLARABEL, **settings)
        # Clarabel stops at 1e-9, or at the square root of it where the constraint is degenerate.
        assert expectation == pytest.approx(program.value, abs=4e-5 if level == 5.0 else 1e-6)


# Agreement of layouts, duality, derivatives.


@pytest.mark.parametrize("name", SETS)
@given(problem=problems(), level=st.sampled_from(RADII), long=st.booleans())
@settings(max_examples=15, deadline=None)
def test_dense_and_sparse_rows_agree(name, problem, level, long):
    values, nominal = problem
    if long:  # past the length at which rows are sorted another way
        values = np.concatenate([values, np.linspace(-1.0, 2.0, 50)])
        tail = np.random.default_rng(0).dirichlet(np.ones(50), len(nominal))
        nominal = np.hstack([0.5 * nominal, 0.5 * tail])
    if name == "linf":  # in CSR, probabilities that are not stored do not move
        nominal = np.where(nominal > 0, nominal, 1e-3)
        nominal /= nominal.sum(axis=1, keepdims=True)
    uncertainty = SETS[name](level, len(values))
    _, _, dense = _solved(uncertainty, values, nominal)
    rows, budgets, thin = _solved(uncertainty, values, sparse.csr_array(nominal))
    tolerance = 1e-12 * _range(values)
    np.testing.assert_allclose(thin.lower, dense.lower, rtol=0, atol=tolerance)
    np.testing.assert_allclose(thin.upper, dense.upper, rtol=0, atol=tolerance)
    members = uncertainty.members(rows, values, budgets, thin)
    members = members.toarray() if sparse.issparse(members) else members
    np.testing.assert_allclose(members.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    penalty = np.zeros(len(nominal))
    if name in BALLS:
        np.testing.assert_allclose(members @ values, thin.upper, rtol=0, atol=tolerance)
        both = (Rows.of(sparse.csr_array(nominal)), Rows.of(nominal))
        penalty[:] = 0.1 * np.ptp(values)
        (a, _), (b, _) = (uncertainty.penalised(r, values, penalty) for r in both)
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * _range(values))


@pytest.mark.parametrize("name", BALLS)
@given(
    problem=problems(),
    slope=st.sampled_from([0.0, 1e-3, 0.1, 0.5, 3.0]),
    level=st.sampled_from([1e-6, 0.01, 0.1, 0.5, 1.0, 10.0]),
)
@settings(max_examples=20, deadline=None)
def test_the_penalised_value_is_dual_to_the_radius(name, problem, slope, level):
    """min over q of q . v + m D = min over b of inf(b) + m b, attained at the D returned."""
    values, nominal = problem
    level = min(level, 1.0) if name == "contamination" else level
    rows = Rows.of(nominal)
    multipliers = np.full(rows.count, slope * np.ptp(values))
    value, distance = BALLS[name](0.0, len(values)).penalised(rows, values, multipliers)
    tolerance = 1e-9 * _range(values)
    for budget in (np.full(rows.count, level), distance):
        ball = BALLS[name](budget, len(values))
        _, _, inner = _solved(ball, values, nominal)
        assert np.all(value <= inner.upper + multipliers * budget + tolerance)
    np.testing.assert_allclose(value, inner.upper + multipliers * budget, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", BALLS)
@given(
    problem=problems(),
    level=st.sampled_from([1e-9, 1e-4, 0.01, 0.1, 0.5, 2.0]),
    factor=st.sampled_from([0.0, 0.5, 0.9, 0.999, 1.001, 1.1, 2.0, 10.0]),
)
@settings(max_examples=20, deadline=None)
def test_the_multiplier_supports_the_value_from_below(name, problem, level, factor):
    """The infimum is convex in the radius: minus the multiplier is a subgradient of it."""
    values, nominal = problem
    level = min(level, 0.5) if name == "contamination" else level
    at, elsewhere = BALLS[name](level, len(values)), BALLS[name](level * factor, len(values))
    change = float(elsewhere.radius) - level
    _, _, here = _solved(at, values, nominal)
    _, _, there = _solved(elsewhere, values, nominal)
    assert np.all(here.multiplier >= 0.0)
    line = here.lower - here.multiplier * change
    assert np.all(there.upper >= line - 1e-11 * (_range(values) + np.abs(line - here.lower)))


@given(
    problem=problems(),
    level=st.sampled_from([1e-9, 0.01, 0.1, 1.0, 10.0]),
    warm=st.sampled_from([0.0, np.inf, 1e-300, 1e300, 1.0, 1e-3, -1.0]),
)
@settings(max_examples=20, deadline=None)
def test_a_useless_warm_start_costs_time_only(problem, level, warm):
    values, nominal = problem
    ball = KullbackLeibler(level)
    _, _, cold = _solved(ball, values, nominal)
    rows, budgets, inner = _solved(ball, values, nominal, warm)
    tolerance = 1e-12 * _range(values)
    assert np.all(inner.lower <= inner.upper)
    assert np.all(inner.upper - inner.lower <= tolerance)
    np.testing.assert_allclose(inner.lower, cold.lower, rtol=0, atol=tolerance)
    moved = ball.solve(rows, values + 0.01 * np.sin(np.arange(len(values))), budgets, inner)
    assert np.all(moved.upper - moved.lower <= tolerance + 1e-12)


@pytest.mark.parametrize("name", SETS)
def test_one_radius_per_row(name):
    rng = np.random.default_rng(1)
    nominal, values = rng.dirichlet(np.ones(4), (2, 3)), rng.normal(size=4)
    levels = rng.random((2, 3))
    together, members = SETS[name](levels, 4).worst_case(values, nominal)
    assert together.shape == (2, 3)
    assert members.shape == (2, 3, 4)
    for i in np.ndindex(2, 3):
        alone, q = SETS[name](levels[i], 4).worst_case(values, nominal[i])
        assert alone == pytest.approx(together[i], rel=1e-12)
        np.testing.assert_allclose(q, members[i], atol=1e-9)
    columns, _ = SETS[name](levels[0], 4).worst_case(values, nominal)
    np.testing.assert_allclose(columns[0], together[0], rtol=1e-12)
    with pytest.raises(ValueError, match=r"(radius|penalty) has shape \(5,\)"):
        SETS[name](np.full(5, 0.1), 4).worst_case(values, nominal)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("as_rows", [np.asarray, sparse.csr_array])
def test_rows_of_unavailable_actions_do_no_harm(name, as_rows):
    nominal = as_rows(np.array([[0.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.0, 0.0]]))
    values = np.array([1.0, -1.0, 0.5])
    uncertainty = SETS[name](0.1, 3)
    rows, budgets, inner = _solved(uncertainty, values, nominal)
    assert np.all(np.isfinite(inner.lower))
    assert np.all(np.isfinite(inner.upper))
    members = uncertainty.members(rows, values, budgets, inner)
    assert np.all(np.isfinite(members.data if sparse.issparse(members) else members))
    alone, _ = uncertainty.worst_case(values, [0.2, 0.3, 0.5])
    if name != "linf" or not rows.is_sparse:
        assert inner.upper[1] == pytest.approx(alone, rel=1e-13)


# Bad input.


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("bad", [-0.1, np.nan, np.inf, [0.1, -1e-3]])
def test_bad_radii_and_penalties_are_refused(name, bad):
    if name == "contamination" and bad is np.inf:
        bad = 1.5
        with pytest.raises(ValueError, match="radius"):
            Contamination(bad)
        return
    with pytest.raises(ValueError, match="penalty" if name in PENALISED else "radius"):
        SETS[name](bad, 3)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Wasserstein(0.1, np.ones((2, 3))), r"cost has shape \(2, 3\)"),
        (lambda: Wasserstein(0.1, [[0.0, -1.0], [1.0, 0.0]]), r"cost\[0, 1\] is -1"),
        (lambda: Wasserstein(0.1, [[0.0, 1.0], [1.0, 0.5]]), r"cost\[1, 1\] is 0.5"),
        (lambda: Wasserstein(0.1, [[0.0, np.nan], [1.0, 0.0]]), "cost"),
        (lambda: TotalVariation(0.1, support="everywhere"), "support is 'everywhere'"),
        (lambda: Contamination(1.5), "radius is 1.5"),
        (lambda: Interval(0.2, 1.5), "upper"),
        (lambda: Interval(-0.1, 0.5), "lower"),
        (lambda: Interval(0.6, 0.9).worst_case([1.0, 2.0], [0.5, 0.5]), "lower and upper"),
        (lambda: Wasserstein(0.1, np.zeros((2, 2))).worst_case([1.0], [1.0]), "cost has shape"),
        (lambda: ChiSquare(0.1).worst_case([1.0, np.nan], [0.5, 0.5]), "values"),
        (lambda: ChiSquare(0.1).worst_case([1.0, 2.0], [0.5, 0.6]), "nominal sums to 1.1"),
        (lambda: ChiSquare(0.1).worst_case([1.0, 2.0], [1.5, -0.5]), r"nominal\[1\] is -0.5"),
        (lambda: ChiSquare(0.1).worst_case([1.0, 2.0], [1.0]), "nominal has shape"),
        (lambda: rational.worst_case(L1([0.1, 0.2]), [1.0], [1.0], row=2), "radius has shape"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("uncertainty", [ChiSquare(0.1), Penalised(LInf(0.0), 0.1)])
def test_exact_arithmetic_is_offered_for_polyhedral_sets_only(uncertainty):
    with pytest.raises(TypeError, match=f"uncertainty is a {type(uncertainty).__name__}"):
        rational.worst_case(uncertainty, [1.0], [1.0])


def test_an_l2_member_stays_a_distribution_where_the_least_values_nearly_tie():
    # The price is met where the radius is all but used up by the states that lose their mass.
    values = np.array([2.0, 0.999999998, 4.62071048e-10, 2.0, 1.84981142e-10, 0.0])
    rng = np.random.default_rng(0)
    for nominal in rng.dirichlet(np.ones(6), size=200):
        expectation, q = Penalised(L2(0.0), 1.0).worst_case(values, nominal)
        assert q.sum() == pytest.approx(1.0, abs=1e-12)
        attained = q @ values + np.sqrt(((q - nominal) ** 2).sum())
        assert attained == pytest.approx(expectation, abs=1e-12)
