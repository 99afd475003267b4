"""How does the CFR family rank over all 18 games of the suite?"""

from typing import Any

from rltheory.analysis import plotting
from rltheory.games.library import SUITE
from rltheory.paper_figures import cfr_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "checkpoints": 25, "without": cfr_runs.LARGE},
    "paper": {"iterations": 1000, "checkpoints": 50, "without": ()},
}
COLUMNS = 4


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability by iteration of nine algorithms on every game."""
    roles = dict.fromkeys(entry.role for entry in SUITE)
    entries = cfr_runs.of_role(*roles, without=settings["without"])
    rows = cfr_runs.curves(entries, settings)
    count = -(-len(SUITE) // COLUMNS)
    figure, axes = plotting.panels(count, COLUMNS, width=plotting.PAGE, height=1.6 * count)
    for axis, entry in zip(axes.flat, SUITE, strict=False):
        cfr_runs.paint(axis, rows, entry)
        axis.tick_params(labelsize=6.5)
        axis.set_title(entry.title, fontsize=8)
        if axis.lines:
            axis.set_xticks([0, 500, 1000])
    for axis in axes.flat[len(SUITE) :]:
        axis.axis("off")
    figure.supxlabel("iterations", fontsize=8.5)
    figure.supylabel("exploitability (payoff)", fontsize=8.5)
    empty = axes.flat[len(SUITE)]
    place = {"loc": "center left", "bbox_to_anchor": (0.0, 0.5), "bbox_transform": empty.transAxes}
    cfr_runs.legend(figure, axes[0, 0], **place, ncols=2, columnspacing=1.0)
    return figure, rows


FIGURE = Figure(
    name="cfr-suite",
    title="The CFR family on the suite of 18 games",
    caption="The eleven games of the paper come first, seven more of the same kinds after them. "
    + cfr_runs.CAPTION,
    source="Li, Schultz, Hennes and Lanctot (2026), the comparison on all games",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=cfr_runs.findings,
)
