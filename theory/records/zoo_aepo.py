r"""AEPO: what sampling at another temperature does to the entropy, for which rewards.

With z = log pi and b = 1 / T, the slope of the entropy along E over pi^T of R grad log pi is
D(b) = sum p_b R delta, delta = sum p^2 (z - m) - p (z - m), m = E z; balls enclose the logarithms.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.theory import balls
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.exact import fractions
from rltheory.theory.records.zoo_empg import score_outcomes
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SOURCE = 'Wang et al. (2025), "Arbitrary Entropy Policy Optimization"'


class Tempered(NamedTuple):
    """Weights (A,) of a policy and the inverse of a temperature."""

    weights: FractionArray
    inverse: Fraction


def sample_tempered(tape: Tape, size: int) -> Tempered:
    """Draw weights; half of the time two kinds of actions and a temperature close to one."""
    weights = fractions(tape.dyadic(size, 2.0**-8, 1.0))
    inverse = Fraction(tape.integer(1, 63), 32)
    if tape.integer(0, 1):
        # Tightest where the likely action has probability (1 + 1 / sqrt 3) / 2.
        weights[:] = Fraction(1)
        weights[0] = (size - 1) * Fraction(tape.integer(3600, 3860), 1000)
        inverse = 1 - Fraction(1, 2 ** tape.integer(4, 10))
    return Tempered(weights, inverse)


def moved(instance: Tempered) -> bool:
    """Whether the temperature is not one and the policy not uniform."""
    return instance.inverse != 1 and len(set(instance.weights)) > 1


def _tempered(logs: BallArray, inverse: Fraction) -> BallArray:
    return np.asarray(balls.softmax((balls.ball(inverse) * logs)[None])[0])


def _remainder(instance: Tempered, factor: Fraction) -> tuple[Side, Side]:
    """Return || pi^T - pi - factor grad H ||_1 and its bound."""
    logs = balls.log(balls.balls(instance.weights))
    policy = balls.balls(instance.weights / instance.weights.sum())
    gradient = -policy * (logs - (policy * logs).sum())
    rest = _tempered(logs, instance.inverse) - policy - balls.ball(factor) * gradient
    span = balls.largest(logs) + balls.largest(-logs)
    cold = balls.ball((1 - instance.inverse) ** 2)
    bound = cold * span * span / (6 * balls.ball(Fraction(3)).sqrt())
    return balls.to_bounds(np.abs(rest).sum()), balls.to_bounds(bound)


@precise
def remainder_sides(instance: Tempered) -> tuple[Side, Side]:
    """Return how far the term is from (1 - 1 / T) grad H, in L1, and its bound."""
    return _remainder(instance, 1 - instance.inverse)


@precise
def _first_factor(instance: Tempered) -> tuple[Side, Side]:
    return _remainder(instance, 1 / instance.inverse - 1)


ENTROPY_GRADIENT = Theorem(
    id="aepo/term-is-the-entropy-gradient",
    title="Where all responses succeed, AEPO's term is the gradient of the entropy to second order",
    source=f"{_SOURCE}, for the term; factor and constant derived here",
    statement=(
        r"\Bigl\|\mathbb{E}_{y\sim\pi^T}\nabla_z\log\pi(y) - \bigl(1-\tfrac1T\bigr)\nabla_z "
        r"H(\pi)\Bigr\|_1 \le \frac{(1-1/T)^2}{6\sqrt3}\,\bigl(\max\log\pi - \min\log\pi\bigr)^2"
    ),
    hypotheses=(
        r"$\pi = \operatorname{softmax}(z)$, $\pi^T = \operatorname{softmax}(z/T)$, $R = 1$ for "
        r"all $y$; then the term is $\pi^T - \pi$",
        "drawn with $1/T$ rational below 2, not 1, and a policy that is not uniform",
    ),
    kind="inequality",
    sample=sample_tempered,
    sides=remainder_sides,
    admissible=moved,
    control=Control(
        name="factor T - 1",
        explanation=(
            r"The factor is $T - 1$, which is the same to first order, under the same bound."
        ),
        sides=_first_factor,
    ),
    notes=(
        r"From Taylor's formula in $1/T$ and $\mathbb{E}|Y^2 - \operatorname{Var} Y| \le s^2 / "
        r"(3\sqrt3)$ for $\mathbb{E} Y = 0$ on an interval of length $s$, which two points of "
        r"probabilities $\frac12 \pm \frac1{2\sqrt3}$ attain."
    ),
    sharpness=0.99,
    cost=1.5,
)


class Success(NamedTuple):
    """Weights (A,) of a policy, rewards (A,), and inverses of temperatures, cold < 1 < warm < hot.

    In terms of the inverses, cold > 1 >= warm > hot >= 0.
    """

    weights: FractionArray
    rewards: FractionArray
    cold: Fraction
    warm: Fraction
    hot: Fraction


def sample_success(tape: Tape, size: int) -> Success:
    """Draw a policy all of whose actions succeed; two temperatures above one, often close."""
    weights = fractions(tape.dyadic(size, 2.0**-8, 1.0))
    cold = 1 + Fraction(tape.integer(1, 64), 32)
    hot = Fraction(tape.integer(0, 1022), 1024)
    apart = Fraction(1, 2 ** tape.integer(1, 12))
    return Success(weights, 0 * weights + 1, cold, hot + (1 - hot) * apart, hot)


def sample_binary(tape: Tape, size: int) -> Success:
    """Draw the same with binary rewards."""
    instance = sample_success(tape, size)
    rewards = to_fractions([tape.integer(0, 1) for _ in instance.weights])
    return instance._replace(rewards=rewards)


def unequal(instance: Success) -> bool:
    """Whether the policy is not uniform: its entropy could not move."""
    return len(set(instance.weights)) > 1


def slope(instance: Success, inverse: Fraction) -> Any:
    """Return the slope of the entropy along the term at one temperature, a ball."""
    logs = balls.log(balls.balls(instance.weights))
    policy = balls.balls(instance.weights / instance.weights.sum())
    away = logs - (policy * logs).sum()
    masses = _tempered(logs, inverse) * balls.balls(instance.rewards)
    # -Cov(log pi, d) along d = masses - pi * their sum.
    return -(policy * away * (masses - policy * masses.sum())).sum()


@precise
def rising_sides(instance: Success) -> tuple[Side, Side]:
    """Return (slope when cold, 0, slope when warm) and (0, slope when warm, slope when hot)."""
    zero = balls.ball(Fraction(0))
    cold, warm, hot = (slope(instance, b) for b in instance[2:])
    return balls.to_bounds([cold, zero, warm]), balls.to_bounds([zero, warm, hot])


@precise
def sparing_sides(instance: Success) -> tuple[Side, Side]:
    """Return the slope of the entropy at the warm and at the hot temperature."""
    warm, hot = (slope(instance, b) for b in instance[3:])
    return balls.to_bounds(warm), balls.to_bounds(hot)


RISES = Theorem(
    id="aepo/entropy-rises-with-temperature",
    title="Where all responses succeed, hotter samples raise the entropy more",
    source=f"{_SOURCE}, for the claim; proved here",
    statement=(
        r"S < 1 < T \le T' \implies D(S) \le 0 \le D(T) \le D(T'),\qquad D(T) = \bigl\langle "
        r"\nabla H(\pi), \mathbb{E}_{y\sim\pi^T}[R(y)\,\nabla\log\pi(y)]\bigr\rangle"
    ),
    hypotheses=(
        r"$R = 1$ for all $y$; softmax bandit, policy not uniform; any temperatures",
        r"$D$ is the slope of the entropy along the term",
    ),
    kind="inequality",
    sample=sample_success,
    sides=rising_sides,
    admissible=unequal,
    control=Control(
        name="binary rewards",
        explanation="Some responses fail: the sign is then not guaranteed.",
        sample=sample_binary,
    ),
    notes=(
        r"In $b = 1/T$ the slope falls: $-D'(b)$ is proportional to $\operatorname{Var}_r(z) + "
        r"(\mathbb{E}_r z - \mathbb{E}_\pi z)(\mathbb{E}_r z - \mathbb{E}_{\pi^T} z)$ with $r "
        r"\propto \pi\,\pi^T$, whose mean is the largest of the three."
    ),
    sharpness=0.99,
)


@precise
def falling(instance: Success) -> bool:
    """Whether the entropy falls at the warm temperature."""
    return bool(slope(instance, instance.warm) < 0)


def sample_spared(tape: Tape, size: int) -> Success:
    """Draw binary rewards, the likeliest action's among them, and temperatures of at least one."""
    instance = sample_binary(tape, size)
    instance.rewards[instance.weights.argmax()] = Fraction(1)
    return instance


def sample_frozen(tape: Tape, size: int) -> Success:
    """Draw two likely actions, the second of which succeeds, at temperatures of 1/4 to 1/2."""
    weights = fractions(tape.dyadic(size + 2, 2.0**-3, 2.0**-2))
    weights[:2] = Fraction(1), Fraction(7, 8)
    rewards = 0 * weights
    rewards[1] = Fraction(1)
    hot = 2 + Fraction(tape.integer(0, 1023), 1024)
    return Success(weights, rewards, hot + 1, hot + 1, hot)


SPARES = Theorem(
    id="aepo/hotter-successes-spare-entropy",
    title="Where successes lower the entropy, hotter samples of them lower it less",
    source=(
        f"{_SOURCE}, Theorem 1 of its version of 2026 as quoted elsewhere, for positive samples; "
        "proved here for temperatures of at least one"
    ),
    statement=r"1 \le T \le T',\ D(T) < 0 \implies D(T) \le D(T')",
    hypotheses=(
        r"$R(y) \in \{0, 1\}$; softmax bandit; $D$ as in aepo/entropy-rises-with-temperature",
    ),
    kind="inequality",
    sample=sample_spared,
    sides=sparing_sides,
    admissible=falling,
    control=Control(
        name="cold samples",
        explanation=(
            "Temperatures lie between 1/4 and 1/2: cooling then takes samples from the success "
            "towards an action that is likelier still."
        ),
        sample=sample_frozen,
    ),
    notes=(
        r"With $z = \log\pi$ of mean $m$, $\delta(y) = \sum \pi^2(z-m) - \pi(y)(z_y-m)$ changes "
        r"sign once, at some $z^* \ge m$, and $D'(b) = \sum_S \pi^T (z-z^*)\delta + (z^*-"
        r"\mathbb{E}_{\pi^T} z)\,D$, both parts at most 0 for $b = 1/T \le 1$. A hundred thousand "
        r"random policies gave no violation down to $T = 0.8$, the least that the method takes."
    ),
    sharpness=0.99,
)


class Rooted(NamedTuple):
    """Roots v (A,), rewards and exponents: pi is v^k normalised, pi^T of T = k / j is v^j so."""

    roots: FractionArray
    rewards: FractionArray
    power: int
    first: int
    second: int


def sample_rooted(tape: Tape, size: int) -> Rooted:
    """Draw a policy, one rewarded action, and two temperatures from 1/4 to 4."""
    roots = fractions(tape.dyadic(size, 2.0**-4, 1.0, 6))
    rewards = 0 * roots
    rewards[tape.integer(0, size - 1)] = Fraction(tape.integer(1, 8), 8)
    return Rooted(roots, rewards, *(tape.integer(1, 4) for _ in range(3)))


def sample_two_right(tape: Tape, size: int) -> Rooted:
    """Draw the same with a second answer that is right."""
    instance = sample_rooted(tape, size + 1)
    instance.rewards[:2] = Fraction(1)
    return instance


def one_right_sides(instance: Rooted) -> tuple[Side, Side]:
    """Return the term at either temperature times the chance of success at the other."""
    policy = instance.roots**instance.power
    scores = score_outcomes(policy / policy.sum()).scores
    terms, chances = [], []
    for power in (instance.first, instance.second):
        drawn = instance.roots**power / (instance.roots**power).sum()
        terms.append(scores.T @ (drawn * instance.rewards))
        chances.append(drawn @ (instance.rewards > 0))
    return terms[0] * chances[1], terms[1] * chances[0]


ONE_RIGHT = Theorem(
    id="aepo/one-right-answer-leaves-no-control",
    title="With one right answer the temperature turns no direction",
    source=f"{_SOURCE}, for the term; derived here",
    statement=(
        r"\frac{\mathbb{E}_{y\sim\pi^T}[R\,\nabla\log\pi]}{\pi^T(y^*)} = "
        r"\frac{\mathbb{E}_{y\sim\pi^{T'}}[R\,\nabla\log\pi]}{\pi^{T'}(y^*)} = R(y^*)\,"
        r"\nabla\log\pi(y^*)\quad\text{for all } T, T'"
    ),
    hypotheses=(
        r"only $y^*$ is rewarded; softmax bandit",
        r"policies are powers of rational weights, $T$ a ratio of exponents: all is exact",
    ),
    kind="identity",
    sample=sample_rooted,
    sides=one_right_sides,
    control=Control(
        name="two right answers",
        explanation="A second answer is right; the temperature then shifts weight between both.",
        sample=sample_two_right,
    ),
    notes=(
        "Hence the sign of its effect on the entropy is the same at every temperature: once the "
        "answer is likely the term lowers the entropy, hot or cold, and no target is held."
    ),
)


THEOREMS = (ENTROPY_GRADIENT, RISES, SPARES, ONE_RIGHT)
