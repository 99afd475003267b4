"""The penalised chi-square problem: a quadratic program, by supports and by its dual.

Every side is a Fraction. The primal tries all supports, and knows nothing of thresholds; the dual
is a concave piecewise quadratic function of one variable.
"""

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Priced(NamedTuple):
    """Values (S,), a nominal row (S,) and a positive penalty."""

    values: FractionArray
    nominal: FractionArray
    penalty: Fraction


def sample_priced(tape: Tape, size: int) -> Priced:
    """Draw values, sometimes with ties, a row and a penalty 2^k."""
    values = fractions(instances.values(tape, size, -2.0, 2.0))
    if tape.integer(0, 2) == 0:
        values[-1] = values[0]
    return Priced(values, fractions(tape.simplex(size)), Fraction(2) ** tape.integer(-4, 4))


def charged(instance: Priced, row: FractionArray) -> Fraction:
    """Return q . v + penalty * chi-square(q, p) for a row that p reaches."""
    values, nominal, penalty = instance
    reached = nominal > 0
    ratios = (row - nominal)[reached] ** 2 / nominal[reached]
    return Fraction(row @ values + penalty * ratios.sum())


def supported_minimum(instance: Priced) -> Fraction:
    """Return the least charge over distributions, by the stationary row of every support."""
    values, nominal, penalty = instance
    reached = np.flatnonzero(nominal)
    found = []
    for count in range(1, len(reached) + 1):
        for chosen in combinations(reached, count):
            inside = list(chosen)
            weights, total = nominal[inside], nominal[inside].sum()
            # v_i + 2 penalty (q_i / p_i - 1) is the same for all i of the support, sum q = 1.
            level = (weights @ values[inside] + 2 * penalty * (1 - total)) / total
            row = 0 * nominal
            row[inside] = weights * (1 + (level - values[inside]) / (2 * penalty))
            if min(row) >= 0:
                found.append(charged(instance, row))
    return min(found)


def threshold(instance: Priced) -> Fraction:
    """Return the level at which E (level - v)_+ is twice the penalty."""
    values, nominal, penalty = instance
    mass, moment, level = Fraction(0), Fraction(0), Fraction(0)
    for i in np.argsort(values, kind="stable"):
        if mass and level <= values[i]:
            break
        mass, moment = mass + nominal[i], moment + nominal[i] * values[i]
        level = (2 * penalty + moment) / mass if mass else level
    return level


def _priced(instance: Priced, halves: int) -> tuple[Side, Side]:
    values, nominal, penalty = instance
    depth = np.maximum(threshold(instance) - values, 0)
    member = nominal * depth / (2 * penalty)
    dual = threshold(instance) - penalty - nominal @ depth**2 / (2 * halves * penalty)
    return exact.join(supported_minimum(instance), charged(instance, member)), exact.join(
        dual, dual
    )


def priced_sides(instance: Priced) -> tuple[Side, Side]:
    """Return (least charge over all supports, charge of the worst row) and the dual maximum."""
    return _priced(instance, 2)


def _half(instance: Priced) -> tuple[Side, Side]:
    return _priced(instance, 1)


PENALISED_CHI_SQUARE = Theorem(
    id="robust/duality-penalised-chi-square",
    title="A penalty on chi-square: mass in proportion to the depth below a threshold",
    source=(
        "Derived here from the conjugate of the divergence, Ben-Tal and Teboulle (2007); with "
        "nothing cut off it is the mean-variance preference of Maccheroni, Marinacci and "
        "Rustichini (2006)"
    ),
    statement=(
        r"\min_{q \in \Delta_S} q \cdot v + \lambda\,\chi^2(q\|p) = \max_\eta\ \eta - \lambda - "
        r"\frac{1}{4\lambda}\mathbb{E}_p(\eta - v)_+^2,\qquad q^\star = \frac{p\,(\eta^\star - "
        r"v)_+}{2\lambda},\quad \mathbb{E}_p(\eta^\star - v)_+ = 2\lambda"
    ),
    hypotheses=(
        r"$\lambda > 0$; $\chi^2(q\|p) = \sum_i (q_i - p_i)^2/p_i$, $q$ absolutely continuous to "
        "$p$",
    ),
    kind="identity",
    sample=sample_priced,
    sides=priced_sides,
    control=Control(
        name="half the conjugate",
        explanation=r"The quadratic term has $1/(2\lambda)$, as for half the divergence.",
        sides=_half,
    ),
    sizes=(2, 3, 4),
    notes=(
        r"If $2\lambda \ge \max v - \mathbb{E}_p v$ nothing is cut off and the value is mean minus "
        r"variance over $4\lambda$: exactly what KL at twice the price is to second order, see "
        "robust/entropic-second-order."
    ),
)


THEOREMS = (PENALISED_CHI_SQUARE,)
