"""How many observations and how many draws does a policy emulator need?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import fit_rate
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.agnostic.access import Hybrid
from rltheory.tabular.agnostic.block_mdp import BlockMDP
from rltheory.tabular.agnostic.class_values import class_values
from rltheory.tabular.agnostic.emulator import Emulator, ideal_emulator
from rltheory.tabular.agnostic.plhr import policy_emulator
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "seeds": 12, "observations": [12, 24, 48, 96], "accuracies": [0.4, 0.3, 0.2],
        "kept": 24,
    },
    "paper": {
        "seeds": 64, "observations": [12, 24, 48, 96, 192],
        "accuracies": [0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.075], "kept": 24,
    },
}  # fmt: skip
HORIZON, PER_STATE, SLIP, ACCURACY = 3, 50, 0.1, 0.25
RESAMPLES = 2000

IDEAL, TESTED, BLIND = "right rows", "learnt with tests", "learnt without tests"
WAYS = (IDEAL, TESTED, BLIND)
LATENT, SEEN = "latent policies", "policies of observations"
CLASSES = (LATENT, SEEN)


def world() -> BlockMDP:
    """Return a lock of two latent states with fifty observations of each at every step."""
    kernel = np.zeros((HORIZON, 2, 2, 2))
    kernel[:, 1] = [SLIP, 1 - SLIP]
    rewards = np.zeros((HORIZON, 2, 2))
    for h in range(HORIZON):
        kernel[h, 0, h % 2] = [1 - SLIP, SLIP]
        kernel[h, 0, 1 - h % 2] = [SLIP, 1 - SLIP]
    rewards[-1, 1], rewards[-1, 0, (HORIZON - 1) % 2] = 0.2, 1.0
    return BlockMDP.rich(EpisodicMDP(kernel, rewards, np.array([1.0, 0.0])), PER_STATE, seed=1)


def classes(block: BlockMDP) -> PolicyClass:
    """Return the 64 policies of latent states, then as many random ones of observations."""
    latent = block.lifted(PolicyClass.tabular(horizon=HORIZON, states=2))
    seen = PolicyClass.random(64, horizon=HORIZON, states=block.observations, seed=2)
    return PolicyClass(np.concatenate([latent.table, seen.table]), 2)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the largest errors of emulated values over observations kept, and over draws."""
    block = world()
    model, policies = block.observed(), classes(block)
    true = class_values(model, policies).values

    def errors(way: str, observations: int, accuracy: float, k: int) -> FloatArray:
        """Largest errors of both classes, and the samples."""
        access = Hybrid(
            model, block.reset, seed=np.random.default_rng([seed, k]), rewards="bernoulli"
        )
        if way == IDEAL:
            values, samples = _right(block, access, observations).values(policies), 0
        else:
            found = policy_emulator(
                access, policies, accuracy=accuracy, observations=observations,
                rollouts=0 if way == BLIND else None,
            )  # fmt: skip
            values, samples = found.values, found.samples
        apart = np.abs(true - values)
        return np.array([apart[:64].max(), apart[64:].max(), samples])

    rows: list[dict[str, Any]] = []
    plans = [("observations", n, ACCURACY) for n in settings["observations"]]
    plans += [("draws", settings["kept"], accuracy) for accuracy in settings["accuracies"]]
    for panel, observations, accuracy in plans:
        for way in WAYS:
            found = np.array(
                [errors(way, observations, accuracy, k) for k in range(settings["seeds"])]
            )
            for i, name in enumerate(CLASSES):
                low, high = _band(found[:, i])
                rows.append(
                    {
                        "panel": panel, "class": name, "way": way, "observations": observations,
                        "accuracy": accuracy, "samples": float(found[:, 2].mean()),
                        "error": float(found[:, i].mean()), "low": low, "high": high,
                    }
                )  # fmt: skip
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.5, sharey=True)
    titles = [(LATENT, "observations"), (SEEN, "observations"), (LATENT, "draws")]
    for axis, (name, panel) in zip(axes, titles, strict=True):
        _paint(axis, rows, name, panel)
    axes[0].set_ylabel("largest error of a policy's value")
    plotting.letter(axes)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure, rows


def _right(block: BlockMDP, access: Hybrid, observations: int) -> Emulator:
    """The ideal emulator of the learner's observations; drawn anew if a latent state has none."""
    table = np.zeros((access.horizon, access.states), dtype=int)
    while True:
        names = np.stack(
            [
                access.run_from_reset(h, table, observations).states[:, 0]
                for h in range(access.horizon)
            ]
        )
        if all(set(row[x]) == {0, 1} for row, x in zip(block.decoder, names, strict=True)):
            return ideal_emulator(block, names)


def _band(sample: FloatArray) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean."""
    rng = np.random.default_rng(0)
    means = rng.choice(sample, size=(RESAMPLES, len(sample))).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _paint(axis: Any, rows: plotting.Rows, name: str, panel: str) -> None:
    across = "observations" if panel == "observations" else "samples"
    for i, way in enumerate(WAYS):
        where = {"panel": panel, "class": name, "way": way}
        x = plotting.column(rows, across, **where)
        mean, low, high = (plotting.column(rows, key, **where) for key in ("error", "low", "high"))
        # Errors of right rows on latent policies are roundings, and cost no samples.
        if mean.max() < 1e-9:
            continue
        look = plotting.line(i)
        if way == IDEAL:
            # Around the learnt curve that lies on it.
            look |= {"markersize": 7.0, "markerfacecolor": "none", "linewidth": 2.4}
        axis.plot(x, mean, label=way, **look)
        axis.fill_between(x, low, high, color=plotting.COLOURS[i], alpha=0.2, linewidth=0)
    axis.set(xscale="log", yscale="log", title=name)
    axis.xaxis.set_minor_formatter("")
    if panel == "observations":
        axis.set_xticks(x, [f"{n:.0f}" for n in x])
    else:
        ticks = [base * 10**k for k in range(3, 8) for base in (1, 3)]
        least, most = axis.get_xlim()
        ticks = [t for t in ticks if least <= t <= most]
        axis.set_xticks(ticks, [f"{t / 1000:g}" for t in ticks])
    axis.set_xlabel(
        r"observations kept of each step, $n$"
        if panel == "observations"
        else "samples drawn, in thousands"
    )


def findings(rows: plotting.Rows) -> str:
    """Say how errors fall, from the data."""
    kept = sorted({row["observations"] for row in rows if row["panel"] == "observations"})
    words = []
    for way in WAYS:
        where = {"panel": "observations", "way": way}
        seen = plotting.column(rows, "error", **where, **{"class": SEEN})
        slope = fit_rate(np.array(kept, dtype=float), seen).slope
        words.append(f"{slope:.2f} ({way})")
    latent = {
        way: plotting.column(rows, "error", panel="observations", way=way, **{"class": LATENT})
        for way in WAYS
    }
    tested = plotting.column(rows, "error", panel="draws", way=TESTED, **{"class": LATENT})
    blind = plotting.column(rows, "error", panel="draws", way=BLIND, **{"class": LATENT})
    most = plotting.column(rows, "samples", panel="draws", way=TESTED, **{"class": LATENT})
    right, learnt = (
        plotting.column(rows, "error", panel="observations", way=way, **{"class": SEEN})
        for way in (IDEAL, TESTED)
    )
    helps = "falls" if tested[-1] < tested[0] else "does not fall"
    return (
        f"Here errors of policies of observations go with n to the power of {', '.join(words)}, "
        f"and learnt rows change right ones' by at most {np.abs(learnt - right).max():.3f}; "
        f"on latent policies right rows are off by at most {latent[IDEAL].max():.1g}, learnt ones "
        f"by {latent[TESTED].max():.3f} with tests and by {latent[BLIND].max():.3f} without. "
        f"With {kept_of(rows)} observations and {most.min():.0f} to {most.max():.0f} samples the "
        f"error on latent policies {helps} from {tested[0]:.3f} to {tested[-1]:.3f}; without "
        f"tests it is {blind[-1]:.3f} at last."
    )


def kept_of(rows: plotting.Rows) -> int:
    """Return the observations kept of each step where draws vary."""
    return int(plotting.column(rows, "observations", panel="draws")[0])


FIGURE = Figure(
    name="emulator-error",
    title="What a policy emulator needs",
    caption="A lock of three steps and two latent states with fifty observations of each at "
    "every step, and emulators whose states are n observations drawn by resets to the mean "
    "emission: with all rows right, learnt with tests that decode next observations, and learnt "
    "without tests, when next observations are matched to all states alike. Errors are the "
    "largest over 64 policies that act by the latent state (a, c) and 64 random ones that read "
    "the observation (b), exact for each emulator; means over seeds with 95 % bootstrap "
    "intervals. With all rows right latent policies have no error but rounding, which is not "
    "drawn in (a) and (c); for policies of observations, which observations stand for a latent "
    "state matters too. In (c) the accuracy asked for, and with it draws and rollouts, grows to "
    "the right.",
    source="Krishnamurthy, Li and Sekhari (2025), for emulators; the learner is a reconstruction",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
