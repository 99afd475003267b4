"""How much do actor-critics lose while they learn, and their rivals and controls?"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import load
from rltheory.linear_mdp.actor_critic.baselines import (
    optimistic_npg,
    q_learning_ucb,
    rare_ucbvi,
    tabular_lsvi_ucb,
    ucbvi,
)
from rltheory.linear_mdp.actor_critic.douhua import douhua
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun
from rltheory.linear_mdp.environments.actor_critic_worlds import episodic_river, two_thread_lock
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"episodes": 3000, "seeds": 4, "points": 40},
    "paper": {"episodes": 30_000, "seeds": 20, "points": 120},
}
SCALE = 0.1
"""Of the bonuses, the same for everyone but Q-learning, whose bonus is longer by H^(1/2)."""
FLOOR = 1e-2
"""Least regret drawn, in units of reward."""


class World(NamedTuple):
    """Instances of a kind, one for each seed."""

    title: str
    make: Callable[[int], EpisodicMDP]


class Learner(NamedTuple):
    """An algorithm, and the place of its look in the style."""

    run: Callable[..., ActorCriticRun]
    look: int


def _random(seed: int) -> EpisodicMDP:
    model: Any = load(
        "random_linear_mdp", states=10, actions=4, dimension=4, horizon=5, coverage=0.2, seed=seed
    )
    table: EpisodicMDP = model.to_tabular()
    return table


WORLDS = {
    "lock": World("combination locks", lambda seed: two_thread_lock(6, 4, seed=seed)),
    "river": World("river", lambda seed: episodic_river(5, 12)),
    "linear": World("random linear MDPs", _random),
}
LEARNERS = {
    "NORA": Learner(partial(nora, scale=SCALE), 0),
    "NORA, counts": Learner(partial(nora, scale=SCALE, switch="counts"), 1),
    "DOUHUA": Learner(partial(douhua, scale=SCALE), 2),
    "UCBVI": Learner(partial(ucbvi, scale=SCALE), 3),
    "rare UCBVI": Learner(partial(rare_ucbvi, scale=SCALE), 4),
    "LSVI-UCB": Learner(partial(tabular_lsvi_ucb, scale=SCALE), 5),
    "Q-learning UCB-H": Learner(partial(q_learning_ucb, scale=SCALE / 2), 7),
    "optimistic NPG": Learner(partial(optimistic_npg, scale=SCALE), 8),
    "NORA, no optimism": Learner(partial(nora, optimism=False), 6),
    "NORA, no resets": Learner(partial(nora, scale=SCALE, switch="counts", reset=False), 9),
}


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the regret of every algorithm in every world, by episode."""
    episodes, count = settings["episodes"], settings["seeds"]
    ends = np.unique(np.geomspace(10, episodes, settings["points"]).round().astype(np.int64))
    tasks = [(w, name, k) for w in WORLDS for name in LEARNERS for k in range(count)]

    def one(world: str, name: str, k: int) -> FloatArray:
        # The algorithms meet the same instances.
        instance = WORLDS[world].make(int(np.random.default_rng([seed, k]).integers(2**31)))
        rng = np.random.default_rng([seed, k, 1])
        return LEARNERS[name].run(instance, episodes=episodes, seed=rng).regret[ends - 1]

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    rows: list[dict[str, Any]] = []
    for at in range(0, len(tasks), count):
        world, name, _ = tasks[at]
        regret = np.stack(found[at : at + count])
        low, high = np.quantile(regret, [0.1, 0.9], axis=0)
        rows += [
            {
                "world": world,
                "algorithm": name,
                "episodes": int(end),
                "regret": float(regret[:, j].mean()),
                "regret_p10": float(low[j]),
                "regret_p90": float(high[j]),
            }
            for j, end in enumerate(ends)
        ]
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=5.0)
    shown = axes.ravel()
    for axis, (world, kind) in zip(shown, WORLDS.items(), strict=False):
        for name in LEARNERS:
            _paint(axis, rows, world, name)
        axis.set(xscale="log", yscale="log", title=kind.title, xlabel="episodes")
        axis.set_ylabel("regret (units of reward)")
    plotting.letter(shown[:3])
    shown[3].axis("off")
    shown[3].legend(*shown[0].get_legend_handles_labels(), loc="center", fontsize=8.5)
    return figure, rows


def _paint(axis: Any, rows: plotting.Rows, world: str, name: str) -> None:
    x, y, low, high = (
        np.maximum(plotting.column(rows, key, world=world, algorithm=name), FLOOR)
        for key in ("episodes", "regret", "regret_p10", "regret_p90")
    )
    look = plotting.line(LEARNERS[name].look, points=len(x))
    axis.plot(x, y, label=name, **look)
    axis.fill_between(x, low, high, color=look["color"], alpha=0.1, linewidth=0)


def findings(rows: plotting.Rows) -> str:
    """Say who lost least and most in each world, and whether the controls learnt."""
    last = max(row["episodes"] for row in rows)
    final = {(r["world"], r["algorithm"]): r["regret"] for r in rows if r["episodes"] == last}
    half = max(row["episodes"] for row in rows if row["episodes"] <= last / 2)
    middle = {(r["world"], r["algorithm"]): r["regret"] for r in rows if r["episodes"] == half}
    words = []
    for world, kind in WORLDS.items():
        order = sorted(LEARNERS, key=lambda name, w=world: final[w, name])  # type: ignore[misc]
        words.append(
            f"on the {kind.title}, {order[0]} lost least ({final[world, order[0]]:.3g}), "
            f"{order[-1]} most ({final[world, order[-1]]:.3g}), NORA {final[world, 'NORA']:.3g} "
            f"and DOUHUA {final[world, 'DOUHUA']:.3g}"
        )
    blind = "NORA, no optimism"
    slope = np.log(final["lock", blind] / middle["lock", blind]) / np.log(last / half)
    kept = final["lock", "NORA, counts"] / final["lock", "NORA, no resets"]
    return (
        f"After {last} episodes, {'; '.join(words)}. Without optimism the regret on the locks has "
        f"the slope {slope:.2f} in the end{', it is linear' if slope > 0.95 else ''}. With resets "
        f"NORA loses {kept:.2g} times as much on the locks as without, when it switches by counts."
    )


FIGURE = Figure(
    name="actor-critic-regret",
    title="Regret of actor-critics",
    caption="Regret, that is the exact values of all policies played summed, of actor-critics, "
    "their rivals and controls; means over seeds, bands from the 10th to the 90th percentile. (a) "
    "Combination locks of 6 steps with 4 actions and a small sure reward that tempts away, (b) "
    "RiverSwim with 5 states and 12 steps, (c) random linear MDPs of 10 states, dimension 4 and 5 "
    "steps, spelt out. Everyone knows the rewards, and bonuses are 0.1 C sqrt(L / n), C what can "
    "be earned later; Q-learning's are half of that, times sqrt(H). NORA switches its critic by "
    "its residuals, or when counts double, and has theory's step as worked out here; optimistic "
    "NPG keeps only the data of its last 50 episodes.",
    source="Tan, Fan and Wei (2025), by its abstract; Azar et al. (2017); Jin et al. (2018, 2020); "
    "Liu et al. (2023)",
    draw=draw,
    settings=SETTINGS,
    cost=12.0,
    findings=findings,
)
