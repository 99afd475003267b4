r"""Rules for the step: fixed, or as large as the signal-to-noise ratio of the estimates allows.

The mean ghat of N independent estimates has E ||ghat||^2 = ||E ghat||^2 + V, and Vhat, the sum of
their squared distances from it over N (N - 1), is unbiased for V. So ||ghat||^2 - Vhat is an
unbiased estimate of the signal ||E ghat||^2; it may be negative. Averages S, V of both over past
steps give
    eta = (1 / L) SNR / (1 + SNR) = (1 / L) S / (S + V),  S floored at zero after averaging.
Source: derived, after Huang, Sheng and Zheng (2025), whose own averaging was not available.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import check_range
from rltheory.analysis.backends import namespace


class Averages(NamedTuple):
    """Exponential averages (s,) of signal and noise from a start at zero.

    Both are short of their means by the factor 1 - decay^steps, which cancels in their ratio.
    """

    signal: Any
    noise: Any


class Step(NamedTuple):
    """A rule's answer: steps (s,), the signal-to-noise ratios (s,) it reckons with, averages."""

    size: Any
    signal_to_noise: Any
    averages: Averages


@dataclass(frozen=True)
class FixedStep:
    """The same step at all times. Raises ValueError unless it is a positive number."""

    step: float

    by_group = False

    def __post_init__(self) -> None:
        _positive(self, "step")

    def __call__(self, averages: Averages, squared_norm: Any, noise: Any) -> Step:
        """Return the step; the ratio is NaN, as nothing is estimated."""
        blank = squared_norm * np.nan
        return Step(0.0 * averages.signal + self.step, blank, averages)


@dataclass(frozen=True, kw_only=True)
class SNRStep:
    """The step (1 / L) SNR / (1 + SNR) from running averages, clipped to the bounds.

    smoothness: L; decay in [0, 1): weight of the past in the averages, 0 for none;
    smallest, largest: bounds of the step, 0 and 1 / L by default.
    Raises ValueError naming what does not fit.
    """

    smoothness: float
    decay: float = 0.9
    smallest: float = 0.0
    largest: float | None = None

    by_group = True

    def __post_init__(self) -> None:
        _positive(self, "smoothness")
        check_range(self.decay, "decay", 0.0, 1.0, include_high=False)
        low = check_range(self.smallest, "smallest", 0.0, np.inf, include_high=False)
        if self.largest is not None:
            check_range(self.largest, "largest", low, np.inf, include_high=False)

    def __call__(self, averages: Averages, squared_norm: Any, noise: Any) -> Step:
        """Return the step after an estimate of this squared norm (s,) and this noise (s,)."""
        xp = namespace(squared_norm)
        signal = self.decay * averages.signal + (1.0 - self.decay) * (squared_norm - noise)
        spread = self.decay * averages.noise + (1.0 - self.decay) * noise
        kept = xp.maximum(signal, 0.0)
        total = kept + spread
        share = xp.where(total > 0, kept / xp.where(total > 0, total, 1.0), 0.0)
        ratio = xp.where(
            spread > 0,
            kept / xp.where(spread > 0, spread, 1.0),
            xp.where(kept > 0, xp.inf, 0.0),
        )
        high = 1.0 / self.smoothness if self.largest is None else self.largest
        step = xp.clip(share / self.smoothness, self.smallest, max(high, self.smallest))
        return Step(step, ratio, Averages(signal, spread))


StepRule = FixedStep | SNRStep


def start_averages(xp: Any, count: int) -> Averages:
    """Return averages of nothing, for `count` learners."""
    return Averages(xp.zeros(count), xp.zeros(count))


def _positive(rule: Any, name: str) -> None:
    number = check_range(getattr(rule, name), name, 0.0, np.inf, include_high=False)
    if number == 0:
        raise ValueError(f"{name} is 0; expected a positive number")
