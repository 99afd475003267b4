"""What the pages on games show runs, and comes out as they say."""

import shlex

import doc_pages
import numpy as np
import pytest
from doc_pages import README, commands

from rltheory import games
from rltheory.cli.main import main

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
