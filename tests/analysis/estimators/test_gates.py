"""Gates: coefficients are w f'(w), levels say what is read, and bounds hold where they should."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_estimators import fractions, make_model, models

from rltheory.analysis.estimators.gates import (
    CISPO_CLIP,
    DAPO_CLIP,
    GSPO_CLIP,
    PPO_CLIP,
    SAPO_GATE,
    SEQUENCE_RATIO,
    TOKEN_RATIO,
    Gate,
    clip,
    soft_gate,
    stopped_clip,
)
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import ESTIMATORS, LEAVE_ONE_OUT

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

GATES = [
    SEQUENCE_RATIO,
    TOKEN_RATIO,
    PPO_CLIP,
    DAPO_CLIP,
    GSPO_CLIP,
    SAPO_GATE,
    CISPO_CLIP,
    clip(0.3, 0.5, dual=3.0),
    stopped_clip(0.2, 0.3),
    soft_gate(0.5, 7.0),
]


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("gate", GATES, ids=[g.name for g in GATES])
def test_the_coefficient_is_the_ratio_times_the_slope(gate, positive):
    ratios = np.array([1e-3, 0.1, 0.69, 0.75, 0.9, 0.9999, 1.0001, 1.1, 1.25, 1.29, 2.9, 4.0, 9.0])
    slope = jax.vmap(jax.grad(lambda w: gate.surrogate(w, positive)))(ratios)
    found = gate.coefficient(ratios, positive)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, ratios * slope, atol=1e-12)
    np.testing.assert_allclose(gate.coefficient(jax.numpy.asarray(ratios), positive), found)
    np.testing.assert_allclose(
        gate.surrogate(ratios, positive), gate.surrogate(jax.numpy.asarray(ratios), positive)
    )


@pytest.mark.parametrize("gate", GATES, ids=[g.name for g in GATES])
def test_every_gate_is_one_where_the_policies_agree(gate):
    for positive in (True, False):
        assert gate.coefficient(np.ones(1), positive)[0] == 1.0


@given(ratio=st.floats(0.01, 10), low=st.floats(0, 1), high=st.floats(0, 3))
def test_the_clip_is_the_minimum_that_its_paper_writes(ratio, low, high):
    w = np.array([ratio])
    for advantage in (1.5, -0.5):
        value = min(ratio * advantage, np.clip(ratio, 1 - low, 1 + high) * advantage)
        gate = clip(low, high)
        assert advantage * gate.surrogate(w, advantage > 0)[0] == pytest.approx(value)
        dual = clip(low, high, dual=3.0)
        bounded = max(value, 3 * advantage) if advantage < 0 else value
        assert advantage * dual.surrogate(w, advantage > 0)[0] == pytest.approx(bounded)
        # Pessimistic: no gradient outside the band where moving on would only gain.
        outside = ratio > 1 + high if advantage > 0 else ratio < 1 - low
        assert (gate.coefficient(w, advantage > 0)[0] == 0) == outside


def test_the_gradient_at_a_kink_is_that_of_the_side_towards_one():
    gate = clip(Fraction(1, 5))
    kinks = fractions([Fraction(4, 5), Fraction(6, 5)])
    assert gate.coefficient(kinks, True).tolist() == [Fraction(4, 5), Fraction(6, 5)]
    assert gate.coefficient(kinks, False).tolist() == [Fraction(4, 5), Fraction(6, 5)]
    floats = kinks.astype(float)
    assert gate.coefficient(floats, True).tolist() == [0.8, 1.2]
    assert gate.coefficient(floats, False).tolist() == [0.8, 1.2]
    assert gate.surrogate(kinks, True).tolist() == kinks.tolist()


@given(ratio=st.floats(0.01, 20), tau=st.floats(0.1, 10))
def test_the_soft_gate_is_a_scaled_sigmoid(ratio, tau):
    gate = soft_gate(tau, tau)
    sigmoid = 1 / (1 + np.exp(-tau * (ratio - 1)))
    assert gate.surrogate(np.array([ratio]), True)[0] == pytest.approx(4 / tau * sigmoid)
    weight = 4 * sigmoid * (1 - sigmoid) * ratio
    assert gate.coefficient(np.array([ratio]), True)[0] == pytest.approx(weight, abs=1e-12)


def test_temperatures_go_by_the_sign():
    ratios = np.array([0.5, 2.0])
    gate, one, two = soft_gate(1.0, 3.0), soft_gate(1.0, 1.0), soft_gate(3.0, 3.0)
    assert np.array_equal(gate.coefficient(ratios, True), one.coefficient(ratios, True))
    assert np.array_equal(gate.coefficient(ratios, False), two.coefficient(ratios, True))


@given(ratio=st.floats(0.001, 10), low=st.floats(0, 1), high=st.floats(0, 4))
def test_a_stopped_clip_loses_no_choice(ratio, low, high):
    gate = stopped_clip(low, high)
    weight = gate.coefficient(np.array([ratio]), True)[0]
    assert weight == pytest.approx(min(max(ratio, 1 - low), 1 + high))
    assert weight > 0
    assert stopped_clip().surrogate(np.zeros(1), True)[0] == 0.0


@given(drawn=models(kinds=("tree", "episodes")))
def test_levels_read_choices_responses_or_geometric_means(drawn):
    model, parameters, behaviour = drawn
    o = model.at(parameters, behaviour=behaviour)
    sequence = SEQUENCE_RATIO.vectors(o, True)
    np.testing.assert_allclose(sequence, o.ratios[:, None] * o.scores, atol=1e-12)
    geometric = replace(SEQUENCE_RATIO, name="g", level="geometric").vectors(o, True)
    mean = np.exp(np.log(o.choices.ratios).sum(axis=1) / o.lengths)
    np.testing.assert_allclose(geometric, (mean / o.lengths)[:, None] * o.scores, atol=1e-11)
    # A gate that is the same for all choices of a response weighs the response.
    flat = replace(TOKEN_RATIO, name="flat", coefficient=lambda w, positive: 0 * w + 2.0)
    np.testing.assert_allclose(flat.vectors(o, True), 2 * o.scores, atol=1e-12)


def test_a_gate_that_is_not_one_on_policy_counts_there_too():
    """A coefficient of 2 doubles the estimate; one that differs by sign has two tables."""
    o = make_model("contextual", "tabular", 0).at(np.zeros(9))
    twice = replace(TOKEN_RATIO, name="twice", coefficient=lambda w, positive: 2 * w)
    plain = estimator_moments(o, "rloo", group_size=3)
    found = estimator_moments(o, replace(LEAVE_ONE_OUT, gate=twice), group_size=3)
    assert found.method == "closed"
    np.testing.assert_allclose(found.mean, 2 * plain.mean, atol=1e-14)
    np.testing.assert_allclose(found.covariance, 4 * plain.covariance, atol=1e-14)
    lopsided = replace(twice, signed=True, coefficient=lambda w, positive: w * (3 - positive))
    assert lopsided.signs(o) == (True, False)
    found = estimator_moments(o, replace(LEAVE_ONE_OUT, gate=lopsided), group_size=2)
    assert found.method == "enumerate"
    assert np.abs(found.mean - plain.mean).max() > 1e-3


def test_token_gates_want_choices_where_responses_are_long():
    o = Outcomes(
        probabilities=[0.5, 0.5],
        behaviour=[0.25, 0.75],
        scores=[[0.5], [-0.5]],
        rewards=[0.0, 1.0],
        lengths=[1, 2],
    )
    with pytest.raises(ValueError, match=r"gate 'PPO clip' reads single choices"):
        estimator_moments(o, "grpo", group_size=2)
    # The geometric mean follows from the ratio of the response and its length.
    weight = np.sqrt(0.5 / 0.75) / 2
    table = replace(SEQUENCE_RATIO, name="g", level="geometric").vectors(o, True)
    np.testing.assert_allclose(table, [[2 * 0.5], [weight * -0.5]])
    short = replace(o, lengths=None)
    np.testing.assert_allclose(TOKEN_RATIO.vectors(short, True), [[1.0], [-1 / 3]])


def test_irrational_gates_refuse_fractions():
    o = Outcomes(
        probabilities=fractions([0.5, 0.5]),
        behaviour=fractions([0.25, 0.75]),
        scores=fractions([[0.5], [-0.5]]),
        rewards=fractions([0, 1]),
    )
    for gate in (SAPO_GATE, replace(SAPO_GATE, signed=False)):
        with pytest.raises(TypeError, match="gate 'soft gate' makes ratios irrational"):
            estimator_moments(o, replace(LEAVE_ONE_OUT, gate=gate), group_size=2)
    long = replace(o, lengths=[1, 2])
    geometric = replace(GSPO_CLIP, name="geometric")
    with pytest.raises(TypeError, match="gate 'geometric' makes ratios irrational"):
        estimator_moments(long, replace(LEAVE_ONE_OUT, gate=geometric), group_size=2)
    # On policy all ratios are 1, and only the lengths are left.
    same = replace(long, behaviour=None)
    found = estimator_moments(same, replace(LEAVE_ONE_OUT, gate=geometric), group_size=2)
    expected = Fraction(1, 2) * (Fraction(0) + Fraction(1, 2) * 1 * Fraction(-1, 2))
    # E (r - b) h over the prompt, with h = g / length: E r h - E r E h.
    mean_h = Fraction(1, 2) * (Fraction(1, 2) + Fraction(-1, 4))
    assert found.mean.tolist() == [expected - Fraction(1, 2) * mean_h]
    soft = estimator_moments(same, replace(LEAVE_ONE_OUT, gate=SAPO_GATE), group_size=2)
    assert soft.mean.tolist() == found.gradient.tolist()


def test_settings_out_of_range_are_refused():
    for call, message in (
        (lambda: clip(-0.1), r"low is -0\.1; expected a number in \[0, 1\]"),
        (lambda: clip(1.5), "low is 1.5"),
        (lambda: clip(0.2, -1.0), r"high is -1\.0"),
        (lambda: clip(0.2, dual=1.0), "dual is 1.0; expected a number above 1"),
        (lambda: clip(0.2, dual=float("nan")), "dual is nan"),
        (lambda: stopped_clip(2.0), "low is 2.0"),
        (lambda: stopped_clip(1.0, np.inf), "high is inf"),
        (lambda: soft_gate(0.0), "positive_temperature is 0; expected a positive number"),
        (lambda: soft_gate(1.0, -1.0), "negative_temperature is -1.0"),
        (lambda: clip(level="word"), "level is 'word'; expected one of"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="low must be a real number; got 'x'"):
        clip("x")
    assert isinstance(ESTIMATORS["grpo"].gate, Gate)
