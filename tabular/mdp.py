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
    check_distributions,
    check_finite,
    check_magnitude,
    check_positive_integer,
    check_range,
    check_row_sums,
    check_shape,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.kernels import action_values, rounding_depth

if TYPE_CHECKING:
    from os import PathLike

Transitions = Any
"""A dense (S, A, S) float64 array, or a scipy.sparse CSR array of shape (S * A, S)."""

_MDP = TypeVar("_MDP", "DiscountedMDP", "EpisodicMDP")

# More than the rounding of a row's sum, so that certificates can tell the product from 1.
_LEAST_LOSS = 1e-12


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
            transitions, sums = _as_csr(self.transitions, states, actions, available)
        else:
            transitions = as_float_array(self.transitions, "transitions", (states, actions, states))
            rows = transitions.reshape(states * actions, states)
            sums = _check_kernel(transitions, _row_sums(rows, rewards.shape), available)
            transitions = read_only(transitions)
        discount = check_range(self.discount, "discount", 0.0, 1.0, include_high=False)
        heaviest = float(sums.max(where=available, initial=0.0))
        _check_values_exist(_largest(rewards, available), discount, heaviest)
        object.__setattr__(self, "transitions", transitions)
        object.__setattr__(self, "rewards", read_only(rewards))
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "initial", _as_initial(self.initial, states))
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

        See `rltheory.tabular.interop.from_gymnasium`.
        """
        from rltheory.tabular.interop import from_gymnasium

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
        rewards = _as_broadcast(self.rewards, "rewards")
        if rewards.ndim != 3:
            raise ValueError(
                f"rewards has shape {rewards.shape}; expected (horizon, states, actions)"
            )
        available = check_rewards(rewards)
        horizon, states, actions = rewards.shape
        transitions = _as_broadcast(self.transitions, "transitions")
        check_shape(transitions, "transitions", (horizon, states, actions, states))
        if transitions.strides[0] == 0 and rewards.strides[0] == 0:
            _check_kernel(transitions[0], transitions[0].sum(axis=-1), available[0])
        else:
            _check_kernel(transitions, transitions.sum(axis=-1), available)
        total = horizon * _largest(rewards, available)
        check_magnitude(total, "rewards added over the horizon give values")
        object.__setattr__(self, "transitions", read_only(transitions))
        object.__setattr__(self, "rewards", read_only(rewards))
        object.__setattr__(self, "initial", _as_initial(self.initial, states))

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


def check_rewards(rewards: FloatArray) -> NDArray[np.bool_]:
    """Check rewards (..., S, A) and return the mask of available actions.

    Raises ValueError for NaN or +inf, for no states or actions, and for a state without an action.
    """
    if 0 in rewards.shape:
        raise ValueError(f"rewards has shape {rewards.shape}; every axis must have length >= 1")
    available: NDArray[np.bool_] = np.isfinite(rewards)
    bad = np.argwhere(np.isnan(rewards) | np.isposinf(rewards))
    if len(bad):
        where = ", ".join(map(str, bad[0]))
        raise ValueError(
            f"rewards[{where}] is {rewards[tuple(bad[0])]}; "
            "expected a finite number, or -inf for an unavailable action"
        )
    empty = np.argwhere(~available.any(axis=-1))
    if len(empty):
        where = ", ".join(map(str, empty[0]))
        raise ValueError(
            f"rewards[{where}] is -inf for every action; each state needs an available action"
        )
    return available


def _load(path: str | PathLike[str], kind: type[_MDP]) -> _MDP:
    from rltheory.tabular.formats import load_npz

    mdp = load_npz(path)
    if not isinstance(mdp, kind):
        raise ValueError(f"{path} holds an {type(mdp).__name__}; expected a {kind.__name__}")
    return mdp


def _row_sums(rows: Any, shape: tuple[int, int]) -> FloatArray:
    """Return the sums (S, A) of rows (S * A, S), to the rounding that a Bellman sweep has."""
    return action_values(rows, np.zeros(shape), 1.0, np.ones(rows.shape[1]))


def _check_kernel(
    transitions: FloatArray, sums: FloatArray, available: NDArray[np.bool_]
) -> FloatArray:
    """Return the row sums of a dense kernel, once it is found to be one."""
    # They are NaN or infinite if any entry is.
    if not np.isfinite(sums).all():
        check_finite(transitions, "transitions")
    if transitions.min() < 0:
        where = np.unravel_index(int(transitions.argmin()), transitions.shape)
        index = ", ".join(str(int(i)) for i in where)
        raise ValueError(
            f"transitions[{index}] is {transitions[where]}; probabilities must be >= 0"
        )
    check_row_sums(sums, "transitions", available)
    return sums


def _check_values_exist(largest: float, discount: float, heaviest: float) -> None:
    """Raise ValueError unless rewards of that size have values, with room for their squares."""
    if discount * heaviest > 1.0 - _LEAST_LOSS:
        raise ValueError(
            f"discount is {discount!r} and the heaviest row of transitions sums to {heaviest!r}; "
            f"expected a product of at most 1 - {_LEAST_LOSS:g}"
        )
    check_magnitude(largest / (1.0 - discount), "rewards over 1 - discount give values")


def _largest(rewards: FloatArray, available: NDArray[np.bool_]) -> float:
    high = rewards.max(where=available, initial=0.0)
    return float(max(high, -rewards.min(where=available, initial=0.0)))


def _as_broadcast(argument: Any, name: str) -> FloatArray:
    """Return a float array, whose steps may share memory: no copy spells them out."""
    if isinstance(argument, np.ndarray) and argument.dtype == np.float64:
        return argument
    return as_float_array(argument, name)


def _as_csr(
    matrix: Any, states: int, actions: int, available: NDArray[np.bool_]
) -> tuple[Any, FloatArray]:
    """Return a kernel as CSR and its row sums (S, A), once it is found to be one."""
    check_shape(matrix, "transitions", (states * actions, states))
    csr = sparse.csr_array(matrix)
    try:
        # Compiled sweeps trust the indices.
        csr.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"transitions is not a valid CSR array: {error}") from None
    data = as_float_array(csr.data, "transitions.data")
    check_finite(data, "transitions.data")
    if len(data) and data.min() < 0:
        raise ValueError(f"transitions holds the entry {data.min()}; probabilities must be >= 0")
    view = sparse.csr_array((data, csr.indices, csr.indptr), shape=csr.shape)
    for part in ("data", "indices", "indptr"):
        setattr(view, part, read_only(getattr(view, part)))
    sums = _row_sums(view, (states, actions))
    check_row_sums(sums, "transitions", available)
    return view, sums


def _as_initial(initial: Any, states: int) -> FloatArray:
    if initial is None:
        return np.asarray(read_only(np.full(states, 1.0 / states)))
    array = as_float_array(initial, "initial", (states,))
    check_distributions(array, "initial")
    return np.asarray(read_only(array))
