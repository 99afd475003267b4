"""Robust linear MDPs whose policy pays for divergence: backward induction in balls.

V_h = max over pi of E_pi[Q_h] - temperature KL(pi, reference_h), Q_h = r_h + features . nu_h, with
nu_h,i the worst case of factor i over its total-variation ball. Data are Fractions; values are
balls, as exponentials enter. A worst case is enclosed from both sides: what the dual shows at some
level is never above it, and what some member has is never below it.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.uncertainty.rational import strip
from rltheory.theory import balls, linear_instances
from rltheory.theory.balls import BallArray
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.tape import Tape


class Soft(NamedTuple):
    """A robust linear MDP, a reference policy (H, S, A) in Fractions, and what a nat costs."""

    model: Exact
    reference: FractionArray
    temperature: Fraction


class Valued(NamedTuple):
    """Values (H + 1, S) and action values (H, S, A), balls; worst measures (H, d, S), Fractions."""

    values: BallArray
    action_values: BallArray
    measures: FractionArray


class Step(NamedTuple):
    """One step: features, measures (d, S), radii (d,), rewards, reference (S, A), temperature."""

    features: FractionArray
    measures: FractionArray
    radii: FractionArray
    rewards: FractionArray
    reference: FractionArray
    temperature: Fraction


def reference(tape: Tape, shape: tuple[int, ...]) -> FractionArray:
    """Return a reference, each action with a probability above 0: uniform in a third of cases."""
    if tape.integer(0, 2) == 0:
        return np.full(shape, Fraction(1, shape[-1]), dtype=object)
    weights = fractions(tape.dyadic(shape, 2.0**-6, 1.0))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def soft_mdp(tape: Tape, states: int) -> Soft:
    """Draw 2 or 3 actions, factors and steps, and a temperature from 1/4 to 4."""
    model = linear_instances.exact(
        linear_instances.robust_mdp(
            tape, states, tape.integer(2, 3), tape.integer(2, 3), tape.integer(2, 3)
        )
    )
    return Soft(model, reference(tape, model.rewards.shape), Fraction(2) ** tape.integer(-2, 2))


def soft_step(tape: Tape, states: int) -> Step:
    """Draw a step whose worst members keep mass on every state; 2 or 3 actions and factors."""
    actions, factors = tape.integer(2, 3), tape.integer(2, 3)
    mdp = linear_instances.linear_mdp(tape, states, actions, factors, 1)
    return Step(
        fractions(mdp.features),
        (fractions(mdp.measures[0]) + Fraction(1, states)) / 2,
        fractions(tape.dyadic(factors, 2.0**-4, 1.0, bits=4)) / (4 * states),
        fractions(mdp.rewards[0]),
        reference(tape, (states, actions)),
        Fraction(2) ** tape.integer(-2, 2),
    )


def step_scores(step: Step, measures: FractionArray, values: FractionArray) -> FractionArray:
    """Return r + features . (measures @ values), (S, A)."""
    return np.asarray(step.rewards + step.features @ (measures @ values))


def decided(soft: Soft) -> bool:
    """Whether in every state some action of the last step pays more than another.

    Where none does, the regularised value is the plain one and enclosures could not tell.
    """
    last = soft.model.rewards[-1]
    return bool(np.all(last.max(axis=1) - last.min(axis=1) >= Fraction(1, 2**16)))


def optimum(soft: Soft) -> Valued:
    """Return the best values of the regularised robust problem."""
    return _backward(soft, None)


def evaluate(soft: Soft, rows: FractionArray) -> Valued:
    """Return the robust values of a policy (H, S, A), less what it pays."""
    return _backward(soft, rows)


def soft_maximum(scores: BallArray, prior: FractionArray, temperature: Fraction) -> BallArray:
    """Return temperature * log sum_a prior exp(score / temperature), over the last axis."""
    weights = balls.balls(prior) * balls.exp(scores / balls.ball(temperature))
    return np.asarray(balls.ball(temperature) * balls.log(weights.sum(axis=-1)))


def gibbs(scores: BallArray, prior: FractionArray, temperature: Fraction) -> BallArray:
    """Return prior exp(score / temperature), normalised over the last axis."""
    weights = balls.balls(prior) * balls.exp(scores / balls.ball(temperature))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def divergence(rows: FractionArray, other: FractionArray | BallArray) -> BallArray:
    """Return KL(row, other) over the last axis; rows of Fractions, zeros allowed."""
    terms = np.empty(rows.shape, dtype=object)
    terms.ravel()[:] = [
        balls.ball(p) * (balls.ball(p) / _as_ball(q)).log() if p else balls.ball(0)
        for p, q in zip(rows.ravel(), other.ravel(), strict=True)
    ]
    return np.asarray(terms.sum(axis=-1))


def soft_divergence(rows: BallArray, other: BallArray) -> BallArray:
    """Return KL(row, other) over the last axis, of positive balls."""
    return np.asarray((rows * (balls.log(rows) - balls.log(other))).sum(axis=-1))


def nearby(policy: BallArray, bits: int = 24) -> FractionArray:
    """Return rows of Fractions, multiples of 2 ** -bits, near rows of balls."""
    whole = 2**bits
    parts = np.array([Fraction(round(float(p.mid()) * whole), whole) for p in policy.ravel()])
    rows = parts.reshape(policy.shape)
    largest = np.expand_dims(rows.argmax(axis=-1), -1)
    rest = 1 - rows.sum(axis=-1, keepdims=True)
    top = np.take_along_axis(rows, largest, -1)
    np.put_along_axis(rows, largest, top + rest, -1)
    return rows


def _backward(soft: Soft, rows: FractionArray | None) -> Valued:
    model, prior, temperature = soft
    horizon, _, states = model.measures.shape
    values = balls.balls(np.zeros((horizon + 1, states)))
    q, measures = balls.balls(model.rewards), model.measures.copy()
    features = balls.balls(model.features)
    for h in reversed(range(horizon)):
        nu, measures[h] = worst_cases(model.measures[h], values[h + 1], model.radii[h])
        q[h] = q[h] + features @ nu
        if rows is None:
            values[h] = soft_maximum(q[h], prior[h], temperature)
        else:
            paid = balls.ball(temperature) * divergence(rows[h], prior[h])
            values[h] = (balls.balls(rows[h]) * q[h]).sum(axis=-1) - paid
    return Valued(values, q, measures)


def worst_cases(
    measures: FractionArray, values: BallArray, radii: FractionArray
) -> tuple[BallArray, FractionArray]:
    """Return the worst cases (d,) of total-variation balls, and members (d, S) that have them."""
    middles = np.array([x.mid() for x in values], dtype=object)
    least = -balls.largest(-values)
    found, members = [], measures.copy()
    for i, (row, radius) in enumerate(zip(measures, radii, strict=True)):
        members[i] = strip(row, middles, radius)
        chances, price = balls.balls(row), balls.ball(radius)
        shown = [
            sum(p * v.min(level) for p, v in zip(chances, values, strict=True))
            - price * (level - least)
            for level in values
        ]
        dual = balls.largest(np.array(shown, dtype=object))
        found.append(dual.union(balls.balls(members[i]) @ values))
    return np.array(found, dtype=object), members


def _as_ball(number: Any) -> Any:
    return balls.ball(number) if isinstance(number, Fraction | int | float) else number
