"""Policies, models and their outcomes against finite differences, autodiff and recursions."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies_estimators import KINDS, PARAMETRISATIONS, fractions, make_model, models

from rltheory.analysis.estimators import parametrisations
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Choices
from rltheory.analysis.estimators.parametrisations import Linear, Network, Tabular
from rltheory.analysis.estimators.sampling_model import contextual_bandit, softmax_bandit
from rltheory.analysis.estimators.trees import (
    episodes,
    prefix_sequences,
    token_sequences,
    token_tree,
)

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)


def log_probabilities(model, parameters):
    """log pi(y | x) of all responses, path by path in plain Python, without chance."""
    logits = np.asarray(model.parametrisation.logits(parameters), dtype=float)
    found = []
    for rows, actions in zip(model.rows, model.actions, strict=True):
        steps = [
            logits[r, a] - np.log(np.exp(logits[r]).sum())
            for r, a in zip(rows, actions, strict=True)
            if r >= 0
        ]
        found.append(sum(steps))
    return np.array(found)


@given(drawn=models())
@settings(max_examples=20)
def test_probabilities_are_products_over_the_path(drawn):
    model, parameters, behaviour = drawn
    outcomes = model.at(parameters, behaviour=behaviour)
    expected = model.chances * np.exp(log_probabilities(model, parameters))
    np.testing.assert_allclose(outcomes.probabilities, expected, rtol=1e-12)
    drawn_with = model.chances * np.exp(log_probabilities(model, behaviour))
    np.testing.assert_allclose(outcomes.behaviour, drawn_with, rtol=1e-12)
    np.testing.assert_allclose(outcomes.choices.ratios.prod(axis=1), outcomes.ratios, rtol=1e-11)
    assert model.value(parameters) == pytest.approx(outcomes.value, rel=1e-12, abs=1e-12)
    assert np.array_equal(outcomes.lengths, (model.rows >= 0).sum(axis=1))


@given(drawn=models())
@settings(max_examples=12)
def test_scores_are_finite_differences_of_the_log_probability(drawn):
    model, parameters, _ = drawn
    scores = model.at(parameters).scores
    step = 1e-5
    for j in range(model.size):
        shift = step * np.eye(model.size)[j]
        difference = log_probabilities(model, parameters + shift) - log_probabilities(
            model, parameters - shift
        )
        np.testing.assert_allclose(scores[:, j], difference / (2 * step), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("policy", PARAMETRISATIONS)
def test_the_gradient_is_that_of_the_value_by_autodiff(kind, policy):
    model = make_model(kind, policy, 3)
    parameters = np.random.default_rng(4).normal(size=model.size)
    value, gradient = jax.jit(jax.value_and_grad(model.value))(parameters)
    assert float(value) == pytest.approx(model.value(parameters), rel=1e-12)
    np.testing.assert_allclose(model.at(parameters).gradient, gradient, atol=1e-12)


@pytest.mark.parametrize("leading", [(), (2, 3)])
@pytest.mark.parametrize("policy", PARAMETRISATIONS)
def test_numpy_and_jax_agree_with_any_leading_axes(policy, leading):
    rng = np.random.default_rng(0)
    built = {
        "tabular": Tabular(3, 2),
        "linear": Linear(rng.normal(size=(3, 2, 4))),
        "network": Network(rng.normal(size=(3, 2)), 2, hidden=3),
    }[policy]
    parameters = rng.normal(size=(*leading, built.size))
    ours, theirs = built.logits(parameters), jax.jit(built.logits)(parameters)
    assert isinstance(ours, np.ndarray)
    assert isinstance(theirs, jax.Array)
    assert ours.shape == (*leading, 3, 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-13)
    features = np.broadcast_to(built.features(parameters), (*leading, 3, 2, built.size))
    np.testing.assert_allclose(
        features, np.broadcast_to(jax.jit(built.features)(parameters), features.shape), atol=1e-13
    )
    if not leading:
        jacobian = jax.jit(jax.jacrev(built.logits))(parameters)
        np.testing.assert_allclose(features, jacobian, atol=1e-12)
    for place in np.ndindex(leading):
        np.testing.assert_allclose(built.logits(parameters[place]), ours[place], atol=1e-13)
        one = np.broadcast_to(built.features(parameters[place]), features[place].shape)
        np.testing.assert_allclose(one, features[place], atol=1e-13)


def test_a_network_is_what_its_layout_says():
    """Two inputs, one unit: input weights, their bias, output weights, their biases."""
    network = Network(np.array([[1.0, 2.0]]), 2, hidden=1)
    unit = np.tanh(0.1 * 1 + 0.2 * 2 + 0.3)
    logits = network.logits(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]))
    np.testing.assert_allclose(logits, [[0.4 * unit + 0.6, 0.5 * unit + 0.7]])
    assert network.start(1).shape == (network.size,) == (7,)
    assert np.array_equal(network.start(1), network.start(1))
    with pytest.raises(TypeError, match="seed"):
        network.start(None)


def test_paths_that_come_back_to_a_row_add_up():
    """Two visits of one state: the score is e_a + e_b - 2 pi."""
    model = episodes(np.ones((1, 3, 1)), np.arange(3.0)[None], np.ones(1), horizon=2)
    parameters = np.array([0.3, -0.2, 0.5])
    policy = np.exp(parameters) / np.exp(parameters).sum()
    scores = model.at(parameters).scores
    for i, (a, b) in enumerate(itertools.product(range(3), repeat=2)):
        np.testing.assert_allclose(scores[i], np.eye(3)[a] + np.eye(3)[b] - 2 * policy)


@given(seed=st.integers(0, 1000), kind=st.sampled_from(KINDS))
@settings(max_examples=15)
def test_sparse_tables_of_scores_are_the_dense_ones(seed, kind):
    model = make_model(kind, "tabular", seed)
    first, second = np.random.default_rng(seed).normal(size=(2, model.size))
    dense = model.at(first, behaviour=second)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parametrisations, "DENSE_ENTRIES", 0)
        thin = model.at(first, behaviour=second)
        assert sparse.issparse(thin.scores)
        np.testing.assert_allclose(thin.scores.toarray(), dense.scores, atol=1e-15)
        for name in ("rloo", "oblr", "coordinate", "grpo", "gspo", "sapo", "reinforce++"):
            a = estimator_moments(thin, name, group_size=2)
            b = estimator_moments(dense, name, group_size=2)
            np.testing.assert_allclose(a.mean, b.mean, atol=1e-13)
            np.testing.assert_allclose(a.covariance, b.covariance, atol=1e-13)
            np.testing.assert_allclose(a.variances, b.variances, atol=1e-13)


@pytest.mark.parametrize("policy", [Tabular(2, 2), Linear(np.arange(8.0).reshape(2, 2, 2))])
def test_scores_of_fractions_are_fractions(policy):
    probabilities = np.array([[1, 2], [1, 3]], dtype=object) * [[Fraction(1, 3)], [Fraction(1, 4)]]
    choices = Choices(
        parametrisation=policy,
        parameters=np.zeros(policy.size),
        policy=probabilities,
        rows=np.array([[0, 1], [0, -1]]),
        actions=np.array([[1, 0], [0, -1]]),
        ratios=fractions(np.ones((2, 2))),
    )
    found = choices.scores(fractions([[1, 2], [3, 0]]))
    phi = fractions(np.broadcast_to(policy.features(np.zeros(policy.size)), (2, 2, policy.size)))
    score = phi - np.stack([p @ f for p, f in zip(probabilities, phi, strict=True)])[:, None]
    assert found[0].tolist() == (score[0, 1] + 2 * score[1, 0]).tolist()
    assert found[1].tolist() == (3 * score[0, 0]).tolist()


def test_responses_of_a_tree_are_listed_once_each():
    for vocabulary, depth, end in [(2, 3, None), (3, 2, None), (2, 3, 1), (3, 3, 0), (1, 2, None)]:
        expected = []
        for t in range(1, depth + 1):
            for word in itertools.product(range(vocabulary), repeat=t):
                ended = end is not None and word[-1] == end
                if end not in word[:-1] and (ended or t == depth):
                    expected.append(word)
        found = token_sequences(vocabulary, depth, end_token=end)
        assert [tuple(v for v in row if v >= 0) for row in found.tolist()] == expected
        prefixes = prefix_sequences(vocabulary, depth, end_token=end)
        words = [tuple(v for v in row if v >= 0) for row in prefixes.tolist()]
        assert words == sorted({w[:t] for w in expected for t in range(len(w))}, key=_order)


def _order(word):
    return len(word), word


def test_rows_of_a_tree_are_the_prefixes_before_each_token():
    model = token_tree(2, 3, np.zeros((2, 4)), end_token=1)
    prefixes = prefix_sequences(2, 3, end_token=1)
    words = np.tile(token_sequences(2, 3, end_token=1), (2, 1))
    for i, (rows, word) in enumerate(zip(model.rows, words, strict=True)):
        for t, row in enumerate(rows[rows >= 0]):
            assert row // len(prefixes) == model.prompt_of[i]
            prefix = prefixes[row % len(prefixes)]
            assert prefix[prefix >= 0].tolist() == word[:t].tolist()


def test_rewards_of_a_tree_may_be_a_function():
    weights = np.array([0.25, 0.75])
    model = token_tree(2, 2, lambda x, word: 10 * x + sum(word), weights=weights)
    assert model.rewards.tolist() == [0, 1, 1, 2, 10, 11, 11, 12]
    assert token_tree(2, 1, lambda x, word: word[0]).value(np.zeros(2)) == 0.5


def policy_value(kernel, rewards, start, policies, discount):
    """The value of a policy (H, S, A) by backward induction."""
    values = np.zeros(len(start))
    for policy in policies[::-1]:
        values = (policy * (rewards + discount * kernel @ values)).sum(axis=1)
    return start @ values


@pytest.mark.parametrize("stationary", [True, False])
@given(seed=st.integers(0, 1000), horizon=st.integers(1, 3))
@settings(max_examples=15)
def test_episodes_are_worth_what_backward_induction_says(stationary, seed, horizon):
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.ones(3), size=(3, 2))
    kernel[0, 0] = [1, 0, 0]
    rewards, start = rng.normal(size=(3, 2)), np.array([0.4, 0.6, 0.0])
    model = episodes(kernel, rewards, start, horizon=horizon, discount=0.8, stationary=stationary)
    parameters = rng.normal(size=model.size)
    policies = model.policy(parameters).reshape(-1, 3, 2)
    if stationary:
        policies = np.repeat(policies, horizon, axis=0)
    expected = policy_value(kernel, rewards, start, policies, 0.8)
    assert model.value(parameters) == pytest.approx(expected, abs=1e-12)
    greedy = (policies == policies.max(axis=2, keepdims=True)) * 1.0
    expected = policy_value(kernel, rewards, start, greedy, 0.8)
    assert model.at(parameters).greedy[0] == pytest.approx(expected, abs=1e-12)


def test_a_bandit_is_a_contextual_one_with_one_prompt():
    one = softmax_bandit(np.array([1.0, 2.0]))
    other = contextual_bandit(np.array([[1.0, 2.0]]))
    assert one.value(np.zeros(2)) == other.value(np.zeros(2)) == 1.5
    shared = np.random.default_rng(0).normal(size=(2, 3, 4))
    linear = contextual_bandit(np.zeros((2, 3)), parametrisation=shared)
    assert linear.size == 4
    np.testing.assert_allclose(linear.policy(np.zeros(4)), 1 / 3)


def test_extreme_parameters_stay_finite():
    model = softmax_bandit(np.array([1.0, 0.0]))
    outcomes = model.at(np.array([800.0, -800.0]))
    assert outcomes.value == 1.0
    assert estimator_moments(outcomes, "oblr", group_size=2).variance == 0.0


@pytest.mark.slow
def test_a_tree_of_vocabulary_eight_and_depth_six():
    """Its 262,144 responses have scores on 299,592 logits; J is known at the uniform policy."""
    model = token_tree(8, 6, lambda x, word: float(sum(word) % 8 == 0))
    assert (len(model.rewards), model.size) == (8**6, 8 * (8**6 - 1) // 7)
    outcomes = model.at(np.zeros(model.size))
    assert outcomes.value == pytest.approx(1 / 8, rel=1e-12)
    assert outcomes.scores.nnz == 8**6 * 6 * 8
    found = estimator_moments(outcomes, "rloo", group_size=4, covariance=False)
    np.testing.assert_allclose(found.bias, 0.0, atol=1e-15)
    # Six choices with ||e_a - pi||^2 = 7 / 8 each, whatever the reward; p = 1 / 8 succeed.
    signal = outcomes.gradient @ outcomes.gradient
    centred = estimator_moments(outcomes, "value", covariance=False)
    assert centred.variance == pytest.approx(6 * 7 / 8 * (1 / 8) * (7 / 8) - signal, rel=1e-9)
