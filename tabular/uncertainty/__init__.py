"""Uncertainty sets: each is its inner problem, the worst distribution for given values."""
