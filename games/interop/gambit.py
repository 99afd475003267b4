"""Gambit's game files of either kind, to and from the games of this package."""

from pathlib import Path

from rltheory.games.forms.extensive import ExtensiveGame
from rltheory.games.interop.efg import parse_efg, write_efg
from rltheory.games.interop.gambit_tokens import Tokens, read_text
from rltheory.games.interop.nfg import parse_nfg, write_nfg
from rltheory.games.normal_form.matrix_game import MatrixGame


def from_gambit(path: str | Path) -> ExtensiveGame | MatrixGame:
    """Return the game of an `.efg` or an `.nfg` file; the first word says which it is.

    Raises ValueError naming file and line if it is neither, truncated or malformed, or if a player
    forgets an own past move; OSError if it cannot be read. `read_efg` and `read_nfg` keep all that
    a file holds, with exact numbers.
    """
    text = read_text(path)
    tokens = Tokens(text, str(path))
    if tokens.word(("EFG", "NFG"), "EFG or NFG, as Gambit's files begin") == "EFG":
        return parse_efg(text, str(path)).game()
    return parse_nfg(text, str(path)).game()


def to_gambit(game: ExtensiveGame | MatrixGame, path: str | Path) -> None:
    """Write a game to a file: an extensive game as `.efg`, one in normal form as `.nfg`.

    Raises ValueError for an extensive game without a tree.
    """
    if isinstance(game, MatrixGame):
        write_nfg(game, path)
    else:
        write_efg(game, path)
