"""`--json FILE` of the commands, and `-` as FILE."""

import json
from pathlib import Path

import pytest
import theory_examples as examples

from rltheory.cli.main import main
from rltheory.theory import registry


@pytest.fixture(autouse=True)
def registered(monkeypatch, tmp_path):
    """Work in an empty folder with two theorems registered."""
    records = (examples.EXACT, examples.SEPARATION)
    monkeypatch.setattr(registry, "theorems", lambda: registry.ordered(records))
    monkeypatch.chdir(tmp_path)


def printed(capsys, *arguments):
    """Return the JSON that is all of standard output, and that no file is named `-`."""
    assert main([*arguments, "--json", "-"]) == 0
    assert not Path("-").exists()
    return json.loads(capsys.readouterr().out)


def test_list_and_show_give_the_texts(capsys):
    rows = printed(capsys, "list")
    assert [row["id"] for row in rows] == ["example/exact", "example/separation"]
    assert set(rows[0]) == {"id", "title", "kind", "source"}
    shown = printed(capsys, "show", "example/exact")
    assert shown["statement"] == examples.EXACT.statement
    assert shown["hypotheses"] == list(examples.EXACT.hypotheses)
    assert shown["control"]["name"] == examples.EXACT.control.name


def test_a_file_holds_what_standard_output_would(capsys):
    assert main(["list", "--json", "deep/list.json"]) == 0
    kept = json.loads(Path("deep/list.json").read_text())
    assert "example/exact" in capsys.readouterr().out
    assert kept == printed(capsys, "list")


def test_verify_falsify_and_replay(capsys):
    found = printed(capsys, "verify", "--budget", "quick")
    assert [result["theorem"] for result in found["results"]] == [
        "example/exact",
        "example/separation",
    ]
    worst = printed(capsys, "falsify", "example/exact", "--budget", "quick")
    Path("worst.json").write_text(json.dumps(worst))
    again = printed(capsys, "replay", "worst.json")
    assert again["same_bits"] is True
    assert again["kept"] == again["found"] == worst
    Path("worst.json").write_text(json.dumps(worst | {"digest": "0" * 64, "left": "7"}))
    assert main(["replay", "worst.json", "--json", "-"]) == 1
    changed = json.loads(capsys.readouterr().out)
    assert changed["same_bits"] is False
    assert changed["kept"]["left"] == "7"


def test_figures_list_their_files(capsys):
    rows = printed(capsys, "figures", "--list")
    assert {"name", "title"} == set(rows[0])
    (drawn,) = printed(capsys, "figures", "bounds", "--format", "png", "--out", "pictures")
    assert sorted(map(Path, drawn["files"])) == sorted(Path("pictures").iterdir())
    assert drawn["seconds"] > 0.0


def test_report_says_where_it_is(capsys):
    assert main(["verify", "--budget", "quick"]) == 0
    capsys.readouterr()
    assert Path(printed(capsys, "report", "--out", "page.html")["path"]).is_file()


@pytest.mark.parametrize(("kind", "model"), [("model", "frozen_lake"), ("game", "kuhn_poker")])
def test_solve(capsys, kind, model):
    assert model in str(printed(capsys, "solve", model)[kind])


def test_sweep_lists_experiments(capsys):
    names = {row["name"] for row in printed(capsys, "sweep", "--list")}
    assert names
    assert main(["sweep", "--list"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in names)
