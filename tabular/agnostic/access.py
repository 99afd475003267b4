"""Ways to access an unknown MDP, as objects that count every sample and offer nothing else.

Learners take one of these in place of the MDP. All draws go through one generator, and what was
drawn is counted before it is returned: `episodes` started, `steps` taken, `calls` of a simulator,
`resets` drawn. Sources: Kearns, Mansour and Ng (1999) for the generative model; Krishnamurthy,
Li and Sekhari (2025) for the others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    as_generator,
    check_distributions,
)
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class Trajectories:
    """Parts of episodes from step `start` on, all of one length L.

    states, actions: (n, L); rewards: (n, L); start: the step of the first column.
    """

    states: IntArray
    actions: IntArray
    rewards: FloatArray
    start: int = 0

    @property
    def returns(self) -> FloatArray:
        """The sums of rewards, (n,)."""
        return np.asarray(self.rewards.sum(axis=1))


class _Access:
    """Counters, a generator, and one step of the MDP, which stays hidden from learners.

    rewards: "mean" pays what the MDP says, "bernoulli" 1 with that probability, else 0.
    """

    def __init__(
        self, mdp: EpisodicMDP, *, seed: int | np.random.Generator, rewards: str = "mean"
    ) -> None:
        check_episodic(mdp)
        if rewards not in ("mean", "bernoulli"):
            raise ValueError(f"rewards is {rewards!r}; expected 'mean' or 'bernoulli'")
        if not np.all(mdp.available):
            raise ValueError("the MDP has unavailable actions; learners may try any")
        if rewards == "bernoulli" and not (mdp.rewards.min() >= 0 and mdp.rewards.max() <= 1):
            raise ValueError("Bernoulli rewards need means in [0, 1]")
        self._mdp = mdp
        self._generator = as_generator(seed)
        self._bernoulli = rewards == "bernoulli"
        self._cumulative = np.cumsum(mdp.transitions, axis=-1)
        self._starts = np.cumsum(mdp.initial)
        self.horizon, self.states, self.actions = mdp.rewards.shape
        self.episodes = self.steps = self.calls = self.resets = 0

    @property
    def samples(self) -> int:
        """All that was drawn: steps of episodes, calls of a simulator and resets."""
        return self.steps + self.calls + self.resets

    def _draw(self, cumulative: FloatArray) -> IntArray:
        """Return one index by each row (n, S) of sums of probabilities."""
        aim = self._generator.random((len(cumulative), 1)) * cumulative[:, -1:]
        return np.asarray((cumulative <= aim).sum(axis=1))

    def _pay(self, h: int, states: IntArray, actions: IntArray) -> FloatArray:
        means = self._mdp.rewards[h, states, actions]
        if not self._bernoulli:
            return np.asarray(means)
        return np.asarray(self._generator.random(len(means)) < means, dtype=np.float64)

    def _check_step(self, h: int) -> None:
        if not 0 <= h < self.horizon:
            raise ValueError(f"step is {h}; expected 0 to {self.horizon - 1}")

    def _roll(self, h: int, states: IntArray, policies: NDArray[Any]) -> Trajectories:
        """Follow policies (n, H, S) from `states` (n,) at step h to the end; counts the steps."""
        lines = np.arange(len(states))
        length = self.horizon - h
        seen, taken = np.empty((len(states), length), int), np.empty((len(states), length), int)
        paid = np.empty((len(states), length))
        for t in range(length):
            actions = policies[lines, h + t, states].astype(np.int64)
            seen[:, t], taken[:, t] = states, actions
            paid[:, t] = self._pay(h + t, states, actions)
            if t + 1 < length:
                states = self._draw(self._cumulative[h + t, states, actions])
        self.steps += len(states) * length
        return Trajectories(seen, taken, paid, h)

    def _policies(self, given: NDArray[Any], count: int) -> NDArray[Any]:
        table = np.asarray(given)
        shape = (self.horizon, self.states)
        if table.dtype.kind not in "iu" or table.shape not in (shape, (count, *shape)):
            raise ValueError(
                f"policies has shape {table.shape} of {table.dtype}; expected integers {shape} "
                f"or {(count, *shape)}"
            )
        if table.min() < 0 or table.max() >= self.actions:
            raise ValueError(f"policies has actions outside 0 to {self.actions - 1}")
        return np.broadcast_to(table, (count, *shape))


class _Episodes(_Access):
    """Whole episodes from the start."""

    def run(self, policies: NDArray[Any], count: int) -> Trajectories:
        """Return `count` episodes; policies: one table (H, S) of actions, or one for each."""
        tables = self._policies(policies, count)
        states = self._draw(np.broadcast_to(self._starts, (count, self.states)))
        self.episodes += count
        return self._roll(0, states, tables)


class Online(_Episodes):
    """Episodes from the start and nothing else."""


class Generative(_Access):
    """A simulator of any state and action."""

    def sample(self, h: int, states: IntArray, actions: IntArray) -> tuple[IntArray, FloatArray]:
        """Return next states and rewards (n,) at step h; each counts as one call.

        Next states of the last step are -1.
        """
        self._check_step(h)
        self.calls += len(states)
        paid = self._pay(h, states, actions)
        if h + 1 == self.horizon:
            return np.full(len(states), -1), paid
        return self._draw(self._cumulative[h, states, actions]), paid

    def start(self, count: int) -> IntArray:
        """Return first states (count,); each counts as one call."""
        self.calls += count
        return self._draw(np.broadcast_to(self._starts, (count, self.states)))


class LocalSimulator(_Episodes):
    """Episodes, and resets to any state that was seen before at its step."""

    def __init__(
        self, mdp: EpisodicMDP, *, seed: int | np.random.Generator, rewards: str = "mean"
    ) -> None:
        super().__init__(mdp, seed=seed, rewards=rewards)
        self._seen = np.zeros((self.horizon, self.states), dtype=bool)

    def run_from(self, h: int, states: IntArray, policies: NDArray[Any]) -> Trajectories:
        """Return the rest of episodes from seen states (n,) of step h.

        Raises ValueError if a state was not seen at that step.
        """
        self._check_step(h)
        places = np.asarray(states)
        fresh = np.flatnonzero(~self._seen[h, places])
        if len(fresh):
            raise ValueError(
                f"state {places[fresh[0]]} was not seen at step {h}; a local simulator resets to "
                "seen states only"
            )
        self.resets += len(places)
        return self._roll(h, places, self._policies(policies, len(places)))

    def _roll(self, h: int, states: IntArray, policies: NDArray[Any]) -> Trajectories:
        found = super()._roll(h, states, policies)
        steps = h + np.arange(found.states.shape[1])
        self._seen[np.broadcast_to(steps, found.states.shape), found.states] = True
        return found


class Resets(_Episodes):
    """Episodes, and resets to states drawn from a distribution mu_h of each step.

    reset: (H, S) distributions.
    """

    def __init__(
        self,
        mdp: EpisodicMDP,
        reset: FloatArray,
        *,
        seed: int | np.random.Generator,
        rewards: str = "mean",
    ) -> None:
        super().__init__(mdp, seed=seed, rewards=rewards)
        rows = as_float_array(reset, "reset", (self.horizon, self.states))
        check_distributions(rows, "reset")
        self._resets_to = np.cumsum(rows, axis=1)

    def run_from_reset(self, h: int, policies: NDArray[Any], count: int) -> Trajectories:
        """Return the rest of `count` episodes from states drawn by mu_h."""
        self._check_step(h)
        self.resets += count
        states = self._draw(np.broadcast_to(self._resets_to[h], (count, self.states)))
        return self._roll(h, states, self._policies(policies, count))


class Hybrid(Resets, LocalSimulator):
    """Resets drawn by mu_h and a local simulator of what was seen."""
