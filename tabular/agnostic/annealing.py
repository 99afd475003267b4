"""Deterministic MDPs that spread a class, improved by simulated annealing of single successors.

A change of one successor moves the policies that take its pair; only they are played on. The
number of pairs at the target counts, a little also those before it, which are what can still be
parted. Source: Kirkpatrick, Gelatt and Vecchi (1983), of annealing.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from rltheory.tabular.agnostic.group_search import Plan
from rltheory.tabular.agnostic.policy_class import PolicyClass

HOT, COLD = 0.4, 0.08
"""Temperatures, in pairs at the target, of the first and of the last step."""

MOST_STEPS = 200_000
"""Of one run: what they draw is drawn before."""

EARLIER = 0.1
"""What a pair of a layer before the target counts."""


def anneal(
    policies: PolicyClass, plan: Plan, enough: int, steps: int, generator: np.random.Generator
) -> Plan:
    """Return a plan for the same layer, at least as good; stops at `enough` pairs.

    Of the runs of up to `MOST_STEPS` the first begins with the plan itself, the others with a start
    and successors that are drawn.
    """
    target, actions = len(plan.moves), policies.actions
    sizes = np.asarray(policies.layer_sizes)[: target + 1]
    table = PolicyClass(policies.table[:, : target + 1], actions, sizes).distinct().table
    goes = plan.successors(target, policies.states, actions)
    runs = -(-steps // MOST_STEPS)
    start = plan.start
    for _ in range(runs):
        if plan.pairs >= enough or target == 0:
            break
        draws = generator.random((steps // runs, 4))
        pairs, best = _anneal(table, sizes, start, goes, plan.pairs, enough, draws)
        if pairs > plan.pairs:
            plan = _plan(table, start, best, int(pairs))
        start = int(generator.integers(sizes[0]))
        goes = generator.integers(sizes[1:, None, None], size=goes.shape)
    return plan


def _plan(table: NDArray[np.int8], start: int, goes: NDArray[np.int64], pairs: int) -> Plan:
    """Successors of the pairs that policies reach."""
    here, rows, moves = np.full(len(table), start), np.arange(len(table)), []
    for h, successors in enumerate(goes):
        taken = table[rows, h, here].astype(np.int64)
        reached = set(zip(here.tolist(), taken.tolist(), strict=True))
        moves.append({pair: int(successors[pair]) for pair in sorted(reached)})
        here = successors[here, taken]
    return Plan(start, moves, pairs)


@njit(cache=True)
def _anneal(table, sizes, start, goes, lower, enough, draws):  # type: ignore[no-untyped-def]
    """The most pairs met, with the successors that had them; `lower` and any if no more were."""
    count, layers, states = table.shape
    actions, target = goes.shape[2], layers - 1
    goes, best, kept = goes.copy(), lower, goes.copy()
    where = np.zeros((layers, count), dtype=np.int64)
    users = np.zeros((layers, states, actions), dtype=np.int64)
    pairs = np.zeros(layers, dtype=np.int64)
    for p in range(count):
        x = start
        for h in range(layers):
            where[h, p] = x
            a = table[p, h, x]
            pairs[h] += users[h, x, a] == 0
            users[h, x, a] += 1
            if h < target:
                x = goes[h, x, a]
    movers, ends = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    before = np.zeros((layers, count), dtype=np.int64)
    for step in range(len(draws)):
        h = int(draws[step, 0] * target)
        # One of the pairs that some policy takes.
        left = int(draws[step, 1] * pairs[h])
        x, a = 0, 0
        for pair in range(sizes[h] * actions):
            x, a = pair // actions, pair % actions
            left -= users[h, x, a] > 0
            if left < 0:
                break
        place = int(draws[step, 2] * sizes[h + 1])
        if place == goes[h, x, a]:
            continue
        gain, many = 0.0, 0
        for p in range(count):
            if where[h, p] == x and table[p, h, x] == a:
                movers[many] = p
                many += 1
        for i in range(many):
            p, y = movers[i], place
            ends[i] = layers
            for g in range(h + 1, layers):
                old = where[g, p]
                if old == y:
                    ends[i] = g
                    break
                before[g, i] = old
                weight = 1.0 if g == target else EARLIER
                b = table[p, g, old]
                users[g, old, b] -= 1
                if not users[g, old, b]:
                    gain -= weight
                    pairs[g] -= 1
                b = table[p, g, y]
                if not users[g, y, b]:
                    gain += weight
                    pairs[g] += 1
                users[g, y, b] += 1
                where[g, p] = y
                if g < target:
                    y = goes[g, y, b]
        heat = HOT * (COLD / HOT) ** (step / len(draws))
        if gain >= 0 or draws[step, 3] < np.exp(gain / heat):
            goes[h, x, a] = place
            if pairs[target] > best:
                best = pairs[target]
                kept[:] = goes
                if best >= enough:
                    break
            continue
        for i in range(many):
            p = movers[i]
            for g in range(h + 1, ends[i]):
                new, old = where[g, p], before[g, i]
                b = table[p, g, new]
                users[g, new, b] -= 1
                pairs[g] -= users[g, new, b] == 0
                b = table[p, g, old]
                pairs[g] += users[g, old, b] == 0
                users[g, old, b] += 1
                where[g, p] = old
    return best, kept
