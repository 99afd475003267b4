"""Entropies of policies and responses, their gradients, and first-order changes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy as scipy_entropy

from rltheory.analysis import contextual_bandit, token_tree
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo import entropy

seeds = st.integers(0, 2**32 - 1)


def logits_of(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.choice([0.1, 1.0, 3.0]) * rng.normal(size=shape)


def tree_of(seed):
    """A token tree whose responses may end early, with rewards and a policy of its own."""
    rng = np.random.default_rng(seed)
    end = rng.choice([None, 0])
    model = token_tree(3, 3, lambda x, word: rng.normal(), end_token=end, weights=[0.25, 0.75])
    return model, rng.normal(size=model.size)


def slope_of(function, point, direction):
    """A central difference with an error of about 1e-9."""
    step = 1e-4
    return (function(point + step * direction) - function(point - step * direction)) / (2 * step)


@given(seeds, st.integers(1, 6))
def test_entropies_are_those_of_scipy(seed, actions):
    policy = softmax(logits_of(seed, 4, actions))
    np.testing.assert_allclose(
        entropy.shannon_entropy(policy), scipy_entropy(policy, axis=1), atol=1e-14
    )
    by_words = [-np.log(sum(p**2 for p in row)) for row in policy]
    np.testing.assert_allclose(entropy.renyi_entropy(policy), by_words, atol=1e-14)


def test_point_masses_and_uniform_policies():
    assert entropy.shannon_entropy([0.0, 1.0]) == 0
    assert entropy.renyi_entropy([0.0, 1.0]) == 0
    np.testing.assert_array_equal(entropy.shannon_gradient([0.0, 1.0]), 0)
    even = np.full(5, 0.2)
    np.testing.assert_allclose(entropy.shannon_entropy(even), np.log(5))
    np.testing.assert_allclose(entropy.renyi_entropy(even), np.log(5))


def test_fractions_stay_fractions():
    policy = np.array([Fraction(1, 3), Fraction(2, 3)])
    assert entropy.collision_probability(policy) == Fraction(5, 9)
    gains = np.array([Fraction(3), Fraction(0)])
    assert entropy.natural_direction(policy, gains).tolist() == [2, -1]
    assert entropy.plain_direction(policy, gains).tolist() == [Fraction(2, 3), Fraction(-2, 3)]
    assert entropy.renyi_gradient(policy).sum() == 0


@given(seeds, st.integers(2, 6))
def test_gradients_are_slopes(seed, actions):
    logits = logits_of(seed, actions)
    direction = np.random.default_rng(seed + 1).normal(size=actions)
    for value, gradient in (
        (entropy.shannon_entropy, entropy.shannon_gradient),
        (entropy.renyi_entropy, entropy.renyi_gradient),
    ):
        want = slope_of(lambda z, value=value: value(softmax(z)), logits, direction)
        np.testing.assert_allclose(
            gradient(softmax(logits)) @ direction, want, rtol=1e-5, atol=1e-7
        )


@given(seeds, st.integers(2, 6))
def test_first_order_change_is_minus_the_covariance_with_the_step(seed, actions):
    rng = np.random.default_rng(seed)
    policy, gains = softmax(logits_of(seed, actions)), rng.normal(size=actions)
    logs = np.log(policy)
    for direction, weighted in (
        (entropy.natural_direction(policy, gains), gains),
        (entropy.plain_direction(policy, gains), policy * (gains - policy @ gains)),
    ):
        together = policy @ (logs * weighted) - (policy @ logs) * (policy @ weighted)
        np.testing.assert_allclose(
            entropy.entropy_slope(policy, direction), -together, rtol=1e-9, atol=1e-12
        )


@given(seeds)
def test_plain_direction_is_the_gradient_of_the_expected_reward(seed):
    rng = np.random.default_rng(seed)
    rewards, logits = rng.normal(size=(2, 4)), rng.normal(size=(2, 4))
    model = contextual_bandit(rewards)
    found = 0.5 * entropy.plain_direction(softmax(logits), rewards)
    np.testing.assert_allclose(found.ravel(), model.at(logits.ravel()).gradient, atol=1e-14)


@given(seeds)
def test_entropy_of_responses_is_that_of_the_choices_on_the_way(seed):
    model, point = tree_of(seed)
    found = entropy.response_entropies(model, point)
    np.testing.assert_allclose(found.chained, found.responses, rtol=1e-11)
    np.testing.assert_allclose(found.visits.sum(axis=1), found.lengths, rtol=1e-12)
    np.testing.assert_allclose(found.per_choice * found.lengths, found.responses, rtol=1e-11)


@given(seeds)
def test_gradient_of_the_entropy_of_responses_is_its_slope(seed):
    model, point = tree_of(seed)
    direction = np.random.default_rng(seed + 1).normal(size=model.size)

    def value(parameters):
        return model.weights @ entropy.response_entropies(model, parameters).responses

    gradient = entropy.response_entropy_gradient(model, point)
    np.testing.assert_allclose(
        gradient @ direction, slope_of(value, point, direction), rtol=1e-5, atol=1e-6
    )


def test_mean_entropy_weighs_responses_alike():
    # Token 0 ends: responses 0, 10, 11 with probabilities 1/2, 1/4, 1/4.
    model = token_tree(2, 2, lambda x, word: 0.0, end_token=0, weights=[1.0])
    point = np.log([1.0, 1.0, 1.0, 1.0])
    assert entropy.mean_entropy(model, point) == pytest.approx(np.log(2))
    point = np.log([1.0, 1.0, 3.0, 1.0])
    second = scipy_entropy([0.75, 0.25])
    want = 0.5 * np.log(2) + 0.5 * (np.log(2) + second) / 2
    assert entropy.mean_entropy(model, point) == pytest.approx(want)
    per_choice = entropy.response_entropies(model, point).per_choice[0]
    assert per_choice == pytest.approx((np.log(2) + 0.5 * second) / 1.5)
    assert per_choice != pytest.approx(want)


@given(seeds)
def test_slopes_by_logits_reach_shared_parameters(seed):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(2, 3, 2))
    model = contextual_bandit(rng.normal(size=(2, 3)), parametrisation=features)
    point, direction = rng.normal(size=2), rng.normal(size=2)

    def total(parameters):
        return entropy.shannon_entropy(model.policy(parameters)).sum()

    slopes = entropy.shannon_gradient(model.policy(point))
    found = entropy.rows_to_parameters(model, point, slopes)
    np.testing.assert_allclose(
        found @ direction, slope_of(total, point, direction), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: entropy.shannon_entropy([0.5, 0.4]), "policy sums to 0.9"),
        (lambda: entropy.shannon_entropy([-0.5, 1.5]), r"policy\[0\] is -0.5"),
        (lambda: entropy.shannon_entropy([np.nan, 1.0]), r"policy\[0\] is nan"),
        (lambda: entropy.renyi_entropy(0.5), r"policy has shape \(\)"),
        (lambda: entropy.renyi_entropy([]), r"policy has shape \(0,\)"),
        (
            lambda: entropy.entropy_slope([0.5, 0.5], [1.0, 2.0, 3.0]),
            r"direction has shape \(3,\)",
        ),
        (lambda: entropy.natural_direction([0.5, 0.5], [np.inf, 0]), r"advantages\[0\] is inf"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
