"""Which pessimistic learners keep reward in a worse world, from data of the better one?"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.linear_mdp import (
    Dataset,
    LinearMDP,
    RobustLinearMDP,
    collect,
    drpvi,
    pevi,
    plan,
    r2pvi,
)
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.offline import summarise
from rltheory.paper_figures import linear_runs
from rltheory.paper_figures.linear_runs import listing, look
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.uncertainty import (
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
)

PEVI, NOMINAL, EXACT = "PEVI", "optimal nominal policy", ", planned exactly"
RADII = {radius: f"DRPVI TV, radius {radius:g}" for radius in (0.1, 0.3, 0.5)}
TV, KL, CHI = "R2PVI TV", "R2PVI KL", "R2PVI chi-square"
MINIMISED = f"{CHI}, minimised"
SETS = {TV: PenalisedTotalVariation, KL: PenalisedKullbackLeibler, CHI: PenalisedChiSquare}
BALLS = "balls"
"""The kind of panel whose sets are balls; the others are named by their penalty."""

LOOKS = {
    PEVI: look(0),
    **{name: look(index) for index, name in enumerate(RADII.values(), start=1)},
    TV: look(4),
    KL: look(5),
    CHI: look(2, linestyle="--", marker="X"),
    MINIMISED: look(1, linestyle=":", marker="*"),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"runs": 20, "perturbations": 11, "xi": [0.1, 0.2, 0.3], "penalties": [0.1, 1.0]},
    "paper": {"runs": 200, "perturbations": 21, "xi": [0.1, 0.2, 0.3], "penalties": [0.1, 1.0]},
}

Learn = Callable[[Dataset], Any]
"""From data to a policy."""


def learners(model: LinearMDP, penalties: list[float]) -> dict[str, dict[str, tuple[Learn, Any]]]:
    """Return what is learnt by panel and name, with the exactly optimal policy of its problem."""
    given: dict[str, Any] = {"bonus_form": "diagonal", "ridge": linear_runs.RIDGE}
    panels: dict[str, dict[str, tuple[Learn, Any]]] = {BALLS: {}}
    for radius, name in RADII.items():
        robust = RobustLinearMDP(model, linear_runs.first_step(model, radius))
        panels[BALLS][name] = (partial(_policy, drpvi, robust, given), plan(robust).policy)
    for penalty in penalties:
        panel: dict[str, tuple[Learn, Any]] = {}
        for name, kind in SETS.items():
            robust = RobustLinearMDP(model, kind(penalty))
            panel[name] = (partial(_policy, r2pvi, robust, given), plan(robust).policy)
        wrong = partial(minimised, model, penalty=penalty, ridge=linear_runs.RIDGE)
        panel[MINIMISED] = (wrong, panel[CHI][1])
        panels[f"penalty {penalty:g}"] = panel
    return panels


def _policy(learn: Any, model: Any, given: dict[str, Any], data: Dataset) -> Any:
    return learn(model, data, **given).policy


def minimised(model: LinearMDP, data: Dataset, *, penalty: float, ridge: float) -> NDArray[Any]:
    """Return the policy (H, S, A) of R2PVI for chi-square with its dual minimised.

    As the published code has it: nu_i is the least value over alpha in [0, H] of
    z + (z^2 - z_2) / (4 penalty), with z the estimated mean of min(V, alpha), z_2 that of its
    square, where duality wants the greatest; values are not clipped below. Bonus of scale 1.
    """
    memory = summarise(model, data, ridge=ridge)
    policy = np.zeros(model.rewards.shape)
    values = np.zeros(model.states)
    for h in reversed(range(model.horizon)):
        nu = np.zeros(model.dimension)
        if h + 1 < model.horizon:
            nu = np.array(
                [
                    _least(values, weights, penalty, float(model.horizon))
                    for weights in memory.weights[h].T
                ]
            )
        spread = np.sqrt(np.square(model.features) @ np.diag(memory.inverse[h]))
        q = np.minimum(model.rewards[h] + model.features @ nu - spread, model.horizon - h)
        policy[h, np.arange(model.states), q.argmax(axis=1)] = 1.0
        values = q.max(axis=1)
        values[model.fail_state] = 0.0
    return policy


def _least(values: NDArray[Any], weights: NDArray[Any], penalty: float, top: float) -> float:
    """Return the least value of the dual on [0, top], of estimates with these weights (S,).

    Between two values it is quadratic in alpha, so that ends and vertices are all there is to try.
    """
    ends = np.unique(np.concatenate([[0.0, top], values[(values > 0) & (values < top)]]))
    below, above = ends[:-1], ends[1:]
    low = values[:, None] <= below
    mass = weights @ ~low
    kept, squares = weights @ (low * values[:, None]), weights @ (low * values[:, None] ** 2)
    # On a piece: kept + mass a + ((kept + mass a)^2 - squares - mass a^2) / (4 penalty).
    curvature = (mass**2 - mass) / (4 * penalty)
    slope = mass + kept * mass / (2 * penalty)
    with np.errstate(divide="ignore", invalid="ignore"):
        vertex = -slope / (2 * curvature)
    inside = np.where(np.isfinite(vertex), np.clip(vertex, below, above), below)
    at = np.concatenate([below, above, inside])
    mass, kept, squares = (np.tile(part, 3) for part in (mass, kept, squares))
    mean = kept + mass * at
    return float((mean + (mean**2 - squares - mass * at**2) / (4 * penalty)).min())


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return target rewards against the perturbation, for every norm of xi and every adversary."""
    norms = settings["xi"]
    q = np.linspace(0.0, 1.0, settings["perturbations"])
    rows: list[dict[str, Any]] = []
    for norm in norms:
        model = off_dynamics(xi_norm=norm)
        data = [
            collect(model, episodes=linear_runs.EPISODES, seed=linear_runs.generator(seed, run))
            for run in range(settings["runs"])
        ]
        rewards = partial(linear_runs.target_rewards, perturbations=q, xi_norm=norm)
        base = rewards([pevi(model, sample, ridge=linear_runs.RIDGE).policy for sample in data])
        for panel, names in learners(model, settings["penalties"]).items():
            curves = {NOMINAL: rewards([plan(model).policy]), PEVI: base}
            for name, (learn, exact) in names.items():
                curves[name] = rewards([learn(sample) for sample in data])
                curves[f"{name}{EXACT}"] = rewards([exact])
            for name, curve in curves.items():
                where = {"xi": norm, "panel": panel, "algorithm": name}
                rows += linear_runs.curve_rows(where, "perturbation", q, curve, base)
    return _paint(rows), rows


def _paint(rows: plotting.Rows) -> Any:
    norms, kinds = (list(dict.fromkeys(row[key] for row in rows)) for key in ("xi", "panel"))
    figure, axes = plotting.panels(
        len(norms), len(kinds), width=plotting.PAGE, height=1.0 + 1.9 * len(norms), sharex=True,
        sharey="row", squeeze=False,
    )  # fmt: skip
    labels: dict[str, Any] = {}
    for line, norm in zip(axes, norms, strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            names = dict.fromkeys(
                row["algorithm"] for row in rows if (row["xi"], row["panel"]) == (norm, kind)
            )
            looks = {NOMINAL: linear_runs.REFERENCE_LOOKS[0]}
            for name in names:
                if name in LOOKS and name != MINIMISED and name != PEVI:
                    thin = {"color": LOOKS[name]["color"], "linewidth": 0.7, "label": "_"}
                    looks[f"{name}{EXACT}"] = thin
            looks |= {name: LOOKS[name] for name in names if name in LOOKS}
            linear_runs.paint(axis, rows, "perturbation", looks, xi=norm, panel=kind)
            axis.set_title(rf"$\Vert\xi\Vert_1={norm:g}$, {kind}")
            handles, found = axis.get_legend_handles_labels()
            labels |= dict(zip(found, handles, strict=True))
    for axis in axes[-1]:
        axis.set_xlabel("perturbation $q$")
    for axis in axes[:, 0]:
        axis.set_ylabel("target reward")
    plotting.letter(axes)
    figure.legend(labels.values(), labels.keys(), loc="outside lower center", ncols=3)
    return figure


def findings(rows: plotting.Rows) -> str:
    """Say which learners gain over PEVI, and whose own problem, planned exactly, asks for it."""
    norms = list(dict.fromkeys(row["xi"] for row in rows))
    ends = {(r["panel"], r["algorithm"], r["xi"], r["perturbation"]): r for r in rows}
    said, asked = [], []
    for panel, name in dict.fromkeys((row["panel"], row["algorithm"]) for row in rows):
        if name not in LOOKS or name == PEVI:
            continue
        at = [[ends[panel, name, norm, q] for norm in norms] for q in (1.0, 0.0)]
        held = [f"{row['xi']:g}" for row in at[0] if row["gain_low"] > 0]
        gains, prices = (listing([f"{row['gain']:+.2f}" for row in line]) for line in at)
        full = name if panel == BALLS else f"{name}, {panel}"
        said.append(f"{full}: {gains} against {prices}, a gain at {listing(held)}")
        own, plain = (
            [ends[panel, other, norm, 1.0]["reward"] for norm in norms]
            for other in (f"{name}{EXACT}", NOMINAL)
        )
        moved = [f"{n:g}" for n, mine, its in zip(norms, own, plain, strict=True) if mine != its]
        if moved and name != MINIMISED:
            asked.append(f"{full} at {listing(moved)}")
    return (
        "Mean differences to PEVI at q = 1 against those at q = 0, for norms "
        f"{listing([f'{norm:g}' for norm in norms])} of xi; a gain is an interval above 0 at "
        f"q = 1. {'. '.join(said)}. Planned exactly, the adversary changes what is earned for "
        f"{listing(asked)} only; other gains come of estimates from few data."
    )


FIGURE = Figure(
    name="offline-robustness",
    title="Off-dynamics data: reward in a perturbed world",
    caption=f"Policies learnt from {linear_runs.EPISODES} episodes of uniformly random actions in "
    "the off-dynamics linear MDP (delta 0.3), and what they earn, exactly, where the way to the "
    "paying state leads to the fail state with probability q instead. PEVI has no adversary, "
    "DRPVI balls of total variation around the paying factor of the first step, R2PVI penalties "
    "around every factor. Penalty of scale 1 for what data do not cover, in the form of the "
    f"published code, ridge {linear_runs.RIDGE:g}, values clipped to what can be earned. Thin "
    "lines: the learner's own problem planned exactly, where not hidden by the dotted one of the "
    "nominal policy. With a penalty of total variation up to 1 both ways on from the first state "
    "are worth more than the cap, and its actions tie but for the slip of 0.001. The published "
    "code of R2PVI minimises the dual of chi-square, which has to be maximised: drawn as "
    '"minimised", with estimates that are never above 0. It also hands the ridge on as the penalty '
    "and the penalty as the ridge, which changes nothing while both are 0.1. Bands: "
    f"{linear_runs.BAND}; all algorithms learn from the same data.",
    source="Liu and Xu (2024, offline), section 6; Tang, Liu and Xu (2024), section 6",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
