"""A page for every theorem, written from its record, and an index for every topic."""

from itertools import groupby
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from rltheory.theory import registry
from rltheory.theory.engine import floored
from rltheory.theory.store import Store, fingerprint
from rltheory.theory.theorem import Theorem
from rltheory.theory.verdict import EXISTENTIAL, Result

from . import pages
from .formulas import blocks, inline, known, link, theorem_link, titled_link

MEANING = {
    "inequality": "left ≤ right on every instance",
    "identity": "left = right on every instance",
    "separation": "some instance has left < right",
    "counterexample": "some instance has left < right",
    "rate": "the fitted slope is at most the claimed one",
}


def topics() -> dict[str, list[Theorem]]:
    """Return the theorems of every topic, the part of their ids before the slash."""
    grouped = groupby(registry.theorems(), key=topic_of)
    return {topic: list(theorems) for topic, theorems in grouped}


def topic_of(theorem: Theorem) -> str:
    """Return the part of the id before the slash."""
    return theorem.id.partition("/")[0]


class TheoremPage(SphinxDirective):
    """The page of one theorem; `verdict` is that of the run log, as found when writing."""

    required_arguments = 1
    option_spec = {  # noqa: RUF012  (docutils wants a plain class attribute)
        "mentions": directives.unchanged,
        "verdict": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the statement, what it rests on, its control, its commands and links."""
        theorem = registry.find(self.arguments[0])
        module = pages.record_modules()[theorem.id]
        path = Path(str(module.__file__))
        self.env.note_dependency(str(path))
        topic = topic_of(theorem)
        index = link(f"theorems/{topic}/index", nodes.inline("", topic))
        control = theorem.control
        hypotheses = nodes.bullet_list(
            "", *(nodes.list_item("", *blocks(text)) for text in theorem.hypotheses)
        )
        mentioned = self.options.get("mentions", "").split()
        listed = [
            pages.paragraph(nodes.Text(", ") if number else "", _page_link(page))
            for number, page in enumerate(mentioned)
        ]
        facts = pages.fields(
            {
                "Source": [pages.paragraph(*inline(theorem.source))],
                "Kind": [pages.paragraph(f"{theorem.kind}: {MEANING[theorem.kind]}")],
                "Topic": [pages.paragraph(index)],
                "Id": [pages.paragraph(nodes.literal(theorem.id, theorem.id))],
                "Verdict": [pages.paragraph(*inline(self.options.get("verdict", "")))],
            }
        )
        parts: list[nodes.Node] = [
            nodes.container("", *blocks(theorem.statement, formula=True), classes=["statement"]),
            facts,
        ]
        if theorem.hypotheses:
            parts += [nodes.rubric("", "Hypotheses"), hypotheses]
        if theorem.notes:
            parts += [nodes.rubric("", "Notes"), *blocks(theorem.notes)]
        parts += [
            nodes.rubric("", "Control"),
            pages.paragraph(nodes.strong("", "", *inline(control.name)), ". What was made false:"),
            *blocks(control.explanation),
            nodes.rubric("", "Run it"),
            pages.code(
                f"rltheory verify {theorem.id}\nrltheory falsify {theorem.id} --role control\n",
                "console",
            ),
            nodes.rubric("", "Where it is written"),
            pages.paragraph(
                "The record is in ",
                link(f"sources/{module.__name__}", nodes.literal("", module.__name__)),
                f", line {_line(path, theorem.id)}." if _line(path, theorem.id) else ".",
            ),
        ]
        if listed:
            joined = [child for each in listed for child in each.children]
            parts += [nodes.rubric("", "Mentioned in"), pages.paragraph(*joined)]
        return [pages.section(self, theorem.id, inline(theorem.title), *parts)]


def _page_link(page: str) -> nodes.Node:
    if page.startswith("gallery/"):
        name = page.removeprefix("gallery/")
        words = f"the figure {pages.figure_modules()[name].FIGURE.title}"
        return link(page, nodes.inline("", "", *inline(words)))
    return titled_link(page)


def _line(path: Path, name: str) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((n for n, line in enumerate(lines, 1) if f'id="{name}"' in line), 0)


class TopicPage(SphinxDirective):
    """The list of a topic's theorems."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a table: title and id, kind, source."""
        topic = self.arguments[0]
        theorems = topics()[topic]
        for theorem in theorems:
            self.env.note_dependency(str(pages.record_modules()[theorem.id].__file__))
        rows = [
            [
                [
                    theorem_link(theorem.id, nodes.inline("", "", *inline(theorem.title))),
                    nodes.Text(" "),
                    nodes.literal("", theorem.id, classes=["id"]),
                ],
                [nodes.Text(theorem.kind)],
                inline(theorem.source),
            ]
            for theorem in theorems
        ]
        title = [nodes.Text(f"{topic[0].upper()}{topic[1:]}")]
        back = pages.paragraph(link("theorems/index", nodes.inline("", "All topics")))
        return [
            pages.section(
                self, topic, title, back, pages.table(["Theorem", "Kind", "Source"], rows)
            )
        ]


class TopicsPage(SphinxDirective):
    """The list of all topics."""

    def run(self) -> list[nodes.Node]:
        """Return a table: topic, number of theorems, their titles for a start."""
        rows = [
            [
                [link(f"theorems/{topic}/index", nodes.inline("", topic))],
                [nodes.Text(str(len(theorems)))],
                [theorem_link(theorems[0].id, nodes.inline("", "", *inline(theorems[0].title)))],
            ]
            for topic, theorems in topics().items()
        ]
        return [pages.table(["Topic", "Theorems", "The first of them"], rows)]


def verdict_words(theorem: Theorem, result: Result | None) -> str:
    """Return what the run log knows of a theorem, in a sentence or two."""
    if result is None:
        return "not run here yet; `rltheory verify` or `make reproduce` leaves a verdict"
    tight = (
        ""
        if theorem.kind in EXISTENTIAL
        else f", tightness {floored(result.attempt.tightness):.3f}"
    )
    control = "refuted" if result.control_refuted else "not refuted"
    stale = ""
    if result.fingerprint != fingerprint(theorem):
        stale = "; checked with other source than these pages were built from"
    return (
        f"{result.verdict}, {result.attempt.instances} instances{tight}; control {control} "
        f"(budget {result.budget}, seed {result.seed}{stale})"
    )


def write(app: Sphinx) -> None:
    """Write the pages' files: each names a record, and what is known of it from elsewhere."""
    log = Store(pages.ROOT / app.config.rltheory_out / "verify.jsonl")
    results = log.latest() if log.path.is_file() else {}
    mentioned = pages.mentions(Path(app.srcdir))
    contents = {
        theorem.id: pages.ALONE
        + pages.directive(
            "theorem-page",
            theorem.id,
            mentions=" ".join(mentioned[theorem.id]),
            verdict=verdict_words(theorem, results.get(theorem.id)),
        )
        for theorem in registry.theorems()
    }
    contents |= {
        f"{topic}/index": pages.ALONE + pages.directive("theorem-topic", topic)
        for topic in topics()
    }
    count = len(registry.theorems())
    contents["index"] = (
        f"# Theorems\n\n{count} claims as records that could fail, by topic. Each page shows the "
        "statement, its hypotheses, the control, a false variant that the same attack must refute, "
        "and the commands that run both.\n\n" + pages.directive("theorem-topics", "")
    )
    pages.write_pages(Path(app.srcdir) / "theorems", contents)


def theorem_role(name: str) -> tuple[str, list[nodes.Node]] | None:
    """Return the page of a theorem."""
    return (f"theorems/{name}", [nodes.literal(name, name)]) if name in known() else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the pages and the role `theorem`."""
    app.add_config_value("rltheory_out", "out", "")
    app.connect("builder-inited", write)
    app.add_directive("theorem-page", TheoremPage)
    app.add_directive("theorem-topic", TopicPage)
    app.add_directive("theorem-topics", TopicsPage)
    app.add_role("theorem", pages.page_role("theorem", theorem_role))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
