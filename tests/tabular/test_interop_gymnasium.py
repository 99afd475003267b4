"""Gymnasium both ways: tables that round-trip, environments that its own checker passes."""

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import discounted_mdps, episodic_mdps

from rltheory.tabular import DiscountedMDP, EpisodicMDP, policy_iteration, river_swim
from rltheory.tabular.gymnasium_tables import (
    episodic_from_gymnasium,
    from_gymnasium,
    to_gymnasium,
)


def with_end(mdp):
    """The MDP with one more state, which absorbs without reward, and into which each action leads
    with probability 1/4."""
    states, actions = mdp.rewards.shape
    kernel = np.zeros((states + 1, actions, states + 1))
    kernel[:states, :, :states] = mdp.to_dense().transitions * 0.75
    kernel[:states, :, states] = 0.25
    kernel[states, :, states] = 1.0
    rewards = np.vstack([mdp.rewards, np.zeros(actions)])
    kernel[:-1][~mdp.available] = 0.0
    return DiscountedMDP(kernel, rewards, mdp.discount, np.append(mdp.initial, 0.0))


def same(one, two):
    assert one.to_dense().transitions.tobytes() == two.to_dense().transitions.tobytes()
    assert one.rewards.tobytes() == two.rewards.tobytes()
    assert one.initial.tobytes() == two.initial.tobytes()


@given(mdp=discounted_mdps(), ends=st.booleans(), is_sparse=st.booleans())
@settings(max_examples=20, deadline=None)
def test_mdps_come_back_bit_for_bit(mdp, ends, is_sparse):
    model = with_end(mdp) if ends else mdp
    env = to_gymnasium(model.to_sparse() if is_sparse else model)
    back = from_gymnasium(env, discount=model.discount)
    same(back, model)
    assert back.discount == model.discount
    assert to_gymnasium(back).P == env.P


@given(mdp=episodic_mdps(), data=st.data())
@settings(max_examples=15, deadline=None)
def test_finite_horizons_come_back_bit_for_bit(mdp, data):
    if mdp.actions > 1 and data.draw(st.booleans()):
        rewards, kernel = mdp.rewards.copy(), mdp.transitions.copy()
        rewards[0, 0, 0], kernel[0, 0, 0] = -np.inf, 0.0
        mdp = EpisodicMDP(kernel, rewards, mdp.initial)
    env = to_gymnasium(mdp)
    back = episodic_from_gymnasium(env, mdp.horizon)
    for name in ("transitions", "rewards", "initial"):
        assert getattr(back, name).tobytes() == getattr(mdp, name).tobytes()
    assert to_gymnasium(back).P == env.P


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", "Taxi-v4"])
def test_tables_of_toy_text_come_back_in_law(name):
    theirs = gymnasium.make(name).unwrapped
    ours = to_gymnasium(from_gymnasium(theirs))
    assert ours.observation_space.n == theirs.observation_space.n + 1
    for s, actions in theirs.P.items():
        for a, row in actions.items():
            law, paid = {}, 0.0
            for p, following, reward, ends in row:
                key = (int(theirs.observation_space.n) if ends else int(following), bool(ends))
                law[key] = law.get(key, 0.0) + p
                paid += p * reward
            assert {(t, e): p for p, t, _, e in ours.P[s][a]} == pytest.approx(law)
            assert [r for _, _, r, _ in ours.P[s][a]] == pytest.approx([paid] * len(law))


@pytest.mark.parametrize(
    "mdp",
    [
        river_swim(),
        with_end(river_swim()),
        EpisodicMDP.stationary(river_swim().to_dense().transitions, river_swim().rewards, 3),
        from_gymnasium(gymnasium.make("FrozenLake-v1")),
    ],
    ids=["continuing", "ending", "episodic", "frozen_lake"],
)
def test_the_checker_of_gymnasium_passes(mdp):
    # There is nothing to render: without a registered name it could not be made again for that.
    check_env(to_gymnasium(mdp), skip_render_check=True)


def test_episodes_follow_the_law_of_the_mdp():
    rng = np.random.default_rng(0)
    kernel = np.array([[[0.2, 0.3, 0.5], [0, 1, 0]], [[0.6, 0, 0.4], [0, 0, 1]], [[0, 0, 1]] * 2])
    mdp = DiscountedMDP(kernel, [[1, 2], [3, -np.inf], [0, 0]], 0.9, [0.25, 0.75, 0])
    env = to_gymnasium(mdp)
    counts, first, episodes = np.zeros((3, 2, 3)), np.zeros(3), 1500
    state, info = env.reset(seed=1)
    for _ in range(episodes):
        first[state] += 1
        ended = False
        while not ended:
            assert info["action_mask"].tolist() == mdp.available[state].astype(int).tolist()
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            following, reward, ended, cut, info = env.step(action)
            assert (reward, cut, ended) == (mdp.rewards[state, action], False, following == 2)
            counts[state, action, following] += 1
            state = following
        state, info = env.reset()
    assert np.all(counts[kernel == 0] == 0)
    for observed, expected in [(first, mdp.initial), (counts[0, 0], kernel[0, 0])]:
        # Five standard deviations: one run in a million or so would fall outside.
        spread = 5 * np.sqrt(observed.sum() * expected * (1 - expected))
        assert np.all(np.abs(observed - observed.sum() * expected) <= spread + 1e-9)


def test_a_policy_earns_its_value_in_the_environment():
    mdp = from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=False), discount=0.9)
    solution = policy_iteration(mdp)
    env = to_gymnasium(mdp)
    state, _ = env.reset(seed=0)
    total, scale, ended = 0.0, 1.0, False
    while not ended:
        state, reward, ended, _, _ = env.step(int(solution.policy[state].argmax()))
        total, scale = total + scale * reward, 0.9 * scale
    assert total == pytest.approx(float(mdp.initial @ solution.values), abs=1e-12)


def test_the_same_seed_gives_the_same_episode():
    def episode(seed):
        env = to_gymnasium(river_swim())
        out = [env.reset(seed=seed)[0]]
        return out + [env.step(1)[0] for _ in range(30)]

    assert episode(3) == episode(3)
    assert len({tuple(episode(seed)) for seed in range(5)}) > 1


def test_a_last_state_that_pays_starts_or_moves_is_no_end():
    ending = with_end(river_swim())
    rewards, initial, kernel = (
        np.array(x) for x in (ending.rewards, ending.initial, ending.transitions)
    )
    rewards[-1, 0] = 1.0
    initial[[0, -1]] = initial[[0, -1]].sum() / 2
    kernel[-1, 0, [0, -1]] = 0.5
    for change in ({"rewards": rewards}, {"initial": initial}, {"transitions": kernel}):
        model = ending.replace(**change)
        env = to_gymnasium(model)
        assert not any(e for acts in env.P.values() for row in acts.values() for *_, e in row)
        same(from_gymnasium(env), model)


def test_what_does_not_fit_is_refused_by_name():
    env = to_gymnasium(river_swim())
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(0)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action is 2; expected one of .* state 0, \[0, 1\]"):
        env.step(2)
    with pytest.raises(TypeError, match="mdp is 'x'"):
        to_gymnasium("x")
    with pytest.raises(ValueError, match="env has 6 states; expected a multiple of 4"):
        episodic_from_gymnasium(env, 3)
    with pytest.raises(ValueError, match="env goes from state 0 to 0; expected a state of step 1"):
        episodic_from_gymnasium(env, 2)
    with pytest.raises(TypeError, match="no transition table"):
        episodic_from_gymnasium(object(), 2)


def test_without_gymnasium_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    monkeypatch.delitem(sys.modules, "rltheory.tabular.gymnasium_env", raising=False)
    with pytest.raises(ImportError, match=r"install rltheory\[interop\]"):
        to_gymnasium(river_swim())
