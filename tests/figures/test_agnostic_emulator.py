"""What the figure of emulators shows is true of the lock that it draws."""

import numpy as np
import pytest

from rltheory.analysis.plotting import column
from rltheory.paper_figures import emulator_error as figure
from rltheory.tabular.agnostic import class_values
from rltheory.tabular.finite_horizon import backward_induction

SMALL = {
    "emulator_error": {"seeds": 3, "observations": [12, 48], "accuracies": [0.4, 0.3], "kept": 16}
}


def test_right_rows_have_no_error_on_latent_policies_and_tests_are_needed(rows_of):
    rows, said = rows_of("emulator_error")
    for row in rows:
        assert 0 <= row["low"] <= row["error"] + 1e-12
        assert row["error"] <= row["high"] + 1e-12
        assert (row["samples"] == 0) == (row["way"] == figure.IDEAL)
    latent = {
        way: column(rows, "error", way=way, **{"class": figure.LATENT}) for way in figure.WAYS
    }
    assert latent[figure.IDEAL].max() < 1e-12
    assert latent[figure.TESTED].max() < latent[figure.BLIND].min() / 3
    seen = {way: column(rows, "error", way=way, **{"class": figure.SEEN}) for way in figure.WAYS}
    assert seen[figure.IDEAL].min() > 0.02
    assert f"{latent[figure.BLIND][:2].max():.3f} without" in said


def test_findings_turn_with_the_data(rows_of):
    rows, said = rows_of("emulator_error")
    drawn = column(rows, "error", panel="draws", way=figure.TESTED, **{"class": figure.LATENT})
    assert ("does not fall" in said) == (drawn[-1] >= drawn[0])
    worst = [dict(row, error=1 / row["accuracy"]) for row in rows]
    assert "does not fall from 2.500 to 3.333" in figure.findings(worst)


def test_the_lock_is_worth_what_it_is_by_hand():
    block = figure.world()
    policies, world = figure.classes(block), block.observed()
    assert block.is_latent(policies).tolist() == [True] * 64 + [False] * 64
    # In step with the lock: both moves succeed with 0.9, off it they return with 0.1.
    kept = 0.9 * 0.9 + 0.1 * 0.1
    want = kept + (1 - kept) * 0.2
    assert class_values(world, policies).best_value == pytest.approx(want, abs=1e-12)
    optimal = backward_induction(world).values[0] @ world.initial
    assert optimal == pytest.approx(want, abs=1e-12)
    assert world.states == 2 * figure.PER_STATE


def test_bands_hold_the_mean_and_shrink_with_the_sample():
    rng = np.random.default_rng(1)
    small, large = rng.normal(size=10), rng.normal(size=1000)
    for sample in (small, large):
        low, high = figure._band(sample)
        assert low <= sample.mean() <= high
        # The normal interval, whose width a bootstrap of a mean shares within a fifth.
        width = 2 * 1.96 * sample.std() / np.sqrt(len(sample))
        assert high - low == pytest.approx(width, rel=0.2)
