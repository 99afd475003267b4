"""How a run is called in a file: by where it is imported from, and by what is bound to it."""

import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import joblib

from rltheory.analysis.sweeps.scalars import as_scalar


def import_name(run: Callable[..., Any]) -> str:
    """Return "module:name" of a function, or of the one that functools.partial holds.

    A script and the module of the same file have one name. Raises TypeError if no import finds
    the function: another process could not either, nor tell it from others.
    """
    function = run.func if isinstance(run, partial) else run
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    found: Any = sys.modules.get(module) if isinstance(module, str) else None
    if found is not None and isinstance(name, str):
        for part in name.split("."):
            found = getattr(found, part, None)
        # Methods of classes are made anew each time, and are equal.
        if found is function or (callable(found) and bool(found == function)):
            return f"{_script() if module == '__main__' else module}:{name}"
    raise TypeError(
        f"run is {run!r:.80}; expected a function that can be imported, or functools.partial of "
        "one: processes, clusters and files of results find it by its name, which a lambda or a "
        "function within a function lacks"
    )


def bound_arguments(run: Callable[..., Any]) -> dict[str, Any]:
    """Return what functools.partial binds, by name or position: scalars, and digests of the rest.

    Raises TypeError if something cannot be pickled.
    """
    if not isinstance(run, partial):
        return {}
    bound = {str(k): value for k, value in enumerate(run.args)} | run.keywords
    return {name: _described(name, value) for name, value in sorted(bound.items())}


def _described(name: str, value: Any) -> Any:
    try:
        return as_scalar(value, name)
    except (TypeError, ValueError):
        pass
    try:
        return {"type": type(value).__qualname__, "digest": joblib.hash(value)}
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise TypeError(
            f"run binds {name}, {value!r:.80}; expected something that can be pickled: {error}"
        ) from None


def _script() -> str:
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)
    return Path(file).stem if file else "__main__"
