"""Access models: what they hand out has the MDP's law, and no draw goes uncounted."""

import numpy as np
import pytest
from metered import Meter

from rltheory.tabular.agnostic import (
    Generative,
    Hybrid,
    LocalSimulator,
    Online,
    PolicyClass,
    Resets,
)
from rltheory.tabular.agnostic.importance import importance_sampling_erm
from rltheory.tabular.agnostic.popler import PoplerParameters, popler
from rltheory.tabular.agnostic.trees import trajectory_tree_erm
from rltheory.tabular.mdp import EpisodicMDP


def model(horizon=3, states=3, actions=2, seed=0):
    rng = np.random.default_rng(seed)
    kernel = rng.dirichlet(np.ones(states), (horizon, states, actions))
    rewards = rng.random((horizon, states, actions)) / horizon
    rewards[:-1] = 0.0
    return EpisodicMDP(kernel, rewards, rng.dirichlet(np.ones(states)))


POLICIES = PolicyClass.random(5, horizon=3, states=3, seed=1)


def test_trees_draw_nothing_uncounted():
    meter = Meter(0)
    access = Generative(model(), seed=meter, rewards="bernoulli")
    result = trajectory_tree_erm(access, POLICIES, trees=40)
    nodes = result.nodes.sum(axis=0)
    # A start for each tree, a reward for each node, a successor for each but in the last layer.
    assert meter.given == 40 + nodes.sum() + nodes[:-1].sum()
    assert result.samples == access.samples == 40 + nodes.sum()


def test_importance_sampling_draws_nothing_uncounted():
    meter = Meter(0)
    access = Online(model(), seed=meter, rewards="bernoulli")
    result = importance_sampling_erm(access, POLICIES, episodes=50)
    # For each step a state and a reward.
    assert meter.given == 2 * access.steps == 2 * 50 * 3
    assert result.samples == access.samples == 150
    assert access.episodes == result.repetitions == 50


def test_popler_draws_nothing_uncounted():
    meter = Meter(0)
    access = Online(model(), seed=meter, rewards="bernoulli")
    result = popler(
        access,
        POLICIES,
        PolicyClass.constant(horizon=3, states=3),
        np.ones(POLICIES.table.shape, dtype=bool),
        parameters=PoplerParameters(300, 200, 0.01),
    )
    assert len(result.identified) == 9
    assert result.episodes == access.episodes == 300 + 9 * 200
    assert meter.given == 2 * access.steps == 2 * 3 * result.episodes
    assert result.samples == access.steps


def test_resets_draw_nothing_uncounted():
    meter = Meter(0)
    reset = np.full((3, 3), 1 / 3)
    access = Hybrid(model(), reset, seed=meter, rewards="bernoulli")
    played = access.run(POLICIES.table[0], 10)
    assert (access.episodes, access.steps, meter.given) == (10, 30, 60)
    access.run_from_reset(1, POLICIES.table[0], 7)
    assert (access.resets, access.steps, meter.given) == (7, 44, 88)
    # Resets to seen states draw no state of their own.
    access.run_from(2, played.states[:4, 2], POLICIES.table[0])
    assert (access.resets, access.steps, meter.given) == (11, 48, 92)
    assert access.samples == 59


def test_states_actions_and_rewards_have_the_law_of_the_mdp():
    mdp, table = model(), POLICIES.table[0]
    played = Online(mdp, seed=3, rewards="bernoulli").run(table, 40_000)
    law = mdp.initial
    for h in range(3):
        shares = np.bincount(played.states[:, h], minlength=3) / 40_000
        # Six standard deviations of a binomial share.
        assert (abs(shares - law) <= 6 * np.sqrt(law * (1 - law) / 40_000) + 1e-12).all()
        np.testing.assert_array_equal(played.actions[:, h], table[h, played.states[:, h]])
        paid = mdp.rewards[h, np.arange(3), table[h]]
        mean = law @ paid
        spread = np.sqrt(mean * (1 - mean) / 40_000)
        assert abs(played.rewards[:, h].mean() - mean) <= 6 * spread
        law = law @ mdp.transitions[h, np.arange(3), table[h]]


def test_a_simulator_has_the_law_of_the_mdp():
    mdp = model()
    access = Generative(mdp, seed=2)
    states, actions = np.full(30_000, 1), np.full(30_000, 1)
    following, paid = access.sample(1, states, actions)
    law = mdp.transitions[1, 1, 1]
    shares = np.bincount(following, minlength=3) / 30_000
    assert (abs(shares - law) <= 6 * np.sqrt(law * (1 - law) / 30_000)).all()
    assert (paid == mdp.rewards[1, 1, 1]).all()
    assert (access.sample(2, states, actions)[0] == -1).all()
    assert access.calls == 60_000


def test_equal_seeds_give_equal_runs():
    runs = [Online(model(), seed=5).run(POLICIES.table[0], 20) for _ in range(2)]
    for name in ("states", "actions", "rewards"):
        np.testing.assert_array_equal(getattr(runs[0], name), getattr(runs[1], name))


def test_a_local_simulator_knows_only_what_was_seen():
    kernel = np.zeros((2, 2, 2, 2))
    kernel[..., 0] = 1.0
    mdp = EpisodicMDP(kernel, np.zeros((2, 2, 2)), np.array([1.0, 0.0]))
    access = LocalSimulator(mdp, seed=0)
    table = np.zeros((2, 2), dtype=int)
    with pytest.raises(ValueError, match="state 0 was not seen at step 1"):
        access.run_from(1, np.array([0]), table)
    access.run(table, 1)
    assert access.run_from(1, np.array([0]), table).start == 1
    with pytest.raises(ValueError, match="state 1 was not seen at step 1"):
        access.run_from(1, np.array([0, 1]), table)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Online(model(), seed=0, rewards="some"), "rewards is 'some'"),
        (lambda: Resets(model(), np.ones((3, 3)), seed=0), "reset"),
        (lambda: Online(model(), seed=0).run(np.zeros((2, 3), int), 1), "policies has shape"),
        (lambda: Online(model(), seed=0).run(np.full((3, 3), 2), 1), "actions outside 0 to 1"),
        (
            lambda: Generative(model(), seed=0).sample(3, np.zeros(1, int), np.zeros(1, int)),
            "step is 3",
        ),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
