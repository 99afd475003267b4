"""`rltheory solve` for games: strategies that are as good as it says, files, errors in one line."""

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from rltheory.cli.main import main
from rltheory.games.best_response import exploitability
from rltheory.games.interop.gambit import to_gambit
from rltheory.games.library import load
from rltheory.games.normal_form.matrix_classics import MATRIX_GAMES
from rltheory.games.regret.variants import VARIANTS


def answer(tmp_path, *words):
    path = tmp_path / "answer.json"
    assert main(["solve", *map(str, words), "--json", str(path)]) == 0
    return json.loads(path.read_text())


def profile(found, game):
    """The strategies of an answer as an array over the slots of a game."""
    rows = [list(row.values()) for table in found["strategies"] for row in table.values()]
    array = np.concatenate(rows)
    assert array.shape == (game.slots,)
    return array


@pytest.mark.parametrize("method", ["cfr", "lp", "psro", "mccfr"])
def test_every_method_encloses_kuhn_pokers_value(tmp_path, method):
    found = answer(tmp_path, "kuhn_poker", "--method", method)
    assert found["value"]["lower"] <= Fraction(-1, 18) <= found["value"]["upper"]
    game = load("kuhn_poker")
    reached = exploitability(game, profile(found, game))
    assert found["certified"]["lower"] <= reached <= found["certified"]["upper"]
    assert reached < 0.02


def test_a_run_is_printed_as_it_falls(capsys):
    words = ["leduc_poker", "--variant", "dcfr", "--iterations", "64", "--checkpoints", "4"]
    assert main(["solve", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("game       leduc_poker(players=2): 2 players, zero-sum, 9451 hist")
    assert lines[1].startswith("method     DCFR(1.5, 0, 2), Brown, Sandholm (2019); pla")
    rows = [line.split() for line in lines[4:8]]
    assert [int(row[0]) for row in rows] == [1, 4, 16, 64]
    assert float(rows[3][1]) < float(rows[0][1]) / 10


@pytest.mark.parametrize(
    ("method", "iterations"), [("cfr", 10**9), ("mccfr", 10**9), ("psro", 10**4)]
)
def test_exploitability_is_printed_while_the_run_goes_on(method, iterations):
    words = ["leduc_poker", "--method", method, "--iterations", str(iterations)]
    with subprocess.Popen(
        [sys.executable, "-m", "rltheory.cli.main", "solve", *words],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            lines = [process.stdout.readline() for _ in range(6)]
            assert process.poll() is None
        finally:
            process.kill()
    assert lines[3].split()[:2] == ["iteration", "exploitability"]
    for line in lines[4:]:
        iteration, value = line.split()
        assert int(iteration) >= 0
        assert float(value) > 0


@pytest.mark.parametrize("method", ["cfr", "mccfr", "psro"])
def test_what_is_printed_is_what_the_answer_holds_and_ends_with_the_last(tmp_path, capsys, method):
    words = ["kuhn_poker", "--method", method, "--iterations", "40"]
    for save in ([], ["--save", tmp_path / "run.npz"], ["--save", tmp_path / "run.npz"]):
        found = answer(tmp_path, *words, *save)
        lines = capsys.readouterr().out.splitlines()
        values = dict(zip(found["iterations"], found["exploitability"], strict=True))
        rows = [line.split() for line in lines[4 : lines.index("", 4)]]
        assert [float(value) for _, value in rows] == pytest.approx(
            [values[int(iteration)] for iteration, _ in rows], rel=1e-6
        )
        assert int(rows[-1][0]) == 40
        assert found["iterations"][-1] == 40


def test_an_answer_to_standard_output_is_all_there_is(tmp_path):
    words = ["kuhn_poker", "--iterations", "20", "--json", "/dev/stdout"]
    done = subprocess.run(
        [sys.executable, "-m", "rltheory.cli.main", "solve", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["iterations"][-1] == 20
    assert "exploitability of the average" in done.stderr


def test_any_number_of_checkpoints_is_at_most_every_iteration(tmp_path):
    words = ["kuhn_poker", "--iterations", "20", "--checkpoints", "999999999999"]
    for method in ("cfr", "mccfr"):
        found = answer(tmp_path, *words, "--method", method)
        assert found["iterations"] == list(range(1, 21))


def test_a_kept_run_goes_on_to_the_same_bits(tmp_path):
    words = ["kuhn_poker", "--set", "players=3", "--variant", "pdcfr_plus", "--iterations", "300"]
    whole = answer(tmp_path, *words)
    kept = answer(tmp_path, *words, "--save", tmp_path / "run.npz")
    again = answer(tmp_path, *words, "--save", tmp_path / "run.npz")
    for found in (kept, again):
        assert found["strategies"] == whole["strategies"]
        assert found["exploitability"] == whole["exploitability"]


def test_simultaneous_updates_are_another_run(tmp_path):
    turns = answer(tmp_path, "kuhn_poker", "--variant", "cfr", "--iterations", "50")
    once = answer(tmp_path, "kuhn_poker", "--variant", "cfr", "--iterations", "50",
                  "--simultaneous")  # fmt: skip
    assert turns["exploitability"] != once["exploitability"]


def test_gambits_files_are_solved_like_the_games_they_hold(tmp_path):
    tree = load("kuhn_poker", form="tree")
    to_gambit(tree, tmp_path / "kuhn.efg")
    to_gambit(MATRIX_GAMES["rock_paper_scissors"](), tmp_path / "rps.nfg")
    to_gambit(MATRIX_GAMES["chicken"](), tmp_path / "chicken.nfg")
    named = answer(tmp_path, "kuhn_poker", "--variant", "cfr")
    read = answer(tmp_path, tmp_path / "kuhn.efg", "--variant", "cfr")
    assert profile(read, tree) == pytest.approx(profile(named, tree), abs=1e-12)
    rps = answer(tmp_path, tmp_path / "rps.nfg")
    assert rps["method"] == "lp"
    assert profile(rps, load("rock_paper_scissors")) == pytest.approx(np.full(6, 1 / 3), abs=1e-9)
    chicken = answer(tmp_path, tmp_path / "chicken.nfg", "--variant", "cfr_plus")
    assert "value" not in chicken
    assert chicken["certified"]["upper"] < 1e-5


def test_the_arrays_are_kept(tmp_path):
    path = tmp_path / "run.npz"
    assert main(["solve", "kuhn_poker", "--variant", "cfr_plus", "--out", str(path)]) == 0
    with np.load(path) as arrays:
        game = load("kuhn_poker")
        reached = exploitability(game, arrays["strategies"])
        assert reached == pytest.approx(arrays["exploitability"][-1], abs=1e-15)
        assert arrays["iterations"][-1] == 1000


def test_an_answer_above_the_tolerance_is_exit_status_1():
    words = ["solve", "leduc_poker", "--variant", "cfr", "--iterations", "20"]
    assert main([*words, "--tolerance", "1e-3"]) == 1
    assert main([*words, "--tolerance", "1"]) == 0


def test_a_run_too_short_to_average_says_so(capsys):
    assert main(["solve", "kuhn_poker", "--iterations", "100"]) == 0
    assert "no average yet: these are the current strategies" in capsys.readouterr().out


def test_the_variants_are_listed(capsys):
    assert main(["solve", "kuhn_poker", "--variant", "list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(VARIANTS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["kuhn_pokr"], "did you mean kuhn_poker"),
        (["kuhn_poker", "--discount", "0.9"], "--discount is for MDPs"),
        (["kuhn_poker", "--method", "value_iteration"], "--method value_iteration is for MDPs"),
        (["frozen_lake", "--variant", "cfr"], "--variant is for games"),
        (["frozen_lake", "--method", "cfr"], "--method cfr is for games"),
        (["kuhn_poker", "--set", "players=0"], "players is 0"),
        (["kuhn_poker", "--set", "player=3"], "kuhn_poker has no parameter 'player'"),
        (["kuhn_poker", "--set", "name=3"], "--set 'name=3'; expected a parameter"),
        (["frozen_lake", "--set", "name=3"], "--set 'name=3'; expected a parameter"),
        (["kuhn_poker", "--iterations", str(10**24)], "expected at most 2**53"),
        (["kuhn_poker", "--variant", "vad"], "variant is 'vad'; expected one of cfr, "),
        (["kuhn_poker", "--iterations", "0"], "iterations is 0"),
        (["kuhn_poker", "--checkpoints", "0"], "checkpoints is 0"),
        (["kuhn_poker", "--tolerance", "nan"], "--tolerance is nan"),
        (["kuhn_poker", "--meta-solver", "shor"], "--meta-solver is for --method psro, not cfr"),
        (["kuhn_poker", "--method", "lp", "--iterations", "5"], "not lp"),
        (["kuhn_poker", "--method", "psro", "--meta-solver", "sure"], "meta_solver is 'sure'"),
        (
            ["kuhn_poker", "--set", "players=3", "--method", "lp"],
            "the sequence-form program needs two",
        ),
        (["{}/absent.efg"], "absent.efg"),
        (["{}/cut.efg"], "cut.efg, line"),
        (["{}/forgets.efg"], "expected perfect recall"),
        (["{}/cut.efg", "--set", "players=2"], "a file has no parameters"),
        (["kuhn_poker", "--save", "{}"], "is a folder; expected a file to write"),
        (["kuhn_poker", "--save", "{}/cut.efg"], "does not hold a CFR run: expected an archive"),
        (
            ["kuhn_poker", "--method", "mccfr", "--save", "{}/cut.efg"],
            "hold an MCCFR run: ",
        ),
        (["kuhn_poker", "--method", "psro", "--save", "{}/cut.efg"], "hold a PSRO run: "),
        (
            ["{}/huge.nfg"],
            "line 1: the strategies of 2 players make 1000000000000 profiles",
        ),
        (
            ["kuhn_poker", "--iterations", str(10**12), "--checkpoints", str(10**11)],
            "expected at most 1000000",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(tmp_path, capsys, words, message):
    to_gambit(load("kuhn_poker", form="tree"), tmp_path / "whole.efg")
    text = (tmp_path / "whole.efg").read_text()
    (tmp_path / "cut.efg").write_text(text[: len(text) // 2])
    (tmp_path / "huge.nfg").write_text('NFG 1 R "" { "a" "b" } { 1000000 1000000 } 1 2')
    (tmp_path / "forgets.efg").write_text(
        'EFG 2 R "forgets" { "a" } ""\n'
        'p "" 1 1 "" { "l" "r" } 0\n'
        'p "" 1 2 "" { "x" "y" } 0\nt "" 1 "" { 1 }\nt "" 2 "" { 2 }\n'
        'p "" 1 2 "" { "x" "y" } 0\nt "" 3 "" { 3 }\nt "" 4 "" { 4 }\n'
    )
    assert main(["solve", *(word.replace("{}", str(tmp_path)) for word in words)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
