"""Is the regret of NORA at its worst gap of order T^(1/2), and would a worse order be seen?"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rltheory.analysis import grid, plotting, sweep
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import Rate, rate_of_logs
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.offline_data import collect_offline
from rltheory.linear_mdp.actor_critic.runs import run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import Settings
from rltheory.paper_figures.rate_families import FAMILIES, Family, regret_of, uniform_loss
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"episodes": [250, 500, 1000], "seeds": 4},
    "paper": {"episodes": [1000, 4000, 16_000, 64_000], "seeds": 60},
}
SCALE = 0.1
"""Of the bonuses."""
RESAMPLES = 1000
"""Of the bootstrap."""


def commit(mdp: EpisodicMDP, episodes: int, seed: np.random.Generator) -> float:
    """Return the regret of playing uniformly at first, and then for ever what looks best.

    It explores for T^(2/3) episodes, the best order there is: at its worst gap regret is of order
    T^(2/3). Source: Lattimore and Szepesvari (2020), section 6.
    """
    first = round(episodes ** (2 / 3))
    uniform = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    data = collect_offline(mdp, [uniform], episodes=first, seed=seed)
    greedy = Settings(name="commit", bonus="none")
    after = run_actor_critic(mdp, greedy, episodes=1, offline=data.visits, seed=seed)
    loss = float(after.suboptimality[0])
    return float(first * uniform_loss(mdp) + (episodes - first) * loss)


LEARNERS: dict[str, Callable[[EpisodicMDP, int, np.random.Generator], float]] = {
    "NORA": partial(regret_of, partial(nora, scale=SCALE)),
    "NORA, counts": partial(regret_of, partial(nora, scale=SCALE, switch="counts")),
    "explore, then commit": commit,
}


def gaps_of(family: Family, episodes: list[int]) -> list[float]:
    """Return gaps half of each other, from twice the hardest for the least T, as there is room.

    The last is at most half the hardest one for the largest T; all T meet all of them, so that
    nothing keeps the worst in proportion to T^(-1/2).
    """
    largest = 2.0 * family.unit / np.sqrt(min(episodes))
    number = 3 + int(np.ceil(np.log2(max(episodes) / min(episodes)) / 2 - 1e-9))
    gaps = largest / 2.0 ** np.arange(number)
    return [float(gap) for gap in np.unique(np.minimum(gaps, family.most))[::-1]]


def fit_worst(x: FloatArray, regret: FloatArray, *, seed: int) -> tuple[FloatArray, Rate]:
    """Return mean regrets (n,) at the worst of the gaps, and their power law over x (n,).

    regret (gaps, runs, n): a run meets the same instance at all gaps. The bootstrap resamples runs
    and names the worst gaps anew, as which one is the worst is uncertain too.
    """
    runs = regret.shape[1]
    chosen = np.random.default_rng(seed).integers(runs, size=(RESAMPLES, runs))
    means = np.stack([regret[:, rows].mean(axis=1).max(axis=0) for rows in chosen])
    curve = regret.mean(axis=1).max(axis=0)
    return curve, rate_of_logs(x, np.log(curve), np.log(means))


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the regret at each gap and at the worst, with fitted exponents."""
    episodes, count = settings["episodes"], settings["seeds"]
    gaps = {name: gaps_of(family, episodes) for name, family in FAMILIES.items()}
    cases = [
        case
        for name in FAMILIES
        for learner in LEARNERS
        for case in grid(
            name=[name], learner=[learner], gap=gaps[name], k=range(count), total=episodes
        )
    ]

    def one(name: str, learner: str, gap: float, k: int, total: int) -> dict[str, float]:
        # The learners meet the same instances.
        instance_seed = int(np.random.default_rng([seed, k]).integers(2**31))
        instance = FAMILIES[name].make(gap=gap, seed=instance_seed)
        rng = np.random.default_rng([seed, k, total])
        return {"regret": LEARNERS[learner](instance, total, rng)}

    table = sweep(one, cases, backend="threads", progress=False)
    rows: list[dict[str, Any]] = []
    for name in FAMILIES:
        for learner in LEARNERS:
            regret = table.column("regret", name=name, learner=learner)
            regret = regret.reshape(len(gaps[name]), count, len(episodes))
            rows += _rows(name, learner, episodes, gaps[name], regret, seed)
    figure, axes = plotting.panels(2, 3, width=plotting.PAGE, height=4.8)
    shown = axes.ravel()
    for axis, (name, family) in zip(shown, FAMILIES.items(), strict=False):
        for index, learner in enumerate(LEARNERS):
            _paint(axis, rows, name, learner, index)
        axis.set(xscale="log", yscale="log", title=family.title, xlabel="episodes $T$")
        axis.set_ylabel("regret (units of reward)")
        axis.set_xticks(episodes, [f"{x:g}" for x in episodes])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    plotting.letter(shown[: len(FAMILIES)])
    shown[-1].axis("off")
    shown[-1].legend(*shown[0].get_legend_handles_labels(), loc="center", fontsize=8.5)
    return figure, rows


def _rows(
    name: str,
    learner: str,
    episodes: list[int],
    gaps: list[float],
    regret: FloatArray,
    seed: int,
) -> list[dict[str, Any]]:
    x = np.array(episodes, dtype=np.float64)
    curve, rate = fit_worst(x, regret, seed=seed)
    return [
        {
            "family": name,
            "algorithm": learner,
            "episodes": total,
            "gap": gap,
            "regret": float(regret[i, :, j].mean()),
            "worst_regret": float(curve[j]),
            "slope": rate.slope,
            "slope_lower": float(rate.interval.lower),
            "slope_upper": float(rate.interval.upper),
            "seeds": regret.shape[1],
        }
        for j, total in enumerate(episodes)
        for i, gap in enumerate(gaps)
    ]


def _paint(axis: Any, rows: plotting.Rows, name: str, learner: str, index: int) -> None:
    where = {"family": name, "algorithm": learner}
    gaps = np.unique(plotting.column(rows, "gap", **where))
    look = plotting.line(index)
    for gap in gaps:
        x, y = (plotting.column(rows, key, gap=gap, **where) for key in ("episodes", "regret"))
        axis.plot(x, y, color=look["color"], alpha=0.25, linewidth=0.6)
    y = plotting.column(rows, "worst_regret", gap=gaps[0], **where)
    axis.plot(x, y, label=f"{learner}, worst gap", **look)


def findings(rows: plotting.Rows) -> str:
    """Give the exponents at the worst gap, and say whether a worse rate was seen as such."""
    first = {(row["family"], row["algorithm"]): row for row in reversed(rows)}
    parts: list[str] = []
    held = dict.fromkeys(LEARNERS, 0)
    above = dict.fromkeys(LEARNERS, 0)
    for name, family in FAMILIES.items():
        words = []
        for learner in LEARNERS:
            row = first[name, learner]
            low, high = row["slope_lower"], row["slope_upper"]
            words.append(f"{learner} {row['slope']:.2f} [{low:.2f}, {high:.2f}]")
            held[learner] += low <= 0.5 <= high
            above[learner] += low > 0.5
        parts.append(f"{family.title}: {', '.join(words)}")
    counts = "; ".join(
        f"{learner}, on {held[learner]} and {above[learner]}" for learner in LEARNERS
    )
    return (
        f"Exponents with bootstrap intervals of 95 %: {'; '.join(parts)}. Of {len(FAMILIES)} "
        f"families, on how many the interval holds 1/2, and is above it: {counts}."
    )


FIGURE = Figure(
    name="worst-gaps",
    title="Regret at the worst gap",
    caption="A bound for the worst case is tested by the gap that is worst for a learner, not by "
    "one that shrinks with T by rule, where on all families but the last no regret could grow "
    "faster than T^(1/2). Here all T meet the same gaps, half of each other, from twice the "
    "hardest for the least T to half of the hardest for the largest. Faint lines: means over seeds "
    "at one gap. Thick: the largest of them for each T; which gap that is, intervals allow to be "
    "another. Exploring uniformly for T^(2/3) episodes and then committing to what looks best is "
    "the control: its worst case is of order T^(2/3). Bonuses are 0.1 C sqrt(L / n).",
    source="Tan, Fan and Wei (2025), by its abstract; Lattimore and Szepesvari (2020), sections 6 "
    "and 15; families as in actor-critic-rates",
    draw=draw,
    settings=SETTINGS,
    cost=8.0,
    findings=findings,
)
