"""The sequence-form program against known values, the normal form, CFR's bounds and brute force."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_games import factored_rules, random_profile

from rltheory.games.exact import exact_equilibrium
from rltheory.games.exact.behaviour import check_normal_form, normal_form, pure_strategy_count
from rltheory.games.exact.certified import certified_deviations, certified_exploitability
from rltheory.games.exact.exact_equilibrium import simplex_equilibrium, vertex_equilibrium
from rltheory.games.exact.exact_form import exact_deviations, exact_form, exact_nash_conv
from rltheory.games.exact.sequence_form import sequence_form_nash
from rltheory.games.exact.sequence_program import FloatVertex, float_vertex
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.random_games import random_game
from rltheory.games.forms.tree import TreeBuilder, build_tree
from rltheory.games.library import load
from rltheory.games.normal_form.zero_sum import solve_matrix_game
from rltheory.games.regret.cfr import cfr

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def zero_sum_games(draw, max_depth=5):
    return from_tree(
        random_game(
            draw(SEEDS),
            depth=draw(st.integers(0, max_depth)),
            actions=draw(st.integers(1, 3)),
            chance=draw(st.sampled_from([0.0, 0.2, 0.5])),
            stop=draw(st.sampled_from([0.0, 0.2])),
            merge=draw(st.sampled_from([0.0, 0.7, 1.0])),
        )
    )


def test_kuhn_is_worth_minus_one_eighteenth_exactly():
    # Kuhn (1950).
    game = load("kuhn_poker", form="tree")
    solution = sequence_form_nash(game, arithmetic="rational")
    assert solution.value == Fraction(-1, 18)
    assert solution.by == "vertex"
    assert exact_nash_conv(game, solution.strategies) == 0
    bounds = sequence_form_nash(game).bounds
    assert bounds.lower <= solution.value <= bounds.upper
    assert bounds.gap < 1e-12


def test_leduc_is_worth_what_the_literature_says():
    # Lanctot et al. (2019, OpenSpiel) and many others give -0.0856.
    game = load("leduc_poker")
    solution = sequence_form_nash(game)
    assert round(solution.value, 4) == -0.0856
    assert solution.gap < 1e-8
    assert certified_exploitability(game, solution.strategies).upper < 1e-8


def test_leduc_exactly():
    game = load("leduc_poker", form="tree")
    solution = sequence_form_nash(game, arithmetic="rational")
    bounds = sequence_form_nash(game).bounds
    assert bounds.lower <= solution.value <= bounds.upper
    assert exact_deviations(game, solution.strategies).best == (solution.value, -solution.value)


@pytest.mark.parametrize(
    ("name", "parameters"), [("matching_pennies", {}), ("goofspiel", {"cards": 3}), ("blotto", {})]
)
def test_games_in_which_the_players_are_alike_are_worth_nothing(name, parameters):
    if name == "blotto":
        parameters = {"coins": (5, 5)}
    game = load(name, form="tree", **parameters)
    assert sequence_form_nash(game, arithmetic="rational").value == 0
    bounds = sequence_form_nash(game).bounds
    assert bounds.lower <= 0 <= bounds.upper


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("kuhn_poker", {}), ("leduc_poker", {}), ("liars_dice", {"sides": 4})],
)
def test_averages_of_cfr_enclose_the_same_value(name, parameters):
    game = load(name, **parameters)
    average = cfr(game, "cfr_plus", iterations=300, checkpoints=1).average
    _, best = certified_deviations(game, average)
    solution = sequence_form_nash(game)
    assert -best.upper[1] <= solution.bounds.upper
    assert solution.bounds.lower <= best.upper[0]
    assert best.upper[0] + best.upper[1] < 0.05
    assert solution.gap < 1e-8


@settings(deadline=None, max_examples=20)
@given(zero_sum_games())
def test_exact_and_certified_values_of_random_games(game):
    exact = sequence_form_nash(game, arithmetic="rational")
    floats = sequence_form_nash(game)
    # Best responses guarantee each side the value: this alone proves it.
    assert exact_deviations(game, exact.strategies).best == (exact.value, -exact.value)
    assert floats.bounds.lower <= exact.value <= floats.bounds.upper
    # HiGHS' tolerance is 1e-7 on payoffs over the largest, which is at most 8.
    assert floats.gap < 1e-5
    assert 0 <= floats.slackness <= floats.gap
    assert floats.value == pytest.approx(float(exact.value), abs=floats.gap)


@settings(deadline=None, max_examples=20)
@given(zero_sum_games(max_depth=4))
def test_the_normal_form_has_the_same_value_exactly(game):
    value = sequence_form_nash(game, arithmetic="rational").value
    for reduced in (True, False):
        counts = [pure_strategy_count(game, p, reduced=reduced) for p in range(2)]
        if counts[0] * counts[1] <= 2000:
            matrix = normal_form(game, reduced=reduced)
            assert solve_matrix_game(matrix, arithmetic="rational").value == value


@settings(deadline=None, max_examples=20)
@given(factored_rules(min_players=2, max_players=2, max_depth=2), st.booleans())
def test_factored_games_have_the_value_of_their_tree(rules, blocks):
    assume(rules.zero_sum)
    tree = from_tree(build_tree(Unfolded(rules)))
    bounds = sequence_form_nash(build_factored(rules, blocks=blocks)).bounds
    assert bounds.lower <= sequence_form_nash(tree, arithmetic="rational").value <= bounds.upper


@settings(deadline=None, max_examples=20)
@given(zero_sum_games(), SEEDS)
def test_no_profile_proves_more_than_the_value(game, seed):
    value = sequence_form_nash(game, arithmetic="rational").value
    profile = random_profile(game, seed) if game.slots else game.uniform()
    _, best = certified_deviations(game, profile)
    assert -best.upper[1] <= value <= best.upper[0]


@settings(deadline=None, max_examples=20)
@given(zero_sum_games(max_depth=4))
def test_the_simplex_method_finds_equilibria_too(game):
    form = exact_form(game)
    counts = [pure_strategy_count(game, p) for p in range(2)]
    if counts[0] * counts[1] <= 2000:
        strategies = simplex_equilibrium(form)
        value = sequence_form_nash(game, arithmetic="rational").value
        assert exact_deviations(form, strategies).best == (value, -value)


def wrong_vertex(game, method="highs-ds"):
    """A plan that plays the first action everywhere, with no inequality tight."""
    plan = np.zeros(game.slots)
    plan[game.form.first[:-1]] = 1.0
    return FloatVertex(plan, np.zeros(game.slots, dtype=bool))


def test_a_wrong_vertex_is_not_believed(monkeypatch):
    game = load("kuhn_poker", form="tree")
    assert vertex_equilibrium(exact_form(game), wrong_vertex(game)) is None
    right = float_vertex(game)
    tight = FloatVertex(right.plan, np.ones(game.slots, dtype=bool))
    assert vertex_equilibrium(exact_form(game), tight) is None
    monkeypatch.setattr(exact_equilibrium, "float_vertex", wrong_vertex)
    solution = sequence_form_nash(game, arithmetic="rational")
    assert (solution.value, solution.by) == (Fraction(-1, 18), "simplex")


def test_large_games_without_an_optimal_vertex_say_so(monkeypatch):
    monkeypatch.setattr(exact_equilibrium, "float_vertex", wrong_vertex)
    with pytest.raises(ArithmeticError, match=r"no vertex .* reduced pure strategies"):
        sequence_form_nash(load("leduc_poker", form="tree"), arithmetic="rational")


def test_games_that_the_program_does_not_fit_are_named():
    with pytest.raises(ValueError, match=r"kuhn_poker\(players=3\) has 3 players"):
        sequence_form_nash(load("kuhn_poker", players=3))
    builder = TreeBuilder(2)
    builder.leaf(-1, 1.0, [1.0, 1.0])
    with pytest.raises(ValueError, match="do not sum to 0"):
        sequence_form_nash(from_tree(builder.finish(), "gift"))
    with pytest.raises(ValueError, match="arithmetic is 'decimal'"):
        sequence_form_nash(load("kuhn_poker"), arithmetic="decimal")
    with pytest.raises(ValueError, match="form='tree'"):
        sequence_form_nash(load("kuhn_poker"), arithmetic="rational")


def test_normal_forms_that_are_too_large_are_refused_at_once():
    with pytest.raises(ValueError, match=r"has 1e\d+ x 1e\d+ reduced pure strategies"):
        normal_form(load("leduc_poker"))
    with pytest.raises(ValueError, match=r"27 x 64 reduced pure strategies; expected at most 100"):
        check_normal_form(load("kuhn_poker"), reduced=True, limit=100)


@pytest.mark.slow
@pytest.mark.parametrize(("sides", "histories"), [(5, 51176), (6, 294877)])
def test_liars_dice_exactly(sides, histories):
    game = load("liars_dice", sides=sides, form="tree")
    assert game.histories == histories
    exact = sequence_form_nash(game, arithmetic="rational")
    bounds = sequence_form_nash(load("liars_dice", sides=sides)).bounds
    assert bounds.lower <= exact.value <= bounds.upper
    assert bounds.gap < 1e-8
