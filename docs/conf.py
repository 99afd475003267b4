"""Sphinx settings: pages in Markdown, the API from docstrings, nothing from the network."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "rltheory"
author = "The rltheory developers"
release = metadata.version("rltheory")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "extensions.formulas",
    "extensions.sources",
    "extensions.theorem_pages",
    "extensions.gallery",
    "extensions.api_pages",
]
exclude_patterns = ["_build", "extensions"]
autodoc_typehints = "none"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "rltheory"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
# Summaries of what was found are fetched page by page, which browsers refuse for files on disk.
html_show_search_summary = False
