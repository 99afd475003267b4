"""Episodes with uniform actions, weighted where a policy agrees: mean and variance, exactly.

All trajectories are enumerated, so moments are Fractions; values and second moments come by
backward induction from elsewhere. Source: Kearns, Mansour and Ng (1999).
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.agnostic.importance import importance_variance
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Play(NamedTuple):
    """An MDP and a class of policies on it."""

    mdp: EpisodicMDP
    policies: PolicyClass


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


THEOREMS = (UNBIASED, VARIANCE)
