"""Empirical rates: the slope of a curve on log-log axes, with a bootstrap interval.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 9.4 and 13.3.
"""

from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    as_generator,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import Bounds


@dataclass(frozen=True)
class Rate:
    """A fitted power law y = constant * x ** slope.

    interval: percentile bootstrap interval of the slope at level `confidence`;
    covered: the least and the largest x that the fit has seen.
    """

    slope: float
    constant: float
    interval: Bounds
    confidence: float
    covered: tuple[float, float]


def fit_rate(
    x: FloatArray,
    y: FloatArray,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int | np.random.Generator = 0,
) -> Rate:
    """Fit a power law by least squares on the logarithms; return a Rate.

    x: (n,) positive, at least two of them different. y: positive; (runs, n), where the mean of
    the runs is fitted and the bootstrap resamples runs, or (n,), where it resamples residuals.
    The interval speaks of sampling noise only, not of curvature: see `covered`.
    Raises ValueError naming the argument that does not fit.
    """
    points = np.asarray(x, dtype=np.float64)
    curves = np.asarray(y, dtype=np.float64)
    if points.ndim != 1 or len(np.unique(points)) < 2:
        raise ValueError(f"x has shape {points.shape}; expected (n,) with two different entries")
    if curves.ndim not in (1, 2) or curves.shape[-1] != len(points) or not curves.size:
        n = len(points)
        raise ValueError(f"y has shape {curves.shape}; expected ({n},) or (runs, {n})")
    for array, name in ((points, "x"), (curves, "y")):
        check_finite(array, name)
        if array.min() <= 0:
            raise ValueError(f"{name} holds {array.min()}; logarithms need positive numbers")
    check_range(confidence, "confidence", 0.0, 1.0, include_high=False)
    check_positive_integer(resamples, "resamples")
    generator = as_generator(seed)
    logs = np.log(points)
    centre = np.log(curves if curves.ndim == 1 else curves.mean(axis=0))
    if curves.ndim == 2:
        chosen = generator.integers(len(curves), size=(resamples, len(curves)))
        samples = np.log(np.stack([curves[rows].mean(axis=0) for rows in chosen]))
    else:
        slope, intercept = _line(logs, centre)
        fitted = intercept + slope * logs
        # Two fitted parameters shrink the residuals: scale them back up.
        spread = np.sqrt(len(logs) / max(len(logs) - 2, 1)) * (centre - fitted)
        samples = fitted + generator.choice(spread, size=(resamples, len(logs)))
    return rate_of_logs(points, centre, samples, confidence=confidence)


def rate_of_logs(
    x: FloatArray, centre: FloatArray, samples: FloatArray, *, confidence: float = 0.95
) -> Rate:
    """Return the power law over x (n,) of a curve, with the interval of its bootstrap samples.

    centre (n,), samples (resamples, n): logarithms. Nothing is checked.
    """
    logs = np.log(x)
    slope, intercept = _line(logs, centre)
    slopes, _ = _line(logs, samples)
    tail = (1.0 - confidence) / 2
    low, high = np.quantile(slopes, [tail, 1.0 - tail])
    return Rate(
        slope=float(slope),
        constant=float(np.exp(intercept)),
        interval=Bounds(low, high),
        confidence=confidence,
        covered=(float(x.min()), float(x.max())),
    )


def _line(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the slopes and intercepts of least-squares lines through y (..., n) over x (n,)."""
    centred = x - x.mean()
    slope = y @ centred / (centred @ centred)
    return slope, y.mean(axis=-1) - slope * x.mean()
