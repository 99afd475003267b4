"""`rltheory figures` as a user meets it: lists, draws, refuses; and `rltheory reproduce`."""

import argparse
import json
import time

import pytest

from rltheory.cli import figures, reproduce
from rltheory.paper_figures import registry
from rltheory.theory import registry as theorems


def run(*words, command=figures):
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = parser.parse_args([command.__name__.split(".")[-1], *words])
    return arguments.run(arguments)


def test_list_names_every_figure(capsys):
    assert run("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f.name for f in registry.figures()]


def test_a_figure_comes_with_its_data_and_record(tmp_path, capsys):
    assert run("bounds", "--out", str(tmp_path / "new" / "folder"), "--seed", "3") == 0
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == [
        f"bounds.{kind}" for kind in ("csv", "json", "pdf", "png")
    ]
    assert str(folder / "bounds.png") in capsys.readouterr().out
    about = json.loads((folder / "bounds.json").read_text())
    assert (about["name"], about["scale"], about["seed"]) == ("bounds", "quick", 3)
    assert about["title"]
    assert about["caption"]
    assert about["source"]
    assert about["settings"]


def test_an_unknown_name_lists_near_matches(tmp_path):
    with pytest.raises(ValueError, match="unknown figure 'plannners'; did you mean planners"):
        run("plannners", "--out", str(tmp_path))
    with pytest.raises(ValueError, match="--list"):
        run("zzzzzz", "--out", str(tmp_path))


def test_a_folder_that_is_a_file_is_named_before_anything_is_drawn(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match="file' cannot be written"):
        run("bounds", "--out", str(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "message"), [(["--seed", "-1"], "seed is -1"), (["--jobs", "0"], "jobs is 0")]
)
def test_numbers_out_of_range_are_named(words, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        run("bounds", "--out", str(tmp_path), *words)


def test_a_parameter_of_ones_own_is_drawn_and_recorded(tmp_path):
    (bounds,) = registry.select(["bounds"])
    usual = bounds.settings["quick"]
    states = usual["states"] - 2
    assert run("bounds", "--set", f"states={states}", "--out", str(tmp_path)) == 0
    about = json.loads((tmp_path / "bounds.json").read_text())
    assert about["settings"] == dict(usual) | {"states": states}
    other = tmp_path / "other"
    assert run("bounds", "--out", str(other)) == 0
    assert (other / "bounds.csv").read_text() != (tmp_path / "bounds.csv").read_text()


def test_a_parameter_that_a_figure_cannot_take_is_one_line(tmp_path, capsys):
    assert run("bounds", "--set", "states=-3", "--out", str(tmp_path)) == 1
    said = capsys.readouterr().err
    assert said.startswith("bounds failed: with {'states': -3}: ValueError(")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("names", "words", "error", "message"),
    [
        (["bounds"], ["sates=3"], ValueError, "bounds has no parameter 'sates'; its .*states"),
        (["bounds", "risk"], ["states=3"], None, ""),
        (["bounds", "planners"], ["states=3"], ValueError, "planners has no parameter 'states'"),
        (["bounds"], ["states=many"], TypeError, "states is 'many'; expected a value like"),
        (["bounds"], ["states=2.5"], TypeError, "states is 2.5; expected a value like"),
        (["bounds"], ["states=True"], TypeError, "states is True"),
        (["s-rectangular"], ["radii=0.1"], TypeError, r"radii is 0.1; expected a value like \["),
        (["s-rectangular"], ["radii=[0.1, 'x']"], TypeError, "radii is"),
        (["bounds"], ["states"], ValueError, "--set 'states'; expected KEY=VALUE"),
        (["bounds"], ["states=3", "states=4"], ValueError, "--set states is given twice"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_is_drawn(
    names, words, error, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(figures, "draw_all", lambda *_, **__: [])
    setting = [part for word in words for part in ("--set", word)]
    if error is None:
        assert run(*names, *setting, "--out", str(tmp_path)) == 0
        return
    with pytest.raises(error, match=message):
        run(*names, *setting, "--out", str(tmp_path))


def test_an_unknown_scale_is_refused_by_the_parser(capsys):
    with pytest.raises(SystemExit) as stop:
        run("--scale", "huge")
    assert stop.value.code == 2
    assert "huge" in capsys.readouterr().err


def test_pictures_come_in_the_formats_asked_for(tmp_path, capsys):
    assert run("bounds", "--format", "pgf, pdf,pgf", "--out", str(tmp_path)) == 0
    assert {p.suffix for p in tmp_path.iterdir()} == {".csv", ".json", ".pdf", ".pgf"}
    assert str(tmp_path / "bounds.pgf") in capsys.readouterr().out


@pytest.mark.parametrize("words", ["svg", "pdf,svg", "", ","])
def test_an_unknown_format_is_refused_by_the_parser(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        run("bounds", "--format", words, "--out", str(tmp_path / "new"))
    assert stop.value.code == 2
    assert "expected some of ('pdf', 'png', 'pgf')" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_figure_that_fails_is_reported_and_the_others_are_drawn(tmp_path, monkeypatch, capsys):
    def fail(parameters, seed):
        raise RuntimeError("no such luck")

    good = registry.select(["bounds"])
    bad = registry.Figure(name="bad", title="Bad", caption="Bad.", source="none", draw=fail)
    monkeypatch.setattr(registry, "figures", lambda: (bad, *good))
    assert run("--out", str(tmp_path), "--jobs", "1") == 1
    assert "no such luck" in capsys.readouterr().err
    assert (tmp_path / "bounds.png").exists()
    assert not list(tmp_path.glob("*bad*"))


def test_reproduce_ends_by_naming_a_report_with_verdicts_and_figures(tmp_path, monkeypatch, capsys):
    theorem, figure = theorems.theorems()[:1], registry.select(["bounds"])
    monkeypatch.setattr(theorems, "theorems", lambda: theorem)
    monkeypatch.setattr(registry, "figures", lambda: figure)
    words = ("--budget", "quick", "--jobs", "1", "--out", str(tmp_path / "out"))
    assert run(*words, command=reproduce) == 0
    page = tmp_path / "out" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1].endswith(str(page.resolve()))
    text = page.read_text()
    assert theorem[0].id in text
    assert figure[0].title in text


def test_reproduce_records_time_and_memory_of_each_stage(tmp_path, monkeypatch, capsys):
    theorem, two = theorems.theorems()[:2], registry.select(["bounds", "planners"])
    monkeypatch.setattr(theorems, "theorems", lambda: theorem)
    monkeypatch.setattr(registry, "figures", lambda: two)
    words = ("--budget", "quick", "--jobs", "2", "--out", str(tmp_path))
    start = time.perf_counter()
    assert run(*words, command=reproduce) == 0
    elapsed = time.perf_counter() - start
    stages = json.loads((tmp_path / "reproduce.json").read_text())["stages"]
    assert [stage["stage"] for stage in stages] == ["verify", "figures", "report"]
    assert 0 < sum(stage["seconds"] for stage in stages) <= elapsed
    for kind, first in (("process_mib", 0), ("worker_mib", 1)):
        peaks = [stage[kind] for stage in stages]
        assert peaks == sorted(peaks)
        # So few theorems need no workers, two figures do. NumPy alone takes 20 MiB, and no
        # machine that runs this has 1 TiB.
        assert all(20 < peak < 2**20 for peak in peaks[first:]), peaks
    said = capsys.readouterr().out.splitlines()[-2]
    assert f"peak memory {stages[-1]['process_mib']:.0f} MiB" in said
    assert "verify " in said


def test_reproduce_goes_on_to_the_report_and_says_1_if_a_figure_fails(tmp_path, monkeypatch):
    def fail(parameters, seed):
        raise RuntimeError("no such luck")

    bad = registry.Figure(name="bad", title="Bad", caption="Bad.", source="none", draw=fail)
    one = theorems.theorems()[:1]
    monkeypatch.setattr(theorems, "theorems", lambda: one)
    monkeypatch.setattr(registry, "figures", lambda: (bad,))
    words = ("--budget", "quick", "--jobs", "1", "--out", str(tmp_path))
    assert run(*words, command=reproduce) == 1
    assert (tmp_path / "report.html").exists()


def test_reproduce_refuses_a_folder_that_is_a_file_before_any_work(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(OSError, match="file' cannot be written"):
        run("--out", str(tmp_path / "file"), command=reproduce)
