"""Spanning capacity against all deterministic MDPs, on all classes that can be gone through.

There are too many to list for three layers, but a class of capacity C has C policies, one for each
pair, with the same capacity; so with n states a layer the classes of up to 2 n policies decide
those of all. With two layers only the actions at one start matter, and all classes on one and three
states decide those on three and three.
"""

from itertools import combinations, islice, permutations, product

import numba
import numpy as np
import pytest
from capacity_families import (
    all_but,
    all_classes,
    drawn,
    named,
    products,
    up_to,
    up_to_on_small_shapes,
    up_to_symmetry,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import PolicyClass, reachable_pairs, spanning_capacity


@numba.njit
def most_pairs(table, sizes, actions):
    """The most pairs at each layer over all deterministic MDPs, every policy walked in each.

    table: (P, H, S). Successors of pairs that no start leads to are left out: of the first layer
    only the start's own.
    """
    horizon = len(sizes)
    best = np.zeros(horizon, dtype=np.int64)
    goes = np.zeros((horizon, table.shape[2], actions), dtype=np.int64)
    for start in range(sizes[0]):
        goes[:] = 0
        while True:
            seen = np.zeros(horizon, dtype=np.int64)
            for p in range(len(table)):
                x = start
                for h in range(horizon):
                    a = table[p, h, x]
                    seen[h] |= 1 << (x * actions + a)
                    x = goes[h, x, a]
            for h in range(horizon):
                count, bits = 0, seen[h]
                while bits:
                    bits &= bits - 1
                    count += 1
                best[h] = max(best[h], count)
            # The next MDP: successors as the digits of a number, the last layer's first.
            carry = True
            for h in range(horizon - 2, -1, -1):
                for x in range(sizes[h]):
                    if h == 0 and x != start:
                        continue
                    for a in range(actions):
                        if carry:
                            goes[h, x, a] += 1
                            carry = goes[h, x, a] == sizes[h + 1]
                            if carry:
                                goes[h, x, a] = 0
            if carry:
                break
    return best


def walked(mdp, table):
    """The pairs met at each layer, policy by policy and step by step."""
    transitions = mdp.transitions.tolist()
    met = [set() for _ in transitions]
    for row in table.tolist():
        state = mdp.initial.tolist().index(1.0)
        for h, actions in enumerate(row):
            met[h].add((state, actions[state]))
            state = transitions[h][state][actions[state]].index(1.0)
    return [len(pairs) for pairs in met]


def check(table, sizes):
    """Whether the search is right on a class, in value and in the MDP that it returns."""
    policies = PolicyClass(table, 2, np.array(sizes))
    found = spanning_capacity(policies)
    want = most_pairs(table, np.array(sizes), 2)
    assert found.exact
    np.testing.assert_array_equal(found.lower_by_layer, want)
    np.testing.assert_array_equal(found.upper_by_layer, want)
    assert found.value == want.max() == walked(found.mdp, table)[found.layer]


def every(step, classes):
    return islice(classes, 0, None, step)


FAMILIES = {
    "all, 3": (lambda: all_classes(3, step=29), lambda: all_classes(3)),
    "all, 2 + 2": (lambda: all_classes(2, 2, step=3301), lambda: all_classes(2, 2)),
    "all, 1 + 3": (lambda: all_classes(1, 3, step=3301), lambda: all_classes(1, 3)),
    "all, 1 + 1 + 2": (lambda: all_classes(1, 1, 2, step=3301), lambda: all_classes(1, 1, 2)),
    "few, 3 + 3": (lambda: every(31, up_to(4, 3, 3)), lambda: up_to(5, 3, 3)),
    "few, 2 + 2 + 2": (lambda: every(61, up_to(4, 2, 2, 2)), lambda: up_to(5, 2, 2, 2)),
    "few, small shapes": (
        lambda: every(67, up_to_on_small_shapes(2)),
        lambda: up_to_on_small_shapes(3),
    ),
    "few, 3 + 3 + 3": (lambda: every(67, up_to(3, 3, 3, 3)), lambda: up_to(4, 3, 3, 3)),
    "nearly all, 2 + 2 + 2": (lambda: every(29, all_but(3, 2, 2, 2)), lambda: all_but(4, 2, 2, 2)),
    "nearly all, 3 + 3 + 3": (lambda: every(31, all_but(2, 3, 3, 3)), lambda: all_but(2, 3, 3, 3)),
    "products, 2 + 2 + 2": (lambda: every(197, products(2, 2, 2)), lambda: products(2, 2, 2)),
    "products, 3 + 3": (lambda: every(31, products(3, 3)), lambda: products(3, 3)),
    "products, 3 + 3 + 3": (lambda: every(997, products(3, 3, 3)), lambda: products(3, 3, 3)),
    "named": (lambda: every(9, named()), named),
    "drawn, 3 + 3 + 3": (lambda: drawn(12, 3, 3, 3), lambda: drawn(4000, 3, 3, 3)),
}
"""By name, what is gone through by default, and the whole family."""


@pytest.mark.parametrize("name", FAMILIES)
def test_some_of_each_family(name):
    for table, sizes in FAMILIES[name][0]():
        check(table, sizes)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_as_a_whole(name):
    count = 0
    for table, sizes in FAMILIES[name][1]():
        check(table, sizes)
        count += 1
    print(f"{name}: {count} classes")


# What carries these families over to all classes.


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("sizes", [(2, 2), (1, 3), (1, 1, 2)])
def test_one_class_is_kept_of_those_that_differ_by_names_only(count, sizes):
    # All names of four cells, one after the other: policies are words of four bits.
    groups = np.split(np.arange(4), np.cumsum(sizes)[:-1])
    orders = [
        [c for group in order for c in group]
        for order in product(*(permutations(g) for g in groups))
    ]
    moved = [
        [sum((word >> c & 1) << order[c] for c in range(4)) ^ flip for word in range(16)]
        for order, flip in product(orders, range(16))
    ]

    def least(words):
        return min(tuple(sorted(move[w] for w in words)) for move in moved)

    orbits = {least(words) for words in combinations(range(16), count)}
    kept = []
    for table, _ in up_to_symmetry(count, *sizes):
        inside = np.arange(table.shape[2]) < np.array(sizes)[:, None]
        kept.append(least((table[:, inside].astype(int) @ 2 ** np.arange(4)).tolist()))
    assert len(kept) == len(orbits)
    assert set(kept) == orbits


SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.sampled_from([(2, 2, 2), (3, 2, 3), (3, 3, 3), (1, 3, 3)])


def a_class(seed, sizes):
    generator = np.random.default_rng(seed)
    share = generator.choice([0.1, 0.3, 0.5])
    shape = (int(generator.integers(2, 30)), len(sizes), max(sizes))
    return (generator.random(shape) < share).astype(np.int8), generator


@settings(max_examples=12)
@given(SEEDS, SHAPES)
def test_names_and_copies_do_not_matter(seed, sizes):
    table, generator = a_class(seed, sizes)
    other = table[generator.permutation(np.repeat(np.arange(len(table)), 2))]
    other ^= generator.integers(2, size=table.shape[1:], dtype=np.int8)
    for h, n in enumerate(sizes):
        other[:, h, :n] = other[:, h, generator.permutation(n)]
    one, two = (spanning_capacity(PolicyClass(t, 2, np.array(sizes))) for t in (table, other))
    assert one.exact
    assert two.exact
    np.testing.assert_array_equal(one.by_layer, two.by_layer)


@settings(max_examples=12)
@given(SEEDS, SHAPES)
def test_one_policy_for_each_pair_is_enough(seed, sizes):
    table, _ = a_class(seed, sizes)
    found = spanning_capacity(PolicyClass(table, 2, np.array(sizes)))
    ends = {}
    for p, row in enumerate(table):
        alone = reachable_pairs(found.mdp, PolicyClass(row[None], 2, np.array(sizes)))
        ends.setdefault(int(alone[found.layer].argmax()), p)
    assert len(ends) == found.value
    few = PolicyClass(table[list(ends.values())], 2, np.array(sizes))
    assert spanning_capacity(few).value == found.value


@settings(max_examples=12)
@given(SEEDS, SHAPES)
def test_the_first_layer_matters_at_its_start_only(seed, sizes):
    table, _ = a_class(seed, sizes)
    best = np.zeros(len(sizes), dtype=int)
    for start in range(sizes[0]):
        part = table.copy()
        part[:, 0, 0] = table[:, 0, start]
        alone = spanning_capacity(PolicyClass(part, 2, np.array([1, *sizes[1:]])))
        best = np.maximum(best, alone.by_layer)
    found = spanning_capacity(PolicyClass(table, 2, np.array(sizes)))
    np.testing.assert_array_equal(found.by_layer, best)


def test_one_action_is_one_pair():
    for sizes in product((1, 2, 3), repeat=3):
        table = np.zeros((2, 3, max(sizes)), dtype=int)
        found = spanning_capacity(PolicyClass(table, 1, np.array(sizes)))
        assert (found.value, found.exact) == (1, True)


def test_successors_that_no_start_leads_to_change_nothing():
    # All 2 * 2^4 * 2^4 deterministic MDPs on 2 + 2 + 2 states, none left out.
    for table, sizes in islice(up_to(4, 2, 2, 2), 7, None, 601):
        best = np.zeros(3, dtype=int)
        for start, *moves in product(range(2), repeat=9):
            goes = np.reshape([*moves, 0, 0, 0, 0], (3, 2, 2)).tolist()
            met = [set() for _ in range(3)]
            for row in table.tolist():
                state = start
                for h in range(3):
                    met[h].add((state, row[h][state]))
                    state = goes[h][state][row[h][state]]
            best = np.maximum(best, [len(pairs) for pairs in met])
        np.testing.assert_array_equal(most_pairs(table, np.array(sizes), 2), best)
