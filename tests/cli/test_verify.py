"""The commands about theorems, on a registry of small examples."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import theory_examples as examples

from rltheory.cli.main import main
from rltheory.theory import registry
from rltheory.theory.store import Store

GOOD = (examples.EXACT, examples.SEPARATION)
BAD = (examples.FALSE, examples.SURVIVING)


@pytest.fixture
def registered(monkeypatch, tmp_path):
    """Work in an empty folder with these theorems registered."""

    def register(*records):
        monkeypatch.setattr(registry, "theorems", lambda: registry.ordered(records))

    monkeypatch.chdir(tmp_path)
    register(*GOOD, *BAD)
    return register


def test_verify_prints_a_line_per_theorem_and_logs_it(registered, capsys):
    registered(*GOOD)
    assert main(["verify", "--budget", "quick"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("example/exact       holds (exact), tightness 1, margin 0")
    assert lines[1].startswith("example/separation  holds (exact), margin 0.5")
    assert lines[2].startswith("2 theorems: 2 hold exactly; 2 controls refuted; ")
    assert [r.theorem for r in Store("out/verify.jsonl").results()] == [r.id for r in GOOD]


@pytest.mark.parametrize(("record", "word"), [(BAD[0], "refuted"), (BAD[1], "survived")])
def test_refuted_and_untested_theorems_have_status_1_and_a_reason(registered, capsys, record, word):
    assert main(["verify", record.id, "--budget", "quick"]) == 1
    assert word in capsys.readouterr().out


def test_patterns_choose_and_unknown_ones_are_explained(registered, capsys):
    assert main(["verify", "example/ex*", "--budget", "quick"]) == 0
    assert "1 theorem:" in capsys.readouterr().out
    assert main(["verify", "example/exat"]) == 2
    assert "did you mean example/exact" in capsys.readouterr().err
    assert not Path("out/other").exists()


def test_json_holds_every_result(registered):
    registered(*GOOD)
    arguments = ["verify", "--budget", "quick", "--seed", "3", "--json", "deep/results.json"]
    assert main(arguments) == 0
    document = json.loads(Path("deep/results.json").read_text())
    assert (document["budget"], document["seed"]) == ("quick", 3)
    assert [result["theorem"] for result in document["results"]] == [r.id for r in GOOD]
    assert all(result["seed"] == 3 for result in document["results"])


def test_resume_skips_what_is_done(registered, capsys):
    registered(GOOD[0])
    assert main(["verify", "--budget", "quick"]) == 0
    registered(*GOOD)
    assert main(["verify", "--budget", "quick", "--resume"]) == 0
    assert "2 theorems" in capsys.readouterr().out
    assert len(Store("out/verify.jsonl").results()) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "--store", "taken/run.jsonl"],
        ["verify", "--json", "taken/results.json"],
        ["falsify", "example/exact", "--json", "taken/worst.json"],
        ["report", "--out", "taken/report.html"],
    ],
)
def test_an_output_that_cannot_be_written_is_said_before_the_work(registered, capsys, arguments):
    registered(GOOD[0])
    main(["verify", "--budget", "quick"])
    capsys.readouterr()
    Path("taken").write_text("a file, not a folder")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("rltheory: taken")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "--seed", "-1"], "seed is -1"),
        (["verify", "--jobs", "0"], "jobs is 0"),
        (["falsify", "example/none"], "unknown theorem 'example/none'"),
        (["show", "example/none"], "unknown theorem 'example/none'"),
        (["list", "none/*"], "unknown theorem 'none/*'"),
        (["replay", "none.json"], "none.json: No such file"),
        (["report"], "run `rltheory verify` first"),
    ],
)
def test_bad_input_is_named_with_status_2(registered, capsys, arguments, message):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_list_and_show(registered, capsys):
    assert main(["list", "example/s*"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["example/separation", "separation"],
        ["example/surviving", "inequality"],
    ]
    assert main(["show", "example/exact"]) == 0
    text = capsys.readouterr().out
    for part in (examples.EXACT.source, examples.EXACT.statement, "false twin", "$x$ is a number"):
        assert part in text


def test_falsify_keeps_an_instance_that_replay_evaluates_again(registered, capsys):
    arguments = ["falsify", "example/false", "--budget", "quick", "--json", "worst.json"]
    assert main(arguments) == 1
    first = capsys.readouterr().out
    assert "example/false: refuted on " in first
    assert main(["replay", "worst.json"]) == 0
    again = capsys.readouterr().out
    assert "the same bits" in again
    sides = [line for line in first.splitlines() if line.startswith("  ")]
    assert all(line in again for line in sides)


def test_replay_says_when_the_bits_differ_and_when_a_file_is_damaged(registered, capsys):
    main(["falsify", "example/false", "--budget", "quick", "--json", "worst.json"])
    instance = json.loads(Path("worst.json").read_text())
    capsys.readouterr()
    Path("other.json").write_text(json.dumps(instance | {"digest": "0" * 64}))
    assert main(["replay", "other.json"]) == 1
    assert "not the same bits" in capsys.readouterr().out
    damaged = {
        "{": "other.json does not hold an instance",
        "[]": "expected an object holding a Instance",
        "{}": "'theorem' is missing",
        json.dumps(instance | {"vector": ["x"]}): "vector is 'x'; expected float",
        json.dumps(instance | {"size": 1e400}): "size is inf; expected int",
        json.dumps(instance | {"theorem": ["x"]}): "theorem is ['x']; expected str",
        json.dumps(instance | {"details": None}): "details is None",
        "[" * 100_000: "maximum recursion depth",
        json.dumps(instance | {"vector": [2.0]}): "expected numbers in [0, 1]",
        json.dumps(instance | {"role": "x"}): "role is 'x'",
        json.dumps(instance | {"comparison": {}}): "'state' is missing",
    }
    for text, message in damaged.items():
        Path("other.json").write_text(text)
        assert main(["replay", "other.json"]) == 2
        assert message in capsys.readouterr().err


def test_results_and_run_log_are_two_files(registered, capsys):
    arguments = ["verify", "example/exact", "--json", "run.jsonl", "--store", "./run.jsonl"]
    assert main(arguments) == 2
    assert "--json and --store are both run.jsonl" in capsys.readouterr().err
    assert not Path("run.jsonl").exists()


@pytest.mark.parametrize("text", ["notes", "notes\n", '{"a": 1}', "notes\n{", "\xff\n"])
@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_a_file_that_is_no_run_log_is_refused_and_left_alone(registered, capsys, text, resume):
    Path("notes.txt").write_text(text, encoding="latin-1")
    assert main(["verify", "example/exact", "--store", "notes.txt", *resume]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("rltheory: notes.txt")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert Path("notes.txt").read_text(encoding="latin-1") == text


@pytest.mark.parametrize("role", ["control", "sign", "constant"])
def test_false_variants_can_be_watched_falling(registered, capsys, role):
    arguments = ["falsify", "example/exact", "--role", role, "--budget", "quick"]
    assert main([*arguments, "--json", "fallen.json"]) == 0
    assert f"example/exact ({role}): refuted on " in capsys.readouterr().out
    assert main(["replay", "fallen.json"]) == 0


def test_report_is_written_and_named(registered, capsys):
    main(["verify", "--budget", "quick", "--jobs", "1"])
    assert main(["report"]) == 0
    assert capsys.readouterr().out.endswith("report: out/report.html\n")
    assert "example/exact" in Path("out/report.html").read_text()


SLOW = """
import signal, sys, time
from fractions import Fraction
import theory_examples as examples
from rltheory.cli.main import main
from rltheory.theory import registry, store

# What a shell starts in the background ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Whoever edits the library while its tests run would start the resumed run from the beginning.
store._library_source = lambda: b"unchanged"

def sides(x):
    time.sleep(0.005)
    return examples.square(x)

records = [
    examples.theorem(f"slow/{n}", sides, examples.square_reversed, cost=10.0) for n in range(40)
]
registry.theorems = lambda: registry.ordered(records)
sys.argv[1:1] = ["verify", "--jobs", "1", "--budget", "quick"]
sys.exit(main())
"""


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_done_and_goes_on(tmp_path, stop):
    environment = os.environ | {"PYTHONPATH": str(Path(examples.__file__).parent)}
    (tmp_path / "slow.py").write_text(SLOW)

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "slow.py", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    process = start()
    log = tmp_path / "out" / "verify.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and log.read_text().count("\n") >= 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(stop)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = Store(log).results()
    assert 2 <= len(kept) < 40
    assert error == (
        f"rltheory: interrupted; {len(kept)} of 40 theorems are kept in out/verify.jsonl; "
        "add --resume to the same command to go on\n"
    )

    with log.open("a") as file:
        file.write('{"theorem": "half a line')
    process = start("--resume")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "40 theorems: 40 hold exactly" in output
    results = Store(log).results()
    assert results[: len(kept)] == kept
    assert len(results) == len({result.theorem for result in results}) == 40
