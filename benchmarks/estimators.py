"""Policy-gradient estimators: exact moments of a large model, backends, the sampled comparison.

`python -m benchmarks.estimators short` runs everything at a size that takes a few seconds.
"""

import os
import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.common import Claim, medians, table, timed
from rltheory.analysis.estimators.comparison import FAMILIES, METHODS, compare
from rltheory.analysis.estimators.learning import learn
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import SamplingModel, contextual_bandit
from rltheory.analysis.estimators.smoothness import smoothness
from rltheory.analysis.estimators.step_rules import SNRStep

AGREEMENT = 1e-10
"""How far the values of NumPy and JAX may be apart after the same steps."""


@dataclass(frozen=True)
class Scale:
    """How much is run. outcomes: prompts, responses and parameters of the large model."""

    seeds: int = 500
    steps: int = 1000
    outcomes: tuple[int, int, int] = (100, 100, 1000)
    agreement_steps: int = 50


SHORT = Scale(20, 50, (20, 50, 100), 20)


def report(scale: Scale | None = None) -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    size = scale or Scale()
    moments, moments_claims = _moments(size)
    loops = _loops(size)
    compared, compared_claims = _compared(size)
    sections = {
        "Exact moments": moments,
        "One learner, two backends": loops,
        "The sampled comparison": compared,
    }
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in sections.items())
    return text, moments_claims + compared_claims


def large_model(prompts: int, arms: int, parameters: int) -> SamplingModel:
    """Return a contextual bandit with normal features that all prompts share."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((prompts, arms, parameters)) / np.sqrt(parameters)
    return contextual_bandit(rng.random((prompts, arms)), parametrisation=features)


def _moments(size: Scale) -> tuple[str, list[Claim]]:
    model = large_model(*size.outcomes)
    point = np.random.default_rng(1).standard_normal(model.size)
    outcomes = model.at(point)
    rows, worst = [], 0.0
    for name in ("reinforce", "rloo", "optimal"):
        for whole in (True, False):
            sizes = {"group_size": 8, "prompts": 4, "covariance": whole}
            run = partial(estimator_moments, model, name, parameters=point, **sizes)
            found = run()
            # The trace, by a sum over outcomes that knows nothing of groups.
            if name == "reinforce":
                spread = outcomes.joint @ (outcomes.squared_norms * outcomes.rewards**2)
                means = found.within + found.between
                if not abs(_one_sample(outcomes, spread) - means) <= 1e-9 * spread:
                    raise SystemExit("exact moments differ from the plain sum")
            seconds = medians({"run": partial(timed, run)}, repeats=5, budget=20.0)["run"]
            worst = max(worst, seconds)
            rows.append([name, "whole" if whole else "diagonal", f"{seconds:.3f}"])
    m, arms, k = size.outcomes
    note = (
        f"{m * arms:,} outcomes ({m} prompts with {arms} responses), {k:,} parameters, groups of 8 "
        "responses to each of 4 prompts; probabilities and scores of all outcomes count."
    )
    title = f"estimators: exact moments, {m * arms:,} outcomes and {k:,} parameters, in seconds"
    return (
        f"{note}\n\n{table(['estimator', 'covariance', 'seconds'], rows)}",
        [Claim(title, worst, 1.0)],
    )


def _one_sample(outcomes, spread):  # type: ignore[no-untyped-def]
    """Return the variance of four prompts with eight responses each from that of one response."""
    scored = outcomes.joint[:, None] * outcomes.rewards[:, None] * outcomes.scores
    given = np.add.reduceat(scored, outcomes.starts[:-1], axis=0) / outcomes.weights[:, None]
    squares = outcomes.weights @ (given * given).sum(axis=1)
    gradient = outcomes.gradient @ outcomes.gradient
    return (spread - squares) / 32 + (squares - gradient) / 4


def _loops(size: Scale) -> str:
    """Time OBLR-PO on both backends after their values have been found to agree."""
    rows = []
    for family, build in FAMILIES.items():
        model = build()
        rule = SNRStep(smoothness=smoothness(model))
        run = partial(learn, model, "oblr", rule, prompts=4, group_size=4)
        short = [
            run(steps=size.agreement_steps, seeds=16, backend=backend).values
            for backend in ("numpy", "jax")
        ]
        off = float(np.abs(short[0] - short[1]).max())
        if not off <= AGREEMENT:
            raise SystemExit(f"{family}: values of NumPy and JAX are {off:g} apart")
        cells = [family, f"{off:.1e}"]
        for backend in ("numpy", "jax"):
            first = timed(partial(run, steps=size.steps, seeds=size.seeds, backend=backend))
            again = timed(partial(run, steps=size.steps, seeds=size.seeds, backend=backend))
            cells += [f"{first:.2f}", f"{again:.2f}"]
        rows.append(cells)
    note = (
        f"OBLR-PO, {size.seeds} seeds x {size.steps:,} steps of 4 prompts with 4 responses, in "
        "seconds; JAX compiles in its first run."
    )
    header = ["model", "apart", "NumPy", "again", "JAX", "again"]
    return f"{note}\n\n{table(header, rows)}"


def _compared(size: Scale) -> tuple[str, list[Claim]]:
    began = time.perf_counter()
    workers = os.cpu_count() or 1
    rows = compare(seeds=size.seeds, steps=size.steps, workers=workers)
    seconds = time.perf_counter() - began
    lines = [
        [row.model, row.method, f"{row.multiple:g}", f"{row.final:.4f}",
         f"{row.low:.4f} to {row.high:.4f}", f"{row.area:.4f}",
         f"{100 * row.win_rates['RLOO']:.0f} %", f"{100 * row.win_rates['OBLR-PO']:.0f} %"]
        for row in rows
    ]  # fmt: skip
    header = ["model", "method", "step, in 1 / L", "final J", "95 % interval", "mean J"]
    header += ["better than RLOO", "better than OBLR-PO"]
    note = (
        f"{size.seeds} seeds x {size.steps:,} steps of 4 prompts with 4 responses, same starts and "
        "random numbers, exact J. Fixed steps are the best of one grid for each method and model, "
        "chosen on 48 seeds of their own, which counts in the time; intervals are bootstrapped "
        f"over seeds; ties count half. {seconds:.0f} s with {workers} processes."
    )
    title = (
        f"estimators: {size.seeds} seeds x {size.steps:,} steps, {len(METHODS)} methods on "
        f"{len(FAMILIES)} models, in seconds"
    )
    return f"{note}\n\n{table(header, lines)}", [Claim(title, seconds, 60.0)]


if __name__ == "__main__":
    text, found = report(SHORT if sys.argv[1:] == ["short"] else None)
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
