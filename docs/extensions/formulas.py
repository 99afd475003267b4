"""Formulas as MathML by the project's own typesetting, and the project's texts as nodes.

A formula that cannot be converted is a warning, so that `-W` fails the build.
"""

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

from rltheory.theory import registry
from rltheory.theory.typesetting import mathml, pieces

LOGGER = logging.getLogger(__name__)

_MARKS = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|(?P<theorem>[a-z0-9-]+/[a-z0-9-]+)"
    r"|\^(?:\((?P<group>[^()]+)\)|(?P<power>-?\w+))"
    r"|(?<=[\w)])(?<![A-Za-z]{2})_(?P<index>[A-Za-z0-9]{1,2})\b"
)


def link(target: str, content: nodes.Node) -> nodes.Node:
    """Return a link to the page `target`, a name from the root of the documentation."""
    return addnodes.pending_xref(
        "", content, refdomain="", reftype="page", reftarget=target, refwarn=True
    )


def titled_link(target: str) -> nodes.Node:
    """Return a link to a page in the words of its own title."""
    return addnodes.pending_xref(
        "",
        nodes.inline("", target),
        refdomain="std",
        reftype="doc",
        reftarget=f"/{target}",
        refexplicit=False,
        refwarn=True,
    )


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.Node
) -> nodes.reference | None:
    """Resolve what `link` made; Sphinx's own links to pages would keep only the letters of them."""
    target = node["reftarget"]
    if node["reftype"] != "page" or target not in env.all_docs:
        return None
    return make_refnode(app.builder, node["refdoc"], target, None, content)


def theorem_link(name: str, content: nodes.Node) -> nodes.Node:
    """Return a link to the page of a theorem that is known to exist."""
    return link(f"theorems/{name}", content)


def inline(text: str) -> list[nodes.Node]:
    """Return a text of the project as nodes of one line.

    Understood are $...$, `code`, ids of theorems, and powers and indices as in x_i^(1/2).
    """
    found: list[nodes.Node] = []
    for kind, part in pieces(text):
        found += [nodes.math(part, part)] if kind != "words" else _words(part)
    return found


def blocks(text: str, *, formula: bool = False) -> list[nodes.Node]:
    """Return a text as paragraphs and displays; all of it a formula if it has no dollars."""
    found: list[nodes.Node] = []
    for kind, part in pieces(text, formula=formula):
        if kind == "display":
            found.append(nodes.math_block(part, part, nowrap=True, number=None))
            continue
        if not found or isinstance(found[-1], nodes.math_block):
            found.append(nodes.paragraph())
        found[-1] += [nodes.math(part, part)] if kind == "inline" else _words(part)
    return found


def _words(text: str) -> list[nodes.Node]:
    found: list[nodes.Node] = []
    position = 0
    for match in _MARKS.finditer(text):
        found.append(nodes.Text(text[position : match.start()]))
        found.append(_mark(match))
        position = match.end()
    return [*found, nodes.Text(text[position:])]


def _mark(match: re.Match[str]) -> nodes.Node:
    whole = match.group()
    name = match["theorem"] or match["code"]
    if name:
        code = nodes.literal(name, name) if match["code"] else nodes.Text(whole)
        if name in known():
            return theorem_link(name, nodes.literal(name, name))
        return code
    if match["index"]:
        return nodes.subscript("", match["index"])
    power = match["group"] or match["power"]
    return nodes.superscript("", power)


def known() -> set[str]:
    """Return the ids of all theorems."""
    return {theorem.id for theorem in registry.theorems()}


def _written(self: Any, node: nodes.Element, *, display: bool) -> None:
    markup = mathml(node.astext(), display=display)
    if not markup.startswith("<math"):
        LOGGER.warning("formula was not converted: %s", node.astext(), location=node)
    kind, tag = ("math display", "div") if display else ("math", "span")
    self.body += [self.starttag(node, tag, "", CLASS=kind), str(markup), f"</{tag}>"]
    raise nodes.SkipNode


def visit_inline(self: Any, node: nodes.math) -> None:
    """Write a formula inside a line."""
    _written(self, node, display=False)


def visit_display(self: Any, node: nodes.math_block) -> None:
    """Write a formula on lines of its own."""
    _written(self, node, display=True)


def link_literals(app: Sphinx, doctree: nodes.document) -> None:
    """Make every `topic/claim` in code that is the id of a theorem a link to its page."""
    for literal in list(doctree.findall(nodes.literal)):
        if literal.astext() in known() and not isinstance(
            literal.parent, (nodes.reference, addnodes.pending_xref)
        ):
            literal.replace_self(theorem_link(literal.astext(), literal.deepcopy()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer `mathml`."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_display, None))
    app.connect("doctree-read", link_literals)
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
