"""Fictitious play, first-order methods: against plain restatements, a solver, matrix games."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees, random_profile

from rltheory.games.baselines.fictitious_play import fictitious_play
from rltheory.games.baselines.first_order import (
    magnetic_mirror_descent,
    mirror_prox,
    optimistic_mirror_descent,
    quantal_residual,
)
from rltheory.games.baselines.first_order_kernels import prox
from rltheory.games.best_response import deviations, exploitability
from rltheory.games.exact.behaviour import behaviour_to_mixed, normal_form
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.forms.random_games import random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.interop.openspiel import from_openspiel
from rltheory.games.library import load
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_game import MatrixGame

KUHN = load("kuhn_poker", form="tree")
METHODS = (mirror_prox, optimistic_mirror_descent, magnetic_mirror_descent)


def counterfactual_values(game, profile, player, continue_with):
    """Values of the player's actions from their definition; sets are valued by `continue_with`.

    continue_with(set, values of its actions) gives the strategy there and the set's value.
    """
    tree, form = game.tree, game.form
    values = np.zeros(game.slots)
    chosen = {}

    def collect(h, reach, own, leaves):
        if tree.to_move[h] == TERMINAL:
            leaves.append((own, reach * tree.payoffs[h, player]))
            return
        edges = range(tree.first_child[h], tree.first_child[h + 1])
        for a, e in enumerate(edges):
            if tree.to_move[h] == CHANCE:
                collect(tree.child[e], reach * tree.probability[e], own, leaves)
            else:
                j = form.first[tree.infoset[h]] + a
                mine = tree.to_move[h] == player
                chance = 1.0 if mine else profile[j]
                collect(tree.child[e], reach * chance, j if mine else own, leaves)

    leaves = []
    collect(0, 1.0, None, leaves)
    for own, paid in leaves:
        if own is not None:
            values[own] += paid
    for i in reversed(range(*form.infoset_start[player : player + 2])):
        own = slice(form.first[i], form.first[i + 1])
        chosen[i], worth = continue_with(i, values[own])
        if form.parent[i] < game.slots:
            values[form.parent[i]] += worth
    return values, chosen


def own_reach(game, profile):
    reach = np.ones(game.slots + game.players)
    for i, parent in enumerate(game.form.parent):
        for j in range(game.form.first[i], game.form.first[i + 1]):
            reach[j] = reach[parent] * profile[j]
    return reach


def plain_fictitious_play(game, iterations):
    """Averages mixed as behaviour, each weighted by own reach: Heinrich et al. (2015), Lemma 6."""
    first, parent = game.form.first, game.form.parent
    average = game.uniform()

    for t in range(1, iterations + 1):
        replies = np.zeros(game.slots)
        for p in range(game.players):

            def best(i, values, slack=1e-12 * game.payoff_range[p]):
                ties = values >= values.max() - slack
                return ties / ties.sum(), values.max()

            _, chosen = counterfactual_values(game, average, p, best)
            for i, strategy in chosen.items():
                replies[first[i] : first[i + 1]] = strategy
        old, new = own_reach(game, average), own_reach(game, replies)
        mixed = average.copy()
        for i in range(game.infosets):
            own = slice(first[i], first[i + 1])
            a, b = t * old[parent[i]], new[parent[i]]
            mixed[own] = (a * average[own] + b * replies[own]) / (a + b)
        average = mixed
    return average, replies


@pytest.mark.parametrize("players", [2, 3])
def test_fictitious_play_equals_the_plain_restatement(players):
    game = load("kuhn_poker", players=players, form="tree")
    count = 60 if players == 2 else 6
    run = fictitious_play(game, iterations=count, checkpoints=[2, 5])
    average, replies = plain_fictitious_play(game, count)
    assert run.average == pytest.approx(average, abs=1e-12)
    assert run.last == pytest.approx(replies, abs=1e-12)
    measured = deviations(game, average)
    assert run.exploitability[-1] == pytest.approx(measured.exploitability, abs=1e-12)
    assert run.payoffs[-1] == pytest.approx(measured.payoffs, abs=1e-12)
    assert list(run.iterations) == [2, 5, count]


def test_fictitious_play_of_a_one_shot_game_is_that_of_the_matrix():
    matrix = MatrixGame(np.random.default_rng(0).random((2, 4, 3)))
    run = fictitious_play(one_shot(matrix), iterations=99)
    known = learn(matrix, "fictitious_play", iterations=100)
    assert run.average == pytest.approx(np.concatenate(known.average), abs=1e-12)


def test_fictitious_play_approaches_equilibrium_in_leduc_poker():
    run = fictitious_play(load("leduc_poker"), iterations=1000, checkpoints=[10, 100])
    assert run.exploitability[-1] < run.exploitability[1] < run.exploitability[0]
    # The root of time is the usual pace (Karlin's conjecture): ten times as long leaves a third.
    assert run.exploitability[-1] < run.exploitability[1] / 2


def prox_by_solver(game, player, gradient, step, pull, base, magnet):
    """The prox problem as it stands, over plans, by a conic solver."""
    form = game.form
    plan = cp.Variable(game.slots + 1, nonneg=True)
    constraints, terms = [plan[game.slots] == 1], []
    own = range(*form.infoset_start[player : player + 2])
    for i in own:
        above = plan[min(form.parent[i], game.slots)]
        slots = slice(form.first[i], form.first[i + 1])
        constraints.append(cp.sum(plan[slots]) == above)
        terms.append(step * gradient[slots] @ plan[slots])
        for reference, weight in ((base, 1.0), (magnet, pull)):
            # x log(x / (y x_above)), summed over the set.
            terms += [
                -weight * cp.rel_entr(plan[j], reference[j] * above)
                for j in range(form.first[i], form.first[i + 1])
            ]
    problem = cp.Problem(cp.Maximize(cp.sum(cp.hstack(terms))), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    return plan.value, problem.value


@pytest.mark.parametrize("pull", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_the_prox_solves_its_problem(pull, seed):
    tree = random_game(
        seed, players=2, depth=5, actions=3, chance=0.3, stop=0.1, merge=0.7, payoffs="zero_sum",
        recall="perfect",
    )  # fmt: skip
    game = KUHN if seed == 0 else from_tree(tree)
    base, magnet = random_profile(game, seed), random_profile(game, seed + 100)
    gradient = np.random.default_rng(seed).normal(size=game.slots + 2)
    gradient[game.slots :] = 0.0
    for player in range(2):
        worth, logs, strategies = gradient.copy(), np.empty(game.slots), game.uniform()
        prox(
            game.compiled, player, worth, 0.8, pull, np.log(base), np.log(magnet), logs, strategies
        )
        plan, value = prox_by_solver(game, player, gradient, 0.8, pull, base, magnet)
        own = slice(*game.form.slot_start[player : player + 2])
        # The solver's value is within 1e-8; the objective curves by at least 1 at its maximum, so
        # its plan is within the root of that.
        assert 0.8 * worth[game.slots + player] == pytest.approx(value, abs=1e-8)
        assert own_reach(game, strategies)[own] == pytest.approx(plan[own], abs=1e-4)
        assert logs[own] == pytest.approx(np.log(strategies[own]), abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    tree=game_trees(max_players=2, max_depth=4, payoffs="zero_sum").filter(
        lambda tree: tree.players == 2
    ),
    seed=st.integers(0, 2**32 - 1),
    temperature=st.floats(0.05, 10.0),
)
def test_quantal_residual_is_zero_at_and_only_at_logit_answers(tree, seed, temperature):
    game = from_tree(tree)
    profile, magnet = random_profile(game, seed), random_profile(game, seed // 2)
    largest = 0.0
    for p in range(2):

        def logit(i, values):
            own = slice(game.form.first[i], game.form.first[i + 1])
            weights = magnet[own] * np.exp((values - values.max()) / temperature)
            total = weights.sum()
            return weights / total, values.max() + temperature * np.log(total)

        _, chosen = counterfactual_values(game, profile, p, logit)
        for i, strategy in chosen.items():
            own = slice(game.form.first[i], game.form.first[i + 1])
            largest = max(largest, np.abs(strategy - profile[own]).max())
    residual = quantal_residual(game, profile, temperature=temperature, magnet=magnet)
    assert residual == pytest.approx(largest, abs=1e-10)


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


@pytest.mark.parametrize("name", ["kuhn_poker", "leduc_poker"])
def test_magnetic_descent_equals_that_of_openspiel(name):
    pyspiel = pytest.importorskip("pyspiel")
    mmd_dilated = pytest.importorskip("open_spiel.python.algorithms.mmd_dilated")
    peer = mmd_dilated.MMDDilatedEnt(pyspiel.load_game(name), alpha=0.1, stepsize=0.5)
    for _ in range(20):
        peer.update_sequences()
    game = from_openspiel(name)
    run = magnetic_mirror_descent(
        game, iterations=20, step=0.5, temperature=0.1, magnet=np.ones(game.slots)
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
