"""The adversary of a robust MDP: its worst kernel, and its answer to a new policy.

(s,a)-rectangular total variation, L1, L-infinity, interval and contamination sets; every side is
a Fraction.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.base import UncertaintySet
from rltheory.theory import exact, instances, robust_exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_operator import Robust, draw_set, sample_robust
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoPolicies(NamedTuple):
    """A robust MDP and two policies (S, A)."""

    mdp: DiscountedMDP
    uncertainty: UncertaintySet
    first: FloatArray
    second: FloatArray


def sample_far_sighted(tape: Tape, size: int) -> Robust:
    """Draw a robust MDP of discount 12/16 or more, where the order of the values may change."""
    model = instances.mdp(tape, size, tape.integer(2, 3), instances.discount(tape, low=12))
    return Robust(model, draw_set(tape, model))


def saddle_sides(instance: Robust) -> tuple[Side, Side]:
    """Return the robust optimum and the optimum of the kernel that is worst at it, each (S,)."""
    mdp, uncertainty = instance
    values = robust_exact.optimum(mdp, uncertainty).values
    kernel = robust_exact.worst_kernel(mdp, uncertainty, values)
    return values, robust_exact.kernel_optimum(mdp, kernel).values


def _myopic_kernel(instance: Robust) -> tuple[Side, Side]:
    mdp, uncertainty = instance
    nominal = exact.optimal_values(mdp)
    kernel = robust_exact.worst_kernel(mdp, uncertainty, nominal)
    values = robust_exact.optimum(mdp, uncertainty).values
    return values, robust_exact.kernel_optimum(mdp, kernel).values


SADDLE = Theorem(
    id="robust/worst-kernel-saddle",
    title="One kernel is worst at once: under it the nominal optimum is the robust one",
    source=(
        "Nilim and El Ghaoui (2005); Iyengar (2005), Theorem 3.2; Wiesemann, Kuhn and Rustem "
        "(2013), Proposition 9"
    ),
    statement=(
        r"\max_\pi \min_{P \in \mathcal{U}} V^{\pi, P} = \max_\pi V^{\pi, P^\star} = "
        r"\min_{P \in \mathcal{U}} \max_\pi V^{\pi, P},\qquad P^\star_{s,a} \in "
        r"\arg\min_{q \in \mathcal{U}_{s,a}} q \cdot V^\star"
    ),
    hypotheses=(r"(s,a)-rectangular sets", r"$V^\star$ the robust optimum"),
    kind="identity",
    sample=sample_far_sighted,
    sides=saddle_sides,
    control=Control(
        name="worst at the nominal values",
        explanation=(
            "The kernel is worst for the nominal optimal values, as a one-step attack would "
            "choose it, instead of for the robust ones."
        ),
        sides=_myopic_kernel,
    ),
    sizes=(3, 4),
    cost=2.0,
    notes="The kernel is the adversary's certificate: it proves the upper bound of a solution.",
)


def sample_two_policies(tape: Tape, size: int) -> TwoPolicies:
    """Draw a robust MDP and two policies."""
    model, uncertainty = sample_robust(tape, size)
    first, second = (instances.policy(tape, size, model.actions) for _ in range(2))
    return TwoPolicies(model, uncertainty, first, second)


def _difference(instance: TwoPolicies) -> tuple[FractionArray, FractionArray, list[FractionArray]]:
    """Return V^pi' - V^pi, the robust advantage of pi', and the kernels of the two bounds.

    The kernels: worst for pi' at its own values, worst for one step of pi' at those of pi.
    """
    mdp, uncertainty, first, second = instance
    old = robust_exact.evaluate(mdp, uncertainty, first).values
    new = robust_exact.evaluate(mdp, uncertainty, second)
    one_step = robust_exact.worst_kernel(mdp, uncertainty, old)
    backed = (fractions(second) * robust_exact.backup(mdp, one_step, old)).sum(axis=1)
    return new.values - old, np.asarray(backed - old), [new.response.kernel, one_step]


def _discounted(
    instance: TwoPolicies, kernel: FractionArray, advantage: FractionArray
) -> FractionArray:
    moves = robust_exact.chain(kernel, instance.second)
    return exact.resolvent(moves, Fraction(instance.mdp.discount), advantage)


def difference_sides(instance: TwoPolicies) -> tuple[Side, Side]:
    """Return (lower bound, gain) and (gain, upper bound), each (2 S,)."""
    gain, advantage, (own, one_step) = _difference(instance)
    lower = _discounted(instance, own, advantage)
    upper = _discounted(instance, one_step, advantage)
    return exact.join(lower, gain), exact.join(gain, upper)


def _nominal_visits(instance: TwoPolicies) -> tuple[Side, Side]:
    gain, advantage, (own, _) = _difference(instance)
    lower = _discounted(instance, own, advantage)
    upper = _discounted(instance, exact.model(instance.mdp)[0], advantage)
    return exact.join(lower, gain), exact.join(gain, upper)


PERFORMANCE_DIFFERENCE = Theorem(
    id="robust/performance-difference",
    title="A robust performance difference lies between two discounted sums of robust advantages",
    source=(
        "Derived from Kakade and Langford (2002), Lemma 6.1, with the kernels of both policies; "
        "compare Li, Zhao and Lan (2022)"
    ),
    statement=(
        r"(I - \gamma P'_{\pi'})^{-1} A \;\le\; V^{\pi'} - V^{\pi} \;\le\; "
        r"(I - \gamma P^{1}_{\pi'})^{-1} A,\qquad A = T_{\pi'} V^{\pi} - V^{\pi}"
    ),
    hypotheses=(
        r"$V^\pi$ robust values over (s,a)-rectangular sets, $T_{\pi'}$ the robust backup",
        r"$P'$ worst for $\pi'$ at $V^{\pi'}$, $P^1$ worst for one step of $\pi'$ at $V^{\pi}$",
    ),
    kind="inequality",
    sample=sample_two_policies,
    sides=difference_sides,
    control=Control(
        name="nominal visits",
        explanation="The upper bound counts visits under the nominal kernel.",
        sides=_nominal_visits,
    ),
    sizes=(2, 3),
    cost=1.5,
    notes=(
        "An equality for one kernel, an interval for a set: the adversary answers the new policy. "
        r"With $A \ge 0$, as after a greedy step, the lower bound is robust policy improvement: "
        r"$V^{\pi'} \ge T_{\pi'} V^\pi \ge V^\pi$."
    ),
    sharpness=0.999,
)


THEOREMS = (SADDLE, PERFORMANCE_DIFFERENCE)
