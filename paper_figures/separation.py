"""How many episodes stand against how many calls of a simulator, as the horizon grows?"""

from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import beta

from rltheory.analysis import plotting
from rltheory.analysis.arrays import FloatArray
from rltheory.paper_figures.registry import Drawing, Figure, Parameters
from rltheory.tabular.agnostic.access import Generative, Online
from rltheory.tabular.agnostic.capacity import spanning_capacity
from rltheory.tabular.agnostic.families import (
    backward_calls,
    combination_lock,
    lock_roll_outs,
    lock_success,
)
from rltheory.tabular.agnostic.masked_lock import hybrid_failure
from rltheory.tabular.agnostic.policy_class import PolicyClass

SETTINGS: dict[str, dict[str, Any]] = {
    "quick": {"exact": 20, "measured": 7, "runs": 200, "classes": 5},
    "paper": {"exact": 30, "measured": 9, "runs": 1000, "classes": 7},
}
"""Horizons of exact and of measured points in (a), runs of each; capacities computed for (b)."""

COPIES = 4
"""Observations of each kind in measured locks; neither learner looks at them."""
CONFIDENCE = 0.95
ERROR = Fraction(1, 10)
"""Standard error of a value in (b)."""


def draw(settings: Parameters, seed: int) -> Drawing:
    """Return samples by horizon: of learners on a lock, and of estimates of one value."""
    figure, axes = plotting.panels(1, 3, width=plotting.PAGE, height=2.7)
    rows = _lock(axes[0], settings, seed) + _masked(axes[1], settings)
    rows += _estimates(axes[2], settings)
    plotting.letter(axes)
    return figure, rows


def _lock(axis: Any, settings: Parameters, seed: int) -> list[dict[str, Any]]:
    rows = []
    for horizon in range(1, settings["exact"] + 1):
        for name, needed in (
            ("online", lock_roll_outs(horizon)),
            ("generative", backward_calls(horizon)),
        ):
            measured: Any = (None, None, None)
            if horizon <= settings["measured"]:
                run = RUNS[name]
                lock_seed = [seed, horizon, len(name)]
                wins = sum(
                    run(horizon, needed, np.random.default_rng([*lock_seed, k]))
                    for k in range(settings["runs"])
                )
                measured = (wins / settings["runs"], *interval(wins, settings["runs"]))
            promised = float(lock_success(horizon, needed)) if name == "online" else 0.5
            rows.append(_row("lock", name, horizon, needed, promised, measured))
    names = {
        "online": "episodes, the least",
        "generative": "generative calls",
    }
    for index, (name, label) in enumerate(names.items()):
        horizons = plotting.column(rows, "horizon", name=name)
        look = plotting.line(index, points=len(horizons))
        # One layer takes no episode: the guess is right half of the time.
        samples = plotting.column(rows, "samples", name=name).astype(float)
        axis.plot(horizons, np.where(samples > 0, samples, np.nan), label=label, **look)
    axis.set(
        xlabel="horizon $H$ (layers)",
        ylabel="episodes or calls for success 1/2",
        yscale="log",
        xticks=range(0, settings["exact"] + 1, 5),
        title="plan of a lock",
    )
    axis.legend(loc="upper left")
    return rows


def online_run(horizon: int, episodes: int, generator: np.random.Generator) -> bool:
    """Whether trying plans in random order, then guessing one untried, names a lock's plan."""
    lock = combination_lock(horizon, copies=COPIES, seed=generator)
    order = generator.permutation(len(lock.policies))
    access = Online(lock.mdp, seed=generator)
    tried = order[:episodes]
    if len(tried):
        found = access.run(lock.policies.table[tried], len(tried))
        if found.returns.any():
            return bool(tried[np.argmax(found.returns)] == lock.best)
    return bool(order[min(episodes, len(order) - 1)] == lock.best)


def generative_run(horizon: int, calls: int, generator: np.random.Generator) -> bool:
    """Whether backward search from uniform states names a lock's plan; none unless all paid."""
    lock = combination_lock(horizon, copies=COPIES, seed=generator)
    access = Generative(lock.mdp, seed=generator)
    each = calls // (horizon * (horizon + 1) // 2)
    plan = np.zeros(horizon, dtype=np.int64)
    for h in reversed(range(horizon)):
        states = generator.integers(access.states, size=each)
        first = actions = generator.integers(access.actions, size=each)
        paid: FloatArray = np.zeros(each)
        for t in range(h, horizon):
            states, reward = access.sample(t, states, actions)
            paid = paid + reward
            if t + 1 < horizon:
                actions = np.full(each, plan[t + 1])
        if not paid.any():
            return False
        plan[h] = first[np.argmax(paid)]
    assert access.samples == calls
    return bool((plan == lock.secret).all())


RUNS = {"online": online_run, "generative": generative_run}


def interval(wins: int, runs: int) -> tuple[float, float]:
    """The exact interval of a probability from a count (Clopper and Pearson, 1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if wins == 0 else float(beta.ppf(tail, wins, runs - wins + 1))
    high = 1.0 if wins == runs else float(beta.ppf(1 - tail, wins + 1, runs - wins))
    return low, high


def weighted_episodes(horizon: int, value: Fraction) -> Fraction:
    """Episodes of uniform actions that rate one plan to a standard error of `ERROR`.

    For returns 0 or 1 of mean `value`, weights A^H have the variance A^H value - value^2.
    """
    return Fraction((2**horizon * value - value**2) / ERROR**2)


def tree_calls(capacity_by_layer: Any, value: Fraction) -> Fraction:
    """Calls of trees to the same error; a tree takes at most what the class reaches by layer."""
    return Fraction(value * (1 - value) / ERROR**2 * int(sum(capacity_by_layer)))


def hybrid_roll_outs(horizon: int) -> int:
    """Roll-outs, draws of states included, by which hybrid search opens a masked lock, A = 2."""
    draws = 1
    while hybrid_failure(horizon, draws) > Fraction(1, 2):
        draws += 1
    return draws * (horizon - 1 + 4 + (horizon - 2) * 3)


def _masked(axis: Any, settings: Parameters) -> list[dict[str, Any]]:
    rows = []
    for horizon in range(2, settings["exact"] + 1):
        none = (None, None, None)
        alone, both = lock_roll_outs(horizon), hybrid_roll_outs(horizon)
        rows.append(_row("masked", "alone", horizon, alone, 0.5, none))
        rows.append(_row("masked", "both", horizon, both, 0.5, none))
    names = {"alone": "either alone, the least", "both": "both, hybrid search"}
    for index, (name, label) in enumerate(names.items()):
        horizons = plotting.column(rows, "horizon", name=name)
        look = plotting.line(index, points=len(horizons))
        axis.plot(horizons, plotting.column(rows, "samples", name=name), label=label, **look)
    axis.set(
        xlabel="horizon $H$ (layers)",
        ylabel="roll-outs for success 1/2",
        yscale="log",
        xticks=range(0, settings["exact"] + 1, 5),
        title="masked lock: resets, simulator",
    )
    axis.legend(loc="upper left")
    return rows


def _estimates(axis: Any, settings: Parameters) -> list[dict[str, Any]]:
    half = Fraction(1, 2)
    rows = []
    for horizon in range(1, settings["exact"] + 1):
        # Layer h adds one pair at most; the search proves it where it is asked.
        by_layer = np.arange(2, horizon + 2)
        if horizon <= settings["classes"]:
            policies = PolicyClass.one_active(horizon=horizon, states=horizon)
            by_layer = spanning_capacity(policies).upper_by_layer
        none = (None, None, None)
        rows.append(
            _row("class", "weights", horizon, float(weighted_episodes(horizon, half)), None, none)
        )
        rows.append(_row("class", "trees", horizon, float(tree_calls(by_layer, half)), None, none))
    names = {"weights": "episodes, weights", "trees": "generative calls, trees"}
    for index, (name, label) in enumerate(names.items()):
        horizons = plotting.column(rows, "horizon", name=name)
        look = plotting.line(index, points=len(horizons))
        axis.plot(horizons, plotting.column(rows, "samples", name=name), label=label, **look)
    axis.set(
        xlabel="horizon $H$ (layers)",
        ylabel=f"episodes or calls for standard error {float(ERROR):g}",
        yscale="log",
        xticks=range(0, settings["exact"] + 1, 5),
        title="rating a class of capacity $H + 1$",
    )
    axis.legend(loc="upper left")
    return rows


def _row(
    panel: str, name: str, horizon: int, samples: float, promised: float | None, measured: Any
) -> dict[str, Any]:
    return {
        "panel": panel,
        "name": name,
        "horizon": horizon,
        "samples": samples,
        "promised": promised,
        "success": measured[0],
        "success_low": measured[1],
        "success_high": measured[2],
    }


def findings(rows: plotting.Rows) -> str:
    """Say from where calls are fewer, by how much at the end, and whether runs confirm it."""
    words = []
    for panel, dear, cheap in (
        ("lock", "online", "generative"),
        ("masked", "alone", "both"),
        ("class", "weights", "trees"),
    ):
        costs = {
            name: plotting.column(rows, "samples", panel=panel, name=name) for name in (dear, cheap)
        }
        horizons = plotting.column(rows, "horizon", panel=panel, name=dear)
        dearer = np.flatnonzero(costs[cheap] >= costs[dear])
        if len(dearer) and dearer[-1] == len(horizons) - 1:
            words.append(f"at no horizon up to {horizons[-1]} for good")
            continue
        # From here on the second way stays cheaper.
        start = horizons[dearer[-1] + 1 if len(dearer) else 0]
        ratio = costs[dear][-1] / costs[cheap][-1]
        words.append(f"from H = {start} on, by a factor of {ratio:.2g} at H = {horizons[-1]}")
    runs = [row for row in rows if row["success"] is not None]
    fit = sum(
        row["success_high"] >= row["promised"]
        and (row["name"] != "online" or row["success_low"] <= row["promised"])
        for row in runs
    )
    return (
        f"The second curve stays below the first in (a) {words[0]}; in (b) {words[1]}; in (c) "
        f"{words[2]}. Of {len(runs)} measured frequencies of success at "
        f"these numbers of samples, {fit} have intervals that agree with the promise."
    )


FIGURE = Figure(
    name="separation",
    title="Episodes against generative calls as the horizon grows",
    caption="Two actions. (a) A combination lock whose observations never show twice, with the "
    "class of all plans. From episodes, or from resets to seen states, no learner names the plan "
    "with probability 1/2 by fewer roll-outs than drawn, and trying plans one by one attains it; "
    "backward search from uniform states, with mu-resets or a generative model, needs the calls "
    "drawn. Both are exact; the data have measured frequencies with Clopper-Pearson intervals of "
    "95 %. (b) A lock masked by mirror states, from where roll-outs of resets pay half of the time "
    "whatever is played: neither resets nor a local simulator does better than trying plans, while "
    "both together tell good from mirror. (c) A class of bounded capacity, one active state in "
    "each layer: samples that rate one policy of value 1/2 to a standard error of 0.1, by "
    "importance weights on uniform episodes and by trajectory trees, from exact variances; two "
    "estimators are compared here, not all learners. An episode of H steps counts as one. The "
    "classes of (a) and (b) have capacity A^H until layers are full, so these are separations of "
    "access on families of MDPs, not the one of classes with bounded capacity that Jia et al. "
    "prove.",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023); Krishnamurthy, Li and Sekhari (2025), of "
    "the questions; the lock's numbers are derived here",
    draw=draw,
    settings=SETTINGS,
    cost=5.0,
    findings=findings,
)
