"""POPLER: online learning over a class that is a sunflower, along its core policies.

From the start and from every petal state found so far, episodes follow random core policies; they
are reweighted into a small reward process for each policy, which tells the petals that it can reach
and, in the end, its value. Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), Algorithm 1. The
constants, and the proof behind them, are derived here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_positive_integer,
    check_range,
)
from rltheory.tabular.agnostic.access import Online
from rltheory.tabular.agnostic.guarantees import check_returns
from rltheory.tabular.agnostic.petals import PetalData, PetalProcess, as_petals
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.trees import check_class

_EPISODES = 2**15
"""Episodes run at once."""

Edges = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class PoplerParameters:
    """Episodes from the start and for each petal, and the reach from which a petal is followed."""

    start_episodes: int
    petal_episodes: int
    threshold: float


@dataclass(frozen=True, eq=False)
class PoplerResult:
    """Estimated values, and how they were found.

    values: (P,); best: index of the first best; identified: the petals that were followed, in the
    order in which they were found, with the policy that leads there and the episodes kept;
    episodes, samples: all that was drawn; parameters: those used.
    """

    values: FloatArray
    best: int
    identified: tuple[PetalData, ...]
    episodes: int
    samples: int
    parameters: PoplerParameters
    _edges: Mapping[tuple[int, int], Edges]
    _petals: NDArray[np.bool_]

    def process(self, policy: int) -> PetalProcess:
        """Return the estimated process of a policy on those of its petals that were followed."""
        states = self._petals.shape[2]
        nodes = sorted(node for node in self._edges if node[0] < 0 or self._petals[policy][node])
        petals = np.array(nodes[1:], dtype=np.int64).reshape(-1, 2)
        cells = petals[:, 0] * states + petals[:, 1]
        rewards = np.array([self._edges[node][0][policy] for node in nodes])
        transitions = np.array([self._edges[node][1][policy, cells] for node in nodes])
        return PetalProcess(petals, transitions, rewards)


def popler_parameters(
    *, policies: int, core: int, petals: int, accuracy: float, confidence: float
) -> PoplerParameters:
    """Return parameters at which POPLER's choice is `accuracy`-optimal with this confidence.

    policies: P; core: K core policies; petals: D, the most of a policy. Without petals,
    2 K^2 log(2 P / delta) / eps^2 episodes. With them a petal is followed if its estimated reach is
    at least eps / (3 D); 72 K^2 D^2 (D + 1)^2 l / eps^2 episodes from the start make estimates of
    reach and of value exact up to eps / (6 D), l = log(2^(D + 3) P (D + 1) / delta), and
    12 D / eps times as many for each petal keep enough of them. The orders are those of the paper
    with D + log P in place of log P; constants are derived here, for returns in [0, 1].
    Raises ValueError naming the argument that does not fit.
    """
    check_positive_integer(policies, "policies")
    check_positive_integer(core, "core")
    for name, number in (("accuracy", accuracy), ("confidence", confidence)):
        if not 0.0 < number < 1.0:
            raise ValueError(f"{name} is {number}; expected a number inside (0, 1)")
    if petals < 0:
        raise ValueError(f"petals is {petals}; expected 0 or more")
    failure = 1.0 - confidence
    if petals == 0:
        return PoplerParameters(
            ceil(2.0 * core**2 * log(2.0 * policies / failure) / accuracy**2), 1, accuracy
        )
    logarithm = (petals + 3) * log(2.0) + log(policies * (petals + 1) / failure)
    start = 72.0 * (core * petals * (petals + 1) / accuracy) ** 2 * logarithm
    return PoplerParameters(
        ceil(start), ceil(12.0 * petals / accuracy * start), accuracy / (3.0 * petals)
    )


def popler(
    access: Online,
    policies: PolicyClass,
    core: PolicyClass,
    petals: ArrayLike,
    *,
    accuracy: float | None = None,
    confidence: float = 0.9,
    parameters: PoplerParameters | None = None,
    seed: int | np.random.Generator = 0,
) -> PoplerResult:
    """Return estimated values of a class from online access, and the best policy.

    core: K policies, in the class or not; petals: (P, H, S) mask, each policy's petal states: every
    part of a trajectory consistent with a policy must be consistent with a core policy or meet a
    petal after its first state. Give `accuracy` for `popler_parameters`, after which the chosen
    policy is within it of the best of the class with that confidence, or `parameters` for others.
    In each pass the petals whose estimated reach passes the threshold are followed by the policy
    that reaches them most. seed: of the core policies drawn, which is the learner's own chance.
    Raises ValueError if returns leave [0, 1] or an argument does not fit, TypeError without
    online access.
    """
    if not hasattr(access, "run"):
        raise TypeError(f"access is {type(access).__name__}; expected one that runs episodes")
    check_class(access, policies)
    if core.table.shape[1:] != policies.table.shape[1:] or core.actions != policies.actions:
        raise ValueError(
            f"core has layers {core.table.shape[1:]} and {core.actions} actions; expected "
            f"{policies.table.shape[1:]} and {policies.actions}"
        )
    mask = as_petals(petals, policies)
    if (accuracy is None) == (parameters is None):
        raise ValueError("give one of accuracy and parameters")
    if parameters is None:
        assert accuracy is not None
        parameters = popler_parameters(
            policies=len(policies),
            core=len(core),
            petals=int(mask.sum(axis=(1, 2)).max()),
            accuracy=accuracy,
            confidence=confidence,
        )
    check_positive_integer(parameters.start_episodes, "start_episodes")
    check_positive_integer(parameters.petal_episodes, "petal_episodes")
    check_range(parameters.threshold, "threshold", 0.0, 1.0)
    before = access.episodes, access.samples
    generator = as_generator(seed)
    data = collect(access, core, None, -1, -1, parameters.start_episodes, generator)
    edges = {(-1, -1): data.edges(policies, core, mask)}
    identified: list[PetalData] = []
    while True:
        found = _reached(edges, mask, parameters.threshold)
        if not found:
            break
        for (step, state), policy in found.items():
            data = collect(
                access,
                core,
                policies.table[policy],
                step,
                state,
                parameters.petal_episodes,
                generator,
                policy,
            )
            identified.append(data)
            edges[step, state] = data.edges(policies, core, mask)
    values = _evaluate(edges, mask)
    return PoplerResult(
        values=values,
        best=int(np.argmax(values)),
        identified=tuple(identified),
        episodes=access.episodes - before[0],
        samples=access.samples - before[1],
        parameters=parameters,
        _edges=edges,
        _petals=mask,
    )


def collect(
    access: Online,
    core: PolicyClass,
    leader: NDArray[Any] | None,
    step: int,
    state: int,
    episodes: int,
    generator: np.random.Generator,
    policy: int = -1,
) -> PetalData:
    """Run `episodes` along a leader (H, S) to a step, then along random core policies.

    Kept are those that come by the state at that step, from there on; without a leader all.
    """
    start = max(step, 0)
    length = access.horizon - start
    pairs = access.states * access.actions
    groups: list[tuple[Any, ...]] = []
    kept = 0
    for first in range(0, episodes, _EPISODES):
        count = min(_EPISODES, episodes - first)
        tables = core.table[generator.integers(len(core), size=count)]
        if leader is not None:
            tables[:, :start] = leader[:start]
        played = access.run(tables, count)
        check_returns(played.returns)
        here = slice(None) if leader is None else played.states[:, start] == state
        states, actions = played.states[here, start:], played.actions[here, start:]
        kept += len(states)
        groups.append((states, actions, np.ones(len(states), int), played.rewards[here, start:]))
        if pairs**length < 2**62:
            groups[-1] = _merged(groups[-1:], pairs, access.actions)
    whole = tuple(np.concatenate(part) for part in zip(*groups, strict=True))
    if pairs**length < 2**62:
        whole = _merged([whole], pairs, access.actions)
    return PetalData(step, state, policy, kept, *whole)


def _merged(groups: list[tuple[Any, ...]], pairs: int, actions: int) -> tuple[Any, ...]:
    """Equal continuations as one, with their counts and rewards added."""
    ((states, taken, counts, rewards),) = groups
    keys = np.zeros(len(states), dtype=np.int64)
    for t in range(states.shape[1]):
        keys = keys * pairs + states[:, t] * actions + taken[:, t]
    _, first, back = np.unique(keys, return_index=True, return_inverse=True)
    many = np.bincount(back, weights=counts, minlength=len(first)).astype(np.int64)
    sums = np.empty((len(first), rewards.shape[1]))
    for t in range(rewards.shape[1]):
        sums[:, t] = np.bincount(back, weights=rewards[:, t], minlength=len(first))
    return states[first], taken[first], many, sums


def _reached(
    edges: Mapping[tuple[int, int], Edges], petals: NDArray[np.bool_], threshold: float
) -> dict[tuple[int, int], int]:
    """Petals not yet followed whose estimated reach passes, and the policy that reaches most."""
    states = petals.shape[2]
    wanted = np.array(petals.any(axis=0))
    for step, state in edges:
        if step >= 0:
            wanted[step, state] = False
    targets = np.flatnonzero(wanted)
    if not len(targets):
        return {}
    reach: dict[int, FloatArray] = {}
    for step, state in sorted(edges, reverse=True):
        rows = edges[step, state][1]
        total = rows[:, targets]
        for cell, onward in reach.items():
            total = total + rows[:, cell, None] * onward
        # Probabilities: what importance weights put above 1 is error.
        reach[step * states + state] = np.clip(total, 0.0, 1.0)
    found = reach[-states - 1]
    return {
        (int(cell) // states, int(cell) % states): int(found[:, k].argmax())
        for k, cell in enumerate(targets)
        if found[:, k].max() >= threshold
    }


def _evaluate(edges: Mapping[tuple[int, int], Edges], petals: NDArray[np.bool_]) -> FloatArray:
    """The values (P,) of the estimated processes, clipped to [0, 1] where returns lie."""
    states = petals.shape[2]
    onward: dict[int, FloatArray] = {}
    values = np.zeros(len(petals))
    for step, state in sorted(edges, reverse=True):
        rewards, rows = edges[step, state]
        values = rewards.copy()
        for cell, later in onward.items():
            values += rows[:, cell] * later
        values = np.clip(values, 0.0, 1.0)
        onward[step * states + state] = values
    return values
