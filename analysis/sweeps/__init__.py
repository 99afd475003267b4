"""Sweeps: one function run over a grid of settings, kept as it goes, on cores or on a cluster."""
