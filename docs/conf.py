"""Sphinx settings: pages in Markdown, the API from docstrings, nothing from the network."""

from importlib.metadata import version

project = "rltheory"
author = "The rltheory developers"
release = version("rltheory")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
autodoc_typehints = "none"
autosummary_generate = True
myst_heading_anchors = 2
html_theme = "furo"
html_title = "rltheory"
