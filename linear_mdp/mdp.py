"""Linear MDPs: kernels and rewards that are linear in known features of state and action.

P_h(s' | s, a) = sum_i features[s, a, i] measures[h, i, s'] and r_h = features . weights[h]. Where
the features are distributions over d factors and the measures distributions over states, a step
draws a factor and then the next state from it; only then can an adversary act factor by factor.
Source: Jin, Yang, Wang and Jordan (2020), Assumption A.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_magnitude,
    read_only,
)
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.tabular.model_checks import as_broadcast, as_initial
from rltheory.tabular.uncertainty import L1, TotalVariation
from rltheory.tabular.uncertainty.base import UncertaintySet

_BLOCK = 2**24
"""Entries of the kernel spelt out at a time to check it."""


@dataclass(frozen=True, eq=False)
class LinearMDP:
    """A finite-horizon MDP that is linear in its features.

    features: (S, A, d); measures: (H, d, S); reward_weights: (H, d). P_h = features @ measures[h]
    must be a kernel (entries >= 0, rows summing to 1 within 1e-9). initial: (S,), uniform where
    not given. fail_state: an absorbing state without reward, if there is one; it is where total
    variation moves mass.

    Raises ValueError or TypeError naming the argument, the expectation and what came.
    """

    features: FloatArray
    measures: FloatArray
    reward_weights: FloatArray
    initial: FloatArray = field(default=None)  # type: ignore[arg-type]
    fail_state: int | None = None

    def __post_init__(self) -> None:
        features = as_float_array(self.features, "features", (None, None, None))
        check_finite(features, "features")
        if not features.size:
            raise ValueError(
                f"features has shape {features.shape}; expected (states, actions, dimension) >= 1"
            )
        states, _, dimension = features.shape
        weights = as_float_array(self.reward_weights, "reward_weights", (None, dimension))
        check_finite(weights, "reward_weights")
        if not len(weights):
            raise ValueError("reward_weights has no steps; expected (horizon, dimension) >= 1")
        measures = as_broadcast(self.measures, "measures")
        if measures.shape != (len(weights), dimension, states):
            raise ValueError(
                f"measures has shape {measures.shape}; expected "
                f"({len(weights)}, {dimension}, {states}), as features and reward_weights have"
            )
        for name, array in (("features", features), ("measures", measures)):
            object.__setattr__(self, name, read_only(array))
        object.__setattr__(self, "reward_weights", read_only(weights))
        object.__setattr__(self, "initial", as_initial(self.initial, states))
        # Products may overflow; what comes of it is refused by name.
        with np.errstate(over="ignore", invalid="ignore"):
            self._check_kernel()
            largest = float(np.abs(self.rewards).max())
        check_magnitude(self.horizon * largest, "rewards added over the horizon give values")
        if self.fail_state is not None:
            self._check_fail_state()

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return len(self.reward_weights)

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.features.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.features.shape[1])

    @property
    def dimension(self) -> int:
        """Number of features d."""
        return int(self.features.shape[2])

    @cached_property
    def rewards(self) -> FloatArray:
        """(H, S, A), linear in the features."""
        rewards = np.moveaxis(self.features @ self.reward_weights.T, -1, 0)
        return np.asarray(read_only(np.ascontiguousarray(rewards)))

    @cached_property
    def simplex(self) -> bool:
        """Whether features and measures are distributions: steps draw a factor, then a state."""
        return not _off_simplex(self.features) and not _off_simplex(self._steps)

    @property
    def ceilings(self) -> FloatArray:
        """(H,) what the rewards of the steps from h on can add up to, if each is at its largest.

        Where rewards are in [0, 1] this is H - h, as papers have it.
        """
        most = max(1.0, float(self.rewards.max()))
        return most * np.arange(self.horizon, 0, -1, dtype=np.float64)

    def kernel(self, h: int, states: slice = slice(None)) -> FloatArray:
        """Return P_h of some states, (states, A, S), worked out anew."""
        return np.asarray(self.features[states] @ self.measures[h])

    def to_tabular(self) -> EpisodicMDP:
        """Return the same MDP with its kernels (H, S, A, S) spelt out, less their rounding.

        Raises ValueError as EpisodicMDP does; MemoryError if they do not fit.
        """
        kernels = np.stack([self.kernel(h) for h in range(self.horizon)])
        # Sums of positive products have no cancellation: what is below 0 is rounding of a 0.
        return EpisodicMDP(np.maximum(kernels, 0.0), self.rewards, self.initial)

    @staticmethod
    def from_tabular(mdp: EpisodicMDP, fail_state: int | None = None) -> LinearMDP:
        """Return a finite-horizon MDP with one feature for each pair, d = S A.

        Factor-wise balls are then (s, a)-rectangular. Raises ValueError if actions are missing.
        """
        if not mdp.available.all():
            raise ValueError("mdp lacks actions in some states; expected all to be available")
        pairs = mdp.states * mdp.actions
        return LinearMDP(
            np.eye(pairs).reshape(mdp.states, mdp.actions, pairs),
            mdp.transitions.reshape(mdp.horizon, pairs, mdp.states),
            mdp.rewards.reshape(mdp.horizon, pairs),
            mdp.initial,
            fail_state,
        )

    def replace(self, **changes: Any) -> LinearMDP:
        """Return a copy with some fields changed, checked anew."""
        fields = ("features", "measures", "reward_weights", "initial", "fail_state")
        return LinearMDP(**{name: changes.pop(name, getattr(self, name)) for name in fields})

    @property
    def _steps(self) -> FloatArray:
        """The measures, once if all steps share memory."""
        shared = self.measures.strides[0] == 0
        return self.measures[:1] if shared else self.measures

    def _check_kernel(self) -> None:
        check_finite(self._steps, "measures")
        if self.simplex:
            return
        rows = max(1, _BLOCK // (self.actions * self.states))
        for h in range(len(self._steps)):
            for start in range(0, self.states, rows):
                kernel = self.kernel(h, slice(start, start + rows))
                # A zero that is a sum of terms of both signs comes out as their rounding.
                kernel[(kernel < 0) & (kernel >= -ROW_SUM_TOLERANCE)] = 0.0
                check_distributions(kernel, f"features @ measures[{h}]")

    def _check_fail_state(self) -> None:
        fail = self.fail_state
        whole = isinstance(fail, int | np.integer) and not isinstance(fail, bool)
        if not whole or not 0 <= int(fail) < self.states:  # type: ignore[arg-type]
            raise ValueError(f"fail_state is {fail!r}; expected a state, 0 to {self.states - 1}")
        stays = np.einsum("ad,hd->ha", self.features[fail], self._steps[:, :, fail])
        if not np.allclose(stays, 1.0, rtol=0, atol=ROW_SUM_TOLERANCE):
            raise ValueError(f"fail_state {fail} is left with some action; expected it to absorb")
        if np.any(self.rewards[:, fail] != 0):
            raise ValueError(f"fail_state {fail} has a reward; expected none")


@dataclass(frozen=True, eq=False)
class RobustLinearMDP:
    """A linear MDP whose every factor may be any member of a ball around its measure.

    nominal: features and measures must be distributions (`nominal.simplex`): only then is the
    worst case the mixture of the factors' worst cases. uncertainty: a set of
    `rltheory.tabular.uncertainty`, its radius or penalty a scalar or an array that fits (H, d).

    Raises ValueError naming what does not fit. Source: Ma et al. (2022), Assumption 2; Blanchet et
    al. (2023), d-rectangularity.
    """

    nominal: LinearMDP
    uncertainty: UncertaintySet

    def __post_init__(self) -> None:
        if not isinstance(self.nominal, LinearMDP):
            raise TypeError(f"nominal is {self.nominal!r:.80}; expected a LinearMDP")
        if not isinstance(self.uncertainty, UncertaintySet):
            raise TypeError(
                f"uncertainty is {self.uncertainty!r:.80}; expected a set such as "
                "TotalVariation(0.1)"
            )
        for name in ("features", "measures"):
            wrong = _off_simplex(getattr(self.nominal, name))
            if wrong:
                raise ValueError(
                    f"nominal.{name} must be distributions, as factors are drawn by them: {wrong}"
                )
        most = {TotalVariation: 1.0, L1: 2.0}.get(type(self.uncertainty), np.inf)
        largest = float(self.budgets.max())
        if largest > most:
            raise ValueError(
                f"radius is {largest:g}; expected at most {most:g}, which reaches everything"
            )

    @cached_property
    def budgets(self) -> FloatArray:
        """(H, d): the radius or penalty of each factor."""
        shape = (self.nominal.horizon, self.nominal.dimension)
        return np.asarray(read_only(self.uncertainty.budgets(shape).reshape(shape)))


def _off_simplex(rows: FloatArray) -> str:
    """Say which row is no distribution; nothing if all are."""
    try:
        check_distributions(rows, "row")
    except ValueError as error:
        return str(error)
    return ""


def as_reference(reference: ArrayLike | None, shape: tuple[int, int, int]) -> FloatArray:
    """Return a reference policy as rows (H, S, A), the uniform one where none is given.

    Takes (H, S, A) or (S, A). Every action needs probability: the divergence from a reference
    without it is infinite, and it could never be learnt. Raises ValueError naming the entry.
    """
    if reference is None:
        return np.asarray(read_only(np.broadcast_to(1.0 / shape[-1], shape)))
    rows = as_float_array(reference, "reference")
    if rows.shape not in (shape, shape[1:]):
        raise ValueError(f"reference has shape {rows.shape}; expected {shape[1:]} or {shape}")
    check_distributions(rows, "reference")
    if rows.min() <= 0:
        where = ", ".join(map(str, np.unravel_index(int(rows.argmin()), rows.shape)))
        raise ValueError(
            f"reference[{where}] is 0; expected every action to have probability, as the "
            "Kullback-Leibler divergence from a reference without it is infinite"
        )
    return np.asarray(read_only(np.broadcast_to(rows, shape)))
