"""Nothing that a run samples goes uncounted: counters against what was drawn and handed out."""

import inspect

import numpy as np
import pytest
from guarantee_offline import MIXED
from guarantee_worlds import arms, contrast, walk
from metered import Meter

from rltheory.linear_mdp import memory
from rltheory.linear_mdp.actor_critic import (
    collect_offline,
    douhua,
    hybrid_nora,
    hybrid_q,
    hybrid_ucbvi,
    linear_nora,
    noah,
    nora,
    optimistic_npg,
    q_learning_ucb,
    q_learning_ucb_b,
    rare_ucbvi,
    tabular_lsvi_ucb,
    ucbvi,
)
from rltheory.linear_mdp.function_classes import ALGORITHMS, complete_class, run_finite
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.rules import Settings, world_of
from rltheory.tabular import agnostic
from rltheory.tabular.agnostic import Generative, Hybrid, PolicyClass, constant_core
from rltheory.tabular.agnostic.popler import PoplerParameters


class SeenHybrid(Hybrid):
    """Hybrid access that keeps count, by itself, of all that it hands out."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.begun = self.drawn = self.chosen = self.handed = 0

    def run(self, policies, count):
        found = super().run(policies, count)
        self.begun += len(found.states)
        self.handed += found.states.size
        return found

    def run_from_reset(self, h, policies, count):
        found = super().run_from_reset(h, policies, count)
        self.drawn += len(found.states)
        self.handed += found.states.size
        return found

    def run_from(self, h, states, policies):
        found = super().run_from(h, states, policies)
        self.chosen += len(found.states)
        self.handed += found.states.size
        return found


class SeenGenerative(Generative):
    """Generative access that keeps count, by itself, of all that it hands out."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.begun = self.paid = self.followed = 0

    def sample(self, h, states, actions):
        following, paid = super().sample(h, states, actions)
        self.paid += len(paid)
        self.followed += int((following >= 0).sum())
        return following, paid

    def start(self, count):
        found = super().start(count)
        self.begun += len(found)
        return found


EVERY = PolicyClass.tabular(horizon=2, states=2)
CORE = constant_core(EVERY)
LEARNERS = {
    "trajectory_tree_erm": {"trees": 30},
    "importance_sampling_erm": {"episodes": 50, "seed": 1},
    "popler": {
        "core": CORE.core,
        "petals": CORE.petals,
        "parameters": PoplerParameters(80, 60, 0.05),
        "seed": 1,
    },
    "psdp": {"resets_per_layer": 40, "seed": 1},
    "cpi": {"rollouts": 60, "seed": 1, "tolerance": 0.01, "max_iterations": 20},
    "policy_emulator": {"accuracy": 0.5, "observations": 6},
}


def test_every_learner_with_an_access_is_counted():
    public = [getattr(agnostic, name) for name in agnostic.__all__]
    first = {
        f.__name__: next(iter(inspect.signature(f).parameters))
        for f in public
        if inspect.isfunction(f)
    }
    assert {name for name, argument in first.items() if argument == "access"} == set(LEARNERS)


@pytest.mark.parametrize("rewards", ["mean", "bernoulli"])
@pytest.mark.parametrize("name", LEARNERS)
def test_counters_are_what_was_handed_out_and_nothing_more_was_drawn(name, rewards):
    meter, learner = Meter(3), getattr(agnostic, name)
    if name == "trajectory_tree_erm":
        access = SeenGenerative(contrast(), seed=meter, rewards=rewards)
        found = learner(access, EVERY, **LEARNERS[name])
        assert access.samples == access.calls == access.begun + access.paid > 0
        assert (access.episodes, access.steps, access.resets) == (0, 0, 0)
        noise = access.paid if rewards == "bernoulli" else 0
        assert meter.given == access.begun + access.followed + noise
    else:
        access = SeenHybrid(contrast(), np.full((2, 2), 0.5), seed=meter, rewards=rewards)
        found = learner(access, EVERY, **LEARNERS[name])
        assert access.episodes == access.begun
        assert access.resets == access.drawn + access.chosen
        assert access.steps == access.handed > 0
        assert access.samples == access.steps + access.resets
        # A state for each step, but for those where a roll-out was put.
        noise = access.steps if rewards == "bernoulli" else 0
        assert meter.given == access.steps - access.chosen + noise
    assert getattr(found, "samples", access.samples) == access.samples


MDP = walk()
DATA = collect_offline(MDP, [np.full(MDP.rewards.shape, 0.5)], episodes=70, seed=0)
ONLINE = {
    "nora": nora, "douhua": douhua, "ucbvi": ucbvi, "rare_ucbvi": rare_ucbvi,
    "tabular_lsvi_ucb": tabular_lsvi_ucb, "q_learning_ucb": q_learning_ucb,
    "q_learning_ucb_b": q_learning_ucb_b,
}  # fmt: skip
FROM_DATA = {
    "hybrid_nora": hybrid_nora, "hybrid_ucbvi": hybrid_ucbvi, "hybrid_q": hybrid_q, "noah": noah
}  # fmt: skip


@pytest.mark.parametrize("name", ONLINE)
@pytest.mark.parametrize("episodes", [1, 300])
def test_visits_are_a_step_of_every_layer_for_every_episode(name, episodes):
    run = ONLINE[name](MDP, episodes=episodes, seed=1)
    assert run.visits.sum(axis=(1, 2)).tolist() == [episodes] * MDP.horizon
    assert run.episodes == len(run.returns) == episodes
    assert run.returns.sum() == pytest.approx((run.visits * MDP.rewards).sum(), rel=1e-12)


@pytest.mark.parametrize("name", FROM_DATA)
def test_visits_are_those_of_the_data_and_of_every_episode(name):
    run = FROM_DATA[name](MDP, DATA, episodes=40, seed=1)
    online = run.visits - DATA.pairs
    assert online.min() >= 0
    assert online.sum(axis=(1, 2)).tolist() == [40] * MDP.horizon
    assert run.returns.sum() == pytest.approx((online * MDP.rewards).sum(), rel=1e-12)


def test_data_thrown_away_are_counted_as_episodes():
    run = optimistic_npg(MDP, batch=16, episodes=50, seed=1)
    # Three batches are used up, and two episodes are not.
    assert run.switches.tolist() == [0, 16, 32, 48]
    assert run.visits.sum(axis=(1, 2)).tolist() == [2] * MDP.horizon
    assert run.episodes == len(run.returns) == 50


@pytest.mark.parametrize("name", ALGORITHMS)
def test_finite_classes_count_every_step(name):
    functions = complete_class(MDP, 5, seed=2)
    run = run_finite(
        MDP, functions, name, episodes=30, seed=1, visits=DATA.visits, paid=DATA.paid(MDP)
    )
    online = run.visits - DATA.visits
    assert online.sum(axis=(1, 2, 3)).tolist() == [30] * MDP.horizon
    np.testing.assert_allclose(run.paid, run.visits.sum(axis=-1) * MDP.rewards, rtol=1e-12)
    # The caller's data are not added to.
    assert DATA.visits.sum() == 70 * MDP.horizon


def test_offline_data_are_all_of_their_episodes():
    assert DATA.visits.sum(axis=(1, 2, 3)).tolist() == [70] * MDP.horizon
    first = collect_offline(arms(), [np.full((2, 2, 2), 0.5)], episodes=9, seed=0).visits
    assert first[0, 0].sum() == first[1].sum() == 9


def test_linear_learners_count_every_step():
    run = linear_nora(MIXED, episodes=25, seed=0)
    assert run.visits.sum(axis=(1, 2)).tolist() == [25] * 3
    rule = Settings(name="LSVI-UCB", bonus=1.0, bonus_form="elliptical", known_rewards=False)
    begun = memory.empty(MIXED, 1.0, norms=True)
    learner = Learner(world_of(MIXED), rule.rule(MIXED, None), begun)
    learner.play(np.random.default_rng(0).random((25, 10)))
    assert learner.memory.counts[:, 1].tolist() == [25] * 3
    # Each visit is counted by where it led, with features that sum to 1.
    np.testing.assert_allclose(learner.memory.cross.sum(axis=(1, 2)), 25, rtol=1e-12)
