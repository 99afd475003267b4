"""Where GRPO's mean leaves the gradient: weights of prompts, and ranks in place of rewards."""

from fractions import Fraction
from math import isqrt

import numpy as np

from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import LEAVE_ONE_OUT
from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory import estimator_instances as models
from rltheory.theory.balls import precise
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions
from rltheory.theory.records.pg_normalisation import (
    GRPO_MEAN,
    Graded,
    Probed,
    normalised_mean,
    parts,
)
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def root(number: Fraction) -> Fraction | None:
    """Return the square root of a rational number if it is rational."""
    top, bottom = isqrt(number.numerator), isqrt(number.denominator)
    exact = top * top == number.numerator and bottom * bottom == number.denominator
    return Fraction(top, bottom) if exact else None


def rational_mean(outcomes: Outcomes, size: int) -> FractionArray:
    """Return the mean of GRPO (k,) where all standard deviations are rational.

    Raises ValueError if one is not.
    """
    total = to_fractions(np.zeros(outcomes.scores.shape[1]))
    for x, weight in enumerate(outcomes.weights):
        for square, vector in parts(outcomes, x, size).items():
            deviation = root(square)
            if deviation is None:
                raise ValueError(f"the variance {square} has no rational root")
            total = total + weight * vector / deviation
    return np.asarray(total)


def sample_two_prompts(tape: Tape, size: int) -> Graded:
    """Return two prompts whose gradients by one parameter nearly cancel; groups of eight."""
    rare, even = Fraction(1, 16), Fraction(1, 2)
    # The odds of the prompts leave the hard one a little weaker than the easy one.
    odds = Fraction(4, 5) * even * (1 - even) / (rare * (1 - rare))
    rows = np.array([[rare, 1 - rare], [even, 1 - even]], dtype=object)
    policy = Policy(
        rows=rows,
        features=fractions(np.array([[[1.0], [0.0]], [[0.0], [1.0]]])),
        weights=np.array([odds / (1 + odds), 1 / (1 + odds)], dtype=object),
        paths=(((0, 0),), ((0, 1),), ((1, 0),), ((1, 1),)),
        starts=np.array([0, 2, 4]),
        rewards=fractions(np.array([1.0, 0.0, 1.0, 0.0])),
    )
    return Graded(policy, 8)


@precise
def against_sides(graded: Graded) -> tuple[Side, Side]:
    """Return 9/20 of the squared gradient, and how far GRPO's mean goes against it."""
    outcomes = graded.policy.outcomes()
    gradient = outcomes.gradient
    opposed = -(normalised_mean(outcomes, graded.group) @ balls.balls(gradient))
    return Fraction(9, 20) * (gradient @ gradient), balls.to_bounds(opposed)


def _groups_of_three(tape: Tape, size: int) -> Graded:
    return sample_two_prompts(tape, size)._replace(group=3)


AGAINST = Theorem(
    id="estimators/grpo-against-the-gradient",
    title="GRPO's mean can point against the gradient: the weights of prompts are not the task's",
    source="Derived here",
    statement=r"\exists\,\pi:\quad \tfrac{9}{20}\,\|\nabla J\|^2 \;<\; -\langle\mathbb{E}\,\hat g, "
    r"\nabla J\rangle",
    hypotheses=(
        r"the instance: two prompts with two answers, rewards 0 and 1; one parameter raises the "
        "right answer of a prompt solved once in 16 times and the wrong one of a prompt solved "
        r"half of the time; the first's share of $\nabla J$ is 4/5 of the second's",
        "$G = 8$",
        GRPO_MEAN,
    ),
    kind="counterexample",
    sample=sample_two_prompts,
    sides=against_sides,
    control=Control(
        name="groups of three",
        explanation="Groups have three members, for which the mean is a multiple of the gradient.",
        sample=_groups_of_three,
    ),
    sharpness=0.98,
)


def sample_ranked(tape: Tape, size: int) -> Probed:
    """Draw any small policy with choices of one token, and a direction."""
    policy = models.contextual(tape, tape.integer(1, 2), size, shared=bool(tape.integer(0, 1)))
    return Probed(policy, 2, models.direction(tape, policy))


def wins(outcomes: Outcomes) -> FractionArray:
    """Return for each response the chance to pay more than another one, less that to pay less."""
    found = []
    for reward, x in zip(outcomes.rewards, outcomes.prompt_of, strict=True):
        there = slice(outcomes.starts[x], outcomes.starts[x + 1])
        signs = np.sign((reward - outcomes.rewards[there]).astype(float)).astype(int)
        found.append(outcomes.probabilities[there] @ signs)
    return np.array(found, dtype=object)


def _ranked(probed: Probed, quantity: FractionArray) -> tuple[Side, Side]:
    policy, size, direction = probed
    mean = rational_mean(policy.outcomes(), size)
    return mean @ direction, policy.slope(direction, quantity)


def ranked_sides(probed: Probed) -> tuple[Side, Side]:
    """Return the mean of GRPO in pairs along the direction, and the derivative of winning."""
    return _ranked(probed, wins(probed.policy.outcomes()))


RANKED = Theorem(
    id="estimators/grpo-pairs-are-ranks",
    title="In groups of two GRPO follows who wins, whatever it wins",
    source="Derived here",
    statement=(
        r"\mathbb{E}\,\hat g = \nabla_\theta\, \mathbb{E}_{y\sim\pi_\theta, y'\sim\pi}\bigl["
        r"\mathbb{1}\{r(y) > r(y')\} - \mathbb{1}\{r(y) < r(y')\}\bigr]"
    ),
    hypotheses=("any rewards, $G = 2$; $y'$ comes from a frozen copy of the policy", GRPO_MEAN),
    kind="identity",
    sample=sample_ranked,
    sides=ranked_sides,
    control=Control(
        name="expected reward",
        explanation="The derivative is that of the expected reward.",
        sides=lambda probed: _ranked(probed, probed.policy.rewards),
    ),
)


def sample_jackpot(tape: Tape, size: int) -> Graded:
    """Return three answers: nothing, next to nothing, and a rare one that pays."""
    chances = np.array([Fraction(30, 100), Fraction(69, 100), Fraction(1, 100)], dtype=object)
    rewards = np.array([Fraction(0), Fraction(1, 1024), Fraction(1)], dtype=object)
    return Graded(models.bandit_of(chances, rewards), 2)


def _opposed(graded: Graded, estimate: FractionArray) -> tuple[Side, Side]:
    gradient = graded.policy.outcomes().gradient
    return Fraction(7, 2) * (gradient @ gradient), -(estimate @ gradient)


def jackpot_sides(graded: Graded) -> tuple[Side, Side]:
    """Return 7/2 of the squared gradient, and how far GRPO's mean goes against it."""
    return _opposed(graded, rational_mean(graded.policy.outcomes(), graded.group))


def _left_out_instead(graded: Graded) -> tuple[Side, Side]:
    outcomes = graded.policy.outcomes()
    return _opposed(graded, models.mean(outcomes, LEAVE_ONE_OUT, graded.group))


JACKPOT = Theorem(
    id="estimators/grpo-misses-the-jackpot",
    title="With three rewards GRPO can descend on a single prompt",
    source="Derived here, from estimators/grpo-pairs-are-ranks",
    statement=r"\exists\,\pi:\quad \tfrac72\,\|\nabla J\|^2 \;<\; -\langle\mathbb{E}\,\hat g, "
    r"\nabla J\rangle",
    hypotheses=(
        r"the instance: tabular softmax, rewards $(0, 2^{-10}, 1)$ with probabilities $(0.3, 0.69, "
        r"0.01)$; the middle one wins often and is below average",
        "$G = 2$",
        GRPO_MEAN,
    ),
    kind="counterexample",
    sample=sample_jackpot,
    sides=jackpot_sides,
    control=Control(
        name="leave-one-out",
        explanation="The estimator is leave-one-out, whose mean is the gradient.",
        sides=_left_out_instead,
    ),
    sharpness=0.94,
)


THEOREMS = (AGAINST, RANKED, JACKPOT)
