"""The critic by counts: least squares on one-hot features in closed form, plus a bonus."""

import numpy as np
from numba import njit

from rltheory.linear_mdp.actor_critic.state import (
    BERNSTEIN,
    FREEDMAN,
    GREATEST,
    HOEFFDING,
    NO_BONUS,
    POLICY,
)


@njit(cache=True, nogil=True, error_model="numpy")
def fit(world, rule, memory):  # type: ignore[no-untyped-def]
    """Estimate action values backward from the counts: r + min(C, mean + bonus)."""
    horizon, _, actions = world.rewards.shape
    for h in range(horizon - 1, -1, -1):
        ceiling = world.ceilings[h + 1]
        for i in range(world.lives[h]):
            s = world.live[h, i]
            for a in range(actions):
                later = _ahead(world, rule, memory, h, s, a, ceiling)
                found = world.rewards[h, s, a] + min(max(later, 0.0), ceiling)
                if rule.monotone:
                    found = min(found, memory.action_values[h, s, a])
                memory.action_values[h, s, a] = found
            memory.values[h, s] = worth(rule.target, memory, h, s)


@njit(cache=True, nogil=True, error_model="numpy")
def worth(target, memory, h, s):  # type: ignore[no-untyped-def]
    """Return the critic's value of a state: of its best action, or of the policy."""
    actions = memory.policy.shape[2]
    if target == POLICY:
        total = 0.0
        for a in range(actions):
            total += memory.policy[h, s, a] * memory.action_values[h, s, a]
        return total
    top = memory.action_values[h, s, 0]
    for a in range(1, actions):
        top = max(top, memory.action_values[h, s, a])
    return top


@njit(cache=True, nogil=True, error_model="numpy")
def promise(world, memory):  # type: ignore[no-untyped-def]
    """Return the critic's value of its best actions from the start."""
    value = 0.0
    for i in range(world.lives[0]):
        s = world.live[0, i]
        value += world.initial[s] * worth(GREATEST, memory, 0, s)
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _ahead(world, rule, memory, h, s, a, ceiling):  # type: ignore[no-untyped-def]
    """Return the optimistic mean of the next values of a pair."""
    states, actions = world.rewards.shape[1:]
    weight = memory.visits[h, s, a] + rule.ridge
    if weight == 0.0:
        return 0.0 if rule.bonus == NO_BONUS else ceiling
    row = (h * states + s) * actions + a
    total = 0.0
    for k in range(world.starts[row], world.starts[row + 1]):
        total += memory.counts[k] * memory.values[h + 1, world.successors[k]]
    mean = total / weight
    if rule.bonus == NO_BONUS or ceiling == 0.0:
        return mean
    if rule.bonus == HOEFFDING:
        return mean + rule.scale * ceiling * np.sqrt(rule.logarithm / weight)
    return mean + rule.scale * _by_variance(world, rule, memory, h, row, mean, weight, ceiling)


@njit(cache=True, nogil=True, error_model="numpy")
def _by_variance(world, rule, memory, h, row, mean, weight, ceiling):  # type: ignore[no-untyped-def]
    """Return the bonus in units of its scale where it follows the variance of next values."""
    horizon, states, actions = world.rewards.shape
    # What the value of a next state may be off, squared, times the visits of that state.
    unsure = ceiling * states * rule.logarithm * 100.0
    unsure = unsure * unsure * horizon * actions
    spread, doubt = 0.0, 0.0
    for k in range(world.starts[row], world.starts[row + 1]):
        if memory.counts[k] > 0.0:
            y = world.successors[k]
            spread += memory.counts[k] * (memory.values[h + 1, y] - mean) ** 2
            if rule.bonus == FREEDMAN:
                met = 0.0
                if h + 1 < horizon:
                    for b in range(actions):
                        met += memory.visits[h + 1, y, b]
                doubt += memory.counts[k] * min(unsure / max(met, 1.0), ceiling * ceiling)
    spread /= weight
    if rule.bonus == BERNSTEIN:
        bonus = np.sqrt(2.0 * rule.logarithm * spread / weight)
        return bonus + 7.0 * ceiling * rule.logarithm / (3.0 * weight)
    bonus = np.sqrt(8.0 * rule.logarithm * spread / weight)
    bonus += 14.0 * ceiling * rule.logarithm / (3.0 * weight)
    return bonus + np.sqrt(8.0 * doubt / weight / weight)
