r"""Down-sampling by variance: which subsets have most, what they keep, what becomes of the mean.

Every side is a Fraction. Subsets are enumerated here; the public function sorts.
"""

from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo import d3s
from rltheory.theory import estimator_instances as small
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Pool(NamedTuple):
    """Values (n,) and how many of them to keep."""

    values: FractionArray
    size: int


def variance(values: FractionArray) -> Fraction:
    """Return the population variance of an array of Fractions."""
    mean = values.sum() / len(values)
    return Fraction(((values - mean) ** 2).sum() / len(values))


def _levels(tape: Tape, count: int) -> FractionArray:
    """Draw values: halves at both ends, few levels, or uneven ones."""
    kind = tape.integer(0, 2)
    if kind == 0:
        ends = [Fraction(i % 2) for i in range(count)]
        return np.array(ends, dtype=object)
    if kind == 1:
        return to_fractions(tape.dyadic(count, 0.0, 1.0, bits=1))
    return to_fractions(tape.dyadic(count, -1.0, 1.0, bits=6) ** 3)


def sample_pool(tape: Tape, size: int) -> Pool:
    """Draw values, not all equal, and a number to keep."""
    count = size + tape.integer(0, 2)
    return Pool(_levels(tape, count), tape.integer(2, count))


def _differ(pool: Pool) -> bool:
    return bool(pool.values.min() < pool.values.max())


def best_variance(pool: Pool) -> Fraction:
    """Return the largest variance among all subsets of the size."""
    return max(variance(np.array(c)) for c in combinations(pool.values, pool.size))


def subset_sides(pool: Pool) -> tuple[Side, Side]:
    """Return the largest variance by enumeration and that of the public function's subset."""
    found = d3s.largest_variance_subset(*pool)
    own = variance(pool.values[found.indices])
    best = best_variance(pool)
    return join(best, best), join(own, Fraction(found.variance))


def _halves(pool: Pool) -> tuple[Side, Side]:
    ordered, low = np.sort(pool.values), pool.size // 2
    chosen = np.concatenate([ordered[:low], ordered[len(ordered) - pool.size + low :]])
    return best_variance(pool), variance(chosen)


SUBSET = Theorem(
    id="d3s/extremes-have-most-variance",
    title="Some number of the smallest values with the largest ones has most variance",
    source="Xu, Savani, Fang and Kolter (2025), Lemma 3.1; Wang et al. (2025), D3S",
    statement=(
        r"\max_{|S| = k} \operatorname{Var}(r_S) = \max_{0 \le i \le k} \operatorname{Var}\bigl("
        r"r_{(1)}, \dots, r_{(i)}, r_{(n-k+i+1)}, \dots, r_{(n)}\bigr)"
    ),
    hypotheses=(r"any values, $2 \le k \le n$; $r_{(j)}$ in increasing order",),
    kind="identity",
    sample=sample_pool,
    sides=subset_sides,
    admissible=_differ,
    control=Control(
        name="half and half",
        explanation="As many of the smallest as of the largest values, whatever their distances.",
        sides=_halves,
    ),
    sizes=(3, 4, 6),
    notes=(
        "Variance is convex in every member, so that one inside can be exchanged for one at an "
        "end. Found in one sort. Half and half is best for two values of which there are enough."
    ),
    cost=1.5,
)


def _kept(pool: Pool, share: Fraction) -> tuple[Side, Side]:
    return share * variance(pool.values), best_variance(pool)


def kept_sides(pool: Pool) -> tuple[Side, Side]:
    """Return the share of the variance of all that is promised, and the best subset's."""
    return _kept(pool, d3s.variance_kept_at_least(pool.size))


KEPT = Theorem(
    id="d3s/variance-kept",
    title="The best subset keeps all of the variance, or all but one part in the squared odd size",
    source=(
        "Wang et al. (2025), D3S, Lemma 1, which has no correction for odd sizes; corrected and "
        "proved here"
    ),
    statement=(
        r"\Bigl(1 - \frac{k \bmod 2}{k^2}\Bigr)\operatorname{Var}(r) \;\le\; \max_{|S| = k} "
        r"\operatorname{Var}(r_S)"
    ),
    hypotheses=(r"any $n$ values, $2 \le k \le n$; population variances, divided by $n$ and $k$",),
    kind="inequality",
    sample=sample_pool,
    sides=kept_sides,
    admissible=_differ,
    control=Control(
        name="at least as much for odd sizes",
        explanation="The lemma as stated: normalised advantages have a subset of variance 1.",
        sides=lambda pool: _kept(pool, Fraction(1)),
    ),
    sizes=(3, 4, 6),
    notes=(
        r"Attained by half of the values at each of two points. Proof: leaving out the value "
        r"nearest to the mean does not lower the variance unless all $n$ lie further from it than "
        r"$\sigma\sqrt{1 - 1/n}$, which needs $n$ even with as many above as below; then leaving "
        r"out the nearest on each side does not, and the nearest alone costs at most one part in "
        r"$(n-1)^2$. With sums of squares divided by $n - 1$ and $k - 1$ the lemma holds as "
        r"stated, as a random subset has the variance of all on average."
    ),
    sharpness=0.999,
    cost=1.5,
)


class Sampled(NamedTuple):
    """A bandit, the number of responses in a group and of those kept."""

    policy: Policy
    group: int
    kept: int


def sample_sampled(tape: Tape, size: int, *, binary: bool = True) -> Sampled:
    """Draw a bandit with rewards 0 and 1, groups of up to four."""
    policy = small.bandit(tape, size, shared=bool(tape.integer(0, 1)), binary=binary)
    if binary:
        # One right and one wrong answer at least.
        policy = policy._replace(rewards=to_fractions([1, 0, *policy.rewards[2:]]))
    group = tape.integer(2, 4)
    return Sampled(policy, group, tape.integer(2, group))


def _rewards_vary(sampled: Sampled) -> bool:
    rewards = sampled.policy.rewards
    return bool(rewards.min() < rewards.max())


def scale_sides(sampled: Sampled) -> tuple[Side, Side]:
    """Return the mean estimate times Var(r), by all groups, and E Var(r_S) times the gradient."""
    policy, group, kept = sampled
    outcomes = policy.outcomes()
    members = small.ordered_groups(len(policy.rewards), group)
    best = [d3s.largest_variance_subset(policy.rewards[m], kept).variance for m in members]
    chances = np.prod(outcomes.probabilities[members], axis=1)
    spread = outcomes.probabilities @ (outcomes.rewards - outcomes.value) ** 2
    mean = small.mean(outcomes, d3s.down_sampled(kept), group)
    return spread * mean, (chances @ to_fractions(best)) * outcomes.gradient


SCALE = Theorem(
    id="d3s/binary-rewards-rescale",
    title="With rewards 0 and 1 down-sampling changes the length of the mean gradient, no more",
    source="Derived here, for the methods of Xu et al. (2025) and Wang et al. (2025)",
    statement=(
        r"\mathbb{E}\,\hat g_S = \frac{\mathbb{E}\operatorname{Var}(r_S)}{\operatorname{Var}(r)}"
        r"\,\nabla J,\qquad \hat g_S = \frac{1}{k}\sum_{i \in S} (r_i - \bar r_S)\,"
        r"\nabla\log\pi(y_i)"
    ),
    hypotheses=(
        r"one prompt, rewards 0 and 1, $G$ independent responses; $S$ of largest variance among "
        r"$k \le G$",
        r"population variances, $\operatorname{Var}(r) = J(1-J)$; which of equal rewards are kept "
        "does not depend on the responses",
    ),
    kind="identity",
    sample=sample_sampled,
    sides=scale_sides,
    admissible=_rewards_vary,
    control=Control(
        name="more than two rewards",
        explanation="Rewards are any numbers; then the subset also turns the gradient.",
        sample=lambda tape, size: sample_sampled(tape, size, binary=False),
    ),
    sizes=(2, 3),
    notes=(
        r"For $k = G$ it is the factor $1 - 1/G$ of the group mean. The factor differs from prompt "
        "to prompt: over several prompts the direction changes as well, towards prompts whose "
        "subsets can be balanced most often."
    ),
    cost=4.0,
)


THEOREMS = (SUBSET, KEPT, SCALE)
