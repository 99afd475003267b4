"""Tiny instances that the guarantees are tried on."""

import numpy as np

from rltheory.linear_mdp.function_classes.finite import FiniteClass, dyadic_mdp
from rltheory.linear_mdp.mdp import LinearMDP
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP


def arms() -> EpisodicMDP:
    """Return two arms: action 1 leads to the state that pays 1 fifteen times in 16, 0 once."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, :, 0] = [15 / 16, 1 / 16]
    kernel[:, :, 1] = [1 / 16, 15 / 16]
    rewards = np.zeros((2, 2, 2))
    rewards[1, 1] = 1.0
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def coins() -> tuple[EpisodicMDP, FiniteClass]:
    """Return two arms that pay 1 with chance 1/2 each, and a class that is complete for all.

    As nothing depends on the last action, all policies have the same operator on this class.
    """
    kernel = np.full((2, 2, 2, 2), 0.5)
    rewards = np.zeros((2, 2, 2))
    rewards[1, 1] = 1.0
    mdp = EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))
    table = np.repeat(backward_induction(mdp).action_values[None], 6, axis=0)
    table[1:, 0] = np.array([0.0, 0.25, 0.375, 0.625, 1.0])[:, None, None]
    return mdp, FiniteClass(table)


def beliefs() -> FiniteClass:
    """Return a complete class on `arms`; the first function has no hope of the better arm."""
    q = backward_induction(arms()).action_values
    table = np.repeat(q[None], 4, axis=0)
    for k, row in enumerate(([1 / 16, 0.0], [0.0, 15 / 16], [0.5, 0.5]), start=1):
        table[k, 0] = row
    return FiniteClass(table)


def walk() -> EpisodicMDP:
    """Return a random walk of three steps, two states and two actions; probabilities k / 8."""
    return dyadic_mdp(horizon=3, states=2, actions=2, seed=0)


def contrast() -> EpisodicMDP:
    """Return two states: action 0 leads to one that pays 0.95, action 1 to one that pays 0.05."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, :, 0] = [0.95, 0.05]
    kernel[:, :, 1] = [0.05, 0.95]
    rewards = np.zeros((2, 2, 2))
    rewards[1, 0], rewards[1, 1] = 0.95, 0.05
    return EpisodicMDP(kernel, rewards, np.array([0.5, 0.5]))


def latent_lock() -> EpisodicMDP:
    """Return a lock of two steps: action 0, then action 1 at the first state, slips one in ten."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, 1] = [0.1, 0.9]
    for h in range(2):
        kernel[h, 0, h] = [0.9, 0.1]
        kernel[h, 0, 1 - h] = [0.1, 0.9]
    rewards = np.zeros((2, 2, 2))
    rewards[1, 1], rewards[1, 0, 1] = 0.2, 1.0
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


def mixtures() -> LinearMDP:
    """Return a linear MDP of two factors, three steps, two states and two actions.

    Pairs are mixtures of the factors, one of which leads to the paying state seven times in 8.
    """
    features = np.array([[[1.0, 0.0], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]])
    measures = np.broadcast_to(np.array([[7 / 8, 1 / 8], [1 / 8, 7 / 8]]), (3, 2, 2))
    weights = np.array([[0.0, 0.0], [0.25, 0.5], [0.0, 1.0]])
    return LinearMDP(features, measures, weights, np.array([1.0, 0.0]))


def worst_value(mdp: EpisodicMDP) -> float:
    """Return the value of the worst policy from the start."""
    values = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        values = (mdp.rewards[h] + mdp.transitions[h] @ values).min(axis=1)
    return float(mdp.initial @ values)
