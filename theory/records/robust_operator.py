"""Robust Bellman operators: contraction, monotonicity, deterministic optima.

Total variation, L1, L-infinity, interval and contamination sets, (s,a)-rectangular, and total
variation with a radius that the actions of a state share; every side is a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.tabular.uncertainty.interval import Interval, LInf
from rltheory.tabular.uncertainty.total_variation import L1, TotalVariation
from rltheory.theory import exact, instances, robust_exact, water_level
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Robust(NamedTuple):
    """An MDP and an uncertainty set."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet


class TwoVectors(NamedTuple):
    """A robust MDP, whether actions share the radius, and two vectors of values (S,)."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet
    shared: bool
    first: FractionArray
    second: FractionArray


def draw_set(tape: Tape, mdp: DiscountedMDP) -> UncertaintySet:
    """Draw one of five kinds of sets with a radius k / 16, intervals around the kernel."""
    kind, radius = tape.integer(0, 4), tape.integer(0, 16) / 16
    if kind == 4:
        low, high = tape.dyadic((2, *mdp.transitions.shape), 0.0, 0.5, bits=4)
        lower, upper = mdp.transitions - low, mdp.transitions + high
        return Interval(np.maximum(lower, 0.0), np.minimum(upper, 1.0))
    return (TotalVariation, L1, LInf, Contamination)[kind](radius)


def sample_robust(tape: Tape, size: int) -> Robust:
    """Draw an MDP with two or three actions and a set."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    return Robust(model, draw_set(tape, model))


def sample_two_vectors(tape: Tape, size: int) -> TwoVectors:
    """Draw two vectors that differ by a constant half of the time."""
    model, uncertainty = sample_robust(tape, size)
    shared = tape.integer(0, 2) == 0
    if shared:
        uncertainty = TotalVariation(tape.integer(0, 16) / 16)
    first, second = (fractions(instances.values(tape, size)) for _ in range(2))
    if tape.integer(0, 1):
        second = first + second[0]
    return TwoVectors(model, uncertainty, shared, first, second)


def image(instance: TwoVectors, values: FractionArray) -> FractionArray:
    """Return the robust optimality operator at `values`, shape (S,)."""
    if instance.shared:
        assert isinstance(instance.uncertainty, TotalVariation)
        radius = Fraction(float(instance.uncertainty.radius))
        return water_level.shared_backup(instance.mdp, radius, values)
    found = robust_exact.robust_backup(instance.mdp, instance.uncertainty, values)
    return np.asarray(found.max(axis=1))


def contraction_sides(instance: TwoVectors) -> tuple[Side, Side]:
    """Return |T V - T W| and discount * |V - W| in the sup norm."""
    return _contraction(instance, Fraction(instance.mdp.discount))


def _contraction(instance: TwoVectors, modulus: Fraction) -> tuple[Side, Side]:
    first, second = instance.first, instance.second
    moved = image(instance, first) - image(instance, second)
    return supremum(moved), modulus * supremum(first - second)


CONTRACTION = Theorem(
    id="robust/contraction",
    title="The robust optimality operator contracts by the discount",
    source=(
        "Iyengar (2005), Theorem 3.2; Nilim and El Ghaoui (2005); Wiesemann, Kuhn and Rustem "
        "(2013) for s-rectangular sets"
    ),
    statement=(
        r"\|TV - TW\|_\infty \le \gamma\,\|V - W\|_\infty,\qquad (TV)(s) = \max_{\pi \in \Delta_A} "
        r"\min_{q \in \mathcal{U}_s} \sum_a \pi_a \bigl(r(s,a) + \gamma\, q_a \cdot V\bigr)"
    ),
    hypotheses=(
        r"$\mathcal{U}_s$ a product of total-variation, $L_1$, $L_\infty$, interval or "
        "contamination sets, one per action, or a total-variation ball shared by the actions",
        r"discount $\gamma \in [0, 1)$, $V, W \in \mathbb{R}^S$",
    ),
    kind="inequality",
    sample=sample_two_vectors,
    sides=contraction_sides,
    control=Control(
        name="modulus squared",
        explanation="The modulus is the discount squared, as if one sweep were two.",
        sides=lambda x: _contraction(x, Fraction(x.mdp.discount) ** 2),
    ),
    notes="Attained by every pair of vectors that differ by a constant, whatever the set.",
    sharpness=0.999,
)


def sample_ordered(tape: Tape, size: int) -> TwoVectors:
    """Draw V and a vector above it; the two are often equal in most states."""
    instance = sample_two_vectors(tape, size)
    rise = fractions(np.maximum(tape.dyadic(size, -4.0, 4.0), 0.0))
    return instance._replace(second=instance.first + rise)


def monotone_sides(instance: TwoVectors) -> tuple[Side, Side]:
    """Return T V and T W for V <= W, each (S,)."""
    return image(instance, instance.first), image(instance, instance.second)


def _signed(instance: TwoVectors) -> tuple[Side, Side]:
    """The L-infinity ball without positivity: p . v minus radius * sum |v - median|."""

    def backed(values: FractionArray) -> FractionArray:
        median = np.sort(values)[(len(values) - 1) // 2]
        penalty = np.abs(values - median).sum() / 4
        found = exact.action_values(instance.mdp, values)
        return np.asarray(found.max(axis=1) - Fraction(instance.mdp.discount) * penalty)

    return backed(instance.first), backed(instance.second)


MONOTONE = Theorem(
    id="robust/monotone",
    title="A robust operator is monotone because its kernels are nonnegative",
    source="Iyengar (2005), proof of Theorem 3.2; Nilim and El Ghaoui (2005)",
    statement=r"V \le W \implies TV \le TW",
    hypotheses=(
        "every member of every set is a distribution: its entries are nonnegative",
        r"$V \le W$ in every state",
    ),
    kind="inequality",
    sample=sample_ordered,
    sides=monotone_sides,
    control=Control(
        name="signed members",
        explanation=(
            r"The $L_\infty$ ball keeps members with negative entries, so that its closed form "
            r"$p\cdot V - \rho\sum_i|V_i - \operatorname{med} V|$ holds; a better state may then "
            "cost value."
        ),
        sides=_signed,
    ),
    notes=(
        "With sets of one member it is the monotonicity of the nominal operator. "
        r"The closed forms of $L_p$ balls drop positivity; where it binds, monotonicity and with "
        "it policy iteration and the optimality of stationary policies lose their proof."
    ),
    sharpness=0.999,
)


def _best_deterministic(instance: Robust) -> tuple[FractionArray, FractionArray]:
    """Return the best value in each state, and all values of the policy best on average."""
    mdp, uncertainty = instance
    choices = robust_exact.deterministic_policies(mdp.states, mdp.actions)
    found = [robust_exact.evaluate(mdp, uncertainty, policy).values for policy in choices]
    return np.max(np.array(found), axis=0), max(found, key=lambda values: values.sum())


def deterministic_sides(instance: Robust) -> tuple[Side, Side]:
    """Return (single policy, best per state) and (best per state, its robust backup)."""
    best, single = _best_deterministic(instance)
    backed = robust_exact.robust_backup(*instance, best).max(axis=1)
    return exact.join(single, best), exact.join(best, backed)


def _shared_radius(instance: Robust) -> tuple[Side, Side]:
    best, single = _best_deterministic(instance)
    assert isinstance(instance.uncertainty, TotalVariation)
    radius = Fraction(float(instance.uncertainty.radius))
    backed = water_level.shared_backup(instance.mdp, radius, best)
    return exact.join(single, best), exact.join(best, backed)


def _sample_total_variation(tape: Tape, size: int) -> Robust:
    model = instances.mdp(tape, size, tape.integer(2, 3))
    return Robust(model, TotalVariation(tape.integer(0, 16) / 16))


DETERMINISTIC = Theorem(
    id="robust/deterministic-optimum",
    title="Against (s,a)-rectangular sets a deterministic stationary policy is optimal everywhere",
    source="Iyengar (2005), Theorem 3.2; Nilim and El Ghaoui (2005)",
    statement=(
        r"\exists \pi \in A^S:\quad V^\pi = \max_{\pi' \in A^S} V^{\pi'} = T \max_{\pi' \in A^S} "
        r"V^{\pi'} \quad\text{in every state},\qquad V^\pi = \min_{P \in \mathcal{U}} V^{\pi, P}"
    ),
    hypotheses=(
        r"$\mathcal{U} = \prod_{s,a} \mathcal{U}_{s,a}$, all deterministic policies tried; $T$ the "
        "robust optimality operator",
    ),
    kind="identity",
    sample=sample_robust,
    sides=deterministic_sides,
    control=Control(
        name="shared radius",
        explanation=(
            "The actions of a state share the radius: a randomised policy then does better than "
            "every deterministic one."
        ),
        sides=_shared_radius,
        sample=_sample_total_variation,
    ),
    sizes=(2, 3),
    cost=3.0,
    notes=(
        "Brute force over all deterministic policies: one of them is best in every state at once, "
        "and no backup, hence no randomised or history-dependent policy, improves on it."
    ),
)


THEOREMS = (CONTRACTION, MONOTONE, DETERMINISTIC)
