"""Uncertainty sets: each is its inner problem, `worst_case(values, nominal)`."""

from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.total_variation import (
    L1,
    PenalisedTotalVariation,
    TotalVariation,
)

__all__ = [
    "L1",
    "Contamination",
    "Interval",
    "LInf",
    "PenalisedTotalVariation",
    "TotalVariation",
    "UncertaintySet",
]
