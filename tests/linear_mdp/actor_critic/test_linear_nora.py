"""NORA with linear features against ridge regression written down, its bound and its regret."""

from typing import Any

import numpy as np
import pytest
from actor_critic_reference import value_of
from lsvi_reference import draws_of, random_model

from rltheory.linear_mdp import LinearMDP, load
from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.rules import world_of
from rltheory.linear_mdp.simulation import follow


@pytest.mark.parametrize("seed", range(3))
def test_the_last_step_of_a_critic_is_its_bonus_and_designs_have_doubled(seed: int) -> None:
    model = random_model(seed, fails=False)
    mdp = model.to_tabular()
    run = linear_nora(model, episodes=40, bonus=0.2, step=0.5, seed=seed)
    assert run.switches[0] == 0
    assert len(run.switches) >= 2
    # A run that ends where the last critic was fitted has seen what that critic saw.
    last = int(run.switches[-1])
    before = linear_nora(model, episodes=last, bonus=0.2, step=0.5, seed=seed)
    design = [
        np.eye(3) + np.einsum("sa,sai,saj->ij", before.visits[h], model.features, model.features)
        for h in range(mdp.horizon)
    ]
    h = mdp.horizon - 1
    width = np.sqrt(
        np.einsum("sai,ij,saj->sa", model.features, np.linalg.inv(design[h]), model.features)
    )
    expected = np.clip(mdp.rewards[h] + 0.2 * width, 0.0, model.ceilings[h])
    np.testing.assert_allclose(run.action_values[h], expected, rtol=1e-9, atol=1e-12)
    # The design of some step has doubled since the switch before.
    earlier = linear_nora(model, episodes=int(run.switches[-2]), bonus=0.2, step=0.5, seed=seed)
    if run.switches[-2] > 0:
        grown = [
            np.linalg.slogdet(design[h])[1]
            - np.linalg.slogdet(
                np.eye(3)
                + np.einsum("sa,sai,saj->ij", earlier.visits[h], model.features, model.features)
            )[1]
            for h in range(mdp.horizon)
        ]
        assert max(grown) > np.log(2.0)


@pytest.mark.parametrize("seed", range(3))
def test_the_actor_follows_its_critic_from_uniform_and_switches_are_few(seed: int) -> None:
    model = random_model(seed, fails=False)
    run = linear_nora(model, episodes=300, step=0.05, seed=seed)
    steps = 300 - int(run.switches[-1])
    weights = np.exp(0.05 * steps * run.action_values)
    np.testing.assert_allclose(run.policy, weights / weights.sum(-1, keepdims=True), rtol=1e-9)
    d, H = 3, model.horizon
    most = np.square(model.features).sum(-1).max()
    assert run.bound == pytest.approx(1 + H * d * np.log2(1 + 300 * most / d))
    assert 2 <= len(run.switches) <= run.bound
    uniform = value_of(model.to_tabular(), np.full(run.policy.shape, 1 / model.actions))
    np.testing.assert_allclose(run.values[run.switches], uniform, rtol=1e-12)


def test_optimism_opens_a_lock_of_linear_features() -> None:
    lock = load("linear_lock", length=5, actions=4, seed=1)
    assert isinstance(lock, LinearMDP)
    found = linear_nora(lock, bonus=0.5, step=5.0, episodes=1000, seed=0)
    blind = linear_nora(lock, bonus=0.0, step=5.0, episodes=1000, seed=0)
    assert found.suboptimality[-1] < 0.05
    assert blind.regret[-1] > 0.89 * 1000
    assert found.regret[-1] < 0.2 * blind.regret[-1]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model is 3; expected a LinearMDP"),
        ({"growth": 1.0}, ValueError, "growth is 1.0"),
        ({"step": -1.0}, ValueError, "step is -1.0"),
        ({"bonus": -1.0}, ValueError, "bonus is -1.0"),
        ({"ridge": 0.0}, ValueError, "ridge is 0"),
        ({"episodes": 0}, ValueError, "episodes is 0"),
        ({"reset": 2}, TypeError, "reset is 2"),
    ],
)
def test_linear_nora_refuses(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"model": random_model(0, fails=False), "episodes": 3, "seed": 0}
    with pytest.raises(error, match=message):
        linear_nora(**(given | change))


@pytest.mark.parametrize("seed", range(2))
def test_a_critic_is_the_ridge_regression_of_its_own_next_values(seed: int) -> None:
    # Fitted before every episode and reset each time, the policy played is uniform throughout.
    model = random_model(seed, fails=False)
    mdp = model.to_tabular()
    run = linear_nora(model, episodes=30, bonus=0.3, growth=1.0 + 1e-6, seed=seed)
    assert len(run.switches) == 30
    uniform = np.full(mdp.rewards.shape, 1 / mdp.actions)
    states, actions = np.zeros((30, mdp.horizon + 1), int), np.zeros((30, mdp.horizon), int)
    follow(world_of(model), uniform, draws_of(seed, 30, mdp.horizon), states, actions)
    later = np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        # The last critic was fitted before the last episode.
        x = model.features[states[:29, h], actions[:29, h]]
        design = x.T @ x + np.eye(3)
        weights = np.linalg.solve(design, x.T @ later[states[:29, h + 1]])
        inverse = np.linalg.inv(design)
        width = np.sqrt(np.einsum("sai,ij,saj->sa", model.features, inverse, model.features))
        q = mdp.rewards[h] + model.features @ weights + 0.3 * width
        q = np.clip(q, 0.0, model.ceilings[h])
        np.testing.assert_allclose(run.action_values[h], q, rtol=1e-9, atol=1e-12)
        later = q.max(axis=1)
