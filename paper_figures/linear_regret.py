"""How fast does regret grow in well-covered models, and where one must explore?"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp import (
    LinearMDP,
    RegretCurve,
    RobustLinearMDP,
    dr_lsvi_ucb,
    dr_rpo,
    load,
    lsvi_ucb,
    robust_ucb_vi,
)
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.uncertainty import TotalVariation

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"episodes": 4000, "strata": 120, "seeds": 8},
    "paper": {"episodes": 20_000, "strata": 1000, "seeds": 30},
}
FITTED_FROM = 100
"""Episodes from which on slopes are fitted: before, the ridge and luck have a say."""
FAILED = 0.05
"""Probability of failure that the theory's bonus allows."""
FLOOR = 1e-9
"""What is smaller is rounding and counts as this."""


class World(NamedTuple):
    """Instances of a kind, one for each seed, with the adversary and the temperature used there."""

    title: str
    make: Callable[[int], Any]
    radius: float
    temperature: float


class Run(NamedTuple):
    """An algorithm with its scale of the bonus: 1, as in the papers' experiments, if not told."""

    title: str
    algorithm: str
    bonus: str = "one"


WORLDS = {
    "covered": World(
        "well covered",
        lambda seed: load(
            "random_linear_mdp", states=12, actions=3, dimension=4, horizon=4, coverage=0.5,
            seed=seed,
        ),
        0.2, 0.1,
    ),
    "lock": World(
        "combination lock", lambda seed: load("linear_lock", length=5, actions=4, seed=seed),
        0.05, 0.02,
    ),
}  # fmt: skip
RUNS = {
    "covered": (
        Run("LSVI-UCB", "lsvi"),
        Run("DR-LSVI-UCB", "dr"),
        Run("DR-RPO", "rpo"),
        Run("DR-RPO, mirror", "mirror"),
        Run("robust UCB-VI", "tabular"),
        Run("DR-RPO, theory's bonus", "rpo", "theory"),
    ),
    "lock": (
        Run("LSVI-UCB", "lsvi"),
        Run("DR-LSVI-UCB", "dr"),
        Run("DR-RPO", "rpo"),
        Run("DR-RPO, mirror", "mirror"),
        Run("robust UCB-VI", "tabular"),
        Run("LSVI, no bonus", "lsvi", "none"),
        Run("DR-LSVI, no bonus", "dr", "none"),
        Run("DR-RPO, no bonus", "rpo", "none"),
    ),
}
_LOOKS = {
    ("lsvi", "one"): 3, ("dr", "one"): 1, ("rpo", "one"): 0, ("mirror", "one"): 2,
    ("tabular", "one"): 4, ("rpo", "theory"): 5, ("lsvi", "none"): 7, ("dr", "none"): 6,
    ("rpo", "none"): 5,
}  # fmt: skip


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return suboptimality and regret by episode, with fitted slopes."""
    count, episodes = settings["seeds"], settings["episodes"]
    tasks = [(w, run, k) for w in WORLDS for run in RUNS[w] for k in range(count)]

    def one(world: str, run: Run, k: int) -> tuple[FloatArray, FloatArray]:
        # The algorithms meet the same instances, and the same episodes are looked at.
        kind = WORLDS[world]
        instance = kind.make(int(np.random.default_rng([seed, k]).integers(2**31)))
        edges, marks = strata(episodes, settings["strata"], np.random.default_rng([seed, k, 1]))
        curve = learn(run, kind, instance, episodes, marks, np.random.default_rng([seed, k, 2]))
        lost = curve.suboptimality[np.searchsorted(curve.episodes, marks)]
        return lost, np.cumsum(np.diff(edges) * lost)

    found = Parallel(n_jobs=-1, prefer="threads")(delayed(one)(*task) for task in tasks)
    ends = strata(episodes, settings["strata"], np.random.default_rng(seed))[0][1:]
    rows: list[dict[str, Any]] = []
    for at in range(0, len(tasks), count):
        world, run, _ = tasks[at]
        lost, regret = (np.stack(part) for part in zip(*found[at : at + count], strict=True))
        rows += _rows(world, run, ends, lost, regret, seed)
    figure, axes = plotting.panels(2, 2, width=plotting.PAGE, height=4.8)
    for line, (name, kind) in zip(axes, WORLDS.items(), strict=True):
        for axis, quantity in zip(line, ("suboptimality", "regret"), strict=True):
            for run in RUNS[name]:
                _paint(axis, rows, name, run, quantity)
            title = f"{kind.title}: {'an episode' if quantity == 'suboptimality' else 'regret'}"
            axis.set(xscale="log", yscale="log", xlabel="episodes", title=title)
            axis.set_ylabel(f"{quantity} (units of reward)")
        line[0].set_ylim(1e-5, None)
        line[1].set_ylim(1e-1, None)
        line[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="regret's slope, late")
    plotting.letter(axes)
    return figure, rows


def strata(episodes: int, count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Return edges 0, 1, ... of strata of episodes, and one episode of each, drawn at random.

    Strata grow geometrically; the first ones are single episodes. Episode m, counted from 0, is
    played with what was learnt from m ones. The sizes of the strata times the suboptimality of
    their episodes add up to the regret in expectation.
    """
    edges = np.unique(np.geomspace(1, episodes, count).round().astype(np.int64))
    edges = np.concatenate([[0], edges])
    return edges, rng.integers(edges[:-1], edges[1:])


def learn(
    run: Run,
    kind: World,
    instance: LinearMDP,
    episodes: int,
    marks: IntArray,
    rng: np.random.Generator,
) -> RegretCurve:
    """Run an algorithm, evaluated after the episodes in `marks`."""
    horizon, d = instance.horizon, instance.dimension
    theory = d * horizon * np.sqrt(np.log(d * horizon * episodes / FAILED))
    common: dict[str, Any] = {
        "bonus": {"none": 0.0, "one": 1.0, "theory": theory}[run.bonus],
        "episodes": episodes,
        "checkpoints": [int(m) for m in marks if m > 0],
        "seed": rng,
    }
    ball = TotalVariation(kind.radius)
    if run.algorithm == "lsvi":
        return lsvi_ucb(instance, **common)
    if run.algorithm == "tabular":
        table = instance.to_tabular()
        return robust_ucb_vi(table, ball, fail_state=instance.fail_state, **common)
    model = RobustLinearMDP(instance, ball)
    if run.algorithm == "dr":
        return dr_lsvi_ucb(model, **common)
    if run.algorithm == "mirror":
        # A fifth of the largest step: most of the former policy is kept.
        common |= {"update": "mirror", "step": 0.2 / kind.temperature}
    return dr_rpo(model, temperature=kind.temperature, **common)


def _rows(
    world: str, run: Run, ends: IntArray, lost: FloatArray, regret: FloatArray, seed: int
) -> list[dict[str, Any]]:
    late = ends >= FITTED_FROM
    rate = fit_rate(ends[late].astype(np.float64), np.maximum(regret[:, late], FLOOR), seed=seed)
    return [
        {
            "world": world,
            "algorithm": run.title,
            "episodes": int(end),
            "suboptimality": float(lost[:, j].mean()),
            "regret": float(regret[:, j].mean()),
            "regret_p10": float(np.quantile(regret[:, j], 0.1)),
            "regret_p90": float(np.quantile(regret[:, j], 0.9)),
            "slope": rate.slope,
            "slope_lower": float(rate.interval.lower),
            "slope_upper": float(rate.interval.upper),
        }
        for j, end in enumerate(ends)
    ]


def _paint(axis: Any, rows: plotting.Rows, world: str, run: Run, quantity: str) -> None:
    where = {"world": world, "algorithm": run.title}
    x, y = (plotting.column(rows, name, **where) for name in ("episodes", quantity))
    (slope,) = set(plotting.column(rows, "slope", **where))
    look = plotting.line(_LOOKS[run.algorithm, run.bonus], points=len(x))
    if quantity == "suboptimality":
        look |= {"linewidth": 0.8}
    axis.plot(x, np.maximum(y, FLOOR), label=f"{run.title}: {abs(slope):.2f}", **look)
    if quantity == "regret":
        low, high = (plotting.column(rows, f"regret_p{p}", **where) for p in (10, 90))
        axis.fill_between(
            x, np.maximum(low, FLOOR), np.maximum(high, FLOOR), color=look["color"], alpha=0.12,
            linewidth=0,
        )  # fmt: skip


def findings(rows: plotting.Rows) -> str:
    """Give slopes with their intervals, and say whether they are what is claimed."""

    def slope(world: str, title: str) -> tuple[str, float, float]:
        row = next(r for r in rows if (r["world"], r["algorithm"]) == (world, title))
        low, high = row["slope_lower"], row["slope_upper"]
        return f"{row['slope']:.2f} [{low:.2f}, {high:.2f}]", low, high

    last = max(row["episodes"] for row in rows)
    words = []
    for title in ("DR-RPO", "DR-RPO, mirror"):
        text, _, high = slope("covered", title)
        words.append(f"{title} has {text}, {'at most' if high <= 0.55 else 'above'} 0.55")
    free = []
    for run in RUNS["lock"]:
        if run.bonus == "none":
            text, low, _ = slope("lock", run.title)
            free.append(f"{run.title} {text}, {'linear' if low > 0.95 else 'not linear'}")
    theory, low, _ = slope("covered", "DR-RPO, theory's bonus")
    return (
        f"Slopes are fitted from {FITTED_FROM} to {last} episodes, with bootstrap intervals of 95% "
        f"over the instances: on well-covered instances {' and '.join(words)}; on the lock "
        f"{', '.join(free)}. With the theory's bonus the slope is {theory}: "
        + (
            "exploration has not ended within this range."
            if low > 0.9
            else "exploration has ended."
        )
    )


FIGURE = Figure(
    name="linear-regret",
    title="Regret in linear MDPs",
    caption="(a, b) Random linear MDPs of 12 states, 3 actions, dimension 4, horizon 4 and "
    "coverage 0.5, total variation of radius 0.2, temperature 0.1. (c, d) Combination locks of "
    "length 5 with 4 actions and a small sure reward that tempts away, radius 0.05, temperature "
    "0.02. Values are exact, each algorithm's suboptimality is in its own problem: LSVI-UCB has no "
    "adversary, DR-RPO's is regularised, UCB-VI's adversary acts pair by pair. Left: means over "
    "instances of the suboptimality of an episode drawn at random in each stratum; right: the "
    "regret that they add up to, without bias, and its 10th to 90th percentiles; rare episodes in "
    "which a greedy learner explores can be missed. Bonuses have scale 1, as in the papers' "
    "experiments, and the ridge is 1; the theory's scale is d H sqrt(log(d H K / 0.05)), its "
    "constant taken as 1. On a fixed instance regret can grow more slowly than the square root of "
    "the episodes, which bounds the worst instance.",
    source="Jin et al. (2020), Theorem 3.1; Liu and Xu (2024); Gu, He, Liu and Xu (2025); Azar et "
    "al. (2017)",
    draw=draw,
    settings=SETTINGS,
    cost=15.0,
    findings=findings,
)
