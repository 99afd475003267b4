r"""Softmax policies: logits of every decision as a function of the parameters, and their Jacobian.

A policy has R decisions (rows) with V actions each, and pi(a | r) = exp(logits[r, a]) / sum. All
that a gradient estimator needs of a parametrisation are the logits (R, V) and their derivatives
phi (R, V, k): the score of one choice is phi[r, a] - sum_b pi(b | r) phi[r, b]. Functions take
arrays of NumPy or JAX, with any leading axes, and answer in kind.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    as_generator,
    check_finite,
    check_positive_integer,
    read_only,
)
from rltheory.analysis.backends import namespace
from rltheory.analysis.rational import to_fractions

DENSE_ENTRIES = 2**25
"""Score tables of more entries are kept sparse where the parametrisation allows (256 MiB)."""


class Parametrisation(ABC):
    """A softmax policy over `rows` decisions with `actions` actions each, of `size` parameters."""

    rows: int
    actions: int
    size: int

    @abstractmethod
    def logits(self, parameters: Any) -> Any:
        """Return the logits (..., rows, actions) of parameters (..., size)."""

    @abstractmethod
    def features(self, parameters: Any) -> Any:
        """Return the derivatives of the logits, (rows, actions, size) or with leading axes."""

    def path_scores(
        self,
        parameters: FloatArray,
        policy: NDArray[Any],
        rows: IntArray,
        actions: IntArray,
        coefficients: NDArray[Any],
    ) -> Any:
        """Return sum over t of coefficients[i, t] times the score of choice t of path i, (n, size).

        policy: (rows, actions) probabilities, floats or Fractions; rows, actions: (n, T), -1 where
        a path has ended. Sparse (CSR) where a tabular table would be large and mostly zero.
        """
        phi = self.features(parameters)
        if policy.dtype == object:
            phi = to_fractions(phi)
        scores = phi - (policy[:, :, None] * phi).sum(axis=1, keepdims=True)
        total = np.zeros((len(rows), self.size), dtype=policy.dtype)
        for t in range(rows.shape[1]):
            there = np.flatnonzero(rows[:, t] >= 0)
            chosen = scores[rows[there, t], actions[there, t]]
            total[there] += coefficients[there, t, None] * chosen
        return total


@dataclass(frozen=True)
class Tabular(Parametrisation):
    """One parameter for each action of each row: the logits themselves, in row order."""

    rows: int
    actions: int
    size: int = field(init=False)

    def __post_init__(self) -> None:
        check_positive_integer(self.rows, "rows")
        check_positive_integer(self.actions, "actions")
        object.__setattr__(self, "size", self.rows * self.actions)

    def logits(self, parameters: Any) -> Any:
        """Return the logits (..., rows, actions) of parameters (..., size)."""
        return parameters.reshape(*parameters.shape[:-1], self.rows, self.actions)

    def features(self, parameters: Any) -> Any:
        """Return the derivatives of the logits, (rows, actions, size) or with leading axes."""
        return np.eye(self.size).reshape(self.rows, self.actions, self.size)

    def path_scores(
        self,
        parameters: FloatArray,
        policy: NDArray[Any],
        rows: IntArray,
        actions: IntArray,
        coefficients: NDArray[Any],
    ) -> Any:
        """Return the weighted sums of scores, (n, size), as the base class does."""
        # A choice touches the logits of its own row only.
        n = len(rows)
        path, time = np.nonzero(rows >= 0)
        row, action = rows[path, time], actions[path, time]
        values = -policy[row] * coefficients[path, time, None]
        values[np.arange(len(row)), action] += coefficients[path, time]
        columns = row[:, None] * self.actions + np.arange(self.actions)
        lines = np.broadcast_to(path[:, None], columns.shape)
        if n * self.size <= DENSE_ENTRIES or policy.dtype == object:
            table = np.zeros((n, self.size), dtype=policy.dtype)
            # A path may come back to a row, so entries add up.
            np.add.at(table, (lines, columns), values)
            return table
        entries = (values.ravel(), (lines.ravel(), columns.ravel()))
        return sparse.coo_array(entries, shape=(n, self.size)).tocsr()


@dataclass(frozen=True, eq=False)
class Linear(Parametrisation):
    """Logits linear in shared features: logits = weights @ parameters, weights (rows, actions, k).

    Raises ValueError unless the array has three axes and finite entries.
    """

    weights: FloatArray
    rows: int = field(init=False)
    actions: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        weights = as_float_array(self.weights, "weights of logits", (None, None, None))
        if not weights.size:
            raise ValueError(f"weights of logits has shape {weights.shape}; expected no empty axis")
        check_finite(weights, "weights of logits")
        object.__setattr__(self, "weights", read_only(weights))
        for name, number in zip(("rows", "actions", "size"), weights.shape, strict=True):
            object.__setattr__(self, name, number)

    def logits(self, parameters: Any) -> Any:
        """Return the logits (..., rows, actions) of parameters (..., size)."""
        flat = parameters @ self.weights.reshape(-1, self.size).T
        return flat.reshape(*parameters.shape[:-1], self.rows, self.actions)

    def features(self, parameters: Any) -> Any:
        """Return the derivatives of the logits, (rows, actions, size) or with leading axes."""
        return self.weights


@dataclass(frozen=True, eq=False)
class Network(Parametrisation):
    """One hidden layer of tanh units, read at `inputs` (rows, i), with `actions` outputs.

    Parameters are the input weights (i, hidden), their biases, the output weights
    (hidden, actions) and their biases, in this order. Raises ValueError naming the argument if
    the inputs have another shape or are not finite, or a size is no positive integer.
    """

    inputs: FloatArray
    actions: int
    hidden: int = 8
    rows: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        inputs = as_float_array(self.inputs, "inputs", (None, None))
        if not inputs.size:
            raise ValueError(f"inputs has shape {inputs.shape}; expected no empty axis")
        check_finite(inputs, "inputs")
        check_positive_integer(self.actions, "actions")
        check_positive_integer(self.hidden, "hidden")
        rows, width = inputs.shape
        size = (width + 1) * self.hidden + (self.hidden + 1) * self.actions
        for name, value in (("inputs", read_only(inputs)), ("rows", rows), ("size", size)):
            object.__setattr__(self, name, value)

    def logits(self, parameters: Any) -> Any:
        """Return the logits (..., rows, actions) of parameters (..., size)."""
        units, second, bias = self._layers(parameters)
        return units @ second + bias

    def features(self, parameters: Any) -> Any:
        """Return the derivatives of the logits, (rows, actions, size) or with leading axes."""
        xp = namespace(parameters)
        units, second, _ = self._layers(parameters)
        lead, one = units.shape[:-2], np.eye(self.actions)
        # By the chain rule; axes are rows, actions, and then those of the layer's parameters.
        slopes = xp.swapaxes(second, -1, -2)[..., None, :, :] * (1.0 - units**2)[..., :, None, :]
        weights = self.inputs[:, None, :, None] * slopes[..., None, :]
        outer = units[..., :, None, :, None] * one[:, None, :]
        flat = (*lead, self.rows, self.actions, -1)
        biases = xp.broadcast_to(one, (*lead, self.rows, self.actions, self.actions))
        parts = [weights.reshape(flat), slopes, outer.reshape(flat), biases]
        return xp.concatenate(parts, axis=-1)

    def _layers(self, parameters: Any) -> tuple[Any, Any, Any]:
        """Return the units (..., rows, hidden), the output weights and the output biases."""
        lead, width = parameters.shape[:-1], self.inputs.shape[1]
        ends = np.cumsum([width * self.hidden, self.hidden, self.hidden * self.actions])
        first = parameters[..., : ends[0]].reshape(*lead, width, self.hidden)
        second = parameters[..., ends[1] : ends[2]].reshape(*lead, self.hidden, self.actions)
        fed = self.inputs @ first + parameters[..., None, ends[0] : ends[1]]
        return namespace(parameters).tanh(fed), second, parameters[..., None, ends[2] :]

    def start(self, seed: int | np.random.Generator, scale: float = 1.0) -> FloatArray:
        """Return parameters (size,) drawn from a normal law of standard deviation `scale`."""
        return np.asarray(scale * as_generator(seed).standard_normal(self.size))


def parametrisation_of(argument: Any, rows: int, actions: int) -> Parametrisation:
    """Return "tabular", an array of features (rows, actions, k) or a Parametrisation as the latter.

    Raises ValueError if it does not have the rows and actions of the model, or is an unknown name.
    """
    if isinstance(argument, str):
        if argument != "tabular":
            raise ValueError(
                f"parametrisation is {argument!r}; expected 'tabular', an array of features, "
                "or a Parametrisation"
            )
        return Tabular(rows, actions)
    if isinstance(argument, Parametrisation):
        found = argument
    else:
        found = Linear(as_float_array(argument, "parametrisation", (None, None, None)))
    if (found.rows, found.actions) != (rows, actions):
        raise ValueError(
            f"parametrisation has {found.rows} rows of {found.actions} actions; "
            f"the model has {rows} rows of {actions}"
        )
    return found
