"""Variants of CFR against their description, step by step, and what a custom one may do."""

from dataclasses import replace
from math import sqrt
from types import FunctionType, ModuleType

import numpy as np
import pytest
from games_examples import generic_start

from rltheory.games.forms.tree import CHANCE, TERMINAL
from rltheory.games.library import load
from rltheory.games.regret.cfr import cfr
from rltheory.games.regret.variant import Variant
from rltheory.games.regret.variants import VARIANTS, vad_cfr


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
