"""Which baselines leave the policy gradient unbiased: exact means against dual numbers.

The mean of an estimate is a sum over all ordered groups; the gradient it is held against comes from
differentiating the policy by dual numbers, without a score in sight.
"""

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.estimators.weights import (
    DR_GRPO,
    LEAVE_ONE_OUT,
    OBLR,
    OWN_OPTIMAL,
    REINFORCE,
    VALUE,
    Estimator,
)
from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions, join
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


class Probe(NamedTuple):
    """A policy, a direction (k,), baselines (m,) of the prompts and a group size."""

    policy: Policy
    direction: FractionArray
    baselines: FractionArray
    group: int


class OffPolicy(NamedTuple):
    """A probe and the rows (R, V) that responses are drawn with."""

    probe: Probe
    behaviour: FractionArray


_SAMPLED = (
    "bandits, contextual bandits and trees of tokens; tabular softmax, or logits linear in two "
    "shared parameters",
    r"$\nabla J$ is taken along a random direction, by dual numbers",
)


def sample_probe(tape: Tape, size: int) -> Probe:
    """Draw a policy of about `size` responses, baselines in [-1, 1] and a group of 2 or 3."""
    policy = models.any_policy(tape, size)
    baselines = fractions(tape.dyadic(len(policy.weights), -1.0, 1.0, bits=3))
    return Probe(policy, models.direction(tape, policy), baselines, tape.integer(2, 3))


def _against_gradient(
    probe: Probe, estimator: Estimator, factor: Fraction = Fraction(1)
) -> tuple[Side, Side]:
    """Return the mean estimate along the direction and `factor` times the derivative of J."""
    mean = models.mean(probe.policy.outcomes(), estimator, probe.group, probe.baselines)
    slope = probe.policy.slope(probe.direction, probe.policy.rewards)
    return mean @ probe.direction, factor * slope


def baseline_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the mean of REINFORCE with a baseline along the direction, and the derivative."""
    return _against_gradient(probe, VALUE)


def _reads_the_response(probe: Probe) -> tuple[Side, Side]:
    half = replace(REINFORCE, advantages=lambda group: group.rewards * Fraction(1, 2))
    return _against_gradient(probe, half)


UNBIASED = Theorem(
    id="oblr/unbiased",
    title="Any baseline that does not look at the response leaves the gradient unbiased",
    source="Huang, Sheng and Zheng (2025), abstract; Williams (1992), Theorem 1",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_{i=1}^G g(x, y_i)\,\bigl(r(x, y_i) - b(x)\bigr) = \nabla J,"
        r"\qquad g = \nabla\log\pi_\theta(y|x)"
    ),
    hypotheses=(
        r"$b(x)$ any number; $y_1, \dots, y_G$ independent given $x$",
        *_SAMPLED,
    ),
    kind="identity",
    sample=sample_probe,
    sides=baseline_sides,
    control=Control(
        name="a baseline that looks",
        explanation="The baseline is half of the response's own reward.",
        sides=_reads_the_response,
    ),
    cost=2.0,
)


def left_out_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the mean of the leave-one-out estimate along the direction, and the derivative."""
    return _against_gradient(probe, LEAVE_ONE_OUT)


LEFT_OUT = Theorem(
    id="estimators/leave-one-out-unbiased",
    title="The mean reward of the others is an unbiased baseline",
    source="Kool, van Hoof and Welling (2019), equation 8; Ahmadian et al. (2024)",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_i g_i\Bigl(r_i - \frac{1}{G-1}\sum_{j\ne i} r_j\Bigr) = \nabla J"
    ),
    hypotheses=(r"$G \ge 2$ independent responses to a prompt", *_SAMPLED),
    kind="identity",
    sample=sample_probe,
    sides=left_out_sides,
    control=Control(
        name="own sample in the mean",
        explanation="The baseline is the mean of all G rewards, the response's own among them.",
        sides=lambda probe: _against_gradient(probe, DR_GRPO),
    ),
    cost=2.0,
)


def own_sample_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the mean of the group-mean estimate along the direction and its shrunk derivative."""
    return _against_gradient(probe, DR_GRPO, 1 - Fraction(1, probe.group))


OWN_SAMPLE = Theorem(
    id="estimators/own-sample-shrinks",
    title="A group mean that holds the own reward shrinks the gradient by 1 - 1/G, and only that",
    source="Liu et al. (2025); derived here",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_i g_i\,(r_i - \bar r) = \Bigl(1 - \frac1G\Bigr)\nabla J,"
        r"\qquad \bar r = \frac1G\sum_j r_j"
    ),
    hypotheses=(
        r"$G \ge 2$ independent responses to a prompt, all prompts with the same $G$",
        *_SAMPLED,
    ),
    kind="identity",
    sample=sample_probe,
    sides=own_sample_sides,
    control=Control(
        name="unbiased",
        explanation=r"The factor $1 - 1/G$ is left out.",
        sides=lambda probe: _against_gradient(probe, DR_GRPO),
    ),
    notes=(
        "The factor is the same for every prompt and policy: a matter of the step size. Dividing "
        "by a constant length, as Dr. GRPO does, is another such factor."
    ),
    cost=2.0,
)


def rescaled_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the moments of leave-one-out, and of the group mean times powers of G / (G - 1)."""
    return _rescaled(probe, 2)


def _rescaled(probe: Probe, power: int) -> tuple[Side, Side]:
    outcomes = probe.policy.outcomes()
    factor = Fraction(probe.group, probe.group - 1)
    left = models.moments(outcomes, LEAVE_ONE_OUT, probe.group)
    right = models.moments(outcomes, DR_GRPO, probe.group)
    return join(left.means, left.seconds), join(factor * right.means, factor**power * right.seconds)


RESCALED = Theorem(
    id="estimators/leave-one-out-is-rescaled",
    title="Leave-one-out is the group mean rescaled: the same estimator up to the step size",
    source="Liu et al. (2025); algebra",
    statement=(
        r"\mathbb{E}[\hat g_{\mathrm{RLOO}}|x] = \tfrac{G}{G-1}\mathbb{E}[\hat g_{\mathrm{mean}}|x]"
        r",\qquad \mathbb{E}[\|\hat g_{\mathrm{RLOO}}\|^2|x] = \bigl(\tfrac{G}{G-1}\bigr)^2"
        r"\mathbb{E}[\|\hat g_{\mathrm{mean}}\|^2|x]"
    ),
    hypotheses=(r"$G \ge 2$ independent responses to a prompt", _SAMPLED[0]),
    kind="identity",
    sample=sample_probe,
    sides=rescaled_sides,
    control=Control(
        name="one power for both",
        explanation=r"The second moment is rescaled by $G/(G-1)$ instead of its square.",
        sides=lambda probe: _rescaled(probe, 1),
    ),
    cost=3.0,
)


def estimated_sides(probe: Probe) -> tuple[Side, Side]:
    """Return the mean with the optimal baseline estimated by the others, and the derivative."""
    return _against_gradient(probe, OBLR)


def _moving(probe: Probe) -> bool:
    """Whether every response has a score, so that the weights of the average make sense."""
    return bool(probe.policy.outcomes().squared_norms.min() > 0)


ESTIMATED = Theorem(
    id="oblr/estimated-baseline-unbiased",
    title="The optimal baseline estimated by the others is unbiased",
    source="Huang, Sheng and Zheng (2025), abstract; leaving out is our reading",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_i g_i\,(r_i - \hat b_{-i}) = \nabla J,\qquad \hat b_{-i} = "
        r"\frac{\sum_{j\ne i}\|g_j\|^2 r_j}{\sum_{j\ne i}\|g_j\|^2}"
    ),
    hypotheses=(
        r"$G \ge 2$ independent responses to a prompt, $\|g_j\| > 0$",
        *_SAMPLED,
    ),
    kind="identity",
    sample=sample_probe,
    sides=estimated_sides,
    admissible=_moving,
    control=Control(
        name="own sample in the average",
        explanation=(
            "The weighted average runs over the whole group, the response itself among it, as in "
            "public implementations of this baseline."
        ),
        sides=lambda probe: _against_gradient(probe, OWN_OPTIMAL),
    ),
    notes=(
        "With the own sample the mean is not even a multiple of the gradient, unlike that of "
        "estimators/own-sample-shrinks."
    ),
    cost=2.0,
)


def sample_off_policy(tape: Tape, size: int) -> OffPolicy:
    """Draw a probe and a behaviour with the same support."""
    probe = sample_probe(tape, size)
    rows = [models.positive(tape, row.shape[0]) for row in probe.policy.rows]
    return OffPolicy(probe, np.stack(rows))


def _off_policy(instance: OffPolicy, *, corrected: bool) -> tuple[Side, Side]:
    (policy, direction, baselines, group), behaviour = instance
    outcomes = policy.outcomes(behaviour)
    if not corrected:
        outcomes = replace(outcomes, probabilities=outcomes.drawn, behaviour=None)
    found = models.mean(outcomes, VALUE, group, baselines)
    return found @ direction, policy.slope(direction, policy.rewards)


def off_policy_sides(instance: OffPolicy) -> tuple[Side, Side]:
    """Return the mean of the reweighted estimate along the direction, and the derivative."""
    return _off_policy(instance, corrected=True)


IMPORTANCE = Theorem(
    id="estimators/importance-sampling-unbiased",
    title="Ratios of whole responses correct for any behaviour with the same support",
    source="Precup, Sutton and Singh (2000); Jie and Abbeel (2010)",
    statement=(
        r"\mathbb{E}_{y_i\sim\mu}\,\frac1G\sum_i \frac{\pi_\theta(y_i|x)}{\mu(y_i|x)}\, g_i\,"
        r"(r_i - b(x)) = \nabla J"
    ),
    hypotheses=(r"$\mu(y|x) > 0$ wherever $\pi_\theta(y|x) > 0$; $b(x)$ any number", *_SAMPLED),
    kind="identity",
    sample=sample_off_policy,
    sides=off_policy_sides,
    control=Control(
        name="no ratio",
        explanation="Responses of the behaviour count as the policy's own.",
        sides=lambda instance: _off_policy(instance, corrected=False),
    ),
    cost=3.0,
)


THEOREMS = (UNBIASED, LEFT_OUT, OWN_SAMPLE, RESCALED, ESTIMATED, IMPORTANCE)
