"""What the figures of learning over a class say is true of their data."""

import numpy as np
import pytest

from rltheory.analysis.plotting import column
from rltheory.paper_figures import popler_trees, samples_by_access
from rltheory.tabular.agnostic import Generative, class_values
from rltheory.tabular.agnostic.capacity import reachable_pairs, spanning_capacity
from rltheory.tabular.agnostic.sunflower import is_sunflower
from rltheory.tabular.agnostic.trees import trajectory_tree_erm

SMALL = {
    "samples_by_access": {"horizons": [2, 3], "runs": 6, "accuracy": 0.3, "most": 2**11},
    "popler_trees": {
        "runs": 4, "horizon": 3, "budgets": [2000, 8000], "horizons": [2, 4], "budget": 4000,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


def test_classes_have_the_capacity_they_are_drawn_at(rows_of):
    rows, _ = rows_of("samples_by_access")
    closed = {"constant": lambda h: 2, "singletons": lambda h: h + 1, "open loop": lambda h: 2**h}
    for kind, capacity in closed.items():
        of = [row for row in rows if row["class"] == kind]
        assert {row["capacity"] == capacity(row["horizon"]) for row in of} == {True}


@pytest.mark.parametrize("kind", samples_by_access.KINDS, ids=lambda kind: kind.title)
def test_classes_come_with_sunflowers_and_attain_their_capacity(kind):
    policies = kind.make(3)
    flower = kind.flower(policies)
    assert is_sunflower(policies, flower.core, flower.petals)
    found = spanning_capacity(policies)
    assert found.exact
    mdp = samples_by_access.paying(found.mdp)
    nodes = trajectory_tree_erm(Generative(mdp, seed=0), policies, trees=3).nodes
    reached = reachable_pairs(mdp, policies).sum(axis=(1, 2))
    np.testing.assert_array_equal(nodes, np.tile(reached, (3, 1)))
    assert nodes.max() == found.value
    np.testing.assert_allclose(class_values(mdp, policies).values, 0.5)


def test_bands_hold_their_points_and_samples_are_positive(rows_of):
    rows, _ = rows_of("samples_by_access")
    known = [row for row in rows if row["samples"] is not None]
    assert known
    for row in known:
        assert row["samples"] > 0
        if row["low"] is not None:
            assert row["low"] <= row["high"]


def test_crossings_lie_on_the_line_between_logarithms():
    samples = np.array([10.0, 20.0, 40.0])
    # A power law of exponent -1/2 falls to 0.25 at 1 / 0.25^2 of what gives 1.
    errors = (samples / 2.0) ** -0.5
    assert samples_by_access.crossing(errors, samples, 0.25) == pytest.approx(32.0)
    assert samples_by_access.crossing(errors, samples, 0.01) is None
    assert samples_by_access.crossing(errors, samples, 1.0) == 10.0
    assert 10.0 < samples_by_access.crossing(np.array([1.0, 0.0, 0.0]), samples, 0.5) <= 20.0


def test_budgets_are_kept(rows_of):
    rows, _ = rows_of("popler_trees")
    assert (column(rows, "drawn") <= column(rows, "budget")).all()
    assert (column(rows, "low") <= column(rows, "median")).all()
    assert (column(rows, "median") <= column(rows, "high")).all()


def test_without_petals_what_acts_twice_is_lost(rows_of):
    # The bias: the value of the trajectories on which a policy acts at both of its states.
    rows, said = rows_of("popler_trees")
    mdp, policies, flower = popler_trees.world(3, 0)
    lost = 0.0
    for p, table in enumerate(policies.table):
        if not flower.petals[p].any():
            continue
        total = 0.0
        for path in np.ndindex(2, 2, 2):
            acts = [table[h, x] for h, x in enumerate(path)]
            odds = mdp.initial[path[0]]
            for h in range(2):
                odds *= mdp.transitions[h, path[h], acts[h], path[h + 1]]
            total += odds * mdp.rewards[2, path[2], acts[2]] * (sum(acts) > 1)
        lost = max(lost, total)
    left = column(rows, "median", sweep="samples", method="popler, no petals", budget=8000)
    assert left[0] == pytest.approx(lost, abs=0.05)
    assert f"{left[0]:.3f} without" in said
