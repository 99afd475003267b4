"""What an uncertainty set is to a solver: its inner problem, solved for many rows at once.

The inner problem of a nominal row p is inf over q in U(p) of q . v. A set solves it for all rows of
a kernel in one compiled pass that returns, for each row, a lower bound (a dual value), an upper
bound (the value of a member of the set) and the multiplier of the budget, so that every use of a
set inherits a certificate. The Bellman operators on top (`tabular.robust`) know nothing else.
Sources: Iyengar (2005), section 3; Nilim and El Ghaoui (2005).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    IntArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_magnitude,
    read_only,
)
from rltheory.analysis.bounds import Bounds, down, rounding_error, up
from rltheory.tabular.kernels import in_blocks


@dataclass(frozen=True, eq=False)
class Rows:
    """Nominal rows p in one flat layout, dense or CSR; nothing is copied.

    data: (nnz,) probabilities; starts: (n + 1,) where each row begins; columns: (nnz,) states of a
    CSR kernel, empty for a dense one, where entry k of a row is state k; states: S.
    """

    data: FloatArray
    starts: IntArray
    columns: NDArray[Any]
    states: int

    @staticmethod
    def of(kernel: Any) -> Rows:
        """Read a kernel (n, S), a dense array or CSR."""
        count, states = kernel.shape
        if sparse.issparse(kernel):
            starts = kernel.indptr.astype(np.int64)
            return Rows(_flat(kernel.data), starts, read_only(kernel.indices), states)
        starts = np.arange(0, count * states + 1, states, dtype=np.int64)
        return Rows(_flat(kernel.reshape(-1)), starts, read_only(np.empty(0, np.int32)), states)

    @property
    def count(self) -> int:
        """Number of rows n."""
        return len(self.starts) - 1

    @property
    def is_sparse(self) -> bool:
        """Whether the rows come from a CSR kernel."""
        return len(self.columns) > 0

    @property
    def longest(self) -> int:
        """Number of entries of the longest row."""
        return int(np.diff(self.starts).max(initial=0))

    def densified(self) -> Rows:
        """Return dense rows, for sets that move mass to any state; itself if dense already."""
        return Rows.of(self.matrix(self.data).toarray()) if self.is_sparse else self

    def matrix(self, data: FloatArray) -> Any:
        """Return entries on this layout as a kernel (n, S), dense or CSR."""
        if not self.is_sparse:
            return data.reshape(self.count, self.states)
        return sparse.csr_array((data, self.columns, self.starts), shape=(self.count, self.states))


@dataclass(frozen=True, eq=False)
class Inner:
    """The inner problem of every row, arrays (n,).

    lower <= inf <= upper up to `error`; multiplier: minus the derivative of the infimum in the
    budget (the right one to certify `lower`), which also warms up the next call.
    """

    lower: FloatArray
    upper: FloatArray
    multiplier: FloatArray

    @staticmethod
    def empty(count: int) -> Inner:
        """Return arrays to be filled; a multiplier of NaN says that nothing is known yet."""
        return Inner(np.zeros(count), np.zeros(count), np.full(count, np.nan))


class UncertaintySet(ABC):
    """A set of distributions around each nominal row, with its inner problem.

    Subclasses are frozen dataclasses of their parameters. `worst_case` and `expectation_bounds`
    are for people; solvers call `solve` and `members` with the same rows again and again.
    """

    moves_anywhere: ClassVar[bool] = False
    """Whether members may spread mass over states outside the nominal support (but the best)."""

    sums: ClassVar[int] = 1
    """How many sums over a row, one after another, the roundings of a value come from."""

    def worst_case(self, values: ArrayLike, nominal: ArrayLike) -> tuple[Any, FloatArray]:
        """Return the least expectation of `values` over the set, and a member attaining it.

        values: (S,); nominal: (..., S), rows summing to 1 within 1e-9. Returns the expectation
        (...), plus the penalty where the set has one, and the distribution (..., S).
        Raises ValueError naming the argument for wrong shapes, NaN, or rows that do not sum to 1.
        """
        rows, vector, budgets, inner, shape = self._inner(values, nominal)
        distributions = self.members(rows, vector, budgets, inner)
        expectation = inner.upper.reshape(shape)
        return (expectation[()] if shape == () else expectation), distributions.reshape(*shape, -1)

    def expectation_bounds(self, values: ArrayLike, nominal: ArrayLike) -> Bounds:
        """Return a certified enclosure of the least expectation, shape (...); see `worst_case`.

        The lower end is a dual value, the upper one the value of a member of the set, both with
        their rounding.
        """
        rows, vector, budgets, inner, shape = self._inner(values, nominal)
        error = self.error(rows, vector, budgets, inner)
        return Bounds(
            down(inner.lower - error).reshape(shape), up(inner.upper + error).reshape(shape)
        )

    @abstractmethod
    def budgets(self, shape: tuple[int, ...]) -> FloatArray:
        """Return the radius or penalty of each row, (n,), for nominal rows of leading `shape`.

        Raises ValueError if a parameter does not broadcast to `shape`.
        """

    def check(self, rows: Rows, used: NDArray[np.bool_]) -> None:  # noqa: B027
        """Raise ValueError if the set is empty at a used row; `used` is a mask (n,)."""

    @abstractmethod
    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """Solve the inner problem of every row into `inner`, whose multipliers may warm it up."""

    @abstractmethod
    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """Return a kernel (n, S) of members attaining `inner.upper`, CSR where the rows are.

        `inner` is the result of `solve` for the same arguments.
        """

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """Bound the rounding error of `inner.lower` and `inner.upper`, (n,).

        Sums over a row have at most as many terms as the longest row, in any order, which add up
        to at most the largest |v|; a value goes through `sums` of them. The multiplier is a sum
        itself; with it, solvers move from the budget to others of the order of one.
        """
        multiplier = np.where(np.isfinite(inner.multiplier), inner.multiplier, 0.0)
        magnitude = float(np.abs(values).max()) + multiplier * (1.0 + budgets)
        return np.asarray(rounding(self.sums * rows.longest + 16, magnitude))

    def _inner(
        self, values: ArrayLike, nominal: ArrayLike
    ) -> tuple[Rows, FloatArray, FloatArray, Inner, tuple[int, ...]]:
        vector = as_float_array(values, "values", (None,))
        check_finite(vector, "values")
        check_magnitude(float(np.abs(vector).max(initial=0.0)), "values holds numbers")
        kernel = as_float_array(nominal, "nominal")
        if kernel.ndim == 0 or kernel.shape[-1] != len(vector) or not len(vector):
            raise ValueError(
                f"nominal has shape {kernel.shape}; expected (..., {len(vector)}) as values has"
            )
        check_distributions(kernel, "nominal")
        shape = kernel.shape[:-1]
        rows = Rows.of(kernel.reshape(-1, len(vector)))
        self.check(rows, np.ones(rows.count, dtype=bool))
        budgets = self.budgets(shape)
        inner = self.solve(rows, vector.copy(), budgets, Inner.empty(rows.count))
        return rows, vector.copy(), budgets, inner, shape


@dataclass(frozen=True, eq=False)
class Ball(UncertaintySet):
    """All q with D(q, p) at most a radius: the budget of a row is its radius.

    radius: nonnegative, a scalar or one per row. Raises ValueError if it is negative.
    """

    radius: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "radius", parameter(self.radius, "radius"))

    def budgets(self, shape: tuple[int, ...]) -> FloatArray:
        """Return the radius of each row, (n,)."""
        return spread(self.radius, "radius", shape)

    @abstractmethod
    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return min over q of q . v + multiplier * D(q, p), and D at a minimiser, both (n,)."""

    def penalised_members(self, rows: Rows, values: FloatArray, multipliers: FloatArray) -> Any:
        """Return a kernel (n, S) of minimisers for `penalised`, CSR where the rows are."""
        _, distances = self.penalised(rows, values, multipliers)
        inner = self.solve(rows, values, distances, Inner.empty(rows.count))
        return self.members(rows, values, distances, inner)


def parameter(value: ArrayLike, name: str) -> FloatArray:
    """Validate a radius or penalty: finite, nonnegative, a scalar or one per row."""
    array = as_float_array(value, name)
    check_finite(array, name)
    if array.size and array.min() < 0:
        raise ValueError(f"{name} is {array.min()}; expected a nonnegative number")
    return np.asarray(read_only(array))


def spread(value: FloatArray, name: str, shape: tuple[int, ...]) -> FloatArray:
    """Return one parameter per row, (n,): a scalar or array broadcast to the leading `shape`."""
    try:
        full = np.broadcast_to(value, shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {np.shape(value)}; expected a scalar or a shape that fits {shape}"
        ) from None
    return np.ascontiguousarray(full, dtype=np.float64).reshape(-1)


def rounding(depth: int, magnitude: Any) -> Any:
    """Bound the rounding of sums over a row: `rounding_error`, elementwise in `magnitude`.

    magnitude bounds the sum of the absolute values of terms whose probabilities sum to 1; those
    of a row may sum to more by its tolerance.
    """
    per_unit, underflow = rounding_error(depth, 1.0), rounding_error(depth, 0.0)
    # Covers the row's tolerance, and the few roundings of computing the bound itself.
    return per_unit * (1.0 + 2.0 * ROW_SUM_TOLERANCE) * magnitude + underflow


def run(kernel: Any, rows: Rows) -> None:
    """Run kernel(start, stop) over all rows, in threads where that pays."""
    in_blocks(kernel, rows.count, len(rows.data))


def _flat(data: Any) -> FloatArray:
    return np.asarray(read_only(np.ascontiguousarray(data, dtype=np.float64)))
