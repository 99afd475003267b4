"""Random games for tests and for the search for counterexamples.

`random_game` draws a tree with chance moves and information sets of perfect recall, or, as a
negative control, of imperfect recall. `RandomFactored` draws rules in factored form.
All chances and payoffs are multiples of powers of two, few digits long, so that sums of their
products are exact in floating point on small games and short as rationals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rltheory.analysis.arrays import FloatArray, as_generator, check_range
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree, TreeBuilder
from rltheory.games.rules.parameters import check_choice, check_count, check_flag

PAYOFFS = ("zero_sum", "general")
RECALL = ("perfect", "imperfect")
ATTEMPTS = 1000


def random_game(
    seed: int | np.random.Generator,
    *,
    players: int = 2,
    depth: int = 4,
    actions: int = 3,
    chance: float = 0.2,
    stop: float = 0.1,
    merge: float = 0.7,
    payoffs: str = "zero_sum",
    recall: str = "perfect",
) -> GameTree:
    """Draw a game tree.

    depth: the largest number of moves. actions: the largest number at a node, the smallest is 1.
    chance, stop: how likely an inner node is nature's, or a leaf before the full depth (never the
    root). merge: how likely a node joins an information set that it may join. payoffs: "zero_sum"
    or "general", integers from -8 to 8 but for the last player of a zero-sum game. recall: with
    "perfect" only nodes after the same own moves share an information set; with "imperfect" any of
    equal depth, mover and number of actions do, and at least one set has different own moves.

    Raises ValueError if parameters are out of range, or no tree of imperfect recall is found in
    1000 draws: a player must move twice for that, so depth is at least 2.
    """
    rng = as_generator(seed)
    check_count(players, "players", 1, 8)
    check_count(depth, "depth", 0, 12)
    check_count(actions, "actions", 1, 8)
    for name, number in (("chance", chance), ("stop", stop), ("merge", merge)):
        check_range(number, name, 0, 1)
    check_choice(payoffs, "payoffs", PAYOFFS)
    check_choice(recall, "recall", RECALL)
    settings = _Settings(
        players, depth, actions, chance, stop, merge, payoffs == "zero_sum", recall == "perfect"
    )
    if recall == "perfect":
        return _draw(rng, settings)[0]
    for _ in range(ATTEMPTS):
        tree, forgets = _draw(rng, settings)
        if forgets:
            return tree
    raise ValueError(
        f"no tree of imperfect recall among {ATTEMPTS} draws with depth {depth}, actions "
        f"{actions}, chance {chance}, stop {stop} and merge {merge}; expected at least one"
    )


@dataclass(frozen=True)
class _Settings:
    players: int
    depth: int
    actions: int
    chance: float
    stop: float
    merge: float
    zero_sum: bool
    perfect: bool


Moves = tuple[tuple[int, int], ...]
"""A player's own moves so far: the information set and the action of each."""


def _draw(rng: np.random.Generator, settings: _Settings) -> tuple[GameTree, bool]:
    """A tree, and whether some information set has nodes after different own moves."""
    builder = TreeBuilder(settings.players)
    groups: dict[tuple[Any, ...], list[int]] = {}
    moves_before: list[Moves] = []
    forgets = False
    stack: list[tuple[int, float, int, tuple[Moves, ...]]] = [
        (-1, 1.0, 0, ((),) * settings.players)
    ]
    while stack:
        parent, probability, level, own = stack.pop()
        if level == settings.depth or (level and rng.random() < settings.stop):
            builder.leaf(parent, probability, _payoffs(rng, settings))
            continue
        degree = int(rng.integers(1, settings.actions + 1))
        below: list[tuple[int, float, int, tuple[Moves, ...]]]
        if rng.random() < settings.chance:
            node = builder.chance(parent, probability, degree)
            below = [(node, c, level + 1, own) for c in _dyadic(rng, degree)]
        else:
            player = int(rng.integers(settings.players))
            may_join = (player, degree, own[player] if settings.perfect else level)
            group = groups.setdefault(may_join, [])
            if group and rng.random() < settings.merge:
                infoset = group[int(rng.integers(len(group)))]
                forgets |= moves_before[infoset] != own[player]
            else:
                infoset = len(moves_before)
                moves_before.append(own[player])
                group.append(infoset)
            node = builder.decision(parent, probability, player, infoset, range(degree))
            below = [
                (node, 1.0, level + 1, _with(own, player, (infoset, action)))
                for action in range(degree)
            ]
        stack += reversed(below)
    return builder.finish(), forgets


def _with(own: tuple[Moves, ...], player: int, move: tuple[int, int]) -> tuple[Moves, ...]:
    return (*own[:player], (*own[player], move), *own[player + 1 :])


def _payoffs(rng: np.random.Generator, settings: _Settings) -> list[float]:
    drawn = rng.integers(-8, 9, size=settings.players)
    if settings.zero_sum:
        drawn[-1] = -drawn[:-1].sum()
    return [float(payoff) for payoff in drawn]


def _dyadic(rng: np.random.Generator, outcomes: int) -> list[float]:
    """Positive multiples of 1/16 (1 to 8 outcomes) that sum to 1."""
    cuts = np.sort(rng.choice(np.arange(1, 16), size=outcomes - 1, replace=False))
    parts = np.diff(np.concatenate([[0], cuts, [16]]))
    return [float(part) / 16 for part in parts]


@dataclass(frozen=True)
class RandomFactored:
    """Random rules in factored form: a public state is the moves and events so far.

    hands: how many each player may hold, and chosen: whether they are the player's own move. Some
    combinations of hands are never dealt, and some events cannot happen with some hands.
    depth: the largest number of moves and events. branching: the largest number at a state, the
    smallest is 1. The seed decides everything.
    """

    seed: int
    players: int = 2
    hand_counts: tuple[int, ...] = (3, 3)
    chosen: tuple[bool, ...] = (False, False)
    depth: int = 3
    branching: int = 3
    zero_sum: bool = True

    def __post_init__(self) -> None:
        check_count(self.seed, "seed", 0, 2**63 - 1)
        check_count(self.players, "players", 1, 4)
        check_count(self.depth, "depth", 0, 6)
        check_count(self.branching, "branching", 1, 8)
        check_flag(self.zero_sum, "zero_sum")
        for name, given in (("hand_counts", self.hand_counts), ("chosen", self.chosen)):
            if len(given) != self.players:
                raise ValueError(f"{name} is {given!r}; expected {self.players} entries")
        for p in range(self.players):
            check_count(self.hand_counts[p], f"hand_counts[{p}]", 1, 8)
            check_flag(self.chosen[p], f"chosen[{p}]")

    def _rng(self, *salt: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *salt])

    @property
    def hands(self) -> Sequence[Sequence[str]]:
        """Named by number."""
        return [[f"h{i}" for i in range(count)] for count in self.hand_counts]

    def deal(self) -> FloatArray:
        """Multiples of 1/64 over the combinations of dealt hands, some of them 0."""
        shape = tuple(1 if c else n for n, c in zip(self.hand_counts, self.chosen, strict=True))
        cells = self._rng(0).integers(int(np.prod(shape)), size=64)
        return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape) / 64

    def start(self) -> tuple[int, ...]:
        """Nothing has happened."""
        return ()

    def to_move(self, path: tuple[int, ...]) -> int:
        """A random player or nature, until the depth is reached or a draw stops it."""
        rng = self._rng(1, *path)
        if len(path) == self.depth or (path and rng.random() < 0.1):
            return TERMINAL
        return CHANCE if rng.random() < 0.3 else int(rng.integers(self.players))

    def actions(self, path: tuple[int, ...]) -> Sequence[int]:
        """Moves or events, numbered."""
        return range(int(self._rng(2, *path).integers(1, self.branching + 1)))

    def likelihoods(self, path: tuple[int, ...]) -> Sequence[FloatArray]:
        """Each combination of hands has its own chances, multiples of 1/4."""
        events = len(self.actions(path))
        drawn = self._rng(3, *path).integers(events, size=(4, *self.hand_counts))
        return [np.mean(drawn == event, axis=0) for event in range(events)]

    def after(self, path: tuple[int, ...], action: int) -> tuple[int, ...]:
        """One more move or event."""
        return (*path, action)

    def information(self, path: tuple[int, ...]) -> str:
        """All moves and events."""
        return " ".join(map(str, path))

    def payoff_key(self, path: tuple[int, ...]) -> tuple[int, ...]:
        """The path, halved in length, so that some leaves share their payoffs."""
        return path[::2]

    def payoffs(self, path: tuple[int, ...]) -> FloatArray:
        """Integers from -8 to 8, but for the last player's of a zero-sum game."""
        rng = self._rng(4, *self.payoff_key(path))
        drawn = rng.integers(-8, 9, size=(self.players, *self.hand_counts)).astype(np.float64)
        if self.zero_sum:
            drawn[-1] = -drawn[:-1].sum(axis=0)
        return drawn
