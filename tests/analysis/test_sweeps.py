"""Sweeps on this machine: rows in order, whatever the backend; what is refused, and how."""

import io
import itertools
import os
import sys
import time
from functools import partial

import numpy as np
import pytest
import sweep_runs

from rltheory.analysis import SweepTable, grid, sweep
from rltheory.analysis.sweeps import progress as progress_module


def test_a_grid_is_the_product_in_order():
    found = grid(seed=range(3), world=["needle", "lock"], radius=np.array([0.5, 1.0]))
    names = ("seed", "world", "radius")
    product = itertools.product(range(3), ("needle", "lock"), (0.5, 1.0))
    assert found == [dict(zip(names, values, strict=True)) for values in product]
    assert {type(case["radius"]) for case in found} == {float}
    assert grid() == [{}]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"world": "lock"}, TypeError, "world is 'lock'; expected a list of its values"),
        ({"seed": 3}, TypeError, "seed is 3"),
        ({"seed": []}, ValueError, "seed has no values"),
        ({"seed": [[1]]}, TypeError, r"a case\['seed'\] is \[1\]; expected a number"),
        ({"seed": [1j]}, TypeError, "a case"),
        ({"seed": [2**63]}, ValueError, "expected an integer of 64 bits"),
        ({"seed": ["\ud800"]}, ValueError, "expected a string"),
        ({"seed": range(10**12)}, ValueError, "1000000000000 cases; expected at most"),
        ({"a": range(10**4), "b": range(10**4)}, ValueError, "100000000 cases"),
        ({"a": range(10**4), "b": iter(range(10**3))}, ValueError, "10000000 cases"),
    ],
)
def test_a_grid_refuses(settings, error, message):
    with pytest.raises(error, match=message):
        grid(**settings)


@pytest.mark.parametrize("backend", ["local", "threads"])
@pytest.mark.parametrize("jobs", [1, 2, None])
def test_rows_come_in_the_order_of_the_cases(backend, jobs):
    cases = grid(seed=range(6), of=[6])
    done = []
    table = sweep(
        sweep_runs.last_first,
        cases,
        backend=backend,
        jobs=jobs,
        progress=lambda now, total: done.append((now, total)),
    )
    assert list(table) == [{"seed": k, "of": 6, "square": k * k} for k in range(6)]
    assert done == [(k, 6) for k in range(7)]


@pytest.mark.parametrize("backend", ["local", "threads"])
def test_every_scalar_arrives_as_it_was(backend, tmp_path):
    """Through another process and the journal, to the same bits."""
    cases = grid(case=range(42))
    save = tmp_path / "rows.jsonl"
    expected = [repr(case | sweep_runs.odd_values(**case)) for case in cases]
    for _ in range(2):  # computed, and then read
        table = sweep(sweep_runs.odd_values, cases, backend=backend, jobs=2, save=save)
        assert [repr(row) for row in table] == expected


def test_numpy_scalars_become_pythons():
    def run(seed):
        return {"mean": np.float32(0.5), "count": np.int64(seed), "yes": np.bool_(True)}

    (row,) = sweep(run, [{"seed": np.uint8(3)}], backend="threads").rows
    assert row == {"seed": 3, "mean": 0.5, "count": 3, "yes": True}
    assert [type(value) for value in row.values()] == [int, float, int, bool]


def test_processes_are_others_and_have_one_thread_each():
    """Linear algebra in two processes with two threads each would be slower than without."""
    for calls in (1, 4):
        table = sweep(sweep_runs.process, grid(seed=range(calls)), jobs=2)
        assert os.getpid() not in table.column("pid")
        assert set(table.column("threads")) == {"1"}
    here = sweep(sweep_runs.process, grid(seed=range(4)), jobs=2, backend="threads")
    assert set(here.column("pid")) == {os.getpid()}


@pytest.mark.parametrize("backend", ["local", "threads"])
def test_an_error_names_its_case_and_loses_no_row(backend, tmp_path):
    save, cases = tmp_path / "new" / "rows.jsonl", grid(seed=range(5))
    run = partial(sweep_runs.fails_at, bad=3)
    with pytest.raises(ZeroDivisionError, match="no inverse of 3") as caught:
        sweep(run, cases, backend=backend, jobs=1, save=save)
    notes = "\n".join(caught.value.__notes__)
    assert "in the case {'seed': 3}" in notes
    assert len(save.read_text().splitlines()) == 1 + 3
    with pytest.raises(ZeroDivisionError) as caught:
        sweep(run, cases, backend=backend, jobs=2, save=save)
    if backend == "local":
        assert "sweep_runs.py" in "\n".join(caught.value.__notes__)
    # What is left without the bad case needs nothing computed again.
    good = [case for case in cases if case["seed"] != 3]
    table = sweep(run, good, backend=backend, jobs=2, save=save)
    assert table.column("square").tolist() == [0, 1, 4, 16]


def test_an_error_that_does_not_travel_is_told_in_words():
    run = partial(sweep_runs.fails_at, bad=1, kind="picky")
    with pytest.raises(RuntimeError, match="PickyError: 1 and 2"):
        sweep(run, grid(seed=range(3)), jobs=2)
    with pytest.raises(sweep_runs.PickyError):
        sweep(run, grid(seed=range(3)), jobs=2, backend="threads")


def test_a_process_that_dies_ends_the_sweep(tmp_path):
    save = tmp_path / "rows.jsonl"
    with pytest.raises(Exception, match=r"unexpectedly|terminated"):
        sweep(partial(sweep_runs.dies_at, bad=6), grid(seed=range(8)), jobs=2, save=save)
    table = sweep(partial(sweep_runs.dies_at, bad=6), grid(seed=[0, 1, 2, 3, 4]), jobs=2, save=save)
    assert table.column("square").tolist() == [0, 1, 4, 9, 16]


SQUARE = sweep_runs.square
ONE = [{"seed": 1}]


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((3, ONE), {}, TypeError, "run is 3; expected a function"),
        ((lambda seed: {}, ONE), {}, TypeError, "expected a function that can be imported"),
        ((partial(lambda seed: {}), ONE), {}, TypeError, "expected a function that can be imp"),
        ((lambda seed: {}, ONE), {"backend": "dask"}, TypeError, "a lambda"),
        ((lambda seed: {}, ONE), {"backend": "ray"}, TypeError, "a lambda"),
        ((SQUARE, []), {}, ValueError, "cases is empty"),
        ((SQUARE, 3), {}, TypeError, "cases is 3; expected a list"),
        ((SQUARE, {"seed": 1}), {}, TypeError, "cases is {'seed': 1}; expected a list"),
        ((SQUARE, "seed"), {}, TypeError, "cases is 'seed'"),
        ((SQUARE, [3]), {}, TypeError, r"cases\[0\] is 3; expected a mapping"),
        ((SQUARE, [{3: 1}]), {}, TypeError, r"cases\[0\] has the name 3"),
        ((SQUARE, [{"": 1}]), {}, TypeError, r"cases\[0\] has the name ''"),
        ((SQUARE, [{"seed": (1,)}]), {}, TypeError, r"cases\[0\]\['seed'\] is \(1,\)"),
        ((SQUARE, [{"seed": 1}, {"seed": 2}, {"seed": np.int8(1)}]), {}, ValueError, "as is one"),
        ((SQUARE, [{"seed": float("nan")}] * 2), {}, ValueError, r"cases\[1\]"),
        ((SQUARE, [{"sed": 1}]), {}, TypeError, r"does not take the settings \['sed'\].*seed"),
        ((partial(SQUARE, seed=2), ONE), {}, ValueError, "seed is in the cases and bound"),
        ((partial(SQUARE, 2), ONE), {}, TypeError, "does not take the settings"),
        ((SQUARE, ONE), {"backend": "slurm"}, ValueError, "backend is 'slurm'; expected one of"),
        ((SQUARE, ONE), {"backend": "local", "address": "x"}, ValueError, "address is 'x'"),
        ((SQUARE, ONE), {"backend": "dask", "address": 3}, ValueError, "address is 3"),
        ((SQUARE, ONE), {"jobs": 0}, ValueError, "jobs is 0; expected an integer of at least 1"),
        ((SQUARE, ONE), {"jobs": 1.5}, ValueError, "jobs is 1.5"),
        ((SQUARE, ONE), {"progress": "bar"}, TypeError, "progress is 'bar'"),
        ((SQUARE, ONE), {"save": 3}, TypeError, "save is 3; expected the path"),
        ((SQUARE, ONE), {"save": "rows.csv"}, ValueError, "save is rows.csv; expected a name"),
        ((sweep_runs.clash, ONE), {"jobs": 1}, ValueError, "the result of run has seed"),
        ((sweep_runs.no_scalars, ONE), {"jobs": 1}, TypeError, r"run\['values'\] is \[1\]"),
    ],
)
def test_what_is_refused(arguments, settings, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        sweep(*arguments, **settings)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("backend", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_a_missing_extra_is_named(backend, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"{module}: pip install 'rltheory\[cluster\]'"):
        sweep(SQUARE, ONE, backend=backend)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_bar_is_drawn_on_a_terminal_only_and_only_when_it_takes_long(monkeypatch):
    def shown(stream, patience, **settings):
        monkeypatch.setattr(progress_module, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", stream)
        run = partial(sweep_runs.last_first, of=3)
        sweep(run, grid(seed=range(3)), backend="threads", jobs=1, **settings)
        return stream.getvalue()

    assert "3/3" in shown(Terminal(), 0.02)
    assert shown(Terminal(), 60) == ""
    assert shown(Terminal(), 0.02, progress=False) == ""
    assert shown(io.StringIO(), 0.02) == ""
    assert "3/3" in shown(io.StringIO(), 60, progress=True)


def test_a_column_takes_the_rows_wanted():
    table = sweep(SQUARE, grid(seed=range(6), scale=[1, 2.5]), backend="threads")
    assert table.columns == ("seed", "scale", "square", "odd")
    assert len(table) == 12
    np.testing.assert_array_equal(table.column("square", scale=2.5), 2.5 * np.arange(6.0) ** 2)
    whole = table.column("square", scale=1)
    assert (whole.dtype, whole.tolist()) == (np.int64, [0, 1, 4, 9, 16, 25])
    assert table.column("odd", seed=3, scale=1).tolist() == [True]
    assert table.column("odd").dtype == np.bool_
    assert table.column("square", seed=7).shape == (0,)
    for call in (lambda: table.column("cube"), lambda: table.column("square", sed=1)):
        with pytest.raises(ValueError, match=r"is no column; expected one of \['seed'"):
            call()


def test_columns_that_rows_lack_are_none():
    table = SweepTable(({"a": 1}, {"b": "x", "a": 2}))
    assert table.rows == ({"a": 1, "b": None}, {"a": 2, "b": "x"})
    assert table.column("b").tolist() == [None, "x"]
    for rows, error in (((), ValueError), (({},), ValueError), (({"a": [1]},), TypeError)):
        with pytest.raises(error, match="rows"):
            SweepTable(rows)


def test_waiting_costs_little():
    """A thousand runs that do nothing, in well under a second each core."""
    start = time.perf_counter()
    table = sweep(SQUARE, grid(seed=range(1000)), backend="threads", jobs=2)
    assert table.column("square").tolist() == [k * k for k in range(1000)]
    assert time.perf_counter() - start < 20
