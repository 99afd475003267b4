"""Robust Bellman operators of the curved sets: each contracts by the discount.

Kullback-Leibler, chi-square, L2, Wasserstein and penalised sets, from the public inner solvers,
whose dual and primal values enclose the backup rigorously.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty import (
    L2,
    ChiSquare,
    KullbackLeibler,
    Penalised,
    UncertaintySet,
    Wasserstein,
)
from rltheory.theory import instances
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoVectors(NamedTuple):
    """A robust MDP and two vectors of values (S,)."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet
    first: FloatArray
    second: FloatArray


def draw_curved(tape: Tape, size: int) -> UncertaintySet:
    """Draw one of six kinds, small or dear enough to leave every row two states at least.

    Rows have no entry below 1/16, so that the nearest point mass is farther than the radius.
    """
    kind, radius = tape.integer(0, 5), tape.integer(0, 16) / 256
    far = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(float)
    if kind >= 4:
        ball = KullbackLeibler(0.0) if kind == 4 else ChiSquare(0.0)
        return Penalised(ball, 2.0 ** tape.integer(3, 6))
    balls = (KullbackLeibler(radius), ChiSquare(radius), L2(radius), Wasserstein(radius / 2, far))
    return balls[kind]


def sample_pair(tape: Tape, size: int) -> TwoVectors:
    """Draw two vectors that differ nearly by a constant half of the time.

    No two states differ by quite the same: at equality enclosures could not tell.
    """
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, low=1))
    shares = np.full(size, 1 / 16)
    shares[0] += 0.5 - size / 16
    model = model.replace(transitions=model.transitions / 2 + shares)
    uncertainty = draw_curved(tape, size)
    first, change = instances.values(tape, size, -4.0, 4.0), tape.dyadic(size, 0.25, 4.0)
    sign = np.ones(size)
    if tape.integer(0, 1):
        change[:] = change[0]
    else:
        sign = np.where(tape.dyadic(size) < 0.5, -1.0, 1.0)
    # Exact in floats: 10 bits each.
    change = change * (1 - np.arange(size) / 2**10)
    return TwoVectors(model, uncertainty, first, first + sign * change)


def backed(instance: TwoVectors, values: FloatArray) -> Bounds:
    """Enclose the robust optimality operator at `values`, shape (S,)."""
    mdp = instance.mdp
    least = instance.uncertainty.expectation_bounds(values, mdp.transitions)
    q = least * mdp.discount + Bounds(mdp.rewards, mdp.rewards)
    return Bounds(q.lower.max(axis=1), q.upper.max(axis=1))


def _contraction(instance: TwoVectors, modulus: Fraction) -> tuple[Side, Side]:
    moved = backed(instance, instance.first) - backed(instance, instance.second)
    low = np.maximum(np.maximum(moved.lower, -moved.upper), 0.0)
    high = np.maximum(-moved.lower, moved.upper)
    apart = Fraction(float(np.abs(instance.first - instance.second).max()))
    return Bounds(low.max(), high.max()), modulus * apart


def contraction_sides(instance: TwoVectors) -> tuple[Side, Side]:
    """Return |T V - T W| and discount * |V - W| in the sup norm."""
    return _contraction(instance, Fraction(instance.mdp.discount))


CURVED_CONTRACTION = Theorem(
    id="robust/contraction-curved-sets",
    title="The robust operators of divergences, transport costs and penalties contract as well",
    source=(
        "Iyengar (2005), Theorem 3.2, for any sets of rows; for penalised ones by the same "
        "argument, since the penalty does not depend on the values (derived here)"
    ),
    statement=(
        r"\|TV - TW\|_\infty \le \gamma\,\|V - W\|_\infty,\qquad (TV)(s) = \max_a r(s,a) + \gamma "
        r"\min_q \bigl\{ q \cdot V + c_{s,a}(q) \bigr\}"
    ),
    hypotheses=(
        r"$c$ is 0 inside and $\infty$ outside a KL, chi-square, $L_2$ or Wasserstein ball, or a "
        "multiple of the KL or chi-square divergence; (s,a)-rectangular",
        r"$0 < \gamma < 1$; rows and radii leave the worst rows two states at least, and "
        r"$|V - W|$ differs from state to state: the claim is then strict and can be certified",
    ),
    kind="inequality",
    sample=sample_pair,
    sides=contraction_sides,
    control=Control(
        name="modulus squared",
        explanation="The modulus is the discount squared, as if one sweep were two.",
        sides=lambda x: _contraction(x, Fraction(x.mdp.discount) ** 2),
    ),
    sizes=(2, 3, 4),
    cost=1.0,
    notes=(
        "The polyhedral sets are in robust/contraction, exactly. Here both players of the inner "
        "problem are certified: a dual value from below, a member of the set from above."
    ),
    sharpness=0.98,
)


THEOREMS = (CURVED_CONTRACTION,)
