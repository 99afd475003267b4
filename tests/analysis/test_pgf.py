"""A picture in PGF needs no TeX to be made, and TeX can read what comes out."""

import re

import numpy as np
import pytest

from rltheory.analysis import pgf, plotting


@pytest.fixture
def without_tex(monkeypatch):
    monkeypatch.setenv("PATH", "")


def draw():
    with plotting.style():
        figure, (left, right) = plotting.panels(1, 2, width=plotting.COLUMN)
        left.plot([1, 10], [1.0, 0.01], label="kuhn_poker & R$^2$, 5%", **plotting.line(1))
        left.set(xlabel="gap $v^*_h$", ylabel="left", xscale="log", yscale="log")
        left.legend()
        right.imshow(np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]), cmap=plotting.MAP)
        return figure


def made(name="name"):
    figure = draw()
    with plotting.style():
        return pgf.to_pgf(figure, name)


def test_no_tex_is_run_and_the_bytes_are_the_same(without_tex):
    first = made()
    assert set(first) == {".pgf", "-0.png"}
    assert made() == first


def test_groups_and_environments_close(without_tex):
    text = made()[".pgf"].decode()
    bare = re.sub(r"\\[{}]", "", text)
    depth = np.cumsum([{"{": 1, "}": -1}.get(mark, 0) for mark in bare])
    assert depth.min() == 0
    assert depth[-1] == 0
    for kind in ("pgfpicture", "pgfscope"):
        assert text.count(f"\\begin{{{kind}}}") == text.count(f"\\end{{{kind}}}") > 0
    # A line that does not end in a comment would put a space into the paper's text.
    assert all(line.endswith("%") or line.startswith("%") for line in text.splitlines()[:-1])


def test_it_is_as_wide_as_a_column_and_texts_are_those_of_the_figure(without_tex):
    text = made()[".pgf"].decode()
    frame = re.search(r"\\pgfqpoint{([\d.]+)in}{([\d.]+)in}", text)
    assert [float(side) for side in frame.groups()] == pytest.approx([plotting.COLUMN, 2.4])
    assert r"kuhn\_poker \& R$^2$, 5%" in text
    assert "gap $v^*_h$" in text
    # Fonts are left to the document, and no path of this machine is told.
    assert "STIX" not in text
    assert "setmainfont" not in text
    assert "Path=" not in text


def test_pixels_lie_where_they_are_named_and_stand_where_they_are_drawn(without_tex, tmp_path):
    figure = draw()
    with plotting.style():
        paths = plotting.save(figure, [{"x": 1}], {}, tmp_path, "name", ["pgf"])
    assert sorted(path.name for path in paths.values()) == [
        "name-0.png", "name.csv", "name.json", "name.pgf"
    ]  # fmt: skip
    placed = re.search(
        r"x=([\d.]+)in,y=([\d.]+)in\]{\\pgfimage\[width=([\d.]+)in,height=([\d.]+)in\]{name-0.png}}",
        paths["pgf"].read_text(),
    )
    axis = figure.axes[1].get_window_extent()
    expected = np.array([axis.x0, axis.y0, axis.width, axis.height]) / figure.dpi
    # Whole pixels of the figure.
    np.testing.assert_allclose(
        [float(p) for p in placed.groups()], expected, atol=1.01 / figure.dpi
    )
    from matplotlib.image import imread

    image = imread(paths["-0.png"])
    # The dark cell is the first of the upper row.
    rows, columns = image.shape[:2]
    dark = image[:, :, :3].sum(axis=2) < 1.0
    assert dark[rows // 4, columns // 6]
    assert not dark[3 * rows // 4].any()
    assert not dark[rows // 4, columns // 2 :].any()


@pytest.mark.parametrize(
    ("text", "maths", "tex"),
    [
        ("a_b & c#", False, r"a\_b \& c\#"),
        ("$a_b$ a_b $c_d$", True, r"$a_b$ a\_b $c_d$"),
        (r"5 \$ of $x$", True, r"5 \$ of $x$"),
        ("5 $", False, r"5 \$"),
        (
            "{<|>}~\\",
            False,
            r"\{\textless{}\textbar{}\textgreater{}\}\textasciitilde{}\textbackslash{}",
        ),
    ],
)
def test_texts_are_literal_and_formulas_stay(text, maths, tex):
    assert pgf.as_tex(text, maths=maths) == tex
