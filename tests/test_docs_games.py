"""What the pages on games show runs, and comes out as they say."""

import importlib
import shlex
from math import comb

import doc_pages
import numpy as np
import pytest
from doc_pages import README, commands

from rltheory import games
from rltheory.cli.main import main
from rltheory.games.regret import variant

PAGE = doc_pages.read("games.md")


@pytest.fixture(scope="module")
def page():
    """The names that the page's blocks leave, run one after another."""
    return doc_pages.run(PAGE, "docs/games.md")


def test_every_block_of_the_page_is_run():
    doc_pages.check_fences(PAGE, ("python", "console"))


def test_the_first_run_is_exact(page):
    run = page["run"]
    assert run.averaging
    assert run.exploitability[-1] == games.exploitability(page["game"], run.average)
    assert not page["early"].averaging


@pytest.mark.parametrize(("periods", "inspections"), [(2, 1), (3, 1), (4, 1), (4, 2), (5, 3)])
def test_inspection_has_dreshers_value(page, periods, inspections):
    game = games.from_tree(games.build_tree(page["Inspection"](periods, inspections)))
    bounds = games.sequence_form_nash(game).bounds
    total = sum(comb(periods, k) for k in range(inspections + 1))
    assert bounds.lower <= -comb(periods - 1, inspections) / total <= bounds.upper


@pytest.mark.parametrize("bet", [0.5, 1.0, 2.0])
def test_bluffing_is_worth_what_theory_says_in_both_forms(page, bet):
    rules = page["Bluff"](bet)
    factored = games.build_factored(rules)
    tree = games.from_tree(games.build_tree(games.Unfolded(rules)))
    for game in (factored, tree):
        bounds = games.sequence_form_nash(game).bounds
        assert bounds.lower <= bet / (2 + bet) <= bounds.upper
    np.testing.assert_array_equal(factored.form.first, tree.form.first)
    assert tuple(factored.infoset_labels) == tuple(tree.infoset_labels)


def test_the_variant_is_what_its_functions_say(page):
    """After one iteration CFR+'s strategies are in the ratio of regrets, its own of squares."""
    game, sharp = games.load("matching_pennies", form="tree"), page["sharp"]
    start = games.cfr(game, sharp, iterations=1, alternating=False)
    # All regrets of uniform pennies are zero: play stays uniform.
    np.testing.assert_array_equal(start.current, 0.5)
    mine, plus = (
        games.cfr(page["game"], rule, iterations=1, alternating=False).current
        for rule in (sharp, "cfr_plus")
    )
    first = page["game"].form.first
    sums = np.add.reduceat(plus**2, first[:-1])
    # Both divide by a sum of at most three terms: ten roundings at most.
    np.testing.assert_allclose(mine, plus**2 / np.repeat(sums, np.diff(first)), rtol=10 * 2**-53)


def test_what_is_compiled_of_a_page_names_a_module_that_exists():
    """A process that loads it from the cache imports that module; the page is none."""
    names = {"__name__": "nowhere"}
    exec("def half(R): return R / 2\ndef regret(R, r, c, s): return half(R) + r", names)
    done = {}
    variant._compile(names["regret"], done)
    assert set(done) == {names["half"], names["regret"]}
    for compiled in done.values():
        assert importlib.import_module(compiled.py_func.__module__) is variant


def test_the_meta_solver_mixes_the_newest_and_nash_reports_no_worse(page):
    run = page["recent"]
    weights = run.training_strategies[0]
    np.testing.assert_array_equal(weights, np.r_[np.zeros(18), np.full(3, 1 / 3)])
    assert run.restricted_gap[-1] <= 1e-9


def test_the_reader_reads_matching_pennies(page):
    pennies, ours = page["pennies"], games.load("matching_pennies")
    assert pennies.infosets == 2
    assert pennies.leaves == 4
    profile = np.array([0.25, 0.75, 0.5, 0.5])
    got, expected = (games.exploitability(game, profile) for game in (pennies, ours))
    assert got == expected == 0.25


@pytest.mark.parametrize("line", commands(PAGE, "console"))
def test_commands_of_the_page_end_well(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line, comments=True)[1:]) == 0
    assert capsys.readouterr().out


def test_the_readmes_games_block_runs():
    names = doc_pages.readme_block("games.load")
    game, run = names["game"], names["run"]
    assert games.exploitability(game, run.average) == run.exploitability[-1] < 1e-3


@pytest.mark.parametrize(
    "line", [line for line in commands(README, "") if line.split()[2] in games.game_names()]
)
def test_the_readmes_commands_on_games_end_well(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line, comments=True)[1:]) == 0
    assert "exploitability" in capsys.readouterr().out
