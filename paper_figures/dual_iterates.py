"""Do the multipliers of a constrained MDP settle, or only what they average to?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import DiscountedMDP, policy_iteration
from rltheory.tabular.constrained import ConstrainedSolution, discounted_costs, solve_constrained
from rltheory.tabular.dual_ascent import DualPath, dual_ascent, primal_dual

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 400, "states": 8},
    "paper": {"iterations": 2000, "states": 8},
}
STEP, POLICY_STEP, PROPORTIONAL = 0.05, 4.0, 1.0
METHODS = ("best responses", "gradual policies", "gradual, with proportional control")
SHARE = 0.4
"""Where the budget lies between the cheapest policy's cost and the best policy's."""


def problem(states: int, seed: int) -> tuple[DiscountedMDP, FloatArray, float]:
    """Return an MDP in which what pays costs, its cost (S, A) and a budget that binds."""
    rng = np.random.default_rng([seed, 6])
    rewards = rng.random((states, 3))
    mdp = DiscountedMDP(
        rng.dirichlet(np.ones(states), size=(states, 3)), rewards, 0.9,
        rng.dirichlet(np.ones(states)),
    )  # fmt: skip
    cost = 0.5 * rewards + 0.5 * rng.random((states, 3))
    ends = [
        float(discounted_costs(mdp, cost[None], policy_iteration(m).policy)[0])
        for m in (mdp.replace(rewards=-cost), mdp)
    ]
    return mdp, cost, (1 - SHARE) * ends[0] + SHARE * ends[1]


def runs(mdp: DiscountedMDP, cost: FloatArray, budget: float, count: int) -> dict[str, DualPath]:
    """Return the three runs by method."""

    def gradual(proportional: float) -> DualPath:
        return primal_dual(
            mdp, cost, budget, step=STEP, policy_step=POLICY_STEP, iterations=count,
            proportional=proportional,
        )  # fmt: skip

    return {
        METHODS[0]: dual_ascent(mdp, cost, budget, step=STEP, iterations=count),
        METHODS[1]: gradual(0.0),
        METHODS[2]: gradual(PROPORTIONAL),
    }


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return multipliers, excess costs and values by iteration, of last and averaged policies."""
    mdp, cost, budget = problem(settings["states"], seed)
    best = solve_constrained(mdp, cost, budget)
    rows = [
        row
        for method, path in runs(mdp, cost, budget, settings["iterations"]).items()
        for row in _rows(method, path, best)
    ]
    figure, axes = plotting.panels(
        len(METHODS), 3, width=plotting.PAGE, height=5.2, sharex=True, sharey="col"
    )
    for line, method in zip(axes, METHODS, strict=True):
        mine = [row for row in rows if row["method"] == method]
        times = plotting.column(mine, "iteration")
        line[0].plot(times, plotting.column(mine, "multiplier"), color=plotting.COLOURS[0])
        line[0].axhline(best.multipliers[0], color="black", linestyle=":", linewidth=1.0)
        line[0].set(title=method, ylabel="multiplier\n(reward per cost)")
        for kind, look in (("last", plotting.line(5)), ("average", plotting.line(1))):
            style = look | {"marker": "none", "linestyle": "-", "label": kind}
            style["linewidth"] = 0.6 if kind == "last" else 1.4
            line[1].plot(times, plotting.column(mine, f"{kind}_excess"), **style)
            line[2].plot(times, plotting.column(mine, f"{kind}_lead"), **style)
        for panel in line[1:]:
            panel.axhline(0, color="black", linestyle=":", linewidth=1.0)
        line[1].set(ylabel="cost less budget\n(discounted)")
        line[2].set(ylabel="value less optimum\n(discounted)")
    for panel in axes[-1]:
        panel.set(xlabel="iterations", xscale="log")
    axes[0, 1].legend()
    plotting.letter(axes)
    return figure, rows


def _rows(method: str, path: DualPath, best: ConstrainedSolution) -> list[dict[str, Any]]:
    """About 200 iterations, evenly spaced on a logarithmic axis and all of the last fifty."""
    count = len(path.values)
    marks = np.unique(np.geomspace(1, count, 200).round().astype(int)) - 1
    marks = np.union1d(marks, np.arange(max(count - 50, 0), count))
    return [
        {
            "method": method,
            "iteration": int(t) + 1,
            "multiplier": float(path.multipliers[t, 0]),
            "best_multiplier": float(best.multipliers[0]),
            "last_excess": float(path.excess[t, 0]),
            "average_excess": float(path.average_excess[t, 0]),
            "last_lead": float(path.values[t] - best.value),
            "average_lead": float(path.average_values[t] - best.value),
        }
        for t in marks
    ]


def findings(rows: plotting.Rows) -> str:
    """Say how far from the budget each method ends, by its last policies and by the average."""
    words = []
    for method in METHODS:
        mine = [row for row in rows if row["method"] == method]
        late = np.abs([row["last_excess"] for row in mine[-50:]])
        average = abs(mine[-1]["average_excess"])
        off = max(abs(row["multiplier"] - row["best_multiplier"]) for row in mine[-50:])
        words.append(
            f"{method}: {late.max():.2g} and {average:.2g}, the multiplier within {off:.1g} of the "
            "best"
        )
    last = max(row["iteration"] for row in rows)
    return (
        f"After {last} iterations the distance from the budget, at most over the last fifty "
        "policies and for the average of all, and that of the multiplier over those fifty, are for "
        f" {'; for '.join(words)}."
    )


FIGURE = Figure(
    name="dual-iterates",
    title="Multipliers of a constrained MDP, last and averaged",
    caption="A random MDP with 8 states and 3 actions whose cost follows its reward; the budget "
    "lies at 40 % of the way from the cheapest policy's cost to the best policy's. (a-c) "
    "Deterministic best responses to the multiplier, which takes subgradient steps: the cost "
    "jumps to either side of the budget and never meets it, the average of occupancies does. "
    "(d-f) Policies that take mirror steps instead, and (g-i) with a term proportional to the "
    "last excess added to the multiplier. Dotted: the optimum of the linear program over "
    "occupancies, and its multiplier. Averages are exact: the stationary policy with the mean "
    "occupancy has the mean cost and the mean value.",
    source="Altman (1999); Stooke, Achiam and Abbeel (2020); Ding, Zhang, Basar and Jovanovic "
    "(2020)",
    draw=draw,
    settings=SETTINGS,
    cost=4.0,
    findings=findings,
)
