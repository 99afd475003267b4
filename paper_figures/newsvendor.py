"""When does the pathwise gradient of a newsvendor vary less than the score function?"""

import math
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.zoo.hdpo import GradientMoments, Newsvendor, gradient_moments
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"points": 25, "mean_demand": 20},
    "paper": {"points": 81, "mean_demand": 20},
}
LEVELS = (0.5, 0.9, 0.99)
LEVEL, SPREAD = 0.9, 1.0
"""The service level of panel (a), and the spread of the order, in units of demand, of (b)."""
METHODS: dict[str, tuple[str, Any]] = {
    "score function": ("score_variance", 0.0),
    "score, mean cost as baseline": ("score_variance", "mean"),
    "score, best baseline": ("score_variance", "optimal"),
    "pathwise": ("pathwise_variance", 0.0),
}


def newsvendor(level: float, mean_demand: int) -> Newsvendor:
    """Return binomial demand of this mean and chance 1/2, and costs that sum to one."""
    count = 2 * mean_demand
    chances = np.array([math.comb(count, k) for k in range(count + 1)]) / 2.0**count
    return Newsvendor(np.arange(count + 1.0), chances, 1 - level, level)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the exact variances by spread of the order, service level and method."""
    mean, points = settings["mean_demand"], settings["points"]
    deviation = math.sqrt(mean / 2)
    rows: list[dict[str, Any]] = []
    for level in LEVELS:
        rows += [
            row
            for spread in np.geomspace(0.01, 100, points) * deviation
            for row in _rows("spread", level, float(spread), mean)
        ]
    for level in 1 / (1 + np.exp(-np.linspace(-5, 5, points))):
        rows += _rows("level", float(level), SPREAD, mean)
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.9)
    looks = {name: plotting.line(k, points=points) for k, name in enumerate(METHODS)}
    for name, look in looks.items():
        chosen = {"panel": "spread", "service_level": LEVEL, "method": name}
        axes[0].loglog(
            plotting.column(rows, "spread", **chosen) / deviation,
            plotting.column(rows, "variance", **chosen),
            **look,
            label=name,
        )
        chosen = {"panel": "level", "method": name}
        axes[1].plot(
            plotting.column(rows, "service_level", **chosen),
            plotting.column(rows, "variance", **chosen),
            **look,
        )
    for k, level in enumerate(LEVELS):
        best, path = (
            plotting.column(rows, "variance", panel="spread", service_level=level, method=name)
            for name in ("score, best baseline", "pathwise")
        )
        spreads = plotting.column(
            rows, "spread", panel="spread", service_level=level, method="pathwise"
        )
        look = plotting.line(k + 4, points=points)
        axes[2].loglog(spreads / deviation, best / path, **look, label=f"service level {level:g}")
    axes[2].axhline(1, color="black", linewidth=0.6)
    across = "spread of the order (s.d. of demand)"
    costs = r"variance ((cost per unit)$^2$)"
    axes[0].set(xlabel=across, ylabel=costs, title=f"service level {LEVEL:g}")
    axes[1].set(
        yscale="log", xlabel="service level", ylabel=costs, title=f"spread {SPREAD:g} (units)"
    )
    axes[2].set(xlabel=across, ylabel="variance, score / pathwise", title="with the best baseline")
    plotting.letter(axes)
    handles, labels = axes[0].get_legend_handles_labels()
    more, words = axes[2].get_legend_handles_labels()
    figure.legend(handles + more, labels + words, loc="outside lower center", ncols=4)
    return figure, rows


def _rows(panel: str, level: float, spread: float, mean: int) -> list[dict[str, Any]]:
    """The variances of all methods at the best order that is not random."""
    problem = newsvendor(level, mean)
    order = problem.optimal_order()
    rows = []
    for name, (field, baseline) in METHODS.items():
        found: GradientMoments = gradient_moments(problem, order, spread, baseline=baseline)
        rows.append(
            {
                "panel": panel,
                "service_level": level,
                "spread": spread,
                "method": name,
                "order": order,
                "gradient": found.pathwise_mean,
                "variance": getattr(found, field),
            }
        )
    return rows


def findings(rows: plotting.Rows) -> str:
    """Say from which spread on the score function with its best baseline varies less."""
    words = []
    for level in LEVELS:
        chosen = {"panel": "spread", "service_level": level}
        spreads = plotting.column(rows, "spread", **chosen, method="pathwise")
        best, path = (
            plotting.column(rows, "variance", **chosen, method=name)
            for name in ("score, best baseline", "pathwise")
        )
        wins = spreads[best < path]
        words.append(
            f"at service level {level:g} from a spread of {wins.min():.2g} units on"
            if len(wins)
            else f"at service level {level:g} nowhere"
        )
    return (
        "Among the spreads drawn, the score function with its best baseline varies less than the "
        f"pathwise gradient {', '.join(words)}."
    )


FIGURE = Figure(
    name="newsvendor",
    title="Pathwise against score-function gradients of the newsvendor",
    caption="Exact variances of one sample of either estimator of the derivative of the expected "
    "cost by the mean of a normal order, at the best fixed order; binomial demand of mean 20, "
    "costs of holding and shortage that sum to one. Both estimators are unbiased. (a) The score "
    "function's variance grows like one over the square of the order's own spread as that shrinks; "
    "the pathwise one stays below a quarter. (b) The same by service level, shortage over the sum "
    "of costs. (c) The score function's variance with the best constant baseline, as a multiple of "
    "the pathwise one; the thin line marks equality.",
    source="Alvo, Russo and Kanoria (2023); exact moments derived here",
    draw=draw,
    settings=SETTINGS,
    cost=2.0,
    findings=findings,
)
