"""The words of Gambit's text files, with the lines that they stand in.

`.efg` and `.nfg` files are numbers, names, braces and texts in double quotes; white space and line
breaks mean nothing between them. A backslash before a quote makes it part of the text.
Source: Gambit's documentation, "Game representation formats".
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, NoReturn

_TOKEN = re.compile(
    r"""\s*(?: (?P<text>"(?:[^"]|(?<=\\)")*+") | (?P<open>\{) | (?P<close>\}) | (?P<comma>,)
    | (?P<number>[-+]?(?:\d+/\d+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?=[\s{},"]|\Z))
    | (?P<word>[^\s{},"]+) | (?P<broken>") | (?P<end>\Z) )""",
    re.VERBOSE | re.ASCII,
)
_NAMES = {"open": "'{'", "close": "'}'", "comma": "','", "end": "the end of the file"}
_LARGEST_EXPONENT = 400
"""No float needs a larger one, and an exact power of ten of any size would fill the memory."""


class Token(NamedTuple):
    """kind: text, number, word, open, close, comma, broken or end. line: counted from 1."""

    kind: str
    text: str
    line: int

    def __str__(self) -> str:
        if self.kind == "text":
            return f"the text {_short(self.text)}"
        return _NAMES.get(self.kind, _short(self.text))


class Tokens:
    """A file's tokens, taken one after another; every complaint names the file and the line."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._tokens = list(_split(text))
        self._at = 0

    @property
    def next(self) -> Token:
        """The token that comes next; after the last, the end again and again."""
        return self._tokens[min(self._at, len(self._tokens) - 1)]

    @property
    def left(self) -> int:
        """How many tokens are left, the end not counted."""
        return len(self._tokens) - 1 - self._at

    def take(self, kind: str, expected: str) -> str:
        """Return the next token's text, if it is of that kind; otherwise complain."""
        token = self.next
        if token.kind != kind:
            self.fail(expected)
        self._at += 1
        return token.text

    def accept(self, kind: str) -> bool:
        """Pass over the next token if it is of that kind, and say whether it was."""
        found = self.next.kind == kind
        self._at += found
        return found

    def word(self, allowed: Iterable[str], expected: str) -> str:
        """Return the next token's text, if it is one of the allowed words or numbers."""
        if self.next.kind not in ("word", "number") or self.next.text not in allowed:
            self.fail(expected)
        self._at += 1
        return self._tokens[self._at - 1].text

    def label(self, expected: str) -> str:
        """Return the next text, without its quotes."""
        return self.take("text", expected)[1:-1].replace('\\"', '"')

    def fraction(self, expected: str) -> Fraction:
        """Return the next number exactly as it is written."""
        token = self.next
        text = self.take("number", expected)
        mantissa, _, exponent = text.lower().partition("e")
        if len(mantissa) > 4000 or len(exponent) > 9 or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
            self.fail(f"{expected} within the range of floats", token)
        try:
            number = Fraction(text)
            float(number)
        except ZeroDivisionError:
            self.fail(f"{expected} without a zero below the line", token)
        except OverflowError:
            self.fail(f"{expected} within the range of floats", token)
        return number

    def integer(self, expected: str, low: int = 0, high: float = math.inf) -> int:
        """Return the next number, if it is an integer in [low, high]."""
        token = self.next
        number = self.fraction(expected)
        if number.denominator != 1 or not low <= number <= high:
            bound = f"of at least {low}" if high == math.inf else f"from {low} to {high}"
            self.fail(f"{expected}, an integer {bound}", token)
        return int(number)

    def fail(self, expected: str, token: Token | None = None) -> NoReturn:
        """Raise ValueError: what was expected, what came (the next token by default), where."""
        token = token or self.next
        came = "a text whose closing quote is missing" if token.kind == "broken" else str(token)
        raise ValueError(f"{self.name}, line {token.line}: expected {expected}; got {came}")

    def refuse(self, complaint: str, token: Token | None = None) -> NoReturn:
        """Raise ValueError for a file that reads well and contradicts itself."""
        raise ValueError(f"{self.name}, line {(token or self.next).line}: {complaint}")


def read_text(path: str | Path) -> str:
    """Return a file's text; ValueError if it is not text. OSError as from `open`."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected text in UTF-8; got a file that is not, from byte {error.start} on"
        ) from None


def read_players(tokens: Tokens) -> tuple[str, ...]:
    """Read the players' names in braces."""
    tokens.take("open", "'{' and the players' names")
    players = [tokens.label("a player's name in quotes")]
    while not tokens.accept("close"):
        players.append(tokens.label("a player's name in quotes or '}'"))
    return tuple(players)


def read_payoffs(tokens: Tokens, players: int) -> tuple[Fraction, ...]:
    """Read one payoff for each player and a closing brace, commas between them optional."""
    payoffs = []
    for player in range(players):
        payoffs.append(tokens.fraction(f"the payoff of player {player + 1} of {players}"))
        tokens.accept("comma")
    tokens.take("close", f"'}}' after the payoffs of {players} players")
    return tuple(payoffs)


def format_payoffs(payoffs: Sequence[Fraction], number: Callable[[Fraction], str] = str) -> str:
    """Return payoffs as they stand within braces."""
    return ", ".join(map(number, payoffs))


def quote(label: str) -> str:
    """Return a label in quotes; ValueError if the format cannot hold it."""
    if label.endswith("\\"):
        raise ValueError(
            f"label {label!r} ends in a backslash, which Gambit's files would take for a quote's"
        )
    return '"' + label.replace('"', '\\"') + '"'


def unique_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Return labels that differ: empty ones and repetitions get their place in the row as well."""
    given = tuple(labels)
    taken = set(given)
    seen: set[str] = set()
    out = []
    for place, label in enumerate(given, start=1):
        if label == "" or label in seen:
            label = f"{label} #{place}".strip()
            while label in taken:
                label += "'"
            taken.add(label)
        seen.add(label)
        out.append(label)
    return tuple(out)


def _split(text: str) -> Iterable[Token]:
    position, line = 0, 1
    while True:
        found = _TOKEN.match(text, position)
        assert found is not None, "every character begins a token"
        kind = str(found.lastgroup)
        line += text.count("\n", position, found.start(kind))
        yield Token(kind, found[kind], line)
        if kind == "broken":
            yield Token("end", "", line)
        if kind in ("broken", "end"):
            return
        line += text.count("\n", found.start(kind), found.end())
        position = found.end()


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
