"""PSRO: payoffs among populations, what mixtures of policies earn, games without a tensor."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rltheory.games.best_response import (
    best_response,
    deviations,
    expected_payoffs,
    exploitability,
)
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.one_shot import one_shot
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.random_games import RandomFactored, random_game
from rltheory.games.library import load
from rltheory.games.normal_form.matrix_game import MatrixGame
from rltheory.games.oracles.meta_solvers import RegretMatching
from rltheory.games.oracles.psro import psro
from rltheory.games.oracles.psro_payoffs import PayoffTable, behaviour, expanded, of_kinds, plans_of
from rltheory.games.oracles.psro_step import Run
from rltheory.games.oracles.shor import Shor

# Payoffs are at most 8 in size and a payoff is a sum of at most a few thousand products of
# probabilities and payoffs: rounding stays below 1e4 * 8 * 2^-52 < 1e-10.
ROUNDING = 1e-10


def random_profile(game, rng, zeros=0.3):
    """Behaviour strategies, some of whose probabilities are 0."""
    profile = np.empty(game.slots)
    for begin, end in zip(game.form.first[:-1], game.form.first[1:], strict=True):
        weights = rng.exponential(size=end - begin) * (rng.random(end - begin) > zeros)
        if not weights.any():
            weights[rng.integers(end - begin)] = 1.0
        profile[begin:end] = weights / weights.sum()
    return profile


def random_populations(game, rng, counts):
    """Behaviour profiles for each policy (player p's k-th is in profiles[k]), and the plans."""
    profiles = [random_profile(game, rng) for _ in range(max(counts))]
    plans = [plans_of(game, profile) for profile in profiles]
    return profiles, tuple(
        np.concatenate([plan[p] for plan in plans[: counts[p]]]) for p in range(game.players)
    )


def combined(game, profiles, choice):
    """The profile in which player p plays as in profiles[choice[p]]."""
    bounds = game.form.slot_start
    return np.concatenate([profiles[k][bounds[p] : bounds[p + 1]] for p, k in enumerate(choice)])


def draw_game(seed, kind):
    if kind == "blocks":
        return build_factored(RandomFactored(seed, 3, (2, 3, 2), (False, False, True), 4))
    players = int(kind[0])
    payoffs = "zero_sum" if kind.endswith("z") and players > 1 else "general"
    return from_tree(random_game(seed, players=players, depth=5, payoffs=payoffs))


KINDS = st.sampled_from(["1", "2z", "2", "3z", "3", "4z", "blocks"])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), KINDS)
def test_the_tensor_holds_the_payoffs_of_all_profiles(seed, kind):
    rng = np.random.default_rng(seed)
    game = draw_game(seed, kind)
    counts = [int(rng.integers(1, 4)) for _ in range(game.players)]
    profiles, plans = random_populations(game, rng, counts)
    table = PayoffTable(game)
    part = tuple(policies[: int(rng.integers(1, len(policies) + 1))] for policies in plans)
    payoffs = table.grow(table.start(part), plans)
    assert payoffs.shape == (game.players, *counts)
    for choice in product(*map(range, counts)):
        expected = expected_payoffs(game, combined(game, profiles, choice))
        np.testing.assert_allclose(payoffs[(slice(None), *choice)], expected, atol=ROUNDING)


def run_of(game, first=False):
    return Run(game, Shor.training(), Shor.evaluation(), 1e-12 * game.payoff_range, first, 2.0**31)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1), KINDS)
def test_a_mixture_of_plans_is_judged_as_its_behaviour_strategies(seed, kind):
    """Kuhn's theorem: the mixture's plan, the behaviour it implies, the tensor say the same."""
    rng = np.random.default_rng(seed)
    game = draw_game(seed, kind)
    counts = [int(rng.integers(1, 4)) for _ in range(game.players)]
    _, plans = random_populations(game, rng, counts)
    mixture = tuple(rng.dirichlet(np.ones(count)) for count in counts)
    run = run_of(game)
    judged, gap, responses = run.judge(plans, mixture)
    profile = behaviour(game, run.reach(plans, mixture))
    expected = deviations(game, profile)
    np.testing.assert_allclose(judged.payoffs, expected.payoffs, atol=ROUNDING)
    np.testing.assert_allclose(judged.best, expected.best, atol=ROUNDING)
    meta = MatrixGame(PayoffTable(game).start(plans))
    np.testing.assert_allclose(judged.payoffs, meta.expected_payoffs(mixture), atol=ROUNDING)
    assert gap == pytest.approx(meta.exploitability(mixture), abs=ROUNDING)
    assert gap <= judged.exploitability + ROUNDING
    for p, response in enumerate(responses):
        wanted = plans_of(game, best_response(game, profile, player=p).strategies)[p][0]
        np.testing.assert_allclose(response, wanted, atol=1e-12)
    for p, response in enumerate(run_of(game, first=True).judge(plans, mixture)[2]):
        assert set(response) <= {0.0, 1.0}
        alone = run.judge(
            tuple(response[None] if q == p else plans[q] for q in range(game.players)),
            tuple(np.ones(1) if q == p else mixture[q] for q in range(game.players)),
        )[0]
        assert alone.payoffs[p] == pytest.approx(judged.best[p], abs=ROUNDING)


@pytest.mark.parametrize("players", [2, 3, 4])
def test_shor_on_different_policies_is_shor_on_all_of_them(players):
    """With a tensor of the different ones or none at all, some of them there repeatedly."""
    game = load("kuhn_poker", players=players)
    rng = np.random.default_rng(players)
    _, plans = random_populations(game, rng, [2, 4, 3, 5][:players])
    repeated = tuple(policies[rng.integers(len(policies), size=7)] for policies in plans)
    table = PayoffTable(game)
    tensor = table.start(repeated)
    kinds = table.start(of_kinds(repeated))
    assert kinds.size < tensor.size
    np.testing.assert_allclose(expanded(kinds, repeated), tensor, atol=ROUNDING)
    for output in ("average", "last"):
        solver = Shor(iterations=(40, 1, 100), output=output)
        for payoffs in (None, kinds):
            mixed = run_of(game).shor(solver, repeated, payoffs, 3)
            # Regrets that clip at zero can amplify rounding a little at each of some 45 steps.
            for got, want in zip(mixed, solver(tensor, 3), strict=True):
                np.testing.assert_allclose(got, want, atol=1e-9)


def test_three_players_without_a_tensor_once_it_is_larger_than_the_game():
    game = load("kuhn_poker", players=3)
    rng = np.random.default_rng(2)
    solver = Shor(iterations=(20, 0, 20))
    slack = 1e-12 * game.payoff_range
    without = Run(game, solver, solver, slack, False, 1e9)
    needed = Run(game, solver, RegretMatching(5), slack, False, 1e9)
    for counts, has_tensor in ([2, 3, 4], True), ([16, 17, 18], False):
        plans = random_populations(game, rng, counts)[1]
        state, other = without.measure(None, plans, None), needed.measure(None, plans, None)
        assert (state.payoffs is not None) == has_tensor
        assert other.payoffs.shape == (3, *counts)
        # The training meta-strategy's exploitability and best responses.
        assert state.measured[0, 1] == pytest.approx(other.measured[0, 1], abs=1e-9)
        for got, want in zip(state.responses, other.responses, strict=True):
            np.testing.assert_array_equal(got, want)
    assert psro(game, "uniform", iterations=3).payoff_tensor is None


def test_tensors_too_large_are_refused_before_the_run():
    game = load("kuhn_poker", players=4)
    with pytest.raises(ValueError, match=r"101 x 101 x 101 x 101 policies take 3.1 GiB.*enough"):
        psro(game, "regret_matching", iterations=100)
    small = {"iterations": 9, "memory_limit": 1e4}
    with pytest.raises(ValueError, match="enough for 4 policies"):
        psro(game, RegretMatching(5), **small)
    dropped = psro(game, RegretMatching(5), iterations=2, memory_limit=1e4, repeats="drop")
    assert dropped.payoff_tensor.nbytes <= 1e4


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 1, 4), (2, 2, 2, 2)])
def test_a_matrix_game_played_at_once(shape):
    rng = np.random.default_rng(len(shape))
    matrix = MatrixGame(rng.normal(size=(len(shape), *shape)))
    game = one_shot(matrix)
    strategies = [rng.dirichlet(np.ones(count)) for count in shape]
    flat = np.concatenate(strategies)
    np.testing.assert_allclose(
        expected_payoffs(game, flat), matrix.expected_payoffs(strategies), atol=ROUNDING
    )
    assert exploitability(game, flat) == pytest.approx(matrix.exploitability(strategies))
    assert (game.leaves, game.infosets) == (np.prod(shape), len(shape))
    np.testing.assert_allclose(
        game.payoff_range, np.ptp(matrix.payoffs.reshape(len(shape), -1), axis=1)
    )
