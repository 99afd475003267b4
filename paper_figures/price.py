"""What does robustness cost if the model is right, and what does it save if it is not?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.cliff import cliff
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import (
    DiscountedMDP,
    evaluate_policy,
    robust_evaluate_policy,
    robust_value_iteration,
    value_iteration,
)
from rltheory.tabular.generators import river_swim
from rltheory.tabular.uncertainty import TotalVariation

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"cliff_discount": 0.9, "river_discount": 0.95, "largest": 0.25, "radii": 26},
    "paper": {"cliff_discount": 0.9, "river_discount": 0.95, "largest": 0.25, "radii": 126},
}
CURVES = {
    ("nominal policy", "nominal model"): (0, "nominal policy, nominal model"),
    ("robust policy", "nominal model"): (1, "robust policy, nominal model"),
    ("robust policy", "worst case"): (2, "robust policy, worst case"),
    ("nominal policy", "worst case"): (3, "nominal policy, worst case"),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the values of both policies under both models; nothing is random."""
    mdps = {
        "cliff walk": cliff(discount=settings["cliff_discount"]),
        "river swim": river_swim(small=0.05, discount=settings["river_discount"]),
    }
    radii = np.linspace(0.0, settings["largest"], settings["radii"])
    rows = [
        {"mdp": name, "radius": float(radius), "policy": policy, "model": model, "value": value}
        for name, mdp in mdps.items()
        for nominal in [value_iteration(mdp).policy]
        for radius in radii
        for (policy, model), value in _values(mdp, nominal, float(radius)).items()
    ]
    figure, axes = plotting.panels(1, 2, width=plotting.PAGE, height=2.9)
    for axis, name in zip(axes, mdps, strict=True):
        curves = {
            key: plotting.column(rows, "value", mdp=name, policy=key[0], model=key[1])
            for key in CURVES
        }
        for key, (index, label) in CURVES.items():
            axis.plot(radii, curves[key], label=label, **plotting.line(index, points=len(radii)))
        for model, colour in (("nominal model", 1), ("worst case", 2)):
            pair = [curves["nominal policy", model], curves["robust policy", model]]
            axis.fill_between(radii, *pair, color=plotting.COLOURS[colour], alpha=0.15, lw=0)
        axis.set(xlabel=r"total-variation radius $\rho$", title=name)
    axes[0].set_ylabel("value at the start")
    plotting.letter(axes)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure, rows


def _values(mdp: DiscountedMDP, nominal: FloatArray, radius: float) -> dict[tuple[str, str], float]:
    adversary = TotalVariation(radius, support="nominal")
    robust = robust_value_iteration(mdp, adversary).policy
    return {
        (name, model): float(mdp.initial @ values)
        for name, policy in (("nominal policy", nominal), ("robust policy", robust))
        for model, values in (
            ("nominal model", evaluate_policy(mdp, policy).values),
            ("worst case", robust_evaluate_policy(mdp, policy, adversary).values),
        )
    }


FIGURE = Figure(
    name="price",
    title="The price of robustness",
    caption="The optimal nominal policy and the optimal robust policy of each radius, each valued "
    "under the nominal model and in the worst case of that radius. The upper shaded area is the "
    "price of robustness, what the robust policy gives up if the model is right; the lower one is "
    "what it saves if the adversary is real. Mass moves among the nominal outcomes only. Steps "
    "are radii at which the robust policy changes: on the cliff to a longer way round, on the "
    "river to giving up the far reward.",
    source="Xu and Mannor (2006); Iyengar (2005)",
    draw=draw,
    settings=SETTINGS,
)
