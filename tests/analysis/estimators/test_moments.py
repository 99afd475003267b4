"""Moments of clipped and standardised estimators by autodiff of their surrogates, and by sampling.

Every surrogate is written here as its paper has it, over tokens, and differentiated at a policy
other than the one that draws.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_estimators import KINDS, as_floats, make_model, models, rational_outcomes

from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.gates import TOKEN_RATIO, clip
from rltheory.analysis.estimators.group_sums import weighted_vectors
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import DR_GRPO, ESTIMATORS, GRPO, grpo, reinforce
from rltheory.analysis.estimators.whitening import whitened_moments

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)
jnp = jax.numpy


def standard(rewards, counts=None, *, bessel):
    """(r - mean) / std with each reward counted so often, zero where all agree."""
    counts = np.ones(len(rewards)) if counts is None else counts
    if np.ptp(rewards) == 0:
        return np.zeros(len(rewards))
    mean = (counts * rewards).sum() / counts.sum()
    squares = (counts * (rewards - mean) ** 2).sum()
    return (rewards - mean) / np.sqrt(squares / (counts.sum() - bessel))


def advantages(name, rewards, lengths):
    if name in ("grpo", "gspo", "sapo", "dapo", "cispo"):
        return standard(rewards, bessel=1)
    if name in ("token-average", "reinforce++"):
        return standard(rewards, lengths, bessel=0)
    assert name in ("dr-grpo", "dual", "unclipped")
    return rewards - rewards.mean()


def surrogate(name, logs, old, there, advantage):
    """The objective of a group: logs and old are log-probabilities of tokens (G, T)."""
    lengths = there.sum(axis=1)
    size = len(lengths)
    a = advantage[:, None]
    w = jnp.exp(logs - old)

    def clipped(low, high):
        return jnp.minimum(w * a, jnp.clip(w, 1 - low, 1 + high) * a) * there

    if name == "grpo":
        return (clipped(0.2, 0.2).sum(axis=1) / lengths).sum() / size
    if name == "dr-grpo":
        return clipped(0.2, 0.2).sum() / size
    if name == "reinforce++":
        return clipped(0.2, 0.2).sum() / size
    if name == "unclipped":
        return (w * a * there).sum() / size
    if name == "dual":
        both = jnp.where(a < 0, jnp.maximum(clipped(0.2, 0.2), 1.5 * a * there), clipped(0.2, 0.2))
        return both.sum() / size
    if name in ("dapo", "token-average"):
        return clipped(0.2, 0.28).sum() / lengths.sum()
    if name == "cispo":
        stopped = jax.lax.stop_gradient(jnp.minimum(w, 5.0))
        return (stopped * a * logs * there).sum() / lengths.sum()
    if name == "gspo":
        s = jnp.exp(((logs - old) * there).sum(axis=1) / lengths)
        bounded = jnp.clip(s, 1 - 3e-4, 1 + 4e-4)
        return jnp.minimum(s * advantage, bounded * advantage).sum() / size
    assert name == "sapo"
    tau = jnp.where(a > 0, 1.0, 1.05)
    f = 4 / tau * jax.nn.sigmoid(tau * (w - 1))
    return ((f * a * there).sum(axis=1) / lengths).sum() / size


def groups_of(model, drawn, size, batch):
    """Chances and members of all ordered groups, prompt after prompt or across all of them."""
    joint = model.weights[model.prompt_of] * drawn
    for x in range(len(model.weights)):
        if batch and x:
            return
        inside = range(len(drawn)) if batch else range(*model.starts[x : x + 2])
        members = np.array(list(itertools.product(inside, repeat=size)))
        chances = (joint if batch else drawn)[members].prod(axis=1)
        yield (1.0 if batch else model.weights[x]), chances, members


SPECIAL = {
    "dual": replace(DR_GRPO, gate=clip(0.2, dual=1.5)),
    "unclipped": replace(DR_GRPO, gate=TOKEN_RATIO),
}
NAMES = ("grpo", "dr-grpo", "dapo", "cispo", "gspo", "sapo", "token-average", "reinforce++")


@pytest.mark.parametrize("kind", [pytest.param("contextual", marks=pytest.mark.slow), "tree"])
@pytest.mark.parametrize("name", [*NAMES, *SPECIAL])
def test_moments_are_those_of_the_surrogates_gradient(name, kind):
    model = make_model(kind, "tabular", 5)
    estimator = SPECIAL.get(name) or ESTIMATORS[name]
    rng = np.random.default_rng(1)
    behaviour = rng.normal(size=model.size)
    rows, actions = np.maximum(model.rows, 0), np.maximum(model.actions, 0)
    there = model.rows >= 0
    old = jnp.log(model.policy(behaviour))[rows, actions]
    long = jnp.asarray(there)

    def objective(parameters, members, advantage):
        logs = jax.nn.log_softmax(parameters.reshape(model.parametrisation.rows, -1))
        tokens = logs[rows, actions][members]
        return surrogate(name, tokens, old[members], long[members], advantage)

    gradients = jax.jit(jax.vmap(jax.grad(objective), (None, 0, 0)))
    size = 3
    for parameters in (behaviour + 0.4 * rng.normal(size=model.size), behaviour):
        drawn = model.at(behaviour).probabilities
        mean = second = within = 0.0
        for weight, chances, members in groups_of(model, drawn, size, name == "reinforce++"):
            advantage = np.array(
                [advantages(name, model.rewards[g], model.lengths[g]) for g in members]
            )
            vectors = np.asarray(gradients(parameters, members, advantage))
            first = chances @ vectors
            squares = (chances[:, None] * vectors).T @ vectors
            mean, second = mean + weight * first, second + weight * squares
            within += weight * (np.trace(squares) - first @ first)
        covariance = second - np.outer(mean, mean)
        settings_ = {"parameters": parameters, "behaviour": behaviour, "group_size": size}
        found = estimator_moments(model, estimator, **settings_)
        np.testing.assert_allclose(found.mean, mean, atol=1e-12)
        np.testing.assert_allclose(found.covariance, covariance, atol=1e-12)
        assert found.within == pytest.approx(within, abs=1e-12)
        if parameters is behaviour:
            same = estimator_moments(model, estimator, parameters=parameters, group_size=size)
            np.testing.assert_allclose(same.mean, mean, atol=1e-12)
            np.testing.assert_allclose(same.covariance, covariance, atol=1e-12)


def plain_grpo(outcomes, size, epsilon, bessel):
    """Mean and trace of the covariance on one prompt, by all ordered groups."""
    mean, second = 0.0, 0.0
    for group in itertools.product(range(len(outcomes.rewards)), repeat=size):
        index = list(group)
        rewards = outcomes.rewards[index]
        chance = outcomes.probabilities[index].prod()
        spread = np.std(rewards, ddof=bessel)
        weight = np.zeros(size)
        if np.ptp(rewards):
            weight = (rewards - rewards.mean()) / (spread + epsilon) / size
        vector = weight @ outcomes.scores[index]
        mean, second = mean + chance * vector, second + chance * vector @ vector
    return mean, second - mean @ mean


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
@pytest.mark.parametrize(("epsilon", "bessel"), [(0.0, 1), (0.1, 0)])
def test_grpo_with_either_deviation_and_epsilon(size, epsilon, bessel):
    outcomes = make_model("bandit", "tabular", 2).at(np.array([0.3, -0.5, 0.1, 0.2]))
    found = estimator_moments(outcomes, grpo(epsilon, bessel=bool(bessel)), group_size=size)
    mean, variance = plain_grpo(outcomes, size, epsilon, bessel)
    np.testing.assert_allclose(found.mean, mean, atol=1e-13)
    assert found.variance == pytest.approx(variance, abs=1e-13)


@pytest.mark.parametrize("size", [2, 8, 64, 300])
def test_grpo_with_binary_rewards_has_a_sum_over_successes(size):
    """With k of G right the advantages are known: a binomial sum, for groups of any size."""
    from scipy.stats import binom

    p = 0.3
    outcomes = Outcomes(probabilities=[p, 1 - p], scores=[[1 - p], [-p]], rewards=[1.0, 0.0])
    k = np.arange(1, size)
    # sum_i A_i g_i / G: k times (1 - k / G) / std of score 1 - p and so on; scores differ by 1.
    deviation = np.sqrt(k * (size - k) / (size * (size - 1)))
    value = k * (1 - k / size) / deviation / size
    chance = binom.pmf(k, size, p)
    found = estimator_moments(outcomes, "grpo", group_size=size)
    assert found.mean[0] == pytest.approx(chance @ value, rel=1e-10)
    assert found.variance == pytest.approx(chance @ value**2 - (chance @ value) ** 2, rel=1e-8)


@given(outcomes=rational_outcomes(off_policy=False), size=st.integers(2, 5))
@settings(max_examples=15)
def test_the_own_sample_in_the_mean_shrinks_the_gradient(outcomes, size):
    """Unbiased: any baseline of the prompt and leave-one-out; own sample included: 1 - 1 / G."""
    gradient = outcomes.gradient
    for name in ("reinforce", "rloo", "value", "optimal", "coordinate", "oblr", "remax"):
        assert not np.any(estimator_moments(outcomes, name, group_size=size).bias)
    for name in ("mean", "dr-grpo"):
        found = estimator_moments(outcomes, name, group_size=size)
        assert (size * found.mean).tolist() == ((size - 1) * gradient).tolist()


@given(outcomes=rational_outcomes(off_policy=True), size=st.integers(2, 4))
@settings(max_examples=10)
def test_importance_sampling_keeps_them_unbiased(outcomes, size):
    for name in ("reinforce", "rloo", "value", "optimal", "coordinate", "oblr", "remax"):
        assert not np.any(estimator_moments(outcomes, name, group_size=size).bias)


@given(outcomes=rational_outcomes(off_policy=False), size=st.integers(2, 5))
@settings(max_examples=15)
def test_variance_of_one_prompts_samples(outcomes, size):
    """Result 2: the trace is (E |g|^2 (r - b)^2 - |grad J_x|^2) / G within, and d-weighted between.

    Leave-one-out adds the variance of the other G - 1 rewards in closed form.
    """
    o = outcomes
    squares, values = o.squared_norms, o.values[o.prompt_of]
    paid = o.probabilities * o.rewards
    gradients = [o.scores[a:b].T @ paid[a:b] for a, b in itertools.pairwise(o.starts)]
    gradients = np.stack(gradients)
    norms = (gradients * gradients).sum(axis=1)
    between = o.weights @ norms - o.gradient @ o.gradient
    for name, baseline in (("value", values), ("optimal", optimal_baselines(o)[o.prompt_of])):
        spread = o.given_prompt(squares * (o.rewards - baseline) ** 2)
        found = estimator_moments(o, name, group_size=size, prompts=3)
        assert found.within == o.weights @ (spread - norms) / (3 * size)
        assert found.between == between / 3
    found = estimator_moments(o, "rloo", group_size=size)
    spread = o.given_prompt(squares * (o.rewards - values) ** 2)
    noise = o.given_prompt((o.rewards - values) ** 2)
    extra = (o.given_prompt(squares) * noise + norms) / (size - 1)
    # Pairs of members see each other's reward: E a_i b_j h_i . a_j b_i h_j = |grad J_x|^2.
    assert found.within == o.weights @ (spread - norms + extra) / size
    assert found.between == between


@given(outcomes=rational_outcomes(off_policy=False), shift=st.integers(-3, 3))
@settings(max_examples=15)
def test_the_optimal_baseline_beats_others_by_a_parabola(outcomes, shift):
    """Result 3: a baseline off by c costs c^2 E |g|^2 a sample, exactly."""
    o = outcomes.as_one_prompt()
    (best,) = optimal_baselines(o)
    least = estimator_moments(o, reinforce(best)).variance
    off = estimator_moments(o, reinforce(best + shift)).variance
    assert off - least == shift**2 * (o.probabilities @ o.squared_norms)
    assert estimator_moments(o, "optimal").variance == least
    assert estimator_moments(o, "coordinate").variance <= least


@given(parameters=st.lists(st.integers(1, 9), min_size=2, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_norms_of_softmax_scores(parameters, seed):
    """Result 7: |g|^2 given y is 1 - 2 pi_y + |pi|^2, its mean 1 - |pi|^2."""
    from rltheory.analysis.estimators.sampling_model import softmax_bandit

    rewards = np.random.default_rng(seed).normal(size=len(parameters))
    model = softmax_bandit(rewards)
    pi = np.array(parameters) / sum(parameters)
    o = model.at(np.log(pi))
    square = pi @ pi
    np.testing.assert_allclose(o.squared_norms, 1 - 2 * pi + square, atol=1e-14)
    assert o.probabilities @ o.squared_norms == pytest.approx(1 - square, abs=1e-14)
    np.testing.assert_allclose(o.gradient, pi * (rewards - pi @ rewards), atol=1e-14)
    value = estimator_moments(o, "value").variance
    expected = pi @ ((1 - 2 * pi + square) * (rewards - pi @ rewards) ** 2)
    assert value == pytest.approx(expected - o.gradient @ o.gradient, abs=1e-13)


@given(drawn=models(kinds=("contextual", "tree")), shift=st.sampled_from([1e3, 1e6]))
@settings(max_examples=10)
def test_a_constant_added_to_all_rewards_costs_no_digits(drawn, shift):
    model, parameters, _ = drawn
    o = model.at(parameters)
    # Dyadic rewards, so that adding the constant does not round them.
    o = replace(o, rewards=np.round(4 * o.rewards) / 4, greedy=None)
    moved = replace(o, rewards=o.rewards + shift)
    for name in ("rloo", "mean", "value", "oblr", "grpo"):
        a, b = (estimator_moments(each, name, group_size=3) for each in (o, moved))
        np.testing.assert_allclose(a.mean, b.mean, atol=3e-15 * shift)
        np.testing.assert_allclose(a.covariance, b.covariance, atol=3e-15 * shift)


@given(drawn=models(), size=st.integers(3, 40))
@settings(max_examples=10)
def test_two_methods_agree_in_groups_beyond_enumeration_by_hand(drawn, size):
    model, parameters, behaviour = drawn
    o = model.at(parameters, behaviour=behaviour)
    # Few different rewards, so that large groups can be counted.
    o = replace(o, rewards=(o.rewards > 0) * 1.0, greedy=None)
    for name in ("rloo", "mean"):
        closed = estimator_moments(o, name, group_size=size, prompts=2)
        counted = estimator_moments(o, name, group_size=size, prompts=2, method="enumerate")
        assert (closed.method, counted.method) == ("closed", "enumerate")
        np.testing.assert_allclose(closed.mean, counted.mean, atol=1e-12)
        scale = 1.0 + np.abs(closed.covariance).max()
        np.testing.assert_allclose(
            closed.covariance / scale, counted.covariance / scale, atol=1e-12
        )


def test_a_model_and_its_outcomes_have_the_same_moments():
    model = make_model("tree", "network", 1)
    first, second = np.random.default_rng(0).normal(size=(2, model.size))
    settings_ = {"group_size": 2, "prompts": 3}
    a = estimator_moments(model, "rloo", parameters=first, behaviour=second, **settings_)
    b = estimator_moments(model.at(first, behaviour=second), "rloo", **settings_)
    assert np.array_equal(a.covariance, b.covariance)
    assert (
        estimator_moments(model.at(first), GRPO, **settings_, covariance=False).covariance is None
    )


def test_signal_to_noise():
    outcomes = make_model("bandit", "tabular", 2).at(np.zeros(4))
    found = estimator_moments(outcomes, "rloo", group_size=2)
    expected = found.gradient @ found.gradient / np.trace(found.covariance)
    assert found.signal_to_noise == pytest.approx(expected)
    sure = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[2.0])
    assert estimator_moments(sure, "reinforce").signal_to_noise == np.inf


@pytest.mark.parametrize("off_policy", [False, True])
def test_whitening_by_the_batch(off_policy):
    """REINFORCE++ with baseline by all batches of two prompts with two or three responses."""
    model = make_model("contextual", "tabular", 1)
    rng = np.random.default_rng(2)
    parameters = rng.normal(size=model.size)
    behaviour = parameters + 0.4 * rng.normal(size=model.size) if off_policy else None
    o = model.at(parameters, behaviour=behaviour)
    for size, prompts in ((2, 2), (3, 1)):
        groups = [
            (o.weights[x] * o.drawn[list(g)].prod(), list(g))
            for x in range(3)
            for g in itertools.product(range(3 * x, 3 * x + 3), repeat=size)
        ]
        mean, second = 0.0, 0.0
        for batch in itertools.product(groups, repeat=prompts):
            chance = np.prod([c for c, _ in batch])
            centred = [o.rewards[g] - o.rewards[g].mean() for _, g in batch]
            scale = np.sqrt(np.mean(np.square(centred)))
            vector = np.zeros(model.size)
            for (_, g), advantages_ in zip(batch, centred, strict=True):
                for i, a in zip(g, advantages_, strict=True):
                    w = o.ratios[i]
                    clipped = w > 1.2 if a > 0 else w < 0.8
                    if scale > 0 and not clipped:
                        vector += w * a / scale * o.scores[i] / (size * prompts)
            mean, second = mean + chance * vector, second + chance * np.outer(vector, vector)
        found = whitened_moments(o, group_size=size, prompts=prompts)
        np.testing.assert_allclose(found.mean, mean, atol=1e-13)
        np.testing.assert_allclose(found.covariance, second - np.outer(mean, mean), atol=1e-13)
        np.testing.assert_allclose(found.gradient, o.gradient)


def weights_of(name, r, norms, lengths, value, optimal, greedy):
    """Weights of groups (B, G) by formulas of their own; norms as importance sampling has them."""
    size = r.shape[1]
    off = 1 - np.eye(size)

    def standard(counts, bessel):
        mean = (counts * r).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
        squares = (counts * (r - mean) ** 2).sum(axis=1, keepdims=True)
        deviation = np.sqrt(squares / (counts.sum(axis=1, keepdims=True) - bessel))
        # Rewards are multiples of 1/2: smaller deviations are rounding.
        return np.where(deviation > 1e-6, (r - mean) / np.maximum(deviation, 1e-6), 0.0)

    def left_out(counts):
        return np.einsum("bj,ij->bi", counts * r, off) / np.einsum("bj,ij->bi", counts, off)

    def own(counts):
        return (counts * r).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)

    ones = np.ones_like(r)
    tokens = lengths.sum(axis=1, keepdims=True)
    return {
        "reinforce": lambda: r / size,
        "mean": lambda: (r - own(ones)) / size,
        "dr-grpo": lambda: (r - own(ones)) / size,
        "rloo": lambda: (r - left_out(ones)) / size,
        "value": lambda: (r - value) / size,
        "optimal": lambda: (r - optimal) / size,
        "remax": lambda: (r - greedy) / size,
        "coordinate": lambda: ones / size,
        "oblr": lambda: (r - left_out(norms)) / size,
        "oblr-own": lambda: (r - own(norms)) / size,
        "opo": lambda: (r - own(lengths)) / size,
        "grpo": lambda: standard(ones, 1) / lengths / size,
        "sapo": lambda: standard(ones, 1) / lengths / size,
        "gspo": lambda: standard(ones, 1) / size,
        "dapo": lambda: standard(ones, 1) / tokens,
        "cispo": lambda: standard(ones, 1) / tokens,
        "token-average": lambda: standard(lengths, 0) / tokens,
        "reinforce++": lambda: standard(lengths, 0) / size,
    }[name]()


SAMPLES = 10**6
SIZE = 4


@pytest.mark.slow
@pytest.mark.parametrize("off_policy", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_sampling_agrees(name, kind, off_policy):
    """A million groups drawn and weighed: mean and trace within four standard errors."""
    model = make_model(kind, "tabular", 5)
    rng = np.random.default_rng([SIZE, *name.encode(), len(kind), off_policy])
    parameters = rng.normal(size=model.size)
    behaviour = parameters + 0.3 * rng.normal(size=model.size) if off_policy else None
    o = model.at(parameters, behaviour=behaviour)
    o = replace(o, rewards=np.round(2 * o.rewards) / 2)
    estimator = ESTIMATORS[name]
    members = drawn_groups(o, rng, estimator.scope == "batch")
    x = o.prompt_of[members[:, :1]]
    known = optimal_baselines(o)[x] if name == "optimal" else None
    fields = (o.rewards, o.ratios**2 * o.squared_norms, o.lengths)
    weights = weights_of(
        name, *(f[members] for f in fields), o.values[x], known, o.greedy_rewards()[x]
    )
    # What gates make of scores is tested by autodiff; here it is summed over what is drawn.
    tables = weighted_vectors(estimator, o)
    vectors = 0.0
    for i in range(SIZE):
        chosen = tables[0][members[:, i]]
        if len(tables) == 2:
            chosen = np.where(weights[:, i, None] >= 0, chosen, tables[1][members[:, i]])
        vectors = vectors + weights[:, i, None] * chosen
    exact = estimator_moments(o, estimator, group_size=SIZE)
    assert np.all(np.abs(vectors.mean(axis=0) - exact.mean) <= 4 * errors(vectors) + 1e-15)
    spread = ((vectors - exact.mean) ** 2).sum(axis=1)
    assert abs(spread.mean() - exact.variance) <= 4 * errors(spread) + 1e-15


def errors(samples):
    """Standard errors of the mean over the first axis."""
    return samples.std(axis=0, ddof=1) / np.sqrt(len(samples))


def drawn_groups(o, rng, batch):
    """Members (SAMPLES, SIZE) of groups of one prompt each, or across prompts."""
    if batch:
        joint = o.weights[o.prompt_of] * o.drawn
        return rng.choice(len(joint), p=joint / joint.sum(), size=(SAMPLES, SIZE))
    prompt = rng.choice(len(o.weights), p=o.weights, size=SAMPLES)
    members = np.empty((SAMPLES, SIZE), dtype=int)
    for x in range(len(o.weights)):
        a, b = o.starts[x : x + 2]
        p = o.drawn[a:b] / o.drawn[a:b].sum()
        here = prompt == x
        members[here] = a + rng.choice(b - a, p=p, size=(here.sum(), SIZE))
    return members


@given(outcomes=rational_outcomes(off_policy=False))
@settings(max_examples=10)
def test_scaling_rewards_scales_moments_and_leaves_grpo_alone(outcomes):
    o = as_floats(outcomes)
    for factor in (2.0**-600, 2.0**400):
        scaled = replace(o, rewards=factor * o.rewards, greedy=factor * o.greedy)
        for name, power in (("rloo", 1), ("grpo", 0), ("dapo", 0)):
            a = estimator_moments(o, name, group_size=3)
            b = estimator_moments(scaled, name, group_size=3)
            np.testing.assert_allclose(b.mean, factor**power * a.mean, rtol=1e-12, atol=1e-300)
