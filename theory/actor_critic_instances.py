"""Small episodic MDPs with critics and policies off a tape, and their backups in Fractions.

Tables have axes (step, state, action); a critic is any such table. Values and visits are those of
`linear_instances`, which know nothing of features.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.tape import Tape


class Model(NamedTuple):
    """Kernels (H, S, A, S), rewards (H, S, A) and first states (S,) of an MDP, Fractions."""

    kernels: FractionArray
    rewards: FractionArray
    start: FractionArray


class Play(NamedTuple):
    """An MDP, a critic (H, S, A), the policy (H, S, A) played and one to compare with."""

    mdp: EpisodicMDP
    critic: FractionArray
    policy: FractionArray
    reference: FractionArray


def episodic(tape: Tape, states: int, actions: int, horizon: int) -> EpisodicMDP:
    """Return an MDP with rewards in [0, 1], multiples of 2 ** -10."""
    return EpisodicMDP(
        tape.simplex((horizon, states, actions, states)),
        tape.dyadic((horizon, states, actions)),
        tape.simplex(states),
    )


def rows(tape: Tape, mdp: EpisodicMDP) -> FloatArray:
    """Return a stochastic policy (H, S, A), some rows deterministic."""
    return tape.simplex((mdp.horizon, mdp.states, mdp.actions))


def play(tape: Tape, size: int) -> Play:
    """Return an MDP of `size` states with a critic in [0, H] and two policies."""
    mdp = episodic(tape, size, tape.integer(1, 3), tape.integer(1, 3))
    critic = tape.dyadic(mdp.rewards.shape, 0.0, float(mdp.horizon), bits=6)
    return Play(mdp, *map(fractions, (critic, rows(tape, mdp), rows(tape, mdp))))


def exact(mdp: EpisodicMDP) -> Model:
    """Return an MDP at the exact values of its floats."""
    return Model(*map(fractions, (mdp.transitions, mdp.rewards, mdp.initial)))


def backup(
    model: Model, critic: FractionArray, policy: FractionArray | None = None
) -> FractionArray:
    """Return T f (H, S, A): rewards and expected best of the next step, or that under a policy."""
    found = model.rewards.copy()
    for h in range(len(found) - 1):
        following = critic[h + 1] if policy is None else policy[h + 1] * critic[h + 1]
        worth = following.max(axis=1) if policy is None else following.sum(axis=1)
        found[h] = found[h] + model.kernels[h] @ worth
    return np.asarray(found)


def visits(model: Model, policy: FractionArray) -> FractionArray:
    """Return the probabilities (H, S, A) of state and action at every step."""
    return linear_instances.visits(model.kernels, policy, model.start)


def value(model: Model, policy: FractionArray | None = None) -> Fraction:
    """Return the expected total reward of a policy, or the largest of all."""
    found = linear_instances.solve(model.kernels, model.rewards, policy).values[0]
    return Fraction(model.start @ found)


def optimal_policy(model: Model) -> FractionArray:
    """Return the rows (H, S, A) of an optimal policy, the first of the best actions."""
    best = linear_instances.solve(model.kernels, model.rewards).action_values
    return linear_instances.greedy(best)


def claimed(model: Model, critic: FractionArray) -> Fraction:
    """Return what a critic promises: the mean over first states of its best action's value."""
    return Fraction(model.start @ critic[0].max(axis=1))


def expected(weights: FractionArray, table: FractionArray) -> Fraction:
    """Return sum of weights times table."""
    return Fraction((weights * table).sum())


def behind_greedy(critic: FractionArray, policy: FractionArray) -> FractionArray:
    """Return max_a f - <f, policy> in every state, (H, S)."""
    return np.asarray(critic.max(axis=2) - (critic * policy).sum(axis=2))


def reached(model: Model) -> FractionArray:
    """Return the largest probability of every state at every step, (H, S), by induction back."""
    horizon, states, _ = model.rewards.shape
    found = fractions(np.zeros((horizon, states)))
    for h in range(horizon):
        for s in range(states):
            worth = fractions(np.eye(states)[s])
            for kernel in model.kernels[:h][::-1]:
                worth = (kernel @ worth).max(axis=1)
            found[h, s] = model.start @ worth
    return found
