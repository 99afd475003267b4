"""Every notebook runs from top to bottom without a warning, as text that Jupyter can open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))


def test_there_are_notebooks():
    assert {path.name for path in NOTEBOOKS} >= {
        "actor_critic.py",
        "agnostic.py",
        "cfr_family.py",
        "linear_mdp.py",
        "paper_to_theorem.py",
        "policy_gradients.py",
        "psro.py",
        "robust_planning.py",
        "verdicts.py",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_asks_a_question_in_its_first_cell(path):
    cells = path.read_text().split("# %%")
    assert cells[0] == ""
    first = cells[1].splitlines()
    assert first[:2] == [" [markdown]", '"""']
    assert first[2].startswith("# ")
    assert first[2].endswith("?")
    for cell in cells[2:]:
        if cell.startswith(" [markdown]"):
            assert all(line.startswith("#") for line in cell.splitlines()[1:] if line)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_on_the_page_with_its_question(path):
    page = (FOLDER.parent / "docs" / "notebooks.md").read_text()
    question = path.read_text().splitlines()[2].removeprefix("# ")
    assert f"| `{path.stem}` | {question}" in page


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(path)],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not list(tmp_path.iterdir())
