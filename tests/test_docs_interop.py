"""What the page on other programs shows runs, and says what comes out; runs make true tables."""

import contextlib
import importlib
import io
import re

import doc_pages
import numpy as np
import pytest

from rltheory.analysis import read_table
from rltheory.games import cfr, expected_payoffs, exploitability, load
from rltheory.linear_mdp import lsvi_ucb
from rltheory.linear_mdp.actor_critic import nora
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.linear_mdp.environments.lock import linear_lock

PAGE = doc_pages.read("interop.md")
PACKAGES = [
    importlib.import_module(f"rltheory.{name}") for name in ("analysis", "tabular", "games")
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page's script leaves, with what it printed as `said`."""
    for library in ("gymnasium", "pyspiel", "quantecon", "pandas"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("page")
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()) as said:
        names = doc_pages.run(PAGE, "interop.md")
    return names | {"said": said.getvalue(), "folder": folder}


def test_every_block_is_run_or_is_what_was_printed(page):
    doc_pages.check_fences(PAGE, ["python", "text"])
    (shown,) = doc_pages.blocks(PAGE, "text")
    assert shown in page["said"]


def test_the_script_says_what_its_comments_say(page):
    said = page["said"].splitlines()
    assert said[:8] == ["True"] * 6 + ["12 12", "True"]
    assert page["ended"]
    assert {path.name for path in page["folder"].iterdir()} == {
        "swim.drn", "swim.prism", "kuhn.efg", "kuhn.npz", "verdicts.csv"
    }  # fmt: skip


def test_every_function_of_the_table_can_be_imported():
    rows = [line for line in PAGE.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 15
    names = [
        name for row in rows for name in re.findall(r"`(\w+(?:\.\w+)*)`", row.split("|", 2)[2])
    ]
    loose = {"save", "write", "nominal"}
    for name in set(names) - loose:
        if "formats" in name:
            module, _, function = f"rltheory.{name}".rpartition(".")
            assert callable(getattr(importlib.import_module(module), function))
            continue
        owner, _, method = name.partition(".")
        found = [getattr(package, owner) for package in PACKAGES if hasattr(package, owner)]
        assert len(found) == 1, name
        assert not method or callable(getattr(found[0], method))


def test_a_table_of_verdicts_holds_the_verdicts(page):
    (result,) = page["results"]
    (row,) = read_table(page["folder"] / "verdicts.csv")
    assert (row["theorem"], row["verdict"]) == (result.theorem, result.verdict)
    assert row["instances"] == result.attempt.instances
    assert row["margin"] == result.attempt.margin
    assert row["control_refuted"] is True


def test_a_table_of_cfr_holds_what_its_average_earns():
    game = load("kuhn_poker", players=3)
    run = cfr(game, "cfr", iterations=20, checkpoints=[5, 20])
    rows = list(run.table())
    assert [row["iteration"] for row in rows] == [5, 20]
    assert {(row["game"], row["variant"]) for row in rows} == {(game.name, "cfr")}
    last = rows[-1]
    assert last["exploitability"] == pytest.approx(exploitability(game, run.average), abs=1e-12)
    paid = [last[f"payoff_{player}"] for player in range(3)]
    assert paid == pytest.approx(expected_payoffs(game, run.average), abs=1e-12)


@pytest.mark.parametrize("checkpoints", ["all", [3, 10]])
def test_a_table_of_a_regret_curve_adds_up(checkpoints):
    curve = lsvi_ucb(linear_lock(seed=0), episodes=10, seed=0, checkpoints=checkpoints)
    rows = list(curve.table())
    assert [row["episode"] for row in rows] == curve.episodes.tolist()
    for row, lack in zip(rows, curve.suboptimality, strict=True):
        assert row["value_lower"] <= row["value_upper"]
        assert row["suboptimality"] == lack
    assert ("regret" in rows[0]) == (checkpoints == "all")
    if checkpoints == "all":
        total = 0.0
        for row in rows:
            assert row["regret"] == pytest.approx(total, abs=1e-12)
            total += row["suboptimality"]
    assert np.all(np.diff(curve.episodes) > 0)


def test_a_table_of_an_actor_critic_adds_up():
    run = nora(two_thread_lock(length=3, seed=0), episodes=12, seed=0)
    rows = list(run.table())
    assert [row["episode"] for row in rows] == list(range(1, 13))
    total = 0.0
    for row, earned in zip(rows, run.returns, strict=True):
        assert row["value"] + row["suboptimality"] == pytest.approx(run.optimum, abs=1e-12)
        total += run.optimum - row["value"]
        assert row["regret"] == pytest.approx(total, abs=1e-12)
        assert row["earned"] == earned
    assert [row["promise"] for row in rows] == run.promises.tolist()
