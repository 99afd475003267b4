"""Mirror steps towards a reference: what one maximises, what many come to, and how fast."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, soft_linear
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Gu, He, Liu and Xu (2025) for the setting; derived here"


class Mirror(NamedTuple):
    """Scores (K, A) in turn, a reference, a start (A,), a temperature and a share.

    The share is step * temperature, in (0, 1].
    """

    scores: FractionArray
    reference: FractionArray
    start: FractionArray
    temperature: Fraction
    share: Fraction


def sample_mirror(tape: Tape, size: int) -> Mirror:
    """Draw 1 to 4 scores in [-2, 2], a start and shares k / 8, often the largest step."""
    scores = fractions(tape.dyadic((tape.integer(1, 4), size), -2.0, 2.0))
    weights = fractions(tape.dyadic(size, 2.0**-6, 1.0))
    share = Fraction(1) if tape.integer(0, 2) == 0 else Fraction(tape.integer(1, 7), 8)
    prior = soft_linear.reference(tape, (size,))
    return Mirror(scores, prior, weights / weights.sum(), Fraction(2) ** tape.integer(-3, 3), share)


def mirror_step(mirror: Mirror, policy: BallArray, scores: FractionArray) -> BallArray:
    """Return policy^(1 - share) reference^share exp(scores share / temperature), normalised."""
    kept = balls.ball(1 - mirror.share) * balls.log(policy)
    pulled = balls.ball(mirror.share) * balls.log(balls.balls(mirror.reference))
    pushed = balls.balls(scores * (mirror.share / mirror.temperature))
    return np.asarray(balls.softmax((kept + pulled + pushed)[None])[0])


def _averaged(mirror: Mirror, share: Fraction) -> tuple[Side, Side]:
    policy = balls.balls(mirror.start)
    for scores in mirror.scores:
        policy = mirror_step(mirror, policy, scores)
    mean = 0 * mirror.scores[0]
    for scores in mirror.scores:
        mean = (1 - share) * mean + share * scores
    left = balls.ball((1 - share) ** len(mirror.scores))
    anchor = left * balls.log(balls.balls(mirror.start)) + (balls.ball(1) - left) * balls.log(
        balls.balls(mirror.reference)
    )
    closed = balls.softmax((anchor + balls.balls(mean / mirror.temperature))[None])[0]
    return balls.to_bounds(policy), balls.to_bounds(closed)


@precise
def averaged_sides(mirror: Mirror) -> tuple[Side, Side]:
    """Return the policy (A,) after mirror steps one by one, and the softmax of the average."""
    return _averaged(mirror, mirror.share)


@precise
def _another_step(mirror: Mirror) -> tuple[Side, Side]:
    return _averaged(mirror, mirror.share / 2)


MIRROR = Theorem(
    id="dr-rpo/mirror-is-closed-form",
    title="Mirror steps are the closed form of averaged action values; the largest, of the last",
    source=f"{_SETTING}; compare Geist, Scherrer and Pietquin (2019), section 5",
    statement=(
        r"\pi_k \propto \pi_{k-1}^{1-\alpha\tau}\,\mu^{\alpha\tau}\,e^{\alpha Q_k}\ \implies\ "
        r"\pi_K \propto \pi_0^{w}\,\mu^{1-w}\,e^{\bar Q_K/\tau},\qquad \bar Q_k = "
        r"(1-\alpha\tau)\bar Q_{k-1} + \alpha\tau Q_k,\; \bar Q_0 = 0,\; w = (1-\alpha\tau)^K"
    ),
    hypotheses=(r"$0 < \alpha \le 1/\tau$; $\mu, \pi_0 > 0$; any action values $Q_1, \dots, Q_K$",),
    kind="identity",
    sample=sample_mirror,
    sides=averaged_sides,
    control=Control(
        name="another step",
        explanation="The average is that of steps half as long.",
        sides=_another_step,
    ),
    notes=(
        r"At $\alpha = 1/\tau$: $\pi_K \propto \mu\,e^{Q_K/\tau}$, the closed form, whatever was "
        r"played before. From the reference on, $\pi_K \propto \mu\,e^{\bar Q_K/\tau}$: a smaller "
        "step is the closed form at an exponential average of the estimates."
    ),
)


class Three(NamedTuple):
    """A mirror step's data with one score, and another policy (A,) to compare with."""

    mirror: Mirror
    other: FractionArray


def sample_three(tape: Tape, size: int) -> Three:
    """Draw one mirror step and any policy, also on the boundary."""
    mirror = sample_mirror(tape, size)
    return Three(mirror._replace(scores=mirror.scores[:1]), fractions(tape.simplex(size)))


def _three(three: Three, pushback: int) -> tuple[Side, Side]:
    mirror, other = three
    scores, heat = mirror.scores[0], mirror.temperature
    after = mirror_step(mirror, balls.balls(mirror.start), scores)
    # 1 / step = temperature / share.
    inverse, rest = heat / mirror.share, heat / mirror.share - heat

    def objective(mean: Any, to_reference: Any, to_start: Any) -> Any:
        return mean - balls.ball(heat) * to_reference - balls.ball(rest) * to_start

    left = objective(
        balls.ball(other @ scores),
        soft_linear.divergence(other, mirror.reference),
        soft_linear.divergence(other, mirror.start),
    ) + balls.ball(pushback * inverse) * soft_linear.divergence(other, after)
    right = objective(
        after @ balls.balls(scores),
        soft_linear.soft_divergence(after, balls.balls(mirror.reference)),
        soft_linear.soft_divergence(after, balls.balls(mirror.start)),
    )
    return balls.to_bounds(left), balls.to_bounds(right)


@precise
def three_point_sides(three: Three) -> tuple[Side, Side]:
    """Return the other policy's objective and its divergence, and the step's objective."""
    return _three(three, 1)


@precise
def _pulled(three: Three) -> tuple[Side, Side]:
    return _three(three, -1)


THREE_POINTS = Theorem(
    id="dr-rpo/three-points",
    title="A regularised mirror step beats every policy by its divergence over the step, exactly",
    source=(
        f"{_SETTING}; an equality, where Chen and Teboulle (1993), Lemma 3.2, bounds: for "
        "divergences the regulariser is as curved as the geometry"
    ),
    statement=(
        r"G(p) + \tfrac{1}{\alpha}\,\mathrm{KL}(p\|\pi^+) = G(\pi^+)\ \text{ for all } p,\qquad "
        r"G(p) = \langle p, Q\rangle - \tau\,\mathrm{KL}(p\|\mu) - \bigl(\tfrac1\alpha - "
        r"\tau\bigr)\,\mathrm{KL}(p\|\pi),\quad \pi^+ \propto \pi^{1-\alpha\tau} \mu^{\alpha\tau} "
        r"e^{\alpha Q}"
    ),
    hypotheses=(r"$0 < \alpha \le 1/\tau$; $\mu, \pi > 0$; any $p$, also on the boundary",),
    kind="identity",
    sample=sample_three,
    sides=three_point_sides,
    control=Control(
        name="sign of the pushback",
        explanation=r"The divergence $\mathrm{KL}(p\|\pi^+)/\alpha$ is taken away, not added.",
        sides=_pulled,
    ),
    notes=(
        r"It says that the step maximises $G$, which is what makes it a mirror step, and with $p$ "
        r"the closed form it gives dr-rpo/mirror-converges-linearly."
    ),
)


def sample_far(tape: Tape, size: int) -> Mirror:
    """Draw steps below the largest at fixed scores, and a start that all but forbids an action."""
    mirror = sample_mirror(tape, size)
    start = mirror.start.copy()
    start[0] = Fraction(1, 2 ** tape.integer(1, 600))
    start[1:] = (1 - start[0]) * start[1:] / start[1:].sum()
    steps, share = tape.integer(1, 4), Fraction(tape.integer(1, 7), 8)
    scores = np.repeat(mirror.scores[:1], steps, axis=0)
    return mirror._replace(scores=scores, start=start, share=share)


def preferring(mirror: Mirror) -> bool:
    """Whether the scores differ: else the start may be the closed form itself."""
    return bool(mirror.scores[0].max() > mirror.scores[0].min())


def _approached(mirror: Mirror, power: int) -> tuple[Side, Side]:
    policy = start = balls.balls(mirror.start)
    scores = mirror.scores[0]
    best = soft_linear.gibbs(balls.balls(scores), mirror.reference, mirror.temperature)
    for _ in mirror.scores:
        policy = mirror_step(mirror, policy, scores)
    factor = (1 - mirror.share) ** (power * len(mirror.scores))
    return balls.to_bounds(soft_linear.soft_divergence(best, policy)), balls.to_bounds(
        balls.ball(factor) * soft_linear.soft_divergence(best, start)
    )


@precise
def approached_sides(mirror: Mirror) -> tuple[Side, Side]:
    """Return the divergence from the closed form after the steps, and its bound."""
    return _approached(mirror, 1)


@precise
def _squared(mirror: Mirror) -> tuple[Side, Side]:
    return _approached(mirror, 2)


LINEAR = Theorem(
    id="dr-rpo/mirror-converges-linearly",
    title="At fixed action values mirror steps come to the closed form by a constant factor each",
    source=f"{_SETTING}, from dr-rpo/three-points",
    statement=(
        r"\mathrm{KL}(\pi^*\|\pi_K) \le (1 - \alpha\tau)^K\,\mathrm{KL}(\pi^*\|\pi_0),\qquad "
        r"\pi_k \propto \pi_{k-1}^{1-\alpha\tau} \mu^{\alpha\tau} e^{\alpha Q},\quad \pi^* \propto "
        r"\mu\,e^{Q/\tau}"
    ),
    hypotheses=(r"$0 < \alpha < 1/\tau$; $\mu, \pi_0 > 0$; $Q$ fixed and not constant",),
    kind="inequality",
    sample=sample_far,
    sides=approached_sides,
    admissible=preferring,
    control=Control(
        name="the rate near the limit",
        explanation=r"The factor is $(1-\alpha\tau)^2$, as log-ratios suggest and small ones have.",
        sides=_squared,
    ),
    sizes=(2, 3, 4),
    notes=(
        r"Log-ratios contract exactly: $\log(\pi_K/\pi^*)$ is $(1-\alpha\tau)^K "
        r"\log(\pi_0/\pi^*)$ up to a constant. The divergence is approached from a start that all "
        "but forbids an action: it is linear in the log-ratio there, and quadratic near the limit."
    ),
    sharpness=0.98,
)


THEOREMS = (MIRROR, THREE_POINTS, LINEAR)
