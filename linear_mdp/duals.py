"""Worst cases of an estimated factor: the dual of each uncertainty set, maximised exactly.

A factor is known through weights g on the next states seen, E[f] ~ sum_s g_s f(v_s); as ridge
regression has them they may be negative and need not sum to one, so that the dual is not concave
and its maximum is sought on every piece. With z(alpha) = sum g min(v, alpha) and z2 the same of the
squares, both polynomials between two values, that is

- total variation: z(alpha) - rho (alpha - floor), largest at a value (Liu and Xu, 2024);
- total variation, penalised: z(floor + lambda), nothing to seek (Tang et al., 2024);
- chi-square: z - sqrt(rho (z2 - z^2)), at a value or where a quadratic equation says;
- chi-square, penalised: z - (z2 - z^2) / (4 lambda), at a value or where z = alpha - 2 lambda;
- Kullback-Leibler: -beta log E[exp(-v / beta)] - beta rho over one multiplier beta, which has no
  breakpoints: a grid over all scales, then golden sections around the best of it;
- Kullback-Leibler, penalised: -lambda log E[exp(-v / lambda)], nothing to seek.

`floor` is the least value that there is, to which total variation may move mass; `ceiling` the
largest that values can have.
"""

import numpy as np
from numba import njit

from rltheory.analysis.exponential import exp_minus

(
    NOMINAL, TOTAL_VARIATION, PENALISED_TOTAL_VARIATION, KULLBACK_LEIBLER,
    PENALISED_KULLBACK_LEIBLER, CHI_SQUARE, PENALISED_CHI_SQUARE,
) = range(7)  # fmt: skip

_GRID = 32
_SECTIONS = 48
_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0


@njit(cache=True, nogil=True, error_model="numpy")
def solve(dual, seen, values, weights, floor, ceiling, budgets, out):  # type: ignore[no-untyped-def]
    """Write the worst expectation of each factor, (d,).

    dual: one of the codes; seen (n,): the states that have weights; values (S,); weights (S, d);
    budgets (d,): radius or penalty of each factor.
    """
    order = seen[np.argsort(values[seen])]
    if dual == NOMINAL:
        _expectations(order, values, weights, np.inf, out)
    elif dual == TOTAL_VARIATION:
        _total_variation(order, values, weights, floor, budgets, out)
    elif dual == PENALISED_TOTAL_VARIATION:
        _capped(order, values, weights, floor, budgets, out)
    elif dual == KULLBACK_LEIBLER:
        _kullback_leibler(order, values, weights, floor, ceiling, budgets, out)
    elif dual == PENALISED_KULLBACK_LEIBLER:
        _entropic(order, values, weights, floor, ceiling, budgets, out)
    else:
        _chi_square(order, values, weights, floor, budgets, dual == PENALISED_CHI_SQUARE, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _expectations(order, values, weights, cap, out):  # type: ignore[no-untyped-def]
    """Sums of min(v, cap), all factors at a time."""
    for i in range(len(out)):
        out[i] = 0.0
    for s in order:
        v = values[s] if values[s] < cap else cap
        row = weights[s]
        for i in range(len(out)):
            out[i] += row[i] * v


@njit(cache=True, nogil=True, error_model="numpy")
def _capped(order, values, weights, floor, penalties, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = 0.0
    for s in order:
        v, row = values[s], weights[s]
        for i in range(len(out)):
            cap = floor + penalties[i]
            out[i] += row[i] * (v if v < cap else cap)


@njit(cache=True, nogil=True, error_model="numpy")
def _total_variation(order, values, weights, floor, radii, out):  # type: ignore[no-untyped-def]
    """From one value to the next z grows by the gap times the weight that lies above."""
    d = len(out)
    above, z = np.zeros(d), np.zeros(d)
    for s in order:
        row = weights[s]
        for i in range(d):
            above[i] += row[i]
    for i in range(d):
        z[i] = out[i] = floor * above[i]
    alpha = floor
    for s in order:
        gap, row = values[s] - alpha, weights[s]
        alpha = values[s]
        for i in range(d):
            z[i] += gap * above[i]
            above[i] -= row[i]
            candidate = z[i] - radii[i] * (alpha - floor)
            out[i] = candidate if candidate > out[i] else out[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _entropic(order, values, weights, floor, ceiling, penalties, out):  # type: ignore[no-untyped-def]
    """The estimate of E[exp(-v / lambda)] is no smaller than exp(-ceiling / lambda)."""
    for i in range(len(out)):
        penalty = penalties[i]
        if penalty == 0.0 or len(order) == 0:
            out[i] = values[order[0]] if len(order) else ceiling
            continue
        lowest = values[order[0]]
        moment = 0.0
        for s in order:
            moment += weights[s, i] * exp_minus((lowest - values[s]) / penalty, 0.0)
        out[i] = ceiling
        if moment > 0.0:
            out[i] = min(ceiling, lowest - penalty * np.log(moment))


@njit(cache=True, nogil=True, error_model="numpy")
def _kullback_leibler(order, values, weights, floor, ceiling, radii, out):  # type: ignore[no-untyped-def]
    for i in range(len(out)):
        out[i] = floor
        if len(order) == 0:
            continue
        lowest, highest = values[order[0]], values[order[-1]]
        span = highest - lowest
        if radii[i] == 0.0:
            total = 0.0
            for s in order:
                total += weights[s, i] * values[s]
            out[i] = total
            continue
        if span == 0.0:
            out[i] = lowest
            continue
        # Beyond span / radius nothing is left of the values; below a thousandth of the span next
        # to nothing moves.
        low, high = np.log(1e-3 * span), np.log(max(span / radii[i], 1e-2 * span))
        step = (high - low) / (_GRID - 1)
        best, where = -np.inf, 0
        for k in range(_GRID):
            value = _tilted(order, values, weights, i, np.exp(low + k * step), radii[i], ceiling)
            if value > best:
                best, where = value, k
        left, right = low + (where - 1) * step, low + (where + 1) * step
        a = right - _GOLDEN * (right - left)
        b = left + _GOLDEN * (right - left)
        at_a = _tilted(order, values, weights, i, np.exp(a), radii[i], ceiling)
        at_b = _tilted(order, values, weights, i, np.exp(b), radii[i], ceiling)
        for _ in range(_SECTIONS):
            if at_a > at_b:
                right, b, at_b = b, a, at_a
                a = right - _GOLDEN * (right - left)
                at_a = _tilted(order, values, weights, i, np.exp(a), radii[i], ceiling)
            else:
                left, a, at_a = a, b, at_b
                b = left + _GOLDEN * (right - left)
                at_b = _tilted(order, values, weights, i, np.exp(b), radii[i], ceiling)
        out[i] = max(floor, lowest, best, at_a, at_b)


@njit(cache=True, nogil=True, error_model="numpy")
def _tilted(order, values, weights, i, beta, radius, ceiling):  # type: ignore[no-untyped-def]
    """The dual at a multiplier; what the weights lack to one counts as the lowest value."""
    lowest = values[order[0]]
    moment = 1.0
    for s in order:
        moment += weights[s, i] * exp_minus((lowest - values[s]) / beta, 1.0)
    if moment <= 0.0:
        return ceiling
    return min(ceiling, lowest - beta * np.log(moment) - beta * radius)


@njit(cache=True, nogil=True, error_model="numpy")
def _chi_square(order, values, weights, floor, budgets, penalised, out):  # type: ignore[no-untyped-def]
    """Between two values, with T the weight above: z = A + alpha T, z2 = B + alpha^2 T."""
    for i in range(len(out)):
        total = 0.0
        for s in order:
            total += weights[s, i]
        budget, a, b, alpha = budgets[i], 0.0, 0.0, floor
        best = _spread(floor, a, b, total, budget, penalised)
        for s in order:
            v = values[s]
            for candidate in _candidates(a, b, total, budget, penalised):
                if alpha < candidate < v:
                    value = _spread(candidate, a, b, total, budget, penalised)
                    best = value if value > best else best
            value = _spread(v, a, b, total, budget, penalised)
            best = value if value > best else best
            g = weights[s, i]
            a += g * v
            b += g * v * v
            total -= g
            alpha = v
        out[i] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _spread(alpha, a, b, t, budget, penalised):  # type: ignore[no-untyped-def]
    """The dual at alpha, negative estimates of the variance counted as none."""
    z = a + alpha * t
    variance = max(b + alpha * alpha * t - z * z, 0.0)
    if penalised:
        # With nothing to pay the adversary goes all the way, unless there is no way to go.
        return z - (variance / (4.0 * budget) if variance > 0.0 else 0.0)
    return z - np.sqrt(budget * variance)


@njit(cache=True, nogil=True, error_model="numpy")
def _candidates(a, b, t, budget, penalised):  # type: ignore[no-untyped-def]
    """Where a piece can have its maximum: stationary points and zeros of the variance."""
    none = np.nan
    zeros = _roots(t - t * t, -2.0 * a * t, b - a * a)
    if penalised:
        flat = (2.0 * budget + a) / (1.0 - t) if t != 1.0 else none
        return flat, none, zeros[0], zeros[1]
    left = 1.0 - t
    flats = _roots(
        t - t * t - budget * left * left,
        -2.0 * a * t + 2.0 * budget * a * left,
        b - a * a - budget * a * a,
    )
    return flats[0], flats[1], zeros[0], zeros[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _roots(a, b, c):  # type: ignore[no-untyped-def]
    """Real roots of a x^2 + b x + c, NaN where there are none."""
    if a == 0.0:
        root = -c / b if b != 0.0 else np.nan
        return root, np.nan
    inside = b * b - 4.0 * a * c
    if inside < 0.0:
        return np.nan, np.nan
    # The root without cancellation first; the other from their product.
    q = -0.5 * (b + (np.sqrt(inside) if b >= 0.0 else -np.sqrt(inside)))
    return q / a, (c / q if q != 0.0 else np.nan)
