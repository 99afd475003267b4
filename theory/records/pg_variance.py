"""Exact variances of policy-gradient estimators, and what an estimated baseline adds to them.

The variance of an estimate is the trace of its covariance. One side sums over all groups, one by
one; the other is a formula in expectations over single responses.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.estimators.weights import (
    LEAVE_ONE_OUT,
    OBLR,
    VALUE,
    Estimator,
)
from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions
from rltheory.theory.records.pg_unbiased import Probe, sample_probe
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SAMPLED = (
    "bandits, contextual bandits and trees of tokens; tabular softmax, or logits linear in two "
    "shared parameters"
)


class Batch(NamedTuple):
    """A policy, baselines (m,) of the prompts, and how many prompts and responses to each."""

    policy: Policy
    baselines: FractionArray
    prompts: int
    group: int


class Single(NamedTuple):
    """A policy with one prompt and a group size."""

    policy: Policy
    group: int


def sample_batch(tape: Tape, size: int) -> Batch:
    """Draw at most two prompts with at most two responses each, from few outcomes."""
    policy = models.contextual(tape, 2, 2, shared=bool(tape.integer(0, 1)))
    baselines = fractions(tape.dyadic(2, -1.0, 1.0, bits=3))
    prompts, group = tape.choice([(1, 1), (2, 1), (1, 2), (2, 2)])
    return Batch(policy, baselines, prompts, group)


def batch_variance(
    outcomes: Outcomes, baselines: FractionArray, prompts: int, group: int
) -> Fraction:
    """Return the variance of the average over prompts, by all batches of prompts and groups."""
    chances, found = [], []
    for x, weight in enumerate(outcomes.weights):
        probabilities, values = models.estimates(outcomes, VALUE, x, group, baselines)
        chances.append(weight * probabilities)
        found.append(values)
    single_chance, single = np.concatenate(chances), np.concatenate(found)
    members = models.ordered_groups(len(single), prompts)
    weights = np.prod(single_chance[members], axis=1)
    averages = single[members].sum(axis=1) / Fraction(prompts)
    middle = weights @ averages
    result: Fraction = weights @ (averages * averages).sum(axis=1) - middle @ middle
    return result


def _pieces(batch: Batch) -> tuple[Outcomes, Fraction, FractionArray, FractionArray]:
    """Return outcomes, E ||g||^2 (r - b)^2, gradients (m, k) of the prompts and of J (k,)."""
    outcomes = batch.policy.outcomes()
    away = outcomes.rewards - batch.baselines[outcomes.prompt_of]
    square = outcomes.joint @ (outcomes.squared_norms * away * away)
    gradients = models.prompt_gradients(outcomes)
    return outcomes, square, gradients, outcomes.weights @ gradients


def _independent(batch: Batch, signal: int) -> tuple[Side, Side]:
    outcomes, square, _, gradient = _pieces(batch)
    found = batch_variance(outcomes, batch.baselines, batch.prompts, 1)
    return found, (square - signal * (gradient @ gradient)) / batch.prompts


def independent_sides(batch: Batch) -> tuple[Side, Side]:
    """Return the variance by enumeration and by the formula, one response to each prompt."""
    return _independent(batch, 1)


INDEPENDENT = Theorem(
    id="oblr/variance-of-a-batch",
    title="The exact variance of a batch of independent samples",
    source="Huang, Sheng and Zheng (2025), abstract: exact expressions; derived here",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}\Bigl(\frac1N\sum_{n\le N} g_n\,(r_n - b(x_n))\Bigr) "
        r"= \frac1N\Bigl(\mathbb{E}\,\|g\|^2\,(r - b(x))^2 - \|\nabla J\|^2\Bigr)"
    ),
    hypotheses=(
        r"$N \le 2$ independent pairs of prompt and response, $b(x)$ any number",
        "two prompts with two responses each, logits of their own or linear in shared parameters",
    ),
    kind="identity",
    sample=sample_batch,
    sides=independent_sides,
    control=Control(
        name="second moment",
        explanation=(
            r"$\|\nabla J\|^2$ is left out: harmless for finding a baseline, wrong for the noise."
        ),
        sides=lambda batch: _independent(batch, 0),
    ),
    cost=2.0,
)


def _nested(batch: Batch, *, all_independent: bool) -> tuple[Side, Side]:
    outcomes, square, gradients, gradient = _pieces(batch)
    each = outcomes.weights @ (gradients * gradients).sum(axis=1)
    within, between = square - each, each - gradient @ gradient
    if all_independent:
        between = between / batch.group
    found = batch_variance(outcomes, batch.baselines, batch.prompts, batch.group)
    return found, (within / batch.group + between) / batch.prompts


def nested_sides(batch: Batch) -> tuple[Side, Side]:
    """Return the variance of N prompts with G responses each, by enumeration and formula."""
    return _nested(batch, all_independent=False)


NESTED = Theorem(
    id="oblr/variance-within-and-between",
    title="Responses share their prompt: noise within it falls with G, noise between does not",
    source="Huang, Sheng and Zheng (2025), abstract: exact expressions; law of total variance",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}(\hat g) = \frac1N\Bigl(\frac1G\,\mathbb{E}_x"
        r"\bigl[\mathbb{E}[\|g\|^2(r-b(x))^2|x] - \|\nabla v(x)\|^2\bigr] + \mathbb{E}_x"
        r"\|\nabla v(x)\|^2 - \|\nabla J\|^2\Bigr)"
    ),
    hypotheses=(
        r"$N \le 2$ independent prompts, $G \le 2$ independent responses to each; "
        r"$v(x) = \mathbb{E}[r|x]$",
        "two prompts with two responses each, logits of their own or linear in shared parameters",
    ),
    kind="identity",
    sample=sample_batch,
    sides=nested_sides,
    control=Control(
        name="NG independent samples",
        explanation=r"The noise between prompts is divided by $G$ as well.",
        sides=lambda batch: _nested(batch, all_independent=True),
    ),
    cost=4.0,
)


def sample_single(tape: Tape, size: int) -> Single:
    """Draw a policy with one prompt and a group of 2 or 3, from two responses of up to 4."""
    shared = bool(tape.integer(0, 1))
    if tape.integer(0, 1):
        policy = models.token_tree(tape, size - 1, shared=shared)
    else:
        policy = models.bandit(tape, size, shared=shared)
    return Single(policy, tape.integer(2, 4 if size == 2 else 3))


def _spread(outcomes: Outcomes) -> Fraction:
    """Return the variance of the reward of a single prompt."""
    away = outcomes.rewards - outcomes.value
    result: Fraction = outcomes.joint @ (away * away)
    return result


def _left_out(single: Single, signal: int) -> tuple[Side, Side]:
    outcomes, size = single.policy.outcomes(), single.group
    known = models.baseline_variance(outcomes, outcomes.values) / size
    gradient = outcomes.gradient
    noise = _spread(outcomes) * models.energies(outcomes)[0] + signal * (gradient @ gradient)
    return (
        models.variance(outcomes, LEAVE_ONE_OUT, size),
        known + noise / (size * (size - 1)),
    )


def left_out_sides(single: Single) -> tuple[Side, Side]:
    """Return the variance of leave-one-out by enumeration and by its closed form."""
    return _left_out(single, 1)


LEFT_OUT = Theorem(
    id="estimators/leave-one-out-variance",
    title="What leave-one-out pays for not knowing the expected reward, exactly",
    source="Derived here",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}(\hat g_{\mathrm{RLOO}}) = \frac1G\Bigl(\mathbb{E}"
        r"\|g\|^2(r-v)^2 - \|\nabla J\|^2\Bigr) + \frac{\operatorname{Var}(r)\,\mathbb{E}\|g\|^2 + "
        r"\|\nabla J\|^2}{G(G-1)}"
    ),
    hypotheses=(r"one prompt, $v = \mathbb{E}\,r$, $G \ge 2$ independent responses", _SAMPLED),
    kind="identity",
    sample=sample_single,
    sides=left_out_sides,
    control=Control(
        name="no reunion of pairs",
        explanation=(
            r"The term $\|\nabla J\|^2$ is left out: that $i$ is in the baseline of $j$ and $j$ in "
            "that of $i$ is forgotten."
        ),
        sides=lambda single: _left_out(single, 0),
    ),
    sizes=(2, 3, 4),
    cost=2.0,
)


def _estimated(probe: Probe, *, pairs: bool, estimator: Estimator) -> tuple[Side, Side]:
    outcomes, size = probe.policy.outcomes(), probe.group
    best = optimal_baselines(outcomes)
    gradients = models.prompt_gradients(outcomes)
    middle = outcomes.weights @ gradients
    total = -middle @ middle
    for x, weight in enumerate(outcomes.weights):
        first, last = outcomes.starts[x], outcomes.starts[x + 1]
        members = first + models.ordered_groups(last - first, size)
        chances = np.prod(outcomes.probabilities[members], axis=1)
        group = models.read(outcomes, members)
        baselines = group.rewards - estimator.advantages(group)
        away = outcomes.rewards[first:last] - best[x]
        p, norms = outcomes.probabilities[first:last], outcomes.squared_norms[first:last]
        error = chances @ (baselines[:, 0] - best[x]) ** 2
        scores = outcomes.scores[members]
        products = (scores[:, 0] * scores[:, 1]).sum(axis=1)
        both = chances @ (products * baselines[:, 0] * baselines[:, 1])
        own = p @ (norms * away * away) + error * (p @ norms)
        signal = gradients[x] @ gradients[x]
        total += weight * (own + (size - 1) * (signal + pairs * both)) / size
    return models.variance(outcomes, estimator, size), total


def estimated_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the variance with a left-out estimate of the optimal baseline, and its parts."""
    return _estimated(probe, pairs=True, estimator=OBLR)


def _moving(probe: Probe) -> bool:
    return bool(probe.policy.outcomes().squared_norms.min() > 0)


ESTIMATED = Theorem(
    id="oblr/price-of-estimating",
    title="What an estimated baseline adds to the variance: its error, and pairs that share noise",
    source="Derived here",
    statement=(
        r"\mathbb{E}[\|\hat g\|^2|x] = \frac1G\,\mathbb{E}\|g\|^2(r-b^*)^2 + \frac1G\,\mathbb{E}"
        r"\|g\|^2\;\mathbb{E}(\hat b_{-1}-b^*)^2 + \frac{G-1}{G}\bigl(\|\nabla v\|^2 + \mathbb{E}"
        r"[g_1\cdot g_2\,\hat b_{-1}\hat b_{-2}]\bigr)"
    ),
    hypotheses=(
        r"$\hat b_{-i}$ the average of the other rewards by the squared norms of their scores, "
        r"which are positive; $G \in \{2, 3\}$",
        "compared as variances over prompts and responses",
        _SAMPLED,
    ),
    kind="identity",
    sample=sample_probe,
    sides=estimated_sides,
    admissible=_moving,
    control=Control(
        name="no shared noise",
        explanation="The term of pairs is left out, as if baselines were independent.",
        sides=lambda probe: _estimated(probe, pairs=False, estimator=OBLR),
    ),
    notes=(
        r"That the error of the baseline enters without a cross term is what defines $b^*$: "
        r"$\mathbb{E}\|g\|^2(r - b^*) = 0$. The formula holds for every left-out baseline."
    ),
    cost=4.0,
)


THEOREMS = (INDEPENDENT, NESTED, LEFT_OUT, ESTIMATED)
