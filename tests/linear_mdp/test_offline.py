"""PEVI, DRPVI and R2PVI against implementations that work everything out anew."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsvi_reference import Plain, random_model

from rltheory.linear_mdp import memory
from rltheory.linear_mdp.environments.american_put import american_put
from rltheory.linear_mdp.feature_mdp import FeatureMDP
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.offline import (
    Dataset,
    collect,
    drpvi,
    pevi,
    r2pvi,
    run_offline,
    summarise,
)
from rltheory.linear_mdp.online import dr_rpo
from rltheory.linear_mdp.planning import plan
from rltheory.linear_mdp.rules import Settings
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.uncertainty import (
    ChiSquare,
    KullbackLeibler,
    PenalisedChiSquare,
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)

SEEDS = st.integers(0, 2**32)
PENALISED = (PenalisedTotalVariation(0.5), PenalisedKullbackLeibler(0.7), PenalisedChiSquare(0.5))
BALLS = (TotalVariation(0.2), ChiSquare(0.3), *PENALISED)
CLOSE = {"rtol": 0.0, "atol": 1e-9}
SOUGHT = {"rtol": 0.0, "atol": 1e-7}
"""The reference finds the maximum over alpha of chi-square duals on a grid, refined where it is
highest; at a smooth maximum it is off by the square of the refinement, 1e-12, at others by that."""


def estimated(model: LinearMDP, data: Dataset, **settings: Any) -> Plain:
    """Return what the plain implementation makes of a dataset, the bonus taken off."""
    plain = Plain(model, **settings)
    plain.bonus = -plain.bonus
    for states, actions, rewards in zip(data.states, data.actions, data.rewards, strict=True):
        for h, (s, a, r) in enumerate(zip(states[:-1], actions, rewards, strict=True)):
            plain.visits[h].append((int(s), int(a), float(r), int(states[h + 1])))
    plain.estimate()
    return plain


@settings(max_examples=15)
@given(SEEDS, st.booleans(), st.integers(1, 40), st.booleans())
def test_pevi_is_the_algorithm_of_the_paper(
    seed: int, fails: bool, episodes: int, known: bool
) -> None:
    model = random_model(seed, fails=fails)
    data = collect(model, episodes=episodes, seed=seed)
    learnt = pevi(model, data, bonus=0.2, ridge=0.3, known_rewards=known)
    plain = estimated(model, data, bonus=0.2, form="elliptical", known=known, ridge=0.3)
    np.testing.assert_allclose(learnt.action_values, plain.action_values, **CLOSE)


@settings(max_examples=15)
@given(SEEDS, st.booleans(), st.integers(1, 40), st.sampled_from(BALLS))
def test_drpvi_is_the_algorithm_of_the_paper(
    seed: int, fails: bool, episodes: int, ball: Any
) -> None:
    model = random_model(seed, fails=fails)
    data = collect(model, episodes=episodes, seed=seed)
    learnt = drpvi(RobustLinearMDP(model, ball), data, bonus=0.1, ridge=0.3)
    plain = estimated(model, data, ball=ball, bonus=0.1, form="factors", known=True, ridge=0.3)
    sought = isinstance(ball, ChiSquare | PenalisedChiSquare)
    close = SOUGHT if sought else CLOSE
    np.testing.assert_allclose(learnt.action_values, plain.action_values, **close)


@pytest.mark.parametrize("ball", PENALISED, ids=lambda ball: type(ball).__name__)
def test_r2pvi_is_drpvi_of_a_penalised_set(ball: Any) -> None:
    model = random_model(3, fails=True)
    data = collect(model, episodes=20, seed=0)
    one = r2pvi(RobustLinearMDP(model, ball), data, bonus=0.1)
    other = drpvi(model, data, bonus=0.1, uncertainty=ball)
    np.testing.assert_array_equal(one.action_values, other.action_values)


@settings(max_examples=10)
@given(SEEDS, st.booleans(), st.sampled_from([*BALLS, KullbackLeibler(0.2)]))
def test_infinitely_many_data_give_exact_plans(seed: int, fails: bool, ball: Any) -> None:
    nominal = random_model(seed, fails=fails)
    model = RobustLinearMDP(nominal, ball)
    learnt = drpvi(model, memory.population(nominal), bonus=0.0)
    exact = plan(model)
    np.testing.assert_allclose(learnt.action_values, exact.action_values, rtol=0.0, atol=1e-8)


@settings(max_examples=10)
@given(SEEDS, st.booleans())
def test_little_temperature_is_greedy_where_actions_differ(seed: int, fails: bool) -> None:
    model = RobustLinearMDP(random_model(seed, fails=fails), TotalVariation(0.2))
    data = memory.population(model.nominal)
    plain: dict[str, Any] = {"name": "", "bonus": 0.0, "bonus_form": "none", "known_rewards": True}
    greedy = run_offline(model, Settings(**plain), data)
    cold = run_offline(model, Settings(temperature=1e-9, **plain), data)
    # Values change by at most H temperature log A; gaps above 1e-6 leave others exp(-1e2) at most.
    np.testing.assert_allclose(cold.action_values, greedy.action_values, rtol=0.0, atol=1e-8)
    ordered = np.sort(greedy.action_values, axis=-1)
    clear = ordered[..., -1] - ordered[..., -2] > 1e-6
    assert clear.any()
    np.testing.assert_allclose(cold.policy[clear], greedy.policy[clear], rtol=0.0, atol=1e-40)


@settings(max_examples=10)
@given(SEEDS, st.booleans())
def test_pessimism_is_worth_less(seed: int, fails: bool) -> None:
    """Larger penalties never raise the last step's estimate; before it, weights may be negative."""
    model = RobustLinearMDP(random_model(seed, fails=fails), TotalVariation(0.2))
    data = collect(model, episodes=30, seed=seed)
    cautious, bold = (drpvi(model, data, bonus=bonus).action_values for bonus in (0.3, 0.0))
    assert np.all(cautious[-1] <= bold[-1] + 1e-12)


@settings(max_examples=10)
@given(SEEDS)
def test_data_are_visits_of_the_policy(seed: int) -> None:
    model = random_model(seed, fails=True)
    actions = np.random.default_rng(seed).integers(3, size=(3, 4))
    data = collect(model, actions, episodes=50, seed=seed)
    again = collect(model, actions, episodes=50, seed=np.random.default_rng(seed))
    np.testing.assert_array_equal(data.states, again.states)
    for h in range(3):
        states, chosen = data.states[:, h], data.actions[:, h]
        np.testing.assert_array_equal(chosen, actions[h, states])
        np.testing.assert_array_equal(data.rewards[:, h], model.rewards[h, states, chosen])
        assert np.all(model.kernel(h)[states, chosen, data.states[:, h + 1]] > 0)


@pytest.mark.parametrize("kind", ["factors", "rows", "features"])
def test_data_have_the_frequencies_of_the_kernel(kind: str) -> None:
    """Chi-square statistics of next states, each of which is far above its mean once in 1e9."""
    model: Any = random_model(2, fails=False)
    mdp = model.to_tabular()
    if kind == "rows":
        # Rotated factors are no distributions: next states are drawn from the pair's row.
        turn = np.eye(3) + 0.3 * np.roll(np.eye(3), 1, axis=1)
        model = model.replace(
            features=model.features @ turn,
            measures=np.linalg.solve(turn, model.measures),
            reward_weights=model.reward_weights @ np.linalg.inv(turn).T,
        )
        assert not model.simplex
    if kind == "features":
        model = FeatureMDP(mdp, model.features)
    data = collect(model, episodes=40_000, seed=7)
    for h in range(3):
        counts = np.zeros((4, 3, 4))
        visits = (data.states[:, h], data.actions[:, h], data.states[:, h + 1])
        np.add.at(counts, visits, 1)
        expected = mdp.transitions[h] * counts.sum(axis=-1, keepdims=True)
        statistic = ((counts - expected) ** 2 / expected).sum()
        # 36 degrees of freedom: the tail beyond 36 + 2 (36 t)^(1/2) + 2 t is below exp(-t).
        assert statistic <= 36 + 2 * np.sqrt(36 * 21) + 2 * 21


def test_sums_of_a_dataset_are_those_of_its_visits() -> None:
    model = random_model(1, fails=False)
    data = collect(model, episodes=10, seed=0)
    kept = summarise(model, data, ridge=0.5, norms=True)
    for h in range(3):
        x = model.features[data.states[:, h], data.actions[:, h]]
        inverse = np.linalg.inv(0.5 * np.eye(3) + x.T @ x)
        np.testing.assert_allclose(kept.inverse[h], inverse, rtol=1e-12)
        widths = np.einsum("sai,ij,saj->sa", model.features, inverse, model.features)
        np.testing.assert_allclose(kept.norms[h], widths, rtol=1e-12)
        np.testing.assert_allclose(kept.weights[h], kept.cross[h] @ inverse, atol=1e-14)


@settings(max_examples=10)
@given(SEEDS, st.booleans(), st.sampled_from(BALLS))
def test_features_of_a_tabular_model_are_learnt_alike(seed: int, fails: bool, ball: Any) -> None:
    linear = random_model(seed, fails=fails)
    feature = FeatureMDP(linear.to_tabular(), linear.features, linear.fail_state)
    data = collect(feature, episodes=20, seed=seed)
    one, other = (drpvi(model, data, uncertainty=ball) for model in (linear, feature))
    np.testing.assert_allclose(one.action_values, other.action_values, **CLOSE)


def test_curves_of_feature_models_are_of_plain_values() -> None:
    """Also where an algorithm reckons with an adversary: there are no factors to move."""
    model = american_put(dimension=10, horizon=4)
    curve = dr_rpo(model, uncertainty=TotalVariation(0.5), episodes=20, seed=0)
    last = backward_induction(model.mdp, policy=curve.learnt.policy).values[0] @ model.initial
    most = backward_induction(model.mdp).values[0] @ model.initial
    assert curve.values.lower[-1] <= last <= curve.values.upper[-1]
    assert curve.optimum.lower <= most <= curve.optimum.upper
    assert last < most
