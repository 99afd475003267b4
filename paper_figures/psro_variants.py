"""Which meta-solver brings PSRO closest to equilibrium on the paper's games?"""

from typing import Any

from rltheory.analysis import plotting
from rltheory.paper_figures import cfr_runs, psro_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"roles": ["training"], "iterations": [25, 10, 6]},
    "paper": {"roles": ["training", "test"], "iterations": [100, 30, 12]},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability by iteration of each meta-solver on every game."""
    entries = cfr_runs.of_role(*settings["roles"])
    runs = psro_runs.run_all(entries, list(psro_runs.SOLVERS), settings["iterations"])
    rows = psro_runs.curves(runs)
    count = -(-len(entries) // 2)
    figure, axes = plotting.panels(
        count, 2, width=plotting.PAGE, height=0.7 + 2.1 * count, squeeze=False
    )
    for axis in axes.flat[len(entries) :]:
        axis.set_axis_off()
    for axis, entry in zip(axes.flat, entries, strict=False):
        psro_runs.paint(axis, rows, entry)
        axis.set(xlabel="PSRO iterations", ylabel="exploitability (payoff)")
    plotting.letter(axes.flat[: len(entries)])
    # A game of two players has all the curves.
    two = next(at for at, entry in enumerate(entries) if cfr_runs.build(entry.title).players == 2)
    handles, labels = axes.flat[two].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, rows


def findings(rows: plotting.Rows) -> str:
    """Say how long the runs were, and which solver ends lowest on which game."""
    lowest: dict[str, list[str]] = {}
    for game in dict.fromkeys(row["game"] for row in rows):
        mine = [row for row in rows if row["game"] == game]
        last = max(row["iterations"] for row in mine)
        first = min(
            (row for row in mine if row["iterations"] == last),
            key=lambda row: row["exploitability"],
        )
        title = psro_runs.SOLVERS[first["solver"]].title
        lowest.setdefault(title, []).append(f"{game} ({first['exploitability']:.1e})")
    wins = "; ".join(f"{title} on {', '.join(games)}" for title, games in lowest.items())
    return f"Iterations drawn: {psro_runs.horizons(rows)}. Lowest at the end: {wins}."


FIGURE = Figure(
    name="psro-variants",
    title="PSRO by meta-solver",
    caption="The payoff tensor that most meta-solvers read grows with the power of the players, "
    "so that runs of more than two players are shorter; the quick scale is shorter for all and "
    "leaves the test games out. " + psro_runs.CAPTION,
    source="Li, Schultz, Hennes and Lanctot (2026, version 1), the comparison of PSRO variants",
    draw=draw,
    settings=SETTINGS,
    cost=15.0,
    findings=findings,
)
