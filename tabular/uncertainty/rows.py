"""One row of a kernel as compiled code sees it: its entries, their values, their order.

Dense rows share the values and their order, sorted once per sweep; rows of a CSR kernel get
their own, sorted among few successors.
"""

from typing import Any

import numpy as np
from numba import njit

from rltheory.analysis.arrays import FloatArray, IntArray
from rltheory.tabular.uncertainty.base import Rows


def ascending(rows: Rows, values: FloatArray) -> IntArray:
    """Return the states by ascending value, (S,), for dense rows; CSR rows sort their own."""
    if rows.is_sparse:
        return np.empty(0, np.int64)
    return np.argsort(values, kind="stable")


def arguments(rows: Rows, values: FloatArray) -> tuple[Any, ...]:
    """Return what a compiled pass reads: the rows' layout, the values, and their order."""
    return rows.data, rows.starts, rows.columns, values, ascending(rows, values)


@njit(cache=True, nogil=True)
def scratch(starts, columns):  # type: ignore[no-untyped-def]
    """Return space for the values and the order of one CSR row; empty for dense rows."""
    longest = 0
    if len(columns) > 0:
        for i in range(len(starts) - 1):
            longest = max(longest, starts[i + 1] - starts[i])
    return np.empty(longest), np.empty(longest, np.int64)


@njit(cache=True, nogil=True)
def gather(columns, start, stop, values, space):  # type: ignore[no-untyped-def]
    """Return the values of a row's entries: all of `values` for a dense row."""
    if len(columns) == 0:
        return values
    for k in range(start, stop):
        space[k - start] = values[columns[k]]
    return space[: stop - start]


@njit(cache=True, nogil=True)
def sort(columns, v, order, space):  # type: ignore[no-untyped-def]
    """Return the positions of a row's entries by ascending value: `order` for a dense row."""
    if len(columns) == 0:
        return order
    n = len(v)
    if n > 32:
        full = np.argsort(v)
        # Entry by entry: assigning to a slice would compile its error message, for two seconds.
        for i in range(n):
            space[i] = full[i]
        return space[:n]
    for i in range(n):
        k = i
        while k > 0 and v[space[k - 1]] > v[i]:
            space[k] = space[k - 1]
            k -= 1
        space[k] = i
    return space[:n]
