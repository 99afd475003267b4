r"""Steps that the noise of a gradient allows: the loss bound, its best step, and what that gains.

The smoothness is the exact one of softmax bandits, range / (3 sqrt 3); the expected reward after a
random step is a sum over all samples, by ball arithmetic.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import (
    LEAVE_ONE_OUT,
    OBLR,
    OPTIMAL,
    REINFORCE,
    VALUE,
    Estimator,
)
from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory import estimator_instances as models
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import span
from rltheory.theory.records.pg_variance import Single
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Noisy(NamedTuple):
    """A tabular bandit and a constant baseline of the single-sample estimate."""

    policy: Policy
    baseline: Fraction


class Stepped(NamedTuple):
    """A noisy estimate and a step."""

    noisy: Noisy
    step: Fraction


class Stretched(NamedTuple):
    """A policy with one prompt, an estimator, a group size, a smoothness and a multiple."""

    single: Single
    estimator: Estimator
    smoothness: Fraction
    multiple: Fraction


def sample_noisy(tape: Tape, size: int) -> Noisy:
    """Draw a bandit; half of the time two arms where curvature is greatest, and much noise."""
    if tape.integer(0, 1):
        chance = Fraction(tape.integer(800, 815), 1024)
        chances = np.array([chance, 1 - chance], dtype=object)
        rewards = np.array([Fraction(1), Fraction(0)], dtype=object)
        policy = models.bandit_of(chances, rewards)
        return Noisy(policy, Fraction(4 ** tape.integer(0, 6)))
    policy = models.bandit(tape, size)
    return Noisy(policy, Fraction(float(tape.dyadic((), -2.0, 2.0, bits=3))))


def single_estimates(noisy: Noisy) -> tuple[Outcomes, FractionArray]:
    """Return the outcomes and what is estimated from each, (n, k)."""
    outcomes = noisy.policy.outcomes()
    return outcomes, (outcomes.rewards - noisy.baseline)[:, None] * outcomes.scores


def moved_value(outcomes: Outcomes, step: BallArray) -> Any:
    """Return the expected reward after the logits have moved by balls (n,), a ball."""
    weights = balls.balls(outcomes.probabilities) * balls.exp(step)
    return (weights * balls.balls(outcomes.rewards)).sum() / weights.sum()


def expected_value(outcomes: Outcomes, estimates: FractionArray, step: Any) -> Any:
    """Return the expected reward after a step along a random estimate, a ball."""
    values = np.array(
        [moved_value(outcomes, step * balls.balls(row)) for row in estimates], dtype=object
    )
    return (balls.balls(outcomes.probabilities) * values).sum()


def exact_smoothness(outcomes: Outcomes) -> Any:
    """Return range / (3 sqrt 3), a ball."""
    return balls.ball(span(outcomes.rewards)) / (3 * balls.ball(3).sqrt())


def sample_stepped(tape: Tape, size: int) -> Stepped:
    """Draw a noisy estimate and a step from 2^-20 to 1."""
    return Stepped(sample_noisy(tape, size), Fraction(1, 2 ** tape.integer(0, 20)))


def learnable(noisy: Noisy) -> bool:
    """Whether the gradient is not zero."""
    return bool(span(noisy.policy.rewards) > 0)


def _loss(stepped: Stepped, share: Fraction) -> tuple[Side, Side]:
    outcomes, estimates = single_estimates(stepped.noisy)
    gradient, step = outcomes.gradient, stepped.step
    square = outcomes.probabilities @ (estimates * estimates).sum(axis=1)
    promised = balls.ball(outcomes.value + step * (gradient @ gradient))
    lost = promised - expected_value(outcomes, estimates, balls.ball(step))
    bound = exact_smoothness(outcomes) * balls.ball(share * step * step * square / 2)
    return balls.to_bounds(lost), balls.to_bounds(bound)


@precise
def loss_sides(stepped: Stepped) -> tuple[Side, Side]:
    """Return what a noisy step loses against its linear promise, and the bound of it."""
    return _loss(stepped, Fraction(1))


@precise
def _half(stepped: Stepped) -> tuple[Side, Side]:
    return _loss(stepped, Fraction(1, 2))


LOSS = Theorem(
    id="oblr/loss-upper-bound",
    title="What a noisy step can lose against its linear promise",
    source="Huang, Sheng and Zheng (2025), abstract; Bottou, Curtis and Nocedal (2018), Lemma 4.2",
    statement=(
        r"J(\theta) + \eta\,\|\nabla J\|^2 - \mathbb{E}\,J(\theta + \eta\hat g) \le \frac{L\eta^2}"
        r"{2}\,\mathbb{E}\|\hat g\|^2,\qquad L = \frac{r_{\max} - r_{\min}}{3\sqrt3}"
    ),
    hypotheses=(
        r"tabular softmax bandits, $\hat g = g\,(r - b)$ from one sample, any $b$ and $\eta \ge 0$",
        r"$\mathbb{E}\,J$ sums over all samples",
    ),
    kind="inequality",
    sample=sample_stepped,
    sides=loss_sides,
    admissible=lambda stepped: learnable(stepped.noisy),
    control=Control(
        name="half the smoothness",
        explanation="$L$ is halved.",
        sides=_half,
    ),
    notes="Approached by short steps where the curvature is greatest, so L cannot be lowered.",
    sharpness=0.99,
    cost=2.0,
)


def sample_stretched(tape: Tape, size: int) -> Stretched:
    """Draw a policy, one of the unbiased estimators, a smoothness and a multiple of the step."""
    shared = bool(tape.integer(0, 1))
    single = Single(models.bandit(tape, size, shared=shared), tape.integer(2, 3))
    return Stretched(
        single=single,
        estimator=tape.choice([REINFORCE, VALUE, LEAVE_ONE_OUT, OPTIMAL, OBLR]),
        smoothness=Fraction(tape.integer(1, 32), 8),
        multiple=Fraction(tape.integer(0, 24), 8),
    )


def _gain(stretched: Stretched, multiple: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Return the guaranteed gain at a multiple of the best step, the signal and the ratio."""
    policy, size = stretched.single
    outcomes = policy.outcomes()
    signal = outcomes.gradient @ outcomes.gradient
    noise = models.variance(outcomes, stretched.estimator, size)
    ratio = signal / noise
    step = multiple * ratio / (1 + ratio) / stretched.smoothness
    gain = step * signal - stretched.smoothness * step * step * (signal + noise) / 2
    return gain, signal, ratio


def stretched_sides(stretched: Stretched) -> tuple[Side, Side]:
    """Return the guaranteed gain of a multiple of the best step, and what it should be."""
    gain, signal, ratio = _gain(stretched, stretched.multiple)
    factor = stretched.multiple * (2 - stretched.multiple)
    return gain, factor * signal * ratio / (2 * stretched.smoothness * (1 + ratio))


def _kept(stretched: Stretched) -> tuple[Side, Side]:
    gain, signal, ratio = _gain(stretched, Fraction(5, 2))
    return gain, signal * ratio / (2 * stretched.smoothness * (1 + ratio))


def noisy_signal(stretched: Stretched) -> bool:
    """Whether there are both signal and noise, and every response has a score."""
    policy, size = stretched.single
    outcomes = policy.outcomes()
    if not any(outcomes.gradient) or outcomes.squared_norms.min() == 0:
        return False
    return models.variance(outcomes, stretched.estimator, size) > 0


SNR_STEP = Theorem(
    id="oblr/snr-step",
    title="The best guaranteed step is SNR / (1 + SNR) of 1 / L; c times it keeps c (2 - c)",
    source="Huang, Sheng and Zheng (2025), abstract: steps governed by the SNR; derived here",
    statement=(
        r"\eta\|\nabla J\|^2 - \frac{L\eta^2}{2}\mathbb{E}\|\hat g\|^2 = c(2-c)\,\frac{\|\nabla "
        r"J\|^2}{2L}\,\frac{\mathrm{SNR}}{1+\mathrm{SNR}}\quad\text{at}\quad \eta = \frac{c}{L}\,"
        r"\frac{\mathrm{SNR}}{1+\mathrm{SNR}}"
    ),
    hypotheses=(
        r"$\mathrm{SNR} = \|\nabla J\|^2 / \operatorname{tr}\operatorname{Cov}(\hat g)$, finite "
        "and not zero",
        r"one prompt, $\hat g$ unbiased from groups of 2 or 3: no baseline, expected reward, "
        "leave-one-out, optimal baseline known or estimated by the others",
        "any $L > 0$, any $c$",
    ),
    kind="identity",
    sample=sample_stretched,
    sides=stretched_sides,
    admissible=noisy_signal,
    control=Control(
        name="two and a half times",
        explanation="$c = 5/2$ is claimed to keep the gain of $c = 1$; it guarantees a loss.",
        sides=_kept,
    ),
    notes="Between 0 and twice the best step something is gained, beyond it nothing is promised.",
    cost=3.0,
)


def _gained(noisy: Noisy, multiple: Fraction) -> tuple[Side, Side]:
    outcomes, estimates = single_estimates(noisy)
    signal = outcomes.gradient @ outcomes.gradient
    square = outcomes.probabilities @ (estimates * estimates).sum(axis=1)
    smoothness = exact_smoothness(outcomes)
    step = balls.ball(signal / square) / smoothness
    gain = expected_value(outcomes, estimates, balls.ball(multiple) * step) - balls.ball(
        outcomes.value
    )
    promised = balls.ball(signal * signal / square) / (2 * smoothness)
    return balls.to_bounds(promised), balls.to_bounds(gain)


@precise
def gained_sides(noisy: Noisy) -> tuple[Side, Side]:
    """Return the guaranteed gain of the best step, and the expected one."""
    return _gained(noisy, Fraction(1))


@precise
def _too_long(noisy: Noisy) -> tuple[Side, Side]:
    return _gained(noisy, Fraction(5, 2))


GAINED = Theorem(
    id="oblr/guaranteed-gain",
    title="A step by the signal to noise ratio gains what it guarantees, in expectation",
    source="Huang, Sheng and Zheng (2025), abstract; derived here",
    statement=(
        r"\frac{\|\nabla J\|^2}{2L}\,\frac{\mathrm{SNR}}{1+\mathrm{SNR}} \le \mathbb{E}\,J(\theta "
        r"+ \eta^*\hat g) - J(\theta),\qquad \eta^* = \frac1L\,\frac{\mathrm{SNR}}{1+\mathrm{SNR}}"
    ),
    hypotheses=(
        r"tabular softmax bandits, $\hat g = g\,(r - b)$ from one sample, any $b$; "
        r"$L = (r_{\max} - r_{\min})/(3\sqrt3)$",
    ),
    kind="inequality",
    sample=sample_noisy,
    sides=gained_sides,
    admissible=learnable,
    control=Control(
        name="two and a half times the step",
        explanation=r"The step is $\frac52\eta^*$, for the same gain.",
        sides=_too_long,
    ),
    notes="Approached with much noise, as steps are short, where the curvature is greatest.",
    sharpness=0.99,
    cost=2.0,
)


THEOREMS = (LOSS, SNR_STEP, GAINED)
