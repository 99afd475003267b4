"""POPLER and petal processes: exact values, estimates by hand, guarantees, and what breaks them."""

import numpy as np
import pytest
from guarantee_worlds import contrast
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import Generative, Online, PolicyClass, class_values, occupancies
from rltheory.tabular.agnostic.cores import constant_core, layer_core
from rltheory.tabular.agnostic.guarantees import clopper_pearson, failure_frequency
from rltheory.tabular.agnostic.petals import PetalProcess, petal_process
from rltheory.tabular.agnostic.popler import (
    PoplerParameters,
    collect,
    popler,
    popler_parameters,
)
from rltheory.tabular.agnostic.sunflower import is_sunflower
from rltheory.tabular.mdp import EpisodicMDP

SEEDS = st.integers(0, 2**32 - 1)


def model(horizon, states, seed=0):
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.full(states, 0.5), (horizon, states, 2))
    rewards = rng.random((horizon, states, 2)) / horizon
    return EpisodicMDP(kernel, rewards, rng.dirichlet(np.ones(states)))


def two_tons(horizon, states):
    policies = PolicyClass.l_tons(2, horizon=horizon, states=states)
    found = layer_core(policies)
    assert is_sunflower(policies, found.core, found.petals)
    return policies, found


@given(st.integers(1, 4), st.integers(1, 3), SEEDS)
def test_any_petals_give_the_value_of_the_policy(horizon, states, seed):
    rng = np.random.default_rng(seed)
    mdp = model(horizon, states, seed)
    policies = PolicyClass.random(1, horizon=horizon, states=states, seed=seed)
    petals = rng.random((horizon, states)) < rng.random()
    exact = class_values(mdp, policies, arithmetic="rational").values[0]
    process = petal_process(mdp, policies.table[0], petals, arithmetic="rational")
    assert process.value == exact
    near = petal_process(mdp, policies.table[0], petals)
    assert near.value == pytest.approx(float(exact), abs=1e-12)
    assert (near.transitions.sum(axis=1) <= 1 + 1e-12).all()


def test_without_petals_a_process_is_its_value():
    mdp = model(3, 2)
    policies = PolicyClass.random(1, horizon=3, states=2, seed=0)
    process = petal_process(mdp, policies.table[0], np.zeros((3, 2), bool))
    assert process.transitions.shape == (1, 0)
    assert process.rewards[0] == pytest.approx(class_values(mdp, policies).values[0])


class Kept(Online):
    """Online access that keeps what it handed out."""

    def run(self, policies, count):
        self.played = super().run(policies, count)
        return self.played


@settings(max_examples=10)
@given(st.integers(2, 4), st.integers(1, 3), st.integers(-1, 1), SEEDS)
def test_edges_are_the_weighted_counts(horizon, states, step, seed):
    policies, found = two_tons(horizon, states)
    access = Kept(model(horizon, states, seed), seed=seed)
    rng = np.random.default_rng(seed)
    leader = None if step < 0 else policies.table[len(policies) // 2]
    data = collect(access, found.core, leader, step, 0 if step >= 0 else -1, 40, rng)
    rewards, rows = data.edges(policies, found.core, found.petals)
    played, start = access.played, max(step, 0)
    kept = [i for i in range(40) if step < 0 or played.states[i, step] == 0]
    assert data.kept == data.counts.sum() == len(kept)
    if not kept:
        assert not rewards.any()
        assert not rows.any()
        return
    concerned = np.arange(len(policies))
    if step >= 0:
        concerned = np.flatnonzero(found.petals[:, step, 0])
        others = np.setdiff1d(np.arange(len(policies)), concerned)
        assert not rewards[others].any()
        assert not rows[others].any()
    for p in rng.permutation(concerned)[:6]:
        earned, flow = 0.0, np.zeros(horizon * states)
        for i in kept:
            ends = [
                h
                for h in range(start, horizon)
                if found.petals[p, h, played.states[i, h]] and (step < 0 or h > step)
            ]
            end = ends[0] if ends else horizon
            steps = range(start, end)
            taken = [played.actions[i, h] for h in steps]

            def agrees(table, i=i, steps=steps, taken=taken):
                return [table[h, played.states[i, h]] for h in steps] == taken

            if agrees(policies.table[p]):
                share = np.mean([agrees(table) for table in found.core.table])
                assert share >= 1 / len(found.core)
                earned += sum(played.rewards[i, h] for h in steps) / share
                if ends:
                    flow[end * states + played.states[i, end]] += 1 / share
        assert rewards[p] == pytest.approx(earned / len(kept))
        np.testing.assert_allclose(rows[p], flow / len(kept), atol=1e-12)


def test_processes_come_near_the_exact_ones():
    policies, found = two_tons(3, 2)
    mdp = model(3, 2, 5)
    result = popler(
        Online(mdp, seed=0),
        policies,
        found.core,
        found.petals,
        parameters=PoplerParameters(60_000, 60_000, 0.01),
    )
    for p, table in enumerate(policies.table):
        exact = petal_process(mdp, table, found.petals[p])
        near = result.process(p)
        np.testing.assert_array_equal(near.petals, exact.petals)
        # Six standard deviations of means of terms in [0, K], of second moment at most K; a petal
        # keeps a tenth of its episodes at the least.
        assert min(data.kept for data in result.identified) >= 6000
        wide = 6 * np.sqrt(len(found.core) / 6000)
        np.testing.assert_allclose(near.transitions, exact.transitions, atol=wide)
        np.testing.assert_allclose(near.rewards, exact.rewards, atol=wide)
        assert result.values[p] == pytest.approx(np.clip(near.value, 0, 1), abs=0.02)
    assert abs(result.values - class_values(mdp, policies).values).max() <= 0.05


def test_identified_petals_are_those_that_policies_reach():
    policies, found = two_tons(3, 2)
    kernel = np.zeros((3, 2, 2, 2))
    kernel[..., 0] = 1.0
    # State 1 is reached by action 1 from state 0 at step 0, and never at step 2.
    kernel[0, 0, 1] = [0.0, 1.0]
    mdp = EpisodicMDP(kernel, np.zeros((3, 2, 2)), np.array([1.0, 0.0]))
    result = popler(
        Online(mdp, seed=0),
        policies,
        found.core,
        found.petals,
        parameters=PoplerParameters(2000, 500, 0.2),
    )
    seen = {(data.step, data.state) for data in result.identified}
    reach = occupancies(mdp, policies).sum(axis=3)
    want = {tuple(map(int, c)) for c in np.argwhere((found.petals & (reach > 0.9)).any(axis=0))}
    assert seen == want
    for data in result.identified:
        assert reach[data.policy, data.step, data.state] == 1.0
        assert data.kept == 500


def lock():
    """Only a policy with ones at the active states of layers 0 and 1 is paid."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[..., 0] = 1.0
    kernel[0, 0, 0] = [0.0, 1.0]
    rewards = np.zeros((2, 2, 2))
    rewards[1, 0, 1] = 1.0
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def test_a_missing_petal_loses_the_best_policy():
    policies, found = two_tons(2, 2)
    truth = class_values(lock(), policies)
    assert truth.best_value == 1.0
    few = PoplerParameters(3000, 3000, 0.1)
    right = popler(Online(lock(), seed=0), policies, found.core, found.petals, parameters=few)
    assert truth.values[right.best] == 1.0
    assert right.values.max() == pytest.approx(1.0, abs=0.1)
    wrong = popler(
        Online(lock(), seed=0),
        policies,
        found.core,
        np.zeros_like(found.petals),
        parameters=few,
    )
    # No core policy plays 1 twice: the trajectory that pays is never seen.
    assert wrong.values.max() == 0.0


def coin():
    """Two steps of one state: only action 1 at both is worth much."""
    rewards = np.zeros((2, 1, 2))
    rewards[1, 0] = [0.0, 0.98]
    return EpisodicMDP(np.ones((2, 1, 2, 1)), rewards)


def test_the_guarantee_without_petals_holds_over_1000_runs():
    policies = PolicyClass.singletons(horizon=2, states=2)
    found = layer_core(policies)
    assert found.petal_count == 0
    truth = class_values(contrast(), policies).values
    assert truth.max() - truth.min() > 0.3
    results = {}

    def run(seed):
        results[seed] = popler(
            Online(contrast(), seed=seed, rewards="bernoulli"),
            policies,
            found.core,
            found.petals,
            accuracy=0.3,
            confidence=0.8,
            seed=seed + 10**6,
        )
        return results[seed]

    interval = failure_frequency(run, truth, accuracy=0.3).interval
    assert interval.upper <= 0.2
    off = sum(abs(result.values - truth).max() > 0.15 for result in results.values())
    assert clopper_pearson(int(off), 1000).upper <= 0.2


@pytest.mark.slow
def test_the_guarantee_with_petals_holds_over_1000_runs():
    policies = PolicyClass.open_loop(horizon=2, states=1)
    found = constant_core(policies)
    assert is_sunflower(policies, found.core, found.petals)
    assert (found.core_size, found.petal_count) == (2, 1)
    truth = class_values(coin(), policies).values

    def run(seed):
        return popler(
            Online(coin(), seed=seed, rewards="bernoulli"),
            policies,
            found.core,
            found.petals,
            accuracy=0.95,
            confidence=0.8,
            seed=seed + 10**6,
        )

    assert truth.max() - truth.min() > 0.95
    assert failure_frequency(run, truth, accuracy=0.95).interval.upper <= 0.2


def test_parameters_have_the_orders_of_the_theory():
    base = {"policies": 10, "core": 3, "petals": 2, "accuracy": 0.1, "confidence": 0.9}
    one = popler_parameters(**base)
    finer = popler_parameters(**(base | {"accuracy": 0.05}))
    wider = popler_parameters(**(base | {"core": 6}))
    assert finer.start_episodes == pytest.approx(4 * one.start_episodes, rel=1e-6)
    assert finer.petal_episodes == pytest.approx(8 * one.petal_episodes, rel=1e-6)
    assert wider.start_episodes == pytest.approx(4 * one.start_episodes, rel=1e-6)
    assert one.threshold == pytest.approx(0.1 / 6)
    # Error of the process, and of reach, by Hoeffding with the logarithm of the docstring.
    logarithm = np.log(2**5 * 10 * 3 / 0.1)
    error = 3 * 2 * 3 * np.sqrt(logarithm / (2 * one.start_episodes))
    assert error == pytest.approx(0.1 / 12, rel=1e-6)
    # What is lost: petals left out, the errors of their reach, of the best and of the chosen value.
    assert 2 * (one.threshold + error) + 2 * error <= 0.1
    # Kept of each petal: half of the expected number.
    assert one.petal_episodes * (one.threshold - error) / 2 >= one.start_episodes * (1 - 1e-6)
    plain = popler_parameters(**(base | {"petals": 0}))
    assert plain.start_episodes == np.ceil(2 * 9 * np.log(200) / 0.01)


def test_equal_seeds_give_equal_results():
    policies, found = two_tons(2, 2)
    few = PoplerParameters(200, 200, 0.05)
    results = [
        popler(
            Online(model(2, 2), seed=3), policies, found.core, found.petals, parameters=few, seed=4
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(results[0].values, results[1].values)
    assert isinstance(results[0].process(0), PetalProcess)


def run(access=None, **changes):
    policies, found = two_tons(2, 2)
    given = {
        "policies": policies,
        "core": found.core,
        "petals": found.petals,
        "parameters": PoplerParameters(10, 10, 0.1),
    } | changes
    return popler(access or Online(model(2, 2), seed=0), **given)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: run(Generative(model(2, 2), seed=0)), TypeError, "access is Generative"),
        (lambda: run(Online(model(3, 2), seed=0)), ValueError, "policies has"),
        (lambda: run(petals=np.zeros((1, 2, 2), bool)), ValueError, "petals has shape"),
        (lambda: run(petals=[[[0]]]), ValueError, "expected booleans"),
        (
            lambda: run(core=PolicyClass.constant(horizon=3, states=2)),
            ValueError,
            "core has layers",
        ),
        (lambda: run(accuracy=0.1), ValueError, "one of accuracy and parameters"),
        (lambda: run(parameters=None), ValueError, "one of accuracy and parameters"),
        (lambda: run(parameters=None, accuracy=1.5), ValueError, "accuracy is 1.5"),
        (
            lambda: run(parameters=None, accuracy=0.5, confidence=0.0),
            ValueError,
            "confidence is 0.0",
        ),
        (lambda: run(parameters=PoplerParameters(0, 1, 0.1)), ValueError, "start_episodes"),
        (lambda: run(parameters=PoplerParameters(1, 0, 0.1)), ValueError, "petal_episodes"),
        (lambda: run(parameters=PoplerParameters(1, 1, -0.1)), ValueError, "threshold"),
        (
            lambda: petal_process(model(2, 2), np.zeros((2, 3), int), np.zeros((2, 2), bool)),
            ValueError,
            "policy has shape",
        ),
        (
            lambda: petal_process(model(2, 2), np.full((2, 2), 2), np.zeros((2, 2), bool)),
            ValueError,
            "actions outside",
        ),
        (
            lambda: petal_process(
                model(2, 2), np.zeros((2, 2), int), np.zeros((2, 2), bool), arithmetic="x"
            ),
            ValueError,
            "arithmetic is 'x'",
        ),
    ],
)
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
