"""How rarely does an actor-critic switch its critic, and is it within the bounds?"""

from collections.abc import Callable
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import IntArray
from rltheory.linear_mdp.actor_critic.nora import nora, nora_settings
from rltheory.linear_mdp.actor_critic.settings import switch_bound
from rltheory.linear_mdp.actor_critic.world import world_of
from rltheory.linear_mdp.environments.actor_critic_worlds import episodic_river, two_thread_lock
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular import EpisodicMDP

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"episodes": 20_000, "seeds": 5, "points": 40},
    "paper": {"episodes": 500_000, "seeds": 30, "points": 80},
}
WORLDS: dict[str, tuple[str, Callable[[int], EpisodicMDP]]] = {
    "lock": ("combination locks", lambda seed: two_thread_lock(5, 3, seed=seed)),
    "river": ("river", lambda seed: episodic_river(4, 8)),
}
TESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "residual": ("residuals above 5 times the radius", {"switch": "residual"}),
    "residual, 2": ("residuals above twice the radius", {"switch": "residual", "threshold": 2.0}),
    "determinant": ("det doubled", {"switch": "determinant"}),
    "counts": ("a count doubled", {"switch": "counts"}),
}
SCALE = 0.1
"""Of the bonuses."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return the number of switches by episode, with the bounds on it."""
    episodes, count = settings["episodes"], settings["seeds"]
    ends = np.unique(np.geomspace(10, episodes, settings["points"]).round().astype(np.int64))
    tasks = [(w, test, k) for w in WORLDS for test in TESTS for k in range(count)]

    def one(world: str, test: str, k: int) -> IntArray:
        instance = WORLDS[world][1](int(np.random.default_rng([seed, k]).integers(2**31)))
        rng = np.random.default_rng([seed, k, 1])
        given = TESTS[test][1]
        run = nora(instance, scale=SCALE, step=1.0, episodes=episodes, seed=rng, **given)
        return np.searchsorted(run.switches, ends)

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    rows: list[dict[str, Any]] = []
    for at in range(0, len(tasks), count):
        world, test, _ = tasks[at]
        switches = np.stack(found[at : at + count])
        bound = _bounds(world, test, ends)
        low, high = np.quantile(switches, [0.1, 0.9], axis=0)
        rows += [
            {
                "world": world,
                "test": test,
                "episodes": int(end),
                "switches": float(switches[:, j].mean()),
                "switches_p10": float(low[j]),
                "switches_p90": float(high[j]),
                "most": int(switches[:, j].max()),
                "bound": None if bound is None else float(bound[j]),
            }
            for j, end in enumerate(ends)
        ]
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=4.8)
    for line, (world, (title, _)) in zip(axes, WORLDS.items(), strict=True):
        for index, test in enumerate(TESTS):
            _paint(line[0], rows, world, test, index, bound=False)
            _paint(line[1], rows, world, test, index, bound=True)
        line[0].set(xscale="log", title=f"{title}: linear axis", xlabel="episodes $T$")
        line[1].set(xscale="log", yscale="log", title=f"{title}: bounds", xlabel="episodes $T$")
        line[0].set_ylabel("switches")
        line[1].set_ylabel("switches, bounds thin")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=7.5
    )
    plotting.letter(axes)
    return figure, rows


def _bounds(world: str, test: str, ends: Any) -> Any:
    """Return the bounds on the switches in so many episodes; None for a test without one."""
    if test.startswith("residual"):
        return None
    model = world_of(WORLDS[world][1](0))
    settings = nora_settings(**TESTS[test][1])
    return np.array([switch_bound(settings, model, int(end)) for end in ends])


def _paint(
    axis: Any, rows: plotting.Rows, world: str, test: str, index: int, *, bound: bool
) -> None:
    x, y, low, high, most = (
        plotting.column(rows, key, world=world, test=test)
        for key in ("episodes", "switches", "switches_p10", "switches_p90", "bound")
    )
    look = plotting.line(index, points=len(x))
    axis.plot(x, y, label=TESTS[test][0], **look)
    axis.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)
    if bound and most[0] is not None:
        axis.plot(x, most.astype(float), color=look["color"], linestyle=":", linewidth=0.7)


def findings(rows: plotting.Rows) -> str:
    """Say how switches grow late in the runs, per doubling, and whether bounds hold."""
    last = max(row["episodes"] for row in rows)
    near = max(row["episodes"] for row in rows if row["episodes"] <= last / 10)
    words = []
    for world, (title, _) in WORLDS.items():
        parts = []
        for test, (label, _) in TESTS.items():
            at = {r["episodes"]: r for r in rows if (r["world"], r["test"]) == (world, test)}
            more = at[last]["switches"] - at[near]["switches"]
            per = more / np.log2(last / near)
            parts.append(f"{label} {at[last]['switches']:.3g}, {per:.2g} more per doubling of T")
        words.append(f"{title}: {'; '.join(parts)}")
    broken = [r for r in rows if r["bound"] is not None and r["most"] > r["bound"]]
    share = max(r["most"] / r["bound"] for r in rows if r["episodes"] == last and r["bound"])
    return (
        f"After {last} episodes, from the last tenth of which the growth is taken, "
        f"{'. '.join(words)}. "
        + ("Bounds are broken." if broken else "No run is above its bound")
        + f"; the nearest comes to {100 * share:.0f} % of it in the end."
    )


FIGURE = Figure(
    name="switches",
    title="Switches of the critic",
    caption="How often NORA has refreshed its critic, by the test that tells it to: means over "
    "seeds, bands from the 10th to the 90th percentile. (a, b) Combination locks of 5 steps with 3 "
    "actions, (c, d) RiverSwim with 4 states and 8 steps; straight lines on the left axes are "
    "growth in proportion to log T. Bounds: sum_h d_h (1 + log2 T) for counts, sum_h d_h log2(1 + "
    "T / d_h) for determinants, with d_h the pairs that can occur at step h, and 1 for the first "
    "critic; for residuals O(d H log T) is claimed without constants. Bonuses are 0.1 C sqrt(L / "
    "n), steps of the actor 1.",
    source="Tan, Fan and Wei (2025), by its abstract; Abbasi-Yadkori, Pal and Szepesvari (2011), "
    "section 5.1",
    draw=draw,
    settings=SETTINGS,
    cost=6.0,
    findings=findings,
)
