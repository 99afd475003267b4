"""Games of one hidden choice each: matching pennies and rock, paper, scissors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import TERMINAL


@dataclass(frozen=True)
class _OneShot:
    """A zero-sum game in which two players choose at once, in factored form."""

    choices: ClassVar[tuple[str, ...]]
    gains: ClassVar[tuple[tuple[float, ...], ...]]
    """What the first player gains; axes: the first player's choice, the second's."""

    @property
    def players(self) -> int:
        """Two."""
        return 2

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The choices."""
        return [self.choices, self.choices]

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
        gains = np.array(self.gains)
        return np.stack([gains, -gains])


@dataclass(frozen=True)
class MatchingPennies(_OneShot):
    """The first player gains 1 if the pennies match, else the second does."""

    choices = ("heads", "tails")
    gains = ((1.0, -1.0), (-1.0, 1.0))


@dataclass(frozen=True)
class RockPaperScissors(_OneShot):
    """Paper beats rock, scissors beat paper, rock beats scissors."""

    choices = ("rock", "paper", "scissors")
    gains = ((0.0, -1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 1.0, 0.0))
