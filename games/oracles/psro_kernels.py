"""Compiled passes of PSRO over realisation plans: mixtures, payoffs of policies, best responses.

A policy of a player is the row of its own reaches over the player's slots, its realisation plan; a
mixture of policies is then the mixture of their rows (Kuhn, 1953), and what a policy earns is the
product of its row with what each slot is paid. Sums run in one order whatever the number of
policies, so that a run taken up again gives the same bits.
"""

import numpy as np
from numba import njit

from rltheory.games import kernels
from rltheory.games.oracles.shor_kernels import shor_step


@njit(cache=True, nogil=True, error_model="numpy")
def mix(form, player, plans, weights, reach):  # type: ignore[no-untyped-def]
    """Write into reach (slots + players,) a player's plans (k, own slots) mixed by weights (k,)."""
    begin = form.slot_start[player]
    mixed = reach[begin : begin + plans.shape[1]]
    for j in range(len(mixed)):
        mixed[j] = 0.0
    for k in range(len(weights)):
        weight = weights[k]
        if weight != 0.0:
            row = plans[k]
            for j in range(len(mixed)):
                mixed[j] += weight * row[j]
    reach[form.first[-1] + player] = 1.0


@njit(cache=True, nogil=True, error_model="numpy")
def earn(form, player, plans, worth, out):  # type: ignore[no-untyped-def]
    """Write into out (k,) what each of a player's plans earns when slots are paid `worth`."""
    begin = form.slot_start[player]
    size = plans.shape[1]
    mine = worth[begin : begin + size]
    empty = worth[form.first[-1] + player]
    whole = len(plans) // 4 * 4
    # Four sums at a time hide the time that one addition waits for the one before.
    for k in range(0, whole, 4):
        t0 = t1 = t2 = t3 = empty
        for j in range(size):
            x = mine[j]
            t0 += plans[k, j] * x
            t1 += plans[k + 1, j] * x
            t2 += plans[k + 2, j] * x
            t3 += plans[k + 3, j] * x
        out[k], out[k + 1], out[k + 2], out[k + 3] = t0, t1, t2, t3
    for k in range(whole, len(plans)):
        total = empty
        for j in range(size):
            total += plans[k, j] * mine[j]
        out[k] = total


@njit(cache=True, nogil=True, error_model="numpy")
def best_plan(form, player, worth, slack, first, plan):  # type: ignore[no-untyped-def]
    """Write a best response as a plan (own slots,) and return its value; `worth` is overwritten.

    Actions within `slack` of a set's best share it equally; or the first of them is played.
    """
    slots = form.first[-1]
    start = form.slot_start[player]
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    for back in range(1, end - begin + 1):
        i = end - back
        worth[form.parent[i]] += _best(form, i, worth)
    for i in range(begin, end):
        above = form.parent[i]
        reach = plan[above - start] if above < slots else 1.0
        enough = _best(form, i, worth) - slack
        ties = 0
        for j in range(form.first[i], form.first[i + 1]):
            good = worth[j] >= enough and not (first and ties > 0)
            plan[j - start] = 1.0 if good else 0.0
            if good:
                ties += 1
        for j in range(form.first[i], form.first[i + 1]):
            plan[j - start] *= reach / ties
    return worth[slots + player]


@njit(cache=True, nogil=True, error_model="numpy")
def _best(form, infoset, worth):  # type: ignore[no-untyped-def]
    best = worth[form.first[infoset]]
    for j in range(form.first[infoset] + 1, form.first[infoset + 1]):
        best = max(best, worth[j])
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def respond(form, player, reach, plans, slack, first, worth, earned, plan):  # type: ignore[no-untyped-def]
    """Return what a player gets when all play by `reach`, and the value of a best response.

    Writes the best response's plan and what the player's policies `plans` earn against the others.
    """
    kernels.slot_payoffs(form, player, reach, worth)
    begin = form.slot_start[player]
    payoff = worth[form.first[-1] + player]
    for j in range(begin, form.slot_start[player + 1]):
        payoff += reach[j] * worth[j]
    earn(form, player, plans, worth, earned)
    return payoff, best_plan(form, player, worth, slack, first, plan)


@njit(cache=True, nogil=True, error_model="numpy")
def follow(form, player, plan, profile):  # type: ignore[no-untyped-def]
    """Write the behaviour strategies of a plan: uniform at the sets that it does not reach."""
    start = form.slot_start[player]
    for i in range(form.infoset_start[player], form.infoset_start[player + 1]):
        begin, end = form.first[i], form.first[i + 1]
        total = 0.0
        for j in range(begin, end):
            total += plan[j - start]
        for j in range(begin, end):
            profile[j] = plan[j - start] / total if total > 0.0 else 1.0 / (end - begin)


@njit(cache=True, nogil=True, error_model="numpy")
def contract(plans, here, there, weights, out):  # type: ignore[no-untyped-def]
    """Add to out[there[l]] the entries plans[here[l]] of all policies, times weights[l].

    plans: (own slots + 1, k) of one player; out: (slots of another player + 1, k).
    """
    for leaf in range(len(weights)):
        weight = weights[leaf]
        row, total = plans[here[leaf]], out[there[leaf]]
        for k in range(len(row)):
            total[k] += weight * row[k]


@njit(cache=True, nogil=True, error_model="numpy")
def shor_on_plans(form, plans, copies, inner, strategies, reach, worth):  # type: ignore[no-untyped-def]
    """SHOR's inner solver without payoffs among policies: every step passes over the game's leaves.

    plans: a tuple of each player's different plans (kinds of it, own slots). copies, strategies
    and what is returned: as of `shor_kernels.shor_on_tensor`.
    """
    size = len(strategies)
    average = np.zeros(size)
    regrets = np.zeros(size)
    gains = np.zeros(size)
    values = np.empty(size)
    weights = strategies * copies
    begin = 0
    for p in range(len(plans)):
        end = begin + len(plans[p])
        mix(form, p, plans[p], weights[begin:end], reach)
        begin = end
    for _ in range(inner.iterations):
        begin = 0
        for p in range(len(plans)):
            end = begin + len(plans[p])
            u = values[begin:end]
            kernels.slot_payoffs(form, p, reach, worth)
            earn(form, p, plans[p], worth, u)
            shor_step(
                inner, u, copies[begin:end], strategies[begin:end], regrets[begin:end],
                gains[begin:end], weights[begin:end],
            )  # fmt: skip
            mix(form, p, plans[p], weights[begin:end], reach)
            begin = end
        for a in range(size):
            average[a] += strategies[a]
    return average / inner.iterations
