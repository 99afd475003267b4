"""Does the regret of actor-critics grow as its bounds say, in episodes, actions and steps?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp import load
from rltheory.linear_mdp.actor_critic.baselines import rare_ucbvi, ucbvi
from rltheory.linear_mdp.actor_critic.douhua import douhua
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.power import power_statement
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun
from rltheory.linear_mdp.environments.actor_critic_worlds import needle, two_thread_lock
from rltheory.paper_figures.registry import Drawing, Figure
from rltheory.tabular import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {
        "episodes": [500, 1000, 2000], "seeds": 6, "actions": [4, 8, 16], "steps": [3, 5, 8],
        "fixed": 1000,
    },
    "paper": {
        "episodes": [1000, 2000, 4000, 8000, 16_000, 32_000], "seeds": 40,
        "actions": [4, 8, 16, 32], "steps": [3, 5, 8, 12, 16], "fixed": 8000,
    },
}  # fmt: skip
SCALE = 0.1
"""Of the bonuses."""
ERROR = 0.1
"""The error in a slope whose detection is spoken of."""


class Panel(NamedTuple):
    """What varies in a panel: a world made from (value, episodes, seed), and what is claimed.

    claim: the exponent in the bounds, where regret is at most in proportion to that power.
    """

    title: str
    label: str
    make: Callable[[int, int, int], EpisodicMDP]
    claim: float


LEARNERS: dict[str, Callable[..., ActorCriticRun]] = {
    "NORA": partial(nora, scale=SCALE),
    "NORA, counts": partial(nora, scale=SCALE, switch="counts"),
    "DOUHUA": partial(douhua, scale=SCALE),
    "UCBVI": partial(ucbvi, scale=SCALE),
    "rare UCBVI": partial(rare_ucbvi, scale=SCALE),
    "NORA, no optimism": partial(nora, optimism=False),
}


def hardest(actions: int, episodes: int, seed: int) -> EpisodicMDP:
    """Return the needle that is hardest for so many episodes, with 4 doors and 6 steps."""
    return needle(4, actions, gap=min(0.5, float(np.sqrt(4 * actions / episodes))), seed=seed)


def _random(episodes: int, total: int, seed: int) -> EpisodicMDP:
    model: Any = load(
        "random_linear_mdp", states=6, actions=4, dimension=3, horizon=4, coverage=0.2, seed=seed
    )
    table: EpisodicMDP = model.to_tabular()
    return table


PANELS = {
    "hardest": Panel(
        "hardest needle for $T$", "episodes $T$", lambda x, total, k: hardest(4, x, k), 0.5
    ),
    "lock": Panel(
        "combination locks", "episodes $T$", lambda x, total, k: two_thread_lock(6, 4, seed=k), 0.5
    ),
    "linear": Panel("random linear MDPs", "episodes $T$", _random, 0.5),
    "actions": Panel(
        "hardest needle, actions", "actions $|A|$", lambda x, total, k: hardest(x, total, k), 0.5
    ),
    "steps": Panel(
        "combination locks, length", "steps $H$",
        lambda x, total, k: two_thread_lock(x, 3, seed=k), 2.5,
    ),
}  # fmt: skip


def draw(scale: str, seed: int) -> Drawing:
    """Return the regret of runs by what varies, with fitted exponents."""
    settings = SETTINGS[scale]
    count, total = settings["seeds"], settings["fixed"]
    grids = {panel: settings.get(panel, settings["episodes"]) for panel in PANELS}
    tasks = [
        (panel, name, x, k)
        for panel in PANELS
        for name in LEARNERS
        for x in grids[panel]
        for k in range(count)
    ]

    def one(panel: str, name: str, x: int, k: int) -> float:
        # The algorithms meet the same instances.
        episodes = total if panel in settings else x
        instance_seed = int(np.random.default_rng([seed, k]).integers(2**31))
        instance = PANELS[panel].make(x, episodes, instance_seed)
        rng = np.random.default_rng([seed, k, x])
        return float(LEARNERS[name](instance, episodes=episodes, seed=rng).regret[-1])

    found = iter(Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks))
    rows: list[dict[str, Any]] = []
    for panel in PANELS:
        grid = grids[panel]
        for name in LEARNERS:
            regret = np.array([[next(found) for _ in range(count)] for _ in grid]).T
            rows += _rows(panel, name, grid, regret, seed)
    figure, axes = plotting.panels(2, 3, width=plotting.PAGE, height=5.0)
    shown = axes.ravel()
    for axis, (panel, kind) in zip(shown, PANELS.items(), strict=False):
        for index, name in enumerate(LEARNERS):
            _paint(axis, rows, panel, name, index)
        axis.set(xscale="log", yscale="log", title=kind.title, xlabel=kind.label)
        axis.set_ylabel("regret (units of reward)")
        axis.set_xticks(grids[panel], [f"{x:g}" for x in grids[panel]])
        axis.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
        axis.tick_params(axis="x", labelrotation=45 if grids[panel][-1] > 100 else 0)
    plotting.letter(shown[:5])
    shown[5].axis("off")
    shown[5].legend(*shown[0].get_legend_handles_labels(), loc="center", fontsize=8.5)
    return figure, rows


def _rows(
    panel: str, name: str, grid: list[int], regret: FloatArray, seed: int
) -> list[dict[str, Any]]:
    x = np.array(grid, dtype=np.float64)
    rate = fit_rate(x, regret, seed=seed)
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
            "seeds": len(regret),
            "seeds_needed": None if needed is None else needed.seeds,
        }
        for j, at in enumerate(grid)
    ]


def _paint(axis: Any, rows: plotting.Rows, panel: str, name: str, index: int) -> None:
    x, y, low, high = (
        plotting.column(rows, key, panel=panel, algorithm=name)
        for key in ("x", "regret", "regret_p10", "regret_p90")
    )
    look = plotting.line(index)
    axis.plot(x, y, label=name, **look)
    axis.fill_between(x, low, high, color=look["color"], alpha=0.1, linewidth=0)


def findings(rows: plotting.Rows) -> str:
    """Give the exponents with their intervals, and say where they are what is claimed."""
    first = {(row["panel"], row["algorithm"]): row for row in reversed(rows)}
    parts = []
    for panel, kind in PANELS.items():
        words = []
        for name in LEARNERS:
            row = first[panel, name]
            low, high = row["slope_lower"], row["slope_upper"]
            inside = "within" if low <= kind.claim <= high else "below" if high < kind.claim else ""
            words.append(f"{name} {row['slope']:.2f} [{low:.2f}, {high:.2f}] {inside or 'above'}")
        parts.append(f"{kind.title} (bound {kind.claim:g}): {', '.join(words)}")
    blind = first["lock", "NORA, no optimism"]
    linear = "linear" if blind["slope_lower"] > 0.95 else "not linear"
    needed = [row["seeds_needed"] for (p, _), row in first.items() if p == "hardest"]
    told = ""
    if None not in needed:
        told = (
            f" On the hardest needle, {max(needed)} seeds would detect an error of {ERROR:g} in "
            f"any slope with probability 0.8, tested at level 0.05; there are {blind['seeds']}."
        )
    return (
        "Fitted exponents with bootstrap intervals of 95 % over seeds, within, below or above what "
        f"the bounds allow: {'; '.join(parts)}. Without optimism the regret on the locks is "
        f"{linear}.{told}"
    )


FIGURE = Figure(
    name="actor-critic-rates",
    title="Rates of actor-critics",
    caption="Regret of whole runs, each tuned to its number of episodes; means over seeds, bands "
    "from the 10th to the 90th percentile. (a) The needle whose gap is the hardest for as many "
    "episodes, (|S| |A| / T)^(1/2) with 4 doors, 4 actions and 6 steps: there regret can grow no "
    "more slowly than T^(1/2). (b, c) The same locks and random linear MDPs for all T: the bound "
    "T^(1/2) is not reached when gaps stay. (d) The hardest needle over the number of actions, (e) "
    "locks of 3 actions over their length, at the same number of episodes; the bounds grow as "
    "|A|^(1/2), as pairs are features, and H^(5/2). Bonuses are 0.1 C sqrt(L / n). On the needle "
    "nothing is far away, so a learner without optimism, whose policy starts uniform, fares as "
    "well; a uniform policy misses the better action with probability 1 - 1/|A|, which adds to the "
    "exponent of few actions. An exponent above the bound's, over so few episodes, tells of a "
    "curve that has not bent yet, as bounds have constants.",
    source="Tan, Fan and Wei (2025), by its abstract; Lattimore and Szepesvari (2020), 15.2",
    draw=draw,
    settings=SETTINGS,
    cost=12.0,
    findings=findings,
)
