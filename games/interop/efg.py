"""Extensive games in Gambit's `.efg` files: read and written.

Source: Gambit's documentation, "The extensive game (.efg) file format".
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from rltheory.analysis.arrays import ROW_SUM_TOLERANCE
from rltheory.analysis.files import replacing
from rltheory.analysis.rational import simplest
from rltheory.games.forms.extensive import ExtensiveGame, check_game
from rltheory.games.forms.tree import CHANCE, TERMINAL, GameTree
from rltheory.games.interop.efg_file import EfgFile, EfgInfoset, EfgNode, EfgOutcome
from rltheory.games.interop.gambit_tokens import (
    Token,
    Tokens,
    format_payoffs,
    quote,
    read_payoffs,
    read_players,
    read_text,
)


def read_efg(path: str | Path) -> EfgFile:
    """Read an `.efg` file.

    Raises ValueError with the file, the line, what was expected and what came, if it is truncated,
    malformed or contradicts itself; OSError if it cannot be read.
    """
    return parse_efg(read_text(path), str(path))


def parse_efg(text: str, name: str = "efg") -> EfgFile:
    """Read the text of an `.efg` file; `name` is what errors call it."""
    return _Reader(Tokens(text, name)).read()


def write_efg(game: ExtensiveGame | EfgFile, path: str | Path) -> None:
    """Write a game, or a file that was read, to an `.efg` file, whole or not at all."""
    text = format_efg(game)
    with replacing(path) as stream:
        stream.write(text.encode())


def format_efg(game: ExtensiveGame | EfgFile, *, number: Callable[[Fraction], str] = str) -> str:
    """Return the text of an `.efg` file; numbers are written by `number`, as exact fractions.

    Raises ValueError for a game without a tree, as factored games are.
    """
    file = game if isinstance(game, EfgFile) else efg_file(game)
    names = " ".join(quote(player) for player in file.players)
    lines = [f"EFG 2 R {quote(file.title)} {{ {names} }}", quote(file.comment), ""]
    lines += [_line(file, node, number) for node in file.nodes]
    return "\n".join(lines) + "\n"


def efg_file(game: ExtensiveGame) -> EfgFile:
    """Describe a game with a tree as an `.efg` file, players named 1, 2, ...

    Each number is the simplest fraction that rounds to the game's; where the chances of a node
    would then not sum to 1 exactly, as Gambit demands, they are divided by their sum.
    Raises ValueError for a game without a tree, TypeError for what is no game.
    """
    tree = check_game(game).tree
    if tree is None:
        raise ValueError(
            f"{game.name} is in factored form; an .efg file lists every node of a tree "
            "(load the game with form='tree')"
        )
    owner = np.repeat(np.arange(tree.players), np.diff(tree.infoset_start))
    infosets = [
        EfgInfoset(int(p) + 1, i - int(tree.infoset_start[p]) + 1, label, actions)
        for i, (p, label, actions) in enumerate(
            zip(owner, tree.infoset_labels, tree.action_labels, strict=True)
        )
    ]
    outcomes: dict[tuple[float, ...], int] = {}
    chances: dict[tuple[float, ...], int] = {}
    nodes = [EfgNode("", None, None)] * tree.nodes
    order = _depth_first(tree)
    for place, node in enumerate(order):
        if tree.to_move[node] == TERMINAL:
            payoffs = tuple(tree.payoffs[node].tolist())
            nodes[place] = EfgNode("", None, outcomes.setdefault(payoffs, len(outcomes)))
        elif tree.to_move[node] == CHANCE:
            row = slice(tree.first_child[node], tree.first_child[node + 1])
            key = tuple(tree.probability[row].tolist())
            if key not in chances:
                chances[key] = len(infosets)
                moves = tuple(str(k + 1) for k in range(len(key)))
                infosets.append(EfgInfoset(0, len(chances), "", moves, _summing_to_one(key)))
            nodes[place] = EfgNode("", chances[key], None)
        else:
            nodes[place] = EfgNode("", int(tree.infoset[node]), None)
    return EfgFile(
        title=game.name,
        comment="",
        players=tuple(str(p + 1) for p in range(tree.players)),
        infosets=tuple(infosets),
        outcomes=tuple(
            EfgOutcome(k + 1, "", tuple(simplest(x) for x in payoffs))
            for payoffs, k in outcomes.items()
        ),
        nodes=tuple(nodes),
    )


class _Reader:
    """Reads the tokens of one file, remembering what it has defined so far."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._infosets: dict[tuple[int, int], int] = {}
        self._outcomes: dict[int, int] = {}
        self._infoset_list: list[EfgInfoset] = []
        self._outcome_list: list[EfgOutcome] = []
        self._players: tuple[str, ...] = ()

    def read(self) -> EfgFile:
        tokens = self._tokens
        tokens.word(("EFG",), "EFG, as .efg files begin")
        tokens.word(("2",), "2, the version of the format")
        tokens.word(("R", "D"), "R or D, the kind of numbers")
        title = tokens.label("the game's title in quotes")
        self._players = read_players(tokens)
        comment = tokens.label("a comment") if tokens.next.kind == "text" else ""
        nodes = []
        missing = 1
        while missing:
            node = self._node(missing)
            nodes.append(node)
            missing -= 1
            if node.infoset is not None:
                missing += len(self._infoset_list[node.infoset].actions)
        tokens.take("end", "the end of the file, as every node has its children")
        return EfgFile(
            title=title,
            comment=comment,
            players=self._players,
            infosets=tuple(self._infoset_list),
            outcomes=tuple(self._outcome_list),
            nodes=tuple(nodes),
        )

    def _node(self, missing: int) -> EfgNode:
        more = "more node is" if missing == 1 else "more nodes are"
        kind = self._tokens.word(
            ("c", "p", "t"), f"c, p or t, the kind of a node ({missing} {more} missing)"
        )
        name = self._tokens.label("the node's name in quotes")
        infoset = None if kind == "t" else self._infoset(kind)
        return EfgNode(name, infoset, self._outcome())

    def _infoset(self, kind: str) -> int:
        tokens = self._tokens
        player = 0
        if kind == "p":
            player = tokens.integer("the player's number", 1, len(self._players))
        token = tokens.next
        number = tokens.integer("the information set's number", 0)
        known = self._infosets.get((player, number))
        name = tokens.label("a name") if tokens.next.kind == "text" else None
        if tokens.next.kind != "open" and known is None:
            what = "'{' and the actions" if name is not None else "a name and actions"
            tokens.fail(f"{what}, as information set {number} has not been defined yet")
        before = self._infoset_list[known] if known is not None else None
        if before is not None and name is not None and name != before.name:
            tokens.refuse(f"information set {number} was called {before.name!r}; now {name!r}")
        if tokens.next.kind != "open":
            assert known is not None
            return known
        actions, probabilities = self._actions(kind, token)
        infoset = EfgInfoset(player, number, name or "", actions, probabilities)
        if before is None or known is None:
            known = self._infosets[player, number] = len(self._infoset_list)
            self._infoset_list.append(infoset)
        elif (actions, probabilities) != (before.actions, before.probabilities):
            tokens.refuse(
                f"information set {number} has actions {_moves(infoset)}; "
                f"it was defined with {_moves(before)}",
                token,
            )
        return known

    def _actions(
        self, kind: str, start: Token
    ) -> tuple[tuple[str, ...], tuple[Fraction, ...] | None]:
        tokens = self._tokens
        tokens.take("open", "'{'")
        actions: list[str] = []
        probabilities: list[Fraction] = []
        while not actions or tokens.next.kind != "close":
            actions.append(tokens.label("an action's name in quotes"))
            if kind == "c":
                token = tokens.next
                probability = tokens.fraction("the action's probability")
                if not 0 <= probability <= 1:
                    tokens.fail("a probability from 0 to 1", token)
                probabilities.append(probability)
        tokens.take("close", "'}'")
        if kind == "p":
            return tuple(actions), None
        total = float(sum(probabilities))
        if abs(total - 1) > ROW_SUM_TOLERANCE:
            tokens.refuse(f"the probabilities sum to {total:.10g}; expected 1", start)
        return tuple(actions), tuple(probabilities)

    def _outcome(self) -> int | None:
        tokens = self._tokens
        start = tokens.next
        number = tokens.integer("the outcome's number", 0)
        known = self._outcomes.get(number)
        if tokens.next.kind != "text":
            if number and known is None:
                tokens.fail(f"a name and payoffs, as outcome {number} has not been defined yet")
            return known if number else None
        if not number:
            tokens.fail("no name, as outcome 0 stands for none")
        name = tokens.label("the outcome's name")
        tokens.take("open", "'{' and the payoffs")
        outcome = EfgOutcome(number, name, read_payoffs(tokens, len(self._players)))
        if known is None:
            known = self._outcomes[number] = len(self._outcome_list)
            self._outcome_list.append(outcome)
        elif outcome != self._outcome_list[known]:
            tokens.refuse(f"outcome {number} differs from its definition further up", start)
        return known


def _line(file: EfgFile, node: EfgNode, number: Callable[[Fraction], str]) -> str:
    words = ["t", quote(node.name)]
    if node.infoset is not None:
        infoset = file.infosets[node.infoset]
        words[0] = "p" if infoset.player else "c"
        words += [str(infoset.player)] if infoset.player else []
        words += [str(infoset.number), quote(infoset.name), _moves(infoset, number)]
    if node.outcome is None:
        return " ".join([*words, "0"])
    outcome = file.outcomes[node.outcome]
    paid = f"{{ {format_payoffs(outcome.payoffs, number)} }}"
    return " ".join([*words, str(outcome.number), quote(outcome.name), paid])


def _moves(infoset: EfgInfoset, number: Callable[[Fraction], str] = str) -> str:
    if infoset.probabilities is None:
        words = [quote(action) for action in infoset.actions]
    else:
        pairs = zip(infoset.actions, infoset.probabilities, strict=True)
        words = [f"{quote(action)} {number(probability)}" for action, probability in pairs]
    return "{ " + " ".join(words) + " }"


def _depth_first(tree: GameTree) -> list[int]:
    """The nodes with each one's first child after it, whatever their numbers."""
    order, stack = [], [0]
    while stack:
        node = stack.pop()
        order.append(node)
        children = tree.child[tree.first_child[node] : tree.first_child[node + 1]]
        stack.extend(children[::-1].tolist())
    return order


def _summing_to_one(chances: Sequence[float]) -> tuple[Fraction, ...]:
    fractions = [simplest(chance) for chance in chances]
    total = sum(fractions)
    return tuple(fraction / total for fraction in fractions)
