"""How a total-variation robust value moves with the radius: slope, curvature, price.

Every side is a Fraction, by robust policy iteration over the rationals.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.tabular.mdp import DiscountedMDP
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, instances, robust_exact
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class TwoRadii(NamedTuple):
    """An MDP and two radii, the smaller first."""

    mdp: DiscountedMDP
    small: Fraction
    large: Fraction


def robust_value(mdp: DiscountedMDP, radius: Fraction) -> FractionArray:
    """Return the optimal value (S,) in a total-variation ball of the given radius per row."""
    return robust_exact.optimum(mdp, TotalVariation(float(radius))).values


def sample_radii(tape: Tape, size: int) -> TwoRadii:
    """Draw radii k / 16 and an MDP whose rows are half of the time all the same."""
    model = instances.mdp(tape, size, tape.integer(1, 2))
    if tape.integer(0, 1):
        shape = model.transitions.shape
        model = model.replace(transitions=np.broadcast_to(model.transitions[0, 0], shape).copy())
    radii = sorted(Fraction(tape.integer(0, 16), 16) for _ in range(2))
    return TwoRadii(model, *radii)


def lipschitz_sides(instance: TwoRadii) -> tuple[Side, Side]:
    """Return (V at the larger radius, V at the smaller one) and what bounds each, (2 S,)."""
    return _lipschitz(instance, Fraction(1))


def _lipschitz(instance: TwoRadii, share: Fraction) -> tuple[Side, Side]:
    mdp, small, large = instance
    before, after = robust_value(mdp, small), robust_value(mdp, large)
    span = min(exact.span(before), exact.span(after))
    discount = Fraction(mdp.discount)
    fall = share * discount * (large - small) * span / (1 - discount)
    return exact.join(after, before), exact.join(before, after + fall)


LIPSCHITZ = Theorem(
    id="robust/lipschitz-in-the-radius",
    title="A robust value falls with the radius, no faster than the discounted range",
    source="Derived from the slope of the inner problem, which is at most the range of the values",
    statement=(
        r"V_{\rho'} \le V_\rho \le V_{\rho'} + \frac{\gamma\,(\rho'-\rho)}{1-\gamma}\,"
        r"\min\{\operatorname{sp}(V_\rho), \operatorname{sp}(V_{\rho'})\}\,\mathbf{1},"
        r"\qquad \rho \le \rho'"
    ),
    hypotheses=(
        r"$V_\rho$ the robust optimum; total variation (half the L1 distance), the same radius for "
        "every row",
    ),
    kind="inequality",
    sample=sample_radii,
    sides=lipschitz_sides,
    control=Control(
        name="half the range",
        explanation="Half the range of the values, as if the radius bounded the L1 distance.",
        sides=lambda instance: _lipschitz(instance, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    cost=1.5,
    notes=(
        "Cannot be sharpened in these terms: attained at every radius by equal rows with mass of "
        r"at least $\rho'$ on the best state. With rewards in $[0, R]$ it implies "
        r"$\gamma|\rho'-\rho|R/(1-\gamma)^2$, approached at $\rho = 0$ only: see "
        "robust/price-of-robustness."
    ),
    sharpness=0.999,
)


def swinging() -> TwoRadii:
    """Return two states that alternate; one earns 1, the other nothing."""
    transitions = np.array([[[0.0, 1.0]], [[1.0, 0.0]]])
    model = DiscountedMDP(transitions, np.array([[1.0], [0.0]]), 15 / 16)
    return TwoRadii(model, Fraction(0), Fraction(1))


def curvature_sides(instance: TwoRadii) -> tuple[Side, Side]:
    """Return the mean of the values at the two radii, and the value half-way, in both states."""
    mdp, small, large = instance
    ends = robust_value(mdp, small) + robust_value(mdp, large)
    return ends / 2, robust_value(mdp, (small + large) / 2)


def _one_step(instance: TwoRadii) -> tuple[Side, Side]:
    mdp, small, large = instance
    nominal = exact.optimal_values(mdp)

    def backed(radius: Fraction) -> FractionArray:
        uncertainty = TotalVariation(float(radius))
        return np.asarray(robust_exact.robust_backup(mdp, uncertainty, nominal).max(axis=1))

    return (backed(small) + backed(large)) / 2, backed((small + large) / 2)


CURVATURE = Theorem(
    id="robust/not-convex-in-the-radius",
    title="A robust value need not be convex in the radius, although each inner problem is",
    source="Derived here",
    statement=(
        r"\tfrac12 (V_{\rho} + V_{\rho'}) < V_{(\rho+\rho')/2}\quad\text{in every state of some "
        r"MDP}"
    ),
    hypotheses=(
        "total variation, the same radius for every row",
        r"the instance: two states that alternate, rewards 1 and 0, one action, $\gamma = 15/16$, "
        r"$\rho = 0$, $\rho' = 1$",
    ),
    kind="counterexample",
    sample=lambda tape, size: swinging(),
    sides=curvature_sides,
    control=Control(
        name="one step",
        explanation=(
            "The values after one robust backup of the nominal values, a maximum of inner problems "
            "that are convex in the radius."
        ),
        sides=_one_step,
    ),
    sizes=(2,),
    notes=(
        r"In the poor state $V_\rho = \frac{\gamma(1-\rho)}{(1-\gamma)(1+\gamma(1-\rho))}$, "
        r"concave in $\rho$: as the radius grows so does the gap between the states, and with it "
        r"what moving mass costs. Nor is it concave in general: with a fail state "
        r"$V_\rho = 1/(1-\gamma(1-\rho))$ is convex. So $V_\rho$ is neither."
    ),
    sharpness=0.799,
)


def leaking(discount: float) -> DiscountedMDP:
    """Return a state that earns 1 and stays, and one that earns nothing for ever."""
    return DiscountedMDP(np.eye(2)[:, None, :], np.array([[1.0], [0.0]]), discount)


def sample_price(tape: Tape, size: int) -> TwoRadii:
    """Draw the leaking state half of the time, else any MDP with rewards in [0, 1]."""
    radius = Fraction(tape.integer(0, 16), 16)
    if tape.integer(0, 1):
        return TwoRadii(leaking(instances.discount(tape)), Fraction(0), radius)
    return TwoRadii(instances.mdp(tape, size, tape.integer(1, 2)), Fraction(0), radius)


def price_sides(instance: TwoRadii) -> tuple[Side, Side]:
    """Return what robustness costs in each state, and the sharp bound."""
    return _price(instance, instance.large)


def _price(instance: TwoRadii, leak: Fraction) -> tuple[Side, Side]:
    mdp, _, radius = instance
    discount = Fraction(mdp.discount)
    cost = exact.optimal_values(mdp) - robust_value(mdp, radius)
    return cost, discount * leak / ((1 - discount) * (1 - discount * (1 - leak)))


PRICE = Theorem(
    id="robust/price-of-robustness",
    title="The price of total-variation robustness, with its sharp constant",
    source=(
        "Derived here from coupling the worst kernel with the nominal one; compare the sharp "
        "simulation lemma of Lobel and Parr (2024)"
    ),
    statement=(r"V_0(s) - V_\rho(s) \le \frac{\gamma\rho\,R}{(1-\gamma)\,(1-\gamma(1-\rho))}"),
    hypotheses=(r"rewards in $[0, R]$, here $R = 1$", r"total variation, radius $\rho \in [0, 1]$"),
    kind="inequality",
    sample=sample_price,
    sides=price_sides,
    control=Control(
        name="half the leak",
        explanation=r"Mass $\rho/2$ leaks at each step: $\rho$ is read as an L1 radius.",
        sides=lambda instance: _price(instance, instance.large / 2),
    ),
    sizes=(2, 3),
    cost=1.5,
    notes=(
        r"At most the price of halting: $\rho = 1$ gives $\gamma R/(1-\gamma)$. Attained at every "
        "radius by a state that earns and stays next to one that never earns."
    ),
    sharpness=0.999,
)


THEOREMS = (LIPSCHITZ, CURVATURE, PRICE)
