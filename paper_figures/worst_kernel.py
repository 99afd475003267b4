"""What does the adversary do to a grid, and what does the robust policy do about it?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.paper_figures.cliff import LAYOUT, cliff, kinds, places
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import evaluate_policy, robust_value_iteration, value_iteration
from rltheory.tabular.generators import MOVES
from rltheory.tabular.uncertainty import TotalVariation

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"slip": 0.02, "discount": 0.9, "radius": 0.1},
    "paper": {"slip": 0.02, "discount": 0.9, "radius": 0.1},
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return values and policies of both models, and the adversary's push; nothing is random."""
    mdp = cliff(slip=settings["slip"], discount=settings["discount"])
    nominal = value_iteration(mdp)
    robust = robust_value_iteration(mdp, TotalVariation(settings["radius"], support="nominal"))
    taken = np.arange(mdp.states) * mdp.actions + robust.actions
    unharmed = evaluate_policy(mdp, robust.policy).values
    change = (robust.worst_kernel - mdp.transitions)[taken].toarray()
    rows = [
        {
            "row": int(row),
            "column": int(column),
            "cell": str(kind),
            "nominal_value": nominal.values[s],
            "nominal_action": int(nominal.actions[s]),
            "robust_value": robust.values[s],
            "robust_action": int(robust.actions[s]),
            "loss": unharmed[s] - robust.values[s],
            "push_down": change[s] @ places()[:, 0],
            "push_right": change[s] @ places()[:, 1],
        }
        for s, ((row, column), kind) in enumerate(zip(places(), kinds(), strict=True))
    ]
    figure, axes = plotting.panels(3, 1, width=plotting.COLUMN, height=5.4)
    images = []
    for axis, kind in zip(axes, ("nominal", "robust"), strict=False):
        images.append(_heat(axis, rows, f"{kind}_value"))
        steps = np.array(MOVES)[plotting.column(rows, f"{kind}_action")]
        _arrows(axis, rows, 0.5 * steps[:, 1], 0.5 * steps[:, 0])
    loss = _heat(axes[2], rows, "loss")
    push = [plotting.column(rows, f"push_{way}") for way in ("right", "down")]
    _arrows(axes[2], rows, *(0.5 * p / settings["radius"] for p in push))
    axes[0].set_title("nominal value and policy")
    axes[1].set_title("robust value and policy")
    axes[2].set_title("the adversary's push against the robust policy")
    for axis, image in zip(axes, [*images, loss], strict=True):
        label = "value lost" if image is loss else "value"
        figure.colorbar(image, ax=axis, label=label, aspect=15)
    plotting.letter(axes)
    return figure, rows


def _heat(axis: Any, rows: plotting.Rows, name: str) -> Any:
    grid = np.full((len(LAYOUT), len(LAYOUT[0])), np.nan)
    shown = kinds() != "P"
    grid[tuple(places()[shown].T)] = plotting.column(rows, name)[shown]
    axis.grid(False)
    axis.set(xticks=[], yticks=[], facecolor="#3A3A3A")
    for spine in axis.spines.values():
        spine.set_visible(False)
    for row in rows:
        if row["cell"] in "SGP":
            text = {"S": "start", "G": "goal", "P": "pit"}[row["cell"]]
            place = (row["column"], row["row"] + (0.4 if text == "start" else 0))
            size = 5.5 if text == "start" else 7.5
            colour = "black" if text == "goal" and name != "loss" else "white"
            axis.text(*place, text, color=colour, size=size, ha="center", va="center")
    # Both value panels share one scale.
    top = None if name == "loss" else 1.0
    return axis.imshow(grid, cmap=plotting.MAP, vmin=0.0, vmax=top)


def _arrows(axis: Any, rows: plotting.Rows, right: Any, down: Any) -> None:
    free = np.array([row["cell"] not in "GP" for row in rows]) & (np.hypot(right, down) > 1e-9)
    y, x = places()[free].T
    axis.quiver(
        x,
        y,
        right[free],
        down[free],
        angles="xy",
        scale_units="xy",
        scale=1,
        pivot="mid",
        color="white",
        edgecolor="black",
        linewidth=0.4,
        width=0.009,
    )


FIGURE = Figure(
    name="worst-kernel",
    title="Worst-case kernel on a gridworld",
    caption="A walk from the lower left to the goal along a row of pits, with a small chance of "
    "slipping to either side of the chosen move. (a) The nominal optimal policy hugs the "
    "edge. (b) Against an adversary who may move a tenth of the mass of every step among its "
    "nominal outcomes, the robust policy first climbs and walks at a distance. (c) Arrows show "
    "the mean displacement that the adversary adds to each step of the robust policy, colours what "
    "it costs that policy in value. The value of a cell is the discounted probability of reaching "
    "the goal.",
    source="Iyengar (2005), section 3",
    draw=draw,
    settings=SETTINGS,
)
