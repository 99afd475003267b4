"""Which way, and how far, do normalisations within a group bend the gradient?"""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import comb
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import contextual_bandit, softmax_bandit
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.estimators.weights import DAPO, LEAVE_ONE_OUT, MEAN, OWN_OPTIMAL, grpo
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"sizes": [2, 3, 4, 6, 8, 12, 16, 24, 32, 64], "most": 200_000},
    "paper": {
        "sizes": [2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64],
        "most": 2_000_000,
    },
}
"""most: a size is left out where groups times their pairs exceed this number of thousands."""

ESTIMATORS = {
    "rloo": LEAVE_ONE_OUT,
    "mean": MEAN,
    "mean-length": replace(MEAN, normalisation="response"),
    "oblr-own": OWN_OPTIMAL,
    "grpo-population": grpo(bessel=False),
    "grpo": grpo(),
    "dapo": DAPO,
}


def one_prompt() -> Outcomes:
    """Return one prompt with answers right or wrong, right with probability 0.3."""
    return _bandit([0.3, 0.4, 0.2, 0.1], [1.0, 0.0, 0.0, 0.0])


def levels() -> Outcomes:
    """Return one prompt with answers of three rewards."""
    return _bandit([0.5, 0.4, 0.1], [0.0, 0.6, 1.0])


def hard_and_easy() -> Outcomes:
    """Return prompts of their own logits, answered right with probability 0.02 to 0.8."""
    rights = [0.02, 0.1, 0.3, 0.8]
    policy = np.array([[p, 0.75 * (1 - p), 0.25 * (1 - p)] for p in rights])
    model = contextual_bandit(np.tile([1.0, 0.0, 0.0], (len(rights), 1)))
    return model.at(np.log(policy).ravel())


def lengths() -> Outcomes:
    """Return answers of one or two tokens, right or wrong, that all are as likely at each token."""
    model = token_tree(
        3, 2, lambda _, tokens: float(tokens in ((0,), (1, 1), (2, 1), (2, 2))), end_token=0
    )
    return model.at(np.zeros(model.size))


CASES: dict[str, tuple[str, Callable[[], Outcomes]]] = {
    "one": ("one prompt, 0 or 1", one_prompt),
    "levels": ("one prompt, 0, 0.6 or 1", levels),
    "prompts": ("four prompts, 0 or 1", hard_and_easy),
    "lengths": ("one or two tokens", lengths),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the angle and the length of expected estimates against the size of the group."""
    rows: list[dict[str, Any]] = []
    figure, axes = plotting.panels(2, len(CASES), width=plotting.PAGE, height=4.3, sharex=True)
    for column, (case, (title, make)) in enumerate(CASES.items()):
        outcomes = make()
        for method in ESTIMATORS:
            if case == "lengths" or method not in ("mean-length", "dapo"):
                rows += method_rows(case, method, outcomes, settings)
        here = [row for row in rows if row["case"] == case]
        axes[0, column].set_title(title)
        for axis, what in zip(axes[:, column], ("angle", "length"), strict=True):
            for method in dict.fromkeys(row["method"] for row in here):
                sizes, values = (
                    plotting.column(here, name, method=method) for name in ("size", what)
                )
                axis.plot(
                    sizes, values, label=pg_models.METHODS[method].title,
                    **pg_models.METHODS[method].look(),
                )  # fmt: skip
            axis.set_xscale("log")
            axis.set_xticks([2, 4, 8, 16, 32, 64], ["2", "4", "8", "16", "32", "64"])
            axis.minorticks_off()
        axes[1, column].set(xlabel="responses in a group $G$", ylim=(0, None))
        axes[0, column].set_ylim(-0.3, max(2.0, *(1.1 * row["angle"] for row in here)))
    axes[0, 0].set_ylabel("angle to the gradient (degrees)")
    axes[1, 0].set_ylabel("length over the gradient's")
    plotting.letter(axes)
    handles, labels = axes[0, -1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure, rows


def method_rows(
    case: str, method: str, outcomes: Outcomes, settings: Parameters
) -> list[dict[str, Any]]:
    """The expected estimate at each size of the group that can be enumerated."""
    rows = []
    for size in settings["sizes"]:
        if _groups(method, outcomes, size) * size**2 > 1000 * settings["most"]:
            continue
        moments = estimator_moments(outcomes, ESTIMATORS[method], group_size=size, covariance=False)
        gradient = np.linalg.norm(moments.gradient)
        rows.append(
            {
                "case": case,
                "method": method,
                "size": size,
                "angle": pg_models.angle(moments.mean, moments.gradient),
                "length": float(np.linalg.norm(moments.mean) / gradient),
                "bias": float(np.linalg.norm(moments.bias) / gradient),
                "groups": _groups(method, outcomes, size),
            }
        )
    return rows


def _groups(method: str, outcomes: Outcomes, size: int) -> int:
    """How many multisets there are at most for a prompt; none where a closed form is used."""
    estimator = ESTIMATORS[method]
    if estimator.pairwise is not None and estimator.normalisation == "group":
        return 0
    read = np.column_stack([getattr(outcomes, name) for name in estimator.labels])
    kinds = max(len({*map(tuple, read[a:b].tolist())}) for a, b in pairwise(outcomes.starts))
    return comb(kinds + size - 1, size)


def _bandit(policy: list[float], rewards: list[float]) -> Outcomes:
    logits: FloatArray = np.log(np.array(policy))
    return softmax_bandit(np.array(rewards)).at(logits)


def findings(rows: plotting.Rows) -> str:
    """Say how far each normalisation is off with the least and the largest groups."""

    def at(case: str, method: str) -> list[Any]:
        here = [r for r in rows if (r["case"], r["method"]) == (case, method)]
        return sorted(here, key=lambda row: row["size"])

    words = []
    for case, (title, _) in CASES.items():
        grpo_rows = at(case, "grpo")
        top, last = max(grpo_rows, key=lambda r: r["angle"]), grpo_rows[-1]
        turned = (
            f"by up to {top['angle']:.1f} degrees, {last['angle']:.1f} at G = {last['size']}"
            if top["angle"] > STRAIGHT
            else "by nothing"
        )
        words.append(f"{turned} ({title}; {last['length']:.2f} times the length)")
    straight = [r["size"] for r in at("prompts", "grpo") if r["angle"] < STRAIGHT]
    own = [r for r in rows if r["method"] == "mean"]
    off = max(abs(r["length"] - (1 - 1 / r["size"])) for r in own)
    pairs = [r for r in rows if r["method"] == "oblr-own"]
    worst = max(pairs, key=lambda r: r["angle"])
    return (
        f"GRPO turns the gradient {'; '.join(words)}. Between prompts it is not turned at "
        f"G = {' and '.join(map(str, straight)) or 'any size'}, where all groups that are not "
        f"uniform have the same standard deviation. The group mean with the own sample in it is "
        f"1 - 1/G times the gradient, to {off:.0e}. The optimal baseline estimated with the own "
        f"sample in turns the gradient by {worst['angle']:.1f} degrees at G = {worst['size']}, "
        f"by {max(at(case, 'oblr-own')[-1]['angle'] for case in CASES):.1f} at most in the largest "
        "groups."
    )


STRAIGHT = 1e-9
"""Degrees; an angle below is one of rounding."""

FIGURE = Figure(
    name="group-normalisation",
    title="The bias of normalising within a group",
    caption="Exact expectations over groups of G responses, from all multisets of what an "
    "estimator reads. Above: the angle to the gradient of J; below: the length over the "
    "gradient's, 1 for leave-one-out. With rewards of two values and one prompt the standard "
    "deviation changes the length alone. With three values it turns the gradient too, less and "
    "less in large groups. With several prompts it gives those that are almost always or almost "
    "never answered right more weight, as their standard deviations are small, and turns the "
    "gradient the more the better it knows them. Bessel's correction, "
    "the divisor G - 1, scales by the root of 1 - 1/G and turns nothing. In the last column "
    "answers have one or two tokens, and a division of each by its length turns the gradient "
    "by the same angle whatever the size of the group; one by the tokens of the whole group turns "
    "it less and less. The group mean stands for Dr. GRPO.",
    source="Shao et al. (2024); Liu et al. (2025); Yu et al. (2025); Kool, van Hoof and Welling "
    "(2019)",
    draw=draw,
    settings=SETTINGS,
    cost=7.0,
    findings=findings,
)
