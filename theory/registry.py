"""All theorem records: every module of `rltheory.theory.records` offers a tuple `THEOREMS`."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from fnmatch import fnmatchcase
from functools import cache

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
            raise ValueError(_unknown(pattern, list(known)))
        chosen.update(matches)
    return tuple(known[name] for name in sorted(chosen or (known if not wanted else ())))


def find(name: str) -> Theorem:
    """Return the theorem called `name`. Raises ValueError, listing near matches, if unknown."""
    for theorem in theorems():
        if theorem.id == name:
            return theorem
    raise ValueError(_unknown(name, [theorem.id for theorem in theorems()]))


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    near += [other for other in known if name.strip("*") in other and other not in near][:3]
    hint = f"did you mean {', '.join(near)}?" if near else "`rltheory list` shows all ids"
    return f"unknown theorem {name!r}; {hint}"
