"""Bounds of the Hessian against numeric Hessians, extreme policies, and JAX."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies_estimators import KINDS, make_model, models

from rltheory.analysis.estimators.sampling_model import contextual_bandit, softmax_bandit
from rltheory.analysis.estimators.smoothness import ONE_CHOICE, curvature, hessian, smoothness
from rltheory.analysis.estimators.trees import token_tree

BOUNDED = ("tabular", "linear")


@given(models(parametrisations=BOUNDED))
def test_the_hessian_is_the_derivative_of_the_gradient(case):
    model, point, _ = case
    found, width = hessian(model, point), 1e-5
    for i in range(model.size):
        away = width * np.eye(model.size)[i]
        slope = (model.at(point + away).gradient - model.at(point - away).gradient) / (2 * width)
        # Central differences err by width^2 / 6 times a third derivative, and by rounding / width.
        np.testing.assert_allclose(found[i], slope, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_hessian_of_a_network_is_the_derivative_of_the_gradient(kind):
    model = make_model(kind, "network", seed=1)
    point, width = np.random.default_rng(1).normal(size=model.size), 1e-5
    found = hessian(model, point)
    for i in range(0, model.size, 8):
        away = width * np.eye(model.size)[i]
        slope = (model.at(point + away).gradient - model.at(point - away).gradient) / (2 * width)
        np.testing.assert_allclose(found[i], slope, atol=1e-7)


@given(models(parametrisations=BOUNDED), st.floats(0.1, 4))
def test_no_point_curves_more_than_the_bound(case, scale):
    model, *points = case
    constant = smoothness(model)
    for point in points:
        assert curvature(model, scale * point) <= constant * (1 + 1e-12)


@given(
    st.lists(st.tuples(st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1)), min_size=2),
)
def test_no_distribution_exceeds_the_constant_of_one_choice(rows):
    masses, rewards, changes = np.array(rows).T
    p = masses / masses.sum()
    away = changes - p @ changes
    covariance = p @ ((rewards - p @ rewards) * away * away)
    assert abs(covariance) <= ONE_CHOICE * (1 + 1e-12)


def test_the_constant_of_one_choice_is_attained_and_no_coarse_search_beats_it():
    q = (3 - np.sqrt(3)) / 6
    assert q * (1 - q) * (1 - 2 * q) == pytest.approx(ONE_CHOICE, rel=1e-14)
    # Two values of w given r = 1 with mean m, one given r = 0: the reduced problem of the proof.
    q, m, c = np.meshgrid(*[np.linspace(0, 1, 81)] * 3)
    assert (q * (1 - q) * (m * (1 - m) + (1 - 2 * q) * (m - c) ** 2)).max() <= ONE_CHOICE


@pytest.mark.parametrize("arms", [2, 3, 7])
def test_a_bandit_comes_arbitrarily_close_to_its_constant(arms):
    rewards = np.linspace(-1.0, 2.0, arms)
    model = softmax_bandit(rewards)
    assert smoothness(model) == pytest.approx(3.0 / (3 * np.sqrt(3)), rel=1e-14)
    point = np.full(arms, -60.0)
    point[0], point[-1] = 0.0, np.log((3 - np.sqrt(3)) / (3 + np.sqrt(3)))
    assert curvature(model, point) == pytest.approx(smoothness(model), rel=1e-9)


def test_prompts_of_their_own_logits_are_as_smooth_as_the_worst_of_them():
    rng = np.random.default_rng(2)
    rewards, weights = rng.random((3, 4)), np.array([0.2, 0.5, 0.3])
    model = contextual_bandit(rewards, weights=weights)
    ranges = rewards.max(axis=1) - rewards.min(axis=1)
    assert smoothness(model) == pytest.approx((weights * ranges).max() / (3 * np.sqrt(3)))
    point = np.full((3, 4), -60.0)
    worst = int((weights * ranges).argmax())
    point[worst, rewards[worst].argmax()] = np.log((3 - np.sqrt(3)) / (3 + np.sqrt(3)))
    point[worst, rewards[worst].argmin()] = 0.0
    assert curvature(model, point.ravel()) == pytest.approx(smoothness(model), rel=1e-9)


def test_identity_features_are_no_rougher_than_logits_allow():
    rewards = np.random.default_rng(3).random((3, 4))
    linear = contextual_bandit(rewards, parametrisation=np.eye(12).reshape(3, 4, 12))
    assert smoothness(linear) == pytest.approx(smoothness(contextual_bandit(rewards)), rel=1e-12)


def test_responses_of_many_tokens_are_bounded_through_their_longest_paths():
    rewards = np.array([[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 2.0]])
    model = token_tree(2, 2, rewards, weights=np.array([0.7, 0.3]))
    # Every prefix is visited once at most: half the largest share of a prompt times its range.
    assert smoothness(model) == pytest.approx(0.5 * 0.7)
    assert smoothness(token_tree(8, 4, lambda x, y: float(sum(y)))) == pytest.approx(14.0)


def test_constant_rewards_are_flat():
    assert smoothness(softmax_bandit(np.ones(3))) == 0.0
    assert curvature(softmax_bandit(np.ones(3)), np.array([0.3, 1.0, 0.0])) < 1e-15


def test_networks_are_refused():
    with pytest.raises(TypeError, match="parametrisation is a Network"):
        smoothness(make_model("bandit", "network", seed=0))
