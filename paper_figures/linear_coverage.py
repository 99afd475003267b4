"""How does the error of the factors' worst cases fall with data, with coverage, with the bonus?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from matplotlib.ticker import NullFormatter

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp import LinearMDP, RobustLinearMDP, collect, drpvi, plan
from rltheory.linear_mdp.offline import summarise
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedKullbackLeibler,
    TotalVariation,
)
from rltheory.tabular.uncertainty.base import UncertaintySet

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"episodes": [100, 30_000], "points": 7, "seeds": 16},
    "paper": {"episodes": [100, 100_000], "points": 9, "seeds": 100},
}
FIXED = 30_000
"""Episodes where coverage varies."""
CONTRASTS = (1.0, 0.05)
"""The contrast of the first step's features, from most to least."""
RIDGE = 0.1
FIRST, SECOND, DIMENSION, ACTIONS = 8, 16, 4, 4
PANELS = {
    "episodes": "episodes",
    "eigenvalue": r"least eigenvalue of the design",
    "width": r"$\max_i\, (G^{-1})_{ii}^{1/2}$, the bonus at scale 1",
}


class Ball(NamedTuple):
    """An adversary: its set and its name."""

    title: str
    make: Callable[[], UncertaintySet]


BALLS = {
    "tv": Ball("total variation", lambda: TotalVariation(0.2)),
    "chi2": Ball("chi-square", lambda: ChiSquare(0.2)),
    "kl": Ball("Kullback-Leibler", lambda: KullbackLeibler(0.2)),
    "soft_kl": Ball("Kullback-Leibler, penalised", lambda: PenalisedKullbackLeibler(0.5)),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return errors by episodes and by contrast, with what the bonus is."""
    low, high = settings["episodes"]
    counts = np.geomspace(low, high, settings["points"]).round().astype(int)
    contrasts = np.geomspace(*CONTRASTS, settings["points"])
    tasks = [("episodes", int(n), 1.0) for n in counts]
    tasks += [("coverage", FIXED, float(c)) for c in contrasts]

    def one(sweep: str, episodes: int, contrast: float) -> list[dict[str, Any]]:
        return [
            {"sweep": sweep, "episodes": episodes, "contrast": contrast, "seed": k} | row
            for k in range(settings["seeds"])
            for row in measure(two_steps(contrast, [seed, k]), episodes, [seed, k, 1])
        ]

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    rows = [row for part in found for row in part]
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=3.0, sharey=True)
    for axis, (quantity, label) in zip(axes, PANELS.items(), strict=True):
        for index, name in enumerate(BALLS):
            _paint(axis, rows, name, quantity, index)
        axis.set(xscale="log", yscale="log", xlabel=label)
    # The labels of the minor ticks would run into each other where the axis is short.
    axes[2].xaxis.set_minor_formatter(NullFormatter())
    axes[0].set(ylabel="largest error of a factor's worst case", title="at full contrast")
    axes[1].set(title=f"{FIXED} episodes, falling contrast")
    axes[2].set(title="both, each run a dot")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    plotting.letter(axes)
    return figure, rows


def two_steps(contrast: float, seed: Any) -> LinearMDP:
    """Return a model of two steps whose first step's features lose their contrast.

    First states have features contrast x + (1 - contrast) / d for x drawn evenly from the simplex;
    factors lead to other states, whose values, the best of their rewards, do not depend on the
    contrast. So the target stays as it is, and coverage alone changes: away from the direction
    (1, ..., 1) the second moment of the features is in proportion to the square of the contrast.
    """
    rng = np.random.default_rng(seed)
    states, d = FIRST + SECOND, DIMENSION
    features = rng.dirichlet(np.ones(d), size=(states, ACTIONS))
    features[:FIRST] = contrast * features[:FIRST] + (1.0 - contrast) / d
    measures = np.zeros((2, d, states))
    measures[:, :, FIRST:] = rng.dirichlet(np.ones(SECOND), size=(2, d))
    initial = np.zeros(states)
    initial[:FIRST] = 1.0 / FIRST
    return LinearMDP(features, measures, rng.random((2, d)), initial)


def measure(mdp: LinearMDP, episodes: int, seed: Any) -> list[dict[str, Any]]:
    """Return the errors of the first step's factors, from episodes of the uniform policy.

    One row for each set, all from the same episodes.
    """
    data = collect(mdp, episodes=episodes, seed=np.random.default_rng(seed))
    memory = summarise(mdp, data, ridge=RIDGE)
    rows = []
    for name, ball in BALLS.items():
        model = RobustLinearMDP(mdp, ball.make())
        learnt = drpvi(model, memory, bonus=0.0)
        error = np.abs(learnt.linear[0] - plan(model).factor_values[0])
        rows.append(
            {
                "set": name,
                "error": float(error.max()),
                "eigenvalue": float(np.linalg.eigvalsh(memory.gram[0])[0]),
                "width": float(np.sqrt(np.diag(memory.inverse[0]).max())),
            }
        )
    return rows


def _curve(rows: plotting.Rows, name: str, quantity: str) -> tuple[FloatArray, FloatArray]:
    """Return a quantity (n,) and the errors (seeds, n) of its sweep."""
    sweep, key = ("episodes", "episodes") if quantity == "episodes" else ("coverage", "contrast")
    where = {"set": name, "sweep": sweep}
    points = np.unique(plotting.column(rows, key, **where))
    x = [plotting.column(rows, quantity, **{key: point}, **where).mean() for point in points]
    errors = [plotting.column(rows, "error", **{key: point}, **where) for point in points]
    return np.array(x), np.stack(errors, axis=1)


def _paint(axis: Any, rows: plotting.Rows, name: str, quantity: str, index: int) -> None:
    look = plotting.line(index)
    if quantity == "width":
        x, y = (plotting.column(rows, key, set=name) for key in ("width", "error"))
        axis.plot(x, y, look["marker"], color=look["color"], markersize=1.2, alpha=0.5)
        if not index:
            ends = np.array([x.min(), x.max()])
            axis.plot(ends, ends, color="black", linewidth=0.8)
            axis.annotate(
                "error = width", ends[1:].repeat(2), (-4, -2), textcoords="offset points",
                ha="right", va="bottom", fontsize=7,
            )  # fmt: skip
        return
    x, errors = _curve(rows, name, quantity)
    axis.plot(x, errors.mean(axis=0), label=BALLS[name].title, **look)
    low, high = np.quantile(errors, [0.1, 0.9], axis=0)
    axis.fill_between(x, low, high, color=look["color"], alpha=0.12, linewidth=0)
    if not index:
        guide = errors.mean(axis=0)[0] * np.sqrt(x[0] / x) / 2.0
        axis.plot(x, guide, color="black", linewidth=0.8)
        axis.annotate(
            r"slope $-1/2$", (x[len(x) // 3], guide[len(x) // 3]), (-2, -3),
            textcoords="offset points", ha="right", va="top", fontsize=7,
        )  # fmt: skip


def findings(rows: plotting.Rows) -> str:
    """Give the slopes, and the largest ratio of error to width."""
    words = []
    for name, ball in BALLS.items():
        slopes = []
        for quantity in ("episodes", "eigenvalue"):
            x, errors = _curve(rows, name, quantity)
            rate = fit_rate(x, errors)
            low, high = float(rate.interval.lower), float(rate.interval.upper)
            slopes.append(f"{rate.slope:.2f} [{low:.2f}, {high:.2f}]")
        ratio = plotting.column(rows, "error", set=name) / plotting.column(rows, "width", set=name)
        words.append(
            f"{ball.title}: {slopes[0]} against episodes, {slopes[1]} against the least "
            f"eigenvalue, and {ratio.max():.2g} times the width at most"
        )
    return f"Fitted slopes, with bootstrap intervals of 95% over the models: {'; '.join(words)}."


FIGURE = Figure(
    name="coverage-error",
    title="Coverage and the error of the worst cases",
    caption="Random models of two steps, so that the values of the second are known and only the "
    "worst expectation of each of 4 factors is estimated, by ridge regression on episodes of the "
    "uniform policy; the exact worst expectations are planned. (a) More episodes. (b) The features "
    "of the first step lose their contrast, the values do not: the least eigenvalue of the design "
    "G falls, and the factors are harder to tell apart. The sets see the same episodes. (c) All "
    "runs against the width that the bonus of the theory gives a factor. Lines are means over "
    "models, bands the 10th to the 90th percentile; radius 0.2, penalty 0.5.",
    source="Liu and Xu (2024), Lemma on the estimation error and Assumption on coverage",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
