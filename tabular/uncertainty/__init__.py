"""Uncertainty sets: each is its inner problem, `worst_case(values, nominal)`."""

from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.chi_square import ChiSquare
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.euclidean import L2
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.kullback_leibler import KullbackLeibler
from rltheory.tabular.uncertainty.penalised import (
    Penalised,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
)
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation
from rltheory.tabular.uncertainty.wasserstein import Wasserstein

__all__ = [
    "L1",
    "L2",
    "ChiSquare",
    "Contamination",
    "Interval",
    "KullbackLeibler",
    "LInf",
    "Penalised",
    "PenalisedChiSquare",
    "PenalisedKullbackLeibler",
    "PenalisedTotalVariation",
    "TotalVariation",
    "UncertaintySet",
    "Wasserstein",
]
