"""Leduc poker for two or three players (Southey et al., 2005; the rules are OpenSpiel's).

The deck has two suits of players + 1 ranks. Each player antes 1 and holds one card; after a first
round of betting one card is shown to all, and a second round follows. Raises are by 2, then by 4,
at most two in a round. Of those who have not folded, a pair with the public card takes the pot,
else the highest card does; equal cards split it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.rules.parameters import check_count

RANKS = "JQKA"
SUITS = "sh"
RAISES = (2, 4)
RAISES_ALLOWED = 2


class Table(NamedTuple):
    """A public state: the moves of both rounds, the public card, and what they amount to.

    mover: the player to act, CHANCE between the rounds, TERMINAL at the end. owed: what a player
    must have paid to stay. raises and answers: raises in this round, and calls since the last one.
    """

    moves: tuple[str, str]
    card: int
    mover: int
    paid: tuple[int, ...]
    folded: tuple[bool, ...]
    owed: int
    raises: int
    answers: int


@dataclass(frozen=True)
class Leduc:
    """The rules in factored form; the public card is a chance event."""

    players: int = 2

    def __post_init__(self) -> None:
        check_count(self.players, "players", 2, 3)

    @property
    def cards(self) -> list[str]:
        """The deck, lowest rank first, the two suits of a rank side by side."""
        return [rank + suit for rank in RANKS[: self.players + 1] for suit in SUITS]

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """Any card of the deck."""
        return [self.cards] * self.players

    @property
    def chosen(self) -> Sequence[bool]:
        """All hands are dealt."""
        return [False] * self.players

    def deal(self) -> FloatArray:
        """Each combination of different cards equally often."""
        cards = len(self.cards)
        deal = np.zeros((cards,) * self.players)
        combinations = list(permutations(range(cards), self.players))
        for held in combinations:
            deal[held] = 1 / len(combinations)
        return deal

    def start(self) -> Table:
        """The antes are paid."""
        n = self.players
        return Table(("", ""), -1, 0, (1,) * n, (False,) * n, 1, 0, 0)

    def to_move(self, table: Table) -> int:
        """In turn among those who have not folded."""
        return table.mover

    def actions(self, table: Table) -> Sequence[str]:
        """Fold if there is something to call, call (or check), raise while it is allowed."""
        if table.mover == CHANCE:
            return self.cards
        fold = ("fold",) if table.paid[table.mover] < table.owed else ()
        may_raise = ("raise",) if table.raises < RAISES_ALLOWED else ()
        return (*fold, "call", *may_raise)

    def after(self, table: Table, action: str) -> Table:
        """The table after a move or after a card is shown."""
        if table.mover == CHANCE:
            shown = table._replace(card=self.cards.index(action), raises=0, answers=0)
            return shown._replace(mover=_next(shown.folded, self.players - 1))
        n, mover, second = self.players, table.mover, table.card >= 0
        first, later = table.moves
        moves = (first, later + action[0]) if second else (first + action[0], later)
        paid, folded = list(table.paid), list(table.folded)
        owed, raises, answers = table.owed, table.raises, table.answers
        if action == "fold":
            folded[mover] = True
        elif action == "call":
            paid[mover], answers = owed, answers + 1
        else:
            owed += RAISES[second]
            paid[mover], raises, answers = owed, raises + 1, 0
        inside = n - sum(folded)
        done = answers == inside - (raises > 0)
        if inside == 1 or (done and second):
            mover = TERMINAL
        elif done:
            mover = CHANCE
        else:
            mover = _next(folded, mover)
        return Table(
            (moves[0], moves[1]),
            table.card,
            mover,
            tuple(paid),
            tuple(folded),
            owed,
            raises,
            answers,
        )

    def likelihoods(self, table: Table) -> Sequence[FloatArray]:
        """The public card is any that nobody holds, equally often."""
        n, cards = self.players, len(self.cards)
        held = np.indices((cards,) * n)
        return [np.all(held != card, axis=0) / (cards - n) for card in range(cards)]

    def information(self, table: Table) -> str:
        """The moves (f, c, r), and after the first round the public card and the second's."""
        if table.card < 0:
            return table.moves[0]
        return f"{table.moves[0]} {self.cards[table.card]} {table.moves[1]}".rstrip()

    def payoff_key(self, table: Table) -> tuple[object, ...]:
        """The stakes, who is in, and the public card where it decides."""
        showdown = sum(not out for out in table.folded) > 1
        return (table.paid, table.folded, table.card if showdown else -1)

    def payoffs(self, table: Table) -> FloatArray:
        """The pot, shared by the best hands of those who have not folded, minus what was paid."""
        n, cards = self.players, len(self.cards)
        rank = np.indices((cards,) * n) // len(SUITS)
        strength = np.where(rank == table.card // len(SUITS), len(RANKS), rank)
        strength[list(table.folded)] = -1
        best = strength == strength.max(axis=0)
        paid = np.array(table.paid, dtype=np.float64)
        shares: FloatArray = paid.sum() * best / best.sum(axis=0)
        return shares - paid.reshape(n, *(1,) * n)


def _next(folded: Sequence[bool], player: int) -> int:
    """The next player in turn who has not folded."""
    n = len(folded)
    return next(p % n for p in range(player + 1, player + n + 1) if not folded[p % n])
