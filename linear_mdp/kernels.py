"""Compiled passes of least-squares value iteration: data, estimates, optimistic values, episodes.

What the regressions need of the past is kept by next state: `cross[h, s']` sums the features of
the visits of step h that led to s', so that the ridge estimate of E[f(s')] is `weights[h]` times f,
with weights = inverse @ cross, whatever f. A new visit changes the inverse by a term of rank one
(Sherman and Morrison) and the weights of each next state by a multiple of one vector, O(d) each;
every `REFRESH` visits both are worked out again from a Cholesky factor, so that roundings do not
pile up. A backward pass over k episodes then costs O(n A d) a step for the n <= min(k, S) next
states seen, and nothing of order k d^2.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rltheory.analysis.exponential import exp_minus
from rltheory.linear_mdp import duals

REFRESH = 256
"""Visits of a step after which its inverse and weights are worked out again."""

NO_BONUS, ELLIPTICAL, FACTORS, DIAGONAL = range(4)
"""Bonuses: none, (x' G^-1 x)^(1/2), sum x_i (G^-1)_ii^(1/2), (x' diag(G^-1) x)^(1/2)."""


class Memory(NamedTuple):
    """What is kept of the visits; arrays that are written in place.

    gram, inverse (H, d, d): of the features, ridge included. cross, weights (H, S, d): by next
    state. rewards (H, d): sums of features times reward. seen (H, S): the next states met, in
    order; met (H, S): whether; counts (H, 2): how many next states and visits. norms (H, S, A):
    x' inverse x for all pairs, kept where the bonus is elliptical, else empty.
    """

    gram: Any
    inverse: Any
    cross: Any
    weights: Any
    rewards: Any
    seen: Any
    met: Any
    counts: Any
    norms: Any


class World(NamedTuple):
    """What is simulated: features (S, A, d), rewards (H, S, A), how next states are drawn.

    initial (S,): cumulative. measures (H, n, S): cumulative rows; mixed: whether a pair draws a
    factor by its features first, and then from the factor's row, or has the row s * A + a.
    """

    features: Any
    rewards: Any
    initial: Any
    measures: Any
    mixed: Any


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
def record(memory, features, h, s, a, reward, following):  # type: ignore[no-untyped-def]
    """Add one visit of step h: state, action, reward, next state."""
    x = features[s, a]
    d = len(x)
    inverse, weights, cross = memory.inverse[h], memory.weights[h], memory.cross[h]
    u = np.zeros(d)
    for i in range(d):
        for j in range(d):
            u[i] += inverse[i, j] * x[j]
    scale = 1.0
    for i in range(d):
        scale += x[i] * u[i]
    for i in range(d):
        share = u[i] / scale
        for j in range(d):
            inverse[i, j] -= share * u[j]
            memory.gram[h, i, j] += x[i] * x[j]
        memory.rewards[h, i] += reward * x[i]
    if not memory.met[h, following]:
        memory.met[h, following] = True
        memory.seen[h, memory.counts[h, 0]] = following
        memory.counts[h, 0] += 1
    for k in range(memory.counts[h, 0]):
        j = memory.seen[h, k]
        inner = 0.0
        for i in range(d):
            inner += u[i] * cross[j, i]
        inner /= scale
        for i in range(d):
            weights[j, i] -= inner * u[i]
    for i in range(d):
        cross[following, i] += x[i]
        weights[following, i] += u[i] / scale
    memory.counts[h, 1] += 1
    if memory.counts[h, 1] % REFRESH == 0:
        refresh(memory, features, h)
    elif memory.norms.shape[1]:
        for i in range(features.shape[0]):
            for b in range(features.shape[1]):
                y = features[i, b]
                inner = 0.0
                for j in range(d):
                    inner += y[j] * u[j]
                memory.norms[h, i, b] -= inner * inner / scale


@njit(cache=True, nogil=True, error_model="numpy")
def refresh(memory, features, h):  # type: ignore[no-untyped-def]
    """Work out a step's inverse, weights and norms from its sums."""
    factor = np.linalg.inv(np.linalg.cholesky(memory.gram[h]))
    d = len(factor)
    inverse = memory.inverse[h]
    for i in range(d):
        for j in range(d):
            total = 0.0
            for k in range(max(i, j), d):
                total += factor[k, i] * factor[k, j]
            inverse[i, j] = total
    for k in range(memory.counts[h, 0]):
        j = memory.seen[h, k]
        for i in range(d):
            total = 0.0
            for m in range(d):
                total += inverse[i, m] * memory.cross[h, j, m]
            memory.weights[h, j, i] = total
    if memory.norms.shape[1]:
        for s in range(features.shape[0]):
            for a in range(features.shape[1]):
                memory.norms[h, s, a] = quadratic(inverse, features[s, a])


@njit(cache=True, nogil=True, error_model="numpy")
def quadratic(matrix, x):  # type: ignore[no-untyped-def]
    """Return x' M x of a symmetric matrix."""
    total = 0.0
    for i in range(len(x)):
        inner = 0.0
        for j in range(len(x)):
            inner += matrix[i, j] * x[j]
        total += inner * x[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def dot(x, y):  # type: ignore[no-untyped-def]
    """Return the inner product, several entries summed at a time."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * y[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def diagonal(x, y):  # type: ignore[no-untyped-def]
    """Return the sum of x_i^2 y_i."""
    total = 0.0
    for i in range(len(x)):
        total += x[i] * x[i] * y[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def optimistic(memory, world, rule, linear, spread, h, s, out):  # type: ignore[no-untyped-def]
    """Write Q_h(s, .) of the estimate: linear[h] on the features, the bonus, clipped.

    spread (H, d): what the bonus is made of, see `estimate`.
    """
    if s == rule.fail:
        for a in range(len(out)):
            out[a] = 0.0
        return
    scale = rule.scale[h]
    for a in range(len(out)):
        x = world.features[s, a]
        value = dot(x, linear[h])
        if rule.known:
            value += world.rewards[h, s, a]
        if rule.bonus == ELLIPTICAL:
            value += scale * np.sqrt(max(memory.norms[h, s, a], 0.0))
        elif rule.bonus == DIAGONAL:
            value += scale * np.sqrt(diagonal(x, spread[h]))
        value = value if value > 0.0 else 0.0
        out[a] = value if value < rule.ceilings[h] else rule.ceilings[h]


@njit(cache=True, nogil=True, error_model="numpy")
def worth(rule, h, s, q, scratch):  # type: ignore[no-untyped-def]
    """Return the largest value of a policy at action values q, less what it pays."""
    top = q[0]
    for a in range(1, len(q)):
        top = q[a] if q[a] > top else top
    if rule.temperature == 0.0:
        return top
    reference = rule.reference[h, s]
    sharpness = 1.0 / rule.temperature
    for a in range(len(q)):
        scratch[a] = reference[a] * exp_minus((q[a] - top) * sharpness, 0.0)
    total = 0.0
    for a in range(len(q)):
        total += scratch[a]
    return top + rule.temperature * np.log(total)


@njit(cache=True, nogil=True, error_model="numpy")
def best(rule, h, s, q, out):  # type: ignore[no-untyped-def]
    """Write the policy of `worth`: the first best action, or the softmax around the reference."""
    top = 0
    for a in range(1, len(q)):
        top = a if q[a] > q[top] else top
    if rule.temperature == 0.0:
        for a in range(len(q)):
            out[a] = 0.0
        out[top] = 1.0
        return
    total = 0.0
    for a in range(len(q)):
        gap = (q[a] - q[top]) / rule.temperature
        out[a] = rule.reference[h, s, a] * exp_minus(gap, 0.0)
        total += out[a]
    for a in range(len(q)):
        out[a] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def ascend(rule, h, s, q, log_policy):  # type: ignore[no-untyped-def]
    """Move the policy at (h, s) by a mirror step on q; return its value less what it pays."""
    pull = rule.step * rule.temperature
    logs = log_policy[h, s]
    top = -np.inf
    for a in range(len(q)):
        anchor = np.log(rule.reference[h, s, a])
        logs[a] = (1.0 - pull) * logs[a] + pull * anchor + rule.step * q[a]
        top = max(top, logs[a])
    total = 0.0
    for a in range(len(q)):
        total += np.exp(logs[a] - top)
    shift = top + np.log(total)
    result = 0.0
    for a in range(len(q)):
        logs[a] -= shift
        pays = rule.temperature * (logs[a] - np.log(rule.reference[h, s, a]))
        result += np.exp(logs[a]) * (q[a] - pays)
    return result


@njit(cache=True, nogil=True, error_model="numpy")
def estimate(memory, world, rule, log_policy, linear, spread):  # type: ignore[no-untyped-def]
    """Fill linear (H, d) and spread (H, d) by a backward pass over all that was recorded."""
    horizon, states, d = memory.weights.shape
    actions = world.features.shape[1]
    values, q, scratch = np.zeros(states), np.empty(actions), np.empty(actions)
    mirror = len(log_policy) > 0
    for h in range(horizon - 1, -1, -1):
        count = memory.counts[h, 0]
        for i in range(d):
            linear[h, i] = 0.0
            spread[h, i] = memory.inverse[h, i, i]
        if h + 1 < horizon:
            _evaluate(
                memory, world, rule, log_policy, linear, spread, h + 1,
                mirror or rule.fail < 0, memory.seen[h, :count], values, q, scratch,
            )  # fmt: skip
            floor = 0.0 if rule.fail >= 0 else values.min()
            duals.solve(
                rule.dual, memory.seen[h, :count], values, memory.weights[h], floor,
                rule.ceilings[h + 1], rule.budgets[h], linear[h],
            )  # fmt: skip
        if not rule.known:
            for i in range(d):
                linear[h, i] += dot(memory.inverse[h, i], memory.rewards[h])
        if rule.bonus == FACTORS:
            for i in range(d):
                linear[h, i] += rule.scale[h] * np.sqrt(max(spread[h, i], 0.0))
    if mirror:
        _evaluate(
            memory, world, rule, log_policy, linear, spread, 0, True, memory.seen[0, :0],
            values, q, scratch,
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _evaluate(  # type: ignore[no-untyped-def]
    memory, world, rule, log_policy, linear, spread, h, everywhere, states, values, q, scratch
):
    """Write the values of step h at the states asked for, or at all."""
    count = len(values) if everywhere else len(states)
    for k in range(count):
        s = k if everywhere else states[k]
        optimistic(memory, world, rule, linear, spread, h, s, q)
        if len(log_policy) > 0:
            values[s] = ascend(rule, h, s, q, log_policy)
        else:
            values[s] = worth(rule, h, s, q, scratch)


@njit(cache=True, nogil=True, error_model="numpy")
def policies(memory, world, rule, log_policy, linear, spread, q, out):  # type: ignore[no-untyped-def]
    """Write action values and policy at all states, (H, S, A) each, of the last estimate."""
    for h in range(out.shape[0]):
        for s in range(out.shape[1]):
            optimistic(memory, world, rule, linear, spread, h, s, q[h, s])
            if len(log_policy) > 0:
                for a in range(out.shape[2]):
                    out[h, s, a] = np.exp(log_policy[h, s, a])
            else:
                best(rule, h, s, q[h, s], out[h, s])


@njit(cache=True, nogil=True, error_model="numpy")
def play(memory, world, rule, log_policy, linear, spread, draws, returns):  # type: ignore[no-untyped-def]
    """Run episodes, one for each row of draws (n, 1 + 3 H) of uniform numbers; note the returns.

    Every episode follows the estimate of the ones before it, is recorded, and changes it.
    """
    horizon = memory.weights.shape[0]
    actions = world.features.shape[1]
    q, policy = np.empty(actions), np.empty(actions)
    for episode in range(len(draws)):
        s = _draw(world.initial, draws[episode, 0])
        total = 0.0
        for h in range(horizon):
            if len(log_policy) > 0:
                for a in range(actions):
                    policy[a] = np.exp(log_policy[h, s, a])
            else:
                optimistic(memory, world, rule, linear, spread, h, s, q)
                best(rule, h, s, q, policy)
            a = _pick(policy, draws[episode, 1 + 3 * h])
            following = step(world, h, s, a, draws[episode, 2 + 3 * h], draws[episode, 3 + 3 * h])
            record(memory, world.features, h, s, a, world.rewards[h, s, a], following)
            total += world.rewards[h, s, a]
            s = following
        returns[episode] = total
        estimate(memory, world, rule, log_policy, linear, spread)


@njit(cache=True, nogil=True, error_model="numpy")
def step(world, h, s, a, first, second):  # type: ignore[no-untyped-def]
    """Return the next state of a pair for two uniform numbers."""
    row = s * world.features.shape[1] + a
    if world.mixed:
        row = _pick(world.features[s, a], first)
    return _draw(world.measures[h, row], second)


@njit(cache=True, nogil=True, error_model="numpy")
def follow(world, policy, draws, states, actions):  # type: ignore[no-untyped-def]
    """Write episodes of a fixed policy (H, S, A): states (n, H + 1), actions (n, H)."""
    for episode in range(len(draws)):
        s = _draw(world.initial, draws[episode, 0])
        for h in range(len(policy)):
            a = _pick(policy[h, s], draws[episode, 1 + 3 * h])
            states[episode, h], actions[episode, h] = s, a
            s = step(world, h, s, a, draws[episode, 2 + 3 * h], draws[episode, 3 + 3 * h])
        states[episode, len(policy)] = s


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(cumulative, u):  # type: ignore[no-untyped-def]
    """Return the state that u in [0, 1) falls on."""
    return np.searchsorted(cumulative, u * cumulative[-1], side="right")


@njit(cache=True, nogil=True, error_model="numpy")
def _pick(probabilities, u):  # type: ignore[no-untyped-def]
    """Return the entry that u in [0, 1) falls on; the last possible one if rounding leaves none."""
    total, last = 0.0, 0
    for i in range(len(probabilities)):
        if probabilities[i] > 0.0:
            total += probabilities[i]
            last = i
            if u < total:
                return i
    return last
