"""Preference games, self-play, and iterative Nash policy optimisation against brute force."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from rltheory.analysis.rational import to_fractions
from rltheory.analysis.simplex import softmax
from rltheory.games.normal_form import dynamics
from rltheory.games.normal_form.iterative_nash import (
    expected_loss,
    extreme_pairs,
    loss_minimiser,
    mirror_step,
    regularised_gap,
    regularised_nash,
)
from rltheory.games.normal_form.learning import learn
from rltheory.games.normal_form.preference import (
    Preferences,
    borda_scores,
    borda_trap,
    condorcet_winner,
    copeland_scores,
    cyclic,
    minimax_winner,
    self_play,
)


@st.composite
def preferences(draw, low=1, high=6):
    """Antisymmetric matrices of multiples of 1/8, ties among them."""
    count = draw(st.integers(low, high))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    upper = np.triu(rng.integers(-8, 9, (count, count)), 1) / 8
    return Preferences(upper - upper.T)


@st.composite
def inpo_problems(draw, low=2):
    game = draw(preferences(low, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    policy, reference = rng.dirichlet(np.full(game.responses, 2.0), size=2) * 0.96
    weight = float(rng.uniform(0.05, 1))
    floor = 0.04 / game.responses
    settings = {"weight": weight, "inverse_step": weight * float(rng.uniform(1, 5))}
    return game, policy + floor, reference + floor, settings


@given(preferences())
def test_minimax_winners_lose_to_nobody(game):
    exact = minimax_winner(game, arithmetic="rational")
    assert sum(exact) == 1
    assert min(exact) >= 0
    assert max(to_fractions(game.matrix) @ exact) == 0
    found = minimax_winner(game)
    assert found.gap.lower <= 2 * max(game.matrix @ found.policy) + 1e-12
    assert found.gap.upper <= 1e-8


@given(preferences())
def test_scores_and_winners_are_those_of_a_count(game):
    count = game.responses
    wins = [[game.matrix[x, y] > 0 for y in range(count) if y != x] for x in range(count)]
    winners = [x for x in range(count) if all(wins[x])]
    assert condorcet_winner(game) == (winners[0] if winners else None)
    assert list(copeland_scores(game)) == [
        sum(int(np.sign(p)) for p in row) for row in game.matrix.tolist()
    ]
    assert list(borda_scores(game)) == [
        sum(map(Fraction, row)) / count for row in game.matrix.tolist()
    ]
    assert len(winners) <= 1


def test_the_traps_are_what_they_say():
    trap = borda_trap()
    assert condorcet_winner(trap) == 0
    assert int(np.argmax(borda_scores(trap))) == 1
    assert list(minimax_winner(trap, arithmetic="rational")) == [1, 0, 0, 0, 0]
    ring = cyclic(5, strength=0.5)
    assert condorcet_winner(ring) is None
    assert not any(borda_scores(ring))
    assert ring.gap(np.full(5, 0.2)).upper < 1e-12


@settings(max_examples=15, deadline=None)
@given(preferences(2, 5), st.sampled_from(list(dynamics.DYNAMICS)), st.integers(1, 60))
def test_self_play_keeps_both_players_alike_and_its_gap_is_twice_the_regret(game, rule, rounds):
    result = self_play(game, rule, iterations=rounds, every=1)
    twin = learn(game.game, rule, iterations=rounds)
    np.testing.assert_array_equal(twin.last[0], twin.last[1])
    np.testing.assert_array_equal(twin.average[0], twin.average[1])
    claimed = 2 * result.regret / rounds
    assert result.gap.lower - 1e-12 <= claimed <= result.gap.upper + 1e-12
    played = result.trajectory.current[0]
    assert played.shape == (rounds, game.responses)
    np.testing.assert_allclose(played.mean(axis=0), result.average, atol=1e-12)
    by_hand = 2 * (game.matrix @ played.mean(axis=0)).max()
    assert result.gap.lower - 1e-12 <= by_hand <= result.gap.upper + 1e-12


def test_hedge_finds_the_winner_of_a_cycle_by_its_average_and_spirals_out_itself():
    game = Preferences(np.array([[0, 1, -0.25], [-1, 0, 0.5], [0.25, -0.5, 0]]))
    rounds = 20_000
    step = np.sqrt(2 * np.log(3) / rounds)
    result = self_play(game, dynamics.hedge(step), iterations=rounds, start=[0.4, 0.3, 0.3])
    assert result.gap.upper < 2 * np.sqrt(2 * np.log(3) / rounds) * 1.2
    assert result.last_gap.lower > 10 * result.gap.upper


@given(inpo_problems())
def test_the_minimiser_of_the_loss_is_the_mirror_step(problem):
    game, policy, reference, weights = problem
    step = mirror_step(game, policy, reference, **weights)
    np.testing.assert_allclose(loss_minimiser(game, policy, reference, **weights), step, atol=1e-10)
    share = weights["weight"] / weights["inverse_step"]
    by_hand = (
        np.exp(game.win_rates @ policy / weights["inverse_step"])
        * reference**share
        * policy ** (1 - share)
    )
    np.testing.assert_allclose(step, by_hand / by_hand.sum(), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(inpo_problems(3), st.integers(3, 5))
def test_a_general_minimiser_finds_the_same_policies(problem, draws):
    game, policy, reference, weights = problem
    law = extreme_pairs(policy, game.win_rates @ policy, draws=draws)
    # Every pair of some mass, for a problem that a general method can solve.
    law = 0.5 * law + 0.5 * np.outer(policy, policy)
    for pairs in (None, law):
        found = minimize(
            lambda logits, pairs=pairs: expected_loss(
                game, softmax(logits), policy, reference, pairs=pairs, **weights
            ),
            np.zeros(game.responses),
            method="BFGS",
            options={"gtol": 1e-9},
        )
        ours = loss_minimiser(game, policy, reference, pairs=pairs, **weights)
        np.testing.assert_allclose(softmax(found.x), ours, atol=1e-5)
        least = expected_loss(game, ours, policy, reference, pairs=pairs, **weights)
        assert least <= found.fun + 1e-12


@settings(max_examples=10, deadline=None)
@given(st.integers(2, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_extreme_pairs_are_those_of_all_draws(count, draws, seed):
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(count))
    scores = rng.integers(0, 3, count).astype(float)
    law = np.zeros((count, count))
    rank = {y: k for k, y in enumerate(np.argsort(scores, kind="stable"))}
    for draw in itertools.product(range(count), repeat=draws):
        best, worst = max(draw, key=rank.get), min(draw, key=rank.get)
        law[best, worst] += np.prod(policy[list(draw)])
    np.testing.assert_allclose(extreme_pairs(policy, scores, draws=draws), law, atol=1e-12)


def test_two_draws_leave_the_minimiser_and_eight_do_not():
    game = Preferences(np.array([[0, 1, -0.25], [-1, 0, 0.5], [0.25, -0.5, 0]]))
    policy, reference = np.array([0.5, 0.3, 0.2]), np.full(3, 1 / 3)
    weights = {"weight": 0.1, "inverse_step": 0.5}
    step = mirror_step(game, policy, reference, **weights)
    for draws, same in ((2, True), (8, False)):
        law = extreme_pairs(policy, game.win_rates @ policy, draws=draws)
        found = loss_minimiser(game, policy, reference, pairs=law, **weights)
        assert (np.abs(found - step).max() < 1e-9) == same


@settings(max_examples=15, deadline=None)
@given(inpo_problems())
def test_the_regularised_equilibrium_is_a_fixed_point_within_its_gap(problem):
    game, start, reference, weights = problem
    weight = weights["weight"]
    found = regularised_nash(game, reference, weight=weight, start=start, tolerance=1e-9)
    assert found.converged
    assert found.gap.upper <= 1e-9
    target = reference * np.exp(game.win_rates @ found.policy / weight)
    target /= target.sum()
    # Pinsker twice: the policy is near the equilibrium, and the map is Lipschitz with 1 / weight.
    assert np.abs(found.policy - target).sum() <= 4 * (1 + 1 / weight) * np.sqrt(found.distance)


@settings(max_examples=15, deadline=None)
@given(inpo_problems())
def test_no_deviation_beats_the_certified_gap(problem):
    game, policy, reference, weights = problem
    weight = weights["weight"]
    gap = regularised_gap(game, policy, reference, weight=weight)

    def value(p):
        return p @ game.win_rates @ policy - weight * (p * np.log(p / reference)).sum()

    best = reference * np.exp(game.win_rates @ policy / weight)
    deviations = [best / best.sum(), *np.random.default_rng(0).dirichlet(policy * 9, size=20)]
    gains = [2 * (value(np.maximum(p, 1e-12)) - value(policy)) for p in deviations]
    assert max(gains) <= gap.upper + 1e-9
    assert gap.lower - 1e-12 <= gains[0]


def test_steps_shorter_than_the_limit_contract():
    game, weight = cyclic(3), 0.25
    reference = np.array([0.5, 0.3, 0.2])
    rest = regularised_nash(game, reference, weight=weight, tolerance=1e-13).policy
    eta = weight + 1 / (4 * weight)
    policy = np.array([0.9, 0.05, 0.05])
    for _ in range(40):
        before = (rest * np.log(rest / policy)).sum()
        policy = mirror_step(game, policy, reference, weight=weight, inverse_step=eta)
        after = (rest * np.log(rest / policy)).sum()
        if before > 1e-9:
            assert after <= (1 - weight / eta) * before


def test_a_tiny_weight_is_certified_though_probabilities_underflow():
    game = Preferences(np.array([[0.0, 1.0], [-1.0, 0.0]]))
    found = regularised_nash(game, [0.5, 0.5], weight=1e-4, inverse_step=1e-3)
    assert found.converged
    assert found.policy[0] == 1.0


def rps(entry=1.0):
    return np.array([[0, -entry, entry], [entry, 0, -entry], [-entry, entry, 0]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Preferences(np.zeros((2, 3))), r"matrix has shape \(2, 3\)"),
        (lambda: Preferences(np.zeros((0, 0))), "K >= 1"),
        (lambda: Preferences(rps(np.nan)), r"matrix\[0, 1\] is nan"),
        (lambda: Preferences(rps(1.5)), r"matrix\[0, 1\] is -1.5; preferences must lie"),
        (lambda: Preferences(np.ones((2, 2)) / 2), "must be antisymmetric"),
        (lambda: Preferences.from_win_rates([[0.5, 0.7], [0.2, 0.5]]), "expected 1"),
        (lambda: Preferences.from_win_rates([[0.5, 1.7], [-0.7, 0.5]]), "expected a probability"),
        (lambda: Preferences.from_win_rates([[0.5, 0.7]]), r"expected \(K, K\)"),
        (lambda: Preferences(rps()).gap([0.5, 0.2, 0.2]), "policy sums to 0.9"),
        (lambda: minimax_winner(rps(), arithmetic="decimal"), "arithmetic is 'decimal'"),
        (lambda: self_play(rps(), iterations=0), "iterations is 0"),
        (lambda: self_play(rps(), "hedge", start=[1, 0, 0]), "has a zero"),
        (lambda: self_play(rps(), "poker"), "dynamics is 'poker'"),
        (lambda: cyclic(4), "expected an odd number"),
        (lambda: cyclic(3, strength=2.0), "strength is 2.0"),
        (lambda: borda_trap(0), "weak is 0"),
        (lambda: borda_trap(margin=-0.1), "margin is -0.1"),
        (lambda: regularised_nash(rps(), [1, 0, 0], weight=1.0), "expected full support"),
        (lambda: regularised_nash(rps(), [0.4, 0.3, 0.3], weight=0.0), "weight is 0.0"),
        (
            lambda: mirror_step(
                rps(), [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], weight=1.0, inverse_step=0.5
            ),
            "inverse_step is 0.5",
        ),
        (
            lambda: loss_minimiser(
                rps(), [0.4, 0.3, 0.3], [0.4, 0.3, 0.3],
                weight=1.0, inverse_step=2.0, pairs=np.diag([0.5, 0.5, 0.0]),
            ),
            "leaves some responses uncompared",
        ),
        (
            lambda: loss_minimiser(
                rps(), [0.4, 0.3, 0.3], [0.4, 0.3, 0.3],
                weight=1.0, inverse_step=2.0, pairs=np.ones((3, 3)),
            ),
            "expected a law of pairs",
        ),
        (lambda: extreme_pairs([0.5, 0.5], [0.0, 1.0], draws=0), "draws is 0"),
    ],
)  # fmt: skip
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_win_rates_and_preferences_are_two_forms_of_one():
    game = Preferences.from_win_rates([[0.5, 0.75], [0.25, 0.5]])
    np.testing.assert_array_equal(game.matrix, [[0, 0.5], [-0.5, 0]])
    np.testing.assert_array_equal(game.win_rates, [[0.5, 0.75], [0.25, 0.5]])
    assert "responses=2" in repr(game)
    assert not game.matrix.flags.writeable
