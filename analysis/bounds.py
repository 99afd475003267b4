"""Certified enclosures: pairs of arrays that contain the true value, rounding included.

Every operation rounds outward by one unit in the last place, so an enclosure computed here
contains the exact result. `rounding_error` bounds the rounding of sums of products
(Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2).
"""

from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import FloatArray

UNIT_ROUNDOFF = 2.0**-53


def down(array: FloatArray | float) -> FloatArray:
    """Return the next float below, elementwise."""
    return np.asarray(np.nextafter(array, -np.inf))


def up(array: FloatArray | float) -> FloatArray:
    """Return the next float above, elementwise."""
    return np.asarray(np.nextafter(array, np.inf))


@dataclass(frozen=True, eq=False)
class Bounds:
    """A certified enclosure: `lower <= truth <= upper`, arrays of one shape.

    Raises ValueError if a lower bound exceeds its upper bound.
    """

    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        lower = np.asarray(self.lower, dtype=np.float64)
        upper = np.asarray(self.upper, dtype=np.float64)
        if lower.shape != upper.shape:
            raise ValueError(f"lower has shape {lower.shape}, upper {upper.shape}; must be equal")
        if not np.all(lower <= upper):
            raise ValueError("lower exceeds upper; an enclosure must not be empty")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def gap(self) -> float:
        """The largest width, 0 for an empty array."""
        return float(np.max(self.upper - self.lower, initial=0.0))

    def __add__(self, other: "Bounds | float") -> "Bounds":
        other = _as_bounds(other)
        return Bounds(down(self.lower + other.lower), up(self.upper + other.upper))

    def __sub__(self, other: "Bounds | float") -> "Bounds":
        other = _as_bounds(other)
        return Bounds(down(self.lower - other.upper), up(self.upper - other.lower))

    def __mul__(self, other: "Bounds | float") -> "Bounds":
        other = _as_bounds(other)
        products = [
            self.lower * other.lower,
            self.lower * other.upper,
            self.upper * other.lower,
            self.upper * other.upper,
        ]
        return Bounds(down(np.minimum.reduce(products)), up(np.maximum.reduce(products)))

    def contains(self, truth: FloatArray | float) -> bool:
        """Whether every entry of `truth` lies in its interval."""
        return bool(np.all((self.lower <= truth) & (truth <= self.upper)))


def rounding_error(depth: int, magnitude: float) -> float:
    """Bound the rounding error of a sum of products in which each goes through `depth` roundings.

    `magnitude` bounds the sum of the absolute values of the exact terms. Returns an absolute
    error, itself rounded up; terms that underflow are covered.
    """
    relative = depth * UNIT_ROUNDOFF / (1.0 - depth * UNIT_ROUNDOFF)
    return float(relative * magnitude * (1 + 1e-12) + 1e4 * depth * np.finfo(np.float64).tiny)


def _as_bounds(other: "Bounds | float") -> Bounds:
    if isinstance(other, Bounds):
        return other
    array = np.asarray(other, dtype=np.float64)
    return Bounds(array, array)
