"""Sunflowers: the verifier against enumeration, the searches against brute force."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import PolicyClass
from rltheory.tabular.agnostic.cores import constant_core, layer_core, open_loop_core, own_core
from rltheory.tabular.agnostic.sunflower import is_sunflower, uncovered
from rltheory.tabular.agnostic.sunflower_search import minimal_petals, sunflower

SEEDS = st.integers(0, 2**32 - 1)
INTERVALS = ("half-open", "closed")


def trajectories(sizes):
    """All partial trajectories as lists of (layer, state)."""
    for first in range(len(sizes)):
        for last in range(first, len(sizes)):
            layers = range(first, last + 1)
            for states in product(*(range(sizes[h]) for h in layers)):
                yield list(zip(layers, states, strict=True))


def covered(row, core, petals, path, interval):
    """The definition, word by word."""
    if any(all(c[cell] == row[cell] for cell in path) for c in core):
        return True
    excusing = path[1:] if interval == "half-open" else path
    return any(petals[cell] for cell in excusing)


def by_enumeration(policies, core, petals, interval):
    sizes = list(policies.layer_sizes)
    return all(
        covered(row, core.table, marks, path, interval)
        for row, marks in zip(policies.table, petals, strict=True)
        for path in trajectories(sizes)
    )


def least_by_subsets(row, core, sizes, states, interval):
    """The least number of petals of one policy, over all sets of states; None if there is none."""
    cells = [(h, s) for h, size in enumerate(sizes) for s in range(size)]
    for count in range(len(cells) + 1):
        for members in combinations(cells, count):
            marks = np.zeros((len(sizes), states), dtype=bool)
            for cell in members:
                marks[cell] = True
            if all(covered(row, core, marks, p, interval) for p in trajectories(sizes)):
                return count
    return None


def drawn(seed, *, horizon=3, states=2, actions=2):
    generator = np.random.default_rng(seed)
    sizes = generator.integers(1, states + 1, size=horizon)
    sizes[generator.integers(horizon)] = states
    table = generator.integers(actions, size=(3, horizon, states))
    core = generator.integers(actions, size=(int(generator.integers(1, 6)), horizon, states))
    policies = PolicyClass(table, actions, sizes)
    petals = generator.random(table.shape) < generator.random()
    return policies, PolicyClass(core, actions, sizes), petals


@pytest.mark.parametrize("interval", INTERVALS)
@settings(max_examples=20)
@given(SEEDS)
def test_the_verifier_agrees_with_enumeration(interval, seed):
    policies, core, petals = drawn(seed)
    holds = is_sunflower(policies, core, petals, interval=interval)
    assert holds == by_enumeration(policies, core, petals, interval)
    found = uncovered(policies, core, petals, interval=interval)
    assert (found is None) == holds
    if found is not None:
        path = [(found.start + i, s) for i, s in enumerate(found.states)]
        row, marks = policies.table[found.policy], petals[found.policy]
        assert not covered(row, core.table, marks, path, interval)


@pytest.mark.parametrize("interval", INTERVALS)
@settings(max_examples=10)
@given(SEEDS)
def test_least_petals_by_brute_force(interval, seed):
    policies, core, _ = drawn(seed)
    found = minimal_petals(policies, core, interval=interval)
    sizes = list(policies.layer_sizes)
    least = [least_by_subsets(row, core.table, sizes, 2, interval) for row in policies.table]
    assert (found is None) == (None in least)
    if found is not None:
        assert found.petals.sum(axis=(1, 2)).tolist() == least
        assert by_enumeration(policies, core, found.petals, interval)


@pytest.mark.parametrize("interval", INTERVALS)
@pytest.mark.parametrize("core_size", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_least_sunflower_over_all_cores(interval, core_size, seed):
    policies, _, _ = drawn(seed, horizon=2)
    sizes = list(policies.layer_sizes)
    cells = int(sum(sizes))
    pool = []
    for plan in product(range(2), repeat=cells):
        table = np.zeros((2, 2), dtype=int)
        table[np.arange(2) < np.array(sizes)[:, None]] = plan
        pool.append(table)
    best = None
    for members in combinations(range(len(pool)), core_size):
        core = [pool[i] for i in members]
        least = [least_by_subsets(row, core, sizes, 2, interval) for row in policies.table]
        if None not in least and (best is None or max(least) < best):
            best = max(least)
    found = sunflower(policies, core_size, interval=interval)
    assert (found is None) == (best is None)
    if found is not None:
        assert (found.petal_count, found.core_size <= core_size) == (best, True)
        assert by_enumeration(policies, found.core, found.petals, interval)


KNOWN = [
    (PolicyClass.singletons(horizon=3, states=3), 0),
    (PolicyClass.l_tons(2, horizon=3, states=2), 1),
    (PolicyClass.l_tons(3, horizon=2, states=2), 2),
    (PolicyClass.one_active(horizon=3, states=2), 2),
    (PolicyClass.all_active(horizon=3, states=2), 2),
]


@pytest.mark.parametrize(("policies", "petals"), KNOWN)
def test_the_core_of_layers(policies, petals):
    found = layer_core(policies)
    assert (found.core_size, found.petal_count) == (policies.horizon + 1, petals)
    assert by_enumeration(policies, found.core, found.petals, "half-open")
    least = minimal_petals(policies, found.core)
    assert least is not None
    assert least.petal_count == petals


@given(SEEDS)
def test_cores_that_suit_any_class(seed):
    policies, _, _ = drawn(seed)
    later = int(np.sum(policies.layer_sizes[1:]))
    for found, core, petals in (
        (own_core(policies), 3, 0),
        (open_loop_core(policies), 8, 0),
        (constant_core(policies), 2, later),
    ):
        assert (found.core_size, found.petal_count) == (core, petals)
        assert by_enumeration(policies, found.core, found.petals, "half-open")
    found = layer_core(policies)
    assert by_enumeration(policies, found.core, found.petals, "half-open")


def test_singletons_need_the_layers_unless_the_first_state_may_excuse():
    policies = PolicyClass.singletons(horizon=2, states=3)
    assert sunflower(policies, 1) is None
    pair = sunflower(policies, 2)
    assert pair is not None
    assert pair.petal_count > 1
    found = sunflower(policies, 3)
    assert found is not None
    assert found.petal_count == 0
    closed = sunflower(policies, 1, interval="closed")
    assert closed is not None
    assert closed.petal_count == 1


def test_a_core_that_differs_somewhere_excuses_nothing_at_the_first_state():
    policies = PolicyClass.l_tons(2, horizon=3, states=2)
    zero = np.zeros((1, 3, 2), dtype=int)
    assert minimal_petals(policies, zero) is None
    found = minimal_petals(policies, zero, interval="closed")
    assert found is not None
    assert found.petal_count == 2


def test_long_horizons_are_followed_without_enumeration():
    policies = PolicyClass.singletons(horizon=12, states=10)
    found = layer_core(policies)
    assert is_sunflower(policies, found.core, found.petals)
    missing = found.core.table[:-1]
    broken = uncovered(policies, missing, found.petals)
    assert broken is not None
    path = [(broken.start + i, s) for i, s in enumerate(broken.states)]
    row, marks = policies.table[broken.policy], found.petals[broken.policy]
    assert not covered(row, missing, marks, path, "half-open")
    assert covered(row, found.core.table, marks, path, "half-open")


def test_bad_input_is_named():
    policies = PolicyClass.singletons(horizon=2, states=2)
    core, petals = layer_core(policies).core, np.zeros((4, 2, 2), dtype=bool)
    with pytest.raises(ValueError, match="interval is 'open'"):
        is_sunflower(policies, core, petals, interval="open")
    with pytest.raises(ValueError, match="petals has shape"):
        is_sunflower(policies, core, petals[:1])
    with pytest.raises(ValueError, match="expected booleans"):
        is_sunflower(policies, core, petals.astype(int))
    with pytest.raises(ValueError, match="core acts on layers"):
        minimal_petals(policies, np.zeros((1, 3, 2), dtype=int))
    with pytest.raises(ValueError, match="core_size is 0"):
        sunflower(policies, 0)
    with pytest.raises(ValueError, match=r"2\^40 Markov policies"):
        sunflower(PolicyClass.constant(horizon=10, states=4), 2)
    with pytest.raises(ValueError, match="expected 2"):
        layer_core(PolicyClass.constant(horizon=2, states=2, actions=3))
