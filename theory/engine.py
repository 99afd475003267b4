"""The engine: every theorem is attacked, its false twin must fall, and a verdict says the rest.

A theorem whose control survives is untested, whatever its own instances say: the attack that
spared a false statement proves nothing about a true one.
"""

import importlib.metadata
import platform
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from os import PathLike

import numpy as np

from rltheory.theory import registry
from rltheory.theory.mutations import MutatedSides, mutations
from rltheory.theory.search import BUDGETS, Budget, attack, documented
from rltheory.theory.store import Store, fingerprint
from rltheory.theory.theorem import Theorem, false_twin
from rltheory.theory.verdict import EXISTENTIAL, Attempt, Instance, Result, Verdict

_FEW = 3
"""Up to this many theorems run in the calling process: starting workers would take longer."""


def verify(
    ids: str | Iterable[str | Theorem] = (),
    *,
    budget: str = "standard",
    seed: int = 0,
    jobs: int | None = None,
    store: str | PathLike[str] | None = None,
    resume: bool = False,
    on_result: Callable[[Result], None] | None = None,
) -> tuple[Result, ...]:
    """Return the verdicts on the theorems that match `ids` (names, globs or records; all if none).

    budget: "quick", "standard" or "deep". jobs: processes, by default one per core; the results do
    not depend on it. store: a JSON-lines file to which each result is appended when it is known.
    resume: take from the store what was done with the same seed, budget and source. on_result is
    called with each result as it comes. Results are ordered by id.
    Raises ValueError for an unknown id or budget, OSError if the store cannot be written,
    ChildProcessError if the system kills a worker.
    """
    chosen = chosen_theorems(ids)
    budget_named(budget)
    _check_seed(seed)
    if resume and store is None:
        raise ValueError("resume needs the store that holds the earlier results")
    stamps = {theorem.id: fingerprint(theorem) for theorem in chosen}
    log = Store(store) if store is not None else None
    results: list[Result] = []
    if log is not None:
        log.prepare()
        if resume:
            results = kept(chosen, budget, seed, log.path)
    done = {result.theorem for result in results}
    for result in results:
        if on_result:
            on_result(result)
    remaining = [theorem for theorem in chosen if theorem.id not in done]
    for result in _run(remaining, budget, seed, stamps, jobs):
        if log is not None:
            log.append(result)
        results.append(result)
        if on_result:
            on_result(result)
    return tuple(sorted(results, key=lambda result: result.theorem))


def kept(
    theorems: Iterable[Theorem], budget: str, seed: int, store: str | PathLike[str]
) -> list[Result]:
    """Return what a store holds on these theorems for this budget, seed and source."""
    log = Store(store)
    if not log.path.exists():
        return []
    return log.finished({theorem.id: fingerprint(theorem) for theorem in theorems}, budget, seed)


def falsify(
    theorem: str | Theorem, *, role: str = "theorem", budget: str = "deep", seed: int = 0
) -> tuple[bool, Attempt]:
    """Search for a counterexample as hard as `budget` says; whether it refutes, and the attempt.

    role: "theorem", or "control", "sign", "constant" to attack that false variant instead, up to
    the first instance that refutes it. The attempt's `worst` is the instance nearest to a
    violation, or one that violates. For separations and counterexamples the search is for a
    witness; refuted means that none was found.
    Raises ValueError for an unknown id, role or budget, if the record's own functions raise, or if
    a mutation changes nothing on any instance, so that nothing could refute it.
    """
    record = registry.find(theorem) if isinstance(theorem, str) else theorem
    limits = budget_named(budget)
    _check_seed(seed)
    attacked = variant(record, role)
    own = role == "theorem"
    attempt = attack(attacked, limits, seed, role=role, stop=not own)
    if attempt.error:
        raise ValueError(attempt.error)
    if isinstance(attacked.sides, MutatedSides) and not attacked.sides.effective:
        raise ValueError(
            f"{record.id}: turning the {role} changes nothing, the {record.mutable_side} side is "
            "zero on every instance; state it so that a constant shows, or set mutable_side"
        )
    witness = None
    if record.kind in EXISTENTIAL and attempt.inconclusive and not own:
        witness = attack(record, limits, seed, stop=True)
    return _refuted(record, attempt, witness), attempt


def replay(instance: Instance, theorem: Theorem | None = None) -> tuple[bool, Instance]:
    """Evaluate a kept instance again; whether both sides have the same bits, and the new one.

    The theorem is looked up by the instance's id unless it is given.
    Raises ValueError if the theorem or the role is unknown, or its functions raise.
    """
    record = registry.find(instance.theorem) if theorem is None else theorem
    found = documented(
        variant(record, instance.role),
        instance.role,
        instance.size,
        instance.seed,
        np.asarray(instance.vector, dtype=np.float64),
    )
    return found.digest == instance.digest, found


def variant(theorem: Theorem, role: str) -> Theorem:
    """Return the theorem itself, its control or one of its mutations, by the name of the role."""
    variants = {"theorem": theorem, "control": false_twin(theorem)} | mutations(theorem)
    if role not in variants:
        raise ValueError(f"role is {role!r}; expected one of {', '.join(variants)}")
    return variants[role]


def examine(theorem: Theorem, budget: str, seed: int, stamp: str = "") -> Result:
    """Return the verdict on one theorem: its attack, then that on its control.

    stamp: the fingerprint to write down, taken by the caller before the run.
    """
    limits = budget_named(budget)
    start = time.perf_counter()
    attempt = attack(theorem, limits, seed)
    control = attack(false_twin(theorem), limits, seed, role="control", stop=True)
    fallen = not control.error and _refuted(theorem, control, attempt)
    verdict, reason = _conclude(theorem, attempt, control, fallen)
    return Result(
        theorem=theorem.id,
        title=theorem.title,
        kind=theorem.kind,
        verdict=verdict,
        label=_label(verdict, attempt),
        reason=reason,
        attempt=attempt,
        control=control,
        control_refuted=fallen,
        budget=budget,
        seed=seed,
        fingerprint=stamp or fingerprint(theorem),
        seconds=time.perf_counter() - start,
        versions=versions(),
    )


@cache
def versions() -> dict[str, str]:
    """Return the versions that the results depend on, by name."""
    names = ("rltheory", "numpy", "scipy", "numba", "python-flint")
    found = {"python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in names}


def budget_named(name: str) -> Budget:
    """Return the budget called `name`. Raises ValueError, listing the names, if there is none."""
    if name not in BUDGETS:
        raise ValueError(f"budget is {name!r}; expected one of {', '.join(BUDGETS)}")
    return BUDGETS[name]


def chosen_theorems(ids: str | Iterable[str | Theorem]) -> tuple[Theorem, ...]:
    """Return the records for names, globs or records, ordered by id; all registered if none."""
    wanted = [ids] if isinstance(ids, str | Theorem) else list(ids)
    records = [item for item in wanted if isinstance(item, Theorem)]
    patterns = [item for item in wanted if isinstance(item, str)]
    named = registry.select(patterns) if patterns or not records else ()
    return registry.ordered([*records, *(t for t in named if t not in records)])


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected an integer of at least 0")


def _run(
    theorems: list[Theorem], budget: str, seed: int, stamps: dict[str, str], jobs: int | None
) -> Iterator[Result]:
    """Yield results as they come, from this process for a few theorems, else from workers."""
    # Loaded where they are needed: records are read more often than run.
    from concurrent.futures.process import BrokenProcessPool

    import joblib

    count = joblib.cpu_count() if jobs is None else jobs
    if count < 1:
        raise ValueError(f"jobs is {jobs}; expected an integer of at least 1")
    if count == 1 or len(theorems) <= _FEW:
        yield from (examine(t, budget, seed, stamps[t.id]) for t in theorems)
        return
    tasks = (joblib.delayed(examine)(t, budget, seed, stamps[t.id]) for t in theorems)
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        workers = joblib.Parallel(
            n_jobs=min(count, len(theorems)), batch_size=1, return_as="generator_unordered"
        )
        found = workers(tasks)
        try:
            # `yield from` would close them itself, and with a warning.
            for result in found:  # noqa: UP028
                yield result
        except BrokenProcessPool as error:
            raise ChildProcessError(
                f"a worker process was lost ({' '.join(str(error).split())[:200]}); "
                "what a store holds is kept, and resume goes on from there"
            ) from error
        finally:
            with warnings.catch_warnings():
                # Of tasks cancelled: whoever stops early knows that.
                warnings.simplefilter("ignore", UserWarning)
                found.close()


def _refuted(theorem: Theorem, attempt: Attempt, witness: Attempt | None = None) -> bool:
    """Whether an attempt refutes a statement of the theorem's kind.

    A statement about every instance falls with one violation. One about some instance falls if
    no instance was found; enclosures that overlap do not count as found where they exclude a gap
    as large as the true theorem's own (`witness`), and leave the question open where they do not.
    """
    if theorem.kind not in EXISTENTIAL:
        return attempt.violated > 0
    if attempt.satisfied or not attempt.instances:
        return False
    if not attempt.inconclusive:
        return True
    return witness is not None and attempt.ceiling < witness.margin


def _conclude(
    theorem: Theorem, attempt: Attempt, control: Attempt, fallen: bool
) -> tuple[Verdict, str]:
    if _refuted(theorem, attempt):
        return "refuted", _refutation(theorem, attempt)
    if attempt.error:
        return "untested", attempt.error
    if not attempt.instances:
        return "untested", f"none of {attempt.skipped} instances satisfies the hypotheses"
    if not attempt.satisfied:
        return "untested", (
            f"all {attempt.inconclusive} undecided instances have overlapping enclosures, "
            f"up to {attempt.resolution:.1e} wide"
        )
    if not fallen:
        return "untested", control.error or (
            f"the control ({theorem.control.name}) survived {control.instances} instances"
        )
    existential = theorem.kind in EXISTENTIAL
    # A witness proves "some instance" by itself; "every instance" needs every one decided.
    if theorem.rounding or theorem.kind == "rate" or (attempt.inconclusive and not existential):
        return "holds", ""
    assert attempt.worst is not None
    exact = attempt.worst.comparison.exact if existential else attempt.exact
    return ("holds (exact)" if exact else "holds (certified bound)"), ""


def _refutation(theorem: Theorem, attempt: Attempt) -> str:
    assert attempt.worst is not None
    if theorem.kind in EXISTENTIAL:
        return f"none of {attempt.instances} instances has left < right"
    return (
        f"{attempt.violated} of {attempt.instances} instances violate it, the worst by "
        f"{-attempt.margin:.3g} (size {attempt.worst.size})"
    )


def _label(verdict: Verdict, attempt: Attempt) -> str:
    if verdict != "holds":
        return verdict
    return f"holds on {attempt.satisfied} instances, tightness {floored(attempt.tightness):g}"


def floored(tightness: float) -> float:
    """Return a tightness to three digits, rounded down: 1 only where the sides meet."""
    return int(tightness * 1000) / 1000
