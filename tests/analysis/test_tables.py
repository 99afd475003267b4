"""Tables as pandas frames and as LaTeX, read back by a small reader of `tabular`."""

import math
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.sweeps.table import SweepTable
from rltheory.analysis.tables import as_table, escape, to_latex, to_pandas

PRINTED = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^",
           r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", "{[}": "[", "{]}": "]",
           "{*}": "*"}  # fmt: skip
TOKEN = re.compile("|".join(map(re.escape, PRINTED)) + r"|\\([&%$#_{}])|([^\\&%$#_{}~^<>|\[\]*])")


def printed(latex):
    """The text that LaTeX prints; fails on a sign that means something to it."""
    out, place = "", 0
    while place < len(latex):
        match = TOKEN.match(latex, place)
        assert match, f"{latex!r} at {place}"
        out += PRINTED.get(match[0], match[1] or match[2])
        place = match.end()
    return out


def cells(latex):
    """The column specification and the rows of a `tabular`, heads first, cells as they stand."""
    lines = latex.splitlines()
    spec = re.fullmatch(r"\\begin\{tabular\}\{(.*)\}", lines[1])[1]
    assert (lines[2], lines[4], lines[-2:]) == (
        r"\toprule", r"\midrule", [r"\bottomrule", r"\end{tabular}"]
    )  # fmt: skip
    rows = [lines[3], *lines[5:-2]]
    assert all(row.endswith(r" \\") for row in rows)
    return spec, [re.split(r"(?<!\\) ?& ?", row[: -len(r" \\")]) for row in rows]


def number(text):
    """The number that a cell, or a mantissa and its power, shows."""
    text = text.replace("$", "").replace(r"\,\times 10^{", "e").replace("}", "").replace(" ", "")
    return float(text)


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12))
@settings(max_examples=50, deadline=None)
def test_texts_are_printed_as_they_are(text):
    assert printed(escape(text)) == text


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False).filter(
            lambda x: x == 0 or 1e-300 < abs(x) < 1e300
        ),
        min_size=1,
        max_size=6,
    ),
    st.integers(1, 6),
)
@settings(max_examples=75, deadline=None)
def test_numbers_are_shown_to_the_digits_asked_for(values, digits):
    spec, (_, *rows) = cells(to_latex([{"x": value} for value in values], digits=digits))
    shown = ["".join(row) for row in rows]
    for value, text in zip(values, shown, strict=True):
        # Half a unit of the last digit, and the rounding of the comparison.
        assert number(text) == pytest.approx(value, rel=0.5 * 10.0 ** (1 - digits) * (1 + 1e-9))
    mantissas = [row[0].strip("$ ") for row in rows]
    if spec == "r":
        # Set flush right, points stand above each other if all have as many decimals.
        assert len({len(text.partition(".")[2]) for text in mantissas}) == 1
    else:
        assert spec == "r@{}l"
        assert all(len(row) == 2 for row in rows)
        assert {len(m.partition(".")[2]) for m in mantissas if m != "0"} == {digits - 1}


def test_a_table_of_every_kind():
    rows = [
        {"who_&": "a_b", "n": 3, "x": 1.5, "y": 1e-9, "ok": True, "z": None},
        {"who_&": "[c]", "n": -12, "x": -10.25, "y": 2.5e3, "ok": False, "z": math.inf},
        {"who_&": None, "n": None, "x": math.nan, "y": 0.0, "ok": None, "z": -math.inf},
    ]
    spec, (heads, *body) = cells(to_latex(rows, digits=3, headings={"x": "$x^2$"}))
    assert spec == "lrrr@{}llr"
    assert heads == [r"who\_\&", "n", "$x^2$", r"\multicolumn{2}{c}{y}", "ok", "z"]
    assert body == [
        [r"a\_b", "$3$", "$1.50$", "$1.00$", r"$\,\times 10^{-9}$", "yes", "--"],
        ["{[}c{]}", "$-12$", "$-10.25$", "$2.50$", r"$\,\times 10^{3}$", "no", r"$\infty$"],
        ["--", "--", "nan", "$0$", "", "--", r"$-\infty$"],
    ]
    spec, (heads, *body) = cells(to_latex(rows, columns=["n", "who_&"]))
    assert (spec, heads, body[0]) == ("rl", ["n", r"who\_\&"], ["$3$", r"a\_b"])


def test_sources_of_rows_are_one():
    class Run:
        def table(self):
            return SweepTable(({"n": 1, "x": 0.5},))

    for source in (Run(), Run().table(), [{"n": 1, "x": 0.5}], ({"n": np.int64(1), "x": 0.5},)):
        assert as_table(source) == Run().table()
        assert to_latex(source) == to_latex(Run())


def test_pandas_has_the_values(monkeypatch):
    pandas = pytest.importorskip("pandas")
    frame = to_pandas([{"n": 1, "x": 0.5, "s": "a"}, {"n": 2, "x": None, "s": "b"}])
    expected = pandas.DataFrame({"n": [1, 2], "x": [0.5, math.nan], "s": ["a", "b"]})
    pandas.testing.assert_frame_equal(frame, expected)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"rltheory\[tables\]"):
        to_pandas([{"n": 1}])


def test_what_is_no_table_is_refused():
    for source in (3, "text", {"a": 1}):
        with pytest.raises(TypeError, match=r"source is .*; expected a SweepTable, rows"):
            to_latex(source)
    with pytest.raises(ValueError, match="rows is empty"):
        to_latex([])
    rows = [{"a": 1}]
    for wrong in ({"columns": ["b"]}, {"headings": {"b": "B"}}):
        with pytest.raises(ValueError, match="'b' is no column"):
            to_latex(rows, **wrong)
    with pytest.raises(ValueError, match="columns is empty"):
        to_latex(rows, columns=[])
    with pytest.raises(ValueError, match="digits is 0"):
        to_latex(rows, digits=0)
