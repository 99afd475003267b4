r"""Learning without sampling noise: mean dynamics, their certificate, exact gains of a noisy step.

With m = E ghat, V its variance and J L-smooth, E J(theta + eta ghat) - J(theta) is at least
eta grad J . m - (L eta^2 / 2) (||m||^2 + V). For an unbiased estimate the best step is
(1 / L) SNR / (1 + SNR), and the gain that it guarantees ||grad J||^4 / (2 L (||grad J||^2 + V)).
Guaranteed gains sum to no more than what is left to gain, so some gradient on the way is small.
Sources: Huang, Sheng and Zheng (2025); derived.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import (
    FloatArray,
    as_float_array,
    check_finite,
    check_positive_integer,
    check_range,
    read_only,
)
from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.group_sums import known_group, weighted_vectors
from rltheory.analysis.estimators.groups import enumerate_groups, types_of
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.response_tables import ResponseTables
from rltheory.analysis.estimators.sampling_model import SamplingModel
from rltheory.analysis.estimators.smoothness import smoothness as smoothness_of
from rltheory.analysis.estimators.weights import Estimator, estimator_of

MOST_BATCHES = 10**6
"""More batches than this are not enumerated."""


class Certificate(NamedTuple):
    """What the guaranteed gains of a run say about its gradients.

    guaranteed: their sum; room: the most that J could gain from the start, from above;
    least_gradient: the smallest norm of a gradient met; bound: what it cannot exceed.
    """

    guaranteed: float
    room: float
    least_gradient: float
    bound: float

    @property
    def holds(self) -> bool:
        """Whether both inequalities hold in the numbers."""
        return self.guaranteed <= self.room and self.least_gradient <= self.bound


@dataclass(frozen=True, eq=False)
class ExactAscent:
    """Mean dynamics over T steps, from T + 1 points.

    values: (T + 1,) J; gradient_norms: (T + 1,); and (T,) each: alignments grad J . m,
    mean_norms ||m||, variances V, step_sizes, guaranteed_gains. parameters: (T + 1, k).
    smoothness: L; top: no policy has a J above it; best_steps: whether the steps are those of
    largest guaranteed gain.
    """

    values: FloatArray
    gradient_norms: FloatArray
    alignments: FloatArray
    mean_norms: FloatArray
    variances: FloatArray
    step_sizes: FloatArray
    guaranteed_gains: FloatArray
    parameters: FloatArray
    smoothness: float
    top: float
    best_steps: bool

    @property
    def signal_to_noise(self) -> FloatArray:
        """||grad J||^2 / V, (T,); infinite where there is no noise."""
        signal = self.gradient_norms[:-1] ** 2
        noisy = self.variances > 0
        return np.where(noisy, signal / np.where(noisy, self.variances, 1.0), np.inf)

    @property
    def realised_gains(self) -> FloatArray:
        """What J gained at each step along the mean, (T,)."""
        return np.diff(self.values)

    @cached_property
    def certificate(self) -> Certificate:
        """The bound of the least gradient norm that the guaranteed gains imply.

        The gain guaranteed at step t from a gradient of squared norm x is a^2 x^2 / (r x + V), with
        the alignment a and the squared length r of m relative to the gradient's, over 2 L at the
        best step. It grows with x, so that x at the least gradient is at most the root of
        sum over t of a_t^2 x^2 / (2 L (r_t x + V_t)) = room; at another step size likewise, of
        sum over t of (eta_t a_t - L eta_t^2 r_t / 2) x - L eta_t^2 V_t / 2 = room.
        """
        signal = self.gradient_norms[:-1] ** 2
        safe = np.where(signal > 0, signal, 1.0)
        align, length = self.alignments / safe, self.mean_norms**2 / safe
        room, least = float(self.top - self.values[0]), float(self.gradient_norms[:-1].min())
        guaranteed = float(self.guaranteed_gains.sum())
        half = 0.5 * self.smoothness
        if least == 0.0:
            bound = 0.0
        elif self.best_steps:
            bound = np.sqrt(_root(np.maximum(align, 0.0), length, self.variances, 4 * half * room))
        else:
            # Linear in x, and it bounds something where no step is too long for its gradient.
            eta = self.step_sizes
            slopes = eta * align - half * eta**2 * length
            noise = float((half * eta**2 * self.variances).sum())
            useful = slopes.min() >= 0 and slopes.sum() > 0
            bound = np.sqrt((room + noise) / slopes.sum()) if useful else np.inf
        return Certificate(guaranteed, room, least, float(bound))


def exact_ascent(
    model: SamplingModel,
    parameters: FloatArray | None = None,
    *,
    estimator: Estimator | str,
    steps: int,
    group_size: int,
    prompts: int = 1,
    smoothness: float | None = None,
    step: float | None = None,
) -> ExactAscent:
    """Return the dynamics theta + eta E ghat, with moments by enumeration at every point.

    ghat averages over `prompts` groups of `group_size` responses, which decides its noise.
    step: eta, by default the best step of the guarantee, (1 / L) SNR / (1 + SNR) for an unbiased
    estimator. parameters: the start (k,), zeros by default. smoothness: L, by default the bound
    `smoothness(model)`. Errors as those of `estimator_moments`.
    """
    chosen = estimator_of(estimator)
    check_positive_integer(steps, "steps")
    constant = smoothness_of(model) if smoothness is None else smoothness
    check_range(constant, "smoothness", np.nextafter(0.0, 1.0), np.inf, include_high=False)
    if step is not None:
        check_range(step, "step", 0.0, np.inf, include_high=False)
    point = np.zeros(model.size) if parameters is None else parameters
    point = as_float_array(point, "parameters", (model.size,))
    check_finite(point, "parameters")
    points, rows = [point], []
    for _ in range(steps):
        outcomes = model.at(point)
        moments = estimator_moments(
            outcomes, chosen, group_size=group_size, prompts=prompts, covariance=False
        )
        mean, gradient, noise = moments.mean, moments.gradient, float(moments.variance)
        align, square = float(gradient @ mean), float(mean @ mean)
        eta = _best(align, square + noise, constant) if step is None else float(step)
        gain = eta * align - 0.5 * constant * eta**2 * (square + noise)
        rows.append(
            (outcomes.value, np.sqrt(gradient @ gradient), align, np.sqrt(square), noise, eta, gain)
        )
        point = point + eta * mean
        points.append(point)
    columns = np.array(rows, dtype=float).T
    last = model.at(point)
    starts = model.starts[:-1]
    return ExactAscent(
        values=read_only(np.append(columns[0], last.value)),
        gradient_norms=read_only(np.append(columns[1], np.sqrt(last.gradient @ last.gradient))),
        alignments=read_only(columns[2]),
        mean_norms=read_only(columns[3]),
        variances=read_only(columns[4]),
        step_sizes=read_only(columns[5]),
        guaranteed_gains=read_only(columns[6]),
        parameters=read_only(np.stack(points)),
        smoothness=float(constant),
        top=float(model.weights @ np.maximum.reduceat(model.rewards, starts)),
        best_steps=step is None,
    )


def enumerate_estimates(
    model: Outcomes | SamplingModel,
    estimator: Estimator | str,
    *,
    parameters: FloatArray | None = None,
    group_size: int = 1,
    prompts: int = 1,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return all values that an estimate can take: probabilities (B,) and estimates (B, k).

    Each is a batch of `prompts` groups of `group_size` responses up to the order of members;
    Fractions if the outcomes are. model and parameters as of `estimator_moments`, on policy.
    Raises ValueError if there are more than 10^6 batches.
    """
    chosen = estimator_of(estimator)
    size = chosen.check_group(group_size)
    check_positive_integer(prompts, "prompts")
    if isinstance(model, SamplingModel):
        model = model.at(np.zeros(model.size) if parameters is None else parameters)
    known = known_group(model)
    outcomes = model.as_one_prompt() if chosen.scope == "batch" else model
    tables = [t if isinstance(t, np.ndarray) else t.toarray() for t in
              weighted_vectors(chosen, outcomes)]  # fmt: skip
    numbers = np.arange(len(outcomes.rewards))
    chances, estimates = [], []
    for x, weight in enumerate(outcomes.weights):
        there = slice(int(outcomes.starts[x]), int(outcomes.starts[x + 1]))
        types = types_of([numbers[there]], outcomes.drawn[there])
        _check_batches(types.multisets(size))
        for members, probabilities in enumerate_groups(types, size):
            groups = types.first[members] + there.start
            once = groups if chosen.scope == "batch" else groups[:, :1]
            weights = chosen.weights(
                Group(
                    known.rewards[groups],
                    known.squared_norms[groups],
                    known.lengths[groups],
                    *(getattr(known, name)[once] for name in ("value", "optimal", "greedy")),
                )
            )
            total = 0 * probabilities[:, None]
            for i in range(size):
                w, rows = weights[:, i, None], groups[:, i]
                vectors = tables[0][rows]
                if len(tables) > 1:
                    vectors = np.where(w < 0, tables[1][rows], vectors)
                total = total + w * vectors
            chances.append(weight * probabilities)
            estimates.append(total)
    one, found = np.concatenate(chances), np.concatenate(estimates)
    _check_batches(len(one) ** prompts)
    probability, value = one, found
    for _ in range(prompts - 1):
        probability = np.multiply.outer(probability, one).ravel()
        value = (value[:, None] + found).reshape(-1, found.shape[1])
    return probability, value / prompts


def expected_gain(
    model: SamplingModel,
    parameters: FloatArray,
    estimator: Estimator | str,
    *,
    group_size: int,
    step: float,
    prompts: int = 1,
) -> float:
    """Return E J(theta + step * ghat) - J(theta), exact but for rounding, over all batches.

    Raises ValueError if there are more than 10^6 of them.
    """
    check_range(step, "step", 0.0, np.inf, include_high=False)
    probabilities, estimates = enumerate_estimates(
        model, estimator, parameters=parameters, group_size=group_size, prompts=prompts
    )
    tables = ResponseTables.of(model, "numpy")
    start = np.asarray(parameters, dtype=float)[None]
    before = tables.values(tables.state(start))
    gain = 0.0
    chunk = max(1, 2**20 // len(model.rewards))
    for i in range(0, len(estimates), chunk):
        after = tables.values(tables.state(start + step * estimates[i : i + chunk]))
        gain += float(probabilities[i : i + chunk] @ (after - before))
    return gain


def _best(alignment: float, square: float, smoothness: float) -> float:
    """Return the step of largest guaranteed gain; zero where all is zero, or against the slope."""
    return max(alignment, 0.0) / (smoothness * square) if square > 0 else 0.0


def _root(align: FloatArray, length: FloatArray, noise: FloatArray, target: float) -> float:
    """Return the x >= 0 where sum over t of align^2 x^2 / (length x + noise) = target."""

    def total(x: float) -> float:
        below = length * x + noise
        return float((align**2 * x**2 / np.where(below > 0, below, 1.0)).sum())

    if not np.any(align > 0):
        return float(np.inf)
    high = 1.0
    while total(high) < target:
        high *= 2.0
    low = 0.0
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            # From above, so that the bound errs to the safe side.
            return high
        low, high = (middle, high) if total(middle) < target else (low, middle)


def _check_batches(count: int) -> None:
    if count > MOST_BATCHES:
        raise ValueError(f"there are {count} batches to enumerate; at most {MOST_BATCHES} are")
