"""What the records on DR-RPO compute with: balls against the planner, intervals against tails."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.linear_mdp.mdp import RobustLinearMDP
from rltheory.linear_mdp.planning import plan
from rltheory.tabular.uncertainty import PenalisedTotalVariation
from rltheory.theory import balls, linear_instances, soft_linear
from rltheory.theory.records import dr_rpo_frequencies as frequencies
from rltheory.theory.records import linear_rates, robust_penalty_factors, robust_penalty_prices
from rltheory.theory.soft_linear import Soft
from rltheory.theory.tape import Tape

SEEDS = range(12)


def drawn(seed):
    """A public model, the same in Fractions with a reference, and a policy."""
    tape = Tape(seed=seed)
    robust = linear_instances.robust_mdp(tape, 2 + seed % 3, 2, 2, 3)
    model = linear_instances.exact(robust)
    # Even weights beside any: positive, and the same numbers in floats.
    reference = linear_instances.fractions(tape.simplex(model.rewards.shape) / 2 + 0.25)
    soft = Soft(model, reference, Fraction(1, 4))
    return robust, soft, linear_instances.policy(tape, robust.nominal)


def overlap(solution, enclosed):
    """Whether two enclosures of the same values have points in common."""
    return np.all(solution.lower <= enclosed.upper) and np.all(enclosed.lower <= solution.upper)


@pytest.mark.parametrize("seed", SEEDS)
def test_recursion_in_balls_is_the_planners(seed):
    robust, soft, policy = drawn(seed)
    reference = soft.reference.astype(float)

    @balls.precise
    def enclosures():
        rows = linear_instances.fractions(policy)
        return [
            balls.to_bounds(found.values)
            for found in (soft_linear.optimum(soft), soft_linear.evaluate(soft, rows))
        ]

    best, own = enclosures()
    settings = {"temperature": 0.25, "reference": reference}
    assert overlap(plan(robust, **settings), best)
    assert overlap(plan(robust, policy=policy, **settings), own)
    assert np.all(best.gap < 1e-13)
    assert np.all(own.lower <= best.upper)


@pytest.mark.parametrize("seed", SEEDS)
def test_worst_cases_of_rational_values_are_enclosed(seed):
    _, soft, _ = drawn(seed)
    model = soft.model
    values = linear_instances.robust(model).values[1]
    members = linear_instances.worst_measures(model.measures[0], values, model.radii[0])

    @balls.precise
    def inside():
        found, _ = soft_linear.worst_cases(model.measures[0], balls.balls(values), model.radii[0])
        return [
            x.overlaps(balls.ball(y)) and float(x.rad()) < 1e-30
            for x, y in zip(found, members @ values, strict=True)
        ]

    assert all(inside())


@given(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=5))
def test_rows_near_balls_are_distributions(weights):
    total = np.array(weights) + 0.01
    rows = soft_linear.nearby(balls.balls(total / total.sum())[None])
    assert rows.sum() == 1
    assert rows.min() >= 0
    assert np.all(np.abs(rows.astype(float) - total / total.sum()) < 1e-6)


def tail(successes, runs, chance):
    """The probability of at least so many successes, exactly."""
    p = Fraction(chance)
    return sum(comb(runs, k) * p**k * (1 - p) ** (runs - k) for k in range(successes, runs + 1))


@given(st.integers(1, 40), st.data())
def test_clopper_pearson_ends_have_the_tails_they_promise(runs, data):
    successes = data.draw(st.integers(0, runs))
    found = frequencies.clopper_pearson(successes, runs)
    low, high = float(found.lower), float(found.upper)
    assert 0 <= low <= successes / runs <= high <= 1
    if successes:
        assert float(tail(successes, runs, low)) == pytest.approx(0.05, rel=1e-9)
    else:
        assert low == 0
    if successes < runs:
        assert float(1 - tail(successes + 1, runs, high)) == pytest.approx(0.05, rel=1e-9)
    else:
        assert high == 1


def test_noise_of_capped_values_is_widest_at_sets_of_states():
    # What the union in `stated_bonus` rests on: a norm of something linear in the values.
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(3, 4))
    noise -= noise.mean(axis=1, keepdims=True)
    corners = np.array(np.meshgrid(*[[0.0, 1.0]] * 4)).reshape(4, -1)
    widest = np.linalg.norm(noise @ corners, axis=0)
    inside = np.linalg.norm(noise @ generator.random((4, 1000)), axis=0)
    assert inside.max() <= widest.max()
    # A set and its complement give the same, so half of the sets suffice.
    assert np.allclose(widest, widest[::-1])


def test_stated_bonus_is_none_without_next_values_and_grows_with_episodes():
    mdp = frequencies.covered_model(Tape(seed=0)).nominal
    few, many = (frequencies.stated_bonus(mdp, k, 0.25, 0.1) for k in (10, 1000))
    assert few[-1] == many[-1] == 0
    assert np.all(few[:-1] < many[:-1])
    assert np.all(np.diff(many) < 0)


def test_a_bonus_is_what_makes_runs_optimistic():
    assert frequencies.optimistic_runs(3, 1.0) > frequencies.optimistic_runs(3, 0.0)


def test_the_stated_bonus_is_not_hidden_by_the_ceilings():
    model = frequencies.model_of(1)
    scale = frequencies.stated_bonus(model.nominal, frequencies.EPISODES, frequencies.RIDGE, 0.1)
    learner = frequencies.learner_of(model, scale, temperature=0.125, ridge=frequencies.RIDGE)
    learner.play(np.random.default_rng(0).random((frequencies.EPISODES, 10)))
    estimates = learner.learnt().action_values[:, :-1]
    assert np.all(estimates < model.nominal.ceilings[:, None, None])


@pytest.mark.parametrize("lock", [False, True])
def test_policies_are_evaluated_as_the_planner_does(lock):
    world = linear_rates.World(lock, 0, 1 / 8, 1.0)
    model = linear_rates.model_of(world)
    policies = Tape(seed=1).simplex((6, *model.nominal.rewards.shape))
    found = linear_rates.robust_values(model, policies, world.temperature)
    for policy, values in zip(policies, found, strict=True):
        truth = plan(model, temperature=world.temperature, policy=policy)
        assert np.allclose(values, truth.values[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_prices_of_total_variation_are_the_planners(seed):
    mdp = linear_instances.linear_mdp(Tape(seed=seed), 3, 2, 2, 3)
    exact = robust_penalty_prices.priced_values(linear_instances.exact(mdp), Fraction(1, 4))
    solution = plan(RobustLinearMDP(mdp, PenalisedTotalVariation(0.25)))
    assert np.all(solution.lower[:-1] <= exact)
    assert np.all(exact <= solution.upper[:-1])


def test_pairs_and_factors_agree_where_every_pair_is_a_factor():
    tape = Tape(seed=5)
    mdp = linear_instances.linear_mdp(tape, 2, 2, 2, 2)
    mdp = mdp.replace(features=np.eye(2)[[[0, 1], [1, 0]]])
    adversary = robust_penalty_factors.quadratic_adversary(
        robust_penalty_factors.Charged(mdp, Fraction(1, 2))
    )
    pairs = robust_penalty_factors.pair_values(mdp, adversary)
    assert np.all(pairs == robust_penalty_factors.factor_values(mdp, adversary))
