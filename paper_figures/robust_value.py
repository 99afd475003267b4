"""How fast does the robust value fall with the radius of each uncertainty set?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import DiscountedMDP, robust_value_iteration, value_iteration
from rltheory.tabular.generators import river_swim
from rltheory.tabular.uncertainty import (
    L1,
    L2,
    ChiSquare,
    Contamination,
    Interval,
    KullbackLeibler,
    LInf,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
    Wasserstein,
)

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"states": 6, "discount": 0.95, "radii": 25, "smallest": 2e-3},
    "paper": {"states": 6, "discount": 0.95, "radii": 81, "smallest": 2e-3},
}

Build = Callable[[DiscountedMDP, float], Any]
BALLS: dict[str, Build] = {
    "total variation": lambda mdp, x: TotalVariation(x),
    "$L_1$": lambda mdp, x: L1(x),
    "$L_2$": lambda mdp, x: L2(x),
    r"$L_\infty$": lambda mdp, x: LInf(x),
    r"$\chi^2$": lambda mdp, x: ChiSquare(x),
    "Kullback-Leibler": lambda mdp, x: KullbackLeibler(x),
    "Wasserstein": lambda mdp, x: Wasserstein(x, _distances(mdp.states)),
    "contamination": lambda mdp, x: Contamination(x),
    r"interval $(1 \pm \rho)\,p$": lambda mdp, x: Interval(
        (1 - x) * mdp.transitions, np.minimum(1.0, (1 + x) * mdp.transitions)
    ),
}
PENALISED: dict[str, Build] = {
    "total variation": lambda mdp, x: PenalisedTotalVariation(1 / x),
    r"$\chi^2$": lambda mdp, x: PenalisedChiSquare(1 / x),
    "Kullback-Leibler": lambda mdp, x: PenalisedKullbackLeibler(1 / x),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the robust value at the start of a river swim for every set; nothing is random."""
    mdp = river_swim(settings["states"], discount=settings["discount"]).to_dense()
    ends = {
        "nominal": float(value_iteration(mdp).values[0]),
        "worst": float(robust_value_iteration(mdp, TotalVariation(1.0)).values[0]),
    }
    radii = np.geomspace(settings["smallest"], 1.0, settings["radii"])
    inverses = np.geomspace(1e-2, 1e2, settings["radii"])
    rows = [
        {"form": form, "set": name, "x": x, "value": _value(mdp, build(mdp, float(x)))}
        for form, sets, grid in (("ball", BALLS, radii), ("penalised", PENALISED, inverses))
        for name, build in sets.items()
        for x in grid
    ]
    rows += [{"form": "end", "set": name, "x": None, "value": end} for name, end in ends.items()]
    figure, (left, right) = plotting.panels(1, 2, width=plotting.PAGE, height=3.2, sharey=True)
    names = list(BALLS)
    for axis, form, sets in ((left, "ball", BALLS), (right, "penalised", PENALISED)):
        for name in sets:
            x = plotting.column(rows, "x", form=form, set=name)
            y = plotting.column(rows, "value", form=form, set=name)
            axis.plot(x, y, label=name, **plotting.line(names.index(name), points=len(x)))
        for label, end in ends.items():
            axis.axhline(end, color="black", linewidth=0.7, linestyle=":")
            place = {"nominal": "bottom", "worst": "top"}[label]
            axis.annotate(
                f"{label} value",
                (0.02, end),
                xycoords=("axes fraction", "data"),
                ha="left",
                va=place,
                fontsize=7,
            )
    left.set(
        xlabel=r"radius $\rho$",
        xscale="log",
        ylabel="robust value of the first state",
        title="balls",
    )
    right.set(xlabel=r"1 / penalty $\lambda$", xscale="log", title="penalised forms")
    left.set_ylim(-0.1 * ends["nominal"], 1.1 * ends["nominal"])
    plotting.letter((left, right))
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure, rows


def _value(mdp: DiscountedMDP, uncertainty: Any) -> float:
    return float(robust_value_iteration(mdp, uncertainty, tolerance=1e-7).values[0])


def _distances(states: int) -> FloatArray:
    """Return the cost |s - t| / (S - 1), so that a radius of 1 moves all mass anywhere."""
    place = np.arange(states) / (states - 1)
    return np.asarray(np.abs(place[:, None] - place[None, :]))


FIGURE = Figure(
    name="robust-value",
    title="Robust value against radius for every uncertainty set",
    caption="The optimal robust value at the left end of a river swim, for nine balls and three "
    "penalised forms. Sets that may move mass anywhere (total variation and its relatives, "
    "contamination, Wasserstein with distances scaled to one) end at the value of a river that "
    "the adversary owns. Sets that stay within the nominal support (Kullback-Leibler, chi-square, "
    "relative intervals) cannot create a transition that the model excludes, and end where the "
    "worst nominal outcome of every step is certain; for small radii chi-square and "
    "Kullback-Leibler lose like the root of the radius, the others in proportion. A radius "
    "means something else for each set, so the curves compare shapes and ends, not sets.",
    source="Iyengar (2005), Theorem 3.2; Nilim and El Ghaoui (2005), section 4",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
)
