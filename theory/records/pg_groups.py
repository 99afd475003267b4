"""How many responses a prompt is worth: leave-one-out and the group mean in groups of any size."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.weights import DR_GRPO, LEAVE_ONE_OUT, VALUE
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SAMPLED = (
    "bandits, contextual bandits and trees of tokens; tabular softmax, or logits linear in two "
    "shared parameters"
)


class Growing(NamedTuple):
    """A policy and the group size before one more response is drawn."""

    policy: Policy
    group: int


def sample_growing(tape: Tape, size: int) -> Growing:
    """Draw a policy; half of the time a bandit that hardly ever leaves one arm; groups up to 9."""
    group = tape.integer(2, 9)
    if tape.integer(0, 1):
        rare = Fraction(1, 4 ** tape.integer(1, 9))
        probabilities = np.array([1 - rare, rare], dtype=object)
        return Growing(models.bandit_of(probabilities, models.payments(tape, 2)), group)
    return Growing(models.any_policy(tape, size), group)


def _growing(instance: Growing, power: int) -> tuple[Side, Side]:
    outcomes = instance.policy.outcomes()
    fewer, more = (
        Fraction(size) ** power
        * estimator_moments(outcomes, LEAVE_ONE_OUT, group_size=size, covariance=False).within
        for size in (instance.group, instance.group + 1)
    )
    return more, fewer


def growing_sides(instance: Growing) -> tuple[Side, Side]:
    """Return (G + 1) times the variance within prompts of G + 1 responses, and of G likewise."""
    return _growing(instance, 1)


GROWING = Theorem(
    id="estimators/leave-one-out-falls-with-the-group",
    title="A larger group makes every response of it worth more",
    source="Derived here, from estimators/leave-one-out-variance",
    statement=r"(G+1)\,V_{G+1} \le G\,V_G,\qquad V_G = \mathbb{E}_x\operatorname{tr}"
    r"\operatorname{Cov}(\hat g_{\mathrm{RLOO}}|x)",
    hypotheses=(r"$2 \le G \le 9$; moments by the closed form of the library", _SAMPLED),
    kind="inequality",
    sample=sample_growing,
    sides=growing_sides,
    control=Control(
        name="inverse square",
        explanation=r"The noise is claimed to fall like $1/G^2$.",
        sides=lambda instance: _growing(instance, 2),
    ),
    notes="What the baseline costs falls like the inverse square, the rest like 1 / G.",
    sharpness=0.999,
)


class Judged(NamedTuple):
    """A policy with one prompt and a group of at most four."""

    policy: Policy
    group: int


def sample_judged(tape: Tape, size: int) -> Judged:
    """Draw two arms half of the time, and up to four responses."""
    arms = 2 if tape.integer(0, 1) else size
    shared = bool(tape.integer(0, 1))
    return Judged(models.bandit(tape, arms, shared=shared), tape.integer(2, 4))


def _sample_five(tape: Tape, size: int) -> Judged:
    judged = sample_judged(tape, size)
    return judged._replace(group=5)


def mean_squared_errors(judged: Judged) -> tuple[Side, Side]:
    """Return the mean squared error of the group mean, and that of leave-one-out."""
    outcomes = judged.policy.outcomes()
    errors = []
    for estimator in (DR_GRPO, LEAVE_ONE_OUT):
        found = estimator_moments(
            outcomes, estimator, group_size=judged.group, covariance=False, method="enumerate"
        )
        errors.append(found.variance + found.bias @ found.bias)
    return errors[0], errors[1]


SHRUNK = Theorem(
    id="estimators/small-groups-prefer-the-mean",
    title="Up to four responses the biased group mean has the smaller mean squared error, always",
    source="Derived here, from estimators/leave-one-out-variance",
    statement=(
        r"\mathbb{E}\|\hat g_{\mathrm{mean}} - \nabla J\|^2 \le \mathbb{E}\|\hat g_{\mathrm{RLOO}} "
        r"- \nabla J\|^2,\qquad 2 \le G \le 4"
    ),
    hypotheses=(
        r"one prompt, $\hat g_{\mathrm{mean}} = (1 - 1/G)\,\hat g_{\mathrm{RLOO}}$",
        "bandits, tabular or with two parameters; moments by multisets of rewards",
    ),
    kind="inequality",
    sample=sample_judged,
    sides=mean_squared_errors,
    control=Control(
        name="five responses",
        explanation="The groups have five members.",
        sample=_sample_five,
    ),
    notes=(
        r"The claim is $(2G-1)\operatorname{tr}\operatorname{Cov}(\hat g_{\mathrm{RLOO}}) \ge "
        r"\|\nabla J\|^2$. The closed form and $\operatorname{Var}(r)\,\mathbb{E}\|g\|^2 \ge "
        r"\|\nabla J\|^2$ bound the left side by $2(2G-1)/(G(G-1))$ times the right one, which is "
        "at least 1 for four responses and not for five. Two arms of probability one half and four "
        "responses come nearest, 15/16."
    ),
    sharpness=0.93,
    cost=2.0,
)


class Budgeted(NamedTuple):
    """A policy with several prompts and the number of responses to each."""

    policy: Policy
    group: int


def sample_budgeted(tape: Tape, size: int) -> Budgeted:
    """Draw two prompts with shared or separate logits, half of the time two even coins."""
    policy = models.contextual(tape, 2, 2, shared=bool(tape.integer(0, 1)))
    if tape.integer(0, 1):
        policy = policy._replace(rows=fractions(np.full((2, 2), 0.5)))
    return Budgeted(policy, tape.integer(2, 5))


def _budget(instance: Budgeted, *, known: bool) -> tuple[Side, Side]:
    """Return 4 B D and (S - B - W)^2, S the variance of one response's share of the budget."""
    outcomes = instance.policy.outcomes()
    gradients = models.prompt_gradients(outcomes)
    middle = outcomes.weights @ gradients
    squares = (gradients * gradients).sum(axis=1)
    between = outcomes.weights @ squares - middle @ middle
    away = outcomes.rewards - outcomes.values[outcomes.prompt_of]
    inside = outcomes.given_prompt(outcomes.squared_norms * away * away) - squares
    extra = outcomes.given_prompt(away * away) * models.energies(outcomes) + squares
    estimator = VALUE if known else LEAVE_ONE_OUT
    spent = instance.group * models.variance(outcomes, estimator, instance.group)
    rest = spent - between - outcomes.weights @ inside
    return 4 * between * (outcomes.weights @ extra), rest * rest


def budget_sides(instance: Budgeted) -> tuple[Side, Side]:
    """Return 4 B D and the square of what a group of this size costs beyond B + W."""
    return _budget(instance, known=False)


BUDGET = Theorem(
    id="estimators/best-group-size",
    title="How many responses a prompt is worth, for a fixed number of responses in all",
    source="Derived here, from estimators/leave-one-out-variance",
    statement=(
        r"2\sqrt{B D} \le G\operatorname{tr}\operatorname{Cov}(\hat g_{\mathrm{RLOO}}) - B - W,"
        r"\quad\text{with equality iff}\quad G = 1 + \sqrt{D/B}"
    ),
    hypotheses=(
        r"$B = \mathbb{E}\|\nabla v(x)\|^2 - \|\nabla J\|^2$, $W = \mathbb{E}\|g\|^2(r-v(x))^2 - "
        r"\mathbb{E}\|\nabla v(x)\|^2$, $D = \mathbb{E}_x[\operatorname{Var}(r|x)\,"
        r"\mathbb{E}[\|g\|^2|x] + \|\nabla v(x)\|^2]$",
        r"the variance is that of one prompt's estimate; with $N G$ responses in all the batch has "
        r"$G/(NG)$ times it, so that the left side bounds what any $G$ can do",
        "two prompts of two responses; squared to stay rational",
    ),
    kind="inequality",
    sample=sample_budgeted,
    sides=budget_sides,
    control=Control(
        name="expected reward known",
        explanation="The baseline is the exact value, whose best group is a single response.",
        sides=lambda instance: _budget(instance, known=True),
    ),
    notes=(
        r"$D \ge 2\,\mathbb{E}\|\nabla v(x)\|^2 \ge 2B$, so the best size is never below "
        r"$1 + \sqrt2$, see estimators/three-are-never-worse-than-two."
    ),
    sharpness=0.99,
    cost=2.0,
)


def sample_pair_of_coins(tape: Tape, size: int) -> Policy:
    """Draw two prompts of two responses; half of the time the gradients of the prompts cancel."""
    policy = models.contextual(tape, 2, 2, shared=bool(tape.integer(0, 1)))
    if tape.integer(0, 1):
        opposed = fractions(np.array([[[1.0], [-1.0]], [[-1.0], [1.0]]]))
        policy = policy._replace(rows=fractions(np.full((2, 2), 0.5)), features=opposed)
    return policy


def _shared_budget(policy: Policy, fewer: int) -> tuple[Side, Side]:
    """Return G times the variance of one prompt's estimate for one response more, and for G."""
    outcomes = policy.outcomes()
    spent = [size * models.variance(outcomes, LEAVE_ONE_OUT, size) for size in (fewer + 1, fewer)]
    return spent[0], spent[1]


def three_sides(policy: Policy) -> tuple[Side, Side]:
    """Return three and two times the variances of groups of three and of two."""
    return _shared_budget(policy, 2)


THREE = Theorem(
    id="estimators/three-are-never-worse-than-two",
    title="With leave-one-out three responses to a prompt are never worse than two, at equal cost",
    source="Derived here, from estimators/leave-one-out-variance",
    statement=(
        r"3\operatorname{tr}\operatorname{Cov}(\hat g_3) \le 2\operatorname{tr}\operatorname{Cov}"
        r"(\hat g_2)"
    ),
    hypotheses=(
        r"$\hat g_G$ is leave-one-out on one prompt with $G$ responses; a budget of $B$ responses "
        r"affords $B/G$ prompts, hence noise $G\operatorname{tr}\operatorname{Cov}(\hat g_G)/B$",
        "two prompts of two responses, logits of their own or linear in shared parameters",
    ),
    kind="inequality",
    sample=sample_pair_of_coins,
    sides=three_sides,
    control=Control(
        name="four against three",
        explanation="Groups of four are claimed to be never worse than groups of three.",
        sides=lambda policy: _shared_budget(policy, 3),
    ),
    notes=(
        r"The noise is $(B G + W + D/(G-1))$ over the budget, in the letters of "
        r"estimators/best-group-size, and $D \ge 2B$. Met by even coins whose gradients cancel."
    ),
    sharpness=0.999,
    cost=2.0,
)


THEOREMS = (GROWING, SHRUNK, BUDGET, THREE)
