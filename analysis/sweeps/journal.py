"""The file that a sweep writes as it goes: a line that says which run, then a line per case.

Lines are appended, and on the disk before the next one, by one process that holds a lock. So
whatever ends the sweep, each line is whole but perhaps the last, which is dropped when the sweep
is taken up again. Numbers read back to the same bits; NaN and infinities are written as NaN,
Infinity and -Infinity, which Python reads though strict JSON has no such words.
"""

import fcntl
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rltheory.analysis.files import Line, naming
from rltheory.analysis.sweeps.naming import bound_arguments, import_name
from rltheory.analysis.sweeps.scalars import Scalar, as_scalars

FORMAT = 1

Values = dict[str, Scalar]


class Contents(NamedTuple):
    """A journal as read: its first line, cases with their results, and bytes in whole lines."""

    header: dict[str, Any]
    rows: list[tuple[Values, Values]]
    size: int


class Journal:
    """An open journal: `results` by case, as `case_key` names it."""

    def __init__(self, path: Path, stream: BinaryIO, results: dict[str, Values]) -> None:
        self.path = path
        self.results = results
        self._stream = stream

    def add(self, case: Values, result: Values) -> None:
        """Append a row; on return it is on the disk. Raises OSError naming the file."""
        _append(self.path, self._stream, _line({"case": case, "result": result}))
        self.results[case_key(case)] = result


def case_key(case: Mapping[str, Scalar]) -> str:
    """Return a text that is one case's alone, however its settings are ordered."""
    return json.dumps(case, sort_keys=True)


@contextmanager
def open_journal(save: str | PathLike[str], run: Callable[..., Any]) -> Iterator[Journal]:
    """Open the journal of a run, new or begun, and hold its lock.

    Raises ValueError if the file is something else, or another run's, or its name does not end in
    `.jsonl`; OSError if it cannot be written or another process writes it; TypeError if the path or
    the run have no name. The file is then as it was. Warns if another version of rltheory began it.
    """
    header = {
        "sweep": FORMAT,
        "run": import_name(run),
        "arguments": bound_arguments(run),
        "rltheory": version("rltheory"),
    }
    try:
        path = Path(save)
    except TypeError:
        raise TypeError(f"save is {save!r:.80}; expected the path of a file") from None
    if path.suffix != ".jsonl":
        raise ValueError(f"save is {path}; expected a name that ends in .jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(f"save is {path}, a device or pipe; expected a file, or a new one")
    with path.open("a+b") as stream, _locked(path, stream):
        stream.seek(0)
        data = stream.read()
        if _line(header).startswith(data):
            # New, or ended while its first line was being written.
            stream.truncate(0)
            _append(path, stream, _line(header))
            yield Journal(path, stream, {})
            return
        kept = parse_journal(path, data)
        _check_same(path, kept.header, header)
        if kept.size < len(data):
            stream.truncate(kept.size)
        yield Journal(path, stream, {case_key(case): result for case, result in kept.rows})


def parse_journal(path: Path, data: bytes) -> Contents:
    """Return what a journal holds, without a last line that is not whole.

    Raises ValueError naming the file, and the line, if it is no journal.
    """
    *lines, rest = data.split(b"\n")
    header: Any = decoded(lines[0]) if lines else None
    if not is_header(header):
        raise ValueError(
            f"{path} does not hold a sweep: expected a first line that names the run, or a new "
            f"file; got {data[:60]!r}"
        )
    if header["sweep"] != FORMAT:
        raise ValueError(
            f"{path} is of format {header['sweep']!r:.80}; this version reads {FORMAT}"
        )
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        row = decoded(line)
        try:
            if not isinstance(row, dict) or row.keys() != {"case", "result"}:
                raise TypeError
            rows.append((as_scalars(row["case"], "case"), as_scalars(row["result"], "result")))
        except (TypeError, ValueError):
            text = line.decode(errors="replace")
            raise Line(path, number, text).error("a case and its result") from None
    return Contents(header, rows, len(data) - len(rest))


def is_header(decoded: Any) -> bool:
    """Say whether a line is a journal's first: no row is, as no scalar is a mapping."""
    names = {"sweep", "run", "arguments", "rltheory"}
    return (
        isinstance(decoded, dict)
        and decoded.keys() == names
        and isinstance(decoded["arguments"], dict)
    )


def _check_same(path: Path, kept: dict[str, Any], header: dict[str, Any]) -> None:
    for name in ("run", "arguments"):
        # As text, for NaN is not equal to itself.
        there, here = (json.dumps(h[name], sort_keys=True) for h in (kept, header))
        if there != here:
            raise ValueError(
                f"{path} holds another sweep: {name} {there}; expected {here}, or a new file"
            )
    if kept["rltheory"] != header["rltheory"]:
        warnings.warn(
            f"{path} was begun by rltheory {kept['rltheory']}, this is {header['rltheory']}: "
            "results may differ",
            stacklevel=5,
        )


def decoded(line: bytes) -> Any:
    """Return what a line of JSON says, None if it is not one."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _line(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


def _append(path: Path, stream: BinaryIO, line: bytes) -> None:
    with naming(path):
        stream.write(line)
        stream.flush()
        os.fsync(stream.fileno())


@contextmanager
def _locked(path: Path, stream: BinaryIO) -> Iterator[None]:
    """Hold the file for this process, or raise BlockingIOError."""
    try:
        with naming(path):
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(
            f"{path} is being written by another sweep; wait for it, or choose another file"
        ) from None
    try:
        yield
    finally:
        # Closing is not enough where a run has forked: the child holds the file open too.
        fcntl.flock(stream, fcntl.LOCK_UN)
