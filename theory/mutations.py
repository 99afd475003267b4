"""A theorem with its sign or its constant turned: what the engine must refute.

A record whose mutated statement survives says less than it seems to: its bound is loose, its
enclosures are too wide, or its sampler never comes near the edge.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from rltheory.theory.sides import Side, scaled, strengthened, to_bounds
from rltheory.theory.theorem import Theorem

Mutation = Literal["sign", "constant"]

IDENTITY_FACTOR = 1.0 + 2.0**-20
"""What one side of an identity is multiplied by; exact in binary."""


@dataclass
class MutatedSides:
    """The two sides of a statement after a mutation.

    effective: whether some instance so far had anything to change (a side that was not zero).
    """

    theorem: Theorem
    mutation: Mutation
    effective: bool = False

    def __call__(self, instance: Any) -> tuple[Side, Side]:
        """Return the mutated sides of one instance."""
        left, right = self.theorem.sides(instance)
        changed = left if self.theorem.mutable_side == "left" else right
        # Swapping the sides changes something even where one of them is zero.
        swap = self.mutation == "sign" and self.theorem.kind != "identity"
        self.effective = self.effective or swap or not _is_zero(changed)
        if swap:
            return right, left
        changed = self._turned(changed)
        return (changed, right) if self.theorem.mutable_side == "left" else (left, changed)

    def _turned(self, side: Side) -> Side:
        theorem = self.theorem
        if theorem.kind == "identity":
            return scaled(side, -1) if self.mutation == "sign" else scaled(side, IDENTITY_FACTOR)
        if theorem.mutable_side == "left":
            return scaled(strengthened(scaled(side, -1), theorem.sharpness), -1)
        return strengthened(side, theorem.sharpness)


def mutations(theorem: Theorem) -> dict[str, Theorem]:
    """Return the theorem with its sign turned and with its constant turned, by name.

    sign: an identity's right side negated, the sides of any other statement swapped.
    constant: an identity's right side times 1 + 2 ** -20; any other claim strengthened by
    `theorem.sharpness`. Their `sides` are `MutatedSides`.
    """
    names: tuple[Mutation, ...] = get_args(Mutation)
    return {name: replace(theorem, sides=MutatedSides(theorem, name)) for name in names}


def _is_zero(side: Side) -> bool:
    bounds = to_bounds(side)
    return not np.any(bounds.lower) and not np.any(bounds.upper)
