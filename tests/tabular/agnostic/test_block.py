"""Block MDPs against their latent MDPs, and against what is written out by hand."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.agnostic.block_mdp import UNSEEN, BlockMDP
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP


def latent_mdp(rng, horizon, states, actions):
    rows = rng.dirichlet(np.full(states, 0.5), size=(horizon, states, actions))
    rewards = rng.random((horizon, states, actions))
    return EpisodicMDP(rows, rewards, rng.dirichlet(np.ones(states)))


@st.composite
def block_mdps(draw, max_states=3, max_each=3):
    """Blocks of different sizes, shuffled names, some never emitted."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    horizon, states = draw(st.integers(1, 3)), draw(st.integers(1, max_states))
    each = draw(st.integers(1, max_each))
    total = states * each + draw(st.integers(0, 2))
    emissions = np.zeros((horizon, states, total))
    for h in range(horizon):
        names = rng.permutation(total)
        for s in range(states):
            own = names[s * each : s * each + int(rng.integers(1, each + 1))]
            emissions[h, s, own] = rng.dirichlet(np.ones(len(own)))
    return BlockMDP(latent_mdp(rng, horizon, states, draw(st.integers(1, 2))), emissions)


def policies_of(block, count, seed=0):
    return PolicyClass.random(
        count,
        horizon=block.latent.horizon,
        states=block.observations,
        actions=block.latent.actions,
        seed=seed,
    )


@given(block_mdps())
def test_the_observed_mdp_is_that_of_loops(block):
    world, latent = block.observed(), block.latent
    for h in range(latent.horizon):
        for x in range(block.observations):
            owners = np.flatnonzero(block.emissions[h, :, x])
            assert block.decoder[h, x] == (owners[0] if len(owners) else UNSEEN)
            if not len(owners):
                continue
            np.testing.assert_array_equal(world.rewards[h, x], latent.rewards[h, owners[0]])
            if h + 1 == latent.horizon:
                continue
            for a, y in product(range(latent.actions), range(block.observations)):
                want = sum(
                    latent.transitions[h, owners[0], a, t] * block.emissions[h + 1, t, y]
                    for t in range(latent.states)
                )
                assert world.transitions[h, x, a, y] == pytest.approx(want, abs=1e-15)


@given(block_mdps())
def test_observations_offer_no_more_than_latent_states(block):
    best = backward_induction(block.latent).values[0] @ block.latent.initial
    seen = backward_induction(block.observed()).values[0] @ block.observed().initial
    assert seen == pytest.approx(best, abs=1e-12)


@given(block_mdps())
def test_latent_policies_are_worth_the_same_lifted(block):
    latent = PolicyClass.random(
        5, horizon=block.latent.horizon, states=block.latent.states,
        actions=block.latent.actions, seed=1,
    )  # fmt: skip
    lifted = block.lifted(latent)
    np.testing.assert_allclose(
        class_values(block.observed(), lifted).values,
        class_values(block.latent, latent).values,
        atol=1e-12,
    )
    assert block.is_latent(lifted).all()


@given(block_mdps())
def test_policies_of_observations_are_worth_their_averages(block):
    policies = policies_of(block, 6)
    averages = block.averaged(policies)
    np.testing.assert_allclose(averages.sum(axis=-1), 1, atol=1e-12)
    want = [
        backward_induction(block.latent, policy=rows / rows.sum(axis=-1, keepdims=True)).values[0]
        @ block.latent.initial
        for rows in averages
    ]
    np.testing.assert_allclose(class_values(block.observed(), policies).values, want, atol=1e-12)
    pure = np.isclose(averages, 0) | np.isclose(averages, 1)
    # Shares of zero and one: all that is emitted calls for one action.
    np.testing.assert_array_equal(block.is_latent(policies), pure.all(axis=(1, 2, 3)))


@given(block_mdps())
def test_mean_emissions_cover_what_follows_at_most_s_times(block):
    world, reset = block.observed(), block.reset
    np.testing.assert_allclose(reset.sum(axis=1), 1, atol=1e-12)
    found = [max(world.initial[x] / reset[0, x] for x in np.flatnonzero(reset[0]))]
    for h in range(1, world.horizon):
        into = world.transitions[h - 1].max(axis=(0, 1))
        found += [into[y] / reset[h, y] for y in np.flatnonzero(reset[h])]
    assert block.pushforward_concentrability() == pytest.approx(max(found), rel=1e-12)
    exact = block.pushforward_concentrability(arithmetic="rational")
    assert isinstance(exact, Fraction)
    assert float(exact) == pytest.approx(max(found), rel=1e-12)
    assert max(found) <= block.latent.states * (1 + 1e-12)


def test_a_reset_that_misses_what_follows_covers_nothing():
    block = BlockMDP.rich(latent_mdp(np.random.default_rng(0), 2, 2, 2), 3, seed=0)
    uniform = np.full((2, 6), 1 / 6)
    assert block.pushforward_concentrability(uniform) == pytest.approx(
        block.pushforward_concentrability(), rel=1e-12
    )
    narrow = uniform.copy()
    narrow[1] = np.eye(6)[0]
    assert block.pushforward_concentrability(narrow) == np.inf


def test_rich_observations_are_shuffled_equal_and_each_of_one_state():
    latent = latent_mdp(np.random.default_rng(3), 3, 2, 2)
    block = BlockMDP.rich(latent, 10, seed=4)
    for h in range(3):
        assert np.bincount(block.decoder[h]).tolist() == [10, 10]
        assert set(np.unique(block.emissions[h])) == {0.0, 0.1}
    assert not np.array_equal(block.decoder[0], block.decoder[1])
    again = BlockMDP.rich(latent, 10, seed=4)
    np.testing.assert_array_equal(block.emissions, again.emissions)


def test_bad_arguments_are_named():
    latent = latent_mdp(np.random.default_rng(0), 2, 2, 2)
    shared = np.full((2, 2, 4), 0.25)
    with pytest.raises(ValueError, match=r"emissions\[0\] gives observation 0 to latent states"):
        BlockMDP(latent, shared)
    with pytest.raises(ValueError, match="emissions has shape"):
        BlockMDP(latent, shared[:1])
    with pytest.raises(ValueError, match=r"emissions\[0, 0\] sums to 2"):
        BlockMDP(latent, np.ones((2, 2, 2)))
    with pytest.raises(TypeError, match="expected an EpisodicMDP"):
        BlockMDP("mdp", shared)
    masked = EpisodicMDP(latent.transitions, np.where([True, False], latent.rewards, -np.inf))
    with pytest.raises(ValueError, match="unavailable"):
        BlockMDP(masked, np.broadcast_to(np.eye(2), (2, 2, 2)))
    block = BlockMDP.rich(latent, 2, seed=0)
    with pytest.raises(ValueError, match="per_state is 0"):
        BlockMDP.rich(latent, 0, seed=0)
    with pytest.raises(ValueError, match="reset has shape"):
        block.pushforward_concentrability(np.ones(4))
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        block.pushforward_concentrability(arithmetic="decimal")
    with pytest.raises(ValueError, match="policies has"):
        block.lifted(PolicyClass.constant(horizon=2, states=3))
    with pytest.raises(ValueError, match="policies has"):
        block.averaged(PolicyClass.constant(horizon=2, states=2))
    with pytest.raises(ValueError, match="policies has"):
        block.is_latent(PolicyClass.constant(horizon=1, states=4))
