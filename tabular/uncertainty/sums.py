"""Sums over one row that the smooth sets share; added in any order, hence vectorised."""

from math import inf

from numba import njit

# Values that differ by less count as equal: the squares of their differences would underflow.
# What that may cost is in the sets' bounds of their errors.
FLAT = 1e-140
ANY_ORDER = {"reassoc", "contract", "nsz"}


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def mass_and_sum(p, v):  # type: ignore[no-untyped-def]
    """Return sum p and sum p v."""
    mass = total = 0.0
    for k in range(len(p)):
        mass += p[k]
        total += p[k] * v[k]
    return mass, total


@njit(cache=True, nogil=True, fastmath=ANY_ORDER)
def central_sums(p, v, centre):  # type: ignore[no-untyped-def]
    """Return sum p c and sum p c^2, c = v - centre."""
    first = second = 0.0
    for k in range(len(p)):
        c = v[k] - centre
        first += p[k] * c
        second += p[k] * c * c
    return first, second


@njit(cache=True, nogil=True)
def support(p, v, order):  # type: ignore[no-untyped-def]
    """Return the least value that a row gives mass to, that mass, and the largest such value.

    order: the entries by ascending value where rows share them, which makes this a few steps.
    """
    low, high, mass = inf, -inf, 0.0
    if len(order) > 0:
        for j in order:
            if p[j] > 0.0:
                if v[j] > low:
                    break
                low = v[j]
                mass += p[j]
        for k in range(len(order) - 1, -1, -1):
            if p[order[k]] > 0.0:
                high = v[order[k]]
                break
        return low, mass, high
    for k in range(len(p)):
        if p[k] > 0.0:
            high = max(high, v[k])
            if v[k] < low:
                low, mass = v[k], p[k]
            elif v[k] == low:
                mass += p[k]
    return low, mass, high


@njit(cache=True, nogil=True)
def all_on(p, v, low, factor, q):  # type: ignore[no-untyped-def]
    """Write q = p * factor where v <= low and 0 elsewhere; nothing into an empty q."""
    for k in range(len(q)):
        q[k] = p[k] * factor if v[k] <= low else 0.0


@njit(cache=True, nogil=True)
def nearest(v, rank, target):  # type: ignore[no-untyped-def]
    """Return the entry of v nearest to `target`; rank: the entries by ascending value."""
    n = under(v, rank, target, 0.0)
    if n == 0:
        return v[rank[0]]
    low = v[rank[n - 1]]
    if n == len(rank) or target - low <= v[rank[n]] - target:
        return low
    return v[rank[n]]


@njit(cache=True, nogil=True)
def under(v, rank, shift, threshold):  # type: ignore[no-untyped-def]
    """Return how many entries have v - shift < threshold; rank: the entries by ascending value."""
    first, last = 0, len(rank)
    while first < last:
        middle = (first + last) // 2
        if v[rank[middle]] - shift < threshold:
            first = middle + 1
        else:
            last = middle
    return first
