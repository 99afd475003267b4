"""What the figures of gates, token averages and down-sampling say is true of their data."""

from itertools import combinations, product

import numpy as np
import pytest

from rltheory.analysis.estimators.moments import estimator_moments
from rltheory.analysis.estimators.sampling_model import softmax_bandit
from rltheory.analysis.estimators.trees import token_tree
from rltheory.analysis.plotting import column
from rltheory.analysis.zoo.hapo import aggregated
from rltheory.paper_figures import down_sampling, token_averages

SMALL = {
    "gates": {"points": 61},
    "token_averages": {"depth": 4, "points": 5, "groups": [1, 4, 16, 64]},
    "down_sampling": {"group": 4},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    _, said = rows_of(name)
    assert "None" not in said.replace("None stays", "")


# Gates.


def test_weights_are_slopes_of_the_objective_times_the_ratio(rows_of):
    rows, _ = rows_of("gates")
    for positive, sign in ((True, 1.0), (False, -1.0)):
        for name in ("no gate", "SAPO"):
            where = {"gate": name, "reads": "token", "positive": positive}
            w, f, c = (column(rows, key, **where) for key in ("ratio", "objective", "weight"))
            slope = sign * np.gradient(f, w, edge_order=2)
            assert np.allclose(slope * w, c, atol=5e-3)


def test_gates_as_described(rows_of):
    rows, said = rows_of("gates")
    for positive in (True, False):
        for name, reads in (("PPO", "token"), ("GSPO", "response")):
            where = {"gate": name, "reads": reads, "positive": positive}
            w, c = (column(rows, key, **where) for key in ("ratio", "weight"))
            low, high = (0.8, 1.2) if name == "PPO" else (1 - 3e-4, 1 + 4e-4)
            shut = w > high + 1e-9 if positive else w < low - 1e-9
            # Which side an end itself falls on is rounding.
            inside = ~shut & (w > 0) & (np.abs(w - low) > 1e-9) & (np.abs(w - high) > 1e-9)
            assert np.all(c[shut] == 0)
            assert np.all(c[inside] > 0)
        capped = column(rows, "weight", gate="CISPO", reads="token", positive=positive)
        assert capped.max() == 2.0
    assert "1.57" in said
    assert "0.00 (PPO)" in said


# Token averages.


@pytest.mark.parametrize(
    ("name", "size"), [("group", 2), ("response", 2), ("token", 1), ("token", 3)]
)
def test_mean_estimates_are_those_of_enumerated_groups(name, size):
    model = token_tree(3, 3, token_averages._reward, end_token=0)
    outcomes = token_averages.outcomes_at(model, 0.3)
    found = token_averages.mean_estimate(outcomes, name, size)
    wanted = estimator_moments(outcomes, aggregated(name), group_size=size, covariance=False)
    assert np.allclose(found, wanted.mean, atol=1e-14)


def test_angles_are_angles():
    a = np.array([1.0, 0.0])
    assert token_averages.angle(a, 3 * a) == 0
    assert token_averages.angle(a, np.array([0.0, 2.0])) == pytest.approx(90)
    assert token_averages.angle(a, -a) == pytest.approx(180)
    tiny = np.array([1.0, 1e-9])
    assert token_averages.angle(a, tiny) == pytest.approx(np.degrees(1e-9))


def test_only_the_constant_keeps_the_gradient(rows_of):
    rows, said = rows_of("token_averages")
    kept = column(rows, "y", panel="end token", normalisation="by a constant")
    assert np.all(kept < 1e-6)
    assert "not at all if divided by a constant" in said
    for title in token_averages._cases():
        if title != "by a constant":
            assert column(rows, "y", panel="end token", normalisation=title).max() > 0.1
    where = {"panel": "group size"}
    own = column(rows, "y", normalisation="by each length", **where)
    shared = column(rows, "y", normalisation="by tokens of the group", **where)
    assert np.allclose(own, own[0])
    assert shared[0] == pytest.approx(own[0])
    assert np.all(np.diff(shared) < 0)
    assert shared[-1] < shared[-2] / 3.5


def test_weights_by_length_start_at_one(rows_of):
    rows, _ = rows_of("token_averages")
    inverse = column(rows, "y", panel="length", normalisation="by each length")
    assert np.allclose(inverse, 1 / np.arange(1, len(inverse) + 1))


# Down-sampling.


@pytest.mark.parametrize("kept", [2, 3])
def test_mean_variances_are_those_of_ordered_groups(kept):
    rewards = np.array([0.0, 0.25, 1.0])
    outcomes = softmax_bandit(rewards).at(np.array([0.2, 0.0, -0.4]))
    found = down_sampling.mean_variances(outcomes, 4, kept)
    wanted = np.zeros(2)
    for group in product(range(3), repeat=4):
        r = rewards[list(group)]
        chance = outcomes.probabilities[list(group)].prod()
        wanted += chance * np.array([r.var(), max(np.var(s) for s in combinations(r, kept))])
    assert np.allclose(found, wanted, atol=1e-14)


def test_one_prompt_with_two_rewards_is_not_turned(rows_of):
    rows, said = rows_of("down_sampling")
    for case in down_sampling.models():
        angles = column(rows, "angle", case=case)
        straight = case.startswith("right")
        assert (angles.max() < 1e-5) == straight
        assert (f"for {case}" in said.split(";")[0]) == straight


def test_rescaling_is_the_variance_kept(rows_of):
    # E g = (E Var_S / Var r) grad J, and E Var of all is (1 - 1 / G) Var r.
    rows, _ = rows_of("down_sampling")
    for case in ("right with probability 1/2", "right with probability 1/10"):
        variance, length = (column(rows, key, case=case) for key in ("variance", "length"))
        assert np.allclose(length, variance.astype(float) * (1 - 1 / 4), atol=1e-12)


def test_keeping_all_changes_nothing(rows_of):
    rows, _ = rows_of("down_sampling")
    for row in rows:
        if row["kept"] == 4:
            assert row["length"] == pytest.approx(1 - 1 / 4)
            assert row["angle"] < 1e-5
            assert row["noise"] == pytest.approx(1)
