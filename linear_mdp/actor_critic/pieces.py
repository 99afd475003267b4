"""A run in pieces: random numbers by blocks of episodes, and a file that keeps it between pieces.

The numbers of a block come from the seed and its place alone, so a run is the same to the last bit
whether it was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.archive import archive_path, check_names, read_archive
from rltheory.analysis.arrays import IntArray
from rltheory.analysis.files import replacing
from rltheory.linear_mdp.actor_critic.state import EPISODES
from rltheory.linear_mdp.run_file import check_arrays, check_run

BLOCK = 256
"""Episodes whose random numbers are drawn together."""

PIECE = 4096
"""Episodes between two writings of a run's file, a multiple of the block."""

_KIND = "a run of an actor-critic"

State = Mapping[str, NDArray[Any]]
"""A learner's arrays by name, written in place; "clock" among them counts the episodes."""


class Measured(NamedTuple):
    """What is noted of each episode, (K,) each: see `ActorCriticRun`; whether the critic was
    refreshed before it."""

    values: Any
    promises: Any
    returns: Any
    switched: Any


def play_through(
    play: Callable[..., None],
    state: State,
    *,
    episodes: int,
    width: int,
    root: IntArray,
    optimum: float,
    file: RunFile | None,
    progress: Callable[[int, float], None] | None,
) -> Measured:
    """Play a learner from where its file stands to the end, and return what was measured.

    play: given uniform numbers (n, width) of so many episodes and the parts of `Measured` that they
    fill, plays on. progress: called at every writing with the episode and the suboptimality last
    played.
    """
    measured = Measured(*(np.zeros(episodes, dtype=kind) for kind in ("d", "d", "d", "?")))
    done = 0 if file is None else file.read(state, measured)
    for block in range(-(-done // BLOCK), -(-episodes // BLOCK)):
        first, last = block * BLOCK, min(episodes, (block + 1) * BLOCK)
        draws = np.random.default_rng([*root, block]).random((BLOCK, width))
        play(draws[: last - first], *(array[first:last] for array in measured))
        if last % PIECE == 0 or last == episodes:
            if file is not None:
                file.write(state, measured)
            if progress is not None:
                progress(last, float(optimum - measured.values[last - 1]))
    return measured


class RunFile:
    """A run on disk (`.npz`): the learner's arrays and what was measured, replaced whole.

    run: a digest of all that determines the run. astray: names the arrays of a file that would lead
    compiled code astray.
    """

    def __init__(
        self,
        save: str | PathLike[str],
        run: str,
        astray: Callable[[Mapping[str, Any]], list[str]] = lambda kept: [],
    ) -> None:
        self.path = archive_path(save)
        self.run = run
        self.astray = astray

    def read(self, state: State, measured: Measured) -> int:
        """Put learner and measurements where the run stands; return the episodes played.

        Raises ValueError if the file is not one of a run, or of another one.
        """
        if not self.path.exists():
            return 0
        kept = read_archive(self.path, _KIND)
        arrays = _named(state, measured)
        check_names(kept, ["run", *arrays], self.path, _KIND)
        check_run(kept, self.run, self.path)
        check_arrays(kept, arrays, self.path, _KIND, self.astray)
        for name, array in arrays.items():
            array[...] = kept[name]
        return int(state["clock"][EPISODES])

    def write(self, state: State, measured: Measured) -> None:
        """Replace the file by one with the state reached and all that was measured."""
        with replacing(self.path) as stream:
            np.savez(stream, run=self.run, **_named(state, measured))


def _named(state: State, measured: Measured) -> dict[str, Any]:
    """Return the arrays of a file; what was measured has names of its own."""
    return {**state, **{f"played_{name}": array for name, array in measured._asdict().items()}}
