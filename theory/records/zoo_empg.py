"""EMPG: norms of scores and entropies, and what modulated advantages do to the gradient."""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.rational import FractionArray
from rltheory.analysis.zoo.empg import expected_squared_score
from rltheory.theory import balls, exact
from rltheory.theory.balls import precise
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SOURCE = 'Wang et al. (2025), "Harnessing Uncertainty"'


def code_lengths(tape: Tape, count: int) -> list[int]:
    """Draw integers k whose 2^-k sum to 1: probabilities with rational entropies in bits."""
    lengths = [0]
    while len(lengths) < count:
        at = tape.integer(0, len(lengths) - 1)
        lengths[at : at + 1] = [lengths[at] + 1] * 2
    return lengths


def powers(lengths: list[int]) -> FractionArray:
    """Return the probabilities 2^-k."""
    return fractions([Fraction(1, 2**k) for k in lengths])


def sample_policy(tape: Tape, size: int) -> FractionArray:
    """Draw a distribution over `size` actions, sparse or concentrated ones included."""
    return fractions(tape.simplex(size))


def score_outcomes(policy: FractionArray) -> Outcomes:
    """Return the actions of a softmax policy with their scores by the logits, in Fractions."""
    scores = exact.identity(len(policy)) - policy[None]
    return Outcomes(probabilities=policy, scores=scores, rewards=0 * policy)


def score_sides(policy: FractionArray) -> tuple[Side, Side]:
    """Return the expected squared norm of the score by enumeration, and 1 - sum p^2."""
    outcomes = score_outcomes(policy)
    return policy @ outcomes.squared_norms, expected_squared_score(policy)


def _entropy(policy: FractionArray) -> Any:
    support = balls.balls(policy[policy > 0])
    return -(support * balls.log(support)).sum()


@precise
def _by_shannon(policy: FractionArray) -> tuple[Side, Side]:
    left, _ = score_sides(policy)
    return left, balls.to_bounds(1 - (-_entropy(policy)).exp())


SCORE = Theorem(
    id="empg/score-norm-is-renyi",
    title="How large scores are is how large the Renyi entropy of order two is",
    source=f"{_SOURCE}, Proposition 1",
    statement=(
        r"\mathbb{E}_{a\sim\pi}\,\|\nabla_z\log\pi(a)\|^2 = 1 - \sum_a \pi(a)^2 = 1 - e^{-H_2(\pi)}"
    ),
    hypotheses=(r"$\pi = \operatorname{softmax}(z)$, one logit for each action",),
    kind="identity",
    sample=sample_policy,
    sides=score_sides,
    control=Control(
        name="Shannon entropy",
        explanation=r"The entropy of order two is replaced by Shannon's, $1 - e^{-H_1}$.",
        sides=_by_shannon,
    ),
)


def two_codes(tape: Tape, size: int) -> tuple[list[int], list[int]]:
    """Return (1/2, eight of 1/16) and four of 1/4."""
    return [1] + [4] * 8, [2] * 4


def _ordered(first: list[int], second: list[int]) -> tuple[Side, Side]:
    """Return (entropy in bits of the second, E of the first) and the same exchanged."""
    bits = [sum(Fraction(k, 2**k) for k in lengths) for lengths in (first, second)]
    norms = [expected_squared_score(powers(lengths))[()] for lengths in (first, second)]
    return exact.join(bits[1], norms[0]), exact.join(bits[0], norms[1])


ORDERS = Theorem(
    id="empg/shannon-orders-otherwise",
    title="Larger Shannon entropy may come with smaller scores",
    source="Derived here",
    statement=(
        r"\exists\,\pi, \pi':\quad H_1(\pi') < H_1(\pi)\ \text{ and }\ \mathbb{E}_\pi\|\nabla\log"
        r"\pi\|^2 < \mathbb{E}_{\pi'}\|\nabla\log\pi'\|^2"
    ),
    hypotheses=(
        r"the instance: $\pi = (\frac12, \frac1{16}, \ldots, \frac1{16})$ of nine actions with "
        r"$\frac52$ bits and $\frac{23}{32}$, $\pi'$ uniform on four actions with 2 bits and "
        r"$\frac{24}{32}$",
    ),
    kind="counterexample",
    sample=two_codes,
    sides=lambda codes: _ordered(*codes),
    control=Control(
        name="uniform policies",
        explanation="Both policies are uniform, on eight and on four actions: the orders agree.",
        sides=lambda codes: _ordered([3] * 8, codes[1]),
    ),
    notes="So the norm of the gradient is no function of the entropy that methods measure.",
    sharpness=0.95,
)


@precise
def shannon_sides(policy: FractionArray) -> tuple[Side, Side]:
    """Return the expected squared score and 1 - exp(-H_1)."""
    return _by_shannon(policy)


def uneven(policy: FractionArray) -> bool:
    """Whether not all actions in use are equally likely; the sides meet where they are."""
    return len({p for p in policy if p}) > 1


def _likeliest(policy: FractionArray) -> tuple[Side, Side]:
    return score_sides(policy)[0], 1 - policy.max()


BOUND = Theorem(
    id="empg/shannon-bounds-scores",
    title="Shannon entropy bounds the size of scores",
    source="Derived here, by Jensen's inequality",
    statement=r"\mathbb{E}_{a\sim\pi}\,\|\nabla_z\log\pi(a)\|^2 \le 1 - e^{-H_1(\pi)}",
    hypotheses=("softmax policies, not uniform on the actions in use: there both sides are equal",),
    kind="inequality",
    sample=sample_policy,
    sides=shannon_sides,
    admissible=uneven,
    control=Control(
        name="the likeliest action",
        explanation=r"The bound is the probability $1 - \max_a \pi(a)$ of all other actions.",
        sides=_likeliest,
    ),
    notes=(
        "What is left of the relation between gradients and entropy: low entropy forces small "
        "scores, high entropy does not force large ones."
    ),
    sharpness=0.999,
)


class Modulated(NamedTuple):
    """Policies of the root and of the rows after it, rewards (A, A), weights of rows and choices.

    policies: (A + 1, A); modulation: (A + 1,) of the rows; following: (A + 1, A) of the choices.
    """

    policies: FractionArray
    rewards: FractionArray
    modulation: FractionArray
    following: FractionArray


def sample_modulated(tape: Tape, size: int) -> Modulated:
    """Draw two choices in a row; half of the time all rows are weighed alike."""
    policies = fractions(tape.simplex((size + 1, size)))
    rewards = fractions(tape.dyadic((size, size), -1, 1))
    weights = fractions(tape.dyadic(size + 1, 2.0**-6, 4))
    if tape.integer(0, 1):
        weights = 0 * weights + weights[0]
    following = fractions(tape.dyadic((size + 1, size), 2.0**-6, 4))
    return Modulated(policies, rewards, weights, following)


def two_choices(instance: Modulated) -> tuple[FractionArray, FractionArray, FractionArray]:
    """Return probabilities (n,), rewards (n,) and scores (n, 2, rows, A) of all responses."""
    policies, rewards = instance.policies, instance.rewards
    size = len(rewards)
    first, second = (x.ravel() for x in np.indices((size, size)))
    scores = np.full((size * size, 2, size + 1, size), Fraction(0), dtype=object)
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        for time, row, action in ((0, 0, int(a)), (1, 1 + int(a), int(b))):
            scores[i, time, row] = -policies[row]
            scores[i, time, row, action] += 1
    return policies[0, first] * policies[1 + first, second], rewards.ravel(), scores


def _ascent(instance: Modulated, weights: FractionArray) -> tuple[Side, Side]:
    """Return the least weight times the squared gradient, and the gradient times the update."""
    chances, rewards, scores = two_choices(instance)
    raw = rewards[:, None] * weights
    # The batch mean that is subtracted: every response has two choices.
    modulated = raw - (chances @ raw).sum() / 2
    gradient = ((chances * rewards)[:, None, None] * scores.sum(axis=1)).sum(axis=0)
    update = ((chances[:, None] * modulated)[:, :, None, None] * scores).sum(axis=(0, 1))
    return weights.min() * (gradient**2).sum(), (gradient * update).sum()


def _visited(instance: Modulated) -> FractionArray:
    size = len(instance.rewards)
    first = np.repeat(np.arange(size), size)
    return np.stack([instance.modulation[0 * first], instance.modulation[1 + first]], axis=1)


def ascent_sides(instance: Modulated) -> tuple[Side, Side]:
    """Return both sides with weights that depend on the row of the choice."""
    return _ascent(instance, _visited(instance))


def _by_choice(instance: Modulated) -> tuple[Side, Side]:
    first, second = (x.ravel() for x in np.indices(instance.rewards.shape))
    weights = [instance.following[0, first], instance.following[1 + first, second]]
    return _ascent(instance, np.stack(weights, axis=1))


ASCENT = Theorem(
    id="empg/modulated-step-ascends",
    title="Modulating advantages by the entropy of the step keeps an ascent direction",
    source=f"{_SOURCE}, for the update; derived here",
    statement=(
        r"\langle \nabla J, U\rangle \ge \min_s g(s)\,\|\nabla J\|^2,\qquad U = \mathbb{E}"
        r"\sum_t \bigl(R\,g(s_t) - b\bigr)\nabla\log\pi(y_t|s_t),\quad b = \mathbb{E}\,\tfrac1T"
        r"\sum_t R\,g(s_t)"
    ),
    hypotheses=(
        r"tabular softmax at every prefix $s$; $g > 0$ is any function of the prefix, as that of "
        "its entropy is; $b$ is the mean over the batch",
        "all responses of two choices are enumerated",
    ),
    kind="inequality",
    sample=sample_modulated,
    sides=ascent_sides,
    control=Control(
        name="a function of the choice",
        explanation=(
            r"$g$ depends on what was chosen too, as the entropy of the step that follows does."
        ),
        sides=_by_choice,
    ),
    notes=(
        "Each prefix's part of the gradient is scaled by its own weight, and the batch mean drops "
        "out. The bonus for leading to a step of low entropy is the control's kind: it changes "
        "the objective."
    ),
    sizes=(2, 3),
    sharpness=0.999,
    cost=2.0,
)


THEOREMS = (SCORE, ORDERS, BOUND, ASCENT)
