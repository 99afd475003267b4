"""Tic-tac-toe with all moves seen: a game of perfect information whose value is 0."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache

from rltheory.games.forms.tree import TERMINAL
from rltheory.games.rules.boards import cell_names

SIDE = 3
_CELLS = cell_names(SIDE, SIDE)
_LINES = (
    *(frozenset(_CELLS[SIDE * i : SIDE * i + SIDE]) for i in range(SIDE)),
    *(frozenset(_CELLS[i::SIDE]) for i in range(SIDE)),
    frozenset(_CELLS[:: SIDE + 1]),
    frozenset(_CELLS[SIDE - 1 : -1 : SIDE - 1]),
)

State = tuple[str, ...]
"""The cells taken, the players in turn."""


@dataclass(frozen=True)
class TicTacToe:
    """The rules; a history is an information set, so there are some 300,000."""

    @property
    def players(self) -> int:
        """Two."""
        return 2

    def start(self) -> State:
        """The empty board."""
        return ()

    def to_move(self, taken: State) -> int:
        """In turn until three in a row or a full board."""
        over = len(taken) == len(_CELLS) or _wins(frozenset(taken[(len(taken) + 1) % 2 :: 2]))
        return TERMINAL if over else len(taken) % 2

    def actions(self, taken: State) -> Sequence[str]:
        """The free cells."""
        return [cell for cell in _CELLS if cell not in taken]

    def after(self, taken: State, action: str) -> State:
        """One more cell taken."""
        return (*taken, action)

    def probabilities(self, taken: State) -> Sequence[float]:
        """Nature never moves."""
        return []

    def information(self, taken: State) -> Hashable:
        """All moves."""
        return " ".join(taken)

    def payoffs(self, taken: State) -> Sequence[float]:
        """1 for three in a row, against the other; 0 for a draw."""
        last = (len(taken) + 1) % 2
        if not _wins(frozenset(taken[last::2])):
            return (0.0, 0.0)
        return (1.0, -1.0) if last == 0 else (-1.0, 1.0)


@cache
def _wins(cells: frozenset[str]) -> bool:
    """Whether some line is full."""
    return any(line <= cells for line in _LINES)
