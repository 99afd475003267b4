"""Compiled passes over a world: where a pair leads, and what a policy is worth."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def lead(world, h, s, a, u):  # type: ignore[no-untyped-def]
    """Return the place along the world's rows of the successor that u in [0, 1) falls on."""
    states, actions = world.rewards.shape[1:]
    row = (h * states + s) * actions + a
    at, last = world.starts[row], world.starts[row + 1] - 1
    aim = u * world.cumulative[last]
    while at < last and aim >= world.cumulative[at]:
        at += 1
    return at


@njit(cache=True, nogil=True, error_model="numpy")
def evaluate(world, policy):  # type: ignore[no-untyped-def]
    """Return the exact value of a policy from the start."""
    horizon, states, actions = world.rewards.shape
    now, later = np.zeros(states), np.zeros(states)
    for h in range(horizon - 1, -1, -1):
        now, later = later, now
        for i in range(world.lives[h]):
            s = world.live[h, i]
            value = 0.0
            for a in range(actions):
                if policy[h, s, a] == 0.0:
                    continue
                row = (h * states + s) * actions + a
                total = world.rewards[h, s, a]
                for k in range(world.starts[row], world.starts[row + 1]):
                    total += world.probabilities[k] * later[world.successors[k]]
                value += policy[h, s, a] * total
            now[s] = value
    value = 0.0
    for s in range(states):
        if world.initial[s] > 0.0:
            value += world.initial[s] * now[s]
    return value
