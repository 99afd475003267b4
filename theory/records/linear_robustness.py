"""What robustness costs in a linear MDP: balls around factors or pairs, and larger radii.

Every side is a Fraction, by backward induction over the rationals.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.tabular.uncertainty.total_variation import TotalVariation
from rltheory.theory import exact, linear_instances
from rltheory.theory.exact import fractions
from rltheory.theory.linear_instances import Exact
from rltheory.theory.records.linear_adversary import Play, sample_play
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def pairwise_values(model: Exact, share: Fraction) -> FractionArray:
    """Return the first step's (s, a)-rectangular optimal values (S,).

    Every pair has a ball of radius share * features . radii around its row of the kernel.
    """
    horizon, _, states = model.measures.shape
    values = fractions(np.zeros(states))
    for h in reversed(range(horizon)):
        kernel, rewards = model.features @ model.measures[h], model.features @ model.weights[h]
        radii = share * (model.features @ model.radii[h])
        shape = rewards.shape
        worst = linear_instances.worst_measures(
            kernel.reshape(-1, states), values, radii.reshape(-1)
        )
        values = (rewards + (worst @ values).reshape(shape)).max(axis=1)
    return values


def _milder(play: Play, share: Fraction) -> tuple[Side, Side]:
    model = linear_instances.exact(play.model)
    return pairwise_values(model, share), linear_instances.robust(model).values[0]


def milder_sides(play: Play) -> tuple[Side, Side]:
    """Return the robust optimal values (S,) with a ball for each pair and for each factor."""
    return _milder(play, Fraction(1))


MILDER = Theorem(
    id="robust-linear/milder-than-pairwise",
    title="Balls around factors are milder than balls of the same radius around pairs",
    source="Derived here, from the convexity of total variation",
    statement=(
        r"V^\star_{(s,a)}(\phi\cdot\rho) \le V^\star_{d}(\rho),\qquad \mathrm{TV}\Bigl(\sum_i\phi_i"
        r"q_i, \sum_i\phi_i\mu_i\Bigr) \le \sum_i\phi_i\,\mathrm{TV}(q_i, \mu_i)"
    ),
    hypotheses=(
        r"$\phi(s,a) \in \Delta_d$; a pair's ball has the radius $\sum_i\phi_i(s,a)\,\rho_{h,i}$",
    ),
    kind="inequality",
    sample=sample_play,
    sides=milder_sides,
    control=Control(
        name="half the radius for pairs",
        explanation="The balls around pairs have half the radius.",
        sides=lambda play: _milder(play, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    cost=2.0,
    sharpness=0.999,
    notes="Equal where every pair draws one factor for sure: then factors are pairs.",
)


def sample_forked(tape: Tape, size: int) -> Play:
    """Return a start that draws a good factor with probability rho, else a bad one; rho = k / 16.

    States: start, good, fail. The good state earns 1 in the second step.
    """
    return _forked(tape.integer(1, 15) / 16, one_hot=False)


def _forked(radius: float, *, one_hot: bool) -> Play:
    features = np.eye(3)[[0, 1, 2]][:, None]
    features[0, 0] = [0.0, 1.0, 0.0] if one_hot else [0.0, radius, 1.0 - radius]
    measures = np.stack([np.eye(3)] * 2)
    weights = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    nominal = LinearMDP(features, measures, weights, np.eye(3)[0], fail_state=2)
    return Play(RobustLinearMDP(nominal, TotalVariation(radius)), np.ones((2, 3, 1)))


def gap_sides(play: Play) -> tuple[Side, Side]:
    """Return the start's value with balls around pairs plus 0.999 rho (1 - rho), and factors."""
    left, right = _milder(play, Fraction(1))
    radius = Fraction(float(play.model.budgets[0, 0]))
    return left[0] + Fraction(999, 1000) * radius * (1 - radius), right[0]  # type: ignore[index]


STRICTLY_MILDER = Theorem(
    id="robust-linear/strictly-milder-than-pairwise",
    title="Balls around factors can keep a quarter of the value where those around pairs take all",
    source="Derived here",
    statement=(
        r"V^\star_{(s,a)}(\phi\cdot\rho)(s_1) + 0.999\,\rho(1-\rho) < V^\star_d(\rho)(s_1)"
        r"\quad\text{for some linear MDP with two steps}"
    ),
    hypotheses=(
        r"the start draws a good factor with probability $\rho$, else one that fails; the same "
        r"radius $\rho$ everywhere",
    ),
    kind="separation",
    sample=sample_forked,
    sides=gap_sides,
    control=Control(
        name="one factor for sure",
        explanation="The start draws the good factor for sure, so that factors are pairs.",
        sample=lambda tape, size: _forked(tape.integer(1, 15) / 16, one_hot=True),
    ),
    sizes=(3,),
    sharpness=0.99,
    notes=(
        r"Around the pair the adversary moves all of the mass $\rho$ from the good state; around "
        r"the good factor only the share $\rho$ of it. At $\rho = 1/2$ the values are 0 and 1/4."
    ),
)


class TwoRadii(NamedTuple):
    """A linear MDP and two radii for all of its factors, the smaller first."""

    mdp: LinearMDP
    small: Fraction
    large: Fraction


def values_at(mdp: LinearMDP, radius: Fraction) -> FractionArray:
    """Return the robust optimal values (H + 1, S) with one radius for all factors."""
    model = linear_instances.exact(mdp)
    return linear_instances.robust(model._replace(radii=model.radii + radius)).values


def sample_radii(tape: Tape, size: int) -> TwoRadii:
    """Draw radii k / 16; half of the time states draw a factor each, and all lead the same way."""
    mdp = linear_instances.linear_mdp(tape, size, tape.integer(1, 2), size, tape.integer(2, 3))
    if tape.integer(0, 1):
        features = np.repeat(np.eye(size)[:, None], mdp.actions, axis=1)
        measures = np.repeat(mdp.measures[:, :1], size, axis=1)
        mdp = mdp.replace(features=features, measures=measures)
    radii = sorted(Fraction(tape.integer(0, 16), 16) for _ in range(2))
    return TwoRadii(mdp, *radii)


def _lipschitz(instance: TwoRadii, share: Fraction) -> tuple[Side, Side]:
    before, after = (values_at(instance.mdp, r) for r in (instance.small, instance.large))
    ranges = np.minimum(linear_instances.span(before), linear_instances.span(after))[1:]
    fall = share * (instance.large - instance.small) * ranges.sum()
    return exact.join(after[0], before[0]), exact.join(before[0], after[0] + fall)


def lipschitz_sides(instance: TwoRadii) -> tuple[Side, Side]:
    """Return (V at the larger radius, V at the smaller one) and what bounds each, (2 S,)."""
    return _lipschitz(instance, Fraction(1))


LIPSCHITZ = Theorem(
    id="robust-linear/lipschitz-in-the-radius",
    title="A robust value falls with the radius, no faster than the ranges of the later values",
    source="Derived here, for finite horizons and balls around factors",
    statement=(
        r"V_{\rho',1} \le V_{\rho,1} \le V_{\rho',1} + (\rho'-\rho)\sum_{h=2}^{H}\min\{"
        r"\operatorname{sp}(V_{\rho,h}), \operatorname{sp}(V_{\rho',h})\},\qquad \rho \le \rho'"
    ),
    hypotheses=(
        r"$V_\rho$ the robust optimum, total variation, the same radius for every factor",
        r"$\operatorname{sp} = \max - \min$",
    ),
    kind="inequality",
    sample=sample_radii,
    sides=lipschitz_sides,
    control=Control(
        name="half the range",
        explanation="Half the ranges, as if the radius bounded the L1 distance.",
        sides=lambda instance: _lipschitz(instance, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    cost=2.0,
    sharpness=0.999,
    notes=(
        r"Attained where all factors lead the same way, with mass of at least $\rho'$ on the best "
        "state. It does not depend on the number of factors or states. For rewards in $[0, 1]$ "
        r"the sum is at most $H(H-1)/2$."
    ),
)


def sample_price(tape: Tape, size: int) -> TwoRadii:
    """Draw a fail state; half of the time nothing leads there and all else earns 1."""
    horizon = tape.integer(1, 4)
    mdp = linear_instances.linear_mdp(tape, size, tape.integer(1, 2), 2, horizon, fail=True)
    if tape.integer(0, 1):
        features, measures = mdp.features.copy(), mdp.measures.copy()
        features[:-1] = np.eye(2)[0]
        measures[:, 0, 0] += measures[:, 0, -1]
        measures[:, 0, -1] = 0.0
        weights = np.broadcast_to([1.0, 0.0], (horizon, 2))
        mdp = mdp.replace(features=features, measures=measures, reward_weights=weights)
    return TwoRadii(mdp, Fraction(0), Fraction(tape.integer(0, 16), 16))


def _price(instance: TwoRadii, share: Fraction) -> tuple[Side, Side]:
    mdp, small, large = instance
    price = values_at(mdp, small)[0] - values_at(mdp, large)[0]
    kept = 1 - share * large
    return price, sum((1 - kept**h for h in range(mdp.horizon)), Fraction(0))


def price_sides(instance: TwoRadii) -> tuple[Side, Side]:
    """Return V - V_rho (S,) and the sum of 1 - (1 - rho)^h."""
    return _price(instance, Fraction(1))


PRICE = Theorem(
    id="robust-linear/price-of-robustness",
    title="Robustness costs at most what a model that fails with the radius at every step does",
    source="Derived here",
    statement=(
        r"V^\star_1 - V^{\star,\rho}_1 \le \sum_{h=0}^{H-1}\bigl(1 - (1-\rho)^h\bigr) = H - "
        r"\frac{1 - (1-\rho)^H}{\rho} \le \rho\,\frac{H(H-1)}{2}"
    ),
    hypotheses=(
        r"rewards in $[0,1]$, $\phi(s,a) \in \Delta_d$, total variation $\rho$ for every factor",
        "with a fail state, where it is attained; it holds without one too",
    ),
    kind="inequality",
    sample=sample_price,
    sides=price_sides,
    control=Control(
        name="half the radius",
        explanation="The bound has half the radius, as if it bounded the L1 distance.",
        sides=lambda instance: _price(instance, Fraction(1, 2)),
    ),
    sizes=(2, 3),
    sharpness=0.999,
    notes=(
        r"Per step at most the mass $\rho$ is lost, with all that it could still earn; what stays "
        r"pays the price of the steps to come: $D_h = \rho(H-h) + (1-\rho)D_{h+1}$. Attained where "
        "every step earns 1 and only the adversary fails. The cost of the first step is none: its "
        "reward is certain."
    ),
)


THEOREMS = (MILDER, STRICTLY_MILDER, LIPSCHITZ, PRICE)
