"""Records on extensive games and the CFR family: their exact runs and walks, cross-checked."""

from fractions import Fraction
from math import inf

import numpy as np
import pytest

from rltheory.games.best_response import nash_conv
from rltheory.games.exact.behaviour import normal_form
from rltheory.games.exact.exact_form import (
    exact_deviations,
    exact_nash_conv,
    exact_payoffs,
    exact_regrets,
)
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr as run_cfr
from rltheory.games.regret.variants import (
    cfr,
    cfr_plus,
    dcfr,
    dcfr_plus,
    lcfr,
    pcfr_plus,
    pdcfr_plus,
    vad_cfr,
)
from rltheory.theory import extensive_instances as ext
from rltheory.theory import extensive_plans as plans
from rltheory.theory import extensive_runs as runs
from rltheory.theory import extensive_walks as walks
from rltheory.theory import game_instances as games
from rltheory.theory.records import cfr_alternating, cfr_reductions
from rltheory.theory.tape import Tape

RATIONAL = (
    cfr(),
    cfr_plus(),
    lcfr(),
    dcfr(alpha=1, beta=0, gamma=1),
    pcfr_plus(),
    dcfr_plus(alpha=2),
    pdcfr_plus(alpha=1),
    dcfr_plus(alpha=inf),
)


@pytest.mark.parametrize("players", [2, 3])
@pytest.mark.parametrize("zero_sum", [True, False])
def test_trees_off_a_tape_have_perfect_recall_and_short_numbers(players, zero_sum):
    # from_tree, inside, raises without perfect recall.
    for seed in range(20):
        form = ext.game(Tape(seed=seed), 4, players=players, zero_sum=zero_sum)
        assert form.zero_sum or not zero_sum
        assert all(x.denominator <= 4**4 and abs(x) <= 4 * len(form.paid) for x in form.paid.flat)


@pytest.mark.parametrize("alternating", [True, False])
@pytest.mark.parametrize("variant", RATIONAL, ids=lambda variant: variant.title)
def test_exact_runs_are_those_of_the_compiled_traversal(variant, alternating):
    for seed in range(3):
        form = ext.game(Tape(seed=seed), 3, players=2 + seed % 2, zero_sum=False)
        exact = runs.run(form, variant, 4, alternating=alternating)
        compiled = run_cfr(form.game, variant, iterations=4, alternating=alternating)
        assert np.allclose(exact.final.astype(float), compiled.current, rtol=0, atol=1e-10)
        kept = exact.accumulated.astype(float)
        assert np.allclose(kept, compiled.state.regrets, rtol=0, atol=1e-10)
        weights = runs.average_weights(variant, 4)
        average = plans.average(form, exact.profiles, weights).astype(float)
        assert np.allclose(average, compiled.average, rtol=0, atol=1e-10)


def test_a_rule_that_rounds_is_refused():
    form = ext.one_shot(Tape(seed=1), 2)
    with pytest.raises(TypeError, match="a rule gave the float"):
        runs.run(form, vad_cfr(), 2)


@pytest.mark.parametrize("seed", range(10))
def test_walks_of_the_tree_agree_with_passes_over_sequences(seed):
    form = ext.game(Tape(seed=seed), 4, players=2 + seed % 2, zero_sum=False)
    tree, first = form.game.tree, form.game.form.first.tolist()
    strategies = ext.profile(Tape(seed=seed + 100), form)
    assert walks.tree_payoffs(tree, strategies, first) == exact_payoffs(form, strategies)
    regrets = exact_regrets(form, strategies)
    for p in range(form.game.players):
        values = walks.counterfactual(tree, strategies, first, p)
        for _, slots in plans.sets(form, p):
            expected = values[slots] - strategies[slots] @ values[slots]
            assert np.array_equal(expected, regrets[slots])
    gains = plans.full_regrets(form, [strategies])
    deviations = exact_deviations(form, strategies)
    assert gains == [b - u for b, u in zip(deviations.best, deviations.payoffs, strict=True)]


def test_payoffs_of_pure_strategies_are_the_normal_form():
    form = ext.game(Tape(seed=3), 3)
    floats = normal_form(form.game, reduced=False).payoffs[0]
    assert np.array_equal(plans.pure_matrix(form).astype(float), floats)


@pytest.mark.parametrize("deals", [1, 2])
def test_the_contrary_opponent_does_in_each_set_what_it_does_to_regret_matching(deals):
    form, others = runs.contrary(16, 2, deals)
    run = runs.respond(form, cfr(), others, len(others))
    gains = games.challenge(16, 2, lambda t, kept: games.contrary(kept), plus=False)
    alone = games.regret_matching(gains)
    total = max(alone.accumulated) * deals
    assert plans.full_regrets(form, run.profiles)[0] == total


def test_an_update_of_pcfr_plus_may_lose_against_what_it_answered():
    lost = []
    for seed in range(60):
        instance = cfr_alternating.sample_updates(Tape(seed=seed), 4, variants=(pcfr_plus(),))
        before, after = cfr_alternating.improvement_sides(instance)
        lost.append(max(before - after))
    assert max(lost) > 0


@pytest.mark.parametrize("seed", range(8))
def test_averages_of_alternating_updates_with_and_without_the_last_strategy_are_near(seed):
    instance = cfr_alternating.sample_alternation(Tape(seed=seed), 4)
    form, profiles = instance
    before = profiles[:-1]
    shifted = [plans.change(form, x, 0, y) for x, y in zip(before, profiles[1:], strict=True)]
    apart = exact_nash_conv(form, plans.average(form, before)) - exact_nash_conv(
        form, plans.average(form, shifted)
    )
    assert abs(apart) <= Fraction(float(form.game.payoff_range[0])) / len(before)


@pytest.mark.parametrize(("name", "rounds"), [("kuhn_poker", 200), ("leduc_poker", 10)])
def test_reduced_vad_cfr_runs_as_dcfr_one_step_ahead(name, rounds):
    # In Leduc poker divisions by small regrets double the difference with every few iterations.
    game = load(name)
    reduced = run_cfr(game, cfr_reductions._reduced_vad(), iterations=rounds)
    ahead = run_cfr(game, dcfr(alpha=1.5, beta=-0.1, gamma=2.0, ahead=1), iterations=rounds)
    published = run_cfr(game, dcfr(alpha=1.5, beta=-0.1, gamma=2.0), iterations=rounds)
    assert np.abs(reduced.average - ahead.average).max() < 1e-12
    assert np.abs(reduced.average - published.average).max() > 1e-3


def test_in_kuhn_poker_cfr_does_as_well_without_the_weights_of_reach():
    game = load("kuhn_poker", players=2)
    total, state = game.uniform(), None
    rounds = 300
    for t in range(1, rounds + 1):
        result = run_cfr(game, "cfr", iterations=t, checkpoints=[t], alternating=False, state=state)
        state = result.state
        total = total + result.current * (t < rounds)
    weighted = nash_conv(game, result.average)
    assert weighted < nash_conv(game, total / rounds) < 1.1 * weighted
