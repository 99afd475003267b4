"""A theorem as an object that can fail: a sampler of instances, two sides, a false twin.

A record states what a paper claims; `rltheory.theory.engine` tries to refute it, and requires that
the same attempt refutes the control, a variant made slightly false on purpose.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from rltheory.theory.sides import Kind, Side
from rltheory.theory.tape import Tape

Sampler = Callable[[Tape, int], Any]
Sides = Callable[[Any], tuple[Side, Side]]


def always(instance: Any) -> bool:
    """Admit every instance."""
    return True


@dataclass(frozen=True, kw_only=True)
class Control:
    """A slightly false variant of a theorem: other sides, or a sampler that drops a hypothesis.

    name: a few words; explanation: one sentence on what was made false.
    A control with its own sampler is not held to the theorem's `admissible`.
    """

    name: str
    explanation: str
    sides: Sides | None = None
    sample: Sampler | None = None

    def __post_init__(self) -> None:
        if self.sides is None and self.sample is None:
            raise ValueError(f"control {self.name!r} changes nothing; give it sides or sample")


@dataclass(frozen=True, kw_only=True)
class Theorem:
    r"""A claim, its source and the means to refute it.

    id: "topic/claim", unique. source: author, year, number in the work.
    statement: LaTeX, text with $...$ and $$...$$, or one formula without dollars.
    hypotheses: in words (LaTeX allowed), as the sampler and `admissible` enforce them.
    kind: an inequality claims left <= right in every entry on every instance, an identity
        left == right; a separation or counterexample that some instance has left < right in every
        entry (the sampler may ignore its tape and return that instance); a rate that the fitted
        slope, enclosed by its confidence limits as `Bounds`, is <= the claimed slope.
    sample(tape, size): an instance; larger sizes are harder.
    sides(instance): the two sides; see `rltheory.theory.sides`.
    admissible(instance): whether the hypotheses hold; other instances are skipped and counted.
    sizes: passed to the sampler, in growing order.
    rounding(instance): absolute error bound of sides that are plain floats; the verdict is then
        at best "holds".
    cost: one evaluation in units of about 5 ms; divides the number of instances.
    details(instance): what else to report about the decisive instance, JSON values (for a rate,
        the range of the parameter that was covered).
    sharpness: in (0, 1), how far the constant may be turned: the claim strengthened by this factor
        must be refuted (positive entries of the right side are multiplied by it, negative ones
        divided). Closer to 1 is a stronger record. Identities ignore it: there the right side is
        multiplied by 1 + 2 ** -20. See `rltheory.theory.mutations`.
    mutable_side: the side whose constant is turned; "left" where the right side is zero by form
        (the left side's positive entries are then divided by `sharpness`). A statement 0 <= a - b
        has no constant to turn: state b <= a instead.
    """

    id: str
    title: str
    source: str
    statement: str
    hypotheses: tuple[str, ...]
    kind: Kind
    sample: Sampler
    sides: Sides
    control: Control
    admissible: Callable[[Any], bool] = always
    sizes: tuple[int, ...] = (2, 3, 5)
    notes: str = ""
    rounding: Callable[[Any], float] | None = None
    cost: float = 1.0
    details: Callable[[Any], Mapping[str, Any]] | None = None
    sharpness: float = 0.5
    mutable_side: Literal["left", "right"] = "right"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.id}: kind is {self.kind!r}; expected one of {get_args(Kind)}")
        if not self.sizes:
            raise ValueError(f"{self.id}: sizes is empty; expected at least one size")
        if isinstance(self.hypotheses, str):
            raise TypeError(f"{self.id}: hypotheses is a string; expected a tuple of strings")
        if not self.cost > 0:
            raise ValueError(f"{self.id}: cost is {self.cost}; expected a positive number")
        if not 0 < self.sharpness < 1:
            raise ValueError(
                f"{self.id}: sharpness is {self.sharpness}; expected a number inside (0, 1)"
            )
        if self.mutable_side not in ("left", "right"):
            raise ValueError(
                f"{self.id}: mutable_side is {self.mutable_side!r}; expected 'left' or 'right'"
            )


def false_twin(theorem: Theorem) -> Theorem:
    """Return the theorem with its control in place: what the engine must refute."""
    control = theorem.control
    return replace(
        theorem,
        sample=control.sample or theorem.sample,
        sides=control.sides or theorem.sides,
        admissible=always if control.sample else theorem.admissible,
    )
