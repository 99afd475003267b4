"""Strong duality of the polyhedral inner problems: a rational linear program against the formula.

The primal is solved by the simplex method in Fractions, which knows nothing of sorting; the dual
is a concave piecewise linear function of one variable, maximised over its breakpoints.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.uncertainty.interval import Interval
from rltheory.tabular.uncertainty.rational import worst_member
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.rational_lp import minimise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Row(NamedTuple):
    """Values (S,), a nominal row (S,), a radius and a penalty."""

    values: FractionArray
    nominal: FractionArray
    radius: Fraction
    penalty: Fraction


class Box(NamedTuple):
    """Values (S,) and bounds (S,) on the probabilities."""

    values: FractionArray
    lower: FractionArray
    upper: FractionArray


def sample_row(tape: Tape, size: int) -> Row:
    """Draw values, often with ties, a nominal row, a radius k / 16 and a penalty k / 8."""
    values = fractions(instances.values(tape, size))
    if tape.integer(0, 2) == 0:
        values[tape.integer(0, size - 1)] = values[0]
    nominal = fractions(tape.simplex(size))
    radius, penalty = Fraction(tape.integer(0, 17), 16), Fraction(tape.integer(0, 64), 8)
    return Row(values, nominal, radius, penalty)


def strip_program(row: Row) -> Fraction:
    """Return min q . v over total variation <= radius: mass taken x, given y, as a program."""
    values, nominal, radius, _ = row
    size = len(values)
    zeros, ones, eye = np.zeros(size), np.ones(size), np.eye(size)
    system = np.block(
        [
            [eye, np.zeros((size, size)), eye, np.zeros((size, 1))],
            [np.concatenate([ones, -ones, zeros, [0.0]])],
            [np.concatenate([ones, zeros, zeros, [1.0]])],
        ]
    )
    costs = exact.join(-values, values, fractions(zeros), Fraction(0))
    basis = [*range(2 * size, 3 * size), size, 3 * size]
    right = exact.join(nominal, Fraction(0), radius)
    return Fraction(nominal @ values) + minimise(costs, fractions(system), right, basis)[0]


def total_variation_dual(row: Row, radius: Fraction) -> Fraction:
    """Return max over alpha of E_p[min(v, alpha)] - radius (alpha - min v)."""
    values, nominal = row.values, row.nominal
    capped = [
        nominal @ np.minimum(values, level) - radius * (level - values.min()) for level in values
    ]
    return Fraction(max(capped))


def total_variation_sides(row: Row) -> tuple[Side, Side]:
    """Return (program's minimum, value of the worst member) and the dual maximum."""
    member, _ = worst_member(TotalVariation(float(row.radius)), row.values, row.nominal)
    dual = total_variation_dual(row, row.radius)
    return exact.join(strip_program(row), member @ row.values), exact.join(dual, dual)


def _without_the_half(row: Row) -> tuple[Side, Side]:
    left, _ = total_variation_sides(row)
    dual = total_variation_dual(row, row.radius / 2)
    return left, exact.join(dual, dual)


TOTAL_VARIATION = Theorem(
    id="robust/duality-total-variation",
    title="Total variation: stripping mass from the top is a capped expectation",
    source="Iyengar (2005), Lemma 4.3; Nilim and El Ghaoui (2005); Ho, Petrik and Wiesemann (2018)",
    statement=(
        r"\min_{q \in \Delta_S,\ \frac12\|q-p\|_1 \le \rho} q \cdot v = \max_{\alpha \ge \min v} "
        r"\mathbb{E}_p[\min(v, \alpha)] - \rho\,(\alpha - \min v)"
    ),
    hypotheses=(r"$p \in \Delta_S$, $\rho \ge 0$; $q$ anywhere on the simplex",),
    kind="identity",
    sample=sample_row,
    sides=total_variation_sides,
    control=Control(
        name="without the half",
        explanation=r"The radius bounds $\|q-p\|_1$ on the dual side, and half of it on the other.",
        sides=_without_the_half,
    ),
    sizes=(2, 3, 4),
    cost=1.5,
    notes=(
        r"The optimal $\alpha$ is the value at which the stripped mass reaches $\rho$; the member "
        "that strips it is compared as well."
    ),
)


def sample_box(tape: Tape, size: int) -> Box:
    """Draw an L-infinity ball half of the time, else intervals around a row."""
    values = fractions(instances.values(tape, size))
    nominal = fractions(tape.simplex(size))
    if tape.integer(0, 1):
        width = fractions(tape.dyadic((2, size), 0.0, 1.0, bits=4))
    else:
        width = np.full((2, size), Fraction(tape.integer(0, 16), 16))
    return Box(values, np.maximum(nominal - width[0], 0), np.minimum(nominal + width[1], 1))


def box_program(box: Box) -> Fraction:
    """Return min q . v over the box, q = lower + z, as a program with the slacks of z."""
    values, lower, upper = box
    size, room = len(values), upper - lower
    eye = np.eye(size)
    system = np.block([[eye, eye], [np.ones(size), np.zeros(size)]])
    missing = 1 - lower.sum()
    # Fill in the order of the states, whatever their values: a vertex to start from.
    basis, partial, left = list(range(size, 2 * size)), size - 1, missing
    for i in range(size):
        if left <= room[i]:
            partial = i
            break
        basis[i], left = i, left - room[i]
    costs = exact.join(values, fractions(np.zeros(size)))
    right = exact.join(room, missing)
    return (
        Fraction(lower @ values) + minimise(costs, fractions(system), right, [*basis, partial])[0]
    )


def box_dual(box: Box) -> Fraction:
    """Return max over lambda of lambda + sum lower (v - lambda)_+ - upper (lambda - v)_+."""
    values, lower, upper = box
    bounds = [
        level + lower @ np.maximum(values - level, 0) - upper @ np.maximum(level - values, 0)
        for level in values
    ]
    return Fraction(max(bounds))


def box_sides(box: Box) -> tuple[Side, Side]:
    """Return (program's minimum, value of the filled member) and the dual maximum."""
    bounds = (box.lower.astype(float), box.upper.astype(float))
    member, _ = worst_member(Interval(*bounds), box.values, box.lower)
    dual = box_dual(box)
    return exact.join(box_program(box), member @ box.values), exact.join(dual, dual)


def _negative_mass(box: Box) -> tuple[Side, Side]:
    left, _ = box_sides(box)
    dual = box_dual(box._replace(lower=box.upper - 2 * (box.upper - box.lower)))
    return left, exact.join(dual, dual)


BOX = Theorem(
    id="robust/duality-interval",
    title="Intervals and the L-infinity ball: the dual is a quantile problem",
    source=(
        "Givan, Leach and Dean (2000); Nilim and El Ghaoui (2005); Behzadian, Petrik and Ho (2021)"
    ),
    statement=(
        r"\min_{l \le q \le u,\ \sum q = 1} q \cdot v = \max_{\lambda}\ \lambda + "
        r"\sum_i l_i (v_i - \lambda)_+ - u_i (\lambda - v_i)_+"
    ),
    hypotheses=(
        r"$0 \le l \le u \le 1$ with $\sum l \le 1 \le \sum u$",
        r"$L_\infty$: $l = (p-\rho)_+$, $u = \min(p+\rho, 1)$",
    ),
    kind="identity",
    sample=sample_box,
    sides=box_sides,
    control=Control(
        name="bounds below zero",
        explanation="The intervals reach twice as far down, below zero where positivity binds.",
        sides=_negative_mass,
    ),
    sizes=(2, 3, 4),
    cost=1.5,
    notes="The optimal multiplier is the value of the state that is filled in part.",
)


def mixture_programs(row: Row) -> FractionArray:
    """Return min q . v + penalty TV(q, p), and min q . v over q >= (1 - weight) p."""
    values, nominal, radius, penalty = row
    size, weight = len(values), min(radius, Fraction(1))
    zeros, ones, eye = np.zeros(size), np.ones(size), np.eye(size)
    system = np.block([[eye, np.zeros((size, size)), eye], [ones, -ones, zeros]])
    costs = exact.join(penalty - values, values, fractions(zeros))
    right, basis = exact.join(nominal, Fraction(0)), [*range(2 * size, 3 * size), size]
    penalised = nominal @ values + minimise(costs, fractions(system), right, basis)[0]
    added = minimise(values, fractions(ones[None]), fractions([weight]), [0])[0]
    return exact.join(penalised, (1 - weight) * (nominal @ values) + added)


def mixture_members(row: Row) -> FractionArray:
    """Return what the capping row and the contaminated row are charged, (2,)."""
    values, nominal, radius, penalty = row
    weight, worst = min(radius, Fraction(1)), int(values.argmin())
    moved = np.where(values - values[worst] > penalty, nominal, 0 * nominal)
    capping, contaminated = nominal - moved, (1 - weight) * nominal
    capping[worst] += moved.sum()
    contaminated[worst] += weight
    return exact.join(capping @ values + penalty * moved.sum(), contaminated @ values)


def _mixture(row: Row, cap: Fraction) -> tuple[Side, Side]:
    values, nominal, radius, _ = row
    weight, lowest = min(radius, Fraction(1)), values.min()
    penalised = nominal @ np.minimum(values, lowest + cap)
    contaminated = (1 - weight) * (nominal @ values) + weight * lowest
    closed = exact.join(penalised, contaminated)
    return exact.join(mixture_programs(row), mixture_members(row)), exact.join(closed, closed)


def mixture_sides(row: Row) -> tuple[Side, Side]:
    """Return the two programs' minima with what two rows are charged, and the closed forms."""
    return _mixture(row, row.penalty)


PENALISED = Theorem(
    id="robust/duality-penalised",
    title="A penalty on total variation caps the values; contamination mixes in the least one",
    source=(
        "Huber (1965) for contamination, with Wang and Zou (2021); the penalised form by "
        "conjugacy from Iyengar (2005), Lemma 4.3 (derived here)"
    ),
    statement=(
        r"\min_{q \in \Delta_S} q \cdot v + \lambda\,\mathrm{TV}(q, p) = \mathbb{E}_p[\min(v, "
        r"\min v + \lambda)],\qquad \min_{q \ge (1-\rho)p} q \cdot v = (1-\rho)\,p \cdot v + "
        r"\rho \min v"
    ),
    hypotheses=(r"$\lambda \ge 0$, $\rho \in [0, 1]$", "TV is half the L1 distance"),
    kind="identity",
    sample=sample_row,
    sides=mixture_sides,
    control=Control(
        name="penalty on the L1 distance",
        explanation="The cap is twice the penalty, as it would be for the L1 distance.",
        sides=lambda row: _mixture(row, 2 * row.penalty),
    ),
    sizes=(2, 3, 4),
    cost=1.5,
    notes=(
        "Mass leaves a state for the least exactly where that gains more than it pays; the rows "
        "that do so are compared as well."
    ),
)


THEOREMS = (TOTAL_VARIATION, BOX, PENALISED)
