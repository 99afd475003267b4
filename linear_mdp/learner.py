"""A learner between episodes: the arrays that compiled code writes, and what they say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, read_only
from rltheory.linear_mdp import kernels
from rltheory.linear_mdp.kernels import Rule
from rltheory.linear_mdp.simulation import World
from rltheory.linear_mdp.visits import Memory


@dataclass(frozen=True, eq=False)
class Learnt:
    """An estimate of values and the policy played on it.

    action_values, policy: (H, S, A); linear: (H, d), what multiplies the features: the factors'
    worst cases, and the reward weights and the bonus where they are linear parts of the estimate.
    """

    action_values: FloatArray
    policy: FloatArray
    linear: FloatArray


class Learner:
    """An algorithm with its memory of visits, its estimate and, for mirror steps, its policy."""

    def __init__(self, world: World, rule: Rule, memory: Memory) -> None:
        self.world = world
        self.rule = rule
        self.memory = memory
        shape = world.rewards.shape
        mirror = rule.step > 0.0
        self.log_policy = np.log(rule.reference) if mirror else np.empty((0, *shape[1:]))
        self.linear, self.spread = np.zeros((2, shape[0], world.features.shape[2]))

    def estimate(self) -> None:
        """Estimate values backward from all that is remembered, and improve the policy."""
        kernels.estimate(*self._state())

    def play(self, draws: FloatArray) -> FloatArray:
        """Play one episode for each row of uniform numbers (n, 1 + 3 H); return the returns."""
        returns = np.empty(len(draws))
        kernels.play(*self._state(), draws, returns)
        return returns

    def learnt(self) -> Learnt:
        """Return the present estimate and policy."""
        q, policy = np.empty((2, *self.world.rewards.shape))
        kernels.policies(*self._state(), q, policy)
        return Learnt(read_only(q), read_only(policy), read_only(self.linear.copy()))

    def arrays(self) -> dict[str, Any]:
        """All arrays of the state, by name."""
        mine = {"log_policy": self.log_policy, "linear": self.linear, "spread": self.spread}
        return {**self.memory._asdict(), **mine}

    def restore(self, arrays: dict[str, Any]) -> None:
        """Take the state from arrays of the same names."""
        for name, array in self.arrays().items():
            array[...] = arrays[name]

    def _state(self) -> tuple[Any, ...]:
        return self.memory, self.world, self.rule, self.log_policy, self.linear, self.spread
