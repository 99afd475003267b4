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
    # Arrays go on by themselves: to pass on a record of them costs more than the arithmetic.
    starts, successors, counts = world.starts, world.successors, memory.counts
    visits, values, found = memory.visits, memory.values, memory.action_values
    rewards, policy = world.rewards, memory.policy
    for h in range(horizon - 1, -1, -1):
        ceiling = world.ceilings[h + 1]
        for i in range(world.lives[h]):
            s = world.live[h, i]
            for a in range(actions):
                later = _ahead(starts, successors, counts, visits, values, rule, h, s, a, ceiling)
                estimate = rewards[h, s, a] + min(max(later, 0.0), ceiling)
                if rule.monotone:
                    estimate = min(estimate, found[h, s, a])
                found[h, s, a] = estimate
            values[h, s] = worth(rule.target, policy[h, s], found[h, s])


@njit(cache=True, nogil=True, error_model="numpy")
def worth(target, policy, action_values):  # type: ignore[no-untyped-def]
    """Return the critic's value of a state: of its best action, or of the policy."""
    if target == POLICY:
        total = 0.0
        for a in range(len(policy)):
            total += policy[a] * action_values[a]
        return total
    top = action_values[0]
    for a in range(1, len(action_values)):
        top = max(top, action_values[a])
    return top


@njit(cache=True, nogil=True, error_model="numpy")
def promise(world, memory):  # type: ignore[no-untyped-def]
    """Return the critic's value of its best actions from the start."""
    value = 0.0
    for i in range(world.lives[0]):
        s = world.live[0, i]
        value += world.initial[s] * worth(GREATEST, memory.policy[0, s], memory.action_values[0, s])
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _ahead(  # type: ignore[no-untyped-def]
    starts, successors, counts, visits, values, rule, h, s, a, ceiling
):
    """Return the optimistic mean of the next values of a pair."""
    states, actions = visits.shape[1:]
    weight = visits[h, s, a] + rule.ridge
    if weight == 0.0:
        return 0.0 if rule.bonus == NO_BONUS else ceiling
    row = (h * states + s) * actions + a
    total = 0.0
    for k in range(starts[row], starts[row + 1]):
        total += counts[k] * values[h + 1, successors[k]]
    mean = total / weight
    if rule.bonus == NO_BONUS or ceiling == 0.0:
        return mean
    if rule.bonus == HOEFFDING:
        return mean + rule.scale * ceiling * np.sqrt(rule.logarithm / weight)
    bonus = _by_variance(
        starts, successors, counts, visits, values, rule, h, row, mean, weight, ceiling
    )
    return mean + rule.scale * bonus


@njit(cache=True, nogil=True, error_model="numpy")
def _by_variance(  # type: ignore[no-untyped-def]
    starts, successors, counts, visits, values, rule, h, row, mean, weight, ceiling
):
    """Return the bonus in units of its scale where it follows the variance of next values."""
    horizon, states, actions = visits.shape
    # What the value of a next state may be off, squared, times the visits of that state.
    unsure = ceiling * states * rule.logarithm * 100.0
    unsure = unsure * unsure * horizon * actions
    spread, doubt = 0.0, 0.0
    for k in range(starts[row], starts[row + 1]):
        if counts[k] > 0.0:
            y = successors[k]
            spread += counts[k] * (values[h + 1, y] - mean) ** 2
            if rule.bonus == FREEDMAN:
                met = 0.0
                if h + 1 < horizon:
                    for b in range(actions):
                        met += visits[h + 1, y, b]
                doubt += counts[k] * min(unsure / max(met, 1.0), ceiling * ceiling)
    spread /= weight
    if rule.bonus == BERNSTEIN:
        bonus = np.sqrt(2.0 * rule.logarithm * spread / weight)
        return bonus + 7.0 * ceiling * rule.logarithm / (3.0 * weight)
    bonus = np.sqrt(8.0 * rule.logarithm * spread / weight)
    bonus += 14.0 * ceiling * rule.logarithm / (3.0 * weight)
    return bonus + np.sqrt(8.0 * doubt / weight / weight)
