"""What do gates of the ratio cost and save once policy and behaviour have parted?"""

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import brentq

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.gates import (
    GSPO_CLIP,
    PPO_CLIP,
    SAPO_GATE,
    SEQUENCE_RATIO,
    TOKEN_RATIO,
    Gate,
)
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.weights import LEAVE_ONE_OUT
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {"quick": {"points": 25}, "paper": {"points": 97}}
GROUP = 4
GROUPS = 64
"""Groups in the batch of the last column."""
LENGTH = 3
BEHAVIOUR = 0.5
"""Expected reward of the policy that draws the responses."""
NEAR, FAR = 1e-8, 1.0
"""Divergences of the first and the last point."""
GATES = {
    "stale": Gate(
        name="no correction",
        level="sequence",
        surrogate=lambda ratios, positive: np.log(ratios),
        coefficient=lambda ratios, positive: np.ones_like(ratios),
        signed=False,
    ),
    "ratio": SEQUENCE_RATIO,
    "token-ratio": TOKEN_RATIO,
    "ppo": PPO_CLIP,
    "gspo": GSPO_CLIP,
    "sapo": SAPO_GATE,
}
DIRECTIONS = {"ascent": "after gradient ascent", "random": "in a random direction"}
COLUMNS = {
    "bias": "bias over $|\\nabla J|$",
    "deviation": f"standard deviation over $|\\nabla J|$, {GROUP} responses",
    "error": f"error over $|\\nabla J|$, {GROUPS} groups",
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return bias, standard deviation and error of each gate against the divergence."""
    points = settings["points"]
    model = pg_models.tree(end_token=None)
    rows: list[dict[str, Any]] = []
    for direction in DIRECTIONS:
        for behaviour, policy in policies(model, direction, points, seed):
            rows += gate_rows(model, direction, behaviour, policy)
    figure, axes = plotting.panels(2, 3, width=plotting.PAGE, height=4.5, sharex=True)
    for line, (direction, words) in zip(axes, DIRECTIONS.items(), strict=True):
        for axis, (what, label) in zip(line, COLUMNS.items(), strict=True):
            for gate in GATES:
                shown = plotting.column(rows, what, direction=direction, gate=gate)
                axis.plot(
                    plotting.column(rows, "divergence", direction=direction, gate=gate),
                    # What is unbiased has a bias of rounding, which a logarithm would show.
                    np.where(shown > 1e-9, shown, np.nan),
                    label=pg_models.METHODS[gate].title,
                    **pg_models.METHODS[gate].look(points),
                )
            axis.set(xscale="log", yscale="log", title=words, xticks=[1e-8, 1e-6, 1e-4, 1e-2, 1.0])
            if what != "bias":
                pg_models.plain_logarithm(axis)
            axis.set_ylabel(label.replace(", ", ",\n"), fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel("divergence of a response (nats)")
    plotting.letter(axes)
    handles, labels = axes[0, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure, rows


def policies(
    model: SamplingModel, direction: str, points: int, seed: int
) -> list[tuple[FloatArray, FloatArray]]:
    """Return parameters of behaviour and policy at divergences from NEAR to FAR.

    The policy lies on the gradient flow through the behaviour, or on a line from it.
    """
    times = np.concatenate([[0.0], np.geomspace(0.1, 3e3, 200)])
    path = pg_models.flow_parameters(model, times)
    values = np.array([model.value(theta) for theta in path])
    first = int(np.argmax(values >= BEHAVIOUR))
    behaviour = path[first]
    way = np.random.default_rng([seed, 5]).standard_normal(model.size)

    def reached(step: float) -> FloatArray:
        if direction == "random":
            return np.asarray(behaviour + step * way / np.linalg.norm(way))
        # Between the points of the flow the parameters are interpolated.
        at = first + step
        low = min(int(at), len(path) - 2)
        return np.asarray(path[low] + (at - low) * (path[low + 1] - path[low]))

    longest = 50.0 if direction == "random" else len(path) - 1.0 - first
    found = []
    for goal in np.geomspace(NEAR, FAR, points):
        step = brentq(
            lambda s, goal=goal: divergence(model, behaviour, reached(s)) - goal, 0.0, longest
        )
        found.append((behaviour, reached(step)))
    return found


def divergence(model: SamplingModel, behaviour: FloatArray, policy: FloatArray) -> float:
    """Return the Kullback-Leibler divergence of the policy from the behaviour, of responses."""
    outcomes = model.at(policy, behaviour=behaviour)
    drawn = outcomes.drawn * outcomes.weights[outcomes.prompt_of]
    return float(-drawn @ np.log(outcomes.ratios))


def gate_rows(
    model: SamplingModel, direction: str, behaviour: FloatArray, policy: FloatArray
) -> list[dict[str, Any]]:
    """Exact moments of every gate, over the norm of the gradient at the policy."""
    outcomes = model.at(policy, behaviour=behaviour)
    scale = float(np.linalg.norm(outcomes.gradient))
    rows = []
    for name, gate in GATES.items():
        moments = estimator_moments(
            outcomes, replace(LEAVE_ONE_OUT, gate=gate), group_size=GROUP, covariance=False
        )
        # A geometric mean over choices divides by their number, here the same for all.
        factor = LENGTH if gate.level == "geometric" else 1
        bias = float(np.linalg.norm(factor * moments.mean - moments.gradient)) / scale
        deviation = factor * float(np.sqrt(moments.variance)) / scale
        rows.append(
            {
                "direction": direction,
                "gate": name,
                "divergence": divergence(model, behaviour, policy),
                "value": float(outcomes.value),
                "along": float(factor * moments.mean @ moments.gradient) / scale**2,
                "bias": bias,
                "deviation": deviation,
                "error": float(np.sqrt(bias**2 + deviation**2 / GROUPS)),
            }
        )
    return rows


def findings(rows: plotting.Rows) -> str:
    """Say what errors remain far from the behaviour, and when a clip takes the signal away."""
    words = []
    for direction, title in DIRECTIONS.items():
        here = [r for r in rows if r["direction"] == direction]
        goal = max(r["divergence"] for r in here)
        there = [r for r in here if np.isclose(r["divergence"], goal, rtol=1e-6)]
        order = sorted(there, key=lambda r: r["error"])
        errors = [f"{pg_models.METHODS[r['gate']].title} {r['error']:.2f}" for r in order]
        words.append(f"{title} at a divergence of {goal:.2g} nats: {', '.join(errors)}")
    ascent = [r for r in rows if r["direction"] == "ascent"]
    lost = []
    for gate in ("gspo", "ppo", "sapo"):
        half = [r["divergence"] for r in ascent if r["gate"] == gate and r["along"] < 0.5]
        least = min(r["along"] for r in ascent if r["gate"] == gate)
        since = f"less than half from {min(half):.1g} on" if half else "never less than half"
        lost.append(f"{pg_models.METHODS[gate].title} leaves {since} (least {least:.2f})")
    unbiased = max(r["bias"] for r in rows if r["gate"] == "ratio")
    return (
        f"Errors with {GROUPS} groups, {'; '.join(words)}. Of the gradient's length in "
        f"its own direction, after ascent, {', '.join(lost)}. The bias of the ratios of "
        f"responses is {unbiased:.0e} at most, that is rounding."
    )


FIGURE = Figure(
    name="off-policy-bias",
    title="Gates of the ratio, off policy",
    caption="Exact bias, standard deviation and root-mean-square error, over the length of the "
    f"gradient of J at the policy, of the left-out advantages of groups of {GROUP} responses "
    "drawn by a behaviour policy, weighed by each gate. Responses are three tokens long, rewards "
    f"depend on their number of 1s, and J is about {BEHAVIOUR:g} at the behaviour; the horizontal "
    "axis is the Kullback-Leibler divergence of the policy from it. Above, the policy has moved "
    "along gradient flow, as it does when several steps are taken on a batch; below, in a random "
    "direction. GSPO's estimate is multiplied by the length that its gradient divides by. The "
    "ratio of whole responses has no bias, so that it is not drawn in (a) and (d); ratios of "
    "tokens alone have one even without a clip. A clip takes out the responses that have moved "
    "the way of their advantage, and with them the part of the estimate along the gradient.",
    source="Schulman et al. (2017); Zheng et al. (2025); Gao et al. (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=4.0,
    findings=findings,
)
