"""Tabular worlds for online learning: a lock of two threads, a river, a small game of blocks.

All are exact EpisodicMDPs with rewards in [0, 1]. Sources, each with the rules restated here: locks
of latent states as in Song et al. (2022), after Kakade (2003); RiverSwim of Strehl and Littman
(2008); the game of blocks after Melax's reduced Tetris, in the form of two rows.
"""

import numpy as np

from rltheory.analysis.arrays import as_generator, check_positive_integer, check_range
from rltheory.tabular.generators import river_swim
from rltheory.tabular.mdp import EpisodicMDP

PIECES = {"dot": ("#.", ".."), "bar": ("##", ".."), "corner": ("##", "#.")}
"""The pieces of `block_game`, which come evenly; every action turns them and puts them down."""


def two_thread_lock(
    length: int = 10,
    actions: int = 4,
    *,
    seed: int | np.random.Generator,
    distractor: float = 0.1,
    slip: float = 0.0,
) -> EpisodicMDP:
    """Return a lock with H = length, S = 3 length and A = actions >= 2.

    Each step has two good states and a bad one. The right action of a good state, its own, leads to
    either good state of the next step, evenly; every other one to the bad state, for ever. The
    right action of the last step pays 1, action 0 of the first step pays `distractor`, and is never
    right. seed: draws the right actions. slip: probability that a right action before the last step
    leads to the bad state.

    The best value is (1 - slip)^(length - 1), above the distractor as is checked; a uniform policy
    opens the lock with probability A^-length, at most.
    """
    steps = check_positive_integer(length, "length")
    count = check_positive_integer(actions, "actions")
    if count < 2:
        raise ValueError(f"actions is {actions}; expected at least 2, one of which walks away")
    if steps < 2:
        raise ValueError(f"length is {length}; expected at least 2 steps")
    rng = as_generator(seed)
    fails = check_range(slip, "slip", 0.0, 1.0)
    tempting = check_range(distractor, "distractor", 0.0, 1.0)
    if not tempting < (1.0 - fails) ** (steps - 1):
        raise ValueError(
            f"distractor is {tempting:g}; expected less than the lock's value "
            f"{(1.0 - fails) ** (steps - 1):g}"
        )
    right = rng.integers(1, count, size=(steps, 2))
    transitions = np.zeros((steps, 3 * steps, count, 3 * steps))
    rewards = np.zeros((steps, 3 * steps, count))
    # States of other steps never occur; they stay where they are.
    transitions[:, np.arange(3 * steps), :, np.arange(3 * steps)] = 1.0
    for h in range(steps):
        after = 3 * min(h + 1, steps - 1)
        transitions[h, 3 * h : 3 * h + 3] = 0.0
        transitions[h, 3 * h : 3 * h + 3, :, after + 2] = 1.0
        for s, a in enumerate(right[h]):
            transitions[h, 3 * h + s, a, after + 2] = fails
            transitions[h, 3 * h + s, a, after : after + 2] = (1.0 - fails) / 2
            if h == steps - 1:
                rewards[h, 3 * h + s, a] = 1.0
    rewards[0, :2, 0] = tempting
    return EpisodicMDP(transitions, rewards, np.r_[0.5, 0.5, np.zeros(3 * steps - 2)])


def episodic_river(states: int = 6, horizon: int = 20) -> EpisodicMDP:
    """Return RiverSwim over `horizon` steps from the left bank: S = states, A = 2.

    Its transitions and rewards are those of `rltheory.tabular.generators.river_swim`, rewards
    divided by their largest.
    """
    base = river_swim(states).to_dense()
    steps = check_positive_integer(horizon, "horizon")
    start = np.eye(base.states)[0]
    return EpisodicMDP.stationary(base.transitions, base.rewards / base.rewards.max(), steps, start)


def block_game(width: int = 3, horizon: int = 6) -> EpisodicMDP:
    """Return a game of blocks on `width` columns, two rows: S = 3 * 4^width, A = 4 (width - 1).

    State b * 3 + p: board b, of bits row * width + column from the bottom, and the piece p of
    `PIECES` to be put down, where action 4 c + r turns it r times clockwise and drops it on columns
    c and c + 1. It falls until it rests; full rows vanish; then, while anything is above the second
    row, the lowest row is lost. The reward is 1 less half the rows lost, at most two. It starts
    with an empty board; pieces are even. 2 <= width <= 4.
    """
    columns = check_positive_integer(width, "width")
    if not 2 <= columns <= 4:
        raise ValueError(f"width is {width}; expected 2, 3 or 4")
    steps = check_positive_integer(horizon, "horizon")
    shapes = [[[mark == "#" for mark in row] for row in rows] for rows in PIECES.values()]
    kinds, boards = len(shapes), 4**columns
    actions = 4 * (columns - 1)
    kernel = np.zeros((boards * kinds, actions, boards * kinds))
    rewards = np.zeros((boards * kinds, actions))
    for state in range(boards * kinds):
        board = _rows(state // kinds, columns)
        for action in range(actions):
            piece = np.rot90(shapes[state % kinds], -(action % 4))
            after, lost = _drop(board, piece, action // 4)
            number = int((after.ravel() * 2 ** np.arange(2 * columns)).sum())
            kernel[state, action, kinds * number : kinds * number + kinds] = 1.0 / kinds
            rewards[state, action] = 1.0 - lost / 2
    start = np.zeros(boards * kinds)
    start[:kinds] = 1.0 / kinds
    return EpisodicMDP.stationary(kernel, rewards, steps, start)


def needle(
    states: int = 4,
    actions: int = 4,
    *,
    gap: float,
    horizon: int = 6,
    seed: int | np.random.Generator,
) -> EpisodicMDP:
    """Return the family behind lower bounds: one pair of many is better, and by `gap` only.

    H = horizon >= 2, S = states + 2. An episode starts in one of `states` doors, evenly. Every
    action there leads with probability 1/2 to a state that pays 1 in each of the steps left, and
    else to one that pays nothing; one action of each door, drawn by the seed, with probability
    1/2 + gap. A uniform policy loses gap (1 - 1/A) (H - 1) per episode; with the gap in proportion
    to (S A / T)^(1/2), no learner's regret in T episodes grows more slowly than T^(1/2).
    Source: after Lattimore and Szepesvari (2020), sections 15.2 and 38.7.
    """
    doors = check_positive_integer(states, "states")
    count = check_positive_integer(actions, "actions")
    steps = check_positive_integer(horizon, "horizon")
    if steps < 2:
        raise ValueError(f"horizon is {horizon}; expected at least 2")
    rng = as_generator(seed)
    better = check_range(gap, "gap", 0.0, 0.5)
    kernel = np.zeros((steps, doors + 2, count, doors + 2))
    rewards = np.zeros((steps, doors + 2, count))
    kernel[:, np.arange(doors + 2), :, np.arange(doors + 2)] = 1.0
    kernel[0, :doors] = 0.0
    kernel[0, :doors, :, doors:] = 0.5
    chosen = rng.integers(count, size=doors)
    kernel[0, np.arange(doors), chosen, doors:] = [0.5 + better, 0.5 - better]
    rewards[1:, doors] = 1.0
    return EpisodicMDP(kernel, rewards, np.r_[np.full(doors, 1.0 / doors), 0.0, 0.0])


def _rows(board: int, columns: int) -> np.ndarray:
    """Return the cells of a board, (2, columns), the bottom row first."""
    return np.array([board >> k & 1 for k in range(2 * columns)]).reshape(2, columns)


def _drop(board: np.ndarray, piece: np.ndarray, column: int) -> tuple[np.ndarray, int]:
    """Return the board (2, columns) after a piece came down, and the rows lost."""
    cells = np.zeros((6, board.shape[1]), dtype=np.int64)
    cells[:2] = board
    shape = piece[::-1].astype(np.int64)
    # Nothing hangs below the piece, so that it may lie on the floor by its lowest cells.
    shape = shape if shape[0].any() else np.vstack([shape[1], np.zeros(2, dtype=np.int64)])
    low = 4
    while low > 0 and not (cells[low - 1 : low + 1, column : column + 2] & shape).any():
        low -= 1
    cells[low : low + 2, column : column + 2] |= shape
    kept = cells[~cells.all(axis=1)]
    cells = np.vstack([kept, np.zeros((6 - len(kept), board.shape[1]), dtype=np.int64)])
    lost = 0
    while cells[2:].any():
        cells = np.vstack([cells[1:], np.zeros((1, board.shape[1]), dtype=np.int64)])
        lost += 1
    return cells[:2], lost
