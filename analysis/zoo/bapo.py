r"""BAPO: clip bounds that move until positive advantages weigh enough, and the entropy-clip rule.

The surrogate is min(w A, clip(w, low, high) A) with ratio w. The rule says how the tokens that are
not clipped change the entropy: -Cov(log pi, A X), X marking them, for a step of the natural
gradient; the plain gradient brings a factor pi that the published rule has dropped.
Source: Xi et al. (2025), equations 6 to 8 and Algorithm 1.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import FloatArray, as_float_array, check_finite, check_range
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.zoo.entropy import entropy_slope, natural_direction, plain_direction


@dataclass(frozen=True, kw_only=True)
class AdaptiveClip:
    """The settings of Algorithm 1: where the bounds start and end, their steps, the share wanted.

    Raises ValueError naming a field unless 0 <= low <= low_limit, 0 < high <= high_limit, the
    steps are positive and the share lies in [0, 1].
    """

    low: float = 0.6
    low_limit: float = 0.9
    low_step: float = 0.02
    high: float = 1.2
    high_limit: float = 3.0
    high_step: float = 0.05
    share: float = 0.4

    def __post_init__(self) -> None:
        check_range(self.low_limit, "low_limit", 0.0, np.inf, include_high=False)
        check_range(self.high_limit, "high_limit", 0.0, np.inf, include_high=False)
        check_range(self.low, "low", 0.0, self.low_limit)
        check_range(self.high, "high", 0.0, self.high_limit)
        check_range(self.share, "share", 0.0, 1.0)
        for name in ("high", "low_step", "high_step"):
            if not 0 < getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a positive number")


class ClipBounds(NamedTuple):
    """Bounds of the ratio, the share of positive advantages under them, and whether it is met."""

    low: float
    high: float
    share: float
    met: bool


def open_side(
    ratios: NDArray[Any], advantages: NDArray[Any], low: Any, high: Any
) -> NDArray[np.bool_]:
    """Return X: whether the gradient of min(w A, clip(w, low, high) A) is not cut off."""
    return np.asarray(np.where(advantages > 0, ratios < high, ratios > low))


def contributions(
    masses: NDArray[Any], ratios: NDArray[Any], advantages: NDArray[Any], low: Any, high: Any
) -> tuple[Any, Any]:
    """Return the absolute surrogates of positive and of negative advantages, two numbers.

    masses: probabilities of drawing what has these ratios and advantages, arrays of one shape.
    What is clipped counts with its bound, as in equation 8 and the public code.
    """
    gains = masses * np.minimum(ratios, high) * advantages
    losses = masses * np.maximum(ratios, low) * advantages
    none = 0 * gains
    return (
        np.where(advantages > 0, gains, none).sum(),
        -np.where(advantages < 0, losses, none).sum(),
    )


def positive_share(
    masses: ArrayLike, ratios: ArrayLike, advantages: ArrayLike, *, low: float, high: float
) -> float:
    """Return the share of positive advantages in the absolute surrogate; 1 if there is none.

    masses, ratios, advantages: arrays of one shape, the first two nonnegative.
    """
    gains, losses = contributions(*_settled(masses, ratios, advantages), low, high)
    return float(gains / (gains + losses)) if gains + losses > 0 else 1.0


def adapt(
    masses: ArrayLike, ratios: ArrayLike, advantages: ArrayLike, rule: AdaptiveClip
) -> ClipBounds:
    """Return the bounds of Algorithm 1: first the upper one moves, at its end the lower one.

    Raises ValueError if shapes differ, an entry is not finite, or a mass or ratio is negative.
    """
    arrays = _settled(masses, ratios, advantages)
    low_moves = high_moves = 0
    while True:
        # Counted in steps, so that rounding does not add up; the slack lets a limit be reached.
        low, high = rule.low + low_moves * rule.low_step, rule.high + high_moves * rule.high_step
        share = positive_share(*arrays, low=low, high=high)
        met = share >= rule.share
        if met or low + rule.low_step > rule.low_limit + 1e-12:
            return ClipBounds(low, high, share, met)
        if high + rule.high_step <= rule.high_limit + 1e-12:
            high_moves += 1
        else:
            low_moves += 1


def entropy_clip_rule(policy: ArrayLike, advantages: ArrayLike, unclipped: ArrayLike) -> FloatArray:
    """Return -Cov_pi(log pi, A X), the change of entropy that equation 6 predicts, (...).

    It is that of a step A X + C of the logits, as the natural gradient takes. unclipped: X.
    """
    kept = _kept(advantages, unclipped)
    return entropy_slope(policy, natural_direction(policy, kept))


def plain_entropy_clip_rule(
    policy: ArrayLike, advantages: ArrayLike, unclipped: ArrayLike
) -> FloatArray:
    """Return -Cov_pi(log pi, pi (A X - E[A X])), the change along the plain gradient, (...)."""
    kept = _kept(advantages, unclipped)
    return entropy_slope(policy, plain_direction(policy, kept))


def balanced_gradient(
    model: SamplingModel,
    parameters: FloatArray,
    behaviour: FloatArray,
    advantages: ArrayLike,
    rule: AdaptiveClip,
) -> tuple[FloatArray, ClipBounds]:
    """Return the exact gradient (k,) of BAPO's token-mean objective, and the bounds it took.

    parameters, behaviour: (k,) of the policy and of the one that drew; advantages: (n,).
    """
    outcomes = model.at(parameters, behaviour=behaviour)
    choices = outcomes.choices
    assert choices is not None
    there = model.rows >= 0
    gains = as_float_array(advantages, "advantages", (len(model.rewards),))
    drawn = model.weights[model.prompt_of] * outcomes.drawn
    masses = np.where(there, drawn[:, None], 0.0) / (drawn @ outcomes.lengths)
    table = np.broadcast_to(gains[:, None], masses.shape)
    bounds = adapt(masses, choices.ratios, table, rule)
    unclipped = open_side(choices.ratios, table, bounds.low, bounds.high)
    weights = np.where(unclipped, choices.ratios * table, 0.0)
    scores = choices.scores(np.where(there, weights, 0.0))
    return np.asarray(scores.T @ drawn / (drawn @ outcomes.lengths)), bounds


def _kept(advantages: ArrayLike, unclipped: ArrayLike) -> FloatArray:
    gains = as_float_array(advantages, "advantages")
    open_ones = np.asarray(unclipped)
    if open_ones.dtype.kind != "b" or open_ones.shape != gains.shape:
        raise ValueError(
            f"unclipped has shape {open_ones.shape} and type {open_ones.dtype}; "
            f"expected booleans of shape {gains.shape}"
        )
    return np.where(open_ones, gains, 0.0)


def _settled(
    masses: ArrayLike, ratios: ArrayLike, advantages: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    weights = as_float_array(masses, "masses")
    settled = [weights]
    for given, name in ((ratios, "ratios"), (advantages, "advantages")):
        settled.append(as_float_array(given, name, weights.shape))
    for array, name in zip(settled, ("masses", "ratios", "advantages"), strict=True):
        check_finite(array, name)
        if name != "advantages" and array.size and array.min() < 0:
            raise ValueError(f"{name} has the entry {array.min()}; expected numbers >= 0")
    return settled[0], settled[1], settled[2]
