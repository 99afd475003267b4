"""Which method ends highest when all start alike and draw the same random numbers?"""

from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.estimators import comparison
from rltheory.paper_figures import pg_models
from rltheory.paper_figures.registry import Drawing, Figure, Parameters

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": 60, "steps": 120, "tuning": 20},
    "paper": {"seeds": 500, "steps": 1000, "tuning": 50},
}
PROMPTS, GROUP = 4, 4
GRID = tuple(4.0**k for k in range(-3, 6))
"""Multiples of 1 / L to choose from: wide, as a choice at an end would speak of the grid."""
REFERENCE = "RLOO"
ALIKE = "Group mean, SNR step"
OURS = ("OBLR-PO", "OBLR-PO, scaled")
NOISY = {"mean": "mean-snr", "oblr": "oblr-po", "optimal": "oracle"}
"""Looks of the estimators that step by the noise."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return final rewards with intervals, and rates of winning of every pair of methods.

    Seeds of runs count from 0, whatever `seed`.
    """
    found = comparison.compare(
        seeds=settings["seeds"],
        steps=settings["steps"],
        prompts=PROMPTS,
        group_size=GROUP,
        grid=GRID,
        tuning_seeds=settings["tuning"],
    )
    rows = [_row(entry) for entry in found]
    families = list(dict.fromkeys(entry.model for entry in found))
    figure, axes = plotting.panels(2, len(families), width=plotting.PAGE, height=6.0)
    for column, family in enumerate(families):
        here = [entry for entry in found if entry.model == family]
        _dots(axes[0, column], here, family)
        image = _wins(axes[1, column], here)
        if column:
            for axis in axes[:, column]:
                axis.set_yticklabels([])
    figure.colorbar(image, ax=axes[1, :], location="bottom", label="rate of winning", shrink=0.5)
    plotting.letter(axes)
    return figure, rows


def _row(entry: comparison.ComparisonRow) -> dict[str, Any]:
    row: dict[str, Any] = {
        "family": entry.model,
        "method": entry.method,
        "final": entry.final,
        "low": entry.low,
        "high": entry.high,
        "area": entry.area,
        "multiple": entry.multiple,
    }
    return row | {f"wins over {other}": rate for other, rate in entry.win_rates.items()}


def _numbers(count: int) -> Any:
    return np.arange(count)


def _dots(axis: Any, entries: list[comparison.ComparisonRow], family: str) -> None:
    methods = {method.title: method for method in comparison.METHODS}
    for place, entry in enumerate(entries):
        method = methods[entry.method]
        name = NOISY[method.estimator] if method.by_noise else method.estimator
        look = pg_models.METHODS[name].look()
        axis.errorbar(
            entry.final,
            place,
            xerr=[[entry.final - entry.low], [entry.high - entry.final]],
            color=look["color"],
            marker=look["marker"],
            # A white mark says that the step was not chosen from the grid.
            markerfacecolor=look["color"] if method.tuned else "white",
            linestyle="none",
        )
    axis.set_yticks(_numbers(len(entries)), _labels(entries))
    axis.invert_yaxis()
    axis.set(title=family, xlabel="final expected reward $J$")


def _wins(axis: Any, entries: list[comparison.ComparisonRow]) -> Any:
    table = [[entry.win_rates[other.method] for other in entries] for entry in entries]
    image = axis.imshow(table, cmap=plotting.MAP, vmin=0.0, vmax=1.0, aspect="auto")
    axis.set_yticks(_numbers(len(entries)), _labels(entries))
    axis.set_xticks(_numbers(len(entries)), [str(k + 1) for k in range(len(entries))], fontsize=6)
    axis.set(xlabel="over method number")
    axis.grid(False)
    return image


def _labels(entries: list[comparison.ComparisonRow]) -> list[str]:
    return [f"{entry.method}  {k + 1}" for k, entry in enumerate(entries)]


def findings(rows: plotting.Rows) -> str:
    """Say who ends highest on each family, and where OBLR-PO stands."""
    words, won = [], 0
    families = list(dict.fromkeys(row["family"] for row in rows))
    for family in families:
        here = [row for row in rows if row["family"] == family]
        order = sorted(here, key=lambda row: -row["final"])
        ranks = []
        for title in OURS:
            ours = next(row for row in here if row["method"] == title)
            others = [row for row in here if row["method"] not in OURS]
            won += ours["low"] > max(row["high"] for row in others)
            ranks.append(
                f"{_said(ours)} is number {order.index(ours) + 1} of {len(order)} and ends above "
                f"{REFERENCE} on {ours[f'wins over {REFERENCE}']:.0%} of the seeds, above the "
                f"group mean with the SNR step on {ours[f'wins over {ALIKE}']:.0%}"
            )
        words.append(f"On the {family} {_said(order[0])} ends highest; {'; '.join(ranks)}.")
    tuned = {method.title for method in comparison.METHODS if method.tuned}
    chosen = [row["multiple"] for row in rows if row["method"] in tuned]
    ends = sum(multiple in (min(GRID), max(GRID)) for multiple in chosen)
    verdict = f"in {won} of {len(OURS) * len(families)} cases" if won else "nowhere"
    return (
        f"{' '.join(words)} OBLR-PO is ahead of all other methods beyond the intervals {verdict}. "
        f"Of {len(chosen)} multiples chosen, {ends} are at an end of the grid, where a wider grid "
        "might have found a better one."
    )


def _said(row: Any) -> str:
    return f"{row['method']} ({row['final']:.4f}, {row['low']:.4f} to {row['high']:.4f})"


FIGURE = Figure(
    name="estimator-comparison",
    title="Methods compared on the same random numbers",
    caption="Exact expected reward after the last step of sampled ascent from the uniform policy, "
    f"batches of {PROMPTS} prompts with {GROUP} responses each, all methods with the same seeds. "
    "Above: means over seeds with 95% bootstrap intervals; filled marks have a step, or a "
    "multiple of the SNR step, chosen from one grid of multiples of 1 / L, from 1 / 64 to 1024, "
    "by the final reward on other seeds; white marks take the SNR step with the bound L as it is. "
    "Below: the share of seeds on which the method of the row ends above that of the column, ties "
    "half. Dr. GRPO is the group mean on policy. The exact optimal baseline cannot be had in "
    "practice.",
    source="Huang, Sheng and Zheng (2025); Williams (1992); Kool, van Hoof and Welling (2019); "
    "Shao et al. (2024); Li et al. (2024); Hu (2025); Liu et al. (2025)",
    draw=draw,
    settings=SETTINGS,
    cost=10.0,
    findings=findings,
)
