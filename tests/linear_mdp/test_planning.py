"""Plans of linear MDPs: equal to convex programs, to fractions, and to sixty digits.

The convex programs know nothing of duals or of backward passes over factors: measures of all
factors are variables of one program, or all values of all steps are.
"""

from fractions import Fraction

import cvxpy as cp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_linear import SETS, linear_mdps, robust_linear_mdps

from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.planning import plan
from rltheory.tabular import backward_induction
from rltheory.tabular.uncertainty import (
    ChiSquare,
    Interval,
    KullbackLeibler,
    TotalVariation,
    rational,
)

TIGHT = {"tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}


def _robust(name, seed, *, states=3, actions=2, dimension=3, horizon=2, budgets=None):
    rng = np.random.default_rng(seed)
    nominal = LinearMDP(
        rng.dirichlet(np.ones(dimension), size=(states, actions)),
        rng.dirichlet(0.7 * np.ones(states), size=(horizon, dimension)),
        rng.random((horizon, dimension)),
    )
    given = rng.uniform(0.05, 0.6, size=(horizon, dimension)) if budgets is None else budgets
    return RobustLinearMDP(nominal, SETS[name](given))


def _reference(model, seed=0):
    shape = model.nominal.rewards.shape
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), size=shape[:-1])


# Convex programs.


def _distance(name, measure, nominal):
    """D(measure, nominal) of one factor; states without nominal mass only for total variation."""
    if name.endswith("total_variation"):
        return cp.norm1(measure - nominal) / 2
    if name.endswith("kullback_leibler"):
        return cp.sum(cp.kl_div(measure, nominal))
    return cp.sum(cp.multiply(1.0 / nominal, cp.square(measure - nominal)))


def _convex_plan(name, model, temperature, reference):
    """Backward induction in which every maximum and every minimum is a convex program."""
    mdp = model.nominal
    states, d = mdp.states, mdp.dimension
    values = np.zeros((mdp.horizon + 1, states))
    q = np.empty(mdp.rewards.shape)
    for h in reversed(range(mdp.horizon)):
        measures = cp.Variable((d, states), nonneg=True)
        distances = [_distance(name, measures[i], mdp.measures[h, i]) for i in range(d)]
        constraints = [cp.sum(measures, axis=1) == 1]
        weights = cp.Parameter(d, nonneg=True)
        objective = weights @ (measures @ values[h + 1])
        if name.startswith("penalised"):
            objective += weights @ cp.hstack([model.budgets[h, i] * distances[i] for i in range(d)])
        else:
            constraints += [distances[i] <= model.budgets[h, i] for i in range(d)]
        problem = cp.Problem(cp.Minimize(objective), constraints)
        for s in range(states):
            for a in range(mdp.actions):
                weights.value = mdp.features[s, a]
                problem.solve(solver=cp.CLARABEL, **TIGHT)
                q[h, s, a] = mdp.rewards[h, s, a] + problem.value
        policy = cp.Variable((states, mdp.actions), nonneg=True)
        gains = cp.sum(cp.multiply(q[h], policy), axis=1)
        if temperature:
            gains -= temperature * cp.sum(cp.kl_div(policy, reference[h]), axis=1)
        best = cp.Problem(cp.Maximize(cp.sum(gains)), [cp.sum(policy, axis=1) == 1])
        best.solve(solver=cp.CLARABEL, **TIGHT)
        values[h] = gains.value
    return values, q


@pytest.mark.parametrize("temperature", [0.0, 0.4])
@pytest.mark.parametrize("name", SETS)
def test_plans_are_those_of_convex_programs(name, temperature):
    model = _robust(name, seed=11)
    reference = _reference(model) if temperature else None
    solution = plan(model, temperature=temperature, reference=reference)
    values, q = _convex_plan(name, model, temperature, reference)
    assert solution.values == pytest.approx(values, abs=1e-7, rel=0)
    assert solution.action_values == pytest.approx(q, abs=1e-7, rel=0)


def _below_worst_case(name, values, nominal, budget):
    """A concave lower bound of one factor's worst case, tight at its multipliers: the dual."""
    n = len(nominal)
    if name.endswith("total_variation"):
        shift, cap = cp.Variable(), cp.Variable(n)
        price = budget if name.startswith("penalised") else cp.Variable(nonneg=True)
        paid = 0.0 if name.startswith("penalised") else price * budget
        constraints = [cap <= values, cap <= shift + price, shift <= values]
        return nominal @ cap - paid, constraints
    tilted = cp.Variable(n)
    if name.endswith("kullback_leibler"):
        constraints, level = [], cp.Variable()
        price = budget if name.startswith("penalised") else cp.Variable(nonneg=True)
        paid = 0.0 if name.startswith("penalised") else price * budget
        # price * exp((level - v) / price) summed over the row is at most price.
        one = np.ones(n)
        constraints += [
            cp.constraints.ExpCone(level - values, price * one, tilted),
            nominal @ tilted <= price,
        ]
        return level - paid, constraints
    # With q = p (1 + u): level - p . (level - v + slack)^2 / (4 price) by completing the square.
    level, excess = cp.Variable(), cp.Variable(n, nonneg=True)
    constraints = [excess >= level - values]
    root = np.sqrt(nominal)
    if name.startswith("penalised"):
        # inf over q >= 0 of q . v + c sum (q - p)^2 / p, level the multiplier of the sum.
        gain = level + 2.0 * budget
        held = cp.Variable(n, nonneg=True)
        constraints = [held >= gain - values]
        paid = cp.sum_squares(cp.multiply(root, held)) / (4.0 * budget)
        return level + budget - paid, constraints
    return level - np.sqrt(1.0 + budget) * cp.norm2(cp.multiply(root, excess)), constraints


@pytest.mark.parametrize("temperature", [0.0, 0.4])
@pytest.mark.parametrize("name", SETS)
def test_a_policys_values_are_those_of_one_program_over_all_steps(name, temperature):
    model = _robust(name, seed=12)
    mdp, reference = model.nominal, _reference(model)
    solution = plan(model, temperature=temperature, reference=reference if temperature else None)
    policy = _reference(model, seed=2) if temperature == 0.0 else solution.policy
    evaluated = plan(
        model,
        temperature=temperature,
        reference=reference if temperature else None,
        policy=policy,
    )
    values = cp.Variable((mdp.horizon + 1, mdp.states))
    factors = cp.Variable((mdp.horizon, mdp.dimension))
    constraints = [values[-1] == 0]
    paid = temperature * (policy * np.log(policy / reference)).sum(axis=-1)
    for h in range(mdp.horizon):
        for i in range(mdp.dimension):
            worst, more = _below_worst_case(
                name, values[h + 1], mdp.measures[h, i], model.budgets[h, i]
            )
            constraints += [*more, factors[h, i] <= worst]
        for s in range(mdp.states):
            mixed = policy[h, s] @ mdp.features[s]
            gain = policy[h, s] @ mdp.rewards[h, s] - paid[h, s]
            constraints.append(values[h, s] <= gain + mixed @ factors[h])
    # Larger later values only help earlier ones: one program finds them all.
    problem = cp.Problem(cp.Maximize(cp.sum(values)), constraints)
    problem.solve(solver=cp.CLARABEL, **TIGHT)
    assert evaluated.values == pytest.approx(values.value, abs=1e-7, rel=0)
    if temperature:
        assert evaluated.values == pytest.approx(solution.values, abs=1e-12, rel=0)


# Exact values.


def _rational_values(model, policy=None):
    """Values of all steps in fractions, of the features, measures and budgets as stored."""
    mdp, ball = model.nominal, model.uncertainty
    exact = np.vectorize(Fraction, otypes=[object])
    values = [exact(np.zeros(mdp.states))]
    features, weights = exact(mdp.features), exact(mdp.reward_weights)
    for h in reversed(range(mdp.horizon)):
        measures = exact(mdp.measures[h])
        nu = np.array([
            sum(rational.worst_member(type(ball)(float(b)), values[0], p)[0] * values[0])
            + rational.worst_member(type(ball)(float(b)), values[0], p)[1]
            for p, b in zip(measures, model.budgets[h], strict=True)
        ])  # fmt: skip
        q = features @ (weights[h] + nu)
        best = q.max(axis=1) if policy is None else (exact(policy[h]) * q).sum(axis=1)
        values.insert(0, best)
    return values


def _assert_contains(solution, truth):
    for h, row in enumerate(truth):
        for s, value in enumerate(row):
            assert Fraction(float(solution.lower[h, s])) <= value
            assert value <= Fraction(float(solution.upper[h, s]))


@pytest.mark.parametrize("name", ["total_variation", "penalised_total_variation"])
@settings(max_examples=20)
@given(data=st.data())
def test_certified_bounds_contain_the_rational_optimum(name, data):
    model = data.draw(robust_linear_mdps(name))
    solution = plan(model)
    _assert_contains(solution, _rational_values(model))
    policy = data.draw(_policies(model.nominal))
    _assert_contains(plan(model, policy=policy), _rational_values(model, policy))
    assert solution.gap < 1e-11


@st.composite
def _policies(draw, mdp):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = rng.random(mdp.rewards.shape)
    rows[rng.random(rows.shape) < 0.3] = 0.0
    rows[..., 0] += rows.sum(axis=-1) == 0.0
    return rows / rows.sum(axis=-1, keepdims=True)


# Sixty digits, for what is irrational.


def _entropic(v, p, penalty):
    low = min(v)
    if penalty == 0:
        return low
    return low - penalty * mpmath.log(
        sum(y * mpmath.exp((low - x) / penalty) for x, y in zip(v, p, strict=True)) / sum(p)
    )


def _worst(name, v, p, budget):
    """The worst expectation of a row of mass one, to the digits of the context."""
    if name.endswith("total_variation"):
        low = min(v)
        if name.startswith("penalised"):
            return sum(y * min(x, low + budget) for x, y in zip(v, p, strict=True))
        return max(
            sum(y * min(x, cap) for x, y in zip(v, p, strict=True)) - budget * (cap - low)
            for cap in v
        )
    pairs = [(x, y / sum(p)) for x, y in zip(v, p, strict=True) if y > 0]
    v, p = zip(*sorted(pairs), strict=True)
    if name == "penalised_kullback_leibler":
        return _entropic(v, p, budget)
    least = sum(y for x, y in pairs if x == v[0])
    mean = sum(x * y for x, y in pairs)
    if v[-1] - v[0] < mpmath.mpf(10) ** (15 - mpmath.mp.dps):
        # All of the digits that tell these values apart are roundings.
        return mean
    if name == "kullback_leibler":
        if budget == 0:
            return mean
        if budget >= -mpmath.log(least):
            return v[0]
        low, high = mpmath.mpf(-40), mpmath.mpf(60)
        for _ in range(130):
            middle = (low + high) / 2
            beta = mpmath.exp(middle)
            tilt = [y * mpmath.exp((v[0] - x) / beta) for x, y in zip(v, p, strict=True)]
            centre = sum(t * (x - v[0]) for t, x in zip(tilt, v, strict=True)) / sum(tilt)
            spent = -centre / beta - mpmath.log(sum(tilt))
            low, high = (middle, high) if spent > budget else (low, middle)
        return _entropic(v, p, mpmath.exp(high)) - mpmath.exp(high) * budget
    # q = p (eta - v)_+ / price: on every piece one equation, the first that fits its piece.
    for n in range(1, len(v) + 1):
        part, first = sum(p[:n]), sum(x * y for x, y in zip(v[:n], p[:n], strict=True))
        mean = first / part
        second = sum(y * (x - mean) ** 2 for x, y in zip(v[:n], p[:n], strict=True))
        if name == "penalised_chi_square":
            if budget == 0:
                return v[0]
            price = 2 * budget
            eta = (price + first) / part
        else:
            room = (1 + budget) * part - 1
            if room <= 0 or second == 0:
                continue
            # sum q = 1 fixes the price, sum q^2 / p = 1 + budget then eta.
            eta = mean + mpmath.sqrt(second / (part * room))
            price = part * (eta - mean)
        if eta >= v[n - 1] and (n == len(v) or eta <= v[n]):
            q = [y * (eta - x) / price for x, y in zip(v[:n], p[:n], strict=True)]
            paid = 0
            if name == "penalised_chi_square":
                paid = budget * (sum(a * a / y for a, y in zip(q, p, strict=False)) - 1)
            return sum(a * x for a, x in zip(q, v, strict=False)) + paid
    return mean if budget == 0 else v[0]


def _precise_values(name, model, temperature, reference, policy):
    mdp = model.nominal
    number = np.vectorize(lambda x: mpmath.mpf(float(x)), otypes=[object])
    values = [number(np.zeros(mdp.states))]
    features, weights = number(mdp.features), number(mdp.reward_weights)
    for h in reversed(range(mdp.horizon)):
        measures, budgets = number(mdp.measures[h]), number(model.budgets[h])
        # Worst cases of rows whose mass is one up to rounding are those of the row times it.
        scale = [1 if "total" in name else sum(p) for p in measures]
        nu = [
            m * _worst(name, list(values[0]), list(p), b)
            for p, b, m in zip(measures, budgets, scale, strict=True)
        ]
        q = features @ (weights[h] + np.array(nu))
        anchor = number(reference[h])
        if policy is not None:
            rows = number(policy[h])
            best = (rows * q).sum(axis=1)
            for s, a in zip(*np.nonzero(policy[h]), strict=True):
                best[s] -= temperature * rows[s, a] * mpmath.log(rows[s, a] / anchor[s, a])
        else:
            exponentials = np.vectorize(mpmath.exp, otypes=[object])(q / temperature)
            sums = (anchor * exponentials).sum(axis=1)
            best = np.array([temperature * mpmath.log(x) for x in sums])
        values.insert(0, best)
    return values


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=12)
@given(data=st.data())
def test_certified_bounds_contain_the_regularised_optimum(name, data):
    model = data.draw(robust_linear_mdps(name, max_states=3, max_horizon=2))
    temperature = data.draw(st.sampled_from([0.05, 0.5, 8.0]))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = model.nominal.rewards.shape
    reference = rng.dirichlet(np.ones(shape[-1]), size=shape[:-1]) + 1e-6
    reference /= reference.sum(axis=-1, keepdims=True)
    with mpmath.workdps(60):
        heat = mpmath.mpf(temperature)
        for policy in (None, data.draw(_policies(model.nominal))):
            solution = plan(model, temperature=temperature, reference=reference, policy=policy)
            truth = _precise_values(name, model, heat, reference, policy)
            for h, row in enumerate(truth):
                for s, value in enumerate(row):
                    assert mpmath.mpf(float(solution.lower[h, s])) <= value
                    assert value <= mpmath.mpf(float(solution.upper[h, s]))
            assert solution.gap < 1e-10


# Certificates among themselves.


@settings(max_examples=20)
@given(data=st.data())
def test_policies_and_worst_measures_attain_the_values(data):
    model = data.draw(robust_linear_mdps())
    heat = data.draw(st.sampled_from([0.0, 0.3]))
    solution = plan(model, temperature=heat)
    evaluated = plan(model, temperature=heat, policy=solution.policy)
    slack = 1e-11
    assert solution.values == pytest.approx(evaluated.values, abs=slack, rel=0)
    assert np.all(solution.lower <= solution.values)
    assert np.all(solution.values <= solution.upper)
    worst = model.nominal.replace(measures=solution.worst_measures)
    against = plan(worst, temperature=heat, policy=solution.policy)
    if hasattr(model.uncertainty, "radius"):
        assert against.values == pytest.approx(solution.values, abs=1e-10, rel=0)
    else:
        # What a penalised adversary pays is on top.
        assert np.all(against.values <= solution.values + slack)


@settings(max_examples=20)
@given(data=st.data())
def test_no_member_does_worse_than_the_worst_measures(data):
    model = data.draw(robust_linear_mdps("total_variation"))
    solution = plan(model)
    mdp = model.nominal
    rng = np.random.default_rng(0)
    for _ in range(5):
        other = rng.dirichlet(np.ones(mdp.states), size=mdp.measures.shape[:2])
        # Any mixture with a share of the radius is in the ball.
        share = model.budgets[..., None]
        member = mdp.replace(measures=(1 - share) * mdp.measures + share * other)
        against = plan(member, policy=solution.policy)
        assert np.all(against.upper >= solution.lower)


@settings(max_examples=20)
@given(mdp=linear_mdps())
def test_without_adversary_plans_are_those_of_the_kernels(mdp):
    solution, spelt_out = plan(mdp), backward_induction(mdp.to_tabular())
    slack = solution.gap + spelt_out.gap + 1e-12  # kernels spelt out have their own rounding
    assert solution.values == pytest.approx(spelt_out.values, abs=slack, rel=0)
    assert solution.worst_measures == pytest.approx(mdp.measures)


@settings(max_examples=20)
@given(mdp=linear_mdps(), seed=st.integers(0, 99))
def test_features_need_not_be_on_the_simplex_without_adversary(mdp, seed):
    # The same kernels and rewards in other coordinates.
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(mdp.dimension, mdp.dimension)))[0]
    turned = mdp.replace(
        features=mdp.features @ turn,
        measures=np.einsum("de,hds->hes", turn, mdp.measures),
        reward_weights=mdp.reward_weights @ turn,
    )
    # Coordinates of size one, d of them, each with the rounding of the turn, over all steps.
    assert plan(turned).values == pytest.approx(plan(mdp).values, abs=1e-12, rel=0)
    assert plan(turned).gap < 1e-11


@pytest.mark.parametrize("name", SETS)
def test_one_of_everything(name):
    nominal = LinearMDP(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.array([[0.5]]))
    solution = plan(RobustLinearMDP(nominal, SETS[name](0.3)))
    assert solution.values[:, 0] == pytest.approx([0.5, 0.0], abs=1e-15)


@pytest.mark.parametrize("name", ["kullback_leibler", "chi_square"])
def test_what_the_nominal_measure_rules_out_stays_out(name):
    # The second state is worth less, and never reached; only total variation can move there.
    features = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    measures = np.array([[1.0, 0.0], [0.0, 1.0]])[None].repeat(2, axis=0)
    nominal = LinearMDP(features, measures, np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert plan(RobustLinearMDP(nominal, SETS[name](0.4))).values[0, 0] == 2.0
    moved = plan(RobustLinearMDP(nominal, TotalVariation(0.4))).values[0, 0]
    assert moved == pytest.approx(1.6, abs=1e-15)


def test_radii_are_those_of_their_step_and_factor():
    zeros = np.zeros((2, 3))
    for h in range(2):
        for i in range(3):
            radii = zeros.copy()
            radii[h, i] = 0.5
            model = _robust("total_variation", seed=3, budgets=radii)
            plain = plan(model.nominal)
            touched = np.abs(plan(model).factor_values - plain.factor_values) > 1e-9
            # The last step's successors are worth nothing: no radius there matters.
            expected = zeros.astype(bool)
            expected[h, i] = h == 0
            assert np.array_equal(touched, expected)


# Bad input.


def _off_simplex():
    half = np.array([[[1.5, -0.5]], [[0.0, 1.0]]])
    return LinearMDP(half, np.tile(np.full(2, 0.5), (1, 2, 1)), np.ones((1, 2)))


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda m: RobustLinearMDP(_off_simplex(), ChiSquare(0.1)), ValueError,
         r"nominal\.features must be distributions.*is -0\.5"),
        (lambda m: RobustLinearMDP(m, TotalVariation(1.5)), ValueError, "radius is 1.5.*at most 1"),
        (lambda m: RobustLinearMDP(m, TotalVariation(np.full((5, 5), 0.1))), ValueError, "radius"),
        (lambda m: RobustLinearMDP(m, KullbackLeibler(-0.1)), ValueError, "radius is -0.1"),
        (lambda m: RobustLinearMDP(m, KullbackLeibler(np.nan)), ValueError, "radius"),
        (lambda m: RobustLinearMDP(m, 0.1), TypeError, "uncertainty is 0.1"),
        (lambda m: RobustLinearMDP(np.eye(2), ChiSquare(0.1)), TypeError, "expected a LinearMDP"),
        (lambda m: plan(m, temperature=1.0, reference=np.array([[0.0, 1.0]] * 3)), ValueError,
         r"reference\[0, 0\] is 0.*Kullback-Leibler"),
        (lambda m: plan(m, temperature=1.0, reference=np.full((3, 2), 0.6)), ValueError,
         r"reference\[0\] sums to 1.2"),
        (lambda m: plan(m, temperature=1.0, reference=np.full((2, 2), 0.5)), ValueError,
         r"reference has shape \(2, 2\)"),
        (lambda m: plan(m, temperature=1.0, reference=np.full((3, 2), np.nan)), ValueError,
         "reference"),
        (lambda m: plan(m, reference=np.full((3, 2), 0.5)), ValueError, "without a temperature"),
        (lambda m: plan(m, temperature=-1.0), ValueError, "temperature is -1"),
        (lambda m: plan(m, temperature=np.nan), ValueError, "temperature is nan"),
        (lambda m: plan(m, temperature=np.inf), ValueError, "temperature is inf"),
        (lambda m: plan(m, policy=np.full((2, 3, 2), 0.6)), ValueError, "sums to 1.2"),
        (lambda m: plan(m, policy=np.full((2, 3), 2)), ValueError, "policy"),
        (lambda m: plan(m.to_tabular()), TypeError, "expected a LinearMDP or a RobustLinearMDP"),
        (lambda m: plan(RobustLinearMDP(m, Interval(np.full(3, 0.5), np.full(3, 0.6)))),
         ValueError, "admit no distribution"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_by_name(make, error, said):
    with pytest.raises(error, match=said):
        make(_robust("chi_square", seed=0).nominal)
