"""The soft gate against automatic differentiation, its peak against a grid, its sequence form."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.estimators.gates import soft_gate
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import ESTIMATORS
from rltheory.analysis.zoo import sapo

temperatures = st.floats(0.05, 8.0)


@given(st.floats(0.0, 6.0), temperatures)
def test_slope_is_that_of_the_gate(ratio, tau):
    gate, step = soft_gate(tau, tau), 1e-5
    ends = gate.surrogate(np.array([ratio - step, ratio + step]), True)
    assert sapo.gate_slope(ratio, tau) == pytest.approx((ends[1] - ends[0]) / (2 * step), abs=1e-7)
    p = 1 / (1 + np.exp(-tau * (ratio - 1)))
    assert sapo.gate_slope(ratio, tau) == pytest.approx(4 * p * (1 - p), abs=1e-12)


def test_slope_is_jaxs_derivative():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    ratios = np.linspace(0.0, 5.0, 41)
    for tau in (0.3, 1.0, 1.05, 4.0):
        gate = jax.vmap(jax.grad(lambda w, tau=tau: 4 / tau * jax.nn.sigmoid(tau * (w - 1))))
        assert np.allclose(sapo.gate_slope(ratios, tau), gate(ratios), rtol=0, atol=1e-14)


@given(st.floats(0.0, 6.0), temperatures, temperatures)
def test_a_larger_temperature_weighs_less(ratio, first, second):
    low, high = sorted((first, second))
    assert sapo.gate_slope(ratio, high) <= sapo.gate_slope(ratio, low) + 1e-15


@given(st.floats(0.02, 8.0))
def test_peak_is_the_largest_weight_on_a_grid(tau):
    found = sapo.peak(tau)
    grid = np.linspace(1e-3, 1 + 4 / tau, 200001)
    weights = grid * sapo.gate_slope(grid, tau)
    assert found.weight >= weights.max() - 1e-14
    assert found.weight == pytest.approx(weights.max(), rel=1e-8)
    assert found.ratio == pytest.approx(grid[weights.argmax()], abs=grid[1] * 2)
    assert 1 < found.ratio < 1 + 2 / tau


@given(st.integers(0, 2**32 - 1), temperatures)
def test_sequence_form_holds(seed, tau):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 6, 4)
    logs = rng.normal(scale=rng.choice([0.01, 0.3, 3.0]), size=(4, 5)) + rng.normal()
    found = sapo.sequence_form(np.exp(logs), lengths, tau)
    for i, n in enumerate(lengths):
        z = logs[i, :n]
        assert found.token_mean[i] == pytest.approx((1 / np.cosh(tau * z / 2) ** 2).mean())
        assert found.at_mean[i] == pytest.approx(1 / np.cosh(tau * z.mean() / 2) ** 2)
        assert found.lower[i] == pytest.approx(-(tau**2) / 4 * z.var(), abs=1e-12)
        assert found.upper[i] == pytest.approx(tau**2 / 12 * z.var(), abs=1e-12)
    gap = found.token_mean - found.at_mean
    assert np.all(found.lower - 1e-13 <= gap)
    assert np.all(gap <= found.upper + 1e-13)


@pytest.mark.parametrize(("centre", "end"), [(0.0, "lower"), (2.2924316695611777, "upper")])
def test_both_ends_of_the_sequence_form_are_approached(centre, end):
    # tau z = 2.2924... is where sech^2(tau z / 2) = 1 / 3.
    logs = np.array([[centre - 1e-3, centre + 1e-3]])
    found = sapo.sequence_form(np.exp(logs), [2], 1.0)
    gap = (found.token_mean - found.at_mean)[0]
    assert gap == pytest.approx(getattr(found, end)[0], rel=1e-4)


def test_curvature_of_the_weights_in_use_is_that_of_the_record():
    # What the notes of the record on the sequence form quote.
    z = np.linspace(-8, 4, 400001)
    w = np.exp(z)
    bend = np.diff(w * sapo.gate_slope(w, 1.0), 2) / (z[1] - z[0]) ** 2
    assert bend.min() == pytest.approx(-4.69, abs=5e-3)
    assert bend.max() == pytest.approx(3.20, abs=1e-2)


@given(st.floats(-2.0, 2.0), st.booleans(), temperatures)
def test_sequence_gate_is_a_gate(log, positive, tau):
    gate = sapo.sequence_gate(tau, 2 * tau)
    step = 1e-5
    ends = gate.surrogate(np.exp([log - step, log + step]), positive)
    weight = gate.coefficient(np.exp([log]), positive)[0]
    assert (ends[1] - ends[0]) / (2 * step) == pytest.approx(weight, abs=1e-7)
    assert gate.coefficient(np.ones(1), positive)[0] == 1.0


def test_off_policy_and_near_it_sapo_estimates_what_grpo_does():
    # Ratios near 1 within 1e-4 move weights by as much, and no more.
    model = token_tree(2, 3, lambda x, word: float(sum(word) == 1), end_token=0)
    rng = np.random.default_rng(0)
    point = rng.normal(size=model.size)
    near = point + 1e-5 * rng.normal(size=model.size)
    plain = estimator_moments(model, ESTIMATORS["grpo"], parameters=point, group_size=2)
    soft = estimator_moments(
        model, ESTIMATORS["sapo"], parameters=point, behaviour=near, group_size=2
    )
    assert np.allclose(soft.mean, plain.mean, rtol=0, atol=1e-4)
    assert np.abs(soft.mean - plain.mean).max() > 0


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_bad_temperatures_are_named(value):
    for call in (
        lambda: sapo.gate_slope(1.0, value),
        lambda: sapo.peak(value),
        lambda: sapo.sequence_form([[1.0]], [1], value),
    ):
        with pytest.raises(ValueError, match=r"^temperature is"):
            call()
    with pytest.raises(ValueError, match="negative_temperature"):
        sapo.sequence_gate(1.0, value)


def test_bad_ratios_are_named():
    with pytest.raises(ValueError, match="ratios is nan"):
        sapo.gate_slope(np.nan, 1.0)
    with pytest.raises(ValueError, match=r"ratios\[0, 0\] is -1"):
        sapo.sequence_form([[-1.0]], [1], 1.0)
