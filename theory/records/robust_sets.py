"""Uncertainty sets that are something else in disguise: a regulariser, a discount, a larger set."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import LInf
from rltheory.tabular.uncertainty.rational import strip
from rltheory.tabular.uncertainty.total_variation import L1
from rltheory.theory import balls, exact, instances, robust_exact
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_divergence import concave_maximum
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Robust(NamedTuple):
    """An MDP and an uncertainty set."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet


class Row(NamedTuple):
    """Values (S,), a nominal row (S,) and a total-variation radius."""

    values: FractionArray
    nominal: FractionArray
    radius: Fraction


def sample_interior(tape: Tape, size: int) -> Robust:
    """Draw an MDP whose probabilities all exceed the radius of an L1 or L-infinity ball."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    mixed = model.transitions / 2 + 1 / 16
    mixed[..., 0] += 0.5 - size / 16
    kind, radius = tape.integer(0, 1), tape.integer(0, 16) / 256
    return Robust(model.replace(transitions=mixed), L1(2 * radius) if kind else LInf(radius))


def sample_anywhere(tape: Tape, size: int) -> Robust:
    """Draw an MDP with sparse rows and an L1 or L-infinity ball that leaves the simplex."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    kind, radius = tape.integer(0, 1), tape.integer(1, 4) / 16
    return Robust(model, L1(2 * radius) if kind else LInf(radius))


def seminorm(uncertainty: UncertaintySet, values: FractionArray) -> Fraction:
    """Return kappa_q(v) = min over shifts of |v - shift|_q, q = infinity for L1, 1 for L-inf."""
    if isinstance(uncertainty, L1):
        return exact.span(values) / 2
    median = np.sort(values)[(len(values) - 1) // 2]
    return Fraction(np.abs(values - median).sum())


def regularised_sides(instance: Robust) -> tuple[Side, Side]:
    """Return the robust optimum and the regularised backup of it, (S,)."""
    mdp, uncertainty = instance
    assert isinstance(uncertainty, L1 | LInf)
    values = robust_exact.optimum(mdp, uncertainty).values
    penalty = Fraction(float(uncertainty.radius)) * seminorm(uncertainty, values)
    return values, exact.bellman(mdp, values) - Fraction(mdp.discount) * penalty


REGULARISED = Theorem(
    id="robust/lp-ball-is-a-regulariser",
    title="Inside the simplex an L_p ball is a penalty on the spread of the values",
    source=("Derman, Geist and Mannor (2021); Kumar, Levy, Wang and Mannor (2022)"),
    statement=(
        r"V_\rho = \max_a r(\cdot, a) + \gamma\, p \cdot V_\rho - \gamma\rho\,\kappa_q(V_\rho),"
        r"\qquad \kappa_q(v) = \min_w \|v - w\mathbf{1}\|_q,\quad \tfrac1p + \tfrac1q = 1"
    ),
    hypotheses=(
        r"(s,a)-rectangular $L_1$ or $L_\infty$ balls",
        r"positivity does not bind: $p(j|s,a) \ge \rho/2$ for $L_1$, $\ge \rho$ for $L_\infty$",
    ),
    kind="identity",
    sample=sample_interior,
    sides=regularised_sides,
    control=Control(
        name="positivity binds",
        explanation="The hypothesis on the nominal row is dropped: the ball leaves the simplex.",
        sample=sample_anywhere,
    ),
    cost=2.0,
    sizes=(2, 3),
    notes=(
        r"$\kappa_\infty$ is half the range, $\kappa_1$ the distance to the median. The source "
        "assumes the radius small enough; with any radius, distributions being nonnegative, the "
        "formula is only a lower bound on the backup."
    ),
)


def sample_contaminated(tape: Tape, size: int) -> Robust:
    """Draw contamination; half of the time the last state is absorbing and earns nothing."""
    model = instances.mdp(tape, size, tape.integer(1, 3))
    if tape.integer(0, 1):
        transitions, rewards = model.transitions.copy(), model.rewards.copy()
        transitions[-1], rewards[-1] = np.eye(size)[-1], 0.0
        model = model.replace(transitions=transitions, rewards=rewards)
    return Robust(model, Contamination(tape.integer(0, 16) / 16))


def contamination_sides(instance: Robust) -> tuple[Side, Side]:
    """Return the robust optimum and the shifted optimum of the shorter discount, (S,)."""
    return _contamination(instance, Fraction(1))


def shorter_optimum(mdp: DiscountedMDP, discount: Fraction) -> FractionArray:
    """Return the nominal optimum (S,) at another, rational discount."""
    transitions, rewards, _ = exact.model(mdp)
    return robust_exact.nominal_optimum(transitions, rewards, discount).values


def _contamination(instance: Robust, share: Fraction) -> tuple[Side, Side]:
    mdp, uncertainty = instance
    assert isinstance(uncertainty, Contamination)
    discount, weight = Fraction(mdp.discount), Fraction(float(uncertainty.radius))
    short = shorter_optimum(mdp, discount * (1 - share * weight))
    shifted = short + discount * weight / (1 - discount) * short.min()
    return robust_exact.optimum(mdp, uncertainty).values, shifted


CONTAMINATION = Theorem(
    id="robust/contamination-is-a-discount",
    title="Contamination shortens the discount, and shifts all values by their least",
    source=(
        "Wang and Zou (2021) for the operator; the closed form is derived here; compare the fail "
        "state of Panaganti, Xu, Kalathil and Ghavamzadeh (2022)"
    ),
    statement=(
        r"V_\rho = W + \frac{\gamma\rho}{1-\gamma}\,\min_s W(s)\,\mathbf{1},\qquad W \text{ the "
        r"nominal optimum at discount } \gamma(1-\rho)"
    ),
    hypotheses=(
        r"(s,a)-rectangular contamination of weight $\rho \in [0, 1]$",
        r"with an absorbing fail state of value 0 and rewards $r \ge 0$ the shift vanishes",
    ),
    kind="identity",
    sample=sample_contaminated,
    sides=contamination_sides,
    control=Control(
        name="half the weight",
        explanation=r"The discount is $\gamma(1-\rho/2)$ instead of $\gamma(1-\rho)$.",
        sides=lambda instance: _contamination(instance, Fraction(1, 2)),
    ),
    cost=1.5,
    notes="Planning against contamination costs no more than nominal planning, and less far.",
)


def sample_small(tape: Tape, size: int) -> Row:
    """Draw a radius 2^-k and a row that is often close to two equal halves."""
    values = fractions(instances.values(tape, size, -1.0, 1.0))
    nominal = fractions(tape.simplex(size))
    if tape.integer(0, 1):
        nominal = fractions(np.zeros(size))
        nominal[0] = Fraction(1, 2) + Fraction(tape.integer(-2, 2), 128)
        nominal[1] = 1 - nominal[0]
    return Row(values, nominal, Fraction(1, 2 ** tape.integer(1, 10)))


def spread(row: Row) -> bool:
    """Whether the values differ on the support of the row."""
    return len({*row.values[row.nominal > 0]}) > 1


def _entropic_loss(row: Row, radius: Any) -> Side:
    """Return p . v - inf over the KL ball: exact if all mass reaches min v, else by the dual."""
    reached = row.values[row.nominal > 0]
    least = Fraction(reached.min())
    lowest = row.nominal[row.values == least].sum()
    mean = Fraction(row.nominal @ row.values) - least
    if -balls.ball(lowest).log() <= radius:
        return mean
    spreads, weights = balls.balls(row.values - least), balls.balls(row.nominal)

    def tilted(x: Any) -> Any:
        return weights * balls.exp(-spreads / x)

    def slope(x: Any) -> Any:
        total = tilted(x).sum()
        return -(tilted(x) @ spreads) / total / x - total.log() - radius

    value = concave_maximum(lambda x: -x * (tilted(x).sum().log() + radius), slope, Fraction(1))
    return balls.to_bounds(balls.ball(mean) - value)


@precise
def pinsker_sides(row: Row) -> tuple[Side, Side]:
    """Return what a KL ball can take from p . v, and what total variation can."""
    return _pinsker(row, 2)


def _pinsker(row: Row, constant: int) -> tuple[Side, Side]:
    loss = _entropic_loss(row, balls.ball(constant * row.radius**2))
    worst = strip(row.nominal, row.values, row.radius)
    return loss, (row.nominal - worst) @ row.values


@precise
def _too_large(row: Row) -> tuple[Side, Side]:
    return _pinsker(row, 3)


PINSKER = Theorem(
    id="robust/pinsker-order",
    title="A KL adversary takes no more than a total-variation one of Pinsker's radius",
    source="Csiszar (1967), Pinsker's inequality with its best constant; the order derived from it",
    statement=(
        r"p \cdot v - \min_{\mathrm{KL}(q\|p) \le 2\delta^2} q \cdot v \;\le\; "
        r"p \cdot v - \min_{\mathrm{TV}(q, p) \le \delta} q \cdot v"
    ),
    hypotheses=(
        r"total variation is half the L1 distance; $0 < \delta \le 1/2$",
        "v not constant on the support of p",
    ),
    kind="inequality",
    sample=sample_small,
    sides=pinsker_sides,
    admissible=spread,
    control=Control(
        name="radius too large",
        explanation=r"The KL radius is $3\delta^2$, half as large again as Pinsker allows.",
        sides=_too_large,
    ),
    cost=2.0,
    notes=(
        r"By monotonicity the robust values are ordered alike: $V_{\mathrm{TV}(\sqrt{\rho/2})} \le "
        r"V_{\mathrm{KL}(\rho)}$. Approached by two equal halves as the radius vanishes."
    ),
    sharpness=0.99,
)


THEOREMS = (REGULARISED, CONTAMINATION, PINSKER)
