"""Sphinx settings: pages in Markdown, the API from docstrings, nothing from the network."""

import re
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
    """Read docstrings as plain text: quotes mark code, and other signs mean themselves."""

    def plain(app, what, name, obj, options, lines):
        for number, line in enumerate(lines):
            parts = line.strip().split("`")
            parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
            lines[number] = "``".join(parts)

    app.connect("autodoc-process-docstring", plain)
