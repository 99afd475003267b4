"""Records on risk over a horizon, small radii, robust iteration and curved sets, cross-checked."""

from fractions import Fraction

import numpy as np
import pytest

from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.robust import robust_evaluate_policy, robust_value_iteration
from rltheory.tabular.robust_horizon import robust_backward_induction
from rltheory.tabular.uncertainty import (
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    Wasserstein,
)
from rltheory.theory import balls
from rltheory.theory.balls import precise
from rltheory.theory.records import (
    robust_divergence_operator,
    robust_entropic,
    robust_iteration,
    robust_penalised,
    robust_small_radius,
)
from rltheory.theory.tape import Tape


@pytest.mark.parametrize("seed", range(6))
def test_risk_of_undiscounted_returns_is_what_backward_induction_finds(seed):
    drawn = robust_entropic.sample_horizon(Tape(seed=seed), 2 + seed % 2)
    instance = drawn._replace(discount=Fraction(1))
    model = EpisodicMDP(
        np.stack([instance.transitions.astype(float)] * instance.steps),
        np.stack([instance.rewards.astype(float)] * instance.steps),
        np.eye(len(instance.rewards))[0],
    )
    found = robust_backward_induction(model, PenalisedKullbackLeibler(float(instance.penalty)))
    risk = balls.to_bounds(precise(robust_entropic.best_risk)(instance))
    np.testing.assert_array_less(found.lower[0], risk.upper)
    np.testing.assert_array_less(risk.lower, found.upper[0])
    np.testing.assert_allclose(found.values[0], risk.lower, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("seed", range(6))
def test_second_term_is_what_is_left_at_a_small_radius(seed):
    model = robust_small_radius.sample_process(Tape(seed=seed), 2 + seed % 3)
    values, first, second = robust_small_radius.expansion(model)
    radius = 2.0**-22
    only = np.zeros(model.states, dtype=int)
    found = robust_evaluate_policy(model, only, KullbackLeibler(radius), tolerance=1e-13).values
    rest = (found - values + np.sqrt(radius) * first) / radius
    # What follows is of order sqrt(radius) = 2^-11.
    np.testing.assert_allclose(rest, second, atol=0.02 * (1 + np.abs(second).max()))


@pytest.mark.parametrize("seed", range(8))
def test_robust_iteration_ends_at_the_optimum_of_value_iteration(seed):
    start = robust_iteration.sample_start(Tape(seed=seed), 2 + seed % 2)
    last = robust_iteration.iterates(start, robust_iteration.robustly)[-1]
    found = robust_value_iteration(start.mdp, start.uncertainty, tolerance=1e-9)
    assert all(
        Fraction(float(low)) <= value <= Fraction(float(high))
        for low, value, high in zip(found.lower, last, found.upper, strict=True)
    )


@pytest.mark.parametrize("seed", range(20))
def test_penalised_chi_square_minimum_lies_in_the_compiled_bounds(seed):
    instance = robust_penalised.sample_priced(Tape(seed=seed), 2 + seed % 3)
    values, nominal = instance.values.astype(float), instance.nominal.astype(float)
    found = PenalisedChiSquare(float(instance.penalty)).expectation_bounds(values, nominal)
    exact = robust_penalised.supported_minimum(instance)
    assert Fraction(float(found.lower)) <= exact <= Fraction(float(found.upper))


def test_curved_sets_leave_every_worst_row_two_states():
    kinds = set()
    for seed in range(120):
        pair = robust_divergence_operator.sample_pair(Tape(seed=seed), 2 + seed % 3)
        kinds.add(type(pair.uncertainty))
        _, rows = pair.uncertainty.worst_case(pair.first, pair.mdp.transitions)
        assert (np.sort(rows, axis=-1)[..., -2] > 0).all()
    assert Wasserstein in kinds
    assert len(kinds) == 5
