"""Worst cases of an estimated factor: the dual of each uncertainty set, maximised exactly.

A factor is known through weights g on the next states seen, E[f] ~ sum_s g_s f(v_s); as ridge
regression has them they may be negative and need not sum to one: what they lack counts as 0. The
dual is then not concave, and its maximum is sought on every piece. With z(alpha) = sum g min(v,
alpha) and z2 the same of the squares, both polynomials between two values, that is

- total variation: z(alpha) - rho (alpha - floor), largest at a value (Liu and Xu, 2024);
- total variation, penalised: z(floor + lambda), nothing to seek (Tang et al., 2024);
- chi-square: z - sqrt(rho (z2 - z^2)), at a value, where a quadratic equation says, or where an
  estimate of the variance changes sign;
- chi-square, penalised: z - (z2 - z^2) / (4 lambda), likewise;
- Kullback-Leibler, penalised: -lambda log E[exp(-v / lambda)], nothing to seek;
- Kullback-Leibler: -beta log E[exp(-v / beta)] - beta rho over one multiplier beta. Next to
  beta = 0 it asks for the probabilities of the least values alone, which no number of data makes
  positive: with weights of both signs its supremum is infinite or nearly so, however many data
  there are. The weights are made a distribution first: their sums in the order of the values, an
  estimate of a distribution function, are replaced by their running maximum, what is lacking to
  one counts as the least value. That costs no more than the largest error of those sums and
  changes no distribution; the dual of one is concave (derived here). At a radius of 0, where
  there is no adversary, the weights stay as they are.

`floor` is the least value that there is, to which total variation may move mass; `ceiling` the
largest that values can have.
"""

import numpy as np
from numba import njit

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE
from rltheory.analysis.bounds import UNIT_ROUNDOFF
from rltheory.analysis.exponential import exp_minus
from rltheory.tabular.uncertainty.exponential import tilted

(
    NOMINAL, TOTAL_VARIATION, PENALISED_TOTAL_VARIATION, KULLBACK_LEIBLER,
    PENALISED_KULLBACK_LEIBLER, CHI_SQUARE, PENALISED_CHI_SQUARE,
) = range(7)  # fmt: skip

_NEGLIGIBLE = 1e-15
"""Radii at which p . v - sqrt(2 rho Var(v)) is off by no more than a rounding of the range."""
_STEPS = 100
"""Newton steps for a multiplier, or halvings of its bracket; some six are needed."""


@njit(cache=True, nogil=True, error_model="numpy")
def solve(dual, seen, values, weights, floor, ceiling, budgets, out):  # type: ignore[no-untyped-def]
    """Write the worst expectation of each factor, (d,).

    dual: one of the codes; seen (n,): the states that have weights; values (S,); weights (S, d);
    budgets (d,): radius or penalty of each factor.
    """
    order = seen[np.argsort(values[seen])]
    if len(order) > 0:
        floor = min(floor, values[order[0]])
    if dual == NOMINAL:
        _expectations(order, values, weights, np.inf, out)
    elif dual == TOTAL_VARIATION:
        _total_variation(order, values, weights, floor, budgets, out)
    elif dual == PENALISED_TOTAL_VARIATION:
        _capped(order, values, weights, floor, budgets, out)
    elif dual == KULLBACK_LEIBLER:
        _kullback_leibler(order, values, weights, floor, budgets, out)
    elif dual == PENALISED_KULLBACK_LEIBLER:
        _entropic(order, values, weights, ceiling, budgets, out)
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
def _entropic(order, values, weights, ceiling, penalties, out):  # type: ignore[no-untyped-def]
    """The estimate of E[exp(-v / lambda)] is no smaller than exp(-ceiling / lambda)."""
    for i in range(len(out)):
        # From a factor's own least value on, so that its largest exponential is 1.
        penalty, lowest, highest, mass = penalties[i], np.inf, -np.inf, 0.0
        for s in order:
            g = weights[s, i]
            if g > 0.0 or (g < 0.0 and penalty > 0.0):
                lowest, highest = min(lowest, values[s]), values[s]
            mass += g
        out[i] = ceiling
        if penalty == 0.0:
            out[i] = min(ceiling, lowest)
            continue
        # With exponents of the order of one exp(x) - 1 is summed, which is exact for tiny ones.
        base = 1.0 if highest - lowest <= 8.0 * penalty else 0.0
        moment = 0.0
        for s in order:
            g = weights[s, i]
            if g != 0.0:
                moment += g * exp_minus((lowest - values[s]) / penalty, base)
        if base == 1.0 and abs(mass - 1.0) <= ROW_SUM_TOLERANCE:
            if moment > -mass:
                out[i] = min(ceiling, mass * (lowest - penalty * np.log1p(moment / mass)))
        elif moment + base * mass > 0.0:
            out[i] = min(ceiling, lowest - penalty * np.log(moment + base * mass))


@njit(cache=True, nogil=True, error_model="numpy")
def _kullback_leibler(order, values, weights, floor, radii, out):  # type: ignore[no-untyped-def]
    masses, gaps = np.empty(len(order)), np.empty(len(order))
    for i in range(len(out)):
        if len(order) == 0:
            out[i] = floor
        elif radii[i] == 0.0:
            out[i] = 0.0
            for s in order:
                out[i] += weights[s, i] * values[s]
        else:
            n, lowest, total = _distribution(order, values, weights[:, i], masses, gaps)
            out[i] = total * (lowest + _tilted(masses[:n], gaps[:n], radii[i]))


@njit(cache=True, nogil=True, error_model="numpy")
def _distribution(order, values, weights, masses, gaps):  # type: ignore[no-untyped-def]
    """Write the distribution that the weights are made, and its values less the least.

    Return how many entries it has, the least value and the mass, 1 up to rounding, that it stands
    for. Weights of a distribution go through as they are, however small.
    """
    total = 0.0
    for s in order:
        total += weights[s]
    lacking = 1.0 - total
    if abs(lacking) <= ROW_SUM_TOLERANCE:
        lacking = 0.0
    mass = total + lacking
    # How far the sum is below its running maximum: new weight pays that first. What is lacking to
    # one counts as the least value, what is too much is taken off there.
    debt = -lacking
    size = 0.0
    for s in order:
        size += abs(weights[s])
    n, lowest, used, weight = 0, 0.0, 0.0, 0.0
    for k in range(len(order)):
        v = values[order[k]]
        weight += weights[order[k]]
        if k + 1 < len(order) and values[order[k + 1]] == v:
            continue
        gain = weight - debt
        # A debt that is just paid leaves dust, which is no mass: the worst case would feel it.
        if debt > 0.0 and gain <= 2 * len(order) * UNIT_ROUNDOFF * size:
            gain = min(gain, 0.0)
        debt, weight = (-gain if gain < 0.0 else 0.0), 0.0
        gain = min(gain, mass - used)
        if gain > 0.0:
            lowest = v if n == 0 else lowest
            masses[n], gaps[n] = gain / mass, v - lowest
            used += gain
            n += 1
    return n, lowest, mass


@njit(cache=True, nogil=True, error_model="numpy")
def _tilted(masses, gaps, radius):  # type: ignore[no-untyped-def]
    """Return the worst expectation of the gaps, the first of which is 0, over a KL ball.

    The largest of -(log E[exp(-rate gap)] + radius) / rate, at the rate whose tilt has divergence
    `radius`: found by Newton on the root of the divergence, which is almost linear in the rate, in
    a bracket. Every rate gives a lower bound, off by the square of what the rate is off.
    """
    least = mean = square = 0.0
    for k in range(len(masses)):
        least += masses[k] if gaps[k] == 0.0 else 0.0
        mean += masses[k] * gaps[k]
    for k in range(len(masses)):
        square += masses[k] * (gaps[k] - mean) ** 2
    if square == 0.0 or radius >= -np.log(least):
        return 0.0
    if radius < _NEGLIGIBLE:
        return max(mean - np.sqrt(2.0 * radius * square), 0.0)
    rate = np.sqrt(2.0 * radius / square)
    below, above, best = 0.0, np.inf, 0.0
    for _ in range(_STEPS):
        # exp(x) - 1 is summed as long as exponents are moderate, which is exact for tiny rates.
        base = 1.0 if rate * mean <= 8.0 else 0.0
        zeroth, first, second = tilted(masses, gaps, 0.0, rate, base)
        log_mass = np.log1p(zeroth) if base == 1.0 else np.log(zeroth)
        total = base + zeroth
        tilt = first / total
        variance = second / total - tilt * tilt
        divergence = tilt - log_mass
        best = max(best, -(log_mass + radius) / rate)
        if divergence > radius:
            above = rate
        else:
            below = rate
        following = np.inf
        if variance > 0.0:
            root = np.sqrt(max(divergence, 0.0))
            following = rate + 2.0 * rate * root * (np.sqrt(radius) - root) / variance
        if abs(following - rate) <= 1e-9 * rate:
            break
        if not below < following < above:
            following = 4.0 * below if above == np.inf else 0.5 * (below + above)
        if not below < following < above:
            break
        rate = following
    return best


@njit(cache=True, nogil=True, error_model="numpy")
def _chi_square(order, values, weights, floor, budgets, penalised, out):  # type: ignore[no-untyped-def]
    """Upwards over the values, all that lies below alpha being told relative to alpha.

    With m = sum g, s1 = sum g (v - alpha), s2 = sum g (v - alpha)^2 over what is below, w the sum
    of g g' (v - v')^2 over pairs of it, and t the weight from alpha on: z = (m + t) alpha + s1
    and, as weights sum to one, z2 - z^2 = w + t s2. In a distribution nothing of this cancels.
    """
    n = len(order)
    above = np.zeros(n + 1)
    for i in range(len(out)):
        signed = False
        for k in range(n - 1, -1, -1):
            g = weights[order[k], i]
            signed = signed or g < 0.0
            above[k] = above[k + 1] + g
        # What is lacking to one is an entry of value 0.
        m = 1.0 - above[0]
        if abs(m) <= ROW_SUM_TOLERANCE:
            m = 0.0
        signed = signed or m < 0.0
        alpha, mass = floor, above[0] + m
        s1, s2, w = -alpha * m, alpha * alpha * m, 0.0
        budget = budgets[i]
        best = mass * alpha + s1 - _charge(above[0] * s2, budget, penalised)
        for k in range(n):
            v, g, t = values[order[k]], weights[order[k], i], above[k]
            if g == 0.0:
                continue
            gap = v - alpha
            x = _flat(m, s1, s2, w, t, mass, budget, penalised)
            if 0.0 < x < gap:
                variance = w + t * (s2 - 2.0 * x * s1 + m * x * x)
                value = mass * alpha + s1 + t * x - _charge(variance, budget, penalised)
                best = value if value > best else best
            if signed:
                for x in _roots(t * m, -2.0 * t * s1, w + t * s2):
                    if 0.0 < x < gap:
                        value = mass * alpha + s1 + t * x
                        best = value if value > best else best
            s2 += gap * (gap * m - 2.0 * s1)
            s1 -= gap * m
            alpha = v
            value = mass * alpha + s1 - _charge(w + t * s2, budget, penalised)
            best = value if value > best else best
            w += g * s2
            m += g
        out[i] = best


@njit(cache=True, nogil=True, error_model="numpy")
def _charge(variance, budget, penalised):  # type: ignore[no-untyped-def]
    """What a variance takes off the dual; negative estimates of it count as none."""
    if variance <= 0.0:
        return 0.0
    # With nothing to pay the adversary goes all the way, unless there is no way to go.
    return variance / (4.0 * budget) if penalised else np.sqrt(budget * variance)


@njit(cache=True, nogil=True, error_model="numpy")
def _flat(m, s1, s2, w, t, mass, budget, penalised):  # type: ignore[no-untyped-def]
    """Return how far above alpha the dual's derivative vanishes, NaN if nowhere.

    There y = m x - s1 is 2 lambda, or positive with variance = rho y^2; and w = m s2 - s1^2.
    """
    if penalised:
        return (2.0 * budget + s1) / m
    y = np.sqrt(w * mass / (budget * m - t))
    if abs(m) > 1e-8:
        return (y + s1) / m
    # The same without a division by next to nothing; either is off by 1e-8 at most, whose square
    # is what the value is off.
    return (budget * y * y - w - t * s2) / (t * (y - s1))


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
