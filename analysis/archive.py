"""Archives of arrays (`.npz`): those of models, and those in which a run is kept."""

import zipfile
import zlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.files import prepare

# What archives raise whose index, headers or data are damaged: OSError for an impossible place,
# RuntimeError for a bit that claims encryption, NotImplementedError for another compression.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    RuntimeError,
)


def read_arrays(path: str | PathLike[str], kind: str) -> dict[str, Any]:
    """Return the arrays of an archive by name; `kind` says of what, as in "an MDP".

    Raises FileNotFoundError, or ValueError naming the file if it is no archive of arrays.
    """
    # NumPy leaves the file open when it cannot read it.
    with Path(path).open("rb") as stream:
        try:
            with np.load(stream, allow_pickle=False) as archive:
                return dict(archive)
        except _DAMAGE as error:
            raise ValueError(f"{path} is not {kind} archive: {error}") from None


def require(arrays: dict[str, Any], names: Iterable[str], path: Any, kind: str) -> None:
    """Raise ValueError naming the first array that an archive lacks."""
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"{path} is not {kind} archive: it has no array {missing[0]!r}")


def archive_path(save: str | PathLike[str]) -> Path:
    """Return where a run is to be kept, once it is known that it can be.

    Raises TypeError if it is no path, OSError if no file can be written there.
    """
    try:
        path = Path(save)
    except TypeError:
        raise TypeError(f"save is {save!r}; expected the path of a file") from None
    prepare(path)
    return path


def read_archive(path: Path, kind: str) -> dict[str, Any]:
    """Return the arrays of a run's file by name; `kind` says which run, as in "a CFR run".

    Raises ValueError if the file is no archive of arrays.
    """
    try:
        kept: dict[str, Any] | None = read_arrays(path, kind)
    except ValueError:
        kept = None
    if kept is None or not all(isinstance(array, np.ndarray) for array in kept.values()):
        raise ValueError(
            f"{path} does not hold {kind}: expected an archive of arrays (.npz) written by an "
            "earlier run, or a new file; got a file that is not one, or is damaged"
        )
    return kept


def check_names(kept: dict[str, Any], names: Iterable[str], path: Path, kind: str) -> None:
    """Raise ValueError unless a file has all of these arrays."""
    missing = sorted(set(names) - set(kept))
    if missing:
        raise ValueError(
            f"{path} does not hold {kind}: {missing[0]} is missing; expected the archive of an "
            "earlier run, or a new file"
        )
