"""Which radius and which temperature leave most of the reward when the world changes?"""

from itertools import product
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import dr_rpo, plan
from rltheory.paper_figures import linear_worlds
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"radii": 10, "temperatures": 9, "episodes": 100, "seeds": 10},
    "paper": {"radii": 19, "temperatures": 17, "episodes": 100, "seeds": 50},
}
PERTURBATIONS = (0.0, 0.5, 1.0)
BONUS = 0.1
WAYS = {"planned": "planned exactly", "learnt": "learnt by DR-RPO"}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return target values over radius and temperature, planned and learnt."""
    radii = np.linspace(0.0, 0.9, settings["radii"])
    temperatures = np.geomspace(0.01, 1.0, settings["temperatures"])
    grid = [(float(r), float(t)) for r, t in product(radii, temperatures)]
    targets = [linear_worlds.target(q) for q in PERTURBATIONS]

    def cell(radius: float, temperature: float) -> FloatArray:
        """Values in the targets (1 + seeds, targets), of the planned policy first."""
        model = linear_worlds.source(radius)
        policies = [plan(model, temperature=temperature).policy]
        for k in range(settings["seeds"]):
            run = dr_rpo(
                model, temperature=temperature, bonus=BONUS, ridge=linear_worlds.RIDGE,
                episodes=settings["episodes"], checkpoints=[],
                seed=np.random.default_rng([seed, k]),
            )  # fmt: skip
            policies.append(run.learnt.policy)
        values = [linear_worlds.start_value(t, policy=p) for p in policies for t in targets]
        return np.reshape(values, (-1, len(targets)))

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(cell)(*point) for point in grid)
    rows = [
        {
            "radius": radius,
            "temperature": temperature,
            "perturbation": q,
            "planned": float(values[0, k]),
            "learnt": float(values[1:, k].mean()),
            "spread": float(values[1:, k].std()),
        }
        for (radius, temperature), values in zip(grid, found, strict=True)
        for k, q in enumerate(PERTURBATIONS)
    ]
    figure, axes = plotting.panels(2, len(PERTURBATIONS), width=plotting.PAGE, height=4.4)
    for column, q in enumerate(PERTURBATIONS):
        shown = np.concatenate([plotting.column(rows, way, perturbation=q) for way in WAYS])
        for row, way in enumerate(WAYS):
            axis = axes[row, column]
            image = _paint(axis, rows, way, q, (shown.min(), shown.max()))
            axis.set_title(f"$q = {q:g}$, {WAYS[way]}")
            if row:
                axis.set_xlabel(r"radius $\rho$")
            if not column:
                axis.set_ylabel(r"temperature $\eta$")
        figure.colorbar(image, ax=axes[:, column], location="bottom", label="reward in the target")
    plotting.letter(axes)
    return figure, rows


def _paint(axis: Any, rows: plotting.Rows, way: str, q: float, limits: tuple[float, float]) -> Any:
    radii, temperatures = (
        np.unique(plotting.column(rows, name)) for name in ("radius", "temperature")
    )
    values = plotting.column(rows, way, perturbation=q).reshape(len(radii), len(temperatures)).T
    image = axis.pcolormesh(
        radii, temperatures, values, cmap=plotting.MAP, shading="nearest",
        vmin=limits[0], vmax=limits[1], rasterized=True,
    )  # fmt: skip
    at = np.unravel_index(int(values.argmax()), values.shape)
    axis.plot(radii[at[1]], temperatures[at[0]], "*", color="white", markersize=9, mec="black")
    axis.set(yscale="log")
    axis.grid(False)
    return image


def findings(rows: plotting.Rows) -> str:
    """Say which cell is best in each world, and what learning loses to planning."""
    words = []
    for q in PERTURBATIONS:
        here = [row for row in rows if row["perturbation"] == q]
        planned, learnt = (max(here, key=lambda row: row[way]) for way in WAYS)
        words.append(
            f"at q = {q:g} the best planned policy has radius {planned['radius']:.1f} and "
            f"temperature {planned['temperature']:.2g} and earns {planned['planned']:.3f}, the "
            f"best learnt ones {learnt['radius']:.1f}, {learnt['temperature']:.2g} and "
            f"{learnt['learnt']:.3f}"
        )
    apart = np.abs(plotting.column(rows, "planned") - plotting.column(rows, "learnt"))
    heats = plotting.column(rows, "temperature")
    warm, chill = apart[heats >= 0.1], apart[heats == heats.min()]
    return (
        f"Here, {'; '.join(words)}. Learnt policies differ from planned ones in this by "
        f"{warm.mean():.3f} on average at temperatures of 0.1 and more, by {chill.mean():.3f} "
        f"at {heats.min():.2g}."
    )


FIGURE = Figure(
    name="radius-temperature",
    title="Radius and temperature together",
    caption="The off-dynamics MDP with actions that weigh as much as they may. Policies are made "
    "in the source world, against total variation of this radius on the paying factor and with "
    "this temperature towards the uniform policy; then they earn the exact expected reward in "
    "a target world in which the paying factor fails with probability q. Above: planned with the "
    "model; below: learnt from episodes, the mean over seeds. Colours are shared within a column, "
    "stars mark the best cell. A radius pays where the world gets worse, and costs where it does "
    "not; a temperature blurs the choice between both.",
    source="Liu and Xu (2024), section 7, for the worlds; Gu, He, Liu and Xu (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
