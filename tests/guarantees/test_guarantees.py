"""Every algorithm keeps its promise as often as it says, and the controls do not."""

import inspect
import re

import doc_pages
import guarantee_classes
import guarantee_offline
import guarantee_online
import numpy as np
import pytest
from guarantee_table import HEAD, ROWS, RUNS, count, limits, line
from guarantee_worlds import arms, beliefs, coins, walk, worst_value

from rltheory.linear_mdp import actor_critic, collect, function_classes, lsvi_ucb
from rltheory.linear_mdp.actor_critic.douhua import douhua_settings
from rltheory.linear_mdp.function_classes import is_complete
from rltheory.tabular import agnostic
from rltheory.tabular.agnostic import PolicyClass
from rltheory.tabular.agnostic.cpi import cpi_parameters
from rltheory.tabular.agnostic.guarantees import emulator_numbers
from rltheory.tabular.agnostic.psdp import completeness_gap
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.theory.records.agnostic_psdp import fork

PAGES = {"tabular.agnostic": "agnostic.md", "linear_mdp": "actor_critic.md"}
EACH = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@EACH
def test_a_few_runs_do_not_refute_a_guarantee_and_refute_its_control(row):
    assert limits(count(row.fails, row.quick), row.quick)[0] <= row.delta
    assert limits(count(row.spoilt, row.quick), row.quick)[0] > row.delta


@pytest.mark.slow
@EACH
def test_a_thousand_runs_confirm_a_guarantee_and_refute_its_control(row):
    failures, spoilt = count(row.fails, RUNS), count(row.spoilt, RUNS)
    assert limits(failures, RUNS)[1] <= row.delta
    assert limits(spoilt, RUNS)[0] > row.delta
    assert line(row, failures, spoilt) in documented(row.package)


def documented(package):
    """The lines of the table on the page of a package."""
    page = doc_pages.read(PAGES["tabular.agnostic" if package.startswith("tab") else "linear_mdp"])
    section = page.split("## Guarantees")[1].split("\n## ")[0]
    return [text for text in section.splitlines() if text.startswith("|")]


@pytest.mark.parametrize("package", PAGES)
def test_the_pages_have_a_line_for_every_guarantee_and_no_other(package):
    rows = [row for row in ROWS if row.package.startswith(package)]
    head, rule, *lines = documented(package)
    assert head == "| " + " | ".join(HEAD) + " |"
    assert re.fullmatch(r"\|(---\|)+", rule)
    assert len(lines) == len(rows)
    for row, text in zip(rows, lines, strict=True):
        cells = tuple(text.strip("| ").split(" | "))
        assert cells[:-2] == row.cells()
        failures, spoilt = int(cells[-2].split(",")[0]), int(cells[-1])
        # What the page says was counted keeps the promise, and the control breaks it.
        assert limits(failures, RUNS)[1] <= row.delta < limits(spoilt, RUNS)[0]
        assert text == line(row, failures, spoilt)


def functions_of(package, chosen):
    return {
        name
        for name in package.__all__
        if inspect.isfunction(getattr(package, name)) and chosen(getattr(package, name))
    }


def takes_access(function):
    return next(iter(inspect.signature(function).parameters)) == "access"


def returns(*names):
    def chosen(function):
        return inspect.signature(function).return_annotation in names

    return chosen


def test_no_public_algorithm_is_left_out():
    named = {}
    for row in ROWS:
        named.setdefault(row.package, set()).add(row.algorithm.split(" ")[0])
    assert named["tabular.agnostic"] == functions_of(agnostic, takes_access)
    # The loops that run an algorithm given as data are none themselves.
    online = functions_of(actor_critic, returns("ActorCriticRun", "OfflineRun"))
    assert named["linear_mdp.actor_critic"] == online - {"run_actor_critic"}
    assert named["linear_mdp.function_classes"] == set(function_classes.ALGORITHMS)
    finite = functions_of(function_classes, returns("FiniteRun"))
    assert finite - {"run_finite"} <= named["linear_mdp.function_classes"]
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(
    "settings",
    [
        guarantee_online.nora_settings(scale=0.7, confidence=0.2),
        douhua_settings(scale=0.7, confidence=0.2),
        guarantee_online.q_settings(1.0),
        guarantee_online.npg_settings(0.7),
    ],
    ids=lambda settings: settings.name,
)
def test_what_is_watched_is_the_run_itself(settings):
    mdp = walk()
    run = actor_critic.run_actor_critic(mdp, settings, episodes=300, seed=4)
    seen = list(guarantee_online.watch(mdp, settings, episodes=300, seed=4))
    np.testing.assert_array_equal(run.values, [value for *_, value in seen])
    np.testing.assert_array_equal(run.action_values, seen[-1][1].action_values)
    np.testing.assert_array_equal(run.visits, seen[-1][1].visits)


def test_the_policy_that_a_critic_was_fitted_to_is_found_again():
    mdp, settings = walk(), douhua_settings(scale=0.7, step=0.5)
    played = []
    for rule, memory, value in guarantee_online.watch(mdp, settings, episodes=20, seed=1):
        found = guarantee_online.aimed_at(mdp, rule, memory, None)
        # DOUHUA plays the policy that its critic was fitted to.
        logits = memory.logits - rule.step * memory.action_values
        policy = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        assert mdp.initial @ (policy[0] * found[0]).sum(axis=-1) == pytest.approx(value, abs=1e-12)
        played.append(value)
    assert len(set(played)) > 10


def test_what_is_watched_with_linear_features_is_the_run_itself():
    bonus = guarantee_offline.linear_scale(30, False)
    run = lsvi_ucb(guarantee_offline.MIXED, bonus=bonus, episodes=30, seed=3, checkpoints=1)
    *_, last = guarantee_offline.linear_watch(run.settings, episodes=30, seed=3)
    np.testing.assert_array_equal(run.learnt.action_values, last.action_values)


def regret_bounds(episodes):
    """The bounds of the table at a number of episodes, by algorithm."""
    online, world = guarantee_online, arms()
    half, two = online.FIXED, online.uniform_scale(world, episodes)
    step = online.theory_step(douhua_settings(), online.world_of(world), episodes)
    switches = 1 + 6 * (1 + np.log2(episodes))
    twice = online.width_sum(world, episodes, half, grown=2)
    return {
        "ucbvi": online.width_sum(world, episodes, half),
        "rare_ucbvi": twice,
        "tabular_lsvi_ucb": online.width_sum(world, episodes, online.ridge_scale(world, episodes)),
        "nora": twice + online.tracking(world, episodes, switches, 5.0),
        "douhua": online.width_sum(world, episodes, two) + online.hedged(world, episodes, step),
        "q_learning_ucb": online.q_learning_bound(world, episodes),
    }


def test_bounds_are_not_vacuous():
    gap = 14 / 16
    assert backward_induction(arms()).values[0, 0] - worst_value(arms()) == gap
    rows = [row for row in ROWS if row.event.startswith("regret below")]
    assert {row.algorithm for row in rows} == set(regret_bounds(1))
    for row in rows:
        episodes = int(row.instance.split("T = ")[1])
        assert regret_bounds(episodes)[row.algorithm] < gap * episodes
        # Ten times fewer would not do.
        assert regret_bounds(episodes // 10)[row.algorithm] > gap * episodes / 10
    offline = guarantee_offline
    assert offline.covered(offline.EVEN, offline.BRIEF, offline.PLENTY) < gap
    assert guarantee_classes.lost_at_most() < gap
    at_stake = walk().initial @ offline.BEST.values[0] - worst_value(walk())
    for rounds in (1, offline.ROUNDS):
        assert offline.bonuses_met(offline.uniform_walk(0), rounds) < at_stake
    model = offline.MIXED
    data = collect(model, episodes=offline.COLLECTED, seed=0)
    at_stake = model.initial @ offline.PLANNED.values[0] - worst_value(model.to_tabular())
    assert offline.linear_bonuses_met(data) < at_stake


def test_classes_are_complete_for_what_is_claimed_of_them():
    mdp, functions = coins()
    for policy in np.ndindex(2, 2, 2, 2):
        assert is_complete(mdp, functions, policy=np.reshape(policy, (2, 2)))
    assert is_complete(mdp, functions)
    assert is_complete(arms(), beliefs())
    every = PolicyClass.tabular(horizon=2, states=2)
    assert completeness_gap(fork(0.25), every, arithmetic="rational") == 0


def test_parameters_of_cpi_are_what_their_proof_needs():
    policies = PolicyClass.tabular(horizon=2, states=2)
    found = cpi_parameters(policies, epsilon=0.7, delta=0.2, concentrability=4 / 3)
    t = 0.7 / (4 * 4 / 3 * 2)
    assert found.tolerance == pytest.approx(3 * t)
    # A move on any estimate above the tolerance, wrong by t, gains enough for so few moves.
    estimates = np.linspace(3 * t, 2, 10_001)[1:]
    shares = np.minimum(1, estimates / 2)
    gains = shares * (estimates - t) - shares**2
    assert 1 / gains.min() < found.max_iterations
    # Bernstein's inequality, over policies, signs and iterations, with terms of at most A H.
    moment = 2 * 2 * np.mean(np.arange(1, 3) ** 2)
    tail = np.exp(-found.rollouts * t**2 / (2 * (moment + 4 * t / 3)))
    assert 2 * 16 * found.max_iterations * tail <= 0.2


def test_numbers_of_the_emulator_are_what_their_proof_needs():
    given = {"horizon": 3, "states": 3, "actions": 2, "emitted": 12}
    found = emulator_numbers(50, **given, separation=0.4, confidence=0.9)
    n, a = found.observations, found.accuracy
    t, u = a / 12, a / 4
    assert found.error == pytest.approx(4 * t)
    assert 3 * 3 * (2 / 3) ** n <= 0.1 / 3
    assert 2 * 50 * (3 * n * 2 + 1) * np.exp(-2 * found.draws * t**2) <= 0.1 / 3
    tests = 3 * (2 * 12 * 2 + n * 5) + 12 * 2
    assert 2 * tests * np.exp(-2 * found.rollouts * u**2) <= 0.1 / 3
    # Blocks are pure, tests decide right, and none is failed.
    off = 3 * t
    assert 2 * off <= a < 0.4 - 2 * off
    assert 2 * u + 4 * off < 0.4
    assert u + off <= a


@pytest.mark.parametrize(
    ("name", "value"), [("epsilon", 0.0), ("delta", 1.0), ("concentrability", 0.5)]
)
def test_bad_goals_of_cpi_are_named(name, value):
    goal = {"epsilon": 0.5, "delta": 0.1, "concentrability": 2.0} | {name: value}
    with pytest.raises(ValueError, match=name):
        cpi_parameters(PolicyClass.constant(horizon=2, states=1), **goal)


@pytest.mark.parametrize(
    ("name", "value"),
    [("separation", 0.0), ("confidence", 1.0), ("horizon", 0), ("emitted", 0), ("states", 0)],
)
def test_bad_goals_of_the_emulator_are_named(name, value):
    goal = {"horizon": 2, "states": 2, "actions": 2, "emitted": 4, "separation": 0.5}
    with pytest.raises(ValueError, match=name):
        emulator_numbers(4, **(goal | {"confidence": 0.9, name: value}))
