"""The compiled passes against recursions over histories, and what a custom variant may do."""

import sys
from dataclasses import replace
from itertools import product
from math import sqrt
from types import FunctionType, ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_games import (
    factored_rules,
    game_trees,
    payoffs_by_recursion,
    random_profile,
)

from rltheory.games import kernels
from rltheory.games.best_response import best_response, deviations, exploitability
from rltheory.games.forms.extensive import from_tree
from rltheory.games.forms.factored import Unfolded
from rltheory.games.forms.public_tree import build_factored
from rltheory.games.forms.tree import CHANCE, TERMINAL, build_tree
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr, checkpoint_iterations
from rltheory.games.regret.cfr_run import initial_state
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import VARIANTS, vad_cfr
from rltheory.games.rules.kuhn import Kuhn
from rltheory.games.rules.leduc import Leduc
from rltheory.games.rules.liars_dice import LiarsDice

FORMS = {
    "kuhn": Kuhn(players=2),
    "kuhn3": Kuhn(players=3),
    "kuhn4": Kuhn(players=4),
    "leduc": Leduc(players=2),
    "liars_dice": LiarsDice(players=2, sides=4, dice=1),
}


def three_forms(rules):
    return [
        build_factored(rules, blocks=True),
        build_factored(rules, blocks=False),
        from_tree(build_tree(Unfolded(rules))),
    ]


def generic_start(game, iteration=5):
    """A state in which no action ties: regrets that are 0 but for rounding decide what is played.

    So it is in Kuhn's games of three and more, where for some hands two actions pay the same, and
    after iteration 0, where some members forget all regrets.
    """
    regrets = np.random.default_rng(1).uniform(-1.0, 1.0, game.slots)
    profile = random_profile(game, 0)
    return replace(initial_state(game), iteration=iteration, strategies=profile, regrets=regrets)


@pytest.mark.parametrize("name", FORMS)
def test_runs_agree_between_blocks_rows_and_trees(name):
    # Ten iterations: on Leduc, rounding grows from 1e-13 of a probability there to 1e-9 after 30.
    games = three_forms(FORMS[name])
    for variant in VARIANTS:
        runs = [
            cfr(game, variant, iterations=15, checkpoints=[10], state=generic_start(game))
            for game in games
        ]
        for run in runs[1:]:
            for field in ("average", "current", "exploitability", "payoffs"):
                np.testing.assert_allclose(
                    getattr(run, field), getattr(runs[0], field), rtol=0, atol=1e-12
                )


def walk_sums(game, profile):
    """Each slot's direct pay and, last, each player's, leaf by leaf along the histories."""
    tree, first = game.tree, game.form.first
    paid = np.zeros(game.slots + game.players)

    def walk(node, chance, own, last):
        if tree.to_move[node] == TERMINAL:
            for p in range(game.players):
                others = np.prod([own[q] for q in range(game.players) if q != p])
                paid[last[p]] += tree.payoffs[node][p] * chance * others
            return
        for action, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            child, mover = tree.child[edge], tree.to_move[node]
            if mover == CHANCE:
                walk(child, chance * tree.probability[edge], own, last)
            else:
                slot = first[tree.infoset[node]] + action
                more = [x * profile[slot] if q == mover else x for q, x in enumerate(own)]
                walk(child, chance, more, [slot if q == mover else j for q, j in enumerate(last)])

    walk(0, 1.0, [1.0] * game.players, [game.slots + p for p in range(game.players)])
    return paid


def check_slot_payoffs(game, tree_game, profile):
    reach, worth = np.ones((2, game.slots + game.players))
    for p in range(game.players):
        kernels.reaches(game.compiled, p, profile, reach)
    for p in range(game.players):
        kernels.slot_payoffs(game.compiled, p, reach, worth)
    np.testing.assert_allclose(worth, walk_sums(tree_game, profile), rtol=0, atol=1e-12)


@settings(deadline=None)
@given(game_trees(), st.integers(0, 99))
def test_slots_are_paid_what_the_leaves_after_them_pay(tree, seed):
    game = from_tree(tree)
    check_slot_payoffs(game, game, random_profile(game, seed))


@settings(deadline=None, max_examples=40)
@given(factored_rules(), st.integers(0, 99))
def test_slots_are_paid_the_same_by_blocks(rules, seed):
    blocks, rows, tree = three_forms(rules)
    profile = random_profile(tree, seed)
    check_slot_payoffs(blocks, tree, profile)
    check_slot_payoffs(rows, tree, profile)


def best_by_enumeration(game, profile, player):
    """The largest payoff over all pure strategies of a player."""
    first = game.form.first
    own = range(game.form.infoset_start[player], game.form.infoset_start[player + 1])
    best = -np.inf
    for choice in product(*(range(first[i], first[i + 1]) for i in own)):
        pure = profile.copy()
        for i, slot in zip(own, choice, strict=True):
            pure[first[i] : first[i + 1]] = 0.0
            pure[slot] = 1.0
        best = max(best, payoffs_by_recursion(game.tree, first, pure)[0][player])
    return best


@settings(deadline=None, max_examples=40)
@given(game_trees(max_depth=4, max_actions=2), st.integers(0, 99))
def test_best_payoffs_are_those_of_the_best_pure_strategies(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed)
    found = deviations(game, profile)
    paid, _ = payoffs_by_recursion(tree, game.form.first, profile)
    np.testing.assert_allclose(found.payoffs, paid, rtol=0, atol=1e-12)
    for p in range(game.players):
        if np.diff(game.form.infoset_start)[p] <= 8:
            assert found.best[p] == pytest.approx(best_by_enumeration(game, profile, p), abs=1e-12)


@settings(deadline=None, max_examples=40)
@given(game_trees(payoffs="zero_sum"), st.integers(0, 99))
def test_zero_sum_games_are_evaluated_as_any_other(tree, seed):
    game = from_tree(tree)
    profile = random_profile(game, seed)
    other = deviations(replace(game, zero_sum=False), profile)
    np.testing.assert_allclose(deviations(game, profile).best, other.best, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("slots", "values", "message"),
    [
        ([0], [np.nan], "finite"),
        ([0, 1], [np.inf, -np.inf], "finite"),
        ([0, 1], [1.5, -0.5], "probabilities must be >= 0"),
        ([0], [0.75], "sums to"),
    ],
)
def test_what_is_no_profile_is_refused(slots, values, message):
    game = load("kuhn_poker")
    profile = game.uniform()
    profile[slots] = values
    with pytest.raises(ValueError, match=message):
        exploitability(game, profile)


def test_probabilities_may_be_off_by_the_tolerance_and_no_more():
    game = load("kuhn_poker")
    profile = game.uniform()
    profile[0] += 0.9e-9
    assert exploitability(game, profile) == pytest.approx(
        exploitability(game, game.uniform()), abs=1e-8
    )
    profile[0] += 0.2e-9
    with pytest.raises(ValueError, match="sums to"):
        exploitability(game, profile)


def run_in_python(game, variant, start, iterations, alternating):
    """The family's loop as its description reads, set by set, over the histories of a tree."""
    first, slots = game.form.first, game.slots
    owner = game.owner()
    strategies, regrets = start.strategies.copy(), start.regrets.copy()
    average, memories = np.zeros((2, slots))
    states = np.zeros(game.infosets)
    for t in range(start.iteration + 1, iterations + 1):
        c = variant.schedule(t, iterations)
        for movers in [[p] for p in range(game.players)] if alternating else [range(game.players)]:
            worth, reach = counterfactual(game, strategies)
            for i in np.flatnonzero(np.isin(owner, movers)):
                here = slice(first[i], first[i + 1])
                r = worth[here] - strategies[here] @ worth[here]
                at = 0 if variant.shared_state else i
                states[at] = variant.track(np.abs(r).max(), states[at], c)
                s = variant.signal(np.abs(r).max(), states[at], c)
                average[here] *= variant.decay(c)
                average[here] += variant.weight(c, s) * reach[here]
                shares = np.zeros(len(r))
                for a, j in enumerate(range(first[i], first[i + 1])):
                    regrets[j] = variant.regret(regrets[j], r[a], c, s)
                    shares[a] = variant.strategy(regrets[j], r[a], memories[j], c, s)
                    memories[j] = variant.memory(regrets[j], r[a], memories[j], c)
                total = shares.sum()
                strategies[here] = shares / total if total > 0 else 1 / len(r)
    return strategies, average


def counterfactual(game, strategies):
    """Values of actions weighted by the others' reach, and own reach after each, by recursion."""
    tree, first = game.tree, game.form.first
    worth, reach = np.zeros((2, game.slots))

    def walk(node, chance, own):
        if tree.to_move[node] == TERMINAL:
            return tree.payoffs[node]
        total, mover = np.zeros(game.players), tree.to_move[node]
        for action, edge in enumerate(range(tree.first_child[node], tree.first_child[node + 1])):
            if mover == CHANCE:
                share = tree.probability[edge]
                total += share * walk(tree.child[edge], chance * share, own)
            else:
                slot = first[tree.infoset[node]] + action
                share = strategies[slot]
                more = [x * share if q == mover else x for q, x in enumerate(own)]
                value = walk(tree.child[edge], chance, more)
                others = np.prod([own[q] for q in range(game.players) if q != mover])
                worth[slot] += chance * others * value[mover]
                reach[slot] = more[mover]
                total += share * value
        return total

    walk(0, 1.0, [1.0] * game.players)
    return worth, reach


@pytest.mark.parametrize("players", [2, 3])
@pytest.mark.parametrize("alternating", [True, False])
def test_every_variant_is_what_its_record_says(players, alternating):
    game = load("kuhn_poker", players=players, form="tree")
    variants = [make() for make in VARIANTS.values()]
    # Averages from the start, and bounds of the exponents that do bind.
    variants += [
        vad_cfr(warm_up=0, volatility="per_infoset"),
        vad_cfr(warm_up=8, sensitivity=3.0, sharpened=False),
        vad_cfr(warm_up=0, alpha=0.2, beta=0.4, optimism_decay=2.0, floor=-0.5),
    ]
    for variant in variants:
        start = generic_start(game, iteration=0 if players == 2 else 5)
        run = cfr(game, variant, iterations=12, alternating=alternating, state=start)
        current, average = run_in_python(game, variant, start, 12, alternating)
        np.testing.assert_allclose(run.current, current, rtol=0, atol=1e-12)
        np.testing.assert_allclose(run.state.average, average, rtol=1e-11, atol=1e-12)


SCALE = 2.0


def _positive_part(x):
    return x if x > 0.0 else 0.0


def _scaled(x):
    return SCALE * _positive_part(x)


def test_a_variant_of_lambdas_and_plain_helpers_is_compiled():
    game = load("leduc_poker")
    mine = Variant(
        name="mine",
        schedule=lambda t, n: (float(t),),
        regret=lambda R, r, c, s: _positive_part(R + r),
        strategy=lambda R, r, m, c, s: _scaled(R),
        weight=lambda c, s: c[0],
    )
    ours, theirs = (cfr(game, v, iterations=50, checkpoints=2) for v in (mine, "cfr_plus"))
    # A factor of two cancels without rounding.
    np.testing.assert_array_equal(ours.average, theirs.average)
    np.testing.assert_array_equal(ours.current, theirs.current)


def test_a_variant_with_state_signal_and_memory_of_its_own():
    game = load("kuhn_poker", form="tree")
    mine = Variant(
        name="mine",
        schedule=lambda t, n: (0.5, t / n),
        regret=lambda R, r, c, s: s[0] * R + s[1] * r,
        strategy=lambda R, r, m, c, s: max(R + s[2] * (r - m), 0.0),
        weight=lambda c, s: c[1] + s[3],
        decay=lambda c: c[0],
        memory=lambda R, r, m, c: c[0] * m + r,
        track=lambda size, g, c: c[0] * g + size,
        signal=lambda size, g, c: (1.0 / (1.0 + g), 1.0 + size, sqrt(g), size),
    )
    for variant in (mine, replace(mine, shared_state=True)):
        for alternating in (True, False):
            start = generic_start(game, iteration=0)
            run = cfr(game, variant, iterations=12, alternating=alternating, state=start)
            current, average = run_in_python(game, variant, start, 12, alternating)
            np.testing.assert_allclose(run.current, current, rtol=0, atol=1e-12)
            np.testing.assert_allclose(run.state.average, average, rtol=1e-11, atol=1e-12)


def test_a_closure_is_refused_by_name():
    exponent = 2.0

    def weight(c, s):
        return c[0] ** exponent

    mine = Variant(name="mine", schedule=lambda t, n: (float(t),), weight=weight)
    with pytest.raises(ValueError, match=r"weight takes exponent from around it.*`schedule`"):
        cfr(load("kuhn_poker"), mine, iterations=1)


def _not_a_number(R, r, c, s):
    return np.nan


def _no_return(R, r, c, s):
    pass


def test_a_variant_whose_numbers_stop_being_finite_is_refused_by_name(tmp_path):
    mine = Variant(name="mine", schedule=lambda t, n: (), regret=_not_a_number)
    save = tmp_path / "run.npz"
    with pytest.raises(ValueError, match="variant 'mine' has regrets that are not finite"):
        cfr(load("kuhn_poker"), mine, iterations=3, save=save)
    assert not save.exists()


def test_a_variant_that_does_not_compile_is_named_with_the_cause():
    mine = Variant(name="mine", schedule=lambda t, n: (), regret=_no_return)
    with pytest.raises(TypeError, match=r"variant 'mine' do not compile: No implementation"):
        cfr(load("kuhn_poker"), mine, iterations=3)


def test_runs_are_the_same_whatever_the_block_compiled_code_runs_at_a_time(monkeypatch):
    game = load("kuhn_poker")
    whole = cfr(game, "vad_cfr", iterations=520, checkpoints=1)
    monkeypatch.setattr(sys.modules[cfr.__module__], "BLOCK", 7)
    blocks = cfr(game, "vad_cfr", iterations=520, checkpoints=1)
    for name, array in whole.state.copies().items():
        assert np.array_equal(array, blocks.state.copies()[name])


def test_any_number_of_checkpoints_beyond_the_iterations_is_all_of_them():
    assert checkpoint_iterations(10**12, 10) == list(range(1, 11))
    for n in range(1, 60):
        fewest = int(2 * n * (np.log(n) + 1)) + 1  # the largest count that is still spaced
        assert checkpoint_iterations(fewest, n) == list(range(1, n + 1))


@pytest.mark.parametrize("checkpoints", [None, np.nan, 2.5, 0])
def test_checkpoints_that_are_no_number_are_refused(checkpoints):
    with pytest.raises(ValueError, match=r"checkpoints is .*; expected an integer of at least 1"):
        checkpoint_iterations(checkpoints, 10)


def test_more_iterations_than_floats_can_count_are_refused():
    with pytest.raises(ValueError, match=r"iterations is 10+; expected at most 2\*\*53"):
        checkpoint_iterations(10, 10**30)


@pytest.mark.parametrize("player", [2, -1, 1.5, True, "a", None])
def test_best_responses_are_refused_to_who_is_no_player(player):
    game = load("kuhn_poker")
    with pytest.raises(ValueError, match=r"player is .*; expected 0 to 1"):
        best_response(game, game.uniform(), player=player)


def with_globals(function, **changed):
    """A function of the same code that sees other globals."""
    return FunctionType(function.__code__, {**function.__globals__, **changed}, function.__name__)


def digest(**functions):
    return Variant(name="mine", schedule=lambda t, n: (1.0,), **functions).digest()


def _strategy(R, r, m, c, s):
    return _scaled(R)


def _settings_strategy(R, r, m, c, s):
    return settings_module.FACTOR * R  # noqa: F821


def test_a_digest_is_that_of_all_that_is_called():
    again = with_globals(_strategy, _scaled=with_globals(_scaled))
    assert digest(strategy=again) == digest(strategy=_strategy)
    constant = with_globals(_strategy, _scaled=with_globals(_scaled, SCALE=3.0))
    helper = with_globals(_scaled, _positive_part=lambda x: abs(x))
    code = with_globals(_strategy, _scaled=helper)
    half, third = ModuleType("settings_module"), ModuleType("settings_module")
    half.FACTOR, third.FACTOR = 1 / 2, 1 / 3
    digests = [
        digest(strategy=_strategy),
        digest(strategy=constant),
        digest(strategy=code),
        digest(strategy=lambda R, r, m, c, s, k=1.0: k * R),
        digest(strategy=lambda R, r, m, c, s, k=2.0: k * R),
        digest(strategy=with_globals(_settings_strategy, settings_module=half)),
        digest(strategy=with_globals(_settings_strategy, settings_module=third)),
        digest(strategy=_strategy, shared_state=True),
        digest(regret=_strategy),
    ]
    assert len(set(digests)) == len(digests)
