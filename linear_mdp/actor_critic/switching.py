"""The tests for a switch, kept up to date visit by visit: do data speak against the critic?"""

import numpy as np
from numba import njit

from rltheory.linear_mdp.actor_critic.state import (
    COUNTS,
    DETERMINANT,
    FIRED,
    NEVER,
    NO_BONUS,
    PERIOD,
    RESIDUAL,
    SINCE,
    SWITCHES,
)

TIE = 1e-9
"""By how much a threshold must be passed: much more than sums of logarithms are off."""


@njit(cache=True, nogil=True, error_model="numpy")
def due(rule, memory):  # type: ignore[no-untyped-def]
    """Return whether the critic is to be refreshed before the next episode."""
    clock = memory.clock
    if rule.switch == NEVER:
        return False
    if clock[SWITCHES] == 0.0:
        return True
    if rule.switch == PERIOD:
        return clock[SINCE] >= rule.threshold
    return clock[FIRED] > 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def measure(world, rule, memory):  # type: ignore[no-untyped-def]
    """Set up what the test follows: it starts from the critic just fitted."""
    horizon, states, actions = world.rewards.shape
    if rule.switch == PERIOD or rule.switch == NEVER:
        return
    for h in range(horizon):
        memory.spent[h] = 0.0
        for i in range(world.lives[h]):
            s = world.live[h, i]
            for a in range(actions):
                memory.marks[h, s, a] = memory.visits[h, s, a]
                if rule.switch != RESIDUAL or memory.visits[h, s, a] == 0.0:
                    continue
                row = (h * states + s) * actions + a
                total = 0.0
                for k in range(world.starts[row], world.starts[row + 1]):
                    total += memory.counts[k] * memory.values[h + 1, world.successors[k]]
                memory.sums[h, s, a] = total
                memory.residuals[h, s, a] = _residual(world, memory, h, s, a)
                memory.spent[h] += memory.residuals[h, s, a]


@njit(cache=True, nogil=True, error_model="numpy")
def watch(world, rule, memory, h, s, a, y):  # type: ignore[no-untyped-def]
    """Bring the test up to date with one more visit."""
    n = memory.visits[h, s, a]
    if rule.switch == COUNTS:
        if n >= max(rule.threshold * memory.marks[h, s, a], 1.0):
            memory.clock[FIRED] = 1.0
    elif rule.switch == DETERMINANT:
        grow(rule, memory, h, 1.0 / n)
    else:
        if n == 1.0:
            memory.sums[h, s, a], memory.residuals[h, s, a] = 0.0, 0.0
        memory.sums[h, s, a] += memory.values[h + 1, y]
        now = _residual(world, memory, h, s, a)
        memory.spent[h] += now - memory.residuals[h, s, a]
        memory.residuals[h, s, a] = now
        if memory.spent[h] > rule.threshold * _radius(world, rule, memory, h):
            memory.clock[FIRED] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def grow(rule, memory, h, norm):  # type: ignore[no-untyped-def]
    """Add a visit to a step's design: its determinant grows by the factor 1 + x' inverse x.

    norm: x' inverse x before the visit; 1 / n for the n-th visit of a pair with a feature of its
    own and a ridge of 1.
    """
    memory.spent[h] += np.log1p(norm)
    # A tie, as when visits of one pair double, must not depend on rounding.
    if memory.spent[h] > rule.threshold + TIE:
        memory.clock[FIRED] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def _residual(world, memory, h, s, a):  # type: ignore[no-untyped-def]
    """Return visits * (critic - its regression target)^2: the excess of the squared loss."""
    n = memory.visits[h, s, a]
    off = memory.action_values[h, s, a] - world.rewards[h, s, a] - memory.sums[h, s, a] / n
    return n * off * off


@njit(cache=True, nogil=True, error_model="numpy")
def _radius(world, rule, memory, h):  # type: ignore[no-untyped-def]
    """Return what the squared residuals of a critic just fitted are at most, with its bonus.

    Every pair visited brings visits * bonus^2 = scale^2 C^2 L; a step that is known for sure, or a
    critic without bonus, is given C^2 L, or a rounding, as its sum must not fire at once.
    """
    ceiling = world.ceilings[h + 1]
    scale = 1.0 if rule.bonus == NO_BONUS else rule.scale
    return memory.known[h] * scale * scale * ceiling * ceiling * rule.logarithm + 1e-9
