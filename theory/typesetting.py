"""Formulas as MathML, without a network or a script: for the report and the documentation.

A formula that the converter does not know is shown as its source.
"""

import re
from xml.etree import ElementTree

from markupsafe import Markup, escape

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
    if formula and "$" not in text:
        return _mathml(text, display=True)
    parts: list[Markup] = []
    position = 0
    for match in _FORMULA.finditer(text):
        parts.append(_words(text[position : match.start()]))
        display = match["display"] is not None
        parts.append(_mathml(match["display"] if display else match["inline"], display=display))
        position = match.end()
    parts.append(_words(text[position:]))
    return Markup("").join(parts)


def _words(text: str) -> Markup:
    return escape(text.replace("\\$", "$"))


def _mathml(source: str, *, display: bool) -> Markup:
    """Return a formula as MathML, or its source where the converter fails or leaves commands."""
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
