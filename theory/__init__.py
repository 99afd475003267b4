"""Theorem records and the engine that tries to refute them."""

from rltheory.theory.engine import falsify, replay, verify
from rltheory.theory.registry import theorems
from rltheory.theory.report import report
from rltheory.theory.verdict import verdict_table

__all__ = ["falsify", "replay", "report", "theorems", "verdict_table", "verify"]
