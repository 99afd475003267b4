"""Policy classes: the named ones by their definition, products, unions, bad input."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import PolicyClass
from rltheory.tabular.agnostic.cores import constant_core, layer_core, open_loop_core, own_core
from rltheory.tabular.agnostic.policy_class import as_policy_class

SHAPES = [(1, 1), (1, 3), (2, 2), (3, 2)]


def members(policies):
    """The class as a set of tables, copies counted once."""
    return {policy.tobytes() for policy in np.asarray(policies.table)}


def all_tables(horizon, states, actions=2):
    cells = product(range(actions), repeat=horizon * states)
    return [np.array(c, dtype=np.int8).reshape(horizon, states) for c in cells]


def chosen(horizon, states, rule, actions=2):
    """The policies that satisfy a rule, of all there are."""
    return {t.tobytes() for t in all_tables(horizon, states, actions) if rule(t)}


def is_one_active(table, state):
    return not np.delete(table, state, axis=1).any()


@pytest.mark.parametrize(("horizon", "states"), SHAPES)
def test_named_classes_are_all_that_fit_their_rule(horizon, states):
    size = {"horizon": horizon, "states": states}
    named = {
        "tabular": (PolicyClass.tabular(**size), lambda t: True),
        "constant": (PolicyClass.constant(**size), lambda t: (t == t[0, 0]).all()),
        "singletons": (PolicyClass.singletons(**size), lambda t: t.sum() == 1),
        "two ones": (PolicyClass.l_tons(2, **size), lambda t: t.sum() <= 2),
        "open loop": (PolicyClass.open_loop(**size), lambda t: (t == t[:, :1]).all()),
        "one active": (
            PolicyClass.one_active(**size, state=states - 1),
            lambda t: is_one_active(t, states - 1),
        ),
        "all active": (
            PolicyClass.all_active(**size),
            lambda t: any(is_one_active(t, j) for j in range(states)),
        ),
    }
    for name, (policies, rule) in named.items():
        assert members(policies) == chosen(horizon, states, rule), name
        assert len(members(policies)) == len(policies), name
        assert (policies.horizon, policies.states, policies.actions) == (horizon, states, 2)
        assert policies.layer_sizes.tolist() == [states] * horizon


@pytest.mark.parametrize("ones", [1, 2, 3])
def test_l_tons_are_counted_by_binomials(ones):
    cells = 6
    exactly = PolicyClass.l_tons(ones, horizon=2, states=3, exactly=True)
    up_to = PolicyClass.l_tons(ones, horizon=2, states=3)
    assert len(exactly) == comb(cells, ones)
    assert len(up_to) == sum(comb(cells, k) for k in range(ones + 1))
    assert (exactly.table.sum(axis=(1, 2)) == ones).all()


def test_three_actions():
    assert members(PolicyClass.constant(horizon=2, states=2, actions=3)) == chosen(
        2, 2, lambda t: (t == t[0, 0]).all(), 3
    )
    assert members(PolicyClass.open_loop(horizon=2, states=2, actions=3)) == chosen(
        2, 2, lambda t: (t == t[:, :1]).all(), 3
    )


@pytest.mark.parametrize(("depth", "bits"), [(0, 2), (1, 2), (2, 2), (1, 3), (2, 3)])
def test_trees_depend_on_few_bits_and_are_the_same_in_all_layers(depth, bits):
    def reads_few(table):
        words = np.arange(2**bits)
        for asked in product((0, 1), repeat=bits):
            if sum(asked) != depth:
                continue
            mask = sum(b << i for i, b in enumerate(asked))
            kinds = {}
            if all(kinds.setdefault(w & mask, a) == a for w, a in zip(words, table, strict=True)):
                return True
        return False

    policies = PolicyClass.trees(depth, horizon=2, bits=bits)
    found = {policy[0].tobytes() for policy in policies.table}
    assert found == chosen(1, 2**bits, lambda t: reads_few(t[0]))
    assert (policies.table[:, 0] == policies.table[:, 1]).all()
    assert len(found) == len(policies)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**32))
def test_distinct_keeps_the_first_of_those_that_agree_on_their_layers(count, horizon, states, seed):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, states + 1, size=horizon)
    policies = PolicyClass(draw.integers(2, size=(count, horizon, states)), 2, sizes)
    seen, kept = set(), []
    for policy in policies.table:
        key = tuple(tuple(row[:n]) for row, n in zip(policy, sizes, strict=True))
        if key not in seen:
            kept.append(policy)
        seen.add(key)
    np.testing.assert_array_equal(policies.distinct().table, kept)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32))
def test_unions_and_products(first, second, seed):
    draw = np.random.default_rng(seed)
    one = PolicyClass.random(first, horizon=2, states=2, seed=draw)
    two = PolicyClass.random(second, horizon=2, states=2, seed=draw)
    assert members(one.union(two)) == members(one) | members(two)
    layers = [{policy[h].tobytes() for policy in one.table} for h in range(2)]
    closed = one.layer_product()
    assert members(closed) == {a + b for a, b in product(*layers)}
    assert members(one) <= members(closed)
    assert members(closed.layer_product()) == members(closed)
    both = one.combined(two, np.maximum)
    assert members(both) == {
        np.maximum(a, b).tobytes() for a, b in product(np.asarray(one.table), np.asarray(two.table))
    }


def test_random_classes_repeat_and_are_spread():
    size = {"horizon": 4, "states": 5, "actions": 3}
    first, again = (PolicyClass.random(2000, **size, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.table, again.table)
    shares = np.bincount(first.table.ravel(), minlength=3) / first.table.size
    # 40,000 draws: six standard deviations.
    np.testing.assert_allclose(shares, 1 / 3, atol=6 * np.sqrt(2 / 9 / first.table.size))


def test_tables_are_kept_small_and_read_only():
    policies = PolicyClass.constant(horizon=2, states=2, actions=200)
    assert policies.table.dtype == np.int16
    assert PolicyClass.constant(horizon=2, states=2).table.dtype == np.int8
    for field in (policies.table, policies.layer_sizes):
        with pytest.raises(ValueError, match="read-only"):
            field[0] = 0
    assert as_policy_class(policies, 200) is policies
    assert len(as_policy_class([[[0, 1]]], 2)) == 1


@pytest.mark.parametrize(
    ("table", "actions", "sizes", "error", "words"),
    [
        (np.zeros((2, 2)), 2, None, ValueError, "table has shape"),
        (np.zeros((0, 2, 2), int), 2, None, ValueError, "table has shape"),
        (np.zeros((1, 2, 2)), 2, None, TypeError, "table holds float64"),
        (np.full((1, 2, 2), 2), 2, None, ValueError, "entries outside 0 to 1"),
        (np.full((1, 2, 2), -1), 2, None, ValueError, "entries outside 0 to 1"),
        (np.zeros((1, 2, 2), int), 0, None, ValueError, "actions"),
        (np.zeros((1, 2, 2), int), 2, [2, 3], ValueError, "layer_sizes is"),
        (np.zeros((1, 2, 2), int), 2, [2], ValueError, "layer_sizes is"),
        (np.zeros((1, 2, 2), int), 2, [0, 1], ValueError, "layer_sizes is"),
        (np.zeros((1, 2, 2), int), 2, [1.0, 1.0], ValueError, "layer_sizes is"),
    ],
)
def test_tables_that_do_not_fit_are_named(table, actions, sizes, error, words):
    with pytest.raises(error, match=words):
        PolicyClass(table, actions, sizes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PolicyClass.tabular(horizon=8, states=8), "limited to"),
        (lambda: PolicyClass.open_loop(horizon=40, states=2), "limited to"),
        (lambda: PolicyClass.l_tons(6, horizon=10, states=10), "limited to"),
        (lambda: PolicyClass.one_active(horizon=40, states=2), "limited to"),
        (lambda: PolicyClass.one_active(horizon=2, states=2, state=2), "state is 2"),
        (lambda: PolicyClass.trees(3, horizon=1, bits=2), "depth is 3"),
        (lambda: PolicyClass.trees(0, horizon=1, bits=0), "bits"),
        (lambda: PolicyClass.trees(0.5, horizon=1, bits=2), "depth is 0.5"),
        (lambda: PolicyClass.trees(1, horizon=1, bits=60), "limited to"),
        (lambda: PolicyClass.constant(horizon=1, states=1, actions=0), "actions is 0"),
        (lambda: PolicyClass.open_loop(horizon=1, states=1, actions=0), "actions is 0"),
        (lambda: PolicyClass.tabular(horizon=1, states=1, actions=-1), "actions is -1"),
        (lambda: PolicyClass.random(1, horizon=1, states=1, actions=0, seed=0), "actions is 0"),
        (lambda: PolicyClass.constant(horizon="2", states=1), "horizon is '2'"),
        (lambda: PolicyClass.all_active(horizon=2, states=0), "states is 0"),
        (lambda: PolicyClass.all_active(horizon=14, states=2000), "limited to"),
        (lambda: PolicyClass.one_active(horizon=np.int64(64), states=2), r"over 2\^64 policies"),
        (lambda: PolicyClass.l_tons(3, horizon=1, states=2, exactly=True), "ones is 3"),
        (
            lambda: PolicyClass.constant(horizon=2, states=2).combined(
                PolicyClass.constant(horizon=2, states=2), lambda a, b: a
            ),
            "rule returned shape",
        ),
        (
            lambda: PolicyClass([[[0, 0]] * 2], 2, [2, 1]).union(
                PolicyClass.constant(horizon=2, states=2)
            ),
            r"expected \(2, \[2, 1\], 2, 2\)",
        ),
        (lambda: PolicyClass.l_tons(0, horizon=1, states=1), "ones"),
        (lambda: PolicyClass.singletons(horizon=0, states=1), "horizon"),
        (lambda: PolicyClass.random(0, horizon=1, states=1, seed=0), "policies"),
        (
            lambda: PolicyClass.constant(horizon=2, states=2).union(
                PolicyClass.constant(horizon=2, states=3)
            ),
            "other has .horizon, layer_sizes",
        ),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_what_is_no_class_is_named():
    policies = PolicyClass.constant(horizon=2, states=2)
    for function in (policies.union, constant_core, layer_core, open_loop_core, own_core):
        with pytest.raises(TypeError, match="is of type ndarray; expected a PolicyClass"):
            function(np.zeros((1, 2, 2), int))


def test_products_do_not_read_beyond_their_layers():
    table = np.array([[[0, 0], [0, 1]], [[1, 0], [0, 0]]])
    policies = PolicyClass(table, 2, [2, 1])
    assert len(policies.layer_product()) == 2
    assert len(policies.union(policies)) == 2


def test_a_class_says_how_large_it_is():
    policies = PolicyClass.singletons(horizon=2, states=3)
    assert repr(policies) == "PolicyClass(6 policies, horizon=2, states=3, actions=2)"
    assert "states=[3, 1]" in repr(PolicyClass(policies.table, 2, [3, 1]))
