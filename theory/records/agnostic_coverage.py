"""What covers a policy class: coverability, its dual, and what ratios transfer.

MDPs are layered with dyadic kernels, so that visits, distributions and ratios are exact Fractions.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import IntArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.agnostic.class_values import occupancies
from rltheory.tabular.agnostic.coverage import (
    concentrability,
    coverability,
    pushforward_concentrability,
)
from rltheory.tabular.agnostic.policy_class import PolicyClass
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import exact, rational_lp
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_COVERABILITY = "Xie, Foster, Bai, Jiang and Kakade (2023)"
LAYERED = "layered episodes of $H$ steps, a finite class of deterministic policies"


class Covered(NamedTuple):
    """An MDP, a class on it and a distribution of pairs (H, S, A)."""

    mdp: EpisodicMDP
    policies: PolicyClass
    mu: FractionArray


def sample_layers(tape: Tape, horizon: int, states: int, actions: int = 2) -> EpisodicMDP:
    """Draw a layered MDP, deterministic with one start for a third of the draws."""
    shape = (horizon, states, actions)
    if tape.integer(0, 2) == 0:
        kernel = np.eye(states)[sample_integers(tape, shape, states)]
        initial = np.eye(states)[tape.integer(0, states - 1)]
    else:
        kernel, initial = tape.simplex((*shape, states)), tape.simplex(states)
    return EpisodicMDP(kernel, tape.dyadic(shape), initial)


def sample_integers(tape: Tape, shape: tuple[int, ...], count: int) -> IntArray:
    """Draw integers from 0 to count - 1."""
    return np.minimum((tape.uniform(shape) * count).astype(np.int64), count - 1)


def sample_class(tape: Tape, horizon: int, states: int, actions: int = 2) -> PolicyClass:
    """Draw a class of two to five policies."""
    shape = (tape.integer(2, 5), horizon, states)
    return PolicyClass(sample_integers(tape, shape, actions), actions)


def sample_covered(tape: Tape, size: int) -> Covered:
    """Draw an MDP, a class and a mixture of the best distribution with a positive one."""
    mdp = sample_layers(tape, size, size)
    policies = sample_class(tape, size, size)
    best = coverability(mdp, policies, arithmetic="rational").mu
    other = fractions(tape.simplex((size, size * 2))).reshape(best.shape)
    other = (other + Fraction(1, 2 * size)) / 2
    share = Fraction(tape.choice((0, 1, 2, 256)), 1024)
    return Covered(mdp, policies, (1 - share) * best + share * other)


def _ratios(covered: Covered) -> FractionArray:
    mdp, policies, mu = covered
    found = concentrability(mdp, policies, mu, arithmetic="rational").by_layer
    return exact.join(found)


def least_sides(covered: Covered) -> tuple[Side, Side]:
    """Return the sums of largest visits and the largest ratios of one mu, (H,)."""
    peaks = occupancies(covered.mdp, covered.policies, arithmetic="rational").max(axis=0)
    return exact.join(peaks.sum(axis=(1, 2))), _ratios(covered)


def _pairs_met(covered: Covered) -> tuple[Side, Side]:
    met = occupancies(covered.mdp, covered.policies, arithmetic="rational").max(axis=0) > 0
    return met.sum(axis=(1, 2)), _ratios(covered)


LEAST = Theorem(
    id="agnostic/coverability-is-least",
    title="No distribution covers a class better than the sum of its largest visits",
    source=f"{_COVERABILITY}, Lemma 3 (cumulative reachability)",
    statement=(
        r"\sum_{s,a} \max_{\pi\in\Pi} d^\pi_h(s,a) \le \max_{\pi\in\Pi} \max_{s,a} "
        r"\frac{d^\pi_h(s,a)}{\mu_h(s,a)} \quad\text{for every } \mu_h"
    ),
    hypotheses=(LAYERED,),
    kind="inequality",
    sample=sample_covered,
    sides=least_sides,
    control=Control(
        name="pairs are counted",
        explanation="Each pair that is met counts as 1, however rarely it is met.",
        sides=_pairs_met,
    ),
    notes=r"Attained by $\mu_h \propto \max_\pi d^\pi_h$, which is among the instances.",
    sharpness=0.999,
    sizes=(2, 3),
    cost=2.0,
)


def sample_visits(tape: Tape, size: int) -> FractionArray:
    """Draw visits (P, pairs) of one layer of a random MDP by a random class."""
    mdp, policies = sample_layers(tape, size, 2), sample_class(tape, size, 2)
    visits = occupancies(mdp, policies, arithmetic="rational")[:, -1]
    return fractions(visits.reshape(len(policies), -1))


def dual_sides(visits: FractionArray) -> tuple[Side, Side]:
    """Return the sum of largest visits and the optimum of the dual program, by the simplex."""
    policies, pairs = visits.shape
    # Weights of each policy at each pair, and one slack for each pair.
    system = np.zeros((pairs, policies * pairs + pairs), dtype=np.int64)
    for pair in range(pairs):
        system[pair, pair : policies * pairs : pairs] = 1
        system[pair, policies * pairs + pair] = 1
    costs = exact.join(-visits.reshape(-1), fractions(np.zeros(pairs)))
    slacks = [policies * pairs + pair for pair in range(pairs)]
    least, _ = rational_lp.minimise(costs, fractions(system), fractions(np.ones(pairs)), slacks)
    return Fraction(visits.max(axis=0).sum()), -least


def _states_only(visits: FractionArray) -> tuple[Side, Side]:
    by_state = visits.reshape(len(visits), -1, 2).sum(axis=2)
    return Fraction(by_state.max(axis=0).sum()), dual_sides(visits)[1]


DUAL = Theorem(
    id="agnostic/coverability-by-duality",
    title="Coverability is the optimum of a linear program",
    source=f"{_COVERABILITY} for coverability; the dual program derived here",
    statement=(
        r"\min_{\mu}\max_{\pi,s,a}\frac{d^\pi_h(s,a)}{\mu(s,a)} = \max\Bigl\{\sum_{\pi,s,a} "
        r"\lambda^\pi_{s,a}\, d^\pi_h(s,a) : \sum_\pi \lambda^\pi_{s,a} \le 1,\ \lambda \ge 0"
        r"\Bigr\} = \sum_{s,a}\max_{\pi} d^\pi_h(s,a)"
    ),
    hypotheses=(LAYERED, "the program is solved by the simplex method in Fractions"),
    kind="identity",
    sample=sample_visits,
    sides=dual_sides,
    control=Control(
        name="states only",
        explanation="The sum is of largest visits of states, not of pairs.",
        sides=_states_only,
    ),
    sizes=(2, 3),
    cost=2.0,
)


class Transfer(NamedTuple):
    """Visits and reference (S,) of one layer, and a loss on its states."""

    visits: FractionArray
    mu: FractionArray
    loss: FractionArray


def sample_transfer(tape: Tape, size: int) -> Transfer:
    """Draw two distributions and a loss >= 0, half of the time where the ratio is largest."""
    visits = fractions(tape.simplex(size))
    mu = (fractions(tape.simplex(size)) + Fraction(1, size)) / 2
    loss = fractions(tape.dyadic(size))
    if tape.integer(0, 1):
        loss = fractions(visits / mu == (visits / mu).max())
    return Transfer(visits, mu, loss)


def transfer_sides(transfer: Transfer) -> tuple[Side, Side]:
    """Return the mean loss over the visits and its bound."""
    visits, mu, loss = transfer
    return Fraction(visits @ loss), Fraction((visits / mu).max() * (mu @ loss))


def _no_ratio(transfer: Transfer) -> tuple[Side, Side]:
    visits, mu, loss = transfer
    return Fraction(visits @ loss), Fraction((visits @ (visits / mu)) * (mu @ loss))


TRANSFER = Theorem(
    id="agnostic/concentrability-transfers",
    title="Concentrability carries nonnegative losses from the resets to the visits",
    source="Munos (2003); Kakade and Langford (2002)",
    statement=(
        r"\mathbb{E}_{d}[g] \le \Bigl\|\frac{d}{\mu}\Bigr\|_\infty \mathbb{E}_\mu[g],\qquad g\ge 0"
    ),
    hypotheses=(r"$\mu > 0$", r"$g \ge 0$: without completeness differences of values are not"),
    kind="inequality",
    sample=sample_transfer,
    sides=transfer_sides,
    control=Control(
        name="average ratio",
        explanation=r"The ratio is averaged over the visits, 1 + $\chi^2$, not the largest.",
        sides=_no_ratio,
    ),
    sharpness=0.999,
)


class Pushed(NamedTuple):
    """An MDP, a class and resets (H, S)."""

    mdp: EpisodicMDP
    policies: PolicyClass
    mu: FractionArray


def sample_pushed(tape: Tape, size: int) -> Pushed:
    """Draw an MDP, a class, and positive resets."""
    mdp, policies = sample_layers(tape, size, size), sample_class(tape, size, size)
    mu = (fractions(tape.simplex((size, size))) + Fraction(1, size)) / 2
    return Pushed(mdp, policies, mu)


def _over_pairs(pushed: Pushed, factor: int) -> tuple[Side, Side]:
    mdp, policies, mu = pushed
    pairs = np.stack([mu / 2, mu / 2], axis=2)
    found = concentrability(mdp, policies, pairs, arithmetic="rational").by_layer
    push = pushforward_concentrability(mdp, mu, arithmetic="rational").by_layer
    return exact.join(found), exact.join(factor * push)


def pushed_sides(pushed: Pushed) -> tuple[Side, Side]:
    """Return concentrability over pairs and A times the pushforward one, by layer."""
    return _over_pairs(pushed, 2)


PUSHED = Theorem(
    id="agnostic/pushforward-bounds-concentrability",
    title="Pushforward concentrability bounds the ordinary one, with a factor A over pairs",
    source="Derived here; Xie and Jiang (2021) for the pushforward assumption",
    statement=(
        r"\max_{\pi,s,a} \frac{d^\pi_{h}(s,a)}{\mu_{h}(s)/A} \le A \max_{s,a,s'} "
        r"\frac{P_{h-1}(s'|s,a)}{\mu_{h}(s')}"
    ),
    hypotheses=(
        LAYERED,
        r"$A = 2$, $\mu > 0$; at the first layer the start stands for $P$",
    ),
    kind="inequality",
    sample=sample_pushed,
    sides=pushed_sides,
    control=Control(
        name="without the factor",
        explanation="The factor A of the uniform action is left out.",
        sides=lambda pushed: _over_pairs(pushed, 1),
    ),
    sharpness=0.999,
    sizes=(2, 3),
)


THEOREMS = (LEAST, DUAL, TRANSFER, PUSHED)
