"""EMPG: norms of scores against entropies, and advantages modulated by the latter."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis import softmax_bandit, token_tree
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo import empg, entropy

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(1, 6))
def test_expected_squared_score_is_that_of_the_enumeration(seed, actions):
    rng = np.random.default_rng(seed)
    outcomes = softmax_bandit(np.zeros(actions)).at(rng.normal(size=actions))
    want = outcomes.probabilities @ outcomes.squared_norms
    found = empg.expected_squared_score(outcomes.probabilities)
    np.testing.assert_allclose(found, want, atol=1e-14)
    np.testing.assert_allclose(
        found, 1 - np.exp(-entropy.renyi_entropy(outcomes.probabilities)), atol=1e-14
    )


def test_expected_squared_score_of_fractions():
    policy = np.array([Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)])
    assert empg.expected_squared_score(policy) == Fraction(5, 8)


@given(seeds, st.floats(0.0, 5.0))
def test_modulation_has_mean_one_and_favours_low_entropy(seed, sharpness):
    rng = np.random.default_rng(seed)
    entropies, masses = rng.random((3, 2)), rng.random((3, 2)) + 0.01
    found = empg.modulation(entropies, masses=masses, sharpness=sharpness)
    assert (masses * found).sum() / masses.sum() == pytest.approx(1.0)
    order = np.argsort(entropies, axis=None)
    assert (np.diff(found.ravel()[order]) <= 1e-12).all()
    largest, least = found.max(), found.min()
    assert largest / least == pytest.approx(np.exp(sharpness))


def test_equal_entropies_leave_advantages_as_they_are():
    assert empg.modulation([0.3, 0.3, 0.3]).tolist() == [1.0, 1.0, 1.0]
    found = empg.modulated_advantages([1.0, -1.0], np.full((2, 2), 0.5), clarity_weight=0.0)
    assert found.tolist() == [[1.0, 1.0], [-1.0, -1.0]]


def test_a_batch_by_hand():
    # Entropies 0, 1 of the first response, 1 and none of the second, which ends.
    entropies = np.array([[0.0, 1.0], [1.0, 0.0]])
    masses = np.array([[1.0, 1.0], [1.0, 0.0]])
    e = np.exp(-1.0)
    g = np.array([[1.0, e], [e, 1.0]]) * 3 / (1 + 2 * e)
    f = np.array([[e, 0.0], [0.0, 0.0]])
    raw = np.array([[2.0], [-1.0]]) * g + 0.05 * f
    want = np.where(masses > 0, raw - raw[masses > 0].mean(), 0.0)
    found = empg.modulated_advantages([2.0, -1.0], entropies, masses=masses)
    np.testing.assert_allclose(found, want, atol=1e-15)


@given(seeds)
def test_modulated_advantages_have_mean_zero(seed):
    rng = np.random.default_rng(seed)
    masses = rng.random((4, 3))
    found = empg.modulated_advantages(rng.normal(size=4), rng.random((4, 3)), masses=masses)
    assert (masses * found).sum() == pytest.approx(0.0, abs=1e-12)


@given(seeds)
def test_without_sharpness_and_clarity_the_update_is_the_gradient(seed):
    rng = np.random.default_rng(seed)
    model = token_tree(3, 2, rng.normal(size=(2, 7)), end_token=0)
    point = rng.normal(size=model.size)
    found = empg.modulated_gradient(model, point, model.rewards, sharpness=0.0, clarity_weight=0.0)
    np.testing.assert_allclose(found, model.at(point).gradient, atol=1e-13)


@given(seeds)
def test_without_clarity_each_row_of_the_gradient_is_scaled_by_its_modulation(seed):
    rng = np.random.default_rng(seed)
    model = token_tree(2, 2, rng.normal(size=(1, 4)))
    point = rng.normal(size=model.size)
    found = empg.modulated_gradient(model, point, model.rewards, clarity_weight=0.0)
    policy = softmax(point.reshape(3, 2))
    levels = entropy.shannon_entropy(policy)
    heights = (levels - levels.min()) / (levels.max() - levels.min())
    visits = np.array([1.0, *policy[0]])
    factors = np.exp(-heights)
    factors = factors * 2 / (visits @ factors)
    want = (model.at(point).gradient.reshape(3, 2) * factors[:, None]).ravel()
    np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: empg.modulation([0.1, np.nan]), r"entropies\[1\] is nan"),
        (lambda: empg.modulation([0.1, 0.2], sharpness=-1.0), "sharpness is -1.0"),
        (lambda: empg.modulation([0.1, 0.2], masses=[0.0, 0.0]), "masses must be >= 0"),
        (lambda: empg.modulation([0.1, 0.2], masses=[1.0]), r"masses has shape \(1,\)"),
        (lambda: empg.modulation([]), "a batch holds some step"),
        (
            lambda: empg.modulated_advantages([1.0], [[0.1]], clarity_weight=-1.0),
            "clarity_weight is -1.0",
        ),
        (lambda: empg.modulated_advantages([1.0, 2.0], [[0.1]]), "entropies has shape"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
