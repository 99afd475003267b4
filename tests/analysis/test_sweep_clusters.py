"""Sweeps on clusters, each a real one on this machine that the test begins and ends.

A cluster takes its time to begin: all tests of Ray are slow, and those that begin a second one.
"""

import os
import secrets
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import sweep_runs

from rltheory.analysis import grid, sweep

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
RUNS = str(Path(sweep_runs.__file__).parent)


@pytest.fixture(scope="module")
def scheduler():
    """The address of a Dask scheduler with two workers."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def ray():
    """Ray on one core, connected; its workers find the runs of these tests."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", RUNS)
        ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.fixture(params=["dask", pytest.param("ray", marks=pytest.mark.slow)])
def cluster(request):
    """The arguments by which a sweep finds a cluster that runs."""
    if request.param == "dask":
        return {"backend": "dask", "address": request.getfixturevalue("scheduler")}
    request.getfixturevalue("ray")
    return {"backend": "ray"}


def test_rows_are_those_of_this_process(cluster, tmp_path):
    cases = grid(case=range(42))
    save = tmp_path / "rows.jsonl"
    here = sweep(sweep_runs.odd_values, cases, backend="threads")
    for _ in range(2):
        there = sweep(sweep_runs.odd_values, cases, save=save, **cluster)
        assert repr(there.rows) == repr(here.rows)
    pids = sweep(sweep_runs.process, grid(seed=range(4)), **cluster).column("pid")
    assert os.getpid() not in pids


def test_rows_are_kept_as_they_come(cluster, tmp_path):
    save = tmp_path / "rows.jsonl"
    seen = []

    def count(done, total):
        seen.append((done, save.read_bytes().count(b"\n") - 1))

    run = partial(sweep_runs.last_first, of=6)
    table = sweep(run, grid(seed=range(6)), save=save, progress=count, jobs=2, **cluster)
    assert table.column("square").tolist() == [k * k for k in range(6)]
    assert seen == [(k, k) for k in range(7)]


def test_an_error_names_its_case_and_loses_no_row(cluster, tmp_path):
    save, cases = tmp_path / "rows.jsonl", grid(seed=range(6))
    run = partial(sweep_runs.fails_at, bad=4)
    with pytest.raises(ZeroDivisionError, match="no inverse of 4") as caught:
        sweep(run, cases, save=save, jobs=1, **cluster)
    notes = "\n".join(caught.value.__notes__)
    assert "in the case {'seed': 4}" in notes
    assert "sweep_runs.py" in notes
    assert save.read_bytes().count(b"\n") == 1 + 4
    run = partial(sweep_runs.fails_at, bad=0, kind="picky")
    with pytest.raises(RuntimeError, match="PickyError: 1 and 2"):
        sweep(run, cases, **cluster)


def test_a_worker_that_dies_is_told(scheduler, tmp_path):
    """Dask gives the call to other workers, here to none, and gives up: the sweep says where."""
    save = tmp_path / "rows.jsonl"
    run = partial(sweep_runs.dies_at, bad=2)
    with pytest.raises(distributed.KilledWorker) as caught:
        sweep(run, grid(seed=range(3)), save=save, backend="dask", address=scheduler, jobs=1)
    assert "in the case {'seed': 2}" in "\n".join(caught.value.__notes__)
    assert save.read_bytes().count(b"\n") == 1 + 2


@pytest.mark.slow
def test_dask_is_begun_and_ended_where_there_is_no_address():
    table = sweep(sweep_runs.process, grid(seed=range(4)), backend="dask", jobs=2)
    assert 1 <= len(set(table.column("pid"))) <= 2
    assert set(table.column("threads")) == {"1"}
    for pid in set(table.column("pid")):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_nobody_answers():
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(OSError, match=r"address is 'tcp://127.0.0.1:1'; no Dask scheduler answers"),
    ):
        sweep(sweep_runs.square, grid(seed=[1]), backend="dask", address="tcp://127.0.0.1:1")


@pytest.mark.slow
def test_ray_stays_connected_and_a_worker_that_dies_is_told(ray, tmp_path):
    from ray.exceptions import WorkerCrashedError

    save = tmp_path / "rows.jsonl"
    run = partial(sweep_runs.dies_at, bad=2)
    with pytest.raises(WorkerCrashedError) as caught:
        sweep(run, grid(seed=range(3)), save=save, backend="ray", jobs=1)
    assert "in the case {'seed': 2}" in "\n".join(caught.value.__notes__)
    assert save.read_bytes().count(b"\n") == 1 + 2
    assert ray.is_initialized()


OWN = """
import os, sys
sys.path.insert(0, {runs!r})
import sweep_runs
from rltheory.analysis import grid, sweep
import ray
table = sweep(sweep_runs.process, grid(seed=range(4)), backend="ray", jobs=1, address={address!r})
assert set(table.column("threads")) == {{"1"}}
assert os.getpid() not in table.column("pid")
assert not ray.is_initialized()
print("done")
"""

HOLDER = """
import ray, sys
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
print("at", ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def in_a_script(address):
    """What a script prints that has Ray begun, or finds it at an address."""
    code = OWN.format(runs=RUNS, address=address)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.mark.slow
def test_ray_is_begun_and_ended_where_there_is_no_address():
    assert "done" in in_a_script(None)


@pytest.mark.slow
def test_ray_is_met_at_its_address(monkeypatch):
    # A cluster of newer versions is for those who have its token; here one made for this test.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": RUNS},
        text=True,
    ) as holder:
        said = iter(holder.stdout.readline, "")
        address = next(line.split()[1] for line in said if line.startswith("at "))
        assert "done" in in_a_script(address)
        holder.communicate(timeout=30)
