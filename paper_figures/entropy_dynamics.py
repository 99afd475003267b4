"""What does each method of policy optimisation do to the entropy along the way?"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.zoo.aepo import switching, tempered_term
from rltheory.analysis.zoo.bapo import AdaptiveClip, balanced_gradient
from rltheory.analysis.zoo.empg import modulated_gradient
from rltheory.analysis.zoo.entropy import mean_entropy
from rltheory.analysis.zoo.epo import (
    Corridor,
    phase_weight,
    reference_entropy,
    regulariser_gradient,
)
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 300, "models": 1},
    "paper": {"steps": 1500, "models": 5},
}
VOCABULARY, DEPTH, RIGHT = 3, 3, 5
RATE, GROUP, EPOCHS = 1.0, 8, 4
TARGET, TERM = 0.3, 2.0
"""Of AEPO: mean entropy of a token in nats, and the weight of the tempered term."""
BONUS, CORRIDOR = 0.05, Corridor(low=0.8, high=1.2, slope=1.0)
"""Of EPO: a narrower corridor and steeper walls than the published ones, which are never met."""
REACHED = 0.9
"""The expected reward at which entropies are compared: methods differ in speed."""

LEAST = 1e-4
"""The end of the axis of wrong responses; some methods go on, their entropy at rest."""

Path = Iterator[FloatArray]
"""Parameters before the first step and after each step, without end."""


def reinforce(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow the gradient."""
    while True:
        yield point
        point = point + RATE * model.at(point).gradient


def natural(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow the natural gradient, at a step of a tenth: the Fisher matrix is small."""
    while True:
        yield point
        outcomes = model.at(point)
        fisher = outcomes.scores.T @ (outcomes.joint[:, None] * outcomes.scores)
        step = np.linalg.lstsq(fisher, outcomes.gradient, rcond=1e-10)[0]
        point = point + 0.1 * RATE * step


def grpo(model: SamplingModel, point: FloatArray, steps: int, *, epochs: int = 1) -> Path:
    """Follow GRPO's expected estimate, clipped against the policy that drew after one epoch."""
    while True:
        yield point
        drawn = point
        for epoch in range(epochs):
            moments = estimator_moments(
                model, "grpo", parameters=point, behaviour=drawn if epoch else None,
                group_size=GROUP, covariance=False,
            )  # fmt: skip
            point = point + RATE * moments.mean


def aepo(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow the gradient and the tempered term, its temperature by the entropy."""
    thermostat = switching(TARGET)
    while True:
        yield point
        heat = thermostat(mean_entropy(model, point))
        ascent = model.at(point).gradient + TERM * tempered_term(model, point, heat)
        point = point + RATE * ascent


def bapo(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow BAPO's objective for as many epochs as clipped GRPO, in the limit of large groups."""
    while True:
        yield point
        drawn = point
        gains = _standardised(model, drawn)
        for _ in range(EPOCHS):
            gradient, _ = balanced_gradient(model, point, drawn, gains, AdaptiveClip())
            point = point + RATE * gradient


def empg(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow EMPG with standardised advantages; a response's tokens are its steps."""
    while True:
        yield point
        gradient = modulated_gradient(model, point, _standardised(model, point))
        point = point + RATE * gradient / DEPTH


def epo(model: SamplingModel, point: FloatArray, steps: int) -> Path:
    """Follow EPO with the gradient as its policy loss."""
    history: list[float] = []
    while True:
        yield point
        reference = reference_entropy(history)
        phase = phase_weight(min(len(history), steps - 1), steps)
        history.append(mean_entropy(model, point))
        pull = regulariser_gradient(model, point, reference, CORRIDOR, phase=phase)
        point = point + RATE * (model.at(point).gradient + BONUS * pull)


METHODS: dict[str, Callable[..., Path]] = {
    "REINFORCE": reinforce,
    "natural gradient": natural,
    "GRPO": grpo,
    f"GRPO, clip, {EPOCHS} epochs": partial(grpo, epochs=EPOCHS),
    f"BAPO, {EPOCHS} epochs": bapo,
    "EMPG": empg,
    "EPO": epo,
    f"AEPO, target {TARGET:g}": aepo,
}


def _standardised(model: SamplingModel, point: FloatArray) -> FloatArray:
    """Return the rewards less their mean, over their standard deviation, of a large group."""
    away = model.rewards - model.value(point)
    spread = np.sqrt(model.at(point).joint @ away**2)
    return np.asarray(away / spread)


def problem(seed: int, index: int) -> tuple[SamplingModel, FloatArray]:
    """Return a tree whose responses are right or wrong, and a policy to start from."""
    rng = np.random.default_rng([seed, index])
    rewards = np.zeros((1, VOCABULARY**DEPTH))
    rewards[0, rng.choice(VOCABULARY**DEPTH, RIGHT, replace=False)] = 1.0
    model = token_tree(VOCABULARY, DEPTH, rewards)
    return model, 0.5 * rng.standard_normal(model.size)


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return mean entropies and expected rewards along exact runs of each method."""
    steps = settings["steps"]
    marks = np.unique(np.append(0, np.geomspace(1, steps, 60).round().astype(int)))
    rows: list[dict[str, Any]] = []
    for index in range(settings["models"]):
        model, start = problem(seed, index)
        for name, method in METHODS.items():
            points = method(model, start, steps)
            for k, point in zip(range(steps + 1), points, strict=False):
                if k in marks:
                    rows.append(
                        {
                            "model": index,
                            "method": name,
                            "step": k,
                            "entropy": mean_entropy(model, point),
                            "value": model.value(point),
                        }
                    )
    figure, axes = plotting.panels(1, 2, width=plotting.PAGE, height=3.3, sharey=True)
    for number, name in enumerate(METHODS):
        first = [r for r in rows if r["method"] == name and r["model"] == 0]
        look = plotting.line(number, points=len(first))
        times, entropies, values = (
            plotting.column(first, key) for key in ("step", "entropy", "value")
        )
        axes[0].plot(times, entropies, label=name, **look)
        axes[1].plot(1.0 - values, entropies, **look)
    for axis in axes:
        axis.axhline(TARGET, color="#888888", linewidth=0.8, zorder=0)
    axes[0].set_xscale("symlog", linthresh=1.0)
    axes[1].set_xscale("log")
    axes[1].set_xlim(1.0, LEAST)
    axes[0].set(
        xlabel="step", ylabel="mean entropy of a token, nats", xlim=(0, steps), ylim=(0, None)
    )
    axes[1].set(xlabel="probability of a wrong response")
    axes[0].set_title("along the run")
    axes[1].set_title("against what was learnt")
    plotting.letter(axes)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure, rows


def findings(rows: plotting.Rows) -> str:
    """Say what entropy each method has where the reward is reached, and at the end."""
    last = max(r["step"] for r in rows)
    models = sorted({r["model"] for r in rows})
    met: dict[str, float] = {}
    never = []
    for name in METHODS:
        reached = []
        for model in models:
            mine = [r for r in rows if r["method"] == name and r["model"] == model]
            reached += [r["entropy"] for r in mine if r["value"] >= REACHED][:1]
        if len(reached) == len(models):
            met[name] = float(np.mean(reached))
        else:
            never.append(name)
    ends = [r for r in rows if r["step"] == last]
    final = {name: plotting.column(ends, "entropy", method=name).mean() for name in METHODS}
    held = f"AEPO, target {TARGET:g}"
    low = [name for name in METHODS if final[name] < 0.1]
    order = sorted(met, key=lambda name: -met[name])
    words = "; ".join(f"{name} {met[name]:.2f}" for name in order)
    late = f"; not all runs of {' and '.join(never)} come to it" if never else ""
    where = f"On average over {len(models)} trees" if len(models) > 1 else "On this tree"
    return (
        f"{where}, when the expected reward first reads {REACHED:g} or more, a token's mean "
        f"entropy is, in nats: {words}{late}. After {last} steps it is below 0.1 for "
        f"{'; '.join(low) if low else 'no method'}. AEPO has {final[held]:.2f} then, and an "
        f"expected reward of {plotting.column(ends, 'value', method=held).mean():.3f}."
    )


FIGURE = Figure(
    name="entropy-dynamics",
    title="Entropy along exact training",
    caption=f"A tree of {VOCABULARY**DEPTH} responses of {DEPTH} tokens, {RIGHT} of them right, "
    "from one policy near the uniform one; the first tree is drawn. Every step is the expected "
    f"step: nothing is sampled. GRPO has groups of {GROUP}; both its clipped form and BAPO take "
    f"{EPOCHS} epochs on what one policy drew. BAPO's bounds stay at 0.6 and 1.2, where they "
    "start: with centred advantages and responses of one length positive signals are half of all "
    "on policy, and more in later epochs. Speeds are not comparable (a), as some advantages "
    "are divided by their standard deviation and AEPO adds a second term; against the probability "
    "of a wrong response (b) the methods are. The grey line is AEPO's target. EPO has a bonus of "
    f"{BONUS:g} and a corridor of {CORRIDOR.low:g} to {CORRIDOR.high:g} times the mean of the "
    "past.",
    source="Williams (1992); Kakade (2001); Shao et al. (2024); Wang et al. (2025), AEPO and EMPG; "
    "Xi et al. (2025); Xu et al. (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
