"""Games in factored form: a public tree times private hands.

In card and dice games all see the moves, and the only secret is what each player holds. So the
rules need only a tree of public events, who can hold what, and a table of payoffs over all
combinations of hands for each public leaf.

A hand is dealt by nature, or is the player's own first, secret move (where ships lie, how an army
is divided). What nature shows later (a public card, whether a shot hits) is a public chance event
whose chance may depend on the hands.

`rltheory.games.forms.public_tree.build_factored` makes a game of such rules without unfolding its
histories; `Unfolded` presents them as the `Rules` of histories, so that
`from_tree(build_tree(Unfolded(rules)))` is the same game, with the same slots, by another way.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Protocol

import numpy as np

from rltheory.analysis.arrays import FloatArray
from rltheory.games.forms.tree import CHANCE


class FactoredRules(Protocol):
    """What a factored game must say of itself; public states are hashable values of any type.

    Tables over hands have one axis for each player, in the order of `hands`; an axis of length 1
    stands for one that does not matter.
    """

    @property
    def players(self) -> int:
        """How many players there are."""

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """The names of each player's possible hands."""

    @property
    def chosen(self) -> Sequence[bool]:
        """For each player, whether the hand is the player's own secret first move."""

    def deal(self) -> FloatArray:
        """Nature's chance of each combination of hands; 1 along the axes of chosen hands."""

    def start(self) -> Any:
        """The public state once all hands are out."""

    def to_move(self, state: Any) -> int:
        """The player who moves, 0 to players - 1, or `CHANCE`, or `TERMINAL`."""

    def actions(self, state: Any) -> Sequence[Hashable]:
        """The moves, or at a chance node what may happen, in a fixed order."""

    def after(self, state: Any, action: Any) -> Any:
        """The public state after a move or a chance event."""

    def likelihoods(self, state: Any) -> Sequence[FloatArray]:
        """For each of `actions` at a chance node, a table of its chance given the hands."""

    def information(self, state: Any) -> str:
        """The name of the public state: what everyone has seen."""

    def payoffs(self, state: Any) -> FloatArray:
        """A leaf's payoffs, shape (players, ...hands), depending on `payoff_key(state)` only."""

    def payoff_key(self, state: Any) -> Hashable:
        """What of a leaf's state determines its table of payoffs."""


def information_label(hand: str, public: str) -> str:
    """The name of an information set: the private hand, then what everyone has seen."""
    return f"{hand} {public}".rstrip()


@dataclass(frozen=True)
class Unfolded:
    """A factored game as a `Rules` of histories: nature deals, then the players move.

    States are (hands, public state), hands None for those still to come.
    """

    rules: FactoredRules

    @property
    def players(self) -> int:
        """How many players there are."""
        return self.rules.players

    def start(self) -> Any:
        """The state before any hand is out."""
        dealt = [not chosen for chosen in self.rules.chosen]
        return ((None,) * self.players, None if any(dealt) else self._next((None,) * self.players))

    def _next(self, hands: tuple[int | None, ...]) -> Any:
        """What follows the hands so far: the next player to choose one, or the public root."""
        waiting = [p for p in range(self.players) if hands[p] is None]
        return ("hand", waiting[0]) if waiting else ("public", self.rules.start())

    def to_move(self, state: Any) -> int:
        """The player who moves, or `CHANCE`, or `TERMINAL`."""
        _, stage = state
        if stage is None:
            return CHANCE
        return int(stage[1]) if stage[0] == "hand" else self.rules.to_move(stage[1])

    def actions(self, state: Any) -> Sequence[Hashable]:
        """Deals, hands to choose, or the public actions that can happen with these hands."""
        hands, stage = state
        if stage is None:
            return [deal for deal, _ in self._deals()]
        if stage[0] == "hand":
            choices: Sequence[str] = self._hands[stage[1]]
            return choices
        actions: Sequence[Hashable] = self.rules.actions(stage[1])
        if self.rules.to_move(stage[1]) != CHANCE:
            return actions
        chances = self._chances(hands, stage[1])
        return [action for action, c in zip(actions, chances, strict=True) if c > 0]

    def after(self, state: Any, action: Any) -> Any:
        """The state after a deal, a chosen hand or a public action."""
        hands, stage = state
        if stage is None:
            return (action, self._next(action))
        if stage[0] == "hand":
            chosen = list(hands)
            chosen[stage[1]] = self._hands[stage[1]].index(action)
            return (tuple(chosen), self._next(tuple(chosen)))
        return (hands, ("public", self.rules.after(stage[1], action)))

    def probabilities(self, state: Any) -> Sequence[float]:
        """The chances of `actions` at a chance node."""
        hands, stage = state
        if stage is None:
            return [chance for _, chance in self._deals()]
        return [c for c in self._chances(hands, stage[1]) if c > 0]

    def information(self, state: Any) -> Hashable:
        """The mover's hand and the public state."""
        hands, stage = state
        if stage[0] == "hand":
            return "hand"
        player = self.rules.to_move(stage[1])
        return information_label(
            self._hands[player][hands[player]], self.rules.information(stage[1])
        )

    def payoffs(self, state: Any) -> Sequence[float]:
        """What each player gets at a leaf."""
        hands, (_, public) = state
        key = self.rules.payoff_key(public)
        table = self._paid.get(key)
        if table is None:
            table = self._paid[key] = self._spread(self.rules.payoffs(public), self.players)
        paid: list[float] = table[(slice(None), *hands)].tolist()
        return paid

    def _chances(self, hands: tuple[int, ...], public: Any) -> list[float]:
        table = self._likely.get(public)
        if table is None:
            tables = self.rules.likelihoods(public)
            spread = [self._spread(np.asarray(table)[None], 1)[0] for table in tables]
            table = self._likely[public] = np.stack(spread)
        at: tuple[Any, ...] = (slice(None), *hands)
        chances: list[float] = table[at].tolist()
        return chances

    def _spread(self, table: FloatArray, first: int) -> FloatArray:
        """A table with all axes at full length, the first of length `first`."""
        sizes = [len(hands) for hands in self._hands]
        return np.broadcast_to(np.asarray(table, dtype=np.float64), (first, *sizes))

    # Many histories share a public state; its tables are worked out once.

    @cached_property
    def _hands(self) -> list[Sequence[str]]:
        return [list(hands) for hands in self.rules.hands]

    @cached_property
    def _paid(self) -> dict[Hashable, FloatArray]:
        return {}

    @cached_property
    def _likely(self) -> dict[Hashable, FloatArray]:
        return {}

    def _deals(self) -> list[tuple[tuple[int | None, ...], float]]:
        deal = self.rules.deal()
        return [
            (
                tuple(None if c else i for c, i in zip(self.rules.chosen, at, strict=True)),
                float(deal[at]),
            )
            for at in product(*map(range, deal.shape))
            if deal[at] > 0
        ]
