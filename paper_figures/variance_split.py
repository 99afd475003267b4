"""Which split of a budget into prompts and responses leaves the least noise?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"budget": 64, "prompts": 12, "points": 20},
    "paper": {"budget": 64, "prompts": 24, "points": 80},
}
ARMS = 5
HORIZON = 3e3
STAGE = 0.6
"""Expected reward at which the first two panels of a row are shown."""
METHODS = ("reinforce", "rloo", "oblr", "grpo", "value", "optimal")
SMALLEST = {"rloo": 2, "oblr": 2, "grpo": 2}
ENUMERATED = {"oblr": 8}
"""The largest groups of estimators whose groups are many."""
MODELS: dict[str, tuple[str, int | None]] = {
    "shared": ("shared features", 8),
    "own": ("logits of each prompt", None),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return parts of the variance, noise of methods, and best groups along training."""
    budget = settings["budget"]
    times = np.concatenate([[0.0], np.geomspace(0.3, HORIZON, settings["points"])])
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(2, 3, width=plotting.PAGE, height=4.5)
    for line, (name, (title, features)) in zip(axes, MODELS.items(), strict=True):
        points = pg_models.flow(pg_models.prompts(settings["prompts"], ARMS, features), times)
        stage = next(i for i, o in enumerate(points) if o.value >= STAGE)
        for index, outcomes in enumerate(points):
            for method in METHODS if index == stage else ("rloo",):
                rows += split_rows(
                    name, float(times[index]), index == stage, method, outcomes, budget
                )
        here = [row for row in rows if row["model"] == name]
        _parts(line[0], [r for r in here if r["stage"] and r["method"] == "rloo"], title)
        _methods(line[1], [r for r in here if r["stage"]], title)
        _best(line[2], along(here), title)
    plotting.letter(axes)
    for column in (0, 1):
        handles, labels = axes[0, column].get_legend_handles_labels()
        where = "outside lower left" if column == 0 else "outside lower right"
        figure.legend(handles, labels, loc=where, ncols=1 if column == 0 else 3)
    return figure, rows


def sizes(budget: int) -> list[int]:
    """Return the divisors of the budget, in order."""
    return [size for size in range(1, budget + 1) if budget % size == 0]


def split_rows(
    model: str, time: float, stage: bool, method: str, outcomes: Outcomes, budget: int
) -> list[dict[str, Any]]:
    """Parts of the variance at each split of the budget, over the squared mean estimate."""
    rows = []
    floor = float(estimator_moments(outcomes, "value", covariance=False).within) / budget
    for size in sizes(budget):
        if not SMALLEST.get(method, 1) <= size <= ENUMERATED.get(method, budget):
            continue
        moments = estimator_moments(
            outcomes, method, group_size=size, prompts=budget // size, covariance=False
        )
        signal = float(moments.mean @ moments.mean)
        rows.append(
            {
                "model": model,
                "time": time,
                "stage": stage,
                "value": float(outcomes.value),
                "method": method,
                "size": size,
                "signal": signal,
                "responses": floor / signal,
                "estimated": (float(moments.within) - floor) / signal,
                "between": float(moments.between) / signal,
                "noise": float(moments.variance) / signal,
            }
        )
    return rows


def along(rows: plotting.Rows) -> list[tuple[float, float]]:
    """Return the expected reward and the best real size of leave-one-out's groups, over time.

    Its noise is (responses + a / (G - 1) + b G) / budget, least at G = 1 + sqrt(a / b), with a
    and b in any unit, so that groups of one size tell.
    """
    pairs = sorted((r for r in rows if (r["method"], r["size"]) == ("rloo", 2)), key=_time)
    return [(r["value"], 1 + float(np.sqrt(2 * r["estimated"] / r["between"]))) for r in pairs]


def _time(row: Any) -> float:
    return float(row["time"])


def _parts(axis: Any, rows: plotting.Rows, title: str) -> None:
    size = [row["size"] for row in rows]
    parts = {
        "responses": ("responses, value known", plotting.COLOURS[5], ""),
        "estimated": ("estimated baseline", plotting.COLOURS[0], "///"),
        "between": ("between prompts", plotting.COLOURS[4], "..."),
    }
    areas = axis.stackplot(
        size,
        [[row[part] for row in rows] for part in parts],
        labels=[label for label, _, _ in parts.values()],
        colors=[colour for _, colour, _ in parts.values()],
        alpha=0.75,
        edgecolor="white",
        linewidth=0.4,
    )
    for area, (_, _, hatch) in zip(areas, parts.values(), strict=True):
        area.set_hatch(hatch)
    least = min(rows, key=lambda row: row["noise"])
    axis.plot(least["size"], least["noise"], "*", color="white", markersize=7, mec="black")
    _ticks(axis, size)
    axis.set(ylabel="variance over squared mean", title=title)


def _methods(axis: Any, rows: plotting.Rows, title: str) -> None:
    for method in METHODS:
        here = [row for row in rows if row["method"] == method]
        axis.plot(
            [row["size"] for row in here],
            [row["noise"] for row in here],
            label=pg_models.METHODS[method].title,
            **pg_models.METHODS[method].look(),
        )
        least = min(here, key=lambda row: row["noise"])
        axis.plot(least["size"], least["noise"], "*", color="white", markersize=7, mec="black")
    _ticks(axis, sorted({row["size"] for row in rows}))
    pg_models.plain_logarithm(axis)
    axis.set(ylabel="variance over squared mean", title=title)


def _best(axis: Any, best: list[tuple[float, float]], title: str) -> None:
    values, found = zip(*best, strict=True)
    axis.plot(values, found, **pg_models.METHODS["rloo"].look(len(best)))
    axis.set(ylabel="best group size", title=title, xlabel="expected reward $J$", ylim=(1.0, None))


def _ticks(axis: Any, marks: list[int]) -> None:
    axis.set_xscale("log")
    axis.set_xticks(marks, [str(mark) for mark in marks])
    axis.minorticks_off()
    axis.set_xlabel("responses to a prompt $G$")


def findings(rows: plotting.Rows) -> str:
    """Say which split is best for whom, and how much a bad one costs."""
    words = []
    for model, (title, _) in MODELS.items():
        stage = [r for r in rows if r["model"] == model and r["stage"]]
        parts = []
        for method in METHODS:
            here = sorted((r for r in stage if r["method"] == method), key=lambda row: row["noise"])
            parts.append(
                f"{here[0]['size']} for {pg_models.METHODS[method].title} ({here[0]['noise']:.2f})"
            )
        rloo = [r for r in stage if r["method"] == "rloo"]
        worst, least = (pick(r["noise"] for r in rloo) for pick in (max, min))
        best = [size for _, size in along([r for r in rows if r["model"] == model])]
        words.append(
            f"with {title} the best groups hold {', '.join(parts)}; the worst split costs "
            f"leave-one-out {worst / least:.1f} times the noise, and its best real size is "
            f"{best[0]:.1f} at the start, {best[-1]:.1f} at the end, between {min(best):.1f} and "
            f"{max(best):.1f}"
        )
    return f"Noise in brackets: {'; '.join(words)}."


FIGURE = Figure(
    name="variance-split",
    title="Prompts or responses",
    caption="Exact variance (trace of the covariance over the squared length of the mean "
    "estimate) of a batch of 64 responses, split into 64 / G prompts with G responses each; "
    f"prompts are drawn independently, rewards are 0, 1/2 or 1, and J is about {STAGE:g} in the "
    "first two columns. Left: the parts of leave-one-out. Responses add the same whatever the "
    "split, the baseline that is estimated from the other G - 1 adds less in larger groups (in "
    "proportion to 1 / (G - 1)), and the difference between prompts adds in proportion to G. So "
    "the best size is 1 + sqrt(a / b), with a and b the two factors, whatever the budget. Middle: "
    "methods; stars mark the best split. GRPO's noise is measured against its own mean, which is "
    "not the gradient. Where a baseline is known one response to each prompt is best. OBLR's "
    f"groups are enumerated up to {ENUMERATED['oblr']}. Right: leave-one-out's best size, as a "
    "real number, along gradient flow from the uniform policy.",
    source="Kool, van Hoof and Welling (2019); Huang, Sheng and Zheng (2025); derived",
    draw=draw,
    settings=SETTINGS,
    cost=6.0,
    findings=findings,
)
