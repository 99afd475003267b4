"""Gridworlds as linear MDPs: a factor is a cell that a move lands on, features say how likely.

What happens on landing is the factor's measure: on the frozen lake the ice may crack, in the windy
gridworld one may be blown on. So an adversary against the factors strengthens cracks or wind cell
by cell, while what the moves themselves do is known. The goal pays 1 for an action taken on it and
the game is over; it is over in a pit too, in one state that absorbs without reward. A value is
therefore the probability of being on the goal with an action left, its robust value the least one.
Sources: Brockman et al. (2016), FrozenLake; Sutton and Barto (2018), examples 6.5 and 6.6, for wind
and a cliff. That they are d-rectangular is worked out here.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.arrays import check_positive_integer, check_range
from rltheory.linear_mdp.mdp import LinearMDP

MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))
"""Steps (row, column) of the actions left, down, right and up."""

LAKES = {
    4: "S.../.P.P/...P/P..G",
    8: "S......./......../...P..../.....P../...P..../.PP...P./.P..P.P./...P...G",
}
"""The two lakes: free cells ".", the start "S", pits "P" and the goal "G"."""

CLIFF = "....../....../....../SPPPPG"
"""A cliff between the start and the goal."""

_BLOCKED = -1


def linear_frozen_lake(
    *, size: int = 4, slip: float = 2.0 / 3.0, crack: float = 0.01, horizon: int = 20
) -> LinearMDP:
    """Return a slippery lake, S = 13 and d = 14 for `size` 4, S = 55 and d = 56 for 8; A = 4.

    slip: probability that a move goes to one of the two sides of its direction, half each. crack:
    probability that the ice gives way under a cell landed on, which ends the game; with 0, where
    Kullback-Leibler and chi-square balls hold nothing but their centre, it is the lake of the
    source. horizon: H, of which the last action is only good for being paid.

    States: the cells that are not pits in reading order, last what is over, the fail state.
    Raises ValueError naming what does not fit.
    """
    if size not in list(LAKES):
        raise ValueError(f"size is {size!r}; expected 4 or 8")
    chance = check_range(crack, "crack", 0.0, 1.0)
    cells = _cells(LAKES[size])
    over = np.count_nonzero(cells != "P")
    return _grid(cells, slip, chance, np.full(over, over), horizon)


def linear_gridworld(
    layout: str | Sequence[str] = CLIFF,
    *,
    slip: float = 0.0,
    wind: float = 0.2,
    horizon: int = 11,
) -> LinearMDP:
    """Return a gridworld of A = 4 moves in which the wind blows down the rows.

    layout: rows of equal length, or one string with "/" between them, of free cells ".", starts
    "S", pits "P", goals "G" and walls "#". slip: as in `linear_frozen_lake`. wind: probability
    that one is blown from a cell landed on, unless it is a goal, to the next below it, unless that
    is blocked. Starts are equally likely.

    States: the cells that are neither pits nor walls in reading order, S - 1 of them, last what is
    over, the fail state; d = S + 1. Raises TypeError or ValueError naming what does not fit.
    """
    chance = check_range(wind, "wind", 0.0, 1.0)
    cells = _cells(layout)
    below = _neighbours(cells)[:, MOVES.index((1, 0))]
    return _grid(cells, slip, chance, below, horizon)


def _grid(
    cells: NDArray[np.str_], slip: float, chance: float, moved: NDArray[Any], horizon: int
) -> LinearMDP:
    """Return the model in which landing on cell i leads to state moved[i] with this chance."""
    sideways = check_range(slip, "slip", 0.0, 1.0)
    steps = check_positive_integer(horizon, "horizon")
    kinds = cells[(cells != "#") & (cells != "P")]
    over = len(kinds)
    paid, ended = over, over + 1
    goals = kinds == "G"
    features = np.zeros((over + 1, len(MOVES), over + 2))
    neighbours = _neighbours(cells)
    # A state of the game that is over is landed on by its own factor.
    neighbours[neighbours == over] = ended
    for action in range(len(MOVES)):
        # The sides of a direction are its neighbours in the order of MOVES.
        for turn, weight in ((0, 1.0 - sideways), (1, sideways / 2), (-1, sideways / 2)):
            landing = neighbours[:, (action + turn) % len(MOVES)]
            features[np.arange(over), action, landing] += weight
    features[:over][goals] = np.eye(over + 2)[paid]
    features[over, :, ended] = 1.0
    measure = np.zeros((over + 2, over + 1))
    free = np.flatnonzero(~goals)
    measure[:over, :over] = np.eye(over)
    measure[free, free] -= chance
    measure[free, moved[free]] += chance
    measure[[paid, ended], over] = 1.0
    starts = np.append(kinds == "S", False)
    return LinearMDP(
        features,
        np.broadcast_to(measure, (steps, *measure.shape)),
        np.broadcast_to(np.eye(over + 2)[paid], (steps, over + 2)),
        starts / starts.sum(),
        fail_state=over,
    )


def _neighbours(cells: NDArray[np.str_]) -> NDArray[Any]:
    """Return for each cell in the game the state (cells, moves) that a move leads to."""
    inside = (cells != "#") & (cells != "P")
    over = np.count_nonzero(inside)
    number = np.where(cells == "P", over, _BLOCKED)
    number[inside] = np.arange(over)
    padded = np.pad(number, 1, constant_values=_BLOCKED)
    places = np.argwhere(inside) + 1
    ahead = np.stack([padded[tuple((places + move).T)] for move in MOVES], axis=1)
    return np.where(ahead == _BLOCKED, np.arange(over)[:, None], ahead)


def _cells(layout: str | Sequence[str]) -> NDArray[np.str_]:
    rows = layout.split("/") if isinstance(layout, str) else layout
    if not isinstance(rows, Sequence) or not all(isinstance(row, str) for row in rows):
        raise TypeError(f"layout is {layout!r}; expected a string, or a list of them")
    if not rows or not rows[0] or len({len(row) for row in rows}) != 1:
        raise ValueError(f"layout is {rows!r}; expected rows of one length of at least 1")
    cells = np.array([list(row) for row in rows])
    for kind in "SG":
        if not np.any(cells == kind):
            raise ValueError(f"layout has no {kind!r}; expected a start 'S' and a goal 'G'")
    unknown = sorted(set(cells.ravel()) - set(".#SGP"))
    if unknown:
        raise ValueError(f"layout has the character {str(unknown[0])!r}; expected . # S G or P")
    return cells
