"""The run log: one JSON line per finished theorem, written at once, so that nothing is lost.

A line that an interrupted run left half-written at the end is ignored and overwritten.
"""

import hashlib
import importlib.util
import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from functools import cache, partial
from os import PathLike
from pathlib import Path
from typing import Any

from rltheory.analysis.files import naming
from rltheory.theory.theorem import Theorem
from rltheory.theory.verdict import Result, decode_result, encode


class Store:
    """A JSON-lines file of results; later lines count more than earlier ones."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def prepare(self) -> None:
        """Create the file and its folder if needed, and drop a half-written last line.

        Raises OSError if it cannot be written, ValueError if it is not a run log: such a file is
        left as it is.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            file.seek(0)
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if not _may_begin_a_result(content[whole:]):
                raise ValueError(f"{self.path} is not a run log; move it away or name another")
            self.results()
            file.truncate(whole)

    def append(self, result: Result) -> None:
        """Write one result and have it on disk before returning."""
        line = json.dumps(encode(result), ensure_ascii=False, allow_nan=False)
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def results(self) -> list[Result]:
        """Return all results in the order of writing, without a half-written last line.

        Raises ValueError naming the line that is not a result, OSError if there is no file.
        """
        *lines, _ = self.path.read_bytes().split(b"\n")
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append(decode_result(json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(f"{self.path}, line {number} is not a result: {error}") from None
        return found

    def latest(self) -> dict[str, Result]:
        """Return the last result of every theorem in the file, by id."""
        return {result.theorem: result for result in self.results()}

    def finished(self, stamps: Mapping[str, str], budget: str, seed: int) -> list[Result]:
        """Return what is done already with this budget and seed, by fingerprints per id."""
        done = {
            (result.theorem, result.fingerprint): result
            for result in self.results()
            if result.budget == budget and result.seed == seed
        }
        return [done[key] for key in stamps.items() if key in done]


def _may_begin_a_result(line: bytes) -> bool:
    start = f'{{"{fields(Result)[0].name}": "'.encode()
    return line[: len(start)] == start[: len(line)]


def fingerprint(theorem: Theorem) -> str:
    """Return a digest of the record, the modules its functions come from, and the library."""
    digest = hashlib.sha256(_library_source())
    for value in (
        theorem.id,
        theorem.statement,
        theorem.hypotheses,
        theorem.kind,
        theorem.sizes,
        theorem.cost,
        theorem.control.name,
    ):
        digest.update(repr(value).encode())
    functions = (
        theorem.sample,
        theorem.sides,
        theorem.admissible,
        theorem.rounding,
        theorem.details,
        theorem.control.sample,
        theorem.control.sides,
    )
    for function in functions:
        digest.update(_source(function))
    return digest.hexdigest()[:16]


def _source(function: Any) -> bytes:
    while isinstance(function, partial):
        function = function.func
    if function is None:
        return b"none"
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    if code is None:
        return str(name).encode()
    try:
        return str(name).encode() + _file(inspect.getfile(function))
    except (TypeError, OSError):
        return str(name).encode() + bytes(code.co_code) + repr(code.co_consts).encode()


@cache
def _file(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()


_SHOWING = {"report", "report_plots", "typesetting", "plotting", "pgf", "tables"}
"""Modules that show what was found, which no verdict depends on."""


def _folder(package: str) -> Path:
    """Return where a package is, without loading it."""
    spec = importlib.util.find_spec(f"rltheory.{package}")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0])


@cache
def _library_source() -> bytes:
    """Return a digest of the solvers and the engine: what a verdict depends on besides its record.

    Records are left out here, each counts its own module only.
    """
    digest = hashlib.sha256()
    for package in ("analysis", "tabular", "games", "linear_mdp", "theory"):
        for path in sorted(_folder(package).rglob("*.py")):
            if "records" not in path.parts and path.stem not in _SHOWING:
                digest.update(path.read_bytes())
    return digest.digest()
