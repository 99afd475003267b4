"""The file that keeps an online run, so that it can be taken up again."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from os import PathLike
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
        if str(kept["run"]) != self.run:
            raise ValueError(
                f"{self.path} holds a run of another model, algorithm or setting; "
                "expected one with the same arguments, or a new file"
            )
        measured = min(kept["values"].size // 2, len(marks))
        played = marks[measured - 1] if measured else 0
        arrays |= {"values": np.empty((measured, 2)), "returns": np.empty(played)}
        wrong = [
            name
            for name, array in arrays.items()
            if (kept[name].dtype, kept[name].shape) != (array.dtype, array.shape)
        ]
        wrong = wrong or misplaced(kept)
        if wrong:
            raise ValueError(
                f"{self.path} does not hold {_KIND}: {wrong[0]} is of another kind or shape; "
                "expected the archive of an earlier run, or a new file"
            )
        learner.restore(kept)
        return kept["values"], kept["returns"]

    def write(self, learner: Learner, values: FloatArray, returns: FloatArray) -> None:
        """Replace the file by one with the state reached and all that was measured."""
        with replacing(self.path) as stream:
            np.savez(stream, run=self.run, values=values, returns=returns, **learner.arrays())
