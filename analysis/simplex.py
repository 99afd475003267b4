"""The probability simplex: projection, softmax, and the two mirror maps of policy optimisation.

A mirror map is a Bregman divergence D together with the two problems solved with it: the step
argmax over p of gain * (g . p) - keep * D(p, current) - (1 - keep) * D(p, reference), and the
regularised maximum max over p of g . p - weight * D(p, reference). Entries of -inf mark what must
have no mass. Sources: Held, Wolfe and Crowder (1974) for the projection; Beck and Teboulle (2003)
for mirror steps; Geist, Scherrer and Pietquin (2019), section 2 for regularised maxima.
"""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rltheory.analysis.arrays import FloatArray, as_float_array
from rltheory.analysis.bounds import rounding_error


def project_simplex(points: ArrayLike) -> FloatArray:
    """Return the point of the simplex nearest to each row (..., n), in Euclidean distance.

    An entry of -inf gets no mass; every row needs a finite entry. Sorts each row, O(n log n).
    Raises ValueError for NaN, +inf, or a row without a finite entry.
    """
    array = _rows(points, "points")
    # Distances to the top are all that matters, and spare large coordinates their cancellation.
    below = array.max(axis=-1, keepdims=True) - array
    ascending = np.sort(below, axis=-1)
    finite = np.where(np.isfinite(ascending), ascending, 0.0)
    counts = np.arange(1, array.shape[-1] + 1)
    # The k largest entries share 1 unless the k-th would come out negative.
    room = 1.0 + np.cumsum(finite, axis=-1) - counts * finite
    support = np.isfinite(ascending) & (room > 0)
    size = support.sum(axis=-1, keepdims=True)
    share = (1.0 + np.where(support, ascending, 0.0).sum(axis=-1, keepdims=True)) / size
    return np.asarray(np.maximum(share - below, 0.0))


def log_softmax(logits: ArrayLike) -> FloatArray:
    """Return the logarithm of `softmax`, (..., n), exact also where the softmax underflows."""
    array = _rows(logits, "logits")
    shifted = array - array.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def softmax(logits: ArrayLike) -> FloatArray:
    """Return exp(x) / sum exp(x) for each row x (..., n); -inf gets no mass.

    Raises ValueError for NaN, +inf, or a row without a finite entry.
    """
    array = _rows(logits, "logits")
    weights = np.exp(array - array.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


class MirrorMap(ABC):
    """A Bregman divergence on the simplex; rows (..., n) throughout.

    Iterates live in coordinates of the map's choice, so that no step loses digits to underflow.
    """

    name: str

    @abstractmethod
    def coordinates(self, policy: FloatArray) -> FloatArray:
        """Return the coordinates of distributions (..., n)."""

    @abstractmethod
    def distribution(self, coordinates: FloatArray) -> FloatArray:
        """Return the distributions (..., n) of coordinates."""

    @abstractmethod
    def step(
        self, current: FloatArray, reference: FloatArray, ascent: FloatArray, keep: float
    ) -> FloatArray:
        """Return argmax over p of ascent . p - keep D(p, current) - (1 - keep) D(p, reference).

        Everything in coordinates but `ascent` (..., n); keep in [0, 1].
        """

    def maximiser(self, gains: FloatArray, reference: FloatArray, weight: float) -> FloatArray:
        """Return argmax over p of gains . p - weight * D(p, reference), (..., n)."""
        anchor = self.coordinates(reference)
        return self.distribution(self.step(anchor, anchor, _scaled(gains, weight), 0.0))

    @abstractmethod
    def divergence(self, policy: FloatArray, reference: FloatArray) -> FloatArray:
        """Return D(policy, reference), (...), of distributions."""

    @abstractmethod
    def maximum(self, gains: FloatArray, reference: FloatArray, weight: float) -> FloatArray:
        """Return max over p of gains . p - weight * D(p, reference), (...)."""

    @abstractmethod
    def divergence_error(self, policy: FloatArray, reference: FloatArray) -> float:
        """Bound the rounding error of `divergence`."""

    @abstractmethod
    def maximum_error(self, gains: FloatArray, reference: FloatArray, weight: float) -> float:
        """Bound the rounding error of `maximum`, for gains taken as exact."""


class _KullbackLeibler(MirrorMap):
    """D(p, q) = sum p log(p / q), in logarithms."""

    name = "kl"

    def coordinates(self, policy: FloatArray) -> FloatArray:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(policy))

    def distribution(self, coordinates: FloatArray) -> FloatArray:
        return softmax(coordinates)

    def step(
        self, current: FloatArray, reference: FloatArray, ascent: FloatArray, keep: float
    ) -> FloatArray:
        # A weight of zero drops its term: 0 * -inf is no logarithm of p^0.
        parts = [w * logs for w, logs in ((keep, current), (1 - keep, reference)) if w]
        return log_softmax(sum(parts, start=ascent))

    def divergence(self, policy: FloatArray, reference: FloatArray) -> FloatArray:
        ratio = np.where(policy > 0, policy, 1.0) / np.where(policy > 0, reference, 1.0)
        return np.asarray((policy * np.log(ratio)).sum(axis=-1))

    def maximum(self, gains: FloatArray, reference: FloatArray, weight: float) -> FloatArray:
        tilted = gains + weight * self.coordinates(reference)
        top = tilted.max(axis=-1)
        masses = np.exp(_scaled(tilted, weight))
        return np.asarray(top + weight * np.log(masses.sum(axis=-1)))

    def divergence_error(self, policy: FloatArray, reference: FloatArray) -> float:
        # The ratio is off by u, its logarithm by that and 4 ulps; the sum adds n roundings of
        # terms that come to at most log n + max |log q|.
        n = policy.shape[-1]
        size = 1.0 + np.log(n) + _largest(self.coordinates(reference))
        return rounding_error(n + 12, size)

    def maximum_error(self, gains: FloatArray, reference: FloatArray, weight: float) -> float:
        # An error in an exponent moves the logarithm of the sum by no more than itself; the sum
        # is at least 1, and exp and log are within 4 ulps.
        n = gains.shape[-1]
        size = 2 * _largest(gains) + 2 * weight * _largest(self.coordinates(reference))
        return rounding_error(n + 24, 2 * size + weight * (1.0 + np.log(n)))


class _Euclidean(MirrorMap):
    """D(p, q) = half the squared distance, in the distributions themselves."""

    name = "euclidean"

    def coordinates(self, policy: FloatArray) -> FloatArray:
        return policy

    def distribution(self, coordinates: FloatArray) -> FloatArray:
        return coordinates

    def step(
        self, current: FloatArray, reference: FloatArray, ascent: FloatArray, keep: float
    ) -> FloatArray:
        return project_simplex(keep * current + (1 - keep) * reference + _below_top(ascent))

    def divergence(self, policy: FloatArray, reference: FloatArray) -> FloatArray:
        return np.asarray(0.5 * np.square(policy - reference).sum(axis=-1))

    def maximum(self, gains: FloatArray, reference: FloatArray, weight: float) -> FloatArray:
        losses = _below_top(gains)
        best = project_simplex(reference + _scaled(gains, weight))
        lost = (np.where(best > 0, losses, 0.0) * best).sum(axis=-1)
        return np.asarray(gains.max(axis=-1) + lost - weight * self.divergence(best, reference))

    def divergence_error(self, policy: FloatArray, reference: FloatArray) -> float:
        return rounding_error(policy.shape[-1] + 4, 2.0)

    def maximum_error(self, gains: FloatArray, reference: FloatArray, weight: float) -> float:
        # What has mass lies within 1 of the top after division by the weight and adding the
        # reference: losses there are at most 2 weights, whatever the gains, and the objective's
        # slope at most 3. The projection is off by at most `off` in each entry.
        n = gains.shape[-1]
        off = rounding_error(2 * n + 8, 4.0)
        inside = n * off * 3 * weight + rounding_error(n + 8, 4 * weight)
        return float(inside + rounding_error(4, _largest(gains) + 4 * weight))


KL: MirrorMap = _KullbackLeibler()
EUCLIDEAN: MirrorMap = _Euclidean()


def mirror_map(name: Any) -> MirrorMap:
    """Return the mirror map "kl" or "euclidean". Raises ValueError for any other name."""
    for candidate in (KL, EUCLIDEAN):
        if name == candidate.name:
            return candidate
    raise ValueError(f"divergence is {name!r}; expected 'kl' or 'euclidean'")


def _rows(argument: ArrayLike, name: str) -> FloatArray:
    array = as_float_array(argument, name)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected (..., n) with n >= 1")
    top = array.max(axis=-1)
    if not np.all(np.isfinite(top)):
        where = np.argwhere(~np.isfinite(top))[0]
        index = f"[{', '.join(map(str, where))}]" if len(where) else ""
        raise ValueError(
            f"{name}{index} has the largest entry {top[tuple(where)]}; "
            "expected numbers below +inf, at least one of them finite"
        )
    return array


def _below_top(gains: FloatArray) -> FloatArray:
    """Return gains less the largest of their row: what sums to 1 does not see the difference."""
    return np.asarray(gains - gains.max(axis=-1, keepdims=True))


def _scaled(gains: FloatArray, weight: float) -> FloatArray:
    """Return `_below_top` over a weight: -inf, which is as good, where the weight is too small."""
    with np.errstate(over="ignore"):
        return np.asarray(_below_top(gains) / weight)


def _largest(array: FloatArray) -> float:
    """Return the largest finite absolute value."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))
