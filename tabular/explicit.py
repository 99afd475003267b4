"""Models listed choice by choice, as probabilistic model checkers store them.

A state has one or more choices; a choice has a name and a probability, or an interval of
probabilities, for each successor. States carry labels and any number of named rewards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    as_float_array,
    read_only,
)
from rltheory.analysis.files import Line
from rltheory.tabular.mdp import DiscountedMDP

Transition = tuple[int, int, int, int, float, float]
"""Line number, state, choice, successor, lower and upper probability."""


@dataclass(frozen=True, eq=False, repr=False)
class ExplicitModel:
    """An MDP, or interval MDP, with labels, several rewards and action names.

    lower, upper: (S * A, S) CSR with row s * A + a and the same sparsity pattern (a lower bound
        of zero is stored); the same object where the model has no intervals. A is the largest
        number of choices; rows of missing choices are empty.
    available: (S, A) mask of the choices that exist, the first ones of each state.
    rewards: by name, (S, A), zero at missing choices.
    labels: by name, (S,) mask of the states that carry the label.
    initial: (S,), uniform over the initial states.
    action_names: (S, A), empty where a choice has no name.

    Built by `read_prism`, `read_drn` and `from_mdp`, which check it.
    """

    lower: Any
    upper: Any
    available: NDArray[np.bool_]
    rewards: Mapping[str, FloatArray]
    labels: Mapping[str, NDArray[np.bool_]]
    initial: FloatArray
    action_names: NDArray[np.str_]

    @property
    def states(self) -> int:
        """Number of states S."""
        return int(self.available.shape[0])

    @property
    def actions(self) -> int:
        """Largest number of choices of a state, A."""
        return int(self.available.shape[1])

    @property
    def is_interval(self) -> bool:
        """Whether some probability is only known to lie in an interval."""
        return self.lower is not self.upper

    @cached_property
    def nominal(self) -> Any:
        """(S * A, S) CSR inside the bounds: lower plus the same share of each row's slack."""
        if not self.is_interval:
            return self.lower
        rows = np.repeat(np.arange(self.lower.shape[0]), np.diff(self.lower.indptr))
        low, high = self.lower.data, self.upper.data
        missing = 1.0 - np.bincount(rows, low, self.lower.shape[0])
        slack = np.bincount(rows, high - low, self.lower.shape[0])
        share = np.divide(missing, slack, out=np.zeros_like(slack), where=slack > 0)
        data = np.clip(low + share[rows] * (high - low), low, high)
        return _same_pattern(self.lower, data)

    def to_mdp(
        self, discount: float = 0.99, *, reward: str | ArrayLike | None = None
    ) -> DiscountedMDP:
        """Return the model as a sparse DiscountedMDP; of an interval model, its nominal one.

        reward: a name in `rewards`, or an (S, A) array; may be left out where there is one name.
        The bounds of an interval model stay in `lower` and `upper`, in the MDP's row order.
        Raises ValueError for an unknown name, or none where there is not exactly one.
        """
        values = self._reward(reward) if reward is None or isinstance(reward, str) else reward
        chosen = as_float_array(values, "reward", self.available.shape)
        return DiscountedMDP(
            self.nominal, np.where(self.available, chosen, -np.inf), discount, self.initial
        )

    def entries(self) -> Iterator[tuple[int, int, int, str]]:
        """Yield (state, choice, successor, probability or interval as text), in row order."""
        low, high, targets = self.lower.data, self.upper.data, self.lower.indices
        starts = self.lower.indptr
        for row in np.flatnonzero(np.diff(starts)):
            s, a = divmod(int(row), self.actions)
            for i in range(starts[row], starts[row + 1]):
                bounds = f"[{float(low[i])!r},{float(high[i])!r}]"
                yield s, a, int(targets[i]), bounds if self.is_interval else repr(float(low[i]))

    def _reward(self, name: str | None) -> FloatArray:
        names = list(self.rewards)
        if name is None and len(names) == 1:
            return self.rewards[names[0]]
        if name is None or name not in self.rewards:
            known = f"one of {names}" if names else "an (S, A) array, as the model has no rewards"
            raise ValueError(f"reward is {name!r}; expected {known}")
        return self.rewards[name]

    @staticmethod
    def from_mdp(mdp: DiscountedMDP, *, reward: str = "reward") -> ExplicitModel:
        """Return an MDP as an explicit model with one reward; its discount is not kept.

        Action a is named "a<a>", because the available ones move to the front of each state.
        """
        order = np.argsort(~mdp.available, axis=1, kind="stable")
        available = np.take_along_axis(mdp.available, order, axis=1)
        actions = int(available.sum(axis=1).max())
        order, available = order[:, :actions], available[:, :actions]
        rows = (np.arange(mdp.states)[:, None] * mdp.actions + order).ravel()
        keep = sparse.diags_array(available.ravel().astype(np.float64), format="csr")
        kernel = keep @ sparse.csr_array(mdp.rows)[rows]
        kernel.eliminate_zeros()
        kernel.sort_indices()
        values = np.take_along_axis(mdp.rewards, order, axis=1)
        names = np.char.add("a", order.astype(str))
        return ExplicitModel(
            kernel,
            kernel,
            read_only(available),
            {reward: read_only(np.where(available, values, 0.0))},
            {"init": read_only(mdp.initial > 0)},
            mdp.initial,
            read_only(np.where(available, names, "")),
        )

    def __repr__(self) -> str:
        kind = "interval " if self.is_interval else ""
        return (
            f"ExplicitModel({kind}states={self.states}, choices={int(self.available.sum())}, "
            f"rewards={list(self.rewards)}, labels={list(self.labels)})"
        )


def assemble_kernel(
    path: Path, transitions: Sequence[Transition], states: int, rescale_within: float
) -> tuple[Any, Any, NDArray[np.bool_]]:
    """Check the transitions of a file and return (lower, upper, available).

    The rows of a model without intervals that miss 1 by more than 1e-9 but at most
    `rescale_within` are divided by their sum. Raises ValueError naming the file, the line
    where the trouble starts and the expectation.
    """
    table = np.array(transitions, dtype=np.float64).reshape(-1, 6)
    line, state, choice, target = table[:, :4].astype(np.int64).T
    actions = int(choice.max(initial=0)) + 1
    row = state * actions + choice
    order = np.lexsort((target, row))
    line, row, target, low, high = (part[order] for part in (line, row, target, *table[:, 4:].T))

    twice = np.flatnonzero((np.diff(row) == 0) & (np.diff(target) == 0))
    if len(twice):
        again = int(twice[0]) + 1
        raise Line(path, int(line[again]), "").error(
            "each successor of a choice once", f"successor {int(target[again])} a second time"
        )
    counts = np.bincount(row, minlength=states * actions)
    available = counts.reshape(states, actions) > 0
    _check_choices(path, available)

    low_sum, high_sum = (np.bincount(row, part, len(counts)) for part in (low, high))
    is_point = np.bincount(row, low < high, len(counts)) == 0
    off = np.where(counts > 0, np.maximum(low_sum - 1.0, 1.0 - high_sum), 0.0)
    allowed = np.where(is_point, max(ROW_SUM_TOLERANCE, rescale_within), ROW_SUM_TOLERANCE)
    bad = np.flatnonzero(off > allowed)
    if len(bad):
        s, a = divmod(int(bad[0]), actions)
        sums = f"{low_sum[bad[0]]:.10g}"
        raise Line(path, int(line[np.searchsorted(row, bad[0])]), "").error(
            f"the probabilities of choice {a} of state {s}, which starts here, to sum to 1",
            f"{sums} (were digits rounded? see rescale_within)"
            if is_point[bad[0]]
            else f"bounds that sum to {sums} and {high_sum[bad[0]]:.10g}",
        )
    divisor = np.where(off > ROW_SUM_TOLERANCE, low_sum, 1.0)[row]
    indptr = np.concatenate([[0], np.cumsum(counts)])
    lower = sparse.csr_array((low / divisor, target, indptr), shape=(len(counts), states))
    upper = lower if is_point.all() else _same_pattern(lower, high / divisor)
    return lower, upper, read_only(available)


def initial_states(line: Line, labels: Mapping[str, NDArray[np.bool_]]) -> FloatArray:
    """Return the uniform distribution over the states labelled "init"; ValueError if none is."""
    mask = labels["init"]
    if not mask.any():
        raise line.error('a state labelled "init"', "none in the whole file")
    return read_only(mask / mask.sum())


def check_initial_label(model: ExplicitModel) -> None:
    """Raise ValueError unless the label "init" says all about the initial distribution."""
    init = model.labels["init"]
    if not np.allclose(model.initial, init / init.sum(), rtol=0, atol=1e-12):
        raise ValueError(
            'initial is not uniform over the states labelled "init", all that the format can hold'
        )


def name_array(names: Mapping[tuple[int, int], str], shape: tuple[int, int]) -> NDArray[np.str_]:
    """Return the names of choices (state, choice) as an array (S, A), empty where unnamed."""
    longest = max((len(name) for name in names.values()), default=1)
    array = np.zeros(shape, dtype=f"<U{max(longest, 1)}")
    for place, name in names.items():
        array[place] = name
    return read_only(array)


def _check_choices(path: Path, available: NDArray[np.bool_]) -> None:
    empty = np.flatnonzero(~available.any(axis=1))
    if len(empty):
        raise ValueError(
            f"{path}: state {int(empty[0])} has no choice; expected at least one "
            "(a deadlock state needs a choice that returns to itself)"
        )
    gaps = np.argwhere(available[:, 1:] & ~available[:, :-1])
    if len(gaps):
        s, a = (int(i) for i in gaps[0])
        raise ValueError(
            f"{path}: state {s} has a choice {a + 1} but no choice {a}; "
            "expected choices numbered from 0 without gaps"
        )


def _same_pattern(matrix: Any, data: FloatArray) -> Any:
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)
