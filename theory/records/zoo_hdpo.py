"""Gradients of inventory costs: along the demand trace, and by the score function.

Orders carry a noise of biweight density, for which all moments are rational; derivatives that
estimators are compared with come from dual numbers.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.zoo.hdpo import Newsvendor, gradient_moments
from rltheory.theory.dual import Dual
from rltheory.theory.exact import join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

HALF = Fraction(1, 2)


class Order(NamedTuple):
    """A newsvendor, an order (or the mean of one), and the spread of its noise."""

    problem: Newsvendor
    mean: Fraction
    spread: Fraction


def newsvendor(tape: Tape, points: int) -> Newsvendor:
    """Return a newsvendor with demand in quarters and costs in eighths."""
    demand = np.cumsum(tape.dyadic(points, 0.25, 4.0, 2))
    holding, shortage = tape.dyadic(2, 0.125, 4.0, 3)
    return Newsvendor(demand, tape.simplex(points), float(holding), float(shortage))


def sample_order(tape: Tape, size: int) -> Order:
    """Draw a newsvendor, an order around its demand, and a spread."""
    problem = newsvendor(tape, tape.integer(1, size))
    mean = Fraction(float(tape.dyadic((), 0.0, 4.0 * size, 3)))
    return Order(problem, mean, Fraction(2) ** tape.integer(-4, 3))


def sample_at_demand(tape: Tape, size: int) -> Order:
    """Draw an order that some demand equals, most of the time; the spread is unused."""
    problem, mean, _ = sample_order(tape, size)
    if tape.integer(0, 3):
        mean = Fraction(tape.choice([float(d) for d in problem.demand]))
    return Order(problem, mean, Fraction(1))


def optimum_sides(instance: Order) -> tuple[Side, Side]:
    """Return the expected costs of the quantile of the service level, and of another order."""
    best = Fraction(instance.problem.optimal_order())
    return instance.problem.expected_cost(best), instance.problem.expected_cost(instance.mean)


def _other_quantile(instance: Order) -> tuple[Side, Side]:
    problem = instance.problem
    turned = Newsvendor(
        problem.demand, problem.probabilities, problem.shortage, problem.holding
    ).optimal_order()
    return problem.expected_cost(Fraction(turned)), problem.expected_cost(instance.mean)


OPTIMUM = Theorem(
    id="hdpo/newsvendor-optimum",
    title="The newsvendor orders a quantile of demand",
    source="Arrow, Harris and Marschak (1951)",
    statement=(
        r"\mathbb{E}\,c(q^*, D) \le \mathbb{E}\,c(q, D),\qquad q^* = \min\Bigl\{d : F(d) \ge "
        r"\frac{p}{p+h}\Bigr\},\quad c(q,D) = h(q-D)^+ + p(D-q)^+"
    ),
    hypotheses=(r"discrete demand, $h, p > 0$; any real order $q$",),
    kind="inequality",
    sample=sample_at_demand,
    sides=optimum_sides,
    control=Control(
        name="the other quantile",
        explanation=r"The level is $h/(p+h)$.",
        sides=_other_quantile,
    ),
    sharpness=0.999,
)


def _cost_dual(instance: Order, uniform: bool) -> Dual:
    """Return the expected cost and its derivative by the mean of the order."""
    demand, chances, holding, shortage = instance.problem.exact()
    mean = Dual(instance.mean, Fraction(1))
    total = Dual(Fraction(0))
    for point, chance in zip(demand, chances, strict=True):
        turn = (point - mean) / instance.spread
        if turn.value <= -1:
            below = Dual(Fraction(0))
        elif turn.value >= 1:
            below = turn
        else:
            below = turn * _mass(turn, uniform) - _first_moment(turn, uniform)
        # The noise has mean zero: E(u - t)^+ - E(t - u)^+ = -t.
        above = below - turn
        total = total + (holding * above + shortage * below) * (chance * instance.spread)
    return total


def _mass(turn: Dual, uniform: bool) -> Dual:
    if uniform:
        return (turn + 1) * HALF
    square = turn * turn
    inner = (square * Fraction(1, 5) - Fraction(2, 3)) * square + 1
    return inner * turn * Fraction(15, 16) + HALF


def _first_moment(turn: Dual, uniform: bool) -> Dual:
    square = turn * turn
    if uniform:
        return (square - 1) * Fraction(1, 4)
    return (
        ((square * Fraction(1, 6) - HALF) * square + HALF) * square - Fraction(1, 6)
    ) * Fraction(15, 16)


def unbiased_sides(instance: Order) -> tuple[Side, Side]:
    """Return the means of the pathwise and the score gradient, and twice the derivative."""
    problem, mean, spread = instance
    found = gradient_moments(problem, mean, spread, noise="biweight", arithmetic="rational")
    slope = _cost_dual(instance, uniform=False).slope
    return join(found.pathwise_mean, found.score_mean), join(slope, slope)


def _uniform_noise(instance: Order) -> tuple[Side, Side]:
    # The density is constant inside its support: every score is zero.
    return Fraction(0), _cost_dual(instance, uniform=True).slope


UNBIASED = Theorem(
    id="hdpo/both-gradients-are-unbiased",
    title="Pathwise and score-function gradients have the derivative as their mean",
    source="Glasserman (1991); Alvo, Russo and Kanoria (2023) for the pathwise one",
    statement=(
        r"\mathbb{E}\,\partial_q c(\mu+su, D) = \mathbb{E}\Bigl[c(\mu+su,D)\,\frac{-f'(u)}{s\,"
        r"f(u)}\Bigr] = \frac{d}{d\mu}\,\mathbb{E}\,c(\mu+su,D)"
    ),
    hypotheses=(r"$u$ has the density $f(u) = \tfrac{15}{16}(1-u^2)^2$ on $[-1,1]$; discrete $D$",),
    kind="identity",
    sample=sample_order,
    sides=unbiased_sides,
    control=Control(
        name="uniform noise",
        explanation="The order is uniform: its support moves with the mean, and scores are zero.",
        sides=_uniform_noise,
    ),
    notes="Though demand has atoms: a continuous order meets none of them.",
)


def _variance(instance: Order, *, score: bool) -> tuple[Side, Side]:
    problem, mean, spread = instance
    found = gradient_moments(problem, mean, spread, noise="biweight", arithmetic="rational")
    costs = Fraction(problem.holding) + Fraction(problem.shortage)
    return (found.score_variance if score else found.pathwise_variance), costs**2 / 4


def variance_sides(instance: Order) -> tuple[Side, Side]:
    """Return the variance of one pathwise gradient and a quarter of the squared slopes' range."""
    return _variance(instance, score=False)


def sample_centred(tape: Tape, size: int) -> Order:
    """Draw an order around a single demand half of the time, else as `sample_order`."""
    instance = sample_order(tape, size)
    if tape.integer(0, 1):
        return instance._replace(mean=Fraction(float(instance.problem.demand[0])))
    return instance


BOUNDED = Theorem(
    id="hdpo/pathwise-variance-is-bounded",
    title="The variance of the pathwise gradient is bounded whatever the noise",
    source="Popoviciu (1935), applied",
    statement=r"\operatorname{Var}\,\partial_q c(\mu + su, D) \le \frac{(h+p)^2}{4}",
    hypotheses=(r"any spread $s > 0$ and mean; biweight noise, discrete demand",),
    kind="inequality",
    sample=sample_centred,
    sides=variance_sides,
    control=Control(
        name="the score function",
        explanation="The same is claimed of the score-function gradient without a baseline.",
        sides=lambda instance: _variance(instance, score=True),
    ),
    sharpness=0.999,
    notes=r"Met where demand is certain and the order exceeds it half of the time.",
)


def _wide(tape: Tape, size: int) -> Order:
    return Order(Newsvendor(np.zeros(1), np.ones(1), 1.0, 1.0), Fraction(0), Fraction(1))


def _doubled(instance: Order, baseline: str) -> tuple[Side, Side]:
    problem, mean, spread = instance
    found = gradient_moments(
        problem, mean, spread, noise="biweight", arithmetic="rational",
        baseline="optimal" if baseline == "optimal" else 0,
    )  # fmt: skip
    return 2 * found.score_variance, found.pathwise_variance


def wide_sides(instance: Order) -> tuple[Side, Side]:
    """Return twice the variance of the score gradient with its best baseline, and the pathwise."""
    return _doubled(instance, "optimal")


WIDE = Theorem(
    id="hdpo/score-function-can-win",
    title="With its best baseline the score function can have less than half the variance",
    source="Derived here, against the rule that pathwise gradients vary less",
    statement=(
        r"2\min_b\operatorname{Var}\Bigl[(c(su,0)-b)\frac{-f'(u)}{s\,f(u)}\Bigr] < "
        r"\operatorname{Var}\,\partial_q c(su,0)"
    ),
    hypotheses=(r"demand $0$, $h = p = 1$, mean $0$ (the optimum), biweight noise of any spread",),
    kind="counterexample",
    sample=_wide,
    sides=wide_sides,
    control=Control(
        name="no baseline",
        explanation="The cost is not compared with anything.",
        sides=lambda instance: _doubled(instance, "none"),
    ),
    sharpness=0.74,
    notes=(
        "The variances are 3/8 and 1; without a baseline the score function has 6. What decides is "
        "how far demand spreads compared with the order's own noise."
    ),
)


THEOREMS = (OPTIMUM, UNBIASED, BOUNDED, WIDE)
