"""Regularised robust planning in linear MDPs: what the backward recursion attains, and its losses.

Policies are judged against the measures that are worst for them, recomputed for each; sides are
balls. The regulariser is temperature times KL(policy, reference), paid at every step.
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
from rltheory.theory.soft_linear import Soft, Valued
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Play(NamedTuple):
    """A regularised robust linear MDP and a policy (H, S, A) in Fractions."""

    soft: Soft
    policy: FractionArray


@precise
def sample_near(tape: Tape, size: int) -> Play:
    """Draw any policy half of the time, else one near the optimum but off it in every state."""
    soft = soft_linear.soft_mdp(tape, size)
    rows = fractions(tape.simplex(soft.reference.shape))
    if tape.integer(0, 1):
        best = soft_linear.gibbs(
            soft_linear.optimum(soft).action_values, soft.reference, soft.temperature
        )
        rows = soft_linear.nearby(best)
        # Towards the least likely action, which is far from certain: a gap that balls can see.
        rarest = fractions(np.eye(rows.shape[-1])[rows.argmin(axis=-1)])
        rows = rows + (rarest - rows) / 2 ** tape.integer(4, 12)
    return Play(soft, rows)


def _flat(array: BallArray) -> BallArray:
    return np.asarray(array[:-1].ravel())


@precise
def backward_sides(play: Play) -> tuple[Side, Side]:
    """Return the policy's values and the recursion's, of all steps and states."""
    best, own = soft_linear.optimum(play.soft), soft_linear.evaluate(*play)
    return balls.to_bounds(_flat(own.values)), balls.to_bounds(_flat(best.values))


@precise
def _unpaid(play: Play) -> tuple[Side, Side]:
    model, rows = play.soft.model, play.policy
    free = linear_instances.robust(model, rows).values
    best = soft_linear.optimum(play.soft).values
    return balls.to_bounds(_flat(balls.balls(free))), balls.to_bounds(_flat(best))


BACKWARD = Theorem(
    id="dr-rpo/backward-optimality",
    title="No policy beats the regularised robust recursion, at any step and state",
    source=(
        "Derived here for the setting of Gu, He, Liu and Xu (2025): d-rectangular linear MDPs, a "
        "policy regularised by a reference"
    ),
    statement=(
        r"V^\pi_h(s) \le V_h(s) = \tau \log \sum_a \mu_h(a|s)\,e^{Q_h(s,a)/\tau}\ \text{ for all } "
        r"\pi,\qquad Q_h = r_h + \phi\cdot\nu_h,\quad \nu_{h,i} = \inf_{q \in U_{h,i}} q\cdot "
        r"V_{h+1}"
    ),
    hypotheses=(
        r"$V^\pi_h = \mathbb{E}_\pi[r_h + \phi\cdot\nu^\pi_h] - \tau\,\mathrm{KL}(\pi_h\|\mu_h)$, "
        r"$\nu^\pi$ the worst case for $V^\pi$; $\mu > 0$, $\tau > 0$",
        "total-variation balls around every factor, features on the simplex; in no state of the "
        "last step do all actions pay the same, where the reference would be optimal itself",
    ),
    kind="inequality",
    sample=sample_near,
    sides=backward_sides,
    admissible=lambda play: soft_linear.decided(play.soft),
    control=Control(
        name="regulariser forgotten",
        explanation="The policy's values do not pay for its divergence, the optimum's do.",
        sides=_unpaid,
    ),
    notes=(
        "Attained by the softmax around the reference, approached by policies near it. The "
        "adversary answers each policy anew, backward as well: every step has a saddle point, "
        "as the worst case of a factor does not depend on the policy of its own step."
    ),
    sharpness=0.9999,
    cost=2.0,
)


def _steps_left(model: Exact) -> FractionArray:
    """Return H - h for h = 0, ..., H - 1 as a column (H, 1)."""
    horizon = len(model.measures)
    return np.array([[Fraction(horizon - h)] for h in range(horizon)], dtype=object)


def sample_gap(tape: Tape, size: int) -> Soft:
    """Draw a model, or one where a choice hardly matters, or one rare choice is all that pays."""
    soft = soft_linear.soft_mdp(tape, size)
    kind = tape.integer(0, 2)
    if kind == 0:
        return soft
    model, prior = soft.model, soft.reference
    actions, factors = prior.shape[-1], model.features.shape[-1]
    if kind == 1:
        return soft._replace(model=model._replace(weights=model.weights / 64))
    # The first action draws the first factor, which pays; the others the last, which does not.
    features = fractions(np.zeros((size, actions, factors + 1)))
    features[:, 0, 0], features[:, 1:, factors] = Fraction(1), Fraction(1)
    weights = fractions(np.zeros((len(model.weights), factors + 1)))
    weights[:, 0] = Fraction(3)
    measures = np.concatenate([model.measures, model.measures[:, :1]], axis=1)
    radii = np.concatenate([model.radii, model.radii[:, :1]], axis=1)
    rare = np.full(prior.shape, Fraction(7, 8) / (actions - 1), dtype=object)
    rare[..., 0] = Fraction(1, 8)
    return Soft(Exact(features, measures, weights, radii), rare, Fraction(1, 4))


def _sandwich(soft: Soft, steps: FractionArray) -> tuple[Side, Side]:
    plain = balls.balls(linear_instances.robust(soft.model).values[:-1])
    regularised = soft_linear.optimum(soft).values[:-1]
    least = balls.ball(soft.reference.min())
    price = -balls.balls(soft.temperature * steps) * least.log()
    price = np.broadcast_to(price, plain.shape)
    left = np.concatenate([(plain - regularised).ravel(), regularised.ravel()])
    return balls.to_bounds(left), balls.to_bounds(np.concatenate([price.ravel(), plain.ravel()]))


@precise
def sandwich_sides(soft: Soft) -> tuple[Side, Side]:
    """Return (V - V_t, V_t) and ((H - h) t log(1 / min reference), V)."""
    return _sandwich(soft, _steps_left(soft.model))


@precise
def _one_step(soft: Soft) -> tuple[Side, Side]:
    return _sandwich(soft, _steps_left(soft.model) ** 0)


SANDWICH = Theorem(
    id="dr-rpo/sandwich",
    title="Regularising a robust value costs at most the steps left times the log of the reference",
    source="Derived here; Gu, He, Liu and Xu (2025) for the setting",
    statement=(
        r"V_h - (H-h)\,\tau\,\log\frac{1}{\min \mu} \;\le\; V_{\tau,h} \;\le\; V_h,\qquad h = 0, "
        r"\dots, H-1;\quad \log\tfrac{1}{\min\mu} = \log A \text{ for the uniform reference}"
    ),
    hypotheses=(
        r"$V$ the robust optimum, $V_\tau$ the one that pays $\tau\,\mathrm{KL}(\pi\|\mu)$, both "
        "against the same total-variation balls",
        "no state of the last step in which all actions pay the same, which would meet the upper "
        "end exactly",
    ),
    kind="inequality",
    sample=sample_gap,
    sides=sandwich_sides,
    admissible=soft_linear.decided,
    control=Control(
        name="horizon forgotten",
        explanation=r"The whole loss is bounded by one step of $\tau\log(1/\min\mu)$.",
        sides=_one_step,
    ),
    notes=(
        "The lower end is approached where one action that the reference hardly takes pays far "
        "more than the others, at every step; the upper one where actions differ little against "
        "the temperature. The adversary's answers differ on the two sides, and cost nothing: a "
        "worst case moves no more than its values do."
    ),
    sharpness=0.99,
    cost=2.0,
)


def sample_play(tape: Tape, size: int) -> Play:
    """Draw a model and any policy."""
    soft = soft_linear.soft_mdp(tape, size)
    return Play(soft, fractions(tape.simplex(soft.reference.shape)))


def _start(states: int) -> FractionArray:
    """Return a distribution (S,) that favours the first states."""
    weights = np.array([Fraction(states - s) for s in range(states)], dtype=object)
    return np.asarray(weights / weights.sum())


def _decomposed(play: Play, own: Valued, measures: FractionArray) -> tuple[Side, Side]:
    """Return the loss of a policy from the start, and what it loses step by step on `measures`."""
    soft, rows = play
    best = soft_linear.optimum(soft)
    policy = soft_linear.gibbs(best.action_values, soft.reference, soft.temperature)
    start = _start(rows.shape[1])
    loss = balls.balls(start) @ (best.values[0] - own.values[0])
    kernels = np.array([soft.model.features @ step for step in measures])
    there = linear_instances.visits(kernels, rows, start)
    total = balls.ball(0)
    for h, chances in enumerate(there):
        strayed = balls.ball(soft.temperature) * soft_linear.divergence(rows[h], policy[h])
        # What the measures make of the optimal values, above their own worst case.
        spared = balls.balls(measures[h]) @ best.values[h + 1] - _worst(soft, best, h)
        total += balls.balls(chances.sum(axis=1)) @ strayed
        total -= (balls.balls(chances) * (balls.balls(soft.model.features) @ spared)).sum()
    return balls.to_bounds(loss), balls.to_bounds(total)


def _worst(soft: Soft, valued: Valued, h: int) -> BallArray:
    model = soft.model
    return soft_linear.worst_cases(model.measures[h], valued.values[h + 1], model.radii[h])[0]


@precise
def decomposition_sides(play: Play) -> tuple[Side, Side]:
    """Return the regret of one episode, and its sum over the play of the policy's worst model."""
    own = soft_linear.evaluate(*play)
    return _decomposed(play, own, own.measures)


@precise
def _nominally(play: Play) -> tuple[Side, Side]:
    return _decomposed(play, soft_linear.evaluate(*play), play.soft.model.measures)


DECOMPOSITION = Theorem(
    id="dr-rpo/regret-decomposition",
    title="A policy's regularised robust regret, step by step in the model that is worst for it",
    source=(
        "Derived here; the robust counterpart of Shani, Efroni and Mannor (2020), Lemma 1, with "
        "the performance difference of Kakade and Langford (2002)"
    ),
    statement=(
        r"V_0 - V^\pi_0 = \sum_{h<H} \mathbb{E}^{\pi,\,q^\pi}\Bigl[\tau\,\mathrm{KL}\bigl(\pi_h\|"
        r"\pi^*_h\bigr) - \phi\cdot\bigl(q^\pi_h V_{h+1} - \nu_h\bigr)\Bigr],\qquad \nu_{h,i} = "
        r"\inf_{q\in U_{h,i}} q\cdot V_{h+1} \le q^\pi_{h,i} V_{h+1}"
    ),
    hypotheses=(
        r"$V$ the regularised robust optimum with policy $\pi^* \propto \mu\,e^{Q/\tau}$",
        r"$q^\pi$ the worst measures for $\pi$, in total-variation balls; states are visited as "
        r"$\pi$ does under $q^\pi$",
    ),
    kind="identity",
    sample=sample_play,
    sides=decomposition_sides,
    control=Control(
        name="nominal kernel",
        explanation="Visits and next values are those of the nominal model.",
        sides=_nominally,
    ),
    notes=(
        r"The second term is never positive, so the regret is at most $\tau$ times the expected "
        "divergence from the optimal policy under the worst model of the policy played: where "
        "that model goes, and the data do not, coverage is missing. Where several measures are "
        "worst, any of them does."
    ),
    cost=2.0,
)


THEOREMS = (BACKWARD, SANDWICH, DECOMPOSITION)
