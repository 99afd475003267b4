"""Token averages against repeated tokens, entropies and clips by hand, normalisations exactly."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import ESTIMATORS, GRPO, LEAVE_ONE_OUT, VALUE
from rltheory.analysis.zoo import hapo


@st.composite
def groups(draw):
    """Rewards (G,) and lengths (G,) of a group."""
    size = draw(st.integers(2, 6))
    rewards = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), min_size=size, max_size=size))
    lengths = draw(st.lists(st.integers(1, 40), min_size=size, max_size=size))
    return Group(np.array(rewards), lengths=np.array(lengths))


@st.composite
def levels(draw):
    """Relative entropies h, ratios and advantages of tokens, (n,) each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 20))
    h = np.round(rng.uniform(-1, 1, n), draw(st.integers(0, 3)))
    return h, rng.uniform(0.5, 1.6, n), rng.normal(size=n)


@given(groups())
def test_advantages_standardise_all_tokens_of_the_group(group):
    tokens = np.repeat(group.rewards, group.lengths)
    found = hapo.token_advantages(group)
    if np.ptp(tokens) == 0:
        assert np.all(found == 0)
        return
    wanted = (group.rewards - tokens.mean()) / tokens.std()
    if np.abs(wanted).max() >= hapo.LARGEST_ADVANTAGE * (1 + 1e-12):
        wanted = (group.rewards - group.rewards.mean()) / group.rewards.std(ddof=1)
    elif np.abs(wanted).max() > hapo.LARGEST_ADVANTAGE * (1 - 1e-12):
        return
    else:
        assert np.repeat(found, group.lengths).sum() == pytest.approx(0, abs=1e-9)
    assert np.allclose(found, wanted, atol=1e-12)


def test_a_wild_group_falls_back_on_responses():
    # One short response among many tokens: (1 - 1/101) / sqrt(1/101 * 100/101) = 10.
    group = Group(np.array([1.0, 0.0]), lengths=np.array([1, 100]))
    assert np.array_equal(hapo.token_advantages(group), GRPO.advantages(Group(group.rewards)))
    tame = Group(np.array([1.0, 0.0]), lengths=np.array([10, 100]))
    assert hapo.token_advantages(tame)[0] == pytest.approx(np.sqrt(10))


@given(groups())
def test_many_groups_at_once_are_each_alone(group):
    both = Group(
        np.stack([group.rewards, group.rewards[::-1]]),
        lengths=np.stack([group.lengths, group.lengths[::-1]]),
    )
    found = hapo.token_advantages(both)
    assert np.allclose(found[0], hapo.token_advantages(group), atol=1e-12)
    assert np.allclose(found[1], found[0][::-1], atol=1e-12)


def test_equal_lengths_are_the_group_mean():
    rewards = np.array([0.0, 1.0, 1.0])
    found = hapo.TOKEN_MEAN.weights(Group(rewards, lengths=np.array([4, 4, 4])))
    assert np.allclose(found, (rewards - 2 / 3) / 12)


def brute_mean(outcomes, size, weigh):
    """The mean of sum_i weigh(group)_i g_i over all ordered groups of a single prompt."""
    total = np.zeros(outcomes.scores.shape[1])
    for group in product(range(len(outcomes.rewards)), repeat=size):
        members = list(group)
        weights = weigh(outcomes.rewards[members], outcomes.lengths[members])
        total += outcomes.probabilities[members].prod() * (weights @ outcomes.scores[members])
    return total


def tree(seed, depth=3):
    rng = np.random.default_rng(seed)
    model = token_tree(2, depth, rng.integers(0, 4, (1, depth + 1)).astype(float), end_token=0)
    return model.at(rng.normal(size=model.size))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_normalisations_are_those_of_their_names(seed, size):
    outcomes = tree(seed)
    divisors = {
        "group": lambda n: np.full(len(n), len(n)),
        "response": lambda n: len(n) * n,
        "token": lambda n: np.full(len(n), n.sum()),
    }
    for name, divisor in divisors.items():
        found = estimator_moments(outcomes, hapo.aggregated(name), group_size=size)
        wanted = brute_mean(
            outcomes, size, lambda r, n, d=divisor: (r - outcomes.value) / d(n).astype(float)
        )
        assert np.allclose(found.mean, wanted, atol=1e-13), name


@given(st.integers(0, 2**32 - 1))
def test_only_the_group_keeps_the_mean_of_leave_one_out(seed):
    outcomes = tree(seed)
    found = estimator_moments(outcomes, hapo.aggregated("group", LEAVE_ONE_OUT), group_size=2)
    assert np.allclose(found.mean, outcomes.gradient, atol=1e-13)


@given(st.integers(0, 2**32 - 1))
def test_token_means_are_those_of_all_groups(seed):
    outcomes = tree(seed)

    def weigh(rewards, lengths):
        tokens = np.repeat(rewards, lengths)
        return (rewards - tokens.mean()) / len(tokens)

    found = estimator_moments(outcomes, hapo.TOKEN_MEAN, group_size=3)
    assert np.allclose(found.mean, brute_mean(outcomes, 3, weigh), atol=1e-13)
    full = estimator_moments(outcomes, hapo.HAPO, group_size=2)
    wanted = brute_mean(
        outcomes,
        2,
        lambda r, n: hapo.token_advantages(Group(r, lengths=n)) / n.sum(),
    )
    assert np.allclose(full.mean, wanted, atol=1e-13)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_length_weights_give_the_means(seed, size):
    outcomes = tree(seed)
    away = outcomes.rewards - outcomes.value
    for name in ("group", "response", "token"):
        weights = hapo.length_weights(outcomes.probabilities, outcomes.lengths, name, size)
        found = estimator_moments(outcomes, hapo.aggregated(name), group_size=size)
        assert np.allclose((outcomes.probabilities * away * weights) @ outcomes.scores, found.mean)


def cosine(a, b):
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_large_groups_mend_the_token_mean_but_not_the_response_mean():
    outcomes = tree(3)
    turned = {
        (name, size): 1
        - cosine(
            estimator_moments(outcomes, hapo.aggregated(name), group_size=size).mean,
            outcomes.gradient,
        )
        for name in ("response", "token")
        for size in (1, 4, 16)
    }
    assert turned["response", 16] == pytest.approx(turned["response", 1], abs=1e-12)
    assert turned["token", 1] == pytest.approx(turned["response", 1], abs=1e-12)
    assert turned["token", 16] < turned["token", 4] / 4 < turned["token", 1] / 8


def test_registered_estimators_are_left_alone():
    assert hapo.aggregated("token").pairwise is None
    assert VALUE.pairwise is not None
    assert VALUE.normalisation == ESTIMATORS["value"].normalisation == "group"


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_relative_entropies_span_minus_one_to_one(seed, quantile):
    rng = np.random.default_rng(seed)
    entropies = np.exp(rng.normal(size=rng.integers(1, 9)))
    h = hapo.relative_entropies(entropies, quantile=quantile)
    pivot = np.quantile(np.log(entropies), quantile)
    assert np.all((h > 0) == (np.log(entropies) > pivot))
    assert np.all(np.diff(h[np.argsort(entropies)]) >= 0)
    if np.any(h > 0):
        assert h.max() == 1
    if np.any(h < 0):
        assert h.min() == -1


def test_equal_entropies_are_neutral():
    assert np.array_equal(hapo.relative_entropies([0.5, 0.5]), [0, 0])


@given(levels())
def test_temperatures_and_clips_by_hand(level):
    h, _, _ = level
    assert np.allclose(hapo.temperatures(h, base=2.0, strength=0.1), 2 * (1 + 0.1 * h))
    band = hapo.clip_band(h, low=0.2, high=0.3, strength=0.5)
    for i, x in enumerate(h):
        assert band.low[i] == pytest.approx(0.2 * (1 - 0.5 * x) if x <= 0 else 0.2)
        assert band.high[i] == pytest.approx(0.3 * (1 + 0.5 * x) if x > 0 else 0.3)


@given(levels())
def test_redistribution_by_hand_keeps_signs(level):
    h, ratios, advantages = level
    found = hapo.redistributed(advantages, h, ratios, low=0.2, high=0.28, strength=0.5)
    for x, w, a, b in zip(h, ratios, advantages, found, strict=True):
        neutral = 0.9 < w < 1.14
        changed = (x > 0) != neutral
        assert b == pytest.approx(a * (1 + 0.5 * x) if changed else a)
    assert np.all(np.sign(found) == np.sign(advantages))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hapo.aggregated("sequence"), "normalisation is 'sequence'"),
        (lambda: hapo.length_weights([1.0], [1], "sequence", 1), "normalisation is 'sequence'"),
        (lambda: hapo.length_weights([0.5], [1], "token", 1), "probabilities sums to 0.5"),
        (lambda: hapo.length_weights([1.0], [0], "token", 1), "lengths must be"),
        (lambda: hapo.length_weights([1.0], [1, 2], "token", 1), "lengths has shape"),
        (lambda: hapo.length_weights([1.0], [1], "token", 0), "group_size is 0"),
        (lambda: hapo.relative_entropies([1.0, 0.0]), "entropies must be"),
        (lambda: hapo.relative_entropies([]), "entropies must be"),
        (lambda: hapo.relative_entropies([1.0, np.inf]), r"entropies\[1\] is inf"),
        (lambda: hapo.relative_entropies([1.0], quantile=2.0), "quantile is 2.0"),
        (lambda: hapo.temperatures([1.5]), "h holds 1.5"),
        (lambda: hapo.temperatures([np.nan]), r"h\[0\] is nan"),
        (lambda: hapo.temperatures([0.5], strength=1.0), "strength is 1.0"),
        (lambda: hapo.clip_band([0.5], low=2.0), "low is 2.0"),
        (lambda: hapo.redistributed([1.0], [0.5, 0.5], [1.0, 1.0]), "advantages has shape"),
        (lambda: hapo.redistributed([1.0], [0.5], [np.nan]), r"ratios\[0\] is nan"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
