"""Mirror descent policy optimisation: its exact step, its inner steps, and the average of a run."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, dual, exact, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.mirror_descent import (
    Mirror,
    ball_action_values,
    ball_values,
)
from rltheory.theory.records.occupancy import advantages
from rltheory.theory.records.policy_gradient import (
    Direction,
    moving_policy,
    performance,
    sample_direction,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SOURCE = "Tomar, Shani, Efroni and Ghavamzadeh (2022)"


class Inner(NamedTuple):
    """A mirror step, another policy (S, A), the share of an inner step, and their number."""

    mirror: Mirror
    other: FractionArray
    share: Fraction
    steps: int


def sample_inner(tape: Tape, size: int) -> Inner:
    """Draw an MDP, positive policies, a step 2^k other than 1, and inner steps."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    weights = fractions(tape.dyadic((2, size, model.actions), 2.0**-6, 1.0))
    policy, other = weights / weights.sum(axis=2, keepdims=True)
    step = Fraction(2) ** tape.choice((-2, -1, 1, 2))
    return Inner(
        Mirror(model, policy, step), other, Fraction(tape.integer(1, 7), 8), tape.integer(2, 5)
    )


def stepped(mirror: Mirror, exponent: Fraction) -> BallArray:
    """Return pi exp(exponent * Q^pi), normalised in every state, as balls (S, A)."""
    mdp, policy, _ = mirror
    q = exact.action_values(mdp, exact.policy_values(mdp, policy))
    return balls.softmax(balls.log(balls.balls(policy)) + balls.balls(exponent * q))


def _divergence(first: BallArray, second: BallArray) -> BallArray:
    return np.asarray((first * (balls.log(first) - balls.log(second))).sum(axis=1))


def _objective(inner: Inner, exponent: Fraction) -> tuple[Side, Side]:
    """Return the other policy's objective plus its divergence from the step, and the step's."""
    mdp, policy, step = inner.mirror
    visited = balls.balls(exact.visits(mdp, policy))
    old, gain = balls.balls(policy), balls.balls(advantages(mdp, policy))
    new, other = stepped(inner.mirror, exponent), balls.balls(inner.other)
    worth = [
        visited @ ((rows * gain).sum(axis=1) - _divergence(rows, old) / balls.ball(step))
        for rows in (other, new)
    ]
    back = visited @ _divergence(other, new) / balls.ball(step)
    return balls.to_bounds(worth[0] + back), balls.to_bounds(worth[1])


@precise
def objective_sides(inner: Inner) -> tuple[Side, Side]:
    """Return the objective of any policy with its pushback, and that of the mirror step."""
    return _objective(inner, inner.mirror.step)


@precise
def _inverse(inner: Inner) -> tuple[Side, Side]:
    return _objective(inner, 1 / inner.mirror.step)


CLOSED_FORM = Theorem(
    id="mdpo/closed-form",
    title="The exact iteration is the old policy times exp(t Q), and by how much others lose",
    source=f"{_SOURCE}, the on-policy update; the equality derived here",
    statement=(
        r"F(p) + \tfrac1t\,\mathbb{E}_{d}\,\mathrm{KL}(p\|\pi') = F(\pi')\ \text{ for all } p,"
        r"\qquad F(p) = \mathbb{E}_{s\sim d}\bigl[\langle A^{\pi}, p\rangle - \tfrac1t\,"
        r"\mathrm{KL}(p\|\pi)\bigr],\quad \pi' \propto \pi\,e^{t Q^\pi}"
    ),
    hypotheses=(r"$d = d^\pi_\rho$ the visits of the old policy; $\pi > 0$, $t > 0$",),
    kind="identity",
    sample=sample_inner,
    sides=objective_sides,
    control=Control(
        name="exponent Q / t",
        explanation=r"The step is $\pi' \propto \pi\,e^{Q^\pi/t}$, $t$ taken for its inverse.",
        sides=_inverse,
    ),
    notes=(
        r"With $\pi$ in the divergence replaced by the uniform policy it is the actor's target of "
        r"SAC at temperature $1/t$, whose old policy does not matter."
    ),
    cost=2.0,
)


def _repeated(inner: Inner, exponent: Callable[[Inner], Fraction]) -> tuple[Side, Side]:
    """Return the policy after inner natural steps, and one mirror step of another size."""
    mdp, policy, step = inner.mirror
    q = exact.action_values(mdp, exact.policy_values(mdp, policy))
    old, share = balls.log(balls.balls(policy)), balls.ball(inner.share)
    logs = old
    for _ in range(inner.steps):
        # The Fisher matrix takes the gradient pi (h - <pi, h>) back to h, up to a constant.
        logs = logs + share * (balls.balls(step * q) - (logs - old))
        logs = balls.log(balls.softmax(logs))
    return balls.to_bounds(balls.exp(logs).ravel()), balls.to_bounds(
        stepped(inner.mirror, exponent(inner)).ravel()
    )


@precise
def repeated_sides(inner: Inner) -> tuple[Side, Side]:
    """Return the policies of some inner steps and of one shorter mirror step, (S A,) each."""
    return _repeated(inner, lambda x: x.mirror.step * (1 - (1 - x.share) ** x.steps))


@precise
def _added_up(inner: Inner) -> tuple[Side, Side]:
    return _repeated(inner, lambda x: x.mirror.step * x.share * x.steps)


INNER = Theorem(
    id="mdpo/inner-steps",
    title="A few natural inner steps are one exact mirror step of a smaller size",
    source=f"Derived here, for the inner loop of {_SOURCE}",
    statement=(
        r"\theta_{j+1} = \theta_j + \beta\,F^\dagger\,\nabla_\theta\bigl(t\langle\pi_\theta, Q"
        r"\rangle - \mathrm{KL}(\pi_\theta\|\pi_k)\bigr)\implies \pi_{\theta_m} \propto \pi_k\,"
        r"\exp\bigl(t\,(1 - (1-\beta)^m)\,Q\bigr)"
    ),
    hypotheses=(
        r"softmax logits of every state, started at $\pi_k > 0$; $Q = Q^{\pi_k}$ is kept; "
        r"$0 < \beta < 1$, $m \ge 2$",
    ),
    kind="identity",
    sample=sample_inner,
    sides=repeated_sides,
    control=Control(
        name="steps add up",
        explanation=r"The size is $t m \beta$, as if the divergence did not push back.",
        sides=_added_up,
    ),
    notes=(
        "The rates of mirror descent therefore hold for any number of inner steps, with the "
        "smaller size."
    ),
)


class Moving(NamedTuple):
    """A policy that moves along a direction, weights (S, A) of the old one, and 1 / t."""

    direction: Direction
    old: FractionArray
    weight: Fraction


def sample_moving(tape: Tape, size: int) -> Moving:
    """Draw a direction, another policy and a weight of the divergence."""
    direction = sample_direction(tape, size)
    old = fractions(tape.dyadic(direction.weights.shape, 0.25, 4.0))
    return Moving(direction, old, Fraction(2) ** tape.integer(-2, 2))


def _first(moving: Moving, old: FractionArray) -> tuple[Side, Side]:
    """Return the slope of the return, and of the objective around an old policy's weights."""
    direction = moving.direction
    policy = moving_policy(direction)
    current = direction.weights / direction.weights.sum(axis=1, keepdims=True)
    before = old / old.sum(axis=1, keepdims=True)
    visited = balls.balls(exact.visits(direction.mdp, current))
    ratios = balls.log(balls.balls(current / before))
    pull = balls.balls(advantages(direction.mdp, current)) - balls.ball(moving.weight) * ratios
    slope = visited @ (balls.balls(dual.slopes_of(policy)) * pull).sum(axis=1)
    gain = (1 - Fraction(direction.mdp.discount)) * performance(direction.mdp, policy).slope
    return gain, balls.to_bounds(slope)


@precise
def first_sides(moving: Moving) -> tuple[Side, Side]:
    """Return the slopes of the return and of the first inner step's objective."""
    return _first(moving, moving.direction.weights)


@precise
def _later(moving: Moving) -> tuple[Side, Side]:
    return _first(moving, moving.old)


FIRST = Theorem(
    id="mdpo/first-inner-step",
    title="The first inner step is a policy gradient step: the divergence plays no part in it",
    source=f"Derived here; {_SOURCE} take several inner steps for this reason",
    statement=(
        r"(1-\gamma)\,\nabla_\theta V^{\pi_\theta}(\rho) = \nabla_\theta\,\mathbb{E}_{s\sim d}"
        r"\bigl[\langle A^{\pi_k}, \pi_\theta\rangle - \tfrac1t\,\mathrm{KL}(\pi_\theta\|\pi_k)"
        r"\bigr]\quad\text{at } \pi_\theta = \pi_k,\ d = d^{\pi_k}_\rho"
    ),
    hypotheses=(
        r"$\pi_\theta(a|s) = \theta_{sa} / \sum_b \theta_{sb}$, $\theta > 0$, along a random "
        "direction; left by dual numbers through elimination",
    ),
    kind="identity",
    sample=sample_moving,
    sides=first_sides,
    control=Control(
        name="a later inner step",
        explanation="The divergence is from another policy, as it is after the first step.",
        sides=_later,
    ),
)


class Run(NamedTuple):
    """An MDP with a uniform start, a step size and a number of iterations."""

    mirror: Mirror
    iterations: int


def sample_run(tape: Tape, size: int) -> Run:
    """Draw an MDP, half of the time without a future, a step 2^k and iterations."""
    factor = 0.0 if tape.integer(0, 1) else instances.discount(tape)
    model = instances.mdp(tape, size, tape.integer(2, 3), factor)
    policy = np.full(model.rewards.shape, Fraction(1, model.actions), dtype=object)
    step = Fraction(2) ** tape.integer(-2, 8)
    return Run(Mirror(model, policy, step), tape.integer(1, 3))


def _averaged(run: Run, *, priced: bool) -> tuple[Side, Side]:
    """Return the mean suboptimality of the first T policies and its bound."""
    mdp, start, step = run.mirror
    best, judged = exact.optimal_values(mdp), fractions(mdp.initial)
    weights = balls.balls(exact.visits(mdp, exact.optimal_policy(mdp)))
    horizon = balls.ball(1 / (1 - Fraction(mdp.discount)))
    logits, total = balls.log(balls.balls(start)), balls.ball(0)
    first = values = ball_values(mdp, balls.softmax(logits))
    for _ in range(run.iterations):
        total += balls.balls(judged) @ (balls.balls(best) - values)
        logits = logits + balls.ball(step) * ball_action_values(mdp, values)
        values = ball_values(mdp, balls.softmax(logits))
    price = balls.ball(mdp.actions).log() / balls.ball(step) if priced else balls.ball(0)
    bound = horizon * (price + weights @ (values - first)) / run.iterations
    return balls.to_bounds(total / run.iterations), balls.to_bounds(bound)


@precise
def averaged_sides(run: Run) -> tuple[Side, Side]:
    """Return the mean suboptimality of a run and what its start and end say of it."""
    return _averaged(run, priced=True)


@precise
def _unpriced(run: Run) -> tuple[Side, Side]:
    return _averaged(run, priced=False)


AVERAGE = Theorem(
    id="mdpo/average-of-a-run",
    title="The mean suboptimality of a run is the distance at its start and what it gained, over T",
    source=(
        "Agarwal, Kakade, Lee and Mahajan (2021), proof of Theorem 16, with the terms of the "
        "instance kept (derived here)"
    ),
    statement=(
        r"\frac1T\sum_{k<T}V^*(\rho) - V^{\pi_k}(\rho) \le \frac{1}{(1-\gamma)\,T}\Bigl("
        r"\frac{\log A}{t} + V^{\pi_T}(d^*) - V^{\pi_0}(d^*)\Bigr),\qquad \pi_{k+1} \propto \pi_k\,"
        r"e^{t Q^{\pi_k}}"
    ),
    hypotheses=(r"$\pi_0$ uniform, $t > 0$; $d^*$ the visits of an optimal policy from $\rho$",),
    kind="inequality",
    sample=sample_run,
    sides=averaged_sides,
    control=Control(
        name="no price of the start",
        explanation=r"The term $\log A / t$ is dropped.",
        sides=_unpriced,
    ),
    notes="Approached by one large step where there is no future.",
    sharpness=0.98,
    cost=3.0,
)


THEOREMS = (CLOSED_FORM, INNER, FIRST, AVERAGE)
