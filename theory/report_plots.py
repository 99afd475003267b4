"""Strips of points by topic as inline SVG: how near each theorem came to failing.

A row is a topic, a point a theorem that it links to; the shape says the verdict. Values that a
logarithm does not show stand in bands beside the axis. Points that would overlap are stacked.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

_LABELS, _AXIS, _BAND, _SIDE, _STEP = 150, 560, 108, 12, 9
_ABREAST = (_BAND - _SIDE) // _STEP
_TOP, _BOTTOM = 32, 44
_SHAPES = {
    "holds (exact)": "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "holds (certified bound)": "M-3.2 -3.2h6.4v6.4h-6.4z",
    "holds": "M0 -4.2L4.2 0L0 4.2L-4.2 0z",
    "refuted": "M-3.5 -3.5L3.5 3.5M-3.5 3.5L3.5 -3.5",
    "untested": "M0 -3.8L3.8 3.2H-3.8z",
}


@dataclass(frozen=True)
class Point:
    """A theorem in a plot. value: in the axis' units, not NaN; hover: its words."""

    anchor: str
    topic: str
    verdict: str
    value: float
    hover: str


@dataclass(frozen=True)
class Axis:
    """A logarithmic axis from 10**low to 10**high, values beyond it drawn at its end.

    zero, negative: the names of the bands left of it for such values.
    """

    label: str
    low: int
    high: int
    zero: str
    negative: str


def strip(points: Sequence[Point], axis: Axis, classes: Mapping[str, str]) -> Markup:
    """Return the plot as an SVG element, topics in alphabetical order; empty without points.

    classes: the CSS class of each verdict.
    """
    if not points:
        return Markup("")
    rows: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        rows[point.topic].append(point)
    bands = [axis.negative] if any(point.value < 0 for point in points) else []
    bands += [axis.zero]
    start = _LABELS + _BAND * len(bands)
    stripes, parts, top = [], [], _TOP
    for number, topic in enumerate(sorted(rows)):
        placed, height = _placed(rows[topic], axis, start)
        if number % 2 == 0:
            stripes.append(
                f'<rect class="stripe" x="0" y="{top}" width="{start + _AXIS + _SIDE}"'
                f' height="{height}"/>'
            )
        parts.append(f'<text x="{_LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(topic)}')
        parts.append("</text>")
        parts += [_drawn(point, x, top + y, classes) for point, x, y in placed]
        top += height
    legend = _legend({point.verdict for point in points}, classes)
    content = "".join([*stripes, legend, _frame(axis, bands, start, top), *parts])
    return Markup(
        f'<svg viewBox="0 0 {start + _AXIS + _SIDE} {top + _BOTTOM}" role="group"'
        f' aria-label="{escape(axis.label)}, by topic">{content}</svg>'
    )


def _placed(
    points: Sequence[Point], axis: Axis, start: int
) -> tuple[list[tuple[Point, float, float]], int]:
    """Return points with their places in a row, and the height of the row."""
    stacks: dict[str | int, int] = defaultdict(int)
    placed: list[tuple[Point, float, float]] = []
    deepest = 0
    for point in sorted(points, key=lambda point: (point.value, point.anchor)):
        place: str | int
        if point.value <= 0:
            place, left = ("zero", start - _BAND) if point.value == 0 else ("below", _LABELS)
            line, abreast = divmod(stacks[place], _ABREAST)
            x = left + _SIDE / 2 + _STEP * (abreast + 0.5)
        else:
            share = (math.log10(point.value) - axis.low) / (axis.high - axis.low)
            place = round(min(max(share, 0.0), 1.0) * _AXIS / _STEP)
            x = start + min(place * _STEP, _AXIS)
            line = stacks[place]
        stacks[place] += 1
        placed.append((point, x, 8 + _STEP * line))
        deepest = max(deepest, line)
    return placed, 16 + _STEP * deepest


def _drawn(point: Point, x: float, y: float, classes: Mapping[str, str]) -> str:
    return (
        f'<a href="#{point.anchor}" data-for="{point.anchor}" tabindex="-1">'
        f"<title>{escape(point.hover)}</title>{_shape(point.verdict, x, y, classes)}</a>"
    )


def _shape(verdict: str, x: float, y: float, classes: Mapping[str, str]) -> str:
    return (
        f'<path class="mark {classes[verdict]}" d="{_SHAPES[verdict]}"'
        f' transform="translate({x:g} {y:g})"/>'
    )


def _legend(verdicts: set[str], classes: Mapping[str, str]) -> str:
    parts, x = [], _LABELS
    for verdict in _SHAPES:
        if verdict in verdicts:
            parts.append(_shape(verdict, x + 4, 10, classes))
            parts.append(f'<text x="{x + 13}" y="14">{escape(verdict)}</text>')
            x += 40 + 7 * len(verdict)
    return "".join(parts)


def _frame(axis: Axis, bands: Sequence[str], start: int, bottom: int) -> str:
    parts = []
    for number, name in enumerate(bands):
        x = _LABELS + _BAND * number
        parts.append(f'<path class="rule" d="M{x} {_TOP}V{bottom}"/>')
        parts.append(
            f'<text x="{x + _BAND / 2:g}" y="{bottom + 15}" text-anchor="middle">{escape(name)}'
            "</text>"
        )
    step = 1 if axis.high - axis.low <= 8 else 2
    for power in range(axis.low, axis.high + 1, step):
        tick = start + _AXIS * (power - axis.low) / (axis.high - axis.low)
        parts.append(f'<path class="rule" d="M{tick:g} {_TOP}V{bottom}"/>')
        less = "≤ " if power == axis.low else ""
        name = f'10<tspan dy="-4" font-size="8">{power}</tspan>'
        parts.append(
            f'<text x="{tick:g}" y="{bottom + 15}" text-anchor="middle">{less}{name}</text>'
        )
    middle = start + _AXIS / 2
    parts.append(
        f'<text x="{middle:g}" y="{bottom + 36}" text-anchor="middle">{escape(axis.label)}</text>'
    )
    return "".join(parts)
