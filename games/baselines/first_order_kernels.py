"""Compiled first-order steps in sequence form: one closed-form prox, three methods that use it.

All are simultaneous. Strategies are kept as logarithms, so that none ever becomes zero by rounding
alone and is lost. Gradients are what sequences are paid, `rltheory.games.kernels.slot_payoffs`.
"""

import numpy as np
from numba import njit

from rltheory.games.kernels import reaches, slot_payoffs


@njit(cache=True, nogil=True, error_model="numpy")
def prox(form, player, worth, step, pull, base, magnet, logs, strategies):  # type: ignore[no-untyped-def]
    """Write the player's plan x, as behaviour and its logarithms, that maximises
    step <worth, x> - D(x, base) - pull D(x, magnet).

    D(x, y) is the dilated divergence: the sum over sets of the reach of the set by x times the
    Kullback-Leibler divergence of the behaviours there. From the last set to the first, the
    behaviour is a softmax, and the set's optimum, in units of worth, joins the sequence above:
    `worth` is overwritten, and its empty sequence ends with the maximum / step. base, magnet, logs
    (slots,): logarithms; logs may be base.
    """
    begin, end = form.infoset_start[player], form.infoset_start[player + 1]
    scale = 1.0 / (1.0 + pull)
    for back in range(1, end - begin + 1):
        i = end - back
        first, last = form.first[i], form.first[i + 1]
        top = -np.inf
        for j in range(first, last):
            logs[j] = (base[j] + pull * magnet[j] + step * worth[j]) * scale
            top = max(top, logs[j])
        total = 0.0
        for j in range(first, last):
            strategies[j] = np.exp(logs[j] - top)
            total += strategies[j]
        shift = top + np.log(total)
        for j in range(first, last):
            logs[j] -= shift
            strategies[j] /= total
        worth[form.parent[i]] += shift * (1.0 + pull) / step


@njit(cache=True, nogil=True, error_model="numpy")
def _gradients(form, strategies, reach, worth):  # type: ignore[no-untyped-def]
    """Write what every player's sequences are paid under a profile, and the profile's reaches."""
    players = len(form.slot_start) - 1
    for p in range(players):
        reach[form.first[-1] + p] = 1.0
        reaches(form, p, strategies, reach)
    for p in range(players):
        slot_payoffs(form, p, reach, worth)


@njit(cache=True, nogil=True, error_model="numpy")
def _add(total, weight, reach):  # type: ignore[no-untyped-def]
    for j in range(len(total)):
        total[j] += weight * reach[j]


@njit(cache=True, nogil=True, error_model="numpy")
def mirror_prox_steps(form, steps, weights, logs, total, last, reach, worth, inner):  # type: ignore[no-untyped-def]
    """Extragradient: from the point `logs` by its gradient to `last`, by whose gradient it moves.

    steps, weights (iterations,): of each step, and of its inner point in the average plan `total`.
    logs, total, last, inner (slots,); reach, worth (slots + players,).
    """
    players = len(form.slot_start) - 1
    for t in range(len(steps)):
        for j in range(len(logs)):
            last[j] = np.exp(logs[j])
        _gradients(form, last, reach, worth)
        for p in range(players):
            prox(form, p, worth, steps[t], 0.0, logs, logs, inner, last)
        _gradients(form, last, reach, worth)
        _add(total, weights[t], reach)
        for p in range(players):
            prox(form, p, worth, steps[t], 0.0, logs, logs, logs, inner)


@njit(cache=True, nogil=True, error_model="numpy")
def optimistic_steps(form, steps, weights, logs, total, last, reach, worth, inner, ahead):  # type: ignore[no-untyped-def]
    """Play `last`, move `logs` by its gradient, and play next what that gradient leads on to.

    Arrays as in `mirror_prox_steps`; ahead (slots + players,).
    """
    players = len(form.slot_start) - 1
    for t in range(len(steps)):
        _gradients(form, last, reach, worth)
        _add(total, weights[t], reach)
        for j in range(len(worth)):
            ahead[j] = worth[j]
        for p in range(players):
            prox(form, p, worth, steps[t], 0.0, logs, logs, logs, last)
            prox(form, p, ahead, steps[t], 0.0, logs, logs, inner, last)


@njit(cache=True, nogil=True, error_model="numpy")
def magnetic_steps(  # type: ignore[no-untyped-def]
    form, steps, weights, logs, total, last, reach, worth, temperatures, magnet, begin, refresh
):
    """Mirror descent on the payoffs minus temperature times the divergence from the magnet.

    Arrays as in `mirror_prox_steps`; temperatures (iterations,), magnet (slots,) logarithms, which
    after every `refresh` steps, counted from `begin`, moves to where the play is; 0: never.
    """
    players = len(form.slot_start) - 1
    for t in range(len(steps)):
        _gradients(form, last, reach, worth)
        _add(total, weights[t], reach)
        for p in range(players):
            pull = steps[t] * temperatures[t]
            prox(form, p, worth, steps[t], pull, logs, magnet, logs, last)
        if refresh > 0 and (begin + t + 1) % refresh == 0:
            for j in range(len(logs)):
                magnet[j] = logs[j]


@njit(cache=True, nogil=True, error_model="numpy")
def quantal_responses(form, temperature, magnet, strategies, reach, worth, logs, response):  # type: ignore[no-untyped-def]
    """Write each player's best response to a profile in the regularised game."""
    players = len(form.slot_start) - 1
    _gradients(form, strategies, reach, worth)
    for p in range(players):
        prox(form, p, worth, 1.0 / temperature, 0.0, magnet, magnet, logs, response)
