"""Bonuses of least-squares value iteration: the sum over factors, the ellipse, and the diagonal.

Every side is a Fraction; square roots are avoided by squaring, or by designs whose inverse has a
diagonal of squares. Designs G = ridge I + sum of x x' are those of `linear_designs`.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, solve
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.linear_designs import (
    Design,
    determinant,
    gram,
    inverse,
    sample_counts,
    sample_design,
    width,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Widths(NamedTuple):
    """Directions (d, d), rows of length 1, their lengths (d,), and a feature (d,)."""

    directions: FractionArray
    lengths: FractionArray
    feature: FractionArray


def sample_widths(tape: Tape, size: int) -> Widths:
    """Draw rows of rational length, whose products are G^-1: the roots of its diagonal are exact.

    A point t of R^(d-1) gives the unit vector (2 t, |t|^2 - 1) / (|t|^2 + 1).
    """
    points = fractions(tape.dyadic((size, size - 1), -2.0, 2.0, bits=5))
    squares = (points**2).sum(axis=1)[:, None]
    directions = np.column_stack([2 * points, squares - 1]) / (squares + 1)
    lengths = fractions(tape.dyadic(size, 0.25, 4.0, bits=4))
    return Widths(directions, lengths, fractions(tape.simplex(size)))


def independent(instance: Widths) -> bool:
    """Whether the rows span the space, so that their products are the inverse of a design."""
    return determinant(instance.directions) != 0


def domination_sides(instance: Widths) -> tuple[Side, Side]:
    """Return x' G^-1 x and the square of sum x_i (G^-1)_ii^(1/2)."""
    directions, lengths, x = instance
    rows = lengths[:, None] * directions
    return Fraction(x @ (rows @ rows.T) @ x), Fraction(x @ lengths) ** 2


def sample_mixed(tape: Tape, size: int) -> Design:
    """Draw features on the simplex that draw one more factor half of the time; x never does."""
    design = sample_counts(tape, size + 1)
    last, x = exact.identity(size + 1)[-1], design.vector.copy()
    x[0], x[-1] = x[0] + x[-1], Fraction(0)
    return Design((design.features + last) / 2, design.ridge / 8, x)


def diagonal_width(design: Design) -> Fraction:
    """Return x' diag(G^-1) x for the design's vector."""
    return Fraction(np.diagonal(inverse(gram(design))) @ design.vector**2)


def diagonal_sides(design: Design) -> tuple[Side, Side]:
    """Return x' G^-1 x and x' diag(G^-1) x."""
    return width(design), diagonal_width(design)


FACTOR_BONUS = Theorem(
    id="linear/factor-bonus-dominates",
    title="The bonus summed over factors is at least the elliptical one",
    source="Liu and Xu (2024), the bonus of DR-LSVI-UCB; the comparison is derived here",
    statement=(r"\sqrt{x^\top G^{-1}x} \le \sum_i x_i\sqrt{(G^{-1})_{ii}}"),
    hypotheses=(
        "$G$ positive definite: every such matrix is the design of some features and ridge",
        r"$x \ge 0$ entrywise, here on the simplex",
    ),
    kind="inequality",
    sample=sample_widths,
    sides=domination_sides,
    admissible=independent,
    control=Control(
        name="the diagonal form",
        explanation=(
            r"The bonus is $\sqrt{x^\top\mathrm{diag}(G^{-1})\,x}$, as the authors' public code "
            "has it, on designs of features from the simplex."
        ),
        sample=sample_mixed,
        sides=diagonal_sides,
    ),
    sizes=(2, 3, 4),
    sharpness=0.99,
    notes=(
        "The triangle inequality for the columns of a root of $G^{-1}$; compared squared. Attained "
        "by a feature that draws one factor. The form of the control misses the elliptical width "
        "by up to the factor $\\sqrt d$, see linear/diagonal-bonus-is-too-small."
    ),
)


def sample_shared(tape: Tape, size: int) -> Design:
    """Return features that draw one of the first factors or the last, evenly; x never has the last.

    Known is the sum of each factor and the last: the errors of the first ones go together.
    """
    del tape
    features = (np.eye(size, size + 1) + np.eye(size + 1)[-1]) / 2
    x = np.append(np.full(size, 1 / size), 0.0)
    return Design(fractions(features), Fraction(1, 2**20), fractions(x))


def _too_small(design: Design, share: Fraction) -> tuple[Side, Side]:
    return (len(design.vector) - 1) * share * diagonal_width(design), width(design)


def too_small_sides(design: Design) -> tuple[Side, Side]:
    """Return 0.999 (d - 1) x' diag(G^-1) x and x' G^-1 x."""
    return _too_small(design, Fraction(999, 1000))


TOO_SMALL = Theorem(
    id="linear/diagonal-bonus-is-too-small",
    title="The bonus by the inverse's diagonal falls short by the root of the dimension",
    source="Derived here, of the form in the authors' public code for Liu and Xu (2024)",
    statement=(
        r"0.999\,(d-1)\;x^\top\mathrm{diag}(G^{-1})\,x < x^\top G^{-1}x\quad\text{for some "
        r"features and }x\text{ on the simplex}"
    ),
    hypotheses=(
        r"$G = \lambda I + \sum_{i<d} x_ix_i^\top$ with $x_i = \frac12(e_i + e_d)$ and $\lambda = "
        r"2^{-20}$; $x$ is uniform over the first $d - 1$ factors, $d = 4, 5, 6$",
    ),
    kind="separation",
    sample=sample_shared,
    sides=too_small_sides,
    control=Control(
        name="all of it",
        explanation="The factor is $d - 1$ itself, which is never exceeded.",
        sides=lambda design: _too_small(design, Fraction(1)),
    ),
    sizes=(3, 4, 5),
    sharpness=0.99,
    notes=(
        r"$x^\top G^{-1}x \le m\,x^\top\mathrm{diag}(G^{-1})\,x$ if $m$ entries of $x$ are not 0, "
        "by Cauchy and Schwarz: nothing worse can happen. With two factors the diagonal form does "
        "dominate, as then $(G^{-1})_{12} \\le 0$."
    ),
)


class Blend(NamedTuple):
    """How many factors, how many visits of the pair that draws them evenly, and the ridge."""

    factors: int
    visits: int
    ridge: Fraction


def sample_blend(tape: Tape, size: int) -> Blend:
    """Draw a number of visits up to 400 and a ridge 2^k."""
    return Blend(size, tape.integer(0, 400), Fraction(2) ** tape.integer(-4, 4))


def _blended(blend: Blend, matrix: FractionArray) -> tuple[Side, Side]:
    factors, visits, ridge = blend
    even = fractions([Fraction(1, factors)] * factors)
    diagonal = np.diagonal(inverse(matrix))
    # All entries are the same: the squared average of their roots is any of them.
    excess = factors + (1 - Fraction(1, factors)) * visits / ridge
    return diagonal, np.full(factors, excess * Fraction(even @ solve(matrix, even)))


def blend_sides(blend: Blend) -> tuple[Side, Side]:
    """Return the squared bonus over factors (d,) after visits of an even mixture, and its excess.

    The excess is over the squared elliptical bonus.
    """
    factors, visits, ridge = blend
    even = fractions([Fraction(1, factors)] * factors)
    return _blended(blend, ridge * exact.identity(factors) + visits * np.outer(even, even))


def _alone(blend: Blend) -> tuple[Side, Side]:
    factors, visits, ridge = blend
    return _blended(blend, (ridge + Fraction(visits, factors)) * exact.identity(factors))


COVERAGE = Theorem(
    id="linear/factor-bonus-needs-coverage",
    title="Visits of a mixture of factors do not wear off the bonus summed over them",
    source="Derived here; Liu and Xu (2024) assume coverage, the design's least eigenvalue to grow",
    statement=(
        r"\Bigl(\sum_i x_i\sqrt{(G^{-1})_{ii}}\Bigr)^2 = \Bigl(d + \frac{d-1}{d}\,\frac n\lambda"
        r"\Bigr)\,x^\top G^{-1}x \ \ge\ \frac{d-1}{d}\,\frac1\lambda,\qquad x^\top G^{-1}x = "
        r"\frac{1}{d\lambda + n}"
    ),
    hypotheses=(
        r"$x = (1/d, \dots, 1/d)$ and $G = \lambda I + n\,xx^\top$: $n$ visits of one pair",
    ),
    kind="identity",
    sample=sample_blend,
    sides=blend_sides,
    control=Control(
        name="every factor alone",
        explanation="The same number of visits, evenly to pairs that draw one factor each.",
        sides=_alone,
    ),
    sizes=(2, 3, 5),
    notes=(
        "The elliptical bonus vanishes as $1/\\sqrt n$ and its sum over episodes grows as $\\sqrt "
        "n$; the one over factors stays, and its sum grows as $n$. So does what it covers: the "
        "worst cases of single factors cannot be learnt from their mixture."
    ),
)


def _bias(design: Design, power: int) -> tuple[Side, Side]:
    weights = _target(design)
    x = design.features
    fitted = solve(gram(design), np.asarray(x.T @ (x @ weights)))
    error = Fraction(design.vector @ (fitted - weights))
    return error**2, design.ridge**power * Fraction(weights @ weights) * width(design)


def _target(design: Design) -> FractionArray:
    """Return the weights to be found: along the vector asked about, but for the seen features."""
    return np.asarray(design.vector + (design.features.sum(axis=0) if len(design.features) else 0))


def bias_sides(design: Design) -> tuple[Side, Side]:
    """Return the squares of the error of x . w by ridge regression, and of its bound."""
    return _bias(design, 1)


RIDGE_BIAS = Theorem(
    id="linear/ridge-bias",
    title="Without noise, ridge regression errs by the root of the ridge times the width",
    source=(
        "Jin, Yang, Wang and Jordan (2020), Lemma B.4, first term; Abbasi-Yadkori, Pal and "
        "Szepesvari (2011), Theorem 2"
    ),
    statement=(
        r"\bigl|x \cdot (\hat w - w)\bigr| = \lambda\,\bigl|x^\top G^{-1}w\bigr| \le "
        r"\sqrt\lambda\,\|w\|\,\sqrt{x^\top G^{-1}x},\qquad \hat w = G^{-1}\sum_k x_k(x_k\cdot w)"
    ),
    hypotheses=(r"$G = \lambda I + \sum_k x_kx_k^\top$, $\lambda > 0$",),
    kind="inequality",
    sample=sample_design,
    sides=bias_sides,
    control=Control(
        name="the ridge for its root",
        explanation=r"The bound has $\lambda$ where $\sqrt\lambda$ belongs; ridges below 1 occur.",
        sides=lambda design: _bias(design, 2),
    ),
    sizes=(1, 2, 3),
    sharpness=0.999,
    notes=(
        "Compared squared. Attained without data, and in every direction that data has not "
        "reached. A factor alone, $x = e_i$, errs by at most $\\sqrt{\\lambda (G^{-1})_{ii}}\\,"
        "\\|w\\|$: hence the bonus summed over factors."
    ),
)


THEOREMS = (FACTOR_BONUS, TOO_SMALL, COVERAGE, RIDGE_BIAS)
