"""How often DR-RPO's estimates are optimistic, and within the bonus: seeded runs, exact intervals.

The bonus is a stated one, with a proof of its own for finitely many states: next values are convex
combinations of indicators of sets of states, so that a union over the sets is uniform over values.
"""

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import betaincinv

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.bounds import Bounds
from rltheory.analysis.simplex import KL
from rltheory.linear_mdp import memory
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.online import dr_rpo
from rltheory.linear_mdp.planning import plan
from rltheory.linear_mdp.rules import Settings, world_of
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

RUNS, EPISODES = 32, 1000
RIDGE, RADIUS, TEMPERATURE = 0.25, 1 / 16, 1 / 8
FAILURES = Fraction(1, 10)
"""The probability that the stated bonus is allowed to fail with."""

_HORIZON = 3


def covered_model(tape: Tape, actions: int = 2) -> RobustLinearMDP:
    """Return a model of 4 states and a fail state in which every policy excites every factor.

    Pair (s, a) draws factor s + a (modulo 4) with probability 5/8 and the other three with 1/8
    each; half of every measure is even over the 4 states. Total variation, radius 1/16.
    """
    live = 4
    features = np.zeros((live + 1, actions, live + 1))
    features[:live, :, :live] = 1 / 8
    s, a = np.indices((live, actions))
    features[s, a, (s + a) % live] = 5 / 8
    features[live, :, live] = 1.0
    measures = tape.simplex((_HORIZON, live + 1, live + 1)) / 2
    measures[..., :live] += 1 / 8
    measures[:, live] = np.eye(live + 1)[live]
    weights = tape.dyadic((_HORIZON, live + 1))
    weights[:, live] = 0.0
    start = np.append(np.full(live, 1 / live), 0.0)
    return RobustLinearMDP(
        LinearMDP(features, measures, weights, start, live), TotalVariation(RADIUS)
    )


def sample_number(tape: Tape, size: int) -> int:
    """Draw the number of a covered model and its runs, 0 to 3.

    Few, as each is run often: what is known of one is kept.
    """
    return tape.integer(0, 3)


def model_of(number: int) -> RobustLinearMDP:
    """Return a covered model by its number."""
    return covered_model(Tape(seed=number))


def stated_bonus(mdp: LinearMDP, episodes: int, ridge: float, failures: float) -> FloatArray:
    r"""Return scales (H,) that keep all estimates within the bonus with probability 1 - failures.

    For f with values in [0, C] the noise of f at the next states is C/2-sub-Gaussian, so by
    Abbasi-Yadkori et al. (2011), Theorem 1, the noise of all regressions up to `episodes` is
    below C/2 (log det(G / ridge) + 2 log(1/p))^(1/2) in the norm of G^-1, with probability 1 - p,
    and log det(G / ridge) <= d log(1 + K / (ridge d)) as features have norm at most 1. The noise is
    linear in f and its norm convex: largest at some f that is C on a set of states and 0 elsewhere.
    A set and its complement give the same, which leaves 2^(S-1) sets for each of the H - 1 steps
    that have next values. Ridge regression adds a bias of at most C (ridge d)^(1/2). All caps
    min(V, alpha) are such f, and the worst case over total variation moves no more than they do.
    """
    d, horizon, states = mdp.dimension, mdp.horizon, mdp.states
    reach = np.append(mdp.ceilings[1:], 0.0)
    growth = d * np.log1p(episodes / (ridge * d))
    sets = 2 * (np.log((horizon - 1) / failures) + (states - 1) * np.log(2.0))
    return np.asarray(reach * (np.sqrt(growth + sets) / 2 + np.sqrt(ridge * d)))


def clopper_pearson(successes: int, runs: int, tail: float = 0.05) -> Bounds:
    """Return the interval of a probability, each end wrong with probability at most `tail`.

    The exact one of Clopper and Pearson (1934): ends at which as many successes, or as few, have
    probability `tail`.
    """
    low = betaincinv(successes, runs - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, runs - successes, 1 - tail) if successes < runs else 1.0
    return Bounds(np.array(float(low)), np.array(float(high)))


@lru_cache(maxsize=32)
def optimistic_runs(number: int, share: float) -> int:
    """Count the runs whose action values after the last episode are nowhere below the truth.

    share: multiplies the stated bonus.
    """
    model = model_of(number)
    truth = plan(model, temperature=TEMPERATURE)
    rounding = float((truth.upper - truth.lower).max())
    scale = share * stated_bonus(model.nominal, EPISODES, RIDGE, float(FAILURES))
    count = 0
    for run in range(RUNS):
        curve = dr_rpo(
            model,
            temperature=TEMPERATURE,
            bonus=scale,
            episodes=EPISODES,
            ridge=RIDGE,
            seed=RUNS * number + run,
            checkpoints=1,
        )
        count += bool(np.all(curve.learnt.action_values >= truth.action_values - rounding))
    return count


def _optimistic(number: int, share: float) -> tuple[Side, Side]:
    return 1 - FAILURES, clopper_pearson(optimistic_runs(number, share), RUNS)


def optimistic_sides(number: int) -> tuple[Side, Side]:
    """Return the probability promised, and the interval of the one observed."""
    return _optimistic(number, 1.0)


OPTIMISM = Theorem(
    id="dr-rpo/optimism-frequency",
    title="With the stated bonus DR-RPO is optimistic everywhere in nine runs of ten, and more",
    source=(
        "Gu, He, Liu and Xu (2025) for the algorithm; the bonus is derived here, see "
        "`stated_bonus`, from Abbasi-Yadkori, Pal and Szepesvari (2011), Theorem 1"
    ),
    statement=(
        r"\Pr\bigl[\forall h, s, a:\ \hat Q_h(s,a) \ge Q_{\tau,h}(s,a)\bigr] \ge 1 - \delta,\qquad "
        r"\beta_h = \tfrac{C_h}{2}\sqrt{d\log\bigl(1 + \tfrac{K}{\lambda d}\bigr) + 2\log "
        r"\tfrac{(H-1)\,2^{S-1}}{\delta}} + C_h\sqrt{\lambda d}"
    ),
    hypotheses=(
        r"$C_h = H - 1 - h$ the range of the next values; bonus $\beta_h \sum_i \phi_i "
        r"(\Lambda^{-1})_{ii}^{1/2}$, closed-form update, total variation",
        f"the frequency over {RUNS} seeded runs of {EPISODES} episodes in each of four models, "
        r"its ends by Clopper and Pearson, each wrong with probability $1/20$; $\delta = 1/10$",
    ),
    kind="rate",
    sample=sample_number,
    sides=optimistic_sides,
    control=Control(
        name="no bonus",
        explanation="Estimates are used as they are: some action is undervalued in almost any run.",
        sides=lambda number: _optimistic(number, 0.0),
    ),
    sizes=(5,),
    notes=(
        "A frequency, not a proof; the proof is that of `stated_bonus`. A quarter of the bonus is "
        "optimistic in nearly all runs as well, a sixteenth not in all models."
    ),
    sharpness=0.89,
    cost=60.0,
)


def learner_of(model: RobustLinearMDP, bonus: Any, *, temperature: float, ridge: float) -> Learner:
    """Return what `dr_rpo` runs, before the first episode: closed form, uniform reference."""
    settings = Settings(
        name="DR-RPO",
        bonus=bonus,
        bonus_form="factors",
        known_rewards=True,
        temperature=temperature,
    )
    rule = settings.rule(model.nominal, model.uncertainty)
    begun = memory.empty(model.nominal, ridge, norms=False)
    learner = Learner(world_of(model.nominal), rule, begun)
    learner.estimate()
    return learner


@lru_cache(maxsize=32 * RUNS)
def widest_error(number: int, run: int) -> float:
    """Return the largest error of a factor's worst case in a run, in units of its bonus."""
    model = model_of(number)
    mdp = model.nominal
    scale = stated_bonus(mdp, EPISODES, RIDGE, float(FAILURES))
    learner = learner_of(model, scale, temperature=TEMPERATURE, ridge=RIDGE)
    generator = np.random.default_rng([number, run])
    learner.play(generator.random((EPISODES, 1 + 3 * mdp.horizon)))
    q = learner.learnt().action_values
    widest = 0.0
    for h in range(mdp.horizon - 1):
        width = scale[h] * np.sqrt(np.diagonal(learner.memory.inverse[h]))
        values = KL.maximum(q[h + 1], learner.rule.reference[h + 1], TEMPERATURE)
        ball = TotalVariation(model.budgets[h])
        truth, _ = ball.worst_case(values, mdp.measures[h])
        widest = max(widest, float(np.max(np.abs(learner.linear[h] - width - truth) / width)))
    return widest


def widest_details(number: int) -> dict[str, Any]:
    """Return the largest error of each of four runs in units of the bonus."""
    return {"errors in units of the bonus": [widest_error(number, run) for run in range(4)]}


def _within(number: int, share: float) -> tuple[Side, Side]:
    count = sum(widest_error(number, run) <= share for run in range(RUNS))
    return 1 - FAILURES, clopper_pearson(count, RUNS)


def within_sides(number: int) -> tuple[Side, Side]:
    """Return the probability promised, and the interval of the one observed."""
    return _within(number, 1.0)


WITHIN = Theorem(
    id="dr-rpo/error-within-the-bonus",
    title="The worst case of every factor is learnt within its bonus, in nine runs of ten and more",
    source=(
        "Gu, He, Liu and Xu (2025) and Liu and Xu (2024) for the algorithms; the bonus is derived "
        "here, see `stated_bonus`"
    ),
    statement=(
        r"\Pr\Bigl[\forall h, i:\ |\hat\nu_{h,i} - \nu_{h,i}(\hat V_{h+1})| \le \beta_h\, "
        r"(\Lambda_h^{-1})_{ii}^{1/2}\Bigr] \ge 1 - \delta"
    ),
    hypotheses=(
        r"$\hat\nu$ as estimated after the last episode, $\nu(\hat V)$ the worst case of the true "
        r"factors for the values that were estimated; $\beta$ as in dr-rpo/optimism-frequency",
        f"the frequency over {RUNS} seeded runs of {EPISODES} episodes in each of four models, "
        r"its ends by Clopper and Pearson, each wrong with probability $1/20$; $\delta = 1/10$",
    ),
    kind="rate",
    sample=sample_number,
    sides=within_sides,
    control=Control(
        name="a sixteenth of it",
        explanation="Errors are held to a sixteenth of the bonus.",
        sides=lambda number: _within(number, 1 / 16),
    ),
    sizes=(5,),
    notes=(
        "A frequency, not a proof. The estimated values depend on the same data: a bound that "
        "held for fixed values only would say nothing of them."
    ),
    sharpness=0.89,
    cost=60.0,
    details=widest_details,
)


THEOREMS = (OPTIMISM, WITHIN)
