"""The TOML file of a sweep: a run, and the cases that it is called on.

Everything that can be known before the first run is checked here, and what is wrong is named with
its place in the file and the nearest right word.
"""

import importlib
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from rltheory.analysis.sweeps.engine import MOST_CASES, grid
from rltheory.analysis.sweeps.journal import case_key
from rltheory.analysis.sweeps.naming import import_name
from rltheory.analysis.sweeps.scalars import Scalar, as_scalar
from rltheory.cli.experiments import EXPERIMENTS, Experiment, nearest

SECTIONS = ("fixed", "grid", "zip")
KEYS = ("name", "experiment", "run", *SECTIONS)

_RANGE = re.compile(r"(-?\d{1,18}):(-?\d{1,18})(?::(-?\d{1,18}))?")


@dataclass(frozen=True)
class Plan:
    """What a file asks for: a run with a title, and its cases.

    name: of the files that it gets by default. varied: the settings that differ between cases.
    """

    name: str
    title: str
    experiment: Experiment
    cases: list[dict[str, Scalar]]
    varied: tuple[str, ...]


def read_config(path: Path) -> Plan:
    """Read a sweep's file.

    Raises ValueError or TypeError naming the file, the key, what was expected and what came;
    OSError if it cannot be read.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # Of the syntax, of UTF-8, or of numbers too long to read.
        raise ValueError(f"{path} is no TOML file: {error}") from None
    try:
        return _plan(path, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from None


def _plan(path: Path, content: dict[str, Any]) -> Plan:
    for key in content:
        if key not in KEYS:
            hint = " (settings stand in [fixed], [grid] or [zip])"
            raise ValueError(f"there is no key {key!r}; {nearest(key, list(KEYS))}{hint}")
    if ("experiment" in content) == ("run" in content):
        has = "has both" if "run" in content else "has neither"
        raise ValueError(
            f'the file {has} of experiment and run; expected experiment = "..." '
            f'({", ".join(EXPERIMENTS)}), or run = "package.module:function"'
        )
    name = content.get("name", path.stem)
    if not isinstance(name, str) or not name.strip() or re.search(r"[/\\\0]", name):
        raise ValueError(f"name is {name!r:.80}; expected what files can be called")
    title = str(content.get("experiment", content.get("run")))
    if "run" in content:
        experiment = Experiment(_imported(content["run"], path.parent))
    elif title in EXPERIMENTS:
        experiment = EXPERIMENTS[title]
    else:
        raise ValueError(f"experiment is {title!r:.80}; {nearest(title, list(EXPERIMENTS))}")
    cases, varied = _cases(content)
    _check(experiment, cases)
    return Plan(name, title, experiment, cases, varied)


def _cases(content: dict[str, Any]) -> tuple[list[dict[str, Scalar]], tuple[str, ...]]:
    """Return all cases, the grid's last setting changing fastest, and the settings that vary."""
    tables = {section: content.get(section, {}) for section in SECTIONS}
    places: dict[str, str] = {}
    for section, table in tables.items():
        if not isinstance(table, dict):
            raise TypeError(f"{section} is {table!r:.80}; expected a table, [{section}]")
        for key in table:
            if key in places:
                raise ValueError(f"{key} is in [{places[key]}] and in [{section}]; expected one")
            places[key] = section
    fixed = {key: as_scalar(value, f"fixed.{key}") for key, value in tables["fixed"].items()}
    lists = {
        section: {key: _values(value, f"{section}.{key}") for key, value in tables[section].items()}
        for section in ("grid", "zip")
    }
    together = _rows(lists["zip"])
    for key, values in lists["grid"].items():
        _check_distinct([{key: value} for value in _shortened(values)], f"grid.{key}")
    count = len(together) * prod(len(values) for values in lists["grid"].values())
    if count > MOST_CASES:
        raise ValueError(f"there are {count} cases; expected at most {MOST_CASES}")
    cases = [fixed | row | case for row in together for case in grid(**lists["grid"])]
    return cases, (*lists["zip"], *lists["grid"])


def _values(given: Any, place: str) -> Sequence[Scalar]:
    """Return a list of scalars as it is, or the integers of a range such as "0:24"."""
    if isinstance(given, list):
        if not given:
            raise ValueError(f"{place} has no values; expected at least one")
        return [as_scalar(value, f"{place}[{number}]") for number, value in enumerate(given)]
    found = _RANGE.fullmatch(given) if isinstance(given, str) else None
    if not found:
        raise TypeError(
            f'{place} is {given!r:.80}; expected a list, or a range "start:stop" or '
            '"start:stop:step" of integers without stop; one value for all stands in [fixed]'
        )
    start, stop, step = (int(number) for number in found.groups("1"))
    if not step or not range(start, stop, step):
        raise ValueError(f"{place} is {given!r}; expected a range that is not empty")
    return range(start, stop, step)


def _shortened(values: Sequence[Scalar]) -> Sequence[Scalar]:
    """Return what has to be looked at for two that are equal: of a range nothing."""
    return [] if isinstance(values, range) else values


def _rows(lists: Mapping[str, Sequence[Scalar]]) -> list[dict[str, Scalar]]:
    """Return the rows of [zip], whose lists go together."""
    if not lists:
        return [{}]
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{key} {length}" for key, length in lengths.items())
        raise ValueError(f"the lists of [zip] have different lengths ({said}); expected one length")
    if max(lengths.values()) > MOST_CASES:
        raise ValueError(f"there are {max(lengths.values())} cases; expected at most {MOST_CASES}")
    rows = [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    _check_distinct(rows, "[zip]")
    return rows


def _check_distinct(rows: list[dict[str, Scalar]], place: str) -> None:
    seen = set()
    for row in rows:
        key = case_key(row)
        if key in seen:
            raise ValueError(f"{place} has {row} twice; expected each once")
        seen.add(key)


def _check(experiment: Experiment, cases: list[dict[str, Scalar]]) -> None:
    """Check one case of each choice of names: all cases have the same settings."""
    checked = set()
    for case in cases:
        chosen = tuple(case.get(name) for name in experiment.choices)
        if chosen not in checked:
            experiment.check(case)
            checked.add(chosen)


def _imported(named: Any, folder: Path) -> Any:
    """Return the function at "package.module:function", also of a module beside the file."""
    module, _, name = named.partition(":") if isinstance(named, str) else ("", "", "")
    if not module or not name:
        raise ValueError(f'run is {named!r:.80}; expected "package.module:function"')
    place = str(folder.resolve())
    if place not in sys.path:
        # Last, so that no file there hides a package. Local workers look where this process does.
        sys.path.append(place)
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"run is {named!r:.80}; importing {module} says: {_words(error)}"
        ) from None
    for part in name.split("."):
        known = [word for word in dir(found) if not word.startswith("_")]
        if not hasattr(found, part):
            raise ValueError(f"run is {named!r:.80}; there is no {part}, {nearest(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"run is {named!r:.80}, which is {found!r:.80}; expected a function")
    import_name(found)
    return found


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
