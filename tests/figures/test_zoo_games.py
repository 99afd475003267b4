"""What the figures of preferences, pessimism and inventories say is true of their data."""

import numpy as np
import pytest
from scipy.stats import norm

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.paper_figures import minimax_winner, newsvendor, pessimism

SMALL = {
    minimax_winner: {"iterations": 300, "step": 0.5, "weights": [0.05, 0.3]},
    newsvendor: {"points": 9, "mean_demand": 6},
    pessimism: {"data_sets": 3, "etas": 3, "temperatures": 3},
}


@pytest.fixture(scope="module")
def drawn():
    """Rows of every figure on small settings, by module."""
    found = {}
    with plotting.style():
        for module, small in SMALL.items():
            assert set(small) == set(module.SETTINGS["quick"]) == set(module.SETTINGS["paper"])
            figure, rows = module.draw(small, 0)
            figure.draw_without_rendering()
            found[module] = rows
    return found


def test_policies_and_gaps_of_self_play(drawn):
    rows = drawn[minimax_winner]
    matrix = minimax_winner.PREFERENCES.matrix
    for row in rows:
        policy = np.array([row[f"policy_{k}"] for k in (1, 2, 3)])
        assert policy.sum() == pytest.approx(1)
        assert row["gap"] == pytest.approx(2 * (matrix @ policy).max(), abs=1e-9)
    winner = np.array([2, 3, 1]) / 6
    np.testing.assert_allclose(matrix @ winner, 0, atol=1e-15)
    policies = np.array([[row[f"policy_{k}"] for k in (1, 2, 3)]
                         for row in rows if row["method"] == "SPO, hedge: last"])  # fmt: skip
    # Hedge recedes, whatever its step.
    assert (np.diff(-(winner * np.log(policies)).sum(axis=1)) > 0).all()
    last = max(row["iterations"] for row in rows)
    pulled = [r["distance_to_regularised"] for r in rows if r["iterations"] == last]
    assert max(x for x in pulled if x is not None) < 0.01
    assert "minimax" not in minimax_winner.findings(rows)
    assert f"After {last} policies" in minimax_winner.findings(rows)


def test_variances_of_the_newsvendor(drawn):
    rows = drawn[newsvendor]
    paths = column(rows, "variance", method="pathwise")
    assert (paths <= 0.25 + 1e-12).all()
    best, mean, none = (
        column(rows, "variance", method=name)
        for name in ("score, best baseline", "score, mean cost as baseline", "score function")
    )
    assert (best <= mean * (1 + 1e-9)).all()
    assert (best <= none * (1 + 1e-9)).all()
    narrow = [row for row in rows if row["panel"] == "spread"][:8]
    plain = [row["variance"] for row in narrow if row["method"] == "score function"]
    ratio = (narrow[4]["spread"] / narrow[0]["spread"]) ** 2
    assert plain[0] / plain[1] == pytest.approx(ratio, rel=0.1)
    # A pathwise gradient is one of two slopes.
    row = next(r for r in rows if r["method"] == "pathwise" and r["panel"] == "level")
    problem = newsvendor.newsvendor(row["service_level"], SMALL[newsvendor]["mean_demand"])
    over = problem.probabilities @ norm.cdf((row["order"] - problem.demand) / row["spread"])
    assert row["variance"] == pytest.approx(over * (1 - over), rel=1e-9)
    words = newsvendor.findings(rows)
    assert "service level 0.5 from a spread of" in words


def test_pessimism_keeps_to_the_reference_and_fits_less(drawn):
    rows = drawn[pessimism]
    shortfalls = column(rows, "shortfall")
    assert (shortfalls >= -1e-9).all()
    base = pessimism.REFERENCE
    for count in pessimism.COUNTS:
        etas = np.unique(column(rows, "eta", panel="weight", comparisons=count))
        moved = [column(rows, "divergence", panel="weight", comparisons=count, eta=e) for e in etas]
        # More weight, less divergence, for every data set.
        assert (np.diff(moved, axis=0) <= 1e-6).all()
    none, fixed = (
        column(rows, "fitted_reward", panel="temperature", schedule=name)
        for name in ("none", "fixed")
    )
    assert none.mean() > fixed.mean()
    for row in rows:
        value = row["reward"] + base @ pessimism.REWARDS - row["beta"] * row["divergence"]
        weights = base * np.exp(pessimism.REWARDS / row["beta"])
        top = row["beta"] * np.log(weights.sum())
        assert row["shortfall"] == pytest.approx(top - value, abs=1e-9)
    assert "30 comparisons" in pessimism.findings(rows)
