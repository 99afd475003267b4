"""Sunflowers: which cores cover which classes, and with how many petals.

Trajectories are enumerated and petals tried subset by subset, independent of the automaton and the
integer programs of `rltheory.tabular.agnostic`.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import IntArray
from rltheory.tabular.agnostic.cores import constant_core, layer_core, open_loop_core, own_core
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.sunflower import Sunflower
from rltheory.theory.records.agnostic_coverage import sample_class
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

SUNFLOWERS = "Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6"
_DEFINITION = (
    r"for every sequence of states $s_g, \dots, s_h$ with the actions of $\pi$: a core policy "
    r"takes the same actions, or some state after the first is a petal of $\pi$"
)


class Flower(NamedTuple):
    """A class, core policies (K, H, S) and petals (P, H, S)."""

    policies: PolicyClass
    core: IntArray
    petals: NDArray[np.bool_]


def _flower(policies: PolicyClass, found: Sunflower) -> Flower:
    return Flower(policies, found.core.table.astype(np.int64), np.asarray(found.petals))


def _paths(horizon: int, states: int) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield the steps and the states of all partial trajectories."""
    for first in range(horizon):
        for last in range(first, horizon):
            steps = np.arange(first, last + 1)
            for visited in product(range(states), repeat=len(steps)):
                yield steps, np.array(visited)


def support(flower: Flower, *, skipped: int = 1) -> int:
    """Return the least number of core policies and petals of any trajectory of the class."""
    policies, core, petals = flower
    least = len(core) + policies.horizon
    for steps, visited in _paths(policies.horizon, policies.states):
        rows = policies.table[:, steps, visited]
        same = (core[:, steps, visited][None] == rows[:, None]).all(axis=2).sum(axis=1)
        met = petals[:, steps[skipped:], visited[skipped:]].sum(axis=1)
        least = min(least, int((same + met).min()))
    return least


def covered_sides(flower: Flower) -> tuple[Side, Side]:
    """Return how many trajectories of each policy are covered, (P,), and how many there are."""
    policies, core, petals = flower
    covered, total = np.zeros(len(policies), dtype=np.int64), 0
    for steps, visited in _paths(policies.horizon, policies.states):
        rows = policies.table[:, steps, visited]
        same = (core[:, steps, visited][None] == rows[:, None]).all(axis=2).any(axis=1)
        covered += same | petals[:, steps[1:], visited[1:]].any(axis=1)
        total += 1
    return covered, total


def sample_binary(tape: Tape, size: int) -> Flower:
    """Draw a class of two actions, one policy of it with actions 1 in two layers; layer core."""
    policies = sample_class(tape, size, 2)
    table = policies.table.copy()
    table[0, :2, 0] = 1
    policies = PolicyClass(table, 2)
    return _flower(policies, layer_core(policies))


def _petal_less(flower: Flower) -> tuple[Side, Side]:
    petals = flower.petals.copy()
    petals[0, 1, 0] = False
    return covered_sides(flower._replace(petals=petals))


LAYERS = Theorem(
    id="agnostic/layer-core-covers",
    title="Classes of two actions are covered by one core policy for each layer, and petals",
    source=f"{SUNFLOWERS}, for the definition; the core derived here",
    statement=(
        r"\Pi_{\mathrm{core}} = \{0\} \cup \{\mathbb{1}[x \in X_g] : g \le H\},\quad S_\pi = "
        r"\{x : \pi(x) = 1\} \setminus X_{g(\pi)}\ \Rightarrow\ \text{all is covered}"
    ),
    hypotheses=(
        _DEFINITION,
        r"$g(\pi)$: the first layer where $\pi$ takes action 1",
        "the covered trajectories of each policy are counted, and all of them",
    ),
    kind="identity",
    sample=sample_binary,
    sides=covered_sides,
    control=Control(
        name="one petal too few",
        explanation="One policy's petals miss a state of the second layer where it takes action 1.",
        sides=_petal_less,
    ),
    notes="So l-tons have K = H + 1 and D = l - 1, and singletons no petals at all.",
    sizes=(2, 3),
)


def sample_any(tape: Tape, size: int) -> Flower:
    """Draw a class and the constant core; one policy is no constant on some path."""
    policies = sample_class(tape, size, 2, 3)
    table = policies.table.copy()
    table[0, 0, 0], table[0, 1, 0] = 0, 1
    policies = PolicyClass(table, 3)
    return _flower(policies, constant_core(policies))


CONSTANTS = Theorem(
    id="agnostic/constant-core-covers",
    title="The constant policies cover any class if all later states are petals",
    source=f"{SUNFLOWERS}, for the definition; derived here",
    statement=(
        r"\Pi_{\mathrm{core}} = \{\pi \equiv a\},\quad S_\pi = X_2 \cup \dots \cup X_H\ "
        r"\Rightarrow\ \text{all is covered}"
    ),
    hypotheses=(_DEFINITION, r"so any class is an $(A, \sum_{h\ge 2} |X_h|)$-sunflower"),
    kind="identity",
    sample=sample_any,
    sides=covered_sides,
    control=Control(
        name="one petal too few",
        explanation="A state where a policy changes its action is no petal.",
        sides=_petal_less,
    ),
    sizes=(2, 3),
)


class Petals(NamedTuple):
    """A class with the layer core, and how many petals it needs."""

    policies: PolicyClass
    number: int


def sample_petals(tape: Tape, size: int) -> Petals:
    """Draw one of the named classes with its number of petals."""
    options = (
        Petals(PolicyClass.singletons(horizon=size, states=2), 0),
        Petals(PolicyClass.l_tons(2, horizon=size, states=2), 1),
        Petals(PolicyClass.l_tons(3, horizon=2, states=2), 2),
        Petals(PolicyClass.one_active(horizon=size, states=2), size - 1),
        Petals(PolicyClass.all_active(horizon=size, states=2), size - 1),
    )
    return options[tape.integer(0, len(options) - 1)]


@lru_cache(maxsize=64)
def _least(data: bytes, shape: tuple[int, ...], skipped: int) -> int:
    """Return D of the layer core by trying all sets of petals, policy by policy."""
    table = np.frombuffer(data, dtype=np.int8).reshape(shape)
    policies = PolicyClass(table, 2)
    core = layer_core(policies).core.table.astype(np.int64)
    cells = list(product(range(shape[1]), range(shape[2])))
    worst = 0
    for row in table:
        alone = PolicyClass(row[None], 2)
        marks = (
            _marked(shape[1:], chosen)
            for count in range(len(cells) + 1)
            for chosen in combinations(cells, count)
        )
        found = next(m for m in marks if support(Flower(alone, core, m), skipped=skipped))
        worst = max(worst, int(found.sum()))
    return worst


def _marked(shape: tuple[int, ...], cells: tuple[tuple[int, int], ...]) -> NDArray[np.bool_]:
    petals = np.zeros((1, *shape), dtype=bool)
    for h, s in cells:
        petals[0, h, s] = True
    return petals


def _counted(petals: Petals, skipped: int) -> tuple[Side, Side]:
    table = petals.policies.table
    return _least(table.tobytes(), table.shape, skipped), petals.number


PETALS = Theorem(
    id="agnostic/petals-of-named-classes",
    title="How many petals the named classes need with the core of layers",
    source=f"{SUNFLOWERS}, for the classes; numbers derived and enumerated here",
    statement=(
        r"D(\text{singletons}) = 0,\quad D(l\text{-tons}) = l-1,\quad D(\text{one active}) = "
        r"D(\text{all active}) = H-1"
    ),
    hypotheses=(
        _DEFINITION,
        r"core $\{0\} \cup \{\mathbb{1}[x \in X_g]\}$, two states in each of $H \le 3$ layers, "
        "the least over all sets of petals",
    ),
    kind="identity",
    sample=sample_petals,
    sides=lambda petals: _counted(petals, 1),
    control=Control(
        name="the first state excuses too",
        explanation="A petal excuses the trajectories that begin at it as well.",
        sides=lambda petals: _counted(petals, 0),
    ),
    sizes=(2, 3),
)


def sample_petal_free(tape: Tape, size: int) -> Flower:
    """Draw a class with a core that needs no petals."""
    singletons = PolicyClass.singletons(horizon=size, states=2)
    drawn = sample_class(tape, size, 2).distinct()
    options = (
        _flower(singletons, layer_core(singletons)),
        _flower(drawn, own_core(drawn)),
        _flower(drawn, open_loop_core(drawn)),
    )
    return options[tape.integer(0, 2)]


def _sequences(flower: Flower, spare: int) -> tuple[Side, Side]:
    policies, core, _ = flower
    steps = np.arange(policies.horizon)
    most = max(
        len(np.unique(policies.table[:, steps, list(visited)], axis=0))
        for visited in product(range(policies.states), repeat=policies.horizon)
    )
    return most, len(core) - spare


PETAL_FREE = Theorem(
    id="agnostic/core-without-petals",
    title="Without petals the core is at least as large as the plans seen along any path",
    source=f"{SUNFLOWERS}, for the definition; derived here",
    statement=(
        r"D = 0\ \Rightarrow\ K \ge \max_{s_1,\dots,s_H} "
        r"\bigl|\{(\pi(s_1),\dots,\pi(s_H)) : \pi\in\Pi\}\bigr|"
    ),
    hypotheses=(_DEFINITION, "cores of layers, of the class itself, of all plans; no petals"),
    kind="inequality",
    sample=sample_petal_free,
    sides=lambda flower: _sequences(flower, 0),
    admissible=lambda flower: support(flower) >= 1,
    control=Control(
        name="one core policy fewer",
        explanation="The core is counted without one of its policies.",
        sides=lambda flower: _sequences(flower, 1),
    ),
    notes="Singletons show H + 1 plans along a path: the core of layers is the least.",
    sharpness=0.999,
    sizes=(2, 3),
)

THEOREMS = (LAYERS, CONSTANTS, PETALS, PETAL_FREE)
