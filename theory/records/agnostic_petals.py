"""Importance weights between petals: the policy's value, bounded weights, bounded second moments.

All ways from a node to the next petal are enumerated under random core policies, so expectations
are Fractions. Source: Jia, Li, Rakhlin, Sekhari and Srebro (2023).
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Flower(NamedTuple):
    """An MDP, a policy (H, S), core policies (K, H, S) and the policy's petals (H, S)."""

    mdp: EpisodicMDP
    policy: FractionArray
    core: FractionArray
    petals: FractionArray


def sample_flower(tape: Tape, size: int) -> Flower:
    """Draw a policy with few ones; its core plays 0, or 1 in one layer; petals are later ones."""
    horizon, states = size, 2
    mdp = EpisodicMDP(
        tape.simplex((horizon, states, 2, states)),
        tape.dyadic((horizon, states, 2), 0.0, 0.25),
        tape.simplex(states),
    )
    policy = (tape.uniform((horizon, states)) < tape.number(0.25, 1.0)).astype(int)
    core = np.zeros((horizon + 1, horizon, states), dtype=int)
    for g in range(horizon):
        core[g + 1, g] = 1
    petals = policy.astype(bool)
    active = np.flatnonzero(petals.any(axis=1))
    if len(active):
        petals[active[0]] = False
    return Flower(mdp, policy, core, petals)


def without_a_petal(flower: Flower) -> Flower:
    """Return the flower without its first petal."""
    petals = flower.petals.copy()
    where = np.argwhere(petals)
    if len(where):
        petals[tuple(where[0])] = False
    return flower._replace(petals=petals)


class Leg(NamedTuple):
    """A part of an episode from a node to the next petal: end is None where the episode ends.

    chance: its probability under a random core policy; share: of the core consistent with it;
    follows: whether the policy is consistent with it.
    """

    end: tuple[int, int] | None
    chance: Fraction
    share: Fraction
    follows: bool
    earned: Fraction


def nodes(flower: Flower) -> list[tuple[int, int] | None]:
    """Return the start, None, and the petals by step."""
    return [None, *((int(h), int(x)) for h, x in np.argwhere(flower.petals))]


def legs(flower: Flower, node: tuple[int, int] | None) -> Iterator[Leg]:
    """Yield all ways from a node to the next petal or the end, along any actions."""
    mdp, policy, core, petals = flower
    kernel, rewards = fractions(mdp.transitions), fractions(mdp.rewards)
    size = len(core)

    def walk(
        h: int, x: int, odds: Fraction, alive: frozenset[int], follows: bool, earned: Fraction
    ) -> Iterator[Leg]:
        share = Fraction(len(alive), size)
        if h == mdp.horizon:
            yield Leg(None, odds * share, share, follows, earned)
            return
        if petals[h, x] and (h, x) != node:
            yield Leg((h, x), odds * share, share, follows, earned)
            return
        for a in range(mdp.actions):
            left = frozenset(k for k in alive if core[k, h, x] == a)
            agrees = follows and policy[h, x] == a
            if not (left or agrees):
                continue
            if h + 1 == mdp.horizon:
                yield from walk(h + 1, 0, odds, left, agrees, earned + rewards[h, x, a])
                continue
            for y in range(mdp.states):
                on = odds * kernel[h, x, a, y]
                if on:
                    yield from walk(h + 1, y, on, left, agrees, earned + rewards[h, x, a])

    everyone = frozenset(range(size))
    if node is None:
        for x, odds in enumerate(fractions(mdp.initial)):
            if odds:
                yield from walk(0, x, odds, everyone, True, Fraction(0))
    else:
        yield from walk(*node, Fraction(1), everyone, True, Fraction(0))


def expected_value(flower: Flower) -> Fraction:
    """Return the value of the process whose edges are expectations of the weighted estimates."""
    values: dict[tuple[int, int] | None, Fraction] = {}
    for node in reversed(nodes(flower)):
        total = Fraction(0)
        for leg in legs(flower, node):
            if leg.follows and leg.share:
                after = values[leg.end] if leg.end is not None else Fraction(0)
                total += leg.chance / leg.share * (leg.earned + after)
        values[node] = total
    return values[None]


def _value(flower: Flower) -> Fraction:
    policies = PolicyClass(np.asarray(flower.policy, dtype=int)[None], flower.mdp.actions)
    return Fraction(class_values(flower.mdp, policies, arithmetic="rational").values[0])


def petal_sides(flower: Flower) -> tuple[Side, Side]:
    """Return the value from expected weighted edges, and the policy's."""
    return expected_value(flower), _value(flower)


_FLOWER = (
    r"the core plays $0$ everywhere, or $1$ in one whole layer, $K = H + 1$",
    r"petals of $\pi$: the states where it plays $1$, but for its first layer with any",
)

PETAL_VALUE = Theorem(
    id="agnostic-learning/petal-value",
    title="Edges reweighted from core policies have the policy's value",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6; stated and proved here",
    statement=(
        r"V^\pi = v(\top),\quad v(s) = \mathbb{E}_{\mathrm{core}}\Bigl[\frac{\mathbb{1}\{\pi "
        r"\rightsquigarrow \tau\}}{\frac{1}{K} \sum_k \mathbb{1}\{\pi_k \rightsquigarrow \tau\}}"
        r"\,\bigl(r(\tau) + v(s')\bigr) \Bigm| s\Bigr],\quad \tau \text{ from } s \text{ to the "
        r"next petal } s'"
    ),
    hypotheses=_FLOWER,
    kind="identity",
    sample=sample_flower,
    sides=petal_sides,
    control=Control(
        name="a petal too few",
        explanation="The first petal of the policy is left out.",
        sides=lambda flower: petal_sides(without_a_petal(flower)),
    ),
    notes=(
        "Petals excuse a part of a trajectory from the state after its first on. If they excused "
        "at the first state too, one core policy and one petal would do for singletons, but no "
        "core policy would play the action at the petal, and edges from there would be lost."
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


def _consistent_core(flower: Flower) -> tuple[Side, Side]:
    size = len(flower.core)
    counts = [
        int(leg.share * size) for node in nodes(flower) for leg in legs(flower, node) if leg.follows
    ]
    return np.full(len(counts), 1, dtype=object), np.array(counts, dtype=object)


PETAL_WEIGHTS = Theorem(
    id="agnostic-learning/petal-weights",
    title="Between petals no importance weight exceeds the number of core policies",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), of sunflowers",
    statement=(
        r"w = \frac{K}{\#\{k : \pi_k \rightsquigarrow \tau\}} \le K, \quad\text{that is}\quad 1 "
        r"\le \#\{k : \pi_k \rightsquigarrow \tau\}\quad \text{ for all } \tau \text{ of } \pi "
        r"\text{ up to its next petal}"
    ),
    hypotheses=_FLOWER,
    kind="inequality",
    sample=sample_flower,
    sides=_consistent_core,
    control=Control(
        name="a petal too few",
        explanation="The first petal of the policy is left out; then no core policy may follow.",
        sides=lambda flower: _consistent_core(without_a_petal(flower)),
    ),
    sizes=(2, 3, 4),
    cost=2.0,
    sharpness=0.999,
)


def _second_moments(flower: Flower, factor: Fraction) -> tuple[Side, Side]:
    """Second moments of the weights of each edge of the process, and K times their means."""
    left, right = [], []
    for node in nodes(flower):
        moments: dict[tuple[int, int] | None, tuple[Fraction, Fraction]] = {}
        for leg in legs(flower, node):
            if leg.follows and leg.share:
                weight = 1 / leg.share
                first, second = moments.get(leg.end, (Fraction(0), Fraction(0)))
                moments[leg.end] = (
                    first + leg.chance * weight,
                    second + leg.chance * weight**2,
                )
        left += [second for _, second in moments.values()]
        right += [factor * len(flower.core) * first for first, _ in moments.values()]
    return np.array(left, dtype=object), np.array(right, dtype=object)


PETAL_MOMENTS = Theorem(
    id="agnostic-learning/petal-second-moments",
    title="An edge estimated from K core policies varies at most K times its probability",
    source="Derived here",
    statement=(
        r"\mathbb{E}_{\mathrm{core}}\bigl[w^2\,\mathbb{1}\{s \to s'\}\bigr] \le K\,P^\pi_{s \to "
        r"s'},\qquad P^\pi_{s \to s'} = \mathbb{E}_{\mathrm{core}}\bigl[w\,\mathbb{1}\{s \to "
        r"s'\}\bigr]"
    ),
    hypotheses=_FLOWER,
    kind="inequality",
    sample=sample_flower,
    sides=lambda flower: _second_moments(flower, Fraction(1)),
    control=Control(
        name="half of the core",
        explanation="The bound is halved.",
        sides=lambda flower: _second_moments(flower, Fraction(1, 2)),
    ),
    notes=r"In place of the $A^H$ of uniform actions; for singletons $K = H + 1$.",
    sizes=(2, 3, 4),
    cost=2.0,
    sharpness=0.999,
)


THEOREMS = (PETAL_VALUE, PETAL_WEIGHTS, PETAL_MOMENTS)
