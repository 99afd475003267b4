r"""Dividing by the group's standard deviation: what GRPO's mean is, exactly.

The standard deviation is the root of a rational number that takes few values. The mean estimate is
kept as one rational vector for each of them, so that only the last step, the roots, needs balls.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import comb
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.bounds import Bounds
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import estimator_instances as models
from rltheory.theory.balls import precise
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

GRPO_MEAN = (
    r"$\hat g = \frac1G\sum_i g_i\,(r_i - \bar r)/s$, $s$ the standard deviation of the group's "
    r"rewards (squares divided by $G$; with $G - 1$ everything is $\sqrt{1 - 1/G}$ times as much), "
    "zero if they agree; one choice to a response, on policy"
)


class Graded(NamedTuple):
    """A policy and a group size."""

    policy: Policy
    group: int


class Probed(NamedTuple):
    """A policy, a group size and a direction (k,)."""

    policy: Policy
    group: int
    direction: FractionArray


def parts(outcomes: Outcomes, prompt: int, size: int) -> Mapping[Fraction, FractionArray]:
    """Return, for each positive variance q of a group's rewards, E[1{q} (1/G) sum (r - mean) g].

    The mean of GRPO given the prompt is the sum over q of these vectors (k,) over sqrt(q).
    """
    first, last = outcomes.starts[prompt], outcomes.starts[prompt + 1]
    members = first + models.ordered_groups(last - first, size)
    rewards = outcomes.rewards[members]
    centred = rewards - rewards.sum(axis=1, keepdims=True) / Fraction(size)
    squares = (centred * centred).sum(axis=1) / size
    estimates = (centred[:, :, None] * outcomes.scores[members]).sum(axis=1) / size
    chances = np.prod(outcomes.probabilities[members], axis=1)
    found: dict[Fraction, FractionArray] = {}
    for square, chance, estimate in zip(squares, chances, estimates, strict=True):
        if square:
            found[square] = found.get(square, Fraction(0)) + chance * estimate
    return found


def normalised_mean(outcomes: Outcomes, size: int) -> Any:
    """Return the mean of GRPO over prompts, balls (k,)."""
    total = balls.balls(to_fractions(np.zeros(outcomes.scores.shape[1])))
    for x, weight in enumerate(outcomes.weights):
        for square, vector in parts(outcomes, x, size).items():
            total = total + balls.balls(weight * vector) / balls.ball(square).sqrt()
    return total


def prompt_weight(chance: Fraction, size: int) -> Any:
    """Return c_G(p) = E sqrt(k (G - k)) / (G p (1 - p)) for k binomial, a ball."""
    total = balls.ball(0)
    for k in range(1, size):
        mass = comb(size, k) * chance ** (k - 1) * (1 - chance) ** (size - k - 1)
        total = total + balls.ball(mass) * balls.ball(k * (size - k)).sqrt()
    return total / size


def sample_graded(tape: Tape, size: int) -> Graded:
    """Draw a bandit with right and wrong answers and a group of two to four."""
    policy = models.bandit(tape, size, shared=bool(tape.integer(0, 1)), binary=True)
    return Graded(policy, tape.integer(2, 4 if size < 4 else 3))


def uncertain(instance: Graded | Probed) -> bool:
    """Whether both rewards can come, and the gradient is not zero."""
    outcomes = instance.policy.outcomes()
    return bool(0 < outcomes.value < 1 and any(outcomes.gradient))


def _scaled_gradient(graded: Graded, factor: Any) -> tuple[Side, Side]:
    outcomes = graded.policy.outcomes()
    right = factor * balls.balls(outcomes.gradient)
    return balls.to_bounds(normalised_mean(outcomes, graded.group)), balls.to_bounds(right)


@precise
def binary_sides(graded: Graded) -> tuple[Side, Side]:
    """Return the mean of GRPO and the multiple of the gradient, balls (k,)."""
    chance = graded.policy.outcomes().value
    return _scaled_gradient(graded, prompt_weight(chance, graded.group))


@precise
def _limit(graded: Graded) -> tuple[Side, Side]:
    chance = graded.policy.outcomes().value
    return _scaled_gradient(graded, 1 / balls.ball(chance * (1 - chance)).sqrt())


BINARY = Theorem(
    id="estimators/grpo-mean-for-right-and-wrong",
    title="For right and wrong answers to a prompt GRPO's mean is a known multiple of the gradient",
    source="Shao et al. (2024), equation 3, for the estimator; the mean is derived here",
    statement=(
        r"\mathbb{E}\,\hat g = c_G(p)\,\nabla J,\qquad c_G(p) = \frac{\mathbb{E}\sqrt{k(G-k)}}"
        r"{G\,p(1-p)},\quad k\sim\mathrm{Bin}(G, p),\; p = J"
    ),
    hypotheses=("one prompt, rewards 0 and 1, $0 < p < 1$", GRPO_MEAN),
    kind="identity",
    sample=sample_graded,
    sides=binary_sides,
    admissible=uncertain,
    control=Control(
        name="groups without end",
        explanation=r"The limit $1/\sqrt{p(1-p)}$ of large groups is claimed for every group.",
        sides=_limit,
    ),
    notes=(
        "Given the number of successes these are independent draws from the right answers, whose "
        r"mean score is $\nabla J/p$, and the wrong ones, whose is $-\nabla J/(1-p)$. In the limit "
        r"GRPO ascends $2\arcsin\sqrt p$."
    ),
    cost=3.0,
)


def sample_probed(tape: Tape, size: int) -> Probed:
    """Draw two prompts with right and wrong answers, a group of two or three, a direction."""
    policy = models.contextual(tape, 2, size, shared=bool(tape.integer(0, 1)), binary=True)
    return Probed(policy, tape.integer(2, 3), models.direction(tape, policy))


def _sample_four(tape: Tape, size: int) -> Probed:
    return sample_probed(tape, size)._replace(group=4)


@precise
def small_sides(probed: Probed) -> tuple[Side, Side]:
    """Return the mean of GRPO along the direction, and sqrt(G - 1) times the derivative."""
    policy, size, direction = probed
    left = normalised_mean(policy.outcomes(), size) @ balls.balls(direction)
    slope = policy.slope(direction, policy.rewards)
    return balls.to_bounds(left), balls.to_bounds(balls.ball(size - 1).sqrt() * balls.ball(slope))


SMALL = Theorem(
    id="estimators/grpo-groups-of-two-or-three",
    title="In groups of two or three GRPO is unbiased for right and wrong answers, up to the step",
    source="Derived here",
    statement=r"\mathbb{E}\,\hat g = \sqrt{G-1}\;\nabla J,\qquad G \in \{2, 3\}",
    hypotheses=(
        "any number of prompts (two are drawn), rewards 0 and 1",
        GRPO_MEAN,
        r"$\nabla J$ along a random direction, by dual numbers",
    ),
    kind="identity",
    sample=sample_probed,
    sides=small_sides,
    control=Control(
        name="four responses",
        explanation=r"The groups have four members, the factor is $\sqrt3$.",
        sample=_sample_four,
    ),
    notes=(
        "All mixed groups then have the same standard deviation. From four on the multiple "
        r"depends on how likely the prompt is solved, see estimators/grpo-against-the-gradient."
    ),
    sizes=(2, 3),
    cost=4.0,
)


class Chance(NamedTuple):
    """A probability of success and a group size."""

    chance: Fraction
    group: int


def sample_chance(tape: Tape, size: int) -> Chance:
    """Draw a probability, also very small ones, and a group of 4 to 64."""
    chance = Fraction(tape.integer(1, 1023), 1024 * 4 ** tape.integer(0, 5))
    return Chance(chance, 2 ** tape.integer(2, 6))


def _bounded(instance: Chance, *, below: bool) -> tuple[Side, Side]:
    chance, size = instance
    weight = balls.to_bounds(prompt_weight(chance, size))
    spread = balls.ball(chance * (1 - chance)).sqrt()
    if below:
        return balls.to_bounds(1 / spread), weight
    limits = balls.to_bounds(
        np.array(
            [balls.ball(size - 1).sqrt(), balls.ball(Fraction(size - 1, size)).sqrt() / spread]
        )
    )
    return Bounds(np.full(2, weight.lower), np.full(2, weight.upper)), limits


@precise
def bounded_sides(instance: Chance) -> tuple[Side, Side]:
    """Return c_G(p) twice, and its two bounds."""
    return _bounded(instance, below=False)


@precise
def _limit_below(instance: Chance) -> tuple[Side, Side]:
    return _bounded(instance, below=True)


WEIGHT = Theorem(
    id="estimators/grpo-prompt-weight",
    title="How much GRPO favours prompts that are hardly ever or nearly always solved",
    source="Derived here",
    statement=(
        r"c_G(p) \le \min\Bigl(\sqrt{G-1},\; \sqrt{1 - \tfrac1G}\,\frac{1}{\sqrt{p(1-p)}}\Bigr)"
    ),
    hypotheses=(
        r"$c_G(p) = \mathbb{E}\sqrt{k(G-k)}/(G p(1-p))$, $k \sim \mathrm{Bin}(G, p)$, $0 < p < 1$, "
        r"$G \ge 4$: "
        "the factor of estimators/grpo-mean-for-right-and-wrong",
    ),
    kind="inequality",
    sample=sample_chance,
    sides=bounded_sides,
    control=Control(
        name="the limit from below",
        explanation=r"$1/\sqrt{p(1-p)}$ is claimed to be a lower bound for every group.",
        sides=_limit_below,
    ),
    notes=(
        r"The first bound is approached as $p \to 0$ or 1 (groups of two or three meet it for all "
        "$p$), the second in large groups."
    ),
    sharpness=0.9999,
)


def sample_whole_batch(tape: Tape, size: int) -> Graded:
    """Draw two prompts with right and wrong answers and a batch of two to four responses."""
    policy = models.contextual(tape, 2, 2, shared=bool(tape.integer(0, 1)), binary=True)
    return Graded(policy, tape.integer(2, 4))


def _batch(graded: Graded, *, together: bool) -> tuple[Side, Side]:
    outcomes = graded.policy.outcomes()
    drawn = outcomes.as_one_prompt() if together else outcomes
    factor = prompt_weight(outcomes.value, graded.group)
    left = normalised_mean(drawn, graded.group)
    return balls.to_bounds(left), balls.to_bounds(factor * balls.balls(outcomes.gradient))


@precise
def batch_sides(graded: Graded) -> tuple[Side, Side]:
    """Return the mean with rewards standardised in the batch and the multiple of the gradient."""
    return _batch(graded, together=True)


@precise
def _by_prompt(graded: Graded) -> tuple[Side, Side]:
    return _batch(graded, together=False)


BATCH = Theorem(
    id="estimators/batch-normalisation-keeps-the-direction",
    title="Standardised over the batch, right and wrong answers leave the gradient's direction",
    source="Hu (2025), equation 4, for the estimator; derived here",
    statement=r"\mathbb{E}\,\frac1B\sum_{i\le B} g_i\,\frac{r_i - \bar r}{s} = c_B(J)\,\nabla J",
    hypotheses=(
        "$B$ independent pairs of prompt and response, mean and standard deviation over the batch, "
        r"rewards 0 and 1, $0 < J < 1$; $c_B$ as in estimators/grpo-mean-for-right-and-wrong",
    ),
    kind="identity",
    sample=sample_whole_batch,
    sides=batch_sides,
    admissible=uncertain,
    control=Control(
        name="prompt by prompt",
        explanation="Groups of $B$ responses to one prompt are standardised by themselves.",
        sides=_by_prompt,
    ),
    notes="For every batch size, not only in the limit. With three rewards it fails.",
    cost=4.0,
)


THEOREMS = (BINARY, SMALL, WEIGHT, BATCH)
