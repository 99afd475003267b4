"""Linear MDPs: learners beside a plain implementation, long runs, costs, exact planning, duals.

`python -m benchmarks.linear_mdp short` runs everything at a size that takes a minute.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Claim, medians, milliseconds, table, timed
from benchmarks.plain_lsvi import PlainLSVI, at_corners, bounded, nelder_mead
from rltheory.analysis.arrays import FloatArray
from rltheory.linear_mdp import duals
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.judge import Judge
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.offline import Dataset, collect, summarise
from rltheory.linear_mdp.online import dr_rpo, run_online
from rltheory.linear_mdp.rules import BONUSES, Settings, world_of
from rltheory.linear_mdp.visits import Memory
from rltheory.tabular.uncertainty import TotalVariation

ROOT = Path(__file__).parents[1]

RIDGE = 0.1
AGREEMENT = 1e-9
"""How far a plain implementation's action values may be from ours on the same episodes."""

ALGORITHMS = {
    "LSVI-UCB": Settings(name="LSVI-UCB", bonus=1.0, bonus_form="elliptical", known_rewards=False),
    "DR-LSVI-UCB": Settings(
        name="DR-LSVI-UCB", bonus=1.0, bonus_form="diagonal", known_rewards=True
    ),
    "DR-RPO": Settings(
        name="DR-RPO", bonus=1.0, bonus_form="diagonal", known_rewards=True, temperature=0.1
    ),
}


@dataclass(frozen=True)
class Scale:
    """How much is run. model: states, actions, dimension, horizon of the long run and the costs.

    planned: the same of exact planning. episodes: of the long run. plain_seeds: how many seeds the
    plain implementation is timed on. growth: factors by which a size of the model is varied.
    """

    seeds: int = 20
    plain_seeds: int = 2
    episodes: int = 10_000
    model: tuple[int, int, int, int] = (1000, 16, 30, 10)
    planned: tuple[int, int, int, int] = (10_000, 32, 60, 20)
    growth: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)


SHORT = Scale(2, 1, 200, (200, 4, 10, 5), (1000, 8, 20, 5), (0.5, 1.0, 2.0))


def report(scale: Scale | None = None) -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    size = scale or Scale()
    beside, beside_claims = _beside(size)
    long, long_claims = _long_run(size)
    sections = {
        "The off-dynamics MDP, beside a plain implementation": beside,
        "A long run": long,
        "What an episode costs": _costs(size),
        "Exact planning": _planning(size),
        "Worst case of a factor": _inner(size),
    }
    text = "\n\n".join(f"### {title}\n\n{body}" for title, body in sections.items())
    return text, beside_claims + long_claims


def random_model(states: int, actions: int, dimension: int, horizon: int) -> LinearMDP:
    """Return a random model whose measures have no zeros, so that every state is met."""
    return random_linear_mdp(
        states, actions, dimension=dimension, horizon=horizon, seed=0, gap=0.05, concentration=1.0
    )


def off_dynamics_radii() -> FloatArray:
    """Return the published radii (3, 4): 0.3 for the factor that pays at the first step."""
    radii = np.zeros((3, 4))
    radii[0, 3] = 0.3
    return radii


def sweep(name: str, seeds: int, episodes: int = 100) -> None:
    """Run an algorithm for some seeds, one after another, every policy evaluated exactly."""
    ball = None if name == "LSVI-UCB" else TotalVariation(off_dynamics_radii())
    for seed in range(seeds):
        run_online(off_dynamics(), ALGORITHMS[name], uncertainty=ball, episodes=episodes,
                   ridge=RIDGE, seed=seed)  # fmt: skip


def _beside(size: Scale) -> tuple[str, list[Claim]]:
    rows, ours, plain = [], 0.0, 0.0
    for name in ALGORITHMS:
        off = _agree(name)
        sweep(name, 1)
        seconds = timed(sweep, name, size.seeds)
        runs = [_plain(name, nelder_mead) for _ in range(size.plain_seeds)]
        theirs = sum(timed(run.run, 100, seed) for seed, run in enumerate(runs))
        theirs *= size.seeds / size.plain_seeds
        missed = max(float(np.abs(_differences(name, run)).max()) for run in runs)
        ours, plain = ours + seconds, plain + theirs
        rows.append([name, f"{seconds:.2f}", f"{theirs:.0f}", f"{theirs / seconds:.0f}",
                     f"{off:.1e}", f"{missed:.1e}"])  # fmt: skip
    rows.append(["all three", f"{ours:.2f}", f"{plain:.0f}", f"{plain / ours:.0f}", "", ""])
    fresh, first = (_processes(size.seeds, cold) for cold in (False, True))
    header = ["algorithm", "seconds", "plain, seconds", "ratio"]
    header += ["off, at corners", "off, Nelder-Mead"]
    note = (
        f"All three in a process of their own, imports included: {fresh:.1f} s; the first time on "
        f"a machine, when everything is compiled: {first:.1f} s."
    )
    title = f"linear MDPs: {size.seeds} seeds x 100 episodes x 3 algorithms, in seconds"
    return f"{table(header, rows)}\n\n{note}", [Claim(title, fresh, 10.0)]


def _plain(name: str, maximise: Any) -> PlainLSVI:
    radii = None if name == "LSVI-UCB" else off_dynamics_radii()
    heat = ALGORITHMS[name].temperature
    return PlainLSVI(off_dynamics(), maximise, radii, temperature=heat, ridge=RIDGE)


def _agree(name: str) -> float:
    """Stop unless a plain run that tries all corners has our action values after 100 episodes."""
    run = _plain(name, at_corners)
    run.run(100, seed=1)
    off = float(np.abs(_differences(name, run)).max())
    if not off <= AGREEMENT:
        raise SystemExit(f"{name}: plain action values are {off:g} from ours on the same episodes")
    return off


def _differences(name: str, run: PlainLSVI) -> FloatArray:
    """Return our action values less plain ones, (H, S, A), on the episodes of a plain run."""
    s, a, reward, following = np.array(run.visits).transpose(2, 0, 1)
    states = np.concatenate([s, following[:, -1:]], axis=1).astype(int)
    ball = None if run.radii is None else TotalVariation(run.radii)
    rule = ALGORITHMS[name].rule(run.model, ball)
    data = Dataset(states, a.astype(int), reward)
    norms = rule.bonus == BONUSES["elliptical"]
    memory = summarise(run.model, data, ridge=RIDGE, norms=norms)
    learner = Learner(world_of(run.model), rule, memory)
    learner.estimate()
    ours = learner.learnt()
    shape = run.model.rewards.shape[:2]
    plain = np.array([[run.action_values(*pair) for pair in np.ndindex(shape)]])
    return np.asarray(ours.action_values - plain.reshape(ours.action_values.shape))


def _processes(seeds: int, cold: bool) -> float:
    """Seconds of a process that runs all three algorithms, without compiled code if cold."""
    names = ", ".join(f"{name!r}" for name in ALGORITHMS)
    code = f"from benchmarks.linear_mdp import sweep\nfor n in ({names}): sweep(n, {seeds})"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | ({"NUMBA_CACHE_DIR": folder} if cold else {})
        run = partial(
            subprocess.run, [sys.executable, "-c", code], check=True, cwd=ROOT, env=environment
        )
        return timed(run)


def _long_run(size: Scale) -> tuple[str, list[Claim]]:
    model = RobustLinearMDP(random_model(*size.model), TotalVariation(0.1))
    dr_rpo(model, episodes=2, seed=0)
    began = time.perf_counter()
    run = dr_rpo(model, episodes=size.episodes, seed=0, checkpoints=50)
    seconds = time.perf_counter() - began
    judge = Judge(model.nominal, model.uncertainty, run.settings)
    evaluation = timed(judge, run.learnt.policy)
    everywhere = seconds + evaluation * (size.episodes - len(run.episodes))
    s, a, d, h = size.model
    rows = [
        [f"{size.episodes:,}", f"{len(run.episodes) - 1}", f"{seconds:.1f}",
         milliseconds(evaluation), f"{everywhere:.0f}"]
    ]  # fmt: skip
    header = ["episodes", "evaluations", "seconds", "an evaluation, ms"]
    header += ["seconds if every policy were evaluated"]
    note = f"DR-RPO against total variation 0.1, bonus by factors, S {s:,}, A {a}, d {d}, H {h}."
    title = f"linear MDPs: {size.episodes:,} episodes of DR-RPO at S {s:,}, in seconds"
    return f"{note}\n\n{table(header, rows)}", [Claim(title, seconds, 300.0)]


def _costs(size: Scale) -> str:
    """Time an episode after episodes of the uniform policy, varying one size at a time."""
    names = ("S", "A", "d")
    varied: dict[str, list[tuple[int, float]]] = {}
    for position, name in enumerate(names):
        varied[name] = []
        for factor in size.growth:
            shape = list(size.model)
            shape[position] = round(factor * shape[position])
            # Twenty visits for each state leave hardly any unseen.
            seconds = _episode(random_model(*shape), 20 * shape[0])
            varied[name].append((shape[position], seconds))
    model = random_model(*size.model)
    past = [model.states // 10 * 10**power for power in range(4)]
    varied["k"] = [(k, _episode(model, k)) for k in past]
    rows = [
        [name, ", ".join(f"{at:,}" for at, _ in found),
         ", ".join(milliseconds(seconds) for _, seconds in found), f"{_slope(found):.2f}"]
        for name, found in varied.items()
    ]  # fmt: skip
    at = ", ".join(f"{n} {v:,}" for n, v in zip(("S", "A", "d", "H"), size.model, strict=True))
    note = (
        f"DR-RPO at {at}, one size varied at a time. k counts the episodes before; in the other "
        "rows it is 20 S, so that nearly every state has been seen."
    )
    header = ["varied", "at", "ms per episode", "slope of the logarithms"]
    return f"{note}\n\n{table(header, rows)}"


def _episode(model: LinearMDP, past: int) -> float:
    """Seconds of one episode of DR-RPO after `past` episodes of the uniform policy."""
    rule = Settings(
        name="DR-RPO", bonus=1.0, bonus_form="factors", known_rewards=True, temperature=0.1
    ).rule(model, TotalVariation(0.1))
    kept = summarise(model, collect(model, episodes=past, seed=0), ridge=1.0)
    learner = Learner(world_of(model), rule, kept)
    learner.estimate()
    draws = np.random.default_rng(0).random((10, 1 + 3 * model.horizon))
    learner.play(draws)
    return medians({"play": partial(timed, learner.play, draws)}, budget=2.0)["play"] / len(draws)


def _slope(found: Sequence[tuple[int, float]]) -> float:
    at, seconds = np.log(np.array(found)).T
    return float(np.polyfit(at, seconds, 1)[0])


PLAN = """
import time
from benchmarks.linear_mdp import *
from rltheory.linear_mdp.planning import plan
from rltheory.tabular.uncertainty import *
began = time.perf_counter()
model = random_model{shape}
built = time.perf_counter()
rewards = model.rewards
ball = {ball}
both = model, random_model(9, 2, 3, 2)
robust, small = both if ball is None else [RobustLinearMDP(each, ball) for each in both]
plan(small, temperature={temperature})  # compiled code is loaded
try:
    # The peak starts anew: making the model takes more than planning.
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
except OSError:
    pass
ready = time.perf_counter()
solution = plan(robust, temperature={temperature})
gap = float((solution.upper - solution.lower).max())
held = model.features.nbytes + model.measures.nbytes + rewards.nbytes
print(built - began, time.perf_counter() - ready, gap, held / 2**20)
for line in open("/proc/self/status"):
    if line.startswith("VmHWM"):
        print(line.split()[1])
"""


def _planning(size: Scale) -> str:
    """Plan in fresh processes, so that the peak of memory is theirs alone."""
    cases = {
        "no adversary": ("None", 0.0),
        "total variation 0.1": ("TotalVariation(0.1)", 0.0),
        "total variation 0.1, temperature 0.1": ("TotalVariation(0.1)", 0.1),
        "chi-square 0.1": ("ChiSquare(0.1)", 0.0),
        "Kullback-Leibler 0.1": ("KullbackLeibler(0.1)", 0.0),
    }
    s, a, d, h = size.planned
    rows, held, built = [], 0.0, 0.0
    for title, (ball, temperature) in cases.items():
        code = PLAN.format(shape=size.planned, ball=ball, temperature=temperature)
        run = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
        )
        built, seconds, gap, held, *peak = map(float, run.stdout.split())
        most = f"{peak[0] / 1024:,.0f}" if peak else "unknown"
        rows.append([title, f"{seconds:.1f}", f"{gap:.1e}", most])
    note = (
        f"S {s:,}, A {a}, d {d}, H {h}. The model and its rewards take {held:,.0f} MiB; the "
        f"kernels spelt out would take {h * a * s * s * 8 / 2**30:,.0f} GiB. Making and checking "
        f"a model takes {built:.1f} s and does not count."
    )
    header = ["against", "seconds", "width of the bounds", "peak MiB, all included"]
    return f"{note}\n\n{table(header, rows)}"


def _inner(size: Scale) -> str:
    """Maximise the duals of estimated factors, exactly and by optimisers of SciPy."""
    s, a, d, _ = size.model
    model = random_model(s, a, d, 2)
    values = 5.0 * np.random.default_rng(0).random(s)
    rows = []
    for past in (s // 10, s, 10 * s):
        kept = summarise(model, collect(model, episodes=past, seed=0), ridge=RIDGE)
        seen = kept.seen[0, : kept.counts[0, 0]]
        for title, code, objective in DUALS:
            duties = [partial(objective, kept.weights[0][seen, i], values[seen]) for i in range(d)]
            exact = _exact(code, seen, values, kept)
            mine = medians({"exact": partial(timed, _exact, code, seen, values, kept)})["exact"]
            cells = [f"{title}, {past:,} episodes", milliseconds(mine)]
            for search in (nelder_mead, bounded):
                began = time.perf_counter()
                found = np.array([search(duty, values[seen], 5.0) for duty in duties])
                seconds = time.perf_counter() - began
                _check(title, exact, found)
                off = exact - found
                cells += [milliseconds(seconds), f"{off.max():.1e}", f"{np.sum(off > 1e-3)}"]
            rows.append(cells)
    header = ["dual", "exact, ms"]
    for name in ("Nelder-Mead", "bounded"):
        header += [f"{name}, ms", "most missed", "missed by 1e-3"]
    note = (
        f"The duals of {d} factors, estimated from the episodes of a uniform policy, over values "
        "of states in [0, 5], radius 0.1. Estimated weights may be negative, so a dual may have "
        "many local maxima, in which optimisers end."
    )
    return f"{note}\n\n{table(header, rows)}"


def _exact(code: int, seen: Any, values: FloatArray, kept: Memory) -> FloatArray:
    out = np.empty(kept.weights.shape[-1])
    radii = np.full(len(out), 0.1)
    duals.solve(code, seen, values, kept.weights[0], 0.0, 5.0, radii, out)
    return out


def _check(title: str, exact: FloatArray, found: FloatArray) -> None:
    """Stop if an optimiser finds more than there is."""
    if not (found <= exact + 1e-9).all():
        worst = float((found - exact).max())
        raise SystemExit(f"{title}: an optimiser finds {worst:g} more than the exact maximum")


def _total_variation(shares: FloatArray, values: FloatArray, alpha: float) -> float:
    return float(shares @ np.minimum(values, alpha) - 0.1 * alpha)


def _chi_square(shares: FloatArray, values: FloatArray, alpha: float) -> float:
    capped = np.minimum(values, alpha)
    mean = float(shares @ capped)
    return mean - float(np.sqrt(0.1 * max(float(shares @ capped**2) - mean**2, 0.0)))


DUALS: list[tuple[str, int, Callable[[FloatArray, FloatArray, float], float]]] = [
    ("total variation", duals.TOTAL_VARIATION, _total_variation),
    ("chi-square", duals.CHI_SQUARE, _chi_square),
]


if __name__ == "__main__":
    text, found = report(SHORT if sys.argv[1:] == ["short"] else None)
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
