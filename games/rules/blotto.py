"""Colonel Blotto's game (Borel, 1921; the payoffs are OpenSpiel's), and one with reserves.

Each player divides an army over the fields in secret. A field goes to the only largest army on it.
With reserves, the players then send one more soldier at a time to a field, in turn and in sight of
all, so that the moves tell something about the hidden armies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import comb, prod

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import TERMINAL
from rltheory.games.rules.parameters import check_choice, check_count, check_counts

RETURNS = ("majority", "fields")
TABLE_ALLOWED = 1_000_000

State = tuple[int, ...]
"""The fields to which reserves have gone, the players in turn."""


@dataclass(frozen=True)
class Blotto:
    """The rules in factored form; a hand is the player's own division of the army.

    coins: the size of the armies, one for all or one for each player. reserves: soldiers that each
    player sends later. returns: "majority", 1 shared by those who take the most fields and -1 by
    the others, 0 if all take equally many; or "fields", the fields taken minus their mean.
    """

    coins: int | tuple[int, ...] = 10
    fields: int = 3
    players: int = 2
    reserves: int = 0
    returns: str = "majority"

    def __post_init__(self) -> None:
        check_count(self.players, "players", 2, 6)
        check_count(self.fields, "fields", 1, 10)
        check_counts(self.coins, "coins", self.players, 0, 100)
        if isinstance(self.coins, list):
            object.__setattr__(self, "coins", tuple(self.coins))
        check_count(self.reserves, "reserves", 0, 3)
        check_choice(self.returns, "returns", RETURNS)
        combinations = prod(comb(army + self.fields - 1, army) for army in self.armies)
        leaves = self.fields ** (self.reserves * self.players)
        if max(combinations, leaves) * self.players > TABLE_ALLOWED:
            raise ValueError(
                f"coins = {self.coins} on {self.fields} fields with {self.players} players and "
                f"{self.reserves} reserves make {combinations:.3g} combinations of armies and "
                f"{leaves:.3g} orders of reserves; expected at most "
                f"{TABLE_ALLOWED // self.players:.3g} of each"
            )

    @property
    def armies(self) -> tuple[int, ...]:
        """The size of each player's army."""
        return check_counts(self.coins, "coins", self.players, 0, 100)

    @property
    def divisions(self) -> list[list[tuple[int, ...]]]:
        """Each player's ways to divide the army over the fields, in lexicographic order."""
        return [
            [ways for ways in product(range(army + 1), repeat=self.fields) if sum(ways) == army]
            for army in self.armies
        ]

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The divisions, as in 0-3-7."""
        return [["-".join(map(str, way)) for way in ways] for ways in self.divisions]

    @property
    def chosen(self) -> Sequence[bool]:
        """All hands are the players' own moves."""
        return [True] * self.players

    def deal(self) -> FloatArray:
        """Nature deals nothing."""
        return np.ones((1,) * self.players)

    def start(self) -> State:
        """No reserve is sent."""
        return ()

    def to_move(self, sent: State) -> int:
        """In turn until all reserves are sent."""
        return TERMINAL if len(sent) == self.reserves * self.players else len(sent) % self.players

    def actions(self, sent: State) -> Sequence[int]:
        """The fields."""
        return range(self.fields)

    def after(self, sent: State, action: int) -> State:
        """One more soldier sent."""
        return (*sent, action)

    def likelihoods(self, sent: State) -> Sequence[FloatArray]:
        """Nature never moves."""
        return []

    def information(self, sent: State) -> str:
        """Where the reserves went."""
        return " ".join(map(str, sent))

    def payoff_key(self, sent: State) -> tuple[tuple[int, ...], ...]:
        """How many reserves each player sent to each field."""
        return tuple(
            tuple(sent[p :: self.players].count(field) for field in range(self.fields))
            for p in range(self.players)
        )

    def payoffs(self, sent: State) -> FloatArray:
        """What the fields taken are worth."""
        n = self.players
        taken = np.zeros((n, *map(len, self.divisions)))
        armies = [np.array(ways) for ways in self.divisions]
        for field, added in enumerate(zip(*self.payoff_key(sent), strict=True)):
            size = np.stack(np.meshgrid(*(a[:, field] for a in armies), indexing="ij"))
            size += np.reshape(added, (n, *(1,) * n))
            largest = size == size.max(axis=0)
            taken += largest & (largest.sum(axis=0) == 1)
        if self.returns == "fields":
            won: FloatArray = taken - taken.mean(axis=0)
            return won
        best = taken == taken.max(axis=0)
        winners = best.sum(axis=0)
        losers = np.maximum(n - winners, 1)
        return np.where(winners == n, 0.0, np.where(best, 1 / winners, -1 / losers))
