"""What the captions say is true of the data that the figures show."""

import importlib

import numpy as np
import pytest

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.theory import registry as theorems

SMALL = {
    "planners": {"garnet_states": 30, "river_states": 8, "discount": 0.9},
    "policy_optimisation": {
        "states": 4,
        "actions": 3,
        "discount": 0.8,
        "iterations": 300,
        "npg_step": 0.2,
    },
    "price": {"cliff_discount": 0.9, "river_discount": 0.95, "largest": 0.2, "radii": 5},
    "s_rectangular": {"discount": 0.9, "second_reward": 0.8, "radii": [0.1], "points": 11},
    "american_put": {"horizon": 6, "discount": 0.99, "radii": 5, "largest": 0.5, "shown": 0.1},
    "risk": {"rows": 10, "states": 8, "points": 13, "range": (2.0, 500.0)},
    "robust_value": {"states": 4, "discount": 0.9, "radii": 5, "smallest": 2e-3},
    "iwocs": {"states": 8, "sizes": [5, 8], "seeds": 2, "radii": 2, "winds": 3},
}


@pytest.fixture
def draw():
    """Draw a figure on small instances and return its rows."""

    def rows_of(name):
        module = importlib.import_module(f"rltheory.paper_figures.{name}")
        if name in SMALL:
            assert (
                set(SMALL[name]) == set(module.SETTINGS["quick"]) == set(module.SETTINGS["paper"])
            )
        with plotting.style():
            figure, rows = module.draw(SMALL.get(name, module.SETTINGS["quick"]), 0)
            figure.draw_without_rendering()
        return rows

    return rows_of


def test_bounds_enclose_and_meet(draw):
    rows = draw("bounds")
    for side in ("lower", "upper"):
        distance = column(rows, f"{side}_distance")
        assert (distance >= 0).all()
        assert distance[-1] < 1e-11


def test_planners_all_arrive_and_policy_iteration_in_fewest_iterations(draw):
    rows = draw("planners")
    for mdp in ("garnet", "river swim"):
        last = {
            planner: column(rows, "iterations", mdp=mdp, planner=planner)[-1]
            for planner in {row["planner"] for row in rows}
        }
        assert min(last, key=last.get) == "policy iteration"
        for planner in last:
            assert column(rows, "gap", mdp=mdp, planner=planner)[-1] < 1e-8


def test_ledge_has_its_closed_form(draw):
    rows = draw("s_rectangular")
    x, value = column(rows, "mixture", kind="policy"), column(rows, "value", kind="policy")
    expected = (x + (1 - x) * 0.8) / (1 - 0.9 * (1 - 0.1 * np.maximum(x, 1 - x)))
    np.testing.assert_allclose(value, expected, atol=1e-7)
    best = {kind: column(rows, "value", kind=kind) for kind in {row["kind"] for row in rows}}
    radius = column(rows, "radius", kind="randomised")
    threshold = (1 - 0.9) * (1 - 0.8) / (0.9 * 0.8)
    even = (0.5 + 0.5 * 0.8) / (1 - 0.9 * (1 - radius / 2))
    first = 1 / (1 - 0.9 * (1 - radius))
    np.testing.assert_allclose(best["randomised"], np.maximum(even, first), atol=1e-7)
    np.testing.assert_allclose(best["deterministic"], first, atol=1e-7)
    np.testing.assert_allclose(best["(s, a)-rectangular"], first, atol=1e-7)
    assert ((even > first) == (radius > threshold)).all()


def test_robustness_costs_under_the_model_and_pays_in_the_worst_case(draw):
    rows = draw("price")
    nominal, robust = (
        {
            model: column(rows, "value", policy=policy, model=model)
            for model in ("nominal model", "worst case")
        }
        for policy in ("nominal policy", "robust policy")
    )
    # Each value is certified to 1e-8.
    assert (nominal["nominal model"] >= robust["nominal model"] - 2e-8).all()
    assert (robust["worst case"] >= nominal["worst case"] - 2e-8).all()
    assert (nominal["nominal model"] > robust["nominal model"] + 1e-3).any()
    assert (robust["worst case"] > nominal["worst case"] + 1e-3).any()


def test_the_adversary_pushes_within_its_radius_and_only_takes(draw):
    rows = draw("worst_kernel")
    assert (column(rows, "robust_value") <= column(rows, "nominal_value") + 2e-8).all()
    assert (column(rows, "loss") >= -2e-8).all()
    # Outcomes of a step are at most two cells apart in each direction.
    push = np.abs([column(rows, "push_down"), column(rows, "push_right")])
    assert push.max() <= 2 * 0.1 + 1e-12
    start = [row for row in rows if row["cell"] == "S"]
    assert len(start) == 1
    walked = {kind: column(rows, f"{kind}_action", row=3) for kind in ("nominal", "robust")}
    # Right is action 2: along the edge the nominal walk goes straight on, the robust one leaves.
    assert (walked["nominal"][:9] == 2).all()
    assert (walked["robust"][:3] != 2).all()


def test_every_method_stays_below_its_bound(draw):
    rows = [row for row in draw("policy_optimisation") if row["bound"] is not None]
    assert len({row["method"] for row in rows}) == 3
    assert all(row["suboptimality"] <= row["bound"] for row in rows)


def test_iwocs_closes_its_gap_on_rectangular_sets_and_hulls_are_pessimistic(draw):
    rows = draw("iwocs")
    for radius in {row["name"] for row in rows if row["kind"] == "gap"}:
        gaps = column(rows, "value", kind="gap", name=radius)
        assert (np.diff(gaps) <= 0).all()
        assert gaps[-1] <= 1e-6
    hull = column(rows, "value", kind="wind", name="rectangular hull")
    for step in ("rectangular", "min_q"):
        assert (column(rows, "value", kind="wind", name=step) <= hull + 1e-6).all()
    assert hull[-1] > 0.01


def test_sharp_theorems_are_at_zero_and_their_controls_left_of_it(draw, monkeypatch):
    two = theorems.select(["bellman/contraction", "occupancy/performance-difference"])
    monkeypatch.setattr(theorems, "theorems", lambda: two)
    rows = draw("tightness")
    assert [row["theorem"] for row in rows] == [theorem.id for theorem in two]
    assert all(row["theorem_margin"] == 0 for row in rows)
    assert all(row["control_margin"] < 0 for row in rows)


def test_an_adversary_on_the_lattice_only_tilts_the_odds(draw):
    rows = draw("american_put")
    prices = {
        name: column(rows, "value", kind="price", name=name)
        for name in {row["name"] for row in rows if row["kind"] == "price"}
    }
    (tilted,) = (value for name, value in prices.items() if name.startswith("nominal"))
    np.testing.assert_allclose(prices["TV on the lattice"], tilted, atol=1e-10)
    for price in prices.values():
        assert (np.diff(price) <= 1e-10).all()
    # Whoever may leave the lattice can do what one on it can.
    assert (prices["TV to any state"] <= prices["TV on the lattice"] + 1e-10).all()
    assert any(row["name"] == "the robust one" for row in rows)
    assert not any(row["name"] == "the nominal one" for row in rows)


def test_expansions_are_within_the_remainders_of_taylor(draw):
    rows = draw("risk")
    # The cumulant function of values in [0, 1] has second derivative at most 1/4 (Hoeffding) and
    # third derivative at most 1 / (6 sqrt 3), the largest third central moment on [0, 1].
    for expansion, constant, order in (
        ("mean", 1 / 8, 1),
        ("mean and variance", 1 / (36 * np.sqrt(3)), 2),
    ):
        error = column(rows, "error", expansion=expansion)
        penalty = column(rows, "penalty", expansion=expansion)
        # Both sides of the subtraction are of order one and lose about the last digits.
        assert (error <= constant / penalty**order + 1e-12).all()


def test_sets_that_contain_one_another_order_their_values(draw):
    rows = draw("robust_value")
    value = {
        (form, name): column(rows, "value", form=form, set=name)
        for form, name in {(row["form"], row["set"]) for row in rows if row["form"] != "end"}
    }
    (nominal,) = column(rows, "value", form="end", set="nominal")
    (worst,) = column(rows, "value", form="end", set="worst")
    # Values are certified to 1e-7, the ends to 1e-8.
    close = 2e-7
    for curve in value.values():
        assert (np.diff(curve) <= close).all()
        assert (curve <= nominal + close).all()
        assert (curve >= worst - close).all()
    ball = {name: curve for (form, name), curve in value.items() if form == "ball"}
    assert len(ball) == 9
    for inner, outer in (
        ("$L_1$", "$L_2$"),
        ("$L_2$", r"$L_\infty$"),
        ("$L_1$", "total variation"),
        ("contamination", "total variation"),
        # KL(q, p) <= log(1 + chi2(q, p)) <= chi2(q, p).
        (r"$\chi^2$", "Kullback-Leibler"),
        # The cost of a move is at most one.
        ("total variation", "Wasserstein"),
    ):
        assert (ball[inner] >= ball[outer] - close).all(), (inner, outer)
    assert ball["total variation"][-1] == pytest.approx(worst, abs=close)
    # Within the nominal support the swimmer at the left bank can always earn the small reward.
    for name in (r"$\chi^2$", "Kullback-Leibler", r"interval $(1 \pm \rho)\,p$"):
        assert (ball[name] >= 0.005 / (1 - 0.9) - close).all()
