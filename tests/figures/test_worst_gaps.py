"""Families at their hardest gaps, and what the figure of the worst gap says is true of its data."""

import numpy as np
import pytest

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.analysis.rates import fit_rate
from rltheory.linear_mdp.actor_critic.runs import optimal_value
from rltheory.paper_figures import worst_gaps
from rltheory.paper_figures.rate_families import FAMILIES, chains, needles, uniform_loss

SMALL = {"worst_gaps": {"episodes": [50, 200], "seeds": 4}}

CHOICES = {"needle": 16, "tree": 27, "chain": 4, "hypercube": 1, "fine lock": 6}
"""Among how many the tries of an episode are spread."""


def rows_that_differ(mdp):
    """The two rows of a state whose actions matter most, as probabilities of their best entry."""
    kernel = mdp.transitions
    found = []
    for h in range(mdp.horizon):
        for s in range(mdp.states):
            row = kernel[h, s]
            # Levers of a lock lead elsewhere for sure; they are no tries of a small gap.
            if ((row > 0) & (row < 1)).any(axis=-1).all():
                at = int(np.argmax(row.max(axis=0) - row.min(axis=0)))
                found.append((row[:, at].min(), row[:, at].max()))
    return max(found, key=lambda pair: pair[1] - pair[0])


def divergence(p, q):
    """KL of coins, in nats."""
    return p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("episodes", [4000, 64_000])
def test_the_hardest_gap_is_told_with_the_same_error_by_any_number_of_episodes(name, episodes):
    """T / n tries of two coins tell them apart by T / n KL nats; two standard errors are 2."""
    mdp = FAMILIES[name].hardest(episodes, 0)
    low, high = rows_that_differ(mdp)
    if name == "hypercube":
        # All bits differ between the two; one bit is two gaps.
        low = high - (high - low) / 3
        told = episodes / CHOICES[name] * divergence(low, high) / 4
    else:
        told = episodes / CHOICES[name] * divergence(low, high)
    # Rates well below 1/2 make the variance of the better coin larger, and the gap not small.
    assert told == pytest.approx(2.0, rel=0.35)
    if episodes == 64_000:
        assert told == pytest.approx(2.0, rel=0.1)


def worst_value(mdp):
    later = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        later = (mdp.rewards[h] + mdp.transitions[h] @ later).min(axis=1)
    return float(mdp.initial @ later)


@pytest.mark.parametrize("name", FAMILIES)
def test_no_policy_loses_more_than_in_proportion_to_the_gap_but_at_the_lock(name):
    losses = []
    for gap in (0.01, 0.005):
        mdp = FAMILIES[name].make(gap=gap, seed=1)
        losses.append(optimal_value(mdp) - worst_value(mdp))
        assert 0 < uniform_loss(mdp) <= losses[-1]
    if name == "fine lock":
        assert min(losses) > 0.5
    else:
        assert losses[0] / losses[1] == pytest.approx(2.0, rel=0.05)


def test_gaps_are_capped():
    assert needles(4).hardest_gap(400) == pytest.approx(np.sqrt(16 / 400))
    assert needles(8).hardest_gap(2) == 0.5
    assert chains(8).hardest_gap(1) == 0.75
    assert chains(8).hardest_gap(900) == pytest.approx(2 * np.sqrt(7 / 64 * 4 / 900))


@pytest.mark.parametrize("episodes", [[1000, 4000, 16_000], [500, 700]])
def test_the_gaps_of_the_figure_reach_beyond_the_hardest(episodes):
    for family in FAMILIES.values():
        gaps = worst_gaps.gaps_of(family, episodes)
        assert (np.diff(gaps) < 0).all()
        assert gaps[0] == min(family.most, 2 * family.unit / np.sqrt(min(episodes)))
        assert gaps[-1] <= family.hardest_gap(max(episodes)) / 2 * (1 + 1e-12)


def test_the_worst_gap_of_a_single_one_is_that_one():
    """Then the fit is that of `fit_rate`, to the same draws."""
    x = np.array([100.0, 400.0, 1600.0])
    curves = np.random.default_rng(0).random((6, 3)) + np.sqrt(x)
    curve, rate = worst_gaps.fit_worst(x, curves[None], seed=3)
    other = fit_rate(x, curves, seed=3)
    np.testing.assert_allclose(curve, curves.mean(axis=0))
    for name in ("slope", "constant"):
        assert getattr(rate, name) == pytest.approx(getattr(other, name), rel=1e-9)
    for name in ("lower", "upper"):
        wanted = float(getattr(other.interval, name))
        assert float(getattr(rate.interval, name)) == pytest.approx(wanted, rel=1e-9)


def test_of_several_gaps_the_largest_mean_counts_and_its_change_is_allowed_for():
    """Two gaps whose worse one a single run decides: most resamples of two runs have it."""
    x = np.array([1.0, np.e])
    regret = np.array([[[1.0, 1.0], [1.0, 9.0]], [[2.0, 3.0], [2.0, 3.0]]])
    curve, rate = worst_gaps.fit_worst(x, regret, seed=0)
    assert curve.tolist() == [2.0, 5.0]
    # Resamples: both runs the first, one of each, both the second.
    assert float(rate.interval.lower) == pytest.approx(np.log(3 / 2))
    assert float(rate.interval.upper) == pytest.approx(np.log(9 / 2))


def test_the_figure_says_what_its_rows_say(rows_of):
    rows, said = rows_of("worst_gaps")
    assert "Of 5 families" in said
    for name in FAMILIES:
        for learner in worst_gaps.LEARNERS:
            where = {"family": name, "algorithm": learner}
            top = [column(rows, "regret", episodes=total, **where).max() for total in (50, 200)]
            worst = [
                column(rows, "worst_regret", episodes=total, **where)[0] for total in (50, 200)
            ]
            assert worst == pytest.approx(top, rel=1e-12)
            slope = np.log(worst[1] / worst[0]) / np.log(4)
            assert column(rows, "slope", **where)[0] == pytest.approx(slope, rel=1e-9)


def test_committing_costs_its_exploration_and_what_it_settles_for():
    mdp = FAMILIES["needle"].make(gap=0.4, seed=2)
    regret = worst_gaps.commit(mdp, 8000, np.random.default_rng(0))
    # 400 episodes find a gap of 0.4 in all four doors; in units of 5 steps.
    assert regret == pytest.approx(400 * 0.4 * 0.75 * 5, rel=1e-9)


@pytest.mark.slow
def test_where_exploring_costs_a_worse_rate_is_seen_as_such(monkeypatch):
    """Nothing is asked of NORA's residuals: a few late switches decide them with 24 seeds."""
    monkeypatch.setattr(worst_gaps, "FAMILIES", {"fine lock": FAMILIES["fine lock"]})
    settings = {"episodes": [1000, 4000, 16_000], "seeds": 24}
    with plotting.style():
        _, rows = worst_gaps.draw(settings, 1)
    first = {row["algorithm"]: row for row in reversed(rows)}
    control = first["explore, then commit"]
    assert control["slope_lower"] > 0.5
    assert first["NORA, counts"]["slope_upper"] < control["slope_lower"]
