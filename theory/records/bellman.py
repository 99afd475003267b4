"""The optimality operator: its moduli, its brackets of V*, in-place sweeps.

Every side is a Fraction. Instances are random MDPs and, often, the extremal ones: vectors that
differ by a constant, and vectors whose Bellman residual is constant.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.theory import exact, instances
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side, supremum
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoVectors(NamedTuple):
    """An MDP and two vectors of values (S,)."""

    mdp: DiscountedMDP
    first: FloatArray
    second: FloatArray


class OneVector(NamedTuple):
    """An MDP and a vector of values (S,)."""

    mdp: DiscountedMDP
    values: FractionArray


def sample_two_vectors(tape: Tape, size: int) -> TwoVectors:
    """Draw two vectors that differ by a constant half of the time."""
    model = instances.mdp(tape, size, tape.integer(1, 3))
    first = instances.values(tape, size)
    if tape.integer(0, 1):
        return TwoVectors(model, first, first + tape.dyadic((), -8, 8))
    return TwoVectors(model, first, instances.values(tape, size))


def contraction_sides(instance: TwoVectors) -> tuple[Side, Side]:
    """Return |T V - T W| and discount * |V - W| in the sup norm."""
    return _contraction(instance, Fraction(instance.mdp.discount))


def _contraction(instance: TwoVectors, modulus: Fraction) -> tuple[Side, Side]:
    mdp, first, second = instance
    moved = exact.bellman(mdp, first) - exact.bellman(mdp, second)
    return supremum(moved), modulus * supremum(fractions(first) - fractions(second))


CONTRACTION = Theorem(
    id="bellman/contraction",
    title="The optimality operator contracts by the discount",
    source="Denardo (1967); Puterman (1994), Proposition 6.2.4",
    statement=r"\|TV - TW\|_\infty \le \gamma\, \|V - W\|_\infty",
    hypotheses=("finite MDP", r"discount $\gamma \in [0, 1)$", r"$V, W \in \mathbb{R}^S$"),
    kind="inequality",
    sample=sample_two_vectors,
    sides=contraction_sides,
    control=Control(
        name="modulus squared",
        explanation="The modulus is the discount squared, as if one sweep were two.",
        sides=lambda x: _contraction(x, Fraction(x.mdp.discount) ** 2),
    ),
    notes="Attained by every pair of vectors that differ by a constant.",
    sharpness=0.999,
)


def ergodic_coefficient(transitions: FractionArray) -> Fraction:
    """Return the largest total variation between two rows of (rows, S), Dobrushin's coefficient."""
    overlaps = [
        np.minimum(first, second).sum()
        for i, first in enumerate(transitions)
        for second in transitions[i + 1 :]
    ]
    return 1 - min(overlaps, default=Fraction(1))


def span_sides(instance: TwoVectors) -> tuple[Side, Side]:
    """Return the span of T V - T W and its bound by the ergodic coefficient of all pairs."""
    rows, _, _ = exact.model(instance.mdp)
    return _span(instance, ergodic_coefficient(rows.reshape(-1, rows.shape[-1])))


def _span(instance: TwoVectors, coefficient: Fraction) -> tuple[Side, Side]:
    mdp, first, second = instance
    moved = exact.bellman(mdp, first) - exact.bellman(mdp, second)
    apart = exact.span(fractions(first) - fractions(second))
    return exact.span(moved), Fraction(mdp.discount) * coefficient * apart


def _span_same_action(instance: TwoVectors) -> tuple[Side, Side]:
    rows, _, _ = exact.model(instance.mdp)
    return _span(instance, max(ergodic_coefficient(rows[:, a]) for a in range(rows.shape[1])))


def sample_span(tape: Tape, size: int) -> TwoVectors:
    """Draw two unrelated vectors; half of the time the kernel depends on the action alone."""
    model = instances.mdp(tape, size, tape.integer(1, 3))
    if tape.integer(0, 1):
        model = model.replace(transitions=np.repeat(model.transitions[:1], size, axis=0))
    return TwoVectors(model, instances.values(tape, size), instances.values(tape, size))


SPAN = Theorem(
    id="bellman/span-contraction",
    title="In the span the modulus is the discount times Dobrushin's coefficient",
    source="Puterman (1994), Proposition 6.6.1 and section 6.6; Dobrushin (1956)",
    statement=(
        r"\operatorname{sp}(TV - TW) \le \gamma\,\delta\,\operatorname{sp}(V - W),\qquad "
        r"\delta = 1 - \min_{(s,a),(s',a')} \sum_j \min\{p(j|s,a),\, p(j|s',a')\}"
    ),
    hypotheses=("finite MDP", r"the minimum runs over all pairs of state-action pairs"),
    kind="inequality",
    sample=sample_span,
    sides=span_sides,
    control=Control(
        name="one action at a time",
        explanation="The coefficient compares rows of equal actions only, as for a fixed policy.",
        sides=_span_same_action,
    ),
    notes="Far below the discount where rows overlap: why MacQueen's test stops early.",
    sharpness=0.99,
)


def sample_residual(tape: Tape, size: int) -> OneVector:
    """Draw a vector; often V* or V^pi moved by a constant, whose residuals say much."""
    model = instances.mdp(tape, size, tape.integer(1, 3))
    kind = tape.integer(0, 2)
    if kind == 0:
        return OneVector(model, fractions(instances.values(tape, size)))
    shift = Fraction(float(tape.dyadic((), -8, 8)))
    if kind == 1:
        return OneVector(model, exact.optimal_values(model) + shift)
    policy = instances.policy(tape, size, model.actions)
    return OneVector(model, exact.policy_values(model, policy) + shift)


def bracket_sides(instance: OneVector) -> tuple[Side, Side]:
    """Return the lower ends with V* below V* with the upper ends, each (2 S,)."""
    mdp, values = instance
    image = exact.bellman(mdp, values)
    return _bracket(mdp, image, image - values)


def _bracket(
    mdp: DiscountedMDP, image: FractionArray, residual: FractionArray
) -> tuple[Side, Side]:
    discount = Fraction(mdp.discount)
    horizon = discount / (1 - discount)
    best = exact.optimal_values(mdp)
    lower, upper = image + horizon * residual.min(), image + horizon * residual.max()
    return exact.join(lower, best), exact.join(best, upper)


def _bracket_around_values(instance: OneVector) -> tuple[Side, Side]:
    mdp, values = instance
    return _bracket(mdp, values, exact.bellman(mdp, values) - values)


MACQUEEN = Theorem(
    id="bellman/macqueen-bracket",
    title="The extreme Bellman residuals bracket the optimal value",
    source="MacQueen (1966); Porteus (1971); Puterman (1994), section 6.6",
    statement=(
        r"TV + \tfrac{\gamma}{1-\gamma}\min_s (TV - V)(s)\,\mathbf{1} \le V^* \le "
        r"TV + \tfrac{\gamma}{1-\gamma}\max_s (TV - V)(s)\,\mathbf{1}"
    ),
    hypotheses=("finite MDP", r"discount $\gamma \in [0, 1)$", r"any $V \in \mathbb{R}^S$"),
    kind="inequality",
    sample=sample_residual,
    sides=bracket_sides,
    control=Control(
        name="centred on V",
        explanation=(
            r"The bracket is laid around $V$ instead of $TV$, where the factor must be "
            r"$1/(1-\gamma)$."
        ),
        sides=_bracket_around_values,
    ),
    notes=(
        r"Implies Banach's a-posteriori bound $\|TV - V^*\|_\infty \le \gamma\|TV - V\|_\infty"
        r"/(1-\gamma)$. Both ends meet where the residual is constant, $V = V^* + c\mathbf{1}$."
    ),
    sharpness=0.999,
)


def gauss_seidel(mdp: DiscountedMDP, values: FractionArray) -> FractionArray:
    """Return one in-place sweep in the order of the states, exactly, shape (S,)."""
    transitions, rewards, discount = exact.model(mdp)
    swept = values.copy()
    for s in range(mdp.states):
        swept[s] = (rewards[s] + discount * (transitions[s] @ swept)).max()
    return np.asarray(swept)


def sample_subharmonic(tape: Tape, size: int) -> OneVector:
    """Draw a vector moved down by the least constant that makes T V >= V."""
    mdp, values = sample_residual(tape, size)
    drop = (values - exact.bellman(mdp, values)).max() / (1 - Fraction(mdp.discount))
    return OneVector(mdp, values - max(drop, Fraction(0)))


def gauss_seidel_sides(instance: OneVector) -> tuple[Side, Side]:
    """Return (T V, G V) and (G V, V*), each (2 S,)."""
    mdp, values = instance
    swept = gauss_seidel(mdp, values)
    return (
        exact.join(exact.bellman(mdp, values), swept),
        exact.join(swept, exact.optimal_values(mdp)),
    )


GAUSS_SEIDEL = Theorem(
    id="bellman/gauss-seidel-dominates",
    title="Below the optimal value, an in-place sweep is at least as good as a Jacobi sweep",
    source="Kushner and Kleinman (1971); Puterman (1994), section 6.3.3",
    statement=r"TV \ge V \implies TV \le GV \le V^*",
    hypotheses=(
        r"$G$ sweeps the states in order, in place",
        r"$V$ is subharmonic: $TV \ge V$",
    ),
    kind="inequality",
    sample=sample_subharmonic,
    sides=gauss_seidel_sides,
    control=Control(
        name="any starting vector",
        explanation="The hypothesis T V >= V is dropped: a sweep in place may then do worse.",
        sample=sample_residual,
    ),
    notes="Met by one-state models and by the optimal value itself.",
    sharpness=0.999,
)


THEOREMS = (CONTRACTION, SPAN, MACQUEEN, GAUSS_SEIDEL)
