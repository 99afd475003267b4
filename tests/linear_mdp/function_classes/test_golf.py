"""Confidence sets and the algorithms on them, against a plain loop over remembered transitions."""

from fractions import Fraction

import numpy as np
import pytest
from class_cases import instances
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from rltheory.linear_mdp.function_classes.completeness import residuals
from rltheory.linear_mdp.function_classes.confidence import (
    excess_losses,
    in_sample_bound,
    theory_radii,
)
from rltheory.linear_mdp.function_classes.finite import FiniteClass, complete_class, dyadic_mdp
from rltheory.linear_mdp.function_classes.golf import (
    ALGORITHMS,
    douhua,
    golf,
    nora,
    run_finite,
)
from rltheory.tabular.finite_horizon import backward_induction
from rltheory.tabular.mdp import EpisodicMDP


def loss(data, g, after, policy):
    """The sum of squared errors of g against targets by `after`, over transitions of a step."""
    total = 0.0
    for s, a, r, t in data:
        worth = 0.0
        if after is not None:
            worth = after[t].max() if policy is None else policy[t] @ after[t]
        total += (g[s, a] - r - worth) ** 2
    return total


def excess(functions, data, member, h, policy=None):
    """What a member's loss is above the least of all members' functions of the step."""
    last = h + 1 == functions.horizon
    after = None if last else functions.table[member, h + 1]
    rows = None if last or policy is None else policy[h + 1]
    losses = [loss(data[h], g, after, rows) for g in functions.table[:, h]]
    return losses[member] - min(losses)


@settings(max_examples=12, deadline=None)
@given(instances(), st.integers(0, 2**32 - 1), st.booleans())
def test_excess_losses_are_those_of_the_transitions(instance, seed, on_policy):
    mdp, functions = instance
    rng = np.random.default_rng(seed)
    visits = rng.integers(3, size=(*mdp.rewards.shape, mdp.states))
    paid = visits.sum(axis=-1) * mdp.rewards
    data = [
        [
            (s, a, mdp.rewards[h, s, a], t)
            for s, a, t in np.ndindex(visits[h].shape)
            for _ in range(visits[h, s, a, t])
        ]
        for h in range(mdp.horizon)
    ]
    policy = rng.dirichlet(np.ones(mdp.actions), size=mdp.rewards.shape[:2]) if on_policy else None
    found = excess_losses(functions, visits, paid, policy=policy)
    spelt = [
        [excess(functions, data, k, h, policy) for h in range(mdp.horizon)]
        for k in range(len(functions))
    ]
    # Sums of at most 50 squares below 40.
    np.testing.assert_allclose(found, spelt, atol=1e-10)


def plainly(mdp, functions, rule, *, episodes, seed, radii, threshold, step):
    """An algorithm by its description: lists of transitions, members tried one by one."""
    draws = np.random.default_rng(seed).random((episodes, 1 + 2 * mdp.horizon))
    data = [[] for _ in range(mdp.horizon)]
    logits = np.zeros(mdp.rewards.shape)
    critic, lost, renewed = None, [], []
    best = mdp.initial @ backward_induction(mdp).values[0]
    for u in draws:
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
        policy = weights / weights.sum(axis=-1, keepdims=True)
        aim = policy if rule.on_policy else None
        fresh = critic is None or rule.always
        if not fresh:
            for h in range(mdp.horizon):
                after = critic[h + 1] if h + 1 < mdp.horizon else None
                losses = [loss(data[h], g, after, None) for g in functions.table[:, h]]
                fresh |= loss(data[h], critic[h], after, None) - min(losses) > threshold[h]
        renewed.append(fresh)
        if fresh:
            critic = choose(mdp, functions, rule, data, radii, aim)
            if rule.reset:
                logits[:] = 0.0
                policy = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
        if rule.greedy:
            policy = np.eye(mdp.actions)[np.argmax(critic, axis=-1)]
        value = mdp.initial @ backward_induction(mdp, policy=policy).values[0]
        lost.append(best - value)
        s = int(np.searchsorted(np.cumsum(mdp.initial), u[0], side="right"))
        for h in range(mdp.horizon):
            a = int(np.searchsorted(np.cumsum(policy[h, s]), u[1 + 2 * h], side="right"))
            row = np.cumsum(mdp.transitions[h, s, a])
            t = int(np.searchsorted(row, u[2 + 2 * h], side="right"))
            data[h].append((s, a, mdp.rewards[h, s, a], t))
            s = t
        if not rule.greedy:
            logits += step * np.array(critic)
    return np.array(lost), np.array(renewed)


def choose(mdp, functions, rule, data, radii, policy):
    if not rule.optimistic:
        critic = [None] * mdp.horizon
        for h in reversed(range(mdp.horizon)):
            after = critic[h + 1] if h + 1 < mdp.horizon else None
            rows = None if policy is None or after is None else policy[h + 1]
            # Layers are in the order of their functions' numbers, the first of equals is taken.
            critic[h] = min(functions.layers[h], key=lambda g: loss(data[h], g, after, rows))
        return critic
    inside = [
        k
        for k in range(len(functions))
        if all(excess(functions, data, k, h, policy) <= radii[h] for h in range(mdp.horizon))
    ]

    def start(k):
        first = functions.table[k, 0]
        worth = first.max(axis=-1) if policy is None else (policy[0] * first).sum(axis=-1)
        return mdp.initial @ worth

    return list(functions.table[max(inside, key=start)])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_loop_is_its_description(name):
    for seed in range(4):
        mdp = dyadic_mdp(horizon=3, states=2, actions=2, seed=seed)
        functions = complete_class(mdp, 9, seed=seed)
        radii = 0.05 * theory_radii(functions, 0.1, reward_span=float(np.ptp(mdp.rewards)))
        run = run_finite(
            mdp, functions, name, episodes=40, seed=seed, delta=0.1, radius=0.05, threshold=2.0,
            step=0.3,
        )  # fmt: skip
        lost, renewed = plainly(
            mdp, functions, ALGORITHMS[name], episodes=40, seed=seed, radii=radii,
            threshold=2.0 * radii, step=0.3,
        )  # fmt: skip
        np.testing.assert_array_equal(run.renewed, renewed)
        np.testing.assert_allclose(run.suboptimality, lost, atol=1e-12)
        assert run.switches == renewed.sum() - 1
        assert run.visits.sum() == 40 * 3


def coin():
    """One step that leads to a state of value 0 or 1 with even chances: the noisiest targets."""
    kernel = np.full((2, 2, 1, 2), 0.5)
    rewards = np.zeros((2, 2, 1))
    rewards[1, 1] = 1.0
    mdp = EpisodicMDP(kernel, rewards, np.array([1.0, 0.0]))
    best = backward_induction(mdp).action_values
    table = np.repeat(best[None], 6, axis=0)
    table[1:, 0] = np.array([0.0, 0.25, 0.375, 0.625, 1.0])[:, None, None]
    return mdp, FiniteClass(table)


def test_the_optimum_stays_in_the_set_as_often_as_theory_says():
    mdp, functions = coin()
    delta, runs = 0.2, 1000
    kept = [golf(mdp, functions, episodes=100, seed=k, delta=delta).kept.all() for k in range(runs)]
    failures = runs - sum(kept)
    # The exact interval at 99.9% must lie below delta.
    assert binomtest(failures, runs).proportion_ci(0.999).high <= delta
    narrow = [
        golf(mdp, functions, episodes=100, seed=k, delta=delta, radius=0.1).kept.all()
        for k in range(200)
    ]
    # A tenth of the radius is not enough: the check is able to fail.
    assert binomtest(200 - sum(narrow), 200).proportion_ci(0.999).low > delta


@pytest.mark.parametrize("algorithm", [golf, nora])
def test_members_of_the_set_are_right_on_the_data(algorithm):
    mdp = dyadic_mdp(horizon=3, states=3, actions=2, seed=1)
    functions = complete_class(mdp, 12, seed=1)
    span = float(np.ptp(mdp.rewards))
    delta, runs, broken, lost, close = 0.1, 1000, 0, 0, 0
    radii = theory_radii(functions, delta, reward_span=span)
    bound = in_sample_bound(functions, radii, delta, reward_span=span)
    errors = np.stack([residuals(mdp, functions, h) for h in range(3)], axis=1)
    for seed in range(runs):
        run = algorithm(mdp, functions, episodes=60, seed=seed, delta=delta)
        inside = (excess_losses(functions, run.visits, run.paid) <= radii).all(axis=1)
        pairs = run.visits.sum(axis=-1)
        wrong = (pairs * np.square(errors[inside])).sum(axis=(2, 3))
        broken += bool((wrong > bound).any())
        lost += not run.kept.all()
        close += bool((wrong > bound / 12.0).any())
    for failures in (broken, lost):
        assert binomtest(failures, runs).proportion_ci(0.999).high <= delta
    # A twelfth of the bound would be broken too often.
    assert binomtest(close, runs).proportion_ci(0.999).low > delta


def test_the_supermartingale_of_the_radii_is_one():
    # E exp(-2 X / B^2) <= 1 for X = (g - y)^2 - (m - y)^2, y of mean m within an interval B.
    for numerator in range(1, 16):
        m = Fraction(numerator, 16)
        for g in np.linspace(-1.0, 2.0, 61):
            terms = [
                float(p) * np.exp(-2.0 * ((g - y) ** 2 - (float(m) - y) ** 2))
                for p, y in ((m, 1.0), (1 - m, 0.0))
            ]
            assert sum(terms) <= 1.0 + 1e-15
        for g in np.linspace(-1.0, 2.0, 61):
            # At half the exponent it also pays for the square of the error.
            wrong = (g - float(m)) ** 2 / 2.0
            terms = [
                float(p) * np.exp(wrong - (g - y) ** 2 + (float(m) - y) ** 2)
                for p, y in ((m, 1.0), (1 - m, 0.0))
            ]
            assert sum(terms) <= 1.0 + 1e-15
    # Twice the exponent is too much.
    g = 0.45
    assert sum(0.5 * np.exp(-4.2 * ((g - y) ** 2 - (0.5 - y) ** 2)) for y in (0.0, 1.0)) > 1.0


def test_greedy_on_the_truth_costs_nothing():
    mdp = dyadic_mdp(horizon=3, states=3, actions=2, seed=0)
    run = golf(mdp, complete_class(mdp, 1, seed=0), episodes=20, seed=0)
    assert np.abs(run.suboptimality).max() <= 1e-14
    assert run.kept.all()
    assert run.distance == 0.0


def test_optimism_holds_while_the_truth_is_kept():
    for seed in range(10):
        mdp = dyadic_mdp(horizon=3, states=3, actions=2, seed=seed)
        functions = complete_class(mdp, 16, seed=seed)
        run = golf(mdp, functions, episodes=400, seed=seed)
        assert run.kept.all()
        # What is left to lose in the end, against a uniform policy's loss.
        uniform = np.full(mdp.rewards.shape, 0.5)
        values = [backward_induction(mdp, policy=p).values[0] for p in (None, uniform)]
        gap = mdp.initial @ (values[0] - values[1])
        assert run.suboptimality[-100:].mean() <= gap


def test_nora_switches_rarely_and_only_when_its_critic_fails():
    mdp = dyadic_mdp(horizon=3, states=3, actions=3, seed=3)
    functions = complete_class(mdp, 16, seed=3)
    run = nora(mdp, functions, episodes=3000, seed=0, radius=0.05, step=0.5)
    often = golf(mdp, functions, episodes=3000, seed=0, radius=0.05)
    assert run.switches < len(functions)
    assert often.switches == 2999
    assert run.suboptimality[-500:].mean() < run.suboptimality[:100].mean()


def test_offline_data_come_first():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=1)
    functions = complete_class(mdp, 9, seed=1)
    visits = np.round(1e5 * mdp.transitions * mdp.initial[:, None, None])
    paid = visits.sum(axis=-1) * mdp.rewards
    run = golf(mdp, functions, episodes=5, seed=0, visits=visits, paid=paid)
    assert run.visits.sum() == visits.sum() + 10
    again = golf(mdp, functions, episodes=5, seed=0, visits=visits, paid=paid)
    np.testing.assert_array_equal(run.suboptimality, again.suboptimality)


def test_bad_input_is_refused_by_name():
    mdp = dyadic_mdp(horizon=2, states=2, actions=2, seed=0)
    functions = complete_class(mdp, 3, seed=0)
    run = {"episodes": 3, "seed": 0}
    with pytest.raises(ValueError, match="algorithm is 'sarsa'"):
        run_finite(mdp, functions, "sarsa", **run)
    for name, wrong in (
        ("episodes", 0), ("delta", 0.0), ("delta", 2.0), ("radius", -1.0), ("threshold", 0.5),
        ("step", -1.0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=name):
            golf(mdp, functions, **{**run, name: wrong})
    with pytest.raises(TypeError, match="seed"):
        douhua(mdp, functions, episodes=3, seed=None)
    with pytest.raises(ValueError, match="expected both or none"):
        golf(mdp, functions, visits=np.zeros((2, 2, 2, 2)), **run)
    with pytest.raises(ValueError, match="visits"):
        golf(mdp, functions, visits=-np.ones((2, 2, 2, 2)), paid=np.zeros((2, 2, 2)), **run)
    with pytest.raises(ValueError, match="paid has shape"):
        excess_losses(functions, np.zeros((2, 2, 2, 2)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match="delta is 0"):
        theory_radii(functions, 0.0)
