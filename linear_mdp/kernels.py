"""Compiled passes of least-squares value iteration: optimistic values, policies, episodes.

A backward pass over k episodes costs O(n A d) a step for the n <= min(k, S) next states seen, and
nothing of order k d^2: what it needs of the past is kept (`rltheory.linear_mdp.visits`), and the
worst case over each estimated factor is found by `rltheory.linear_mdp.duals`.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rltheory.analysis.exponential import exp_minus
from rltheory.linear_mdp import duals
from rltheory.linear_mdp.simulation import draw, pick, step
from rltheory.linear_mdp.visits import record

NO_BONUS, ELLIPTICAL, FACTORS, DIAGONAL = range(4)
"""Bonuses: none, (x' G^-1 x)^(1/2), sum x_i (G^-1)_ii^(1/2), (x' diag(G^-1) x)^(1/2)."""

LEAST_LOG = -1e300
"""What logarithms of probabilities stop at: 0 times it is 0."""


class Rule(NamedTuple):
    """What sets one algorithm apart; see `rltheory.linear_mdp.online`."""

    dual: Any
    budgets: Any
    bonus: Any
    scale: Any
    known: Any
    temperature: Any
    step: Any
    reference: Any
    ceilings: Any
    fail: Any


@njit(cache=True, nogil=True, error_model="numpy")
def optimistic(memory, world, rule, linear, spread, h, states, out):  # type: ignore[no-untyped-def]
    """Write Q_h of the estimate at some states, (n, A): see `_optimistic`.

    linear (H, d): what multiplies the features; spread (H, d): the diagonals of the inverses.
    """
    _optimistic(
        world.columns, world.rewards[h], memory.norms[h], linear[h], spread[h], rule.scale[h],
        rule.ceilings[h], rule.bonus, rule.known, rule.fail, states, out,
    )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _optimistic(  # type: ignore[no-untyped-def]
    columns, rewards, norms, linear, spread, scale, ceiling, bonus, known, fail, states, out
):
    """Add the bonus, the reward and what is linear in the features; clip.

    Takes the arrays of one step, as calls with all of a learner's cost more than the sums.
    """
    d, actions = columns.shape[1:]
    for k in range(len(states)):
        s = states[k]
        for a in range(actions):
            out[k, a] = 0.0
        if s == fail:
            continue
        if bonus == ELLIPTICAL:
            for a in range(actions):
                out[k, a] = scale * np.sqrt(max(norms[s, a], 0.0))
        elif bonus == DIAGONAL:
            for i in range(d):
                width = spread[i]
                for a in range(actions):
                    out[k, a] += columns[s, i, a] * columns[s, i, a] * width
            for a in range(actions):
                out[k, a] = scale * np.sqrt(out[k, a])
        if known:
            for a in range(actions):
                out[k, a] += rewards[s, a]
        for i in range(d):
            weight = linear[i]
            for a in range(actions):
                out[k, a] += columns[s, i, a] * weight
        for a in range(actions):
            value = out[k, a] if out[k, a] > 0.0 else 0.0
            out[k, a] = value if value < ceiling else ceiling


@njit(cache=True, nogil=True, error_model="numpy")
def worth(reference, temperature, states, q, values):  # type: ignore[no-untyped-def]
    """Write the largest value of a policy at action values q (n, A), less what it pays.

    reference: (S, A) of the step; values: (S,), written at the states.
    """
    actions = q.shape[1]
    masses = np.empty(actions)
    for k in range(len(states)):
        s = states[k]
        top = q[k, 0]
        for a in range(1, actions):
            top = q[k, a] if q[k, a] > top else top
        if temperature == 0.0:
            values[s] = top
            continue
        for a in range(actions):
            masses[a] = reference[s, a] * exp_minus((q[k, a] - top) / temperature, 0.0)
        total = 0.0
        for a in range(actions):
            total += masses[a]
        values[s] = top + temperature * np.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def best(reference, temperature, states, q, out):  # type: ignore[no-untyped-def]
    """Write the policy of `worth`, (n, A): the first best action, or the softmax."""
    actions = q.shape[1]
    for k in range(len(states)):
        top = 0
        for a in range(1, actions):
            top = a if q[k, a] > q[k, top] else top
        if temperature == 0.0:
            for a in range(actions):
                out[k, a] = 0.0
            out[k, top] = 1.0
            continue
        highest = q[k, top]
        for a in range(actions):
            out[k, a] = reference[states[k], a] * exp_minus((q[k, a] - highest) / temperature, 0.0)
        total = 0.0
        for a in range(actions):
            total += out[k, a]
        for a in range(actions):
            out[k, a] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def ascend(reference, temperature, step, states, q, logs, values):  # type: ignore[no-untyped-def]
    """Move the policy of a step by a mirror step on q (n, A); write its values less what it pays.

    reference, logs: (S, A), logs those of the policy.
    """
    actions = q.shape[1]
    pull = step * temperature
    anchor = np.empty(actions)
    for k in range(len(states)):
        s = states[k]
        highest = q[k].max()
        top = -np.inf
        for a in range(actions):
            anchor[a] = np.log(reference[s, a])
            # From the best action on, so that long steps leave digits to what is near it.
            gained = max(step * (q[k, a] - highest), LEAST_LOG)
            logs[s, a] = max((1.0 - pull) * logs[s, a] + pull * anchor[a] + gained, LEAST_LOG)
            top = max(top, logs[s, a])
        total = 0.0
        for a in range(actions):
            logs[s, a] -= top
            total += exp_minus(logs[s, a], 0.0)
        shift = np.log(total)
        result = 0.0
        for a in range(actions):
            logs[s, a] -= shift
            pays = temperature * (logs[s, a] - anchor[a])
            result += np.exp(logs[s, a]) * (q[k, a] - pays)
        values[s] = result


@njit(cache=True, nogil=True, error_model="numpy")
def estimate(memory, world, rule, log_policy, linear, spread):  # type: ignore[no-untyped-def]
    """Fill linear (H, d) and spread (H, d) by a backward pass over all that was recorded."""
    horizon, states, d = memory.weights.shape
    values, q = np.zeros(states), np.empty((states, world.features.shape[1]))
    mirror = len(log_policy) > 0
    # Without a fail state the least value may be anywhere, and mirror steps move all policies.
    everywhere = mirror or rule.fail < 0
    everyone = np.arange(states)
    for h in range(horizon - 1, -1, -1):
        seen = memory.seen[h, : memory.counts[h, 0]]
        for i in range(d):
            linear[h, i] = 0.0
            spread[h, i] = max(memory.inverse[h, i, i], 0.0)
        if h + 1 < horizon:
            floor = values.min() if everywhere else 0.0
            duals.solve(
                rule.dual, seen, values, memory.weights[h], floor, rule.ceilings[h + 1],
                rule.budgets[h], linear[h],
            )  # fmt: skip
        if not rule.known:
            for i in range(d):
                for j in range(d):
                    linear[h, i] += memory.inverse[h, i, j] * memory.rewards[h, j]
        if rule.bonus == FACTORS:
            for i in range(d):
                linear[h, i] += rule.scale[h] * np.sqrt(spread[h, i])
        if h > 0 or mirror:
            at = everyone if everywhere else memory.seen[h - 1, : memory.counts[h - 1, 0]]
            _evaluate(memory, world, rule, log_policy, linear, spread, h, at, values, q)


@njit(cache=True, nogil=True, error_model="numpy")
def _evaluate(memory, world, rule, log_policy, linear, spread, h, states, values, q):  # type: ignore[no-untyped-def]
    """Write the values of step h at some states, after a mirror step of the policy if there is one.

    q: room for as many rows of action values.
    """
    optimistic(memory, world, rule, linear, spread, h, states, q)
    if len(log_policy) > 0:
        ascend(
            rule.reference[h], rule.temperature, rule.step, states, q, log_policy[h], values
        )  # fmt: skip
    else:
        worth(rule.reference[h], rule.temperature, states, q, values)


@njit(cache=True, nogil=True, error_model="numpy")
def policies(memory, world, rule, log_policy, linear, spread, q, out):  # type: ignore[no-untyped-def]
    """Write action values and policy at all states, (H, S, A) each, of the last estimate."""
    everyone = np.arange(out.shape[1])
    for h in range(len(out)):
        optimistic(memory, world, rule, linear, spread, h, everyone, q[h])
        choose(rule, log_policy, h, everyone, q[h], out[h])


@njit(cache=True, nogil=True, error_model="numpy")
def choose(rule, log_policy, h, states, q, out):  # type: ignore[no-untyped-def]
    """Write the policy (n, A) at some states: that of mirror steps, or the best one on q (n, A)."""
    if len(log_policy) == 0:
        best(rule.reference[h], rule.temperature, states, q, out)
        return
    for k in range(len(states)):
        for a in range(out.shape[1]):
            out[k, a] = np.exp(log_policy[h, states[k], a])


@njit(cache=True, nogil=True, error_model="numpy")
def play(memory, world, rule, log_policy, linear, spread, draws, returns):  # type: ignore[no-untyped-def]
    """Run episodes, one for each row of draws (n, 1 + 3 H) of uniform numbers; note the returns.

    Every episode follows the estimate of the ones before it, is recorded, and changes it.
    """
    horizon = memory.weights.shape[0]
    actions = world.features.shape[1]
    q, policy, at = np.empty((1, actions)), np.empty((1, actions)), np.empty(1, np.int64)
    for episode in range(len(draws)):
        at[0] = draw(world.initial, draws[episode, 0])
        total = 0.0
        for h in range(horizon):
            optimistic(memory, world, rule, linear, spread, h, at, q)
            choose(rule, log_policy, h, at, q, policy)
            s, a = at[0], pick(policy[0], draws[episode, 1 + 3 * h])
            at[0] = step(world, h, s, a, draws[episode, 2 + 3 * h], draws[episode, 3 + 3 * h])
            record(memory, world, h, s, a, world.rewards[h, s, a], at[0])
            total += world.rewards[h, s, a]
        returns[episode] = total
        estimate(memory, world, rule, log_policy, linear, spread)
