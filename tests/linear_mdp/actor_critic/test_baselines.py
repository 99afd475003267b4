"""The rivals of actor-critics against a plain learner, and LSVI-UCB against the linear learner."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from actor_critic_reference import Plain, random_world, uniforms
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.actor_critic.baselines import (
    optimistic_npg,
    q_learning_ucb,
    q_learning_ucb_b,
    rare_ucbvi,
    tabular_lsvi_ucb,
    ucbvi,
)
from rltheory.linear_mdp.actor_critic.runs import ActorCriticRun
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.tabular import EpisodicMDP

RIVALS: dict[str, Callable[..., ActorCriticRun]] = {
    "UCBVI-CH": ucbvi,
    "UCBVI-B": partial(ucbvi, bonus="bernstein"),
    "UCBVI-BF": partial(ucbvi, bonus="freedman", scale=0.01),
    "rare": rare_ucbvi,
    "rare, counts": partial(rare_ucbvi, switch="counts"),
    "LSVI-UCB": tabular_lsvi_ucb,
    "Q-learning": q_learning_ucb,
    "Q-learning, no optimism": partial(q_learning_ucb, optimism=False),
    "UCB-B": partial(q_learning_ucb_b, scale=0.3),
    "UCB-B, variances": partial(q_learning_ucb_b, scale=0.3, minor=1e-3),
    "UCB-B, variances alone": partial(q_learning_ucb_b, scale=0.3, minor=0.0),
    "NPG": partial(optimistic_npg, batch=5, rounds=3),
}


@settings(max_examples=20)
@given(st.sampled_from(list(RIVALS)), st.integers(0, 2**32), st.integers(1, 60), st.booleans())
def test_compiled_runs_are_those_of_a_plain_learner(
    name: str, seed: int, episodes: int, sparse: bool
) -> None:
    mdp = random_world(seed, sparse=sparse)
    run = RIVALS[name](mdp, episodes=episodes, seed=seed)
    plain = Plain(mdp, run.settings, episodes, run.settings.step or 0.0)
    values, returns, switches = plain.run(uniforms(seed, episodes, mdp.horizon))
    np.testing.assert_allclose(run.values, values, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run.returns, returns, rtol=1e-12)
    np.testing.assert_array_equal(run.switches, switches)
    met = plain.reached()
    np.testing.assert_allclose(run.action_values[met], plain.q[met], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("minor", [0.0, 1e-3, 0.05, 1.0])
@pytest.mark.parametrize("visits", [1, 2, 7, 300])
def test_bonuses_by_variance_add_up_to_half_a_width(minor: float, visits: int) -> None:
    # One pair a step, nothing random: the target is r + C each time, and Q exceeds it by beta / 2.
    mdp = EpisodicMDP(np.ones((2, 1, 1, 1)), np.array([[[0.25]], [[0.5]]]))
    run = q_learning_ucb_b(mdp, scale=0.7, minor=minor, confidence=0.1, episodes=visits, seed=0)
    log = np.log(5 * 2 * visits / 0.1)
    narrow = 0.5 * (np.sqrt(log / visits) + minor * np.sqrt(2**5) * log / visits)
    beta = 0.7 * min(narrow, 0.5 * np.sqrt(2 * log / visits))
    np.testing.assert_allclose(run.action_values[:, 0, 0], [0.75 + beta / 2, 0.5], rtol=1e-12)


def test_at_the_scale_of_theory_variances_do_not_tell_in_short_runs() -> None:
    # The minor term alone exceeds the bound without variances until n is near H^4 S A L.
    mdp = random_world(0, sparse=False)
    given: dict[str, Any] = {"scale": 0.2, "episodes": 3000, "seed": 0}
    as_published, wide, narrow = (
        q_learning_ucb_b(mdp, minor=minor, **given) for minor in (1.0, 1e6, 0.0)
    )
    assert mdp.horizon**4 * mdp.states * mdp.actions > 3000
    np.testing.assert_array_equal(as_published.values, wide.values)
    assert narrow.promises[-1] < as_published.promises[-1]


def test_lsvi_ucb_is_ridge_regression_on_one_hot_features() -> None:
    mdp = random_world(3, sparse=False)
    run = tabular_lsvi_ucb(mdp, episodes=41, seed=0, scale=0.2)
    plain = Plain(mdp, run.settings, 41, 0.0)
    plain.run(uniforms(0, 41, mdp.horizon))
    S, A = mdp.states, mdp.actions
    width = S * A
    later = np.zeros(S)
    for h in reversed(range(mdp.horizon)):
        # The last refresh came before the last episode.
        rows = plain.data[h][:-1]
        x = np.zeros((len(rows), width))
        for k, (s, a, _) in enumerate(rows):
            x[k, s * A + a] = 1.0
        design = x.T @ x + np.eye(width)
        weights = np.linalg.solve(design, x.T @ [later[y] for *_, y in rows])
        widths = np.sqrt(np.diag(np.linalg.inv(design)))
        ceiling = float(sum(mdp.rewards[g].max() for g in range(h + 1, mdp.horizon)))
        bonus = 0.2 * ceiling * np.sqrt(plain.L) * widths
        ahead = np.clip(weights + bonus, 0.0, ceiling).reshape(S, A)
        q = mdp.rewards[h] + ahead
        np.testing.assert_allclose(run.action_values[h], q, rtol=1e-9, atol=1e-12)
        later = q.max(axis=1)


@pytest.mark.parametrize("name", ["UCBVI-CH", "rare, counts", "LSVI-UCB", "Q-learning", "UCB-B"])
def test_optimistic_rivals_open_the_lock(name: str) -> None:
    lock = two_thread_lock(5, 3, seed=4, distractor=0.1)
    scale = {"Q-learning": 0.02, "UCB-B": 0.04}.get(name, 0.1)
    run = RIVALS[name](lock, scale=scale, episodes=6000, seed=0)
    assert run.suboptimality[-500:].mean() < 0.02


def test_without_a_bonus_q_learning_takes_what_tempts() -> None:
    lock = two_thread_lock(5, 3, seed=4, distractor=0.1)
    run = q_learning_ucb(lock, optimism=False, episodes=2000, seed=0)
    np.testing.assert_allclose(run.regret, 0.9 * np.arange(1, 2001), rtol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(ucbvi, bonus="wide"), "bonus is 'wide'"),
        (partial(rare_ucbvi, switch="never"), "switch is 'never'"),
        (partial(tabular_lsvi_ucb, ridge=-1.0), "ridge is -1.0"),
        (partial(q_learning_ucb, scale=np.nan), "scale is nan"),
        (partial(q_learning_ucb_b, minor=-1.0), "minor is -1.0"),
        (partial(q_learning_ucb_b, minor=np.nan), "minor is nan"),
        (partial(q_learning_ucb_b, confidence=2.0), "confidence is 2.0"),
        (partial(optimistic_npg, rounds=-2), "rounds is -2"),
        (partial(optimistic_npg, batch=0), "threshold is 0"),
    ],
)
def test_rivals_refuse(make: Callable[..., ActorCriticRun], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(random_world(0), episodes=5, seed=0)
