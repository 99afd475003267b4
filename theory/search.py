"""The search for a counterexample: random instances, then local search from the worst of them.

An instance is a point of a cube (the numbers on its tape), so one derivative-free search serves
every theorem: a (1 + 1) evolution strategy with a step size of its own that also jumps to the
cube's faces and copies coordinates, because extreme points and ties are where bounds are attained.
It drives `Comparison.relative` down, or up where some instance must be found.
"""

import hashlib
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.theory.sides import Comparison, Side, compare, describe
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Theorem
from rltheory.theory.verdict import EXISTENTIAL, Attempt, Instance, plain


@dataclass(frozen=True)
class Budget:
    """How hard to try at cost 1: random instances, and local search steps after them."""

    instances: int
    steps: int


BUDGETS = {
    "quick": Budget(60, 90),
    "standard": Budget(300, 450),
    "deep": Budget(3000, 9000),
}

_STARTS = 3
_DRAWS_PER_INSTANCE = 10
_LARGEST_STEP, _SMALLEST_STEP = 0.25, 2.0**-12
_LONGEST_SIDE = 2000


@dataclass(frozen=True)
class Trial:
    """One evaluated point; comparison None if it did not satisfy the hypotheses."""

    size: int
    seed: tuple[int, ...]
    vector: FloatArray
    comparison: Comparison | None


class EvaluationError(ValueError):
    """A sampler or a side raised; the message names theorem and instance.

    tape: the numbers in full, from which the same error can be raised again.
    """

    def __init__(self, message: str, tape: FloatArray) -> None:
        super().__init__(message)
        self.tape = tape


def attack(
    theorem: Theorem, budget: Budget, seed: int, *, role: str = "theorem", stop: bool = False
) -> Attempt:
    """Try to refute a statement and say how far it got.

    With `stop` the attempt ends at the first instance that decides it (a violation, or a witness
    of a separation). Deterministic in `seed`, the theorem's id and `role`.
    """
    existential = theorem.kind in EXISTENTIAL
    tally = _Tally(existential)
    root = (seed, zlib.crc32(f"{theorem.id}/{role}".encode()))
    steps = math.ceil(budget.steps / theorem.cost)
    error: EvaluationError | None = None
    try:
        for trial in _random_trials(theorem, budget, root):
            tally.add(trial)
            if stop and tally.decided:
                return tally.attempt(theorem, role)
        starts = [trial for trial in tally.best if trial.vector.size]
        for number, start in enumerate(starts):
            for trial in _climb(theorem, start, steps // len(starts), (*root, 2, number)):
                tally.add(trial)
                if stop and tally.decided:
                    return tally.attempt(theorem, role)
    except EvaluationError as failure:
        error = failure
    return tally.attempt(theorem, role, error)


def evaluate(theorem: Theorem, size: int, tape: Tape) -> tuple[Any, Side, Side] | None:
    """Return an instance and its sides, or None if it does not satisfy the hypotheses.

    Raises EvaluationError naming theorem and instance if the record's own functions raise.
    """
    try:
        instance = theorem.sample(tape, size)
        if not theorem.admissible(instance):
            return None
        left, right = theorem.sides(instance)
    except Exception as error:
        raise EvaluationError(
            f"{theorem.id}: the instance of size {size} with tape {_short(tape.vector)} raised "
            f"{type(error).__name__}: {error}",
            tape.vector,
        ) from error
    return instance, left, right


def compared(theorem: Theorem, size: int, tape: Tape) -> Comparison | None:
    """Return what one instance says, or None if it is not admissible; errors as `evaluate`."""
    found = evaluate(theorem, size, tape)
    if found is None:
        return None
    instance, left, right = found
    try:
        rounding = theorem.rounding(instance) if theorem.rounding else None
        return compare(theorem.kind, left, right, rounding)
    except Exception as error:
        raise EvaluationError(
            f"{theorem.id}: the sides of the instance of size {size} with tape "
            f"{_short(tape.vector)} cannot be compared: {error}",
            tape.vector,
        ) from error


def documented(
    theorem: Theorem, role: str, size: int, seed: tuple[int, ...], vector: FloatArray
) -> Instance:
    """Return the instance of a tape with its sides in words.

    Raises EvaluationError as `evaluate` does, or ValueError if it does not satisfy the hypotheses.
    """
    tape = Tape(vector, seed=seed)
    found = evaluate(theorem, size, tape)
    comparison = compared(theorem, size, Tape(vector, seed=seed))
    if found is None or comparison is None:
        raise ValueError(f"{theorem.id}: the instance does not satisfy the hypotheses")
    instance, left, right = found
    texts = describe(left), describe(right)
    try:
        details = plain(dict(theorem.details(instance))) if theorem.details else {}
    except Exception as error:
        raise EvaluationError(
            f"{theorem.id}: details of the instance of size {size} with tape {_short(vector)} "
            f"raised {type(error).__name__}: {error}",
            tape.vector,
        ) from error
    return Instance(
        theorem=theorem.id,
        role=role,
        size=size,
        seed=seed,
        vector=tuple(float(x) for x in vector),
        left=_shortened(texts[0]),
        right=_shortened(texts[1]),
        digest=hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        comparison=comparison,
        details=details,
    )


class _Tally:
    """Counts trials and keeps the few that came nearest to deciding the statement."""

    def __init__(self, existential: bool) -> None:
        self.existential = existential
        self.counts = {"satisfied": 0, "violated": 0, "inconclusive": 0, "skipped": 0}
        self.best: list[Trial] = []
        self.tightness, self.resolution, self.ceiling = 0.0, 0.0, -math.inf
        self.exact = True

    @property
    def decided(self) -> bool:
        return bool(self.counts["satisfied" if self.existential else "violated"])

    def add(self, trial: Trial) -> None:
        found = trial.comparison
        if found is None:
            self.counts["skipped"] += 1
            return
        self.counts[found.state] += 1
        self.tightness = max(self.tightness, found.tightness)
        self.resolution = max(self.resolution, found.resolution)
        self.exact = self.exact and found.exact
        if found.state == "inconclusive":
            self.ceiling = max(self.ceiling, found.margin + found.resolution)
        # Stable: of equally good trials the earlier and smaller one stays in front.
        self.best = sorted([*self.best, trial], key=lambda t: _order(t, self.existential))[:_STARTS]

    def attempt(self, theorem: Theorem, role: str, error: EvaluationError | None = None) -> Attempt:
        worst = self.best[0] if self.best else None
        document = None
        if worst is not None:
            try:
                document = documented(theorem, role, worst.size, worst.seed, worst.vector)
            except EvaluationError as failure:
                error = error or failure
        return Attempt(
            **self.counts,
            tightness=self.tightness,
            resolution=self.resolution,
            exact=self.exact,
            ceiling=self.ceiling,
            worst=document,
            error=str(error) if error else "",
            failed_tape=tuple(float(x) for x in error.tape) if error else (),
        )


def _order(trial: Trial, existential: bool) -> tuple[bool, float]:
    """Order trials by how near they are to deciding the statement; smaller is nearer."""
    found = trial.comparison
    assert found is not None
    if existential:
        return found.state != "satisfied", -found.relative
    # 0 = 0 in every entry is no news: a search must not settle there.
    trivial = found.state == "satisfied" and found.relative == 0 and found.tightness == 0
    return found.state != "violated", math.inf if trivial else found.relative


def _random_trials(theorem: Theorem, budget: Budget, root: tuple[int, ...]) -> Iterator[Trial]:
    """Draw admissible instances in turn over the sizes; one per size if the tape is not read."""
    wanted = max(len(theorem.sizes), math.ceil(budget.instances / theorem.cost))
    per_size = math.ceil(wanted / len(theorem.sizes))
    for size in theorem.sizes:
        admitted = 0
        for number in range(per_size * _DRAWS_PER_INSTANCE):
            seed = (*root, 1, size, number)
            tape = Tape(seed=seed)
            trial = Trial(size, seed, tape.vector, compared(theorem, size, tape))
            trial = Trial(size, seed, tape.vector, trial.comparison)
            yield trial
            admitted += trial.comparison is not None
            if admitted == per_size or not trial.vector.size:
                break


def _climb(theorem: Theorem, start: Trial, steps: int, root: tuple[int, ...]) -> Iterator[Trial]:
    """Move from `start` towards an instance that decides the statement, accepting what ties."""
    existential = theorem.kind in EXISTENTIAL
    generator = np.random.default_rng(root)
    current, step = start, _LARGEST_STEP
    for number in range(steps):
        seed = (*root, number)
        tape = Tape(_neighbour(current.vector, step, generator), seed=seed)
        comparison = compared(theorem, current.size, tape)
        trial = Trial(current.size, seed, tape.vector, comparison)
        yield trial
        before = _order(current, existential)
        if comparison is None or _order(trial, existential) > before:
            step *= 0.9
        else:
            step = min(_LARGEST_STEP, step * 1.5) if _order(trial, existential) < before else step
            current = trial
        if step < _SMALLEST_STEP:
            step = _LARGEST_STEP


def _neighbour(vector: FloatArray, step: float, generator: np.random.Generator) -> FloatArray:
    """Return a point of the cube near `vector`: one coordinate moved, or about a fifth of them."""
    count = len(vector)
    if generator.random() < 0.5:
        moved = np.zeros(count, dtype=bool)
    else:
        moved = generator.random(count) < 0.2
    moved[generator.integers(count)] = True
    kind = generator.random()
    if kind < 0.6:
        proposal = vector + step * generator.standard_normal(count)
    elif kind < 0.75:
        proposal = generator.integers(0, 2, count).astype(float)
    elif kind < 0.9:
        proposal = generator.random(count)
    else:
        proposal = np.full(count, vector[generator.integers(count)])
    return np.clip(np.where(moved, proposal, vector), 0.0, 1.0)


def _short(vector: FloatArray) -> str:
    numbers = ", ".join(repr(float(x)) for x in vector[:8])
    return f"[{numbers}, ... {vector.size} numbers]" if vector.size > 8 else f"[{numbers}]"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SIDE else text[:_LONGEST_SIDE] + " ..."
