r"""How curved the objective of a softmax policy is: sharp constants, checked as Fractions.

Second derivatives come from power series of the probabilities; where a constant holds a root, both
sides are squared.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions, span
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Along(NamedTuple):
    """A policy and a direction (k,) of its parameters."""

    policy: Policy
    direction: FractionArray


def changes(along: Along) -> FractionArray:
    """Return how the logits move along the direction, (R, V)."""
    return np.asarray(along.policy.features @ along.direction)


def curvature(along: Along) -> Fraction:
    """Return v^T H v of the objective by power series."""
    return along.policy.curvature(along.direction, along.policy.rewards)


def sample_along(tape: Tape, size: int) -> Along:
    """Draw a bandit, or a contextual bandit, tabular or with shared parameters."""
    shared = bool(tape.integer(0, 1))
    policy = models.contextual(tape, tape.integer(1, 2), size, shared=shared)
    return Along(policy, models.direction(tape, policy))


def _covariance(along: Along, *, centred: bool) -> tuple[Side, Side]:
    policy = along.policy
    total = Fraction(0)
    for x, (weight, row, moved) in enumerate(
        zip(policy.weights, policy.rows, changes(along), strict=True)
    ):
        rewards = policy.rewards[policy.starts[x] : policy.starts[x + 1]]
        away = moved - row @ moved if centred else moved
        total += weight * (row @ ((rewards - row @ rewards) * away * away))
    return curvature(along), total


def hessian_sides(along: Along) -> tuple[Side, Side]:
    """Return the second derivative by power series and as a covariance."""
    return _covariance(along, centred=True)


HESSIAN = Theorem(
    id="estimators/softmax-hessian",
    title="The curvature of the expected reward is a covariance",
    source="Mei, Xiao, Szepesvari and Schuurmans (2020), proof of Lemma 2, in another form",
    statement=(
        r"v^\top \nabla^2 J\, v = \mathbb{E}_x \operatorname{Cov}_{\pi(\cdot|x)}\bigl(r, (w - "
        r"\mathbb{E}w)^2\bigr),\qquad w = \Phi v"
    ),
    hypotheses=(
        r"one choice to each prompt, logits $\Phi\theta$, so that $w$ is how they move along $v$",
        "the left side by power series of the probabilities",
    ),
    kind="identity",
    sample=sample_along,
    sides=hessian_sides,
    control=Control(
        name="not centred",
        explanation=r"The covariance is taken with $w^2$.",
        sides=lambda along: _covariance(along, centred=False),
    ),
)


def sample_steep(tape: Tape, size: int) -> Along:
    """Draw tabular policies; half of the time one or two prompts with two arms."""
    if tape.integer(0, 1):
        policy = models.contextual(tape, tape.integer(1, 2), 2)
        chance = Fraction(tape.integer(1, 1023), 1024)
        rows = policy.rows.copy()
        rows[0] = [chance, 1 - chance]
        shift = np.zeros(policy.features.shape[2])
        shift[:2] = 1.0, -1.0
        return Along(policy._replace(rows=rows), fractions(shift))
    policy = models.contextual(tape, tape.integer(1, 2), size)
    return Along(policy, models.direction(tape, policy))


def _smooth(along: Along, square: int) -> tuple[Side, Side]:
    policy, direction = along
    steepest = max(
        weight * span(policy.rewards[policy.starts[x] : policy.starts[x + 1]])
        for x, weight in enumerate(policy.weights)
    )
    length = direction @ direction
    return square * curvature(along) ** 2, (steepest * length) ** 2


def smooth_sides(along: Along) -> tuple[Side, Side]:
    """Return 27 (v^T H v)^2 and the square of what bounds it."""
    return _smooth(along, 27)


SMOOTH = Theorem(
    id="estimators/softmax-smoothness",
    title="The exact smoothness of softmax bandits: the range of rewards over 3 sqrt 3",
    source="Derived here; Mei, Xiao, Szepesvari and Schuurmans (2020), Lemma 2, has 5/2",
    statement=(
        r"|v^\top\nabla^2 J\, v| \le \frac{\max_x d(x)\,(r_{\max}(x) - r_{\min}(x))}{3\sqrt3}\,"
        r"\|v\|^2"
    ),
    hypotheses=(
        r"tabular softmax, prompts with probabilities $d(x)$ and logits of their own; squared to "
        "stay rational",
    ),
    kind="inequality",
    sample=sample_steep,
    sides=smooth_sides,
    control=Control(
        name="the range over six",
        explanation=r"$3\sqrt3 \approx 5.196$ is replaced by 6.",
        sides=lambda along: _smooth(along, 36),
    ),
    notes=(
        r"Attained by two arms of probability $\frac12 \pm \frac{1}{2\sqrt3}$; more arms add "
        "nothing. A step of 1 / L with this L is 13 times as long as with 5/2 for rewards in "
        "[0, 1]. The proof is at `rltheory.analysis.estimators.smoothness.ONE_CHOICE`."
    ),
    sharpness=0.9999,
)


def _by_range(along: Along, square: int) -> tuple[Side, Side]:
    policy = along.policy
    total = sum(
        (
            weight * span(policy.rewards[policy.starts[x] : policy.starts[x + 1]]) * span(row) ** 2
            for x, (weight, row) in enumerate(zip(policy.weights, changes(along), strict=True))
        ),
        Fraction(0),
    )
    return square * curvature(along) ** 2, total**2


def range_sides(along: Along) -> tuple[Side, Side]:
    """Return 108 (v^T H v)^2 and the square of the bound by the ranges of the logits' changes."""
    return _by_range(along, 108)


def sample_any_steep(tape: Tape, size: int) -> Along:
    """Draw as `sample_steep`, or logits with shared parameters."""
    return sample_steep(tape, size) if tape.integer(0, 3) else sample_along(tape, size)


BY_RANGE = Theorem(
    id="estimators/smoothness-by-the-range-of-logits",
    title="With shared features only how far logits move apart counts for the curvature",
    source="Derived here",
    statement=(
        r"|v^\top\nabla^2 J\, v| \le \frac{1}{6\sqrt3}\,\mathbb{E}_x\bigl[(r_{\max}(x) - "
        r"r_{\min}(x))\,(w_{\max}(x) - w_{\min}(x))^2\bigr],\qquad w = \Phi v"
    ),
    hypotheses=("one choice to each prompt, logits linear; squared to stay rational",),
    kind="inequality",
    sample=sample_any_steep,
    sides=range_sides,
    control=Control(
        name="one over twelve",
        explanation=r"$6\sqrt3 \approx 10.39$ is replaced by 12.",
        sides=lambda along: _by_range(along, 144),
    ),
    notes="It implies estimators/softmax-smoothness, as the squared range is at most 2 ||w||^2.",
    sharpness=0.99,
)


def sample_crowded(tape: Tape, size: int) -> Along:
    """Draw a random bandit, or one likely arm, one opposite to it, and many that hardly occur."""
    if size < 3 or not tape.integer(0, 2):
        policy = models.bandit(tape, min(size, 4))
        return Along(policy, models.direction(tape, policy))
    rare = Fraction(1, 2**30)
    row = np.full(size, rare, dtype=object)
    row[0] = 1 - (size - 1) * rare
    # The direction of the parameters and, from it, the gradient that makes most of it.
    angle = Fraction(tape.integer(24, 48), 64)
    direction = np.full(size, Fraction(0), dtype=object)
    direction[0], direction[1] = 1 - angle * angle, -2 * angle
    pull = direction * direction - 2 * (row @ direction) * direction
    gradient = pull - pull.sum() / size
    return Along(models.bandit_of(row, np.asarray(gradient / row)), direction)


def _by_gradient(along: Along, square: Fraction) -> tuple[Side, Side]:
    gradient = along.policy.outcomes().gradient
    length = along.direction @ along.direction
    return curvature(along) ** 2, square * (gradient @ gradient) * length**2


def gradient_sides(along: Along) -> tuple[Side, Side]:
    """Return (v^T H v)^2 and its bound by the squared gradient."""
    return _by_gradient(along, Fraction(6761, 2500))


BY_GRADIENT = Theorem(
    id="estimators/smoothness-by-the-gradient",
    title="Where the gradient is small so is the curvature: at most 1.6446 times as large",
    source="Mei, Gao, Dai, Szepesvari and Schuurmans (2021), with 3; the constant is derived here",
    statement=(
        r"|v^\top\nabla^2 J\, v| \le C\,\|\nabla J\|\,\|v\|^2,\qquad C^2 = \max_\phi\,\bigl[1 + "
        r"2\sin^2\phi\cos^2\phi + 4\sin^3\phi\cos\phi\bigr] < 2.7044"
    ),
    hypotheses=("tabular softmax bandits, any rewards; squared to stay rational",),
    kind="inequality",
    sample=sample_crowded,
    sides=gradient_sides,
    control=Control(
        name="the constant of two arms",
        explanation=r"$C = \sqrt2$, which two arms attain in the limit of sure policies.",
        sides=lambda along: _by_gradient(along, Fraction(2)),
    ),
    notes=(
        r"$v^\top H v = \langle\nabla J, v\circ v - 2m v\rangle$ with $m = \mathbb{E}v$, so $C$ is "
        r"the largest $\|v\circ v - 2mv\|$ over unit vectors and $m$ between their extremes: "
        r"convex in $m$, hence $m$ is an entry, and the other entries gain most as one of the "
        r"other sign. Approached by a nearly sure policy over many arms; three arms reach 1.5752."
    ),
    sizes=(2, 3, 24),
    sharpness=0.95,
    cost=6.0,
)


def sample_long(tape: Tape, size: int) -> Along:
    """Draw a tree of tokens; half of the time one that hardly ever goes on, paid if it does."""
    if tape.integer(0, 1):
        policy = models.token_tree(tape, size)
        rare = Fraction(1, 4 ** tape.integer(1, 8))
        rewards = np.array([Fraction(i > 0) for i in range(size + 1)], dtype=object)
        rows = np.array([[1 - rare, rare]] * size, dtype=object)
        policy = policy._replace(rows=rows, rewards=rewards)
    else:
        policy = models.token_tree(tape, size, shared=bool(tape.integer(0, 1)))
    return Along(policy, models.direction(tape, policy))


def _long(along: Along, share: Fraction) -> tuple[Side, Side]:
    policy, moved = along.policy, changes(along)
    means = (policy.rows * moved).sum(axis=1)
    spreads = (policy.rows * (moved - means[:, None]) ** 2).sum(axis=1)
    chances = policy.chances(policy.rows)
    sums = np.array([sum(spreads[row] for row, _ in path) for path in policy.paths], dtype=object)
    return abs(curvature(along)), share * span(policy.rewards) * (chances @ sums)


def long_sides(along: Along) -> tuple[Side, Side]:
    """Return |v^T H v| and the range of rewards times the expected sum of variances."""
    return _long(along, Fraction(1))


LONG = Theorem(
    id="estimators/smoothness-of-long-responses",
    title="Long responses: the curvature is at most what the choices' logits vary by, in sum",
    source="Derived here; Yuan, Gower and Lazaric (2022), Lemma 4.4, for a bound of this form",
    statement=(
        r"|v^\top\nabla^2 J\, v| \le (r_{\max} - r_{\min})\;\mathbb{E}\sum_t \operatorname{Var}"
        r"(w_t|y_{<t})"
    ),
    hypotheses=(
        "trees of tokens, one prompt, logits linear in parameters of each prefix's own or shared; "
        r"$w_t$ is how the logits of choice $t$ move along $v$",
    ),
    kind="inequality",
    sample=sample_long,
    sides=long_sides,
    control=Control(
        name="half of it",
        explanation="The bound is divided by two.",
        sides=lambda along: _long(along, Fraction(1, 2)),
    ),
    notes=(
        r"$v^\top H v = \mathbb{E}(r - b)(X - Y)$ for every $b$, $X$ the squared score along $v$, "
        r"$Y$ the sum of the variances, $\mathbb{E}X = \mathbb{E}Y$. Approached where a response "
        "that is hardly ever given is the one that pays."
    ),
    sharpness=0.999,
)


THEOREMS = (HESSIAN, SMOOTH, BY_RANGE, BY_GRADIENT, LONG)
