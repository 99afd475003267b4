r"""CAPO's filter of tokens: that each kept step passes says little of the step that is taken.

Values of contextual bandits after a softmax step are in balls, all else is exact.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray, to_fractions
from rltheory.analysis.zoo.capo import Tokens, second_order, token_mask
from rltheory.theory import balls, exact
from rltheory.theory.balls import precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem

_SETTING = "Melo, Abate and Gal (2025), arXiv 2510.00819"


class Filtered(NamedTuple):
    """A context for each of two tokens, rewards (C, V), and the rate of gradient steps."""

    tokens: Tokens
    rewards: FractionArray
    rate: Fraction


def sample_filtered(tape: Tape, size: int) -> Filtered:
    """Draw the batch of two contexts with parallel features, at a rate of 3 to 4."""
    policy = to_fractions(np.ones((2, 2)))
    policy[0] = [Fraction(3, 4), Fraction(1, 4)]
    policy[1] = [Fraction(1, 3), Fraction(2, 3)]
    rewards = to_fractions(np.array([[0.0, 2.0], [4.0, 0.0]]))
    actions = np.array([1, 1])
    values = (policy * rewards).sum(axis=1)
    tokens = Tokens(
        policy=policy,
        features=to_fractions(np.array([[1.0], [2.0]])),
        contexts=np.array([0, 1]),
        actions=actions,
        advantages=rewards[[0, 1], actions] - values,
    )
    return Filtered(tokens, rewards, 4 - Fraction(tape.integer(0, 64), 64))


def every_token(filtered: Filtered) -> Tokens:
    """Return the batch of all tokens of both contexts, whose model is that of J itself."""
    policy, rewards = filtered.tokens.policy, filtered.rewards
    contexts, actions = np.repeat([0, 1], 2), np.tile([0, 1], 2)
    values = (policy * rewards).sum(axis=1)
    return Tokens(
        policy=policy,
        features=filtered.tokens.features,
        contexts=contexts,
        actions=actions,
        advantages=(rewards - values[:, None]).ravel(),
        weights=policy.ravel() / 2,
    )


def _value(filtered: Filtered, step: FractionArray) -> Any:
    """Return J after a step of the last layer, a ball."""
    changes = filtered.tokens.features @ step.T
    rows = balls.softmax(balls.log(balls.balls(filtered.tokens.policy)) + balls.balls(changes))
    return (rows * balls.balls(filtered.rewards)).sum() / 2


def _averaged(filtered: Filtered, *, filter_again: bool) -> tuple[Side, Side]:
    judge = every_token(filtered)
    steps = filtered.rate * filtered.tokens.gradients()
    kept = [s for s in steps if second_order(judge, s).gain > 0]
    step = sum(kept, 0 * steps[0]) / len(steps)
    if filter_again and second_order(judge, step).gain < 0:
        step = 0 * step
    still = _value(filtered, 0 * step)
    alone = [_value(filtered, s) for s in steps]
    left = np.array([_value(filtered, step), still, still], dtype=object)
    return balls.to_bounds(left), balls.to_bounds(np.array([still, *alone], dtype=object))


@precise
def averaged_sides(filtered: Filtered) -> tuple[Side, Side]:
    """Return (J of the mean step, J, J) and (J, J of each kept step alone)."""
    return _averaged(filtered, filter_again=False)


@precise
def _filtered_again(filtered: Filtered) -> tuple[Side, Side]:
    return _averaged(filtered, filter_again=True)


AVERAGE = Theorem(
    id="capo/kept-steps-average-to-a-loss",
    title="Steps that each pass the model and improve can average to a step that does neither",
    source=f"Derived here, for the filter of {_SETTING}",
    statement=(
        r"\exists\, D_1, D_2:\quad m_H(D_i) > 0,\quad J(W + D_i) > J(W)\ \text{ for both},\quad "
        r"J\bigl(W + \tfrac12(D_1 + D_2)\bigr) < J(W)"
    ),
    hypotheses=(
        "two contexts, as likely, with features 1 and 2, a token in each; $D_i$ the gradient step "
        "of one token, at a rate near 4",
        r"$m_H$ that of $J$, over all tokens with their probabilities",
    ),
    kind="counterexample",
    sample=sample_filtered,
    sides=averaged_sides,
    control=Control(
        name="filtered again",
        explanation="The mean step is not taken where its own model is negative.",
        sides=_filtered_again,
    ),
    sizes=(2,),
    notes=(
        "At rate 4 the value 11/12 becomes 1.00 and 2.00 by the steps alone, 0.60 by their mean. "
        r"$m_H$ is not concave: far out in opposite directions it is positive, in between not. "
        r"$m_F$ is convex, so that means of steps keep its bound; small steps pass together "
        "because they are nearly linear. The premise of the guarantee is to be checked on the "
        "step that is taken."
    ),
    sharpness=0.91,
)


class Signed(NamedTuple):
    """A constant that is claimed to do, and tokens in contexts with features of their own."""

    constant: int
    tokens: Tokens


def sample_signed(tape: Tape, size: int) -> Signed:
    """Draw a constant, and one more token than it says, each in a context of its own."""
    constant = tape.integer(5, 5 + size)
    count = constant + 1
    half = to_fractions(np.full((count, 2), 0.5))
    tokens = Tokens(
        policy=half,
        features=exact.identity(count),
        contexts=np.arange(count),
        actions=np.array([tape.integer(0, 1) for _ in range(count)]),
        advantages=np.array([Fraction(tape.integer(1, 8)) for _ in range(count)], dtype=object),
    )
    return Signed(constant, tokens)


def _signs(array: FractionArray) -> FractionArray:
    return to_fractions(np.sign(array.astype(float)))


def _signed(signed: Signed, mean: bool) -> tuple[Side, Side]:
    constant, tokens = signed
    rate = Fraction(1, 16)
    candidates = rate * _signs(tokens.gradients())
    shifts = [second_order(tokens, s).shift for s in candidates]
    assert token_mask(tokens, candidates, largest_shift=max(shifts)).all()
    step = rate * _signs(tokens.gradient())
    if mean:
        step = candidates.sum(axis=0) / len(candidates)
    return constant * max(shifts), Fraction(second_order(tokens, step).shift)


def signed_sides(signed: Signed) -> tuple[Side, Side]:
    """Return the constant times the largest shift of one token's step, and the batch's shift."""
    return _signed(signed, mean=False)


SIGNED = Theorem(
    id="capo/adam-leaves-the-filter",
    title="Under Adam's first step no multiple of the tokens' shifts bounds the batch's",
    source=f"Derived here, for the filter of {_SETTING}",
    statement=(
        r"\forall C\ \exists\, \text{tokens}:\quad C\,\max_i m_F(D_i) < m_F(D),\qquad D_i = \eta\,"
        r"\mathrm{sign}(g_i),\quad D = \eta\,\mathrm{sign}\Bigl(\frac1N\sum_i g_i\Bigr)"
    ),
    hypotheses=(
        r"the instance: $N = C + 1$ contexts with features of their own, one token in each, "
        r"$g_i$ its gradient; zero moments before",
    ),
    kind="separation",
    sample=sample_signed,
    sides=signed_sides,
    control=Control(
        name="mean of the steps",
        explanation="The step taken is the mean of the tokens' own steps; shifts are convex.",
        sides=lambda signed: _signed(signed, mean=True),
    ),
    notes=(
        "Each token alone moves its own context as far as the batch moves all of them: the step "
        "has one length whatever the gradient's. With gradient steps the batch's is a mean, and "
        "the bound holds."
    ),
    sizes=(1, 2, 3),
    sharpness=0.82,
    cost=20.0,
)


THEOREMS = (AVERAGE, SIGNED)
