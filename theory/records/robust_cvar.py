"""Conditional value at risk and the sets behind it: bounded densities, stripping, nesting.

CVaR at level alpha is the mean of the worst part alpha of the outcomes; of values, low is bad.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_duality import Box, Row, box_program, strip_program
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Tail(NamedTuple):
    """Values (S,), a nominal row (S,) and a level in (0, 1]."""

    values: FractionArray
    nominal: FractionArray
    level: Fraction


class TwoSteps(NamedTuple):
    """A start row (S,), a kernel (S, S), outcomes (S, S) of the two moves, and a level."""

    start: FractionArray
    kernel: FractionArray
    outcomes: FractionArray
    level: Fraction


def tail_mean(values: FractionArray, nominal: FractionArray, level: Fraction) -> Fraction:
    """Return CVaR at `level`: the mean of the least values up to that much mass."""
    total, left = Fraction(0), level
    for i in np.argsort(values, kind="stable"):
        taken = min(nominal[i], left)
        total, left = total + taken * values[i], left - taken
    return total / level


def sample_tail(tape: Tape, size: int) -> Tail:
    """Draw values, a row and a level k / 16."""
    values, nominal = fractions(instances.values(tape, size)), fractions(tape.simplex(size))
    return Tail(values, nominal, Fraction(tape.integer(1, 16), 16))


def _conditional(tail: Tail, level: Fraction) -> tuple[Side, Side]:
    values, nominal, given = tail
    least = box_program(Box(values, 0 * nominal, nominal / given))
    shortfalls = [h - nominal @ np.maximum(h - values, 0) / level for h in values]
    return exact.join(least, least), exact.join(tail_mean(values, nominal, level), max(shortfalls))


def conditional_sides(tail: Tail) -> tuple[Side, Side]:
    """Return the program over bounded densities twice; the tail mean and the shortfall formula."""
    return _conditional(tail, tail.level)


CONDITIONAL = Theorem(
    id="robust/cvar-is-an-interval-set",
    title="Densities of at most 1 / alpha: the robust row value is the mean of the worst tail",
    source=(
        "Rockafellar and Uryasev (2000), Theorem 1; Artzner, Delbaen, Eber and Heath (1999); "
        "Osogami (2012) for robust MDPs"
    ),
    statement=(
        r"\min_{0 \le q \le p/\alpha} q \cdot v = \mathrm{CVaR}_\alpha(v) = \max_{\eta}\ \eta - "
        r"\tfrac1\alpha \mathbb{E}_p(\eta - v)_+"
    ),
    hypotheses=(r"$\alpha \in (0, 1]$; $q$ a distribution", "CVaR of the low values"),
    kind="identity",
    sample=sample_tail,
    sides=conditional_sides,
    control=Control(
        name="half the level",
        explanation=r"The tail has mass $\alpha/2$, while the density may reach $1/\alpha$ only.",
        sides=lambda tail: _conditional(tail, tail.level / 2),
    ),
    sizes=(2, 3, 4),
    notes=(
        "With these intervals around every row, robust value iteration is the iteration of nested "
        "CVaR."
    ),
)


def _stripped(tail: Tail, level: Fraction) -> tuple[Side, Side]:
    values, nominal, kept = tail
    program = strip_program(Row(values, nominal, 1 - kept, Fraction(0)))
    return program, (1 - kept) * values.min() + kept * tail_mean(values, nominal, level)


STRIPPED = Theorem(
    id="robust/total-variation-is-a-mixture",
    title="Total variation mixes the worst case with the tail that stripping leaves",
    source="Jiang and Guan (2018), for the L1 distance; derived here for the half",
    statement=(
        r"\min_{\mathrm{TV}(q, p) \le \rho} q \cdot v = \rho \min v + (1-\rho)\,"
        r"\mathrm{CVaR}_{1-\rho}(v)"
    ),
    hypotheses=(r"$0 \le \rho < 1$; $\min v$ over the whole simplex",),
    kind="identity",
    sample=sample_tail,
    sides=lambda tail: _stripped(tail, tail.level),
    control=Control(
        name="another tail",
        explanation=r"The tail keeps mass $1-\rho/2$, as for an L1 radius, in the same mixture.",
        sides=lambda tail: _stripped(tail, (1 + tail.level) / 2),
    ),
    sizes=(2, 3, 4),
    notes="What is stripped from the top goes to the bottom; what is left is a tail.",
)


def sample_two_steps(tape: Tape, size: int) -> TwoSteps:
    """Draw two moves; often the first is certain, or the outcomes take two values."""
    start, kernel = fractions(tape.simplex(size)), fractions(tape.simplex((size, size)))
    outcomes = fractions(tape.dyadic((size, size), 0.0, 1.0))
    kind = tape.integer(0, 2)
    if kind == 0:
        start = fractions(np.eye(size)[0])
    if kind == 1:
        # The bad outcome needs two moves of probability at most the level each.
        outcomes = fractions(np.ones((size, size)))
        outcomes[0, 0] = Fraction(0)
    return TwoSteps(start, kernel, outcomes, Fraction(tape.integer(1, 16), 16))


def nested_sides(instance: TwoSteps) -> tuple[Side, Side]:
    """Return (CVaR at the squared level, nested) and (nested, CVaR of the mean of the rest)."""
    return _nested(instance, 2)


def _nested(instance: TwoSteps, steps: int) -> tuple[Side, Side]:
    start, kernel, outcomes, level = instance
    nested, first = nested_tail(instance), tail_mean((kernel * outcomes).sum(axis=1), start, level)
    return exact.join(static_tail(instance, level**steps), nested), exact.join(nested, first)


def nested_tail(instance: TwoSteps) -> Fraction:
    """Return CVaR of the conditional CVaR, both at the level."""
    start, kernel, outcomes, level = instance
    inner = [tail_mean(row, moves, level) for row, moves in zip(outcomes, kernel, strict=True)]
    return tail_mean(fractions(inner), start, level)


def static_tail(instance: TwoSteps, level: Fraction) -> Fraction:
    """Return CVaR of the outcome of both moves at a level."""
    paths = instance.start[:, None] * instance.kernel
    return tail_mean(instance.outcomes.ravel(), paths.ravel(), level)


NESTED = Theorem(
    id="robust/nested-cvar-between",
    title="Nested CVaR is at least static CVaR at the level's power, one factor per step",
    source="Derived here from the densities, at most 1/alpha per step; compare Iancu et al. (2015)",
    statement=(
        r"\mathrm{CVaR}_{\alpha^2}(Z) \le \mathrm{CVaR}_\alpha\bigl(\mathrm{CVaR}_\alpha(Z|s_1)"
        r"\bigr) \le \mathrm{CVaR}_\alpha\bigl(\mathbb{E}[Z|s_1]\bigr)"
    ),
    hypotheses=(r"$Z$ any function of two moves, $\alpha \in (0, 1]$",),
    kind="inequality",
    sample=sample_two_steps,
    sides=nested_sides,
    control=Control(
        name="one step only",
        explanation=r"The lower bound has the level $\alpha$ of one step instead of $\alpha^2$.",
        sides=lambda instance: _nested(instance, 1),
    ),
    sizes=(2, 3),
    notes=(
        "What the robust MDP with these intervals optimises, against CVaR of the return. Met on "
        "the right when the second move is certain, on the left when all bad paths are rare at "
        "each step. Static CVaR at the level itself is on neither side: see "
        "robust/nested-cvar-may-be-milder."
    ),
    sharpness=0.999,
)


def two_successes() -> TwoSteps:
    """Return an outcome of 1 for two independent successes of probability 3/4, at level 1/2."""
    move = fractions(np.array([0.25, 0.75]))
    outcomes = fractions(np.array([[0.0, 0.0], [0.0, 1.0]]))
    return TwoSteps(move, np.array([move, move]), outcomes, Fraction(1, 2))


def milder_sides(instance: TwoSteps) -> tuple[Side, Side]:
    """Return static CVaR and nested CVaR at the same level."""
    return static_tail(instance, instance.level), nested_tail(instance)


MILDER = Theorem(
    id="robust/nested-cvar-may-be-milder",
    title="Nesting CVaR is not always more cautious than CVaR of the return",
    source=(
        "Derived here; Iancu, Petrik and Subramanian (2015) compare nested and static measures"
    ),
    statement=(
        r"\mathrm{CVaR}_\alpha(Z) < \mathrm{CVaR}_\alpha\bigl(\mathrm{CVaR}_\alpha(Z|s_1)\bigr)"
        r"\quad\text{for some } Z"
    ),
    hypotheses=(
        r"the instance: $Z = 1$ after two independent successes of probability $3/4$, else 0; "
        r"$\alpha = 1/2$",
    ),
    kind="counterexample",
    sample=lambda tape, size: two_successes(),
    sides=milder_sides,
    control=Control(
        name="at the squared level",
        explanation=r"Nested CVaR is compared with static CVaR at $\alpha^2$ from the wrong side.",
        sides=lambda x: (nested_tail(x), static_tail(x, x.level**2)),
    ),
    sizes=(2,),
    notes=(
        "Static CVaR is 1/8, nested CVaR 1/4: a static adversary may spend more than 1/alpha on "
        "the second move if it spent less on the first; a nested one may not carry that over."
    ),
    sharpness=0.499,
)


THEOREMS = (CONDITIONAL, STRIPPED, NESTED, MILDER)
