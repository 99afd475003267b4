"""MDPs on disk: `.npz` archives that read back bit for bit."""

from os import PathLike
from typing import Any

import numpy as np
from scipy import sparse

from rltheory.analysis.archive import read_arrays, require
from rltheory.analysis.arrays import as_float_array, check_positive_integer
from rltheory.analysis.files import replacing
from rltheory.tabular.mdp import DiscountedMDP, EpisodicMDP

_SPARSE = ("data", "indices", "indptr")


def save_npz(path: str | PathLike[str], mdp: DiscountedMDP | EpisodicMDP) -> None:
    """Write an MDP to `path`, dense or sparse as it is; an older file survives a failed write.

    Of a finite-horizon MDP with one kernel for all steps, that one is written.
    Raises OSError if the folder cannot be written.
    """
    arrays: dict[str, Any] = {"rewards": mdp.rewards, "initial": mdp.initial}
    if isinstance(mdp, EpisodicMDP):
        is_stationary = mdp.transitions.strides[0] == 0 and mdp.rewards.strides[0] == 0
        steps = slice(1) if is_stationary else slice(None)
        arrays |= {"rewards": mdp.rewards[steps], "transitions": mdp.transitions[steps]}
        arrays["horizon"] = mdp.horizon
    else:
        arrays["discount"] = mdp.discount
        if mdp.is_sparse:
            arrays |= {name: getattr(mdp.transitions, name) for name in _SPARSE}
        else:
            arrays["transitions"] = mdp.transitions
    with replacing(path) as stream:
        np.savez_compressed(stream, **arrays)


def load_npz(path: str | PathLike[str]) -> DiscountedMDP | EpisodicMDP:
    """Read an MDP written by `save_npz`, of the type that was saved.

    Raises FileNotFoundError, or ValueError naming the file if it is not such an archive.
    """
    arrays = read_arrays(path, "an MDP")
    kernel = _SPARSE if "data" in arrays else ("transitions",)
    kind = "horizon" if "horizon" in arrays else "discount"
    require(arrays, ("rewards", kind, "initial", *kernel), path, "an MDP")
    try:
        return _episodic(arrays) if kind == "horizon" else _discounted(arrays)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no valid MDP: {error}") from None


def _discounted(arrays: dict[str, Any]) -> DiscountedMDP:
    transitions = arrays.get("transitions")
    if transitions is None:
        states, actions = as_float_array(arrays["rewards"], "rewards", (None, None)).shape
        parts = tuple(arrays[name] for name in _SPARSE)
        for name in ("indices", "indptr"):
            if not np.issubdtype(arrays[name].dtype, np.integer):
                raise TypeError(f"{name} holds {arrays[name].dtype}; expected integers")
        transitions = sparse.csr_array(parts, shape=(states * actions, states))
    discount = as_float_array(arrays["discount"], "discount", ())
    return DiscountedMDP(transitions, arrays["rewards"], float(discount), arrays["initial"])


def _episodic(arrays: dict[str, Any]) -> EpisodicMDP:
    horizon = check_positive_integer(arrays["horizon"].item(), "horizon")
    transitions, rewards, initial = (arrays[n] for n in ("transitions", "rewards", "initial"))
    if len(rewards) == 1:
        return EpisodicMDP.stationary(transitions[0], rewards[0], horizon, initial)
    if len(rewards) != horizon:
        raise ValueError(f"rewards has {len(rewards)} steps; expected horizon, {horizon}")
    return EpisodicMDP(transitions, rewards, initial)
