"""Soft policy iteration and inner steps of MDPO: monotone, certified, with known fixed points."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, policies

from rltheory.tabular import DiscountedMDP, mirror_descent, policy_gradient, value_iteration
from rltheory.tabular.mdpo import inner_step, mdpo
from rltheory.tabular.policy_optimisation import softmax_gradient
from rltheory.tabular.soft_policy_iteration import (
    soft_evaluation,
    soft_improvement,
    soft_optimum,
    soft_policy_iteration,
)

TEMPERATURES = st.sampled_from([0.05, 0.5, 4.0])


def model(seed, states=5, actions=3, discount=0.9):
    rng = np.random.default_rng(seed)
    return DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, actions)),
        rng.random((states, actions)),
        discount,
        rng.dirichlet(np.ones(states)),
    )


def soft_value(mdp, policy, temperature):
    """By the Neumann closed form, entropies added to the reward."""
    rewards = np.where(mdp.available, mdp.rewards, 0.0)
    logs = np.log(np.where(policy > 0, policy, 1.0))
    gains = (policy * (rewards - temperature * logs)).sum(axis=1)
    kernel = (policy[:, :, None] * mdp.to_dense().transitions).sum(axis=1)
    return np.linalg.solve(np.eye(mdp.states) - mdp.discount * kernel, gains)


def unit(mdp):
    """The MDP with rewards scaled to at most one, so that temperatures mean the same."""
    scale = np.abs(mdp.rewards[mdp.available]).max().clip(1)
    return mdp.replace(rewards=mdp.rewards / scale)


@given(mdp=discounted_mdps(discounts=(0.0, 0.5, 0.9)), temperature=TEMPERATURES, data=st.data())
@settings(max_examples=15)
def test_soft_values_rise_everywhere_and_are_certified(mdp, temperature, data):
    mdp = unit(mdp)
    start = data.draw(policies(mdp))
    path = soft_policy_iteration(mdp, temperature=temperature, initial_policy=start)
    assert path.converged
    assert path.gap <= 1e-8
    assert np.all(np.diff(path.soft_values, axis=0) >= -1e-10)
    for policy, soft, plain in zip(path.policies, path.soft_values, path.values, strict=True):
        np.testing.assert_allclose(soft, soft_value(mdp, policy, temperature), atol=1e-9)
        np.testing.assert_allclose(plain, soft_value(mdp, policy, 0.0), atol=1e-9)
    found = soft_evaluation(mdp, path.policy, temperature=temperature)
    truth = soft_value(mdp, path.policy, temperature)
    assert np.all(found.lower <= truth + 1e-11)
    assert np.all(found.upper >= truth - 1e-11)


@given(mdp=discounted_mdps(discounts=(0.0, 0.5, 0.9)), temperature=TEMPERATURES)
@settings(max_examples=15)
def test_optimum_is_the_fixed_point_of_the_soft_backup(mdp, temperature):
    mdp = unit(mdp)
    found = soft_optimum(mdp, temperature=temperature)
    values = np.zeros(mdp.states)
    rewards = np.where(mdp.available, mdp.rewards, -np.inf)
    for _ in range(400):
        q = rewards + mdp.discount * mdp.to_dense().transitions @ values
        top = q.max(axis=1)
        masses = np.exp((q - top[:, None]) / temperature).sum(axis=1)
        values = top + temperature * np.log(masses)
    assert np.all(found.lower <= values + 1e-11)
    assert np.all(found.upper >= values - 1e-11)
    q = np.where(mdp.available, found.action_values, -np.inf)
    weights = np.exp((q - q.max(axis=1, keepdims=True)) / temperature)
    np.testing.assert_allclose(
        found.policy, weights / weights.sum(axis=1, keepdims=True), atol=1e-9 / temperature
    )
    # The gap to the plain optimum: temperature * log A over a horizon, and not below it.
    best = value_iteration(mdp).values
    ceiling = temperature * np.log(mdp.actions) / (1 - mdp.discount)
    assert np.all(found.upper >= best - 1e-7)
    assert np.all(found.lower <= best + ceiling + 1e-7)


def test_distance_to_the_optimum_shrinks_by_the_discount():
    mdp = model(0)
    start = np.full((5, 3), 0.05) + np.eye(3)[[0, 0, 0, 0, 0]] * 0.85
    path = soft_policy_iteration(mdp, temperature=0.1, initial_policy=start)
    lacking = (path.optimum.values - path.soft_values).max(axis=1)
    assert len(lacking) > 3
    assert np.all(lacking[1:] <= 0.9 * lacking[:-1] + 1e-10)


def test_the_return_without_the_bonus_may_fall():
    mdp = model(0)
    greedy = value_iteration(mdp).policy
    path = soft_policy_iteration(mdp, temperature=1.0, initial_policy=greedy)
    assert np.all(path.values[1] < path.values[0])
    assert np.all(path.soft_values[1] > path.soft_values[0])


@pytest.mark.parametrize("seed", range(3))
def test_it_is_mirror_descent_with_the_largest_regularised_step(seed):
    """Of MDPO with the uniform policy in place of the old one nothing but the softmax is left."""
    mdp = model(seed)
    path = soft_policy_iteration(mdp, temperature=0.3, tolerance=0.0, max_iterations=3)
    mirrored = mirror_descent(mdp, step=1e15, iterations=3, regularisation=0.3)
    np.testing.assert_allclose(path.policies[3], mirrored.policy, atol=1e-12)


@given(mdp=discounted_mdps(max_states=3), temperature=TEMPERATURES, data=st.data())
@settings(max_examples=15)
def test_improvement_minimises_the_divergence_of_the_actor(mdp, temperature, data):
    mdp = unit(mdp)
    values = np.random.default_rng(data.draw(st.integers(0, 100))).normal(size=mdp.states)
    chosen = soft_improvement(mdp, values, temperature=temperature)
    other = data.draw(policies(mdp))
    q = np.where(mdp.available, mdp.rewards, 0.0) + mdp.discount * mdp.transitions @ values

    def loss(policy):
        logs = np.log(np.where(policy > 0, policy, 1.0))
        return (policy * (logs - q / temperature)).sum(axis=1)

    assert np.all(loss(chosen) <= loss(other) + 1e-11)


# Inner steps.


@pytest.mark.parametrize("count", [1, 3, 8])
def test_natural_inner_steps_are_a_shorter_mirror_step(count):
    mdp = model(1)
    found = mdpo(mdp, step=2.0, iterations=6, inner_steps=count, inner_rate=0.3, inner="natural")
    shorter = mirror_descent(mdp, step=2.0 * (1 - 0.7**count), iterations=6)
    np.testing.assert_allclose(found.policy, shorter.policy, atol=1e-12)
    np.testing.assert_allclose(found.values, shorter.values, rtol=1e-12)


def test_many_gradient_inner_steps_come_to_the_mirror_step():
    mdp = model(2)
    exact = mirror_descent(mdp, step=1.0, iterations=1)
    errors = [
        np.abs(
            mdpo(mdp, step=1.0, iterations=1, inner_steps=m, inner_rate=0.5).policy - exact.policy
        ).max()
        for m in (1, 10, 100, 1000)
    ]
    assert np.all(np.diff(errors) < 0)
    assert errors[-1] < 1e-10


def test_one_gradient_inner_step_does_not_see_the_divergence():
    """It is the policy gradient, every state with weight one; in a single state just that."""
    mdp = DiscountedMDP(np.ones((1, 4, 1)), np.array([[0.3, 1.0, 0.0, 0.6]]), 0.0)
    for step in (0.5, 5.0):
        one = mdpo(mdp, step=step, iterations=3, inner_steps=1, inner_rate=0.4 / step)
        plain = policy_gradient(mdp, step=0.4, iterations=3)
        np.testing.assert_allclose(one.policy, plain.policy, atol=1e-14)
    logits = np.log([[0.1, 0.2, 0.3, 0.4]])
    q = mdp.rewards
    moved = inner_step(logits, logits, q, 1.0, natural=False)
    expected = logits + softmax_gradient(mdp, logits)
    np.testing.assert_allclose(np.diff(moved), np.diff(expected), atol=1e-15)


def test_unavailable_actions_stay_out():
    mdp = model(3)
    mdp = mdp.replace(rewards=np.where(np.eye(5, 3, dtype=bool), -np.inf, mdp.rewards))
    for inner in ("gradient", "natural"):
        path = mdpo(mdp, step=1.0, iterations=5, inner_steps=3, inner_rate=0.5, inner=inner)
        assert not path.policy[~mdp.available].any()
        assert path.values[-1] > path.values[0]


BAD = {
    "temperature is 0": lambda m: soft_policy_iteration(m, temperature=0.0),
    "temperature is nan": lambda m: soft_optimum(m, temperature=np.nan),
    "temperature is inf": lambda m: soft_improvement(m, np.zeros(5), temperature=np.inf),
    "tolerance is -1": lambda m: soft_policy_iteration(m, temperature=1.0, tolerance=-1.0),
    "max_iterations is 0": lambda m: soft_policy_iteration(m, temperature=1.0, max_iterations=0),
    "policy has shape": lambda m: soft_evaluation(m, np.zeros((2, 2)), temperature=1.0),
    "inner is 'newton'": lambda m: mdpo(
        m, step=1, iterations=1, inner_steps=1, inner_rate=1, inner="newton"
    ),
    "inner_steps is 0": lambda m: mdpo(m, step=1, iterations=1, inner_steps=0, inner_rate=1),
    "inner_rate is 1.5": lambda m: mdpo(
        m, step=1, iterations=1, inner_steps=1, inner_rate=1.5, inner="natural"
    ),
    "step holds 0": lambda m: mdpo(m, step=0, iterations=1, inner_steps=1, inner_rate=1),
    r"initial_policy\[0, 1\] is 0": lambda m: mdpo(
        m, step=1, iterations=1, inner_steps=1, inner_rate=1, initial_policy=np.zeros(5, int)
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message](model(0))


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="mdp is"):
        soft_policy_iteration(None, temperature=1.0)
