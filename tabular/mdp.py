"""Finite Markov decision processes as immutable arrays: discounted and finite-horizon.

Arrays are validated once, at construction, and never copied: the fields are read-only views of
what the caller passed. Axes are always in the order (time, state, action, next state).
A reward of -inf marks an action that is not available in its state (QuantEcon's convention).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    check_magnitude,
    check_positive_integer,
    check_range,
    check_shape,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.kernels import rounding_depth
from rltheory.tabular.model_checks import (
    as_broadcast,
    as_csr,
    as_initial,
    check_kernel,
    check_rewards,
    check_values_exist,
    largest_reward,
    row_sums,
)

if TYPE_CHECKING:
    from os import PathLike

Transitions = Any
"""A dense (S, A, S) float64 array, or a scipy.sparse CSR array of shape (S * A, S)."""

_MDP = TypeVar("_MDP", "DiscountedMDP", "EpisodicMDP")


@dataclass(frozen=True, eq=False, repr=False)
class DiscountedMDP:
    """A finite discounted MDP.

    transitions: (S, A, S) dense, or CSR of shape (S * A, S) with row s * A + a;
        rows of available actions sum to 1 within 1e-9.
    rewards: (S, A), finite; -inf marks an unavailable action; every state has an available one.
    discount: in [0, 1); its product with the heaviest row's sum at most 1 - 1e-12.
    initial: (S,) distribution over states; uniform where not given.

    Raises ValueError or TypeError naming the argument, the expectation and what came.
    """

    transitions: Transitions
    rewards: FloatArray
    discount: float
    initial: FloatArray = field(default=None)  # type: ignore[arg-type]
    _sums: FloatArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        rewards = as_float_array(self.rewards, "rewards")
        if rewards.ndim != 2:
            raise ValueError(f"rewards has shape {rewards.shape}; expected (states, actions)")
        available = check_rewards(rewards)
        states, actions = rewards.shape
        if sparse.issparse(self.transitions):
            transitions, sums = as_csr(self.transitions, states, actions, available)
        else:
            transitions = as_float_array(self.transitions, "transitions", (states, actions, states))
            rows = transitions.reshape(states * actions, states)
            sums = row_sums(rows, rewards.shape)
            check_kernel(transitions, sums, available)
            transitions = read_only(transitions)
        discount = check_range(self.discount, "discount", 0.0, 1.0, include_high=False)
        heaviest = float(sums.max(where=available, initial=0.0))
        check_values_exist(largest_reward(rewards, available), discount, heaviest)
        object.__setattr__(self, "transitions", transitions)
        object.__setattr__(self, "rewards", read_only(rewards))
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "initial", as_initial(self.initial, states))
        object.__setattr__(self, "_sums", sums)

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.rewards.shape[0])

    @property
    def actions(self) -> int:
        """Number of actions A, available somewhere or not."""
        return int(self.rewards.shape[1])

    @property
    def is_sparse(self) -> bool:
        """Whether the transitions are stored as CSR."""
        return bool(sparse.issparse(self.transitions))

    @property
    def available(self) -> NDArray[np.bool_]:
        """(S, A) mask of the actions that may be taken."""
        return np.isfinite(self.rewards)

    @property
    def rows(self) -> Any:
        """Transitions as a (S * A, S) matrix, dense or CSR; shares memory."""
        if self.is_sparse:
            return self.transitions
        return self.transitions.reshape(self.states * self.actions, self.states)

    @cached_property
    def row_mass(self) -> Bounds:
        """Enclosure of the sums of all available rows as stored, exactly 1 only in theory."""
        error = rounding_error(rounding_depth(self.rows), 1.0 + ROW_SUM_TOLERANCE)
        inside = self._sums[self.available]
        return Bounds(down(inside.min() - error), up(inside.max() + error))

    def replace(self, **changes: Any) -> DiscountedMDP:
        """Return a copy with the named fields changed, validated anew."""
        fields = {
            "transitions": self.transitions,
            "rewards": self.rewards,
            "discount": self.discount,
            "initial": self.initial,
        }
        unknown = set(changes) - set(fields)
        if unknown:
            raise TypeError(f"unknown field {sorted(unknown)[0]!r}; expected one of {list(fields)}")
        return DiscountedMDP(**(fields | changes))

    def to_dense(self) -> DiscountedMDP:
        """Return the same MDP with dense transitions; itself if they are dense already."""
        if not self.is_sparse:
            return self
        dense = self.transitions.toarray().reshape(self.states, self.actions, self.states)
        return self.replace(transitions=dense)

    def to_sparse(self) -> DiscountedMDP:
        """Return the same MDP with CSR transitions; itself if they are sparse already."""
        return self if self.is_sparse else self.replace(transitions=sparse.csr_array(self.rows))

    def save(self, path: str | PathLike[str]) -> None:
        """Write the MDP to a `.npz` file that `DiscountedMDP.load` reads back bit for bit."""
        from rltheory.tabular.formats import save_npz

        save_npz(path, self)

    @staticmethod
    def load(path: str | PathLike[str]) -> DiscountedMDP:
        """Read an MDP written by `save`. Raises ValueError if the file is not one."""
        return _load(path, DiscountedMDP)

    @staticmethod
    def from_gymnasium(env: Any, *, discount: float = 0.99) -> DiscountedMDP:
        """Build the exact MDP of a Gymnasium toy-text environment (one that offers `env.P`).

        See `rltheory.tabular.gymnasium_tables.from_gymnasium`.
        """
        from rltheory.tabular.gymnasium_tables import from_gymnasium

        return from_gymnasium(env, discount=discount)

    @staticmethod
    def from_quantecon(problem: Any) -> DiscountedMDP:
        """Build from a QuantEcon `DiscreteDP`, in product or state-action-pair form.

        See `rltheory.tabular.interop.from_quantecon`.
        """
        from rltheory.tabular.interop import from_quantecon

        return from_quantecon(problem)

    @staticmethod
    def from_pymdptoolbox(transitions: Any, rewards: Any, discount: float = 0.99) -> DiscountedMDP:
        """Build from pymdptoolbox's P (A, S, S), and R (S,), (S, A) or (A, S, S).

        See `rltheory.tabular.interop.from_pymdptoolbox`.
        """
        from rltheory.tabular.interop import from_pymdptoolbox

        return from_pymdptoolbox(transitions, rewards, discount)

    def __repr__(self) -> str:
        kind = "sparse" if self.is_sparse else "dense"
        return (
            f"DiscountedMDP(states={self.states}, actions={self.actions}, "
            f"discount={self.discount:g}, {kind})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class EpisodicMDP:
    """A finite-horizon MDP with time-dependent kernels; H steps, undiscounted.

    transitions: (H, S, A, S); rewards: (H, S, A), -inf marks an unavailable action;
    initial: (S,) distribution over first states; uniform where not given.
    Use `EpisodicMDP.stationary` for one kernel at every step (no memory is spent on the repeat).

    Raises ValueError or TypeError naming the argument, the expectation and what came.
    """

    transitions: FloatArray
    rewards: FloatArray
    initial: FloatArray = field(default=None)  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        rewards = as_broadcast(self.rewards, "rewards")
        if rewards.ndim != 3:
            raise ValueError(
                f"rewards has shape {rewards.shape}; expected (horizon, states, actions)"
            )
        available = check_rewards(rewards)
        horizon, states, actions = rewards.shape
        transitions = as_broadcast(self.transitions, "transitions")
        check_shape(transitions, "transitions", (horizon, states, actions, states))
        if transitions.strides[0] == 0 and rewards.strides[0] == 0:
            check_kernel(transitions[0], transitions[0].sum(axis=-1), available[0])
        else:
            check_kernel(transitions, transitions.sum(axis=-1), available)
        total = horizon * largest_reward(rewards, available)
        check_magnitude(total, "rewards added over the horizon give values")
        object.__setattr__(self, "transitions", read_only(transitions))
        object.__setattr__(self, "rewards", read_only(rewards))
        object.__setattr__(self, "initial", as_initial(self.initial, states))

    @staticmethod
    def stationary(
        transitions: ArrayLike, rewards: ArrayLike, horizon: int, initial: Any = None
    ) -> EpisodicMDP:
        """Repeat one kernel (S, A, S) and one reward (S, A) over `horizon` steps."""
        steps = check_positive_integer(horizon, "horizon")
        kernel = as_float_array(transitions, "transitions", (None, None, None))
        reward = as_float_array(rewards, "rewards", kernel.shape[:2])
        return EpisodicMDP(
            np.broadcast_to(kernel, (steps, *kernel.shape)),
            np.broadcast_to(reward, (steps, *reward.shape)),
            initial,
        )

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return int(self.rewards.shape[0])

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.rewards.shape[1])

    @property
    def actions(self) -> int:
        """Number of actions A."""
        return int(self.rewards.shape[2])

    @property
    def available(self) -> NDArray[np.bool_]:
        """(H, S, A) mask of the actions that may be taken."""
        return np.isfinite(self.rewards)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the MDP to a `.npz` file that `EpisodicMDP.load` reads back bit for bit."""
        from rltheory.tabular.formats import save_npz

        save_npz(path, self)

    @staticmethod
    def load(path: str | PathLike[str]) -> EpisodicMDP:
        """Read an MDP written by `save`. Raises ValueError if the file is not one."""
        return _load(path, EpisodicMDP)

    def __repr__(self) -> str:
        return f"EpisodicMDP(horizon={self.horizon}, states={self.states}, actions={self.actions})"


def check_discounted(mdp: Any) -> None:
    """Raise TypeError unless the argument `mdp` is a DiscountedMDP."""
    if not isinstance(mdp, DiscountedMDP):
        raise TypeError(f"mdp is {mdp!r:.80}; expected a DiscountedMDP")


def check_episodic(mdp: Any) -> None:
    """Raise TypeError unless the argument `mdp` is an EpisodicMDP."""
    if not isinstance(mdp, EpisodicMDP):
        raise TypeError(f"mdp is {mdp!r:.80}; expected an EpisodicMDP")


def check_solve(mdp: Any, tolerance: float, max_iterations: int) -> None:
    """Check what every iterative solver takes. Raises TypeError or ValueError by name."""
    check_discounted(mdp)
    check_range(tolerance, "tolerance", 0.0, np.inf)
    check_positive_integer(max_iterations, "max_iterations")


def _load(path: str | PathLike[str], kind: type[_MDP]) -> _MDP:
    from rltheory.tabular.formats import load_npz

    mdp = load_npz(path)
    if not isinstance(mdp, kind):
        raise ValueError(f"{path} holds an {type(mdp).__name__}; expected a {kind.__name__}")
    return mdp
