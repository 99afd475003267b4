"""Runs of actor-critics: reproducible, resumable, the same with many seeds at once."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import pytest
from actor_critic_reference import random_world
from hypothesis import given, settings
from hypothesis import strategies as st
from lsvi_reference import random_model

from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp.actor_critic import pieces, runs
from rltheory.linear_mdp.actor_critic.baselines import (
    optimistic_npg,
    q_learning_ucb,
    q_learning_ucb_b,
    ucbvi,
)
from rltheory.linear_mdp.actor_critic.douhua import douhua
from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.power import power_statement
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.linear_mdp.offline import collect
from rltheory.linear_mdp.sweep import sweep_seeds
from rltheory.tabular import EpisodicMDP

WORLD = random_world(1, sparse=False)
MODEL = random_model(1, fails=False)
RUNS: dict[str, Callable[..., ActorCriticRun]] = {
    "NORA": partial(nora, WORLD),
    "NORA, counts": partial(nora, WORLD, switch="counts"),
    "NORA, determinant": partial(nora, WORLD, switch="determinant"),
    "DOUHUA": partial(douhua, WORLD),
    "UCBVI": partial(ucbvi, WORLD),
    "Q-learning": partial(q_learning_ucb, WORLD),
    "Q-learning, Bernstein": partial(q_learning_ucb_b, WORLD, minor=1e-3),
    "NPG": partial(optimistic_npg, WORLD),
    "linear NORA": partial(linear_nora, MODEL),
    "hybrid linear NORA": partial(linear_nora, MODEL, offline=collect(MODEL, episodes=9, seed=0)),
}


def same(one: ActorCriticRun, other: ActorCriticRun) -> None:
    """Assert that two runs are the same to the last bit."""
    for name in ("values", "promises", "returns", "switches", "action_values", "policy", "visits"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class Interrupted(Exception):
    """What stops a run."""


def stop(episode: int, suboptimality: float) -> None:
    """Raise at the first report but the last one."""
    if episode == 4096:
        raise Interrupted


@pytest.mark.parametrize("name", RUNS)
def test_a_run_goes_on_from_its_file_to_the_same_bits(name: str, tmp_path: Path) -> None:
    run = RUNS[name]
    whole = run(episodes=4500, seed=7)
    file = tmp_path / "run.npz"
    with pytest.raises(Interrupted):
        run(episodes=4500, seed=7, save=file, progress=stop)
    same(whole, run(episodes=4500, seed=7, save=file))
    same(whole, run(episodes=4500, seed=7, save=file))
    with pytest.raises(ValueError, match="a run of another model, algorithm or setting"):
        run(episodes=4500, seed=8, save=file)


class Breaking:
    """A function that works so many times, and is then interrupted before or after its work."""

    def __init__(self, function: Callable[..., Any], left: int, late: bool) -> None:
        self.function, self.left, self.late = function, left, late

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left < 0 and not self.late:
            raise Interrupted
        result = self.function(*given, **named)
        if self.left < 0:
            raise Interrupted
        return result


PLACES: dict[str, Any] = {
    "play": runs,
    "stretch": import_module("rltheory.linear_mdp.actor_critic.linear_nora"),
    "savez": np,
}
"""What is interrupted: compiled code of either loop, the writing of the file."""


@settings(max_examples=12)
@given(
    st.sampled_from(list(RUNS)),
    st.integers(1, 1000),
    st.lists(
        st.tuples(st.sampled_from([*PLACES, "progress"]), st.integers(0, 6), st.booleans()),
        max_size=4,
    ),
)
def test_a_run_interrupted_anywhere_ends_in_the_same_bits(
    name: str, episodes: int, stops: list[tuple[str, int, bool]]
) -> None:
    run = partial(RUNS[name], episodes=episodes, seed=3)
    with TemporaryDirectory() as folder, mock.patch.object(pieces, "PIECE", pieces.BLOCK):
        save = Path(folder) / "run.npz"
        for place, left, late in stops:
            with suppress(Interrupted):
                if place == "progress":
                    run(save=save, progress=Breaking(lambda episode, lost: None, left, late))
                    continue
                broken = Breaking(getattr(PLACES[place], place), left, late)
                with mock.patch.object(PLACES[place], place, broken):
                    run(save=save)
        same(run(save=save), run())
        assert [path.name for path in Path(folder).iterdir()] == ["run.npz"]


@pytest.mark.parametrize("name", ["NORA", "linear NORA"])
def test_a_run_reports_its_episodes_and_what_the_last_one_lost(name: str) -> None:
    told: list[tuple[int, float]] = []
    run = RUNS[name](episodes=4500, seed=7, progress=lambda *news: told.append(news))
    assert told == [(k, run.suboptimality[k - 1]) for k in (4096, 4500)]


def test_a_file_that_is_no_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.npz"
    np.savez(file, values=np.zeros(3))
    with pytest.raises(ValueError, match="does not hold a run of an actor-critic"):
        nora(WORLD, episodes=10, seed=0, save=file)
    nora(WORLD, episodes=10, seed=0, save=tmp_path / "run.npz")
    kept = dict(np.load(tmp_path / "run.npz"))
    kept["clock"] = kept["clock"][:3]
    np.savez(file, **kept)
    with pytest.raises(ValueError, match="clock is of another kind or shape"):
        nora(WORLD, episodes=10, seed=0, save=file)


@settings(max_examples=10)
@given(st.sampled_from(list(RUNS)), st.lists(st.integers(0, 99), min_size=1, unique=True))
def test_a_sweep_is_its_runs(name: str, seeds: list[int]) -> None:
    run = partial(RUNS[name], episodes=40)
    for one, seed in zip(sweep_seeds(run, seeds[:5], jobs=2), seeds[:5], strict=True):
        same(one, run(seed=seed))


def test_a_sweep_keeps_its_runs(tmp_path: Path) -> None:
    run = partial(nora, WORLD, episodes=30)
    first = sweep_seeds(run, 3, folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npz", "1.npz", "2.npz"]
    for one, other in zip(first, sweep_seeds(run, 3, folder=tmp_path), strict=True):
        same(one, other)


def test_offline_counts_are_as_if_seen() -> None:
    rng = np.random.default_rng(0)
    offline = np.zeros(WORLD.transitions.shape)
    for h, s, a in np.ndindex(WORLD.rewards.shape):
        offline[h, s, a] = rng.multinomial(10_000, WORLD.transitions[h, s, a])
    rule = Settings(name="greedy", bonus="none")
    run = run_actor_critic(WORLD, rule, episodes=3, seed=0, offline=offline)
    # Estimated kernels are off by a hundredth at most here.
    assert run.suboptimality[0] < 0.1
    blind = run_actor_critic(WORLD, rule, episodes=3, seed=0)
    assert run.suboptimality[0] < blind.suboptimality[0]
    np.testing.assert_array_equal(
        run.visits.sum(axis=(1, 2)), 10_000 * WORLD.states * WORLD.actions + 3
    )
    # The rule's test counts them as well.
    switched = nora(WORLD, episodes=50, seed=0, switch="counts", offline=offline)
    assert list(switched.switches) == [0]


def test_regret_sums_what_policies_lose() -> None:
    run = nora(WORLD, episodes=100, seed=0)
    assert run.episodes == 100
    np.testing.assert_allclose(run.regret[-1], (run.optimum - run.values).sum())
    assert (run.suboptimality >= -1e-12).all()
    assert run.visits.sum() == 100 * WORLD.horizon


def test_returns_have_the_mean_of_the_values() -> None:
    run = ucbvi(WORLD, episodes=20_000, seed=0)
    off = (run.returns - run.values).mean()
    # Returns lie in [0, H]: six standard errors at most.
    assert abs(off) <= 6 * 0.5 * WORLD.horizon / np.sqrt(20_000)


@pytest.mark.slow
def test_a_power_statement_finds_the_error_as_often_as_it_says() -> None:
    # Curves x^(1/2) times exp(noise * log x): slopes are normal with a known deviation.
    rng = np.random.default_rng(0)
    x = np.geomspace(10, 1000, 5)

    def curves(count: int, slope: float) -> Any:
        noise = 0.2 * rng.standard_normal(count)
        return x ** (slope + noise[:, None])

    said = power_statement(x, curves(4000, 0.5), error=0.1)
    slopes = [fit_rate(x, curves(400, 0.5), resamples=1).slope for _ in range(400)]
    # Estimated from 400 slopes, and from 4000 curves: within a fifth, six standard errors.
    assert said.deviation == pytest.approx(20 * np.std(slopes), rel=0.2)
    assert said.seeds == np.ceil((2.8016 * said.deviation / 0.1) ** 2)
    found = 0
    for _ in range(400):
        y = curves(said.seeds, 0.6)
        rate = fit_rate(x, y, resamples=200, seed=rng)
        found += not (rate.interval.lower <= 0.5 <= rate.interval.upper)
    assert found >= 0.7 * 400
    assert "detect an error of 0.1 in the slope with probability 0.8" in str(said)


def test_fewer_seeds_detect_less() -> None:
    rng = np.random.default_rng(1)
    x = np.geomspace(10, 1000, 5)
    y = x ** (0.5 + 0.1 * rng.standard_normal((30, 1)))
    fine, coarse = (power_statement(x, y, error=error) for error in (0.02, 0.2))
    assert fine.seeds > 50 * coarse.seeds
    assert fine.detectable == coarse.detectable
    again = power_statement(x, y, error=fine.detectable)
    assert abs(again.seeds - 30) <= 1


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"episodes": 0}, ValueError, "episodes is 0"),
        ({"seed": -1}, ValueError, "seed is -1"),
        ({"seed": None}, TypeError, "seed must be an integer"),
        ({"progress": 3}, TypeError, "progress is 3"),
        ({"save": 3}, TypeError, "save is 3"),
        ({"offline": np.zeros(3)}, ValueError, "offline has shape"),
        ({"offline": np.full(WORLD.transitions.shape, 0.5)}, ValueError, "expected counts"),
        ({"mdp": 3}, TypeError, "mdp is 3"),
        ({"settings": 3}, TypeError, "settings is 3"),
    ],
)
def test_runs_refuse(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"mdp": WORLD, "settings": Settings(name="x"), "episodes": 5, "seed": 0} | change
    with pytest.raises(error, match=message):
        run_actor_critic(**given)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"target": "policy"}, "target 'policy' needs the actor 'weights'"),
        ({"step": 0.1}, "are of the actor 'weights'"),
        ({"switch": "steps", "actor": "weights"}, "switch 'steps' is Q-learning"),
        ({"target": "worst"}, "target is 'worst'"),
        ({"actor": "random"}, "actor is 'random'"),
        ({"ridge": -0.5}, "ridge is -0.5"),
        ({"switch": "steps", "bonus": "freedman"}, "bonus is 'freedman' with switch 'steps'"),
        ({"minor": 0.5}, "minor is of the bonus 'bernstein' with switch 'steps' alone"),
        ({"minor": 0.5, "switch": "steps"}, "minor is of the bonus 'bernstein'"),
    ],
)
def test_settings_refuse(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_actor_critic(WORLD, Settings(name="x", **keywords), episodes=5, seed=0)


def test_models_that_do_not_fit_are_refused() -> None:
    rewards = np.array(WORLD.rewards)
    rewards[0, 0, 0] = -1.0
    with pytest.raises(ValueError, match="rewards holds -1; expected numbers of at least 0"):
        nora(EpisodicMDP(WORLD.transitions, rewards), episodes=5, seed=0)
    rewards[0, 0, 0] = -np.inf
    with pytest.raises(ValueError, match="mdp has unavailable actions"):
        nora(EpisodicMDP(WORLD.transitions, rewards), episodes=5, seed=0)
    deterministic = random_world(0)
    offline = np.ones(deterministic.transitions.shape)
    with pytest.raises(ValueError, match="offline counts transitions of probability 0"):
        nora(deterministic, episodes=5, seed=0, offline=offline)
    with pytest.raises(ValueError, match="offline is given to Q-learning"):
        q_learning_ucb(WORLD, episodes=5, seed=0, offline=np.zeros(WORLD.transitions.shape))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [[1.0, 1.0]]), "y has 1 runs; expected at least 3"),
        (([1.0, 2.0], np.ones((4, 3))), "y has shape"),
        (([1.0, 2.0], -np.ones((4, 2))), "y holds -1"),
    ],
)
def test_power_refuses(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        power_statement(*arguments)
    with pytest.raises(ValueError, match="error is 0"):
        power_statement([1.0, 2.0], np.ones((4, 2)), error=0.0)
    with pytest.raises(ValueError, match="expected more than level"):
        power_statement([1.0, 2.0], np.ones((4, 2)), power=0.01)
