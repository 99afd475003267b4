"""Compiled Bellman sweeps over flat arrays, one pair of kernels for dense and CSR transitions.

A sweep returns max_a r(s, a) + g * p(s, a) . v for a block of states. Inner products add up chunks
of fixed length: as fast as the memory, and with a chain of roundings, bounded by
`analysis.bounds.rounding_error`, much shorter than the row. Blocks of states go to threads; every
state's arithmetic is the same whatever the split, hence so are the bits.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numba import njit

from rltheory.analysis.arrays import FloatArray, IntArray

# Below this many multiplications a sweep is shorter than handing it to threads.
_THREADED_WORK = 200_000
# Long enough to vectorise, short enough that S // _CHUNK + _CHUNK roundings stay few.
_CHUNK = 128


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz"})
def _chunk_dot(p, v):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(len(v)):
        total += p[i] * v[i]
    return total


@njit(cache=True, nogil=True)
def dot(p, v):  # type: ignore[no-untyped-def]
    """Return p . v: chunks in strict order, inside a chunk the order that vectorises best."""
    total = 0.0
    for i in range(0, len(v), _CHUNK):
        total += _chunk_dot(p[i : i + _CHUNK], v[i : i + _CHUNK])
    return total


@njit(cache=True, nogil=True)
def _dense_q(rows, rewards, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(start, stop):
        for a in range(actions):
            out[s, a] = rewards[s, a] + discount * dot(rows[s * actions + a], values)


@njit(cache=True, nogil=True)
def _dense_max(rows, rewards, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(start, stop):
        best = -np.inf
        for a in range(actions):
            q = rewards[s, a] + discount * dot(rows[s * actions + a], values)
            if q > best:
                best = q
        out[s] = best


@njit(cache=True, nogil=True, inline="always")
def _csr_dot(data, indices, begin, end, v):  # type: ignore[no-untyped-def]
    total = 0.0
    for k in range(begin, end):
        total += data[k] * v[indices[k]]
    return total


@njit(cache=True, nogil=True)
def _csr_q(data, indices, indptr, rewards, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(start, stop):
        for a in range(actions):
            i = s * actions + a
            expected = _csr_dot(data, indices, indptr[i], indptr[i + 1], values)
            out[s, a] = rewards[s, a] + discount * expected


@njit(cache=True, nogil=True)
def _csr_max(data, indices, indptr, rewards, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(start, stop):
        best = -np.inf
        for a in range(actions):
            i = s * actions + a
            expected = _csr_dot(data, indices, indptr[i], indptr[i + 1], values)
            q = rewards[s, a] + discount * expected
            if q > best:
                best = q
        out[s] = best


@njit(cache=True, nogil=True)
def _dense_greedy(rows, rewards, discount, values, q, out, chosen, start, stop):  # type: ignore[no-untyped-def]
    for s in range(start, stop):
        best = -np.inf
        for a in range(rewards.shape[1]):
            i = s * rewards.shape[1] + a
            q[s, a] = rewards[s, a] + discount * dot(rows[i], values)
            if q[s, a] > best:
                best = q[s, a]
                chosen[s] = a
        out[s] = best


@njit(cache=True, nogil=True)
def _csr_greedy(data, indices, indptr, rewards, discount, values, q, out, chosen, start, stop):  # type: ignore[no-untyped-def]
    for s in range(start, stop):
        best = -np.inf
        for a in range(rewards.shape[1]):
            i = s * rewards.shape[1] + a
            expected = _csr_dot(data, indices, indptr[i], indptr[i + 1], values)
            q[s, a] = rewards[s, a] + discount * expected
            if q[s, a] > best:
                best = q[s, a]
                chosen[s] = a
        out[s] = best


@njit(cache=True, nogil=True)
def _dense_policy(rows, rewards, actions, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    for s in range(start, stop):
        a = actions[s]
        out[s] = rewards[s, a] + discount * dot(rows[s * rewards.shape[1] + a], values)


@njit(cache=True, nogil=True)
def _csr_policy(data, indices, indptr, rewards, actions, discount, values, out, start, stop):  # type: ignore[no-untyped-def]
    for s in range(start, stop):
        i = s * rewards.shape[1] + actions[s]
        expected = _csr_dot(data, indices, indptr[i], indptr[i + 1], values)
        out[s] = rewards[s, actions[s]] + discount * expected


@njit(cache=True, nogil=True)
def _dense_gauss_seidel(rows, rewards, discount, values):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(rewards.shape[0]):
        best = -np.inf
        for a in range(actions):
            q = rewards[s, a] + discount * dot(rows[s * actions + a], values)
            if q > best:
                best = q
        values[s] = best


@njit(cache=True, nogil=True)
def _csr_gauss_seidel(data, indices, indptr, rewards, discount, values):  # type: ignore[no-untyped-def]
    actions = rewards.shape[1]
    for s in range(rewards.shape[0]):
        best = -np.inf
        for a in range(actions):
            i = s * actions + a
            expected = _csr_dot(data, indices, indptr[i], indptr[i + 1], values)
            q = rewards[s, a] + discount * expected
            if q > best:
                best = q
        values[s] = best


def csr_parts(rows: Any) -> tuple[Any, Any, Any]:
    """Return data, indices and indptr, the last two unsigned: no check for negative indices."""
    unsigned = np.dtype(f"u{rows.indices.dtype.itemsize}")
    return rows.data, rows.indices.view(unsigned), rows.indptr.view(unsigned)


def rounding_depth(rows: Any) -> int:
    """Return the longest chain of roundings in r + g * (p . v), for any row of `rows`."""
    if isinstance(rows, np.ndarray):
        # Products and sums of one chunk in any order, the chunks' sum, and r + g * (...).
        return int(min(rows.shape[1], _CHUNK) + rows.shape[1] // _CHUNK + 4)
    return int(np.diff(rows.indptr).max(initial=0) + 4)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1)


def in_blocks(kernel: Callable[[int, int], Any], count: int, work: int) -> None:
    """Run kernel(start, stop) over [0, count), in threads where `work` products repay them."""
    # A few blocks per thread even out rows of unequal cost.
    threads = os.cpu_count() or 1
    if work < _THREADED_WORK or threads == 1:
        kernel(0, count)
        return
    edges = np.linspace(0, count, 4 * threads + 1).astype(np.int64)
    jobs = [_pool().submit(kernel, int(a), int(b)) for a, b in pairwise(edges) if a < b]
    for job in jobs:
        job.result()


def action_values(
    rows: Any,
    rewards: FloatArray,
    discount: float,
    values: FloatArray,
    out: FloatArray | None = None,
) -> FloatArray:
    """Return r + g * P v, shape (S, A); rows (S * A, S) dense or CSR."""
    result = np.empty_like(rewards) if out is None else out
    _sweep(_dense_q, _csr_q, rows, rewards, discount, values, result)
    return result


def bellman(
    rows: Any,
    rewards: FloatArray,
    discount: float,
    values: FloatArray,
    out: FloatArray | None = None,
) -> FloatArray:
    """Return max over actions of r + g * P v, shape (S,); rows (S * A, S) dense or CSR."""
    result = np.empty(len(rewards)) if out is None else out
    if values.any():
        _sweep(_dense_max, _csr_max, rows, rewards, discount, values, result)
    else:
        # Solvers start from zero, where there is nothing to read the kernel for.
        rewards.max(axis=1, out=result)
    return result


Greedy = tuple[FloatArray, FloatArray, IntArray]
"""Action values (S, A), their maxima (S,) and the first maximiser of each state (S,)."""


def greedy_sweep(
    rows: Any,
    rewards: FloatArray,
    discount: float,
    values: FloatArray,
    out: Greedy | None = None,
) -> Greedy:
    """Return r + g * P v with its maxima and maximisers, written into `out` where given."""
    states = len(rewards)
    q, best, chosen = result = out or (
        np.empty_like(rewards), np.empty(states), np.empty(states, dtype=np.int64)
    )  # fmt: skip
    if values.any():
        _sweep(_dense_greedy, _csr_greedy, rows, rewards, discount, values, q, best, chosen)
    else:
        q[...] = rewards
        rewards.argmax(axis=1, out=chosen)
        rewards.max(axis=1, out=best)
    return result


def policy_bellman(
    rows: Any,
    rewards: FloatArray,
    actions: IntArray,
    discount: float,
    values: FloatArray,
    out: FloatArray,
) -> FloatArray:
    """Write r + g * P v along a deterministic policy, actions (S,), into `out` (S,)."""
    if isinstance(rows, np.ndarray):
        kernel = partial(_dense_policy, rows, rewards, actions, discount, values, out)
    else:
        kernel = partial(_csr_policy, *csr_parts(rows), rewards, actions, discount, values, out)
    in_blocks(kernel, len(rewards), _work(rows) // rewards.shape[1])
    return out


def gauss_seidel(rows: Any, rewards: FloatArray, discount: float, values: FloatArray) -> None:
    """Sweep the states in order, in place, each using the values already updated."""
    if isinstance(rows, np.ndarray):
        _dense_gauss_seidel(rows, rewards, discount, values)
    else:
        _csr_gauss_seidel(*csr_parts(rows), rewards, discount, values)


def _sweep(dense: Any, csr: Any, rows: Any, *arguments: Any) -> None:
    if isinstance(rows, np.ndarray):
        kernel = partial(dense, rows, *arguments)
    else:
        kernel = partial(csr, *csr_parts(rows), *arguments)
    in_blocks(kernel, len(arguments[0]), _work(rows))


def _work(rows: Any) -> int:
    return int(rows.size if isinstance(rows, np.ndarray) else rows.nnz)
