"""L2 balls: the adversary projects p - t v back onto the simplex.

inf over ||q - p||_2 <= rho of q . v is attained by the projection of p - t v for the t where it is
rho away. As t grows, states only ever leave the support, so dropping those that the solution
without positivity would make negative, and solving again on the rest, never drops one too many
(the argument of Michelot for the projection itself), and ends after a few passes without a sort.
Sources: Michelot (1986) for the projection; Kumar et al. (2022) for the form without positivity.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numba import njit

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE, FloatArray
from rltheory.analysis.bounds import rounding_error
from rltheory.tabular.kernels import dot
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows, run
from rltheory.tabular.uncertainty.bisection import penalised_by_bisection
from rltheory.tabular.uncertainty.sums import ANY_ORDER


@dataclass(frozen=True, eq=False)
class L2(Ball):
    """The Euclidean distance to the nominal row is at most `radius`, anywhere on the simplex.

    radius: nonnegative, a scalar or one per row; sqrt(2) reaches every distribution.
    Raises ValueError if it is negative.
    """

    moves_anywhere: ClassVar[bool] = True

    def solve(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Inner:
        """See `UncertaintySet.solve`: exact, so that lower and upper agree."""
        dense = rows.densified()
        layout = (dense.data, values, *_scaled(values), budgets)
        run(partial(_solve, *layout, inner.upper, inner.multiplier, np.empty(0)), dense)
        inner.lower[:] = inner.upper
        return inner

    def members(self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner) -> Any:
        """See `UncertaintySet.members`; dense even where the rows are CSR."""
        dense, spare = rows.densified(), np.empty((2, rows.count))
        out = np.empty(len(dense.data))
        layout = (dense.data, values, *_scaled(values), budgets)
        run(partial(_solve, *layout, *spare, out), dense)
        return dense.matrix(out)

    def penalised(
        self, rows: Rows, values: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """See `Ball.penalised`; D is the distance, not its square."""
        dense = rows.densified()
        return penalised_by_bisection(self, dense, values, multipliers, largest=np.sqrt(2.0))

    def error(
        self, rows: Rows, values: FloatArray, budgets: FloatArray, inner: Inner
    ) -> FloatArray:
        """See `UncertaintySet.error`.

        p . v costs its sum's rounding times the largest |v|. The dropped mass, at most 1, costs as
        much times the range. The rest of the adversary's step is t |c|^2 = |c| sqrt(rho^2 - cost of
        the dropped mass), c the active deviations, where t >= rho / |v - mean| as t grows from set
        to set: the cancellation costs the sums' rounding times rho |v - mean|, with |v - mean| at
        most range sqrt(S) / 2 and rho in effect at most sqrt(2).
        """
        largest, width = float(np.abs(values).max()), float(np.ptp(values))
        step = np.minimum(budgets, np.sqrt(2.0)) * np.sqrt(rows.states)
        magnitude = (largest + width * (8.0 + 2.0 * step)) * (1.0 + ROW_SUM_TOLERANCE)
        return np.asarray(rounding_error(rows.states + 32, 1.0) * magnitude * 1.001)


def _scaled(values: FloatArray) -> tuple[FloatArray, float]:
    """Return the values moved and scaled to [0, 1], (S,), and their range."""
    width = float(np.ptp(values))
    return (values - values.min()) / (width if width > 0.0 else 1.0), width


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def _mean_and_scatter(c):  # type: ignore[no-untyped-def]
    first = scatter = 0.0
    for k in range(len(c)):
        first += c[k]
    mean = first / len(c)
    for k in range(len(c)):
        scatter += (c[k] - mean) * (c[k] - mean)
    return mean, scatter


@njit(cache=True, nogil=True)
def _drop(p, c, size, mean, gain, t):  # type: ignore[no-untyped-def]
    """Move the states that keep mass to the front, without a branch; return how many they are.

    Also the sums of p, p^2 and p c over the others.
    """
    kept = 0
    mass = squares = moment = 0.0
    for k in range(size):
        x, y = p[k], c[k]
        away = y - mean
        q = x + gain - t * away
        stays = (q > 0.0) | ((q == 0.0) & (away <= 0.0))
        lost = 0.0 if stays else x
        mass += lost
        squares += lost * lost
        moment += lost * y
        p[kept], c[kept] = x, y
        kept += 1 if stays else 0
    return kept, mass, squares, moment


@njit(cache=True, nogil=True, error_model="numpy")
def _row(p, c, radius):  # type: ignore[no-untyped-def]
    """Return p . c - q . c, the multiplier, and head and t of q = (p + head - t c)_+.

    p and c, in [0, 1], are scratch. On the active set q = p + gain - t (c - mean), where gain
    shares the dropped mass out equally. The least c is 0 and never dropped, so that the squared
    deviations sum to at least mean^2: nothing cancels.
    """
    size = len(p)
    mass = squares = moment = t = 0.0
    while True:
        mean, scatter = _mean_and_scatter(c[:size])
        gain = mass / size
        if scatter == 0.0:
            return moment, 0.0, gain, np.inf
        # It grows from set to set, but for the rounding of what the radius has left.
        left = max(radius * radius - gain * mass - squares, 0.0)
        t = max(t, np.sqrt(left / scatter))
        kept, lost, lost_squares, lost_moment = _drop(p, c, size, mean, gain, t)
        if kept == size:
            multiplier = radius / t if t > 0.0 else np.sqrt(scatter)
            return moment - mean * mass + t * scatter, multiplier, gain + t * mean, t
        size = kept
        mass += lost
        squares += lost_squares
        moment += lost_moment


@njit(cache=True, nogil=True)
def _solve(  # type: ignore[no-untyped-def]
    data, values, scaled, width, budgets, value, multiplier, out, start, stop
):
    n = len(values)
    space, places = np.empty(n), np.empty(n)
    for i in range(start, stop):
        p = data[i * n : (i + 1) * n]
        q = out[i * n : (i + 1) * n]  # empty unless the members are asked for
        space[:], places[:] = p, scaled
        loss, slope, head, t = _row(space, places, budgets[i])
        value[i] = dot(p, values) - width * loss
        multiplier[i] = width * slope
        for k in range(len(q)):
            if t == np.inf:
                q[k] = p[k] + head if scaled[k] == 0.0 else 0.0
            else:
                q[k] = max(p[k] + head - t * scaled[k], 0.0)
