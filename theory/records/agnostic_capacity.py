"""Spanning capacity: what it is for known classes, and how large it can be at most.

The capacity here comes from trying all deterministic MDPs, independent of the search in
`rltheory.tabular.agnostic`.
"""

from functools import lru_cache
from itertools import product
from math import comb
from typing import NamedTuple

import numpy as np

from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.theory.records.agnostic_coverage import LAYERED, sample_class
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

CAPACITY = "Jia, Li, Rakhlin, Sekhari and Srebro (2023)"


def capacity_by_layer(policies: PolicyClass) -> tuple[int, ...]:
    """Return the most pairs that a class reaches at each layer, over all deterministic MDPs.

    Tries every start and every successor of every pair that is reached.
    """
    sizes = tuple(int(n) for n in np.asarray(policies.layer_sizes))
    return _capacity(policies.table.tobytes(), policies.table.shape, policies.actions, sizes)


@lru_cache(maxsize=256)
def _capacity(
    data: bytes, shape: tuple[int, ...], actions: int, sizes: tuple[int, ...]
) -> tuple[int, ...]:
    table = np.frombuffer(data, dtype=np.int8).reshape(shape)
    bits = [
        [
            [sum(1 << int(p) for p in np.flatnonzero(table[:, h, s] == a)) for a in range(actions)]
            for s in range(sizes[h])
        ]
        for h in range(shape[1])
    ]
    known: dict[tuple[int, tuple[int, ...]], tuple[int, ...]] = {}

    def explore(h: int, placed: tuple[int, ...]) -> tuple[int, ...]:
        """Return the most pairs at layers h, ..., H - 1 with these policies at the states of h."""
        if (h, placed) not in known:
            parts = [
                group & chosen
                for s, group in enumerate(placed)
                for chosen in bits[h][s]
                if group & chosen
            ]
            later = (0,) * (shape[1] - h - 1)
            if later:
                for targets in product(range(sizes[h + 1]), repeat=len(parts)):
                    united = [0] * sizes[h + 1]
                    for part, target in zip(parts, targets, strict=True):
                        united[target] |= part
                    found = explore(h + 1, tuple(united))
                    later = tuple(max(pair) for pair in zip(later, found, strict=True))
            known[h, placed] = (len(parts), *later)
        return known[h, placed]

    everybody = (1 << shape[0]) - 1
    starts = [
        explore(0, tuple(everybody if s == start else 0 for s in range(sizes[0])))
        for start in range(sizes[0])
    ]
    return tuple(max(column) for column in zip(*starts, strict=True))


class Named(NamedTuple):
    """A class of a known capacity."""

    policies: PolicyClass
    capacity: int


def sample_named(tape: Tape, size: int) -> Named:
    """Draw one of the named classes with enough states for its formula."""
    h = min(size, 3)
    few = tape.integer(1, 3)
    tabular = PolicyClass.tabular(horizon=2, states=few)
    options = (
        Named(PolicyClass.constant(horizon=h, states=2, actions=2 + few % 2), 2 + few % 2),
        Named(PolicyClass.singletons(horizon=h, states=h), h + 1),
        Named(PolicyClass.singletons(horizon=3, states=2), 3),
        Named(
            PolicyClass.l_tons(few, horizon=2, states=2), sum(comb(2, i) for i in range(few + 1))
        ),
        Named(PolicyClass.one_active(horizon=h, states=h), h + 1),
        Named(PolicyClass.all_active(horizon=2, states=2), 4),
        Named(PolicyClass.open_loop(horizon=h, states=2), min(2**h, 4)),
        Named(tabular, min(4, 2 * few)),
    )
    return options[tape.integer(0, len(options) - 1)]


def named_sides(named: Named) -> tuple[Side, Side]:
    """Return the capacity by trying all deterministic MDPs, and the closed form."""
    return max(capacity_by_layer(named.policies)), named.capacity


NAMED = Theorem(
    id="agnostic/capacity-of-named-classes",
    title="The spanning capacity of the named classes",
    source=f"{CAPACITY}, section 3, for the classes; values derived and enumerated here",
    statement=(
        r"\mathfrak{C}(\text{constant}) = A,\quad \mathfrak{C}(\text{singletons}) = "
        r"\mathfrak{C}(\text{one active}) = H+1,\quad \mathfrak{C}(l\text{-tons}) = "
        r"\sum_{i\le l}\tbinom{H}{i},\quad \mathfrak{C}(\text{all active}) = 1 + \tfrac{H(H+1)}{2}"
    ),
    hypotheses=(
        r"$A = 2$ but for constants; singletons and one active with $H \le 3$ layers of $H$ "
        "states, $l$-tons and all active with $H = 2$",
        r"singletons with two states a layer have 3 for $H = 3$; open-loop and all policies have "
        r"$\max_h \min(A^h, A\,|X_h|)$",
    ),
    kind="identity",
    sample=sample_named,
    sides=named_sides,
    control=Control(
        name="one pair too few",
        explanation="The capacity is undercounted by one.",
        sides=lambda named: (max(capacity_by_layer(named.policies)) - 1, named.capacity),
    ),
    notes="H + 1 for singletons needs H states a layer; two states leave 3 of 4 for H = 3.",
    sizes=(2, 3),
)


def sample_sized(tape: Tape, size: int) -> PolicyClass:
    """Draw a random class, or a rich one, with layers of several sizes."""
    horizon, states = min(size, 3), 2
    layers = np.array([tape.integer(1, states) for _ in range(horizon)])
    if tape.integer(0, 1):
        rich = PolicyClass.open_loop(horizon=horizon, states=states)
        return PolicyClass(rich.table, 2, layers)
    return PolicyClass(sample_class(tape, horizon, states).table, 2, layers)


def _cap(policies: PolicyClass, actions: int) -> tuple[Side, Side]:
    sizes = [int(n) for n in np.asarray(policies.layer_sizes)]
    caps = [
        min(len(policies), policies.actions ** (h + 1), actions * size)
        for h, size in enumerate(sizes)
    ]
    return np.array(capacity_by_layer(policies)), np.array(caps)


CAP = Theorem(
    id="agnostic/capacity-cap",
    title="Capacity is capped by policies, plans and pairs, layer by layer",
    source=f"{CAPACITY}, section 3; the form by layers derived here",
    statement=(r"C_h(\Pi) \le \min\bigl\{|\Pi|,\ A^h,\ A\,|X_h|\bigr\},\qquad h = 1, \dots, H"),
    hypotheses=(LAYERED, r"$C_h(\Pi)$: most pairs of layer $h$ in a deterministic MDP"),
    kind="inequality",
    sample=sample_sized,
    sides=lambda policies: _cap(policies, policies.actions),
    control=Control(
        name="states for pairs",
        explanation="The last cap counts states instead of pairs.",
        sides=lambda policies: _cap(policies, 1),
    ),
    sharpness=0.999,
    sizes=(2, 3),
)


THEOREMS = (NAMED, CAP)
