"""A gallery of all figures: thumbnails, and a page for each with the script that draws it.

Pictures that `make reproduce` left are taken where they are up to date; others are drawn at the
quick scale, unless the setting `rltheory_draw` forbids it.
"""

import ast
import json
import shutil
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from rltheory.cli.figures import draw_all
from rltheory.paper_figures import registry
from rltheory.paper_figures.registry import Figure

from . import pages, sources
from .formulas import blocks, inline, link

LOGGER = logging.getLogger(__name__)
SCALE = "quick"


def up_to_date(figure: Figure, folder: Path) -> bool:
    """Return whether a folder holds the figure as it would be drawn now.

    Its record must name the same texts, settings, seed and version, and the picture must be newer
    than every module that drawing it can reach.
    """
    picture, record = folder / f"{figure.name}.png", folder / f"{figure.name}.json"
    if not (picture.is_file() and record.is_file()):
        return False
    try:
        about = json.loads(record.read_text(encoding="utf-8"))
        same = (
            about["title"] == figure.title
            and about["source"] == figure.source
            and about["caption"].startswith(figure.caption)
            and (about["scale"], about["seed"]) == (SCALE, 0)
            and about["settings"] == json.loads(json.dumps(figure.parameters(SCALE)))
            and about["version"] == version("rltheory")
        )
    except (ValueError, KeyError, TypeError):
        return False
    return bool(same) and picture.stat().st_mtime > _newest(figure.name)


def _newest(name: str) -> float:
    """Return when a module that the figure is drawn with was changed last."""
    waiting = [pages.figure_modules()[name].__name__]
    seen: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += _imported(module)
    return max(sources.files()[module].stat().st_mtime for module in seen)


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Return the modules of ours that a module names in its imports, and their packages."""
    known = sources.files()
    found: set[str] = set()
    for node in ast.walk(ast.parse(known[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    packages = {name.rpartition(".")[0] for name in found}
    return tuple(sorted((found | packages) & known.keys()))


def gather(folder: Path, kept: Path, *, draw: bool) -> None:
    """Fill a folder with pictures: fresh ones stay, are copied from `kept`, or are drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for figure in registry.figures():
        if up_to_date(figure, folder):
            continue
        if up_to_date(figure, kept):
            for end in ("png", "json", "csv"):
                shutil.copy2(kept / f"{figure.name}.{end}", folder)
        else:
            missing.append(figure.name)
    if missing and draw:
        failures = draw_all(missing, folder, scale=SCALE, formats=("png",))
        for name in failures:
            LOGGER.warning("the figure %s could not be drawn", name)


class FigurePage(SphinxDirective):
    """The page of one figure."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the picture with its words, its settings and its script."""
        (figure,) = registry.select([self.arguments[0]])
        path = Path(str(pages.figure_modules()[figure.name].__file__))
        folder = Path(self.env.srcdir) / "gallery"
        picture, record = folder / f"{figure.name}.png", folder / f"{figure.name}.json"
        for file in (path, picture, record):
            self.env.note_dependency(str(file))
        settings = {name: figure.parameters(name) for name in registry.SCALES}
        drawn = record.is_file()
        about = json.loads(record.read_text(encoding="utf-8")) if drawn else {}
        found = str(about.get("caption", "")).removeprefix(figure.caption).strip()
        shown: list[nodes.Node] = [pages.paragraph("This build drew no pictures.")]
        if picture.is_file():
            image = nodes.image(uri=f"{figure.name}.png", alt=figure.title, classes=["drawn"])
            shown = [nodes.container("", image, classes=["picture"])]
        names = dict.fromkeys(key for each in settings.values() for key in each)
        rows = [
            [
                [nodes.literal("", name)],
                *([_setting(settings[scale].get(name))] for scale in registry.SCALES),
            ]
            for name in names
        ]
        parts = [
            pages.paragraph(link("gallery/index", nodes.inline("", "All figures"))),
            *shown,
            *blocks(figure.caption),
        ]
        if found:
            parts += [nodes.rubric("", "What the data say"), *blocks(found)]
        parts += [
            pages.fields({"Source": [pages.paragraph(*inline(figure.source))]}),
            nodes.rubric("", "Draw it"),
            pages.code(f"rltheory figures {figure.name}\n", "console"),
        ]
        if rows:
            head = ["Setting", *registry.SCALES]
            parts += [nodes.rubric("", "Settings"), pages.table(head, rows)]
        where = path.relative_to(pages.ROOT).as_posix()
        parts += [
            nodes.rubric("", "Script"),
            pages.paragraph("The file ", nodes.literal("", where), "."),
            sources.listing(path),
        ]
        return [pages.section(self, figure.name, inline(figure.title), *parts)]


def _setting(value: Any) -> nodes.Node:
    return nodes.literal("", "" if value is None else repr(value))


class GalleryPage(SphinxDirective):
    """The thumbnails of all figures."""

    def run(self) -> list[nodes.Node]:
        """Return a grid of cards."""
        cards = []
        folder = Path(self.env.srcdir) / "gallery"
        for figure in registry.figures():
            title = nodes.inline("", "", *inline(figure.title))
            content: list[nodes.Node] = [pages.paragraph(link(f"gallery/{figure.name}", title))]
            if (folder / f"{figure.name}.png").is_file():
                image = nodes.image(
                    uri=f"{figure.name}.png", alt="", loading="lazy", classes=["thumbnail"]
                )
                picture = link(f"gallery/{figure.name}", nodes.inline("", "", image))
                content.insert(0, pages.paragraph(picture))
            cards.append(nodes.container("", *content, classes=["card"]))
        return [nodes.container("", *cards, classes=["gallery"])]


def write(app: Sphinx) -> None:
    """Draw what is missing and write the pages' files."""
    folder = Path(app.srcdir) / "gallery"
    kept = pages.ROOT / app.config.rltheory_out / "figures"
    gather(folder, kept, draw=app.config.rltheory_draw)
    contents = {
        figure.name: pages.ALONE + pages.directive("figure-page", figure.name)
        for figure in registry.figures()
    }
    contents["index"] = (
        f"# Gallery\n\n{len(contents)} figures, each drawn by a script of its own; "
        "`rltheory figures NAME` draws one, `rltheory figures` all of them.\n\n"
        + pages.directive("figure-gallery", "")
    )
    pages.write_pages(folder, contents)


def figure_role(name: str) -> tuple[str, list[nodes.Node]] | None:
    """Return the page of a figure."""
    module = pages.figure_modules().get(name)
    return (f"gallery/{name}", inline(module.FIGURE.title)) if module else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and the role `figure-page`."""
    app.add_config_value("rltheory_draw", True, "", [bool])
    app.connect("builder-inited", write)
    app.add_directive("figure-page", FigurePage)
    app.add_directive("figure-gallery", GalleryPage)
    app.add_role("figure-page", pages.page_role("figure", figure_role))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
