"""Finite classes of value functions: completeness, confidence sets, eluder dimensions, GOLF."""
