"""The cliff walk that several figures share: reach the goal along a row of pits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.tabular import DiscountedMDP
from rltheory.tabular.generators import gridworld

LAYOUT = ("..........", "..........", "...##.....", "..........", "SPPPPPPPPG")


def cliff(
    layout: tuple[str, ...] = LAYOUT, *, slip: float = 0.02, discount: float = 0.9
) -> DiscountedMDP:
    """Return a grid whose values are the discounted probabilities of reaching a goal.

    The reward is paid for being at a goal, 1 - discount a step, so that it depends on the state
    alone and an adversary who changes transitions changes what is earned.
    """
    mdp = gridworld(layout, slip=slip, goal=0.0, pit=0.0, step=0.0, discount=discount)
    at_goal = kinds(layout) == "G"
    rewards = np.repeat(np.where(at_goal, 1.0 - discount, 0.0)[:, None], mdp.actions, axis=1)
    return mdp.replace(rewards=rewards)


def kinds(layout: tuple[str, ...] = LAYOUT) -> NDArray[np.str_]:
    """Return the character of each state, shape (S,)."""
    cells = np.array([list(row) for row in layout])
    return np.asarray(cells[cells != "#"])


def places(layout: tuple[str, ...] = LAYOUT) -> NDArray[Any]:
    """Return the (row, column) of each state, shape (S, 2)."""
    return np.argwhere(np.array([list(row) for row in layout]) != "#")
