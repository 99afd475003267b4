"""Runs of PSRO's meta-solvers on the games of the suite, for the figures that compare them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from matplotlib.ticker import LogLocator, NullLocator

from rltheory.analysis import plotting
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.library import SUITE, SuiteGame
from rltheory.games.oracles.meta_solvers import MetaSolver
from rltheory.games.oracles.psro import PSROResult, psro
from rltheory.games.oracles.shor import Shor
from rltheory.paper_figures import cfr_runs


class Solver(NamedTuple):
    """A meta-solver of the figures: in words, for training, and for evaluation where it differs."""

    title: str
    training: str | MetaSolver
    evaluation: MetaSolver | None = None


SOLVERS = {
    "uniform": Solver("uniform", "uniform"),
    "nash": Solver("Nash", "nash"),
    "alpha_rank": Solver("AlphaRank", "alpha_rank"),
    "prd": Solver("projected replicator", "prd"),
    "regret_matching": Solver("regret matching", "regret_matching"),
    "shor": Solver("SHOR", "shor"),
    "shor/strategy": Solver(
        "SHOR, regret proper",
        Shor(baseline="strategy"),
        replace(Shor.evaluation(), baseline="strategy"),
    ),
    "pm": Solver("PM (ours)", "pm"),
}
"""SHOR comes in both readings of what its gains are measured from: the mean of the payoffs, as in
the listing, and what the strategy earns."""

BASELINES = ("uniform", "nash", "alpha_rank", "prd", "regret_matching")

LEAST = 1e-16
"""What is smaller is drawn at this height: only rounding has a say there."""
_LOOKS = dict(zip(SOLVERS, (7, 5, 3, 2, 0, 1, 4, 6), strict=True))

CAPTION = (
    "Exploitability in the whole game (NashConv divided by the number of players) of the "
    "evaluation meta-strategy; payoffs and best responses are exact, a best response shares "
    "equally between the best actions of a set, and each player starts with one uniform policy. "
    "SHOR is the listing, whose gains are measured from the mean of the payoffs; in regret proper "
    "they are measured from what the strategy earns. PM is our reconstruction of a solver whose "
    "text was not available. Nash needs two players and zero-sum payoffs."
)
"""What all figures of PSRO have to say."""


class Run(NamedTuple):
    """A meta-solver's run on a game: its name in `SOLVERS`, and the game with how it went."""

    solver: str
    entry: SuiteGame
    game: ExtensiveGame
    result: PSROResult


def run_all(
    entries: Iterable[SuiteGame], solvers: Sequence[str], iterations: Sequence[int]
) -> list[Run]:
    """Run every meta-solver that fits on every game; games in order, then solvers.

    iterations: for two, three and four players. The work is shared out in threads, as most of it
    is in compiled code; the results do not depend on how many there are.
    """
    tasks = [
        (name, entry)
        for entry in sorted(entries, key=lambda entry: -cfr_runs.build(entry.title).slots)
        for name in solvers
        if name != "nash" or _zero_sum_pair(cfr_runs.build(entry.title))
    ]

    def one(name: str, entry: SuiteGame) -> Run:
        game, solver = cfr_runs.build(entry.title), SOLVERS[name]
        result = psro(
            game,
            solver.training,
            evaluation=solver.evaluation,
            iterations=iterations[game.players - 2],
        )
        return Run(name, entry, game, result)

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    place = {entry.title: at for at, entry in enumerate(SUITE)}
    return sorted(found, key=lambda run: place[run.entry.title])


def curves(runs: Iterable[Run]) -> list[dict[str, Any]]:
    """Rows of exploitability by iteration."""
    return [
        {
            "game": run.entry.title,
            "players": run.game.players,
            "solver": run.solver,
            "iterations": t,
            "exploitability": float(value),
            "training": float(run.result.training_exploitability[t]),
            "restricted_gap": float(run.result.restricted_gap[t]),
        }
        for run in runs
        for t, value in enumerate(run.result.exploitability)
    ]


def paint(axis: Any, rows: plotting.Rows, entry: SuiteGame) -> None:
    """Draw the curves of a game."""
    low, high = 1.0, 1.0
    for name, solver in SOLVERS.items():
        y = plotting.column(rows, "exploitability", game=entry.title, solver=name)
        if not len(y):
            continue
        y = np.maximum(y, LEAST)
        low, high = min(low, y.min()), max(high, y.max())
        ours = name.startswith("shor")
        look = plotting.line(_LOOKS[name], points=len(y)) | {"markersize": 3.0}
        look |= {"linewidth": 1.5, "zorder": 3} if ours else {"linewidth": 0.9}
        axis.plot(np.arange(len(y)), y, label=solver.title, **look)
    axis.set(title=entry.title, yscale="log", xlim=(0, None))
    # Whole decades, so that at least two of them are labelled.
    axis.set_ylim(10 ** np.floor(np.log10(low)) / 2, 2 * 10 ** np.ceil(np.log10(high)))
    axis.yaxis.set_major_locator(LogLocator(numticks=6))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.xaxis.get_major_locator().set_params(integer=True)


def horizons(rows: plotting.Rows) -> str:
    """How many iterations the runs of these rows had, in words."""
    words = {2: "two", 3: "three", 4: "four"}
    parts = []
    for players in sorted({int(row["players"]) for row in rows}):
        count = max(row["iterations"] for row in rows if row["players"] == players)
        parts.append(f"{count} with {words[players]} players")
    return " and ".join(parts)


def _zero_sum_pair(game: ExtensiveGame) -> bool:
    return game.players == 2 and game.zero_sum
