"""What the figures of learning in linear MDPs say is true of their data."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.plotting import column
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp import RobustLinearMDP, dr_lsvi_ucb, drpvi, plan
from rltheory.linear_mdp.memory import population
from rltheory.paper_figures import linear_bonuses as bonuses
from rltheory.paper_figures import linear_coverage as coverage
from rltheory.paper_figures import linear_heat_map as heat_map
from rltheory.paper_figures import linear_interpolation as interpolation
from rltheory.paper_figures import linear_regret as regret
from rltheory.paper_figures import linear_worlds as worlds
from rltheory.tabular import backward_induction
from rltheory.tabular.uncertainty import TotalVariation

SMALL = {
    "linear_regret": {"episodes": 200, "strata": 12, "seeds": 2},
    "linear_interpolation": {"points": 7, "learnt": 3, "episodes": 60, "seeds": 2},
    "linear_coverage": {"episodes": [100, 1000], "points": 3, "seeds": 2},
    "linear_heat_map": {"radii": 3, "temperatures": 3, "episodes": 40, "seeds": 2},
    "linear_bonuses": {
        "models": 2, "runs": 4, "points": 2, "seeds": 2, "scales": 3, "episodes": 60,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


# Regret.


@given(st.integers(2, 3000), st.integers(2, 200), st.integers(0, 2**32))
def test_strata_partition_the_episodes_and_hold_their_samples(episodes, count, seed):
    edges, marks = regret.strata(episodes, count, np.random.default_rng(seed))
    assert edges[0] == 0
    assert edges[-1] == episodes
    assert (np.diff(edges) > 0).all()
    assert ((edges[:-1] <= marks) & (marks < edges[1:])).all()


def test_sampled_regret_has_no_bias():
    # The mean over every choice of samples is the sum, whatever is lost in the episodes.
    lost = np.random.default_rng(0).random(12)
    edges = regret.strata(12, 4, np.random.default_rng(0))[0]
    means = [lost[a:b].mean() for a, b in pairwise(edges)]
    np.testing.assert_allclose(np.diff(edges) @ means, lost.sum(), rtol=1e-12)
    draws = [regret.strata(12, 4, np.random.default_rng(k))[1] for k in range(4000)]
    for at, (a, b) in enumerate(pairwise(edges)):
        counts = np.bincount([marks[at] - a for marks in draws], minlength=b - a)
        # Six standard deviations of a binomial count.
        assert (np.abs(counts - 4000 / (b - a)) <= 6 * np.sqrt(4000 / (b - a))).all()


@pytest.mark.parametrize("name", regret.WORLDS)
def test_regret_by_single_episodes_is_the_regret(name):
    kind = regret.WORLDS[name]
    instance = kind.make(0)
    edges, marks = regret.strata(40, 10_000, np.random.default_rng(0))
    np.testing.assert_array_equal(marks, np.arange(40))
    run = regret.Run("DR-LSVI-UCB", "dr")
    curve = regret.learn(run, kind, instance, 40, marks, np.random.default_rng(1))
    lost = curve.suboptimality[np.searchsorted(curve.episodes, marks)]
    model = RobustLinearMDP(instance, TotalVariation(kind.radius))
    whole = dr_lsvi_ucb(model, episodes=40, bonus=1.0, seed=np.random.default_rng(1))
    np.testing.assert_array_equal(np.cumsum(np.diff(edges) * lost), whole.regret)


def test_without_a_bonus_the_lock_stays_shut_and_regret_is_its_line(rows_of):
    rows, said = rows_of("linear_regret")
    where = {"world": "lock", "algorithm": "LSVI, no bonus"}
    episodes, total = (column(rows, key, **where) for key in ("episodes", "regret"))
    # Walking away pays 0.1 where opening pays 1, in every episode.
    np.testing.assert_allclose(total, 0.9 * episodes, rtol=1e-9)
    assert "LSVI, no bonus 1.00 [1.00, 1.00], linear" in said


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["rpo", "mirror"])
def test_where_all_is_covered_regret_grows_no_faster_than_the_root(algorithm):
    # Every policy played is evaluated: no sampling of episodes is involved.
    kind, episodes = regret.WORLDS["covered"], 2000
    run = regret.Run("DR-RPO", algorithm)
    curves = [
        regret.learn(run, kind, kind.make(k), episodes, np.arange(episodes), _generator(k)).regret
        for k in range(6)
    ]
    late = np.arange(regret.FITTED_FROM, episodes)
    rate = fit_rate(late + 1.0, np.array(curves)[:, late])
    assert rate.interval.upper <= 0.55


def _generator(seed):
    return np.random.default_rng([seed, 17])


def test_regret_never_falls(rows_of):
    rows, _ = rows_of("linear_regret")
    for world, runs in regret.RUNS.items():
        for run in runs:
            total = column(rows, "regret", world=world, algorithm=run.title)
            assert len(total)
            assert (np.diff(total) >= -1e-9).all()


def test_the_verdict_on_the_slope_follows_the_interval(rows_of):
    rows, _ = rows_of("linear_regret")
    for high, verdict in ((0.55, "at most 0.55"), (0.5501, "above 0.55")):
        changed = [dict(row, slope_upper=high, slope_lower=0.2) for row in rows]
        said = regret.findings(changed)
        assert f"], {verdict}" in said
        assert "not linear" in said
        assert "has ended" in said


# Temperature.


def test_planned_curves_lie_between_their_limits(rows_of):
    rows, _ = rows_of("linear_interpolation")
    model = worlds.source(interpolation.RADIUS)
    most = model.nominal.horizon * np.log(model.nominal.actions)
    optimum = worlds.start_value(model)
    for name in interpolation.REFERENCES:
        where = {"reference": name, "kind": "planned"}
        heat, objective, robust, plain, paid, entropy = (
            column(rows, key, **where)
            for key in ("temperature", "objective", "robust", "plain", "paid", "entropy")
        )
        (anchor,) = (row for row in rows if row["reference"] == name and row["kind"] == "reference")
        # A larger temperature only lowers the objective, which the reference attains for nothing.
        assert (np.diff(objective) <= 1e-12).all()
        assert (objective >= anchor["robust"] - 1e-12).all()
        assert (objective <= robust + 1e-12).all()
        assert (robust <= optimum + 1e-12).all()
        assert (robust <= plain + 1e-12).all()
        assert (paid >= -1e-12).all()
        # The robust optimum pays log(1 / least probability) a step at most.
        least = 1.0 / 16 if name == "uniform" else interpolation.MIXED / 16
        steps = model.nominal.horizon
        assert (objective >= optimum - heat * steps * np.log(1.0 / least) - 1e-12).all()
        assert ((entropy >= -1e-12) & (entropy <= most + 1e-12)).all()
        if name == "uniform":
            np.testing.assert_allclose(entropy, most - paid, atol=1e-12)


def test_learnt_policies_do_not_beat_their_objective(rows_of):
    rows, _ = rows_of("linear_interpolation")
    model = worlds.source(interpolation.RADIUS)
    learnt = [row for row in rows if row["kind"] == "learnt" and row["reference"] == "uniform"]
    for row in learnt:
        best = worlds.start_value(model, temperature=row["temperature"])
        assert row["objective"] <= best + 1e-12


# Coverage.


def test_contrast_changes_coverage_and_not_the_target():
    full, faint = (coverage.two_steps(c, 7) for c in (1.0, 0.1))
    ball = TotalVariation(0.2)
    targets = [plan(RobustLinearMDP(mdp, ball)).factor_values[0] for mdp in (full, faint)]
    np.testing.assert_array_equal(*targets)
    # Across (1, ..., 1) features shrink with the contrast, along it they do not change.
    first = [mdp.features[: coverage.FIRST].reshape(-1, 4) for mdp in (full, faint)]
    centred = [x - 0.25 for x in first]
    np.testing.assert_allclose(centred[1], 0.1 * centred[0], atol=1e-15)


@pytest.mark.parametrize("ball", coverage.BALLS)
def test_infinitely_many_episodes_leave_no_error(ball):
    mdp = coverage.two_steps(0.5, 3)
    model = RobustLinearMDP(mdp, coverage.BALLS[ball].make())
    learnt = drpvi(model, population(mdp), bonus=0.0)
    target = plan(model).factor_values[0]
    np.testing.assert_allclose(learnt.linear[0], target, atol=1e-8)


def test_widths_and_eigenvalues_belong_together(rows_of):
    rows, _ = rows_of("linear_coverage")
    width, least = column(rows, "width"), column(rows, "eigenvalue")
    # A diagonal entry of the inverse is at most its largest eigenvalue, the largest of d of them
    # at least a d-th of it.
    assert (np.square(width) * least <= 1.0 + 1e-9).all()
    assert (np.square(width) * least >= 1.0 / coverage.DIMENSION - 1e-9).all()


def test_slopes_are_those_of_the_data():
    rows = [
        {"set": name, "sweep": sweep, "episodes": n, "contrast": c, "seed": 0}
        | {"error": (n * c * c) ** -0.5, "eigenvalue": n * c * c, "width": 2 * (n * c * c) ** -0.5}
        for name in coverage.BALLS
        for sweep, n, c in [("episodes", n, 1.0) for n in (10, 100, 1000)]
        + [("coverage", coverage.FIXED, c) for c in (0.1, 0.3, 1.0)]
    ]
    said = coverage.findings(rows)
    assert said.count("-0.50 [-0.50, -0.50]") == 2 * len(coverage.BALLS)
    assert said.count("0.5 times the width") == len(coverage.BALLS)


# Radius and temperature.


def test_planned_cells_are_values_of_the_spelt_out_target(rows_of):
    rows, _ = rows_of("linear_heat_map")
    for row in rows:
        target = worlds.target(row["perturbation"])
        model = worlds.source(row["radius"])
        policy = plan(model, temperature=row["temperature"]).policy
        table = target.to_tabular()
        value = table.initial @ backward_induction(table, policy=policy).values[0]
        np.testing.assert_allclose(row["planned"], value, rtol=1e-12)
        best = table.initial @ backward_induction(table).values[0]
        assert row["planned"] <= best + 1e-12
        assert row["learnt"] <= best + 1e-12


def test_the_best_cell_is_named(rows_of):
    rows, _ = rows_of("linear_heat_map")
    marked = [
        dict(row, planned=9.0 if (row["radius"], row["temperature"]) == (0.45, 0.1) else 1.0)
        for row in rows
    ]
    said = heat_map.findings(marked)
    assert said.count("radius 0.5 and temperature 0.1 and earns 9.000") + said.count(
        "radius 0.4 and temperature 0.1 and earns 9.000"
    ) == len(heat_map.PERTURBATIONS)


# Forms of the bonus.


@settings(max_examples=25)
@given(st.integers(1, 6), st.integers(0, 2**32))
def test_widths_are_their_formulas_and_ordered(d, seed):
    rng = np.random.default_rng(seed)
    x = rng.dirichlet(np.ones(d), size=5)
    root = rng.normal(size=(d, d))
    inverse = np.linalg.inv(root @ root.T + 0.1 * np.eye(d))
    inverse = 0.5 * (inverse + inverse.T)
    found = bonuses.widths(x, inverse)
    for k, row in enumerate(x):
        pairs = [(i, j) for i in range(d) for j in range(d)]
        quadratic = sum(row[i] * inverse[i, j] * row[j] for i, j in pairs)
        np.testing.assert_allclose(found["elliptical"][k] ** 2, quadratic, rtol=1e-6)
        by_factor = [row[i] * inverse[i, i] ** 0.5 for i in range(d)]
        np.testing.assert_allclose(found["factors"][k], sum(by_factor), rtol=1e-12)
        np.testing.assert_allclose(found["diagonal"][k], np.linalg.norm(by_factor), rtol=1e-12)
    slack = 1.0 + 1e-9
    assert (found["elliptical"] <= slack * found["factors"]).all()
    assert (found["diagonal"] <= slack * found["factors"]).all()
    assert (found["factors"] <= slack * d**0.5 * found["diagonal"]).all()


def test_the_diagonal_form_can_be_short_of_the_elliptical_one():
    # What is seen are the even blends of factors 1, 2 and 2, 3; asked for is that of 1, 3.
    seen = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    inverse = np.linalg.inv(1e4 * seen.T @ seen + np.eye(3))
    found = bonuses.widths(np.array([[0.5, 0.0, 0.5]]), inverse)
    ratio = found["diagonal"] / found["elliptical"]
    np.testing.assert_allclose(ratio, 0.5**0.5, atol=1e-3)


def test_needed_scales_are_ordered_as_the_widths_are(rows_of):
    rows, said = rows_of("linear_bonuses")
    needed = {form: column(rows, "value", kind="needed scale", form=form) for form in bonuses.FORMS}
    for form in ("diagonal", "elliptical"):
        assert (needed[form] >= needed["factors"] - 1e-12).all()
    # Two of the three features are positive at a time.
    assert (needed["diagonal"] <= 2**0.5 * needed["factors"] + 1e-9).all()
    least = column(rows, "value", kind="least ratio", form="diagonal")
    dimensions = column(rows, "x", kind="least ratio", form="diagonal")
    assert (least >= dimensions**-0.5 - 1e-12).all()
    assert "The diagonal form falls to" in said
