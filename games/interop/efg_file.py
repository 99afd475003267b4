"""An `.efg` file as it stands, and the game in it.

Every name is kept, and every number as the exact fraction that is written. An outcome may hang on
any node; what a play pays is the sum along its path.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.tree import GameTree, TreeBuilder
from rltheory.games.interop.gambit_tokens import unique_labels


@dataclass(frozen=True)
class EfgOutcome:
    """What is paid where a play passes; payoffs, one for each player."""

    number: int
    name: str
    payoffs: tuple[Fraction, ...]


@dataclass(frozen=True)
class EfgInfoset:
    """An information set of a player, 0 for nature and then 1, 2, ...; probabilities of nature."""

    player: int
    number: int
    name: str
    actions: tuple[str, ...]
    probabilities: tuple[Fraction, ...] | None = None


@dataclass(frozen=True)
class EfgNode:
    """A node; infoset and outcome are places in the file's tuples, None where there is none."""

    name: str
    infoset: int | None
    outcome: int | None


@dataclass(frozen=True)
class EfgFile:
    """An `.efg` file: nodes depth first, infosets and outcomes in the order of their definition."""

    title: str
    comment: str
    players: tuple[str, ...]
    infosets: tuple[EfgInfoset, ...]
    outcomes: tuple[EfgOutcome, ...]
    nodes: tuple[EfgNode, ...]

    def tree(self) -> GameTree:
        """Return the game tree, probabilities and payoffs rounded once.

        Information sets keep their names; to one without a name, or whose name is not the only
        one, player and number are added. Empty and repeated actions are told apart by their place.
        """
        builder = TreeBuilder(len(self.players))
        labels = self._infoset_labels()
        actions = [unique_labels(infoset.actions) for infoset in self.infosets]
        for node, parent, probability, paid in self._walk():
            if node.infoset is None:
                builder.leaf(parent, float(probability), [float(x) for x in paid])
                continue
            infoset = self.infosets[node.infoset]
            if infoset.probabilities is not None:
                builder.chance(parent, float(probability), len(infoset.actions))
            else:
                moves, label = actions[node.infoset], labels[node.infoset]
                player = infoset.player - 1
                builder.decision(parent, float(probability), player, infoset.number, moves, label)
        return builder.finish()

    def game(self) -> ExtensiveGame:
        """Return the game; ValueError if a player forgets an own past move."""
        return from_tree(self.tree(), self.title or "game")

    def _walk(self) -> Iterator[tuple[EfgNode, int, Fraction, tuple[Fraction, ...]]]:
        """Every node with its parent, the chance of the move to it and what is paid so far."""
        nothing = (Fraction(0),) * len(self.players)
        stack = [(-1, Fraction(1), nothing)]
        for place, node in enumerate(self.nodes):
            parent, probability, paid = stack.pop()
            if node.outcome is not None:
                payoffs = self.outcomes[node.outcome].payoffs
                paid = tuple(x + y for x, y in zip(paid, payoffs, strict=True))
            yield node, parent, probability, paid
            if node.infoset is not None:
                infoset = self.infosets[node.infoset]
                chances = infoset.probabilities or (Fraction(1),) * len(infoset.actions)
                stack.extend((place, chance, paid) for chance in reversed(chances))

    def _infoset_labels(self) -> tuple[str, ...]:
        players = ("nature", *unique_labels(self.players))
        times = Counter(s.name for s in self.infosets)
        numbered = [f"{s.name} ({players[s.player]}, {s.number})".strip() for s in self.infosets]
        return unique_labels(
            s.name if s.name and times[s.name] == 1 else label
            for s, label in zip(self.infosets, numbered, strict=True)
        )
