"""Learners of linear MDPs as figures run them: seeds, exact rewards in worse worlds, bands.

All algorithms of one run share its random numbers, so that differences between them are paired.
What a policy earns is worked out from the kernels of the world that it is tested in; bands are of
the runs, there is no noise of testing.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import LinearMDP, plan
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics_target
from rltheory.tabular.uncertainty import TotalVariation

LEVEL = 0.95
RESAMPLES = 2000
BAND = f"{LEVEL:.0%} percentile bootstrap intervals of the mean over runs ({RESAMPLES} resamples)"
"""What bands are, for captions."""

PAYING = 3
"""The factor of the off-dynamics world that leads to the state that pays."""

EPISODES = 100
RIDGE = 0.1
"""How long, and with what ridge, the papers on these worlds learn."""


def generator(seed: int, run: int) -> np.random.Generator:
    """Return the random numbers of a run, the same for every algorithm."""
    return np.random.default_rng([seed, run])


def first_step(model: LinearMDP, radius: float) -> TotalVariation:
    """Return balls of total variation around the paying factor of the first step only."""
    radii = np.zeros((model.horizon, model.dimension))
    radii[0, PAYING] = radius
    return TotalVariation(radii)


def target_rewards(
    policies: Sequence[Any], perturbations: FloatArray, *, xi_norm: float
) -> FloatArray:
    """Return the exact rewards of policies in perturbed off-dynamics worlds, (n, perturbations).

    A perturbation q leads from the paying factor of the first step to the fail state instead: the
    reward of a policy is linear in q, and those at both ends say all of it.
    """
    ends = []
    for q in (0.0, 1.0):
        world = off_dynamics_target(xi_norm=xi_norm, perturbation=q)
        ends.append([plan(world, policy=policy).values[0] @ world.initial for policy in policies])
    first, last = np.array(ends)
    return np.asarray(np.outer(first, 1.0 - perturbations) + np.outer(last, perturbations))


def band(samples: FloatArray) -> FloatArray:
    """Return the mean over runs and its bootstrap interval, (3, n), of samples (runs, n)."""
    chosen = np.random.default_rng(0).integers(len(samples), size=(RESAMPLES, len(samples)))
    tail = 50.0 * (1.0 - LEVEL)
    means = samples[chosen].mean(axis=1)
    return np.vstack([samples.mean(axis=0), np.percentile(means, [tail, 100 - tail], axis=0)])


def curve_rows(
    where: dict[str, Any], axis: str, points: FloatArray, rewards: FloatArray, base: FloatArray
) -> list[dict[str, Any]]:
    """Return rows of a curve: mean reward, and paired difference to `base`, with intervals.

    where: the columns that name the curve; axis: the name of the column of points (n,); rewards,
    base: (runs, n), or (1, n) of a curve that is the same for all runs.
    """
    reward, difference = band(rewards), band(rewards - base)
    names = [f"{kind}{end}" for kind in ("reward", "gain") for end in ("", "_low", "_high")]
    columns = zip(points, *reward, *difference, strict=True)
    return [
        where | dict(zip([axis, *names], map(float, numbers), strict=True)) for numbers in columns
    ]


def paint(
    axes: Any,
    rows: plotting.Rows,
    axis: str,
    looks: dict[str, dict[str, Any]],
    *,
    kind: str = "reward",
    bands: bool = True,
    **where: Any,
) -> None:
    """Draw the curve of every algorithm in `looks`, with its band, from the rows that fit."""
    for name, look in looks.items():
        x, middle, low, high = (
            plotting.column(rows, column, algorithm=name, **where)
            for column in (axis, kind, f"{kind}_low", f"{kind}_high")
        )
        axes.plot(x, middle, **({"label": name} | look))
        if bands:
            axes.fill_between(x, low, high, color=look["color"], alpha=0.15, linewidth=0)


def look(index: int, **changes: Any) -> dict[str, Any]:
    """Return how a curve looks, with a marker at every fifth of its points."""
    return plotting.line(index, points=20) | {"markersize": 3, "markevery": (index, 7)} | changes


def temperature_looks(names: dict[float, str], *, first: int) -> dict[str, dict[str, Any]]:
    """Return how the curves of DR-RPO look, by name, of names by temperature."""
    return {
        name: look(index, linestyle="-.", label=rf"DR-RPO, $\eta={heat:g}$")
        for index, (heat, name) in enumerate(names.items(), start=first)
    }


REFERENCE_LOOKS: tuple[dict[str, Any], dict[str, Any]] = (
    {"color": "#000000", "linestyle": (0, (1, 1)), "linewidth": 1.4, "zorder": 1.9},
    {"color": "#9A9A9A", "linestyle": "-", "linewidth": 3.0, "zorder": 1.8},
)
"""Of the exact optimal nominal policy, and of the exact optimal robust one underneath."""


def listing(items: Sequence[str]) -> str:
    """Return items as a list in words, "none" if there are none."""
    if len(items) < 2:
        return "".join(items) or "none"
    return f"{', '.join(items[:-1])} and {items[-1]}"


Learn = Callable[[np.random.Generator], Any]
"""A run of an algorithm with given random numbers, to its policy (H, S, A)."""


def learn_all(learn: Learn, runs: int, seed: int) -> list[Any]:
    """Return the policies that runs of an algorithm end with."""
    return [learn(generator(seed, run)) for run in range(runs)]
