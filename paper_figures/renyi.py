"""Which entropy tells how large a policy's scores are?"""

from typing import Any

import numpy as np
from scipy.stats import kendalltau

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.zoo.entropy import renyi_entropy, shannon_entropy
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"policies": 400},
    "paper": {"policies": 4000},
}
ACTIONS = 16
PAIR = {
    "one of 1/2, eight of 1/16": [0.5] + [1 / 16] * 8,
    "four of 1/4": [0.25] * 4,
}
"""Two policies that the two entropies order oppositely."""
ENTROPIES = {"renyi": "Rényi entropy of order two, nats", "shannon": "Shannon entropy, nats"}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the expected squared score of random policies against both entropies."""
    rng = np.random.default_rng(seed)
    rows = [_row("random policy", policy) for policy in _policies(settings["policies"], rng)]
    rows += [_row(name, np.pad(p, (0, ACTIONS - len(p)))) for name, p in PAIR.items()]
    rows += [_row("one action, the rest alike", p) for p in _peaked()]
    figure, axes = plotting.panels(1, 2, width=plotting.PAGE, height=2.7, sharey=True)
    grid = np.linspace(0.0, np.log(ACTIONS), 200)
    for axis, (name, label) in zip(axes, ENTROPIES.items(), strict=True):
        _scatter(axis, rows, name)
        exact = name == "renyi"
        axis.plot(
            grid, 1 - np.exp(-grid), color="black", linewidth=1.0, zorder=3,
            label=r"$1 - e^{-H_2}$" if exact else r"at most $1 - e^{-H_1}$",
        )  # fmt: skip
        axis.set(xlabel=label)
    peaked = [r for r in rows if r["kind"] == "one action, the rest alike"]
    axes[1].plot(
        plotting.column(peaked, "shannon"), plotting.column(peaked, "squared_score"),
        color="black", linestyle="--", linewidth=1.0, zorder=3, label="one action, the rest alike",
    )  # fmt: skip
    axes[0].set(ylabel=r"$\mathbb{E}\,\|\nabla_z \log\pi\|^2$")
    axes[0].set_title("a function of one entropy")
    axes[1].set_title("a band over the other")
    for axis in axes:
        axis.legend(loc="lower right")
    plotting.letter(axes)
    return figure, rows


def _policies(count: int, rng: np.random.Generator) -> list[FloatArray]:
    """Policies from nearly uniform to nearly certain, on all actions or a few of them."""
    found = []
    for _ in range(count):
        weights = rng.dirichlet(np.full(ACTIONS, 10 ** rng.uniform(-1.5, 1.0)))
        if rng.random() < 0.5:
            # A few likely actions before others that are nearly alike.
            likely = np.arange(ACTIONS) < rng.integers(1, 5)
            weights = np.where(likely, 10 ** rng.uniform(0, 3), 1.0)
            weights = weights * rng.uniform(0.5, 1.5, ACTIONS)
        found.append(weights / weights.sum())
    return found


def _peaked() -> list[FloatArray]:
    """Policies with one action of any probability from 1 / A to 1, and the rest alike."""
    tops = 1 - np.linspace(0.0, (1 - 1 / ACTIONS) ** 0.5, 100) ** 2
    return [np.append(top, np.full(ACTIONS - 1, (1 - top) / (ACTIONS - 1))) for top in tops]


def _row(kind: str, policy: FloatArray) -> dict[str, Any]:
    """Both entropies, and the expected squared score by enumeration of the actions."""
    with np.errstate(divide="ignore"):
        # Logits of -745 stand for those of actions that are never taken.
        logits = np.maximum(np.log(policy), -745.0)
    outcomes = softmax_bandit(np.zeros(len(policy))).at(logits)
    return {
        "kind": kind,
        "renyi": float(renyi_entropy(policy)),
        "shannon": float(shannon_entropy(policy)),
        "squared_score": float(outcomes.probabilities @ outcomes.squared_norms),
    }


def _scatter(axis: Any, rows: plotting.Rows, entropy: str) -> None:
    random = [r for r in rows if r["kind"] == "random policy"]
    axis.plot(
        plotting.column(random, entropy), plotting.column(random, "squared_score"), ".",
        color=plotting.COLOURS[5], markersize=2.5, rasterized=True, label="random policies",
    )  # fmt: skip
    for index, name in enumerate(PAIR):
        (row,) = (r for r in rows if r["kind"] == name)
        axis.plot(
            row[entropy], row["squared_score"], linestyle="none", zorder=4, markersize=5,
            color=plotting.COLOURS[1], marker=plotting.MARKERS[index + 1], label=name,
        )  # fmt: skip


def findings(rows: plotting.Rows) -> str:
    """Say how well either entropy orders the policies, and what the pair shows."""
    random = [r for r in rows if r["kind"] == "random policy"]
    scores = plotting.column(random, "squared_score")
    tau = {
        name: float(kendalltau(plotting.column(random, name), scores).statistic)
        for name in ENTROPIES
    }
    off = np.abs(1 - np.exp(-plotting.column(random, "renyi")) - scores).max()
    first, second = (next(r for r in rows if r["kind"] == name) for name in PAIR)
    order = "oppositely" if (
        (first["shannon"] - second["shannon"]) * (first["squared_score"] - second["squared_score"])
        < 0
    ) else "alike"  # fmt: skip
    return (
        f"Of {len(random)} random policies the enumerated norms differ from 1 - exp(-H_2) by "
        f"{off:.0e} at most. Kendall's rank correlation of the norm is {tau['renyi']:.3f} with the "
        f"entropy of order two and {tau['shannon']:.3f} with Shannon's; the marked pair, with "
        f"{first['shannon']:.2f} and {second['shannon']:.2f} nats of Shannon entropy and norms of "
        f"{first['squared_score']:.3f} and {second['squared_score']:.3f}, is ordered {order}."
    )


FIGURE = Figure(
    name="renyi",
    title="Norms of scores against two entropies",
    caption=f"Softmax policies over {ACTIONS} actions. The expected squared norm of the score by "
    "the logits, enumerated over the actions, is 1 - exp(-H_2) exactly (a). Over the Shannon "
    "entropy, which training logs show, it fills a band (b): at most 1 - exp(-H_1), and low where "
    "one action is likely and the rest are alike.",
    source='Wang et al. (2025), "Harnessing Uncertainty", Proposition 1; the rest derived here',
    draw=draw,
    settings=SETTINGS,
    cost=2.0,
    findings=findings,
)
