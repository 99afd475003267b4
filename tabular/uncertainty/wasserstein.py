"""Wasserstein balls: the adversary pays the cost of every move, and buys the best moves first.

inf over W(q, p) <= rho of q . v = sup over lambda >= 0 of sum_i p_i m_i(lambda) - lambda rho with
m_i(lambda) = min_j v_j + lambda c_ij, W the optimal transport cost. The lower envelopes m_i depend
on the values only; they are built once per sweep, and their corners sorted by lambda. A corner is a
purchase: moving state i's mass on to the envelope's next target lowers q . v by lambda per unit of
cost, so that a row buys corners from the largest lambda down until its radius is spent.
Sources: Mohajerin Esfahani and Kuhn (2018) for the dual; Yang (2017) in robust control.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numba import njit

from rltheory.analysis.arrays import (
    ROW_SUM_TOLERANCE,
    FloatArray,
    IntArray,
    as_float_array,
    check_finite,
    read_only,
)
from rltheory.analysis.bounds import rounding_error
from rltheory.tabular.kernels import dot
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, run


@dataclass(frozen=True, eq=False)
class Wasserstein(Ball):
    """The cost of moving the nominal row's mass to q is at most `radius`, anywhere on the simplex.

    radius: nonnegative, a scalar or one per row; cost: (S, S), what moving a unit of mass from
    state i to state j costs in row i, nonnegative with a zero diagonal, not necessarily a metric.
    Raises ValueError if an entry is negative, the cost is not square, or its diagonal not zero.
    """

    cost: Any
    moves_anywhere: ClassVar[bool] = True

    def __post_init__(self) -> None:
        cost = as_float_array(self.cost, "cost", (None, None))
        check_finite(cost, "cost")
        if cost.shape[0] != cost.shape[1]:
            raise ValueError(f"cost has shape {cost.shape}; expected (S, S)")
        if cost.size and cost.min() < 0.0:
            i, j = np.unravel_index(int(cost.argmin()), cost.shape)
            raise ValueError(f"cost[{i}, {j}] is {cost[i, j]}; expected a nonnegative number")
        if np.any(np.diagonal(cost)):
            k = int(np.flatnonzero(np.diagonal(cost))[0])
            raise ValueError(f"cost[{k}, {k}] is {cost[k, k]}; staying must cost 0")
        super().__post_init__()
        object.__setattr__(self, "cost", read_only(cost))

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        dense, moves = rows.densified(), self._moves(values)
        layout = (dense.data, moves.free, *moves.purchases)
        run(partial(_buy, *layout, budgets, inner.upper, inner.multiplier), dense)
        inner.lower[:] = inner.upper
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`; dense even where the rows are CSR."""
        dense, moves = rows.densified(), self._moves(values)
        out = np.zeros(len(dense.data))
        layout = (dense.data, moves.target, *moves.purchases, moves.onward)
        run(partial(_buy_into, *layout, budgets, out), dense)
        return dense.matrix(out)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`: sum_i p_i m_i(multiplier)."""
        dense, moves = rows.densified(), self._moves(values)
        value, cost = np.empty((2, rows.count))
        layout = (dense.data, moves.free, *moves.purchases)
        run(partial(_buy_above, *layout, multipliers, value, cost), dense)
        return value, cost

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error`.

        A row sums one product per state and one per corner. The purchases of a state sum to at most
        the range times its probability, each lambda times cost being a difference of two values to
        a few roundings; so does lambda times the radius left. A corner that rounding misplaced, or
        a line that it left out of an envelope, lies a few roundings of the range off.
        """
        corners = len(self._moves(values).rate)
        largest, width = float(np.abs(values).max()), float(np.ptp(values))
        magnitude = (largest + 8.0 * width) * (1.0 + ROW_SUM_TOLERANCE)
        return np.full(rows.count, rounding_error(rows.states + corners + 32, magnitude))

    def _moves(self, values: FloatArray) -> "_Moves":
        if self.cost.shape[0] != len(values):
            raise ValueError(
                f"cost has shape {self.cost.shape}; expected ({len(values)}, {len(values)})"
            )
        order = np.argsort(values, kind="stable")
        counts = np.empty(len(values), np.int64)
        nothing, none = np.empty(0), np.empty(0, np.int64)
        _envelopes(self.cost, values, order, counts, none, nothing, nothing, none, none)
        ends = np.cumsum(counts)
        rate, price = np.empty((2, int(ends[-1])))
        onward, target = np.empty(int(ends[-1]), np.int64), np.empty(len(values), np.int64)
        starts = ends - counts
        _envelopes(self.cost, values, order, counts, starts, rate, price, onward, target)
        state = np.repeat(np.arange(len(values)), counts)
        # Ties keep a state's own purchases in order, as its rates decrease along its corners.
        best = np.argsort(-rate, kind="stable")
        return _Moves(values[target], target, rate[best], price[best], state[best], onward[best])


class _Moves(NamedTuple):
    """What can be bought.

    free, target: (S,) the best state that costs nothing and its value. The others are corners by
    descending rate, the value won per unit of cost; price: the cost per unit of mass; state: whose
    mass moves; onward: where to.
    """

    free: FloatArray
    target: IntArray
    rate: FloatArray
    price: FloatArray
    state: IntArray
    onward: IntArray

    @property
    def purchases(self) -> tuple[FloatArray, FloatArray, IntArray]:
        return self.rate, self.price, self.state


@njit(cache=True, nogil=True)
def _envelopes(cost, values, order, counts, starts, rate, price, onward, target):  # type: ignore[no-untyped-def]
    """Fill the corners of every state's envelope, from free moves to the best state of all.

    With empty `starts` only count them. Lines come by ascending value; those that cost no less
    than a better one never show, and the others form a hull that is built from the right.
    """
    n = len(values)
    hull = np.empty(n, np.int64)
    for i in range(n):
        size, cheapest = 0, np.inf
        for j in order:
            c = cost[i, j]
            if c >= cheapest:
                continue
            cheapest = c
            # The last line shows only if it is left for j at a larger lambda than it was entered.
            while size >= 2:
                a, b = hull[size - 2], hull[size - 1]
                entered = (values[b] - values[a]) * (cost[i, b] - c)
                if (values[j] - values[b]) * (cost[i, a] - cost[i, b]) > entered:
                    break
                size -= 1
            if size == 1 and values[j] == values[hull[0]]:
                size = 0
            hull[size] = j
            size += 1
            if c == 0.0:
                break
        counts[i] = size - 1
        if len(starts) == 0:
            continue
        target[i] = hull[size - 1]
        for k in range(size - 1):
            far, near = hull[size - 2 - k], hull[size - 1 - k]
            at = starts[i] + k
            price[at] = cost[i, far] - cost[i, near]
            rate[at] = (values[near] - values[far]) / price[at]
            if k > 0:  # rounding must not put a state's purchases out of order
                rate[at] = min(rate[at], rate[at - 1])
            onward[at] = far


@njit(cache=True, nogil=True)
def _buy(data, free, rate, price, state, budgets, value, multiplier, start, stop):  # type: ignore[no-untyped-def]
    n = len(free)
    for i in range(start, stop):
        p = data[i * n : (i + 1) * n]
        left, won, last = budgets[i], 0.0, 0.0
        for k in range(len(rate)):
            spent = p[state[k]] * price[k]
            if spent > left:
                won += rate[k] * left
                last = rate[k]
                break
            won += rate[k] * spent
            left -= spent
        value[i] = dot(p, free) - won
        multiplier[i] = last


@njit(cache=True, nogil=True)
def _buy_into(data, target, rate, price, state, onward, budgets, out, start, stop):  # type: ignore[no-untyped-def]
    n = len(target)
    place = np.empty(n, np.int64)
    for i in range(start, stop):
        p, q = data[i * n : (i + 1) * n], out[i * n : (i + 1) * n]
        place[:] = target
        left = budgets[i]
        for k in range(len(rate)):
            j = state[k]
            spent = p[j] * price[k]
            if spent > left:
                part = left / price[k]
                q[onward[k]] += part
                q[place[j]] -= part
                break
            place[j] = onward[k]
            left -= spent
        for j in range(n):
            q[place[j]] += p[j]


@njit(cache=True, nogil=True)
def _buy_above(data, free, rate, price, state, multipliers, value, cost, start, stop):  # type: ignore[no-untyped-def]
    n = len(free)
    for i in range(start, stop):
        p = data[i * n : (i + 1) * n]
        won = spent = 0.0
        for k in range(len(rate)):
            if rate[k] <= multipliers[i]:
                break
            paid = p[state[k]] * price[k]
            won += (rate[k] - multipliers[i]) * paid
            spent += paid
        value[i] = dot(p, free) - won
        cost[i] = spent
