"""A page of source for every module, an anchor for every line, and links from the API to them."""

import inspect
import pkgutil
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from . import pages

FLOORS = ("analysis", "tabular", "games", "linear_mdp", "theory", "paper_figures", "cli")


@cache
def files() -> dict[str, Path]:
    """Return the file of every module, by its full name."""
    found = {}
    for floor in FLOORS:
        for path in sorted((pages.ROOT / floor).rglob("*.py")):
            parts = path.relative_to(pages.ROOT).with_suffix("").parts
            name = ".".join(("rltheory", *parts)).removesuffix(".__init__")
            found[name] = path
    return found


def page_of(module: str) -> str | None:
    """Return the page that shows a module's source, None if there is no such module."""
    for name, drawn in pages.figure_modules().items():
        if drawn.__name__ == module:
            return f"gallery/{name}"
    return f"sources/{module}" if module in files() else None


def listing(path: Path) -> nodes.literal_block:
    """Return a file's text with an anchor `line-N` at each line."""
    text = path.read_text(encoding="utf-8")
    return nodes.literal_block(
        text, text, language="python", highlight_args={"lineanchors": "line"}
    )


class SourcePage(SphinxDirective):
    """The page of one module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return its name as a title and its text."""
        name = self.arguments[0]
        path = files()[name]
        self.env.note_dependency(str(path))
        where = path.relative_to(pages.ROOT).as_posix()
        return [
            pages.section(
                self,
                name,
                [nodes.literal(name, name)],
                pages.paragraph("The file ", nodes.literal(where, where), "."),
                listing(path),
            )
        ]


def write(app: Sphinx) -> None:
    """Write the pages' files."""
    head = "---\norphan: true\nnosearch: true\n---\n"
    pages.write_pages(
        Path(app.srcdir) / "sources",
        {
            name: head + pages.directive("source-page", name)
            for name in files()
            if str(page_of(name)).startswith("sources/")
        },
    )


def line_of(thing: Any) -> tuple[str, int] | None:
    """Return the module and line where an object is written, None if no file of ours says."""
    # Compiled functions keep the one that they were made from.
    thing = inspect.unwrap(getattr(thing, "py_func", thing))
    try:
        module, line = str(thing.__module__), inspect.getsourcelines(thing)[1]
    except (AttributeError, TypeError, OSError):
        return None
    return (module, max(line, 1)) if page_of(module) else None


def link_signatures(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put a link to the source behind every signature of the API."""
    for signature in doctree.findall(addnodes.desc_signature):
        module = signature.get("module")
        if not module or not signature.get("fullname"):
            continue
        thing: Any = pkgutil.resolve_name(module)
        for part in signature["fullname"].split("."):
            thing = getattr(thing, part, None)
        place = line_of(thing)
        if place is None:
            continue
        page = app.builder.get_relative_uri(docname, str(page_of(place[0])))
        signature += nodes.reference(
            "",
            "",
            nodes.inline("", "source", classes=["viewcode-link"]),
            internal=True,
            refuri=f"{page}#line-{place[1]}",
        )


def module_role(name: str) -> tuple[str, list[nodes.Node]] | None:
    """Return the page of a module."""
    page = page_of(name)
    return (page, [nodes.literal(name, name)]) if page else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and the role `module-page`."""
    app.connect("builder-inited", write)
    app.connect("doctree-resolved", link_signatures)
    app.add_directive("source-page", SourcePage)
    app.add_role("module-page", pages.page_role("module", module_role))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
