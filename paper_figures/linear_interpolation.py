"""What lies between the robust optimum and the reference policy as the temperature rises?"""

from typing import Any

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import RobustLinearMDP, dr_lsvi_ucb, dr_rpo, plan
from rltheory.paper_figures import linear_worlds
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"points": 41, "learnt": 9, "episodes": 1000, "seeds": 8},
    "paper": {"points": 121, "learnt": 13, "episodes": 1000, "seeds": 40},
}
RADIUS = 0.5
BONUS = 0.1
COLDEST, WARMEST = 1e-3, 1e2
REFERENCES = {
    "uniform": "uniform reference",
    "nominal": "reference near the nominal optimum",
}
MIXED = 0.2
"""The share of the uniform policy in the reference near the nominal optimum."""
TIE = 1e-9
"""Actions whose values differ by less are equally good; rounding is a millionth of that."""
VALUES = {"plain": "no adversary", "robust": "worst case", "objective": "worst case less payment"}
SPREADS = {"paid": "divergence from the reference", "entropy": "entropy"}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return values, divergences and entropies by temperature, planned and learnt."""
    model = linear_worlds.source(RADIUS)
    nominal = plan(model.nominal).policy
    flat = np.full_like(nominal, 1.0 / model.nominal.actions)
    references = {"uniform": flat, "nominal": (1.0 - MIXED) * nominal + MIXED * flat}
    best = plan(model).action_values
    best = best >= best.max(axis=-1, keepdims=True) - TIE
    rows = []
    for name, reference in references.items():
        # What the softmax tends to: the reference's own choice between the best actions.
        greedy = np.where(best, reference, 0.0)
        greedy /= greedy.sum(axis=-1, keepdims=True)
        for kind, policy in (("robust optimum", greedy), ("reference", reference)):
            rows.append(_row(model, name, kind, None, reference, [policy]))
        for heat in np.geomspace(COLDEST, WARMEST, settings["points"]):
            policy = plan(model, temperature=heat, reference=reference).policy
            rows.append(_row(model, name, "planned", float(heat), reference, [policy]))
    heats = np.geomspace(COLDEST, WARMEST, settings["learnt"])
    tasks = [(name, float(heat)) for name in references for heat in (0.0, *heats)]

    def learn(name: str, heat: float) -> list[FloatArray]:
        common: dict[str, Any] = {
            "bonus": BONUS, "ridge": linear_worlds.RIDGE, "checkpoints": [],
            "episodes": settings["episodes"],
        }  # fmt: skip
        policies = []
        for k in range(settings["seeds"]):
            common["seed"] = np.random.default_rng([seed, k])
            if heat == 0.0:
                run = dr_lsvi_ucb(model, **common)
            else:
                run = dr_rpo(model, temperature=heat, reference=references[name], **common)
            policies.append(run.learnt.policy)
        return policies

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(learn)(*task) for task in tasks)
    for (name, heat), policies in zip(tasks, found, strict=True):
        rows.append(_row(model, name, "learnt", heat, references[name], policies))
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=4.8, sharex=True)
    for row, name in enumerate(REFERENCES):
        for column, curves in enumerate((VALUES, SPREADS)):
            axis = axes[row, column]
            _paint(axis, rows, name, curves)
            axis.set(xscale="log", title=REFERENCES[name])
            axis.set_ylabel("reward from the start" if not column else "nats from the start")
            if row:
                axis.set_xlabel(r"temperature $\eta$ (units of reward)")
    for column in range(2):
        axes[0, column].legend(loc="best")
    plotting.letter(axes)
    return figure, rows


def _paint(axis: Any, rows: plotting.Rows, name: str, curves: dict[str, str]) -> None:
    heats = plotting.column(rows, "temperature", reference=name, kind="planned")
    dots = plotting.column(rows, "temperature", reference=name, kind="learnt").astype(float)
    # Temperature 0 has no place on a logarithmic axis: half a decade left of the coldest.
    dots[dots == 0.0] = COLDEST / 3.0
    for index, (key, label) in enumerate(curves.items()):
        look = plotting.line(index)
        style = {"color": look["color"], "linestyle": look["linestyle"]}
        axis.plot(
            heats, plotting.column(rows, key, reference=name, kind="planned"), label=label, **style
        )
        middle = plotting.column(rows, key, reference=name, kind="learnt")
        spread = plotting.column(rows, f"{key}_spread", reference=name, kind="learnt")
        axis.errorbar(dots, middle, spread, fmt=look["marker"], color=look["color"], elinewidth=0.8)
        for kind, edge in (("robust optimum", COLDEST / 3.0), ("reference", 3.0 * WARMEST)):
            (level,) = plotting.column(rows, key, reference=name, kind=kind)
            axis.plot([edge / 1.6, edge * 1.6], [level, level], color="black", linewidth=1.2)
    axis.set_xlim(COLDEST / 6.0, 6.0 * WARMEST)


def _row(
    model: RobustLinearMDP,
    name: str,
    kind: str,
    heat: float | None,
    reference: FloatArray,
    policies: list[FloatArray],
) -> dict[str, Any]:
    found: dict[str, list[float]] = {key: [] for key in (*VALUES, *SPREADS)}
    most = model.nominal.horizon * np.log(model.nominal.actions)
    for policy in policies:
        found["plain"].append(linear_worlds.start_value(model.nominal, policy=policy))
        found["robust"].append(linear_worlds.start_value(model, policy=policy))
        regular = {"temperature": heat, "reference": reference} if heat else {}
        found["objective"].append(linear_worlds.start_value(model, policy=policy, **regular))
        found["paid"].append(linear_worlds.paid(model.nominal, policy, reference))
        found["entropy"].append(most - linear_worlds.paid(model.nominal, policy, None))
    row: dict[str, Any] = {"reference": name, "kind": kind, "temperature": heat}
    for key, values in found.items():
        row[key] = float(np.mean(values))
        row[f"{key}_spread"] = float(np.std(values))
    return row


def findings(rows: plotting.Rows) -> str:
    """Say how far the ends are from their limits, whether robustness falls, and what is learnt."""
    words = []
    for name, title in REFERENCES.items():
        robust = plotting.column(rows, "robust", reference=name, kind="planned")
        plain = plotting.column(rows, "plain", reference=name, kind="planned")
        heats = plotting.column(rows, "temperature", reference=name, kind="planned")
        (top,) = plotting.column(rows, "robust", reference=name, kind="robust optimum")
        (end,) = plotting.column(rows, "robust", reference=name, kind="reference")
        order = "never rises" if (np.diff(robust) <= 1e-12).all() else "does not only fall"
        best = int(plain.argmax())
        words.append(
            f"with the {title} the value in the worst case {order} with the temperature and ends "
            f"within {abs(top - robust[0]):.1e} and {abs(robust[-1] - end):.1e} of its limits, "
            f"while the value without adversary is largest at temperature {heats[best]:.2g}"
        )
    learnt = [row for row in rows if row["kind"] == "learnt"]
    gaps = []
    for row in learnt:
        heat = row["temperature"]
        exact = "planned" if heat else "robust optimum"
        same = [r for r in rows if r["kind"] == exact and r["reference"] == row["reference"]]
        near = min(same, key=lambda r: abs(np.log((r["temperature"] or 1.0) / (heat or 1.0))))
        gaps.append((near["objective"] - row["objective"], row))
    worst, where = max(gaps, key=lambda pair: pair[0])
    return (
        f"Here, {'; '.join(words)}. What is learnt loses at most {worst:.1e} of its own objective, "
        f"on average over the seeds, at temperature {where['temperature']:.2g}."
    )


FIGURE = Figure(
    name="temperature",
    title="Between the robust optimum and the reference",
    caption=f"The off-dynamics MDP with total variation of radius {RADIUS} on the paying factor. "
    "The policy pays temperature times its divergence from a reference: the uniform policy, or "
    f"the nominal optimum mixed with a share of {MIXED} of it. Lines: the optimum of this, planned "
    "exactly; (a, c) its values without adversary, in the worst case and less the payment; (b, d) "
    "its divergence from the reference and its entropy, expected to add up without adversary. "
    "Black marks are the limits: the robust optimum on the left, the reference on the right. "
    "Symbols with bars of a standard deviation over seeds are learnt: by DR-LSVI-UCB over the left "
    "mark, elsewhere by DR-RPO. The robust optimum chooses between equally good actions as the "
    "reference does; DR-LSVI-UCB takes one of them, which is further away. Between the limits the "
    "policy need not be a compromise: without adversary it can earn more than both.",
    source="Gu, He, Liu and Xu (2025), the regularised robust objective (abstract read)",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
