"""Path consistency on token trees: the optimum over responses, and what a residual costs."""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.theory import balls, token_trees
from rltheory.theory.balls import BallArray, precise
from rltheory.theory.sides import Side
from rltheory.theory.tape import Tape
from rltheory.theory.theorem import Control, Theorem
from rltheory.theory.token_trees import Levels, Path, Tree, squared

_SETTING = "Wang, Hao, Dong, Zhang, Bao, Yang and Wu (2024)"


class Played(NamedTuple):
    """A deterministic tree and a positive policy of it."""

    tree: Tree
    policy: Levels


def sample_tree(tape: Tape, size: int) -> Tree:
    """Draw a deterministic tree of the given depth."""
    return token_trees.sample_tree(tape, size)


def sample_chancy(tape: Tape, size: int) -> Tree:
    """Draw a tree whose tokens lead to either of two children."""
    return token_trees.sample_tree(tape, min(size, 2), outcomes=2)


def sample_played(tape: Tape, size: int) -> Played:
    """Draw a tree and a policy; half of the time one even choice between almost equal rewards."""
    if tape.integer(0, 1):
        apart = Fraction(tape.integer(1, 15), 16) / 2 ** tape.integer(0, 6)
        even = np.full((1, 2), Fraction(1, 2), dtype=object)
        rewards = np.array([[apart, Fraction(0)]], dtype=object)
        sure = np.full((1, 2, 1), Fraction(1), dtype=object)
        heat = Fraction(2) ** tape.integer(-1, 1)
        return Played(Tree((rewards,), (even,), (sure,), heat), (even,))
    tree = token_trees.sample_tree(tape, size)
    return Played(tree, token_trees.sample_policy(tape, tree))


def _weight(rows: Levels, path: Path, level: int) -> Fraction:
    return math.prod(token_trees.along(rows, path, level), start=Fraction(1))


@precise
def gibbs_sides(tree: Tree) -> tuple[Side, Side]:
    """Return values of all nodes and the first policy, by induction and by all responses."""
    values, policy = token_trees.soft_values(tree)
    heat = tree.temperature
    totals, first = [], [balls.ball(0)] * policy[0].shape[1]
    for level, nodes in enumerate(values):
        for node in range(len(nodes)):
            total = balls.ball(0)
            for path in token_trees.paths(tree, level, node):
                earned = sum(token_trees.along(tree.rewards, path, level))
                weight = balls.ball(path.chance * _weight(tree.reference, path, level))
                term = weight * balls.ball(earned / heat).exp()
                total += term
                if level == 0:
                    first[path.tokens[0]] += term
            totals.append(balls.ball(heat) * total.log())
    whole = sum(first, start=balls.ball(0))
    left = np.concatenate([*values, policy[0][0]])
    right = np.array([*totals, *[term / whole for term in first]], dtype=object)
    return balls.to_bounds(left), balls.to_bounds(right)


RESPONSES = Theorem(
    id="oreo/tokens-are-responses",
    title="The soft optimum of a token tree is the Gibbs distribution over whole responses",
    source=f"{_SETTING}, Theorem 1, in the form that does not mention steps (derived here)",
    statement=(
        r"V^*(s) = \beta\log\sum_{y \succ s}\mu(y|s)\,e^{R(y|s)/\beta},\qquad \pi^*(a|s_0) = "
        r"\frac{\sum_{y \ni a}\mu(y)\,e^{R(y)/\beta}}{\sum_{y}\mu(y)\,e^{R(y)/\beta}}"
    ),
    hypotheses=(
        r"tokens lead to one next state; $\mu > 0$, $\beta > 0$; $R(y|s)$ the rewards from $s$ on",
        r"$V^*(s) = \beta\log\sum_a\mu(a|s)\,e^{(r(s,a)+V^*(s'))/\beta}$, zero at the end",
    ),
    kind="identity",
    sample=sample_tree,
    sides=gibbs_sides,
    control=Control(
        name="chance moves",
        explanation="A token leads to either of two states by chance.",
        sample=sample_chancy,
    ),
    notes=(
        "With chance moves the sum over responses also tilts the chances: it is the value of one "
        "who could choose them, and larger."
    ),
    sizes=(1, 2, 3),
    cost=3.0,
)


def _residuals(played: Played) -> tuple[Any, BallArray, BallArray]:
    """Return V*(root) - J(policy), and probability and residual R-free of each response.

    The residual is temperature * log(pi / reference) - R: with V(root) added, the sum of those of
    its steps, whatever the values in between.
    """
    tree, policy = played
    rows = [balls.balls(level) for level in policy]
    values, _ = token_trees.soft_values(tree)
    lost = values[0][0] - token_trees.policy_value(tree, rows)
    chances, residuals = [], []
    for path in token_trees.paths(tree):
        chance = _weight(policy, path, 0)
        ratio = balls.ball(chance / _weight(tree.reference, path, 0))
        earned = balls.ball(Fraction(sum(token_trees.along(tree.rewards, path))))
        chances.append(balls.ball(chance))
        residuals.append(balls.ball(tree.temperature) * ratio.log() - earned)
    return lost, np.array(chances, dtype=object), np.array(residuals, dtype=object)


def _cumulant(played: Played, centred: int) -> tuple[Side, Side]:
    lost, chances, residuals = _residuals(played)
    heat = balls.ball(played.tree.temperature)
    total = heat * (chances * balls.exp(-residuals / heat)).sum().log()
    return balls.to_bounds(lost), balls.to_bounds(total + centred * (chances * residuals).sum())


@precise
def cumulant_sides(played: Played) -> tuple[Side, Side]:
    """Return what the policy loses, and the cumulant of its centred residual."""
    return _cumulant(played, 1)


@precise
def _raw(played: Played) -> tuple[Side, Side]:
    return _cumulant(played, 0)


CUMULANT = Theorem(
    id="oreo/suboptimality-is-a-cumulant",
    title="What a policy loses is the log moment generating function of its path residual",
    source=f"Derived here; sharpens {_SETTING}, Theorem 2, which is the case of no residual",
    statement=(
        r"V^*(s_0) - J(\pi) = \beta\log\mathbb{E}_{y\sim\pi}\,e^{-(D(y) - \mathbb{E}_\pi D)/\beta},"
        r"\qquad D(y) = \sum_t V(s_t) - V(s_{t+1}) - r_t + \beta\log\frac{\pi(a_t|s_t)}"
        r"{\mu(a_t|s_t)}"
    ),
    hypotheses=(
        r"deterministic steps, $\mu, \pi > 0$, any $V$ with $V = 0$ at the end",
        r"$J(\pi) = \mathbb{E}_\pi R - \beta\,\mathrm{KL}(\pi\|\mu)$",
    ),
    kind="identity",
    sample=sample_played,
    sides=cumulant_sides,
    control=Control(
        name="mean residual kept",
        explanation="The residual is not centred.",
        sides=_raw,
    ),
    notes=(
        "So zero residual on all responses means optimal, and a residual that is the same for all "
        "responses costs nothing: only its spread under the policy's own responses does, "
        r"$\mathrm{Var}_\pi(D)/2\beta$ to second order."
    ),
    cost=2.0,
)


def _spread(played: Played, *, variance: bool) -> tuple[Side, Side]:
    lost, chances, residuals = _residuals(played)
    heat = balls.ball(played.tree.temperature)
    if variance:
        mean = (chances * residuals).sum()
        bound = (chances * squared(residuals - mean)).sum() / (2 * heat)
    else:
        bound = squared(balls.largest(residuals) + balls.largest(-residuals)) / (8 * heat)
    return balls.to_bounds(lost), balls.to_bounds(bound)


@precise
def spread_sides(played: Played) -> tuple[Side, Side]:
    """Return what the policy loses and a multiple of the squared range of its residual."""
    return _spread(played, variance=False)


@precise
def _second_order(played: Played) -> tuple[Side, Side]:
    return _spread(played, variance=True)


@precise
def uneven(played: Played) -> bool:
    """Whether the policy is visibly not optimal: enclosures of two zeros could not tell."""
    _, _, residuals = _residuals(played)
    found = [float(x.mid()) for x in residuals]
    return max(found) - min(found) > 2.0**-12


SPREAD = Theorem(
    id="oreo/loss-bounds-suboptimality",
    title="What a policy loses is at most the squared range of its path residual over eight",
    source="Derived here, from oreo/suboptimality-is-a-cumulant and Hoeffding's lemma (1963)",
    statement=(r"V^*(s_0) - J(\pi) \le \frac{(\max_y D(y) - \min_y D(y))^2}{8\beta}"),
    hypotheses=(
        r"as in oreo/suboptimality-is-a-cumulant; the range is over all responses",
        r"the range is at least $2^{-12}$, so that enclosures can tell",
    ),
    kind="inequality",
    sample=sample_played,
    sides=spread_sides,
    admissible=uneven,
    control=Control(
        name="variance instead of range",
        explanation=r"The bound is $\mathrm{Var}_\pi(D)/2\beta$, the second order alone.",
        sides=_second_order,
    ),
    notes="Approached by even choices between two almost equal responses.",
    sharpness=0.99,
    cost=3.0,
)


THEOREMS = (RESPONSES, CUMULANT, SPREAD)
