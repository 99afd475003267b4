"""Theorem records and the engine that tries to refute them."""
