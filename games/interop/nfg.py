"""Games in normal form in Gambit's `.nfg` files: read, written, and turned into `MatrixGame`.

A file is kept whole as an `NfgFile`: every name, and every number as the exact fraction that is
written. Both versions of the format are read: payoffs one by one, or outcomes referred to by number
(0 is an outcome that pays nobody).
Source: Gambit's documentation, "The strategic game (.nfg) file format".
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rltheory.analysis.files import replacing
from rltheory.analysis.rational import simplest
from rltheory.games.interop.gambit_tokens import (
    Tokens,
    format_payoffs,
    quote,
    read_payoffs,
    read_players,
    read_text,
)
from rltheory.games.normal_form.matrix_game import MatrixGame

_MANY = 1_000_000
"""A few digits can declare more profiles than a memory holds; up to so many are read as far as the
file goes, so that the error says where it ends."""


@dataclass(frozen=True)
class NfgOutcome:
    """A name and payoffs, one for each player."""

    name: str
    payoffs: tuple[Fraction, ...]


@dataclass(frozen=True)
class NfgFile:
    """An `.nfg` file.

    strategies: each player's names of strategies. outcomes: the list of the outcome version, None
    where payoffs stand one by one. contingencies: for each profile, the first player's strategy
    changing fastest, its outcome's place in the list counted from 1 (0: nobody is paid), or its
    payoffs.
    """

    title: str
    comment: str
    players: tuple[str, ...]
    strategies: tuple[tuple[str, ...], ...]
    outcomes: tuple[NfgOutcome, ...] | None
    contingencies: tuple[int, ...] | tuple[tuple[Fraction, ...], ...]

    def payoffs(self) -> NDArray[Any]:
        """Return the exact payoffs, Fractions in an array of shape (players, A_1, ..., A_n)."""
        nothing = (Fraction(0),) * len(self.players)
        paid: list[tuple[Fraction, ...]] = []
        for entry in self.contingencies:
            if isinstance(entry, tuple):
                paid.append(entry)
            else:
                paid.append(
                    self.outcomes[entry - 1].payoffs if self.outcomes and entry else nothing
                )
        flat = np.empty((len(self.players), len(paid)), dtype=object)
        flat[:] = list(zip(*paid, strict=True))
        counts = tuple(len(names) for names in self.strategies)
        return flat.reshape((len(self.players), *counts[::-1])).transpose(
            0, *range(len(counts), 0, -1)
        )

    def game(self) -> MatrixGame:
        """Return the game, each payoff rounded once."""
        return MatrixGame(self.payoffs().astype(np.float64))


def read_nfg(path: str | Path) -> NfgFile:
    """Read an `.nfg` file.

    Raises ValueError with the file, the line, what was expected and what came, if it is truncated
    or malformed; OSError if it cannot be read.
    """
    return parse_nfg(read_text(path), str(path))


def parse_nfg(text: str, name: str = "nfg") -> NfgFile:
    """Read the text of an `.nfg` file; `name` is what errors call it."""
    tokens = Tokens(text, name)
    tokens.word(("NFG",), "NFG, as .nfg files begin")
    tokens.word(("1",), "1, the version of the format")
    tokens.word(("R", "D"), "R or D, the kind of numbers")
    title = tokens.label("the game's title in quotes")
    players = read_players(tokens)
    at = tokens.next
    declared = _strategies(tokens, len(players))
    cells = math.prod(len(names) if isinstance(names, tuple) else names for names in declared)
    if cells > max(tokens.left, _MANY):
        size = str(cells) if cells < 10**15 else f"about 10^{math.log10(cells):.0f}"
        tokens.refuse(
            f"the strategies of {len(players)} players make {size} profiles; "
            f"expected an entry for each; got {tokens.left} words until the end of the file",
            at,
        )
    strategies = tuple(
        names if isinstance(names, tuple) else tuple(str(a + 1) for a in range(names))
        for names in declared
    )
    comment = tokens.label("a comment") if tokens.next.kind == "text" else ""
    outcomes = None
    contingencies: tuple[int, ...] | tuple[tuple[Fraction, ...], ...]
    if tokens.next.kind == "open":
        outcomes = _outcomes(tokens, len(players))
        contingencies = _places(tokens, cells, len(outcomes))
    else:
        contingencies = _paid(tokens, cells, len(players))
    tokens.take("end", f"the end of the file after {cells} profiles")
    return NfgFile(title, comment, players, strategies, outcomes, contingencies)


def write_nfg(game: MatrixGame | NfgFile, path: str | Path) -> None:
    """Write a game, or a file that was read, to an `.nfg` file, whole or not at all."""
    text = format_nfg(game)
    with replacing(path) as stream:
        stream.write(text.encode())


def format_nfg(game: MatrixGame | NfgFile) -> str:
    """Return the text of an `.nfg` file; numbers are written as exact fractions."""
    file = game if isinstance(game, NfgFile) else nfg_file(game)
    names = " ".join("{ " + " ".join(map(quote, some)) + " }" for some in file.strategies)
    players = " ".join(map(quote, file.players))
    lines = [f"NFG 1 R {quote(file.title)} {{ {players} }}", f"{{ {names} }}", quote(file.comment)]
    if file.outcomes is not None:
        outcomes = [f"{{ {quote(o.name)} {format_payoffs(o.payoffs)} }}" for o in file.outcomes]
        lines += ["{", *outcomes, "}"]
    entries = (
        " ".join(map(str, entry)) if isinstance(entry, tuple) else str(entry)
        for entry in file.contingencies
    )
    return "\n".join([*lines, *entries]) + "\n"


def nfg_file(game: MatrixGame, title: str = "game") -> NfgFile:
    """Describe a game as an `.nfg` file, players and strategies named 1, 2, ...

    Each payoff is the simplest fraction that rounds to the game's.
    """
    axes = range(game.players, 0, -1)
    cells = game.payoffs.transpose(*axes, 0).reshape(-1, game.players)
    return NfgFile(
        title=title,
        comment="",
        players=tuple(str(p + 1) for p in range(game.players)),
        strategies=tuple(tuple(str(a + 1) for a in range(count)) for count in game.actions),
        outcomes=None,
        contingencies=tuple(tuple(simplest(x) for x in cell) for cell in cells.tolist()),
    )


def _strategies(tokens: Tokens, players: int) -> list[tuple[str, ...] | int]:
    """The strategies' names in braces within braces, or their numbers in one pair of braces."""
    tokens.take("open", "'{' and the strategies")
    strategies: list[tuple[str, ...] | int] = []
    for player in range(players):
        whose = f"of player {player + 1} of {players}"
        if tokens.next.kind == "open":
            tokens.take("open", "'{'")
            names = [tokens.label(f"a strategy {whose} in quotes")]
            while not tokens.accept("close"):
                names.append(tokens.label(f"a strategy {whose} in quotes or '}}'"))
            strategies.append(tuple(names))
        else:
            strategies.append(tokens.integer(f"the number of strategies {whose}", 1))
    tokens.take("close", f"'}}' after the strategies of {players} players")
    return strategies


def _outcomes(tokens: Tokens, players: int) -> tuple[NfgOutcome, ...]:
    tokens.take("open", "'{' and the outcomes")
    outcomes = []
    while not tokens.accept("close"):
        tokens.take("open", "'{' and an outcome, or '}' after the last")
        name = tokens.label("the outcome's name in quotes")
        outcomes.append(NfgOutcome(name, read_payoffs(tokens, players)))
    return tuple(outcomes)


def _places(tokens: Tokens, cells: int, outcomes: int) -> tuple[int, ...]:
    return tuple(
        tokens.integer(f"the outcome of profile {cell + 1} of {cells}", 0, outcomes)
        for cell in range(cells)
    )


def _paid(tokens: Tokens, cells: int, players: int) -> tuple[tuple[Fraction, ...], ...]:
    paid = []
    for cell in range(cells):
        row = []
        for player in range(players):
            row.append(
                tokens.fraction(f"what player {player + 1} gets at profile {cell + 1} of {cells}")
            )
            tokens.accept("comma")
        paid.append(tuple(row))
    return tuple(paid)
