"""Q-learning: the critic takes a step towards every transition played, and models nothing.

Source: Jin, Allen-Zhu, Bubeck and Jordan (2018), Algorithm 1 for the Hoeffding bonus, Algorithm 2
for the Bernstein one. Where they have H for the largest value, here is C, the most that can still
be earned, so that units cancel: both are theirs where C = H.
"""

import numpy as np
from numba import njit

from rltheory.linear_mdp.actor_critic.actor import greedy
from rltheory.linear_mdp.actor_critic.critic import worth
from rltheory.linear_mdp.actor_critic.state import GREATEST, HOEFFDING, NO_BONUS


@njit(cache=True, nogil=True, error_model="numpy")
def improve(world, rule, memory, h, s, a, y):  # type: ignore[no-untyped-def]
    """Learn Q from one transition, at the rate (H + 1) / (H + n), with a bonus."""
    horizon = world.rewards.shape[0]
    rate = (horizon + 1.0) / (horizon + memory.visits[h, s, a])
    later = memory.values[h + 1, y] + _bonus(world, rule, memory, h, s, a, y, rate)
    target = world.rewards[h, s, a] + later
    memory.action_values[h, s, a] += rate * (target - memory.action_values[h, s, a])
    top = worth(GREATEST, memory.policy[h, s], memory.action_values[h, s])
    memory.values[h, s] = min(world.ceilings[h], top)
    greedy(memory, h, s)


@njit(cache=True, nogil=True, error_model="numpy")
def _bonus(world, rule, memory, h, s, a, y, rate):  # type: ignore[no-untyped-def]
    """Return the bonus of a pair's n-th visit.

    That of Bernstein is b_n = (beta_n - (1 - rate) beta_(n-1)) / (2 rate), beta_0 = 0: weighted as
    Q weights its steps, the bonuses so far then add up to beta_n / 2.
    """
    horizon = world.rewards.shape[0]
    n, ceiling = memory.visits[h, s, a], world.ceilings[h + 1]
    if rule.bonus == NO_BONUS:
        return 0.0
    if rule.bonus == HOEFFDING:
        return rule.scale * ceiling * np.sqrt(horizon * rule.logarithm / n)
    value = memory.values[h + 1, y]
    memory.sums[h, s, a] += value
    memory.squares[h, s, a] += value * value
    before = memory.widths[h, s, a]
    now = rule.scale * _width(world, rule, memory, h, s, a)
    memory.widths[h, s, a] = now
    return (now - (1.0 - rate) * before) / (2.0 * rate)


@njit(cache=True, nogil=True, error_model="numpy")
def _width(world, rule, memory, h, s, a):  # type: ignore[no-untyped-def]
    """Return beta_n in units of its scale, W the variance of the next values so far:

    min{sqrt(H (W + C^2 / H) L / n) + minor C sqrt(H^5 S A) L / n, C sqrt(H L / n)}.
    """
    horizon, states, actions = world.rewards.shape
    n, ceiling = memory.visits[h, s, a], world.ceilings[h + 1]
    mean = memory.sums[h, s, a] / n
    variance = max(memory.squares[h, s, a] / n - mean * mean, 0.0)
    width = np.sqrt((horizon * variance + ceiling * ceiling) * rule.logarithm / n)
    order = ceiling * np.sqrt(float(horizon) ** 5 * states * actions)
    width += rule.minor * order * rule.logarithm / n
    return min(width, ceiling * np.sqrt(horizon * rule.logarithm / n))
