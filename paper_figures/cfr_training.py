"""Which member of the CFR family comes closest to equilibrium on the four training games?"""

from typing import Any

from rltheory.paper_figures import cfr_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "checkpoints": 25, "without": ()},
    "paper": {"iterations": 1000, "checkpoints": 50, "without": ()},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability by iteration of nine algorithms on four games."""
    return cfr_runs.four_panels("training", settings)


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
