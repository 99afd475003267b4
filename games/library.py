"""The games by name, and the suite of 18 on which algorithms are compared.

`load` builds any of them; `SUITE` fixes names and parameters, so that a figure's games are data,
and `suite_table` says how large they are.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, NamedTuple

from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import build_tree
from rltheory.games.rules.battleship import Battleship
from rltheory.games.rules.blotto import Blotto
from rltheory.games.rules.dark_hex import DarkHex
from rltheory.games.rules.goofspiel import Goofspiel
from rltheory.games.rules.kuhn import Kuhn
from rltheory.games.rules.leduc import Leduc
from rltheory.games.rules.liars_dice import LiarsDice
from rltheory.games.rules.one_shot import MatchingPennies, RockPaperScissors
from rltheory.games.rules.tic_tac_toe import TicTacToe

FACTORED: Mapping[str, type[Any]] = MappingProxyType(
    {
        "battleship": Battleship,
        "blotto": Blotto,
        "kuhn_poker": Kuhn,
        "leduc_poker": Leduc,
        "liars_dice": LiarsDice,
        "matching_pennies": MatchingPennies,
        "rock_paper_scissors": RockPaperScissors,
    }
)
"""Games whose rules are in factored form; a tree can be unfolded from them too."""

TREES: Mapping[str, type[Any]] = MappingProxyType(
    {"dark_hex": DarkHex, "goofspiel": Goofspiel, "tic_tac_toe": TicTacToe}
)
"""Games whose rules are those of a tree."""

FORMS = ("factored", "tree")


def game_names() -> list[str]:
    """The names that `load` knows, in alphabetic order."""
    return sorted([*FACTORED, *TREES])


def game_parameters(name: str) -> dict[str, Any]:
    """The parameters of a game and their defaults; ValueError if there is no such game."""
    return {field.name: field.default for field in fields(_rules_class(name))}


def load(name: str, *, form: str | None = None, **parameters: Any) -> ExtensiveGame:
    """Return a game of the library, as in `load("leduc_poker", players=2)`.

    form: "factored", a public tree times private hands, with which solvers are fastest; or "tree",
    the tree of all histories, which sampling and files need. By default the first where a game has
    it. Both have the same slots, so a profile of one is a profile of the other.

    Raises ValueError if there is no such game, form or parameter, or a parameter has a wrong value;
    TypeError if the name is no string.
    """
    rules = make_rules(name, **parameters)
    if form is None:
        form = "factored" if name in FACTORED else "tree"
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; expected 'factored' or 'tree'")
    if form == "factored" and name not in FACTORED:
        raise ValueError(
            f"form is 'factored', but {name!r} has only the form 'tree'; "
            f"games with both are {', '.join(FACTORED)}"
        )
    settings = [f"{key}={value!r}" for key, value in rules_parameters(rules).items()]
    title = f"{name}({', '.join(settings)})"
    if form == "factored":
        return build_factored(rules, title)
    return from_tree(build_tree(Unfolded(rules) if name in FACTORED else rules), title)


def make_rules(name: str, **parameters: Any) -> Any:
    """Return the rules of a game: `FactoredRules` for those in `FACTORED`, else `Rules`.

    Raises ValueError if there is no such game or parameter, or a parameter has a wrong value.
    """
    known = game_parameters(name)
    for parameter in parameters:
        if parameter not in known:
            has = ", ".join(known) if known else "none"
            raise ValueError(
                f"{name} has no parameter {parameter!r}{_hint(parameter, list(known))}; "
                f"its parameters are: {has}"
            )
    return _rules_class(name)(**parameters)


def rules_parameters(rules: Any) -> dict[str, Any]:
    """The parameters of a rules object."""
    return {field.name: getattr(rules, field.name) for field in fields(rules)}


def _rules_class(name: str) -> type[Any]:
    if not isinstance(name, str):
        raise TypeError(f"name is {name!r}; expected a string, one of {', '.join(game_names())}")
    found = FACTORED.get(name) or TREES.get(name)
    if found is None:
        raise ValueError(
            f"there is no game {name!r}{_hint(name, game_names())}; "
            f"the games are: {', '.join(game_names())}"
        )
    return found


def _hint(word: str, known: list[str]) -> str:
    within = [name for name in known if len(word) > 2 and word in name]
    close = within if len(within) == 1 else difflib.get_close_matches(word, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


@dataclass(frozen=True)
class SuiteGame:
    """One game of the suite.

    title: short, for panels and tables. name and parameters: what `load` takes. role: "training"
    or "test" for the games that Li et al. (2026, arXiv 2602.16928) show in these sets, "paper" for
    those that complete their eleven by our guess, "extra" for the rest.
    """

    title: str
    name: str
    parameters: Mapping[str, Any]
    role: str

    def load(self) -> ExtensiveGame:
        """Build the game in its fastest form."""
        return load(self.name, **self.parameters)


def _suite(*rows: tuple[str, str, str, dict[str, Any]]) -> tuple[SuiteGame, ...]:
    return tuple(
        SuiteGame(title, name, MappingProxyType(parameters), role)
        for role, title, name, parameters in rows
    )


SUITE = _suite(
    ("paper", "Kuhn, 2 players", "kuhn_poker", {"players": 2}),
    ("training", "Kuhn, 3 players", "kuhn_poker", {"players": 3}),
    ("test", "Kuhn, 4 players", "kuhn_poker", {"players": 4}),
    ("training", "Leduc, 2 players", "leduc_poker", {"players": 2}),
    ("test", "Leduc, 3 players", "leduc_poker", {"players": 3}),
    ("paper", "Goofspiel, 3 cards", "goofspiel", {"cards": 3}),
    ("training", "Goofspiel, 4 cards", "goofspiel", {"cards": 4}),
    ("test", "Goofspiel, 5 cards", "goofspiel", {"cards": 5}),
    ("paper", "Liar's Dice, 4 sides", "liars_dice", {"sides": 4}),
    ("training", "Liar's Dice, 5 sides", "liars_dice", {"sides": 5}),
    ("test", "Liar's Dice, 6 sides", "liars_dice", {"sides": 6}),
    ("extra", "Goofspiel, 4 cards drawn", "goofspiel", {"cards": 4, "points": "random"}),
    ("extra", "Liar's Dice, 3 players", "liars_dice", {"sides": 4, "players": 3}),
    ("extra", "Liar's Dice, 2 dice", "liars_dice", {"sides": 4, "dice": 2}),
    ("extra", "Blotto, 6 against 10", "blotto", {"coins": (6, 10)}),
    ("extra", "Blotto, reserves", "blotto", {"coins": (5, 6), "reserves": 2}),
    ("extra", "Battleship, 2 x 3", "battleship", {"columns": 3, "ships": (2,), "shots": 2}),
    (
        "extra",
        "Battleship, general sum",
        "battleship",
        {"ships": (1, 2), "values": (1.0, 2.0), "shots": 2, "loss_multiplier": 2.0},
    ),
)
"""The 18 games: the eleven of the paper's first version, and variants of each kind.

The later version of the paper has 18 games of the same kinds whose list was not available to us.
"""


class Sizes(NamedTuple):
    """How large a game is; sequences: of each player, the empty one included."""

    title: str
    players: int
    histories: int
    leaves: int
    infosets: int
    sequences: tuple[int, ...]


def suite_table(suite: Sequence[SuiteGame] = SUITE) -> list[Sizes]:
    """Build the games of a suite and return their sizes, one row for each."""
    return [sizes(entry.load(), entry.title) for entry in suite]


def sizes(game: ExtensiveGame, title: str | None = None) -> Sizes:
    """How large a game is; `title` stands for its name."""
    return Sizes(
        title=game.name if title is None else title,
        players=game.players,
        histories=game.histories,
        leaves=game.leaves,
        infosets=game.infosets,
        sequences=tuple(game.sequences(player) for player in range(game.players)),
    )
