"""How large are the games of the suite, and what does the factored form save?"""

from typing import Any

from matplotlib.patches import Rectangle

from rltheory.analysis import plotting
from rltheory.games.library import SUITE, sizes
from rltheory.paper_figures import cfr_runs
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {"quick": {}, "paper": {}}
COLUMNS = {
    "game": 0,
    "players": 34,
    "histories": 46,
    "leaves": 58,
    "information sets": 71,
    "sequences": 84,
    "numbers kept": 99,
}
"""Where columns begin (the first) or end."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the sizes of the 18 games as a table."""
    rows: list[dict[str, Any]] = []
    for entry in SUITE:
        game = cfr_runs.build(entry.title)
        size = sizes(game, entry.title)
        rows.append(
            {
                "game": entry.title,
                "role": entry.role,
                "form": "factored" if game.tree is None else "tree",
                "players": size.players,
                "histories": size.histories,
                "leaves": size.leaves,
                "information sets": size.infosets,
                "sequences": sum(size.sequences),
                "sequences by player": " ".join(str(count) for count in size.sequences),
                "numbers kept": sum(int(array.size) for array in game.form),
            }
        )
    figure, axis = plotting.panels(width=plotting.PAGE, height=0.19 * (len(rows) + 3))
    axis.set(xlim=(0, 100), ylim=(len(rows) + 0.6, -1.6))
    axis.set_axis_off()
    largest = max(row["histories"] for row in rows)
    for name, x in COLUMNS.items():
        side = "left" if x == 0 else "right"
        axis.text(x, -1, name, ha=side, va="center", weight="bold", fontsize=7.5)
        for y, row in enumerate(rows):
            words = f"{row[name]:,}" if x else f"{row[name]}{'*' if row['form'] == 'tree' else ''}"
            axis.text(x, y, words, ha=side, va="center", fontsize=7)
    # Bars on a logarithmic scale behind the histories make the range visible.
    for y, row in enumerate(rows):
        share = len(str(row["histories"])) / len(str(largest))
        axis.add_patch(Rectangle((46 - 9 * share, y - 0.4), 9 * share, 0.8, color="#DCEBF5"))
    axis.plot([0, 100], [-0.5, -0.5], color="black", linewidth=0.6)
    return figure, rows


def findings(rows: plotting.Rows) -> str:
    """Say how far the sizes range, and where the factored form saves most."""
    small, large = (end(rows, key=lambda row: row["histories"]) for end in (min, max))
    saved = max(
        (row for row in rows if row["form"] == "factored"),
        key=lambda row: row["histories"] / row["numbers kept"],
    )
    return (
        f"From {small['histories']:,} histories ({small['game']}) to {large['histories']:,} "
        f"({large['game']}). Factored, {saved['game']} keeps {saved['numbers kept']:,} numbers for "
        f"{saved['histories']:,} histories."
    )


FIGURE = Figure(
    name="game-sizes",
    title="The games of the suite",
    caption="Sizes of the 18 games: nodes of the tree (shaded by their number of digits), leaves, "
    "information sets and sequences of all players, and how many numbers the form that solvers "
    "run on keeps, indices included. Games with a star are built as trees, whose leaves are listed "
    "once for each player; the others in factored form, a public tree times private hands, where "
    "a table of payoffs serves all deals.",
    source="Zinkevich et al. (2007) for the counts that matter; von Stengel (1996) for sequences",
    draw=draw,
    settings=SETTINGS,
    cost=3.0,
    findings=findings,
)
