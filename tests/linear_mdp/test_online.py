"""LSVI-UCB, DR-LSVI-UCB and DR-RPO against implementations that work everything out anew."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsvi_reference import Plain, draws_of, random_model
from scipy.linalg import cho_factor, cho_solve

from rltheory.linear_mdp import memory
from rltheory.linear_mdp.environments.off_dynamics import off_dynamics
from rltheory.linear_mdp.learner import Learner
from rltheory.linear_mdp.mdp import LinearMDP, RobustLinearMDP
from rltheory.linear_mdp.online import dr_lsvi_ucb, dr_rpo, lsvi_ucb
from rltheory.linear_mdp.rules import Settings, split, world_of
from rltheory.linear_mdp.ucb_vi import robust_ucb_vi
from rltheory.tabular.uncertainty import (
    PenalisedKullbackLeibler,
    PenalisedTotalVariation,
    TotalVariation,
)

SEEDS = st.integers(0, 2**32)
BALLS = (TotalVariation(0.2), PenalisedTotalVariation(0.5), PenalisedKullbackLeibler(0.7))

CLOSE = {"rtol": 0.0, "atol": 1e-9}
"""Two ways to solve regressions with a condition number of at most 1e4 differ by far less."""


def uneven_off_dynamics() -> LinearMDP:
    """The off-dynamics MDP with weights under which no two actions are alike.

    Otherwise roundings would choose among the best actions.
    """
    model = off_dynamics()
    pays = 0.3 + np.array(list(product((-1, 1), repeat=4))) @ (0.1 * np.array([8, 4, 2, 1]) / 15)
    features = np.array(model.features)
    for state in range(3):
        features[state, :, state], features[state, :, 3] = 1.0 - pays, pays
    return model.replace(features=features)


def check(curve: Any, plain: Plain, seed: int, episodes: int) -> None:
    """The same trajectories, estimates and policies."""
    horizon = plain.model.horizon
    returns = plain.play(draws_of(seed, episodes, horizon))
    np.testing.assert_allclose(curve.returns, returns, **CLOSE)
    np.testing.assert_allclose(curve.learnt.action_values, plain.action_values, **CLOSE)
    np.testing.assert_allclose(curve.learnt.policy, plain.policy, **CLOSE)


@settings(max_examples=15)
@given(SEEDS, st.booleans(), st.sampled_from(["none", "elliptical", "diagonal"]), st.booleans())
def test_lsvi_ucb_is_the_algorithm_of_the_paper(
    seed: int, fails: bool, form: str, known: bool
) -> None:
    model = random_model(seed, fails=fails)
    curve = lsvi_ucb(
        model, bonus=0.3, bonus_form=form, known_rewards=known, ridge=0.5, episodes=12, seed=seed
    )
    plain = Plain(model, bonus=0.3, form=form, known=known, ridge=0.5)
    check(curve, plain, seed, 12)


@settings(max_examples=15)
@given(SEEDS, st.booleans(), st.sampled_from(["factors", "diagonal"]), st.sampled_from(BALLS))
def test_dr_lsvi_ucb_is_the_algorithm_of_the_paper(
    seed: int, fails: bool, form: str, ball: Any
) -> None:
    model = random_model(seed, fails=fails)
    curve = dr_lsvi_ucb(
        RobustLinearMDP(model, ball), bonus=0.3, bonus_form=form, ridge=0.5, episodes=12, seed=seed
    )
    plain = Plain(model, ball=ball, bonus=0.3, form=form, known=True, ridge=0.5)
    check(curve, plain, seed, 12)


@settings(max_examples=15)
@given(
    SEEDS, st.booleans(), st.sampled_from(BALLS), st.floats(0.05, 2.0),
    st.one_of(st.none(), st.floats(0.05, 1.0)),
)  # fmt: skip
def test_dr_rpo_is_what_its_recursion_says(
    seed: int, fails: bool, ball: Any, temperature: float, share: float | None
) -> None:
    model = random_model(seed, fails=fails)
    reference = np.random.default_rng(seed).dirichlet(np.full(3, 3.0), size=model.rewards.shape[:2])
    step = None if share is None else share / temperature
    curve = dr_rpo(
        RobustLinearMDP(model, ball), temperature=temperature, reference=reference,
        update="closed_form" if step is None else "mirror", step=step, bonus=0.2, ridge=0.5,
        episodes=12, seed=seed,
    )  # fmt: skip
    plain = Plain(
        model, ball=ball, bonus=0.2, form="factors", known=True, ridge=0.5,
        temperature=temperature, reference=reference, step=step,
    )  # fmt: skip
    check(curve, plain, seed, 12)


@pytest.mark.parametrize("algorithm", ["LSVI-UCB", "DR-LSVI-UCB", "DR-RPO", "mirror"])
def test_the_setting_of_the_paper_agrees(algorithm: str) -> None:
    radius = np.zeros((3, 4))
    radius[0, 3] = 0.3
    model, ball = uneven_off_dynamics(), TotalVariation(radius)
    run: dict[str, Any] = {"ridge": 0.1, "episodes": 40, "seed": 5}
    plain: dict[str, Any] = {"bonus": 1.0, "ridge": 0.1, "known": True, "form": "factors"}
    if algorithm == "LSVI-UCB":
        curve = lsvi_ucb(model, **run)
        plain |= {"known": False, "form": "elliptical"}
    elif algorithm == "DR-LSVI-UCB":
        curve = dr_lsvi_ucb(RobustLinearMDP(model, ball), bonus_form="diagonal", **run)
        plain |= {"ball": ball, "form": "diagonal"}
    elif algorithm == "DR-RPO":
        curve = dr_rpo(RobustLinearMDP(model, ball), temperature=0.1, **run)
        plain |= {"ball": ball, "temperature": 0.1}
    else:
        curve = dr_rpo(
            RobustLinearMDP(model, ball), temperature=0.1, update="mirror", step=2.0, **run
        )
        plain |= {"ball": ball, "temperature": 0.1, "step": 2.0}
    check(curve, Plain(model, **plain), 5, 40)


def stays_accurate(episodes: int) -> None:
    """Compare what updates of rank one have made of inverse and weights with a fresh factor's."""
    model = RobustLinearMDP(off_dynamics(), TotalVariation(0.1))
    nominal, ball = split(model)
    rules = Settings(
        name="", bonus=1.0, bonus_form="elliptical", known_rewards=True, temperature=0.1
    )
    kept = memory.empty(nominal, 0.1, norms=True)
    learner = Learner(world_of(nominal), rules.rule(nominal, ball), kept)
    learner.estimate()
    learner.play(np.random.default_rng(0).random((episodes, 10)))
    features = nominal.features
    for h in range(nominal.horizon):
        factor = cho_factor(kept.gram[h])
        inverse = cho_solve(factor, np.eye(len(kept.gram[h])))
        fresh = (
            (kept.inverse[h], inverse),
            (kept.weights[h].T, cho_solve(factor, kept.cross[h].T)),
            (kept.norms[h], np.einsum("sai,ij,saj->sa", features, inverse, features)),
        )
        assert kept.counts[h, 1] == episodes
        for updated, anew in fresh:
            assert np.linalg.norm(updated - anew) <= 1e-10 * np.linalg.norm(anew)


def test_updates_of_rank_one_stay_accurate() -> None:
    # The last refresh is as long ago as it can be.
    stays_accurate(20 * 256 - 1)


@pytest.mark.slow
def test_updates_of_rank_one_stay_accurate_for_a_hundred_thousand_episodes() -> None:
    stays_accurate(100_095)
    assert 100_095 % 256 == 255


@settings(max_examples=10)
@given(SEEDS, st.booleans(), st.floats(0.02, 2.0))
def test_the_largest_mirror_step_is_the_closed_form(
    seed: int, fails: bool, temperature: float
) -> None:
    model = RobustLinearMDP(random_model(seed, fails=fails), TotalVariation(0.2))
    run: dict[str, Any] = {"temperature": temperature, "episodes": 60, "seed": seed}
    closed = dr_rpo(model, **run)
    mirror = dr_rpo(model, update="mirror", step=1.0 / temperature, **run)
    np.testing.assert_array_equal(closed.returns, mirror.returns)
    np.testing.assert_allclose(closed.learnt.policy, mirror.learnt.policy, **CLOSE)
    np.testing.assert_allclose(closed.values.lower, mirror.values.lower, **CLOSE)


@pytest.mark.parametrize("temperature", [1e-310, 1e-12, 1e300])
@pytest.mark.parametrize("share", [1e-9, 1.0])
def test_mirror_steps_of_any_size_leave_a_distribution(temperature: float, share: float) -> None:
    model = RobustLinearMDP(random_model(3, fails=False), TotalVariation(0.2))
    step = min(share / temperature, 1e300)
    curve = dr_rpo(model, temperature=temperature, update="mirror", step=step, episodes=20, seed=0)
    np.testing.assert_allclose(curve.learnt.policy.sum(axis=-1), 1.0, rtol=1e-12)
    assert np.all(curve.values.lower <= curve.optimum.upper)


def test_mirror_steps_of_another_size_are_another_algorithm() -> None:
    model = RobustLinearMDP(random_model(1, fails=True), TotalVariation(0.2))
    closed = dr_rpo(model, temperature=0.1, episodes=20, seed=0)
    mirror = dr_rpo(model, temperature=0.1, update="mirror", step=1.0, episodes=20, seed=0)
    assert np.abs(closed.learnt.policy - mirror.learnt.policy).max() > 1e-3


@settings(max_examples=10)
@given(SEEDS, st.booleans())
def test_without_temperature_dr_rpo_is_dr_lsvi_ucb(seed: int, fails: bool) -> None:
    model = RobustLinearMDP(random_model(seed, fails=fails), TotalVariation(0.2))
    greedy = dr_lsvi_ucb(model, episodes=30, seed=seed)
    cold = dr_rpo(model, temperature=0.0, episodes=30, seed=seed)
    np.testing.assert_array_equal(greedy.learnt.policy, cold.learnt.policy)
    np.testing.assert_array_equal(greedy.values.lower, cold.values.lower)


@settings(max_examples=10)
@given(SEEDS, st.booleans())
def test_much_temperature_leaves_the_reference(seed: int, fails: bool) -> None:
    nominal = random_model(seed, fails=fails)
    reference = np.random.default_rng(seed).dirichlet(np.full(3, 3.0), size=4)
    curve = dr_rpo(
        RobustLinearMDP(nominal, TotalVariation(0.2)), temperature=1e4, reference=reference,
        episodes=30, seed=seed,
    )  # fmt: skip
    # Logarithms move by no more than the range of action values over the temperature.
    moved = np.abs(np.log(curve.learnt.policy / reference)).max(axis=(1, 2))
    assert np.all(moved <= nominal.ceilings / 1e4 * (1 + 1e-9) + 1e-12)


@settings(max_examples=10)
@given(SEEDS)
def test_suboptimality_is_that_of_the_policies_played(seed: int) -> None:
    model = RobustLinearMDP(random_model(seed, fails=False), TotalVariation(0.2))
    curve = dr_rpo(model, episodes=20, seed=seed)
    assert np.all(curve.values.lower <= curve.optimum.upper)
    assert np.all(curve.values.lower <= curve.values.upper)
    assert curve.values.gap <= 1e-12
    np.testing.assert_allclose(curve.regret, np.cumsum(curve.suboptimality[:-1]))
    assert np.all(np.diff(curve.regret) >= -1e-12)


@settings(max_examples=10)
@given(SEEDS)
def test_robust_ucb_vi_is_dr_lsvi_ucb_on_counts(seed: int) -> None:
    """By the empirical kernels, shrunk by the ridge, and bonuses by counts."""
    mdp = random_model(seed, fails=False, states=3, actions=2).to_tabular()
    curve = robust_ucb_vi(mdp, TotalVariation(0.2), bonus=0.5, ridge=1.0, episodes=15, seed=seed)
    plain = Plain(
        LinearMDP.from_tabular(mdp), ball=TotalVariation(0.2), bonus=0.5, form="factors",
        known=True, ridge=1.0,
    )  # fmt: skip
    check(curve, plain, seed, 15)
    counts = np.zeros(mdp.rewards.shape)
    for h, visits in enumerate(plain.visits):
        for s, a, _, _ in visits:
            counts[h, s, a] += 1
    last = np.minimum(mdp.rewards[-1] + 0.5 / np.sqrt(counts[-1] + 1.0), 1.0)
    np.testing.assert_allclose(curve.learnt.action_values[-1], last, **CLOSE)
