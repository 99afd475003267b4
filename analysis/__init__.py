"""What the solvers stand on: arrays, certified bounds, divergences, rates, sweeps, plot style."""

from rltheory.analysis.bounds import Bounds

__all__ = ["Bounds"]
