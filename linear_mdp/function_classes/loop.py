"""The compiled loop of algorithms on finite classes: critic, actor, an episode, its regret.

A critic is one function of each layer. What is written about it: when it is renewed, whether it is
optimistic or fitted, whether targets are the maximum or the mean of the policy played.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from rltheory.linear_mdp.function_classes.confidence import column, losses, worth
from rltheory.linear_mdp.simulation import draw, pick


class Rule(NamedTuple):
    """An algorithm as compiled code reads it.

    on_policy: targets are means of the policy; optimistic: the critic is the member of the
    confidence set with the largest value at the start, else fitted layer by layer; always: renewed
    before every episode, else when its excess loss passes `threshold` (H,); greedy: the critic's
    greedy policy is played, else exponential weights with `step`; reset: to uniform when the
    critic is renewed. radii (H,): of the confidence set.
    """

    on_policy: Any
    optimistic: Any
    always: Any
    greedy: Any
    reset: Any
    step: Any
    radii: Any
    threshold: Any


class Model(NamedTuple):
    """An MDP: kernels (H, S, A, S) and their cumulative sums, rewards, initial, its sums, value."""

    transitions: Any
    cumulative: Any
    rewards: Any
    initial: Any
    starts: Any
    optimum: Any


class Trace(NamedTuple):
    """What is written of each episode: its suboptimality and whether the critic was renewed.

    kept: whether the member `truth` was in the confidence set before the episode.
    """

    lost: Any
    renewed: Any
    kept: Any


@njit(cache=True, nogil=True, error_model="numpy")
def run(model, layers, rule, truth, visits, paid, logits, draws, trace):  # type: ignore[no-untyped-def]
    """Play one episode for each row of uniform numbers (T, 1 + 2 H)."""
    horizon, states, actions = model.rewards.shape
    critic = np.zeros(horizon + 1, dtype=np.int64)
    policy = np.empty((horizon, states, actions))
    scratch = np.empty(layers.functions.shape[1])
    none = np.empty((0, states, actions))
    for t in range(len(draws)):
        soften(logits, policy)
        target = policy if rule.on_policy else none
        trace.kept[t] = within(layers, rule.radii, truth, visits, paid, target, scratch)
        fresh = t == 0 or rule.always
        if not fresh:
            fresh = fires(layers, rule.threshold, critic, visits, paid, target, scratch)
        trace.renewed[t] = fresh
        if fresh:
            if rule.optimistic:
                optimistic(model, layers, rule, visits, paid, target, critic)
            else:
                fitted(layers, visits, paid, target, critic, scratch)
            if rule.reset:
                logits[:] = 0.0
                policy[:] = 1.0 / actions
        if rule.greedy:
            for h in range(horizon):
                for s in range(states):
                    policy[h, s] = 0.0
                    policy[h, s, layers.functions[h, critic[h], s].argmax()] = 1.0
        trace.lost[t] = model.optimum - value_of(model, policy)
        s = draw(model.starts, draws[t, 0])
        for h in range(horizon):
            a = pick(policy[h, s], draws[t, 1 + 2 * h])
            after = draw(model.cumulative[h, s, a], draws[t, 2 + 2 * h])
            visits[h, s, a, after] += 1.0
            paid[h, s, a] += model.rewards[h, s, a]
            s = after
        if not rule.greedy:
            for h in range(horizon):
                logits[h] += rule.step * layers.functions[h, critic[h]]


@njit(cache=True, nogil=True, error_model="numpy")
def soften(logits, policy):  # type: ignore[no-untyped-def]
    """Write the exponential weights of logits (H, S, A)."""
    for h in range(logits.shape[0]):
        for s in range(logits.shape[1]):
            row = np.exp(logits[h, s] - logits[h, s].max())
            policy[h, s] = row / row.sum()


@njit(cache=True, nogil=True, error_model="numpy")
def within(layers, radii, member, visits, paid, policy, scratch):  # type: ignore[no-untyped-def]
    """Whether a member is in the confidence set."""
    for h in range(len(radii)):
        out = scratch[: layers.sizes[h]]
        column(layers, visits, paid, policy, h, layers.index[member, h + 1], out)
        if out[layers.index[member, h]] - out.min() > radii[h]:
            return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def fires(layers, threshold, critic, visits, paid, policy, scratch):  # type: ignore[no-untyped-def]
    """Whether the excess loss of a critic passes the threshold at some step."""
    for h in range(len(threshold)):
        out = scratch[: layers.sizes[h]]
        column(layers, visits, paid, policy, h, critic[h + 1], out)
        if out[critic[h]] - out.min() > threshold[h]:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def optimistic(model, layers, rule, visits, paid, policy, critic):  # type: ignore[no-untyped-def]
    """Write the member of the set with the largest value at the start; the first of equal ones.

    If the set is empty, as it may be where the class is not complete, the member that is nearest to
    being inside: that whose largest ratio of excess loss to radius is least.
    """
    members, horizon = len(layers.index), len(visits)
    ratio = np.zeros(members)
    for h in range(horizon):
        table = losses(layers, visits, paid, policy, h)
        for after in range(layers.sizes[h + 1]):
            table[:, after] -= table[:, after].min()
        for k in range(members):
            excess = table[layers.index[k, h], layers.index[k, h + 1]]
            if excess > rule.radii[h]:
                # A radius of 0 excludes by any excess.
                outside = excess / rule.radii[h] if rule.radii[h] > 0.0 else np.inf
                ratio[k] = max(ratio[k], outside)
    chosen, best = int(ratio.argmin()), -np.inf
    for k in range(members):
        if ratio[k] == 0.0:
            first = layers.functions[0, layers.index[k, 0]]
            value = model.initial @ worth(first, policy[0] if len(policy) else policy[:0, 0])
            if value > best:
                chosen, best = k, value
    critic[:] = layers.index[chosen]


@njit(cache=True, nogil=True, error_model="numpy")
def fitted(layers, visits, paid, policy, critic, scratch):  # type: ignore[no-untyped-def]
    """Write the functions of least loss, from the last layer to the first; the first of equals."""
    critic[len(visits)] = 0
    for k in range(len(visits)):
        h = len(visits) - 1 - k
        out = scratch[: layers.sizes[h]]
        column(layers, visits, paid, policy, h, critic[h + 1], out)
        critic[h] = out.argmin()


@njit(cache=True, nogil=True, error_model="numpy")
def value_of(model, policy):  # type: ignore[no-untyped-def]
    """Return the value of a policy (H, S, A) from the start."""
    horizon, states, actions = model.rewards.shape
    values = np.zeros(states)
    for k in range(horizon):
        h = horizon - 1 - k
        here = np.zeros(states)
        for s in range(states):
            for a in range(actions):
                if policy[h, s, a] > 0.0:
                    q = model.rewards[h, s, a] + model.transitions[h, s, a] @ values
                    here[s] += policy[h, s, a] * q
        values = here
    return model.initial @ values
