"""Actor-critics against a plain learner on lists, their identities, and what controls lose."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from actor_critic_reference import Plain, random_world, uniforms, value_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.actor_critic.baselines import rare_ucbvi
from rltheory.linear_mdp.actor_critic.douhua import douhua, douhua_settings
from rltheory.linear_mdp.actor_critic.nora import nora, nora_settings
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun, optimal_value, run_actor_critic
from rltheory.linear_mdp.actor_critic.settings import THRESHOLDS, Settings, theory_step
from rltheory.linear_mdp.actor_critic.world import live_pairs, world_of
from rltheory.linear_mdp.environments.actor_critic_worlds import (
    block_game,
    episodic_river,
    needle,
    two_thread_lock,
)
from rltheory.tabular import EpisodicMDP, backward_induction

ACTORS: dict[str, Settings] = {
    "residual": nora_settings(step=0.7),
    "residual, strict": nora_settings(step=0.7, threshold=1.2, scale=0.05),
    "determinant": nora_settings(switch="determinant"),
    "counts": nora_settings(switch="counts", bonus="bernstein"),
    "no optimism": nora_settings(optimism=False, step=2.0),
    "no reset": nora_settings(reset=False, step=0.2, switch="counts"),
    "douhua": douhua_settings(step=0.5),
    "douhua, theory": douhua_settings(bonus="freedman", scale=0.01),
    "douhua, rare": douhua_settings(period=7),
}


@settings(max_examples=20)
@given(st.sampled_from(list(ACTORS)), st.integers(0, 2**32), st.integers(1, 80), st.booleans())
def test_compiled_runs_are_those_of_a_plain_learner(
    name: str, seed: int, episodes: int, sparse: bool
) -> None:
    mdp = random_world(seed, sparse=sparse)
    agree(mdp, ACTORS[name], episodes, seed)


def agree(mdp: EpisodicMDP, rule: Settings, episodes: int, seed: int) -> None:
    """Assert that a run is that of the plain learner on the same random numbers."""
    step = rule.step
    if step is None:
        step = theory_step(rule, world_of(mdp), episodes)
    plain = Plain(mdp, rule, episodes, step)
    values, returns, switches = plain.run(uniforms(seed, episodes, mdp.horizon))
    run = run_actor_critic(mdp, rule, episodes=episodes, seed=seed)
    np.testing.assert_allclose(run.values, values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run.returns, returns, rtol=1e-12)
    if rule.switch != "steps":
        np.testing.assert_array_equal(run.switches, switches)
    met = plain.reached()
    np.testing.assert_allclose(run.action_values[met], plain.q[met], rtol=1e-9, atol=1e-9)
    assert run.optimum == pytest.approx(best_value(mdp), rel=1e-12)


def best_value(mdp: EpisodicMDP) -> float:
    """Return the optimal value by plain recursion."""
    v = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        v = (mdp.rewards[h] + mdp.transitions[h] @ v).max(axis=1)
    return float(mdp.initial @ v)


@settings(max_examples=12)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_the_promise_less_the_value_is_tracking_plus_bellman_error(
    seed: int, episodes: int
) -> None:
    # max f_1 - V^pi = sum_h E_pi[max f_h - <f_h, pi_h>] + sum_h E_pi[f_h - T f_{h+1}].
    mdp = random_world(seed)
    run = nora(mdp, episodes=episodes, seed=seed, step=0.3)
    f, pi = np.array(run.action_values), np.array(run.policy)
    at, total = np.array(mdp.initial), 0.0
    for h in range(mdp.horizon):
        later = f[h + 1].max(axis=-1) if h + 1 < mdp.horizon else np.zeros(mdp.states)
        backed = mdp.rewards[h] + mdp.transitions[h] @ later
        tracking = f[h].max(axis=-1) - (pi[h] * f[h]).sum(axis=-1)
        error = (pi[h] * (f[h] - backed)).sum(axis=-1)
        total += float(at @ (tracking + error))
        at = np.einsum("sa,sat->t", at[:, None] * pi[h], mdp.transitions[h])
    promised = float(mdp.initial @ f[0].max(axis=-1))
    np.testing.assert_allclose(promised - value_of(mdp, pi), total, atol=1e-10)


@pytest.mark.parametrize("switch", ["counts", "determinant"])
@pytest.mark.parametrize("make", [nora, rare_ucbvi])
@pytest.mark.parametrize("seed", range(3))
def test_switches_stay_within_their_bound(
    switch: str, make: Callable[..., ActorCriticRun], seed: int
) -> None:
    mdp = random_world(seed, states=3)
    run = make(mdp, switch=switch, episodes=5000, seed=seed)
    pairs = live_pairs(world_of(mdp)).astype(float)
    factor = THRESHOLDS[switch]
    if switch == "counts":
        bound = 1 + (pairs * (1 + np.log2(5000))).sum()
    else:
        bound = 1 + (pairs * np.log1p(5000 / pairs)).sum() / factor
    assert run.bound == pytest.approx(bound)
    assert 2 <= len(run.switches) <= bound
    assert len(run.switches) < 5000


@pytest.mark.parametrize("seed", range(4))
def test_between_switches_the_actor_nears_the_greedy_policy_of_its_critic(seed: int) -> None:
    # After j steps on one critic the gap is at most log(A) / (j eta) at every state.
    mdp = random_world(seed, sparse=False)
    run = nora(mdp, switch="period", threshold=10_000, step=0.05, episodes=400, seed=seed)
    gap = run.action_values.max(axis=-1) - (run.policy * run.action_values).sum(axis=-1)
    assert list(run.switches) == [0]
    assert (gap <= np.log(mdp.actions) / (400 * 0.05) + 1e-12).all()


def test_optimism_holds_and_the_policy_becomes_the_best() -> None:
    mdp = random_world(5, states=3, actions=2, horizon=3)
    for run in (
        nora(mdp, scale=1.0, episodes=4000, seed=0),
        nora(mdp, scale=1.0, switch="counts", episodes=4000, seed=0),
    ):
        assert (run.promises >= run.optimum - 1e-12).all()
    met = Plain(mdp, ACTORS["counts"], 1, 1.0).reached()
    q = backward_induction(mdp).action_values
    assert (run.action_values[met] >= q[met] - 1e-12).all()
    late = nora(mdp, scale=0.1, switch="counts", episodes=20_000, seed=0)
    assert late.suboptimality[-1] < 0.02 * late.suboptimality[0]


def test_without_optimism_the_lock_stays_shut() -> None:
    lock = two_thread_lock(8, 4, seed=1, distractor=0.1)
    shut = nora(lock, optimism=False, step=5.0, episodes=3000, seed=0)
    open_ = nora(lock, switch="counts", scale=0.1, episodes=3000, seed=0)
    np.testing.assert_allclose(shut.suboptimality[50:], 0.9, atol=1e-3)
    assert open_.suboptimality[-1] < 0.05
    assert open_.regret[-1] < 0.5 * shut.regret[-1]


def test_a_switch_resets_the_policy_to_uniform_and_without_resets_it_goes_on() -> None:
    lock = two_thread_lock(4, 3, seed=2, distractor=0.0)
    keywords = {"switch": "counts", "scale": 0.1, "step": 0.5, "episodes": 2000, "seed": 3}
    runs = [nora(lock, reset=reset, **keywords) for reset in (True, False)]
    uniform = value_of(lock, np.full(lock.rewards.shape, 1 / 3))
    assert len(runs[0].switches) > 5
    np.testing.assert_allclose(runs[0].values[runs[0].switches], uniform, rtol=1e-12)
    assert (runs[1].values[runs[1].switches[5:]] > 2 * uniform).any()


# Environments.


@pytest.mark.parametrize("length", [2, 5])
@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_a_lock_is_worth_what_it_says(length: int, slip: float) -> None:
    lock = two_thread_lock(length, 3, seed=0, distractor=0.1, slip=slip)
    assert lock.states == 3 * length
    assert optimal_value(lock) == pytest.approx((1 - slip) ** (length - 1), rel=1e-12)
    uniform = np.full(lock.rewards.shape, 1 / 3)
    opened = (1 - slip) ** (length - 1) / 3.0**length + 0.1 / 3
    assert value_of(lock, uniform) == pytest.approx(opened, rel=1e-12)


def test_a_needle_loses_its_gap() -> None:
    mdp = needle(4, 5, gap=0.1, horizon=7, seed=0)
    uniform = np.full(mdp.rewards.shape, 1 / 5)
    assert optimal_value(mdp) == pytest.approx(6 * 0.6, rel=1e-12)
    assert optimal_value(mdp) - value_of(mdp, uniform) == pytest.approx(0.1 * 0.8 * 6, rel=1e-12)


def test_a_river_pays_at_most_one_a_step_and_starts_on_the_left() -> None:
    mdp = episodic_river(6, 20)
    assert mdp.rewards.max() == 1.0
    assert mdp.initial[0] == 1.0
    assert 0 < optimal_value(mdp) < 20


def test_blocks_fall_vanish_and_are_lost() -> None:
    mdp = block_game(2, 3)
    # A bar on the floor of two columns fills its row, which vanishes.
    bar = 0 * 3 + 1
    np.testing.assert_allclose(mdp.transitions[0, bar, 0, :3], 1 / 3)
    assert mdp.rewards[0, bar, 0] == 1.0
    # A standing bar (turned once) fills one column: bits 0 and 2, or 1 and 3.
    (after,) = {int(s) // 3 for s in np.flatnonzero(mdp.transitions[0, bar, 1])}
    assert after in (0b0101, 0b1010)
    # Another one on the same column is two rows too high: both rows below are lost.
    again = after * 3 + 1
    lost = {float(mdp.rewards[0, again, a]) for a in (1, 3)}
    assert lost <= {0.0, 1.0}
    assert 0.0 in lost
    assert mdp.transitions[0].sum(axis=-1) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(two_thread_lock, 1, 4, seed=0), "length is 1; expected at least 2"),
        (partial(two_thread_lock, 5, 1, seed=0), "actions is 1; expected at least 2"),
        (partial(two_thread_lock, 5, 3, seed=0, slip=2.0), "slip is 2.0"),
        (partial(two_thread_lock, 5, 3, seed=0, slip=0.9), "distractor is 0.1; expected less"),
        (partial(needle, gap=0.7, seed=0), "gap is 0.7"),
        (partial(needle, gap=0.1, seed=0, horizon=1), "horizon is 1; expected at least 2"),
        (partial(block_game, 7), "width is 7; expected 2, 3 or 4"),
        (partial(episodic_river, 6, 0), "horizon is 0"),
    ],
)
def test_environments_refuse(make: Callable[[], EpisodicMDP], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"switch": "often"}, "switch is 'often'; expected one of period, counts"),
        ({"bonus": "large"}, "bonus is 'large'; expected one of none"),
        ({"scale": -1.0}, "scale is -1.0"),
        ({"step": -1.0}, "step is -1.0"),
        ({"confidence": 0.0}, "confidence is 0.0"),
        ({"switch": "counts", "threshold": 1.0}, "threshold is 1; expected a factor above 1"),
        ({"threshold": 0.0}, "threshold is 0.0"),
    ],
)
def test_nora_refuses(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nora(random_world(0), episodes=5, seed=0, **keywords)


def test_douhua_refuses_no_period() -> None:
    with pytest.raises(ValueError, match="threshold is 0"):
        douhua(random_world(0), period=0, episodes=5, seed=0)
