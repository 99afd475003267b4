"""All theorem records: every module of `rltheory.theory.records` offers a tuple `THEOREMS`."""

import importlib
import pkgutil
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

from rltheory.analysis.near import unknown_name
from rltheory.theory import records
from rltheory.theory.theorem import Theorem


@cache
def theorems() -> tuple[Theorem, ...]:
    """Return all registered theorems, ordered by id. Raises ValueError if two share an id."""
    names = sorted(module.name for module in pkgutil.iter_modules(records.__path__))
    modules = [importlib.import_module(f"{records.__name__}.{name}") for name in names]
    return ordered(theorem for module in modules for theorem in getattr(module, "THEOREMS", ()))


def ordered(gathered: Iterable[Theorem]) -> tuple[Theorem, ...]:
    """Return theorems by id. Raises ValueError if two share an id."""
    found: dict[str, Theorem] = {}
    for theorem in gathered:
        if theorem.id in found:
            raise ValueError(f"two theorems are called {theorem.id!r}; ids must be unique")
        found[theorem.id] = theorem
    return tuple(found[name] for name in sorted(found))


def select(patterns: Iterable[str] = ()) -> tuple[Theorem, ...]:
    """Return the theorems whose id matches one of the patterns (globs), all if there are none.

    Raises ValueError, listing near matches, for a pattern that matches nothing.
    """
    known = {theorem.id: theorem for theorem in theorems()}
    chosen: set[str] = set()
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in wanted:
        matches = [name for name in known if fnmatchcase(name, pattern)]
        if not matches:
            raise ValueError(unknown_name("theorem", pattern, list(known), "rltheory list"))
        chosen.update(matches)
    return tuple(known[name] for name in sorted(chosen or (known if not wanted else ())))


def find(name: str) -> Theorem:
    """Return the theorem called `name`. Raises ValueError, listing near matches, if unknown."""
    known = {theorem.id: theorem for theorem in theorems()}
    if name not in known:
        raise ValueError(unknown_name("theorem", name, list(known), "rltheory list"))
    return known[name]
