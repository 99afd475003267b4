"""AlphaRank: the chain by enumeration, its distribution exactly and by eigenvectors."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rltheory.analysis import rational
from rltheory.analysis.rational import to_fractions
from rltheory.games.normal_form.matrix_classics import (
    matching_pennies_three,
    prisoners_dilemma,
    rock_paper_scissors,
)
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.oracles import alpha_rank as module
from rltheory.games.oracles.alpha_rank import (
    AlphaRank,
    alpha_rank,
    fixation_probability,
    transition_matrix,
)

SHAPES = st.sampled_from([(3,), (2, 3), (4, 2), (2, 2, 2), (1, 3)])


def random_game(seed, actions, ties=False):
    rng = np.random.default_rng(seed)
    shape = (len(actions), *actions)
    return MatrixGame(rng.integers(0, 3, shape) if ties else rng.normal(size=shape))


def chain_by_enumeration(game, acceptance):
    profiles = list(product(*map(range, game.actions)))
    matrix = np.zeros((len(profiles), len(profiles)))
    share = 1 / (sum(game.actions) - game.players)
    for s, profile in enumerate(profiles):
        for player, count in enumerate(game.actions):
            for action in range(count):
                if action != profile[player]:
                    moved = (*profile[:player], action, *profile[player + 1 :])
                    gain = game.payoffs[(player, *moved)] - game.payoffs[(player, *profile)]
                    matrix[s, profiles.index(moved)] = share * acceptance(gain)
        matrix[s, s] = 1 - matrix[s].sum()
    return matrix


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), SHAPES, st.booleans(), st.sampled_from([0.0, 0.7, 5.0, np.inf]))
def test_the_chain_and_its_distribution_agree_with_direct_computation(
    seed, actions, ties, intensity
):
    game = random_game(seed, actions, ties)

    def acceptance(gain):
        if np.isinf(intensity):
            return 0.5 if gain == 0 else (1 - 0.01 if gain > 0 else 0.01)
        x = intensity * gain
        return 1 / 10 if x == 0 else (1 - np.exp(-x)) / (1 - np.exp(-10 * x))

    options = {"intensity": intensity, "population": 10, "perturbation": 0.01}
    expected = chain_by_enumeration(game, acceptance)
    np.testing.assert_allclose(transition_matrix(game, **options), expected, atol=1e-13)
    ranking = alpha_rank(game, **options)
    values, vectors = np.linalg.eig(expected.T)
    direct = np.real(vectors[:, np.argmax(np.real(values))])
    direct /= direct.sum()
    # The eigenvector knows small entries only up to the gap of the chain; ours are better.
    gap = 1 - np.sort(np.abs(values))[-2] if len(values) > 1 else 1.0
    assert ranking.residual <= 1e-14
    assume(gap > 1e-10)
    np.testing.assert_allclose(ranking.distribution.ravel(), direct, rtol=0, atol=1e-13 / gap)
    for i, marginal in enumerate(ranking.marginals):
        other = tuple(j for j in range(game.players) if j != i)
        np.testing.assert_allclose(marginal, ranking.distribution.sum(axis=other), atol=1e-14)


@pytest.mark.parametrize("perturbation", [1e-3, 1e-9])
def test_every_probability_has_its_own_accuracy(perturbation):
    game = random_game(0, (3, 3))
    rates = to_fractions(transition_matrix(game, perturbation=perturbation))
    np.fill_diagonal(rates, 0)
    # Balance: inflow = outflow at all but one profile, and the shares sum to 1.
    system = rates.T.copy()
    for s in range(len(rates)):
        system[s, s] = -sum(rates[s])
    system[-1] = to_fractions(np.ones(len(rates)))
    exact = rational.solve(system, to_fractions([0] * (len(rates) - 1) + [1]))
    computed = alpha_rank(game, perturbation=perturbation).distribution.ravel()
    # O'Cinneide (1993): relative errors of at most a few times N^2 roundings each.
    np.testing.assert_allclose(computed, exact.astype(float), rtol=4 * 81 * 2.0**-52, atol=0)
    assert computed.min() < 10 * perturbation


@pytest.mark.parametrize("intensity", [np.inf, 2.0])
@pytest.mark.parametrize("actions", [(5, 6), (3, 2, 4)])
def test_sweeps_agree_with_elimination(intensity, actions, monkeypatch):
    game = random_game(7, actions)
    direct = alpha_rank(game, intensity=intensity, perturbation=0.01)
    monkeypatch.setattr(module, "ELIMINATION_LIMIT", 0)
    swept = alpha_rank(game, intensity=intensity, perturbation=0.01)
    assert direct.sweeps == 0 < swept.sweeps
    np.testing.assert_allclose(swept.distribution, direct.distribution, rtol=1e-8, atol=1e-10)


def test_fixation_probabilities_do_not_overflow():
    mpmath = pytest.importorskip("mpmath")
    for x in (-3.0, -1e-9, 1e-9, 0.5, 12.0):
        with mpmath.workdps(50):
            exact = (1 - mpmath.exp(-mpmath.mpf(x))) / (1 - mpmath.exp(-50 * mpmath.mpf(x)))
        assert float(fixation_probability(x, 50)) == pytest.approx(float(exact), rel=1e-13)
    assert float(fixation_probability(0.0, 50)) == 1 / 50
    assert fixation_probability([-1e4, 1e4], 50).tolist() == [0.0, 1.0]


def test_known_rankings():
    dilemma = alpha_rank(prisoners_dilemma(), perturbation=1e-9)
    assert dilemma.distribution[1, 1] == pytest.approx(1.0, abs=1e-8)
    cycle = alpha_rank(rock_paper_scissors(), intensity=3.0)
    np.testing.assert_allclose(cycle.marginals, np.full((2, 3), 1 / 3), atol=1e-14)
    single = alpha_rank(MatrixGame(np.zeros((2, 1, 1))))
    assert single.distribution.item() == 1.0
    strong = alpha_rank(prisoners_dilemma(), intensity=1e3)
    assert strong.distribution[1, 1] == pytest.approx(1.0, abs=1e-12)
    assert strong.distribution.min() > 0


def test_the_meta_solver_plays_the_marginals():
    game = matching_pennies_three()
    for mine, theirs in zip(
        AlphaRank(intensity=2.0)(game.payoffs, 3),
        alpha_rank(game, intensity=2.0).marginals,
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_bad_arguments_are_named():
    game = rock_paper_scissors()
    with pytest.raises(ValueError, match="intensity is -1"):
        alpha_rank(game, intensity=-1)
    with pytest.raises(ValueError, match=r"perturbation is 0\.5"):
        alpha_rank(game, perturbation=0.5)
    with pytest.raises(ValueError, match="population is 0"):
        transition_matrix(game, population=0)
