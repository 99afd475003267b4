"""Robust policy iteration: every improvement beats a robust backup, hence the rate and the end.

Total variation, L1, L-infinity, interval and contamination sets, (s,a)-rectangular; every side is
a Fraction.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, instances, robust_exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.policy_iteration import mending_chain
from rltheory.theory.records.robust_operator import draw_set
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Start(NamedTuple):
    """A robust MDP and a first policy, deterministic rows (S, A)."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet
    policy: FractionArray


Judge = Callable[[Start, FractionArray], FractionArray]
"""The action values (S, A) by which a policy of given robust values (S,) is improved."""


def sample_start(tape: Tape, size: int) -> Start:
    """Draw the mending chain, with a small radius or none, or a random model, and a policy."""
    if tape.integer(0, 2) == 0:
        chain = mending_chain(instances.discount(tape, low=1), size)
        radius = tape.integer(0, 2) / 256
        first = one_hot(chain.actions, chain.mdp.actions)
        return Start(chain.mdp, TotalVariation(radius), fractions(first))
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, low=1))
    actions = np.array([tape.integer(0, model.actions - 1) for _ in range(size)])
    return Start(model, draw_set(tape, model), fractions(one_hot(actions, model.actions)))


def iterates(start: Start, judge: Judge) -> list[FractionArray]:
    """Return the robust values (S,) of the policies in turn, A^S of them at most.

    Rows change where that is strictly better by the judge; the last policy is one that it leaves
    as it is, or of the number at which the theorem says that it would have stopped.
    """
    mdp, uncertainty, policy = start
    path: list[FractionArray] = []
    for _ in range(mdp.actions**mdp.states):
        values = robust_exact.evaluate(mdp, uncertainty, policy).values
        path.append(values)
        q = judge(start, values)
        gains = q.max(axis=1) > values
        if not gains.any():
            break
        policy = np.where(gains[:, None], fractions(exact.last_greedy(q)), policy)
    return path


def robustly(start: Start, values: FractionArray) -> FractionArray:
    """Return the robust backup of the values: every action is judged at its worst row."""
    return robust_exact.robust_backup(start.mdp, start.uncertainty, values)


def _nominally(start: Start, values: FractionArray) -> FractionArray:
    return exact.action_values(start.mdp, values)


def _iterated(start: Start, judge: Judge) -> tuple[Side, Side]:
    path, discount = iterates(start, judge), Fraction(start.mdp.discount)
    backed = [robustly(start, values).max(axis=1) for values in path]
    # Values that no backup raises are at least the fixed point, the optimum.
    best = iterates(start, robustly)[-1]
    losses = [supremum(best - values) for values in path]
    rates = [discount**k * losses[0] for k in range(len(path))]
    return exact.join(*path, *backed, *losses), exact.join(*backed, *path[1:], path[-1], *rates)


def iteration_sides(start: Start) -> tuple[Side, Side]:
    """Return (V_k, T V_k, losses) and (T V_k, V_k+1, g^k times the first loss); V_K+1 = V_K."""
    return _iterated(start, robustly)


def _against_the_nominal_rows(start: Start) -> tuple[Side, Side]:
    return _iterated(start, _nominally)


RATE = Theorem(
    id="robust/policy-iteration-rate",
    title="Robust policy iteration is no slower than robust value iteration, and ends",
    source=(
        "Iyengar (2005), section 3; Kaufman and Schaefer (2013); the rate is Howard's (1960), by "
        "monotonicity and contraction of the robust operator"
    ),
    statement=(
        r"V_k \le TV_k \le V_{k+1},\qquad \|V^\star - V_k\|_\infty \le \gamma^k\,"
        r"\|V^\star - V_0\|_\infty,\qquad TV_K = V_K \text{ for some } K < A^S"
    ),
    hypotheses=(
        r"(s,a)-rectangular sets; $V_k$ the robust value of $\pi_k$, evaluated exactly, $\pi_0$ "
        "deterministic",
        r"$\pi_{k+1}$ greedy for the robust backup of $V_k$, in every state where that is a gain",
    ),
    kind="inequality",
    sample=sample_start,
    sides=iteration_sides,
    control=Control(
        name="greedy against the nominal rows",
        explanation=(
            "Policies are evaluated against the worst kernel but improved as if the rows were the "
            "nominal ones: the iteration may then get worse, or end elsewhere."
        ),
        sides=_against_the_nominal_rows,
    ),
    sizes=(2, 3),
    cost=3.0,
    notes=(
        "The rate is attained without uncertainty, by a chain that is mended one state at a time; "
        "contamination shortens the discount and with it the way. Every policy is better than the "
        "last, so none returns; the fixed point that is reached is the optimum, since T contracts."
    ),
    sharpness=0.999,
)


THEOREMS = (RATE,)
