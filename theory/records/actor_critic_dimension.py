"""Eluder dimension over points, by exhaustive search: what it bounds, and what bounds it.

A point is independent of earlier ones at scale e if some function of the class has squares that
sum to at most e^2 on them and more than e^2 at the point. Everything is exact.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Errors(NamedTuple):
    """Functions (F, Z) as Bellman errors, a scale, and a sequence of (function, point)."""

    functions: FractionArray
    scale: Fraction
    sequence: tuple[tuple[int, int], ...]


def sample_errors(tape: Tape, size: int) -> Errors:
    """Draw functions, half of the time two-valued, and a sequence; half of it repeats points."""
    count = tape.integer(1, 3)
    functions = fractions(tape.dyadic((count, size), -1.0, 1.0, bits=4))
    scale = fractions(tape.dyadic((), 0.0625, 0.5, bits=8)).item()
    if tape.integer(0, 1):
        # Of no value, or as little above the scale as it gets.
        functions = (functions > 0) * (scale + Fraction(1, 2**20))
    rounds = tape.integer(1, 8)
    pairs = tuple((tape.integer(0, count - 1), tape.integer(0, size - 1)) for _ in range(rounds))
    return Errors(functions, scale, pairs)


def dimension(functions: FractionArray, scale: Fraction) -> int:
    """Return the longest sequence of points, each independent of its predecessors at one scale.

    At `scale` or any larger one. Searched with the interval of the squared scales that still do.
    """
    squares = functions**2

    def longest(sums: FractionArray, rest: frozenset[int], low: Fraction, high: Fraction) -> int:
        best = 0
        for point in rest:
            for function, total in enumerate(sums):
                least, most = max(low, total), min(high, squares[function, point])
                if least < most:
                    left = longest(sums + squares[:, point], rest - {point}, least, most)
                    best = max(best, 1 + left)
        return best

    count, points = functions.shape
    top = Fraction(squares.max()) + 1
    start = fractions(np.zeros(count))
    return longest(start, frozenset(range(points)), scale**2, max(top, scale**2 + 1))


def _pigeonhole(errors: Errors, extra: int) -> tuple[Side, Side]:
    functions, scale, sequence = errors
    threshold, large = Fraction(0), 0
    for t, (function, point) in enumerate(sequence):
        earlier = [functions[function, z] ** 2 for _, z in sequence[:t]]
        threshold = max(threshold, sum(earlier, Fraction(0)))
        large += abs(functions[function, point]) > scale
    return large, (threshold / scale**2 + extra) * dimension(functions, scale)


def pigeonhole_sides(errors: Errors) -> tuple[Side, Side]:
    """Return how many errors are above the scale, and (b / e^2 + 1) times the dimension."""
    return _pigeonhole(errors, 1)


PIGEONHOLE = Theorem(
    id="actor-critic/eluder-pigeonhole",
    title="Errors that are small on the past exceed a scale only so many times",
    source=("Russo and Van Roy (2013); for single errors Jin, Liu and Miryoosefi (2021)"),
    statement=(
        r"\#\{t : |\delta_t(z_t)| > \epsilon\} \le \Bigl(\frac{\beta}{\epsilon^2} + 1\Bigr)\dim_E"
        r"(\epsilon),\qquad \beta = \max_t\sum_{i<t}\delta_t(z_i)^2"
    ),
    hypotheses=(
        r"$\delta_t$ any functions of a finite class, $z_t$ any points; the dimension is that of "
        "the class, by exhaustive search",
    ),
    kind="inequality",
    sample=sample_errors,
    sides=pigeonhole_sides,
    control=Control(
        name="without the one",
        explanation=r"$\beta/\epsilon^2$ times the dimension.",
        sides=lambda errors: _pigeonhole(errors, 0),
    ),
    sizes=(1, 2, 3),
    cost=2.0,
    sharpness=0.999,
    notes=(
        "A point with a large error is dependent on few disjoint parts of the past, and every "
        "part that is full makes room for one more. Attained by one point again and again, and by "
        "a class that is independent in all points."
    ),
)


def _size(errors: Errors, *, linear: bool) -> tuple[Side, Side]:
    count, points = errors.functions.shape
    found = dimension(errors.functions, errors.scale)
    return found, _rank(errors.functions) if linear else min(count, points)


def _rank(matrix: FractionArray) -> int:
    """Return the rank of a matrix of Fractions, by elimination."""
    rows, rank = [list(row) for row in matrix], 0
    for column in range(matrix.shape[1]):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column] != 0), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        for i in range(rank + 1, len(rows)):
            ratio = rows[i][column] / rows[rank][column]
            rows[i] = [x - ratio * y for x, y in zip(rows[i], rows[rank], strict=True)]
        rank += 1
    return rank


def size_sides(errors: Errors) -> tuple[Side, Side]:
    """Return the eluder dimension, and the smaller of the numbers of points and functions."""
    return _size(errors, linear=False)


def sample_scaled(tape: Tape, size: int) -> Errors:
    """Draw multiples of one function, as a class of rank one."""
    errors = sample_errors(tape, size)
    scales = fractions(np.array([2.0 ** tape.integer(-3, 3) for _ in errors.functions]))
    return errors._replace(functions=scales[:, None] * errors.functions[:1])


SIZE = Theorem(
    id="actor-critic/eluder-dimension-of-a-table",
    title="The eluder dimension is at most the number of pairs, and that of functions",
    source="Russo and Van Roy (2013) for points; for functions derived here",
    statement=r"\dim_E(F, \epsilon) \le \min(|Z|, |F|)\quad\text{for every } \epsilon > 0",
    hypotheses=(
        "any class of functions over points; for a table the points are the $SA$ pairs of a step",
    ),
    kind="inequality",
    sample=sample_errors,
    sides=size_sides,
    control=Control(
        name="rank",
        explanation="The bound is the rank of the class, here multiples of one function.",
        sample=sample_scaled,
        sides=lambda errors: _size(errors, linear=True),
    ),
    sizes=(2, 3, 4),
    cost=2.0,
    sharpness=0.999,
    notes=(
        "A point that was independent is never so again at that scale, nor is a function that "
        "showed it. The control is why the dimension of a linear class has a logarithm of the "
        "scale in it."
    ),
)


THEOREMS = (PIGEONHOLE, SIZE)
