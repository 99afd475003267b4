"""Exact and certified evaluation against known equilibria, histories one by one and brute force."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_games import factored_rules, game_trees, random_profile

from rltheory.games.best_response import deviations
from rltheory.games.exact.behaviour import pure_strategies
from rltheory.games.exact.certified import certified_deviations, certified_exploitability
from rltheory.games.exact.exact_form import (
    exact_chances,
    exact_deviations,
    exact_exploitability,
    exact_form,
    exact_nash_conv,
    exact_payoffs,
    exact_regrets,
    rationalise,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import CHANCE, TERMINAL, TreeBuilder, build_tree
from rltheory.games.library import load

SEEDS = st.integers(0, 2**32 - 1)


def kuhn():
    return load("kuhn_poker", form="tree")


def kuhn_equilibrium(alpha):
    """Kuhn (1950): what player 0 bets and calls with, and the only good reply.

    Cards are 0, 1, 2; a set is named by the card and the moves, p (pass) and b (bet).
    """
    third = Fraction(1, 3)
    bets = {
        "0": alpha,
        "1": Fraction(0),
        "2": 3 * alpha,
        "0 pb": Fraction(0),
        "1 pb": alpha + third,
        "2 pb": Fraction(1),
        "0 p": third,
        "1 p": Fraction(0),
        "2 p": Fraction(1),
        "0 b": Fraction(0),
        "1 b": third,
        "2 b": Fraction(1),
    }
    game = kuhn()
    assert set(game.action_labels) == {("p", "b")}
    profile = [(1 - bets[label], bets[label]) for label in game.infoset_labels]
    return np.array(profile, dtype=object).ravel()


def random_fractions(game, seed):
    """A strictly mixed profile of fractions with small denominators."""
    profile = np.empty(game.slots, dtype=object)
    weights = np.random.default_rng(seed).integers(1, 6, size=game.slots)
    for begin, end in pairwise(game.form.first):
        total = int(weights[begin:end].sum())
        profile[begin:end] = [Fraction(int(w), total) for w in weights[begin:end]]
    return profile


def payoffs_by_histories(tree, first, profile):
    """Payoffs in Fractions, history by history; random games have dyadic chances and payoffs."""

    def value(node):
        if tree.to_move[node] == TERMINAL:
            return [Fraction(float(x)) for x in tree.payoffs[node]]
        total = [Fraction(0)] * tree.players
        for action, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            chance = (
                Fraction(float(tree.probability[edge]))
                if tree.to_move[node] == CHANCE
                else profile[first[tree.infoset[node]] + action]
            )
            total = [x + chance * y for x, y in zip(total, value(tree.child[edge]), strict=True)]
        return total

    return tuple(value(0))


@pytest.mark.parametrize("alpha", [Fraction(k, 12) for k in range(5)] + [Fraction(2, 7)])
def test_kuhns_equilibria_are_exactly_equilibria(alpha):
    profile = kuhn_equilibrium(alpha)
    found = exact_deviations(kuhn(), profile)
    assert found.payoffs == (Fraction(-1, 18), Fraction(1, 18))
    assert found.nash_conv == 0
    assert exact_exploitability(kuhn(), profile) == 0
    assert max(exact_regrets(kuhn(), profile)) == 0


@pytest.mark.parametrize("by", [Fraction(1, 100), Fraction(1, 10**30)])
@pytest.mark.parametrize("slot", range(0, 24, 2))
def test_profiles_beside_kuhns_equilibria_are_refuted(slot, by):
    profile = kuhn_equilibrium(Fraction(1, 7))
    by = by if profile[slot + 1] >= by else -by
    profile[slot] += by
    profile[slot + 1] -= by
    assert exact_nash_conv(kuhn(), profile) > 0


def test_chances_are_the_fractions_behind_the_floats():
    form = exact_form(kuhn())
    assert form.zero_sum
    assert {abs(x) for x in form.paid.ravel()} == {Fraction(1, 6), Fraction(2, 6)}
    assert exact_chances([1 / 3, 2 / 3], "here") == [Fraction(1, 3), Fraction(2, 3)]
    # No short fractions are near these, but as floats they sum to 1.
    x = 0.7654321098765432
    assert exact_chances([x, 1 - x], "here") == [Fraction(x), 1 - Fraction(x)]


def test_chances_without_exact_sum_are_refused():
    builder = TreeBuilder(1)
    root = builder.chance(-1, 1.0, 3)
    for chance in (1 / 3, 1 / 3, 1 / 3 + 2e-16):
        builder.leaf(root, chance, [1.0])
    with pytest.raises(ValueError, match=r"the chances at node 0 are .* sum to 1 exactly"):
        exact_form(from_tree(builder.finish()))


def test_factored_games_are_sent_to_their_tree():
    with pytest.raises(ValueError, match=r"factored form.*form='tree'.*Unfolded"):
        exact_form(load("kuhn_poker"))


@pytest.mark.parametrize("sides", [2, 3, 5])
def test_liars_dice_is_rolled_exactly(sides):
    form = exact_form(load("liars_dice", sides=sides, form="tree"))
    assert {abs(x) for x in form.paid.ravel()} == {Fraction(1, sides**2)}


@settings(deadline=None, max_examples=20)
@given(game_trees(), SEEDS)
def test_payoffs_are_those_of_the_histories(tree, seed):
    game = from_tree(tree)
    profile = random_fractions(game, seed)
    expected = payoffs_by_histories(tree, game.form.first, profile)
    assert exact_payoffs(game, profile) == expected
    assert exact_deviations(exact_form(game), profile).payoffs == expected


@settings(deadline=None, max_examples=20)
@given(game_trees(max_depth=4, max_actions=2), SEEDS)
def test_best_responses_are_the_best_pure_strategies(tree, seed):
    game = from_tree(tree)
    profile = random_fractions(game, seed)
    found = exact_deviations(game, profile)
    for p in range(game.players):
        choices = pure_strategies(game, p, reduced=False)
        assume(len(choices) <= 200)
        own = slice(*game.form.slot_start[p : p + 2])
        values = []
        for choice in choices:
            deviation = profile.copy()
            deviation[own] = [Fraction(int(x)) for x in choice]
            values.append(exact_payoffs(game, deviation)[p])
        assert found.best[p] == max(values)
    gains = [b - x for b, x in zip(found.best, found.payoffs, strict=True)]
    assert found.nash_conv == sum(gains)
    assert found.exploitability * game.players == found.nash_conv


@settings(deadline=None, max_examples=20)
@given(game_trees(max_depth=4), SEEDS)
def test_regrets_are_derivatives_of_payoffs(tree, seed):
    # A player's payoff is a polynomial of degree one in the probabilities at one set, and its slope
    # towards an action is the reach of the set times the counterfactual regret.
    game = from_tree(tree)
    profile = random_fractions(game, seed)
    regrets = exact_regrets(game, profile)
    assert regrets.shape == (game.slots,)
    first, owner = game.form.first, game.owner()
    before = exact_payoffs(game, profile)
    for i in range(game.infosets):
        own, at = Fraction(1), game.form.parent[i]
        while at < game.slots:
            own *= profile[at]
            at = game.form.parent[np.searchsorted(first, at, side="right") - 1]
        for j in range(first[i], first[i + 1]):
            towards = profile.copy()
            towards[first[i] : first[i + 1]] = Fraction(0)
            towards[j] = Fraction(1)
            slope = exact_payoffs(game, towards)[owner[i]] - before[owner[i]]
            assert slope == own * regrets[j]


@settings(deadline=None, max_examples=20)
@given(game_trees(), SEEDS)
def test_certified_bounds_contain_the_exact_numbers(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed) if game.slots else game.uniform()
    # Off by roundings, as the profiles of long runs are.
    profile *= 1 + 1e-10 * np.random.default_rng(seed).uniform(-1, 1, size=game.slots)
    _check_certified(game, game, profile)


@settings(deadline=None, max_examples=20)
@given(factored_rules(max_depth=2), SEEDS, st.booleans())
def test_certified_bounds_of_factored_games_contain_those_of_the_tree(rules, seed, blocks):
    game = build_factored(rules, blocks=blocks)
    _check_certified(game, from_tree(build_tree(Unfolded(rules))), random_profile(game, seed))


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("kuhn_poker", {}),
        ("kuhn_poker", {"players": 3}),
        ("leduc_poker", {}),
        ("liars_dice", {"sides": 3}),
        ("goofspiel", {"cards": 4}),
        ("blotto", {}),
    ],
)
def test_certified_bounds_are_narrow(name, parameters):
    game, tree = load(name, **parameters), load(name, form="tree", **parameters)
    for seed in range(3):
        profile = random_profile(game, seed)
        _check_certified(game, tree, profile)
        _check_certified(tree, tree, profile)
    # Rounding is of the order of leaves times 1e-16, on payoffs of up to 13.
    assert certified_exploitability(tree, tree.uniform()).gap < 1e-11
    assert certified_exploitability(game, game.uniform()).gap < 1e-9


def _check_certified(game, with_tree, profile):
    exact = exact_deviations(with_tree, rationalise(with_tree, profile))
    payoffs, best = certified_deviations(game, profile)
    for p in range(game.players):
        assert payoffs.lower[p] <= exact.payoffs[p] <= payoffs.upper[p]
        assert best.lower[p] <= exact.best[p] <= best.upper[p]
    bounds = certified_exploitability(game, profile)
    assert bounds.lower <= exact.exploitability <= bounds.upper
    assert bounds.lower.shape == ()
    computed = deviations(game, profile)
    # Profiles that sum to 1 within 1e-10 move payoffs of at most 8 by less than this.
    assert abs(computed.exploitability - float(exact.exploitability)) < 1e-6


def test_certified_bounds_of_an_equilibrium_begin_at_zero():
    profile = kuhn_equilibrium(Fraction(1, 5)).astype(float)
    bounds = certified_exploitability(kuhn(), profile)
    assert bounds.lower == 0
    assert 0 < bounds.upper < 1e-13


def test_floats_that_do_not_sum_to_one_exactly_are_named():
    game = kuhn()
    profile = game.uniform()
    profile[:2] = [0.1, 0.9]  # As dyadic numbers these sum to slightly more or less than 1.
    assert Fraction(0.1) + Fraction(0.9) != 1
    with pytest.raises(ValueError, match=r"information set '0' sums to 1 [+-] .*rationalise"):
        exact_payoffs(game, profile)
    exact = rationalise(game, profile)
    assert exact[0] == Fraction(0.1) / (Fraction(0.1) + Fraction(0.9))
    assert sum(exact_payoffs(game, exact)) == 0


@pytest.mark.parametrize("function", [exact_payoffs, exact_regrets, rationalise, exact_nash_conv])
def test_what_is_no_profile_is_refused(function):
    game = kuhn()
    with pytest.raises(ValueError, match=r"strategies has shape \(3,\); expected \(24\)"):
        function(game, np.ones(3))
    with pytest.raises(ValueError, match="sums to 2"):
        function(game, np.ones(24))
    with pytest.raises(ValueError, match="probabilities must be >= 0"):
        function(game, np.tile([-1.0, 2.0], 12))
    tiny = kuhn_equilibrium(Fraction(0))
    tiny[:2] = [-Fraction(1, 10**400), 1 + Fraction(1, 10**400)]
    if function is not rationalise:
        with pytest.raises(ValueError, match="probabilities must be >= 0"):
            function(game, tiny)


def test_a_leaf_alone():
    builder = TreeBuilder(2)
    builder.leaf(-1, 1.0, [0.1, -0.1])
    game = from_tree(builder.finish())
    assert exact_payoffs(game, []) == (Fraction(1, 10), Fraction(-1, 10))
    assert exact_nash_conv(game, np.zeros(0)) == 0
    assert len(exact_regrets(game, [])) == 0
    assert certified_exploitability(game, []).upper < 1e-15


def test_payoffs_of_pure_profiles_of_matching_pennies():
    game = load("matching_pennies", form="tree")
    for mine, theirs in product(range(2), repeat=2):
        profile = np.array([Fraction(0)] * 4, dtype=object)
        profile[[mine, 2 + theirs]] = Fraction(1)
        assert abs(exact_payoffs(game, profile)[0]) == 1
        assert exact_nash_conv(game, profile) == 2
