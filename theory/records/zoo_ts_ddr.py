"""Two-stage decision rules: multipliers of targets as derivatives, in exact linear programmes.

Reservoirs with dyadic data are solved by the simplex method in Fractions; values come from the
programme, multipliers from its dual, which is a programme of its own.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.ts_ddr import TargetProgram, reservoir
from rltheory.theory import game_instances as games
from rltheory.theory import rational_lp
from rltheory.theory.exact import fractions, identity, join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

STEP = Fraction(1, 2**30)
"""Shorter than any distance to a kink of the values drawn here that is not zero."""
UNITS = 2


class Targets(NamedTuple):
    """A programme, targets (k,), and other targets (k,)."""

    program: TargetProgram
    targets: FractionArray
    others: FractionArray


class Rule(NamedTuple):
    """Programmes of the scenarios, what is seen of each (N, f), and coefficients (k, f)."""

    programs: tuple[TargetProgram, ...]
    features: FractionArray
    coefficients: FractionArray


def value(program: TargetProgram, targets: FractionArray) -> Fraction:
    """Return the least cost of following targets of at least 0, exactly."""
    costs, system, right = (fractions(x) for x in program.standard_form())
    height, width = 2 + UNITS, 3 + 2 * UNITS
    variables = len(program.costs)
    # Spill what flows in, leave the reservoir empty, let the dearest generator serve the demand.
    basis = []
    for at in range(0, variables, width):
        basis += [at + 1, at + 3 + UNITS, at + 3, *range(at + 4 + UNITS, at + width)]
    assert len(basis) == height * program.states
    basis += list(range(variables, variables + program.states))
    return rational_lp.minimise(costs, system, np.append(right, targets), basis)[0]


def multipliers(program: TargetProgram, targets: FractionArray) -> FractionArray:
    """Return multipliers (k,) of the targets from the dual programme, exactly."""
    costs, system, right = (fractions(x) for x in program.standard_form())
    gains = np.append(right, targets)
    rows, columns = system.shape
    # Free multipliers are differences; what they leave of each cost is a slack.
    dual = np.hstack([system.T, -system.T, identity(columns)])
    objective = np.concatenate([-gains, gains, to_fractions(np.zeros(columns))])
    basis = list(range(2 * rows, 2 * rows + columns))
    _, found = rational_lp.minimise(objective, dual, costs, basis)
    return np.asarray(
        found[rows - program.states : rows] - found[2 * rows - program.states : 2 * rows]
    )


def quotients(program: TargetProgram, targets: FractionArray, step: Fraction) -> FractionArray:
    """Return difference quotients of the value by each target, (k,)."""
    here = value(program, targets)
    moves = [step * games.pure(t, len(targets)) for t in range(len(targets))]
    return np.array([(value(program, targets + m) - here) / step for m in moves], dtype=object)


def _program(tape: Tape, periods: int, inflows: FractionArray | None = None) -> TargetProgram:
    drawn = tape.dyadic(periods, 0.0, 2.0, 3)
    prices = np.cumsum(tape.dyadic(UNITS, 0.125, 2.0, 3))
    return reservoir(
        drawn if inflows is None else inflows.astype(float),
        tape.dyadic(periods, 0.0, 2.0, 3),
        capacity=2.0,
        initial=float(tape.dyadic((), 0.0, 2.0, 3)),
        prices=prices,
        limits=tape.dyadic(UNITS - 1, 0.125, 1.0, 3),
        penalty=float(tape.dyadic((), 0.25, 8.0, 2)),
        water_value=float(prices[0]) * float(tape.dyadic((), 0.0, 1.0, 3)),
    )


def _targets(tape: Tape, periods: int, bits: int) -> FractionArray:
    return fractions(tape.dyadic(periods, 0.0, 2.0, bits))


def sample_smooth(tape: Tape, size: int) -> Targets:
    """Draw a reservoir and targets finer than its data: seldom at a kink."""
    program = _program(tape, size)
    return Targets(program, _targets(tape, size, 9), _targets(tape, size, 9))


def sample_any(tape: Tape, size: int) -> Targets:
    """Draw a reservoir and targets as coarse as its data: often at a kink."""
    program = _program(tape, size)
    return Targets(program, _targets(tape, size, 3), _targets(tape, size, 3))


def smooth(instance: Targets) -> bool:
    """Whether the value has a derivative by each target: the same quotient on both sides."""
    program, targets, _ = instance
    if min(targets) < STEP:
        return False
    ahead = quotients(program, targets, STEP)
    return bool(np.all(ahead == quotients(program, targets, -STEP)))


def derivative_sides(instance: Targets) -> tuple[Side, Side]:
    """Return difference quotients of the value and the multipliers, (k,)."""
    program, targets, _ = instance
    return quotients(program, targets, STEP), multipliers(program, targets)


DERIVATIVE = Theorem(
    id="ts-ddr/multipliers-are-derivatives",
    title="The multiplier of a target is the derivative of the inner programme's value",
    source="Rosemberg et al. (2024); Bertsimas and Tsitsiklis (1997), section 5.2",
    statement=(
        r"\frac{\partial Q(\hat x)}{\partial \hat x_t} = \lambda_t,\qquad Q(\hat x) = \min\{c\cdot "
        r"y + C\|\delta\|_1 : Ay = b,\ x_t(y) + \delta_t = \hat x_t,\ y \ge 0\}"
    ),
    hypotheses=(
        "hydro-thermal planning; targets are the levels of a reservoir",
        r"$Q$ has a derivative by each target: both one-sided quotients agree",
    ),
    kind="identity",
    sample=sample_smooth,
    sides=derivative_sides,
    admissible=smooth,
    control=Control(
        name="kinks let in",
        explanation="Targets may lie where the value bends, and the multiplier is not unique.",
        sample=sample_any,
    ),
    sizes=(1, 2),
    cost=14.0,
    notes="The sign is that of derivatives by the right side, as HiGHS reports it through SciPy.",
)


def _tangent(instance: Targets, sign: int) -> tuple[Side, Side]:
    program, targets, others = instance
    tangent = sign * multipliers(program, targets) @ (others - targets)
    return value(program, targets) + tangent, value(program, others)


def tangent_sides(instance: Targets) -> tuple[Side, Side]:
    """Return the tangent at the targets and the value, both at other targets."""
    return _tangent(instance, 1)


TANGENT = Theorem(
    id="ts-ddr/multipliers-are-subgradients",
    title="Multipliers of targets are subgradients, at kinks too",
    source="Bertsimas and Tsitsiklis (1997), section 5.3",
    statement=r"Q(\hat x) + \lambda \cdot (\hat x' - \hat x) \le Q(\hat x')",
    hypotheses=(r"any targets $\hat x, \hat x' \ge 0$; $\lambda$ from the dual programme",),
    kind="inequality",
    sample=sample_any,
    sides=tangent_sides,
    control=Control(
        name="sign turned",
        explanation="Multipliers of the form right side less left side are used, with their sign.",
        sides=lambda instance: _tangent(instance, -1),
    ),
    sizes=(1, 2),
    cost=9.0,
    sharpness=0.999,
)


def _bounded(instance: Targets, *, penalty: bool) -> tuple[Side, Side]:
    program = instance.program
    largest = max(np.abs(multipliers(program, instance.targets)))
    dearest = max(program.costs)
    return largest, Fraction(program.penalty if penalty else float(dearest))


def bounded_sides(instance: Targets) -> tuple[Side, Side]:
    """Return the largest multiplier in magnitude and the penalty."""
    return _bounded(instance, penalty=True)


BOUNDED = Theorem(
    id="ts-ddr/penalty-bounds-multipliers",
    title="The penalty on deviations bounds every multiplier",
    source="Rosemberg et al. (2024), the penalised inner problem; derived here",
    statement=r"\max_t |\lambda_t| \le C",
    hypotheses=(r"deviations from targets cost $C$ per unit, both ways",),
    kind="inequality",
    sample=sample_any,
    sides=bounded_sides,
    control=Control(
        name="the dearest generator",
        explanation="Multipliers are claimed to be at most the largest price.",
        sides=lambda instance: _bounded(instance, penalty=False),
    ),
    sizes=(1, 2),
    cost=5.0,
    sharpness=0.999,
    notes="Met wherever a target cannot be reached: such gradients say the penalty, not the cost.",
)


def sample_rule(tape: Tape, size: int) -> Rule:
    """Draw a reservoir with two or three inflows and a rule that is affine in the first one."""
    del size
    count = tape.integer(2, 3)
    programs = []
    base = _program(tape, 1)
    inflows = fractions(tape.dyadic(count, 0.0, 2.0, 3))
    # The balance of the one period is the first row.
    for inflow in inflows:
        right = base.right.copy()
        right[0] += float(inflow)
        programs.append(TargetProgram(base.costs, base.system, right, base.tracked, base.penalty))
    features = np.column_stack([games.uniform(count) * count, inflows])
    coefficients = fractions(tape.dyadic((1, 2), 0.0, 1.0, 9)) + Fraction(1, 2**10)
    return Rule(tuple(programs), features, coefficients)


def _mean_value(instance: Rule, coefficients: FractionArray) -> Fraction:
    pairs = zip(instance.programs, instance.features, strict=True)
    total = sum(value(program, coefficients @ row) for program, row in pairs)
    return Fraction(total) / len(instance.programs)


def smooth_rule(instance: Rule) -> bool:
    """Whether no scenario's target lies at a kink."""
    return all(
        smooth(Targets(program, instance.coefficients @ row, instance.features[:1, 0]))
        for program, row in zip(instance.programs, instance.features, strict=True)
    )


def _rule(instance: Rule, *, by_mean: bool) -> tuple[Side, Side]:
    programs, features, coefficients = instance
    here = _mean_value(instance, coefficients)
    slopes = [
        (_mean_value(instance, coefficients + STEP * games.pure(f, 2)[None]) - here) / STEP
        for f in range(2)
    ]
    if by_mean:
        # One programme, for the mean inflow.
        right = np.mean([program.right for program in programs], axis=0)
        first = programs[0]
        middle = TargetProgram(first.costs, first.system, right, first.tracked, first.penalty)
        row = features.sum(axis=0) / len(features)
        return join(*slopes), multipliers(middle, coefficients @ row)[0] * row
    gradient = sum(
        multipliers(program, coefficients @ row)[0] * row
        for program, row in zip(programs, features, strict=True)
    )
    return join(*slopes), np.asarray(gradient / len(programs))


def rule_sides(instance: Rule) -> tuple[Side, Side]:
    """Return quotients of the mean cost, and the mean of multipliers times features, (2,)."""
    return _rule(instance, by_mean=False)


RULE = Theorem(
    id="ts-ddr/gradient-of-a-rule",
    title="The gradient of a decision rule's cost is the mean of multipliers times features",
    source="Rosemberg et al. (2024), the gradient of two-stage rules",
    statement=(
        r"\nabla_\theta\,\mathbb{E}_w\,Q(w; \theta\phi(w)) = \mathbb{E}_w\bigl[\lambda(w)\,"
        r"\phi(w)^\top\bigr]"
    ),
    hypotheses=(
        r"finitely many scenarios $w$; targets linear in features $\phi(w) = (1, w)$",
        "no scenario's value bends at its target",
    ),
    kind="identity",
    sample=sample_rule,
    sides=rule_sides,
    admissible=smooth_rule,
    control=Control(
        name="the mean scenario",
        explanation="Multipliers are taken once, in the programme of the mean inflow.",
        sides=lambda instance: _rule(instance, by_mean=True),
    ),
    sizes=(1,),
    cost=12.0,
)


THEOREMS = (DERIVATIVE, TANGENT, BOUNDED, RULE)
