"""Files of sweeps: journals that go on where they stopped, tables that read back as they were."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import sweep_runs
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis import SweepTable, grid, read_table, sweep
from rltheory.analysis.sweeps.journal import open_journal

CASES = grid(seed=range(5))
SQUARE = partial(sweep_runs.square, scale=2)


def written(save, run=SQUARE, cases=CASES):
    sweep(run, cases, save=save, backend="threads", jobs=1)
    return save.read_bytes()


@pytest.fixture
def save(tmp_path):
    return tmp_path / "rows.jsonl"


def test_the_journal_is_a_line_for_the_run_and_one_for_each_row(save):
    header, *rows = map(json.loads, written(save).splitlines())
    assert header["run"] == "sweep_runs:square"
    assert header["arguments"] == {"scale": 2}
    expected = [{"square": 2 * k * k, "odd": bool(k % 2)} for k in range(5)]
    assert rows == [{"case": {"seed": k}, "result": expected[k]} for k in range(5)]


def test_wherever_it_is_cut_the_sweep_goes_on(save):
    """Any number of bytes that a write may have got to; only lines that are whole count."""
    whole = written(save)
    table = sweep(SQUARE, CASES, backend="threads")
    second = whole.find(b"\n") + 1
    row = whole.find(b"\n", second) + 1
    # All of the first row and what is about it, some of the rest.
    sizes = {0, 1, second // 2, *range(second - 2, row + 2), *range(row, len(whole), 25)}
    for size in sorted(sizes):
        save.write_bytes(whole[:size])
        done = []
        again = sweep(
            SQUARE,
            CASES,
            save=save,
            backend="threads",
            jobs=1,
            progress=lambda now, total, done=done: done.append(now),
        )
        assert again == table
        assert save.read_bytes() == whole
        assert done[0] == max(0, whole[:size].count(b"\n") - 1)


def test_rows_of_other_cases_stay_in_the_file(save):
    whole = written(save)
    few = sweep(SQUARE, [{"seed": 9}, {"seed": 3}], save=save, backend="threads", jobs=1)
    assert few.column("square").tolist() == [162, 18]
    assert save.read_bytes().startswith(whole)
    assert len(save.read_bytes().splitlines()) == 7
    # An order of settings is not a case of its own.
    pairs = grid(seed=[1], scale=[3])
    first = sweep(sweep_runs.square, pairs, save=save.with_name("b.jsonl"), backend="threads")
    turned = [dict(reversed(pairs[0].items()))]
    second = sweep(sweep_runs.square, turned, save=save.with_name("b.jsonl"), backend="threads")
    assert first.column("square") == second.column("square") == [3]
    assert second.columns == ("scale", "seed", "square", "odd")
    assert len(save.with_name("b.jsonl").read_bytes().splitlines()) == 2


ARRAY = np.arange(3.0)


@pytest.mark.parametrize(
    "other",
    [
        sweep_runs.square,
        partial(sweep_runs.square, scale=3),
        partial(sweep_runs.square, scale=2.0),
        sweep_runs.process,
        partial(sweep_runs.bound, ARRAY),
    ],
)
def test_the_journal_of_another_run_is_refused_and_stays(other, save):
    whole = written(save)
    with pytest.raises(ValueError, match=r"rows.jsonl holds another sweep: (run|arg).*expected"):
        sweep(other, CASES, save=save, backend="threads")
    assert save.read_bytes() == whole


def test_what_is_bound_is_told_apart_by_its_contents(save):
    whole = written(save, partial(sweep_runs.bound, ARRAY))
    assert written(save, partial(sweep_runs.bound, ARRAY.copy())) == whole
    with pytest.raises(ValueError, match="holds another sweep"):
        written(save, partial(sweep_runs.bound, ARRAY + 1))
    with pytest.raises(TypeError, match=r"run binds 0, .*pickled"):
        written(save.with_name("b.jsonl"), partial(sweep_runs.bound, (k for k in "ab")))
    with pytest.raises(TypeError, match="expected a function that can be imported"):
        written(save, lambda seed: {})


@pytest.mark.parametrize(
    "content",
    [
        b"a precious file\n",
        b"a precious file",
        b'{"sweep": 1}\n',
        b'{"seed": 0, "square": 0}\n{"seed": 1, "square": 1}\n',
        b"\x00\x01\xff",
        b"[" * 100_000 + b"\n",
        b'{"sweep": 99, "run": "a:b", "arguments": {}, "rltheory": "9"}\n',
    ],
)
def test_a_file_that_is_no_journal_is_refused_and_stays(content, save):
    save.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.jsonl"):
        sweep(SQUARE, CASES, save=save)
    assert save.read_bytes() == content


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"case": 1, "result": 2}', b'{"case": {"a": []}, "result": {}}', b"\xff"]
)
def test_a_damaged_line_is_named(line, save):
    header, first, *rest = written(save).splitlines(keepends=True)
    damaged = header + first + line + b"\n" + b"".join(rest)
    save.write_bytes(damaged)
    for call in (lambda: sweep(SQUARE, CASES, save=save), lambda: read_table(save)):
        with pytest.raises(ValueError, match=r"rows.jsonl, line 3: expected a case and its result"):
            call()
    assert save.read_bytes() == damaged


def test_another_version_is_warned_of(save):
    header, *rows = written(save).splitlines(keepends=True)
    old = json.loads(header) | {"rltheory": "0.0.1"}
    save.write_bytes(json.dumps(old).encode() + b"\n" + b"".join(rows))
    with pytest.warns(UserWarning, match=r"begun by rltheory 0\.0\.1.*may differ"):
        sweep(SQUARE, CASES, save=save)


def test_two_sweeps_do_not_write_one_journal(save):
    with (
        open_journal(save, SQUARE),
        pytest.raises(BlockingIOError, match=r"rows\.jsonl is being written by another sweep"),
    ):
        sweep(SQUARE, CASES, save=save)
    written(save)
    # Nor does a table replace it.
    with pytest.raises(ValueError, match=r"rows\.jsonl, which holds a sweep"):
        SweepTable(({"a": 1},)).write(save)


def test_files_that_cannot_be_written(tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.jsonl")
    for place in ("folder.jsonl", "file/rows.jsonl", "pipe.jsonl"):
        with pytest.raises(OSError, match=place.split("/")[0]):
            sweep(SQUARE, CASES, save=tmp_path / place)


def script(folder, body):
    """Start a script of its own in a folder; it finds the runs of these tests."""
    place = Path(folder) / "study.py"
    place.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(sweep_runs.__file__).parent)!r})\n"
        "from functools import partial\nimport sweep_runs\n"
        f"from rltheory.analysis import grid, sweep\n{body}\n"
    )
    with (Path(folder) / "out").open("ab") as out, (Path(folder) / "err").open("ab") as err:
        return subprocess.Popen(
            [sys.executable, str(place)], cwd=folder, stdout=out, stderr=err, start_new_session=True
        )


def wait_for(condition, process):
    """Wait until something is so, while the process lives."""
    while not condition():
        assert process.poll() is None, "ended too soon"
        time.sleep(0.005)


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_interrupted_by_the_keyboard(save, tmp_path):
    """As Ctrl-C does it: all processes of the terminal get the signal."""
    body = (
        "if __name__ == '__main__':\n"
        "    run = partial(sweep_runs.slow, log='calls', wait=0.05)\n"
        "    sweep(run, grid(seed=range(200)), save='rows.jsonl', jobs=2)\n"
    )
    process = script(tmp_path, body)
    wait_for(lambda: lines(save) > 4, process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) != 0
    assert "KeyboardInterrupt" in (tmp_path / "err").read_text()
    before = save.read_bytes()
    kept = before.splitlines()[1:]
    assert 4 <= len(kept) < 200
    for row in map(json.loads, kept):
        assert row["result"]["root"] == math.sqrt(row["case"]["seed"])
    with open_journal(save, partial(sweep_runs.slow, log="calls", wait=0.05)) as journal:
        assert len(journal.results) == len(kept)
    assert save.read_bytes() == before


def test_a_child_that_lives_on_neither_writes_nor_keeps_the_lock(save, tmp_path):
    body = (
        "run = partial(sweep_runs.forks, pids='pids')\n"
        "sweep(run, grid(seed=range(3)), save='rows.jsonl', backend='threads', jobs=1)\n"
        "sweep(run, grid(seed=range(2)), save='rows.jsonl', backend='threads', jobs=1)\n"
    )
    process = script(tmp_path, body)
    try:
        assert process.wait(30) == 0, (tmp_path / "err").read_text()
        rows = [json.loads(row)["case"]["seed"] for row in save.read_bytes().splitlines()[1:]]
        assert rows == [0, 1, 2]
    finally:
        children = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        for child in children:
            os.kill(child, signal.SIGKILL)
    assert len(children) == 3


def killed_and_resumed(tmp_path, kills, backend, cases):
    """Kill a sweep without warning at random moments; go on each time; compare with one in peace.

    What was finished is what the sweep itself has said before the kill, through `progress`.
    """
    rng = np.random.default_rng(kills)
    # Not what it prints: workers that lose their parent print why they end.
    save, told, log = (tmp_path / name for name in ("rows.jsonl", "told", "calls"))
    body = (
        "if __name__ == '__main__':\n"
        "    run = partial(sweep_runs.slow, log='calls')\n"
        "    told = open('told', 'a')\n"
        f"    table = sweep(run, grid(seed=range({cases})), save='rows.jsonl', jobs=2,\n"
        f"        backend={backend!r}, progress=lambda n, _: print(n, file=told, flush=True))\n"
        "    table.write('table.csv')\n"
    )
    kept, struck = b"", 0
    for _ in range(kills):
        before = lines(told)
        process = script(tmp_path, body)
        # Some kills come before the first row, or while the sweep starts.
        wait_for(lambda before=before: lines(told) > before or rng.random() < 0.001, process)
        # All the delays together are at most the time that the runs take.
        time.sleep(rng.uniform(0, 0.015 * cases / kills))
        struck += process.poll() is None
        process.kill()
        process.wait()
        whole = save.read_bytes() if save.exists() else b""
        *_, finished = "0", *(told.read_text().split() if told.exists() else [])
        assert max(0, whole.count(b"\n") - 1) >= int(finished)
        assert whole.startswith(kept), "a finished row was lost"
        kept = whole[: whole.rfind(b"\n") + 1]
    assert struck >= 0.8 * kills, "the sweep was over before it could be killed"
    process = script(tmp_path, body)
    assert process.wait(60) == 0, (tmp_path / "err").read_text()
    assert save.read_bytes().startswith(kept)
    # A finished row is not computed again: only calls that were under way are.
    calls = [int(line) for line in log.read_text().split()]
    assert set(calls) == set(range(cases))
    assert len(calls) <= cases + 2 * 4 * kills
    peace = tmp_path / "peace"
    peace.mkdir()
    run = partial(sweep_runs.slow, log=str(peace / "calls"), wait=0.001)
    sweep(run, grid(seed=range(cases)), backend="threads").write(peace / "table.csv")
    assert (tmp_path / "table.csv").read_bytes() == (peace / "table.csv").read_bytes()


def test_killed_five_times_at_random_moments(tmp_path):
    killed_and_resumed(tmp_path, 5, "threads", 60)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["local", "threads"])
def test_killed_twenty_times_at_random_moments(tmp_path, backend):
    killed_and_resumed(tmp_path, 20, backend, 300)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=8)
)
NAMES = st.text(min_size=1, max_size=4)
ROWS = st.lists(st.dictionaries(NAMES, SCALARS, max_size=4), min_size=1, max_size=5).filter(any)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@given(rows=ROWS)
def test_any_table_reads_back_to_the_same_bits(tmp_path_factory, suffix, rows):
    table = SweepTable(tuple(rows))
    path = tmp_path_factory.mktemp("table") / f"table{suffix}"
    table.write(path)
    again = read_table(path)
    assert again.columns == table.columns
    assert repr(again.rows) == repr(table.rows)
    first = path.read_bytes()
    again.write(path)
    assert path.read_bytes() == first


COLUMNS = st.one_of(
    *(
        st.lists(st.one_of(st.none(), kind), min_size=3, max_size=3)
        for kind in (st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text())
    ),
    st.lists(st.one_of(st.integers(-(2**53), 2**53), st.floats()), min_size=3, max_size=3),
)


@given(columns=st.dictionaries(NAMES, COLUMNS, min_size=1, max_size=4))
def test_a_table_in_parquet(tmp_path_factory, columns):
    """Columns have one type there; whole numbers among floats become floats, exactly."""
    rows = zip(*columns.values(), strict=True)
    table = SweepTable(tuple(dict(zip(columns, row, strict=True)) for row in rows))
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    table.write(path)
    first = path.read_bytes()
    again = read_table(path)
    assert again.columns == table.columns
    for name, values in columns.items():
        mixed = {type(v) for v in values} >= {int, float}
        expected = [float(v) if mixed and v is not None else v for v in values]
        assert repr([row[name] for row in again]) == repr(expected)
    again.write(path)
    assert path.read_bytes() == first


def test_pandas_reads_what_is_written(tmp_path):
    import pandas

    cases = grid(case=range(12))
    table = sweep(sweep_runs.odd_values, cases, backend="threads")
    frame = table.to_pandas()
    assert list(frame.columns) == list(table.columns)
    assert frame["flag"].tolist() == [k % 3 == 0 for k in range(12)]
    np.testing.assert_array_equal(frame["value"], table.column("value"))
    table.write(tmp_path / "new" / "table.parquet")
    table.write(tmp_path / "table.csv")
    for other in (
        pandas.read_parquet(tmp_path / "new" / "table.parquet"),
        pandas.read_csv(tmp_path / "table.csv"),
    ):
        np.testing.assert_array_equal(other["value"], frame["value"])
        assert other["flag"].tolist() == frame["flag"].tolist()
        assert other["maybe"].isna().tolist() == [k % 2 == 1 for k in range(12)]


def test_a_journal_is_a_table_in_the_order_of_finishing(save):
    written(save, cases=[{"seed": 3}, {"seed": 1}, {"seed": 2}])
    with save.open("ab") as stream:
        stream.write(b'{"case": {"seed": 4}, "res')
    assert read_table(save).column("seed").tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "expected a name that ends in .parquet, .csv, .jsonl"),
        ("a.csv", b"", "a.csv does not hold a table"),
        ("a.csv", b"a,b\n1\n", "a.csv, row 1: 1 cells; expected 2"),
        ("a.csv", b"a,a\n1,2\n", "a.csv has two columns of one name"),
        ("a.csv", b'a,b\n"1,2\n', "a.csv is no CSV file"),
        ("a.csv", b"a\n\xff\n", "a.csv is no CSV file"),
        ("a.csv", b"1\n2\n", "a.csv does not hold a table.*the name 1"),
        ("a.csv", b"a\n99999999999999999999\n", "a.csv does not hold.*64 bits"),
        ("a.jsonl", b"", "a.jsonl does not hold a table"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', "a.jsonl, line 2: expected a row"),
        ("a.jsonl", b'{"a": [1]}\n', "a.jsonl does not hold a table"),
        ("a.parquet", b"PAR1 and so on", "a.parquet is no Parquet file"),
        ("a.parquet", b"", "a.parquet is no Parquet file"),
    ],
)
def test_files_that_hold_no_table(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_table(tmp_path / name)


def test_what_tables_refuse(tmp_path, monkeypatch):
    mixed = SweepTable(({"a": 1}, {"a": "x"}))
    with pytest.raises(ValueError, match="column a has int and str; expected one type"):
        mixed.write(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"column a has {2**53 + 1} among floats"):
        SweepTable(({"a": 2**53 + 1}, {"a": 0.5})).write(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="expected a name that ends in"):
        mixed.write(tmp_path / "a.xlsx")
    with pytest.raises(TypeError, match="path is 3"):
        mixed.write(3)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "none.csv")
    for module, call in (
        ("pandas", mixed.to_pandas),
        ("pyarrow", lambda: mixed.write(tmp_path / "a.parquet")),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportError, match=rf"{module}: pip install 'rltheory\[tables\]'"):
            call()
    assert not list(tmp_path.iterdir())
