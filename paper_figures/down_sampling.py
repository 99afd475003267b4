"""What does keeping the rollouts of largest variance do to a group's gradient?"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.estimators.groups import enumerate_groups, types_of
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.sampling_model import contextual_bandit
from rltheory.analysis.estimators.weights import MEAN
from rltheory.analysis.zoo import d3s
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.paper_figures.token_averages import angle

SETTINGS: dict[str, dict[str, Any]] = {"quick": {"group": 8}, "paper": {"group": 16}}
GRADED = ((0.0, 0.2, 0.4, 0.9, 1.0), (0.40, 0.25, 0.15, 0.15, 0.05))
"""Five rewards and their probabilities."""


def models() -> Mapping[str, Outcomes]:
    """Return the policies compared: one prompt each but for the last."""

    def binary(*chances: float) -> Outcomes:
        model = contextual_bandit(np.tile([0.0, 1.0], (len(chances), 1)))
        logits = [[np.log(1 - p), np.log(p)] for p in chances]
        return model.at(np.ravel(logits))

    graded = contextual_bandit(np.array(GRADED[:1])).at(np.log(GRADED[1]))
    return {
        "right with probability 1/2": binary(0.5),
        "right with probability 1/10": binary(0.1),
        "five grades": graded,
        "two prompts, 1/2 and 1/10": binary(0.5, 0.1),
    }


def mean_variances(outcomes: Outcomes, group: int, kept: int) -> tuple[float, float]:
    """Return the expected variances of all rewards of a group and of the kept ones (one prompt)."""
    types = types_of([outcomes.rewards], outcomes.probabilities)
    total = np.zeros(2)
    for members, chances in enumerate_groups(types, group):
        rewards = outcomes.rewards[types.first[members]]
        best = [float(d3s.largest_variance_subset(row, kept).variance) for row in rewards]
        total += chances @ np.column_stack([rewards.var(axis=1), best])
    return float(total[0]), float(total[1])


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return variances kept, bias and noise against the number kept; nothing is random."""
    group = settings["group"]
    rows = [
        _row(title, outcomes, group, kept)
        for title, outcomes in models().items()
        for kept in range(2, group + 1)
    ]
    figure, axes = plotting.panels(1, 4, width=plotting.PAGE, height=2.6)
    quantities = {
        "variance": "variance kept / of all",
        "length": "mean estimate along\nthe gradient / its length",
        "angle": "angle to the gradient (degrees)",
        "noise": "noise-to-signal\n/ that of the whole group",
    }
    for axis, (quantity, label) in zip(axes, quantities.items(), strict=True):
        for number, title in enumerate(models()):
            kept, values = (plotting.column(rows, key, case=title) for key in ("kept", quantity))
            if values[0] is None:
                continue
            look = plotting.line(number)
            axis.plot(kept, values.astype(float), label=title, **look)
            if quantity == "noise":
                fewer = plotting.column(rows, "noise_of_fewer", case=title).astype(float)
                axis.plot(kept, fewer, color=look["color"], linewidth=0.6, alpha=0.8)
        axis.set(xlabel="rollouts kept $k$", ylabel=label, xticks=range(2, group + 1, group // 4))
    kept = np.arange(2, group + 1)
    promised = [float(d3s.variance_kept_at_least(int(k))) for k in kept]
    axes[0].plot(kept, promised, color="black", linewidth=0.7, label="least share, any rewards")
    axes[0].set_ylim(bottom=0.7)
    axes[1].axhline(1 - 1 / group, color="black", linewidth=0.7)
    axes[3].set(yscale="log")
    handles, labels = axes[1].get_legend_handles_labels()
    more, names = axes[0].get_legend_handles_labels()
    figure.legend([*handles, more[-1]], [*labels, names[-1]], loc="outside lower center", ncols=3)
    plotting.letter(axes)
    return figure, rows


def _row(title: str, outcomes: Outcomes, group: int, kept: int) -> dict[str, Any]:
    """One case: noise is the variance of the estimate over its squared mean."""
    found = estimator_moments(outcomes, d3s.down_sampled(kept), group_size=group, covariance=False)
    whole, fewer = (
        estimator_moments(outcomes, MEAN, group_size=n, covariance=False) for n in (group, kept)
    )
    gradient = outcomes.gradient
    noises = [m.variance / (m.mean @ m.mean) for m in (found, fewer, whole)]
    ratio = None
    if len(outcomes.weights) == 1:
        before, after = mean_variances(outcomes, group, kept)
        ratio = after / before
    return {
        "case": title,
        "kept": kept,
        "variance": ratio,
        "length": float(found.mean @ gradient / (gradient @ gradient)),
        "angle": angle(found.mean, gradient),
        "noise": float(noises[0] / noises[2]),
        "noise_of_fewer": float(noises[1] / noises[2]),
    }


def findings(rows: plotting.Rows) -> str:
    """Say how far the gradient is turned, and what is lost against the group and against fewer."""
    cases = list(dict.fromkeys(row["case"] for row in rows))
    turned = {case: plotting.column(rows, "angle", case=case).max() for case in cases}
    straight = [case for case in cases if turned[case] < 1e-4]
    bent = [f"{case}: {turned[case]:.1f} degrees" for case in cases if case not in straight]
    group = max(row["kept"] for row in rows)
    half = [row for row in rows if row["kept"] == group // 2]
    noises = [f"{row['noise']:.2f} ({row['case']})" for row in half]
    fewer = [f"{row['noise_of_fewer']:.2f}" for row in half]
    words = f"The direction stays for {' and for '.join(straight)}" if straight else "None stays"
    return (
        f"{words}; at most it is turned, for {'; for '.join(bent)}. Half of {group} rollouts have "
        f"{', '.join(noises)} times the noise-to-signal ratio of all, where as many random ones "
        f"have {', '.join(fewer)}."
    )


FIGURE = Figure(
    name="down-sampling",
    title="Keeping the rollouts of largest variance",
    caption="Groups of rollouts to a prompt, of which the k with the largest variance of rewards "
    "are kept; advantages are centred on the kept ones. (a) The expected variance of the kept "
    "rewards over that of all, and the share that no rewards fall below, 1 less 1 / k squared at "
    "odd k. (b) The mean estimate's component along the gradient, over the gradient's length; the "
    "line is that of the whole group. (c) Its angle to the gradient. (d) Variance over squared "
    "mean, relative to the whole group; thin lines are k random rollouts. With rewards 0 and 1 and "
    "one prompt the mean is only rescaled; grades, or prompts of different difficulty, turn it. "
    "All is exact, by enumeration of groups, for policies with one response of each reward.",
    source="Xu, Savani, Fang and Kolter (2025); Wang et al. (2025), D3S",
    draw=draw,
    settings=SETTINGS,
    cost=4.0,
    findings=findings,
)
