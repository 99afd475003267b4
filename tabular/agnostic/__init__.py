"""Agnostic policy learning: policy classes, their complexity, learners that count samples."""

from rltheory.tabular.agnostic.access import Generative, Hybrid, LocalSimulator, Online, Resets
from rltheory.tabular.agnostic.class_values import ClassValues, class_values, occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass

__all__ = [
    "ClassValues",
    "Generative",
    "Hybrid",
    "LocalSimulator",
    "Online",
    "PolicyClass",
    "Resets",
    "class_values",
    "occupancies",
]
