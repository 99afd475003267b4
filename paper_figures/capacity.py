"""How many pairs of a layer can a class reach, by class and horizon: its spanning capacity?"""

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.agnostic.capacity import spanning_capacity
from rltheory.tabular.agnostic.policy_class import PolicyClass

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "horizon": 5, "states": [2, 4, 8], "densities": 6, "policies": 100, "layers": 6,
        "work": 20_000,
    },
    "paper": {
        "horizon": 6, "states": [2, 4, 6, 8, 10], "densities": 10, "policies": 1000, "layers": 8,
        "work": 200_000,
    },
}  # fmt: skip
"""Largest horizon of (a); sizes of layers, number of policies, layers and work of (b)."""

ACTIONS = 2


def enough(horizon: int) -> int:
    """States in each layer with which no class of (a) runs out of places."""
    return 1 + horizon * (horizon + 1) // 2


CLASSES: dict[str, tuple[Callable[[int], PolicyClass], Callable[[int], int]]] = {
    "constant": (lambda h: PolicyClass.constant(horizon=h, states=enough(h)), lambda h: 2),
    "singletons": (
        lambda h: PolicyClass.singletons(horizon=h, states=enough(h)),
        lambda h: h + 1,
    ),
    "one active state": (
        lambda h: PolicyClass.one_active(horizon=h, states=enough(h)),
        lambda h: h + 1,
    ),
    "up to two ones": (
        lambda h: PolicyClass.l_tons(2, horizon=h, states=enough(h)),
        lambda h: 1 + h + comb(h, 2),
    ),
    "all active": (
        lambda h: PolicyClass.all_active(horizon=h, states=enough(h)),
        lambda h: 1 + h * (h + 1) // 2,
    ),
    "plans": (
        lambda h: PolicyClass.open_loop(horizon=h, states=enough(h)),
        lambda h: min(2**h, ACTIONS * enough(h)),
    ),
}
"""The class of a horizon, and its capacity in closed form."""

RINGS = ("one active state", "all active")


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return capacities of named classes by horizon, and of random ones by size."""
    figure, axes = plotting.panels(1, 2, width=plotting.PAGE, height=2.7)
    rows = _named(axes[0], settings) + _random(axes[1], settings, seed)
    plotting.letter(axes)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=7.5
    )
    return figure, rows


def _named(axis: Any, settings: Parameters) -> list[dict[str, Any]]:
    rows = []
    most = settings["horizon"]
    for index, (name, (make, closed)) in enumerate(CLASSES.items()):
        horizons = list(range(1, most + 1))
        for horizon in horizons:
            policies = make(horizon)
            rows.append(_row("named", name, policies, closed(horizon), None, settings["work"]))
        look = plotting.line(index)
        axis.plot(horizons, [closed(h) for h in horizons], color=look["color"], linewidth=0.9)
        found = plotting.column(rows, "lower", name=name)
        # Of classes with equal capacity the second is a ring around the first.
        ring = {"markersize": 9, "markerfacecolor": "none"} if name in RINGS else {}
        axis.plot(
            horizons,
            found,
            color=look["color"],
            marker=look["marker"],
            linestyle="none",
            label=name,
            **ring,
        )
    axis.plot([], [], color="#444444", linewidth=0.9, label="closed form (lines)")
    axis.set(
        xlabel="horizon $H$ (layers)",
        ylabel="spanning capacity (pairs)",
        title="named classes, 2 actions",
        xticks=list(range(1, most + 1)),
    )
    _powers(axis, [2, 4, 8, 16, 32])
    return rows


def _random(axis: Any, settings: Parameters, seed: int) -> list[dict[str, Any]]:
    rows = []
    horizon, count = settings["layers"], settings["policies"]
    densities = np.geomspace(0.001, 0.5, settings["densities"])
    for index, states in enumerate(settings["states"]):
        # One draw for all densities: the ones only become more.
        draws = np.random.default_rng([seed, states]).random((count, horizon, states))
        for density in densities:
            policies = PolicyClass((draws < density).astype(np.int8), ACTIONS)
            most = min(count, 2**horizon, ACTIONS * states)
            rows.append(
                _row("random", f"{states} states", policies, most, float(density), settings["work"])
            )
        name = f"{states} states"
        lower = plotting.column(rows, "lower", name=name)
        upper = plotting.column(rows, "upper", name=name)
        look = plotting.line(index)
        axis.plot(densities, lower, **look)
        axis.fill_between(densities, lower, upper, color=look["color"], alpha=0.2)
        axis.annotate(
            f"{states} states",
            (densities[-1], lower[-1]),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axis.set(
        xlabel="probability of action 1 at a state",
        ylabel="spanning capacity (pairs)",
        xscale="log",
        xlim=(densities[0] * 0.9, densities[-1] * 2.6),
        title=f"{count} random policies, 2 actions, $H = {horizon}$",
    )
    _powers(axis, [1, 2, 4, 8, 16])
    return rows


def _powers(axis: Any, ticks: list[int]) -> None:
    axis.set_yscale("log", base=2)
    axis.set_yticks(ticks, [str(tick) for tick in ticks])


def _row(
    panel: str, name: str, policies: PolicyClass, formula: int, density: float | None, work: int
) -> dict[str, Any]:
    found = spanning_capacity(policies, work=work)
    return {
        "panel": panel,
        "name": name,
        "horizon": policies.horizon,
        "states": policies.states,
        "density": density,
        "policies": len(policies),
        "lower": found.lower,
        "upper": found.upper,
        "formula": formula,
    }


def findings(rows: plotting.Rows) -> str:
    """Say how many brackets closed, whether forms agree, and where the trivial bound is met."""
    named = [row for row in rows if row["panel"] == "named"]
    drawn = [row for row in rows if row["panel"] == "random"]
    closed = sum(row["lower"] == row["upper"] for row in rows)
    agree = sum(row["lower"] == row["formula"] == row["upper"] for row in named)
    met = sum(row["lower"] == row["formula"] for row in drawn)
    share = min(row["lower"] / row["formula"] for row in drawn)
    large = max(named, key=lambda row: row["policies"] / row["lower"])
    return (
        f"The search closes {closed} of {len(rows)} brackets, and {agree} of {len(named)} named "
        f"capacities are proved equal to their closed forms; the largest gain is that of "
        f"{large['policies']} policies ({large['name']}, H = {large['horizon']}) with a capacity "
        f"of {large['lower']}. Of {len(drawn)} random classes {met} reach the trivial "
        f"bound; the poorest reaches {share:.0%} of it."
    )


FIGURE = Figure(
    name="capacity",
    title="Spanning capacity by class and horizon",
    caption="(a) Most pairs of state and action at one layer that a class reaches in any "
    "deterministic MDP, against closed forms, with 1 + H (H + 1) / 2 states in each layer: enough "
    "for all but plans, which run out of pairs from H = 6 on. Singletons and one active state have "
    "equal capacities, up to two ones and all active too. (b) The same of policies that take "
    "action 1 at each state with some probability, by that probability and the states in each "
    "layer: policies that rarely leave the common action reach fewer pairs. Bands go from the "
    "pairs of the MDP found to the proved upper bound, and have no width where the value is exact. "
    "The trivial bound is the least of the number of policies, of plans, and of pairs in a layer.",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), of the definition",
    draw=draw,
    settings=SETTINGS,
    cost=3.0,
    findings=findings,
)
