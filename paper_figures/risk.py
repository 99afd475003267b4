"""How good is mean minus variance as an approximation of the penalised KL adversary?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.rates import fit_rate
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.uncertainty import PenalisedKullbackLeibler

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"rows": 40, "states": 20, "points": 25, "range": (2.0, 500.0)},
    "paper": {"rows": 400, "states": 50, "points": 60, "range": (2.0, 500.0)},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the errors of the expansions of order 0 and 1 in 1 / lambda over random rows."""
    generator = np.random.default_rng(seed)
    values = generator.random(settings["states"])
    nominal = generator.dirichlet(np.ones(settings["states"]), size=settings["rows"])
    mean = nominal @ values
    variance = nominal @ values**2 - mean**2
    low, high = settings["range"]
    penalties = np.geomspace(low, high, settings["points"])
    exact = [PenalisedKullbackLeibler(x).worst_case(values, nominal)[0] for x in penalties]
    errors = {
        "mean": np.abs(exact - mean).T,
        "mean and variance": np.abs(exact - mean + variance / (2 * penalties[:, None])).T,
    }
    rows = [
        {"expansion": name, "penalty": x, "row": row, "error": error[row, k]}
        for name, error in errors.items()
        for k, x in enumerate(penalties)
        for row in range(settings["rows"])
    ]
    labels = {
        "mean": r"$\mathrm{E}[v]$",
        "mean and variance": r"$\mathrm{E}[v] - \mathrm{Var}[v] / 2\lambda$",
    }
    figure, axis = plotting.panels(height=2.7)
    tail = penalties >= 10 * np.ptp(values)
    for index, (name, error) in enumerate(errors.items()):
        rate = fit_rate(penalties[tail], error[:, tail], seed=seed)
        low, high = float(rate.interval.lower), float(rate.interval.upper)
        label = f"{labels[name]}: slope ${rate.slope:.3f}$ [${low:.3f}$, ${high:.3f}$]"
        look = plotting.line(index, points=len(penalties))
        axis.plot(penalties, error.mean(axis=0), label=label, **look)
        axis.fill_between(
            penalties, *np.quantile(error, [0.1, 0.9], axis=0), color=look["color"], alpha=0.2, lw=0
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"penalty $\lambda$ (units of value)",
        ylabel="error (units of value)",
    )
    figure.legend(loc="outside upper center")
    return figure, rows


FIGURE = Figure(
    name="risk",
    title="Penalised Kullback-Leibler robustness as risk",
    caption="The penalised adversary's value is the entropic risk, whose expansion for a large "
    "penalty is the mean, then the mean minus half the variance over the penalty. Lines are the "
    "mean absolute error of the two expansions over random distributions, bands their 10 to 90 "
    "percent quantiles. Slopes are fitted where the penalty is at least ten times the range of "
    "the values, with 95 percent bootstrap intervals over the distributions: the orders "
    "are one and two.",
    source="Nilim and El Ghaoui (2005), section 4; Howard and Matheson (1972)",
    draw=draw,
    settings=SETTINGS,
)
