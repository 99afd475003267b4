"""Does an algorithm found by search do as well on larger games that the search has not seen?"""

from typing import Any

from rltheory.paper_figures import cfr_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "checkpoints": 25, "without": cfr_runs.LARGE[:1]},
    "paper": {"iterations": 1000, "checkpoints": 50, "without": ()},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability by iteration of nine algorithms on four games."""
    return cfr_runs.four_panels("test", settings)


FIGURE = Figure(
    name="cfr-test",
    title="The CFR family on the four test games",
    caption="Larger games of the same kinds, which the search over programs did not see. "
    + cfr_runs.CAPTION,
    source="Li, Schultz, Hennes and Lanctot (2026, version 1), test games",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=cfr_runs.findings,
)
