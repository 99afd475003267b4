"""Strong duality where the worst member is a tilt: Kullback-Leibler, chi-square and L2 balls.

An instance is drawn by its multiplier, so that the worst member q and its distance to p, the
radius, are exact (or balls, for exponentials). q is a feasible primal point and every dual value
is below every primal one; equality of the two sides therefore proves both optimal.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, exact, instances
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_HALVINGS = 50
_SCALES = 200


class Tilt(NamedTuple):
    """Values (S,), a nominal row (S,) and the multiplier that determines the worst member."""

    values: FractionArray
    nominal: FractionArray
    multiplier: Fraction


def concave_maximum(
    value: Callable[[Any], Any], slope: Callable[[Any], Any], start: Fraction
) -> Any:
    """Enclose the maximum over x > 0 of a concave function with the given derivative, a ball.

    Both take and return balls. The maximum lies between the value at a point of positive slope and
    the tangent there, followed to a point of negative slope. Raises ArithmeticError if no slope
    of one of the signs is found.
    """
    low = _until(lambda x: slope(x) > 0, balls.ball(start), Fraction(1, 2))
    high = _until(lambda x: slope(x) < 0, balls.ball(start), Fraction(2))
    for _ in range(_HALVINGS):
        middle = ((low + high) / 2).mid()
        steepness = slope(middle)
        if steepness > 0:
            low = middle
        elif steepness < 0:
            high = middle
        else:
            break
    bottom = value(low)
    return bottom.union(bottom + slope(low) * (high - low))


def _until(holds: Callable[[Any], bool], start: Any, factor: Fraction) -> Any:
    """Return the first of start, start * factor, ... at which a condition holds."""
    point = start
    for _ in range(_SCALES):
        if holds(point):
            return point
        point = point * balls.ball(factor)
    raise ArithmeticError(f"no slope of the sign sought between {start} and {point}")


def sample_tilt(tape: Tape, size: int) -> Tilt:
    """Draw values, a row and an inverse temperature from 2^-3 to 2^3."""
    values = fractions(instances.values(tape, size, -2.0, 2.0))
    return Tilt(values, fractions(tape.simplex(size)), Fraction(2) ** tape.integer(-3, 3))


def varied(tilt: Tilt) -> bool:
    """Whether the values differ on the support of the row."""
    return len({*tilt.values[tilt.nominal > 0]}) > 1


def _tilted(tilt: Tilt, multiplier: Any) -> tuple[BallArray, Any]:
    """Return q ~ p exp(-v / multiplier) and log E_p exp(-(v - min v) / multiplier)."""
    spread = balls.balls(tilt.values - tilt.values.min())
    weights = balls.balls(tilt.nominal) * balls.exp(-spread / multiplier)
    total = weights.sum()
    return weights / total, total.log()


def _divergence(tilt: Tilt, multiplier: Any) -> Any:
    """Return KL(q, p) of the tilted row."""
    row, logarithm = _tilted(tilt, multiplier)
    return -(row @ balls.balls(tilt.values - tilt.values.min())) / multiplier - logarithm


def _kullback_leibler(tilt: Tilt, price: int) -> tuple[Side, Side]:
    row, _ = _tilted(tilt, balls.ball(tilt.multiplier))
    radius = _divergence(tilt, balls.ball(tilt.multiplier)) / price
    least = balls.ball(tilt.values.min())
    dual = concave_maximum(
        lambda x: least - x * (_tilted(tilt, x)[1] + radius),
        lambda x: _divergence(tilt, x) - radius,
        tilt.multiplier,
    )
    return balls.to_bounds(row @ balls.balls(tilt.values)), balls.to_bounds(dual)


@precise
def kullback_leibler_sides(tilt: Tilt) -> tuple[Side, Side]:
    """Return the value of the tilted row and the dual maximum at the radius it lies on."""
    return _kullback_leibler(tilt, 1)


@precise
def _half_price(tilt: Tilt) -> tuple[Side, Side]:
    return _kullback_leibler(tilt, 2)


KULLBACK_LEIBLER = Theorem(
    id="robust/duality-kullback-leibler",
    title="Kullback-Leibler: the worst row is an exponential tilt, the dual a log-moment",
    source="Hu and Hong (2013), Theorem 1; Nilim and El Ghaoui (2005)",
    statement=(
        r"\min_{\mathrm{KL}(q\|p) \le \rho} q \cdot v = \max_{\beta > 0}\ -\beta \log "
        r"\mathbb{E}_p\, e^{-v/\beta} - \beta\rho,\qquad q^\star \propto p\, e^{-v/\beta^\star}"
    ),
    hypotheses=(
        r"$\rho = \mathrm{KL}(q_\beta\|p)$, $q_\beta \propto p\,e^{-v/\beta}$; hence $\rho < "
        r"-\log p(\arg\min v)$, the least value on the support of $p$",
        r"$v$ not constant on the support of $p$",
    ),
    kind="identity",
    sample=sample_tilt,
    sides=kullback_leibler_sides,
    admissible=varied,
    control=Control(
        name="half the price",
        explanation=r"The dual pays $\beta\rho/2$ for the radius instead of $\beta\rho$.",
        sides=_half_price,
    ),
    cost=1.5,
    notes=r"From $\rho = -\log p(\arg\min v)$ on, all mass goes to the least value.",
)


def sample_linear_tilt(tape: Tape, size: int) -> Tilt:
    """Draw values, a row, and a threshold above some of the values and below others, or above all.

    The adversary's row is proportional to p (threshold - v)_+.
    """
    values = fractions(instances.values(tape, size, -2.0, 2.0))
    return Tilt(values, fractions(tape.simplex(size)), Fraction(float(tape.dyadic((), -2, 6))))


def truncated(tilt: Tilt) -> bool:
    """Whether the threshold exceeds two different values of the support."""
    reached = tilt.values[(tilt.nominal > 0) & (tilt.values < tilt.multiplier)]
    return len({*reached}) > 1


def _moments(tilt: Tilt) -> tuple[Fraction, Fraction]:
    """Return the first two moments of (threshold - v)_+ under the nominal row."""
    depth = np.maximum(tilt.multiplier - tilt.values, 0)
    return Fraction(tilt.nominal @ depth), Fraction(tilt.nominal @ depth**2)


def _chi_square(tilt: Tilt, power: int) -> tuple[Side, Side]:
    first, second = _moments(tilt)
    member = tilt.nominal * np.maximum(tilt.multiplier - tilt.values, 0) / first
    radius = second / first**2 - 1
    least, above = tilt.values.min(), balls.balls(tilt.values - tilt.values.min())
    row, factor = balls.balls(tilt.nominal), balls.ball(1 + radius).sqrt()

    def depths(x: Any) -> BallArray:
        return np.array([(x - v).max(balls.ball(0)) for v in above], dtype=object)

    dual = concave_maximum(
        lambda x: balls.ball(least) + x - factor * (row @ depths(x) ** 2).sqrt(),
        lambda x: 1 - factor * (row @ depths(x)) / (row @ depths(x) ** 2).sqrt(),
        tilt.multiplier - least,
    )
    spread = balls.ball(radius * (second - first**2)).sqrt() ** power
    capped = balls.ball(tilt.nominal @ np.minimum(tilt.values, np.asarray(tilt.multiplier)))
    both = np.array([dual, capped - spread], dtype=object)
    return exact.join(member @ tilt.values, member @ tilt.values), balls.to_bounds(both)


@precise
def chi_square_sides(tilt: Tilt) -> tuple[Side, Side]:
    """Return the value of the truncated tilt twice, and the dual in its two forms."""
    return _chi_square(tilt, 1)


@precise
def _variance(tilt: Tilt) -> tuple[Side, Side]:
    return _chi_square(tilt, 2)


CHI_SQUARE = Theorem(
    id="robust/duality-chi-square",
    title="Chi-square: the worst case pays a standard deviation of the capped values",
    source="Iyengar (2005), Lemma 4.2; Duchi and Namkoong (2021) for the second form",
    statement=(
        r"\min_{\chi^2(q\|p) \le \rho} q \cdot v = \max_{\alpha}\ \mathbb{E}_p[v_\alpha] - "
        r"\sqrt{\rho\operatorname{Var}_p(v_\alpha)} = \max_{\eta}\ \eta - \sqrt{(1+\rho)\,"
        r"\mathbb{E}_p(\eta - v)_+^2},\qquad v_\alpha = \min(v, \alpha)"
    ),
    hypotheses=(
        r"$\chi^2(q\|p) = \sum_i (q_i - p_i)^2/p_i$, $q$ absolutely continuous to $p$",
        r"$\rho = \mathbb{E}(\alpha - v)_+^2/(\mathbb{E}(\alpha - v)_+)^2 - 1$ for some $\alpha$ "
        "above two values of the support",
    ),
    kind="identity",
    sample=sample_linear_tilt,
    sides=chi_square_sides,
    admissible=truncated,
    control=Control(
        name="variance without root",
        explanation="The penalty is the radius times the variance, without the square root.",
        sides=_variance,
    ),
    cost=2.0,
    notes=(
        r"The optimal $\alpha = \eta$ is the threshold of $q \propto p(\alpha - v)_+$, the worst "
        r"row. Above $\max v$ nothing is capped: mean minus $\sqrt{\rho}$ standard deviations."
    ),
)


def sample_projection(tape: Tape, size: int) -> Tilt:
    """Draw values, a row and a step k / 16, by which the row moves against the values."""
    values = fractions(instances.values(tape, size, -2.0, 2.0))
    return Tilt(values, fractions(tape.simplex(size)), Fraction(tape.integer(1, 16), 16))


def projected(tilt: Tilt) -> tuple[FractionArray, Fraction]:
    """Return the projection of p - step v to the simplex, and the level of its shift.

    q_i = (p_i - step (v_i - level))_+, where the level makes the row sum to one.
    """
    values, nominal, step = tilt
    points = sorted(values - nominal / step)
    for count in range(len(values), 0, -1):
        kept = values - nominal / step <= points[count - 1]
        level = (1 - nominal[kept].sum() + step * values[kept].sum()) / (step * kept.sum())
        if level >= points[count - 1]:
            break
    return np.maximum(nominal - step * (values - level), 0), Fraction(level)


def _euclidean(tilt: Tilt, positivity: bool) -> tuple[Side, Side]:
    values, nominal, step = tilt
    member, level = projected(tilt)
    raised = np.where(member == 0, values - level - nominal / step, 0) if positivity else 0 * values
    radius = balls.ball(((member - nominal) ** 2).sum()).sqrt()
    lowered = values - raised
    centred = lowered - lowered.sum() / len(lowered)
    dual = balls.ball(nominal @ lowered) - radius * balls.ball((centred**2).sum()).sqrt()
    return member @ values, balls.to_bounds(dual)


@precise
def euclidean_sides(tilt: Tilt) -> tuple[Side, Side]:
    """Return the value of the projected row and the dual value of its multipliers."""
    return _euclidean(tilt, True)


@precise
def _signed(tilt: Tilt) -> tuple[Side, Side]:
    return _euclidean(tilt, False)


EUCLIDEAN = Theorem(
    id="robust/duality-euclidean",
    title="L2: the worst row is a projection; what positivity forbids is taken off the values",
    source=(
        "Derman, Geist and Mannor (2021) and Kumar, Levy, Wang and Mannor (2022), without "
        "positivity; with it by Lagrangian duality (derived here)"
    ),
    statement=(
        r"\min_{q \in \Delta_S,\ \|q-p\|_2 \le \rho} q \cdot v = \max_{y \ge 0}\ p \cdot (v - y) - "
        r"\rho\,\kappa_2(v - y),\qquad \kappa_2(w) = \|w - \bar w\|_2"
    ),
    hypotheses=(
        r"$\rho = \|q_t - p\|_2$, $q_t$ the projection of $p - t v$ to the simplex, $t > 0$",
    ),
    kind="identity",
    sample=sample_projection,
    sides=euclidean_sides,
    control=Control(
        name="no multipliers",
        explanation=(
            "The multipliers of positivity are left out, as in the closed form of a regularised "
            "MDP; it is then too low wherever the ball leaves the simplex."
        ),
        sides=_signed,
    ),
    notes=r"$y = 0$ where the ball stays inside the simplex: $p \cdot v - \rho\,\kappa_2(v)$.",
)


THEOREMS = (KULLBACK_LEIBLER, CHI_SQUARE, EUCLIDEAN)
