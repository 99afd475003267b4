"""Runs of actor-critics and their rivals, every policy that is played evaluated exactly.

Random numbers come in blocks of episodes from the seed, so a run is the same to the last bit
whether it was interrupted or not; a file keeps it between pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.archive import archive_path, check_names, read_archive
from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_generator,
    check_positive_integer,
    read_only,
)
from rltheory.analysis.files import replacing
from rltheory.linear_mdp.actor_critic import tabular_kernels as kernels
from rltheory.linear_mdp.actor_critic.settings import Settings, as_settings, switch_bound
from rltheory.linear_mdp.actor_critic.tabular_kernels import Memory, Rule
from rltheory.linear_mdp.actor_critic.world import World, counts_of, world_of
from rltheory.linear_mdp.run_file import fingerprint
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP

BLOCK = 256
"""Episodes whose random numbers are drawn together."""

PIECE = 4096
"""Episodes between two writings of a run's file."""

_KIND = "a run of an actor-critic"


@dataclass(frozen=True, eq=False)
class ActorCriticRun:
    """A run in a tabular model, its policies evaluated exactly, up to rounding.

    algorithm: its name. optimum: value of the best policy from the start. values (K,): of the
    policies played; promises (K,): the critic's greatest value at the start, in each episode;
    returns (K,): what was earned; switches (n,): the episodes, from 0, before which the critic was
    refreshed, of Q-learning none. bound: what the number of switches is at most.
    action_values, policy (H, S, A): in the end; states that cannot occur at a step keep what they
    had at first. visits (H, S, A): of the pairs. settings: what was run.
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
    if progress is not None and not callable(progress):
        raise TypeError(f"progress is {progress!r:.80}; expected a function")
    root = as_generator(seed).integers(2**63, size=2)
    memory = empty(world, rule, offline)
    kept: dict[str, NDArray[Any]] = {name: np.zeros(count) for name in _MEASURED}
    kept["switched"] = np.zeros(count, dtype=np.bool_)
    optimum = optimal_value(mdp)
    done, file = 0, None
    if save is not None:
        digest = fingerprint(tuple(world), tuple(rule), memory.counts, count, root)
        file = _File(save, digest)
        done = file.read(memory, kept)
    width = 1 + 2 * mdp.horizon
    for block in range(-(-done // BLOCK), -(-count // BLOCK)):
        first, last = block * BLOCK, min(count, (block + 1) * BLOCK)
        draws = np.random.default_rng([*root, block]).random((BLOCK, width))
        piece = slice(first, last)
        kernels.play(
            world, rule, memory, draws[: last - first], kept["values"][piece],
            kept["promises"][piece], kept["returns"][piece], kept["switched"][piece],
        )  # fmt: skip
        if last % PIECE == 0 or last == count:
            if file is not None:
                file.write(memory, kept)
            if progress is not None:
                progress(last, float(optimum - kept["values"][last - 1]))
    return ActorCriticRun(
        algorithm=settings.name,
        optimum=optimum,
        values=read_only(kept["values"]),
        promises=read_only(kept["promises"]),
        returns=read_only(kept["returns"]),
        switches=read_only(np.flatnonzero(kept["switched"])),
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
        if rule.switch == kernels.NEVER:
            raise ValueError("offline is given to Q-learning, which learns from steps played")
        counts = counts_of(world, offline)
        visits = np.asarray(offline, dtype=np.float64).sum(axis=-1)
    ahead = np.zeros(horizon) if rule.bonus == kernels.NO_BONUS else world.ceilings[1:]
    q = world.rewards + ahead[:, None, None]
    policy = np.full(shape, 1.0 / actions)
    if rule.actor == kernels.GREEDY:
        policy = np.eye(actions)[q.argmax(axis=-1)]
    clock = np.zeros(6)
    clock[kernels.STALE] = 1.0
    return Memory(
        counts=counts,
        visits=visits,
        marks=np.zeros(shape),
        sums=np.zeros(shape),
        residuals=np.zeros(shape),
        spent=np.zeros(horizon),
        known=(visits > 0.0).sum(axis=(1, 2)).astype(np.float64),
        action_values=q,
        logits=np.zeros(shape),
        policy=np.ascontiguousarray(policy),
        values=np.vstack([q.max(axis=-1), np.zeros(states)]),
        clock=clock,
    )


_MEASURED = ("values", "promises", "returns")


class _File:
    """A run on disk (`.npz`): the learner's memory and what was measured, replaced whole."""

    def __init__(self, save: str | PathLike[str], run: str) -> None:
        self.path = archive_path(save)
        self.run = run

    def read(self, memory: Memory, measured: dict[str, NDArray[Any]]) -> int:
        """Put memory and measurements where the run stands; return the episodes played."""
        if not self.path.exists():
            return 0
        kept = read_archive(self.path, _KIND)
        arrays = _named(memory, measured)
        check_names(kept, ["run", *arrays], self.path, _KIND)
        if str(kept["run"]) != self.run:
            raise ValueError(
                f"{self.path} holds a run of another model, algorithm or setting; "
                "expected one with the same arguments, or a new file"
            )
        for name, array in arrays.items():
            if (kept[name].dtype, kept[name].shape) != (array.dtype, array.shape):
                raise ValueError(
                    f"{self.path} does not hold {_KIND}: {name} is of another kind or shape; "
                    "expected the archive of an earlier run, or a new file"
                )
        for name, array in arrays.items():
            array[...] = kept[name]
        return int(memory.clock[kernels.EPISODES])

    def write(self, memory: Memory, measured: dict[str, NDArray[Any]]) -> None:
        """Replace the file by one with the state reached and all that was measured."""
        with replacing(self.path) as stream:
            np.savez(stream, run=self.run, **_named(memory, measured))


def _named(memory: Memory, measured: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Return the arrays of a file; what was measured has names of its own."""
    return {**memory._asdict(), **{f"played_{name}": measured[name] for name in measured}}
