"""Total variation around a factor: its dual, with exact and with estimated expectations.

The dual is piecewise linear in the cap alpha and bends only at values that were seen: its maximum
is found by looking at them. Every side is a Fraction; primal minima come from the simplex method.
"""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, solve
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.linear_designs import Design, gram
from rltheory.theory.records.robust_duality import Row, strip_program
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Factor(NamedTuple):
    """Values (S,) >= 0, the measure (S,) of a factor, a radius, a cap, and how samples weigh in.

    coefficients (n,) and next_states (n,): ridge regression estimates the expectation of f over
    the factor by the sum of coefficients * f(next state); the coefficients may be negative.
    """

    values: FractionArray
    measure: FractionArray
    radius: Fraction
    cap: Fraction
    coefficients: FractionArray
    next_states: list[int]


def sample_factor(tape: Tape, size: int) -> Factor:
    """Draw a factor, and its regression on features from the simplex, up to 6 samples.

    State 0 has value 0, as a fail state does. The cap is a value half of the time.
    """
    values = fractions(tape.dyadic(size, 0.0, 2.0, bits=6))
    values[0] = Fraction(0)
    measure, radius = fractions(tape.simplex(size)), Fraction(tape.integer(0, 16), 16)
    features = fractions(tape.simplex((tape.integer(1, 6), tape.integer(1, 3))))
    coefficients = regression(features, Fraction(2) ** tape.integer(-4, 1))
    states = [tape.integer(0, size - 1) for _ in features]
    cap = Fraction(tape.integer(0, 128), 64)
    if tape.integer(0, 1):
        cap = Fraction(values[tape.integer(0, size - 1)])
    return Factor(values, measure, radius, cap, coefficients, states)


def regression(features: FractionArray, ridge: Fraction) -> FractionArray:
    """Return the coefficients (n,) of ridge regression for the first factor: its row of G^-1 X'."""
    design = Design(features, ridge, features[0])
    # From the right, as G is symmetric.
    return np.asarray(features @ solve(gram(design), exact.identity(features.shape[1])[0]))


def true_mean(factor: Factor, cap: Fraction) -> Fraction:
    """Return z(alpha) = E[min(v, alpha)] over the factor."""
    return Fraction(factor.measure @ np.minimum(factor.values, np.asarray(cap)))


def estimate(factor: Factor, cap: Fraction) -> Fraction:
    """Return the regression's estimate of z(alpha)."""
    seen = factor.values[factor.next_states]
    return Fraction(factor.coefficients @ np.minimum(seen, np.asarray(cap)))


def largest(factor: Factor, mean: Callable[[Factor, Fraction], Fraction]) -> Fraction:
    """Return the largest of z(alpha) - radius * alpha at 0 and at the values."""
    caps = [Fraction(0), *factor.values]
    return Fraction(max(mean(factor, cap) - factor.radius * cap for cap in caps))


def swept(factor: Factor, *, patient: bool = True) -> Fraction:
    """Return the largest estimated dual by one pass over the sorted samples.

    From one value to the next it rises by the gap times (coefficients of what lies above, less the
    radius). patient: go on after it falls.
    """
    seen = factor.values[factor.next_states]
    order = np.argsort(seen, kind="stable")
    above, last = Fraction(factor.coefficients.sum()), Fraction(0)
    height = best = Fraction(0)
    for value, coefficient in zip(seen[order], factor.coefficients[order], strict=True):
        height += (above - factor.radius) * (value - last)
        if height < best and not patient:
            break
        best, last, above = max(best, height), value, above - coefficient
    return best


def _sweep(factor: Factor, patient: bool) -> tuple[Side, Side]:
    found = swept(factor, patient=patient)
    at = estimate(factor, factor.cap) - factor.radius * factor.cap
    direct = largest(factor, estimate)
    return exact.join(at, direct, found), exact.join(found, found, direct)


def sweep_sides(factor: Factor) -> tuple[Side, Side]:
    """Return (dual at a cap, best at the values, best of the pass) and (pass, pass, values)."""
    return _sweep(factor, True)


def _two_samples(tape: Tape, size: int) -> Factor:
    """Draw a low value that another factor led to, and a high one that it may have led to."""
    factor = sample_factor(tape, size)
    values = factor.values.copy()
    values[[0, -1]] = Fraction(tape.integer(1, 16), 64), 1 + Fraction(tape.integer(0, 64), 64)
    features = fractions(np.array([[0.5, 0.5], [0.0, 1.0]]))
    return factor._replace(
        values=values,
        radius=Fraction(3, 4),
        coefficients=regression(features, Fraction(1, 4)),
        next_states=[size - 1, 0],
    )


BREAKPOINTS = Theorem(
    id="robust-linear/total-variation-breakpoints",
    title="The estimated dual in total variation is largest at 0 or at a value that was seen",
    source=(
        "Liu and Xu (2024), the dual of DR-LSVI-UCB; that a pass over the sorted samples "
        "maximises it is derived here"
    ),
    statement=(
        r"\max_{\alpha \ge 0}\ \hat z_i(\alpha) - \rho\alpha = \max_{\alpha \in \{0\} \cup "
        r"\{V(s'_\tau)\}}\hat z_i(\alpha) - \rho\alpha,\qquad \hat z_i(\alpha) = \sum_\tau "
        r"\bigl(G^{-1}\phi_\tau\bigr)_i\min(V(s'_\tau), \alpha)"
    ),
    hypotheses=(
        r"$V \ge 0$, $\rho \ge 0$; $G = \lambda I + \sum_\tau\phi_\tau\phi_\tau^\top$",
        "the coefficients may be negative and need not sum to 1",
    ),
    kind="inequality",
    sample=sample_factor,
    sides=sweep_sides,
    control=Control(
        name="stop at the first fall",
        explanation="The pass ends where the dual first falls, as if it were concave.",
        sample=_two_samples,
        sides=lambda factor: _sweep(factor, False),
    ),
    sizes=(2, 3, 5),
    sharpness=0.999,
    notes=(
        "Piecewise linear with bends at seen values only, and falling above the largest. It is "
        "concave for expectations under a distribution, but negative coefficients, which "
        "regression has, make local maxima: a search for one of them may miss the best."
    ),
)


def fail_sides(factor: Factor) -> tuple[Side, Side]:
    """Return the least expectation by linear programming, and the dual without a floor."""
    row = Row(factor.values, factor.measure, factor.radius, Fraction(0))
    return strip_program(row), largest(factor, true_mean)


def _no_fail_state(tape: Tape, size: int) -> Factor:
    factor = sample_factor(tape, size)
    return factor._replace(values=factor.values + Fraction(1, 4))


FAIL_STATE = Theorem(
    id="robust-linear/fail-state",
    title="With a fail state the dual in total variation needs no least value",
    source="Liu and Xu (2024), strong duality under their assumption of fail states",
    statement=(
        r"\min_{q \in \Delta_S,\ \mathrm{TV}(q, \mu_i) \le \rho} q \cdot V = \max_{\alpha \ge 0}\ "
        r"\mathbb{E}_{\mu_i}[\min(V, \alpha)] - \rho\,\alpha"
    ),
    hypotheses=(r"$V \ge 0$ and $V(s_f) = 0$ for some state", r"$0 \le \rho \le 1$"),
    kind="identity",
    sample=sample_factor,
    sides=fail_sides,
    control=Control(
        name="no fail state",
        explanation="Every state is worth at least 1/4: mass that is moved keeps that much.",
        sample=_no_fail_state,
    ),
    sizes=(2, 3, 4),
    cost=1.5,
    notes=(
        r"Otherwise the right side is too small by exactly $\rho\min V$, which regression would "
        "have to learn as well; see robust/duality-total-variation."
    ),
)


def _errors(factor: Factor, caps: Iterable[Fraction]) -> tuple[Side, Side]:
    error = abs(largest(factor, estimate) - largest(factor, true_mean))
    return error, max(abs(estimate(factor, cap) - true_mean(factor, cap)) for cap in caps)


def error_sides(factor: Factor) -> tuple[Side, Side]:
    """Return the error of the factor's worst case, and the largest error of an expectation."""
    return _errors(factor, [Fraction(0), *factor.values])


def _at_the_maximiser(factor: Factor) -> tuple[Side, Side]:
    def dual(cap: Fraction) -> Fraction:
        return true_mean(factor, cap) - factor.radius * cap

    return _errors(factor, [max([Fraction(0), *factor.values], key=dual)])


ESTIMATION_ERROR = Theorem(
    id="robust-linear/estimation-error",
    title="A factor's worst case is known as well as its capped expectations are",
    source="Liu and Xu (2024), the estimation error of DR-LSVI-UCB",
    statement=(
        r"\bigl|\hat\nu_i - \nu_i\bigr| \le \max_{\alpha \ge 0}\bigl|\hat z_i(\alpha) - "
        r"z_i(\alpha)\bigr|,\qquad \nu_i = \max_{\alpha \ge 0} z_i(\alpha) - \rho\alpha"
    ),
    hypotheses=(r"$\hat z_i$ any estimate, here by ridge regression; $V \ge 0$ with a fail state",),
    kind="inequality",
    sample=sample_factor,
    sides=error_sides,
    control=Control(
        name="the true maximiser alone",
        explanation="The error counts only where the true dual has its maximum, not at every cap.",
        sides=_at_the_maximiser,
    ),
    sizes=(2, 3, 5),
    sharpness=0.999,
    notes=(
        "Two maxima differ by no more than the functions do. The right side is attained at a "
        "value, as the difference bends nowhere else. It does not grow with the radius, and "
        "averaging by features on the simplex carries it over to action values."
    ),
)


THEOREMS = (BREAKPOINTS, FAIL_STATE, ESTIMATION_ERROR)
