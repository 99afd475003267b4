"""Which learning rules reach equilibrium by their last iterate, and which only by the average?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.learning import Trajectory, learn
from rltheory.games.normal_form.matrix_classics import MATRIX_GAMES
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "step": 0.1},
    "paper": {"iterations": 5000, "step": 0.1},
}
GAMES: dict[str, tuple[str, list[tuple[float, ...]], tuple[float, ...]]] = {
    "matching_pennies": ("matching pennies", [(0.75, 0.25), (0.65, 0.35)], (0.5, 0.5)),
    "rock_paper_scissors": ("rock paper scissors", [(0.6, 0.25, 0.15), (0.2, 0.6, 0.2)], (1, 1, 1)),
    "biased_rock_paper_scissors": (
        "rock paper scissors, biased",
        [(0.6, 0.25, 0.15), (0.2, 0.6, 0.2)],
        (1, 3, 1),
    ),
}
"""Title, where both players start, and the equilibrium strategy of each up to a factor."""
PULL, REFRESH = 1.0, 100
"""Of the magnet: a step of 0.1 contracts, as it is at most PULL / 3^2, 3 the largest payoff."""
SHOWN = 300
"""Iterations whose strategies are drawn; averages and the last strategy are those of all."""
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])


def rules(step: float) -> dict[str, dynamics.Dynamics]:
    """The rules compared, by title."""
    return {
        "regret matching": dynamics.regret_matching(),
        "regret matching+": dynamics.regret_matching_plus(),
        "predictive RM+": dynamics.predictive_regret_matching_plus(),
        "hedge": dynamics.hedge(step),
        "optimistic hedge": dynamics.optimistic_hedge(step),
        "optimistic gradient": dynamics.optimistic_gradient(step),
        "magnetic mirror descent": dynamics.magnetic_mirror_descent(step, PULL, refresh=REFRESH),
    }


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the path of the first player's strategy and of its average, by rule and game."""
    found = rules(settings["step"])
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(
        len(GAMES), len(found), width=plotting.PAGE, height=3.6, squeeze=False
    )
    for axis, rule in zip(axes[0], found, strict=True):
        axis.set_title(rule.replace(" ", "\n", 1), fontsize=7.5)
    for line, (name, (title, start, equilibrium)) in zip(axes, GAMES.items(), strict=True):
        goal = np.array(equilibrium) / sum(equilibrium)
        for axis, (rule, learner) in zip(line, found.items(), strict=True):
            result = learn(
                MATRIX_GAMES[name](),
                learner,
                iterations=settings["iterations"],
                start=start,
                every=1,
            )
            assert result.trajectory is not None
            rows += _rows(title, rule, result.trajectory)
            _panel(axis, result.trajectory, goal)
        words = title.replace(" scissors", "\nscissors").replace("matching ", "matching\n")
        line[0].set_ylabel(words, fontsize=7.5)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure, rows


def _rows(game: str, rule: str, path: Trajectory) -> list[dict[str, Any]]:
    """About forty points of the path, evenly spaced on a logarithmic axis."""
    marks = np.unique(np.geomspace(1, len(path.times), 40).round().astype(int)) - 1
    rows = []
    for k in marks:
        row: dict[str, Any] = {"game": game, "rule": rule, "iterations": int(path.times[k])}
        for kind in ("current", "average"):
            for player, strategies in enumerate(getattr(path, kind)):
                padded = [*strategies[k], *[None] * (3 - strategies.shape[1])]
                row |= {f"{kind}_{player + 1}_{a + 1}": p for a, p in enumerate(padded)}
            row[f"{kind}_exploitability"] = float(getattr(path, f"{kind}_exploitability")[k])
        rows.append(row)
    return rows


def _panel(axis: Any, path: Trajectory, goal: Any) -> None:
    """The path in the square of both players' first actions, or on the first one's simplex."""
    last, mean = (_plane(profile) for profile in (path.current, path.average))
    square = len(goal) == 2
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) if square else CORNERS
    axis.plot(*np.vstack([corners, corners[:1]]).T, color="#888888", linewidth=0.6)
    axis.plot(
        *last[:SHOWN].T, color=plotting.COLOURS[5], linewidth=0.5, label=f"first {SHOWN} strategies"
    )
    axis.plot(*mean.T, color=plotting.COLOURS[1], linewidth=1.1, label="average")
    at = goal if square else goal @ CORNERS
    marks = {"linestyle": "none", "color": "black", "zorder": 4}
    axis.plot(*last[0], marker="s", markersize=3, label="start", **marks)
    axis.plot(*last[-1], marker="o", markersize=3.5, markerfacecolor="white", label="last", **marks)
    axis.plot(*at, marker="+", markersize=7, label="equilibrium", **marks)
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)


def _plane(profile: Any) -> Any:
    first = profile[0]
    if first.shape[1] == 2:
        return np.column_stack([first[:, 0], profile[1][:, 0]])
    return first @ CORNERS


def findings(rows: plotting.Rows) -> str:
    """Say which rules' last iterates, and which averages, end close to equilibrium."""
    last = max(row["iterations"] for row in rows)
    ends = [row for row in rows if row["iterations"] == last]
    words = []
    for kind, name in (("current", "last iterates"), ("average", "averages")):
        good = [
            rule
            for rule in dict.fromkeys(row["rule"] for row in ends)
            if all(row[f"{kind}_exploitability"] < CLOSE for row in ends if row["rule"] == rule)
        ]
        words.append(f"the {name} of {', '.join(good) if good else 'no rule'}")
    return (
        f"After {last} iterations, exploitability is below {CLOSE:g} on all three games for "
        f"{' and for '.join(words)}."
    )


CLOSE = 0.02

FIGURE = Figure(
    name="simplex-trajectories",
    title="Average against last iterate in matrix games",
    caption="Simultaneous play from the square mark. For matching pennies the axes are both "
    "players' probabilities of heads; for rock paper scissors the first player's strategy is shown "
    "on the simplex, rock left, paper right, scissors on top. Regret matching, its plus and its "
    "predictive form, and hedge keep moving, some out to the border, while their averages come in; "
    "with optimism, hedge and gradient steps spiral in themselves. Magnetic mirror descent goes "
    f"straight to a point between equilibrium and magnet; here the magnet, at first the start, "
    f"moves there every {REFRESH} iterations, which leads to Nash.",
    source="Freund and Schapire (1999); Farina, Kroer and Sandholm (2021); Sokota et al. (2023)",
    draw=draw,
    settings=SETTINGS,
    cost=4.0,
    findings=findings,
)
