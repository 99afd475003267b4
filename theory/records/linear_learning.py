"""Least-squares value iteration where errors are within the bonus: optimism, and pessimism.

What a confidence bound gives with high probability is here a hypothesis on the instance, so that
the implications of it are exact. Every side is a Fraction. An adversary with balls around factors
is part of the model; with radii of 0 there is none.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Learnt(NamedTuple):
    """A model, bounds (H, d) on the errors of the factors' worst cases, and the errors (H, d)."""

    model: RobustLinearMDP
    bounds: FractionArray
    errors: FractionArray


class Estimate(NamedTuple):
    """Action values (H, S, A) as estimated, values (H + 1, S), and measures (H, d, S) there."""

    action_values: FractionArray
    values: FractionArray
    measures: FractionArray


def sample_learnt(tape: Tape, size: int) -> Learnt:
    """Draw errors within the bounds, on them half of the time; half of the models are plain."""
    model = linear_instances.robust_mdp(
        tape, size, tape.integer(1, 2), tape.integer(1, 3), tape.integer(1, 3)
    )
    if tape.integer(0, 1):
        model = RobustLinearMDP(model.nominal, TotalVariation(0.0))
    shape = model.nominal.reward_weights.shape
    bounds = fractions(tape.dyadic(shape, 0.0, 0.5, bits=4))
    shares = fractions(tape.dyadic(shape, -1.0, 1.0, bits=3))
    if tape.integer(0, 1):
        shares = fractions(np.where(shares > 0, 1, -1))
    return Learnt(model, bounds, bounds * shares)


def estimated(model: Exact, instance: Learnt, scale: Fraction) -> Estimate:
    """Return what least-squares value iteration learns with `scale` times the bounds as bonus.

    Q_h = features . (reward weights + nu_h + errors_h + scale * bounds_h), clipped to [0, H - h]
    for h from 0; nu_h the worst cases of the estimated values.
    """
    horizon, _, states = model.measures.shape
    values = fractions(np.zeros((horizon + 1, states)))
    q, worst = model.rewards, model.measures.copy()
    for h in reversed(range(horizon)):
        worst[h] = linear_instances.worst_measures(model.measures[h], values[h + 1], model.radii[h])
        learnt = worst[h] @ values[h + 1] + instance.errors[h]
        raised = model.features @ (model.weights[h] + learnt + scale * instance.bounds[h])
        q[h] = np.clip(raised, 0, horizon - h)
        values[h] = q[h].max(axis=1)
    return Estimate(q, values, worst)


def _optimism(instance: Learnt, scale: Fraction) -> tuple[Side, Side]:
    model = linear_instances.exact(instance.model)
    return linear_instances.robust(model).action_values, estimated(
        model, instance, scale
    ).action_values


def optimism_sides(instance: Learnt) -> tuple[Side, Side]:
    """Return the robust optimal action values (H, S, A), and their estimates with the bonus."""
    return _optimism(instance, Fraction(1))


OPTIMISM = Theorem(
    id="linear/optimism-from-the-bonus",
    title="A bonus that covers the errors of every step makes the estimates optimistic",
    source=(
        "Jin, Yang, Wang and Jordan (2020), Lemma B.5, for LSVI-UCB; Liu and Xu (2024) for "
        "DR-LSVI-UCB"
    ),
    statement=(
        r"\bigl|\hat\nu_{h,i} - \nu_{h,i}[\hat V_{h+1}]\bigr| \le \beta_{h,i}\ \ \forall h, i"
        r"\quad\Longrightarrow\quad Q^{\star,\rho}_h \le \hat Q_h = \bigl[\phi\cdot(\theta_h + "
        r"\hat\nu_h + \beta_h)\bigr]_0^{H-h+1}"
    ),
    hypotheses=(
        r"$\phi(s,a) \in \Delta_d$, rewards in $[0,1]$, $\hat V_h = \max_a\hat Q_h$; total "
        r"variation of any radii, 0 for the plain linear MDP",
        r"$\nu_{h,i}[V] = \min q\cdot V$ over the ball of $\mu_{h,i}$",
    ),
    kind="inequality",
    sample=sample_learnt,
    sides=optimism_sides,
    control=Control(
        name="half of the bonus",
        explanation="The bonus is half of what the errors may be.",
        sides=lambda instance: _optimism(instance, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    cost=2.0,
    sharpness=0.999,
    notes=(
        "The worst case is monotone in the values, so that optimism of the next step is kept; "
        "clipping is harmless as no action value exceeds the steps to go. Attained where every "
        "error is as low as it can be."
    ),
)


def sample_misled(tape: Tape, size: int) -> Learnt:
    """Draw a model as `sample_learnt`; half of the time one step in which the bad looks as good.

    There the first action's factor is estimated too high and the second's too low, by the bounds;
    the second earns more by twice its bound, and both look the same.
    """
    instance = sample_learnt(tape, size)
    if tape.integer(0, 1):
        return instance
    bounds = fractions(tape.dyadic((1, 2), 0.0, 0.25, bits=6))
    low = float(tape.dyadic((), 0.0, 0.5, bits=6))
    features = np.broadcast_to(np.eye(2), (size, 2, 2))
    nominal = instance.model.nominal.replace(
        features=features,
        measures=tape.simplex((1, 2, size)),
        reward_weights=np.array([[low, low + 2 * float(bounds[0, 1])]]),
    )
    model = RobustLinearMDP(nominal, TotalVariation(0.0))
    return Learnt(model, bounds, bounds * np.array([[1, -1]]))


def _pessimism(instance: Learnt, factor: int) -> tuple[Side, Side]:
    model = linear_instances.exact(instance.model)
    found, best = estimated(model, instance, Fraction(-1)), linear_instances.robust(model)
    played = linear_instances.robust(model, linear_instances.greedy(found.action_values)).values[0]
    bonus = np.array([model.features @ bounds for bounds in instance.bounds])
    kernels = model._replace(measures=found.measures).kernels
    spent = linear_instances.totals(kernels, bonus, linear_instances.greedy(best.action_values))
    return exact.join(found.values[0], best.values[0] - played), exact.join(played, factor * spent)


def pessimism_sides(instance: Learnt) -> tuple[Side, Side]:
    """Return (estimate, V* - V of the greedy policy) and (V of that policy, twice the bonuses)."""
    return _pessimism(instance, 2)


PESSIMISM = Theorem(
    id="linear/pessimism",
    title="A pessimistic policy loses at most twice the bonuses that an optimal one would meet",
    source=(
        "Jin, Yang and Wang (2021), Theorem 4.2, for PEVI; with an adversary as in Liu and Xu "
        "(2024b) for DRPVI, the expectation under one kernel is derived here"
    ),
    statement=(
        r"\hat V_1 \le V^{\hat\pi,\rho}_1,\qquad V^{\star,\rho}_1(s) - V^{\hat\pi,\rho}_1(s) \le "
        r"2\,\mathbb{E}^{\pi^\star,\hat\mu^w}_s\sum_{h=1}^H \phi(s_h,a_h)\cdot\beta_h"
    ),
    hypotheses=(
        r"$|\hat\nu_{h,i} - \nu_{h,i}[\hat V_{h+1}]| \le \beta_{h,i}$, $\hat Q_h = [\phi\cdot("
        r"\theta_h + \hat\nu_h - \beta_h)]_0^{H-h+1}$, $\hat\pi$ greedy for it",
        r"$\phi(s,a) \in \Delta_d$, rewards in $[0,1]$; $\hat\mu^w$ the worst measures for $\hat "
        r"V$: without an adversary $\mu$ itself",
    ),
    kind="inequality",
    sample=sample_misled,
    sides=pessimism_sides,
    control=Control(
        name="once the bonuses",
        explanation="The bonuses are counted once, as if estimates erred to one side only.",
        sides=lambda instance: _pessimism(instance, 1),
    ),
    sizes=(2, 3),
    cost=3.0,
    sharpness=0.999,
    notes=(
        "Only what an optimal policy meets has to be covered by the data, not what any policy "
        "does. The 2 is attained: a good action estimated too low and a bad one too high look "
        "the same."
    ),
)


def _regret(instance: Learnt, *, worst: bool) -> tuple[Side, Side]:
    model = linear_instances.exact(instance.model)
    found, best = estimated(model, instance, Fraction(1)), linear_instances.robust(model)
    rows = linear_instances.greedy(found.action_values)
    played = linear_instances.robust(model, rows)
    bonus = np.array([model.features @ bounds for bounds in instance.bounds])
    kernels = (model._replace(measures=played.measures) if worst else model).kernels
    spent = linear_instances.totals(kernels, bonus, rows)
    regret = found.values[0] - played.values[0]
    return exact.join(best.values[0] - played.values[0], regret), exact.join(regret, 2 * spent)


def regret_sides(instance: Learnt) -> tuple[Side, Side]:
    """Return (V* - V of the greedy policy, estimate - V) and (estimate - V, twice the bonuses)."""
    return _regret(instance, worst=True)


def _unseen(tape: Tape, size: int) -> Learnt:
    """Draw a start that leads to a good state, and a bad one that only the adversary leads to.

    Each state draws a factor of its own; what the bad one earns is estimated too high.
    """
    del size
    measures = np.eye(3)[[1, 1, 2]]
    weights = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, tape.integer(0, 8) / 16]])
    nominal = LinearMDP(np.eye(3)[:, None], np.stack([measures] * 2), weights)
    bounds = fractions(np.zeros((2, 3)))
    bounds[1, 2] = Fraction(tape.integer(1, 4), 16)
    return Learnt(
        RobustLinearMDP(nominal, TotalVariation(tape.integer(1, 16) / 16)), bounds, bounds
    )


REGRET = Theorem(
    id="robust-linear/regret-by-the-bonuses",
    title="An optimistic policy loses at most twice the bonuses that its worst model leads it to",
    source=(
        "Liu and Xu (2024), the regret of DR-LSVI-UCB; Jin, Yang, Wang and Jordan (2020), Lemma "
        "B.6, without an adversary"
    ),
    statement=(
        r"V^{\star,\rho}_1 - V^{\hat\pi,\rho}_1 \le \hat V_1 - V^{\hat\pi,\rho}_1 \le "
        r"2\,\mathbb{E}^{\hat\pi,\mu^{w,\hat\pi}}_s\sum_{h=1}^H \phi(s_h,a_h)\cdot\beta_h"
    ),
    hypotheses=(
        r"$|\hat\nu_{h,i} - \nu_{h,i}[\hat V_{h+1}]| \le \beta_{h,i}$, $\hat Q_h = [\phi\cdot("
        r"\theta_h + \hat\nu_h + \beta_h)]_0^{H-h+1}$, $\hat\pi$ greedy for it",
        r"$\phi(s,a) \in \Delta_d$, rewards in $[0,1]$; $\mu^{w,\hat\pi}$ the worst measures for "
        r"$V^{\hat\pi,\rho}$",
    ),
    kind="inequality",
    sample=sample_learnt,
    sides=regret_sides,
    control=Control(
        name="bonuses where data comes from",
        explanation=(
            "The expectation is under the nominal model, which never leads to a state that the "
            "adversary leads to."
        ),
        sample=_unseen,
        sides=lambda instance: _regret(instance, worst=False),
    ),
    sizes=(2, 3),
    cost=3.0,
    sharpness=0.999,
    notes=(
        "Episodes are played in the nominal model, so that the bonuses met there say nothing of "
        "those in the worst one: hence fail states and coverage in the regret of robust learners. "
        "Attained where every error is as high as it can be."
    ),
)


THEOREMS = (OPTIMISM, PESSIMISM, REGRET)
