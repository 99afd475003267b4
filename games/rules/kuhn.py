"""Kuhn poker for two or more players (Kuhn, 1950; Szafron, Gibson, Sturtevant, 2013).

Each player antes 1 and holds one of players + 1 ranked cards. In turn a player passes or bets 1;
after a bet every other player once passes (folds) or bets (calls). The highest card among those
who bet, or among all if nobody did, takes the pot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import TERMINAL
from rltheory.games.rules.parameters import check_count


@dataclass(frozen=True)
class Kuhn:
    """The rules in factored form; a public state is the string of moves so far, p or b."""

    players: int = 2

    def __post_init__(self) -> None:
        check_count(self.players, "players", 2, 5)

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The cards, lowest first."""
        return [[str(card) for card in range(self.players + 1)]] * self.players

    @property
    def chosen(self) -> Sequence[bool]:
        """All hands are dealt."""
        return [False] * self.players

    def deal(self) -> FloatArray:
        """Each combination of different cards equally often."""
        deal = np.zeros((self.players + 1,) * self.players)
        combinations = list(permutations(range(self.players + 1), self.players))
        for cards in combinations:
            deal[cards] = 1 / len(combinations)
        return deal

    def start(self) -> str:
        """Nobody has moved."""
        return ""

    def to_move(self, moves: str) -> int:
        """In turn, until all have passed or all have answered the bet."""
        bet = moves.find("b")
        over = len(moves) == (self.players if bet < 0 else self.players + bet)
        return TERMINAL if over else len(moves) % self.players

    def actions(self, moves: str) -> Sequence[str]:
        """Pass or bet."""
        return ("p", "b")

    def after(self, moves: str, action: str) -> str:
        """One more move."""
        return moves + action

    def likelihoods(self, moves: str) -> Sequence[FloatArray]:
        """Nature moves no more after the deal."""
        return []

    def information(self, moves: str) -> str:
        """The moves themselves."""
        return moves

    def payoff_key(self, moves: str) -> tuple[int, ...]:
        """Who has bet."""
        return tuple(p for p in range(self.players) if "b" in moves[p :: self.players])

    def payoffs(self, moves: str) -> FloatArray:
        """The pot to the best card of those in, minus what each has paid."""
        n = self.players
        bettors = list(self.payoff_key(moves))
        paid = np.array([2.0 if p in bettors else 1.0 for p in range(n)])
        cards = np.indices((n + 1,) * n)
        inside = bettors or list(range(n))
        best = cards[inside].max(axis=0)
        payoffs = np.zeros(cards.shape)
        for p in range(n):
            if p in inside:
                payoffs[p] = np.where(cards[p] == best, paid.sum(), 0.0)
            payoffs[p] -= paid[p]
        return payoffs
