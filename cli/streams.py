"""Where the command line writes to, and as what."""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

STANDARD_OUTPUT = Path("-")

_DOCUMENTS: ContextVar[TextIO | None] = ContextVar("_DOCUMENTS", default=None)


def is_standard_output(path: Path | None) -> bool:
    """Whether a file is `-`, or what standard output goes to, as /dev/stdout is."""
    if path == STANDARD_OUTPUT:
        return True
    try:
        return path is not None and os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def apart(path: Path | None) -> Iterator[None]:
    """Print to standard error while the block runs, if standard output is for a document."""
    if not is_standard_output(path):
        yield
        return
    token = _DOCUMENTS.set(sys.stdout)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        _DOCUMENTS.reset(token)


def prepare_document(path: Path | None) -> None:
    """Find out, before long work, whether a file can be written. Raises OSError if it cannot."""
    from rltheory.analysis.files import prepare

    if path is not None and path != STANDARD_OUTPUT:
        prepare(path)


def write_document(path: Path | None, document: Any) -> None:
    """Write JSON to a file, where one is given; to standard output if it is `-`."""
    from rltheory.analysis.files import write_lines

    if path is None:
        return
    text = json.dumps(document, indent=1)
    if path == STANDARD_OUTPUT:
        print(text, file=_DOCUMENTS.get() or sys.stdout)
    else:
        prepare_document(path)
        write_lines(path, [text])


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add `--format`, for a command that prints a table."""
    parser.add_argument(
        "--format",
        choices=("text", "latex"),
        default="text",
        help="latex: print a tabular for the package booktabs instead (text)",
    )
