"""How many seeds tell an exponent of regret from another one.

The slope of the mean curve over n seeds has a standard error that falls as n^(-1/2); its size is
estimated by leaving out one seed at a time, and a two-sided normal test tells the rest.
Source: Efron and Tibshirani (1993), chapter 11, for the jackknife; Lehmann and Romano (2005).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from rltheory.analysis.arrays import as_float_array, check_finite, check_range
from rltheory.analysis.rates import fit_rate


@dataclass(frozen=True)
class Power:
    """What a number of seeds detects.

    seeds: how many find a slope off by `error` with probability `power`, tested at `level`.
    deviation: standard deviation of the slope, times the root of the number of seeds. detectable:
    the error that the seeds at hand find with that probability.
    """

    seeds: int
    error: float
    power: float
    level: float
    deviation: float
    detectable: float

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds detect an error of {self.error:g} in the slope with probability "
            f"{self.power:g}, tested at level {self.level:g}; those at hand, one of "
            f"{self.detectable:.3g}"
        )


def power_statement(
    x: ArrayLike,
    y: ArrayLike,
    *,
    error: float = 0.1,
    power: float = 0.8,
    level: float = 0.05,
) -> Power:
    """Return how many seeds would detect a slope that is off by `error`.

    x (n,), y (runs, n): the curves, positive, of at least 3 runs, whose mean's slope on logarithmic
    axes is in question. error: > 0; power and level: in (0, 1), power above level.
    Raises ValueError or TypeError naming what does not fit.
    """
    points = as_float_array(x, "x", (None,))
    curves = as_float_array(y, "y", (None, len(points)))
    check_finite(curves, "y")
    if len(curves) < 3:
        raise ValueError(f"y has {len(curves)} runs; expected at least 3")
    least = np.nextafter(0.0, 1.0)
    wrong = check_range(error, "error", least, np.inf)
    sure = check_range(power, "power", least, 1.0, include_high=False)
    chance = check_range(level, "level", least, 1.0, include_high=False)
    if not sure > chance:
        raise ValueError(f"power is {power:g}; expected more than level, {level:g}")
    count = len(curves)
    slopes = np.array(
        [fit_rate(points, np.delete(curves, k, axis=0), resamples=1).slope for k in range(count)]
    )
    variance = (count - 1) / count * float(np.square(slopes - slopes.mean()).sum())
    deviation = np.sqrt(count * variance)
    far = float(ndtri(sure) - ndtri(chance / 2))
    return Power(
        seeds=max(1, int(np.ceil((far * deviation / wrong) ** 2))),
        error=wrong,
        power=sure,
        level=chance,
        deviation=float(deviation),
        detectable=float(far * deviation / np.sqrt(count)),
    )
