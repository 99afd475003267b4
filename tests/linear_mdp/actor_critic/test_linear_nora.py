"""NORA with linear features: against lists of transitions, the tabular loop, plans and files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from actor_critic_reference import PlainLinear, random_world, uniforms, value_of
from hypothesis import given, settings
from hypothesis import strategies as st
from lsvi_reference import random_model

from rltheory.linear_mdp import LinearMDP, load, plan
from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.actor_critic.nora import nora_settings
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings, logarithm
from rltheory.linear_mdp.actor_critic.world import world_of
from rltheory.linear_mdp.memory import population
from rltheory.linear_mdp.offline import Dataset, collect, summarise
from rltheory.tabular import EpisodicMDP

MODEL = random_model(0, fails=False)


def lists(data: Dataset) -> list[list[tuple[int, int, int]]]:
    """Return the transitions of each step."""
    return [
        list(zip(data.states[:, h], data.actions[:, h], data.states[:, h + 1], strict=True))
        for h in range(data.actions.shape[1])
    ]


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 40), st.sampled_from([0, 1, 30]), st.data())
def test_a_run_is_that_of_a_plain_learner(
    seed: int, episodes: int, before: int, data: st.DataObject
) -> None:
    model = random_model(seed, fails=False)
    given: dict[str, Any] = {
        "bonus": data.draw(st.sampled_from([0.0, 0.1, np.array([0.3, 0.0, 0.05])])),
        "step": data.draw(st.sampled_from([0.05, 1.0])),
        "growth": data.draw(st.sampled_from([1.0 + 1e-6, 1.3, 2.0])),
        "reset": data.draw(st.booleans()),
        "ridge": data.draw(st.sampled_from([0.1, 1.0])),
    }
    offline = collect(model, episodes=before, seed=1) if before else None
    run = linear_nora(model, episodes=episodes, seed=seed, offline=offline, **given)
    plain = PlainLinear(model, **given, offline=lists(offline) if offline else ())
    values, returns, switches = plain.run(uniforms(seed, episodes, model.horizon))
    np.testing.assert_allclose(run.values, values, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(run.returns, returns, rtol=1e-12)
    np.testing.assert_array_equal(run.switches, switches)
    np.testing.assert_allclose(run.action_values, plain.q, rtol=1e-8, atol=1e-9)
    live = live_states(model.to_tabular())
    np.testing.assert_allclose(run.policy[live], plain.policy()[live], rtol=1e-6, atol=1e-9)
    met = np.zeros(model.rewards.shape)
    for h, rows in enumerate(plain.data):
        for s, a, _ in rows[before:]:
            met[h, s, a] += 1
    np.testing.assert_array_equal(run.visits, met)


def live_states(mdp: EpisodicMDP) -> np.ndarray:
    """Return which states can occur at each step (H, S)."""
    met = np.zeros(mdp.rewards.shape[:2], dtype=bool)
    met[0] = np.asarray(mdp.initial) > 0
    for h in range(1, mdp.horizon):
        met[h] = (mdp.transitions[h - 1][met[h - 1]] > 0).any(axis=(0, 1))
    return met


def of_pairs(seed: int) -> tuple[EpisodicMDP, LinearMDP]:
    """Return a model and its one-hot form, with values far below what each would clip at."""
    mdp = random_world(seed, sparse=False)
    rewards = np.array(mdp.rewards) / 3
    rewards[:, 0, 0] = 1.0
    mdp = EpisodicMDP(mdp.transitions, rewards, mdp.initial)
    return mdp, LinearMDP.from_tabular(mdp)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 300), st.booleans(), st.booleans(), st.integers(0, 40))
def test_with_a_feature_for_each_pair_it_is_the_tabular_loop(
    seed: int, episodes: int, optimism: bool, reset: bool, before: int
) -> None:
    mdp, model = of_pairs(seed)
    world = world_of(mdp)
    known = nora_settings(
        switch="determinant", step=0.5, reset=reset, optimism=optimism, scale=0.01
    )
    tabular = Settings(**{**vars(known), "ridge": 1.0})
    bonus = 0.01 * optimism * world.ceilings[1:] * np.sqrt(logarithm(world, episodes, 0.05))
    offline = counts = None
    if before:
        offline, counts = collect(model, episodes=before, seed=2), np.zeros(mdp.transitions.shape)
        for h, rows in enumerate(lists(offline)):
            for row in rows:
                counts[(h, *row)] += 1
    run = run_actor_critic(mdp, tabular, episodes=episodes, seed=seed, offline=counts)
    linear = linear_nora(
        model, bonus=bonus, step=0.5, reset=reset, episodes=episodes, seed=seed, offline=offline
    )
    np.testing.assert_array_equal(linear.switches, run.switches)
    for name in ("values", "promises", "returns"):
        np.testing.assert_allclose(getattr(linear, name), getattr(run, name), rtol=1e-9)
    np.testing.assert_allclose(linear.action_values, run.action_values, rtol=1e-9, atol=1e-12)
    seen = 0 if counts is None else counts.sum(axis=-1)
    np.testing.assert_array_equal(linear.visits + seen, run.visits)
    if not before:
        assert linear.bound == pytest.approx(run.bound)


@pytest.mark.parametrize("seed", range(3))
def test_in_the_limit_of_much_offline_data_the_critic_is_the_plan(seed: int) -> None:
    model = random_model(seed, fails=False)
    exact = plan(model)
    everything = population(model, np.full(model.rewards.shape, 1e18), norms=True)
    gram = everything.gram.copy()
    run = linear_nora(model, offline=everything, step=50.0, bonus=1.0, episodes=600, seed=0)
    np.testing.assert_allclose(run.action_values, exact.action_values, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(run.switches, [0])
    assert run.bound < 1.001
    # The first policy is uniform; after j steps on Q* each step loses at most log A / (50 j).
    uniform = value_of(model.to_tabular(), np.full(model.rewards.shape, 1 / model.actions))
    assert run.values[0] == pytest.approx(uniform, rel=1e-12)
    lag = model.horizon * np.log(model.actions) / (50 * np.arange(1, 600))
    assert (run.suboptimality[1:] <= lag + 1e-7).all()
    # The caller's memory is not written to.
    np.testing.assert_array_equal(everything.gram, gram)


@pytest.mark.parametrize("seed", range(3))
def test_more_offline_data_bring_the_critic_nearer_to_the_plan(seed: int) -> None:
    model = random_model(seed, fails=False)
    exact = plan(model).action_values
    off = []
    for episodes in (100, 10_000, 100_000):
        data = collect(model, episodes=episodes, seed=seed)
        run = linear_nora(model, offline=data, bonus=0.0, episodes=1, seed=0)
        off.append(float(np.abs(run.action_values - exact).max()))
    # Errors of means fall as the root of their number, here within a factor of 3.
    assert off[1] < 0.3 * off[0]
    assert off[2] < min(off[1], 0.1 * off[0])


def test_offline_data_of_a_lock_spare_the_search() -> None:
    lock = load("linear_lock", length=5, actions=4, seed=1)
    assert isinstance(lock, LinearMDP)
    best = plan(lock).policy
    data = collect(lock, 0.5 * best + 0.5 / lock.actions, episodes=2000, seed=3)
    given: dict[str, Any] = {"bonus": 0.5, "step": 5.0, "episodes": 1000, "seed": 0}
    cold, warm = linear_nora(lock, **given), linear_nora(lock, offline=data, **given)
    assert (cold.algorithm, warm.algorithm) == ("linear NORA", "hybrid linear NORA")
    assert warm.regret[-1] < 0.2 * cold.regret[-1]
    same(warm, linear_nora(lock, offline=summarise(lock, data, ridge=1.0, norms=True), **given))
    # The data alone decide without a bonus.
    blind = linear_nora(lock, offline=data, **given | {"bonus": 0.0})
    assert blind.suboptimality[-1] < 0.05


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("before", [0, 50])
def test_switches_are_few_and_the_policy_is_uniform_then(seed: int, before: int) -> None:
    model = random_model(seed, fails=False)
    offline = collect(model, episodes=before, seed=seed) if before else None
    run = linear_nora(model, episodes=300, step=0.05, seed=seed, offline=offline)
    steps = 300 - int(run.switches[-1])
    weights = np.exp(0.05 * steps * run.action_values)
    live = live_states(model.to_tabular())
    expected = (weights / weights.sum(-1, keepdims=True))[live]
    np.testing.assert_allclose(run.policy[live], expected, rtol=1e-9)
    d, H = 3, model.horizon
    most = np.square(model.features).sum(-1).max()
    if offline is None:
        assert run.bound == pytest.approx(1 + H * d * np.log2(1 + 300 * most / d))
    assert 1 <= len(run.switches) <= run.bound < 300
    uniform = value_of(model.to_tabular(), np.full(run.policy.shape, 1 / model.actions))
    np.testing.assert_allclose(run.values[run.switches], uniform, rtol=1e-12)


def test_optimism_opens_a_lock_of_linear_features() -> None:
    lock = load("linear_lock", length=5, actions=4, seed=1)
    assert isinstance(lock, LinearMDP)
    found = linear_nora(lock, bonus=0.5, step=5.0, episodes=1000, seed=0)
    blind = linear_nora(lock, bonus=0.0, step=5.0, episodes=1000, seed=0)
    assert found.suboptimality[-1] < 0.05
    assert blind.regret[-1] > 0.89 * 1000
    assert found.regret[-1] < 0.2 * blind.regret[-1]


def same(one: ActorCriticRun, other: ActorCriticRun) -> None:
    """Assert that two runs are the same to the last bit."""
    for name in ("values", "promises", "returns", "switches", "action_values", "policy", "visits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"episodes": 21},
        {"bonus": 0.2},
        {"bonus": [0.1, 0.1, 0.2]},
        {"step": 2.0},
        {"growth": 3.0},
        {"reset": False},
        {"ridge": 2.0},
        {"offline": collect(MODEL, episodes=2, seed=0)},
        {"model": random_model(1, fails=False)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_file_of_another_run_is_refused_and_kept(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    save = tmp_path / "run.npz"
    run: dict[str, Any] = {"model": MODEL, "episodes": 20, "seed": 0, "save": save}
    linear_nora(**run)
    kept = save.read_bytes()
    with pytest.raises(ValueError, match="holds a run of another model, algorithm or setting"):
        linear_nora(**(run | change))
    assert save.read_bytes() == kept


@pytest.mark.parametrize("name", ["seen", "counts"])
def test_a_file_that_would_lead_out_of_bounds_is_refused(tmp_path: Path, name: str) -> None:
    save = tmp_path / "run.npz"
    linear_nora(MODEL, episodes=20, seed=0, save=save)
    kept = dict(np.load(save))
    kept[name] = np.full_like(kept[name], 99)
    np.savez(save, **kept)
    with pytest.raises(ValueError, match=f"does not hold a run of an actor-critic: {name} is"):
        linear_nora(MODEL, episodes=20, seed=0, save=save)


BAD_DATA = Dataset(np.zeros((2, 3), int), np.zeros((2, 2), int), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model is 3; expected a LinearMDP"),
        ({"growth": 1.0}, ValueError, "growth is 1.0"),
        ({"growth": np.nan}, ValueError, "growth is nan"),
        ({"step": -1.0}, ValueError, "step is -1.0"),
        ({"step": None}, TypeError, "step must be a real number; got None"),
        ({"bonus": -1.0}, ValueError, "bonus is -1.0"),
        ({"bonus": np.inf}, ValueError, "bonus"),
        ({"bonus": [1.0, 2.0]}, ValueError, r"bonus has shape \(2,\); expected a number or \(3,\)"),
        ({"ridge": 0.0}, ValueError, "ridge is 0"),
        ({"episodes": 0}, ValueError, "episodes is 0"),
        ({"reset": 2}, TypeError, "reset is 2"),
        ({"offline": 3}, TypeError, "offline is 3; expected a Dataset, or its memory"),
        ({"offline": BAD_DATA}, ValueError, "data has episodes of 2 steps; expected 3"),
        ({"offline": population(MODEL)}, ValueError, "lacks the norms"),
        ({"save": 3}, TypeError, "save is 3"),
        ({"progress": 3}, TypeError, "progress is 3"),
        ({"seed": None}, TypeError, "seed must be an integer"),
    ],
)
def test_linear_nora_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"model": MODEL, "episodes": 3, "seed": 0}
    with pytest.raises(error, match=message):
        linear_nora(**(given | change))


def test_a_file_that_cannot_be_written_stops_a_run_before_it_starts(tmp_path: Path) -> None:
    asked: list[int] = []
    report: Callable[[int, float], None] = lambda episode, lost: asked.append(episode)  # noqa: E731
    with pytest.raises(OSError, match="is a folder"):
        linear_nora(MODEL, episodes=3, seed=0, save=tmp_path, progress=report)
    assert asked == []
