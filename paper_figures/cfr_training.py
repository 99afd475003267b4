"""Which member of the CFR family comes closest to equilibrium on the four training games?"""

from typing import Any

from rltheory.analysis import plotting
from rltheory.paper_figures import cfr_runs
from rltheory.paper_figures.registry import Drawing, Figure

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "checkpoints": 25, "without": ()},
    "paper": {"iterations": 1000, "checkpoints": 50, "without": ()},
}


def draw(scale: str, seed: int) -> Drawing:
    """Return exploitability by iteration of nine algorithms on four games."""
    rows = cfr_runs.curves(
        cfr_runs.of_role("training", without=SETTINGS[scale]["without"]), SETTINGS[scale]
    )
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=5.0)
    for axis, entry in zip(axes.flat, cfr_runs.of_role("training"), strict=True):
        cfr_runs.paint(axis, rows, entry)
        axis.set(xlabel="iterations", ylabel="exploitability (payoff)")
    plotting.letter(axes)
    cfr_runs.legend(figure, axes[0, 0], loc="outside lower center", ncols=4)
    return figure, rows


FIGURE = Figure(
    name="cfr-training",
    title="The CFR family on the four training games",
    caption="These four games guided the search over programs that found AOD-CFR and VAD-CFR. "
    + cfr_runs.CAPTION,
    source="Li, Schultz, Hennes and Lanctot (2026, version 1), training games",
    draw=draw,
    settings=SETTINGS,
    cost=5.0,
    findings=cfr_runs.findings,
)
