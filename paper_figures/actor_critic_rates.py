"""Does the regret of actor-critics grow as its bounds say, in episodes, actions and steps?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis import grid, plotting, sweep
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp import load
from rltheory.linear_mdp.actor_critic.baselines import rare_ucbvi, ucbvi
from rltheory.linear_mdp.actor_critic.douhua import douhua
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.power import power_statement
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.paper_figures.rate_families import (
    FAMILIES,
    Family,
    chains,
    needles,
    regret_of,
    uniform_loss,
)
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "episodes": [500, 1000, 2000], "seeds": 5, "rivals": 2, "actions": [4, 8, 16],
        "steps": [4, 8, 16], "fixed": 1000,
    },
    "paper": {
        "episodes": [1000, 2000, 4000, 8000, 16_000, 32_000], "seeds": 40,
        "rivals": 8, "actions": [4, 8, 16, 32], "steps": [4, 8, 16, 32], "fixed": 8000,
    },
}  # fmt: skip
SCALE = 0.1
"""Of the bonuses."""
ERROR = 0.1
"""The error in a slope whose detection is spoken of."""
LEAST = 1e-9
"""Regret that is taken for none."""


class Panel(NamedTuple):
    """What varies in a panel: a world made from (value, episodes, seed), and what is claimed.

    claim: the exponent in the bounds.
    """

    title: str
    label: str
    make: Callable[[int, int, int], EpisodicMDP]
    claim: float


def _uniform(mdp: EpisodicMDP, episodes: int, seed: np.random.Generator) -> float:
    return episodes * uniform_loss(mdp)


LEARNERS: dict[str, Callable[[EpisodicMDP, int, np.random.Generator], float]] = {
    "NORA": partial(regret_of, partial(nora, scale=SCALE)),
    "NORA, counts": partial(regret_of, partial(nora, scale=SCALE, switch="counts")),
    "DOUHUA": partial(regret_of, partial(douhua, scale=SCALE)),
    "UCBVI": partial(regret_of, partial(ucbvi, scale=SCALE)),
    "rare UCBVI": partial(regret_of, partial(rare_ucbvi, scale=SCALE)),
    "NORA, no optimism": partial(regret_of, partial(nora, optimism=False)),
    "uniform policy": _uniform,
}
"""The regret of a run, by (mdp, episodes, seed)."""
TOLD = ("NORA", "NORA, counts", "DOUHUA")
"""Whose exponents the caption gives; the data have all."""
RIVALS = ("DOUHUA", "UCBVI")
"""Those that fit their critic in every episode: dear, and so with fewer seeds."""


def _random(episodes: int, total: int, seed: int) -> EpisodicMDP:
    model: Any = load(
        "random_linear_mdp", states=6, actions=4, dimension=3, horizon=4, coverage=0.2, seed=seed
    )
    table: EpisodicMDP = model.to_tabular()
    return table


def _hard(family: Family) -> Panel:
    return Panel(family.title, "episodes $T$", lambda x, total, k: family.hardest(x, k), 0.5)


PANELS = {
    **{name: _hard(family) for name, family in FAMILIES.items()},
    "lock": Panel(
        "combination locks", "episodes $T$", lambda x, total, k: two_thread_lock(6, 4, seed=k), 0.5
    ),
    "linear": Panel("random linear MDPs", "episodes $T$", _random, 0.5),
    "actions": Panel(
        "needle", "actions $|A|$", lambda x, total, k: needles(x).hardest(total, k), 0.5
    ),
    "steps": Panel(
        "two-state chain", "steps $H$", lambda x, total, k: chains(x).hardest(total, k), 1.5
    ),
}  # fmt: skip


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the regret of runs by what varies, with fitted exponents."""
    total = settings["fixed"]
    counts = {name: settings["rivals" if name in RIVALS else "seeds"] for name in LEARNERS}
    grids = {panel: settings.get(panel, settings["episodes"]) for panel in PANELS}
    cases = [
        case
        for panel in PANELS
        for name in LEARNERS
        for case in grid(panel=[panel], name=[name], x=grids[panel], k=range(counts[name]))
    ]

    def one(panel: str, name: str, x: int, k: int) -> dict[str, float]:
        # The algorithms meet the same instances.
        episodes = total if panel in settings else x
        instance_seed = int(np.random.default_rng([seed, k]).integers(2**31))
        instance = PANELS[panel].make(x, episodes, instance_seed)
        rng = np.random.default_rng([seed, k, x])
        return {"regret": LEARNERS[name](instance, episodes, rng)}

    table = sweep(one, cases, backend="threads", progress=False)
    rows: list[dict[str, Any]] = []
    for panel in PANELS:
        for name in LEARNERS:
            regret = table.column("regret", panel=panel, name=name).reshape(-1, counts[name]).T
            # A run may lose nothing, and logarithms want a number.
            regret = np.maximum(regret, LEAST)
            rows += _rows(panel, name, grids[panel], regret, seed)
    figure, axes = plotting.panels(3, 3, width=plotting.PAGE, height=7.2)
    shown = axes.ravel()
    for axis, (panel, kind) in zip(shown, PANELS.items(), strict=False):
        for index, name in enumerate(LEARNERS):
            _paint(axis, rows, panel, name, index)
        axis.set(xscale="log", yscale="log", title=kind.title, xlabel=kind.label)
        axis.set_ylabel("regret (units of reward)")
        axis.set_xticks(grids[panel], [f"{x:g}" for x in grids[panel]])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.tick_params(axis="x", labelrotation=45 if grids[panel][-1] > 100 else 0)
    plotting.letter(shown[: len(PANELS)])
    figure.legend(*shown[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure, rows


def _rows(
    panel: str, name: str, values: list[int], regret: FloatArray, seed: int
) -> list[dict[str, Any]]:
    x = np.array(values, dtype=np.float64)
    rate = fit_rate(x, regret, seed=seed)
    # The upper half of the range, where the start weighs less.
    last = max(2, -(-len(values) // 2))
    late = fit_rate(x[-last:], regret[:, -last:], seed=seed)
    needed = power_statement(x, regret, error=ERROR) if len(regret) >= 3 else None
    low, high = np.quantile(regret, [0.1, 0.9], axis=0)
    return [
        {
            "panel": panel,
            "algorithm": name,
            "x": int(at),
            "regret": float(regret[:, j].mean()),
            "regret_p10": float(low[j]),
            "regret_p90": float(high[j]),
            "slope": rate.slope,
            "slope_lower": float(rate.interval.lower),
            "slope_upper": float(rate.interval.upper),
            "late_slope": late.slope,
            "late_slope_lower": float(late.interval.lower),
            "late_slope_upper": float(late.interval.upper),
            "seeds": len(regret),
            "seeds_needed": None if needed is None else needed.seeds,
        }
        for j, at in enumerate(values)
    ]


def _paint(axis: Any, rows: plotting.Rows, panel: str, name: str, index: int) -> None:
    x, y, low, high = (
        plotting.column(rows, key, panel=panel, algorithm=name)
        for key in ("x", "regret", "regret_p10", "regret_p90")
    )
    look = plotting.line(index)
    axis.plot(x, y, label=name, **look)
    axis.fill_between(x, low, high, color=look["color"], alpha=0.1, linewidth=0)


def _told(row: dict[str, Any], kind: str, claim: float) -> str:
    low, high = row[f"{kind}_lower"], row[f"{kind}_upper"]
    inside = "within" if low <= claim <= high else "below" if high < claim else "above"
    return f"{row[kind]:.2f} [{low:.2f}, {high:.2f}] {inside}"


def findings(rows: plotting.Rows) -> str:
    """Give the exponents with their intervals, and say where they are what is claimed."""
    first = {(row["panel"], row["algorithm"]): dict(row) for row in reversed(rows)}
    parts = []
    for panel, kind in PANELS.items():
        words = [
            f"{name} {_told(first[panel, name], 'slope', kind.claim)}, "
            f"later {_told(first[panel, name], 'late_slope', kind.claim)}"
            for name in TOLD
        ]
        parts.append(f"{kind.title} over {kind.label} (bound {kind.claim:g}): {'; '.join(words)}")
    blind = first["lock", "NORA, no optimism"]
    linear = "linear" if blind["slope_lower"] > 0.95 else "not linear"
    needed = [first[panel, name]["seeds_needed"] for panel in FAMILIES for name in TOLD[:2]]
    told = ""
    if None not in needed:
        told = (
            f" In panels a to e, {max(needed)} seeds would detect an error of {ERROR:g} in any "
            f"slope of NORA with probability 0.8, tested at level 0.05; there are {blind['seeds']}."
        )
    return (
        "Fitted exponents with bootstrap intervals of 95 % over seeds, within, below or above the "
        "bound's, and later, over the upper half of the range, in the same way. "
        f"{'. '.join(parts)}. Without optimism the regret on the locks is {linear}.{told}"
    )


FIGURE = Figure(
    name="actor-critic-rates",
    title="Rates of actor-critics",
    caption="Regret of whole runs, each tuned to its number of episodes; means over seeds, bands "
    "from the 10th to the 90th percentile; bonuses are 0.1 C sqrt(L / n). DOUHUA and UCBVI, which "
    "fit their critic in every episode, have fewer seeds. (a-e) Families whose gap is the hardest "
    "for as many episodes, two standard errors of a choice's tries: there regret can grow no more "
    "slowly than T^(1/2). In a to d no policy loses more than in proportion to the gap, so that no "
    "regret grows faster either, not even the uniform policy's: what is learnt is seen in how far "
    "a curve is below that one. In e the gap lies behind a lock, and a learner that does not "
    "explore is linear. (f, g) The same locks and random linear MDPs for all T: the bound T^(1/2) "
    "is not reached when gaps stay. (h) The needle over the number of actions, (i) the chain over "
    "its steps, at the same number of episodes and with their hardest gaps; lower bounds grow as "
    "|A|^(1/2) and H^(3/2), NORA's bound as H^(5/2). A uniform policy misses the better action "
    "with probability 1 - 1/|A|, which adds to the exponent of few actions. An exponent above the "
    "bound's, over so few episodes, tells of a curve that has not bent yet, as bounds have "
    "constants.",
    source="Tan, Fan and Wei (2025), by its abstract; Domingues, Menard, Kaufmann and Valko "
    "(2021); Jaksch, Ortner and Auer (2010); Zhou, Gu and Szepesvari (2021)",
    draw=draw,
    settings=SETTINGS,
    cost=12.0,
    findings=findings,
)
