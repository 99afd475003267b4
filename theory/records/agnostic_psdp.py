"""Policy search by dynamic programming: what completeness buys, and what is lost without.

MDPs are layered with dyadic data and returns in [0, 1]; values and visits are exact.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.agnostic.psdp import policy_value, psdp_exact
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.agnostic_coverage import sample_class, sample_integers
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_PSDP = "Bagnell, Kakade, Ng and Schneider (2003)"
FAILURES = "Krishnamurthy, Li and Sekhari (2025) for such failures; instance derived here"


class Searched(NamedTuple):
    """An MDP, resets (H, S), the policy kept and the one that it is compared with, (H, S)."""

    mdp: EpisodicMDP
    mu: FractionArray
    kept: IntArray
    other: IntArray


def sample_paying(tape: Tape, horizon: int, states: int) -> EpisodicMDP:
    """Draw a layered MDP of two actions whose rewards are at most 2^-k with H <= 2^k."""
    shape = (horizon, states, 2)
    if tape.integer(0, 1):
        kernel = tape.simplex((*shape, states))
    else:
        kernel = np.eye(states)[sample_integers(tape, shape, states)]
    scale = 2.0 ** -int(np.ceil(np.log2(horizon)))
    return EpisodicMDP(kernel, tape.dyadic(shape) * scale, tape.simplex(states))


def optimal_policy(mdp: EpisodicMDP) -> IntArray:
    """Return the actions (H, S) of an optimal policy."""
    solved = backward_induction(mdp, arithmetic="rational")
    return np.asarray(solved.policy.argmax(axis=2))


def visits_of(mdp: EpisodicMDP, policy: IntArray) -> FractionArray:
    """Return the visits (H, S) of one deterministic policy."""
    alone = PolicyClass(policy[None], mdp.actions)
    return fractions(occupancies(mdp, alone, arithmetic="rational")[0].sum(axis=2))


def near(tape: Tape, visits: FractionArray) -> FractionArray:
    """Draw positive resets, often next to the visits."""
    share = Fraction(tape.choice((1, 1, 512)), 1024)
    uniform = Fraction(1, visits.shape[1])
    return np.asarray((1 - share) * visits + share * uniform)


def fork(pays: float) -> EpisodicMDP:
    """Return two steps: x leads to b or c; b pays 1 for action 1, c `pays` for action 0."""
    kernel = np.zeros((2, 2, 2, 2))
    kernel[:, :, 0, 0] = kernel[:, :, 1, 1] = 1.0
    rewards = np.zeros((2, 2, 2))
    rewards[1, 0, 1], rewards[1, 1, 0] = 1.0, pays
    return EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))


_FORKED = PolicyClass(np.array([[[0, 0], [1, 1]], [[0, 0], [0, 0]]]), 2, [1, 2])
"""Go to b and take 1 everywhere there (optimal), or 0 everywhere."""


def sample_searched(tape: Tape, size: int) -> Searched:
    """Draw an MDP, its optimal policy, and that policy with some actions changed; or a fork."""
    if tape.integer(0, 3) == 0:
        part = Fraction(tape.integer(1, 31), 64)
        mu = np.array([[Fraction(1, 2)] * 2, [part, 1 - part]], dtype=object)
        optimal, kept = _FORKED.table.astype(np.int64)
        return Searched(fork(63 / 64), mu, kept, optimal)
    mdp = sample_paying(tape, size, 2)
    best = optimal_policy(mdp)
    changed = sample_integers(tape, best.shape, 2)
    if tape.integer(0, 1):
        changed[tape.integer(0, size - 1)] = 0
    return Searched(mdp, near(tape, visits_of(mdp, best)), (best + changed) % 2, best)


def _losses(searched: Searched, *, of_class: bool) -> Fraction:
    """Return sum_h of the best score less the one kept: over all actions, or over two policies."""
    mdp, mu, kept, other = searched
    q = backward_induction(mdp, policy=kept, arithmetic="rational").action_values
    lines, total = np.arange(mdp.states), Fraction(0)
    for h in range(mdp.horizon):
        mine = mu[h] @ q[h, lines, kept[h]]
        theirs = mu[h] @ q[h, lines, other[h]]
        best = max(mine, theirs) if of_class else mu[h] @ q[h].max(axis=1)
        total += best - mine
    return total


def ratio(searched: Searched) -> Fraction:
    """Return the concentrability of the other policy's states."""
    return Fraction((visits_of(searched.mdp, searched.other) / searched.mu).max())


def gap(searched: Searched) -> Fraction:
    """Return what the policy kept loses against the other one."""
    mdp, _, kept, other = searched
    return Fraction(
        policy_value(mdp, other, arithmetic="rational")
        - policy_value(mdp, kept, arithmetic="rational")
    )


COMPLETE = Theorem(
    id="agnostic/psdp-with-completeness",
    title="Under policy completeness PSDP loses concentrability times its errors on the resets",
    source=f"{_PSDP}; derived here by the lemma on performance differences",
    statement=(
        r"V^* - V^{\hat\pi} \le \max_h\Bigl\|\frac{d^{\pi^*}_h}{\mu_h}\Bigr\|_\infty \sum_h "
        r"\mathbb{E}_{\mu_h}\bigl[\max_a Q^{\hat\pi}_h(s,a) - Q^{\hat\pi}_h(s,\hat\pi(s))\bigr]"
    ),
    hypotheses=(
        r"$\mu_h > 0$; any $\hat\pi$, whatever errors it was found with",
        "completeness is what makes the best score of the class the mean of the maximum",
    ),
    kind="inequality",
    sample=sample_searched,
    sides=lambda searched: (
        gap(searched),
        ratio(searched) * _losses(searched, of_class=False),
    ),
    control=Control(
        name="errors within a class",
        explanation=(
            "The errors are against the better of the two policies on average, not against a "
            "greedy one: completeness is dropped."
        ),
        sides=lambda searched: (
            gap(searched),
            ratio(searched) * _losses(searched, of_class=True),
        ),
    ),
    sharpness=0.95,
    sizes=(2, 3),
    cost=3.0,
)


_MENDED = PolicyClass(np.concatenate([_FORKED.table, [[[0, 0], [1, 0]]]]), 2, [1, 2])
"""The same with the policy that is greedy in the second layer."""


class Forked(NamedTuple):
    """A fork, resets of its second layer on b, and a share below one."""

    mdp: EpisodicMDP
    share_of_b: Fraction
    share: Fraction

    @property
    def mu(self) -> FractionArray:
        """The resets (2, 2)."""
        m = self.share_of_b
        return np.array([[Fraction(1), Fraction(0)], [m, 1 - m]], dtype=object)


class Kept(NamedTuple):
    """An MDP, resets and a class."""

    mdp: EpisodicMDP
    mu: FractionArray
    policies: PolicyClass


def sample_kept(tape: Tape, size: int) -> Kept:
    """Draw resets and a class, half of the time a fork whose class is led astray."""
    if tape.integer(0, 1):
        part = Fraction(tape.integer(1, 255), 512)
        found = Forked(fork(tape.integer(1, 512) / 512), part, Fraction(0))
        return Kept(found.mdp, found.mu, _FORKED)
    mdp, policies = sample_paying(tape, size, 2), sample_class(tape, size, 2)
    visits = visits_of(mdp, policies.table[0])
    return Kept(mdp, near(tape, visits), policies)


def _against_each(kept: Kept, factor: Fraction) -> tuple[Side, Side]:
    mdp, mu, policies = kept
    found = psdp_exact(mdp, policies, mu, arithmetic="rational").policy
    reached = policy_value(mdp, found, arithmetic="rational")
    gaps, bounds = [], []
    for row in policies.table:
        gaps.append(policy_value(mdp, row, arithmetic="rational") - reached)
        bounds.append(factor * np.abs(visits_of(mdp, row) - mu).sum())
    return exact.join(*gaps), exact.join(*bounds)


ANY = Theorem(
    id="agnostic/psdp-without-completeness",
    title="Without completeness PSDP loses up to the distance of the visits from the resets",
    source=f"{_PSDP}, whose bound is of this kind; derived here",
    statement=(
        r"V^\pi - V^{\hat\pi} \le \sum_h \|d^\pi_h - \mu_h\|_1\quad\text{for every }\pi\in\Pi"
    ),
    hypotheses=(
        "returns in [0, 1]; scores known exactly",
        r"any finite class; $\hat\pi$ may mix layers of different policies",
    ),
    kind="inequality",
    sample=sample_kept,
    sides=lambda kept: _against_each(kept, Fraction(1)),
    control=Control(
        name="total variation",
        explanation="The distance is halved: total variation takes the place of L1.",
        sides=lambda kept: _against_each(kept, Fraction(1, 2)),
    ),
    notes="Nearly met by a fork whose resets favour the wrong branch by little.",
    sharpness=0.97,
    sizes=(2, 3),
    cost=3.0,
)


def sample_forked(tape: Tape, size: int) -> Forked:
    """Draw a fork where the score of 0 everywhere is larger, at concentrability 1 / m > 2."""
    part = Fraction(tape.integer(1, 31), 64)
    share = 1 - Fraction(1, 2 ** tape.integer(8, 12))
    return Forked(fork(63 / 64), part, share)


def _psdp_loss(forked: Forked, policies: PolicyClass) -> tuple[Side, Side]:
    mdp, mu = forked.mdp, forked.mu
    found = psdp_exact(mdp, policies, mu, arithmetic="rational").policy
    reached = policy_value(mdp, found, arithmetic="rational")
    best = max(policy_value(mdp, row, arithmetic="rational") for row in policies.table)
    return forked.share, Fraction(best - reached)


PSDP_FAILS = Theorem(
    id="agnostic/psdp-fails-without-completeness",
    title="PSDP can lose everything with an optimal policy in the class and small concentrability",
    source=FAILURES,
    statement=(
        r"\forall c < 1:\quad c < \max_{\pi\in\Pi} V^\pi - V^{\hat\pi},\qquad \pi^* \in \Pi,\ "
        r"C_{\mathrm{conc}} = 1/m,\ \text{exact scores}"
    ),
    hypotheses=(
        r"two steps, $x \to b$ or $c$; rewards $r(b,1) = 1$, $r(c,0) = 63/64$, else 0; "
        r"$\mu_2(b) = m < 63/127$",
        r"$\Pi$: go to $b$, and then 1 everywhere (optimal) or 0 everywhere",
    ),
    kind="counterexample",
    sample=sample_forked,
    sides=lambda forked: _psdp_loss(forked, _FORKED),
    control=Control(
        name="with the greedy policy",
        explanation="The class also has the policy that takes 1 at b and 0 at c.",
        sides=lambda forked: _psdp_loss(forked, _MENDED),
    ),
    notes=(
        "No number of samples helps. The greedy policy of the second layer mends it, though the "
        "class is complete only with answers in the first layer to all its continuations."
    ),
    sharpness=0.99,
    cost=6.0,
)


THEOREMS = (COMPLETE, ANY, PSDP_FAILS)
