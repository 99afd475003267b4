"""What the engine found out: instances, attempts and verdicts, and their JSON form.

Everything here is plain data. Numbers in JSON keep their bits; infinities are written as strings.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from rltheory.theory.sides import Comparison, Kind

if TYPE_CHECKING:
    from rltheory.analysis.sweeps.table import SweepTable

Verdict = Literal["holds (exact)", "holds (certified bound)", "holds", "refuted", "untested"]

_Record = TypeVar("_Record")

EXISTENTIAL: tuple[Kind, ...] = ("separation", "counterexample")
"""Kinds that claim some instance; the others claim something of every instance."""


@dataclass(frozen=True)
class Instance:
    """An instance with both of its sides; `rltheory.theory.replay` evaluates it again.

    role: "theorem", "control", or the name of a mutation: whose sides these are.
    size, vector: the sampler's size and the numbers it read off its tape, which determine it.
    seed: of the tape that it was first drawn from (its numbers are all in `vector`).
    left, right: the sides, shortened if very long; digest: SHA-256 of both in full.
    details: what the record says about its decisive instance.
    """

    theorem: str
    role: str
    size: int
    seed: tuple[int, ...]
    vector: tuple[float, ...]
    left: str
    right: str
    digest: str
    comparison: Comparison
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One attempt to refute a statement: how many instances said what, and the decisive one.

    satisfied, violated, inconclusive, skipped: numbers of instances; skipped ones did not satisfy
    the hypotheses. tightness: the largest seen. resolution: the widest enclosures seen.
    exact: whether every comparison was between rationals.
    ceiling: no inconclusive instance separates its sides by more than this, certified.
    worst: nearest to a violation, or violating most; for separations and counterexamples the
    instance with the clearest gap. None if no instance was admissible.
    error: what a sampler or a side raised, with the instance; the attempt ended there, and
    failed_tape holds that instance's numbers.
    """

    satisfied: int
    violated: int
    inconclusive: int
    skipped: int
    tightness: float
    resolution: float
    exact: bool
    ceiling: float
    worst: Instance | None
    error: str = ""
    failed_tape: tuple[float, ...] = ()

    @property
    def instances(self) -> int:
        """How many instances both sides were evaluated on."""
        return self.satisfied + self.violated + self.inconclusive

    @property
    def margin(self) -> float:
        """The certified margin of the decisive instance, NaN if there is none."""
        return self.worst.comparison.margin if self.worst else math.nan


@dataclass(frozen=True)
class Result:
    """A theorem's verdict and what it rests on.

    label: the verdict in words, with the number of instances and the tightness where it has them;
    reason: why it is untested or refuted, empty where it holds.
    attempt on the theorem, control on its false twin; control_refuted: whether that one fell.
    budget, seed and fingerprint (of the record and the library's source) identify the run.
    """

    theorem: str
    title: str
    kind: Kind
    verdict: Verdict
    label: str
    reason: str
    attempt: Attempt
    control: Attempt
    control_refuted: bool
    budget: str
    seed: int
    fingerprint: str
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the theorem held and its control was refuted."""
        return self.verdict.startswith("holds")

    def same_as(self, other: "Result") -> bool:
        """Whether two runs found the same, apart from how long they took."""
        mine, theirs = (encode(replace(result, seconds=0.0)) for result in (self, other))
        return bool(mine == theirs)


def encode(record: Instance | Result | Attempt) -> dict[str, Any]:
    """Return a record as JSON values (dictionaries, lists, strings, finite numbers)."""
    return dict(plain(asdict(record)))


def verdict_table(results: Iterable[Result]) -> "SweepTable":
    """Return a row for each result: what was claimed, the verdict, and the numbers it rests on.

    Raises ValueError where there is no result.
    """
    # Loaded where it is needed: it brings Joblib, which takes long.
    from rltheory.analysis.sweeps.table import SweepTable

    return SweepTable(
        tuple(
            {
                "theorem": result.theorem,
                "title": result.title,
                "kind": result.kind,
                "verdict": result.verdict,
                "instances": result.attempt.instances,
                "tightness": result.attempt.tightness,
                "margin": result.attempt.margin,
                "control_refuted": result.control_refuted,
                "reason": result.reason,
                "budget": result.budget,
                "seed": result.seed,
                "seconds": result.seconds,
            }
            for result in results
        )
    )


def decode_instance(data: Any) -> Instance:
    """Return the Instance that `encode` wrote.

    Raises ValueError naming the field that is missing or wrong.
    """
    return _build(Instance, data)


def decode_result(data: Any) -> Result:
    """Return the Result that `encode` wrote. Raises ValueError naming the field that is wrong."""
    return _build(Result, data)


def _build(kind: type[_Record], data: Any) -> _Record:
    if not isinstance(data, Mapping):
        raise ValueError(f"expected an object holding a {kind.__name__}; got {data!r:.60}")
    values = {}
    for name, expected in get_type_hints(kind).items():
        if name not in data:
            raise ValueError(f"not a {kind.__name__}: {name!r} is missing")
        values[name] = _read(expected, data[name], name)
    return kind(**values)


def _read(expected: Any, value: Any, name: str) -> Any:
    """Return a JSON value as the type that a field is annotated with."""
    origin, inner = get_origin(expected), get_args(expected)
    if is_dataclass(expected) and isinstance(expected, type):
        return _build(expected, value)
    if origin is UnionType:
        return None if value is None else _read(inner[0], value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(inner[0], entry, name) for entry in value)
    if origin is Mapping and isinstance(value, Mapping):
        return dict(value)
    if origin is Literal and value in inner:
        return value
    # `plain` writes infinities as text.
    if expected is float and (type(value) in (int, float) or value in ("inf", "-inf", "nan")):
        return float(value)
    if type(value) is expected:
        return value
    wanted = f"one of {inner}" if origin is Literal else getattr(expected, "__name__", expected)
    raise ValueError(f"{name} is {value!r:.60}; expected {wanted}")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: lists for tuples and arrays, strings for infinities."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(float(value))
    return value if value is None else str(value)
