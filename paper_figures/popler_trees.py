"""Given its sunflower, how near does POPLER come to trees, and when does it beat A^H?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.paper_figures.samples_by_access import LEARNERS, estimate
from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.agnostic.cores import layer_core
from rltheory.tabular.agnostic.sunflower import Sunflower
from rltheory.tabular.mdp import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "runs": 8, "horizon": 8, "budgets": [2**k for k in (12, 14, 16, 18)],
        "horizons": [4, 6, 8, 10, 12], "budget": 2**16,
    },
    "paper": {
        "runs": 50, "horizon": 10, "budgets": [2**k for k in range(12, 23)],
        "horizons": [4, 6, 8, 10, 12, 14], "budget": 2**19,
    },
}  # fmt: skip
STATES = 2
THRESHOLD = 0.02
METHODS = {
    "trees": LEARNERS["trees"],
    "importance": LEARNERS["importance"],
    "popler": LEARNERS["popler"],
    "popler, no petals": "POPLER without petals",
}


def world(horizon: int, seed: int) -> tuple[EpisodicMDP, PolicyClass, Sunflower]:
    """Return a random MDP of two states a layer, paid in its last step, and the class of 2-tons."""
    rng = np.random.default_rng([seed, horizon])
    kernel = rng.dirichlet(np.full(STATES, 2.0), (horizon, STATES, 2))
    rewards = np.zeros((horizon, STATES, 2))
    rewards[-1] = rng.random((STATES, 2))
    policies = PolicyClass.l_tons(2, horizon=horizon, states=STATES)
    return EpisodicMDP(kernel, rewards), policies, layer_core(policies)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the largest error over the class by samples, and by horizon at a fixed number."""
    rows: list[dict[str, Any]] = []
    for budget in settings["budgets"]:
        rows += _rows("samples", settings["horizon"], budget, settings["runs"], seed)
    for horizon in settings["horizons"]:
        rows += _rows("horizon", horizon, settings["budget"], settings["runs"], seed)
    figure, axes = plotting.panels(1, 2, width=plotting.PAGE, height=2.9, sharey=True)
    for axis, sweep in zip(axes, ("samples", "horizon"), strict=True):
        for index, (method, title) in enumerate(METHODS.items()):
            of = [row for row in rows if row["sweep"] == sweep and row["method"] == method]
            x = [row["drawn" if sweep == "samples" else "horizon"] for row in of]
            look = plotting.line(index)
            axis.plot(x, [row["median"] for row in of], label=title, **look)
            low, high = ([row[key] for row in of] for key in ("low", "high"))
            axis.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
        axis.set_yscale("log")
    axes[0].set(xscale="log", xlabel="samples (steps or calls)", ylabel="largest error of a value")
    axes[0].set_title(f"horizon {settings['horizon']}")
    axes[1].set(xlabel="horizon (steps)", xticks=settings["horizons"])
    axes[1].set_title(f"about {settings['budget']:,} samples")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(METHODS))
    plotting.letter(axes)
    return figure, rows


def _rows(sweep: str, horizon: int, budget: int, runs: int, seed: int) -> list[dict[str, Any]]:
    mdp, policies, flower = world(horizon, seed)
    truth = class_values(mdp, policies).values
    rows = []
    for number, method in enumerate(METHODS):
        size = sizes(method, horizon, flower.petals, budget)
        stream = np.random.default_rng([seed, horizon, budget, number])
        errors, drawn = _errors(method, mdp, policies, flower, truth, size, runs, stream)
        low, median, high = np.quantile(errors, [0.1, 0.5, 0.9])
        rows.append(
            {"sweep": sweep, "method": method, "horizon": horizon, "budget": budget}
            | {"drawn": drawn, "policies": len(policies)}
            | {"low": float(low), "median": float(median), "high": float(high)}
        )
    return rows


def sizes(method: str, horizon: int, petals: NDArray[np.bool_], budget: int) -> int:
    """Return the trees or episodes (for the start and for each petal) that a budget allows."""
    if method == "trees":
        # A start, and at most all pairs of every layer.
        return max(1, budget // (1 + 2 * STATES * horizon))
    if method == "popler":
        return max(1, budget // (horizon * (1 + int(petals.any(axis=0).sum()))))
    return max(1, budget // horizon)


def _errors(
    method: str,
    mdp: EpisodicMDP,
    policies: PolicyClass,
    flower: Sunflower,
    truth: NDArray[Any],
    size: int,
    runs: int,
    stream: np.random.Generator,
) -> tuple[FloatArray, float]:
    used = flower
    if method == "popler, no petals":
        used = Sunflower(flower.core, np.zeros_like(flower.petals))
    learner = method.split(",")[0]
    found = [estimate(learner, mdp, policies, used, size, stream, THRESHOLD) for _ in range(runs)]
    errors = np.array([np.abs(values - truth).max() for values, _ in found])
    return errors, float(np.mean([drawn for _, drawn in found]))


def findings(rows: plotting.Rows) -> str:
    """Say who is nearer at the longest and the shortest horizon, and what no petals leave."""
    ends: Sequence[int] = sorted({row["horizon"] for row in rows if row["sweep"] == "horizon"})
    words = []
    for horizon in (ends[0], ends[-1]):
        of = {
            row["method"]: row["median"]
            for row in rows
            if row["sweep"] == "horizon" and row["horizon"] == horizon
        }
        nearer = "POPLER" if of["popler"] < of["importance"] else "importance sampling"
        words.append(
            f"at horizon {horizon} {nearer} is the nearer of the two online ones (medians "
            f"{of['popler']:.3f} and {of['importance']:.3f}, trees {of['trees']:.3f})"
        )
    most = max(row["budget"] for row in rows if row["sweep"] == "samples")
    left = {
        row["method"]: row["median"]
        for row in rows
        if row["sweep"] == "samples" and row["budget"] == most
    }
    return (
        f"With the samples of panel (b), {' and '.join(words)}. With the most samples of panel (a) "
        f"the median error is {left['popler']:.3f} with petals and "
        f"{left['popler, no petals']:.3f} without."
    )


FIGURE = Figure(
    name="popler-trees",
    title="POPLER against trees and importance sampling",
    caption="The class takes action 1 at up to two states, of two in each layer, on a random MDP "
    "paid by a coin in its last step; lines are medians over runs of the largest error over all "
    "policies, bands the middle 80%. POPLER is told the core (action 0, or 1 in one whole layer) "
    "and each policy's petals, and spends equally on the start and on each petal; without petals "
    "it drops the episodes in which a policy acts twice, a bias that no number of samples cures. "
    "Importance sampling pays with 2 to the power of the horizon, POPLER with the horizon plus "
    "one core policies and a share of the samples for each petal; it also clips values to where "
    "returns lie.",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), Algorithm 1; derived sunflower",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
