"""Matrix games: payoffs by enumeration, certified NashConv, the classics, bad input."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rltheory.analysis.rational import to_fractions
from rltheory.games.best_response import expected_payoffs, exploitability, nash_conv
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.normal_form.equilibria import exact_nash_conv
from rltheory.games.normal_form.matrix_classics import (
    MATRIX_GAMES,
    battle_of_the_sexes,
    biased_rock_paper_scissors,
    blotto,
    matching_pennies_three,
    prisoners_dilemma,
    rock_paper_scissors,
    shapley,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.payoff_kernels import (
    distance_to_nash,
    flatten,
    pack,
    project_in_place,
    pure_payoffs,
)


@st.composite
def games(draw, max_players=4, max_actions=3):
    """Games of one to four players, some with small integer payoffs, which bring ties."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    actions = [draw(st.integers(1, max_actions)) for _ in range(draw(st.integers(1, max_players)))]
    payoffs = rng.normal(size=(len(actions), *actions)) * rng.choice([1.0, 1e-6, 1e6])
    if draw(st.booleans()):
        payoffs = rng.integers(-2, 3, size=payoffs.shape).astype(float)
    return MatrixGame(payoffs), random_profile(rng, actions)


def random_profile(rng, actions):
    weights = [rng.random(count) * (rng.random(count) < 0.7) + 1e-3 for count in actions]
    return tuple(w / w.sum() for w in weights)


def by_enumeration(game, profile, player):
    """What each action of a player earns, one pure profile after the other."""
    total = [0] * game.actions[player]
    for actions in product(*map(range, game.actions)):
        chance = 1
        for other, action in enumerate(actions):
            if other != player:
                chance *= profile[other][action]
        total[actions[player]] += chance * game.payoffs[(player, *actions)]
    return total


@given(games())
def test_payoffs_agree_with_enumeration(case):
    game, profile = case
    # Each is a sum of products: N terms of at most `largest`, a few roundings each.
    error = 64 * game.payoffs[0].size * 2.0**-53 * np.abs(game.payoffs).max()
    packed, actions = pack(game.payoffs)
    work = np.empty(packed.shape[1])
    for i, gains in enumerate(game.deviation_payoffs(profile)):
        expected = by_enumeration(game, profile, i)
        np.testing.assert_allclose(gains, expected, rtol=0, atol=error)
        compiled = np.empty(game.actions[i])
        pure_payoffs(packed, actions, flatten(profile), i, work, compiled)
        np.testing.assert_allclose(compiled, expected, rtol=0, atol=error)
        own = game.expected_payoffs(profile)[i]
        assert own == pytest.approx(np.dot(profile[i], expected), abs=error)


@given(games())
def test_nash_conv_is_enclosed_by_its_bounds(case):
    game, profile = case
    exact = [to_fractions(s) for s in profile]
    truth = exact_nash_conv(game, [s / sum(s) for s in exact])
    bounds = game.nash_conv_bounds(profile)
    assert Fraction(float(bounds.lower)) <= truth <= Fraction(float(bounds.upper))
    assert bounds.gap <= 1e-11 * max(np.abs(game.payoffs).max(), 1e-30)
    assert game.exploitability(profile) == game.nash_conv(profile) / game.players
    packed, actions = pack(game.payoffs)
    flat = flatten(profile)
    compiled = distance_to_nash(packed, actions, flat, np.empty(packed.shape[1]), flat * 0)
    assert bounds.lower - bounds.gap <= compiled <= bounds.upper + bounds.gap


@given(games(max_players=3), st.integers(0, 2))
def test_nash_conv_counts_a_gain_that_one_player_has(case, seed):
    game, profile = case
    player = seed % game.players
    best = int(np.argmax(game.deviation_payoffs(profile)[player]))
    moved = list(profile)
    moved[player] = np.eye(game.actions[player])[best]
    gain = game.expected_payoffs(moved)[player] - game.expected_payoffs(profile)[player]
    assert gain <= game.nash_conv(profile) + 1e-12 * np.abs(game.payoffs).max()


@pytest.mark.parametrize(
    ("game", "equilibrium"),
    [
        (rock_paper_scissors(), [[1, 1, 1], [1, 1, 1]]),
        (biased_rock_paper_scissors(), [[1, 3, 1], [1, 3, 1]]),
        (prisoners_dilemma(), [[0, 1], [0, 1]]),
        (battle_of_the_sexes(), [[3, 2], [2, 3]]),
        (shapley(), [[1, 1, 1], [1, 1, 1]]),
        (matching_pennies_three(), [[1, 1], [1, 1], [1, 1]]),
    ],
)
def test_classics_have_the_equilibria_of_the_textbooks(game, equilibrium):
    profile = [to_fractions(s) / sum(s) for s in equilibrium]
    assert exact_nash_conv(game, profile) == 0


def test_blotto_counts_fields():
    game = blotto(2, 2)
    # Allocations (0, 2), (1, 1), (2, 0): all of them hold one field or none more than the other.
    assert game.actions == (3, 3)
    assert not game.payoffs.any()
    game = blotto(3, 3)
    assert game.actions == (10, 10)
    allocations = [a for a in product(range(4), repeat=3) if sum(a) == 3]
    assert len(allocations) == 10
    a, b = allocations.index((0, 0, 3)), allocations.index((1, 1, 1))
    assert game.payoffs[0, a, b] == -1
    assert game.is_zero_sum
    assert np.array_equal(game.payoffs[0], -game.payoffs[0].T)


def test_every_named_game_can_be_built():
    for name, build in MATRIX_GAMES.items():
        game = build()
        assert game.players in (2, 3), name
        assert str(game.players) in repr(game)
        with pytest.raises(ValueError, match="read-only"):
            game.payoffs[0] = 0.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([0.0, 0.01, 0.1]))
def test_projection_with_a_floor_is_the_nearest_point(seed, count, floor):
    rng = np.random.default_rng(seed)
    point = rng.normal(size=count) * rng.choice([0.1, 1.0, 100.0])
    if rng.random() < 0.3:
        point = np.round(point)
    projected = point.copy()
    project_in_place(projected, floor)
    scale = max(1.0, np.abs(point).max())
    assert projected.min() >= floor
    assert projected.sum() == pytest.approx(1.0, abs=1e-14 * count * scale)
    # Nearest iff the residual has no positive product with any direction into the set, and it is
    # enough to look at the corners.
    corners = floor + (1 - count * floor) * np.eye(count)
    products = (corners - projected) @ (point - projected)
    assert products.max() <= 1e-13 * count * scale**2


@pytest.mark.parametrize(
    ("payoffs", "message"),
    [
        (np.zeros((0,)), "zero players"),
        (0.0, "zero players"),
        (np.zeros((3, 3)), "zero_sum takes one matrix"),
        (np.zeros((2, 0, 3)), "at least one action"),
        ([[[1.0, np.nan]], [[0.0, 0.0]]], r"payoffs\[0, 0, 1\] is nan"),
        (np.full((1, 1), 1e200), "at most"),
    ],
)
def test_payoffs_that_are_no_game_are_refused(payoffs, message):
    with pytest.raises(ValueError, match=message):
        MatrixGame(payoffs)


def test_bad_arguments_are_named():
    game = rock_paper_scissors()
    with pytest.raises(
        ValueError, match=r"strategies has 1 strategies; expected one for each of 2"
    ):
        game.nash_conv([[1, 0, 0]])
    with pytest.raises(ValueError, match=r"strategies\[1\] sums to 0.5"):
        game.nash_conv([[1, 0, 0], [0.5, 0, 0]])
    with pytest.raises(ValueError, match=r"strategies\[0\] has shape \(2,\)"):
        game.expected_payoffs([[1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match="column_payoffs has shape"):
        MatrixGame.bimatrix([[1, 2]], [[1], [2]])
    with pytest.raises(TypeError, match="matrix must be an array of real numbers"):
        MatrixGame.zero_sum([["a"]])
    with pytest.raises(ValueError, match="soldiers is 0"):
        blotto(0)
    with pytest.raises(ValueError, match=r"strategies\[0\] is no distribution"):
        exact_nash_conv(game, [[2, -1, 0], [1, 0, 0]])
    with pytest.raises(ValueError, match="have lengths"):
        exact_nash_conv(game, [[1], [1, 0, 0]])


@given(games())
def test_distances_to_nash_are_those_of_the_one_shot_extensive_game(case):
    game, profile = case
    extensive, slots = one_shot(game), np.concatenate(profile)
    # Sums of at most 3^4 products, in two orders.
    close = {"abs": 1e-13 * np.abs(game.payoffs).max()}
    assert nash_conv(game, profile) == pytest.approx(nash_conv(extensive, slots), **close)
    assert exploitability(game, profile) == nash_conv(game, profile) / game.players
    paid = expected_payoffs(extensive, slots)
    assert expected_payoffs(game, profile) == pytest.approx(paid, **close)


def test_projection_ends_where_rounding_brings_an_entry_back():
    """The third entry lies on the level, and two sets of entries once took turns for ever."""
    points = np.array([0.5110807507380764, 0.28295836165963084, -0.10298044380114639])
    shares = points.copy()
    project_in_place(shares, 0.0)
    assert shares == pytest.approx(points - points[2], abs=1e-15)
