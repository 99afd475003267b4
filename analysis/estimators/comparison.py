"""One harness for learners: the same starts, the same random numbers, the exact J of every policy.

Methods differ in how they weigh responses and in how they step. A fixed step is chosen for each
method and model from one grid of multiples of 1 / L, by the mean final J on seeds of its own; the
SNR step takes L as it is. Source: the comparison is ours, of the methods named in `weights`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_positive_integer, check_range
from rltheory.analysis.estimators.learning import learn
from rltheory.analysis.estimators.sampling_model import (
    SamplingModel,
    contextual_bandit,
    softmax_bandit,
)
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.step_rules import FixedStep, SNRStep, StepRule
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import estimator_of

GRID = (0.0625, 0.25, 1.0, 4.0, 16.0, 64.0)
"""Multiples of 1 / L that a step is chosen from."""

TUNING_SEED = 10**6
"""Seeds from this one on choose steps; the compared runs have seeds from 0 on."""


@dataclass(frozen=True)
class Method:
    """An estimator by name and its step: fixed or by the SNR; tuned: times a multiple of the grid.

    A fixed step that is not tuned is 1 / L.
    """

    title: str
    estimator: str
    by_noise: bool = False
    tuned: bool = True

    def rule(self, constant: float, decay: float) -> StepRule:
        """Return the rule for a model of smoothness `constant`, before a multiple."""
        if self.by_noise:
            return SNRStep(smoothness=constant, decay=decay)
        return FixedStep(1.0 / constant)


METHODS = (
    Method("REINFORCE", "reinforce"),
    Method("Group mean", "mean"),
    Method("RLOO", "rloo"),
    Method("GRPO", "grpo"),
    Method("Dr. GRPO", "dr-grpo"),
    Method("ReMax", "remax"),
    Method("REINFORCE++", "reinforce++"),
    Method("OBLR, fixed step", "oblr"),
    Method("Exact optimal baseline, fixed step", "optimal"),
    Method("Group mean, SNR step", "mean", by_noise=True, tuned=False),
    Method("OBLR-PO", "oblr", by_noise=True, tuned=False),
    Method("OBLR-PO, scaled", "oblr", by_noise=True),
    Method("Exact optimal baseline, SNR step", "optimal", by_noise=True, tuned=False),
)
"""On policy Dr. GRPO is the group mean, and both are RLOO with a step shorter by (G - 1) / G."""


def softmax_family() -> SamplingModel:
    """Return a bandit of ten arms with one logit each, rewards uniform in [0, 1]."""
    return softmax_bandit(np.random.default_rng(7).random(10))


def contextual_family() -> SamplingModel:
    """Return six prompts with five arms each, logits linear in four normal features they share."""
    rng = np.random.default_rng(11)
    features = rng.standard_normal((6, 5, 4))
    # What the features explain of the rewards, and as much that they do not.
    explained = features @ rng.standard_normal(4)
    rewards = explained / np.abs(explained).max() + rng.uniform(-1, 1, (6, 5))
    return contextual_bandit((rewards + 2.0) / 4.0, parametrisation=features)


def tree_family() -> SamplingModel:
    """Return two prompts answered by three of three tokens, rewards uniform in [0, 1]."""
    return token_tree(3, 3, np.random.default_rng(13).random((2, 27)))


FAMILIES: Mapping[str, Callable[[], SamplingModel]] = {
    "softmax bandit": softmax_family,
    "contextual bandit": contextual_family,
    "token tree": tree_family,
}


@dataclass(frozen=True, eq=False)
class ComparisonRow:
    """What one method reached on one model, over s seeds and T steps.

    final: mean J at the end, between low and high, the bootstrap interval of the mean; area: mean
    of J over the run; multiple: of 1 / L that its steps were scaled by; finals: (s,);
    curve: (T + 1,) mean J; band: (2, T + 1) quantiles 0.1 and 0.9 over seeds;
    win_rates: for each method the share of seeds on which this one's final J is higher, ties half.
    """

    model: str
    method: str
    final: float
    low: float
    high: float
    area: float
    multiple: float
    finals: FloatArray
    curve: FloatArray
    band: FloatArray
    win_rates: Mapping[str, float]


def compare(
    models: Mapping[str, SamplingModel] | None = None,
    methods: Sequence[Method] = METHODS,
    *,
    seeds: int = 500,
    steps: int = 1000,
    prompts: int = 4,
    group_size: int = 4,
    decay: float = 0.9,
    grid: Sequence[float] = GRID,
    tuning_seeds: int = 48,
    confidence: float = 0.95,
    workers: int = 1,
    backend: str = "numpy",
) -> list[ComparisonRow]:
    """Return a row for each model and method, in this order.

    All runs start at zero parameters, the uniform policy where logits are linear, and seed i draws
    the same uniforms for all methods. models: those of `FAMILIES` by default. workers: processes.
    The bootstrap resamples seeds. Raises ValueError naming an argument that does not fit.
    """
    for number, name in ((tuning_seeds, "tuning_seeds"), (workers, "workers")):
        check_positive_integer(number, name)
    check_range(confidence, "confidence", 0.0, 1.0, include_high=False)
    titles = [method.title for method in methods]
    if len(set(titles)) != len(titles) or not titles:
        raise ValueError(f"methods has the titles {titles}; expected at least one, all different")
    multiples = [check_range(m, "grid", 0.0, np.inf, include_high=False) for m in grid]
    if not multiples or min(multiples) == 0:
        raise ValueError(f"grid is {tuple(grid)}; expected positive multiples of 1 / L")
    for method in methods:
        estimator_of(method.estimator)
    chosen = {name: build() for name, build in FAMILIES.items()} if models is None else models
    jobs = [(model, method) for model in chosen.values() for method in methods]
    settings = {
        "steps": steps, "prompts": prompts, "group_size": group_size, "backend": backend,
    }  # fmt: skip

    def one(model: SamplingModel, method: Method) -> tuple[float, FloatArray]:
        return _trained(model, method, settings, seeds, decay, multiples, tuning_seeds)

    if workers == 1:
        found = [one(*job) for job in jobs]
    else:
        from joblib import Parallel, delayed

        # The largest models come last; one at a time keeps the workers even.
        found = Parallel(n_jobs=workers, batch_size=1)(delayed(one)(*job) for job in jobs[::-1])
        found = found[::-1]
    rows = []
    for position, name in enumerate(chosen):
        part = found[position * len(titles) : (position + 1) * len(titles)]
        finals = np.stack([values[:, -1] for _, values in part])
        for i, (multiple, values) in enumerate(part):
            low, high = _interval(finals[i], confidence)
            rows.append(
                ComparisonRow(
                    model=name,
                    method=titles[i],
                    final=float(finals[i].mean()),
                    low=low,
                    high=high,
                    area=float(values.mean()),
                    multiple=multiple,
                    finals=finals[i],
                    curve=values.mean(axis=0),
                    band=np.quantile(values, [0.1, 0.9], axis=0),
                    win_rates={t: _wins(finals[i], finals[j]) for j, t in enumerate(titles)},
                )
            )
    return rows


def _trained(
    model: SamplingModel,
    method: Method,
    settings: dict[str, Any],
    seeds: int,
    decay: float,
    grid: Sequence[float],
    tuning_seeds: int,
) -> tuple[float, FloatArray]:
    """Return the multiple that a method takes and the values (s, T + 1) of its runs."""
    rule = method.rule(smoothness(model), decay)
    multiple = 1.0
    if method.tuned:
        trial = np.tile(TUNING_SEED + np.arange(tuning_seeds), len(grid))
        scales = np.repeat(grid, tuning_seeds)
        run = learn(model, method.estimator, rule, seeds=trial, step_scale=scales, **settings)
        means = run.values[:, -1].reshape(len(grid), -1).mean(axis=1)
        multiple = float(grid[int(means.argmax())])
    run = learn(model, method.estimator, rule, seeds=seeds, step_scale=multiple, **settings)
    return multiple, run.values


def _interval(finals: FloatArray, confidence: float, resamples: int = 2000) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over seeds."""
    drawn = np.random.default_rng(0).integers(len(finals), size=(resamples, len(finals)))
    tail = 0.5 * (1.0 - confidence)
    low, high = np.quantile(finals[drawn].mean(axis=1), [tail, 1.0 - tail])
    return float(low), float(high)


def _wins(ours: FloatArray, theirs: FloatArray) -> float:
    return float(np.mean(ours > theirs) + 0.5 * np.mean(ours == theirs))
