"""Gambit's files: exact numbers and all names survive, bad files are refused by line."""

import re
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.games.best_response import deviations, exploitability
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import TERMINAL, build_tree
from rltheory.games.interop.efg import format_efg, parse_efg, read_efg, write_efg
from rltheory.games.interop.efg_file import EfgFile, EfgInfoset, EfgNode, EfgOutcome
from rltheory.games.interop.gambit import from_gambit, to_gambit
from rltheory.games.interop.gambit_tokens import Tokens, unique_labels
from rltheory.games.interop.nfg import (
    NfgFile,
    NfgOutcome,
    format_nfg,
    parse_nfg,
    read_nfg,
    write_nfg,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.rules.kuhn import Kuhn

DATA = Path(__file__).parent / "data"
EFG, NFG, OUTCOMES = DATA / "entry.efg", DATA / "sides.nfg", DATA / "outcomes.nfg"

# A label may be any text but for a last backslash, which the format takes for a quote's.
labels = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=6
).filter(lambda label: not label.endswith("\\"))
numbers = st.fractions(max_denominator=1000) | st.sampled_from([Fraction(10**20, 3), Fraction(0)])


def kuhn() -> ExtensiveGame:
    return from_tree(build_tree(Unfolded(Kuhn(players=2))), "kuhn")


# What a file holds


def test_a_file_keeps_its_names_and_exact_numbers() -> None:
    file = read_efg(EFG)
    assert file.title == 'Entry after a "survey"'
    assert file.players == ("Entrant", "Incumbent")
    assert file.comment.splitlines()[0] == "A survey costs the entrant 1/2, whatever follows;"
    assert len(file.nodes) == 23
    assert (file.nodes[0].name, file.nodes[-1].name) == ("start", "end")
    demand = file.infosets[1]
    assert (demand.player, demand.name, demand.actions) == (0, "demand", ("high", "low"))
    assert demand.probabilities == (Fraction(1, 4), Fraction(3, 4))
    assert [outcome.name for outcome in file.outcomes] == [
        "fee", "war", "boom", "monopoly", "slump", "left alone",
    ]  # fmt: skip
    assert file.outcomes[1].payoffs == (Fraction(-3, 2), Fraction(-1))


def test_outcomes_on_the_way_are_paid_as_well() -> None:
    tree = read_efg(EFG).tree()
    paid = tree.payoffs[tree.to_move == TERMINAL]
    # By hand: the survey's fee of 1/2 lies on the first six leaves only.
    assert paid.tolist() == [
        [-2, -1], [3.5, 3], [-0.5, 5], [-2, -1], [0.5, 1], [-0.5, 5],
        [-1.5, -1], [4, 3], [0, 5], [-1.5, -1], [1, 1], [0, 7],
    ]  # fmt: skip


def test_information_sets_and_actions_keep_their_names() -> None:
    game = read_efg(EFG).game()
    assert game.name == 'Entry after a "survey"'
    assert game.infoset_labels == (
        "buy", "knows high", "knows low", "(Entrant, 4)", "entry",
    )  # fmt: skip
    assert game.action_labels[0] == ("survey", "no survey")
    # The incumbent cannot tell any of the four entries apart.
    assert np.diff(game.form.infoset_start).tolist() == [4, 1]
    assert game.histories == 23


def test_payoffs_follow_the_profile_as_by_hand() -> None:
    game = read_efg(EFG).game()
    table = game.strategy_table(game.uniform())
    play = {"buy": "no survey", "(Entrant, 4)": "enter", "entry": "share"}
    profile = np.concatenate(
        [
            [float(action == play.get(label, next(iter(moves)))) for action in moves]
            for of_player in table
            for label, moves in of_player.items()
        ]
    )
    # A quarter of (4, 3) and three quarters of (1, 1).
    assert deviations(game, profile).payoffs == pytest.approx([1.75, 1.5], abs=1e-15)


def test_same_names_and_empty_ones_are_told_apart() -> None:
    assert unique_labels(["a", "", "a", "b", ""]) == ("a", "#2", "a #3", "b", "#5")
    assert unique_labels(["", "#1", "#1"]) == ("#1'", "#1", "#1 #3")
    text = 'EFG 2 R "" { "x" "x" } p "" 1 1 "s" { "" "" } 0 t "" 0 p "" 2 1 "s" { "m" } 0 t "" 0'
    game = parse_efg(text).game()
    assert game.infoset_labels == ("s (x, 1)", "s (x #2, 1)")
    assert game.action_labels == (("#1", "#2"), ("m",))
    assert game.name == "game"


@given(st.lists(st.sampled_from(["", "a", "a'", "#1", "#2", "a #2", "b"]), max_size=8))
def test_unique_labels_differ_and_keep_what_was_unique(given_labels: list[str]) -> None:
    out = unique_labels(given_labels)
    assert len(set(out)) == len(out) == len(given_labels)
    for before, after in zip(given_labels, out, strict=True):
        if before and given_labels.count(before) == 1:
            assert after == before


def test_a_normal_form_has_the_first_player_change_fastest() -> None:
    file = read_nfg(NFG)
    assert file.strategies[2] == ("lenient", "strict")
    payoffs = file.payoffs()
    assert payoffs.shape == (3, 3, 2, 2)
    assert payoffs[2, 2, 0, 0] == Fraction(1, 3)
    assert payoffs[:, 1, 1, 0].tolist() == [2, 2, Fraction(1, 2)]
    assert payoffs[:, 0, 0, 1].tolist() == [5, 5, 5]
    assert payoffs[:, 2, 1, 1].tolist() == [Fraction(1, 10), 0, Fraction(-1, 4)]
    assert np.array_equal(file.game().payoffs, payoffs.astype(float))


def test_outcomes_by_number_and_none() -> None:
    file = read_nfg(OUTCOMES)
    assert [outcome.name for outcome in file.outcomes or ()] == ["win", "loss"]
    assert file.strategies == (("1", "2"), ("1", "2"))
    assert file.game().payoffs[0].tolist() == [[1, -1], [0, 1]]
    assert file.game().payoffs[1].tolist() == [[-1, 1], [0, -1]]


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0.1", "1/10"), (".80", "4/5"), ("5.", "5"), ("-1/3", "-1/3"), ("+2", "2"),
        ("1e-3", "1/1000"), ("2.5E+1", "25"), ("007", "7"), ("-4/6", "-2/3"),
    ],
)  # fmt: skip
def test_numbers_are_exact(written: str, number: str) -> None:
    assert str(Tokens(written, "x").fraction("a number")) == number


# There and back


@st.composite
def efg_files(draw: st.DrawFn) -> EfgFile:
    """Any file: a tree of up to 25 nodes, sets and outcomes used again at random."""
    players = draw(st.integers(1, 3))
    infosets: list[EfgInfoset] = []
    outcomes: list[EfgOutcome] = []
    nodes: list[EfgNode] = []
    missing = 1
    while missing:
        terminal = len(nodes) + missing > 20 or draw(st.booleans())
        infoset = None
        if not terminal:
            infoset = draw(st.integers(0, len(infosets)))
            if infoset == len(infosets):
                player = draw(st.integers(0, players))
                count = draw(st.integers(1, 3))
                weights = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
                total = sum(weights)
                chances = tuple(Fraction(w, total) for w in weights) if total else None
                if player == 0 and chances is None:
                    chances = (Fraction(1),) + (Fraction(0),) * (count - 1)
                infosets.append(
                    EfgInfoset(
                        player,
                        len(infosets) + draw(st.integers(0, 1)) * 100,
                        draw(labels),
                        tuple(draw(labels) for _ in range(count)),
                        chances if player == 0 else None,
                    )
                )
            missing += len(infosets[infoset].actions)
        outcome = draw(st.none() | st.integers(0, len(outcomes)))
        if outcome == len(outcomes):
            payoffs = tuple(draw(numbers) for _ in range(players))
            outcomes.append(EfgOutcome(len(outcomes) + 1, draw(labels), payoffs))
        nodes.append(EfgNode(draw(labels), infoset, outcome))
        missing -= 1
    names = tuple(draw(labels) for _ in range(players))
    return EfgFile(
        draw(labels), draw(labels), names, tuple(infosets), tuple(outcomes), tuple(nodes)
    )


@given(efg_files())
def test_an_efg_file_reads_back_as_it_was_written(file: EfgFile) -> None:
    assert parse_efg(format_efg(file)) == file


@st.composite
def nfg_files(draw: st.DrawFn) -> NfgFile:
    """Any file of either version, up to three players with up to three strategies."""
    counts = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    cells = int(np.prod(counts))
    payoffs = st.tuples(*[numbers] * len(counts))
    outcomes = draw(st.none() | st.lists(st.builds(NfgOutcome, labels, payoffs), max_size=3))
    entry = payoffs if outcomes is None else st.integers(0, len(outcomes))
    return NfgFile(
        title=draw(labels),
        comment=draw(labels),
        players=tuple(draw(labels) for _ in counts),
        strategies=tuple(tuple(draw(labels) for _ in range(count)) for count in counts),
        outcomes=None if outcomes is None else tuple(outcomes),
        contingencies=tuple(draw(entry) for _ in range(cells)),
    )


@given(nfg_files())
def test_an_nfg_file_reads_back_as_it_was_written(file: NfgFile) -> None:
    assert parse_nfg(format_nfg(file)) == file


def test_a_game_comes_back_with_the_same_arrays(tmp_path: Path) -> None:
    game = kuhn()
    write_efg(game, tmp_path / "kuhn.efg")
    file = read_efg(tmp_path / "kuhn.efg")
    again = file.game()
    for before, after in zip(game.form, again.form, strict=True):
        assert np.array_equal(before, after)
    assert again.infoset_labels == game.infoset_labels
    assert again.action_labels == game.action_labels
    chances = [s.probabilities for s in file.infosets if s.probabilities]
    assert all(sum(row) == 1 for row in chances)
    assert (Fraction(1, 3),) * 3 in chances or (Fraction(1, 6),) * 6 in chances


def test_chances_sum_to_one_exactly_even_if_floats_do_not() -> None:
    text = (
        'EFG 2 R "" { "a" } c "" 1 "" { "x" 0.3333333333 "y" 0.3333333333 "z" 0.3333333333 } 0 '
        't "" 0 t "" 0 t "" 0'
    )
    file = parse_efg(text)
    assert file.infosets[0].probabilities == (Fraction("0.3333333333"),) * 3
    again = parse_efg(format_efg(file.game()))
    assert again.infosets[0].probabilities == (Fraction(1, 3),) * 3


def test_a_normal_form_game_comes_back(tmp_path: Path) -> None:
    game = MatrixGame(np.random.default_rng(0).normal(size=(3, 2, 3, 4)))
    to_gambit(game, tmp_path / "game.nfg")
    again = from_gambit(tmp_path / "game.nfg")
    assert isinstance(again, MatrixGame)
    assert np.array_equal(again.payoffs, game.payoffs)


def test_either_kind_is_told_by_its_first_word(tmp_path: Path) -> None:
    to_gambit(kuhn(), tmp_path / "a.txt")
    game = from_gambit(tmp_path / "a.txt")
    assert isinstance(game, ExtensiveGame)
    assert exploitability(game, game.uniform()) == exploitability(kuhn(), kuhn().uniform())
    assert isinstance(from_gambit(OUTCOMES), MatrixGame)
    (tmp_path / "b.txt").write_text("<?xml version='1.0'?>")
    with pytest.raises(ValueError, match=r"b\.txt, line 1: expected EFG or NFG"):
        from_gambit(tmp_path / "b.txt")


# What is refused


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


# Beside Gambit


def exact(number: object) -> Fraction:
    return Fraction(str(number))


def test_gambit_reads_the_same_game(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    file = read_efg(EFG)
    write_efg(file, tmp_path / "again.efg")
    write_efg(file.game(), tmp_path / "game.efg")
    leaves = file.tree().leaves
    for path in (EFG, tmp_path / "again.efg", tmp_path / "game.efg"):
        theirs = gambit.read_efg(str(path))
        assert len(list(theirs.nodes)) == len(file.nodes)
        assert len(list(theirs.infosets)) == sum(s.player > 0 for s in file.infosets)
        paid = sorted(_gambit_leaves(theirs, theirs.root, [Fraction(0)] * 2))
        assert len(paid) == leaves
        tree = file.tree()
        ours = tree.payoffs[tree.to_move == TERMINAL].tolist()
        assert paid == sorted([Fraction(x) for x in row] for row in ours)


def _gambit_leaves(game: object, node: object, paid: list[Fraction]) -> list[list[Fraction]]:
    try:
        here = [exact(node.outcome[player]) for player in game.players]  # type: ignore[attr-defined]
    except KeyError:
        here = [Fraction(0)] * len(paid)
    total = [x + y for x, y in zip(paid, here, strict=True)]
    children = list(node.children)  # type: ignore[attr-defined]
    if not children:
        return [total]
    return [row for child in children for row in _gambit_leaves(game, child, total)]


def test_gambit_finds_the_same_equilibrium(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    game = kuhn()
    write_efg(game, tmp_path / "kuhn.efg")
    theirs = gambit.read_efg(str(tmp_path / "kuhn.efg"))
    found = gambit.nash.lp_solve(theirs, rational=True, use_strategic=False).equilibria[0]
    profile = [
        float(exact(found[action]))
        for player in theirs.players
        for infoset in player.infosets
        for action in infoset.actions
    ]
    # Gambit orders sets by their first visit, as we do.
    assert exploitability(game, profile) == pytest.approx(0, abs=1e-15)
    assert deviations(game, profile).payoffs == pytest.approx([-1 / 18, 1 / 18], abs=1e-15)


def test_gambit_reads_the_same_normal_form(tmp_path: Path) -> None:
    gambit = pytest.importorskip("pygambit")
    for source, again in product((NFG, OUTCOMES), (False, True)):
        file = read_nfg(source)
        path = source
        if again:
            path = tmp_path / "again.nfg"
            write_nfg(file, path)
        theirs = gambit.read_nfg(str(path))
        payoffs = file.payoffs()
        for cell in np.ndindex(payoffs.shape[1:]):
            pure = [
                [int(a == chosen) for a in range(count)]
                for chosen, count in zip(cell, payoffs.shape[1:], strict=True)
            ]
            profile = theirs.mixed_strategy_profile(data=pure, rational=True)
            paid = [exact(profile.payoff(player)) for player in theirs.players]
            assert paid == payoffs[(slice(None), *cell)].tolist()
