"""Second-order models against matrices, automatic differentiation and exact gains."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.simplex import log_softmax
from rltheory.analysis.zoo import capo
from rltheory.tabular import evaluate_policy, occupancy_measure
from rltheory.tabular.generators import garnet


@st.composite
def batches(draw):
    """Tokens of a last layer with weights W (V, d), and a step (V, d)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    contexts, actions, width, count = (draw(st.integers(1, n)) for n in (3, 4, 3, 6))
    weights = rng.normal(size=(actions, width))
    features = rng.normal(size=(contexts, width))
    tokens = capo.Tokens(
        policy=np.exp(log_softmax(features @ weights.T)),
        features=features,
        contexts=rng.integers(0, contexts, count),
        actions=rng.integers(0, actions, count),
        advantages=rng.normal(size=count),
        weights=rng.dirichlet(np.ones(count)) if draw(st.booleans()) else None,
    )
    return tokens, weights, rng.normal(size=(actions, width))


def matrices(tokens):
    """Gradient, Hessian and Fisher matrix of vec(W), token by token, from their definitions."""
    rows, width = tokens.policy.shape[1], tokens.features.shape[1]
    size = rows * width
    gradient, hessian, fisher = np.zeros(size), np.zeros((size, size)), np.zeros((size, size))
    for share, c, a, advantage in zip(
        tokens.shares, tokens.contexts, tokens.actions, tokens.advantages, strict=True
    ):
        p, h = tokens.policy[c], tokens.features[c]
        score = np.eye(rows)[a] - p
        outer = np.outer(score, score)
        own = np.diag(p) - np.outer(p, p)
        gradient += share * advantage * np.kron(score, h)
        hessian += share * advantage * np.kron(outer - own, np.outer(h, h))
        fisher += share * np.kron(outer, np.outer(h, h))
    return gradient, hessian, fisher


@given(batches())
def test_models_are_the_quadratic_forms_of_the_matrices(batch):
    tokens, _, step = batch
    gradient, hessian, fisher = matrices(tokens)
    flat = step.ravel()
    found = capo.second_order(tokens, step)
    assert np.allclose(tokens.gradient().ravel(), gradient, atol=1e-13)
    assert found.gain == pytest.approx(gradient @ flat + flat @ hessian @ flat / 2, abs=1e-11)
    assert found.shift == pytest.approx(flat @ fisher @ flat / 2, abs=1e-11)
    parts = (tokens.shares[:, None, None] * tokens.gradients()).sum(axis=0)
    assert np.allclose(parts, tokens.gradient(), atol=1e-13)


def test_matrices_are_jaxs_derivatives_of_the_surrogate():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(5)
    features, weights = rng.normal(size=(2, 3)), rng.normal(size=(4, 3))
    policy = np.exp(log_softmax(features @ weights.T))
    contexts, actions = np.array([0, 1, 1, 0, 1]), np.array([3, 0, 2, 2, 2])
    tokens = capo.Tokens(
        policy=policy, features=features, contexts=contexts, actions=actions,
        advantages=rng.normal(size=5),
    )  # fmt: skip

    def surrogate(flat):
        logs = jax.nn.log_softmax(features @ flat.reshape(4, 3).T)[contexts, actions]
        return (tokens.advantages * jax.numpy.exp(logs) / policy[contexts, actions]).mean()

    gradient, hessian, _ = matrices(tokens)
    both = jax.jit(lambda flat: (jax.grad(surrogate)(flat), jax.hessian(surrogate)(flat)))
    found = both(weights.ravel())
    assert np.allclose(found[0], gradient, atol=1e-12)
    assert np.allclose(found[1], hessian, atol=1e-12)


@given(batches())
def test_shift_is_the_divergence_of_small_steps(batch):
    tokens, weights, step = batch
    contexts, actions = tokens.policy.shape
    every = capo.Tokens(
        policy=tokens.policy,
        features=tokens.features,
        contexts=np.repeat(np.arange(contexts), actions),
        actions=np.tile(np.arange(actions), contexts),
        advantages=np.zeros(contexts * actions),
        weights=tokens.policy.ravel() / contexts,
    )
    small = 1e-3 * step / np.linalg.norm(step)
    moved = log_softmax(tokens.features @ (weights + small).T)
    kl = (tokens.policy * (np.log(tokens.policy) - moved)).sum(axis=1).mean()
    scale = np.abs(tokens.features).max() ** 3 * 1e-9
    assert capo.second_order(every, small).shift == pytest.approx(kl, abs=10 * scale + 1e-15)


def test_fractions_stay_fractions():
    half, one = Fraction(1, 2), Fraction(1)
    tokens = capo.Tokens(
        policy=np.array([[half, half]], dtype=object),
        features=np.array([[one]], dtype=object),
        contexts=np.array([0]),
        actions=np.array([0]),
        advantages=np.array([one], dtype=object),
    )
    found = capo.second_order(tokens, np.array([[one], [Fraction(0)]], dtype=object))
    # x = 1/2, Var = 1/4: 1/2 + (1/4 - 1/4) / 2 and 1/8.
    assert found == (half, Fraction(1, 8))
    assert all(isinstance(part, Fraction) for part in found)


@given(batches(), st.floats(-2, 2), st.floats(0.0, 2.0))
def test_mask_keeps_what_passes_both_thresholds(batch, least, largest):
    tokens, _, _ = batch
    steps = tokens.gradients()
    mask = capo.token_mask(tokens, steps, least_gain=least, largest_shift=largest)
    for kept, step in zip(mask, steps, strict=True):
        gain, shift = capo.second_order(tokens, step)
        assert kept == (gain >= least and shift <= largest)


@given(batches())
def test_means_of_steps_keep_the_bound_of_the_shift(batch):
    tokens, _, step = batch
    steps = [step, *tokens.gradients()]
    shifts = [capo.second_order(tokens, s).shift for s in steps]
    mean = capo.second_order(tokens, np.mean(steps, axis=0)).shift
    assert mean <= max(shifts) * (1 + 1e-12) + 1e-15


def test_adam_is_the_textbook_recursion():
    rng = np.random.default_rng(0)
    first, second = np.zeros(3), np.zeros(3)
    for count in range(1, 5):
        gradient = rng.normal(size=3)
        found = capo.adam_step(
            gradient, rate=0.1, first=first, second=second, count=count, decays=(0.8, 0.9)
        )
        first = 0.8 * first + 0.2 * gradient
        second = 0.9 * second + 0.1 * gradient**2
        wanted = 0.1 * (first / (1 - 0.8**count)) / (np.sqrt(second / (1 - 0.9**count)) + 1e-8)
        assert np.allclose(found, wanted, rtol=1e-12)
    signs = capo.adam_step(np.array([1e3, -1e-3]), rate=0.1, epsilon=0.0)
    assert np.allclose(signs, [0.1, -0.1])


@pytest.mark.parametrize("seed", range(8))
def test_improvement_is_guaranteed_on_random_models(seed):
    rng = np.random.default_rng(seed)
    mdp = garnet(5, 3, 2, discount=0.8, seed=seed).to_dense()
    old, other = rng.dirichlet(np.ones(3), (2, 5))
    new = 0.9 * old + 0.1 * other
    values = evaluate_policy(mdp, old).values
    action_values = mdp.rewards + 0.8 * mdp.transitions @ values
    expected = (new * (action_values - values[:, None])).sum(axis=1)
    visited = occupancy_measure(mdp, old).sum(axis=1)
    bound = capo.guaranteed_improvement(
        gain=visited @ expected / 0.2,
        divergence=visited @ (old * np.log(old / new)).sum(axis=1),
        largest_advantage=np.abs(expected).max(),
        discount=0.8,
    )
    gain = mdp.initial @ (evaluate_policy(mdp, new).values - values)
    assert bound <= gain + 1e-9


def test_in_bandits_the_surrogate_is_the_gain():
    found = capo.guaranteed_improvement(
        gain=0.25, divergence=3.0, largest_advantage=1.0, discount=0.0
    )
    assert found == 0.25


def tokens_with(**changes):
    given = {
        "policy": np.array([[0.5, 0.5]]),
        "features": np.array([[1.0]]),
        "contexts": np.array([0]),
        "actions": np.array([1]),
        "advantages": np.array([1.0]),
    }
    return capo.Tokens(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": np.array([[0.5, 0.4]])}, r"policy\[0\] sums to 0.9"),
        ({"features": np.array([[1.0], [2.0]])}, "features has shape"),
        ({"features": np.array([[np.nan]])}, r"features\[0, 0\] is nan"),
        ({"contexts": np.array([1])}, "contexts holds 1; expected at most 0"),
        ({"contexts": np.array([-1])}, "contexts must be"),
        ({"actions": np.array([2])}, "actions holds 2; expected at most 1"),
        ({"actions": np.array([0, 1])}, "actions has shape"),
        ({"advantages": np.array([np.inf])}, r"advantages\[0\] is inf"),
        ({"weights": np.array([0.5])}, "weights sums to 0.5"),
        (
            {"contexts": np.zeros(0, int), "actions": np.zeros(0, int), "advantages": np.zeros(0)},
            "contexts must be",
        ),
    ],
)
def test_bad_tokens_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        tokens_with(**changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: capo.second_order(tokens_with(), np.zeros((1, 1))), "step has shape"),
        (lambda: capo.token_mask(tokens_with(), np.zeros((2, 2, 1))), "steps has shape"),
        (lambda: capo.adam_step(np.zeros(2), rate=-1.0), "rate is -1"),
        (
            lambda: capo.guaranteed_improvement(
                gain=0.0, divergence=0.0, largest_advantage=0.0, discount=1.0
            ),
            "discount is 1.0",
        ),
        (
            lambda: capo.guaranteed_improvement(
                gain=0.0, divergence=-1.0, largest_advantage=0.0, discount=0.5
            ),
            "divergence is -1.0",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
