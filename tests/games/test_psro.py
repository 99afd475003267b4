"""PSRO and double oracle: plain restatements of solvers, values of games, arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import random_profile

from rltheory.games.best_response import (
    exploitability,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.forms.random_games import random_game
from rltheory.games.library import load
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_classics import (
    prisoners_dilemma,
    rock_paper_scissors,
    shapley,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.normal_form.zero_sum import solve_matrix_game
from rltheory.games.oracles.meta_solvers import META_SOLVERS, RegretMatching
from rltheory.games.oracles.psro import double_oracle, psro

# Payoffs are at most 8 in size and a payoff is a sum of at most a few thousand products of
# probabilities and payoffs: rounding stays below 1e4 * 8 * 2^-52 < 1e-10.
ROUNDING = 1e-10


@pytest.mark.parametrize("name", [*META_SOLVERS, "prd", "pm"])
def test_every_meta_solver_runs_and_reports_its_exploitability(name):
    game = load("kuhn_poker")
    result = psro(game, name, iterations=6)
    assert result.stopped == "iterations"
    np.testing.assert_array_equal(result.sizes, np.arange(1, 8)[:, None] * [1, 1])
    assert exploitability(game, result.strategies) == pytest.approx(
        result.exploitability[-1], abs=ROUNDING
    )
    assert result.exploitability[0] == pytest.approx(exploitability(game, game.uniform()))
    assert np.all(result.restricted_gap <= result.exploitability + ROUNDING)
    assert np.all(result.restricted_gap >= -ROUNDING)
    meta = MatrixGame(result.payoff_tensor)
    assert result.restricted_gap[-1] == pytest.approx(
        meta.exploitability(result.meta_strategies), abs=ROUNDING
    )
    np.testing.assert_allclose(result.payoffs.sum(axis=1), 0, atol=ROUNDING)


def test_uniform_psro_on_a_matrix_is_fictitious_play():
    rng = np.random.default_rng(5)
    game = MatrixGame(rng.normal(size=(3, 3, 4, 2)))
    for iterations in (1, 7, 40):
        ours = psro(game, "uniform", iterations=iterations, initial="first")
        start = [np.eye(count)[0] for count in game.actions]
        play = learn(game, "fictitious_play", iterations=iterations + 1, start=start)
        np.testing.assert_allclose(ours.strategies, np.concatenate(play.average), atol=1e-12)


def restated(payoffs, iterations, blend, temperature, momentum, diversity):
    """SHOR's inner solver on two players' tensors, line by line; average and last strategies."""
    counts = payoffs.shape[1:]
    sigma = [np.full(n, 1 / n) for n in counts]
    regrets = [np.zeros(n) for n in counts]
    before = [np.zeros(n) for n in counts]
    total = [np.zeros(n) for n in counts]
    for _ in range(iterations):
        for i in range(2):
            u = payoffs[0] @ sigma[1] if i == 0 else sigma[0] @ payoffs[1]
            g = u - u.mean()
            gains = (1 + momentum) * g - momentum * before[i] + diversity * (1 - sigma[i])
            if np.abs(gains).max() > 1e-8:
                gains = gains / np.abs(gains).max()
            regrets[i] = np.maximum(regrets[i] + gains, 0)
            mass = regrets[i].sum()
            matched = regrets[i] / mass if mass > 0 else np.full(len(u), 1 / len(u))
            soft = np.exp((u - u.max()) / temperature)
            sigma[i] = (1 - blend) * matched + blend * soft / soft.sum()
            before[i] = g
            total[i] += sigma[i]
    return [t / iterations for t in total], sigma


def test_shor_trains_and_evaluates_with_the_settings_of_the_paper():
    game = load("kuhn_poker")
    result = psro(game, "shor", iterations=5)
    n = 6
    last = restated(result.payoff_tensor, 8000 + 50 * (n - 1), 0.01, 0.001, 0.2, 0.0)[1]
    progress = 6 / 75
    average = restated(
        result.payoff_tensor,
        1000 + 20 * (n - 1),
        0.3 + (0.05 - 0.3) * progress,
        0.5 + (0.01 - 0.5) * progress,
        0.5,
        0.05 + (0.001 - 0.05) * progress,
    )[0]
    for p in range(2):
        np.testing.assert_allclose(result.meta_strategies[p], last[p], atol=1e-7)
        np.testing.assert_allclose(result.training_strategies[p], average[p], atol=1e-7)


matrices = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda rng: rng.integers(-5, 6, size=rng.integers(1, 9, size=2)))(
        np.random.default_rng(seed)
    )
)


@settings(deadline=None, max_examples=20)
@given(matrices)
def test_double_oracle_ends_at_the_value_within_as_many_steps_as_strategies(matrix):
    result = double_oracle(matrix)
    exact = solve_matrix_game(matrix, arithmetic="rational").value
    spread = float(np.ptp(matrix))
    assert result.exploitability[-1] <= 1e-9 * spread + ROUNDING
    # An equilibrium within NashConv d has a value within d of the game's.
    assert abs(result.payoffs[-1, 0] - float(exact)) <= 2 * result.exploitability[-1] + ROUNDING
    assert len(result.sizes) <= sum(matrix.shape) - 1
    assert np.all(np.diff(result.sizes, axis=0).sum(axis=1) >= 1)
    for plans in result.policies:
        assert len(np.unique(plans, axis=0)) == len(plans)


def test_double_oracle_on_extensive_games():
    kuhn = double_oracle(load("kuhn_poker"))
    assert kuhn.payoffs[-1, 0] == pytest.approx(-1 / 18, abs=1e-8)
    assert kuhn.exploitability[-1] <= 2e-8
    game = from_tree(random_game(8, depth=6))
    result = double_oracle(game, initial="random", seed=1)
    # The answer proves itself: no deviation from it gains.
    assert exploitability(game, result.strategies) <= 1e-7
    assert double_oracle(one_shot(rock_paper_scissors())).stopped in (
        "tolerance",
        "no new best response",
    )


def test_without_a_tolerance_double_oracle_stops_when_responses_repeat():
    game = MatrixGame.zero_sum(np.random.default_rng(3).normal(size=(7, 9)))
    result = double_oracle(game, tolerance=0.0)
    assert result.stopped in ("no new best response", "tolerance")
    # Best responses are in the populations: nobody gains more outside than inside.
    assert result.exploitability[-1] == pytest.approx(result.restricted_gap[-1], abs=ROUNDING)


def test_exploitability_of_double_oracle_need_not_fall():
    """Kept as a counterexample: equilibria of the restricted games get worse twice on the way."""
    result = double_oracle([[0, 0, 1], [2, -2, -2], [2, 2, -1]])
    # By hand: (0, 0) leaves a gain of 2 to the row player, the middle row then one of 4 to the
    # column player, and so on.
    assert result.exploitability[:2].tolist() == [1, 2]
    assert np.any(np.diff(result.exploitability[1:]) > 0.2)
    assert np.all(np.abs(result.restricted_gap) <= 1e-8)


def test_repeated_best_responses_are_kept_or_dropped():
    game = prisoners_dilemma()
    kept = psro(game, "uniform", iterations=4, initial="first")
    np.testing.assert_array_equal(kept.sizes[-1], [5, 5])
    dropped = psro(game, "uniform", iterations=4, initial="first", repeats="drop")
    np.testing.assert_array_equal(dropped.sizes[-1], [2, 2])
    assert dropped.stopped == "no new best response"


def test_ties_are_shared_or_go_to_the_first():
    game = MatrixGame.zero_sum(np.zeros((2, 3)))
    shared = psro(game, "nash", iterations=1, initial="first")
    np.testing.assert_array_equal(shared.policies[1], [[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    first = psro(game, "nash", iterations=1, initial="uniform", ties="first")
    np.testing.assert_array_equal(first.policies[1], [[1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])


def test_initial_policies():
    game = load("kuhn_poker")
    profile = random_profile(game, 0)
    profile[:2] = [0.0, 1.0]
    given = psro(game, "uniform", iterations=1, initial=profile)
    assert given.exploitability[0] == pytest.approx(exploitability(game, profile), abs=ROUNDING)
    drawn = [psro(game, "uniform", iterations=1, initial="random", seed=s) for s in (1, 1, 2)]
    for p in range(2):
        np.testing.assert_array_equal(drawn[0].policies[p], drawn[1].policies[p])
    assert any(not np.array_equal(drawn[0].policies[p], drawn[2].policies[p]) for p in range(2))


def test_a_meta_solver_of_ones_own_is_called_with_payoffs_and_iteration():
    seen = []

    def last_only(payoffs, iteration):
        seen.append((payoffs.shape, iteration))
        assert not payoffs.flags.writeable
        return tuple(np.eye(count)[-1] for count in payoffs.shape[1:])

    game = shapley()
    result = psro(game, last_only, iterations=3, initial="first")
    assert seen == [((2, k, k), k) for k in (1, 2, 3, 4)]
    np.testing.assert_array_equal(result.training_strategies[0], np.eye(4)[-1])
    np.testing.assert_array_equal(
        np.concatenate([plans[-1] for plans in result.policies]), result.strategies
    )
    mixed = psro(game, last_only, evaluation="regret_matching", iterations=3)
    want = RegretMatching()(mixed.payoff_tensor, 4)
    np.testing.assert_array_equal(mixed.meta_strategies[0], want[0])


def test_bad_arguments_are_named():
    game = load("kuhn_poker")
    with pytest.raises(ValueError, match="meta_solver is 'nahs'; expected one of"):
        psro(game, "nahs")
    with pytest.raises(ValueError, match="evaluation is 'best'; expected one of"):
        psro(game, "nash", evaluation="best")
    with pytest.raises(TypeError, match="meta_solver is 3; expected a name or a callable"):
        psro(game, 3)
    with pytest.raises(ValueError, match=r"'nash' needs a two-player zero-sum game.*general-sum"):
        psro(prisoners_dilemma(), "nash")
    with pytest.raises(ValueError, match=r"'nash' needs a two-player zero-sum game.*3 players"):
        psro(load("kuhn_poker", players=3), "shor", evaluation="nash")
    with pytest.raises(ValueError, match="iterations is 0"):
        psro(game, iterations=0)
    with pytest.raises(ValueError, match="initial is 'last'"):
        psro(game, initial="last")
    with pytest.raises(ValueError, match="seed is None; initial 'random' needs one"):
        psro(game, initial="random")
    with pytest.raises(ValueError, match=r"initial has shape \(3,\)"):
        psro(game, initial=np.ones(3))
    with pytest.raises(ValueError, match="ties is 'last'"):
        psro(game, ties="last")
    with pytest.raises(ValueError, match="repeats is 'some'"):
        psro(game, repeats="some")
    with pytest.raises(ValueError, match="tolerance is -1"):
        psro(game, tolerance=-1)
    with pytest.raises(ValueError, match="game has shape"):
        double_oracle(np.zeros(3))
    with pytest.raises(ValueError, match=r"'nash' needs a two-player zero-sum game"):
        double_oracle(prisoners_dilemma())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.ones(3), "expected a strategy for each player"),
        (([1.0],), "expected a strategy for each player"),
        (([1.0], [0.5]), r"for player 1 sums to 0.5"),
        (([1.0], [0.5, 0.5]), r"for player 1 has shape \(2,\); expected \(1\)"),
        (([1.0], [np.nan]), "for player 1"),
    ],
)
def test_what_a_meta_solver_returns_is_checked(answer, message):
    with pytest.raises(ValueError, match=message):
        psro(rock_paper_scissors(), lambda payoffs, iteration: answer, iterations=1)
