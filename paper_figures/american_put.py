"""What is an American put worth to a holder who distrusts the model, and when is it exercised?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import EpisodicSolution, backward_induction, robust_backward_induction
from rltheory.tabular.generators import american_put, american_put_prices
from rltheory.tabular.uncertainty import Contamination, KullbackLeibler, TotalVariation

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"horizon": 12, "discount": 0.99, "radii": 21, "largest": 0.5, "shown": 0.1},
    "paper": {"horizon": 20, "discount": 0.99, "radii": 101, "largest": 0.5, "shown": 0.1},
}
SETS = {
    "TV on the lattice": lambda radius: TotalVariation(radius, support="nominal"),
    "Kullback-Leibler": KullbackLeibler,
    "contamination": Contamination,
    "TV to any state": TotalVariation,
}
TILTED = r"nominal, up with $1/2 + \rho$"


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return robust prices against the radius, and who exercises where; nothing is random."""
    horizon, discount = settings["horizon"], settings["discount"]
    put = american_put(horizon, discount=discount)
    radii = np.linspace(0.0, settings["largest"], settings["radii"])
    rows = []
    for radius in radii:
        tilted = american_put(horizon, discount=discount, probability=0.5 + radius)
        prices = {name: robust_backward_induction(put, s(radius)) for name, s in SETS.items()}
        for name, solution in (prices | {TILTED: backward_induction(tilted)}).items():
            rows.append(_row("price", name, radius, None, 100.0, solution.values[0, 0]))
    time = np.repeat(np.arange(horizon), np.arange(1, horizon + 1))
    spot = american_put_prices(horizon)
    shown = TotalVariation(settings["shown"], support="nominal")
    nominal = _exercised(backward_induction(put), time)
    robust = _exercised(robust_backward_induction(put, shown), time)
    holders = np.select([nominal & robust, robust, nominal], [BOTH, ROBUST, NOMINAL], NEITHER)
    for node, holder in enumerate(holders):
        place = (settings["shown"], int(time[node]), spot[node])
        rows.append(_row("exercised by", str(holder), *place, None))
    figure, (left, right) = plotting.panels(1, 2, width=plotting.PAGE, height=2.9)
    for index, name in enumerate(SETS):
        y = plotting.column(rows, "value", kind="price", name=name)
        left.plot(radii, y, label=name, **plotting.line(index, points=len(radii)))
    tilted_prices = plotting.column(rows, "value", kind="price", name=TILTED)
    every = max(1, len(radii) // 20)
    left.plot(radii, tilted_prices, "x", color="black", markersize=4, markevery=every, label=TILTED)
    left.set(xlabel=r"radius $\rho$", ylabel="price (money)", title="robust price at 100")
    left.legend()
    looks = [plotting.line(index) for index in range(3)]
    looks.append({"color": "#7A7A7A", "marker": ".", "markersize": 2})
    for holder, look in zip((BOTH, ROBUST, NOMINAL, NEITHER), looks, strict=True):
        x = plotting.column(rows, "step", kind="exercised by", name=holder)
        y = plotting.column(rows, "spot", kind="exercised by", name=holder)
        if len(x):
            right.plot(x, y, label=holder, **(look | {"linestyle": "none"}))
    right.axhline(100, color="black", linestyle=":", linewidth=0.8)
    right.set(xlabel="step", ylabel="price of the stock (money)", title="exercised by")
    right.xaxis.get_major_locator().set_params(integer=True)
    right.legend(loc="upper left")
    plotting.letter((left, right))
    return figure, rows


BOTH, ROBUST, NOMINAL, NEITHER = "both holders", "the robust one", "the nominal one", "neither"


def _exercised(solution: EpisodicSolution, time: NDArray[Any]) -> NDArray[np.bool_]:
    """Return, for every node of the lattice at its own time, whether exercising is optimal."""
    keep, exercise = solution.action_values[time, np.arange(len(time))].T
    return np.asarray((exercise >= keep) & (exercise > 0))


def _row(
    kind: str, name: str, radius: float, step: int | None, spot: float, value: float | None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "radius": float(radius),
        "step": step,
        "spot": float(spot),
        "value": value,
    }


FIGURE = Figure(
    name="american-put",
    title="Robust price of an American put",
    caption="A put with strike 100 on a binomial lattice, priced as the robust value of its "
    "optimal stopping problem. (a) The price falls with the radius. An adversary of total "
    "variation who stays on the lattice does nothing but tilt the odds: crosses are nominal prices "
    "with that probability of an upward move, computed without any robust solver. (b) Nodes of "
    "the lattice where it is optimal to exercise, for the nominal holder and for one who allows "
    "the radius 0.1 on the lattice: fearing that the stock will rise, the robust holder "
    "exercises earlier.",
    source="Cox, Ross and Rubinstein (1979); Iyengar (2005), Theorem 2.1; Tamar et al. (2014)",
    draw=draw,
    settings=SETTINGS,
)
