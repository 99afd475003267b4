r"""Scores of softmax policies: their norms, what these make of baselines, and of noise."""

from fractions import Fraction

import numpy as np

from rltheory.analysis.estimators.baselines import optimal_baselines
from rltheory.analysis.estimators.outcomes import Outcomes
from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy, baseline_variance
from rltheory.theory.exact import fractions, join, span
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem


def sample_bandit(tape: Tape, size: int) -> Policy:
    """Draw a tabular softmax bandit."""
    return models.bandit(tape, size)


def _norms(policy: Policy, twice: int) -> tuple[Side, Side]:
    outcomes, row = policy.outcomes(), policy.rows[0]
    square = row @ row
    return (
        join(outcomes.squared_norms, models.energies(outcomes)),
        join(1 - twice * row + square, 1 - square),
    )


def norm_sides(policy: Policy) -> tuple[Side, Side]:
    """Return the squared norms of scores and their mean, and their closed forms."""
    return _norms(policy, 2)


NORMS = Theorem(
    id="estimators/softmax-score-norms",
    title="How long scores are: 1 - 2 pi + ||pi||^2, and 1 - ||pi||^2 on average",
    source="Wang et al. (2025), Proposition 1, for the mean; elementary",
    statement=(
        r"\|g(y)\|^2 = 1 - 2\pi(y) + \|\pi\|^2,\qquad \mathbb{E}\|g\|^2 = 1 - \|\pi\|^2 = "
        r"1 - e^{-H_2(\pi)}"
    ),
    hypotheses=(r"tabular softmax, $g = e_y - \pi$; $H_2$ is Rényi's entropy of order 2",),
    kind="identity",
    sample=sample_bandit,
    sides=norm_sides,
    control=Control(
        name="one probability",
        explanation=r"$1 - \pi(y) + \|\pi\|^2$, a single $\pi(y)$.",
        sides=lambda policy: _norms(policy, 1),
    ),
    notes="Scores are longest where the policy knows least; sure answers hardly move it.",
    sizes=(2, 3, 5),
)


def _closed_baseline(policy: Policy, twice: int) -> tuple[Side, Side]:
    outcomes, row = policy.outcomes(), policy.rows[0]
    shift = row @ (row * (outcomes.rewards - outcomes.value))
    return optimal_baselines(outcomes)[0], outcomes.value - twice * shift / (1 - row @ row)


def closed_baseline_sides(policy: Policy) -> tuple[Side, Side]:
    """Return the optimal baseline, and the expected reward less the covariance with pi."""
    return _closed_baseline(policy, 2)


CLOSED_BASELINE = Theorem(
    id="estimators/softmax-optimal-baseline",
    title="The optimal baseline lies below the expected reward where likely answers are good",
    source="Derived here",
    statement=(r"b^* = \mathbb{E}r - \frac{2\operatorname{Cov}_\pi(\pi(y), r(y))}{1 - \|\pi\|^2}"),
    hypotheses=(
        "tabular softmax; under a uniform policy the covariance is zero and the expected reward "
        "is optimal",
    ),
    kind="identity",
    sample=sample_bandit,
    sides=closed_baseline_sides,
    control=Control(
        name="half of the shift",
        explanation="The factor 2 is left out.",
        sides=lambda policy: _closed_baseline(policy, 1),
    ),
)


def sample_shared_tree(tape: Tape, size: int) -> Policy:
    """Draw a tree of tokens whose prefixes share their parameters."""
    return models.token_tree(tape, size, shared=True)


def choice_energies(policy: Policy) -> FractionArray:
    """Return the sum over a response's choices of their squared norms, (n,)."""
    mean = (policy.rows[:, :, None] * policy.features).sum(axis=1, keepdims=True)
    norms = ((policy.features - mean) ** 2).sum(axis=2)
    return np.array([sum(norms[choice] for choice in path) for path in policy.paths], dtype=object)


def token_sides(policy: Policy) -> tuple[Side, Side]:
    """Return E ||g||^2 of responses, and of their choices summed."""
    outcomes = policy.outcomes()
    return models.energies(outcomes)[0], outcomes.joint @ choice_energies(policy)


def _path_by_path(policy: Policy) -> tuple[Side, Side]:
    return policy.outcomes().squared_norms, choice_energies(policy)


TOKENS = Theorem(
    id="estimators/score-norms-add-over-tokens",
    title="Squared norms of scores add up over the tokens, on average and only so",
    source="Derived here: scores are martingale differences",
    statement=(
        r"\mathbb{E}\Bigl\|\sum_t g_t\Bigr\|^2 = \mathbb{E}\sum_t \|g_t\|^2,\qquad g_t = "
        r"\nabla\log\pi_\theta(y_t|y_{<t})"
    ),
    hypotheses=("trees of binary tokens whose prefixes share two parameters",),
    kind="identity",
    sample=sample_shared_tree,
    sides=token_sides,
    control=Control(
        name="response by response",
        explanation="Every single response is claimed to have the sum of its tokens' norms.",
        sides=_path_by_path,
    ),
    notes=(
        "Weights by summed token norms, or by the length, stand for the norm of a response's "
        "score in optimal baselines. They are exact for every response only where prefixes have "
        "parameters of their own."
    ),
)


def sample_one_right(tape: Tape, size: int) -> Policy:
    """Draw a policy over answers of which the first pays 1, the others nothing."""
    policy = models.bandit(tape, size, shared=bool(tape.integer(0, 1)))
    return policy._replace(rewards=fractions(np.eye(size)[0]))


def _ratio(outcomes: Outcomes, baseline: Fraction) -> tuple[Side, Side]:
    chance = outcomes.probabilities[0]
    noise = baseline_variance(outcomes, np.array([baseline], dtype=object))
    gradient = outcomes.gradient
    return (1 - chance) * (gradient @ gradient), chance * noise


def one_right_sides(policy: Policy) -> tuple[Side, Side]:
    """Return the signal times the chance to fail, and the noise times the chance to succeed."""
    return _ratio(policy.outcomes(), Fraction(0))


def _with_value(policy: Policy) -> tuple[Side, Side]:
    outcomes = policy.outcomes()
    return _ratio(outcomes, outcomes.value)


ONE_RIGHT = Theorem(
    id="estimators/one-right-answer",
    title="With one right answer and no baseline the signal to noise ratio is the odds of success",
    source="Derived here",
    statement=r"\mathrm{SNR} = \frac{\|\nabla J\|^2}{\operatorname{tr}\operatorname{Cov}(g\,r)} = "
    r"\frac{p}{1-p}",
    hypotheses=(
        "one answer pays 1, has probability $p$, all others pay nothing; any softmax policy",
        r"compared as $(1-p)\,\|\nabla J\|^2 = p\operatorname{tr}\operatorname{Cov}(g\,r)$",
    ),
    kind="identity",
    sample=sample_one_right,
    sides=one_right_sides,
    control=Control(
        name="expected reward as baseline",
        explanation=r"The estimate is $g\,(r - p)$, whose ratio falls to 0 as $p \to 1$.",
        sides=_with_value,
    ),
    notes=(
        r"So the step $\frac1L\frac{\mathrm{SNR}}{1+\mathrm{SNR}}$ is $p/L$ for one sample. It "
        "holds for any parametrisation: only samples of the right answer count, and they all agree."
    ),
)


def sample_rare_gain(tape: Tape, size: int) -> Policy:
    """Draw a bandit; half of the time one that hardly ever finds an arm of another reward."""
    if tape.integer(0, 1):
        rare = Fraction(1, 4 ** tape.integer(1, 9))
        chances = [1 - rare] + [rare / (size - 1)] * (size - 1)
        rewards = fractions(np.array([-1.0] + [1.0] * (size - 1)))
        return models.bandit_of(np.array(chances, dtype=object), rewards)
    return models.bandit(tape, size)


def _entropic(policy: Policy, power: int) -> tuple[Side, Side]:
    outcomes, row = policy.outcomes(), policy.rows[0]
    width = span(outcomes.rewards)
    return (
        baseline_variance(outcomes, outcomes.values),
        width**2 * (1 - row @ row) ** power,
    )


def entropic_sides(policy: Policy) -> tuple[Side, Side]:
    """Return the variance with the expected reward as baseline and its bound by entropy."""
    return _entropic(policy, 1)


ENTROPIC = Theorem(
    id="estimators/noise-dies-with-entropy",
    title="Noise dies with the policy's entropy, as fast as the entropy and no faster",
    source="Derived here",
    statement=(
        r"\operatorname{tr}\operatorname{Cov}\bigl(g\,(r - \mathbb{E}r)\bigr) \le "
        r"(r_{\max} - r_{\min})^2\,(1 - e^{-H_2(\pi)})"
    ),
    hypotheses=(r"tabular softmax; $H_2 = -\log\|\pi\|^2$ is Rényi's entropy of order 2",),
    kind="inequality",
    sample=sample_rare_gain,
    sides=entropic_sides,
    control=Control(
        name="square of the entropy",
        explanation="The noise is claimed to vanish like the signal, quadratically.",
        sides=lambda policy: _entropic(policy, 2),
    ),
    notes=(
        r"Approached where an arm of another reward has hardly any probability. There "
        r"$\|\nabla J\|^2$ falls like the square: signal drowns near deterministic policies."
    ),
    sharpness=0.999,
)


THEOREMS = (NORMS, CLOSED_BASELINE, TOKENS, ONE_RIGHT, ENTROPIC)
