"""How far a sweep is: a bar in the terminal once it has taken two seconds, or a call per row."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any

PATIENCE = 2.0
"""Seconds that a sweep may take without showing how far it is."""

Reporter = bool | Callable[[int, int], Any] | None


@contextmanager
def reporting(progress: Reporter, done: int, total: int) -> Iterator[Callable[[int], Any]]:
    """Yield what is to be called with the number of rows done, each time it has grown.

    progress: None for a bar on stderr if that is a terminal, False for none, True for one at once
    and anywhere, or a function of rows done and all rows. Raises TypeError for anything else.
    """
    if progress is not None and not isinstance(progress, bool):
        if not callable(progress):
            raise TypeError(f"progress is {progress!r:.80}; expected None, a boolean or a function")
        call = progress
        call(done, total)
        yield lambda now: call(now, total)
    elif progress or (progress is None and sys.stderr is not None and sys.stderr.isatty()):
        with _bar(0.0 if progress else PATIENCE, done, total) as update:
            yield update
    else:
        yield lambda now: None


@contextmanager
def _bar(patience: float, done: int, total: int) -> Iterator[Callable[[int], Any]]:
    # Only those who see a bar pay for loading it.
    from rich import progress as parts
    from rich.console import Console

    bar = parts.Progress(
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeElapsedColumn(),
        parts.TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    rows = bar.add_task("rows", total=total, completed=done)
    # Rows may be hours apart, so the bar does not wait for one.
    timer = Timer(patience, bar.start)
    timer.daemon = True
    if patience:
        timer.start()
    else:
        bar.start()
    try:
        yield lambda now: bar.update(rows, completed=now)
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()
        if bar.live.is_started:
            bar.stop()
