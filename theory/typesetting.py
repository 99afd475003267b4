"""Formulas as MathML, without a network or a script: for the report and the documentation.

A formula that the converter does not know is shown as its source.
"""

import re
from typing import Literal
from xml.etree import ElementTree

from markupsafe import Markup, escape

Kind = Literal["words", "inline", "display"]

_NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'
_LIMITS = {"max", "min", "sup", "inf", "lim", "arg\u2009max", "arg\u2009min"}
_COMMANDS = dict.fromkeys(("\\|", "\\Vert", "\\lVert", "\\rVert"), "‖") | {
    "\\langle": "⟨",
    "\\rangle": "⟩",
    "\\lfloor": "⌊",
    "\\rfloor": "⌋",
    "\\lceil": "⌈",
    "\\rceil": "⌉",
    "\\{": "{",
    "\\}": "}",
    "\\arg": "arg",
    "\\vert": "|",
    "\\lvert": "|",
    "\\rvert": "|",
}
_FORMULA = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<!\\)\$(?P<inline>.+?)(?<!\\)\$", re.DOTALL)


def typeset(text: str, *, formula: bool = False) -> Markup:
    """Return text with its $...$ and $$...$$ as MathML; all of it a formula if `formula`.

    A formula that cannot be converted is shown as its TeX source.
    """
    parts = [
        escape(part) if kind == "words" else mathml(part, display=kind == "display")
        for kind, part in pieces(text, formula=formula)
    ]
    return Markup("").join(parts)


def pieces(text: str, *, formula: bool = False) -> list[tuple[Kind, str]]:
    """Return the words and formulas of a text in order, formulas without their dollars.

    As for `typeset`, a text without dollars is one display if `formula`. A dollar that is escaped
    by a backslash belongs to the words.
    """
    if formula and "$" not in text:
        return [("display", text)]
    found: list[tuple[Kind, str]] = []
    position = 0
    for match in _FORMULA.finditer(text):
        found.append(("words", _words(text[position : match.start()])))
        display = match["display"] is not None
        found.append(("display", match["display"]) if display else ("inline", match["inline"]))
        position = match.end()
    found.append(("words", _words(text[position:])))
    return [(kind, part) for kind, part in found if part]


def _words(text: str) -> str:
    return text.replace("\\$", "$")


def mathml(source: str, *, display: bool) -> Markup:
    """Return a formula as MathML, or its source where the converter fails or leaves commands.

    The source comes as an element `code` of class "tex".
    """
    import latex2mathml.converter

    try:
        markup = latex2mathml.converter.convert(
            source.replace(r"\operatorname*", r"\operatorname"),
            display="block" if display else "inline",
        )
        formula = ElementTree.fromstring(markup.replace(_NAMESPACE, ""))
    except Exception:
        # The converter's errors are of many types, some of them bare Exceptions.
        return _tex(source)
    for element in formula.iter():
        _repair(element, display)
    repaired = ElementTree.tostring(formula, encoding="unicode")
    return _tex(source) if "\\" in repaired else Markup(repaired)


def _repair(element: ElementTree.Element, display: bool) -> None:
    """Finish what the converter leaves: sized delimiters, arrows as operators, limits below."""
    text = element.text or ""
    element.text = _COMMANDS.get(text, element.text)
    if element.tag == "mi" and len(text) == 1 and ("←" <= text <= "⇿" or "⟰" <= text <= "⟿"):
        element.tag = "mo"
    if display and element.tag == "msub" and element[0].text in _LIMITS:
        element.tag = "munder"


def _tex(source: str) -> Markup:
    return Markup('<code class="tex">{}</code>').format(source.strip())
