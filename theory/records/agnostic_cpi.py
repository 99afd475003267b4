"""Conservative policy iteration from resets: what a step gains, where it stops, where it is stuck.

MDPs are layered with dyadic data and returns in [0, 1]; values, visits and advantages are exact.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic.cpi import class_advantages, cpi_exact, reset_visits
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.psdp import policy_value
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.agnostic_coverage import sample_integers
from rltheory.theory.records.agnostic_psdp import (
    FAILURES,
    Forked,
    Searched,
    fork,
    gap,
    near,
    optimal_policy,
    ratio,
    sample_paying,
    visits_of,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_CPI = "Kakade and Langford (2002)"


_AWAY = PolicyClass(np.array([[[1, 1], [0, 0]], [[0, 0], [1, 1]]]), 2, [1, 2])
"""Go to c and take 0 everywhere, or go to b and take 1 everywhere (optimal)."""


def sample_stuck(tape: Tape, size: int) -> Forked:
    """Draw a fork whose resets see b with chance m = 2^-k and whose c pays m / 2."""
    exponent = tape.integer(7, 12)
    part = Fraction(1, 2**exponent)
    return Forked(fork(float(part) / 2), part, 1 - part)


def _cpi_loss(forked: Forked, policies: PolicyClass) -> tuple[Side, Side]:
    found = cpi_exact(forked.mdp, policies, forked.mu, tolerance=0.0, max_iterations=1)
    reached = backward_induction(forked.mdp, policy=found.policy, arithmetic="rational").values
    best = max(policy_value(forked.mdp, row, arithmetic="rational") for row in policies.table)
    return forked.share, Fraction(best - fractions(forked.mdp.initial) @ reached[0])


CPI_STUCK = Theorem(
    id="agnostic/cpi-stops-without-completeness",
    title="CPI can stop at once at a policy that loses nearly everything",
    source=FAILURES,
    statement=(
        r"1 - \tfrac{1}{C_{\mathrm{conc}}} < \max_{\pi\in\Pi} V^\pi - V^{\hat\pi},\qquad "
        r"\max_{f\in\Pi}\ \sum_h \mathbb{E}_{\nu_h}[A^{\hat\pi}_h(s, f(s))] = 0"
    ),
    hypotheses=(
        r"two steps, $x \to b$ or $c$; rewards $r(b,1) = 1$, $r(c,0) = m/2$, else 0; "
        r"$\mu_2(b) = m = 2^{-k}$, $k \ge 7$, and $C_{\mathrm{conc}} = 1/m$",
        r"$\Pi$: go to $c$ and take 0 everywhere, where CPI starts, or go to $b$ and take 1 "
        "everywhere (optimal)",
        r"$\nu$: visits of episodes begun by a reset of either step",
    ),
    kind="counterexample",
    sample=sample_stuck,
    sides=lambda forked: _cpi_loss(forked, _AWAY),
    control=Control(
        name="halfway resets",
        explanation=(
            "The resets see b as often as c: the optimal policy then has an advantage, and the "
            "first step goes towards it."
        ),
        sides=lambda forked: _cpi_loss(forked._replace(share_of_b=Fraction(1, 2)), _AWAY),
    ),
    sharpness=0.98,
    cost=6.0,
)


class Moved(NamedTuple):
    """An MDP, resets (H, S), a policy (H, S, A), a target (H, S) and the share of the move."""

    mdp: EpisodicMDP
    mu: FractionArray
    policy: FractionArray
    target: IntArray
    share: Fraction


def sample_moved(tape: Tape, size: int) -> Moved:
    """Draw a policy, a target and a share 2^-k of the move."""
    mdp = sample_paying(tape, size, 2)
    mu = fractions(tape.simplex((size, 2)))
    policy = fractions(tape.simplex((size, 2, 2)))
    drawn = sample_integers(tape, (size, 2), 2)
    target = optimal_policy(mdp) if tape.integer(0, 1) else drawn
    return Moved(mdp, mu, policy, target, Fraction(1, 2 ** tape.integer(0, 10)))


def performance(mdp: EpisodicMDP, mu: FractionArray, policy: FractionArray) -> Fraction:
    """Return the mean over steps of E_mu_h [V^pi_h], by backward induction in Fractions."""
    transitions, rewards = fractions(mdp.transitions), fractions(mdp.rewards)
    values, total = fractions(np.zeros(mdp.states)), Fraction(0)
    for h in reversed(range(mdp.horizon)):
        values = (policy[h] * (rewards[h] + transitions[h] @ values)).sum(axis=1)
        total += mu[h] @ values
    return total / mdp.horizon


def _advantage(moved: Moved) -> Fraction:
    alone = PolicyClass(moved.target[None], 2)
    found = class_advantages(moved.mdp, alone, moved.policy, moved.mu, arithmetic="rational")
    return Fraction(found[0])


def _gained(moved: Moved, penalty: Fraction) -> tuple[Side, Side]:
    mdp, mu, policy, target, share = moved
    rows = fractions(np.eye(2)[target])
    new = (1 - share) * policy + share * rows
    gain = performance(mdp, mu, new) - performance(mdp, mu, policy)
    return share * _advantage(moved) - share**2 * penalty, gain


GAIN = Theorem(
    id="agnostic/cpi-step-gains",
    title="A conservative step gains its advantage less a second-order term",
    source=f"{_CPI}, Theorem 4.1, for the discounted case; the finite horizon derived here",
    statement=(
        r"J\bigl((1-\alpha)\pi + \alpha f\bigr) - J(\pi) \ge \alpha\,\mathbb{A} - \alpha^2\,"
        r"\frac{H^2-1}{3},\qquad \mathbb{A} = \sum_h \mathbb{E}_{\nu^\pi_h}[A^\pi_h(s, f(s))]"
    ),
    hypotheses=(
        r"returns in [0, 1]; $J(\pi) = \frac1H\sum_h \mathbb{E}_{\mu_h}[V^\pi_h]$",
        r"$\nu^\pi$: visits of an episode that begins at a uniform step $h$ in $\mu_h$",
    ),
    kind="inequality",
    sample=sample_moved,
    sides=lambda moved: _gained(moved, Fraction(moved.mdp.horizon**2 - 1, 3)),
    control=Control(
        name="no second-order term",
        explanation="The advantage is promised in full, however large the step.",
        sides=lambda moved: _gained(moved, Fraction(0)),
    ),
    notes=(
        r"So $\alpha = 3\mathbb{A} / (2(H^2-1))$, if at most 1, gains at least "
        r"$3\mathbb{A}^2 / (4(H^2-1))$."
    ),
    sharpness=0.99,
    sizes=(2, 3),
)


class Stopped(NamedTuple):
    """An MDP, resets (H, S) and a policy (H, S)."""

    mdp: EpisodicMDP
    mu: FractionArray
    policy: IntArray


def sample_stopped(tape: Tape, size: int) -> Stopped:
    """Draw a policy that is optimal but for some actions, half of the time of the first step."""
    mdp = sample_paying(tape, size, 2)
    best = optimal_policy(mdp)
    changed = sample_integers(tape, best.shape, 2)
    if tape.integer(0, 1):
        changed[1:] = 0
    return Stopped(mdp, near(tape, visits_of(mdp, best)), (best + changed) % 2)


def _stopped(stopped: Stopped, steps: int) -> tuple[Side, Side]:
    mdp, mu, kept = stopped
    best = optimal_policy(mdp)
    rows = fractions(np.eye(2)[kept])
    solved = backward_induction(mdp, policy=kept, arithmetic="rational")
    greedy = PolicyClass(solved.action_values.argmax(axis=2)[None], 2)
    advantage = class_advantages(mdp, greedy, rows, mu, arithmetic="rational")[0]
    searched = Searched(mdp, mu, kept, best)
    return gap(searched), steps * ratio(searched) * advantage


STOPS = Theorem(
    id="agnostic/cpi-stops-near-the-optimum",
    title="Where the class has a greedy policy, CPI stops only near the optimum",
    source=f"{_CPI}, section 4, for the discounted case; the finite horizon derived here",
    statement=(
        r"V^* - V^\pi \le H\,\max_h\Bigl\|\frac{d^{\pi^*}_h}{\mu_h}\Bigr\|_\infty\,\max_{f} "
        r"\sum_h \mathbb{E}_{\nu^\pi_h}[A^\pi_h(s, f(s))]"
    ),
    hypotheses=(
        r"the maximum is over all $f$: the class has one that is greedy for $Q^\pi$",
        r"$\mu > 0$; $\nu^\pi_h \ge \mu_h / H$",
    ),
    kind="inequality",
    sample=sample_stopped,
    sides=lambda stopped: _stopped(stopped, stopped.mdp.horizon),
    control=Control(
        name="without the horizon",
        explanation="The factor H, of resets that begin at one step in H, is left out.",
        sides=lambda stopped: _stopped(stopped, 1),
    ),
    sharpness=0.95,
    sizes=(2, 3),
    cost=2.0,
)


def visits_sides(stopped: Stopped) -> tuple[Side, Side]:
    """Return the visits from resets, and the mean over the reset's step of episodes begun there."""
    mdp, mu, kept = stopped
    rows = fractions(np.eye(2)[kept])
    return exact.join(reset_visits(mdp, rows, mu, arithmetic="rational")), exact.join(
        _by_resets(stopped, mdp.horizon)
    )


def _by_resets(stopped: Stopped, resets: int) -> FractionArray:
    mdp, mu, kept = stopped
    transitions = fractions(mdp.transitions)
    lines, total = np.arange(mdp.states), fractions(np.zeros(mu.shape))
    for g in range(resets):
        here = mu[g]
        for h in range(g, mdp.horizon):
            total[h] = total[h] + here
            here = here @ transitions[h][lines, kept[h]]
    return np.asarray(total / mdp.horizon)


VISITS = Theorem(
    id="agnostic/visits-from-resets",
    title="Visits from resets are the average over the step at which an episode begins",
    source=f"{_CPI}, for restart distributions; the finite horizon derived here",
    statement=(
        r"\nu^\pi_{h+1}(s') = \sum_{s} \nu^\pi_h(s)\,P_h(s'|s,\pi(s)) + \tfrac1H\mu_{h+1}(s')\ "
        r"\Leftrightarrow\ \nu^\pi_h = \frac1H\sum_{g\le h} \mu_g P^\pi_g\cdots P^\pi_{h-1}"
    ),
    hypotheses=("a uniform step of the reset",),
    kind="identity",
    sample=sample_stopped,
    sides=visits_sides,
    control=Control(
        name="no reset at the last step",
        explanation="Episodes that begin at the last step are left out.",
        sides=lambda stopped: (
            visits_sides(stopped)[0],
            exact.join(_by_resets(stopped, stopped.mdp.horizon - 1)),
        ),
    ),
    sizes=(2, 3),
)


THEOREMS = (CPI_STUCK, GAIN, STOPS, VISITS)
