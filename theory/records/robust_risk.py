"""Entropic risk to second order, and the ladder of sets between CVaR and Kullback-Leibler."""

from fractions import Fraction
from typing import Any

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.theory import balls, instances
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.robust_cvar import Tail, sample_tail, tail_mean
from rltheory.theory.records.robust_divergence import concave_maximum
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def sample_temperature(tape: Tape, size: int) -> Tail:
    """Draw a temperature 2^k; often two values, of the most skewed distribution that there is."""
    values = fractions(instances.values(tape, size, -1.0, 1.0))
    nominal = fractions(tape.simplex(size))
    if tape.integer(0, 1):
        nominal = fractions(np.zeros(size))
        nominal[0] = Fraction(tape.integer(200, 232), 1024)
        nominal[1] = 1 - nominal[0]
    return Tail(values, nominal, Fraction(2) ** tape.integer(-2, 12))


def _expansion(tail: Tail, share: Fraction) -> tuple[Side, Side]:
    values, nominal, temperature = tail
    mean = nominal @ values
    centred = values - mean
    variance = nominal @ centred**2
    logarithm = (balls.balls(nominal) @ balls.exp(balls.balls(-centred / temperature))).log()
    remainder = balls.ball(share * variance / temperature) - balls.ball(temperature) * logarithm
    reached = values[nominal > 0]
    width = (reached.max() - reached.min()) ** 3 / temperature**2 / 108
    bound = balls.ball(width) * balls.ball(3).sqrt()
    return balls.to_bounds(abs(remainder)), balls.to_bounds(bound)


@precise
def expansion_sides(tail: Tail) -> tuple[Side, Side]:
    """Return the error of mean minus variance / (2 temperature), and its bound."""
    return _expansion(tail, Fraction(1, 2))


@precise
def _whole_variance(tail: Tail) -> tuple[Side, Side]:
    return _expansion(tail, Fraction(1))


def several(tail: Tail) -> bool:
    """Whether the values differ on the support of the row."""
    return len({*tail.values[tail.nominal > 0]}) > 1


ENTROPIC = Theorem(
    id="robust/entropic-second-order",
    title="Entropic risk is mean less half the variance, up to a sharp multiple of the range cubed",
    source=(
        "Derived by Taylor's formula from the third cumulant of tilted rows, at most range^3 / "
        "(6 sqrt 3); the expansion is classical (Pratt, 1964)"
    ),
    statement=(
        r"\Bigl| -\lambda \log \mathbb{E}_p e^{-v/\lambda} - \mathbb{E}_p v + \frac{1}{2\lambda}"
        r"\operatorname{Var}_p v \Bigr| \le \frac{\sqrt3}{108}\,"
        r"\frac{(\max v - \min v)^3}{\lambda^2}"
    ),
    hypotheses=(
        r"any temperature $\lambda > 0$; the left term is $\min_q q \cdot v + \lambda\,"
        r"\mathrm{KL}(q\|p)$",
        "range over the support of $p$, not zero",
    ),
    kind="inequality",
    sample=sample_temperature,
    sides=expansion_sides,
    admissible=several,
    control=Control(
        name="whole variance",
        explanation=r"The variance enters with $1/\lambda$ instead of $1/(2\lambda)$.",
        sides=_whole_variance,
    ),
    notes=(
        r"The constant is best: approached as $\lambda \to \infty$ by two values, the rarer with "
        r"probability $(3-\sqrt3)/6$. So the penalty is of second order exactly where the row is "
        "skewed."
    ),
    sharpness=0.99,
)


def sample_ladder(tape: Tape, size: int) -> Tail:
    """Draw a level above the mass of the least value, often just above it."""
    tail = sample_tail(tape, size)
    least = tail.nominal[tail.values == tail.values[tail.nominal > 0].min()].sum()
    if tape.integer(0, 1):
        room = 1 - least
        return tail._replace(level=least + room / 2 ** tape.integer(1, 12))
    return tail


def above_least(tail: Tail) -> bool:
    """Whether the level exceeds the mass of the least value of the support, and is below 1."""
    least = tail.nominal[tail.values == tail.values[tail.nominal > 0].min()].sum()
    return bool(least < tail.level < 1)


@precise
def ladder_sides(tail: Tail) -> tuple[Side, Side]:
    """Return what (CVaR, chi-square) take from the mean, and (chi-square, KL), each (2,)."""
    return _ladder(tail, 1)


@precise
def _shorter_rung(tail: Tail) -> tuple[Side, Side]:
    return _ladder(tail, 2)


def _ladder(tail: Tail, parts: int) -> tuple[Side, Side]:
    values, nominal = (part[tail.nominal > 0] for part in tail[:2])
    level, least, mean = tail.level, values.min(), nominal @ values
    above, row = balls.balls(values - least), balls.balls(nominal)
    factor, radius = balls.ball(1 / level).sqrt(), -balls.ball(level).log() / parts

    def depths(x: Any) -> Any:
        return np.array([(x - v).max(balls.ball(0)) for v in above], dtype=object)

    def tilted(x: Any) -> Any:
        return row * balls.exp(-above / x)

    chi_square = concave_maximum(
        lambda x: x - factor * (row @ depths(x) ** 2).sqrt(),
        lambda x: 1 - factor * (row @ depths(x)) / (row @ depths(x) ** 2).sqrt(),
        values.max() - least + 1,
    )
    entropic = concave_maximum(
        lambda x: -x * (tilted(x).sum().log() + radius),
        lambda x: -(tilted(x) @ above) / tilted(x).sum() / x - tilted(x).sum().log() - radius,
        Fraction(1),
    )
    conditional = balls.ball(mean - tail_mean(values, nominal, level))
    losses = [conditional, *(balls.ball(mean - least) - x for x in (chi_square, entropic))]
    found: Bounds = balls.to_bounds(np.array(losses, dtype=object))
    return Bounds(found.lower[:2], found.upper[:2]), Bounds(found.lower[1:], found.upper[1:])


LADDER = Theorem(
    id="robust/renyi-ladder",
    title="CVaR, chi-square and KL sets of one likelihood ratio are nested",
    source=(
        "van Erven and Harremoes (2014), Theorem 3, orders the divergences; Ahmadi-Javid (2012) "
        "for KL against CVaR; the order of the values is derived from it"
    ),
    statement=(
        r"\min_{\mathrm{KL}(q\|p) \le \log\frac1\alpha} q \cdot v \le "
        r"\min_{\chi^2(q\|p) \le \frac1\alpha - 1} q \cdot v \le \min_{q \le p/\alpha} q \cdot v"
    ),
    hypotheses=(r"$p(\arg\min v) < \alpha < 1$, the least value on the support of $p$",),
    kind="inequality",
    sample=sample_ladder,
    sides=ladder_sides,
    admissible=above_least,
    control=Control(
        name="half the KL radius",
        explanation=r"The KL radius is $\frac12\log\frac1\alpha$ instead of $\log\frac1\alpha$.",
        sides=_shorter_rung,
    ),
    cost=2.0,
    notes=(
        "The sides are what each set takes from the mean. All three meet as the level falls to the "
        "mass of the least value, where conditioning on it is worst for each set."
    ),
    sharpness=0.97,
)


THEOREMS = (ENTROPIC, LADDER)
