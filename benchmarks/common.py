"""Shared by the benchmarks: timing side by side, the floor that memory sets, tables, versions."""

import os
import platform
import signal
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from rltheory.tabular.kernels import in_blocks

_SETTLING = 0.2
"""Seconds of rest before a run."""


@dataclass(frozen=True)
class Claim:
    """A target and what was measured: `figure` must be at least, or at most, `bound`."""

    text: str
    figure: float
    bound: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        return self.figure >= self.bound if self.at_least else self.figure <= self.bound

    @property
    def row(self) -> list[str]:
        sign = ">=" if self.at_least else "<="
        digits = ".1f" if self.bound < 100 else ",.0f"
        verdict = "yes" if self.holds else "**no**"
        return [self.text, f"{sign} {self.bound:,g}", format(self.figure, digits), verdict]


def medians(
    runs: Mapping[str, Callable[[], float]], *, repeats: int = 7, budget: float = 40.0
) -> dict[str, float]:
    """Return the median seconds of each run, all taken in turn so that they share the weather.

    A run does its own preparation and returns the seconds that count. Each is done three times at
    least, then up to `repeats` times while `budget` seconds last. Warm up before calling this.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    began = time.perf_counter()
    for repeat in range(repeats):
        if repeat >= 3 and time.perf_counter() - began > budget:
            break
        for name, run in runs.items():
            # The thread pools of BLAS and OpenMP spin for a while after a call, on the next one's
            # time.
            time.sleep(_SETTLING)
            seconds[name].append(run())
    return {name: statistics.median(times) for name, times in seconds.items()}


def timed(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError inside the block after a time; compiled code is not interrupted."""

    def expire(*_: Any) -> None:
        raise TimeoutError(f"stopped after {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def read_all(arrays: Sequence[Any]) -> None:
    """Read every byte of the arrays once, in threads: what a sweep cannot be faster than."""
    for array in arrays:
        in_blocks(partial(_read, array, np.zeros(1)), len(array), len(array))


def bytes_of(rows: Any, rewards: Any) -> list[Any]:
    """Return the flat arrays that one sweep over a kernel has to read."""
    if isinstance(rows, np.ndarray):
        return [rows.reshape(-1), rewards.reshape(-1)]
    return [rows.data, rows.indices, rows.indptr, rewards.reshape(-1)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table: the first column left, the others right."""
    lines = [list(header), [":---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def milliseconds(seconds: float) -> str:
    """Return seconds as milliseconds, three digits."""
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:,.0f}"


def machine() -> str:
    """Return the processor, cores and system in one line."""
    name = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), name)
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def versions(packages: Sequence[str]) -> str:
    """Return names with versions, in one line; a package that is missing says so."""
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


@njit(nogil=True, fastmath=True)
def _read(array, out, start, stop):  # type: ignore[no-untyped-def]
    # The sum goes to memory lest the compiler drop the loop.
    total = 0.0
    for x in array[start:stop]:
        total += x
    out[0] = total
