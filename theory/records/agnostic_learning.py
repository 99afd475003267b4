"""Learning over a class of policies: trees, importance weights and petal processes, exactly.

Everything random is enumerated: trees are all deterministic MDPs that an MDP can turn into,
episodes all trajectories, so laws, variances and failure probabilities are Fractions. Sources:
Kearns, Mansour and Ng (1999); Jia, Li, Rakhlin, Sekhari and Srebro (2023).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import reduce
from itertools import combinations_with_replacement, product
from math import factorial
from operator import mul
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.agnostic.importance import importance_variance
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, elementary
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_TREES = "Kearns, Mansour and Ng (1999); Jia, Li, Rakhlin, Sekhari and Srebro (2023)"
_DERIVED = "; stated and proved here"


class Play(NamedTuple):
    """An MDP and a class of policies on it."""

    mdp: EpisodicMDP
    policies: PolicyClass


# Trees.


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
    source=f"{_TREES}{_DERIVED}",
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


# Importance weights.


def sample_play(tape: Tape, size: int) -> Play:
    """Draw an MDP of `size` steps with returns in [0, 1] and dyadic data, and two policies."""
    states = tape.integer(1, 2)
    actions = tape.integer(2, 3) if size < 3 else 2
    mdp = EpisodicMDP(
        tape.simplex((size, states, actions, states)),
        tape.dyadic((size, states, actions)) / 4,
        tape.simplex(states),
    )
    draw = tape.uniform((2, size, states))
    table = np.minimum((draw * actions).astype(int), actions - 1)
    return Play(mdp, PolicyClass(table, actions))


class Episode(NamedTuple):
    """States and actions from a step on, with the probability of the successors drawn."""

    states: tuple[int, ...]
    actions: tuple[int, ...]
    weight: Fraction


def episodes(mdp: EpisodicMDP, start: int, first: FractionArray, stop: int) -> Iterator[Episode]:
    """Yield all episodes over the steps start, ..., stop - 1, the first state by `first` (S,)."""
    kernel = fractions(mdp.transitions)
    length = stop - start
    for states in product(range(mdp.states), repeat=length):
        if not first[states[0]]:
            continue
        for actions in product(range(mdp.actions), repeat=length):
            weight = first[states[0]]
            for t in range(length - 1):
                weight = weight * kernel[start + t, states[t], actions[t], states[t + 1]]
            if weight:
                yield Episode(states, actions, weight)


def _moments(play: Play, power: int) -> tuple[FractionArray, FractionArray]:
    """First and second moments (P,) of A^power 1{consistent} G under uniform actions."""
    mdp, policies = play
    rewards = fractions(mdp.rewards)
    table = np.asarray(policies.table)
    chance = Fraction(1, mdp.actions**mdp.horizon)
    first = np.full(len(policies), Fraction(0), dtype=object)
    second = first.copy()
    for states, actions, weight in episodes(mdp, 0, fractions(mdp.initial), mdp.horizon):
        earned = sum(rewards[h, x, a] for h, (x, a) in enumerate(zip(states, actions, strict=True)))
        for p in range(len(policies)):
            if all(
                table[p, h, x] == a for h, (x, a) in enumerate(zip(states, actions, strict=True))
            ):
                term = mdp.actions**power * earned
                first[p] += chance * weight * term
                second[p] += chance * weight * term**2
    return first, second


def _unbiased(play: Play, short: int) -> tuple[Side, Side]:
    first, _ = _moments(play, play.mdp.horizon - short)
    return first, class_values(*play, arithmetic="rational").values


UNBIASED = Theorem(
    id="agnostic-learning/importance-unbiased",
    title="Uniform actions weighted by A^H are unbiased for every policy",
    source="Kearns, Mansour and Ng (1999)",
    statement=(
        r"\mathbb{E}_{a \sim \mathrm{Unif}}\bigl[A^H\,\mathbb{1}\{\pi(x_h) = a_h \text{ for all } "
        r"h\}\,G\bigr] = V^\pi"
    ),
    hypotheses=(r"actions independent and uniform, $G$ the sum of rewards",),
    kind="identity",
    sample=sample_play,
    sides=lambda play: _unbiased(play, 0),
    control=Control(
        name="one power less",
        explanation="The weight is the power $H - 1$ of the number of actions.",
        sides=lambda play: _unbiased(play, 1),
    ),
    sizes=(1, 2, 3),
    cost=3.0,
)


def _variance(play: Play, short: int) -> tuple[Side, Side]:
    first, second = _moments(play, play.mdp.horizon)
    left = second - first**2
    right = importance_variance(*play, arithmetic="rational")
    if short:
        values = class_values(*play, arithmetic="rational").values
        right = (right + values**2) / play.mdp.actions - values**2
    return left, right


VARIANCE = Theorem(
    id="agnostic-learning/importance-variance",
    title="The variance of importance weighting is A^H times a second moment",
    source="Derived here",
    statement=(
        r"\operatorname{Var}\bigl(A^H\,\mathbb{1}\{\pi(x_h) = a_h \text{ for all } h\}\,G\bigr) = "
        r"A^H\,\mathbb{E}_\pi[G^2] - (V^\pi)^2"
    ),
    hypotheses=(r"actions independent and uniform, $G$ the sum of rewards",),
    kind="identity",
    sample=sample_play,
    sides=lambda play: _variance(play, 0),
    control=Control(
        name="one power less",
        explanation="The second moment is multiplied by the power $H - 1$ of the actions.",
        sides=lambda play: _variance(play, 1),
    ),
    notes="Left all trajectories are enumerated, right two moments come by backward induction.",
    sizes=(1, 2, 3),
    cost=3.0,
)


# Petals.


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
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), section 6" + _DERIVED,
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


class Process(NamedTuple):
    """A petal process: transitions (D + 1, D), rewards (D + 1,), which petals are followed (D,)."""

    transitions: FractionArray
    rewards: FractionArray
    followed: FractionArray


def process_values(transitions: FractionArray, rewards: FractionArray) -> FractionArray:
    """Return the values (D + 1,) of a process, backwards along its petals."""
    values = rewards.copy()
    for node in reversed(range(len(values) - 1)):
        values[node] = values[node] + transitions[node, node:] @ values[node + 1 :]
    return values


def visits(transitions: FractionArray) -> FractionArray:
    """Return the probabilities (D + 1,) of coming by the start and the petals."""
    found = np.full(len(transitions), Fraction(0), dtype=object)
    found[0] = Fraction(1)
    for node in range(len(transitions) - 1):
        found[node + 1 :] = found[node + 1 :] + found[node] * transitions[node, node:]
    return found


def sample_process(tape: Tape, size: int) -> Process:
    """Draw a process whose returns are in [0, 1], and the petals that are followed."""
    transitions = np.full((size + 1, size), Fraction(0), dtype=object)
    rewards = np.full(size + 1, Fraction(0), dtype=object)
    values = np.full(size + 1, Fraction(0), dtype=object)
    for node in reversed(range(size + 1)):
        row = fractions(tape.simplex(size - node + 1))
        transitions[node, node:] = row[1:]
        onward = transitions[node, node:] @ values[node + 1 :]
        # What is earned leaves the value at most 1; often all of it.
        share = min(Fraction(1), Fraction(tape.integer(0, 8), 4))
        rewards[node] = share * (1 - onward) * tape.integer(0, 1)
        values[node] = rewards[node] + onward
    followed = np.array([bool(tape.integer(0, 1)) for _ in range(size)])
    return Process(transitions, rewards, followed)


def _truncation(process: Process, factor: Fraction) -> tuple[Side, Side]:
    transitions, rewards, followed = process
    kept, paid = transitions.copy(), rewards.copy()
    kept[:, ~followed.astype(bool)] = Fraction(0)
    whole, part = process_values(transitions, rewards)[0], process_values(kept, paid)[0]
    # Petals left out end the walk: each is the first one left out, or not met at all.
    along = visits(kept)
    reach = sum(
        (along @ transitions[:, k] for k in np.flatnonzero(~followed.astype(bool))), Fraction(0)
    )
    return (
        np.array([part, whole], dtype=object),
        np.array([whole, part + factor * reach], dtype=object),
    )


TRUNCATION = Theorem(
    id="agnostic-learning/petals-left-out",
    title="Petals left out cost no more than the chance to meet one",
    source="Jia, Li, Rakhlin, Sekhari and Srebro (2023), of the analysis; derived here",
    statement=(
        r"V_I \le V \le V_I + \sum_{\bar s \notin I} d_I(\bar s),\qquad d_I(\bar s) = "
        r"\mathbb{P}(\bar s \text{ is the first petal met outside } I)"
    ),
    hypotheses=(r"values of all nodes in $[0,1]$; $V_I$ ends the process where it leaves $I$",),
    kind="inequality",
    sample=sample_process,
    sides=lambda process: _truncation(process, Fraction(1)),
    control=Control(
        name="half of the chance",
        explanation="The chance to meet a petal that was left out is halved.",
        sides=lambda process: _truncation(process, Fraction(1, 2)),
    ),
    notes="So with $D$ petals of reach below $\\theta$ each, a policy loses at most $D\\theta$.",
    sharpness=0.999,
)


class Estimated(NamedTuple):
    """A process and an estimate of it."""

    true: Process
    transitions: FractionArray
    rewards: FractionArray


def sample_estimated(tape: Tape, size: int) -> Estimated:
    """Draw a process and errors of its edges and rewards, all up or of any sign."""
    true = sample_process(tape, size)
    upwards = tape.integer(0, 1)

    def error(shape: tuple[int, ...]) -> FractionArray:
        drawn = fractions(tape.dyadic(shape, -1.0, 1.0))
        return np.abs(drawn) if upwards else drawn

    scale = Fraction(1, 2 ** tape.integer(2, 8))
    transitions = true.transitions + scale * np.triu(error(true.transitions.shape), 0)
    return Estimated(true, transitions, true.rewards + scale * error(true.rewards.shape))


def clipped_values(transitions: FractionArray, rewards: FractionArray) -> FractionArray:
    """Return the values (D + 1,) of an estimated process, each clipped to [0, 1]."""
    values = rewards.copy()
    for node in reversed(range(len(values))):
        total = values[node]
        if node < len(values) - 1:
            total = total + transitions[node, node:] @ values[node + 1 :]
        values[node] = min(Fraction(1), max(Fraction(0), total))
    return values


def _simulation(estimated: Estimated, all_nodes: bool) -> tuple[Side, Side]:
    true, transitions, rewards = estimated
    off, paid = transitions - true.transitions, rewards - true.rewards
    zero = np.full(off.shape, Fraction(0), dtype=object)
    up = paid + np.maximum(off, zero).sum(axis=1)
    down = paid + np.minimum(off, zero).sum(axis=1)
    rows = np.maximum(abs(up), abs(down))
    along = visits(true.transitions)
    bound = along @ rows if all_nodes else rows[0]
    gap = (
        clipped_values(transitions, rewards)[0] - process_values(true.transitions, true.rewards)[0]
    )
    return abs(gap), bound


SIMULATION = Theorem(
    id="agnostic-learning/petal-errors",
    title="Errors of edges add up along the visits of the true process",
    source="Derived here, a simulation lemma for processes whose estimated rows do not sum to one",
    statement=(
        r"|\hat V - V| \le \sum_s d(s)\,\max_{v \in [0,1]^D} \Bigl|\hat R_s - R_s + \sum_{s'} "
        r"(\hat P_{ss'} - P_{ss'})\,v_{s'}\Bigr|"
    ),
    hypotheses=(
        r"true values in $[0,1]$, estimated ones clipped to $[0,1]$ at every node",
        r"$d(s)$ the probability that the true process comes by $s$; edges go forward only",
    ),
    kind="inequality",
    sample=sample_estimated,
    sides=lambda estimated: _simulation(estimated, True),
    control=Control(
        name="errors of the first row only",
        explanation="Only the errors at the start are counted.",
        sides=lambda estimated: _simulation(estimated, False),
    ),
    notes=(
        "Clipping is what lets importance weights, whose rows may sum to more than one, be used "
        "without a factor that grows with the number of petals."
    ),
    sharpness=0.99,
)


THEOREMS = (
    TREE_NODES,
    TREE_LAW,
    TREE_DEVIATION,
    UNBIASED,
    VARIANCE,
    PETAL_VALUE,
    PETAL_WEIGHTS,
    PETAL_MOMENTS,
    TRUNCATION,
    SIMULATION,
)
