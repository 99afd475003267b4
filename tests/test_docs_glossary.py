"""The glossary: conventions are computed anew, names are names of the code."""

import importlib
import inspect
import re

import doc_pages
import numpy as np
import pytest

from rltheory import analysis, games, linear_mdp, tabular
from rltheory.linear_mdp.actor_critic.nora import nora, nora_settings
from rltheory.linear_mdp.environments.actor_critic_worlds import two_thread_lock
from rltheory.tabular import agnostic
from rltheory.theory import theorems

PAGE = doc_pages.read("glossary.md")
P = np.array([0.5, 0.3, 0.2])
V = np.array([1.0, 0.4, 0.0])


def farthest(ball, distance):
    """How far the worst row is from the nominal one."""
    _, q = ball.worst_case(V, P)
    return distance(q, P)


@pytest.mark.parametrize(
    ("ball", "distance"),
    [
        (tabular.TotalVariation, lambda q, p: np.abs(q - p).sum() / 2),
        (tabular.L1, lambda q, p: np.abs(q - p).sum()),
        (tabular.L2, lambda q, p: np.linalg.norm(q - p)),
        (tabular.LInf, lambda q, p: np.abs(q - p).max()),
        (tabular.KullbackLeibler, lambda q, p: (q * np.log(q / p)).sum()),
        (tabular.ChiSquare, lambda q, p: ((q - p) ** 2 / p).sum()),
    ],
)
def test_worst_rows_use_up_the_radius_as_stated(ball, distance):
    # Kullback-Leibler is solved by iteration to 1e-9 or better.
    assert farthest(ball(0.05), distance) == pytest.approx(0.05, abs=1e-9)


def test_total_variation_is_half_of_l1():
    both = [ball.worst_case(V, P)[0] for ball in (tabular.TotalVariation(0.1), tabular.L1(0.2))]
    assert both[0] == both[1] < tabular.L1(0.1).worst_case(V, P)[0]


def test_a_small_penalty_is_a_strong_adversary():
    values = [
        tabular.PenalisedTotalVariation(price).worst_case(V, P)[0] for price in (0.01, 0.1, 2.0)
    ]
    assert V.min() < values[0] < values[1] < values[2] == pytest.approx(P @ V)


def test_occupancies_sum_to_one():
    river = tabular.river_swim()
    policy = np.zeros(river.states, dtype=int)
    assert tabular.occupancy_measure(river, policy).sum() == pytest.approx(1)
    lock = two_thread_lock(2, 2, seed=0)
    policies = agnostic.PolicyClass.constant(
        horizon=lock.horizon, states=lock.states, actions=lock.actions
    )
    found = agnostic.occupancies(lock, policies)
    np.testing.assert_allclose(found.sum(axis=(2, 3)), 1)


def test_exploitability_divides_nashconv_by_the_players():
    kuhn = games.load("kuhn_poker", players=3)
    profile = kuhn.uniform()
    assert games.exploitability(kuhn, profile) == games.nash_conv(kuhn, profile) / 3


def test_regret_sums_what_single_policies_lack():
    lock = two_thread_lock(2, 2, seed=0)
    run = nora(lock, episodes=50, seed=0)
    np.testing.assert_allclose(run.regret, np.cumsum(run.optimum - run.values))
    model = linear_mdp.RobustLinearMDP(linear_mdp.load("off_dynamics"), tabular.TotalVariation(0.1))
    robust = linear_mdp.dr_lsvi_ucb(model, episodes=5, ridge=0.1, seed=0)
    best = linear_mdp.plan(model).values[0] @ model.nominal.initial
    np.testing.assert_allclose(robust.suboptimality, best - robust.values.lower, atol=1e-9)
    np.testing.assert_allclose(robust.regret, np.cumsum(robust.suboptimality[:-1]))


def test_confidence_has_two_readings():
    trees = inspect.signature(agnostic.trajectory_tree_erm).parameters["confidence"].default
    bonus = inspect.signature(nora_settings).parameters["confidence"].default
    assert (trees, bonus) == (0.9, 0.05)
    assert (
        f"it is $1 - \\delta$ ({trees}), of bonuses of the actor-critics $\\delta$ ({bonus})"
        in PAGE
    )


def test_groups_are_standardised_by_one_less():
    """GRPO's mean for a bandit of two answers in pairs: advantages are +-1/sqrt(2), not +-1."""
    bandit = analysis.softmax_bandit([1.0, 0.0])
    found = analysis.estimator_moments(bandit, "grpo", parameters=np.zeros(2), group_size=2)
    # Half of the pairs differ; then the mean of A g over both is (1/sqrt 2) (1/2, -1/2).
    np.testing.assert_allclose(found.mean, np.array([0.25, -0.25]) / np.sqrt(2), atol=1e-15)


def test_records_named_exist():
    named = re.findall(r"\{theorem\}`([^`]+)`", PAGE)
    assert set(named) <= {theorem.id for theorem in theorems()}


ARGUMENTS = {
    *("action_values", "reward_weights", "group_size", "infoset_labels", "training_strategies"),
}
"""Names of the page that are fields or arguments."""


def test_functions_and_types_named_exist():
    """Each is found in some package; names without an underscore may be arguments."""
    packages = [
        importlib.import_module(f"rltheory.{name}")
        for name in (
            *("analysis", "tabular", "games", "linear_mdp", "tabular.agnostic", "theory"),
            *("linear_mdp.actor_critic", "linear_mdp.function_classes", "theory.theorem"),
            *("tabular.agnostic.psdp", "analysis.estimators.gates"),
        )
    ]
    code = [name for cell in re.findall(r"`([^`]+)`", PAGE) for name in re.findall(r"\w+", cell)]
    types = {name for name in code if name[0].isupper() and name[1:2].islower()}
    types -= {"False", "Penalised"}
    functions = {name for name in code if "_" in name} - ARGUMENTS
    assert len(functions) > 15
    for name in types | functions:
        assert any(hasattr(package, name) for package in packages), name
