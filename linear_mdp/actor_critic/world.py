"""A tabular model as compiled code walks it: possible successors only, and states that can occur.

A pair's row keeps the next states of positive probability; a state is live at a step if some
policy meets it there, and the learners leave the others alone, which changes nothing they play.
Source: rows as in compressed sparse matrices; liveness is forward reachability.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray, IntArray, as_float_array, check_finite
from rltheory.tabular.mdp import EpisodicMDP, check_episodic


class World(NamedTuple):
    """The model that is played in; rows of pairs are numbered (h S + s) A + a.

    initial (S,): probabilities. starts (HSA + 1,): where the rows begin. successors,
    probabilities, cumulative (n,): the rows one after another. rewards (H, S, A). live (H, S):
    the states that can occur, in front; lives (H,): how many. ceilings (H + 1,): the most that
    can be earned from a step on, 0 last.
    """

    initial: Any
    starts: Any
    successors: Any
    probabilities: Any
    cumulative: Any
    rewards: Any
    live: Any
    lives: Any
    ceilings: Any


def world_of(mdp: EpisodicMDP) -> World:
    """Return the compiled form of a model with rewards >= 0 and all actions available.

    Raises TypeError for another model, ValueError for rewards that are negative or missing.
    """
    check_episodic(mdp)
    states = mdp.states
    if not mdp.available.all():
        raise ValueError("mdp has unavailable actions; expected all of them available everywhere")
    if mdp.rewards.min() < 0.0:
        raise ValueError(f"rewards holds {mdp.rewards.min():g}; expected numbers of at least 0")
    kernel = np.ascontiguousarray(mdp.transitions).reshape(-1, states)
    rows, successors = np.nonzero(kernel)
    probabilities = kernel[rows, successors]
    starts = np.zeros(len(kernel) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(kernel)), out=starts[1:])
    cumulative = np.cumsum(probabilities)
    before = np.concatenate([[0.0], cumulative])[starts[:-1]]
    live, lives = _live(mdp)
    tops = mdp.rewards.max(axis=(1, 2))
    return World(
        initial=np.ascontiguousarray(mdp.initial, dtype=np.float64),
        starts=starts,
        successors=successors.astype(np.int64),
        probabilities=probabilities,
        cumulative=cumulative - before[rows],
        rewards=np.array(mdp.rewards, dtype=np.float64, order="C"),
        live=live,
        lives=lives,
        ceilings=np.concatenate([np.cumsum(tops[::-1])[::-1], [0.0]]),
    )


def live_pairs(world: World) -> IntArray:
    """Return the number of pairs that can occur at each step, (H,)."""
    return np.asarray(world.lives * world.rewards.shape[2])


def counts_of(world: World, offline: Any) -> FloatArray:
    """Return counts (H, S, A, S) of transitions as numbers along the rows of the world.

    Raises ValueError if they are negative, no integers, or count what cannot happen.
    """
    horizon, states, actions = world.rewards.shape
    given = as_float_array(offline, "offline", (horizon, states, actions, states))
    check_finite(given, "offline")
    if given.min() < 0 or not np.array_equal(given, np.floor(given)):
        raise ValueError("offline holds negative numbers or fractions; expected counts")
    rows = np.repeat(np.arange(horizon * states * actions), np.diff(world.starts))
    counts = given.reshape(-1, states)[rows, world.successors]
    if counts.sum() != given.sum():
        raise ValueError("offline counts transitions of probability 0; expected data of this model")
    return np.asarray(counts)


def _live(mdp: EpisodicMDP) -> tuple[IntArray, IntArray]:
    horizon, states, _ = mdp.rewards.shape
    live = np.zeros((horizon, states), dtype=np.int64)
    lives = np.zeros(horizon, dtype=np.int64)
    can = np.asarray(mdp.initial) > 0.0
    for h in range(horizon):
        here = np.flatnonzero(can)
        live[h, : len(here)], lives[h] = here, len(here)
        can = (mdp.transitions[h][here] > 0.0).any(axis=(0, 1))
    return live, lives
