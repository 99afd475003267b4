"""Figures on small instances: each module of tests says in `SMALL` how small."""

import importlib

import pytest
from matplotlib.colors import same_color

from rltheory.analysis import plotting


def check_curves(axis):
    """Named curves of a panel must be told apart by line, width or marker, not by colour alone."""
    looks = {}
    for curve in axis.lines:
        if curve.get_label().startswith("_"):
            continue
        # The public style of a curve calls all patterns of dashes "--".
        drawn = str(curve._unscaled_dash_pattern), curve.get_linestyle() == "None"
        look = (
            *drawn,
            curve.get_linewidth(),
            curve.get_marker(),
            curve.get_markerfacecolor() == "white",
        )
        other = looks.setdefault(look, curve)
        same = same_color(other.get_color(), curve.get_color())
        assert same or other is curve, (
            f"{other.get_label()} and {curve.get_label()} differ in colour alone"
        )


@pytest.fixture(scope="module")
def rows_of(request):
    """The rows of a figure on the settings `SMALL[name]`, drawn once, and what its caption adds."""
    small, kept = request.module.SMALL, {}

    def draw(name):
        if name not in kept:
            module = importlib.import_module(f"rltheory.paper_figures.{name}")
            scales = module.SETTINGS
            assert set(small[name]) == set(scales["quick"]) == set(scales["paper"])
            with plotting.style():
                figure, rows = module.draw(small[name], 0)
                figure.draw_without_rendering()
                for axis in figure.axes:
                    check_curves(axis)
            plotting.to_csv(rows)
            said = module.findings(rows)
            assert said.endswith(".")
            assert "nan" not in said
            kept[name] = rows, said
        return kept[name]

    return draw
