"""Learning a policy emulator of a Block MDP with hybrid resets, from the last step to the first.

States are observations drawn by the resets. Next observations are decoded by tests: a policy that
tells two blocks of states apart is run from them, and they join the block whose emulated value
they earn. The published algorithm is called PLHR; its constants and exact tests were not at hand,
so this is our reconstruction after its idea, with practical parameters and measured errors.
Source: Krishnamurthy, Li and Sekhari (2025), for the notion and the setting.
"""

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray, IntArray, check_positive_integer, check_range
from rltheory.tabular.agnostic.access import Hybrid
from rltheory.tabular.agnostic.emulator import Emulator
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP


@dataclass(frozen=True, eq=False)
class PolicyEmulation:
    """What `policy_emulator` has learnt.

    emulator: the Emulator; best: index of the policy that is best in it, the first of them;
    values: (P,) emulated values; blocks: (H, n) the block of each emulator state, numbers from 0
    in each step; test_error: largest difference of measured and emulated values over the last
    round of tests, NaN without tests; violated: how many of those tests differ by more than the
    accuracy; refits: how often a step was built anew; samples: what was drawn, as `access` counts.
    """

    emulator: Emulator
    best: int
    values: FloatArray
    blocks: IntArray
    test_error: float
    violated: int
    refits: int
    samples: int


@dataclass(frozen=True)
class _Layer:
    """A finished step: rows of the emulator, action values of all policies, blocks."""

    kernel: FloatArray
    rewards: FloatArray
    action_values: FloatArray
    blocks: IntArray


@dataclass(frozen=True)
class _Task:
    access: Hybrid
    policies: PolicyClass
    observations: IntArray
    accuracy: float
    draws: int
    rollouts: int


def policy_emulator(
    access: Hybrid,
    policies: PolicyClass,
    *,
    accuracy: float,
    observations: int = 24,
    draws: int | None = None,
    rollouts: int | None = None,
    refits: int = 3,
) -> PolicyEmulation:
    """Learn an emulator of all policies of a class, and the policy that is best in it.

    accuracy: in units of values; action values that differ by no more are taken for those of one
    block, and tests that miss by no more are passed. observations: emulator states of each step.
    draws: next observations of each state and action, 8 / accuracy^2 by default; rollouts: episodes
    of each test, 4 / accuracy^2 by default (a mean of returns in [0, 1] then has a standard error
    of at most accuracy / 4); 0 leaves tests out, and all states of a step are one block: the
    control that shows what tests are for. refits: how often a step that violates tests is built
    again, each time with twice the draws and rollouts and blocks narrower by a factor of sqrt(2).

    The reset must draw, within a latent state, as the latent state emits; for other resets of
    bounded pushforward ratios the shares of a block would need weights that single observations
    do not reveal. No error bound is claimed, and `accuracy` is none: latent states that it merges
    cost up to that much at every step. Compare `emulator_error` where the MDP is known.
    Raises ValueError naming the argument that does not fit, TypeError for another access.
    """
    if not isinstance(access, Hybrid):
        raise TypeError(f"access is {access!r:.80}; expected Hybrid, resets and a local simulator")
    check_range(accuracy, "accuracy", np.nextafter(0, 1), np.inf)
    have = (policies.horizon, policies.states, policies.actions)
    want = (access.horizon, access.states, access.actions)
    if have != want:
        raise ValueError(f"policies has (horizon, states, actions) {have}; access has {want}")
    count = check_positive_integer(observations, "observations")
    each = check_positive_integer(ceil(8 / accuracy**2) if draws is None else draws, "draws")
    episodes = ceil(4 / accuracy**2) if rollouts is None else rollouts
    for number, name in ((episodes, "rollouts"), (refits, "refits")):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise ValueError(f"{name} is {number!r}; expected an integer of at least 0")
    before = access.samples
    names = np.stack(
        [
            access.run_from_reset(h, policies.table[0], count).states[:, 0]
            for h in range(access.horizon)
        ]
    )
    task = _Task(access, policies, names, accuracy, each, episodes)
    layers: list[_Layer | None] = [None] * (access.horizon + 1)
    errors: list[FloatArray] = []
    rebuilt = 0
    for h in reversed(range(access.horizon)):
        effort = 1
        layer = _build(task, h, layers[h + 1], effort)
        error = _test(task, h, layer, effort)
        while np.any(error > accuracy) and effort < 2**refits:
            effort, rebuilt = 2 * effort, rebuilt + 1
            layer = _build(task, h, layers[h + 1], effort)
            error = _test(task, h, layer, effort)
        layers[h] = layer
        errors.append(error)
    return _result(task, [x for x in layers if x is not None], errors, rebuilt, before)


def _build(task: _Task, h: int, after: _Layer | None, effort: int) -> _Layer:
    """Build the step h on top of the finished step after it."""
    access, names = task.access, task.observations[h]
    count, actions = len(names), access.actions
    each = task.draws * effort
    rewards = np.empty((count, actions))
    kernel = np.full((count, actions, count), 1 / count)
    for a in range(actions):
        table = task.policies.table[0].copy()
        table[h] = a
        found = access.run_from(h, np.repeat(names, each), table)
        rewards[:, a] = found.rewards[:, 0].reshape(count, each).mean(axis=1)
        if after is not None:
            blocks = _decode(task, h + 1, after, found.states[:, 1], effort)
            shares = blocks.reshape(count, each, 1) == np.arange(after.blocks.max() + 1)
            kernel[:, a] = shares.mean(axis=1) @ _weights(after.blocks)
    # The same policies are asked at the next step, each by its own action there.
    q = np.repeat(rewards[None], len(task.policies), axis=0)
    if after is not None:
        following = _follow(task, h + 1, after)
        q = q + np.einsum("pt,sat->psa", following, kernel, optimize=True)
    # What noise allows to be told apart shrinks as draws grow.
    width = task.accuracy / np.sqrt(effort)
    blocks = _cluster(q, width) if task.rollouts else np.zeros(count, dtype=np.int64)
    # States of one block share all that was seen of them: noise shrinks, not the number of states.
    pooled = _weights(blocks)[blocks] if task.rollouts else np.eye(count)
    return _Layer(
        np.tensordot(pooled, kernel, 1), pooled @ rewards, np.einsum("st,pta->psa", pooled, q),
        blocks,
    )  # fmt: skip


def _follow(task: _Task, h: int, layer: _Layer) -> FloatArray:
    """What each policy is worth at each emulator state of a step, (P, n)."""
    chosen = task.policies.table[:, h, task.observations[h]].astype(np.int64)
    return np.take_along_axis(layer.action_values, chosen[..., None], axis=-1)[..., 0]


def _weights(blocks: IntArray) -> FloatArray:
    """Rows (blocks, n): equal shares for the states of each block."""
    members = blocks == np.arange(blocks.max() + 1)[:, None]
    return np.asarray(members / members.sum(axis=1, keepdims=True))


def _cluster(q: FloatArray, width: float) -> IntArray:
    """Blocks (n,) of states: each joins the nearest block whose mean action values are in reach."""
    blocks = np.zeros(q.shape[1], dtype=np.int64)
    centres: list[NDArray[Any]] = []
    sizes: list[int] = []
    for i in range(q.shape[1]):
        own = q[:, i]
        apart = [float(np.abs(own - centre).max()) for centre in centres]
        if apart and min(apart) <= width:
            k = int(np.argmin(apart))
            sizes[k] += 1
            centres[k] = centres[k] + (own - centres[k]) / sizes[k]
        else:
            k = len(centres)
            centres.append(own)
            sizes.append(1)
        blocks[i] = k
    return blocks


def _leaders(layer: _Layer) -> IntArray:
    """The first state of each block; pooled states of a block do not differ."""
    return np.asarray(np.unique(layer.blocks, return_index=True)[1])


def _telling(layer: _Layer, left: int, right: int) -> tuple[int, int]:
    """The policy and the first action whose values differ most between two states."""
    gap = np.abs(layer.action_values[:, left] - layer.action_values[:, right])
    policy, action = np.unravel_index(int(gap.argmax()), gap.shape)
    return int(policy), int(action)


def _earned(
    task: _Task, h: int, states: IntArray, policy: int, action: int, episodes: int
) -> FloatArray:
    """Mean returns (len(states),) of an action at step h and a policy after it."""
    table = task.policies.table[policy].copy()
    table[h] = action
    found = task.access.run_from(h, np.repeat(states, episodes), table)
    return np.asarray(found.returns.reshape(len(states), episodes).mean(axis=1))


def _decode(task: _Task, h: int, layer: _Layer, seen: IntArray, effort: int) -> IntArray:
    """Return the block of each observation, by a tournament of tests between blocks.

    In each match the policy that tells the two blocks apart best is run from the observation;
    the block whose emulated value is nearer goes on.
    """
    leaders = _leaders(layer)
    names, back = np.unique(seen, return_inverse=True)
    winners = np.zeros(len(names), dtype=np.int64)
    if not task.rollouts:
        return np.asarray(winners[back])
    for k in range(1, len(leaders)):
        for j in np.unique(winners).tolist():
            playing = np.flatnonzero(winners == j)
            policy, action = _telling(layer, leaders[j], leaders[k])
            earned = _earned(task, h, names[playing], policy, action, task.rollouts * effort)
            old, new = layer.action_values[policy, leaders[[j, k]], action]
            winners[playing[np.abs(earned - new) < np.abs(earned - old)]] = k
    return np.asarray(winners[back])


def _test(task: _Task, h: int, layer: _Layer, effort: int) -> FloatArray:
    """Return the errors of tests at a step: of all its states, for all tests its blocks use.

    A single block is tested by the policies of the largest and the least emulated value.
    """
    if not task.rollouts:
        return np.empty(0)
    leaders = _leaders(layer)
    pairs = [(a, b) for i, a in enumerate(leaders) for b in leaders[:i]]
    chosen = {_telling(layer, int(a), int(b)) for a, b in pairs}
    first = layer.action_values[:, leaders[0]]
    for at in (first.argmax(), first.argmin()):
        of, then = np.unravel_index(int(at), first.shape)
        chosen.add((int(of), int(then)))
    names, where = np.unique(task.observations[h], return_index=True)
    errors = []
    for policy, action in sorted(chosen):
        earned = _earned(task, h, names, policy, action, task.rollouts * effort)
        errors.append(np.abs(earned - layer.action_values[policy, where, action]))
    return np.concatenate(errors)


def _result(
    task: _Task, layers: list[_Layer], errors: list[FloatArray], rebuilt: int, before: int
) -> PolicyEmulation:
    access, first = task.access, layers[0]
    starts = task.draws * len(task.observations[0])
    seen = access.run(task.policies.table[0], starts).states[:, 0]
    blocks = _decode(task, 0, first, seen, 1)
    shares = np.bincount(blocks, minlength=first.blocks.max() + 1) / starts
    model = EpisodicMDP(
        np.stack([layer.kernel for layer in layers]),
        np.stack([layer.rewards for layer in layers]),
        shares @ _weights(first.blocks),
    )
    emulator = Emulator(model, task.observations)
    values = emulator.values(task.policies)
    tested = np.concatenate(errors)
    return PolicyEmulation(
        emulator=emulator,
        best=int(np.argmax(values)),
        values=np.asarray(values),
        blocks=np.stack([layer.blocks for layer in layers]),
        test_error=float(tested.max()) if len(tested) else float("nan"),
        violated=int((tested > task.accuracy).sum()),
        refits=rebuilt,
        samples=access.samples - before,
    )
