"""Runs of actor-critics and their rivals, every policy that is played evaluated exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_generator,
    check_positive_integer,
    check_progress,
    read_only,
)
from rltheory.linear_mdp.actor_critic.loop import play
from rltheory.linear_mdp.actor_critic.pieces import RunFile, play_through
from rltheory.linear_mdp.actor_critic.settings import Settings, as_settings, switch_bound
from rltheory.linear_mdp.actor_critic.state import GREEDY, NEVER, NO_BONUS, STALE, Memory, Rule
from rltheory.linear_mdp.actor_critic.world import World, counts_of, world_of
from rltheory.linear_mdp.run_file import fingerprint
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP

if TYPE_CHECKING:
    from rltheory.analysis.sweeps.table import SweepTable


@dataclass(frozen=True, eq=False)
class ActorCriticRun:
    """A run in a tabular model, its policies evaluated exactly, up to rounding.

    algorithm: its name. optimum: value of the best policy from the start. values (K,): of the
    policies played; promises (K,): the critic's greatest value at the start, in each episode;
    returns (K,): what was earned; switches (n,): the episodes, from 0, before which the critic was
    refreshed, of Q-learning none. bound: what the number of switches is at most.
    action_values, policy (H, S, A): in the end; states that cannot occur at a step keep what they
    had at first. visits (H, S, A): of the pairs in the data that are kept, which `optimistic_npg`
    forgets after every batch. settings: what was run.
    """

    algorithm: str
    optimum: float
    values: FloatArray
    promises: FloatArray
    returns: FloatArray
    switches: IntArray
    bound: float
    action_values: FloatArray
    policy: FloatArray
    visits: FloatArray
    settings: Settings

    @property
    def episodes(self) -> int:
        """Number of episodes K."""
        return len(self.values)

    @property
    def suboptimality(self) -> FloatArray:
        """(K,) optimal value less that of the policy played."""
        return np.asarray(self.optimum - self.values)

    @property
    def regret(self) -> FloatArray:
        """(K,) sums of the suboptimalities of the first k episodes, k = 1, ..., K."""
        return np.asarray(np.cumsum(self.suboptimality))

    def table(self) -> SweepTable:
        """Return a row for each episode: what was played is worth, promised and earned, the regret.

        Episodes are numbered from 1; the regret includes the episode's own.
        """
        # Loaded where it is needed: it brings Joblib, which takes long.
        from rltheory.analysis.sweeps.table import SweepTable

        columns: dict[str, Any] = {
            "episode": np.arange(1, self.episodes + 1),
            "value": self.values,
            "promise": self.promises,
            "earned": self.returns,
            "suboptimality": self.suboptimality,
            "regret": self.regret,
        }
        rows = zip(*columns.values(), strict=True)
        return SweepTable(
            tuple({"algorithm": self.algorithm, **dict(zip(columns, r, strict=True))} for r in rows)
        )


def run_actor_critic(
    mdp: EpisodicMDP,
    settings: Settings,
    *,
    episodes: int = 1000,
    seed: int | np.random.Generator,
    offline: Any = None,
    save: str | PathLike[str] | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> ActorCriticRun:
    """Run an algorithm given by its settings; `nora`, `douhua`, `ucbvi` and others make them.

    mdp: played in, with rewards >= 0, which are known to the learner, and every action available.
    episodes: also what confidence and theory's step are tuned to. seed: the same one gives the same
    bits. offline (H, S, A, S): counts of transitions that the critic starts from. save: a file that
    gets the run now and then, from which it goes on to the same bits. progress: called then with
    the episode and the suboptimality last played.

    Raises ValueError or TypeError naming what does not fit; OSError if the file cannot be written.
    """
    world = world_of(mdp)
    count = check_positive_integer(episodes, "episodes")
    rule = as_settings(settings).rule(world, count)
    check_progress(progress)
    root = as_generator(seed).integers(2**63, size=2)
    memory = empty(world, rule, offline)
    file = None
    if save is not None:
        file = RunFile(save, fingerprint(tuple(world), tuple(rule), memory.counts, count, root))
    optimum = optimal_value(mdp)
    measured = play_through(
        partial(play, world, rule, memory), memory._asdict(), episodes=count,
        width=1 + 2 * mdp.horizon, root=root, optimum=optimum, file=file, progress=progress,
    )  # fmt: skip
    return ActorCriticRun(
        algorithm=settings.name,
        optimum=optimum,
        values=read_only(measured.values),
        promises=read_only(measured.promises),
        returns=read_only(measured.returns),
        switches=read_only(np.flatnonzero(measured.switched)),
        bound=switch_bound(settings, world, count),
        action_values=read_only(memory.action_values),
        policy=read_only(memory.policy),
        visits=read_only(memory.visits),
        settings=settings,
    )


def optimal_value(mdp: EpisodicMDP) -> float:
    """Return the value of the best policy from the initial distribution."""
    return float(np.asarray(mdp.initial) @ backward_induction(mdp).values[0])


def empty(world: World, rule: Rule, offline: Any = None) -> Memory:
    """Return the memory of a learner that has seen nothing but offline counts (H, S, A, S)."""
    shape = world.rewards.shape
    horizon, states, actions = shape
    counts = np.zeros(len(world.successors))
    visits = np.zeros(shape)
    if offline is not None:
        if rule.switch == NEVER:
            raise ValueError("offline is given to Q-learning, which learns from steps played")
        counts = counts_of(world, offline)
        visits = np.asarray(offline, dtype=np.float64).sum(axis=-1)
    ahead = np.zeros(horizon) if rule.bonus == NO_BONUS else world.ceilings[1:]
    q = world.rewards + ahead[:, None, None]
    policy = np.full(shape, 1.0 / actions)
    if rule.actor == GREEDY:
        policy = np.eye(actions)[q.argmax(axis=-1)]
    clock = np.zeros(6)
    clock[STALE] = 1.0
    return Memory(
        counts=counts,
        visits=visits,
        marks=np.zeros(shape),
        sums=np.zeros(shape),
        residuals=np.zeros(shape),
        spent=np.zeros(horizon),
        known=(visits > 0.0).sum(axis=(1, 2)).astype(np.float64),
        squares=np.zeros(shape),
        widths=np.zeros(shape),
        action_values=q,
        logits=np.zeros(shape),
        policy=np.ascontiguousarray(policy),
        values=np.vstack([q.max(axis=-1), np.zeros(states)]),
        clock=clock,
    )
