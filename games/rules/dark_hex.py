"""Dark hex: hex in which the players do not see each other's stones (Bedir, Hayward, 2021).

The first player joins the top row with the bottom, the second the left column with the right. A
player who tries a cell that the other holds learns it, and tries again ("classical") or loses the
turn ("abrupt"). The rules are OpenSpiel's.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from rltheory.games.forms.tree import TERMINAL
from rltheory.games.rules.boards import cell_name, cell_names
from rltheory.games.rules.parameters import check_choice, check_count, check_flag

VERSIONS = ("classical", "abrupt")
CELLS_ALLOWED = 6


class Board(NamedTuple):
    """A state. stones: who holds each cell, -1 nobody. tries: what each player tried, in order.

    A try is the number of all tries before it, and the cell.
    """

    mover: int
    stones: tuple[int, ...]
    tries: tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]

    @property
    def number(self) -> int:
        """The number of all tries."""
        return len(self.tries[0]) + len(self.tries[1])


@dataclass(frozen=True)
class DarkHex:
    """The rules. count_seen: whether the players know how many cells have been tried in all."""

    rows: int = 2
    columns: int = 2
    version: str = "classical"
    count_seen: bool = True

    def __post_init__(self) -> None:
        check_count(self.rows, "rows", 2, CELLS_ALLOWED // 2)
        check_count(self.columns, "columns", 2, CELLS_ALLOWED // 2)
        check_choice(self.version, "version", VERSIONS)
        check_flag(self.count_seen, "count_seen")
        if self.rows * self.columns > CELLS_ALLOWED:
            raise ValueError(
                f"rows * columns is {self.rows * self.columns}; expected at most {CELLS_ALLOWED} "
                "cells, as larger boards have too many histories"
            )

    @property
    def players(self) -> int:
        """Two."""
        return 2

    def start(self) -> Board:
        """The empty board."""
        return Board(0, (-1,) * (self.rows * self.columns), ((), ()))

    def to_move(self, board: Board) -> int:
        """In turn, but for failed tries in the classical version."""
        return board.mover

    def actions(self, board: Board) -> Sequence[str]:
        """The cells that the mover has not tried."""
        tried = {cell for _, cell in board.tries[board.mover]}
        return [
            cell_name(cell, self.columns) for cell in range(len(board.stones)) if cell not in tried
        ]

    def after(self, board: Board, action: str) -> Board:
        """The board after a try."""
        mover, stones = board.mover, list(board.stones)
        cell = cell_names(self.rows, self.columns).index(action)
        tries = list(board.tries)
        tries[mover] += ((board.number, cell),)
        free = stones[cell] < 0
        if free:
            stones[cell] = mover
        if free and _joined(tuple(stones), mover, self.columns):
            turn = TERMINAL
        else:
            turn = mover if not free and self.version == "classical" else 1 - mover
        return Board(turn, tuple(stones), (tries[0], tries[1]))

    def probabilities(self, board: Board) -> Sequence[float]:
        """Nature never moves."""
        return []

    def information(self, board: Board) -> Hashable:
        """The own tries in order, a question mark at cells that were taken.

        If it is seen, the number of all tries, at each own try and now.
        """
        own = [
            (f"{count}:" if self.count_seen else "")
            + cell_name(cell, self.columns)
            + ("" if board.stones[cell] == board.mover else "?")
            for count, cell in board.tries[board.mover]
        ]
        return " ".join([*own, f"{board.number}:"] if self.count_seen else own)

    def payoffs(self, board: Board) -> Sequence[float]:
        """1 for the player whose sides are joined; somebody's always are on a full board."""
        first = _joined(board.stones, 0, self.columns)
        return (1.0, -1.0) if first else (-1.0, 1.0)


@cache
def _joined(stones: tuple[int, ...], player: int, columns: int) -> bool:
    """Whether a player's stones join the player's two sides."""
    rows = len(stones) // columns
    own = {(c // columns, c % columns) for c, holder in enumerate(stones) if holder == player}
    reached = {cell for cell in own if cell[player] == 0}
    frontier = list(reached)
    while frontier:
        row, column = frontier.pop()
        around = {
            (row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1),
            (row - 1, column + 1), (row + 1, column - 1),
        }  # fmt: skip
        frontier += (around & own) - reached
        reached |= around & own
    last = (rows, columns)[player] - 1
    return any(cell[player] == last for cell in reached)
