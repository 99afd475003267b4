"""The gradient of a robust value: the adversary's kernel may be held fixed, by Danskin's theorem.

The derivative comes from dual numbers through the closed form of contaminated values, which does
not mention the worst kernel; the gradient theorem is evaluated at that kernel.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.contamination import Contamination
from rltheory.theory import dual, exact, instances, robust_exact
from rltheory.theory.dual import Dual, DualArray
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Moving(NamedTuple):
    """An MDP, a weight of contamination, a policy (S, A) and the one it moves towards."""

    mdp: DiscountedMDP
    weight: Fraction
    policy: FractionArray
    target: FractionArray


def sample_moving(tape: Tape, size: int) -> Moving:
    """Draw a contaminated MDP, a policy and another one."""
    model = instances.mdp(tape, size, tape.integer(2, 3))
    first, second = (fractions(instances.policy(tape, size, model.actions)) for _ in range(2))
    return Moving(model, Fraction(tape.integer(0, 16), 16), first, second)


def short_values(instance: Moving) -> DualArray:
    """Return the nominal values (S,) at discount (1 - weight), moving with the policy."""
    mdp, weight, policy, target = instance
    transitions, rewards, discount = exact.model(mdp)
    moving = dual.duals(policy, target - policy)
    kernel = (moving[:, :, None] * transitions).sum(axis=1)
    short = discount * (1 - weight)
    return dual.solve(exact.identity(mdp.states) - short * kernel, (moving * rewards).sum(axis=1))


def single_worst_state(instance: Moving) -> bool:
    """Whether one state alone has the least value: the worst kernel is then unique."""
    values = np.array([x.value for x in short_values(instance)], dtype=object)
    return int((values == values.min()).sum()) == 1


def _gradient(instance: Moving, nominal_visits: bool) -> tuple[Side, Side]:
    mdp, weight, policy, target = instance
    discount, start = Fraction(mdp.discount), fractions(mdp.initial)
    short = short_values(instance)
    least = min(short, key=lambda x: x.value)
    moving: Dual = (start * short).sum() + least * (discount * weight / (1 - discount))
    worst = robust_exact.evaluate(mdp, Contamination(float(weight)), policy)
    kernel = robust_exact.worst_kernel(mdp, Contamination(float(weight)), worst.values)
    visited = exact.model(mdp)[0] if nominal_visits else kernel
    visits = exact.resolvent(robust_exact.chain(visited, policy).T, discount, start)
    credit = robust_exact.backup(mdp, kernel, worst.values)
    return moving.slope, visits @ ((target - policy) * credit).sum(axis=1)


def gradient_sides(instance: Moving) -> tuple[Side, Side]:
    """Return the derivative by dual numbers and the gradient theorem at the worst kernel."""
    return _gradient(instance, False)


def _visits_of_the_nominal(instance: Moving) -> tuple[Side, Side]:
    return _gradient(instance, True)


GRADIENT = Theorem(
    id="robust/policy-gradient",
    title="The robust policy gradient is the nominal one at the worst kernel",
    source="Wang and Zou (2022), for contamination; Danskin (1966)",
    statement=(
        r"\frac{d}{d\theta} V_\rho^{\pi_\theta}(\mu) = \sum_s d^{\pi_\theta}_{P^\star}(s) \sum_a "
        r"\frac{d\pi_\theta(a|s)}{d\theta}\, Q_\rho^{\pi_\theta}(s, a),\qquad P^\star = (1-\rho)p "
        r"+ \rho\,\delta_{\arg\min V_\rho}"
    ),
    hypotheses=(
        r"(s,a)-rectangular contamination of weight $\rho$; $\pi_\theta$ moves from one policy "
        "straight towards another",
        r"$\arg\min_s V_\rho^{\pi_\theta}(s)$ is a single state",
        r"$d$ discounted visits, $\sum_t \gamma^t \Pr(s_t = s)$, under the worst kernel",
    ),
    kind="identity",
    sample=sample_moving,
    sides=gradient_sides,
    admissible=single_worst_state,
    control=Control(
        name="nominal visits",
        explanation="States are weighted by visits under the nominal kernel, as sampling does.",
        sides=_visits_of_the_nominal,
    ),
    cost=1.5,
    notes=(
        r"The left side differentiates $V_\rho = W + \frac{\gamma\rho}{1-\gamma}\min W$, $W$ the "
        "policy's nominal values at the shorter discount. With several worst states the value has "
        "a kink."
    ),
)


THEOREMS = (GRADIENT,)
