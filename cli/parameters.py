"""Parameters on the command line, KEY=VALUE."""

import ast
from collections.abc import Iterable
from typing import Any


def parameters_of(settings: Iterable[str]) -> dict[str, Any]:
    """Return the values by name: Python literals where they read as such, else texts.

    Raises ValueError for what is not KEY=VALUE, or a key that is given twice.
    """
    parameters: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"--set {setting!r}; expected KEY=VALUE")
        if key in parameters:
            raise ValueError(f"--set {key} is given twice")
        try:
            parameters[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            parameters[key] = text
    return parameters
