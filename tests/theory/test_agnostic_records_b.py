"""What the records on learning over a class compute with, against learners and draws."""

from fractions import Fraction

import numpy as np
import pytest

from rltheory.tabular.agnostic import Generative, PolicyClass, class_values
from rltheory.tabular.agnostic.petals import petal_process
from rltheory.tabular.agnostic.trees import grow
from rltheory.tabular.mdp import EpisodicMDP
from rltheory.theory.records import (
    agnostic_learning,
    agnostic_petals,
)
from rltheory.theory.tape import Tape

SEEDS = pytest.mark.parametrize("seed", range(8))


@SEEDS
def test_nodes_of_a_drawn_tree_are_those_that_learners_grow(seed):
    moves = agnostic_learning.sample_moves(Tape(seed=(seed, 5)), 4)
    size = moves.states
    kernel = np.zeros((4, size, 2, size))
    for h in range(4):
        for x in range(size):
            for a in range(2):
                kernel[h, x, a, moves.shared(h, x, a) if h < 3 else 0] = 1.0
    start = np.eye(size)[moves.start]
    mdp = EpisodicMDP(kernel, np.zeros((4, size, 2)), start)
    _, nodes = grow(Generative(mdp, seed=0), moves.policies, 2)
    left, _ = agnostic_learning.TREE_NODES.sides(moves)
    np.testing.assert_array_equal(nodes, [left, left])


@SEEDS
def test_expected_edges_are_the_exact_petal_process(seed):
    flower = agnostic_petals.sample_flower(Tape(seed=(seed, 7)), 3)
    exact = petal_process(flower.mdp, flower.policy, flower.petals, arithmetic="rational")
    places = agnostic_petals.nodes(flower)
    for i, node in enumerate(places):
        row = {end: Fraction(0) for end in places[1:]}
        earned = Fraction(0)
        for leg in agnostic_petals.legs(flower, node):
            if leg.follows:
                earned += leg.chance / leg.share * leg.earned
                if leg.end is not None:
                    row[leg.end] += leg.chance / leg.share
        assert earned == exact.rewards[i]
        assert list(row.values()) == list(exact.transitions[i])


@SEEDS
def test_failure_probability_agrees_with_drawing(seed):
    trees = agnostic_learning.sample_trees(Tape(seed=(seed, 9)), 3)
    exact = float(agnostic_learning.failure_probability(trees))
    weights = trees.weights.astype(float)
    drawn = np.random.default_rng(seed).choice(len(weights), size=(20_000, trees.trees), p=weights)
    returns = trees.returns.astype(float)
    off = abs(returns[drawn].mean(axis=1) - weights @ returns).max(axis=1)
    share = (off >= float(trees.deviation) - 1e-12).mean()
    # Six standard deviations of a binomial share.
    assert abs(share - exact) <= 6 * np.sqrt(exact * (1 - exact) / 20_000)


def test_a_tree_per_history_has_every_node():
    def straight(*_):
        return 0

    policies = PolicyClass.one_active(horizon=5, states=5)
    moves = agnostic_learning.Moves(5, policies, 0, straight, straight)
    assert list(agnostic_learning._nodes(moves, "shared")[0]) == [2, 2, 2, 2, 2]
    assert list(agnostic_learning._nodes(moves, "fresh")[0]) == [2, 4, 8, 16, 32]


def test_two_petals_at_one_state_of_the_first_layer_are_reached():
    # A start that is itself a petal: its edge from the top has the start's probability.
    mdp = EpisodicMDP(np.full((1, 2, 2, 2), 0.5), np.zeros((1, 2, 2)), np.array([0.25, 0.75]))
    process = petal_process(mdp, np.zeros((1, 2), int), np.array([[True, True]]))
    np.testing.assert_array_equal(process.transitions[0], [0.25, 0.75])
    assert process.value == class_values(mdp, PolicyClass(np.zeros((1, 1, 2), int), 2)).values[0]
