"""What the figures on entropy methods say is true of their data."""

from itertools import islice

import numpy as np
import pytest

from rltheory.analysis.plotting import column
from rltheory.analysis.zoo.bapo import AdaptiveClip, balanced_gradient
from rltheory.analysis.zoo.entropy import mean_entropy
from rltheory.paper_figures import entropy_dynamics as dynamics
from rltheory.paper_figures import entropy_rule as rule

SMALL = {
    "entropy_dynamics": {"steps": 40, "models": 2},
    "renyi": {"policies": 60},
    "entropy_rule": {"policies": 200, "shown": 50, "steps": 4},
}


@pytest.mark.parametrize("name", SMALL)
def test_a_figure_on_small_settings_is_drawn_and_told(name, rows_of):
    assert rows_of(name)


# Entropy dynamics.


def test_every_method_starts_alike_and_learns(rows_of):
    rows, _ = rows_of("entropy_dynamics")
    starts = {(r["entropy"], r["value"]) for r in rows if r["step"] == 0 and r["model"] == 0}
    assert len(starts) == 1
    for name in dynamics.METHODS:
        values = column(rows, "value", method=name, model=0)
        assert values[-1] > values[0] + 0.1


def test_natural_steps_keep_the_odds_of_right_responses():
    model, start = dynamics.problem(0, 0)
    right = model.rewards == 1
    ends = list(islice(dynamics.natural(model, start, 30), 30))
    before, after = (model.at(p).probabilities[right] for p in (start, ends[-1]))
    assert after.sum() > 0.5
    # In the first step exactly to first order; along a run with steps of a tenth nearly so.
    np.testing.assert_allclose(after / after.sum(), before / before.sum(), atol=0.05)
    away = list(islice(dynamics.reinforce(model, start, 300), 300))[-1]
    plain = model.at(away).probabilities[right]
    assert np.abs(plain / plain.sum() - before / before.sum()).max() > 0.1


def test_clipped_grpo_takes_its_first_epoch_on_policy():
    model, start = dynamics.problem(1, 0)
    one = list(islice(dynamics.grpo(model, start, 1), 2))[1]
    four = list(islice(dynamics.grpo(model, start, 1, epochs=4), 2))[1]
    first, more = one - start, four - start
    assert np.linalg.norm(more) > np.linalg.norm(first)
    assert first @ more > 0.9 * np.linalg.norm(first) * np.linalg.norm(more)


@pytest.mark.parametrize("index", [0, 1])
def test_bounds_of_bapo_stay_where_they_start(index):
    model, start = dynamics.problem(0, index)
    for drawn in islice(dynamics.bapo(model, start, 60), 60):
        gains, point = dynamics._standardised(model, drawn), drawn
        for epoch in range(dynamics.EPOCHS):
            gradient, bounds = balanced_gradient(model, point, drawn, gains, AdaptiveClip())
            assert (bounds.low, bounds.high) == (0.6, 1.2)
            assert bounds.share >= 0.5 - 1e-9
            assert epoch or bounds.share == pytest.approx(0.5)
            point = point + dynamics.RATE * gradient


def test_aepo_holds_its_target():
    model, start = dynamics.problem(0, 0)
    *_, last = islice(dynamics.aepo(model, start, 200), 200)
    assert mean_entropy(model, last) == pytest.approx(dynamics.TARGET, abs=0.05)


# Scores and entropies.


def test_norms_lie_on_one_curve_and_in_one_band(rows_of):
    rows, said = rows_of("renyi")
    second, first, norms = (column(rows, key) for key in ("renyi", "shannon", "squared_score"))
    np.testing.assert_allclose(norms, 1 - np.exp(-second), atol=1e-12)
    assert (norms <= 1 - np.exp(-first) + 1e-12).all()
    peaked = [r for r in rows if r["kind"] == "one action, the rest alike"]
    x, y = column(peaked, "shannon"), column(peaked, "squared_score")
    order = np.argsort(x)
    # The dashed curve lies below every policy; between its points it is drawn straight.
    assert (norms >= np.interp(first, x[order], y[order]) - 2e-3).all()
    assert "is ordered oppositely" in said


# The entropy-clip rule.


def test_advantages_are_centred_and_padding_is_empty():
    policies, gains = rule._instances(50, np.random.default_rng(0))
    np.testing.assert_allclose((policies * gains).sum(axis=1), 0.0, atol=1e-12)
    assert (gains[policies == 0] == 0).all()
    assert ((policies > 0).sum(axis=1) >= 3).all()


def test_forecasts_are_right_to_first_order_where_the_rule_fits(rows_of):
    rows, _ = rows_of("entropy_rule")
    for name in rule.RULES:
        x, y = (column(rows, key, kind="change", rule=name) for key in "xy")
        off = np.abs(x - y).max()
        # The entropy's second derivative along d, |d| <= 1, is at most Var d <= 1 plus
        # E|log pi - E log pi|, below 2 nats for eight actions; half of it times the step.
        assert (off < 1.5 * rule.SMALL) == (name != "printed")
    shares = {name: column(rows, "y", kind="share", rule=name) for name in rule.RULES}
    assert shares["plain"][0] <= shares["printed"][0]
    assert shares["natural"][-1] > shares["natural"][0]
