"""BAPO: the moving bounds, what they do to the share, and both forms of the entropy-clip rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis import softmax_bandit, token_tree
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo import bapo, entropy

seeds = st.integers(0, 2**32 - 1)


def batch_of(seed, size=6):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(size)), np.exp(rng.normal(size=size)), rng.normal(size=size)


@given(seeds, st.floats(0.1, 0.9), st.floats(1.1, 3.0))
def test_share_is_the_sum_over_single_tokens(seed, low, high):
    masses, ratios, advantages = batch_of(seed)
    gains = losses = 0.0
    for m, w, a in zip(masses, ratios, advantages, strict=True):
        surrogate = min(w * a, float(np.clip(w, low, high)) * a)
        gains, losses = (
            (gains + m * surrogate, losses) if a > 0 else (gains, losses - m * surrogate)
        )
    found = bapo.positive_share(masses, ratios, advantages, low=low, high=high)
    assert found == pytest.approx(gains / (gains + losses) if gains + losses else 1.0)


@given(seeds, st.floats(0.1, 0.5), st.floats(0.0, 0.5), st.floats(1.1, 2.0), st.floats(0.0, 1.0))
def test_share_rises_with_the_upper_bound_and_falls_with_the_lower(seed, low, up, high, more):
    masses, ratios, advantages = batch_of(seed)
    share = [
        bapo.positive_share(masses, ratios, advantages, low=a, high=b)
        for a, b in ((low, high), (low, high + more), (low + up, high))
    ]
    assert share[1] >= share[0] - 1e-12
    assert share[2] <= share[0] + 1e-12


@given(seeds)
def test_the_loop_ends_by_its_own_rule(seed):
    masses, ratios, advantages = batch_of(seed)
    rule = bapo.AdaptiveClip(share=0.6)
    found = bapo.adapt(masses, ratios, advantages, rule)
    low, high = rule.low, rule.high
    while (
        bapo.positive_share(masses, ratios, advantages, low=low, high=high) < rule.share
        and round(low + rule.low_step, 9) <= rule.low_limit
    ):
        if round(high + rule.high_step, 9) <= rule.high_limit:
            high += rule.high_step
        else:
            low += rule.low_step
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.met == (found.share >= rule.share)
    assert found.share == bapo.positive_share(
        masses, ratios, advantages, low=found.low, high=found.high
    )


def test_on_policy_bounds_do_not_matter_and_an_unmet_share_runs_to_the_limits():
    masses, ratios, advantages = np.array([0.2, 0.8]), np.ones(2), np.array([1.0, -1.0])
    found = bapo.adapt(masses, ratios, advantages, bapo.AdaptiveClip())
    assert not found.met
    assert found == pytest.approx((0.9, 3.0, 0.2, False))
    centred = bapo.adapt(masses, ratios, np.array([0.8, -0.2]), bapo.AdaptiveClip())
    assert centred == pytest.approx((0.6, 1.2, 0.5, True))


def test_without_advantages_the_share_is_met():
    found = bapo.adapt([0.5, 0.5], [1.0, 1.0], [0.0, 0.0], bapo.AdaptiveClip())
    assert found == (0.6, 1.2, 1.0, True)


@given(seeds, st.integers(2, 6))
def test_rules_are_slopes_of_the_entropy(seed, actions):
    rng = np.random.default_rng(seed)
    logits, gains = rng.normal(size=actions), rng.normal(size=actions)
    kept = rng.random(actions) < 0.7
    policy = softmax(logits)
    natural = gains * kept + rng.normal()
    plain = policy * (gains * kept - policy @ (gains * kept))
    step = 1e-5
    for direction, rule in (
        (natural, bapo.entropy_clip_rule),
        (plain, bapo.plain_entropy_clip_rule),
    ):
        ends = [entropy.shannon_entropy(softmax(logits + s * step * direction)) for s in (1, -1)]
        want = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose(rule(policy, gains, kept), want, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(("likely", "good"), [(True, True), (False, False), (True, False)])
def test_single_tokens_move_the_entropy_as_the_paper_says(likely, good):
    policy = np.array([0.7, 0.2, 0.1])
    gains = np.zeros(3)
    gains[0 if likely else 2] = 1.0 if good else -1.0
    kept = np.ones(3, dtype=bool)
    falls = likely == good
    assert (bapo.entropy_clip_rule(policy, gains, kept) < 0) == falls


@given(seeds)
def test_gradient_is_the_slope_of_the_surrogate(seed):
    rng = np.random.default_rng(seed)
    model = token_tree(2, 2, rng.normal(size=(1, 3)), end_token=0)
    behaviour = rng.normal(size=model.size)
    point = behaviour + 0.5 * rng.normal(size=model.size)
    advantages = rng.normal(size=3)
    gradient, bounds = bapo.balanced_gradient(
        model, point, behaviour, advantages, bapo.AdaptiveClip()
    )
    drawn = model.at(behaviour)
    tokens = drawn.probabilities @ model.lengths

    def surrogate(parameters):
        ratios = model.at(parameters, behaviour=behaviour).choices.ratios
        clipped = np.clip(ratios, bounds.low, bounds.high)
        terms = np.minimum(ratios * advantages[:, None], clipped * advantages[:, None])
        return drawn.probabilities @ np.where(model.rows >= 0, terms, 0.0).sum(axis=1) / tokens

    direction = rng.normal(size=model.size)
    step = 1e-6
    want = (surrogate(point + step * direction) - surrogate(point - step * direction)) / (2 * step)
    np.testing.assert_allclose(gradient @ direction, want, rtol=1e-4, atol=1e-7)


def test_on_policy_the_gradient_is_the_policy_gradient():
    model = softmax_bandit(np.array([1.0, 0.0, 0.0]))
    point = np.array([0.2, -0.3, 0.5])
    gains = model.rewards - model.value(point)
    gradient, _ = bapo.balanced_gradient(model, point, point, gains, bapo.AdaptiveClip())
    np.testing.assert_allclose(gradient, model.at(point).gradient, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bapo.AdaptiveClip(low=0.95), "low is 0.95"),
        (lambda: bapo.AdaptiveClip(low_step=0.0), "low_step is 0.0"),
        (lambda: bapo.AdaptiveClip(high=0.0), "high is 0.0"),
        (lambda: bapo.AdaptiveClip(share=1.5), "share is 1.5"),
        (lambda: bapo.adapt([0.5], [1.0, 1.0], [0.0], bapo.AdaptiveClip()), "ratios has shape"),
        (lambda: bapo.adapt([0.5], [-1.0], [0.0], bapo.AdaptiveClip()), "ratios has the entry -1"),
        (lambda: bapo.adapt([0.5], [1.0], [np.nan], bapo.AdaptiveClip()), "advantages.0. is nan"),
        (lambda: bapo.entropy_clip_rule([0.5, 0.5], [1.0, 0.0], [1, 0]), "expected booleans"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
