"""How many samples does a class need, by its spanning capacity and the access to the MDP?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.agnostic import Generative, Online, PolicyClass, class_values
from rltheory.tabular.agnostic.capacity import spanning_capacity
from rltheory.tabular.agnostic.cores import constant_core, layer_core, open_loop_core
from rltheory.tabular.agnostic.importance import importance_sampling_erm
from rltheory.tabular.agnostic.popler import PoplerParameters, popler
from rltheory.tabular.agnostic.sunflower import Sunflower
from rltheory.tabular.agnostic.trees import trajectory_tree_erm
from rltheory.tabular.mdp import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"horizons": [2, 3, 4, 5], "runs": 16, "accuracy": 0.25, "most": 2**14},
    "paper": {"horizons": [2, 3, 4, 5, 6], "runs": 40, "accuracy": 0.1, "most": 2**20},
}
SUCCESS = 0.9
"""Share of the runs that must know all values up to the accuracy."""
THRESHOLD = 0.1
"""POPLER's, in practice."""
RESAMPLES = 400


class Kind(NamedTuple):
    """A kind of class by horizon, and its sunflower."""

    title: str
    make: Callable[[int], PolicyClass]
    flower: Callable[[PolicyClass], Sunflower]


KINDS = (
    Kind(
        "constant", lambda h: PolicyClass.constant(horizon=h, states=h),
        lambda c: Sunflower(constant_core(c).core, np.zeros(c.table.shape, dtype=bool)),
    ),
    Kind("singletons", lambda h: PolicyClass.singletons(horizon=h, states=h), layer_core),
    Kind("2-tons", lambda h: PolicyClass.l_tons(2, horizon=h, states=h), layer_core),
    Kind(
        "open loop", lambda h: PolicyClass.open_loop(horizon=h, states=2 ** (h - 1)),
        open_loop_core,
    ),
)  # fmt: skip
LEARNERS = {
    "trees": "generative: trees",
    "importance": "online: importance sampling",
    "popler": "online, core given: POPLER",
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the samples after which all values are known, by class, horizon and learner."""
    rows: list[dict[str, Any]] = []
    for kind in KINDS:
        for horizon in settings["horizons"]:
            policies = kind.make(horizon)
            found = spanning_capacity(policies)
            mdp = paying(found.mdp)
            truth = class_values(mdp, policies).values
            for number, learner in enumerate(LEARNERS):
                stream = np.random.default_rng([seed, horizon, len(policies), number])
                where = _search(
                    learner, mdp, policies, kind.flower(policies), truth, settings, stream
                )
                rows.append(
                    {"class": kind.title, "learner": learner, "horizon": horizon}
                    | {"policies": len(policies), "capacity": int(found.lower)}
                    | dict(zip(("samples", "low", "high"), where, strict=True))
                )
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.6, sharey=True)
    for axis, (learner, title) in zip(axes, LEARNERS.items(), strict=True):
        for index, kind in enumerate(KINDS):
            _paint(axis, rows, learner, kind.title, index)
        axis.set(xscale="log", yscale="log", xlabel="spanning capacity", title=title)
        axis.set_xticks([2, 4, 8, 16, 32], labels=["2", "4", "8", "16", "32"], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("samples (steps or calls)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(KINDS))
    plotting.letter(axes)
    return figure, rows


def paying(mdp: EpisodicMDP) -> EpisodicMDP:
    """Return the same MDP with a fair coin in the last step as its only reward."""
    rewards = np.zeros(mdp.rewards.shape)
    rewards[-1] = 0.5
    return EpisodicMDP(mdp.transitions, rewards, mdp.initial)


def estimate(
    learner: str,
    mdp: EpisodicMDP,
    policies: PolicyClass,
    flower: Sunflower,
    size: int,
    stream: np.random.Generator,
    threshold: float = THRESHOLD,
) -> tuple[FloatArray, int]:
    """Return a learner's values (P,) after `size` trees or episodes (a petal), and its samples."""
    if learner == "trees":
        access = Generative(mdp, seed=stream, rewards="bernoulli")
        result: Any = trajectory_tree_erm(access, policies, trees=size)
    elif learner == "importance":
        episodes = Online(mdp, seed=stream, rewards="bernoulli")
        result = importance_sampling_erm(episodes, policies, episodes=size, seed=stream)
    else:
        episodes = Online(mdp, seed=stream, rewards="bernoulli")
        result = popler(
            episodes,
            policies,
            flower.core,
            flower.petals,
            parameters=PoplerParameters(size, size, threshold),
            seed=stream,
        )
    return np.asarray(result.values), int(result.samples)


def _search(
    learner: str,
    mdp: EpisodicMDP,
    policies: PolicyClass,
    flower: Sunflower,
    truth: NDArray[Any],
    settings: Any,
    stream: np.random.Generator,
) -> tuple[float | None, float | None, float | None]:
    """Double the size until enough runs succeed; return samples there and a 90% band."""
    runs, size = settings["runs"], 8
    errors: list[FloatArray] = []
    samples: list[float] = []
    while size <= settings["most"]:
        found = [estimate(learner, mdp, policies, flower, size, stream) for _ in range(runs)]
        errors.append(np.array([np.abs(values - truth).max() for values, _ in found]))
        samples.append(float(np.mean([drawn for _, drawn in found])))
        if np.quantile(errors[-1], SUCCESS) <= 0.7 * settings["accuracy"]:
            break
        size *= 2
    curve, used = np.array(errors), np.array(samples)
    centre = crossing(np.quantile(curve, SUCCESS, axis=1), used, settings["accuracy"])
    picks = stream.integers(runs, size=(RESAMPLES, runs))
    spread = [
        crossing(np.quantile(curve[:, pick], SUCCESS, axis=1), used, settings["accuracy"])
        for pick in picks
    ]
    if centre is None or None in spread:
        return centre, None, None
    low, high = np.quantile(np.array(spread, dtype=float), [0.05, 0.95])
    return centre, float(low), float(high)


def crossing(errors: FloatArray, samples: FloatArray, accuracy: float) -> float | None:
    """Return where errors first fall to the accuracy, between logarithms; None if they do not."""
    below = np.flatnonzero(errors <= accuracy)
    if not len(below):
        return None
    k = int(below[0])
    if k == 0:
        return float(samples[0])
    # From the size before, where the error was too large, to this one; errors of 0 are known.
    steep = np.log(errors[k - 1] / max(errors[k], 1e-12))
    share = np.log(errors[k - 1] / accuracy) / steep
    return float(samples[k - 1] * (samples[k] / samples[k - 1]) ** share)


def _paint(axis: Any, rows: plotting.Rows, learner: str, kind: str, index: int) -> None:
    known = [
        row
        for row in rows
        if row["learner"] == learner and row["class"] == kind and row["samples"] is not None
    ]
    x, y = ([row[key] for row in known] for key in ("capacity", "samples"))
    look = plotting.line(index)
    axis.plot(x, y, label=kind, **look)
    band = [row for row in known if row["low"] is not None]
    axis.vlines(
        [row["capacity"] for row in band],
        [row["low"] for row in band],
        [row["high"] for row in band],
        color=look["color"],
        linewidth=2.5,
        alpha=0.35,
    )


def findings(rows: plotting.Rows) -> str:
    """Say by what factor samples grow from the shortest to the longest horizon."""
    horizons = sorted({row["horizon"] for row in rows})
    first, last = horizons[0], horizons[-1]
    words, ratios = [], []
    for kind in ("constant", "singletons", "2-tons"):
        told, ends = [], {}
        for learner in LEARNERS:
            of = {
                row["horizon"]: row["samples"]
                for row in rows
                if row["learner"] == learner and row["class"] == kind
            }
            ends[learner] = of[last]
            known = of[first] is not None and of[last] is not None
            told.append(f"{of[last] / of[first]:.1f}" if known else "unknown within the budget")
        words.append(f"{kind} {', '.join(told)}")
        if ends["popler"] is not None and ends["importance"] is not None:
            ratios.append(f"{ends['popler'] / ends['importance']:.2f} ({kind})")
    return (
        f"From horizon {first} to {last} samples grow by these factors, for trees, importance "
        f"sampling and POPLER: {'; '.join(words)}. At horizon {last} POPLER's samples are these "
        f"multiples of importance sampling's: {', '.join(ratios) if ratios else 'none known'}."
    )


FIGURE = Figure(
    name="samples-by-access",
    title="Samples until all values of a class are known, against its spanning capacity",
    caption="Each point is a class at one horizon, on a deterministic MDP at which its spanning "
    "capacity is attained, with a fair coin paid in the last step; along a line the horizon grows. "
    "Counted are calls of the simulator or steps of episodes until, in 90% of the runs, every "
    "policy's estimate is within the accuracy of its value (0.25, or 0.1 at the paper scale); bars "
    "are 90% bootstrap bands over the runs. Trees pay for the capacity, hardly for the horizon "
    "by itself. Importance sampling pays for the number of action sequences, whatever the "
    "capacity: for constant policies the line is vertical. POPLER, told the core policies and "
    "petals, pays for their numbers; for open-loop policies its core is all of them, and it is "
    "importance sampling.",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023); Kearns, Mansour and Ng (1999)",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
