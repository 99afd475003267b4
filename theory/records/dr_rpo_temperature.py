"""Regularised robust values in linear MDPs as the temperature and the next values change.

Sides are balls; every temperature has an adversary of its own, who answers its own values.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, linear_instances, soft_linear
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.sides import Side
from rltheory.theory.soft_linear import Soft, Step
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def sample_heated(tape: Tape, size: int) -> Soft:
    """Draw a model, half of the time one whose actions differ little in the end."""
    soft = soft_linear.soft_mdp(tape, size)
    if tape.integer(0, 1):
        return soft
    return soft._replace(model=soft.model._replace(weights=soft.model.weights / 64))


def _chain(parts: list[BallArray]) -> tuple[Side, Side]:
    """Return the sides of first <= second <= ... of values (H + 1, S)."""
    flat = [part[:-1].ravel() for part in parts]
    return (
        balls.to_bounds(np.concatenate(flat[:-1])),
        balls.to_bounds(np.concatenate(flat[1:])),
    )


@precise
def monotone_sides(soft: Soft) -> tuple[Side, Side]:
    """Return (V of the reference, V at 2 t) and (V at 2 t, V at t)."""
    warmer = soft._replace(temperature=2 * soft.temperature)
    anchored = soft_linear.evaluate(soft, soft.reference).values
    return _chain([anchored, soft_linear.optimum(warmer).values, soft_linear.optimum(soft).values])


@precise
def _paid_for_entropy(soft: Soft) -> tuple[Side, Side]:
    # Entropy is log A less the divergence from uniform: an income of t log A in every step.
    actions = soft.reference.shape[-1]
    uniform = np.full(soft.reference.shape, Fraction(1, actions), dtype=object)
    horizon = len(soft.model.measures)
    left = balls.balls(np.arange(horizon, -1.0, -1.0)[:, None])
    values = []
    for share in (2, 1):
        heat = share * soft.temperature
        best = soft_linear.optimum(soft._replace(reference=uniform, temperature=heat)).values
        values.append(best + balls.ball(heat) * balls.ball(actions).log() * left)
    return _chain(values)


MONOTONE = Theorem(
    id="dr-rpo/monotone-in-temperature",
    title="A regularised robust value falls as the temperature rises, not below the reference's",
    source="Derived here; Gu, He, Liu and Xu (2025) for the setting",
    statement=(
        r"V^{\mu}_h \;\le\; V_{\tau',h} \;\le\; V_{\tau,h}\qquad\text{for } \tau \le \tau',\ "
        r"\text{every step and state}"
    ),
    hypotheses=(
        r"$V^\mu$ the robust value of the reference, which pays nothing; here $\tau' = 2\tau$",
        "total-variation balls around every factor; in no state of the last step do all actions "
        "pay the same",
    ),
    kind="inequality",
    sample=sample_heated,
    sides=monotone_sides,
    admissible=soft_linear.decided,
    control=Control(
        name="paid for entropy",
        explanation="The policy is paid for its entropy instead of paying for its divergence.",
        sides=_paid_for_entropy,
    ),
    notes=(
        "The ends meet as the differences between actions vanish against the temperature. An "
        "entropy bonus turns the order round: temperatures of the two forms are not compared alike."
    ),
    sharpness=0.99,
    cost=2.0,
)


def sample_flat(tape: Tape, size: int) -> Soft:
    """Draw a model, or one whose rewards alone depend on the action, two kinds of equal weight."""
    soft = soft_linear.soft_mdp(tape, size)
    if tape.integer(0, 1):
        return soft
    # Every factor leads the same way; the first pays, the second does not, states do not matter.
    horizon = len(soft.model.measures)
    features = fractions(np.zeros((size, 2, 2)))
    features[:, 0, 0] = features[:, 1, 1] = Fraction(1)
    weights = fractions(np.zeros((horizon, 2)))
    weights[:, 0] = Fraction(1, 2 ** tape.integer(0, 3))
    measures = np.repeat(soft.model.measures[:, :1], 2, axis=1)
    radii = np.repeat(soft.model.radii[:, :1], 2, axis=1)
    half = np.full((horizon, size, 2), Fraction(1, 2), dtype=object)
    return Soft(Exact(features, measures, weights, radii), half, soft.temperature)


def _distance(soft: Soft, constant: Fraction) -> tuple[Side, Side]:
    best = soft_linear.optimum(soft)
    anchored = soft_linear.evaluate(soft, soft.reference)
    lost = best.values[:-1] - anchored.values[:-1]
    bounds = []
    total = balls.ball(0)
    for q in best.action_values[::-1]:
        ranges = [balls.largest(row) + balls.largest(-row) for row in q]
        widest = balls.largest(np.array(ranges, dtype=object))
        total += balls.ball(constant / soft.temperature) * (widest * widest)
        bounds.append(np.full(len(q), total, dtype=object))
    return balls.to_bounds(lost.ravel()), balls.to_bounds(np.concatenate(bounds[::-1]))


@precise
def distance_sides(soft: Soft) -> tuple[Side, Side]:
    """Return V_t - V of the reference, and the squared ranges of Q from each step on over 8 t."""
    return _distance(soft, Fraction(1, 8))


@precise
def _half(soft: Soft) -> tuple[Side, Side]:
    return _distance(soft, Fraction(1, 16))


TO_THE_REFERENCE = Theorem(
    id="dr-rpo/to-the-reference",
    title="At high temperature the value comes to the reference's like the inverse temperature",
    source="Derived here from Hoeffding's lemma, step by step; Gu, He, Liu and Xu (2025), setting",
    statement=(
        r"0 \le V_{\tau,h} - V^{\mu}_h \;\le\; \frac{1}{8\tau} \sum_{j \ge h} \max_s "
        r"\operatorname{sp}\bigl(Q_{\tau,j}(s,\cdot)\bigr)^2 \;\le\; \frac{1}{8\tau} "
        r"\sum_{j=h}^{H-1} (H-j)^2"
    ),
    hypotheses=(
        r"$\operatorname{sp}$ is the largest action value of a state less the smallest; the last "
        "bound is for rewards in $[0, 1]$",
        "total-variation balls around every factor, an adversary for each of the two values; in "
        "no state of the last step do all actions pay the same",
    ),
    kind="inequality",
    sample=sample_flat,
    sides=distance_sides,
    admissible=soft_linear.decided,
    control=Control(
        name="half the variance",
        explanation=r"The constant is $1/16$, as for half of the largest variance of a range.",
        sides=_half,
    ),
    notes=(
        "Approached by two actions of equal reference probability whose difference is small "
        "against the temperature, at every step alike."
    ),
    sharpness=0.99,
    cost=2.0,
)


class Shifted(NamedTuple):
    """One step and two values (S,) to back up."""

    step: Step
    values: FractionArray
    others: FractionArray


def sample_shifted(tape: Tape, size: int) -> Shifted:
    """Draw a step, values, and others that differ by nearly a constant half of the time.

    Worst members keep mass everywhere, so that the largest difference is never met exactly.
    """
    step = soft_linear.soft_step(tape, size)
    values = fractions(tape.dyadic(size, -2.0, 2.0))
    if tape.integer(0, 1):
        moves = tape.dyadic(size, -2.0, 2.0)
    else:
        moves = tape.choice((-1.0, 1.0)) * (1.0 - tape.dyadic(size, 0.0, 2.0**-6))
    return Shifted(step, values, values + fractions(moves))


def moved(instance: Shifted) -> bool:
    """Whether the two values differ by something that is not constant."""
    difference = np.abs(instance.values - instance.others)
    return bool(difference.max() > difference.min())


def _backed_up(step: Step, values: FractionArray) -> BallArray:
    member = linear_instances.worst_measures(step.measures, values, step.radii)
    q = soft_linear.step_scores(step, member, values)
    return soft_linear.soft_maximum(balls.balls(q), step.reference, step.temperature)


@precise
def shifted_sides(instance: Shifted) -> tuple[Side, Side]:
    """Return |T V - T V'| in every state, and the sup norm of V - V'."""
    step, values, others = instance
    difference = _backed_up(step, values) - _backed_up(step, others)
    return balls.to_bounds(np.abs(difference)), Fraction(np.abs(values - others).max())


def _off_the_simplex(tape: Tape, size: int) -> Shifted:
    drawn = sample_shifted(tape, size)
    features = fractions(np.zeros((*drawn.step.rewards.shape, 2)))
    # Still sums to 1, as an affine model has it, but one weight is below 0.
    features[..., 0], features[..., 1] = Fraction(2), Fraction(-1)
    measures = fractions(tape.simplex((2, size)))
    radii = fractions(np.zeros(2))
    step = drawn.step._replace(features=features, measures=measures, radii=radii)
    return drawn._replace(step=step)


NONEXPANSIVE = Theorem(
    id="dr-rpo/log-sum-exp-nonexpansive",
    title="One regularised robust backup moves values apart by no more than they were",
    source="Derived here; the soft maximum is nonexpansive as its gradient is a distribution",
    statement=(
        r"\|T V - T V'\|_\infty \le \|V - V'\|_\infty,\qquad (TV)(s) = \tau \log \sum_a \mu(a|s)\, "
        r"\exp\Bigl(\tfrac1\tau\bigl(r(s,a) + \textstyle\sum_i \phi_i(s,a) \inf_{q \in U_i} q "
        r"\cdot V\bigr)\Bigr)"
    ),
    hypotheses=(
        r"features on the simplex; total-variation balls; $V - V'$ is no constant up to sign",
        "the sampler keeps every worst member's mass on every state above 0, so that the bound is "
        "approached and not met",
    ),
    kind="inequality",
    sample=sample_shifted,
    sides=shifted_sides,
    admissible=moved,
    control=Control(
        name="features off the simplex",
        explanation="The features of a pair are 2 and -1: they sum to 1, and mix nothing.",
        sample=_off_the_simplex,
    ),
    notes=(
        "Attained by a shift of all values. Over a horizon, errors of estimated values add up and "
        "are not multiplied: it is what the analysis of optimism rests on."
    ),
    sharpness=0.98,
)


THEOREMS = (MONOTONE, TO_THE_REFERENCE, NONEXPANSIVE)
