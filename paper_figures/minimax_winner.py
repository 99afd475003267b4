"""Where does self-play on an intransitive preference go: by its average, last, or with a pull?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.iterative_nash import mirror_step, regularised_nash
from rltheory.games.normal_form.preference import (
    Preferences,
    condorcet_winner,
    minimax_winner,
    self_play,
)
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 2000, "step": 0.5, "weights": [0.01, 0.05, 0.2]},
    "paper": {"iterations": 20_000, "step": 0.5, "weights": [0.01, 0.05, 0.2]},
}
PREFERENCES = Preferences(np.array([[0.0, 0.2, -0.6], [-0.2, 0.0, 0.4], [0.6, -0.4, 0.0]]))
"""A beats B, B beats C, C beats A; the minimax winner is (2, 3, 1) / 6."""
START = (0.1, 0.2, 0.7)
REFERENCE = (0.6, 0.1, 0.3)
SHOWN = 400
"""Iterations whose policies are drawn; gaps are those of all."""
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the policies of self-play and of INPO on the way, with their duality gaps."""
    iterations, step = settings["iterations"], settings["step"]
    paths: dict[str, Any] = {}
    for name, rule in (("SPO, hedge", dynamics.hedge(step)),
                       ("SPO, optimistic hedge", dynamics.optimistic_hedge(step))):  # fmt: skip
        result = self_play(PREFERENCES, rule, iterations=iterations, start=START, every=1)
        assert result.trajectory is not None
        paths[f"{name}: last"] = result.trajectory.current[0]
        paths[f"{name}: average"] = result.trajectory.average[0]
    ends = {}
    for weight in settings["weights"]:
        name = rf"INPO, $\tau = {weight:g}$: last"
        # Hedge's step: it multiplies preferences, which are twice the win rates and a constant.
        paths[name] = _inpo(weight, weight + 1 / (2 * step), iterations)
        ends[name] = regularised_nash(PREFERENCES, REFERENCE, weight=weight).policy
    rows = [
        row for name, path in paths.items() for row in _rows(name, path, ends.get(name), iterations)
    ]
    winner = minimax_winner(PREFERENCES).policy
    assert condorcet_winner(PREFERENCES) is None
    figure, axes = plotting.panels(
        1, 4, width=plotting.PAGE, height=2.7, width_ratios=[1, 1, 1, 1.5]
    )
    groups = (
        ("SPO, hedge", [n for n in paths if n.startswith("SPO, hedge")]),
        ("SPO, optimistic", [n for n in paths if n.startswith("SPO, opt")]),
        ("INPO", [n for n in paths if n.startswith("INPO")]),
    )
    looks = {name: plotting.line(k, points=40) for k, name in enumerate(paths)}
    for axis, (title, names) in zip(axes, groups, strict=False):
        axis.set_title(title)
        _simplex(axis)
        for name in names:
            path = paths[name][: iterations if "average" in name else SHOWN] @ CORNERS
            wide = 1.3 if "average" in name or name in ends else 0.5
            style = {"color": looks[name]["color"]}
            axis.plot(*path.T, linewidth=wide, **style)
            if name in ends:
                circle = {"marker": "o", "markersize": 4, "markerfacecolor": "white", "zorder": 4}
                axis.plot(*(ends[name] @ CORNERS), linestyle="none", **circle, **style)
        marks = {"linestyle": "none", "color": "black", "zorder": 5}
        axis.plot(*(np.array(START) @ CORNERS), marker="s", markersize=3.5, label="start", **marks)
        axis.plot(*(winner @ CORNERS), marker="+", markersize=8, label="minimax winner", **marks)
        if title == "INPO":
            axis.plot(*(np.array(REFERENCE) @ CORNERS), marker="*", markersize=6,
                      label="reference", **marks)  # fmt: skip
    for name in paths:
        times = plotting.column(rows, "iterations", method=name)
        gaps = plotting.column(rows, "gap", method=name)
        look = looks[name] | {"markevery": (len(gaps) // 9, max(1, len(gaps) // 6))}
        axes[3].plot(times, gaps, label=name, **look)
    axes[3].set(
        xscale="log", yscale="log", xlabel="policies played", title="distance from the winner",
        ylabel="duality gap (preference)",
    )  # fmt: skip
    plotting.letter(axes)
    handles, labels = axes[3].get_legend_handles_labels()
    more, words = axes[2].get_legend_handles_labels()
    figure.legend(handles + more, labels + words, loc="outside lower center", ncols=4)
    return figure, rows


def _inpo(weight: float, inverse_step: float, iterations: int) -> Any:
    policy = np.array(START)
    path = [policy]
    for _ in range(iterations - 1):
        policy = mirror_step(
            PREFERENCES, policy, REFERENCE, weight=weight, inverse_step=inverse_step
        )
        path.append(policy)
    return np.array(path)


def _rows(name: str, path: Any, end: Any, iterations: int) -> list[dict[str, Any]]:
    """About sixty points of the path, evenly spaced on a logarithmic axis."""
    times = np.unique(np.geomspace(1, iterations, 60).round().astype(int))
    rows = []
    for time in times:
        policy = path[time - 1]
        rows.append(
            {
                "method": name,
                "iterations": int(time),
                **{f"policy_{k + 1}": float(p) for k, p in enumerate(policy)},
                "gap": float(PREFERENCES.gap(policy).upper),
                "distance_to_regularised": None
                if end is None
                else float(np.abs(policy - end).sum()),
            }
        )
    return rows


def _simplex(axis: Any) -> None:
    axis.plot(*np.vstack([CORNERS, CORNERS[:1]]).T, color="#888888", linewidth=0.6)
    for word, corner, across in zip("ABC", CORNERS, (-0.06, 1.06, 0.5), strict=True):
        axis.text(across, corner[1] + (0.03 if word == "C" else -0.03), word, ha="center",
                  va="bottom" if word == "C" else "top", fontsize=7.5)  # fmt: skip
    axis.set(xticks=[], yticks=[], aspect="equal", xlim=(-0.12, 1.12), ylim=(-0.15, 1.02))
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)


def findings(rows: plotting.Rows) -> str:
    """Give the gap of every method at the end, and how near INPO is to where it goes."""
    last = max(row["iterations"] for row in rows)
    ends = [row for row in rows if row["iterations"] == last]
    gaps = ", ".join(f"{row['gap']:.2g} ({row['method']})" for row in ends)
    away = max(row["distance_to_regularised"] or 0.0 for row in ends)
    return (
        f"After {last} policies the gaps are {gaps}; INPO is within {away:.1e} (sum of absolute "
        "differences) of its regularised equilibria."
    )


FIGURE = Figure(
    name="minimax-winner",
    title="Self-play on an intransitive preference",
    caption="A is preferred to B by 0.2, B to C by 0.4, C to A by 0.6: nobody wins against all. "
    "(a) Self-play by hedge (SPO): thin, the policies themselves, which move away from the minimax "
    "winner; thick, their average. (b) The same with optimism. (c) INPO, the same steps with a "
    "pull of weight tau to a reference: the policies go to regularised equilibria (circles), "
    "between winner and reference. (d) Duality gap in the game without a pull: INPO stops at the "
    "price of its pull.",
    source="Swamy et al. (2024); Zhang et al. (2024, INPO)",
    draw=draw,
    settings=SETTINGS,
    cost=3.0,
    findings=findings,
)
