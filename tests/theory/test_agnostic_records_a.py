"""What the records on coverage, capacity, sunflowers and resets compute with."""

from fractions import Fraction
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular import EpisodicMDP, backward_induction
from rltheory.tabular.agnostic import PolicyClass, class_values
from rltheory.tabular.agnostic.capacity import spanning_capacity
from rltheory.tabular.agnostic.cores import layer_core
from rltheory.tabular.agnostic.cpi import cpi_step
from rltheory.tabular.agnostic.psdp import completeness_gap
from rltheory.tabular.agnostic.sunflower import is_sunflower
from rltheory.tabular.agnostic.sunflower_search import minimal_petals, sunflower
from rltheory.theory.records import (
    agnostic_capacity,
    agnostic_closed_reading,
    agnostic_coverage,
    agnostic_cpi,
    agnostic_psdp,
    agnostic_sunflower,
)
from rltheory.theory.tape import Tape

SEEDS = st.integers(0, 2**32 - 1)


def most_pairs(policies):
    """The most pairs at any layer, over whole deterministic MDPs one after the other."""
    horizon, states = policies.horizon, policies.states
    cells = [(h, s, a) for h in range(horizon - 1) for s in range(states) for a in range(2)]
    best = 0
    for start in range(states):
        for moves in product(range(states), repeat=len(cells)):
            after = dict(zip(cells, moves, strict=True))
            met = set()
            for row in policies.table:
                state = start
                for h in range(horizon):
                    met.add((h, state, int(row[h, state])))
                    state = after.get((h, state, int(row[h, state])), 0)
            best = max(best, *(sum(cell[0] == h for cell in met) for h in range(horizon)))
    return best


@settings(max_examples=8, deadline=None)
@given(SEEDS)
def test_capacity_by_whole_mdps(seed):
    tape = Tape(seed=seed)
    policies = agnostic_coverage.sample_class(tape, 3, 2)
    assert max(agnostic_capacity.capacity_by_layer(policies)) == most_pairs(policies)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 3))
def test_capacity_agrees_with_the_search(seed, states):
    policies = agnostic_coverage.sample_class(Tape(seed=seed), 3, states)
    found = spanning_capacity(policies)
    assert found.exact
    assert found.value == max(agnostic_capacity.capacity_by_layer(policies))


@given(SEEDS)
def test_dual_program_bounds_from_below(seed):
    visits = agnostic_coverage.sample_visits(Tape(seed=seed), 2)
    left, right = agnostic_coverage.dual_sides(visits)
    # Any single policy's weights are feasible in the dual: its visits sum to one.
    assert left == right
    assert right >= 1


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 3))
def test_enumerated_cover_agrees_with_the_verifier(seed, size):
    flower = agnostic_sunflower.sample_binary(Tape(seed=seed), size)
    petals = flower.petals & (np.random.default_rng(seed).random(flower.petals.shape) < 0.7)
    for core in (flower.core, flower.core[:-1]):
        trial = flower._replace(core=core, petals=petals)
        covered, total = agnostic_sunflower.covered_sides(trial)
        assert is_sunflower(flower.policies, core, petals) == bool(np.all(covered == total))


def test_petals_agree_with_the_integer_program():
    for seed in range(12):
        drawn = agnostic_sunflower.sample_petals(Tape(seed=seed), 3)
        core = layer_core(drawn.policies).core
        for interval, skipped in (("half-open", 1), ("closed", 0)):
            found = minimal_petals(drawn.policies, core, interval=interval)
            assert found is not None
            left, _ = agnostic_sunflower._counted(drawn, skipped)
            assert found.petal_count == left


def test_no_smaller_core_without_petals_for_singletons():
    policies = PolicyClass.singletons(horizon=2, states=2)
    for core_size in (1, 2):
        found = sunflower(policies, core_size)
        assert found is None or found.petal_count > 0
    best = sunflower(policies, 3)
    assert best is not None
    assert best.petal_count == 0


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_estimates_from_petals_tend_to_values_of_sunflowers(seed):
    generator = np.random.default_rng(seed)
    policies = PolicyClass.random(3, horizon=3, states=2, seed=seed)
    kernel = generator.multinomial(8, [0.5, 0.5], (3, 2, 2)) / 8
    rewards = generator.integers(-4, 5, (3, 2, 2)) / 4
    mdp = EpisodicMDP(kernel, rewards, np.array([0.25, 0.75]))
    found = layer_core(policies)
    values = class_values(mdp, policies, arithmetic="rational").values
    for index, row in enumerate(policies.table):
        estimate = agnostic_closed_reading.process_value(
            mdp, row.astype(int), found.core.table.astype(int), found.petals[index]
        )
        assert estimate == values[index]


@given(SEEDS)
def test_sampled_mdps_have_returns_in_the_unit_interval(seed):
    mdp = agnostic_psdp.sample_paying(Tape(seed=seed), 3, 2)
    assert mdp.rewards.min() >= 0
    assert backward_induction(mdp).values.max() <= 1


def test_the_forked_classes_hold_an_optimal_policy_and_are_not_complete():
    mdp = agnostic_psdp.fork(63 / 64)
    for policies in (agnostic_psdp._FORKED, agnostic_cpi._AWAY):
        assert class_values(mdp, policies).approximation_gap == 0
        assert completeness_gap(mdp, policies) > 0.9


@settings(max_examples=12, deadline=None)
@given(SEEDS)
def test_the_step_of_cpi_maximises_the_certain_gain(seed):
    moved = agnostic_cpi.sample_moved(Tape(seed=seed), 3)
    advantage = agnostic_cpi._advantage(moved)
    if advantage <= 0:
        return
    best = Fraction(cpi_step(advantage, 3))

    def certain(share):
        return share * advantage - share**2 * Fraction(8, 3)

    assert certain(best) == advantage**2 * Fraction(3, 32) or best == 1
    assert all(certain(best) >= certain(Fraction(k, 64)) for k in range(65))
