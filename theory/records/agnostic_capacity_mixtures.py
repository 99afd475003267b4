"""Coverability against spanning capacity: why random dynamics never spread a class further.

A random MDP is a mixture of deterministic ones; visits are exact Fractions, and capacities come
from trying all deterministic MDPs.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.coverage import coverability
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.agnostic_capacity import CAPACITY, capacity_by_layer
from rltheory.theory.records.agnostic_coverage import (
    LAYERED,
    sample_class,
    sample_integers,
    sample_layers,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Placed(NamedTuple):
    """An MDP and a class on it."""

    mdp: EpisodicMDP
    policies: PolicyClass


def sample_placed(tape: Tape, size: int) -> Placed:
    """Draw an MDP of two states a layer and a class of few policies."""
    horizon = min(size, 3)
    return Placed(sample_layers(tape, horizon, 2), sample_class(tape, horizon, 2))


def below_sides(placed: Placed) -> tuple[Side, Side]:
    """Return the coverability and the spanning capacity."""
    found = coverability(placed.mdp, placed.policies, arithmetic="rational").value
    return Fraction(found), max(capacity_by_layer(placed.policies))


def _one_less(placed: Placed) -> tuple[Side, Side]:
    return below_sides(placed)[0], max(capacity_by_layer(placed.policies)) - 1


BELOW = Theorem(
    id="agnostic/coverability-below-capacity",
    title="Coverability never exceeds spanning capacity, whatever the dynamics",
    source=f"{CAPACITY}, the relation of capacity and coverability; proof rederived here",
    statement=r"C_{\mathrm{cov}}(\Pi; M) \le \mathfrak{C}(\Pi)\quad\text{for every } M",
    hypotheses=(
        LAYERED,
        r"$\mathfrak{C}(\Pi)$ is the most pairs of one layer that $\Pi$ reaches in a deterministic "
        "MDP with one start; here by trying all of them",
        r"$M$ is stochastic, with a random start",
    ),
    kind="inequality",
    sample=sample_placed,
    sides=below_sides,
    control=Control(
        name="one pair too few",
        explanation="The capacity is undercounted by one.",
        sides=_one_less,
    ),
    notes=r"Attained at deterministic $M$, see agnostic/coverability-counts.",
    sharpness=0.999,
    sizes=(2, 3),
)


def _walk(start: int, successors: IntArray, row: IntArray) -> Iterator[tuple[int, int, int]]:
    """Yield (step, state, action) of a policy in a deterministic MDP; successors (H, S, A)."""
    state = start
    for h in range(len(row)):
        action = int(row[h, state])
        yield h, state, action
        state = int(successors[h, state, action])


def sample_deterministic(tape: Tape, size: int) -> Placed:
    """Draw a deterministic MDP with one start and a class."""
    shape = (size, size, 2)
    kernel = np.eye(size)[sample_integers(tape, shape, size)]
    initial = np.eye(size)[tape.integer(0, size - 1)]
    return Placed(EpisodicMDP(kernel, np.zeros(shape), initial), sample_class(tape, size, size))


def _met(placed: Placed) -> list[set[tuple[int, int, int]]]:
    start, successors = placed.mdp.initial.argmax(), placed.mdp.transitions.argmax(axis=3)
    rows = placed.policies.table.astype(np.int64)
    met = {cell for row in rows for cell in _walk(int(start), successors, row)}
    return [{cell for cell in met if cell[0] == h} for h in range(placed.mdp.horizon)]


def counts_sides(placed: Placed) -> tuple[Side, Side]:
    """Return coverability by layer and the number of pairs met, by walking."""
    found = coverability(placed.mdp, placed.policies, arithmetic="rational").by_layer
    return exact.join(found), np.array([len(cells) for cells in _met(placed)])


def _states_met(placed: Placed) -> tuple[Side, Side]:
    states = [len({s for _, s, _ in cells}) for cells in _met(placed)]
    return counts_sides(placed)[0], np.array(states)


COUNTS = Theorem(
    id="agnostic/coverability-counts",
    title="In a deterministic MDP coverability is the number of pairs that the class reaches",
    source=f"{CAPACITY}, from the definitions",
    statement=(
        r"\sum_{s,a}\max_\pi d^\pi_h(s,a) = \bigl|\{(s_h, a_h)\text{ of }\pi : \pi\in\Pi\}\bigr|"
    ),
    hypotheses=(LAYERED, "deterministic transitions and one start"),
    kind="identity",
    sample=sample_deterministic,
    sides=counts_sides,
    control=Control(
        name="states are counted",
        explanation="A state that is left by two actions counts once.",
        sides=_states_met,
    ),
    notes="With agnostic/coverability-below-capacity: the largest coverability is the capacity.",
)


def sample_tiny(tape: Tape, size: int) -> Placed:
    """Draw an MDP of two steps and as many states as `size`."""
    mdp = EpisodicMDP(tape.simplex((2, size, 2, size)), np.zeros((2, size, 2)), tape.simplex(size))
    return Placed(mdp, sample_class(tape, 2, size))


def _realisations(mdp: EpisodicMDP) -> Iterator[tuple[Fraction, int, IntArray]]:
    """Yield (chance, start, successors) of all deterministic MDPs drawn from a two-step MDP."""
    states = mdp.states
    rows = fractions(mdp.transitions[0]).reshape(-1, states)
    supports = [np.flatnonzero(row) for row in rows]
    for start in np.flatnonzero(mdp.initial):
        for moves in product(*supports):
            chance = Fraction(float(mdp.initial[start]))
            for row, move in zip(rows, moves, strict=True):
                chance *= row[move]
            successors = np.zeros((2, states, 2), dtype=np.int64)
            successors[0] = np.array(moves).reshape(states, 2)
            yield chance, int(start), successors


def _drawn_visits(placed: Placed, *, likeliest: bool) -> FractionArray:
    found = fractions(np.zeros((len(placed.policies), 2, placed.mdp.states, 2)))
    rows = placed.policies.table.astype(np.int64)
    top = int(placed.mdp.initial.argmax())
    for chance, start, successors in _realisations(placed.mdp):
        for p, row in enumerate(rows):
            for cell in _walk(top if likeliest else start, successors, row):
                found[(p, *cell)] += chance
    return found


def drawn_sides(placed: Placed) -> tuple[Side, Side]:
    """Return visits by the forward recursion, and as chances that a drawn MDP leads there."""
    visits = occupancies(placed.mdp, placed.policies, arithmetic="rational")
    return exact.join(visits), exact.join(_drawn_visits(placed, likeliest=False))


def _likeliest_start(placed: Placed) -> tuple[Side, Side]:
    return drawn_sides(placed)[0], exact.join(_drawn_visits(placed, likeliest=True))


DRAWN = Theorem(
    id="agnostic/visits-as-chances",
    title="What a policy visits is the chance that a drawn deterministic MDP leads it there",
    source="Derived here; what makes one tree of samples serve a whole class",
    statement=(
        r"d^\pi_h(s,a) = \Pr_{M'}\bigl[\pi\text{ reaches }(s,a)\text{ at }h\text{ in }M'\bigr]"
    ),
    hypotheses=(
        r"$M'$: one start and, independently for each $(h, s, a)$, one successor, drawn from $M$",
        "two steps; all $M'$ are enumerated",
    ),
    kind="identity",
    sample=sample_tiny,
    sides=drawn_sides,
    control=Control(
        name="likeliest start",
        explanation="The start is the likeliest one instead of being drawn.",
        sides=_likeliest_start,
    ),
    sizes=(2,),
)


def _expected_counts(placed: Placed) -> FractionArray:
    """Return the expected numbers of pairs met by the class at each step."""
    rows, totals = placed.policies.table.astype(np.int64), fractions(np.zeros(2))
    for chance, start, successors in _realisations(placed.mdp):
        met = {cell for row in rows for cell in _walk(start, successors, row)}
        for h, _, _ in met:
            totals[h] += chance
    return totals


def derandomised_sides(placed: Placed) -> tuple[Side, Side]:
    """Return coverability by layer and the expected number of pairs met in a drawn MDP."""
    found = coverability(placed.mdp, placed.policies, arithmetic="rational").by_layer
    return exact.join(found), _expected_counts(placed)


def _expected_states(placed: Placed) -> tuple[Side, Side]:
    rows, totals = placed.policies.table.astype(np.int64), fractions(np.zeros(2))
    for chance, start, successors in _realisations(placed.mdp):
        met = {cell for row in rows for cell in _walk(start, successors, row)}
        for h, _ in {(h, s) for h, s, _ in met}:
            totals[h] += chance
    return derandomised_sides(placed)[0], totals


DERANDOMISED = Theorem(
    id="agnostic/coverability-below-expected-count",
    title="Coverability is at most the expected number of pairs reached in a drawn MDP",
    source=f"{CAPACITY}; the argument derived here",
    statement=(
        r"\sum_{s,a}\max_{\pi} d^\pi_h(s,a) \le \mathbb{E}_{M'}\bigl[C^{\mathrm{reach}}_h(\Pi; M')"
        r"\bigr] \le \mathfrak{C}(\Pi)"
    ),
    hypotheses=(
        r"$M'$: one start and, independently for each $(h, s, a)$, one successor, drawn from $M$",
        "two steps; all $M'$ are enumerated",
    ),
    kind="inequality",
    sample=sample_tiny,
    sides=derandomised_sides,
    control=Control(
        name="states are counted",
        explanation="A state that is left by two actions counts once.",
        sides=_expected_states,
    ),
    sharpness=0.999,
    sizes=(2,),
)

THEOREMS = (BELOW, COUNTS, DRAWN, DERANDOMISED)
