"""Theorem records and the engine that tries to refute them."""

from rltheory.theory.engine import falsify, replay, verify
from rltheory.theory.registry import theorems
from rltheory.theory.report import report

__all__ = ["falsify", "replay", "report", "theorems", "verify"]
