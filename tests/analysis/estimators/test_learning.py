"""Learning loops against plain loops over seeds, prompts and responses, and NumPy against JAX."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_estimators import KINDS, PARAMETRISATIONS, make_model

from rltheory.analysis.estimators import learning
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.gates import SAPO_GATE, SEQUENCE_RATIO, TOKEN_RATIO, clip
from rltheory.analysis.estimators.learning import learn, oblr_po
from rltheory.analysis.estimators.response_tables import ResponseTables
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.step_rules import FixedStep, SNRStep
from rltheory.analysis.estimators.weights import ESTIMATORS, LEAVE_ONE_OUT

MODELS = [(kind, policy) for kind in KINDS for policy in PARAMETRISATIONS]
LINEAR = [case for case in MODELS if case[1] != "network"]
WEIGHTS_ONLY = [name for name, record in ESTIMATORS.items() if record.vectors is None]
GATES = (SEQUENCE_RATIO, TOKEN_RATIO, clip(0.05), SAPO_GATE, clip(0.02, level="geometric"))
SIZES = {"steps": 3, "prompts": 2, "group_size": 3}


# Jacobians of networks are JAX's, which takes seconds to compile each.
LIGHT = [(kind, policy, "numpy") for kind, policy in MODELS if policy != "network"]
LIGHT += [("tree", "tabular", "jax")]
HEAVY = [(*case, backend) for case in MODELS for backend in ("numpy", "jax")]
HEAVY = [pytest.param(*case, marks=pytest.mark.slow) for case in HEAVY if case not in LIGHT]


@pytest.mark.parametrize(("kind", "policy", "backend"), LIGHT + HEAVY)
def test_tables_hold_what_the_outcomes_hold(kind, policy, backend):
    model = make_model(kind, policy, seed=1)
    points = np.random.default_rng(2).normal(size=(2, model.size))
    tables = ResponseTables.of(model, backend)
    state = tables.state(tables.xp.asarray(points))
    for i, point in enumerate(points):
        outcomes = model.at(point)
        found = {
            "probabilities": state.probabilities[i],
            "squared_norms": tables.squared_norms(state)[i],
            "values": tables.given_prompt(state.probabilities * tables.rewards)[i],
            "value": tables.values(state)[i],
            "greedy": tables.greedy(state)[i],
        }
        for name, array in found.items():
            np.testing.assert_allclose(array, getattr(outcomes, name), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("kind", "policy"), [("contextual", "linear"), ("tree", "tabular")])
def test_draws_invert_the_distribution_functions(kind, policy):
    model = make_model(kind, policy, seed=3)
    rng = np.random.default_rng(4)
    point, uniforms = rng.normal(size=model.size), rng.random((1, 200, 5))
    for backend in ("numpy", "jax") if kind == "tree" else ("numpy",):
        tables = ResponseTables.of(model, backend)
        batch = tables.draw(tables.state(tables.xp.asarray(point[None])), uniforms)
        probabilities = model.at(point).probabilities
        for j, row in enumerate(uniforms[0]):
            x = np.searchsorted(np.cumsum(model.weights), row[0], side="right")
            assert batch.prompts[0, j] == x
            sums = np.cumsum(probabilities[model.starts[x] : model.starts[x + 1]])
            expected = model.starts[x] + np.searchsorted(sums, row[1:], side="right")
            np.testing.assert_array_equal(batch.responses[0, j], expected)


def plain_run(model, estimator, rule, *, steps, prompts, group_size, seed, epochs=1):
    """Return values, step sizes and ratios of one seed, by loops and exact outcomes alone."""
    rng = np.random.default_rng(seed)
    theta, signal, noise = np.zeros(model.size), 0.0, 0.0
    values, sizes, ratios = [model.value(theta)], [], []
    for _ in range(steps):
        draws = rng.random((prompts, 1 + group_size))
        old, outcomes = theta, model.at(theta)
        optimal, greedy = optimal_baselines(outcomes), outcomes.greedy_rewards()
        asked, drawn = [], []
        for row in draws:
            x = np.searchsorted(np.cumsum(model.weights), row[0], side="right")
            a, b = model.starts[x], model.starts[x + 1]
            sums = np.cumsum(outcomes.probabilities[a:b])
            asked.append(x)
            drawn.append([a + np.searchsorted(sums, u, side="right") for u in row[1:]])
        asked, drawn = np.array(asked), np.array(drawn)
        shape = (1, -1) if estimator.scope == "batch" else drawn.shape
        members = drawn.reshape(shape)
        of = np.repeat(asked[:, None], group_size, axis=1).reshape(shape)
        if estimator.scope == "prompt":
            of = of[:, :1]
        group = Group(
            rewards=outcomes.rewards[members],
            squared_norms=outcomes.squared_norms[members],
            lengths=outcomes.lengths[members],
            value=outcomes.values[of],
            optimal=optimal[of],
            greedy=greedy[of],
        )
        weights = estimator.weights(group).reshape(drawn.shape)
        if estimator.scope == "batch":
            weights = weights * prompts
        eta = None
        for epoch in range(epochs):
            now = model.at(theta, behaviour=old if epoch else None)
            if estimator.vectors is not None:
                tables = [estimator.vectors(now)] * 2
            else:
                tables = [estimator.gate.vectors(now, sign) for sign in (False, True)]
            groups = np.array(
                [
                    sum(w * tables[int(w >= 0)][y] for w, y in zip(ws, ys, strict=True))
                    for ws, ys in zip(weights, drawn, strict=True)
                ]
            )
            mean = groups.mean(axis=0)
            if eta is None and isinstance(rule, FixedStep):
                eta, ratio = rule.step, np.nan
            elif eta is None:
                spread = sum(g @ g for g in groups - mean) / (prompts * (prompts - 1))
                signal = rule.decay * signal + (1 - rule.decay) * (mean @ mean - spread)
                noise = rule.decay * noise + (1 - rule.decay) * spread
                spare = np.inf if signal > 0 else 0.0
                ratio = max(signal, 0.0) / noise if noise > 0 else spare
                high = 1 / rule.smoothness if rule.largest is None else rule.largest
                share = ratio / (1 + ratio) if np.isfinite(ratio) else 1.0
                eta = float(np.clip(share / rule.smoothness, rule.smallest, high))
            theta = theta + eta * mean
        values.append(model.value(theta))
        sizes.append(eta)
        ratios.append(ratio)
    return np.array(values), np.array(sizes), np.array(ratios), theta


def noise_share(ratios):
    """Return V / (S + V) for ratios S / V: equal groups leave roundings or nothing for V."""
    return 1 / (1 + ratios)


def assert_same(run, plain, i=0):
    values, sizes, ratios, parameters = plain
    np.testing.assert_allclose(run.values[i], values, atol=1e-10)
    np.testing.assert_allclose(run.step_sizes[i], sizes, atol=1e-10)
    np.testing.assert_allclose(noise_share(run.signal_to_noise[i]), noise_share(ratios), atol=1e-10)
    np.testing.assert_allclose(run.parameters[i], parameters, atol=1e-10)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("kind", ["contextual", "tree", "episodes"])
def test_every_estimator_learns_as_a_plain_loop_does(name, kind):
    model = make_model(kind, "tabular", seed=5)
    for rule in (FixedStep(0.7), SNRStep(smoothness=0.3, decay=0.6, smallest=0.05)):
        run = learn(model, name, rule, seeds=[8, 9], **SIZES)
        for i, seed in enumerate((8, 9)):
            assert_same(run, plain_run(model, ESTIMATORS[name], rule, seed=seed, **SIZES), i)


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.name)
@pytest.mark.parametrize(("kind", "policy"), [("tree", "tabular"), ("episodes", "linear")])
def test_later_epochs_read_the_ratios_through_the_gate(gate, kind, policy):
    model = make_model(kind, policy, seed=6)
    estimator = replace(LEAVE_ONE_OUT, gate=gate)
    sizes = SIZES | {"epochs": 3}
    run = learn(model, estimator, FixedStep(0.4), seeds=[3], **sizes)
    assert_same(run, plain_run(model, estimator, FixedStep(0.4), seed=3, **sizes))


def test_networks_learn_as_a_plain_loop_does():
    model, rule = make_model("contextual", "network", seed=3), FixedStep(0.5)
    sizes = SIZES | {"steps": 2}
    run = learn(model, "oblr", rule, seeds=[4], **sizes)
    assert_same(run, plain_run(model, ESTIMATORS["oblr"], rule, seed=4, **sizes))


@settings(max_examples=20)
@given(st.sampled_from(LINEAR), st.sampled_from(["rloo", "oblr", "optimal"]), st.integers(0, 2**32))
def test_runs_of_linear_models_are_those_of_a_plain_loop(model, name, seed):
    model = make_model(*model, seed=seed % 1000)
    rule = SNRStep(smoothness=1.0, largest=2.0)
    run = learn(model, name, rule, seeds=[seed], **SIZES)
    assert_same(run, plain_run(model, ESTIMATORS[name], rule, seed=seed, **SIZES))


SHARED = [
    ("tree", "tabular", "oblr", SNRStep(smoothness=0.4), 1),
    ("contextual", "linear", "grpo", FixedStep(0.5), 2),
]
SHARED_SLOWLY = [
    ("bandit", "tabular", "oblr", SNRStep(smoothness=0.4), 1),
    ("tree", "tabular", "optimal", FixedStep(0.5), 1),
    ("tree", "linear", "gspo", SNRStep(smoothness=0.4), 2),
    ("episodes", "tabular", "reinforce++", FixedStep(0.5), 2),
    ("contextual", "network", "remax", FixedStep(0.5), 1),
    ("tree", "tabular", "sapo", SNRStep(smoothness=0.4), 3),
]


@pytest.mark.parametrize(
    ("kind", "policy", "name", "rule", "epochs"),
    SHARED + [pytest.param(*case, marks=pytest.mark.slow) for case in SHARED_SLOWLY],
)
def test_both_backends_agree(kind, policy, name, rule, epochs):
    model = make_model(kind, policy, seed=7)
    # Not longer, as a step that overshoots lets roundings grow.
    sizes = {"steps": 20, "prompts": 3, "group_size": 4, "epochs": epochs}
    numpy_run = learn(model, name, rule, seeds=6, **sizes)
    jax_run = learn(model, name, rule, seeds=6, backend="jax", **sizes)
    for field in ("values", "step_sizes", "parameters"):
        ours, theirs = getattr(numpy_run, field), getattr(jax_run, field)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-10)
    ours, theirs = (noise_share(run.signal_to_noise) for run in (numpy_run, jax_run))
    np.testing.assert_allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize(("kind", "policy"), LINEAR)
def test_a_seeds_bits_do_not_depend_on_the_seeds_beside_it(kind, policy, monkeypatch):
    model = make_model(kind, policy, seed=8)
    rule = SNRStep(smoothness=0.4)
    sizes = {"steps": 60, "prompts": 3, "group_size": 3}
    whole = learn(model, "oblr", rule, seeds=23, **sizes)
    again = learn(model, "oblr", rule, seeds=23, **sizes)
    monkeypatch.setattr(learning, "_ABREAST", 5)
    monkeypatch.setattr(learning, "_DRAWN", 500)
    blocks = learn(model, "oblr", rule, seeds=23, **sizes)
    cuts = [0, 1, 9, 23]
    parts = [learn(model, "oblr", rule, seeds=range(a, b), **sizes) for a, b in pairwise(cuts)]
    for field in ("values", "step_sizes", "signal_to_noise", "parameters"):
        expected = getattr(whole, field)
        np.testing.assert_array_equal(getattr(again, field), expected)
        np.testing.assert_array_equal(getattr(blocks, field), expected)
        joined = np.concatenate([getattr(part, field) for part in parts])
        np.testing.assert_array_equal(joined, expected)


def test_a_scale_of_the_steps_is_a_longer_step():
    model = make_model("bandit", "tabular", seed=9)
    sizes = {"steps": 20, "prompts": 2, "group_size": 2}
    scaled = learn(model, "rloo", FixedStep(0.5), seeds=[4, 4], step_scale=[1.0, 4.0], **sizes)
    for i, step in enumerate((0.5, 2.0)):
        run = learn(model, "rloo", FixedStep(step), seeds=[4], **sizes)
        np.testing.assert_array_equal(scaled.values[i], run.values[0])


def test_oblr_po_is_left_out_baselines_with_the_step_of_the_models_smoothness():
    model = make_model("tree", "tabular", seed=10)
    sizes = {"steps": 30, "prompts": 3, "group_size": 4, "seeds": 5}
    run = oblr_po(model, decay=0.8, step_min=0.01, step_max=0.9, **sizes)
    rule = SNRStep(smoothness=smoothness(model), decay=0.8, smallest=0.01, largest=0.9)
    np.testing.assert_array_equal(run.values, learn(model, "oblr", rule, **sizes).values)
    assert run.step_sizes.min() >= 0.01
    assert run.step_sizes.max() <= 0.9


def test_methods_share_their_first_draws_and_a_good_arm_is_found():
    model = softmax_bandit(np.array([0.0, 0.2, 1.0]))
    sizes = {"steps": 300, "prompts": 4, "group_size": 4, "seeds": 20}
    run = oblr_po(model, **sizes)
    assert np.all(run.values[:, 0] == run.values[0, 0])
    assert run.values[:, -1].mean() > 0.9
    other = learn(model, "mean", FixedStep(3.0), **sizes)
    scaled = learn(model, "rloo", FixedStep(3.0 * 3 / 4), **sizes)
    # The mean baseline is the left-out one times (G - 1) / G.
    np.testing.assert_allclose(other.values, scaled.values, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "steps is 0"),
        ({"prompts": 0}, ValueError, "prompts is 0"),
        ({"group_size": 1}, ValueError, "group_size is 1; estimator 'rloo' needs at least 2"),
        ({"epochs": 0.5}, ValueError, "epochs is 0.5"),
        ({"seeds": []}, ValueError, "seeds"),
        ({"seeds": [-1]}, ValueError, "seeds"),
        ({"seeds": 0}, ValueError, "seeds is 0"),
        ({"seeds": [0.5]}, ValueError, "seeds"),
        ({"backend": "torch"}, ValueError, "backend is 'torch'"),
        ({"parameters": np.zeros(3)}, ValueError, r"parameters has shape \(3,\)"),
        ({"parameters": np.array([0, np.nan, 0, 0])}, ValueError, r"parameters\[1\] is nan"),
        ({"step_scale": 0.0}, ValueError, "step_scale"),
        ({"step_scale": [1.0, 2.0]}, ValueError, "step_scale"),
        ({"estimator": "nobody"}, ValueError, "estimator is 'nobody'"),
        ({"estimator": "coordinate", "backend": "jax"}, ValueError, "more than a weight"),
        ({"estimator": "coordinate", "epochs": 2}, ValueError, "more than a weight"),
        ({"rule": 0.1}, TypeError, "rule must be a FixedStep or an SNRStep; got float"),
        ({"rule": SNRStep(smoothness=1.0), "prompts": 1}, ValueError, "prompts is 1"),
    ],
)
def test_bad_input_is_named(change, error, message):
    arguments = {"estimator": "rloo", "rule": FixedStep(0.1), "steps": 2, "prompts": 2}
    arguments |= {"group_size": 2, "seeds": 3} | change
    estimator, rule = arguments.pop("estimator"), arguments.pop("rule")
    with pytest.raises(error, match=message):
        learn(make_model("bandit", "tabular", seed=0), estimator, rule, **arguments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FixedStep(0.0), "step is 0; expected a positive number"),
        (lambda: FixedStep(np.nan), "step is nan"),
        (lambda: SNRStep(smoothness=-1.0), "smoothness is -1"),
        (lambda: SNRStep(smoothness=1.0, decay=1.0), "decay is 1"),
        (lambda: SNRStep(smoothness=1.0, smallest=2.0, largest=1.0), "largest is 1"),
        (lambda: SNRStep(smoothness=1.0, smallest=np.inf), "smallest is inf"),
    ],
)
def test_bad_rules_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_network_needs_its_smoothness_given():
    model = make_model("bandit", "network", seed=0)
    with pytest.raises(TypeError, match="give the step sizes' `smoothness` yourself"):
        oblr_po(model, steps=2, prompts=2, group_size=2, seeds=1)
    assert oblr_po(model, steps=2, prompts=2, group_size=2, seeds=1, smoothness=3.0)
