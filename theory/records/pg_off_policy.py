r"""Off-policy surrogates: what clipping lets through, soft gates, geometric means of ratios.

Clips are rational, and their derivatives come from dual numbers; logarithms and sigmoids are
enclosed by balls, their derivatives by power series of balls.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import flint
import numpy as np

from rltheory.analysis.estimators.gates import clip
from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls, dual
from rltheory.theory import estimator_instances as models
from rltheory.theory.balls import precise
from rltheory.theory.dual import Dual
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Surrogate(NamedTuple):
    """A bandit, its behaviour (1, V), advantages (n,), the clip's width and a direction (k,)."""

    policy: Policy
    behaviour: FractionArray
    advantages: FractionArray
    width: Fraction
    direction: FractionArray


def sample_surrogate(tape: Tape, size: int) -> Surrogate:
    """Draw a bandit, another policy that draws its responses, advantages and a clip."""
    policy = models.bandit(tape, size, shared=bool(tape.integer(0, 1)))
    return Surrogate(
        policy=policy,
        behaviour=models.positive(tape, size)[None],
        advantages=models.payments(tape, size),
        width=Fraction(tape.integer(1, 8), 16),
        direction=models.direction(tape, policy),
    )


def moving_ratios(instance: Surrogate) -> list[Dual]:
    """Return the ratios pi / mu of all arms with their derivatives along the direction."""
    row = instance.policy.rows[0]
    weights = dual.duals(row, row * (instance.policy.features[0] @ instance.direction))
    moved = weights / weights.sum()
    return [p * (1 / m) for p, m in zip(moved, instance.behaviour[0], strict=True)]


def _clipped(ratio: Dual, width: Fraction) -> Dual:
    if ratio.value > 1 + width:
        return Dual(1 + width)
    return Dual(1 - width) if ratio.value < 1 - width else ratio


def _surrogate(instance: Surrogate, *, pessimistic: bool) -> tuple[Side, Side]:
    slopes = []
    for ratio, advantage in zip(moving_ratios(instance), instance.advantages, strict=True):
        inside = _clipped(ratio, instance.width) * advantage
        outside = ratio * advantage
        # On ties both are the same function of the ratio, but at the ends of the band.
        least = outside if outside.value <= inside.value or not pessimistic else inside
        slopes.append(least.slope if pessimistic else inside.slope)
    outcomes = instance.policy.outcomes(instance.behaviour)
    gate = clip(float(instance.width))
    kept = [
        gate.coefficient(outcomes.ratios[i : i + 1], bool(advantage >= 0))[0] * advantage
        for i, advantage in enumerate(instance.advantages)
    ]
    return np.array(slopes), np.array(kept) * (outcomes.scores @ instance.direction)


def clip_sides(instance: Surrogate) -> tuple[Side, Side]:
    """Return derivatives of the surrogate of every arm, and what the library's gate makes them."""
    return _surrogate(instance, pessimistic=True)


CLIP = Theorem(
    id="estimators/clip-gradient",
    title="PPO's clip closes on the pessimistic side only, and lets the rest through unchanged",
    source="Schulman et al. (2017), equation 7",
    statement=(
        r"\nabla\min\bigl(wA, \mathrm{clip}(w, 1-\epsilon, 1+\epsilon)A\bigr) = \mathbb{1}\{"
        r"A \ge 0, w \le 1+\epsilon \text{ or } A < 0, w \ge 1-\epsilon\}\; w A\, g"
    ),
    hypotheses=(
        r"$w = \pi_\theta(y)/\mu(y)$ of a softmax policy, $A$ fixed; along a random direction, by "
        "dual numbers; at the ends of the band the derivative is that of the side towards 1",
    ),
    kind="identity",
    sample=sample_surrogate,
    sides=clip_sides,
    control=Control(
        name="clipped on both sides",
        explanation=r"The surrogate is $\mathrm{clip}(w)A$ without the minimum.",
        sides=lambda instance: _surrogate(instance, pessimistic=False),
    ),
)


def sample_closed(tape: Tape, size: int) -> tuple[Policy, FractionArray]:
    """Return five arms and a behaviour under which all but one weak arm are clipped."""
    chances = [Fraction(1, 20), Fraction(1, 2)] + [Fraction(3, 20)] * 3
    drawn = [Fraction(1, 4), Fraction(1, 4)] + [Fraction(1, 6)] * 3
    rewards = fractions(np.array([1.0, 1.0, 0.0, 0.0, 0.0]))
    policy = models.bandit_of(np.array(chances, dtype=object), rewards)
    return policy, np.array([drawn], dtype=object)


def _through(instance: tuple[Policy, FractionArray], width: float) -> tuple[Side, Side]:
    policy, behaviour = instance
    outcomes = policy.outcomes(behaviour)
    gate, gradient = clip(width), outcomes.gradient
    total: Any = 0 * gradient
    for i, advantage in enumerate(outcomes.rewards - outcomes.value):
        weight = gate.coefficient(outcomes.ratios[i : i + 1], bool(advantage >= 0))[0]
        total = total + outcomes.drawn[i] * weight * advantage * outcomes.scores[i]
    return Fraction(1, 60) * (gradient @ gradient), -(total @ gradient)


def closed_sides(instance: tuple[Policy, FractionArray]) -> tuple[Side, Side]:
    """Return 1/60 of the squared gradient and how far what the clip lets through opposes it."""
    return _through(instance, 1 / 16)


CLIP_DESCENDS = Theorem(
    id="estimators/clip-can-descend",
    title="What a clip lets through can point against the gradient",
    source="Derived here",
    statement=(
        r"\exists\,\pi, \mu:\quad \tfrac{1}{60}\,\|\nabla J\|^2 \;<\; -\bigl\langle\mathbb{E}_\mu"
        r"\bigl[c(w)\,A\,g\bigr], \nabla J\bigr\rangle,\qquad A = r - J"
    ),
    hypotheses=(
        r"$c(w)$ as in estimators/clip-gradient with $\epsilon = 1/16$",
        r"the instance: tabular softmax, two good arms of probability 1/20, 1/2 and three bad ones "
        r"of 3/20; $\mu$ draws them with 1/4, 1/4, 1/6: only the first arm is open",
    ),
    kind="counterexample",
    sample=sample_closed,
    sides=closed_sides,
    control=Control(
        name="a wide band",
        explanation=r"$\epsilon = 1$ opens all arms, and the estimate is importance sampling.",
        sides=lambda instance: _through(instance, 1.0),
    ),
    notes=(
        "Raising a rare good arm takes probability from the frequent good one, and the terms that "
        "would give it back are clipped. Off policy a clipped step is no ascent direction."
    ),
    sharpness=0.98,
)


class Soft(NamedTuple):
    """A ratio and the temperature of a soft gate."""

    ratio: Fraction
    temperature: Fraction


def sample_soft(tape: Tape, size: int) -> Soft:
    """Draw a ratio in (0, 4] and a temperature in (0, 4]."""
    return Soft(Fraction(tape.integer(1, 64), 16), Fraction(tape.integer(1, 64), 16))


def _soft(instance: Soft, *, logarithmic: bool) -> tuple[Side, Side]:
    ratio, tau = balls.ball(instance.ratio), balls.ball(instance.temperature)
    # w = w_0 e^h: the derivative by h is that along the score.
    step = flint.arb_series([balls.ball(0), balls.ball(1)], prec=2)
    moved = ratio * step.exp()
    gate = 4 / tau / (1 + (-(tau * (moved - 1))).exp())
    squared = 1 / (tau * (ratio - 1) / 2).cosh() ** 2
    right = ratio * squared if logarithmic else squared
    return balls.to_bounds(gate[1]), balls.to_bounds(right)


@precise
def soft_sides(instance: Soft) -> tuple[Side, Side]:
    """Return the derivative of the soft gate by the logarithm of the ratio, and its closed form."""
    return _soft(instance, logarithmic=True)


@precise
def _plain(instance: Soft) -> tuple[Side, Side]:
    return _soft(instance, logarithmic=False)


SOFT = Theorem(
    id="estimators/soft-gate-weight",
    title="The soft gate weighs scores by w sech^2: 1 on policy, and not greatest there",
    source="Gao et al. (2025), equation 5; the weight of the score is derived here",
    statement=(
        r"\frac{d}{d\log w}\,\frac4\tau\,\sigma(\tau(w-1)) = w\,\mathrm{sech}^2\Bigl("
        r"\frac{\tau(w-1)}{2}\Bigr)"
    ),
    hypotheses=(r"$0 < w \le 4$, $0 < \tau \le 4$; power series of balls",),
    kind="identity",
    sample=sample_soft,
    sides=soft_sides,
    control=Control(
        name="derivative by the ratio",
        explanation=r"The factor $w$ is left out: $f'(w)$ is taken for the weight of the score.",
        sides=_plain,
    ),
    notes=(
        "Its slope at w = 1 is 1, as that of the ratio itself: just off policy the gate does not "
        "yet damp. $f(1) = 2/\\tau$, so the surrogate's value is not the ratio's."
    ),
)


def sample_ratios(tape: Tape, size: int) -> FractionArray:
    """Draw ratios of tokens (size,), in [1/8, 8] or close to 1."""
    if tape.integer(0, 1):
        shares = fractions(tape.dyadic(size, -1.0, 1.0, bits=4))
        return np.asarray(1 + shares / 2 ** tape.integer(1, 12))
    return np.array([Fraction(2) ** tape.integer(-3, 3) for _ in range(size)], dtype=object)


def _means(ratios: FractionArray, curvature: Fraction) -> tuple[Side, Side]:
    logs = balls.log(balls.balls(ratios))
    centre = logs.sum() / len(logs)
    away = logs - centre
    # A power of balls that contain zero is not defined: a product is.
    spread = (away * away).sum() / len(logs)
    difference = balls.ball(ratios.sum() / len(ratios)) - centre.exp()
    return balls.to_bounds(difference), balls.to_bounds(balls.ball(curvature) * spread / 2)


@precise
def mean_sides(ratios: FractionArray) -> tuple[Side, Side]:
    """Return the difference of the means of ratios, and its bound by the largest."""
    return _means(ratios, ratios.max())


@precise
def _smallest(ratios: FractionArray) -> tuple[Side, Side]:
    return _means(ratios, ratios.min())


def _apart(ratios: FractionArray) -> bool:
    return bool(ratios.max() - ratios.min() >= Fraction(1, 2**18))


MEANS = Theorem(
    id="estimators/geometric-ratio-to-second-order",
    title="GSPO's ratio is the mean of the token ratios, to first order in how they differ",
    source="Zheng et al. (2025) for the ratio; derived here",
    statement=(
        r"\frac1\ell\sum_t w_t - s \le \frac{\max_t w_t}{2}\,\frac1\ell\sum_t(\log w_t - \log s)^2"
        r",\qquad s = \Bigl(\prod_t w_t\Bigr)^{1/\ell}"
    ),
    hypotheses=(r"$w_t > 0$, not all equal (the left side is then 0, and else positive)",),
    kind="inequality",
    sample=sample_ratios,
    sides=mean_sides,
    admissible=_apart,
    control=Control(
        name="the smallest ratio",
        explanation=r"$\max_t w_t$ is replaced by $\min_t w_t$, which gives a lower bound.",
        sides=_smallest,
    ),
    notes="Approached as the ratios come together.",
    sharpness=0.99,
)


THEOREMS = (CLIP, CLIP_DESCENDS, SOFT, MEANS)
