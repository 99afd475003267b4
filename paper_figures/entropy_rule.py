"""Which covariance foretells whether a step lowers the entropy?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.simplex import softmax
from rltheory.analysis.zoo.bapo import entropy_clip_rule, plain_entropy_clip_rule
from rltheory.analysis.zoo.entropy import natural_direction, plain_direction, shannon_entropy
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"policies": 2000, "shown": 400, "steps": 13},
    "paper": {"policies": 50000, "shown": 1000, "steps": 21},
}
SMALL = 0.01
"""The step whose changes are drawn: first order in all but a few of the policies."""
LARGEST = 4.0
MOST = 8


class Rule(NamedTuple):
    """A panel: its title, the direction of the step, and what foretells the change."""

    title: str
    direction: Callable[..., Any]
    forecast: Callable[..., Any]
    label: str


RULES = {
    "natural": Rule(
        "natural step",
        natural_direction,
        entropy_clip_rule,
        r"$-\mathrm{Cov}_\pi(\log\pi, A)$",
    ),
    "plain": Rule(
        "plain step",
        plain_direction,
        plain_entropy_clip_rule,
        r"$-\mathrm{Cov}_\pi(\log\pi, \pi A)$",
    ),
    "printed": Rule(
        "plain step, rule as printed",
        plain_direction,
        entropy_clip_rule,
        r"$-\mathrm{Cov}_\pi(\log\pi, A)$",
    ),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return forecasts and realised changes of entropy, and how often signs differ."""
    policies, advantages = _instances(settings["policies"], np.random.default_rng(seed))
    sizes = np.geomspace(SMALL, LARGEST, settings["steps"])
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=5.0)
    for axis, (name, rule) in zip(axes.ravel(), RULES.items(), strict=False):
        forecasts = rule.forecast(policies, advantages, np.ones(policies.shape, dtype=bool))
        realised = _realised(rule, policies, advantages, SMALL) / SMALL
        wrong = forecasts * realised < 0
        rows += [
            {"kind": "change", "rule": name, "x": float(x), "y": float(y)}
            for x, y in zip(forecasts, realised, strict=True)
        ]
        shown = slice(settings["shown"])
        _panel(axis, rule, forecasts[shown], realised[shown], wrong[shown])
        for step in sizes:
            change = _realised(rule, policies, advantages, step)
            share = float((forecasts * change < 0).mean())
            rows.append({"kind": "share", "rule": name, "x": float(step), "y": share})
    axis = axes[1, 1]
    for index, (name, rule) in enumerate(RULES.items()):
        found = [r for r in rows if r["kind"] == "share" and r["rule"] == name]
        axis.plot(
            plotting.column(found, "x"), 100 * plotting.column(found, "y"), label=rule.title,
            **plotting.line(index, points=len(found)),
        )  # fmt: skip
    axis.set(xscale="log", xlabel="step size", ylabel="policies with the wrong sign, %")
    axis.set_ylim(bottom=0.0)
    axis.set_title("signs foretold wrongly")
    axis.legend()
    plotting.letter(axes)
    return figure, rows


def _instances(count: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Policies (n, 8) of three to eight actions, and advantages (n, 8) of binary rewards."""
    sizes = rng.integers(3, MOST + 1, count)
    there = np.arange(MOST) < sizes[:, None]
    policies = softmax(np.where(there, 1.5 * rng.standard_normal(there.shape), -np.inf))
    rewards = rng.random(there.shape) < rng.uniform(0.1, 0.9, (count, 1))
    # One action at least succeeds and one fails, else there is nothing to learn.
    rewards[:, 0], rewards[:, 1] = True, False
    gains = rewards - (policies * rewards).sum(axis=1, keepdims=True)
    return policies, np.where(there, gains, 0.0)


def _realised(rule: Rule, policies: FloatArray, advantages: FloatArray, step: float) -> FloatArray:
    with np.errstate(divide="ignore"):
        logits = np.log(policies)
    after = softmax(logits + step * rule.direction(policies, advantages))
    return np.asarray(shannon_entropy(after) - shannon_entropy(policies))


def _panel(
    axis: Any, rule: Rule, forecasts: FloatArray, realised: FloatArray, wrong: NDArray[np.bool_]
) -> None:
    marks: dict[str, Any] = {"linestyle": "none", "rasterized": True}
    axis.plot(
        forecasts[~wrong], realised[~wrong], marker=".", markersize=2.5,
        color=plotting.COLOURS[5], label="right sign", **marks,
    )  # fmt: skip
    axis.plot(
        forecasts[wrong], realised[wrong], marker="x", markersize=3.5, zorder=3,
        color=plotting.COLOURS[1], label="wrong sign", **marks,
    )  # fmt: skip
    ends = np.array([realised.min(), realised.max()])
    axis.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    axis.axhline(0.0, color="#888888", linewidth=0.6)
    axis.axvline(0.0, color="#888888", linewidth=0.6)
    axis.set(xlabel=f"{rule.label}, nats per unit step", ylabel="realised, nats per unit step")
    axis.set_title(rule.title)
    axis.legend(loc="upper left")


def findings(rows: plotting.Rows) -> str:
    """Say how often each rule has the sign wrong, and how far it is off in size."""
    words = []
    for name, rule in RULES.items():
        found = [r for r in rows if r["kind"] == "change" and r["rule"] == name]
        x, y = plotting.column(found, "x"), plotting.column(found, "y")
        wrong = float((x * y < 0).mean())
        error = float(np.median(np.abs(x - y) / np.maximum(np.abs(y), 1e-12)))
        words.append(f"{100 * wrong:.1f}% ({rule.title}, median relative error {error:.2g})")
    last = max(r["x"] for r in rows if r["kind"] == "share")
    ends = [
        f"{100 * plotting.column(rows, 'y', kind='share', rule=name, x=last)[0]:.0f}%"
        for name in RULES
    ]
    count = sum(r["kind"] == "change" for r in rows) // len(RULES)
    return (
        f"Of {count} policies the sign at a step of {SMALL:g} is wrong for {', '.join(words)}; at "
        f"a step of {last:g} for {', '.join(ends)}."
    )


FIGURE = Figure(
    name="entropy-rule",
    title="First-order change of entropy, foretold and realised",
    caption="Softmax policies of three to eight actions with binary rewards, advantages centred, "
    f"nothing clipped. At a step of {SMALL:g} the entropy changes as the covariance of the "
    "log-probabilities with the advantages says if the step is that of the natural gradient (a), "
    "and with the policy as a factor if it is that of the plain gradient (b). The entropy-clip "
    "rule as printed leaves the factor out; for plain steps it is too large, and at times of the "
    "wrong sign (c). Longer steps leave the first order behind (d).",
    source="Xi et al. (2025), equation 6; the form with the factor follows their Proposition 1",
    draw=draw,
    settings=SETTINGS,
    cost=3.0,
    findings=findings,
)
