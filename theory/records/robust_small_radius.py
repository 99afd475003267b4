"""Small Kullback-Leibler radii: what robustness costs to first order, as a rate.

Values are those of the public solver in float64; the two terms of the expansion come from linear
systems that know nothing of the adversary.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rates import Rate, fit_rate
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.robust import robust_evaluate_policy
from rltheory.tabular.uncertainty import KullbackLeibler
from rltheory.theory import instances
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

RADII = 2.0 ** -np.arange(14, 25, 2)
"""What the rate is fitted to; the solver's error stays below 2 % of the smallest remainder."""

_SLOPE = Fraction(-9, 10)
_LEAST = 1 / 16


class Expansion(NamedTuple):
    """Nominal values (S,) and the coefficients (S,) of - sqrt(radius) and of radius."""

    values: FloatArray
    first: FloatArray
    second: FloatArray


def sample_process(tape: Tape, size: int) -> DiscountedMDP:
    """Draw a reward process in which every probability is at least 1/16."""
    model = instances.mdp(tape, size, 1, instances.discount(tape, low=4))
    # Exact in floats: half of each row, and shares of at least 1/16 that sum to a half.
    shares = np.full(size, 1 / 16)
    shares[0] += 0.5 - size / 16
    return model.replace(transitions=model.transitions / 2 + shares)


def expansion(mdp: DiscountedMDP) -> Expansion:
    """Return the terms of V - sqrt(radius) first + radius second.

    From min q . w = E w - sqrt(2 radius Var w) + radius k3 / (3 Var w) + ... in every row, with
    third central moment k3, at w = V - sqrt(radius) first.
    """
    kernel, discount = mdp.transitions[:, 0], mdp.discount
    resolvent = np.linalg.inv(np.eye(mdp.states) - discount * kernel)
    values = resolvent @ mdp.rewards[:, 0]
    centred = values - (kernel @ values)[:, None]
    variance, third = ((kernel * centred**k).sum(axis=1) for k in (2, 3))
    deviation = np.sqrt(variance)
    first = np.sqrt(2.0) * discount * resolvent @ deviation
    # A constant vector has no deviation and no terms after the first.
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = (kernel * centred) @ first
        bend = third / (3 * variance) + np.sqrt(2.0) * covariance / deviation
    return Expansion(values, first, discount * resolvent @ np.nan_to_num(bend))


def curved(mdp: DiscountedMDP) -> bool:
    """Whether the coefficient of the radius is not small against the range of the values."""
    values, _, second = expansion(mdp)
    spread = float(np.ptp(values))
    return spread >= 2.0**-3 and float(np.abs(second).max()) >= _LEAST * spread


def fitted(mdp: DiscountedMDP, share: float) -> Rate:
    """Fit how the remainder grows as the radius does; `share` multiplies the first-order term."""
    values, first, _ = expansion(mdp)
    only = np.zeros(mdp.states, dtype=np.int64)
    remainders = []
    for radius in RADII:
        found = robust_evaluate_policy(mdp, only, KullbackLeibler(float(radius)), tolerance=1e-13)
        linear = values - share * np.sqrt(radius) * first
        remainders.append(float(np.abs(found.values - linear).max()))
    return fit_rate(1 / RADII, np.array(remainders))


def rate_sides(mdp: DiscountedMDP) -> tuple[Side, Side]:
    """Return the slope of the remainder against 1 / radius, enclosed, and the slope claimed."""
    return fitted(mdp, 1.0).interval, _SLOPE


def _single_variance(mdp: DiscountedMDP) -> tuple[Side, Side]:
    return fitted(mdp, np.sqrt(0.5)).interval, _SLOPE


def covered(mdp: DiscountedMDP) -> Mapping[str, Any]:
    """Return the fitted slope, its interval's level and the radii that were covered."""
    rate = fitted(mdp, 1.0)
    return {
        "slope": rate.slope,
        "confidence": rate.confidence,
        "radii": [1 / rate.covered[1], 1 / rate.covered[0]],
    }


SMALL_RADIUS = Theorem(
    id="robust/small-radius-rate",
    title="A small KL radius costs discounted standard deviations, and an error linear in it",
    source=(
        "Derived here from the expansion of one row: Lam (2016), Duchi and Namkoong (2019); the "
        "sum of deviations is that of the total-variance lemma, Azar, Munos and Kappen (2013)"
    ),
    statement=(
        r"V_\rho = V - \gamma\sqrt{2\rho}\,(I - \gamma P)^{-1}\sigma + O(\rho),\qquad "
        r"\sigma(s)^2 = \operatorname{Var}_{p(s)} V,\quad V_\rho(s) = r(s) + \gamma "
        r"\min_{\mathrm{KL}(q\|p(s)) \le \rho} q \cdot V_\rho"
    ),
    hypotheses=(
        r"a fixed policy; the error in the sup norm has log-log slope at least 0.9 in $\rho$ over "
        r"$2^{-24} \le \rho \le 2^{-14}$",
        r"every $p(j|s) \ge 1/16$",
        r"the coefficient of $\rho$ is at least $1/16$ of the range of $V$, which is at least "
        r"$2^{-3}$: a vanishing one lets the terms after it show",
    ),
    kind="rate",
    sample=sample_process,
    sides=rate_sides,
    admissible=curved,
    control=Control(
        name="variance counted once",
        explanation=r"The radius enters as $\sqrt{\rho}$, without its factor 2 under the root.",
        sides=_single_variance,
    ),
    sizes=(2, 3, 4),
    cost=6.0,
    details=covered,
    notes=(
        r"The slope is near 1, not above: the next term is of order $\rho$ where rows are skewed "
        r"or deviations vary with the state. To first order the cost is, by "
        r"variance/total-variance, at most $\gamma\sqrt{\rho(1+\gamma)/(2(1-\gamma)^3)}$ for "
        r"rewards in $[0, 1]$."
    ),
    sharpness=0.89,
)


THEOREMS = (SMALL_RADIUS,)
