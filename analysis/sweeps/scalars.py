"""What a setting and a result may be: plain scalars by name, each of which every file can hold."""

from collections.abc import Mapping
from typing import Any

import numpy as np

Scalar = str | bool | int | float | None
"""A number (NaN and infinities too), a boolean, a string, or nothing."""


def as_scalars(given: Any, name: str) -> dict[str, Scalar]:
    """Return a mapping as a dict of plain scalars, with NumPy's made Python's.

    name: what it is called in errors. Raises TypeError unless it maps strings to scalars,
    ValueError for an integer beyond 64 bits or a string that UTF-8 cannot hold.
    """
    if not isinstance(given, Mapping):
        raise TypeError(f"{name} is {given!r:.80}; expected a mapping of names to scalars")
    for key in given:
        if type(key) is not str or not key:
            raise TypeError(f"{name} has the name {key!r:.80}; expected a string, not empty")
    return {
        as_scalar(key, f"a name of {name}"): as_scalar(value, f"{name}[{key!r}]")  # type: ignore[misc]
        for key, value in given.items()
    }


def as_scalar(given: Any, name: str) -> Scalar:
    """Return a scalar as Python has it; errors as in `as_scalars`."""
    value: Scalar = given.item() if isinstance(given, np.generic) else given
    if value is not None and type(value) not in (str, bool, int, float):
        raise TypeError(f"{name} is {given!r:.80}; expected a number, a string, a boolean or None")
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} is {value:#x}; expected an integer of 64 bits, or a string")
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{name} is {value!r:.80}; expected a string: {error}") from None
    return value
