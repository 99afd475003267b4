"""One compiled loop for actor-critics and their rivals in tabular models.

An episode: the critic is refreshed if the rule's test has fired, by a backward pass over counts
(least squares on one-hot features in closed form, plus a bonus); the policy is evaluated exactly
and played; the actor moves. What sets an algorithm apart is a `Rule`, numbers alone.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rltheory.analysis.exponential import exp_minus

NO_BONUS, HOEFFDING, BERNSTEIN, FREEDMAN = range(4)
"""Bonuses of n visits, for next values in [0, C], L the logarithm of the confidence: none;
C sqrt(L / n); sqrt(2 L V / n) + 7 C L / (3 n), V the empirical variance; UCBVI-BF's."""

PERIOD, COUNTS, DETERMINANT, RESIDUAL, NEVER = range(5)
"""When the critic is refreshed: every so many episodes; when a pair's visits have grown by a
factor; when the logarithm of a step's determinant has grown by the threshold; when the critic's
squared residuals over the data exceed the threshold times the radius; by every step played."""

GREATEST, POLICY = range(2)
"""What the critic aims at: the optimal values, or those of the present policy."""

GREEDY, WEIGHTS = range(2)
"""The actor: the first best action of the critic, or exponential weights."""

EPISODES, SWITCHES, FIRED, VALUE, STALE, SINCE = range(6)
"""What the clock counts: episodes played; refreshes; whether the test has fired; the value of the
policy last evaluated; whether the policy has changed since; episodes since the refresh."""


TIE = 1e-9
"""By how much a threshold must be passed: much more than sums of logarithms are off."""


class Rule(NamedTuple):
    """What sets one algorithm apart; see `rltheory.linear_mdp.actor_critic.settings`."""

    target: Any
    bonus: Any
    scale: Any
    logarithm: Any
    ridge: Any
    monotone: Any
    switch: Any
    threshold: Any
    forget: Any
    actor: Any
    step: Any
    reset: Any
    rounds: Any


class Memory(NamedTuple):
    """What a learner has seen and thinks.

    counts (n,): along the world's rows; visits, marks (H, S, A): pairs' visits, now and at the
    refresh; sums (H, S, A): of next values over the visits; residuals (H, S, A): squared, weighted
    by visits; spent (H,): their sums, or growths of the logarithms of determinants; known (H,):
    pairs visited; action_values, logits, policy (H, S, A); values (H + 1, S): of the critic;
    clock (6,).
    """

    counts: Any
    visits: Any
    marks: Any
    sums: Any
    residuals: Any
    spent: Any
    known: Any
    action_values: Any
    logits: Any
    policy: Any
    values: Any
    clock: Any


@njit(cache=True, nogil=True, error_model="numpy")
def play(world, rule, memory, draws, values, promises, returns, switched):  # type: ignore[no-untyped-def]
    """Play an episode for each row of draws (n, 1 + 2 H) of uniform numbers.

    Writes, by episode: the exact value of the policy played, what the critic promises at the
    start, the return, and whether the critic was refreshed before it.
    """
    clock = memory.clock
    for episode in range(len(draws)):
        fresh = due(rule, memory)
        switched[episode] = fresh
        if fresh:
            renew(world, rule, memory)
        if clock[STALE] > 0.0:
            clock[VALUE] = evaluate(world, memory.policy)
            clock[STALE] = 0.0
        values[episode] = clock[VALUE]
        promises[episode] = promise(world, memory)
        returns[episode] = walk(world, rule, memory, draws[episode])
        clock[EPISODES] += 1.0
        clock[SINCE] += 1.0
        if rule.actor == WEIGHTS and rule.rounds == 0:
            ascend(world, rule.step, memory)
        elif rule.switch == NEVER:
            clock[STALE] = 1.0


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
def renew(world, rule, memory):  # type: ignore[no-untyped-def]
    """Refresh the critic, and what the actor owes to it."""
    clock = memory.clock
    horizon, _, actions = world.rewards.shape
    if rule.actor == WEIGHTS and rule.reset:
        for h in range(horizon):
            for i in range(world.lives[h]):
                for a in range(actions):
                    memory.logits[h, world.live[h, i], a] = 0.0
                    memory.policy[h, world.live[h, i], a] = 1.0 / actions
    for _ in range(max(rule.rounds, 1)):
        fit(world, rule, memory)
        if rule.rounds > 0:
            ascend(world, rule.step, memory)
    if rule.actor == GREEDY:
        for h in range(horizon):
            for i in range(world.lives[h]):
                greedy(memory, h, world.live[h, i])
    clock[SWITCHES] += 1.0
    clock[FIRED], clock[SINCE], clock[STALE] = 0.0, 0.0, 1.0
    if rule.forget:
        memory.counts[:] = 0.0
        memory.visits[:] = 0.0
        memory.known[:] = 0.0
    measure(world, rule, memory)


@njit(cache=True, nogil=True, error_model="numpy")
def fit(world, rule, memory):  # type: ignore[no-untyped-def]
    """Estimate action values backward from the counts: r + min(C, mean + bonus)."""
    horizon, _, actions = world.rewards.shape
    for h in range(horizon - 1, -1, -1):
        ceiling = world.ceilings[h + 1]
        for i in range(world.lives[h]):
            s = world.live[h, i]
            for a in range(actions):
                later = ahead(world, rule, memory, h, s, a, ceiling)
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
def ahead(world, rule, memory, h, s, a, ceiling):  # type: ignore[no-untyped-def]
    """Return the optimistic mean of the next values of a pair."""
    states, actions = world.rewards.shape[1:]
    n = memory.visits[h, s, a]
    weight = n + rule.ridge
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
    spread, doubt = 0.0, 0.0
    for k in range(world.starts[row], world.starts[row + 1]):
        if memory.counts[k] > 0.0:
            y = world.successors[k]
            spread += memory.counts[k] * (memory.values[h + 1, y] - mean) ** 2
            if rule.bonus == FREEDMAN:
                met = 0.0
                if h + 1 < world.rewards.shape[0]:
                    for b in range(actions):
                        met += memory.visits[h + 1, y, b]
                lower = ceiling * states * rule.logarithm * 100.0
                lower = lower * lower * len(world.lives) * actions / max(met, 1.0)
                doubt += memory.counts[k] * min(lower, ceiling * ceiling)
    spread /= weight
    if rule.bonus == BERNSTEIN:
        bonus = np.sqrt(2.0 * rule.logarithm * spread / weight)
        bonus += 7.0 * ceiling * rule.logarithm / (3.0 * weight)
    else:
        bonus = np.sqrt(8.0 * rule.logarithm * spread / weight)
        bonus += 14.0 * ceiling * rule.logarithm / (3.0 * weight)
        bonus += np.sqrt(8.0 * doubt / weight / weight)
    return mean + rule.scale * bonus


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
                memory.residuals[h, s, a] = residual(world, memory, h, s, a)
                memory.spent[h] += memory.residuals[h, s, a]


@njit(cache=True, nogil=True, error_model="numpy")
def residual(world, memory, h, s, a):  # type: ignore[no-untyped-def]
    """Return visits * (critic - its regression target)^2: the excess of the squared loss."""
    n = memory.visits[h, s, a]
    off = memory.action_values[h, s, a] - world.rewards[h, s, a] - memory.sums[h, s, a] / n
    return n * off * off


@njit(cache=True, nogil=True, error_model="numpy")
def walk(world, rule, memory, draws):  # type: ignore[no-untyped-def]
    """Play the policy once, learn what the rule learns on the way, return the return."""
    horizon, states, actions = world.rewards.shape
    s = pick(world.initial, draws[0])
    earned = 0.0
    for h in range(horizon):
        a = pick(memory.policy[h, s], draws[1 + 2 * h])
        row = (h * states + s) * actions + a
        first, last = world.starts[row], world.starts[row + 1] - 1
        u = draws[2 + 2 * h] * world.cumulative[last]
        at = first
        while at < last and u >= world.cumulative[at]:
            at += 1
        y = world.successors[at]
        earned += world.rewards[h, s, a]
        memory.known[h] += 1.0 if memory.visits[h, s, a] == 0.0 else 0.0
        memory.counts[at] += 1.0
        memory.visits[h, s, a] += 1.0
        if rule.switch == NEVER:
            improve(world, rule, memory, h, s, a, y)
        elif rule.switch != PERIOD:
            watch(world, rule, memory, h, s, a, y)
        s = y
    return earned


@njit(cache=True, nogil=True, error_model="numpy")
def watch(world, rule, memory, h, s, a, y):  # type: ignore[no-untyped-def]
    """Bring the test up to date with one more visit."""
    n = memory.visits[h, s, a]
    if rule.switch == COUNTS:
        if n >= max(rule.threshold * memory.marks[h, s, a], 1.0):
            memory.clock[FIRED] = 1.0
    elif rule.switch == DETERMINANT:
        memory.spent[h] += np.log1p(1.0 / n)
        # A tie, as when visits of one pair double, must not depend on rounding.
        if memory.spent[h] > rule.threshold + TIE:
            memory.clock[FIRED] = 1.0
    else:
        if n == 1.0:
            memory.sums[h, s, a], memory.residuals[h, s, a] = 0.0, 0.0
        memory.sums[h, s, a] += memory.values[h + 1, y]
        now = residual(world, memory, h, s, a)
        memory.spent[h] += now - memory.residuals[h, s, a]
        memory.residuals[h, s, a] = now
        if memory.spent[h] > rule.threshold * radius(world, rule, memory, h):
            memory.clock[FIRED] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def radius(world, rule, memory, h):  # type: ignore[no-untyped-def]
    """Return what the squared residuals of a critic just fitted are at most, with its bonus.

    Every pair visited brings visits * bonus^2 = scale^2 C^2 L; a step that is known for sure, or a
    critic without bonus, is given C^2 L, or a rounding, as its sum must not fire at once.
    """
    ceiling = world.ceilings[h + 1]
    scale = 1.0 if rule.bonus == NO_BONUS else rule.scale
    return memory.known[h] * scale * scale * ceiling * ceiling * rule.logarithm + 1e-9


@njit(cache=True, nogil=True, error_model="numpy")
def improve(world, rule, memory, h, s, a, y):  # type: ignore[no-untyped-def]
    """Learn Q from one transition, at the rate (H + 1) / (H + n), with a bonus."""
    horizon = world.rewards.shape[0]
    n = memory.visits[h, s, a]
    rate = (horizon + 1.0) / (horizon + n)
    ceiling = world.ceilings[h + 1]
    later = memory.values[h + 1, y]
    if rule.bonus != NO_BONUS:
        later += rule.scale * ceiling * np.sqrt(horizon * rule.logarithm / n)
    target = world.rewards[h, s, a] + later
    memory.action_values[h, s, a] += rate * (target - memory.action_values[h, s, a])
    memory.values[h, s] = min(world.ceilings[h], worth(GREATEST, memory, h, s))
    greedy(memory, h, s)


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


@njit(cache=True, nogil=True, error_model="numpy")
def promise(world, memory):  # type: ignore[no-untyped-def]
    """Return the critic's value of its best actions from the start."""
    value = 0.0
    for i in range(world.lives[0]):
        s = world.live[0, i]
        value += world.initial[s] * worth(GREATEST, memory, 0, s)
    return value


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
