"""Chi-square balls: the adversary tilts the nominal row linearly, and truncates it at zero.

inf over sum (q - p)^2 / p <= rho of q . v is attained by q proportional to p (eta - v)_+, and is
p . v - sqrt(rho Var_p(v)) as long as nothing is truncated. The dual is concave in eta,
eta - sqrt((1 + rho) E_p[(eta - v)_+^2]), and quadratic under the root between two values, so that
solving one piece exactly and moving to the piece that the solution lies in ends after a few passes.
Sources: Iyengar (2005), section 4; Duchi and Namkoong (2021).
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray
from rltheory.analysis.bounds import rounding_error
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, run
from rltheory.tabular.uncertainty.rows import arguments, gather, scratch, sort
from rltheory.tabular.uncertainty.sums import (
    ANY_ORDER,
    FLAT,
    all_on,
    mass_and_sum,
    nearest,
    support,
    under,
)


@dataclass(frozen=True, eq=False)
class ChiSquare(Ball):
    """All q absolutely continuous to p with sum (q - p)^2 / p at most `radius`.

    radius: nonnegative, a scalar or one per row; from 1 / p(argmin v) - 1 on, all mass goes there.
    Raises ValueError if it is negative.
    """

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        layout = (*arguments(rows, values), budgets)
        run(partial(_solve, *layout, inner.upper, inner.multiplier, np.empty(0)), rows)
        inner.lower[:] = inner.upper
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        out, spare = np.empty(len(rows.data)), np.empty((2, rows.count))
        run(partial(_solve, *arguments(rows, values), budgets, *spare, out), rows)
        return rows.matrix(out)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`."""
        value, distance = np.empty((2, rows.count))
        layout = (*arguments(rows, values), multipliers)
        run(partial(_penalise, *layout, value, distance, np.empty(0)), rows)
        return value, distance

    def penalised_members(self, rows: Rows, values: FloatArray, multipliers: FloatArray) -> Any:
        """See `Ball.penalised_members`."""
        out, spare = np.empty(len(rows.data)), np.empty((2, rows.count))
        run(partial(_penalise, *arguments(rows, values), multipliers, *spare, out), rows)
        return rows.matrix(out)

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error` and `_rounding`."""
        return _rounding(rows, values)


def _rounding(rows: Rows, values: FloatArray) -> FloatArray:
    """Bound the rounding of a row's value, which no multiplier enlarges.

    p . v costs its sum's rounding times the largest |v|. What is taken off it, the mean minus the
    value, is computed from sums of nonnegative terms about the active mean, to a relative error of
    the depth of those sums, and is at most the range; roots halve relative errors. Where mass
    cancels, (1 + rho) P(active) - 1, the error in the value is at most the range times that depth
    too, since the root is at least the active deviation over the range. An active set that
    rounding chose differently costs the square of a rounding.
    """
    largest = float(np.abs(values).max(initial=0.0))
    magnitude = (largest + 8.0 * float(np.ptp(values))) * (1.0 + ROW_SUM_TOLERANCE)
    flat = min(FLAT, float(np.ptp(values)))  # what counting values as equal may cost
    return np.full(rows.count, rounding_error(rows.longest + 32, magnitude) + flat)


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def _sums(p, v, shift, cut):  # type: ignore[no-untyped-def]
    """Return sum p, sum p c, sum p c^2 over v <= cut, c = v - shift, and sum p over the rest."""
    inside = first = second = outside = 0.0
    for k in range(len(p)):
        c = v[k] - shift
        w = p[k] if v[k] <= cut else 0.0
        outside += p[k] - w
        inside += w
        first += w * c
        second += w * c * c
    return inside, first, second, outside


@njit(cache=True, nogil=True)
def _piece(p, v, rank, shift, cut):  # type: ignore[no-untyped-def]
    """Return the shift, mass, mean and variance of the states with v <= cut, and the other mass.

    The shift is the value nearest to their mean. From a state's own value on nothing cancels,
    however unequal the masses: differences of values are as good as exact, and the variance is at
    least half the second moment.
    """
    inside, first, second, outside = _sums(p, v, shift, cut)
    anchor = nearest(v, rank, shift + first / inside)
    if anchor != shift:
        shift = anchor
        inside, first, second, outside = _sums(p, v, shift, cut)
    mean = first / inside
    return shift, inside, mean, max(second / inside - mean * mean, 0.0), outside


@njit(cache=True, nogil=True, error_model="numpy")
def _constrained(p, v, rank, mass, mean, low, high, radius):  # type: ignore[no-untyped-def]
    """Return value - mean per unit of mass, multiplier, and the member in the form of `_write`.

    Per unit of mass and for an active set of mass P, mean a and deviation s, the best eta is
    a + s / w, w^2 = (1 + radius) P - 1, where the value is a - s w. The piece that holds its own
    eta is found by jumping to the piece where eta lies, in a bracket of pieces.
    """
    shift, _, a, variance, _ = _piece(p, v, rank, mean, high)
    s, w = np.sqrt(variance), np.sqrt(radius)
    if w * (high - shift - a) <= s:
        half = 0.5 * s / w if w > 0.0 else np.inf
        return shift - mean + a - s * w, half, shift, 1.0 + (w / s) * a, w / s
    inside, cut = mass, high
    below, above = under(v, rank, low, 0.0), len(p) + 1
    n = under(v, rank, shift, a + s / w)
    while True:
        n = min(max(n, below + 1), len(p))
        n = under(v, rank, v[rank[n - 1]], np.nextafter(0.0, 1.0))  # states of equal value together
        if n >= above:
            n = under(v, rank, v[rank[n - 1]], 0.0)
        if n <= below:
            break
        cut = v[rank[n - 1]]
        shift, inside, a, variance, outside = _piece(p, v, rank, shift, cut)
        s = np.sqrt(variance)
        w = np.sqrt(max(radius * inside - outside, 0.0) / mass)
        eta = a + s / w if w > 0.0 else np.inf
        target = under(v, rank, shift, eta)
        if target > n:
            below = n
        elif eta <= cut - shift:
            above = n
        else:
            break
        n = target if below < target < above else (below + above) // 2
        if above - below <= 1:
            break
    if s == 0.0 or w == 0.0:
        return shift - mean + a, 0.0, cut, mass / inside, np.inf
    # q = p (eta - v)_+ / (P (eta - a)), with eta - a = s / w.
    slope = w * mass / (s * inside)
    return shift - mean + (a - s * w), 0.5 / slope, shift, mass / inside + slope * a, slope


@njit(cache=True, nogil=True, error_model="numpy")
def _penalised(p, v, rank, mass, mean, high, penalty):  # type: ignore[no-untyped-def]
    """As `_constrained` with a penalty for a radius; the distance in place of the multiplier.

    sum p (eta - v)_+ = 2 penalty, convex and piecewise linear in eta, by Newton from the right.
    """
    shift, slope, before, n = mean, 0.5 / penalty, len(p) + 1, len(p)
    inside = outside = a = variance = 0.0
    while 0 < n < before:
        shift, inside, a, variance, outside = _piece(p, v, rank, shift, v[rank[n - 1]])
        before = n
        n = under(v, rank, shift, a + 2.0 * penalty * mass / inside)
    extra, part = outside / inside, inside / mass
    distance = extra + slope * slope * part * variance
    value = shift - mean + (a - slope * part * variance + penalty * distance)
    return value, distance, shift, 1.0 / part + slope * a, slope


@njit(cache=True, nogil=True)
def _write(p, v, mass, shift, head, slope, q):  # type: ignore[no-untyped-def]
    """Write q = p (head - slope (v - shift))_+, of the mass of p.

    An infinite slope says q = p * head up to v = shift, 0 beyond.
    """
    if slope == np.inf:
        all_on(p, v, shift, head, q)
        return
    total = 0.0
    for k in range(len(q)):
        q[k] = p[k] * max(head - slope * (v[k] - shift), 0.0)
        total += q[k]
    for k in range(len(q)):
        q[k] *= mass / total


@njit(cache=True, nogil=True)
def _solve(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, budgets, value, multiplier, out, start, stop
):
    space, ranks = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        q = out[starts[i] : starts[i + 1]]  # empty unless the members are asked for
        v = gather(columns, starts[i], starts[i + 1], values, space)
        mass, total = mass_and_sum(p, v)
        rank = sort(columns, v, order, ranks)
        low, least, high = support(p, v, rank)
        if mass == 0.0 or high - low < FLAT:
            value[i], multiplier[i] = total, 0.0
            q[:] = p[: len(q)]
        elif budgets[i] / mass >= mass / least - 1.0:
            value[i], multiplier[i] = mass * low, 0.0
            all_on(p, v, low, mass / least, q)
        else:
            gain, multiplier[i], shift, head, slope = _constrained(
                p, v, rank, mass, total / mass, low, high, budgets[i] / mass
            )
            value[i] = total + mass * gain
            _write(p, v, mass, shift, head, slope, q)


@njit(cache=True, nogil=True)
def _penalise(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, penalties, value, distance, out, start, stop
):
    space, ranks = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        q = out[starts[i] : starts[i + 1]]  # empty unless the members are asked for
        v = gather(columns, starts[i], starts[i + 1], values, space)
        mass, total = mass_and_sum(p, v)
        rank = sort(columns, v, order, ranks)
        low, least, high = support(p, v, rank)
        if mass == 0.0 or high - low < FLAT:
            value[i], distance[i] = total, 0.0
            q[:] = p[: len(q)]
        elif penalties[i] < FLAT:
            value[i], distance[i] = mass * low, mass * (mass / least - 1.0)
            all_on(p, v, low, mass / least, q)
        else:
            gain, apart, shift, head, slope = _penalised(
                p, v, rank, mass, total / mass, high, penalties[i]
            )
            value[i], distance[i] = total + mass * gain, mass * apart
            _write(p, v, mass, shift, head, slope, q)
