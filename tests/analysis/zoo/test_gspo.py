"""Geometric ratios against logarithms by hand, exact roots, and the gate of the estimators."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gmean

from rltheory.analysis.estimators.gates import clip
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.zoo import gspo


@st.composite
def batches(draw):
    """Ratios (n, T) with anything past the ends, and lengths (n,)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, width = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    lengths = rng.integers(1, width + 1, n)
    ratios = np.exp(rng.normal(scale=rng.choice([0.01, 1.0]), size=(n, width)))
    ratios[np.arange(width) >= lengths[:, None]] = rng.choice([1.0, 7.0, 0.0, -1.0])
    return ratios, lengths


def tree_outcomes(seed, *, end_token=0, same=False):
    rng = np.random.default_rng(seed)
    model = token_tree(2, 3, lambda x, word: float(sum(word)), end_token=end_token)
    now, before = rng.normal(size=(2, model.size))
    return model.at(now, behaviour=now if same else before)


@given(batches())
def test_ratios_are_scipys_geometric_means(batch):
    ratios, lengths = batch
    found = gspo.sequence_ratios(ratios, lengths)
    for row, length, ratio in zip(ratios, lengths, found, strict=True):
        assert ratio == pytest.approx(gmean(row[:length]), rel=1e-12)


@given(batches())
def test_moments_of_the_logarithms_are_numpys(batch):
    ratios, lengths = batch
    found = gspo.log_ratios(ratios, lengths)
    for i, length in enumerate(lengths):
        logs = np.log(ratios[i, :length])
        assert found.mean[i] == pytest.approx(logs.mean(), abs=1e-12)
        assert found.variance[i] == pytest.approx(logs.var(), abs=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_ratios_are_roots_of_the_responses_ratios(seed):
    outcomes = tree_outcomes(seed)
    found = gspo.sequence_ratios(outcomes.choices.ratios, outcomes.lengths)
    assert np.allclose(found**outcomes.lengths, outcomes.ratios, rtol=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_the_estimators_gate_reads_these_ratios(seed):
    outcomes = tree_outcomes(seed)
    ratios = gspo.sequence_ratios(outcomes.choices.ratios, outcomes.lengths)
    weights = np.where(ratios <= 1.25, ratios, 0.0) / outcomes.lengths
    gate = clip(0.25, level="geometric")
    found = gate.vectors(outcomes, True)
    assert np.allclose(found, weights[:, None] * outcomes.scores, atol=1e-10)


@given(st.integers(0, 2**32 - 1))
def test_ratios_average_at_most_one_where_all_lengths_agree(seed):
    outcomes = tree_outcomes(seed, end_token=None)
    found = gspo.expected_ratio(outcomes)
    by_hand = outcomes.drawn @ outcomes.ratios ** (1 / 3)
    assert found == pytest.approx(by_hand, rel=1e-12)
    assert found <= 1 + 1e-12


def test_ratios_average_one_on_policy_and_for_single_choices():
    assert gspo.expected_ratio(tree_outcomes(0, same=True)) == pytest.approx(1.0, abs=1e-14)
    bandit = softmax_bandit(np.arange(3.0)).at(np.zeros(3), behaviour=np.array([0.0, 1.0, 2.0]))
    assert gspo.expected_ratio(bandit) == pytest.approx(1.0, abs=1e-14)
    plain = Outcomes(
        probabilities=[0.25, 0.75], behaviour=[0.5, 0.5], scores=[[1.0], [-1.0]], rewards=[0, 1]
    )
    assert gspo.expected_ratio(plain) == pytest.approx(1.0, abs=1e-14)


def test_ratios_may_average_nearly_two_where_lengths_vary():
    # The short response becomes usual; the one of 80 tokens keeps most of its geometric ratio.
    depth, rare = 80, 2.0**-10
    model = token_tree(2, depth, lambda x, word: 0.0, end_token=0)
    before = np.zeros((depth, 2))
    before[1:, 1] = 60.0
    before[0, 1] = np.log((1 - rare) / rare)
    now = before.copy()
    now[0] = before[0, ::-1]
    found = gspo.expected_ratio(model.at(now.ravel(), behaviour=before.ravel()))
    ratio = rare / (1 - rare)
    assert found == pytest.approx((1 - rare) * (1 + ratio ** (1 / depth)), rel=1e-9)
    assert found > 1.9


@pytest.mark.parametrize(
    ("ratios", "lengths", "message"),
    [
        ([[1.0, 0.0]], [2], r"ratios\[0, 1\] is 0.0; expected above 0"),
        ([[1.0, np.nan]], [2], "ratios"),
        ([[1.0, 1.0]], [3], "lengths must be integers in 1 to 2"),
        ([[1.0, 1.0]], [0], "lengths must be integers in 1 to 2"),
        ([[1.0, 1.0]], [1.0], "lengths must be integers in 1 to 2"),
        ([[1.0, 1.0]], [1, 1], "lengths has shape"),
        ([1.0, 1.0], [1, 1], "ratios has shape"),
    ],
)
def test_bad_input_is_named(ratios, lengths, message):
    with pytest.raises(ValueError, match=message):
        gspo.log_ratios(ratios, lengths)


def test_long_outcomes_without_choices_are_refused():
    outcomes = Outcomes(probabilities=[1.0], scores=[[0.0]], rewards=[0.0], lengths=[2])
    with pytest.raises(ValueError, match="choices"):
        gspo.expected_ratio(outcomes)
