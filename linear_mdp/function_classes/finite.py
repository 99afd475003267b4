"""Finite classes of action-value functions on a finite-horizon MDP, as one table.

A member is a sequence f_1, ..., f_H; what a theorem calls F_h are the distinct functions that
members have at step h. `complete_class` closes distractors under the optimality operator, so that
every image T_h f is there too. Source: Jin, Liu and Miryoosefi (2021), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    as_generator,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP, check_episodic

MOST_MEMBERS = 2**20
"""Products of layers with more members are refused."""


@dataclass(frozen=True, eq=False, repr=False)
class FiniteClass:
    """Functions of (step, state, action): table (n, H, S, A), all finite, in units of reward.

    Raises ValueError or TypeError naming what does not fit.
    """

    table: FloatArray

    def __post_init__(self) -> None:
        table = as_float_array(self.table, "table")
        if table.ndim != 4 or not table.size:
            raise ValueError(
                f"table has shape {table.shape}; expected (members, horizon, states, actions), "
                "none empty"
            )
        check_finite(table, "table")
        # Zeros of either sign are the same number and must be one function.
        object.__setattr__(self, "table", read_only(table + 0.0))

    def __len__(self) -> int:
        return int(self.table.shape[0])

    def __repr__(self) -> str:
        return f"FiniteClass(members={len(self)}, layers={self.sizes.tolist()})"

    @cached_property
    def _split(self) -> tuple[tuple[FloatArray, ...], IntArray]:
        layers, columns = [], []
        for h in range(self.horizon):
            flat = self.table[:, h].reshape(len(self), -1)
            found, which = np.unique(flat, axis=0, return_inverse=True)
            layers.append(read_only(found.reshape(-1, *self.table.shape[2:])))
            columns.append(which.reshape(-1))
        return tuple(layers), read_only(np.stack(columns, axis=1))

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return int(self.table.shape[1])

    @property
    def layers(self) -> tuple[FloatArray, ...]:
        """The distinct functions of each step, H arrays (n_h, S, A)."""
        return self._split[0]

    @property
    def index(self) -> IntArray:
        """Which functions of the layers a member is made of, (n, H)."""
        return self._split[1]

    @property
    def sizes(self) -> IntArray:
        """Numbers n_h of distinct functions, (H,)."""
        return np.array([len(layer) for layer in self.layers])

    @property
    def spans(self) -> FloatArray:
        """Largest less least number that functions of a step take, (H,), in units of reward."""
        return np.array([np.ptp(layer) for layer in self.layers])

    def greedy(self) -> NDArray[np.int64]:
        """Return the greedy actions (n, H, S) of all members, ties to the lowest action."""
        return np.asarray(self.table.argmax(axis=-1))

    def nearest(self, mdp: EpisodicMDP) -> tuple[int, float]:
        """Return the member nearest to Q* in the sup norm, and how far from it it is."""
        check_class(mdp, self)
        apart = np.abs(self.table - backward_induction(mdp).action_values).max(axis=(1, 2, 3))
        return int(apart.argmin()), float(apart.min())

    def product(self) -> FiniteClass:
        """Return the class of all sequences of functions of the layers.

        Raises ValueError if there are more than 2^20.
        """
        count = int(np.prod([float(n) for n in self.sizes]))
        if count > MOST_MEMBERS:
            raise ValueError(f"the product has {count} members; expected at most {MOST_MEMBERS}")
        members = product(*self.layers)
        return FiniteClass(np.array([np.stack(member) for member in members]))

    def without(self, member: int) -> FiniteClass:
        """Return the class without one member. Raises ValueError if there is none such."""
        if not 0 <= member < len(self) or len(self) == 1:
            raise ValueError(f"member is {member}; expected 0 to {len(self) - 1}, one of several")
        return FiniteClass(np.delete(self.table, member, axis=0))


def complete_class(
    mdp: EpisodicMDP, size: int, *, seed: int | np.random.Generator, spread: float = 1.0
) -> FiniteClass:
    """Return `size` members, Q* first, whose layers are closed under the optimality operator.

    Every other member is a distractor at one step, taken in turn from the last to the first: Q*
    after that step, Q* plus multiples of 1/16 of the steps left at it, clipped to what returns are
    possible, and images under the operator before it. So it has Bellman errors at one step only.
    spread: in (0, 1], times the steps left, is how far distractors may be from Q*; rounded up to
    sixteenths. Where kernels and rewards are multiples of a power of two (`dyadic_mdp`) the floats
    are exact and so is completeness; else it holds up to rounding, as `completeness` measures.
    Members may coincide, when clipping makes a distractor equal to Q*. Raises ValueError by name.
    """
    _check_available(mdp)
    count = check_positive_integer(size, "size")
    if check_range(spread, "spread", 0.0, 1.0) == 0.0:
        raise ValueError("spread is 0; expected a positive number, or all members are Q*")
    rng = as_generator(seed)
    best = backward_induction(mdp).action_values
    low = np.cumsum(mdp.rewards.min(axis=(1, 2))[::-1])[::-1]
    high = np.cumsum(mdp.rewards.max(axis=(1, 2))[::-1])[::-1]
    table = np.repeat(best[None], count, axis=0)
    reach = int(np.ceil(16 * spread))
    for k in range(1, count):
        h = mdp.horizon - 1 - (k - 1) % mdp.horizon
        noise = rng.integers(-reach, reach + 1, size=best.shape[1:]) / 16.0
        table[k, h] = np.clip(best[h] + (mdp.horizon - h) * noise, low[h], high[h])
        for j in reversed(range(h)):
            table[k, j] = mdp.rewards[j] + mdp.transitions[j] @ table[k, j + 1].max(axis=-1)
    return FiniteClass(table)


def dyadic_mdp(
    *, horizon: int, states: int, actions: int, seed: int | np.random.Generator, bits: int = 3
) -> EpisodicMDP:
    """Return a random MDP whose probabilities and rewards in [0, 1] are multiples of 2^-bits.

    Values of any function with few bits are then floats without rounding, as long as
    bits * horizon stays below 50. Raises ValueError naming what does not fit.
    """
    shape = tuple(
        check_positive_integer(number, name)
        for number, name in ((horizon, "horizon"), (states, "states"), (actions, "actions"))
    )
    if check_positive_integer(bits, "bits") * horizon > 50:
        raise ValueError(f"bits * horizon is {bits * horizon}; expected at most 50")
    rng = as_generator(seed)
    parts = 2**bits
    places = rng.integers(states, size=(*shape, parts))
    rows = (places[..., None] == np.arange(states)).sum(axis=-2) / parts
    rewards = rng.integers(parts + 1, size=shape) / parts
    start = np.bincount(rng.integers(states, size=parts), minlength=states) / parts
    return EpisodicMDP(rows, rewards, start)


def check_class(mdp: Any, functions: Any) -> None:
    """Raise TypeError or ValueError unless a class fits an MDP whose actions are all available."""
    if not isinstance(functions, FiniteClass):
        raise TypeError(f"functions is {functions!r:.80}; expected a FiniteClass")
    _check_available(mdp)
    if functions.table.shape[1:] != mdp.rewards.shape:
        raise ValueError(
            f"functions has (horizon, states, actions) {functions.table.shape[1:]}; the MDP has "
            f"{mdp.rewards.shape}"
        )


def _check_available(mdp: Any) -> None:
    check_episodic(mdp)
    if not np.all(mdp.available):
        raise ValueError("rewards has unavailable actions; a class needs all of them available")
