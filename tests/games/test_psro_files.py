"""PSRO: interrupted runs go on to the same bits, and files of other runs are refused."""

from dataclasses import dataclass

import numpy as np
import pytest

from rltheory.games.library import load
from rltheory.games.normal_form.matrix_classics import (
    shapley,
)
from rltheory.games.oracles.meta_solvers import RegretMatching
from rltheory.games.oracles.psro import psro


@dataclass
class Failing:
    """Regret matching that fails at an iteration, once."""

    iterations: int
    fails: list

    def __repr__(self):
        return f"Failing({self.iterations})"

    def __call__(self, payoffs, iteration=1):
        if iteration in self.fails:
            raise KeyboardInterrupt
        return RegretMatching(self.iterations)(payoffs, iteration)


def assert_same(got, want):
    for name in ("exploitability", "training_exploitability", "restricted_gap", "payoffs", "sizes"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    np.testing.assert_array_equal(got.strategies, want.strategies)
    for p in range(len(want.policies)):
        np.testing.assert_array_equal(got.policies[p], want.policies[p])
        np.testing.assert_array_equal(got.meta_strategies[p], want.meta_strategies[p])
        np.testing.assert_array_equal(got.training_strategies[p], want.training_strategies[p])
    np.testing.assert_array_equal(got.payoff_tensor, want.payoff_tensor)
    assert got.stopped == want.stopped


@pytest.mark.parametrize(
    "game",
    [load("kuhn_poker"), load("kuhn_poker", players=3), shapley()],
    ids=lambda g: repr(g)[:9],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(game, tmp_path):
    whole = psro(game, RegretMatching(50), iterations=9)
    file = tmp_path / "run.npz"
    for fails in ([1], [2], [6], [10]):
        with pytest.raises(KeyboardInterrupt):
            psro(game, Failing(50, fails), iterations=9, save=file)
        assert file.exists() == (fails != [1])
    assert_same(psro(game, Failing(50, []), iterations=9, save=file), whole)
    # All is in the file, and a longer run goes on from it.
    assert_same(psro(game, Failing(50, range(1, 99)), iterations=9, save=file), whole)
    longer = psro(game, Failing(50, []), iterations=12, save=file)
    assert_same(longer, psro(game, RegretMatching(50), iterations=12))


def test_files_of_other_runs_are_refused(tmp_path):
    file = tmp_path / "run.npz"
    game = load("kuhn_poker")
    psro(game, "uniform", iterations=3, save=file)
    for other in (
        {"meta_solver": "nash"},
        {"evaluation": "nash"},
        {"meta_solver": "uniform", "ties": "first"},
        {"meta_solver": "uniform", "initial": "first"},
        {"meta_solver": "uniform", "repeats": "drop"},
    ):
        with pytest.raises(ValueError, match="holds a run of another game, meta-solver or setting"):
            psro(game, **{"meta_solver": "uniform", **other}, iterations=3, save=file)
    with pytest.raises(ValueError, match="holds a run of another game"):
        psro(load("kuhn_poker", players=3), "uniform", iterations=3, save=file)
    with pytest.raises(ValueError, match=r"holds 3 iterations; expected at most iterations \(2\)"):
        psro(game, "uniform", iterations=2, save=file)
    whole = file.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="does not hold a PSRO run"):
            psro(game, "uniform", iterations=3, save=file)
    np.savez(file, something=1)
    with pytest.raises(ValueError, match="does not hold a PSRO run: evaluation_0 is missing"):
        psro(game, "uniform", iterations=3, save=file)
    with pytest.raises(OSError, match="is a folder"):
        psro(game, "uniform", iterations=3, save=tmp_path)
