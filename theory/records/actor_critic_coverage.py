"""Coverability of an MDP: reachability, potentials, and what it says of Bellman errors.

Everything is exact; the one logarithm is enclosed.
"""

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory import actor_critic_instances as actors
from rltheory.theory import balls, exact
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_COVERABILITY = "Xie, Foster, Bai, Jiang and Kakade (2023)"


def sample_reach(tape: Tape, size: int) -> EpisodicMDP:
    """Draw an MDP with few deterministic policies: two actions, at most 6 states and steps."""
    return actors.episodic(tape, size, 2, tape.integer(1, 4 - size // 2))


def pure_visits(mdp: EpisodicMDP) -> FractionArray:
    """Return the visits (policies, H, S, A) of all deterministic policies."""
    shape = mdp.rewards.shape[:2]
    choices = product(range(mdp.actions), repeat=shape[0] * shape[1])
    rows = (fractions(np.eye(mdp.actions)[np.reshape(choice, shape)]) for choice in choices)
    model = actors.exact(mdp)
    return np.array([actors.visits(model, policy) for policy in rows])


def _coverability(mdp: EpisodicMDP, *, uniform: bool) -> tuple[Side, Side]:
    visits = pure_visits(mdp)
    reach = np.repeat(actors.reached(actors.exact(mdp))[:, :, None], mdp.actions, axis=2)
    total = reach.sum(axis=(1, 2))
    data = reach / total[:, None, None]
    if uniform:
        data = data * 0 + Fraction(1, mdp.states * mdp.actions)
    ratios = visits.max(axis=0) / (data + (data == 0))
    worst = ratios.reshape(mdp.horizon, -1).max(axis=1)
    return exact.join(visits.max(axis=0), worst), exact.join(reach, total)


def coverability_sides(mdp: EpisodicMDP) -> tuple[Side, Side]:
    """Return (reach, worst ratio to the best data) by listing policies, and by induction."""
    return _coverability(mdp, uniform=False)


COVERABILITY = Theorem(
    id="actor-critic/coverability-is-reachability",
    title="Coverability is the sum over pairs of how likely they can be made",
    source=_COVERABILITY,
    statement=(
        r"\inf_{\mu}\max_{\pi,s,a}\frac{d^\pi_h(s,a)}{\mu(s,a)} = \sum_{s,a}\max_\pi d^\pi_h(s,a) "
        r"= A\sum_s\max_\pi\mathbb{P}^\pi(s_h = s),\qquad \mu \propto \max_\pi d^\pi_h"
    ),
    hypotheses=(
        "left by listing all deterministic policies, right by one backward induction for every "
        "state",
        r"the worst ratio is that of the $\mu$ given; that no other is better is "
        "actor-critic/no-data-cover-better",
    ),
    kind="identity",
    sample=sample_reach,
    sides=coverability_sides,
    control=Control(
        name="uniform data",
        explanation=r"$\mu$ is uniform over states and actions.",
        sides=lambda mdp: _coverability(mdp, uniform=True),
    ),
    sizes=(2, 3),
    cost=12.0,
    notes=(
        "The last action is free, so that all actions of a state can be made as likely. Between "
        "$A$ and $SA$ at every step."
    ),
)


class Offered(NamedTuple):
    """An MDP and data (H, S, A), positive everywhere."""

    mdp: EpisodicMDP
    data: FractionArray


def sample_offered(tape: Tape, size: int) -> Offered:
    """Draw data, half of the time in proportion to the reach."""
    mdp = actors.episodic(tape, size, 2, tape.integer(1, 3))
    weights = fractions(tape.dyadic(mdp.rewards.shape, 0.0625, 1.0, bits=4))
    if tape.integer(0, 1):
        reach = actors.reached(actors.exact(mdp))[:, :, None]
        weights = weights * 0 + (reach + (reach == 0) * Fraction(1, 2**20))
    return Offered(mdp, weights / weights.sum(axis=(1, 2), keepdims=True))


def _offered(offered: Offered, *, average: bool) -> tuple[Side, Side]:
    reach = actors.reached(actors.exact(offered.mdp))[:, :, None]
    ratios = (reach / offered.data).reshape(offered.mdp.horizon, -1)
    right = ratios.sum(axis=1) / ratios.shape[1] if average else ratios.max(axis=1)
    return offered.mdp.actions * reach.sum(axis=(1, 2)), np.asarray(right)


def offered_sides(offered: Offered) -> tuple[Side, Side]:
    """Return the coverability of every step, and the worst ratio to the data."""
    return _offered(offered, average=False)


OFFERED = Theorem(
    id="actor-critic/no-data-cover-better",
    title="No distribution of data covers all policies better than the coverability",
    source=_COVERABILITY,
    statement=(
        r"\sum_{s,a}\max_\pi d^\pi_h(s,a) \le \max_{\pi,s,a}\frac{d^\pi_h(s,a)}{\mu(s,a)}\quad"
        r"\text{for every distribution }\mu > 0"
    ),
    hypotheses=("every step $h$ for itself",),
    kind="inequality",
    sample=sample_offered,
    sides=offered_sides,
    control=Control(
        name="the mean ratio",
        explanation="The ratios are averaged over the pairs instead.",
        sides=lambda offered: _offered(offered, average=True),
    ),
    sizes=(2, 3),
    sharpness=0.999,
)


class Visited(NamedTuple):
    """Visits (T, Z) of a sequence of policies, what covers them (Z,), C, and errors (T, Z)."""

    visits: FractionArray
    cover: FractionArray
    constant: Fraction
    errors: FractionArray


def sample_visited(tape: Tape, size: int) -> Visited:
    """Draw distributions and their best cover; half of the time single pairs in turn."""
    if tape.integer(0, 1):
        pairs = tape.choice((1, 2, 8))
        turns = np.arange(tape.integer(2, 128)) % pairs
        visits = fractions(np.eye(pairs)[turns])
        errors = visits
    else:
        visits = fractions(tape.simplex((tape.integer(2, 6), size)))
        errors = fractions(tape.dyadic(visits.shape, -1.0, 1.0, bits=4))
    top = visits.max(axis=0)
    constant = Fraction(top.sum())
    return Visited(visits, top / constant, constant, errors)


def _before(visited: Visited) -> FractionArray:
    """Return the sums (T, Z) of the visits of earlier policies."""
    return np.asarray(visited.visits.cumsum(axis=0) - visited.visits)


@precise
def _potential(visited: Visited, *, logarithm: bool) -> tuple[Side, Side]:
    reached = visited.visits[:, visited.cover != 0]
    caps = visited.constant * visited.cover[visited.cover != 0]
    ratios = reached / (_before(visited)[:, visited.cover != 0] + caps)
    rounds = len(reached)
    if logarithm:
        return ratios.sum(axis=0), balls.to_bounds(balls.ball(1 + rounds).log())
    return ratios.sum(axis=0), sum((Fraction(1, t) for t in range(1, rounds + 1)), Fraction(0))


def potential_sides(visited: Visited) -> tuple[Side, Side]:
    """Return the sum of the ratios in every pair, and the harmonic number of the rounds."""
    return _potential(visited, logarithm=False)


POTENTIAL = Theorem(
    id="actor-critic/coverability-potential",
    title="New visits relative to earlier ones add up to a harmonic number at most",
    source=f"{_COVERABILITY}, Lemma 4, with $2\\log(1+T)$; the sharp form is derived here",
    statement=(
        r"\sum_{t \le T}\frac{d^t(z)}{\sum_{i<t} d^i(z) + C\mu(z)} \le \sum_{t \le T}\frac1t \le "
        r"1 + \log T\quad\text{for every pair } z"
    ),
    hypotheses=(r"$0 \le d^t(z) \le C\,\mu(z)$ for all $t \le T$",),
    kind="inequality",
    sample=sample_visited,
    sides=potential_sides,
    control=Control(
        name="a logarithm without the one",
        explanation=r"$\log(1+T)$, the integral, which the sum exceeds.",
        sides=lambda visited: _potential(visited, logarithm=True),
    ),
    sizes=(2, 3),
    cost=2.0,
    sharpness=0.999,
    notes=(
        r"The sum is convex in each $d^t(z)$, so that it is largest with values of 0 and $C\mu(z)$ "
        "only; then it is the harmonic number of how many are not 0."
    ),
)


@precise
def _extrapolated(visited: Visited, *, forgotten: bool) -> tuple[Side, Side]:
    squares = (_before(visited) * visited.errors**2).sum(axis=1)
    means = (visited.visits * visited.errors).sum(axis=1)
    constant, rounds = visited.constant, len(visited.visits)
    factor = Fraction(1) if forgotten else constant
    bound = balls.ball(factor) * (balls.ball(1 + rounds / factor).log() / balls.ball(2).log())
    return Fraction((means**2 / (constant + squares)).sum()), balls.to_bounds(bound)


def extrapolated_sides(visited: Visited) -> tuple[Side, Side]:
    """Return the sum of squared errors relative to earlier ones, and C log2(1 + T / C)."""
    return _extrapolated(visited, forgotten=False)


EXTRAPOLATION = Theorem(
    id="actor-critic/coverability-bounds-extrapolation",
    title="Errors cannot keep being large where a policy goes and small where earlier ones went",
    source=f"{_COVERABILITY}, in another normalisation; the constant is derived here",
    statement=(
        r"\sum_{t \le T}\frac{(\mathbb{E}_{d^t}\delta_t)^2}{C + \sum_{i<t}\mathbb{E}_{d^i}"
        r"\delta_t^2} \le C\log_2\Bigl(1 + \frac TC\Bigr)"
    ),
    hypotheses=(r"$|\delta_t| \le 1$, chosen in any way; $d^t \le C\mu$ for a distribution $\mu$",),
    kind="inequality",
    sample=sample_visited,
    sides=extrapolated_sides,
    control=Control(
        name="coverability of one",
        explanation=r"The right side is $\log_2(1 + T)$, as for $C = 1$.",
        sides=lambda visited: _extrapolated(visited, forgotten=True),
    ),
    sizes=(2, 3),
    cost=3.0,
    sharpness=0.9,
    notes=(
        r"Cauchy and Schwarz against $\sum_{i<t}d^i + C\mu$, then $x \le \log_2(1+x)$ on $[0,1]$ "
        "and concavity over the pairs. This is the sequential extrapolation coefficient with $C$ "
        r"in place of 1 in the denominator. Attained in the first round for $C = 1$; two rounds or "
        "more are drawn."
    ),
)


THEOREMS = (COVERABILITY, OFFERED, POTENTIAL, EXTRAPOLATION)
