"""Games of one hidden choice each: matching pennies and rock, paper, scissors."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import TERMINAL


@dataclass(frozen=True)
class _OneShot:
    """A zero-sum game in which two players choose at once, in factored form."""

    @property
    def _choices(self) -> tuple[str, ...]:
        raise NotImplementedError

    def _first_gains(self) -> FloatArray:
        """What the first player gains; axes: the first player's choice, the second's."""
        raise NotImplementedError

    @property
    def players(self) -> int:
        """Two."""
        return 2

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The choices."""
        return [self._choices, self._choices]

    @property
    def chosen(self) -> Sequence[bool]:
        """Both hands are the players' own moves."""
        return [True, True]

    def deal(self) -> FloatArray:
        """Nature deals nothing."""
        return np.ones((1, 1))

    def start(self) -> str:
        """All is done once both have chosen."""
        return ""

    def to_move(self, state: str) -> int:
        """Nobody."""
        return TERMINAL

    def actions(self, state: str) -> Sequence[str]:
        """None."""
        return ()

    def after(self, state: str, action: str) -> str:
        """Nothing follows."""
        raise ValueError("the game is over once both players have chosen")

    def likelihoods(self, state: str) -> Sequence[FloatArray]:
        """Nature never moves."""
        return []

    def information(self, state: str) -> str:
        """Nothing is seen."""
        return state

    def payoff_key(self, state: str) -> str:
        """There is one table."""
        return state

    def payoffs(self, state: str) -> FloatArray:
        """The first player's gain is the second's loss."""
        gains = self._first_gains()
        return np.stack([gains, -gains])


@dataclass(frozen=True)
class MatchingPennies(_OneShot):
    """The first player gains 1 if the pennies match, else the second does."""

    @property
    def _choices(self) -> tuple[str, ...]:
        return ("heads", "tails")

    def _first_gains(self) -> FloatArray:
        return np.array([[1.0, -1.0], [-1.0, 1.0]])


@dataclass(frozen=True)
class RockPaperScissors(_OneShot):
    """Paper beats rock, scissors beat paper, rock beats scissors."""

    @property
    def _choices(self) -> tuple[str, ...]:
        return ("rock", "paper", "scissors")

    def _first_gains(self) -> FloatArray:
        return np.array([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])
