"""How far a policy may move before its old advantages mislead: two lower bounds on the gain.

Every side is a Fraction. For each bound half of the instances are a two-ended model that attains
it: what looks like a gain leads where the new policy does the opposite.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.records.occupancy import advantages
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Step(NamedTuple):
    """An MDP, the old policy (S, A), the new or suggested one, and the weight of the latter."""

    mdp: DiscountedMDP
    old: FractionArray
    new: FractionArray
    weight: Fraction


def surrogate(step: Step) -> FractionArray:
    """Return sum_a pi'(a | s) A^pi(s, a), shape (S,)."""
    return np.asarray((step.new * advantages(step.mdp, step.old)).sum(axis=1))


def _gain(step: Step, policy: FractionArray) -> Fraction:
    values = exact.policy_values(step.mdp, policy) - exact.policy_values(step.mdp, step.old)
    return Fraction(fractions(step.mdp.initial) @ values)


def two_roads(discount: float, lure: float) -> Step:
    """Return the fork on which a step of the policy loses as much as its total variation allows.

    The old road's end gets a rare action of large reward, worth `lure` a step; on the new road,
    which the old policy never sees, the new policy takes a loss of 1 at every step.
    """
    rare = 2.0**-10
    transitions = np.zeros((3, 2, 3))
    transitions[0, 0, 1] = transitions[0, 1, 2] = transitions[1, :, 1] = transitions[2, :, 2] = 1.0
    rewards = np.array([[0.0, 0.0], [0.0, lure / rare], [0.0, -1.0]])
    model = DiscountedMDP(transitions, rewards, discount, np.array([1.0, 0.0, 0.0]))
    old = fractions(np.array([[1.0, 0.0]] * 3))
    new = fractions(np.array([[0.0, 1.0], [1 - rare, rare], [0.0, 1.0]]))
    return Step(model, old, new, Fraction(1))


def sample_step(tape: Tape, size: int) -> Step:
    """Draw the two roads half of the time, else a random model with two near policies."""
    if tape.integer(0, 1):
        return two_roads(instances.discount(tape, low=1), float(tape.integer(0, 1)))
    return _random_step(tape, size)


def _random_step(tape: Tape, size: int) -> Step:
    model = instances.mdp(tape, size, tape.integer(2, 3))
    old, other = (fractions(instances.policy(tape, size, model.actions)) for _ in range(2))
    weight = Fraction(tape.integer(1, 16), 16)
    return Step(model, old, (1 - weight) * old + weight * other, weight)


def _trust(step: Step, penalty: Fraction) -> tuple[Side, Side]:
    """Return |surrogate gain - gain| and its bound, for a largest expected advantage `penalty`."""
    visited = exact.visits(step.mdp, step.old)
    horizon = 1 / (1 - Fraction(step.mdp.discount))
    moved = visited @ np.abs(step.new - step.old).sum(axis=1) / 2
    error = abs(horizon * (visited @ surrogate(step)) - _gain(step, step.new))
    return error, 2 * Fraction(step.mdp.discount) * horizon**2 * penalty * moved


def trust_sides(step: Step) -> tuple[Side, Side]:
    """Return the error of the surrogate and its bound by the average total variation."""
    return _trust(step, np.abs(surrogate(step)).max())


def _visited_only(step: Step) -> tuple[Side, Side]:
    seen = exact.visits(step.mdp, step.old) > 0
    return _trust(step, np.abs(surrogate(step))[seen].max())


TRUST_REGION = Theorem(
    id="trust-region/average-divergence",
    title="The surrogate errs by at most the average divergence of the policies",
    source=(
        "Achiam, Held, Tamar and Abbeel (2017), Theorem 1 and Corollary 1; Schulman et al. "
        "(2015), Theorem 1, with the largest divergence"
    ),
    statement=(
        r"\Bigl|V^{\pi'}(\rho) - V^\pi(\rho) - \frac{1}{1-\gamma}\mathbb{E}_{s\sim d_\rho^\pi}"
        r"\bar A(s)\Bigr| \le \frac{2\gamma\,\varepsilon}{(1-\gamma)^2}\,"
        r"\mathbb{E}_{s \sim d_\rho^{\pi}} \mathrm{TV}\bigl(\pi'(s), \pi(s)\bigr),\qquad "
        r"\bar A(s) = \sum_a \pi'(a|s) A^\pi(s,a),\; \varepsilon = \max_s |\bar A(s)|"
    ),
    hypotheses=("any two policies", "TV is half the L1 distance"),
    kind="inequality",
    sample=sample_step,
    sides=trust_sides,
    control=Control(
        name="advantages where the old policy goes",
        explanation=r"The maximum in $\varepsilon$ runs only over states that $\pi$ visits.",
        sides=_visited_only,
    ),
    notes=(
        "Approached by a fork: equality up to the probability of the rare action, 1 / 1024 times "
        "the horizon."
    ),
    sharpness=0.98,
)


def lure_and_loss(discount: float, weight: Fraction) -> Step:
    """Return the two-state model that attains the conservative bound for every step size.

    The suggestion earns 1 by leaving the first state, and then loses 1 at every step.
    """
    transitions = np.zeros((2, 2, 2))
    transitions[0, 0, 0] = transitions[0, 1, 1] = transitions[1, :, 1] = 1.0
    rewards = np.array([[0.0, 1.0], [0.0, -1.0]])
    model = DiscountedMDP(transitions, rewards, discount, np.array([1.0, 0.0]))
    stay, go = (fractions(np.array([row] * 2)) for row in ([1.0, 0.0], [0.0, 1.0]))
    return Step(model, stay, go, weight)


def sample_conservative(tape: Tape, size: int) -> Step:
    """Draw the lure half of the time, else a random model, and a step size k / 16."""
    if tape.integer(0, 1):
        factor = instances.discount(tape, low=1)
        return lure_and_loss(factor, Fraction(tape.integer(1, 16), 16))
    model = instances.mdp(tape, size, tape.integer(2, 3))
    old, new = (fractions(instances.policy(tape, size, model.actions)) for _ in range(2))
    return Step(model, old, new, Fraction(tape.integer(1, 16), 16))


def _conservative(step: Step, coupled: Fraction) -> tuple[Side, Side]:
    discount, weight = Fraction(step.mdp.discount), step.weight
    expected = surrogate(step)
    promised = weight / (1 - discount) * (exact.visits(step.mdp, step.old) @ expected)
    mixed = (1 - weight) * step.old + weight * step.new
    penalty = 2 * weight**2 * discount * np.abs(expected).max()
    return promised - _gain(step, mixed), penalty / ((1 - discount) * coupled)


def conservative_sides(step: Step) -> tuple[Side, Side]:
    """Return the shortfall of a conservative step and its bound."""
    return _conservative(step, 1 - Fraction(step.mdp.discount) * (1 - step.weight))


CONSERVATIVE = Theorem(
    id="trust-region/conservative-step",
    title="A conservative step falls short of its promise by the square of its size at most",
    source="Kakade and Langford (2002), Theorem 4.1; that it is attained is derived here",
    statement=(
        r"V^{\pi_\alpha}(\rho) - V^\pi(\rho) \ge \frac{\alpha}{1-\gamma}\Bigl("
        r"\mathbb{E}_{s\sim d_\rho^\pi}\bar A(s) - \frac{2\alpha\gamma\,\varepsilon}"
        r"{1-\gamma(1-\alpha)}\Bigr),\qquad \pi_\alpha = (1-\alpha)\pi + \alpha\pi'"
    ),
    hypotheses=(
        r"$\alpha \in (0, 1]$",
        r"$\bar A(s) = \sum_a \pi'(a|s) A^\pi(s,a)$, $\varepsilon = \max_s|\bar A(s)|$",
    ),
    kind="inequality",
    sample=sample_conservative,
    sides=conservative_sides,
    control=Control(
        name="one deviation",
        explanation=(
            r"The factor $1/(1-\gamma(1-\alpha))$ is dropped, as if the mixture could leave the "
            "old policy only at the first step."
        ),
        sides=lambda step: _conservative(step, Fraction(1)),
    ),
    notes=r"Attained for every $\alpha$ and $\gamma$ by a lure followed by a lasting loss.",
    sharpness=0.999,
)


THEOREMS = (TRUST_REGION, CONSERVATIVE)
