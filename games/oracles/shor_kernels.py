"""SHOR's inner solver, compiled: one player's step, and the loop over players on payoff tensors.

Policies may be there several times. They earn the same and so are always played alike: what stands
for several is worked out once and counted as often.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from rltheory.games.normal_form.payoff_kernels import pure_payoffs

SMALLEST_SCALE = 1e-8
"""Below this the paper's listing leaves gains as they are."""


class Inner(NamedTuple):
    """Settings of one run of the inner solver.

    sharpness: one over the temperature. normalise: whether gains are divided by the largest of
    their absolute values. from_mean: whether they are measured from the mean of the payoffs, or
    else from what the current strategy earns.
    """

    iterations: int
    blend: float
    sharpness: float
    momentum: float
    diversity: float
    normalise: bool
    from_mean: bool


@njit(cache=True, nogil=True, error_model="numpy")
def shor_on_tensor(payoffs, actions, copies, inner, strategies):  # type: ignore[no-untyped-def]
    """Play on tensors, as packed by `payoff_kernels.pack`; return the average strategies.

    copies (flat): how many policies each action stands for. strategies (flat): of one copy, at
    first as they start, in the end the last ones. The average is of one copy, too.
    """
    size = len(strategies)
    average = np.zeros(size)
    regrets = np.zeros(size)
    gains = np.zeros(size)
    values = np.empty(size)
    work = np.empty(payoffs.shape[1])
    weights = strategies * copies
    for _ in range(inner.iterations):
        begin = 0
        for p in range(len(actions)):
            end = begin + actions[p]
            u = values[begin:end]
            pure_payoffs(payoffs, actions, weights, p, work, u)
            shor_step(
                inner, u, copies[begin:end], strategies[begin:end], regrets[begin:end],
                gains[begin:end], weights[begin:end],
            )  # fmt: skip
            begin = end
        for a in range(size):
            average[a] += strategies[a]
    return average / inner.iterations


@njit(cache=True, nogil=True, error_model="numpy")
def shor_step(inner, u, copies, sigma, regrets, gains, weights):  # type: ignore[no-untyped-def]
    """Move one player's strategy sigma by the payoffs u, (actions,) like all that follow.

    Updates the regrets, keeps the gains, and writes the weights: how much all copies of an action
    are played together.
    """
    count, base, top = 0.0, 0.0, u[0]
    for a in range(len(u)):
        count += copies[a]
        base += copies[a] * (u[a] if inner.from_mean else sigma[a] * u[a])
        top = max(top, u[a])
    if inner.from_mean:
        base /= count
    largest = 0.0
    for a in range(len(u)):
        gain = u[a] - base
        moved = (
            (1.0 + inner.momentum) * gain
            - inner.momentum * gains[a]
            + inner.diversity * (1.0 - sigma[a])
        )
        gains[a] = gain
        # Kept here until the scale is known: sigma is overwritten next.
        sigma[a] = moved
        largest = max(largest, abs(moved))
    scale = largest if inner.normalise and largest > SMALLEST_SCALE else 1.0
    matched, soft = 0.0, 0.0
    for a in range(len(u)):
        regrets[a] = max(regrets[a] + sigma[a] / scale, 0.0)
        sigma[a] = np.exp(inner.sharpness * (u[a] - top))
        matched += copies[a] * regrets[a]
        soft += copies[a] * sigma[a]
    for a in range(len(u)):
        own = regrets[a] / matched if matched > 0.0 else 1.0 / count
        sigma[a] = (1.0 - inner.blend) * own + inner.blend * sigma[a] / soft
        weights[a] = copies[a] * sigma[a]
