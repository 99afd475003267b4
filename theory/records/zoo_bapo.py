"""BAPO: the entropy-clip rule with and without the policy's factor, and what moving bounds do.

Policies of the rule are powers of two, so that entropies in bits are rational and all is exact.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.bapo import contributions, open_side
from rltheory.analysis.zoo.entropy import natural_direction, plain_direction
from rltheory.theory import dual, exact
from rltheory.theory.exact import fractions
from rltheory.theory.records.zoo_empg import code_lengths, powers
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SOURCE = "Xi et al. (2025)"


class Clipped(NamedTuple):
    """A policy 2^-k by its k, advantages (A,), which of them are not clipped, and a constant."""

    lengths: list[int]
    advantages: FractionArray
    unclipped: FractionArray
    constant: Fraction

    @property
    def kept(self) -> FractionArray:
        """A X: advantages of what is not clipped."""
        return np.asarray(self.advantages * self.unclipped)


def sample_clipped(tape: Tape, size: int) -> Clipped:
    """Draw a policy, advantages in [-1, 1], a third of them clipped, and a constant."""
    lengths = code_lengths(tape, size + 1)
    advantages = fractions(tape.dyadic(size + 1, -1, 1))
    unclipped = to_fractions([int(tape.integer(0, 2) > 0) for _ in lengths])
    return Clipped(lengths, advantages, unclipped, Fraction(float(tape.dyadic((), -1, 1))))


def bits_slope(lengths: list[int], direction: FractionArray) -> Fraction:
    """Return the derivative of the entropy in bits along a direction of the logits.

    It is that of sum p k by dual numbers through the normalisation: the logarithms' own
    derivatives sum to zero.
    """
    weights = powers(lengths)
    moved = dual.duals(weights, weights * direction)
    slope: Fraction = (dual.slopes_of(moved / moved.sum()) * np.array(lengths)).sum()
    return slope


def covariance(lengths: list[int], quantity: FractionArray) -> Fraction:
    """Return -Cov(log2 pi, quantity), that is Cov(k, quantity)."""
    policy, codes = powers(lengths), to_fractions(lengths)
    together: Fraction = policy @ (codes * quantity) - (policy @ codes) * (policy @ quantity)
    return together


def natural_sides(instance: Clipped) -> tuple[Side, Side]:
    """Return the derivative of the entropy along A X + C, and the covariance."""
    direction = instance.kept + instance.constant
    slope = bits_slope(instance.lengths, direction)
    return slope, covariance(instance.lengths, instance.kept)


def _all_tokens(instance: Clipped) -> tuple[Side, Side]:
    return natural_sides(instance)[0], covariance(instance.lengths, instance.advantages)


_POLICIES = "a softmax policy whose probabilities are powers of two, entropy in bits: all is exact"

NATURAL = Theorem(
    id="bapo/rule-for-natural-steps",
    title="The entropy-clip rule holds for steps of the natural gradient",
    source=f"{_SOURCE}, equation 6; the step it needs is derived here",
    statement=(
        r"\frac{d}{d\eta} H\bigl(\operatorname{softmax}(z + \eta\,(A X + C))\bigr)\Big|_{\eta=0} = "
        r"-\operatorname{Cov}_{y\sim\pi}\bigl(\log\pi(y),\, A(y) X(y)\bigr)"
    ),
    hypotheses=(
        r"$X(y) \in \{0, 1\}$ marks what is not clipped; any $A$ and constant $C$",
        _POLICIES,
    ),
    kind="identity",
    sample=sample_clipped,
    sides=natural_sides,
    control=Control(
        name="clipped tokens count",
        explanation=r"The covariance is with $A$, clipped tokens included.",
        sides=_all_tokens,
    ),
)


def plain_sides(instance: Clipped) -> tuple[Side, Side]:
    """Return the derivative of the entropy along the plain gradient, and the covariance."""
    policy = powers(instance.lengths)
    direction = policy * (instance.kept - policy @ instance.kept)
    slope = bits_slope(instance.lengths, plain_direction(policy, instance.kept))
    return slope, covariance(instance.lengths, direction)


def _as_printed(instance: Clipped) -> tuple[Side, Side]:
    return plain_sides(instance)[0], covariance(instance.lengths, instance.kept)


PLAIN = Theorem(
    id="bapo/rule-for-plain-steps",
    title="For steps of the plain gradient the entropy-clip rule needs the policy as a factor",
    source=f"{_SOURCE}, Proposition 1 of the appendix, which equation 6 does not follow",
    statement=(
        r"\frac{d}{d\eta} H\bigl(\operatorname{softmax}(z + \eta\,d)\bigr)\Big|_{\eta=0} = "
        r"-\operatorname{Cov}_{y\sim\pi}\bigl(\log\pi(y),\, d(y)\bigr),\qquad d = \pi\,(A X - "
        r"\mathbb{E}_\pi[A X])"
    ),
    hypotheses=(r"$d$ is the gradient of $\mathbb{E}_\pi[A X]$ by the logits", _POLICIES),
    kind="identity",
    sample=sample_clipped,
    sides=plain_sides,
    control=Control(
        name="equation 6 as printed",
        explanation=r"The covariance is with $A X$, without the factor $\pi$.",
        sides=_as_printed,
    ),
    notes=(
        r"With the factor the constant $\mathbb{E}[A X]$ does not drop out. The two forms may "
        "differ in sign: bapo/printed-rule-has-the-wrong-sign."
    ),
)


def binary_bandit(tape: Tape, size: int) -> Clipped:
    """Return six actions, four of which succeed: the fewest with binary rewards, by search."""
    ones = to_fractions(np.ones(6))
    return Clipped([2, 2, 2, 3, 4, 4], to_fractions([1, 1, 0, 0, 1, 1]), ones, Fraction(0))


def _opposed(instance: Clipped, direction: FractionArray) -> tuple[Side, Side]:
    """Return thresholds and (the printed rule, minus the slope along a direction), in bits."""
    found = exact.join(
        covariance(instance.lengths, instance.advantages),
        -bits_slope(instance.lengths, direction),
    )
    return exact.join(Fraction(1, 65), Fraction(1, 235)), found


def opposed_sides(instance: Clipped) -> tuple[Side, Side]:
    """Return the thresholds and how far rule and plain gradient are from zero, in bits."""
    return _opposed(instance, plain_direction(powers(instance.lengths), instance.advantages))


def _natural_agrees(instance: Clipped) -> tuple[Side, Side]:
    return _opposed(instance, natural_direction(powers(instance.lengths), instance.advantages))


SIGNS = Theorem(
    id="bapo/printed-rule-has-the-wrong-sign",
    title="Along the plain gradient entropy may fall where the printed rule has it rise",
    source=f"{_SOURCE}, equation 6; derived here",
    statement=(
        r"\exists\,\pi, R:\quad \tfrac1{65} < -\operatorname{Cov}_\pi(\log_2\pi, R)\ \text{ and }\ "
        r"\tfrac1{235} < -\frac{d}{d\eta} H_{\mathrm{bits}}\bigl(z + \eta\,\nabla_z\mathbb{E}_\pi "
        r"R\bigr)\Big|_{\eta=0}"
    ),
    hypotheses=(
        r"the instance: $\pi = (\frac14, \frac14, \frac14, \frac18, \frac1{16}, \frac1{16})$, "
        r"$R = (1, 1, 0, 0, 1, 1)$, nothing clipped; the rule says $\frac1{64}$, the plain "
        r"gradient does $-\frac{35}{8192}$ bits per unit of step",
    ),
    kind="counterexample",
    sample=binary_bandit,
    sides=opposed_sides,
    control=Control(
        name="natural gradient",
        explanation="The step is that of the natural gradient, for which the rule is right.",
        sides=_natural_agrees,
    ),
    notes=(
        "The rewards are binary and the constant of the rule, minus the mean reward, does not "
        "matter to it."
    ),
    sharpness=0.98,
)


class Batch(NamedTuple):
    """Masses, ratios and advantages (n,) of tokens, and two pairs of bounds."""

    masses: FractionArray
    ratios: FractionArray
    advantages: FractionArray
    low: tuple[Fraction, Fraction]
    high: tuple[Fraction, Fraction]


def sample_batch(tape: Tape, size: int) -> Batch:
    """Draw tokens with ratios in [0, 4] and bounds low <= low' <= 1 <= high <= high'."""
    count = size + 1
    low = sorted(Fraction(float(x)) for x in tape.dyadic(2, 0, 1))
    high = sorted(Fraction(float(x)) for x in tape.dyadic(2, 1, 4))
    advantages = tape.dyadic(count, -1, 1)
    ratios = tape.dyadic(count, 0, 4)
    # One of each sign inside the bounds, or there is no share to speak of.
    advantages[:2] = abs(advantages[0]), -abs(advantages[1])
    ratios[:2] = min(ratios[0], 1.0), max(ratios[1], 1.0)
    return Batch(
        fractions(tape.simplex(count)),
        fractions(ratios),
        fractions(advantages),
        (low[0], low[1]),
        (high[0], high[1]),
    )


def weighed(batch: Batch, low: Fraction, high: Fraction) -> Fraction:
    """Return the share of positive advantages in the absolute surrogate."""
    gains, losses = contributions(batch.masses, batch.ratios, batch.advantages, low, high)
    return Fraction(gains / (gains + losses))


def _open_share(batch: Batch, low: Fraction, high: Fraction) -> Fraction:
    """The same of gradients: what is clipped has none."""
    kept = open_side(batch.ratios, batch.advantages, low, high)
    return weighed(batch._replace(masses=np.where(kept, batch.masses, 0 * batch.masses)), low, high)


def two_sided(batch: Batch) -> bool:
    """Whether advantages of either sign are not clipped, so that every share is defined."""
    kept = open_side(batch.ratios, batch.advantages, batch.low[1], batch.high[0])
    alive = (batch.masses > 0) & (batch.ratios > 0) & kept
    return bool(np.any(alive & (batch.advantages > 0)) and np.any(alive & (batch.advantages < 0)))


def share_sides(batch: Batch) -> tuple[Side, Side]:
    """Return (share at low', share) and (share, share at high')."""
    share = weighed(batch, batch.low[0], batch.high[0])
    return exact.join(weighed(batch, batch.low[1], batch.high[0]), share), exact.join(
        share, weighed(batch, batch.low[0], batch.high[1])
    )


def _of_gradients(batch: Batch) -> tuple[Side, Side]:
    share = _open_share(batch, batch.low[0], batch.high[0])
    return exact.join(_open_share(batch, batch.low[1], batch.high[0]), share), exact.join(
        share, _open_share(batch, batch.low[0], batch.high[1])
    )


SHARE = Theorem(
    id="bapo/lower-bound-moves-the-share-away",
    title="Raising the upper bound raises the share of positive signals, the lower one lowers it",
    source=f"{_SOURCE}, equation 8, for the share; derived here",
    statement=(
        r"\rho(c'_{\mathrm{low}}, c_{\mathrm{high}}) \le \rho(c_{\mathrm{low}}, c_{\mathrm{high}}) "
        r"\le \rho(c_{\mathrm{low}}, c'_{\mathrm{high}}),\qquad \rho = \frac{\sum_{A>0} p\,"
        r"\min(w, c_{\mathrm{high}})\,A}{\sum_{A>0} p\,\min(w, c_{\mathrm{high}})\,A + \sum_{A<0} "
        r"p\,\max(w, c_{\mathrm{low}})\,|A|}"
    ),
    hypotheses=(
        r"$c_{\mathrm{low}} \le c'_{\mathrm{low}} \le 1 \le c_{\mathrm{high}} \le "
        r"c'_{\mathrm{high}}$; advantages of either sign that are not clipped",
    ),
    kind="inequality",
    sample=sample_batch,
    sides=share_sides,
    admissible=two_sided,
    control=Control(
        name="share of gradients",
        explanation="Only what is not clipped counts, as it does in the gradient.",
        sides=_of_gradients,
    ),
    notes=(
        "A clipped negative token counts with its bound, so raising the lower bound adds to what "
        "the loop wants less of: after the upper bound has come to its end the loop of Algorithm 1 "
        "cannot meet its target any more, and runs to its limit. What it does to the gradients is "
        "the opposite."
    ),
    sizes=(2, 3, 6),
    sharpness=0.999,
)


class Answers(NamedTuple):
    """Probabilities, rewards and lengths (n,) of responses, and bounds around 1."""

    policy: FractionArray
    rewards: FractionArray
    lengths: FractionArray
    low: Fraction
    high: Fraction


def sample_answers(tape: Tape, size: int) -> Answers:
    """Draw responses with binary rewards half of the time, lengths of up to 4."""
    rewards = fractions(tape.dyadic(size))
    if tape.integer(0, 1):
        rewards = to_fractions([int(2 * r >= 1) for r in rewards])
    lengths = to_fractions([tape.integer(1, 4) for _ in range(size)])
    bounds = Fraction(float(tape.dyadic())), Fraction(float(tape.dyadic((), 1, 4)))
    return Answers(fractions(tape.simplex(size)), rewards, lengths, *bounds)


def _balance(answers: Answers, masses: FractionArray) -> tuple[Side, Side]:
    advantages = answers.rewards - answers.policy @ answers.rewards
    ones = 0 * answers.policy + 1
    gains, losses = contributions(masses, ones, advantages, answers.low, answers.high)
    return Fraction(gains / (gains + losses)), Fraction(1, 2)


def balance_sides(answers: Answers) -> tuple[Side, Side]:
    """Return the share on policy, and one half."""
    return _balance(answers, answers.policy)


def varied(answers: Answers) -> bool:
    """Whether rewards differ among the responses in use."""
    return len({r for r, p in zip(answers.rewards, answers.policy, strict=True) if p}) > 1


BALANCE = Theorem(
    id="bapo/balanced-on-policy",
    title="On policy positive and negative signals balance, whatever the bounds",
    source=f"{_SOURCE}, for the share; derived here",
    statement=r"\rho(c_{\mathrm{low}}, c_{\mathrm{high}}) = \tfrac12",
    hypotheses=(
        r"all ratios are 1, $A = R - \mathbb{E} R$, $c_{\mathrm{low}} \le 1 \le "
        r"c_{\mathrm{high}}$; each response counts once",
    ),
    kind="identity",
    sample=sample_answers,
    sides=balance_sides,
    admissible=varied,
    control=Control(
        name="each token counts",
        explanation="A response counts as often as it has tokens, so that lengths weigh.",
        sides=lambda answers: _balance(answers, answers.policy * answers.lengths),
    ),
    notes=(
        "So an imbalance on policy comes from lengths alone, and there the bounds cannot change "
        "it: they act only on ratios beyond them."
    ),
)


THEOREMS = (NATURAL, PLAIN, SIGNS, SHARE, BALANCE)
