"""Sampled estimates against exact moments: four standard errors, for every estimator and gate."""

import numpy as np
import pytest
from strategies_estimators import make_model

from rltheory.analysis.estimators.batch_gradients import group_estimates
from rltheory.analysis.estimators.learning import learn
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.step_rules import FixedStep
from rltheory.analysis.estimators.weights import ESTIMATORS


def assert_sampled(model, name, behaviour, samples, seed=1, group_size=3):
    """Compare means, and variances by their own standard errors, coordinate by coordinate."""
    point = 0.5 * np.random.default_rng(0).normal(size=model.size)
    away = None if behaviour is None else point + behaviour
    arguments = {"parameters": point, "behaviour": away, "group_size": group_size}
    drawn = group_estimates(model, name, samples=samples, seed=seed, **arguments)
    exact = estimator_moments(model, name, **arguments)
    errors = np.sqrt(exact.variances / samples)
    assert np.all(np.abs(drawn.mean(axis=0) - exact.mean) <= 4 * errors + 1e-13)
    squares = (drawn - exact.mean) ** 2
    spread = squares.std(axis=0) / np.sqrt(samples)
    assert np.all(np.abs(squares.mean(axis=0) - exact.variances) <= 4 * spread + 1e-13)


def shifted(model):
    return 0.3 * np.random.default_rng(9).normal(size=model.size)


@pytest.mark.parametrize("off_policy", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_has_its_moments(name, off_policy):
    model = make_model("tree", "tabular", seed=5)
    assert_sampled(model, name, shifted(model) if off_policy else None, 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("off_policy", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(("kind", "policy"), [("contextual", "linear"), ("tree", "tabular")])
def test_a_million_groups_have_their_moments(kind, policy, name, off_policy):
    model = make_model(kind, policy, seed=5)
    assert_sampled(model, name, shifted(model) if off_policy else None, 10**6)


@pytest.mark.parametrize("name", ["rloo", "oblr", "grpo", "optimal"])
def test_one_step_of_many_seeds_has_the_moments_of_their_batches(name):
    model = make_model("contextual", "linear", seed=6)
    point = 0.5 * np.random.default_rng(0).normal(size=model.size)
    seeds, sizes = 4000, {"prompts": 2, "group_size": 3}
    run = learn(model, name, FixedStep(0.5), parameters=point, steps=1, seeds=seeds, **sizes)
    moved = (run.parameters - point) / 0.5
    exact = estimator_moments(model, name, parameters=point, **sizes)
    errors = np.sqrt(exact.variances / seeds)
    assert np.all(np.abs(moved.mean(axis=0) - exact.mean) <= 4 * errors)


def test_pairs_of_prompts_and_responses_are_one_batch():
    # With one response to each prompt the batch of a learner is a group of the exact moments.
    model = make_model("contextual", "tabular", seed=6)
    seeds, sizes = 4000, {"prompts": 3, "group_size": 1}
    run = learn(model, "reinforce++", FixedStep(0.5), steps=1, seeds=seeds, **sizes)
    exact = estimator_moments(model, "reinforce++", parameters=np.zeros(model.size), group_size=3)
    errors = np.sqrt(exact.variances / seeds)
    assert np.all(np.abs(run.parameters.mean(axis=0) / 0.5 - exact.mean) <= 4 * errors)


def test_chunks_of_samples_are_the_same_draws(monkeypatch):
    model = make_model("tree", "tabular", seed=5)
    arguments = {"parameters": np.zeros(model.size), "group_size": 3, "seed": 2}
    whole = group_estimates(model, "oblr", samples=50, **arguments)
    monkeypatch.setattr("rltheory.analysis.estimators.batch_gradients._CHUNK", 300)
    np.testing.assert_array_equal(group_estimates(model, "oblr", samples=50, **arguments), whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "samples is 0"),
        ({"group_size": 1}, "group_size is 1"),
        ({"parameters": np.zeros(2)}, r"parameters has shape \(2,\)"),
        ({"behaviour": np.full(4, np.inf)}, r"behaviour\[0\] is inf"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_input_is_named(change, message):
    model = make_model("bandit", "tabular", seed=0)
    arguments = {"parameters": np.zeros(4), "group_size": 2, "samples": 3, "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        group_estimates(model, "rloo", **arguments)
