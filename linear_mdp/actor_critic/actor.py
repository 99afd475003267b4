"""The actor: greedy on the critic, or exponential weights that follow it."""

import numpy as np
from numba import njit

from rltheory.analysis.exponential import exp_minus
from rltheory.linear_mdp.actor_critic.state import STALE


@njit(cache=True, nogil=True, error_model="numpy")
def greedy(memory, h, s):  # type: ignore[no-untyped-def]
    """Play the first best action of the critic at a state."""
    top = 0
    for a in range(memory.policy.shape[2]):
        memory.policy[h, s, a] = 0.0
        if memory.action_values[h, s, a] > memory.action_values[h, s, top]:
            top = a
    memory.policy[h, s, top] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def restart(world, memory):  # type: ignore[no-untyped-def]
    """Set the policy to uniform, at every state that can occur."""
    horizon, _, actions = world.rewards.shape
    for h in range(horizon):
        for i in range(world.lives[h]):
            for a in range(actions):
                memory.logits[h, world.live[h, i], a] = 0.0
                memory.policy[h, world.live[h, i], a] = 1.0 / actions


@njit(cache=True, nogil=True, error_model="numpy")
def ascend(world, step, memory):  # type: ignore[no-untyped-def]
    """Move the policy by exponential weights on the critic, at every state that can occur."""
    horizon, _, actions = world.rewards.shape
    for h in range(horizon):
        for i in range(world.lives[h]):
            s = world.live[h, i]
            top = -np.inf
            for a in range(actions):
                memory.logits[h, s, a] += step * memory.action_values[h, s, a]
                top = max(top, memory.logits[h, s, a])
            total = 0.0
            for a in range(actions):
                memory.logits[h, s, a] -= top
                memory.policy[h, s, a] = exp_minus(memory.logits[h, s, a], 0.0)
                total += memory.policy[h, s, a]
            for a in range(actions):
                memory.policy[h, s, a] /= total
    memory.clock[STALE] = 1.0
