"""Where path consistency ends: responses without data, and moves of chance."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from rltheory.theory import balls, token_trees
from rltheory.theory.balls import precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem
from rltheory.theory.token_trees import Tree, squared

_SETTING = "Wang, Hao, Dong, Zhang, Bao, Yang and Wu (2024)"


class Gap(NamedTuple):
    """What the response that the data miss is worth, and how rarely the policy gives it."""

    reward: int
    rare: Fraction


def sample_gap(tape: Tape, size: int) -> Gap:
    """Draw a reward from 8 to 16 and a probability 2^-12 to 2^-20."""
    return Gap(tape.integer(8, 16), Fraction(1, 2 ** tape.integer(12, 20)))


def _missed(gap: Gap, *, covered: bool) -> tuple[Side, Side]:
    """Return nearly the reward plus the loss on the data, and what the policy loses."""
    half = balls.ball(Fraction(1, 2))
    earned = balls.balls(np.array([Fraction(0), Fraction(gap.reward)], dtype=object))
    best = (half * balls.exp(earned)).sum().log()
    if covered:
        policy = half * balls.exp(earned - best)
    else:
        policy = balls.balls(np.array([1 - gap.rare, gap.rare], dtype=object))
    logs = balls.log(policy / half)
    # The value that leaves the first response, the only one with data, without a residual.
    value = earned[0] - logs[0]
    loss = squared(value - earned[0] + logs[0])
    lost = best - (policy * (earned - logs)).sum()
    return balls.to_bounds(balls.ball(gap.reward * (1 - Fraction(1, 256))) + loss), (
        balls.to_bounds(lost)
    )


@precise
def missed_sides(gap: Gap) -> tuple[Side, Side]:
    """Return the reward and loss, and what a policy of no loss on the data loses."""
    return _missed(gap, covered=False)


@precise
def _covered(gap: Gap) -> tuple[Side, Side]:
    return _missed(gap, covered=True)


MISSED = Theorem(
    id="oreo/missing-response",
    title="Without data on one response, no loss at all can go with the loss of all reward",
    source=f"Derived here; the coverage that {_SETTING}, Theorem 2, takes for granted",
    statement=(
        r"L(V, \pi) + \bigl(1 - \tfrac1{256}\bigr) R \;<\; V^*(s_0) - J(\pi)\qquad\text{with}\quad "
        r"L(V, \pi) = \mathbb{E}_{y\sim\text{data}}\,D(y)^2 = 0"
    ),
    hypotheses=(
        r"two responses worth 0 and $R$, all data on the first; $\mu$ uniform, $\beta = 1$",
        r"$\pi$ gives the second with probability $2^{-12}$ to $2^{-20}$, $V$ is such that $L = 0$",
    ),
    kind="counterexample",
    sample=sample_gap,
    sides=missed_sides,
    control=Control(
        name="both responses have data",
        explanation="The loss is zero on both responses, which leaves only the optimum.",
        sides=_covered,
    ),
    sharpness=0.98,
)


@precise
def floor_sides(tree: Tree) -> tuple[Side, Side]:
    """Return the token loss at the optimum, and the spread of the values of children."""
    return _floor(tree, both=True)


@precise
def _one_outcome(tree: Tree) -> tuple[Side, Side]:
    return _floor(tree, both=False)


def _floor(tree: Tree, *, both: bool) -> tuple[Side, Side]:
    values, policy = token_trees.soft_values(tree)
    heat, reach = balls.ball(tree.temperature), balls.balls(np.array([Fraction(1)]))
    loss, spread = balls.ball(0), balls.ball(0)
    for t, rewards in enumerate(tree.rewards):
        last = t + 1 == len(tree.rewards)
        after = token_trees.following(tree, t, values[t] if last else values[t + 1])
        reference, chances = balls.balls(tree.reference[t]), balls.balls(tree.chances[t])
        own = values[t][:, None] - balls.balls(rewards)
        own = own + heat * balls.log(policy[t] / reference)
        weights = (reach[:, None] * reference)[:, :, None] * chances
        loss += (weights * squared(own[:, :, None] - after)).sum()
        # Of two values the variance is the product of chances times the squared difference.
        product = chances[:, :, 0] * chances[:, :, 1] if both else chances[:, :, 0]
        apart = squared(after[:, :, 0] - after[:, :, 1])
        spread += (reach[:, None] * reference * product * apart).sum()
        reach = weights.ravel()
    return balls.to_bounds(loss), balls.to_bounds(spread)


FLOOR = Theorem(
    id="oreo/variance-floor",
    title="With chance moves the loss at the optimum is the variance of the next value",
    source=f"Derived here; why {_SETTING} needs deterministic steps",
    statement=(
        r"\mathbb{E}_{\mu}\sum_t\Bigl(V^*(s_t) - V^*(s_{t+1}) - r_t + \beta\log"
        r"\frac{\pi^*(a_t|s_t)}{\mu(a_t|s_t)}\Bigr)^2 = "
        r"\mathbb{E}_{\mu}\sum_t \mathrm{Var}\bigl(V^*(s_{t+1})\,\big|\,s_t, a_t\bigr)"
    ),
    hypotheses=(
        r"each token leads to one of two states by chance; data from $\mu > 0$",
        r"$V^*, \pi^*$ the optimum that weighs next values by their chances",
    ),
    kind="identity",
    sample=lambda tape, size: token_trees.sample_tree(tape, 2, outcomes=2),
    sides=floor_sides,
    control=Control(
        name="one chance for two",
        explanation="The squared difference of two values is weighed by one of their chances.",
        sides=_one_outcome,
    ),
    notes="So zero loss cannot be had; and the optimum is not even best, see oreo/values-shrink.",
    sizes=(2,),
    cost=2.0,
)


class Coin(NamedTuple):
    """Rewards (2,) of the two choices on one side of a fair coin; the other has the negatives."""

    rewards: tuple[Fraction, Fraction]


def sample_coin(tape: Tape, size: int) -> Coin:
    """Draw two rewards in [1, 2]."""
    first, second = (1 + Fraction(tape.integer(0, 16), 16) for _ in range(2))
    return Coin((first, second))


def _shrunk(coin: Coin, *, chancy: bool) -> tuple[Side, Side]:
    """Return the token loss with values half as large, and at the optimum; uniform data.

    The node after heads has rewards +r, that after tails the same value with its sign turned.
    """
    half = balls.ball(Fraction(1, 2))
    earned = balls.balls(np.array(coin.rewards, dtype=object))
    value = (half * balls.exp(earned)).sum().log()
    # Tails pays each choice what makes its soft value the negative.
    sides = [(earned, value), (earned - 2 * value, -value)]
    losses = []
    for scale in (half, balls.ball(1)):
        loss = balls.ball(0)
        means = scale * sum((v for _, v in sides), start=balls.ball(0)) * half
        for paid, v in sides if chancy else sides[:1]:
            chance = half if chancy else balls.ball(1)
            policy = half * balls.exp(paid - v)
            residuals = scale * v - paid + balls.log(policy / half)
            root = (means if chancy else v) - scale * v
            loss += chance * (squared(root) + (half * squared(residuals)).sum())
        losses.append(balls.to_bounds(loss))
    return losses[0], losses[1]


@precise
def shrunk_sides(coin: Coin) -> tuple[Side, Side]:
    """Return the loss of the shrunk values and that of the optimum."""
    return _shrunk(coin, chancy=True)


@precise
def _no_coin(coin: Coin) -> tuple[Side, Side]:
    return _shrunk(coin, chancy=False)


SHRINK = Theorem(
    id="oreo/values-shrink",
    title="With chance moves wrong values have half the loss of the right ones",
    source="Derived here; the double sampling of Baird (1995) in the soft form",
    statement=(r"L\bigl(\tfrac12 V^*, \pi^*\bigr) = \tfrac12 L(V^*, \pi^*) \;<\; L(V^*, \pi^*)"),
    hypotheses=(
        r"a fair coin, then a choice of two; optimal soft values $\pm v$ after it, $\mu$ uniform, "
        r"$\beta = 1$",
        r"$L$ the expected sum of squared residuals of the two steps; $V(s_0) = 0$",
    ),
    kind="counterexample",
    sample=sample_coin,
    sides=shrunk_sides,
    control=Control(
        name="no coin",
        explanation="The first step leads to one state for sure, where the optimum has no loss.",
        sides=_no_coin,
    ),
    notes="A factor x of the values after the coin has the loss (x^2 + (1 - x)^2) v^2.",
    sharpness=0.49,
)


THEOREMS = (MISSED, FLOOR, SHRINK)
