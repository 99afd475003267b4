"""Weight functions: identities between estimators, token by token, in NumPy and in JAX."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from strategies_estimators import fractions

from rltheory.analysis.estimators.advantages import Group, standardised, token_standardised
from rltheory.analysis.estimators.gates import Gate, clip
from rltheory.analysis.estimators.weights import (
    DAPO,
    DR_GRPO,
    ESTIMATORS,
    GRPO,
    LEAVE_ONE_OUT,
    MEAN,
    OBLR,
    OPO,
    REINFORCE_PLUS_PLUS,
    TOKEN_AVERAGE,
    Estimator,
    estimator_of,
    grpo,
    reinforce,
)


@st.composite
def groups(draw, least=2, most=6):
    """Arrays (B, G) of what a group may hold, ties and equal rewards among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (3, draw(st.integers(least, most)))
    return Group(
        rewards=rng.integers(-2, 3, shape) / 2,
        squared_norms=rng.random(shape) * (rng.random(shape) < 0.8),
        lengths=rng.integers(1, 5, shape),
        value=rng.normal(size=(3, 1)),
        optimal=rng.normal(size=(3, 1)),
        greedy=rng.normal(size=(3, 1)),
    )


@pytest.mark.parametrize("name", ESTIMATORS)
@given(group=groups(), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_weights_follow_the_members_and_no_others(name, group, seed):
    """A permuted group has permuted weights, a group's weights do not see other groups."""
    estimator = ESTIMATORS[name]
    weights = estimator.weights(group)
    assert weights.shape == group.rewards.shape
    order = np.random.default_rng(seed).permutation(weights.shape[1])
    moved = Group(*(f[:, order] if f.shape[1] > 1 else f for f in group))
    np.testing.assert_allclose(estimator.weights(moved), weights[:, order], atol=1e-14)
    one = Group(*(f[1] for f in group))
    np.testing.assert_allclose(estimator.weights(one), weights[1], atol=1e-15)


@pytest.mark.parametrize("name", ESTIMATORS)
@given(group=groups(3, 3))
@settings(max_examples=5)
def test_weights_in_jax_are_those_in_numpy(name, group):
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    theirs = ESTIMATORS[name].weights(Group(*(jax.numpy.asarray(f) for f in group)))
    assert isinstance(theirs, jax.Array)
    np.testing.assert_allclose(theirs, ESTIMATORS[name].weights(group), atol=1e-14)


@pytest.mark.parametrize("name", [n for n, e in ESTIMATORS.items() if e.pairwise is not None])
@given(group=groups())
@settings(max_examples=15)
def test_the_pairwise_form_is_the_same_advantage(name, group):
    estimator, size = ESTIMATORS[name], group.rewards.shape[1]
    pair = estimator.pairwise(group, size)
    others = np.array(
        [[row[np.arange(size) != i].sum() for i in range(size)] for row in pair.others]
    )
    np.testing.assert_allclose(pair.own - others, estimator.advantages(group), atol=1e-14)


@given(group=groups())
def test_leave_one_out_is_the_centred_reward_enlarged(group):
    """A_RLOO = G / (G - 1) A_DrGRPO, an identity of the two baselines."""
    size = group.rewards.shape[1]
    np.testing.assert_allclose(
        LEAVE_ONE_OUT.weights(group), size / (size - 1) * DR_GRPO.weights(group), atol=1e-14
    )


@given(group=groups())
def test_what_sums_to_zero(group):
    """Centred weights in a group, and HAPO's token average times the lengths."""
    for estimator in (MEAN, DR_GRPO, replace(GRPO, normalisation="group")):
        np.testing.assert_allclose(estimator.weights(group).sum(axis=1), 0.0, atol=1e-14)
    for estimator in (TOKEN_AVERAGE, OPO, REINFORCE_PLUS_PLUS):
        total = (group.lengths * estimator.weights(group)).sum(axis=1)
        np.testing.assert_allclose(total, 0.0, atol=1e-14)


@given(group=groups())
def test_responses_of_one_length_make_normalisations_alike(group):
    even = group._replace(lengths=np.full(group.rewards.shape, 3))
    np.testing.assert_allclose(GRPO.weights(even), DAPO.weights(even), atol=1e-15)
    np.testing.assert_allclose(OPO.weights(even), MEAN.weights(even), atol=1e-15)
    flat = standardised()(even)
    np.testing.assert_allclose(token_standardised()(even), flat, atol=1e-14)
    alike = even._replace(squared_norms=np.full(even.rewards.shape, 0.7))
    np.testing.assert_allclose(OBLR.weights(alike), LEAVE_ONE_OUT.weights(alike), atol=1e-14)


def test_a_group_by_hand():
    """Rewards 1, 0, 0 of lengths 1, 2, 3: every normalisation spelt out."""
    group = Group(
        rewards=np.array([1.0, 0.0, 0.0]),
        squared_norms=np.array([1.0, 2.0, 5.0]),
        lengths=np.array([1, 2, 3]),
    )
    deviation = np.sqrt(1 / 3)
    advantages = np.array([2, -1, -1]) / 3 / deviation
    np.testing.assert_allclose(GRPO.weights(group), advantages / [3, 6, 9])
    np.testing.assert_allclose(DAPO.weights(group), advantages / 6)
    np.testing.assert_allclose(
        grpo(0.5, bessel=False).weights(group),
        np.array([2, -1, -1]) / 3 / (np.sqrt(2 / 9) + 0.5) / [3, 6, 9],
    )
    np.testing.assert_allclose(OBLR.weights(group), np.array([1, -1 / 6, -1 / 3]) / 3)
    np.testing.assert_allclose(OPO.weights(group), np.array([5 / 6, -1 / 6, -1 / 6]) / 3)
    # Tokens: 1 of reward one, 5 of reward zero.
    spread = np.sqrt(5) / 6
    expected = np.array([5, -1, -1]) / 6 / spread
    np.testing.assert_allclose(TOKEN_AVERAGE.weights(group), expected / 6)
    np.testing.assert_allclose(REINFORCE_PLUS_PLUS.weights(group), expected / 3)


@pytest.mark.parametrize("value", [0.1, -3.0, 1e150, 1e-300, 0.0])
def test_equal_rewards_have_no_advantage(value):
    """GRPO's 0 / 0 is 0, for any size of the rewards, though 0.1 * 3 / 3 is not 0.1."""
    for size in (1, 2, 3, 7):
        group = Group(np.full((2, size), value), lengths=np.full((2, size), 2))
        for estimator in (GRPO, grpo(1e-6), grpo(bessel=False), DAPO, TOKEN_AVERAGE):
            assert not np.any(estimator.weights(group))


@given(
    rewards=arrays.arrays(float, 4, elements=st.integers(-5, 5).map(float)),
    power=st.integers(-900, 400),
)
def test_standardised_rewards_have_no_unit(rewards, power):
    group, scaled = Group(rewards), Group(rewards * 2.0**power)
    for standard in (standardised(), standardised(bessel=True)):
        np.testing.assert_allclose(standard(scaled), standard(group), rtol=1e-14)


def test_a_dominant_score_does_not_spoil_what_is_left_out():
    """The others of the first member have norms of 1e-20: a difference of sums would be noise."""
    group = Group(rewards=np.array([1.0, 3.0, 5.0]), squared_norms=np.array([1.0, 1e-20, 3e-20]))
    np.testing.assert_allclose(OBLR.weights(group)[0], (1 - (3 + 3 * 5) / 4) / 3, rtol=1e-14)


def test_fractions_stay_fractions():
    group = Group(
        rewards=fractions([1, 0, 0]),
        squared_norms=fractions([0, 0, 5]),
        lengths=np.array([1, 2, 3], dtype=object),
        value=fractions([0.5]),
        optimal=fractions([0.25]),
        greedy=fractions([1]),
    )
    for estimator in ESTIMATORS.values():
        if estimator.rational:
            weights = estimator.weights(group)
            assert all(isinstance(w, (Fraction, int)) for w in weights), estimator.name
    third = Fraction(1, 3)
    assert reinforce(third).weights(group).tolist() == [(1 - third) / 3, -third / 3, -third / 3]
    # Without a score among the others their plain mean is left.
    assert OBLR.weights(group).tolist() == [third, 0, Fraction(-1, 6)]
    tokens = replace(MEAN, normalisation="token").weights(group)
    assert tokens.tolist() == [Fraction(2, 18), Fraction(-1, 18), Fraction(-1, 18)]


def test_names_are_found():
    assert all(estimator_of(name).name == name for name in ESTIMATORS)
    assert estimator_of(GRPO) is GRPO
    assert len({e.title for e in ESTIMATORS.values()}) == len(ESTIMATORS)
    assert all(e.source and isinstance(e.gate, Gate) for e in ESTIMATORS.values())


def test_what_makes_no_estimator_is_refused():
    with pytest.raises(ValueError, match="estimator is 'ppo'; expected one of reinforce, mean"):
        estimator_of("ppo")
    with pytest.raises(TypeError, match="estimator must be an Estimator or a name; got list"):
        estimator_of(["grpo"])
    for change, error, message in (
        ({"normalisation": "word"}, ValueError, "normalisation is 'word'; expected one of"),
        ({"scope": "world"}, ValueError, "scope is 'world'; expected one of"),
        ({"reads": ("reward",)}, ValueError, r"reads names \['reward'\]; expected names of"),
        ({"gate": clip}, TypeError, "gate must be a Gate; got function"),
    ):
        with pytest.raises(error, match=message):
            replace(GRPO, **change)
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match="baseline is"):
            reinforce(bad)
    with pytest.raises(ValueError, match=r"epsilon is -1\.0"):
        grpo(-1.0)
    with pytest.raises(ValueError, match="epsilon is nan"):
        token_standardised(np.nan)
    assert isinstance(ESTIMATORS["grpo"], Estimator)
