"""Checks of what the constructors of games are given: an error names the parameter."""

from collections.abc import Sequence
from operator import index
from typing import Any


def check_count(value: Any, name: str, low: int, high: int) -> int:
    """Return `value` as an int; raise ValueError unless it is an integer from low to high."""
    try:
        number = low - 1 if isinstance(value, bool) else index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise ValueError(f"{name} is {value!r}; expected an integer from {low} to {high}")
    return number


def check_counts(value: Any, name: str, length: int, low: int, high: int) -> tuple[int, ...]:
    """Return one count for each of `length`; an integer stands for the same count for all."""
    if isinstance(value, (list, tuple)):
        if len(value) != length:
            raise ValueError(f"{name} is {value!r}; expected {length} integers or one for all")
        return tuple(check_count(v, f"{name}[{i}]", low, high) for i, v in enumerate(value))
    return (check_count(value, name, low, high),) * length


def check_flag(value: Any, name: str) -> None:
    """Raise ValueError unless `value` is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; expected True or False")


def check_choice(value: Any, name: str, choices: Sequence[str]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
