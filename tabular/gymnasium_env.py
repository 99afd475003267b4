"""A finite MDP as a Gymnasium environment, with its transition table as toy-text has it.

Loaded only by `rltheory.tabular.gymnasium_tables.to_gymnasium`, as it needs Gymnasium.
"""

from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import FloatArray

Table = dict[int, dict[int, list[tuple[float, int, float, bool]]]]
"""By state and action: (probability, next state, reward, whether the episode ends there)."""


class TabularEnv(gymnasium.Env):  # type: ignore[misc]
    """An environment whose observations are state numbers and whose actions are action numbers.

    kernel: (S * A, S) CSR, row s * A + a, without stored zeros. rewards: (S, A), -inf marks an
    action that is not available. initial_state_distrib: (S,). final: (S,) mask of the states at
    which an episode ends. Every step pays its expected reward. `info["action_mask"]` (A,) int8
    says which actions are available, as `Discrete.sample` takes it.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(
        self,
        kernel: Any,
        rewards: FloatArray,
        initial_state_distrib: FloatArray,
        final: NDArray[np.bool_],
    ) -> None:
        states, actions = rewards.shape
        self.observation_space = gymnasium.spaces.Discrete(states)
        self.action_space = gymnasium.spaces.Discrete(actions)
        self.initial_state_distrib = initial_state_distrib
        self._kernel, self._rewards, self._final = kernel, rewards, final
        self._state: int | None = None

    @cached_property
    def P(self) -> Table:
        """The transition table; the row of an action that is not available is empty."""
        states, actions = self._rewards.shape
        return {
            s: {a: list(zip(*self._row(s, a), strict=True)) for a in range(actions)}
            for s in range(states)
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Draw a first state; the same seed gives the same episodes. There are no options."""
        super().reset(seed=seed)
        self._state = self._draw(self.initial_state_distrib)
        return self._state, self._info(self._state)

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take an action and return the next state, the reward, whether it is final, False, info.

        Raises gymnasium.error.ResetNeeded before the first `reset`, ValueError for an action that
        does not exist or is not available.
        """
        if self._state is None:
            raise gymnasium.error.ResetNeeded("step was called before reset")
        if not self.action_space.contains(action) or not self._mask(self._state)[action]:
            raise ValueError(
                f"action is {action!r}; expected one of those available in state {self._state}, "
                f"{np.flatnonzero(self._mask(self._state)).tolist()}"
            )
        chances, following, paid, ends = self._row(self._state, int(action))
        place = self._draw(np.array(chances))
        self._state = following[place]
        return self._state, paid[place], ends[place], False, self._info(self._state)

    def _row(
        self, state: int, action: int
    ) -> tuple[list[float], list[int], list[float], list[bool]]:
        row = state * self._rewards.shape[1] + action
        part = slice(self._kernel.indptr[row], self._kernel.indptr[row + 1])
        following = self._kernel.indices[part]
        paid = [float(self._rewards[state, action])] * len(following)
        chances = self._kernel.data[part].tolist()
        return chances, following.tolist(), paid, self._final[following].tolist()

    def _draw(self, chances: FloatArray) -> int:
        """Draw a place; the chances, which sum to 1 up to rounding, are taken over their sum."""
        below = np.cumsum(chances)
        # Rounding may lift the product to the sum itself, beyond the last place.
        level = min(self.np_random.random() * below[-1], np.nextafter(below[-1], 0.0))
        return int(np.searchsorted(below, level, side="right"))

    def _mask(self, state: int) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self._rewards[state]))

    def _info(self, state: int) -> dict[str, Any]:
        return {"action_mask": self._mask(state).astype(np.int8)}
