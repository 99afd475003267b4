"""A function run on every case of a grid, with a row of results for each.

Rows are kept in a journal as they come, in whatever order; the table is in the order of the cases,
the same to the last bit however the rows were computed and however often the sweep was interrupted.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sized
from contextlib import ExitStack, closing
from functools import partial
from itertools import product
from math import prod
from os import PathLike
from typing import Any

from rltheory.analysis.arrays import check_positive_integer
from rltheory.analysis.sweeps.backends import BACKENDS, Outcome, compute
from rltheory.analysis.sweeps.journal import case_key, open_journal
from rltheory.analysis.sweeps.naming import import_name
from rltheory.analysis.sweeps.progress import Reporter, reporting
from rltheory.analysis.sweeps.scalars import Scalar, as_scalars
from rltheory.analysis.sweeps.table import SweepTable

Case = dict[str, Scalar]

MOST_CASES = 1_000_000
"""Cases and their rows are kept in memory."""


def grid(**settings: Iterable[Any]) -> list[dict[str, Scalar]]:
    """Return every combination of the settings' values, the last setting changing fastest.

    Raises TypeError if a setting has no list of values, or one that is no scalar; ValueError if
    there are no values, or more than a million combinations.
    """
    axes: dict[str, list[Any]] = {}
    for name, values in settings.items():
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise TypeError(f"{name} is {values!r:.80}; expected a list of its values")
        # A range may be longer than memory.
        sized = len(values) if isinstance(values, Sized) else 0
        _check_count(sized * prod(len(axis) for axis in axes.values()))
        axes[name] = list(values)
        if not axes[name]:
            raise ValueError(f"{name} has no values; expected at least one")
    _check_count(prod(len(axis) for axis in axes.values()))
    combinations = product(*axes.values())
    return [as_scalars(dict(zip(axes, values, strict=True)), "a case") for values in combinations]


def sweep(
    run: Callable[..., Mapping[str, Any]],
    cases: Iterable[Mapping[str, Any]],
    *,
    save: str | PathLike[str] | None = None,
    backend: str = "local",
    jobs: int | None = None,
    address: str | None = None,
    progress: Reporter = None,
) -> SweepTable:
    """Return a table with a row for each case, its settings and then what run(**case) returns.

    run: returns scalars by name, other names than the case has. It must be a function that can be
    imported, or functools.partial of one, unless `backend` is "threads" and nothing is saved.
    cases: such as `grid` returns, all different. save: a file of JSON lines (`.jsonl`) that gets
    each row as it is finished, and from which an interrupted sweep of the same run goes on; rows
    of cases that are not asked for any more stay there. backend: "local" for processes, "threads"
    for runs whose compiled code leaves the interpreter's lock alone, "dask" or "ray". jobs: how
    many calls at a time; where not given one for each core, or what keeps a cluster busy. address:
    of a Dask scheduler or of Ray; without it a cluster on this machine is begun and ended, unless
    Ray is connected already. progress: None for a bar on a terminal after two seconds, False for
    none, True for a bar at once, or a function of rows done and all rows.

    For many whole runs of learners in a linear MDP, whose arrays are wanted later rather than a
    few numbers, `rltheory.linear_mdp.sweep_seeds` keeps an archive for each seed.

    Raises what a run raises, with a note on the case, once the rows finished before it are kept;
    TypeError or ValueError naming the argument that does not fit, ValueError if `save` holds
    another sweep, BlockingIOError if another process is writing it, OSError if it cannot be
    written or nobody answers at the address, ImportError without the extra `cluster`.
    """
    listed = _checked_cases(run, cases)
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r:.80}; expected one of {list(BACKENDS)}")
    if backend != "threads":
        import_name(run)
    if address is not None and (backend not in ("dask", "ray") or not isinstance(address, str)):
        raise ValueError(
            f"address is {address!r:.80} for {backend}; expected a string, for dask or ray, or None"
        )
    if jobs is not None:
        jobs = check_positive_integer(jobs, "jobs")
    with ExitStack() as stack:
        journal = stack.enter_context(open_journal(save, run)) if save is not None else None
        results = dict(journal.results) if journal else {}
        calls = [(k, case) for k, (key, case) in enumerate(listed.items()) if key not in results]
        keys = list(listed)
        done = len(keys) - len(calls)
        report = stack.enter_context(reporting(progress, done, len(keys)))
        outcomes = compute(backend, run, calls, jobs, address)
        for outcome in stack.enter_context(closing(outcomes)):
            key = keys[outcome.number]
            if outcome.result is None:
                raise _explained(outcome, listed[key])
            if journal:
                journal.add(listed[key], outcome.result)
            results[key] = outcome.result
            done += 1
            report(done)
    return SweepTable(tuple(case | results[key] for key, case in listed.items()))


def _checked_cases(run: Any, cases: Any) -> dict[str, Case]:
    """Return the cases by their key, having checked that they are different and that run fits."""
    if not callable(run):
        raise TypeError(f"run is {run!r:.80}; expected a function of a case's settings")
    if isinstance(cases, str | bytes | Mapping) or not isinstance(cases, Iterable):
        raise TypeError(f"cases is {cases!r:.80}; expected a list of settings, as grid returns")
    listed: dict[str, Case] = {}
    known: set[frozenset[str]] = set()
    for number, given in enumerate(cases):
        case = as_scalars(given, f"cases[{number}]")
        if case_key(case) in listed:
            raise ValueError(f"cases[{number}] is {case}, as is one before; expected each once")
        listed[case_key(case)] = case
        _check_count(len(listed))
        if frozenset(case) not in known:
            _check_takes(run, case)
            known.add(frozenset(case))
    if not listed:
        raise ValueError("cases is empty; expected at least one")
    return listed


def _check_takes(run: Any, case: Case) -> None:
    """Raise now what would be raised on a cluster later, and refuse settings given twice."""
    twice = sorted(case.keys() & run.keywords.keys()) if isinstance(run, partial) else []
    if twice:
        raise ValueError(f"{twice[0]} is in the cases and bound in run; expected it in one of them")
    try:
        signature = inspect.signature(run)
    except (TypeError, ValueError):
        # Some built-in functions do not say what they take.
        return
    try:
        signature.bind(**case)
    except TypeError as error:
        raise TypeError(f"run does not take the settings {sorted(case)}: {error}") from None


def _check_count(count: int) -> None:
    if count > MOST_CASES:
        raise ValueError(f"there are {count} cases; expected at most {MOST_CASES}")


def _explained(outcome: Outcome, case: Case) -> BaseException:
    error = outcome.error or RuntimeError("the call came back empty")
    if outcome.where:
        error.add_note(outcome.where)
    error.add_note(f"in the case {case}")
    return error
