"""AEPO's term: what it equals, which way it moves the entropy, and whether it holds a target."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rltheory.analysis import contextual_bandit, softmax_bandit, token_tree
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo import aepo, entropy

seeds = st.integers(0, 2**32 - 1)
heats = st.floats(0.25, 4.0)


def policy_of(seed, actions):
    rng = np.random.default_rng(seed)
    return softmax(rng.choice([0.1, 1.0, 3.0]) * rng.normal(size=actions))


@given(seeds, st.integers(1, 5), heats)
def test_tempered_policies_are_those_of_scaled_logits(seed, actions, heat):
    logits = np.random.default_rng(seed).normal(size=(3, actions))
    np.testing.assert_allclose(
        aepo.tempered(softmax(logits), heat), softmax(logits / heat), rtol=1e-12
    )


@given(seeds, heats)
def test_tempered_responses_are_a_distribution_made_choice_by_choice(seed, heat):
    rng = np.random.default_rng(seed)
    model = token_tree(3, 2, rng.normal(size=(2, 7)), end_token=1)
    point = rng.normal(size=model.size)
    found = aepo.tempered_probabilities(model, point, heat)
    np.testing.assert_allclose(np.add.reduceat(found, model.starts[:-1]), 1.0, rtol=1e-12)
    # Temperature of tabular logits scales the parameters.
    np.testing.assert_allclose(found, model.at(point / heat).probabilities, rtol=1e-11)


@given(seeds, st.integers(1, 5), heats)
def test_where_all_succeed_the_term_is_the_difference_of_policies(seed, actions, heat):
    logits = np.random.default_rng(seed).normal(size=actions)
    policy = softmax(logits)
    found = aepo.tempered_term(softmax_bandit(np.ones(actions)), logits, heat)
    np.testing.assert_allclose(found, aepo.tempered(policy, heat) - policy, atol=1e-14)


@given(seeds)
def test_at_temperature_one_the_term_is_the_gradient(seed):
    rng = np.random.default_rng(seed)
    model = token_tree(2, 3, rng.normal(size=(1, 8)))
    point = rng.normal(size=model.size)
    np.testing.assert_allclose(
        aepo.tempered_term(model, point, 1.0), model.at(point).gradient, atol=1e-13
    )


@given(seeds, st.integers(2, 6), heats, heats)
def test_entropy_rises_with_the_temperature_where_all_succeed(seed, actions, first, second):
    policy = policy_of(seed, actions)
    cold, hot = sorted((first, second))
    slopes = [
        entropy.entropy_slope(policy, aepo.tempered(policy, heat) - policy) for heat in (cold, hot)
    ]
    assert slopes[0] <= slopes[1] + 1e-12


@given(seeds, st.integers(2, 6), st.floats(1.0, 1.2), st.floats(1.0, 1.2))
def test_hotter_positive_samples_spare_entropy(seed, actions, first, second):
    policy = policy_of(seed, actions)
    success = np.random.default_rng(seed + 1).random(actions) < 0.5
    cold, hot = sorted((first, second))
    changes = []
    for heat in (cold, hot):
        masses = aepo.tempered(policy, heat) * success
        changes.append(entropy.entropy_slope(policy, masses - policy * masses.sum()))
    assume(changes[0] < 0)
    assert changes[1] >= changes[0] - 1e-12


@pytest.mark.parametrize("thermostat", [aepo.switching, aepo.proportional])
@pytest.mark.parametrize("target", [0.6, 0.9])
def test_a_target_is_reached_where_many_responses_succeed(thermostat, target):
    # Two of four arms pay: their mixture has up to log 2 nats, a reach that 0.6 lies in.
    rewards = np.array([[1.0, 1.0, 1.0, 0.0]])
    run = aepo.controlled_run(
        contextual_bandit(rewards),
        np.array([0.4, 0.0, -0.3, 0.1]),
        thermostat(target, low=0.5, high=2.0),
        rate=0.5,
        weight=1.0,
        steps=700,
    )
    np.testing.assert_allclose(run.entropies[-300:], target, atol=0.12)
    assert run.values[-1] > 0.95


def test_one_right_answer_takes_all_control_away():
    # Whatever the temperature, the term points at the answer: the entropy goes to zero.
    run = aepo.controlled_run(
        softmax_bandit(np.array([1.0, 0.0, 0.0])),
        np.zeros(3),
        aepo.switching(0.9, low=0.5, high=2.0),
        rate=4.0,
        weight=1.0,
        steps=800,
    )
    assert (np.diff(run.entropies) < 0).all()
    assert run.entropies[-1] < 0.01
    assert run.temperatures[-1] == 2.0


def test_a_run_keeps_one_more_entropy_than_steps():
    model = softmax_bandit(np.array([1.0, 0.0]))
    run = aepo.controlled_run(model, np.zeros(2), lambda h: 1.0, rate=0.5, weight=0.0, steps=3)
    assert run.entropies.shape == run.values.shape == (4,)
    assert run.temperatures.tolist() == [1.0] * 3
    point = np.zeros(2)
    for _ in range(3):
        point = point + 0.5 * model.at(point).gradient
    np.testing.assert_allclose(run.parameters, point, atol=1e-15)
    assert run.values[-1] == pytest.approx(model.value(point))


def test_thermostats():
    rule = aepo.switching(1.0, low=0.9, high=1.1)
    assert [rule(h) for h in (0.5, 1.0, 2.0)] == [1.1, 0.9, 0.9]
    later = aepo.proportional(1.0)
    np.testing.assert_allclose(
        [later(h) for h in (0.5, 0.9, 1.0, 1.1, 3.0)], [1.2, 1.1, 1, 0.9, 0.8]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: aepo.tempered([0.5, 0.5], 0.0), "temperature is 0"),
        (lambda: aepo.tempered([0.5, 0.5], -1.0), "temperature is -1.0"),
        (lambda: aepo.tempered([0.5, 0.6], 1.0), "policy sums to 1.1"),
        (lambda: aepo.switching(-1.0), "target is -1.0"),
        (lambda: aepo.proportional(1.0, low=2.0, high=1.0), "low is 2.0, high 1.0"),
        (
            lambda: aepo.controlled_run(
                softmax_bandit(np.ones(2)),
                np.zeros(2),
                lambda h: 1.0,
                rate=1.0,
                weight=1.0,
                steps=0,
            ),
            "steps is 0",
        ),
        (
            lambda: aepo.controlled_run(
                softmax_bandit(np.ones(2)),
                np.zeros(3),
                lambda h: 1.0,
                rate=1.0,
                weight=1.0,
                steps=1,
            ),
            r"parameters has shape \(3,\)",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
