"""One price for factors or for pairs: how much harm Kullback-Leibler adversaries do, in balls."""

from fractions import Fraction

import numpy as np

from rltheory.theory import balls, linear_instances
from rltheory.theory.balls import precise
from rltheory.theory.records.robust_penalty_factors import (
    Charged,
    factor_values,
    log_moment,
    pair_values,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def apart(charged: Charged) -> bool:
    """Whether the two factors lead to different rewards in the second step.

    Where they do not, both adversaries are equally strong, and balls cannot tell.
    """
    model = linear_instances.exact(charged.mdp)
    means = model.measures[0] @ model.rewards[1].max(axis=1)
    return bool(abs(means[0] - means[1]) >= Fraction(1, 2**12))


def sample_mixing(tape: Tape, size: int) -> Charged:
    """Draw two steps in which every pair may draw every factor, and a penalty from 1/4 to 64."""
    mdp = linear_instances.linear_mdp(tape, size, 2, 2, 2)
    mdp = mdp.replace(features=mdp.features / 2 + np.array([0.25, 0.25]))
    return Charged(mdp, Fraction(2) ** tape.integer(-2, 6))


def _milder(charged: Charged, penalty: Fraction) -> tuple[Side, Side]:
    pairs = pair_values(charged.mdp, log_moment(charged), balls.balls)
    dear = charged._replace(penalty=penalty)
    factors = factor_values(charged.mdp, log_moment(dear), balls.balls)
    states = charged.mdp.states
    return balls.to_bounds(pairs[:states]), balls.to_bounds(factors[:states])


@precise
def milder_sides(charged: Charged) -> tuple[Side, Side]:
    """Return the values of the first of two steps against pairs and against factors, (S,)."""
    return _milder(charged, charged.penalty)


@precise
def _at_half_price(charged: Charged) -> tuple[Side, Side]:
    return _milder(charged, charged.penalty / 2)


MILDER = Theorem(
    id="robust-linear/penalised-milder-than-pairwise",
    title="At one price the factors' Kullback-Leibler adversary is strictly milder than the pairs'",
    source="Derived here from the joint convexity of the divergence",
    statement=(
        r"\min_q \bigl\{q\cdot V + \lambda\,\mathrm{KL}(q\,\|\,\phi\cdot p)\bigr\} = -\lambda "
        r"\log \sum_i \phi_i\, p_i\bigl[e^{-V/\lambda}\bigr] \;<\; \sum_i \phi_i \min_{q_i} "
        r"\bigl\{q_i \cdot V + \lambda\,\mathrm{KL}(q_i\|p_i)\bigr\}"
    ),
    hypotheses=(
        "features on the simplex; every pair may draw two factors, which lead to rewards of "
        "different expectation",
        "compared are the optimal values of states two steps from the end",
    ),
    kind="inequality",
    sample=sample_mixing,
    sides=milder_sides,
    admissible=apart,
    control=Control(
        name="factors at half the price",
        explanation="The factors' adversary pays half as much as the pairs'.",
        sides=_at_half_price,
    ),
    sizes=(2, 3),
    notes=(
        "The ends meet as the price grows, and as factors come to lead alike. Pairs also tilt "
        "which factor is drawn, and that is free to none of the factors."
    ),
    sharpness=0.99,
)


THEOREMS = (MILDER,)
