"""The meta-solvers' common form, and each against what defines it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.analysis.simplex import project_simplex
from rltheory.games.normal_form.matrix_classics import (
    biased_rock_paper_scissors,
    matching_pennies_three,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.oracles.meta_solvers import (
    META_SOLVERS,
    NashLP,
    ProjectedReplicator,
    ProjectionMatching,
    RegretMatching,
    Uniform,
    meta_solver,
)


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (3, 2), (5, 5), (2, 2, 2)]),
    st.sampled_from(sorted(META_SOLVERS)),
)
def test_every_meta_solver_mixes_every_population(seed, actions, name):
    payoffs = np.random.default_rng(seed).normal(size=(len(actions), *actions))
    if name == "nash":
        if len(actions) != 2:
            return
        payoffs[1] = -payoffs[0]
    for solver in meta_solver(name):
        profile = solver(payoffs, 3)
        assert tuple(len(s) for s in profile) == actions
        for strategy in profile:
            assert strategy.min() >= 0
            assert strategy.sum() == pytest.approx(1, abs=1e-12)


def test_training_and_evaluation_forms():
    training, evaluation = meta_solver("shor")
    assert training.output == "average"
    assert evaluation.output == "last"
    mine = Uniform()
    assert meta_solver(mine) == (mine, mine)
    with pytest.raises(ValueError, match="meta_solver is 'best'; expected one of"):
        meta_solver("best")


def test_nash_is_exact_and_refuses_other_games():
    game = biased_rock_paper_scissors()
    assert game.exploitability(NashLP()(game.payoffs)) < 1e-12
    slightly_off = game.payoffs.copy()
    slightly_off[1] += 1e-12
    assert game.exploitability(NashLP()(slightly_off)) < 1e-11
    with pytest.raises(ValueError, match="two players with opposite payoffs"):
        NashLP()(game.payoffs * [[[1]], [[2]]])
    with pytest.raises(ValueError, match="payoffs of 3 players"):
        NashLP()(matching_pennies_three().payoffs)


def test_the_projected_replicator_agrees_with_a_plain_restatement():
    payoffs = np.random.default_rng(0).normal(size=(2, 3, 4))
    floor, step = 0.02, 0.05
    profile = [np.full(3, 1 / 3), np.full(4, 1 / 4)]
    total = [np.zeros(3), np.zeros(4)]
    for _ in range(300):
        for t, s in zip(total, profile, strict=True):
            t += s
        gains = [payoffs[0] @ profile[1], profile[0] @ payoffs[1]]
        for i, gain in enumerate(gains):
            x = profile[i]
            moved = x + step * x * (gain - x @ gain)
            n = len(x)
            # The floored simplex is the simplex shrunk by 1 - n floor and moved by the floor.
            shrunk = project_simplex((moved - floor) / (1 - n * floor))
            profile[i] = floor + (1 - n * floor) * shrunk
    got = ProjectedReplicator(step=step, floor=floor, iterations=300)(payoffs)
    for average, t in zip(got, total, strict=True):
        np.testing.assert_allclose(average, t / 300, atol=1e-12)


def test_no_regret_meta_solvers_come_close_to_nash():
    game = MatrixGame.zero_sum(np.random.default_rng(2).normal(size=(12, 9)))
    spread = np.ptp(game.payoffs[0])
    # Regret at most spread * sqrt(A T), hence exploitability at most spread * sqrt(A / T).
    bound = spread * np.sqrt(12 / 10_000)
    assert game.exploitability(RegretMatching()(game.payoffs)) <= bound
    assert game.exploitability(ProjectionMatching()(game.payoffs)) < 0.01 * spread
    assert game.exploitability(ProjectionMatching(last=True)(game.payoffs)) < 0.01 * spread


def test_payoffs_that_are_no_game_are_refused():
    for name in META_SOLVERS:
        for solver in meta_solver(name):
            with pytest.raises(ValueError, match="payoffs"):
                solver(np.full((2, 2, 2), np.nan), 1)
