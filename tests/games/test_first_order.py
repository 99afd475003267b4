"""First-order methods against matrix games, logit equilibria, another library, their bounds."""

import numpy as np
import pytest
from strategies_games import random_profile

from rltheory.games.baselines.fictitious_play import fictitious_play
from rltheory.games.baselines.first_order import (
    magnetic_mirror_descent,
    mirror_prox,
    optimistic_mirror_descent,
    quantal_residual,
)
from rltheory.games.best_response import deviations, exploitability
from rltheory.games.exact.behaviour import behaviour_to_mixed, normal_form
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.interop.openspiel import from_openspiel
from rltheory.games.library import load
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_game import MatrixGame

KUHN = load("kuhn_poker", form="tree")
METHODS = (mirror_prox, optimistic_mirror_descent, magnetic_mirror_descent)


@pytest.mark.parametrize("refresh", [0, 7])
def test_magnetic_descent_of_a_one_shot_game_is_that_of_the_matrix(refresh):
    matrix = MatrixGame.zero_sum(np.random.default_rng(1).normal(size=(4, 3)))
    rule = dynamics.magnetic_mirror_descent(0.3, 0.2, refresh=refresh)
    for count in (1, 2, 50):
        run = magnetic_mirror_descent(
            one_shot(matrix), iterations=count, step=0.3, temperature=0.2, refresh=refresh
        )
        # A run of the matrix game ends with the last point that was played, not the one after it.
        known = learn(matrix, rule, iterations=count + 1)
        average = learn(matrix, rule, iterations=count).average
        assert run.last == pytest.approx(np.concatenate(known.last), abs=1e-12)
        assert run.average == pytest.approx(np.concatenate(average), abs=1e-12)


@pytest.mark.parametrize("method", [mirror_prox, optimistic_mirror_descent])
def test_methods_of_a_one_shot_game_are_those_of_the_matrix(method):
    matrix = MatrixGame.zero_sum(np.random.default_rng(2).normal(size=(3, 5)))
    name = "mirror_prox" if method is mirror_prox else "optimistic_hedge"
    rule = getattr(dynamics, name)(0.4)
    run = method(one_shot(matrix), iterations=30, step=0.4)
    average = learn(matrix, rule, iterations=30).average
    assert run.average == pytest.approx(np.concatenate(average), abs=1e-12)
    later = learn(matrix, rule, iterations=30 if method is mirror_prox else 31)
    assert run.last == pytest.approx(np.concatenate(later.last), abs=1e-12)


def test_a_fixed_temperature_leads_to_the_logit_equilibrium():
    matrix = MatrixGame.zero_sum([[3.0, -1.0], [-1.0, 1.0], [0.0, 0.5]])
    run = magnetic_mirror_descent(one_shot(matrix), iterations=4000, step=0.05, temperature=0.4)
    x, y = run.last[:3], run.last[3:]
    rows, columns = matrix.payoffs[0] @ y, x @ matrix.payoffs[1]
    # Rounding: a few operations on numbers of size 10, a contraction by less than 1 - 0.02 / 1.02.
    for strategy, values in ((x, rows), (y, columns)):
        logit = np.exp(values / 0.4)
        assert strategy == pytest.approx(logit / logit.sum(), abs=1e-12)
    assert run.residual[-1] < 1e-12
    assert run.temperature == 0.4


@pytest.mark.parametrize("entropy", [True, False])
def test_the_limit_is_the_logit_equilibrium_of_the_reduced_normal_form(entropy):
    # Each pure strategy is as likely as exp(payoff / temperature), times what the magnet plays it
    # with unless that is the plain entropy.
    magnet = np.ones(KUHN.slots) if entropy else random_profile(KUHN, 3)
    run = magnetic_mirror_descent(KUHN, iterations=3000, step=0.5, temperature=0.3, magnet=magnet)
    mixed = behaviour_to_mixed(KUHN, run.last)
    prior = [np.ones(len(m)) for m in mixed] if entropy else behaviour_to_mixed(KUHN, magnet)
    payoffs = normal_form(KUHN).payoffs
    for p, values in enumerate((payoffs[0] @ mixed[1], mixed[0] @ payoffs[1])):
        logit = prior[p] * np.exp(values / 0.3)
        assert mixed[p] == pytest.approx(logit / logit.sum(), abs=1e-12)


@pytest.mark.parametrize(("name", "steps"), [("kuhn_poker", 20), ("leduc_poker", 4)])
def test_magnetic_descent_equals_that_of_openspiel(name, steps):
    pyspiel = pytest.importorskip("pyspiel")
    mmd_dilated = pytest.importorskip("open_spiel.python.algorithms.mmd_dilated")
    peer = mmd_dilated.MMDDilatedEnt(pyspiel.load_game(name), alpha=0.1, stepsize=0.5)
    for _ in range(steps):
        peer.update_sequences()
    game = from_openspiel(name)
    run = magnetic_mirror_descent(
        game, iterations=steps, step=0.5, temperature=0.1, magnet=np.ones(game.slots)
    )
    policy = peer.get_policies()
    for i, label in enumerate(game.infoset_labels):
        row = policy.action_probability_array[policy.state_lookup[label]]
        legal = policy.legal_actions_mask[policy.state_lookup[label]] > 0
        ours = run.last[game.form.first[i] : game.form.first[i + 1]]
        assert ours == pytest.approx(row[legal], abs=1e-10)


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker"])
def test_magnetic_descent_reaches_its_equilibrium_linearly(name):
    game = load(name)
    run = magnetic_mirror_descent(
        game, iterations=400, step=1.0, temperature=0.1, checkpoints=[100, 200]
    )
    # Linear convergence: as much again in as many steps, to the squares of the first fall.
    assert run.residual[1] < run.residual[0] ** 1.5
    assert run.residual[-1] < 1e-10
    again = quantal_residual(game, run.last, temperature=0.1)
    assert again == pytest.approx(run.residual[-1], abs=1e-15)


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker"])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        (mirror_prox, {"step": 8.0}),
        (optimistic_mirror_descent, {"step": 4.0}),
        (magnetic_mirror_descent, {"temperature": 0.5, "slowing": 0.25, "cooling": 0.75}),
        (magnetic_mirror_descent, {"step": 2.0, "temperature": 0.05, "refresh": 20}),
    ],
)
def test_exploitability_falls(name, method, arguments):
    if name == "kuhn_poker" and method is mirror_prox:
        arguments = {"step": 4.0}
    run = method(load(name), iterations=3000, checkpoints=[30, 300], **arguments)
    assert run.exploitability[0] > run.exploitability[1] > run.exploitability[2]
    assert run.last_exploitability[0] > run.last_exploitability[2]
    for profile, measured in (
        (run.average, run.exploitability),
        (run.last, run.last_exploitability),
    ):
        assert exploitability(load(name), profile) == pytest.approx(measured[-1], abs=1e-12)


@pytest.mark.parametrize("method", [mirror_prox, optimistic_mirror_descent])
def test_last_iterates_reach_equilibrium_in_kuhn_poker(method):
    run = method(KUHN, iterations=1000, step=4.0)
    assert run.last_exploitability[-1] < 1e-14
    assert run.exploitability[-1] > 1e-5
    assert deviations(KUHN, run.last).payoffs[0] == pytest.approx(-1 / 18, abs=1e-14)


def test_refreshed_magnets_reach_equilibrium_in_kuhn_poker():
    run = magnetic_mirror_descent(KUHN, iterations=1000, step=2.0, temperature=0.05, refresh=20)
    assert run.last_exploitability[-1] < 1e-14


def test_mirror_prox_averages_stay_within_their_bound():
    # Nemirovski (2004): the gap is at most (log n + log m) / (step T) for steps of at most 1 over
    # the largest entry, from the uniform start.
    matrix = np.random.default_rng(3).uniform(-1, 1, size=(6, 9))
    game = one_shot(MatrixGame.zero_sum(matrix))
    run = mirror_prox(game, iterations=500, step=1.0, checkpoints=[1, 5, 50])
    bound = (np.log(6) + np.log(9)) / run.iterations
    assert np.all(2 * run.exploitability <= bound)


@pytest.mark.parametrize("method", METHODS)
def test_first_order_errors_say_what_is_wrong(method):
    with pytest.raises(ValueError, match="has 3 players and is zero-sum; expected a two-player"):
        method(load("kuhn_poker", players=3))
    general = one_shot(MatrixGame(np.random.default_rng(0).random((2, 2, 2))))
    with pytest.raises(ValueError, match="is not zero-sum; expected a two-player zero-sum game"):
        method(general)
    with pytest.raises(ValueError, match="step is 0"):
        method(KUHN, step=0.0)
    for exponent in (np.nan, -1.0, 400.0):
        with pytest.raises(ValueError, match=f"averaging is {exponent}; expected a number in"):
            method(KUHN, averaging=exponent)
    pure = KUHN.uniform()
    pure[:2] = [0.0, 1.0]
    with pytest.raises(ValueError, match="start has a zero"):
        method(KUHN, start=pure)
    with pytest.raises(ValueError, match="checkpoints has 20; expected at most iterations"):
        method(KUHN, iterations=10, checkpoints=[20])


def test_other_errors_say_what_is_wrong():
    with pytest.raises(ValueError, match="temperature is -1"):
        magnetic_mirror_descent(KUHN, temperature=-1.0)
    with pytest.raises(ValueError, match="slowing is 3"):
        magnetic_mirror_descent(KUHN, slowing=3.0)
    with pytest.raises(ValueError, match="cooling is -1"):
        magnetic_mirror_descent(KUHN, cooling=-1.0)
    with pytest.raises(ValueError, match=r"magnet\[0\] is 0.0; expected positive weights"):
        magnetic_mirror_descent(KUHN, magnet=np.arange(KUHN.slots))
    with pytest.raises(ValueError, match=r"magnet\[1\] is nan"):
        quantal_residual(KUHN, KUHN.uniform(), temperature=1.0, magnet=[1, np.nan, *[1] * 22])
    with pytest.raises(ValueError, match="refresh is -2"):
        magnetic_mirror_descent(KUHN, refresh=-2)
    with pytest.raises(ValueError, match="temperature is 0"):
        quantal_residual(KUHN, KUHN.uniform(), temperature=0.0)
    with pytest.raises(ValueError, match="start"):
        fictitious_play(KUHN, start=[1.0])
