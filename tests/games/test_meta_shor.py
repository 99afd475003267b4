"""SHOR: a plain restatement of the listing, its schedules, and its reduction to RM+."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_classics import matching_pennies_three, shapley
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.oracles.shor import Shor, solve_shor


def restated(game, iterations, blend, temperature, momentum, diversity, normalise, baseline):
    """The inner solver line by line; returns the average and the last strategies."""
    sigma = [np.full(n, 1 / n) for n in game.actions]
    regrets = [np.zeros(n) for n in game.actions]
    before = [np.zeros(n) for n in game.actions]
    total = [np.zeros(n) for n in game.actions]
    for _ in range(iterations):
        for i in range(game.players):
            u = game.deviation_payoffs(sigma)[i]
            g = u - (u.mean() if baseline == "mean" else sigma[i] @ u)
            gains = (1 + momentum) * g - momentum * before[i] + diversity * (1 - sigma[i])
            if normalise and np.abs(gains).max() > 1e-8:
                gains = gains / np.abs(gains).max()
            regrets[i] = np.maximum(regrets[i] + gains, 0)
            mass = regrets[i].sum()
            matched = regrets[i] / mass if mass > 0 else np.full(len(u), 1 / len(u))
            soft = np.exp((u - u.max()) / temperature)
            sigma[i] = (1 - blend) * matched + blend * soft / soft.sum()
            before[i] = g
            total[i] += sigma[i]
    return [t / iterations for t in total], sigma


def random_game(seed, *actions):
    rng = np.random.default_rng(seed)
    return MatrixGame(rng.normal(size=(len(actions), *actions)))


@settings(deadline=None, max_examples=20)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(3, 4), (1, 2), (2, 2, 3), (4,)]),
    st.booleans(),
    st.sampled_from(["mean", "strategy"]),
)
def test_the_kernel_follows_the_listing(seed, actions, normalise, baseline):
    rng = np.random.default_rng(seed)
    game = random_game(seed, *actions)
    settings = {
        "blend": rng.choice([0.0, 0.2]),
        "temperature": rng.choice([0.5, 0.02]),
        "momentum": rng.choice([0.0, 0.5]),
        "diversity": rng.choice([0.0, 0.05]),
        "normalise": normalise,
        "baseline": baseline,
    }
    average, last = solve_shor(game, 25, **settings)
    expected_average, expected_last = restated(game, 25, *settings.values())
    for got, want in zip(average + last, expected_average + expected_last, strict=True):
        # Clipping can amplify rounding where a regret is 0 up to it: rare, and then tiny.
        np.testing.assert_allclose(got, want, atol=1e-9)


@pytest.mark.parametrize("game", [shapley(), matching_pennies_three(), random_game(3, 7, 5)])
def test_without_its_additions_it_is_alternating_regret_matching_plus(game):
    iterations = 200
    average, last = solve_shor(
        game,
        iterations,
        blend=0.0,
        temperature=1.0,
        momentum=0.0,
        diversity=0.0,
        normalise=False,
        baseline="strategy",
    )
    # The dynamics average what is played, from the uniform start on; SHOR what each update gives.
    plain = learn(game, "regret_matching_plus", iterations=iterations + 1, order="alternating")
    for i in range(game.players):
        np.testing.assert_array_equal(last[i], plain.last[i])
        shifted = ((iterations + 1) * plain.average[i] - game.uniform[i]) / iterations
        np.testing.assert_allclose(average[i], shifted, rtol=0, atol=1e-12)


def test_gains_over_the_plain_mean_are_no_regrets():
    """The listing's baseline makes another algorithm of it, which can end far from Nash."""
    bare = {"blend": 0.0, "temperature": 1.0, "momentum": 0.0, "diversity": 0.0}
    game = MatrixGame.zero_sum(np.random.default_rng(0).normal(size=(20, 20)))
    mean, _ = solve_shor(game, 5000, **bare, normalise=False, baseline="mean")
    regret, _ = solve_shor(game, 5000, **bare, normalise=False, baseline="strategy")
    assert game.exploitability(regret) < 1e-3 < 1e-2 < game.exploitability(mean)


def test_schedules_are_those_of_the_paper():
    training, evaluation = Shor.training(), Shor.evaluation()
    assert training.settings_at(1, 0) == (1000, 0.3, 0.5, 0.05)
    assert training.settings_at(101, 1)[0] == 3000
    assert training.settings_at(1000, 1)[0] == 5000
    for iteration in (75, 100):
        np.testing.assert_allclose(
            training.settings_at(11, iteration), (1200, 0.05, 0.01, 0.001), rtol=1e-12
        )
    np.testing.assert_allclose(training.settings_at(2, 30), (1020, 0.2, 0.304, 0.0304), rtol=1e-12)
    assert evaluation.settings_at(101, 7) == (13000, 0.01, 0.001, 0.0)
    assert evaluation.settings_at(1000, 7)[0] == 15000
    assert (training.momentum, evaluation.momentum) == (0.5, 0.2)
    assert (training.output, evaluation.output) == ("average", "last")


def test_the_object_runs_the_solver_with_its_settings():
    game = random_game(1, 4, 6)
    solver = Shor(iterations=(30, 2, 100), annealing=10)
    average, _ = solve_shor(
        game, 40, blend=0.175, temperature=0.255, momentum=0.5, diversity=0.0255
    )
    for got, want in zip(solver(game.payoffs, 5), average, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    _, last = solve_shor(game, 8250, blend=0.01, temperature=0.001, momentum=0.2, diversity=0.0)
    for got, want in zip(Shor.evaluation()(game.payoffs, 3), last, strict=True):
        np.testing.assert_array_equal(got, want)


def test_bad_settings_are_named():
    with pytest.raises(ValueError, match=r"blend\[1\] is 2"):
        Shor(blend=(0.3, 2.0))
    with pytest.raises(ValueError, match=r"temperature\[0\] is 0"):
        Shor(temperature=(0.0, 0.1))
    with pytest.raises(ValueError, match="output is 'best'"):
        Shor(output="best")
    with pytest.raises(ValueError, match="baseline is 'max'"):
        Shor(baseline="max")
    with pytest.raises(ValueError, match=r"iterations\[2\] is 10"):
        Shor(iterations=(100, 1, 10))
    with pytest.raises(ValueError, match="iteration is 0"):
        Shor()(np.zeros((2, 1, 1)), 0)
    with pytest.raises(ValueError, match="zero_sum takes one matrix"):
        Shor()(np.zeros((3, 3)), 1)
