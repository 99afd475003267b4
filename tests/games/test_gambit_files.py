"""Gambit's files: exact numbers and all names survive, there and back."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.games.best_response import deviations, exploitability
from rltheory.games.forms.extensive import ExtensiveGame, from_tree
from rltheory.games.forms.factored import Unfolded
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
