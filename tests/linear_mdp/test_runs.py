"""Runs in linear MDPs: reproducible, resumable, the same with many seeds at once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsvi_reference import random_model

from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.linear_mdp.online import RegretCurve, dr_lsvi_ucb, dr_rpo, lsvi_ucb
from rltheory.linear_mdp.sweep import sweep_seeds
from rltheory.tabular.uncertainty import TotalVariation

MODEL = RobustLinearMDP(random_model(3, fails=True), TotalVariation(0.2))
RUNS: dict[str, Callable[..., RegretCurve]] = {
    "LSVI-UCB": partial(lsvi_ucb, MODEL),
    "DR-LSVI-UCB": partial(dr_lsvi_ucb, MODEL),
    "DR-RPO": partial(dr_rpo, MODEL),
    "mirror": partial(dr_rpo, MODEL, update="mirror", step=2.0),
}
NAMES = st.sampled_from(list(RUNS))


def same(one: RegretCurve, other: RegretCurve) -> None:
    """Assert that two runs are the same to the last bit."""
    np.testing.assert_array_equal(one.returns, other.returns)
    np.testing.assert_array_equal(one.learnt.policy, other.learnt.policy)
    np.testing.assert_array_equal(one.learnt.action_values, other.learnt.action_values)
    np.testing.assert_array_equal(one.learnt.linear, other.learnt.linear)
    _, at_one, at_other = np.intersect1d(one.episodes, other.episodes, return_indices=True)
    np.testing.assert_array_equal(one.values.lower[at_one], other.values.lower[at_other])
    np.testing.assert_array_equal(one.values.upper[at_one], other.values.upper[at_other])


class Interrupted(Exception):
    """What stops a run."""


def stop_after(marks: int) -> Callable[[int, float], None]:
    """Return a progress function that raises at the given checkpoint."""
    left = [marks]

    def progress(episode: int, suboptimality: float) -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Interrupted

    return progress


@settings(max_examples=15)
@given(NAMES, st.integers(0, 2**70), st.integers(1, 300), st.integers(1, 20))
def test_a_seed_fixes_a_run_whatever_its_checkpoints(
    name: str, seed: int, episodes: int, checkpoints: int
) -> None:
    run = RUNS[name]
    whole = run(episodes=episodes, seed=seed)
    same(whole, run(episodes=episodes, seed=seed, checkpoints=checkpoints))
    same(whole, run(episodes=episodes, seed=np.random.default_rng(seed), checkpoints=[]))


@settings(max_examples=15)
@given(NAMES, st.integers(1, 520), st.integers(1, 520))
def test_longer_runs_begin_as_shorter_ones(name: str, one: int, other: int) -> None:
    short, long = sorted((one, other))
    run = RUNS[name]
    brief = run(episodes=short, seed=9, checkpoints=3)
    full = run(episodes=long, seed=9, checkpoints=[short])
    np.testing.assert_array_equal(brief.returns, full.returns[:short])
    at = int(np.flatnonzero(full.episodes == short)[0])
    assert full.values.lower[at] == brief.values.lower[-1]


def test_another_seed_is_another_run_and_a_generator_moves_on() -> None:
    run = partial(dr_rpo, MODEL, episodes=50)
    assert np.any(run(seed=0).returns != run(seed=1).returns)
    draw = np.random.default_rng(0)
    assert np.any(run(seed=draw).returns != run(seed=draw).returns)


@settings(max_examples=10)
@given(NAMES, st.lists(st.integers(1, 12), max_size=4), st.integers(1, 300), st.data())
def test_an_interrupted_run_goes_on_to_the_same_bits(
    name: str, stops: list[int], episodes: int, data: st.DataObject
) -> None:
    marks = data.draw(st.lists(st.integers(1, episodes), max_size=10))
    run = partial(RUNS[name], episodes=episodes, seed=4, checkpoints=marks)
    with TemporaryDirectory() as folder:
        save = Path(folder) / "run.npz"
        for stop in stops:
            # A run with fewer checkpoints left than that ends by itself.
            try:
                run(save=save, progress=stop_after(stop))
            except Interrupted:
                assert save.exists()
        same(run(save=save), run())
        # A finished run is read and not run.
        assert run(save=save, progress=stop_after(1)).returns.shape == (episodes,)


def test_a_generator_of_the_same_state_takes_a_run_up(tmp_path: Path) -> None:
    run = partial(dr_rpo, MODEL, episodes=40, checkpoints=5, save=tmp_path / "run.npz")
    with pytest.raises(Interrupted):
        run(seed=np.random.default_rng(1), progress=stop_after(3))
    same(run(seed=np.random.default_rng(1)), dr_rpo(MODEL, episodes=40, seed=1))


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"episodes": 21},
        {"checkpoints": [3, 7]},
        {"ridge": 2.0},
        {"bonus": 0.5},
        {"bonus_form": "diagonal"},
        {"temperature": 0.2},
        {"reference": np.tile([0.2, 0.3, 0.5], (4, 1))},
        {"update": "mirror", "step": 1.0},
        {"ceilings": [2.0, 2.0, 2.0]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_file_of_another_run_is_refused_and_kept(tmp_path: Path, change: Any) -> None:
    save = tmp_path / "run.npz"
    run: dict[str, Any] = {"episodes": 20, "seed": 0, "checkpoints": 4, "save": save}
    dr_rpo(MODEL, **run)
    kept = save.read_bytes()
    with pytest.raises(ValueError, match="holds a run of another model, algorithm or setting"):
        dr_rpo(MODEL, **{**run, **change})
    assert save.read_bytes() == kept


def test_the_file_of_another_model_or_set_is_refused(tmp_path: Path) -> None:
    run: dict[str, Any] = {"episodes": 5, "seed": 0, "save": tmp_path / "run.npz"}
    dr_rpo(MODEL, **run)
    others = (
        RobustLinearMDP(MODEL.nominal, TotalVariation(0.3)),
        RobustLinearMDP(random_model(4, fails=True), TotalVariation(0.2)),
        MODEL.nominal,
    )
    for other in others:
        with pytest.raises(ValueError, match="another model"):
            dr_rpo(other, **run)


def test_junk_files_are_refused_in_one_line(tmp_path: Path) -> None:
    save = tmp_path / "run.npz"
    run = partial(dr_rpo, MODEL, episodes=5, seed=0, save=save)
    run()
    whole = save.read_bytes()
    with np.load(save) as archive:
        kept = dict(archive)
    for junk in (b"", b"junk", whole[: len(whole) // 2], whole[:-30]):
        save.write_bytes(junk)
        refused(run, save)
    wrong: list[dict[str, Any]] = [{name: None} for name in kept]
    wrong += [{"values": np.zeros(3)}, {"values": np.array(1.0)}, {"returns": np.zeros((2, 2))}]
    wrong += [{name: np.array(["a"])} for name in kept]
    wrong += [{"cross": kept["cross"][:-1]}, {"counts": kept["counts"].astype(float)}]
    wrong += [{"values": np.zeros((9, 2))}, {"returns": kept["returns"][:-1]}]
    wrong += [{"counts": kept["counts"] + 100}, {"seen": kept["seen"] - 100}]
    for change in wrong:
        arrays = {name: array for name, array in {**kept, **change}.items() if array is not None}
        with save.open("wb") as stream:
            np.savez(stream, **arrays)
        refused(run, save)


def refused(run: Callable[[], RegretCurve], save: Path) -> None:
    with pytest.raises(ValueError, match=r"run\.npz") as caught:
        run()
    assert "\n" not in str(caught.value)
    assert save.exists()


def test_a_file_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="folder"):
        dr_rpo(MODEL, episodes=10**6, checkpoints=2, seed=0, save=tmp_path)
    with pytest.raises(TypeError, match="save is 3"):
        dr_rpo(MODEL, episodes=10**6, checkpoints=2, seed=0, save=3)


def test_progress_tells_how_far_the_policy_is_from_the_optimum() -> None:
    told: list[tuple[int, float]] = []
    curve = dr_rpo(
        MODEL, episodes=30, seed=0, checkpoints=[5, 12],
        progress=lambda episode, off: told.append((episode, off)),
    )  # fmt: skip
    assert [episode for episode, _ in told] == curve.episodes.tolist() == [0, 5, 12, 30]
    np.testing.assert_allclose([off for _, off in told], curve.suboptimality, atol=1e-12)
    with pytest.raises(ValueError, match="checkpoints='all'"):
        curve.regret  # noqa: B018


@pytest.mark.parametrize("jobs", [1, 2, None])
def test_a_sweep_is_the_runs_one_by_one(jobs: int | None) -> None:
    run = partial(dr_rpo, MODEL, episodes=40, checkpoints=4)
    curves = sweep_seeds(run, 6, jobs=jobs)
    assert len(curves) == 6
    for seed, curve in enumerate(curves):
        same(curve, run(seed=seed))
    same(sweep_seeds(run, [11, 5])[0], run(seed=11))


def test_an_interrupted_sweep_goes_on(tmp_path: Path) -> None:
    run = partial(dr_rpo, MODEL, episodes=40, checkpoints=6)
    with pytest.raises(Interrupted):
        sweep_seeds(partial(run, progress=stop_after(8)), 3, jobs=1, folder=tmp_path)
    assert (tmp_path / "0.npz").exists()
    for one, other in zip(sweep_seeds(run, 3, folder=tmp_path), sweep_seeds(run, 3), strict=True):
        same(one, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.npz", "1.npz", "2.npz"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": 3}, "run is 3"),
        ({"seeds": 0}, "seeds is 0"),
        ({"seeds": "ab"}, "seed must be an integer"),
        ({"seeds": [1, 1]}, "seeds has one twice"),
        ({"seeds": [-1]}, "seed is -1"),
        ({"seeds": [0.5]}, "seed must be an integer"),
        ({"seeds": 2.5}, "seeds is 2.5"),
        ({"jobs": 0}, "jobs is 0"),
        ({"folder": 3}, "folder is 3"),
    ],
)
def test_sweeps_that_cannot_be_are_refused(change: dict[str, Any], message: str) -> None:
    arguments = {"run": partial(dr_rpo, MODEL, episodes=2), "seeds": 2, **change}
    with pytest.raises((ValueError, TypeError), match=message):
        sweep_seeds(**arguments)
