"""The variance-optimal baseline: that it is optimal, by how much, and where the mean reward is not.

Everything is a finite sum of Fractions over the responses of small softmax policies.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.estimators.baselines import (
    coordinate_baselines,
    global_baseline,
    optimal_baseline,
    optimal_baselines,
)
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy, baseline_variance
from rltheory.theory.exact import fractions, join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SAMPLED = (
    "bandits, contextual bandits and trees of tokens; tabular softmax, or logits linear in two "
    "shared parameters"
)


class Offered(NamedTuple):
    """A policy and baselines (m,) that compete with the optimal ones."""

    policy: Policy
    baselines: FractionArray


def sample_offered(tape: Tape, size: int) -> Offered:
    """Draw a policy and baselines, half of the time close to the optimal ones."""
    policy = models.any_policy(tape, size)
    found = fractions(tape.dyadic(len(policy.weights), -1.0, 1.0, bits=3))
    if tape.integer(0, 1):
        found = optimal_baselines(policy.outcomes()) + found / 2 ** tape.integer(2, 12)
    return Offered(policy, np.asarray(found))


def optimal_sides(offered: Offered) -> tuple[Side, Side]:
    """Return the variance with the optimal baselines and with the others."""
    outcomes = offered.policy.outcomes()
    best = baseline_variance(outcomes, optimal_baselines(outcomes))
    return best, baseline_variance(outcomes, offered.baselines)


def _mean_against(offered: Offered) -> tuple[Side, Side]:
    outcomes = offered.policy.outcomes()
    mean = baseline_variance(outcomes, outcomes.values)
    return mean, baseline_variance(outcomes, offered.baselines)


OPTIMAL = Theorem(
    id="oblr/optimal-baseline",
    title="No baseline of the prompt has less variance than the gradient-weighted mean reward",
    source="Greensmith, Bartlett and Baxter (2004), Theorem 8; Huang, Sheng and Zheng (2025)",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}\bigl(g\,(r - b^*(x))\bigr) \le \operatorname{tr}"
        r"\operatorname{Cov}\bigl(g\,(r - b(x))\bigr),\qquad b^*(x) = "
        r"\frac{\mathbb{E}[\|g\|^2 r|x]}{\mathbb{E}[\|g\|^2|x]}"
    ),
    hypotheses=(r"$b(x)$ any number", _SAMPLED),
    kind="inequality",
    sample=sample_offered,
    sides=optimal_sides,
    control=Control(
        name="the mean reward is optimal",
        explanation=r"The expected reward $\mathbb{E}[r|x]$ takes the place of $b^*(x)$.",
        sides=_mean_against,
    ),
    sharpness=0.999999,
)


def _gap(offered: Offered, centre: FractionArray) -> tuple[Side, Side]:
    outcomes = offered.policy.outcomes()
    away = offered.baselines - centre
    excess = outcomes.weights @ (away * away * models.energies(outcomes))
    least = baseline_variance(outcomes, optimal_baselines(outcomes))
    return baseline_variance(outcomes, offered.baselines), least + excess


def gap_sides(offered: Offered) -> tuple[Side, Side]:
    """Return the variance with any baselines, and the least one plus the parabola."""
    return _gap(offered, optimal_baselines(offered.policy.outcomes()))


GAP = Theorem(
    id="oblr/baseline-gap",
    title="What a baseline loses is a parabola around the optimal one",
    source="Greensmith, Bartlett and Baxter (2004), Theorem 8",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}\bigl(g(r-b(x))\bigr) = \operatorname{tr}"
        r"\operatorname{Cov}\bigl(g(r-b^*(x))\bigr) + \mathbb{E}_x\,(b(x)-b^*(x))^2\,"
        r"\mathbb{E}[\|g\|^2|x]"
    ),
    hypotheses=(r"$b(x)$ any number", _SAMPLED),
    kind="identity",
    sample=sample_offered,
    sides=gap_sides,
    control=Control(
        name="around the mean reward",
        explanation=r"The parabola is centred at $\mathbb{E}[r|x]$.",
        sides=lambda offered: _gap(offered, offered.policy.outcomes().values),
    ),
)


def coordinate_variance(outcomes: Outcomes) -> Fraction:
    """Return the variance with the optimal baseline of each prompt and coordinate."""
    baselines = coordinate_baselines(outcomes)[outcomes.prompt_of]
    vectors = (outcomes.rewards[:, None] - baselines) * outcomes.scores
    middle = vectors.T @ outcomes.joint
    result: Fraction = outcomes.joint @ (vectors * vectors).sum(axis=1) - middle @ middle
    return result


def _ladder(policy: Policy) -> list[Fraction]:
    """Return the variances from most to least baselines: coordinates, prompts, one, none."""
    outcomes = policy.outcomes()
    prompts = len(outcomes.weights)
    one = np.array([global_baseline(outcomes)] * prompts, dtype=object)
    return [
        coordinate_variance(outcomes),
        baseline_variance(outcomes, optimal_baselines(outcomes)),
        baseline_variance(outcomes, one),
        baseline_variance(outcomes, 0 * one),
    ]


def sample_policy(tape: Tape, size: int) -> Policy:
    """Draw a contextual bandit, or any small policy."""
    if tape.integer(0, 1):
        return models.contextual(tape, 2, size, shared=bool(tape.integer(0, 1)))
    return models.any_policy(tape, size)


def ladder_sides(policy: Policy) -> tuple[Side, Side]:
    """Return the chain of four variances as pairs of neighbours."""
    rungs = _ladder(policy)
    return join(*rungs[:-1]), join(*rungs[1:])


def _value_on_the_ladder(policy: Policy) -> tuple[Side, Side]:
    outcomes = policy.outcomes()
    return baseline_variance(outcomes, outcomes.values), _ladder(policy)[2]


LADDER = Theorem(
    id="oblr/ladder-of-baselines",
    title="Baselines by coordinate, by prompt, one for all, none: each rung has more variance",
    source="Peters and Schaal (2008) for coordinates; derived here for prompts",
    statement=(
        r"V(b^*_j(x)) \le V(b^*(x)) \le V(b^*) \le V(0),\qquad b^*_j(x) = "
        r"\frac{\mathbb{E}[g_j^2 r|x]}{\mathbb{E}[g_j^2|x]},\; b^* = "
        r"\frac{\mathbb{E}\|g\|^2 r}{\mathbb{E}\|g\|^2}"
    ),
    hypotheses=(r"$V(b) = \operatorname{tr}\operatorname{Cov}(g(r-b))$", _SAMPLED),
    kind="inequality",
    sample=sample_policy,
    sides=ladder_sides,
    control=Control(
        name="expected rewards on the second rung",
        explanation=(
            r"The expected reward of each prompt is claimed to be no worse than one optimal number "
            "for all prompts."
        ),
        sides=_value_on_the_ladder,
    ),
    sharpness=0.999999,
)


def sample_rare(tape: Tape, size: int) -> tuple[Fraction, Fraction]:
    """Draw a factor that grows with the size, and a probability small enough for it."""
    factor = Fraction(2 ** tape.integer(1, 4 * size))
    return factor, 1 / (factor + 2 + Fraction(1, 64))


def _with_and_without(probability: Fraction, factor: Fraction) -> tuple[Side, Side]:
    """Return the variance without a baseline times the factor, and with the expected reward."""
    chances = np.array([1 - probability, probability], dtype=object)
    outcomes = models.bandit_of(chances, fractions(np.array([1.0, 0.0]))).outcomes()
    none = baseline_variance(outcomes, 0 * outcomes.values)
    return factor * factor * none, baseline_variance(outcomes, outcomes.values)


def value_sides(instance: tuple[Fraction, Fraction]) -> tuple[Side, Side]:
    """Return the two variances of a policy that is nearly sure of the right answer."""
    factor, probability = instance
    return _with_and_without(probability, factor)


def _even(instance: tuple[Fraction, Fraction]) -> tuple[Side, Side]:
    return _with_and_without(Fraction(1, 2), instance[0])


VALUE_HURTS = Theorem(
    id="oblr/expected-reward-can-hurt",
    title="The expected reward as baseline can have any multiple of the variance of none at all",
    source="Derived here",
    statement=(
        r"\forall C\;\exists\,\pi:\quad C^2\operatorname{tr}\operatorname{Cov}(g\,r) \;<\; "
        r"\operatorname{tr}\operatorname{Cov}\bigl(g\,(r - \mathbb{E}r)\bigr)"
    ),
    hypotheses=(
        "the instance: two answers, the right one pays 1 and has probability "
        r"$1 - 1/(C + 2 + \frac{1}{64})$",
    ),
    kind="separation",
    sample=sample_rare,
    sides=value_sides,
    control=Control(
        name="an undecided policy",
        explanation="Both answers have probability one half, where the expected reward is optimal.",
        sides=_even,
    ),
    notes=(
        r"Both are parabolas around $b^* = \epsilon$, the chance of the wrong answer, so the ratio "
        r"is $((1 - 2\epsilon)/\epsilon)^2$. A policy that has nearly learnt is disturbed by the "
        "baseline that helped it on the way."
    ),
    sharpness=0.98,
)


def sample_two_arms(tape: Tape, size: int) -> Policy:
    """Draw a bandit with two arms; one parameter or two, any features."""
    return models.bandit(tape, 2, shared=bool(tape.integer(0, 1)))


def _every_sample(policy: Policy, baseline: Fraction) -> tuple[Side, Side]:
    outcomes = policy.outcomes()
    estimates = (outcomes.rewards - baseline)[:, None] * outcomes.scores
    return estimates, np.stack([outcomes.gradient, outcomes.gradient])


def two_arm_sides(policy: Policy) -> tuple[Side, Side]:
    """Return what is estimated from either arm (2, k), and the gradient twice."""
    outcomes = policy.outcomes()
    best = optimal_baseline(
        probabilities=outcomes.probabilities, scores=outcomes.scores, rewards=outcomes.rewards
    )
    return _every_sample(policy, best)


TWO_ARMS = Theorem(
    id="oblr/two-answers-without-noise",
    title="With two answers the optimal baseline leaves no noise at all",
    source="Derived here",
    statement=(
        r"g(y)\,(r(y) - b^*) = \nabla J\ \text{ for both } y,\qquad b^* = \pi_2 r_1 + \pi_1 r_2"
    ),
    hypotheses=("a softmax policy over two answers, logits any functions of the parameters",),
    kind="identity",
    sample=sample_two_arms,
    sides=two_arm_sides,
    control=Control(
        name="expected reward",
        explanation=r"The baseline is $\pi_1 r_1 + \pi_2 r_2$.",
        sides=lambda policy: _every_sample(policy, policy.outcomes().value),
    ),
    notes="The chances change places: each reward is weighted by the probability of the other.",
)


THEOREMS = (OPTIMAL, GAP, LADDER, VALUE_HURTS, TWO_ARMS)
