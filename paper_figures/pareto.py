"""Which points of a Pareto front does each way of weighting objectives reach?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import DiscountedMDP
from rltheory.tabular.dynamic_weighting import (
    Weighting,
    fixed_weights,
    gradient_guided,
    hypervolume_guided,
    weighted_ascent,
)
from rltheory.tabular.multi_objective import (
    ParetoFront,
    chebyshev,
    deterministic_front,
    pareto_front,
    scalarise,
)
from rltheory.tabular.pareto import hypervolume, hypervolume_subset

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"weights": 13, "steps": 120, "largest": 8},
    "paper": {"weights": 81, "steps": 1500, "largest": 8},
}
STATES, ACTIONS, DISCOUNT = 4, 3, 0.8
STEP, RATE = 10.0, 0.05
SHORT = 1e-6
"""A shortfall beyond what the optimiser's tolerance leaves: no weights select the point."""
RULES = ("fixed", "hypervolume", "gradient")


def problem(seed: int) -> tuple[DiscountedMDP, FloatArray]:
    """Return a random MDP and two objectives (2, S, A) that are at odds."""
    rng = np.random.default_rng([seed, 26])
    mdp = DiscountedMDP(
        rng.dirichlet(np.ones(STATES), size=(STATES, ACTIONS)),
        np.zeros((STATES, ACTIONS)),
        DISCOUNT,
        rng.dirichlet(np.ones(STATES)),
    )
    first = rng.random((STATES, ACTIONS))
    return mdp, np.array([first, 1 - first**2 + 0.3 * rng.random((STATES, ACTIONS))])


def rule(name: str, weights: FloatArray) -> Weighting:
    """Return a rule of weighting by name."""
    if name == "gradient":
        return gradient_guided(weights, rate=RATE)
    return fixed_weights(weights) if name == "fixed" else hypervolume_guided(weights)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return points by kind, ends of training by rule, and hypervolume by number of policies."""
    mdp, objectives = problem(seed)
    every = deterministic_front(mdp, objectives)
    hull = pareto_front(mdp, objectives)
    base = every.points.min(axis=0) - 0.05 * np.ptp(every.points, axis=0)
    shares = np.linspace(0.02, 0.98, settings["weights"])
    grid = np.column_stack([shares, 1 - shares])
    rows = [*_points(every, hull, base), *_selected(mdp, objectives, grid, base)]
    rows += [
        _row("end", name, float(weights[0]), *end)
        for name in RULES
        for weights in grid
        for end in [_trained(mdp, objectives, rule(name, weights), settings["steps"])]
    ]
    rows += _volumes(every, hull, base, settings["largest"])
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.9)
    _fronts(axes[0], rows)
    _ends(axes[1], rows)
    _sizes(axes[2], rows)
    plotting.letter(axes)
    return figure, rows


def _row(kind: str, name: str, number: float | None, x: float, y: float) -> dict[str, Any]:
    return {"kind": kind, "name": name, "number": number, "first": float(x), "second": float(y)}


def _points(every: ParetoFront, hull: ParetoFront, base: FloatArray) -> list[dict[str, Any]]:
    rows = [
        _row("front", "missed" if short > SHORT else "selected", float(short), *point)
        for point, short in zip(every.points, every.shortfall, strict=True)
    ]
    rows += [_row("hull", "randomised", None, *point) for point in hull.points]
    best = hypervolume_subset(every.points, len(hull.points), base)
    return rows + [_row("subset", "largest hypervolume", None, *every.points[i]) for i in best]


def _selected(
    mdp: DiscountedMDP, objectives: FloatArray, grid: FloatArray, base: FloatArray
) -> list[dict[str, Any]]:
    """Points that weighted sums and Chebyshev scalarisation select, by weight of the first."""
    rows = []
    for weights in grid:
        linear = scalarise(mdp, objectives, weights).returns
        rows.append(_row("linear", "weighted sum", float(weights[0]), *linear))
        least = chebyshev(mdp, objectives, reference=base, scales=1 / weights)
        rows.append(_row("chebyshev", "Chebyshev", float(weights[0]), *least.returns))
    return rows


def _trained(
    mdp: DiscountedMDP, objectives: FloatArray, weighting: Weighting, steps: int
) -> FloatArray:
    path = weighted_ascent(mdp, objectives, weighting=weighting, step=STEP, iterations=steps)
    return np.asarray(path.returns[-1])


def _volumes(
    every: ParetoFront, hull: ParetoFront, base: FloatArray, largest: int
) -> list[dict[str, Any]]:
    """Hypervolume of the best sets of k policies; in `first` the volume, `second` its share."""
    whole = _below(hull.points, base)
    rows = [_row("volume", "all randomised policies", None, whole, 1.0)]
    sets = {
        "deterministic policies": every.points,
        "those that weights select": every.points[every.shortfall <= SHORT],
    }
    for name, points in sets.items():
        for size in range(1, largest + 1):
            chosen = hypervolume_subset(points, size, base)
            volume = hypervolume(points[list(chosen)], base)
            rows.append(_row("volume", name, float(size), volume, volume / whole))
    return rows


def _below(corners: FloatArray, base: FloatArray) -> float:
    """Return the area above the base and below the segments between corners, left to right."""
    x = np.concatenate([[base[0]], corners[:, 0]])
    y = np.concatenate([[corners[0, 1]], corners[:, 1]]) - base[1]
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _fronts(axis: Any, rows: plotting.Rows) -> None:
    hull = [row for row in rows if row["kind"] == "hull"]
    axis.plot(*_xy(hull), color="black", linewidth=0.8, label="randomised policies")
    looks = {
        "chebyshev": {"marker": "|", "color": plotting.COLOURS[7], "markersize": 5},
        "linear": {"marker": "o", "color": plotting.COLOURS[0], "markersize": 5.5},
        "subset": {"marker": "s", "color": plotting.COLOURS[1], "markersize": 7.5, "mfc": "none"},
    }
    labels = {"chebyshev": "Chebyshev", "linear": "weighted sums", "subset": "most hypervolume"}
    for kind, look in looks.items():
        mine = [row for row in rows if row["kind"] == kind]
        axis.plot(*_xy(mine), linestyle="none", label=labels[kind], **look)
    missed = [row for row in rows if row["kind"] == "front" and row["name"] == "missed"]
    axis.plot(
        *_xy(missed), linestyle="none", marker="x", color=plotting.COLOURS[2], markersize=4.5,
        label="missed by all weights",
    )  # fmt: skip
    axis.set(xlabel="return, objective 1", ylabel="return, objective 2", title="points selected")
    axis.legend(loc="lower left", fontsize=6.5, handlelength=1.4)


def _ends(axis: Any, rows: plotting.Rows) -> None:
    hull = [row for row in rows if row["kind"] == "hull"]
    axis.plot(*_xy(hull), color="black", linewidth=0.8)
    for index, name in enumerate(RULES):
        mine = [row for row in rows if row["kind"] == "end" and row["name"] == name]
        look = plotting.line(index) | {"linestyle": "none", "markersize": 6 - 1.5 * index}
        look |= {"mfc": "none"} if index == 0 else {}
        axis.plot(*_xy(mine), label=name, **look)
    axis.set(xlabel="return, objective 1", title="ends of training")
    axis.legend(loc="lower left", fontsize=6.5)


def _sizes(axis: Any, rows: plotting.Rows) -> None:
    axis.axhline(1.0, color="black", linewidth=0.8, label="all randomised policies")
    for index, name in enumerate(("deterministic policies", "those that weights select")):
        mine = [row for row in rows if row["kind"] == "volume" and row["name"] == name]
        numbers = plotting.column(mine, "number")
        shares = plotting.column(mine, "second")
        axis.plot(numbers, shares, label=name, **plotting.line(1 - index))
    axis.set(xlabel="number of policies kept", ylabel="share of hypervolume", title="sets")
    axis.legend(loc="lower right", fontsize=6.5)


def _xy(rows: plotting.Rows) -> tuple[Any, Any]:
    return plotting.column(rows, "first"), plotting.column(rows, "second")


def findings(rows: plotting.Rows) -> str:
    """Say how many points weights miss, how far apart the rules end, and what sets gain."""
    front = [row for row in rows if row["kind"] == "front"]
    missed = [row["number"] for row in front if row["name"] == "missed"]
    ends = {
        name: np.column_stack(_xy([r for r in rows if r["kind"] == "end" and r["name"] == name]))
        for name in RULES
    }
    apart = {name: np.abs(ends[name] - ends["fixed"]).max() for name in RULES[1:]}
    spread = {name: np.ptp(ends[name][:, 0]) for name in RULES}
    shares = {
        (row["name"], row["number"]): row["second"] for row in rows if row["kind"] == "volume"
    }
    most = max(number for _, number in shares if number is not None)
    share = {
        name: shares[name, most] for name in ("deterministic policies", "those that weights select")
    }
    return (
        f"Of the {len(front)} points of the deterministic front {len(missed)} are missed by all "
        f"weights, by up to {max(missed, default=0.0):.2g} in both objectives. The hypervolume "
        f"rule, whose steps differ in size, ends within {apart['hypervolume']:.1g} of fixed "
        "weights everywhere, the gradient "
        f"rule up to {apart['gradient']:.2g} away; over all starting weights the first return "
        f"ranges over {spread['fixed']:.2g} with fixed weights and {spread['gradient']:.2g} with "
        f"the gradient rule. The best {most:.0f} deterministic policies hold "
        f"{100 * share['deterministic policies']:.1f} % of the hypervolume, the best of those "
        f"that weights select {100 * share['those that weights select']:.1f} %."
    )


FIGURE = Figure(
    name="pareto",
    title="Pareto fronts and what weighting reaches",
    caption="A random MDP with 4 states, 3 actions and two objectives at odds; returns are "
    "discounted sums. (a) The front of randomised policies (line) and of the 81 deterministic "
    "ones: weighted sums select only corners of the line, whatever the weights (dots); crosses "
    "are deterministic policies that no other dominates and no weights select. Chebyshev "
    "scalarisation selects points all along the line, with randomised policies; the set of "
    "deterministic policies of largest hypervolume, of as many as there are corners (squares), "
    "may hold crosses. (b) Ends of exact policy gradient ascent from the uniform policy under "
    "fixed weights, the hypervolume rule, which multiplies the weighted reward by one number, "
    "and the gradient rule, whose weights move; each for starting weights across the range. "
    "(c) The share of the line's hypervolume held by the best k deterministic policies, and by "
    "the best k of those that weights select.",
    source="Lu, Wang, Li, Liu, Yu, Yin, Shi, Zhang and Jiang (2025) for the two rules; Das and "
    "Dennis (1997)",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
