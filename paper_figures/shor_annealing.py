"""What does SHOR's annealing change as populations grow, and is it worth having?"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import ArrayLike

from rltheory.analysis import plotting
from rltheory.games.library import load
from rltheory.games.normal_form.matrix_game import Profile
from rltheory.games.oracles.psro import psro
from rltheory.games.oracles.shor import Shor
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"game": "leduc_poker", "iterations": 60},
    "paper": {"game": "leduc_poker", "iterations": 100},
}
KNOBS = ("blend", "temperature", "diversity")
SCHEDULES = {
    "annealed": Shor.training(),
    "as at the start": replace(
        Shor.training(), blend=(0.3, 0.3), temperature=(0.5, 0.5), diversity=(0.05, 0.05)
    ),
    "as at the end": replace(
        Shor.training(), blend=(0.05, 0.05), temperature=(0.01, 0.01), diversity=(0.001, 0.001)
    ),
}
"""Training solvers; evaluation is the same for all."""


@dataclass(frozen=True)
class _Kept:
    """A meta-solver that keeps the mixtures it returned."""

    solver: Shor
    mixtures: list[Profile]

    def __call__(self, payoffs: ArrayLike, iteration: int = 1) -> Profile:
        self.mixtures.append(self.solver(payoffs, iteration))
        return self.mixtures[-1]


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return SHOR's settings, mixtures and exploitability by PSRO iteration."""
    runs = Parallel(n_jobs=-1, prefer="threads")(
        delayed(_run)(name, settings) for name in SCHEDULES
    )
    rows = [row for run in runs for row in run]
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.4)
    tuned, distance, support = axes
    points = settings["iterations"] + 1
    for index, name in enumerate(KNOBS):
        x, y = (plotting.column(rows, key, schedule="annealed") for key in ("iterations", name))
        tuned.plot(x, y, label=name, **plotting.line(index, points=points))
    tuned.set(ylabel="setting", title="annealed tuned")
    for index, name in enumerate(SCHEDULES):
        x, y = (plotting.column(rows, key, schedule=name) for key in ("iterations", "evaluation"))
        distance.plot(x, y, label=name, **plotting.line(index, points=points))
    distance.set(yscale="log", ylabel="exploitability (chips)", title="the evaluated mixture")
    for index, kind in enumerate(("training", "evaluation")):
        x, y = (
            plotting.column(rows, key, schedule="annealed")
            for key in ("iterations", f"{kind}_support")
        )
        support.plot(x, y, label=kind, **plotting.line(index + 3, points=points))
    size = plotting.column(rows, "policies", schedule="annealed")
    support.plot(x, size, label="all", color="black", linewidth=0.8)
    support.set(yscale="log", ylabel="policies in use", title="annealed mixtures")
    for axis in axes:
        axis.set(xlabel="PSRO iterations", xlim=(0, None))
        axis.legend()
    plotting.letter(axes)
    return figure, rows


def _run(schedule: str, settings: Parameters) -> list[dict[str, Any]]:
    training, evaluation = _Kept(SCHEDULES[schedule], []), _Kept(Shor.evaluation(), [])
    result = psro(
        load(settings["game"]),
        training,
        evaluation=evaluation,
        iterations=settings["iterations"],
    )
    rows: list[dict[str, Any]] = []
    pairs = zip(training.mixtures, evaluation.mixtures, strict=True)
    for t, (trained, evaluated) in enumerate(pairs):
        policies = len(trained[0])
        # The solver mixes the first populations at iteration 1.
        inner, *knobs = training.solver.settings_at(policies, t + 1)
        rows.append(
            {"schedule": schedule, "iterations": t, "policies": policies, "inner_steps": inner}
            | dict(zip(KNOBS, knobs, strict=True))
            | {
                "evaluation": float(result.exploitability[t]),
                "training": float(result.training_exploitability[t]),
                "evaluation_support": _support(evaluated),
                "training_support": _support(trained),
            }
        )
    return rows


def _support(mixtures: Profile) -> float:
    """How many policies are in use, exp(entropy), the geometric mean over players."""
    positive = [mixture[mixture > 0] for mixture in mixtures]
    return float(np.exp(np.mean([-np.sum(p * np.log(p)) for p in positive])))


def findings(rows: plotting.Rows) -> str:
    """Say how the schedules end, and what the mixtures come to."""
    last = max(row["iterations"] for row in rows)
    ends = {row["schedule"]: row for row in rows if row["iterations"] == last}
    values = ", ".join(f"{row['evaluation']:.2f} {name}" for name, row in ends.items())
    half = {row["schedule"]: row for row in rows if row["iterations"] == last // 2}
    middle = ", ".join(f"{row['evaluation']:.2f} {name}" for name, row in half.items())
    row = ends["annealed"]
    return (
        f"After {last // 2} iterations the evaluated mixture is exploitable by {middle}; after "
        f"{last} by {values}. Of {row['policies']} policies the annealed solver then trains "
        f"against {row['training_support']:.1f} and evaluates {row['evaluation_support']:.1f}."
    )


FIGURE = Figure(
    name="shor-annealing",
    title="SHOR's annealing on Leduc poker",
    caption="(a) The weight of the soft best response, its temperature and the bonus for neglected "
    "policies fall over 75 iterations of PSRO. (b) Exploitability (NashConv / 2) of the evaluation "
    "meta-strategy when the training solver is annealed, when it stays as at the start, and when "
    "it is from the beginning as at the end; evaluation is the same in all three. (c) How many "
    "policies the annealed training mixture and the sharp evaluation mixture use, exp of the "
    "entropy, geometric mean over players.",
    source="Li, Schultz, Hennes and Lanctot (2026, version 1), SHOR-PSRO",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
