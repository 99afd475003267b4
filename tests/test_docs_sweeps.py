"""What the page on sweeps shows runs as the script that it says it is, and comes out so."""

import subprocess
import sys

import doc_pages
import numpy as np
import pytest

from rltheory.analysis import read_table
from rltheory.analysis.sweeps.backends import BACKENDS
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock

PAGE = doc_pages.read("sweeps.md")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the script has run, with what it printed in `said`."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "study.py").write_text("\n".join(doc_pages.blocks(PAGE, "python")))
    run = subprocess.run(
        [sys.executable, "-W", "error", "study.py"], cwd=folder, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    (folder / "said").write_text(run.stdout)
    return folder


def test_every_block_of_the_page_is_run_or_wants_a_cluster():
    calls = doc_pages.blocks(PAGE, "")
    assert len(calls) == 1
    assert {line.split("(")[0] for line in calls[0].splitlines()} == {"sweep"}
    assert len(doc_pages.blocks(PAGE, "python")) == 4


def test_the_script_says_what_its_comments_say(folder):
    said = (folder / "said").read_text().splitlines()
    assert said[0].startswith("24 ('length', 'episodes', 'seed', 'regret', 'switches')")
    assert said[1] == "True"
    assert said[-2] == "True (36, 5)"
    assert said[-1] == "True"


def test_rows_are_those_of_the_learner_by_itself(folder):
    table = read_table(folder / "out" / "lock.csv")
    assert len(table) == 36
    for row in list(table)[::7]:
        lock = two_thread_lock(row["length"], 3, seed=row["seed"])
        run = nora(lock, episodes=row["episodes"], seed=row["seed"])
        assert row["regret"] == run.regret[-1]
        assert row["switches"] == len(run.switches)
    journal = read_table(folder / "out" / "lock.jsonl")
    assert sorted(map(repr, journal)) == sorted(map(repr, table))
    # Its first rows are those of the first grid, four seeds.
    assert set(np.unique(journal.column("seed")[:24])) == {0, 1, 2, 3}


def test_the_backends_of_the_table_are_those_there_are():
    rows = PAGE.split("## Where it is computed")[1].split("```")[0].splitlines()
    named = [row.split("`")[1].strip('"') for row in rows if row.startswith('| `"')]
    assert named == list(BACKENDS)
