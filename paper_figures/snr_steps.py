"""How long a step does the noise allow along training, and what does it gain?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.dynamics import exact_ascent
from rltheory.analysis.estimators.learning import learn
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.step_rules import FixedStep
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 200, "marks": 8, "seeds": 800},
    "paper": {"steps": 4000, "marks": 16, "seeds": 20000},
}
PROMPTS, GROUP = 4, 4
METHODS = ("reinforce", "value", "rloo", "oblr", "optimal")
TRIED = ("reinforce", "optimal")
"""Methods whose gains are sampled."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return ratios, steps and gains along exact training, by family and method."""
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(3, 3, width=plotting.PAGE, height=6.0, sharex="col")
    for column, (family, (title, make)) in enumerate(pg_models.FAMILIES.items()):
        model = make()
        for method in METHODS:
            rows += training(family, model, method, settings, seed)
        here = [row for row in rows if row["family"] == family]
        axes[0, column].set_title(title)
        for axis, what in zip(axes[:2, column], ("ratio", "share"), strict=True):
            for method in METHODS:
                shown = [row for row in here if row["method"] == method]
                axis.plot(
                    [row["shortfall"] for row in shown],
                    [row[what] for row in shown],
                    label=pg_models.METHODS[method].title,
                    **pg_models.METHODS[method].look(len(shown)),
                )
            pg_models.plain_logarithm(axis)
        _gains(axes[2, column], here)
        short = [row["shortfall"] for row in here]
        # Over two decades there is room for their names alone.
        ticks = (1.0,) if max(short) > 100 * min(short) else (1.0, 2.0, 5.0)
        pg_models.plain_logarithm(axes[2, column], "x", ticks)
        axes[2, column].set_xlabel("shortfall $1 - J$")
        axes[2, column].invert_xaxis()
    for axis, label in zip(
        axes[:, 0], ("signal-to-noise ratio", "step times $L$", "gain of a step"), strict=True
    ):
        axis.set_ylabel(label)
    plotting.letter(axes)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    more, words = axes[2, 0].get_legend_handles_labels()
    figure.legend([*handles, *more], [*labels, *words], loc="outside lower center", ncols=4)
    return figure, rows


def training(
    family: str, model: SamplingModel, method: str, settings: Parameters, seed: int
) -> list[dict[str, Any]]:
    """About sixty points of ascent by exact gradients, each step as long as the noise allows."""
    size = GROUP if method in ("rloo", "oblr") else 1
    run = exact_ascent(
        model,
        estimator=method,
        steps=settings["steps"],
        group_size=size,
        prompts=PROMPTS * GROUP // size,
    )
    kept = np.unique(np.geomspace(1, settings["steps"], 60).round().astype(int)) - 1
    marks = set(kept[np.linspace(0, len(kept) - 1, settings["marks"]).round().astype(int)])
    rows = []
    for step in kept:
        length = float(run.step_sizes[step])
        row: dict[str, Any] = {
            "family": family,
            "method": method,
            "step": int(step),
            "value": float(run.values[step]),
            "shortfall": float(1.0 - run.values[step]),
            "ratio": float(run.signal_to_noise[step]),
            "length": length,
            "share": length * run.smoothness,
            "guaranteed": float(run.guaranteed_gains[step]),
            "realised": None,
            "error": None,
            "gradient": float(run.gradient_norms[step]),
            "certified": run.certificate.bound,
        }
        if method in TRIED and step in marks:
            gains = sampled_gains(
                model, method, run.parameters[step], length, settings["seeds"], seed
            )
            row["realised"] = float(gains.mean())
            row["error"] = float(gains.std(ddof=1) / np.sqrt(len(gains)))
        rows.append(row)
    return rows


def sampled_gains(
    model: SamplingModel, method: str, point: FloatArray, length: float, count: int, seed: int
) -> FloatArray:
    """Return the gains (count,) of single steps along sampled estimates from one point."""
    run = learn(
        model,
        method,
        FixedStep(length),
        parameters=point,
        steps=1,
        prompts=PROMPTS * GROUP,
        group_size=1,
        seeds=range(count * seed, count * (seed + 1)),
    )
    return run.values[:, 1] - run.values[:, 0]


def _gains(axis: Any, rows: plotting.Rows) -> None:
    for method in TRIED:
        look = pg_models.METHODS[method].look()
        shown = [row for row in rows if row["method"] == method]
        title = pg_models.METHODS[method].title
        axis.plot(
            [row["shortfall"] for row in shown],
            [row["guaranteed"] for row in shown],
            color=look["color"],
            linestyle=look["linestyle"],
            label=f"{title}: guaranteed",
        )
        tried = [row for row in shown if row["realised"] is not None]
        axis.errorbar(
            [row["shortfall"] for row in tried],
            [row["realised"] for row in tried],
            yerr=[2 * row["error"] for row in tried],
            color=look["color"],
            marker=look["marker"],
            markerfacecolor="white",
            linestyle="none",
            label=f"{title}: realised",
        )
    axis.set_yscale("log")


def findings(rows: plotting.Rows) -> str:
    """Say how the ratios end, and how much of the gain the guarantee sees."""
    words = []
    for family, (title, _) in pg_models.FAMILIES.items():
        ends = {
            row["method"]: row
            for row in sorted(rows, key=lambda row: row["step"])
            if row["family"] == family
        }
        words.append(
            f"{title}: "
            + ", ".join(
                f"{pg_models.METHODS[method].title} {row['ratio']:.2g} at 1 - J = "
                f"{row['shortfall']:.2g}"
                for method, row in ends.items()
            )
        )
    last = max(row["step"] for row in rows)
    tried = [row for row in rows if row["realised"] is not None]
    shares = [row["realised"] / row["guaranteed"] for row in tried]
    certified = [row["certified"] / row["gradient"] for row in rows if row["step"] == last]
    below = sum(row["realised"] + 3 * row["error"] < row["guaranteed"] for row in tried)
    return (
        f"Signal-to-noise ratios after {last + 1} steps, "
        f"{'; '.join(words)}. Realised gains are {min(shares):.2g} to {max(shares):.2g} times "
        f"the guaranteed ones (median {np.median(shares):.2g}), and below by more than three "
        f"standard errors at {below} of {len(tried)} points. The bound that the sum of guarantees "
        f"puts on the least gradient of a run is {min(certified):.2g} to {max(certified):.2g} "
        "times the gradient's norm at the end."
    )


FIGURE = Figure(
    name="snr-steps",
    title="Steps that the noise allows",
    caption="Ascent along exact gradients from the uniform policy, each step being the one with "
    "the largest guaranteed gain at the exact variance of a method with batches of "
    f"{PROMPTS * GROUP} responses ({PROMPTS} prompts with {GROUP} responses where the baseline "
    "comes from the group, else a prompt for each response): SNR / (1 + SNR) over L, with L a "
    "bound of the Hessian at all parameters. Above: the ratio; middle: the step; below: the gain "
    "that smoothness guarantees and the mean gain of sampled steps from the same point, bars of "
    "two standard errors. Where curvature plays no part in a step it gains twice what is "
    "guaranteed.",
    source="Huang, Sheng and Zheng (2025); Bottou, Curtis and Nocedal (2018), Lemma 4.2; derived",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
