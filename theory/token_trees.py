"""Token trees in balls: soft values, policies and residuals of every path, for theorem records.

A node offers K tokens; a token leads to one of C children by chance (C = 1: deterministic, a tree
of responses). Nodes of a level are numbered with the first choice as the leading digit.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.rational import FractionArray
from rltheory.theory import balls
from rltheory.theory.balls import BallArray
from rltheory.theory.exact import fractions
from rltheory.theory.tape import Tape

Levels = tuple[FractionArray, ...]
"""One array (n_t, K) for each level t, over its n_t nodes and the tokens."""


class Tree(NamedTuple):
    """Rewards and a positive reference by level, chances (n_t, K, C), and what a nat costs."""

    rewards: Levels
    reference: Levels
    chances: tuple[FractionArray, ...]
    temperature: Fraction


class Path(NamedTuple):
    """One way through the tree: nodes, tokens and outcomes by level, and the chance of these."""

    nodes: tuple[int, ...]
    tokens: tuple[int, ...]
    chance: Fraction


def sample_rows(tape: Tape, shape: tuple[int, int]) -> FractionArray:
    """Draw rows of positive probabilities."""
    weights = fractions(tape.dyadic(shape, 2.0**-4, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def sample_tree(tape: Tape, depth: int, outcomes: int = 1) -> Tree:
    """Draw a tree of 2 or 3 tokens (2 where outcomes are by chance), rewards in [-1, 1]."""
    tokens = tape.integer(2, 3) if outcomes == 1 else 2
    rewards, reference, chances, nodes = [], [], [], 1
    for _ in range(depth):
        rewards.append(fractions(tape.dyadic((nodes, tokens), -1.0, 1.0)))
        reference.append(sample_rows(tape, (nodes, tokens)))
        odds = fractions(tape.dyadic((nodes, tokens, outcomes), 2.0**-2, 1.0))
        chances.append(odds / odds.sum(axis=2, keepdims=True))
        nodes *= tokens * outcomes
    heat = Fraction(2) ** tape.integer(-2, 2)
    return Tree(tuple(rewards), tuple(reference), tuple(chances), heat)


def sample_policy(tape: Tape, tree: Tree) -> Levels:
    """Draw a positive policy of a tree."""
    return tuple(sample_rows(tape, (len(r), r.shape[1])) for r in tree.rewards)


def child(tree: Tree, level: int, node: int, token: int, outcome: int) -> int:
    """Return the number of a child within the next level."""
    _, tokens, outcomes = tree.chances[level].shape
    return int((node * tokens + token) * outcomes + outcome)


def following(tree: Tree, level: int, values: BallArray) -> BallArray:
    """Return the values (n, K, C) of the children of a level, given those of the next level."""
    shape = tree.chances[level].shape
    if level + 1 == len(tree.rewards):
        return balls.balls(np.full(shape, Fraction(0), dtype=object))
    return values.reshape(shape)


def soft_values(tree: Tree) -> tuple[list[BallArray], list[BallArray]]:
    """Return the optimal values (n_t,) and policy (n_t, K) of every level."""
    heat, depth = balls.ball(tree.temperature), len(tree.rewards)
    values: list[BallArray] = [np.array([])] * depth
    policy: list[BallArray] = [np.array([])] * depth
    last: BallArray = np.array([])
    for t in reversed(range(depth)):
        after = (balls.balls(tree.chances[t]) * following(tree, t, last)).sum(axis=2)
        tilted = balls.balls(tree.reference[t]) * balls.exp(
            (balls.balls(tree.rewards[t]) + after) / heat
        )
        total = tilted.sum(axis=1)
        last = heat * balls.log(total)
        values[t], policy[t] = last, tilted / total[:, None]
    return values, policy


def policy_value(tree: Tree, policy: list[BallArray]) -> Any:
    """Return reward less temperature times divergence from the reference, from the root."""
    heat, last = balls.ball(tree.temperature), np.array([])
    for t in reversed(range(len(tree.rewards))):
        after = (balls.balls(tree.chances[t]) * following(tree, t, last)).sum(axis=2)
        logs = balls.log(policy[t]) - balls.log(balls.balls(tree.reference[t]))
        last = (policy[t] * (balls.balls(tree.rewards[t]) + after - heat * logs)).sum(axis=1)
    return last[0]


def paths(tree: Tree, level: int = 0, node: int = 0) -> list[Path]:
    """Return all ways from a node to the end."""
    if level == len(tree.rewards):
        return [Path((), (), Fraction(1))]
    found = []
    _, tokens, outcomes = tree.chances[level].shape
    for token in range(tokens):
        for outcome in range(outcomes):
            chance = tree.chances[level][node, token, outcome]
            below = child(tree, level, node, token, outcome)
            found += [
                Path((node, *rest.nodes), (token, *rest.tokens), chance * rest.chance)
                for rest in paths(tree, level + 1, below)
            ]
    return found


def along(levels: tuple[Any, ...] | list[Any], path: Path, level: int = 0) -> list[Any]:
    """Return the entries of arrays by level that a path from `level` meets."""
    return [
        levels[level + t][node, token]
        for t, (node, token) in enumerate(zip(path.nodes, path.tokens, strict=True))
    ]


def squared(ball: Any) -> Any:
    """Return balls squared; a power of a ball that holds zero would go through a logarithm."""
    return ball * ball
