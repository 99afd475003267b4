"""The file that keeps an online run, to be taken up again, and what any such file must hold."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from rltheory.analysis.archive import archive_path, check_names, read_archive
from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.files import replacing
from rltheory.linear_mdp.learner import Learner

_KIND = "a run in a linear MDP"


def fingerprint(*parts: Any) -> str:
    """Return a digest of arrays, tuples of them, and plain settings."""
    digest = sha256()
    for part in parts:
        for item in part if isinstance(part, tuple) else (part,):
            if isinstance(item, np.ndarray):
                digest.update(repr(item.shape).encode())
                digest.update(np.ascontiguousarray(item).tobytes())
            else:
                digest.update(repr(item).encode())
    return digest.hexdigest()


def misplaced(kept: Mapping[str, Any]) -> list[str]:
    """Return which arrays of a file lead out of bounds, as compiled code goes where they say."""
    states = kept["seen"].shape[1]
    if np.any(kept["counts"][:, 0] > states):
        return ["counts"]
    return [] if np.all((kept["seen"] >= 0) & (kept["seen"] < states)) else ["seen"]


def check_run(kept: Mapping[str, Any], run: str, path: Path) -> None:
    """Raise ValueError unless a file is of the run with this digest."""
    if str(kept["run"]) != run:
        raise ValueError(
            f"{path} holds a run of another model, algorithm or setting; "
            "expected one with the same arguments, or a new file"
        )


def check_arrays(
    kept: Mapping[str, Any],
    arrays: Mapping[str, Any],
    path: Path,
    kind: str,
    astray: Callable[[Mapping[str, Any]], list[str]],
) -> None:
    """Raise ValueError naming an array of a file that is not as the learner's, or is `astray`."""
    wrong = [
        name
        for name, array in arrays.items()
        if (kept[name].dtype, kept[name].shape) != (array.dtype, array.shape)
    ]
    wrong = wrong or astray(kept)
    if wrong:
        raise ValueError(
            f"{path} does not hold {kind}: {wrong[0]} is of another kind or shape; "
            "expected the archive of an earlier run, or a new file"
        )


class RunFile:
    """A run on disk (`.npz`): the learner's arrays and what was measured, replaced whole."""

    def __init__(self, save: str | PathLike[str], run: str) -> None:
        self.path = archive_path(save)
        self.run = run

    def read(self, learner: Learner, marks: Sequence[int]) -> tuple[FloatArray, FloatArray]:
        """Put a learner where the run stands; return the values measured (n, 2) and the returns.

        marks: the episodes after which the run is measured. Raises ValueError if the file is not
        one of a run, or of another one.
        """
        if not self.path.exists():
            return np.empty((0, 2)), np.empty(0)
        kept = read_archive(self.path, _KIND)
        arrays = learner.arrays()
        check_names(kept, ["run", "values", "returns", *arrays], self.path, _KIND)
        check_run(kept, self.run, self.path)
        measured = min(kept["values"].size // 2, len(marks))
        played = marks[measured - 1] if measured else 0
        arrays |= {"values": np.empty((measured, 2)), "returns": np.empty(played)}
        check_arrays(kept, arrays, self.path, _KIND, misplaced)
        learner.restore(kept)
        return kept["values"], kept["returns"]

    def write(self, learner: Learner, values: FloatArray, returns: FloatArray) -> None:
        """Replace the file by one with the state reached and all that was measured."""
        with replacing(self.path) as stream:
            np.savez(stream, run=self.run, values=values, returns=returns, **learner.arrays())
