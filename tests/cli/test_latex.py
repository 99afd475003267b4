"""`--format latex`: tables of theorems and verdicts for a paper."""

import pytest
import theory_examples as examples

from rltheory.cli.main import main
from rltheory.theory import registry


@pytest.fixture(autouse=True)
def registered(monkeypatch, tmp_path):
    """Work in an empty folder with two theorems registered."""
    records = (examples.EXACT, examples.SEPARATION)
    monkeypatch.setattr(registry, "theorems", lambda: registry.ordered(records))
    monkeypatch.chdir(tmp_path)


def rows(text):
    """Return the rows of a tabular that is all of a text, its head first."""
    before, _, body = text.partition(r"\toprule")
    assert r"\begin{tabular}" in before
    assert text.rstrip().endswith(r"\end{tabular}")
    body = body.partition(r"\bottomrule")[0].replace(r"\midrule", "")
    return [line for line in body.splitlines() if line.strip()]


def test_list_is_a_table_of_theorems(capsys):
    assert main(["list", "--format", "latex"]) == 0
    head, first, second = rows(capsys.readouterr().out)
    assert head.startswith("id & kind & title")
    assert first.startswith("example/exact & ")
    assert second.startswith("example/separation & separation & ")


def test_verify_prints_only_the_table_and_still_writes_json(capsys, tmp_path):
    arguments = ["verify", "--budget", "quick", "--format", "latex", "--json", "found.json"]
    assert main(arguments) == 0
    said = capsys.readouterr()
    head, first, second = rows(said.out)
    assert head.startswith("theorem & verdict & instances")
    assert first.startswith("example/exact & holds (exact)")
    assert second.startswith("example/separation & holds (exact)")
    assert "results in found.json" in said.err
    assert (tmp_path / "found.json").is_file()


def test_solve_is_a_table_of_states_whose_bounds_enclose_the_values(capsys):
    from rltheory.tabular import value_iteration
    from rltheory.tabular.library import load

    assert main(["solve", "frozen_lake", "--format", "latex"]) == 0
    head, *states = rows(capsys.readouterr().out)
    assert head.startswith("state & ")
    assert "} & lower & upper & action" in head
    solution = value_iteration(load("frozen_lake"), tolerance=1e-8)
    cells = [[cell.strip() for cell in line.split("&")] for line in states]
    assert [float(row[-3]) for row in cells] == solution.lower.tolist()
    assert [float(row[-2]) for row in cells] == solution.upper.tolist()
    assert main(["solve", "kuhn_poker", "--format", "latex"]) == 2
    assert "--format is for MDPs" in capsys.readouterr().err
