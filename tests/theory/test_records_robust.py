"""What the robust records compute with, against public solvers."""

from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.robust import robust_evaluate_policy
from rltheory.tabular.robust_horizon import robust_backward_induction
from rltheory.tabular.uncertainty import (
    L2,
    ChiSquare,
    Contamination,
    KullbackLeibler,
    TotalVariation,
    Wasserstein,
)
from rltheory.theory import instances, robust_exact, water_level
from rltheory.theory.exact import fractions
from rltheory.theory.rational_lp import minimise
from rltheory.theory.records import (
    robust_divergence,
    robust_gradient,
    robust_rectangularity,
    robust_sensitivity,
    robust_transport,
)
from rltheory.theory.sides import to_bounds
from rltheory.theory.tape import Tape


@pytest.mark.parametrize("seed", range(12))
def test_water_level_lies_in_the_bounds_of_the_saddle_solver(seed):
    mdp, radius, values = robust_rectangularity.sample_shared(Tape(seed=(seed, 5)), 3)
    truth = water_level.shared_backup(mdp, radius, values).astype(float)
    step = EpisodicMDP(mdp.transitions[None], mdp.rewards[None])
    found = robust_backward_induction(
        step,
        TotalVariation(float(radius)),
        rectangularity="s",
        terminal_values=mdp.discount * values.astype(float),
    )
    assert np.all(found.lower[0] <= truth + 1e-12)
    assert np.all(truth <= found.upper[0] + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_shared_evaluation_agrees_with_the_public_solver(seed):
    tape = Tape(seed=(seed, 6))
    mdp, radius, _ = robust_rectangularity.sample_shared(tape, 3)
    policy = instances.policy(tape, 3, mdp.actions)
    truth = water_level.evaluate(mdp, radius, policy).values.astype(float)
    found = robust_evaluate_policy(
        mdp, policy, TotalVariation(float(radius)), rectangularity="s", tolerance=1e-9
    )
    assert np.all(found.lower <= truth + 1e-9)
    assert np.all(truth <= found.upper + 1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_rational_simplex_agrees_with_highs(seed):
    generator = np.random.default_rng(seed)
    system = np.hstack([generator.integers(0, 4, (3, 5)).astype(float), np.eye(3)])
    costs = np.concatenate([generator.integers(-6, 1, 5).astype(float), np.zeros(3)])
    system[:, :5] += 0.25
    right = generator.integers(0, 5, 3).astype(float)
    value, solution = minimise(fractions(costs), fractions(system), fractions(right), [5, 6, 7])
    reference = linprog(costs, A_eq=system, b_eq=right, method="highs")
    assert float(value) == pytest.approx(reference.fun, abs=1e-9)
    assert np.all(fractions(system) @ solution == fractions(right))
    assert min(solution) >= 0


def test_rational_simplex_names_what_is_wrong():
    one = fractions(np.array([1.0]))
    with pytest.raises(ValueError, match="unbounded"):
        minimise(fractions([-1, 0]), fractions(np.array([[-1.0, 1.0]])), one, [1])
    with pytest.raises(ValueError, match="not feasible"):
        minimise(fractions([1]), fractions(np.array([[1.0]])), -one, [0])


@pytest.mark.parametrize("seed", range(8))
def test_dual_maxima_agree_with_the_compiled_sets(seed):
    for theorem, distance, kind in (
        (robust_divergence.KULLBACK_LEIBLER, _kullback_leibler, KullbackLeibler),
        (robust_divergence.CHI_SQUARE, lambda q, p: ((q - p) ** 2 / p)[p > 0].sum(), ChiSquare),
        (robust_divergence.EUCLIDEAN, lambda q, p: np.sqrt(((q - p) ** 2).sum()), L2),
    ):
        tape = Tape(seed=(seed, 8))
        tilt = theorem.sample(tape, 4)
        while not theorem.admissible(tilt):
            tilt = theorem.sample(tape, 4)
        values, nominal = tilt.values.astype(float), tilt.nominal.astype(float)
        row = _worst(theorem, tilt)
        with np.errstate(divide="ignore", invalid="ignore"):
            radius = distance(row, nominal)
        found, _ = kind(radius).worst_case(values, nominal)
        expected = to_bounds(theorem.sides(tilt)[1])
        assert found == pytest.approx(float(np.ravel(expected.lower)[0]), abs=1e-7)


def _kullback_leibler(row, nominal):
    return float(np.sum(row[row > 0] * np.log(row[row > 0] / nominal[row > 0])))


def _worst(theorem, tilt):
    """The worst row by its formula, in floats."""
    values, nominal, multiplier = (np.asarray(x, dtype=float) for x in tilt)
    if theorem is robust_divergence.KULLBACK_LEIBLER:
        weights = nominal * np.exp(-(values - values.min()) / multiplier)
    elif theorem is robust_divergence.CHI_SQUARE:
        weights = nominal * np.maximum(multiplier - values, 0.0)
    else:
        return robust_divergence.projected(tilt)[0].astype(float)
    return weights / weights.sum()


@pytest.mark.parametrize("seed", range(8))
def test_transport_dual_agrees_with_the_compiled_set(seed):
    values, nominal, radius, cost = robust_transport.sample_transport(Tape(seed=(seed, 9)), 4)
    found, _ = Wasserstein(float(radius), cost.astype(float)).worst_case(
        values.astype(float), nominal.astype(float)
    )
    dual = robust_transport.transport_dual(
        robust_transport.Transport(values, nominal, radius, cost)
    )
    assert found == pytest.approx(float(dual), abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_robust_gradient_agrees_with_a_central_difference(seed):
    tape = Tape(seed=(seed, 10))
    instance = robust_gradient.sample_moving(tape, 3)
    while not robust_gradient.single_worst_state(instance):
        instance = robust_gradient.sample_moving(tape, 3)
    mdp, weight, policy, target = instance
    step = Fraction(1, 2**20)
    # Mixing with the target moves along the direction; the value extends to negative weights.
    values = [
        fractions(mdp.initial)
        @ robust_exact.evaluate(
            mdp, Contamination(float(weight)), policy + sign * step * (target - policy)
        ).values
        for sign in (1, -1)
    ]
    difference = float((values[0] - values[1]) / (2 * step))
    assert difference == pytest.approx(float(robust_gradient.gradient_sides(instance)[1]), abs=1e-6)


def test_radius_curves_of_the_kept_instances_have_their_closed_forms():
    mdp, _, _ = robust_sensitivity.swinging()
    for k in range(5):
        left, discount = 1 - Fraction(k, 4), Fraction(15, 16)
        values = robust_sensitivity.robust_value(mdp, Fraction(k, 4))
        assert values[1] == discount * left / ((1 - discount) * (1 + discount * left))
