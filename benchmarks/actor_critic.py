"""Actor-critics: seeds by episodes with exact regret, against a plain loop on the same numbers.

`python -m benchmarks.actor_critic short` runs everything at a size that takes a few seconds.
"""

import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.common import Claim, table
from rltheory.linear_mdp.actor_critic.baselines import (
    q_learning_ucb,
    q_learning_ucb_b,
    rare_ucbvi,
    ucbvi,
)
from rltheory.linear_mdp.actor_critic.douhua import douhua
from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.linear_mdp.environments.random_models import random_linear_mdp
from rltheory.linear_mdp.sweep import sweep_seeds
from rltheory.tabular import EpisodicMDP, backward_induction

AGREEMENT = 1e-9
"""How far the values of all policies may be from those of the plain loop."""


@dataclass(frozen=True)
class Scale:
    """How much is run: seeds of NORA and of the others, episodes, those of the plain loop."""

    seeds: int = 100
    rivals: int = 10
    episodes: int = 10_000
    plain: int = 400


SHORT = Scale(4, 2, 500, 40)
SCALES = 0.1
LEARNERS: dict[str, Any] = {
    "NORA": partial(nora, scale=SCALES),
    "NORA, counts": partial(nora, scale=SCALES, switch="counts"),
    "DOUHUA": partial(douhua, scale=SCALES),
    "UCBVI-CH": partial(ucbvi, scale=SCALES),
    "rare UCBVI": partial(rare_ucbvi, scale=SCALES),
    "Q-learning UCB-H": partial(q_learning_ucb, scale=SCALES / 2),
    "Q-learning UCB-B": partial(q_learning_ucb_b, scale=SCALES),
}


def report(scale: Scale | None = None) -> tuple[str, list[Claim]]:
    """Return the section of the report, and the claims that it is about."""
    size = scale or Scale()
    lock = two_thread_lock(10, 4, seed=0)
    per_episode, off = _plain(lock, size.plain)
    features = _features(size.episodes)
    rows, first = [], 0.0
    for name, run in LEARNERS.items():
        run(lock, episodes=10, seed=0)
        began = time.perf_counter()
        count = size.seeds if name == "NORA" else size.rivals
        runs = sweep_seeds(partial(run, lock, episodes=size.episodes), count)
        seconds = time.perf_counter() - began
        first = first or seconds
        regret = [one.regret[-1] for one in runs]
        rows.append(
            [
                name,
                f"{seconds:.1f}",
                f"{1e6 * seconds / count / size.episodes:.1f}",
                f"{np.mean(regret):.0f}",
                f"{np.mean([len(r.switches) for r in runs]):.0f}",
            ]
        )
    plain = per_episode * size.seeds * size.episodes
    note = (
        f"{size.seeds} seeds of NORA, {size.rivals} of the others, x {size.episodes:,} episodes on "
        f"a lock of H 10, S 30, A 4, every policy evaluated exactly, {os.cpu_count()} threads. The "
        f"plain loop, on NumPy, plays NORA by counts on the same random numbers; its values are "
        f"{off:.1e} off ours, and it would take {plain / 60:,.0f} minutes for all seeds of NORA, "
        f"from {size.plain} episodes. NORA on features plays {size.episodes:,} episodes in a "
        f"linear MDP of S 50, A 4, d 10, H 5 in {features:.1f} seconds, on one thread."
    )
    header = ["algorithm", "seconds", "us an episode", "regret", "refreshes"]
    title = f"actor-critics: NORA, {size.seeds} seeds x {size.episodes:,} episodes, in seconds"
    linear = f"actor-critics: NORA on features, {size.episodes:,} episodes, in seconds"
    claims = [Claim(title, first, 300.0), Claim(linear, features, 10.0)]
    return f"{note}\n\n{table(header, rows)}", claims


def _features(episodes: int) -> float:
    """Return the seconds that NORA takes with linear features, once compiled."""
    model = random_linear_mdp(50, 4, dimension=10, horizon=5, seed=0)
    linear_nora(model, episodes=10, seed=0)
    began = time.perf_counter()
    linear_nora(model, episodes=episodes, seed=0)
    return time.perf_counter() - began


def _plain(lock: EpisodicMDP, episodes: int) -> tuple[float, float]:
    """Return the seconds an episode of NORA takes in NumPy, and how far values are off ours.

    Stops the benchmark if they are off by more than `AGREEMENT`.
    """
    ours = nora(lock, scale=SCALES, switch="counts", step=1.0, episodes=episodes, seed=0)
    H, S, A = lock.rewards.shape
    ceilings = np.append(np.cumsum(lock.rewards.max(axis=(1, 2))[::-1])[::-1], 0.0)
    root = np.random.default_rng(0).integers(2**63, size=2)
    live = [2 * A] + [3 * A] * (H - 1)
    confidence = np.log(5.0 * sum(live) * episodes / 0.05)
    counts = np.zeros((H, S, A, S))
    then = np.zeros((H, S, A))
    q = np.zeros((H, S, A))
    logits, worst, draws = np.zeros((H, S, A)), 0.0, np.empty(0)
    fired = True
    began = time.perf_counter()
    for k in range(episodes):
        if k % 256 == 0:
            draws = np.random.default_rng([*root, k // 256]).random((256, 1 + 2 * H))
        if fired:
            fired, later, visits = False, np.zeros(S), counts.sum(axis=-1)
            for h in reversed(range(H)):
                n = np.maximum(visits[h], 1.0)
                bonus = SCALES * ceilings[h + 1] * np.sqrt(confidence / n)
                ahead = np.minimum(counts[h] @ later / n + bonus, ceilings[h + 1])
                q[h] = lock.rewards[h] + np.where(visits[h] > 0, ahead, ceilings[h + 1])
                later = q[h].max(axis=-1)
            then, logits = visits, np.zeros((H, S, A))
        policy = np.exp(logits - logits.max(axis=-1, keepdims=True))
        policy /= policy.sum(axis=-1, keepdims=True)
        value = lock.initial @ backward_induction(lock, policy=policy).values[0]
        worst = max(worst, abs(float(value) - float(ours.values[k])))
        u = draws[k % 256]
        s = int(np.searchsorted(np.cumsum(lock.initial), u[0], side="right"))
        for h in range(H):
            a = min(int(np.searchsorted(np.cumsum(policy[h, s]), u[1 + 2 * h], "right")), A - 1)
            row = np.cumsum(lock.transitions[h, s, a])
            y = int(np.searchsorted(row, u[2 + 2 * h] * row[-1], side="right"))
            counts[h, s, a, y] += 1.0
            fired |= bool(counts[h, s, a].sum() >= max(2.0 * then[h, s, a], 1.0))
            s = y
        logits = logits + q
    seconds = time.perf_counter() - began
    if worst > AGREEMENT:
        raise SystemExit(f"the plain loop's values are {worst:g} off; expected {AGREEMENT:g}")
    return seconds / episodes, worst


if __name__ == "__main__":
    text, found = report(SHORT if sys.argv[1:] == ["short"] else None)
    print(text, table(["target", "bound", "measured", "met"], [c.row for c in found]), sep="\n\n")
