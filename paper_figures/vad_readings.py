"""How far apart are the two readings of where VAD-CFR keeps its moving average?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.games.regret.variants import VARIANTS
from rltheory.paper_figures import cfr_runs, vad_traces
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "checkpoints": 20, "starts": 3, "moments": 12},
    "paper": {"iterations": 1000, "checkpoints": 50, "starts": 9, "moments": 50},
}

SMALLEST = 1e-6
"""Smaller moving averages are drawn at this height; those of sets never reached are 0."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability and moving averages under both readings on the training games."""
    last, count = settings["iterations"], settings["checkpoints"]
    entries = cfr_runs.of_role("training")
    runs = cfr_runs.run_all(
        entries,
        {reading: cfr_runs.variant(f"vad_cfr/{reading}") for reading in cfr_runs.READINGS},
        iterations=last,
        checkpoints=[round(k * last / count) for k in range(1, count + 1)],
        starts=settings["starts"],
        seed=seed,
    )
    rows = []
    for run in runs:
        for t, value in zip(run.result.iterations, run.result.exploitability, strict=True):
            row = _row(run.entry.title, run.algorithm, int(t), "exploitability")
            rows.append(row | {"start": run.start, "value": float(value)})
    marks = np.unique(np.geomspace(2, last, settings["moments"]).round().astype(int))
    for entry in entries:
        for reading in cfr_runs.READINGS:
            for moment in vad_traces.trace(cfr_runs.build(entry.title), reading, marks.tolist()):
                row = _row(entry.title, reading, moment.iteration, "moving average")
                for level in (10, 50, 90):
                    value = float(np.percentile(moment.averages, level))
                    rows.append(row | {"quantile": level, "value": value})
    figure, axes = plotting.panels(2, 4, width=plotting.PAGE, height=4.0)
    for column, entry in enumerate(entries):
        for index, reading in enumerate(cfr_runs.READINGS):
            mine = [r for r in rows if (r["game"], r["reading"]) == (entry.title, reading)]
            _exploitability(axes[0, column], mine, index)
            _averages(axes[1, column], mine, index)
        axes[0, column].set(yscale="log", title=entry.title, xticks=[0, 500, 1000])
        axes[1, column].set(xscale="log", yscale="log", xlabel="iterations")
    axes[0, 0].set(ylabel="exploitability (payoff)")
    axes[1, 0].set(ylabel="moving average (payoff)")
    plotting.letter(axes)
    cfr_runs.legend(figure, axes[1, 0], loc="outside lower center", ncols=2)
    return figure, rows


def _row(game: str, reading: str, iteration: int, quantity: str) -> dict[str, Any]:
    row = {"game": game, "reading": reading, "iterations": iteration, "quantity": quantity}
    return row | {"start": None, "quantile": None}


def _exploitability(axis: Any, rows: plotting.Rows, index: int) -> None:
    times = np.unique(plotting.column(rows, "iterations", quantity="exploitability"))
    found = [
        np.maximum(
            plotting.column(rows, "value", quantity="exploitability", iterations=t),
            cfr_runs.LEAST,
        )
        for t in times
    ]
    look = plotting.line(index, points=len(times))
    before = times <= cfr_runs.WARM_UP
    middle = np.array([np.median(values) for values in found])
    axis.plot(times[~before], middle[~before], **look)
    waiting = int(before.sum()) + 1
    axis.plot(times[:waiting], middle[:waiting], color=look["color"], linestyle=":")
    low, high = [values.min() for values in found], [values.max() for values in found]
    axis.fill_between(times, low, high, color=look["color"], alpha=0.15, linewidth=0)


def _averages(axis: Any, rows: plotting.Rows, index: int) -> None:
    low, middle, high = (
        np.maximum(
            plotting.column(rows, "value", quantity="moving average", quantile=level), SMALLEST
        )
        for level in (10, 50, 90)
    )
    t = plotting.column(rows, "iterations", quantity="moving average", quantile=50)
    look = plotting.line(index, points=len(t))
    axis.plot(t, middle, label=cfr_runs.READINGS[rows[0]["reading"]], **look)
    axis.fill_between(t, low, high, color=look["color"], alpha=0.15, linewidth=0)


def findings(rows: plotting.Rows) -> str:
    """Say on which games one reading ends below the other from all starts."""
    last = max(row["iterations"] for row in rows if row["quantity"] == "exploitability")
    words = []
    for game in dict.fromkeys(row["game"] for row in rows):
        where = {"game": game, "quantity": "exploitability", "iterations": last}
        shared, own = (
            plotting.column(rows, "value", reading=reading, **where)
            for reading in cfr_runs.READINGS
        )
        verdict = "they overlap"
        if shared.max() < own.min():
            verdict = "one for all ends lower"
        elif own.max() < shared.min():
            verdict = "one per set ends lower"
        words.append(f"{game}: {verdict}")
    return f"After {last} iterations, over all starts, {'; '.join(words)}."


FIGURE = Figure(
    name="vad-readings",
    title="VAD-CFR's two readings",
    caption="The published listing keeps the moving average of regret sizes in one field, so that "
    "it runs through all information sets in the order of their updates; one average for each set "
    "is the other reading. (a-d) Exploitability: median over starts that differ by roundings, "
    "bands from the least to the greatest; dotted, the current profile, before averaging begins. "
    "(e-h) The moving averages that the sets' updates used: medians over the sets, bands from the "
    "10th to the 90th percentile. An average of its own is close to zero at the many sets that the "
    "others' play hardly reaches (drawn at 1e-6 if smaller); the shared one "
    "carries sizes over from neighbours.",
    source=VARIANTS["vad_cfr"]().source + ", appendix listing",
    draw=draw,
    settings=SETTINGS,
    cost=6.0,
    findings=findings,
)
