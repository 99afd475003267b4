"""Gambit's files: bad ones are refused by line, and games that no file can hold."""

import re
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.games.forms.public_tree import build_factored
from rltheory.games.interop.efg import format_efg, parse_efg, read_efg, write_efg
from rltheory.games.interop.gambit import from_gambit
from rltheory.games.interop.gambit_tokens import Tokens
from rltheory.games.interop.nfg import (
    NfgFile,
    format_nfg,
    parse_nfg,
    read_nfg,
    write_nfg,
)
from rltheory.games.rules.kuhn import Kuhn

DATA = Path(__file__).parent / "data"
EFG, NFG, OUTCOMES = DATA / "entry.efg", DATA / "sides.nfg", DATA / "outcomes.nfg"


def cuts(text: str) -> list[str]:
    """The text ended before each of its tokens."""
    tokens = Tokens(text, "x")
    pieces, at = [], 0
    while tokens.left:
        token = tokens.next
        at = text.index(token.text, at)
        pieces.append(text[:at])
        at += len(token.text)
        tokens.accept(token.kind)
    return pieces


@pytest.mark.parametrize("path", [EFG, NFG, OUTCOMES], ids=lambda path: path.name)
def test_every_truncated_file_is_refused_with_its_line(path: Path, tmp_path: Path) -> None:
    pieces = cuts(path.read_text())
    assert len(pieces) > 15
    for piece in pieces:
        short = tmp_path / "short"
        short.write_text(piece)
        with pytest.raises(ValueError, match=rf"short, line {piece.count(chr(10)) + 1}: expected"):
            from_gambit(short)


HEAD = 'EFG 2 R "t" { "a" "b" }\n'
BAD_EFG = [
    ('EFG 1 R "t" { "a" }', 1, "expected 2, the version"),
    ('EFG 2 X "t" { "a" }', 1, "expected R or D"),
    ("EFG 2 R t", 1, "expected the game's title in quotes; got t"),
    ('EFG 2 R "t" { }', 1, "expected a player's name in quotes; got '}'"),
    ('EFG 2 R "t" { "a', 1, "closing quote is missing"),
    (HEAD + 'x "" 0', 2, "expected c, p or t, the kind of a node (1 more node is missing); got x"),
    (HEAD + 'p "" 3 1 "" { "l" } 0', 2, "the player's number, an integer from 1 to 2; got 3"),
    (HEAD + 'p "" 1 1/2 "" { "l" } 0', 2, "information set's number, an integer"),
    (HEAD + 'p "" 1 7 0', 2, "information set 7 has not been defined"),
    (HEAD + 'p "" 1 7 "name" 0', 2, "information set 7 has not been defined"),
    (HEAD + 'p "" 1 1 "" { } 0', 2, "expected an action's name"),
    (HEAD + 'p "" 1 1 "" { "l" 1 } 0', 2, "expected an action's name in quotes; got 1"),
    (HEAD + 'p "" 1 1 "" { "l" } 0\np "" 1 1 "" { "r" } 0', 3, 'has actions { "r" }'),
    (HEAD + 'p "" 1 1 "A" { "l" } 0\np "" 1 1 "B" { "l" } 0', 3, "was called 'A'; now 'B'"),
    (HEAD + 'c "" 1 "" { "l" } 0', 2, "expected the action's probability; got '}'"),
    (HEAD + 'c "" 1 "" { "l" 1/2 "r" 1/3 } 0', 2, "sum to 0.8333333333; expected 1"),
    (HEAD + 'c "" 1 "" { "l" 3/2 "r" -1/2 } 0', 2, "a probability from 0 to 1; got 3/2"),
    (HEAD + 'c "" 1 "" { "l" 1/0 } 0', 2, "without a zero below the line"),
    (HEAD + 't "" 1', 2, "outcome 1 has not been defined"),
    (HEAD + 't "" 0 "null" { 1 2 }', 2, "outcome 0 stands for none"),
    (HEAD + 't "" 1 "o" { 1 }', 2, "the payoff of player 2 of 2; got '}'"),
    (HEAD + 't "" 1 "o" { 1 2 3 }', 2, "'}' after the payoffs of 2 players; got 3"),
    (HEAD + 't "" 1 "o" { 1 nan }', 2, "the payoff of player 2 of 2; got nan"),
    (HEAD + 't "" 1 "o" { 1 1e400 }', 2, "within the range of floats; got 1e400"),
    (HEAD + 't "" 1 "o" { 1 1e9999999999 }', 2, "within the range of floats"),
    (HEAD + 't "" 1 "o" { 1 1' + 5000 * "0" + " }", 2, "within the range of floats"),
    (HEAD + 't "" 1 "o" { 1 2/ }', 2, "the payoff of player 2 of 2; got 2/"),
    (HEAD + 't "" 0\nt "" 0', 3, "expected the end of the file, as every node has its children"),
    (
        HEAD + 'p "" 1 1 "" { "l" "r" } 0\nt "" 1 "o" { 1 2 }\nt "" 1 "o" { 1 3 }',
        4,
        "outcome 1 differs",
    ),
]
NFG_HEAD = 'NFG 1 R "t" { "a" "b" }\n'
BAD_NFG = [
    ('NFG 2 R "t" { "a" }', 1, "expected 1, the version"),
    ('NFG 1 R "t" { }', 1, "expected a player's name"),
    (NFG_HEAD + "{ 2 }", 2, "the number of strategies of player 2 of 2; got '}'"),
    (NFG_HEAD + "{ 2 0 } 1 1", 2, "an integer of at least 1"),
    (NFG_HEAD + "{ 2 1000000000 } 1 1", 2, "make 2000000000 profiles; expected an entry for each"),
    (NFG_HEAD + '{ { "x" } { } }', 2, "a strategy of player 2 of 2"),
    (NFG_HEAD + "{ 2 2 2 } 1", 2, "'}' after the strategies of 2 players"),
    (NFG_HEAD + "{ 1 2 }\n1 2 3", 3, "what player 2 gets at profile 2 of 2; got the end of"),
    (NFG_HEAD + "{ 1 1 }\n1 2 3", 3, "the end of the file after 1 profiles; got 3"),
    (NFG_HEAD + "{ 1 1 }\n1 x", 3, "what player 2 gets at profile 1 of 1; got x"),
    (
        NFG_HEAD + '{ 1 1 }\n{ { "o" 1 2 } }\n2',
        4,
        "the outcome of profile 1 of 1, an integer from 0",
    ),
    (NFG_HEAD + "{ 1 1 }\n{ { 1 2 } }\n0", 3, "the outcome's name in quotes"),
]


@pytest.mark.parametrize(("text", "line", "complaint"), BAD_EFG)
def test_a_malformed_efg_file_is_refused(text: str, line: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        parse_efg(text, "some.efg")
    assert str(caught.value).startswith(f"some.efg, line {line}: ")


@pytest.mark.parametrize(("text", "line", "complaint"), BAD_NFG)
def test_a_malformed_nfg_file_is_refused(text: str, line: int, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        parse_nfg(text, "some.nfg")
    assert str(caught.value).startswith(f"some.nfg, line {line}: ")


@given(st.data())
def test_damaged_files_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    path, parse = data.draw(st.sampled_from([(EFG, parse_efg), (NFG, parse_nfg)]))
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 12)))
    patch = data.draw(st.text('"\\{},0123456789./e-+ \npct', max_size=4))
    refusal = "damaged, line 0: none"
    try:
        parse(text[:start] + patch + text[stop:], "damaged")
    except ValueError as error:
        refusal = str(error)
    assert refusal.startswith("damaged, line ")


def test_a_forgotten_move_is_named() -> None:
    text = HEAD + 'p "" 1 1 "first" { "l" "r" } 0\n' + 2 * 'p "" 1 2 "second" { "x" } 0 t "" 0\n'
    with pytest.raises(ValueError, match=r"'second'.*perfect recall"):
        parse_efg(text).game()


def test_a_file_that_is_no_text_and_one_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "binary.efg").write_bytes(b"EFG 2 R \xff\xfe")
    with pytest.raises(ValueError, match=r"binary\.efg: expected text in UTF-8"):
        read_efg(tmp_path / "binary.efg")
    with pytest.raises(FileNotFoundError):
        from_gambit(tmp_path / "missing.efg")
    with pytest.raises(FileNotFoundError):
        write_nfg(read_nfg(NFG), tmp_path / "no such folder" / "a.nfg")


def test_games_that_a_file_cannot_hold() -> None:
    with pytest.raises(ValueError, match=r"factored form; an \.efg file lists every node"):
        format_efg(build_factored(Kuhn(players=2), "kuhn"))
    with pytest.raises(ValueError, match="ends in a backslash"):
        format_nfg(NfgFile("t\\", "", ("a",), (("x",),), None, ((Fraction(1),),)))


def test_what_is_no_game_is_not_written(tmp_path):
    with pytest.raises(TypeError, match="game is 'kuhn_poker'; expected an ExtensiveGame"):
        write_efg("kuhn_poker", tmp_path / "kuhn.efg")
    assert not list(tmp_path.iterdir())
