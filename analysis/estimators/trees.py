"""Sampling models whose responses are grown choice by choice: token trees and MDP trajectories."""

from collections.abc import Callable
from typing import Any

import numpy as np

from rltheory.analysis.arrays import (
    FloatArray,
    IntArray,
    as_float_array,
    check_distributions,
    check_finite,
    check_positive_integer,
    check_range,
)
from rltheory.analysis.estimators.parametrisations import parametrisation_of
from rltheory.analysis.estimators.sampling_model import SamplingModel

MOST_RESPONSES = 2**22
"""More responses than this are refused: every one of them is enumerated."""


def token_tree(
    vocabulary: int,
    depth: int,
    rewards: FloatArray | Callable[[int, tuple[int, ...]], float],
    *,
    end_token: int | None = None,
    weights: FloatArray | None = None,
    parametrisation: Any = "tabular",
) -> SamplingModel:
    """Return a model that answers each prompt with a sequence of tokens 0 to `vocabulary` - 1.

    A response has `depth` tokens, or ends earlier with `end_token`, if there is one. Responses are
    ordered by length, then as numbers; `token_sequences` lists them. Rows are the prefixes in the
    same order, prompt after prompt.
    rewards: (m, n) for each prompt and response, or a function of the prompt and the tokens, then
    for as many prompts as there are weights. weights: (m,), uniform or one prompt by default.
    parametrisation: "tabular", features (m * prefixes, vocabulary, k), or a Parametrisation.
    """
    tokens, nodes, prefixes = _tree(vocabulary, depth, end_token)
    n = len(tokens)
    if callable(rewards):
        m = 1 if weights is None else len(np.asarray(weights))
        words = [tuple(int(v) for v in row if v >= 0) for row in tokens]
        table = np.array([[rewards(x, word) for word in words] for x in range(m)], dtype=float)
    else:
        table = as_float_array(rewards, "rewards", (None, n))
        m = len(table)
    shift = np.repeat(np.arange(m) * prefixes, n)[:, None]
    rows = np.tile(nodes, (m, 1))
    return SamplingModel(
        weights=np.full(m, 1.0 / m) if weights is None else weights,
        starts=np.arange(m + 1) * n,
        rewards=table.ravel(),
        rows=np.where(rows >= 0, rows + shift, -1),
        actions=np.tile(tokens, (m, 1)),
        parametrisation=parametrisation_of(parametrisation, m * prefixes, vocabulary),
    )


def token_sequences(vocabulary: int, depth: int, *, end_token: int | None = None) -> IntArray:
    """Return the responses of `token_tree` in its order, (n, depth), -1 past the end."""
    return _tree(vocabulary, depth, end_token)[0]


def prefix_sequences(vocabulary: int, depth: int, *, end_token: int | None = None) -> IntArray:
    """Return the prefixes of `token_tree` in the order of its rows, (prefixes, depth), -1 after."""
    tokens, nodes, prefixes = _tree(vocabulary, depth, end_token)
    found = np.full((prefixes, depth), -1)
    for t in range(1, depth):
        there = nodes[:, t] >= 0
        found[nodes[there, t], :t] = tokens[there, :t]
    return found


def episodes(
    transitions: FloatArray,
    rewards: FloatArray,
    initial: FloatArray,
    *,
    horizon: int,
    discount: float = 1.0,
    stationary: bool = True,
    parametrisation: Any = "tabular",
) -> SamplingModel:
    """Return the trajectories of a finite MDP over `horizon` steps as a model of one prompt.

    transitions: (S, A, S); rewards: (S, A); initial: (S,). A response is a trajectory of positive
    chance; its reward is the sum over t of discount^t times what is paid. Rows are states, or
    pairs of time and state (row t * S + s) if the policy is not `stationary`.
    """
    kernel = as_float_array(transitions, "transitions", (None, None, None))
    states, actions, _ = kernel.shape
    kernel = as_float_array(kernel, "transitions", (states, actions, states))
    payments = as_float_array(rewards, "rewards", (states, actions))
    start = as_float_array(initial, "initial", (states,))
    check_distributions(kernel, "transitions")
    check_distributions(start, "initial")
    check_finite(payments, "rewards")
    check_positive_integer(horizon, "horizon")
    check_range(discount, "discount", 0.0, 1.0)
    _check_trajectories(kernel, start, horizon)
    visited = np.flatnonzero(start > 0)[:, None]
    chances = start[visited[:, 0]]
    taken = np.zeros((len(visited), 0), dtype=np.int64)
    for t in range(horizon):
        chances, visited = np.repeat(chances, actions), np.repeat(visited, actions, axis=0)
        choice = np.tile(np.arange(actions), len(taken))
        taken = np.column_stack([np.repeat(taken, actions, axis=0), choice])
        if t + 1 < horizon:
            following = kernel[visited[:, -1], choice]
            path, state = np.nonzero(following)
            chances = chances[path] * following[path, state]
            visited, taken = np.column_stack([visited[path], state]), taken[path]
    returns = payments[visited, taken] @ discount ** np.arange(horizon)
    rows = visited if stationary else visited + states * np.arange(horizon)
    count = states if stationary else states * horizon
    return SamplingModel(
        weights=np.ones(1),
        starts=np.array([0, len(returns)]),
        rewards=returns,
        rows=rows,
        actions=taken,
        parametrisation=parametrisation_of(parametrisation, count, actions),
        chances=chances,
    )


def _tree(vocabulary: int, depth: int, end_token: int | None) -> tuple[IntArray, IntArray, int]:
    """Return tokens (n, depth) and prefix numbers (n, depth), -1 past the end, and their count."""
    check_positive_integer(vocabulary, "vocabulary")
    check_positive_integer(depth, "depth")
    if end_token is not None and not (0 <= end_token < vocabulary and vocabulary > 1):
        raise ValueError(
            f"end_token is {end_token}; expected one of several tokens 0 to {vocabulary - 1}"
        )
    alive, done = 1, 0
    for _ in range(depth):
        done += alive if end_token is not None else 0
        alive *= vocabulary - (end_token is not None)
        _check_count(done + alive)
    tokens = np.full((1, depth), -1)
    nodes = np.full((1, depth), -1)
    done_tokens, done_nodes, prefixes = [], [], 0
    for t in range(depth):
        nodes[:, t] = prefixes + np.arange(len(nodes))
        prefixes += len(nodes)
        added = np.tile(np.arange(vocabulary), len(nodes))
        tokens, nodes = np.repeat(tokens, vocabulary, axis=0), np.repeat(nodes, vocabulary, axis=0)
        tokens[:, t] = added
        ended = (added == end_token) | (t + 1 == depth)
        done_tokens.append(tokens[ended])
        done_nodes.append(nodes[ended])
        tokens, nodes = tokens[~ended], nodes[~ended]
    return np.concatenate(done_tokens), np.concatenate(done_nodes), prefixes


def _check_trajectories(kernel: FloatArray, start: FloatArray, horizon: int) -> None:
    # Python's integers: there may be more trajectories than fit 64 bits.
    follow = (kernel > 0).sum(axis=1).astype(object)
    count = (start > 0).astype(object)
    for t in range(horizon):
        _check_count(int(count.sum()) * kernel.shape[1])
        count = count @ follow


def _check_count(count: int) -> None:
    if count > MOST_RESPONSES:
        raise ValueError(
            f"the model has at least {count} responses; at most {MOST_RESPONSES} are enumerated"
        )
