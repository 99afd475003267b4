"""Occupancy measures: differences of performance, the flow polytope, linear programming, shaping.

Identities, all in Fractions: they hold to the last digit or not at all.
"""

from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.policies import one_hot
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoPolicies(NamedTuple):
    """An MDP, two policies (S, A) and a weight in [0, 1]."""

    mdp: DiscountedMDP
    first: FloatArray
    second: FloatArray
    weight: Fraction


class Potential(NamedTuple):
    """An MDP, a policy (S, A) and any function of the states (S,)."""

    mdp: DiscountedMDP
    policy: FloatArray
    potential: FloatArray


def sample_two_policies(tape: Tape, size: int) -> TwoPolicies:
    """Draw an MDP, two policies and a weight k / 16 inside (0, 1)."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    first, second = (instances.policy(tape, size, model.actions) for _ in range(2))
    return TwoPolicies(model, first, second, Fraction(tape.integer(1, 15), 16))


def sample_potential(tape: Tape, size: int) -> Potential:
    """Draw an MDP, a policy and a potential."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    policy = instances.policy(tape, size, model.actions)
    return Potential(model, policy, instances.values(tape, size))


def advantages(mdp: DiscountedMDP, policy: FloatArray | FractionArray) -> FractionArray:
    """Return A^pi(s, a) = Q^pi(s, a) - V^pi(s) exactly, shape (S, A)."""
    values = exact.policy_values(mdp, policy)
    return np.asarray(exact.action_values(mdp, values) - values[:, None])


def _difference(instance: TwoPolicies, visited: FloatArray) -> tuple[Side, Side]:
    mdp, first, second, _ = instance
    start = fractions(mdp.initial)
    gain = start @ (exact.policy_values(mdp, second) - exact.policy_values(mdp, first))
    steps = (fractions(second) * advantages(mdp, first)).sum(axis=1)
    return gain, exact.visits(mdp, visited) @ steps / (1 - Fraction(mdp.discount))


def difference_sides(instance: TwoPolicies) -> tuple[Side, Side]:
    """Return the gain of the second policy over the first and its sum of advantages."""
    return _difference(instance, instance.second)


PERFORMANCE_DIFFERENCE = Theorem(
    id="occupancy/performance-difference",
    title="The performance difference lemma",
    source="Kakade and Langford (2002), Lemma 6.1",
    statement=(
        r"V^{\pi'}(\rho) - V^{\pi}(\rho) = \frac{1}{1-\gamma} \sum_s d^{\pi'}_\rho(s) "
        r"\sum_a \pi'(a|s)\, A^{\pi}(s, a)"
    ),
    hypotheses=("any two stationary policies", r"$d_\rho^{\pi'}$ sums to one"),
    kind="identity",
    sample=sample_two_policies,
    sides=difference_sides,
    control=Control(
        name="visits of the old policy",
        explanation="States are weighted by the visits of the old policy, the local surrogate.",
        sides=lambda instance: _difference(instance, instance.first),
    ),
)


def mixed_occupancy(instance: TwoPolicies) -> FractionArray:
    """Return the mixture of the two policies' occupancies, shape (S, A)."""
    mdp, first, second, weight = instance
    return np.asarray(
        weight * exact.occupancy(mdp, first) + (1 - weight) * exact.occupancy(mdp, second)
    )


def polytope_sides(instance: TwoPolicies) -> tuple[Side, Side]:
    """Return a mixture of occupancies and the occupancy of the policy that it induces."""
    mixture = mixed_occupancy(instance)
    total = mixture.sum(axis=1, keepdims=True)
    uniform = fractions(np.ones(mixture.shape)) / instance.mdp.actions
    # Where a state is never visited any row will do.
    visited = total > 0
    induced = np.where(visited, mixture / np.where(visited, total, exact.identity(1)), uniform)
    return exact.join(mixture), exact.join(exact.occupancy(instance.mdp, induced))


def _mixed_policy(instance: TwoPolicies) -> tuple[Side, Side]:
    mdp, first, second, weight = instance
    mixed = weight * fractions(first) + (1 - weight) * fractions(second)
    return exact.join(mixed_occupancy(instance)), exact.join(exact.occupancy(mdp, mixed))


POLYTOPE = Theorem(
    id="occupancy/flow-polytope",
    title="Every point of the flow polytope is the occupancy of the policy it induces",
    source="Puterman (1994), Theorem 6.9.1; Altman (1999), chapter 3",
    statement=(
        r"x \ge 0,\; \sum_a x(s,a) = (1-\gamma)\rho(s) + \gamma\sum_{s',a'} p(s|s',a')\,x(s',a') "
        r"\implies x = d_\rho^{\pi_x},\quad \pi_x(a|s) = x(s,a)\Big/\sum_{b} x(s,b)"
    ),
    hypotheses=(
        "flows are drawn as mixtures of two occupancies, which satisfy the linear equations",
    ),
    kind="identity",
    sample=sample_two_policies,
    sides=polytope_sides,
    control=Control(
        name="policies mixed instead",
        explanation="The policies are mixed state by state with the weights of the occupancies.",
        sides=_mixed_policy,
    ),
)


def _slackness(instance: Potential, discount: Fraction) -> tuple[Side, Side]:
    mdp, policy, potential = instance
    values, start = fractions(potential), fractions(mdp.initial)
    transitions, rewards, factor = exact.model(mdp)
    flow = exact.occupancy(mdp, policy)
    slack = values[:, None] - rewards - discount * (transitions @ values)
    gap = (1 - factor) * (start @ values) - (flow * rewards).sum()
    return gap, (flow * slack).sum()


def slackness_sides(instance: Potential) -> tuple[Side, Side]:
    """Return dual minus primal objective and the occupancy-weighted slack."""
    return _slackness(instance, Fraction(instance.mdp.discount))


SLACKNESS = Theorem(
    id="occupancy/complementary-slackness",
    title="The duality gap is the slack of the Bellman constraints where the policy goes",
    source="Puterman (1994), section 6.9; de Farias and Van Roy (2003), section 2",
    statement=(
        r"(1-\gamma)\,\rho^\top V - \langle d_\rho^\pi, r\rangle = \sum_{s,a} d_\rho^\pi(s,a)\,"
        r"\bigl(V(s) - r(s,a) - \gamma \textstyle\sum_{j} p(j|s,a) V(j)\bigr)"
    ),
    hypotheses=("any policy", r"any $V \in \mathbb{R}^S$, feasible for the program or not"),
    kind="identity",
    sample=sample_potential,
    sides=slackness_sides,
    control=Control(
        name="undiscounted constraints",
        explanation="The slack is that of the undiscounted Bellman inequality.",
        sides=lambda instance: _slackness(instance, Fraction(1)),
    ),
    notes="Weak duality, and complementary slackness as the test of optimality, follow at once.",
)


def duality_sides(instance: Potential) -> tuple[Side, Side]:
    """Return the best performance over all deterministic policies and the dual optimum."""
    return _duality(instance.mdp, fractions(instance.mdp.initial))


def _duality(mdp: DiscountedMDP, start: FractionArray) -> tuple[Side, Side]:
    _, rewards, discount = exact.model(mdp)
    plans = product(range(mdp.actions), repeat=mdp.states)
    flows = (exact.occupancy(mdp, one_hot(np.array(plan), mdp.actions)) for plan in plans)
    best = max((flow * rewards).sum() for flow in flows)
    return best, (1 - discount) * (start @ exact.optimal_values(mdp))


def _best_start(instance: Potential) -> tuple[Side, Side]:
    mdp = instance.mdp
    best = exact.optimal_values(mdp)
    return _duality(mdp, exact.identity(mdp.states)[int(best.argmax())])


STRONG_DUALITY = Theorem(
    id="occupancy/strong-duality",
    title="The occupancy program and the value program have one optimum",
    source="d'Epenoux (1963); Puterman (1994), sections 6.9.1 and 6.9.2",
    statement=(
        r"\max_{x \in \mathcal{X}_\rho} \langle x, r\rangle = (1-\gamma)\min\{\rho^\top V : "
        r"V \ge r + \gamma P V\}"
    ),
    hypotheses=(
        r"$\mathcal{X}_\rho$ the flows of occupancy/flow-polytope; the maximum is taken over all "
        "deterministic policies one by one, its vertices",
        "the minimum is attained by $V^*$, found by exact policy iteration",
    ),
    kind="identity",
    sample=sample_potential,
    sides=duality_sides,
    control=Control(
        name="start where it is best",
        explanation="The value program weighs only the best state instead of the starting law.",
        sides=_best_start,
    ),
    sizes=(2, 3),
    cost=2.0,
)


def shaped(instance: Potential, discount: float) -> DiscountedMDP:
    """Return the MDP with r + discount * E[potential(next)] - potential added to its rewards.

    Exact in floats: 10 bits of rewards, potential and at most 24 of discounted probabilities.
    """
    mdp, _, potential = instance
    rewards = fractions(mdp.rewards) - fractions(potential)[:, None]
    rewards = rewards + Fraction(discount) * (fractions(mdp.transitions) @ fractions(potential))
    return mdp.replace(rewards=rewards.astype(np.float64))


def _shaping(instance: Potential, discount: float) -> tuple[Side, Side]:
    before, after = instance.mdp, shaped(instance, discount)
    values = exact.optimal_values(before)
    moved = exact.action_values(before, values) - fractions(instance.potential)[:, None]
    return exact.join(exact.action_values(after, exact.optimal_values(after))), exact.join(moved)


def shaping_sides(instance: Potential) -> tuple[Side, Side]:
    """Return Q* of the shaped MDP and Q* minus the potential, each (S A,)."""
    return _shaping(instance, instance.mdp.discount)


SHAPING = Theorem(
    id="occupancy/potential-shaping",
    title="Potential-based shaping moves the action values by the potential, and no policy",
    source="Ng, Harada and Russell (1999), Theorem 1",
    statement=(
        r"r'(s,a) = r(s,a) + \gamma\,\mathbb{E}_{s'\sim p(s,a)}\Phi(s') - \Phi(s) \implies "
        r"Q'^{*}(s,a) = Q^*(s,a) - \Phi(s)"
    ),
    hypotheses=(r"any potential $\Phi \in \mathbb{R}^S$",),
    kind="identity",
    sample=sample_potential,
    sides=shaping_sides,
    control=Control(
        name="undiscounted potential",
        explanation="The potential of the next state is added without the discount.",
        sides=lambda instance: _shaping(instance, 1.0),
    ),
)


THEOREMS = (PERFORMANCE_DIFFERENCE, POLYTOPE, SLACKNESS, STRONG_DUALITY, SHAPING)
