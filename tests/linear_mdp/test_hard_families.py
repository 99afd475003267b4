"""Families behind lower bounds: their values against sums over what happens, and their refusals."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from actor_critic_reference import value_of
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.linear_mdp.actor_critic.linear_nora import linear_nora
from rltheory.linear_mdp.actor_critic.runs import optimal_value
from rltheory.linear_mdp.environments.hard_families import (
    chain_value,
    fine_lock,
    hypercube,
    two_state_chain,
    waiting_tree,
)
from rltheory.linear_mdp.online import lsvi_ucb
from rltheory.tabular import EpisodicMDP

SEEDS = st.integers(0, 2**32 - 1)


def values(mdp: EpisodicMDP) -> tuple[float, float]:
    """Return the best value and that of the uniform policy."""
    uniform = np.full(mdp.rewards.shape, 1.0 / mdp.actions)
    return optimal_value(mdp), value_of(mdp, uniform)


@given(
    actions=st.integers(2, 4),
    levels=st.integers(1, 3),
    waiting=st.integers(1, 4),
    paid=st.integers(1, 4),
    gap=st.floats(0.0, 0.5),
    seed=SEEDS,
)
@settings(max_examples=12)
def test_a_tree_is_worth_what_it_says(actions, levels, waiting, paid, gap, seed):
    horizon = waiting + levels + paid
    mdp = waiting_tree(actions, levels, gap=gap, waiting=waiting, horizon=horizon, seed=seed)
    nodes = sum(actions**k for k in range(levels))
    assert (mdp.horizon, mdp.states, mdp.actions) == (horizon, 3 + nodes, actions)
    best, uniform = values(mdp)
    assert best == pytest.approx(paid * (0.5 + gap), rel=1e-12)
    # The triple is read off: the one row that leads to state 1 with another probability.
    better = np.argwhere(mdp.transitions[:, 3:, :, 1] > 0.5)
    if gap > 1e-9:
        assert len(better) == 1
        late = better[0, 0] - levels
        enters = (1 / actions) ** late * (1 - 1 / actions if late < waiting - 1 else 1.0)
        leaves = actions ** (levels - 1)
        assert uniform == pytest.approx(paid * (0.5 + gap * enters / leaves / actions), rel=1e-12)


def test_every_way_through_a_tree_meets_one_leaf_and_pays_half():
    """All sequences of actions, followed by hand until the leaf: only one pays the gap."""
    mdp = waiting_tree(2, 3, gap=0.2, waiting=3, horizon=8, seed=3)
    worth = []
    for actions in itertools.product(range(2), repeat=6):
        state = 0
        for h, a in enumerate(actions):
            row = mdp.transitions[h, state, a]
            if row.max() < 1.0:
                break
            state = int(row.argmax())
        assert state >= 3 + 3
        worth.append((h - 3, state, a, round(float(row[1]), 12)))
    tried = set(worth)
    # Three steps, four leaves, two actions; the better one is one of them.
    assert len(tried) == 3 * 4 * 2
    assert sorted(p for *_, p in tried) == [0.5] * 23 + [0.7]


@given(
    actions=st.integers(1, 5),
    horizon=st.integers(3, 12),
    rate=st.one_of(st.none(), st.floats(0.01, 0.45)),
    share=st.floats(0.0, 1.0),
    seed=SEEDS,
)
@settings(max_examples=12)
def test_a_chain_is_worth_what_it_says(actions, horizon, rate, share, seed):
    delta = 1 / horizon if rate is None else rate
    gap = share * (1 - 2 * delta)
    mdp = two_state_chain(actions, gap=gap, rate=rate, horizon=horizon, seed=seed)
    best, uniform = values(mdp)
    formula = partial(chain_value, rate=rate, horizon=horizon)
    assert best == pytest.approx(formula(delta + gap), rel=1e-10)
    assert uniform == pytest.approx(formula(delta + gap / actions), rel=1e-10)


def test_a_chain_of_eight_steps_in_fractions():
    delta, gap, met, total = Fraction(1, 8), Fraction(1, 4), Fraction(0), Fraction(0)
    for h in range(8):
        total += met
        leave = delta + (gap if h < 4 else 0)
        met = met * (1 - delta) + (1 - met) * leave
    mdp = two_state_chain(3, gap=0.25, horizon=8, seed=0)
    assert optimal_value(mdp) == pytest.approx(float(total), rel=1e-14)
    assert chain_value(0.375, horizon=8) == pytest.approx(float(total), rel=1e-14)


@given(bits=st.integers(1, 4), horizon=st.integers(2, 8), share=st.floats(0.0, 1.0), seed=SEEDS)
@settings(max_examples=10)
def test_a_hypercube_is_worth_what_it_says(bits, horizon, share, seed):
    gap = share / horizon / bits
    model = hypercube(bits, gap=gap, horizon=horizon, seed=seed)
    assert (model.actions, model.dimension) == (2**bits, bits + 2)
    np.testing.assert_allclose(np.linalg.norm(model.features, axis=-1), 1.0, rtol=1e-12)
    mdp = model.to_tabular()
    best, uniform = values(mdp)
    for value, p in ((best, 1 / horizon + bits * gap), (uniform, 1 / horizon)):
        # State 1 pays in all steps after the one at which it is entered.
        late = sum((1 - p) ** h * p * (horizon - 1 - h) for h in range(horizon))
        assert value == pytest.approx(late, rel=1e-10, abs=1e-12)
        assert value == pytest.approx(horizon - (1 - (1 - p) ** horizon) / p, rel=1e-9, abs=1e-12)


def test_a_hypercube_leaves_by_the_signs_that_agree():
    model = hypercube(3, gap=0.04, rate=0.2, horizon=4, seed=5)
    kernel = model.to_tabular().transitions
    corners = list(itertools.product((-1, 1), repeat=3))
    for h in range(4):
        best = corners[int(kernel[h, 0, :, 1].argmax())]
        for a, corner in enumerate(corners):
            agree = sum(x * y for x, y in zip(corner, best, strict=True))
            assert kernel[h, 0, a, 1] == pytest.approx(0.2 + 0.04 * agree, abs=1e-12)


def test_learners_with_features_run_on_a_hypercube():
    """A large gap is found: the last policy loses less than a third of the uniform one's loss."""
    model = hypercube(2, gap=0.15, rate=0.4, horizon=4, seed=1)
    best, uniform = values(model.to_tabular())
    run = linear_nora(model, episodes=1500, bonus=0.1, seed=0)
    assert run.optimum == pytest.approx(best, rel=1e-12)
    assert run.suboptimality[-1] < (best - uniform) / 3
    learn = partial(lsvi_ucb, model, episodes=1500, known_rewards=True, checkpoints=[1500], seed=0)
    curve = learn(bonus=2.0)
    assert float(curve.optimum.lower) == pytest.approx(best, rel=1e-9)
    assert curve.suboptimality[-1] < (best - uniform) / 3
    # Ridge regression takes corners that were not tried for worse than they are, so that a bonus
    # short of values keeps to the first ones.
    assert learn(bonus=0.1).suboptimality[-1] > best - uniform


@given(length=st.integers(1, 4), actions=st.integers(2, 4), gap=st.floats(0.0, 0.5), seed=SEEDS)
@settings(max_examples=10)
def test_a_fine_lock_is_worth_what_it_says(length, actions, gap, seed):
    mdp = fine_lock(length, actions, gap=gap, seed=seed, distractor=0.2)
    assert (mdp.horizon, mdp.states) == (length + 2, 4)
    best, uniform = values(mdp)
    assert best == pytest.approx(0.5 + gap, rel=1e-12)
    chance = 0.2 / actions + actions**-length * (0.5 + gap / actions)
    assert uniform == pytest.approx(chance, rel=1e-12)


def test_behind_the_lock_is_what_the_lock_hides():
    """Of all policies of a small lock, those that lose the gap at most open it at every step."""
    mdp = fine_lock(1, 2, gap=0.05, seed=0, distractor=0.1)
    met = [(0, 0), (0, 1), (1, 0), (1, 1)]
    close = []
    for actions in itertools.product(range(2), repeat=4):
        policy = np.full(mdp.rewards.shape, 0.5)
        for (h, s), a in zip(met, actions, strict=True):
            policy[h, s] = np.eye(2)[a]
        loss = optimal_value(mdp) - value_of(mdp, policy)
        if loss <= 0.05 + 1e-12:
            close.append(actions)
        else:
            # Half of the episodes, those that start in the wrong thread, walk away.
            assert loss > 0.5 * (0.5 - 0.1)
    assert {actions[:2] for actions in close} == {(1, 1)}
    assert len(close) == 4


@pytest.mark.parametrize(
    "make",
    [
        partial(waiting_tree, gap=0.1),
        partial(two_state_chain, gap=0.1),
        partial(hypercube, gap=0.05),
        partial(fine_lock, gap=0.1),
    ],
)
def test_what_is_better_is_drawn_by_the_seed(make: Callable[..., EpisodicMDP]):
    def drawn(seed: int) -> bytes:
        model = make(seed=seed)
        table = model if isinstance(model, EpisodicMDP) else model.to_tabular()
        return table.transitions.tobytes()

    assert drawn(0) == drawn(0)
    assert len({drawn(seed) for seed in range(20)}) > 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(waiting_tree, 1, gap=0.1, seed=0), "actions is 1; expected at least 2"),
        (partial(waiting_tree, gap=0.6, seed=0), "gap is 0.6"),
        (partial(waiting_tree, gap=0.1, horizon=5, seed=0), r"waiting \+ levels = 5 steps"),
        (partial(waiting_tree, gap=0.1, waiting=0, seed=0), "waiting is 0"),
        (partial(two_state_chain, gap=0.9, seed=0), r"gap is 0.9; .* \[0, 0.75\]"),
        (partial(two_state_chain, gap=0.1, rate=0.6, seed=0), "rate is 0.6"),
        (partial(two_state_chain, gap=0.0, horizon=1, seed=0), "horizon is 1"),
        (partial(two_state_chain, gap=float("nan"), seed=0), "gap is nan"),
        (partial(chain_value, 0.0), "leave is 0"),
        (partial(hypercube, gap=0.1, seed=0), "gap is 0.1"),
        (partial(hypercube, 0, gap=0.1, seed=0), "bits is 0"),
        (partial(fine_lock, gap=0.1, distractor=0.5, seed=0), "distractor is 0.5"),
        (partial(fine_lock, 2, 1, gap=0.1, seed=0), "actions is 1; expected at least 2"),
    ],
)
def test_parameters_that_do_not_fit_are_named(make: Callable[[], object], message: str):
    with pytest.raises(ValueError, match=message):
        make()
