"""How sharp are the theorems, and how clearly do their false twins fail?"""

from typing import Any

from rltheory.analysis import plotting
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.theory import verify
from rltheory.theory.verdict import EXISTENTIAL, Attempt, Result

SETTINGS: dict[str, dict[str, Any]] = {"quick": {"budget": "quick"}, "paper": {"budget": "deep"}}
LINEAR = 1e-3
"""Relative margins smaller than this are drawn on a linear scale, so that 0 has a place."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return, for every theorem and its control, the relative margin of the decisive instance."""
    results = verify(budget=settings["budget"], seed=seed, jobs=1)
    rows = [_row(result) for result in results]
    figure, axis = plotting.panels(width=plotting.PAGE, height=1.2 + 0.13 * len(rows))
    places = range(len(rows))
    held = plotting.column(rows, "theorem_margin")
    control = plotting.column(rows, "control_margin")
    axis.axvline(0, color="black", linewidth=0.7)
    axis.hlines(places, control, held, color="#C8C8C8", linewidth=0.8)
    for index, (points, label) in enumerate(
        ((held, "theorem: the sharpest instance"), (control, "negative control: a violation"))
    ):
        look = plotting.line(index) | {"linestyle": "none"}
        axis.plot(points, places, label=label, **look)
    axis.set_xscale("symlog", linthresh=LINEAR)
    axis.set_yticks(places, [row["theorem"] for row in rows], fontsize=6)
    axis.set(ylim=(len(rows) - 0.4, -0.6), xlim=(-1.6, 1.6))
    axis.set_xticks([-1, -0.1, -0.01, 0, 0.01, 0.1, 1])
    axis.set_xlabel("relative margin (right side $-$ left side, by the larger magnitude)")
    figure.legend(loc="outside upper center", ncols=2)
    return figure, rows


def _row(result: Result) -> dict[str, Any]:
    sharp = 1.0 - result.attempt.tightness
    return {
        "theorem": result.theorem,
        "kind": result.kind,
        "verdict": result.verdict,
        "theorem_margin": _margin(result.attempt) if result.kind in EXISTENTIAL else sharp,
        "control_margin": _margin(result.control),
        "control_refuted": result.control_refuted,
    }


def _margin(attempt: Attempt) -> float:
    """Return the relative margin of the decisive instance, clipped to [-1, 1]; 0 without one."""
    if attempt.worst is None:
        return 0.0
    return max(-1.0, min(1.0, attempt.worst.comparison.relative))


FIGURE = Figure(
    name="tightness",
    title="Tightness of the theorems and of their negative controls",
    caption="Each theorem was attacked by random and local search; a circle is the instance on "
    "which its two sides came closest, by the relative gap between them. On the line at zero they "
    "meet: an identity, or an inequality whose constant cannot be improved. A square is the "
    "violation that refuted the theorem's negative control, a slightly false variant under the "
    "same attack, which stops at the first. For separations and counterexamples the circle is the "
    "clearest witness, and the control is refuted because none is found. The scale is linear "
    "within one thousandth of zero and logarithmic beyond.",
    source="The theorem records of rltheory",
    draw=draw,
    settings=SETTINGS,
    cost=30.0,
)
