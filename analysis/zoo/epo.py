r"""EPO: an entropy bonus, and a penalty outside a corridor around the mean of past entropies.

The penalty of a token is alpha ([low ref - H]_+ + [H - high ref]_+), where ref is the mean of all
earlier steps' mean entropies. It has no slope inside the corridor, whose walls move with it.
Source: Xu et al. (2025), "EPO", second version, equations 2 to 6 and Algorithm 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.zoo.entropy import (
    rows_to_parameters,
    shannon_entropy,
    shannon_gradient,
    visit_counts,
)


@dataclass(frozen=True, kw_only=True)
class Corridor:
    """Walls at `low` and `high` times the reference, and the penalty per nat beyond, `slope`.

    Raises ValueError unless 0 <= low <= 1 <= high and slope >= 0.
    """

    low: float = 0.5
    high: float = 1.5
    slope: float = 0.1

    def __post_init__(self) -> None:
        check_range(self.low, "low", 0.0, 1.0)
        check_range(self.high, "high", 1.0, np.inf, include_high=False)
        check_range(self.slope, "slope", 0.0, np.inf, include_high=False)

    def penalties(self, entropies: NDArray[Any], reference: Any) -> NDArray[Any]:
        """Return the penalty of each entropy, nonnegative, of one shape."""
        below = np.maximum(self.low * reference - entropies, 0)
        above = np.maximum(entropies - self.high * reference, 0)
        return np.asarray(self.slope * (below + above))

    def slopes(self, entropies: NDArray[Any], reference: Any) -> NDArray[Any]:
        """Return the derivative of each penalty by its entropy: -slope, 0 or slope."""
        above = np.where(entropies > self.high * reference, self.slope, 0.0)
        return np.asarray(np.where(entropies < self.low * reference, -self.slope, above))


def reference_entropy(history: ArrayLike) -> float | None:
    """Return the mean of all earlier steps' mean entropies (k,); None if there is none yet."""
    past = as_float_array(history, "history", (None,))
    check_finite(past, "history")
    return float(past.mean()) if len(past) else None


def phase_weight(step: int, steps: int, *, decay: float = 1.0) -> float:
    """Return beta = 1 + exp(-decay step / floor(steps / 2)), from 2 at the first step down.

    step: 0 to steps - 1; steps >= 2. The decay is not known from the paper; 1 is a choice here.
    """
    check_positive_integer(steps, "steps")
    if steps < 2:
        raise ValueError(f"steps is {steps}; expected at least 2")
    check_range(step, "step", 0.0, steps - 1)
    check_range(decay, "decay", 0.0, np.inf, include_high=False)
    return 1.0 + float(np.exp(-decay * step / (steps // 2)))


def regulariser_gradient(
    model: SamplingModel,
    parameters: FloatArray,
    reference: float | None,
    corridor: Corridor,
    *,
    phase: float = 2.0,
) -> FloatArray:
    """Return the gradient (k,) of L_H - phase L_smooth, with the responses held as drawn.

    Both are means over responses of means over their tokens. reference: in nats, None at the
    first step, which is not smoothed.
    """
    outcomes = model.at(parameters)
    policy = model.policy(parameters)
    shares = visit_counts(model, outcomes.joint / outcomes.lengths).sum(axis=0)
    pull = np.ones(len(policy))
    if reference is not None:
        check_range(reference, "reference", 0.0, np.inf, include_high=False)
        pull = pull - phase * corridor.slopes(shannon_entropy(policy), reference)
    return rows_to_parameters(
        model, parameters, (shares * pull)[:, None] * shannon_gradient(policy)
    )
