"""What the records on estimators compute with, against the library's moments and float models."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import contextual_bandit
from rltheory.analysis.estimators.smoothness import hessian
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import (
    COORDINATE,
    LEAVE_ONE_OUT,
    MEAN,
    OBLR,
    OPTIMAL,
    OWN_OPTIMAL,
    REINFORCE,
    VALUE,
    grpo,
)
from rltheory.theory import balls, theorems
from rltheory.theory import estimator_instances as models
from rltheory.theory.records import (
    pg_baselines,
    pg_lengths,
    pg_normalisation,
    pg_ranks,
    pg_variance,
)
from rltheory.theory.tape import Tape

SEEDS = range(8)
RATIONAL = [REINFORCE, MEAN, LEAVE_ONE_OUT, VALUE, OPTIMAL, OBLR, OWN_OPTIMAL]


def float_model(policy):
    """The public model of a contextual bandit or a tree, and the parameters of its policy."""
    rows = policy.rows.astype(float)
    linear = policy.features.astype(float)
    count = len(policy.weights)
    rewards = policy.rewards.astype(float)
    weights = policy.weights.astype(float)
    if policy.lengths.max() == 1:
        model = contextual_bandit(
            rewards.reshape(count, -1), weights=weights, parametrisation=linear
        )
    else:
        model = token_tree(2, len(rows), rewards[None], end_token=0, parametrisation=linear)
    flat = linear.reshape(rows.size, -1)
    # Logits up to a constant for each row; tables have them all.
    parameters, *_ = np.linalg.lstsq(flat, np.log(rows).ravel(), rcond=None)
    return model, parameters


def tabular(seed):
    """A tabular policy: one or two prompts, or a tree."""
    tape = Tape(seed=seed)
    if seed % 2:
        return models.contextual(tape, 1 + seed % 3, 3)
    # The trees of the library end with any 0, those of the records likewise.
    return models.token_tree(tape, 2 + seed % 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_policies_are_the_librarys(seed):
    policy = tabular(seed)
    model, parameters = float_model(policy)
    found, exact = model.at(parameters), policy.outcomes()
    np.testing.assert_allclose(found.probabilities, exact.probabilities.astype(float), rtol=1e-12)
    np.testing.assert_allclose(found.scores, exact.scores.astype(float), atol=1e-12)
    np.testing.assert_array_equal(found.lengths, exact.lengths)


@pytest.mark.parametrize("seed", SEEDS)
def test_derivatives_are_those_of_the_value(seed):
    policy = tabular(seed)
    direction = models.direction(Tape(seed=seed + 100), policy)
    model, parameters = float_model(policy)
    v = direction.astype(float)
    step = 1e-5
    ends = [model.value(parameters + s * step * v) for s in (-1, 0, 1)]
    slope = float(policy.slope(direction, policy.rewards))
    bend = float(policy.curvature(direction, policy.rewards))
    assert slope == pytest.approx((ends[2] - ends[0]) / (2 * step), abs=1e-8)
    assert bend == pytest.approx(float(v @ hessian(model, parameters) @ v), abs=1e-12)


@pytest.mark.parametrize("estimator", RATIONAL, ids=lambda e: e.name)
@pytest.mark.parametrize("size", [2, 3])
def test_ordered_groups_and_multisets_have_the_same_moments(estimator, size):
    for seed in range(6):
        policy = models.any_policy(Tape(seed=seed), 3)
        outcomes = policy.outcomes()
        if outcomes.squared_norms.min() == 0:
            continue
        found = estimator_moments(outcomes, estimator, group_size=size)
        assert np.all(found.mean == models.mean(outcomes, estimator, size))
        assert found.variance == models.variance(outcomes, estimator, size)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 2), (2, 2)])
def test_batches_have_the_moments_of_the_library(shape):
    prompts, group = shape
    for seed in range(4):
        batch = pg_variance.sample_batch(Tape(seed=seed), 2)
        outcomes = batch.policy.outcomes()
        found = estimator_moments(outcomes, VALUE, group_size=group, prompts=prompts)
        every = pg_variance.batch_variance(outcomes, outcomes.values, prompts, group)
        assert found.variance == every


def test_coordinates_have_the_variance_of_the_library():
    for seed in range(6):
        outcomes = models.any_policy(Tape(seed=seed), 3).outcomes()
        found = estimator_moments(outcomes, COORDINATE)
        assert found.variance == pg_baselines.coordinate_variance(outcomes)


def in_floats(outcomes):
    """The same outcomes as floats."""
    return replace(
        outcomes,
        probabilities=outcomes.probabilities.astype(float),
        scores=outcomes.scores.astype(float),
        rewards=outcomes.rewards.astype(float),
        weights=outcomes.weights.astype(float),
    )


@pytest.mark.parametrize("size", [2, 3, 4])
def test_standardised_means_are_the_librarys(size):
    for seed in range(4):
        outcomes = models.contextual(Tape(seed=seed), 2, 3).outcomes()
        found = estimator_moments(
            in_floats(outcomes), grpo(bessel=False), group_size=size, covariance=False
        )

        @balls.precise
        def enclosed(outcomes=outcomes):
            return balls.to_bounds(pg_normalisation.normalised_mean(outcomes, size))

        bounds = enclosed()
        np.testing.assert_allclose(found.mean, bounds.lower, atol=1e-13)
        assert bounds.gap < 1e-14
        if size == 2:
            exact = pg_ranks.rational_mean(outcomes, size).astype(float)
            np.testing.assert_allclose(found.mean, exact, atol=1e-13)


@pytest.mark.parametrize("chance", [Fraction(1, 100), Fraction(1, 3), Fraction(1, 2)])
def test_weights_of_prompts_in_groups_of_four(chance):
    # By hand: sqrt 3 (q^2 + p^2) + 3 p q.
    p = float(chance)
    found = float(pg_normalisation.prompt_weight(chance, 4))
    assert found == pytest.approx(np.sqrt(3) * (1 - 2 * p * (1 - p)) + 3 * p * (1 - p), rel=1e-14)


@pytest.mark.parametrize("size", [2, 5, 16])
def test_weights_of_prompts_are_symmetric(size):
    one, other = (pg_normalisation.prompt_weight(Fraction(k, 10), size) for k in (3, 7))
    assert one.overlaps(other)


def test_roots_are_exact_or_none():
    assert pg_ranks.root(Fraction(9, 16)) == Fraction(3, 4)
    assert pg_ranks.root(Fraction(1, 2)) is None
    policy = models.bandit_of(
        np.array([Fraction(1, 2), Fraction(1, 2)], dtype=object),
        np.array([Fraction(0), Fraction(1)], dtype=object),
    )
    with pytest.raises(ValueError, match="the variance 2/9 has no rational root"):
        pg_ranks.rational_mean(policy.outcomes(), 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_winning_is_a_game_of_sum_zero(seed):
    outcomes = models.contextual(Tape(seed=seed), 2, 3).outcomes()
    assert np.all(outcomes.given_prompt(pg_ranks.wins(outcomes)) == 0)


def test_the_tree_of_the_counterexamples_is_what_their_texts_say():
    policy = pg_lengths.sample_by_response(Tape(), 3)
    assert policy.lengths.tolist() == [1, 2, 3, 3]
    chances = policy.outcomes().probabilities
    assert chances.tolist() == [
        Fraction(1, 4),
        Fraction(3, 16),
        Fraction(9, 16) * Fraction(3, 4),
        Fraction(9, 16) * Fraction(1, 4),
    ]


def test_there_are_records_on_every_claim_of_the_abstract():
    found = {t.id for t in theorems() if t.id.startswith(("oblr/", "estimators/"))}
    assert len(found) >= 40
    assert found >= {
        "oblr/unbiased",
        "oblr/variance-of-a-batch",
        "oblr/loss-upper-bound",
        "oblr/convergence",
        "oblr/snr-step",
        "oblr/optimal-baseline",
    }
