r"""Dividing by lengths and averaging over tokens: what the estimate then is the gradient of.

Every side is a Fraction. Baselines are exact values of the prompt, so that only lengths are at
work; groups are enumerated, derivatives come from dual numbers.
"""

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.estimators.advantages import Group
from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import MEAN, Estimator
from rltheory.analysis.rational import FractionArray
from rltheory.analysis.zoo.hapo import TOKEN_MEAN, aggregated
from rltheory.theory import estimator_instances as small
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Liu et al. (2025), HAPO, arXiv 2509.16591"


class Rewarded(NamedTuple):
    """The rewards and the lengths of a group of responses, (G,) each."""

    rewards: FractionArray
    lengths: FractionArray


def sample_rewarded(tape: Tape, size: int) -> Rewarded:
    """Draw a group with rewards and lengths of 1 to 16 tokens."""
    lengths = np.array([Fraction(tape.integer(1, 16)) for _ in range(size)], dtype=object)
    return Rewarded(small.payments(tape, size, binary=bool(tape.integer(0, 1))), lengths)


def _balance(group: Rewarded, estimator: Estimator) -> tuple[Side, Side]:
    advantages = estimator.advantages(Group(group.rewards, lengths=group.lengths))
    parts = [np.maximum(s * advantages, 0 * advantages) for s in (1, -1)]
    return Fraction(group.lengths @ parts[0]), Fraction(group.lengths @ parts[1])


def balance_sides(group: Rewarded) -> tuple[Side, Side]:
    """Return the advantage of all tokens above the baseline, and what those below it lack."""
    return _balance(group, TOKEN_MEAN)


BALANCE = Theorem(
    id="hapo/token-balance",
    title="With the mean over tokens, what a group's tokens are pushed up equals the push down",
    source=_SETTING,
    statement=(
        r"\sum_i |y_i|\,(r_i - m)^+ = \sum_i |y_i|\,(m - r_i)^+,\qquad m = \frac{\sum_i |y_i|\,r_i}"
        r"{\sum_i |y_i|}"
    ),
    hypotheses=("any rewards and lengths of a group; any divisor of the advantages leaves it",),
    kind="identity",
    sample=sample_rewarded,
    sides=balance_sides,
    control=Control(
        name="mean over responses",
        explanation="The baseline is GRPO's, the mean of the rewards of the responses.",
        sides=lambda group: _balance(group, MEAN),
    ),
    notes=(
        "GRPO's own advantages sum to zero over responses, not over tokens: where right answers "
        "are shorter, all tokens together are pushed down."
    ),
)


class Batch(NamedTuple):
    """A policy with responses of several lengths, the size of a group, and a direction (k,)."""

    policy: Policy
    group: int
    direction: FractionArray


def sample_batch(tape: Tape, size: int) -> Batch:
    """Draw a token tree with an end token, tabular or with shared parameters."""
    policy = small.token_tree(tape, size, shared=bool(tape.integer(0, 1)))
    return Batch(policy, tape.integer(1, 3), small.direction(tape, policy))


def _estimate(batch: Batch, estimator: Estimator) -> Fraction:
    """Return the mean of an estimate along the direction."""
    outcomes = batch.policy.outcomes()
    found = estimator_moments(outcomes, estimator, group_size=batch.group, covariance=False)
    return Fraction(found.mean @ batch.direction)


def _slope(batch: Batch, factors: FractionArray) -> Fraction:
    """Return the derivative of E[(r - V) factors] with V and the factors held fixed."""
    policy = batch.policy
    value = policy.chances(policy.rows) @ policy.rewards
    return policy.slope(batch.direction, (policy.rewards - value) * factors)


def response_sides(batch: Batch) -> tuple[Side, Side]:
    """Return GRPO's mean estimate and the derivative of the expected advantage per token."""
    inverse = Fraction(1) / batch.policy.lengths.astype(object)
    return _estimate(batch, aggregated("response")), _slope(batch, inverse)


def _rescaled(batch: Batch) -> tuple[Side, Side]:
    policy = batch.policy
    inverse = Fraction(1) / policy.lengths.astype(object)
    mean = policy.chances(policy.rows) @ inverse
    return _estimate(batch, aggregated("response")), mean * _slope(batch, 0 * inverse + 1)


RESPONSE = Theorem(
    id="hapo/response-mean-climbs-per-token",
    title="Dividing each response by its length climbs the advantage per token instead",
    source="Derived here, for the normalisation of Shao et al. (2024), equation 3",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_i \frac{r_i - V}{|y_i|}\nabla\log\pi(y_i) = \nabla\,"
        r"\mathbb{E}_{y\sim\pi}\frac{r(y) - b}{|y|}\Big|_{b = V}"
    ),
    hypotheses=(r"$V = J$ the exact value, held fixed in the derivative; token trees",),
    kind="identity",
    sample=sample_batch,
    sides=response_sides,
    control=Control(
        name="the gradient, rescaled",
        explanation=r"The right side is $\nabla J$ times the mean of $1 / |y|$.",
        sides=_rescaled,
    ),
    sizes=(2, 3),
    notes=(
        "At equal reward it prefers short responses above the baseline and long ones below it. "
        "No size of the group removes this."
    ),
    cost=3.0,
)


def reweighting(policy: Policy, group: int) -> FractionArray:
    """Return E[G / (|y| + T)] for each response, T the length of G - 1 others: by convolution."""
    lengths, chances = policy.lengths, policy.chances(policy.rows)
    law = {0: Fraction(1)}
    for _ in range(group - 1):
        longer: dict[int, Fraction] = {}
        for total, mass in law.items():
            for n, chance in zip(lengths, chances, strict=True):
                longer[total + int(n)] = longer.get(total + int(n), Fraction(0)) + mass * chance
        law = longer
    return np.array(
        [sum(m * Fraction(group, int(n) + t) for t, m in law.items()) for n in lengths],
        dtype=object,
    )


def token_sides(batch: Batch) -> tuple[Side, Side]:
    """Return DAPO's mean estimate and the derivative with weights for lengths."""
    right = _slope(batch, reweighting(batch.policy, batch.group))
    return _estimate(batch, aggregated("token")), right


def _own_length_apart(batch: Batch) -> tuple[Side, Side]:
    policy = batch.policy
    even = policy.chances(policy.rows) @ reweighting(policy, batch.group)
    return _estimate(batch, aggregated("token")), even * _slope(batch, policy.rewards * 0 + 1)


TOKEN = Theorem(
    id="hapo/token-mean-reweighs-lengths",
    title="Dividing by the tokens of the group weighs by length too, less in large groups",
    source="Derived here, for the normalisation of Yu et al. (2025), DAPO, and of HAPO",
    statement=(
        r"\mathbb{E}\,\frac{\sum_i (r_i - V)\nabla\log\pi(y_i)}{\sum_j |y_j|} = \nabla\,\mathbb{E}"
        r"_{y\sim\pi}\,(r(y) - b)\,h(|y|)\Big|_{b = V},\qquad h(l) = \mathbb{E}\,\frac{G}"
        r"{l + |y_2| + \dots + |y_G|}"
    ),
    hypotheses=(
        r"$V = J$ the exact value; $y_2, \dots, y_G$ independent; token trees",
        "left by enumeration of groups, right by convolution and dual numbers",
    ),
    kind="identity",
    sample=sample_batch,
    sides=token_sides,
    control=Control(
        name="own length apart",
        explanation=r"$h$ is replaced by its mean, as if it did not fall with the own length.",
        sides=_own_length_apart,
    ),
    sizes=(2, 3),
    notes=(
        r"$h(1) / h(l) \le 1 + (l - 1) / G$, so that the bias vanishes with the size of the group, "
        r"where $1 / |y|$ alone keeps its own. With $G = 1$ both are the same."
    ),
    cost=3.0,
)


class Decided(NamedTuple):
    """Responses that their first token decides: probabilities, rewards and lengths, (n,) each."""

    chances: FractionArray
    rewards: FractionArray
    lengths: FractionArray


def sample_decided(tape: Tape, size: int) -> Decided:
    """Draw a short response that pays a little, rare long ones that cost, and a usual long one."""
    rare = Fraction(1, 2 ** tape.integer(6, 12))
    chances = np.array([rare] * (size - 1) + [1 - (size - 1) * rare], dtype=object)
    little = tape.integer(5, 12)
    paid = [Fraction(1, 2**little), *[Fraction(-1)] * (size - 2), Fraction(0)]
    long = Fraction(2 ** (little + tape.integer(5, 8)))
    rewards = np.array(paid, dtype=object)
    lengths = np.array([Fraction(1)] + [long] * (size - 1), dtype=object)
    return Decided(chances, rewards, lengths)


def decided_outcomes(decided: Decided) -> Outcomes:
    """Return the outcomes of a tabular softmax policy at the first token."""
    policy = small.bandit_of(decided.chances, decided.rewards)
    return replace(policy.outcomes(), lengths=decided.lengths.astype(np.int64))


def _turned(decided: Decided, estimator: Estimator) -> tuple[Side, Side]:
    found = estimator_moments(decided_outcomes(decided), estimator, covariance=False)
    product = found.mean @ found.gradient
    lengths = (found.mean @ found.mean) * (found.gradient @ found.gradient)
    return join(lengths / 4, product), join(product**2, Fraction(0))


def turned_sides(decided: Decided) -> tuple[Side, Side]:
    """Return what shows that the mean estimate and the gradient are over 120 degrees apart."""
    return _turned(decided, aggregated("response"))


TURNED = Theorem(
    id="hapo/response-mean-turns-back",
    title="Dividing by lengths can turn the mean gradient by more than 120 degrees",
    source="Derived here, for the normalisation of Shao et al. (2024), equation 3",
    statement=(
        r"\exists:\quad \tfrac14\,\|\nabla J\|^2\,\|\mathbb{E}\hat g\|^2 < \langle \nabla J, "
        r"\mathbb{E}\hat g\rangle^2,\quad \langle \nabla J, \mathbb{E}\hat g\rangle < 0,\qquad "
        r"\hat g = \frac{r - V}{|y|}\nabla\log\pi(y)"
    ),
    hypotheses=(
        r"one prompt, a table of logits, $V = J$ the exact value; the first token decides, the "
        "others are certain",
    ),
    kind="counterexample",
    sample=sample_decided,
    sides=turned_sides,
    control=Control(
        name="constant divisor",
        explanation="Each response is divided by the same number, as in Dr. GRPO.",
        sides=lambda decided: _turned(decided, aggregated("group")),
    ),
    sizes=(4, 5),
    notes=(
        "The true gradient lifts the usual answer over rare bad ones. A short answer that pays a "
        "little more counts in full, the long ones hardly at all: the estimate lifts it against "
        r"all others. With $n$ answers the cosine goes down to $-\sqrt{(n-2)/(2(n-1))}$. An exact "
        "baseline does not help, nor does the size of the group."
    ),
    sharpness=0.66,
    cost=2.0,
)


THEOREMS = (BALANCE, RESPONSE, TOKEN, TURNED)
