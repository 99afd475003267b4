"""Sphinx settings: pages in Markdown, the API from docstrings, nothing from the network."""

from importlib import metadata

project = "rltheory"
author = "The rltheory developers"
release = metadata.version("rltheory")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
autodoc_typehints = "none"
autosummary_generate = True
myst_heading_anchors = 2
html_theme = "furo"
html_title = "rltheory"


def setup(app):
    """Show docstrings as they are written: plain text and formulas, not reStructuredText."""

    def verbatim(app, what, name, obj, options, lines):
        if lines:
            lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]

    app.connect("autodoc-process-docstring", verbatim)
