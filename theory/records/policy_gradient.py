"""Gradients of performance: the theorem, the natural direction, domination, trust regions.

Derivatives come from dual numbers over the rationals, so the gradient theorems are identities
between two exact computations of different kinds.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import dual, exact, instances
from rltheory.theory.dual import Dual, DualArray
from rltheory.theory.exact import fractions
from rltheory.theory.records.occupancy import advantages
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Direction(NamedTuple):
    """An MDP, positive weights (S, A) of a policy, and a direction of change (S, A)."""

    mdp: DiscountedMDP
    weights: FractionArray
    direction: FractionArray


class Target(NamedTuple):
    """An MDP, a policy (S, A) and the distributions (S,) to judge by and to train on."""

    mdp: DiscountedMDP
    policy: FractionArray
    judged: FractionArray
    trained: FractionArray


def sample_direction(tape: Tape, size: int) -> Direction:
    """Draw an MDP, weights in [1/4, 4] and a direction in [-1, 1]."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    weights = fractions(tape.dyadic((size, model.actions), 0.25, 4.0))
    return Direction(model, weights, fractions(tape.dyadic((size, model.actions), -1, 1)))


def performance(mdp: DiscountedMDP, policy: DualArray) -> Dual:
    """Return V^pi(rho) for a policy (S, A) of dual numbers, by elimination."""
    transitions, rewards, discount = exact.model(mdp)
    kernel = (policy[:, :, None] * transitions).sum(axis=1)
    values = dual.solve(
        exact.identity(mdp.states) - discount * kernel, (policy * rewards).sum(axis=1)
    )
    result: Dual = (fractions(mdp.initial) * values).sum()
    return result


def moving_policy(instance: Direction) -> DualArray:
    """Return pi(a | s) = w(s, a) / sum_b w(s, b) with its derivative along the direction."""
    weights = dual.duals(instance.weights, instance.direction)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _gradient(instance: Direction, credit: FractionArray) -> tuple[Side, Side]:
    mdp = instance.mdp
    policy = moving_policy(instance)
    current = instance.weights / instance.weights.sum(axis=1, keepdims=True)
    visited = exact.visits(mdp, current) / (1 - Fraction(mdp.discount))
    change = (dual.slopes_of(policy) * credit).sum(axis=1)
    return performance(mdp, policy).slope, visited @ change


def gradient_sides(instance: Direction) -> tuple[Side, Side]:
    """Return the derivative of performance by dual numbers and by the theorem's sum."""
    mdp, weights, _ = instance
    values = exact.policy_values(mdp, weights / weights.sum(axis=1, keepdims=True))
    return _gradient(instance, exact.action_values(mdp, values))


def _late_credit(instance: Direction) -> tuple[Side, Side]:
    mdp, weights, _ = instance
    values = exact.policy_values(mdp, weights / weights.sum(axis=1, keepdims=True))
    credit = exact.action_values(mdp, values) - fractions(mdp.rewards)
    return _gradient(instance, credit)


GRADIENT = Theorem(
    id="policy-gradient/theorem",
    title="The policy gradient theorem",
    source="Sutton, McAllester, Singh and Mansour (2000), Theorem 1",
    statement=(
        r"\nabla_\theta V^{\pi_\theta}(\rho) = \frac{1}{1-\gamma}\sum_s d^{\pi_\theta}_\rho(s) "
        r"\sum_a \nabla_\theta \pi_\theta(a|s)\, Q^{\pi_\theta}(s, a)"
    ),
    hypotheses=(
        r"$\pi_\theta(a|s) = \theta_{sa} / \sum_b \theta_{sb}$, $\theta > 0$, a smooth class that "
        "stays rational",
        "the derivative is taken along a random direction, by dual numbers through elimination",
    ),
    kind="identity",
    sample=sample_direction,
    sides=gradient_sides,
    control=Control(
        name="credit starts one step late",
        explanation="The reward of the action itself is left out of its credit.",
        sides=_late_credit,
    ),
)


def _softmax_slopes(policy: FractionArray, state: int, action: int) -> FractionArray:
    """Return the derivative of a softmax policy (S, A) by its parameter of one pair."""
    slopes = np.full(policy.shape, Fraction(0), dtype=object)
    slopes[state] = -policy[state] * policy[state, action]
    slopes[state, action] += policy[state, action]
    return slopes


def _natural(instance: Direction, visited: FractionArray) -> tuple[Side, Side]:
    mdp, weights, _ = instance
    policy = weights / weights.sum(axis=1, keepdims=True)
    step = advantages(mdp, policy) / (1 - Fraction(mdp.discount))
    states, actions = policy.shape
    pairs = [(s, a) for s in range(states) for a in range(actions)]
    gradient = [
        performance(mdp, dual.duals(policy, _softmax_slopes(policy, s, a))).slope for s, a in pairs
    ]
    # The Fisher matrix is block diagonal: the score of (s, a) only moves parameters of s.
    scores = exact.identity(actions)[None] - policy[:, None, :]
    fisher = (visited[:, None] * policy)[:, :, None, None] * (
        scores[:, :, :, None] * scores[:, :, None, :]
    )
    blocks = fisher.sum(axis=1)
    image = [blocks[s] @ step[s] for s in range(states)]
    return exact.join(*gradient), exact.join(*image)


def natural_sides(instance: Direction) -> tuple[Side, Side]:
    """Return the softmax gradient and Fisher times A / (1 - g), each (S A,)."""
    policy = instance.weights / instance.weights.sum(axis=1, keepdims=True)
    return _natural(instance, exact.visits(instance.mdp, policy))


NATURAL = Theorem(
    id="policy-gradient/natural-direction",
    title="For softmax policies the natural gradient is the advantage function",
    source="Kakade (2001), Theorem 1; Agarwal, Kakade, Lee and Mahajan (2021), Lemma 15",
    statement=(
        r"F_\rho(\theta)\, \tfrac{1}{1-\gamma} A^{\pi_\theta} = \nabla_\theta "
        r"V^{\pi_\theta}(\rho),\qquad F_\rho(\theta) = \mathbb{E}_{s\sim d_\rho, a\sim\pi}"
        r"\bigl[\nabla\log\pi(a|s)\,\nabla\log\pi(a|s)^\top\bigr]"
    ),
    hypotheses=(
        r"$\pi_\theta = \operatorname{softmax}(\theta)$, one parameter per pair, at a rational "
        "policy",
    ),
    kind="identity",
    sample=sample_direction,
    sides=natural_sides,
    control=Control(
        name="Fisher matrix of the start",
        explanation="The Fisher matrix averages over the starting law instead of the visits.",
        sides=lambda instance: _natural(instance, fractions(instance.mdp.initial)),
    ),
    sizes=(2, 3),
    cost=3.0,
)


def sample_target(tape: Tape, size: int) -> Target:
    """Draw two starting laws, equal half of the time, and often actions that move nothing."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    if tape.integer(0, 1):
        still = np.repeat(model.transitions[:, :1], model.actions, axis=1)
        model = model.replace(transitions=still)
    policy = fractions(instances.policy(tape, size, model.actions))
    trained = (fractions(tape.simplex(size)) + Fraction(1, size)) / 2
    judged = trained if tape.integer(0, 1) else fractions(model.initial)
    return Target(model, policy, judged, trained)


def _domination(target: Target) -> tuple[Fraction, Fraction, FractionArray, FractionArray]:
    """Return the gap, the best linear gain, the visits judged (optimal) and trained."""
    mdp, policy, judged, trained = target
    gap = judged @ (exact.optimal_values(mdp) - exact.policy_values(mdp, policy))
    visited = exact.visits(mdp, policy, trained)
    gain = visited @ advantages(mdp, policy).max(axis=1) / (1 - Fraction(mdp.discount))
    return gap, gain, exact.visits(mdp, exact.optimal_policy(mdp), judged), visited


def domination_sides(target: Target) -> tuple[Side, Side]:
    """Return (gap, first bound) and (first bound, second bound)."""
    gap, gain, optimal, visited = _domination(target)
    horizon = 1 / (1 - Fraction(target.mdp.discount))
    first = (optimal / visited).max() * gain
    second = horizon * (optimal / target.trained).max() * gain
    return exact.join(gap, first), exact.join(first, second)


def _starts_compared(target: Target) -> tuple[Side, Side]:
    gap, gain, _, _ = _domination(target)
    return gap, (target.judged / target.trained).max() * gain


DOMINATION = Theorem(
    id="policy-gradient/gradient-domination",
    title="Gradient domination with the mismatch coefficient",
    source="Agarwal, Kakade, Lee and Mahajan (2021), Lemma 4 (Lemma 4.1 of the preprint)",
    statement=(
        r"V^*(\rho) - V^\pi(\rho) \le \Bigl\|\frac{d_\rho^{\pi^*}}{d_\mu^\pi}\Bigr\|_\infty "
        r"\max_{\bar\pi} \langle \bar\pi - \pi, \nabla_\pi V^\pi(\mu)\rangle \le "
        r"\frac{1}{1-\gamma}\Bigl\|\frac{d_\rho^{\pi^*}}{\mu}\Bigr\|_\infty "
        r"\max_{\bar\pi} \langle \bar\pi - \pi, \nabla_\pi V^\pi(\mu)\rangle"
    ),
    hypotheses=(r"direct parametrisation", r"$\mu > 0$ everywhere", r"$\pi^*$ optimal"),
    kind="inequality",
    sample=sample_target,
    sides=domination_sides,
    control=Control(
        name="mismatch of the starts",
        explanation=(
            r"The coefficient compares the starting laws, $\|\rho/\mu\|$, instead of the visits."
        ),
        sides=_starts_compared,
    ),
    notes=r"Met where actions do not move the state and $\mu = \rho$: the visits then agree.",
    sharpness=0.999,
)


def sample_positive(tape: Tape, size: int) -> Target:
    """Draw a positive policy; half of the time in a needle, one good action among sixteen."""
    if tape.integer(0, 1):
        rewards = np.zeros((size, 16))
        rewards[:, 0] = 1.0
        # Every state is left for a fresh one: states share their gradients evenly.
        transitions = np.full((size, 16, size), 0.0)
        transitions[:, :, 0] = 1.0
        model = DiscountedMDP(transitions, rewards, 0.0)
        good = Fraction(tape.integer(1, 63), 64)
        row = np.array([good, *[(1 - good) / 15] * 15], dtype=object)
        even = fractions(np.ones(size)) / size
        return Target(model, np.stack([row] * size), even, even)
    model = instances.mdp(tape, size, tape.integer(2, 3))
    weights = fractions(tape.dyadic((size, model.actions), 2.0**-6, 1.0))
    trained = (fractions(tape.simplex(size)) + Fraction(1, size)) / 2
    policy = weights / weights.sum(axis=1, keepdims=True)
    return Target(model, policy, fractions(model.initial), trained)


def _lojasiewicz(target: Target, *, least: bool) -> tuple[Side, Side]:
    mdp, policy, judged, trained = target
    best = exact.optimal_policy(mdp)
    visited = exact.visits(mdp, policy, trained)
    gradient = visited[:, None] * policy * advantages(mdp, policy)
    slope = (gradient**2).sum() / (1 - Fraction(mdp.discount)) ** 2
    gap = judged @ (exact.optimal_values(mdp) - exact.policy_values(mdp, policy))
    mismatch = (exact.visits(mdp, best, judged) / visited).max()
    chances = (policy * fractions(best)).sum(axis=1)
    chance = chances.min() if least else chances.max()
    return (chance * gap) ** 2, mdp.states * mismatch**2 * slope


def lojasiewicz_sides(target: Target) -> tuple[Side, Side]:
    """Return the squared gap times chance of the optimum, and the squared gradient's multiple."""
    return _lojasiewicz(target, least=True)


LOJASIEWICZ = Theorem(
    id="policy-gradient/softmax-lojasiewicz",
    title="Softmax gradients vanish only with the gap or with the optimal action",
    source="Mei, Xiao, Szepesvari and Schuurmans (2020), Lemma 8",
    statement=(
        r"\min_s \pi_\theta(a^*(s)|s)^2\,\bigl(V^*(\rho) - V^{\pi_\theta}(\rho)\bigr)^2 \le S\,"
        r"\Bigl\|\frac{d_\rho^{\pi^*}}{d_\mu^{\pi_\theta}}\Bigr\|_\infty^2\,"
        r"\bigl\|\nabla_\theta V^{\pi_\theta}(\mu)\bigr\|_2^2"
    ),
    hypotheses=(r"softmax policies, $\pi_\theta > 0$", r"$\mu > 0$", "squared to stay rational"),
    kind="inequality",
    sample=sample_positive,
    sides=lojasiewicz_sides,
    control=Control(
        name="the likeliest optimum",
        explanation="The largest chance of an optimal action takes the place of the least.",
        sides=lambda target: _lojasiewicz(target, least=False),
    ),
    notes="Within 1 + 1 / (A - 1) of equality for one good action among A, alike in every state.",
    sharpness=0.9,
)


THEOREMS = (GRADIENT, NATURAL, DOMINATION, LOJASIEWICZ)
