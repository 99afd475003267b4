"""Kullback-Leibler balls: the adversary tilts the nominal row exponentially.

inf over KL(q, p) <= rho of q . v = sup over beta > 0 of -beta log E_p[exp(-v / beta)] - beta rho,
attained by q proportional to p exp(-v / beta) with KL(q, p) = rho, unless all mass can go to the
least value. Every beta gives a lower bound, and curvature bounds what a better one could gain, so
that a row whose beta is known from the previous sweep costs one pass of exponentials.
Sources: Iyengar (2005), section 4; Nilim and El Ghaoui (2005). The penalised form is
the entropic risk measure.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numba import njit

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray
from rltheory.analysis.bounds import rounding_error
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, run
from rltheory.tabular.uncertainty.exponential import tilted
from rltheory.tabular.uncertainty.rows import arguments, gather, scratch
from rltheory.tabular.uncertainty.sums import FLAT, all_on, central_sums, mass_and_sum, support

# Certified gap, relative to the range of the values, at which a row is done.
_GAP = 2e-13
# Radii so small that p itself is optimal to 1e-13 of the range (Pinsker: TV <= sqrt(radius / 2)).
_NEGLIGIBLE = 1e-26


@dataclass(frozen=True, eq=False)
class KullbackLeibler(Ball):
    """All q absolutely continuous to p with sum q log(q / p) at most `radius`, in nats.

    radius: nonnegative, a scalar or one per row; from -log p(argmin v) on, all mass goes there.
    Raises ValueError if it is negative.
    """

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`; a good `inner.multiplier` leaves one pass per row."""
        layout = arguments(rows, values)
        run(partial(_solve, *layout, budgets, inner.lower, inner.upper, inner.multiplier), rows)
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`."""
        out = np.empty(len(rows.data))
        run(partial(_tilt_into, *arguments(rows, values), budgets, inner.multiplier, out), rows)
        return rows.matrix(out)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`: -m log E_p[exp(-v / m)]."""
        value, divergence, out = np.empty(rows.count), np.empty(rows.count), np.empty(0)
        layout = arguments(rows, values)
        run(partial(_penalise, *layout, multipliers, value, divergence, out), rows)
        return value, divergence

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
    """Bound the rounding of p . v - beta (log(Z / mass) + rho), Z = E_p[exp((centre - v) / beta)].

    The default of `UncertaintySet.error` charges rounding of the order of one to beta, which is
    huge for small radii. Here E_p[exp(x) - 1] is summed, |exp(x) - 1| <= |x| max(1, exp(x)), each
    term with a few relative roundings plus those of the sum, so that beta times its error is one
    times E|v - centre|, at most the range; exponents off by a relative rounding cost as much
    again; beta rho and the feasible member's value stay below twice the range; p . v costs the
    largest |v|. The 64 roundings cover the exponential (4), the exponent (4), log1p and the rest.
    """
    largest = float(np.abs(values).max(initial=0.0))
    spread_of_values = float(np.ptp(values)) if len(values) else 0.0
    magnitude = (largest + 8.0 * spread_of_values) * (1.0 + ROW_SUM_TOLERANCE)
    flat = min(FLAT, spread_of_values)  # what counting values as equal may cost
    return np.full(rows.count, rounding_error(rows.longest + 64, magnitude) + flat)


@njit(cache=True, nogil=True)
def _tilt(p, v, mass, centre, low, rate):  # type: ignore[no-untyped-def]
    """Return the tilt q of `rate` 1 / beta: its shift, log(Z / mass), mean and variance of x.

    x = rate * (shift - v) under q. While exponents are moderate the shift is the nominal mean and
    exp(x) - 1 is summed, exact for tiny rates; beyond, it is the least value, and x <= 0.
    """
    shift, base = centre, 1.0
    if rate * (centre - low) > 8.0:
        shift, base = low, 0.0
    zeroth, first, second = tilted(p, v, shift, rate, base)
    ratio = zeroth / mass
    log_ratio = np.log1p(ratio) if base == 1.0 else np.log(ratio)
    total = base * mass + zeroth
    first /= total
    second /= total
    variance = second - first * first
    if variance < 1e-8 * second:
        variance = 0.0  # nothing is left of its digits: let bisection proceed
    return shift, log_ratio, first, variance


@njit(cache=True, nogil=True)
def _row(p, v, mass, centre, low, spread, radius, beta):  # type: ignore[no-untyped-def]
    """Return the lower bound, the upper one, beta and the last tilt's rate, per unit of mass.

    Newton on sqrt(KL(q, p)) = sqrt(radius), which is almost linear in the rate, in a bracket.
    The gain of a better rate is bounded by 3 r^2 / (rate x variance of x), r = radius - KL, as
    the derivative of KL in the rate is rate Var_q(v), and Var_q(v) changes by at most a factor
    exp(spread |change of rate|); far from the optimum by the value of a mixture of q and p.
    """
    rate = 1.0 / beta if beta > 0.0 else np.inf
    # By Hoeffding KL(q, p) <= (rate * spread)^2 / 8; nor is a wildly large rate worth a try.
    if not np.sqrt(radius) < rate * spread < 1e6:
        rate = np.sqrt(2.0 * radius * mass / central_sums(p, v, centre)[1])
    below, above = 0.0, np.inf
    lower, upper, following = low, centre, rate
    for _ in range(200):
        shift, log_ratio, mean, variance = _tilt(p, v, mass, centre, low, rate)
        divergence = mean - log_ratio
        miss = radius - divergence
        value = shift - mean / rate
        lower = shift - (log_ratio + radius) / rate
        if miss >= 0.0:
            upper = value
            below = max(below, rate)
        else:
            kept = radius / divergence
            upper = kept * value + (1.0 - kept) * centre
            above = min(above, rate)
        size = abs(miss)
        if variance > 0.0 and 8.0 * size * max(1.0, rate * spread) <= variance:
            upper = min(upper, lower + 3.0 * size * size / (rate * variance))
        following = rate
        if variance > 0.0:
            root = np.sqrt(radius * max(divergence, 0.0))
            following = rate * (1.0 + 2.0 * (root - divergence) / variance)
        if upper - lower <= _GAP * spread:
            if not 0.5 * rate < following < 2.0 * rate:
                following = rate  # near the least value rounding is all that is left of the slope
            break
        if not below < following < above or following == rate:
            following = 4.0 * below if above == np.inf else 0.5 * (below + above)
            if below > 0.0 and above < np.inf and above > 4.0 * below:
                following = np.sqrt(below * above)
        if not below < following < above:
            break
        rate = following
    return lower, max(lower, upper), 1.0 / following, rate


@njit(cache=True, nogil=True)
def _solve(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, budgets, lower, upper, multiplier, start, stop
):
    space, _ = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        v = gather(columns, starts[i], starts[i + 1], values, space)
        mass, total = mass_and_sum(p, v)
        low, least, high = support(p, v, order)
        radius = budgets[i] / mass if mass > 0.0 else 0.0
        if mass == 0.0:
            lower[i] = upper[i] = multiplier[i] = 0.0
        elif high - low < FLAT:
            lower[i], upper[i] = min(mass * low, total), total
            multiplier[i] = 0.0
        elif radius >= np.log(mass / least):
            lower[i] = upper[i] = mass * low
            multiplier[i] = 0.0
        elif radius < _NEGLIGIBLE:
            # Pinsker's bound for every radius, and its slope at this one.
            lower[i] = total - mass * (high - low) * np.sqrt(0.5 * radius)
            upper[i] = total
            multiplier[i] = (high - low) * np.sqrt(0.125 / radius) if radius > 0.0 else np.inf
        else:
            centre = total / mass
            below, above, _, rate = _row(p, v, mass, centre, low, high - low, radius, multiplier[i])
            # `total` is the exact shift's value to fewer roundings than mass * centre.
            lower[i] = total - mass * (centre - below)
            upper[i] = total - mass * (centre - above)
            # The rate that certifies `lower`, not the next one: its line supports the infimum.
            multiplier[i] = 1.0 / rate


@njit(cache=True, nogil=True)
def _tilt_into(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, budgets, multiplier, out, start, stop
):
    space, _ = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        q = out[starts[i] : starts[i + 1]]
        v = gather(columns, starts[i], starts[i + 1], values, space)
        mass, total = mass_and_sum(p, v)
        low, least, high = support(p, v, order)
        radius = budgets[i] / mass if mass > 0.0 else 0.0
        if mass == 0.0 or high - low < FLAT or radius < _NEGLIGIBLE:
            q[:] = p
        elif radius >= np.log(mass / least):
            all_on(p, v, low, mass / least, q)
        else:
            centre = total / mass
            # A value is known to the square of the rate's error, a member only to that error: one
            # more Newton step than `_solve` takes.
            width = high - low
            _, _, beta, _ = _row(p, v, mass, centre, low, width, radius, multiplier[i])
            low_end, _, beta, rate = _row(p, v, mass, centre, low, width, radius, beta)
            # The last Newton step is the better rate, unless rounding was all there was to it.
            value, kept = _mixed(p, v, mass, centre, low, radius, 1.0 / beta)
            if value - low_end > _GAP * width:
                other, kept_then = _mixed(p, v, mass, centre, low, radius, rate)
                if other < value:
                    beta, kept = 1.0 / rate, kept_then
            _write(p, v, mass, centre, low, 1.0 / beta, q)
            for k in range(len(p)):
                q[k] = kept * q[k] + (1.0 - kept) * p[k]


@njit(cache=True, nogil=True)
def _mixed(p, v, mass, centre, low, radius, rate):  # type: ignore[no-untyped-def]
    """Return the value of the tilt mixed with p until it is in the ball, and the tilt's share."""
    shift, log_ratio, mean, _ = _tilt(p, v, mass, centre, low, rate)
    divergence = mean - log_ratio
    kept = radius / divergence if divergence > radius else 1.0
    return kept * (shift - mean / rate) + (1.0 - kept) * centre, kept


@njit(cache=True, nogil=True)
def _write(p, v, mass, centre, low, rate, q):  # type: ignore[no-untyped-def]
    """Write the tilt of the given rate."""
    shift, log_ratio, _, _ = _tilt(p, v, mass, centre, low, rate)
    for k in range(len(p)):
        q[k] = p[k] * np.exp(rate * (shift - v[k]) - log_ratio) if p[k] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def _penalise(  # type: ignore[no-untyped-def]
    data, starts, columns, values, order, penalties, value, divergence, out, start, stop
):
    space, _ = scratch(starts, columns)
    for i in range(start, stop):
        p = data[starts[i] : starts[i + 1]]
        v = gather(columns, starts[i], starts[i + 1], values, space)
        q = out[starts[i] : starts[i + 1]]  # empty unless the members are asked for
        mass, total = mass_and_sum(p, v)
        low, least, high = support(p, v, order)
        rate = 1.0 / penalties[i] if penalties[i] > 0.0 else np.inf
        if mass == 0.0 or high - low < FLAT or rate == 0.0:
            value[i], divergence[i] = total, 0.0
            q[:] = p[: len(q)]
        elif rate * (high - low) == np.inf:
            value[i], divergence[i] = mass * low, mass * np.log(mass / least)
            all_on(p, v, low, mass / least, q)
        else:
            centre = total / mass
            shift, log_ratio, mean, _ = _tilt(p, v, mass, centre, low, rate)
            value[i] = total - mass * (centre - shift + log_ratio / rate)
            divergence[i] = mass * max(mean - log_ratio, 0.0)
            if len(q) > 0:
                _write(p, v, mass, centre, low, rate, q)
