"""Text files read line by line with errors that say where; files written whole or not at all."""

import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple


class Line(NamedTuple):
    """One line of a text file without its comment; an empty text stands for the file's end."""

    path: Path
    number: int
    text: str

    def error(self, expected: str, got: str | None = None) -> ValueError:
        """Return the error that names this line, what was expected, and what came instead.

        `got` is quoted as it is; without it, the whole line is shown.
        """
        found = got or (repr(self.text) if self.text else "the end of the file")
        return ValueError(f"{self.path}, line {self.number}: expected {expected}; got {found}")

    def integer(self, token: str, name: str, below: int | None = None) -> int:
        """Read a nonnegative integer, smaller than `below` where given."""
        if token.isascii() and token.isdigit():
            number = int(token)
            if below is None or number < below:
                return number
        limit = "of at least 0" if below is None else f"in 0..{below - 1}"
        raise self.error(f"{name}, an integer {limit}", repr(token))

    def real(self, token: str, name: str) -> float:
        """Read a finite number: decimal, or a fraction such as 2/5."""
        try:
            value = float(Fraction(token)) if "/" in token else float(token)
        except (ValueError, ZeroDivisionError, OverflowError):
            value = math.nan
        if not math.isfinite(value) or "_" in token:
            raise self.error(f"{name}, a finite number", repr(token))
        return value

    def bounds(self, token: str) -> tuple[float, float]:
        """Read a probability, or an interval `[low, high]` of probabilities, as two bounds."""
        expected = "a probability in [0, 1] or an interval [low,high] of probabilities"
        if token.startswith("["):
            parts = token[1:-1].split(",")
            if not token.endswith("]") or len(parts) != 2:
                raise self.error(expected, repr(token))
            low, high = (self.real(part.strip(), expected) for part in parts)
        else:
            low = high = self.real(token, expected)
        if not 0.0 <= low <= high <= 1.0:
            raise self.error(expected, repr(token))
        return low, high


def read_lines(path: str | PathLike[str], comment: str) -> Iterator[Line]:
    """Yield the lines of a text file that are not blank, comments removed, then its end.

    Raises OSError if it cannot be read, ValueError naming the file if it is not text.
    """
    source = Path(path)
    try:
        texts = source.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not a text file: {error}") from None
    for number, raw in enumerate(texts, start=1):
        text = raw.partition(comment)[0].strip()
        if text:
            yield Line(source, number, text)
    yield Line(source, len(texts) + 1, "")


def write_lines(path: str | PathLike[str], lines: Iterable[str]) -> None:
    """Write a text file, one line each; an older file survives a failed write."""
    with replacing(path) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing that takes its place only when complete; an older one survives.

    A link keeps pointing at its file, and a device or pipe is written to as it is.
    """
    target, partial = _places(path)
    with naming(target):
        if partial is None:
            with target.open("wb") as stream:
                yield stream
            return
        try:
            with partial.open("wb") as stream:
                yield stream
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def naming(path: str | PathLike[str]) -> Iterator[None]:
    """Add the file's name to errors of the system that come without one, as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.strerror and error.filename is None:
            error.filename = os.fspath(path)
        raise


def prepare(path: str | PathLike[str]) -> None:
    """Make the folder of a file that `replacing` is to write, and find out whether it can.

    To be called before long work. Raises OSError naming the file and the reason.
    """
    target, partial = _places(path)
    if target.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file to write")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if partial is not None:
            partial.touch()
            partial.unlink()
    except FileExistsError:
        raise OSError(f"{path} cannot be written: {target.parent} is not a folder") from None
    except OSError as error:
        raise OSError(f"{path} cannot be written: {error.strerror or error}") from None


def _places(path: str | PathLike[str]) -> tuple[Path, Path | None]:
    """Return the file meant, and where to write before it is complete: nowhere for a device."""
    target = Path(path)
    if target.exists() and not target.is_file() and not target.is_dir():
        return target, None
    target = Path(os.path.realpath(target))
    return target, target.with_name(target.name + ".partial")
