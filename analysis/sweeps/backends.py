"""Where runs are computed: processes or threads by joblib, a cluster by Dask or Ray.

Each backend yields outcomes as they come, whatever their order. On a cluster the futures of its own
library are waited for: joblib's backend for Ray gives results in the end only, and with that for
Dask a worker that dies leaves the caller waiting for ever.
"""

import importlib
import logging
import os
import pickle
import sys
import traceback
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import joblib

from rltheory.analysis.sweeps.scalars import Scalar, as_scalars

Run = Callable[..., Any]
Call = tuple[int, dict[str, Scalar]]
"""The number of a case, and the case."""

MOST_IN_FLIGHT = 500
"""Calls that a cluster is given at once: enough to be busy, and to see that it could grow."""


class Outcome(NamedTuple):
    """What came of a call: a result, or an error with its traceback if that stayed elsewhere."""

    number: int
    result: dict[str, Scalar] | None
    error: Exception | None = None
    where: str = ""


Outcomes = Generator[Outcome, None, None]


def attempt(run: Run, number: int, case: dict[str, Scalar], travels: bool = True) -> Outcome:
    """Call a run; travels: to another process, which not every exception survives."""
    try:
        result = as_scalars(run(**case), "the result of run")
        both = sorted(result.keys() & case.keys())
        if both:
            raise ValueError(
                f"the result of run has {both[0]}, as the case does; expected other names"
            )
    except Exception as error:
        if not travels:
            return Outcome(number, None, error)
        return Outcome(number, None, _portable(error), traceback.format_exc())
    return Outcome(number, result)


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled: this one if it comes back from it, or its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def in_processes(run: Run, calls: Sequence[Call], jobs: int | None, address: None) -> Outcomes:
    """Yield outcomes from local processes, each with one thread for linear algebra."""
    return _by_joblib("loky", partial(attempt, run), calls, jobs, inner_max_num_threads=1)


def in_threads(run: Run, calls: Sequence[Call], jobs: int | None, address: None) -> Outcomes:
    """Yield outcomes from threads of this process."""
    return _by_joblib("threading", partial(attempt, run, travels=False), calls, jobs)


def _by_joblib(
    backend: str,
    call: Callable[..., Outcome],
    calls: Sequence[Call],
    jobs: int | None,
    **settings: Any,
) -> Outcomes:
    # One process alone would be this one, whose linear algebra has threads and other last bits.
    most = min(jobs or joblib.cpu_count(), max(2, len(calls)))
    with joblib.parallel_config(backend, n_jobs=most, **settings):
        outcomes = joblib.Parallel(batch_size=1, return_as="generator_unordered")(
            joblib.delayed(call)(number, case) for number, case in calls
        )
    try:
        # Not `yield from`, which would close the generator before the warning is turned off.
        for outcome in outcomes:  # noqa: UP028
            yield outcome
    finally:
        with warnings.catch_warnings():
            # That calls are given up is what the caller wants.
            warnings.simplefilter("ignore", UserWarning)
            outcomes.close()


def on_dask(run: Run, calls: Sequence[Call], jobs: int | None, address: str | None) -> Outcomes:
    """Yield outcomes from a Dask cluster: at the scheduler's address, or begun here and ended."""
    distributed = _extra("distributed", "dask")
    with ExitStack() as stack:
        cluster: Any = address
        if address is None:
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=min(jobs or joblib.cpu_count(), len(calls)),
                    threads_per_worker=1,
                    dashboard_address=":0",
                )
            )
        client = stack.enter_context(_connected(distributed, cluster))

        # Results come with their futures: to ask for each by itself costs a round trip.
        finished = distributed.as_completed(loop=client.loop, with_results=True, raise_errors=False)

        def submit(number: int, case: dict[str, Scalar]) -> Any:
            # Not pure: equal calls in two sweeps are two calls.
            future = client.submit(attempt, run, number, case, pure=False)
            finished.add(future)
            return future

        def first_done(pending: list[Any]) -> list[tuple[Any, Any]]:
            future, found = next(finished)
            # An error comes with its type and traceback.
            return [(future, found[1] if future.status == "error" else found)]

        yield from _by_futures(calls, jobs, submit, first_done, client.cancel)


def _connected(distributed: Any, cluster: Any) -> Any:
    try:
        return distributed.Client(cluster, set_as_default=False)
    except OSError as error:
        raise OSError(f"address is {cluster!r}; no Dask scheduler answers there: {error}") from None


def on_ray(run: Run, calls: Sequence[Call], jobs: int | None, address: str | None) -> Outcomes:
    """Yield outcomes from Ray: at an address, as connected already, or begun here and ended."""
    ray = _extra("ray", "ray")
    with ExitStack() as stack:
        if address is not None:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            stack.callback(ray.shutdown)
        elif not ray.is_initialized():
            # A cluster that a sweep begins reports to nobody, unless it is told to.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            ray.init(
                address="local",
                num_cpus=min(jobs or joblib.cpu_count(), len(calls)),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                # Workers import what this process does.
                runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}},
            )
            stack.callback(ray.shutdown)
        remote, shared = ray.remote(attempt), ray.put(run)

        def first_done(pending: list[Any]) -> list[tuple[Any, Any]]:
            futures, _ = ray.wait(pending)
            return [(future, _awaited(ray, future)) for future in futures]

        def cancel(futures: list[Any]) -> None:
            for future in futures:
                ray.cancel(future)

        yield from _by_futures(calls, jobs, partial(remote.remote, shared), first_done, cancel)


def _awaited(ray: Any, future: Any) -> Any:
    try:
        return ray.get(future)
    except Exception as error:
        return error


def _by_futures(
    calls: Sequence[Call],
    jobs: int | None,
    submit: Callable[[int, dict[str, Scalar]], Any],
    first_done: Callable[[list[Any]], list[tuple[Any, Any]]],
    cancel: Callable[[list[Any]], Any],
) -> Outcomes:
    """Keep some calls in flight, and yield the outcomes of those that are done.

    first_done: waits for one future or more, and returns them with their outcomes; or with the
    error that kept a worker from its call, as the call's own errors are outcomes.
    """
    waiting = iter(calls)
    pending = {submit(*call): call[0] for call in islice(waiting, jobs or MOST_IN_FLIGHT)}
    try:
        while pending:
            outcomes = []
            for future, found in first_done(list(pending)):
                number = pending.pop(future)
                lost = not isinstance(found, Outcome)
                outcomes.append(Outcome(number, None, found) if lost else found)
            pending |= {submit(*call): call[0] for call in islice(waiting, len(outcomes))}
            # Results first, as an error ends the sweep.
            yield from sorted(outcomes, key=lambda outcome: outcome.error is not None)
    finally:
        cancel(list(pending))


def _extra(module: str, backend: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"backend {backend} needs {module}: pip install 'rltheory[cluster]'"
        ) from None


BACKENDS: dict[str, Callable[..., Outcomes]] = {
    "local": in_processes,
    "threads": in_threads,
    "dask": on_dask,
    "ray": on_ray,
}


def compute(
    backend: str, run: Run, calls: Sequence[Call], jobs: int | None, address: str | None
) -> Outcomes:
    """Yield the outcomes of calls by a backend, none of which is begun for no calls.

    Raises ImportError without the extra `cluster`, OSError if nobody answers at the address.
    """
    if calls:
        yield from BACKENDS[backend](run, calls, jobs, address)
