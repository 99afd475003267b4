"""All figures: every module of this package that offers `FIGURE` is one.

A figure answers one question; drawing it is a function of its parameters and the seed alone, so
the same call gives the same files, byte for byte.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rltheory import paper_figures
from rltheory.analysis import plotting
from rltheory.analysis.near import unknown_name

SCALES = ("quick", "paper")

Drawing = tuple[Any, plotting.Rows]
"""A Matplotlib figure and the rows it shows."""

Parameters = Mapping[str, Any]
"""Sizes, ranges and constants of a figure by name."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure that can be drawn again.

    name: as on the command line and in file names; title: a few words; caption: complete
    sentences that answer the figure's question; source: author, year, number in the work.
    draw(parameters, seed): the picture and its data; settings: the parameters of each scale.
    findings(rows): sentences that the data decide, put after the caption of what was drawn.
    cost: seconds that it takes at the quick scale, roughly; dear figures are started first.
    """

    name: str
    title: str
    caption: str
    source: str
    draw: Callable[[Parameters, int], Drawing]
    settings: Mapping[str, Parameters] = field(default_factory=dict)
    cost: float = 3.0
    findings: Callable[[plotting.Rows], str] | None = None

    def parameters(self, scale: str, changes: Parameters | None = None) -> dict[str, Any]:
        """Return the parameters of a scale, some of them changed.

        Raises ValueError for an unknown scale or parameter, TypeError for a value of another kind
        than the parameter's own: a number, a text, a list of either.
        """
        if scale not in SCALES:
            raise ValueError(f"scale is {scale!r}; expected one of {SCALES}")
        usual = dict(self.settings.get(scale, {}))
        for name, value in (changes or {}).items():
            if name not in usual:
                known = ", ".join(usual) or "none"
                raise ValueError(
                    f"{self.name} has no parameter {name!r}; its parameters are: {known}"
                )
            if not _alike(value, usual[name]):
                raise TypeError(
                    f"{name} is {value!r:.80}; expected a value like {usual[name]!r:.80}"
                )
        return usual | dict(changes or {})


@cache
def figures() -> tuple[Figure, ...]:
    """Return all figures, ordered by name. Raises ValueError if two share a name."""
    modules = sorted(module.name for module in pkgutil.iter_modules(paper_figures.__path__))
    found: dict[str, Figure] = {}
    for module in modules:
        figure = getattr(
            importlib.import_module(f"{paper_figures.__name__}.{module}"), "FIGURE", None
        )
        if figure is None:
            continue
        if figure.name in found:
            raise ValueError(f"two figures are called {figure.name!r}; names must be unique")
        found[figure.name] = figure
    return tuple(found[name] for name in sorted(found))


def select(patterns: Iterable[str] = ()) -> tuple[Figure, ...]:
    """Return the figures whose name matches one of the patterns (globs), all if there are none.

    Raises ValueError, listing near matches, for a pattern that matches nothing.
    """
    known = {figure.name: figure for figure in figures()}
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    chosen: set[str] = set()
    for pattern in wanted:
        matches = [name for name in known if fnmatchcase(name, pattern)]
        if not matches:
            raise ValueError(
                unknown_name("figure", pattern, list(known), "rltheory figures --list")
            )
        chosen.update(matches)
    return tuple(known[name] for name in sorted(chosen if wanted else known))


def render(
    name: str,
    folder: str | Path,
    *,
    scale: str = "quick",
    seed: int = 0,
    formats: Sequence[str] = plotting.USUAL,
    changes: Parameters | None = None,
) -> dict[str, Path]:
    """Draw the figure called `name` and save it into `folder`; return its files by kind.

    changes: parameters that differ from those of the scale. Writes the picture in its formats, the
    data as csv, and a json with the title, the caption, the source, the settings and the seed.
    Raises ValueError for an unknown name, scale, parameter or format, TypeError for a parameter of
    another kind, OSError if the folder cannot be written.
    """
    (figure,) = select([name])
    parameters = figure.parameters(scale, changes)
    plotting.check_formats(formats)
    about = {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "source": figure.source,
        "scale": scale,
        "seed": seed,
        "settings": parameters,
        "version": version("rltheory"),
    }
    with plotting.style():
        picture, rows = figure.draw(parameters, seed)
        if figure.findings is not None:
            about["caption"] = f"{figure.caption} {figure.findings(rows)}"
        return plotting.save(picture, rows, about, folder, figure.name, formats)


def _alike(value: Any, usual: Any) -> bool:
    """Whether two values are of one kind; every member of a list, as some member of the other."""
    if isinstance(usual, list | tuple):
        few = isinstance(value, list | tuple)
        return few and all(any(_alike(x, y) for y in usual) or not usual for x in value)
    if isinstance(usual, bool) or isinstance(value, bool):
        return type(value) is type(usual)
    if isinstance(usual, float):
        return isinstance(value, int | float)
    return isinstance(value, type(usual))
