"""Records on games in normal form: their parts against public solvers."""

import math
from fractions import Fraction

import numpy as np
import pytest

from rltheory.analysis.rational import to_fractions
from rltheory.games.normal_form.learning import learn, learn_against
from rltheory.games.normal_form.matrix_classics import battle_of_the_sexes, chicken
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.payoff_kernels import project_in_place
from rltheory.games.normal_form.zero_sum import solve_matrix_game
from rltheory.games.oracles.alpha_rank import alpha_rank, transition_matrix
from rltheory.games.oracles.shor import Shor, solve_shor
from rltheory.theory import exact
from rltheory.theory import game_instances as games
from rltheory.theory.records import (
    correlated_play,
    fictitious_play,
    last_iterates,
    meta_strategies,
    shor,
)
from rltheory.theory.tape import Tape

SEEDS = range(6)


def floats(array):
    return np.array(array, dtype=np.float64)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("plus", [False, True])
def test_exact_regret_matching_plays_what_the_kernel_plays(seed, plus):
    payoffs = games.challenge(
        40, 2 + seed % 3, lambda t, accumulated: games.contrary(accumulated), plus=plus
    )
    learner = games.regret_matching(payoffs, plus=plus)
    rule = "regret_matching_plus" if plus else "regret_matching"
    record = learn_against(floats(payoffs), rule)
    np.testing.assert_allclose(record.strategies, floats(learner.strategies), atol=1e-9)
    assert record.regret == pytest.approx(float(learner.regrets.sum(axis=0).max()), abs=1e-9)


def test_exact_predictions_play_what_the_kernel_plays():
    payoffs = games.matrix(Tape(seed=1), 7, 3)
    predictions = exact.fractions(np.zeros(payoffs.shape))
    for t in range(1, 7):
        seen = games.regret_matching(payoffs[:t], plus=True, predictions=predictions[:t])
        predictions[t] = seen.regrets[-1]
    learner = games.regret_matching(payoffs, plus=True, predictions=predictions)
    record = learn_against(floats(payoffs), "predictive_regret_matching_plus")
    np.testing.assert_allclose(record.strategies, floats(learner.strategies), atol=1e-12)


def test_tamed_payoffs_keep_their_range_and_nearly_their_size():
    weights = to_fractions([3, -1, 2.5])
    given = to_fractions([0, 1, 0.5])
    tamed = games.tamed(given, weights)
    assert all(Fraction(999, 1000) * a <= b <= a for a, b in zip(given, tamed, strict=True))
    # The mean is short: the sum of weights, 11/2, has left its denominator.
    assert (games.proportional(weights) @ tamed).denominator % 11


@pytest.mark.parametrize("seed", SEEDS)
def test_optimal_strategies_secure_the_value_of_the_public_solver(seed):
    rows = games.matrix(Tape(seed=seed), 3, 4)
    value = solve_matrix_game(rows, arithmetic="rational").value
    assert (games.optimal_rows(rows) @ rows).min() == value
    assert (rows @ games.optimal_columns(rows)).max() == value


@pytest.mark.parametrize("actions", [2, 3, 5])
def test_both_bounds_by_internal_regret_are_attained(actions):
    one = to_fractions(np.eye(actions))
    left, right = correlated_play.kinds_sides(correlated_play.Steps(one, 1 - one))
    assert list(left) == list(right) == [actions - 1, actions]


def test_equilibria_of_two_classics():
    third, two_fifths = Fraction(1, 3), Fraction(2, 5)
    found = games.equilibria(to_fractions(chicken().payoffs))
    assert {(x[0], y[0]) for x, y in found} == {(1, 0), (0, 1), (third, third)}
    found = games.equilibria(to_fractions(battle_of_the_sexes().payoffs))
    assert {(x[0], y[0]) for x, y in found} == {(1, 1), (0, 0), (1 - two_fifths, two_fifths)}


@pytest.mark.parametrize("seed", SEEDS)
def test_exact_projection_is_the_kernels(seed):
    point = games.matrix(Tape(seed=seed), 4, low=-1, high=2)
    nearest = last_iterates.project(point)
    assert sum(nearest) == 1
    moved = floats(point)
    project_in_place(moved, 0.0)
    np.testing.assert_allclose(moved, floats(nearest), atol=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_chain_is_alpha_ranks(seed):
    instance = meta_strategies.sample_any(Tape(seed=seed), 3)
    game = MatrixGame(floats(instance.payoffs))
    # Moderate intensities: rates below 1e-100 are raised in the public chain.
    instance = instance._replace(intensity=1 + seed % 2)
    settings = {
        "intensity": instance.intensity * math.log(2),
        "population": instance.population,
    }
    chain = meta_strategies.alpha_rank_chain(instance)
    np.testing.assert_allclose(transition_matrix(game, **settings), floats(chain), atol=1e-14)
    ranking = alpha_rank(game, **settings)
    np.testing.assert_allclose(
        ranking.distribution.ravel(), floats(exact.stationary(chain)), rtol=1e-10
    )


@pytest.mark.parametrize("baseline", ["mean", "strategy"])
@pytest.mark.parametrize("normalise", [False, True])
def test_the_exact_listing_is_shors_kernel(baseline, normalise):
    payoffs = games.matrix(Tape(seed=3), 2, 3, 2, bits=0)
    inner = shor.Inner(payoffs, 4, baseline, normalise, Fraction(1, 2))
    average, last = solve_shor(
        MatrixGame(floats(payoffs)),
        4,
        blend=0.0,
        temperature=1.0,
        momentum=0.5,
        diversity=0.0,
        normalise=normalise,
        baseline=baseline,
    )
    run = shor.solve(inner)
    for i in range(2):
        np.testing.assert_allclose(average[i], floats(run.average[i]), atol=1e-12)
        np.testing.assert_allclose(last[i], floats(run.played[i][-1]), atol=1e-12)


def test_shor_as_published_misses_the_equilibrium_of_uneven_pennies():
    game = MatrixGame(floats(shor.uneven_pennies()))
    assert game.nash_conv(Shor.training()(game.payoffs, 75)) > 0.9
    assert game.exploitability(Shor.evaluation()(game.payoffs, 75)) > 0.9
    assert game.nash_conv(learn(game, "regret_matching_plus", iterations=8000).average) < 0.05
    corrected = Shor(blend=(0, 0), diversity=(0, 0), momentum=0.0, baseline="strategy")
    assert game.nash_conv(corrected(game.payoffs, 75)) < 0.05


def test_shor_as_published_keeps_a_dominated_action():
    game = MatrixGame.zero_sum([[3], [2], [0]])
    rows, _ = Shor.evaluation()(game.payoffs, 75)
    # One per cent is blended in from the best reply.
    assert rows[1] == pytest.approx(0.99 / 5, abs=1e-6)


def test_shapleys_limit_is_the_one_that_the_record_names():
    z = 0.5
    for _ in range(60):
        z -= (z**3 + z - 1) / (3 * z**2 + 1)
    corner = z**2 / (1 + z**2 + z**4)
    assert corner > 0.275
    # In this game the first player's payoffs are the second's counts, the second's the first's,
    # turned by one; both together earn what is on the diagonal and on the one beside it.
    first, second, found = [0, 0, 0], [0, 0, 0], []
    row = column = 0
    for rounds in range(1, 16001):
        first[row] += 1
        second[column] += 1
        turned, ahead = [first[2], *first[:2]], [*second[1:], second[0]]
        both = sum(a * (b + c) for b, a, c in zip(second, first, ahead, strict=True))
        found.append((max(second) + max(turned) - both / rounds) / rounds)
        row, column = second.index(max(second)), turned.index(max(turned))
        if rounds in (1, 10, 100, 1000):
            instance = fictitious_play.Fictitious(fictitious_play.shapley(), (0, 0), rounds)
            _, distance = fictitious_play.fictitious_sides(instance)
            assert float(distance) == pytest.approx(found[-1])
    assert corner < min(found) < corner + 0.001


def test_fictitious_play_leaves_an_equilibrium_that_it_came_upon():
    start = fictitious_play.Fictitious(fictitious_play.shapley(), (0, 2), 3)
    assert not any(games.gains(start.payoffs, fictitious_play.fictitious_play(start)))
    later = fictitious_play.fictitious_play(start._replace(rounds=30))
    assert games.gains(start.payoffs, later).sum() > Fraction(11, 40)


@pytest.mark.parametrize(("rows", "claimed"), [([[2, 3], [3, -3]], (1, 6, 0)), ([[5]], (0,))])
def test_double_oracle_on_known_games(rows, claimed):
    assert meta_strategies.double_oracle(to_fractions(rows)).distances == claimed
