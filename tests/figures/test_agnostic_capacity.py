"""What the figures of spanning capacity and of access say is true of their data."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from rltheory.analysis.plotting import column
from rltheory.paper_figures import capacity, separation
from rltheory.tabular.agnostic import PolicyClass

SMALL = {
    "capacity": {
        "horizon": 3, "states": [2, 4], "densities": 3, "policies": 30, "layers": 4, "work": 3000,
    },
    "separation": {"exact": 14, "measured": 3, "runs": 60, "classes": 4},
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    rows, said = rows_of(name)
    assert rows
    assert said


# Capacity.


def test_named_classes_are_proved_to_have_their_closed_forms(rows_of):
    rows, said = rows_of("capacity")
    named = [row for row in rows if row["panel"] == "named"]
    assert all(row["lower"] == row["formula"] == row["upper"] for row in named)
    assert f"{len(named)} of {len(named)} named capacities" in said


def test_brackets_of_random_classes_lie_under_the_trivial_bound(rows_of):
    rows, _ = rows_of("capacity")
    for row in rows:
        if row["panel"] == "random":
            assert 1 <= row["lower"] <= row["upper"] <= row["formula"]


# Separation.


def test_runs_are_as_good_as_promised(rows_of):
    rows, _ = rows_of("separation")
    runs, total = SMALL["separation"]["runs"], 0
    for row in rows:
        if row["success"] is None:
            continue
        total += 1
        wins = round(row["success"] * runs)
        # As rare as one in a million, either side; searching backwards may do better.
        assert binom.cdf(wins, runs, row["promised"]) > 1e-6
        if row["name"] == "online":
            assert binom.sf(wins - 1, runs, row["promised"]) > 1e-6
    assert total == 2 * SMALL["separation"]["measured"]


def test_intervals_are_those_of_clopper_and_pearson():
    for wins, runs in ((0, 10), (3, 10), (10, 10)):
        low, high = separation.interval(wins, runs)
        if wins:
            assert binom.sf(wins - 1, runs, low) == pytest.approx(0.025)
        else:
            assert low == 0
        if wins < runs:
            assert binom.cdf(wins, runs, high) == pytest.approx(0.025)
        else:
            assert high == 1


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_the_variance_of_importance_weights_is_that_of_all_outcomes(horizon):
    value = Fraction(1, 3)
    plan = (0,) * horizon
    mean = square = Fraction(0)
    for actions in product((0, 1), repeat=horizon):
        weight = Fraction(2**horizon if actions == plan else 0)
        for paid, chance in ((1, value), (0, 1 - value)):
            mean += chance * weight * paid / 2**horizon
            square += chance * (weight * paid) ** 2 / 2**horizon
    assert mean == value
    episodes = separation.weighted_episodes(horizon, value)
    assert (square - mean**2) / episodes == separation.ERROR**2


def test_calls_of_trees_take_the_capacity_of_every_layer(rows_of):
    rows, _ = rows_of("separation")
    trees = column(rows, "samples", panel="class", name="trees")
    horizons = column(rows, "horizon", panel="class", name="trees")
    pairs = [sum(range(2, h + 2)) for h in horizons]
    # 25 trees: variance 1/4 over the squared error 1/100.
    np.testing.assert_array_equal(trees, [25 * n for n in pairs])
    assert (np.diff(trees[horizons > 2]) > 0).all()


def test_the_crossing_that_is_told_is_where_calls_become_fewer(rows_of):
    rows, said = rows_of("separation")
    online = column(rows, "samples", panel="lock", name="online")
    calls = column(rows, "samples", panel="lock", name="generative")
    start = int(said.split("from H = ")[1].split()[0])
    assert (calls < online)[start - 1 :].all()
    assert start == 1 or calls[start - 2] >= online[start - 2]


def test_a_lock_with_a_mirror_opens_to_both_accesses_in_polynomial_time(rows_of):
    rows, _ = rows_of("separation")
    both = column(rows, "samples", panel="masked", name="both")
    horizons = column(rows, "horizon", panel="masked", name="both")
    alone = column(rows, "samples", panel="masked", name="alone")
    np.testing.assert_array_equal(alone, 2.0 ** (horizons - 1) - 1)
    # (1 - 2^-d)^(H - 1) >= 1/2 holds for 2^d >= 2 (H - 1), by Bernoulli's inequality.
    assert (both <= (np.log2(horizons - 1) + 2) * 4 * horizons).all()


def test_classes_are_as_large_as_they_should_be():
    assert len(capacity.CLASSES["one active state"][0](3)) == 8
    make, closed = capacity.CLASSES["plans"]
    assert len(make(4)) == closed(4) == 16
    assert isinstance(make(1), PolicyClass)
