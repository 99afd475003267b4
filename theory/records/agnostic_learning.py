"""Trajectory trees: how many nodes they have, what law they give, how far their means can be off.

Trees are enumerated, as all deterministic MDPs that an MDP can turn into, so laws and failure
probabilities are Fractions. Sources: Kearns, Mansour and Ng (1999); Jia, Li, Rakhlin, Sekhari and
Srebro (2023).
"""

from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import combinations_with_replacement, product
from math import factorial
from operator import mul
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, elementary
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_TREES = "Kearns, Mansour and Ng (1999); Jia, Li, Rakhlin, Sekhari and Srebro (2023)"


class Play(NamedTuple):
    """An MDP and a class of policies on it."""

    mdp: EpisodicMDP
    policies: PolicyClass


class Moves(NamedTuple):
    """A start, successors by step, state and action, and by the history of a node instead."""

    states: int
    policies: PolicyClass
    start: int
    shared: Callable[[int, int, int], int]
    fresh: Callable[[tuple[int, ...]], int]


def sample_moves(tape: Tape, size: int) -> Moves:
    """Draw where actions lead, more often than not to the active states, from an active state."""
    horizon = size
    policies = PolicyClass.one_active(horizon=horizon, states=horizon)
    bias = tape.number()

    def somewhere() -> int:
        state = tape.integer(0, horizon - 1)
        return 0 if tape.number() < bias else state

    table = [[[somewhere() for _ in range(2)] for _ in range(horizon)] for _ in range(horizon - 1)]
    histories = {
        actions: somewhere()
        for length in range(1, horizon)
        for actions in product((0, 1), repeat=length)
    }
    start = 0 if tape.number() < 0.75 else horizon - 1
    return Moves(
        horizon, policies, start, lambda h, x, a: table[h][x][a], lambda past: histories[past]
    )


def _walks(moves: Moves, rule: str) -> list[list[tuple[int, tuple[int, ...]]]]:
    """The state and the actions so far of every policy at every step, in one tree."""
    walks = []
    for table in np.asarray(moves.policies.table):
        state = moves.start
        past: tuple[int, ...] = ()
        walk: list[tuple[int, tuple[int, ...]]] = []
        for h in range(moves.policies.horizon):
            action = int(table[h, state])
            past = (*past, action)
            walk.append((state, past))
            if h + 1 < moves.policies.horizon:
                shared = rule == "shared"
                state = moves.shared(h, state, action) if shared else moves.fresh(past)
        walks.append(walk)
    return walks


def _nodes(moves: Moves, rule: str) -> tuple[Side, Side]:
    walks = _walks(moves, rule)
    horizon = moves.policies.horizon
    counts = []
    for h in range(horizon):
        nodes = {(walk[h][0], walk[h][1][-1]) if rule == "shared" else walk[h][1] for walk in walks}
        counts.append(len(nodes))
    right = np.array([h + 2 for h in range(horizon)], dtype=object)
    return np.array(counts, dtype=object), right


TREE_NODES = Theorem(
    id="agnostic-learning/tree-nodes",
    title="A tree has no more nodes in a layer than the class can span",
    source=f"{_TREES}, for the class active at one state of each layer",
    statement=(
        r"\#\{(x,a) \text{ in layer } h \text{ of a tree}\} \le h + 1 = C_h(\Pi),\qquad h = 1, "
        r"\dots, H"
    ),
    hypotheses=(
        r"$\Pi$ plays any bits at one state of each layer and $0$ elsewhere, $|\Pi| = 2^H$",
        "one successor is drawn for each step, state and action of a tree",
    ),
    kind="inequality",
    sample=sample_moves,
    sides=lambda moves: _nodes(moves, "shared"),
    control=Control(
        name="a successor for each history",
        explanation="Successors are drawn for each history of actions, not for each pair.",
        sides=lambda moves: _nodes(moves, "fresh"),
    ),
    notes=(
        "With a successor for each history a tree in which all paths stay active has $2^h$ nodes, "
        "though each policy by itself sees the same law."
    ),
    sizes=(2, 3, 4),
    sharpness=0.999,
)


def sample_stationary(tape: Tape, size: int) -> Play:
    """Draw three steps of a stationary MDP on two states, and policies."""
    states, horizon = 2, 3
    kernel = tape.simplex((states, 2, states))
    table = np.array(
        [[[tape.integer(0, 1) for _ in range(states)] for _ in range(horizon)] for _ in range(size)]
    )
    mdp = EpisodicMDP.stationary(kernel, np.zeros((states, 2)), horizon, tape.simplex(states))
    return Play(mdp, PolicyClass(table, 2))


def _law_in_trees(play: Play, *, by_step: bool) -> FractionArray:
    """The law of each policy's path of states, averaged over all trees, (P * S^H,)."""
    mdp, policies = play
    kernel, initial = fractions(mdp.transitions), fractions(mdp.initial)
    shape = (len(policies), *(mdp.states,) * mdp.horizon)
    law = np.full(shape, Fraction(0), dtype=object)
    steps = range(mdp.horizon - 1) if by_step else range(1)
    places = list(product(steps, range(mdp.states), range(mdp.actions)))
    for ends in product(range(mdp.states), repeat=len(places)):
        tree = dict(zip(places, ends, strict=True))
        weight = reduce(mul, (kernel[(*place, end)] for place, end in tree.items()))
        if not weight:
            continue
        for start in range(mdp.states):
            for p, table in enumerate(np.asarray(policies.table)):
                path = [start]
                for h in range(mdp.horizon - 1):
                    x = path[-1]
                    path.append(tree[h if by_step else 0, x, int(table[h, x])])
                law[(p, *path)] += initial[start] * weight
    return law.ravel()


def _law(play: Play) -> FractionArray:
    """The law of each policy's path of states in the MDP, (P * S^H,)."""
    mdp, policies = play
    kernel, initial = fractions(mdp.transitions), fractions(mdp.initial)
    found = []
    for table in np.asarray(policies.table):
        for path in product(range(mdp.states), repeat=mdp.horizon):
            weight = initial[path[0]]
            for h in range(mdp.horizon - 1):
                weight = weight * kernel[h, path[h], int(table[h, path[h]]), path[h + 1]]
            found.append(weight)
    return np.array(found, dtype=object)


TREE_LAW = Theorem(
    id="agnostic-learning/tree-law",
    title="Followed in a random tree, every policy has its own law",
    source=f"{_TREES}; stated and proved here",
    statement=(
        r"\mathbb{E}_{M' \sim M}\,\mathbb{1}\{\pi \text{ visits } x_1, \dots, x_H \text{ in } M'\} "
        r"= \mathbb{P}^\pi_M(x_1, \dots, x_H)\quad \text{ for all } \pi \in \Pi"
    ),
    hypotheses=(
        r"$M'$ is deterministic: its start and, for each $(h,x,a)$, one successor are drawn from "
        r"$M$ independently",
    ),
    kind="identity",
    sample=sample_stationary,
    sides=lambda play: (_law_in_trees(play, by_step=True), _law(play)),
    control=Control(
        name="one successor for all steps",
        explanation="The successor of a state and an action is kept from step to step.",
        sides=lambda play: (_law_in_trees(play, by_step=False), _law(play)),
    ),
    notes="All trees are enumerated; so means over trees are unbiased for all policies at once.",
    sizes=(1, 2),
    cost=4.0,
)


class Trees(NamedTuple):
    """A law of one tree's returns (m, P), its weights (m,), the number of trees, a deviation."""

    returns: FractionArray
    weights: FractionArray
    trees: int
    deviation: Fraction


def sample_trees(tape: Tape, size: int) -> Trees:
    """Draw the returns in [0, 1] of one or two policies in few different trees."""
    outcomes = tape.integer(2, 3)
    policies = tape.integer(1, 2)
    weights = fractions(tape.simplex(outcomes))
    returns = fractions(tape.dyadic((outcomes, policies)))
    if tape.integer(0, 1):
        # Far from the mean in every tree: where Hoeffding's bound is best.
        weights = fractions(np.eye(outcomes)[0] / 2 + np.eye(outcomes)[1] / 2)
        returns[0], returns[1] = Fraction(0), Fraction(1)
    trees = tape.integer(1, size)
    return Trees(returns, weights, trees, Fraction(tape.integer(1, 8), 16))


def failure_probability(trees: Trees) -> Fraction:
    """Return the exact probability that some mean is off by the deviation or more."""
    truth = trees.weights @ trees.returns
    total = Fraction(0)
    outcomes = range(len(trees.weights))
    for drawn in combinations_with_replacement(outcomes, trees.trees):
        counts = Counter(drawn)
        mean = sum(trees.returns[k] * n for k, n in counts.items()) / trees.trees
        if max(abs(mean - truth)) >= trees.deviation:
            orders = Fraction(factorial(trees.trees))
            for k, n in counts.items():
                orders *= trees.weights[k] ** n / factorial(n)
            total += orders
    return total


def _hoeffding(trees: Trees, sides: int) -> tuple[Side, Side]:
    exponent = float(2 * trees.trees * trees.deviation**2)
    factor = sides * trees.returns.shape[1]
    return failure_probability(trees), elementary(np.exp(-exponent)) * float(factor)


TREE_DEVIATION = Theorem(
    id="agnostic-learning/tree-deviation",
    title="All values estimated from trees are near at once, by a union bound",
    source="Hoeffding (1963), Theorem 2; Kearns, Mansour and Ng (1999)",
    statement=(
        r"\mathbb{P}\Bigl(\max_{\pi \in \Pi} |\hat V^\pi - V^\pi| \ge t\Bigr) \le "
        r"2\,|\Pi|\,e^{-2nt^2}"
    ),
    hypotheses=(
        r"$\hat V^\pi$ is the mean return over $n$ independent trees, returns in $[0,1]$",
        "returns of different policies in one tree may depend on each other in any way",
    ),
    kind="inequality",
    sample=sample_trees,
    sides=lambda trees: _hoeffding(trees, 2),
    control=Control(
        name="one tail for two",
        explanation="The factor of two is dropped, as if means could err to one side only.",
        sides=lambda trees: _hoeffding(trees, 1),
    ),
    notes="The left side is exact, over all multisets of trees.",
    sizes=(1, 3, 5),
    sharpness=0.82,
)


THEOREMS = (TREE_NODES, TREE_LAW, TREE_DEVIATION)
