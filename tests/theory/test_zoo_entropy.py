"""What the records on entropy methods compute with, against sums made another way."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln
from scipy.stats import entropy as scipy_entropy

from rltheory.analysis import softmax_bandit, token_tree
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo import aepo, bapo, empg, entropy, epo
from rltheory.theory import exact
from rltheory.theory.records import zoo_aepo, zoo_bapo, zoo_empg, zoo_epo
from rltheory.theory.sides import to_bounds
from rltheory.theory.tape import Tape

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(2, 5)


def middle(side):
    bounds = to_bounds(side)
    return (bounds.lower + bounds.upper) / 2


@pytest.mark.parametrize("module", [zoo_aepo, zoo_bapo, zoo_empg, zoo_epo])
def test_records_are_named_after_their_method(module):
    method = module.__name__.rpartition("_")[2]
    assert {theorem.id.split("/")[0] for theorem in module.THEOREMS} == {method}


# Samplers.


@given(seeds, st.integers(1, 9))
def test_code_lengths_are_those_of_a_distribution(seed, count):
    lengths = zoo_empg.code_lengths(Tape(seed=seed), count)
    assert len(lengths) == count
    assert zoo_empg.powers(lengths).sum() == 1


# AEPO.


@given(seeds, sizes)
def test_slopes_are_those_of_the_module(seed, size):
    instance = zoo_aepo.sample_binary(Tape(seed=seed), size)
    policy = (instance.weights / instance.weights.sum()).astype(float)
    rewards = instance.rewards.astype(float)
    want = []
    for inverse in instance[2:]:
        logs = float(inverse) * np.log(policy)
        masses = softmax(logs) * rewards
        want.append(entropy.entropy_slope(policy, masses - policy * masses.sum()))
    left, right = zoo_aepo.rising_sides(instance)
    np.testing.assert_allclose(middle(left), [want[0], 0, want[1]], atol=1e-13)
    np.testing.assert_allclose(middle(right), [0, want[1], want[2]], atol=1e-13)


@given(seeds, sizes)
def test_the_remainder_is_that_of_the_term(seed, size):
    instance = zoo_aepo.sample_tempered(Tape(seed=seed), size)
    logits = np.log(instance.weights.astype(float))
    policy = softmax(logits)
    heat = float(1 / instance.inverse)
    term = aepo.tempered_term(softmax_bandit(np.ones(size)), logits, heat)
    rest = term - (1 - 1 / heat) * entropy.shannon_gradient(policy)
    left, _ = zoo_aepo.remainder_sides(instance)
    np.testing.assert_allclose(middle(left), np.abs(rest).sum(), atol=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6), seeds)
def test_the_constant_of_the_remainder(points, seed):
    # E|Y^2 - Var Y| is at most s^2 / (3 sqrt 3) on an interval of length s.
    x = np.array([0.0, 1.0, *points])
    p = np.random.default_rng(seed).dirichlet(np.full(len(x), 0.5))
    away = (x - p @ x) ** 2
    assert p @ np.abs(away - p @ away) <= 1 / (3 * 3**0.5) + 1e-12
    p = np.array([0.5 - 1 / 12**0.5, 0.5 + 1 / 12**0.5])
    away = (np.array([0, 1]) - p[1]) ** 2
    assert p @ np.abs(away - p @ away) == pytest.approx(1 / (3 * 3**0.5))


@given(seeds, sizes)
def test_one_right_answer_gives_the_score_of_that_answer(seed, size):
    instance = zoo_aepo.sample_rooted(Tape(seed=seed), size)
    logits = instance.power * np.log(instance.roots.astype(float))
    rewards = instance.rewards.astype(float)
    answer = rewards.argmax()
    left, right = zoo_aepo.one_right_sides(instance)
    chances = []
    for power in (instance.first, instance.second):
        heat = instance.power / power
        term = aepo.tempered_term(softmax_bandit(rewards), logits, heat)
        chances.append(aepo.tempered(softmax(logits), heat)[answer])
        score = np.eye(size)[answer] - softmax(logits)
        np.testing.assert_allclose(term, chances[-1] * rewards[answer] * score, atol=1e-12)
    for side in (left, right):
        want = chances[0] * chances[1] * rewards[answer] * score
        np.testing.assert_allclose(side.astype(float), want, atol=1e-12)


# BAPO.


@given(seeds, sizes)
def test_rules_are_those_of_the_module(seed, size):
    instance = zoo_bapo.sample_clipped(Tape(seed=seed), size)
    policy = zoo_empg.powers(instance.lengths).astype(float)
    given_ = policy, instance.advantages.astype(float), instance.unclipped.astype(bool)
    for sides, rule in (
        (zoo_bapo.natural_sides, bapo.entropy_clip_rule),
        (zoo_bapo.plain_sides, bapo.plain_entropy_clip_rule),
    ):
        for side in sides(instance):
            assert float(side) * np.log(2) == pytest.approx(float(rule(*given_)), abs=1e-12)


def test_numbers_of_the_instance_with_the_wrong_sign():
    instance = zoo_bapo.binary_bandit(Tape(), 2)
    assert zoo_bapo.covariance(instance.lengths, instance.advantages) == Fraction(1, 64)
    _, right = zoo_bapo.opposed_sides(instance)
    assert right.tolist() == [Fraction(1, 64), Fraction(35, 8192)]
    # The realised change of a small plain step has the sign of the slope.
    policy = zoo_empg.powers(instance.lengths).astype(float)
    rewards = instance.advantages.astype(float)
    for step, direction, sign in (
        (0.05, entropy.plain_direction(policy, rewards), -1),
        (0.05, entropy.natural_direction(policy, rewards), 1),
    ):
        after = softmax(np.log(policy) + step * direction)
        assert sign * (scipy_entropy(after) - scipy_entropy(policy)) > 0


@given(seeds, sizes)
def test_shares_are_those_of_the_module(seed, size):
    batch = zoo_bapo.sample_batch(Tape(seed=seed), size)
    masses, ratios, advantages = (x.astype(float) for x in batch[:3])
    if not (masses * ratios * advantages).any():
        return
    low, high = float(batch.low[0]), float(batch.high[0])
    want = bapo.positive_share(masses, ratios, advantages, low=low, high=high)
    assert float(zoo_bapo.weighed(batch, batch.low[0], batch.high[0])) == pytest.approx(want)


# EMPG.


def test_numbers_of_the_two_policies():
    first, second = zoo_empg.two_codes(Tape(), 2)
    for lengths, bits, norm in ((first, 2.5, 23 / 32), (second, 2.0, 24 / 32)):
        policy = zoo_empg.powers(lengths).astype(float)
        assert scipy_entropy(policy, base=2) == pytest.approx(bits)
        assert empg.expected_squared_score(policy) == pytest.approx(norm)


@given(seeds, st.integers(2, 3))
def test_the_update_scales_each_row_of_the_gradient(seed, size):
    instance = zoo_empg.sample_modulated(Tape(seed=seed), size)
    policies = instance.policies.astype(float)
    if policies.min() == 0:
        return
    model = token_tree(size, 2, instance.rewards.astype(float).reshape(1, -1))
    blocks = model.at(np.log(policies).ravel()).gradient.reshape(policies.shape)
    weights = instance.modulation.astype(float)
    left, right = zoo_empg.ascent_sides(instance)
    assert float(right) == pytest.approx(((blocks**2).sum(axis=1) * weights).sum(), abs=1e-12)
    used = [weights[0], *weights[1:]]
    assert float(left) == pytest.approx(min(used) * (blocks**2).sum(), abs=1e-12)


# EPO.


@pytest.mark.parametrize("wall", [Fraction(0), Fraction(1, 2), Fraction(3, 2)])
def test_growth_is_a_power_of_time(wall):
    found = zoo_epo.growth(wall, 40).astype(float)
    k = np.arange(2, 42)
    closed = gammaln(k + float(wall)) - gammaln(k + 1) - gammaln(1 + float(wall))
    np.testing.assert_allclose(found, np.exp(closed), rtol=1e-12)


@pytest.mark.parametrize("place", [0, 1])
def test_walks_along_a_wall_attain_the_bounds(place):
    walk = zoo_epo.Walk(Fraction(1, 2), Fraction(3, 2), exact.fractions([place] * 10))
    left, right = zoo_epo.corridor_sides(walk)
    half = slice(10, 20) if place else slice(10)
    assert (left[half] == right[half]).all()


@given(seeds, st.integers(3, 8))
def test_walks_pay_no_penalty(seed, size):
    walk = zoo_epo.sample_walk(Tape(seed=seed), size)
    entropies, _ = zoo_epo.references(walk)
    past = [Fraction(1)]
    corridor = epo.Corridor(low=float(walk.low), high=float(walk.high))
    for level in entropies:
        assert corridor.penalties(np.array(float(level)), float(sum(past) / len(past))) < 1e-12
        past.append(level)


@given(seeds)
def test_chain_rule_as_of_a_sampling_model(seed):
    replies = zoo_epo.sample_replies(Tape(seed=seed), 3)
    model = token_tree(3, 3, lambda x, word: 0.0, weights=[1.0], end_token=0)
    order = [(), (1,), (2,), (1, 1), (1, 2), (2, 1), (2, 2)]
    logits = -np.log(2) * np.array([replies.rows[prefix] for prefix in order])
    found = entropy.response_entropies(model, logits.ravel())
    left, right = zoo_epo.chain_sides(replies)
    assert float(left) * np.log(2) == pytest.approx(found.responses[0])
    assert float(right) * np.log(2) == pytest.approx(found.lengths[0] * found.per_choice[0])
    _, wrong = zoo_epo.CHAIN.control.sides(replies)
    mean = entropy.mean_entropy(model, logits.ravel())
    assert float(wrong) * np.log(2) == pytest.approx(found.lengths[0] * mean)


def test_the_run_is_that_of_the_module():
    instance = zoo_epo.two_arms(Tape(), 2)
    model = softmax_bandit(instance.rewards.astype(float))
    point, history = np.zeros(2), []
    for _ in range(instance.steps):
        past = epo.reference_entropy(history)
        history.append(entropy.mean_entropy(model, point))
        pull = epo.regulariser_gradient(model, point, past, epo.Corridor())
        ascent = model.at(point).gradient + float(instance.bonus) * pull
        point = point + float(instance.rate) * ascent
    left, right = zoo_epo.variance_sides(instance)
    np.testing.assert_allclose(middle(left)[19:38], history[1:], rtol=1e-11)
    assert middle(left)[-1] == pytest.approx(np.var(history[:-1]))
    assert middle(right)[-1] == pytest.approx(np.var(history))
