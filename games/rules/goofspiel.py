"""Goofspiel, the game of pure strategy (Ross, 1971; the rules are OpenSpiel's).

Each player holds the cards 1 to `cards`. In every round a prize card lies open, all bid one of
their cards at once, and the only highest bid takes the prize's points; if several bids are the
highest, nobody does. In the imperfect-information form the players see who took each prize, but
not the bids (Lanctot et al., 2014).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import factorial
from typing import NamedTuple

from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.rules.parameters import check_choice, check_count, check_flag

ORDERS = ("descending", "ascending", "random")
RETURNS = ("win_loss", "point_difference", "total_points")
LEAVES_ALLOWED = 2_000_000


class Position(NamedTuple):
    """What lies on the table. mover: whose bid is next, CHANCE for a prize, TERMINAL at the end.

    hands: each player's cards in rising order. bids: those of this round so far. prizes: the cards
    that are left. prize: the open one. points: each player's.
    """

    mover: int
    hands: tuple[tuple[int, ...], ...]
    bids: tuple[int, ...]
    prizes: tuple[int, ...]
    prize: int
    points: tuple[int, ...]


State = tuple[Position, tuple[str, ...], str]
"""A position, what each player has bid, and the prizes and what all saw of the bids, as texts."""


@dataclass(frozen=True)
class Goofspiel:
    """The rules. Bids made at once come in the order of the players, unseen by those who follow.

    cards: how many each player has. imperfect: whether bids stay hidden. points: the order of the
    prizes. returns: "win_loss", 1 shared by those with the most points and -1 by the others;
    "point_difference", points minus their mean over players; or "total_points".
    The last round, in which nobody has a choice, plays itself.
    """

    cards: int = 4
    imperfect: bool = True
    points: str = "descending"
    players: int = 2
    returns: str = "win_loss"

    def __post_init__(self) -> None:
        check_count(self.cards, "cards", 2, 9)
        check_flag(self.imperfect, "imperfect")
        check_choice(self.points, "points", ORDERS)
        check_count(self.players, "players", 2, 4)
        check_choice(self.returns, "returns", RETURNS)
        leaves = factorial(self.cards) ** (self.players + (self.points == "random"))
        if leaves > LEAVES_ALLOWED:
            raise ValueError(
                f"cards = {self.cards}, players = {self.players} and points = {self.points!r} make "
                f"{leaves:.3g} leaves; expected at most {LEAVES_ALLOWED:.3g}"
            )

    def start(self) -> State:
        """All cards in hand, the first prize open unless it is drawn."""
        deck = tuple(range(1, self.cards + 1))
        n = self.players
        prizes = deck[::-1] if self.points == "descending" else deck
        dealt = Position(CHANCE, (deck,) * n, (), prizes, 0, (0,) * n)
        position, shown = _open(dealt, self.points == "random")
        return position, ("",) * n, shown

    def to_move(self, state: State) -> int:
        """The players in turn, once a prize is open."""
        return state[0].mover

    def actions(self, state: State) -> Sequence[int]:
        """The cards in hand, or the prizes that may come."""
        position = state[0]
        return position.prizes if position.mover == CHANCE else position.hands[position.mover]

    def after(self, state: State, action: int) -> State:
        """The state after a prize is drawn or a bid is made."""
        position, own, shown = state
        below, bids, seen = _step(position, action, self.points == "random", self.imperfect)
        if bids:
            own = tuple([text + bid for text, bid in zip(own, bids, strict=True)])
        return below, own, shown + seen

    def probabilities(self, state: State) -> Sequence[float]:
        """All prizes that are left come equally often."""
        prizes = state[0].prizes
        return [1 / len(prizes)] * len(prizes)

    def information(self, state: State) -> Hashable:
        """The own bids, then the prizes and who took them, or all bids if they are seen."""
        position, own, shown = state
        return own[position.mover] + shown if self.imperfect else shown

    def payoffs(self, state: State) -> Sequence[float]:
        """What the points are worth to each player."""
        return _payoffs(state[0].points, self.returns)


@cache
def _step(
    position: Position, action: int, drawn: bool, hidden: bool
) -> tuple[Position, tuple[str, ...], str]:
    """The position after a prize or a bid; the bids, if they end the round; and what all see.

    Cached, as the positions are few and each is met after many different histories.
    """
    if position.mover == CHANCE:
        return _show(position, action), (), _named(action)
    bids = (*position.bids, action)
    if len(bids) < len(position.hands):
        return position._replace(mover=position.mover + 1, bids=bids), (), ""
    hands = tuple(
        tuple(card for card in hand if card != bid)
        for hand, bid in zip(position.hands, bids, strict=True)
    )
    points = _award(position.points, position.prize, bids)
    if len(position.prizes) == 1:
        points = _award(points, position.prizes[0], [hand[0] for hand in hands])
        return Position(TERMINAL, (), (), (), 0, points), (), ""
    taker = _taker(bids)
    seen = ("-" if taker < 0 else f"{taker}") if hidden else ",".join(map(str, bids))
    after, shown = _open(Position(CHANCE, hands, (), position.prizes, 0, points), drawn)
    return after, tuple(map(str, bids)), seen + shown


def _open(position: Position, drawn: bool) -> tuple[Position, str]:
    """The position with its next prize open, unless nature is to draw it."""
    if drawn:
        return position, ""
    prize = position.prizes[0]
    return _show(position, prize), _named(prize)


def _show(position: Position, prize: int) -> Position:
    left = tuple(p for p in position.prizes if p != prize)
    return position._replace(mover=0, prizes=left, prize=prize)


def _named(prize: int) -> str:
    return f" {prize}:"


def _taker(bids: Sequence[int]) -> int:
    """Whose bid is the only highest, -1 if several are."""
    best = max(bids)
    return bids.index(best) if bids.count(best) == 1 else -1


def _award(points: tuple[int, ...], prize: int, bids: Sequence[int]) -> tuple[int, ...]:
    taker = _taker(bids)
    return tuple([p + prize if i == taker else p for i, p in enumerate(points)])


@cache
def _payoffs(points: tuple[int, ...], returns: str) -> tuple[float, ...]:
    n = len(points)
    if returns == "total_points":
        return tuple(map(float, points))
    if returns == "point_difference":
        mean = Fraction(sum(points), n)
        return tuple(float(p - mean) for p in points)
    winners = points.count(max(points))
    if winners == n:
        return (0.0,) * n
    return tuple(1 / winners if p == max(points) else -1 / (n - winners) for p in points)
