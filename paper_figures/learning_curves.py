"""Do sampled runs follow the mean dynamics of their estimator?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.dynamics import exact_ascent
from rltheory.analysis.estimators.learning import LearningRun, learn
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.step_rules import FixedStep, SNRStep, StepRule
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 60, "seeds": 100, "tuning": 24},
    "paper": {"steps": 400, "seeds": 500, "tuning": 200},
}
PROMPTS, GROUP = 4, 4
METHODS = {
    "reinforce": "reinforce",
    "rloo": "rloo",
    "grpo": "grpo",
    "oblr": "oblr",
    "oblr-po": "oblr",
}
"""Methods and their estimators."""
STEPS = (0.25, 1.0, 4.0, 16.0, 64.0)
"""Fixed steps; for the SNR step, divisors of the bound of the smoothness."""
DECAY = 0.9
BAND = (0.1, 0.9)
TUNING_SEEDS = 10**6


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the mean dynamics and sampled runs of each method in each family."""
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(
        3, len(METHODS), width=plotting.PAGE, height=5.0, sharex=True, sharey="row"
    )
    for line, (family, (title, make)) in zip(axes, pg_models.FAMILIES.items(), strict=True):
        model = make()
        for axis, method in zip(line, METHODS, strict=True):
            step, rule = tuned(model, method, settings, seed)
            first = seed * settings["seeds"]
            run = sampled(model, method, rule, settings["steps"], settings["seeds"], first)
            mean = mean_dynamics(model, method, rule, settings["steps"])
            rows += curve_rows(family, method, step, run.values, mean)
            _panel(axis, method, run.values, mean)
            axis.set_title(f"{pg_models.METHODS[method].title}, {_step(method, step)}", fontsize=8)
        line[0].set_ylabel(f"{title}\nexpected reward $J$")
    for axis in axes[-1]:
        axis.set(xlabel="step", xscale="log", xlim=(1, settings["steps"]))
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, rows


def rule_of(model: SamplingModel, method: str, step: float) -> StepRule:
    """Return the rule of a method with a step, or with the SNR step over L divided by it."""
    if method == "oblr-po":
        return SNRStep(smoothness=smoothness(model) / step, decay=DECAY)
    return FixedStep(step)


def sampled(
    model: SamplingModel, method: str, rule: StepRule, steps: int, seeds: int, first: int
) -> LearningRun:
    """Return runs from the uniform policy with batches of PROMPTS times GROUP responses."""
    return learn(
        model,
        METHODS[method],
        rule,
        steps=steps,
        prompts=PROMPTS,
        group_size=GROUP,
        seeds=range(first, first + seeds),
    )


def tuned(
    model: SamplingModel, method: str, settings: Parameters, seed: int
) -> tuple[float, StepRule]:
    """Return the step with the best mean J over all steps, on seeds of their own, and its rule."""
    first = TUNING_SEEDS * (seed + 1)
    scores = {}
    for step in STEPS:
        run = sampled(
            model,
            method,
            rule_of(model, method, step),
            settings["steps"],
            settings["tuning"],
            first,
        )
        scores[step] = float(run.values.mean())
    best = max(scores, key=scores.__getitem__)
    return best, rule_of(model, method, best)


def mean_dynamics(model: SamplingModel, method: str, rule: StepRule, steps: int) -> FloatArray:
    """Return J (steps + 1,) where every step is along the exact expected estimate."""
    return exact_ascent(
        model,
        estimator=METHODS[method],
        steps=steps,
        group_size=GROUP,
        prompts=PROMPTS,
        step=rule.step if isinstance(rule, FixedStep) else None,
        smoothness=rule.smoothness if isinstance(rule, SNRStep) else None,
    ).values


def curve_rows(
    family: str, method: str, step: float, values: FloatArray, mean: FloatArray
) -> list[dict[str, Any]]:
    """One row for each point in time: mean dynamics, mean and quantiles of the runs."""
    low, high = np.quantile(values, BAND, axis=0)
    average = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return [
        {
            "family": family,
            "method": method,
            "tuned": step,
            "step": t,
            "dynamics": float(mean[t]),
            "average": float(average[t]),
            "error": float(spread[t]),
            "low": float(low[t]),
            "high": float(high[t]),
        }
        for t in range(len(mean))
    ]


def _step(method: str, step: float) -> str:
    return f"$L/{step:g}$" if method == "oblr-po" else rf"$\eta = {step:g}$"


def _panel(axis: Any, method: str, values: FloatArray, mean: FloatArray) -> None:
    colour = pg_models.METHODS[method].look()["color"]
    time = np.arange(len(mean))
    low, high = np.quantile(values, BAND, axis=0)
    axis.fill_between(
        time, low, high, color=colour, alpha=0.25, linewidth=0, label="10% to 90% of runs"
    )
    for index, path in enumerate(values[:3]):
        axis.plot(
            time, path, color="#7A7A7A", linewidth=0.4, label=None if index else "single runs"
        )
    axis.plot(time, values.mean(axis=0), color=colour, label="mean of runs")
    axis.plot(time, mean, color="black", linestyle=":", label="mean dynamics")


def findings(rows: plotting.Rows) -> str:
    """Say which method learns fastest, and how far runs leave their mean dynamics."""
    last = max(row["step"] for row in rows)
    words = []
    for family, (title, _) in pg_models.FAMILIES.items():
        averages = {
            method: plotting.column(rows, "average", family=family, method=method)
            for method in METHODS
        }
        order = sorted(METHODS, key=lambda method: -averages[method].mean())
        words.append(
            f"{title}: "
            + ", ".join(f"{pg_models.METHODS[m].title} {averages[m].mean():.3f}" for m in order)
        )
    gaps = [
        (float(np.abs(d - a).max()), method, family)
        for family in pg_models.FAMILIES
        for method in METHODS
        for d, a in [
            (
                plotting.column(rows, "dynamics", family=family, method=method),
                plotting.column(rows, "average", family=family, method=method),
            )
        ]
    ]
    (near, least, here), (far, most, there) = min(gaps), max(gaps)
    return (
        f"Mean J over {last} steps, {'; '.join(words)}. The mean of the runs leaves the mean "
        f"dynamics by {near:.3f} at most for {pg_models.METHODS[least].title} "
        f"({pg_models.FAMILIES[here][0]}), and by up to {far:.3f} for "
        f"{pg_models.METHODS[most].title} ({pg_models.FAMILIES[there][0]})."
    )


FIGURE = Figure(
    name="learning-curves",
    title="Sampled runs and mean dynamics",
    caption="Exact expected reward along sampled runs from the uniform policy, batches of "
    f"{PROMPTS} prompts with {GROUP} responses each, the same random numbers for all methods; "
    "bands hold the middle 80% of runs at each step. Dotted: the mean dynamics, where each step "
    "is along the exact expectation of the estimate. Steps are tuned for each method and family "
    "on separate seeds, for the mean of J over the run, over the same grid; for OBLR-PO, the SNR "
    "step, over divisors of the smoothness bound L. Titles give them: the step, or what stands "
    "for L. Unbiased estimators with the same step have the same mean dynamics.",
    source="Huang, Sheng and Zheng (2025); Williams (1992); Kool, van Hoof and Welling (2019); "
    "Shao et al. (2024)",
    draw=draw,
    settings=SETTINGS,
    cost=9.0,
    findings=findings,
)
