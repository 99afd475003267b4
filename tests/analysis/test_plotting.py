"""The style keeps curves apart, and saved files depend on their content alone."""

import csv
import errno
import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb

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

    before = matplotlib.rcParams.copy()
    list(draw())
    assert before == matplotlib.rcParams


def test_curves_differ_in_colour_and_without_it():
    looks = [plotting.line(index) for index in range(8)]
    for key in ("color", "linestyle", "marker"):
        assert len({str(look[key]) for look in looks}) == 8
    more = [plotting.line(index) for index in range(16)]
    assert len({(str(look["linestyle"]), look["marker"]) for look in more}) == 16


# Machado, Oliveira and Fernandes (2009), full dichromacy, linear RGB.
PROTAN = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTAN = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]


@pytest.mark.parametrize("sight", [np.eye(3), np.array(PROTAN), np.array(DEUTAN)])
def test_colours_stay_apart_for_every_kind_of_sight(sight):
    seen = []
    for colour in plotting.COLOURS:
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(_lab(np.clip(sight @ linear, 0, 1)))
    for first, second in itertools.combinations(seen, 2):
        # 2.3 is a just noticeable difference in CIELAB.
        assert np.linalg.norm(first - second) > 3 * 2.3
    # Lines on white need contrast with the page.
    assert all(lab[0] < 75 for lab in seen)


def _lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = xyz @ linear / np.array([0.9505, 1.0, 1.089])
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize(
    ("rows", "message"), [([], "empty"), ([{"a": 1}, {"b": 1}], r"rows\[1\] has the columns")]
)
def test_rows_must_be_a_table(rows, message):
    with pytest.raises(ValueError, match=message):
        plotting.to_csv(rows)


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
