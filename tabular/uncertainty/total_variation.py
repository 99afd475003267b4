"""Total variation and L1 balls: the adversary strips mass from the best states.

inf over TV(q, p) <= rho of q . v moves rho of mass from the largest values to the smallest one; the
dual is max over alpha of E_p[min(v, alpha)] - rho (alpha - min v). TV means half the L1 distance.
Sources: Iyengar (2005), section 4; Ho, Petrik and Wiesemann (2018); the values are sorted once per
sweep, so that a row costs one inner product and the states that it loses.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit
from scipy import sparse

from rltheory.analysis.arrays import FloatArray
from rltheory.tabular.kernels import dot
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, rounding, run
from rltheory.tabular.uncertainty.rows import arguments, gather, scratch, sort

SUPPORTS = ("simplex", "nominal")


@dataclass(frozen=True, eq=False)
class TotalVariation(Ball):
    """Half the L1 distance to the nominal row is at most `radius`, a scalar or one per row.

    support: "simplex", mass may move to any state (the least value of all), or "nominal", only
    within the states that the nominal row reaches. A radius of 1 or more reaches every member.
    Raises ValueError for a negative radius or an unknown support.
    """

    support: str = "simplex"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.support not in SUPPORTS:
            raise ValueError(f"support is {self.support!r}; expected one of {SUPPORTS}")

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        layout = (*arguments(rows, values), self._lowest(values))
        run(partial(_strip, *layout, budgets, inner.upper, inner.multiplier), rows)
        inner.lower[:] = inner.upper
        return inner

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error`: p . v is the sum, and stripping comes on top of it."""
        return super().error(rows, values, budgets, inner) + _stripping(rows, values, budgets)

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        data, moved, target = rows.data.copy(), np.zeros(rows.count), np.zeros(rows.count, np.int64)
        layout = (*arguments(rows, values), self._lowest(values))
        run(partial(_strip_into, *layout, budgets, data, moved, target), rows)
        return moved_to(rows, data, moved, target)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`: E_p[min(v, min v + multiplier)]."""
        total, above = np.empty(rows.count), np.empty(rows.count)
        layout = (rows.data, rows.starts, rows.columns, values, self._lowest(values))
        run(partial(_cap, *layout, multipliers, total, above), rows)
        return total, above

    def _lowest(self, values: FloatArray) -> float:
        """The value that mass is moved to; NaN asks for the least one of each row's support."""
        return float(values.min()) if self.support == "simplex" else np.nan


@dataclass(frozen=True, eq=False)
class L1(Ball):
    """The L1 distance to the nominal row is at most `radius`: a TV ball of half the radius.

    Raises ValueError for a negative radius.
    """

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`."""
        TotalVariation(0.0).solve(rows, values, 0.5 * budgets, inner)
        inner.multiplier[:] *= 0.5
        return inner

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error`."""
        return super().error(rows, values, budgets, inner) + _stripping(rows, values, 0.5 * budgets)

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        return TotalVariation(0.0).members(rows, values, 0.5 * budgets, inner)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`."""
        value, distance = TotalVariation(0.0).penalised(rows, values, 2.0 * multipliers)
        return value, 2.0 * distance


def _stripping(rows: Rows, values: FloatArray, radii: FloatArray) -> FloatArray:
    """Bound the rounding of what is stripped, a mass of at most the radius and 1, times the range.

    It is summed twice: in what it loses, and in the mass left to strip, which is worth at most the
    range wherever it runs out.
    """
    lost = np.minimum(radii, 1.0) * float(np.ptp(values))
    return np.asarray(rounding(2 * rows.longest + 16, lost))


def moved_to(rows: Rows, data: FloatArray, moved: FloatArray, target: Any) -> Any:
    """Return the kernel of entries `data` with `moved` (n,) of mass added at states `target`."""
    kernel = rows.matrix(data)
    if not rows.is_sparse:
        kernel[np.arange(rows.count), target] += moved
        return kernel
    pairs = (np.arange(rows.count), target)
    kernel = sparse.csr_array(kernel + sparse.coo_array((moved, pairs), shape=kernel.shape))
    kernel.eliminate_zeros()
    kernel.sort_indices()
    return kernel


@njit(cache=True, nogil=True)
def _least(p, v):  # type: ignore[no-untyped-def]
    """Return the least value that a row gives mass to."""
    least = np.inf
    for k in range(len(p)):
        if p[k] > 0.0 and v[k] < least:
            least = v[k]
    return least


@njit(cache=True, nogil=True)
def _strip(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, lowest, budgets, out, multiplier, start, stop
):
    space, ranks = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        v = gather(columns, starts[i], starts[i + 1], values, space)
        rank = sort(columns, v, order, ranks)
        low = _least(p, v) if np.isnan(lowest) else lowest
        # Reading a row in order first is faster than fetching it from memory by descending value.
        total = dot(p, v)
        left, lost, excess = budgets[i], 0.0, 0.0
        k = len(p) - 1
        while k >= 0:
            j = rank[k]
            excess = v[j] - low
            if excess <= 0.0 or p[j] >= left:
                break
            lost += p[j] * excess
            left -= p[j]
            k -= 1
        if k >= 0 and excess > 0.0:
            lost += left * excess
            multiplier[i] = excess
        else:
            multiplier[i] = 0.0
        out[i] = total - lost


@njit(cache=True, nogil=True)
def _strip_into(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, lowest, budgets, out, moved, target, start, stop
):
    space, ranks = scratch(starts, columns)
    least = int(np.argmin(values))
    for i in range(start, stop):
        begin = starts[i]
        p = data[begin : starts[i + 1]]
        v = gather(columns, begin, starts[i + 1], values, space)
        rank = sort(columns, v, order, ranks)
        low, state = lowest, least
        if np.isnan(lowest):
            low = _least(p, v)
            for k in range(len(p)):
                if p[k] > 0.0 and v[k] == low:
                    state = columns[begin + k] if len(columns) > 0 else k
                    break
        left, gone = budgets[i], 0.0
        for k in range(len(p) - 1, -1, -1):
            j = rank[k]
            if left <= 0.0 or v[j] <= low:
                break
            taken = min(p[j], left)
            out[begin + j] = p[j] - taken
            left -= taken
            gone += taken
        target[i] = state
        moved[i] = gone  # not budgets[i] - left, which cancels for a huge radius


@njit(cache=True, nogil=True)
def _cap(data, starts, columns, values, lowest, caps, total, above, start, stop):  # type: ignore[no-untyped-def]
    space, _ = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        v = gather(columns, starts[i], starts[i + 1], values, space)
        cap = caps[i] + (_least(p, v) if np.isnan(lowest) else lowest)
        kept = moved = 0.0
        for k in range(len(p)):
            kept += p[k] * min(v[k], cap)
            moved += p[k] if v[k] > cap else 0.0
        total[i] = kept
        above[i] = moved
