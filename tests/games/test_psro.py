"""PSRO: payoffs of profiles, plain restatements of solvers, values of games, runs gone on with."""

from dataclasses import dataclass
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


@settings(deadline=None, max_examples=60)
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


@settings(deadline=None, max_examples=60)
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


matrices = st.integers(0, 2**32 - 1).map(
    lambda seed: (lambda rng: rng.integers(-5, 6, size=rng.integers(1, 9, size=2)))(
        np.random.default_rng(seed)
    )
)


@settings(deadline=None, max_examples=60)
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
    profile = random_profile(game, np.random.default_rng(0))
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


@dataclass
class Failing:
    """Regret matching that fails at an iteration, once."""

    iterations: int
    fails: list

    def __repr__(self):
        return f"Failing({self.iterations})"

    def __call__(self, payoffs, iteration=1):
        if iteration in self.fails:
            raise KeyboardInterrupt
        return RegretMatching(self.iterations)(payoffs, iteration)


def assert_same(got, want):
    for name in ("exploitability", "training_exploitability", "restricted_gap", "payoffs", "sizes"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))
    np.testing.assert_array_equal(got.strategies, want.strategies)
    for p in range(len(want.policies)):
        np.testing.assert_array_equal(got.policies[p], want.policies[p])
        np.testing.assert_array_equal(got.meta_strategies[p], want.meta_strategies[p])
        np.testing.assert_array_equal(got.training_strategies[p], want.training_strategies[p])
    np.testing.assert_array_equal(got.payoff_tensor, want.payoff_tensor)
    assert got.stopped == want.stopped


@pytest.mark.parametrize(
    "game",
    [load("kuhn_poker"), load("kuhn_poker", players=3), shapley()],
    ids=lambda g: repr(g)[:9],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(game, tmp_path):
    whole = psro(game, RegretMatching(50), iterations=9)
    file = tmp_path / "run.npz"
    for fails in ([1], [2], [6], [10]):
        with pytest.raises(KeyboardInterrupt):
            psro(game, Failing(50, fails), iterations=9, save=file)
        assert file.exists() == (fails != [1])
    assert_same(psro(game, Failing(50, []), iterations=9, save=file), whole)
    # All is in the file, and a longer run goes on from it.
    assert_same(psro(game, Failing(50, range(1, 99)), iterations=9, save=file), whole)
    longer = psro(game, Failing(50, []), iterations=12, save=file)
    assert_same(longer, psro(game, RegretMatching(50), iterations=12))


def test_files_of_other_runs_are_refused(tmp_path):
    file = tmp_path / "run.npz"
    game = load("kuhn_poker")
    psro(game, "uniform", iterations=3, save=file)
    for other in (
        {"meta_solver": "nash"},
        {"evaluation": "nash"},
        {"meta_solver": "uniform", "ties": "first"},
        {"meta_solver": "uniform", "initial": "first"},
        {"meta_solver": "uniform", "repeats": "drop"},
    ):
        with pytest.raises(ValueError, match="holds a run of another game, meta-solver or setting"):
            psro(game, **{"meta_solver": "uniform", **other}, iterations=3, save=file)
    with pytest.raises(ValueError, match="holds a run of another game"):
        psro(load("kuhn_poker", players=3), "uniform", iterations=3, save=file)
    with pytest.raises(ValueError, match=r"holds 3 iterations; expected at most iterations \(2\)"):
        psro(game, "uniform", iterations=2, save=file)
    whole = file.read_bytes()
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="does not hold a PSRO run"):
            psro(game, "uniform", iterations=3, save=file)
    np.savez(file, something=1)
    with pytest.raises(ValueError, match="does not hold a PSRO run: evaluation_0 is missing"):
        psro(game, "uniform", iterations=3, save=file)
    with pytest.raises(OSError, match="is a folder"):
        psro(game, "uniform", iterations=3, save=tmp_path)


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
