"""Emulators against loops over paths; learnt ones against the exact values of every policy."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rltheory.tabular.agnostic import Hybrid, PolicyClass, Resets, class_values
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.emulator import Emulator, emulator_error, ideal_emulator
from rltheory.tabular.agnostic.plhr import policy_emulator
from rltheory.tabular.mdp import EpisodicMDP

ACCURACY = 0.25


def lock(horizon=3, slip=0.1):
    """A lock of two latent states: one action of each step stays on the way, which pays at last."""
    kernel = np.zeros((horizon, 2, 2, 2))
    kernel[:, 1] = [slip, 1 - slip]
    rewards = np.zeros((horizon, 2, 2))
    for h in range(horizon):
        kernel[h, 0, h % 2] = [1 - slip, slip]
        kernel[h, 0, 1 - h % 2] = [slip, 1 - slip]
    rewards[-1, 1], rewards[-1, 0, (horizon - 1) % 2] = 0.2, 1.0
    return EpisodicMDP(kernel, rewards, [1.0, 0.0])


@pytest.fixture(scope="module")
def rich():
    """A lock of 60 observations a step, 64 latent policies and 100 of observations."""
    block = BlockMDP.rich(lock(), 30, seed=1)
    latent = block.lifted(PolicyClass.tabular(horizon=3, states=2))
    seen = PolicyClass.random(100, horizon=3, states=60, seed=3)
    return block, block.observed(), latent, latent.union(seen)


def random_emulator(rng, horizon, states, actions, observations):
    model = EpisodicMDP(
        rng.dirichlet(np.ones(states), size=(horizon, states, actions)),
        rng.random((horizon, states, actions)),
        rng.dirichlet(np.ones(states)),
    )
    return Emulator(model, rng.integers(observations, size=(horizon, states)))


def path_value(model, names, table, start, first=None):
    """The sum over all paths from step `start`: (n,) values, an action taken first if given."""
    states = range(model.states)
    values = np.zeros(model.states)
    for path in product(states, repeat=model.horizon - start):
        chance, earned = 1.0, 0.0
        for t, s in enumerate(path):
            h = start + t
            action = first if t == 0 and first is not None else table[h, names[h, s]]
            earned += model.rewards[h, s, action]
            if t + 1 < len(path):
                chance *= model.transitions[h, s, action, path[t + 1]]
        values[path[0]] += chance * earned
    return values


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1))
def test_emulated_values_are_sums_over_paths(seed):
    rng = np.random.default_rng(seed)
    emulator = random_emulator(rng, 3, 2, 2, 5)
    policies = PolicyClass.random(4, horizon=3, states=5, seed=seed)
    model, names = emulator.model, emulator.observations
    want = [path_value(model, names, t, 0) @ model.initial for t in policies.table]
    np.testing.assert_allclose(emulator.values(policies), want, atol=1e-13)
    for step, a in product(range(3), range(2)):
        found = emulator.action_values(policies, step)[:, :, a]
        want = [path_value(model, names, t, step, a) for t in policies.table]
        np.testing.assert_allclose(found, want, atol=1e-13)


@given(st.integers(0, 2**32 - 1))
def test_an_emulator_of_all_states_has_no_error(seed):
    rng = np.random.default_rng(seed)
    block = BlockMDP.rich(random_emulator(rng, 2, 2, 2, 2).model, 3, seed=seed)
    policies = PolicyClass.random(20, horizon=2, states=6, seed=seed)
    everything = np.broadcast_to(np.arange(6), (2, 6))
    same = Emulator(block.observed(), everything)
    assert emulator_error(block.observed(), policies, same) == pytest.approx(0, abs=1e-13)
    # All observations stand for their latent states: nothing is wrong in the ideal one either.
    ideal = ideal_emulator(block, everything)
    assert emulator_error(block.observed(), policies, ideal) == pytest.approx(0, abs=1e-13)


def test_the_ideal_emulator_has_no_error_on_latent_policies_and_some_on_others(rich):
    block, world, latent, policies = rich
    names = np.stack([[np.flatnonzero(row == s)[0] for s in (0, 1)] for row in block.decoder])
    ideal = ideal_emulator(block, names)
    assert emulator_error(world, latent, ideal) == pytest.approx(0, abs=1e-13)
    assert emulator_error(world, policies, ideal) > 0.3
    few = PolicyClass(latent.table[[5, 22]], 2)
    assert emulator_error(world, few, ideal, arithmetic="rational") < 1e-13


def test_an_emulator_with_one_wrong_block_fails_on_latent_policies(rich):
    block, world, latent, _ = rich
    names = np.stack([[np.flatnonzero(row == s)[0] for s in (0, 1)] for row in block.decoder])
    names[1] = names[1][::-1]
    right = ideal_emulator(block, names)
    kernels, rewards = right.model.transitions.copy(), right.model.rewards.copy()
    kernels[1], rewards[1] = kernels[1, ::-1], rewards[1, ::-1]
    wrong = Emulator(EpisodicMDP(kernels, rewards, right.model.initial), right.observations)
    assert emulator_error(world, latent, right) < 1e-13
    assert emulator_error(world, latent, wrong) > 0.3


def learnt(rich, seed, **settings):
    block, world, _, policies = rich
    access = Hybrid(world, block.reset, seed=seed, rewards="bernoulli")
    found = policy_emulator(access, policies, accuracy=ACCURACY, **settings)
    assert found.samples == access.samples
    return found


@pytest.mark.slow
def test_learnt_emulators_are_accurate_and_without_tests_they_are_not(rich):
    _, world, _, policies = rich
    true = class_values(world, policies).values
    runs, accurate, chosen, blind = 60, 0, 0, 0
    for seed in range(runs):
        found = learnt(rich, seed)
        np.testing.assert_array_equal(found.values, found.emulator.values(policies))
        # The first 64 policies are the latent ones.
        accurate += np.abs(true - found.values)[:64].max() <= ACCURACY / 2
        chosen += true[found.best] >= true.max() - ACCURACY
        control = learnt(rich, seed, rollouts=0)
        assert np.isnan(control.test_error)
        blind += np.abs(true - control.values)[:64].max() <= ACCURACY / 2
    # One-sided Clopper-Pearson limits at 99.9 %.
    for good in (accurate, chosen):
        assert stats.beta.ppf(0.001, good, runs - good + 1) > 0.85
    assert stats.beta.ppf(0.999, blind + 1, runs - blind) < 0.15


@pytest.mark.slow
def test_failures_of_a_thousand_learnt_emulators_are_rare(rich):
    block, world, _, policies = rich
    true = class_values(world, policies).values
    runs, off, poor, mixed = 1000, 0, 0, 0
    for seed in range(runs):
        found = learnt(rich, seed)
        off += np.abs(true - found.values)[:64].max() > ACCURACY / 2
        poor += true[found.best] < true.max() - ACCURACY
        mixed += any(impure(block, found))
    # Failures of at most 1 %, by one-sided Clopper-Pearson limits at 99 %.
    for failures in (off, poor, mixed):
        assert stats.beta.ppf(0.99, failures + 1, runs - failures) < 0.01


def impure(block, found):
    """Whether the blocks of each step hold several latent states."""
    for h, blocks in enumerate(found.blocks):
        decoded = block.decoder[h, found.emulator.observations[h]]
        pairs = set(zip(blocks.tolist(), decoded.tolist(), strict=True))
        yield len(pairs) > len(set(blocks.tolist()))


def test_a_finer_accuracy_tells_more_latent_states_apart():
    errors = {0.4: [], 0.12: []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        model = random_emulator(rng, 3, 3, 2, 1).model
        latent = EpisodicMDP(model.transitions, model.rewards / 3, model.initial)
        block = BlockMDP.rich(latent, 8, seed=seed)
        policies = block.lifted(PolicyClass.random(50, horizon=3, states=3, seed=seed))
        world = block.observed()
        for accuracy, found in errors.items():
            access = Hybrid(world, block.reset, seed=seed, rewards="bernoulli")
            result = policy_emulator(access, policies, accuracy=accuracy)
            found.append(emulator_error(world, policies, result.emulator))
            # Three latent states may be merged at every step, at most that far apart and noise.
            assert found[-1] <= 3 * accuracy
    assert np.mean(errors[0.12]) < np.mean(errors[0.4]) / 1.5


def test_blocks_are_latent_states(rich):
    block, *_ = rich
    # Each block has one latent state; one state may have several blocks.
    assert not any(impure(block, learnt(rich, 5)))


@pytest.mark.slow
def test_more_observations_help_policies_of_observations(rich):
    _, world, _, policies = rich
    means = []
    for count in (8, 96):
        errors = []
        for seed in range(12):
            found = learnt(rich, seed, observations=count)
            errors.append(emulator_error(world, policies, found.emulator))
        means.append(np.mean(errors))
    assert means[1] < means[0] / 1.5


def test_violated_tests_have_steps_built_again(rich):
    found = learnt(rich, 0, draws=1, rollouts=4, refits=2)
    still = learnt(rich, 0, draws=1, rollouts=4, refits=0)
    assert found.refits > 0 == still.refits
    assert found.samples > still.samples
    assert still.violated > 0
    assert still.test_error > ACCURACY


def test_the_same_seed_gives_the_same_emulator(rich):
    first, second = learnt(rich, 9), learnt(rich, 9)
    np.testing.assert_array_equal(first.values, second.values)
    assert first.samples == second.samples


def test_one_step_and_one_observation_are_enough_for_one_state():
    world = EpisodicMDP(np.ones((1, 1, 2, 1)), [[[0.25, 0.75]]])
    access = Hybrid(world, np.ones((1, 1)), seed=0)
    policies = PolicyClass.constant(horizon=1, states=1)
    found = policy_emulator(access, policies, accuracy=0.5, observations=1)
    np.testing.assert_allclose(found.values, [0.25, 0.75])
    assert found.best == 1
    assert found.violated == 0


def test_bad_arguments_are_named(rich):
    block, world, _, policies = rich
    access = Hybrid(world, block.reset, seed=0)
    with pytest.raises(TypeError, match="expected Hybrid"):
        policy_emulator(Resets(world, block.reset, seed=0), policies, accuracy=0.1)
    with pytest.raises(ValueError, match="policies has"):
        policy_emulator(access, PolicyClass.constant(horizon=3, states=2), accuracy=0.1)
    for bad in (
        {"accuracy": 0.0}, {"accuracy": float("nan")}, {"observations": 0}, {"draws": 0},
        {"rollouts": -1}, {"refits": 1.5},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            policy_emulator(access, policies, **({"accuracy": 0.1} | bad))
    model = lock()
    with pytest.raises(ValueError, match="observations has shape"):
        Emulator(model, np.zeros((3, 3), int))
    with pytest.raises(TypeError, match="observations holds float64"):
        Emulator(model, np.zeros((3, 2)))
    emulator = Emulator(model, np.full((3, 2), 70))
    with pytest.raises(ValueError, match="observations has entry 70"):
        emulator.values(policies)
    with pytest.raises(ValueError, match="policies has horizon 2"):
        emulator.values(PolicyClass.constant(horizon=2, states=80))
    with pytest.raises(ValueError, match="step is 3"):
        Emulator(model, np.zeros((3, 2), int)).action_values(policies, 3)
    with pytest.raises(ValueError, match="none of latent state"):
        ideal_emulator(block, np.zeros((3, 1), int))
    with pytest.raises(ValueError, match="observations has shape"):
        ideal_emulator(block, np.zeros((2, 1), int))
    gaps = BlockMDP(model, np.broadcast_to(np.eye(2, 3), (3, 2, 3)))
    with pytest.raises(ValueError, match=r"observations\[0, 2\] is 2, which is never emitted"):
        ideal_emulator(gaps, np.broadcast_to(np.arange(3), (3, 3)))
