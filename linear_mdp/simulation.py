"""Episodes of a linear MDP from uniform numbers: one for the first state, three for each step."""

from typing import Any, NamedTuple

import numpy as np
from numba import njit


class World(NamedTuple):
    """What is simulated: features (S, A, d), rewards (H, S, A), how next states are drawn.

    columns (S, d, A): the features once more, so that sums over features run along the actions,
    several of which the processor adds at a time. initial (S,): cumulative. measures (H, n, S):
    cumulative rows; mixed: whether a pair draws a factor by its features first, and then from the
    factor's row, or has the row s * A + a.
    """

    features: Any
    columns: Any
    rewards: Any
    initial: Any
    measures: Any
    mixed: Any


@njit(cache=True, nogil=True, error_model="numpy")
def step(world, h, s, a, first, second):  # type: ignore[no-untyped-def]
    """Return the next state of a pair for two uniform numbers."""
    row = s * world.features.shape[1] + a
    if world.mixed:
        row = pick(world.features[s, a], first)
    return draw(world.measures[h, row], second)


@njit(cache=True, nogil=True, error_model="numpy")
def follow(world, policy, draws, states, actions):  # type: ignore[no-untyped-def]
    """Write episodes of a fixed policy (H, S, A): states (n, H + 1), actions (n, H)."""
    for episode in range(len(draws)):
        s = draw(world.initial, draws[episode, 0])
        for h in range(len(policy)):
            a = pick(policy[h, s], draws[episode, 1 + 3 * h])
            states[episode, h], actions[episode, h] = s, a
            s = step(world, h, s, a, draws[episode, 2 + 3 * h], draws[episode, 3 + 3 * h])
        states[episode, len(policy)] = s


@njit(cache=True, nogil=True, error_model="numpy")
def draw(cumulative, u):  # type: ignore[no-untyped-def]
    """Return the state that u in [0, 1) falls on."""
    return np.searchsorted(cumulative, u * cumulative[-1], side="right")


@njit(cache=True, nogil=True, error_model="numpy")
def pick(probabilities, u):  # type: ignore[no-untyped-def]
    """Return the entry that u in [0, 1) falls on; the last possible one if rounding leaves none."""
    total, last = 0.0, 0
    for i in range(len(probabilities)):
        if probabilities[i] > 0.0:
            total += probabilities[i]
            last = i
            if u < total:
                return i
    return last
