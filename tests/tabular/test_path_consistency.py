"""Path consistency: losses by enumeration, zero at the optimum, and where that misleads."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from strategies import episodic_mdps

from rltheory.tabular import EpisodicMDP
from rltheory.tabular.path_consistency import (
    path_consistency,
    soft_backward_induction,
    soft_policy_return,
    token_tree,
)

SEEDS = st.integers(0, 2**32 - 1)


def drawn(mdp, seed):
    """A positive policy, reference and behaviour, and values."""
    rng = np.random.default_rng(seed)
    rows = rng.dirichlet(np.full(mdp.actions, 2.0), size=(3, mdp.horizon, mdp.states))
    rows = (rows + 0.05) / (1 + 0.05 * mdp.actions)
    return *rows, rng.normal(size=(mdp.horizon, mdp.states))


def trajectories(mdp, policy):
    """Every way through an MDP with its probability: (states, actions, chance)."""
    steps = range(mdp.horizon)
    for states in product(range(mdp.states), repeat=mdp.horizon + 1):
        for actions in product(range(mdp.actions), repeat=mdp.horizon):
            chance = mdp.initial[states[0]]
            for h in steps:
                chance *= policy[h, states[h], actions[h]]
                chance *= mdp.transitions[h, states[h], actions[h], states[h + 1]]
            if chance:
                yield states, actions, chance


@given(mdp=episodic_mdps(max_states=3, max_actions=2, max_horizon=3), seed=SEEDS)
@settings(max_examples=10)
def test_losses_are_sums_over_all_trajectories(mdp, seed):
    policy, reference, behaviour, values = drawn(mdp, seed)
    heat = 0.7
    found = path_consistency(
        mdp, policy, values, behaviour=behaviour, temperature=heat, reference=reference
    )
    padded = np.vstack([values, np.zeros((1, mdp.states))])
    token = paths = response = 0.0
    for states, actions, chance in trajectories(mdp, behaviour):
        steps = []
        for h in range(mdp.horizon):
            s, a = states[h], actions[h]
            ratio = np.log(policy[h, s, a] / reference[h, s, a])
            step = padded[h, s] - padded[h + 1, states[h + 1]] - mdp.rewards[h, s, a]
            steps.append(step + heat * ratio)
        sums = np.cumsum(steps[::-1])[::-1]
        token += chance * np.square(steps).mean()
        paths += chance * np.square(sums).mean()
        response += chance * sums[0] ** 2
    np.testing.assert_allclose(found.token_loss, token, rtol=1e-9)
    np.testing.assert_allclose(found.path_loss, paths, rtol=1e-9)
    np.testing.assert_allclose(found.response_loss, response, rtol=1e-9)


@given(mdp=episodic_mdps(), seed=SEEDS)
@settings(max_examples=15)
def test_soft_optimum_is_certified_and_beats_other_policies(mdp, seed):
    policy, reference, _, _ = drawn(mdp, seed)
    found = soft_backward_induction(mdp, temperature=0.5, reference=reference)
    values = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        q = mdp.rewards[h] + mdp.transitions[h] @ values
        values = 0.5 * np.log((reference[h] * np.exp(q / 0.5)).sum(axis=1))
        assert np.all(found.lower[h] <= values + 1e-13)
        assert np.all(found.upper[h] >= values - 1e-13)
    assert found.gap < 1e-12
    best = soft_policy_return(mdp, found.policy, temperature=0.5, reference=reference)
    np.testing.assert_allclose(best, mdp.initial @ found.values[0], atol=1e-12)
    assert soft_policy_return(mdp, policy, temperature=0.5, reference=reference) <= best + 1e-12


@pytest.mark.parametrize(("depth", "vocabulary"), [(1, 4), (2, 3), (4, 2)])
def test_the_optimum_of_a_tree_is_gibbs_over_responses_with_no_loss(depth, vocabulary):
    rng = np.random.default_rng(depth)
    rewards = rng.normal(size=vocabulary**depth)
    tree = token_tree(rewards, depth, vocabulary)
    found = soft_backward_induction(tree, temperature=0.4)
    gibbs = np.exp(rewards / 0.4)
    np.testing.assert_allclose(found.values[0, 0], 0.4 * np.log(gibbs.mean()), rtol=1e-12)
    first = gibbs.reshape(vocabulary, -1).sum(axis=1)
    np.testing.assert_allclose(found.policy[0, 0], first / first.sum(), rtol=1e-12)
    uniform = np.full(tree.rewards.shape, 1 / vocabulary)
    loss = path_consistency(
        tree, found.policy, found.values[:-1], behaviour=uniform, temperature=0.4
    )
    assert loss.token_loss < 1e-28
    assert loss.path_loss < 1e-28
    reached = vocabulary ** np.arange(depth)
    assert [int(loss.covered[h].any(axis=1).sum()) for h in range(depth)] == reached.tolist()


@given(seed=SEEDS)
@settings(max_examples=10)
def test_what_a_policy_loses_is_a_cumulant_of_its_residual(seed):
    """Whatever the values in between: they telescope."""
    tree = token_tree(np.random.default_rng(seed).normal(size=9), 2, 3)
    policy, _, _, values = drawn(tree, seed)
    heat = 0.8
    best = soft_backward_induction(tree, temperature=heat).values[0, 0]
    lost = best - soft_policy_return(tree, policy, temperature=heat)
    found = path_consistency(tree, policy, values, behaviour=policy, temperature=heat)
    chances, sums = [], []
    for a, b in product(range(3), repeat=2):
        chances.append(policy[0, 0, a] * policy[1, a, b])
        sums.append(found.residuals[0, 0, a, a] + found.residuals[1, a, b].sum())
    chances, sums = np.array(chances), np.array(sums)
    centred = sums - chances @ sums
    np.testing.assert_allclose(lost, heat * np.log(chances @ np.exp(-centred / heat)), rtol=1e-9)
    assert lost <= np.ptp(sums) ** 2 / (8 * heat) + 1e-12
    np.testing.assert_allclose(found.response_loss, chances @ sums**2, rtol=1e-10)


def test_without_one_response_zero_loss_proves_nothing():
    """All data on the first of two responses: any policy fits it with the right value."""
    tree = token_tree([0.0, 10.0], 1, 2)
    data = np.array([[[1.0, 0.0]]])
    policy = np.array([[[0.999, 0.001]]])
    value = [[-np.log(0.999 / 0.5)]]
    found = path_consistency(tree, policy, value, behaviour=data, temperature=1.0)
    assert found.token_loss < 1e-30
    assert not found.covered[0, 0, 1]
    best = soft_backward_induction(tree, temperature=1.0).values[0, 0]
    assert best - soft_policy_return(tree, policy, temperature=1.0) > 9.9
    both = path_consistency(tree, policy, value, behaviour=np.full((1, 1, 2), 0.5), temperature=1.0)
    assert both.token_loss > 100


def chance_tree():
    """One token, then a fair coin; two tokens after either side, better ones after the first."""
    transitions = np.zeros((2, 2, 2, 2))
    transitions[0, :, :, :] = 0.5
    transitions[1, :, :, 0] = 1.0
    rewards = np.zeros((2, 2, 2))
    rewards[1] = [[2.0, 1.0], [-1.0, -2.0]]
    return EpisodicMDP(transitions, rewards, np.array([1.0, 0.0]))


def test_with_chance_moves_the_loss_is_least_at_a_worse_policy():
    """The joint minimum of the token loss, over values and policy, tilts the policy."""
    mdp = chance_tree()
    best = soft_backward_induction(mdp, temperature=1.0)
    data = np.full((2, 2, 2), 0.5)
    data[1] = [[0.9, 0.1], [0.9, 0.1]]

    def read(x):
        first = 1 / (1 + np.exp(-x[:2]))
        policy = np.full((2, 2, 2), 0.5)
        policy[1] = np.column_stack([first, 1 - first])
        return policy, np.array([[x[2], 0.0], [x[3], x[4]]])

    def loss(x):
        policy, values = read(x)
        return path_consistency(mdp, policy, values, behaviour=data, temperature=1.0).token_loss

    at_best = path_consistency(
        mdp, best.policy, best.values[:-1], behaviour=data, temperature=1.0
    ).token_loss
    spread = (best.values[1, 0] - best.values[1, 1]) ** 2 / 4
    np.testing.assert_allclose(at_best, spread / 2, rtol=1e-12)
    found = minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    policy, _ = read(found.x)
    assert found.fun < 0.6 * at_best
    optimum = mdp.initial @ best.values[0]
    assert soft_policy_return(mdp, policy, temperature=1.0) < optimum - 1e-3
    assert np.abs(policy - best.policy)[1].max() > 0.05


def test_a_policy_off_the_reference_is_worth_nothing():
    tree = token_tree([0.0, 1.0], 1, 2)
    reference = np.array([[[1.0, 0.0]]])
    assert soft_policy_return(tree, [[[0.5, 0.5]]], temperature=1.0, reference=reference) == -np.inf
    found = soft_backward_induction(tree, temperature=1.0, reference=reference)
    np.testing.assert_array_equal(found.policy[0, 0], [1.0, 0.0])


TREE = token_tree(np.zeros(4), 2, 2)
EVEN = np.full((2, 2, 2), 0.5)


def consistency(**changes):
    settings = {
        "policy": EVEN, "values": np.zeros((2, 2)), "behaviour": EVEN, "temperature": 1.0,
    } | changes  # fmt: skip
    return path_consistency(TREE, settings.pop("policy"), settings.pop("values"), **settings)


BAD = {
    "depth is 0": lambda: token_tree([1.0], 0, 2),
    "vocabulary is 0": lambda: token_tree([1.0], 1, 0),
    "makes more than 4096 prefixes": lambda: token_tree([1.0], 50, 8),
    "rewards has shape": lambda: token_tree([1.0, 2.0], 2, 2),
    r"rewards\[1\] is nan": lambda: token_tree([1.0, np.nan], 1, 2),
    "temperature is 0": lambda: soft_backward_induction(TREE, temperature=0.0),
    "reference has shape": lambda: soft_backward_induction(
        TREE, temperature=1.0, reference=np.ones(3)
    ),
    "values has shape": lambda: consistency(values=np.zeros(2)),
    r"values\[0, 0\] is inf": lambda: consistency(values=np.full((2, 2), np.inf)),
    r"policy\[0, 0, 1\] is 0 where": lambda: consistency(policy=np.zeros((2, 2), int)),
    r"reference\[0, 0, 1\] is 0 where": lambda: consistency(reference=np.zeros((2, 2), int)),
    "behaviour has shape": lambda: consistency(behaviour=np.ones(3)),
    "policy has shape": lambda: consistency(policy=np.ones(3)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_arguments_are_refused_by_name(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_another_model_is_refused():
    with pytest.raises(TypeError, match="mdp is"):
        soft_backward_induction(None, temperature=1.0)
