"""On which games does SHOR end lowest of PSRO's meta-solvers, as its paper claims for 8 of 11?"""

from typing import Any

from matplotlib.patches import Rectangle

from rltheory.analysis import plotting
from rltheory.analysis.bounds import Bounds
from rltheory.games.exact.certified import certified_exploitability
from rltheory.games.library import SUITE, load
from rltheory.paper_figures import cfr_runs, psro_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

LARGE = ["Leduc, 3 players", "Goofspiel, 5 cards", "Liar's Dice, 5 sides", "Liar's Dice, 6 sides"]
SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"iterations": [25, 10, 6], "without": LARGE, "histories": 100_000},
    "paper": {"iterations": [100, 30, 12], "without": [], "histories": 100_000},
}
ROLES = ("training", "test", "paper")
SHORS = {"shor": "SHOR", "shor/strategy": "SHOR, regret proper"}
MARKS = {"lowest": ("<", "#9CCBEA"), "even": ("=", "#E4E4E4"), "behind": (">", "#F2B58A")}
MEANINGS = ("below every baseline", "not told apart: rounding", "above the best baseline")
CLAIMED, HORIZON = 8, 100


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return, by game and reading of SHOR, certified exploitabilities and who is ahead."""
    entries = cfr_runs.of_role(*ROLES, without=settings["without"])
    runs = psro_runs.run_all(entries, list(psro_runs.SOLVERS), settings["iterations"])
    rows: list[dict[str, Any]] = []
    for entry in entries:
        mine = [run for run in runs if run.entry is entry]
        game = mine[0].game
        if game.histories <= settings["histories"]:
            # Bounds are tighter where each leaf is one leaf.
            game = load(entry.name, form="tree", **entry.parameters)
        ends = {run.solver: certified_exploitability(game, run.result.strategies) for run in mine}
        iterations = settings["iterations"][game.players - 2]
        about = {"game": entry.title, "role": entry.role, "players": game.players}
        rows += [about | {"iterations": iterations} | _row(name, ends) for name in SHORS]
    return _table(rows), rows


def _row(name: str, ends: dict[str, Bounds]) -> dict[str, Any]:
    """Who is ahead: whose bounds lie below the other's, nobody where they meet."""
    own, rivals = ends[name], [each for each in psro_runs.BASELINES if each in ends]
    best = min(rivals, key=lambda each: float(ends[each].upper))
    verdict = "even"
    if own.upper < min(ends[each].lower for each in rivals):
        verdict = "lowest"
    elif own.lower > ends[best].upper:
        verdict = "behind"
    row: dict[str, Any] = {"reading": name, "best": best, "verdict": verdict}
    for label, end in (("shor", own), ("best", ends[best]), ("pm", ends["pm"])):
        row |= {f"{label}_lower": float(end.lower), f"{label}_upper": float(end.upper)}
    return row


def _table(rows: plotting.Rows) -> Any:
    entries = [entry for entry in SUITE if entry.role in ROLES]
    figure, axis = plotting.panels(width=plotting.PAGE, height=0.55 + 0.2 * (len(entries) + 2))
    axis.set(xlim=(0, 100), ylim=(len(entries) + 0.6, -2.2))
    axis.axis("off")
    heads = (
        (0, "game"),
        (22, "iterations"),
        (34, "best baseline"),
        (58, "SHOR"),
        (72, "SHOR,\nregret proper"),
        (90, "PM (ours)"),
    )
    for x, words in heads:
        axis.text(x, -1.4, words, va="center", weight="bold", fontsize=7.5)
    axis.plot([0, 100], [-0.7, -0.7], color="black", linewidth=0.8)
    for y, entry in enumerate(entries):
        axis.text(0, y, entry.title, va="center", fontsize=7.5)
        _line(axis, y, {row["reading"]: row for row in rows if row["game"] == entry.title})
    end = len(entries) - 0.4
    axis.plot([0, 100], [end, end], color="black", linewidth=0.4)
    signs = (f"{mark} {words}" for (mark, _), words in zip(MARKS.values(), MEANINGS, strict=True))
    axis.text(0, end + 0.6, "   ".join(signs), va="center", fontsize=7.5)
    return figure


def _line(axis: Any, y: int, found: dict[str, Any]) -> None:
    if not found:
        grey = {"va": "center", "fontsize": 7.5, "color": "#777777"}
        axis.text(22, y, "at the paper scale only", **grey)
        return
    row = found["shor"]
    title = psro_runs.SOLVERS[row["best"]].title
    words = f"{title}  {_number(row['best_lower'], row['best_upper'])}"
    axis.text(22, y, str(row["iterations"]), va="center", fontsize=7.5)
    axis.text(34, y, words, va="center", fontsize=7.5)
    axis.text(90, y, _number(row["pm_lower"], row["pm_upper"]), va="center", fontsize=7.5)
    for x, reading in ((58, "shor"), (72, "shor/strategy")):
        row = found[reading]
        axis.text(x, y, _number(row["shor_lower"], row["shor_upper"]), va="center", fontsize=7.5)
        mark, colour = MARKS[row["verdict"]]
        axis.add_patch(Rectangle((x + 8.5, y - 0.42), 2.1, 0.84, color=colour, linewidth=0))
        axis.text(x + 9.55, y, mark, ha="center", va="center", fontsize=7.5)


def _number(lower: float, upper: float) -> str:
    return f"{(lower + upper) / 2:.1e}" if lower > 0 else f"< {upper:.0e}"


def findings(rows: plotting.Rows) -> str:
    """Say for both readings how often SHOR is lowest on the games drawn."""
    games = len({row["game"] for row in rows})
    parts = []
    for reading, words in SHORS.items():
        mine = [row for row in rows if row["reading"] == reading]
        count = {
            verdict: [row["game"] for row in mine if row["verdict"] == verdict] for verdict in MARKS
        }
        where = f" ({', '.join(count['lowest'])})" if count["lowest"] else ""
        parts.append(
            f"{words} ends below every baseline on {len(count['lowest'])}{where}, with the best "
            f"up to rounding on {len(count['even'])}, and above it on {len(count['behind'])}"
        )
    better = sum(
        row["pm_upper"] < min(row["best_lower"], row["shor_lower"])
        for row in rows
        if row["reading"] == "shor"
    )
    return (
        f"The paper claims {CLAIMED} of 11 games; of the {games} drawn here (iterations: "
        f"{psro_runs.horizons(rows)}), {'; '.join(parts)}. PM, which is ours, ends below SHOR and "
        f"the baselines on {better}.{_short(rows)}"
    )


def _short(rows: plotting.Rows) -> str:
    """Warn where runs are shorter than those that the claim is about."""
    short = list(dict.fromkeys(r["game"] for r in rows if r["iterations"] < HORIZON))
    if not short:
        return ""
    return (
        f" The claim is about {HORIZON} iterations, and the order of solvers changes on the way: "
        f"it is not put to the test on {', '.join(short)}."
    )


FIGURE = Figure(
    name="psro-claims",
    title="SHOR's claim, game by game",
    caption="Who ends lowest is decided by certified bounds, rounding included; the baselines are "
    "uniform, Nash, AlphaRank, projected replicator and regret matching. Which three games "
    "complete the paper's eleven is our guess. The quick scale has fewer iterations and small "
    "games only. " + psro_runs.CAPTION,
    source="Li, Schultz, Hennes and Lanctot (2026, version 1)",
    draw=draw,
    settings=SETTINGS,
    cost=15.0,
    findings=findings,
)
