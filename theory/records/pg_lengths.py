r"""Dividing by lengths: what responses of different length make of a policy gradient."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from rltheory.analysis.estimators.weights import DR_GRPO, Estimator
from rltheory.analysis.rational import FractionArray
from rltheory.theory import estimator_instances as models
from rltheory.theory.estimator_instances import Policy
from rltheory.theory.exact import fractions
from rltheory.theory.records.pg_normalisation import Probed
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

BY_RESPONSE = replace(DR_GRPO, name="mean by response", normalisation="response")
"""Rewards less the group mean, each response divided by its length: GRPO without its deviation."""
BY_TOKEN = replace(DR_GRPO, name="mean by token", normalisation="token")
"""Rewards less the group mean, divided by the group's tokens: DAPO without its deviation."""

_TREE = "answers of one to three tokens, one prompt, on policy"


def sample_tree(tape: Tape, size: int) -> Probed:
    """Draw a tree of tokens, a group of two or three and a direction."""
    policy = models.token_tree(tape, size, shared=bool(tape.integer(0, 1)))
    return Probed(policy, tape.integer(2, 3), models.direction(tape, policy))


def _lengthened(probed: Probed, quantity: FractionArray) -> tuple[Side, Side]:
    policy, size, direction = probed
    mean = models.mean(policy.outcomes(), BY_RESPONSE, size)
    return mean @ direction, (1 - Fraction(1, size)) * policy.slope(direction, quantity)


def length_sides(probed: Probed) -> tuple[Side, Side]:
    """Return the mean along the direction, and the derivative of the centred reward per token."""
    outcomes = probed.policy.outcomes()
    centred = outcomes.rewards - outcomes.value
    return _lengthened(probed, centred / probed.policy.lengths.astype(object))


def _uncentred(probed: Probed) -> tuple[Side, Side]:
    policy = probed.policy
    return _lengthened(probed, policy.rewards / policy.lengths.astype(object))


LENGTHS = Theorem(
    id="estimators/what-length-normalisation-ascends",
    title="Divided by its length, a response is paid by the token, and below average charged by it",
    source="Liu et al. (2025) observe the bias; the objective is derived here",
    statement=(
        r"\mathbb{E}\,\frac1G\sum_i \frac{g_i}{\ell_i}(r_i - \bar r) = \Bigl(1-\frac1G\Bigr)"
        r"\nabla_\theta\,\mathbb{E}_{y\sim\pi_\theta}\frac{r(y) - v}{\ell(y)}"
    ),
    hypotheses=(
        r"$\ell_i$ the length, $\bar r$ the group's mean, $v = \mathbb{E}\,r$ frozen in the "
        "derivative",
        _TREE,
        r"along a random direction, by dual numbers; $G \in \{2, 3\}$",
    ),
    kind="identity",
    sample=sample_tree,
    sides=length_sides,
    control=Control(
        name="without the centre",
        explanation=(
            r"The objective is $\mathbb{E}\,r/\ell$, as if baselines did not matter: but $v$ times "
            r"$\nabla\,\mathbb{E}\,1/\ell$ does not vanish."
        ),
        sides=_uncentred,
    ),
    notes=(
        "Answers below average lose less by being long, those above gain more by being short. "
        "Averages by response of GRPO, GSPO and SAPO all carry this weight on policy."
    ),
    sizes=(2, 3),
    cost=2.0,
)


def tree_of(chances: list[float], features: list[float], rewards: list[float]) -> Policy:
    """Return a tree with one parameter: chances and features of ending after each prefix."""
    depth = len(chances)
    policy = models.token_tree(Tape([0.0] * 64), depth)
    return policy._replace(
        rows=fractions(np.array([[c, 1 - c] for c in chances])),
        features=fractions(np.array([[[f], [0.0]] for f in features])),
        rewards=fractions(np.array(rewards)),
    )


def sample_by_response(tape: Tape, size: int) -> Policy:
    """Return the instance on which averages by response descend."""
    return tree_of([0.25, 0.25, 0.75], [-1.0, 1.0, -2.0], [0.0, 1.0, 1.0, 0.0])


def sample_by_token(tape: Tape, size: int) -> Policy:
    """Return the instance on which averages by token descend."""
    return tree_of([0.25, 0.25, 0.5], [1.0, -2.0, -2.0], [0.0, 1.0, 0.0, 1.0])


def _opposed(policy: Policy, estimator: Estimator, factor: Fraction) -> tuple[Side, Side]:
    outcomes = policy.outcomes()
    gradient = outcomes.gradient
    return factor * (gradient @ gradient), -(models.mean(outcomes, estimator, 2) @ gradient)


def by_response_sides(policy: Policy) -> tuple[Side, Side]:
    """Return 17/10 of the squared gradient and how far averages by response go against it."""
    return _opposed(policy, BY_RESPONSE, Fraction(17, 10))


def by_token_sides(policy: Policy) -> tuple[Side, Side]:
    """Return 3/5 of the squared gradient and how far averages by token go against it."""
    return _opposed(policy, BY_TOKEN, Fraction(3, 5))


RESPONSES = Theorem(
    id="estimators/averages-by-response-can-descend",
    title="Averages over the tokens of each response can descend",
    source="Derived here",
    statement=r"\exists\,\pi:\quad \tfrac{17}{10}\,\|\nabla J\|^2 \;<\; -\Bigl\langle\mathbb{E}\,"
    r"\frac1G\sum_i\frac{g_i}{\ell_i}(r_i - \bar r), \nabla J\Bigr\rangle",
    hypotheses=(
        r"the instance: one parameter, answers of 1, 2, 3, 3 tokens pay 0, 1, 1, 0; a first, "
        r"second and third token is 0 with probability 1/4, 1/4, 3/4 and the first two then end; "
        r"logits of 0 move by $-1, 1, -2$; $G = 2$",
    ),
    kind="counterexample",
    sample=sample_by_response,
    sides=by_response_sides,
    control=Control(
        name="a constant divisor",
        explanation="Responses are divided by the same number, as in Dr. GRPO.",
        sides=lambda policy: _opposed(policy, DR_GRPO, Fraction(17, 10)),
    ),
    sharpness=0.98,
)

TOKENS = Theorem(
    id="estimators/averages-by-token-can-descend",
    title="Averages over the tokens of a group can descend as well",
    source="Derived here",
    statement=r"\exists\,\pi:\quad \tfrac35\,\|\nabla J\|^2 \;<\; -\Bigl\langle\mathbb{E}\,"
    r"\frac{\sum_i g_i\,(r_i - \bar r)}{\sum_j \ell_j}, \nabla J\Bigr\rangle",
    hypotheses=(
        r"the instance: one parameter, answers of 1, 2, 3, 3 tokens pay 0, 1, 0, 1; a first, "
        r"second and third token is 0 with probability 1/4, 1/4, 1/2 and the first two then end; "
        r"logits of 0 move by $1, -2, -2$; $G = 2$",
    ),
    kind="counterexample",
    sample=sample_by_token,
    sides=by_token_sides,
    control=Control(
        name="a constant divisor",
        explanation="The group is divided by a constant instead of its number of tokens.",
        sides=lambda policy: _opposed(policy, DR_GRPO, Fraction(3, 5)),
    ),
    notes="The divisor depends on the response's own length: a ratio of correlated sums is biased.",
    sharpness=0.97,
)


THEOREMS = (LENGTHS, RESPONSES, TOKENS)
