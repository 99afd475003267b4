"""Finite-horizon MDPs with features that need not fit: what is learnt is only approximately linear.

Prices with hat functions are the example. Algorithms of linear MDPs run on them, against a set if
one is given; but there are no true factors that an adversary could move, so that the curves of runs
are of plain values, worked out from the kernels themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, read_only
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


@dataclass(frozen=True, eq=False)
class FeatureMDP:
    """An EpisodicMDP with features (S, A, d) of its pairs.

    Pairs whose features are zero are known: algorithms give them their reward and nothing after it.
    fail_state: an absorbing state without reward, if there is one. All actions must be available.
    Raises ValueError or TypeError naming what does not fit.
    """

    mdp: EpisodicMDP
    features: FloatArray
    fail_state: int | None = None

    def __post_init__(self) -> None:
        check_episodic(self.mdp)
        if not self.mdp.available.all():
            raise ValueError("mdp lacks actions in some states; expected all to be available")
        shape = (self.mdp.states, self.mdp.actions, None)
        features = as_float_array(self.features, "features", shape)
        check_finite(features, "features")
        object.__setattr__(self, "features", read_only(features))
        if not features.size:
            raise ValueError(f"features has shape {features.shape}; expected a dimension >= 1")
        fail: Any = self.fail_state
        if fail is not None:
            whole = isinstance(fail, int | np.integer) and not isinstance(fail, bool)
            if not whole or not 0 <= fail < self.mdp.states:
                raise ValueError(
                    f"fail_state is {fail!r}; expected a state, 0 to {self.mdp.states - 1}"
                )
            stays = self.mdp.transitions[:, fail, :, fail]
            if not np.all(stays == 1.0) or np.any(self.mdp.rewards[:, fail] != 0.0):
                raise ValueError(f"fail_state {fail} must absorb without reward")

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return self.mdp.horizon

    @property
    def states(self) -> int:
        """Number of states S."""
        return self.mdp.states

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return self.mdp.actions

    @property
    def dimension(self) -> int:
        """Number of features d."""
        return int(self.features.shape[2])

    @property
    def rewards(self) -> FloatArray:
        """(H, S, A)."""
        return self.mdp.rewards

    @property
    def initial(self) -> FloatArray:
        """(S,) distribution over first states."""
        return self.mdp.initial

    @property
    def ceilings(self) -> FloatArray:
        """(H,) what the rewards from each step on can add up to, if each is at its largest."""
        most = max(1.0, float(self.rewards.max()))
        return most * np.arange(self.horizon, 0, -1, dtype=np.float64)
