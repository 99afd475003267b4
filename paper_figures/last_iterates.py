"""Do last iterates and sampled regrets approach equilibrium as averages of full passes do?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.games import (
    cfr,
    exploitability,
    load,
    magnetic_mirror_descent,
    mccfr,
    mirror_prox,
    optimistic_mirror_descent,
)
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.paper_figures.cfr_runs import legend
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": 1000, "samples": 30_000, "seeds": 3, "checkpoints": 20},
    "paper": {"iterations": 10_000, "samples": 1_000_000, "seeds": 10, "checkpoints": 40},
}
GAMES = {"Kuhn, 2 players": "kuhn_poker", "Leduc, 2 players": "leduc_poker"}
TEMPERATURE, REFRESH = 0.02, 50
"""Of the magnetic method: how strong the pull is, and iterations between the magnet's moves."""
LINES = {"average": "-", "last iterate": "--"}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return exploitability by iteration of first-order methods and of sampling, on two games."""
    rows: list[dict[str, Any]] = []
    for title, name in GAMES.items():
        game = load(name, form="tree")
        found = [*_full(game, settings), *_sampled(game, settings, seed)]
        rows += [{"game": title, **row} for row in found]
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=5.0)
    for line, title in zip(axes, GAMES, strict=True):
        for axis, kind in zip(line, ("full", "sampled"), strict=True):
            mine = [row for row in rows if row["game"] == title and row["passes"] == kind]
            for index, method in enumerate(dict.fromkeys(row["method"] for row in mine)):
                _curves(axis, [row for row in mine if row["method"] == method], index)
            axis.set(xscale="log", yscale="log", title=title)
            axis.set(ylabel="exploitability (payoff)")
        line[0].set(xlabel="iterations, each a full pass")
        line[1].set(xlabel="iterations, each a sample for every player")
    plotting.letter(axes)
    axes[0, 1].legend(loc="lower left")
    legend(figure, axes[0, 0], loc="outside lower center", ncols=4, columnspacing=1.2)
    return figure, rows


def _full(game: ExtensiveGame, settings: Parameters) -> list[dict[str, Any]]:
    rows = []
    run = {"iterations": settings["iterations"], "checkpoints": settings["checkpoints"]}
    found = {
        "mirror prox": mirror_prox(game, **run),
        "optimistic descent": optimistic_mirror_descent(game, **run),
        "magnetic descent": magnetic_mirror_descent(
            game, temperature=TEMPERATURE, refresh=REFRESH, **run
        ),
    }
    for method, result in found.items():
        for kind, values in (
            ("average", result.exploitability),
            ("last iterate", result.last_exploitability),
        ):
            for t, value in zip(result.iterations, values, strict=True):
                rows.append(_row("full", method, kind, None, int(t), float(value)))
    base = cfr(game, "cfr_plus", **run)
    state = None
    for t, value in zip(base.iterations, base.exploitability, strict=True):
        rows.append(_row("full", "CFR+", "average", None, int(t), float(value)))
        part = cfr(game, "cfr_plus", iterations=int(t), checkpoints=1, state=state)
        state = part.state
        last = exploitability(game, part.current)
        rows.append(_row("full", "CFR+", "last iterate", None, int(t), last))
    return rows


def _sampled(game: ExtensiveGame, settings: Parameters, seed: int) -> list[dict[str, Any]]:
    rows = []
    for sampling in ("external", "outcome"):
        for k in range(settings["seeds"]):
            result = mccfr(
                game,
                sampling,
                iterations=settings["samples"],
                seed=seed * settings["seeds"] + k,
                checkpoints=settings["checkpoints"],
            )
            for t, value in zip(result.iterations, result.exploitability, strict=True):
                method = f"{sampling} sampling"
                rows.append(_row("sampled", method, "average", k, int(t), float(value)))
    return rows


def _row(
    passes: str, method: str, kind: str, seed: int | None, t: int, value: float
) -> dict[str, Any]:
    row: dict[str, Any] = {"passes": passes, "method": method, "profile": kind, "seed": seed}
    return row | {"iterations": t, "exploitability": value}


def _curves(axis: Any, rows: plotting.Rows, index: int) -> None:
    for kind in dict.fromkeys(row["profile"] for row in rows):
        times = np.unique(plotting.column(rows, "iterations", profile=kind))
        found = [plotting.column(rows, "exploitability", profile=kind, iterations=t) for t in times]
        look = plotting.line(index, points=len(times)) | {"linestyle": LINES[kind]}
        if kind == "last iterate":
            look |= {"markerfacecolor": "white"}
        method = rows[0]["method"]
        label = f"{method}, {kind}" if rows[0]["passes"] == "full" else method
        axis.plot(times, [np.median(values) for values in found], label=label, **look)
        if len(found[0]) > 1:
            low, high = [values.min() for values in found], [values.max() for values in found]
            axis.fill_between(times, low, high, color=look["color"], alpha=0.2, linewidth=0)


def findings(rows: plotting.Rows) -> str:
    """Say for each method that makes full passes which of its two profiles ends lower."""
    last = max(row["iterations"] for row in rows if row["passes"] == "full")
    words = []
    for game in dict.fromkeys(row["game"] for row in rows):
        ends = {
            (row["method"], row["profile"]): row["exploitability"]
            for row in rows
            if (row["game"], row["iterations"], row["passes"]) == (game, last, "full")
        }
        better = [
            method
            for method in dict.fromkeys(method for method, _ in ends)
            if ends[method, "last iterate"] < ends[method, "average"]
        ]
        words.append(f"on {game} of {', '.join(better) if better else 'none'}")
    return f"After {last} full passes the last iterate is ahead of the average {'; '.join(words)}."


FIGURE = Figure(
    name="last-iterates",
    title="Last iterates and sampled regrets",
    caption="(a, c) First-order methods with the dilated entropy and their default steps, mirror "
    "prox and optimistic and magnetic mirror descent, and CFR+ with alternating updates: the "
    "average (solid) and the last iterate (dashed, open marks). The magnet moves to current play "
    f"every {REFRESH} iterations. Whether last iterates overtake their averages depends on the "
    "game. (b, d) Monte Carlo CFR, whose iterations see only a part of the tree: average "
    "strategies, medians over seeds, bands from the least to the greatest.",
    source="Nemirovski (2004); Lee, Kroer and Luo (2021); Sokota et al. (2023); Lanctot et al. "
    "(2009)",
    draw=draw,
    settings=SETTINGS,
    cost=6.0,
    findings=findings,
)
