"""The penalised problem of a ball that offers only the constrained one, by bisection.

min over q of q . v + m D(q, p) is attained at the budget b where the multiplier of the ball of
radius b falls to m, since the infimum is convex and nonincreasing in b.
"""

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.tabular.uncertainty.base import Ball, Inner, Rows

STEPS = 60


def penalised_by_bisection(
    ball: Ball, rows: Rows, values: FloatArray, multipliers: FloatArray, *, largest: float
) -> tuple[FloatArray, FloatArray]:
    """Return min over q of q . v + multiplier * D(q, p) and the D that attains it, both (n,).

    largest: a bound on D over the simplex. The value is that of a member, hence never too small.
    """
    low, high = np.zeros(rows.count), np.full(rows.count, largest)
    inner = Inner.empty(rows.count)
    for _ in range(STEPS):
        middle = 0.5 * (low + high)
        ball.solve(rows, values, middle, inner)
        steep = inner.multiplier > multipliers
        low, high = np.where(steep, middle, low), np.where(steep, high, middle)
    ball.solve(rows, values, high, inner)
    at_high = inner.upper + multipliers * high
    ball.solve(rows, values, low, inner)
    at_low = inner.upper + multipliers * low
    return np.minimum(at_low, at_high), np.where(at_low <= at_high, low, high)
