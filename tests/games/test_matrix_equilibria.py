"""Nash equilibria by enumeration, and the polytopes of correlated equilibria around them."""

import sys
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.games.normal_form.correlated import (
    coarse_correlated_equilibrium,
    coarse_violation,
    correlated_equilibrium,
    correlated_violation,
)
from rltheory.games.normal_form.equilibria import enumerate_equilibria, exact_nash_conv
from rltheory.games.normal_form.matrix_classics import (
    battle_of_the_sexes,
    biased_rock_paper_scissors,
    chicken,
    matching_pennies_three,
    prisoners_dilemma,
    shapley,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.zero_sum import solve_matrix_game

# HiGHS' feasibility tolerance, on incentives scaled to spread at most 1.
HIGHS = 1e-7


def random_game(seed, *actions):
    rng = np.random.default_rng(seed)
    return MatrixGame(rng.normal(size=(len(actions), *actions)))


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_generic_games_have_an_odd_number_of_exact_equilibria(seed, rows, columns):
    pytest.importorskip("quantecon")
    game = random_game(seed, rows, columns)
    found = enumerate_equilibria(game)
    assert found.every_reply_supported
    assert len(found.equilibria) % 2 == 1
    for equilibrium in found.equilibria:
        assert exact_nash_conv(game, equilibrium.exact) == 0
        assert equilibrium.nash_conv.lower <= equilibrium.nash_conv.upper < 1e-12


def test_pure_equilibria_are_all_found():
    pytest.importorskip("quantecon")
    for seed in range(20):
        game = random_game(seed, 4, 3)
        a, b = game.payoffs
        pure = {
            (i, j)
            for i, j in product(range(4), range(3))
            if a[i, j] == a[:, j].max() and b[i, j] == b[i].max()
        }
        found = {
            tuple(int(np.argmax(s)) for s in e.strategies)
            for e in enumerate_equilibria(game).equilibria
            if all(max(s) == 1 for s in e.strategies)
        }
        assert found == pure


def test_known_equilibria_are_found_exactly():
    pytest.importorskip("quantecon")
    found = enumerate_equilibria(battle_of_the_sexes()).equilibria
    exact = {tuple(tuple(s) for s in e.exact) for e in found}
    assert exact == {
        ((1, 0), (1, 0)),
        ((0, 1), (0, 1)),
        ((Fraction(3, 5), Fraction(2, 5)), (Fraction(2, 5), Fraction(3, 5))),
    }
    assert len(enumerate_equilibria(shapley()).equilibria) == 1
    assert len(enumerate_equilibria(prisoners_dilemma()).equilibria) == 1


def test_degeneracy_is_reported():
    pytest.importorskip("quantecon")
    game = MatrixGame.bimatrix([[1, 1], [0, 0]], [[1, 1], [1, 1]])
    found = enumerate_equilibria(game)
    assert not found.every_reply_supported
    for equilibrium in found.equilibria:
        assert exact_nash_conv(game, equilibrium.exact) == 0


def test_enumeration_names_what_is_missing(monkeypatch):
    with pytest.raises(ValueError, match="game has 3 players; expected 2"):
        enumerate_equilibria(matching_pennies_three())
    monkeypatch.setitem(sys.modules, "quantecon.game_theory", None)
    with pytest.raises(ImportError, match=r"rltheory\[interop\]"):
        enumerate_equilibria(chicken())


@settings(deadline=None, max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 3))
def test_correlated_equilibria_contain_nash_and_lie_in_the_coarse_ones(seed, rows, columns):
    pytest.importorskip("quantecon")
    game = random_game(seed, rows, columns)
    best = correlated_equilibrium(game)
    coarse = coarse_correlated_equilibrium(game)
    size = np.abs(game.payoffs).max()
    assert best.violation.upper <= 10 * HIGHS * size
    assert coarse.violation.upper <= 10 * HIGHS * size
    assert coarse_violation(game, best.distribution).upper <= 10 * HIGHS * size
    assert coarse.objective >= best.objective - 20 * HIGHS * size
    for equilibrium in enumerate_equilibria(game).equilibria:
        joint = np.outer(*equilibrium.strategies)
        # Strategies and products are rounded: three roundings of terms below `size`.
        assert correlated_violation(game, joint).lower <= 8 * 2.0**-53 * size
        assert best.objective >= game.expected_payoffs(equilibrium.strategies).sum() - (
            20 * HIGHS * size
        )


@given(st.integers(0, 2**32 - 1), st.sampled_from([(2,), (3, 2), (2, 3, 2)]))
def test_violations_agree_with_enumeration_of_deviation_rules(seed, actions):
    rng = np.random.default_rng(seed)
    game = random_game(seed, *actions)
    joint = rng.dirichlet(np.full(int(np.prod(actions)), 0.5)).reshape(actions)

    def gain(player, rule):
        total = 0.0
        for profile in product(*map(range, actions)):
            moved = list(profile)
            moved[player] = rule[profile[player]]
            change = game.payoffs[(player, *moved)] - game.payoffs[(player, *profile)]
            total += joint[profile] * change
        return total

    rules = [list(product(range(n), repeat=n)) for n in actions]
    internal = max(gain(i, rule) for i in range(len(actions)) for rule in rules[i])
    external = max(gain(i, [b] * n) for i, n in enumerate(actions) for b in range(n))
    for bounds, expected in (
        (correlated_violation(game, joint), internal),
        (coarse_violation(game, joint), external),
    ):
        assert bounds.lower - 1e-12 <= expected <= bounds.upper + 1e-12
        assert bounds.gap < 1e-11


def test_chicken_reaches_aumanns_plan():
    plan = correlated_equilibrium(chicken())
    assert plan.objective == pytest.approx(10.5, abs=1e-6)
    np.testing.assert_allclose(plan.distribution, [[0, 0.25], [0.25, 0.5]], atol=1e-6)
    worst = correlated_equilibrium(chicken(), objective=-chicken().payoffs.sum(axis=0))
    assert -worst.objective < 10.5


def test_zero_sum_payoffs_are_the_value_in_every_coarse_equilibrium():
    game = biased_rock_paper_scissors()
    value = solve_matrix_game(game).value
    for sign in (1, -1):
        plan = coarse_correlated_equilibrium(game, objective=sign * game.payoffs[0])
        assert plan.payoffs[0] == pytest.approx(value, abs=10 * HIGHS)


def test_three_players_correlate():
    game = random_game(5, 2, 3, 2)
    plan = correlated_equilibrium(game)
    assert plan.distribution.shape == (2, 3, 2)
    assert plan.violation.upper <= 10 * HIGHS * np.abs(game.payoffs).max()
    assert plan.objective == pytest.approx(plan.payoffs.sum())


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"objective has shape \(2,\)"):
        correlated_equilibrium(chicken(), objective=[1, 2])
    with pytest.raises(ValueError, match="objective"):
        coarse_correlated_equilibrium(chicken(), objective=np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="distribution sums to 2"):
        correlated_violation(chicken(), np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match="distribution has shape"):
        coarse_violation(chicken(), [1.0])
