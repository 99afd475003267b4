"""Finite MDPs: exact planning with certified bounds, robust planning, real models."""

from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP

__all__ = ["DiscountedMDP", "EpisodicMDP"]
