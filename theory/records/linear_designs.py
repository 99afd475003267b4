"""Designs of ridge regression: their inverses, their determinants, and the widths they leave.

A design is G = ridge I + sum of x x' over the features seen. Every side is a Fraction, except
where a logarithm is enclosed in balls of 128 bits.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, solve
from rltheory.theory import balls, exact
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Design(NamedTuple):
    """Features seen (n, d), a positive ridge, and a vector (d,) that the claim is about."""

    features: FractionArray
    ridge: Fraction
    vector: FractionArray


def gram(design: Design) -> FractionArray:
    """Return G = ridge I + sum of x x', (d, d)."""
    x = design.features
    return np.asarray(design.ridge * exact.identity(x.shape[1]) + x.T @ x)


def inverse(matrix: FractionArray) -> FractionArray:
    """Return the inverse of a matrix of Fractions, one column after the other."""
    return np.array([solve(matrix, column) for column in exact.identity(len(matrix))]).T


def width(design: Design) -> Fraction:
    """Return x' G^-1 x for the design's vector."""
    return Fraction(design.vector @ solve(gram(design), design.vector))


def updated(design: Design, weight: int = 1) -> tuple[FractionArray, list[Fraction]]:
    """Return G^-1 by rank-one updates from I / ridge, and the widths that the updates met.

    weight: 1, or 0 to leave the width out of the denominator.
    """
    size = design.features.shape[1]
    current, widths = exact.identity(size) / design.ridge, []
    for x in design.features:
        image = current @ x
        widths.append(Fraction(x @ image))
        current = current - np.outer(image, image) / (1 + weight * widths[-1])
    return current, widths


def determinant_ratio(widths: list[Fraction]) -> Fraction:
    """Return det G / ridge^d as the product of 1 + width over the updates."""
    product = Fraction(1)
    for square in widths:
        product *= 1 + square
    return product


def determinant(matrix: FractionArray) -> Fraction:
    """Return a determinant of Fractions by expansion along the first row."""
    if len(matrix) == 1:
        return Fraction(matrix[0, 0])
    minors = (np.delete(matrix[1:], j, axis=1) for j in range(len(matrix)))
    signed = ((-1) ** j * matrix[0, j] * determinant(minor) for j, minor in enumerate(minors))
    return sum(signed, Fraction(0))


def sample_design(tape: Tape, size: int) -> Design:
    """Draw up to 5 features in [-1, 1]^d, a ridge 2^k and a vector."""
    features = fractions(tape.dyadic((tape.integer(0, 5), size), -1.0, 1.0, bits=6))
    ridge = Fraction(2) ** tape.integer(-3, 3)
    vector = fractions(tape.dyadic(size, -1.0, 1.0, bits=6))
    return Design(features, ridge, vector)


def sample_counts(tape: Tape, size: int) -> Design:
    """Draw features on the simplex: distributions, or draws of one factor each."""
    features = fractions(tape.simplex((tape.integer(1, 6), size)))
    return Design(features, Fraction(2) ** tape.integer(-3, 3), fractions(tape.simplex(size)))


def _rank_one(design: Design, weight: int) -> tuple[Side, Side]:
    matrix = gram(design)
    current, widths = updated(design, weight)
    ratio = determinant(matrix) / design.ridge ** len(matrix)
    return exact.join(inverse(matrix), ratio), exact.join(current, determinant_ratio(widths))


def rank_one_sides(design: Design) -> tuple[Side, Side]:
    """Return (G^-1, det G / ridge^d) by elimination, and by rank-one updates."""
    return _rank_one(design, 1)


SHERMAN_MORRISON = Theorem(
    id="linear/sherman-morrison",
    title="A design's inverse and determinant by one rank-one update for each feature",
    source="Sherman and Morrison (1950); the matrix determinant lemma",
    statement=(
        r"(G + xx^\top)^{-1} = G^{-1} - \frac{G^{-1}xx^\top G^{-1}}{1 + x^\top G^{-1}x},\qquad "
        r"\frac{\det G_n}{\lambda^d} = \prod_{k=1}^n \bigl(1 + x_k^\top G_{k-1}^{-1}x_k\bigr)"
    ),
    hypotheses=(r"$G_k = \lambda I + \sum_{j \le k} x_jx_j^\top$, $\lambda > 0$",),
    kind="identity",
    sample=sample_design,
    sides=rank_one_sides,
    control=Control(
        name="no denominator",
        explanation=r"The correction is not divided by $1 + x^\top G^{-1}x$.",
        sides=lambda design: _rank_one(design, 0),
    ),
    sizes=(2, 3, 4),
)


def sample_potential(tape: Tape, size: int) -> Design:
    """Draw up to 4 features (n, d), d <= 3, and a ridge of 7 or 7 / 4; or one with a width near 1.

    No three squares of rationals sum to either: no first width is 1, where the sides would meet,
    and enclosures decide.
    """
    if tape.integer(0, 1):
        along = Fraction(2700 + tape.integer(0, 18), 1024) * exact.identity(size)[:1]
        return Design(along, Fraction(7), along[0])
    features = fractions(tape.dyadic((tape.integer(1, 4), size), -3.0, 3.0))
    return Design(features, Fraction(7, 4 ** tape.integer(0, 1)), features[0])


def moves(design: Design) -> bool:
    """Whether some feature is not zero: otherwise both sides are 0."""
    return bool(np.any(design.features != 0))


def _potential(design: Design, base: int | None) -> tuple[Side, Side]:
    _, widths = updated(design)
    spent = sum((min(Fraction(1), square) for square in widths), Fraction(0))
    growth = balls.ball(determinant_ratio(widths)).log()
    unit = balls.ball(base).log() if base else balls.ball(1)
    return spent, balls.to_bounds(growth / unit)


@precise
def potential_sides(design: Design) -> tuple[Side, Side]:
    """Return the sum of min(1, x' G^-1 x) and the growth of the log-determinant, to base 2."""
    return _potential(design, 2)


@precise
def _natural(design: Design) -> tuple[Side, Side]:
    return _potential(design, None)


ELLIPTICAL_POTENTIAL = Theorem(
    id="linear/elliptical-potential",
    title="Widths sum to at most the growth of the log-determinant, to base 2",
    source=(
        "Abbasi-Yadkori, Pal and Szepesvari (2011), Lemma 11, with the constant 2; the sharp "
        r"constant $1/\log 2$ is derived here"
    ),
    statement=(
        r"\sum_{k=1}^n \min\bigl\{1, x_k^\top G_{k-1}^{-1}x_k\bigr\} \le \frac{1}{\log 2}\,"
        r"\log\frac{\det G_n}{\det G_0} = \log_2\frac{\det G_n}{\det G_0}"
    ),
    hypotheses=(
        r"$G_k = \lambda I + \sum_{j \le k} x_jx_j^\top$, $\lambda > 0$, any $x_k$",
        "some feature is not zero",
    ),
    kind="inequality",
    sample=sample_potential,
    sides=potential_sides,
    admissible=moves,
    control=Control(
        name="the constant 1",
        explanation="The natural logarithm takes the place of that to base 2.",
        sides=_natural,
    ),
    sizes=(1, 2, 3),
    sharpness=0.998,
    notes=(
        r"$\min\{1,u\} \le \log_2(1+u)$, with equality at $u = 1$ only: the constant cannot be "
        r"less than $1/\log 2 = 1.4427$, and the usual 2 can be replaced by it wherever it is "
        r"used. With $\|x_k\|^2 \le \lambda$ all $u \le 1$ and the minimum may be dropped."
    ),
)


def _trace(design: Design, dimensions: int) -> tuple[Side, Side]:
    features, ridge, _ = design
    count, size = features.shape
    ratio = determinant(gram(design)) / ridge**size
    spread = (1 + Fraction((features**2).sum()) / (ridge * dimensions)) ** dimensions
    most = (1 + Fraction(count) / (ridge * dimensions)) ** dimensions
    return exact.join(ratio, spread), exact.join(spread, most)


def trace_sides(design: Design) -> tuple[Side, Side]:
    """Return (det G / ridge^d, the bound by the trace) and (that bound, the one by the number)."""
    return _trace(design, design.features.shape[1])


DETERMINANT_TRACE = Theorem(
    id="linear/determinant-trace",
    title="A determinant is largest where the trace is spread evenly",
    source="Abbasi-Yadkori, Pal and Szepesvari (2011), Lemma 10, the determinant-trace inequality",
    statement=(
        r"\log\frac{\det G_n}{\lambda^d} \le d\log\Bigl(1 + \frac{\sum_k\|x_k\|^2}{\lambda d}"
        r"\Bigr) \le d\log\Bigl(1 + \frac{n}{\lambda d}\Bigr)"
    ),
    hypotheses=(
        r"$G_n = \lambda I + \sum_k x_kx_k^\top$; features on the simplex, or any with norm at "
        "most 1",
    ),
    kind="inequality",
    sample=sample_counts,
    sides=trace_sides,
    control=Control(
        name="one dimension",
        explanation="The bound forgets the dimension, as if all features were along one line.",
        sides=lambda design: _trace(design, 1),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        "Compared without the logarithms. Attained where every factor is drawn alone, and each "
        "equally often."
    ),
)


THEOREMS = (SHERMAN_MORRISON, ELLIPTICAL_POTENTIAL, DETERMINANT_TRACE)
