"""Linear MDPs, and MDPs with features, on disk: `.npz` archives that read back bit for bit."""

from os import PathLike
from typing import Any

import numpy as np

from rltheory.analysis.archive import read_arrays, require
from rltheory.analysis.arrays import as_float_array, check_positive_integer
from rltheory.analysis.files import replacing
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.tabular.mdp import EpisodicMDP

_NONE = -1
"""Stands for no fail state."""


def save_npz(path: str | PathLike[str], model: LinearMDP | FeatureMDP) -> None:
    """Write a model to `path`; an older file survives a failed write.

    What all steps share is written once. Raises TypeError for another type (of a RobustLinearMDP,
    save `nominal`), OSError if the folder cannot be written.
    """
    if isinstance(model, LinearMDP):
        shared = {"measures": model.measures}
        arrays = {"reward_weights": model.reward_weights, "initial": model.initial}
    elif isinstance(model, FeatureMDP):
        shared = {"transitions": model.mdp.transitions, "rewards": model.mdp.rewards}
        arrays = {"initial": model.mdp.initial}
    else:
        raise TypeError(f"model is {model!r:.80}; expected a LinearMDP or a FeatureMDP")
    arrays["features"] = model.features
    arrays["horizon"] = np.array(model.horizon)
    arrays["fail_state"] = np.array(_NONE if model.fail_state is None else model.fail_state)
    for name, array in shared.items():
        arrays[name] = array[:1] if array.strides[0] == 0 else array
    with replacing(path) as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def load_npz(path: str | PathLike[str]) -> LinearMDP | FeatureMDP:
    """Read a model written by `save_npz`, of the type that was saved.

    Raises FileNotFoundError, or ValueError naming the file if it is not such an archive.
    """
    kind = "a linear MDP"
    arrays = read_arrays(path, kind)
    is_linear = "measures" in arrays
    own = ("measures", "reward_weights") if is_linear else ("transitions", "rewards")
    require(arrays, (*own, "features", "initial", "horizon", "fail_state"), path, kind)
    try:
        steps = check_positive_integer(arrays["horizon"].item(), "horizon")
        fail = arrays["fail_state"].item()
        fail = None if fail == _NONE else fail
        if is_linear:
            measures = _spread(arrays["measures"], "measures", 3, steps)
            weights = arrays["reward_weights"]
            return LinearMDP(arrays["features"], measures, weights, arrays["initial"], fail)
        mdp = EpisodicMDP(
            _spread(arrays["transitions"], "transitions", 4, steps),
            _spread(arrays["rewards"], "rewards", 3, steps),
            arrays["initial"],
        )
        return FeatureMDP(mdp, arrays["features"], fail)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no valid model: {error}") from None


def _spread(array: Any, name: str, axes: int, steps: int) -> Any:
    """Return what every step has, (H, ...), in the memory of one step if there is only one."""
    values = as_float_array(array, name, (None,) * axes)
    if len(values) not in (1, steps):
        raise ValueError(f"{name} has {len(values)} steps; expected horizon, {steps}")
    return np.broadcast_to(values, (steps, *values.shape[1:])) if len(values) == 1 else values
