"""Benchmarks beside peers; `python -m benchmarks` writes docs/benchmarks.md."""
