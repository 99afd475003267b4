"""The style keeps curves apart, and saved files depend on their content alone."""

import csv
import errno
import itertools
import json
import os
from pathlib import Path

import pytest
from coloraide import Color

from rltheory.analysis import plotting


def draw():
    with plotting.style():
        figure, axes = plotting.panels()
        axes.plot([1, 2, 3], [1.0, 0.1, 0.01], **plotting.line(1))
        axes.set(xlabel="sweeps", ylabel="gap $v^*$", yscale="log")
        yield figure


def save(folder):
    (figure,) = draw()
    rows = [{"sweeps": 1, "gap": 0.1}, {"sweeps": 2, "gap": None}]
    with plotting.style():
        return plotting.save(figure, rows, {"title": "A title"}, folder, "name")


def test_saving_twice_gives_the_same_bytes(tmp_path):
    first, second = save(tmp_path / "a"), save(tmp_path / "b")
    assert set(first) == {"csv", "json", "pdf", "png"}
    for kind in first:
        assert first[kind].read_bytes() == second[kind].read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        f"name.{kind}" for kind in ("csv", "json", "pdf", "png")
    ]
    assert b"CreationDate" not in first["pdf"].read_bytes()


def test_data_and_record_read_back(tmp_path):
    paths = save(tmp_path)
    with paths["csv"].open() as file:
        assert list(csv.reader(file)) == [["sweeps", "gap"], ["1", "0.1"], ["2", ""]]
    assert json.loads(paths["json"].read_text()) == {"title": "A title"}


def test_style_is_left_behind():
    import matplotlib

    # Whichever it is: Matplotlib chooses one when it is first asked.
    chosen = matplotlib.get_backend()
    for backend in ("svg", chosen):
        matplotlib.use(backend)
        before = matplotlib.rcParams.copy()
        list(draw())
        assert before == matplotlib.rcParams


def test_curves_differ_in_colour_and_without_it():
    looks = [plotting.line(index) for index in range(8)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == 8
    more = [plotting.line(index) for index in range(16)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in more}) == 16


APART = 10.0
"""Least CIEDE2000 difference of two curves' colours; about 1 is just noticeable side by side."""


@pytest.mark.parametrize("sight", ["all cones", "protan", "deutan", "tritan"])
def test_colours_stay_apart_for_every_kind_of_sight(sight):
    seen = [Color(colour) for colour in plotting.COLOURS]
    if sight != "all cones":
        # Machado, Oliveira and Fernandes (2009) at full severity: without one kind of cones.
        seen = [colour.filter(sight, 1.0, method="machado").clip() for colour in seen]
    for first, second in itertools.combinations(seen, 2):
        assert first.delta_e(second, method="2000") > APART
    # Lines on white need contrast with the page.
    assert all(colour.convert("lab").get("lightness") < 75 for colour in seen)


def test_the_simulation_makes_red_and_green_alike():
    red, green = "#C04040", "#6F7F1F"
    far = Color(red).delta_e(green, method="2000")
    near = [Color(c).filter("deutan", 1.0, method="machado").clip() for c in (red, green)]
    assert far > 3 * APART
    assert near[0].delta_e(near[1], method="2000") < APART


@pytest.mark.parametrize(
    ("rows", "message"), [([], "empty"), ([{"a": 1}, {"b": 1}], r"rows\[1\] has the columns")]
)
def test_rows_must_be_a_table(rows, message):
    with pytest.raises(ValueError, match=message):
        plotting.to_csv(rows)


@pytest.mark.parametrize("formats", [[], ["svg"], "pdf"])
def test_formats_must_be_known_and_some(formats, tmp_path):
    with plotting.style(), pytest.raises(ValueError, match=r"formats is .* expected some of"):
        plotting.save(plotting.panels()[0], [{"x": 1}], {}, tmp_path / "new", "name", formats)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file' cannot be written"):
        plotting.writable_folder(tmp_path / "file")


def test_a_full_disk_is_named_and_leaves_no_half_written_file(tmp_path, monkeypatch):
    def full(path, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with plotting.style():
        figure, _ = plotting.panels()
        with pytest.raises(OSError, match=r"name\.csv' cannot be written: No space left"):
            plotting.save(figure, [{"x": 1}], {}, tmp_path, "name")
    assert not list(tmp_path.iterdir())


def test_columns_are_selected_by_value():
    rows = [{"k": "a", "x": 1}, {"k": "b", "x": 2}, {"k": "a", "x": 3}]
    assert plotting.column(rows, "x", k="a").tolist() == [1, 3]
