"""Mean dynamics, certificates, exact gains against sums over ordered batches and closed forms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_estimators import make_model, rational_outcomes

from rltheory.analysis.estimators.dynamics import (
    enumerate_estimates,
    exact_ascent,
    expected_gain,
)
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.steps import guaranteed_gain, snr_learning_rate
from rltheory.analysis.estimators.weights import ESTIMATORS

UNBIASED = ("reinforce", "rloo", "value", "optimal", "oblr", "coordinate", "remax")
RATIONAL = [name for name, record in ESTIMATORS.items() if record.rational]


@settings(max_examples=15)
@given(rational_outcomes(off_policy=False), st.sampled_from(RATIONAL), st.integers(1, 2))
def test_all_estimates_have_the_exact_moments_in_fractions(outcomes, name, prompts):
    chances, estimates = enumerate_estimates(outcomes, name, group_size=2, prompts=prompts)
    exact = estimator_moments(outcomes, name, group_size=2, prompts=prompts)
    assert chances.sum() == 1
    mean = chances @ estimates
    assert np.all(mean == exact.mean)
    assert np.all((estimates.T * chances) @ estimates - np.multiply.outer(mean, mean)
                  == exact.covariance)  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_estimates_of_floats_have_the_exact_moments(name):
    model = make_model("tree", "tabular", seed=2)
    point = np.random.default_rng(2).normal(size=model.size)
    chances, estimates = enumerate_estimates(model, name, parameters=point, group_size=3)
    exact = estimator_moments(model, name, parameters=point, group_size=3)
    assert chances.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_allclose(chances @ estimates, exact.mean, atol=1e-12)
    second = chances @ (estimates * estimates).sum(axis=1)
    assert second == pytest.approx(exact.second_moment, rel=1e-11)


@pytest.mark.parametrize("name", ["reinforce", "oblr", "mean"])
def test_the_expected_gain_is_the_sum_over_ordered_batches(name):
    model = softmax_bandit(np.array([0.1, 0.5, 0.9]))
    point, step, size = np.array([0.2, -0.3, 0.1]), 1.5, 2
    outcomes, expected = model.at(point), 0.0
    for batch in product(range(3), repeat=2 * size):
        chance, move = outcomes.probabilities[list(batch)].prod(), np.zeros(3)
        for group in (batch[:size], batch[size:]):
            for i, y in enumerate(group):
                other = group[1 - i]
                baseline = {
                    "reinforce": 0.0,
                    "oblr": model.rewards[other],
                    "mean": 0.5 * (model.rewards[y] + model.rewards[other]),
                }[name]
                move += (model.rewards[y] - baseline) * outcomes.scores[y] / (2 * size)
        expected += chance * (model.value(point + step * move) - model.value(point))
    found = expected_gain(model, point, name, group_size=size, prompts=2, step=step)
    assert found == pytest.approx(expected, abs=1e-14)


@settings(max_examples=15)
@given(
    st.sampled_from(["bandit", "contextual", "tree"]),
    st.sampled_from(["tabular", "linear"]),
    st.sampled_from(UNBIASED),
    st.integers(0, 1000),
    st.floats(0, 3),
)
def test_no_step_gains_less_than_is_guaranteed(kind, policy, name, seed, factor):
    model = make_model(kind, policy, seed)
    point, constant = np.random.default_rng(seed).normal(size=model.size), smoothness(model)
    exact = estimator_moments(model, name, parameters=point, group_size=2, covariance=False)
    known = {"gradient": exact.gradient, "variance": exact.variance, "smoothness": constant}
    step = factor * snr_learning_rate(**known)
    gain = expected_gain(model, point, name, group_size=2, step=step)
    # Rounding of sums of rewards below 4 over fewer than a thousand batches.
    assert gain >= guaranteed_gain(step=step, **known) - 1e-12


@pytest.mark.parametrize("name", UNBIASED)
@pytest.mark.parametrize(("kind", "policy"), [("bandit", "tabular"), ("contextual", "linear")])
def test_the_best_steps_and_the_certificate_along_a_run(name, kind, policy):
    model = make_model(kind, policy, seed=4)
    run = exact_ascent(model, estimator=name, steps=25, group_size=3, prompts=2)
    for t in (0, 10, 24):
        exact = estimator_moments(
            model, name, parameters=run.parameters[t], group_size=3, prompts=2
        )
        known = {"variance": exact.variance, "smoothness": run.smoothness}
        best = snr_learning_rate(gradient=exact.gradient, **known)
        assert run.step_sizes[t] == pytest.approx(best, rel=1e-9)
        gain = guaranteed_gain(gradient=exact.gradient, step=best, **known)
        assert run.guaranteed_gains[t] == pytest.approx(gain, rel=1e-9)
        np.testing.assert_allclose(
            run.parameters[t + 1] - run.parameters[t], best * exact.gradient, atol=1e-12
        )
        assert run.values[t] == pytest.approx(model.value(run.parameters[t]), abs=1e-14)
        ratio = exact.signal_to_noise
        assert run.signal_to_noise[t] == pytest.approx(ratio, rel=1e-9)
    assert np.all(run.realised_gains >= run.guaranteed_gains - 1e-15)
    sure = run.certificate
    assert sure.holds
    assert sure.least_gradient == run.gradient_norms[:-1].min()
    # At the bound itself the guaranteed gains would use up all that is left.
    square = sure.bound**2
    used = square**2 / (2 * run.smoothness * (square + run.variances))
    assert used.sum() == pytest.approx(sure.room, rel=1e-8)


@pytest.mark.parametrize("name", ["mean", "grpo", "oblr-own", "reinforce++"])
def test_biased_estimators_are_certified_through_their_means(name):
    model = make_model("contextual", "tabular", seed=4)
    run = exact_ascent(model, estimator=name, steps=25, group_size=3)
    assert np.all(run.realised_gains >= run.guaranteed_gains - 1e-15)
    assert run.certificate.holds


def test_a_fixed_step_is_certified_where_it_is_not_too_long():
    model = make_model("bandit", "tabular", seed=4)
    short = exact_ascent(model, estimator="rloo", steps=25, group_size=3, step=0.2)
    assert np.all(short.step_sizes == 0.2)
    assert short.certificate.holds
    assert np.isfinite(short.certificate.bound)
    long = exact_ascent(model, estimator="rloo", steps=3, group_size=3, step=100.0)
    assert long.certificate.bound == np.inf


def test_a_flat_model_stays_where_it_is():
    run = exact_ascent(softmax_bandit(np.zeros(3)), estimator="rloo", steps=2, group_size=2,
                       smoothness=1.0)  # fmt: skip
    assert np.all(run.step_sizes == 0)
    assert run.certificate == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"smoothness": 0.0}, "smoothness is 0"),
        ({"step": -1.0}, "step is -1"),
        ({"group_size": 1}, "group_size is 1"),
        ({"parameters": np.zeros(3)}, "parameters has shape"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"estimator": "rloo", "steps": 1, "group_size": 2} | change
    with pytest.raises(ValueError, match=message):
        exact_ascent(make_model("bandit", "tabular", seed=0), **arguments)


def test_too_many_batches_are_refused():
    model = make_model("tree", "tabular", seed=0)
    with pytest.raises(ValueError, match="batches to enumerate; at most 1000000"):
        enumerate_estimates(model, "rloo", group_size=4, prompts=6)
    with pytest.raises(ValueError, match="step is -1"):
        expected_gain(model, np.zeros(model.size), "rloo", group_size=2, step=-1.0)
