"""What learners over a class return, how many repetitions they need, and how often they fail.

Numbers of repetitions come from Hoeffding's and Bernstein's inequalities with a union bound over
the class; frequencies of failure come with the exact binomial interval. Sources: Hoeffding (1963),
Theorem 2; Bernstein's inequality as in Boucheron, Lugosi and Massart (2013), section 2.8; Clopper
and Pearson (1934).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, log, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.bounds import Bounds

_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class ClassEstimate:
    """Estimated values of all policies of a class.

    values: (P,); best: index of the first best estimate; repetitions: trees or episodes;
    samples: all that was drawn for it, by the counters of the access; deviation: with probability
    `confidence` no value is farther than this from the truth, where returns lie in [0, 1].
    """

    values: FloatArray
    best: int
    repetitions: int
    samples: int
    deviation: float
    confidence: float


@dataclass(frozen=True)
class FailureFrequency:
    """How often a learner failed.

    interval: exact binomial interval of the probability of failure, at level `confidence`.
    """

    failures: int
    runs: int
    interval: Bounds
    confidence: float


def hoeffding_repetitions(policies: int, accuracy: float, confidence: float) -> int:
    """Return how many means of terms in [0, 1] make the best of a class `accuracy`-optimal.

    All means are within accuracy / 2 with probability `confidence`: 2 log(2 P / delta) / eps^2.
    """
    _check_goal(policies, accuracy, confidence)
    return ceil(2.0 * log(2.0 * policies / (1.0 - confidence)) / accuracy**2)


def hoeffding_deviation(policies: int, repetitions: int, confidence: float) -> float:
    """Return what no mean of `repetitions` terms in [0, 1] exceeds with this confidence."""
    _check_goal(policies, 1.0, confidence)
    check_positive_integer(repetitions, "repetitions")
    return sqrt(log(2.0 * policies / (1.0 - confidence)) / (2.0 * repetitions))


def bernstein_repetitions(
    policies: int, accuracy: float, confidence: float, *, weight: float
) -> int:
    """Return how many means of terms in [0, weight] of second moment <= weight are needed."""
    _check_goal(policies, accuracy, confidence)
    aim, logarithm = accuracy / 2.0, log(2.0 * policies / (1.0 - confidence))
    # Both terms of the deviation as a quadratic inequality for the root of the number.
    noise = sqrt(2.0 * weight * logarithm)
    root = (noise + sqrt(noise**2 + 4.0 * aim * weight * logarithm / 3.0)) / (2.0 * aim)
    return ceil(root**2)


def bernstein_deviation(
    policies: int, repetitions: int, confidence: float, *, weight: float
) -> float:
    """Return what no mean of terms in [0, weight] of second moment <= weight exceeds."""
    _check_goal(policies, 1.0, confidence)
    check_positive_integer(repetitions, "repetitions")
    logarithm = log(2.0 * policies / (1.0 - confidence))
    return sqrt(2.0 * weight * logarithm / repetitions) + weight * logarithm / (3.0 * repetitions)


@dataclass(frozen=True)
class EmulatorNumbers:
    """What `policy_emulator` is called with, and the error of values that it then keeps to."""

    accuracy: float
    observations: int
    draws: int
    rollouts: int
    error: float


def emulator_numbers(
    policies: int,
    *,
    horizon: int,
    states: int,
    actions: int,
    emitted: int,
    separation: float,
    confidence: float,
) -> EmulatorNumbers:
    """Return numbers at which `policy_emulator` errs on no policy by more than `error`.

    For a class of P policies of latent states, returns in [0, 1], the mean emission as reset, and
    latent states which at every step differ by `separation` D > 0 for some policy and first action,
    or not at all; emitted: X observations of a step. With accuracy a = 3 D / 5, and delta a third
    each for
    - observations: all S states are among them, as H S (1 - 1 / S)^n <= delta / 3;
    - draws: means are within t = a / (4 H), at H n A pairs and at the start, for P policies;
    - rollouts: tests are within u = a / 4, each decoded observation meeting S - 1 of them, each
      emulator state S (S - 1) / 2 + 2.
    Emulated values are then wrong by H t = a / 4 at most in a layer, so that states of one block
    are within a of its centre and others are not, tests decide right, and none is failed; with the
    start the error is (H + 1) t. Source: derived here, by Hoeffding's inequality.
    Raises ValueError naming the argument that does not fit.
    """
    _check_goal(policies, 1.0, confidence)
    check_range(separation, "separation", 2.0**-20, 1.0)
    for name, number in (("horizon", horizon), ("states", states), ("actions", actions)):
        check_positive_integer(number, name)
    check_positive_integer(emitted, "emitted")
    share = (1.0 - confidence) / 3.0
    accuracy = 0.6 * separation
    count = 1 if states == 1 else ceil(log(horizon * states / share) / -log(1.0 - 1.0 / states))
    means = 2.0 * policies * (horizon * count * actions + 1)
    t = accuracy / (4.0 * horizon)
    decoded = emitted * (states - 1)
    tests = horizon * (actions * decoded + count * (states * (states - 1) // 2 + 2)) + decoded
    return EmulatorNumbers(
        accuracy=accuracy,
        observations=count,
        draws=ceil(log(means / share) / (2.0 * t**2)),
        rollouts=ceil(8.0 * log(2.0 * tests / share) / accuracy**2),
        error=(horizon + 1) * t,
    )


def clopper_pearson(failures: int, runs: int, *, confidence: float = 0.99) -> Bounds:
    """Return the exact interval of a probability after `failures` in `runs` independent runs.

    Raises ValueError naming the argument that does not fit. Source: Clopper and Pearson (1934).
    """
    from scipy.stats import beta

    check_positive_integer(runs, "runs")
    if not 0 <= failures <= runs:
        raise ValueError(f"failures is {failures}; expected 0 to runs = {runs}")
    _check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if failures == 0 else float(beta.ppf(tail, failures, runs - failures + 1))
    high = 1.0 if failures == runs else float(beta.ppf(1.0 - tail, failures + 1, runs - failures))
    return Bounds(np.asarray(low), np.asarray(high))


def failure_frequency(
    run: Callable[[int], Any],
    truth: ArrayLike,
    *,
    accuracy: float,
    runs: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
) -> FailureFrequency:
    """Return how often the policy that `run` calls best is worse than the best by > `accuracy`.

    run(seed): anything with `best`, an index into `truth` (P,), the exact values; it is called
    with the seeds seed, ..., seed + runs - 1. Raises ValueError naming what does not fit.
    """
    values = as_float_array(truth, "truth", (None,))
    check_finite(values, "truth")
    if not values.size:
        raise ValueError("truth is empty; expected the value of each policy")
    check_range(accuracy, "accuracy", 0.0, np.inf)
    check_positive_integer(runs, "runs")
    chosen = np.array([run(seed + k).best for k in range(runs)], dtype=np.int64)
    lost = values.max() - values[chosen]
    # Values are sums of floats: what exceeds the accuracy by rounding only is no failure.
    failures = int((lost > accuracy + _ROUNDING).sum())
    interval = clopper_pearson(failures, runs, confidence=confidence)
    return FailureFrequency(failures, runs, interval, confidence)


def check_returns(returns: FloatArray) -> None:
    """Raise ValueError unless all returns seen lie in [0, 1], on which the guarantees rest."""
    low, high = float(returns.min(initial=0.0)), float(returns.max(initial=0.0))
    if low < -_ROUNDING or high > 1.0 + _ROUNDING:
        worst = low if low < -_ROUNDING else high
        raise ValueError(f"an episode returned {worst:g}; scale rewards so that all are in [0, 1]")


def number_of(
    given: int | None,
    name: str,
    accuracy: float | None,
    needed: Callable[[float], int],
) -> int:
    """Return the number given, or the one that the accuracy needs; one of them must be there."""
    if (given is None) == (accuracy is None):
        raise ValueError(f"{name} is {given} and accuracy is {accuracy}; expected one of them")
    if given is not None:
        return check_positive_integer(given, name)
    assert accuracy is not None
    return needed(accuracy)


def _check_goal(policies: int, accuracy: float, confidence: float) -> None:
    check_positive_integer(policies, "policies")
    if not 0.0 < accuracy <= 1.0:
        raise ValueError(f"accuracy is {accuracy}; expected a number in (0, 1]")
    _check_confidence(confidence)


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}; expected a number inside (0, 1)")
