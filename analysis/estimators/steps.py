r"""Steps that the noise of a gradient allows: the guaranteed gain of a step and its maximiser.

For an L-smooth J and an unbiased estimate of the gradient with variance tr Cov = V,
    E J(theta + eta ghat) >= J(theta) + eta ||grad J||^2 - (L eta^2 / 2) (||grad J||^2 + V),
which is largest at eta* = ||grad J||^2 / (L (||grad J||^2 + V)) = (1 / L) SNR / (1 + SNR).
Sources: Huang, Sheng and Zheng (2025); Bottou, Curtis and Nocedal (2018), Lemma 4.2.
"""

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import as_float_array, check_finite, check_magnitude, check_range


def snr_learning_rate(*, gradient: ArrayLike, variance: float, smoothness: float) -> float:
    """Return the step eta* = ||grad||^2 / (L (||grad||^2 + V)) of largest guaranteed gain.

    gradient: (k,); variance: trace V of the estimate's covariance; smoothness: L > 0. Zero where
    the gradient is zero. Raises ValueError naming what does not fit.
    """
    signal, variance, smoothness = _checked(gradient, variance, smoothness)
    # In this form no sum overflows; without signal no step gains.
    return 1.0 / (1.0 + variance / signal) / smoothness if signal > 0 else 0.0


def guaranteed_gain(
    *, gradient: ArrayLike, variance: float, smoothness: float, step: float
) -> float:
    """Return eta ||grad||^2 - (L eta^2 / 2) (||grad||^2 + V), a lower bound of the expected gain.

    Arguments as `snr_learning_rate`; step: eta >= 0.
    """
    signal, variance, smoothness = _checked(gradient, variance, smoothness)
    check_range(step, "step", 0.0, np.inf, include_high=False)
    return step * signal - 0.5 * smoothness * step**2 * (signal + variance)


def _checked(gradient: ArrayLike, variance: float, smoothness: float) -> tuple[float, float, float]:
    array = as_float_array(gradient, "gradient", (None,))
    check_finite(array, "gradient")
    check_magnitude(float(np.abs(array).max(initial=0.0)), "gradient has entries")
    spread = check_range(variance, "variance", 0.0, np.inf, include_high=False)
    curvature = check_range(smoothness, "smoothness", 0.0, np.inf, include_high=False)
    if curvature == 0:
        raise ValueError("smoothness is 0; expected a positive number")
    return float(array @ array), spread, curvature
