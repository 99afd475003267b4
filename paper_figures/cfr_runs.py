"""Runs of the CFR family on the games of the suite, for the figures that compare them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from matplotlib.ticker import LogLocator, NullLocator

from rltheory.analysis import plotting
from rltheory.analysis.arrays import read_only
from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.library import SUITE, SuiteGame
from rltheory.games.regret.cfr import CFRResult, cfr
from rltheory.games.regret.cfr_run import CFRState, initial_state
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import VARIANTS, vad_cfr
from rltheory.paper_figures.registry import Parameters

WARM_UP = 500
"""Iterations before VAD-CFR begins to average."""
NINE = (
    "cfr", "cfr_plus", "lcfr", "dcfr", "pcfr_plus", "pdcfr_plus", "hs_pcfr_plus", "aod_cfr",
    "vad_cfr",
)  # fmt: skip
"""What the curves compare: seven baselines, then the two algorithms found by search."""
LIMIT = 20_000
LARGE = (
    "Leduc, 3 players", "Liar's Dice, 6 sides", "Liar's Dice, 3 players", "Liar's Dice, 2 dice",
)  # fmt: skip
"""The games with more than `LIMIT` actions at information sets, which quick figures leave out."""
READINGS = {"shared": "one average for all sets", "per_infoset": "one average per set"}
"""The two readings of VAD-CFR's volatility state, in words."""

_LOOKS = dict(zip(NINE, (7, 5, 4, 2, 0, 3, 8, 1, 6), strict=True))
LEAST = 1e-15
"""What is smaller is drawn at this height: only rounding has a say there."""
CAPTION = (
    "Exploitability (NashConv divided by the number of players) of the average profile, players "
    "updated in turn. The nine are CFR, CFR+, Linear CFR, DCFR, PCFR+, PDCFR+ (also called "
    "DPCFR+), HS-PCFR+(30), and the two found by search over programs, AOD-CFR and VAD-CFR (solid "
    "and bold); DCFR+ and HS-DCFR(30) are in the table of claims. VAD-CFR, here with one "
    "volatility average that runs through all sets, begins to average after "
    f"{WARM_UP} iterations: until then its current profile is shown, dotted. Values below "
    f"{LEAST:g} are drawn there. Where regrets tie, a rounding decides which way play goes: the "
    "table of claims shows how far the ends move."
)
"""What all figures of convergence have to say."""


class Run(NamedTuple):
    """A variant's run on a game: the algorithm's name, the number of the start, how it went."""

    algorithm: str
    entry: SuiteGame
    start: int
    result: CFRResult


@cache
def build(entry_title: str) -> ExtensiveGame:
    """Return a game of the suite by its title, built once."""
    (entry,) = (entry for entry in SUITE if entry.title == entry_title)
    return entry.load()


def of_role(*roles: str, without: Sequence[str] = ()) -> list[SuiteGame]:
    """The games of the suite in these roles, but for the titles in `without`."""
    return [entry for entry in SUITE if entry.role in roles and entry.title not in without]


def variant(name: str) -> Variant:
    """A variant by name; "vad_cfr" may be followed by a reading, as in "vad_cfr/per_infoset"."""
    if name.startswith("vad_cfr"):
        return vad_cfr(volatility=[*name.split("/"), "shared"][1], warm_up=WARM_UP)
    return VARIANTS[name]()


def run_all(
    entries: Iterable[SuiteGame],
    variants: Mapping[str, Variant],
    *,
    iterations: int,
    checkpoints: int | Sequence[int] = 1,
    starts: int = 1,
    seed: int = 0,
) -> list[Run]:
    """Run every variant from every start on every game, with alternating updates.

    In the order of the games in the suite. The work is shared out in threads, dear games first,
    since compiled code does not hold the lock; results do not depend on how many there are.
    """
    order = sorted(entries, key=lambda entry: -build(entry.title).slots)
    tasks = [(name, entry, k) for entry in order for name in variants for k in range(starts)]

    def one(name: str, entry: SuiteGame, k: int) -> Run:
        game = build(entry.title)
        begin = start(game, k, seed)
        result = cfr(
            game, variants[name], iterations=iterations, checkpoints=checkpoints, state=begin
        )
        return Run(name, entry, k, result)

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    place = {entry.title: at for at, entry in enumerate(SUITE)}
    return sorted(found, key=lambda run: place[run.entry.title])


def start(game: ExtensiveGame, number: int, seed: int) -> CFRState:
    """Start 0 plays uniformly; the others do so up to a relative 2^-50, a few roundings.

    Where regrets tie, a rounding decides which way play goes, so how far the ends of these runs lie
    apart says how much of a difference between two algorithms is chance.
    """
    begin = initial_state(game)
    if number == 0:
        return begin
    noise = np.random.default_rng([seed, number]).uniform(-1.0, 1.0, game.slots)
    return replace(begin, strategies=read_only(begin.strategies * (1.0 + 2.0**-50 * noise)))


def curves(entries: Iterable[SuiteGame], settings: Parameters) -> list[dict[str, Any]]:
    """Rows of exploitability by iteration, for the nine algorithms on each game."""
    iterations, count = settings["iterations"], settings["checkpoints"]
    marks = sorted({round(k * iterations / count) for k in range(1, count + 1)} - {0})
    variants = {name: variant(name) for name in NINE}
    runs = run_all(entries, variants, iterations=iterations, checkpoints=marks)
    return [
        {
            "game": run.entry.title,
            "players": build(run.entry.title).players,
            "algorithm": run.algorithm,
            "iterations": int(t),
            "exploitability": float(value),
            "profile": "current" if waits(run.algorithm, int(t)) else "average",
        }
        for run in runs
        for t, value in zip(run.result.iterations, run.result.exploitability, strict=True)
    ]


def waits(algorithm: str, iteration: int) -> bool:
    """Whether an algorithm has not begun to average, so that its current profile stands in."""
    return algorithm.startswith("vad_cfr") and iteration <= WARM_UP


def four_panels(role: str, settings: Parameters) -> tuple[Any, list[dict[str, Any]]]:
    """Return the curves of the nine algorithms on the four games of a role, and their rows."""
    rows = curves(of_role(role, without=settings["without"]), settings)
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=5.0)
    for axis, entry in zip(axes.flat, of_role(role), strict=True):
        paint(axis, rows, entry)
        axis.set(xlabel="iterations", ylabel="exploitability (payoff)")
    plotting.letter(axes)
    legend(figure, axes[0, 0], loc="outside lower center", ncols=4)
    return figure, rows


def paint(axis: Any, rows: plotting.Rows, entry: SuiteGame) -> None:
    """Draw the curves of a game, or say why there are none."""
    axis.set(title=entry.title)
    if not any(row["game"] == entry.title for row in rows):
        words = f"more than\n{LIMIT:,} actions:\nat the paper\nscale only"
        centre = {"ha": "center", "va": "center", "transform": axis.transAxes}
        axis.text(0.5, 0.5, words, fontsize=7, color="#555555", **centre)
        axis.set_axis_off()
        return
    for algorithm in NINE:
        where = {"game": entry.title, "algorithm": algorithm}
        t, y, profile = (
            plotting.column(rows, name, **where)
            for name in ("iterations", "exploitability", "profile")
        )
        y = np.maximum(y, LEAST)
        look = look_of(algorithm, len(t))
        label = VARIANTS[algorithm]().title
        waiting = int(np.sum(profile == "current"))
        axis.plot(t[waiting:], y[waiting:], label=label, **look)
        if waiting:
            # Up to the first average, so that the two parts of the curve meet.
            faint = {**look, "color": "#8A8A8A", "linestyle": (0, (1, 1)), "marker": ""}
            label = f"{label}, current profile"
            axis.plot(t[: waiting + 1], y[: waiting + 1], label=label, **faint)
    low, high = axis.dataLim.intervaly
    # Whole decades, so that at least two of them are labelled.
    axis.set(
        yscale="log", ylim=(10 ** np.floor(np.log10(low)) / 2, 2 * 10 ** np.ceil(np.log10(high)))
    )
    axis.set_xlim(0, None)
    axis.yaxis.set_major_locator(LogLocator(numticks=6))
    axis.yaxis.set_minor_locator(NullLocator())


def look_of(algorithm: str, points: int) -> dict[str, Any]:
    """How an algorithm's curve looks in every figure: solid and bold if found by search."""
    look = plotting.line(_LOOKS[algorithm], points=points) | {"markersize": 3.0}
    if algorithm in ("aod_cfr", "vad_cfr"):
        return look | {"linewidth": 1.5, "linestyle": "-", "zorder": 3}
    return look | {"linewidth": 0.9}


def legend(figure: Any, axis: Any, **place: Any) -> None:
    """One legend for all panels, from the curves of one of them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, **place)


def findings(rows: plotting.Rows) -> str:
    """Say in words who ends lowest on which game, and how VAD-CFR does against the baselines."""
    last = max(row["iterations"] for row in rows)
    games = list(dict.fromkeys(row["game"] for row in rows))
    lowest: dict[str, list[str]] = {}
    better = 0
    for game in games:
        end = {
            row["algorithm"]: row["exploitability"]
            for row in rows
            if row["game"] == game and row["iterations"] == last
        }
        first = min(end, key=lambda name: end[name])
        lowest.setdefault(VARIANTS[first]().title, []).append(game)
        baselines = [value for name, value in end.items() if name not in ("aod_cfr", "vad_cfr")]
        better += end["vad_cfr"] < min(baselines)
    wins = ", ".join(f"{name} on {len(found)}" for name, found in lowest.items())
    return (
        f"Lowest of all after {last} iterations on these {len(games)} games, rounding included: "
        f"{wins}. VAD-CFR ends below all seven baselines on {better}; the table of claims says "
        "where differences are more than rounding."
    )
