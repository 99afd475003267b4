"""Linear MDPs, robust ones and MDPs with features: what they hold, refuse and turn into."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import episodic_mdps

from rltheory.linear_mdp import mdp as module
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP, as_reference
from rltheory.linear_mdp.planning import plan
from rltheory.tabular import EpisodicMDP, backward_induction, robust_backward_induction
from rltheory.tabular.uncertainty import (
    L1,
    ChiSquare,
    KullbackLeibler,
    PenalisedKullbackLeibler,
    TotalVariation,
)

NAN, INF = float("nan"), float("inf")


@st.composite
def linear_mdps(draw):
    """Small models on the simplex, some with a fail state."""
    dimension = draw(st.integers(2, 4))
    return random_linear_mdp(
        draw(st.integers(dimension, 8)),
        draw(st.integers(1, 4)),
        dimension=dimension,
        horizon=draw(st.integers(1, 4)),
        coverage=draw(st.sampled_from([0.0, 0.3, 1.0])),
        failure=draw(st.sampled_from([None, 0.0, 0.2])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def two_states(**changes):
    """Features, measures and weights of two states, two actions, two factors and one step."""
    fields = {
        "features": np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.0, 1.0]]]),
        "measures": np.array([[[0.3, 0.7], [0.0, 1.0]]]),
        "reward_weights": np.array([[1.0, 0.0]]),
    }
    return fields | changes


# Linear MDPs.


@given(linear_mdps())
@settings(max_examples=15)
def test_kernels_and_rewards_are_the_sums_over_factors(mdp):
    tabular = mdp.to_tabular()
    for h in range(mdp.horizon):
        kernel = np.zeros((mdp.states, mdp.actions, mdp.states))
        rewards = np.zeros((mdp.states, mdp.actions))
        for i in range(mdp.dimension):
            kernel += mdp.features[:, :, i, None] * mdp.measures[h, i]
            rewards += mdp.features[:, :, i] * mdp.reward_weights[h, i]
        # At most four terms of at most 1.
        np.testing.assert_allclose(mdp.kernel(h), kernel, rtol=0, atol=1e-15)
        np.testing.assert_allclose(tabular.transitions[h], kernel, rtol=0, atol=1e-15)
        np.testing.assert_allclose(mdp.rewards[h], rewards, rtol=0, atol=1e-15)
        some = slice(1, None, 2)
        np.testing.assert_allclose(mdp.kernel(h, some), kernel[some], rtol=0, atol=1e-15)
    assert (tabular.rewards == mdp.rewards).all()
    assert (tabular.initial == mdp.initial).all()


@given(episodic_mdps())
@settings(max_examples=15)
def test_every_finite_mdp_is_linear_with_a_feature_for_each_pair(tabular):
    mdp = LinearMDP.from_tabular(tabular)
    assert mdp.simplex
    assert mdp.dimension == tabular.states * tabular.actions
    back = mdp.to_tabular()
    for name in ("transitions", "rewards", "initial"):
        assert (getattr(back, name) == getattr(tabular, name)).all()


@given(episodic_mdps(), st.floats(0.0, 1.0), st.sampled_from([TotalVariation, ChiSquare]))
@settings(max_examples=15)
def test_factor_wise_balls_of_pairs_are_rectangular_in_pairs(tabular, radius, ball):
    robust = plan(RobustLinearMDP(LinearMDP.from_tabular(tabular), ball(radius)))
    reference = robust_backward_induction(tabular, ball(radius))
    # Both enclose the same values.
    assert (robust.lower <= reference.upper).all()
    assert (reference.lower <= robust.upper).all()


@given(linear_mdps(), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_a_change_of_basis_leaves_the_model_but_takes_it_off_the_simplex(mdp, seed):
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(mdp.dimension, mdp.dimension)))[0]
    turned = mdp.replace(
        features=mdp.features @ basis,
        measures=basis.T @ mdp.measures,
        reward_weights=mdp.reward_weights @ basis,
        fail_state=None,  # its reward would be a zero up to rounding, and must be one
    )
    assert mdp.simplex
    assert not turned.simplex
    # Products with an orthogonal matrix of size 4 are off by a few of their rounding errors.
    for h in range(mdp.horizon):
        np.testing.assert_allclose(turned.kernel(h), mdp.kernel(h), rtol=0, atol=1e-14)
    first, second = backward_induction(turned.to_tabular()), plan(turned)
    assert (second.lower <= first.upper).all()
    assert (first.lower <= second.upper).all()
    with pytest.raises(ValueError, match="must be distributions, as factors are drawn by them"):
        RobustLinearMDP(turned, KullbackLeibler(0.1))


def test_a_kernel_is_checked_in_blocks_to_its_last_row(monkeypatch):
    mdp = random_linear_mdp(20, 3, dimension=4, horizon=2, seed=0)
    monkeypatch.setattr(module, "_BLOCK", 3 * 20)  # one state at a time
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    features, measures = mdp.features @ basis, basis.T @ mdp.measures
    mdp.replace(features=features, measures=measures, reward_weights=np.zeros((2, 4)))
    features[19, 2] *= 1.01
    with pytest.raises(ValueError, match=r"features @ measures\[0\]\[0, 2\] sums to 1.01"):
        mdp.replace(features=features, measures=measures, reward_weights=np.zeros((2, 4)))


def test_measures_that_are_the_same_in_all_steps_may_share_memory():
    once = random_linear_mdp(6, 2, dimension=3, horizon=1, seed=0, failure=0.1)
    shared = np.broadcast_to(once.measures[0], (5, 3, 6))
    mdp = once.replace(measures=shared, reward_weights=np.zeros((5, 3)))
    assert np.shares_memory(mdp.measures, once.measures)
    assert mdp.measures.strides[0] == 0
    assert all((mdp.kernel(h) == once.kernel(0)).all() for h in range(5))


def test_models_cannot_be_changed():
    mdp = off_dynamics()
    for name in ("features", "measures", "reward_weights", "initial", "rewards"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(mdp, name)[0] = 0.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        mdp.fail_state = None
    longer = mdp.replace(initial=np.eye(5)[1], fail_state=None)
    assert longer.initial[1] == 1.0
    assert longer.fail_state is None
    assert mdp.initial[0] == 1.0


def test_whole_numbers_and_lists_are_taken_and_the_first_state_is_uniform():
    mdp = LinearMDP([[[1, 0]], [[0, 1]]], [[[0, 1], [0, 1]]], [[2, 0]], fail_state=np.int64(1))
    assert mdp.features.dtype == mdp.measures.dtype == np.float64
    assert mdp.initial.tolist() == [0.5, 0.5]
    assert mdp.rewards.tolist() == [[[2.0], [0.0]]]


def test_ceilings_are_what_rewards_can_add_up_to():
    assert off_dynamics().ceilings.tolist() == [3.0, 2.0, 1.0]
    large = LinearMDP(**two_states(reward_weights=[[5.0, 0.0]]))
    assert large.ceilings.tolist() == [5.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": np.eye(2)}, r"features has shape \(2, 2\); expected \(any, any, any\)"),
        ({"features": np.ones((0, 1, 2))}, r"features has shape \(0, 1, 2\)"),
        ({"features": np.full((2, 2, 2), NAN)}, r"features\[0, 0, 0\] is nan"),
        ({"reward_weights": [[1.0]]}, r"reward_weights has shape \(1, 1\); expected \(any, 2\)"),
        ({"reward_weights": np.ones((0, 2))}, "reward_weights has no steps"),
        ({"reward_weights": [[1.0, INF]]}, r"reward_weights\[0, 1\] is inf"),
        ({"reward_weights": [[1e300, 0.0]]}, "rewards added over the horizon"),
        ({"measures": np.ones((2, 2, 2))}, r"measures has shape \(2, 2, 2\); .* \(1, 2, 2\)"),
        ({"measures": np.eye(2)}, r"measures has shape \(2, 2\); expected \(1, 2, 2\)"),
        ({"measures": [[[NAN, 1.0], [0.0, 1.0]]]}, r"measures\[0, 0, 0\] is nan"),
        (
            {"measures": [[[0.3, 0.6], [0.0, 1.0]]]},
            r"features @ measures\[0\]\[0, 0\] sums to 0.9; each row must sum to 1",
        ),
        (
            {"measures": [[[1.2, -0.2], [0.0, 1.0]]]},
            r"features @ measures\[0\]\[0, 0, 1\] is -0.2.*; probabilities must be >= 0",
        ),
        (
            {"features": np.full((2, 2, 2), 1e200), "measures": np.full((1, 2, 2), 1e200)},
            r"features @ measures\[0\]\[0, 0, 0\] is inf; every entry must be finite",
        ),
        ({"initial": [0.5, 0.4]}, "initial sums to 0.9"),
        ({"initial": [1.0]}, r"initial has shape \(1,\); expected \(2\)"),
        ({"fail_state": 2}, "fail_state is 2; expected a state, 0 to 1"),
        ({"fail_state": -1}, "fail_state is -1; expected a state, 0 to 1"),
        ({"fail_state": True}, "fail_state is True; expected a state, 0 to 1"),
        ({"fail_state": 1.0}, "fail_state is 1.0; expected a state, 0 to 1"),
        ({"fail_state": 1}, "fail_state 1 is left with some action; expected it to absorb"),
        (
            {"fail_state": 1, "measures": [[[0.0, 1.0], [0.0, 1.0]]]},
            "fail_state 1 has a reward; expected none",
        ),
    ],
)
def test_what_is_no_linear_mdp_is_named(changes, words):
    with pytest.raises(ValueError, match=words):
        LinearMDP(**two_states(**changes))


@pytest.mark.parametrize("name", ["features", "measures", "reward_weights"])
def test_arrays_that_hold_no_numbers_are_named(name):
    with pytest.raises(TypeError, match=f"{name} must be an array of real numbers"):
        LinearMDP(**two_states(**{name: "abc"}))


def test_products_too_large_for_floats_are_refused():
    features, measures = np.full((2, 1, 1), 100.0), np.full((1, 1, 2), 0.005)
    assert LinearMDP(features, measures, [[1.0]]).rewards[0, 0, 0] == 100.0
    with pytest.raises(ValueError, match="rewards added over the horizon"):
        LinearMDP(features, measures, [[1e307]])


def test_an_mdp_that_lacks_actions_is_not_linear():
    rewards = np.array([[[0.0, -INF]]])
    tabular = EpisodicMDP(np.ones((1, 1, 2, 1)), rewards)
    with pytest.raises(ValueError, match="mdp lacks actions"):
        LinearMDP.from_tabular(tabular)
    with pytest.raises(ValueError, match="mdp lacks actions"):
        FeatureMDP(tabular, np.ones((1, 2, 1)))


# Robust linear MDPs.


def test_budgets_are_one_for_each_step_and_factor():
    nominal = off_dynamics()
    for radius in (0.1, np.arange(4) / 10, np.arange(3)[:, None] / 10, np.arange(12) / 20):
        shaped = np.reshape(radius, (3, 4)) if np.size(radius) == 12 else radius
        model = RobustLinearMDP(nominal, TotalVariation(shaped))
        assert (model.budgets == np.broadcast_to(shaped, (3, 4))).all()
    with pytest.raises(ValueError, match=r"radius has shape \(5,\); .* fits \(3, 4\)"):
        RobustLinearMDP(nominal, TotalVariation(np.zeros(5)))


@pytest.mark.parametrize(
    ("ball", "words"),
    [
        (TotalVariation(1.001), "radius is 1.001; expected at most 1"),
        (TotalVariation([0.0, 0.0, 2.0, 0.0]), "radius is 2; expected at most 1"),
        (L1(2.001), "radius is 2.001; expected at most 2"),
    ],
)
def test_radii_beyond_everything_are_refused(ball, words):
    with pytest.raises(ValueError, match=words):
        RobustLinearMDP(off_dynamics(), ball)
    for largest in (TotalVariation(1.0), L1(2.0), KullbackLeibler(100.0), ChiSquare(100.0)):
        RobustLinearMDP(off_dynamics(), largest)


def test_factors_off_the_simplex_are_refused_by_name_where_the_kernel_is_fine():
    signed = np.array([[[1.5, -0.5]], [[0.5, 0.5]]])
    inside = np.array([[[0.5, 0.5], [0.6, 0.4]]])
    mdp = LinearMDP(signed, inside, [[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"nominal.features must .* row\[0, 0, 1\] is -0.5"):
        RobustLinearMDP(mdp, TotalVariation(0.1))
    mixed = np.full((2, 1, 2), 0.5)
    outside = np.array([[[1.2, -0.2], [0.0, 1.0]]])
    mdp = LinearMDP(mixed, outside, [[0.0, 0.0]])
    assert not mdp.simplex
    with pytest.raises(ValueError, match=r"nominal.measures must .* row\[0, 0, 1\] is -0.2"):
        RobustLinearMDP(mdp, PenalisedKullbackLeibler(1.0))
    weights = LinearMDP(2 * mixed, np.full((1, 2, 2), 0.25), [[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"nominal.features must .* row\[0, 0\] sums to 2"):
        RobustLinearMDP(weights, TotalVariation(0.1))


def test_robust_models_name_what_is_of_another_type():
    with pytest.raises(TypeError, match=r"nominal is .*; expected a LinearMDP"):
        RobustLinearMDP(off_dynamics().to_tabular(), TotalVariation(0.1))
    with pytest.raises(TypeError, match=r"uncertainty is 0.1; expected a set"):
        RobustLinearMDP(off_dynamics(), 0.1)


# Reference policies.


def test_references_are_rows_for_every_step():
    shape = (2, 3, 4)
    assert (as_reference(None, shape) == 0.25).all()
    rows = np.random.default_rng(0).dirichlet(np.ones(4), size=3)
    spread = as_reference(rows, shape)
    assert spread.shape == shape
    assert (spread == rows).all()
    assert (as_reference(spread, shape) == spread).all()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        (np.full((3, 5), 0.2), r"reference has shape \(3, 5\); expected \(3, 4\) or \(2, 3, 4\)"),
        (np.full(4, 0.25), r"reference has shape \(4,\)"),
        (np.full((3, 4), 0.3), r"reference\[0\] sums to 1.2"),
        (np.full((3, 4), NAN), r"reference\[0, 0\] is nan"),
        (np.tile([1.5, -0.5, 0.0, 0.0], (3, 1)), r"reference\[0, 1\] is -0.5"),
        (np.tile([0.5, 0.5, 0.0, 0.0], (3, 1)), r"reference\[0, 2\] is 0; expected every action"),
    ],
)
def test_references_that_do_not_fit_are_named(reference, words):
    with pytest.raises(ValueError, match=words):
        as_reference(reference, (2, 3, 4))
    with pytest.raises(ValueError, match="reference"):
        plan(random_linear_mdp(8, 4, seed=0), temperature=0.1, reference=reference)


# MDPs with features that need not fit.


def absorbing_pair():
    """An episodic MDP of two states and two actions whose state 1 absorbs without reward."""
    kernel = np.array([[[0.5, 0.5], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    return EpisodicMDP.stationary(kernel, [[1.0, 2.0], [0.0, 0.0]], 3, [1.0, 0.0])


def test_a_feature_mdp_reads_as_its_mdp():
    tabular = absorbing_pair()
    model = FeatureMDP(tabular, np.ones((2, 2, 5)), fail_state=1)
    assert (model.horizon, model.states, model.actions, model.dimension) == (3, 2, 2, 5)
    assert (model.rewards == tabular.rewards).all()
    assert (model.initial == tabular.initial).all()
    assert model.ceilings.tolist() == [6.0, 4.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        model.features[0] = 0.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features": np.ones((2, 1, 5))}, r"features has shape \(2, 1, 5\)"),
        ({"features": np.ones((2, 2))}, r"features has shape \(2, 2\)"),
        ({"features": np.full((2, 2, 1), NAN)}, r"features\[0, 0, 0\] is nan"),
        ({"features": np.ones((2, 2, 0))}, r"features has shape \(2, 2, 0\)"),
        ({"fail_state": 2}, "fail_state is 2; expected a state, 0 to 1"),
        ({"fail_state": True}, "fail_state is True; expected a state, 0 to 1"),
        ({"fail_state": 0}, "fail_state 0 must absorb without reward"),
    ],
)
def test_features_that_do_not_fit_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        FeatureMDP(**({"mdp": absorbing_pair(), "features": np.ones((2, 2, 1))} | changes))


def test_a_fail_state_of_a_feature_mdp_has_no_reward():
    kernel = np.ones((1, 1, 1))
    paid = EpisodicMDP.stationary(kernel, [[1.0]], 1)
    with pytest.raises(ValueError, match="fail_state 0 must absorb without reward"):
        FeatureMDP(paid, np.ones((1, 1, 1)), fail_state=0)


def test_a_feature_mdp_names_what_is_of_another_type():
    with pytest.raises(TypeError, match=r"expected an? EpisodicMDP"):
        FeatureMDP(off_dynamics(), np.ones((5, 16, 4)))
