"""What the figures on constraints, objectives and path consistency say is true of their data."""

from itertools import pairwise

import numpy as np
import pytest

from rltheory.analysis.plotting import column
from rltheory.paper_figures import dual_iterates, pareto, path_consistency
from rltheory.tabular.multi_objective import deterministic_front, scalarise
from rltheory.tabular.path_consistency import path_consistency as losses
from rltheory.tabular.path_consistency import soft_backward_induction

SMALL = {
    "dual_iterates": {"iterations": 250, "states": 8},
    "pareto": {"weights": 5, "steps": 40, "largest": 4},
    "path_consistency": {"policies": 20, "draws": 2, "odds": 3},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


def test_best_responses_miss_the_budget_and_their_average_nears_it(rows_of):
    rows, _ = rows_of("dual_iterates")
    excess = column(rows, "last_excess", method=dual_iterates.METHODS[0])
    assert np.abs(excess).min() > 1e-3
    average = column(rows, "average_excess", method=dual_iterates.METHODS[0])
    assert abs(average[-1]) < 0.5 * abs(average[0])
    # While the multiplier is not clipped, what is left of the budget is what it has risen by.
    step, times = dual_iterates.STEP, column(rows, "iteration", method=dual_iterates.METHODS[0])
    prices = column(rows, "multiplier", method=dual_iterates.METHODS[0])
    last = prices[-1] + step * excess[-1]
    np.testing.assert_allclose(average[-1], last / (step * times[-1]), rtol=1e-9)


def test_proportional_control_keeps_nearest_to_the_budget(rows_of):
    rows, _ = rows_of("dual_iterates")
    swings = [
        np.abs(column(rows, "last_excess", method=method)[-40:]).max()
        for method in dual_iterates.METHODS
    ]
    assert swings[2] < 0.1 * min(swings[:2])


def test_weighted_sums_select_corners_and_no_missed_point(rows_of):
    rows, _ = rows_of("pareto")
    hull = np.column_stack([column(rows, key, kind="hull") for key in ("first", "second")])
    chosen = np.column_stack([column(rows, key, kind="linear") for key in ("first", "second")])
    for point in chosen:
        assert np.abs(hull - point).max(axis=1).min() < 1e-9
    mdp, objectives = pareto.problem(0)
    front = deterministic_front(mdp, objectives)
    shares = np.linspace(0, 1, 41)
    weights = np.column_stack([shares, 1 - shares])
    best = [scalarise(mdp, objectives, w).returns @ w for w in weights]
    # Over weights, the least lead on a point is its shortfall, up to the grid's width.
    leads = np.min(best - front.points @ weights.T, axis=1)
    assert np.all(leads >= front.shortfall - 1e-8)
    assert np.all(leads <= front.shortfall + np.ptp(front.points) / 80)


def test_shares_of_hypervolume_grow_and_deterministic_sets_hold_more(rows_of):
    rows, _ = rows_of("pareto")
    wide = column(rows, "second", kind="volume", name="deterministic policies")
    narrow = column(rows, "second", kind="volume", name="those that weights select")
    assert np.all(np.diff(wide) >= 0)
    assert np.all(wide >= narrow - 1e-12)
    assert wide[-1] < 1.0


def test_area_below_the_front_is_a_limit_of_hypervolumes():
    corners, base = np.array([[1.0, 3.0], [2.0, 2.0], [2.5, 0.0]]), np.array([0.0, -1.0])
    points = np.concatenate([
        a + np.linspace(0, 1, 2000)[:, None] * (b - a)
        for a, b in pairwise(corners)
    ])  # fmt: skip
    np.testing.assert_allclose(
        pareto.hypervolume(points, base), pareto._below(corners, base), rtol=1e-3
    )


def test_lost_returns_lie_between_zero_and_the_range_bound(rows_of):
    rows, _ = rows_of("path_consistency")
    lost, bound, second = (column(rows, key, kind="random") for key in ("lost", "bound", "number"))
    assert np.all(lost <= bound)
    # To second order where policies are near the optimum.
    np.testing.assert_allclose(lost[:5], second[:5], rtol=0.1)


def test_full_data_lose_nothing_and_all_fits_have_no_loss(rows_of):
    rows, _ = rows_of("path_consistency")
    assert column(rows, "loss", kind="dropped").max() < 1e-10
    assert column(rows, "lost", kind="dropped", number=0.0).max() < 1e-5
    assert column(rows, "lost", kind="dropped", number=8.0).min() > 0.01


def test_least_losses_are_below_that_of_the_optimum(rows_of):
    rows, _ = rows_of("path_consistency")
    odds, least, best = (column(rows, key, kind="chance") for key in ("number", "loss", "bound"))
    assert np.all(least <= best + 1e-12)
    for q, at_best in zip(odds, best, strict=True):
        mdp = path_consistency.chance_mdp(q)
        found = soft_backward_induction(mdp, temperature=path_consistency.HEAT)
        spread = q * (1 - q) * (found.values[1, 0] - found.values[1, 1]) ** 2
        np.testing.assert_allclose(at_best, spread / 2, atol=1e-14)
    middle = list(odds).index(0.5)
    assert least[middle] < 0.6 * best[middle]


def test_the_fit_is_a_stationary_point():
    mdp = path_consistency.chance_mdp(0.5)
    behaviour = np.full((2, 2, 2), 0.5)
    policy, loss = path_consistency._fitted(mdp, behaviour, starts=2)
    values = np.zeros((2, 2))

    def at(after):
        values[1] = after
        values[0, 0] = np.mean(after)
        return losses(
            mdp, policy, values, behaviour=behaviour, temperature=path_consistency.HEAT
        ).token_loss

    grid = np.linspace(-2, 2, 41)
    least = min(at([a, b]) for a in grid for b in grid)
    assert loss <= least + 1e-3
