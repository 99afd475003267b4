"""The first page of the documentation: what it shows runs in its order, and comes out so."""

import contextlib
import csv
import json
import re
import tomllib

import doc_commands
import doc_pages
import numpy as np
import pytest

from rltheory import games, tabular
from rltheory.games import Variant
from rltheory.theory.registry import find

PAGE = doc_pages.read("getting_started.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page is run."""
    pytest.importorskip("gymnasium")
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def said(folder):
    """What each command printed, all of them run in the page's order."""
    with contextlib.chdir(folder):
        ended = {line: doc_commands.run(line) for line in doc_commands.lines(PAGE)}
    assert all(status == 0 for status, _ in ended.values())
    return {line: text for line, (_, text) in ended.items()}


@pytest.fixture(scope="module")
def page(folder, said):
    """The names that the page's blocks leave, run after the commands."""
    with contextlib.chdir(folder):
        return doc_pages.run(PAGE, "docs/getting_started.md")


def test_all_blocks_are_run_but_the_installation():
    assert set(re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)) == {"", "python", "console"}
    (install,) = doc_pages.blocks(PAGE, "")
    extra = re.search(r"'\.\[(\w+)\]'", install)[1]
    project = tomllib.loads((doc_pages.ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in PAGE
    assert install.splitlines()[-1] in doc_pages.README.replace(".venv/bin/", "")


def test_each_command_says_what_the_page_says_of_it(said):
    told = iter(said.items())
    line, text = next(told)
    assert line.startswith("rltheory solve leduc_poker")
    assert re.search(r"certified +exploitability in \[0\.000", text)
    assert re.search(r"value +of the game, in \[-0\.08", text)
    line, text = next(told)
    assert "robust: tv of radius 0.05, (s,a)-rectangular" in text
    assert find("bellman/contraction").statement in next(told)[1]
    assert "1 controls refuted" in next(told)[1]
    line, text = next(told)
    left, right = re.findall(r"(?:left|right) +(\d+/\d+)", text)
    first, second = (int(a) / int(b) for a, b in (left.split("/"), right.split("/")))
    assert first > second
    assert "robust-value" in next(told)[1]
    assert next(told, None) is None


def test_the_first_run_is_certified(page):
    bounds = games.certified_exploitability(page["game"], page["run"].average)
    assert bounds.lower <= page["run"].exploitability[-1] <= bounds.upper < 1e-3


def test_the_adversary_costs_and_planning_against_it_helps(page):
    nominal, robust, naive = page["nominal"], page["robust"], page["naive"]
    assert np.all(robust.lower <= nominal.upper)
    assert np.all(naive.lower <= robust.upper)
    assert naive.upper[0] < robust.lower[0] < nominal.lower[0]
    own = tabular.DiscountedMDP(page["lake"].to_dense().transitions, page["lake"].rewards, 0.9)
    assert own.states == page["lake"].states


def test_the_bolder_claim_is_refuted_and_the_theorem_is_not(page):
    assert (page["refuted"], page["attempt"].tightness) == (False, 1.0)
    refuted, attempt = page["falsify"](page["mine"], budget="quick")
    assert refuted
    left, right = page["Fraction"](attempt.worst.left), page["Fraction"](attempt.worst.right)
    assert right < left <= right / page["Fraction"](9, 10)


def test_the_figure_has_the_parameters_asked_for(folder, said):
    about = json.loads((folder / "pictures" / "robust-value.json").read_text())
    assert (about["settings"]["states"], about["settings"]["radii"]) == (5, 9)
    assert (folder / "pictures" / "robust-value.pdf").stat().st_size > 1000


def test_the_variant_averages_by_squares(page):
    """The same weights by another way: the schedule gives t^2 itself."""
    plus = page["cfr_plus"]()
    other = Variant(
        name="other",
        title="other",
        schedule=lambda t, n: (float(t) ** 2,),
        regret=plus.regret,
        weight=plus.weight,
    )
    mine, theirs = (
        games.cfr(page["game"], rule, iterations=40).average for rule in (page["heavier"], other)
    )
    np.testing.assert_array_equal(mine, theirs)
    assert np.any(mine != games.cfr(page["game"], "cfr_plus", iterations=40).average)


def test_the_own_figure_comes_with_its_rows(page, folder):
    names = [row["variant"] for row in page["rows"]]
    assert list(dict.fromkeys(names)) == ["cfr_plus", "vad_cfr", "heavier"]
    with open(folder / "pictures" / "my-variant.csv") as file:
        written = list(csv.DictReader(file))
    assert [float(row["exploitability"]) for row in written] == pytest.approx(
        [row["exploitability"] for row in page["rows"]]
    )
    assert (folder / "pictures" / "my-variant.pdf").stat().st_size > 1000


@pytest.mark.parametrize("line", doc_commands.lines(doc_pages.read("index.md")))
def test_commands_of_the_opening_page_end_well(line, folder, monkeypatch):
    monkeypatch.chdir(folder)
    status, said = doc_commands.run(line)
    assert status == 0
    assert said


def test_every_page_is_in_the_contents():
    contents = re.findall(r"```\{toctree\}\n(.*?)```", doc_pages.read("index.md"), re.DOTALL)
    listed = {line for block in contents for line in block.splitlines() if line[:1] not in ":"}
    docs = doc_pages.ROOT / "docs"
    built = {"theorems/index", "gallery/index"}  # by docs/extensions, with the API's pages
    pages = {path.stem for path in docs.glob("*.md")}
    pages |= {f"{folder}/index" for folder in ("papers", "how_to_add")}
    assert listed == pages - {"index"} | built
