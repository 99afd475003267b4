"""Behaviour, realisation plans and mixtures reach the same leaves: Kuhn's theorem, exactly."""

from fractions import Fraction
from itertools import pairwise, product
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_games import factored_rules, game_trees, random_profile

from rltheory.analysis.rational import to_fractions
from rltheory.games.exact.behaviour import (
    behaviour,
    behaviour_to_mixed,
    mixed_to_behaviour,
    normal_form,
    pure_plans,
    pure_strategies,
    pure_strategy_count,
    realisation_plan,
)
from rltheory.games.exact.exact_form import exact_payoffs, rationalise
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import build_tree
from rltheory.games.library import load

SEEDS = st.integers(0, 2**32 - 1)
SMALL = game_trees(max_depth=4, max_actions=2)


def exact_profile(game, seed):
    """Small fractions, some of them 0."""
    rng = np.random.default_rng(seed)
    profile = np.empty(game.slots, dtype=object)
    for begin, end in pairwise(game.form.first):
        weights = rng.integers(0, 4, size=end - begin)
        weights[rng.integers(end - begin)] += 1
        profile[begin:end] = [Fraction(int(w), int(weights.sum())) for w in weights]
    return profile


def assume_small(game, most=300):
    assume(
        all(pure_strategy_count(game, p, reduced=False) <= most for p in range(game.players))
        and prod(pure_strategy_count(game, p) for p in range(game.players)) <= 5000
    )


@settings(deadline=None, max_examples=20)
@given(game_trees(), SEEDS)
def test_plans_and_back(tree, seed):
    game = from_tree(tree)
    profile = exact_profile(game, seed)
    plan = realisation_plan(game, profile)
    assert list(plan[game.slots :]) == [1] * game.players
    back = behaviour(game, plan)
    # Where the plan comes, behaviour is the same; elsewhere equally often. So the plan is the same.
    for i, (begin, end) in enumerate(pairwise(game.form.first)):
        if plan[game.form.parent[i]] > 0:
            assert list(back[begin:end]) == list(profile[begin:end])
        else:
            assert list(back[begin:end]) == [Fraction(1, int(end - begin))] * (end - begin)
    assert list(realisation_plan(game, back)) == list(plan)
    assert exact_payoffs(game, back) == exact_payoffs(game, profile)


@settings(deadline=None, max_examples=20)
@given(game_trees(), SEEDS)
def test_floats_are_the_rounded_fractions(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed) if game.slots else game.uniform()
    plan = realisation_plan(game, profile)
    assert plan.dtype == np.float64
    exact = realisation_plan(game, rationalise(game, profile))
    np.testing.assert_allclose(plan, exact.astype(float), rtol=1e-12)
    np.testing.assert_allclose(behaviour(game, plan), profile, rtol=1e-12)


@settings(deadline=None, max_examples=20)
@given(SMALL)
def test_pure_strategies_are_all_choices(tree):
    game = from_tree(tree)
    assume_small(game)
    counts = np.diff(game.form.first)
    for p in range(game.players):
        sets = range(*game.form.infoset_start[p : p + 2])
        rows = {
            tuple(np.concatenate([np.zeros(0), *(np.eye(counts[i])[a] for i, a in choice)]))
            for choice in product(*([(i, a) for a in range(counts[i])] for i in sets))
        }
        unreduced = pure_strategies(game, p, reduced=False)
        assert {tuple(row) for row in unreduced} == rows
        assert len(unreduced) == len(rows) == pure_strategy_count(game, p, reduced=False)
        # Reduced strategies are the different plans of all of them, which they write themselves.
        reduced = pure_strategies(game, p)
        plans = pure_plans(game, p)
        assert {tuple(row) for row in pure_plans(game, p, reduced=False)} == set(map(tuple, plans))
        assert len(reduced) == len(set(map(tuple, plans))) == pure_strategy_count(game, p)
        assert np.array_equal(plans[:, :-1], reduced)


@settings(deadline=None, max_examples=20)
@given(SMALL, SEEDS, st.booleans())
def test_behaviour_is_realised_by_a_mixture(tree, seed, reduced):
    game = from_tree(tree)
    assume_small(game)
    profile = exact_profile(game, seed)
    mixed = behaviour_to_mixed(game, profile, reduced=reduced)
    plan = realisation_plan(game, profile)
    for p, weights in enumerate(mixed):
        assert weights.sum() == 1
        own = slice(*game.form.slot_start[p : p + 2])
        realised = weights @ pure_plans(game, p, reduced=reduced)
        assert list(realised[:-1]) == list(plan[own])
    back = mixed_to_behaviour(game, mixed, reduced=reduced)
    assert list(realisation_plan(game, back)) == list(plan)


@settings(deadline=None, max_examples=20)
@given(SMALL, SEEDS, st.booleans())
def test_mixtures_earn_what_their_behaviour_earns(tree, seed, reduced):
    game = from_tree(tree)
    assume_small(game, most=40)
    rng = np.random.default_rng(seed)
    mixed = []
    for p in range(game.players):
        weights = rng.integers(0, 3, size=pure_strategy_count(game, p, reduced=reduced))
        weights[rng.integers(len(weights))] += 1
        mixed.append(np.array([Fraction(int(w), int(weights.sum())) for w in weights]))
    matrix = normal_form(game, reduced=reduced)
    # Chances and payoffs of random games are multiples of powers of two: the matrix is exact.
    expected = []
    for p in range(game.players):
        tensor = to_fractions(matrix.payoffs[p])
        for weights in reversed(mixed):
            tensor = np.asarray(tensor @ weights, dtype=object)
        expected.append(tensor[()])
    profile = mixed_to_behaviour(game, mixed, reduced=reduced)
    assert list(exact_payoffs(game, profile)) == expected


@settings(deadline=None, max_examples=15)
@given(factored_rules(max_depth=2, max_hands=2), st.booleans())
def test_normal_forms_of_factored_games_are_those_of_their_tree(rules, blocks):
    game, tree = build_factored(rules, blocks=blocks), from_tree(build_tree(Unfolded(rules)))
    assume(prod(pure_strategy_count(game, p) for p in range(game.players)) <= 5000)
    np.testing.assert_allclose(normal_form(game).payoffs, normal_form(tree).payoffs, atol=1e-12)


def test_kuhn_has_27_by_64_reduced_strategies():
    # Three cards: check-fold, check-call or bet each; and two answers to each of two moves each.
    game = load("kuhn_poker")
    assert normal_form(game).actions == (3**3, 4**3)
    assert [pure_strategy_count(game, p, reduced=False) for p in range(2)] == [4**3, 4**3]
    assert normal_form(game).is_zero_sum


def test_what_is_no_plan_is_refused():
    game = load("kuhn_poker")
    plan = realisation_plan(game, game.uniform())
    with pytest.raises(ValueError, match=r"plan has shape \(24,\); expected \(26\)"):
        behaviour(game, plan[:24])
    for at, number, message in [
        (24, 0.5, "the empty sequence of player 0, is 0.5; expected 1"),
        (0, -0.1, r"plan\[0\] is -0.1"),
        (0, 0.7, "after information set '0'"),
        (3, np.nan, "must be finite"),
    ]:
        wrong = plan.copy()
        wrong[at] = number
        with pytest.raises(ValueError, match=message):
            behaviour(game, wrong)
    exact = realisation_plan(game, rationalise(game, game.uniform()))
    exact[0] += Fraction(1, 10**30)
    with pytest.raises(ValueError, match="after information set '0'"):
        behaviour(game, exact)


def test_what_is_no_mixture_is_refused():
    game = load("kuhn_poker")
    mine, theirs = behaviour_to_mixed(game, game.uniform())
    with pytest.raises(ValueError, match="mixed has 1 arrays; expected one for each of 2"):
        mixed_to_behaviour(game, [mine])
    with pytest.raises(ValueError, match=r"mixed\[1\] has shape"):
        mixed_to_behaviour(game, [mine, mine])
    with pytest.raises(ValueError, match=r"mixed\[0\] sums to 2"):
        mixed_to_behaviour(game, [2 * mine, theirs])
    with pytest.raises(ValueError, match=r"mixed\[1\] .* smallest entry -1"):
        mixed_to_behaviour(game, [mine, np.eye(64)[0] * 2 - np.eye(64)[1]])


def test_players_and_sizes_are_checked():
    game = load("kuhn_poker")
    with pytest.raises(ValueError, match="player is 2; expected 0 to 1"):
        pure_strategies(game, 2)
    with pytest.raises(ValueError, match="player is -1; expected 0 to 1"):
        pure_strategy_count(game, -1)
    with pytest.raises(ValueError, match=r"player 0 of kuhn.* has 27 reduced pure strategies"):
        pure_strategies(game, 0, limit=100)
    with pytest.raises(ValueError, match="has 27 x 64 reduced"):
        normal_form(game, limit=1000)
