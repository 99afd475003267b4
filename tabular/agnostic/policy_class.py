"""Finite classes of deterministic policies on layered states: the tables, and the named classes.

State s at step h stands for the s-th state of layer h. A class is one table of actions, a policy
a row of it. Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023), sections 2 and 3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import as_generator, check_positive_integer, read_only

MOST_ENTRIES = 2**27
"""Tables of more entries are refused (one byte each, 128 MiB)."""


@dataclass(frozen=True, eq=False, repr=False)
class PolicyClass:
    """Deterministic policies over H layers of up to S states, with A actions.

    table: (P, H, S) integers, the action of each policy at each state; kept as int8 or int16.
    actions: A. layer_sizes: (H,) states of each layer, S by default; what the table says of states
    beyond is not read. Policies that agree on all states of their layers count once only if the
    class was made by `distinct`. Raises ValueError naming what does not fit.
    """

    table: NDArray[Any]
    actions: int
    layer_sizes: Any = None

    def __post_init__(self) -> None:
        check_positive_integer(self.actions, "actions")
        table = np.asarray(self.table)
        if table.ndim != 3 or not table.size:
            raise ValueError(
                f"table has shape {table.shape}; expected (policies, horizon, states), none empty"
            )
        if table.dtype.kind not in "iu":
            raise TypeError(f"table holds {table.dtype}; expected integers, the actions")
        if table.min() < 0 or table.max() >= self.actions:
            raise ValueError(f"table has entries outside 0 to {self.actions - 1}")
        horizon, states = table.shape[1:]
        sizes = np.full(horizon, states) if self.layer_sizes is None else self.layer_sizes
        sizes = np.asarray(sizes)
        fits = sizes.shape == (horizon,) and sizes.dtype.kind in "iu"
        if not fits or sizes.min() < 1 or sizes.max() > states:
            raise ValueError(f"layer_sizes is {sizes!r}; expected {horizon} integers 1 to {states}")
        kind = np.int8 if self.actions <= 128 else np.int16
        object.__setattr__(self, "table", read_only(np.ascontiguousarray(table, dtype=kind)))
        object.__setattr__(self, "layer_sizes", read_only(sizes.astype(np.int64)))

    def __repr__(self) -> str:
        sizes = np.asarray(self.layer_sizes)
        layers = self.states if (sizes == self.states).all() else sizes.tolist()
        return (
            f"PolicyClass({len(self)} policies, horizon={self.horizon}, states={layers}, "
            f"actions={self.actions})"
        )

    def __len__(self) -> int:
        return int(self.table.shape[0])

    @property
    def horizon(self) -> int:
        """Number of layers H."""
        return int(self.table.shape[1])

    @property
    def states(self) -> int:
        """Number of states S of the largest layer."""
        return int(self.table.shape[2])

    def distinct(self) -> "PolicyClass":
        """Return the class without policies that agree with an earlier one on all layers."""
        _, first = np.unique(self._read().reshape(len(self), -1), axis=0, return_index=True)
        return PolicyClass(self.table[np.sort(first)], self.actions, self.layer_sizes)

    @staticmethod
    def constant(*, horizon: int, states: int, actions: int = 2) -> "PolicyClass":
        """Return the A policies that take one action everywhere."""
        horizon, states = _shape(horizon, states)
        _check_size(check_positive_integer(actions, "actions"), horizon * states)
        table = np.arange(int(actions))[:, None, None]
        return PolicyClass(np.broadcast_to(table, (len(table), horizon, states)), actions)

    @staticmethod
    def singletons(*, horizon: int, states: int) -> "PolicyClass":
        """Return the H * n policies that take action 1 at one state only, 0 elsewhere."""
        return PolicyClass.l_tons(1, horizon=horizon, states=states, exactly=True)

    @staticmethod
    def l_tons(ones: int, *, horizon: int, states: int, exactly: bool = False) -> "PolicyClass":
        """Return the policies that take action 1 at up to `ones` states, 0 elsewhere.

        exactly: at `ones` states, no fewer.
        """
        horizon, states = _shape(horizon, states)
        ones, cells = check_positive_integer(ones, "ones"), horizon * states
        if exactly and ones > cells:
            raise ValueError(f"ones is {ones}; expected at most {cells}, the number of states")
        counts = [ones] if exactly else range(min(ones, cells) + 1)
        _check_size(sum(comb(cells, k) for k in counts), cells)
        chosen = [c for k in counts for c in combinations(range(cells), k)]
        table = np.zeros((len(chosen), cells), dtype=np.int8)
        for row, members in zip(table, chosen, strict=True):
            row[list(members)] = 1
        return PolicyClass(table.reshape(-1, horizon, states), 2)

    @staticmethod
    def one_active(*, horizon: int, states: int, state: int = 0) -> "PolicyClass":
        """Return the 2^H policies that take any actions at one state of each layer, 0 elsewhere."""
        horizon, states = _shape(horizon, states)
        state = _whole(state, "state", states - 1)
        _check_size(2**horizon, horizon * states)
        table = np.zeros((2**horizon, horizon, states), dtype=np.int8)
        table[:, :, state] = list(product((0, 1), repeat=horizon))
        return PolicyClass(table, 2)

    @staticmethod
    def all_active(*, horizon: int, states: int) -> "PolicyClass":
        """Return the union over j of the policies that are active at the j-th states of layers."""
        horizon, states = _shape(horizon, states)
        _check_size(states * 2**horizon, horizon * states)
        parts = [
            PolicyClass.one_active(horizon=horizon, states=states, state=j).table
            for j in range(states)
        ]
        return PolicyClass(np.concatenate(parts), 2).distinct()

    @staticmethod
    def open_loop(*, horizon: int, states: int, actions: int = 2) -> "PolicyClass":
        """Return the A^H policies that do not look at the state."""
        horizon, states = _shape(horizon, states)
        actions = check_positive_integer(actions, "actions")
        _check_size(actions**horizon, horizon * states)
        plans = np.array(list(product(range(actions), repeat=horizon)), dtype=np.int16)
        table = np.broadcast_to(plans[:, :, None], (*plans.shape, states))
        return PolicyClass(table, actions)

    @staticmethod
    def tabular(*, horizon: int, states: int, actions: int = 2) -> "PolicyClass":
        """Return all A^(H n) deterministic policies."""
        horizon, states = _shape(horizon, states)
        actions, cells = check_positive_integer(actions, "actions"), horizon * states
        _check_size(actions**cells, cells)
        table = np.array(list(product(range(actions), repeat=cells)), dtype=np.int16)
        return PolicyClass(table.reshape(-1, horizon, states), actions)

    @staticmethod
    def random(
        policies: int,
        *,
        horizon: int,
        states: int,
        actions: int = 2,
        seed: int | np.random.Generator,
    ) -> "PolicyClass":
        """Return policies whose actions are drawn uniformly, each by itself."""
        horizon, states = _shape(horizon, states)
        policies = check_positive_integer(policies, "policies")
        actions = check_positive_integer(actions, "actions")
        _check_size(policies, horizon * states)
        draw = as_generator(seed).integers(actions, size=(policies, horizon, states))
        return PolicyClass(draw, actions)

    @staticmethod
    def trees(depth: int, *, horizon: int, bits: int, actions: int = 2) -> "PolicyClass":
        """Return decision trees: states are words of `bits` bits, the same tree in every layer.

        A tree of `depth` d asks d bits in a fixed order and has an action for each answer.
        """
        bits = check_positive_integer(bits, "bits")
        horizon, states = _shape(horizon, 2**bits)
        actions, depth = check_positive_integer(actions, "actions"), _whole(depth, "depth", bits)
        leaves = 2**depth
        _check_size(comb(bits, depth) * actions**leaves, horizon * states)
        words = np.arange(states)
        rows = []
        for asked in combinations(range(bits), depth):
            leaf = sum(((words >> b) & 1) << i for i, b in enumerate(asked)) + 0 * words
            rows += [np.array(labels)[leaf] for labels in product(range(actions), repeat=leaves)]
        stationary = np.array(rows)
        table = np.broadcast_to(stationary[:, None], (len(rows), horizon, states))
        return PolicyClass(table, actions).distinct()

    def union(self, other: "PolicyClass") -> "PolicyClass":
        """Return the policies of both classes, each once."""
        self._check_alike(other)
        return PolicyClass(
            np.concatenate([self.table, other.table]), self.actions, self.layer_sizes
        ).distinct()

    def layer_product(self) -> "PolicyClass":
        """Return the closure under products: any policy's actions at each layer, by itself.

        Source: Bagnell, Kakade, Ng and Schneider (2003), of the policies that PSDP searches.
        """
        layers = [np.unique(layer, axis=0) for layer in self._read().swapaxes(0, 1)]
        count = prod(len(layer) for layer in layers)
        _check_size(count, self.horizon * self.states)
        grid = np.indices([len(layer) for layer in layers]).reshape(self.horizon, -1)
        table = np.stack([layer[i] for layer, i in zip(layers, grid, strict=True)], axis=1)
        return PolicyClass(table, self.actions, self.layer_sizes)

    def combined(
        self, other: "PolicyClass", rule: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    ) -> "PolicyClass":
        """Return the policies rule(pi, pi') of all pairs.

        rule: of actions (P, 1, H, S) and (1, P', H, S) to actions (P, P', H, S), as NumPy's
        functions of two arrays are. Raises ValueError if it returns another shape.
        """
        self._check_alike(other)
        _check_size(len(self) * len(other), self.horizon * self.states)
        table = np.asarray(rule(self.table[:, None], other.table[None]))
        shape = (len(self), len(other), self.horizon, self.states)
        if table.shape != shape:
            raise ValueError(f"rule returned shape {table.shape}; expected {shape}")
        flat = table.reshape(-1, self.horizon, self.states)
        return PolicyClass(flat, self.actions, self.layer_sizes).distinct()

    def _read(self) -> NDArray[Any]:
        """The table with zeros where no layer has a state."""
        inside = np.arange(self.states) < np.asarray(self.layer_sizes)[:, None]
        return np.asarray(np.where(inside, self.table, np.zeros_like(self.table[:1])))

    def _check_alike(self, other: "PolicyClass") -> None:
        check_policy_class(other, "other")
        mine, theirs = (
            (c.horizon, np.asarray(c.layer_sizes).tolist(), c.states, c.actions)
            for c in (self, other)
        )
        if mine != theirs:
            raise ValueError(
                f"other has (horizon, layer_sizes, states, actions) {theirs}; expected {mine}"
            )


def check_policy_class(argument: object, name: str = "policies") -> None:
    """Raise TypeError unless an argument is a PolicyClass."""
    if not isinstance(argument, PolicyClass):
        raise TypeError(f"{name} is of type {type(argument).__name__}; expected a PolicyClass")


def as_policy_class(argument: PolicyClass | ArrayLike, actions: int) -> PolicyClass:
    """Return a class, or the one of a table (P, H, S) of integers."""
    if isinstance(argument, PolicyClass):
        return argument
    return PolicyClass(np.asarray(argument), actions)


def _shape(horizon: int, states: int) -> tuple[int, int]:
    horizon = check_positive_integer(horizon, "horizon")
    states = check_positive_integer(states, "states")
    # Before counts of policies are powers of these.
    _check_size(1, horizon * states)
    return horizon, states


def _whole(number: int, name: str, most: int) -> int:
    if isinstance(number, bool) or number not in range(most + 1):
        raise ValueError(f"{name} is {number!r}; expected an integer from 0 to {most}")
    return int(number)


def _check_size(policies: int, cells: int) -> None:
    if policies * cells > MOST_ENTRIES:
        # Python does not print integers of thousands of digits.
        count = policies if policies < 2**60 else f"over 2^{policies.bit_length() - 1}"
        raise ValueError(
            f"the class has {count} policies on {cells} states; its table is limited to "
            f"{MOST_ENTRIES} entries"
        )
