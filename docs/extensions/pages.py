"""What generated pages share: where things are, files written only when they change, roles."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from docutils import nodes
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.typing import RoleFunction

import rltheory.theory
from rltheory import paper_figures
from rltheory.theory import records

from .formulas import link

ROOT = Path(rltheory.theory.__path__[0]).resolve().parent
GENERATED = ("theorems", "gallery", "sources", "api")
"""Folders of the documentation that hold nothing but generated files."""
ALONE = "---\norphan: true\n---\n"
"""The head of a page that is reached by links, not by the menu: hundreds would swamp it."""


def write_pages(folder: Path, contents: Mapping[str, str]) -> None:
    """Write pages by name into a generated folder; remove its other pages.

    A file that would not change is left alone, so that it is not read again.
    """
    wanted = {folder / f"{name}.md": text for name, text in contents.items()}
    for path in folder.rglob("*.md"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def directive(name: str, argument: str, **options: str) -> str:
    """Return a block that calls a directive."""
    lines = [f":{key}: {value}" for key, value in options.items() if value]
    return "\n".join([f"```{{{name}}} {argument}", *lines, "```", ""])


def section(
    directive: SphinxDirective, name: str, title: list[nodes.Node], *content: nodes.Node
) -> nodes.section:
    """Return a section with a title of nodes."""
    made = nodes.section("", nodes.title("", "", *title), *content, names=[nodes.make_id(name)])
    directive.state.document.note_implicit_target(made)
    return made


def paragraph(*content: nodes.Node | str) -> nodes.paragraph:
    """Return a paragraph of nodes and plain words."""
    parts = [nodes.Text(part) if isinstance(part, str) else part for part in content]
    return nodes.paragraph("", "", *parts)


def fields(rows: Mapping[str, list[nodes.Node]]) -> nodes.field_list:
    """Return a list of names with what belongs to each; a name with nothing is left out."""
    return nodes.field_list(
        "",
        *(
            nodes.field("", nodes.field_name("", name), nodes.field_body("", *body))
            for name, body in rows.items()
            if body
        ),
    )


def code(text: str, language: str = "text") -> nodes.literal_block:
    """Return a block of code."""
    return nodes.literal_block(text, text, language=language)


def table(head: list[str], rows: list[list[list[nodes.Node]]]) -> nodes.table:
    """Return a table with one list of nodes for each cell."""

    def line(cells: list[list[nodes.Node]]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", paragraph(*cell)) for cell in cells))

    columns = [nodes.colspec(colwidth=1) for _ in head]
    top = nodes.thead("", line([[nodes.Text(word)] for word in head]))
    body = nodes.tbody("", *map(line, rows))
    return nodes.table("", nodes.tgroup("", *columns, top, body, cols=len(head)))


def page_role(
    kind: str, find: Callable[[str], tuple[str, list[nodes.Node]] | None]
) -> RoleFunction:
    """Return a role that links to a page; `find` gives its name and usual words, None if unknown.

    Written `id` or `words <id>`; an unknown id is an error at its line.
    """

    class Role(SphinxRole):
        def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
            words, bracket, rest = self.text.rpartition("<")
            explicit = bool(bracket) and rest.endswith(">")
            name = rest.removesuffix(">") if explicit else self.text
            found = find(name)
            if found is None:
                message = self.inliner.reporter.error(f"no {kind} is called {name!r}")
                return [nodes.problematic(self.rawtext, self.rawtext)], [message]
            page, usual = found
            content = [nodes.Text(words.strip())] if explicit else usual
            return [link(page, nodes.inline("", "", *content))], []

    return Role()


@cache
def record_modules() -> dict[str, ModuleType]:
    """Return the module of every theorem, by id."""
    return {
        theorem.id: module
        for module in _modules(records)
        for theorem in getattr(module, "THEOREMS", ())
    }


@cache
def figure_modules() -> dict[str, ModuleType]:
    """Return the module of every figure, by name."""
    return {
        module.FIGURE.name: module
        for module in _modules(paper_figures)
        if hasattr(module, "FIGURE")
    }


def _modules(package: ModuleType) -> list[ModuleType]:
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def mentions(docs: Path) -> dict[str, list[str]]:
    """Return, for every id of a theorem, the written pages and figures that name it."""
    texts = {
        path.relative_to(docs).with_suffix("").as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(docs.rglob("*.md"))
        if path.relative_to(docs).parts[0] not in (*GENERATED, "_build")
    }
    texts |= {
        f"gallery/{name}": Path(str(module.__file__)).read_text(encoding="utf-8")
        for name, module in figure_modules().items()
    }
    found: dict[str, list[str]] = {name: [] for name in record_modules()}
    for page, text in texts.items():
        words = set(re.findall(r"[a-z0-9-]+/[a-z0-9-]+", text))
        for name in words & found.keys():
            found[name].append(page)
    return {name: sorted(pages) for name, pages in found.items()}
