"""Battleship on a small board (Farina et al., 2019, section 5; the rules are OpenSpiel's).

Both players place their ships in secret, then shoot in turn; all see whether a shot met water, hit
a ship or sank it. The game ends when a fleet is sunk or all shots are fired. A player gains the
values of the ships sunk and loses `loss_multiplier` times those of the own ships lost: with a
multiplier of 1 the game is zero-sum, above 1 both would rather keep the peace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from rltheory.analysis.arrays import FloatArray, check_range
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.rules.boards import cell_name, cell_names
from rltheory.games.rules.parameters import check_count

WATER, HIT, SUNK = OUTCOMES = ("water", "hit", "sunk")

Ship = tuple[int, ...]
State = tuple[tuple[int, str], ...]
"""The shots in order, the players in turn: the cell and the outcome, "" while it is not shown."""


@dataclass(frozen=True)
class Battleship:
    """The rules in factored form; a hand is where the player's own ships lie.

    rows, columns: of the board. ships: their lengths. values: one for each ship, all 1 by default.
    shots: how many each player has, none at a cell already shot at.
    """

    rows: int = 2
    columns: int = 2
    ships: tuple[int, ...] = (1,)
    shots: int = 2
    values: tuple[float, ...] | None = None
    loss_multiplier: float = 1.0

    def __post_init__(self) -> None:
        check_count(self.rows, "rows", 1, 4)
        check_count(self.columns, "columns", 1, 4)
        if not isinstance(self.ships, (tuple, list)) or not self.ships:
            raise ValueError(f"ships is {self.ships!r}; expected the lengths of one ship or more")
        for i, length in enumerate(self.ships):
            check_count(length, f"ships[{i}]", 1, max(self.rows, self.columns))
        object.__setattr__(self, "ships", tuple(self.ships))
        check_count(self.shots, "shots", 1, self.rows * self.columns)
        if self.values is not None and not isinstance(self.values, (tuple, list)):
            raise ValueError(f"values is {self.values!r}; expected one number for each ship")
        if len(self.worth) != len(self.ships):
            raise ValueError(f"values is {self.values!r}; expected one for each of {self.ships!r}")
        for i, value in enumerate(self.worth):
            check_range(value, f"values[{i}]", 0, 1e6)
        if self.values is not None:
            object.__setattr__(self, "values", self.worth)
        check_range(self.loss_multiplier, "loss_multiplier", 0, 1e6)
        if not self.fleets:
            raise ValueError(
                f"ships is {self.ships!r}; they do not fit on {self.rows} x {self.columns} cells"
            )

    @property
    def players(self) -> int:
        """Two."""
        return 2

    @property
    def worth(self) -> tuple[float, ...]:
        """The value of each ship."""
        return (1.0,) * len(self.ships) if self.values is None else tuple(self.values)

    @cached_property
    def fleets(self) -> list[tuple[Ship, ...]]:
        """All ways to place the ships, in order, upright or level, without overlap."""
        places = [self._places(length) for length in self.ships]
        return [
            fleet
            for fleet in product(*places)
            if len({cell for ship in fleet for cell in ship}) == sum(self.ships)
        ]

    def _places(self, length: int) -> list[Ship]:
        level = [
            tuple(row * self.columns + column + i for i in range(length))
            for row in range(self.rows)
            for column in range(self.columns - length + 1)
        ]
        upright = [
            tuple((row + i) * self.columns + column for i in range(length))
            for row in range(self.rows - length + 1)
            for column in range(self.columns)
        ]
        return level + upright if length > 1 else level

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The fleets, as in a1-b1 for one ship over two cells."""
        names = cell_names(self.rows, self.columns)
        fleets = [
            "+".join("-".join(names[cell] for cell in ship) for ship in fleet)
            for fleet in self.fleets
        ]
        return [fleets, fleets]

    @property
    def chosen(self) -> Sequence[bool]:
        """Both hands are the players' own moves."""
        return [True, True]

    def deal(self) -> FloatArray:
        """Nature deals nothing."""
        return np.ones((1, 1))

    def start(self) -> State:
        """No shot yet."""
        return ()

    def to_move(self, fired: State) -> int:
        """In turn, each shot but the last followed by its outcome."""
        if len(fired) == 2 * self.shots:
            return TERMINAL
        if fired and not fired[-1][1]:
            return CHANCE
        sunk = [[outcome for _, outcome in fired[p::2]].count(SUNK) for p in range(2)]
        return TERMINAL if len(self.ships) in sunk else len(fired) % 2

    def actions(self, fired: State) -> Sequence[str]:
        """The cells that the mover has not shot at, or the outcomes."""
        if fired and not fired[-1][1]:
            return OUTCOMES
        before = {cell for cell, _ in fired[len(fired) % 2 :: 2]}
        return [
            cell_name(cell, self.columns)
            for cell in range(self.rows * self.columns)
            if cell not in before
        ]

    def after(self, fired: State, action: str) -> State:
        """The shots with one more, or with the outcome of the last."""
        if fired and not fired[-1][1]:
            return (*fired[:-1], (fired[-1][0], action))
        return (*fired, (self._cells[action], ""))

    @cached_property
    def _cells(self) -> dict[str, int]:
        return {name: cell for cell, name in enumerate(cell_names(self.rows, self.columns))}

    def likelihoods(self, fired: State) -> Sequence[FloatArray]:
        """The outcome is certain once the fleet shot at is known."""
        shooter = (len(fired) - 1) % 2
        cells = [cell for cell, _ in fired[shooter::2]]
        found = [_outcome(fleet, cells) for fleet in self.fleets]
        shape = (1, -1) if shooter == 0 else (-1, 1)
        return [
            np.array([o == outcome for o in found], dtype=np.float64).reshape(shape)
            for outcome in OUTCOMES
        ]

    def information(self, fired: State) -> str:
        """The shots and their outcomes in order."""
        return " ".join(f"{cell_name(cell, self.columns)}:{outcome}" for cell, outcome in fired)

    def payoff_key(self, fired: State) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The cells that each player has shot at."""
        first, second = (tuple(sorted(cell for cell, _ in fired[p::2])) for p in range(2))
        return first, second

    def payoffs(self, fired: State) -> FloatArray:
        """The value sunk by each minus the multiple of the value lost."""
        first, second = map(self._sunk, self.payoff_key(fired))
        taken = np.stack(np.broadcast_arrays(first[None, :], second[:, None]))
        return taken - self.loss_multiplier * taken[::-1]

    def _sunk(self, cells: tuple[int, ...]) -> FloatArray:
        """The value that shots at these cells sink of each fleet."""
        known = self._sunk_known.get(cells)
        if known is None:
            sunk = [[set(ship) <= set(cells) for ship in fleet] for fleet in self.fleets]
            known = self._sunk_known[cells] = np.array(sunk) @ np.array(self.worth)
        return known

    @cached_property
    def _sunk_known(self) -> dict[tuple[int, ...], FloatArray]:
        return {}


def _outcome(fleet: tuple[Ship, ...], cells: Sequence[int]) -> str:
    """What the last of the shots at `cells` does to a fleet."""
    for ship in fleet:
        if cells[-1] in ship:
            return SUNK if set(ship) <= set(cells) else HIT
    return WATER
