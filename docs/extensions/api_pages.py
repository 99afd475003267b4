"""The API reference: a page for every package, from its exports or its modules' public names."""

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from . import pages, sources
from .formulas import inline, link

LEFT_OUT = ("rltheory.theory.records", "rltheory.cli")
"""Packages with pages of another kind: theorems, and commands, which say `--help`."""
GUIDES = {
    "rltheory.games": "games",
    "rltheory.linear_mdp": "linear_mdp",
    "rltheory.tabular.agnostic": "agnostic",
    "rltheory.linear_mdp.actor_critic": "actor_critic",
    "rltheory.analysis.estimators": "policy_gradients",
    "rltheory.analysis.sweeps": "sweeps",
    "rltheory.games.interop": "interop",
}


@cache
def packages() -> tuple[str, ...]:
    """Return the names of all packages that have a page."""
    return tuple(
        sorted(
            name
            for name, path in sources.files().items()
            if path.name == "__init__.py" and name not in LEFT_OUT
        )
    )


def exported(package: str) -> list[str]:
    """Return what a package offers by its own name."""
    return list(getattr(importlib.import_module(package), "__all__", ()))


@cache
def exported_objects() -> frozenset[int]:
    """Return the identities of all that packages export."""
    return frozenset(
        id(getattr(importlib.import_module(package), name))
        for package in packages()
        for name in exported(package)
    )


def modules(package: str) -> list[str]:
    """Return the modules of a package whose names are public."""
    return [
        name
        for name, path in sources.files().items()
        if name.rpartition(".")[0] == package
        and path.name != "__init__.py"
        and not (package == "rltheory.paper_figures" and name != "rltheory.paper_figures.registry")
    ]


def defined(module: str) -> list[str]:
    """Return the public names with a docstring that a module defines and no package exports."""
    loaded = importlib.import_module(module)
    analyser = ModuleAnalyzer.for_module(module)
    analyser.analyze()
    data = {name for scope, name in analyser.attr_docs if not scope}
    found = []
    for name, value in vars(loaded).items():
        own = getattr(value, "__module__", None) == module and _documentable(value)
        if name[0] != "_" and (own or name in data) and id(value) not in exported_objects():
            found.append(name)
    return found


def _documentable(value: Any) -> bool:
    return (inspect.isclass(value) or inspect.isfunction(value)) and bool(value.__doc__)


def describe(module: str, name: str) -> list[str]:
    """Return the lines that document one name, by its kind."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        return [f".. autoclass:: {module}.{name}", "   :members:", ""]
    if callable(value) and _documentable(value):
        return [f".. autofunction:: {module}.{name}", ""]
    # A constant is described where it is assigned: its comment is not carried along by an import.
    return [f".. autodata:: {_home(module, name)}.{name}", "   :no-value:", ""]


def _home(package: str, name: str) -> str:
    """Return the module that assigns a name which a package imports."""
    text = sources.files()[package].read_text(encoding="utf-8")
    for module, names in re.findall(r"^from (\S+) import (\([^)]*\)|[^\n(]+)", text, re.MULTILINE):
        if name in re.findall(r"\w+", names):
            return _home(module, name) if module in sources.files() else package
    return package


@cache
def _exported_below(package: str, name: str) -> str:
    """Return the package under this one that exports the same object, empty if none does."""
    value = getattr(importlib.import_module(package), name)
    for below in packages():
        if (
            below.startswith(f"{package}.")
            and name in exported(below)
            and getattr(importlib.import_module(below), name) is value
        ):
            return below
    return ""


def page(package: str) -> str:
    """Return the text of a package's page."""
    lines = [pages.ALONE, f"# {package}", ""]
    if package in GUIDES:
        guide = GUIDES[package]
        lines += [f"How the parts fit together, and how to add to them: [](/{guide}.md).", ""]
    lines += [_first_words(package), ""]
    offered = exported(package)
    if offered:
        lines += ["```{eval-rst}", f".. currentmodule:: {package}", ""]
        for name in offered:
            if not _exported_below(package, name):
                lines += describe(package, name)
        lines += ["```", ""]
        for below in packages():
            shared = [name for name in offered if _exported_below(package, name) == below]
            if shared:
                names = ", ".join(f"`{name}`" for name in shared)
                shorter = below.removeprefix("rltheory.")
                lines += [
                    f"Also from this package, described with [{below}]({shorter}.md): {names}.",
                    "",
                ]
    for module in modules(package):
        names = defined(module)
        if not names or (offered and package != "rltheory.theory"):
            continue
        lines += [f"## {module.removeprefix(package + '.')}", "", _first_words(module), ""]
        lines += ["```{eval-rst}", f".. currentmodule:: {module}", ""]
        for name in names:
            lines += describe(module, name)
        lines += ["```", ""]
    if offered and modules(package):
        lines += ["## Modules", "", "Their sources: "]
        lines[-1] += ", ".join(f"{{module-page}}`{name}`" for name in modules(package)) + "."
    return "\n".join(lines).rstrip() + "\n"


def _first_paragraph(module: str) -> str:
    text = importlib.import_module(module).__doc__ or ""
    return " ".join(text.strip().split("\n\n")[0].split())


def _first_words(module: str) -> str:
    # The words are plain: what Markdown would read as a sign is escaped, outside of code.
    parts = _first_paragraph(module).split("`")
    parts[::2] = [re.sub(r"([*_\\<>$\[\]|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


class PackagesList(SphinxDirective):
    """The list of all packages that have a page."""

    def run(self) -> list[nodes.Node]:
        """Return a table: package and what it is about."""
        rows = [
            [
                [link(f"api/{name.removeprefix('rltheory.')}", nodes.literal("", name))],
                inline(_first_paragraph(name)),
            ]
            for name in packages()
        ]
        return [pages.table(["Package", "Holds"], rows)]


def write(app: Sphinx) -> None:
    """Write the pages' files."""
    pages.write_pages(
        Path(app.srcdir) / "api",
        {name.removeprefix("rltheory."): page(name) for name in packages()},
    )


def plain(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Read docstrings as plain text: quotes mark code, and other signs mean themselves."""
    for number, line in enumerate(lines):
        parts = line.strip().split("`")
        parts[::2] = [re.sub(r"([*|_\\])", r"\\\1", part) for part in parts[::2]]
        lines[number] = "``".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and how docstrings are read."""
    app.connect("builder-inited", write)
    app.add_directive("api-packages", PackagesList)
    app.connect("autodoc-process-docstring", plain)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
