"""Fictitious play, and the parts of first-order methods, against recursions and a solver."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import game_trees, random_profile

from rltheory.games.baselines.fictitious_play import fictitious_play
from rltheory.games.baselines.first_order import (
    quantal_residual,
)
from rltheory.games.baselines.first_order_kernels import prox
from rltheory.games.best_response import deviations
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.forms.random_games import random_game
from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.library import load
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.matrix_game import MatrixGame

KUHN = load("kuhn_poker", form="tree")


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


@settings(max_examples=12, deadline=None)
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
