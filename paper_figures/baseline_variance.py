"""How much variance does a baseline leave, and which one is best when?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.estimators.baselines import (
    baseline_excess,
    global_baseline,
    optimal_baselines,
)
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import reinforce
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"points": 30, "horizon": 3e4, "curve": 41},
    "paper": {"points": 120, "horizon": 3e5, "curve": 161},
}
GROUP = 4
SHOWN = ("reinforce", "remax", "value", "rloo", "oblr", "optimal")
GROUPED = ("rloo", "oblr")
SNAPSHOT = 0.85
"""Expected reward at which the parabolas are shown."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return parabolas of variance against a shared baseline, and ratios along training."""
    times = np.concatenate([[0.0], np.geomspace(0.1, settings["horizon"], settings["points"])])
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(2, 3, width=plotting.PAGE, height=4.6)
    for column, (family, (title, make)) in enumerate(pg_models.FAMILIES.items()):
        points = pg_models.flow(make(), times)
        at = next(o for o in points if o.value >= SNAPSHOT)
        rows += parabola_rows(family, at, settings["curve"])
        for time, outcomes in zip(times, points, strict=True):
            rows += method_rows("training", family, float(time), outcomes)
        axes[0, column].set_title(title)
        _parabola(axes[0, column], [r for r in rows if r["family"] == family])
        _training(axes[1, column], [r for r in rows if r["family"] == family])
    axes[0, 0].set_ylabel("variance of one response")
    axes[1, 0].set_ylabel("variance over the least")
    plotting.letter(axes)
    handles, labels = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure, rows


def parabola_rows(family: str, outcomes: Outcomes, points: int) -> list[dict[str, Any]]:
    """Exact variances with one baseline for all prompts, and with the baselines of methods."""
    low, high = float(outcomes.rewards.min()), float(outcomes.rewards.max())
    margin = 0.1 * (high - low)
    rows = []
    for baseline in np.linspace(low - margin, high + margin, points):
        row = _row("parabola", family, "shared", None, outcomes, float(baseline))
        row["variance"] = float(
            estimator_moments(outcomes, reinforce(float(baseline)), covariance=False).within
        )
        row["gap"] = float(baseline_excess(outcomes, np.full(len(outcomes.weights), baseline)))
        rows.append(row)
    best = float(global_baseline(outcomes))
    row = _row("snapshot", family, "shared", None, outcomes, best)
    row["variance"] = float(estimator_moments(outcomes, reinforce(best), covariance=False).within)
    row["gap"] = float(baseline_excess(outcomes, np.full(len(outcomes.weights), best)))
    return [*rows, row, *method_rows("snapshot", family, None, outcomes)]


def method_rows(
    part: str, family: str, time: float | None, outcomes: Outcomes
) -> list[dict[str, Any]]:
    """Exact variances of one response, the mean of its baseline, and the excess by formula."""
    known = {
        "reinforce": np.zeros(len(outcomes.weights)),
        "remax": outcomes.greedy_rewards(),
        "value": outcomes.values,
        "optimal": optimal_baselines(outcomes),
    }
    rows = []
    for method in SHOWN:
        size = GROUP if method in GROUPED else 1
        moments = estimator_moments(outcomes, method, group_size=size, covariance=False)
        mean = known.get(method, outcomes.values if method == "rloo" else None)
        row = _row(part, family, method, time, outcomes, None)
        if mean is not None:
            row["baseline"] = float(outcomes.weights @ mean)
        row["variance"] = size * float(moments.within)
        if method in known:
            row["gap"] = float(baseline_excess(outcomes, known[method]))
        rows.append(row)
    return rows


def _row(
    part: str,
    family: str,
    method: str,
    time: float | None,
    outcomes: Outcomes,
    baseline: float | None,
) -> dict[str, Any]:
    least = float(estimator_moments(outcomes, "optimal", covariance=False).within)
    return {
        "part": part,
        "family": family,
        "method": method,
        "time": time,
        "value": float(outcomes.value),
        "shortfall": float(1.0 - outcomes.value),
        "baseline": baseline,
        "variance": None,
        "least": least,
        "gap": None,
    }


def _parabola(axis: Any, rows: plotting.Rows) -> None:
    shared = [r for r in rows if r["part"] == "parabola"]
    axis.plot(
        [r["baseline"] for r in shared], [r["variance"] for r in shared], color="#999999", zorder=1
    )
    for row in rows:
        if row["part"] != "snapshot" or row["baseline"] is None:
            continue
        if row["method"] == "shared":
            axis.axvline(row["baseline"], color="#999999", linewidth=0.7, linestyle=":")
            continue
        look = pg_models.METHODS[row["method"]].look()
        axis.plot(
            row["baseline"], row["variance"], color=look["color"], marker=look["marker"],
            markersize=6, markeredgecolor="white", markeredgewidth=0.5, linestyle="none",
        )  # fmt: skip
    axis.set_ylim(bottom=0.0)
    axis.set_xlabel("baseline (mean over prompts)")


def _training(axis: Any, rows: plotting.Rows) -> None:
    for method in SHOWN:
        here = [r for r in rows if r["part"] == "training" and r["method"] == method]
        axis.plot(
            [r["shortfall"] for r in here],
            [r["variance"] / r["least"] for r in here],
            label=pg_models.METHODS[method].title,
            **pg_models.METHODS[method].look(len(here)),
        )
    axis.set(xscale="log", xlabel="shortfall $1 - J$")
    pg_models.plain_logarithm(axis)
    axis.invert_xaxis()


def findings(rows: plotting.Rows) -> str:
    """Say what the best baseline saves early and late, and which methods reach it."""
    words = []
    for family, (title, _) in pg_models.FAMILIES.items():
        here = [r for r in rows if r["part"] == "training" and r["family"] == family]
        first, last = (
            {
                r["method"]: r["variance"] / r["least"]
                for r in here
                if r["time"] == pick(q["time"] for q in here)
            }
            for pick in (min, max)
        )
        words.append(
            f"{title}: {first['value']:.2f} with the exact value at the start and "
            f"{last['value']:.1f} at the end, {last['rloo']:.1f} left out, {last['oblr']:.1f} "
            f"with the optimum estimated from the other {GROUP - 1}, {last['reinforce']:.1f} "
            "with none"
        )
    errors = [
        abs(r["variance"] - r["least"] - r["gap"]) / r["variance"]
        for r in rows
        if r["gap"] is not None
    ]
    late = [r for r in rows if r["part"] == "training"]
    worse = {
        r["family"]
        for r in late
        if r["method"] == "value"
        and r["variance"]
        > next(
            q["variance"]
            for q in late
            if (q["family"], q["time"], q["method"]) == (r["family"], r["time"], "reinforce")
        )
    }
    behind = (
        "The exact value as baseline becomes worse than none at some point of training on "
        f"{', '.join(pg_models.FAMILIES[f][0] for f in pg_models.FAMILIES if f in worse)}"
        if worse
        else "The exact value as baseline is nowhere worse than none"
    )
    return (
        f"Variance over the least: {'; '.join(words)}. {behind}. Enumerated variances and the gap "
        f"formula agree to {_power(max(errors))} of the variance."
    )


def _power(error: float) -> str:
    return f"1e{int(np.ceil(np.log10(max(error, 1e-17))))}"


FIGURE = Figure(
    name="baseline-variance",
    title="What a baseline leaves of the variance",
    caption="Exact variance (trace of the covariance given the prompt, for one response) of the "
    "score-function estimator. Above: along the grey parabola all prompts share one baseline, best "
    f"at the dotted line, at the point of training where J reaches {SNAPSHOT:g}; marks are "
    "baselines of each prompt, which can lie below it, and the left-out mean of a group of "
    f"{GROUP}, which lies above the exact value by what estimating it costs. Below: over the "
    "variance with the optimal baseline E[|g|^2 r] / E[|g|^2] of each prompt, along gradient flow "
    "from the uniform policy. Near a deterministic policy almost all of |g|^2 lies on the other "
    "answers, so that the optimal baseline goes to what those are paid, far from the expected "
    "reward; a group that holds none of them cannot tell.",
    source="Greensmith, Bartlett and Baxter (2004), Theorem 8; Huang, Sheng and Zheng (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=4.0,
    findings=findings,
)
