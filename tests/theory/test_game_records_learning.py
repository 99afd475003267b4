"""Records on projections, predictions and orbits: their parts against public solvers."""

from fractions import Fraction

import numpy as np
import pytest

from rltheory.analysis.rational import to_fractions
from rltheory.games.normal_form.dynamics import projected_replicator
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.payoff_kernels import project_in_place
from rltheory.games.oracles.alpha_rank import alpha_rank
from rltheory.theory import balls
from rltheory.theory import game_instances as games
from rltheory.theory.records import (
    alpha_rank as alpha_rank_records,
)
from rltheory.theory.records import (
    meta_strategies,
    optimism,
    projection,
    regret_orbits,
)
from rltheory.theory.tape import Tape

SEEDS = range(6)


def floats(array):
    return np.array(array, dtype=np.float64)


@pytest.mark.parametrize("seed", SEEDS)
def test_compiled_alpha_rank_is_nowhere_below_the_floor(seed):
    game = alpha_rank_records.sample_run(Tape(seed=seed), 3).game
    floor = float(alpha_rank_records.coalescence(game)) / game.payoffs[0].size
    ranking = alpha_rank(
        MatrixGame(floats(game.payoffs)),
        intensity=game.intensity * np.log(2.0),
        population=game.population,
    )
    # Elimination subtracts nothing: each entry is off by a few units in the last place.
    assert floor > 0
    assert ranking.distribution.min() >= floor * (1 - 1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_limit_chain_is_the_limit(seed):
    game = alpha_rank_records.sample_run(Tape(seed=seed), 2).game
    far = meta_strategies.alpha_rank_chain(game._replace(intensity=60))
    assert np.abs(floats(alpha_rank_records.limit_chain(game) - far)).max() <= 2.0**-59


@pytest.mark.parametrize("seed", SEEDS)
def test_floored_is_the_compiled_projection(seed):
    generator = np.random.default_rng(seed)
    point = generator.integers(-64, 64, 4) / 64
    nearest = point.copy()
    project_in_place(nearest, 1 / 8)
    exact = projection.floored(to_fractions(point), Fraction(1, 8))
    np.testing.assert_allclose(nearest, floats(exact), atol=1e-15)


@pytest.mark.parametrize(("share", "stays"), [(0.99, True), (1.01, False)])
def test_compiled_replicator_is_held_down_up_to_the_threshold(share, stays):
    floor, actions = 1 / 64, 4
    free = 1 - actions * floor
    better = share * free * (actions - 2) / (1 + free)
    start = np.array([1 - (actions - 1) * floor, floor, floor, floor])
    result = learn(
        MatrixGame(np.array([[0.0, better, -1.0, -1.0]])),
        projected_replicator(0.1, floor),
        iterations=5000,
        start=[start],
    )
    expected = start if stays else start[[1, 0, 2, 3]]
    np.testing.assert_allclose(result.last[0], expected, atol=1e-9)


def test_a_leader_that_was_best_for_long_holds_a_better_action_down():
    # Uniform start, then the first action is best until all others are at the floor.
    strategy, floor, step = games.uniform(4), Fraction(1, 64), Fraction(1, 2)
    before, after = to_fractions([0, -1, -1, -1]), to_fractions([0, Fraction(7, 8), -1, -1])
    for gains in [before] * 40 + [after] * 40:
        strategy = projection.floored(projection.euler(strategy, gains, step), floor)
        strategy = to_fractions(np.round(floats(strategy) * 2**40) / 2**40)
        strategy = strategy / strategy.sum()
    assert strategy[0] > Fraction(9, 10)


def test_compiled_replicator_stops_away_from_equilibrium_in_self_play():
    rows, floor = np.array([[2.0, -2.0], [-2.0, 0.0], [1.0, 2.0]]), 1 / 64
    game = MatrixGame.zero_sum(rows)
    result = learn(game, projected_replicator(1 / 8, floor), iterations=3000)
    for strategy, leader in zip(result.last, (2, 0), strict=True):
        at_floor = np.delete(strategy, leader)
        np.testing.assert_allclose(at_floor, floor, atol=1e-12)
    # Once there nothing moves, exactly, though the first row earns nearly 1 more than the third.
    x, y = to_fractions([floor, floor, 1 - 2 * floor]), to_fractions([1 - floor, floor])
    step, exact = Fraction(1, 8), to_fractions(rows)
    for strategy, earned in ((x, exact @ y), (y, -(x @ exact))):
        moved = projection.floored(projection.euler(strategy, earned, step), Fraction(floor))
        assert (moved == strategy).all()
    assert games.gains(games.zero_sum(exact), (x, y)).sum() > Fraction(9, 10)


@pytest.mark.parametrize("seed", SEEDS)
def test_orbits_enclose_exact_ones(seed):
    orbit = regret_orbits.sample_orbit(Tape(seed=seed), 1)._replace(rounds=5)
    if not regret_orbits.leaning(orbit):
        return
    pennies = to_fractions([[1, -1], [-1, 1]])
    mine, theirs = orbit.start
    leans = balls.precise(regret_orbits._run)(orbit)
    for x, y in zip(*leans, strict=True):
        p, q = games.proportional(mine), games.proportional(theirs)
        up, down = pennies @ q, -(p @ pennies)
        mine, theirs = mine + up - p @ up, theirs + down - q @ down
        for lean, regrets in ((x, mine), (y, theirs)):
            now = games.proportional(regrets)
            assert lean.overlaps(balls.ball(now[0] - now[1]))


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("seed", SEEDS)
def test_any_payoffs_have_a_prediction_that_comes_true(seed, plus):
    generator = np.random.default_rng(seed)
    start = generator.random(3)
    accumulated, regrets = start.copy(), np.zeros(3)
    for _ in range(20):
        gains = generator.random(3) / 16
        low, high = gains.min(), gains.max()
        for _ in range(60):
            level = (low + high) / 2
            weights = np.maximum(accumulated + gains - level, 0.0)
            low, high = (level, high) if weights @ (gains - level) > 0 else (low, level)
        weights = np.maximum(accumulated + gains - low, 0.0)
        played = weights / weights.sum()
        regret = gains - played @ gains
        np.testing.assert_allclose(regret, gains - low, atol=1e-9)
        regrets += regret
        accumulated = accumulated + regret
        if plus:
            accumulated = np.maximum(accumulated, 0.0)
    assert regrets.max() <= np.linalg.norm(start)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_regrets_sum_to_rounds_times_nash_conv(seed):
    match = optimism.sample_match(Tape(seed=seed), 3)
    left, _ = optimism.gradient_sides(match)
    matrix, (x, y), step, rounds = match
    p, q, played = x, y, []
    for _ in range(rounds):
        ahead = matrix @ q, -(p @ matrix)
        p, q = optimism.project(x + step * ahead[0]), optimism.project(y + step * ahead[1])
        played.append((p, q))
        x, y = optimism.project(x + step * (matrix @ q)), optimism.project(y - step * (p @ matrix))
    average = tuple(sum(s) / rounds for s in zip(*played, strict=True))
    assert left == rounds * games.gains(games.zero_sum(matrix), average).sum()
