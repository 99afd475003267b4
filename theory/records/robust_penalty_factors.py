"""Linear MDPs whose adversary pays for every factor: values over a horizon, and against pairs.

The adversary of a factor pays penalty * D(q_i, p_i); one of a pair pays penalty * D of the mixture
features . q that the pair leads to. D is total variation, Kullback-Leibler or chi-square.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.planning import plan
from rltheory.tabular.uncertainty import PenalisedChiSquare, PenalisedKullbackLeibler
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.theory import balls, linear_instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_duality import Row, mixture_programs
from rltheory.theory.records.robust_entropic import paid_row
from rltheory.theory.records.robust_penalised import Priced, supported_minimum
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Charged(NamedTuple):
    """A linear MDP and what its adversary pays for a unit of divergence."""

    mdp: LinearMDP
    penalty: Fraction


Adversary = Callable[[FractionArray, Any], FractionArray]
"""Takes measures (d, S) and next values (S,); returns the worst case of each row (d,)."""

Lift = Callable[[Any], FractionArray]
"""`fractions` or `balls.balls`."""


def sample_charged(tape: Tape, size: int) -> Charged:
    """Draw a linear MDP of 2 actions, 2 or 3 factors and steps, and a penalty from 1/16 to 2."""
    mdp = linear_instances.linear_mdp(tape, size, 2, tape.integer(2, 3), tape.integer(2, 3))
    return Charged(mdp, Fraction(2) ** tape.integer(-4, 1))


def factor_values(mdp: LinearMDP, adversary: Adversary, lift: Lift = fractions) -> FractionArray:
    """Return the optimal values (H S,) against an adversary who acts factor by factor.

    lift: makes arrays Fractions, or balls.
    """
    features = lift(linear_instances.exact(mdp).features)
    return _backward(mdp, lambda measures, values: features @ adversary(measures, values), lift)


def pair_values(mdp: LinearMDP, adversary: Adversary, lift: Lift = fractions) -> FractionArray:
    """Return the optimal values (H S,) against one who acts on the row that a pair leads to."""
    features = linear_instances.exact(mdp).features

    def worst(measures: FractionArray, values: FractionArray) -> FractionArray:
        return np.array([adversary(rows, values) for rows in features @ measures], dtype=object)

    return _backward(mdp, worst, lift)


def _backward(mdp: LinearMDP, worst: Adversary, lift: Lift) -> FractionArray:
    model = linear_instances.exact(mdp)
    values, found = lift(np.zeros(mdp.states)), []
    for measures, rewards in zip(model.measures[::-1], model.rewards[::-1], strict=True):
        q = lift(rewards) + worst(measures, values)
        largest = balls.largest if lift is balls.balls else max
        values = np.array([largest(row) for row in q], dtype=object)
        found.append(values)
    return np.concatenate(found[::-1])


def _planned(charged: Charged, uncertainty: UncertaintySet) -> Bounds:
    solution = plan(RobustLinearMDP(charged.mdp, uncertainty))
    return Bounds(solution.lower[:-1].ravel(), solution.upper[:-1].ravel())


def _capped(charged: Charged) -> Adversary:
    def adversary(measures: FractionArray, values: FractionArray) -> FractionArray:
        return np.asarray(measures @ np.minimum(values, values.min() + charged.penalty))

    return adversary


def _programmed(charged: Charged) -> Adversary:
    """Return the adversary who solves a linear program for every row."""

    def adversary(measures: FractionArray, values: FractionArray) -> FractionArray:
        rows = [Row(values, row, Fraction(0), charged.penalty) for row in measures]
        return np.array([mixture_programs(row)[0] for row in rows], dtype=object)

    return adversary


def _total_variation(charged: Charged, factors: Adversary) -> tuple[Side, Side]:
    return pair_values(charged.mdp, _programmed(charged)), factor_values(charged.mdp, factors)


def total_variation_sides(charged: Charged) -> tuple[Side, Side]:
    """Return values against pairs, by linear programs, and against factors, by capping (H S,)."""
    return _total_variation(charged, _capped(charged))


def _half_the_cap(charged: Charged) -> tuple[Side, Side]:
    return _total_variation(charged, _capped(charged._replace(penalty=charged.penalty / 2)))


TOTAL_VARIATION = Theorem(
    id="robust-linear/penalised-tv",
    title="Who pays for total variation is as strong factor by factor as pair by pair",
    source=(
        "Derived here; Tang et al. (2024) for penalised d-rectangular sets, and "
        "robust/duality-penalised for one row"
    ),
    statement=(
        r"\sum_i \phi_i \min_{q_i} \bigl\{q_i\cdot V + \lambda\,\mathrm{TV}(q_i, p_i)\bigr\} = "
        r"\phi\cdot p\,[\min(V, \min V + \lambda)] = \min_q \bigl\{q \cdot V + \lambda\,"
        r"\mathrm{TV}(q, \phi\cdot p)\bigr\}"
    ),
    hypotheses=(
        r"features on the simplex, $\lambda > 0$, TV is half the L1 distance",
        "values of all steps and states of the two problems over a horizon are compared; those of "
        "pairs by linear programs",
    ),
    kind="identity",
    sample=sample_charged,
    sides=total_variation_sides,
    control=Control(
        name="penalty on the L1 distance",
        explanation=r"Factors pay $\lambda$ for an L1 distance of 2: half of the cap.",
        sides=_half_the_cap,
    ),
    sizes=(2, 3),
    notes=(
        "The worst case is linear in the nominal row, as the cap does not depend on it: the one "
        "of the three divergences for which the restriction to factors costs the adversary "
        "nothing. With a budget instead of a price it does, see robust-linear/"
        "strictly-milder-than-pairwise; for the others see "
        "robust-linear/penalised-milder-than-pairwise."
    ),
    cost=4.0,
)


def _tilted(charged: Charged) -> Adversary:
    def adversary(measures: FractionArray, values: BallArray) -> FractionArray:
        return np.array([paid_row(row, values, charged.penalty) for row in measures], dtype=object)

    return adversary


def log_moment(charged: Charged) -> Adversary:
    """Return the adversary who pays for Kullback-Leibler, by -penalty log E exp(-V / penalty)."""
    price = balls.ball(charged.penalty)

    def adversary(measures: FractionArray, values: BallArray) -> FractionArray:
        return np.asarray(-price * balls.log(balls.balls(measures) @ balls.exp(-values / price)))

    return adversary


def _kullback_leibler(charged: Charged, other: BallArray) -> tuple[Side, Side]:
    planned = _planned(charged, PenalisedKullbackLeibler(float(charged.penalty)))
    twice = Bounds(*(np.tile(end, 2) for end in (planned.lower, planned.upper)))
    tilted = factor_values(charged.mdp, _tilted(charged), balls.balls)
    return balls.to_bounds(np.concatenate([tilted, other])), twice


@precise
def kullback_leibler_sides(charged: Charged) -> tuple[Side, Side]:
    """Return values by what tilts are charged and by log-moments, and the planner's (2 H S,)."""
    moments = factor_values(charged.mdp, log_moment(charged), balls.balls)
    return _kullback_leibler(charged, moments)


@precise
def _mixture_log_moment(charged: Charged) -> tuple[Side, Side]:
    pairs = pair_values(charged.mdp, log_moment(charged), balls.balls)
    return _kullback_leibler(charged, pairs)


KULLBACK_LEIBLER = Theorem(
    id="robust-linear/penalised-kl",
    title="Who pays for Kullback-Leibler of every factor tilts it; the planner encloses the value",
    source=(
        "Tang et al. (2024), the penalised d-rectangular setting; duality by Donsker and Varadhan "
        "(1975)"
    ),
    statement=(
        r"Q_h = r_h + \phi\cdot\nu_h,\qquad \nu_{h,i} = \min_{q} \bigl\{q\cdot V_{h+1} + "
        r"\lambda\,\mathrm{KL}(q\|p_{h,i})\bigr\} = -\lambda \log p_{h,i}\bigl[e^{-V_{h+1}/"
        r"\lambda}\bigr],\qquad q^* \propto p_{h,i}\,e^{-V_{h+1}/\lambda}"
    ),
    hypotheses=(
        r"features on the simplex, $\lambda > 0$, $V_{h} = \max_a Q_h$",
        "left: what the tilts are charged, and the log-moments, in balls; right: the certified "
        "bounds of the public planner, for all steps and states",
    ),
    kind="identity",
    sample=sample_charged,
    sides=kullback_leibler_sides,
    control=Control(
        name="one price for the mixture",
        explanation="The log-moment is that of the row which a pair leads to, not each factor's.",
        sides=_mixture_log_moment,
    ),
    sizes=(2, 3),
    notes=(
        "One tilt of each factor is worst for all pairs at once. Pairs that pay for themselves "
        "tilt the mixture, weights of the factors included, and do more harm: "
        "robust-linear/penalised-milder-than-pairwise."
    ),
    cost=3.0,
)


def quadratic_adversary(charged: Charged) -> Adversary:
    """Return the adversary who pays for chi-square, by the stationary row of every support."""

    def adversary(measures: FractionArray, values: FractionArray) -> FractionArray:
        rows = [Priced(values, row, charged.penalty) for row in measures]
        return np.array([supported_minimum(row) for row in rows], dtype=object)

    return adversary


def chi_square_sides(charged: Charged) -> tuple[Side, Side]:
    """Return values by quadratic programs over all supports, and the planner's (H S,)."""
    values = factor_values(charged.mdp, quadratic_adversary(charged))
    return values, _planned(charged, PenalisedChiSquare(float(charged.penalty)))


def _mixture_quadratic(charged: Charged) -> tuple[Side, Side]:
    _, planned = chi_square_sides(charged)
    return pair_values(charged.mdp, quadratic_adversary(charged)), planned


CHI_SQUARE = Theorem(
    id="robust-linear/penalised-chi-square",
    title="Who pays for chi-square of every factor: quadratic programs agree with the planner",
    source="Tang et al. (2024), the penalised d-rectangular setting; derived here",
    statement=(
        r"Q_h = r_h + \phi\cdot\nu_h,\qquad \nu_{h,i} = \min_q \bigl\{q\cdot V_{h+1} + \lambda\,"
        r"\chi^2(q\|p_{h,i})\bigr\} = \max_\alpha\ \mathbb{E}_{p_{h,i}}[\min(V_{h+1},\alpha)] - "
        r"\tfrac{1}{4\lambda} \operatorname{Var}_{p_{h,i}}[\min(V_{h+1}, \alpha)]"
    ),
    hypotheses=(
        r"features on the simplex, $\lambda > 0$, $V_h = \max_a Q_h$",
        "left: the stationary row of every support, in rationals; right: the certified bounds of "
        "the public planner, for all steps and states",
    ),
    kind="identity",
    sample=sample_charged,
    sides=chi_square_sides,
    control=Control(
        name="one price for the mixture",
        explanation="Pairs pay for the row that they lead to instead of each factor for itself.",
        sides=_mixture_quadratic,
    ),
    sizes=(2, 3),
    notes=(
        "The dual is a maximum: minimised over the cap instead, it is worth no more than its "
        "value at the least cap, and optimism or pessimism mean nothing."
    ),
    cost=4.0,
)


THEOREMS = (TOTAL_VARIATION, KULLBACK_LEIBLER, CHI_SQUARE)
