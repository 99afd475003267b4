"""MDPs on disk: `.npz` archives that read back bit for bit."""

import os
import zipfile
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from rltheory.tabular.mdp import DiscountedMDP

_COMMON = ("rewards", "discount", "initial")
_SPARSE = ("data", "indices", "indptr")


def save_npz(path: str | PathLike[str], mdp: DiscountedMDP) -> None:
    """Write an MDP to `path`, dense or sparse as it is; an older file survives a failed write.

    Raises OSError if the folder cannot be written.
    """
    arrays: dict[str, Any] = {name: getattr(mdp, name) for name in _COMMON}
    if mdp.is_sparse:
        arrays |= {name: getattr(mdp.transitions, name) for name in _SPARSE}
    else:
        arrays["transitions"] = mdp.transitions
    target = Path(path)
    partial = target.with_name(target.name + ".partial")
    with partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    os.replace(partial, target)


def load_npz(path: str | PathLike[str]) -> DiscountedMDP:
    """Read an MDP written by `save_npz`.

    Raises FileNotFoundError, or ValueError naming the file if it is not such an archive.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (zipfile.BadZipFile, EOFError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is not an MDP archive: {error}") from None
    kernel = _SPARSE if "data" in arrays else ("transitions",)
    missing = [name for name in (*_COMMON, *kernel) if name not in arrays]
    if missing:
        raise ValueError(f"{path} is not an MDP archive: it has no array {missing[0]!r}")
    transitions = arrays.get("transitions")
    if transitions is None:
        states, actions = arrays["rewards"].shape
        parts = tuple(arrays[name] for name in _SPARSE)
        transitions = sparse.csr_array(parts, shape=(states * actions, states))
    return DiscountedMDP(
        transitions, arrays["rewards"], float(arrays["discount"]), arrays["initial"]
    )
