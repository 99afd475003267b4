"""What the figures of learners in worse worlds say is true of the data that they show."""

import importlib
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis import plotting
from rltheory.analysis.plotting import column
from rltheory.linear_mdp import LinearMDP, RobustLinearMDP, collect, plan
from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics, off_dynamics_target
from rltheory.paper_figures import linear_runs
from rltheory.paper_figures import off_dynamics as online
from rltheory.paper_figures import offline_robustness as offline
from rltheory.paper_figures import put_robustness as put
from rltheory.tabular.uncertainty import PenalisedTotalVariation, TotalVariation

MODULES = ["off_dynamics", "put_robustness", "offline_robustness"]
SLIP = 0.001


@pytest.fixture
def draw():
    """Draw a figure with fewer runs and return its rows."""

    def drawn(name, **changes):
        module = importlib.import_module(f"rltheory.paper_figures.{name}")
        with plotting.style():
            figure, rows = module.draw(module.SETTINGS["quick"] | changes, 0)
            figure.draw_without_rendering()
        assert module.FIGURE.findings(rows).endswith(".")
        for row in rows:
            for kind in ("reward", "gain"):
                assert row[f"{kind}_low"] <= row[kind] + 1e-12
                assert row[kind] <= row[f"{kind}_high"] + 1e-12
        return rows

    return drawn


@pytest.mark.parametrize("name", MODULES)
def test_both_scales_have_the_same_settings(name):
    scales = importlib.import_module(f"rltheory.paper_figures.{name}").SETTINGS
    assert set(scales["quick"]) == set(scales["paper"])


def forward(model, policy):
    """What a policy earns, by walking the distribution of states forward."""
    table = model.to_tabular()
    states, total = table.initial, 0.0
    for h in range(table.horizon):
        pairs = states[:, None] * policy[h]
        total += (pairs * table.rewards[h]).sum()
        states = np.einsum("sa,sat->t", pairs, table.transitions[h])
    return total


@settings(max_examples=10)
@given(st.floats(0, 1), st.sampled_from([0.1, 0.2, 0.3]), st.integers(0, 1000))
def test_rewards_between_the_ends_are_those_of_the_world_between(q, norm, seed):
    policy = np.random.default_rng(seed).dirichlet(np.ones(16), size=(3, 5))
    ((shown,),) = linear_runs.target_rewards([policy], np.array([q]), xi_norm=norm)
    world = off_dynamics_target(xi_norm=norm, perturbation=q)
    # Rewards of at most 3, some 300 roundings each way.
    assert shown == pytest.approx(forward(world, policy), abs=1e-13 * 3)


@settings(max_examples=10)
@given(st.lists(st.integers(-4, 4), min_size=4, max_size=4))
def test_bands_are_quantiles_of_all_resamples(sample):
    middle, low, high = linear_runs.band(np.array(sample, dtype=float)[:, None])[:, 0]
    assert middle == pytest.approx(np.mean(sample), abs=1e-14)
    means = np.array([np.mean(chosen) for chosen in product(sample, repeat=4)])
    # Frequencies of 2000 resamples are within 5 deviations of those of all 256.
    tail = 0.025
    off = 5 * np.sqrt(tail * (1 - tail) / linear_runs.RESAMPLES)
    assert (means < low - 1e-9).mean() <= tail + off <= (means <= low + 1e-9).mean() + 2 * off
    assert (means > high + 1e-9).mean() <= tail + off <= (means >= high - 1e-9).mean() + 2 * off


def earned(norm, first, q):
    """What the off-dynamics world pays for the weight `first` of the paying factor at x1.

    By hand: later steps choose the largest weight; x5 pays 1 in both of them.
    """
    most = 0.3 + norm
    onward = most + most + (1 - most) * (1 - SLIP) * most
    return (1 - first) * onward + first * (1 - q) * 2, onward


@pytest.mark.parametrize(("norm", "radius"), list(product((0.1, 0.2, 0.3), (0.1, 0.3, 0.5))))
def test_the_adversary_turns_the_first_action_where_onward_is_worth_more(norm, radius):
    model = off_dynamics(xi_norm=norm)
    robust = RobustLinearMDP(model, linear_runs.first_step(model, radius))
    q = np.linspace(0, 1, 5)
    shown = linear_runs.target_rewards([plan(robust).policy, plan(model).policy], q, xi_norm=norm)
    turns = (1 - SLIP) * earned(norm, 0, 0)[1] > 2 * (1 - radius)
    first = 0.3 - norm if turns else 0.3 + norm
    np.testing.assert_allclose(shown[0], earned(norm, first, q)[0], atol=1e-13)
    np.testing.assert_allclose(shown[1], earned(norm, 0.3 + norm, q)[0], atol=1e-13)
    # The tabular learner's adversary, pair by pair, is as strong.
    shares = np.zeros((3, 80))
    shares[0] = radius * model.features[:, :, linear_runs.PAYING].ravel()
    pairs = LinearMDP.from_tabular(model.to_tabular(), model.fail_state)
    table = plan(RobustLinearMDP(pairs, TotalVariation(shares)))
    assert table.values[0, 0] == pytest.approx(plan(robust).values[0, 0], abs=1e-12)


def test_off_dynamics_shows_learners_between_what_is_possible(draw):
    rows = draw("off_dynamics", runs=3, xi=[0.1, 0.3], radii=[0.1, 0.5], perturbations=3)
    names = {online.NOMINAL, online.ROBUST, online.LSVI, online.DR, online.UCB_VI}
    names |= {f"{name}{end}" for name in online.RPO.values() for end in ("", online.THEORY)}
    assert {row["algorithm"] for row in rows} == names | {online.DR_THEORY}
    for row in rows:
        weights = np.array([0.3 - row["xi"], 0.3 + row["xi"]])
        best = earned(row["xi"], weights, row["perturbation"])[0].max()
        assert row["reward_high"] <= best + 1e-12
        if row["algorithm"] == online.LSVI:
            assert row["gain"] == row["gain_low"] == row["gain_high"] == 0.0


def test_verdicts_follow_gain_and_loss():
    worst = {"gain": 0.2, "gain_low": 0.1}
    assert online.judge(worst, {"gain": -0.1}) == online.HOLDS
    assert online.judge(worst, {"gain": -0.3}) == online.DEAR
    assert online.judge(worst | {"gain_low": -0.1}, {"gain": -0.1}) == online.LOST


def test_findings_on_off_dynamics_turn_with_the_data(draw):
    rows = draw("off_dynamics", runs=2, xi=[0.2], radii=[0.3], perturbations=2)
    said = []
    for gain in (0.2, -0.2):
        sign = [row | {"gain": gain * (2 * row["perturbation"] - 1) / (2 - row["perturbation"]),
                       "gain_low": gain / 2} for row in rows]  # fmt: skip
        said.append(online.findings(sign))
    assert f"{online.DR}: {online.HOLDS} at 0.2/0.3" in said[0]
    assert f"{online.DR}: {online.LOST} at 0.2/0.3" in said[1]
    # 2 (1 - 0.3) exceeds what onward is worth: planned exactly nothing changes.
    assert "changes what is earned at none only" in said[0]


@pytest.mark.slow
def test_a_put_is_worth_most_to_who_knows_the_market(draw):
    rows = draw("put_robustness", runs=2, step=0.35, dimensions=[20], bonuses=[1.0])
    rises = sorted({row["rise"] for row in rows})
    assert rises == [0.15, 0.5, 0.85]
    for row in rows:
        (best,) = column(rows, "reward", algorithm=put.BEST, rise=row["rise"])
        assert 0 <= row["reward"] <= best + 1e-12
    (nominal,), (best,) = (
        column(rows, "reward", algorithm=name, rise=0.5) for name in (put.NOMINAL, put.BEST)
    )
    assert nominal == pytest.approx(best, abs=1e-12)
    assert column(rows, "gain", algorithm=put.LSVI).max() == 0.0
    # Payments of up to 22, as the caption has it.
    assert 22 < american_put(starts=[95.0]).rewards.max() < 23
    assert "a gain for d = 20" in put.findings([row | {"gain_low": 0.1} for row in rows])
    assert "a gain for no d" in put.findings([row | {"gain_low": -0.1} for row in rows])


@given(
    st.lists(st.floats(-0.5, 3.5), min_size=1, max_size=5),
    st.data(),
    st.floats(0.05, 2.0),
)
def test_the_least_dual_is_least(values, data, penalty):
    weights = np.array([data.draw(st.floats(-1, 1)) for _ in values])
    v = np.array(values)
    least = offline._least(v, weights, penalty, 3.0)
    grid = np.linspace(0, 3, 3001)
    capped = np.minimum(v[:, None], grid)
    mean, square = weights @ capped, weights @ capped**2
    dual = mean + (mean**2 - square) / (4 * penalty)
    mass = np.abs(weights).sum()
    # Its slope: of the mean at most `mass`, of its square 2 * 3.5 mass^2, of the squares 7 mass.
    slope = mass + (7 * mass**2 + 7 * mass) / (4 * penalty)
    assert dual.min() - slope * 1e-3 - 1e-9 <= least <= dual.min() + 1e-9


def test_the_published_dual_is_never_above_zero_and_its_policy_is_that_of_loops():
    model, ridge, penalty = off_dynamics(xi_norm=0.2), 0.1, 0.1
    sample = collect(model, episodes=30, seed=3)
    policy = offline.minimised(model, sample, penalty=penalty, ridge=ridge)
    x, grid = model.features, np.linspace(0, 3, 3001)
    worth = np.zeros(5)
    for h in (2, 1, 0):
        design, nu = ridge * np.eye(4), np.zeros(4)
        visits = [x[s, a] for s, a in zip(sample.states[:, h], sample.actions[:, h], strict=True)]
        for visit in visits:
            design += np.outer(visit, visit)
        inverse = np.linalg.inv(design)
        if h < 2:
            mean, square = np.zeros((2, 4, len(grid)))
            for visit, following in zip(visits, sample.states[:, h + 1], strict=True):
                capped = np.minimum(worth[following], grid)
                mean += np.outer(inverse @ visit, capped)
                square += np.outer(inverse @ visit, capped**2)
            nu = (mean + (mean**2 - square) / (4 * penalty)).min(axis=1)
            assert nu.max() <= 0
        q = np.empty((5, 16))
        for s, a in product(range(5), range(16)):
            spread = np.sqrt(sum(x[s, a, i] ** 2 * inverse[i, i] for i in range(4)))
            q[s, a] = min(model.rewards[h, s, a] + x[s, a] @ nu - spread, 3 - h)
        worth = q.max(axis=1)
        worth[3] = 0.0
        # Actions with the same features tie.
        chosen = (policy[h] * q).sum(axis=1)
        np.testing.assert_allclose(chosen[:3], q.max(axis=1)[:3], atol=2e-3)


def test_penalties_of_total_variation_make_the_first_actions_tie():
    for norm, penalty in product((0.1, 0.2, 0.3), (0.1, 1.0)):
        model = off_dynamics(xi_norm=norm)
        solution = plan(RobustLinearMDP(model, PenalisedTotalVariation(penalty)))
        spread = np.ptp(solution.action_values[0, 0])
        # The slip of the first factor takes up to 0.001 of the cap, weights differ by twice norm.
        assert 0 < spread <= SLIP * penalty * 2 * norm + 1e-12


def test_offline_learners_gain_where_the_rows_say_so(draw):
    rows = draw("offline_robustness", runs=3, xi=[0.3], perturbations=3)
    panels = {row["panel"] for row in rows}
    assert panels == {offline.BALLS, "penalty 0.1", "penalty 1"}
    for row in rows:
        best = earned(row["xi"], np.array([0.0, 0.6]), row["perturbation"])[0].max()
        assert row["reward_high"] <= best + 1e-12
        if row["algorithm"] == offline.PEVI:
            assert row["gain"] == 0.0
    said = offline.findings(rows)
    # By hand: 2 (1 - radius) against 1.44, as in the online figure.
    assert "for DRPVI TV, radius 0.3 at 0.3 and DRPVI TV, radius 0.5 at 0.3 only" in said
    assert "a gain at none" not in offline.findings([row | {"gain_low": 0.1} for row in rows])
