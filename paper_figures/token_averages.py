"""What does dividing by lengths do to the mean gradient, exactly?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import Normalisation
from rltheory.analysis.zoo.hapo import length_weights
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"depth": 7, "points": 99, "groups": [1, 2, 4, 8, 16, 32, 64, 128]},
    "paper": {"depth": 9, "points": 197, "groups": [1, 2, 4, 8, 16, 32, 64, 128, 256]},
}
SHOWN = (4, 16)
"""Group sizes of the curves against the end token and against the length."""
END = 0.3
LEAN = 0.6
"""Of the tokens that do not end a response, this share is 1 and the rest is 2."""

LARGE: dict[str, Normalisation] = {
    "by each length": "response",
    "by tokens of the group": "token",
}
"""What is shown against the group size."""


def _reward(prompt: int, word: tuple[int, ...]) -> float:
    """1 if token 1 leads token 2 by at least one, 1.5 by at least two."""
    lead = word.count(1) - word.count(2)
    return float(lead >= 1) + 0.5 * float(lead >= 2)


def outcomes_at(model: SamplingModel, end: float) -> Outcomes:
    """Return the outcomes of the policy that ends with probability `end` after every prefix."""
    chances = np.array([end, LEAN * (1 - end), (1 - LEAN) * (1 - end)])
    return model.at(np.tile(np.log(chances), model.parametrisation.rows))


def mean_estimate(outcomes: Outcomes, normalisation: Normalisation, size: int) -> FloatArray:
    """Return the exact mean (k,) of a normalised estimate with the exact value as its baseline."""
    weights = length_weights(outcomes.probabilities, outcomes.lengths, normalisation, size)
    away = outcomes.rewards - outcomes.value
    return np.asarray(outcomes.scores.T @ (outcomes.probabilities * away * weights))


def angle(first: FloatArray, second: FloatArray) -> float:
    """Return the angle of two vectors in degrees, accurate also for small ones."""
    a, b = first / np.linalg.norm(first), second / np.linalg.norm(second)
    return float(np.degrees(2.0 * np.arctan2(np.linalg.norm(a - b), np.linalg.norm(a + b))))


def _cases() -> dict[str, tuple[Normalisation, int]]:
    """The normalisations compared: title, name and group size."""
    tokens: dict[str, tuple[Normalisation, int]] = {
        f"by tokens of the group, $G = {g}$": ("token", g) for g in SHOWN
    }
    return {"by each length": ("response", 1), **tokens, "by a constant": ("group", 1)}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return weights of lengths and angles to the gradient; nothing is random."""
    model = token_tree(3, settings["depth"], _reward, end_token=0)
    rows: list[dict[str, Any]] = []
    middle = outcomes_at(model, END)
    longest = settings["depth"]
    for title, (name, size) in _cases().items():
        weights = length_weights(middle.probabilities, middle.lengths, name, size)
        for length in range(1, longest + 1):
            ratio = weights[middle.lengths == length][0] / weights[middle.lengths == 1][0]
            rows.append(_row("length", title, length, float(ratio)))
    for end in np.linspace(0.01, 0.99, settings["points"]):
        outcomes = outcomes_at(model, end)
        for title, (name, size) in _cases().items():
            found = angle(mean_estimate(outcomes, name, size), outcomes.gradient)
            rows.append(_row("end token", title, float(end), found))
    for size in settings["groups"]:
        for title, name in LARGE.items():
            found = angle(mean_estimate(middle, name, size), middle.gradient)
            rows.append(_row("group size", title, size, found))
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.6)
    for axis, panel in zip(axes, ("length", "end token", "group size"), strict=True):
        titles = dict.fromkeys(row["normalisation"] for row in rows if row["panel"] == panel)
        for title in titles:
            where = {"panel": panel, "normalisation": title}
            x, y = (plotting.column(rows, key, **where) for key in ("x", "y"))
            # One look for the tokens of a group where its size is the axis.
            number = list(_cases()).index(title) if title in _cases() else 1
            axis.plot(x, y, label=title, **plotting.line(number, points=len(x)))
    axes[0].set(xlabel="length $l$ of a response", ylabel="weight, relative to length 1", ylim=0)
    axes[1].set(xlabel="probability of the end token", ylabel="angle to the gradient (degrees)")
    axes[1].set(ylim=(-1, None))
    axes[2].set(xlabel="group size $G$", ylabel="angle to the gradient (degrees)")
    axes[2].set(xscale="log", yscale="log")
    axes[2].text(0.95, 0.9, "by each length", transform=axes[2].transAxes, ha="right", va="top")
    axes[2].text(0.06, 0.2, "by tokens of\nthe group", transform=axes[2].transAxes)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    plotting.letter(axes)
    return figure, rows


def _row(panel: str, title: str, x: float, y: float) -> dict[str, Any]:
    return {"panel": panel, "normalisation": title, "x": x, "y": y}


def findings(rows: plotting.Rows) -> str:
    """Say how far each normalisation turns the gradient, and how fast large groups mend it."""
    words = []
    for title in _cases():
        angles = plotting.column(rows, "y", panel="end token", normalisation=title)
        ends = plotting.column(rows, "x", panel="end token", normalisation=title)
        if angles.max() < 1e-4:
            words.append(f"not at all if divided {title}")
        else:
            worst = int(angles.argmax())
            words.append(
                f"by up to {angles[worst]:.1f} degrees if divided {title}, at {ends[worst]:.2f}"
            )
    where = {"panel": "group size", "normalisation": "by tokens of the group"}
    sizes, angles = (plotting.column(rows, key, **where) for key in ("x", "y"))
    slope = np.log(angles[-1] / angles[-2]) / np.log(sizes[-1] / sizes[-2])
    return (
        f"The mean estimate is turned {'; '.join(words)}. Divided by the tokens of the group, its "
        f"angle falls as the group size to the power {slope:.2f}."
    )


FIGURE = Figure(
    name="token-averages",
    title="Bias of averages over tokens and responses",
    caption="Responses of three tokens, one of which ends them; the policy is a table of logits "
    "for every prefix, all alike, and the baseline the exact value. (a) What the mean estimate "
    "multiplies a response of length l by, relative to length 1. (b) The angle between the mean "
    "estimate and the gradient, against the probability with which responses end: without spread "
    "of lengths, at both ends, nothing is turned. (c) The same at an end probability of "
    f"{END:g} against the group size. Only a constant keeps the gradient; dividing by the tokens "
    "of the group is biased through the own length in it, less in large groups. All is exact.",
    source="Shao et al. (2024); Yu et al. (2025); Liu et al. (2025), Dr. GRPO and HAPO",
    draw=draw,
    settings=SETTINGS,
    cost=3.0,
    findings=findings,
)
