"""Compiled loops of sampled learning on NumPy: inversion of distribution functions, sums by choice.

They do what `ResponseTables.draw` and `batch_gradients` say in arrays for JAX, a seed at a time.
Measured, a step takes two thirds of the time that it takes in arrays of NumPy.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def invert(probabilities, uniforms, cumulative, firsts, lasts):  # type: ignore[no-untyped-def]
    """Return prompts (s, N) and responses (s, N, G) that uniforms (s, N, 1 + G) draw.

    probabilities: (s, n), each prompt's entries from firsts[x] to lasts[x]; cumulative: (m,)
    of the prompts.
    """
    s, groups, width = uniforms.shape
    n, last_prompt = probabilities.shape[1], len(cumulative) - 1
    prompts = np.empty((s, groups), dtype=np.int64)
    responses = np.empty((s, groups, width - 1), dtype=np.int64)
    sums = np.empty(n)
    for i in range(s):
        total = 0.0
        for y in range(n):
            total += probabilities[i, y]
            sums[y] = total
        for j in range(groups):
            x = 0
            while x < last_prompt and uniforms[i, j, 0] >= cumulative[x]:
                x += 1
            prompts[i, j] = x
            first, last = firsts[x], lasts[x]
            least = sums[first - 1] if first > 0 else 0.0
            room = sums[last] - least
            for g in range(width - 1):
                aim = least + uniforms[i, j, 1 + g] * room
                low, high = first, last
                while low < high:
                    middle = (low + high) // 2
                    if sums[middle] <= aim:
                        low = middle + 1
                    else:
                        high = middle
                responses[i, j, g] = low
    return prompts, responses


@njit(cache=True, nogil=True, error_model="numpy")
def sum_scores(policy, responses, choices, coefficients, by_group):  # type: ignore[no-untyped-def]
    """Return the sums (lines, R * V) of coefficients (s, N, G, T or 1) times scores of choices.

    policy: (s, R, V); responses: (s, N, G); choices: (n, T) columns, R * V past the end; a line for
    each seed, or for each group.
    """
    s, groups, size = responses.shape
    rows, actions = policy.shape[1:]
    length, each = choices.shape[1], coefficients.shape[3] > 1
    ended = rows * actions
    totals = np.zeros((s * groups if by_group else s, ended))
    for i in range(s):
        for j in range(groups):
            line = i * groups + j if by_group else i
            for g in range(size):
                y = responses[i, j, g]
                for t in range(length):
                    if choices[y, t] < ended:
                        totals[line, choices[y, t]] += coefficients[i, j, g, t if each else 0]
            if by_group or j == groups - 1:
                for row in range(rows):
                    total = 0.0
                    for a in range(actions):
                        total += totals[line, row * actions + a]
                    if total != 0.0:
                        for a in range(actions):
                            totals[line, row * actions + a] -= total * policy[i, row, a]
    return totals
