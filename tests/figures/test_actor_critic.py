"""What the figures of actor-critics say is true of their data."""

import numpy as np
import pytest

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.linear_mdp.actor_critic.nora import nora
from rltheory.paper_figures import actor_critic_rates as rates
from rltheory.paper_figures import actor_critic_regret as regret
from rltheory.paper_figures import switches

SMALL = {
    "actor_critic_regret": {"episodes": 300, "seeds": 2, "points": 12},
    "actor_critic_rates": {
        "episodes": [50, 100, 200], "seeds": 3, "rivals": 2, "actions": [2, 4],
        "steps": [4, 6], "fixed": 100,
    },
    "switches": {"episodes": 500, "seeds": 2, "points": 10},
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


def test_regret_never_falls_and_is_that_of_the_runs(rows_of):
    rows, _ = rows_of("actor_critic_regret")
    for world in regret.WORLDS:
        for name in regret.LEARNERS:
            y = column(rows, "regret", world=world, algorithm=name)
            assert (np.diff(y) >= -1e-9).all()
    ends = column(rows, "episodes", world="river", algorithm="NORA")
    curves = []
    for k in range(2):
        instance = regret.WORLDS["river"].make(0)
        rng = np.random.default_rng([0, k, 1])
        run = nora(instance, scale=regret.SCALE, episodes=300, seed=rng)
        curves.append(np.cumsum(run.optimum - run.values)[ends - 1])
    shown = column(rows, "regret", world="river", algorithm="NORA")
    np.testing.assert_allclose(shown, np.mean(curves, axis=0))


def test_without_optimism_regret_on_locks_is_linear(rows_of):
    rows, said = rows_of("actor_critic_rates")
    where = {"panel": "lock", "algorithm": "NORA, no optimism"}
    x, y = (column(rows, key, **where) for key in ("x", "regret"))
    # Walking away pays 0.1 where opening pays 1; before it does, it pays even less.
    assert ((0.9 * x <= y + 1e-9) & (y <= x)).all()
    assert "Without optimism the regret on the locks is linear" in said


def test_exponents_are_those_of_the_means(rows_of):
    rows, _ = rows_of("actor_critic_rates")
    for panel in rates.PANELS:
        x, y, slope = (
            column(rows, key, panel=panel, algorithm="DOUHUA") for key in ("x", "regret", "slope")
        )
        fitted = np.polyfit(np.log(x), np.log(y), 1)[0]
        np.testing.assert_allclose(slope, fitted, rtol=1e-9)


def test_the_uniform_policy_loses_what_families_say(rows_of):
    rows, _ = rows_of("actor_critic_rates")
    where = {"panel": "needle", "algorithm": "uniform policy"}
    x, y = (column(rows, key, **where) for key in ("x", "regret"))
    gap = np.minimum(0.5, np.sqrt(16 / x))
    np.testing.assert_allclose(y, x * gap * (1 - 1 / 4) * 5, rtol=1e-12)
    # Later episodes alone: the gap is at its cap before.
    late = column(rows, "late_slope", **where)[0]
    assert late == pytest.approx(0.5, abs=1e-9)


def test_switches_are_counted_and_below_their_bounds(rows_of):
    rows, said = rows_of("switches")
    assert "No run is above its bound" in said
    for row in rows:
        assert row["switches"] <= row["most"] <= row["episodes"]
        if row["test"] == "counts":
            pairs = {"lock": 3 * (2 + 3 * 4), "river": 2 * (1 + 2 + 3 + 4 * 5)}[row["world"]]
            most = 1 + pairs * (1 + np.log2(row["episodes"]))
            assert row["bound"] == pytest.approx(min(most, row["episodes"]))
    for world in switches.WORLDS:
        strict, loose = (
            column(rows, "switches", world=world, test=test)[-1]
            for test in ("residual, 2", "residual")
        )
        assert loose <= strict


@pytest.mark.slow
def test_on_the_hardest_needle_regret_grows_as_the_root(monkeypatch):
    names = ("NORA", "NORA, counts", "DOUHUA", "rare UCBVI")
    monkeypatch.setattr(rates, "PANELS", {"needle": rates.PANELS["needle"]})
    monkeypatch.setattr(rates, "LEARNERS", {name: rates.LEARNERS[name] for name in names})
    settings = {"episodes": [500, 1000, 2000, 4000, 8000], "seeds": 24, "rivals": 24, "fixed": 0}
    with plotting.style():
        _, rows = rates.draw(settings, 1)
    for name in names:
        row = next(row for row in rows if row["algorithm"] == name)
        assert row["slope_lower"] <= 0.5 <= row["slope_upper"], name
        # The seeds tell an error of a tenth.
        assert row["seeds_needed"] <= 24
