"""Liar's Dice: bids on how often a face lies under all cups (the rules are OpenSpiel's).

Each player rolls dice in secret. In turn a player raises the bid, a quantity and a face, ordered
by quantity and then by face, or calls the last bidder a liar. The highest face is wild: it counts
as every face. The bid stands if at least so many dice show its face; then the caller pays the
bidder 1, else the bidder pays the caller. Further players gain and lose nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import factorial, prod

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import TERMINAL
from rltheory.games.rules.parameters import check_count

LIAR = "liar"
BIDS_ALLOWED = 20

State = tuple[int, ...]
"""The bids so far, as numbers (quantity - 1) * sides + (face - 1), and -1 for the call."""


@dataclass(frozen=True)
class LiarsDice:
    """The rules in factored form: every set of bids, in rising order, is a public state.

    sides: faces of a die. dice: how many each player has. With b = players * dice * sides bids
    there are 2^b public states; more than 20 bids are refused.
    """

    sides: int = 5
    dice: int = 1
    players: int = 2

    def __post_init__(self) -> None:
        check_count(self.sides, "sides", 2, BIDS_ALLOWED)
        check_count(self.dice, "dice", 1, BIDS_ALLOWED)
        check_count(self.players, "players", 2, BIDS_ALLOWED)
        if self.bids > BIDS_ALLOWED:
            raise ValueError(
                f"players * dice * sides is {self.bids}, the number of bids; expected at most "
                f"{BIDS_ALLOWED}, as the public states are all sets of bids"
            )

    @property
    def bids(self) -> int:
        """How many different bids there are."""
        return self.players * self.dice * self.sides

    @property
    def rolls(self) -> list[tuple[int, ...]]:
        """What a player may hold: faces in rising order, as dice are not told apart."""
        return list(combinations_with_replacement(range(1, self.sides + 1), self.dice))

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The rolls, face by face."""
        return [["".join(map(str, roll)) for roll in self.rolls]] * self.players

    @property
    def chosen(self) -> Sequence[bool]:
        """All dice are rolled."""
        return [False] * self.players

    def deal(self) -> FloatArray:
        """Independent rolls, each as often as there are orders of its faces."""
        orders = [
            factorial(self.dice) // prod(factorial(roll.count(face)) for face in set(roll))
            for roll in self.rolls
        ]
        ways = np.ones(())
        for _ in range(self.players):
            ways = np.multiply.outer(ways, orders)
        # Whole numbers divided once: each chance is the float nearest to its fraction.
        deal: FloatArray = ways / self.sides ** (self.dice * self.players)
        return deal

    def start(self) -> State:
        """No bid yet."""
        return ()

    def to_move(self, bids: State) -> int:
        """In turn until somebody calls."""
        return TERMINAL if bids and bids[-1] < 0 else len(bids) % self.players

    def actions(self, bids: State) -> Sequence[str]:
        """Every higher bid, and after the first the call."""
        higher = self._names[bids[-1] + 1 if bids else 0 :]
        return (*higher, LIAR) if bids else higher

    def after(self, bids: State, action: str) -> State:
        """One more bid, or the call."""
        return (*bids, self._numbers[action])

    def likelihoods(self, bids: State) -> Sequence[FloatArray]:
        """Nature moves no more after the roll."""
        return []

    def information(self, bids: State) -> str:
        """The bids in order."""
        return " ".join([self._names[bid] for bid in bids])

    def payoff_key(self, bids: State) -> tuple[int, int]:
        """The last bid and who made it."""
        return bids[-2], (len(bids) - 2) % self.players

    def payoffs(self, bids: State) -> FloatArray:
        """The bidder's 1 if the bid stands, the caller's if not."""
        bid, bidder = self.payoff_key(bids)
        quantity, face = bid // self.sides + 1, bid % self.sides + 1
        shown = np.array([sum(die in (face, self.sides) for die in roll) for roll in self.rolls])
        total = np.zeros(())
        for _ in range(self.players):
            total = np.add.outer(total, shown)
        payoffs = np.zeros((self.players, *total.shape))
        payoffs[bidder] = np.where(total >= quantity, 1.0, -1.0)
        payoffs[(bidder + 1) % self.players] = -payoffs[bidder]
        return payoffs

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"{bid // self.sides + 1}x{bid % self.sides + 1}" for bid in range(self.bids))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {LIAR: -1} | {name: bid for bid, name in enumerate(self._names)}
