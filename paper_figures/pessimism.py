"""What does pessimism about rewards buy, by its weight and by the amount of data?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.simplex import KL
from rltheory.analysis.zoo.rpo import Pessimism, draw_comparisons, solve_pessimistic, tilted_policy
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"data_sets": 30, "etas": 7, "temperatures": 7},
    "paper": {"data_sets": 400, "etas": 15, "temperatures": 15},
}
REWARDS = np.array([1.0, 0.6, 0.3, 0.0, -0.3, -0.6, -1.0, -1.2])
REFERENCE = np.array([0.02, 0.25, 0.3, 0.3, 0.04, 0.03, 0.03, 0.03])
"""The best response and four of the bad ones are seldom given, hence seldom compared."""
BETA, BOX = 0.1, 3.0
COUNTS = (30, 100, 300, 1000)
PLACE, WEIGHT = 30, 0.1
"""Comparisons and eta of panel (b)."""
SCALE = 0.5
"""Of the decaying weight in panel (c), SCALE / sqrt(number of comparisons)."""
SCHEDULES = ("none", "fixed", "decaying")
TITLES = {
    "none": "no pessimism",
    "fixed": rf"$\eta = {WEIGHT}$",
    "decaying": rf"$\eta = {SCALE}/\sqrt{{N}}$",
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exact true values of the policies found from each data set."""
    sets = settings["data_sets"]
    data = {
        count: [
            draw_comparisons(
                REWARDS,
                np.outer(REFERENCE, REFERENCE),
                count,
                seed=np.random.default_rng([seed, count, k]),
            )
            / count
            for k in range(sets)
        ]
        for count in COUNTS
    }
    rows: list[dict[str, Any]] = []
    etas = np.geomspace(1e-3, 3.0, settings["etas"])
    for count, wins in data.items():
        for eta in etas:
            rows += _rows("weight", "fixed", wins, count, float(eta), BETA)
        for schedule, eta in (("none", 0.0), ("fixed", WEIGHT), ("decaying", SCALE / count**0.5)):
            rows += _rows("data", schedule, wins, count, eta, BETA)
    for beta in np.geomspace(0.02, 2.0, settings["temperatures"]):
        for schedule, eta in (("none", 0.0), ("fixed", WEIGHT)):
            rows += _rows("temperature", schedule, data[PLACE], PLACE, eta, float(beta))
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=3.0)
    for k, count in enumerate(COUNTS):
        look = plotting.line(k, points=len(etas))
        table = [_summary(rows, "eta", e, panel="weight", comparisons=count) for e in etas]
        _curve(axes[0], etas, np.array(table), look, f"{count} comparisons")
    none = tilted_policy(_problem(np.zeros((8, 8)), 1.0, BETA), np.zeros(8))
    axes[0].axhline(_shortfall(none, BETA), color="black", linewidth=0.6)
    looks = {name: plotting.line(k + 4) | {"linestyle": "-"} for k, name in enumerate(SCHEDULES)}
    for schedule in ("none", "fixed"):
        chosen = {"panel": "temperature", "schedule": schedule}
        betas = np.unique(plotting.column(rows, "beta", **chosen))
        for name, style in (("reward", "-"), ("fitted_reward", ":")):
            means = [plotting.column(rows, name, **chosen, beta=b).mean() for b in betas]
            axes[1].plot(betas, means, **looks[schedule] | {"linestyle": style})
    for schedule in SCHEDULES:
        table = [_summary(rows, "comparisons", n, panel="data", schedule=schedule) for n in COUNTS]
        _curve(axes[2], np.array(COUNTS), np.array(table), looks[schedule], TITLES[schedule])
    short = "true shortfall (units of reward)"
    axes[0].set(xscale="log", xlabel=r"weight of pessimism $\eta$", ylabel=short)
    axes[0].set_title("weight and data")
    axes[1].set(xscale="log", xlabel=r"temperature $\beta$ (units of reward)")
    axes[1].set(ylabel="gain over the reference (reward)", title=f"{PLACE} comparisons")
    axes[2].set(xscale="log", yscale="log", xlabel="comparisons", ylabel=short)
    axes[2].set_title("schedules of the weight")
    axes[2].set_yticks([0.03, 0.1, 0.3], labels=["0.03", "0.1", "0.3"])
    axes[2].set_yticks([], minor=True)
    plotting.letter(axes)
    handles, labels = axes[0].get_legend_handles_labels()
    more, words = axes[2].get_legend_handles_labels()
    figure.legend(handles + more, labels + words, loc="outside lower center", ncols=4)
    return figure, rows


def _problem(wins: Any, eta: float, beta: float) -> Pessimism:
    return Pessimism(wins, REFERENCE, REFERENCE, beta, eta, -BOX, BOX)


def _value(policy: Any, beta: float) -> float:
    return float(policy @ REWARDS - beta * KL.divergence(policy, REFERENCE))


def _shortfall(policy: Any, beta: float) -> float:
    """How much less the policy has than the best one, reward less beta times divergence."""
    return float(KL.maximum(REWARDS, REFERENCE, beta)) - _value(policy, beta)


def _rows(
    panel: str, schedule: str, data: Any, count: int, eta: float, beta: float
) -> list[dict[str, Any]]:
    rows = []
    for number, wins in enumerate(data):
        found = solve_pessimistic(_problem(wins, eta, beta), tolerance=1e-7)
        moved = found.policy - REFERENCE
        rows.append(
            {
                "panel": panel,
                "schedule": schedule,
                "comparisons": count,
                "eta": eta,
                "beta": beta,
                "data_set": number,
                "shortfall": _shortfall(found.policy, beta),
                "divergence": float(KL.divergence(found.policy, REFERENCE)),
                "reward": float(moved @ REWARDS),
                "fitted_reward": float(moved @ found.rewards),
            }
        )
    return rows


def _summary(rows: plotting.Rows, name: str, value: Any, **where: Any) -> tuple[float, float]:
    """The mean shortfall and its standard error over data sets."""
    sample = plotting.column(rows, "shortfall", **where, **{name: value})
    return float(sample.mean()), float(sample.std(ddof=1) / len(sample) ** 0.5)


def _curve(axis: Any, places: Any, table: Any, look: Any, label: str | None) -> None:
    mean, error = table.T
    axis.plot(places, mean, **look, label=label)
    low = np.maximum(mean - 1.96 * error, 1e-4)
    axis.fill_between(places, low, mean + 1.96 * error, color=look["color"], alpha=0.2, lw=0)


def findings(rows: plotting.Rows) -> str:
    """Give the best weight by the amount of data, and what it saves against none."""
    words = []
    for count in COUNTS:
        etas = np.unique(plotting.column(rows, "eta", panel="weight", comparisons=count))
        means = [_summary(rows, "eta", e, panel="weight", comparisons=count)[0] for e in etas]
        none = _summary(rows, "schedule", "none", panel="data", comparisons=count)[0]
        best = int(np.argmin(means))
        if means[best] < none:
            words.append(
                f"{count} comparisons: {means[best]:.2f} at {etas[best]:.2g}, {none:.2f} without"
            )
        else:
            words.append(f"{count} comparisons: no weight drawn beats none, {none:.2f}")
    return f"Least mean shortfall over the weights: {'; '.join(words)}."


FIGURE = Figure(
    name="pessimism",
    title="Pessimism about rewards against over-optimisation",
    caption="Eight responses, the best one given by the reference once in fifty times; pairs drawn "
    "from the reference are labelled by Bradley and Terry, rewards lie in [-3, 3], the base policy "
    f"is the reference. (a) Shortfall of the policy found, true reward less {BETA:g} times the "
    "divergence, by the weight of pessimism; thin, the reference's. (b) Fitted reward (dotted) and "
    "true reward (solid) of the policy, less the reference's, by the temperature; means over data "
    "sets. (c) Shortfall by the amount of data. Values are exact for each policy; lines "
    "are means over data sets, bands their 95 percent normal confidence intervals.",
    source="Liu et al. (2024, RPO); Gao, Schulman and Hilton (2023) for over-optimisation",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
