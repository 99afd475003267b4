"""How much does volatility change VAD-CFR's discounts, optimism and weights during a run?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.games.regret.variants import VARIANTS
from rltheory.paper_figures import cfr_runs, vad_traces
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "moments": 50, "game": "Leduc, 2 players"},
    "paper": {"iterations": 1000, "moments": 200, "game": "Leduc, 2 players"},
}
SCALE = 2.0
"""The size of regret at which volatility is 1."""
PANELS = {
    "volatility": ("volatility",),
    "exponents of the discounts": ("alpha", "beta"),
    "weight of the prediction": ("optimism",),
    "averaging weight / $t^2$": ("weight",),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return quantiles over the information sets of what volatility decides, by iteration."""
    game = cfr_runs.build(settings["game"])
    times = np.geomspace(2, settings["iterations"], settings["moments"])
    late = np.linspace(cfr_runs.WARM_UP + 1, settings["iterations"], settings["moments"] // 4)
    marks = np.unique(np.concatenate([times, late]).round().astype(int)).tolist()
    rows = [
        {
            "reading": reading,
            "iterations": moment.iteration,
            "quantity": quantity,
            **{f"p{level}": float(np.percentile(values, level)) for level in (10, 50, 90)},
        }
        for reading in cfr_runs.READINGS
        for moment in vad_traces.trace(game, reading, marks)
        for quantity, values in _quantities(moment).items()
    ]
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=4.4)
    t = np.geomspace(2, settings["iterations"], 200)
    # Volatility is between 0 and 1, so these are the ranges that the formulas leave.
    for low, high in ((1.0, 1.5), (-0.6, -0.1)):
        axes[0, 1].fill_between(t, low, high, color="#DDDDDD", linewidth=0)
    axes[0, 1].text(3, 1.2, r"$\alpha$: possible range")
    axes[0, 1].text(3, -0.4, r"$\beta$: possible range")
    decay = 1.0 / (1.0 + (t - 1) / 100.0)
    axes[1, 0].fill_between(t, 0.5 * decay, decay, color="#DDDDDD", linewidth=0)
    axes[1, 0].text(3, 0.6, "possible range")
    for axis, (title, quantities) in zip(axes.flat, PANELS.items(), strict=True):
        for quantity in quantities:
            _curves(axis, [row for row in rows if row["quantity"] == quantity])
        axis.set(title=title, xlabel="iterations")
        if quantities != ("weight",):
            axis.set(xscale="log")
    axes[0, 0].set(ylim=(0, None))
    axes[1, 0].set(ylim=(0, None))
    plotting.letter(axes)
    cfr_runs.legend(figure, axes[0, 0], loc="outside lower center", ncols=2)
    return figure, rows


def _curves(axis: Any, rows: plotting.Rows) -> None:
    for index, (reading, meaning) in enumerate(cfr_runs.READINGS.items()):
        t, low, middle, high = (
            plotting.column(rows, name, reading=reading)
            for name in ("iterations", "p10", "p50", "p90")
        )
        look = plotting.line(index, points=len(t))
        axis.plot(t, middle, label=meaning, **look)
        axis.fill_between(t, low, high, color=look["color"], alpha=0.2, linewidth=0)


def _quantities(moment: vad_traces.Moment) -> dict[str, Any]:
    found = {
        "volatility": np.minimum(1.0, moment.averages / SCALE),
        "alpha": moment.alpha,
        "beta": moment.beta,
        "optimism": moment.optimism,
    }
    if moment.iteration > cfr_runs.WARM_UP:
        found["weight"] = moment.weights / moment.iteration**2
    return found


def findings(rows: plotting.Rows) -> str:
    """Say how large volatility is, and how far it moves the exponents of the discounts."""
    words = []
    for reading, meaning in cfr_runs.READINGS.items():
        where = {"reading": reading, "quantity": "volatility"}
        middle = plotting.column(rows, "p50", **where)
        alpha = plotting.column(rows, "p10", reading=reading, quantity="alpha")
        words.append(
            f"with {meaning}, the median volatility ends at {middle[-1]:.2g} and is never above "
            f"{middle.max():.2g}, and at nine sets of ten alpha is never below {alpha.min():.3f}"
        )
    return f"Here, {'; '.join(words)}."


FIGURE = Figure(
    name="vad-volatility",
    title="What VAD-CFR's volatility decides",
    caption="Two-player Leduc. Medians over the information sets, bands from the 10th to the 90th "
    "percentile, of what each set's update used: (a) the volatility, the moving average of its "
    "largest regret over 2, at most 1; (b) the exponents of the discounts of positive (alpha) and "
    "negative (beta) accumulated regrets, 1.5 and -0.1 less half the volatility; (c) the weight of "
    "the prediction, whose fall is the fixed decay over 100 iterations; (d) the averaging weight "
    f"over its fixed part t^2, after the warm-up of {cfr_runs.WARM_UP} iterations. The largest "
    "regret of a set is mostly the loss by its worst action, which stays as play converges: so "
    "volatility settles at a level instead of vanishing, and what it moves is little of what it "
    "could.",
    source=VARIANTS["vad_cfr"]().source + ", appendix listing",
    draw=draw,
    settings=SETTINGS,
    cost=6.0,
    findings=findings,
)
