"""Intervals of probabilities, and the L-infinity ball, which is one around the nominal row.

All lower bounds are taken first; what is missing to 1 fills the states by ascending value up to
their upper bounds. Source: Givan, Leach and Dean (2000); Nilim and El Ghaoui (2005).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy import sparse

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray, as_float_array, check_finite
from rltheory.tabular.uncertainty.base import (
    Ball,
    Inner,
    Rows,
    UncertaintySet,
    run,
)
from rltheory.tabular.uncertainty.bisection import penalised_by_bisection
from rltheory.tabular.uncertainty.rows import ascending, gather, scratch, sort


@dataclass(frozen=True, eq=False)
class Interval(UncertaintySet):
    """All distributions with lower <= q <= upper in every entry; the nominal row plays no part.

    lower, upper: in [0, 1], arrays that broadcast to the kernel ((S, A, S) for an MDP), or CSR
    matrices (S * A, S) with the sparsity pattern of a sparse MDP's kernel.
    Raises ValueError if lower exceeds upper, or if the bounds of a row admit no distribution.
    """

    lower: Any
    upper: Any

    # The lower bounds are summed twice: with the values, and for the mass that is left to them,
    # which is worth at most the largest |v| wherever it runs out. So is that mass: in the value of
    # what it fills, and as it is used up. The two masses add up to 1.
    sums: ClassVar[int] = 2

    def __post_init__(self) -> None:
        for name in ("lower", "upper"):
            given = getattr(self, name)
            bound = sparse.csr_array(given) if sparse.issparse(given) else given
            entries = bound.data if sparse.issparse(bound) else as_float_array(given, name)
            check_finite(entries, name)
            if entries.size and not (entries.min() >= 0.0 and entries.max() <= 1.0):
                bad = entries.min() if entries.min() < 0.0 else entries.max()
                raise ValueError(f"{name} holds {bad}; expected probabilities in [0, 1]")
            object.__setattr__(self, name, bound if sparse.issparse(bound) else entries)
        if sparse.issparse(self.lower) != sparse.issparse(self.upper):
            raise TypeError("lower and upper must both be dense or both be CSR; got one of each")

    def budgets(self, shape: tuple[int, ...]) -> FloatArray:
        """Return zeros (n,): nothing widens the intervals."""
        return np.zeros(int(np.prod(shape, dtype=np.int64)))

    def check(self, rows: Rows, used: NDArray[np.bool_]) -> None:
        """See `UncertaintySet.check`: every used row must admit a distribution."""
        low, high = self.bounds(rows)
        least, most = np.empty((2, rows.count))
        crossed = np.zeros(rows.count, dtype=bool)
        run(partial(_survey, low, high, rows.starts, least, most, crossed), rows)
        slack = ROW_SUM_TOLERANCE
        bad = np.flatnonzero(used & (crossed | (least > 1 + slack) | (most < 1 - slack)))
        if len(bad):
            raise ValueError(
                f"lower and upper admit no distribution in row {bad[0]}: they sum to "
                f"{least[bad[0]]:.10g} and {most[bad[0]]:.10g}; expected lower <= upper in every "
                "entry, sums of at most 1 and at least 1"
            )

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        low, high = self.bounds(rows)
        order = ascending(rows, values)
        layout = (low, high, rows.starts, rows.columns, values, order)
        run(partial(_fill, *layout, budgets, 1.0, inner.upper, inner.multiplier), rows)
        inner.lower[:] = inner.upper
        inner.multiplier[:] = 0.0
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        low, high = self.bounds(rows)
        return rows.matrix(_filled(rows, low, high, values, budgets, 1.0))

    def bounds(self, rows: Rows) -> tuple[FloatArray, FloatArray]:
        """Return the bounds in the layout of the rows; views where they are stored that way."""
        return _on_layout(self.lower, "lower", rows), _on_layout(self.upper, "upper", rows)


@dataclass(frozen=True, eq=False)
class LInf(Ball):
    """The largest change of a single probability is at most `radius`, a scalar or one per row.

    Raises ValueError for a negative radius.
    """

    moves_anywhere: ClassVar[bool] = True
    # As for intervals, and the row is summed for its mass.
    sums: ClassVar[int] = 3

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        order = ascending(rows, values)
        layout = (rows.data, rows.data, rows.starts, rows.columns, values, order)
        run(partial(_fill, *layout, budgets, np.nan, inner.upper, inner.multiplier), rows)
        inner.lower[:] = inner.upper
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        return rows.matrix(_filled(rows, rows.data, rows.data, values, budgets, np.nan))

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`."""
        return penalised_by_bisection(self, rows, values, multipliers, largest=1.0)


def _on_layout(bound: Any, name: str, rows: Rows) -> FloatArray:
    if sparse.issparse(bound):
        if not (
            rows.is_sparse
            and np.array_equal(bound.indptr, rows.starts)
            and np.array_equal(bound.indices, rows.columns)
        ):
            raise ValueError(f"{name} is CSR; expected the sparsity pattern of the nominal kernel")
        return np.ascontiguousarray(bound.data, dtype=np.float64)
    if bound.size == rows.count * rows.states and not rows.is_sparse:
        return np.asarray(bound.reshape(-1))
    if rows.is_sparse and bound.ndim:
        raise ValueError(f"{name} is dense; expected a scalar or CSR, as the kernel is sparse")
    try:
        full = np.broadcast_to(bound, (rows.count, rows.states))
    except ValueError:
        raise ValueError(
            f"{name} has shape {bound.shape}; expected a shape that fits "
            f"({rows.count}, {rows.states})"
        ) from None
    if rows.is_sparse:
        return np.full(len(rows.data), float(bound))
    return np.ascontiguousarray(full).reshape(-1)


def _filled(
    rows: Rows,
    low: FloatArray,
    high: FloatArray,
    values: FloatArray,
    widths: FloatArray,
    mass: float,
) -> FloatArray:
    out = np.empty(len(rows.data))
    order = ascending(rows, values)
    layout = (low, high, rows.starts, rows.columns, values, order, widths, mass)
    run(partial(_fill_into, *layout, out), rows)
    return out


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _survey(lows, highs, starts, least, most, crossed, start, stop):  # type: ignore[no-untyped-def]
    """Write the sums of both bounds of every row, and whether a lower one exceeds its upper one."""
    for i in range(start, stop):
        low, high = lows[starts[i] : starts[i + 1]], highs[starts[i] : starts[i + 1]]
        below = above = 0.0
        crossings = 0
        for k in range(len(low)):
            below += low[k]
            above += high[k]
            crossings += 1 if low[k] > high[k] else 0
        least[i], most[i], crossed[i] = below, above, crossings > 0


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _taken(low, v, width):  # type: ignore[no-untyped-def]
    """Return sum max(low - width, 0) and the same weighted by v, in the order that vectorises."""
    mass = total = 0.0
    for k in range(len(low)):
        kept = max(low[k] - width, 0.0)
        mass += kept
        total += kept * v[k]
    return mass, total


@njit(cache=True, nogil=True)
def _measure(low, high, width, rooms):  # type: ignore[no-untyped-def]
    """Write how much each entry can be raised, from max(low - width, 0) to min(high + width, 1).

    An entry that is more than 1, which a row may hold by its tolerance, can stay as it is.
    """
    if width == 0.0:
        # An interval as it stands: without the limits the loop runs at the speed of memory.
        for k in range(len(low)):
            rooms[k] = high[k] - low[k]
        return
    for k in range(len(low)):
        rooms[k] = min(high[k] + width, max(high[k], 1.0)) - max(low[k] - width, 0.0)


@njit(cache=True, nogil=True)
def _fill(  # type: ignore[no-untyped-def]
    lows, highs, starts, columns, values, order, widths, mass, out, multiplier, start, stop
):
    space, ranks = scratch(starts, columns)
    longest = 0
    for i in range(start, stop):
        longest = max(longest, starts[i + 1] - starts[i])
    rooms = np.empty(longest)
    for i in range(start, stop):
        low, high = lows[starts[i] : starts[i + 1]], highs[starts[i] : starts[i + 1]]
        n, width = len(low), widths[i]
        # Reading a row in order first is faster than fetching it from memory by ascending value.
        _measure(low, high, width, rooms)
        v = gather(columns, starts[i], starts[i + 1], values, space)
        rank = sort(columns, v, order, ranks)
        taken, total = _taken(low, v, width)
        left = (np.sum(low) if np.isnan(mass) else mass) - taken
        # Summed apart from the total: its roundings are then those of the mass that it fills.
        pivot, filled = 0, 0.0
        while pivot < n:
            j = rank[pivot]
            if rooms[j] >= left:
                filled += left * v[j]
                break
            filled += rooms[j] * v[j]
            left -= rooms[j]
            pivot += 1
        out[i] = total + filled
        if np.isnan(mass):
            multiplier[i] = _widening(low, v, rank, width, min(pivot, n - 1))


@njit(cache=True, nogil=True)
def _widening(p, v, rank, width, pivot):  # type: ignore[no-untyped-def]
    """Return minus the derivative in the width: what lies below the pivot rises, above it falls."""
    middle, slope = v[rank[pivot]], 0.0
    for r in range(len(p)):
        j = rank[r]
        if r < pivot and p[j] + width < 1.0:
            slope += middle - v[j]
        elif r > pivot and p[j] > width:
            slope += v[j] - middle
    return slope


@njit(cache=True, nogil=True)
def _fill_into(lows, highs, starts, columns, values, order, widths, mass, out, start, stop):  # type: ignore[no-untyped-def]
    space, ranks = scratch(starts, columns)
    for i in range(start, stop):
        begin = starts[i]
        low, high = lows[begin : starts[i + 1]], highs[begin : starts[i + 1]]
        width = widths[i]
        v = gather(columns, begin, starts[i + 1], values, space)
        rank = sort(columns, v, order, ranks)
        left = (np.sum(low) if np.isnan(mass) else mass) - _taken(low, v, width)[0]
        for r in range(len(low)):
            j = rank[r]
            floor = max(low[j] - width, 0.0)
            ceiling = min(high[j] + width, max(high[j], 1.0))
            raised = max(min(ceiling - floor, left), 0.0)
            out[begin + j] = floor + raised
            left -= raised
