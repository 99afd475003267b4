"""Figures on small instances: each module of tests says in `SMALL` how small."""

import importlib

import pytest

from rltheory.analysis import plotting


@pytest.fixture(scope="module")
def rows_of(request):
    """The rows of a figure on the settings `SMALL[name]`, drawn once, and what its caption adds."""
    small, kept = request.module.SMALL, {}

    def draw(name):
        if name not in kept:
            module = importlib.import_module(f"rltheory.paper_figures.{name}")
            scales = module.SETTINGS
            assert set(small[name]) == set(scales["quick"]) == set(scales["paper"])
            with pytest.MonkeyPatch.context() as patch, plotting.style():
                patch.setitem(scales, "quick", small[name])
                figure, rows = module.draw("quick", 0)
                figure.draw_without_rendering()
            plotting.to_csv(rows)
            said = module.findings(rows)
            assert said.endswith(".")
            assert "nan" not in said
            kept[name] = rows, said
        return kept[name]

    return draw
