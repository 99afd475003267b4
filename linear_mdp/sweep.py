"""The same run with many seeds, on all cores: compiled code leaves the interpreter's lock alone.

For whole runs with their arrays, an archive per seed. Where a few numbers per run are wanted, over
any grid of settings, in processes or on a cluster, `rltheory.analysis.sweep` makes a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import TypeVar

from rltheory.analysis.arrays import check_positive_integer

Run = TypeVar("Run")
"""What a run returns: a RegretCurve, an ActorCriticRun."""


def sweep_seeds(
    run: Callable[..., Run],
    seeds: int | Iterable[int],
    *,
    jobs: int | None = None,
    folder: str | PathLike[str] | None = None,
) -> list[Run]:
    """Return what run(seed=seed) returns, in the order of the seeds.

    run: such as `partial(dr_rpo, model, episodes=100)`. seeds: 0 to n - 1, or which ones, all
    different. jobs: threads, one for each core where not given. folder: gets a file per seed, from
    which a sweep that was interrupted goes on; see `save` of `run_online`.

    Raises ValueError or TypeError naming what does not fit, and what a run raises.
    """
    # Loaded where it is needed: it takes long, and most of what is done here is a single run.
    import joblib

    if not callable(run):
        raise TypeError(f"run is {run!r:.80}; expected a function of seed")
    if not isinstance(seeds, Iterable):
        seeds = range(check_positive_integer(seeds, "seeds"))
    chosen = list(seeds)
    if len(set(chosen)) != len(chosen):
        raise ValueError("seeds has one twice; expected different ones, as runs are independent")
    threads = joblib.cpu_count() if jobs is None else check_positive_integer(jobs, "jobs")
    if folder is not None and not isinstance(folder, str | PathLike):
        raise TypeError(f"folder is {folder!r:.80}; expected a path")
    places = [{} if folder is None else {"save": Path(folder) / f"{seed}.npz"} for seed in chosen]
    tasks = (
        joblib.delayed(run)(seed=seed, **place) for seed, place in zip(chosen, places, strict=True)
    )
    return list(joblib.Parallel(threads, prefer="threads", batch_size=1)(tasks))
