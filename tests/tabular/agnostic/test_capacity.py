"""Spanning capacity against every deterministic MDP, closed forms, and its own certificate."""

import time
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.tabular.agnostic import PolicyClass, groups
from rltheory.tabular.agnostic.annealing import anneal
from rltheory.tabular.agnostic.capacity import reachable_pairs, spanning_capacity
from rltheory.tabular.agnostic.group_search import play, search
from rltheory.tabular.agnostic.groups import Groups
from rltheory.tabular.mdp import EpisodicMDP


def by_all_mdps(policies):
    """The most pairs at each layer over all deterministic MDPs, every one of them played."""
    table, sizes = np.asarray(policies.table).astype(int), list(map(int, policies.layer_sizes))
    cells = [
        (h, x, a)
        for h in range(policies.horizon - 1)
        for x in range(sizes[h])
        for a in range(policies.actions)
    ]
    bases = [sizes[h + 1] for h, _, _ in cells]
    mdps = np.arange(int(np.prod(bases)))
    goes = np.zeros((policies.horizon, max(sizes), policies.actions, len(mdps)), int)
    for (h, x, a), base in zip(cells, bases, strict=True):
        mdps, goes[h, x, a] = np.divmod(mdps, base)
    each = np.arange(len(mdps))
    best = np.zeros(policies.horizon, dtype=int)
    for start in range(sizes[0]):
        seen = np.zeros((policies.horizon, len(mdps)), dtype=np.int64)
        for policy in table:
            here = np.full(len(mdps), start)
            for h in range(policies.horizon):
                taken = policy[h, here]
                seen[h] |= 1 << (here * policies.actions + taken)
                here = goes[h, here, taken, each]
        best = np.maximum(best, np.bitwise_count(seen).max(axis=1))
    return best


def tables(sizes, actions, count, seed):
    draw = np.random.default_rng(seed).integers(actions, size=(count, len(sizes), max(sizes)))
    return PolicyClass(draw, actions, np.array(sizes))


def check_certificate(found, policies):
    reached = reachable_pairs(found.mdp, policies).sum(axis=(1, 2))
    assert reached[found.layer] == found.value == found.lower == found.by_layer.max()
    assert (reached <= found.upper_by_layer).all()
    for h, size in enumerate(policies.layer_sizes):
        assert not reachable_pairs(found.mdp, policies)[h, size:].any()


def test_every_class_of_policies_of_one_step_and_two_states():
    # All 15 classes that are not empty, H = 1; and all 2^4 - 1 of the classes with H = 2, N = 1.
    for sizes in ((2,), (1, 1)):
        every = np.array(list(product(range(2), repeat=2))).reshape(4, *(1, 2))
        every = every if sizes == (2,) else every.reshape(4, 2, 1)
        for members in product((False, True), repeat=4):
            if any(members):
                policies = PolicyClass(every[list(members)], 2)
                found = spanning_capacity(policies)
                np.testing.assert_array_equal(found.by_layer, by_all_mdps(policies))
                assert found.exact


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from([(2, 2, 2), (1, 3, 3), (3, 2, 2), (1, 2, 3), (2, 2, 1)]),
    st.integers(1, 12),
    st.integers(0, 2**32),
)
def test_random_classes_on_three_layers(sizes, count, seed):
    policies = tables(sizes, 2, count, seed)
    found = spanning_capacity(policies)
    assert found.exact
    np.testing.assert_array_equal(found.by_layer, by_all_mdps(policies))
    np.testing.assert_array_equal(found.lower_by_layer, found.upper_by_layer)
    check_certificate(found, policies)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(0, 2**32))
def test_three_actions(count, seed):
    policies = tables((1, 2, 2), 3, count, seed)
    np.testing.assert_array_equal(spanning_capacity(policies).by_layer, by_all_mdps(policies))


@pytest.mark.slow
@settings(max_examples=4, deadline=None)
@given(st.integers(2, 9), st.integers(0, 2**32))
def test_three_states_on_three_layers(count, seed):
    policies = tables((3, 3, 3), 2, count, seed)
    np.testing.assert_array_equal(spanning_capacity(policies).by_layer, by_all_mdps(policies))


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([(2, 2, 2), (1, 3, 3), (3, 3, 2)]), st.integers(2, 14), st.integers(0, 2**32)
)
def test_the_search_alone_closes_a_bracket_that_starts_wide_open(sizes, count, seed):
    policies = tables(sizes, 2, count, seed)
    want = spanning_capacity(policies).by_layer
    for target in range(3):
        found = search(Groups.ladder(policies)[target], 0, 100, 100_000)
        assert found.upper == want[target]
        assert found.plan.pairs == want[target]


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([(2, 2, 2), (1, 3, 3), (3, 3, 2)]), st.integers(2, 14), st.integers(0, 2**32)
)
def test_bounds_hold_where_large_groups_are_kept_whole(sizes, count, seed):
    # All groups are large here: each that loses few policies is bounded as if it lost none.
    draw = np.random.default_rng(seed)
    table = (draw.random((count, 3, max(sizes))) < 0.2).astype(int)
    policies = PolicyClass(table, 2, np.array(sizes))
    want = spanning_capacity(policies).by_layer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(groups, "LARGE", 1)
        for target in range(3):
            found = search(Groups.ladder(policies)[target], 0, 100, 100_000)
            assert found.upper == found.plan.pairs == want[target]


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 60), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))
def test_annealing_never_loses_and_counts_what_is_met(count, actions, states, seed):
    draw = np.random.default_rng(seed)
    sizes = draw.integers(1, states + 1, size=4)
    taken = draw.integers(actions, size=(count, 4, states))
    table = np.where(draw.random(taken.shape) < 0.2, taken, 0)
    policies = PolicyClass(table, actions, sizes)
    first = play(Groups.ladder(policies)[3], 100, 1, draw)
    again, found = (
        anneal(policies, first, 100, 500, np.random.default_rng(seed)) for _ in range(2)
    )
    assert again == found
    assert found.pairs >= first.pairs
    met = set()
    for row in table.tolist():
        state = found.start
        for h, moves in enumerate(found.moves):
            state = moves[state, row[h][state]]
            assert state < sizes[h + 1]
        met.add((state, row[3][state]))
    assert len(met) == found.pairs
    assert anneal(policies, first, first.pairs, 500, draw) is first


def test_annealing_finds_what_greedy_plays_miss():
    draw = np.random.default_rng([10, 5])
    rare = draw.random((1000, 8, 10)) < 0.005
    policies = PolicyClass(np.where(rare, draw.integers(1, 3, size=rare.shape), 0), 3)
    first = play(Groups.ladder(policies)[7], 30, 12, np.random.default_rng(0))
    found = anneal(policies, first, 30, 20_000, np.random.default_rng(0))
    assert first.pairs < found.pairs < 30


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**32))
def test_bounds_hold_whatever_the_work(count, actions, states, seed):
    policies = tables((states,) * 4, actions, count, seed)
    found = spanning_capacity(policies, work=1, restarts=1)
    check_certificate(found, policies)
    full = spanning_capacity(policies)
    assert found.lower <= full.lower <= full.upper <= found.upper
    assert full.upper <= min(
        count, max(min(actions ** (h + 1), actions * states) for h in range(4))
    )
    # Any MDP is a lower bound.
    draw = np.random.default_rng(seed)
    goes = draw.integers(states, size=(4, states, actions))
    mdp = EpisodicMDP(
        np.eye(states)[goes], np.zeros((4, states, actions)), np.eye(states)[draw.integers(states)]
    )
    assert (reachable_pairs(mdp, policies).sum(axis=(1, 2)) <= full.upper_by_layer).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 12), st.integers(0, 2**32))
def test_capacity_grows_with_the_class_and_not_with_copies(count, seed):
    policies = tables((2, 3, 3), 2, count, seed)
    value = spanning_capacity(policies).value
    less = PolicyClass(policies.table[: count // 2], 2, policies.layer_sizes)
    assert spanning_capacity(less).value <= value
    twice = PolicyClass(np.concatenate([policies.table] * 2), 2, policies.layer_sizes)
    assert spanning_capacity(twice).value == value


# Closed forms. With fewer states than these, pairs must be shared and the numbers are smaller.

CLOSED = {
    "constant": lambda h: (PolicyClass.constant(horizon=h, states=3, actions=4), 4),
    "singletons": lambda h: (PolicyClass.singletons(horizon=h, states=max(h, 2)), h + 1),
    "one active": lambda h: (PolicyClass.one_active(horizon=h, states=h), h + 1),
    "two ones": lambda h: (
        PolicyClass.l_tons(2, horizon=h, states=comb(h, 2) + 1), 1 + h + comb(h, 2),
    ),
    "all active": lambda h: (
        PolicyClass.all_active(horizon=h, states=1 + h * (h + 1) // 2), 1 + h * (h + 1) // 2,
    ),
    "open loop": lambda h: (
        PolicyClass.open_loop(horizon=h, states=3), min(2**h, 6),
    ),
}  # fmt: skip


@pytest.mark.parametrize("horizon", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_forms(name, horizon):
    policies, want = CLOSED[name](horizon)
    found = spanning_capacity(policies)
    assert found.value == want
    check_certificate(found, policies)


@pytest.mark.parametrize(
    ("states", "horizon", "want"), [(2, 3, 3), (3, 4, 4), (2, 2, 3), (4, 4, 5)]
)
def test_singletons_need_as_many_states_as_layers(states, horizon, want):
    # With fewer the groups must share, and one pair is lost.
    found = spanning_capacity(PolicyClass.singletons(horizon=horizon, states=states))
    assert found.exact
    assert found.value == want


def test_all_policies_reach_all_pairs_or_all_words():
    policies = PolicyClass.tabular(horizon=3, states=3)
    np.testing.assert_array_equal(spanning_capacity(policies).by_layer, [2, 4, 6])


CROWDS = {
    "random": lambda: PolicyClass.random(1000, horizon=8, states=10, actions=3, seed=0),
    "near constants": lambda: PolicyClass(
        np.arange(1000)[:, None, None] % 3
        * (np.random.default_rng(1).random((1000, 8, 10)) < 0.9).astype(int), 3,
    ),
    "stationary": lambda: PolicyClass(
        np.broadcast_to(
            np.random.default_rng(2).integers(3, size=(1000, 1, 10)), (1000, 8, 10)), 3,
    ),
    "plans": lambda: PolicyClass(
        PolicyClass.open_loop(horizon=8, states=10, actions=3).table[::6][:1000], 3),
    "few ones": lambda: PolicyClass(
        (np.random.default_rng(3).random((1000, 8, 10)) < 0.02).astype(int) * 2, 3),
    "very few": lambda: PolicyClass(
        (np.random.default_rng(4).random((1000, 8, 10)) < 0.01).astype(int)
        * np.random.default_rng(5).integers(1, 3, size=(1000, 8, 10)), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n in CROWDS if n != "very few"])
def test_a_thousand_policies_take_seconds(name):
    check_crowd(name)


@pytest.mark.slow
def test_a_thousand_sparse_policies_take_seconds():
    check_crowd("very few")


def check_crowd(name):
    policies = CROWDS[name]()
    # Time of this process: others may be at work.
    start = time.process_time()
    found = spanning_capacity(policies)
    assert time.process_time() - start < 10
    check_certificate(found, policies)
    # Pairs of a layer, of which no class reaches more.
    pairs = 20 if name == "few ones" else 30
    if name == "very few":
        assert pairs > found.upper > found.lower
    else:
        assert found.exact
        assert found.value == pairs


# Bad input.


def test_what_is_not_a_class_or_not_deterministic_is_named():
    policies = PolicyClass.constant(horizon=2, states=2)
    with pytest.raises(TypeError, match="expected a PolicyClass"):
        spanning_capacity(np.zeros((2, 2, 2)))
    for name in ("work", "restarts"):
        with pytest.raises(ValueError, match=name):
            spanning_capacity(policies, **{name: 0})
    kernel, zero = np.full((2, 2, 2, 2), 0.5), np.zeros((2, 2, 2))
    with pytest.raises(ValueError, match="transitions has probabilities other"):
        reachable_pairs(EpisodicMDP(kernel, zero, [1.0, 0.0]), policies)
    goes = np.eye(2)[np.zeros((2, 2, 2), dtype=int)]
    with pytest.raises(ValueError, match="initial has probabilities other"):
        reachable_pairs(EpisodicMDP(goes, zero), policies)
    with pytest.raises(ValueError, match="policies has"):
        reachable_pairs(
            EpisodicMDP(goes, zero, [1.0, 0.0]), PolicyClass.constant(horizon=3, states=2)
        )
