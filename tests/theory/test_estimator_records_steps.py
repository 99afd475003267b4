"""Curvature constants, steps and runs of the records on estimators, by independent searches."""

from fractions import Fraction

import numpy as np
import pytest

from rltheory.analysis.estimators.baselines import optimal_baseline
from rltheory.analysis.estimators.steps import guaranteed_gain, snr_learning_rate
from rltheory.theory import balls
from rltheory.theory import estimator_instances as models
from rltheory.theory.records import pg_rates, pg_smoothness, pg_steps
from rltheory.theory.tape import Tape

SEEDS = range(8)


def softmax(logits):
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def bandit_hessian(pi, rewards):
    """The Hessian by its explicit formula, in floats."""
    gradient = pi * (rewards - pi @ rewards)
    return np.diag(gradient) - np.outer(gradient, pi) - np.outer(pi, gradient), gradient


def test_the_constant_before_the_gradient_is_the_maximum_that_it_names():
    angle = np.linspace(0, np.pi / 2, 200_001)
    sine, cosine = np.sin(angle), np.cos(angle)
    largest = (1 + 2 * (sine * cosine) ** 2 + 4 * sine**3 * cosine).max()
    assert 2.7043 < largest < 2.7044
    # The explicit form: entries v^2 - 2 m v of v = (cos, -sin) with m its first entry.
    v = np.stack([cosine, -sine])
    explicit = ((v * v - 2 * cosine * v) ** 2).sum(axis=0).max()
    assert explicit == pytest.approx(largest, rel=1e-12)


@pytest.mark.parametrize("arms", [2, 3, 5, 12])
def test_curvature_is_within_both_constants(arms):
    generator = np.random.default_rng(arms)
    for _ in range(300):
        pi = softmax(generator.normal(size=arms) * generator.choice([0.5, 2.0, 5.0]))
        rewards = generator.random(arms)
        matrix, gradient = bandit_hessian(pi, rewards)
        curvature = np.abs(np.linalg.eigvalsh(matrix)).max()
        assert curvature <= np.ptp(rewards) / (3 * np.sqrt(3)) * (1 + 1e-12)
        assert curvature <= 1.6446 * np.linalg.norm(gradient) + 1e-15


def test_two_arms_attain_the_smoothness():
    pi = np.array([0.5 + 0.5 / np.sqrt(3), 0.5 - 0.5 / np.sqrt(3)])
    matrix, _ = bandit_hessian(pi, np.array([1.0, 0.0]))
    assert np.abs(np.linalg.eigvalsh(matrix)).max() == pytest.approx(1 / (3 * np.sqrt(3)))


def test_crowded_bandits_have_the_gradient_that_they_were_built_for():
    for seed in SEEDS:
        along = pg_smoothness.sample_crowded(Tape([0.9], seed=seed), 16)
        policy, v = along
        outcomes, row = policy.outcomes(), policy.rows[0]
        assert row.sum() == 1
        assert outcomes.value == 0
        pull = v * v - 2 * (row @ v) * v
        assert outcomes.gradient @ pull == pg_smoothness.curvature(along)


@pytest.mark.parametrize("seed", SEEDS)
def test_values_after_a_step_are_those_of_the_moved_softmax(seed):
    noisy = pg_steps.sample_noisy(Tape(seed=seed), 3)
    outcomes, estimates = pg_steps.single_estimates(noisy)
    logits = np.log(outcomes.probabilities.astype(float))
    rewards = outcomes.rewards.astype(float)
    values = [softmax(logits + 0.25 * row.astype(float)) @ rewards for row in estimates]

    @balls.precise
    def enclosed():
        return float(pg_steps.expected_value(outcomes, estimates, balls.ball(Fraction(1, 4))))

    expected = outcomes.probabilities.astype(float) @ np.array(values)
    assert enclosed() == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("seed", range(40))
def test_the_step_and_its_gain_are_the_librarys(seed):
    stretched = pg_steps.sample_stretched(Tape(seed=seed), 3)
    if not pg_steps.noisy_signal(stretched):
        pytest.skip("without signal or noise")
    policy, size = stretched.single
    outcomes = policy.outcomes()
    settings = {
        "gradient": outcomes.gradient.astype(float),
        "variance": float(models.variance(outcomes, stretched.estimator, size)),
        "smoothness": float(stretched.smoothness),
    }
    step = float(stretched.multiple) * snr_learning_rate(**settings)
    gain, right = pg_steps.stretched_sides(stretched)
    assert gain == right
    assert guaranteed_gain(step=step, **settings) == pytest.approx(float(gain), abs=1e-12)


@pytest.mark.parametrize("expected", [False, True])
@pytest.mark.parametrize("rewards", [(1.0, 0.0, 0.0), (1.0, 0.5, 0.0)])
def test_runs_are_those_of_a_plain_loop(monkeypatch, expected, rewards):
    monkeypatch.setattr(pg_rates, "MARKS", np.array([1, 2, 9]))
    task = pg_rates.Task(rewards, 0.5, expected)
    found = pg_rates.sampled_losses(task, seed=3)
    draws = np.random.default_rng(3).random((9, len(found)))
    paid = np.array(rewards)
    for run in range(5):
        logits, losses = np.log([0.5, 0.25, 0.25]), []
        for draw in draws[:, run]:
            pi = softmax(logits)
            scores = np.eye(3) - pi
            best = optimal_baseline(probabilities=pi, scores=scores, rewards=paid)
            estimates = (paid - (pi @ paid if expected else best))[:, None] * scores
            gradient = pi @ estimates
            variance = pi @ (estimates**2).sum(axis=1) - gradient @ gradient
            step = snr_learning_rate(
                gradient=gradient, variance=variance, smoothness=1 / (3 * np.sqrt(3))
            )
            logits = logits + step * estimates[np.searchsorted(np.cumsum(pi), draw)]
            losses.append(1 - softmax(logits) @ paid)
        np.testing.assert_allclose(found[run], np.array(losses)[[0, 1, 8]], rtol=1e-9)
